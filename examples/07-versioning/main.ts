/**
 * Three customers who signed up in January, in March and today, and all confirm today.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect } from "effect"
import { Workflow } from "reprise"
import { NodeLocalStorage } from "reprise/node"
import * as January from "./january.ts"
import * as March from "./march.ts"
import * as Today from "./workflow.ts"

const directory = process.env["REPRISE_DIR"] ?? ".reprise"

const program = Effect.gen(function*() {
  yield* Console.log("three sign up, with the code of the day:")
  const ada = yield* January.welcome.start({ name: "Ada" })
  const konrad = yield* March.welcome.start({ name: "Konrad", language: "de" })
  const grace = yield* Today.welcome.start({ name: "Grace", language: "en" })

  yield* Console.log("all of them confirm today:")
  for (const { runId } of [ada, konrad, grace]) {
    const done = yield* Today.welcome.resume(runId, { eventName: "confirmed" })
    yield* Console.log(`  ${yield* Workflow.output(done)}`)
  }
})

program.pipe(Effect.provide(NodeLocalStorage.layer(directory)), NodeRuntime.runMain)
