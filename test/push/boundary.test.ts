/**
 * The trust boundary of pushed deliveries: what is not signed with a known secret, now, and whole, is refused
 * before anything is opened, and every verdict has the status that a queue goes by.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer, Logger, ManagedRuntime, Option, Redacted, Result } from "effect"
import { inspect } from "node:util"
import { Dispatch } from "reprise"
import { Push } from "reprise/push"
import { vi } from "vitest"
import {
  deliveryOf,
  headersOf,
  nowSeconds,
  other,
  requestOf,
  secret,
  secretOf,
  signatureOf
} from "./support.ts"

const done: Dispatch.Verdict = { _tag: "Done", status: "success" }

/** A handler that drives nothing, and what it was asked to open and to drive. */
const stub = (
  verdict: Dispatch.Verdict = done,
  secrets: Push.Secrets = secret
) => {
  const seen = { built: 0, handled: [] as Array<string> }
  const layer = Layer.effect(
    Dispatch.Dispatch,
    Effect.sync(() => {
      seen.built++
      return Dispatch.Dispatch.of({
        handle: (runId) =>
          Effect.sync(() => {
            seen.handled.push(runId)
            return verdict
          })
      })
    })
  )
  return { seen, handler: Push.handler({ secret: secrets, layer }) }
}

const nothing = { built: 0, handled: [] }

/** Sends to a fresh stub, and expects that nothing was opened or driven. */
const refused = async (request: Request, status: number): Promise<string> => {
  const { handler, seen } = stub()
  const response = await handler(request)
  expect({ status: response.status, seen }).toEqual({ status, seen: nothing })
  expect(response.headers.get("content-type")).toBe("application/json")
  return (await response.json() as { error: string }).error
}

