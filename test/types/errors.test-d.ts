/**
 * What a body may fail with, in types: loose without an `error` schema, strict with one.
 */
import { Effect, Result, Schema } from "effect"
import { Instruction, Workflow } from "reprise"
import { describe, expectTypeOf, it } from "vitest"
import { expectBare } from "./support/bare.ts"

class NoStock extends Schema.TaggedError<NoStock>()("NoStock", { sku: Schema.String }) {}
class NoMoney extends Schema.TaggedError<NoMoney>()("NoMoney", { missing: Schema.Number }) {}

const noStock = () => Effect.fail(new NoStock({ sku: "a" }))
const noMoney = () => Effect.fail(new NoMoney({ missing: 1 }))
const either = (): Effect.Effect<number, NoStock | NoMoney> => noStock()

/** What a failed run of the workflow holds. */
type Failure<W> = W extends {
  readonly start: (...args: any) => Effect.Effect<Workflow.Result<infer _A, infer E>, any, any>
} ? E
  : never

describe("without an error schema", () => {
  it("a step may fail with anything, and the run fails with an error of the engine's own", () => {
    const workflow = Workflow.make("w", function*(ctx) {
      yield* ctx.step("s", noStock)
      yield* ctx.all([ctx.step("t", noMoney)])
    })
    expectTypeOf<Failure<typeof workflow>>()
      .toEqualTypeOf<
        Instruction.StepFailed | Instruction.StepTimeout | Instruction.CompensationFailed
      >()
    expectTypeOf<Failure<typeof workflow>>()
      // @ts-expect-error what no schema declares is not kept as it was
      .toEqualTypeOf<NoStock | Instruction.RunError>()
  })

  it("the run may fail with what ctx.fail was given, also in branches and helpers", () => {
    function* helper(ctx: Workflow.Ctx): Workflow.Body<number, NoMoney> {
      return yield* ctx.fail(new NoMoney({ missing: 1 }))
    }
    const workflow = Workflow.make("w", function*(ctx, n: number) {
      if (n === 1) yield* ctx.fail(new NoStock({ sku: "a" }))
      if (n === 2) yield* ctx.all([() => helper(ctx)])
      return n
    })
    expectTypeOf<Failure<typeof workflow>>()
      .toEqualTypeOf<NoStock | NoMoney | Instruction.RunError>()
    expectTypeOf<Failure<typeof workflow>>()
      // @ts-expect-error a helper's failure is not lost
      .toEqualTypeOf<NoStock | Instruction.RunError>()
    expectTypeOf<Effect.Error<ReturnType<typeof workflow.execute>>>()
      .toEqualTypeOf<
        NoStock | NoMoney | Instruction.RunError | Workflow.NoOutput | Workflow.EngineError
      >()
  })

  it("the run may fail with what a step's own error schema declares", () => {
    const workflow = Workflow.make("w", function*(ctx) {
      yield* ctx.step("s", noStock, { error: NoStock })
    })
    expectTypeOf<Failure<typeof workflow>>().toEqualTypeOf<NoStock | Instruction.RunError>()
    expectTypeOf<Failure<typeof workflow>>()
      // @ts-expect-error it is declared, so it is kept
      .toEqualTypeOf<Instruction.RunError>()
  })
})

