/**
 * What the SQL storages share about transactions: whose failure is whose, which client may commit with the
 * journal, and how runs are started inside a transaction of the caller's.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as SqlClient from "effect/sql/SqlClient"
import * as SqlError from "effect/sql/SqlError"
import { Storage, type Workflow } from "../index.ts"

/** A failure of the user's own, on its way through a transaction. */
export class Own<E> {
  readonly error: E
  constructor(error: E) {
    this.error = error
  }
}

/** Whether another transaction was in the way, and the same may succeed when it is tried again. */
export const isConflict = (error: unknown): boolean =>
  SqlError.isSqlError(error)
  && (error.reason._tag === "LockTimeoutError" || error.reason._tag === "SerializationError"
    || error.reason._tag === "DeadlockError")

export const unavailable = (doing: string, cause: unknown): Storage.StorageError =>
  new Storage.StorageError({ reason: "Unavailable", doing, cause })

export const unsupported = (doing: string, why: string): Storage.StorageError =>
  new Storage.StorageError({ reason: "Unsupported", doing, cause: new Error(why) })

/** What is to commit with the journal must run on the journal's own client. */
export const sameClient = (
  client: SqlClient.SqlClient,
  doing: string
): Effect.Effect<void, Storage.StorageError> =>
  Effect.flatMap(
    Effect.serviceOption(SqlClient.SqlClient),
    (given) =>
      given._tag === "Some" && given.value.transactionService === client.transactionService
        ? Effect.void
        : Effect.fail(unsupported(
          doing,
          "the SqlClient in the context is not the storage's own, so they cannot commit together; "
            + "provide the one that the storage's layer has"
        ))
  )

/** Runs `effect` beside a transaction that the calling fiber may have open: it must not wait for that. */
export const beside = (client: SqlClient.SqlClient) => {
  const omit = Context.omit(client.transactionService)
  const isOpen = (context: Context.Context<never>) =>
    Context.getOption(context, client.transactionService)._tag === "Some"
  return <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.updateContext(
      effect,
      (context: Context.Context<R>) =>
        isOpen(context) ? omit(context) as Context.Context<R> : context
    )
}

/** The calling fiber must have a transaction open on `client`. */
export const openOn = (
  client: SqlClient.SqlClient,
  doing: string
): Effect.Effect<void, Storage.StorageError> =>
  Effect.flatMap(
    Effect.serviceOption(client.transactionService),
    ({ _tag }) =>
      _tag === "Some" ? Effect.void : Effect.fail(unsupported(
        doing,
        "no transaction is open on the storage's SqlClient: call it inside its sql.withTransaction(…)"
      ))
  )

/**
 * What `effect` writes to the storage becomes part of the transaction that the caller has open: it is there
 * when that commits, and never if it does not. For `enqueue` and `send`, which write and do not drive.
 */
export const inTransaction = <A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E | Storage.StorageError, R | Storage.Storage | SqlClient.SqlClient> =>
  Effect.flatMap(
    Storage.Storage,
    ({ codec, driver: { inTransaction } }): Effect.Effect<A, E | Storage.StorageError, R> =>
      inTransaction === undefined
        ? Effect.fail(
          unsupported("write in the caller's transaction", "the storage is no SQL database")
        )
        : Effect.provideService(
          effect,
          Storage.Storage,
          Storage.make(inTransaction, codec)
        ) as Effect.Effect<
          A,
          E,
          R
        >
  )

/** Records a start as part of the transaction that the caller has open; gives the run's id. */
export const startIn = <I, R>(
  workflow: {
    readonly enqueue: (
      input: I,
      options?: Workflow.RunOptions
    ) => Effect.Effect<string, Workflow.EngineError, Storage.Storage | R>
  },
  input: I,
  options?: Workflow.RunOptions
): Effect.Effect<string, Workflow.EngineError, Storage.Storage | SqlClient.SqlClient | R> =>
  inTransaction(workflow.enqueue(input, options))
