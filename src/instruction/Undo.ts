/**
 * Compensation: what undoes an instruction that succeeded when the run fails or is cancelled later.
 */
import { dual } from "effect/Function"
import { data, make, makeStep, retract, type UndoCause } from "./Data.ts"
import type { Branch, BranchServices, BranchSteps, Instruction } from "./Yieldable.ts"

/**
 * Remembers how to undo what this instruction did. When the run fails or is cancelled, what was done is
 * undone in reverse order, each undo journaled as a part of the run; its steps are retried when they say
 * nothing else. Inside a branch that is cancelled or loses a race it is undone when that branch ends.
 *
 * A step that is running when it is cancelled is not interrupted: its outcome is awaited and then undone.
 * `value` is undefined when a crash left the outcome unknown; `cause.idempotencyKey` then helps to find
 * out. What cannot be undone ends the run with `CompensationFailed`.
 */
export const withCompensation: {
  <A, B extends Branch>(
    undo: (value: A | undefined, cause: UndoCause) => B
  ): <E, R, S>(
    self: Instruction<A, E, R, S>
  ) => Instruction<A, E, R | BranchServices<B>, S | BranchSteps<B>>
  <A, E, R, S, B extends Branch>(
    self: Instruction<A, E, R, S>,
    undo: (value: A | undefined, cause: UndoCause) => B
  ): Instruction<A, E, R | BranchServices<B>, S | BranchSteps<B>>
} = dual(
  2,
  (
    self: Instruction<any, any, any, any>,
    undo: (value: unknown, cause: UndoCause) => Branch
  ): any => {
    const it = data(self)
    const isKnown = (it.op === "step" || it.op === "child") && it.undo === undefined
    if (!isKnown) return make({ op: "saga", of: self, undo })
    retract(self)
    return it.op === "child"
      ? make({ ...it, undo })
      : makeStep(it.name, it.work, it.options, undo)
  }
)
