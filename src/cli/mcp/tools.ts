/** What an agent may ask and do: the tools' names, parameters and answers. No tool knows the code of a workflow. */
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Status from "../../Status.ts"

/** Why it could not be done, and what to do instead. */
export class Refused extends Schema.TaggedError<Refused>("reprise/Refused")("Refused", {
  message: Schema.String
}) {}

const described = <S extends Schema.Top>(schema: S, description: string) =>
  schema.annotate({ description })

const runId = described(Schema.String, "The run's id")
const optional = <S extends Schema.Top>(schema: S, description: string) =>
  Schema.optionalKey(described(schema, description))
const from = (what: string) =>
  described(
    Schema.Natural.pipe(Schema.withDecodingDefault(Effect.succeed(0))),
    `The first ${what} to give, counted from 0; default 0`
  )
const count = (what: string) =>
  described(
    Schema.Int.pipe(
      Schema.check(Schema.isBetween({ minimum: 1, maximum: 200 })),
      Schema.withDecodingDefault(Effect.succeed(50))
    ),
    `How many ${what} to give at most, up to 200; default 50`
  )

const reads = <T extends Tool.Any>(tool: T): T =>
  tool.annotate(Tool.Readonly, true).annotate(Tool.Destructive, false)
    .annotate(Tool.Idempotent, true).annotate(Tool.OpenWorld, false) as T

const asked = { failure: Refused } as const

const listRuns = reads(Tool.make("list_runs", {
  description: "Lists durable workflow runs: state, what they wait for, how many steps are done. "
    + "Begin here when you do not know a run's id.",
  parameters: Schema.Struct({
    status: optional(Status.State, "Only runs in this state"),
    workflow: optional(Schema.String, "Only runs of this workflow"),
    after: optional(Schema.String, "The cursor of the page before"),
    limit: count("runs")
  }),
  success: Schema.Struct({
    runs: Schema.Array(Schema.Json),
    unreadable: Schema.Array(Schema.Struct({ runId: Schema.String, message: Schema.String })),
    cursor: Schema.optionalKey(Schema.String)
  }),
  ...asked
}))

const showRun = reads(Tool.make("show_run", {
  description:
    "Shows a run: where it stands and why, its steps with results and errors, what reached it from "
    + "outside, and how it can go on. Long values are cut: read_journal has them whole.",
  parameters: Schema.Struct({ runId, from: from("step"), count: count("steps") }),
  success: Schema.Struct({
    run: Schema.Json,
    /** Steps, waits and timers in the order in which they began. */
    items: Schema.Array(Schema.Json),
    total: Schema.Int,
    /** The items that failed, wait, or nobody knows the outcome of, wherever they stand. */
    open: Schema.Array(Schema.Json),
    events: Schema.Array(Schema.Json),
    next: Schema.Array(Schema.String)
  }),
  ...asked
}))

const readJournal = reads(Tool.make("read_journal", {
  description: "The run's journal as it is stored, entry by entry, with whole values.",
  parameters: Schema.Struct({ runId, from: from("entry"), count: count("entries") }),
  success: Schema.Struct({
    entries: Schema.Array(Schema.Json),
    total: Schema.Int,
    /** Lines that do not count: of writers that had lost the run, or cut short. */
    rejected: Schema.Int,
    torn: Schema.Int
  }),
  ...asked
}))

const forkPoints = reads(Tool.make("fork_points", {
  description:
    "The steps that a new run can be begun from, so that what was done before them is kept and they run "
    + "again: ids, offsets and outcomes. Failed ones come first.",
  parameters: Schema.Struct({ runId, from: from("point"), count: count("points") }),
  success: Schema.Struct({
    points: Schema.Array(Schema.Struct({
      fromStep: Schema.String,
      /** How many entries a run forked from here keeps. */
      fromOffset: Schema.Int,
      state: Schema.String,
      error: Schema.optionalKey(Schema.Json)
    })),
    total: Schema.Int
  }),
  ...asked
}))

export const reading = Toolkit.make(listRuns, showRun, readJournal, forkPoints)

const writes = <T extends Tool.Any>(tool: T, isDestructive = false): T =>
  tool.annotate(Tool.Readonly, false).annotate(Tool.Destructive, isDestructive)
    .annotate(Tool.OpenWorld, false) as T

const written = Schema.Struct({ runId: Schema.String, next: Schema.String })

const sendEvent = writes(Tool.make("send_event", {
  description:
    "Posts an event that a run waits for, or will. A worker, or a resume, goes on with the run.",
  parameters: Schema.Struct({
    runId,
    eventName: described(Schema.String, "The event's name, as show_run has it under waits"),
    value: optional(Schema.Json, "Its payload, as the workflow declares it"),
    key: optional(Schema.String, "The key of the wait, if it has one"),
    eventId: optional(Schema.String, "Sent twice with one id it is one event")
  }),
  success: written,
  ...asked
}))

const cancelRun = writes(
  Tool.make("cancel_run", {
    description: "Asks a run to end: its clean-up runs first. It cannot be taken back.",
    parameters: Schema.Struct({ runId, reason: optional(Schema.String, "Why, for its journal") }),
    success: written,
    ...asked
  }),
  true
)

const forkRun = writes(Tool.make("fork_run", {
  description:
    "Begins a new run with what another one did before a step, which runs again; optionally with other "
    + "results for steps that are kept. The other run stays as it is.",
  parameters: Schema.Struct({
    runId,
    fromStep: optional(Schema.String, "A step's id of fork_points"),
    fromOffset: optional(Schema.Int, "Instead of a step: how many entries are kept"),
    override: optional(
      Schema.Record(Schema.String, Schema.Json),
      "Other results for steps that are kept, by their ids"
    ),
    newRunId: optional(Schema.String, "The id of the new run; default a new one")
  }),
  success: written,
  ...asked
}))

const retryRun = writes(Tool.make("retry_run", {
  description:
    "Begins a new run with what a failed one did before the step that failed, which runs again.",
  parameters: Schema.Struct({
    runId,
    newRunId: optional(Schema.String, "The id of the new run; default a new one")
  }),
  success: written,
  ...asked
}))

export const writing = Toolkit.make(sendEvent, cancelRun, forkRun, retryRun)
