/**
 * The failure of a step whose circuit breaker is open.
 */
import * as Schema from "effect/Schema"

/** What the step calls failed too often: it was not called. */
export class StepCircuitOpen
  extends Schema.TaggedError<StepCircuitOpen>("reprise/StepCircuitOpen")("StepCircuitOpen", {
    step: Schema.String,
    /** Milliseconds until an attempt is let through; undefined while one is under way. */
    retryAfter: Schema.optionalKey(Schema.Number)
  })
{
  override get message(): string {
    return `the circuit breaker of step "${this.step}" is open, so nothing was called: ${
      this.retryAfter === undefined
        ? "one attempt is under way that decides whether it closes"
        : `an attempt is let through in ${this.retryAfter} ms`
    }`
  }
}
