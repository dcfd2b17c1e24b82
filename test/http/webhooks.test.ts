/**
 * Deliveries by webhooks: signed by Node's own HMAC, as any sender of Standard Webhooks signs them, and taken once, by
 * the bytes as they came.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Redacted, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Runs, Workflow } from "reprise"
import type { Http } from "reprise/http"
import { headersOf, type Message, other, secret, secretOf, signatureOf } from "../push/support.ts"
import { type Answer, type Made, made, requestOf, waits } from "./support/server.ts"

const now = 1_700_000_000
const seconds = String(now)

/** An API with one source, `shop`, unless others are given, and a run that waits for "go". */
const receiving = (
  webhooks: Http.Options["webhooks"] = { shop: { secret } },
  options: Omit<Partial<Http.Options>, "webhooks"> = {}
) =>
  Effect.gen(function*() {
    yield* TestClock.setTime(now * 1_000)
    const api = made({ ...options, webhooks, context: yield* Effect.context<never>() })
    yield* Effect.promise(() => api.on(waits.start(1, { runId: "r1" })))
    return api
  })

const going = (value: unknown = 1) => JSON.stringify({ runId: "r1", eventName: "go", value })

interface Delivery extends Message {
  readonly source?: string
  /** What arrives, where it is not what was signed. */
  readonly arrives?: string | Uint8Array<ArrayBuffer>
  readonly headers?: Readonly<Record<string, string | undefined>>
}

/** A delivery by whoever has the secret, and nothing else: no token. */
const deliver = (
  { send }: Made,
  { arrives, body = going(), headers, source = "shop", ...message }: Delivery = {}
): Effect.Effect<Answer> => {
  const signed = headersOf({ seconds, body, ...message })
  return Effect.promise(() =>
    send(requestOf("POST", `/webhooks/${source}`, {
      token: null,
      body: arrives ?? body,
      headers: { ...signed, ...headers }
    }))
  )
}

/** What was posted to the run. */
const posted = (api: Made, runId = "r1"): Effect.Effect<ReadonlyArray<any>> =>
  Effect.promise(async () => (await api.ask("GET", `/api/runs/${runId}`)).json().posted)

const refused = Effect.fnUntraced(function*(api: Made, delivery: Delivery, detail: string) {
  const answer = yield* deliver(api, delivery)
  expect([answer.status, answer.json().detail]).toEqual([401, detail])
  expect(yield* posted(api)).toEqual([])
})

const unsigned = "No signature is by a secret that is known here."

