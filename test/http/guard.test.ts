/** What every request passes and every answer has, whatever it asks for: names, origins, bodies, headers, problems. */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { Storage } from "reprise"
import { type Ask, broken, made, requestOf, secrets, waits } from "./support/server.ts"

const megabyte = 1_048_576

describe("a server is called by its own names only:", () => {
  const calls = async (host: string | undefined, hosts?: ReadonlyArray<string>) => {
    const { ask } = made({ hosts })
    return (await ask("GET", "/api/runs", { headers: { host } })).status
  }

  for (
    const host of [
      "localhost",
      "localhost:4983",
      "LOCALHOST:80",
      "127.0.0.1:1",
      "[::1]",
      "[::1]:4983"
    ]
  ) {
    it(`${host} is one by default`, async () => {
      expect(await calls(host)).toBe(200)
    })
  }

  for (
    const host of [
      "",
      "evil.test",
      "localhost.evil.test",
      "evil.test:4983",
      "localhost.",
      "localhost:80:80",
      "localhost:x",
      "localhost@evil.test",
      "evil.test#localhost",
      "localhost, evil.test",
      "127.0.0.2",
      "127.1",
      "2130706433",
      "0.0.0.0",
      "::1",
      "[::1",
      "[::2]:4983",
      "[::1]evil"
    ]
  ) {
    it(`"${host}" is none`, async () => {
      expect(await calls(host)).toBe(421)
    })
  }

  it("of a request that no connection brought, that of its address", async () => {
    const { send } = made()
    const request = (address: string) =>
      send(new Request(`http://${address}/health`)).then(({ status }) => status)
    expect(await request("localhost:1")).toBe(200)
    expect(await request("evil.test")).toBe(421)
    expect(await request("evil.test/localhost")).toBe(421)
    expect(await request("localhost.evil.test")).toBe(421)
  })

  it("those that are given, in any case and at any port, and then no others", async () => {
    const hosts = ["Runs.example.com", "[2001:db8::1]"]
    expect(await calls("runs.EXAMPLE.com:8443", hosts)).toBe(200)
    expect(await calls("[2001:db8::1]:80", hosts)).toBe(200)
    expect(await calls("localhost", hosts)).toBe(421)
    expect(await calls("sub.runs.example.com", hosts)).toBe(421)
    expect(await calls("localhost", [])).toBe(421)
  })

  it("also for what needs no token, and for what is not there", async () => {
    const { ask } = made()
    for (const path of ["/health", "/ready", "/openapi.json", "/nothing", "/"]) {
      const answer = await ask("GET", path, { token: null, headers: { host: "evil.test" } })
      expect([path, answer.status]).toEqual([path, 421])
    }
  })
})

