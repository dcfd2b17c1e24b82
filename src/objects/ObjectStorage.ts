/**
 * Journals in an object store with conditional writes: Cloudflare R2 through its binding, Amazon S3 and what
 * speaks like it over HTTP. No server but the store's; a request a step, and no index.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Storage } from "../index.ts"
import * as Lease from "../sql/Lease.ts"
import * as Keys from "./Keys.ts"
import * as ObjectDriver from "./ObjectDriver.ts"
import { type ObjectStore, probe } from "./ObjectStore.ts"

export type { Condition, Found, ObjectStore } from "./ObjectStore.ts"
export * from "./R2.ts"
export * from "./S3.ts"

export interface Options {
  /** In front of every key; default `reprise/`. */
  readonly prefix?: string | undefined
}

/** The driver itself, to be wrapped or tested. Fails with `Unsupported` when the store ignores conditions. */
export const make = (
  store: ObjectStore,
  { prefix = "reprise/" }: Options = {}
): Effect.Effect<Storage.Driver, Storage.StorageError> =>
  Effect.gen(function*() {
    yield* probe(store, prefix)
    return ObjectDriver.make(store, Keys.make(prefix), yield* Lease.thisProcess)
  })

/**
 * The storage in an object store. Durable when a call returns: the store has answered that it keeps it.
 *
 * @example
 * ```ts
 * import { ObjectStorage } from "reprise/objects"
 * import { Layer, Redacted } from "effect"
 *
 * const store = ObjectStorage.s3({
 *   endpoint: "https://s3.eu-central-1.amazonaws.com",
 *   region: "eu-central-1",
 *   bucket: "journals",
 *   accessKeyId: "AKIA…",
 *   secretAccessKey: Redacted.make("…")
 * })
 * Layer.isLayer(ObjectStorage.layer(store)) // => true
 * ```
 */
export const layer = <E = never, R = never>(
  store: ObjectStore | Effect.Effect<ObjectStore, E, R>,
  options: Options = {}
): Layer.Layer<Storage.Storage, Storage.StorageError | E, R> =>
  Layer.effect(
    Storage.Storage,
    Effect.gen(function*() {
      const opened = Effect.isEffect(store) ? yield* store : store
      return Storage.make(yield* make(opened, options))
    })
  )
