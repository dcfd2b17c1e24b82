/**
 * S3 in memory: its wire protocol over a `Map`, with strict conditions and faults on purpose, as a function
 * like `fetch` or as a server; the protocol alone is `wire`, which the R2 shim of s3.ts speaks as well.
 *
 * The same seed gives the same trace. What becomes of a request follows from the seed, what it does to
 * which key, and how many of that kind came before it, and not from what happens to other keys meanwhile.
 */
import { createHash } from "node:crypto"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import { number } from "../../src/internal/chance.ts"

export interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

/** What tests sign with, where a store checks signatures. */
export const credentials: Credentials = {
  accessKeyId: "AKIDEXAMPLE",
  secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
}

export interface ObjectInfo {
  readonly key: string
  /** Without quotes. */
  readonly etag: string
  readonly size: number
  readonly uploaded: Date
}

/** What `wire` needs of a bucket. Each call is atomic. */
export interface Bucket {
  readonly head: (key: string) => Promise<ObjectInfo | undefined>
  readonly get: (
    key: string
  ) => Promise<{ readonly info: ObjectInfo; readonly body: Uint8Array<ArrayBuffer> } | undefined>
  readonly put: (
    key: string,
    body: Uint8Array<ArrayBuffer>,
    onlyIf: { readonly etag?: string; readonly absent?: boolean }
  ) => Promise<ObjectInfo | "NoSuchKey" | "PreconditionFailed" | "NotImplemented">
  readonly delete: (key: string) => Promise<void>
  /** Those that start with `prefix` and come after `after`, in order of their UTF-8, at most `limit`. */
  readonly list: (
    prefix: string,
    after: string,
    limit: number
  ) => Promise<ReadonlyArray<ObjectInfo>>
}

export type Handler = (
  request: Request,
  body?: Uint8Array<ArrayBuffer>
) => Promise<Response>

/**
 * S3's protocol, path style, over buckets: PUT, GET, HEAD and DELETE of objects, ListObjectsV2.
 *
 * What S3 leaves open is refused, so that nobody comes to lean on it: a `+` in a path as it is, conditions
 * on DELETE, `If-Match: *`. Signatures are checked when `signer` is given.
 *
 * It stands on its own, without a name from outside: s3.ts hands its text to workerd.
 */