describe("pages of other origins", () => {
  const from = async (headers: Ask["headers"], host = "localhost:4983") => {
    const { ask } = made()
    return (await ask("GET", "/api/runs", { headers: { host, ...headers } })).status
  }

  for (
    const origin of [
      "http://evil.test",
      "https://localhost.evil.test:4983",
      "null",
      "",
      "http://localhost",
      "http://localhost:4984",
      "http://127.0.0.1:4983",
      "file://",
      "chrome-extension://abcdefgh",
      "ws://localhost:4983",
      "http://localhost:4983/",
      "http://localhost:4983 http://evil.test"
    ]
  ) {
    it(`may not call, such as "${origin}"`, async () => {
      expect(await from({ origin })).toBe(403)
    })
  }

  it("may have links to it: what is opened is a page of its own", async () => {
    const link = {
      "sec-fetch-site": "cross-site",
      "sec-fetch-mode": "navigate",
      "sec-fetch-dest": "document"
    }
    expect(await from(link)).toBe(200)
    expect(await from({ ...link, "sec-fetch-dest": "iframe" })).toBe(403)
    expect(await from({ ...link, "sec-fetch-mode": "cors" })).toBe(403)
  })

  it("are told by the browser, too", async () => {
    expect(await from({ "sec-fetch-site": "cross-site" })).toBe(403)
    expect(await from({ origin: "http://localhost:4983", "sec-fetch-site": "cross-site" }))
      .toBe(403)
  })

  it("are not the server's own, by http or by https, nor callers without a page", async () => {
    for (const origin of ["http://localhost:4983", "https://localhost:4983", undefined]) {
      expect([origin, await from({ origin })]).toEqual([origin, 200])
    }
    for (const site of ["same-origin", "none"]) {
      expect([site, await from({ "sec-fetch-site": site })]).toEqual([site, 200])
    }
    expect(await from({ origin: "http://[::1]:1" }, "[::1]:1")).toBe(200)
  })

  it("are not invited: nobody is allowed across origins by any header", async () => {
    const { ask } = made()
    const headers = {
      origin: "http://evil.test",
      "access-control-request-method": "POST",
      "access-control-request-headers": "authorization"
    }
    const answers = [
      await ask("OPTIONS", "/api/runs", { token: null, headers }),
      await ask("GET", "/api/runs"),
      await ask("GET", "/nothing")
    ]
    expect(answers.map(({ status }) => status)).toEqual([403, 200, 404])
    for (const answer of answers) {
      expect([...answer.headers.keys()].filter((name) => name.startsWith("access-control")))
        .toEqual([])
    }
  })
})

describe("a body", () => {
  const posted = async (type: string | undefined, body?: Ask["body"], headers?: Ask["headers"]) => {
    const { ask } = made()
    const all = { "content-type": type, ...headers }
    return (await ask("POST", "/api/runs", {
      headers: all,
      ...(body === undefined ? undefined : { body })
    }))
      .status
  }
  const valid = JSON.stringify({ workflow: "w", input: 1 })
  const bytes = new TextEncoder().encode(valid)

  it("is JSON by its type", async () => {
    for (
      const type of ["application/json", "application/json; charset=utf-8", "Application/JSON ;x=y"]
    ) {
      expect([type, await posted(type, valid)]).toEqual([type, 201])
    }
  })

  it("of any other type is refused, as are those that a form or a page sends without asking", async () => {
    for (
      const type of [
        "text/plain",
        "text/plain; x=application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/octet-stream",
        "application/jsonp",
        "application/json, text/plain",
        "application/problem+json",
        ""
      ]
    ) {
      expect([type, await posted(type, valid)]).toEqual([type, 415])
    }
  })

  it("that says no type is refused, whether its length is said or not", async () => {
    // Bytes have no type of their own, as strings do.
    expect(await posted(undefined, bytes)).toBe(415)
    expect(await posted(undefined, bytes, { "content-length": String(bytes.length) })).toBe(415)
    expect(await posted(undefined, bytes, { "content-length": "0" })).toBe(415)
    expect(await posted(undefined, bytes, { "content-length": "many" })).toBe(415)
    expect(await posted(undefined, bytes, { "transfer-encoding": "chunked" })).toBe(415)
  })

  it("may be missing where there is nothing to say", async () => {
    const { ask, on } = made()
    await on(waits.start(1, { runId: "r1" }))
    expect((await ask("DELETE", "/api/runs/r1")).status).toBe(204)
    expect(
      (await ask("DELETE", "/api/runs/r1", { body: "x", headers: { "content-type": "a/b" } }))
        .status
    ).toBe(415)
    // A type without a body is no fault of its own.
    expect(await posted("application/json")).toBe(400)
  })

  const chunks = (size: number, most: number) => {
    const seen = { sent: 0 }
    const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
      pull: (controller) => {
        if (seen.sent >= most) return controller.close()
        seen.sent += size
        controller.enqueue(new Uint8Array(size).fill(32))
      }
    })
    return { body, seen }
  }

  it("has at most a mebibyte, whether it says how long it is, says nothing, or lies", async () => {
    const tooLong = " ".repeat(megabyte + 1 - valid.length) + valid
    const type = "application/json"
    expect(await posted(type, tooLong.slice(1))).toBe(201)
    expect(await posted(type, tooLong)).toBe(413)
    expect(await posted(type, tooLong, { "content-length": String(megabyte + 1) })).toBe(413)
    // Less than what comes.
    expect(await posted(type, tooLong, { "content-length": "10" })).toBe(413)
    expect(await posted(type, valid, { "content-length": String(2 ** 53) })).toBe(413)
    expect(await posted(type, valid, { "content-length": "5" })).toBe(400)
  })

  it("without an end is not read to its end", async () => {
    const { body, seen } = chunks(64 * 1_024, 200 * megabyte)
    expect(await posted("application/json", body)).toBe(413)
    expect(seen.sent).toBeLessThan(3 * megabyte)
  })

  it("of a webhook is bounded as well", async () => {
    const { ask } = made()
    const { body } = chunks(64 * 1_024, 2 * megabyte)
    const length = { "content-length": String(megabyte + 1) }
    expect((await ask("POST", "/webhooks/x", { body, headers: length })).status).toBe(413)
  })

  it("has another bound where one is given", async () => {
    const { ask } = made({ maxBody: 100 })
    const asked = (size: number) =>
      ask("POST", "/api/runs", { body: " ".repeat(size - valid.length) + valid })
    expect((await asked(100)).status).toBe(201)
    expect((await asked(101)).status).toBe(413)
  })
})

