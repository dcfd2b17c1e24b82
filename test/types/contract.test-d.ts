/**
 * What callers hold, in types: contracts, workflows, events, and the union that a driving call gives.
 */
import { Context, Effect, Option, Schema, Stream } from "effect"
import { Instruction, type Storage, Workflow } from "reprise"
import { describe, expectTypeOf, it } from "vitest"

class Crypto extends Context.Service<Crypto, { readonly key: string }>()("test/Crypto") {}
class Shop extends Context.Service<Shop, { readonly open: boolean }>()("test/Shop") {}
class NoStock extends Schema.TaggedError<NoStock>()("NoStock", { sku: Schema.String }) {}

const Ticket = Schema.Struct({ id: Schema.String, at: Schema.Date })
type Ticket = typeof Ticket.Type
const Verdict = Schema.Struct({ approved: Schema.Boolean })
/** Needs a service to be decoded. */
const Secret = null as unknown as Schema.Codec<string, string, Crypto, never>

const order = Workflow.define("order", {
  input: Ticket,
  output: Schema.Number,
  error: NoStock,
  events: { review: Verdict, poke: Schema.Void, nudge: Schema.UndefinedOr(Schema.String) },
  version: "1",
  runId: (ticket: Ticket) => `order-${ticket.id}`
})

describe("a contract", () => {
  it("needs only Storage", () => {
    const ticket: Ticket = { id: "a", at: new Date(0) }
    expectTypeOf<Effect.Services<ReturnType<typeof order.enqueue>>>()
      .toEqualTypeOf<Storage.Storage>()
    expectTypeOf<Effect.Services<ReturnType<typeof order.send>>>().toEqualTypeOf<Storage.Storage>()
    expectTypeOf<Effect.Services<ReturnType<typeof order.status>>>()
      .toEqualTypeOf<Storage.Storage>()
    expectTypeOf<Effect.Services<ReturnType<typeof order.join>>>().toEqualTypeOf<Storage.Storage>()
    expectTypeOf<Stream.Services<ReturnType<typeof order.changes>>>()
      .toEqualTypeOf<Storage.Storage>()
    expectTypeOf(order.enqueue(ticket)).toExtend<Effect.Effect<string, unknown, Storage.Storage>>()
    expectTypeOf<Effect.Services<ReturnType<typeof order.send>>>()
      // @ts-expect-error it does need it
      .toEqualTypeOf<never>()
  })

  it("cannot drive a run", () => {
    // @ts-expect-error it has no body
    expectTypeOf(order.start)
    // @ts-expect-error so it cannot go on either
    expectTypeOf(order.resume)
    // @ts-expect-error nor run to the end
    expectTypeOf(order.execute)
    // @ts-expect-error nor clean up
    expectTypeOf(order.cancel)
  })

  it("knows its output and its errors", () => {
    expectTypeOf<Effect.Success<ReturnType<typeof order.join>>>().toEqualTypeOf<number>()
    expectTypeOf<Extract<Effect.Error<ReturnType<typeof order.join>>, NoStock>>()
      .toEqualTypeOf<NoStock>()
    expectTypeOf<Effect.Success<ReturnType<typeof order.status>>>()
      .toEqualTypeOf<Workflow.Look<number, NoStock | Instruction.RunError>>()
    expectTypeOf<Effect.Success<ReturnType<typeof order.join>>>()
      // @ts-expect-error it is a number
      .toEqualTypeOf<string>()
  })

  it("takes its input as the schema's type", () => {
    expectTypeOf(order.enqueue).parameter(0).toEqualTypeOf<Ticket>()
    // @ts-expect-error not as what that encodes to
    expectTypeOf(order.enqueue({ id: "a", at: "2020-01-01" }))
    expectTypeOf(order.enqueue({ id: "a", at: new Date(0) }, { runId: "r" })).toBeObject()
  })

  it("without schemas takes and gives JSON", () => {
    const loose = Workflow.define("loose", {})
    expectTypeOf(loose.enqueue).parameter(0).toEqualTypeOf<Schema.Json>()
    expectTypeOf<Effect.Success<ReturnType<typeof loose.join>>>().toEqualTypeOf<Schema.Json>()
    // @ts-expect-error nothing else
    expectTypeOf(loose.enqueue(new Date(0)))
  })
})

