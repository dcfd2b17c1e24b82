/**
 * Runs that talk, in types: children, messages to other runs, tokens, and what is published.
 */
import { Context, Effect, Schema, type Stream } from "effect"
import { Instruction, Storage, Workflow } from "reprise"
import { describe, expectTypeOf, it } from "vitest"
import { expectBare } from "./support/bare.ts"

class NoStock extends Schema.TaggedError<NoStock>()("NoStock", { sku: Schema.String }) {}
class Shop extends Context.Service<Shop, {
  readonly reserve: (sku: string) => Effect.Effect<number, NoStock>
}>()("test/Shop") {}
class Crypto extends Context.Service<Crypto, { readonly key: string }>()("test/Crypto") {}
/** Needs a service to be encoded or decoded. */
const Secret = null as unknown as Schema.Codec<string, string, Crypto, Crypto>

const order = Workflow.define("order", {
  input: Schema.Struct({ sku: Schema.String, at: Schema.Date }),
  output: Schema.Date,
  error: NoStock,
  events: {
    review: Schema.Struct({ approved: Schema.Boolean }),
    poke: Schema.Void,
    at: Schema.Date
  }
})
const orderWorkflow = order.make(function*(ctx, { at, sku }) {
  yield* ctx.step("reserve", () => Effect.flatMap(Shop, (shop) => shop.reserve(sku)))
  return at
})
const input = { sku: "a", at: new Date(0) }

const ctx = null as unknown as Workflow.Ctx<{ readonly go: typeof Schema.Number }>
/** Short for what is written in most lines here. */
type I<A, E = never, R = never> = Instruction.Instruction<A, E, R>

