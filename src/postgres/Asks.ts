/**
 * What the driver asks of the server: each statement by itself, and those that sessions ask most together with
 * others' at the same time.
 */
import * as Effect from "effect/Effect"
import type * as SqlClient from "effect/sql/SqlClient"
import type { Storage } from "../index.ts"
import type { Columns } from "../sql/Index.ts"
import { beside, openOn } from "../sql/Transaction.ts"
import * as Batches from "./Batches.ts"
import { patiently, toStorageError } from "./Errors.ts"
import type { Param, Statements } from "./statements.ts"

export interface Options {
  readonly client: SqlClient.SqlClient
  readonly asks: Statements
  /** Whether every statement is to be part of a transaction that the calling fiber has open. */
  readonly joins: boolean
  /** This process, as leases name it. */
  readonly owner: string
}

/** One append as a row of its statement. */
export interface Item extends Columns {
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

export const make = ({ asks, client, joins, owner }: Options) => {
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
        paramsOf(items)
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

  return { outside, ask, append, appendNow: send, read, inbox, claim, giveBack }
}

/** The items as columns: of their rows, their lines, and the posts that they take. */
const paramsOf = (items: ReadonlyArray<Item>): ReadonlyArray<ReadonlyArray<string>> => {
  const column = (of: (item: Item) => string | number | null) =>
    items.map((item) => String(of(item) ?? ""))
  const lines = items.flatMap(({ entries, lines, runId }) =>
    lines.map((line, i) => [runId, String(entries - lines.length + i), line] as const)
  )
  const taken = items.flatMap(({ runId, taken }) => taken.map((id) => [runId, id] as const))
  // An array of nothing has no type: no run has no id.
  if (taken.length === 0) taken.push(["", ""])
  return [
    column(byRun),
    column(({ at }) => at),
    column(({ version }) => version),
    column(({ entries }) => entries),
    column(({ workflow }) => workflow),
    column(({ state }) => state),
    column(({ alone }) => alone),
    column(({ wakeAt }) => wakeAt),
    column(({ updatedAt }) => updatedAt),
    column(({ children }) => children),
    column(({ successor }) => successor),
    column(({ rest }) => rest),
    lines.map(([runId]) => runId),
    lines.map(([, nth]) => nth),
    lines.map(([, , line]) => line),
    taken.map(([runId]) => runId),
    taken.map(([, id]) => id)
  ]
}
