/**
 * What a caller hears of steps while a run is driven: the events, what a hook may be, and the error of one
 * that throws. When hooks are called is the session's business.
 *
 * Invariant: a hook is called after the outcome it hears of is journaled, and never changes it.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import { describe } from "./internal/describe.ts"
import { toEffect } from "./internal/promise.ts"
import type { Naming } from "./Naming.ts"

/**
 * A hook threw, failed or rejected. The call fails with this; the step's outcome is journaled and stays,
 * and the run stays open.
 */
export class HookFailed extends Schema.TaggedError<HookFailed>("reprise/HookFailed")("HookFailed", {
  runId: Schema.String,
  stepId: Schema.String,
  hook: Schema.Literals(["onStepComplete", "onStepError", "onStepSkipped"]),
  saw: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return `${this.hook} failed for step "${this.stepId}" of run "${this.runId}": ${this.saw}. The outcome of the step is `
      + `journaled and stays. Mend the hook and resume the run: it is called again for this step, which does not run again.`
  }
}

/** What is known of a step when a hook hears of it. What is costly is made when it is asked for. */
export interface Heard {
  /** `skipped`: done before this call, or left out by a pipeline. */
  readonly is: "completed" | "failed" | "skipped"
  readonly runId: string
  readonly stepId: string
  readonly stepName: string
  /** Milliseconds from the first attempt of its session to the outcome. */
  readonly duration: number
  /** UTC milliseconds of the outcome. */
  readonly at: number
  /** As it stands in the journal. */
  readonly result: Schema.Json | undefined
  /** As a body hears it. */
  readonly error: () => unknown
  /** Of the error, as it stands in the journal. */
  readonly tag: string | undefined
  /** A deep copy. */
  readonly context: () => unknown
  readonly checkpoint: () => string
  /** UTC milliseconds at which the container began that ends here. */
  readonly began: number | undefined
  readonly stop: () => void
}

/** Hears of every step; undefined when there is nothing to wait for. */
export type Hook = (heard: Heard) => Effect.Effect<void, HookFailed> | undefined

interface Of {
  readonly runId: string
  /** Names the step within its run: `classify`, `classify#2`, `fan[us]/charge`. */
  readonly stepId: string
}

/** A step's outcome is journaled, and nothing that follows from it has been started. */
export interface StepCompleted<out Name = string, out Context = unknown> extends Of {
  readonly stepName: Name
  /** Milliseconds from the first attempt of its session to the outcome. */
  readonly duration: number
  /**
   * What the steps have given so far, by name, of several of one name the latest; of a pipeline the merged
   * context. A deep copy, made when it is read.
   */
  readonly context: Context
  /**
   * A text from which the run can be started anew behind this step, by `runCheckpoint`, in any process and on
   * any storage. Made when it is read.
   */
  readonly checkpoint: string
  /** Lets nothing more start: the call ends with the run `stopped` here, and open. */
  readonly stop: () => void
  /** The same as `stop`. */
  readonly stopPipeline: () => void
}

/** A step failed for good, and that is journaled. */
export interface StepErred<out Name = string> extends Of {
  readonly stepName: Name
  /** Milliseconds. */
  readonly duration: number
  /** As the body hears it. */
  readonly error: unknown
}

/** A step does not run: an earlier session or the source of a checkpoint did it, or a pipeline leaves it out. */
export interface StepSkipped<out Name = string> extends Of {
  readonly stepName: Name
  /**
   * `replayed`: its outcome stands in the journal; of a pipeline, `condition`: its condition said no, `circuit`:
   * its circuit breaker is open.
   */
  readonly reason: "replayed" | "condition" | "circuit"
}

/** A function compared as a method is: a workflow may stand for one of whose steps less is known. */
type Method<Event, H> = { hook(event: Event): H }["hook"]

/**
 * Hooks of a call, or of a definition. Each may return an Effect, a Promise or nothing, and is awaited.
 *
 * A hook is called once its step's outcome is journaled, before anything that follows. After a crash
 * between the two it is called again for that step, so what it does should bear being done twice. One that
 * throws, fails or rejects fails the call with `HookFailed`.
 */
