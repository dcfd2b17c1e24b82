/**
 * What a body infers from what it yields, in types: results, services and errors, through
 * combinators, branches of every form, and helper generators.
 */
import { Context, Effect, Result, Schedule, Schema } from "effect"
import { Instruction, type Storage, Workflow } from "reprise"
import { describe, expectTypeOf, it } from "vitest"
import { expectBare } from "./support/bare.ts"

class NoStock extends Schema.TaggedError<NoStock>()("NoStock", { sku: Schema.String }) {}
class NoMoney extends Schema.TaggedError<NoMoney>()("NoMoney", { missing: Schema.Number }) {}
class Shop extends Context.Service<Shop, {
  readonly reserve: (sku: string) => Effect.Effect<number, NoStock>
}>()("test/Shop") {}
class Bank extends Context.Service<Bank, {
  readonly charge: (amount: number) => Effect.Effect<string, NoMoney>
}>()("test/Bank") {}

const ctx = null as unknown as Workflow.Ctx
const reserve = ctx.step("reserve", () => Effect.flatMap(Shop, (shop) => shop.reserve("a")))
const charge = ctx.step("charge", () => Effect.flatMap(Bank, (bank) => bank.charge(1)))
const plain = ctx.step("plain", () => true)
/** Short for what is written in every line here. */
type I<A, E = never, R = never> = Instruction.Instruction<A, E, R>
type Reserve = Instruction.Undeclared<NoStock>
type Charge = Instruction.Undeclared<NoMoney>

describe("a step", () => {
  it("gives what its Effect succeeds with", () => {
    expectBare(ctx.step("s", Effect.succeed(1))).toEqualTypeOf<I<number>>()
    expectBare(ctx.step("s", () => Effect.succeed("a")))
      .toEqualTypeOf<I<string>>()
    expectBare(ctx.step("s", Effect.succeed(1)))
      // @ts-expect-error not the Effect itself
      .toEqualTypeOf<I<Effect.Effect<number>>>()
  })

  it("gives what its Promise resolves to, or what it returns", () => {
    expectBare(ctx.step("s", async () => 1)).toEqualTypeOf<I<number>>()
    expectBare(ctx.step("s", () => ({ a: [1] })))
      .toEqualTypeOf<I<{ a: Array<number> }>>()
    expectBare(ctx.step("s", () => {})).toEqualTypeOf<I<void>>()
    expectBare(ctx.step("s", async () => 1))
      // @ts-expect-error not the Promise itself
      .toEqualTypeOf<I<Promise<number>>>()
  })

  it("gives any where its work gives any, which needs and fails with nothing", () => {
    expectBare(ctx.step("s", () => JSON.parse("1"))).toEqualTypeOf<I<any>>()
    expectBare(ctx.step("s", async () => JSON.parse("1"))).toEqualTypeOf<I<any>>()
    expectBare(ctx.step("s", () => Effect.sync(() => JSON.parse("1")))).toEqualTypeOf<I<any>>()
    const parsing = Workflow.make("w", { error: NoStock }, function*(ctx) {
      yield* ctx.step("s", () => JSON.parse("1"))
    })
    expectTypeOf<Effect.Services<ReturnType<typeof parsing.start>>>()
      .toEqualTypeOf<Storage.Storage>()
    expectBare(ctx.step("s", () => JSON.parse("1")))
      // @ts-expect-error nothing is known of it
      .toEqualTypeOf<I<number>>()
  })

  it("is told about itself", () => {
    ctx.step("s", (step) => {
      expectTypeOf(step).toEqualTypeOf<Instruction.StepInfo<{}>>()
      expectTypeOf(step.signal).toEqualTypeOf<AbortSignal>()
      // @ts-expect-error it is told nothing else
      return step.nothing as number
    })
  })

  it("carries the services and the failure of its work", () => {
    expectBare(reserve).toEqualTypeOf<I<number, Reserve, Shop>>()
    expectBare(reserve)
      // @ts-expect-error it does not run without its service
      .toEqualTypeOf<I<number, Reserve>>()
  })

  it("carries the services of its retry schedule", () => {
    const schedule = null as unknown as Schedule.Schedule<number, unknown, never, Bank>
    expectBare(ctx.step("s", () => 1, { retry: schedule }))
      .toEqualTypeOf<I<number, never, Bank>>()
    expectBare(ctx.step("s", () => 1, { retry: { schedule, times: 3 } }))
      .toEqualTypeOf<I<number, never, Bank>>()
    expectBare(ctx.step("s", () => 1, { retry: schedule }))
      // @ts-expect-error it is not forgotten
      .toEqualTypeOf<I<number>>()
  })

  it("takes retry options with functions of the failure", () => {
    expectBare(ctx.step("s", () => 1, { retry: { times: 3, while: (error) => error === 1 } }))
      .toEqualTypeOf<I<number>>()
    expectBare(
      ctx.step("s", () => new Date(0), { schema: Schema.Date, retry: { until: (error) => !error } })
    ).toEqualTypeOf<I<Date>>()
    // @ts-expect-error they say yes or no
    ctx.step("s", () => 1, { retry: { times: 3, while: (error) => String(error) } })
  })

  it("does not ask for StepContext, which every step has", () => {
    const step = ctx.step(
      "s",
      () => Effect.map(Instruction.StepContext, ({ idempotencyKey }) => idempotencyKey)
    )
    expectBare(step).toEqualTypeOf<I<string>>()
    expectBare(step)
      // @ts-expect-error it is not asked for
      .toEqualTypeOf<I<string, never, Instruction.StepContext>>()
  })
})

