/** All that is to be seen of a run from its journal alone, redacted: what `show` prints, an agent is given and the inspector draws. */
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type { Recorded } from "./Entry.ts"
import type { Journal } from "./Journal.ts"
import * as Outline from "./Outline.ts"
import * as Runs from "./Runs.ts"
import { hide } from "./Secret.ts"
import * as Status from "./Status.ts"
import * as Text from "./Text.ts"

/** Something that reached the run from outside, or that is about the run as a whole. */
export interface Happened {
  readonly timestamp: string
  readonly type: "resume" | "event" | "cancel" | "patch" | "stop" | "continue"
  readonly eventName?: string
  readonly key?: string
  readonly value?: Schema.Json
  readonly eventId?: string
  /** The wait that took the event. */
  readonly stepId?: string
  readonly reason?: string
  readonly changeId?: string
  readonly runId?: string
}

/** A step, a wait, a timer or a child as it stood in time. */
export interface Item extends Outline.Item {
  /** UTC milliseconds: when it was first begun, or began to wait, as far as the journal tells. */
  readonly startedAt?: number
  /** UTC milliseconds; missing while it runs or waits. */
  readonly endedAt?: number
  /** The attempts that failed and were made again, by when they had; UTC milliseconds. */
  readonly tries?: ReadonlyArray<{ readonly at: number; readonly error?: Schema.Json }>
}

/** All that is shown of a run. */
export interface View extends Status.Status {
  readonly input?: Schema.Json
  readonly sessions: ReadonlyArray<{ readonly session: number; readonly timestamp: string }>
  /** The journal's instructions in the order of their first entries. */
  readonly items: ReadonlyArray<Item>
  readonly events: ReadonlyArray<Happened>
  /** Lines of the journal that do not count: of writers that had lost the run, or cut short. */
  readonly rejected: number
  readonly torn: number
  /** What to call to go on with the run. */
  readonly next: ReadonlyArray<string>
}

/** The run as it stands now. */
export const viewOf = Effect.fnUntraced(function*(runId: string) {
  const journal = yield* Runs.journal(runId)
  const seen = Status.of(runId, journal.entries)
  // Only its lease tells whether someone drives an open run.
  return look(journal, seen.status === "pending" ? yield* Runs.status(runId) : seen)
})

const look = ({ entries: found, rejected, torn }: Journal, given: Status.Draft): View => {
  const entries = found.map(hide)
  const status = hide(given)
  const [start] = entries
  const input = start?.type === "start" ? start.metadata : undefined
  const times = timesOf(entries)
  const items = Outline.items(entries).map((item): Item => ({
    ...item,
    ...times.get(item.stepId),
    ...(item.state === "unknown" && status.status === "running" ? { state: "running" } : undefined)
  }))
  return {
    ...status,
    ...(input === undefined ? undefined : { input }),
    sessions: entries.flatMap(({ session, timestamp, type }) =>
      type === "start" ? [{ session, timestamp }] : []
    ),
    items,
    events: entries.flatMap(happened),
    rejected,
    torn,
    next: next(status)
  }
}

interface Times {
  startedAt?: number
  endedAt?: number
  tries?: Array<{ readonly at: number; readonly error?: Schema.Json }>
}

/** When each instruction was begun, tried and done, as far as the journal tells. */
const timesOf = (entries: ReadonlyArray<Recorded>): ReadonlyMap<string, Times> => {
  const all = new Map<string, Times>()
  const of = (stepId: string): Times => {
    const known = all.get(stepId)
    if (known !== undefined) return known
    const made: Times = {}
    all.set(stepId, made)
    return made
  }
  for (const entry of entries) {
    const at = Date.parse(entry.timestamp)
    switch (entry.type) {
      case "step": {
        const times = of(entry.stepId)
        times.startedAt = Math.min(times.startedAt ?? at, at - (entry.duration ?? 0))
        times.endedAt = at
        break
      }
      case "intent":
        of(entry.stepId).startedAt ??= at
        break
      case "retry": {
        const times = of(entry.stepId)
        times.startedAt ??= at
        times.tries = [...times.tries ?? [], { at, error: entry.error }]
        break
      }
      case "suspend":
        for (const { since, stepId } of entry.waits) of(stepId).startedAt ??= since
        break
      case "resume":
      case "timer":
      case "child": {
        const times = of(entry.stepId)
        times.startedAt ??= at
        times.endedAt = at
        break
      }
      default:
        break
    }
  }
  return all
}

const happened = (entry: Recorded): ReadonlyArray<Happened> => {
  const { timestamp } = entry
  switch (entry.type) {
    case "resume":
    case "event": {
      const { eventId, eventName, key, type, value } = entry
      return [{
        timestamp,
        type,
        eventName,
        ...(key === undefined ? undefined : { key }),
        ...(value === undefined ? undefined : { value }),
        eventId,
        ...(entry.type === "resume" ? { stepId: entry.stepId } : undefined)
      }]
    }
    case "cancel": {
      const { eventId, reason, type } = entry
      return [{ timestamp, type, eventId, ...(reason === undefined ? undefined : { reason }) }]
    }
    case "patch":
      return [{ timestamp, type: entry.type, changeId: entry.changeId }]
    case "stop":
      return [{ timestamp, type: entry.type, stepId: entry.stepId }]
    case "continue":
      return [{ timestamp, type: entry.type, runId: entry.runId }]
    default:
      return []
  }
}

/** The calls that go on with a run that waits for one; `value: …` is the caller's to fill in. */
const next = ({ runId, status, waits, workflow }: Status.Status): ReadonlyArray<string> => {
  const call = `${/^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(workflow) ? workflow : "workflow"}`
    + `.resume(${JSON.stringify(runId)}`
  if (status === "suspended") {
    const events = waits.filter(({ kind }) => kind === "event")
    return events.length > 0
      ? events.map(({ event, key, stepId }) =>
        `${call}, { eventName: ${word(event ?? stepId)}, `
        + `${key === undefined ? "" : `key: ${word(key)}, `}value: … })`
      )
      : [`${call})`]
  }
  return status === "pending" || status === "stopped" ? [`${call})`] : []
}

const word = (text: string) => Text.jsonLine(text)