export const wire = (
  bucketOf: (name: string) => Bucket | undefined,
  signer?: Credentials
): Handler => {
  const utf8 = new TextEncoder()

  const statuses = {
    AccessDenied: 403,
    BadDigest: 400,
    InternalError: 500,
    InvalidArgument: 400,
    InvalidRange: 416,
    InvalidURI: 400,
    KeyTooLongError: 400,
    MethodNotAllowed: 405,
    NoSuchBucket: 404,
    NoSuchKey: 404,
    NotImplemented: 501,
    PreconditionFailed: 412,
    SignatureDoesNotMatch: 403,
    XAmzContentSHA256Mismatch: 400
  }
  type Code = keyof typeof statuses

  /** Text in XML 1.0; what XML cannot hold becomes a reference all the same, as S3 does it. */
  const xml = (text: string): string => {
    let out = ""
    for (const character of text) {
      const code = character.codePointAt(0) ?? 0
      out += character === "&"
        ? "&amp;"
        : character === "<"
        ? "&lt;"
        : character === ">"
        ? "&gt;"
        : character === "\""
        ? "&quot;"
        : code < 32 || code === 0xfffe || code === 0xffff
        ? `&#x${code.toString(16)};`
        : character
    }
    return out
  }

  const document = (status: number, text: string): Response => {
    const body = utf8.encode(`<?xml version="1.0" encoding="UTF-8"?>\n${text}`)
    return new Response(body, {
      status,
      headers: { "content-type": "application/xml", "content-length": String(body.length) }
    })
  }

  const refuse = (request: Request, code: Code, message: string = code): Response =>
    request.method === "HEAD"
      ? new Response(null, { status: statuses[code] })
      : document(
        statuses[code],
        `<Error><Code>${code}</Code><Message>${xml(message)}</Message>`
          + `<Resource>${xml(new URL(request.url).pathname)}</Resource></Error>`
      )

  const percent = (text: string): string =>
    encodeURIComponent(text)
      .replace(/[!'()*]/g, (c) => "%" + c.charCodeAt(0).toString(16).toUpperCase())

  /** `encoding-type=url`: as a form is encoded, slashes kept. A space is a `+`. */
  const formEncoded = (text: string): string =>
    percent(text).replace(/%20/g, "+").replace(/%2F/g, "/").replace(/%2A/g, "*")
      .replace(/~/g, "%7E")

  const hex = (bytes: ArrayBuffer): string =>
    Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("")

  const sha256 = async (bytes: Uint8Array<ArrayBuffer>): Promise<string> =>
    hex(await crypto.subtle.digest("SHA-256", bytes))

  const hmacKey = (bytes: Uint8Array<ArrayBuffer>) =>
    crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["sign"])

  const hmac = async (bytes: Uint8Array<ArrayBuffer>, text: string) =>
    new Uint8Array(await crypto.subtle.sign("HMAC", await hmacKey(bytes), utf8.encode(text)))

  const signingKeys = new Map<string, Promise<Uint8Array<ArrayBuffer>>>()

  const signingKey = async (secret: string, scope: ReadonlyArray<string>) => {
    let key = utf8.encode("AWS4" + secret)
    for (const part of scope) key = await hmac(key, part)
    return key
  }

  /** Signature version 4, in the header. */
  const unsigned = async (
    request: Request,
    url: URL,
    path: string,
    body: Uint8Array<ArrayBuffer>
  ): Promise<Code | undefined> => {
    if (signer === undefined) return undefined
    const given =
      /^AWS4-HMAC-SHA256 Credential=([^/]+)\/([^,]+), ?SignedHeaders=([^,]+), ?Signature=(\w+)$/
        .exec(request.headers.get("authorization") ?? "")
    const digest = request.headers.get("x-amz-content-sha256")
    const date = request.headers.get("x-amz-date")
    if (given === null || digest === null || date === null) return "AccessDenied"
    const [, id, scope = "", signed = "", signature] = given
    if (id !== signer.accessKeyId) return "AccessDenied"
    // What decides must not be open to whoever can change a header on the way.
    const names = signed.split(";")
    for (const name of request.headers.keys()) {
      if ((name.startsWith("x-amz-") || name.startsWith("if-")) && !names.includes(name)) {
        return "AccessDenied"
      }
    }
    const query = [...url.searchParams]
      .map(([name, value]) => `${percent(name)}=${percent(value)}`)
      .sort()
      .join("&")
    const headers = names.map((name) =>
      `${name}:${
        name === "host" ? url.host : (request.headers.get(name) ?? "").trim().replace(/\s+/g, " ")
      }\n`
    ).join("")
    const canonical = [
      request.method,
      percent(path).replace(/%2F/g, "/"),
      query,
      headers,
      signed,
      digest
    ].join("\n")
    const text = ["AWS4-HMAC-SHA256", date, scope, await sha256(utf8.encode(canonical))].join("\n")
    const key = signingKeys.get(scope) ?? signingKey(signer.secretAccessKey, scope.split("/"))
    signingKeys.set(scope, key)
    if (hex((await hmac(await key, text)).buffer) !== signature) return "SignatureDoesNotMatch"
    return digest === "UNSIGNED-PAYLOAD" || digest === await sha256(body)
      ? undefined
      : "XAmzContentSHA256Mismatch"
  }

  const token = {
    of: (place: string): string => btoa(String.fromCharCode(...utf8.encode("v1:" + place))),
    read: (text: string): string | undefined => {
      try {
        const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0))
        const place = new TextDecoder("utf-8", { fatal: true }).decode(bytes)
        return place.startsWith("v1:") ? place.slice(3) : undefined
      } catch {
        return undefined
      }
    }
  }

  const list = async (request: Request, url: URL, name: string, bucket: Bucket) => {
    const ask = (parameter: string) => url.searchParams.get(parameter) ?? ""
    if (ask("list-type") !== "2") return refuse(request, "NotImplemented", "Only list-type=2")
    const most = url.searchParams.get("max-keys") ?? "1000"
    if (!/^\d{1,9}$/.test(most)) return refuse(request, "InvalidArgument", "max-keys")
    const encoding = url.searchParams.get("encoding-type")
    if (encoding !== null && encoding !== "url") {
      return refuse(request, "InvalidArgument", "encoding-type")
    }
    const given = url.searchParams.get("continuation-token")
    const from = given === null ? ask("start-after") : token.read(given)
    if (from === undefined) {
      return refuse(request, "InvalidArgument", "The continuation token provided is incorrect")
    }
    const limit = Math.min(1000, Number(most))
    const prefix = ask("prefix")
    const delimiter = ask("delimiter")

    const groupOf = (key: string): string | undefined => {
      const at = delimiter === "" ? -1 : key.indexOf(delimiter, prefix.length)
      return at < 0 ? undefined : key.slice(0, at + delimiter.length)
    }
    // A token that names a group stands behind all that is in it.
    const groupBehind = given !== null && groupOf(from) === from ? from : undefined

    const contents: Array<ObjectInfo> = []
    const groups: Array<string> = []
    let last = ""
    let truncated = false
    let after = from
    let more = limit > 0
    while (more) {
      const page = await bucket.list(prefix, after, 1000)
      more = page.length === 1000
      for (const object of page) {
        after = object.key
        const group = groupOf(object.key)
        if (group !== undefined && (group === groupBehind || group === groups.at(-1))) continue
        if (contents.length + groups.length === limit) {
          truncated = true
          more = false
          break
        }
        if (group === undefined) contents.push(object)
        else groups.push(group)
        last = group ?? object.key
      }
    }

    const written = (text: string) => xml(encoding === null ? text : formEncoded(text))
    const optional = (tag: string, value: string | null) =>
      value === null ? "" : `<${tag}>${value}</${tag}>`
    const startAfter = url.searchParams.get("start-after")
    return document(
      200,
      `<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>${xml(name)}</Name>`
        + `<Prefix>${written(prefix)}</Prefix>`
        + optional("Delimiter", delimiter === "" ? null : written(delimiter))
        + optional("StartAfter", startAfter === null ? null : written(startAfter))
        + optional("ContinuationToken", given === null ? null : xml(given))
        + optional("NextContinuationToken", truncated ? xml(token.of(last)) : null)
        + `<KeyCount>${contents.length + groups.length}</KeyCount><MaxKeys>${most}</MaxKeys>`
        + optional("EncodingType", encoding)
        + `<IsTruncated>${truncated}</IsTruncated>`
        + contents.map(({ etag, key, size, uploaded }) =>
          `<Contents><Key>${written(key)}</Key>`
          + `<LastModified>${uploaded.toISOString()}</LastModified>`
          + `<ETag>${xml(`"${etag}"`)}</ETag><Size>${size}</Size>`
          + `<StorageClass>STANDARD</StorageClass></Contents>`
        ).join("")
        + groups.map((group) =>
          `<CommonPrefixes><Prefix>${written(group)}</Prefix></CommonPrefixes>`
        ).join("")
        + `</ListBucketResult>`
    )
  }

  /** S3 takes an entity tag with and without its quotes. A weak one is like no other. */
  const bare = (etag: string): string => /^"(.*)"$/.exec(etag.trim())?.[1] ?? etag.trim()

  const put = async (
    request: Request,
    bucket: Bucket,
    key: string,
    body: Uint8Array<ArrayBuffer>
  ) => {
    const ifMatch = request.headers.get("if-match")
    const ifNoneMatch = request.headers.get("if-none-match")
    if (
      (ifMatch !== null && ifNoneMatch !== null) || ifMatch?.trim() === "*"
      || (ifNoneMatch !== null && ifNoneMatch.trim() !== "*")
    ) {
      return refuse(request, "NotImplemented", "A header implies what is not implemented")
    }
    const done = await bucket.put(key, body, {
      ...(ifMatch !== null ? { etag: bare(ifMatch) } : {}),
      ...(ifNoneMatch !== null ? { absent: true } : {})
    })
    return typeof done === "string"
      ? refuse(request, done)
      : new Response(null, { headers: { etag: `"${done.etag}"`, "content-length": "0" } })
  }

  const read = async (request: Request, bucket: Bucket, key: string) => {
    const isHead = request.method === "HEAD"
    const found = isHead ? undefined : await bucket.get(key)
    const info = isHead ? await bucket.head(key) : found?.info
    if (info === undefined) return refuse(request, "NoSuchKey")
    const ifMatch = request.headers.get("if-match")
    if (ifMatch !== null && ifMatch.trim() !== "*" && bare(ifMatch) !== info.etag) {
      return refuse(request, "PreconditionFailed")
    }
    const headers = {
      etag: `"${info.etag}"`,
      "last-modified": info.uploaded.toUTCString(),
      "accept-ranges": "bytes",
      "content-type": "application/octet-stream"
    }
    const ifNoneMatch = request.headers.get("if-none-match")
    if (ifNoneMatch !== null && (ifNoneMatch.trim() === "*" || bare(ifNoneMatch) === info.etag)) {
      return new Response(null, { status: 304, headers })
    }
    if (found === undefined) {
      return new Response(null, { headers: { ...headers, "content-length": String(info.size) } })
    }
    const { body } = found
    // More than one range is answered with the whole, as S3 does.
    const range = /^bytes=(\d*)-(\d*)$/.exec(request.headers.get("range") ?? "")
    if (range === null || (range[1] === "" && range[2] === "")) {
      return new Response(body, { headers: { ...headers, "content-length": String(body.length) } })
    }
    const from = range[1] === "" ? Math.max(0, body.length - Number(range[2])) : Number(range[1])
    const to = range[1] === "" || range[2] === ""
      ? body.length
      : Math.min(body.length, Number(range[2]) + 1)
    if (from >= to) return refuse(request, "InvalidRange")
    return new Response(body.slice(from, to), {
      status: 206,
      headers: {
        ...headers,
        "content-length": String(to - from),
        "content-range": `bytes ${from}-${to - 1}/${body.length}`
      }
    })
  }

  return async (request, sent) => {
    const url = new URL(request.url)
    let path: string
    try {
      path = decodeURIComponent(url.pathname)
    } catch {
      return refuse(request, "InvalidURI")
    }
    if (url.pathname.includes("+")) return refuse(request, "InvalidURI", "Write + as %2B")
    const body = sent
      ?? (request.method === "PUT"
        ? new Uint8Array(await request.arrayBuffer())
        : new Uint8Array(0))
    const forbidden = await unsigned(request, url, path, body)
    if (forbidden !== undefined) return refuse(request, forbidden)
    const [, name = "", key = ""] = /^\/([^/]*)\/?([^]*)$/.exec(path) ?? []
    const bucket = bucketOf(name)
    if (bucket === undefined) return refuse(request, "NoSuchBucket")
    if (key === "") {
      return request.method === "GET"
        ? list(request, url, name, bucket)
        : refuse(request, "NotImplemented")
    }
    if (utf8.encode(key).length > 1024) return refuse(request, "KeyTooLongError")
    switch (request.method) {
      case "PUT":
        return put(request, bucket, key, body)
      case "GET":
      case "HEAD":
        return read(request, bucket, key)
      case "DELETE":
        if (request.headers.has("if-match")) return refuse(request, "NotImplemented")
        await bucket.delete(key)
        return new Response(null, { status: 204 })
      default:
        return refuse(request, "MethodNotAllowed")
    }
  }
}