describe("all", () => {
  it("keeps the shape of a record", () => {
    expectBare(ctx.all({ reserve, charge, plain })).toEqualTypeOf<
      I<
        { reserve: number; charge: string; plain: boolean },
        Reserve | Charge,
        Shop | Bank
      >
    >()
    expectBare(ctx.all({ reserve, charge, plain }))
      // @ts-expect-error no failure of a branch is lost
      .toEqualTypeOf<I<{ reserve: number; charge: string; plain: boolean }, Reserve, Shop | Bank>>()
  })

  it("keeps the shape of a tuple", () => {
    expectBare(ctx.all([reserve, charge, plain])).toEqualTypeOf<
      I<[number, string, boolean], Reserve | Charge, Shop | Bank>
    >()
    expectBare(ctx.all([reserve, charge, plain]))
      // @ts-expect-error neither failures nor services of a tuple's branches are lost
      .toEqualTypeOf<I<[number, string, boolean]>>()
  })

  it("takes branches of a number that is not known", () => {
    const many = Array.from({ length: 3 }, () => reserve)
    expectBare(ctx.all(many)).toEqualTypeOf<
      I<Array<number>, Reserve, Shop>
    >()
    const named: Record<string, typeof charge> = {}
    expectBare(ctx.all(named)).toEqualTypeOf<
      I<{ [name: string]: string }, Charge, Bank>
    >()
    expectBare(ctx.all(many))
      // @ts-expect-error not a tuple
      .toEqualTypeOf<I<[number], Reserve, Shop>>()
  })

  it("looks into generator functions and generator objects", () => {
    function* part() {
      const n = yield* reserve
      return n > 1
    }
    expectBare(ctx.all([part, part(), function*() {
      yield* charge
      return "x" as const
    }])).toEqualTypeOf<
      I<[boolean, boolean, "x"], Reserve | Charge, Shop | Bank>
    >()
    expectBare(ctx.all([part]))
      // @ts-expect-error the failure inside a generator is not lost
      .toEqualTypeOf<I<[boolean], never, Shop>>()
  })

  it("gives Results in mode result, and cannot fail", () => {
    expectBare(ctx.all({ reserve, plain }, { mode: "result" })).toEqualTypeOf<
      I<
        {
          reserve: Result.Result<number, Instruction.StepError>
          plain: Result.Result<boolean, Instruction.StepError>
        },
        never,
        Shop
      >
    >()
    expectBare(ctx.all([reserve], { mode: "result", name: "fan" })).toEqualTypeOf<
      I<[Result.Result<number, Instruction.StepError>], never, Shop>
    >()
    expectBare(ctx.all([reserve], { mode: "result" }))
      // @ts-expect-error a Result is not the value
      .toEqualTypeOf<I<[number], never, Shop>>()
  })

  it("hears a step's declared errors in mode result", () => {
    const declared = ctx.step("d", () => Effect.flatMap(Shop, (shop) => shop.reserve("a")), {
      error: NoStock
    })
    expectBare(ctx.all([declared], { mode: "result" })).toEqualTypeOf<
      I<
        [Result.Result<number, NoStock | Instruction.StepError>],
        never,
        Shop
      >
    >()
  })

  it("gives nothing with discard, but may fail", () => {
    expectBare(ctx.all([reserve, plain], { discard: true }))
      .toEqualTypeOf<I<void, Reserve, Shop>>()
    expectBare(ctx.all([reserve, plain], { discard: true }))
      // @ts-expect-error the values are not kept
      .toEqualTypeOf<I<[number, boolean], Reserve, Shop>>()
  })

  it("knows its options", () => {
    ctx.all([plain], { concurrency: 2, name: "fan" })
    ctx.all([plain], { concurrency: "unbounded" })
    // @ts-expect-error there is no such mode
    ctx.all([plain], { mode: "either" })
  })
})

