/** Puts the API together and serves it: on any server of Effect's, or as a web-standard handler. */
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import type { Storage } from "../Storage.ts"
import * as Access from "./Access.ts"
import { Api } from "./Api.ts"
import { guard, type GuardOptions } from "./Guard.ts"
import * as Page from "./Page.ts"
import * as Reads from "./Reads.ts"
import type { Token } from "./Scopes.ts"
import * as System from "./System.ts"
import * as Webhooks from "./Webhooks.ts"
import * as Writes from "./Writes.ts"

export interface Options extends Reads.Knowing, GuardOptions {
  /** Who may call, and what they may do. Also on this machine alone a token is needed. */
  readonly tokens: ReadonlyArray<Token>
  readonly rates?: Access.Rates | undefined
  /**
   * Who may deliver events by signed webhooks, by the last part of their address.
   *
   * @example
   * ```ts
   * import { Storage } from "reprise"
   * import { Http } from "reprise/http"
   * import { Redacted, Schema } from "effect"
   *
   * const Paid = Schema.Struct({ type: Schema.Literal("paid"), order: Schema.String })
   * const { handler } = Http.toWebHandler({
   *   tokens: [{
   *     name: "shop",
   *     token: Redacted.make("VRxEN3V7cVxkO2W0VEYPhFkT1QzzqCkF"),
   *     scopes: ["read"]
   *   }],
   *   webhooks: {
   *     till: {
   *       secret: Redacted.make("whsec_bm90IHNlY3JldCwgYnV0IGxvbmcgZW5vdWdo"),
   *       // What is of no other type is for nobody.
   *       event: (body) =>
   *         Schema.is(Paid)(body) ? { runId: body.order, eventName: "paid" } : undefined
   *     }
   *   },
   *   layer: Storage.layerMemory
   * })
   * const unsigned = await handler(
   *   new Request("http://localhost/webhooks/till", {
   *     method: "POST",
   *     headers: { "content-type": "application/json" },
   *     body: `{"type":"paid","order":"order-1"}`
   *   })
   * )
   * unsigned.status // => 401
   * ```
   */
  readonly webhooks?: Readonly<Record<string, Webhooks.Webhook>> | undefined
  /** The inspector, as `readPage` reads it; without it there is none. */
  readonly page?: Page.Page | undefined
}

/** Why the API cannot be served. */
export type ServeError = Access.TokensRejected | Webhooks.SecretRejected

/** A run id of 200 characters, each of them percent-encoded. */
const routerConfig = { maxParamLength: 600 }

const routes = (options: Options) => {
  const { page, rates, tokens, webhooks = {}, workflows = [] } = options
  const groups = Layer.mergeAll(
    Reads.layer(options),
    Writes.sending(workflows),
    Writes.steering,
    System.counting,
    System.watching,
    Webhooks.layer(webhooks, workflows, rates)
  )
  return Layer.mergeAll(
    HttpApiBuilder.layer(Api, { openapiPath: "/openapi.json" }).pipe(
      Layer.provide(groups),
      Layer.provide(Access.layer(tokens, rates)),
      Layer.provide(HttpApiMiddleware.layerProblemDetails({ includeDetails: true }))
    ),
    page === undefined ? Layer.empty : Page.layer(page),
    HttpRouter.middleware(guard(options), { global: true })
  )
}

/**
 * What `node:http` should be told, as in `createServer(Http.serverOptions)`: who sends a request, or its head, too slowly
 * is cut off. Milliseconds.
 */
export const serverOptions = {
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  keepAliveTimeout: 5_000,
  connectionsCheckingInterval: 1_000
}

/**
 * Serves the API on a server of Effect's.
 *
 * @example
 * ```ts
 * import { NodeHttpServer } from "@effect/platform-node"
 * import { Storage } from "reprise"
 * import { Http } from "reprise/http"
 * import { Layer, Redacted } from "effect"
 * import { createServer } from "node:http"
 *
 * const api = Http.serve({
 *   tokens: [{
 *     name: "shop",
 *     token: Redacted.make("VRxEN3V7cVxkO2W0VEYPhFkT1QzzqCkF"),
 *     scopes: ["read", "send"]
 *   }]
 * }).pipe(
 *   Layer.provide(
 *     NodeHttpServer.layer(() => createServer(Http.serverOptions), {
 *       port: 4983,
 *       host: "127.0.0.1"
 *     })
 *   ),
 *   Layer.provide(Storage.layerMemory)
 * )
 * // NodeRuntime.runMain(Layer.launch(api))
 * Layer.isLayer(api) // => true
 * ```
 */
export const serve = (options: Options) =>
  HttpRouter.serve(routes(options), {
    routerConfig,
    disableLogger: true,
    disableListenLog: true
  })

/**
 * The API as a web-standard handler, and what gives back what it opened.
 *
 * @example
 * ```ts
 * import { Storage } from "reprise"
 * import { Http } from "reprise/http"
 * import { Redacted } from "effect"
 *
 * const { dispose, handler } = Http.toWebHandler({
 *   tokens: [{
 *     name: "shop",
 *     token: Redacted.make("VRxEN3V7cVxkO2W0VEYPhFkT1QzzqCkF"),
 *     scopes: ["read"]
 *   }],
 *   layer: Storage.layerMemory
 * })
 * const answer = await handler(
 *   new Request("http://localhost/api/runs", {
 *     headers: { authorization: "Bearer VRxEN3V7cVxkO2W0VEYPhFkT1QzzqCkF" }
 *   })
 * )
 * const page = await answer.json()
 * await dispose()
 * page // => { runs: [], unreadable: [] }
 * ```
 */
export const toWebHandler = <E>(
  { layer, ...options }: Options & { readonly layer: Layer.Layer<Storage, E> }
) =>
  HttpRouter.toWebHandler(
    routes(options).pipe(Layer.provide(layer), Layer.provideMerge(HttpServer.layerServices)),
    { routerConfig, disableLogger: true }
  )
