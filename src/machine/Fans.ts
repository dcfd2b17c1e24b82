/**
 * The rules of a combinator that need no tree: what makes one wrong, and what becomes of its outcomes.
 */
import * as Result from "effect/Result"
import * as Instruction from "../Instruction.ts"
import type { OpenFan } from "./State.ts"

/** What is wrong with a combinator, if anything. `used` are generator objects that ran already. */
export const wrongFan = (
  { branches, concurrency, op }: Instruction.Fan,
  used: WeakSet<object>
): string | undefined => {
  if (!(concurrency >= 1)) return `concurrency is ${concurrency}, but must be at least 1.`
  if (op !== "all" && branches.length === 0) return `a ${op} needs at least one branch.`
  if (new Set(branches.map(([key]) => key)).size < branches.length) {
    return "two branches have the same key."
  }
  for (const [key, branch] of branches) {
    if (typeof branch === "function" || Instruction.isInstruction(branch)) continue
    if (typeof branch !== "object" || branch === null || !("next" in branch)) {
      return `branch "${key}" is neither an instruction nor a generator function nor a generator object.`
    }
    if (used.has(branch)) {
      return `branch "${key}" is a generator object that was used before; pass a generator function.`
    }
    used.add(branch)
  }
  return undefined
}

/** What a combinator whose branches have all ended gives. */
export const gather = (
  { instruction: { branches, results, shape }, results: outcomes }: OpenFan
): unknown => {
  if (shape === "discard") return undefined
  const values = outcomes.map((o) =>
    !results
      ? (o as { value: unknown }).value
      : o!.ok
      ? Result.succeed(o!.value)
      : Result.fail(Instruction.toHeard(o!.error))
  )
  return shape === "array"
    ? values
    : Object.fromEntries(branches.map(([key], k) => [key, values[k]]))
}