describe("a delivery", () => {
  it.effect("that is signed is an event of the run that it names", () =>
    Effect.gen(function*() {
      const api = yield* receiving()
      const answer = yield* deliver(api, { id: "msg_7", body: going({ paid: true }) })
      expect([answer.status, answer.text]).toEqual([202, ""])
      expect(yield* posted(api)).toMatchObject([
        { type: "event", eventName: "go", value: { paid: true }, eventId: "webhook:shop:msg_7" }
      ])
      const ended = yield* Effect.promise(() => api.on(waits.resume("r1")))
      expect(ended).toMatchObject({ status: "success", result: { paid: true } })
    }))

  it.effect("is held to what the workflow declares, where its code is known", () =>
    Effect.gen(function*() {
      const Paid = Schema.Struct({ paid: Schema.Boolean })
      const order = Workflow.make("order", { events: { go: Paid } }, function*(ctx) {
        return yield* ctx.suspend("go")
      })
      const api = yield* receiving(undefined, { workflows: [order] })
      yield* Effect.promise(() => api.on(order.start(undefined, { runId: "o1" })))
      const body = (value: unknown) => JSON.stringify({ runId: "o1", eventName: "go", value })
      const answer = yield* deliver(api, { body: body({ paid: "yes" }) })
      expect([answer.status, answer.json().type]).toEqual([422, "urn:reprise:EventRejected"])
      expect(yield* posted(api, "o1")).toEqual([])
      expect((yield* deliver(api, { body: body({ paid: true }) })).status).toBe(202)
      expect(yield* posted(api, "o1")).toMatchObject([{ value: { paid: true } }])
    }))

  it.effect("says nothing that a journal cannot keep, or that an index has no place for", () =>
    Effect.gen(function*() {
      const api = yield* receiving()
      const deep = `${"[".repeat(9_000)}${"]".repeat(9_000)}`
      const odd = [
        `{"runId":"r1","eventName":"go","value":${deep}}`,
        JSON.stringify({ runId: "r1", eventName: "x".repeat(501) }),
        JSON.stringify({ runId: "r1", eventName: "go", key: "\0" }),
        JSON.stringify({ token: "x".repeat(2_001) })
      ]
      for (const body of odd) {
        const answer = yield* deliver(api, { body })
        expect([answer.status, answer.json().type]).toEqual([400, "urn:reprise:DeliveryRejected"])
      }
      const long = yield* deliver(api, { id: "m".repeat(500) })
      expect([long.status, long.json().detail]).toEqual([400, "The webhook-id is too long."])
      expect(yield* posted(api)).toEqual([])
    }))

  it.effect("is verified by its bytes as they came, whatever they would be written anew", () =>
    Effect.gen(function*() {
      const api = yield* receiving()
      const odd = `\r\n{ "eventName" : "go",\t"runId":"r1","value": 1.0e0, "value":"\\u00e9" }  `
      expect((yield* deliver(api, { body: odd })).status).toBe(202)
      expect(yield* posted(api)).toMatchObject([{ value: "é" }])

      const api2 = yield* receiving()
      const anew = JSON.stringify(JSON.parse(odd))
      yield* refused(api2, { body: odd, arrives: anew }, unsigned)
      yield* refused(api2, { body: odd, arrives: `${odd} ` }, unsigned)
      yield* refused(api2, { body: odd, arrives: odd.trim() }, unsigned)
    }))

  it.effect("is not believed without each of the three headers, or with what cannot be in them", () =>
    Effect.gen(function*() {
      const api = yield* receiving()
      const missing = "webhook-id, webhook-timestamp or webhook-signature is missing."
      for (const name of ["webhook-id", "webhook-timestamp", "webhook-signature"]) {
        yield* refused(api, { headers: { [name]: undefined } }, missing)
        yield* refused(api, { headers: { [name]: "" } }, missing)
      }
      yield* refused(api, { id: "a.b" }, "webhook-id has a dot in it.")
      const number = "webhook-timestamp is no whole number of seconds."
      for (const odd of ["now", "1e9", "-1", "0x10", `${seconds}.0`, "9".repeat(13)]) {
        yield* refused(api, { seconds: odd }, number)
      }
      const headers = { "webhook-signature": Array(9).fill("v1,AA==").join(" ") }
      yield* refused(api, { headers }, "webhook-signature has too many of them.")
    }))

  it.effect("is not believed when any part of what is signed is another", () =>
    Effect.gen(function*() {
      const api = yield* receiving()
      yield* refused(api, { arrives: going(2) }, unsigned)
      yield* refused(api, { headers: { "webhook-id": "msg_2" } }, unsigned)
      yield* refused(api, { headers: { "webhook-timestamp": String(now - 1) } }, unsigned)
      yield* refused(api, { by: other }, unsigned)
      const right = signatureOf(secret, "msg_1", seconds, going())
      for (
        const signature of [
          right.slice(0, -1),
          right.slice("v1,".length),
          right.replace("v1,", "v1a,"),
          right.replace("v1,", "v2,"),
          right.toLowerCase(),
          "v1,",
          "v1,AAAA"
        ]
      ) {
        yield* refused(api, { headers: { "webhook-signature": signature } }, unsigned)
      }
    }))

  it.effect("is believed for five minutes, by a clock that is five minutes off either way", () =>
    Effect.gen(function*() {
      for (const offset of [-300, 300]) {
        const api = yield* receiving()
        expect((yield* deliver(api, { seconds: String(now + offset) })).status).toBe(202)
      }
      const api = yield* receiving()
      yield* refused(api, { seconds: String(now - 301) }, "webhook-timestamp is too old.")
      yield* refused(api, { seconds: String(now + 301) }, "webhook-timestamp is in the future.")
      yield* TestClock.adjust("301 seconds")
      yield* refused(api, {}, "webhook-timestamp is too old.")
    }))

  it.effect("that comes again is no news, and another one is", () =>
    Effect.gen(function*() {
      const api = yield* receiving()
      for (const id of ["a", "a", "b", "a"]) {
        expect((yield* deliver(api, { id })).status).toBe(202)
      }
      // Sent again later, it has another timestamp and another signature.
      yield* TestClock.adjust("4 minutes")
      expect((yield* deliver(api, { id: "a", seconds: String(now + 240) })).status).toBe(202)
      expect((yield* posted(api)).map(({ eventId }) => eventId))
        .toEqual(["webhook:shop:a", "webhook:shop:b"])
      const ended = yield* Effect.promise(() => api.on(waits.resume("r1")))
      expect(ended.status).toBe("success")
      // Of one that was taken, the run's end is no reason to refuse it.
      expect((yield* deliver(api, { id: "a" })).status).toBe(202)
    }))
})

