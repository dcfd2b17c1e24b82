/**
 * `ctx.transaction` on Postgres: whatever cuts an attempt short, what it wrote and its entry are there
 * together, once, or neither is.
 */
import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { Instruction, Runs, Storage, Workflow } from "reprise"
import { PostgresStorage } from "reprise/postgres"
import { onTestFinished } from "vitest"
import { makePaying } from "../storage/support/paying.ts"
import {
  mark,
  marked,
  marks,
  type Pool,
  poolOf,
  processOn,
  query,
  type Services,
  storageOf,
  told
} from "../storage/support/transfers.ts"
import { createDatabase } from "../support/postgres.ts"
import { startProxy } from "../support/tcpProxy.ts"

/** Runs on a database of its own, where nobody else leaves marks. */
const alone = <A, E>(test: (url: string) => Effect.Effect<A, E, Services>, pool?: Pool) =>
  Effect.gen(function*() {
    const { url } = yield* Effect.promise(createDatabase)
    return yield* Effect.provide(Effect.andThen(marks, test(url)), storageOf(url, pool))
  })

/** As `alone`, with a proxy between the storage and the server. */
const proxied = <A, E>(
  test: (
    proxy: Awaited<ReturnType<typeof startProxy>>
  ) => Effect.Effect<A, E, Services>
) =>
  Effect.gen(function*() {
    const { url } = yield* Effect.promise(createDatabase)
    const proxy = yield* Effect.promise(() => startProxy(url))
    onTestFinished(proxy.close)
    return yield* Effect.provide(Effect.andThen(marks, test(proxy)), storageOf(proxy.url))
  })

/** The server ends this transaction as it does one that was in the way of another. */
const conflict = (code: string) =>
  query(`DO $$ BEGIN RAISE EXCEPTION 'in the way' USING ERRCODE = '${code}'; END $$`)

/** The server ends this connection. */
const loseConnection = query("SELECT pg_terminate_backend(pg_backend_pid())")

/** Does `what` the first so many times. */
const times = <E, R>(many: number, what: Effect.Effect<unknown, E, R>) => {
  const seen = { times: 0 }
  const act = Effect.suspend((): Effect.Effect<unknown, E, R> =>
    ++seen.times <= many ? what : Effect.void
  )
  return { seen, act }
}

describe("a crash", () => {
  const script = fileURLToPath(new URL("../storage/support/dyingTransaction.ts", import.meta.url))

  /** Begins the run in a process that kills itself; how that ended. */
  const begin = async (url: string, moment: string) => {
    const child = spawn(process.execPath, ["--conditions=reprise-source", script, url, moment], {
      stdio: ["ignore", "ignore", "inherit"]
    })
    const [code, signal] = await once(child, "exit") as [number | null, string | null]
    return signal ?? code
  }

  const moments = {
    "while the work is done leaves nothing of it": ["work", 1],
    "between the entry and COMMIT leaves nothing of either": ["commit", 1],
    "behind COMMIT, before the engine hears of it, leaves both": ["told", 0]
  } as const
  it.live.each(Object.entries(moments))(
    "%s, and the run goes on from there",
    ([, [moment, again]]) =>
      alone((url) =>
        Effect.gen(function*() {
          expect(yield* Effect.promise(() => begin(url, moment))).toBe("SIGKILL")
          expect(yield* marked).toEqual(again === 1 ? [] : ["paid"])
          const recorded = ["start", "step before"]
          expect(yield* told("r")).toEqual(again === 1 ? recorded : [...recorded, "step pay"])

          const work = times(0, Effect.void)
          expect(yield* makePaying(work.act).resume("r")).toMatchObject({
            status: "success",
            result: ["ready", "paid", "done"]
          })
          expect(work.seen.times).toBe(again)
          expect(yield* marked).toEqual(["paid"])
          const steps = (yield* told("r")).filter((entry) => entry.startsWith("step"))
          expect(steps).toEqual(["step before", "step pay", "step after"])
        })
      )
  )
})

