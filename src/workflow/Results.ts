/**
 * What a driving call gives back, and the errors that a caller's own input can cause.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { CheckpointRejected } from "../Checkpoint.ts"
import type { Wait } from "../Entry.ts"
import type * as Interpreter from "../Interpreter.ts"
import type * as Replay from "../Replay.ts"
import type * as RunId from "../RunId.ts"
import type * as Runs from "../Runs.ts"
import * as Status from "../Status.ts"

interface Of {
  readonly runId: string
}

/** What a call that drives a run came to. A suspension is no failure. */
export type Result<A, E, Context = unknown> =
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
  /** A hook stopped it behind `stepId`; it is open. `context` is what the steps had given by then, by name. */
  | { readonly status: "stopped"; readonly stepId: string; readonly context: Context } & Of
  /** Open, but it must not go on by itself. */
  | { readonly status: "blocked"; readonly reason: string } & Of
  /** Another live process drives it; what was posted will reach it. */
  | { readonly status: "running" } & Of

/** The latest value of a channel, and the step and attempt that published it, if it was one. */
export interface Published<V> {
  readonly value: V
  readonly stepId?: string
  readonly attempt?: number
}

/** How far a run is, as this process sees it. */
export interface Progress<Ch extends Readonly<Record<string, Schema.Top>>> {
  /** How many steps have an outcome, and how many this process runs now. */
  readonly steps: { readonly done: number; readonly running: number; readonly failed: number }
  /** The latest value of each channel, while this process drives the run. */
  readonly progress: { readonly [K in keyof Ch]?: Published<Ch[K]["Type"]> }
}

/** What a look at a run shows; `pending` is open, with nobody driving it. */
export type Look<A, E, Ch extends Readonly<Record<string, Schema.Top>> = {}> =
  & (
    | Exclude<Result<A, E>, { readonly status: "stopped" }>
    | { readonly status: "stopped"; readonly stepId: string } & Of
    | { readonly status: "pending" } & Of
  )
  & Progress<Ch>

/** The input does not fit the workflow's schema. Nothing was recorded. */
export class InputRejected
  extends Schema.TaggedError<InputRejected>("reprise/InputRejected")("InputRejected", {
    runId: Schema.String,
    workflow: Schema.String,
    why: Schema.String
  })
{
  override get message(): string {
    return `The input for run "${this.runId}" does not fit workflow "${this.workflow}": ${this.why}. `
      + `Check the input against the schema and start again. Nothing was recorded.`
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
export type EngineError = Exclude<Interpreter.DriveError, CheckpointRejected> | InputRejected
export type LookError =
  | Runs.ReadError
  | Runs.RunNotFound
  | Runs.RunExists
  | RunId.RunIdRejected
  | Replay.ReplayMismatch
export type SendError = Runs.PostError | Runs.EventRejected

/** A result's value or its error; `NoOutput` when the run is not over or was cancelled. */
export const output = <A, E>(
  result:
    | Result<A, E>
    | { readonly status: "pending" | "stopped"; readonly runId: string }
): Effect.Effect<A, E | NoOutput> => {
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
