/**
 * The dispatcher's side: a `Dispatch` that drives nothing itself, but posts each run's id to a function and
 * hands back its verdict.
 *
 * Whatever keeps an answer away is a `Redeliver`: the run may have gone on or not, and delivering it again is
 * harmless. What a person has to see to, as a wrong secret, is logged once and asked for ever more rarely.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { createRunId, Dispatch } from "../index.ts"
import { describe } from "../internal/describe.ts"
import * as Signature from "./Signature.ts"
import * as Wire from "./Wire.ts"

export interface LayerOptions {
  /** Where the function is. Over `https`: a signature hides nothing, and does not vouch for the answer. */
  readonly url: string
  /** Shared with the function, and with nobody else. */
  readonly secret: Signature.Secrets
  /** When an answer counts as lost; more than the function's budget. Default 30 seconds. */
  readonly timeout?: Duration.Input | undefined
}

/**
 * Drives runs in a function elsewhere, one signed POST a delivery: with `Worker.layerDispatch`, a small process that is
 * always on finds what is due, and functions that come and go do the work.
 *
 * @example
 * ```ts
 * import { Storage, Worker } from "reprise"
 * import { Push } from "reprise/push"
 * import { Layer, Redacted } from "effect"
 * import { FetchHttpClient } from "effect/http"
 *
 * const dispatcher = Worker.layerDispatch({ concurrency: 100 }).pipe(
 *   Layer.provide(Push.layer({
 *     url: "https://abc.lambda-url.eu-central-1.on.aws",
 *     secret: Redacted.make("whsec_bm90IHNlY3JldCwgYnV0IGxvbmcgZW5vdWdo")
 *   })),
 *   Layer.provide(FetchHttpClient.layer),
 *   Layer.provide(Storage.layerMemory)
 * )
 * Layer.isLayer(dispatcher) // => true
 * ```
 */
export const layer = (
  options: LayerOptions
): Layer.Layer<Dispatch.Dispatch, Signature.SecretRejected, HttpClient.HttpClient> =>
  Layer.effect(Dispatch.Dispatch, make(options))

/** How long a run is left alone whose function did not answer, or had no verdict. */
const failedMillis = 1_000

/** The same where trying again helps only after a person saw to it; whoever redelivers makes it longer each time. */
const refusedMillis = 10_000

/** At most this much of what a function asks for in `Retry-After`. */
const longestPause = 60_000

const make = Effect.fnUntraced(
  function*({ secret, timeout = "30 seconds", url }: LayerOptions) {
    const client = yield* HttpClient.HttpClient
    const secrets = yield* Effect.fromResult(Signature.bytesOf(secret))
    const keys = yield* Effect.promise(() => Signature.keysOf(secrets))
    const utf8 = new TextEncoder()
    /** What was logged last, until a delivery is answered again. */
    let warned: string | undefined

    const warn = (why: string) =>
      Effect.suspend(() => {
        if (warned === why) return Effect.void
        warned = why
        return Effect.logWarning(`Deliveries to ${url} are refused: ${why}`)
      })

    const post = Effect.fnUntraced(function*(runId: string) {
      const body = utf8.encode(Wire.encodeDelivery(runId))
      const now = yield* Clock.currentTimeMillis
      const headers = yield* Signature.sign(keys, `msg_${createRunId()}`, body, now)
      const request = HttpClientRequest.post(url).pipe(
        HttpClientRequest.setHeaders(headers),
        HttpClientRequest.bodyUint8Array(body, "application/json")
      )
      const response = yield* client.execute(request)
      return { response, text: yield* response.text }
    })

    const handle = Effect.fnUntraced(
      function*(runId: string) {
        const { response, text } = yield* post(runId)
        const verdict = Wire.decodeVerdict(text)
        if (verdict !== undefined) {
          warned = undefined
          return verdict
        }
        const { headers, status } = response
        const why = whyOf(status)
        if (!isRefusal(status)) return redeliver(pauseOf(headers["retry-after"]), why)
        yield* warn(why)
        return redeliver(refusedMillis, why)
      },
      Effect.timeoutOrElse({
        duration: timeout,
        orElse: () => Effect.succeed(redeliver(failedMillis, "the function did not answer in time"))
      }),
      Effect.catch((error) =>
        Effect.succeed(
          redeliver(failedMillis, `the function was not reached: ${describe(error).message}`)
        )
      )
    )

    return Dispatch.Dispatch.of({ handle: (runId) => unredirected(handle(runId)) })
  }
)

/**
 * A verdict counts from where the delivery was addressed to, and nowhere else. Clients that follow redirects only when
 * told to need not be told.
 */
const unredirected = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(
    Effect.context<never>(),
    (context) =>
      Effect.provideService(effect, FetchHttpClient.RequestInit, {
        ...Option.getOrUndefined(Context.getOption(context, FetchHttpClient.RequestInit)),
        redirect: "manual"
      })
  )

const redeliver = (after: number, why: string): Dispatch.Verdict => ({
  _tag: "Redeliver",
  after,
  why
})

/** Whether the same delivery is refused until somebody changes something. */
const isRefusal = (status: number) => status < 500 && status !== 408 && status !== 429

const whyOf = (status: number): string => {
  if (status === 401) {
    return "the function knows none of the secrets, or its clock is minutes apart (401)"
  }
  return isRefusal(status)
    ? `there is no function that takes deliveries at this address (${status})`
    : `the function answered ${status}, without a verdict`
}

const pauseOf = (seconds: string | undefined): number =>
  seconds !== undefined && /^[0-9]{1,6}$/.test(seconds)
    ? Math.min(longestPause, Math.max(failedMillis, Number(seconds) * 1_000))
    : failedMillis
