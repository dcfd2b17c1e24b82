/**
 * Durable time, in types: waits that may give up, limits, and timers.
 */
import { Context, DateTime, Duration, Effect, Option, Schema } from "effect"
import { Instruction, Storage, Workflow } from "reprise"
import { describe, expectTypeOf, it } from "vitest"
import { expectBare } from "./support/bare.ts"

class NoStock extends Schema.TaggedError<NoStock>()("NoStock", { sku: Schema.String }) {}
class Shop extends Context.Service<Shop, {
  readonly reserve: (sku: string) => Effect.Effect<number, NoStock>
}>()("test/Shop") {}

const events = { review: Schema.Struct({ approved: Schema.Boolean }), poke: Schema.Void }
type Review = { readonly approved: boolean }
const ctx = null as unknown as Workflow.Ctx<typeof events>
const reserve = ctx.step("reserve", () => Effect.flatMap(Shop, (shop) => shop.reserve("a")))
/** Short for what is written in most lines here. */
type I<A, E = never, R = never> = Instruction.Instruction<A, E, R>
type Reserve = Instruction.Undeclared<NoStock>

describe("suspend", () => {
  it("with a timeout gives an Option of the payload", () => {
    expectBare(ctx.suspend("review", { timeout: "1 day" }))
      .toEqualTypeOf<I<Option.Option<Review>>>()
    expectBare(ctx.suspend("review", { timeout: 5, key: "k", reason: "because" }))
      .toEqualTypeOf<I<Option.Option<Review>>>()
    expectBare(ctx.suspend("poke", { timeout: Duration.hours(1) }))
      .toEqualTypeOf<I<Option.Option<void>>>()
    expectBare(ctx.suspend("review", { timeout: "1 day" }))
      // @ts-expect-error the event may never come
      .toEqualTypeOf<I<Review>>()
  })

  it("without one gives the payload itself", () => {
    expectBare(ctx.suspend("review")).toEqualTypeOf<I<Review>>()
    expectBare(ctx.suspend("review", { key: "k" })).toEqualTypeOf<I<Review>>()
    expectBare(ctx.suspend("review", { timeout: undefined })).toEqualTypeOf<I<Review>>()
    expectBare(ctx.suspend("review"))
      // @ts-expect-error there is nothing to be missing
      .toEqualTypeOf<I<Option.Option<Review>>>()
  })

  it("as a free function does the same", () => {
    expectBare(Instruction.suspend<number>("n", { timeout: "1 day" }))
      .toEqualTypeOf<I<Option.Option<number>>>()
    expectBare(Instruction.suspend<number>("n", { key: "k" })).toEqualTypeOf<I<number>>()
    expectBare(Instruction.suspend<number>("n"))
      // @ts-expect-error there is nothing to be missing
      .toEqualTypeOf<I<Option.Option<number>>>()
  })

  it("makes the body look whether the event came", () => {
    Workflow.make("w", { events }, function*(ctx) {
      const verdict = yield* ctx.suspend("review", { timeout: "1 day" })
      if (Option.isSome(verdict)) expectTypeOf(verdict.value.approved).toEqualTypeOf<boolean>()
      // @ts-expect-error it may not have
      return verdict.approved as boolean
    })
  })

  it("takes a duration for its timeout", () => {
    // @ts-expect-error this is no duration
    ctx.suspend("review", { timeout: "soon" })
    // @ts-expect-error nor is an instant
    ctx.suspend("review", { timeout: new Date(0) })
  })
})