export type Op = "put" | "get" | "head" | "delete" | "list"

/** One request, as a plan sees it. */
export interface Call {
  /** How many requests came before it. */
  readonly index: number
  /** How many of the same `op` on the same `key` came before it. */
  readonly nth: number
  readonly op: Op
  readonly bucket: string
  /** Of a listing, its prefix. */
  readonly key: string
  readonly condition?: "if-match" | "if-none-match"
}

/** What can go wrong. Each applies only to the operations named; where none is named, to all. */
export type Fault =
  /** A network error; the request never arrived. */
  | "request lost"
  /** A network error; all was done. */
  | "response lost"
  /** put: a network error, and the request arrives later, before the third request from then on. */
  | "late"
  /** No answer until the caller aborts; nothing was done. */
  | "hangs"
  /** No answer until the caller aborts; all was done. */
  | "hangs after"
  /** put with a condition: 409 ConditionalRequestConflict; nothing was written. */
  | "409"
  /** put with a condition: written, and answered with 412, as after a retry nobody knows of. */
  | "412 after own write"
  /** 500 InternalError; nothing was done. */
  | "500"
  /** 500 InternalError; all was done. */
  | "500 after"
  /** 503 SlowDown; nothing was done. */
  | "503"
  /** put, get, list: status 200 with an error in the body and no ETag; nothing was done. */
  | "error under 200"
  /** put: status 200 with an error in the body and no ETag; it was written. */
  | "error under 200 after"
  /** get: the connection breaks in the middle of the body. */
  | "cut"
  /** get: the body ends in the middle as if it were whole; only Content-Length tells. */
  | "short"
  /** list: as it was `staleBy` changes ago: new keys missing, removed ones still there. */
  | "stale list"

