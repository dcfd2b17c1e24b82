/**
 * Drives a run: takes its lease, gives it turns, and looks once more after giving the lease back.
 *
 * Owns when a turn is taken and what a caller is told; `Turn` owns the decision what to do in one, and
 * `Session` what happens then. Invariants:
 * D1. A journal that does not fit the code is reported before anything is executed or appended.
 * D2. Every release of a lease is followed by a look at journal and inbox: what is not journaled of an
 *     open run means drive again.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Tracer from "effect/Tracer"
import type { Posted, StorageError } from "./Driver.ts"
import { type Driven, hasMoved } from "./Ending.ts"
import { enqueue } from "./Enqueue.ts"
import { handOver } from "./HandOver.ts"
import type { Hook } from "./Hooks.ts"
import * as Journal from "./Journal.ts"
import { type Begin, compare } from "./Opening.ts"
import { RunNotFound } from "./Refusals.ts"
import * as Replay from "./Replay.ts"
import * as RunId from "./RunId.ts"
import type * as Session from "./Session.ts"
import { type Loaded, Storage } from "./Storage.ts"
import * as Turn from "./Turn.ts"
import { until } from "./Until.ts"

export { enqueue } from "./Enqueue.ts"

export type DriveError = Session.SessionError

/** What driving came to, and of which run: one that went on with `continueAs` has another id. */
export type Drove = Driven & {
  readonly runId: string
  /** Lets the same process go on without a replay. */
  readonly warm?: Turn.Warm | undefined
}

/** What a call says of driving besides the run. */
export interface DriveOptions {
  /** Hears of every step, behind the workflow's own hook. */
  readonly hook?: Hook | undefined
  /** Whether a run that a hook stopped goes on. Default: it is left as it is, unless it is to be cancelled. */
  readonly goesOn?: boolean | undefined
  /** Where this process left the run. */
  readonly warm?: Turn.Warm | undefined
  /** The run as the caller has read it. */
  readonly known?: Loaded | undefined
}

/** Drives the run until it ends or only waits. `begin` starts it when it does not exist. */
export const drive: (
  program: Replay.Program,
  runId: string,
  begin: Begin | undefined,
  options?: DriveOptions
) => Effect.Effect<Drove, DriveError, Storage> = Effect.fnUntraced(
  function*(program, runId, begin, options = {}): Effect.fn.Return<Drove, DriveError, Storage> {
    yield* RunId.check(runId)
    const storage = yield* Storage
    const isKnown = begin !== undefined || options.warm !== undefined || options.known !== undefined
    // No lease is taken of a run that is not there.
    if (!isKnown && (yield* storage.version(runId)) === "") return yield* new RunNotFound({ runId })
    let at = runId, from = begin, now = options
    for (;;) {
      const { driven, warm: left } = yield* driveOne(program, at, from, now)
      if (driven.status !== "continued") return { ...driven, runId: at, warm: left }
      yield* handOver(driven, program)
      at = driven.next
      from = undefined
      now = { hook: options.hook, goesOn: options.goesOn }
    }
  },
  (driven, program, runId) => traced(driven, program, runId)
)

/** Drives the run to its end in this process, waiting for whatever it waits for. */
export const execute = Effect.fnUntraced(
  function*(
    program: Replay.Program,
    runId: string,
    begin: Begin | undefined,
    options: DriveOptions = {}
  ): Effect.fn.Return<Drove, DriveError, Storage> {
    const { hook } = options
    let drove = yield* drive(program, runId, begin, options)
    while (drove.status === "suspended" || drove.status === "running") {
      yield* untilNews(program, drove)
      drove = yield* drive(program, drove.runId, undefined, { hook, warm: drove.warm })
    }
    return drove
  }
)

