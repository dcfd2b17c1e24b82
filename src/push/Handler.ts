/**
 * The function's side: verifies that a request is a delivery, drives the run for as long as the function may
 * live, and answers with the verdict.
 *
 * Invariants:
 * P1. Nothing is opened, read or driven for a request whose signature was not verified.
 * P2. Every verified delivery is answered with a verdict, also when the layer cannot be built or time is over.
 * P3. When time is over the run is interrupted where it is and its lease is given back before the answer.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { Dispatch, Workflow } from "../index.ts"
import { describe } from "../internal/describe.ts"
import * as Signature from "./Signature.ts"
import * as Wire from "./Wire.ts"

export interface RespondOptions {
  /** Shared with the dispatcher, and with nobody else. */
  readonly secret: Signature.Secrets
  /**
   * How long one delivery may take: less than the platform lets the function live. Then the run is interrupted and
   * its lease given back, and the dispatcher delivers it again. Default 25 seconds.
   */
  readonly budget?: Duration.Input | undefined
  /**
   * A timer that is due within this time is waited for in the function; for a later one the run suspends. Default 100
   * milliseconds: whoever pays by the second does not pay for waiting.
   */
  readonly shortWait?: Duration.Input | undefined
}

export interface HandlerOptions<E> extends RespondOptions {
  /** What drives, with its storage: built at the first delivery, and again at the next when that failed. */
  readonly layer: Layer.Layer<Dispatch.Dispatch, E>
}

/**
 * A web-standard handler that drives the run of each delivery: for Lambda-like platforms, and any server that speaks
 * `Request` and `Response`. What it opened stays open between requests, for as long as the process lives.
 *
 * | Status                  | Body                      | When                                                     |
 * | ----------------------- | ------------------------- | -------------------------------------------------------- |
 * | 200                     | `Done`, `Waits`, `Blocked` | nothing is left to do now: a queue acknowledges           |
 * | 404                     | `Foreign`                 | another function, or newer code, may know the workflow   |
 * | 503 with `Retry-After`  | `Held`, `Redeliver`       | to be delivered again                                    |
 * | 400                     | `{ "error" }`             | signed, and no delivery                                  |
 * | 401                     | `{ "error" }`             | not signed with a secret of ours, or not now             |
 * | 405                     | `{ "error" }`             | not a POST                                               |
 * | 413                     | `{ "error" }`             | over 1 KiB                                               |
 *
 * A delivery that is replayed within its five minutes does no harm: it is a look at a run that whoever may deliver
 * could have asked for as well. Throws `SecretRejected`.
 *
 * @example
 * ```ts
 * import { Dispatch, Storage, Workflow } from "reprise"
 * import { Push } from "reprise/push"
 * import { Layer, Redacted } from "effect"
 *
 * const double = Workflow.make("double", function*(ctx, n: number) {
 *   return yield* ctx.step("double", () => n * 2)
 * })
 * const handler = Push.handler({
 *   secret: Redacted.make("whsec_bm90IHNlY3JldCwgYnV0IGxvbmcgZW5vdWdo"),
 *   layer: Dispatch.layer([double]).pipe(Layer.provide(Storage.layerMemory))
 * })
 * const answer = await handler(new Request("https://f.example", { method: "POST", body: "{}" }))
 * answer.status // => 401
 * ```
 */
export const handler = <E>(
  options: HandlerOptions<E>
): (request: Request) => Promise<Response> => {
  const receive = receiver(options)
  const built = once(options.layer)
  const drive = (runId: string) =>
    Effect.flatMap(built, (context) =>
      // Within the context, so that its loggers hear of a failure.
      Effect.provideContext(survived(runId, Dispatch.handle(runId)), context))
  return (request) => Effect.runPromise(receive(request, drive))
}

/**
 * The same as an Effect, for those who have a runtime of their own:
 * `(request) => runtime.runPromise(respond(request))`. Throws `SecretRejected`.
 */
export const responder = (
  options: RespondOptions
): (request: Request) => Effect.Effect<Response, never, Dispatch.Dispatch> => {
  const receive = receiver(options)
  return (request) => receive(request, Dispatch.handle)
}