describe("whatever cannot be answered is a problem:", () => {
  const { read } = secrets
  const cases: ReadonlyArray<readonly [what: string, status: number, () => Request]> = [
    ["no such path", 404, () => requestOf("GET", "/nothing")],
    ["no such path below the API", 404, () => requestOf("GET", "/api/")],
    ["a method that there is not", 404, () => requestOf("PUT", "/api/runs", { json: {} })],
    ["a method that nobody knows", 404, () => requestOf("BREW", "/api/runs", { json: {} })],
    ["OPTIONS", 404, () => requestOf("OPTIONS", "/api/runs")],
    ["PATCH", 404, () => requestOf("PATCH", "/api/runs/r1", { json: {} })],
    ["percent signs with nothing behind them", 404, () => requestOf("GET", "/api/runs/%")],
    ["percent-encoded bytes that are no text", 404, () => requestOf("GET", "/api/runs/%ff%fe")],
    ["a path that goes up", 404, () => requestOf("GET", "/api/runs/..%2f..%2fetc%2fpasswd/x")],
    ["an id that goes up", 400, () => requestOf("GET", "/api/runs/..%2f..%2fetc%2fpasswd")],
    ["an id of control characters", 400, () => requestOf("GET", "/api/runs/%00%1b%5b31m")],
    [
      "an id of 201 characters",
      400,
      () => requestOf("GET", `/api/runs/${"a".repeat(201)}`)
    ],
    [
      "a path parameter without an end",
      404,
      () => requestOf("GET", `/api/runs/${"a".repeat(5_000)}`)
    ],
    ["JSON that is none", 400, () => requestOf("POST", "/api/runs", { body: "{" })],
    ["no body", 415, () => requestOf("POST", "/api/runs")],
    ["an empty body", 400, () => requestOf("POST", "/api/runs", { body: "" })],
    ["another shape", 400, () => requestOf("POST", "/api/runs", { json: [] })],
    ["bytes", 400, () => requestOf("POST", "/api/runs", { body: new Uint8Array([255, 254, 0]) })],
    ["a query that is wrong", 400, () => requestOf("GET", "/api/runs?limit=0")],
    ["a query twice", 400, () => requestOf("GET", "/api/runs?search=a&search=b")],
    ["no run", 404, () => requestOf("GET", "/api/runs/nobody")],
    ["no run to watch", 404, () => requestOf("GET", "/api/runs/nobody/changes")],
    ["no token", 401, () => requestOf("GET", "/api/runs", { token: null })],
    ["too little a scope", 403, () => requestOf("DELETE", "/api/runs/x", { token: read })]
  ]
  for (const [what, status, request] of cases) {
    it(`${what} (${status})`, async () => {
      const { logged, send } = made()
      const answer = await send(request())
      expect(answer.status).toBe(status)
      expect(answer.headers.get("content-type")).toBe("application/problem+json")
      // None of it is a fault of the server's.
      expect(logged).toEqual([])
    })
  }

  it("a HEAD has the status and no body", async () => {
    const { ask } = made()
    const answers = [
      await ask("HEAD", "/api/runs"),
      await ask("HEAD", "/nothing"),
      await ask("HEAD", "/api/runs", { token: null })
    ]
    expect(answers.map(({ status, text }) => [status, text])).toEqual([
      [200, ""],
      [404, ""],
      [401, ""]
    ])
  })

  it("what is answered, and what is streamed, is guarded as well", async () => {
    const { ask, on } = made({ page: { html: "<!doctype html>", script: "1", style: "a{}" } })
    await on(waits.start(1, { runId: "r1" }))
    expect((await ask("GET", "/api/runs")).status).toBe(200)
    for (
      const path of ["/", "/inspector.js", "/inspector.css", "/health", "/ready", "/openapi.json"]
    ) {
      expect([path, (await ask("GET", path, { token: null })).status]).toEqual([path, 200])
    }
    for (const path of ["/api/changes", "/api/runs/r1/changes"]) {
      const answer = await ask("GET", path)
      expect(answer.headers.get("content-type")).toMatch(/^text\/event-stream/)
    }
  })
})

