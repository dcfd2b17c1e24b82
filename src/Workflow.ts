/**
 * Workflows as people write and call them: a contract (name, schemas), a body, and the typed calls.
 *
 * Owns types, and the encoding of inputs and events; what the calls do is `Interpreter` and `Runs`.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Codec from "./Codec.ts"
import type { Wait } from "./Entry.ts"
import * as Instruction from "./Instruction.ts"
import type { Unsafe } from "./internal/JsonSafe.ts"
import * as Interpreter from "./Interpreter.ts"
import type { Journal } from "./Journal.ts"
import * as Replay from "./Replay.ts"
import * as RunId from "./RunId.ts"
import * as Runs from "./Runs.ts"
import * as Status from "./Status.ts"
import type { Storage } from "./Storage.ts"

export { Limits, type LimitsShape, Unserializable, ValueTooLarge } from "./Codec.ts"
export { VersionMismatch } from "./Interpreter.ts"
export { BodyDefect, ReplayMismatch } from "./Replay.ts"
export { EventRejected, RunClosed, RunExists, RunNotFound } from "./Runs.ts"
export { Fenced } from "./Session.ts"

// ---------------------------------------------------------------------------------------------------
// results and errors

interface Of {
  readonly runId: string
}

/** What a call that drives a run came to. A suspension is no failure. */
export type Result<A, E> =
  | { readonly status: "success"; readonly result: A } & Of
  | {
    readonly status: "suspended"
    /** The first event it waits for. */
    readonly event: string | undefined
    readonly reason?: string
    /** UTC milliseconds of the next timer. */
    readonly wakeAt?: number
    readonly waits: ReadonlyArray<Wait>
  } & Of
  | { readonly status: "failed"; readonly error: E } & Of
  | { readonly status: "cancelled"; readonly reason?: string } & Of
  | { readonly status: "stopped" } & Of
  /** Open, but it must not go on by itself. */
  | { readonly status: "blocked"; readonly reason: string } & Of
  /** Another live process drives it; what was posted will reach it. */
  | { readonly status: "running" } & Of

/** What a look at a run shows; `pending` is open, with nobody driving it. */
export type Look<A, E> = Result<A, E> | { readonly status: "pending" } & Of

/** The input does not fit the workflow's schema. Nothing was recorded. */
export class InputRejected
  extends Schema.TaggedError<InputRejected>("reprise/InputRejected")("InputRejected", {
    runId: Schema.String,
    workflow: Schema.String,
    why: Schema.String
  })
{
  override get message(): string {
    return `The input for run "${this.runId}" does not fit workflow "${this.workflow}": ${this.why}. Nothing was recorded.`
  }
}

/** A value was asked of a run that has none: it was cancelled, or it is not over. */
export class NoOutput extends Schema.TaggedError<NoOutput>("reprise/NoOutput")("NoOutput", {
  runId: Schema.String,
  status: Status.State,
  reason: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    return `Run "${this.runId}" has no output: it is ${this.status}${
      this.reason === undefined ? "" : ` (${this.reason})`
    }. `
      + `Look at it with status("${this.runId}"), or go on with resume("${this.runId}").`
  }
}

/** Everything but the workflow's own errors that a driving call can fail with. */
export type EngineError = Interpreter.DriveError | InputRejected
type LookError =
  | Runs.ReadError
  | Runs.RunNotFound
  | Runs.RunExists
  | RunId.RunIdRejected
  | Replay.ReplayMismatch
type SendError = Runs.PostError | Runs.EventRejected

// ---------------------------------------------------------------------------------------------------
// the types of a contract

/** Payload schemas by event name. */
export type Events = Readonly<Record<string, Schema.Top>>

export interface Options {
  /** Decodes what comes from outside and what older code recorded. Without it the input must be JSON. */
  readonly input?: Schema.Top | undefined
  /** Encodes what the body returns. Without it that must be JSON. */
  readonly output?: Schema.Top | undefined
  /** What the run may fail with. With it the compiler holds every step to it. */
  readonly error?: Schema.Top | undefined
  readonly events?: Events | undefined
  /** Recorded with a run, and compared when it goes on. */
  readonly version?: string | undefined
  /** The id of a run that is started without one. */
  readonly runId?: ((input: any) => string) | undefined
}

