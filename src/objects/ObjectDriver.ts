/**
 * The driver over an object store: journals in segments, an inbox as numbered objects, a lease as one.
 *
 * An object store has no index: a listing of keys is a hint, and the journals decide. `list` and `due` read
 * one run after the other.
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { Journal, Storage } from "../index.ts"
import { randomText } from "../RunId.ts"
import { decodeLease, holderOf, type LeaseRow } from "../sql/Lease.ts"
import type { ThisProcess } from "../storage/ThisProcess.ts"
import type { Keys } from "./Keys.ts"
import type { ObjectStore } from "./ObjectStore.ts"
import * as Segments from "./Segments.ts"

/** How many runs' last segments are remembered. */
const remembered = 1_000

/** How many requests are under way when many objects are asked for. */
const concurrency = 16

/** Reading may be repeated; so may what is written without a condition. */
const patiently = <A>(
  effect: Effect.Effect<A, Storage.StorageError>
): Effect.Effect<A, Storage.StorageError> =>
  Effect.retry(effect, {
    schedule: Schedule.jittered(Schedule.exponential("50 millis")),
    times: 6,
    while: (error) => error.isRetryable
  })

export const make = (given: ObjectStore, keys: Keys, self: ThisProcess): Storage.Driver => {
  const store: ObjectStore = {
    ...given,
    get: (key) => patiently(given.get(key)),
    head: (key) => patiently(given.head(key)),
    delete: (key) => patiently(given.delete(key)),
    list: (prefix, after) => patiently(given.list(prefix, after))
  }
  const segments = Segments.make(store, keys)
  const { changed, watch } = Storage.makeWatchers()
  const tails = new Map<string, Segments.Tail>()
  const remember = (runId: string, tail: Segments.Tail | undefined): string => {
    tails.delete(runId)
    if (tail === undefined) return ""
    if (tails.size >= remembered) {
      for (const oldest of tails.keys()) {
        tails.delete(oldest)
        break
      }
    }
    tails.set(runId, tail)
    return Segments.versionOf(tail)
  }

  const read: Storage.Driver["read"] = (runId) =>
    Effect.map(segments.read(runId), ({ tail, text }) => ({ text, version: remember(runId, tail) }))

  const allKeys = (prefix: string) =>
    Effect.gen(function*() {
      const keys: Array<string> = []
      let after: string | undefined
      do {
        const page = yield* store.list(prefix, after)
        keys.push(...page.keys)
        after = page.next
      } while (after !== undefined)
      return keys
    })

  const leaseOf = (runId: string) =>
    Effect.map(
      store.get(keys.lease(runId)),
      (found) => found === undefined ? undefined : { row: leaseRow(found.body), etag: found.etag }
    )

  const holder: Storage.Driver["holder"] = (runId, now) =>
    Effect.flatMap(leaseOf(runId), (lease) => holderOf(self, lease?.row, now))

  /** Changes the lease if it is still `token`'s. Its text is new every time, so that its ETag is. */
  const change = (runId: string, token: string, until: number) =>
    Effect.gen(function*() {
      const lease = yield* leaseOf(runId)
      if (lease?.row?.token !== token || lease.row.until === 0) return false
      // The answer to an earlier try was lost.
      if (lease.row.until === until) return true
      const body = JSON.stringify({ ...lease.row, until, nonce: randomText(8) })
      const changed = yield* store.put(keys.lease(runId), body, { ifMatch: lease.etag })
      // One's own write is refused when it is repeated.
      return changed !== undefined || (yield* store.get(keys.lease(runId)))?.body === body
    })

  const driver: Storage.Driver = {
    read,
    version: (runId) =>
      Effect.gen(function*() {
        const hint = tails.get(runId)
        return hint !== undefined && (yield* segments.isAt(runId, hint))
          ? Segments.versionOf(hint)
          : (yield* read(runId)).version
      }),
    writer: (runId) =>
      Effect.succeed({
        append: (at, lines, row) =>
          Effect.uninterruptible(Effect.map(
            segments.append(runId, at, lines, row().head.incarnation, tails.get(runId)),
            (tail) => {
              const version = remember(runId, tail)
              changed(runId, "journal")
              return version
            }
          ))
      }),
    post: (runId, { line }) =>
      Effect.gen(function*() {
        const body = `${line}\n`
        const before = yield* allKeys(keys.inbox(runId))
        let last = before.map(keys.positionOf).at(-1) ?? 0
        // A listing may be late: what it shows may be gone, and what it does not show is passed by below.
        while (last > 0 && (yield* store.head(keys.post(runId, last))) === undefined) last--
        for (let position = last;;) {
          position++
          const key = keys.post(runId, position)
          const put = yield* patiently(store.put(key, body, { ifNoneMatch: "*" }))
          // One's own write is refused when it is repeated.
          if (put !== undefined || (yield* store.get(key))?.body === body) break
        }
        changed(runId, "inbox")
      }).pipe(Effect.uninterruptible),
    inbox: (runId, after) =>
      Effect.gen(function*() {
        const before = Number(after)
        // Where a run of this id was removed, the first of its posts may be gone.
        const listed = after === "" ? (yield* allKeys(keys.inbox(runId))).map(keys.positionOf) : []
        const found = yield* Effect.forEach(
          listed,
          (position) => store.get(keys.post(runId, position)),
          { concurrency }
        )
        const texts = found.flatMap((one) => one === undefined ? [] : [one.body])
        let last = listed.at(-1) ?? before
        // What the listing does not show yet.
        for (let ask = 1;; ask = concurrency) {
          const more = yield* Effect.forEach(
            Array.from({ length: ask }, (_, i) => last + 1 + i),
            (position) => store.get(keys.post(runId, position)),
            { concurrency }
          )
          const end = more.indexOf(undefined)
          const taken = more.slice(0, end < 0 ? ask : end)
          texts.push(...taken.map((one) => one!.body))
          last += taken.length
          if (end >= 0) break
        }
        return { text: texts.join(""), cursor: last === 0 ? after : String(last), before }
      }),
    acquire: (runId, now, until) => {
      const token = randomText(8)
      const row: LeaseRow = { token, until, owner: JSON.stringify(self.name) }
      return patiently(Effect.gen(function*(): Effect.gen.Return<
        Storage.Claim,
        Storage.StorageError
      > {
        const lease = yield* leaseOf(runId)
        // The answer to an earlier try was lost.
        if (lease?.row?.token === token) return { _tag: "Acquired", token }
        const by = yield* holderOf(self, lease?.row, now)
        if (by !== undefined) return { _tag: "Held", by }
        const taken = yield* store.put(
          keys.lease(runId),
          JSON.stringify(row),
          lease === undefined ? { ifNoneMatch: "*" } : { ifMatch: lease.etag }
        )
        if (taken !== undefined || (yield* leaseOf(runId))?.row?.token === token) {
          return { _tag: "Acquired", token }
        }
        const other = yield* holder(runId, now)
        return { _tag: "Held", by: other ?? { host: self.name.host, until: now } }
      }))
    },
    renew: (runId, token, until) => patiently(change(runId, token, until)),
    release: (runId, token) => Effect.asVoid(patiently(change(runId, token, 0))),
    holder,
    list: (query, now) =>
      Effect.flatMap(allKeys(keys.runs), (found) =>
        Storage.pageOf(
          query,
          found.map((key) => {
            const runId = keys.runIdOf(key)
            const status = Effect.gen(function*() {
              const { text } = yield* read(runId)
              const journal = yield* Effect.fromResult(Journal.read(runId, text))
              return Storage.statusOf(journal, (yield* holder(runId, now)) !== undefined)
            })
            return { runId, status }
          })
        )),
    due: (now) =>
      Effect.flatMap(
        allKeys(keys.runs),
        (found) => Storage.scanDue(driver, found.map(keys.runIdOf), now, concurrency)
      ),
    remove: (runId) =>
      Effect.gen(function*() {
        // What is listed now is not of a run that is made anew meanwhile.
        const rest = yield* Effect.forEach(keys.rest(runId), allKeys)
        // The first segment first: without it the rest belongs to nobody.
        yield* store.delete(keys.segment(runId, "", 0))
        yield* store.delete(keys.lease(runId))
        yield* Effect.forEach(rest.flat(), store.delete, { concurrency, discard: true })
        remember(runId, undefined)
        changed(runId, "journal")
      }),
    watch,
    // Others write without telling.
    seesAll: false,
    blobs: {
      put: (runId, hash, text) => Effect.asVoid(patiently(store.put(keys.blob(runId, hash), text))),
      get: (runId, hash) => Effect.map(store.get(keys.blob(runId, hash)), (found) => found?.body)
    }
  }
  return driver
}

/** A lease is advice: one that cannot be read holds nothing. */
const leaseRow = (body: string): LeaseRow | undefined => {
  try {
    return decodeLease(JSON.parse(body))
  } catch {
    return undefined
  }
}
