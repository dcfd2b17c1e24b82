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
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Dispatch from "./Dispatch.ts"
import * as Signal from "./internal/signal.ts"
import { scanDue, Storage } from "./Storage.ts"

export interface Options<W extends ReadonlyArray<Dispatch.AnyWorkflow>> {
  /** What is driven here. Runs of other workflows are left to other processes. */
  readonly workflows: W
  /** How many runs are driven at once; default 16. */
  readonly concurrency?: number | undefined
  /**
   * How long a run may wait that nobody told of: one whose process died, or that was posted to from a process whose
   * storage tells nobody. Jittered by a fifth; default 1 second.
   */
  readonly poll?: Duration.Input | undefined
  /** How long runs may go on when the layer is closed, before they are interrupted; default 20 seconds. */
  readonly drain?: Duration.Input | undefined
}

/** How a worker is. */
export interface Health {
  readonly state: "working" | "draining"
  /** Runs that are driven here now. */
  readonly running: ReadonlyArray<string>
  /** Due runs that wait for a place. */
  readonly waiting: number
  /** Runs that a person, or other code, has to see to, and why. */
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
  Layer.effect(Worker, make(options)).pipe(Layer.provide(Dispatch.layer(options.workflows)))

/** Runs that could not be driven, and until when they are left alone. */
interface Postponed {
  readonly until: number
  readonly times: number
}

const longestPause = Duration.toMillis("1 minute")

const make = Effect.fnUntraced(
  function*<W extends ReadonlyArray<Dispatch.AnyWorkflow>>(
    { concurrency = 16, drain = "20 seconds", poll = "1 second" }: Options<W>
  ) {
    const storage = yield* Storage
    const dispatch = yield* Dispatch.Dispatch
    const clock = yield* Effect.clockWith(Effect.succeed)
    const signal = Signal.make()
    const pollMillis = Duration.toMillis(Duration.fromInputUnsafe(poll))

    const running = new Map<string, Fiber.Fiber<void>>()
    /** Due, in the order in which they are to be driven. */
    const ready = new Set<string>()
    const hinted = new Set<string>()
    const postponed = new Map<string, Postponed>()
    /** At which state of its journal a run was left as it is, and why. */
    const left = new Map<string, { readonly version: string; readonly why: string | undefined }>()
    let state: Health["state"] = "working"
    let lookedAt: number | undefined
    let failure: string | undefined
    /** When all that is due is to be looked at; UTC milliseconds. */
    let nextLook = 0

    const hear = (runId: string) => {
      // What was posted may be what it waited for.
      left.delete(runId)
      postponed.delete(runId)
      hinted.add(runId)
      signal.raise()
    }

    const postpone = (runId: string, after: number, now: number) => {
      const times = (postponed.get(runId)?.times ?? 0) + 1
      const pause = Math.min(longestPause, after * 2 ** Math.min(times - 1, 6))
      postponed.set(runId, { until: now + pause, times })
    }

    const take = (runId: string, verdict: Dispatch.Verdict) =>
      Effect.gen(function*() {
        const now = clock.currentTimeMillisUnsafe()
        if (verdict._tag !== "Redeliver") postponed.delete(runId)
        switch (verdict._tag) {
          case "Waits":
            if (verdict.until !== undefined) nextLook = Math.min(nextLook, verdict.until)
            return
          case "Redeliver":
            return postpone(runId, verdict.after, now)
          case "Blocked":
          case "Foreign": {
            const version = yield* Effect.orElseSucceed(storage.version(runId), () => "")
            const why = verdict._tag === "Blocked" ? verdict.why : undefined
            left.set(runId, { version, why })
            if (why !== undefined) yield* Effect.logWarning(`Run "${runId}" does not go on: ${why}`)
            return
          }
          case "Done":
            return
        }
      })

    const drive = (runId: string) =>
      Effect.flatMap(dispatch.handle(runId), (verdict) => take(runId, verdict)).pipe(
        Effect.catchCause((cause) => {
          if (Cause.hasInterruptsOnly(cause)) return Effect.void
          postpone(runId, 1_000, clock.currentTimeMillisUnsafe())
          return Effect.logError(`Run "${runId}" could not be driven`, cause)
        }),
        Effect.ensuring(Effect.sync(() => {
          running.delete(runId)
          signal.raise()
        }))
      )

    /** Whether a due run is to be driven now. */
    const isOpen = Effect.fnUntraced(function*(runId: string, now: number) {
      if (running.has(runId) || (postponed.get(runId)?.until ?? 0) > now) return false
      const at = left.get(runId)
      if (at === undefined) return true
      if ((yield* storage.version(runId)) === at.version) return false
      left.delete(runId)
      return true
    })

    /** Adds to `ready` what is due: of all runs when it is time for that, else of those that were told of. */
    const look = Effect.gen(function*() {
      const now = clock.currentTimeMillisUnsafe()
      const isAll = now >= nextLook
      if (!isAll && hinted.size === 0) return
      const told = Array.from(hinted)
      hinted.clear()
      if (isAll) {
        const jitter = 0.8 + 0.4 * (yield* Random.next)
        nextLook = now + pollMillis * jitter
        const wake = yield* storage.nextWake(now)
        if (wake !== undefined) nextLook = Math.min(nextLook, wake)
      }
      const due = isAll
        // In another order than other workers, which would meet this one at every run.
        ? yield* Random.shuffle(yield* storage.due(now))
        : yield* scanDue(storage.driver, told, now)
      for (const runId of due) if (yield* isOpen(runId, now)) ready.add(runId)
      if (isAll) {
        lookedAt = now
        for (const [runId, { until }] of postponed) {
          if (until + longestPause < now) postponed.delete(runId)
        }
      }
      failure = undefined
    }).pipe(Effect.catch((error) =>
      Effect.sync(() => {
        failure = error.message
      })
    ))

    const launch = Effect.gen(function*() {
      for (const runId of ready) {
        if (running.size >= concurrency) return
        ready.delete(runId)
        if (!running.has(runId)) running.set(runId, yield* Effect.forkDetach(drive(runId)))
      }
    })

    const loop = Effect.forever(Effect.gen(function*() {
      signal.lower()
      yield* look
      yield* launch
      // Whoever waits for a place hears of the next one that is free.
      const rest = Math.max(0, nextLook - clock.currentTimeMillisUnsafe())
      yield* Effect.timeoutOption(signal.raised, rest)
    }))

    const stop = Effect.fnUntraced(function*(looping: Fiber.Fiber<never>, unhear: () => void) {
      state = "draining"
      unhear()
      yield* Fiber.interrupt(looping)
      ready.clear()
      yield* Effect.timeoutOption(Fiber.awaitAll(Array.from(running.values())), drain)
      yield* Fiber.interruptAll(Array.from(running.values()))
    })
    yield* Effect.acquireRelease(
      Effect.map(Effect.forkDetach(loop), (looping) => [looping, storage.hints(hear)] as const),
      ([looping, unhear]) => stop(looping, unhear)
    )

    return Worker.of({
      health: Effect.sync((): Health => ({
        state,
        running: Array.from(running.keys()),
        waiting: ready.size,
        blocked: new Map(
          Array.from(left).flatMap(([runId, { why }]) =>
            why === undefined ? [] : [[runId, why] as const]
          )
        ),
        lookedAt,
        failure
      }))
    })
  }
)
