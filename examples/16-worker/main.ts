/**
 * Orders that go on by themselves: paid in time they ship, else a reminder goes out and they are given up.
 * The worker drives them in this very process, from a SQLite file, with nothing to install.
 *
 * Run it again while it waits, or kill it: whoever is there next goes on with every order.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Layer, Option, Schema } from "effect"
import { Runs, Worker, Workflow } from "reprise"
import { SqliteStorage } from "reprise/sqlite"

const order = Workflow.make("order", {
  input: Schema.Struct({ id: Schema.String, euros: Schema.Number }),
  output: Schema.String,
  events: { paid: Schema.Struct({ by: Schema.String }) },
  // An order that comes in twice is one run.
  runId: ({ id }) => `order-${id}`
}, function*(ctx, { euros, id }) {
  for (const attempt of ["invoice", "reminder"]) {
    yield* ctx.step(attempt, Console.log(`  mail: ${attempt} for order ${id}, ${euros} euros`))
    const paid = yield* ctx.suspend("paid", { timeout: "1 second" })
    if (Option.isNone(paid)) continue
    yield* ctx.step("ship", Console.log(`  ship: order ${id}, paid by ${paid.value.by}`))
    return "shipped"
  }
  return "given up"
})

/** What a web server does: it takes orders and payments in, and drives nothing. */
const shop = Effect.gen(function*() {
  yield* Console.log("two orders come in, one of them twice:")
  yield* order.enqueue({ id: "a", euros: 30 })
  yield* order.enqueue({ id: "a", euros: 30 })
  yield* order.enqueue({ id: "b", euros: 80 })
  yield* Effect.sleep("200 millis")
  yield* Console.log("a is paid:")
  yield* order.send("order-a", { eventName: "paid", eventId: "payment-1", value: { by: "card" } })
  yield* Console.log(`a: ${yield* order.join("order-a")}`)
  yield* Console.log("b is not, and nobody calls anything:")
  yield* Console.log(`b: ${yield* order.join("order-b")}`)
  const { blocked, state } = yield* Worker.health
  const { runs } = yield* Runs.list({ status: "success" })
  yield* Console.log(`the worker is ${state}, ${runs.length} runs ended, ${blocked.size} blocked`)
})

const directory = process.env["REPRISE_DIR"] ?? ".reprise"

shop.pipe(
  Effect.provide(
    Worker.layer({ workflows: [order], concurrency: 8 }).pipe(
      Layer.provideMerge(SqliteStorage.layer({ filename: `${directory}/16.db` }))
    )
  ),
  NodeRuntime.runMain
)
