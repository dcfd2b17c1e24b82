/** The API on a real port: who is slow, rude or gone costs the server nothing for long, and the others nothing at all. */
import { expect, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { Storage } from "reprise"
import { Http } from "reprise/http"
import { secrets, waits } from "./support/server.ts"
import { asJson, type Client, dial, head, listening, once } from "./support/socket.ts"

/** Times that a test can wait for; those of `Http.serverOptions` are as many seconds. */
const hurried = {
  headersTimeout: 200,
  requestTimeout: 400,
  keepAliveTimeout: 100,
  connectionsCheckingInterval: 50
}

const going = { eventName: "go", value: 2 } as const

const statusOf = (text: string) => Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1])

/** Sends it, and gives all that comes until the server closes the connection. */
const exchange = (port: number, bytes: string | Uint8Array) =>
  Effect.scoped(Effect.gen(function*() {
    const client = yield* dial(port)
    client.write(bytes)
    return yield* client.closed
  }))

const isUp = (port: number) =>
  Effect.map(
    exchange(port, head("GET /health", once)),
    (text) => expect(text).toContain("{\"status\":\"ok\"}")
  )

/** A driver that counts who watches. */
const counted = () => {
  const seen = { watchers: 0 }
  const driver = Storage.memoryDriver()
  const watch: Storage.Driver["watch"] = (runId, onChange) => {
    const unwatch = driver.watch(runId, onChange)
    seen.watchers++
    return () => {
      seen.watchers--
      unwatch()
    }
  }
  return { seen, driver: { ...driver, watch } }
}

const eventually = (holds: () => boolean) =>
  Effect.repeat(Effect.sleep("10 millis"), { until: () => Effect.sync(holds) })

