/**
 * A flag that callbacks raise and an effect waits for: a raise between two waits is not lost.
 */
import * as Effect from "effect/Effect"

export interface Signal {
  readonly raise: () => void
  /** Succeeds at once when it was raised since the last `lower`, else with the next raise. */
  readonly raised: Effect.Effect<void>
  readonly lower: () => void
}

export const make = (): Signal => {
  let isRaised = false
  let wake: (() => void) | undefined
  return {
    raise: () => {
      isRaised = true
      wake?.()
    },
    raised: Effect.callback<void>((resume) => {
      if (isRaised) return resume(Effect.void)
      wake = () => resume(Effect.void)
      return Effect.sync(() => {
        wake = undefined
      })
    }),
    lower: () => {
      isRaised = false
    }
  }
}