describe("with an error schema", () => {
  it("accepts steps that cannot fail, and bodies without steps", () => {
    Workflow.make("w", { error: NoStock }, function*() {
      return 1
    })
    Workflow.make("w", { error: NoStock }, function*(ctx, n: number) {
      return yield* ctx.step("s", () => n)
    })
  })

  it("accepts what it covers", () => {
    const one = Workflow.make("w", { error: NoStock }, function*(ctx) {
      yield* ctx.step("s", noStock)
      yield* ctx.step("s", noStock, { error: NoStock })
      yield* ctx.fail(new NoStock({ sku: "a" }))
    })
    expectTypeOf<Failure<typeof one>>().toEqualTypeOf<NoStock | Instruction.RunError>()
    const two = Workflow.make(
      "w",
      { error: Schema.Union([NoStock, NoMoney]) },
      function*(ctx) {
        yield* ctx.step("s", either)
        yield* ctx.race({ a: ctx.step("t", noMoney), b: ctx.step("u", noStock) })
      }
    )
    expectTypeOf<Failure<typeof two>>().toEqualTypeOf<NoStock | NoMoney | Instruction.RunError>()
  })

  it("refuses a step whose failure it does not cover", () => {
    // @ts-expect-error NoMoney is neither declared nor handled
    Workflow.make("w", { error: NoStock }, function*(ctx) {
      yield* ctx.step("s", noMoney)
    })
    // @ts-expect-error one of two is not enough
    Workflow.make("w", { error: NoStock }, function*(ctx) {
      yield* ctx.step("s", either)
    })
    // @ts-expect-error the same behind a contract
    Workflow.define("w", { error: NoStock }).make(function*(ctx) {
      yield* ctx.step("s", noMoney)
    })
    // @ts-expect-error and with an input
    Workflow.make("w", { input: Schema.Number, error: NoStock }, function*(ctx, n) {
      if (n > 1) yield* ctx.step("s", noMoney)
    })
  })

  it("refuses one in any branch", () => {
    // @ts-expect-error in a record
    Workflow.make("w", { error: NoStock }, function*(ctx) {
      yield* ctx.all({ a: ctx.step("s", noMoney) })
    })
    // @ts-expect-error in a tuple
    Workflow.make("w", { error: NoStock }, function*(ctx) {
      yield* ctx.all([ctx.step("s", () => 1), ctx.step("t", noMoney)])
    })
    // @ts-expect-error in a generator function
    Workflow.make("w", { error: NoStock }, function*(ctx) {
      yield* ctx.all([function*() {
        yield* ctx.step("s", noMoney)
      }])
    })
    // @ts-expect-error in forEach
    Workflow.make("w", { error: NoStock }, function*(ctx) {
      yield* ctx.forEach([1, 2], () => ctx.step("s", noMoney))
    })
    // @ts-expect-error in a race
    Workflow.make("w", { error: NoStock }, function*(ctx) {
      yield* ctx.race([ctx.step("s", noMoney)])
    })
    // @ts-expect-error in any
    Workflow.make("w", { error: NoStock }, function*(ctx) {
      yield* ctx.any([ctx.step("s", noMoney)])
    })
    // @ts-expect-error with discard
    Workflow.make("w", { error: NoStock }, function*(ctx) {
      yield* ctx.all([ctx.step("s", noMoney)], { discard: true })
    })
    // @ts-expect-error in a helper
    Workflow.make("w", { error: NoStock }, function*(ctx) {
      yield* helper(ctx)
    })
    function* helper(ctx: Workflow.Ctx) {
      return yield* ctx.step("s", noMoney)
    }
    Workflow.make("w", { error: NoStock }, function*(ctx) {
      yield* ctx.all([ctx.step("s", noMoney)], { mode: "result" })
    })
  })

  it("refuses what ctx.fail is given and it does not cover", () => {
    // @ts-expect-error NoMoney is not declared
    Workflow.make("w", { error: NoStock }, function*(ctx) {
      yield* ctx.fail(new NoMoney({ missing: 1 }))
    })
  })

  it("accepts StepFailed and StepTimeout, which any step may leave behind", () => {
    Workflow.make("w", { error: NoStock }, function*(ctx) {
      const done = yield* ctx.step("s", () => 1, { timeout: "1 second" })
        .pipe(Instruction.result)
      if (Result.isFailure(done)) yield* ctx.fail(done.failure)
    })
  })

  it("does not take try/catch for a handler", () => {
    // @ts-expect-error the compiler does not see it
    Workflow.make("w", { error: NoStock }, function*(ctx) {
      try {
        yield* ctx.step("s", noMoney)
      } catch {
        return
      }
    })
  })
})

describe("a step's own error schema", () => {
  it("must declare what its work can fail with", () => {
    const ctx = null as unknown as Workflow.Ctx
    expectBare(ctx.step("s", either, { error: Schema.Union([NoStock, NoMoney]) }))
      .toEqualTypeOf<Instruction.Instruction<number, NoStock | NoMoney>>()
    // @ts-expect-error NoMoney is not declared
    ctx.step("s", either, { error: NoStock })
  })

  it("makes no difference to what the workflow's schema must cover", () => {
    // @ts-expect-error declared by the step, not by the workflow, and not handled
    Workflow.make("w", { error: NoStock }, function*(ctx) {
      yield* ctx.step("s", noMoney, { error: NoMoney })
    })
  })

  it("converts with StepFailed", () => {
    const ctx = null as unknown as Workflow.Ctx
    expectBare(ctx.step("s", either, { error: Instruction.StepFailed }))
      .toEqualTypeOf<Instruction.Instruction<number, Instruction.StepFailed>>()
    Workflow.make("w", { error: NoStock }, function*(ctx) {
      yield* ctx.step("s", either, { error: Instruction.StepFailed })
    })
    // @ts-expect-error another schema converts nothing
    ctx.step("s", either, { error: Instruction.StepTimeout })
  })
})