describe("a delivery", () => {
  it("that is signed is driven", async () => {
    const { handler, seen } = stub()
    const response = await handler(deliveryOf("order-1"))
    expect(response.status).toBe(200)
    expect(await response.json()).toEqual(done)
    expect(seen).toEqual({ built: 1, handled: ["order-1"] })
  })

  it("is signed as the reference implementations sign", async () => {
    // The example that they all are tested with.
    const example = Redacted.make("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    expect(
      signatureOf(
        example,
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "1614265330",
        `{"test": 2432232314}`
      )
    ).toBe("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
    const { handler } = stub(done, example)
    expect((await handler(requestOf(headersOf({ by: example })))).status).toBe(200)
  })

  it("is driven again when it is replayed, which is all that a replay can do", async () => {
    const { handler, seen } = stub()
    const headers = headersOf()
    expect((await handler(requestOf(headers))).status).toBe(200)
    expect((await handler(requestOf(headers))).status).toBe(200)
    expect(seen.handled).toEqual(["r1", "r1"])
  })

  it("is taken up to five minutes early or late", async () => {
    const { handler } = stub()
    const now = Number(nowSeconds())
    for (const seconds of [now - 290, now + 290]) {
      expect((await handler(requestOf(headersOf({ seconds: String(seconds) })))).status).toBe(200)
    }
  })

  it("may have signatures by other secrets and of other schemes beside the right one", async () => {
    const { handler } = stub()
    const headers = headersOf()
    const right = headers["webhook-signature"]!
    const wrong = headersOf({ by: other })["webhook-signature"]!
    for (
      const signatures of [
        `${wrong} ${right}`,
        `${right} ${wrong}`,
        `v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZ ${right}`,
        `v1,not!base64 v1, ${right}`
      ]
    ) {
      const response = await handler(
        requestOf({ ...headers, "webhook-signature": signatures })
      )
      expect({ signatures, status: response.status }).toEqual({ signatures, status: 200 })
    }
  })

  it("is believed by each of several secrets while they are rotated, and by no other", async () => {
    const { handler } = stub(done, [secretOf("new"), secretOf("old")])
    const statusOf = async (name: string) =>
      (await handler(requestOf(headersOf({ by: secretOf(name) })))).status
    expect(await statusOf("new")).toBe(200)
    expect(await statusOf("old")).toBe(200)
    expect(await statusOf("older")).toBe(401)
  })
})

describe("refused, with nothing opened, is", () => {
  it("a body that is not the signed one", async () => {
    const error = await refused(requestOf(headersOf(), `{"runId":"r2"}`), 401)
    expect(error).toBe("no signature is by a secret that is known here")
    await refused(requestOf(headersOf(), `{"runId":"r1"} `), 401)
  })

  it("an id that is not the signed one", async () => {
    await refused(requestOf({ ...headersOf(), "webhook-id": "msg_2" }), 401)
  })

  it("a time that is not the signed one", async () => {
    const earlier = String(Number(nowSeconds()) - 10)
    await refused(requestOf({ ...headersOf(), "webhook-timestamp": earlier }), 401)
  })

  it("a signed time that is more than five minutes ago, or in the future", async () => {
    const now = Number(nowSeconds())
    const old = String(now - 310)
    expect(await refused(requestOf(headersOf({ seconds: old })), 401)).toContain("too old")
    const early = String(now + 310)
    expect(await refused(requestOf(headersOf({ seconds: early })), 401)).toContain("future")
  })

  it("a signed time that is no whole number of seconds", async () => {
    const now = nowSeconds()
    for (const seconds of [`${now}.0`, ` ${now}x`, `+${now}`, "NaN", "1e9", `0x${now}`, "-1"]) {
      const request = requestOf(headersOf({ seconds }))
      expect(await refused(request, 401)).toContain("whole number")
    }
  })

  it("a signed id with a dot, which could move what is the time and what is the body", async () => {
    const now = nowSeconds()
    // Both are signed content `a.<now>.<now>.{…}`.
    const signed = `${now}.{"runId":"r1"}`
    const signature = signatureOf(secret, "a", now, signed)
    const moved = {
      "webhook-id": `a.${now}`,
      "webhook-timestamp": now,
      "webhook-signature": signature
    }
    expect(signatureOf(secret, `a.${now}`, now, `{"runId":"r1"}`)).toBe(signature)
    expect(await refused(requestOf(moved), 401)).toContain("dot")
  })

  it("a signature by another secret", async () => {
    await refused(requestOf(headersOf({ by: other })), 401)
  })

  it("a signature that lacks its last byte, has one more, or is another scheme's", async () => {
    const headers = headersOf()
    const [, base64 = ""] = headers["webhook-signature"]!.split(",")
    const bytes = Buffer.from(base64, "base64")
    for (
      const signature of [
        `v1,${bytes.subarray(0, 31).toString("base64")}`,
        `v1,${Buffer.concat([bytes, Buffer.of(0)]).toString("base64")}`,
        `v1a,${base64}`,
        `v2,${base64}`,
        base64,
        "v1,",
        "v1",
        `v1,${bytes.toString("hex")}`,
        `v1,${base64},${base64}`
      ]
    ) {
      await refused(requestOf({ ...headers, "webhook-signature": signature }), 401)
    }
  })

  it("every single byte of the signature that is another one", async () => {
    const headers = headersOf()
    const bytes = Buffer.from(headers["webhook-signature"]!.slice(3), "base64")
    for (let at = 0; at < bytes.length; at++) {
      const flipped = Buffer.from(bytes)
      flipped[at]! ^= 1
      const signature = `v1,${flipped.toString("base64")}`
      await refused(requestOf({ ...headers, "webhook-signature": signature }), 401)
    }
  })

  it("more signatures than a dispatcher has", async () => {
    const headers = headersOf()
    const many = Array.from({ length: 9 }, () => headers["webhook-signature"]).join(" ")
    expect(await refused(requestOf({ ...headers, "webhook-signature": many }), 401))
      .toContain("too many")
  })

  it("what lacks a header, or all of them", async () => {
    for (const name of ["webhook-id", "webhook-timestamp", "webhook-signature"]) {
      const { [name]: _, ...rest } = headersOf()
      expect(await refused(requestOf(rest), 401)).toContain("missing")
      expect(await refused(requestOf({ ...rest, [name]: "" }), 401)).toContain("missing")
    }
    await refused(requestOf({}), 401)
  })

  it("a body that is too long, however it says so, and it is not read to its end", async () => {
    const body = JSON.stringify({ runId: "r".repeat(1_100) })
    await refused(requestOf(headersOf({ body }), body), 413)
    let pulled = 0
    let cancelled = false
    const endless = new ReadableStream<Uint8Array>({
      pull: (controller) => {
        pulled++
        controller.enqueue(new Uint8Array(512))
      },
      cancel: () => {
        cancelled = true
      }
    })
    const request = new Request("http://function.test/", {
      method: "POST",
      headers: headersOf(),
      body: endless,
      duplex: "half"
    })
    await refused(request, 413)
    expect({ cancelled, isShort: pulled < 10 }).toEqual({ cancelled: true, isShort: true })
  })

  it("a body that breaks off", async () => {
    const broken = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.error(new Error("the line is dead"))
    })
    const request = new Request("http://function.test/", {
      method: "POST",
      headers: headersOf(),
      body: broken,
      duplex: "half"
    })
    await refused(request, 400)
  })

  it("what is signed and no delivery", async () => {
    for (
      const body of [
        "",
        "r1",
        "{}",
        "[]",
        "null",
        `{"runId":1}`,
        `{"runId":""}`,
        `{"runId":"../x"}`,
        `{"runId":"a\\nb"}`,
        `{"runId":"${"r".repeat(201)}"}`,
        `{"__proto__":{"runId":"r1"}}`,
        Uint8Array.of(0xff, 0xfe, 0x00)
      ]
    ) {
      const error = await refused(requestOf(headersOf({ body }), body), 400)
      expect(error).toBe(`a delivery is {"runId": "…"}`)
    }
  })

  it("everything but a POST", async () => {
    for (const method of ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"]) {
      const headers = headersOf({ body: "" })
      await refused(new Request("http://function.test/", { method, headers }), 405)
    }
    const { handler } = stub()
    const response = await handler(new Request("http://function.test/"))
    expect(response.headers.get("allow")).toBe("POST")
  })
})

