/**
 * Every statement of the Postgres driver, for the tables of one schema. Values that may be left out are cast,
 * since a parameter that is null has no type of its own.
 */
import { quoted } from "./migrations.ts"

/** The time of the last entry: of the row, unless steps came behind it. Empty in a line that is damaged. */
const behindRow = `CASE WHEN e."offset" < r.entries THEN ''
  ELSE coalesce(substring(e.line FROM '.*"timestamp":"([^"]*)","incarnation"'), '') END COLLATE "C"`

/** `channel` is told of the runs that others wait for, behind the name of who tells. */
export const statements = (schema: string, channel: string) => {
  const t = (table: string) => `${quoted(schema)}.${table}`
  const notify = (payload: string) => `pg_notify('${channel}', ${payload})`
  /** Parameters whose lengths no plan is made for: one plan then serves all, and none is made anew for each. */
  const arrays = (...nths: ReadonlyArray<number>) =>
    nths.map((nth) => `(SELECT $${nth}::text[])`).join(", ")
  /**
   * Always true; the planner takes it for few rows and looks each of them up by its index. A plan that is made while
   * a table is small would else read all of it, also when it has grown.
   */
  const few = (column: string) => `${column} || '' = ${column}`
  const held = `l.until > $1::bigint
    AND l.owner NOT IN (SELECT json_array_elements_text($2::json))`
  return {
    // Texts that may be missing are empty here, since an array of nothing but nulls has no type. What is looked
    // up by a key is a subquery of its own, so that no plan reads a whole table for it.
    append: `WITH input AS (
        SELECT run_id, NULLIF(key, '')::bigint AS key, entries::int AS entries, workflow, state,
          alone, NULLIF(wake_at, '')::bigint AS wake_at, updated_at::bigint AS updated_at,
          NULLIF(children, '')::json AS children, NULLIF(successor, '') AS successor, rest,
          first::int AS first
        FROM unnest(${arrays(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)})
          AS i(run_id, key, entries, workflow, state, alone, wake_at, updated_at, children,
            successor, rest, first)
      ), made AS (
        INSERT INTO ${t("runs")} (run_id, entries, workflow, state, alone, wake_at, updated_at,
          children, successor, rest)
        SELECT run_id, entries, workflow, state, alone, wake_at, updated_at, children, successor,
          rest FROM input WHERE key IS NULL
        ON CONFLICT (run_id) DO NOTHING RETURNING key, run_id
      ), moved AS (
        UPDATE ${t("runs")} r SET entries = i.entries, workflow = i.workflow, state = i.state,
          alone = i.alone, wake_at = i.wake_at, updated_at = i.updated_at, children = i.children,
          successor = i.successor, rest = i.rest
        FROM input i WHERE ${few("i.run_id")} AND r.key = i.key AND r.run_id = i.run_id
          AND (SELECT true FROM ${t("entries")} e WHERE e.run = i.key AND e."offset" = i.first - 1)
        RETURNING r.key, r.run_id
      ), done AS (
        SELECT * FROM made UNION ALL SELECT * FROM moved
      ), written AS (
        INSERT INTO ${t("entries")} (run, "offset", line)
        SELECT d.key, l.nth::int, l.line FROM unnest(${arrays(13, 14, 15)})
          AS l(run_id, nth, line) JOIN done d ON d.run_id = l.run_id
      ), counted AS (
        INSERT INTO ${t("entries")} (run, "offset", line)
        SELECT l.key::bigint, l.nth::int, l.line
        FROM unnest(${arrays(18, 19, 20, 21)}) AS l(key, first, nth, line)
        WHERE (SELECT true FROM ${t("entries")} e
          WHERE e.run = l.key::bigint AND e."offset" = l.first::int - 1)
        RETURNING run
      ), took AS (
        UPDATE ${t("inbox")} x SET taken = true
        FROM unnest(${arrays(16, 17)}) AS e(run_id, event_id)
        JOIN done d ON d.run_id = e.run_id
        WHERE ${
      few("e.event_id")
    } AND x.run_id = e.run_id AND x.event_id = e.event_id AND NOT x.taken
      ), released AS (
        DELETE FROM ${t("leases")} l USING unnest(${arrays(22, 23)}) AS q(run_id, token)
        WHERE ${few("q.run_id")} AND l.run_id = q.run_id AND l.token = q.token
          AND q.run_id IN (SELECT run_id FROM done)
      )
      SELECT key::text AS key, run_id FROM done
      UNION ALL SELECT run::text, NULL FROM counted`,
    notify: `SELECT ${notify("$1")}::text`,
    // What most appends are: one step of one run is done.
    step: `INSERT INTO ${t("entries")} (run, "offset", line) SELECT $1::bigint, $2::int, $3
      WHERE EXISTS (SELECT 1 FROM ${t("entries")} WHERE run = $1::bigint AND "offset" = $2::int - 1)
      RETURNING 1`,
    steps: `INSERT INTO ${t("entries")} (run, "offset", line)
      SELECT $1::bigint, $2::int + nth::int - 1, line
      FROM unnest(${arrays(3)}) WITH ORDINALITY AS l(line, nth)
      WHERE EXISTS (SELECT 1 FROM ${t("entries")} WHERE run = $1::bigint AND "offset" = $2::int - 1)
      RETURNING 1`,
    lock: `SELECT 1 FROM ${t("runs")} WHERE run_id = $1 FOR UPDATE`,
    line: `SELECT line FROM ${t("entries")} WHERE run = $1::bigint AND "offset" = $2::int`,
    versions: `SELECT r.run_id, r.key::text AS key,
        (SELECT max("offset") + 1 FROM ${t("entries")} WHERE run = r.key) AS entries
      FROM unnest(${arrays(1)}) AS q(run_id) JOIN ${t("runs")} r ON r.run_id = q.run_id
      WHERE ${few("q.run_id")}`,
    read: `SELECT r.run_id, r.key::text AS key, e.line
      FROM unnest(${arrays(1)}) AS q(run_id) JOIN ${t("runs")} r ON r.run_id = q.run_id
      CROSS JOIN LATERAL (
        SELECT line FROM ${t("entries")} WHERE run = r.key ORDER BY "offset"
      ) e WHERE ${few("q.run_id")}`,
    post: `WITH added AS (
        INSERT INTO ${t("inbox")} SELECT $1,
          1 + coalesce((SELECT max(position) FROM ${t("inbox")} WHERE run_id = $1), 0), $2, $3,
          EXISTS (SELECT 1 FROM ${t("inbox")} WHERE run_id = $1 AND event_id = $3 AND taken), $4
        ON CONFLICT (run_id, id) DO NOTHING RETURNING run_id
      ) SELECT ${notify("$5 || run_id")}::text FROM added`,
    inbox: `SELECT q.run_id, i.line FROM unnest(${arrays(1, 2)}) AS q(run_id, after)
      CROSS JOIN LATERAL (
        SELECT line FROM ${t("inbox")} WHERE run_id = q.run_id AND position > q.after::int
        ORDER BY position
      ) i`,
    acquire: `INSERT INTO ${t("leases")} AS l
      SELECT run_id, token, until::bigint, $4 FROM unnest(${arrays(1, 2, 3)})
        AS q(run_id, token, until) ORDER BY run_id
      ON CONFLICT (run_id) DO UPDATE SET token = excluded.token, until = excluded.until,
        owner = excluded.owner
      WHERE l.until <= $5::bigint OR l.token = excluded.token
      RETURNING run_id, ${t("found")}(run_id) AS found`,
    inherit: `UPDATE ${t("leases")} SET token = $2, until = $3::bigint, owner = $4
      WHERE run_id = $1 AND token IN ($5, $2) RETURNING 1 AS taken`,
    renew: `UPDATE ${t("leases")} SET until = $3::bigint WHERE run_id = $1 AND token = $2
      RETURNING 1 AS taken`,
    release: `DELETE FROM ${t("leases")} l
      USING unnest(${arrays(1, 2)}) AS q(run_id, token)
      WHERE ${few("q.run_id")} AND l.run_id = q.run_id AND l.token = q.token`,
    lease: `SELECT token, until::text AS until, owner FROM ${t("leases")} WHERE run_id = $1`,
    owners: `SELECT max(token) AS token, max(until)::text AS until, owner FROM ${t("leases")}
      WHERE until > $1::bigint GROUP BY owner`,
    list: `SELECT r.run_id, r.entries, e."offset" + 1 - r.entries AS steps, r.workflow, r.state,
        r.updated_at::text AS updated_at, r.rest, e.line AS last, l.owner
      FROM ${t("runs")} r
      CROSS JOIN LATERAL (SELECT "offset", line FROM ${t("entries")} WHERE run = r.key
        ORDER BY "offset" DESC LIMIT 1) e
      LEFT JOIN ${t("leases")} l ON l.run_id = r.run_id AND ${held}
      WHERE r.run_id > $3
        AND ($4::text IS NULL OR r.workflow = $4)
        AND ($5::bigint IS NULL OR r.updated_at >= $5::bigint OR ${behindRow} >= $9::text)
        AND ($6::bigint IS NULL OR (r.updated_at < $6::bigint AND ${behindRow} < $10::text))
        AND ($7::text IS NULL OR $7 = CASE
          WHEN l.owner IS NULL THEN r.alone WHEN r.state = 'pending' THEN 'running' ELSE r.state END)
      ORDER BY r.run_id LIMIT $8::int`,
    due: `SELECT run_id, bool_or(is_sure) AS is_sure FROM (
        SELECT run_id, true AS is_sure FROM ${t("runs")} WHERE alone = 'pending'
        UNION ALL SELECT run_id, alone = 'suspended' FROM ${t("runs")}
          WHERE wake_at IS NOT NULL AND wake_at <= $1::bigint
        UNION ALL SELECT run_id, false FROM ${t("inbox")} WHERE NOT taken
        UNION ALL SELECT p.run_id, p.alone = 'suspended'
          FROM ${t("runs")} p, json_array_elements_text(p.children) c
          JOIN ${t("runs")} k ON k.run_id = c
          WHERE p.children IS NOT NULL AND k.alone IN ('success', 'failed', 'cancelled', 'continued')
        UNION ALL SELECT p.run_id, true FROM ${t("runs")} p WHERE p.alone = 'continued'
          AND NOT EXISTS (SELECT 1 FROM ${t("runs")} n WHERE n.run_id = p.successor)
      ) candidates WHERE NOT EXISTS (
        SELECT 1 FROM ${t("leases")} l WHERE l.run_id = candidates.run_id AND ${held}
      ) GROUP BY run_id`,
    nextWake: `SELECT min(wake_at)::text AS at FROM ${t("runs")} WHERE wake_at > $1::bigint`,
    remove: `WITH entries AS (
        DELETE FROM ${t("entries")} WHERE run = (SELECT key FROM ${t("runs")} WHERE run_id = $1)
      ), inbox AS (DELETE FROM ${t("inbox")} WHERE run_id = $1
      ), leases AS (DELETE FROM ${t("leases")} WHERE run_id = $1
      ), blobs AS (DELETE FROM ${t("blobs")} WHERE run_id = $1
      ) DELETE FROM ${t("runs")} WHERE run_id = $1 RETURNING ${notify("$2 || run_id")}::text`,
    putBlob: `INSERT INTO ${t("blobs")} VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
    getBlob: `SELECT value FROM ${t("blobs")} WHERE run_id = $1 AND hash = $2`
  }
}

export type Statements = ReturnType<typeof statements>

export type Param = string | number | null | ReadonlyArray<string>
