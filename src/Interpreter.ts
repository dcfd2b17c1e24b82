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
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import * as Tracer from "effect/Tracer"
import type { Posted, StorageError } from "./Driver.ts"
import { type Entry, type Recorded, type Start, type Suspend, suspension } from "./Entry.ts"
import * as Failure from "./Failure.ts"
import { equals } from "./internal/json.ts"
import * as Journal from "./Journal.ts"
import { type Machine, type Outcome, Undecodable } from "./Machine.ts"
import * as Replay from "./Replay.ts"
import * as RunId from "./RunId.ts"
import { change, RunExists, RunNotFound } from "./Runs.ts"
import * as Session from "./Session.ts"
import type * as Status from "./Status.ts"
import { type Loaded, Storage } from "./Storage.ts"

/** The journal was made by another version of the workflow, or of reprise, than this code is. */
export class VersionMismatch
  extends Schema.TaggedError<VersionMismatch>("reprise/VersionMismatch")("VersionMismatch", {
    runId: Schema.String,
    of: Schema.Literals(["workflow", "journal format"]),
    recorded: Schema.String,
    seen: Schema.String
  })
{
  override get message(): string {
    return `Run "${this.runId}" has ${this.of} version ${this.recorded}, this code has ${this.seen}. Nothing was run or `
      + `written. Resume it in a process that has version ${this.recorded}.`
  }
}

export type DriveError =
  | Session.SessionError
  | RunNotFound
  | RunExists
  | VersionMismatch
  | RunId.RunIdRejected

/** What driving a run came to; values are decoded. */
export type Driven =
  | { readonly status: "success"; readonly result: unknown }
  | { readonly status: "failed"; readonly error: unknown }
  | { readonly status: "cancelled"; readonly reason: string | undefined }
  | { readonly status: "suspended"; readonly entry: Suspend }
  | { readonly status: "blocked"; readonly reason: string }
  /** Another live process drives the run. */
  | { readonly status: "running" }

/** What a look at a run shows, decoded. */
export type Looked = Driven | { readonly status: "pending" } | { readonly status: "stopped" }

/** How to open a run that does not exist: with the input, and as it is encoded. */
export interface Begin {
  readonly input: unknown
  readonly metadata: Schema.Json | undefined
}

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

/** Drives the run until it ends or only waits. `begin` starts it when it does not exist. */
export const drive = (
  program: Replay.Program,
  runId: string,
  begin: Begin | undefined
): Effect.Effect<Driven, DriveError, Storage> =>
  Effect.gen(function*(): Effect.gen.Return<Driven, DriveError, Storage> {
    yield* RunId.check(runId)
    const storage = yield* Storage
    const services = yield* Effect.context<never>()
    if (begin === undefined && (yield* storage.version(runId)) === "") {
      return yield* new RunNotFound({ runId })
    }
    for (;;) {
      const claim = yield* storage.acquire(runId)
      if (claim._tag === "Held") {
        yield* compare(program, yield* storage.read(runId), begin, services)
        return { status: "running" }
      }
      const { token } = claim
      const turn = yield* oneSession({
        program,
        runId,
        begin,
        storage,
        services,
        leaseToken: token
      }).pipe(
        Effect.ensuring(Effect.ignore(storage.release(runId, token))),
        Effect.catchTag("Fenced", (fenced) => Effect.as(isLeft(storage, runId, fenced), beaten))
      )
      if (turn._tag === "Beaten") continue
      if (turn.seen !== undefined && (yield* hasNews(storage, runId, turn.seen))) continue
      return turn.driven
    }
  }).pipe(traced(program, runId))

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
  program: Pick<Replay.Program, "name" | "version" | "input">,
  runId: string,
  begin: Begin
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
      const entries = [{ entry: { ...entry, enqueued: true as const }, timestamp }]
      if (yield* writer.append(stamp, entries)) return
    }
  }))

