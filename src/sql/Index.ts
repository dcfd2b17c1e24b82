/**
 * A run's row in the index of an SQL storage: what of its state is a column, and how the whole state is made
 * again of the row and the last line of the journal.
 *
 * The last line holds what a run waits for and what it came to; the row does not repeat it.
 */
import * as Effect from "effect/Effect"
import { Journal, Storage } from "../index.ts"
import * as Status from "../Status.ts"

/**
 * The state of a journal as a driver's version: the key of the run's row, which no other run ever gets, and how
 * many entries the journal has. Entries are never changed, so of one run that says all.
 */
export const versionOf = (runId: string, key: number | string, entries: number): string =>
  `${key}:${entries}:${runId}`

/** What a version of the run says; nothing of a text that is none. */
export const placeOf = (
  runId: string,
  version: string
): { readonly key: string; readonly entries: number } | undefined => {
  const [place, key, entries] = /^(\d+):(\d+):/.exec(version) ?? []
  return key === undefined || version.slice(place!.length) !== runId
    ? undefined
    : { key, entries: Number(entries) }
}

/**
 * A text as a column: Postgres takes no NUL, and neither database half a surrogate pair.
 */
export const toColumn = (text: string): string =>
  odd.test(text) ? JSON.stringify(text).slice(1, -1) : text

// A backslash, too, so that nothing else looks like what is written for these.
const odd = /[\0\\]|\p{Surrogate}/u

const fromColumn = (column: string): string =>
  column.includes("\\") ? JSON.parse(`"${column}"`) as string : column

/** UTC milliseconds as entries write them, so that texts compare as times do. */
export const isoOf = (millis: number | undefined): string | null =>
  millis === undefined || Number.isNaN(millis)
    ? null
    : new Date(Math.ceil(Math.min(Math.max(millis, firstYear), lastYear))).toISOString()

// The years that have four digits.
const firstYear = Date.parse("0000-01-01T00:00:00.000Z")
const lastYear = Date.UTC(9999, 11, 31, 23, 59, 59, 999)

export interface Columns {
  /** How many entries the journal had when the row was written: done steps may have come since. */
  readonly entries: number
  readonly workflow: string
  /** As the journal tells it. */
  readonly state: Status.Status["status"]
  /** What the run is while nobody drives it: here also `blocked`. */
  readonly alone: Status.Status["status"]
  /** UTC milliseconds of the next timer of an open run. */
  readonly wakeAt: number | null
  /** UTC milliseconds. */
  readonly updatedAt: number
  /** Ids of the runs that it waits for, as a JSON array. */
  readonly children: string | null
  /** The run that goes on where this one ended. */
  readonly successor: string | null
  /** The rest of the state, as JSON. */
  readonly rest: string
}

export const columnsOf = ({ head, status }: Storage.Row): Columns => {
  const {
    entries: _entries,
    progress: _progress,
    runId: _runId,
    status: state,
    updatedAt,
    workflow,
    // These stand in the last line.
    declared: _declared,
    error: _error,
    reason: _reason,
    result: _result,
    waits,
    wakeAt,
    ...rest
  } = status
  const children = waits.flatMap(({ childId }) => childId ?? [])
  return {
    entries: head.offset,
    workflow: toColumn(workflow),
    state,
    alone: Status.withOwner(status, false).status,
    wakeAt: wakeAt ?? null,
    updatedAt: Date.parse(updatedAt),
    children: children.length === 0 ? null : JSON.stringify(children),
    successor: rest.continuedAs ?? null,
    rest: JSON.stringify(rest)
  }
}

/** A row as it is read, with the journal's last line. */
export interface Read
  extends Pick<Columns, "entries" | "workflow" | "state" | "updatedAt" | "rest">
{
  readonly runId: string
  /** How many steps came behind the row. */
  readonly steps: number
  readonly last: string
  readonly isHeld: boolean
}

/** The state of a run. */
export const statusOf = (read: Read): Status.Status => {
  const { entries, isHeld, last, rest, runId, state, steps, updatedAt, workflow } = read
  const entry = JSON.parse(last) as Journal.Recorded
  const written: Status.Status = {
    ...Status.empty(runId),
    ...JSON.parse(rest) as Partial<Status.Status>,
    workflow: fromColumn(workflow),
    status: state,
    entries,
    updatedAt: new Date(updatedAt).toISOString(),
    ...told(entry)
  }
  const status = steps === 0 ? written : Status.withSteps(written, steps, entry.timestamp)
  return Status.withOwner(status, isHeld)
}

/** What the last entry says of the run's state. */
const told = (entry: Journal.Entry): Partial<Status.Status> => {
  switch (entry.type) {
    case "suspend": {
      const { reason, waits, wakeAt } = entry
      return { waits, ...defined({ reason, wakeAt }) }
    }
    case "complete":
      return defined({ result: entry.result })
    case "error":
      return defined({ error: entry.error, declared: entry.declared })
    case "cancelled":
      return defined({ reason: entry.reason })
    default:
      return {}
  }
}

const defined = <A extends object>(
  fields: A
): { readonly [K in keyof A]?: Exclude<A[K], undefined> } =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as A

/** A page of rows, of which one more was asked for than it holds. */
export const pageOf = (
  rows: ReadonlyArray<Read>,
  { after = "", limit = 100 }: Storage.Query
): Storage.Page => {
  const page = rows.slice(0, limit)
  const isWhole = ({ last }: Read) => Journal.verifies(last, 0, last.length)
  return {
    runs: page.filter(isWhole).map(statusOf),
    unreadable: page.filter((row) => !isWhole(row)).map(({ entries, runId, steps }) => ({
      runId,
      error: new Journal.JournalCorrupt({
        runId,
        file: "journal",
        offset: entries + steps - 1,
        line: entries + steps,
        saw: "its checksum does not match its bytes"
      })
    })),
    ...(rows.length > limit ? { cursor: page.at(-1)?.runId ?? after } : undefined)
  }
}

/** Those that are due: of posts that are not taken only the journal says whether the run takes them. */
export const dueOf = (
  driver: Storage.Driver,
  found: ReadonlyArray<{ readonly runId: string; readonly isSure: boolean }>,
  now: number,
  concurrency?: number
): Effect.Effect<ReadonlyArray<string>> => {
  const sure = found.flatMap(({ isSure, runId }) => isSure ? [runId] : [])
  const others = found.flatMap(({ isSure, runId }) => isSure ? [] : [runId])
  return Effect.map(
    Storage.scanDue(driver, others, now, concurrency),
    (due) => [...sure, ...due].toSorted()
  )
}
