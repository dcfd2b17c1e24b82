/**
 * The API in this process, over journals in memory, and requests to it as a client of this machine sends them.
 *
 * Whatever is asked, the answer is held to what every answer must be: headers that bind a browser, no cookie, and a
 * problem wherever it is no success.
 */
import { Context, Effect, Layer, Logger, Redacted, Schema } from "effect"
import { inspect } from "node:util"
import { Storage, Workflow } from "reprise"
import { Http } from "reprise/http"
import { expect, onTestFinished } from "vitest"

// ---------------------------------------------------------------------------------------------------
// who may call

/** One token of each kind. */
export const secrets = {
  read: "read-token-0123456789abcdef",
  send: "send-token-0123456789abcdef",
  admin: "admin-token-0123456789abcdef",
  none: "none-token-0123456789abcdef",
  expired: "expired-token-0123456789abcdef"
} as const
export type Name = keyof typeof secrets

export const tokenOf = (name: string, token: string, scopes: Http.Token["scopes"]): Http.Token => ({
  name,
  token: Redacted.make(token),
  scopes
})

export const tokens: ReadonlyArray<Http.Token> = [
  tokenOf("reader", secrets.read, ["read"]),
  tokenOf("sender", secrets.send, ["send"]),
  tokenOf("administrator", secrets.admin, ["admin"]),
  tokenOf("nobody", secrets.none, []),
  { ...tokenOf("gone", secrets.expired, ["admin"]), expiresAt: 0 }
]

// ---------------------------------------------------------------------------------------------------
// requests

export interface Ask {
  /** A token's text, or none at all; default: the administrator's. */
  readonly token?: string | null
  /** Sent as JSON. */
  readonly json?: unknown
  /** Sent as it is, as JSON by its type. */
  readonly body?: string | Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array<ArrayBuffer>>
  /** In place of, or beside, what is sent otherwise; without those that are undefined. */
  readonly headers?: Readonly<Record<string, string | undefined>>
}

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  /** Of an answer that is JSON. */
  readonly json: () => any
}

/** A request to the API, which is called `localhost`. */
export const requestOf = (method: string, path: string, ask: Ask = {}): Request => {
  const { json, token = secrets.admin } = ask
  const body = json === undefined ? ask.body : JSON.stringify(json)
  const headers = new Headers()
  const all: Ask["headers"] = {
    host: "localhost",
    authorization: token === null ? undefined : `Bearer ${token}`,
    "content-type": body === undefined ? undefined : "application/json",
    ...ask.headers
  }
  for (const [name, value] of Object.entries(all)) {
    if (value !== undefined) headers.append(name, value)
  }
  return new Request(`http://localhost${path}`, {
    method,
    headers,
    ...(body === undefined ? undefined : { body, duplex: "half" })
  })
}

const guarding = {
  "content-security-policy": /default-src 'none'.*frame-ancestors 'none'/,
  "cross-origin-opener-policy": /: same-origin$/,
  "cross-origin-resource-policy": /: same-origin$/,
  "referrer-policy": /: no-referrer$/,
  "x-content-type-options": /: nosniff$/,
  "x-frame-options": /: DENY$/,
  "cache-control": /: (no-store|public|max-age)/
}

/** Holds what is true of every answer, whatever was asked. */
export const expectGuarded = ({ headers, status, text }: Answer): void => {
  for (const [name, value] of Object.entries(guarding)) {
    expect(`${name}: ${headers.get(name)}`).toMatch(value)
  }
  expect(headers.get("set-cookie")).toBeNull()
  if (status < 400 || text === "") return
  expect(headers.get("content-type")).toBe("application/problem+json")
  const problem = JSON.parse(text)
  expect(problem).toMatchObject({
    status,
    type: expect.any(String),
    title: expect.any(String),
    detail: expect.any(String)
  })
  // No line of a stack, and no module.
  expect(text).not.toMatch(/:\d+:\d+\)?(\\n|"|$)|node_modules|file:\/\//)
}

// ---------------------------------------------------------------------------------------------------
// the API

export interface Made {
  readonly ask: (method: string, path: string, ask?: Ask) => Promise<Answer>
  readonly send: (request: Request) => Promise<Answer>
  readonly handler: (request: Request) => Promise<Response>
  /** As a caller of the library in this process, on the same storage. */
  readonly on: <A, E>(effect: Effect.Effect<A, E, Storage.Storage>) => Promise<A>
  /** What the server has logged. */
  readonly logged: Array<string>
}

export interface Making extends Partial<Http.Options> {
  readonly driver?: Storage.Driver | undefined
  /** What requests are handled in, as a clock of the test's. */
  readonly context?: Context.Context<never> | undefined
}

/** An API of its own for the test that runs. */
export const made = (
  { context = Context.empty(), driver = Storage.memoryDriver(), ...options }: Making = {}
): Made => {
  const storage = Storage.make(driver)
  const layer = Layer.succeed(Storage.Storage, storage)
  const api = Http.toWebHandler({ tokens, ...options, layer })
  onTestFinished(api.dispose)
  const logged: Array<string> = []
  const logger = Logger.make(({ cause, message }) =>
    void logged.push(inspect([message, cause], { depth: 10 }))
  )
  const within = Context.add(context, Logger.CurrentLoggers, new Set([logger]))
  const handler = (request: Request) => api.handler(request, within)
  const send = async (request: Request): Promise<Answer> => {
    const response = await handler(request)
    // A stream has no end to wait for.
    const isStream = response.headers.get("content-type")?.startsWith("text/event-stream") ?? false
    if (isStream) await response.body?.cancel()
    const text = isStream ? "" : await response.text()
    const { headers, status } = response
    const answer = { status, headers, text, json: () => JSON.parse(text) }
    expectGuarded(answer)
    return answer
  }
  return {
    ask: (method, path, ask) => send(requestOf(method, path, ask)),
    send,
    handler,
    on: (effect) => Effect.runPromise(Effect.provide(effect, [layer, Logger.layer([])])),
    logged
  }
}

/** A run of it does a step, and then waits for "go". */
export const waits = Workflow.make("waits", {
  input: Schema.Json,
  events: { go: Schema.Json }
}, function*(ctx) {
  const token = yield* ctx.token("go")
  yield* ctx.step("first", () => token)
  return yield* ctx.suspend("go")
})

/** A storage whose calls all do `how` instead; its watchers work. */
export const broken = (how: Effect.Effect<never, Storage.StorageError>): Storage.Driver => {
  const driver = Storage.memoryDriver()
  return new Proxy(driver, {
    get: (target, name) => {
      const member: unknown = Reflect.get(target, name)
      return typeof member !== "function" || name === "watch" ? member : () => how
    }
  })
}