const any = () => true
const isPut = ({ op }: Call) => op === "put"
const isGet = ({ op }: Call) => op === "get"
const isConditional = ({ condition, op }: Call) => op === "put" && condition !== undefined

const faults: { readonly [F in Fault]: (call: Call) => boolean } = {
  "request lost": any,
  "response lost": any,
  "late": isPut,
  "hangs": any,
  "hangs after": any,
  "409": isConditional,
  "412 after own write": isConditional,
  "500": any,
  "500 after": any,
  "503": any,
  "error under 200": ({ op }) => op === "put" || op === "get" || op === "list",
  "error under 200 after": isPut,
  "cut": isGet,
  "short": isGet,
  "stale list": ({ op }) => op === "list"
}

/** All there are. */
export const allFaults = Object.keys(faults) as ReadonlyArray<Fault>

/** Whether the fault can happen to such a request. */
export const applies = (fault: Fault, call: Call): boolean => faults[fault](call)

/** What becomes of a request; a fault that does not apply to it does not happen. */
export type Plan = (call: Call) => Fault | undefined

/** By chance: each fault that applies with its probability in [0, 1], their sum at most 1. */
export interface Chances {
  readonly seed: string
  readonly chances: { readonly [F in Fault]?: number }
}

/** How a store may differ from S3. */
export interface Quirks {
  /** The condition is not looked at; or answered with 501. */
  readonly ifMatch?: "ignored" | "refused"
  readonly ifNoneMatch?: "ignored" | "refused"
  /** S3 answers 404 NoSuchKey (default), Ceph and R2 412, and some MinIO writes. */
  readonly ifMatchOnMissing?: "NoSuchKey" | "PreconditionFailed" | "writes"
  /** `md5` of the content (default): the same bytes again, the same tag. `unique`: each write another. */
  readonly etags?: "md5" | "unique"
}

