/**
 * What the driver asks of the server: each statement by itself, and those that sessions ask most together with
 * others' at the same time.
 */
import * as Effect from "effect/Effect"
import type * as SqlClient from "effect/sql/SqlClient"
import type { Storage } from "../index.ts"
import { versionOf } from "../sql/Index.ts"
import { beside, openOn } from "../sql/Transaction.ts"
import { type Item, paramsOf } from "./appendParams.ts"
import * as Batches from "./Batches.ts"
import { isPlaceTaken, patiently, toStorageError } from "./Errors.ts"
import type { Param, Statements } from "./statements.ts"

export interface Options {
  readonly client: SqlClient.SqlClient
  readonly asks: Statements
  /** Whether every statement is to be part of a transaction that the calling fiber has open. */
  readonly joins: boolean
  /** This process, as leases name it. */
  readonly owner: string
}

/** What the function `found` says of a run. */
const foundOf = (runId: string, found: string): Storage.Found => {
  const [key, entries, hasPosts] = JSON.parse(found) as [string | null, number | null, boolean]
  return { version: key === null ? "" : versionOf(runId, key, entries!), hasPosts }
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

  /** What may as well not be done. */
  const attempt = (doing: string, text: string, ...params: ReadonlyArray<Param>) =>
    outside(once(doing, text, params))

  /** Asks for one, or for all that wait; in a transaction of the caller's each by itself. */
  const batched = <I, A>(
    doing: (item: I) => string,
    send: (items: ReadonlyArray<I>) => Effect.Effect<ReadonlyArray<A>, Storage.StorageError>,
    options: Omit<Batches.Options<I, A>, "send">
  ): (item: I) => Effect.Effect<A, Storage.StorageError> =>
    joins
      ? (item) => Effect.andThen(openOn(client, doing(item)), Effect.map(send([item]), ([a]) => a!))
      : Batches.make({ ...options, send: (items) => outside(send(items)) })
  const asked = <A>(doing: string, text: string, ...params: ReadonlyArray<Param>) =>
    joins ? once<A>(doing, text, params) : patiently(once<A>(doing, text, params))
  const of = (what: string, items: ReadonlyArray<{ readonly runId: string }>) =>
    items.length === 1 ? `${what} of run "${items[0]!.runId}"` : `${what} of ${items.length} runs`

  const steps = ({ first, key, lines, runId }: Item) =>
    Effect.map(
      lines.length === 1
        ? once(`append to run "${runId}"`, asks.step, [key!, first, lines[0]!])
        : once(`append to run "${runId}"`, asks.steps, [key!, first, lines]),
      (rows) => rows.length > 0 ? [key] : [undefined]
    )
  const rows = (items: ReadonlyArray<Item>) =>
    Effect.map(
      once<{ key: string; run_id: string | null }>(
        items.length === 1 ? `append to run "${items[0]!.runId}"` : "append to runs",
        asks.append,
        paramsOf(items)
      ),
      (rows) => {
        const written = new Map<string, string>()
        const counted = new Set<string>()
        for (const { key, run_id } of rows) {
          if (run_id === null) counted.add(key)
          else written.set(run_id, key)
        }
        return items.map(({ key = "", row, runId }) =>
          row !== undefined ? written.get(runId) : counted.has(key) ? key : undefined
        )
      }
    )
  /** The key of each one's row; undefined of those that were not where they are to be appended. */
  const send = (
    items: ReadonlyArray<Item>
  ): Effect.Effect<ReadonlyArray<string | undefined>, Storage.StorageError> => {
    const [item, another] = items
    const sent = another === undefined && item!.row === undefined ? steps(item!) : rows(items)
    // The place of an entry is taken. Of several, each is sent again by itself.
    return another === undefined
      ? Effect.catchIf(sent, isPlaceTaken, () => Effect.succeed([undefined]))
      : sent
  }
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
        asked<Line & { key: string }>(
          of("read the journal", items),
          asks.read,
          items.map(byRun)
        ),
        (rows) => {
          const found = new Map<string, { lines: Array<string>; key: string }>()
          for (const { key, line, run_id } of rows) {
            const known = found.get(run_id)
            if (known === undefined) found.set(run_id, { lines: [line], key })
            else known.lines.push(line)
          }
          return items.map(({ runId }): Storage.Stored => {
            const read = found.get(runId)
            if (read === undefined) return { text: "", version: "" }
            const { key, lines } = read
            return { text: `${lines.join("\n")}\n`, version: versionOf(runId, key, lines.length) }
          })
        }
      ),
    { ...others, keyOf: byRun }
  )
  const version = batched(
    ({ runId }: { readonly runId: string }) => `look at the journal of run "${runId}"`,
    (items) =>
      Effect.map(
        asked<{ run_id: string; key: string; entries: number }>(
          of("look at the journal", items),
          asks.versions,
          items.map(byRun)
        ),
        (rows) => {
          const found = new Map(
            rows.map(({ entries, key, run_id }) => [run_id, versionOf(run_id, key, entries)])
          )
          return items.map(({ runId }) => found.get(runId) ?? "")
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
        asked<{ run_id: string; found: string }>(
          of("take the lease", items),
          asks.acquire,
          items.map(byRun),
          items.map(({ token }) => token),
          items.map(({ until }) => String(until)),
          owner,
          Math.min(...items.map(({ now }) => now))
        ),
        (rows) => {
          const taken = new Map(rows.map(({ found, run_id }) => [run_id, foundOf(run_id, found)]))
          return items.map(({ runId }) => taken.get(runId))
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

  return { outside, ask, attempt, append, appendNow: send, read, version, inbox, claim, giveBack }
}
