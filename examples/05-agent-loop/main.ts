/**
 * Asks a question that takes 30 turns: `main.ts [runId]`. With a run's id it goes on with that run.
 *
 * With `KILL_AT=27` the process dies in the middle of turn 27, as if somebody pulled the plug.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Layer } from "effect"
import { createRunId, Workflow } from "reprise"
import { NodeLocalStorage } from "reprise/node"
import { layerScripted } from "./model.ts"
import { layerTools } from "./tools.ts"
import { agent } from "./workflow.ts"

const directory = process.env["REPRISE_DIR"] ?? ".reprise"
const [runId = createRunId()] = process.argv.slice(2)

const program = Effect.gen(function*() {
  yield* Console.log(`run ${runId} (to go on with it: npm run example 05 ${runId})`)
  const question = "How much did we spend on trains?"
  yield* Console.log(yield* agent.execute({ question }, { runId }))
})

/** Pulls the plug when a tool of that turn has done its work and nobody has written that down yet. */
const layerAccident = Layer.succeed(
  Workflow.StepHook,
  ({ stepId }, work) =>
    stepId.startsWith(`turn ${process.env["KILL_AT"]}[`)
      ? Effect.andThen(work, Effect.sync(() => process.kill(process.pid, "SIGKILL")))
      : work
)

program.pipe(
  Effect.provide([layerScripted, layerTools, layerAccident, NodeLocalStorage.layer(directory)]),
  NodeRuntime.runMain
)