describe("a storage that fails", () => {
  const telling = "postgres://root:hunter2@10.0.0.7/db /var/lib/reprise"
  const cause = Object.assign(new Error(telling), { path: telling })
  const failing = Effect.suspend(() =>
    Effect.fail(
      new Storage.StorageError({ reason: "Unavailable", doing: `use ${telling}`, cause })
    )
  )
  const requests = () => [
    requestOf("GET", "/api/runs"),
    requestOf("GET", "/api/runs?search=a"),
    requestOf("GET", "/api/changes"),
    requestOf("GET", "/api/due"),
    requestOf("GET", "/api/runs/r1"),
    requestOf("GET", "/api/runs/r1/status"),
    requestOf("GET", "/api/runs/r1/journal"),
    requestOf("GET", "/api/runs/r1/changes"),
    requestOf("POST", "/api/runs", { json: { workflow: "w", input: 1 } }),
    requestOf("POST", "/api/runs/r1/events", { json: { eventName: "go" } }),
    requestOf("POST", "/api/runs/r1/cancel", { json: {} }),
    requestOf("POST", "/api/runs/r1/settle", { json: {} }),
    requestOf("POST", "/api/runs/r1/fork", { json: { fromOffset: 1 } }),
    requestOf("POST", "/api/runs/r1/retry", { json: {} }),
    requestOf("POST", "/api/prune", { json: { endedBefore: 1 } }),
    requestOf("DELETE", "/api/runs/r1")
  ]

  it("is told of, and why only in the log", async () => {
    const { logged, send } = made({ driver: broken(failing) })
    for (const request of requests()) {
      const { json, status, text } = await send(request)
      expect([request.url, status]).toEqual([request.url, 503])
      expect(json()).toMatchObject({ type: "urn:reprise:StorageError", reason: "Unavailable" })
      expect(text).not.toMatch(/hunter2|var\/lib|10\.0\.0\.7|root/)
      expect(logged.pop()).toContain("hunter2")
    }
    expect(logged).toEqual([])
  })

  it("in one run only is told of in the list, and not why", async () => {
    const driver = Storage.memoryDriver()
    const { ask } = made({
      driver: {
        ...driver,
        list: () =>
          Effect.map(
            Effect.flip(failing),
            (error) => ({ runs: [], unreadable: [{ runId: "r1", error }] })
          )
      }
    })
    for (const path of ["/api/runs", "/api/runs?search=r"]) {
      const { text } = await ask("GET", path)
      expect(JSON.parse(text)).toMatchObject({ unreadable: [{ runId: "r1" }] })
      expect(text).not.toMatch(/hunter2|var\/lib/)
    }
  })

  it("is not ready, which is told to anyone, and why to nobody", async () => {
    const { ask, logged } = made({ driver: broken(failing) })
    const { json, status, text } = await ask("GET", "/ready", { token: null })
    expect(status).toBe(503)
    expect(json().type).toBe("urn:reprise:NotReady")
    expect(text).not.toContain("hunter2")
    expect(logged.join()).toContain("hunter2")
    expect((await ask("GET", "/health", { token: null })).status).toBe(200)
  })

  it("by a bug of its own is a fault of the server's, which its log has", async () => {
    const { logged, send } = made({ driver: broken(Effect.suspend(() => Effect.die(cause))) })
    for (const request of [...requests(), requestOf("GET", "/ready", { token: null })]) {
      const { json, status, text } = await send(request)
      expect([request.url, status]).toEqual([request.url, 500])
      expect(json()).toEqual({
        type: "about:blank",
        status: 500,
        title: "Internal Server Error",
        detail: "The server has a fault; its log says which."
      })
      expect(text).not.toContain("hunter2")
      expect(logged.pop()).toContain("hunter2")
    }
    expect(logged).toEqual([])
  })
})

