/**
 * Drives a run: takes its lease, replays its journal, opens a session when there is something to do,
 * and looks once more after giving the lease back.
 *
 * Owns the decision whether a session is opened and what a caller is told; `Session` owns what happens
 * inside one. Invariants:
 * D1. A journal that does not fit the code is reported before anything is executed or appended.
 * D2. Every release of a lease is followed by a look at journal and inbox: what is not journaled of an
 *     open run means drive again.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Tracer from "effect/Tracer"
import type { Posted, StorageError } from "./Driver.ts"
import { decodeInput, type Driven, ended, hasMoved, type Seen } from "./Ending.ts"
import type { Entry, Recorded, Start } from "./Entry.ts"
import * as Journal from "./Journal.ts"
import { JournalLimits } from "./Limits.ts"
import { isWait, type Machine } from "./Machine.ts"
import { type Begin, compare, firstStart, laterStart, type VersionMismatch } from "./Opening.ts"
import * as Record from "./Record.ts"
import * as Replay from "./Replay.ts"
import * as RunId from "./RunId.ts"
import { type RunExists, RunNotFound, until } from "./Runs.ts"
import * as Runs from "./Runs.ts"
import * as Session from "./Session.ts"
import * as Status from "./Status.ts"
import { Storage } from "./Storage.ts"

export type DriveError =
  | Session.SessionError
  | RunNotFound
  | RunExists
  | VersionMismatch
  | RunId.RunIdRejected

type Services = Context.Context<never>

const sessions = Metric.counter("reprise_sessions", { description: "Sessions by how they ended" })
const runs = Metric.counter("reprise_runs", { description: "Ended runs by how they ended" })
const steps = Metric.counter("reprise_steps", { description: "Journaled step outcomes" })

/** Counts a session with the steps it took. */
const count = (program: Replay.Program, { conclusion, steps: taken }: Session.Ran) => {
  const workflow = program.name
  const counted = [
    Metric.update(Metric.withAttributes(sessions, { workflow, conclusion: conclusion._tag }), 1),
    Metric.update(Metric.withAttributes(steps, { workflow, outcome: "success" }), taken.done),
    Metric.update(Metric.withAttributes(steps, { workflow, outcome: "failure" }), taken.failed)
  ]
  if (conclusion._tag === "Ended") {
    counted.push(
      Metric.update(Metric.withAttributes(runs, { workflow, end: conclusion.entry.type }), 1)
    )
  }
  return Effect.all(counted, { discard: true })
}

/** What driving came to, and of which run: one that went on with `continueAs` has another id. */
export type Drove = Driven & { readonly runId: string }

/** Drives the run until it ends or only waits. `begin` starts it when it does not exist. */
export const drive = (
  program: Replay.Program,
  runId: string,
  begin: Begin | undefined
): Effect.Effect<Drove, DriveError, Storage> =>
  Effect.gen(function*(): Effect.gen.Return<Drove, DriveError, Storage> {
    yield* RunId.check(runId)
    const storage = yield* Storage
    if (begin === undefined && (yield* storage.version(runId)) === "") {
      return yield* new RunNotFound({ runId })
    }
    let at = runId, from = begin
    for (;;) {
      const driven: Driven | Continued = yield* driveOne(program, at, from)
      if (driven.status !== "continued") return { ...driven, runId: at }
      yield* handOver(program, driven)
      at = driven.next
      from = undefined
    }
  }).pipe(traced(program, runId))

