/**
 * Journals in a SQLite file, through `node:sqlite`: for one machine, and any number of its processes.
 *
 * The file may be the one that a program keeps its own data in. What is written to both by
 * `ctx.transaction` commits together, and a run can be started by the transaction that writes its order.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as SqlClient from "effect/sql/SqlClient"
import { Storage } from "../index.ts"
import * as Lease from "../sql/Lease.ts"
import { openOn } from "../sql/Transaction.ts"
import * as Commits from "./Commits.ts"
import * as Connection from "./Connection.ts"
import { toStorageError } from "./Errors.ts"
import { migrate } from "./migrations.ts"
import * as SqliteDriver from "./SqliteDriver.ts"

export { inTransaction, startIn } from "../sql/Transaction.ts"
export type { Options } from "./Connection.ts"

/** The driver itself, to be wrapped or tested, and the client that it shares its connection with. */
export const make = (options: Connection.Options) =>
  Effect.gen(function*() {
    const connection = yield* Connection.open(options)
    const { client } = connection
    yield* migrate.pipe(
      Effect.provideService(SqlClient.SqlClient, client),
      Effect.mapError(toStorageError(`prepare the tables in ${options.filename}`))
    )
    const self = yield* Lease.thisProcess
    const joining: SqliteDriver.Write = {
      writers: 0,
      write: (_runId, doing, work) =>
        Effect.andThen(
          openOn(client, doing),
          Effect.try({ try: work, catch: toStorageError(doing) })
        )
    }
    const driver: Storage.Driver = {
      ...SqliteDriver.make(connection, Commits.make(connection), self),
      inTransaction: SqliteDriver.make(connection, joining, self)
    }
    return { driver, client }
  })

/**
 * The storage in `filename`, which is made when it does not exist, and the `SqlClient` whose transactions
 * can commit together with a journal. Durable when a call returns, by SQLite's write-ahead log.
 *
 * @example
 * ```ts
 * import { Workflow } from "reprise"
 * import { SqliteStorage } from "reprise/sqlite"
 * import { Effect } from "effect"
 *
 * const hello = Workflow.make("hello", function*(ctx, { name }: { name: string }) {
 *   return yield* ctx.step("greet", () => `Hello ${name}`)
 * })
 * const program = hello.execute({ name: "Ada" }).pipe(
 *   Effect.provide(SqliteStorage.layer({ filename: ":memory:" }))
 * )
 * await Effect.runPromise(program) // => "Hello Ada"
 * ```
 */
export const layer = (
  options: Connection.Options
): Layer.Layer<Storage.Storage | SqlClient.SqlClient, Storage.StorageError> =>
  Layer.effectContext(
    Effect.map(make(options), ({ client, driver }) =>
      Context.make(Storage.Storage, Storage.make(driver)).pipe(
        Context.add(SqlClient.SqlClient, client)
      ))
  )
