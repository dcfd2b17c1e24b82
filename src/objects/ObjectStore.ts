/**
 * What a journal needs of an object store: whole objects by key, and writes that a condition can refuse. The
 * two kinds of client are `r2` and `s3`; this file also holds the probe that a store must pass.
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { Storage } from "../index.ts"
import { randomText } from "../RunId.ts"

/** Only if the object still has this ETag, or only if there is none. */
export type Condition = { readonly ifMatch: string } | { readonly ifNoneMatch: "*" }

export interface Found {
  readonly body: string
  readonly etag: string
}

export interface ObjectStore {
  readonly get: (key: string) => Effect.Effect<Found | undefined, Storage.StorageError>
  /** The object's ETag. */
  readonly head: (key: string) => Effect.Effect<string | undefined, Storage.StorageError>
  /** The new ETag; undefined when the condition was not met. Must not be repeated by itself. */
  readonly put: (
    key: string,
    body: string,
    condition?: Condition
  ) => Effect.Effect<string | undefined, Storage.StorageError>
  readonly delete: (key: string) => Effect.Effect<void, Storage.StorageError>
  /** Keys behind `after`, in their order; `next` is set when there are more. */
  readonly list: (
    prefix: string,
    after?: string
  ) => Effect.Effect<
    { readonly keys: ReadonlyArray<string>; readonly next?: string },
    Storage.StorageError
  >
  /**
   * How large an object may grow by appending, in bytes: an append writes it anew. Zero where a store slows
   * down who writes one key often: then every append is an object of its own.
   */
  readonly segmentBytes: number
}

/**
 * Refuses a store that ignores conditions: on it two processes could both believe that they own a run.
 * Writes and removes one small object under `prefix`.
 */
export const probe = (
  store: ObjectStore,
  prefix: string
): Effect.Effect<void, Storage.StorageError> =>
  Effect.suspend(() => {
    const key = `${prefix}probe/${randomText(16)}`
    return Effect.ensuring(probeAt(store, key), Effect.ignore(store.delete(key)))
  }).pipe(
    Effect.retry({ times: 5, schedule: Schedule.exponential("50 millis"), while: isRetryable })
  )

const isRetryable = (error: Storage.StorageError) => error.isRetryable

const probeAt = (store: ObjectStore, key: string) =>
  Effect.gen(function*() {
    const refuse = (what: string) =>
      new Storage.StorageError({
        reason: "Unsupported",
        doing: "use the object store",
        cause: new Error(`it ${what}, so it cannot tell two writers apart`)
      })
    /** A store may refuse a write because of its own first arrival. */
    const put = (body: string, condition: Condition) =>
      Effect.flatMap(store.put(key, body, condition), (etag) =>
        etag !== undefined ? Effect.succeed(etag) : Effect.map(
          store.get(key),
          (found) =>
            found?.body === body ? found.etag : undefined
        ))
    const first = yield* put("1", { ifNoneMatch: "*" })
    if (first === undefined) {
      return yield* refuse("refuses If-None-Match for a new object")
    }
    const second = yield* put("2", { ifMatch: first })
    if (second === undefined) {
      return yield* refuse("refuses If-Match with the right ETag")
    }
    if ((yield* put("3", { ifNoneMatch: "*" })) !== undefined) {
      return yield* refuse("ignores If-None-Match")
    }
    if ((yield* put("4", { ifMatch: first })) !== undefined) {
      return yield* refuse("ignores If-Match")
    }
    if ((yield* store.get(key))?.body !== "2") {
      return yield* refuse("gives back something else than was written")
    }
    yield* store.delete(key)
    if ((yield* put("5", { ifMatch: second })) !== undefined) {
      return yield* refuse("ignores If-Match where there is no object")
    }
  })
