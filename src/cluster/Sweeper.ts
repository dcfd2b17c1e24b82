/**
 * Removes what is done with from the cluster's tables, which keep every message and reply for ever: messages that were
 * handled, with their replies, and timers of runs that have ended. It needs the `SqlClient` that the cluster uses.
 */
import * as Cause from "effect/Cause"
import * as Snowflake from "effect/cluster/Snowflake"
import * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { entityType } from "./RunEntity.ts"

/** How long a handled message stays: whoever sent it may still ask. */
const keptMillis = 30_000

/** How often tables are swept. */
export const every = "10 seconds"

/** How many ended runs are remembered until the next sweep; timers of more go off, and find nothing. */
const most = 10_000
const atOnce = 500

/** `prefix` is that of the cluster's tables. */
export const make = (sql: SqlClient, prefix: string) => {
  const messages = sql(`${prefix}_messages`)
  const replies = sql(`${prefix}_replies`)
  const ended = new Set<string>()

  const handled = (now: number): Effect.Effect<void, SqlError> => {
    const bound = sql.literal(String(Snowflake.make({
      machineId: 0 as Parameters<typeof Snowflake.make>[0]["machineId"],
      sequence: 0,
      timestamp: now - keptMillis
    })))
    const old = sql`entity_type = ${entityType} AND processed = TRUE AND id < ${bound}`
    // A message that is handled in between has its reply still, and is left for the next time.
    return Effect.andThen(
      sql`DELETE FROM ${replies} WHERE request_id IN (SELECT id FROM ${messages} WHERE ${old})`,
      Effect.asVoid(
        sql`DELETE FROM ${messages} WHERE ${old}
          AND NOT EXISTS (SELECT 1 FROM ${replies} WHERE ${replies}.request_id = ${messages}.id)`
      )
    )
  }

  const timers = (now: number): Effect.Effect<void, SqlError> =>
    Effect.suspend(() => {
      const runIds = Array.from(ended)
      ended.clear()
      const groups = Array.from(
        { length: Math.ceil(runIds.length / atOnce) },
        (_, n) => runIds.slice(n * atOnce, (n + 1) * atOnce)
      )
      return Effect.forEach(
        groups,
        (group) =>
          sql`DELETE FROM ${messages} WHERE entity_type = ${entityType} AND processed = FALSE
            AND deliver_at > ${now} AND ${sql.in("entity_id", group)}`,
        { discard: true }
      )
    })

  /** Says what it could not do, and leaves it for the next time. */
  const quietly = (swept: Effect.Effect<void, SqlError>): Effect.Effect<void> =>
    Effect.catchCause(swept, (cause) =>
      Cause.hasInterruptsOnly(cause)
        ? Effect.interrupt
        : Effect.logDebug("The tables of the cluster could not be swept", cause))

  return {
    ended: (runId: string) => {
      if (ended.size < most) ended.add(runId)
    },
    /** All that was handled; one runner does it. `now` is UTC milliseconds. */
    handled: (now: number) => quietly(handled(now)),
    /** Timers of what has ended here; every runner does it. */
    timers: (now: number) => quietly(timers(now))
  }
}