export interface StepHooks<Name, Context, H1 = unknown, H2 = unknown, H3 = unknown> {
  readonly onStepComplete?: Method<StepCompleted<Name, Context>, H1> | undefined
  readonly onStepError?: Method<StepErred<Name>, H2> | undefined
  readonly onStepSkipped?: Method<StepSkipped<Name>, H3> | undefined
}

/** What the Effects that hooks return need. */
export type HookServices<H> = 0 extends 1 & H ? never
  : H extends Effect.Effect<infer _A, infer _E, infer R> ? R
  : never

const GeneratorFunction = (function*() {}).constructor as new() => object

/** Calls a hook of the user's and waits for what it returns. */
export const call = <Event>(
  { runId, stepId }: Of,
  name: HookFailed["hook"],
  hook: (event: Event) => unknown,
  event: Event
): Effect.Effect<void, HookFailed> | undefined => {
  const failed = (error: unknown) => {
    const { message, tag } = describe(error)
    return new HookFailed({ runId, stepId, hook: name, saw: `${tag}: ${message}`, cause: error })
  }
  let effect: Effect.Effect<unknown, unknown> | undefined
  try {
    if (hook instanceof GeneratorFunction) {
      throw new TypeError("it is a generator function: wrap it in Effect.fn")
    }
    effect = toEffect(hook(event))
  } catch (error) {
    return Effect.fail(failed(error))
  }
  if (effect === undefined) return undefined
  // An interruption from outside passes; one from inside is a failure like any other.
  return Effect.flatMap(
    Effect.exit(effect),
    (exit) => Exit.isSuccess(exit) ? Effect.void : Effect.fail(failed(Cause.squash(exit.cause)))
  )
}

/** The event of a completed step. */
class Completed implements StepCompleted {
  readonly runId: string
  readonly stepId: string
  readonly stepName: string
  readonly duration: number
  readonly #heard: Heard
  #copied: { readonly context: unknown } | undefined
  #made: string | undefined

  constructor(heard: Heard, stepName: string, duration: number) {
    this.runId = heard.runId
    this.stepId = heard.stepId
    this.stepName = stepName
    this.duration = duration
    this.#heard = heard
  }

  get context(): unknown {
    return (this.#copied ??= { context: this.#heard.context() }).context
  }

  get checkpoint(): string {
    return this.#made ??= this.#heard.checkpoint()
  }

  readonly stop = (): void => this.#heard.stop()
  readonly stopPipeline = (): void => this.#heard.stop()

  /** What an event says besides what is made when it is asked for. */
  toJSON(): unknown {
    const { duration, runId, stepId, stepName } = this
    return { runId, stepId, stepName, duration }
  }
}

/** What the engine calls for the hooks of a workflow whose steps are named by `naming`; undefined without any. */
export const ofHooks = (
  hooks: StepHooks<any, any>,
  naming: Naming
): Hook | undefined => {
  const { onStepComplete, onStepError, onStepSkipped } = hooks
  if (onStepComplete === undefined && onStepError === undefined && onStepSkipped === undefined) {
    return undefined
  }
  const skipped = (heard: Heard, stepName: string, reason: StepSkipped["reason"]) => {
    const { runId, stepId } = heard
    return onStepSkipped === undefined
      ? undefined
      : call(heard, "onStepSkipped", onStepSkipped, { runId, stepId, stepName, reason })
  }
  return (heard) => {
    const { is, runId, stepId } = heard
    const { kind, label: stepName, skipsOpen } = naming(stepId, heard.stepName)
    if (kind === "own" || (kind === "decision" && is !== "failed")) return undefined
    if (kind === "condition" && is !== "failed") {
      return heard.result === false ? skipped(heard, stepName, "condition") : undefined
    }
    if (is === "skipped") return skipped(heard, stepName, "replayed")
    const duration = kind === "end" ? heard.at - (heard.began ?? heard.at) : heard.duration
    if (is === "completed") {
      return onStepComplete === undefined
        ? undefined
        : call(heard, "onStepComplete", onStepComplete, new Completed(heard, stepName, duration))
    }
    if (skipsOpen === true && heard.tag === "StepCircuitOpen") {
      return skipped(heard, stepName, "circuit")
    }
    return onStepError === undefined
      ? undefined
      : call(heard, "onStepError", onStepError, {
        runId,
        stepId,
        stepName,
        duration,
        error: heard.error()
      })
  }
}