/** The policy of every answer has `data:` in it, too. */
const event = /\ndata: \{/

const opened = (port: number, path: string) =>
  Effect.gen(function*() {
    const client = yield* dial(port)
    client.write(head(`GET ${path}`))
    yield* client.until((text) => event.test(text))
    return client
  })

it("Node is told to cut off who is slow", () => {
  for (const name of ["headersTimeout", "requestTimeout", "keepAliveTimeout"] as const) {
    expect(Http.serverOptions[name]).toBeGreaterThan(0)
    expect(Http.serverOptions[name]).toBeLessThanOrEqual(30_000)
  }
  expect(Http.serverOptions.connectionsCheckingInterval).toBeLessThanOrEqual(
    Http.serverOptions.headersTimeout
  )
})

it.live("a head that does not come to its end is cut off", () =>
  Effect.gen(function*() {
    const { port } = yield* listening({}, hurried)
    for (
      const begun of ["", "GET /health HT", "GET /health HTTP/1.1\r\nHost: localhost\r\nX-A: "]
    ) {
      const text = yield* exchange(port, begun)
      expect(["", "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"]).toContain(text)
    }
    yield* isUp(port)
  }))

it.live("a body that does not come to its end is cut off, and nothing of it is done", () =>
  Effect.gen(function*() {
    const driver = Storage.memoryDriver()
    const { on, port } = yield* listening({ driver }, hurried)
    const body = `{"workflow":"w","input":1,"runId":"slow"}`
    const bodies = [
      head("POST /api/runs", asJson, `Content-Length: ${body.length + 1}`) + body,
      head("POST /api/runs", asJson, "Transfer-Encoding: chunked")
      + `${body.length.toString(16)}\r\n${body}\r\n`
    ]
    for (const begun of bodies) {
      const text = yield* exchange(port, begun)
      expect(text).not.toContain("HTTP/1.1 2")
    }
    const { runs } = yield* on(Effect.flatMap(Storage.Storage, (storage) => storage.list({})))
    expect(runs).toEqual([])
    yield* isUp(port)
  }))

it.live("a stream is no slow request: it outlives those, and hears of changes", () =>
  Effect.gen(function*() {
    const { on, port } = yield* listening({}, hurried)
    yield* on(waits.start(1, { runId: "r1" }))
    const stream = yield* opened(port, "/api/runs/r1/changes")
    // By when this is cut off, the stream is older than any request may be.
    const begun = head("POST /api/runs", asJson, "Content-Length: 9")
    yield* exchange(port, begun)
    yield* on(waits.resume("r1", going))
    const text = yield* stream.until((all) => all.includes("\"status\":\"success\""))
    expect(text).toContain("\"status\":\"suspended\"")
  }))

it.live("a client that leaves takes its stream with it", () =>
  Effect.gen(function*() {
    const { driver, seen } = counted()
    const { on, port } = yield* listening({ driver })
    yield* on(waits.start(1, { runId: "r1" }))
    for (const leave of ["destroy", "end"] as const) {
      const client = yield* opened(port, "/api/runs/r1/changes")
      yield* eventually(() => seen.watchers > 0)
      client.socket[leave]()
      yield* eventually(() => seen.watchers === 0)
    }
    yield* isUp(port)
  }))

it.live("many clients hear of a change, and leave nothing behind", () =>
  Effect.gen(function*() {
    const { driver, seen } = counted()
    const { on, port } = yield* listening({ driver })
    yield* on(waits.start(1, { runId: "r1" }))
    const paths = ["/api/runs/r1/changes", "/api/changes", "/api/changes?search=r1"]
    const clients: Array<Client> = []
    for (let n = 0; n < 60; n++) clients.push(yield* opened(port, paths[n % 3]!))
    yield* eventually(() => seen.watchers >= 20)
    yield* on(waits.resume("r1", going))
    for (const client of clients) {
      yield* client.until((text) => text.includes("\"status\":\"success\""))
      client.socket.destroy()
    }
    yield* eventually(() => seen.watchers === 0)
    yield* isUp(port)
  }))

it.live("a server that stops ends its streams, and frees what they held", () =>
  Effect.gen(function*() {
    const { driver, seen } = counted()
    const scope = yield* Scope.make()
    const { on, port } = yield* Scope.provide(listening({ driver }), scope)
    yield* on(waits.start(1, { runId: "r1" }))
    const clients = [
      yield* opened(port, "/api/runs/r1/changes"),
      yield* opened(port, "/api/changes")
    ]
    yield* eventually(() => seen.watchers > 0)
    yield* Scope.close(scope, Exit.void)
    for (const client of clients) expect(yield* client.closed).toMatch(event)
    expect(seen.watchers).toBe(0)
  }))

it.live("a HEAD of a stream has no stream", () =>
  Effect.gen(function*() {
    const { driver, seen } = counted()
    const { on, port } = yield* listening({ driver })
    yield* on(waits.start(1, { runId: "r1" }))
    for (const path of ["/api/runs/r1/changes", "/api/changes"]) {
      const text = yield* exchange(port, head(`HEAD ${path}`, once))
      expect(statusOf(text)).toBe(200)
      expect(text).not.toMatch(event)
      expect(seen.watchers).toBe(0)
    }
  }))

it.live(
  "a body that is too long is refused before it has come, and whoever goes on sending is cut off",
  () =>
    Effect.gen(function*() {
      const { port } = yield* listening()
      const long = "Content-Length: 1048577"
      const waiting = yield* exchange(
        port,
        head("POST /api/runs", asJson, long, "Expect: 100-continue")
      )
      expect(statusOf(waiting)).toBe(413)
      const chunk = `10000\r\n${"x".repeat(0x10000)}\r\n`
      const chunked = head("POST /api/runs", asJson, "Transfer-Encoding: chunked")
        + chunk.repeat(40)
      expect(statusOf(yield* exchange(port, chunked))).toBe(413)
      const lengthy = head("POST /api/runs", asJson, long) + "x".repeat(1_048_577)
      expect(statusOf(yield* exchange(port, lengthy))).toBe(413)
      yield* isUp(port)
    }),
  20_000
)

it.live(
  "what is no HTTP, or two things at once, is no request, and hurts nobody",
  () =>
    Effect.gen(function*() {
      const { port } = yield* listening({}, hurried)
      const chunked = "Transfer-Encoding: chunked"
      const refused: ReadonlyArray<string | Uint8Array> = [
        "\u0016\u0003\u0001\u0002\u0000",
        "GET\r\n\r\n",
        new Uint8Array(1_000).map((_, i) => i % 256),
        `GET /health HTTP/1.1\r\nHost: localhost\r\nX: ${"x".repeat(20_000)}\r\n\r\n`,
        `GET /${"x".repeat(20_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`,
        "GET /health HTTP/1.1\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost: localhost\r\nA\u0000b: c\r\n\r\n",
        head("POST /api/runs", asJson, "Content-Length: 2", "Content-Length: 3") + "{} ",
        head("POST /api/runs", asJson, "Content-Length: 2", chunked) + "0\r\n\r\n",
        head("POST /api/runs", asJson, "Content-Length: -2") + "{}",
        head("POST /api/runs", asJson, "Content-Length: 2e0") + "{}",
        head("POST /api/runs", asJson, chunked) + "zz\r\n{}"
      ]
      for (const bytes of refused) {
        const text = yield* exchange(port, bytes)
        expect([400, 431]).toContain(statusOf(text))
        expect(text).not.toContain("at ")
      }
      expect(yield* exchange(port, head("CONNECT evil.test:80"))).toBe("")
      yield* isUp(port)
    }),
  20_000
)

it.live("what comes behind a request is another one, or nothing", () =>
  Effect.gen(function*() {
    const { port } = yield* listening({}, hurried)
    const health = head("GET /health")
    const last = head("GET /nothing", once)
    const statuses = (text: string) => text.match(/HTTP\/1\.1 \d+/g)?.map(statusOf)
    expect(statuses(yield* exchange(port, health + health + last))).toEqual([200, 200, 404])
    // A body that a GET has is not the request behind it.
    const inner = head("DELETE /api/runs/r1")
    const outer = head("GET /health", `Content-Length: ${inner.length}`)
    expect(statuses(yield* exchange(port, outer + inner + last))).toEqual([200, 404])
    const client = yield* dial(port)
    client.write(`${health}\u0000\u0001\u0002 garbage\r\n\r\n`)
    expect(yield* client.until((text) => text.includes("ok"))).toContain("200 OK")
    yield* isUp(port)
  }))

it.live("a target that is written in an odd way leads nowhere else", () =>
  Effect.gen(function*() {
    const { port } = yield* listening()
    const asked = (line: string, ...headers: ReadonlyArray<string>) =>
      Effect.map(exchange(port, head(line, once, ...headers)), statusOf)
    for (
      const path of [
        "/../../etc/passwd",
        "/api/runs/../session",
        "/..%2f..%2fetc%2fpasswd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//evil.test/api/runs",
        "/inspector/../../package.json",
        "/api/runs/r1%2fevents%00"
      ]
    ) {
      expect([400, 404]).toContain(yield* asked(`GET ${path}`))
    }
    expect(yield* asked("GET http://evil.test/api/runs")).toBe(421)
    expect(yield* asked("OPTIONS *")).toBe(404)
    expect(yield* asked("TRACE /api/runs")).toBe(404)
    // An upgrade that nobody offers is an ordinary request, with all that those need.
    const socket = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
    const key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    expect(yield* asked("GET /api/runs", ...socket, key)).toBe(200)
    const bare = ["GET /api/runs HTTP/1.1", "Host: localhost", ...socket, key, "", ""].join("\r\n")
    const evil = bare.replace("localhost", "evil.test")
    expect(statusOf(yield* exchange(port, bare))).toBe(401)
    expect(statusOf(yield* exchange(port, evil))).toBe(421)
  }))

it.live("what binds a browser is said on the wire, too, and secrets are not", () =>
  Effect.gen(function*() {
    const { port } = yield* listening()
    for (const path of ["/api/session", "/nothing", "/metrics"]) {
      const text = yield* exchange(port, head(`GET ${path}`, once))
      expect(text).toMatch(/^content-security-policy: default-src 'none'/m)
      expect(text).toMatch(/^x-content-type-options: nosniff/m)
      expect(text.toLowerCase()).not.toMatch(/^(set-cookie|server|x-powered-by):/m)
      expect(text).not.toContain(secrets.admin)
    }
  }))
