/**
 * Where a journal can be cut, and what of it a new run is given: the entries that replay needs, and
 * nothing that only told how far an earlier owner had come.
 *
 * Pure; knows no code. A cut drops intents, retries, suspensions, stops, and the openings of later
 * sessions; children whose outcome lies behind it are started anew.
 */
import * as Schema from "effect/Schema"
import type { Base, Child, Entry, Envelope, Recorded, Resume, Start, Step, Timer } from "./Entry.ts"
import { byName, type Naming } from "./Naming.ts"

/** An entry without its envelope, and when it was journaled (ISO 8601). */
export interface Kept {
  readonly entry: Entry
  readonly timestamp: string
}

/** The beginning of a run, as another run is started from it. */
export interface Prefix {
  readonly workflow: string
  readonly version: string | undefined
  /** The run it comes from. */
  readonly runId: string
  /** Of the first entry of that run that is not kept. */
  readonly offset: number
  /** The input, encoded. */
  readonly metadata: Schema.Json | undefined
  readonly seed: string
  /** When the run was started; ISO 8601. */
  readonly timestamp: string
  /** The run that that one goes on from, and the events that were taken before. */
  readonly continues: string | undefined
  readonly taken: ReadonlyArray<string>
  /** Where a pipeline begins. */
  readonly base?: Base | undefined
  /** `base` as JSON, where it is known. */
  readonly baseText?: string | undefined
  /** Tells apart what was changed in different ways. */
  readonly override?: string
  readonly entries: ReadonlyArray<Kept>
}

/** No step of this id, or several of this name, are in the run. Nothing was changed. */
export class StepNotFound
  extends Schema.TaggedError<StepNotFound>("reprise/StepNotFound")("StepNotFound", {
    runId: Schema.String,
    step: Schema.String,
    /** The ids of the steps that the run has. */
    allowed: Schema.Array(Schema.String)
  })
{
  override get message(): string {
    const shown = this.allowed.slice(0, 20).map((id) => `"${id}"`).join(", ")
    const more = this.allowed.length > 20 ? ` and ${this.allowed.length - 20} more` : ""
    const has = this.allowed.length === 0
      ? "It has no outcome of a step yet."
      : `It has: ${shown}${more}.`
    return `Run "${this.runId}" has no step "${this.step}", or several of that name. ${has} Name a step by its id.`
  }
}

/** Whether a new run is given entries like this one. */
export const isKept = ({ type }: Entry): boolean => {
  switch (type) {
    case "start":
    case "suspend":
    case "intent":
    case "retry":
    case "stop":
    case "complete":
    case "error":
    case "cancelled":
    case "continue":
      return false
    default:
      return true
  }
}

/** What of `entries` a new run needs, without what earlier owners wrote beside it. */
const keep = (entries: ReadonlyArray<Kept>): ReadonlyArray<Kept> =>
  entries.flatMap((kept) =>
    !isKept(kept.entry) ? [] : "sum" in kept.entry ? [{ ...kept, entry: bare(kept.entry) }] : [kept]
  )

const envelope = [
  "session",
  "offset",
  "timestamp",
  "incarnation",
  "writer",
  "prev",
  "sum"
] as const satisfies ReadonlyArray<keyof Envelope>

/** An entry as it was before it was written. */
const bare = (recorded: Entry): Entry => {
  const entry: Partial<Recorded> = { ...recorded }
  for (const field of envelope) delete entry[field]
  return entry as Entry
}

/** The first `offset` entries of a journal, as the beginning of another. */
export const upTo = (
  runId: string,
  entries: ReadonlyArray<Recorded>,
  offset: number
): Prefix => {
  const first = entries[0] as Recorded & Start
  const kept = entries.slice(1, offset).map((entry) => ({ entry, timestamp: entry.timestamp }))
  return prefix(runId, first, offset, kept)
}

