/**
 * Hooks, in types: what an event knows of its workflow's steps, and what hooks make a call need and fail
 * with.
 */
import { Context, Effect, Schema } from "effect"
import { Instruction, type Storage, Workflow } from "reprise"
import { describe, expectTypeOf, it } from "vitest"

class NoStock extends Schema.TaggedError<NoStock>()("NoStock", { sku: Schema.String }) {}
class NoMail extends Schema.TaggedError<NoMail>()("NoMail", { to: Schema.String }) {}
class Shop extends Context.Service<Shop, { readonly open: boolean }>()("test/Shop") {}
class Mail extends Context.Service<Mail, {
  readonly send: Effect.Effect<number, NoMail>
}>()("test/Mail") {}
class Meter extends Context.Service<Meter, { readonly count: number }>()("test/Meter") {}
class Audit extends Context.Service<Audit, { readonly on: boolean }>()("test/Audit") {}

const mail = Effect.flatMap(Mail, ({ send }) => send)
const meter = Effect.map(Meter, ({ count }) => count)
const audit = Effect.map(Audit, ({ on }) => on)

/** `expectTypeOf`, for what a call needs, and for what it can fail with. */
const services = <R>(_: Effect.Effect<unknown, unknown, R>) => expectTypeOf(null as unknown as R)
const errors = <E>(_: Effect.Effect<unknown, E, any>) => expectTypeOf(null as unknown as E)
type Services<F extends (...args: any) => any> = Effect.Services<ReturnType<F>>
type Errors<F extends (...args: any) => any> = Effect.Error<ReturnType<F>>

const Receipt = Schema.Struct({ at: Schema.Date })
const order = Workflow.make(
  "order",
  { events: { go: Schema.Boolean } },
  function*(ctx, n: number) {
    yield* ctx.step("reserve", () => Effect.map(Shop, () => n))
    yield* ctx.suspend("go")
    yield* ctx.step("pay", () => ({ at: new Date(0) }), { schema: Receipt })
    return yield* ctx.step("note", () => {})
  }
)
type Names = "reserve" | "pay" | "note"
interface Context_ {
  readonly reserve?: number
  readonly pay?: { readonly at: Date }
  readonly note?: void
}
/** A context with its names written out, for comparison. */
type Plain<T> = { readonly [K in keyof T]: T[K] }