/** Decodes what a look at a run found. */
export const look = (
  program: Replay.Program,
  status: Status.Status
): Effect.Effect<Looked, Replay.ReplayMismatch> =>
  Effect.flatMap(
    Effect.context<never>(),
    (services): Effect.Effect<Looked, Replay.ReplayMismatch> => {
      const { declared, error, reason, result, runId } = status
      switch (status.status) {
        case "success":
          return ended(
            program,
            { type: "complete", ...(result === undefined ? undefined : { result }) },
            runId,
            services
          )
        case "failed":
          return ended(
            program,
            {
              type: "error",
              ...(error === undefined ? undefined : { error }),
              ...(declared === undefined ? undefined : { declared })
            },
            runId,
            services
          )
        case "cancelled":
        case "continued":
          return Effect.succeed({ status: "cancelled", reason })
        case "suspended":
          return Effect.succeed({ status: "suspended", entry: suspension(status.waits) })
        case "blocked":
          return Effect.succeed({ status: "blocked", reason: reason ?? "" })
        default:
          return Effect.succeed({ status: status.status })
      }
    }
  )

/** What the code makes of a journal, without running anything. */
export const replay = (
  program: Replay.Program,
  journal: Journal.Journal,
  services: Services
): Replay.Replayed => {
  const start = Journal.first(journal)
  const decoded = start === undefined
    ? new Undecodable("the journal is empty")
    : program.input.decode(start.metadata, services)
  return decoded instanceof Undecodable
    ? { _tag: "Diverged", mismatch: undecodable(program, journal.runId, "input", decoded) }
    : Replay.replay(program, value(decoded), journal, services)
}

/** Succeeds when driving an open run that only waits, or that another process drives, may change something. */
export const untilNews = (
  program: Replay.Program,
  runId: string
): Effect.Effect<void, StorageError | Journal.JournalCorrupt, Storage> =>
  Effect.gen(function*() {
    const storage = yield* Storage
    const services = yield* Effect.context<never>()
    const { journal, version } = yield* storage.read(runId)
    const known = new Set(
      journal.entries.map((entry) => "eventId" in entry ? entry.eventId : undefined)
    )
    const waits = journal.entries.at(-1)?.type === "suspend"
    let cursor = ""
    for (;;) {
      if ((yield* storage.version(runId)) !== version) return
      if (!waits && (yield* storage.holder(runId)) === undefined) return
      const inbox = yield* storage.inbox(runId, journal.head.incarnation, cursor)
      cursor = inbox.cursor
      const isNews = (posted: Posted) =>
        !known.has(posted.eventId) && Replay.refuses(program, posted, services) === undefined
      if (waits && inbox.items.some(isNews)) return
      yield* change(runId)
    }
  })

// internal

/** What a turn has seen of an open run's inbox. */
interface Seen {
  readonly incarnation: string
  readonly cursor: string
  readonly isKnown: (eventId: string) => boolean
}

/** `seen` is only there while the run can take more posts. */
type Turn =
  | { readonly _tag: "Beaten" }
  | { readonly _tag: "Over"; readonly driven: Driven; readonly seen?: Seen }

interface Job {
  readonly program: Replay.Program
  readonly runId: string
  readonly begin: Begin | undefined
  readonly storage: Storage["Service"]
  readonly services: Services
  readonly leaseToken: string
}

const hasNews = (storage: Storage["Service"], runId: string, seen: Seen) =>
  Effect.map(
    storage.inbox(runId, seen.incarnation, seen.cursor),
    ({ items }) => items.some(({ eventId }) => !seen.isKnown(eventId))
  )

/** After a lost run: goes on when posts were left behind that nobody drives, else fails with `fenced`. */
const isLeft = (storage: Storage["Service"], runId: string, fenced: Session.Fenced) =>
  Effect.gen(function*() {
    const { journal } = yield* storage.read(runId)
    const last = journal.entries.at(-1)
    if (last === undefined || Journal.isEnd(last) || (yield* storage.holder(runId)) !== undefined) {
      return yield* fenced
    }
    const journaled = new Set(
      journal.entries.map((entry) => "eventId" in entry ? entry.eventId : undefined)
    )
    const { items } = yield* storage.inbox(runId, journal.head.incarnation, "")
    if (items.every(({ eventId }) => journaled.has(eventId))) return yield* fenced
  })

const beaten: Turn = { _tag: "Beaten" }