describe("secrets", () => {
  it.effect("are several while they are rotated: one signature by one of them is enough", () =>
    Effect.gen(function*() {
      const third = secretOf("a third one")
      const webhooks = { shop: { secret: [secret, other] as const } }
      const signatures = (...by: ReadonlyArray<typeof secret>) =>
        by.map((each) => signatureOf(each, "msg_1", seconds, going())).join(" ")
      const seen = Effect.fnUntraced(function*(...by: ReadonlyArray<typeof secret>) {
        const api = yield* receiving(webhooks)
        const headers = { "webhook-signature": signatures(...by) }
        return (yield* deliver(api, { headers })).status
      })
      expect(yield* seen(secret)).toBe(202)
      expect(yield* seen(other)).toBe(202)
      expect(yield* seen(third, other)).toBe(202)
      expect(yield* seen(third, third, third, secret)).toBe(202)
      expect(yield* seen(third)).toBe(401)
      const api = yield* receiving(webhooks)
      const headers = { "webhook-signature": `v1a,ed25519 x ${signatures(secret)}` }
      expect((yield* deliver(api, { headers })).status).toBe(202)
    }))

  it.effect("are a source's own: those of another one, and of none, sign nothing", () =>
    Effect.gen(function*() {
      const api = yield* receiving({ shop: { secret }, bank: { secret: other } })
      yield* refused(api, { source: "bank" }, unsigned)
      yield* refused(api, { by: other }, unsigned)
      for (const source of ["nobody", "__proto__", "constructor", "toString", "Shop", "shop%20"]) {
        yield* refused(api, { source }, "No such source is known here.")
      }
      expect((yield* deliver(api, { source: "bank", by: other })).status).toBe(202)
    }))

  it.effect("of one source name events that no other source's can be taken for", () =>
    Effect.gen(function*() {
      const api = yield* receiving({ shop: { secret }, bank: { secret: other } })
      yield* deliver(api, { id: "1" })
      yield* deliver(api, { id: "1", source: "bank", by: other })
      expect((yield* posted(api)).map(({ eventId }) => eventId))
        .toEqual(["webhook:shop:1", "webhook:bank:1"])
    }))

  it("that cannot be used are refused before anyone is served, and not shown", async () => {
    for (const text of ["tell-nobody", "whsec_dGVsbC1ub2JvZHk=", "whsec_tell nobody"]) {
      const { handler } = made({ webhooks: { shop: { secret: Redacted.make(text) } } })
      const error = await handler(requestOf("GET", "/health")).catch((cause: unknown) => cause)
      expect(String(error)).toMatch(/The secret cannot be used/)
      expect(String(error)).not.toContain(text)
    }
  })

  it.effect("are guessed at only so often, and those who have them are not held up by it", () =>
    Effect.gen(function*() {
      const api = yield* receiving(undefined, { rates: { refused: 2 } })
      const status = (delivery: Delivery) =>
        Effect.map(deliver(api, delivery), (answer) => answer.status)
      expect(yield* status({ by: other })).toBe(401)
      expect(yield* status({ source: "nobody" })).toBe(401)
      for (const wrong of [{ by: other }, { source: "x" }, { seconds: "0" }]) {
        expect(yield* status(wrong)).toBe(429)
      }
      expect(yield* status({})).toBe(202)
      yield* TestClock.adjust("1 minute")
      expect(yield* status({ by: other, seconds: String(now + 60) })).toBe(401)
    }))
})

