/** An order as any other: nothing of it is about telemetry. */
import { Effect, Schema } from "effect"
import { Workflow } from "reprise"

/** The program's own span stands below the step's. */
const charge = Effect.fn("charge")(function*(euros: number) {
  yield* Effect.log(`charging ${euros} euros`)
  return `receipt of ${euros} euros`
})

export const order = Workflow.make("order", {
  input: Schema.Struct({ euros: Schema.Number }),
  events: { approved: Schema.Boolean }
}, function*(ctx, { euros }) {
  yield* ctx.step("price", () => euros)
  yield* ctx.suspend("approved")
  return yield* ctx.step("charge", () => charge(euros), { retry: 2 })
})
