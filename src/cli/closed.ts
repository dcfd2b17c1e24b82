/** When to stop printing what has no end: the reader of stdout has had enough, as `head` has. */
import * as Effect from "effect/Effect"

/** Runs until it is done, or until nobody reads it any more. */
export const untilClosed = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.raceFirst(Effect.asVoid(effect), closed)

const closed = Effect.callback<void>((resume) => {
  const { stdout } = process
  const end = () => resume(Effect.void)
  stdout.once("error", end)
  return Effect.sync(() => stdout.off("error", end))
})
