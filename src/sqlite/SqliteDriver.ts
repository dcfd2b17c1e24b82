/**
 * The driver over a SQLite connection: what each verb reads and writes. `SqliteStorage` is the layer over it,
 * and `Appends` is how entries get in.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { Storage } from "../index.ts"
import { randomText } from "../RunId.ts"
import * as Held from "../sql/Held.ts"
import { type Columns, dueOf, isoOf, pageOf, toColumn, versionOf } from "../sql/Index.ts"
import { holderOf, type LeaseRow } from "../sql/Lease.ts"
import { beside, isConflict, Own, sameClient, unavailable } from "../sql/Transaction.ts"
import * as Status from "../Status.ts"
import type { ThisProcess } from "../storage/ThisProcess.ts"
import * as Appends from "./Appends.ts"
import type { Commits } from "./Commits.ts"
import type { Connection } from "./Connection.ts"
import { toStorageError } from "./Errors.ts"

/** How the driver writes: each job in a transaction, or all of them in one that is open. */
export type Write = Pick<Commits, "write" | "writers">

interface Row {
  readonly run_id: string
  readonly entries: number
  readonly steps: number
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
  const write = <A>(
    runId: string,
    doing: string,
    f: () => A
  ): Effect.Effect<A, Storage.StorageError> => Effect.suspend(() => commits.write(runId, doing, f))

  const get = (sql: string, ...params: ReadonlyArray<string | number>) =>
    prepare(sql).get(...params)
  const run = (sql: string, ...params: ReadonlyArray<string | number | null>) =>
    Number(prepare(sql).run(...params).changes)

  const held = Held.make()

