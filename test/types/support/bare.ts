/**
 * An instruction without the steps it is known by: for types that are about its value, failure and
 * services. What it says of its steps is tested in steps.test-d.ts.
 */
import type { Instruction } from "reprise"
import { expectTypeOf } from "vitest"

type Bare<T> = T extends Instruction.Instruction<infer A, infer E, infer R, infer _S>
  ? Instruction.Instruction<A, E, R>
  : never

/** `expectTypeOf`, for an instruction whose steps do not matter. */
export const expectBare = <T extends Instruction.Instruction<any, any, any, any>>(_: T) =>
  expectTypeOf(null as unknown as Bare<T>)
