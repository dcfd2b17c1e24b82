/**
 * Moves money in a process that is killed in the middle of a transfer, goes on in another one, and counts.
 * Then starts a run in the transaction that writes its order: once that commits, and once that does not.
 *
 * With `DATABASE_URL` it uses a new database on that server; else a Postgres of its own. Owns both, and
 * leaves neither behind.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Config, Console, Effect, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { Runs } from "reprise"
import { PostgresStorage } from "reprise/postgres"
import { createDatabaseOn, startPostgres } from "../../scripts/postgres.ts"
import { makeTransfers, order, tables } from "./workflow.ts"

const runId = "transfers"
const count = 50

// ---------------------------------------------------------------------------------------------------
// the process that moves the money: `transfer [killAt]`

/** Pulls the plug when the money of that transfer is on its way. */
const killedAt = (killAt: string | undefined) => (nth: number) =>
  Effect.sync(() => {
    if (String(nth) === killAt) process.kill(process.pid, "SIGKILL")
  })

const transfers = (killAt: string | undefined) =>
  makeTransfers(killedAt(killAt)).execute({ count }, { runId }).pipe(
    Effect.flatMap((moved) => Console.log(`  all done: ${moved} euros were moved`)),
    Effect.provide(PostgresStorage.layerConfig({ url: Config.Redacted("DATABASE_URL") }))
  )

// ---------------------------------------------------------------------------------------------------
// the process that starts the others, and counts

/** The URL of an empty database, which is gone afterwards. */
const database = Effect.gen(function*() {
  const given = process.env["DATABASE_URL"]
  const server = given !== undefined && given !== ""
    ? given
    : (yield* Effect.acquireRelease(
      Effect.promise(() => startPostgres()),
      (postgres) => Effect.promise(postgres.stop)
    )).url
  const { url } = yield* Effect.acquireRelease(
    Effect.promise(() => createDatabaseOn(server)),
    (database) => Effect.promise(database.drop)
  )
  return url
})

const inAnotherProcess = (url: string, ...args: ReadonlyArray<string>) =>
  Effect.promise(async () => {
    const child = spawn(
      process.execPath,
      [...process.execArgv, import.meta.filename, "transfer", ...args],
      { stdio: "inherit", env: { ...process.env, DATABASE_URL: url } }
    )
    const [code, signal] = await once(child, "exit")
    return `  it ended with ${signal ?? code}`
  })

const counted = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const [accounts] = yield* sql<{ sum: number }>`SELECT sum(balance)::int AS sum FROM accounts`
  const [made] = yield* sql<{ rows: number; different: number }>`
    SELECT count(*)::int AS rows, count(DISTINCT nth)::int AS different FROM transfers`
  const { entries } = yield* Runs.journal(runId)
  const steps = entries.filter(({ type }) => type === "step").length
  yield* Console.log(
    `  the accounts hold ${accounts!.sum} euros; ${made!.rows} transfers, ${
      made!.different
    } different; `
      + `${steps} in the journal`
  )
})

/** An order and its run, in one transaction: both are there when it commits, and neither if not. */
const place = (id: string, item: string) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    yield* sql.withTransaction(Effect.gen(function*() {
      yield* sql`INSERT INTO orders (id, item, paid) VALUES (${id}, ${item}, false)`
      yield* PostgresStorage.startIn(order, { id }, { runId: `order-${id}` })
      if (item === "unicorn") return yield* Effect.fail("we have no unicorns")
    }))
  })

const orders = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  yield* place("a", "teapot")
  yield* Effect.catch(place("b", "unicorn"), (why) => Console.log(`  order b: ${String(why)}`))
  const rows = yield* sql<{ id: string }>`SELECT id FROM orders`
  const { runs } = yield* Runs.list({ workflow: "order" })
  yield* Console.log(`  orders: ${rows.map(({ id }) => id).join()}`)
  yield* Console.log(`  runs: ${runs.map(({ runId, status }) => `${runId} (${status})`).join()}`)
  // In a real program, whoever looks for runs that are due.
  const done = yield* order.resume("order-a")
  yield* Console.log(`  ${done.status === "success" ? done.result : done.status}`)
})

const demo = Effect.gen(function*() {
  const url = yield* database
  yield* Effect.gen(function*() {
    yield* tables
    yield* Console.log(`${count} transfers between five accounts of 1000 euros:`)
    yield* Console.log(yield* inAnotherProcess(url, "20"))
    yield* counted
    yield* Console.log("another process goes on:")
    yield* Console.log(yield* inAnotherProcess(url))
    yield* counted
    yield* Console.log("an order and its run, in one transaction:")
    yield* orders
  }).pipe(
    Effect.provide(PostgresStorage.layerConfig({ url: Config.succeed(Redacted.make(url)) }))
  )
}).pipe(Effect.scoped)

const [command, killAt] = process.argv.slice(2)

const program: Effect.Effect<void, unknown> = command === "transfer" ? transfers(killAt) : demo

NodeRuntime.runMain(program)