export interface FakeS3Options {
  /** Those that exist. Default: whichever is asked for. */
  readonly buckets?: ReadonlyArray<string>
  /** Signatures are checked when given. */
  readonly credentials?: Credentials
  readonly faults?: Plan | Chances
  readonly quirks?: Quirks
  /** How many changes a stale listing lags behind; 8 by default, 256 at most. */
  readonly staleBy?: number
  /** Awaited before the store acts: to hold a request, or to slow a listing. */
  readonly before?: (call: Call) => Promise<void> | undefined
  /** Awaited between the store's act and its answer. */
  readonly after?: (call: Call) => Promise<void> | undefined
}

export interface Counts {
  readonly requests: { readonly [O in Op]: number }
  readonly total: number
  /** Bytes of bodies that arrived, also of writes that were refused. */
  readonly uploaded: number
  /** Bytes of bodies that were answered, listings and errors included. */
  readonly downloaded: number
  readonly faults: { readonly [F in Fault]?: number }
}

export interface FakeS3 {
  /** To be used in place of `fetch`. Heeds the request's signal. */
  readonly fetch: (input: Request | URL | string, init?: RequestInit) => Promise<Response>
  readonly counts: () => Counts
  /** Counts from zero, and empties the trace. What becomes of requests to come does not change. */
  readonly reset: () => void
  /** One line for each request, in the order in which they came: what it was and what became of it. */
  readonly trace: () => ReadonlyArray<string>
  readonly setFaults: (faults: Plan | Chances | undefined) => void
  /** Lets the late requests arrive now. */
  readonly land: () => Promise<void>
  /** What is there, past the protocol, uncounted. */
  readonly object: (
    bucket: string,
    key: string
  ) => { readonly etag: string; readonly body: Uint8Array } | undefined
  readonly keys: (bucket: string, prefix?: string) => ReadonlyArray<string>
  /** Replaces or, with `undefined`, removes an object past the protocol: damage. */
  readonly tamper: (bucket: string, key: string, body: Uint8Array | undefined) => void
}

/** In the order of their UTF-8, which is not that of UTF-16 where surrogates are. */
const byUtf8 = (a: string, b: string): number => {
  const least = Math.min(a.length, b.length)
  for (let i = 0; i < least; i++) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x === y) continue
    const isSurrogate = (unit: number) => unit >= 0xd800 && unit <= 0xdfff
    if (isSurrogate(x) !== isSurrogate(y) && x >= 0xd800 && y >= 0xd800) {
      return isSurrogate(x)
        ? 1
        : -1
    }
    return x - y
  }
  return a.length - b.length
}

/** The first place in `keys` whose key is not before `key`. */
const placeOf = (keys: ReadonlyArray<string>, key: string): number => {
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (byUtf8(keys[middle]!, key) < 0) low = middle + 1
    else high = middle
  }
  return low
}

interface Stored {
  readonly info: ObjectInfo
  readonly body: Uint8Array<ArrayBuffer>
}

const remembered = 256

/** The objects of one bucket, and what they were before the last changes. */
class Objects {
  readonly stored = new Map<string, Stored>()
  readonly keys: Array<string> = []
  readonly changes: Array<{ readonly key: string; readonly before: Stored | undefined }> = []

