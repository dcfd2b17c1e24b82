/** A process that takes the lease of a run, says so, and then does nothing until it is killed. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { driver } from "../../../src/storage/LocalStorage.ts"

const [directory, runId, now, until] = process.argv.slice(2)

const program = Effect.gen(function*() {
  const { acquire } = yield* driver(directory!)
  const claim = yield* acquire(runId!, Number(now), Number(until))
  process.stdout.write(`${JSON.stringify(claim)}\n`)
})

await Effect.runPromise(
  program.pipe(Effect.provide(Layer.merge(NodeFileSystem.layer, NodePath.layer)))
)
setInterval(() => {}, 60_000)
