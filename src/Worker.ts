/**
 * The embedded worker: drives on by itself what is due in a storage, in this process, with nothing to install.
 *
 * It owns when a run is looked at and how many are driven at once; `Dispatch` owns what a delivery does, and
 * the lease and the journal who may drive. Any number of workers may share a storage. Invariants:
 * W1. A run is driven here at most once at a time.
 * W2. Every due run is looked at within a poll, however it became due, and at once when this process or the
 *     storage tells of it.
 * W3. A run that cannot be driven is left alone, longer each time, and keeps no other from being driven.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import * as Dispatch from "./Dispatch.ts"
import * as Failure from "./Failure.ts"
import { describe } from "./internal/describe.ts"
import * as Signal from "./internal/signal.ts"
import * as Journal from "./Journal.ts"
import { ShortWait } from "./Limits.ts"
import { Storage } from "./Storage.ts"
import * as Alarms from "./worker/Alarms.ts"
import * as Left from "./worker/Left.ts"
import { check, type Limits } from "./worker/Limit.ts"
import * as Queue from "./worker/Queue.ts"

/** When runs are looked at, and how many are driven at once. */
export interface Pace {
  /** How many runs are driven at once; default 16. */
  readonly concurrency?: number | undefined
  /** How much of that the runs of a workflow may take, by its name; each worker keeps them for itself. */
  readonly limits?: Limits | undefined
  /**
   * How long a run may wait that nobody told of: one whose process died, or that was posted to from a process whose
   * storage tells nobody. Jittered by a fifth; default 1 second.
   */
  readonly poll?: Duration.Input | undefined
  /** How long runs may go on when the layer is closed, before they are interrupted; default 20 seconds. */
  readonly drain?: Duration.Input | undefined
}

export interface Options<W extends ReadonlyArray<Dispatch.AnyWorkflow>> extends Pace {
  /** What is driven here. Runs of other workflows are left to other processes. */
  readonly workflows: W
}

/** How a worker is. */
export interface Health {
  readonly state: "working" | "draining"
  /** Runs that are driven here now. */
  readonly running: ReadonlyArray<string>
  /** Due runs that wait for a place. */
  readonly waiting: number
  /** Runs that a person, or other code, has to see to, and why; of many, the first hundred. */
  readonly blocked: ReadonlyMap<string, string>
  /** UTC milliseconds of the last look at all that is due; undefined before the first. */
  readonly lookedAt: number | undefined
  /** Why that look failed, if it did: ready is who looked and could. */
  readonly failure: string | undefined
}

/** The worker of this process. */
export class Worker extends Context.Service<Worker, {
  readonly health: Effect.Effect<Health>
}>()("reprise/Worker") {}

/** How the worker is. */
export const health: Effect.Effect<Health, never, Worker> = Effect.flatMap(
  Worker,
  (worker) => worker.health
)

/**
 * Drives what is due of `workflows` as long as the layer is open: runs that were enqueued or posted to, whose timer has
 * gone off, whose child has ended, or whose process died. Closing it lets runs go on for `drain`, then interrupts
 * them where they are: their leases are given back, and another process goes on.
 *
 * @example
 * ```ts
 * import { Storage, Worker, Workflow } from "reprise"
 * import { Effect, Layer } from "effect"
 *
 * const double = Workflow.make("double", function*(ctx, n: number) {
 *   yield* ctx.sleep("20 millis")
 *   return n * 2
 * })
 * const program = Effect.gen(function*() {
 *   const runId = yield* double.enqueue(21)
 *   return yield* double.join(runId)
 * })
 * const worker = Worker.layer({ workflows: [double] }).pipe(Layer.provideMerge(Storage.layerMemory))
 * const doubled = await Effect.runPromise(Effect.provide(program, worker))
 * doubled // => 42
 * ```
 */
export const layer = <const W extends ReadonlyArray<Dispatch.AnyWorkflow>>(
  options: Options<W>
): Layer.Layer<Worker, never, Storage | Dispatch.ServicesOf<W[number]>> =>
  Layer.provide(
    layerOf(options, options.workflows.map(({ name }) => name)),
    Dispatch.layer(options.workflows)
  )

/**
 * A worker for any `Dispatch`: it finds what is due and decides when, and `Dispatch` drives, here or somewhere else.
 */
export const layerDispatch = (
  pace: Pace
): Layer.Layer<Worker, never, Storage | Dispatch.Dispatch> => layerOf(pace)