describe("a secret", () => {
  const handlerOf = (secrets: Push.Secrets) => () => stub(done, secrets)

  it("that is too short, too long, or not of the form is refused when the handler is made", () => {
    const of = (bytes: number) =>
      Redacted.make(`whsec_${Buffer.alloc(bytes, 7).toString("base64")}`)
    expect(handlerOf(of(23))).toThrow("it has 23 bytes, not 24 to 64")
    expect(handlerOf(of(65))).toThrow("it has 65 bytes")
    expect(handlerOf(of(24))).not.toThrow()
    expect(handlerOf(of(64))).not.toThrow()
    expect(handlerOf(Redacted.make("hunter2"))).toThrow("does not begin with whsec_")
    expect(handlerOf(Redacted.make("whsec_hunter2!"))).toThrow("is not Base64")
    expect(handlerOf([secret, of(3)])).toThrow("it has 3 bytes")
    expect(handlerOf([] as unknown as [typeof secret])).toThrow("there is none")
  })

  it("is not shown by what refuses it, or by the handler", () => {
    const refusal = Result.getFailure(
      Result.try(() => stub(done, Redacted.make("whsec_aHVudGVyMg==")))
    )
    expect(String(Option.getOrThrow(refusal))).toContain("openssl rand -base64 32")
    expect(inspect(refusal, { depth: 9 })).not.toContain("aHVudGVyMg")
    const { handler } = stub()
    expect(inspect(handler, { depth: 9, showHidden: true })).not.toContain("whsec_")
  })
})

