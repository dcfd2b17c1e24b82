/**
 * Journals in Postgres, over the `SqlClient` in the context: the program's own pool, so that what
 * `ctx.transaction` writes commits together with the journal, and a run can be started by the transaction
 * that writes its order.
 *
 * Nothing depends on a connection's session, so a pooler in transaction mode may stand in between, if the
 * client behind it sends no named statements (`prepare: false` in `@effect/sql-pg`). Notifications do not
 * pass such a pooler; without them what others write is found by looking once a second.
 */
import type { PgPoolConfig } from "@effect/sql-pg/PgClient"
import type * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { Storage } from "../index.ts"
import * as Lease from "../sql/Lease.ts"
import { unsupported } from "../sql/Transaction.ts"
import { failsIfLost, isLost, patiently, toStorageError } from "./Errors.ts"
import * as Listener from "./Listener.ts"
import * as migrations from "./migrations.ts"
import * as PostgresDriver from "./PostgresDriver.ts"

export { inTransaction, startIn } from "../sql/Transaction.ts"
export * from "./Plain.ts"

export interface Options {
  /** The schema that the tables are in; default `reprise`. Lower-case letters, digits and `_`. */
  readonly schema?: string | undefined
}

const schemaOf = ({ schema = "reprise" }: Options): Effect.Effect<string, Storage.StorageError> =>
  /^[a-z_][a-z0-9_]{0,40}$/.test(schema)
    ? Effect.succeed(schema)
    : Effect.fail(unsupported(
      "open the storage",
      `the schema "${schema}" is not a name of lower-case letters, digits and _`
    ))

/** The SQL of all migrations, for those who run them by other means before `layerWithoutMigrations`. */
export const migrationStatements = (options: Options = {}): ReadonlyArray<string> =>
  migrations.statements(options.schema ?? "reprise")

/** Brings the tables to the newest form. `layer` does it by itself. */
export const migrate = (
  options: Options = {}
): Effect.Effect<void, Storage.StorageError, SqlClient.SqlClient> =>
  Effect.flatMap(schemaOf(options), (schema) => {
    const doing = `prepare the tables in schema "${schema}"`
    const once = Effect.mapError(
      failsIfLost(migrations.migrate(schema)),
      (error) =>
        error._tag === "SqlError"
          ? toStorageError(doing)(error)
          : new Storage.StorageError({
            // Somebody else is at it, or the server went away.
            reason: error.kind === "Locked" || isLostBehind(error.cause)
              ? "Unavailable"
              : "Unknown",
            doing,
            cause: error
          })
    )
    return Effect.flatMap(
      SqlClient.SqlClient,
      (sql) => patiently(Effect.provideService(once, SqlClient.SqlClient, sql))
    )
  })

const isLostBehind = (cause: unknown) =>
  typeof cause === "object" && cause !== null && "_tag" in cause && cause._tag === "SqlError"
  && isLost(cause as SqlError)

/** A standby takes no journals, and a schema that is not there is better told of now. */
const check = (client: SqlClient.SqlClient, schema: string) =>
  Effect.gen(function*() {
    const doing = "open the storage"
    const [found] = yield* patiently(Effect.mapError(
      client.unsafe<{ readOnly: boolean; there: boolean }>(
        `SELECT pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' AS "readOnly",
          to_regclass($1) IS NOT NULL AS there`,
        [`${migrations.quoted(schema)}.runs`]
      ).withoutTransform,
      toStorageError(doing)
    ))
    const denied = (why: string) =>
      new Storage.StorageError({ reason: "Denied", doing, cause: new Error(why) })
    if (found?.readOnly === true) {
      return yield* denied("this server only reads: connect to the primary")
    }
    return { isThere: found?.there === true, denied }
  })

/** The driver itself, to be wrapped or tested. Its tables must be there. */
export const make = (options: Options = {}) =>
  Effect.gen(function*() {
    const schema = yield* schemaOf(options)
    const client = yield* SqlClient.SqlClient
    const self = yield* Lease.thisProcess
    const channel = `reprise_${schema}`
    const of = (joins: boolean) => PostgresDriver.make({ client, schema, self, channel, joins })
    const { driver, onNews, told } = of(false)
    yield* Effect.addFinalizer(() => told)
    yield* Listener.start(client, channel, onNews)
    return { ...driver, inTransaction: of(true).driver } satisfies Storage.Driver
  })

const storage = (options: Options) => Effect.map(make(options), Storage.make)

/**
 * The storage in the database of the `SqlClient` in the context. Makes its tables, in a schema of their own.
 * Durable when a call returns, as far as the server's `synchronous_commit` is on.
 *
 * @example
 * ```ts
 * import { PostgresStorage } from "reprise/postgres"
 * import { PgClient } from "@effect/sql-pg"
 * import { Layer, Redacted } from "effect"
 *
 * const database = PgClient.layer({ url: Redacted.make("postgres://localhost/shop") })
 * const storage = PostgresStorage.layer().pipe(Layer.provideMerge(database))
 * Layer.isLayer(storage) // => true
 * ```
 */
export const layer = (
  options: Options = {}
): Layer.Layer<Storage.Storage, Storage.StorageError, SqlClient.SqlClient> =>
  Layer.effect(
    Storage.Storage,
    Effect.gen(function*() {
      const client = yield* SqlClient.SqlClient
      yield* check(client, yield* schemaOf(options))
      yield* migrate(options)
      return yield* storage(options)
    })
  )

/** As `layer`, for a role that may not create tables: `migrate` or `migrationStatements` made them before. */
export const layerWithoutMigrations = (
  options: Options = {}
): Layer.Layer<Storage.Storage, Storage.StorageError, SqlClient.SqlClient> =>
  Layer.effect(
    Storage.Storage,
    Effect.gen(function*() {
      const client = yield* SqlClient.SqlClient
      const schema = yield* schemaOf(options)
      const { denied, isThere } = yield* check(client, schema)
      if (!isThere) {
        return yield* denied(
          `schema "${schema}" has no tables yet: run PostgresStorage.migrate, or its migrationStatements`
        )
      }
      return yield* storage(options)
    })
  )

/**
 * `layer` with a client of its own, by `@effect/sql-pg`: gives the storage and the `SqlClient` that commits
 * together with it.
 *
 * @example
 * ```ts
 * import { PostgresStorage } from "reprise/postgres"
 * import { Config, Layer } from "effect"
 *
 * const storage = PostgresStorage.layerConfig({ url: Config.Redacted("DATABASE_URL") })
 * Layer.isLayer(storage) // => true
 * ```
 */
export const layerConfig = (
  config: Config.Wrap<PgPoolConfig>,
  options: Options = {}
): Layer.Layer<
  Storage.Storage | SqlClient.SqlClient,
  Storage.StorageError | Config.ConfigError | SqlError
> =>
  Layer.unwrap(
    Effect.map(
      Effect.promise(() => import("@effect/sql-pg/PgClient")),
      (PgClient) => layer(options).pipe(Layer.provideMerge(PgClient.layerConfig(config)))
    )
  )
