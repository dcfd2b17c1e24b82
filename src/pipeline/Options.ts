/**
 * What a pipeline is made with, and what a call of one says.
 */
import type * as Effect from "effect/Effect"
import type { CheckpointRejected } from "../Checkpoint.ts"
import type { HookServices, StepCompleted, StepErred, StepSkipped } from "../Hooks.ts"
import type { RunError } from "../Instruction.ts"
import type { Durability } from "../Program.ts"
import type { LogOptions } from "../StepLog.ts"
import type { EngineError, NoOutput } from "../workflow/Results.ts"
import type { Older, RunOptions } from "../workflow/Types.ts"
import type { PipelineAborted } from "./Builder.ts"
import type { AnyRan } from "./Types.ts"

/** What holds for every run of a pipeline. */
export interface Options {
  /** Recorded with a run, and compared when it goes on. */
  readonly version?: string | undefined
  /** The workflows of the same pipeline in older versions. */
  readonly previous?: ReadonlyArray<Older> | undefined
  /** When a step's outcome is durable; default `sync`: before the next step begins. */
  readonly durability?: Durability | undefined
  /** The id of a run that is started without one. */
  readonly runId?: ((input: any) => string) | undefined
  /** The log of calls that have none of their own. */
  readonly log?: boolean | LogOptions | undefined
  /** Aborts calls that have none of their own. */
  readonly signal?: AbortSignal | undefined
  /** Hears of every step of every run, before the hooks of a call do. */
  readonly onStepComplete?: ((event: StepCompleted<string, any>) => Awaitable) | undefined
  readonly onStepError?: ((event: StepErred) => Awaitable) | undefined
  readonly onStepSkipped?: ((event: StepSkipped) => Awaitable) | undefined
}

/** Anything but an Effect that needs services: `make` cannot say that runs need them. Hooks of a call can. */
type Awaitable =
  | Effect.Effect<unknown, unknown>
  | (object & { readonly [Effect.TypeId]?: never })
  | string
  | number
  | bigint
  | boolean
  | symbol
  | null
  | undefined
  | void

/** A step that is done, with the context behind it: told apart by `stepName`. */
export type Completed<Steps> = Steps extends AnyRan ? StepCompleted<Steps["name"], Steps["output"]>
  : never

type NameOf<Steps> = Steps extends AnyRan ? Steps["name"] : never

/** What a call hears of its steps, and how it is aborted. */
export interface CallOptions<Steps, H1, H2, H3> extends RunOptions {
  readonly onStepComplete?: ((event: Completed<Steps>) => H1) | undefined
  readonly onStepError?: ((event: StepErred<NameOf<Steps>>) => H2) | undefined
  readonly onStepSkipped?: ((event: StepSkipped<NameOf<Steps>>) => H3) | undefined
  /** Prints the steps as they happen: `true`, or what of them. */
  readonly log?: boolean | LogOptions | undefined
  /** Leaves the run where it stands when it is aborted: the call fails, steps that run are told by their signal. */
  readonly signal?: AbortSignal | undefined
}

/** What is merged into the context of a checkpoint. */
export interface OverrideOptions<Context> {
  readonly overrideData?: Context | undefined
  /** The same as `overrideData`. */
  readonly override?: Context | undefined
}

/** Why a call of a pipeline may fail. */
export type RunFailure = RunError | EngineError | NoOutput | PipelineAborted
export type CheckpointFailure = RunFailure | CheckpointRejected

export type { HookServices }
