/**
 * What a body may yield, in types: instructions with a star, and nothing else.
 */
import { Effect, Schema } from "effect"
import { Instruction, Workflow } from "reprise"
import { describe, expectTypeOf, it } from "vitest"

describe("a body", () => {
  it("yields instructions", () => {
    Workflow.make("w", function*(ctx) {
      yield* ctx.log("here")
      const id = yield* ctx.runId
      expectTypeOf(id).toEqualTypeOf<string>()
      return yield* ctx.step("one", () => 1)
    })
  })

  it("may yield nothing at all", () => {
    const nothing = Workflow.make("w", function*(_ctx, n: number) {
      return n
    })
    expectTypeOf(nothing).toExtend<Workflow.Workflow<number, number, Instruction.RunError, {}>>()
  })

  it("does not yield an Effect", () => {
    // @ts-expect-error an Effect is no instruction
    Workflow.make("w", function*(ctx) {
      yield* ctx.step("one", () => 1)
      return yield* Effect.succeed(1)
    })
    // @ts-expect-error nor without a star
    Workflow.make("w", function*() {
      yield Effect.succeed(1)
    })
    // @ts-expect-error nor behind a contract
    Workflow.define("w", {}).make(function*() {
      return yield* Effect.succeed(1)
    })
    // @ts-expect-error nor with options
    Workflow.make("w", { version: "1" }, function*() {
      return yield* Effect.succeed(1)
    })
  })

  it("does not yield a Promise", () => {
    // @ts-expect-error a Promise is no instruction
    Workflow.make("w", function*() {
      yield Promise.resolve(1)
    })
    Workflow.make("w", function*() {
      // @ts-expect-error and it has no iterator
      yield* Promise.resolve(1)
    })
  })

  it("does not yield a value", () => {
    // @ts-expect-error a number is no instruction
    Workflow.make("w", function*() {
      yield 1
    })
    // @ts-expect-error nor is nothing
    Workflow.make("w", function*() {
      yield
    })
    // @ts-expect-error nor is an array, though it can be iterated
    Workflow.make("w", function*() {
      yield* [1, 2]
    })
  })

  it("is a generator function", () => {
    // @ts-expect-error an async function is none
    Workflow.make("w", async () => 1)
    // @ts-expect-error nor is an async generator function
    Workflow.make("w", async function*(ctx: Workflow.Ctx) {
      yield ctx.runId
    })
    // @ts-expect-error nor is a plain function
    Workflow.make("w", () => 1)
  })
})

describe("yield without its star", () => {
  it("gives a type whose name says so, in a body", () => {
    Workflow.make("w", function*(ctx) {
      const starred = yield* ctx.step("one", () => 1)
      expectTypeOf(starred).toEqualTypeOf<number>()
      const plain = yield ctx.step("one", () => 1)
      expectTypeOf(plain).toEqualTypeOf<Instruction.WriteYieldWithAStar>()
      // @ts-expect-error nothing can be done with it
      plain.toFixed()
      // @ts-expect-error nor is it the step's value
      const value: number = plain
      return value
    })
  })

  it("does so in a branch", () => {
    Workflow.make("w", function*(ctx) {
      yield* ctx.all([function*() {
        const plain = yield ctx.step("one", () => 1)
        expectTypeOf(plain).toEqualTypeOf<Instruction.WriteYieldWithAStar>()
      }])
    })
  })

  it("does so in a helper that is annotated with Workflow.Body", () => {
    function* helper(ctx: Workflow.Ctx): Workflow.Body<number> {
      const starred = yield* ctx.step("one", () => 1)
      expectTypeOf(starred).toEqualTypeOf<number>()
      const plain = yield ctx.step("one", () => 1)
      expectTypeOf(plain).toEqualTypeOf<Instruction.WriteYieldWithAStar>()
      return starred
    }
    expectTypeOf(helper).returns.toEqualTypeOf<Workflow.Body<number>>()
  })
})

describe("a branch", () => {
  it("is an instruction, a generator function or a generator object", () => {
    Workflow.make("w", function*(ctx) {
      function* part() {
        return yield* ctx.step("three", () => true)
      }
      const all = yield* ctx.all([ctx.step("one", () => 1), function*() {
        return yield* ctx.step("two", () => "2")
      }, part()])
      expectTypeOf(all).toEqualTypeOf<[number, string, boolean]>()
    })
  })

  it("is no Effect, and yields none", () => {
    Workflow.make("w", function*(ctx) {
      // @ts-expect-error an Effect is no branch
      yield* ctx.all({ a: Effect.succeed(1) })
      yield* ctx.all({
        // @ts-expect-error its body yields instructions only
        a: function*() {
          yield* Effect.succeed(1)
        }
      })
      // @ts-expect-error the same where it is made for each item
      yield* ctx.forEach([1], () => Effect.succeed(1))
    })
  })

  it("is not a function that is no generator function", () => {
    Workflow.make("w", function*(ctx) {
      // @ts-expect-error a branch that is a function must be a generator function
      yield* ctx.race({ a: () => ctx.step("one", () => 1) })
    })
  })
})

describe("a helper", () => {
  it("is annotated with Workflow.Ctx and Workflow.Body", () => {
    function* helper(ctx: Workflow.Ctx, n: number): Workflow.Body<string> {
      return yield* ctx.step("text", () => String(n))
    }
    Workflow.make("w", { events: { go: Schema.String } }, function*(ctx) {
      expectTypeOf(yield* helper(ctx, 1)).toEqualTypeOf<string>()
    })
  })

  it("does not yield an Effect either", () => {
    function* helper(_ctx: Workflow.Ctx): Workflow.Body<number> {
      // @ts-expect-error only instructions
      return yield* Effect.succeed(1)
    }
    expectTypeOf(helper).returns.toEqualTypeOf<Workflow.Body<number>>()
  })
})
