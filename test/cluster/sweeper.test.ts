/**
 * What a cluster's tables hold when runs have ended: nothing but a timer for each run that still waits for one, and
 * nothing is removed that somebody may still need.
 */
import { NodeCrypto } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer, Redacted, Schema } from "effect"
import { SingleRunner } from "effect/cluster"
import { SqlClient } from "effect/sql"
import { Workflow } from "reprise"
import { ClusterWorker } from "reprise/cluster"
import { PostgresStorage } from "reprise/postgres"
import * as Sweeper from "../../src/cluster/Sweeper.ts"
import { createDatabase } from "../support/postgres.ts"
import { resultOf, until, untilState } from "../worker/support.ts"

const hello = Workflow.make("hello", function*(ctx, who: string) {
  return yield* ctx.step("greet", () => `hello ${who}`)
})

const patient = Workflow.make(
  "patient",
  { events: { answer: Schema.String } },
  function*(ctx) {
    yield* ctx.suspend("answer", { timeout: "1 day" })
    return "done"
  }
)

/** What the cluster's tables hold. */
const rows = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const messages = yield* sql<{ entityId: string; tag: string; processed: boolean }>`
    SELECT entity_id AS "entityId", tag, processed FROM cluster_messages ORDER BY id`
  const [replies] = yield* sql<{ count: number }>`
    SELECT count(*)::int AS count FROM cluster_replies`
  return { messages, replies: replies!.count }
})

describe("the tables of a cluster", () => {
  it.live("are swept of what was handled, and of the timers of what has ended", () =>
    Effect.gen(function*() {
      const { url } = yield* Effect.promise(createDatabase)
      const layer = ClusterWorker.layer({ workflows: [hello, patient], poll: "1 hour" }).pipe(
        Layer.provide(SingleRunner.layer({ runnerStorage: "memory" })),
        Layer.provideMerge(PostgresStorage.layer()),
        Layer.provideMerge(PgClient.layer({ url: Redacted.make(url) })),
        Layer.provide(NodeCrypto.layerDigest)
      )
      yield* Effect.gen(function*() {
        for (const runId of ["a", "b"]) yield* hello.enqueue(runId, { runId })
        for (const runId of ["asked", "waits"]) {
          yield* patient.enqueue(undefined, { runId })
          yield* untilState(runId, "suspended")
        }
        yield* patient.send("asked", { eventName: "answer", value: "yes" })
        for (const runId of ["a", "b", "asked"]) yield* resultOf(runId)
        yield* until(
          "all that is due is handled",
          Effect.map(
            rows,
            ({ messages }) => messages.every(({ processed, tag }) => processed || tag === "Wake")
          )
        )
        const before = yield* rows
        expect(before.messages.filter(({ tag }) => tag === "Wake").map(({ entityId }) => entityId))
          .toEqual(["asked", "waits"])
        const handled = before.messages.filter(({ processed }) => processed)
        expect(handled.map(({ entityId }) => entityId)).toEqual(
          expect.arrayContaining(["a", "b", "asked", "waits"])
        )
        expect(before.replies).toBe(handled.length)

        const sweeper = Sweeper.make(yield* SqlClient.SqlClient, "cluster")
        // Whoever sent it may still wait for the reply.
        yield* sweeper.handled(Date.now())
        yield* sweeper.timers(Date.now())
        expect(yield* rows).toEqual(before)
        yield* sweeper.handled(Date.now() + 60_000)
        expect(yield* rows).toEqual({
          messages: [
            { entityId: "asked", tag: "Wake", processed: false },
            { entityId: "waits", tag: "Wake", processed: false }
          ],
          replies: 0
        })
        sweeper.ended("asked")
        yield* sweeper.timers(Date.now())
        expect(yield* rows).toEqual({
          messages: [{ entityId: "waits", tag: "Wake", processed: false }],
          replies: 0
        })
        // It goes on as before.
        yield* patient.send("waits", { eventName: "answer", value: "yes" })
        expect(yield* resultOf("waits")).toBe("done")
      }).pipe(Effect.provide(layer))
    }))

  it.live("are left alone where they are not", () =>
    Effect.gen(function*() {
      const { url } = yield* Effect.promise(createDatabase)
      yield* Effect.gen(function*() {
        const sweeper = Sweeper.make(yield* SqlClient.SqlClient, "elsewhere")
        sweeper.ended("a")
        expect(yield* sweeper.timers(Date.now())).toBe(undefined)
        expect(yield* sweeper.handled(Date.now())).toBe(undefined)
      }).pipe(Effect.provide(PgClient.layer({ url: Redacted.make(url) })))
    }))
})
