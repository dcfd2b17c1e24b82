/**
 * Compensation, in types: what an undo is given, and what it needs.
 */
import { Context, Effect, Schema } from "effect"
import { Instruction, Storage, Workflow } from "reprise"
import { describe, expectTypeOf, it } from "vitest"
import { expectBare } from "./support/bare.ts"

class NoStock extends Schema.TaggedError<NoStock>()("NoStock", { sku: Schema.String }) {}
class NoMoney extends Schema.TaggedError<NoMoney>()("NoMoney", { missing: Schema.Number }) {}
class Shop extends Context.Service<Shop, {
  readonly reserve: (sku: string) => Effect.Effect<number, NoStock>
}>()("test/Shop") {}
class Bank extends Context.Service<Bank, {
  readonly refund: (id: number) => Effect.Effect<void, NoMoney>
}>()("test/Bank") {}

const ctx = null as unknown as Workflow.Ctx
const reserve = ctx.step("reserve", () => Effect.flatMap(Shop, (shop) => shop.reserve("a")))
const refund = (id: number) =>
  ctx.step("refund", () => Effect.flatMap(Bank, (bank) => bank.refund(id)))
/** Short for what is written in most lines here. */
type I<A, E = never, R = never> = Instruction.Instruction<A, E, R>
type Reserve = Instruction.Undeclared<NoStock>

describe("withCompensation", () => {
  it("gives the undo the value, or nothing where a crash left it unknown", () => {
    reserve.pipe(Instruction.withCompensation((value, cause) => {
      expectTypeOf(value).toEqualTypeOf<number | undefined>()
      expectTypeOf(cause).toEqualTypeOf<Instruction.UndoCause>()
      expectTypeOf(cause.error).toEqualTypeOf<unknown>()
      expectTypeOf(cause.stepId).toEqualTypeOf<string>()
      expectTypeOf(cause.idempotencyKey).toEqualTypeOf<string>()
      return refund(value ?? 0)
    }))
    Instruction.withCompensation(reserve, (value) => {
      expectTypeOf(value).toEqualTypeOf<number | undefined>()
      return refund(value ?? 0)
    })
    // @ts-expect-error the value may be unknown
    reserve.pipe(Instruction.withCompensation((value: number) => refund(value)))
    // @ts-expect-error the same with the instruction first
    Instruction.withCompensation(reserve, (value: number) => refund(value))
  })

  it("changes neither value nor failure, and adds the services of the undo", () => {
    expectBare(reserve.pipe(Instruction.withCompensation((id) => refund(id ?? 0))))
      .toEqualTypeOf<I<number, Reserve, Shop | Bank>>()
    expectBare(Instruction.withCompensation(reserve, (id) => refund(id ?? 0)))
      .toEqualTypeOf<I<number, Reserve, Shop | Bank>>()
    expectBare(Instruction.withCompensation(reserve, () => ctx.step("note", () => 1)))
      .toEqualTypeOf<I<number, Reserve, Shop>>()
    expectBare(reserve.pipe(Instruction.withCompensation((id) => refund(id ?? 0))))
      // @ts-expect-error undoing needs the bank
      .toEqualTypeOf<I<number, Reserve, Shop>>()
  })

  it("takes a generator function, and any instruction", () => {
    expectBare(reserve.pipe(Instruction.withCompensation(function*(id) {
      expectTypeOf(id).toEqualTypeOf<number | undefined>()
      yield* refund(id ?? 0)
    }))).toEqualTypeOf<I<number, Reserve, Shop | Bank>>()
    expectBare(
      ctx.all({ reserve }).pipe(Instruction.withCompensation((all) => {
        expectTypeOf(all).toEqualTypeOf<{ reserve: number } | undefined>()
        return refund(all?.reserve ?? 0)
      }))
    ).toEqualTypeOf<I<{ reserve: number }, Reserve, Shop | Bank>>()
    // @ts-expect-error an Effect is no instruction
    reserve.pipe(Instruction.withCompensation(() => Effect.void))
    // @ts-expect-error nor is a value
    Instruction.withCompensation(reserve, () => 1)
  })

  it("makes its services those of the workflow", () => {
    const workflow = Workflow.make("w", function*() {
      yield* reserve.pipe(Instruction.withCompensation((id) => refund(id ?? 0)))
    })
    expectTypeOf<Effect.Services<ReturnType<typeof workflow.start>>>()
      .toEqualTypeOf<Storage.Storage | Shop | Bank>()
    expectTypeOf<Effect.Services<ReturnType<typeof workflow.start>>>()
      // @ts-expect-error the bank is not forgotten
      .toEqualTypeOf<Storage.Storage | Shop>()
  })

  it("makes a run that cannot be undone fail with CompensationFailed", () => {
    const workflow = Workflow.make("w", { error: NoStock }, function*() {
      yield* reserve.pipe(Instruction.withCompensation((id) => refund(id ?? 0)))
    })
    const result = null as unknown as Effect.Success<ReturnType<typeof workflow.start>>
    if (result.status === "failed") {
      expectTypeOf(result.error).toEqualTypeOf<NoStock | Instruction.RunError>()
      expectTypeOf<Extract<typeof result.error, Instruction.CompensationFailed>>()
        .toEqualTypeOf<Instruction.CompensationFailed>()
      expectTypeOf(result.error)
        // @ts-expect-error what the undo itself fails with is told by CompensationFailed
        .toEqualTypeOf<NoStock | NoMoney | Instruction.RunError>()
    }
  })
})

