/**
 * Time that passes only when nothing else can happen.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as TestClock from "effect/testing/TestClock"
import { Storage, Workflow } from "../index.ts"
import type { Activity } from "../Live.ts"
import { testClock, turn } from "./Clock.ts"

/**
 * Runs `effect`, and whenever no run is being driven and `execute` or `join` waits for a timer, moves the
 * `TestClock` to the next one. Years pass in no time.
 *
 * What a step or the test sleeps itself (`Effect.sleep`) is not skipped: it is no timer of a run.
 *
 * @example
 * ```ts
 * import * as Testing from "reprise/testing"
 * import { Workflow } from "reprise"
 * import { Effect } from "effect"
 *
 * const yearly = Workflow.make("yearly", function*(ctx) {
 *   for (let year = 0; year < 10; year++) yield* ctx.sleep("365 days")
 *   return "ten years later"
 * })
 * const program = Testing.skipTime(yearly.execute()).pipe(Effect.provide(Testing.layer))
 * await Effect.runPromise(program) // => "ten years later"
 * ```
 */
export const skipTime = <A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R | Storage.Storage> =>
  Effect.gen(function*() {
    const clock = yield* testClock
    const { activity } = (yield* Storage.Storage).live
    const skipping = yield* Effect.forkChild(skip(activity, clock))
    return yield* Effect.ensuring(
      Effect.provideService(effect, Workflow.ShortWait, 0),
      Fiber.interrupt(skipping)
    )
  })

// internal

/** So many turns in a row nothing must have changed before time passes. */
const quiet = 4

const skip = (activity: Activity, clock: TestClock.TestClock): Effect.Effect<never> =>
  Effect.gen(function*() {
    for (let turns = 0, unchanged = 0, seen = Infinity;; turns++) {
      yield* turn(turns)
      const next = activity.sessions > 0
        ? Infinity
        : Math.min(...Array.from(activity.wakeUps, ({ at }) => at))
      unchanged = next === seen ? unchanged + 1 : 0
      seen = next
      if (unchanged < quiet || next === Infinity || next <= clock.currentTimeMillisUnsafe()) {
        continue
      }
      yield* clock.setTime(next)
      turns = unchanged = 0
    }
  })
