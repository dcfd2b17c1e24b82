/**
 * The storage of a server, over its API: for `Runs` and contracts of a process that has no other way to it.
 *
 * Runs are begun, sent to, steered and looked at. None is driven: there are no leases, no inboxes and no writers here, and
 * what is read is redacted.
 */
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import { type Driver, type Query, StorageError } from "../Driver.ts"
import * as Journal from "../Journal.ts"
import * as Status from "../Status.ts"
import * as Storage from "../Storage.ts"
import { type Client, client, type ClientOptions } from "./Client.ts"
import { addressed, besideIt, failing, unsupported } from "./Faults.ts"
import * as Following from "./Following.ts"
import { latest } from "./Inputs.ts"
import { changing } from "./RemoteWrites.ts"

type Service = Storage.Storage["Service"]

/**
 * The storage of a server, for `Runs` and for contracts of `Workflow.define`, from anywhere that reaches its API: they
 * give what they give on the server, with secrets as `"<redacted>"`.
 *
 * The token needs `read`, to begin runs and to send to them `send`, for the rest `admin`. A server that does not answer, or
 * counts too many requests, fails calls with `StorageError` as `Unavailable`; a token that does not fit, as `Denied`.
 *
 * @example
 * ```ts
 * import { Storage, Workflow } from "reprise"
 * import { Http } from "reprise/http"
 * import { Effect, Layer, Redacted, Schema } from "effect"
 * import { FetchHttpClient } from "effect/http"
 *
 * const token = Redacted.make("VRxEN3V7cVxkO2W0VEYPhFkT1QzzqCkF")
 * const { handler } = Http.toWebHandler({
 *   tokens: [{ name: "shop", token, scopes: ["read", "send"] }],
 *   layer: Storage.layerMemory
 * })
 * // In place of a connection: the server is in this process.
 * const fetch = (url: string | URL | Request, init?: RequestInit) => handler(new Request(url, init))
 * const runs = Http.layerRuns({ url: "http://localhost", token }).pipe(
 *   Layer.provide(FetchHttpClient.layer),
 *   Layer.provide(Layer.succeed(FetchHttpClient.Fetch, fetch))
 * )
 *
 * const index = Workflow.define("index", { input: Schema.String })
 * const program = Effect.gen(function*() {
 *   const runId = yield* index.enqueue("home", { idempotencyKey: "edit 7" })
 *   return [runId, (yield* index.status(runId)).status]
 * })
 * const begun = await Effect.runPromise(Effect.provide(program, runs))
 * begun // => ["index:edit 7", "pending"]
 * ```
 */
export const layerRuns = (
  options: ClientOptions
): Layer.Layer<Storage.Storage, never, HttpClient.HttpClient> =>
  Layer.effect(Storage.Storage, make(options))

const make = Effect.fnUntraced(function*(options: ClientOptions) {
  const api = yield* client(options)
  const base = Storage.make(undriven)
  const following = yield* Following.make(api, base.live)
  return Storage.Storage.of({
    ...base,
    ...reading(api, following),
    ...changing(api, following),
    // What is begun there may have ended long ago, and is told of by nobody else.
    enqueued: { add: () => {}, get: () => undefined, take: () => undefined },
    watch: following.watch
  })
})

// ---------------------------------------------------------------------------------------------------
// what it cannot do

/** What reads and writes lines, or holds leases, is refused. */
const undriven: Driver = {
  read: (runId) => besideIt(`read the lines of run "${runId}"`),
  version: (runId) => besideIt(`read the lines of run "${runId}"`),
  writer: (runId) => besideIt(`write to run "${runId}"`),
  post: (runId) => besideIt(`post a line to run "${runId}"`),
  inbox: (runId) => besideIt(`read the inbox of run "${runId}"`),
  acquire: (runId) => besideIt(`take the lease of run "${runId}"`),
  renew: (runId) => besideIt(`renew the lease of run "${runId}"`),
  release: (runId) => besideIt(`release the lease of run "${runId}"`),
  holder: (runId) => besideIt(`read the lease of run "${runId}"`),
  list: () => besideIt("list the lines of runs"),
  due: () => besideIt("look for runs to drive"),
  remove: (runId) => besideIt(`remove the lines of run "${runId}"`),
  watch: () => () => {},
  seesAll: true
}

