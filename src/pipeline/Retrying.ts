/**
 * How a failed attempt of a pipeline's step is repeated: in the engine's terms, and in words that do not
 * depend on what was thrown.
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { Retry } from "../Instruction.ts"

export interface Retrying {
  readonly retries: number
  /** Milliseconds; `attempt` counts those that failed, from 1. */
  readonly delay: (attempt: number, error: Error) => number
  readonly shouldRetry: (error: Error) => boolean
}

/** What was thrown, as an Error. */
export const asError = (error: unknown): Error =>
  error instanceof Error ? error : new Error(String(error), { cause: error })

/** Whether a failure says itself that trying again is of no use: an open circuit. */
export const isFinal = (error: unknown): boolean =>
  typeof error === "object" && error !== null && "_tag" in error && error._tag === "CircuitOpen"

/** Milliseconds before the next attempt, or undefined when there is none. */
export const next = (
  { delay, retries, shouldRetry }: Retrying,
  failed: number,
  error: unknown
): number | undefined => {
  if (failed > retries || isFinal(error)) return undefined
  const thrown = asError(error)
  return shouldRetry(thrown) ? Math.max(0, delay(failed, thrown)) : undefined
}

/** The same for a step that the engine repeats. */
export const policy = ({ delay, retries, shouldRetry }: Retrying): Retry => ({
  times: retries,
  while: (error) => !isFinal(error) && shouldRetry(asError(error)),
  schedule: Schedule.spaced(0).pipe(
    Schedule.modifyDelay(({ attempt, input }) =>
      Effect.succeed(Math.max(0, delay(attempt, asError(input))))
    )
  )
})