const oneSession = (job: Job): Effect.Effect<Turn, DriveError> =>
  Effect.gen(function*() {
    const { begin, program, runId, services, storage } = job
    const loaded = yield* storage.read(runId)
    const { entries } = loaded.journal
    if (entries.length === 0 && begin === undefined) return yield* new RunNotFound({ runId })
    yield* compare(program, loaded, begin, services)
    const last = entries.at(-1)
    if (last !== undefined && Journal.isEnd(last)) {
      return { _tag: "Over", driven: yield* ended(program, last, runId, services) }
    }

    const opening = last === undefined
      ? yield* firstStart(program, runId, begin!)
      : yield* laterStart(loaded)
    const timestamp = last === undefined
      ? new Date(yield* Clock.currentTimeMillis).toISOString()
      : entries[0]!.timestamp
    const input = last === undefined
      ? begin!.input
      : yield* decodeInput(program, entries[0] as Recorded & Start, runId, services)
    const replayed = () => {
      const machine = Replay.machine(program, input, { timestamp }, {
        runId,
        // Nobody has seen the first slice's logs when nothing but starts stand in the journal.
        live: entries.every((entry) => entry.type === "start"),
        services
      })
      return { machine, at: Replay.feed(machine, entries) }
    }
    const { at, machine } = replayed()
    if (machine.diverged !== undefined) {
      return yield* Replay.mismatch(program, runId, machine.diverged, at ?? 0, () =>
        replayed().machine.diverged)
    }
    if (machine.defect !== undefined && last !== undefined) {
      return yield* Replay.defectOf(program, runId, machine.defect.message)
    }
    const { cursor, items } = yield* storage.inbox(runId, opening.stamp.incarnation, "")
    const isKnown = (eventId: string) =>
      machine.eventIds.has(eventId)
    const seen: Seen = { incarnation: opening.stamp.incarnation, cursor, isKnown }
    const news = yield* deliverable(
      program,
      runId,
      items.filter((posted) =>
        !isKnown(posted.eventId)
      ),
      services
    )
    if (last !== undefined && news.length === 0) {
      if (last.type === "suspend") {
        return { _tag: "Over", driven: { status: "suspended", entry: last }, seen }
      }
      const blocked = onlyUnknown(machine)
      if (blocked !== undefined) {
        return { _tag: "Over", driven: blocked, seen }
      }
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
          found: entries,
          start: opening.entry,
          news,
          cursor,
          leaseToken: job.leaseToken,
          services
        }))
    )
    yield* count(program, ran)
    const { conclusion, cursor: readTo } = ran
    switch (conclusion._tag) {
      case "Beaten":
        return conclusion
      case "Ended":
        return { _tag: "Over", driven: yield* ended(program, conclusion.entry, runId, services) }
      case "Blocked":
        return {
          _tag: "Over",
          driven: { status: "blocked", reason: unknownReason(conclusion.steps) },
          seen: { ...seen, cursor: readTo }
        }
      case "Suspended":
        return {
          _tag: "Over",
          driven: { status: "suspended", entry: conclusion.entry },
          seen: { ...seen, cursor: readTo }
        }
    }
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

const unknownReason = (steps: ReadonlyArray<string>) =>
  `OutcomeUnknown: ${steps.map((id) => `"${id}"`).join(", ")}`

/** Set when all that is pending are waits and at-most-once steps whose outcome nobody knows. */
const onlyUnknown = ({ outcome, pending, steps }: Machine): Driven | undefined => {
  if (outcome !== undefined || steps === 0) return undefined
  const unknown: Array<string> = []
  for (const p of pending.values()) {
    if (p.instruction.op !== "step") continue
    if (p.intent === 0) return undefined
    unknown.push(p.id)
  }
  return { status: "blocked", reason: unknownReason(unknown) }
}

