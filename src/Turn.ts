/**
 * One turn of driving a run: looks at its journal and inbox, decides whether there is something to do, and
 * runs a session if there is. The lease is the caller's.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Checkpoint from "./Checkpoint.ts"
import type { CheckpointRejected } from "./Checkpoint.ts"
import type { Kept, Prefix } from "./Cut.ts"
import type { Found, Posted, StorageError } from "./Driver.ts"
import { decodeInput, type Driven, ended, type Seen } from "./Ending.ts"
import type { Entry, Recorded, Start, Suspend } from "./Entry.ts"
import type { Continued } from "./HandOver.ts"
import type { Hook } from "./Hooks.ts"
import { isoOf } from "./internal/iso.ts"
import * as Journal from "./Journal.ts"
import { JournalLimits } from "./Limits.ts"
import { isWait, type Machine, wakeAtOf } from "./Machine.ts"
import * as Metrics from "./Metrics.ts"
import { type Begin, compare, firstStart, laterStart, type Opening } from "./Opening.ts"
import * as Past from "./Past.ts"
import * as Record from "./Record.ts"
import { RunNotFound } from "./Refusals.ts"
import * as Replay from "./Replay.ts"
import * as Session from "./Session.ts"
import * as Status from "./Status.ts"
import { type Loaded, nothing, type Storage } from "./Storage.ts"

type Services = Context.Context<never>

/** What a turn has seen of an open run's inbox. */
export interface Read {
  readonly incarnation: string
  readonly cursor: string
  /** A stopped run takes nothing but a cancel. */
  readonly onlyCancels?: true
  readonly isKnown: (eventId: string) => boolean
}

export type Turn = { readonly _tag: "Beaten" } | Over

/** `seen` is only there while the run can take more posts. */
export interface Over {
  readonly _tag: "Over"
  readonly driven: Driven | Continued
  readonly seen?: Read
  readonly warm?: Warm
}

export interface Job {
  readonly program: Replay.Program
  readonly runId: string
  readonly begin: Begin | undefined
  readonly storage: Storage["Service"]
  readonly services: Services
  readonly leaseToken: string
  /** What was there when the run's lease was taken. */
  readonly found: Found | undefined
  /** What the caller has read of it before. */
  readonly loaded: Loaded | undefined
  /** Where the caller left the run, if it drove it before. */
  readonly warm: Warm | undefined
  /** How a child is driven, or its start recorded. */
  readonly drive: Session.Options["drive"]
  readonly enqueue: Session.Options["enqueue"]
  /** Hears of every step, behind the workflow's own hook. */
  readonly hook: Hook | undefined
  /** Whether a run that a hook stopped goes on. */
  readonly goesOn: boolean
}

/** The code against entries, of which the first names the input; `at` is where they diverged. */
const replayed = (
  { program, runId, services }: Job,
  input: unknown,
  entries: ReadonlyArray<Entry & { readonly timestamp: string; readonly incarnation: string }>,
  remembers: boolean
): { readonly machine: Machine; readonly at: number } => {
  // Nobody has seen the first slice's logs when nothing but starts stand in the journal.
  const live = entries.every((entry) => entry.type === "start" || entry.type === "event")
  const first = Replay.startOf(entries[0]!)
  const options = { runId, live, services, remembers }
  const machine = Replay.machine(program, input, first, options, entries)
  return { machine, at: Replay.feed(machine, entries) ?? 0 }
}

const over = (driven: Driven | Continued, seen?: Read): Over => ({
  _tag: "Over",
  driven,
  ...(seen === undefined ? undefined : { seen })
})

/** A run that was driven here until it only waited: its machine can go on without a replay. */
export interface Warm {
  readonly loaded: Loaded
  readonly first: Past.First
  readonly last: Suspend
  readonly machine: Machine
}

/** Where a run stands when a turn begins. */
interface Position {
  readonly loaded: Loaded
  readonly status: Status.Status
  /** Undefined when the run does not exist yet. */
  readonly first: Past.First | undefined
  readonly last: Entry | undefined
  /** Ids of posts that are journaled. */
  readonly known: ReadonlySet<string>
  readonly machine?: Machine
}

