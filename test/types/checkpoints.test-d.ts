/**
 * Runs that begin with what another did, in types: forks, checkpoints, overrides, and runs that a hook
 * stopped.
 */
import { Context, Effect, Schema } from "effect"
import { Checkpoint, type Journal, type Storage, Workflow } from "reprise"
import { describe, expectTypeOf, it } from "vitest"

class NoStock extends Schema.TaggedError<NoStock>()("NoStock", { sku: Schema.String }) {}
class Shop extends Context.Service<Shop, { readonly open: boolean }>()("test/Shop") {}
class Crypto extends Context.Service<Crypto, { readonly key: string }>()("test/Crypto") {}
/** Needs a service to be decoded. */
const Secret = null as unknown as Schema.Codec<string, string, Crypto, never>

type Errors<F extends (...args: any) => any> = Effect.Error<ReturnType<F>>
type Given<F extends (...args: any) => any> = Effect.Success<ReturnType<F>>
type Services<F extends (...args: any) => any> = Effect.Services<ReturnType<F>>
type Stopped<F extends (...args: any) => any> = Extract<
  Given<F>,
  { readonly status: "stopped" }
>
/** A context with its names written out, for comparison. */
type Plain<T> = { readonly [K in keyof T]: T[K] }

const Receipt = Schema.Struct({ at: Schema.Date })
const order = Workflow.make(
  "order",
  { error: NoStock, events: { go: Schema.Boolean } },
  function*(ctx, n: number) {
    yield* ctx.step("reserve", () => Effect.map(Shop, () => n))
    yield* ctx.all({
      receipt: ctx.step("pay", () => ({ at: new Date(0) }), { schema: Receipt }),
      *note() {
        yield* ctx.step("note", () => {})
      }
    })
    return "done"
  }
)
const none = Workflow.make("none", function*(ctx) {
  yield* ctx.sleep("1 day")
})
const journal = null as unknown as Journal.Journal

interface Results {
  readonly reserve?: number
  readonly pay?: { readonly at: Date }
  readonly note?: void
}

describe("a run that a hook stopped", () => {
  it("is a result with the step and the context, of every call that drives", () => {
    expectTypeOf<Stopped<typeof order.start>["stepId"]>().toEqualTypeOf<string>()
    expectTypeOf<Stopped<typeof order.start>["runId"]>().toEqualTypeOf<string>()
    expectTypeOf<Plain<Stopped<typeof order.start>["context"]>>().toEqualTypeOf<Plain<Results>>()
    expectTypeOf<Plain<Stopped<typeof order.resume>["context"]>>()
      .toEqualTypeOf<Plain<Results>>()
    expectTypeOf<Plain<Stopped<typeof order.cancel>["context"]>>()
      .toEqualTypeOf<Plain<Results>>()
    expectTypeOf<Plain<Stopped<typeof order.fork>["context"]>>().toEqualTypeOf<Plain<Results>>()
    expectTypeOf<Plain<Stopped<typeof order.retryFrom>["context"]>>()
      .toEqualTypeOf<Plain<Results>>()
    expectTypeOf<Plain<Stopped<typeof order.runCheckpoint>["context"]>>()
      .toEqualTypeOf<Plain<Results>>()
    expectTypeOf<Stopped<typeof order.start>["context"]["pay"]>()
      // @ts-expect-error the step may be behind the one it stopped at
      .toEqualTypeOf<{ readonly at: Date }>()
    // @ts-expect-error there is no such step
    expectTypeOf<Stopped<typeof order.start>["context"]["ship"]>()
  })

  it("is told apart by its status, and only it has a context", () => {
    const result = null as unknown as Given<typeof order.start>
    if (result.status === "stopped") {
      expectTypeOf(result.context.reserve).toEqualTypeOf<number | undefined>()
      // @ts-expect-error it is not over
      expectTypeOf(result.result)
    } else {
      // @ts-expect-error the others have none
      expectTypeOf(result.context)
    }
    if (result.status === "suspended") {
      // @ts-expect-error a suspension has waits instead
      expectTypeOf(result.stepId)
    }
  })

  it("is shown by a look with its step, and without a context, which needs the code", () => {
    type Seen = Stopped<typeof order.status>
    expectTypeOf<Seen["stepId"]>().toEqualTypeOf<string>()
    // @ts-expect-error the context is that of a result
    expectTypeOf<Seen["context"]>()
    expectTypeOf<Extract<keyof Seen, "context">>().toBeNever()
    expectTypeOf<Stopped<Workflow.Contract<1, 2, 3, {}>["status"]>["stepId"]>()
      .toEqualTypeOf<string>()
  })

  it("has no output", () => {
    expectTypeOf<Given<typeof order.execute>>().toEqualTypeOf<string>()
    expectTypeOf<"stopped">().toExtend<Workflow.NoOutput["status"]>()
    expectTypeOf<Given<typeof order.execute>>()
      // @ts-expect-error execute fails with NoOutput then
      .toEqualTypeOf<string | Stopped<typeof order.start>>()
  })
})