const layerOf = (pace: Pace, workflows?: ReadonlyArray<string>) => {
  check(pace.limits ?? {}, workflows)
  return Layer.effect(Worker, make(pace))
}

export type { Limit, Limits } from "./worker/Limit.ts"

/** How long a run waits in its place before it is left until its time: places are few. */
const longestWait = Duration.toMillis("100 millis")

const make = Effect.fnUntraced(
  function*({ concurrency = 16, drain = "20 seconds", limits = {}, poll = "1 second" }: Pace) {
    const storage = yield* Storage
    const dispatch = yield* Dispatch.Dispatch
    const clock = yield* Effect.clockWith(Effect.succeed)
    const signal = Signal.make()
    const pollMillis = Duration.toMillis(Duration.fromInputUnsafe(poll))
    const tellsTimers = storage.driver.nextWake !== undefined

    const running = new Map<string, Fiber.Fiber<void>>()
    const queue = Queue.make(limits)
    const alarms = Alarms.make()
    const left = Left.make(storage)
    let state: Health["state"] = "working"
    let lookedAt: number | undefined
    let failure: string | undefined
    /** When all that is due is to be looked at; UTC milliseconds, `Infinity` while that is under way. */
    let nextLook = 0
    /** When a timer goes off that no look has seen as due; UTC milliseconds. */
    let wakes = Infinity
    let looking: Fiber.Fiber<void> | undefined

    const wakeAt = (at: number) => {
      wakes = Math.min(wakes, at)
      if (nextLook !== Infinity) nextLook = Math.min(nextLook, at)
    }

    const hear = (runId: string) => {
      // What was posted may be what it waited for.
      left.forget(runId)
      alarms.drop(runId)
      queue.add(runId)
      signal.raise()
    }

    const postpone = (runId: string, after: number) =>
      alarms.postpone(runId, clock.currentTimeMillisUnsafe(), after)

    const handled = (runId: string) =>
      Effect.provideService(dispatch.handle(runId), ShortWait, longestWait)

    const driven = Effect.fnUntraced(function*(runId: string) {
      let verdict = yield* handled(runId)
      if (verdict._tag !== "Redeliver") alarms.driven(runId)
      if (verdict._tag === "Blocked" || verdict._tag === "Foreign") {
        const seen = yield* left.see(runId)
        // What came in meanwhile may be what it needs: only what was seen before does not count.
        verdict = yield* handled(runId)
        if (verdict._tag === "Blocked" || verdict._tag === "Foreign") {
          const why = verdict._tag === "Blocked" ? verdict.why : undefined
          left.leave(seen, why)
          if (why !== undefined) yield* Effect.logWarning(`Run "${runId}" does not go on: ${why}`)
        }
      }
      if (verdict._tag === "Redeliver") postpone(runId, verdict.after)
      if (verdict._tag === "Waits" && verdict.until !== undefined) {
        if (tellsTimers) wakeAt(verdict.until)
        else alarms.set(runId, verdict.until)
      }
    })

    /** Puts a run in the line of its workflow, where limits are kept. */
    const sorted = Effect.fnUntraced(function*({ how, runId }: Queue.Taken) {
      const { journal } = storage.enqueued.get(runId) ?? (yield* storage.read(runId, "none"))
      const first = Journal.first(journal)
      // When this is over, it may be that nothing is begun any more.
      if (first !== undefined && state === "working") queue.add(runId, first.workflow ?? "", how)
    }, (sorting, { how, runId }) =>
      Effect.catch(sorting, (error) =>
        Effect.sync(() =>
          // Of what cannot be read the verdict says more.
          error._tag === "JournalCorrupt" ? queue.add(runId, "", how) : postpone(runId, 1_000)
        )))

    const drive = (taken: Queue.Taken) => {
      const { runId, workflow } = taken
      return (queue.isLimited && workflow === undefined ? sorted(taken) : driven(runId)).pipe(
        Effect.catchCause((cause) => {
          if (Cause.hasInterruptsOnly(cause)) return Effect.void
          postpone(runId, 1_000)
          return Effect.logError(`Run "${runId}" could not be driven`, cause)
        }),
        Effect.ensuring(Effect.sync(() => {
          running.delete(runId)
          queue.over(taken)
          signal.raise()
        }))
      )
    }

    /** Whether a due run is to be driven now. */
    const isOpen = Effect.fnUntraced(function*(runId: string, now: number) {
      if (running.has(runId) || alarms.isPostponed(runId, now)) return false
      return !(yield* left.isLeft(runId))
    })

    /** Looks at all that is due. */
    const look = Effect.gen(function*() {
      const now = clock.currentTimeMillisUnsafe()
      const before = queue.arrivals()
      const wake = yield* storage.nextWake(now)
      if (wake !== undefined) wakes = Math.min(wakes, wake)
      // In another order than other workers, which would meet this one at every run.
      const due = yield* Random.shuffle(yield* storage.due(now))
      const isDue = new Set(due)
      // What is not due any more has gone on, or ended, elsewhere.
      left.keep((runId) => isDue.has(runId))
      for (const runId of due) if (yield* isOpen(runId, now)) queue.add(runId, undefined, "found")
      // Nor does it take up what its workflow may; what came meanwhile was not to be seen.
      queue.keep((runId, arrival) => arrival > before || isDue.has(runId) || running.has(runId))
      lookedAt = now
      failure = undefined
    }).pipe(Effect.catchCause((cause) => {
      // A bug in a driver ends one look, and not the worker.
      if (Cause.hasInterruptsOnly(cause)) return Effect.interrupt
      failure = describe(Failure.ofCause(cause).error).message
      return Effect.void
    }))

    /** One look at a time, beside whatever is driven: with many that are due it takes a while. */
    const startLook = Effect.uninterruptible(Effect.gen(function*() {
      const jitter = 0.8 + 0.4 * (yield* Random.next)
      const from = clock.currentTimeMillisUnsafe()
      wakes = Infinity
      nextLook = Infinity
      looking = yield* Effect.forkDetach(Effect.interruptible(Effect.ensuring(
        look,
        Effect.sync(() => {
          const now = clock.currentTimeMillisUnsafe()
          // It rests as long as it looked, so that looking never is what a worker mostly does.
          nextLook = Math.max(now + (now - from), Math.min(wakes, from + pollMillis * jitter))
          signal.raise()
        })
      )))
    }))

    // Nothing is forked that is not known to be running.
    const launch = Effect.uninterruptible(Effect.gen(function*() {
      // One that is driven now is driven once more behind that: it may not have seen what came last.
      const isFree = (runId: string) => !running.has(runId)
      while (running.size < concurrency) {
        const taken = queue.take(clock.currentTimeMillisUnsafe(), isFree)
        if (taken === undefined) return
        running.set(taken.runId, yield* Effect.forkDetach(Effect.interruptible(drive(taken))))
      }
    }))

    const loop = Effect.forever(Effect.gen(function*() {
      signal.lower()
      const now = clock.currentTimeMillisUnsafe()
      for (const runId of alarms.ring(now)) queue.add(runId, undefined, "found")
      if (now >= nextLook) yield* startLook
      yield* launch
      const next = Math.min(
        nextLook,
        alarms.nextAt(),
        queue.nextAt(clock.currentTimeMillisUnsafe())
      )
      // Whoever waits for a place hears of the next one that is free.
      const rest = Math.max(0, next - clock.currentTimeMillisUnsafe())
      yield* Effect.timeoutOption(signal.raised, rest)
    }))

    const stop = Effect.fnUntraced(function*(looping: Fiber.Fiber<never>, unhear: () => void) {
      state = "draining"
      unhear()
      yield* Fiber.interrupt(looping)
      if (looking !== undefined) yield* Fiber.interrupt(looking)
      queue.keep(() => false)
      yield* Effect.timeoutOption(Fiber.awaitAll(Array.from(running.values())), drain)
      yield* Fiber.interruptAll(Array.from(running.values()))
    })
    yield* Effect.acquireRelease(
      Effect.map(Effect.forkDetach(loop), (looping) => [looping, storage.hints(hear)] as const),
      ([looping, unhear]) => stop(looping, unhear)
    )

    return Worker.of({
      health: Effect.gen(function*(): Effect.gen.Return<Health> {
        const blocked = new Map<string, string>()
        // Nobody delivers these: the journal says that they must not go on.
        const found = yield* Effect.result(storage.list({ status: "blocked" }))
        if (Result.isSuccess(found)) {
          for (const { reason = "", runId } of found.success.runs) blocked.set(runId, reason)
        }
        for (const [runId, why] of left.reasons()) blocked.set(runId, why)
        return {
          state,
          running: Array.from(running.keys()),
          waiting: queue.size(),
          blocked,
          lookedAt,
          failure: Result.isFailure(found) ? found.failure.message : failure
        }
      })
    })
  }
)
