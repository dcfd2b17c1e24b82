/** The typed client: every endpoint of the API as a function whose failures are the library's own errors. */
import * as Effect from "effect/Effect"
import * as HttpApiClient from "effect/http-api/HttpApiClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as Redacted from "effect/Redacted"
import { Api } from "./Api.ts"

/** Where the API is, and who calls. */
export interface ClientOptions {
  /** The server's address, without `/api`: `https://runs.example`, or with the path that a proxy has it under. */
  readonly url: URL | string
  /** One of the server's tokens. */
  readonly token: Redacted.Redacted<string>
}

export type Client = HttpApiClient.ForApi<typeof Api>

/**
 * A client of the API: `client.runs`, `client.events`, `client.admin` and `client.metrics`.
 *
 * What the server refuses arrives as the error that the library's own call fails with, with its fields: `RunNotFound`,
 * `RunClosed`, `EventRejected`; besides `Unauthorized`, `Forbidden` and `TooManyRequests`. `Http.layerRuns` makes the same
 * server the storage of `Runs` and of contracts.
 *
 * @example
 * ```ts
 * import { Storage } from "reprise"
 * import { Http } from "reprise/http"
 * import { Effect, Redacted } from "effect"
 * import { FetchHttpClient } from "effect/http"
 *
 * const token = Redacted.make("VRxEN3V7cVxkO2W0VEYPhFkT1QzzqCkF")
 * const { handler } = Http.toWebHandler({
 *   tokens: [{ name: "shop", token, scopes: ["read", "send"] }],
 *   layer: Storage.layerMemory
 * })
 * // In place of a connection: the server is in this process.
 * const fetch = (url: string | URL | Request, init?: RequestInit) => handler(new Request(url, init))
 * const program = Effect.gen(function*() {
 *   const { events, runs } = yield* Http.client({ url: "http://localhost", token })
 *   const { runId } = yield* events.enqueue({ payload: { workflow: "index", input: "home" } })
 *   return (yield* runs.status({ params: { runId } })).status
 * })
 * const status = await Effect.runPromise(program.pipe(
 *   Effect.provide(FetchHttpClient.layer),
 *   Effect.provideService(FetchHttpClient.Fetch, fetch)
 * ))
 * status // => "pending"
 * ```
 */
export const client = (
  { token, url }: ClientOptions
): Effect.Effect<Client, never, HttpClient.HttpClient> =>
  HttpApiClient.make(Api, {
    baseUrl: url,
    transformClient: HttpClient.mapRequest(HttpClientRequest.bearerToken(token))
  })