describe("a step's undo", () => {
  it("is given the step's value, or nothing where a crash left it unknown", () => {
    ctx.step("s", () => "x", {
      undo: (value, cause) => {
        expectTypeOf(value).toEqualTypeOf<string | undefined>()
        expectTypeOf(cause).toEqualTypeOf<Instruction.UndoCause>()
        return ctx.step("undo", () => 1)
      }
    })
    ctx.step("s", Effect.succeed(1), {
      undo: (value) => {
        expectTypeOf(value).toEqualTypeOf<number | undefined>()
        return refund(value ?? 0)
      }
    })
    ctx.step("s", () => new Date(0), {
      schema: Schema.Date,
      undo: (value) => {
        expectTypeOf(value).toEqualTypeOf<Date | undefined>()
        return refund(0)
      }
    })
    // @ts-expect-error the value may be unknown
    ctx.step("s", () => 1, { undo: (value: number) => refund(value) })
  })

  it("adds its services, and nothing else", () => {
    expectBare(ctx.step("s", () => "x", { undo: () => refund(0) }))
      .toEqualTypeOf<I<string, never, Bank>>()
    expectBare(ctx.step("s", () => Effect.flatMap(Shop, (shop) => shop.reserve("a")), {
      retry: 3,
      undo: (id) => refund(id ?? 0)
    })).toEqualTypeOf<I<number, Reserve, Shop | Bank>>()
    expectBare(ctx.step("s", () => "x", {
      undo: function*() {
        yield* refund(0)
      }
    })).toEqualTypeOf<I<string, never, Bank>>()
    expectBare(ctx.step("s", () => "x", { undo: () => refund(0) }))
      // @ts-expect-error undoing needs the bank
      .toEqualTypeOf<I<string>>()
    expectBare(ctx.step("s", () => "x", { undo: undefined })).toEqualTypeOf<I<string>>()
  })

  it("stands beside every other option", () => {
    const undo = () => refund(0)
    expectBare(ctx.step("s", () => 1, { retry: 2, undo })).toEqualTypeOf<I<number, never, Bank>>()
    expectBare(ctx.step("s", () => 1, { undo: () => refund(0), timeout: "1 second" }))
      .toEqualTypeOf<I<number, never, Bank>>()
    expectBare(ctx.step("s", () => 1, { delivery: "at-most-once", undo: () => refund(0) }))
      .toEqualTypeOf<I<number, never, Bank>>()
    expectBare(
      ctx.step("s", () => Effect.flatMap(Shop, (shop) => shop.reserve("a")), {
        error: NoStock,
        retry: { times: 2, while: (error) => error === 1 },
        undo: (value) => refund(value ?? 0)
      })
    ).toEqualTypeOf<I<number, NoStock, Shop | Bank>>()
    // @ts-expect-error there is no such option
    ctx.step("s", () => 1, { redo: 2, undo: () => refund(0) })
    // @ts-expect-error a retry is a number, a schedule or options
    ctx.step("s", () => 1, { retry: "twice", undo: () => refund(0) })
  })

  it("is an instruction or a generator function", () => {
    // @ts-expect-error an Effect is no instruction
    ctx.step("s", () => "x", { undo: () => Effect.void })
    // @ts-expect-error nor is a Promise
    ctx.step("s", () => "x", { undo: async () => {} })
  })
})