describe("sleep and sleepUntil", () => {
  it("give nothing, and neither fail nor need anything", () => {
    expectBare(ctx.sleep("1 day")).toEqualTypeOf<I<void>>()
    expectBare(ctx.sleep(Duration.days(1), { name: "a day" })).toEqualTypeOf<I<void>>()
    expectBare(ctx.sleepUntil(new Date(0))).toEqualTypeOf<I<void>>()
    expectBare(ctx.sleepUntil(0)).toEqualTypeOf<I<void>>()
    expectBare(ctx.sleepUntil(DateTime.makeUnsafe(0))).toEqualTypeOf<I<void>>()
    expectBare(ctx.sleep("1 day"))
      // @ts-expect-error the time that passed is asked for with ctx.now
      .toEqualTypeOf<I<number>>()
  })

  it("tell a duration from an instant", () => {
    // @ts-expect-error a Date is no duration
    ctx.sleep(new Date(0))
    // @ts-expect-error a duration is no instant
    ctx.sleepUntil("1 day")
    // @ts-expect-error there is nothing to sleep for
    ctx.sleep()
  })
})

describe("Instruction.timeout", () => {
  it("adds StepTimeout to what the instruction fails with", () => {
    expectBare(reserve.pipe(Instruction.timeout("1 day")))
      .toEqualTypeOf<I<number, Reserve | Instruction.StepTimeout, Shop>>()
    expectBare(Instruction.timeout(reserve, "1 day"))
      .toEqualTypeOf<I<number, Reserve | Instruction.StepTimeout, Shop>>()
    expectBare(ctx.suspend("review").pipe(Instruction.timeout("1 day")))
      .toEqualTypeOf<I<Review, Instruction.StepTimeout>>()
    expectBare(ctx.all({ reserve }).pipe(Instruction.timeout("1 day")))
      .toEqualTypeOf<I<{ reserve: number }, Reserve | Instruction.StepTimeout, Shop>>()
    expectBare(reserve.pipe(Instruction.timeout("1 day")))
      // @ts-expect-error it may take too long
      .toEqualTypeOf<I<number, Reserve, Shop>>()
  })

  it("is handled by its tag", () => {
    expectBare(
      ctx.suspend("review").pipe(
        Instruction.timeout("1 day"),
        Instruction.catchTag("StepTimeout", (error) => {
          expectTypeOf(error).toEqualTypeOf<Instruction.StepTimeout>()
          return ctx.step("remind", () => "late")
        })
      )
    ).toEqualTypeOf<I<Review | string>>()
    expectBare(
      reserve.pipe(
        Instruction.timeout("1 day"),
        Instruction.catchTag("StepTimeout", () => ctx.step("remind", () => "late"))
      )
    )
      // @ts-expect-error the step's own failure stays
      .toEqualTypeOf<I<number | string, never, Shop>>()
  })

  it("is covered by every error schema", () => {
    Workflow.make("w", { events, error: NoStock }, function*(ctx) {
      return yield* ctx.suspend("review").pipe(Instruction.timeout("1 day"))
    })
    // @ts-expect-error but it covers nothing else
    Workflow.make("w", { events, error: Schema.String }, function*() {
      return yield* reserve.pipe(Instruction.timeout("1 day"))
    })
  })
})

describe("Instruction.timeoutOption", () => {
  it("gives an Option, and adds no failure", () => {
    expectBare(reserve.pipe(Instruction.timeoutOption("1 day")))
      .toEqualTypeOf<I<Option.Option<number>, Reserve, Shop>>()
    expectBare(Instruction.timeoutOption(reserve, 5))
      .toEqualTypeOf<I<Option.Option<number>, Reserve, Shop>>()
    expectBare(reserve.pipe(Instruction.timeoutOption("1 day")))
      // @ts-expect-error the value may be missing
      .toEqualTypeOf<I<number, Reserve, Shop>>()
    expectBare(reserve.pipe(Instruction.timeoutOption("1 day")))
      // @ts-expect-error the failure of the instruction itself is not lost
      .toEqualTypeOf<I<Option.Option<number>, never, Shop>>()
  })
})

