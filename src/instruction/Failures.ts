/**
 * What a step can leave behind in a body besides a value: the engine's own two errors, a cancel, and the
 * difference between failures that are declared and failures that are not.
 */
import * as Schema from "effect/Schema"

/**
 * A step failed with an error that no schema declares, with a defect, or with something that was
 * thrown. Only what fits a journal is left of it.
 */
export class StepFailed extends Schema.TaggedError<StepFailed>("reprise/StepFailed")("StepFailed", {
  /** The step's id. */
  step: Schema.String,
  /** `_tag` or `name` of what the step failed with. */
  tag: Schema.String,
  /** Its message, cut at 2,000 characters. */
  message: Schema.String,
  attempts: Schema.Int,
  /** True when the step died; what was thrown, rejected or failed with is a failure. */
  defect: Schema.Boolean
}) {}

/** The last allowed attempt of a step was interrupted because it took longer than its `timeout`. */
export class StepTimeout
  extends Schema.TaggedError<StepTimeout>("reprise/StepTimeout")("StepTimeout", {
    step: Schema.String,
    /** The timeout in milliseconds. */
    timeout: Schema.Number,
    attempts: Schema.Int
  })
{
  override get message(): string {
    return `Step "${this.step}" took longer than ${this.timeout} ms, ${this.attempts} time(s). `
      + `Raise its timeout, or handle StepTimeout with Instruction.catchTag.`
  }
}

/** What every step can fail with, whatever its type says. */
export type StepError = StepFailed | StepTimeout

/** An undo that failed for good. */
const NotUndone = Schema.Struct({
  step: Schema.String,
  tag: Schema.String,
  message: Schema.String
})

/**
 * The run failed, and not all that it had done could be undone: what is listed here needs a person. Each
 * was tried as often as its retry allows; the others were undone.
 */
export class CompensationFailed
  extends Schema.TaggedError<CompensationFailed>("reprise/CompensationFailed")(
    "CompensationFailed",
    {
      notUndone: Schema.Array(NotUndone),
      /** What the run failed with. */
      because: Schema.Struct({ tag: Schema.String, message: Schema.String })
    }
  )
{
  override get message(): string {
    const steps = this.notUndone.map(({ message, step }) => `"${step}" (${message})`).join(", ")
    return `The run failed (${this.because.tag}: ${this.because.message}) and could not undo ${steps}. `
      + `Undo that by hand; whatever else was done has been undone.`
  }
}

/** What every run can fail with, whatever its type says. */
export type RunError = StepError | CompensationFailed

/** Thrown into a body at its pending instructions when the run, or a race it lost, is cancelled. */
export class Cancelled extends Error {
  override readonly name = "Cancelled"
  constructor(reason?: string) {
    super(reason ?? "cancelled")
  }
}

/** Marks a step's failure that no schema of its own declares. */
export interface Undeclared<out E> {
  readonly "a failure that the step's own { error } does not declare": E
}

/** What a handler of a failure sees. */
export type Heard<E> = StepError | (E extends Undeclared<infer _> ? never : E)

/** Errors that reached the body as a schema of the workflow declares them, and what they were before. */
const heard = new WeakMap<object, StepFailed>()

/** Remembers that no schema of the step itself declares `error`, so that handlers see `StepFailed`. */
export const hearAs = (error: unknown, failed: StepFailed): void => {
  if (typeof error === "object" && error !== null) heard.set(error, failed)
}

/** What a handler sees of `error`. */
export const toHeard = (error: unknown): unknown =>
  typeof error === "object" && error !== null ? heard.get(error) ?? error : error