describe("an answer that is lost", () => {
  it.live("behind COMMIT is settled: the work is not done again", () =>
    proxied((proxy) =>
      Effect.gen(function*() {
        const work = times(0, Effect.void)
        proxy.loseAnswer(/^COMMIT$/)
        const result = yield* makePaying(work.act).start(undefined, { runId: "r" })
        expect(result).toMatchObject({ status: "success" })
        expect(proxy.counts.lost).toEqual([{ statement: "COMMIT", answer: "COMMIT" }])
        expect(work.seen.times).toBe(1)
        expect(yield* marked).toEqual(["paid"])
        expect(yield* told("r")).toEqual([
          "start",
          "step before",
          "step pay",
          "step after",
          "complete"
        ])
      })
    ))

  it.live("because COMMIT never arrived: the work is done again, and the body hears nothing", () =>
    proxied((proxy) =>
      Effect.gen(function*() {
        const work = times(0, Effect.void)
        proxy.loseRequest(/^COMMIT$/)
        const result = yield* makePaying(work.act).start(undefined, { runId: "r" })
        expect(result).toMatchObject({ status: "success" })
        expect(proxy.counts.lost).toEqual([{ statement: "COMMIT", answer: undefined }])
        expect(work.seen.times).toBe(2)
        expect(yield* marked).toEqual(["paid"])
        expect(yield* told("r")).toEqual([
          "start",
          "step before",
          "step pay",
          "step after",
          "complete"
        ])
      })
    ))

  it.live("of the statement that writes the entry: the work is done again", () =>
    proxied((proxy) =>
      Effect.gen(function*() {
        // The appends before it are settled already.
        const work = times(1, Effect.sync(() => proxy.loseAnswer(/^WITH (input|moved)/)))
        const result = yield* makePaying(work.act).start(undefined, { runId: "r" })
        expect(result).toMatchObject({ status: "success" })
        expect(proxy.counts.lost).toHaveLength(1)
        expect(work.seen.times).toBe(2)
        expect(yield* marked).toEqual(["paid"])
      })
    ))

  it.live("of the work's own statement: the work is done again", () =>
    proxied((proxy) =>
      Effect.gen(function*() {
        const work = times(0, Effect.void)
        proxy.loseAnswer(/^INSERT INTO marks/)
        const result = yield* makePaying(work.act).start(undefined, { runId: "r" })
        expect(result).toMatchObject({ status: "success" })
        expect(proxy.counts.lost).toHaveLength(1)
        expect(work.seen.times).toBe(1)
        expect(yield* marked).toEqual(["paid"])
      })
    ))

  it.live("when the server ends the connection in the middle: the work is done again", () =>
    alone(() =>
      Effect.gen(function*() {
        const work = times(2, Effect.orDie(Effect.void))
        const w = Workflow.make("w", function*(ctx) {
          return yield* ctx.transaction(
            "a",
            Effect.tap(mark("a"), () =>
              Effect.andThen(
                work.act,
                Effect.suspend(() => work.seen.times <= 2 ? loseConnection : Effect.void)
              ))
          )
        })
        const result = yield* w.start(undefined, { runId: "r" })
        expect(result).toMatchObject({ status: "success", result: "a" })
        expect(work.seen.times).toBe(3)
        expect(yield* marked).toEqual(["a"])
        expect(yield* told("r")).toEqual(["start", "step a", "complete"])
      })
    ))
})

describe("a conflict", () => {
  it.live.each(["40001", "40P01"])(
    "of kind %s is tried again, and neither body nor journal hears of it",
    (code) =>
      alone(() =>
        Effect.gen(function*() {
          const work = times(3, conflict(code))
          const attempts: Array<number> = []
          const w = Workflow.make("w", function*(ctx) {
            return yield* ctx.transaction("a", ({ attempt }) => {
              attempts.push(attempt)
              return Effect.tap(mark("a"), () => work.act)
            })
          })
          expect(yield* w.start(undefined, { runId: "r" })).toMatchObject({
            status: "success",
            result: "a"
          })
          expect(attempts.length).toBe(work.seen.times)
          expect(work.seen.times).toBe(4)
          expect(new Set(attempts)).toEqual(new Set([1]))
          expect(yield* marked).toEqual(["a"])
          expect(yield* told("r")).toEqual(["start", "step a", "complete"])
        })
      )
  )

  it.live("between real transactions is settled by trying again", () =>
    alone(() =>
      Effect.gen(function*() {
        yield* query("CREATE TABLE counts (id int PRIMARY KEY, n int NOT NULL)")
        yield* query("INSERT INTO counts VALUES (1, 0), (2, 0)")
        const ids = ["a", "b", "c", "d", "e"]
        const w = Workflow.make("w", { input: Schema.String }, function*(ctx) {
          // Read and written back: only the isolation keeps two from counting as one.
          return yield* ctx.transaction(
            "count",
            Effect.gen(function*() {
              const [row] = yield* query<{ n: number }>("SELECT n FROM counts WHERE id = 1")
              yield* query("UPDATE counts SET n = $1::int WHERE id = 1", [row!.n + 1])
              return row!.n + 1
            })
          )
        })
        const results = yield* Effect.forEach(ids, (id) => w.execute(id, { runId: id }), {
          concurrency: "unbounded"
        }).pipe(
          Effect.provideService(SqlClient.BeginTransaction, "BEGIN ISOLATION LEVEL SERIALIZABLE")
        )
        expect(results.toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4, 5])
        expect(yield* query("SELECT n FROM counts WHERE id = 1")).toEqual([{ n: 5 }])
      })
    ))
})