  set(key: string, value: Stored | undefined): void {
    const before = this.stored.get(key)
    if (before === undefined && value === undefined) return
    this.changes.push({ key, before })
    if (this.changes.length > remembered) this.changes.shift()
    if (value === undefined) {
      this.stored.delete(key)
      this.keys.splice(placeOf(this.keys, key), 1)
    } else {
      this.stored.set(key, value)
      if (before === undefined) this.keys.splice(placeOf(this.keys, key), 0, key)
    }
  }

  list(prefix: string, after: string, limit: number, lag: number): Array<ObjectInfo> {
    const past = new Map<string, Stored | undefined>()
    if (lag > 0) {
      for (const { before, key } of this.changes.slice(-lag).toReversed()) past.set(key, before)
    }
    const gone = [...past].filter(([key, was]) => was !== undefined && !this.stored.has(key))
    const keys = gone.length === 0
      ? this.keys
      : [...this.keys, ...gone.map(([key]) => key)].sort(byUtf8)
    const found: Array<ObjectInfo> = []
    const from = byUtf8(prefix, after) > 0 ? prefix : after
    for (let at = placeOf(keys, from); at < keys.length && found.length < limit; at++) {
      const key = keys[at]!
      if (key === after) continue
      if (!key.startsWith(prefix)) break
      const object = past.has(key) ? past.get(key) : this.stored.get(key)
      if (object !== undefined) found.push(object.info)
    }
    return found
  }
}

/** As `fetch` fails when the connection does. */
const networkError = (): TypeError =>
  new TypeError("fetch failed", {
    cause: Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" })
  })

const untilAborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    const stop = () => reject(signal.reason as Error)
    if (signal.aborted) stop()
    else signal.addEventListener("abort", stop, { once: true })
  })

const waitFor = async (held: Promise<void> | undefined, signal: AbortSignal): Promise<void> => {
  if (held !== undefined) await Promise.race([held, untilAborted(signal)])
}

const failure = (status: number, code: string): Response => {
  const text =
    `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>${code}</Message></Error>`
  return new Response(text, {
    status,
    headers: { "content-type": "application/xml", "content-length": String(text.length) }
  })
}

/** What is answered although nothing was done. */
const insteadOf: { readonly [F in Fault]?: () => Response } = {
  "409": () => failure(409, "ConditionalRequestConflict"),
  "500": () => failure(500, "InternalError"),
  "503": () => failure(503, "SlowDown"),
  "error under 200": () => failure(200, "InternalError")
}

const opOf = (method: string, key: string): Op => {
  switch (method) {
    case "PUT":
      return "put"
    case "HEAD":
      return "head"
    case "DELETE":
      return "delete"
    default:
      return key === "" ? "list" : "get"
  }
}

/** The first half of the answer's body, and then its end, or the end of the connection. */
const half = async (response: Response, ending: "closes" | "breaks"): Promise<Response> => {
  const whole = new Uint8Array(await response.arrayBuffer())
  const part = whole.slice(0, whole.length >> 1)
  let isSent = false
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (!isSent && part.length > 0) {
        isSent = true
        controller.enqueue(part)
      } else if (ending === "closes") controller.close()
      else controller.error(new TypeError("terminated", { cause: networkError().cause }))
    }
  })
  return new Response(body, { status: response.status, headers: response.headers })
}

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

