/**
 * What is special about journals in Postgres: tables and who may make them, text that must not change,
 * notifications, pools of any size, the caller's own transactions, and appends that share a statement.
 */
import { describe, expect, it } from "@effect/vitest"
import { Context, Deferred, Effect, Fiber, Layer, Queue, Result, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { randomUUID } from "node:crypto"
import { Journal, Runs, Storage, Workflow } from "reprise"
import { PostgresStorage } from "reprise/postgres"
import { patience, runs } from "../support/amount.ts"
import { createDatabase, execute, postgresUrl } from "../support/postgres.ts"
import { random } from "./support/random.ts"
import {
  mark,
  marked,
  marks,
  type Pool,
  poolOf,
  processOn,
  query,
  type Services,
  storageOf
} from "./support/transfers.ts"

const freshUrl = Effect.promise(async () => (await createDatabase()).url)

/** Runs on an empty database with the storage opened. */
const onStorage = <A, E>(
  test: (url: string) => Effect.Effect<A, E, Services>,
  pool?: Pool
) => Effect.flatMap(freshUrl, (url) => Effect.provide(test(url), storageOf(url, pool)))

const double = Workflow.make("double", { input: Schema.Int }, function*(ctx, n) {
  return yield* ctx.step("double", () => Promise.resolve(n * 2))
})

const waiting = Workflow.make("waiting", {
  events: { go: Schema.String }
}, function*(ctx) {
  return yield* ctx.suspend("go")
})

const schemas = Effect.map(
  query<{ name: string }>(
    `SELECT nspname AS name FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema)' ORDER BY 1`
  ),
  (rows) => rows.map(({ name }) => name)
)

// ---------------------------------------------------------------------------------------------------
// journals by hand

const timestamp = "2026-01-02T03:04:05.678Z"

const opening = (runId: string): Journal.Entry => ({
  type: "start",
  format: Journal.format,
  workflow: "by-hand",
  runId,
  metadata: null,
  seed: "seed"
})

const step = (stepId: string, result: Schema.Json): Journal.Entry => ({
  type: "step",
  stepId,
  result
} as Journal.Entry)

/** A writer of a new run, and the lines that it was given. */
const handOf = (driver: Storage.Driver, runId: string) =>
  Effect.gen(function*() {
    const lines: Array<string> = []
    const storage = Storage.make({
      ...driver,
      writer: (runId) =>
        Effect.map(driver.writer(runId), (writer) => ({
          ...writer,
          append: (at, given, row, areSteps) => {
            lines.push(...given)
            return writer.append(at, given, row, areSteps)
          }
        }))
    })
    const writer = yield* storage.writer(yield* storage.read(runId))
    const stamp = { incarnation: `of-${runId}`, session: 1, writer: "hand" }
    return {
      lines,
      append: (...entries: ReadonlyArray<Journal.Entry>) =>
        writer.append(stamp, entries.map((entry) => Journal.stamped(entry, timestamp)))
    }
  })

const driver = PostgresStorage.make()

describe("the tables", () => {
  it.live("are made once, whether the layer is built once, again, or by five at once", () =>
    Effect.gen(function*() {
      const url = yield* freshUrl
      const one = Effect.scoped(Effect.asVoid(processOn(url)))
      yield* Effect.all([one, one, one, one, one], { concurrency: "unbounded" })
      yield* one
      yield* Effect.gen(function*() {
        expect(yield* query(`SELECT name FROM reprise.migrations`)).toEqual([{ name: "storage" }])
        expect(yield* double.execute(4, { runId: "r" })).toBe(8)
      }).pipe(Effect.provide(storageOf(url)))
    }))

  it.live("are in a schema of one's own, where other journals do not show", () =>
    Effect.gen(function*() {
      const url = yield* freshUrl
      yield* Effect.gen(function*() {
        const shop = yield* processOn(url, {}, "shop_2")
        expect(yield* shop.run(schemas)).toEqual(["public", "shop_2"])
        expect(yield* shop.run(double.execute(1, { runId: "r" }))).toBe(2)
        const other = yield* processOn(url)
        expect(yield* other.run(schemas)).toEqual(["public", "reprise", "shop_2"])
        expect(yield* other.run(double.execute(2, { runId: "r" }))).toBe(4)
        expect(yield* shop.run(double.execute(1, { runId: "r" }))).toBe(2)
      }).pipe(Effect.scoped)
    }))

  const hostile = [
    "x\"; DROP TABLE precious; --",
    "'; DROP TABLE precious; --",
    "",
    "Upper",
    "a.b",
    "1st",
    "sch\u00f6n",
    "a b",
    "a\u0000",
    "x".repeat(64)
  ]
  it.live.each(hostile)("are not made in a schema named %j", (schema) =>
    Effect.gen(function*() {
      const url = yield* freshUrl
      const build = (
        layer: Layer.Layer<Storage.Storage, Storage.StorageError, SqlClient.SqlClient>
      ) => Effect.flip(Effect.scoped(Layer.build(Layer.provide(layer, poolOf(url)))))
      const refused = { _tag: "StorageError", reason: "Unsupported" }
      expect(yield* build(PostgresStorage.layer({ schema }))).toMatchObject(refused)
      expect(yield* build(PostgresStorage.layerWithoutMigrations({ schema }))).toMatchObject(
        refused
      )
      yield* Effect.gen(function*() {
        expect(yield* Effect.flip(PostgresStorage.migrate({ schema }))).toMatchObject(refused)
        expect(yield* schemas).toEqual(["public"])
      }).pipe(Effect.provide(poolOf(url)))
    }))

  it.live("must be there for the layer without migrations, which says how they get there", () =>
    Effect.gen(function*() {
      const url = yield* freshUrl
      const open = Layer.provide(PostgresStorage.layerWithoutMigrations(), poolOf(url))
      const error = yield* Effect.flip(Effect.scoped(Layer.build(open)))
      expect(error).toMatchObject({ _tag: "StorageError", reason: "Denied" })
      expect(error.message).toContain("PostgresStorage.migrate")
      expect(error.message).toContain("migrationStatements")
      expect(yield* Effect.provide(schemas, poolOf(url))).toEqual(["public"])
    }))

  const means = {
    "by migrate": PostgresStorage.migrate(),
    "by the statements": Effect.forEach(
      PostgresStorage.migrationStatements(),
      (statement) => query(statement),
      { discard: true }
    )
  }
  it.live.each(Object.entries(means))(
    "that were made %s are enough for a role that may only read and write",
    ([, make]) =>
      Effect.gen(function*() {
        const url = yield* freshUrl
        const role = `reprise_${randomUUID().replaceAll("-", "")}`
        yield* Effect.gen(function*() {
          yield* make
          yield* marks
          yield* Effect.acquireRelease(
            query(`CREATE ROLE ${role} LOGIN PASSWORD 'secret'`),
            () =>
              Effect.orDie(
                query(`DROP OWNED BY ${role}`).pipe(
                  Effect.andThen(query(`DROP ROLE ${role}`))
                )
              )
          )
          for (const schema of ["reprise", "public"]) {
            yield* query(`GRANT USAGE ON SCHEMA ${schema} TO ${role}`)
            yield* query(
              `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${schema} TO ${role}`
            )
          }
          const own = new URL(url)
          own.username = role
          own.password = "secret"
          yield* Effect.gen(function*() {
            const pay = Workflow.make("pay", { events: { go: Schema.String } }, function*(ctx) {
              const paid = yield* ctx.transaction("pay", mark("paid"))
              return `${paid} and ${yield* ctx.suspend("go")}`
            })
            yield* pay.start(undefined, { runId: "r" })
            yield* pay.send("r", { eventName: "go", value: "gone" })
            expect(yield* Runs.due()).toEqual(["r"])
            expect(yield* pay.resume("r")).toMatchObject({ result: "paid and gone" })
            expect((yield* Runs.list()).runs.map(({ status }) => status)).toEqual(["success"])
            yield* Runs.remove("r")
            expect((yield* Runs.list()).runs).toEqual([])
            const denied = yield* Effect.flip(PostgresStorage.migrate({ schema: "other" }))
            expect(denied).toMatchObject({ _tag: "StorageError", reason: "Denied" })
          }).pipe(
            Effect.provide(
              Layer.provideMerge(PostgresStorage.layerWithoutMigrations(), poolOf(own.href))
            )
          )
        }).pipe(Effect.scoped, Effect.provide(poolOf(url)))
      })
  )

  it.live("that were made by the statements are taken as they are by the layer that migrates", () =>
    Effect.gen(function*() {
      const url = yield* freshUrl
      yield* Effect.provide(means["by the statements"], poolOf(url))
      expect(yield* Effect.provide(double.execute(3), storageOf(url))).toBe(6)
    }))

  it.live("are not looked for on a server that only reads", () =>
    Effect.gen(function*() {
      const { name, url } = yield* Effect.promise(createDatabase)
      const server = yield* Effect.promise(postgresUrl)
      const readOnly = (value: string) =>
        Effect.promise(() =>
          execute(server, `ALTER DATABASE ${name} SET default_transaction_read_only = ${value}`)
        )
      yield* readOnly("on")
      for (const make of [PostgresStorage.layer, PostgresStorage.layerWithoutMigrations]) {
        const open = Layer.provide(make(), poolOf(url))
        const error = yield* Effect.flip(Effect.scoped(Layer.build(open)))
        expect(error).toMatchObject({ _tag: "StorageError", reason: "Denied" })
        expect(error.message).toContain("primary")
      }
      expect(yield* Effect.provide(schemas, poolOf(url))).toEqual(["public"])
      yield* readOnly("off")
      expect(yield* Effect.provide(double.execute(3), storageOf(url))).toBe(6)
    }))

  it.live("are out of reach for a while when the server begins to only read", () =>
    onStorage(() =>
      Effect.gen(function*() {
        const hand = yield* (yield* driver).writer("r")
        yield* query("SET default_transaction_read_only = on")
        const row = () =>
          Storage.rowOf({ runId: "r", entries: [], head: Journal.emptyHead, rejected: 0, torn: 0 })
        const error = yield* Effect.flip(hand.append("", ["{}"], row))
        expect(error).toMatchObject({ _tag: "StorageError", reason: "Unavailable" })
        yield* query("SET default_transaction_read_only = off")
        expect(yield* double.execute(3)).toBe(6)
      }).pipe(Effect.scoped), { maxConnections: 1 }))
})

describe("text", () => {
  const values: Readonly<Record<string, Schema.Json>> = {
    "escaped zeros": "a\u0000b\u0000",
    "half a surrogate pair": ["\ud800", "x\udfff", "\ud83d\ude00"],
    "line separators": "\u2028\u2029\u0085\r\n\t\u000b",
    "escapes that are none": "\\u0000 \\n \\\\ $1 ' \" %s ${x}",
    "keys in their order": { b: 1, a: { z: 1, y: 2 }, "2": 0, "": null, "__proto__x": 1 },
    "numbers as they were": [1e300, 0, 0.1, 5e-324, 9007199254740991],
    "three megabytes": "\u00e4\u0000z".repeat(1_000_000)
  }
  it.live.each(Object.entries(values))(
    "comes back byte by byte: %s",
    ([, value]) =>
      onStorage((url) =>
        Effect.gen(function*() {
          const here = yield* driver
          const hand = yield* handOf(here, "r")
          yield* hand.append(opening("r"))
          yield* hand.append(step("one", value), step("two", value))
          const there = Context.get((yield* processOn(url)).context, Storage.Storage)
          expect((yield* here.read("r")).text).toBe(hand.lines.map((line) => `${line}\n`).join(""))
          const { journal } = yield* there.read("r")
          expect(
            journal.entries.slice(1).map((entry) =>
              JSON.stringify((entry as { result?: unknown }).result)
            )
          )
            .toEqual([JSON.stringify(value), JSON.stringify(value)])

          const posted = {
            type: "event",
            eventName: "go",
            value,
            eventId: "e",
            incarnation: "i",
            timestamp
          } as const
          yield* there.post("r", posted)
          const { items } = yield* there.inbox("r", "i", "")
          const [item, ...others] = items as ReadonlyArray<
            typeof posted & { readonly sum?: string }
          >
          expect(others).toEqual([])
          const { sum: _, ...told } = item!
          expect(told).toEqual(posted)
          expect(JSON.stringify(told.value)).toBe(JSON.stringify(value))
        }).pipe(Effect.scoped)
      )
  )

  it.live("of a run comes back to another process", () =>
    onStorage((url) =>
      Effect.gen(function*() {
        const w = Workflow.make("w", { events: { go: Schema.Json } }, function*(ctx) {
          const list = []
          for (const [name, value] of Object.entries(values)) {
            if (name === "three megabytes") continue
            list.push(yield* ctx.step("value", () => value, { schema: Schema.Json }))
          }
          yield* ctx.suspend("go")
          return JSON.stringify(list)
        })
        yield* w.start(undefined, { runId: "r" })
        const other = yield* processOn(url)
        const result = yield* other.run(w.resume("r", { eventName: "go", value: "\u0000" }))
        const { "three megabytes": _, ...small } = values
        expect(result).toMatchObject({
          status: "success",
          result: JSON.stringify(Object.values(small))
        })
      }).pipe(Effect.scoped)
    ))
})

describe("notifications", () => {
  /** Until somebody listens on a connection other than `not`; gives the backend's pid. */
  const listener = (not?: number): Effect.Effect<number, unknown, SqlClient.SqlClient> =>
    Effect.flatMap(
      query<{ pid: number }>(
        `SELECT pid FROM pg_stat_activity WHERE datname = current_database()
          AND application_name = 'hears' AND query ILIKE 'LISTEN%' AND state = 'idle'`
      ),
      (rows) => {
        const found = rows.find(({ pid }) => pid !== not)
        return found === undefined
          ? Effect.andThen(Effect.sleep(5), Effect.suspend(() => listener(not)))
          : Effect.succeed(found.pid)
      }
    )

  /** A process that only listens: it asks the database nothing. */
  const hearing = (url: string, runIds: ReadonlyArray<string>) =>
    Effect.gen(function*() {
      const { context } = yield* processOn(url, { applicationName: "hears" })
      const storage = Context.get(context, Storage.Storage)
      const news = yield* Queue.unbounded<string>()
      for (const runId of runIds) {
        yield* Effect.acquireRelease(
          Effect.sync(() =>
            storage.watch(runId, (what) => Queue.offerUnsafe(news, `${runId} ${what}`))
          ),
          (unwatch) => Effect.sync(unwatch)
        )
      }
      /** Everything that is heard, up to what `last` says. */
      const upTo = (last: string) =>
        Effect.gen(function*() {
          const heard: Array<string> = []
          while (heard.at(-1) !== last) heard.push(yield* Queue.take(news))
          return heard
        })
      return { upTo }
    })

  it.live("tell another process of posts and ends, also behind a connection that was lost", () =>
    onStorage((url) =>
      Effect.gen(function*() {
        const { upTo } = yield* hearing(url, ["a", "b"])
        const first = yield* listener()
        yield* waiting.start(undefined, { runId: "a" })
        yield* waiting.send("a", { eventName: "go", value: "x" })
        expect(yield* upTo("a inbox")).toContain("a inbox")
        yield* waiting.resume("a")
        expect(yield* upTo("a journal")).toContain("a journal")

        yield* query("SELECT pg_terminate_backend($1::int)", [first])
        expect(yield* listener(first)).not.toBe(first)
        yield* waiting.start(undefined, { runId: "b" })
        yield* waiting.send("b", { eventName: "go", value: "x" })
        expect(yield* upTo("b inbox")).toContain("b inbox")
      }).pipe(Effect.scoped)
    ))

  it.live("of a transaction come when it commits, and never when it does not", () =>
    onStorage((url) =>
      Effect.gen(function*() {
        const ids = ["one", "two", "three", "four"]
        for (const runId of ids) yield* waiting.start(undefined, { runId })
        const { upTo } = yield* hearing(url, ids)
        yield* listener()
        const sql = yield* SqlClient.SqlClient
        const other = yield* processOn(url)
        const send = (runId: string) => waiting.send(runId, { eventName: "go", value: "x" })
        yield* Effect.ignore(sql.withTransaction(
          PostgresStorage.inTransaction(send("one")).pipe(Effect.andThen(Effect.fail("no")))
        ))
        yield* sql.withTransaction(Effect.andThen(
          PostgresStorage.inTransaction(send("two")),
          other.run(send("three"))
        ))
        yield* other.run(send("four"))
        const inboxes = (yield* upTo("four inbox")).filter((what) => what.endsWith("inbox"))
        expect(inboxes).toEqual(["three inbox", "two inbox", "four inbox"])
      }).pipe(Effect.scoped)
    ))
})

describe("a pool", () => {
  const steps = Workflow.make("steps", { input: Schema.Int }, function*(ctx, n) {
    const a = yield* ctx.step("a", Effect.as(Effect.sleep(1), n))
    const [b, c] = yield* ctx.all([
      ctx.step("b", Effect.as(Effect.sleep(2), 1)),
      ctx.step("c", () => Promise.resolve(2))
    ])
    return a + b + c
  })
  const many = (count: number) =>
    Effect.forEach(
      Array.from({ length: count }, (_, n) => n),
      (n) => steps.execute(n, { runId: `r${n}` }),
      { concurrency: "unbounded" }
    )

  it.live.each([1, 2])(
    "of %i is enough for twenty runs at once",
    (maxConnections) =>
      onStorage(() =>
        Effect.gen(function*() {
          expect(yield* many(20)).toEqual(Array.from({ length: 20 }, (_, n) => n + 3))
          expect((yield* Runs.list()).runs.length).toBe(20)
        }), { maxConnections })
  )

  it.live("of two is enough for twenty runs that each have a transaction", () =>
    onStorage(() =>
      Effect.gen(function*() {
        yield* marks
        const w = Workflow.make("w", { input: Schema.String }, function*(ctx, name) {
          yield* ctx.transaction("pay", Effect.tap(mark(name), () => Effect.sleep(2)))
          return yield* ctx.step("then", () => name)
        })
        const names = Array.from({ length: 20 }, (_, n) => `r${n}`).toSorted()
        yield* Effect.forEach(names, (name) => w.execute(name, { runId: name }), {
          concurrency: "unbounded"
        })
        expect(yield* marked).toEqual(names)
      }), { maxConnections: 2 }))

  // Where it is not enough, it must be said: nobody may wait for ever.
  it.live.each([["sync", 1], ["async", 1], ["sync", 2], ["async", 2]] as const)(
    "is enough for a transaction behind other steps and beside one, or it is refused: %s, %i",
    ([durability, maxConnections]) =>
      onStorage(() =>
        Effect.gen(function*() {
          yield* marks
          const w = Workflow.make("w", function*(ctx) {
            yield* ctx.step("before", () => 1)
            yield* ctx.all([
              ctx.transaction("pay", Effect.tap(mark("paid"), () => Effect.sleep(60))),
              ctx.step("beside", Effect.sleep(20))
            ])
          })
          const ran = yield* Effect.result(w.start(undefined, { runId: "r", durability }))
          expect(Result.isSuccess(ran) ? ran.success.status : ran.failure).toSatisfy((what) =>
            what === "success"
            || (what._tag === "StorageError" && what.reason === "Unsupported")
          )
        }), { maxConnections }),
    10_000
  )

  it.live("that keeps no connection and prepares nothing loses nothing: a pooler may stand between", () =>
    onStorage(() =>
      Effect.gen(function*() {
        yield* marks
        expect(yield* many(5)).toEqual([3, 4, 5, 6, 7])
        const w = Workflow.make("w", { events: { go: Schema.String } }, function*(ctx) {
          yield* ctx.transaction("pay", mark("paid"))
          return yield* ctx.suspend("go")
        })
        yield* w.start(undefined, { runId: "w" })
        const result = yield* w.resume("w", { eventName: "go", value: "on" })
        expect(result).toMatchObject({ status: "success", result: "on" })
        expect(yield* marked).toEqual(["paid"])
      }), { prepare: false, connectionTTL: 0 }))

  it.live("that prepares nothing has no named statements", () =>
    onStorage(() =>
      Effect.gen(function*() {
        expect(yield* many(3)).toEqual([3, 4, 5])
        expect(yield* query("SELECT name FROM pg_prepared_statements")).toEqual([])
      }), { prepare: false, maxConnections: 1 }))
})

describe("a transaction of the caller's", () => {
  const orders = query("CREATE TABLE orders (id text PRIMARY KEY)")
  const order = (id: string) => query("INSERT INTO orders VALUES ($1)", [id])
  const ordered = Effect.map(
    query<{ id: string }>("SELECT id FROM orders ORDER BY id"),
    (rows) => rows.map(({ id }) => id)
  )
  const known = Effect.map(
    Runs.list(),
    ({ runs }) => runs.map(({ runId, status }) => `${runId} ${status}`)
  )
  const inTransaction = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.flatMap(SqlClient.SqlClient, (sql) => sql.withTransaction(effect))

  it.live("around a run is not the run's: that is there even if the caller's is not", () =>
    onStorage((url) =>
      Effect.gen(function*() {
        yield* orders
        const other = yield* processOn(url)
        const seen = yield* Effect.flip(inTransaction(
          order("a").pipe(
            Effect.andThen(double.start(4, { runId: "r" })),
            Effect.andThen(Effect.orDie(other.run(known))),
            Effect.flatMap(Effect.fail)
          )
        ))
        expect(seen).toEqual(["r success"])
        expect(yield* ordered).toEqual([])
        expect(yield* known).toEqual(["r success"])
      }).pipe(Effect.scoped)
    ))

  it.live("has order and run together, or neither of them", () =>
    onStorage((url) =>
      Effect.gen(function*() {
        yield* orders
        const other = yield* processOn(url)
        const place = (id: string) =>
          Effect.andThen(order(id), PostgresStorage.startIn(double, 4, { runId: id }))
        yield* Effect.ignore(inTransaction(Effect.andThen(place("a"), Effect.fail("no"))))
        yield* Effect.exit(inTransaction(Effect.andThen(place("b"), Effect.die("no"))))
        expect(yield* known).toEqual([])
        expect(yield* ordered).toEqual([])
        const before = yield* inTransaction(Effect.andThen(place("c"), other.run(known)))
        expect(before).toEqual([])
        expect(yield* ordered).toEqual(["c"])
        expect(yield* known).toEqual(["c pending"])
        expect(yield* Runs.due()).toEqual(["c"])
        expect(yield* double.resume("c")).toMatchObject({ result: 8 })
      }).pipe(Effect.scoped)
    ))

  it.live("starts a run of one id once, however often and from where it is said", () =>
    onStorage((url) =>
      Effect.gen(function*() {
        const other = yield* processOn(url)
        const once = inTransaction(PostgresStorage.startIn(double, 4, { runId: "r" }))
        const twice = inTransaction(
          Effect.all([
            PostgresStorage.startIn(double, 4, { runId: "r" }),
            PostgresStorage.startIn(double, 4, { runId: "r" })
          ])
        )
        const ids = yield* Effect.all([once, other.run(once), twice, other.run(twice)], {
          concurrency: "unbounded"
        })
        expect(ids.flat()).toEqual(["r", "r", "r", "r", "r", "r"])
        expect(yield* known).toEqual(["r pending"])
        const { entries } = yield* Runs.journal("r")
        expect(entries.map(({ type }) => type)).toEqual(["start"])
        const refused = yield* Effect.flip(
          inTransaction(PostgresStorage.startIn(double, 5, { runId: "r" }))
        )
        expect(refused).toMatchObject({ _tag: "RunExists" })
      }).pipe(Effect.scoped)
    ))

  it.live("goes on behind a start that was refused", () =>
    onStorage(() =>
      Effect.gen(function*() {
        yield* orders
        yield* double.enqueue(4, { runId: "r" })
        const refused = yield* inTransaction(Effect.andThen(
          Effect.flip(PostgresStorage.startIn(double, 5, { runId: "r" })),
          order("a")
        ))
        expect(refused).toEqual([])
        expect(yield* ordered).toEqual(["a"])
      })
    ))

  it.live("sends what it sends when it commits", () =>
    onStorage(() =>
      Effect.gen(function*() {
        yield* waiting.start(undefined, { runId: "r" })
        const send = PostgresStorage.inTransaction(
          waiting.send("r", { eventName: "go", value: "on" })
        )
        yield* Effect.ignore(inTransaction(Effect.andThen(send, Effect.fail("no"))))
        expect(yield* Runs.due()).toEqual([])
        yield* inTransaction(send)
        expect(yield* Runs.due()).toEqual(["r"])
        expect(yield* waiting.resume("r")).toMatchObject({ status: "success", result: "on" })
      })
    ))

  it.live("must be open, on this storage's client", () =>
    onStorage((url) =>
      Effect.gen(function*() {
        const refused = { _tag: "StorageError", reason: "Unsupported" }
        const start = PostgresStorage.startIn(double, 4, { runId: "r" })
        expect(yield* Effect.flip(start)).toMatchObject(refused)
        const elsewhere = inTransaction(start).pipe(Effect.provide(poolOf(url)))
        expect(yield* Effect.flip(elsewhere)).toMatchObject(refused)
        expect(yield* known).toEqual([])
      })
    ))
})

describe("two writers", () => {
  it.live("that meet at one state: one of them has moved it on, the other hears of that", () =>
    onStorage((url) =>
      Effect.gen(function*() {
        const here = yield* driver
        const { context } = yield* processOn(url)
        const there = yield* Effect.provideContext(driver, context)
        yield* (yield* handOf(here, "r")).append(opening("r"))
        const winners: Array<number> = []
        for (let nth = 0; nth < 40; nth++) {
          const hands = [yield* handOf(here, "r"), yield* handOf(there, "r")]
          const won = yield* Effect.forEach(
            hands,
            (hand, which) => hand.append(step(`s${nth}`, which)),
            { concurrency: "unbounded" }
          )
          expect(won.filter((isMine) => isMine).length).toBe(1)
          winners.push(won.indexOf(true))
        }
        const { journal } = yield* Storage.make(here).read("r")
        const results = journal.entries.slice(1).map((entry) =>
          (entry as { result?: unknown }).result
        )
        expect(results).toEqual(winners)
        expect(journal.rejected).toBe(0)
      }).pipe(Effect.scoped)
    ))

  it.live("of which one has a run that was removed: it does not write to the next of that id", () =>
    onStorage(() =>
      Effect.gen(function*() {
        const here = yield* driver
        /** All that is told of the two runs is the same but for the incarnation. */
        const rowOf = (incarnation: string) => () => {
          const head = {
            ...Journal.emptyHead,
            incarnation,
            session: 1,
            offset: 1,
            prev: "00000000"
          }
          const row = Storage.rowOf({ runId: "r", entries: [], head, rejected: 0, torn: 0 })
          return { ...row, status: { ...row.status, updatedAt: timestamp } }
        }
        const writer = yield* here.writer("r")
        const first = yield* writer.append("", ["{}"], rowOf("one"))
        yield* here.remove("r")
        const second = yield* writer.append("", ["{}"], rowOf("two"))
        expect(second).not.toBe(first)
        const error = yield* Effect.flip(writer.append(first, ["{}"], rowOf("one")))
        expect(error._tag).toBe("Moved")
        expect(yield* here.version("r")).toBe(second)
      }).pipe(Effect.scoped)
    ))
})

describe("a connection that is lost", () => {
  /** Ends the connection that waits for a lock, as soon as one does. */
  const cut = (url: string): Effect.Effect<void> =>
    Effect.flatMap(
      Effect.promise(() =>
        execute(
          url,
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'`
        )
      ),
      (rows) => rows.length > 0 ? Effect.void : Effect.andThen(Effect.sleep(5), cut(url))
    )
  const lockInbox = query("LOCK TABLE reprise.inbox IN ACCESS EXCLUSIVE MODE")

  it.live("beneath a post: it is posted on another one", () =>
    onStorage((url) =>
      Effect.gen(function*() {
        yield* waiting.start(undefined, { runId: "r" })
        const other = yield* processOn(url)
        const sql = yield* SqlClient.SqlClient
        const post = yield* sql.withTransaction(Effect.gen(function*() {
          yield* lockInbox
          const post = yield* Effect.forkScoped(
            other.run(waiting.send("r", { eventName: "go", value: "on" }))
          )
          yield* cut(url)
          return post
        }))
        yield* Fiber.join(post)
        expect(yield* waiting.resume("r")).toMatchObject({ status: "success", result: "on" })
      }).pipe(Effect.scoped)
    ))

  it.live("beneath a post in the caller's transaction fails it, and is no defect", () =>
    onStorage((url) =>
      Effect.gen(function*() {
        yield* waiting.start(undefined, { runId: "r" })
        const other = yield* processOn(url)
        const sql = yield* SqlClient.SqlClient
        const post = yield* sql.withTransaction(Effect.gen(function*() {
          yield* lockInbox
          const caught = Effect.flip(PostgresStorage.inTransaction(
            waiting.send("r", { eventName: "go", value: "on" })
          ))
          // What it is told inside; the transaction itself cannot end well any more.
          const told = yield* Deferred.make<unknown>()
          yield* Effect.forkScoped(other.run(Effect.flatMap(
            SqlClient.SqlClient,
            (sql) =>
              sql.withTransaction(Effect.flatMap(caught, (error) => Deferred.succeed(told, error)))
          )))
          yield* cut(url)
          return Deferred.await(told)
        }))
        expect(yield* post).toMatchObject({ _tag: "StorageError", reason: "Unavailable" })
      }).pipe(Effect.scoped)
    ))
})

describe("many at once", () => {
  it.live("posts of two processes are all kept, in one order without gaps", () =>
    onStorage((url) =>
      Effect.gen(function*() {
        const other = yield* processOn(url)
        yield* waiting.start(undefined, { runId: "r" })
        const posts = Effect.gen(function*() {
          const storage = yield* Storage.Storage
          return (fiber: number, nth: number) =>
            storage.post("r", {
              type: "event",
              eventName: "go",
              value: [fiber, nth],
              eventId: `${fiber}-${nth}`,
              incarnation: "i",
              timestamp
            })
        })
        const here = yield* posts
        const there = yield* other.run(posts)
        const fibers = Array.from({ length: 20 }, (_, fiber) => fiber)
        const each = 8
        yield* Effect.forEach(fibers, (fiber) =>
          Effect.gen(function*() {
            for (let nth = 0; nth < each; nth++) yield* (fiber % 2 === 0 ? here : there)(fiber, nth)
          }), { concurrency: "unbounded" })
        const storage = yield* Storage.Storage
        const { cursor, items } = yield* storage.inbox("r", "i", "")
        expect(items.length).toBe(20 * each)
        expect(cursor).toBe(String(20 * each))
        for (const fiber of fibers) {
          const own = items.flatMap((item) =>
            item.type === "event" && (item.value as Array<number>)[0] === fiber
              ? [(item.value as Array<number>)[1]]
              : []
          )
          expect(own).toEqual(Array.from({ length: each }, (_, nth) => nth))
        }
        const positions = yield* query<{ position: number }>(
          "SELECT position FROM reprise.inbox WHERE run_id = 'r' ORDER BY 1"
        )
        expect(positions.map(({ position }) => position))
          .toEqual(Array.from({ length: 20 * each }, (_, nth) => nth + 1))
        const again = yield* other.run(
          Effect.flatMap(Storage.Storage, (storage) => storage.inbox("r", "i", ""))
        )
        expect(again.items).toEqual(items)
      }).pipe(Effect.scoped)
    ))

  /** Counts the statements that append, of a driver made behind this. */
  const counting = Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const { unsafe } = sql
    const count = { appends: 0 }
    Object.assign(sql, {
      unsafe: (text: string, params?: ReadonlyArray<unknown>) => {
        if (/^WITH input|^INSERT INTO \S+entries /.test(text)) count.appends++
        return unsafe(text, params)
      }
    })
    return count
  })

  it.live("appends of many runs share statements, and keep their order in each run", () =>
    onStorage(() =>
      Effect.gen(function*() {
        const count = yield* counting
        const here = yield* driver
        const ids = Array.from({ length: 64 }, (_, n) => `r${n}`)
        const rounds = 10
        const texts = yield* Effect.forEach(ids, (runId) =>
          Effect.gen(function*() {
            const hand = yield* handOf(here, runId)
            yield* hand.append(opening(runId))
            for (let nth = 0; nth < rounds; nth++) {
              expect(yield* hand.append(step(`s${nth}`, nth))).toBe(true)
            }
            return hand.lines.map((line) => `${line}\n`).join("")
          }), { concurrency: "unbounded" })
        const appends = ids.length * (rounds + 1)
        expect(count.appends).toBeLessThan(appends / 4)
        const read = yield* Effect.forEach(ids, (runId) => here.read(runId))
        expect(read.map(({ text }) => text)).toEqual(texts)
      }).pipe(Effect.scoped)
    ))

  it.live("an append to a run that is gone is not told of one beside it, whatever they are called", () =>
    onStorage(() =>
      Effect.gen(function*() {
        const here = yield* driver
        const made = yield* Effect.forEach(["a", "b", "c"], (runId) => handOf(here, runId))
        for (const [n, hand] of made.entries()) yield* hand.append(opening("abc"[n]!))
        // A run that is called as the row of another one is.
        const [key = ""] = (yield* here.version("c")).split(":")
        const gone = yield* handOf(here, key)
        yield* gone.append(opening(key))
        yield* here.remove(key)
        const failed: Journal.Entry = { type: "error", error: "x" }
        // While both statements that may be under way are, the last two wait together.
        const answers = yield* Effect.all(
          [...made.map((hand) => hand.append(step("s", 1))), gone.append(failed)],
          { concurrency: "unbounded" }
        )
        expect(answers).toEqual([true, true, true, false])
      }).pipe(Effect.scoped)
    ))

  it.live("a lone writer has a statement for each append", () =>
    onStorage(() =>
      Effect.gen(function*() {
        const count = yield* counting
        const hand = yield* handOf(yield* driver, "r")
        yield* hand.append(opening("r"))
        for (let nth = 0; nth < 9; nth++) yield* hand.append(step(`s${nth}`, nth))
        expect(count.appends).toBe(10)
      }).pipe(Effect.scoped)
    ))

  it.live("an append that the server refuses does not take others with it", () =>
    onStorage(() =>
      Effect.gen(function*() {
        const here = yield* driver
        const ids = Array.from({ length: 30 }, (_, n) => `r${n}`)
        const bad = new Set([7, 8, 20])
        const results = yield* Effect.forEach(ids, (runId, nth) =>
          Effect.gen(function*() {
            const stamp = { incarnation: "i", session: 1, writer: "w" }
            const first = Journal.stamped(opening(runId), timestamp)
            const { head, lines } = Journal.seal(Journal.emptyHead, stamp, [first])
            const entries = lines.map((line): Journal.Recorded => JSON.parse(line))
            const row = () => Storage.rowOf({ runId, entries, head, rejected: 0, torn: 0 })
            const writer = yield* here.writer(runId)
            // No text of Postgres's has a zero in it.
            const sent = bad.has(nth) ? lines.map((line) => `${line}\u0000`) : lines
            return yield* Effect.result(writer.append("", sent, row))
          }), { concurrency: "unbounded" })
        results.forEach((result, nth) => {
          if (!bad.has(nth)) expect(result).toMatchObject({ _tag: "Success" })
          else {expect(result).toMatchObject({
              failure: { _tag: "StorageError", reason: "Unknown" }
            })}
        })
        const versions = yield* Effect.forEach(ids, (runId) => here.version(runId))
        versions.forEach((version, nth) => expect(version === "").toBe(bad.has(nth)))
      }).pipe(Effect.scoped)
    ))
})