describe("an override", () => {
  it("is typed by the steps, on every call that takes one", () => {
    const override = { reserve: 2, pay: { at: new Date(1) }, note: undefined }
    expectTypeOf(order.fork("r", { fromStep: "note", override })).toBeObject()
    expectTypeOf(order.retryFrom("r", { override })).toBeObject()
    expectTypeOf(order.runCheckpoint("text", { override })).toBeObject()
    expectTypeOf(order.runCheckpoint({ checkpoint: "text", override })).toBeObject()
    expectTypeOf(order.runCheckpoint({ checkpoint: "text", overrideData: override })).toBeObject()
    expectTypeOf(order.whatIf(journal, { override })).toBeObject()
    // @ts-expect-error the receipt has its time
    expectTypeOf(order.fork("r", { fromStep: "note", override: { pay: {} } }))
  })

  it("need not be of all steps, or of any", () => {
    expectTypeOf(order.fork("r", { fromStep: "note", override: { reserve: 2 } })).toBeObject()
    expectTypeOf(order.retryFrom("r", { override: {} })).toBeObject()
    expectTypeOf(order.runCheckpoint("text", { override: undefined })).toBeObject()
    expectTypeOf(order.whatIf(journal)).toBeObject()
    // @ts-expect-error but it is a record
    expectTypeOf(order.retryFrom("r", { override: 1 }))
  })

  it("is refused for a step that there is not", () => {
    // @ts-expect-error in a fork
    expectTypeOf(order.fork("r", { fromStep: "note", override: { resrve: 2 } }))
    // @ts-expect-error in a retry
    expectTypeOf(order.retryFrom("r", { override: { resrve: 2 } }))
    // @ts-expect-error in a run from a checkpoint
    expectTypeOf(order.runCheckpoint("text", { override: { resrve: 2 } }))
    // @ts-expect-error in its other form
    expectTypeOf(order.runCheckpoint({ checkpoint: "text", override: { resrve: 2 } }))
    // @ts-expect-error by its other name
    expectTypeOf(order.runCheckpoint({ checkpoint: "text", overrideData: { resrve: 2 } }))
    // @ts-expect-error in a question
    expectTypeOf(order.whatIf(journal, { override: { resrve: 2 } }))
    // @ts-expect-error also where the workflow has no step at all
    expectTypeOf(none.retryFrom("r", { override: { reserve: 2 } }))
    expectTypeOf(order.retryFrom("r", { override: { reserve: 2 } })).toBeObject()
  })

  it("is refused for a value that the step does not give", () => {
    // @ts-expect-error in a fork
    expectTypeOf(order.fork("r", { fromStep: "note", override: { reserve: "2" } }))
    // @ts-expect-error in a retry
    expectTypeOf(order.retryFrom("r", { override: { reserve: "2" } }))
    // @ts-expect-error in a run from a checkpoint
    expectTypeOf(order.runCheckpoint("text", { override: { reserve: "2" } }))
    // @ts-expect-error in its other form
    expectTypeOf(order.runCheckpoint({ checkpoint: "text", override: { reserve: "2" } }))
    // @ts-expect-error by its other name
    expectTypeOf(order.runCheckpoint({ checkpoint: "text", overrideData: { reserve: "2" } }))
    // @ts-expect-error in a question
    expectTypeOf(order.whatIf(journal, { override: { reserve: "2" } }))
    // @ts-expect-error as the journal has it is not as the step gives it
    expectTypeOf(order.fork("r", { fromStep: "note", override: { pay: { at: "1970-01-01" } } }))
    // @ts-expect-error leaving a step out is not giving it undefined
    expectTypeOf(order.fork("r", { fromStep: "note", override: { reserve: undefined } }))
  })

  it("may name one of several steps of a name by its id", () => {
    const workflow = Workflow.make("w", function*(ctx) {
      yield* ctx.step("same", () => 1)
      yield* ctx.step("same", () => 2)
      yield* ctx.all({ a: ctx.step("same", () => 3) })
    })
    expectTypeOf(workflow.retryFrom("r", { override: { "same#2": 3 } })).toBeObject()
    expectTypeOf(workflow.retryFrom("r", { override: { "all[a]/same": 3 } })).toBeObject()
    // @ts-expect-error there is no such step
    expectTypeOf(workflow.retryFrom("r", { override: { "other#2": 3 } }))
  })

  it("is typed beside steps whose names are made at run time", () => {
    const workflow = Workflow.make("w", function*(ctx, sku: string) {
      yield* ctx.step("fixed", () => 1)
      yield* ctx.step(`reserve ${sku}`, () => "x")
    })
    const any = Workflow.make("w", function*(ctx, name: string) {
      yield* ctx.step("fixed", () => 1)
      yield* ctx.step(name, () => "x")
    })
    expectTypeOf(workflow.retryFrom("r", { override: { fixed: 2, "reserve a": "y" } }))
      .toBeObject()
    expectTypeOf(any.retryFrom("r", { override: { fixed: 2, a: "y" } })).toBeObject()
    // @ts-expect-error those give texts
    expectTypeOf(workflow.retryFrom("r", { override: { "reserve a": 1 } }))
    // @ts-expect-error that one gives a number
    expectTypeOf(workflow.retryFrom("r", { override: { fixed: "2" } }))
  })

  it("has its other name only beside the checkpoint", () => {
    // @ts-expect-error a fork has one name for it
    expectTypeOf(order.fork("r", { fromStep: "note", overrideData: { reserve: 2 } }))
    // @ts-expect-error and so have the options behind a checkpoint
    expectTypeOf(order.runCheckpoint("text", { overrideData: { reserve: 2 } }))
    expectTypeOf(order.runCheckpoint({ checkpoint: "text", overrideData: { reserve: 2 } }))
      .toBeObject()
  })
})

