/**
 * Two orders: one of a loyal customer that goes out at once, and one for more than there is.
 *
 * Owns the shop's numbers and the choice of storage; the pipeline prints itself.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Layer } from "effect"
import { NodeLocalStorage } from "reprise/node"
import { checkout, Shop } from "./pipeline.ts"

const directory = process.env["REPRISE_DIR"] ?? ".reprise"

/** Stands for three services that each take a while. */
const layerShop = Layer.succeed(Shop, {
  priceOf: (item) => Effect.delay(Effect.succeed(item === "teapot" ? 3950 : 690), 30),
  stockOf: (item) => Effect.delay(Effect.succeed(item === "teapot" ? 8 : 2), 50),
  ordersOf: (customer) => Effect.delay(Effect.succeed(customer === "ada" ? 31 : 0), 20),
  ship: ({ customer }) => Effect.delay(Effect.succeed(`parcel-${customer}`), 40)
})

const orders = [
  { item: "teapot", quantity: 2, customer: "ada", coupon: "LOYAL" },
  { item: "cup", quantity: 6, customer: "bob" }
]

const program = Effect.forEach(orders, (order) =>
  Effect.gen(function*() {
    const { state, text } = yield* checkout.run(order, { log: { stopwatch: true } })
    yield* Console.log(`\n${text}, ${state}\n`)
  }))

program.pipe(
  Effect.provide([layerShop, NodeLocalStorage.layer(directory)]),
  NodeRuntime.runMain
)
