/**
 * How a failed attempt of a pipeline's step is repeated: in the engine's terms, and in words that do not
 * depend on what was thrown.
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { Retry } from "../Instruction.ts"
import { StepCircuitOpen } from "./StepCircuitOpen.ts"

export interface Retrying {
  readonly step: string
  readonly retries: number
  /** Milliseconds; `attempt` counts those that failed, from 1. */
  readonly delay: (attempt: number, error: Error) => number
  readonly shouldRetry: (error: Error) => boolean
}

/** What was thrown, as an Error. */
export const asError = (error: unknown): Error =>
  error instanceof Error ? error : new Error(String(error), { cause: error })

/** Whether a failure says itself that trying again is of no use: an open circuit. */
const isFinal = (error: unknown): boolean => error instanceof StepCircuitOpen

const millis = ({ delay, step }: Retrying, failed: number, error: Error): number => {
  const said: unknown = delay(failed, error)
  if (typeof said === "number" && Number.isFinite(said)) return Math.max(0, said)
  throw new TypeError(
    `retryDelayMs of step "${step}" gave ${
      String(said)
    }, where it must give a number of milliseconds.`
  )
}

/** Milliseconds before the next attempt, or null when there is none. */
export const next = (retrying: Retrying, failed: number, error: unknown): number | null => {
  if (isFinal(error)) return null
  const thrown = asError(error)
  return retrying.shouldRetry(thrown) ? millis(retrying, failed, thrown) : null
}

/** The same for a step that the engine repeats. */
export const policy = (retrying: Retrying): Retry => ({
  times: retrying.retries,
  while: (error) => !isFinal(error) && retrying.shouldRetry(asError(error)),
  schedule: Schedule.spaced(0).pipe(
    Schedule.modifyDelay(({ attempt, input }) =>
      Effect.sync(() => millis(retrying, attempt, asError(input)))
    )
  )
})
