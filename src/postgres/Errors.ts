/**
 * What Postgres's error codes mean for a storage. The codes are listed in appendix A of its manual,
 * https://www.postgresql.org/docs/current/errcodes-appendix.html.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as SqlError from "effect/sql/SqlError"
import { Storage } from "../index.ts"
import { Own } from "../sql/Transaction.ts"

/** The five characters that the server gave, wherever the client keeps them. */
export const codeOf = (error: unknown): string => {
  for (let at = error, depth = 0; typeof at === "object" && at !== null && depth < 5; depth++) {
    if ("code" in at && typeof at.code === "string" && /^[0-9A-Z]{5}$/.test(at.code)) return at.code
    at = "reason" in at ? at.reason : "cause" in at ? at.cause : undefined
  }
  return ""
}

/** Whether the connection was lost or refused: what was under way may have been done, or not. */
export const isLost = (error: SqlError.SqlError): boolean =>
  error.reason._tag === "ConnectionError" || /^(08|57P|53300)/.test(codeOf(error))

/** The lost connection in a cause: the client cannot roll back then, and says that as a defect. */
export const lostIn = (cause: Cause.Cause<unknown>): SqlError.SqlError | undefined => {
  for (const reason of cause.reasons) {
    const error = Cause.isFailReason(reason)
      ? reason.error
      : Cause.isDieReason(reason)
      ? reason.defect
      : undefined
    const seen = error instanceof Own ? error.error : error
    if (SqlError.isSqlError(seen) && isLost(seen)) return seen
  }
  return undefined
}

/** Fails with a lost connection where a transaction dies of it. */
export const failsIfLost = <A, E, R>(
  transaction: Effect.Effect<A, E, R>
): Effect.Effect<A, E | SqlError.SqlError, R> =>
  Effect.catchCause(transaction, (cause): Effect.Effect<never, E | SqlError.SqlError> => {
    const lost = lostIn(cause)
    return lost === undefined ? Effect.failCause(cause) : Effect.fail(lost)
  })

const reasonOf = (error: SqlError.SqlError): Storage.StorageError["reason"] => {
  const code = codeOf(error)
  // 25006: a primary that became a standby; 55P03, 57014: waited too long; 40…: another transaction
  if (isLost(error) || /^(40001|40P01|25006|55P03|57014)$/.test(code)) return "Unavailable"
  // no disk, no memory
  if (code.startsWith("53")) return "Full"
  return /^(28|42501|3D000|3F000|42P01)/.test(code) ? "Denied" : "Unknown"
}

export const toStorageError = (doing: string) => (cause: SqlError.SqlError): Storage.StorageError =>
  new Storage.StorageError({ reason: reasonOf(cause), doing, cause })

/** Whether something stands already where it was to be written. */
export const isPlaceTaken = (error: Storage.StorageError): boolean =>
  codeOf(error.cause) === "23505"

/** Never as long as somebody else. */
const again = Schedule.jittered(Schedule.exponential("40 millis", 1.7))

/** With `again` some five seconds in all, which a server takes to start anew. */
const times = 9

/** Tries again what may be done twice, while the server does not answer. */
export const patiently = <A>(
  effect: Effect.Effect<A, Storage.StorageError>
): Effect.Effect<A, Storage.StorageError> =>
  Effect.retry(effect, { schedule: again, times, while: (error) => error.isRetryable })
