/**
 * The workflow under test: reserve the item in the warehouse that answers first, have large orders
 * approved, charge the card.
 *
 * What fails later gives the reservation back.
 */
import { Context, Effect, Option, Schedule, Schema } from "effect"
import { Workflow } from "reprise"

export const Order = Schema.Struct({ item: Schema.NonEmptyString, cents: Schema.Int })

export class SoldOut extends Schema.TaggedError<SoldOut>()("SoldOut", {
  warehouse: Schema.String
}) {}

export class NotApproved extends Schema.TaggedError<NotApproved>()("NotApproved", {
  why: Schema.String
}) {}

export class BankDown extends Schema.TaggedError<BankDown>()("BankDown", {}) {}

export class Shop extends Context.Service<Shop, {
  readonly reserve: (
    warehouse: string,
    item: string,
    key: string
  ) => Effect.Effect<string, SoldOut>
  readonly release: (key: string) => Effect.Effect<void>
  readonly charge: (cents: number, key: string) => Effect.Effect<string, BankDown>
}>()("testing/Shop") {}

export const order = Workflow.make("order", {
  input: Order,
  output: Schema.Struct({ warehouse: Schema.String, receipt: Schema.String }),
  error: Schema.Union([SoldOut, NotApproved, BankDown]),
  events: { approval: Schema.Boolean }
}, function*(ctx, { cents, item }) {
  const reserve = (warehouse: string) =>
    ctx.step(
      "reserve",
      (step) => Effect.flatMap(Shop, (shop) => shop.reserve(warehouse, item, step.idempotencyKey)),
      {
        error: SoldOut,
        undo: (_, { idempotencyKey }) =>
          ctx.step("release", Effect.flatMap(Shop, (shop) => shop.release(idempotencyKey)))
      }
    )
  const warehouse = yield* ctx.any({ north: reserve("north"), south: reserve("south") })

  if (cents >= 50_000) {
    const reason = `${item} for ${cents / 100} euros`
    const approved = yield* ctx.suspend("approval", { reason, timeout: "2 days" })
    if (Option.isNone(approved)) {
      return yield* ctx.fail(new NotApproved({ why: "nobody answered" }))
    }
    if (!approved.value) return yield* ctx.fail(new NotApproved({ why: "refused" }))
  }

  const receipt = yield* ctx.step(
    "charge",
    (step) => Effect.flatMap(Shop, (shop) => shop.charge(cents, step.idempotencyKey)),
    { retry: { times: 3, schedule: Schedule.exponential("1 minute") } }
  )
  return { warehouse, receipt }
})
