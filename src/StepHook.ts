/**
 * A seam between the engine and a step's work, for tests: who sets it decides how a step is performed.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { StepInfo } from "./Instruction.ts"

/** A step that is about to run. */
export interface Called extends Pick<StepInfo, "runId" | "stepId" | "idempotencyKey"> {
  readonly name: string
}

/**
 * Gives what the step comes to instead of `work`, an Effect that runs it, or `work` itself. With a hook
 * every step runs in a fiber of its own.
 */
export type StepHook = (
  step: Called,
  work: Effect.Effect<unknown, unknown>
) => Effect.Effect<unknown, unknown>

/** The hook of this process; none by default. */
export const StepHook: Context.Reference<StepHook | undefined> = Context.Reference(
  "reprise/StepHook",
  { defaultValue: (): StepHook | undefined => undefined }
)
