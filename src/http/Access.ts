/**
 * Who is let in: tokens compared in constant time, scopes, and how often one may call.
 *
 * Both tokens are hashed with a key of this process before they are compared, so that neither their lengths nor where
 * they differ shows in the time that it takes. Every known token is compared, whichever fits.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpEffect from "effect/http/HttpEffect"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as RateLimiter from "effect/persistence/RateLimiter"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { Forbidden, TooManyRequests, Unauthorized } from "./Problems.ts"
import { Access, Caller, Needs, type Scope, type Token } from "./Scopes.ts"

/** A token cannot be used. The message does not show it. */
export class TokensRejected
  extends Schema.TaggedError<TokensRejected>("reprise/TokensRejected")("TokensRejected", {
    saw: Schema.String
  })
{
  override get message(): string {
    return `The API cannot be served: ${this.saw}. Give each one a token of its own of ${shortest} to ${longest} `
      + `characters, as \`openssl rand -base64 32\` makes one.`
  }
}

const shortest = 16

/** Longer ones are not worth the hashing. */
const longest = 1_024

/** What a header can carry behind `Bearer`: others, such as one that was read with its line's end, would never fit. */
const sendable = /^[\x21-\x7e]*$/

/** How often one may call, and all together without a token that is known; requests a minute. */
export interface Rates {
  /** Of each token; default 1,200. */
  readonly token?: number | undefined
  /** Of all that are refused together; default 300. */
  readonly refused?: number | undefined
}

/** Takes one from a bucket that fills within a minute, or says in how many seconds to try again. */
export const limiting = Effect.map(
  RateLimiter.RateLimiter,
  (limiter) => (key: string, limit: number) =>
    Effect.catch(
      limiter.consume({ key, limit, window: "1 minute", algorithm: "token-bucket" }),
      ({ reason }) =>
        reason._tag === "RateLimitExceeded"
          ? tooMany(seconds(reason.retryAfter))
          : Effect.void
    )
)

const seconds = (duration: Duration.Duration) =>
  Math.max(1, Math.ceil(Duration.toSeconds(duration)))

const tooMany = (retryAfter: number) =>
  Effect.andThen(
    HttpEffect.appendPreResponseHandler((_, response) =>
      Effect.succeed(HttpServerResponse.setHeader(response, "retry-after", String(retryAfter)))
    ),
    Effect.fail(
      new TooManyRequests({ retryAfter, detail: `Try again in ${retryAfter} seconds.` })
    )
  )

export const layer = (
  tokens: ReadonlyArray<Token>,
  { refused = 300, token: perToken = 1_200 }: Rates = {}
): Layer.Layer<Access, TokensRejected> =>
  Layer.effect(
    Access,
    Effect.gen(function*() {
      const saw = faultOf(tokens)
      if (saw !== undefined) return yield* new TokensRejected({ saw })
      const find = yield* Effect.promise(() => finder(tokens))
      const limit = yield* limiting
      return {
        bearer: (handled, { credential, endpoint }) =>
          Effect.gen(function*() {
            const now = yield* Clock.currentTimeMillis
            const found = yield* Effect.promise(() => find(Redacted.value(credential)))
            // What is no number is no time either.
            if (found === undefined || !((found.expiresAt ?? Infinity) > now)) {
              yield* limit("refused", refused)
              return yield* new Unauthorized({
                detail: found === undefined
                  ? "Send one of the server's tokens as Authorization: Bearer TOKEN."
                  : "The token's time is over: ask for another one."
              })
            }
            const { name, scopes } = found
            yield* limit(`token ${name}`, perToken)
            const needs = Context.get(endpoint.annotations, Needs)
            if (!allows(scopes, needs)) {
              return yield* new Forbidden({
                needs,
                detail: `Token "${name}" allows ${
                  scopes.join(", ") || "nothing"
                }; this needs ${needs}.`
              })
            }
            return yield* Effect.provideService(handled, Caller, { name, scopes })
          })
      }
    })
  ).pipe(
    Layer.provide(RateLimiter.layer),
    Layer.provide(RateLimiter.layerStoreMemory)
  )

const allows = (scopes: ReadonlyArray<Scope>, needs: Scope) =>
  scopes.includes(needs) || scopes.includes("admin")

const faultOf = (tokens: ReadonlyArray<Token>): string | undefined => {
  if (tokens.length === 0) return "there is no token"
  const names = new Set<string>()
  const texts = new Map<string, string>()
  for (const { name, token } of tokens) {
    const text = Redacted.value(token)
    if (text.length < shortest) return `the token "${name}" is too short`
    if (text.length > longest) return `the token "${name}" is too long`
    if (!sendable.test(text)) return `the token "${name}" has characters that cannot be sent`
    if (names.has(name)) return `two tokens are called "${name}"`
    const same = texts.get(text)
    if (same !== undefined) return `"${same}" and "${name}" have the same token`
    names.add(name)
    texts.set(text, name)
  }
  return undefined
}

const utf8 = new TextEncoder()

/** Compares with every token. */
const finder = async (tokens: ReadonlyArray<Token>) => {
  const key = await crypto.subtle.generateKey({ name: "HMAC", hash: "SHA-256" }, false, [
    "sign",
    "verify"
  ])
  const hashes = await Promise.all(
    tokens.map(({ token }) => crypto.subtle.sign("HMAC", key, utf8.encode(Redacted.value(token))))
  )
  return async (given: string): Promise<Token | undefined> => {
    if (given.length > longest) return undefined
    const bytes = utf8.encode(given)
    // The platform compares the hashes, in constant time.
    const fits = await Promise.all(
      hashes.map((hash) => crypto.subtle.verify("HMAC", key, hash, bytes))
    )
    return tokens[fits.indexOf(true)]
  }
}
