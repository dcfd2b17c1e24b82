/**
 * The driver over a SQLite connection: what each verb reads and writes. `SqliteStorage` is the layer over it.
 *
 * The run's row in the index is matched and moved on in the transaction that adds the lines: of two who
 * append behind one state, the second finds another version there.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { Storage } from "../index.ts"
import { randomText } from "../RunId.ts"
import { type Columns, columnsOf, pageOf, toColumn } from "../sql/Index.ts"
import { holderOf, type LeaseRow } from "../sql/Lease.ts"
import { beside, isConflict, Own, sameClient, unavailable } from "../sql/Transaction.ts"
import type { ThisProcess } from "../storage/ThisProcess.ts"
import type { Commits } from "./Commits.ts"
import type { Connection } from "./Connection.ts"
import { toStorageError } from "./Errors.ts"

/** How the driver writes: each job in a transaction, or all of them in one that is open. */
export type Write = Pick<Commits, "write" | "writers">

/** A run as a writer knows it. */
interface Place {
  readonly runId: string
  /** Of its row in the index, once that was looked at. */
  key: number | undefined
}

interface Row {
  readonly run_id: string
  readonly entries: number
  readonly workflow: string
  readonly state: Columns["state"]
  readonly updated_at: number
  readonly rest: string
  readonly last: string
  readonly owner: string | null
}

