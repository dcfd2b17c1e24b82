/**
 * A server's API over a storage of the test's, and those who call it from "elsewhere": they share nothing with it but
 * requests, which are counted, and answers, whose texts are kept.
 */
import { Context, Effect, Layer, Redacted, type Scope } from "effect"
import { FetchHttpClient } from "effect/http"
import { Storage } from "reprise"
import { Http } from "reprise/http"
import type { Service } from "../../worker/support.ts"

export const token = Redacted.make("token-of-the-tests-0123456789")

export const tokenOf = (
  text: string,
  scopes: Http.Token["scopes"]
): Http.Token => ({ name: text, token: Redacted.make(text), scopes })

export type Fetch = typeof globalThis.fetch

export interface Served {
  readonly storage: Service
  readonly fetch: Fetch
  /** `GET /api/runs`, in the order they came. */
  readonly requests: Array<string>
  /** The text of every answer that has one. */
  readonly answers: Array<Promise<string>>
}

/** The API over `storage`, until the test is over. */
export const served = (
  options: Partial<Http.Options> = {},
  storage: Service = Storage.make(Storage.memoryDriver())
): Effect.Effect<Served, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() =>
        Http.toWebHandler({
          tokens: [{ name: "tests", token, scopes: ["admin"] }],
          ...options,
          layer: Layer.succeed(Storage.Storage, storage)
        })
      ),
      ({ dispose }) => Effect.promise(dispose)
    ),
    ({ handler }) => {
      const requests: Array<string> = []
      const answers: Array<Promise<string>> = []
      const fetch = async (url: string | URL | Request, init?: RequestInit) => {
        const request = new Request(url, init)
        // What a connection would have said.
        request.headers.set("host", "localhost")
        requests.push(`${request.method} ${new URL(request.url).pathname}`)
        const response = await handler(request, Context.empty())
        const { body } = response
        if (body === null) return response
        const [one, other] = body.tee()
        answers.push(new Response(other).text().catch(() => ""))
        return new Response(one, response)
      }
      return { storage, fetch: fetch as Fetch, requests, answers }
    }
  )

/** Calls as `fetch` has them made. */
export const through =
  (fetch: Fetch) => <A, E>(layer: Layer.Layer<A, E, HttpClientOf>): Layer.Layer<A, E> =>
    layer.pipe(
      Layer.provide(FetchHttpClient.layer),
      Layer.provide(Layer.succeed(FetchHttpClient.Fetch, fetch))
    )

type HttpClientOf = Layer.Success<typeof FetchHttpClient.layer>

export const url = "http://localhost"

/** The storage of the server, as another machine has it. */
export const remote = (
  fetch: Fetch,
  options: Partial<Http.ClientOptions> = {}
): Effect.Effect<Service, never, Scope.Scope> =>
  Effect.map(
    Layer.build(Layer.fresh(through(fetch)(Http.layerRuns({ url, token, ...options })))),
    (context) => Context.get(context, Storage.Storage)
  )

export const clientOf = (
  fetch: Fetch,
  options: Partial<Http.ClientOptions> = {}
): Effect.Effect<Http.Client> =>
  Effect.provide(Http.client({ url, token, ...options }), FetchHttpClient.layer).pipe(
    Effect.provideService(FetchHttpClient.Fetch, fetch)
  )
