/**
 * The driver over Effect's SQL client: what each verb asks of Postgres. `PostgresStorage` is the layer over it.
 *
 * An entry's place, its run and its offset, is unique: of two who append behind one state, the second waits for
 * the first, and then finds its place taken. The run's row is written when the run's state changes; steps that are
 * done are counted by their entries.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { Storage } from "../index.ts"
import { randomText } from "../RunId.ts"
import * as Held from "../sql/Held.ts"
import {
  type Columns,
  columnsOf,
  dueOf,
  isoOf,
  pageOf,
  placeOf,
  toColumn,
  versionOf
} from "../sql/Index.ts"
import { holderOf, type LeaseRow } from "../sql/Lease.ts"
import { isConflict, openOn, Own, sameClient, unavailable } from "../sql/Transaction.ts"
import * as Status from "../Status.ts"
import type { ThisProcess } from "../storage/ThisProcess.ts"
import type { Item } from "./appendParams.ts"
import * as Asks from "./Asks.ts"
import { failsIfLost, lostIn, patiently, toStorageError } from "./Errors.ts"
import * as News from "./News.ts"
import { statements } from "./statements.ts"

export interface Options extends Pick<Asks.Options, "client" | "joins"> {
  readonly schema: string
  readonly self: ThisProcess
  /** The channel on which runs are told of. */
  readonly channel: string
}

interface Row {
  readonly run_id: string
  readonly entries: number
  readonly steps: number
  readonly workflow: string
  readonly state: Columns["state"]
  readonly updated_at: string
  readonly rest: string
  readonly last: string
  readonly owner: string | null
}