/** One run of a chain. */
const driveOne = (
  program: Replay.Program,
  runId: string,
  begin: Begin | undefined
): Effect.Effect<Driven | Continued, DriveError, Storage> =>
  Effect.gen(function*(): Effect.gen.Return<Driven | Continued, DriveError, Storage> {
    const storage = yield* Storage
    const services = yield* Effect.context<never>()
    let failures = 0
    // A lease that is taken is given back, also when this is interrupted in between.
    const turnOf = Effect.acquireUseRelease(
      storage.acquire(runId),
      (claim) =>
        claim._tag === "Held"
          ? Effect.undefined
          : oneSession({ program, runId, begin, storage, services, leaseToken: claim.token }),
      (claim) =>
        claim._tag === "Held" ? Effect.void : Effect.ignore(storage.release(runId, claim.token))
    ).pipe(Effect.catchTags({
      Fenced: (fenced) => Effect.as(isLeft(storage, runId, fenced), beaten),
      StorageError: (error) =>
        ++failures > tries ? Effect.fail(error) : Effect.as(isLeft(storage, runId, error), beaten)
    }))
    for (;;) {
      const turn: Turn | undefined = yield* turnOf
      if (turn === undefined) {
        const loaded = yield* storage.read(runId)
        yield* compare(program, loaded, begin, services)
        if (begin === undefined || loaded.journal.entries.length > 0) return { status: "running" }
        // The holder has recorded nothing yet: whether its input is the same is not known.
        const isOver = Effect.gen(function*() {
          return (yield* storage.version(runId)) !== ""
            || (yield* storage.holder(runId)) === undefined
        })
        yield* until([runId], isOver, { polls: true })
        continue
      }
      if (turn._tag === "Beaten") continue
      if (turn.seen !== undefined && (yield* hasNews(storage, runId, turn.seen))) continue
      return turn.driven
    }
  })

/** A span for the run, where a tracer is installed: without one nobody would see it. */
const traced =
  (program: Replay.Program, runId: string) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.flatMap(Effect.context<never>(), (context) =>
      context.mapUnsafe.has(Tracer.Tracer.key)
        ? Effect.withSpan(effect, `run ${program.name}`, {
          attributes: { runId, workflow: program.name }
        })
        : effect)

/** Records a run without driving it; known runs with the same input are left as they are. */
export const enqueue = (
  program: Replay.Program,
  runId: string,
  begin: Begin,
  handed: ReadonlyArray<Entry> = []
): Effect.Effect<void, DriveError, Storage> =>
  Effect.scoped(Effect.gen(function*() {
    yield* RunId.check(runId)
    const storage = yield* Storage
    const services = yield* Effect.context<never>()
    for (;;) {
      const loaded = yield* storage.read(runId)
      if (loaded.journal.entries.length > 0) return yield* compare(program, loaded, begin, services)
      const writer = yield* storage.writer(loaded)
      const { entry, stamp } = yield* firstStart(program, runId, begin)
      const timestamp = new Date(yield* Clock.currentTimeMillis).toISOString()
      const entries = [{ ...entry, enqueued: true } as const, ...handed]
      if (
        yield* writer.append(stamp, entries.map((entry) => Journal.stamped(entry, timestamp)))
      ) return
    }
  }))

/**
 * Succeeds when driving an open run that only waits, or that another process drives, may change something.
 * `children` are those it waits for, as they were seen.
 */
export const untilNews = (
  program: Replay.Program,
  runId: string,
  children: ReadonlyArray<Seen>
): Effect.Effect<void, StorageError | Journal.JournalCorrupt, Storage> =>
  Effect.gen(function*() {
    const storage = yield* Storage
    const services = yield* Effect.context<never>()
    const { journal, version } = yield* storage.read(runId)
    const known = Journal.takenIds(journal.entries)
    const last = journal.entries.at(-1)
    const waits = last?.type === "suspend"
    const isNews = (posted: Posted) =>
      !known.has(posted.eventId) && Replay.refuses(program, posted, services) === undefined
    let cursor = ""
    const check = Effect.gen(function*() {
      if ((yield* storage.version(runId)) !== version) return true
      if (!waits) return (yield* storage.holder(runId)) === undefined
      if (last.wakeAt !== undefined && (yield* Clock.currentTimeMillis) >= last.wakeAt) return true
      for (const child of children) if (yield* hasMoved(storage, child)) return true
      const inbox = yield* storage.inbox(runId, journal.head.incarnation, cursor)
      cursor = inbox.cursor
      return inbox.items.some(isNews)
    })
    const watched = [runId, ...children.map((child) => child.runId)]
    yield* until(watched, check, waits ? { wakeAt: last.wakeAt } : { polls: true })
  })

// internal

/** What a turn has seen of an open run's inbox. */
interface Read {
  readonly incarnation: string
  readonly cursor: string
  readonly isKnown: (eventId: string) => boolean
}

/** A journal that ended in `continueAs`: it goes on in `next`. */
interface Continued {
  readonly status: "continued"
  readonly runId: string
  readonly next: string
}

