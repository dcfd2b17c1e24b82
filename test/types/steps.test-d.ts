/**
 * A workflow's steps by name, in types: what the stubs of a test are held to.
 */
import { Effect, Result, Schema } from "effect"
import { Instruction, Workflow } from "reprise"
import { describe, expectTypeOf, it } from "vitest"

class NoStock extends Schema.TaggedError<NoStock>()("NoStock", { sku: Schema.String }) {}

/** The steps of a workflow, each by its name and value. */
type Steps<W> = W extends { readonly "~steps"?: infer S } ? Exclude<S, undefined> : never
/** The value of the step with this name. */
type ValueOf<W, Name> = Extract<Steps<W>, Instruction.Named<Name & string, unknown>>["value"]
type Named<Name extends string, A> = Instruction.Named<Name, A>

describe("a step", () => {
  it("is known by its name and value", () => {
    const ctx = null as unknown as Workflow.Ctx
    expectTypeOf(ctx.step("one", () => Effect.succeed(1)))
      .toEqualTypeOf<Instruction.Instruction<number, never, never, Named<"one", number>>>()
    expectTypeOf(ctx.step("at", () => new Date(0), { schema: Schema.Date }))
      .toEqualTypeOf<Instruction.Instruction<Date, never, never, Named<"at", Date>>>()
    expectTypeOf(ctx.step("one", () => 1))
      // @ts-expect-error by its own name
      .toEqualTypeOf<Instruction.Instruction<number, never, never, Named<"two", number>>>()
    expectTypeOf(ctx.step("one", () => 1))
      // @ts-expect-error and its own value
      .toEqualTypeOf<Instruction.Instruction<number, never, never, Named<"one", string>>>()
  })
})

