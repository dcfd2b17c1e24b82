/**
 * What the shop calls: a warehouse, a bank and a courier, as services.
 *
 * Each call carries an idempotency key, so that a repeat after a crash books nothing twice. Each call
 * that undoes another takes that one's key: it is known even when the answer was lost in a crash.
 */
import { Console, Context, Effect, Layer, Schema } from "effect"

export class CourierRefused extends Schema.TaggedError<CourierRefused>()("CourierRefused", {
  city: Schema.String
}) {
  override get message(): string {
    return `No courier drives to ${this.city}`
  }
}

export class Warehouse extends Context.Service<Warehouse, {
  readonly reserve: (item: string, key: string) => Effect.Effect<{ readonly shelf: string }>
  readonly release: (key: string) => Effect.Effect<void>
}>()("saga/Warehouse") {}

export class Bank extends Context.Service<Bank, {
  readonly charge: (cents: number, key: string) => Effect.Effect<{ readonly payment: string }>
  readonly refund: (key: string) => Effect.Effect<void>
}>()("saga/Bank") {}

export class Courier extends Context.Service<Courier, {
  readonly book: (
    city: string,
    key: string
  ) => Effect.Effect<{ readonly parcel: string }, CourierRefused>
}>()("saga/Courier") {}

/** All three, telling what they do. The courier drives to no island. */
export const layerPrinting = Layer.mergeAll(
  Layer.succeed(Warehouse, {
    reserve: (item) => Effect.as(Console.log(`  reserve ${item}`), { shelf: "B7" }),
    release: () => Console.log("  release the reservation")
  }),
  Layer.succeed(Bank, {
    charge: (cents) => Effect.as(Console.log(`  charge ${cents / 100} euros`), { payment: "p-1" }),
    refund: () => Console.log("  refund the payment")
  }),
  Layer.succeed(Courier, {
    book: (city) =>
      Effect.andThen(
        Console.log(`  book a courier to ${city}`),
        city === "Hallig Hooge"
          ? Effect.fail(new CourierRefused({ city }))
          : Effect.succeed({ parcel: "JD0042" })
      )
  })
)
