/**
 * The clock of a test, and turns for everything that does not hang on it.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"

/** The test clock; a defect that says what to provide where there is another one. */
export const testClock: Effect.Effect<TestClock.TestClock> = TestClock.testClockWith((clock) =>
  typeof clock.setTime === "function" ? Effect.succeed(clock) : Effect.die(
    new TypeError(
      "Only Effect's TestClock can be moved, and this program has another clock: provide Testing.layer, or run it in it.effect."
    )
  )
)

/** Moves the clock forward to `at`, never back. */
export const moveTo = (at: number): Effect.Effect<void> =>
  Effect.flatMap(
    testClock,
    (clock) => clock.currentTimeMillisUnsafe() < at ? clock.setTime(at) : Effect.void
  )

/** Waits for so many milliseconds that no test moves. */
export const pause = (millis: number): Effect.Effect<void> =>
  Effect.provideService(Effect.sleep(millis), Clock.Clock, realClock)

/** So many turns in a row are taken at full speed. */
const eager = 200

/** Lets other fibers and the platform's own tasks run; a long wait, as its `n` tells, is left to a timer. */
export const turn = (n: number): Effect.Effect<void> => n < eager ? Effect.yieldNow : pause(1)

// internal

const realClock = Clock.Clock.defaultValue()