describe("the event of a completed step", () => {
  it("names the workflow's steps", () => {
    void order.start(1, {
      onStepComplete: (event) => {
        expectTypeOf(event.stepName).toEqualTypeOf<Names>()
        expectTypeOf(event.stepId).toEqualTypeOf<string>()
        expectTypeOf(event.runId).toEqualTypeOf<string>()
        expectTypeOf(event.duration).toEqualTypeOf<number>()
        expectTypeOf(event.checkpoint).toEqualTypeOf<string>()
        expectTypeOf(event.stop).toEqualTypeOf<() => void>()
        expectTypeOf(event.stopPipeline).toEqualTypeOf<() => void>()
        // @ts-expect-error there is no such step
        expectTypeOf(event.stepName === "resrve")
        // @ts-expect-error nor is it any text
        expectTypeOf(event.stepName).toEqualTypeOf<string>()
        // @ts-expect-error an event is only read
        event.stepName = "pay"
      }
    })
  })

  it("has what the steps gave, by name, each of which may not be there yet", () => {
    void order.start(1, {
      onStepComplete: ({ context }) => {
        expectTypeOf<Plain<typeof context>>().toEqualTypeOf<Plain<Context_>>()
        expectTypeOf(context.reserve).toEqualTypeOf<number | undefined>()
        expectTypeOf(context.note).toEqualTypeOf<void | undefined>()
        // @ts-expect-error it may not have run yet
        context.reserve.toFixed()
        // @ts-expect-error there is no such step
        expectTypeOf(context.resrve)
        // @ts-expect-error a context is only read
        context.reserve = 1
      }
    })
  })

  it("has values as the body has them, not as the journal does", () => {
    void order.execute(1, {
      onStepComplete: ({ context }) => {
        expectTypeOf(context.pay).toEqualTypeOf<{ readonly at: Date } | undefined>()
        // @ts-expect-error they are decoded
        expectTypeOf(context.pay).toEqualTypeOf<{ readonly at: string } | undefined>()
      }
    })
  })

  it("has what the step gave, not what became of it", () => {
    const workflow = Workflow.make("w", function*(ctx) {
      yield* ctx.step("mapped", () => 1).pipe(Instruction.map(String))
      yield* ctx.step("heard", () => true).pipe(Instruction.result)
    })
    void workflow.start(undefined, {
      onStepComplete: ({ context }) => {
        expectTypeOf(context.mapped).toEqualTypeOf<number | undefined>()
        expectTypeOf(context.heard).toEqualTypeOf<boolean | undefined>()
        // @ts-expect-error the step gives a number
        expectTypeOf(context.mapped).toEqualTypeOf<string | undefined>()
      }
    })
  })

  it("has either value where two steps have one name", () => {
    const workflow = Workflow.make("w", function*(ctx) {
      yield* ctx.step("same", () => 1)
      yield* ctx.step("same", () => "x")
    })
    void workflow.start(undefined, {
      onStepComplete: ({ context, stepName }) => {
        expectTypeOf(stepName).toEqualTypeOf<"same">()
        expectTypeOf(context.same).toEqualTypeOf<number | string | undefined>()
        // @ts-expect-error the other one may be the latest
        expectTypeOf(context.same).toEqualTypeOf<number | undefined>()
      }
    })
  })

  it("knows the steps of branches of every form, of helpers, handlers and undos", () => {
    function* helper(ctx: Workflow.Ctx) {
      return yield* ctx.step("helped", () => true)
    }
    const workflow = Workflow.make("w", function*(ctx) {
      yield* helper(ctx)
      yield* ctx.all({
        a: ctx.step("in a record", () => 1),
        *b() {
          yield* ctx.step("in a generator", () => "x")
        }
      })
      yield* ctx.all([ctx.step("in a tuple", () => new Date(0), { schema: Schema.Date })])
      yield* ctx.forEach([1], (n) => ctx.step("each", () => n))
      yield* ctx.race([ctx.step("racing", () => 1), ctx.sleep("1 day")])
      yield* ctx.step("caught", () => 1).pipe(
        Instruction.catch(() => ctx.step("instead", () => "x"))
      )
      yield* ctx.step("booked", () => 1, { undo: () => ctx.step("undone", () => true) })
    })
    void workflow.start(undefined, {
      onStepComplete: ({ context, stepName }) => {
        expectTypeOf(stepName).toEqualTypeOf<
          | "helped"
          | "in a record"
          | "in a generator"
          | "in a tuple"
          | "each"
          | "racing"
          | "caught"
          | "instead"
          | "booked"
          | "undone"
        >()
        expectTypeOf(context.helped).toEqualTypeOf<boolean | undefined>()
        expectTypeOf(context["in a generator"]).toEqualTypeOf<string | undefined>()
        expectTypeOf(context["in a tuple"]).toEqualTypeOf<Date | undefined>()
        expectTypeOf(context.each).toEqualTypeOf<number | undefined>()
        expectTypeOf(context.undone).toEqualTypeOf<boolean | undefined>()
        // @ts-expect-error no branch is lost
        expectTypeOf(stepName).toEqualTypeOf<"helped" | "in a record" | "in a generator">()
      }
    })
  })

  it("does not know the steps of a child, which is a run of its own", () => {
    const child = Workflow.make("child", function*(ctx) {
      yield* ctx.step("of the child", () => 1)
    })
    const workflow = Workflow.define("w", {}).make(function*(ctx) {
      yield* ctx.child(child)
      yield* ctx.step("own", () => 1)
    })
    void workflow.start(undefined, {
      onStepComplete: ({ context, stepName }) => {
        expectTypeOf(stepName).toEqualTypeOf<"own">()
        // @ts-expect-error it stands in the child's own context
        expectTypeOf(context["of the child"])
      }
    })
  })

  it("names no step where there is none", () => {
    const workflow = Workflow.make("w", function*(ctx) {
      yield* ctx.sleep("1 day")
    })
    void workflow.start(undefined, {
      onStepComplete: ({ context, stepName }) => {
        expectTypeOf(stepName).toBeNever()
        // @ts-expect-error nothing gave anything
        expectTypeOf(context.any)
      }
    })
    void order.start(1, {
      onStepComplete: ({ stepName }) => {
        // @ts-expect-error this one has three
        expectTypeOf(stepName).toBeNever()
      }
    })
  })

  it("may name any step where a helper's annotation does not say which it has", () => {
    function* helper(ctx: Workflow.Ctx): Workflow.Body<number> {
      return yield* ctx.step("hidden", () => 1)
    }
    const workflow = Workflow.make("w", function*(ctx) {
      yield* helper(ctx)
      yield* ctx.step("own", () => 1)
    })
    void workflow.start(undefined, {
      onStepComplete: ({ stepName }) => {
        expectTypeOf(stepName).toEqualTypeOf<string>()
        // @ts-expect-error it is not only the one that is known
        expectTypeOf(stepName).toEqualTypeOf<"own">()
      }
    })
  })

  it("names the step that sends", () => {
    const other = Workflow.define("other", { events: { go: Schema.Boolean } })
    const workflow = Workflow.make("w", function*(ctx) {
      yield* ctx.send(other, "r", { eventName: "go", value: true })
      yield* ctx.step("own", () => 1)
    })
    void workflow.start(undefined, {
      onStepComplete: ({ stepName }) => {
        expectTypeOf(stepName).toEqualTypeOf<"own" | "send">()
        // @ts-expect-error a hook hears of both
        expectTypeOf(stepName).toEqualTypeOf<"own">()
      }
    })
  })
})

