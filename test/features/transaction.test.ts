/**
 * `ctx.transaction`: what a step writes to the database and its entry are committed together, or neither, on
 * SQLite; whatever the step, the session or another branch does meanwhile.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { Runs, Storage, Workflow } from "reprise"
import { SqliteStorage } from "reprise/sqlite"
import { temporary } from "../storage/support/local.ts"
import { join } from "node:path"

const add = (id: string, amount: number) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    yield* sql`INSERT INTO ledger (id, amount) VALUES (${id}, ${amount})`
    return amount
  })

const table = Effect.flatMap(
  SqlClient.SqlClient,
  (sql) => sql`CREATE TABLE IF NOT EXISTS ledger (id TEXT PRIMARY KEY, amount INTEGER NOT NULL)`
)
const rows = Effect.flatMap(
  SqlClient.SqlClient,
  (sql) => sql<{ id: string; amount: number }>`SELECT id, amount FROM ledger ORDER BY id`
)

const fresh = () => SqliteStorage.layer({ filename: join(temporary(), "app.db") })

describe("a transaction", () => {
  it.live("is committed with its entry, and a replay is handed its value", () => {
    const w = Workflow.make("w", { events: { go: Schema.Void } }, function*(ctx) {
      const a = yield* ctx.transaction("a", add("a", 1))
      const b = yield* ctx.transaction("b", () => add("b", a + 1))
      yield* ctx.suspend("go")
      return a + b
    })
    return Effect.gen(function*() {
      yield* table
      expect(yield* w.start(undefined, { runId: "r" })).toMatchObject({ status: "suspended" })
      expect(yield* w.resume("r", { eventName: "go", value: undefined })).toMatchObject({
        status: "success",
        result: 3
      })
      expect(yield* rows).toEqual([{ id: "a", amount: 1 }, { id: "b", amount: 2 }])
      const { entries } = yield* Runs.journal("r")
      expect(entries.map(({ type }) => type)).toEqual([
        "start", "step", "step", "suspend", "start", "resume", "complete"
      ])
    }).pipe(Effect.provide(fresh()))
  })

  it.live("in branches beside each other is one after the other in the journal", () => {
    const w = Workflow.make("w", function*(ctx) {
      const all = yield* ctx.all(
        ["a", "b", "c", "d"].map((id, i) => ctx.transaction(id, add(id, i)))
      )
      const plain = yield* ctx.all([
        ctx.step("x", Effect.sleep(5).pipe(Effect.as(1))),
        ctx.transaction("e", Effect.andThen(Effect.sleep(2), add("e", 9)))
      ])
      return [...all, ...plain]
    })
    return Effect.gen(function*() {
      yield* table
      expect(yield* w.execute(undefined, { runId: "r" })).toEqual([0, 1, 2, 3, 1, 9])
      expect((yield* rows).length).toBe(5)
    }).pipe(Effect.provide(fresh()))
  })

  it.live("that fails is rolled back, and the body hears of it", () => {
    const w = Workflow.make("w", function*(ctx) {
      const failed = yield* ctx.transaction("a", Effect.andThen(add("a", 1), Effect.fail(new Error("no"))))
        .pipe((x) => x)
      return failed
    })
    return Effect.gen(function*() {
      yield* table
      const r = yield* w.start(undefined, { runId: "r" })
      expect(r).toMatchObject({ status: "failed" })
      expect(yield* rows).toEqual([])
    }).pipe(Effect.provide(fresh()))
  })

  it.live("needs a storage that can: nothing is journaled elsewhere", () => {
    const w = Workflow.make("w", function*(ctx) {
      return yield* ctx.transaction("a", add("a", 1))
    })
    return Effect.gen(function*() {
      yield* table
      const error = yield* Effect.flip(
        w.start(undefined, { runId: "r" }).pipe(Effect.provide(Storage.layerMemory))
      )
      expect(error).toMatchObject({ _tag: "StorageError", reason: "Unsupported" })
      expect(yield* rows).toEqual([])
    }).pipe(Effect.provide(fresh()))
  })
})
