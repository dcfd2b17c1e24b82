/**
 * What the slice guard keeps: instructions that a body made and has neither yielded nor placed in a branch.
 */
import type * as Instruction from "../Instruction.ts"
import { slice } from "../internal/slice.ts"

export class Unused {
  private readonly all = new Set<object>()

  get size(): number {
    return this.all.size
  }

  /** The one that was made first. Only where there is one. */
  get first(): Instruction.Data {
    const [first] = this.all as Set<Instruction.Data>
    return first!
  }

  /** Keeps what the slice made and did not yield: it is to be used later. */
  sweep(yielded: unknown): void {
    const { made, more, used } = slice
    if (made !== undefined && (made !== yielded || more.length > 0)) {
      this.all.add(made)
      for (const instruction of more) this.all.add(instruction)
      more.length = 0
    }
    slice.made = undefined
    if (used.length > 0) {
      for (const instruction of used) this.all.delete(instruction)
      used.length = 0
    }
  }

  clear(): void {
    slice.made = undefined
    slice.more.length = 0
    slice.used.length = 0
    this.all.clear()
  }

  /** Takes out what was yielded, or placed in a branch, of what was made and not yet used. */
  use(instruction: object): void {
    this.all.delete(instruction)
    const i = instruction as Instruction.Data
    if ((i.op === "wrap" || i.op === "saga") && typeof i.of === "object") this.use(i.of)
    else if (i.op === "all" || i.op === "race" || i.op === "any") {
      for (const [, branch] of i.branches) if (typeof branch === "object") this.use(branch)
    }
  }
}
