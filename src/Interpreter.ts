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
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Tracer from "effect/Tracer"
import type { Posted, StorageError } from "./Driver.ts"
import { decodeInput, type Driven, ended } from "./Ending.ts"
import type { Entry, Recorded, Start } from "./Entry.ts"
import * as Journal from "./Journal.ts"
import type { Machine } from "./Machine.ts"
import { type Begin, compare, firstStart, laterStart, type VersionMismatch } from "./Opening.ts"
import * as Record from "./Record.ts"
import * as Replay from "./Replay.ts"
import * as RunId from "./RunId.ts"
import { type RunExists, RunNotFound, until } from "./Runs.ts"
import * as Session from "./Session.ts"
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
        yield* until(runId, isOver)
        continue
      }
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
      const entries = [Journal.stamped({ ...entry, enqueued: true }, timestamp)]
      if (yield* writer.append(stamp, entries)) return
    }
  }))

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
    const isNews = (posted: Posted) =>
      !known.has(posted.eventId) && Replay.refuses(program, posted, services) === undefined
    let cursor = ""
    const check = Effect.gen(function*() {
      if ((yield* storage.version(runId)) !== version) return true
      if (!waits) return (yield* storage.holder(runId)) === undefined
      const inbox = yield* storage.inbox(runId, journal.head.incarnation, cursor)
      cursor = inbox.cursor
      return inbox.items.some(isNews)
    })
    yield* until(runId, check)
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
    const journaled = new Set(
      journal.entries.map((entry) => "eventId" in entry ? entry.eventId : undefined)
    )
    const { items } = yield* storage.inbox(runId, journal.head.incarnation, "")
    if (items.every(({ eventId }) => journaled.has(eventId))) return yield* Effect.fail(error)
  }).pipe(
    // A look that fails as well says no more than the failure it followed.
    Effect.mapError(() => error)
  )

const beaten: Turn = { _tag: "Beaten" }

/** The code against entries, of which the first names the input; `at` is where they diverged. */
const replayed = (
  { program, runId, services }: Job,
  input: unknown,
  entries: ReadonlyArray<Entry & { readonly timestamp: string }>
): { readonly machine: Machine; readonly at: number } => {
  const machine = Replay.machine(program, input, entries[0]!, {
    runId,
    // Nobody has seen the first slice's logs when nothing but starts stand in the journal.
    live: entries.every((entry) => entry.type === "start"),
    services
  })
  return { machine, at: Replay.feed(machine, entries) ?? 0 }
}

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
    const start = Journal.stamped(
      opening.entry,
      new Date(yield* Clock.currentTimeMillis).toISOString()
    )
    const known = last === undefined ? [{ ...opening.entry, timestamp: start.timestamp }] : entries
    const input = yield* decodeInput(program, known[0] as Start, runId, services)
    const { at, machine } = replayed(job, input, known)
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
          start,
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