/** `seen` is only there while the run can take more posts. */
type Turn =
  | { readonly _tag: "Beaten" }
  | { readonly _tag: "Over"; readonly driven: Driven | Continued; readonly seen?: Read }

interface Job {
  readonly program: Replay.Program
  readonly runId: string
  readonly begin: Begin | undefined
  readonly storage: Storage["Service"]
  readonly services: Services
  readonly leaseToken: string
}

const hasNews = (storage: Storage["Service"], runId: string, seen: Read) =>
  Effect.map(
    storage.inbox(runId, seen.incarnation, seen.cursor),
    ({ items }) => items.some(({ eventId }) => !seen.isKnown(eventId))
  )

/** How often a run whose storage failed is driven again for the sake of posts that were left behind. */
const tries = 3

/** After a session failed: goes on when posts were left behind that nobody drives, else fails with `error`. */
const isLeft = <E>(storage: Storage["Service"], runId: string, error: E) =>
  Effect.gen(function*() {
    const { journal } = yield* storage.read(runId)
    const last = journal.entries.at(-1)
    if (last === undefined || Journal.isEnd(last) || (yield* storage.holder(runId)) !== undefined) {
      return yield* Effect.fail(error)
    }
    const journaled = Journal.takenIds(journal.entries)
    const { items } = yield* storage.inbox(runId, journal.head.incarnation, "")
    if (items.every(({ eventId }) => journaled.has(eventId))) return yield* Effect.fail(error)
  }).pipe(
    // A look that fails as well says no more than the failure it followed.
    Effect.mapError(() => error)
  )

const beaten: Turn = { _tag: "Beaten" }

/** How many of the last event ids go along with `continueAs`. */
const takenLimit = 1_000

/** Begins the run that goes on where a journal ended, with the events that nobody took, unless it is there. */
const handOver = (newest: Replay.Program, { next, runId }: Continued) =>
  Effect.gen(function*() {
    const storage = yield* Storage
    const { journal } = yield* storage.read(runId)
    const last = journal.entries.at(-1)
    const first = Journal.first(journal)
    if (last?.type !== "continue" || first === undefined) return
    const ids = Journal.takenIds(journal.entries)
    if ((yield* storage.version(next)) === "") {
      const resumed = new Set(
        journal.entries.flatMap((entry) => entry.type === "resume" ? entry.eventId : [])
      )
      const kept = journal.entries.flatMap((entry): ReadonlyArray<Entry> => {
        if (entry.type !== "event" || resumed.has(entry.eventId)) return []
        const { eventId, eventName, key, value } = entry
        return [{
          type: "event",
          eventName,
          ...(key === undefined ? undefined : { key }),
          ...(value === undefined ? undefined : { value }),
          eventId
        }]
      })
      const handed = new Set(kept.map((entry) => "eventId" in entry ? entry.eventId : ""))
      const begin: Begin = {
        metadata: () => structuredClone(last.metadata),
        durability: first.durability ?? "sync",
        parent: first.parent,
        continues: {
          runId,
          taken: [...ids].filter((id) => !handed.has(id)).slice(-takenLimit)
        }
      }
      yield* enqueue(newest, next, begin, kept)
    }
    yield* Runs.passOn(runId, ids)
  })

/** The code against entries, of which the first names the input; `at` is where they diverged. */
const replayed = (
  { program, runId, services }: Job,
  input: unknown,
  entries: ReadonlyArray<Entry & { readonly timestamp: string; readonly incarnation: string }>
): { readonly machine: Machine; readonly at: number } => {
  // Nobody has seen the first slice's logs when nothing but starts stand in the journal.
  const live = entries.every((entry) => entry.type === "start" || entry.type === "event")
  const first = Replay.startOf(entries[0]!)
  const machine = Replay.machine(program, input, first, { runId, live, services }, entries)
  return { machine, at: Replay.feed(machine, entries) ?? 0 }
}

const over = (driven: Driven | Continued, seen?: Read): Turn => ({
  _tag: "Over",
  driven,
  ...(seen === undefined ? undefined : { seen })
})