/** The prefix that `kept` is, of a run that `first` opened. */
export const prefix = (
  runId: string,
  first: Start & { readonly timestamp: string },
  offset: number,
  kept: ReadonlyArray<Kept>
): Prefix => ({
  workflow: first.workflow ?? "",
  version: first.version,
  runId,
  offset,
  metadata: first.metadata,
  seed: first.seed ?? "",
  timestamp: first.timestamp,
  continues: first.continues,
  taken: first.taken ?? [],
  base: first.base,
  entries: keep(kept)
})

const nameOf = (entry: Entry): string => "name" in entry ? entry.name : ""

/** Which of the entries of one step of a pipeline is meant: its condition and its choice come before its end. */
type Which = "first" | "last"

/**
 * The id of the step that `step` names: an id, or a name that only one step has. With `naming` what a
 * pipeline calls it, too.
 */
export const find = (
  runId: string,
  entries: ReadonlyArray<Entry>,
  step: string,
  naming: Naming = byName,
  which: Which = "last"
): string | StepNotFound => {
  const ids = new Map<string, string>()
  for (const entry of entries) {
    if ("stepId" in entry && entry.type !== "stop" && !ids.has(entry.stepId)) {
      ids.set(entry.stepId, nameOf(entry))
    }
  }
  if (ids.has(step)) return step
  const named = Array.from(ids).flatMap(([id, name]) => {
    const { kind, label } = naming(id, name)
    const isMeant = step !== "" && (label === step || name === step)
    return kind !== "own" && isMeant ? [{ id, kind }] : []
  })
  const isOne = new Set(named.map(({ kind }) => kind)).size === named.length
  return named.length > 0 && isOne
    ? named.at(which === "first" ? 0 : -1)!.id
    : new StepNotFound({ runId, step, allowed: [...ids.keys()] })
}

/** The offset of the first entry of a step. */
export const before = (
  runId: string,
  entries: ReadonlyArray<Entry>,
  step: string,
  naming?: Naming
): number | StepNotFound => {
  const id = find(runId, entries, step, naming, "first")
  if (typeof id !== "string") return id
  const isOf = (of: string) => (entry: Entry) =>
    "stepId" in entry && entry.type !== "stop"
    && (entry.stepId === of || isInside(of, entry.stepId))
  const at = entries.findIndex(isOf(id))
  const asked = entries[at - 1]
  // What a pipeline asked before the step is asked again.
  const isAsked = asked !== undefined && "stepId" in asked && naming !== undefined
    && isConditionOf(naming, asked, entries[at]!)
  return isAsked ? at - 1 : at
}

/** Whether a step stands in the container whose end has this id: `route!` is the end of `route[case]/…`. */
export const isInside = (end: string, stepId: string): boolean => {
  const [, name, count = ""] = /^(.*)!(#\d+)?$/.exec(end) ?? []
  return name !== undefined && stepId.startsWith(`${name}${count}[`)
}

const isConditionOf = (naming: Naming, asked: Entry, entry: Entry): boolean => {
  if (!("stepId" in asked) || !("stepId" in entry)) return false
  const { kind, label } = naming(asked.stepId, nameOf(asked))
  const of = naming(entry.stepId, nameOf(entry)).label
  return kind === "condition" && (of === label || of.startsWith(`${label}/`))
}

/** The offset behind the outcome of a step. */
export const behind = (
  runId: string,
  entries: ReadonlyArray<Entry>,
  step: string,
  naming?: Naming
): number | StepNotFound => {
  const outcomes = entries.filter((entry) => isOutcome(entry))
  const id = find(runId, outcomes, step, naming)
  return typeof id === "string"
    ? entries.findIndex((entry) => isOutcome(entry) && entry.stepId === id) + 1
    : id
}

export const isOutcome = (entry: Entry): entry is Step | Child | Resume | Timer =>
  entry.type === "step" || entry.type === "child" || entry.type === "resume"
  || entry.type === "timer"
