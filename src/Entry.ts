/**
 * What stands in a journal: the closed vocabulary of entries and the envelope every line carries.
 *
 * Owns names and shapes, nothing else: how a line is sealed and accepted is `Journal`, what an entry
 * means to a body is `Replay`. The vocabulary is complete from format 1 on, so that a later version
 * of the library writes entries an earlier one can at least name. Readers ignore fields they do not
 * know; a new field is therefore no new format.
 */
import * as Schema from "effect/Schema"

/** The format this version writes, in the first entry of a journal. It reads this and every older one. */
export const format = 1

const optional = Schema.optionalKey
const Text = optional(Schema.String)
const Value = optional(Schema.Json)

/** The state of a pipeline between two of its outermost steps. */
export const Base = Schema.Struct({
  /** The names of the outermost steps up to there. */
  steps: Schema.Array(Schema.String),
  /** The ids of all steps that were done or left out, where they are others. */
  ids: optional(Schema.Array(Schema.String)),
  /** How often a name was used that is used again later, as ids count it. */
  counts: optional(Schema.Record(Schema.String, Schema.Int)),
  /** Keys that were overridden inside a container: no merge policy takes that back. */
  overridden: optional(Schema.Array(Schema.String)),
  context: Schema.Record(Schema.String, Schema.Json)
})
export type Base = typeof Base.Type

/** Opens a session. The first one of a journal also says what runs and with which input (`metadata`). */
export const Start = Schema.Struct({
  type: Schema.tag("start"),
  format: optional(Schema.Int),
  workflow: Text,
  runId: Text,
  version: Text,
  /** The input, encoded. */
  metadata: Value,
  /** Feeds `ctx.random` and `ctx.uuid`; a fork and a checkpoint copy it. */
  seed: Text,
  /** When outcomes reach the disk, where that is not `sync`. */
  durability: optional(Schema.Literals(["async", "exit"])),
  /** Recorded by `enqueue`: nobody has driven the run in this session. */
  enqueued: optional(Schema.Literal(true)),
  /**
   * Where a fork was cut, or a checkpoint taken: `offset` is of the first entry of that run that is not here,
   * `copied` how many entries behind this one are copies, `at` when they were copied, as ISO 8601.
   */
  source: optional(Schema.Struct({
    runId: Schema.String,
    offset: Schema.Int,
    copied: Schema.Int,
    at: Schema.String,
    /** Tells apart what was begun with other overrides. */
    override: Text
  })),
  /** Where a pipeline begins that goes on from a checkpoint: what was done, and the context behind it. */
  base: optional(Base),
  /** The step of another run that started this one as its child. */
  parent: optional(Schema.Struct({ runId: Schema.String, stepId: Schema.String })),
  /** The run whose `continueAs` this one goes on from. */
  continues: Text,
  /** The last events that the runs before it took: a repeat of one is no news. */
  taken: optional(Schema.Array(Schema.String)),
  /** Ids of what a person decided of the run as a whole: its deaths are counted anew. */
  settled: optional(Schema.Array(Schema.String))
})

/** `result` or `error`; neither is a success without a value. */
const outcome = {
  result: Value,
  error: Value,
  /** True when `error` was encoded by a schema of the user's and not by the engine. */
  declared: optional(Schema.Literal(true))
}

/** A step's outcome, recorded once. */
export const Step = Schema.Struct({
  type: Schema.tag("step"),
  stepId: Schema.String,
  name: Schema.String,
  ...outcome,
  /** How often the work ran in the session that finished it, when more than once. */
  attempts: optional(Schema.Int),
  /** Milliseconds from the first attempt of that session to the outcome. */
  duration: optional(Schema.Number),
  /** Set when a person settled it: the id of what they posted. */
  eventId: Text
})

/** One thing a suspended run waits for. Times are UTC milliseconds. */
export const Wait = Schema.Struct({
  stepId: Schema.String,
  kind: Schema.Literals(["event", "timer", "retry", "child"]),
  event: Text,
  key: Text,
  reason: Text,
  /** The child run that is waited for. */
  childId: Text,
  since: Schema.Number,
  wakeAt: optional(Schema.Number)
})

/** Everything that is pending only waits: no process is needed until one of `waits` is met. */
export const Suspend = Schema.Struct({
  type: Schema.tag("suspend"),
  /** The first awaited event, for people who read the journal. */
  waitingFor: Text,
  reason: Text,
  /** The earliest `wakeAt` of `waits`. */
  wakeAt: optional(Schema.Number),
  waits: Schema.Array(Wait)
})

const event = { eventName: Schema.String, key: Text, value: Value, eventId: Schema.String }

/** An event that the wait `stepId` takes. Without `value` it takes a kept one of the same `eventId`. */
export const Resume = Schema.Struct({ type: Schema.tag("resume"), stepId: Schema.String, ...event })

/** An event that nothing waits for yet: kept until a wait takes it. */
export const Event = Schema.Struct({ type: Schema.tag("event"), ...event })

/** A timer that went off: a sleep, or with `event` the timeout of a wait. */
export const Timer = Schema.Struct({
  type: Schema.tag("timer"),
  stepId: Schema.String,
  event: Text
})

/** A failed attempt that will be repeated at `wakeAt`. */
export const Retry = Schema.Struct({
  type: Schema.tag("retry"),
  stepId: Schema.String,
  name: Schema.String,
  attempt: Schema.Int,
  error: Schema.Json,
  /** True when `error` was encoded by a schema of the user's and not by the engine. */
  declared: optional(Schema.Literal(true)),
  wakeAt: Schema.Number,
  /** Set when a person settled it: the id of what they posted. */
  eventId: Text
})

