/** A run of one step and one transaction that leaves a mark, then does what it is told. */
import { Effect } from "effect"
import { Workflow } from "reprise"
import { mark } from "./transfers.ts"

export const makePaying = (inside: Effect.Effect<unknown>) =>
  Workflow.make("paying", function*(ctx) {
    const before = yield* ctx.step("before", () => "ready")
    const paid = yield* ctx.transaction("pay", Effect.tap(mark("paid"), () => inside))
    const after = yield* ctx.step("after", () => "done")
    return [before, paid, after]
  })
