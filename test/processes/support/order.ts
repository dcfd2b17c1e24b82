/**
 * A workflow with a little of everything that is told apart from outside: every step says that it runs
 * before it gives its value, so a log of several processes shows what was done twice.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Workflow } from "reprise"

export type Did = (step: string) => void

export const input = { id: "o-7", items: ["tea", "jam"] }
export const result =
  "o-7: reserved 2, 40 + 2 = 42, stock ok, limit 420, tea packed, jam packed, approved by ada, courier, charged 42, shipped, told, closed"

/** How many outcomes of steps a whole run has. */
export const steps = 12

/** `pause` is waited in every step that is an Effect. */
export const makeOrder = (did: Did, pause: Effect.Effect<void> = Effect.void) =>
  Workflow.make("order", {
    input: Schema.Struct({ id: Schema.String, items: Schema.Array(Schema.String) }),
    events: { approved: Schema.Struct({ by: Schema.String }), pickup: Schema.Null }
  }, function*(ctx, { id, items }) {
    const say = <A>(step: string, value: A) => () => {
      did(step)
      return value
    }
    const later = <A>(step: string, value: A) => () =>
      Effect.andThen(pause, Effect.sync(say(step, value)))
    const reserved = yield* ctx.step("reserve", say("reserve", items.length))
    const price = yield* ctx.step("price", later("price", { net: 40, tax: 2 }))
    const both = yield* ctx.all({
      stock: ctx.step("stock", say("stock", "ok")),
      credit: function*() {
        const score = yield* ctx.step("score", later("score", 42))
        return yield* ctx.step("limit", say("limit", score * 10))
      }
    })
    const packed = yield* ctx.forEach(
      items,
      (item) => ctx.step("pack", say(`pack ${item}`, `${item} packed`)),
      { key: (item) => item, concurrency: 1 }
    )
    const { by } = yield* ctx.suspend("approved", { reason: "over 40" })
    const carried = yield* ctx.race({
      courier: ctx.step("courier", later("courier", "courier")),
      pickup: ctx.suspend("pickup")
    })
    const charged = yield* ctx.step("charge", later("charge", price.net + price.tax))
    yield* ctx.any([ctx.step("ship", say("ship", "shipped"))])
    yield* ctx.step("tell", say("tell", undefined))
    const closed = yield* ctx.step("close", later("close", "closed"))
    const sum = `${price.net} + ${price.tax} = ${charged}`
    return `${id}: reserved ${reserved}, ${sum}, stock ${both.stock}, limit ${both.credit}, `
      + `${
        packed.join(", ")
      }, approved by ${by}, ${carried.winner}, charged ${charged}, shipped, told, ${closed}`
  })

export const approval = {
  eventName: "approved",
  value: { by: "ada" },
  eventId: "approval-1"
} as const
