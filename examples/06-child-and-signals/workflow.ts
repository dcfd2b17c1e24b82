/**
 * Two workflows that talk: a dinner, and a dish that is cooked for it.
 *
 * The dinner starts its dishes as children. Each tells the dinner when it is done, and keeps warm; when
 * all of them are, the dinner has them served together. When the guests leave, the dishes are cancelled.
 */
import { Console, Effect, Schema } from "effect"
import { Workflow } from "reprise"

// Contracts first: each body names the other workflow, so neither can be typed before the other.

export const Dish = Workflow.define("dish", {
  input: Schema.Struct({
    dinner: Schema.String,
    name: Schema.NonEmptyString,
    cooks: Schema.Duration
  }),
  output: Schema.String,
  events: { serve: Schema.Struct({ table: Schema.Int }) },
  runId: ({ dinner, name }) => dishId(dinner, name)
})

export const Dinner = Workflow.define("dinner", {
  input: Schema.Struct({
    table: Schema.Int,
    dishes: Schema.Array(Schema.Struct({ name: Schema.NonEmptyString, cooks: Schema.Duration }))
  }),
  output: Schema.String,
  events: { ready: Schema.Void, "guests-left": Schema.Void }
})

const dishId = (dinner: string, name: string) => `${dinner}.${name}`

export const dish = Dish.make(function*(ctx, { cooks, dinner, name }) {
  try {
    yield* ctx.step("cook", () => Console.log(`  ${name}: on the stove`))
    yield* ctx.sleep(cooks)
    yield* ctx.send(Dinner, dinner, { eventName: "ready", key: name })

    const { table } = yield* ctx.suspend("serve")
    return yield* ctx.step(
      "carry",
      () => Effect.as(Console.log(`  ${name}: to table ${table}`), name)
    )
  } finally {
    // Whatever happened, a cancel too.
    yield* ctx.step("turn-off", () => Console.log(`  ${name}: stove off`))
  }
})

export const dinner = Dinner.make(function*(ctx, { dishes, table }) {
  const self = yield* ctx.runId

  const end = yield* ctx.race({
    eaten: ctx.all({
      dishes: ctx.forEach(
        dishes,
        ({ cooks, name }) => ctx.child(dish, { dinner: self, name, cooks }),
        { key: ({ name }) => name }
      ),
      *service() {
        for (const { name } of dishes) yield* ctx.suspend("ready", { key: name })
        for (const { name } of dishes) {
          yield* ctx.send(Dish, dishId(self, name), { eventName: "serve", value: { table } })
        }
      }
    }),
    left: ctx.suspend("guests-left")
  })

  return end.winner === "eaten"
    ? `they had ${end.value.dishes.join(" and ")}`
    : "the guests have left"
})