describe("a contract with its body", () => {
  const workflow = order.make(function*(ctx, ticket) {
    expectTypeOf(ticket).toEqualTypeOf<Ticket>()
    yield* ctx.suspend("review")
    return yield* ctx.step("s", () => Effect.map(Shop, ({ open }) => open ? 1 : 2))
  })

  it("adds the services of the body to the driving calls only", () => {
    expectTypeOf<Effect.Services<ReturnType<typeof workflow.start>>>()
      .toEqualTypeOf<Storage.Storage | Shop>()
    expectTypeOf<Effect.Services<ReturnType<typeof workflow.execute>>>()
      .toEqualTypeOf<Storage.Storage | Shop>()
    expectTypeOf<Effect.Services<ReturnType<typeof workflow.resume>>>()
      .toEqualTypeOf<Storage.Storage | Shop>()
    expectTypeOf<Effect.Services<ReturnType<typeof workflow.cancel>>>()
      .toEqualTypeOf<Storage.Storage | Shop>()
    expectTypeOf<Effect.Services<ReturnType<typeof workflow.start>>>()
      // @ts-expect-error the body needs its shop
      .toEqualTypeOf<Storage.Storage>()
  })

  it("still talks to its runs with Storage alone", () => {
    expectTypeOf<Effect.Services<ReturnType<typeof workflow.send>>>()
      .toEqualTypeOf<Storage.Storage>()
    expectTypeOf<Effect.Services<ReturnType<typeof workflow.enqueue>>>()
      .toEqualTypeOf<Storage.Storage>()
    expectTypeOf<Effect.Services<ReturnType<typeof workflow.status>>>()
      .toEqualTypeOf<Storage.Storage>()
    expectTypeOf<Effect.Services<ReturnType<typeof workflow.join>>>()
      .toEqualTypeOf<Storage.Storage>()
  })

  it("holds the body to the contract", () => {
    // @ts-expect-error the output is a number
    order.make(function*() {
      return "x"
    })
    // @ts-expect-error the input is a ticket
    order.make(function*(_ctx, _input: string) {
      return 1
    })
  })

  it("is what make with options gives at once", () => {
    const options = { input: Schema.Number, output: Schema.String }
    const apart = Workflow.define("w", options).make(function*(ctx, n) {
      return yield* ctx.step("s", () => Effect.map(Shop, () => String(n)))
    })
    const atOnce = Workflow.make("w", options, function*(ctx, n) {
      return yield* ctx.step("s", () => Effect.map(Shop, () => String(n)))
    })
    expectTypeOf(apart.start).toEqualTypeOf(atOnce.start)
    expectTypeOf(apart.join).toEqualTypeOf(atOnce.join)
    const other = Workflow.make("w", options, function*(_ctx, n) {
      return String(n)
    })
    // @ts-expect-error this one needs no shop
    expectTypeOf(apart.start).toEqualTypeOf(other.start)
  })

  it("lets workflows call each other through contracts", () => {
    const ping = Workflow.define("ping", { input: Schema.Number, output: Schema.Number })
    const pong = Workflow.define("pong", { input: Schema.Number, output: Schema.Number })
    const pingWorkflow = ping.make(function*(ctx, n) {
      return yield* ctx.step("ask", () => Effect.as(Effect.orDie(pong.enqueue(n)), n))
    })
    const pongWorkflow = pong.make(function*(ctx, n) {
      return yield* ctx.step("ask", () => Effect.as(Effect.orDie(ping.enqueue(n)), n))
    })
    expectTypeOf<Effect.Success<ReturnType<typeof pingWorkflow.execute>>>()
      .toEqualTypeOf<number>()
    expectTypeOf<Effect.Success<ReturnType<typeof pongWorkflow.execute>>>()
      .toEqualTypeOf<number>()
  })
})