const cold = ({ found, loaded, runId, storage }: Job) => {
  const read = loaded !== undefined && found?.version === loaded.version
    ? Effect.succeed(loaded)
    // Who begins the run in between makes the first append fail.
    : found?.version === ""
    ? nothing(runId)
    : storage.read(runId)
  return Effect.map(read, (loaded): Position => {
    const { entries } = loaded.journal
    const status = Status.of(runId, entries)
    return {
      loaded: { ...loaded, status },
      status,
      first: Journal.first(loaded.journal),
      last: entries.at(-1),
      known: Journal.takenIds(entries)
    }
  })
}

/** The machine is what a replay would make of the journal, as long as nobody else has written. */
const positionOf = (job: Job) => {
  const { found, runId, storage, warm } = job
  return warm === undefined
    ? cold(job)
    : Effect.flatMap(
      found === undefined ? storage.version(runId) : Effect.succeed(found.version),
      (version) => {
        if (version !== warm.loaded.version) return cold(job)
        const { first, last, loaded, machine } = warm
        const status = loaded.status ?? Status.of(runId, loaded.journal.entries)
        return Effect.succeed<Position>({
          loaded,
          status,
          first,
          last,
          known: machine.eventIds,
          machine
        })
      }
    )
}

/** Takes one turn. */
export const take = Effect.fnUntraced(
  function*(given: Job): Effect.fn.Return<Turn, Session.SessionError> {
    const { begin, runId, services, storage } = given
    const position = yield* positionOf(given)
    const { first, known, last, loaded, status } = position
    if (first === undefined && begin === undefined) return yield* new RunNotFound({ runId })
    if (position.machine === undefined) yield* compare(given.program, loaded, begin, services)
    // What is not started yet takes the newest body; everything else the one its journal names.
    const program = yield* programFor(given, first)
    const hooks = [program.hook, given.hook].filter((hook) => hook !== undefined)
    const job = { ...given, program }
    if (last !== undefined && Journal.isEnd(last)) return over(yield* endOf(job, last))

    const { incarnation } = loaded.journal.head
    const { cursor, items } = first === undefined || given.found?.hasPosts === false
      // Nothing can have been posted to a run that was not there, either.
      ? { cursor: "", items: [] }
      : yield* storage.inbox(runId, incarnation, "")
    const posted = items.filter(({ eventId }) => !known.has(eventId))
    const mayGoOn = posted.some(({ type }) => type !== "event")
    if (status.fruitless >= Status.crashLimit && !mayGoOn) {
      const isKnown = (eventId: string) => items.some((item) => item.eventId === eventId)
      return over(crashLoop(runId, status), { incarnation, cursor, isKnown })
    }
    const begun = last === undefined ? yield* begins(program, runId, begin!) : undefined
    const timestamp = isoOf(yield* Clock.currentTimeMillis)
    const found = begun === undefined ? loaded.journal.entries : begun.copied
    // Its text is made before the body sees, and may change, the input in it.
    const opened = begun === undefined
      ? undefined
      : [openingOf(begun, begin?.prefix), ...stampedAll(begin?.prefix?.entries ?? [])]
    const remembers = hooks.length > 0 || status.status === "stopped"
    const openedBy = first
      ?? { ...(remembers ? structuredClone(begun!.entry) : begun!.entry), ...begun!.at }
    const machine = position.machine
      ?? (yield* refusing(given, begun, rebuilt(job, position, begun, remembers)))
    const isKnown = (eventId: string) => machine.eventIds.has(eventId) || known.has(eventId)
    const now = Date.parse(timestamp)
    const { news, settled } = yield* deliverable(job, machine, posted, now)
    const { stoppedAt: stepId } = status
    if (stepId !== undefined && !given.goesOn && !news.some(({ type }) => type === "cancel")) {
      return over(stoppedAt(job, stepId, openedBy, machine))
    }
    const opening = begun ?? (yield* laterStart(loaded.journal, settled))
    const start = opened ?? [Journal.stamped(opening.entry, timestamp)]
    const seen: Read = { incarnation: opening.stamp.incarnation, cursor, isKnown }
    if (last !== undefined && news.length === 0 && settled.length === 0) {
      const resting = yield* rests(job, machine, loaded.journal.head.offset, last, now)
      if (resting !== undefined) return over(resting, seen)
    }
    const durability = first === undefined
      ? begin?.durability ?? program.durability
      : first.durability ?? "sync"
    const { activity } = storage.live
    const { live, release } = storage.live.hold(runId)
    activity.sessions++
    const leave = () => {
      activity.sessions--
      release()
    }
    const [ran, left] = yield* Effect.scoped(
      Effect.flatMap(storage.writer(loaded), (writer) =>
        Effect.map(
          Session.run({
            program,
            runId,
            storage,
            writer,
            stamp: opening.stamp,
            machine,
            durability,
            found,
            start,
            first: openedBy,
            isFresh: position.machine === undefined,
            hooks,
            news,
            cursor,
            leaseToken: job.leaseToken,
            services,
            live,
            drive: job.drive,
            enqueue: job.enqueue
          }),
          (ran) => [ran, writer.loaded()] as const
        ))
    ).pipe(Effect.ensuring(Effect.sync(leave)))
    yield* Metrics.count(program.name, ran)
    const { conclusion } = ran
    const seenNow: Read = { ...seen, cursor: ran.cursor }
    switch (conclusion._tag) {
      case "Beaten":
        return conclusion
      case "Ended":
        return over(yield* endOf(job, conclusion.entry))
      case "Blocked":
        return over({ status: "blocked", reason: conclusion.reason }, seenNow)
      case "Stopped": {
        const { context, stepId } = conclusion
        // What was found and not fed is there still.
        const unfed: Read = { ...seenNow, cursor: "", onlyCancels: true }
        return over({ status: "stopped", stepId, context }, unfed)
      }
      case "Suspended": {
        const { children, entry } = conclusion
        const warm = { loaded: left, first: openedBy, last: entry, machine }
        return { ...over({ status: "suspended", entry, children }, seenNow), warm }
      }
    }
  }
)

