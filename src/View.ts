/**
 * All that is to be seen of a run from its journal and inbox alone, redacted: what `show` prints, an agent is
 * given and the inspector draws.
 */
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type { Recorded, Wait } from "./Entry.ts"
import type { Journal } from "./Journal.ts"
import * as Outline from "./Outline.ts"
import * as Runs from "./Runs.ts"
import { hide } from "./Secret.ts"
import * as Status from "./Status.ts"
import * as Text from "./Text.ts"
import { type Inbox, type Posted, untaken } from "./view/Posted.ts"
import { type Item, timesOf } from "./view/Times.ts"

export type { Posted } from "./view/Posted.ts"
export type { Item } from "./view/Times.ts"

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

/** All that is shown of a run. */
export interface View extends Status.Status, Inbox {
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
  const now = seen.status === "pending" ? yield* Runs.status(runId) : seen
  return look(journal, now, Status.isEnded(seen) ? { posted: [] } : yield* untaken(journal))
})

const look = (
  { entries: found, rejected, torn }: Journal,
  given: Status.Draft,
  inbox: Inbox
): View => {
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
    ...inbox,
    rejected,
    torn,
    next: next(status, inbox.posted)
  }
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
const next = (
  { runId, status, waits, workflow }: Status.Status,
  posted: ReadonlyArray<Posted>
): ReadonlyArray<string> => {
  const call = `${/^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(workflow) ? workflow : "workflow"}`
    + `.resume(${JSON.stringify(runId)}`
  const plain = [`${call})`]
  const isSteered = posted.some(({ type }) => type !== "event")
  if (status === "suspended") {
    if (isSteered) return plain
    const events = waits.filter(({ kind }) => kind === "event")
    const open = events.filter((wait) => !posted.some(isFor(wait)))
    return [
      // What it waits for is there already, or comes by itself.
      ...(open.length < events.length || events.length === 0 ? plain : []),
      ...open.map(({ event, key, stepId }) =>
        `${call}, { eventName: ${word(event ?? stepId)}, `
        + `${key === undefined ? "" : `key: ${word(key)}, `}value: … })`
      )
    ]
  }
  return status === "pending" || status === "stopped" || (status === "blocked" && isSteered)
    ? plain
    : []
}

const isFor = ({ event, key, stepId }: Wait) => (post: Posted): boolean =>
  post.eventName === (event ?? stepId) && post.key === key

const word = (text: string) => Text.jsonLine(text)
