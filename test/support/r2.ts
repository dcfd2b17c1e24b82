/**
 * Real R2 buckets for tests: miniflare runs Cloudflare's own workerd, and its bindings are called from Node.
 *
 * A call takes some milliseconds here, as each crosses a process.
 */
import { Miniflare } from "miniflare"

export interface R2Conditional {
  readonly etagMatches?: string
  readonly etagDoesNotMatch?: string
}

export interface R2Object {
  readonly key: string
  readonly size: number
  /** Without quotes. */
  readonly etag: string
  readonly httpEtag: string
  readonly uploaded: Date
}

export interface R2ObjectBody extends R2Object {
  arrayBuffer(): Promise<ArrayBuffer>
  text(): Promise<string>
}

export interface R2ListOptions {
  readonly prefix?: string
  readonly startAfter?: string
  readonly cursor?: string
  readonly limit?: number
  readonly delimiter?: string
}

export interface R2Objects {
  readonly objects: ReadonlyArray<R2Object>
  readonly truncated: boolean
  readonly cursor?: string
  readonly delimitedPrefixes: ReadonlyArray<string>
}

/** The part of a Worker's R2 binding that tests use. */
export interface R2Bucket {
  head(key: string): Promise<R2Object | null>
  get(key: string): Promise<R2ObjectBody | null>
  /** `null`: the condition does not hold. */
  put(
    key: string,
    value: string | ArrayBuffer | Uint8Array,
    options?: { readonly onlyIf?: R2Conditional }
  ): Promise<R2Object | null>
  delete(keys: string | Array<string>): Promise<void>
  list(options?: R2ListOptions): Promise<R2Objects>
}

export interface R2 {
  /** An empty bucket that nobody else has. */
  readonly bucket: () => Promise<R2Bucket>
  readonly dispose: () => Promise<void>
}

/** The binding of that name. Its own type needs `@cloudflare/workers-types`, which is not here. */
export const bindingOf = (miniflare: Miniflare, name: string): Promise<R2Bucket> =>
  miniflare.getR2Bucket(name) as unknown as Promise<R2Bucket>

/** Names for so many buckets. */
export const bucketNames = (count: number): Array<string> =>
  Array.from({ length: count }, (_, index) => `bucket-${index}`)

/** Hands out each of `names` once. */
export const oneByOne = (names: ReadonlyArray<string>): () => string => {
  let taken = 0
  return () => {
    const name = names[taken++]
    if (name === undefined) throw new Error("All buckets are handed out; ask for more at the start")
    return name
  }
}

/** Starts workerd with `buckets` buckets, 32 by default; a few hundred milliseconds. */
export const startR2 = async (options: { readonly buckets?: number } = {}): Promise<R2> => {
  const names = bucketNames(options.buckets ?? 32)
  const miniflare = new Miniflare({
    modules: true,
    script: "export default { fetch: () => new Response(null, { status: 404 }) }",
    r2Buckets: names,
    compatibilityDate: "2026-07-01",
    host: "127.0.0.1",
    port: 0,
    cf: false
  })
  await miniflare.ready
  const next = oneByOne(names)
  return {
    bucket: () => bindingOf(miniflare, next()),
    dispose: () => miniflare.dispose()
  }
}