/** The body that the run goes on with. */
const programFor = (
  { begin, program }: Job,
  first: Start | undefined
): Effect.Effect<Replay.Program, CheckpointRejected> => {
  const prefix = first === undefined ? begin?.prefix : undefined
  if (prefix === undefined) {
    const known = first === undefined ? program : Replay.ofVersion(program, first.version)
    return Effect.succeed(known ?? program)
  }
  const known = Replay.ofVersion(program, prefix.version)
  const saw = `it is of version ${
    prefix.version ?? "none"
  }, which workflow "${program.name}" does not have here`
  return known === undefined
    ? Effect.fail(Checkpoint.rejected("OtherVersion", saw))
    : Effect.succeed(known)
}

/** A run that is begun: its first entry and what is copied behind it, as they will be read back. */
interface Begun extends Opening {
  readonly timestamp: string
  readonly at: { readonly timestamp: string; readonly incarnation: string }
  readonly copied: ReadonlyArray<Recorded>
}

const begins = Effect.fnUntraced(
  function*(program: Replay.Program, runId: string, begin: Begin): Effect.fn.Return<Begun> {
    const { entry, stamp } = yield* firstStart(program, runId, begin)
    const timestamp = begin.prefix?.timestamp
      ?? isoOf(yield* Clock.currentTimeMillis)
    const at = { timestamp, incarnation: stamp.incarnation }
    const copied = begin.prefix === undefined ? [] : recordedAs(stamp, [
      { entry, timestamp },
      ...begin.prefix.entries
    ])
    return { entry, stamp, timestamp, at, copied }
  }
)

const recordedAs = (
  { incarnation, session, writer }: Journal.Stamp,
  kept: ReadonlyArray<Kept>
): ReadonlyArray<Recorded> =>
  kept.map(({ entry, timestamp }, offset) => ({
    ...entry,
    session,
    offset,
    timestamp,
    incarnation,
    writer,
    prev: "",
    sum: ""
  }))

