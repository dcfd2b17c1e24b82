/**
 * A shop's order, and the program that takes orders in and waits for them. Neither knows whether one process drives
 * them or a fleet: that is one layer in `layers.ts`.
 */
import { Effect, Schema } from "effect"
import { Workflow } from "reprise"

/** Something that takes its time, and says when it is done. */
const work = (id: string, what: string) =>
  Effect.delay(Effect.sync(() => process.stdout.write(`${id} ${what}\n`)), "400 millis")

export const order = Workflow.make("order", {
  input: Schema.Struct({ id: Schema.String }),
  output: Schema.String,
  // An order that comes in twice is one run.
  runId: ({ id }) => id
}, function*(ctx, { id }) {
  yield* ctx.step("pack", work(id, "is packed"))
  yield* ctx.step("label", work(id, "is labelled"))
  // Nobody holds it in the meantime: it is found by its timer.
  yield* ctx.sleep("500 millis")
  yield* ctx.step("ship", work(id, "is shipped"))
  return `${id} is on its way`
})

export const orderIds = (count: number) => Array.from({ length: count }, (_, n) => `order-${n + 1}`)

/** Takes orders in and waits until they are on their way. */
export const shop = Effect.fn("shop")(function*(count: number) {
  const ids = orderIds(count)
  for (const id of ids) yield* order.enqueue({ id })
  return yield* Effect.forEach(ids, (id) => order.join(id), { concurrency: "unbounded" })
})