/** What a body is given: every instruction, with the events it may wait for. */
export interface Ctx<Ev extends Events = {}> {
  readonly step: typeof Instruction.step
  readonly suspend: <K extends keyof Ev & string>(
    event: K,
    options?: { readonly key?: string | undefined; readonly reason?: string | undefined }
  ) => Instruction.Instruction<Ev[K]["Type"]>
  readonly all: typeof Instruction.all
  readonly forEach: typeof Instruction.forEach
  readonly race: typeof Instruction.race
  readonly any: typeof Instruction.any
  readonly log: typeof Instruction.log
  readonly fail: typeof Instruction.fail
  readonly runId: typeof Instruction.runId
}

/** What a body, or a helper generator of one, returns. */
export type Body<A, E = never, R = never> = Instruction.Part<A, E, R>

type SchemaIn<O, K extends keyof Options> = O extends
  { readonly [P in K]: infer S extends Schema.Top } ? S : undefined
type TypeIn<O, K extends keyof Options, Else> = SchemaIn<O, K> extends Schema.Top
  ? SchemaIn<O, K>["Type"]
  : Else
type EventsIn<O> = O extends { readonly events: infer Ev extends Events } ? Ev : {}
type Services<S> = S extends Schema.Top ? S["DecodingServices"] | S["EncodingServices"] : never
type ContractServices<O> =
  | Services<SchemaIn<O, "input">>
  | Services<SchemaIn<O, "output">>
  | Services<SchemaIn<O, "error">>
  | Services<EventsIn<O>[keyof EventsIn<O>]>

/** An event as the typed calls take it. */
export type EventOf<Ev extends Events> = {
  [K in keyof Ev & string]:
    & {
      readonly eventName: K
      readonly key?: string | undefined
      readonly eventId?: string | undefined
    }
    & (undefined extends Ev[K]["Type"] ? { readonly value?: Ev[K]["Type"] }
      : { readonly value: Ev[K]["Type"] })
}[keyof Ev & string]

export interface RunOptions {
  /** Default: the contract's `runId`, else `createRunId()`. */
  readonly runId?: string | undefined
}

/** A workflow without its body: what other processes need to talk to its runs. */
export interface Contract<in out I, out A, out E, in out Ev extends Events, out R = never> {
  readonly name: string
  readonly options: Options
  /** Records a start without driving it; gives the run's id. */
  readonly enqueue: (
    input: I,
    options?: RunOptions
  ) => Effect.Effect<string, EngineError, Storage | R>
  /** Posts an event without driving the run. Durable when it returns, delivered once per `eventId`. */
  readonly send: (runId: string, event: EventOf<Ev>) => Effect.Effect<void, SendError, Storage | R>
  /** A look at the run. */
  readonly status: (runId: string) => Effect.Effect<Look<A, E>, LookError, Storage | R>
  /** The run's state now and after every change, until it ends. */
  readonly changes: (runId: string) => Stream.Stream<Look<A, E>, LookError, Storage | R>
  /** Waits for the end without driving the run: its output, or its error. */
  readonly join: (runId: string) => Effect.Effect<A, E | NoOutput | LookError, Storage | R>
}

/** A workflow with its body: it can be driven. `R` is what its steps need, `C` what its schemas need. */
export interface Workflow<
  in out I,
  out A,
  out E,
  in out Ev extends Events,
  out R = never,
  out C = never
> extends Contract<I, A, E, Ev, C> {
  /**
   * Drives a run until it ends or only waits. A known run with the same input is attached to: its end,
   * its suspension, or on with it.
   */
  readonly start: (
    input: I,
    options?: RunOptions
  ) => Effect.Effect<Result<A, E>, EngineError, Storage | R>
  /** Drives a run to its end in this process, waiting for events: its output, or its error. */
  readonly execute: (
    input: I,
    options?: RunOptions
  ) => Effect.Effect<A, E | NoOutput | EngineError, Storage | R>
  /** Posts the event, if any, then drives the run on. */
  readonly resume: (
    runId: string,
    event?: EventOf<Ev>
  ) => Effect.Effect<Result<A, E>, EngineError | SendError, Storage | R>
  /** Asks for the run to be cancelled and drives its clean-up. A second cancel ends it at once. */
  readonly cancel: (
    runId: string,
    options?: { readonly reason?: string | undefined; readonly eventId?: string | undefined }
  ) => Effect.Effect<Result<A, E>, EngineError | SendError, Storage | R>
  /** What this code makes of a journal; nothing is run. */
  readonly replay: (journal: Journal) => Replay.Replayed
}

// what `make` infers from a body

type AnyInstruction = Instruction.Instruction<any, any, any>
/** A body that is given `I`, yields `Y` and returns `A`. */
type BodyOf<O, I, Y, A> = (
  ctx: Ctx<EventsIn<O>>,
  input: I
) => Generator<Y, A, Instruction.WriteYieldWithAStar>

