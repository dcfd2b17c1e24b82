/**
 * What a function of the user's may return besides a value: an Effect or a Promise, as an Effect.
 */
import * as Effect from "effect/Effect"

export const isPromise = (u: unknown): u is PromiseLike<unknown> =>
  typeof u === "object" && u !== null && "then" in u && typeof u.then === "function"

/** The effect that waits for what was returned; undefined for what is there already. */
export const toEffect = (returned: unknown): Effect.Effect<unknown, unknown> | undefined =>
  Effect.isEffect(returned)
    ? returned as Effect.Effect<unknown, unknown>
    : isPromise(returned)
    ? ofPromise(Promise.resolve(returned))
    : undefined

const ofPromise = (promise: Promise<unknown>): Effect.Effect<unknown, unknown> => {
  // It may be rejected before anybody waits for it.
  promise.catch(() => {})
  return Effect.tryPromise({ try: () => promise, catch: (error) => error })
}
