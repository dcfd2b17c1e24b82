/**
 * A process that drives a run while a transaction of its own is open on the storage's client: within it, or
 * beside one that was begun by hand. It says what came of it; when nothing can go on any more, Node ends it
 * with another code than 0.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as SqlClient from "effect/sql/SqlClient"
import { Storage, Workflow } from "reprise"
import { SqliteStorage } from "reprise/sqlite"

const [filename, how] = process.argv.slice(2)

const greet = Workflow.make("greet", function*(ctx) {
  return yield* ctx.step("greet", () => "hello")
})
const say = (exit: Exit.Exit<unknown, unknown>) =>
  Effect.sync(() => process.stdout.write(`${exit._tag}\n`))

const within = (sql: SqlClient.SqlClient) =>
  Effect.flatMap(
    Effect.exit(sql.withTransaction(greet.start(undefined, { runId: "within" }))),
    say
  )

const beside = (sql: SqlClient.SqlClient) =>
  Effect.gen(function*() {
    yield* sql.unsafe("BEGIN")
    const run = yield* Effect.forkChild(Effect.exit(greet.start(undefined, { runId: "beside" })))
    for (let turn = 0; turn < 20; turn++) yield* Effect.sleep(1)
    yield* sql.unsafe("COMMIT")
    yield* say(yield* Fiber.join(run))
  })

const program = Effect.gen(function*() {
  const { client, driver } = yield* SqliteStorage.make({ filename: filename! })
  const storage = Storage.make(driver)
  yield* Effect.provideService(
    Effect.gen(function*() {
      yield* how === "within" ? within(client) : beside(client)
      process.stdout.write(`${yield* greet.execute(undefined, { runId: "after" })}\n`)
    }),
    Storage.Storage,
    storage
  )
})

await Effect.runPromise(Effect.scoped(program))