describe("a workflow", () => {
  it("knows the steps of its body, and their values", () => {
    const workflow = Workflow.make("w", { events: { go: Schema.Date } }, function*(ctx) {
      yield* ctx.log("here")
      yield* ctx.suspend("go")
      const n = yield* ctx.step("one", async () => 1)
      if (n > 1) yield* ctx.step("two", () => ({ a: ["x"] }))
      yield* ctx.step("nothing", () => {})
      return "done"
    })
    expectTypeOf<Steps<typeof workflow>>().toEqualTypeOf<
      Named<"one", number> | Named<"two", { a: Array<string> }> | Named<"nothing", void>
    >()
    expectTypeOf<ValueOf<typeof workflow, "two">>().toEqualTypeOf<{ a: Array<string> }>()
    expectTypeOf<Steps<typeof workflow>["name"]>()
      // @ts-expect-error there are three
      .toEqualTypeOf<"one" | "two">()
    expectTypeOf<ValueOf<typeof workflow, "one">>()
      // @ts-expect-error its value is a number
      .toEqualTypeOf<string>()
  })

  it("knows one beside another instruction that gives a value of the same type", () => {
    const workflow = Workflow.make("w", { events: { go: Schema.Boolean } }, function*(ctx) {
      yield* ctx.step("nothing", () => {})
      yield* ctx.log("here")
      yield* ctx.step("number", () => 1)
      yield* ctx.now
      yield* ctx.step("flag", () => true)
      yield* ctx.suspend("go")
    })
    expectTypeOf<Steps<typeof workflow>>().toEqualTypeOf<
      Named<"nothing", void> | Named<"number", number> | Named<"flag", boolean>
    >()
    expectTypeOf<Steps<typeof workflow>>()
      // @ts-expect-error none is lost
      .toEqualTypeOf<Named<"nothing", void> | Named<"flag", boolean>>()
  })

  it("has none where its body has none", () => {
    const none = Workflow.make("w", function*(ctx, n: number) {
      yield* ctx.log("here")
      yield* ctx.sleep("1 day")
      return n
    })
    const empty = Workflow.make("w", function*() {})
    expectTypeOf<Steps<typeof none>>().toBeNever()
    expectTypeOf<Steps<typeof empty>>().toBeNever()
    const one = Workflow.make("w", function*(ctx) {
      yield* ctx.step("one", () => 1)
    })
    // @ts-expect-error this one has a step
    expectTypeOf<Steps<typeof one>>().toBeNever()
  })

  it("knows those in branches of every form, and in helpers", () => {
    function* helper(ctx: Workflow.Ctx) {
      return yield* ctx.step("helped", () => true)
    }
    const workflow = Workflow.make("w", function*(ctx) {
      yield* ctx.all({
        a: ctx.step("in a record", () => 1),
        b: function*() {
          yield* ctx.step("in a generator", () => "x")
        }
      })
      yield* ctx.all([ctx.step("in a tuple", () => 1), helper(ctx)])
      yield* ctx.forEach([1, 2], (n) => ctx.step("for each", () => n))
      yield* ctx.race([ctx.step("racing", () => 1), ctx.sleep("1 day")])
      yield* ctx.any([ctx.step("any", () => 1)])
    })
    expectTypeOf<Steps<typeof workflow>["name"]>().toEqualTypeOf<
      | "in a record"
      | "in a generator"
      | "in a tuple"
      | "helped"
      | "for each"
      | "racing"
      | "any"
    >()
    expectTypeOf<ValueOf<typeof workflow, "helped">>().toEqualTypeOf<boolean>()
    expectTypeOf<ValueOf<typeof workflow, "in a generator">>()
      // @ts-expect-error its value is a string
      .toEqualTypeOf<number>()
  })

  it("knows those that are changed, handled, limited or undone, by their own value", () => {
    const workflow = Workflow.make("w", function*(ctx) {
      yield* ctx.step("mapped", () => 1).pipe(Instruction.map(String))
      const heard = yield* ctx.step("heard", () => 1).pipe(Instruction.result)
      expectTypeOf(heard).toEqualTypeOf<Result.Result<number, Instruction.StepError>>()
      yield* ctx.step("caught", () => Effect.fail(new NoStock({ sku: "a" })), { error: NoStock })
        .pipe(Instruction.catchTag("NoStock", () => ctx.step("instead", () => "x")))
      yield* ctx.step("limited", () => 1).pipe(Instruction.timeout("1 day"))
      yield* ctx.step("done", () => 1).pipe(
        Instruction.withCompensation(() => ctx.step("undone", () => "x"))
      )
      yield* ctx.step("booked", () => 1, { undo: () => ctx.step("cancelled", () => true) })
    })
    expectTypeOf<Steps<typeof workflow>["name"]>().toEqualTypeOf<
      | "mapped"
      | "heard"
      | "caught"
      | "instead"
      | "limited"
      | "done"
      | "undone"
      | "booked"
      | "cancelled"
    >()
    expectTypeOf<ValueOf<typeof workflow, "mapped">>().toEqualTypeOf<number>()
    expectTypeOf<ValueOf<typeof workflow, "undone">>().toEqualTypeOf<string>()
    expectTypeOf<ValueOf<typeof workflow, "cancelled">>().toEqualTypeOf<boolean>()
    expectTypeOf<ValueOf<typeof workflow, "mapped">>()
      // @ts-expect-error what the step gives, not what becomes of it
      .toEqualTypeOf<string>()
  })

  it("knows them behind a contract, and not those of its children", () => {
    const child = Workflow.make("child", function*(ctx) {
      return yield* ctx.step("of the child", () => 1)
    })
    const workflow = Workflow.define("w", { output: Schema.Number }).make(function*(ctx) {
      yield* ctx.child(child)
      return yield* ctx.step("own", () => 1)
    })
    expectTypeOf<Steps<typeof workflow>>().toEqualTypeOf<Named<"own", number>>()
    expectTypeOf<Steps<typeof child>>().toEqualTypeOf<Named<"of the child", number>>()
    expectTypeOf<Steps<typeof workflow>>()
      // @ts-expect-error a child is a run of its own
      .toEqualTypeOf<Named<"own", number> | Named<"of the child", number>>()
  })
})