describe("the events of other outcomes", () => {
  it("tell of the error as the body heard it, which may be anything", () => {
    void order.start(1, {
      onStepError: (event) => {
        expectTypeOf(event.stepName).toEqualTypeOf<Names>()
        expectTypeOf(event.error).toEqualTypeOf<unknown>()
        expectTypeOf(event.duration).toEqualTypeOf<number>()
        // @ts-expect-error it gave nothing
        expectTypeOf(event.context)
        // @ts-expect-error only a completed step can be stopped at
        expectTypeOf(event.stop)
      }
    })
  })

  it("say why a step was skipped", () => {
    void order.start(1, {
      onStepSkipped: (event) => {
        expectTypeOf(event.stepName).toEqualTypeOf<Names>()
        expectTypeOf<"replayed">().toExtend<typeof event.reason>()
        // @ts-expect-error it is one of a few
        expectTypeOf(event.reason === "unknown")
        // @ts-expect-error it did not run, so it took no time
        expectTypeOf(event.duration)
        // @ts-expect-error nor can the run be stopped at it
        expectTypeOf(event.stop)
      }
    })
  })
})

describe("the hooks of a call", () => {
  it("add what their Effects need to it", () => {
    const hooks = { onStepComplete: () => mail }
    type Needs = Storage.Storage | Shop | Mail
    services(order.start(1, hooks)).toEqualTypeOf<Needs>()
    services(order.execute(1, hooks)).toEqualTypeOf<Needs>()
    services(order.resume("r", undefined, hooks)).toEqualTypeOf<Needs>()
    services(order.fork("r", { fromStep: "pay", ...hooks })).toEqualTypeOf<Needs>()
    services(order.retryFrom("r", hooks)).toEqualTypeOf<Needs>()
    services(order.runCheckpoint("text", hooks)).toEqualTypeOf<Needs>()
    services(order.runCheckpoint({ checkpoint: "text", ...hooks })).toEqualTypeOf<Needs>()
    // @ts-expect-error the hook needs its mail
    services(order.start(1, hooks)).toEqualTypeOf<Storage.Storage | Shop>()
    // @ts-expect-error that of a run from a checkpoint too
    services(order.runCheckpoint("text", hooks)).toEqualTypeOf<Storage.Storage | Shop>()
  })

  it("add what each of them needs", () => {
    const hooks = {
      onStepComplete: () => mail,
      onStepError: () => meter,
      onStepSkipped: () => audit
    }
    type Needs = Storage.Storage | Shop | Mail | Meter | Audit
    services(order.start(1, hooks)).toEqualTypeOf<Needs>()
    services(order.execute(1, hooks)).toEqualTypeOf<Needs>()
    services(order.resume("r", undefined, hooks)).toEqualTypeOf<Needs>()
    services(order.fork("r", { fromOffset: 1, ...hooks })).toEqualTypeOf<Needs>()
    services(order.retryFrom("r", hooks)).toEqualTypeOf<Needs>()
    services(order.runCheckpoint("text", hooks)).toEqualTypeOf<Needs>()
    services(order.runCheckpoint({ checkpoint: "text", ...hooks })).toEqualTypeOf<Needs>()
    services(order.start(1, { onStepError: () => meter }))
      .toEqualTypeOf<Storage.Storage | Shop | Meter>()
    services(order.start(1, { onStepSkipped: () => audit }))
      .toEqualTypeOf<Storage.Storage | Shop | Audit>()
    services(order.start(1, hooks))
      // @ts-expect-error none is forgotten
      .toEqualTypeOf<Storage.Storage | Shop | Mail | Meter>()
  })

  it("add what an Effect needs that is returned only sometimes", () => {
    const sometimes = order.start(1, {
      onStepComplete: ({ stepName }) => stepName === "pay" ? mail : undefined
    })
    const either = order.start(1, {
      onStepComplete: ({ stepName }) => stepName === "pay" ? mail : meter
    })
    services(sometimes).toEqualTypeOf<Storage.Storage | Shop | Mail>()
    services(either).toEqualTypeOf<Storage.Storage | Shop | Mail | Meter>()
    // @ts-expect-error sometimes is enough
    services(sometimes).toEqualTypeOf<Storage.Storage | Shop>()
  })

  it("add nothing where they are plain functions, or give Promises", () => {
    type Needs = Storage.Storage | Shop
    services(order.start(1, { onStepComplete: () => {} })).toEqualTypeOf<Needs>()
    services(order.start(1, { onStepComplete: () => 1 })).toEqualTypeOf<Needs>()
    services(order.start(1, { onStepComplete: async () => {} })).toEqualTypeOf<Needs>()
    services(order.execute(1, { onStepError: async () => 1 })).toEqualTypeOf<Needs>()
    services(order.resume("r", undefined, { onStepSkipped: () => Effect.void }))
      .toEqualTypeOf<Needs>()
    services(order.runCheckpoint("text", { onStepComplete: async () => {} }))
      .toEqualTypeOf<Needs>()
    services(order.start(1, { log: true, runId: "r" })).toEqualTypeOf<Needs>()
    services(order.start(1, { onStepComplete: () => {} }))
      // @ts-expect-error what the steps need stays
      .toEqualTypeOf<Storage.Storage>()
  })

  it("add nothing where nothing is known of what they return", () => {
    services(order.start(1, { onStepComplete: () => JSON.parse("1") }))
      .toEqualTypeOf<Storage.Storage | Shop>()
    services(order.start(1, { onStepComplete: () => JSON.parse("1") }))
      // @ts-expect-error a call that needs unknown could not be run
      .toEqualTypeOf<unknown>()
  })

  it("fail it with HookFailed, and with nothing of their own", () => {
    const hooks = { onStepComplete: () => mail }
    errors(order.start(1, hooks)).toEqualTypeOf<Workflow.EngineError>()
    errors(order.fork("r", { fromStep: "pay", ...hooks })).toEqualTypeOf<
      Workflow.EngineError | Workflow.ForkRejected | Workflow.StepNotFound
    >()
    expectTypeOf<Extract<Workflow.EngineError, Workflow.HookFailed>>()
      .toEqualTypeOf<Workflow.HookFailed>()
    expectTypeOf<Extract<Errors<typeof order.execute>, Workflow.HookFailed>>()
      .toEqualTypeOf<Workflow.HookFailed>()
    expectTypeOf<Extract<Errors<typeof order.resume>, Workflow.HookFailed>>()
      .toEqualTypeOf<Workflow.HookFailed>()
    expectTypeOf<Extract<Errors<typeof order.retryFrom>, Workflow.HookFailed>>()
      .toEqualTypeOf<Workflow.HookFailed>()
    expectTypeOf<Extract<Errors<typeof order.runCheckpoint>, Workflow.HookFailed>>()
      .toEqualTypeOf<Workflow.HookFailed>()
    expectTypeOf<Workflow.HookFailed["hook"]>()
      .toEqualTypeOf<"onStepComplete" | "onStepError" | "onStepSkipped">()
    // @ts-expect-error the hook's own failure is the cause of HookFailed
    errors(order.start(1, hooks)).toEqualTypeOf<Workflow.EngineError | NoMail>()
    // @ts-expect-error and cannot be caught as itself
    expectTypeOf(order.start(1, hooks).pipe(Effect.catchTag("NoMail", () => Effect.void)))
    expectTypeOf(order.start(1, hooks).pipe(Effect.catchTag("HookFailed", () => Effect.void)))
      .toBeObject()
  })

  it("do not change what the call gives", () => {
    const plain = order.start(1)
    const heard = order.start(1, { onStepComplete: () => mail })
    expectTypeOf<Effect.Success<typeof heard>>().toEqualTypeOf<Effect.Success<typeof plain>>()
    // @ts-expect-error only what it needs
    expectTypeOf(heard).toEqualTypeOf<typeof plain>()
  })

  it("are no more than three functions", () => {
    // @ts-expect-error there is no such hook
    expectTypeOf(order.start(1, { onStepCompleted: () => {} }))
    // @ts-expect-error an Effect is no function
    expectTypeOf(order.start(1, { onStepComplete: mail }))
    // @ts-expect-error this one is for another workflow's steps
    expectTypeOf(order.start(1, { onStepError: (_: Workflow.StepErred<"ship">) => {} }))
    expectTypeOf(
      order.start(1, {
        // @ts-expect-error and this one for steps that give something else
        onStepComplete: (_: Workflow.StepCompleted<string, { reserve?: string }>) => {}
      })
    )
  })

  it("may be written for any workflow", () => {
    const forAny = {
      onStepComplete: (event: Workflow.StepCompleted) => Effect.as(mail, event.context),
      onStepError: (_: Workflow.StepErred) => {},
      onStepSkipped: (_: Workflow.StepSkipped) => {}
    }
    services(order.start(1, forAny)).toEqualTypeOf<Storage.Storage | Shop | Mail>()
    const other = Workflow.make("other", function*(ctx) {
      yield* ctx.step("else", () => "x")
    })
    services(other.start(undefined, forAny)).toEqualTypeOf<Storage.Storage | Mail>()
    services(other.start(undefined, forAny))
      // @ts-expect-error what they need is still known
      .toEqualTypeOf<Storage.Storage>()
  })

  it("are not for calls that do not drive, or take none", () => {
    // @ts-expect-error an enqueue runs no step
    expectTypeOf(order.enqueue(1, { onStepComplete: () => {} }))
    // @ts-expect-error a checkpoint neither
    expectTypeOf(order.checkpoint("r", { onStepComplete: () => {} }))
    // @ts-expect-error a cancel takes a reason only
    expectTypeOf(order.cancel("r", { onStepComplete: () => {} }))
    // @ts-expect-error a resume takes them behind the event
    expectTypeOf(order.resume("r", { onStepComplete: () => {} }))
  })
})