describe("the services of schemas", () => {
  it("join every call", () => {
    const contract = Workflow.define("w", { input: Secret, events: { go: Secret } })
    expectTypeOf<Effect.Services<ReturnType<typeof contract.enqueue>>>()
      .toEqualTypeOf<Storage.Storage | Crypto>()
    expectTypeOf<Effect.Services<ReturnType<typeof contract.send>>>()
      .toEqualTypeOf<Storage.Storage | Crypto>()
    const output = Workflow.make("w", { output: Secret, error: NoStock }, function*() {
      return "x"
    })
    expectTypeOf<Effect.Services<ReturnType<typeof output.start>>>()
      .toEqualTypeOf<Storage.Storage | Crypto>()
    const error = Workflow.make("w", { error: Secret }, function*() {})
    expectTypeOf<Effect.Services<ReturnType<typeof error.start>>>()
      .toEqualTypeOf<Storage.Storage | Crypto>()
    const step = Workflow.make("w", function*(ctx) {
      yield* ctx.step("s", () => "x", { schema: Secret })
    })
    expectTypeOf<Effect.Services<ReturnType<typeof step.start>>>()
      .toEqualTypeOf<Storage.Storage | Crypto>()
    expectTypeOf<Effect.Services<ReturnType<typeof step.start>>>()
      // @ts-expect-error they are not forgotten
      .toEqualTypeOf<Storage.Storage>()
  })
})

describe("a workflow without schemas", () => {
  it("takes its input's type from the body's parameter", () => {
    const one = Workflow.make("w", function*(_ctx, who: { name: string }) {
      return who.name
    })
    expectTypeOf<Parameters<typeof one.start>[0]>().toEqualTypeOf<{ name: string }>()
    expectTypeOf<Effect.Success<ReturnType<typeof one.execute>>>().toEqualTypeOf<string>()
    expectTypeOf(one.start({ name: "Ada" })).toBeObject()
    // @ts-expect-error the name is missing
    expectTypeOf(one.start({}))
    // @ts-expect-error the input is missing
    expectTypeOf(one.start())
  })

  it("needs no input when its body takes none", () => {
    const none = Workflow.make("w", function*() {})
    const onlyCtx = Workflow.make("w", function*(ctx) {
      yield* ctx.log("x")
    })
    expectTypeOf(none.start()).toBeObject()
    expectTypeOf(onlyCtx.execute()).toBeObject()
    expectTypeOf(none.start(undefined, { runId: "r" })).toBeObject()
    expectTypeOf<Effect.Success<ReturnType<typeof none.execute>>>().toEqualTypeOf<void>()
    // @ts-expect-error it takes none
    expectTypeOf(none.start(1))
    // @ts-expect-error nor does this one
    expectTypeOf(onlyCtx.start("x"))
  })

  it("may still declare events alone", () => {
    const workflow = Workflow.make("w", { events: { go: Schema.Date } }, function*(ctx, n: number) {
      return (yield* ctx.suspend("go")).getTime() + n
    })
    expectTypeOf<Parameters<typeof workflow.start>[0]>().toEqualTypeOf<number>()
    // @ts-expect-error not a string
    expectTypeOf(workflow.start("1"))
  })
})

describe("events", () => {
  it("are waited for by the names that are declared", () => {
    order.make(function*(ctx) {
      const review = yield* ctx.suspend("review", { key: "k", reason: "because" })
      expectTypeOf(review).toEqualTypeOf<{ readonly approved: boolean }>()
      const poke = yield* ctx.suspend("poke")
      expectTypeOf(poke).toEqualTypeOf<void>()
      // @ts-expect-error there is no such event
      yield* ctx.suspend("revue")
      // @ts-expect-error a key is a string
      yield* ctx.suspend("review", { key: 1 })
      return 1
    })
    Workflow.make("w", function*(ctx) {
      // @ts-expect-error no event is declared at all
      yield* ctx.suspend("review")
    })
  })

  it("are sent with their payload", () => {
    const workflow = order.make(function*() {
      return 1
    })
    const payload = { eventName: "review", value: { approved: true } } as const
    expectTypeOf(order.send("r", payload)).toBeObject()
    expectTypeOf(workflow.send("r", payload)).toBeObject()
    expectTypeOf(workflow.resume("r", payload)).toBeObject()
    expectTypeOf(workflow.resume("r")).toBeObject()
    expectTypeOf(order.send("r", { ...payload, key: "k", eventId: "e" })).toBeObject()
    // @ts-expect-error there is no such event
    expectTypeOf(order.send("r", { eventName: "revue", value: { approved: true } }))
    // @ts-expect-error the payload has another type
    expectTypeOf(order.send("r", { eventName: "review", value: { approved: "yes" } }))
    // @ts-expect-error the payload is missing
    expectTypeOf(order.send("r", { eventName: "review" }))
    // @ts-expect-error the payload of another event
    expectTypeOf(workflow.resume("r", { eventName: "review", value: "x" }))
    // @ts-expect-error the event has no name
    expectTypeOf(workflow.resume("r", { value: { approved: true } }))
  })

  it("need no payload where it may be undefined", () => {
    expectTypeOf(order.send("r", { eventName: "poke" })).toBeObject()
    expectTypeOf(order.send("r", { eventName: "nudge" })).toBeObject()
    expectTypeOf(order.send("r", { eventName: "nudge", value: "x" })).toBeObject()
    // @ts-expect-error but if there is one, it has its type
    expectTypeOf(order.send("r", { eventName: "nudge", value: 1 }))
  })

  it("cannot be sent where none are declared", () => {
    const none = Workflow.define("w", {})
    expectTypeOf(none.send).parameter(1).toEqualTypeOf<never>()
    // @ts-expect-error there is none
    expectTypeOf(none.send("r", { eventName: "review" }))
  })
})