describe("a fork", () => {
  it("is cut either before a step or before an offset", () => {
    expectTypeOf(order.fork("r", { fromStep: "note" })).toBeObject()
    expectTypeOf(order.fork("r", { fromStep: "all[note]/note", runId: "n" })).toBeObject()
    expectTypeOf(order.fork("r", { fromOffset: 3, durability: "exit", log: true })).toBeObject()
    // @ts-expect-error not both
    expectTypeOf(order.fork("r", { fromStep: "note", fromOffset: 3 }))
    // @ts-expect-error nor neither
    expectTypeOf(order.fork("r", {}))
    // @ts-expect-error an override does not say where
    expectTypeOf(order.fork("r", { override: { reserve: 2 } }))
    // @ts-expect-error the place must be said
    expectTypeOf(order.fork("r"))
    // @ts-expect-error a step is named
    expectTypeOf(order.fork("r", { fromStep: 3 }))
    // @ts-expect-error an offset is a number
    expectTypeOf(order.fork("r", { fromOffset: "3" }))
  })

  it("can be refused, or not find the step, and nothing else can", () => {
    type Refusal = Workflow.ForkRejected | Workflow.StepNotFound
    expectTypeOf<Errors<typeof order.fork>>().toEqualTypeOf<Workflow.EngineError | Refusal>()
    expectTypeOf<Errors<typeof order.retryFrom>>()
      .toEqualTypeOf<Workflow.EngineError | Refusal>()
    expectTypeOf<Errors<typeof order.checkpoint>>()
      .toEqualTypeOf<Workflow.LookError | Workflow.StepNotFound>()
    expectTypeOf<Extract<Errors<typeof order.start>, Refusal>>().toBeNever()
    expectTypeOf<Extract<Errors<typeof order.resume>, Refusal>>().toBeNever()
    expectTypeOf<Extract<Errors<typeof order.runCheckpoint>, Refusal>>().toBeNever()
    // @ts-expect-error a fork can
    expectTypeOf<Extract<Errors<typeof order.fork>, Refusal>>().toBeNever()
  })

  it("gives the result of the new run", () => {
    expectTypeOf<Given<typeof order.fork>>().toEqualTypeOf<Given<typeof order.start>>()
    expectTypeOf<Given<typeof order.retryFrom>>().toEqualTypeOf<Given<typeof order.start>>()
    expectTypeOf<Given<typeof order.runCheckpoint>>().toEqualTypeOf<Given<typeof order.start>>()
    expectTypeOf<Given<typeof order.fork>>()
      // @ts-expect-error not its output alone
      .toEqualTypeOf<string>()
  })

  it("needs what the steps need, since it drives them", () => {
    expectTypeOf<Services<typeof order.fork>>().toEqualTypeOf<Storage.Storage | Shop>()
    expectTypeOf<Services<typeof order.retryFrom>>().toEqualTypeOf<Storage.Storage | Shop>()
    expectTypeOf<Services<typeof order.runCheckpoint>>().toEqualTypeOf<Storage.Storage | Shop>()
    expectTypeOf<Services<typeof order.fork>>()
      // @ts-expect-error the shop is asked
      .toEqualTypeOf<Storage.Storage>()
  })

  it("takes the step that a retry goes on from, or finds it", () => {
    expectTypeOf(order.retryFrom("r")).toBeObject()
    expectTypeOf(order.retryFrom("r", { step: "pay" })).toBeObject()
    // @ts-expect-error a retry is cut at a step only
    expectTypeOf(order.retryFrom("r", { fromOffset: 1 }))
    // @ts-expect-error and a fork has another word for it
    expectTypeOf(order.fork("r", { step: "pay" }))
  })

  it("cannot be made by a contract, which has no code to go on with", () => {
    const contract = Workflow.define("order", {})
    // @ts-expect-error it cannot drive
    expectTypeOf(contract.fork)
    // @ts-expect-error nor go on from a checkpoint
    expectTypeOf(contract.runCheckpoint)
    // @ts-expect-error nor retry
    expectTypeOf(contract.retryFrom)
    // @ts-expect-error nor decode what the steps gave
    expectTypeOf(contract.contextOf)
    expectTypeOf<typeof order>().toHaveProperty("fork")
  })
})