export const makeFakeS3 = (options: FakeS3Options = {}): FakeS3 => {
  const quirks = options.quirks ?? {}
  const staleBy = Math.min(options.staleBy ?? 8, remembered)
  const buckets = new Map<string, Objects>()
  const seen = new Map<string, number>()
  let plan = options.faults
  let arrived = 0
  let writes = 0
  let late: Array<{ readonly due: number; readonly write: () => Promise<unknown> }> = []
  let requests = { put: 0, get: 0, head: 0, delete: 0, list: 0 }
  let uploaded = 0
  let downloaded = 0
  let happened: { [F in Fault]?: number } = {}
  let lines: Array<{ readonly index: number; readonly line: string }> = []

  const objectsOf = (name: string): Objects | undefined => {
    const there = buckets.get(name)
    if (there !== undefined) return there
    if (name === "" || options.buckets?.includes(name) === false) return undefined
    const made = new Objects()
    buckets.set(name, made)
    return made
  }

  const write = (objects: Objects, key: string, body: Uint8Array): ObjectInfo => {
    writes++
    const digest = createHash("md5").update(body)
    if (quirks.etags === "unique") digest.update(`:${writes}`)
    // A second for each write: time here is a count, so that it repeats.
    const uploaded = new Date(Date.UTC(2026, 0, 1) + writes * 1000)
    const info = { key, etag: digest.digest("hex"), size: body.length, uploaded }
    objects.set(key, { info, body: new Uint8Array(body) })
    return info
  }

  const bucketOf = (lag: number) => (name: string): Bucket | undefined => {
    const objects = objectsOf(name)
    if (objects === undefined) return undefined
    return {
      head: async (key) => objects.stored.get(key)?.info,
      get: async (key) => objects.stored.get(key),
      put: async (key, body, { absent, etag }) => {
        const there = objects.stored.get(key)
        if (absent === true && quirks.ifNoneMatch !== "ignored") {
          if (quirks.ifNoneMatch === "refused") return "NotImplemented"
          if (there !== undefined) return "PreconditionFailed"
        }
        if (etag !== undefined && quirks.ifMatch !== "ignored") {
          if (quirks.ifMatch === "refused") return "NotImplemented"
          if (there === undefined) {
            const answer = quirks.ifMatchOnMissing ?? "NoSuchKey"
            if (answer !== "writes") return answer
          } else if (there.info.etag !== etag) return "PreconditionFailed"
        }
        return write(objects, key, body)
      },
      delete: async (key) => objects.set(key, undefined),
      list: async (prefix, after, limit) => objects.list(prefix, after, limit, lag)
    }
  }

  const handler = wire(bucketOf(0), options.credentials)

  const describe = (request: Request): Call => {
    const url = new URL(request.url)
    const [, bucket = "", path = ""] = /^\/([^/]*)\/?([^]*)$/.exec(url.pathname) ?? []
    const op = opOf(request.method, path)
    const key = op === "list" ? url.searchParams.get("prefix") ?? "" : decoded(path)
    const name = `${op} ${bucket}/${key}`
    const nth = seen.get(name) ?? 0
    seen.set(name, nth + 1)
    const condition = request.headers.has("if-match")
      ? { condition: "if-match" as const }
      : request.headers.has("if-none-match")
      ? { condition: "if-none-match" as const }
      : {}
    return { index: arrived++, nth, op, bucket, key, ...condition }
  }

  const drawn = (call: Call): Fault | undefined => {
    if (plan === undefined) return undefined
    if (typeof plan === "function") {
      const fault = plan(call)
      return fault !== undefined && applies(fault, call) ? fault : undefined
    }
    let at = number(`${plan.seed}:${call.op} ${call.bucket}/${call.key}:${call.nth}`)
    for (const fault of allFaults) {
      if (!applies(fault, call)) continue
      at -= plan.chances[fault] ?? 0
      if (at < 0) return fault
    }
    return undefined
  }

  const land = async (index: number): Promise<void> => {
    const due = late.filter((one) => one.due <= index)
    late = late.filter((one) => one.due > index)
    for (const { write } of due) await write()
  }

  const handle = async (
    request: Request,
    call: Call,
    fault: Fault | undefined,
    note: (what: string) => void
  ) => {
    const { signal } = request
    const gone = (): Promise<never> => {
      note("no answer")
      return untilAborted(signal)
    }
    if (signal.aborted) throw signal.reason
    if (fault === "request lost") throw networkError()
    const body = call.op === "put" ? new Uint8Array(await request.arrayBuffer()) : new Uint8Array(0)
    uploaded += body.length
    await waitFor(options.before?.(call), signal)
    await land(call.index)

    if (fault === "hangs") return gone()
    if (fault === "late") {
      late.push({ due: call.index + 3, write: () => handler(request, body) })
      throw networkError()
    }
    const refusal = fault === undefined ? undefined : insteadOf[fault]
    if (refusal !== undefined) return refusal()

    const answer = fault === "stale list"
      ? await wire(bucketOf(staleBy), options.credentials)(request, body)
      : await handler(request, body)
    note(`${answer.status}`)
    await waitFor(options.after?.(call), signal)

    if (fault === "response lost") throw networkError()
    if (fault === "hangs after") return gone()
    if (fault === "500 after") return failure(500, "InternalError")
    if (fault === "error under 200 after") return failure(200, "InternalError")
    if (!answer.ok) return answer
    if (fault === "412 after own write") return failure(412, "PreconditionFailed")
    if (fault === "cut") return half(answer, "breaks")
    if (fault === "short") return half(answer, "closes")
    return answer
  }

  const fetch: FakeS3["fetch"] = async (input, init) => {
    const request = input instanceof Request && init === undefined
      ? input
      : new Request(input, init)
    const call = describe(request)
    const fault = drawn(call)
    requests[call.op]++
    if (fault !== undefined) happened[fault] = (happened[fault] ?? 0) + 1
    const outcome: Array<string> = []
    const note = (what: string) => {
      outcome.push(what)
    }
    const trace = lines
    const entry = { index: call.index, line: "" }
    trace.push(entry)
    const write = () => {
      entry.line = `${call.op} ${call.bucket}/${call.key}`
        + (call.condition === undefined ? "" : ` ${call.condition}`)
        + (fault === undefined ? "" : ` (${fault})`) + `: ${outcome.join(", answered ")}`
    }
    write()
    try {
      const response = await handle(request, call, fault, (what) => {
        note(what)
        write()
      })
      if (outcome.at(-1) !== `${response.status}`) note(`${response.status}`)
      downloaded += request.method === "HEAD"
        ? 0
        : Number(response.headers.get("content-length") ?? 0)
      return response
    } catch (error) {
      note(request.signal.aborted ? "aborted" : "network error")
      throw error
    } finally {
      write()
    }
  }

  return {
    fetch,
    counts: () => ({
      requests: { ...requests },
      total: Object.values(requests).reduce((sum, count) => sum + count, 0),
      uploaded,
      downloaded,
      faults: { ...happened }
    }),
    reset: () => {
      requests = { put: 0, get: 0, head: 0, delete: 0, list: 0 }
      uploaded = 0
      downloaded = 0
      happened = {}
      lines = []
    },
    trace: () => lines.map(({ line }) => line),
    setFaults: (faults) => {
      plan = faults
    },
    land: () => land(Infinity),
    object: (bucket, key) => {
      const found = buckets.get(bucket)?.stored.get(key)
      return found && { etag: found.info.etag, body: found.body.slice() }
    },
    keys: (bucket, prefix = "") =>
      (buckets.get(bucket)?.keys ?? []).filter((key) => key.startsWith(prefix)),
    tamper: (bucket, key, body) => {
      const objects = objectsOf(bucket)
      if (objects === undefined) return
      if (body === undefined) objects.set(key, undefined)
      else write(objects, key, body)
    }
  }
}