const oneSession = (given: Job): Effect.Effect<Turn, DriveError> =>
  Effect.gen(function*() {
    const { begin, runId, services, storage } = given
    const loaded = yield* storage.read(runId)
    const { entries } = loaded.journal
    if (entries.length === 0 && begin === undefined) return yield* new RunNotFound({ runId })
    yield* compare(given.program, loaded, begin, services)
    const recorded = Journal.first(loaded.journal)
    // What is not started yet takes the newest body; everything else the one its journal names.
    const program =
      (recorded === undefined ? undefined : Replay.ofVersion(given.program, recorded.version))
        ?? given.program
    const job = { ...given, program }
    const last = entries.at(-1)
    if (last !== undefined && Journal.isEnd(last)) return over(yield* endOf(job, last))

    const status = Status.of(runId, entries)
    const incarnation = loaded.journal.head.incarnation
    const known = Journal.takenIds(entries)
    const { cursor, items } = yield* storage.inbox(runId, incarnation, "")
    const posted = items.filter(({ eventId }) => !known.has(eventId))
    const settled = posted.filter(({ type }) => type === "settle")
    const mayGoOn = posted.some(({ type }) => type !== "event")
    if (status.fruitless >= Status.crashLimit && !mayGoOn) {
      return over(crashLoop(runId, status), {
        incarnation,
        cursor,
        isKnown: (eventId) => items.some((item) => item.eventId === eventId)
      })
    }
    const opening = last === undefined
      ? yield* firstStart(program, runId, begin!)
      : yield* laterStart(
        loaded.journal,
        settled.flatMap((post) => isOfRun(post, status) ? post.eventId : [])
      )
    const start = Journal.stamped(
      opening.entry,
      new Date(yield* Clock.currentTimeMillis).toISOString()
    )
    const all = last === undefined
      ? [{
        ...opening.entry,
        timestamp: start.timestamp,
        incarnation: opening.stamp.incarnation
      }]
      : entries
    const input = yield* decodeInput(program, all[0] as Start, runId, services)
    const { at, machine } = replayed(job, input, all)
    if (machine.diverged !== undefined) {
      const end = machine.outcome?.ok === false ? Record.end(job, machine) : undefined
      if (end !== undefined && "_tag" in end && end._tag === "BodyDefect") return yield* end
      // The body may have changed what it was handed, so the journal is read anew.
      const { entries } = (yield* storage.read(runId)).journal
      const input = yield* decodeInput(program, entries[0] as Recorded & Start, runId, services)
      return yield* Replay.mismatch(program, runId, machine.diverged, at, () =>
        replayed(job, input, entries).machine.diverged)
    }
    if (machine.defect !== undefined && last !== undefined) {
      return yield* Replay.broke(program, runId, machine.defect, () =>
        Replay.again(job, entries, [])?.defect)
    }
    const isKnown = (eventId: string) =>
      machine.eventIds.has(eventId) || known.has(eventId)
    const seen: Read = { incarnation: opening.stamp.incarnation, cursor, isKnown }
    const news = yield* deliverable(program, runId, posted, services)
    if (last !== undefined && news.length === 0) {
      const resting = yield* rests(job, machine, status, entries.length, last)
      if (resting !== undefined) {
        return over(resting, seen)
      }
    }
    const durability = recorded === undefined
      ? begin?.durability ?? program.durability
      : recorded.durability ?? "sync"
    const { activity } = storage.live
    const { live, release } = storage.live.hold(runId)
    activity.sessions++
    const leave = () => {
      activity.sessions--
      release()
    }
    const ran = yield* Effect.scoped(
      Effect.flatMap(storage.writer(loaded), (writer) =>
        Session.run({
          program,
          runId,
          storage,
          writer,
          stamp: opening.stamp,
          machine,
          durability,
          found: entries,
          start,
          news,
          cursor,
          leaseToken: job.leaseToken,
          services,
          live,
          drive: (child, childId, from) =>
            Effect.provideService(drive(child, childId, from), Storage, storage),
          enqueue: (child, childId, from) =>
            Effect.provideService(enqueue(child, childId, from), Storage, storage)
        }))
    ).pipe(Effect.ensuring(Effect.sync(leave)))
    yield* count(program, ran)
    const { conclusion } = ran
    const seenNow: Read = { ...seen, cursor: ran.cursor }
    switch (conclusion._tag) {
      case "Beaten":
        return conclusion
      case "Ended":
        return over(yield* endOf(job, conclusion.entry))
      case "Blocked":
        return over({ status: "blocked", reason: conclusion.reason }, seenNow)
      case "Suspended": {
        const { children, entry } = conclusion
        return over({ status: "suspended", entry, children }, seenNow)
      }
    }
  })

