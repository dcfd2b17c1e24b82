/**
 * Runs in great numbers without the minutes that driving them would take: the rows of one, once more under other
 * ids, written with SQL. What a store holds of each is the same.
 */
import { DatabaseSync } from "node:sqlite"
import { plain } from "../storage/work.ts"
import type { Kind } from "./work.ts"

const columns = "entries, workflow, state, alone, wake_at, updated_at, children, successor, rest"

const copyOnSqlite = (filename: string, model: string, copies: number): void => {
  const db = new DatabaseSync(filename)
  db.exec("BEGIN")
  db.prepare(
    `WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < $copies)
    INSERT INTO reprise_runs (run_id, ${columns})
    SELECT run_id || '-' || n, ${columns} FROM reprise_runs, numbers WHERE run_id = $model`
  ).run({ copies, model })
  db.prepare(
    `INSERT INTO reprise_entries (id, line)
    SELECT (r.key << 32) + (e.id & 4294967295), e.line
    FROM reprise_runs r, reprise_runs m
    JOIN reprise_entries e ON e.id >> 32 = m.key
    WHERE m.run_id = $model AND r.run_id GLOB $model || '-*'
    ORDER BY 1`
  ).run({ model })
  db.exec("COMMIT")
  db.close()
}

const copyOnPostgres = async (url: string, model: string, copies: number): Promise<void> => {
  const sql = plain(url, 1)
  await sql.unsafe(
    `INSERT INTO reprise.runs (run_id, ${columns})
    SELECT run_id || '-' || n, ${columns} FROM reprise.runs, generate_series(1, ${copies}) n
    WHERE run_id = '${model}'`
  )
  await sql.unsafe(
    `INSERT INTO reprise.entries (run, "offset", line)
    SELECT r.key, e."offset", e.line FROM reprise.runs r, reprise.runs m
    JOIN reprise.entries e ON e.run = m.key
    WHERE m.run_id = '${model}' AND r.run_id LIKE '${model}-%'`
  )
  await sql.end()
}

/** Copies the run `model`, whose id is in front of those of its copies. */
export const copy = async (
  kind: Kind,
  place: string,
  model: string,
  copies: number
): Promise<void> =>
  kind === "SQLite"
    ? copyOnSqlite(place, model, copies)
    : await copyOnPostgres(place, model, copies)
