/**
 * Two dinners: one that is eaten, and one whose guests do not wait for the goose.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Duration, Effect } from "effect"
import { Runs, Workflow } from "reprise"
import { NodeLocalStorage } from "reprise/node"
import { dinner } from "./workflow.ts"

const directory = process.env["REPRISE_DIR"] ?? ".reprise"

const program = Effect.gen(function*() {
  yield* Console.log("table 1:")
  const soon = yield* dinner.execute({
    table: 1,
    dishes: [
      { name: "soup", cooks: Duration.millis(100) },
      { name: "dumplings", cooks: Duration.millis(400) }
    ]
  })
  yield* Console.log(soon)

  yield* Console.log("\ntable 2:")
  const { runId } = yield* dinner.start({
    table: 2,
    dishes: [
      { name: "salad", cooks: Duration.zero },
      { name: "goose", cooks: Duration.hours(3) }
    ]
  })
  // Nothing but the goose is waited for, so the call came back. Meanwhile somebody watches the door:
  yield* Console.log("  (three hours are long)")
  const late = yield* dinner.resume(runId, { eventName: "guests-left" })
  yield* Console.log(yield* Workflow.output(late))

  const { status } = yield* Runs.status(`${runId}.goose`)
  yield* Console.log(`the goose is ${status}`)
})

program.pipe(Effect.provide(NodeLocalStorage.layer(directory)), NodeRuntime.runMain)
