/**
 * The types of a contract and of a workflow: what is declared, and the calls that follow from it.
 */
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Schema from "effect/Schema"
import type * as Stream from "effect/Stream"
import type * as Instruction from "../Instruction.ts"
import type { Journal } from "../Journal.ts"
import type * as Replay from "../Replay.ts"
import type { Storage } from "../Storage.ts"
import type { EngineError, Look, LookError, NoOutput, Result, SendError } from "./Results.ts"

/** Payload schemas by event name. */
export type Events = Readonly<Record<string, Schema.Top>>

/** Schemas of published values by channel. */
export type Channels = Readonly<Record<string, Schema.Top>>

/** A workflow in an older version. */
export type Older = Instruction.Callee<any, any, any, any> & Instruction.Driven<any>

export interface Options {
  /** Decodes what comes from outside and what older code recorded. Without it the input must be JSON. */
  readonly input?: Schema.Top | undefined
  /** Encodes what the body returns. Without it that must be JSON. */
  readonly output?: Schema.Top | undefined
  /** What the run may fail with. With it the compiler holds every step to it. */
  readonly error?: Schema.Top | undefined
  readonly events?: Events | undefined
  /** Schemas of what the run publishes while it is driven, by channel. */
  readonly channels?: Channels | undefined
  /** Recorded with a run, and compared when it goes on. */
  readonly version?: string | undefined
  /** The same workflow in older versions: runs that were started by them go on with their bodies. */
  readonly previous?: ReadonlyArray<Older> | undefined
  /** Changes of `ctx.patched` whose old path is gone. */
  readonly retired?: ReadonlyArray<string> | undefined
  /** When a step's outcome is durable; default `sync`: before the next step begins. */
  readonly durability?: Replay.Durability | undefined
  /** The id of a run that is started without one. */
  readonly runId?: ((input: any) => string) | undefined
}

/** What is published, by channel. */
type Values<Ch extends Channels> = { readonly [K in keyof Ch]: Ch[K]["Type"] }

/** What a body is given: every instruction, with the events it may wait for and the channels it has. */
export interface Ctx<Ev extends Events = {}, Ch extends Channels = {}, I = unknown> {
  readonly step: Instruction.StepFunction<Values<Ch>>
  readonly suspend: <
    K extends keyof Ev & string,
    const O extends Instruction.SuspendOptions = {}
  >(
    event: K,
    options?: O
  ) => Instruction.Plain<
    O extends { readonly timeout: infer T } ? [T] extends [undefined] ? Ev[K]["Type"]
      : Option.Option<Ev[K]["Type"]>
      : Ev[K]["Type"]
  >
  readonly sleep: typeof Instruction.sleep
  readonly sleepUntil: typeof Instruction.sleepUntil
  readonly all: typeof Instruction.all
  readonly forEach: typeof Instruction.forEach
  readonly race: typeof Instruction.race
  readonly any: typeof Instruction.any
  readonly child: typeof Instruction.child
  readonly send: typeof Instruction.send
  readonly publish: (
    ...said: { [K in keyof Ch & string]: [channel: K, value: Ch[K]["Type"]] }[keyof Ch & string]
  ) => Instruction.Plain<void>
  readonly token: (
    event: keyof Ev & string,
    key?: string
  ) => Instruction.Plain<string>
  // A method, so that a helper which does not know the input can take any ctx.
  continueAs(input: I): Instruction.Plain<never>
  readonly patched: typeof Instruction.patched
  readonly now: typeof Instruction.now
  readonly random: typeof Instruction.random
  readonly uuid: typeof Instruction.uuid
  readonly log: typeof Instruction.log
  readonly fail: typeof Instruction.fail
  readonly runId: typeof Instruction.runId
}

/** What a body, or a helper generator of one, returns. */
export type Body<A, E = never, R = never> = Instruction.Part<A, E, R>

export type SchemaIn<O, K extends keyof Options> = O extends
  { readonly [P in K]: infer S extends Schema.Top } ? S : undefined
export type TypeIn<O, K extends keyof Options, Else> = SchemaIn<O, K> extends Schema.Top
  ? SchemaIn<O, K>["Type"]
  : Else
export type EventsIn<O> = O extends { readonly events: infer Ev extends Events } ? Ev : {}
export type ChannelsIn<O> = O extends { readonly channels: infer Ch extends Channels } ? Ch : {}
type PreviousServices<O> = O extends { readonly previous: ReadonlyArray<infer W> }
  ? W extends Instruction.Driven<infer R> ? R : never
  : never
type Services<S> = S extends Schema.Top ? S["DecodingServices"] | S["EncodingServices"] : never
export type ContractServices<O> =
  | Services<SchemaIn<O, "input">>
  | Services<SchemaIn<O, "output">>
  | Services<SchemaIn<O, "error">>
  | Services<EventsIn<O>[keyof EventsIn<O>]>
  | Services<ChannelsIn<O>[keyof ChannelsIn<O>]>
export type BodyServices<O> = PreviousServices<O>

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
  /** Default: the workflow's. Recorded with a run when it begins. */
  readonly durability?: Replay.Durability | undefined
}

/** A workflow without its body: what other processes need to talk to its runs. */
export interface Contract<
  in out I,
  out A,
  out E,
  in out Ev extends Events,
  out R = never,
  out Ch extends Channels = {}
> extends Instruction.Callee<I, A, E, R> {
  readonly options: Options
  /** Records a start without driving it; gives the run's id. */
  readonly enqueue: (
    input: I,
    options?: RunOptions
  ) => Effect.Effect<string, EngineError, Storage | R>
  /** Posts an event without driving the run. Durable when it returns, delivered once per `eventId`. */
  readonly send: (runId: string, event: EventOf<Ev>) => Effect.Effect<void, SendError, Storage | R>
  /** A look at the run. */
  readonly status: (runId: string) => Effect.Effect<Look<A, E, Ch>, LookError, Storage | R>
  /** The run's state now and after every change and every publication, until it ends. */
  readonly changes: (runId: string) => Stream.Stream<Look<A, E, Ch>, LookError, Storage | R>
  /** Waits for the end without driving the run: its output, or its error. */
  readonly join: (runId: string) => Effect.Effect<A, E | NoOutput | LookError, Storage | R>
}

/**
 * A workflow with its body: it can be driven. `R` is what its steps need, `C` what its schemas need, `S`
 * are its steps by name.
 */
export interface Workflow<
  in out I,
  out A,
  out E,
  in out Ev extends Events,
  out R = never,
  out C = never,
  out S = unknown,
  out Ch extends Channels = {}
> extends Contract<I, A, E, Ev, C, Ch>, Instruction.Driven<R> {
  /** For types only: what the test kit's stubs are typed by. */
  readonly "~steps"?: S
  /**
   * Drives a run until it ends or only waits. A known run with the same input is attached to: its end,
   * its suspension, or on with it.
   */
  readonly start: (
    input: I,
    options?: RunOptions
  ) => Effect.Effect<Result<A, E>, EngineError, Storage | R>
  /** Drives a run to its end in this process, waiting for events and timers: its output, or its error. */
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