// ---------------------------------------------------------------------------------------------------
// looking

const reading = ({ runs }: Client, following: Following.Following) => {
  const read: Service["read"] = Effect.fnUntraced(function*(runId) {
    const doing = `read run "${runId}"`
    const address = yield* addressed(doing, runId)
    let entries: Array<Journal.Recorded> = []
    for (;;) {
      const page = yield* runs.journal({
        ...address,
        query: { offset: entries.length, limit: 10_000 }
      }).pipe(
        failing(doing, "RunNotFound", "JournalCorrupt"),
        Effect.catchTag("RunNotFound", () => Effect.undefined)
      )
      if (page === undefined) {
        following.forget(runId)
        return yield* Storage.nothing(runId)
      }
      const next = page.entries as unknown as ReadonlyArray<Journal.Recorded>
      if (next.length === 0 && entries.length === 0 && page.total > 0) {
        return yield* unsupported(doing, "the server does not give its entries")
      }
      // Another run has come in its place.
      if (entries.length > 0 && next[0]?.prev !== entries.at(-1)!.sum) {
        entries = []
        continue
      }
      entries.push(...next)
      if (entries.length < page.total) continue
      const { rejected, torn } = page
      const journal: Journal.Journal = { runId, entries, head: headOf(entries), rejected, torn }
      const status = Status.of(runId, entries)
      following.saw(status)
      return { journal, version: Following.versionOf(status) }
    }
  })
  return {
    read,
    version: Effect.fnUntraced(function*(runId: string) {
      const known = following.version(runId)
      if (known !== undefined) return known
      const doing = `look at run "${runId}"`
      return yield* runs.status(yield* addressed(doing, runId)).pipe(
        Effect.map(Following.versionOf),
        failing(doing, "RunNotFound"),
        Effect.catchTag("RunNotFound", () => Effect.succeed(""))
      )
    }),
    holder: Effect.fnUntraced(function*(runId: string) {
      const doing = `read the lease of run "${runId}"`
      const { holder } = yield* failing(doing)(runs.lease(yield* addressed(doing, runId)))
      return holder
    }),
    list: (query: Query) =>
      Effect.map(
        failing("list runs")(runs.list({ query: within(query) })),
        ({ unreadable, ...page }) => ({ ...page, unreadable: unreadable.map(unread) })
      ),
    due: (now: number) => failing("look for runs to drive")(runs.due({ query: { now } }))
  } satisfies Partial<Service>
}

/** What the next line would follow. */
const headOf = (entries: ReadonlyArray<Journal.Recorded>): Journal.Head => {
  const last = entries.at(-1)
  if (last === undefined) return Journal.emptyHead
  const { incarnation, session, sum, writer } = last
  return { incarnation, session, writer, offset: entries.length, prev: sum }
}

/** What the API takes: a page of fewer runs than were asked for says where the next one begins. */
const within = ({ after, limit, status, updatedBefore, updatedFrom, workflow }: Query) => ({
  ...(status === undefined ? undefined : { status }),
  ...(workflow === undefined ? undefined : { workflow }),
  ...(after === undefined ? undefined : { after }),
  ...(limit === undefined ? undefined : { limit: Math.min(Math.max(limit, 1), 1_000) }),
  ...(updatedFrom === undefined ? undefined : { updatedFrom: instant(updatedFrom) }),
  ...(updatedBefore === undefined ? undefined : { updatedBefore: instant(updatedBefore) })
})

const instant = (millis: number) => Math.min(Math.max(millis, 0), latest)

/** Of what is wrong with it there is only a text. */
const unread = ({ message, runId }: { readonly runId: string; readonly message: string }) => ({
  runId,
  error: new StorageError({
    reason: "Unknown",
    doing: `read run "${runId}"`,
    cause: new Error(message)
  })
})