describe("the index", () => {
  const hour = 3_600_000

  const child = Workflow.make("child", { events: { go: Schema.String } }, function*(ctx) {
    return yield* ctx.suspend("go")
  })
  const parent = Workflow.make("parent", { input: Schema.String }, function*(ctx, id) {
    return yield* ctx.child(child, undefined, { runId: id })
  })
  const sleeper = Workflow.make("sleeper", { input: Schema.Int }, function*(ctx, hours) {
    yield* ctx.sleep(hours * hour)
    return "slept"
  })
  const failing = Workflow.make("failing", function*(ctx) {
    return yield* ctx.step("fail", () => Promise.reject(new Error("no")))
  })
  const going = Workflow.make("going", { input: Schema.Int }, function*(ctx, n) {
    if (n > 0) yield* ctx.continueAs(n - 1)
    return yield* ctx.step("end", () => n)
  })

  /** A history of many runs, that of the same seed always the same. */
  const history = (seed: number) =>
    Effect.gen(function*() {
      const chance = random(seed)
      const ids: Array<string> = []
      const storage = yield* Storage.Storage
      for (let nth = 0; nth < 12; nth++) {
        const runId = `${chance.pick(["a", "B", "z_", "9-"])}${nth}`
        const known = ids.length === 0 ? runId : chance.pick(ids)
        ids.push(runId)
        yield* Effect.ignore(
          [
            () => double.start(nth, { runId }),
            () => double.enqueue(nth, { runId }),
            () => waiting.start(undefined, { runId }),
            () => sleeper.start(1 + chance.below(4), { runId }),
            () => failing.start(undefined, { runId }),
            () => going.start(chance.below(3), { runId }),
            () => parent.start(`${runId}_child`, { runId }),
            () => child.resume(`${known}_child`, { eventName: "go", value: "x" }),
            () => waiting.send(known, { eventName: "go", value: "x" }),
            () => waiting.resume(known, { eventName: "go", value: "y" }),
            () => waiting.cancel(known, { reason: "enough" }),
            () => Runs.remove(known),
            () => storage.acquire(known)
          ][chance.below(13)]!() as Effect.Effect<unknown, unknown, Services>
        )
      }
      return chance
    })

  /** Everything that can be asked of the runs together. */
  const answers = (seed: number, now: number) =>
    Effect.gen(function*() {
      const chance = random(seed)
      const storage = yield* Storage.Storage
      const found: Array<unknown> = []
      for (let hours = 0; hours < 6; hours++) {
        found.push((yield* storage.due(now + hours * hour + 1)).toSorted())
      }
      const queries: Array<Storage.Query> = [
        {},
        ...([
          "pending",
          "running",
          "suspended",
          "blocked",
          "success",
          "failed",
          "cancelled"
        ] as const)
          .map((status) => ({ status })),
        ...["double", "waiting", "sleeper", "none"].map((workflow) => ({ workflow })),
        { updatedFrom: now },
        { updatedBefore: now },
        { limit: 1 + chance.below(4), after: chance.pick(["", "a", "B3", "z"]) }
      ]
      for (const query of queries) {
        const { cursor, runs, unreadable } = yield* storage.list(query)
        found.push({ query, cursor, runs, unreadable })
      }
      return found
    })

  /** Ids by chance stand in the states of runs, and are not the same twice. */
  const comparable = (found: ReadonlyArray<unknown>) =>
    JSON.parse(
      JSON.stringify(found, (key, value) =>
        ["continuedAs", "continuedFrom", "writer", "host"].includes(key) ? "by chance" : value)
    )

  it.effect(
    `answers as the storage in memory does, over ${runs(36)} random histories`,
    () =>
      Effect.gen(function*() {
        const url = yield* freshUrl
        for (let seed = 1; seed <= runs(36); seed++) {
          const told = (yield* Effect.all([
            Effect.provide(
              Effect.andThen(history(seed), answers(seed, 0)),
              Layer.merge(Storage.layerMemory, poolOf(url))
            ),
            Effect.provide(
              Effect.andThen(history(seed), answers(seed, 0)),
              storageOf(url, {}, `seed_${seed}`)
            )
          ])).map(comparable)
          expect(told[1], `seed ${seed}`).toEqual(told[0])
        }
      }),
    patience
  )
})
