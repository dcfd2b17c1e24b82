/**
 * A run's state as its journal alone tells it: one pure fold over entries, used by every listing.
 *
 * A journal cannot tell whether a process drives the run right now, so an open run that does not wait
 * is `pending` here; `Runs` makes it `running` when its lease is held.
 */
import * as Schema from "effect/Schema"
import { type Entry, Wait } from "./Entry.ts"
import { Published } from "./Live.ts"
import { State } from "./Refusals.ts"

export { State }

/** What is known of a run without running its code. Values are as they stand in the journal. */
export const Status = Schema.Struct({
  runId: Schema.String,
  workflow: Schema.String,
  version: Schema.optionalKey(Schema.String),
  status: State,
  /** What a suspended run waits for. */
  waits: Schema.Array(Wait),
  /** UTC milliseconds of the next timer. */
  wakeAt: Schema.optionalKey(Schema.Number),
  reason: Schema.optionalKey(Schema.String),
  result: Schema.optionalKey(Schema.Json),
  error: Schema.optionalKey(Schema.Json),
  /** True when a schema of the user's encoded `error`. */
  declared: Schema.optionalKey(Schema.Literal(true)),
  /** ISO 8601 timestamps of the first and the last entry. */
  createdAt: Schema.String,
  updatedAt: Schema.String,
  /** How many sessions were opened. */
  session: Schema.Int,
  /** How many entries the journal has. */
  entries: Schema.Int,
  /** `running` counts those that this process runs now. */
  steps: Schema.Struct({ done: Schema.Int, running: Schema.Int, failed: Schema.Int }),
  /** The latest of what the run published, by channel, while this process drives it. */
  progress: Schema.Record(Schema.String, Published),
  /** Steps whose at-most-once attempt has an intent and no outcome. */
  intents: Schema.Array(Schema.String),
  /** How many sessions in a row journaled nothing but their start. */
  fruitless: Schema.Int,
  /** The step that a hook stopped the run at. */
  stoppedAt: Schema.optionalKey(Schema.String),
  /** The run and the offset that this one was cut from. */
  source: Schema.optionalKey(Schema.Struct({ runId: Schema.String, offset: Schema.Int })),
  /** The run that started this one as its child. */
  parent: Schema.optionalKey(Schema.Struct({ runId: Schema.String, stepId: Schema.String })),
  /** The run that goes on where this one's journal ends. */
  continuedAs: Schema.optionalKey(Schema.String)
})
export type Status = typeof Status.Type

/** Whether the run has ended. */
export const isEnded = (status: Status): boolean =>
  status.status === "success" || status.status === "failed" || status.status === "cancelled"
  || status.status === "continued"

/** So many sessions in a row that journal nothing are a loop: something in the run kills its process. */
export const crashLimit = 10

/** A status that is still taking entries. */
export type Draft = { -readonly [K in keyof Omit<Status, "steps">]: Status[K] } & {
  readonly steps: { done: number; running: number; failed: number }
}

/** Before the first entry. */
export const empty = (runId: string): Draft => ({
  runId,
  workflow: "",
  status: "pending",
  waits: [],
  createdAt: "",
  updatedAt: "",
  session: 0,
  entries: 0,
  steps: { done: 0, running: 0, failed: 0 },
  progress: {},
  intents: [],
  fruitless: 0
})

/** Takes one more entry into `status`. */
export const add = (
  status: Draft,
  entry: Entry,
  at: { readonly session: number; readonly timestamp: string }
): void => {
  status.updatedAt = at.timestamp
  status.session = at.session
  status.entries++
  // A stop holds until another session goes on.
  const isStopped = status.status === "stopped" && entry.type !== "start"
  if (!isStopped && (status.waits.length > 0 || status.status !== "pending")) reopen(status)
  if (entry.type !== "start") status.fruitless = 0
  switch (entry.type) {
    case "start":
      if (entry.settled !== undefined) status.fruitless = 1
      else if (entry.enqueued !== true) status.fruitless++
      if (status.entries > 1) break
      if (entry.parent !== undefined) status.parent = entry.parent
      if (entry.source !== undefined) {
        const { offset, runId } = entry.source
        status.source = { runId, offset }
      }
      status.workflow = entry.workflow ?? ""
      // What is copied keeps its time.
      status.createdAt = entry.source?.at ?? at.timestamp
      if (entry.version !== undefined) status.version = entry.version
      break
    case "step":
      status.steps[entry.error === undefined ? "done" : "failed"]++
      if (status.intents.length > 0) {
        status.intents = status.intents.filter((id) => id !== entry.stepId)
      }
      break
    case "intent":
      status.intents = [...status.intents.filter((id) => id !== entry.stepId), entry.stepId]
      break
    case "retry":
      status.intents = status.intents.filter((id) => id !== entry.stepId)
      break
    case "undo":
      if (entry.unknown === true) {
        status.intents = status.intents.filter((id) => id !== entry.stepId)
      }
      break
    case "suspend":
      status.status = "suspended"
      status.waits = entry.waits
      if (entry.reason !== undefined) status.reason = entry.reason
      if (entry.wakeAt !== undefined) status.wakeAt = entry.wakeAt
      break
    case "stop":
      status.status = "stopped"
      status.stoppedAt = entry.stepId
      break
    case "complete":
      status.status = "success"
      if (entry.result !== undefined) status.result = entry.result
      break
    case "error":
      status.status = "failed"
      if (entry.error !== undefined) status.error = entry.error
      if (entry.declared !== undefined) status.declared = entry.declared
      break
    case "cancelled":
      status.status = "cancelled"
      if (entry.reason !== undefined) status.reason = entry.reason
      break
    case "continue":
      status.status = "continued"
      status.continuedAs = entry.runId
      break
    default:
      break
  }
}

/** Whether all that `entry` changes of `status` is what `withSteps` does. */
export const onlyCounts = (status: Status, entry: Entry): boolean =>
  entry.type === "step" && entry.error === undefined && status.status === "pending"
  && status.waits.length === 0 && status.intents.length === 0 && status.fruitless < crashLimit

/** The state when `count` more steps are done, the last of them at `timestamp`. */
export const withSteps = (status: Status, count: number, timestamp: string): Status => ({
  ...status,
  entries: status.entries + count,
  updatedAt: timestamp,
  fruitless: 0,
  steps: { ...status.steps, done: status.steps.done + count }
})

const reopen = (status: Draft): void => {
  status.status = "pending"
  status.waits = []
  delete status.wakeAt
  delete status.reason
  delete status.stoppedAt
}

/**
 * Tells an open run that a process drives from one that waits for a process, and from one that must not go
 * on by itself. `stop` is how many entries a journal may have.
 */
export const withOwner = (status: Status, isHeld: boolean, stop = Infinity): Status => {
  if (status.status !== "pending" && status.status !== "suspended") return status
  if (isHeld) return status.status === "pending" ? { ...status, status: "running" } : status
  const blocked = { ...status, status: "blocked" as const }
  if (status.intents.length > 0) return { ...blocked, reason: "OutcomeUnknown" }
  if (status.status === "suspended") return status
  if (status.fruitless >= crashLimit) return { ...blocked, reason: "CrashLoop" }
  return status.entries >= stop ? { ...blocked, reason: "JournalTooLong" } : status
}

/** The state of a whole journal. */
export const of = (
  runId: string,
  entries: ReadonlyArray<Entry & { readonly session: number; readonly timestamp: string }>
): Draft => {
  const status = empty(runId)
  for (const entry of entries) add(status, entry, entry)
  return status
}
