/**
 * Postgres through `pg`: runs started inside a transaction of the caller's own client, and a storage over the
 * caller's own pool whose steps borrow its connection.
 */
import { PgClient } from "@effect/sql-pg"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import pg from "pg"
import { Runs, Workflow } from "reprise"
import { PostgresStorage } from "reprise/postgres"
import { afterAll } from "vitest"
import { createDatabase } from "../support/postgres.ts"

const { url } = await createDatabase()
const pool = new pg.Pool({ connectionString: url, max: 5 })
afterAll(() => pool.end())
await pool.query("CREATE TABLE orders (id text PRIMARY KEY)")

const order = Workflow.make("order", function*(ctx, { id }: { id: string }) {
  return yield* ctx.step("pack", () => `packed ${id}`)
})

const ids = async () =>
  (await pool.query("SELECT id FROM orders ORDER BY id")).rows.map(({ id }) => id)

describe("a transaction of the caller's own client", () => {
  const storage = PostgresStorage.layer().pipe(
    Layer.provideMerge(PgClient.layer({ url: Redacted.make(url) }))
  )
  for (const end of ["COMMIT", "ROLLBACK"]) {
    it.live(`has the order and its run together: ${end}`, () =>
      Effect.gen(function*() {
        const id = `lent-${end}`
        const client = yield* Effect.promise(() => pool.connect())
        yield* Effect.promise(() => client.query("BEGIN"))
        yield* Effect.promise(() => client.query("INSERT INTO orders VALUES ($1)", [id]))
        expect(
          yield* PostgresStorage.startIn(order, { id }, { runId: id }).pipe(
            PostgresStorage.transactionWith(client)
          )
        ).toBe(id)
        // Nobody else sees either yet.
        expect(yield* Effect.flip(Runs.status(id))).toMatchObject({ _tag: "RunNotFound" })
        yield* Effect.promise(() => client.query(end))
        client.release()
        const isThere = end === "COMMIT"
        expect((yield* Effect.promise(ids)).includes(id)).toBe(isThere)
        const { runs } = yield* Runs.list({ workflow: "order" })
        expect(runs.some(({ runId }) => runId === id)).toBe(isThere)
        if (isThere) expect(yield* order.resume(id)).toMatchObject({ result: `packed ${id}` })
      }).pipe(Effect.provide(storage)))
  }
})

describe("a storage over the caller's own pool", () => {
  const storage = PostgresStorage.layer({ schema: "own_pool" }).pipe(
    Layer.provideMerge(PostgresStorage.clientFromPool(pool))
  )
  const insert = (id: string) =>
    Effect.gen(function*() {
      const client = yield* PostgresStorage.connection<pg.PoolClient>()
      const { rowCount } = yield* Effect.promise(() =>
        client.query("INSERT INTO orders VALUES ($1)", [id])
      )
      return rowCount
    })

  it.live("keeps journals, lists them, and delivers events", () =>
    Effect.gen(function*() {
      expect(yield* order.execute({ id: "o" }, { runId: "o" })).toBe("packed o")
      expect((yield* Runs.list()).runs.map(({ status }) => status)).toEqual(["success"])
      yield* order.enqueue({ id: "p" }, { runId: "p" })
      expect(yield* Runs.due()).toEqual(["p"])
    }).pipe(Effect.provide(storage)))

  it.live("commits what a step does on the borrowed connection with its entry, or neither", () =>
    Effect.gen(function*() {
      const paid = Workflow.make(
        "paid",
        function*(ctx, { id, fails }: { id: string; fails: boolean }) {
          return yield* ctx.transaction(
            "insert",
            Effect.andThen(insert(id), fails ? Effect.die(new Error("no")) : Effect.succeed(1))
          )
        }
      )
      yield* paid.execute({ id: "q", fails: false }, { runId: "q" })
      expect(yield* paid.start({ id: "r", fails: true }, { runId: "r" })).toMatchObject({
        status: "failed"
      })
      const there = yield* Effect.promise(ids)
      expect([there.includes("q"), there.includes("r")]).toEqual([true, false])
      expect((yield* Runs.journal("q")).entries.map(({ type }) => type)).toEqual([
        "start",
        "step",
        "complete"
      ])
    }).pipe(Effect.provide(storage)))

  it.live("lends no connection outside of a transaction", () =>
    Effect.gen(function*() {
      expect(yield* Effect.flip(PostgresStorage.connection())).toMatchObject({
        _tag: "StorageError",
        reason: "Unsupported"
      })
    }).pipe(Effect.provide(storage)))
})