export const make = ({ channel, client, joins, schema, self }: Options) => {
  const { changed, watch } = Storage.makeWatchers()
  const { hint, hints } = Storage.makeHints()
  const held = Held.make()
  const asks = statements(schema, channel)
  const owner = JSON.stringify(self.name)
  const { append, appendNow, ask, attempt, claim, giveBack, inbox, outside, read, version } = Asks
    .make({
      asks,
      client,
      joins,
      owner
    })
  const { heard, sender, tell, told } = News.make((payload) =>
    attempt("tell of runs", asks.notify, payload)
  )

  /**
   * Tells of what was appended, if others wait for it; in a transaction of the caller's, as part of it. Who enqueues
   * one run has told of it when the call returns: nothing more may go on in a process that was only woken for that.
   */
  const tellOf = ({ row, runId }: Item): Effect.Effect<void, Storage.StorageError> => {
    if (row === undefined || (row.state === "pending" && !row.isEnqueued)) return Effect.void
    if (joins) return Effect.asVoid(ask(`tell of run "${runId}"`, asks.notify, sender + runId))
    return row.isEnqueued ? tell(runId) : Effect.asVoid(Effect.forkDetach(tell(runId)))
  }

  /** Undefined when `at` is no state of a journal. */
  const itemOf = (
    runId: string,
    { areSteps, at, lines, row }: Storage.Append
  ): Item | undefined => {
    const place = at === "" ? { key: undefined, entries: 0 } : placeOf(runId, at)
    if (place === undefined) return undefined
    const { entries: first, key } = place
    const item = { runId, key, first, lines, row: undefined, lease: undefined }
    if (areSteps === true && key !== undefined) return item
    const told = row()
    const taken = told.taken.map(toColumn)
    const lease = Status.isEnded(told.status) ? held.tokenOf(runId) : undefined
    const isEnqueued = key === undefined && told.status.fruitless === 0
    return { ...item, row: { ...columnsOf(told), taken, isEnqueued }, lease }
  }

  const writerOf = (runId: string): Storage.DriverWriter => {
    const doing = `append to run "${runId}"`
    const moved = () => Effect.fail(new Storage.Moved({ runId }))
    const behind = ({ first, lines }: Item, key: string) =>
      versionOf(runId, key, first + lines.length)
    /** Waits until a commit whose answer was lost is one or is none: its row is locked until then. */
    const settle = (at: string, { first, key = "0", lines, ...item }: Item) =>
      Effect.gen(function*() {
        yield* ask(doing, asks.lock, runId)
        const [entry] = yield* ask<{ line: string }>(doing, asks.line, key, first)
        if (entry !== undefined && entry.line === lines[0]) {
          return behind({ first, key, lines, ...item }, key)
        }
        return yield* (yield* version({ runId })) === at
          ? Effect.fail(unavailable(doing, new Error("the transaction was rolled back")))
          : moved()
      })
    return {
      append: (at, lines, row, areSteps) =>
        Effect.suspend(() => {
          const item = itemOf(runId, { at, lines, row, areSteps })
          if (item === undefined) return moved()
          return Effect.flatMap(append(item), (
            key
          ): Effect.Effect<string, Storage.Moved | Storage.StorageError> => {
            if (key === undefined) return moved()
            if (item.lease !== undefined) held.drop(runId)
            changed(runId, "journal")
            return Effect.as(tellOf(item), behind(item, key))
          })
        }),
      transaction: <A, E, R, E2>(
        work: Effect.Effect<A, E, R>,
        toAppend: (value: A) => Effect.Effect<Storage.Append, E2>
      ) =>
        Effect.suspend(() => {
          let sent: { readonly at: string; readonly item: Item } | undefined
          const inside = Effect.mapError(work, (error) => new Own<E>(error)).pipe(
            Effect.flatMap((value) =>
              Effect.flatMap(
                Effect.mapError(toAppend(value), (error) => new Own<E2>(error)),
                ({ at, lines, row }) => {
                  // Always with the row: who settles waits for its lock.
                  const item = itemOf(runId, { at, lines, row })
                  if (item === undefined) return moved()
                  return Effect.flatMap(appendNow([item]), ([key]) => {
                    if (key === undefined) return moved()
                    sent = { at, item }
                    return Effect.succeed(behind(item, key))
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
                return sent === undefined
                  ? Effect.fail(unavailable(doing, lost))
                  : settle(sent.at, sent.item)
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
            Effect.tap(() => {
              changed(runId, "journal")
              return sent === undefined ? Effect.void : tellOf(sent.item)
            })
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
    version: (runId) => version({ runId }),
    writer: (runId) => Effect.succeed(writerOf(runId)),
    post: (runId, { eventId, id, line }) => {
      const doing = `post to run "${runId}"`
      const params = [runId, toColumn(id), toColumn(eventId), line, sender]
      const once = Effect.asVoid(client.unsafe(asks.post, params).withoutTransform)
      // Two that post at once want one position: the second takes the next.
      const posted: Effect.Effect<void, Storage.StorageError> = Effect.catchIf(
        // A transaction of the caller's goes on behind a statement that failed.
        joins ? failsIfLost(client.withTransaction(once)) : once,
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
    acquire: Effect.fnUntraced(
      function*(runId, now, until): Effect.fn.Return<Storage.Claim, Storage.StorageError> {
        const doing = `take the lease of run "${runId}"`
        const token = randomText(8)
        const found = yield* claim({ runId, token, now, until })
        if (found !== undefined) {
          held.add(runId, token)
          return { _tag: "Acquired", token, found }
        }
        const lease = yield* leaseOf(runId)
        const by = yield* holderOf(self, lease, now)
        if (by !== undefined) return { _tag: "Held", by }
        const last = lease?.token ?? ""
        const inherited = yield* ask(doing, asks.inherit, runId, token, until, owner, last)
        if (inherited.length === 0) {
          return { _tag: "Held", by: { host: self.name.host, until: now } }
        }
        held.add(runId, token)
        return { _tag: "Acquired", token }
      }
    ),
    renew: (runId, token, until) =>
      Effect.map(
        ask(`renew the lease of run "${runId}"`, asks.renew, runId, token, until),
        (rows) => rows.length > 0
      ),
    release: (runId, token) =>
      Effect.suspend(() =>
        held.release(runId, token) ? Effect.asVoid(giveBack({ runId, token })) : Effect.void
      ),
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
          limit + 1,
          isoOf(updatedFrom),
          isoOf(updatedBefore)
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
        const found = yield* ask<{ run_id: string; is_sure: boolean }>(
          "find the runs that are due",
          asks.due,
          now,
          yield* dead(now)
        )
        const runs = found.map(({ is_sure, run_id }) => ({ runId: run_id, isSure: is_sure }))
        // As many as go in one statement.
        return yield* dueOf(driver, runs, now, 64)
      }),
    remove: (runId) =>
      Effect.map(
        ask(`remove run "${runId}"`, asks.remove, runId, sender),
        () => changed(runId, "journal")
      ),
    watch,
    hints,
    nextWake: (now) =>
      Effect.map(
        ask<{ at: string | null }>("find the next timer", asks.nextWake, now),
        ([row]) => typeof row?.at === "string" ? Number(row.at) : undefined
      ),
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
    driver,
    told,
    /** What is told on the channel. */
    onNews: (payload: string): void => {
      for (const runId of heard(payload)) {
        changed(runId, "inbox")
        changed(runId, "journal")
        hint(runId)
      }
    }
  }
}

interface StoredLease {
  readonly token: string
  readonly until: string
  readonly owner: string
}

const leaseRow = ({ until, ...row }: StoredLease): LeaseRow => ({ ...row, until: Number(until) })
