/**
 * The object stores that tests run on: R2 behind S3's protocol and the fake S3 answer alike, and each
 * fault of the fake is what it says.
 */
import { afterAll, beforeAll, describe, expect, it } from "@effect/vitest"
import { AwsClient } from "aws4fetch"
import {
  allFaults,
  applies,
  type Call,
  credentials,
  type FakeS3,
  type FakeS3Options,
  type Fault,
  makeFakeS3,
  startFakeS3
} from "./fakeS3.ts"
import { type R2, startR2 } from "./r2.ts"
import { startS3Shim } from "./s3.ts"

const signer = (secretAccessKey: string = credentials.secretAccessKey) =>
  new AwsClient({
    accessKeyId: credentials.accessKeyId,
    secretAccessKey,
    service: "s3",
    region: "auto",
    retries: 0
  })

interface Sent {
  readonly method?: string
  readonly body?: string | Uint8Array<ArrayBuffer>
  readonly headers?: Record<string, string>
}

const encoded = (key: string): string =>
  encodeURIComponent(key)
    .replace(/%2F/g, "/")
    .replace(/[!'()*]/g, (c) => "%" + c.charCodeAt(0).toString(16).toUpperCase())

const text = (xml: string): string =>
  xml
    .replace(
      /&#x([0-9a-f]+);/g,
      (_, code: string) => String.fromCodePoint(Number.parseInt(code, 16))
    )
    .replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&quot;/g, "\"").replace(/&amp;/g, "&")

const all = (xml: string, tag: string): Array<string> =>
  [...xml.matchAll(new RegExp(`<${tag}>([^<]*)</${tag}>`, "g"))].map(([, inside]) => text(inside!))

/** Lets others go on. */
const turn = () => new Promise<void>((next) => setImmediate(next))

/** One bucket, as a client of it. */
class Client {
  readonly url: string
  readonly fetch: (request: Request) => Promise<Response>
  readonly aws = signer()

  constructor(endpoint: string, bucket: string, fetch: (request: Request) => Promise<Response>) {
    this.url = `${endpoint}/${bucket}`
    this.fetch = fetch
  }

  async send(key: string, { body, headers, method = "GET" }: Sent = {}): Promise<Response> {
    const init = { method, ...(body === undefined ? {} : { body }), ...(headers && { headers }) }
    return this.fetch(await this.aws.sign(`${this.url}/${encoded(key)}`, init))
  }

  put(key: string, body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}) {
    return this.send(key, { method: "PUT", body, headers })
  }

  /** Writes without a condition; the ETag, quotes and all. */
  async etag(key: string, body: string | Uint8Array<ArrayBuffer>): Promise<string> {
    const response = await this.put(key, body)
    expect(response.status).toBe(200)
    return response.headers.get("etag")!
  }

  async text(key: string): Promise<string> {
    return (await this.send(key)).text()
  }

  async ask(query: Record<string, string>): Promise<Response> {
    const parameters = new URLSearchParams({ "list-type": "2", ...query })
    return this.fetch(await this.aws.sign(`${this.url}?${parameters.toString()}`))
  }

  async list(query: Record<string, string> = {}) {
    const response = await this.ask(query)
    expect(response.status).toBe(200)
    const xml = await response.text()
    return {
      xml,
      keys: all(xml, "Key"),
      prefixes: all(xml.replace(/^[^]*<\/IsTruncated>/, ""), "Prefix"),
      count: Number(all(xml, "KeyCount")[0]),
      isTruncated: all(xml, "IsTruncated")[0] === "true",
      next: all(xml, "NextContinuationToken")[0]
    }
  }
}

/** Status and S3's code, where there is one. */
const answer = async (response: Response): Promise<string> => {
  const [code] = all(await response.text(), "Code")
  return code === undefined ? `${response.status}` : `${response.status} ${code}`
}

interface Store {
  readonly open: () => Promise<
    { readonly client: () => Client; readonly dispose: () => Promise<void> }
  >
}

const stores: Record<string, Store> = {
  "R2 behind S3's protocol": {
    open: async () => {
      const shim = await startS3Shim()
      return {
        client: () => new Client(shim.endpoint, shim.bucket(), fetch),
        dispose: shim.dispose
      }
    }
  },
  "the fake as a function": {
    open: async () => {
      const fake = makeFakeS3({ credentials })
      let count = 0
      return {
        client: () => new Client("https://s3.example", `bucket-${count++}`, fake.fetch),
        dispose: async () => undefined
      }
    }
  },
  "the fake as a server": {
    open: async () => {
      const fake = await startFakeS3({ credentials })
      let count = 0
      return {
        client: () => new Client(fake.endpoint, `bucket-${count++}`, fetch),
        dispose: fake.dispose
      }
    }
  }
}

