/**
 * The tests of an order: the storage is memory, two days pass at once, and the shop is a double.
 *
 * What stands here is all a user of the library writes. The journals were copied from where the runs of
 * production are: a file a run.
 */
import { describe, expect, it } from "@effect/vitest"
import { Clock, Duration, Effect, Layer } from "effect"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import * as Testing from "reprise/testing"
import { BankDown, NotApproved, order, Shop, SoldOut } from "./workflow.ts"

const teapot = { item: "teapot", cents: 3_950 }
const oven = { item: "oven", cents: 89_900 }

/** A shop with items in both warehouses, that keeps what it reserved and charged, by key. */
const openShop = ({ bankIsDown = 0, soldOut = [] as ReadonlyArray<string> } = {}) => {
  const reserved = new Map<string, string>()
  const charged = new Map<string, number>()
  let down = bankIsDown
  const layer = Layer.succeed(Shop, {
    reserve: (warehouse, _item, key) =>
      Effect.suspend(() => {
        if (soldOut.includes(warehouse)) return Effect.fail(new SoldOut({ warehouse }))
        reserved.set(key, warehouse)
        return Effect.succeed(warehouse)
      }),
    release: (key) => Effect.sync(() => void reserved.delete(key)),
    charge: (cents, key) =>
      Effect.suspend(() => {
        if (down-- > 0) return Effect.fail(new BankDown())
        charged.set(key, cents)
        return Effect.succeed(`receipt for ${cents}`)
      })
  })
  return { layer, reserved, charged }
}

const journal = (name: string) => ({
  name,
  text: readFileSync(join(import.meta.dirname, "journals", `${name}.jsonl`), "utf8")
})

describe("an order", () => {
  it.effect("is charged without asking anybody when it is small", () => {
    const { charged, layer } = openShop()
    return Effect.gen(function*() {
      const done = yield* order.execute(teapot)
      expect(done.receipt).toBe("receipt for 3950")
      expect([...charged.values()]).toEqual([3_950])
    }).pipe(Effect.provide([layer, Testing.layer]))
  })

  it.effect("is charged again while the bank is down, a minute later, then two", () => {
    const { charged, layer } = openShop({ bankIsDown: 2 })
    return Effect.gen(function*() {
      yield* Testing.skipTime(order.execute(teapot))
      expect(yield* Clock.currentTimeMillis).toBe(Duration.toMillis("3 minutes"))
      expect(charged.size).toBe(1)
    }).pipe(Effect.provide([layer, Testing.layer]))
  })

  it.effect("fails when the bank stays down, and keeps no reservation", () => {
    const { layer, reserved } = openShop({ bankIsDown: Infinity })
    return Effect.gen(function*() {
      const error = yield* Effect.flip(Testing.skipTime(order.execute(teapot)))
      expect(error).toEqual(new BankDown())
      expect(reserved.size).toBe(0)
    }).pipe(Effect.provide([layer, Testing.layer]))
  })

  it.effect("waits for an approval when it is large", () => {
    const { charged, layer } = openShop()
    return Effect.gen(function*() {
      const waiting = yield* order.start(oven)
      expect(waiting).toMatchObject({ status: "suspended", reason: "oven for 899 euros" })
      expect(charged.size).toBe(0)
      const done = yield* order.resume(waiting.runId, { eventName: "approval", value: true })
      expect(done).toMatchObject({ status: "success", result: { receipt: "receipt for 89900" } })
    }).pipe(Effect.provide([layer, Testing.layer]))
  })

  it.effect("gives the item back when nobody answers in two days", () => {
    const { layer, reserved } = openShop()
    return Effect.gen(function*() {
      const result = yield* Testing.play(order, oven)
      expect(result).toMatchObject({
        status: "failed",
        error: new NotApproved({ why: "nobody answered" })
      })
      expect(yield* Clock.currentTimeMillis).toBe(Duration.toMillis("2 days"))
      expect(reserved.size).toBe(0)
    }).pipe(Effect.provide([layer, Testing.layer]))
  })

  it.effect("gives the item back when it is refused", () => {
    const { layer, reserved } = openShop()
    return Effect.gen(function*() {
      const events = [{ eventName: "approval", value: false }] as const
      const result = yield* Testing.play(order, oven, { events })
      expect(result).toMatchObject({ status: "failed", error: new NotApproved({ why: "refused" }) })
      expect(reserved.size).toBe(0)
    }).pipe(Effect.provide([layer, Testing.layer]))
  })

  it.effect("takes the other warehouse when one is sold out", () => {
    const { layer } = openShop({ soldOut: ["north"] })
    return Effect.gen(function*() {
      expect(yield* order.execute(teapot)).toMatchObject({ warehouse: "south" })
    }).pipe(Effect.provide([layer, Testing.layer]))
  })

  it.effect("reserves in one warehouse only, whichever answers first", () => {
    const { layer, reserved } = openShop()
    return Effect.gen(function*() {
      const { complete, orders, outcomes } = yield* Testing.permute(order, teapot)
      expect(complete).toBe(true)
      expect(outcomes.map(({ result }) => result)).toMatchObject([
        { status: "success", result: { warehouse: "north" } },
        { status: "success", result: { warehouse: "south" } }
      ])
      // Every order had a world of its own, but this shop has seen them all.
      expect(reserved.size).toBe(orders)
    }).pipe(Effect.provide(layer))
  })

  it.effect("comes to the same end wherever its process dies", () => {
    const { charged, layer, reserved } = openShop({ soldOut: ["south"] })
    return Effect.gen(function*() {
      const { outcome, points } = yield* Testing.crashEverywhere(order, oven, {
        events: [{ eventName: "approval", value: true }],
        layer
      })
      expect(outcome).toMatchObject({ status: "success", result: { warehouse: "north" } })
      // Once in each crashed run, and once in the run that was left alone.
      expect([...charged.keys()]).toHaveLength(points + 1)
      expect([...reserved.keys()]).toHaveLength(points + 1)
    })
  })
})

describe("the code of today", () => {
  it.effect("goes on with a run of production", () =>
    Effect.gen(function*() {
      const { performed, result } = yield* Testing.fixture(order, {
        journal: journal("waiting").text,
        events: [{ eventName: "approval", value: true }],
        // Typed by the steps of the workflow. What the journal answers needs no stub.
        stubs: { charge: "receipt-7" }
      })
      expect(result).toMatchObject({
        status: "success",
        runId: "waiting",
        result: { warehouse: "south", receipt: "receipt-7" }
      })
      expect(performed).toEqual(["charge"])
    }))

  it.effect("tries again what a stub makes fail", () =>
    Effect.gen(function*() {
      let attempts = 0
      const { performed, result } = yield* Testing.fixture(order, {
        input: teapot,
        stubs: {
          reserve: ({ stepId }) => stepId,
          release: undefined,
          charge: () => ++attempts < 3 ? Effect.fail(new BankDown()) : `receipt-${attempts}`
        }
      })
      expect(result).toMatchObject({ status: "success", result: { receipt: "receipt-3" } })
      expect(performed.filter((name) => name === "charge")).toHaveLength(3)
    }))

  it.effect("fits the journal of every run that was recorded", () =>
    Effect.gen(function*() {
      const names = readdirSync(join(import.meta.dirname, "journals")).map((file) =>
        file.replace(".jsonl", "")
      )
      const all = yield* Testing.replayAll(names.map(journal), order)
      const ends = Object.fromEntries(all.map(({ name, replayed }) => [name, replayed._tag]))
      expect(ends).toEqual({ approved: "Returned", expired: "Threw", waiting: "Blocked" })
    }))
})
