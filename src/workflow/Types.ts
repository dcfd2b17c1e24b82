/**
 * The types of a contract and of a workflow: what is declared, and the calls that follow from it.
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Schema from "effect/Schema"
import type * as Stream from "effect/Stream"
import type { CheckpointRejected } from "../Checkpoint.ts"
import type * as Fork from "../Fork.ts"
import type * as Hooks from "../Hooks.ts"
import type * as Instruction from "../Instruction.ts"
import type { Journal } from "../Journal.ts"
import type * as Replay from "../Replay.ts"
import type { LogOptions } from "../StepLog.ts"
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
  /** Hears of every step of every run, before the hooks of a call do. */
  readonly onStepComplete?: ((event: Hooks.StepCompleted<string, any>) => unknown) | undefined
  readonly onStepError?: ((event: Hooks.StepErred) => unknown) | undefined
  readonly onStepSkipped?: ((event: Hooks.StepSkipped) => unknown) | undefined
}

/** What is published, by channel. */
type Values<Ch extends Channels> = { readonly [K in keyof Ch]: Ch[K]["Type"] }

/** What a body is given: every instruction, with the events it may wait for and the channels it has. */
export interface Ctx<Ev extends Events = {}, Ch extends Channels = {}, I = unknown> {
  readonly step: Instruction.StepFunction<Values<Ch>>
  readonly transaction: Instruction.TransactionFunction<Values<Ch>>
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
type Returned<O, K extends keyof Options> = O extends
  { readonly [P in K]: (...args: any) => infer H } ? H : never
export type BodyServices<O> =
  | PreviousServices<O>
  | Hooks.HookServices<
    | Returned<O, "onStepComplete">
    | Returned<O, "onStepError">
    | Returned<O, "onStepSkipped">
  >

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

/** The steps of a workflow by name, with what each of them gave: the latest, of several of one name. */
export type ResultsOf<S> = {
  readonly [Step in S as Step extends Instruction.Named<infer Name, any> ? Name : never]?:
    Step extends Instruction.Named<infer Name, any>
      ? Extract<S, Instruction.Named<Name, any>>["value"]
      : never
}
type IdOf<Name extends string> =
  | Name
  | `${Name}#${number}`
  | `${string}/${Name}`
  | `${string}/${Name}#${number}`
/** Other results, by name, or by id where several have the name. */
export type OverrideOf<S> = [S] extends [never] ? { readonly [name: string]: never } : {
  readonly [Step in S as Step extends Instruction.Named<infer Name, any> ? IdOf<Name> : never]?:
    Step extends Instruction.Named<infer Name, any>
      ? Extract<S, Instruction.Named<Name, any>>["value"]
      : never
}
/** The names of a workflow's steps. */
export type StepName<S> = S extends Instruction.Named<infer Name, any> ? Name : string

/** What is known of the steps of a workflow, in types only. */
export interface StepTypes {
  /** Each step, as `Named`. */
  readonly named: unknown
  readonly name: unknown
  /** What they give, by name. */
  readonly results: unknown
  readonly override: unknown
}

export interface StepTypesOf<S> extends StepTypes {
  readonly named: S
  readonly name: StepName<S>
  readonly results: ResultsOf<S>
  readonly override: OverrideOf<S>
}

/** What a call may hear of its steps, and print of them. */
export type Listening<S extends StepTypes, H1, H2, H3> =
  & Hooks.StepHooks<S["name"], S["results"], H1, H2, H3>
  & {
    /** Prints what the run does, for people: `true`, or what of it. Default: nothing. */
    readonly log?: boolean | LogOptions | undefined
  }

/** What another run is begun with. */
export interface ForkOptions<S extends StepTypes> extends RunOptions {
  /**
   * Other results for steps that the new run keeps, by name, or by id where several have the name. Each must
   * be one that the step could have given.
   */
  readonly override?: S["override"] | undefined
}

export interface FromCheckpoint<S extends StepTypes> extends ForkOptions<S> {
  readonly checkpoint: string
  /** The same as `override`. */
  readonly overrideData?: ForkOptions<S>["override"]
}

export interface RunOptions {
  /** Default: the contract's `runId`, else `createRunId()`. */
  readonly runId?: string | undefined
  /** Default: the workflow's. Recorded with a run when it begins. */
  readonly durability?: Replay.Durability | undefined
}

/** How calls of one key become one run. */
export interface Debounce {
  /** Which calls belong together. */
  readonly key: string
  /** How long no other call must come. */
  readonly wait: Duration.Input
  /** How long calls that keep coming put the run off at most; default: without end. */
  readonly atMost?: Duration.Input | undefined
}

export type EnqueueOptions =
  & Pick<RunOptions, "durability">
  & {
    /**
     * The run begins when no other call with this key has come for a while, with the input of the last one. A call gives
     * back the id of its own run: the one it names, else a new one each time. It is never there if another call took its
     * place, and begins no second run where it has begun one. A worker must know the workflow. For each key a small run
     * stays parked.
     */
    readonly debounce?: Debounce | undefined
  }
  & (
    | { readonly runId?: string | undefined; readonly idempotencyKey?: never }
    | {
      readonly runId?: never
      /** The run's id is made of it: two calls with one key and one input are one run. Any text. */
      readonly idempotencyKey: string
    }
  )

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
    options?: EnqueueOptions
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
  out S extends StepTypes = any,
  out Ch extends Channels = {}
> extends Contract<I, A, E, Ev, C, Ch>, Instruction.Driven<R> {
  /** For types only: what the test kit's stubs are typed by. */
  readonly "~steps"?: S["named"]
  /**
   * Drives a run until it ends or only waits. A known run with the same input is attached to: its end,
   * its suspension or where a hook stopped it, or on with it.
   */
  readonly start: <H1 = never, H2 = never, H3 = never>(
    input: I,
    options?: RunOptions & Listening<S, H1, H2, H3>
  ) => Effect.Effect<
    Result<A, E, S["results"]>,
    EngineError,
    Storage | R | Hooks.HookServices<H1 | H2 | H3>
  >
  /** Drives a run to its end in this process, waiting for events and timers: its output, or its error. */
  readonly execute: <H1 = never, H2 = never, H3 = never>(
    input: I,
    options?: RunOptions & Listening<S, H1, H2, H3>
  ) => Effect.Effect<
    A,
    E | NoOutput | EngineError,
    Storage | R | Hooks.HookServices<H1 | H2 | H3>
  >
  /** Posts the event, if any, then drives the run on, also from where a hook stopped it. */
  readonly resume: <H1 = never, H2 = never, H3 = never>(
    runId: string,
    event?: EventOf<Ev>,
    options?: Listening<S, H1, H2, H3>
  ) => Effect.Effect<
    Result<A, E, S["results"]>,
    EngineError | SendError,
    Storage | R | Hooks.HookServices<H1 | H2 | H3>
  >
  /** Asks for the run to be cancelled and drives its clean-up. A second cancel ends it at once. */
  readonly cancel: (
    runId: string,
    options?: { readonly reason?: string | undefined; readonly eventId?: string | undefined }
  ) => Effect.Effect<Result<A, E, S["results"]>, EngineError | SendError, Storage | R>
  // Methods from here on: what they take is made of the steps, and a workflow may still stand for one of
  // which less is known.
  /**
   * Drives a new run that keeps what another one did up to a cut. That one is only read, and recorded as the
   * new one's source.
   */
  fork<H1 = never, H2 = never, H3 = never>(
    runId: string,
    options: Fork.CutAt & ForkOptions<S> & Listening<S, H1, H2, H3>
  ): Effect.Effect<
    Result<A, E, S["results"]>,
    EngineError | Fork.StepNotFound | Fork.ForkRejected,
    Storage | R | Hooks.HookServices<H1 | H2 | H3>
  >
  /**
   * Goes on with a failed run, from the step that failed: as a new run that keeps what was done before it.
   * Refused when that was undone.
   */
  retryFrom<H1 = never, H2 = never, H3 = never>(
    runId: string,
    options?: ForkOptions<S> & Listening<S, H1, H2, H3> & {
      /** Default: the step that failed last. */
      readonly step?: string | undefined
    }
  ): Effect.Effect<
    Result<A, E, S["results"]>,
    EngineError | Fork.StepNotFound | Fork.ForkRejected,
    Storage | R | Hooks.HookServices<H1 | H2 | H3>
  >
  /** The checkpoint of a run, behind a step; default: the last that has an outcome. */
  checkpoint(
    runId: string,
    options?: Fork.CheckpointOptions
  ): Effect.Effect<string, LookError | Fork.StepNotFound, Storage>
  /**
   * Drives a new run from a checkpoint, on this storage, which need not know the run it was taken of. Steps up
   * to the checkpoint's do not run again. One that this code does not go on from is `CheckpointRejected`.
   */
  runCheckpoint<H1 = never, H2 = never, H3 = never>(
    checkpoint: string | FromCheckpoint<S> & Listening<S, H1, H2, H3>,
    options?: ForkOptions<S> & Listening<S, H1, H2, H3>
  ): Effect.Effect<
    Result<A, E, S["results"]>,
    EngineError | CheckpointRejected,
    Storage | R | Hooks.HookServices<H1 | H2 | H3>
  >
  /** What the steps had given where a checkpoint was taken, by name. */
  contextOf(checkpoint: string): Effect.Effect<S["results"], CheckpointRejected, R>
  /** What this code would do with a journal if steps had given something else: what comes next. Nothing is run. */
  whatIf(
    journal: Journal,
    options?: { readonly override?: ForkOptions<S>["override"] }
  ): Fork.WhatIf
  /** What this code makes of a journal; nothing is run. */
  readonly replay: (journal: Journal) => Replay.Replayed
}