describe("the hooks of a definition", () => {
  const hooked = Workflow.make(
    "hooked",
    {
      input: Schema.Date,
      events: { go: Schema.Boolean },
      onStepComplete: (event) => Effect.as(mail, event.stepId),
      onStepError: () => meter,
      onStepSkipped: async () => {}
    },
    function*(ctx, at) {
      expectTypeOf(at).toEqualTypeOf<Date>()
      expectTypeOf(yield* ctx.suspend("go")).toEqualTypeOf<boolean>()
      return yield* ctx.step("s", () => Effect.map(Shop, ({ open }) => open))
    }
  )
  type Needs = Storage.Storage | Shop | Mail | Meter

  it("add what their Effects need to every call that drives", () => {
    expectTypeOf<Services<typeof hooked.start>>().toEqualTypeOf<Needs>()
    expectTypeOf<Services<typeof hooked.execute>>().toEqualTypeOf<Needs>()
    expectTypeOf<Services<typeof hooked.resume>>().toEqualTypeOf<Needs>()
    expectTypeOf<Services<typeof hooked.cancel>>().toEqualTypeOf<Needs>()
    expectTypeOf<Services<typeof hooked.fork>>().toEqualTypeOf<Needs>()
    expectTypeOf<Services<typeof hooked.retryFrom>>().toEqualTypeOf<Needs>()
    expectTypeOf<Services<typeof hooked.runCheckpoint>>().toEqualTypeOf<Needs>()
    expectTypeOf<Services<typeof hooked.start>>()
      // @ts-expect-error they are needed
      .toEqualTypeOf<Storage.Storage | Shop>()
  })

  it("add what they need where there is only one", () => {
    const complete = Workflow.make("w", { onStepComplete: () => mail }, function*() {})
    const error = Workflow.make("w", { onStepError: () => meter }, function*() {})
    const skipped = Workflow.define("w", { onStepSkipped: () => audit }).make(function*() {
      return null
    })
    expectTypeOf<Services<typeof complete.start>>().toEqualTypeOf<Storage.Storage | Mail>()
    expectTypeOf<Services<typeof error.execute>>().toEqualTypeOf<Storage.Storage | Meter>()
    expectTypeOf<Services<typeof skipped.resume>>().toEqualTypeOf<Storage.Storage | Audit>()
    expectTypeOf<Services<typeof complete.start>>()
      // @ts-expect-error it is called without the others too
      .toEqualTypeOf<Storage.Storage>()
  })

  it("add nothing to calls that do not drive", () => {
    expectTypeOf<Services<typeof hooked.enqueue>>().toEqualTypeOf<Storage.Storage>()
    expectTypeOf<Services<typeof hooked.send>>().toEqualTypeOf<Storage.Storage>()
    expectTypeOf<Services<typeof hooked.status>>().toEqualTypeOf<Storage.Storage>()
    expectTypeOf<Services<typeof hooked.join>>().toEqualTypeOf<Storage.Storage>()
    expectTypeOf<Services<typeof hooked.checkpoint>>().toEqualTypeOf<Storage.Storage>()
    expectTypeOf<Services<typeof hooked.enqueue>>()
      // @ts-expect-error an enqueue calls no hook
      .toEqualTypeOf<Needs>()
  })

  it("add nothing where they are plain functions, or give Promises", () => {
    const workflow = Workflow.make(
      "w",
      {
        onStepComplete: (event) => event.stop(),
        onStepError: async () => {},
        onStepSkipped: () => Effect.void
      },
      function*() {}
    )
    expectTypeOf<Services<typeof workflow.start>>().toEqualTypeOf<Storage.Storage>()
    expectTypeOf<Services<typeof workflow.start>>()
      // @ts-expect-error nothing is needed
      .toEqualTypeOf<Storage.Storage | Mail>()
  })

  it("go before those of a call, whose needs come to theirs", () => {
    services(hooked.start(new Date(0), { onStepComplete: () => audit }))
      .toEqualTypeOf<Needs | Audit>()
    services(hooked.start(new Date(0), { onStepComplete: () => audit }))
      // @ts-expect-error one does not replace the other
      .toEqualTypeOf<Storage.Storage | Shop | Audit>()
  })

  it("join what a parent needs that drives such a child, and what a newer version needs", () => {
    const parent = Workflow.make("parent", function*(ctx) {
      yield* ctx.child(hooked, new Date(0))
    })
    const newer = Workflow.make("hooked", { previous: [hooked] }, function*() {})
    expectTypeOf<Services<typeof parent.start>>().toEqualTypeOf<Needs>()
    expectTypeOf<Services<typeof newer.start>>().toEqualTypeOf<Needs>()
    expectTypeOf<Services<typeof parent.start>>()
      // @ts-expect-error the child's hooks are called too
      .toEqualTypeOf<Storage.Storage | Shop>()
  })

  it("hear of steps whose names they cannot know, since the body comes behind them", () => {
    Workflow.define("w", {
      onStepComplete: (event) => {
        expectTypeOf(event.stepName).toEqualTypeOf<string>()
        expectTypeOf(event.checkpoint).toEqualTypeOf<string>()
        expectTypeOf(event.context).toBeAny()
        // @ts-expect-error there is nothing else to an event
        expectTypeOf(event.nothing)
      },
      onStepError: (event) => {
        expectTypeOf(event).toEqualTypeOf<Workflow.StepErred>()
      },
      onStepSkipped: (event) => {
        expectTypeOf(event).toEqualTypeOf<Workflow.StepSkipped>()
      }
    })
    // @ts-expect-error a hook is a function
    Workflow.define("w", { onStepComplete: mail })
  })

  it("fail every call that drives with HookFailed only", () => {
    expectTypeOf<Errors<typeof hooked.start>>().toEqualTypeOf<Workflow.EngineError>()
    expectTypeOf<Extract<Errors<typeof hooked.cancel>, Workflow.HookFailed>>()
      .toEqualTypeOf<Workflow.HookFailed>()
    expectTypeOf<Extract<Errors<typeof hooked.execute>, NoMail>>().toBeNever()
    // @ts-expect-error that one there is
    expectTypeOf<Extract<Errors<typeof hooked.execute>, Workflow.HookFailed>>().toBeNever()
    expectTypeOf<Extract<Errors<typeof hooked.send>, Workflow.HookFailed>>().toBeNever()
  })

  it("leave the workflow's own error as it is", () => {
    const workflow = Workflow.make(
      "w",
      { error: NoStock, onStepComplete: () => mail },
      function*(ctx) {
        yield* ctx.fail(new NoStock({ sku: "a" }))
      }
    )
    type Ended = Extract<
      Effect.Success<ReturnType<typeof workflow.start>>,
      { readonly status: "failed" }
    >
    expectTypeOf<Ended["error"]>().toEqualTypeOf<NoStock | Instruction.RunError>()
    expectTypeOf<Ended["error"]>()
      // @ts-expect-error a hook cannot end a run
      .toEqualTypeOf<NoStock | NoMail | Instruction.RunError>()
  })
})