/** The first entry; the text of a pipeline's base is not made a second time. */
const openingOf = ({ entry, timestamp }: Begun, prefix: Prefix | undefined): Journal.Stamped => {
  if (prefix?.baseText === undefined) return Journal.stamped(entry, timestamp)
  const { json } = Journal.stamped({ ...entry, base: undefined } as unknown as Entry, timestamp)
  return { entry, timestamp, json: `${json.slice(0, -1)},"base":${prefix.baseText}}` }
}

const stampedAll = (kept: ReadonlyArray<Kept>) =>
  kept.map(({ entry, timestamp }) => Journal.stamped(entry, timestamp))

/** A checkpoint that the code does not go with is refused. */
const refusing = <A>(
  { begin }: Job,
  begun: Begun | undefined,
  rebuilt: Effect.Effect<A, Session.SessionError>
): Effect.Effect<A, Session.SessionError> =>
  begun === undefined || begin?.isCheckpoint !== true
    ? rebuilt
    : Effect.catchTag(rebuilt, "ReplayMismatch", ({ actual, expected, source }) =>
      Effect.fail(Checkpoint.rejected(
        "ChangedDefinition",
        `it has ${expected}, where the code has ${actual}${
          source === undefined ? "" : ` (${source})`
        }`
      )))

/** The machine at the end of the journal, or why the code does not go with it. */
const rebuilt = Effect.fnUntraced(
  function*(
    job: Job,
    { last, loaded }: Position,
    begun: Begun | undefined,
    remembers: boolean
  ): Effect.fn.Return<Machine, Session.SessionError> {
    const { begin, program, runId, services, storage } = job
    const { entries } = loaded.journal
    const all = begun === undefined
      ? entries
      : begun.copied.length > 0
      ? begun.copied
      : [{ ...begun.entry, ...begun.at }]
    const first = all[0] as Start
    const refused = Replay.baseRefused(program, runId, first)
    if (refused !== undefined) return yield* refused
    // What the body does to what it begins with is not to show in what is remembered.
    const opening = remembers ? structuredClone(all[0]!) : all[0]!
    const input = yield* decodeInput(program, opening as Start, runId, services)
    const { at, machine } = replayed(job, input, [opening, ...all.slice(1)], remembers)
    if (machine.diverged !== undefined) {
      const end = machine.outcome?.ok === false ? Record.end(job, machine) : undefined
      if (end !== undefined && "_tag" in end && end._tag === "BodyDefect") return yield* end
      // The body may have changed what it was handed, so the journal is read anew.
      const { entries } = begin?.prefix === undefined || last !== undefined
        ? (yield* storage.read(runId)).journal
        : { entries: structuredClone(all) }
      const input = yield* decodeInput(program, entries[0] as Recorded & Start, runId, services)
      return yield* Replay.mismatch(
        program,
        runId,
        machine.diverged,
        at,
        () => replayed(job, input, entries, false).machine.diverged
      )
    }
    if (machine.defect !== undefined && (last !== undefined || begin?.prefix !== undefined)) {
      return yield* Replay.broke(
        program,
        runId,
        machine.defect,
        () => Replay.again(job, all as ReadonlyArray<Recorded>, [])?.defect
      )
    }
    return machine
  }
)

/** A run that a hook stopped, for a caller who only attaches to it. */
const stoppedAt = (
  job: Job,
  stepId: string,
  first: Past.First,
  machine: Machine
): Driven => {
  const at = machine.memory!.taken.findLastIndex(({ entry }) => entry.stepId === stepId)
  return { status: "stopped", stepId, context: Past.context(job, first, machine, at + 1) }
}

const crashLoop = (runId: string, { fruitless }: Status.Status): Driven => ({
  status: "blocked",
  reason: `CrashLoop: ${fruitless} sessions in a row ended before anything was journaled. `
    + `Find what kills the process, then let the run go on with Runs.settle("${runId}")`
})

const endOf = (
  { program, runId, services }: Job,
  entry: Entry
): Effect.Effect<Driven | Continued, Replay.ReplayMismatch> =>
  entry.type === "continue"
    ? Effect.succeed({ status: "continued", runId, next: entry.runId })
    : ended(program, entry, runId, services)

