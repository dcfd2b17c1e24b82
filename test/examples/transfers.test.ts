/**
 * 13-postgres-exactly-once: a process that is killed between the two halves of a transfer, and an order
 * that exists together with its run or not at all.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Queue } from "effect"
import { makeTransfers, tables } from "../../examples/13-postgres-exactly-once/workflow.ts"
import { query, storageOf } from "../storage/support/transfers.ts"
import { createDatabase, execute, postgresUrl } from "../support/postgres.ts"
import { runExample, scratch } from "./support/command.ts"

const databases = async () => {
  const rows = await execute(await postgresUrl(), "SELECT datname FROM pg_database")
  return rows.map((row) => (row as { datname: string }).datname)
}

describe("transfers", () => {
  it.live("whose process is lost at every third one are each made once", () =>
    Effect.gen(function*() {
      const { url } = yield* Effect.promise(createDatabase)
      const [count, runId] = [12, "t"]
      const lost: Array<number> = []
      const isHalfway = yield* Queue.unbounded<number>()
      const transfers = makeTransfers((nth) =>
        nth % 3 !== 0 || lost.includes(nth)
          ? Effect.void
          : Effect.andThen(Queue.offer(isHalfway, nth), Effect.never)
      )
      yield* Effect.gen(function*() {
        yield* tables
        for (let session = 0; session < 4; session++) {
          const run = yield* Effect.forkChild(transfers.execute({ count }, { runId }))
          lost.push(yield* Queue.take(isHalfway))
          yield* Fiber.interrupt(run)
        }
        const moved = yield* transfers.execute({ count }, { runId })
        expect(lost).toEqual([0, 3, 6, 9])
        const made = yield* query<{ nth: number; euros: number }>(
          "SELECT nth, euros FROM transfers ORDER BY nth"
        )
        expect(made.map(({ nth }) => nth)).toEqual(Array.from({ length: count }, (_, n) => n))
        expect(made.reduce((sum, { euros }) => sum + euros, 0)).toBe(moved)
        expect(yield* query("SELECT sum(balance)::int AS sum FROM accounts")).toEqual([
          { sum: 5_000 }
        ])
      }).pipe(Effect.provide(storageOf(url)))
    }))
})

describe("npm run example 13", () => {
  const directory = scratch()

  const lines = [
    "50 transfers between five accounts of 1000 euros:",
    "  it ended with SIGKILL",
    "  the accounts hold 5000 euros; 20 transfers, 20 different; 20 in the journal",
    "another process goes on:",
    "  all done: 505 euros were moved",
    "  it ended with 0",
    "  the accounts hold 5000 euros; 50 transfers, 50 different; 50 in the journal",
    "an order and its run, in one transaction:",
    "  order b: we have no unicorns",
    "  orders: a",
    "  runs: order-a (pending)",
    "  order a is paid"
  ]

  it("makes each transfer once, on a Postgres that it starts and stops itself", async () => {
    expect(await runExample(directory, ["13"], { DATABASE_URL: "" }))
      .toEqual({ code: 0, signal: null, lines, stderr: "" })
  })

  it("does the same on the server that DATABASE_URL names, and leaves no database there", async () => {
    const before = await databases()
    expect(await runExample(directory, ["13"], { DATABASE_URL: await postgresUrl() }))
      .toEqual({ code: 0, signal: null, lines, stderr: "" })
    // Other tests make and drop their own meanwhile; what the example made has its table.
    const left = (await databases()).filter((name) => !before.includes(name))
    for (const name of left) {
      const url = new URL(await postgresUrl())
      url.pathname = `/${name}`
      const found = await execute(url.href, "SELECT to_regclass('public.orders') AS orders")
      expect(found).toEqual([{ orders: null }])
    }
  })
})