describe("a result", () => {
  const workflow = order.make(function*() {
    return 1
  })
  type Started = Effect.Success<ReturnType<typeof workflow.start>>

  it("is told apart by its status", () => {
    const result = null as unknown as Started
    switch (result.status) {
      case "success":
        expectTypeOf(result.result).toEqualTypeOf<number>()
        break
      case "suspended":
        expectTypeOf(result.event).toEqualTypeOf<string | undefined>()
        break
      case "failed":
        expectTypeOf(result.error).toEqualTypeOf<NoStock | Instruction.RunError>()
        break
      default:
        expectTypeOf(result.status)
          .toEqualTypeOf<"cancelled" | "stopped" | "blocked" | "running">()
    }
    expectTypeOf(result.runId).toEqualTypeOf<string>()
    // @ts-expect-error there is a result only after a success
    expectTypeOf(result.result)
  })

  it("is not a failure of the call: a suspension and the workflow's error are values", () => {
    expectTypeOf<Effect.Error<ReturnType<typeof workflow.start>>>()
      .toEqualTypeOf<Workflow.EngineError>()
    expectTypeOf<Extract<Effect.Error<ReturnType<typeof workflow.start>>, NoStock>>().toBeNever()
    expectTypeOf<Effect.Error<ReturnType<typeof workflow.execute>>>()
      .toEqualTypeOf<
        NoStock | Instruction.RunError | Workflow.NoOutput | Workflow.EngineError
      >()
    expectTypeOf<Effect.Error<ReturnType<typeof workflow.start>>>()
      // @ts-expect-error the workflow's error is not in it
      .toEqualTypeOf<Workflow.EngineError | NoStock>()
  })

  it("becomes its value or its error by Workflow.output", () => {
    const result = null as unknown as Started
    expectTypeOf(Workflow.output(result)).toEqualTypeOf<
      Effect.Effect<number, NoStock | Instruction.RunError | Workflow.NoOutput>
    >()
    expectTypeOf(workflow.start({ id: "a", at: new Date(0) }).pipe(Effect.flatMap(Workflow.output)))
      .toExtend<Effect.Effect<number, unknown, Storage.Storage>>()
    expectTypeOf(Workflow.output(result))
      // @ts-expect-error a run that is not over has no output
      .toEqualTypeOf<Effect.Effect<number, NoStock | Instruction.RunError>>()
    // @ts-expect-error an Option is no result
    expectTypeOf(Workflow.output(Option.some(1)))
  })
})

describe("options", () => {
  it("derive the run id from the input", () => {
    Workflow.define("w", { input: Ticket, runId: (ticket: Ticket) => ticket.id })
    // @ts-expect-error a run id is a string
    Workflow.define("w", { input: Ticket, runId: () => 1 })
  })

  it("are the known ones", () => {
    // @ts-expect-error a schema is not a type's name
    Workflow.define("w", { input: "string" })
    // @ts-expect-error a version is a string
    Workflow.define("w", { version: 1 })
  })
})
