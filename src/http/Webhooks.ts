/**
 * Events that come by webhooks: deliveries signed as Standard Webhooks 1.0.0 says, each an event of a run.
 *
 * Invariants:
 * W1. Nothing is read or posted for a delivery whose signature was not verified, over the bytes as they came.
 * W2. What a delivery is for stands in its body, which is signed, and not in its address, which is not.
 * W3. A delivery that comes again is no news: its id is the event's.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as Layer from "effect/Layer"
import * as RateLimiter from "effect/persistence/RateLimiter"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Signature from "../push/Signature.ts"
import { Storage } from "../Storage.ts"
import { limiting, type Rates } from "./Access.ts"
import { Api } from "./Api.ts"
import type { AnyContract } from "./Forms.ts"
import { Name, Token, Value } from "./Inputs.ts"
import { DeliveryRejected, Unauthorized } from "./Problems.ts"
import { sender } from "./Send.ts"

export { SecretRejected } from "../push/Signature.ts"

/** What a delivery is for. */
export type Delivered =
  | {
    readonly runId: string
    readonly eventName: string
    readonly key?: string | undefined
    readonly value?: Schema.Json | undefined
  }
  /** A token of `ctx.token` stands for run and event. */
  | { readonly token: string; readonly value?: Schema.Json | undefined }

/** One who delivers. */
export interface Webhook {
  /** Shared with whoever delivers. Several while they are rotated: each of them is enough to be believed. */
  readonly secret: Signature.Secrets
  /**
   * What a delivery is for, by its body; undefined for one that is for nobody. Default: the body is the answer itself,
   * `{ "runId", "eventName", "key", "value" }` or `{ "token", "value" }`.
   */
  readonly event?: ((body: Schema.Json) => Delivered | undefined) | undefined
}

const Delivery = Schema.Union([
  Schema.Struct({
    runId: Name,
    eventName: Name,
    key: Schema.optional(Name),
    value: Schema.optional(Value)
  }),
  Schema.Struct({ token: Token, value: Schema.optional(Value) })
])

const decodeJson = Schema.decodeUnknownResult(Schema.fromJsonString(Schema.Json))
const decodeDelivery = Schema.decodeUnknownResult(Delivery)

const isName = Schema.is(Name)

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** The event of a delivery, or what is wrong with its body. */
const eventOf = (
  { event }: Webhook,
  bytes: Uint8Array
): Result.Result<Delivered | undefined, string> => {
  let text: string
  try {
    text = utf8.decode(bytes)
  } catch {
    return Result.fail("it is no UTF-8")
  }
  const json = decodeJson(text)
  if (Result.isFailure(json)) return Result.fail("it is no JSON")
  const delivered = event === undefined ? json.success : event(json.success)
  return delivered === undefined
    ? Result.succeed(undefined)
    : Result.mapError(decodeDelivery(delivered), ({ message }) => message)
}

/** Takes deliveries of those who are known; `SecretRejected` when a secret is none. */
export const layer = (
  webhooks: Readonly<Record<string, Webhook>>,
  workflows: ReadonlyArray<AnyContract>,
  { refused = 300 }: Rates = {}
) =>
  HttpApiBuilder.group(Api, "webhooks", (handlers) =>
    Effect.gen(function*() {
      const on = Effect.provideService(Storage, yield* Storage)
      const { deliver, send } = sender(workflows)
      const post = (delivered: Delivered, eventId: string) =>
        "token" in delivered
          ? deliver(delivered.token, delivered.value)
          : Effect.asVoid(send(delivered.runId, { ...delivered, eventId }))
      const limit = yield* limiting
      const sources = new Map(
        yield* Effect.forEach(Object.entries(webhooks), ([name, webhook]) =>
          Effect.gen(function*() {
            const bytes = yield* Effect.fromResult(Signature.bytesOf(webhook.secret))
            const keys = yield* Effect.promise(() => Signature.keysOf(bytes))
            return [name, { webhook, keys }] as const
          }))
      )
      const refuse = (detail: string) =>
        Effect.andThen(limit("refused", refused), Effect.fail(new Unauthorized({ detail })))
      return handlers.handleRaw("webhook", ({ params, request }) =>
        Effect.gen(function*() {
          const source = sources.get(params.source)
          if (source === undefined) return yield* refuse("No such source is known here.")
          const now = yield* Clock.currentTimeMillis
          const claims = Signature.claimsOf((name) => request.headers[name] ?? null, now)
          if (Result.isFailure(claims)) return yield* refuse(`${claims.failure}.`)
          const body = new Uint8Array(yield* Effect.orDie(request.arrayBuffer))
          if (!(yield* Signature.verify(source.keys, claims.success, body))) {
            return yield* refuse("No signature is by a secret that is known here.")
          }
          const delivered = eventOf(source.webhook, body)
          if (Result.isFailure(delivered)) {
            return yield* new DeliveryRejected({ detail: `The body: ${delivered.failure}.` })
          }
          if (delivered.success === undefined) return
          const eventId = `webhook:${params.source}:${claims.success.id}`
          if (!isName(eventId)) {
            return yield* new DeliveryRejected({ detail: "The webhook-id is too long." })
          }
          yield* on(post(delivered.success, eventId))
        }))
    })).pipe(
      Layer.provide(RateLimiter.layer),
      Layer.provide(RateLimiter.layerStoreMemory)
    )