describe("what a delivery is for", () => {
  const told = Effect.fnUntraced(function*(
    body: string | Uint8Array<ArrayBuffer>,
    webhook: Partial<Http.Webhook> = {}
  ) {
    const api = yield* receiving({ shop: { secret, ...webhook } })
    const { status, text } = yield* deliver(api, { body })
    const { detail, type } = text === "" ? { detail: "", type: "" } : JSON.parse(text)
    return { status, detail, type, posted: yield* posted(api), api }
  })

  it.effect("is in its body: a run, an event, a key and a value", () =>
    Effect.gen(function*() {
      const { posted, status } = yield* told(
        JSON.stringify({ runId: "r1", eventName: "go", key: "k", value: null, more: 1 })
      )
      expect(status).toBe(202)
      expect(posted).toMatchObject([{ eventName: "go", key: "k", value: null }])
      expect(posted[0]).not.toHaveProperty("more")
    }))

  it.effect("may be a token, which is followed once", () =>
    Effect.gen(function*() {
      const api = yield* receiving()
      const journal = yield* Effect.promise(() => api.on(Runs.journal("r1")))
      const token = journal.entries.flatMap((entry) =>
        entry.type === "step" ? [entry.result] : []
      )[0]
      const body = JSON.stringify({ token, value: "by link" })
      for (const id of ["1", "2"]) {
        expect((yield* deliver(api, { id, body })).status).toBe(202)
      }
      expect(yield* posted(api)).toMatchObject([{ eventName: "go", value: "by link" }])
      const wrong = yield* deliver(api, { id: "3", body: JSON.stringify({ token: "none" }) })
      expect([wrong.status, wrong.json().type]).toEqual([422, "urn:reprise:TokenRejected"])
    }))

  it.effect("may be said by a function of one's own, and may be nobody", () =>
    Effect.gen(function*() {
      const event: Http.Webhook["event"] = (body: any) =>
        body?.kind === "paid"
          ? { runId: body.order, eventName: "go", value: body.kind }
          : undefined
      const paid = yield* told(JSON.stringify({ kind: "paid", order: "r1" }), { event })
      expect(paid).toMatchObject({ status: 202, posted: [{ value: "paid" }] })
      for (const body of ["{\"kind\":\"seen\"}", "null", "1", "\"paid\"", "[]"]) {
        expect(yield* told(body, { event })).toMatchObject({ status: 202, posted: [] })
      }
    }))

  it.effect("is a fault of the server's when that function fails, which only its log is told", () =>
    Effect.gen(function*() {
      const failing = yield* told("{}", {
        event: () => {
          throw new Error("hunter2 in /etc/passwd")
        }
      })
      expect(failing).toMatchObject({ status: 500, posted: [] })
      expect(failing.detail).toBe("The server has a fault; its log says which.")
      expect(failing.api.logged.join()).toContain("hunter2")
    }))

  it.effect("is refused when it is none, or no JSON, or no text", () =>
    Effect.gen(function*() {
      const rejected = { status: 400, posted: [], type: "urn:reprise:DeliveryRejected" }
      for (
        const body of [
          "{}",
          "null",
          "[]",
          "\"r1\"",
          "{\"runId\":\"r1\"}",
          "{\"runId\":1,\"eventName\":\"go\"}"
        ]
      ) {
        expect(yield* told(body)).toMatchObject(rejected)
      }
      for (const body of ["", "{", going().slice(0, -1), `${going()}x`, `\ufeff${going()}`]) {
        expect(yield* told(body)).toMatchObject({
          ...rejected,
          detail: "The body: it is no JSON."
        })
      }
      const bytes = new Uint8Array([...new TextEncoder().encode(going()), 0xff])
      expect(yield* told(bytes)).toMatchObject({
        ...rejected,
        detail: "The body: it is no UTF-8."
      })
    }))

  it.effect("may be as long as a body may be", () =>
    Effect.gen(function*() {
      const size = 1_048_576 - going("").length
      expect((yield* told(going("x".repeat(size)))).status).toBe(202)
      expect((yield* told(going("x".repeat(size + 1)))).status).toBe(413)
    }))

  it.effect("is refused as it is for anyone else: no run, no run id, a run that has ended", () =>
    Effect.gen(function*() {
      const to = (runId: string) => told(JSON.stringify({ runId, eventName: "go" }))
      expect(yield* to("nobody")).toMatchObject({ status: 404, type: "urn:reprise:RunNotFound" })
      expect(yield* to("../r1")).toMatchObject({ status: 400, type: "urn:reprise:RunIdRejected" })
      const api = yield* receiving()
      yield* deliver(api, { id: "1" })
      yield* Effect.promise(() => api.on(waits.resume("r1")))
      const late = yield* deliver(api, { id: "2" })
      expect([late.status, late.json().type]).toEqual([409, "urn:reprise:RunClosed"])
    }))

  it.effect("is JSON by its type, whoever has signed it", () =>
    Effect.gen(function*() {
      const api = yield* receiving()
      const headers = { "content-type": "text/plain" }
      expect((yield* deliver(api, { headers })).status).toBe(415)
      expect((yield* deliver(api, { headers: { host: "evil.test" } })).status).toBe(421)
      expect(yield* posted(api)).toEqual([])
    }))
})