describe("Instruction.result", () => {
  it("discharges a failure, and hears StepFailed in place of what is not declared", () => {
    Workflow.make("w", { error: NoStock }, function*(ctx) {
      const undeclared = yield* ctx.step("s", noMoney).pipe(Instruction.result)
      expectTypeOf(undeclared)
        .toEqualTypeOf<Result.Result<never, Instruction.StepFailed | Instruction.StepTimeout>>()
      const declared = yield* Instruction.result(ctx.step("s", noMoney, { error: NoMoney }))
      expectTypeOf(declared)
        .toEqualTypeOf<Result.Result<never, NoMoney | Instruction.StepError>>()
      expectTypeOf(undeclared)
        // @ts-expect-error what is not declared is not heard as it was
        .toEqualTypeOf<Result.Result<never, NoMoney | Instruction.StepError>>()
    })
  })
})

describe("Instruction.catch", () => {
  it("discharges a failure and adds what its branch gives, fails with and needs", () => {
    Workflow.make("w", { error: NoStock }, function*(ctx) {
      const value = yield* ctx.step("s", noMoney).pipe(
        Instruction.catch((error) => {
          expectTypeOf(error).toEqualTypeOf<Instruction.StepError>()
          return ctx.step("other", () => "x")
        })
      )
      expectTypeOf(value).toEqualTypeOf<string>()
      const failing = ctx.step("s", either, { error: Schema.Union([NoStock, NoMoney]) }).pipe(
        Instruction.catch(function*(error) {
          expectTypeOf(error).toEqualTypeOf<NoStock | NoMoney | Instruction.StepError>()
          return yield* ctx.fail(new NoStock({ sku: "b" }))
        })
      )
      expectBare(failing).toEqualTypeOf<Instruction.Instruction<number, NoStock>>()
      yield* failing
    })
    // @ts-expect-error what the handler fails with must be covered too
    Workflow.make("w", { error: NoStock }, function*(ctx) {
      yield* ctx.step("s", noStock).pipe(Instruction.catch(() => ctx.step("other", noMoney)))
    })
  })
})

describe("Instruction.catchTag", () => {
  it("discharges a declared failure by its tag", () => {
    Workflow.make("w", { error: NoStock }, function*(ctx) {
      const both = ctx.step("s", either, { error: Schema.Union([NoStock, NoMoney]) })
      const one = both.pipe(
        Instruction.catchTag("NoMoney", (error) => {
          expectTypeOf(error).toEqualTypeOf<NoMoney>()
          return ctx.step("borrow", () => String(error.missing))
        })
      )
      expectBare(one).toEqualTypeOf<Instruction.Instruction<number | string, NoStock>>()
      expectBare(one)
        // @ts-expect-error the other one stays
        .toEqualTypeOf<Instruction.Instruction<number | string>>()
      yield* one
    })
  })

  it("takes its instruction first, too", () => {
    const ctx = null as unknown as Workflow.Ctx
    expectBare(
      Instruction.catchTag(
        ctx.step("s", either, { error: Schema.Union([NoStock, NoMoney]) }),
        "NoMoney",
        () => ctx.step("borrow", () => 1)
      )
    ).toEqualTypeOf<Instruction.Instruction<number, NoStock>>()
  })

  it("discharges what is not declared by the tag it is heard with", () => {
    Workflow.make("w", { error: NoStock }, function*(ctx) {
      const value = yield* ctx.step("s", noMoney).pipe(
        Instruction.catchTag("StepFailed", (error) => {
          expectTypeOf(error).toEqualTypeOf<Instruction.StepFailed>()
          return ctx.step("other", () => "x")
        })
      )
      expectTypeOf(value).toEqualTypeOf<string>()
    })
    // @ts-expect-error StepTimeout is not what noMoney fails with
    Workflow.make("w", { error: NoStock }, function*(ctx) {
      yield* ctx.step("s", noMoney).pipe(
        Instruction.catchTag("StepTimeout", () => ctx.step("other", () => "x"))
      )
    })
  })

  it("refuses a tag that is never heard", () => {
    const ctx = null as unknown as Workflow.Ctx
    ctx.step("s", noMoney, { error: NoMoney }).pipe(
      Instruction.catchTag("NoMoney", () => ctx.step("other", () => 1))
    )
    ctx.step("s", noMoney, { error: NoMoney }).pipe(
      // @ts-expect-error nothing fails with it
      Instruction.catchTag("NoStock", () => ctx.step("other", () => 1))
    )
    ctx.step("s", noMoney).pipe(
      // @ts-expect-error it is heard as StepFailed, because the step does not declare it
      Instruction.catchTag("NoMoney", () => ctx.step("other", () => 1))
    )
  })
})