  const writerOf = (runId: string): Storage.DriverWriter => {
    const doing = `append to run "${runId}"`
    const moved = () => Effect.fail(new Storage.Moved({ runId }))
    const told = (version: string | undefined, lease?: string) => {
      if (version === undefined) return moved()
      if (lease !== undefined) held.drop(runId)
      changed(runId, "journal")
      return Effect.succeed(version)
    }
    return {
      append: (at, lines, row, areSteps) => {
        const isCounted = areSteps === true && at !== ""
        const written = isCounted ? undefined : row()
        const isEnd = written !== undefined && Status.isEnded(written.status)
        const lease = isEnd ? held.tokenOf(runId) : undefined
        const what = { at, lines, row: written, lease }
        const done = commits.write(
          runId,
          doing,
          () => Appends.append(prepare, runId, what),
          isCounted && lines.length === 1
        )
        if (Exit.isExit(done) && Exit.isSuccess(done)) {
          return told((done as Exit.Success<string | undefined>).value, lease)
        }
        return Effect.flatMap(done, (version) => told(version, lease))
      },
      transaction: <A, E, R, E2>(
        work: Effect.Effect<A, E, R>,
        append: (value: A) => Effect.Effect<Storage.Append, E2>
      ) => {
        const inside = Effect.mapError(work, (error) => new Own<E>(error)).pipe(
          Effect.flatMap((value) =>
            Effect.flatMap(
              Effect.mapError(append(value), (error) => new Own<E2>(error)),
              ({ at, lines, row }) =>
                Effect.suspend(() => {
                  const what = { at, lines, row: row(), lease: undefined }
                  const version = Appends.append(prepare, runId, what)
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

  /** How many entries the run's journal has; `""` of none. */
  const versionNow = (runId: string) => {
    const found = get(
      `SELECT key, ${Appends.entriesOf("key")} AS entries FROM reprise_runs WHERE run_id = ?`,
      runId
    )
    return found === undefined
      ? ""
      : versionOf(runId, found.key as number, found.entries as number)
  }

  /** Leases that were given back while nothing could be written, as on a full disk. */
  const given = new Set<string>()

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
        const found = prepare(
          `SELECT line, key FROM reprise_runs JOIN reprise_entries
            ON id ${Appends.idsOf("key")} WHERE run_id = ? ORDER BY id`
        )
        found.setReturnArrays(true)
        const lines = found.all(runId) as unknown as ReadonlyArray<readonly [string, number]>
        return lines.length === 0 ? { text: "", version: "" } : {
          text: `${lines.map(([line]) => line).join("\n")}\n`,
          version: versionOf(runId, lines[0]![1], lines.length)
        }
      }),
    version: (runId) => look(`look at the journal of run "${runId}"`, () => versionNow(runId)),
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
        write(runId, `post to run "${runId}"`, () =>
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
    acquire: Effect.fnUntraced(
      function*(runId, now, until): Effect.fn.Return<Storage.Claim, Storage.StorageError> {
        const doing = `take the lease of run "${runId}"`
        const token = randomText(8)
        const owner = JSON.stringify(self.name)
        const { found, taken } = yield* write(runId, doing, () => ({
          taken: run(
            `INSERT INTO reprise_leases VALUES (?1, ?2, ?3, ?4) ON CONFLICT (run_id)
              DO UPDATE SET token = ?2, until = ?3, owner = ?4 WHERE until <= ?5`,
            runId,
            token,
            until,
            owner,
            now
          ),
          found: {
            version: versionNow(runId),
            hasPosts: get("SELECT 1 FROM reprise_inbox WHERE run_id = ?", runId) !== undefined
          }
        }))
        if (taken > 0) {
          held.add(runId, token)
          return { _tag: "Acquired", token, found }
        }
        const lease = yield* leaseOf(runId)
        const last = lease?.token ?? ""
        const by = yield* holderOf(self, lease, now)
        if (by !== undefined && !given.has(last)) return { _tag: "Held", by }
        const inherited = yield* write(runId, doing, () =>
          run(
            "UPDATE reprise_leases SET token = ?, until = ?, owner = ? WHERE run_id = ? AND token = ?",
            token,
            until,
            owner,
            runId,
            last
          ))
        if (inherited === 0) return { _tag: "Held", by: { host: self.name.host, until: now } }
        given.delete(last)
        held.add(runId, token)
        return { _tag: "Acquired", token }
      }
    ),
    renew: (runId, token, until) =>
      Effect.map(
        write(runId, `renew the lease of run "${runId}"`, () =>
          run(
            "UPDATE reprise_leases SET until = ? WHERE run_id = ? AND token = ?",
            until,
            runId,
            token
          )),
        (changes) => changes > 0
      ),
    release: (runId, token) =>
      Effect.suspend(() => {
        if (!held.release(runId, token)) return Effect.void
        const released = write(
          runId,
          `release the lease of run "${runId}"`,
          () => run(Appends.giveBack, runId, token)
        )
        return Effect.asVoid(
          Effect.tapError(released, () => Effect.sync(() => given.add(token)))
        )
      }),
    holder: (runId, now) => Effect.flatMap(leaseOf(runId), (lease) => holderOf(self, lease, now)),
    list: (query, now) =>
      Effect.flatMap(dead(now), (dead) =>
        look("list the runs", (): Storage.Page => {
          const { after = "", limit = 100, status, updatedBefore, updatedFrom, workflow } = query
          const rows = prepare(
            `SELECT r.run_id, r.entries, (e.id & 4294967295) + 1 - r.entries AS steps, r.workflow,
              r.state, r.updated_at, r.rest, e.line AS last, l.owner
            FROM reprise_runs r
            JOIN reprise_entries e ON e.id = (r.key << 32) + ${Appends.entriesOf("r.key")} - 1
            LEFT JOIN reprise_leases l ON l.run_id = r.run_id AND l.until > $now
              AND l.owner NOT IN (SELECT value FROM json_each($dead))
            WHERE r.run_id > $after
              AND ($workflow IS NULL OR r.workflow = $workflow)
              AND ($from IS NULL OR r.updated_at >= $from OR ${behindRow} >= $fromIso)
              AND ($before IS NULL OR (r.updated_at < $before AND ${behindRow} < $beforeIso))
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
            fromIso: isoOf(updatedFrom),
            beforeIso: isoOf(updatedBefore),
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
              // Each part by its own index, and in this order: the planner would merge them, and scan all runs.
              `SELECT run_id, max(is_sure) AS is_sure FROM (
                SELECT run_id, 1 AS is_sure FROM reprise_runs WHERE alone = 'pending'
                UNION ALL SELECT run_id, alone = 'suspended' FROM reprise_runs
                  WHERE wake_at IS NOT NULL AND wake_at <= $now
                UNION ALL SELECT run_id, 0 FROM reprise_inbox WHERE taken = 0
                UNION ALL SELECT p.run_id, p.alone = 'suspended'
                  FROM reprise_runs p CROSS JOIN json_each(p.children) c CROSS JOIN reprise_runs k
                  WHERE p.children IS NOT NULL AND k.run_id = c.value
                    AND k.alone IN ('success', 'failed', 'cancelled', 'continued')
                UNION ALL SELECT p.run_id, 1 FROM reprise_runs p WHERE p.alone = 'continued'
                  AND NOT EXISTS (SELECT 1 FROM reprise_runs n WHERE n.run_id = p.successor)
              ) WHERE run_id NOT IN (SELECT run_id FROM reprise_leases
                WHERE until > $now AND owner NOT IN (SELECT value FROM json_each($dead)))
              GROUP BY run_id`
            ).all({ now, dead }).map((row) => ({
              runId: row.run_id as string,
              isSure: row.is_sure === 1
            }))),
          (found) => dueOf(driver, found, now)
        )),
    nextWake: (now) =>
      look("find the next timer", () => {
        const next = "SELECT min(wake_at) AS at FROM reprise_runs WHERE wake_at > ?"
        return (get(next, now)?.at as number | null) ?? undefined
      }),
    remove: (runId) =>
      Effect.map(
        write(runId, `remove run "${runId}"`, () => {
          run(
            `DELETE FROM reprise_entries
              WHERE id ${Appends.idsOf("(SELECT key FROM reprise_runs WHERE run_id = ?1)")}`,
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
        Effect.asVoid(write(runId, `store a value of run "${runId}"`, () =>
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

/** The time of the last entry: of the row, unless steps came behind it. Empty in a line that is damaged. */
const behindRow = `CASE WHEN (e.id & 4294967295) < r.entries OR NOT json_valid(e.line) THEN ''
  ELSE json_extract(e.line, '$.timestamp') END`