type Yielded<B> = B extends (...args: any) => Generator<infer Y, infer _A, infer _N> ? Y : never
type Returned<B> = B extends (...args: any) => Generator<infer _Y, infer A, infer _N> ? A : never
type InputOf<O, B> = TypeIn<
  O,
  "input",
  B extends (ctx: any, ...rest: infer Rest) => unknown ? Rest extends [infer I, ...any] ? I : void
    : void
>

type Declared<E> = E extends Instruction.Undeclared<infer _> ? never : E
type FailureOf<O, Y> =
  | Instruction.StepError
  | TypeIn<O, "error", Declared<Instruction.ErrorOf<Y>>>

type IsAny<T> = 0 extends 1 & T ? true : false
type Uncovered<E, Covered> = IsAny<E> extends true ? never
  : E extends Instruction.Undeclared<infer X> ? X extends Covered ? never : X
  : E extends Covered | Instruction.StepError ? never
  : E
type TagOf<E> = E extends { readonly _tag: infer Tag extends string } ? Tag : "an error"

type CheckedErrors<O, Y> = SchemaIn<O, "error"> extends Schema.Top
  ? [Uncovered<Instruction.ErrorOf<Y>, SchemaIn<O, "error">["Type"]>] extends [never] ? unknown
  : {
    readonly [
      K in `This body can fail with ${TagOf<
        Uncovered<Instruction.ErrorOf<Y>, SchemaIn<O, "error">["Type"]>
      >}, which the workflow's error schema does not cover: add it there, give the step its own { error }, or handle it with Instruction.result, catch or catchTag`
    ]: never
  }
  : unknown
type CheckedOutput<O, A> = SchemaIn<O, "output"> extends Schema.Top ? unknown
  : [Unsafe<A>] extends [never] ? unknown
  : {
    readonly [
      K in `This workflow returns ${Unsafe<A>}, which JSON cannot hold: give it { output }`
    ]: never
  }
type CheckedInput<O, I> = SchemaIn<O, "input"> extends Schema.Top ? unknown
  : [Unsafe<I>] extends [never] ? unknown
  : {
    readonly [K in `This workflow takes ${Unsafe<I>}, which JSON cannot hold: give it { input }`]:
      never
  }
/** `unknown` when all is well, else a type whose only property is the advice. */
type Checked<O, I, Y, A> = CheckedErrors<O, Y> & CheckedOutput<O, A> & CheckedInput<O, I>

type Made<O, I, Y, A> = Workflow<
  I,
  TypeIn<O, "output", A>,
  FailureOf<O, Y>,
  EventsIn<O>,
  Instruction.ServicesOf<Y> | ContractServices<O>,
  ContractServices<O>
>

/** A contract that still wants its body. */
export interface Definition<O extends Options> extends
  Contract<
    TypeIn<O, "input", Schema.Json>,
    TypeIn<O, "output", Schema.Json>,
    TypeIn<O, "error", Schema.Json> | Instruction.StepError,
    EventsIn<O>,
    ContractServices<O>
  >
{
  /** The workflow with this body. */
  readonly make: <
    B extends BodyOf<O, TypeIn<O, "input", any>, AnyInstruction, TypeIn<O, "output", any>>
  >(
    body: B & Checked<O, InputOf<O, B>, Yielded<B>, Returned<B>>
  ) => Made<O, InputOf<O, B>, Yielded<B>, Returned<B>>
}

// ---------------------------------------------------------------------------------------------------
// constructors

/**
 * A contract apart from its body: for processes that send, enqueue or look but do not drive, and for
 * workflows that call each other.
 *
 * @example
 * ```ts
 * import { Workflow } from "reprise"
 * import { Schema } from "effect"
 *
 * const order = Workflow.define("order", { input: Schema.Struct({ id: Schema.String }), output: Schema.String })
 * const orderWorkflow = order.make(function*(ctx, { id }) {
 *   return yield* ctx.step("ship", () => `shipped ${id}`)
 * })
 * orderWorkflow.name // => "order"
 * ```
 */
export const define = <const O extends Options>(name: string, options: O): Definition<O> => {
  const contract = makeContract(name, options)
  return { ...contract, make: (body) => makeWorkflow(contract, options, body) } as Definition<O>
}

