/**
 * Hears of posts and ends that other processes write, where the client can listen: `NOTIFY` cuts the wait
 * for the next look. What is missed while the connection is down is found by that look.
 */
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"

/** What `@effect/sql-pg`'s client has beside Effect's. */
interface Listening extends SqlClient {
  readonly config?: { readonly maxConnections?: number | undefined }
  readonly listen: (
    channel: string
  ) => Effect.Effect<Queue.Dequeue<{ readonly payload: string }, SqlError>, SqlError, Scope.Scope>
}

const canListen = (client: SqlClient): client is Listening =>
  "listen" in client && typeof client.listen === "function"

/** Calls `onNews` with all that somebody tells, as long as the scope is open. */
export const start = (
  client: SqlClient,
  channel: string,
  onNews: (payload: string) => void
): Effect.Effect<void, never, Scope.Scope> => {
  // It keeps a connection for itself: a pool of one would have none left.
  if (!canListen(client) || (client.config?.maxConnections ?? 10) < 2) return Effect.void
  const listening = Effect.scoped(
    Effect.flatMap(
      client.listen(channel),
      (news) => Effect.forever(Effect.map(Queue.take(news), ({ payload }) => onNews(payload)))
    )
  )
  return Effect.asVoid(
    Effect.forkScoped(Effect.retry(listening, Schedule.jittered(Schedule.spaced("1 second"))))
  )
}
