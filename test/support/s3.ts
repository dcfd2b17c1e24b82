/**
 * S3's wire protocol over real R2 buckets: a Worker in workerd that speaks `wire` of fakeS3.ts, so that
 * whether a condition holds is decided by R2 and not by a test.
 */
import { Miniflare } from "miniflare"
import { type Bucket, type Credentials, credentials, wire } from "./fakeS3.ts"
import { bindingOf, bucketNames, oneByOne, type R2Bucket } from "./r2.ts"

/** R2's binding as `wire` wants it. Stands on its own, as `wire` does. */
const bucketOfR2 = (r2: R2Bucket): Bucket => ({
  head: async (key) => (await r2.head(key)) ?? undefined,
  get: async (key) => {
    const found = await r2.get(key)
    return found === null
      ? undefined
      : { info: found, body: new Uint8Array(await found.arrayBuffer()) }
  },
  put: async (key, body, { absent, etag }) => {
    const onlyIf = {
      ...(etag !== undefined ? { etagMatches: etag } : {}),
      ...(absent === true ? { etagDoesNotMatch: "*" } : {})
    }
    const written = await r2.put(key, body, { onlyIf })
    if (written !== null) return written
    // R2 says only that the condition does not hold.
    return etag !== undefined && await r2.head(key) === null ? "NoSuchKey" : "PreconditionFailed"
  },
  delete: (key) => r2.delete(key),
  list: async (prefix, after, limit) =>
    (await r2.list({ prefix, limit, ...(after === "" ? {} : { startAfter: after }) })).objects
})

const script = (signer: Credentials): string => `
const wire = ${wire.toString()}
const bucketOfR2 = ${bucketOfR2.toString()}
let handler
export default {
  fetch(request, env) {
    handler ??= wire(
      (name) => Object.hasOwn(env, name) ? bucketOfR2(env[name]) : undefined,
      ${JSON.stringify(signer)}
    )
    return handler(request)
  }
}`

export interface S3Shim {
  /** As in `http://127.0.0.1:1234`. */
  readonly endpoint: string
  /** What requests are to be signed with; others are refused. */
  readonly credentials: Credentials
  /** The name of an empty bucket that nobody else has. */
  readonly bucket: () => string
  /** The same bucket as R2's binding. */
  readonly r2: (bucket: string) => Promise<R2Bucket>
  readonly dispose: () => Promise<void>
}

/** Starts workerd with `buckets` buckets, 32 by default; a few hundred milliseconds. */
export const startS3Shim = async (
  options: { readonly buckets?: number } = {}
): Promise<S3Shim> => {
  const names = bucketNames(options.buckets ?? 32)
  const miniflare = new Miniflare({
    modules: true,
    script: script(credentials),
    r2Buckets: names,
    compatibilityDate: "2026-07-01",
    host: "127.0.0.1",
    port: 0,
    cf: false
  })
  const address = await miniflare.ready
  return {
    endpoint: address.origin,
    credentials,
    bucket: oneByOne(names),
    r2: (bucket) => bindingOf(miniflare, bucket),
    dispose: () => miniflare.dispose()
  }
}
