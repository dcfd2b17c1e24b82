/** An object store over the binding of a Cloudflare R2 bucket in a Worker. */
import * as Effect from "effect/Effect"
import { Storage } from "../index.ts"
import type { Condition, ObjectStore } from "./ObjectStore.ts"

interface R2Object {
  readonly key: string
  readonly etag: string
}

/** What is used of a bucket's binding. */
export interface R2Bucket {
  readonly get: (
    key: string
  ) => Promise<(R2Object & { readonly arrayBuffer: () => Promise<ArrayBuffer> }) | null>
  readonly head: (key: string) => Promise<R2Object | null>
  readonly put: (
    key: string,
    value: string,
    options?: {
      readonly onlyIf?: { readonly etagMatches?: string; readonly etagDoesNotMatch?: string }
    }
  ) => Promise<R2Object | null>
  readonly delete: (key: string) => Promise<void>
  readonly list: (options: {
    readonly prefix: string
    readonly startAfter?: string
  }) => Promise<{ readonly objects: ReadonlyArray<R2Object>; readonly truncated: boolean }>
}

/** Whether trying again may help, by the code that R2 puts at the end of a message, as in `(10058)`. */
const reasonOf = (error: unknown): Storage.StorageError["reason"] => {
  const code = /\((\d{5})\)\s*$/.exec(String(error instanceof Error ? error.message : error))?.[1]
  // 10001 internal, 10043 unavailable, 10054 client disconnected, 10058 too many writes of one key
  return code === undefined || /^(10001|10043|10054|10058)$/.test(code) ? "Unavailable" : "Unknown"
}

const call = <A>(doing: string, f: () => Promise<A>) =>
  Effect.tryPromise({
    try: f,
    catch: (cause) => new Storage.StorageError({ reason: reasonOf(cause), doing, cause })
  })

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true })

const onlyIf = (condition: Condition) =>
  "ifMatch" in condition ? { etagMatches: condition.ifMatch } : { etagDoesNotMatch: "*" }

/**
 * The objects of a bucket: `ObjectStorage.r2(env.BUCKET)`.
 *
 * R2 takes one write a second of one key, so every append is an object of its own unless `segmentBytes` says
 * otherwise.
 */
export const r2 = (
  bucket: R2Bucket,
  options: { readonly segmentBytes?: number | undefined } = {}
): ObjectStore => ({
  segmentBytes: options.segmentBytes ?? 0,
  get: (key) =>
    call(`read ${key}`, async () => {
      const found = await bucket.get(key)
      return found === null
        ? undefined
        : { body: utf8.decode(await found.arrayBuffer()), etag: found.etag }
    }),
  head: (key) => call(`look at ${key}`, async () => (await bucket.head(key))?.etag),
  put: (key, body, condition) =>
    call(`write ${key}`, async () =>
      (await bucket.put(
        key,
        body,
        condition === undefined ? {} : { onlyIf: onlyIf(condition) }
      ))?.etag),
  delete: (key) => call(`remove ${key}`, () => bucket.delete(key)),
  list: (prefix, after) =>
    call(`list ${prefix}`, async () => {
      const { objects, truncated } = await bucket.list({
        prefix,
        ...(after === undefined ? undefined : { startAfter: after })
      })
      const keys = objects.map(({ key }) => key)
      const next = truncated ? keys.at(-1) : undefined
      return { keys, ...(next === undefined ? undefined : { next }) }
    })
})