export const make = (
  { client, prepare }: Connection,
  commits: Write,
  self: ThisProcess
): Storage.Driver => {
  const { changed, watch } = Storage.makeWatchers()

  const look = <A>(doing: string, f: () => A): Effect.Effect<A, Storage.StorageError> =>
    Effect.try({ try: f, catch: toStorageError(doing) })
  const write = <A>(doing: string, f: () => A): Effect.Effect<A, Storage.StorageError> =>
    Effect.suspend(() => commits.write(doing, f))

  const get = (sql: string, ...params: ReadonlyArray<string | number>) =>
    prepare(sql).get(...params)
  const run = (sql: string, ...params: ReadonlyArray<string | number | null>) =>
    Number(prepare(sql).run(...params).changes)

  const insertRun = `INSERT INTO reprise_runs
    (version, entries, workflow, state, alone, wake_at, updated_at, children, successor, rest, run_id)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run_id) DO NOTHING RETURNING key`
  const updateRun =
    `UPDATE reprise_runs SET version = ?, entries = ?, workflow = ?, state = ?, alone = ?,
    wake_at = ?, updated_at = ?, children = ?, successor = ?, rest = ?
    WHERE run_id = ? AND version = ?`

  /** The new version; undefined when the run is not at `at`. To be called in a transaction. */
  const appendNow = (place: Place, { at, lines, row }: Storage.Append): string | undefined => {
    const { runId } = place
    const told = row()
    const columns = columnsOf(told)
    const { entries, version } = columns
    const values = [
      version,
      entries,
      columns.workflow,
      columns.state,
      columns.alone,
      columns.wakeAt,
      columns.updatedAt,
      columns.children,
      columns.successor,
      columns.rest,
      runId
    ]
    if (at === "") {
      const made = prepare(insertRun).get(...values)
      if (made === undefined) return undefined
      place.key = made.key as number
    } else {
      if (Number(prepare(updateRun).run(...values, at).changes) === 0) return undefined
      // A run at this version has always had this key.
      place.key ??= get("SELECT key FROM reprise_runs WHERE run_id = ?", runId)?.key as number
    }
    const insertLine = prepare("INSERT INTO reprise_entries VALUES (?, ?, ?)")
    const first = entries - lines.length
    for (let i = 0; i < lines.length; i++) insertLine.run(place.key, first + i, lines[i]!)
    for (const eventId of told.taken) {
      const taken = "UPDATE reprise_inbox SET taken = 1 WHERE run_id = ? AND event_id = ?"
      run(taken, runId, toColumn(eventId))
    }
    return version
  }

  const writerOf = (runId: string): Storage.DriverWriter => {
    const doing = `append to run "${runId}"`
    const moved = () => Effect.fail(new Storage.Moved({ runId }))
    const place: Place = { runId, key: undefined }
    const told = (version: string | undefined) => {
      if (version === undefined) return moved()
      changed(runId, "journal")
      return Effect.succeed(version)
    }
    return {
      append: (at, lines, row) => {
        const written = commits.write(doing, () => appendNow(place, { at, lines, row }))
        return Exit.isExit(written) && Exit.isSuccess(written)
          ? told((written as Exit.Success<string | undefined>).value)
          : Effect.flatMap(written, told)
      },
      transaction: <A, E, R, E2>(
        work: Effect.Effect<A, E, R>,
        append: (value: A) => Effect.Effect<Storage.Append, E2>
      ) => {
        const inside = Effect.mapError(work, (error) => new Own<E>(error)).pipe(
          Effect.flatMap((value) =>
            Effect.flatMap(
              Effect.mapError(append(value), (error) => new Own<E2>(error)),
              (what) =>
                Effect.suspend(() => {
                  const version = appendNow(place, what)
                  return version === undefined ? moved() : Effect.succeed(version)
                })
            )
          )
        )
        return sameClient(client, doing).pipe(
          Effect.andThen(beside(client)(client.withTransaction(inside))),
          Effect.tap(() => Effect.sync(() => changed(runId, "journal"))),
          Effect.mapError((error): E | E2 | Storage.StorageError | Storage.Moved => {
            if (error instanceof Own) {
              return isConflict(error.error) ? unavailable(doing, error.error) : error.error
            }
            return error._tag === "SqlError"
              ? isConflict(error)
                ? unavailable(doing, error)
                : toStorageError(doing)(error.reason.cause)
              : error
          })
        )
      }
    }
  }

  /** Owners of live leases that are certain to be dead. */
  const dead = (now: number) =>
    Effect.flatMap(
      look("list the owners", () =>
        prepare(
          "SELECT DISTINCT token, owner, until FROM reprise_leases WHERE until > ? GROUP BY owner"
        )
          .all(now) as unknown as ReadonlyArray<LeaseRow>),
      (rows) =>
        Effect.map(
          Effect.filter(
            rows,
            (row) => Effect.map(holderOf(self, row, now), (holder) => holder === undefined)
          ),
          (rows) => JSON.stringify(rows.map(({ owner }) => owner))
        )
    )

  const leaseOf = (runId: string) =>
    look(
      `read the lease of run "${runId}"`,
      () =>
        get("SELECT token, until, owner FROM reprise_leases WHERE run_id = ?", runId) as unknown as
          | LeaseRow
          | undefined
    )

  const driver: Storage.Driver = {
    read: (runId) =>
      look(`read the journal of run "${runId}"`, () => {
        const found = get(
          `SELECT version, (
            SELECT group_concat(line, char(10) ORDER BY "offset") FROM reprise_entries WHERE run = key
          ) AS lines FROM reprise_runs WHERE run_id = ?`,
          runId
        )
        return found === undefined
          ? { text: "", version: "" }
          : { text: `${found.lines as string}\n`, version: found.version as string }
      }),
    version: (runId) =>
      look(
        `look at the journal of run "${runId}"`,
        () =>
          (get("SELECT version FROM reprise_runs WHERE run_id = ?", runId)?.version ?? "") as string
      ),
    writer: (runId) =>
      Effect.as(
        Effect.acquireRelease(
          Effect.sync(() => {
            commits.writers++
          }),
          () =>
            Effect.sync(() => {
              commits.writers--
            })
        ),
        writerOf(runId)
      ),
    post: (runId, { eventId, id, line }) =>
      Effect.map(
        write(`post to run "${runId}"`, () =>
          run(
            `INSERT INTO reprise_inbox SELECT ?1,
              1 + coalesce((SELECT max(position) FROM reprise_inbox WHERE run_id = ?1), 0), ?2, ?3,
              EXISTS (SELECT 1 FROM reprise_inbox WHERE run_id = ?1 AND event_id = ?3 AND taken = 1), ?4
              WHERE true ON CONFLICT (run_id, id) DO NOTHING`,
            runId,
            toColumn(id),
            toColumn(eventId),
            line
          )),
        () => changed(runId, "inbox")
      ),
    inbox: (runId, after) =>
      look(`read the inbox of run "${runId}"`, () => {
        const before = Number(after)
        const found = prepare(
          "SELECT line FROM reprise_inbox WHERE run_id = ? AND position > ? ORDER BY position"
        ).all(runId, before)
        return {
          text: found.map(({ line }) => `${line as string}\n`).join(""),
          cursor: found.length === 0 ? after : String(before + found.length),
          before
        }
      }),
    acquire: (runId, now, until) =>
      Effect.gen(function*() {
        const doing = `take the lease of run "${runId}"`
        const token = randomText(8)
        const owner = JSON.stringify(self.name)
        const taken = yield* write(doing, () =>
          run(
            `INSERT INTO reprise_leases VALUES (?1, ?2, ?3, ?4) ON CONFLICT (run_id)
              DO UPDATE SET token = ?2, until = ?3, owner = ?4 WHERE until <= ?5`,
            runId,
            token,
            until,
            owner,
            now
          ))
        if (taken > 0) return { _tag: "Acquired", token }
        const held = yield* leaseOf(runId)
        const by = yield* holderOf(self, held, now)
        if (by !== undefined) return { _tag: "Held", by }
        const inherited = yield* write(doing, () =>
          run(
            "UPDATE reprise_leases SET token = ?, until = ?, owner = ? WHERE run_id = ? AND token = ?",
            token,
            until,
            owner,
            runId,
            held?.token ?? ""
          ))
        return inherited > 0
          ? { _tag: "Acquired", token }
          : { _tag: "Held", by: { host: self.name.host, until: now } }
      }),
    renew: (runId, token, until) =>
      Effect.map(
        write(`renew the lease of run "${runId}"`, () =>
          run(
            "UPDATE reprise_leases SET until = ? WHERE run_id = ? AND token = ?",
            until,
            runId,
            token
          )),
        (changes) => changes > 0
      ),
    release: (runId, token) =>
      Effect.asVoid(
        write(`release the lease of run "${runId}"`, () =>
          run("DELETE FROM reprise_leases WHERE run_id = ? AND token = ?", runId, token))
      ),
    holder: (runId, now) => Effect.flatMap(leaseOf(runId), (lease) => holderOf(self, lease, now)),
    list: (query, now) =>
      Effect.flatMap(dead(now), (dead) =>
        look("list the runs", (): Storage.Page => {
          const { after = "", limit = 100, status, updatedBefore, updatedFrom, workflow } = query
          const rows = prepare(
            `SELECT r.run_id, r.entries, r.workflow, r.state, r.updated_at, r.rest, e.line AS last, l.owner
            FROM reprise_runs r
            JOIN reprise_entries e ON e.run = r.key AND e."offset" = r.entries - 1
            LEFT JOIN reprise_leases l ON l.run_id = r.run_id AND l.until > $now
              AND l.owner NOT IN (SELECT value FROM json_each($dead))
            WHERE r.run_id > $after
              AND ($workflow IS NULL OR r.workflow = $workflow)
              AND ($from IS NULL OR r.updated_at >= $from)
              AND ($before IS NULL OR r.updated_at < $before)
              AND ($status IS NULL OR $status = CASE
                WHEN l.owner IS NULL THEN r.alone WHEN r.state = 'pending' THEN 'running' ELSE r.state END)
            ORDER BY r.run_id LIMIT $limit`
          ).all({
            now,
            dead,
            after,
            workflow: workflow === undefined ? null : toColumn(workflow),
            from: updatedFrom ?? null,
            before: updatedBefore ?? null,
            status: status ?? null,
            limit: limit + 1
          }) as unknown as ReadonlyArray<Row>
          return pageOf(
            rows.map((row) => ({
              ...row,
              runId: row.run_id,
              updatedAt: row.updated_at,
              isHeld: row.owner !== null
            })),
            query
          )
        })),
    due: (now) =>
      Effect.flatMap(dead(now), (dead) =>
        Effect.flatMap(
          look("find the runs that are due", () =>
            prepare(
              `SELECT run_id FROM (
                SELECT run_id FROM reprise_runs WHERE alone = 'pending'
                UNION SELECT run_id FROM reprise_runs WHERE wake_at IS NOT NULL AND wake_at <= $now
                UNION SELECT run_id FROM reprise_inbox WHERE taken = 0
                UNION SELECT p.run_id FROM reprise_runs p, json_each(p.children) c
                  JOIN reprise_runs k ON k.run_id = c.value
                  WHERE p.children IS NOT NULL
                    AND k.alone IN ('success', 'failed', 'cancelled', 'continued')
                UNION SELECT p.run_id FROM reprise_runs p WHERE p.alone = 'continued'
                  AND NOT EXISTS (SELECT 1 FROM reprise_runs n WHERE n.run_id = p.successor)
              ) WHERE run_id NOT IN (SELECT run_id FROM reprise_leases
                WHERE until > $now AND owner NOT IN (SELECT value FROM json_each($dead)))`
            ).all({ now, dead }).map((row) => row.run_id as string)),
          (runIds) => Storage.scanDue(driver, runIds, now)
        )),
    remove: (runId) =>
      Effect.map(
        write(`remove run "${runId}"`, () => {
          run(
            "DELETE FROM reprise_entries WHERE run = (SELECT key FROM reprise_runs WHERE run_id = ?)",
            runId
          )
          for (const table of ["runs", "inbox", "leases", "blobs"]) {
            run(`DELETE FROM reprise_${table} WHERE run_id = ?`, runId)
          }
        }),
        () => changed(runId, "journal")
      ),
    watch,
    // Other processes write without telling.
    seesAll: false,
    blobs: {
      put: (runId, hash, text) =>
        Effect.asVoid(write(`store a value of run "${runId}"`, () =>
          run(
            "INSERT INTO reprise_blobs VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            runId,
            hash,
            text
          ))),
      get: (runId, hash) =>
        look(
          `read a value of run "${runId}"`,
          () =>
            get("SELECT value FROM reprise_blobs WHERE run_id = ? AND hash = ?", runId, hash)
              ?.value as string | undefined
        )
    }
  }
  return driver
}