/**
 * A workflow: a name, its schemas, and a generator function whose every `yield*` is journaled.
 *
 * Without schemas the input's type comes from the body's parameter, output and error from the body, and
 * values must be JSON.
 *
 * @example
 * ```ts
 * import { Storage, Workflow } from "reprise"
 * import { Effect } from "effect"
 *
 * const hello = Workflow.make("hello", function*(ctx, who: { name: string }) {
 *   return yield* ctx.step("greet", () => `Hello, ${who.name}`)
 * })
 * const program = hello.execute({ name: "Ada" }).pipe(Effect.provide(Storage.layerMemory))
 * await Effect.runPromise(program) // => "Hello, Ada"
 * ```
 */
export const make: {
  <
    O extends Options = {},
    Y extends AnyInstruction = never,
    A extends TypeIn<O, "output", any> = TypeIn<O, "output", any>,
    I extends TypeIn<O, "input", any> = TypeIn<O, "input", void>
  >(
    name: string & Checked<O, I, Y, A>,
    body: BodyOf<O, I, Y, A>
  ): Made<O, I, Y, A>
  <
    const O extends Options,
    Y extends AnyInstruction = never,
    A extends TypeIn<O, "output", any> = TypeIn<O, "output", any>,
    I extends TypeIn<O, "input", any> = TypeIn<O, "input", void>
  >(
    name: string,
    options: O & Checked<O, I, Y, A>,
    body: BodyOf<O, I, Y, A>
  ): Made<O, I, Y, A>
} = (name: string, ...rest: ReadonlyArray<unknown>): any => {
  const [options, body] = rest.length === 1 ? [{}, rest[0]] : rest
  return makeWorkflow(makeContract(name, options as Options), options as Options, body)
}

/** A result's value or its error; `NoOutput` when the run is not over or was cancelled. */
export const output = <A, E>(result: Look<A, E>): Effect.Effect<A, E | NoOutput> => {
  switch (result.status) {
    case "success":
      return Effect.succeed(result.result)
    case "failed":
      return Effect.fail(result.error)
    default: {
      const { runId, status } = result
      const reason = "reason" in result ? result.reason : undefined
      return Effect.fail(
        new NoOutput({ runId, status, ...(reason === undefined ? undefined : { reason }) })
      )
    }
  }
}

// internal

type Erased = Contract<unknown, unknown, unknown, Events>

const ctx: Ctx<any> = {
  step: Instruction.step,
  suspend: Instruction.suspend,
  all: Instruction.all,
  forEach: Instruction.forEach,
  race: Instruction.race,
  any: Instruction.any,
  log: Instruction.log,
  fail: Instruction.fail,
  runId: Instruction.runId
}

const noBody = () => {
  throw new Error("a contract has no body to run")
}

const makeProgram = (
  name: string,
  options: Options,
  body: Replay.Program["body"]
): Replay.Program => ({
  name,
  version: options.version,
  input: Codec.of(options.input),
  output: Codec.of(options.output),
  error: options.error === undefined ? undefined : Codec.fromSchema(options.error),
  events: Object.fromEntries(
    Object.entries(options.events ?? {}).map(([event, schema]) => [event, Codec.fromSchema(schema)])
  ),
  body
})

/** Which run to begin, with its input encoded and handed back as a replay would. */
const begin = (
  program: Replay.Program,
  options: Options,
  input: unknown,
  { runId }: RunOptions = {}
) =>
  Effect.gen(function*() {
    const services = yield* Effect.context<never>()
    const id = yield* RunId.check(runId ?? options.runId?.(input) ?? RunId.createRunId())
    const encoded = program.input.encode(input, services)
    if (!encoded.ok) {
      if (encoded.refused._tag === "Schema") {
        return yield* new InputRejected({
          runId: id,
          workflow: program.name,
          why: encoded.refused.message
        })
      }
      return yield* Codec.rejection(encoded.refused, { runId: id, what: "the workflow's input" })
    }
    const decoded = program.input.decode(encoded.json, services)
    if (!("ok" in decoded) || !decoded.ok) {
      const why = "why" in decoded ? decoded.why : "it does not decode again"
      return yield* new InputRejected({ runId: id, workflow: program.name, why })
    }
    return { runId: id, begin: { input: decoded.value, metadata: encoded.json } }
  })

