/**
 * Postgres for those whose SQL is somebody else's: `pg`, and what sits on it, as Drizzle and Kysely do.
 *
 * Either their open transaction is lent to reprise for a while (`transactionWith`), or their pool is what
 * reprise works on (`clientFromPool`), and a step borrows the connection of its transaction (`connection`).
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Reactivity from "effect/reactivity/Reactivity"
import * as SqlClient from "effect/sql/SqlClient"
import type { Connection } from "effect/sql/SqlConnection"
import * as SqlError from "effect/sql/SqlError"
import * as Statement from "effect/sql/Statement"
import * as Stream from "effect/Stream"
import { Storage } from "../index.ts"
import { unsupported } from "../sql/Transaction.ts"
import { codeOf } from "./Errors.ts"

/** A connection that runs one statement after the other: a client of `pg`, or a few lines around any other. */
export interface PlainConnection {
  readonly query: (
    text: string,
    values: Array<unknown>
  ) => PromiseLike<{ readonly rows: ReadonlyArray<any> }>
}

/** A pool of such connections, as `pg`'s. */
export interface PlainPool<C extends PlainConnection = PlainConnection> {
  readonly connect: () => PromiseLike<C & { readonly release: (error?: boolean) => void }>
}

const reasonOf = (cause: unknown): SqlError.SqlErrorReason => {
  const message = cause instanceof Error ? cause.message : String(cause)
  const props = { cause, message, operation: "query" }
  const code = codeOf(cause)
  if (code === "" || /^(08|57P|53300)/.test(code)) return new SqlError.ConnectionError(props)
  if (code === "23505") return new SqlError.UniqueViolation({ ...props, constraint: "unknown" })
  if (code.startsWith("23")) return new SqlError.ConstraintError(props)
  if (code === "40001") return new SqlError.SerializationError(props)
  if (code === "40P01") return new SqlError.DeadlockError(props)
  if (code === "55P03") return new SqlError.LockTimeoutError(props)
  if (code === "57014") return new SqlError.StatementTimeoutError(props)
  if (code.startsWith("28")) return new SqlError.AuthenticationError(props)
  if (code === "42501") return new SqlError.AuthorizationError(props)
  return code.startsWith("42")
    ? new SqlError.SqlSyntaxError(props)
    : new SqlError.UnknownError(props)
}

/** Effect's connection over a plain one. */
class Adapted implements Connection {
  readonly plain: PlainConnection
  constructor(plain: PlainConnection) {
    this.plain = plain
  }
  private run(text: string, params: ReadonlyArray<unknown>) {
    return Effect.tryPromise({
      try: async () => await this.plain.query(text, [...params]),
      catch: (cause) => new SqlError.SqlError({ reason: reasonOf(cause) })
    })
  }
  private rows(text: string, params: ReadonlyArray<unknown>) {
    return Effect.map(this.run(text, params), ({ rows }) => rows)
  }
  execute: Connection["execute"] = (text, params, transform) =>
    transform === undefined
      ? this.rows(text, params)
      : Effect.map(this.rows(text, params), transform)
  executeUnprepared = this.execute
  executeRaw: Connection["executeRaw"] = (text, params) => this.run(text, params)
  executeValues: Connection["executeValues"] = (text, params) =>
    Effect.map(this.rows(text, params), (rows) => rows.map((row) => Object.values(row)))
  executeValuesUnprepared = this.executeValues
  executeStream: Connection["executeStream"] = (text, params, transform) =>
    Stream.fromIterableEffect(this.execute(text, params, transform))
}

const compiler = Statement.makeCompiler({
  dialect: "pg",
  placeholder: (nth) => `$${nth}`,
  onIdentifier: Statement.defaultEscape("\""),
  onRecordUpdate: (placeholders, alias, columns, values, returning) => [
    `(values ${placeholders}) AS ${alias}${columns}${
      returning === undefined ? "" : ` RETURNING ${returning[0]}`
    }`,
    returning === undefined ? values.flat() : values.flat().concat(returning[1])
  ],
  onCustom: () => ["", []]
})

/**
 * Runs what `effect` asks of the storage's database on `connection`, in the transaction that is open there.
 * For `startIn` and `inTransaction`; commit and rollback stay the caller's.
 *
 * @example
 * ```ts
 * import { Workflow } from "reprise"
 * import { PostgresStorage } from "reprise/postgres"
 * import type { ManagedRuntime } from "effect"
 * import type { SqlClient } from "effect/sql"
 * import type { Storage } from "reprise"
 *
 * const order = Workflow.make("order", function*(ctx, { id }: { id: string }) {
 *   return yield* ctx.step("pack", () => id)
 * })
 * const place = async (
 *   runtime: ManagedRuntime.ManagedRuntime<Storage.Storage | SqlClient.SqlClient, never>,
 *   client: PostgresStorage.PlainConnection // of pg, between BEGIN and COMMIT
 * ) => {
 *   await client.query("INSERT INTO orders VALUES ($1)", ["o1"])
 *   return await runtime.runPromise(
 *     PostgresStorage.startIn(order, { id: "o1" }).pipe(PostgresStorage.transactionWith(client))
 *   )
 * }
 * typeof place // => "function"
 * ```
 */
export const transactionWith =
  (connection: PlainConnection) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R | SqlClient.SqlClient> =>
    Effect.flatMap(SqlClient.SqlClient, (sql) =>
      Effect.updateContext(
        effect,
        (context: Context.Context<R | SqlClient.SqlClient>) =>
          Context.add(context, sql.transactionService, [
            new Adapted(connection),
            0
          ]) as Context.Context<
            R
          >
      ))

/** Effect's SQL client over a pool of `pg`'s kind, for `PostgresStorage.layer`. The pool stays the caller's. */
export const clientFromPool = (pool: PlainPool): Layer.Layer<SqlClient.SqlClient> => {
  const acquirer = Effect.map(
    Effect.acquireRelease(
      Effect.tryPromise({
        try: async () => await pool.connect(),
        catch: (cause) => new SqlError.SqlError({ reason: reasonOf(cause) })
      }),
      (connection, exit) => Effect.sync(() => connection.release(exit._tag === "Failure"))
    ),
    (connection): Connection => new Adapted(connection)
  )
  return Layer.effect(
    SqlClient.SqlClient,
    SqlClient.make({
      acquirer,
      compiler,
      driver: "pg-pool",
      releaseSavepoint: (name) => `RELEASE SAVEPOINT ${name}`,
      spanAttributes: [["db.system.name", "postgresql"]]
    })
  ).pipe(Layer.provide(Reactivity.layer))
}

/**
 * The connection of the transaction that is open here, for Drizzle, Kysely or plain `pg` inside a step of
 * `ctx.transaction`. Needs a client of `clientFromPool`; what it has beside `query` is up to `C`.
 */
export const connection = <C extends PlainConnection = PlainConnection>(): Effect.Effect<
  C,
  Storage.StorageError,
  SqlClient.SqlClient
> =>
  Effect.gen(function*() {
    const doing = "borrow the connection of the transaction"
    const sql = yield* SqlClient.SqlClient
    const open = yield* Effect.serviceOption(sql.transactionService)
    if (open._tag === "None") return yield* unsupported(doing, "no transaction is open here")
    const [held] = open.value
    return held instanceof Adapted ? held.plain as C : yield* unsupported(
      doing,
      "the SqlClient is not of PostgresStorage.clientFromPool: use it for the statements"
    )
  })