describe("a failure of the work", () => {
  it.live("is rolled back, and the body is told by StepFailed", () =>
    alone(() =>
      Effect.gen(function*() {
        const w = Workflow.make("w", function*(ctx) {
          return yield* ctx.transaction("a", Effect.andThen(mark("a"), mark("a"))).pipe(
            Instruction.catchTag("StepFailed", function*(failed) {
              yield* ctx.transaction("b", mark("b"))
              return `${failed.tag} after ${failed.attempts}`
            })
          )
        })
        expect(yield* w.start(undefined, { runId: "r" })).toMatchObject({
          status: "success",
          result: "SqlError after 1"
        })
        expect(yield* marked).toEqual(["b"])
        expect(yield* told("r")).toEqual(["start", "step a", "step b", "complete"])
      })
    ))

  it.live("is repeated as the step's retry says, each time in a transaction of its own", () =>
    alone(() =>
      Effect.gen(function*() {
        const work = times(2, Effect.fail("not yet"))
        const w = Workflow.make("w", function*(ctx) {
          return yield* ctx.transaction("a", Effect.tap(mark("a"), () => work.act), { retry: 3 })
        })
        expect(yield* w.start(undefined, { runId: "r" })).toMatchObject({
          status: "success",
          result: "a"
        })
        expect(work.seen.times).toBe(3)
        expect(yield* marked).toEqual(["a"])
      })
    ))

  it.live("that the work dies of is rolled back", () =>
    alone(() =>
      Effect.gen(function*() {
        const w = Workflow.make("w", function*(ctx) {
          return yield* ctx.transaction("a", Effect.andThen(mark("a"), Effect.die("no")))
        })
        expect(yield* w.start(undefined, { runId: "r" })).toMatchObject({
          status: "failed",
          error: { _tag: "StepFailed", step: "a", defect: true }
        })
        expect(yield* marked).toEqual([])
      })
    ))

  it.live("in a transaction within is undone alone", () =>
    alone(() =>
      Effect.gen(function*() {
        const w = Workflow.make("w", function*(ctx) {
          return yield* ctx.transaction(
            "a",
            Effect.gen(function*() {
              const sql = yield* SqlClient.SqlClient
              yield* mark("before")
              yield* Effect.ignore(
                sql.withTransaction(Effect.andThen(mark("within"), mark("within")))
              )
              yield* sql.withTransaction(mark("after"))
            })
          )
        })
        expect(yield* w.start(undefined, { runId: "r" })).toMatchObject({ status: "success" })
        expect(yield* marked).toEqual(["after", "before"])
      })
    ))
})

