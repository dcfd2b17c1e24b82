/**
 * What every request passes, whatever it asks for, and every answer: which hosts and pages may call, how large a body may
 * be, headers that keep a browser from being used against its user, and problems in place of bare failures.
 *
 * Without a check of the host a page that points its own name at this machine (DNS rebinding) could call; without one of
 * the origin any page could that a token leaked to. There are no cookies, so there is nothing to send by itself.
 */
import * as ByteSize from "effect/ByteSize"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as HttpServerError from "effect/http/HttpServerError"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { refusal } from "./Problems.ts"

export interface GuardOptions {
  /**
   * Names by which the server may be called, without ports: those of proxies as well. Default: this machine's own,
   * `localhost`, `127.0.0.1` and `[::1]`.
   */
  readonly hosts?: ReadonlyArray<string> | undefined
  /** The most bytes that a body may have. Default 1 MiB. */
  readonly maxBody?: number | undefined
}

const loopback = ["localhost", "127.0.0.1", "[::1]"]

type Handler<E, R> = Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>

export const guard = (options: GuardOptions = {}) => {
  const { maxBody = 1_048_576 } = options
  const hosts = new Set((options.hosts ?? loopback).map((host) => host.toLowerCase()))
  return <E, R>(handler: Handler<E, R>): Handler<E, R | HttpServerRequest.HttpServerRequest> =>
    Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
      const refused = refusalOf(request, hosts, maxBody)
      if (refused !== undefined) return Effect.succeed(secured(refused))
      return handler.pipe(
        Effect.catchCause((cause) => answerTo(cause as Cause.Cause<unknown>)),
        Effect.map((response) => secured(explained(response))),
        Effect.provideService(HttpIncomingMessage.MaxBodySize, ByteSize.bytes(maxBody))
      )
    })
}

// ---------------------------------------------------------------------------------------------------
// requests

const refusalOf = (
  { headers, method, originalUrl }: HttpServerRequest.HttpServerRequest,
  hosts: ReadonlySet<string>,
  maxBody: number
): HttpServerResponse.HttpServerResponse | undefined => {
  // A `Request` that no connection brought has it in its address alone.
  const host = headers.host ?? /^https?:\/\/([^/?#]*)/.exec(originalUrl)?.[1] ?? ""
  if (!hosts.has(nameOf(host))) {
    return refusal(
      421,
      "Misdirected Request",
      "This server is not called by that name. Whoever runs it can add it to `hosts`."
    )
  }
  const { origin } = headers
  const isForeign = origin !== undefined && origin !== `http://${host}`
    && origin !== `https://${host}`
  // Whoever follows a link from elsewhere may: what is opened is a page of its own, and has no token yet.
  const isLink = method === "GET" && headers["sec-fetch-mode"] === "navigate"
    && headers["sec-fetch-dest"] === "document"
  if (isForeign || (headers["sec-fetch-site"] === "cross-site" && !isLink)) {
    return refusal(403, "Forbidden", "Pages of other origins may not call this server.")
  }
  if (method === "GET" || method === "HEAD") return undefined
  const length = headers["content-length"]
  if (length !== undefined && Number(length) > maxBody) return tooLarge(maxBody)
  // Not every server says whether a body follows: a POST is taken to have one.
  const hasBody = method === "POST" || Number(length ?? 0) !== 0
    || headers["transfer-encoding"] !== undefined
  const type = headers["content-type"]?.split(";", 1)[0]?.trim().toLowerCase()
  if ((hasBody || type !== undefined) && type !== "application/json") {
    return refusal(415, "Unsupported Media Type", "Send JSON, as Content-Type: application/json.")
  }
  return undefined
}

/** A host without its port. */
const nameOf = (host: string) => host.replace(/:[0-9]*$/, "").toLowerCase()

const tooLarge = (maxBody: number) =>
  refusal(413, "Content Too Large", `A body has at most ${maxBody} bytes.`)

// ---------------------------------------------------------------------------------------------------
// answers

/** What nobody answered, in words that tell no more than the caller may know. */
const answerTo = (cause: Cause.Cause<unknown>) => {
  // Whoever asked has gone.
  if (Cause.hasInterruptsOnly(cause)) return Effect.failCause(cause as Cause.Cause<never>)
  return Effect.flatMap(
    HttpServerError.causeResponse(cause),
    ([response]) =>
      response.status >= 500
        ? Effect.as(Effect.logError("A request could not be answered", cause), response)
        : Effect.succeed(response)
  )
}

const words: Readonly<Record<number, readonly [title: string, detail: string]>> = {
  400: ["Bad Request", "The request cannot be read: send JSON as the API's description says."],
  404: ["Not Found", "There is nothing here. The API is described at /openapi.json."],
  413: ["Content Too Large", "The body is too long."],
  415: ["Unsupported Media Type", "Send JSON, as Content-Type: application/json."],
  500: ["Internal Server Error", "The server has a fault; its log says which."],
  503: ["Service Unavailable", "The server is stopping, or cannot answer now. Try again."]
}

/** A failure that says nothing becomes a problem. */
const explained = (response: HttpServerResponse.HttpServerResponse) => {
  if (response.status < 400 || response.body._tag !== "Empty") return response
  const [title, detail] = words[response.status]
    ?? (response.status < 500 ? words[400]! : words[500]!)
  return refusal(response.status, title, detail)
}

const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'"
].join("; ")

const headers = {
  "content-security-policy": policy,
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY"
}

/** What a browser is told of every answer; none of them is kept, unless it says so itself. */
const secured = (response: HttpServerResponse.HttpServerResponse) =>
  HttpServerResponse.setHeaders(response, {
    ...headers,
    ...(response.status === 401 ? { "www-authenticate": "Bearer" } : undefined),
    "cache-control": response.headers["cache-control"] ?? "no-store"
  })