/** One run of a chain. */
const driveOne = Effect.fnUntraced(
  function*(
    program: Replay.Program,
    runId: string,
    begin: Begin | undefined,
    { goesOn = false, hook, known, warm }: DriveOptions
  ): Effect.fn.Return<Pick<Turn.Over, "driven" | "warm">, DriveError, Storage> {
    const storage = yield* Storage
    const services = yield* Effect.context<never>()
    let failures = 0
    let state = warm
    let read = known
    let mayGoOn = goesOn
    const withStorage = Effect.provideService(Storage, storage)
    const job = {
      program,
      runId,
      begin,
      storage,
      services,
      hook,
      drive: (child: Replay.Program, childId: string, from: Begin) =>
        withStorage(drive(child, childId, from)),
      enqueue: (child: Replay.Program, childId: string, from: Begin) =>
        withStorage(enqueue(child, childId, from))
    }
    // A lease that is taken is given back, also when this is interrupted in between.
    const turnOf = Effect.acquireUseRelease(
      storage.acquire(runId),
      (claim) =>
        claim._tag === "Held"
          ? Effect.undefined
          : Turn.take({
            ...job,
            leaseToken: claim.token,
            found: claim.found,
            loaded: read,
            warm: state,
            goesOn: mayGoOn
          }),
      (claim) =>
        claim._tag === "Held" ? Effect.void : Effect.ignore(storage.release(runId, claim.token))
    ).pipe(Effect.catchTags({
      Fenced: (fenced) => Effect.as(isLeft(storage, runId, fenced), beaten),
      StorageError: (error) =>
        ++failures > tries ? Effect.fail(error) : Effect.as(isLeft(storage, runId, error), beaten)
    }))
    for (;;) {
      const turn: Turn.Turn | undefined = yield* turnOf
      state = undefined
      read = undefined
      if (turn === undefined) {
        const loaded = yield* storage.read(runId)
        yield* compare(program, loaded, begin, services)
        if (begin === undefined || loaded.journal.entries.length > 0) {
          return { driven: { status: "running" } }
        }
        // The holder has recorded nothing yet: whether its input is the same is not known.
        const isOver = Effect.gen(function*() {
          return (yield* storage.version(runId)) !== ""
            || (yield* storage.holder(runId)) === undefined
        })
        yield* until([runId], isOver, { polls: true })
        continue
      }
      if (turn._tag === "Beaten") continue
      // A stop that this call has come to is not passed.
      mayGoOn = false
      state = turn.warm
      if (turn.seen !== undefined && (yield* hasNews(storage, runId, turn.seen))) continue
      return turn
    }
  }
)

/** A span for the run, where a tracer is installed: without one nobody would see it. */
const traced = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  program: Replay.Program,
  runId: string
): Effect.Effect<A, E, R> =>
  Effect.flatMap(Effect.context<never>(), (context) =>
    context.mapUnsafe.has(Tracer.Tracer.key)
      ? Effect.withSpan(effect, `run ${program.name}`, {
        attributes: { runId, workflow: program.name }
      })
      : effect)

/** Succeeds when driving an open run on may change something: one that only waits, or that another drives. */
const untilNews = (
  program: Replay.Program,
  { runId, warm, ...driven }: Drove
): Effect.Effect<void, StorageError | Journal.JournalCorrupt, Storage> =>
  Effect.gen(function*() {
    const storage = yield* Storage
    const services = yield* Effect.context<never>()
    const waits = yield* waitOf(storage, runId, warm)
    // A run that another process drives is its business, whatever its journal says it waits for.
    const isSuspended = waits.isSuspended && driven.status === "suspended"
    const children = driven.status === "suspended" ? driven.children ?? [] : []
    const isNews = (posted: Posted) =>
      !waits.known.has(posted.eventId) && Replay.refuses(program, posted, services) === undefined
    let cursor = ""
    const check = Effect.gen(function*() {
      if ((yield* storage.version(runId)) !== waits.version) return true
      if (!isSuspended) return (yield* storage.holder(runId)) === undefined
      if (waits.wakeAt !== undefined && (yield* Clock.currentTimeMillis) >= waits.wakeAt) {
        return true
      }
      for (const child of children) if (yield* hasMoved(storage, child)) return true
      const inbox = yield* storage.inbox(runId, waits.incarnation, cursor)
      cursor = inbox.cursor
      return inbox.items.some(isNews)
    })
    const watched = [runId, ...children.map((child) => child.runId)]
    yield* until(watched, check, isSuspended ? { wakeAt: waits.wakeAt } : { polls: true })
  })

/** What an open run waits for, from where it was left, else from its journal. */
const waitOf = (storage: Storage["Service"], runId: string, warm: Turn.Warm | undefined) =>
  Effect.gen(function*() {
    if (warm !== undefined) {
      const { last, loaded, machine } = warm
      const { incarnation } = loaded.journal.head
      const { wakeAt } = last
      return {
        version: loaded.version,
        incarnation,
        known: machine.eventIds,
        isSuspended: true,
        wakeAt
      }
    }
    const { journal, version } = yield* storage.read(runId)
    const last = journal.entries.at(-1)
    const isSuspended = last?.type === "suspend"
    const { incarnation } = journal.head
    const wakeAt = isSuspended ? last.wakeAt : undefined
    return { version, incarnation, known: Journal.takenIds(journal.entries), isSuspended, wakeAt }
  })

// internal

const hasNews = (storage: Storage["Service"], runId: string, seen: Turn.Read) =>
  Effect.map(
    storage.inbox(runId, seen.incarnation, seen.cursor),
    ({ items }) =>
      items.some(({ eventId, type }) =>
        !seen.isKnown(eventId) && (seen.onlyCancels !== true || type === "cancel")
      )
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

const beaten: Turn.Turn = { _tag: "Beaten" }
