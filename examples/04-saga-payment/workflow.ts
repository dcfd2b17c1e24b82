/**
 * The workflow: reserve the item, charge the card, book the courier. When a later one fails, the earlier
 * ones are undone, the last one first.
 *
 * Undoing is a part of the run: journaled, retried, and gone on with after a crash in the middle of it.
 */
import { Effect, Schema } from "effect"
import { Instruction, Workflow } from "reprise"
import { Bank, Courier, CourierRefused, Warehouse } from "./shop.ts"

export const Order = Schema.Struct({
  item: Schema.NonEmptyString,
  cents: Schema.Int,
  city: Schema.NonEmptyString
})

export const order = Workflow.make("order", {
  input: Order,
  output: Schema.Struct({ shelf: Schema.String, payment: Schema.String, parcel: Schema.String }),
  error: CourierRefused
}, function*(ctx, { cents, city, item }) {
  const { shelf } = yield* ctx.step(
    "reserve",
    ({ idempotencyKey }) =>
      Effect.flatMap(Warehouse, (warehouse) => warehouse.reserve(item, idempotencyKey))
  ).pipe(
    Instruction.withCompensation((_, { idempotencyKey }) =>
      ctx.step("release", Effect.flatMap(Warehouse, (it) => it.release(idempotencyKey)))
    )
  )

  const { payment } = yield* ctx.step(
    "charge",
    ({ idempotencyKey }) => Effect.flatMap(Bank, (bank) => bank.charge(cents, idempotencyKey))
  ).pipe(
    Instruction.withCompensation((_, { idempotencyKey }) =>
      ctx.step("refund", Effect.flatMap(Bank, (bank) => bank.refund(idempotencyKey)))
    )
  )

  const { parcel } = yield* ctx.step(
    "book",
    ({ idempotencyKey }) => Effect.flatMap(Courier, (it) => it.book(city, idempotencyKey))
  )

  return { shelf, payment, parcel }
})