const crashLoop = (runId: string, { fruitless }: Status.Status): Driven => ({
  status: "blocked",
  reason: `CrashLoop: ${fruitless} sessions in a row ended before anything was journaled. `
    + `Find what kills the process, then let the run go on with Runs.settle("${runId}")`
})

/** Whether a settlement is of the run as a whole, or of a step that needs none. */
const isOfRun = (post: Posted, { intents }: Status.Status): boolean =>
  post.type === "settle" && (post.stepId === undefined || !intents.includes(post.stepId))

const endOf = (
  { program, runId, services }: Job,
  entry: Entry
): Effect.Effect<Driven | Continued, Replay.ReplayMismatch> =>
  entry.type === "continue"
    ? Effect.succeed({ status: "continued", runId, next: entry.runId })
    : ended(program, entry, runId, services)

/** Why an open run is left as it is, if it is: nothing has changed, or it must not go on by itself. */
const rests = (
  { services, storage }: Job,
  machine: Machine,
  status: Status.Status,
  entries: number,
  last: Recorded
): Effect.Effect<Driven | undefined, StorageError | Journal.JournalCorrupt> =>
  Effect.gen(function*(): Effect.gen.Return<
    Driven | undefined,
    StorageError | Journal.JournalCorrupt
  > {
    if (last.type === "suspend") {
      const now = yield* Clock.currentTimeMillis
      if (last.wakeAt !== undefined && last.wakeAt <= now) return undefined
      const children: Array<Seen> = []
      for (const { childId } of last.waits) {
        if (childId === undefined) continue
        const child = yield* childNow(storage, childId)
        if (child === undefined) return undefined
        children.push(child)
      }
      return { status: "suspended", entry: last, children }
    }
    if (machine.outcome !== undefined || machine.cancelled !== undefined) return undefined
    if (entries >= Context.get(services, JournalLimits).stop) {
      return { status: "blocked", reason: Session.tooLong }
    }
    return onlyUnknown(machine)
  })

/** How a child is seen while it only waits; nothing when the parent has reason to look at it itself. */
const childNow = (
  storage: Storage["Service"],
  childId: string
): Effect.Effect<Seen | undefined, StorageError | Journal.JournalCorrupt> =>
  Effect.gen(function*() {
    const { journal, version } = yield* storage.read(childId)
    const last = journal.entries.at(-1)
    if (last?.type !== "suspend") return undefined
    const { cursor, items } = yield* storage.inbox(childId, journal.head.incarnation, "")
    const known = Journal.takenIds(journal.entries)
    if (items.some(({ eventId }) => !known.has(eventId))) return undefined
    for (const { childId: below } of last.waits) {
      if (below !== undefined && (yield* childNow(storage, below)) === undefined) return undefined
    }
    return { runId: childId, version, cursor }
  })

/** What the code can take; the rest stays in the inbox, for code that can, and is warned of. */
const deliverable = (
  program: Replay.Program,
  runId: string,
  news: ReadonlyArray<Posted>,
  services: Services
) =>
  Effect.filter(news, (posted) => {
    const why = Replay.refuses(program, posted, services)
    return why === undefined ? Effect.succeed(true) : Effect.as(
      Effect.logWarning(`Event ${posted.eventId} of run "${runId}" is left in its inbox: ${why}`),
      false
    )
  })

/** Set when all that is pending are waits and at-most-once steps whose outcome nobody knows. */
const onlyUnknown = ({ active, outcome, pending }: Machine): Driven | undefined => {
  if (outcome !== undefined || active === 0) return undefined
  const unknown: Array<string> = []
  for (const p of pending.values()) {
    if (isWait(p) || p.isUndoing) continue
    if (p.intent === 0 || p.cancelling !== undefined) return undefined
    unknown.push(p.id)
  }
  return { status: "blocked", reason: Session.unknownReason(unknown) }
}