export interface FakeS3Server extends FakeS3 {
  /** As in `http://127.0.0.1:1234`. */
  readonly endpoint: string
  readonly dispose: () => Promise<void>
}

const requestOf = async (
  incoming: IncomingMessage,
  endpoint: string,
  signal: AbortSignal
): Promise<Request> => {
  const parts: Array<Uint8Array> = []
  for await (const part of incoming) parts.push(part as Uint8Array)
  const body = incoming.method === "PUT" || incoming.method === "POST"
    ? { body: new Uint8Array(Buffer.concat(parts)) }
    : {}
  const headers = new Headers()
  for (const [name, values] of Object.entries(incoming.headersDistinct)) {
    for (const value of values ?? []) headers.append(name, value)
  }
  return new Request(endpoint + incoming.url, {
    method: incoming.method ?? "GET",
    headers,
    signal,
    ...body
  })
}

const send = async (response: Response, outgoing: ServerResponse): Promise<void> => {
  outgoing.writeHead(response.status, Object.fromEntries(response.headers))
  let left = Number(response.headers.get("content-length") ?? 0)
  for await (const part of response.body ?? []) {
    left -= (part as Uint8Array).length
    // What is written must have left before the connection breaks.
    await new Promise((done) => outgoing.write(part, done))
  }
  if (left > 0 && response.body !== null) outgoing.destroy()
  else outgoing.end()
}

/** The same over HTTP, for clients that want an address. A network error is a connection that breaks. */
export const startFakeS3 = async (options: FakeS3Options = {}): Promise<FakeS3Server> => {
  const fake = makeFakeS3(options)
  let endpoint = ""
  const server = createServer((incoming, outgoing) => {
    const gone = new AbortController()
    outgoing.on("close", () => gone.abort())
    requestOf(incoming, endpoint, gone.signal)
      .then((request) => fake.fetch(request))
      .then((response) => send(response, outgoing))
      .catch(() => outgoing.destroy())
  })
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready))
  const address = server.address()
  if (address === null || typeof address === "string") throw new Error("No port")
  endpoint = `http://127.0.0.1:${address.port}`
  return {
    ...fake,
    endpoint,
    dispose: () =>
      new Promise((done) => {
        server.close(() => done())
        server.closeAllConnections()
      })
  }
}
