/**
 * The pipeline: an order is priced and checked, goes one of two ways, and becomes a receipt.
 *
 * Every step gives a plain object, which is merged into the context that the next one is handed. All of it
 * is journaled, the branch that was taken and the condition's answer included.
 */
import { Context, Effect } from "effect"
import { Pipeline } from "reprise"

export interface Order {
  readonly item: string
  readonly quantity: number
  readonly customer: string
  readonly coupon?: string
}

/** What stands outside: prices, stock and couriers. */
export class Shop extends Context.Service<Shop, {
  readonly priceOf: (item: string) => Effect.Effect<number>
  readonly stockOf: (item: string) => Effect.Effect<number>
  readonly ordersOf: (customer: string) => Effect.Effect<number>
  readonly ship: (order: Order) => Effect.Effect<string>
}>()("pipeline/Shop") {}

/** A pipeline of its own, which others can take a step from. */
const delivery = Pipeline.make<Order>("delivery")
  .step("ship", (order) => Effect.map(shop((it) => it.ship(order)), (parcel) => ({ parcel })))

export const checkout = Pipeline.make<Order>("checkout")
  // Three look-ups beside each other, which end as one entry in the journal.
  .step(
    "look-up",
    ({ item }) => Effect.map(shop((it) => it.priceOf(item)), (cents) => ({ cents })),
    ({ item }) => Effect.map(shop((it) => it.stockOf(item)), (stock) => ({ stock })),
    ({ customer }) => Effect.map(shop((it) => it.ordersOf(customer)), (orders) => ({ orders }))
  )
  .step("price", ({ cents, quantity }) => ({ total: cents * quantity }))
  // A context without the key is what the types behind a condition expect.
  .step(
    { name: "discount", condition: ({ coupon, orders }) => coupon === "LOYAL" && orders > 10 },
    ({ total }) => ({ total: Math.round(total * 0.9), discounted: true })
  )
  .branchOn(
    "fulfil",
    {
      name: "in-stock",
      when: ({ quantity, stock }) => stock >= quantity,
      then: (b) => b.step("delivery", delivery)
    },
    {
      name: "back-order",
      default: (b) =>
        b.step("reserve", ({ quantity, stock }) => ({ missing: quantity - Math.max(0, stock) }))
    }
  )
  .transform("receipt", ({ discounted = false, item, missing = 0, parcel, quantity, total }) => ({
    text: `${quantity} × ${item}: ${(total / 100).toFixed(2)} €${discounted ? ", 10% off" : ""}`,
    state: parcel === undefined ? `waits for ${missing} more` : `on its way as ${parcel}`
  }))

const shop = <A>(ask: (it: Shop["Service"]) => Effect.Effect<A>) => Effect.flatMap(Shop, ask)
