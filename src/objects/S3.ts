/**
 * An object store over S3's protocol, path style, signed by `aws4fetch`: Amazon S3, and what speaks like it.
 *
 * Nothing is repeated here: a repeated conditional write is refused because of its own first arrival, which
 * only the journal can tell from a write of somebody else's.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { Storage } from "../index.ts"
import { withoutEnd } from "../internal/withoutEnd.ts"
import type { ObjectStore } from "./ObjectStore.ts"

export interface S3Options {
  /** As in `https://s3.eu-central-1.amazonaws.com`. */
  readonly endpoint: string
  readonly bucket: string
  readonly accessKeyId: string
  readonly secretAccessKey: Redacted.Redacted
  readonly sessionToken?: Redacted.Redacted | undefined
  /** Default `us-east-1`. */
  readonly region?: string | undefined
  /** How large an object may grow by appending; default 32 KiB. */
  readonly segmentBytes?: number | undefined
  /** Milliseconds after which a request counts as lost; default 30,000. */
  readonly timeout?: number | undefined
  /** What sends the requests; default the platform's `fetch`. */
  readonly fetch?: ((request: Request) => Promise<Response>) | undefined
}

/** Every byte that RFC 3986 does not leave as it is. */
const encoded = (key: string) =>
  encodeURIComponent(key).replaceAll("%2F", "/").replace(
    /[!'()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`
  )

const textOf = (xml: string, tag: string): ReadonlyArray<string> =>
  Array.from(xml.matchAll(new RegExp(`<${tag}>([^<]*)</${tag}>`, "g")), ([, text = ""]) => text)

const decoded = (key: string) => decodeURIComponent(key.replaceAll("+", "%20"))

const reasonOf = (status: number): Storage.StorageError["reason"] => {
  // 409: another conditional write of the same key is under way.
  if (status === 409 || status === 408 || status === 429 || status >= 500) {
    return status === 501 ? "Unsupported" : "Unavailable"
  }
  return status === 401 || status === 403 || status === 404 ? "Denied" : "Unknown"
}

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true })

interface Answer {
  readonly status: number
  readonly etag: string | undefined
  readonly body: string
}

/** The objects of a bucket. Needs `aws4fetch`. */
export const s3 = (options: S3Options): Effect.Effect<ObjectStore> =>
  Effect.map(Effect.promise(() => import("aws4fetch")), ({ AwsClient }): ObjectStore => {
    const { bucket, endpoint, fetch: send = fetch, timeout = 30_000 } = options
    const signer = new AwsClient({
      accessKeyId: options.accessKeyId,
      secretAccessKey: Redacted.value(options.secretAccessKey),
      ...(options.sessionToken === undefined
        ? undefined
        : { sessionToken: Redacted.value(options.sessionToken) }),
      service: "s3",
      region: options.region ?? "us-east-1",
      retries: 0
    })
    const base = `${withoutEnd(endpoint, "/")}/${bucket}`

    const ask = (doing: string, path: string, init: RequestInit) =>
      Effect.tryPromise({
        try: async (signal): Promise<Answer> => {
          const request = await signer.sign(`${base}${path}`, init)
          const limited = AbortSignal.any([signal, AbortSignal.timeout(timeout)])
          const response = await send(new Request(request, { signal: limited }))
          const body = new Uint8Array(await response.arrayBuffer())
          const length = response.headers.get("content-length")
          if (init.method === "GET" && length !== null && Number(length) !== body.length) {
            throw new Error(`the answer broke off after ${body.length} of ${length} bytes`)
          }
          return {
            status: response.status,
            etag: response.headers.get("etag") ?? undefined,
            body: utf8.decode(body)
          }
        },
        // Whether it arrived is not known; sent again it is found out.
        catch: (cause) => new Storage.StorageError({ reason: "Unavailable", doing, cause })
      })

    const refused = (doing: string, { body, status }: Answer) => {
      const [code = ""] = textOf(body, "Code")
      const [message = ""] = textOf(body, "Message")
      return new Storage.StorageError({
        // An error may come under 200.
        reason: status < 300 ? "Unavailable" : reasonOf(status),
        doing,
        cause: new Error(`the store answered ${status} ${code} ${message}`.trim())
      })
    }
    const isMissing = ({ body, status }: Answer) =>
      status === 404 && !textOf(body, "Code").includes("NoSuchBucket")

    return {
      segmentBytes: options.segmentBytes ?? 32_768,
      get: (key) => {
        const doing = `read ${key}`
        return Effect.flatMap(ask(doing, `/${encoded(key)}`, { method: "GET" }), (answer) => {
          const { body, etag, status } = answer
          if (isMissing(answer)) return Effect.undefined
          return status === 200 && etag !== undefined
            ? Effect.succeed({ body, etag })
            : Effect.fail(refused(doing, answer))
        })
      },
      head: (key) => {
        const doing = `look at ${key}`
        return Effect.flatMap(ask(doing, `/${encoded(key)}`, { method: "HEAD" }), (answer) => {
          const { etag, status } = answer
          if (status === 404) return Effect.undefined
          return status === 200 && etag !== undefined
            ? Effect.succeed(etag)
            : Effect.fail(refused(doing, answer))
        })
      },
      put: (key, body, condition) => {
        const doing = `write ${key}`
        const headers: Record<string, string> = { "content-type": "application/x-ndjson" }
        if (condition !== undefined) {
          if ("ifMatch" in condition) headers["if-match"] = condition.ifMatch
          else headers["if-none-match"] = "*"
        }
        const init = { method: "PUT", headers, body }
        return Effect.flatMap(ask(doing, `/${encoded(key)}`, init), (answer) => {
          const { etag, status } = answer
          if (status === 412 || (condition !== undefined && isMissing(answer))) {
            return Effect.undefined
          }
          // A 2xx without an ETag is an error that came too late for its status.
          return status < 300 && etag !== undefined
            ? Effect.succeed(etag)
            : Effect.fail(refused(doing, answer))
        })
      },
      delete: (key) => {
        const doing = `remove ${key}`
        return Effect.flatMap(
          ask(doing, `/${encoded(key)}`, { method: "DELETE" }),
          (answer) =>
            answer.status < 300 || isMissing(answer)
              ? Effect.void
              : Effect.fail(refused(doing, answer))
        )
      },
      list: (prefix, after) => {
        const doing = `list ${prefix}`
        const query = new URLSearchParams({ "list-type": "2", "encoding-type": "url", prefix })
        if (after !== undefined) query.set("start-after", after)
        const path = `?${query.toString().replaceAll("+", "%20")}`
        return Effect.flatMap(ask(doing, path, { method: "GET" }), (answer) => {
          const { body, status } = answer
          if (status !== 200 || !body.includes("<ListBucketResult")) {
            return Effect.fail(refused(doing, answer))
          }
          const keys = textOf(body, "Key").map(decoded)
          const next = textOf(body, "IsTruncated")[0] === "true" ? keys.at(-1) : undefined
          return Effect.succeed({ keys, ...(next === undefined ? undefined : { next }) })
        })
      }
    }
  })
