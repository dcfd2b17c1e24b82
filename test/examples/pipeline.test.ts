/**
 * 09-pipeline: what each order comes to, what of it runs when it goes on, and what is printed.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Runs, Storage } from "reprise"
import { checkout, type Order, Shop } from "../../examples/09-pipeline/pipeline.ts"
import { runExample, scratch } from "./support/command.ts"

/** A shop with three teapots, and what it was asked. */
const withShop = () => {
  const asked: Array<string> = []
  const ask = <A>(what: string, answer: A) =>
    Effect.sync(() => {
      asked.push(what)
      return answer
    })
  const shop = Layer.succeed(Shop, {
    priceOf: (item) => ask(`price of ${item}`, 1000),
    stockOf: (item) => ask(`stock of ${item}`, 3),
    ordersOf: (customer) => ask(`orders of ${customer}`, customer === "ada" ? 11 : 10),
    ship: ({ customer }) => ask(`ship to ${customer}`, `parcel-${customer}`)
  })
  return { asked, layer: Layer.merge(shop, Storage.layerMemory) }
}

const order = (over: Partial<Order> = {}): Order => ({
  item: "teapot",
  quantity: 2,
  customer: "ada",
  coupon: "LOYAL",
  ...over
})

describe("the checkout", () => {
  const outcomes: ReadonlyArray<readonly [Partial<Order>, text: string, state: string]> = [
    [{}, "2 × teapot: 18.00 €, 10% off", "on its way as parcel-ada"],
    [{ quantity: 3 }, "3 × teapot: 27.00 €, 10% off", "on its way as parcel-ada"],
    [{ quantity: 4 }, "4 × teapot: 36.00 €, 10% off", "waits for 1 more"],
    [{ customer: "bob" }, "2 × teapot: 20.00 €", "on its way as parcel-bob"],
    [{ coupon: "OTHER" }, "2 × teapot: 20.00 €", "on its way as parcel-ada"]
  ]
  for (const [over, text, state] of outcomes) {
    it.effect(`makes of ${JSON.stringify(over)}: ${text}, ${state}`, () => {
      const { asked, layer } = withShop()
      return Effect.gen(function*() {
        expect(yield* checkout.run(order(over))).toEqual({ text, state })
        const ships = asked.filter((what) => what.startsWith("ship"))
        expect(ships).toHaveLength(state.startsWith("waits") ? 0 : 1)
      }).pipe(Effect.provide(layer))
    })
  }

  it.effect("does nothing twice when it goes on after every step", () => {
    const { asked, layer } = withShop()
    return Effect.gen(function*() {
      const stops = { onStepComplete: ({ stop }: { readonly stop: () => void }) => stop() }
      let result = yield* checkout.workflow.start(order(), { runId: "o1", ...stops })
      const stopped: Array<string> = []
      while (result.status === "stopped") {
        stopped.push(result.stepId)
        result = yield* checkout.workflow.resume("o1", undefined, stops)
      }
      expect(result).toMatchObject({ status: "success", result: { state: /parcel-ada/ } })
      expect(stopped.length).toBeGreaterThanOrEqual(6)
      expect(asked).toHaveLength(4)
      const { entries } = yield* Runs.journal("o1")
      expect(entries.flatMap((entry) => entry.type === "step" ? [entry.stepId] : [])).toEqual([
        "look-up",
        "price",
        "discount?",
        "discount",
        "fulfil>",
        "fulfil[in-stock]/delivery[0]/ship",
        "fulfil[in-stock]/delivery!",
        "fulfil!",
        "receipt"
      ])
    }).pipe(Effect.provide(layer))
  })
})

describe("npm run example 09", () => {
  const directory = scratch()

  it("prints both orders, step by step and with a box", async () => {
    const { code, lines, stderr } = await runExample(directory, ["09"])
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    const end = "✨ Pipeline completed successfully"
    expect(lines.filter((line) => line === end)).toHaveLength(2)
    expect(lines).toContain("2 × teapot: 71.10 €, 10% off, on its way as parcel-ada")
    expect(lines).toContain("6 × cup: 41.40 €, waits for 4 more")

    const timeless = lines.map((line) =>
      line.replace(/\(run \w+\)/, "(run …)").replace(/ in [\d.]+m?s$/, "")
    )
    const second = timeless.slice(timeless.lastIndexOf("🚀 Starting pipeline (run …)"))
    expect(second.slice(0, 24)).toEqual([
      "🚀 Starting pipeline (run …)",
      "   Input: item, quantity, customer",
      "",
      "📍 Step: look-up",
      "✅ look-up completed",
      "   Output: cents, stock, orders",
      "",
      "📍 Step: price",
      "✅ price completed",
      "   Output: total",
      "",
      "⏭️  Step: discount (skipped)",
      "",
      "🔀 Branch: fulfil",
      "   ↳ Executing: back-order",
      "",
      "📍 Step: fulfil/back-order/reserve",
      "✅ fulfil/back-order/reserve completed",
      "   Output: missing",
      "✅ fulfil completed",
      "   Output: missing",
      "",
      "🔄 Transform: receipt",
      "✅ receipt completed"
    ])
    expect(second.filter((line) => /^[┌│└]/u.test(line))).toHaveLength(8)
    expect(lines.join("\n")).not.toContain("\u001b")
  })
})