describe("a checkpoint", () => {
  it("is a text, which needs only storage to be made", () => {
    expectTypeOf(order.checkpoint("r")).toEqualTypeOf<
      Effect.Effect<string, Workflow.LookError | Workflow.StepNotFound, Storage.Storage>
    >()
    expectTypeOf(order.checkpoint("r", { after: "pay", expiresIn: "1 day" })).toBeObject()
    // @ts-expect-error it is taken behind a step
    expectTypeOf(order.checkpoint("r", { before: "pay" }))
    // @ts-expect-error for a time
    expectTypeOf(order.checkpoint("r", { expiresIn: "soon" }))
  })

  it("can be refused by what goes on from it and by what reads it, and nowhere else", () => {
    type Rejected = Checkpoint.CheckpointRejected
    expectTypeOf<Errors<typeof order.runCheckpoint>>()
      .toEqualTypeOf<Workflow.EngineError | Rejected>()
    expectTypeOf<Errors<typeof order.contextOf>>().toEqualTypeOf<Rejected>()
    expectTypeOf<Errors<typeof Checkpoint.deserializeCheckpoint>>().toEqualTypeOf<Rejected>()
    expectTypeOf<Extract<Workflow.EngineError, Rejected>>().toBeNever()
    expectTypeOf<Extract<Errors<typeof order.start>, Rejected>>().toBeNever()
    expectTypeOf<Extract<Errors<typeof order.execute>, Rejected>>().toBeNever()
    expectTypeOf<Extract<Errors<typeof order.resume>, Rejected>>().toBeNever()
    expectTypeOf<Extract<Errors<typeof order.cancel>, Rejected>>().toBeNever()
    expectTypeOf<Extract<Errors<typeof order.fork>, Rejected>>().toBeNever()
    expectTypeOf<Extract<Errors<typeof order.retryFrom>, Rejected>>().toBeNever()
    expectTypeOf<Extract<Errors<typeof order.checkpoint>, Rejected>>().toBeNever()
    expectTypeOf<Extract<Errors<typeof order.join>, Rejected>>().toBeNever()
    // @ts-expect-error here it can
    expectTypeOf<Extract<Errors<typeof order.runCheckpoint>, Rejected>>().toBeNever()
    // @ts-expect-error a start has no such thing to catch
    expectTypeOf(order.start(1).pipe(Effect.catchTag("CheckpointRejected", () => Effect.void)))
    const caught = order.runCheckpoint("text").pipe(
      Effect.catchTag("CheckpointRejected", ({ reason }) => {
        expectTypeOf(reason).toEqualTypeOf<Checkpoint.Reason>()
        return Effect.void
      })
    )
    expectTypeOf<Effect.Error<typeof caught>>().toEqualTypeOf<Workflow.EngineError>()
  })

  it("is run as it is, or with what goes with it", () => {
    expectTypeOf(order.runCheckpoint("text")).toBeObject()
    expectTypeOf(order.runCheckpoint("text", { runId: "n", log: { stopwatch: true } })).toBeObject()
    expectTypeOf(order.runCheckpoint({ checkpoint: "text", runId: "n", durability: "async" }))
      .toBeObject()
    // @ts-expect-error it is a text
    expectTypeOf(order.runCheckpoint(1))
    // @ts-expect-error it may not be missing
    expectTypeOf(order.runCheckpoint({ override: { reserve: 1 } }))
    // @ts-expect-error nor be undefined
    expectTypeOf(order.runCheckpoint({ checkpoint: undefined }))
    // @ts-expect-error its input is in it
    expectTypeOf(order.runCheckpoint({ checkpoint: "text", input: 1 }))
  })

  it("shows what the steps had given, decoded", () => {
    expectTypeOf<Plain<Given<typeof order.contextOf>>>().toEqualTypeOf<Plain<Results>>()
    expectTypeOf<Services<typeof none.contextOf>>().toBeNever()
    expectTypeOf<Given<typeof order.contextOf>["pay"]>()
      // @ts-expect-error not as it stands in the text
      .toEqualTypeOf<{ readonly at: string } | undefined>()
    // @ts-expect-error of the steps that there are
    expectTypeOf<Given<typeof order.contextOf>["ship"]>()
  })

  it("needs the services of the schemas that it is decoded with", () => {
    const input = Workflow.make("w", { input: Secret }, function*() {})
    const step = Workflow.make("w", function*(ctx) {
      yield* ctx.step("s", () => "x", { schema: Secret })
    })
    expectTypeOf<Services<typeof input.contextOf>>().toEqualTypeOf<Crypto>()
    expectTypeOf<Services<typeof step.contextOf>>().toEqualTypeOf<Crypto>()
    // @ts-expect-error it is not readable without
    expectTypeOf<Services<typeof step.contextOf>>().toBeNever()
  })

  it("is taken apart and put together again as what the reader says it holds", () => {
    const unsaid = Checkpoint.deserializeCheckpoint("text")
    const said = Checkpoint.deserializeCheckpoint<{ readonly reserve: number }>("text")
    expectTypeOf(unsaid).toEqualTypeOf<
      Effect.Effect<Checkpoint.Checkpoint, Checkpoint.CheckpointRejected>
    >()
    expectTypeOf<Effect.Success<typeof unsaid>["output"]>()
      .toEqualTypeOf<Readonly<Record<string, Schema.Json | undefined>>>()
    expectTypeOf(said).toEqualTypeOf<
      Effect.Effect<
        Checkpoint.Checkpoint<{ readonly reserve: number }>,
        Checkpoint.CheckpointRejected
      >
    >()
    expectTypeOf<Effect.Success<typeof said>["output"]["reserve"]>().toEqualTypeOf<number>()
    expectTypeOf<Effect.Success<typeof said>["stepName"]>().toEqualTypeOf<string>()
    expectTypeOf<Effect.Success<typeof said>["expiresAt"]>().toEqualTypeOf<number | undefined>()
    expectTypeOf(Checkpoint.serializeCheckpoint).returns.toEqualTypeOf<Effect.Effect<string>>()
    expectTypeOf<Effect.Success<typeof said>>()
      .toExtend<Parameters<typeof Checkpoint.serializeCheckpoint>[0]>()
    expectTypeOf<Effect.Success<typeof said>["output"]>()
      // @ts-expect-error nobody said that
      .toEqualTypeOf<{ readonly reserve: string }>()
    // @ts-expect-error a text is taken apart already
    expectTypeOf(Checkpoint.serializeCheckpoint("text"))
    // @ts-expect-error only a text can be
    expectTypeOf(Checkpoint.deserializeCheckpoint(1))
  })
})

describe("a question what would be", () => {
  it("is answered at once, and needs nothing", () => {
    const answer = order.whatIf(journal, { override: { reserve: 2 } })
    expectTypeOf(answer._tag)
      .toEqualTypeOf<"Returned" | "Threw" | "Blocked" | "Broke" | "Refused">()
    expectTypeOf(answer.offset).toEqualTypeOf<number>()
    expectTypeOf(answer.instead).toEqualTypeOf<Journal.Recorded | undefined>()
    if (answer._tag === "Refused") {
      expectTypeOf(answer.error).toEqualTypeOf<
        Workflow.StepNotFound | Workflow.ForkRejected | Workflow.ReplayMismatch
      >()
    }
    // @ts-expect-error where it parts is told by `instead`
    expectTypeOf(answer._tag === "Diverged")
    // @ts-expect-error it is asked of a journal, not of a run's id
    expectTypeOf(order.whatIf("r"))
  })
})