describe("a stream that breaks off under way", () => {
  it("tells only that it is over, and the log the rest", async () => {
    const driver = Storage.memoryDriver()
    let calls = 0
    const failing = new Storage.StorageError({
      reason: "Unavailable",
      doing: "list runs of postgres://user:hunter2@db",
      cause: new Error("hunter2 was refused")
    })
    const list: Storage.Driver["list"] = (query, now) =>
      ++calls > 2 ? Effect.fail(failing) : driver.list(query, now)
    const { handler, logged } = made({ driver: { ...driver, list } })
    const answer = await handler(requestOf("GET", "/api/changes"))
    expect(answer.status).toBe(200)
    expect(await answer.text()).toBe(`data: {"runs":[],"unreadable":[]}\n\n`)
    expect(logged.join("\n")).toContain("hunter2 was refused")
  })
})

describe("a look at what is stored", () => {
  it("tells of damage, and nothing of a storage that does not give it", async () => {
    const driver = Storage.memoryDriver()
    let state: "sound" | "damaged" | "away" = "sound"
    const inbox: Storage.Driver["inbox"] = (runId, after) =>
      state === "away"
        ? Effect.fail(
          new Storage.StorageError({ reason: "Unknown", doing: "x", cause: new Error("hunter2") })
        )
        : Effect.map(driver.inbox(runId, after), (posts) => ({
          ...posts,
          text: state === "damaged" ? "not a line of ours\n" : posts.text
        }))
    const { ask, on } = made({ driver: { ...driver, inbox } })
    await on(waits.start(1, { runId: "r1" }))
    state = "damaged"
    const damaged = (await ask("GET", "/api/runs/r1/verification")).json()
    expect(damaged).toMatchObject({ runId: "r1", state: "damaged", file: "inbox", line: 1 })
    expect(damaged.message).toMatch(/^The inbox of run "r1" is damaged at line 1/)
    state = "away"
    const unreadable = await ask("GET", "/api/runs/r1/verification")
    expect(unreadable.json()).toMatchObject({ runId: "r1", state: "unreadable" })
    expect(unreadable.text).not.toContain("hunter2")
  })
})