describe("a verdict", () => {
  const table: ReadonlyArray<readonly [Dispatch.Verdict, number, string | null]> = [
    [{ _tag: "Done", status: "success" }, 200, null],
    [{ _tag: "Done", status: "absent" }, 200, null],
    [{ _tag: "Waits", until: 1_800_000_000_000 }, 200, null],
    [{ _tag: "Waits", until: undefined }, 200, null],
    [{ _tag: "Blocked", why: "CrashLoop" }, 200, null],
    [{ _tag: "Foreign", workflow: "order" }, 404, null],
    [{ _tag: "Held", after: 2_000 }, 503, "2"],
    [{ _tag: "Redeliver", after: 1_001, why: "the disk is full" }, 503, "2"],
    [{ _tag: "Redeliver", after: 0, why: "time" }, 503, "0"]
  ]

  it.each(table)("%j has a status, and is the body", async (verdict, status, retryAfter) => {
    const { handler } = stub(verdict)
    const response = await handler(deliveryOf("r1"))
    expect(response.status).toBe(status)
    expect(response.headers.get("retry-after")).toBe(retryAfter)
    expect(response.headers.get("cache-control")).toBe("no-store")
    expect(await response.text()).toBe(JSON.stringify(verdict))
  })

  it("is Redeliver when the layer cannot be built, which the next delivery tries again", async () => {
    const logged = vi.spyOn(console, "log").mockImplementation(() => {})
    let attempts = 0
    const layer = Layer.effect(
      Dispatch.Dispatch,
      Effect.suspend(() =>
        ++attempts === 1
          ? Effect.fail(new Error("the database is away"))
          : Effect.succeed(Dispatch.Dispatch.of({ handle: () => Effect.succeed(done) }))
      )
    )
    const handler = Push.handler({ secret, layer })
    const first = await handler(deliveryOf("r1"))
    expect(first.status).toBe(503)
    expect(await first.json()).toEqual({
      _tag: "Redeliver",
      after: 1_000,
      why: "the database is away"
    })
    expect((await handler(deliveryOf("r1"))).status).toBe(200)
    expect((await handler(deliveryOf("r1"))).status).toBe(200)
    expect(attempts).toBe(2)
    expect(inspect(logged.mock.calls)).toContain("could not be driven")
    logged.mockRestore()
  })

  it("is Redeliver when the layer is not built in time, and the building goes on", async () => {
    let build = (_: Dispatch.Dispatch["Service"]) => {}
    const built = new Promise<Dispatch.Dispatch["Service"]>((resolve) => {
      build = resolve
    })
    const layer = Layer.effect(Dispatch.Dispatch, Effect.promise(() => built))
    const handler = Push.handler({ secret, layer, budget: "50 millis" })
    expect((await handler(deliveryOf("r1"))).status).toBe(503)
    build(Dispatch.Dispatch.of({ handle: () => Effect.succeed(done) }))
    expect((await handler(deliveryOf("r1"))).status).toBe(200)
  })

  it("is Redeliver when what drives has a bug, and the next one is driven", async () => {
    const logged: Array<string> = []
    const logger = Logger.make(({ message }) => void logged.push(inspect(message)))
    const layer = Layer.merge(
      Layer.succeed(
        Dispatch.Dispatch,
        Dispatch.Dispatch.of({
          handle: (runId) =>
            runId === "bad" ? Effect.die(new Error("no such thing")) : Effect.succeed(done)
        })
      ),
      Logger.layer([logger])
    )
    const runtime = ManagedRuntime.make(layer)
    const respond = Push.responder({ secret })
    const handlers = [
      Push.handler({ secret, layer }),
      (request: Request) => runtime.runPromise(respond(request))
    ]
    for (const handler of handlers) {
      const bad = await handler(deliveryOf("bad"))
      expect(bad.status).toBe(503)
      expect(await bad.json()).toEqual({
        _tag: "Redeliver",
        after: 1_000,
        why: "no such thing"
      })
      expect((await handler(deliveryOf("good"))).status).toBe(200)
    }
    expect(logged.map((line) => line.includes(`Run "bad" could not be driven`))).toEqual([
      true,
      true
    ])
    await runtime.dispose()
  })
})