const printable = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)).join("")

describe.each(Object.keys(stores))("%s", (name) => {
  let store: Awaited<ReturnType<Store["open"]>>
  beforeAll(async () => {
    store = await stores[name]!.open()
  })
  afterAll(() => store.dispose())

  it("creates with If-None-Match once", async () => {
    const client = store.client()
    const first = await client.put("k", "one", { "if-none-match": "*" })
    expect(first.status).toBe(200)
    expect(first.headers.get("etag")).toMatch(/^"[0-9a-f]{32}"$/)
    expect(await answer(await client.put("k", "two", { "if-none-match": "*" })))
      .toBe("412 PreconditionFailed")
    expect(await client.text("k")).toBe("one")
  })

  it("replaces with If-Match what is still there, and nothing else", async () => {
    const client = store.client()
    const one = await client.etag("k", "one")
    const second = await client.put("k", "two", { "if-match": one })
    expect(second.status).toBe(200)
    const two = second.headers.get("etag")!
    expect(two).not.toBe(one)
    expect(await answer(await client.put("k", "three", { "if-match": one })))
      .toBe("412 PreconditionFailed")
    expect(await answer(await client.put("k", "three", { "if-match": `W/${two}` })))
      .toBe("412 PreconditionFailed")
    expect(await client.text("k")).toBe("two")
    expect((await client.put("k", "three", { "if-match": two.replaceAll("\"", "") })).status).toBe(
      200
    )
    expect(await client.text("k")).toBe("three")
  })

  it("answers If-Match on a missing key with 404, before and after a removal", async () => {
    const client = store.client()
    const missing = `"${"0".repeat(32)}"`
    expect(await answer(await client.put("k", "one", { "if-match": missing }))).toBe(
      "404 NoSuchKey"
    )
    const etag = await client.etag("k", "one")
    expect((await client.send("k", { method: "DELETE" })).status).toBe(204)
    expect(await answer(await client.put("k", "two", { "if-match": etag }))).toBe("404 NoSuchKey")
    expect((await client.list()).keys).toEqual([])
    expect((await client.put("k", "three", { "if-none-match": "*" })).status).toBe(200)
  })

  it("gives the same content the same ETag, so that If-Match does not see a change and its undoing", async () => {
    const client = store.client()
    const first = await client.etag("k", "one")
    await client.etag("k", "two")
    expect(await client.etag("k", "one")).toBe(first)
    expect((await client.put("k", "three", { "if-match": first })).status).toBe(200)
  })

  it.each([
    { header: "if-match", when: "the same state" },
    { header: "if-none-match", when: "nothing" }
  ])("lets one of eight racers with $header win from $when", async ({ header }) => {
    const client = store.client()
    for (let round = 0; round < 5; round++) {
      const key = `k${round}`
      const value = header === "if-match" ? await client.etag(key, "start") : "*"
      const bodies = Array.from({ length: 8 }, (_, racer) => `racer ${racer}`)
      const answers = await Promise.all(
        bodies.map(async (body) => (await client.put(key, body, { [header]: value })).status)
      )
      expect(answers.toSorted((a, b) => a - b)).toEqual([200, 412, 412, 412, 412, 412, 412, 412])
      expect(await client.text(key)).toBe(bodies[answers.indexOf(200)])
    }
  })

  it("refuses conditions that S3 does not define", async () => {
    const client = store.client()
    const etag = await client.etag("k", "one")
    for (
      const headers of [
        { "if-match": "*" },
        { "if-none-match": etag },
        { "if-match": etag, "if-none-match": "*" }
      ]
    ) expect(await answer(await client.put("k", "two", headers))).toBe("501 NotImplemented")
    const removal = await client.send("k", { method: "DELETE", headers: { "if-match": etag } })
    expect(await answer(removal)).toBe("501 NotImplemented")
    expect(await client.text("k")).toBe("one")
  })

  it("removes what is there and what is not", async () => {
    const client = store.client()
    await client.etag("k", "one")
    for (let i = 0; i < 2; i++) {
      const removed = await client.send("k", { method: "DELETE" })
      expect([removed.status, await removed.text()]).toEqual([204, ""])
    }
    expect(await answer(await client.send("k"))).toBe("404 NoSuchKey")
  })

  it("tells ETag and length without the content", async () => {
    const client = store.client()
    const etag = await client.etag("k", "grüße")
    const head = await client.send("k", { method: "HEAD" })
    expect([head.status, head.headers.get("etag"), head.headers.get("content-length")])
      .toEqual([200, etag, "7"])
    expect(await head.text()).toBe("")
    const none = await client.send("none", { method: "HEAD" })
    expect([none.status, await none.text()]).toEqual([404, ""])
  })

  it("reads under a condition, and in ranges", async () => {
    const client = store.client()
    const etag = await client.etag("k", "0123456789")
    const read = async (headers: Record<string, string>) => {
      const response = await client.send("k", { headers })
      return [response.status, response.ok ? await response.text() : await answer(response)]
    }
    expect(await read({ "if-none-match": etag })).toEqual([304, "304"])
    expect(await read({ "if-none-match": "\"other\"" })).toEqual([200, "0123456789"])
    expect(await read({ "if-match": etag })).toEqual([200, "0123456789"])
    expect(await read({ "if-match": "\"other\"" })).toEqual([412, "412 PreconditionFailed"])
    expect(await read({ range: "bytes=2-4" })).toEqual([206, "234"])
    expect(await read({ range: "bytes=7-" })).toEqual([206, "789"])
    expect(await read({ range: "bytes=8-100" })).toEqual([206, "89"])
    expect(await read({ range: "bytes=-3" })).toEqual([206, "789"])
    expect(await read({ range: "bytes=10-" })).toEqual([416, "416 InvalidRange"])
    const part = await client.send("k", { headers: { range: "bytes=2-4" } })
    expect(part.headers.get("content-range")).toBe("bytes 2-4/10")
    expect(part.headers.get("etag")).toBe(etag)
  })

  it("keeps every byte", async () => {
    const client = store.client()
    const bytes = Uint8Array.from({ length: 1 << 20 }, (_, i) => (i * 31 + (i >> 8)) & 255)
    for (const body of [bytes, bytes.slice(0, 256), new Uint8Array(0)]) {
      const etag = await client.etag("k", body)
      const read = await client.send("k")
      expect(read.headers.get("etag")).toBe(etag)
      expect(read.headers.get("content-length")).toBe(`${body.length}`)
      expect(Buffer.from(await read.arrayBuffer()).equals(body)).toBe(true)
    }
  })

  it("takes every printable character and more in a key, and lists it as it was", async () => {
    const client = store.client()
    const keys = [
      printable,
      ...printable.replace(/[./]/g, "").split(""),
      "a/.. /b",
      "a//b",
      "a/",
      "%2F",
      "a%20b",
      "ключ/鍵/🔑",
      "\u0001\t\n\u007f",
      "k".repeat(1024)
    ]
    for (const key of keys) await client.etag(key, key)
    for (const key of keys) expect(await client.text(key)).toBe(key)
    const sorted = keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    expect((await client.list()).keys).toEqual(sorted)
    const { keys: listed, xml } = await client.list({ "encoding-type": "url" })
    expect(xml).toContain("<EncodingType>url</EncodingType>")
    expect(listed.every((key) => /^[\w%+./*-]+$/.test(key))).toBe(true)
    expect(listed).toContain("a/..+/b")
    expect(listed.map((key) => decodeURIComponent(key.replaceAll("+", " ")))).toEqual(sorted)
    expect(await answer(await client.put("k".repeat(1025), ""))).toBe("400 KeyTooLongError")
  })

  it("lists in the order of UTF-8, by prefix and from a key on", async () => {
    const client = store.client()
    const keys = ["a", "a/1", "a/2", "b", "～", "😀"]
    for (const key of keys.toReversed()) await client.etag(key, "")
    expect((await client.list()).keys).toEqual(keys)
    expect((await client.list({ prefix: "a/" })).keys).toEqual(["a/1", "a/2"])
    expect((await client.list({ prefix: "c" })).keys).toEqual([])
    expect((await client.list({ "start-after": "a/1" })).keys).toEqual(keys.slice(2))
    expect((await client.list({ "start-after": "a/10" })).keys).toEqual(keys.slice(2))
    expect((await client.list({ "start-after": "😀" })).keys).toEqual([])
    expect((await client.list({ prefix: "a", "start-after": "a" })).keys).toEqual(["a/1", "a/2"])
    const { xml } = await client.list({ prefix: "b" })
    expect(all(xml, "Size")).toEqual(["0"])
    expect(all(xml, "ETag")).toEqual([(await client.send("b")).headers.get("etag")])
    expect(Date.parse(all(xml, "LastModified")[0]!)).toBeGreaterThan(0)
  })

  it("lists in pages, of keys and of groups, each once", async () => {
    const client = store.client()
    const groups = ["p/a/", "p/b/", "p/c&<d>/"]
    for (const group of groups) {
      for (const leaf of ["1", "2", "3"]) await client.etag(group + leaf, "")
    }
    for (const key of ["p/", "p/b", "p/z", "q/1"]) await client.etag(key, "")

    const everything = async (query: Record<string, string>) => {
      const pages: Array<ReadonlyArray<string>> = []
      let token: string | undefined
      do {
        const page = await client.list({
          ...query,
          ...(token === undefined ? {} : { "continuation-token": token })
        })
        expect(page.count).toBe(page.keys.length + page.prefixes.length)
        expect(page.isTruncated).toBe(page.next !== undefined)
        pages.push([...page.keys, ...page.prefixes])
        token = page.next
      } while (token !== undefined)
      return pages
    }
    const flat = ["p/", "p/a/1", "p/a/2", "p/a/3", "p/b", "p/b/1", "p/b/2", "p/b/3"]
      .concat(["p/c&<d>/1", "p/c&<d>/2", "p/c&<d>/3", "p/z"])
    for (const most of [1, 2, 5, 12, 13]) {
      const pages = await everything({ prefix: "p/", "max-keys": `${most}` })
      expect(pages.flat()).toEqual(flat)
      expect(pages.slice(0, -1).every((page) => page.length === most)).toBe(true)
      const grouped = await everything({ prefix: "p/", delimiter: "/", "max-keys": `${most}` })
      expect(grouped.flat().toSorted()).toEqual(["p/", "p/b", "p/z", ...groups].toSorted())
      expect(grouped.slice(0, -1).every((page) => page.length === most)).toBe(true)
    }
    expect((await client.list({ delimiter: "/" })).prefixes).toEqual(["p/", "q/"])
    const none = await client.list({ "max-keys": "0" })
    expect([none.keys, none.isTruncated]).toEqual([[], false])
    expect(await answer(await client.ask({ "continuation-token": "nonsense" })))
      .toBe("400 InvalidArgument")
    expect(await answer(await client.ask({ "max-keys": "many" }))).toBe("400 InvalidArgument")
  })

  it("refuses what is not signed, or signed otherwise", async () => {
    const client = store.client()
    const url = `${client.url}/k`
    const init = { method: "PUT", body: "one" }
    const refused = async (request: Request) => answer(await client.fetch(request))
    expect(await refused(new Request(url, init))).toBe("403 AccessDenied")
    expect(await refused(await signer("wrong").sign(url, init))).toBe("403 SignatureDoesNotMatch")

    const elsewhere = await client.aws.sign(url, init)
    expect(await refused(new Request(`${url}2`, { ...init, headers: elsewhere.headers })))
      .toBe("403 SignatureDoesNotMatch")
    const added = new Headers(elsewhere.headers)
    added.set("if-none-match", "*")
    expect(await refused(new Request(url, { ...init, headers: added }))).toBe("403 AccessDenied")

    const sha = "76".repeat(32)
    const hashed = await client.aws.sign(url, { ...init, headers: { "x-amz-content-sha256": sha } })
    expect(await refused(hashed)).toBe("400 XAmzContentSHA256Mismatch")
    expect((await client.list()).keys).toEqual([])
  })

  it("refuses addresses that stores read differently, and buckets that are not there", async () => {
    const client = store.client()
    const plus = await client.aws.sign(`${client.url}/a+b`, { method: "PUT", body: "" })
    expect(await answer(await client.fetch(plus))).toBe("400 InvalidURI")
    const broken = await client.aws.sign(`${client.url}/%ff`)
    expect(await answer(await client.fetch(broken))).toBe("400 InvalidURI")
    expect(await answer(await client.fetch(await client.aws.sign(client.url)))).toBe(
      "501 NotImplemented"
    )
    const nowhere = await client.aws.sign(client.url.replace(/[^/]*$/, "constructor") + "/k")
    const expected = name.startsWith("R2") ? "404 NoSuchBucket" : "404 NoSuchKey"
    expect(await answer(await client.fetch(nowhere))).toBe(expected)
  })
})

describe("R2's binding", () => {
  let r2: R2
  beforeAll(async () => {
    r2 = await startR2({ buckets: 4 })
  })
  afterAll(() => r2.dispose())

  it("decides conditions as S3 does, with null for both 404 and 412", async () => {
    const bucket = await r2.bucket()
    const created = await bucket.put("k", "one", { onlyIf: { etagDoesNotMatch: "*" } })
    expect(created?.httpEtag).toBe(`"${created?.etag}"`)
    expect(await bucket.put("k", "two", { onlyIf: { etagDoesNotMatch: "*" } })).toBeNull()
    const replaced = await bucket.put("k", "two", { onlyIf: { etagMatches: created!.etag } })
    expect(replaced?.etag).not.toBe(created!.etag)
    expect(await bucket.put("k", "three", { onlyIf: { etagMatches: created!.etag } })).toBeNull()
    expect(await bucket.put("none", "x", { onlyIf: { etagMatches: created!.etag } })).toBeNull()
    expect(await (await bucket.get("k"))?.text()).toBe("two")
    expect(await bucket.head("none")).toBeNull()
  })

  it("lets one of eight racers win", async () => {
    const bucket = await r2.bucket()
    const start = await bucket.put("k", "start")
    const written = await Promise.all(
      Array.from(
        { length: 8 },
        (_, racer) => bucket.put("k", `racer ${racer}`, { onlyIf: { etagMatches: start!.etag } })
      )
    )
    const winner = written.findIndex((object) => object !== null)
    expect(written.filter((object) => object !== null)).toHaveLength(1)
    expect(await (await bucket.get("k"))?.text()).toBe(`racer ${winner}`)
  })

  it("hands out buckets that do not meet, and no more than there are", async () => {
    const apart = await startR2({ buckets: 2 })
    const [a, b] = [await apart.bucket(), await apart.bucket()]
    await a.put("k", "one")
    expect(await b.head("k")).toBeNull()
    expect(apart.bucket).toThrow("All buckets are handed out")
    await apart.dispose()
  })

  it("is the same bucket that the shim serves", async () => {
    const shim = await startS3Shim({ buckets: 1 })
    const name = shim.bucket()
    const client = new Client(shim.endpoint, name, fetch)
    const etag = await client.etag("k", "one")
    expect((await (await shim.r2(name)).head("k"))?.httpEtag).toBe(etag)
    await shim.dispose()
  })
})

describe("a fault of the fake", () => {
  const open = (options: FakeS3Options) => {
    const fake = makeFakeS3(options)
    return { fake, client: new Client("https://s3.example", "b", fake.fetch) }
  }

  /** The fault happens to the first request of the operation, and to no other. */
  const once = (fault: Fault, op: Call["op"]) =>
    open({ faults: (call) => call.op === op && call.nth === 0 ? fault : undefined })

  const stored = (fake: FakeS3, key = "k") => {
    const object = fake.object("b", key)
    return object && Buffer.from(object.body).toString()
  }

  const create = { "if-none-match": "*" }

  it.each<{ fault: Fault; seen: string; isWritten: boolean }>([
    { fault: "request lost", seen: "fetch failed", isWritten: false },
    { fault: "response lost", seen: "fetch failed", isWritten: true },
    { fault: "late", seen: "fetch failed", isWritten: false },
    { fault: "409", seen: "409 ConditionalRequestConflict", isWritten: false },
    { fault: "412 after own write", seen: "412 PreconditionFailed", isWritten: true },
    { fault: "500", seen: "500 InternalError", isWritten: false },
    { fault: "500 after", seen: "500 InternalError", isWritten: true },
    { fault: "503", seen: "503 SlowDown", isWritten: false },
    { fault: "error under 200", seen: "200 InternalError", isWritten: false },
    { fault: "error under 200 after", seen: "200 InternalError", isWritten: true }
  ])("of a write, $fault: $seen, written $isWritten", async ({ fault, isWritten, seen }) => {
    const { client, fake } = once(fault, "put")
    const result = await client.put("k", "one", create).then(
      async (response) => {
        expect(response.headers.get("etag")).toBeNull()
        return answer(response)
      },
      (error: unknown) => (error as Error).message
    )
    expect(result).toBe(seen)
    expect(stored(fake)).toBe(isWritten ? "one" : undefined)
    expect(fake.counts().faults).toEqual({ [fault]: 1 })
    // The next one is as it should be.
    expect((await client.put("k", "two", create)).status).toBe(isWritten ? 412 : 200)
  })

  it.each<Fault>(["hangs", "hangs after"])(
    "of a write, %s: until its signal aborts",
    async (fault) => {
      const { client, fake } = once(fault, "put")
      const stop = new AbortController()
      const signed = await client.aws.sign(`${client.url}/k`, { method: "PUT", body: "one" })
      let isSettled = false
      const answered = fake.fetch(new Request(signed, { signal: stop.signal }))
        .finally(() => {
          isSettled = true
        })
      while (!fake.trace()[0]!.endsWith("no answer")) await turn()
      expect(isSettled).toBe(false)
      stop.abort(new Error("too slow"))
      await expect(answered).rejects.toThrow("too slow")
      expect(stored(fake)).toBe(fault === "hangs" ? undefined : "one")
    }
  )

  it("lets a late write arrive after others, under its own condition", async () => {
    const { client } = once("late", "put")
    await expect(client.put("k", "late", create)).rejects.toThrow("fetch failed")
    for (let i = 0; i < 2; i++) expect((await client.send("k")).status).toBe(404)
    expect(await client.text("k")).toBe("late")

    const other = once("late", "put")
    await expect(other.client.put("k", "late", create)).rejects.toThrow("fetch failed")
    expect((await other.client.put("k", "again", create)).status).toBe(200)
    await other.fake.land()
    expect(stored(other.fake)).toBe("again")

    const blind = once("late", "put")
    await expect(blind.client.put("k", "late")).rejects.toThrow("fetch failed")
    await blind.client.etag("k", "again")
    await blind.fake.land()
    expect(stored(blind.fake)).toBe("late")
  })

  it("keeps a real refusal over a 412 it would have made up", async () => {
    const { client, fake } = open({ faults: () => "412 after own write" })
    const answers = [
      await client.put("k", "one", { "if-match": "\"0\"" }),
      await client.put("k", "one", create)
    ]
    expect(await Promise.all(answers.map(answer))).toEqual([
      "404 NoSuchKey",
      "412 PreconditionFailed"
    ])
    expect(stored(fake)).toBe("one")
    // Without a condition there is nothing to be refused.
    expect((await client.put("k", "two")).status).toBe(200)
  })

  it("of a read: cut breaks in the middle, short ends there", async () => {
    const cut = once("cut", "get")
    await cut.client.etag("k", "0123456789")
    const broken = await cut.client.send("k")
    expect(broken.headers.get("content-length")).toBe("10")
    await expect(broken.text()).rejects.toThrow("terminated")
    expect(await cut.client.text("k")).toBe("0123456789")

    const short = once("short", "get")
    await short.client.etag("k", "0123456789")
    const half = await short.client.send("k")
    expect([half.status, half.headers.get("content-length"), await half.text()])
      .toEqual([200, "10", "01234"])
    expect(await short.client.text("k")).toBe("0123456789")
  })

  it("of a read, error under 200: no ETag and another content", async () => {
    const { client } = once("error under 200", "get")
    const etag = await client.etag("k", "one")
    const wrong = await client.send("k")
    expect([wrong.status, wrong.headers.get("etag")]).toEqual([200, null])
    expect(await answer(wrong)).toBe("200 InternalError")
    expect((await client.send("k")).headers.get("etag")).toBe(etag)
  })

  it("of a listing, stale list: new keys missing, removed ones there, old ETags", async () => {
    const { client, fake } = open({
      staleBy: 4,
      faults: ({ nth, op }) => op === "list" && nth === 0 ? "stale list" : undefined
    })
    const old = await client.etag("changed", "old")
    await client.etag("removed", "")
    await client.etag("same", "")
    await client.etag("changed", "new")
    await client.etag("changed", "newer")
    await client.send("removed", { method: "DELETE" })
    await client.etag("added", "")
    const stale = await client.list()
    expect(stale.keys).toEqual(["changed", "removed", "same"])
    expect(all(stale.xml, "ETag")[0]).toBe(old)
    const fresh = await client.list()
    expect(fresh.keys).toEqual(["added", "changed", "same"])
    expect(all(fresh.xml, "ETag")[1]).not.toBe(old)
    // Only listings lag.
    expect(fake.counts().faults).toEqual({ "stale list": 1 })
  })

  it("happens over HTTP as well: connections break, answers do not come", async () => {
    const plan: Array<Fault> = ["request lost", "response lost", "503", "hangs", "cut", "short"]
    const fake = await startFakeS3({
      faults: ({ index }) => index === 0 ? undefined : plan[index - 1]
    })
    const client = new Client(fake.endpoint, "b", fetch)
    await client.etag("k", "0123456789")
    await expect(client.send("k")).rejects.toThrow("fetch failed")
    await expect(client.put("k", "9876543210")).rejects.toThrow("fetch failed")
    expect(await answer(await client.send("k"))).toBe("503 SlowDown")
    const stop = new AbortController()
    const signed = await client.aws.sign(`${client.url}/k`)
    const hanging = fetch(new Request(signed, { signal: stop.signal }))
    while (fake.counts().faults.hangs === undefined) {
      await turn()
    }
    stop.abort(new Error("too slow"))
    await expect(hanging).rejects.toThrow("too slow")
    for (let i = 0; i < 2; i++) {
      const broken = await client.send("k")
      expect(broken.headers.get("content-length")).toBe("10")
      await expect(broken.text()).rejects.toThrow("terminated")
    }
    expect(await client.text("k")).toBe("9876543210")
    await fake.dispose()
  })

  it("happens only where it applies, and each somewhere", () => {
    const calls: ReadonlyArray<Call> = (["put", "get", "head", "delete", "list"] as const)
      .map((op) => ({ index: 0, nth: 0, op, bucket: "b", key: "k" }))
    const where = (fault: Fault) =>
      [...calls, { ...calls[0]!, condition: "if-match" as const }].filter((call) =>
        applies(fault, call)
      )
    expect(allFaults.filter((fault) => where(fault).length === 0)).toEqual([])
    expect(where("409").map(({ condition, op }) => [op, condition])).toEqual([["put", "if-match"]])
    expect(where("stale list").map(({ op }) => op)).toEqual(["list"])
  })
})

describe("the fake", () => {
  const chances = Object.fromEntries(
    allFaults.filter((fault) => !fault.startsWith("hangs")).map((fault) => [fault, 0.05])
  )

  /** Writes, reads and lists on eight keys, on each key one after the other. */
  const drive = async (seed: string, isTogether: boolean) => {
    const fake = makeFakeS3({ faults: { seed, chances } })
    const client = new Client("https://s3.example", "b", fake.fetch)
    const quietly = (response: Promise<Response>) =>
      response.then((done) => done.text()).catch(() => undefined)
    const one = async (key: string) => {
      for (let i = 0; i < 20; i++) {
        await quietly(client.put(key, `${i}`, { "if-none-match": "*" }))
        await quietly(client.send(key))
        await quietly(client.send(key, { method: "DELETE" }))
        await quietly(client.ask({ prefix: key }))
      }
    }
    const keys = Array.from("abcdefgh")
    if (isTogether) await Promise.all(keys.map(one))
    else for (const key of keys) await one(key)
    return fake
  }

  it("does the same for the same seed, and other things for another", async () => {
    const first = await drive("one", false)
    const second = await drive("one", false)
    const other = await drive("two", false)
    expect(first.trace()).toHaveLength(8 * 20 * 4)
    expect(second.trace()).toEqual(first.trace())
    expect(second.counts()).toEqual(first.counts())
    expect(other.trace()).not.toEqual(first.trace())
    const happened = Object.keys(first.counts().faults).toSorted()
    expect(happened).toEqual(Object.keys(chances).toSorted())
  })

  it("lets the same faults happen to each key, whatever comes between", async () => {
    const alone = await drive("one", false)
    const together = await drive("one", true)
    expect(together.counts().faults).toEqual(alone.counts().faults)
    const faultsOf = (fake: FakeS3) => fake.trace().map((line) => line.split(":")[0]!).toSorted()
    expect(faultsOf(together)).toEqual(faultsOf(alone))
    expect(together.trace()).not.toEqual(alone.trace())
  })

  it("counts requests by kind and bytes both ways, and starts again", async () => {
    const fake = makeFakeS3({ faults: ({ key }) => key === "lost" ? "request lost" : undefined })
    const client = new Client("https://s3.example", "b", fake.fetch)
    await client.etag("k", "0123456789")
    await client.put("k", "01234", { "if-none-match": "*" }).then((response) => response.text())
    await client.put("lost", "0123").catch(() => undefined)
    const listing = (await client.list()).xml.length
    fake.reset()
    await client.put("k", "01234", {
      "if-match": (await client.send("k", { method: "HEAD" })).headers.get("etag")!
    })
    await client.put("k", "01", { "if-none-match": "*" })
    await client.put("lost", "0123").catch(() => undefined)
    const refusal = fake.counts().downloaded
    await client.text("k")
    await client.list()
    await client.send("none", { method: "DELETE" })
    expect(fake.counts()).toEqual({
      requests: { put: 3, get: 1, head: 1, delete: 1, list: 1 },
      total: 7,
      uploaded: 7,
      downloaded: refusal + 5 + (listing - "10".length + "5".length),
      faults: { "request lost": 1 }
    })
    expect(refusal).toBeGreaterThan(0)
    expect(fake.trace()).toEqual([
      "head b/k: 200",
      "put b/k if-match: 200",
      "put b/k if-none-match: 412",
      "put b/lost (request lost): network error",
      "get b/k: 200",
      "list b/: 200",
      "delete b/none: 204"
    ])
  })

  it("can be a store that does not look at conditions, or refuses them", async () => {
    const put = async (
      quirks: NonNullable<FakeS3Options["quirks"]>,
      headers: Record<string, string>,
      key = "k"
    ) => {
      const fake = makeFakeS3({ quirks })
      const client = new Client("https://s3.example", "b", fake.fetch)
      await client.etag("k", "one")
      return (await client.put(key, "two", headers)).status
    }
    const stale = { "if-match": `"${"0".repeat(32)}"` }
    const create = { "if-none-match": "*" }
    expect([await put({}, stale), await put({}, create), await put({}, stale, "none")])
      .toEqual([412, 412, 404])
    expect(await put({ ifMatch: "ignored" }, stale)).toBe(200)
    expect(await put({ ifMatch: "ignored" }, stale, "none")).toBe(200)
    expect(await put({ ifMatch: "ignored" }, create)).toBe(412)
    expect(await put({ ifNoneMatch: "ignored" }, create)).toBe(200)
    expect(await put({ ifNoneMatch: "ignored" }, stale)).toBe(412)
    expect(await put({ ifMatch: "refused" }, stale)).toBe(501)
    expect(await put({ ifNoneMatch: "refused" }, create)).toBe(501)
    expect(await put({ ifMatchOnMissing: "PreconditionFailed" }, stale, "none")).toBe(412)
    expect(await put({ ifMatchOnMissing: "writes" }, stale, "none")).toBe(200)
    expect(await put({ ifMatchOnMissing: "writes" }, stale)).toBe(412)
  })

  it("takes what `fetch` takes", async () => {
    const fake = makeFakeS3()
    const send: typeof globalThis.fetch = fake.fetch
    await send("https://s3.example/b/k", { method: "PUT", body: "one" })
    expect(await (await send(new URL("https://s3.example/b/k"))).text()).toBe("one")
    const again = new Request("https://s3.example/b/k", { method: "PUT", body: "two" })
    const signal = AbortSignal.abort(new Error("too late"))
    await expect(send(again, { signal })).rejects.toThrow("too late")
    expect(await (await send(new Request("https://s3.example/b/k"))).text()).toBe("one")
  })

  it("can give each write an ETag of its own", async () => {
    const fake = makeFakeS3({ quirks: { etags: "unique" } })
    const client = new Client("https://s3.example", "b", fake.fetch)
    const first = await client.etag("k", "one")
    expect(await client.etag("k", "one")).not.toBe(first)
  })

  it("holds a request before it acts and before it answers", async () => {
    const order: Array<string> = []
    const gate = () => {
      let open = () => {}
      const opened = new Promise<void>((resolve) => {
        open = resolve
      })
      return { open: () => open(), opened }
    }
    const [before, after] = [gate(), gate()]
    const fake = makeFakeS3({
      before: ({ key }) => key === "held" ? before.opened : undefined,
      after: ({ key }) => key === "held" ? after.opened : undefined
    })
    const client = new Client("https://s3.example", "b", fake.fetch)
    const held = client.put("held", "one").then(() => order.push("answered"))
    await client.etag("other", "")
    expect(fake.keys("b")).toEqual(["other"])
    before.open()
    while (fake.object("b", "held") === undefined) await turn()
    order.push("written")
    after.open()
    await held
    expect(order).toEqual(["written", "answered"])
  })

  it("knows only the buckets it was given, and can be damaged", async () => {
    const fake = makeFakeS3({ buckets: ["b"] })
    const client = new Client("https://s3.example", "b", fake.fetch)
    const elsewhere = new Client("https://s3.example", "c", fake.fetch)
    expect(await answer(await elsewhere.put("k", "one"))).toBe("404 NoSuchBucket")
    const etag = await client.etag("k", "one")
    fake.tamper("b", "k", Buffer.from("two"))
    expect(await client.text("k")).toBe("two")
    expect((await client.put("k", "three", { "if-match": etag })).status).toBe(412)
    fake.tamper("b", "k", undefined)
    expect((await client.send("k")).status).toBe(404)
  })
})
