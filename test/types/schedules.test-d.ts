/**
 * What types say of schedules: each is given the input of its own workflow, contracts will do, and only the
 * storage and what schemas need is needed.
 */
import { Context, Cron, Effect, type Layer, Schema } from "effect"
import { type Dispatch, type Runs, Schedules, type Storage, Workflow } from "reprise"
import { describe, expectTypeOf, it } from "vitest"

class Mailer extends Context.Service<Mailer, {
  readonly send: (to: string) => Effect.Effect<void>
}>()("test/Mailer") {}
class Clerk extends Context.Service<Clerk, { readonly name: string }>()("test/Clerk") {}

const mail = Workflow.make("mail", function*(ctx, to: { readonly to: string }) {
  yield* ctx.step("send", Effect.flatMap(Mailer, (mailer) => mailer.send(to.to)))
})
const count = Workflow.define("count", { input: Schema.Number, output: Schema.Number })
const tidy = Workflow.make("tidy", function*(ctx) {
  yield* ctx.step("tidy", () => 1)
})
const Signed = Schema.String as unknown as Schema.Codec<string, string, Clerk>
const sign = Workflow.define("sign", { input: Signed })
const cron = "0 2 * * *"

describe("Schedules.layer", () => {
  it("needs the storage and nothing of the bodies", () => {
    expectTypeOf(Schedules.layer([
      { workflow: mail, cron, input: (tick) => ({ to: tick.toISOString() }) },
      { workflow: count, cron: Cron.parseUnsafe(cron), input: (tick) => tick.getTime() },
      { workflow: tidy, cron, timeZone: "Europe/Berlin", input: () => {} }
    ])).toEqualTypeOf<Layer.Layer<Schedules.Schedules, never, Storage.Storage>>()
  })

  it("needs what the schemas of the input need", () => {
    expectTypeOf(Schedules.layer([{ workflow: sign, cron, input: () => "a" }])).toEqualTypeOf<
      Layer.Layer<Schedules.Schedules, never, Storage.Storage | Clerk>
    >()
    expectTypeOf(Schedules.layer([{ workflow: sign, cron, input: () => "a" }]))
      // @ts-expect-error nobody brings the clerk
      .toEqualTypeOf<Layer.Layer<Schedules.Schedules, never, Storage.Storage>>()
  })

  it("gives the input function the tick", () => {
    Schedules.layer([{
      workflow: count,
      cron,
      input: (tick) => {
        expectTypeOf(tick).toEqualTypeOf<Date>()
        return 1
      }
    }])
  })

  it("holds each input to its own workflow", () => {
    Schedules.layer([
      { workflow: mail, cron, input: () => ({ to: "ada" }) },
      // @ts-expect-error the count takes a number
      { workflow: count, cron, input: () => ({ to: "ada" }) }
    ])
    Schedules.layer([
      // @ts-expect-error a mail has somebody it goes to
      { workflow: mail, cron, input: () => 1 },
      { workflow: count, cron, input: () => 1 }
    ])
    // @ts-expect-error a tick is a Date and no text
    Schedules.layer([{ workflow: mail, cron, input: (tick) => ({ to: tick }) }])
    // @ts-expect-error the input is missing
    Schedules.layer([{ workflow: count, cron }])
  })

  it("knows its policies and options", () => {
    // @ts-expect-error there is no such policy
    Schedules.layer([{ workflow: count, cron, input: () => 1, catchUp: "some" }])
    // @ts-expect-error it is called cron
    Schedules.layer([{ workflow: count, every: "1 hour", input: () => 1 }])
    // @ts-expect-error what is not a workflow cannot be started
    Schedules.layer([{ workflow: { name: "count" }, cron, input: () => 1 }])
  })
})

describe("for other dispatchers", () => {
  const list = [{ workflow: count, cron, input: () => 1 }] as const

  it("the workflows can be driven, and beginning them needs the storage", () => {
    const [workflow] = Schedules.workflows(list)
    expectTypeOf<Dispatch.ServicesOf<NonNullable<typeof workflow>>>().toEqualTypeOf<
      Storage.Storage
    >()
    expectTypeOf(Schedules.begin(list)).toEqualTypeOf<
      Effect.Effect<void, Schedules.BeginError, Storage.Storage>
    >()
  })

  it("what stands next is by name", () => {
    expectTypeOf(Schedules.next).toEqualTypeOf<
      Effect.Effect<ReadonlyMap<string, Date>, Runs.ReadError, Schedules.Schedules>
    >()
  })
})