/** Written before an at-most-once attempt: without an outcome behind it nobody knows what happened. */
export const Intent = Schema.Struct({
  type: Schema.tag("intent"),
  stepId: Schema.String,
  name: Schema.String,
  attempt: Schema.Int
})

/** The outcome of a child run. */
export const Child = Schema.Struct({
  type: Schema.tag("child"),
  stepId: Schema.String,
  childId: Schema.String,
  ...outcome,
  cancelled: optional(Schema.Literal(true))
})

/** The run takes the new path of `ctx.patched(changeId)`. */
export const Patch = Schema.Struct({ type: Schema.tag("patch"), changeId: Schema.String })

/** `stepId` was undone; with `error` that failed for good. */
export const Undo = Schema.Struct({
  type: Schema.tag("undo"),
  stepId: Schema.String,
  error: Value,
  /** It begins to be undone, although a crash left open whether it was done. */
  unknown: optional(Schema.Literal(true))
})

/** A request to cancel, taken from the inbox. The second one ends the run at once. */
export const Cancel = Schema.Struct({
  type: Schema.tag("cancel"),
  eventId: Schema.String,
  reason: Text
})

/** A hook stopped the run after `stepId`; the run stays open. */
export const Stop = Schema.Struct({ type: Schema.tag("stop"), stepId: Schema.String })

/** The end: the run goes on as `runId` with a fresh journal. */
export const Continue = Schema.Struct({
  type: Schema.tag("continue"),
  runId: Schema.String,
  metadata: Value
})

/** The end: the body returned. */
export const Complete = Schema.Struct({ type: Schema.tag("complete"), result: Value })

/** The end: the body failed with an error it may fail with. */
export const Failed = Schema.Struct({
  type: Schema.tag("error"),
  error: Value,
  declared: optional(Schema.Literal(true))
})

/** The end: cancelled, and the clean-up is over. */
export const Cancelled = Schema.Struct({ type: Schema.tag("cancelled"), reason: Text })

/** Every entry, as data without its envelope. */
export const Entry = Schema.Union([
  Start,
  Step,
  Suspend,
  Resume,
  Event,
  Timer,
  Retry,
  Intent,
  Child,
  Patch,
  Undo,
  Cancel,
  Stop,
  Continue,
  Complete,
  Failed,
  Cancelled
])
export type Entry = typeof Entry.Type
export type Start = typeof Start.Type
export type Step = typeof Step.Type
export type Wait = typeof Wait.Type
export type Suspend = typeof Suspend.Type
export type Resume = typeof Resume.Type
export type Event = typeof Event.Type
export type Timer = typeof Timer.Type
export type Retry = typeof Retry.Type
export type Intent = typeof Intent.Type
export type Child = typeof Child.Type
export type Patch = typeof Patch.Type
export type Undo = typeof Undo.Type
export type Cancel = typeof Cancel.Type
export type Stop = typeof Stop.Type
export type Continue = typeof Continue.Type
export type Complete = typeof Complete.Type
export type Failed = typeof Failed.Type
export type Cancelled = typeof Cancelled.Type

/** A value that is kept elsewhere, or encoded; other fields are its codec's. */
export const Sealed = Schema.StructWithRest(
  Schema.Struct({
    /** What a codec made of the value's JSON. */
    text: Text,
    /** Where the text is: the SHA-256 of a blob, in hexadecimal. */
    blob: Text,
    length: optional(Schema.Int)
  }),
  [Schema.Record(Schema.String, Schema.Json)]
)
export type Sealed = typeof Sealed.Type

/** What every line carries behind its entry, in this order. */
export const Envelope = Schema.Struct({
  /** The session whose owner wrote the line. */
  session: Schema.Int,
  /** The line's place among the accepted ones, from 0. */
  offset: Schema.Int,
  /** ISO 8601, UTC, by the writer's clock. */
  timestamp: Schema.String,
  /** Tells a run from an earlier one of the same id that was removed. */
  incarnation: Schema.String,
  /** Tells two owners of the same session number apart. */
  writer: Schema.String,
  /** `sum` of the accepted line before this one; `-` for the first. */
  prev: Schema.String,
  /** CRC-32 of the line's bytes before `,"sum"`, in hexadecimal. */
  sum: Schema.String
})
export type Envelope = typeof Envelope.Type

/** An entry as it was read back; `sealed` has the values, by field, that are not in it. */
export type Recorded = Entry & Envelope & { readonly sealed?: Readonly<Record<string, Sealed>> }

const types: ReadonlySet<string> = new Set(
  Entry.members.map((member) => member.fields.type.schema.literal)
)

/** Whether this version knows the entry type. */
export const isType = (type: unknown): type is Entry["type"] =>
  typeof type === "string" && types.has(type)

/** The `suspend` entry for these waits. */
export const suspension = (waits: ReadonlyArray<Wait>): Suspend => {
  const first = waits.find((wait) => wait.kind === "event")
  const times = waits.flatMap(({ wakeAt }) => wakeAt ?? [])
  return {
    type: "suspend",
    ...(first?.event === undefined ? undefined : { waitingFor: first.event }),
    ...(first?.reason === undefined ? undefined : { reason: first.reason }),
    ...(times.length === 0 ? undefined : { wakeAt: Math.min(...times) }),
    waits
  }
}

/** Whether `entry` ends a run: nothing is accepted behind it. */
export const isEnd = (entry: Entry): boolean =>
  entry.type === "complete" || entry.type === "error" || entry.type === "cancelled"
  || entry.type === "continue"
