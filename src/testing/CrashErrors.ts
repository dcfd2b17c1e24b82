/**
 * How a run that was killed can fail to come to the end of one that was left alone.
 */
import * as Schema from "effect/Schema"

/** Where the process dies: before an append, after it and before its answer, or in the middle of it. */
export type CrashMode = "before" | "after" | "torn"

const at = {
  /** The append, counted from 1 over all runs that were driven. */
  append: Schema.Int,
  mode: Schema.Literals(["before", "after", "torn"])
}

const place = (mode: CrashMode, append: number) =>
  `${mode === "torn" ? "in the middle of" : mode} append ${append}`

/** A run that was killed came to another end than the one that was left alone. */
export class CrashDiffers
  extends Schema.TaggedError<CrashDiffers>("reprise/CrashDiffers")("CrashDiffers", {
    ...at,
    /** The entries of the append. */
    wrote: Schema.String,
    expected: Schema.String,
    actual: Schema.String
  })
{
  override get message(): string {
    return `A process that dies ${
      place(this.mode, this.append)
    } (${this.wrote}) changes the outcome. `
      + `Left alone the run came to: ${this.expected}. Recovered it came to: ${this.actual}. `
      + `Something is not the same each time: a value that no step journals, or a step whose result `
      + `depends on how often it ran.`
  }
}

/** A step ran once more after its outcome had been acknowledged. */
export class StepRepeated
  extends Schema.TaggedError<StepRepeated>("reprise/StepRepeated")("StepRepeated", {
    ...at,
    runId: Schema.String,
    stepId: Schema.String
  })
{
  override get message(): string {
    return `Step "${this.stepId}" of run "${this.runId}" ran again after a process died `
      + `${place(this.mode, this.append)}, although its outcome was durable. The storage lost it.`
  }
}