describe("a child", () => {
  it("gives what its workflow gives, fails with its errors, and needs its services", () => {
    expectBare(ctx.child(orderWorkflow, input)).toEqualTypeOf<I<Date, NoStock, Shop>>()
    expectBare(ctx.child(orderWorkflow, input))
      // @ts-expect-error its output is decoded
      .toEqualTypeOf<I<string, NoStock, Shop>>()
    expectBare(ctx.child(orderWorkflow, input))
      // @ts-expect-error its error is not lost
      .toEqualTypeOf<I<Date, never, Shop>>()
    expectBare(ctx.child(orderWorkflow, input))
      // @ts-expect-error it is driven here, so its shop must be here
      .toEqualTypeOf<I<Date, NoStock>>()
  })

  it("of a contract is driven elsewhere, so that it needs what its schemas need alone", () => {
    expectBare(ctx.child(order, input)).toEqualTypeOf<I<Date, NoStock>>()
    const secret = Workflow.define("secret", {
      input: Secret,
      output: Schema.Number,
      error: NoStock
    })
    expectBare(ctx.child(secret, "x")).toEqualTypeOf<I<number, NoStock, Crypto>>()
    expectBare(ctx.child(secret, "x"))
      // @ts-expect-error they are not forgotten
      .toEqualTypeOf<I<number, NoStock>>()
    const loose = Workflow.define("loose", { input: Schema.String })
    expectBare(ctx.child(loose, "x")).toEqualTypeOf<I<Schema.Json, Schema.Json>>()
  })

  it("without schemas has what its body gives, fails with and needs", () => {
    const loose = Workflow.make("loose", function*(ctx, n: number) {
      if (n > 3) yield* ctx.fail(new NoStock({ sku: "a" }))
      return { n, category: yield* ctx.step("s", () => "bug" as const) }
    })
    expectBare(ctx.child(loose, 1))
      .toEqualTypeOf<I<{ n: number; category: "bug" }, NoStock>>()
    // @ts-expect-error its input is a number
    ctx.child(loose, "1")
  })

  it("takes the input of its workflow, and its options", () => {
    ctx.child(orderWorkflow, input, { name: "o", runId: "o-1", onCancel: "await" })
    ctx.child(order, input, { onCancel: "abandon", discard: false })
    // @ts-expect-error the date is missing
    ctx.child(orderWorkflow, { sku: "a" })
    // @ts-expect-error it is taken as the schema's type, not as what that encodes to
    ctx.child(order, { sku: "a", at: "2020-01-01" })
    // @ts-expect-error the input is missing
    ctx.child(orderWorkflow)
    // @ts-expect-error there is no such way to cancel
    ctx.child(orderWorkflow, input, { onCancel: "detach" })
    // @ts-expect-error a name alone says nothing of its input
    ctx.child("order", input)
  })

  it("needs no input where its workflow takes none", () => {
    const none = Workflow.make("none", function*() {
      return 1
    })
    expectBare(ctx.child(none)).toEqualTypeOf<I<number>>()
    expectBare(ctx.child(none, undefined, { name: "n" })).toEqualTypeOf<I<number>>()
    // @ts-expect-error it takes none
    ctx.child(none, 1)
  })

  it("that is discarded gives its run's id, and cannot fail", () => {
    expectBare(ctx.child(orderWorkflow, input, { discard: true }))
      .toEqualTypeOf<I<string, never, Shop>>()
    expectBare(ctx.child(order, input, { discard: true })).toEqualTypeOf<I<string>>()
    expectBare(ctx.child(orderWorkflow, input, { discard: false }))
      .toEqualTypeOf<I<Date, NoStock, Shop>>()
    expectBare(ctx.child(order, input, { discard: true }))
      // @ts-expect-error nobody waits for its output
      .toEqualTypeOf<I<Date, NoStock>>()
  })

  it("holds its parent to its error schema, and adds to its services", () => {
    const parent = Workflow.make("parent", { error: NoStock }, function*(ctx) {
      const at = yield* ctx.child(orderWorkflow, input)
      expectTypeOf(at).toEqualTypeOf<Date>()
    })
    expectTypeOf<Effect.Services<ReturnType<typeof parent.start>>>()
      .toEqualTypeOf<Storage.Storage | Shop>()
    expectTypeOf<Effect.Services<ReturnType<typeof parent.start>>>()
      // @ts-expect-error the child's shop is not forgotten
      .toEqualTypeOf<Storage.Storage>()
    // @ts-expect-error the child's error is neither declared nor handled
    Workflow.make("parent", { error: Schema.Number }, function*(ctx) {
      yield* ctx.child(orderWorkflow, input)
    })
    Workflow.make("parent", { error: Schema.Number }, function*(ctx) {
      yield* ctx.child(orderWorkflow, input).pipe(
        Instruction.catchTag("NoStock", (error) => {
          expectTypeOf(error).toEqualTypeOf<NoStock>()
          return ctx.step("other", () => error.sku)
        })
      )
    })
  })

  it("may be a run of the workflow itself, through its contract", () => {
    const Tree = Workflow.define("tree", { input: Schema.Number, output: Schema.Number })
    const tree = Tree.make(function*(ctx, depth) {
      const below = depth === 0 ? 0 : yield* ctx.child(Tree, depth - 1)
      expectTypeOf(below).toEqualTypeOf<number>()
      return below + 1
    })
    expectTypeOf<Effect.Success<ReturnType<typeof tree.execute>>>().toEqualTypeOf<number>()
    Tree.make(function*(ctx) {
      // @ts-expect-error its input is a number
      return yield* ctx.child(Tree, "1")
    })
  })
})