/** `RunExists` or `VersionMismatch` when what is recorded is not what the caller means. */
const compare = (
  program: Pick<Replay.Program, "name" | "version" | "input">,
  { journal }: Loaded,
  begin: Begin | undefined,
  services: Services
): Effect.Effect<void, RunExists | VersionMismatch> => {
  const { runId } = journal
  const start = Journal.first(journal)
  if (start === undefined) return Effect.void
  if (Journal.isNewer(start)) {
    const recorded = String(start.format), seen = String(Journal.format)
    return Effect.fail(new VersionMismatch({ runId, of: "journal format", recorded, seen }))
  }
  if (start.workflow !== program.name) {
    return Effect.fail(
      new RunExists({
        runId,
        differs: "workflow",
        seen: program.name,
        recorded: start.workflow ?? ""
      })
    )
  }
  if (begin !== undefined && !sameInput(program, start, begin, services)) {
    return Effect.fail(
      new RunExists({
        runId,
        differs: "input",
        seen: brief(begin.metadata),
        recorded: brief(start.metadata)
      })
    )
  }
  if (
    start.version !== undefined && program.version !== undefined
    && start.version !== program.version
  ) {
    return Effect.fail(
      new VersionMismatch({ runId, of: "workflow", recorded: start.version, seen: program.version })
    )
  }
  return Effect.void
}

/** Compares after decoding: what older code encoded differently may still be the same input. */
const sameInput = (
  { input }: Pick<Replay.Program, "input">,
  start: Start,
  begin: Begin,
  services: Services
): boolean => {
  if (equals(start.metadata, begin.metadata)) return true
  const decoded = input.decode(start.metadata, services)
  if (decoded instanceof Undecodable || !decoded.ok) return false
  const encoded = input.encode(decoded.value, services)
  return encoded.ok && equals(encoded.json, begin.metadata)
}

const brief = (json: unknown): string => (JSON.stringify(json) ?? "nothing").slice(0, 200)

const writerId = () => RunId.randomText(8)

const firstStart = (
  program: Pick<Replay.Program, "name" | "version">,
  runId: string,
  { metadata }: Begin
): Effect.Effect<{ readonly entry: Start; readonly stamp: Journal.Stamp }> =>
  Effect.map(Random.nextIntBetween(0, 2 ** 31), (seed) => ({
    entry: {
      type: "start",
      format: Journal.format,
      workflow: program.name,
      ...(program.version === undefined ? undefined : { version: program.version }),
      runId,
      ...(metadata === undefined ? undefined : { metadata }),
      seed
    },
    stamp: { incarnation: RunId.randomText(8), session: 1, writer: writerId() }
  }))

const laterStart = (
  { journal: { head } }: Loaded
): Effect.Effect<{ readonly entry: Entry; readonly stamp: Journal.Stamp }> =>
  Effect.sync(() => ({
    entry: { type: "start" },
    stamp: { incarnation: head.incarnation, session: head.session + 1, writer: writerId() }
  }))

const value = (outcome: Outcome | Undecodable): unknown =>
  outcome instanceof Undecodable ? undefined : outcome.ok ? outcome.value : outcome.error

/** A recorded value that the code's schema refuses is a divergence like any other. */
const undecodable = (program: Replay.Program, runId: string, what: string, { why }: Undecodable) =>
  new Replay.ReplayMismatch({
    runId,
    workflow: program.name,
    offset: 0,
    expected: `a recorded ${what}`,
    actual: `a schema that does not decode it: ${why}`
  })

const decodeInput = (program: Replay.Program, start: Start, runId: string, services: Services) => {
  const decoded = program.input.decode(start.metadata, services)
  return decoded instanceof Undecodable
    ? Effect.fail(undecodable(program, runId, "input", decoded))
    : Effect.succeed(value(decoded))
}

const ended = (
  program: Replay.Program,
  entry: Entry,
  runId: string,
  services: Services
): Effect.Effect<Driven, Replay.ReplayMismatch> => {
  switch (entry.type) {
    case "complete": {
      const decoded = program.output.decode(entry.result, services)
      return decoded instanceof Undecodable
        ? Effect.fail(undecodable(program, runId, "result", decoded))
        : Effect.succeed({ status: "success", result: value(decoded) })
    }
    case "error": {
      const decoded = Failure.decodeEnd(entry, program.error, services)
      return decoded instanceof Undecodable
        ? Effect.fail(undecodable(program, runId, "error", decoded))
        : Effect.succeed({ status: "failed", error: value(decoded) })
    }
    default:
      return Effect.succeed({
        status: "cancelled",
        reason: entry.type === "cancelled" ? entry.reason : undefined
      })
  }
}