/** Why an open run is left as it is, if it is: nothing has changed, or it must not go on by itself. */
const rests = Effect.fnUntraced(
  function*(
    { services, storage }: Job,
    machine: Machine,
    entries: number,
    last: Entry,
    now: number
  ): Effect.fn.Return<Driven | undefined, StorageError | Journal.JournalCorrupt> {
    if (last.type === "suspend") {
      if (last.wakeAt !== undefined && last.wakeAt <= now) return undefined
      const children: Array<Seen> = []
      for (const { childId } of last.waits) {
        if (childId === undefined) continue
        const seen = yield* childNow(storage, childId)
        if (seen === undefined) return undefined
        children.push(...seen)
      }
      return onlyUnknown(machine) ?? { status: "suspended", entry: last, children }
    }
    if (machine.outcome !== undefined || machine.cancelled !== undefined) return undefined
    if (entries >= Context.get(services, JournalLimits).stop) {
      return { status: "blocked", reason: Session.tooLong }
    }
    // Timers beside what is unknown still go off: a session says when.
    const ticks = Array.from(machine.pending.values()).some((p) => wakeAtOf(p) !== undefined)
    return ticks ? undefined : onlyUnknown(machine)
  }
)

/** A child that only waits, and those it waits for; nothing when the parent has reason to look at it itself. */
const childNow = (
  storage: Storage["Service"],
  runId: string
): Effect.Effect<ReadonlyArray<Seen> | undefined, StorageError | Journal.JournalCorrupt> =>
  Effect.gen(function*() {
    const { journal, version } = yield* storage.read(runId)
    const last = journal.entries.at(-1)
    const isStopped = Status.of(runId, journal.entries).status === "stopped"
    if (last?.type !== "suspend" && !isStopped) return undefined
    const { cursor, items } = yield* storage.inbox(runId, journal.head.incarnation, "")
    const known = Journal.takenIds(journal.entries)
    const isNews = ({ eventId, type }: Posted) =>
      !known.has(eventId) && (!isStopped || type === "cancel")
    if (items.some(isNews)) return undefined
    const seen: Array<Seen> = [{ runId, version, cursor }]
    for (const { childId } of last?.type === "suspend" ? last.waits : []) {
      if (childId === undefined) continue
      const below = yield* childNow(storage, childId)
      if (below === undefined) return undefined
      seen.push(...below)
    }
    return seen
  })

/**
 * What is to be fed of the posts, and the ids of settlements that are done with: those of the run as a
 * whole, and those that cannot be taken. An event that the code does not take stays in the inbox, for code
 * that does. Both are warned of.
 */
const deliverable = Effect.fnUntraced(
  function*(job: Job, machine: Machine, posted: ReadonlyArray<Posted>, now: number) {
    const { program, runId, services } = job
    const news: Array<Posted> = []
    const settled: Array<string> = []
    for (const post of posted) {
      const isOfRun = post.type === "settle" && post.stepId === undefined
      const entry = post.type === "settle" && !isOfRun
        ? Record.settled(job, machine, post, now)
        : undefined
      const why = typeof entry === "string" ? entry : Replay.refuses(program, post, services)
      if (isOfRun || typeof entry === "string") settled.push(post.eventId)
      else if (why === undefined) news.push(post)
      if (why === undefined) continue
      yield* Effect.logWarning(
        typeof entry === "string"
          ? `What was settled by hand in run "${runId}" cannot be taken: ${why}`
          : `Event ${post.eventId} of run "${runId}" is left in its inbox: ${why}`
      )
    }
    return { news, settled }
  }
)

/** Set when nothing can happen but from outside, and nobody knows what became of an at-most-once step. */
const onlyUnknown = ({ outcome, pending }: Machine): Driven | undefined => {
  if (outcome !== undefined) return undefined
  const unknown: Array<string> = []
  for (const p of pending.values()) {
    if (isWait(p) || p.isUndoing) continue
    if (p.intent === 0 || p.cancelling !== undefined) return undefined
    unknown.push(p.id)
  }
  return unknown.length === 0
    ? undefined
    : { status: "blocked", reason: Session.unknownReason(unknown) }
}
