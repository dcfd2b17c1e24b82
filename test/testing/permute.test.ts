/**
 * `permute`: every order in which concurrent steps can run, and whether each replays.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Instruction, Workflow } from "reprise"
import * as Testing from "reprise/testing"

const letters = Workflow.make("letters", function*(ctx) {
  const seen: Array<string> = []
  const branch = (name: string) =>
    function*() {
      seen.push(yield* ctx.step(name, () => name))
    }
  yield* ctx.all([branch("a"), branch("b"), branch("c")])
  return seen.join("")
})

describe("permute", () => {
  it.effect("tries every order once", () =>
    Effect.gen(function*() {
      const { complete, orders, outcomes } = yield* Testing.permute(letters, undefined)
      expect({ complete, orders }).toEqual({ complete: true, orders: 6 })
      expect(outcomes.map(({ order, result }) => [order.length, result])).toHaveLength(6)
      const results = outcomes.map(({ result }) => result.status === "success" && result.result)
      expect(new Set(results)).toEqual(new Set(["abc", "acb", "bac", "bca", "cab", "cba"]))
      for (const { order, result } of outcomes) {
        expect(result).toMatchObject({ result: order.map((id) => id.at(-1)).join("") })
      }
    }))

  it.effect("tells orders apart by their outcome only", () =>
    Effect.gen(function*() {
      const sum = Workflow.make("sum", function*(ctx) {
        const [a, b] = yield* ctx.all([ctx.step("a", () => 1), ctx.step("b", async () => 2)])
        return a + b
      })
      const { orders, outcomes } = yield* Testing.permute(sum, undefined)
      expect(orders).toBe(2)
      expect(outcomes).toMatchObject([{ result: { result: 3 }, order: ["all[0]/a", "all[1]/b"] }])
    }))

  it.effect("lets every branch of a race win", () =>
    Effect.gen(function*() {
      const race = Workflow.make("race", function*(ctx) {
        const { winner } = yield* ctx.race({
          a: ctx.step("a", () => 1),
          b: function*() {
            yield* ctx.step("b1", () => 1)
            yield* ctx.step("b2", () => 1)
          }
        })
        return winner
      })
      const { complete, outcomes } = yield* Testing.permute(race, undefined)
      expect(complete).toBe(true)
      expect(outcomes.map(({ order, result }) => [order, result])).toEqual([
        [["race[a]/a"], { status: "success", result: "a", runId: "permuted" }],
        [["race[b]/b1", "race[b]/b2"], { status: "success", result: "b", runId: "permuted" }]
      ])
    }))

  it.effect("goes through events, timers, failures and children", () =>
    Effect.gen(function*() {
      const child = Workflow.make("child", function*(ctx) {
        yield* ctx.sleep("1 hour")
        return yield* ctx.step("inner", () => "inner")
      })
      const mixed = Workflow.make(
        "mixed",
        { events: { go: Schema.Void }, error: Schema.String },
        function*(ctx) {
          yield* ctx.suspend("go")
          const all = yield* ctx.all({
            child: ctx.child(child, undefined),
            own: ctx.step("own", () => "own"),
            failing: ctx.step("failing", () => Effect.fail("no")).pipe(
              Instruction.catch(() => ctx.step("mend", () => "mended"))
            )
          })
          return Object.values(all).join(" ")
        }
      )
      const { complete, outcomes } = yield* Testing.permute(mixed, undefined, {
        events: [{ eventName: "go" }]
      })
      expect(complete).toBe(true)
      expect(outcomes).toMatchObject([{ result: { result: "inner own mended" } }])
    }))

  it.effect("stops at its limit, and says so", () =>
    Effect.gen(function*() {
      const { complete, orders } = yield* Testing.permute(letters, undefined, { limit: 4 })
      expect({ complete, orders }).toEqual({ complete: false, orders: 4 })
    }))

  it.effect("runs a body without branches once", () =>
    Effect.gen(function*() {
      const straight = Workflow.make("straight", function*(ctx) {
        yield* ctx.step("a", () => 1)
        return yield* ctx.step("b", () => 2)
      })
      expect(yield* Testing.permute(straight, undefined)).toEqual({
        orders: 1,
        complete: true,
        outcomes: [{
          result: { status: "success", result: 2, runId: "permuted" },
          order: ["a", "b"]
        }]
      })
    }))

  it.effect("finds a body whose replay comes to something else, with the guard off", () =>
    Effect.gen(function*() {
      let bodies = 0
      const counting = Workflow.make("counting", function*(ctx) {
        const body = ++bodies
        yield* ctx.all([ctx.step("a", () => 1), ctx.step("b", () => 2)])
        return body
      })
      const error = yield* Testing.permute(counting, undefined).pipe(
        Effect.flip,
        Effect.provide(Testing.unguarded)
      )
      expect(error).toMatchObject({
        _tag: "OrderDiffers",
        order: ["all[0]/a", "all[1]/b"],
        live: "success with 1",
        replayed: "success with 2"
      })
    }))

  it.effect("finds steps that depend on how often the body ran, with the guard off", () =>
    Effect.gen(function*() {
      let bodies = 0
      const naming = Workflow.make("naming", function*(ctx) {
        yield* ctx.step(`step ${++bodies}`, () => 1)
      })
      const error = yield* Testing.permute(naming, undefined).pipe(
        Effect.flip,
        Effect.provide(Testing.unguarded)
      )
      expect(error._tag).toBe("OrderDiffers")
      expect(error.message).toContain("no longer fits")
    }))
})