describe("what cannot be recorded", () => {
  it.live("is not done: a value that JSON does not hold", () =>
    alone(() =>
      Effect.gen(function*() {
        const w = Workflow.make("w", function*(ctx) {
          yield* ctx.transaction("a", Effect.as(mark("a"), (() => 1) as never))
        })
        const error = yield* Effect.flip(w.start(undefined, { runId: "r" }))
        expect(error).toMatchObject({ _tag: "Unserializable" })
        expect(yield* marked).toEqual([])
        expect(yield* told("r")).toEqual(["start"])
      })
    ))

  it.live("is not done: a value that its schema would not read back", () =>
    alone(() =>
      Effect.gen(function*() {
        const w = Workflow.make("w", function*(ctx) {
          return yield* ctx.transaction("a", Effect.as(mark("a"), "text" as never), {
            schema: Schema.Int
          })
        })
        const error = yield* Effect.flip(w.start(undefined, { runId: "r" }))
        expect(error).toMatchObject({ _tag: "Unserializable" })
        expect(yield* marked).toEqual([])
        expect(yield* told("r")).toEqual(["start"])
      })
    ))

  it.live("is not done: what another client writes, and the right one goes on", () =>
    alone((url) =>
      Effect.gen(function*() {
        const w = makePaying(Effect.void)
        const error = yield* Effect.flip(
          w.start(undefined, { runId: "r" }).pipe(Effect.provide(poolOf(url)))
        )
        expect(error).toMatchObject({ _tag: "StorageError", reason: "Unsupported" })
        expect(yield* marked).toEqual([])
        expect(yield* told("r")).toEqual(["start", "step before"])
        expect(yield* w.resume("r")).toMatchObject({ status: "success" })
        expect(yield* marked).toEqual(["paid"])
      })
    ))
})

describe("an open transaction", () => {
  it.live("is rolled back when the run is cancelled, also by another process", () =>
    alone((url) =>
      Effect.gen(function*() {
        const isOpen = yield* Deferred.make<void>()
        const w = makePaying(Effect.andThen(Deferred.succeed(isOpen, undefined), Effect.never))
        const other = yield* processOn(url)
        const started = yield* Effect.forkChild(w.start(undefined, { runId: "r" }))
        yield* Deferred.await(isOpen)
        yield* other.run(w.cancel("r", { reason: "enough" }))
        expect(yield* Fiber.join(started)).toMatchObject({ status: "cancelled" })
        expect(yield* marked).toEqual([])
        expect((yield* told("r")).at(-1)).toBe("cancelled")
      }).pipe(Effect.scoped)
    ))

  it.live("is rolled back when its branch loses a race", () =>
    alone(() =>
      Effect.gen(function*() {
        const isOpen = yield* Deferred.make<void>()
        const w = Workflow.make("w", function*(ctx) {
          const { winner } = yield* ctx.race({
            slow: ctx.transaction(
              "slow",
              mark("slow").pipe(
                Effect.andThen(Deferred.succeed(isOpen, undefined)),
                Effect.andThen(Effect.never)
              )
            ),
            fast: ctx.step("fast", Deferred.await(isOpen))
          })
          yield* ctx.transaction("then", mark("then"))
          return winner
        })
        expect(yield* w.start(undefined, { runId: "r" })).toMatchObject({ result: "fast" })
        expect(yield* marked).toEqual(["then"])
      })
    ))

  it.live("that waits for its turn is rolled back when another wins the race", () =>
    alone(() =>
      Effect.gen(function*() {
        const w = Workflow.make("w", { input: Schema.String }, function*(ctx, id) {
          const { winner } = yield* ctx.race({
            a: ctx.transaction("a", mark(`${id}-a`)),
            b: ctx.transaction("b", mark(`${id}-b`)),
            c: ctx.transaction("c", mark(`${id}-c`))
          })
          return `${id}-${winner}`
        })
        const ids = Array.from({ length: 20 }, (_, n) => `r${n}`)
        const winners = yield* Effect.forEach(ids, (id) => w.execute(id, { runId: id }))
        expect(yield* marked).toEqual(winners.toSorted())
      })
    ))

  it.live("is rolled back when its step takes too long, also while it waits for its turn", () =>
    Effect.gen(function*() {
      const { url } = yield* Effect.promise(createDatabase)
      const isRolledBack = yield* Deferred.make<void>()
      const isWaiting = yield* Deferred.make<void>()
      /** Appends only begin once the transaction that waits behind them is given up. */
      const held = Layer.effect(
        Storage.Storage,
        Effect.gen(function*() {
          const driver = yield* PostgresStorage.make()
          let appends = 0
          return Storage.make({
            ...driver,
            writer: (runId) =>
              Effect.map(driver.writer(runId), (writer) => ({
                ...writer,
                append: (at, lines, row) =>
                  appends++ === 0
                    ? writer.append(at, lines, row)
                    : Deferred.succeed(isWaiting, undefined).pipe(
                      Effect.andThen(Deferred.await(isRolledBack)),
                      Effect.andThen(writer.append(at, lines, row))
                    ),
                transaction: (work, append) =>
                  writer.transaction!(work, append).pipe(
                    Effect.onExit(() => Deferred.succeed(isRolledBack, undefined))
                  )
              }))
          })
        })
      )
      yield* Effect.gen(function*() {
        yield* marks
        yield* PostgresStorage.migrate()
        const w = Workflow.make("w", function*(ctx) {
          const beside = ctx.step("beside", Effect.sleep(1))
          const late = ctx.transaction(
            "late",
            Effect.tap(mark("late"), () => Deferred.await(isWaiting)),
            { timeout: "200 millis" }
          ).pipe(Instruction.catchTag("StepTimeout", function*() {
            return "too late"
          }))
          const [, said] = yield* ctx.all([beside, late])
          return said
        })
        const result = yield* Effect.provide(w.start(undefined, { runId: "r" }), held)
        expect(result).toMatchObject({ status: "success", result: "too late" })
        expect(yield* marked).toEqual([])
      }).pipe(Effect.provide(poolOf(url)))
    }))

  it.live(
    "does not keep the appends beside it from a connection, however few there are",
    () =>
      alone(() =>
        Effect.gen(function*() {
          const w = Workflow.make("w", { input: Schema.String }, function*(ctx, id) {
            const later = Effect.tap(mark(id), () => Effect.sleep(60))
            yield* ctx.all([ctx.transaction("pay", later), ctx.step("beside", Effect.sleep(20))])
          })
          const ids = Array.from({ length: 8 }, (_, n) => `r${n}`)
          yield* Effect.forEach(ids, (id) => w.execute(id, { runId: id }), {
            concurrency: "unbounded"
          })
          expect(yield* marked).toEqual(ids)
        }), { maxConnections: 4 }),
    10_000
  )
})

