/**
 * One connection to a SQLite file: opened with the settings that durability needs, its statements prepared
 * once, and Effect's `SqlClient` over it.
 *
 * `node:sqlite` is synchronous, so nothing may block here while another process writes: the busy timeout is
 * zero, and what is in the way is waited for with jitter.
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Reactivity from "effect/reactivity/Reactivity"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as SqlClient from "effect/sql/SqlClient"
import type { Connection as SqlConnection } from "effect/sql/SqlConnection"
import * as SqlError from "effect/sql/SqlError"
import * as Statement from "effect/sql/Statement"
import * as Stream from "effect/Stream"
import { closeSync, mkdirSync, openSync } from "node:fs"
import { dirname } from "node:path"
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite"
import type { Storage } from "../index.ts"
import { isBusy, toStorageError } from "./Errors.ts"

export interface Options {
  /** The database file; `:memory:` for one that lives as long as the layer. */
  readonly filename: string
  /**
   * `FULL`, the default: a commit is on the disk when it returns. `NORMAL`: it survives the process, but a
   * power cut may take the last ones.
   */
  readonly synchronous?: "FULL" | "NORMAL" | undefined
}

export interface Connection {
  readonly db: DatabaseSync
  /** The statement, prepared once. */
  readonly prepare: (sql: string) => StatementSync
  /** Held by a transaction, and by a statement outside of one. */
  readonly lock: Semaphore.Semaphore
  readonly client: SqlClient.SqlClient
}

/** How long another process is waited for before the storage counts as unavailable; milliseconds. */
export const patience = 5_000

/**
 * Waits before another try: longer and longer, and never as long as somebody else. By the real clock: a test
 * that swaps the clock has no other process to wait for.
 */
export const pause = (tries: number): Effect.Effect<void> =>
  Effect.promise(() =>
    Effect.runPromise(
      Effect.flatMap(
        Random.next,
        (chance) => Effect.sleep(Math.min(50, 2 ** Math.min(tries, 6)) * (0.5 + chance))
      )
    )
  )

/** Tries again while another connection is in the way. */
const patiently = <A>(attempt: () => A): Effect.Effect<A, unknown> => {
  const since = performance.now()
  const again = (tries: number): Effect.Effect<A, unknown> =>
    Effect.suspend(() => {
      try {
        return Effect.succeed(attempt())
      } catch (error) {
        return isBusy(error) && performance.now() - since < patience
          ? Effect.andThen(pause(tries), again(tries + 1))
          : Effect.fail(error)
      }
    })
  return again(0)
}

const toInput = (value: unknown): SQLInputValue =>
  typeof value === "boolean"
    ? Number(value)
    : value instanceof Date
    ? value.toISOString()
    : value as SQLInputValue

const toSqlError = (cause: unknown) => {
  // What Effect classifies by has another name in node:sqlite.
  const coded = cause instanceof Error && "errcode" in cause && !("errno" in cause)
    ? Object.assign(cause, { errno: cause.errcode })
    : cause
  const reason = SqlError.classifySqliteError(coded, {
    message: cause instanceof Error ? cause.message : String(cause),
    operation: "execute"
  })
  return new SqlError.SqlError({ reason })
}

type Rows = ReadonlyArray<any>

/** Effect's connection over `db`. */
const sqlConnection = (db: DatabaseSync, prepare: Connection["prepare"]): SqlConnection => {
  const run =
    (get: (sql: string) => StatementSync, asArrays: boolean, raw = false) =>
    (sql: string, params: ReadonlyArray<unknown>): Effect.Effect<Rows, SqlError.SqlError> =>
      Effect.mapError(
        patiently((): Rows => {
          const statement = get(sql)
          statement.setReturnArrays(asArrays)
          const inputs = params.map(toInput)
          if (statement.columns().length > 0) return statement.all(...inputs)
          const changes = statement.run(...inputs)
          return raw ? changes as unknown as Rows : []
        }),
        toSqlError
      )
  const fresh = (sql: string) => db.prepare(sql)
  const rows = run(prepare, false)
  const unprepared = run(fresh, false)
  return {
    execute: (sql, params, transform) =>
      transform === undefined ? rows(sql, params) : Effect.map(rows(sql, params), transform),
    executeRaw: run(prepare, false, true),
    executeValues: run(prepare, true),
    executeValuesUnprepared: run(fresh, true),
    executeUnprepared: (sql, params, transform) =>
      transform === undefined
        ? unprepared(sql, params)
        : Effect.map(unprepared(sql, params), transform),
    executeStream: (sql, params, transform) =>
      Stream.fromIterableEffect(
        transform === undefined ? rows(sql, params) : Effect.map(rows(sql, params), transform)
      )
  }
}

/** How many statements stay prepared. */
const kept = 500

/** Opens the database, which is made readable by its owner only if it does not exist. */
export const open = (
  { filename, synchronous = "FULL" }: Options
): Effect.Effect<Connection, Storage.StorageError, Scope.Scope> =>
  Effect.gen(function*() {
    const doing = `open the database ${filename}`
    const db = yield* Effect.acquireRelease(
      Effect.try({
        try: () => {
          if (filename !== ":memory:") {
            mkdirSync(dirname(filename), { recursive: true, mode: 0o700 })
            closeSync(openSync(filename, "a", 0o600))
          }
          return new DatabaseSync(filename, { timeout: 0, enableForeignKeyConstraints: true })
        },
        catch: toStorageError(doing)
      }),
      (db) => Effect.sync(() => db.close())
    )
    yield* patiently(() => {
      const mode = db.prepare("PRAGMA journal_mode=WAL").get()?.journal_mode
      if (mode !== "wal" && filename !== ":memory:") {
        throw new Error(
          `its place does not allow a write-ahead log (journal_mode is ${String(mode)})`
        )
      }
      db.exec(`PRAGMA synchronous=${synchronous}`)
    }).pipe(Effect.mapError(toStorageError(doing)))
    const statements = new Map<string, StatementSync>()
    const prepare = (sql: string) => {
      const known = statements.get(sql)
      if (known !== undefined) return known
      const statement = db.prepare(sql)
      if (statements.size >= kept) statements.clear()
      statements.set(sql, statement)
      return statement
    }
    const lock = yield* Semaphore.make(1)
    const connection = sqlConnection(db, prepare)
    const client = yield* SqlClient.make({
      ...SqlClient.makeSqliteAcquirers({
        connection: Effect.succeed(connection),
        semaphore: lock,
        isTransaction: () => db.isTransaction
      }),
      compiler: Statement.makeCompilerSqlite(),
      driver: "node-sqlite",
      // A transaction that begins by reading could not write once somebody else has.
      beginTransaction: "BEGIN IMMEDIATE",
      releaseSavepoint: (name) => `RELEASE SAVEPOINT ${name}`,
      spanAttributes: [["db.system.name", "sqlite"]]
    }).pipe(Effect.provide(Reactivity.layer))
    return { db, prepare, lock, client }
  })