describe("now, random, uuid, patched and continueAs", () => {
  it("give a value each, and neither fail nor need anything", () => {
    expectBare(ctx.now).toEqualTypeOf<I<number>>()
    expectBare(ctx.random).toEqualTypeOf<I<number>>()
    expectBare(ctx.uuid).toEqualTypeOf<I<string>>()
    expectBare(ctx.patched("change")).toEqualTypeOf<I<boolean>>()
    // @ts-expect-error the time is a number of milliseconds, not a Date
    expectBare(ctx.now).toEqualTypeOf<I<Date>>()
    // @ts-expect-error a change has a name
    ctx.patched()
  })

  it("continueAs never comes back", () => {
    expectBare(ctx.continueAs(1)).toEqualTypeOf<I<never>>()
    const counting = Workflow.make("w", function*(ctx, n: number) {
      if (n < 3) yield* ctx.continueAs(n + 1)
      return "done" as const
    })
    expectTypeOf<Effect.Success<ReturnType<typeof counting.execute>>>().toEqualTypeOf<"done">()
    const looping = Workflow.make("w", function*(ctx, n: number) {
      return yield* ctx.continueAs(n + 1)
    })
    expectTypeOf<Effect.Success<ReturnType<typeof looping.execute>>>().toEqualTypeOf<never>()
    expectBare(ctx.continueAs(1))
      // @ts-expect-error there is nothing it could give
      .toEqualTypeOf<I<number>>()
  })
})

describe("version and previous", () => {
  const older = Workflow.make("w", { version: "1" }, function*() {
    return yield* reserve
  })

  it("the services of older bodies join R", () => {
    const newer = Workflow.make("w", { version: "2", previous: [older] }, function*(ctx) {
      return yield* ctx.step("s", () => 1)
    })
    expectTypeOf<Effect.Services<ReturnType<typeof newer.start>>>()
      .toEqualTypeOf<Storage.Storage | Shop>()
    expectTypeOf<Effect.Services<ReturnType<typeof newer.execute>>>()
      .toEqualTypeOf<Storage.Storage | Shop>()
    expectTypeOf<Effect.Services<ReturnType<typeof newer.resume>>>()
      .toEqualTypeOf<Storage.Storage | Shop>()
    expectTypeOf<Effect.Services<ReturnType<typeof newer.cancel>>>()
      .toEqualTypeOf<Storage.Storage | Shop>()
    expectTypeOf<Effect.Services<ReturnType<typeof newer.status>>>()
      .toEqualTypeOf<Storage.Storage>()
    const alone = Workflow.make("w", { version: "2" }, function*(ctx) {
      return yield* ctx.step("s", () => 1)
    })
    expectTypeOf<Effect.Services<ReturnType<typeof alone.start>>>()
      .toEqualTypeOf<Storage.Storage>()
    expectTypeOf<Effect.Services<ReturnType<typeof newer.start>>>()
      // @ts-expect-error a run that goes on with the older body needs its shop
      .toEqualTypeOf<Storage.Storage>()
  })

  it("through older bodies of older bodies, and behind a contract", () => {
    const middle = Workflow.make("w", { version: "2", previous: [older] }, function*() {})
    const newest = Workflow.make("w", { version: "3", previous: [middle] }, function*() {})
    expectTypeOf<Effect.Services<ReturnType<typeof newest.start>>>()
      .toEqualTypeOf<Storage.Storage | Shop>()
    const apart = Workflow.define("w", { version: "3", previous: [middle] }).make(function*() {
      return 1
    })
    expectTypeOf<Effect.Services<ReturnType<typeof apart.start>>>()
      .toEqualTypeOf<Storage.Storage | Shop>()
    expectTypeOf<Effect.Services<ReturnType<typeof apart.start>>>()
      // @ts-expect-error they are not forgotten on the way
      .toEqualTypeOf<Storage.Storage>()
  })

  it("needs bodies, not contracts", () => {
    const contract = Workflow.define("w", { version: "1" })
    // @ts-expect-error a contract has no body to go on with
    Workflow.make("w", { version: "2", previous: [contract] }, function*() {})
    // @ts-expect-error nor has a version's name
    Workflow.make("w", { version: "2", previous: ["1"] }, function*() {})
  })
})
