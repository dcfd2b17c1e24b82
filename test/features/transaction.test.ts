/**
 * `ctx.transaction`: what a step writes to the database and its entry are committed together, or neither, on
 * SQLite; whatever the step, the session or another branch does meanwhile.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { join } from "node:path"
import { Instruction, Runs, Storage, Workflow } from "reprise"
import { SqliteStorage } from "reprise/sqlite"
import { temporary } from "../storage/support/local.ts"

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
        "start",
        "step",
        "step",
        "suspend",
        "start",
        "resume",
        "complete"
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
      const failed = yield* ctx.transaction(
        "a",
        Effect.andThen(add("a", 1), Effect.fail(new Error("no")))
      )
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

  it.live("beside a step that is over first keeps nobody waiting", () => {
    const w = Workflow.make("w", function*(ctx) {
      yield* ctx.all([
        ctx.transaction("a", Effect.tap(add("a", 1), () => Effect.sleep(60))),
        ctx.step("beside", Effect.sleep(20))
      ])
    })
    return Effect.gen(function*() {
      yield* table
      expect(yield* w.start(undefined, { runId: "r" })).toMatchObject({ status: "success" })
      expect(yield* rows).toEqual([{ id: "a", amount: 1 }])
      // Nothing that was appended meanwhile is missing in the index.
      const storage = yield* Storage.Storage
      const { journal } = yield* storage.read("r")
      expect((yield* Runs.list()).runs).toEqual([Storage.rowOf(journal).status])
    }).pipe(Effect.provide(fresh()))
  }, 5_000)

  it.live("that fails by SQL is StepFailed in the body, which may go on", () => {
    const w = Workflow.make("w", function*(ctx) {
      return yield* ctx.transaction("a", Effect.andThen(add("a", 1), add("a", 2))).pipe(
        Instruction.catchTag("StepFailed", function*({ tag }) {
          yield* ctx.transaction("b", add("b", 1))
          return tag
        })
      )
    })
    return Effect.gen(function*() {
      yield* table
      expect(yield* w.start(undefined, { runId: "r" })).toMatchObject({ result: "SqlError" })
      expect(yield* rows).toEqual([{ id: "b", amount: 1 }])
    }).pipe(Effect.provide(fresh()))
  })

  it.live("is repeated as its step says, each time from the beginning", () => {
    let attempts = 0
    const w = Workflow.make("w", function*(ctx) {
      return yield* ctx.transaction(
        "a",
        Effect.tap(
          add("a", 1),
          () => Effect.suspend(() => ++attempts < 3 ? Effect.fail("not yet") : Effect.void)
        ),
        { retry: 5 }
      )
    })
    return Effect.gen(function*() {
      yield* table
      expect(yield* w.start(undefined, { runId: "r" })).toMatchObject({ result: 1 })
      expect(attempts).toBe(3)
      expect(yield* rows).toEqual([{ id: "a", amount: 1 }])
    }).pipe(Effect.provide(fresh()))
  })

  it.live("within which another fails loses only what that one did", () => {
    const w = Workflow.make("w", function*(ctx) {
      yield* ctx.transaction(
        "a",
        Effect.gen(function*() {
          const sql = yield* SqlClient.SqlClient
          yield* add("before", 1)
          yield* Effect.ignore(
            sql.withTransaction(Effect.andThen(add("within", 1), Effect.fail("no")))
          )
          yield* add("after", 1)
        })
      )
    })
    return Effect.gen(function*() {
      yield* table
      expect(yield* w.start(undefined, { runId: "r" })).toMatchObject({ status: "success" })
      expect((yield* rows).map(({ id }) => id)).toEqual(["after", "before"])
    }).pipe(Effect.provide(fresh()))
  })

  it.live("that loses a race is rolled back", () => {
    const w = Workflow.make("w", { input: Schema.String }, function*(ctx, id) {
      const { winner } = yield* ctx.race({
        a: ctx.transaction("a", add(`${id}-a`, 1)),
        b: ctx.transaction("b", add(`${id}-b`, 1))
      })
      return `${id}-${winner}`
    })
    return Effect.gen(function*() {
      yield* table
      const ids = Array.from({ length: 20 }, (_, n) => `r${n}`)
      const winners = yield* Effect.forEach(ids, (id) => w.execute(id, { runId: id }))
      expect((yield* rows).map(({ id }) => id)).toEqual(winners.toSorted())
    }).pipe(Effect.provide(fresh()))
  })

  it.live("whose value cannot be recorded is not done", () => {
    const w = Workflow.make("w", function*(ctx) {
      yield* ctx.transaction("a", Effect.as(add("a", 1), (() => 1) as never))
    })
    return Effect.gen(function*() {
      yield* table
      const error = yield* Effect.flip(w.start(undefined, { runId: "r" }))
      expect(error).toMatchObject({ _tag: "Unserializable" })
      expect(yield* rows).toEqual([])
      const { entries } = yield* Runs.journal("r")
      expect(entries.map(({ type }) => type)).toEqual(["start"])
    }).pipe(Effect.provide(fresh()))
  })

  it.live("on another database than the journal's is refused", () => {
    const w = Workflow.make("w", function*(ctx) {
      yield* ctx.transaction("a", add("a", 1))
    })
    return Effect.gen(function*() {
      yield* table
      const storage = yield* Storage.Storage
      const error = yield* Effect.flip(
        Effect.andThen(table, w.start(undefined, { runId: "r" })).pipe(
          Effect.provideService(Storage.Storage, storage),
          Effect.provide(fresh())
        )
      )
      expect(error).toMatchObject({ _tag: "StorageError", reason: "Unsupported" })
      expect(yield* rows).toEqual([])
      expect(yield* w.resume("r")).toMatchObject({ status: "success" })
      expect(yield* rows).toEqual([{ id: "a", amount: 1 }])
    }).pipe(Effect.provide(fresh()))
  })
})
