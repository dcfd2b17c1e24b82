/**
 * Two orders: one that arrives, and one to an island that no courier drives to.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect } from "effect"
import { NodeLocalStorage } from "reprise/node"
import { layerPrinting } from "./shop.ts"
import { order } from "./workflow.ts"

const directory = process.env["REPRISE_DIR"] ?? ".reprise"

const program = Effect.forEach(["Bremen", "Hallig Hooge"], (city) =>
  Effect.gen(function*() {
    yield* Console.log(`a teapot to ${city}:`)
    yield* order.execute({ item: "teapot", cents: 3950, city }).pipe(
      Effect.flatMap(({ parcel }) => Console.log(`  on its way as ${parcel}`)),
      Effect.catchTag("CourierRefused", ({ message }) => Console.log(`  failed: ${message}`))
    )
  }))

program.pipe(
  Effect.provide([layerPrinting, NodeLocalStorage.layer(directory)]),
  NodeRuntime.runMain
)
