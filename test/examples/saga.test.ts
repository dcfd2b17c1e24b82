/**
 * 04-saga-payment: what is undone, in which order, and over a crash.
 */
import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer } from "effect"
import { Storage } from "reprise"
import { Bank, Courier, CourierRefused, Warehouse } from "../../examples/04-saga-payment/shop.ts"
import { order } from "../../examples/04-saga-payment/workflow.ts"
import { runExample, scratch } from "./support/command.ts"

const input = { item: "teapot", cents: 3950, city: "Bremen" }

/** A shop that keeps what it was asked, and by which key. */
const shop = (
  { courier = Effect.succeed({ parcel: "JD1" }), refund = Effect.void }: {
    readonly courier?: Effect.Effect<{ readonly parcel: string }, CourierRefused>
    readonly refund?: Effect.Effect<void>
  }
) => {
  const calls: Array<readonly [what: string, key: string]> = []
  const called = (what: string, key: string) => Effect.sync(() => void calls.push([what, key]))
  const layer = Layer.mergeAll(
    Layer.succeed(Warehouse, {
      reserve: (_, key) => Effect.as(called("reserve", key), { shelf: "B7" }),
      release: (key) => called("release", key)
    }),
    Layer.succeed(Bank, {
      charge: (_, key) => Effect.as(called("charge", key), { payment: "p-1" }),
      refund: (key) => Effect.andThen(called("refund", key), refund)
    }),
    Layer.succeed(Courier, {
      book: (_, key) => Effect.andThen(called("book", key), courier)
    })
  )
  return { calls, names: () => calls.map(([name]) => name), layer }
}

const refused = Effect.fail(new CourierRefused({ city: "Bremen" }))

describe("the order", () => {
  it.effect("undoes nothing when all goes well", () => {
    const { layer, names } = shop({})
    return Effect.gen(function*() {
      expect(yield* order.execute(input)).toEqual({ shelf: "B7", payment: "p-1", parcel: "JD1" })
      expect(names()).toEqual(["reserve", "charge", "book"])
    }).pipe(Effect.provide([layer, Storage.layerMemory]))
  })

  it.effect("refunds and then releases, by the keys of what is undone, when no courier drives", () => {
    const { calls, layer, names } = shop({ courier: refused })
    return Effect.gen(function*() {
      expect(yield* Effect.flip(order.execute(input))).toEqual(
        new CourierRefused({ city: "Bremen" })
      )
      expect(names()).toEqual(["reserve", "charge", "book", "refund", "release"])
      const key = new Map(calls)
      expect(key.get("refund")).toBe(key.get("charge"))
      expect(key.get("release")).toBe(key.get("reserve"))
      expect(new Set(key.values()).size).toBe(3)
    }).pipe(Effect.provide([layer, Storage.layerMemory]))
  })

  it.effect("goes on undoing after a crash in the middle of it", () =>
    Effect.gen(function*() {
      const reached = yield* Deferred.make<void>()
      const hanging = Effect.andThen(Deferred.succeed(reached, undefined), Effect.never)
      const before = shop({ courier: refused, refund: hanging })
      const drive = yield* order.start(input, { runId: "o1" }).pipe(
        Effect.provide(before.layer),
        Effect.forkChild
      )
      yield* Deferred.await(reached)
      yield* Fiber.interrupt(drive)
      expect(before.names()).toEqual(["reserve", "charge", "book", "refund"])

      const after = shop({})
      const done = yield* order.resume("o1").pipe(Effect.provide(after.layer))
      expect(done).toMatchObject({ status: "failed", error: { _tag: "CourierRefused" } })
      expect(after.names()).toEqual(["refund", "release"])
      expect(after.calls[0]).toEqual(before.calls[3])
    }).pipe(Effect.provide(Storage.layerMemory)))
})

describe("npm run example 04", () => {
  const directory = scratch()

  it("delivers one order, and undoes the other", async () => {
    const { code, lines, stderr } = await runExample(directory, ["04"])
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    expect(lines).toEqual([
      "a teapot to Bremen:",
      "  reserve teapot",
      "  charge 39.5 euros",
      "  book a courier to Bremen",
      "  on its way as JD0042",
      "a teapot to Hallig Hooge:",
      "  reserve teapot",
      "  charge 39.5 euros",
      "  book a courier to Hallig Hooge",
      "  refund the payment",
      "  release the reservation",
      "  failed: No courier drives to Hallig Hooge"
    ])
  })
})