const makeContract = (name: string, options: Options): Erased => {
  if (typeof name !== "string" || name === "") throw new TypeError("A workflow needs a name.")
  const program = makeProgram(name, options, noBody)
  const look = (status: Status.Status) =>
    Effect.gen(function*() {
      if (status.workflow !== name) {
        return yield* new Runs.RunExists({
          runId: status.runId,
          differs: "workflow",
          seen: name,
          recorded: status.workflow
        })
      }
      return yield* Interpreter.look(program, status)
    })
  const changes = (runId: string) => Stream.mapEffect(Runs.changes(runId), look)
  return {
    name,
    options,
    enqueue: (input, runOptions) =>
      Effect.flatMap(
        begin(program, options, input, runOptions),
        ({ begin, runId }) => Effect.as(Interpreter.enqueue(program, runId, begin), runId)
      ),
    send: (runId, event) =>
      Effect.flatMap(encodeEvent(program, runId, event), (sent) => Runs.send(runId, sent)),
    status: (runId) =>
      Effect.map(Effect.flatMap(Runs.status(runId), look), (driven) => present(runId, driven)),
    changes: (runId) => Stream.map(changes(runId), (driven) => present(runId, driven)),
    join: (runId) =>
      Effect.flatMap(Stream.runLast(changes(runId)), (last) =>
        last._tag === "None"
          ? Effect.fail(new NoOutput({ runId, status: "pending" }))
          : output(present(runId, last.value)))
  }
}

const encodeEvent = (
  program: Replay.Program,
  runId: string,
  event: {
    readonly eventName: string
    readonly value?: unknown
    readonly key?: string | undefined
    readonly eventId?: string | undefined
  }
): Effect.Effect<Runs.Sent, Runs.EventRejected> =>
  Effect.flatMap(Effect.context<never>(), (services) => {
    const { eventName, value } = event
    const allowed = Object.keys(program.events)
    const reject = (why: string) =>
      Effect.fail(new Runs.EventRejected({ runId, eventName: String(eventName), why, allowed }))
    const codec = Object.hasOwn(program.events, eventName) ? program.events[eventName] : undefined
    if (codec === undefined) return reject(`workflow "${program.name}" does not declare it`)
    const encoded = codec.encode(value, services)
    if (!encoded.ok) {
      return reject(
        Codec.rejection(encoded.refused, { runId, what: `event "${eventName}"` }).message
      )
    }
    return Effect.succeed({ ...event, value: encoded.json })
  })

const GeneratorFunction: unknown = (function*() {}).constructor

const makeWorkflow = (contract: Erased, options: Options, body: unknown): any => {
  const { name } = contract
  if (!((body as object) instanceof (GeneratorFunction as new() => object))) {
    throw new TypeError(
      `The body of workflow "${name}" must be a generator function: function*(ctx, input) { … }.`
    )
  }
  const run = body as (ctx: Ctx<any>, input: unknown) => Iterator<unknown, unknown, unknown>
  const program = makeProgram(name, options, (input) => run(ctx, input))
  const drive = (runId: string, from?: Interpreter.Begin) =>
    Effect.map(Interpreter.drive(program, runId, from), (driven) => present(runId, driven))
  const start = (input: unknown, runOptions?: RunOptions) =>
    Effect.flatMap(
      begin(program, options, input, runOptions),
      ({ begin, runId }) => drive(runId, begin)
    )
  const toEnd = (
    runId: string,
    from: Interpreter.Begin | undefined
  ): Effect.Effect<unknown, unknown, Storage> =>
    Effect.flatMap(
      drive(runId, from),
      (result) =>
        result.status === "suspended" || result.status === "running"
          ? Effect.andThen(Interpreter.untilNews(program, runId), toEnd(runId, undefined))
          : output(result)
    )
  const workflow: Workflow<unknown, unknown, unknown, Events> = {
    ...contract,
    start,
    execute: (input, runOptions) =>
      Effect.flatMap(
        begin(program, options, input, runOptions),
        ({ begin, runId }) => toEnd(runId, begin)
      ) as any,
    resume: (runId, event) =>
      event === undefined
        ? drive(runId)
        : Effect.andThen(contract.send(runId, event), drive(runId)),
    cancel: (runId, cancelOptions) =>
      Effect.andThen(Runs.cancel(runId, cancelOptions), drive(runId)),
    replay: (journal) => Interpreter.replay(program, journal, Context.empty())
  }
  return workflow
}

const present = (runId: string, driven: Interpreter.Looked): any => {
  switch (driven.status) {
    case "suspended": {
      const { reason, waitingFor, waits, wakeAt } = driven.entry
      return {
        status: "suspended",
        event: waitingFor,
        ...(reason === undefined ? undefined : { reason }),
        ...(wakeAt === undefined ? undefined : { wakeAt }),
        waits,
        runId
      }
    }
    case "cancelled":
      return {
        status: "cancelled",
        ...(driven.reason === undefined ? undefined : { reason: driven.reason }),
        runId
      }
    default:
      return { ...driven, runId }
  }
}
