/**
 * The driver over Effect's SQL client: what each verb asks of Postgres. `PostgresStorage` is the layer over it.
 *
 * The run's row in the index is matched and moved on by the statement that inserts the lines: of two who
 * append behind one state, the second waits for the first, and then finds another version there. An append
 * whose answer was lost is settled by that version, too.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as SqlClient from "effect/sql/SqlClient"
import * as SqlError from "effect/sql/SqlError"
import { Storage } from "../index.ts"
import { randomText } from "../RunId.ts"
import { type Columns, columnsOf, pageOf, toColumn } from "../sql/Index.ts"
import { holderOf, type LeaseRow } from "../sql/Lease.ts"
import { beside, isConflict, openOn, Own, sameClient, unavailable } from "../sql/Transaction.ts"
import type { ThisProcess } from "../storage/ThisProcess.ts"
import * as Batches from "./Batches.ts"
import { isLost, patiently, toStorageError } from "./Errors.ts"
import { quoted } from "./migrations.ts"

export interface Options {
  readonly client: SqlClient.SqlClient
  readonly schema: string
  readonly self: ThisProcess
  /** Whether every statement is to be part of a transaction that the calling fiber has open. */
  readonly joins: boolean
  /** The channel on which runs are told of. */
  readonly channel: string
}

interface Row {
  readonly run_id: string
  readonly entries: number
  readonly workflow: string
  readonly state: Columns["state"]
  readonly updated_at: string
  readonly rest: string
  readonly last: string
  readonly owner: string | null
}

