/** Who is let in: tokens, how they are compared, when they end, what they allow, and how often. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import type { webcrypto } from "node:crypto"
import type { Http } from "reprise/http"
import { vi } from "vitest"
import * as Access from "../../src/http/Access.ts"
import { made, type Making, requestOf, secrets, tokenOf } from "./support/server.ts"

const long = (text: string, length: number) => text.padEnd(length, ".")

describe("a token", () => {
  it("is sent as a bearer, whose name may be written as one likes", async () => {
    const { ask } = made()
    for (const scheme of ["Bearer ", "bearer ", "BEARER ", "Bearer   "]) {
      const headers = { authorization: `${scheme}${secrets.read}` }
      expect([scheme, (await ask("GET", "/api/session", { headers })).json().name]).toEqual([
        scheme,
        "reader"
      ])
    }
  })

  it("is sent in no other way", async () => {
    const { ask } = made()
    const { read } = secrets
    for (
      const authorization of [
        undefined,
        "",
        "Bearer",
        "Bearer ",
        `Bearer\t${read}`,
        `Bearer${read}`,
        `Basic ${btoa(`reader:${read}`)}`,
        `Token ${read}`,
        read,
        `Bearer ${read},`,
        `Bearer "${read}"`,
        `Bearer ${read} ${read}`,
        `Bearer wrong, Bearer ${read}`
      ]
    ) {
      const answer = await ask("GET", "/api/session", { headers: { authorization } })
      expect([authorization, answer.status]).toEqual([authorization, 401])
    }
    const elsewhere = { authorization: undefined, cookie: `token=${read}`, "x-api-key": read }
    for (const path of [`/api/session?token=${read}&access_token=${read}`, "/api/session"]) {
      expect((await ask("GET", path, { headers: elsewhere })).status).toBe(401)
    }
  })

  it("counts once: two of them in one request are none", async () => {
    const { send } = made()
    const request = requestOf("GET", "/api/session")
    request.headers.append("authorization", `Bearer ${secrets.read}`)
    expect((await send(request)).status).toBe(401)
  })

  it("fits as a whole: neither its beginning nor more than it, nor in another case", async () => {
    const all = "x".repeat(1_024)
    const { ask } = made({ tokens: [tokenOf("long", all, ["read"])] })
    const status = async (token: string) => (await ask("GET", "/api/session", { token })).status
    expect(await status(all)).toBe(200)
    for (const other of [all.slice(1), `${all}x`, all.toUpperCase(), "x".repeat(50_000)]) {
      expect(await status(other)).toBe(401)
    }
  })

  it("is told what is wrong, and no more than that", async () => {
    const { ask } = made()
    const unknown = await ask("GET", "/api/runs/r1", { token: "unknown-token-0123456789" })
    expect(unknown.json()).toMatchObject({ status: 401, type: "urn:reprise:Unauthorized" })
    expect(unknown.text).not.toContain("unknown-token")
    const low = await ask("DELETE", "/api/runs/r1", { token: secrets.read })
    expect(low.json()).toMatchObject({
      status: 403,
      type: "urn:reprise:Forbidden",
      needs: "admin",
      detail: "Token \"reader\" allows read; this needs admin."
    })
  })

  it("that is refused sees no difference between what is there and what is not", async () => {
    const { ask } = made()
    const seen = async (path: string) => {
      const { headers, status, text } = await ask("GET", path, { token: null })
      return [status, text, [...headers]]
    }
    const first = await seen("/api/runs/r1")
    expect(first[0]).toBe(401)
    for (const path of ["/api/runs/nobody", "/api/runs?limit=0", "/api/runs/..%2f", "/metrics"]) {
      expect([path, await seen(path)]).toEqual([path, first])
    }
  })
})

describe("tokens are compared by the platform, in constant time:", () => {
  it("with every one that is known, by keyed hashes, whichever fits and however long it is", async () => {
    const names = ["first", "second", "third"]
    const all = names.map((name) => tokenOf(name, long(name, 32), ["read"]))
    const { ask } = made({ tokens: all })
    await ask("GET", "/api/session")
    const verify = vi.spyOn(crypto.subtle, "verify")
    const compared = async (token: string) => {
      verify.mockClear()
      const { status } = await ask("GET", "/api/session", { token })
      return [
        status,
        verify.mock.calls.map(([algorithm, key, hash]) => {
          const { byteLength } = hash as ArrayBuffer
          return [algorithm, (key as webcrypto.CryptoKey).algorithm, byteLength]
        })
      ]
    }
    const hmac = { name: "HMAC", length: 512, hash: { name: "SHA-256" } }
    const each = names.map(() => ["HMAC", hmac, 32])
    try {
      for (const name of names) expect(await compared(long(name, 32))).toEqual([200, each])
      for (
        const token of ["x", long("first", 31), long("first", 33), "second", "x".repeat(1_024)]
      ) {
        expect(await compared(token)).toEqual([401, each])
      }
      // Nothing but that decides.
      verify.mockResolvedValue(false)
      expect(await compared(long("first", 32))).toEqual([401, each])
    } finally {
      verify.mockRestore()
    }
  })
})

describe("a token's time", () => {
  const hour = 3_600_000
  const until = (expiresAt: number | undefined): Making => ({
    tokens: [{ ...tokenOf("guest", secrets.read, ["read"]), expiresAt }]
  })
  const asked = (api: Http.Options | Making) =>
    Effect.gen(function*() {
      const { ask } = made({ ...api, context: yield* Effect.context<never>() })
      return Effect.promise(() => ask("GET", "/api/session", { token: secrets.read }))
    })

  it.effect("is over at the instant that was said, and not before", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(hour)
      const status = Effect.map(yield* asked(until(2 * hour)), (answer) => answer.status)
      expect(yield* status).toBe(200)
      yield* TestClock.adjust(hour - 1)
      expect(yield* status).toBe(200)
      yield* TestClock.adjust(1)
      expect(yield* status).toBe(401)
      yield* TestClock.adjust(1_000 * hour)
      expect(yield* status).toBe(401)
    }))

  it.effect("that is no number is over", () =>
    Effect.gen(function*() {
      const answer = yield* yield* asked(until(Number.NaN))
      expect(answer.status).toBe(401)
      expect(answer.json().detail).toBe("The token's time is over: ask for another one.")
    }))

  it.effect("has no end when none is said", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(8.64e15)
      expect((yield* yield* asked(until(undefined))).status).toBe(200)
    }))
})

describe("scopes", () => {
  it("allow what they say, and admin allows the others too", async () => {
    const { ask } = made()
    const statuses = async (token: string) => [
      (await ask("GET", "/api/runs", { token })).status,
      (await ask("POST", "/api/runs", { token, json: { workflow: "w", input: 1 } })).status,
      (await ask("POST", "/api/prune", { token, json: { endedBefore: 1 } })).status
    ]
    expect(await statuses(secrets.read)).toEqual([200, 403, 403])
    expect(await statuses(secrets.send)).toEqual([403, 201, 403])
    expect(await statuses(secrets.admin)).toEqual([200, 201, 200])
    expect(await statuses(secrets.none)).toEqual([403, 403, 403])
  })
})

describe("tokens that cannot protect anything are refused before anyone is served:", () => {
  const fault = (tokens: ReadonlyArray<Http.Token>) =>
    Effect.map(
      Effect.flip(Effect.scoped(Layer.build(Access.layer(tokens)))),
      (error) => [error._tag, error.saw]
    )
  const fine = tokenOf("fine", "0123456789abcdef", ["read"])

  const cases: ReadonlyArray<readonly [ReadonlyArray<Http.Token>, string]> = [
    [[], "there is no token"],
    [[tokenOf("short", "0123456789abcde", [])], "the token \"short\" is too short"],
    [[fine, tokenOf("empty", "", [])], "the token \"empty\" is too short"],
    [[tokenOf("long", "x".repeat(1_025), [])], "the token \"long\" is too long"],
    [[fine, tokenOf("fine", "another-token-of-it", [])], "two tokens are called \"fine\""],
    [[fine, tokenOf("b", "0123456789abcdef", ["admin"])], "\"fine\" and \"b\" have the same token"],
    // As when the file that it is read from ends with a line.
    [
      [tokenOf("line", "0123456789abcdef\n", [])],
      "the token \"line\" has characters that cannot be sent"
    ],
    [
      [tokenOf("space", "0123456789 abcdef", [])],
      "the token \"space\" has characters that cannot be sent"
    ],
    [
      [tokenOf("text", "tökentökentöken!", [])],
      "the token \"text\" has characters that cannot be sent"
    ]
  ]
  for (const [tokens, saw] of cases) {
    it.effect(saw, () =>
      Effect.gen(function*() {
        expect(yield* fault(tokens)).toEqual(["TokensRejected", saw])
      }))
  }

  it("by the whole server, in words that do not show the token", async () => {
    const { handler } = made({ tokens: [tokenOf("short", "tell-nobody", ["read"])] })
    const error = await handler(requestOf("GET", "/health")).catch((cause: unknown) => cause)
    expect(String(error)).toContain("the token \"short\" is too short")
    expect(String(error)).not.toContain("tell-nobody")
  })
})

describe("who asks too often", () => {
  it.effect("is told when to try again, by token", () =>
    Effect.gen(function*() {
      const context = yield* Effect.context<never>()
      const { ask } = made({ rates: { token: 3 }, context })
      const asked = (token: string) => Effect.promise(() => ask("GET", "/api/session", { token }))
      for (const _ of [1, 2, 3]) expect((yield* asked(secrets.read)).status).toBe(200)
      const { headers, json, status } = yield* asked(secrets.read)
      expect(status).toBe(429)
      expect(json()).toMatchObject({ type: "urn:reprise:TooManyRequests", status: 429 })
      const seconds = Number(headers.get("retry-after"))
      expect(json().retryAfter).toBe(seconds)
      expect(seconds).toBeGreaterThanOrEqual(1)
      // Others are not held up.
      expect((yield* asked(secrets.send)).status).toBe(403)
      yield* TestClock.adjust(`${seconds} seconds`)
      expect((yield* asked(secrets.read)).status).toBe(200)
      expect((yield* asked(secrets.read)).status).toBe(429)
    }))

  it.effect("is counted also for what the token does not allow", () =>
    Effect.gen(function*() {
      const context = yield* Effect.context<never>()
      const { ask } = made({ rates: { token: 2 }, context })
      const asked = Effect.promise(() => ask("DELETE", "/api/runs/x", { token: secrets.read }))
      expect([(yield* asked).status, (yield* asked).status, (yield* asked).status])
        .toEqual([403, 403, 429])
    }))

  it.effect("with tokens that do not fit is held up with all such, and nobody else is", () =>
    Effect.gen(function*() {
      const context = yield* Effect.context<never>()
      const { ask } = made({ rates: { refused: 3 }, context })
      const asked = (token: string | null) =>
        Effect.map(
          Effect.promise(() => ask("GET", "/api/session", { token })),
          ({ headers, status }) => [status, headers.has("retry-after")]
        )
      expect(yield* asked("guess-number-1-of-many")).toEqual([401, false])
      expect(yield* asked(null)).toEqual([401, false])
      expect(yield* asked(secrets.expired)).toEqual([401, false])
      for (const token of ["guess-number-2-of-many", null, secrets.expired]) {
        expect(yield* asked(token)).toEqual([429, true])
      }
      expect(yield* asked(secrets.read)).toEqual([200, false])
      yield* TestClock.adjust("1 minute")
      expect(yield* asked("guess-number-3-of-many")).toEqual([401, false])
    }))
})
