/**
 * How entries get into a SQLite database, and what of the run's row in the index is written with them. All of
 * this is to be called in a transaction.
 *
 * An entry's id holds its run and its offset, so of two who append behind one state the second finds its place
 * taken. The row is written when the state of the run changes; steps that are done are counted by their entries.
 */
import type { StatementSync } from "node:sqlite"
import type { Storage } from "../index.ts"
import { columnsOf, placeOf, toColumn, versionOf } from "../sql/Index.ts"

type Prepare = (sql: string) => StatementSync

/** That an id is one of the run's. */
export const idsOf = (key: string) => `BETWEEN ${key} << 32 AND (${key} << 32) | 4294967295`

/** How many entries the run with `key` has, by the last of their ids. */
export const entriesOf = (key: string) =>
  `(SELECT (id & 4294967295) + 1 FROM reprise_entries WHERE id ${idsOf(key)}
    ORDER BY id DESC LIMIT 1)`

const insertRun = `INSERT INTO reprise_runs
  (entries, workflow, state, alone, wake_at, updated_at, children, successor, rest, run_id)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run_id) DO NOTHING RETURNING key`

const updateRun = `UPDATE reprise_runs SET entries = ?, workflow = ?, state = ?, alone = ?,
  wake_at = ?, updated_at = ?, children = ?, successor = ?, rest = ? WHERE key = ?`

const insertLine = "INSERT INTO reprise_entries VALUES (?1 << 32 | ?2, ?3)"

/**
 * Where the entry before is there, and this one is not: otherwise the line is null, which none may be, and ignored.
 * Values, since what is selected from the table that it goes to would be written twice.
 */
const insertNext = `INSERT OR IGNORE INTO reprise_entries VALUES (?1 << 32 | ?2,
  (SELECT ?3 FROM reprise_entries WHERE id = (?1 << 32 | ?2) - 1))`

export const giveBack = "DELETE FROM reprise_leases WHERE run_id = ? AND token = ?"

const take = "UPDATE reprise_inbox SET taken = 1 WHERE run_id = ? AND event_id = ?"

export interface Append {
  readonly at: string
  readonly lines: ReadonlyArray<string>
  /** Undefined when the row stays as it is. */
  readonly row: Storage.Row | undefined
  /** The token of a lease that is given back with it. */
  readonly lease: string | undefined
}

/** The new version; undefined when the run is not at `at`, and nothing was written. */
export const append = (
  prepare: Prepare,
  runId: string,
  { at, lines, row, lease }: Append
): string | undefined => {
  let key: number
  let entries = 0
  if (at === "") {
    const made = prepare(insertRun).get(...valuesOf(row!), runId)
    if (made === undefined) return undefined
    key = made.key as number
    prepare(insertLine).run(key, 0, lines[0]!)
  } else {
    const place = placeOf(runId, at)
    if (place === undefined) return undefined
    key = Number(place.key)
    entries = place.entries
    const { changes } = prepare(insertNext).run(key, entries, lines[0]!)
    if (Number(changes) === 0) return undefined
    if (row !== undefined) prepare(updateRun).run(...valuesOf(row), key)
  }
  for (let i = 1; i < lines.length; i++) prepare(insertLine).run(key, entries + i, lines[i]!)
  for (const eventId of row?.taken ?? []) prepare(take).run(runId, toColumn(eventId))
  if (lease !== undefined) prepare(giveBack).run(runId, lease)
  return versionOf(runId, key, entries + lines.length)
}

const valuesOf = (told: Storage.Row) => {
  const columns = columnsOf(told)
  return [
    columns.entries,
    columns.workflow,
    columns.state,
    columns.alone,
    columns.wakeAt,
    columns.updatedAt,
    columns.children,
    columns.successor,
    columns.rest
  ]
}