describe("forEach", () => {
  it("gives an array of what f's branches give", () => {
    expectBare(ctx.forEach(["a", "b"], (sku, i) => {
      expectTypeOf(sku).toEqualTypeOf<string>()
      expectTypeOf(i).toEqualTypeOf<number>()
      return reserve
    })).toEqualTypeOf<I<Array<number>, Reserve, Shop>>()
    expectBare(ctx.forEach(new Set([1]), function*(n) {
      yield* charge
      return String(n)
    }, { key: (n) => String(n), concurrency: 2 }))
      .toEqualTypeOf<I<Array<string>, Charge, Bank>>()
    expectBare(ctx.forEach([1], () => reserve))
      // @ts-expect-error the failures of f are not lost
      .toEqualTypeOf<I<Array<number>, never, Shop>>()
  })

  it("gives Results, or nothing", () => {
    expectBare(ctx.forEach([1], () => reserve, { mode: "result" })).toEqualTypeOf<
      I<Array<Result.Result<number, Instruction.StepError>>, never, Shop>
    >()
    expectBare(ctx.forEach([1], () => reserve, { discard: true }))
      .toEqualTypeOf<I<void, Reserve, Shop>>()
    expectBare(ctx.forEach([1], () => reserve, { discard: true }))
      // @ts-expect-error the values are not kept
      .toEqualTypeOf<I<Array<number>, Reserve, Shop>>()
  })

  it("gives its key function the item", () => {
    // @ts-expect-error a key is a string
    ctx.forEach([1], () => reserve, { key: (n) => n })
  })
})

describe("race", () => {
  it("of a record is told apart by the winner", () => {
    Workflow.make("w", function*(ctx) {
      const first = yield* ctx.race({ reserve, charge })
      expectTypeOf(first).toEqualTypeOf<
        | { readonly winner: "reserve"; readonly value: number }
        | { readonly winner: "charge"; readonly value: string }
      >()
      if (first.winner === "reserve") expectTypeOf(first.value).toEqualTypeOf<number>()
      else expectTypeOf(first.value).toEqualTypeOf<string>()
      // @ts-expect-error before that the value may be either
      const value: number = first.value
      return value
    })
  })

  it("of an array gives the value", () => {
    expectBare(ctx.race([reserve, charge])).toEqualTypeOf<
      I<number | string, Reserve | Charge, Shop | Bank>
    >()
    expectBare(ctx.race([reserve, charge]))
      // @ts-expect-error the failures of a tuple's branches are not lost
      .toEqualTypeOf<I<number | string, never, Shop | Bank>>()
  })
})

describe("any", () => {
  it("gives the value of one of its branches, and fails like one of them", () => {
    expectBare(ctx.any([reserve, charge])).toEqualTypeOf<
      I<number | string, Reserve | Charge, Shop | Bank>
    >()
    expectBare(ctx.any({ a: reserve, b: plain })).toEqualTypeOf<
      I<number | boolean, Reserve, Shop>
    >()
    expectBare(ctx.any([reserve, charge]))
      // @ts-expect-error the value is typed
      .toEqualTypeOf<I<unknown, Reserve | Charge, Shop | Bank>>()
  })
})