describe("send", () => {
  type Failure = Effect.Error<ReturnType<Workflow.Contract<any, any, any, any>["send"]>>
  type Refused = Workflow.RunNotFound | Workflow.RunClosed | Workflow.EventRejected

  it("takes the events that are declared, with their payload", () => {
    ctx.send(order, "r", { eventName: "review", value: { approved: true } })
    ctx.send(orderWorkflow, "r", { eventName: "at", value: new Date(0), key: "k", eventId: "e" })
    ctx.send(order, "r", { eventName: "poke" })
    // @ts-expect-error there is no such event
    ctx.send(order, "r", { eventName: "revue", value: { approved: true } })
    // @ts-expect-error the payload of another event
    ctx.send(order, "r", { eventName: "review", value: new Date(0) })
    // @ts-expect-error the payload is missing
    ctx.send(order, "r", { eventName: "review" })
    // @ts-expect-error the payload is taken as the schema's type, not as what that encodes to
    ctx.send(order, "r", { eventName: "at", value: "2020-01-01" })
    // @ts-expect-error the event has no name
    ctx.send(orderWorkflow, "r", { value: { approved: true } })
    // @ts-expect-error nobody is written to
    ctx.send(order, { eventName: "poke" })
  })

  it("refuses every event where none are declared", () => {
    const none = Workflow.define("none", {})
    // @ts-expect-error there is none
    ctx.send(none, "r", { eventName: "review" })
  })

  it("gives nothing, and fails when the run does not take it", () => {
    const sent = ctx.send(order, "r", { eventName: "poke" })
    expectTypeOf<Instruction.ErrorOf<typeof sent>>().toEqualTypeOf<Refused>()
    expectTypeOf<Refused>().toExtend<Failure>()
    Workflow.make("w", function*(ctx) {
      expectTypeOf(yield* ctx.send(order, "r", { eventName: "poke" })).toEqualTypeOf<void>()
    })
    // @ts-expect-error that failure is neither declared nor handled
    Workflow.make("w", { error: NoStock }, function*(ctx) {
      yield* ctx.send(order, "r", { eventName: "poke" })
    })
  })

  it("needs what the schemas of the events need, and no body", () => {
    const secret = Workflow.define("secret", { events: { go: Secret } })
    const writing = Workflow.make("w", function*(ctx) {
      yield* ctx.send(secret, "r", { eventName: "go", value: "x" })
    })
    expectTypeOf<Effect.Services<ReturnType<typeof writing.start>>>()
      .toEqualTypeOf<Storage.Storage | Crypto>()
    const toWorkflow = Workflow.make("w", function*(ctx) {
      yield* ctx.send(orderWorkflow, "r", { eventName: "poke" })
    })
    expectTypeOf<Effect.Services<ReturnType<typeof toWorkflow.start>>>()
      .toEqualTypeOf<Storage.Storage>()
    expectTypeOf<Effect.Services<ReturnType<typeof writing.start>>>()
      // @ts-expect-error they are not forgotten
      .toEqualTypeOf<Storage.Storage>()
  })
})

describe("a token", () => {
  it("is a text for an event that is declared", () => {
    expectBare(ctx.token("go")).toEqualTypeOf<I<string>>()
    expectBare(ctx.token("go", "k")).toEqualTypeOf<I<string>>()
    // @ts-expect-error there is no such event
    ctx.token("gone")
    // @ts-expect-error a key is a string
    ctx.token("go", 1)
    Workflow.make("w", function*(ctx) {
      // @ts-expect-error no event is declared at all
      yield* ctx.token("go")
    })
  })
})

