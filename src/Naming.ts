/**
 * How a step is called before people: by hooks, logs, and whoever names one in a call.
 *
 * A workflow's steps are named by where they stand; a pipeline also journals what it decided itself, which
 * nobody is to be told of as a step.
 */
import * as Outline from "./Outline.ts"

/**
 * - `step`, `transform`: a step
 * - `condition`, `decision`: what a pipeline asked itself before a step, or which branch it took
 * - `end`: the end of a branch or of a nested pipeline, which is told of as that step
 * - `own`: nothing to be told of
 */
export type Kind = "step" | "transform" | "condition" | "decision" | "end" | "own"

export interface Named {
  readonly label: string
  readonly kind: Kind
  /** False for one that is not to be printed, true for one that is even if nothing else is. */
  readonly log?: boolean | undefined
  /** Whether a failure because of an open circuit is a step left out. */
  readonly skipsOpen?: boolean | undefined
}

/** The step's id, and its name as the journal has it. */
export type Naming = (stepId: string, name: string) => Named

/** Names steps by where they stand. */
export const byPlace: Naming = (stepId) => {
  const { branches, name } = Outline.place(stepId)
  const path = branches.flatMap(({ fan, key }) => [fan, key])
  return { label: [...path, name].join("/"), kind: "step" }
}

/** Names steps as the journal does. */
export const byName: Naming = (_, name) => ({ label: name, kind: "step" })