describe("beside other steps", () => {
  it.live("hooks hear of it once it is committed", () =>
    alone((url) =>
      Effect.gen(function*() {
        const other = yield* processOn(url)
        const heard: Array<unknown> = []
        const onStepComplete = (
          { context, stepId }: Workflow.StepCompleted
        ) =>
          Effect.map(
            Effect.all([Effect.orDie(other.run(marked)), Effect.orDie(other.run(told("r")))]),
            ([marks, entries]) => void heard.push([stepId, context, marks, entries.at(-1)])
          )
        yield* makePaying(Effect.void).start(undefined, { runId: "r", onStepComplete })
        expect(heard).toEqual([
          ["before", { before: "ready" }, [], "step before"],
          ["pay", { before: "ready", pay: "paid" }, ["paid"], "step pay"],
          ["after", { before: "ready", pay: "paid", after: "done" }, ["paid"], "step after"]
        ])
      }).pipe(Effect.scoped)
    ))

  it.live.each(["sync", "async", "exit"] as const)(
    "with durability %s, everything before it is safe when it is",
    (durability) =>
      alone((url) =>
        Effect.gen(function*() {
          const other = yield* processOn(url)
          const seen: Array<unknown> = []
          const w = Workflow.make("w", function*(ctx) {
            yield* ctx.step("one", () => 1)
            yield* ctx.step("two", () => 2)
            yield* ctx.transaction("pay", mark("paid"))
            yield* ctx.step(
              "look",
              () =>
                Effect.map(Effect.orDie(other.run(told("r"))), (entries) => void seen.push(entries))
            )
          })
          const result = yield* w.start(undefined, { runId: "r", durability })
          expect(result).toMatchObject({ status: "success" })
          expect(seen).toEqual([["start", "step one", "step two", "step pay"]])
          expect(yield* told("r")).toEqual([
            "start",
            "step one",
            "step two",
            "step pay",
            "step look",
            "complete"
          ])
        }).pipe(Effect.scoped)
      )
  )

  it.live("each entry is of the transaction that did its work, and a replay agrees with all", () =>
    alone(() =>
      Effect.gen(function*() {
        const branch = (name: string) =>
          function*() {
            for (let nth = 0; nth < 5; nth++) {
              yield* Instruction.step(`${name}-step`, () => Effect.sleep(nth % 3))
              yield* Instruction.transaction(`${name}-pay`, mark(`${name}${nth}`))
            }
            return name
          }
        const w = Workflow.make("w", function*(ctx) {
          return yield* ctx.all([branch("a"), branch("b"), branch("c")])
        })
        expect(yield* w.start(undefined, { runId: "r" })).toMatchObject({
          status: "success",
          result: ["a", "b", "c"]
        })
        expect((yield* marked).length).toBe(15)
        const journal = yield* Runs.journal("r")
        // Rows that one transaction wrote have one xmin.
        const rows = yield* query<{ name: string; entry: string }>(
          `SELECT m.name, e.line AS entry FROM marks m
            JOIN reprise.entries e ON e.xmin::text = m.xmin::text ORDER BY e."offset"`
        )
        expect(rows.length).toBe(15)
        for (const { entry, name } of rows) expect(entry).toContain(`"result":"${name}"`)
        for (let n = 1; n <= journal.entries.length; n++) {
          const prefix = { ...journal, entries: journal.entries.slice(0, n) }
          expect(w.replay(prefix)._tag).not.toMatch(/Diverged|Broke/)
        }
      })
    ))

  it.live("what is appended while it is open stays in the index", () =>
    alone(() =>
      Effect.gen(function*() {
        const isAppended = yield* Deferred.make<void>()
        const w = Workflow.make("w", { events: { go: Schema.Void } }, function*(ctx) {
          yield* ctx.all([
            ctx.transaction("pay", Effect.tap(mark("paid"), () => Deferred.await(isAppended))),
            function*() {
              yield* ctx.step("beside", () => Promise.resolve(1))
              yield* ctx.step("open", Deferred.succeed(isAppended, undefined))
            }
          ])
          yield* ctx.suspend("go")
        })
        expect(yield* w.start(undefined, { runId: "r" })).toMatchObject({ status: "suspended" })
        const storage = yield* Storage.Storage
        const { journal } = yield* storage.read("r")
        const { runs } = yield* Runs.list()
        expect(runs).toEqual([Storage.rowOf(journal).status])
        expect(runs[0]!.steps.done).toBe(3)
      })
    ))

  it.live.each(["async", "exit"] as const)(
    "with durability %s it waits for the append that is on its way",
    (durability) =>
      Effect.gen(function*() {
        const { url } = yield* Effect.promise(createDatabase)
        const isWorking = yield* Deferred.make<void>()
        const isOnItsWay = yield* Deferred.make<void>()
        const slow = Layer.effect(
          Storage.Storage,
          Effect.map(PostgresStorage.make(), (driver) => {
            let appends = 0
            return Storage.make({
              ...driver,
              writer: (runId) =>
                Effect.map(driver.writer(runId), (writer) => ({
                  ...writer,
                  append: (at, lines, row) =>
                    Effect.suspend(() =>
                      appends++ === 0 ? Effect.void : Effect.andThen(
                        Deferred.succeed(isOnItsWay, undefined),
                        Effect.sleep(50)
                      )
                    ).pipe(Effect.andThen(writer.append(at, lines, row)), Effect.uninterruptible)
                }))
            })
          })
        )
        yield* Effect.gen(function*() {
          yield* marks
          yield* PostgresStorage.migrate()
          const w = Workflow.make("w", function*(ctx) {
            yield* ctx.all([
              ctx.transaction(
                "pay",
                mark("paid").pipe(
                  Effect.andThen(Deferred.succeed(isWorking, undefined)),
                  Effect.andThen(
                    durability === "async" ? Deferred.await(isOnItsWay) : Effect.sleep(5)
                  )
                )
              ),
              ctx.step("beside", Deferred.await(isWorking))
            ])
          })
          yield* Effect.gen(function*() {
            const result = yield* w.start(undefined, { runId: "r", durability })
            expect(result).toMatchObject({ status: "success" })
            const [pay, beside] = ["step all[0]/pay", "step all[1]/beside"]
            // What waits for nothing is not kept waiting.
            const steps = durability === "async" ? [beside, pay] : [pay, beside]
            expect(yield* told("r")).toEqual(["start", ...steps, "complete"])
          }).pipe(Effect.provide(slow))
          expect(yield* marked).toEqual(["paid"])
        }).pipe(Effect.provide(poolOf(url)))
      })
  )
})