/** What a statement for a schema's tables looks like. */
const statements = (schema: string, channel: string) => {
  const t = (table: string) => `${quoted(schema)}.${table}`
  const tell = `pg_notify('${channel}', `
  const held = `l.until > $1::bigint
    AND l.owner NOT IN (SELECT json_array_elements_text($2::json))`
  return {
    append: `WITH input AS (
        SELECT * FROM json_to_recordset($1::json) AS i(
          "runId" text, at text, version text, entries int, workflow text, state text, alone text,
          "wakeAt" bigint, "updatedAt" bigint, children json, successor text, rest text,
          lines json, taken json)
      ), made AS (
        INSERT INTO ${t("runs")} (run_id, version, entries, workflow, state, alone, wake_at,
          updated_at, children, successor, rest)
        SELECT "runId", version, entries, workflow, state, alone, "wakeAt", "updatedAt", children,
          successor, rest FROM input WHERE at = ''
        ON CONFLICT (run_id) DO NOTHING RETURNING key, run_id
      ), moved AS (
        UPDATE ${t("runs")} r SET version = i.version, entries = i.entries, workflow = i.workflow,
          state = i.state, alone = i.alone, wake_at = i."wakeAt", updated_at = i."updatedAt",
          children = i.children, successor = i.successor, rest = i.rest
        FROM input i WHERE i.at <> '' AND r.run_id = i."runId" AND r.version = i.at
        RETURNING r.key, r.run_id
      ), done AS (
        SELECT d.key, i.* FROM (SELECT * FROM made UNION ALL SELECT * FROM moved) d
        JOIN input i ON i."runId" = d.run_id
      ), written AS (
        INSERT INTO ${t("entries")} (run, "offset", line)
        SELECT d.key, d.entries - json_array_length(d.lines) + l.nth::int - 1, l.line
        FROM done d, json_array_elements_text(d.lines) WITH ORDINALITY AS l(line, nth)
      ), took AS (
        UPDATE ${t("inbox")} x SET taken = true
        FROM done d, json_array_elements_text(d.taken) AS e(event_id)
        WHERE x.run_id = d."runId" AND x.event_id = e.event_id AND NOT x.taken
      )
      SELECT "runId" AS run_id, CASE WHEN state <> 'pending' THEN ${tell}"runId")::text END FROM done`,
    // What most appends are: of one run, which goes on and waits for nothing.
    step: `WITH moved AS (
        UPDATE ${
      t("runs")
    } SET version = $1, entries = $2::int, workflow = $3, state = $4, alone = $5,
          wake_at = NULL, updated_at = $6::bigint, children = NULL, successor = NULL, rest = $7
        WHERE run_id = $8 AND version = $9 RETURNING key
      )
      INSERT INTO ${t("entries")} (run, "offset", line)
      SELECT key, $10::int + nth::int - 1, line
      FROM moved, unnest($11::text[]) WITH ORDINALITY AS l(line, nth) RETURNING 1`,
    lock: `SELECT version FROM ${t("runs")} WHERE run_id = $1 FOR UPDATE`,
    version: `SELECT version FROM ${t("runs")} WHERE run_id = $1`,
    read: `SELECT r.run_id, r.version, e.line FROM ${t("runs")} r
      JOIN ${t("entries")} e ON e.run = r.key
      WHERE r.run_id = ANY ($1::text[]) ORDER BY e.run, e."offset"`,
    post: `WITH added AS (
        INSERT INTO ${t("inbox")} SELECT $1,
          1 + coalesce((SELECT max(position) FROM ${t("inbox")} WHERE run_id = $1), 0), $2, $3,
          EXISTS (SELECT 1 FROM ${t("inbox")} WHERE run_id = $1 AND event_id = $3 AND taken), $4
        ON CONFLICT (run_id, id) DO NOTHING RETURNING run_id
      ) SELECT ${tell}run_id)::text FROM added`,
    inbox: `SELECT i.run_id, i.line FROM unnest($1::text[], $2::text[]) AS q(run_id, after)
      JOIN ${t("inbox")} i ON i.run_id = q.run_id AND i.position > q.after::int
      ORDER BY i.run_id, i.position`,
    acquire: `INSERT INTO ${t("leases")} AS l
      SELECT run_id, token, until::bigint, $4 FROM unnest($1::text[], $2::text[], $3::text[])
        AS q(run_id, token, until) ORDER BY run_id
      ON CONFLICT (run_id) DO UPDATE SET token = excluded.token, until = excluded.until,
        owner = excluded.owner
      WHERE l.until <= $5::bigint OR l.token = excluded.token RETURNING run_id`,
    inherit: `UPDATE ${t("leases")} SET token = $2, until = $3::bigint, owner = $4
      WHERE run_id = $1 AND token IN ($5, $2) RETURNING 1 AS taken`,
    renew: `UPDATE ${t("leases")} SET until = $3::bigint WHERE run_id = $1 AND token = $2
      RETURNING 1 AS taken`,
    release: `DELETE FROM ${t("leases")} l
      USING unnest($1::text[], $2::text[]) AS q(run_id, token)
      WHERE l.run_id = q.run_id AND l.token = q.token`,
    lease: `SELECT token, until::text AS until, owner FROM ${t("leases")} WHERE run_id = $1`,
    owners: `SELECT max(token) AS token, max(until)::text AS until, owner FROM ${t("leases")}
      WHERE until > $1::bigint GROUP BY owner`,
    list:
      `SELECT r.run_id, r.entries, r.workflow, r.state, r.updated_at::text AS updated_at, r.rest,
        e.line AS last, l.owner
      FROM ${t("runs")} r
      JOIN ${t("entries")} e ON e.run = r.key AND e."offset" = r.entries - 1
      LEFT JOIN ${t("leases")} l ON l.run_id = r.run_id AND ${held}
      WHERE r.run_id > $3
        AND ($4::text IS NULL OR r.workflow = $4)
        AND ($5::bigint IS NULL OR r.updated_at >= $5::bigint)
        AND ($6::bigint IS NULL OR r.updated_at < $6::bigint)
        AND ($7::text IS NULL OR $7 = CASE
          WHEN l.owner IS NULL THEN r.alone WHEN r.state = 'pending' THEN 'running' ELSE r.state END)
      ORDER BY r.run_id LIMIT $8::int`,
    due: `SELECT run_id FROM (
        SELECT run_id FROM ${t("runs")} WHERE alone = 'pending'
        UNION SELECT run_id FROM ${t("runs")} WHERE wake_at IS NOT NULL AND wake_at <= $1::bigint
        UNION SELECT run_id FROM ${t("inbox")} WHERE NOT taken
        UNION SELECT p.run_id FROM ${t("runs")} p, json_array_elements_text(p.children) c
          JOIN ${t("runs")} k ON k.run_id = c
          WHERE p.children IS NOT NULL AND k.alone IN ('success', 'failed', 'cancelled', 'continued')
        UNION SELECT p.run_id FROM ${t("runs")} p WHERE p.alone = 'continued'
          AND NOT EXISTS (SELECT 1 FROM ${t("runs")} n WHERE n.run_id = p.successor)
      ) candidates WHERE NOT EXISTS (
        SELECT 1 FROM ${t("leases")} l WHERE l.run_id = candidates.run_id AND ${held}
      )`,
    remove: `WITH entries AS (
        DELETE FROM ${t("entries")} WHERE run = (SELECT key FROM ${t("runs")} WHERE run_id = $1)
      ), inbox AS (DELETE FROM ${t("inbox")} WHERE run_id = $1
      ), leases AS (DELETE FROM ${t("leases")} WHERE run_id = $1
      ), blobs AS (DELETE FROM ${t("blobs")} WHERE run_id = $1
      ) DELETE FROM ${t("runs")} WHERE run_id = $1 RETURNING ${tell}run_id)::text`,
    putBlob: `INSERT INTO ${t("blobs")} VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
    getBlob: `SELECT value FROM ${t("blobs")} WHERE run_id = $1 AND hash = $2`
  }
}

type Param = string | number | null | ReadonlyArray<string>

/** One append as a row of its statement. */
interface Item extends Columns {
  readonly runId: string
  readonly at: string
  readonly lines: ReadonlyArray<string>
  readonly taken: ReadonlyArray<string>
}

interface Claimed {
  readonly runId: string
  readonly token: string
  /** UTC milliseconds. */
  readonly now: number
  readonly until: number
}

interface Looked {
  readonly runId: string
  readonly after: string
}

interface Line {
  readonly run_id: string
  readonly line: string
}

/** How many characters of lines one append statement carries, unless one append alone has more. */
const longest = 1_000_000

/** How many runs one other statement is about. */
const widest = 64

const one = () => 1

const isStep = ({ at, children, state, successor, taken, wakeAt }: Item) =>
  at !== "" && state === "pending" && taken.length === 0 && children === null && successor === null
  && wakeAt === null

const byRun = ({ runId }: { readonly runId: string }) => runId

export const make = (
  { channel, client, joins, schema, self }: Options
): Storage.Driver & { readonly changed: (runId: string) => void } => {
  const { changed, watch } = Storage.makeWatchers()
  const asks = statements(schema, channel)

  const outside = beside(client)
  const once = <A>(doing: string, text: string, params: ReadonlyArray<Param>) =>
    Effect.mapError(
      client.unsafe<A & object>(text, params).withoutTransform,
      toStorageError(doing)
    )
  /** What may be done twice is; a transaction of the caller's cannot go on after a failure. */
  const ask = <A>(doing: string, text: string, ...params: ReadonlyArray<Param>) =>
    joins
      ? Effect.andThen(openOn(client, doing), once<A>(doing, text, params))
      : outside(patiently(once<A>(doing, text, params)))

  /** Asks for one, or for all that wait; in a transaction of the caller's each by itself. */
  const batched = <I, A>(
    doing: (item: I) => string,
    send: (items: ReadonlyArray<I>) => Effect.Effect<ReadonlyArray<A>, Storage.StorageError>,
    options: Omit<Batches.Options<I, A>, "send">
  ): (item: I) => Effect.Effect<A, Storage.StorageError> =>
    joins
      ? (item) => Effect.andThen(openOn(client, doing(item)), Effect.map(send([item]), ([a]) => a!))
      : Batches.make({ ...options, send })
  const asked = <A>(doing: string, text: string, ...params: ReadonlyArray<Param>) =>
    joins ? once<A>(doing, text, params) : patiently(once<A>(doing, text, params))
  const of = (what: string, items: ReadonlyArray<{ readonly runId: string }>) =>
    items.length === 1 ? `${what} of run "${items[0]!.runId}"` : `${what} of ${items.length} runs`

  const step = (item: Item) => {
    const { alone, at, entries, lines, rest, runId, state, updatedAt, version, workflow } = item
    const first = entries - lines.length
    return Effect.map(
      once(`append to run "${runId}"`, asks.step, [
        version,
        entries,
        workflow,
        state,
        alone,
        updatedAt,
        rest,
        runId,
        at,
        first,
        lines
      ]),
      (rows) => [rows.length > 0]
    )
  }
  /** Whether each was at its `at`. */
  const send = (items: ReadonlyArray<Item>) =>
    items.length === 1 && isStep(items[0]!) ? step(items[0]!) : Effect.map(
      once<{ run_id: string }>(
        items.length === 1 ? `append to run "${items[0]!.runId}"` : "append to runs",
        asks.append,
        // Its children are JSON already.
        [JSON.stringify(items.map((item) => ({ ...item, children: childrenOf(item) })))]
      ),
      (rows) => {
        const appended = new Set(rows.map(({ run_id }) => run_id))
        return items.map(({ runId }) => appended.has(runId))
      }
    )
  const append = batched((item: Item) => `append to run "${item.runId}"`, send, {
    // One that syncs, and one that is made ready meanwhile.
    underWay: 2,
    keyOf: byRun,
    sizeOf: ({ lines }) => lines.reduce((sum, line) => sum + line.length, 0),
    room: longest
  })
  const others = { underWay: 1, room: widest, sizeOf: one }
  const read = batched(
    ({ runId }: { readonly runId: string }) => `read the journal of run "${runId}"`,
    (items) =>
      Effect.map(
        asked<Line & { version: string }>(
          of("read the journal", items),
          asks.read,
          items.map(byRun)
        ),
        (rows) => {
          const found = new Map<string, { lines: Array<string>; version: string }>()
          for (const { line, run_id, version } of rows) {
            const known = found.get(run_id)
            if (known === undefined) found.set(run_id, { lines: [line], version })
            else known.lines.push(line)
          }
          return items.map(({ runId }): Storage.Stored => {
            const { lines, version } = found.get(runId) ?? { lines: [], version: "" }
            return { text: lines.map((line) => `${line}\n`).join(""), version }
          })
        }
      ),
    { ...others, keyOf: byRun }
  )
  const inbox = batched(
    ({ runId }: Looked) => `read the inbox of run "${runId}"`,
    (items) =>
      Effect.map(
        asked<Line>(
          of("read the inbox", items),
          asks.inbox,
          items.map(byRun),
          items.map(({ after }) => String(Number(after)))
        ),
        (rows) => {
          const found = new Map<string, Array<string>>()
          for (const { line, run_id } of rows) {
            const known = found.get(run_id)
            if (known === undefined) found.set(run_id, [line])
            else known.push(line)
          }
          return items.map(({ runId }) => found.get(runId) ?? [])
        }
      ),
    { ...others, keyOf: byRun }
  )
  const owner = JSON.stringify(self.name)
  const claim = batched(
    ({ runId }: Claimed) => `take the lease of run "${runId}"`,
    (items) =>
      Effect.map(
        asked<{ run_id: string }>(
          of("take the lease", items),
          asks.acquire,
          items.map(byRun),
          items.map(({ token }) => token),
          items.map(({ until }) => String(until)),
          owner,
          Math.min(...items.map(({ now }) => now))
        ),
        (rows) => {
          const taken = new Set(rows.map(({ run_id }) => run_id))
          return items.map(({ runId }) => taken.has(runId))
        }
      ),
    { ...others, keyOf: byRun }
  )
  const giveBack = batched(
    ({ runId }: Pick<Claimed, "runId" | "token">) => `release the lease of run "${runId}"`,
    (items) =>
      Effect.as(
        asked(
          of("release the lease", items),
          asks.release,
          items.map(byRun),
          items.map(({ token }) => token)
        ),
        items
      ),
    { ...others, keyOf: byRun }
  )

  const itemOf = (runId: string, { at, lines, row }: Storage.Append): Item => {
    const told = row()
    return { ...columnsOf(told), runId, at, lines, taken: told.taken.map(toColumn) }
  }

  const writerOf = (runId: string): Storage.DriverWriter => {
    const doing = `append to run "${runId}"`
    const moved = () => Effect.fail(new Storage.Moved({ runId }))
    const told = ({ version }: Item) => (isMine: boolean) => {
      if (!isMine) return moved()
      changed(runId, "journal")
      return Effect.succeed(version)
    }
    /** Waits until a commit whose answer was lost is one or is none. */
    const settle = ({ at, version }: Item) =>
      Effect.flatMap(
        ask<{ version: string }>(doing, asks.lock, runId),
        ([row]): Effect.Effect<string, Storage.StorageError | Storage.Moved> =>
          row?.version === version
            ? Effect.succeed(version)
            : (row?.version ?? "") === at
            ? Effect.fail(unavailable(doing, new Error("the transaction was rolled back")))
            : moved()
      )
    return {
      append: (at, lines, row) =>
        Effect.suspend(() => {
          const item = itemOf(runId, { at, lines, row })
          return Effect.flatMap(append(item), told(item))
        }),
      transaction: <A, E, R, E2>(
        work: Effect.Effect<A, E, R>,
        toAppend: (value: A) => Effect.Effect<Storage.Append, E2>
      ) =>
        Effect.suspend(() => {
          let sent: Item | undefined
          const inside = Effect.mapError(work, (error) => new Own<E>(error)).pipe(
            Effect.flatMap((value) =>
              Effect.flatMap(
                Effect.mapError(toAppend(value), (error) => new Own<E2>(error)),
                (what) => {
                  const item = itemOf(runId, what)
                  return Effect.flatMap(send([item]), ([isMine]) => {
                    if (isMine !== true) return moved()
                    sent = item
                    return Effect.succeed(item.version)
                  })
                }
              )
            )
          )
          return sameClient(client, doing).pipe(
            Effect.andThen(outside(client.withTransaction(inside))),
            Effect.catchCause((
              cause
            ): Effect.Effect<string, E | E2 | Storage.StorageError | Storage.Moved> => {
              const lost = lostIn(cause)
              if (lost !== undefined) {
                return sent === undefined ? Effect.fail(unavailable(doing, lost)) : settle(sent)
              }
              const found = Cause.findError(cause)
              if (Result.isFailure(found)) return Effect.failCause(found.failure)
              const error = found.success
              if (error instanceof Own) {
                return Effect.fail(
                  isConflict(error.error) ? unavailable(doing, error.error) : error.error
                )
              }
              return Effect.fail(error._tag === "SqlError" ? toStorageError(doing)(error) : error)
            }),
            Effect.tap(() => Effect.sync(() => changed(runId, "journal")))
          )
        })
    }
  }

  /** Owners of live leases that are certain to be dead, as a JSON array. */
  const dead = (now: number) =>
    Effect.flatMap(ask<StoredLease>("list the owners", asks.owners, now), (rows) =>
      Effect.map(
        Effect.filter(rows, (row) =>
          Effect.map(holderOf(self, leaseRow(row), now), (holder) => holder === undefined)),
        (rows) =>
          JSON.stringify(rows.map(({ owner }) => owner))
      ))

  const leaseOf = (runId: string) =>
    Effect.map(
      ask<StoredLease>(`read the lease of run "${runId}"`, asks.lease, runId),
      ([row]) => row === undefined ? undefined : leaseRow(row)
    )

  const driver: Storage.Driver = {
    read: (runId) => read({ runId }),
    version: (runId) =>
      Effect.map(
        ask<{ version: string }>(`look at the journal of run "${runId}"`, asks.version, runId),
        ([row]) => row?.version ?? ""
      ),
    writer: (runId) => Effect.succeed(writerOf(runId)),
    post: (runId, { eventId, id, line }) => {
      const doing = `post to run "${runId}"`
      // Two that post at once want one position: the second takes the next.
      const posted: Effect.Effect<void, Storage.StorageError> = Effect.catchIf(
        Effect.asVoid(client.withTransaction(
          client.unsafe(asks.post, [runId, toColumn(id), toColumn(eventId), line]).withoutTransform
        )),
        (error) => error.reason._tag === "UniqueViolation",
        () => posted
      ).pipe(
        Effect.mapError((error) => error._tag === "SqlError" ? toStorageError(doing)(error) : error)
      )
      return Effect.map(
        joins ? Effect.andThen(openOn(client, doing), posted) : outside(patiently(posted)),
        () => changed(runId, "inbox")
      )
    },
    inbox: (runId, after) =>
      Effect.map(inbox({ runId, after }), (lines) => ({
        text: lines.map((line) => `${line}\n`).join(""),
        cursor: lines.length === 0 ? after : String(Number(after) + lines.length),
        before: Number(after)
      })),
    acquire: (runId, now, until) =>
      Effect.gen(function*() {
        const doing = `take the lease of run "${runId}"`
        const token = randomText(8)
        if (yield* claim({ runId, token, now, until })) return { _tag: "Acquired", token }
        const held = yield* leaseOf(runId)
        const by = yield* holderOf(self, held, now)
        if (by !== undefined) return { _tag: "Held", by }
        const last = held?.token ?? ""
        const inherited = yield* ask(doing, asks.inherit, runId, token, until, owner, last)
        return inherited.length > 0
          ? { _tag: "Acquired", token }
          : { _tag: "Held", by: { host: self.name.host, until: now } }
      }),
    renew: (runId, token, until) =>
      Effect.map(
        ask(`renew the lease of run "${runId}"`, asks.renew, runId, token, until),
        (rows) => rows.length > 0
      ),
    release: (runId, token) => Effect.asVoid(giveBack({ runId, token })),
    holder: (runId, now) => Effect.flatMap(leaseOf(runId), (lease) => holderOf(self, lease, now)),
    list: (query, now) =>
      Effect.gen(function*(): Effect.gen.Return<Storage.Page, Storage.StorageError> {
        const { after = "", limit = 100, status, updatedBefore, updatedFrom, workflow } = query
        const rows = yield* ask<Row>(
          "list the runs",
          asks.list,
          now,
          yield* dead(now),
          after,
          workflow === undefined ? null : toColumn(workflow),
          updatedFrom ?? null,
          updatedBefore ?? null,
          status ?? null,
          limit + 1
        )
        return pageOf(
          rows.map((row) => ({
            ...row,
            runId: row.run_id,
            updatedAt: Number(row.updated_at),
            isHeld: row.owner !== null
          })),
          query
        )
      }),
    due: (now) =>
      Effect.gen(function*() {
        const found = yield* ask<{ run_id: string }>(
          "find the runs that are due",
          asks.due,
          now,
          yield* dead(now)
        )
        return yield* Storage.scanDue(driver, found.map(({ run_id }) => run_id), now)
      }),
    remove: (runId) =>
      Effect.map(
        ask(`remove run "${runId}"`, asks.remove, runId),
        () => changed(runId, "journal")
      ),
    watch,
    // Progress is not told of, and a notification may be lost with its connection.
    seesAll: false,
    blobs: {
      put: (runId, hash, text) =>
        Effect.asVoid(ask(`store a value of run "${runId}"`, asks.putBlob, runId, hash, text)),
      get: (runId, hash) =>
        Effect.map(
          ask<{ value: string }>(`read a value of run "${runId}"`, asks.getBlob, runId, hash),
          ([row]) => row?.value
        )
    }
  }
  return {
    ...driver,
    changed: (runId) => {
      changed(runId, "inbox")
      changed(runId, "journal")
    }
  }
}

/** The lost connection in a cause: the client cannot roll back then, and says that as a defect. */
const lostIn = (cause: Cause.Cause<unknown>): SqlError.SqlError | undefined => {
  for (const reason of cause.reasons) {
    const error = Cause.isFailReason(reason)
      ? reason.error
      : Cause.isDieReason(reason)
      ? reason.defect
      : undefined
    const seen = error instanceof Own ? error.error : error
    if (SqlError.isSqlError(seen) && isLost(seen)) return seen
  }
  return undefined
}

interface StoredLease {
  readonly token: string
  readonly until: string
  readonly owner: string
}

const leaseRow = ({ until, ...row }: StoredLease): LeaseRow => ({ ...row, until: Number(until) })

const childrenOf = ({ children }: Item): unknown => children === null ? null : JSON.parse(children)
