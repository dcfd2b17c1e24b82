/**
 * Why a run refuses what a caller asks of it: the errors that a caller's own input can cause, and the
 * states a run can be in.
 */
import * as Schema from "effect/Schema"

/**
 * - `pending`: open, and nobody drives it: enqueued, or its process died
 * - `running`: open, and a live process drives it
 * - `suspended`: only waits
 * - `blocked`: open, but it must not go on by itself; `reason` says why
 * - `stopped`: a hook stopped it; it can go on
 * - `success`, `failed`, `cancelled`, `continued`: ended
 */
export const State = Schema.Literals([
  "pending",
  "running",
  "suspended",
  "blocked",
  "stopped",
  "success",
  "failed",
  "cancelled",
  "continued"
])
export type State = typeof State.Type

/** No run of this id is in the storage. */
export class RunNotFound
  extends Schema.TaggedError<RunNotFound>("reprise/RunNotFound")("RunNotFound", {
    runId: Schema.String
  })
{
  override get message(): string {
    return `There is no run "${this.runId}" in this storage. Check the id and the storage (for files: the directory), `
      + `or start the run first.`
  }
}

/** The run has ended: it takes no events and no cancel any more. */
export class RunClosed extends Schema.TaggedError<RunClosed>("reprise/RunClosed")("RunClosed", {
  runId: Schema.String,
  status: State
}) {
  override get message(): string {
    return `Run "${this.runId}" has ended (${this.status}), so nothing was delivered. Start a new run to do it again.`
  }
}

/** The run was started with something else under the same id. */
export class RunExists extends Schema.TaggedError<RunExists>("reprise/RunExists")("RunExists", {
  runId: Schema.String,
  /** What differs. */
  differs: Schema.Literals(["workflow", "input", "source"]),
  seen: Schema.String,
  recorded: Schema.String
}) {
  override get message(): string {
    return `Run "${this.runId}" exists with another ${this.differs}: recorded ${this.recorded}, now ${this.seen}. `
      + `Use another run id for other work, or resume("${this.runId}") to go on with the recorded one.`
  }
}

/** The event is not one that the workflow declares, or its payload does not fit. Nothing was posted. */
export class EventRejected
  extends Schema.TaggedError<EventRejected>("reprise/EventRejected")("EventRejected", {
    runId: Schema.String,
    eventName: Schema.String,
    why: Schema.String,
    /** The names that are allowed. */
    allowed: Schema.Array(Schema.String)
  })
{
  override get message(): string {
    const advice = this.allowed.length === 0
      ? "The workflow declares no events: declare this one in its events, with a schema, to send it."
      : `Send one of these, with the payload its schema declares: ${
        this.allowed.map((name) => `"${name}"`).join(", ")
      }.`
    return `Event "${this.eventName}" was not delivered to run "${this.runId}": ${this.why}. ${advice}`
  }
}
