/** A process that waits until it is told to, opens the storage, and runs one workflow on it. */
import * as Effect from "effect/Effect"
import { once } from "node:events"
import { Workflow } from "reprise"
import { SqliteStorage } from "reprise/sqlite"

const [filename, runId] = process.argv.slice(2)

const greet = Workflow.make("greet", function*(ctx) {
  return yield* ctx.step("greet", () => `hello ${runId}`)
})

process.stdout.write("ready\n")
await once(process.stdin, "data")
const result = await Effect.runPromise(
  greet.execute(undefined, { runId: runId! }).pipe(
    Effect.provide(SqliteStorage.layer({ filename: filename! }))
  )
)
process.stdout.write(`${result}\n`)
process.exit(0)