/** What the layer gives, kept once it could be built. */
const once = <E>(
  layer: Layer.Layer<Dispatch.Dispatch, E>
): Effect.Effect<Context.Context<Dispatch.Dispatch>, E> => {
  let runtime: ManagedRuntime.ManagedRuntime<Dispatch.Dispatch, E> | undefined
  return Effect.suspend(() => {
    const mine = runtime ??= ManagedRuntime.make(layer)
    return Effect.onExit(mine.contextEffect, (exit) => {
      // One that only stopped waiting leaves it to those who still do.
      if (Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause)) return Effect.void
      if (runtime === mine) runtime = undefined
      return mine.disposeEffect
    })
  })
}

/** How long a run is left alone whose function failed. */
const failedMillis = 1_000

const timeIsOver: Dispatch.Verdict = {
  _tag: "Redeliver",
  after: 0,
  why: "the time of the function was over"
}

/** What failed, or has a bug, is to be delivered again. */
const survived = <E, R>(
  runId: string,
  verdict: Effect.Effect<Dispatch.Verdict, E, R>
): Effect.Effect<Dispatch.Verdict, never, R> =>
  Effect.catchCause(verdict, (cause) =>
    Effect.as(
      Effect.logError(`Run "${runId}" could not be driven`, cause),
      {
        _tag: "Redeliver",
        after: failedMillis,
        why: describe(Cause.squash(cause)).message
      } as const
    ))

/** Refuses what is no delivery; what is one is driven for as long as there is time. */
const receiver = (
  { budget = "25 seconds", secret, shortWait = "100 millis" }: RespondOptions
) => {
  const secrets = Result.getOrThrow(Signature.bytesOf(secret))
  const waitMillis = Duration.toMillis(Duration.fromInputUnsafe(shortWait))
  /** Set once they are there: some platforms let no request wait for what another one began. */
  let keys: ReadonlyArray<Signature.Key> | undefined
  const verified = (claims: Signature.Claims, body: Uint8Array) =>
    Effect.flatMap(
      Effect.promise(async () => keys ??= await Signature.keysOf(secrets)),
      (all) => Signature.verify(all, claims, body)
    )

  const driven = <E, R>(
    runId: string,
    drive: (runId: string) => Effect.Effect<Dispatch.Verdict, E, R>
  ): Effect.Effect<Dispatch.Verdict, never, R> =>
    drive(runId).pipe(
      Effect.provideService(Workflow.ShortWait, waitMillis),
      Effect.timeoutOrElse({ duration: budget, orElse: () => Effect.succeed(timeIsOver) }),
      (timed) => survived(runId, timed)
    )

  return Effect.fnUntraced(function*<E, R>(
    request: Request,
    drive: (runId: string) => Effect.Effect<Dispatch.Verdict, E, R>
  ): Effect.fn.Return<Response, never, R> {
    if (request.method !== "POST") {
      return Wire.refuse(405, "deliveries are posted", { allow: "POST" })
    }
    const now = yield* Clock.currentTimeMillis
    const claims = Signature.claimsOf((name) => request.headers.get(name), now)
    if (Result.isFailure(claims)) return Wire.refuse(401, claims.failure)
    const body = yield* bodyOf(request)
    if (body === undefined) return Wire.refuse(400, "the body could not be read")
    if (body.length > Wire.longestBody) {
      return Wire.refuse(413, `a delivery has at most ${Wire.longestBody} bytes`)
    }
    if (!(yield* verified(claims.success, body))) {
      return Wire.refuse(401, "no signature is by a secret that is known here")
    }
    const delivery = Wire.decodeDelivery(utf8.decode(body))
    if (Option.isNone(delivery)) return Wire.refuse(400, `a delivery is {"runId": "…"}`)
    return Wire.answer(yield* driven(delivery.value.runId, drive))
  })
}

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true })

/** The body, read no further than it takes to see that it is too long; undefined when it broke off. */
const bodyOf = (request: Request): Effect.Effect<Uint8Array | undefined> =>
  Effect.promise(async () => {
    if (request.body === null) return new Uint8Array()
    const chunks: Array<Uint8Array> = []
    let length = 0
    const reader = request.body.getReader()
    try {
      while (length <= Wire.longestBody) {
        const { done, value } = await reader.read()
        if (done) break
        chunks.push(value)
        length += value.length
      }
      if (length > Wire.longestBody) await reader.cancel()
    } catch {
      return undefined
    }
    const all = new Uint8Array(length)
    let at = 0
    for (const chunk of chunks) {
      all.set(chunk, at)
      at += chunk.length
    }
    return all
  })