describe("map", () => {
  it("changes the value only, piped or not", () => {
    expectBare(reserve.pipe(Instruction.map(String)))
      .toEqualTypeOf<I<string, Reserve, Shop>>()
    expectBare(Instruction.map(reserve, (n) => n > 1))
      .toEqualTypeOf<I<boolean, Reserve, Shop>>()
    expectBare(reserve.pipe(Instruction.map(String)))
      // @ts-expect-error the failure stays
      .toEqualTypeOf<I<string, never, Shop>>()
  })
})

describe("a workflow", () => {
  it("needs what the steps of its body, its branches and its helpers need, and Storage", () => {
    function* helper(_ctx: Workflow.Ctx): Workflow.Body<string, Charge, Bank> {
      return yield* charge
    }
    const one = Workflow.make("w", function*() {
      return yield* reserve
    })
    const branches = Workflow.make("w", function*(ctx) {
      yield* ctx.all([function*() {
        return yield* reserve
      }])
      return yield* helper(ctx)
    })
    expectTypeOf(one.start()).toEqualTypeOf<
      Effect.Effect<
        Workflow.Result<number, Instruction.RunError, { readonly reserve?: number }>,
        Workflow.EngineError,
        Storage.Storage | Shop
      >
    >()
    expectTypeOf<Effect.Services<ReturnType<typeof branches.start>>>()
      .toEqualTypeOf<Storage.Storage | Shop | Bank>()
    expectTypeOf<Effect.Services<ReturnType<typeof branches.execute>>>()
      .toEqualTypeOf<Storage.Storage | Shop | Bank>()
    expectTypeOf<Effect.Services<ReturnType<typeof branches.resume>>>()
      .toEqualTypeOf<Storage.Storage | Shop | Bank>()
    expectTypeOf<Effect.Services<ReturnType<typeof branches.cancel>>>()
      .toEqualTypeOf<Storage.Storage | Shop | Bank>()
    expectTypeOf<Effect.Services<ReturnType<typeof branches.start>>>()
      // @ts-expect-error a helper's services are not lost
      .toEqualTypeOf<Storage.Storage | Shop>()
  })

  it("infers through a helper without an annotation", () => {
    function* helper(ctx: Workflow.Ctx) {
      const [n] = yield* ctx.all([reserve])
      return { n }
    }
    const workflow = Workflow.make("w", function*(ctx) {
      return (yield* helper(ctx)).n
    })
    expectTypeOf<Effect.Success<ReturnType<typeof workflow.execute>>>().toEqualTypeOf<number>()
    expectTypeOf<Effect.Services<ReturnType<typeof workflow.execute>>>()
      .toEqualTypeOf<Storage.Storage | Shop>()
    expectTypeOf<Effect.Success<ReturnType<typeof workflow.execute>>>()
      // @ts-expect-error the value has its type
      .toEqualTypeOf<string>()
  })

  it("gives a helper the events it asks for, and refuses one that asks for others", () => {
    function* approval(
      ctx: Workflow.Ctx<{ readonly approve: typeof Schema.Boolean }>
    ): Workflow.Body<boolean> {
      return yield* ctx.suspend("approve")
    }
    const workflow = Workflow.make(
      "w",
      { events: { approve: Schema.Boolean, go: Schema.String } },
      function*(ctx) {
        return yield* approval(ctx)
      }
    )
    expectTypeOf<Effect.Success<ReturnType<typeof workflow.execute>>>().toEqualTypeOf<boolean>()
    Workflow.make("w", { events: { go: Schema.String } }, function*(ctx) {
      // @ts-expect-error this workflow has no such event
      return yield* approval(ctx)
    })
  })

  it("knows whether the body's result is a union", () => {
    const workflow = Workflow.make("w", function*(ctx, n: number) {
      if (n > 1) return "large" as const
      const done = yield* ctx.step("s", () => true)
      return { done }
    })
    expectTypeOf<Effect.Success<ReturnType<typeof workflow.execute>>>()
      .toEqualTypeOf<"large" | { done: boolean }>()
    expectTypeOf<Effect.Success<ReturnType<typeof workflow.execute>>>()
      // @ts-expect-error both
      .toEqualTypeOf<"large">()
  })
})