describe("a workflow of known steps", () => {
  it("stands for one of which less is known", () => {
    expectTypeOf<typeof order>().toExtend<Workflow.Workflow<any, any, any, any, any>>()
    expectTypeOf<typeof order>()
      .toExtend<Workflow.Workflow<any, any, any, any, any, any, Workflow.StepTypes, any>>()
    expectTypeOf<typeof order>().toExtend<
      Workflow.Workflow<number, void, unknown, any, Shop, never, Workflow.StepTypes>
    >()
    const listen = (workflow: Workflow.Workflow<any, any, any, any, any>) =>
      workflow.start(1, {
        onStepComplete: (event) => {
          expectTypeOf(event.stepName).toBeAny()
          expectTypeOf(event.context).toBeAny()
        }
      })
    expectTypeOf(listen(order)).toBeObject()
    // @ts-expect-error what its steps need is needed still
    expectTypeOf<typeof order>().toExtend<Workflow.Workflow<any, any, any, any, never>>()
    // @ts-expect-error and it takes its own input
    expectTypeOf<typeof order>().toExtend<Workflow.Workflow<string, any, any, any, any>>()
  })

  it("does not stand for one of other steps", () => {
    interface Other extends Workflow.StepTypes {
      readonly name: "ship"
      readonly results: { readonly ship?: number }
    }
    const other = Workflow.make("other", { events: { go: Schema.Boolean } }, function*(
      ctx,
      _n: number
    ) {
      yield* ctx.step("ship", () => 1)
    })
    expectTypeOf<typeof other>()
      .toExtend<Workflow.Workflow<number, any, any, any, any, any, Other, any>>()
    expectTypeOf<typeof order>()
      // @ts-expect-error it has no such step
      .toExtend<Workflow.Workflow<number, any, any, any, any, any, Other, any>>()
    // @ts-expect-error nor does the other one stand for it
    expectTypeOf<typeof other>().toExtend<typeof order>()
  })

  it("keeps its steps behind a type parameter", () => {
    const listen = <S extends Workflow.StepTypes>(
      workflow: Workflow.Workflow<number, any, any, any, any, any, S>
    ) =>
      workflow.start(1, {
        onStepComplete: (event) => {
          const name: S["name"] = event.stepName
          const results: S["results"] = event.context
          return [name, results]
        }
      })
    type Stopped = Extract<
      Effect.Success<ReturnType<typeof listening>>,
      { readonly status: "stopped" }
    >
    const listening = () => listen(order)
    expectTypeOf<Plain<Stopped["context"]>>().toEqualTypeOf<Plain<Context_>>()
    expectTypeOf<Stopped["context"]>()
      // @ts-expect-error they are known
      .toEqualTypeOf<unknown>()
  })
})