describe("publish", () => {
  const channels = { percent: Schema.Number, page: Schema.Struct({ at: Schema.Date }) }

  it("by the body takes the channels that are declared, with their type", () => {
    Workflow.make("w", { channels }, function*(ctx) {
      expectBare(ctx.publish("percent", 0.5)).toEqualTypeOf<I<void>>()
      yield* ctx.publish("page", { at: new Date(0) })
      // @ts-expect-error there is no such channel
      yield* ctx.publish("percents", 0.5)
      // @ts-expect-error its values are numbers
      yield* ctx.publish("percent", "50 %")
      // @ts-expect-error they are taken as the schema's type, not as what that encodes to
      yield* ctx.publish("page", { at: "2020-01-01" })
      // @ts-expect-error there is nothing to publish
      yield* ctx.publish("percent")
    })
    Workflow.make("w", function*(ctx) {
      // @ts-expect-error no channel is declared at all
      yield* ctx.publish("percent", 0.5)
    })
  })

  it("by a step does the same", () => {
    Workflow.make("w", { channels }, function*(ctx) {
      yield* ctx.step("s", (step) => {
        expectTypeOf(step.publish("percent", 0.5)).toEqualTypeOf<void>()
        step.publish("page", { at: new Date(0) })
        // @ts-expect-error there is no such channel
        step.publish("percents", 0.5)
        // @ts-expect-error its values are numbers
        step.publish("percent", "50 %")
        return 1
      })
    })
    Workflow.define("w", { channels }).make(function*(ctx) {
      yield* ctx.step("s", (step) => {
        step.publish("percent", 0.5)
        // @ts-expect-error the same behind a contract
        step.publish("percent", "50 %")
      })
    })
    Workflow.make("w", function*(ctx) {
      yield* ctx.step("s", (step) => {
        // @ts-expect-error no channel is declared at all
        step.publish("percent", 0.5)
      })
    })
  })

  it("does not change what a step gives", () => {
    const workflow = Workflow.make("w", { channels }, function*(ctx) {
      return yield* ctx.step("s", (step) => {
        step.publish("percent", 0.5)
        return Effect.map(Shop, () => "x")
      })
    })
    expectTypeOf<Effect.Success<ReturnType<typeof workflow.execute>>>().toEqualTypeOf<string>()
    expectTypeOf<Effect.Services<ReturnType<typeof workflow.execute>>>()
      .toEqualTypeOf<Storage.Storage | Shop>()
  })

  it("is seen by whoever looks, with its type", () => {
    const contract = Workflow.define("w", { output: Schema.String, channels })
    const look = null as unknown as Effect.Success<ReturnType<typeof contract.status>>
    expectTypeOf(look.progress.percent)
      .toEqualTypeOf<Workflow.Published<number> | undefined>()
    expectTypeOf(look.progress.page)
      .toEqualTypeOf<Workflow.Published<{ readonly at: Date }> | undefined>()
    expectTypeOf(look.steps)
      .toEqualTypeOf<{ readonly done: number; readonly running: number; readonly failed: number }>()
    expectTypeOf<Stream.Success<ReturnType<typeof contract.changes>>>()
      .toEqualTypeOf<Effect.Success<ReturnType<typeof contract.status>>>()
    // @ts-expect-error there is no such channel
    expectTypeOf(look.progress.percents)
    // @ts-expect-error its values are numbers
    expectTypeOf(look.progress.percent).toEqualTypeOf<Workflow.Published<string> | undefined>()
  })

  it("does not keep a helper without channels from being used", () => {
    function* helper(ctx: Workflow.Ctx): Workflow.Body<number> {
      return yield* ctx.step("s", () => 1)
    }
    Workflow.make("w", { channels }, function*(ctx) {
      yield* helper(ctx)
      // @ts-expect-error it gives a number
      const text: string = yield* helper(ctx)
      return text
    })
  })

  it("is the same for a helper that names its channels", () => {
    function* report(ctx: Workflow.Ctx<{}, Pick<typeof channels, "percent">>): Workflow.Body<void> {
      yield* ctx.publish("percent", 1)
      // @ts-expect-error it asked for one channel only
      yield* ctx.publish("page", { at: new Date(0) })
    }
    Workflow.make("w", { channels }, function*(ctx) {
      yield* report(ctx)
    })
    Workflow.make("w", { channels: { page: channels.page } }, function*(ctx) {
      // @ts-expect-error this workflow has no such channel
      yield* report(ctx)
    })
  })

  it("adds the services of its schemas", () => {
    const workflow = Workflow.make("w", { channels: { secret: Secret } }, function*() {})
    expectTypeOf<Effect.Services<ReturnType<typeof workflow.start>>>()
      .toEqualTypeOf<Storage.Storage | Crypto>()
    expectTypeOf<Effect.Services<ReturnType<typeof workflow.start>>>()
      // @ts-expect-error they are not forgotten
      .toEqualTypeOf<Storage.Storage>()
  })
})
