/**
 * Who may deliver: signatures by Standard Webhooks 1.0.0, symmetric scheme `v1`, on the platform's Web Crypto.
 *
 * As https://www.standardwebhooks.com and its specification (`spec/standard-webhooks.md` of
 * github.com/standard-webhooks/standard-webhooks) say: HMAC-SHA256 over `<id>.<timestamp>.<body>`, the raw bytes of the
 * body; headers `webhook-id`, `webhook-timestamp` (integer seconds) and `webhook-signature` (`v1,<base64>`, several
 * apart by spaces for rotation); secrets of 24 to 64 bytes as `whsec_<base64>`; a constant-time comparison; and
 * five minutes for clocks and the way, as the reference implementations allow.
 */
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

/**
 * One secret, or several while they are rotated: all of them sign, and each of them is enough to be believed.
 * `whsec_` and 24 to 64 random bytes in Base64: `echo whsec_$(openssl rand -base64 32)`.
 */
export type Secrets =
  | Redacted.Redacted<string>
  | readonly [Redacted.Redacted<string>, ...ReadonlyArray<Redacted.Redacted<string>>]

/** A secret cannot be used; the message does not show it. */
export class SecretRejected
  extends Schema.TaggedError<SecretRejected>("reprise/SecretRejected")("SecretRejected", {
    saw: Schema.String
  })
{
  override get message(): string {
    return `The secret cannot be used: ${this.saw}. Make one with: echo whsec_$(openssl rand -base64 32)`
  }
}

/** A key of the platform's, which shows nothing of the secret. */
export type Key = Awaited<ReturnType<typeof crypto.subtle.importKey>>

type Bytes = Uint8Array<ArrayBuffer>

const prefix = "whsec_"
const shortest = 24
const longest = 64
/** How far the two clocks may be apart, and how long a delivery may be on its way. */
const toleranceSeconds = 5 * 60
/** A header with more than this is no dispatcher's, and each costs a comparison. */
const mostSignatures = 8

const utf8 = new TextEncoder()

/** Of exactly what an encoder writes: no spaces, and padded. */
const fromBase64 = (text: string): Bytes | undefined => {
  const decoded = Base64.decode(text)
  return Result.isSuccess(decoded) && Base64.encode(decoded.success) === text
    ? new Uint8Array(decoded.success)
    : undefined
}

/** The bytes of the secrets. */
export const bytesOf = (
  secrets: Secrets
): Result.Result<ReadonlyArray<Bytes>, SecretRejected> => {
  const all: Array<Bytes> = []
  for (const secret of Redacted.isRedacted(secrets) ? [secrets] : secrets) {
    const text = Redacted.value(secret)
    if (!text.startsWith(prefix)) {
      return Result.fail(new SecretRejected({ saw: `it does not begin with ${prefix}` }))
    }
    const bytes = fromBase64(text.slice(prefix.length))
    if (bytes === undefined) {
      return Result.fail(new SecretRejected({ saw: `what follows ${prefix} is not Base64` }))
    }
    if (bytes.length < shortest || bytes.length > longest) {
      const saw = `it has ${bytes.length} bytes, not ${shortest} to ${longest}`
      return Result.fail(new SecretRejected({ saw }))
    }
    all.push(bytes)
  }
  if (all.length === 0) return Result.fail(new SecretRejected({ saw: "there is none" }))
  return Result.succeed(all)
}

const algorithm = { name: "HMAC", hash: "SHA-256" }

/** What signs and verifies, of each secret. */
export const keysOf = (secrets: ReadonlyArray<Bytes>): Promise<ReadonlyArray<Key>> =>
  Promise.all(
    secrets.map((bytes) =>
      crypto.subtle.importKey("raw", bytes, algorithm, false, ["sign", "verify"])
    )
  )

const signed = (id: string, seconds: string, body: Uint8Array): Bytes => {
  const head = utf8.encode(`${id}.${seconds}.`)
  const all = new Uint8Array(head.length + body.length)
  all.set(head)
  all.set(body, head.length)
  return all
}

/** The headers of a message, signed with every key; `now` in UTC milliseconds. */
export const sign = (keys: ReadonlyArray<Key>, id: string, body: Uint8Array, now: number) =>
  Effect.promise(async () => {
    const seconds = String(Math.floor(now / 1_000))
    const content = signed(id, seconds, body)
    const signatures = await Promise.all(
      keys.map(async (key) => {
        const signature = await crypto.subtle.sign(algorithm.name, key, content)
        return `v1,${Base64.encode(new Uint8Array(signature))}`
      })
    )
    return {
      "webhook-id": id,
      "webhook-timestamp": seconds,
      "webhook-signature": signatures.join(" ")
    }
  })

/** A message's claims, not verified. */
export interface Claims {
  readonly id: string
  readonly seconds: string
  readonly signatures: ReadonlyArray<Bytes>
}

/** What the headers claim, or why they cannot be right, which needs no key and no body. */
export const claimsOf = (
  header: (name: string) => string | null,
  now: number
): Result.Result<Claims, string> => {
  const id = header("webhook-id")
  const seconds = header("webhook-timestamp")
  const signature = header("webhook-signature")
  if (!id || !seconds || !signature) {
    return Result.fail("webhook-id, webhook-timestamp or webhook-signature is missing")
  }
  // A dot in either would let one signature stand for two contents.
  if (id.includes(".")) return Result.fail("webhook-id has a dot in it")
  if (!/^[0-9]{1,12}$/.test(seconds)) {
    return Result.fail("webhook-timestamp is no whole number of seconds")
  }
  const apart = now / 1_000 - Number(seconds)
  if (apart > toleranceSeconds) return Result.fail("webhook-timestamp is too old")
  if (apart < -toleranceSeconds) return Result.fail("webhook-timestamp is in the future")
  const entries = signature.split(" ")
  if (entries.length > mostSignatures) return Result.fail("webhook-signature has too many of them")
  const signatures = entries.flatMap((entry) =>
    // Other schemes may stand beside it, as `v1a,…` does.
    entry.startsWith("v1,") ? fromBase64(entry.slice("v1,".length)) ?? [] : []
  )
  return Result.succeed({ id, seconds, signatures })
}

/** Whether one of the signatures is by one of the keys. The platform compares, in constant time. */
export const verify = (
  keys: ReadonlyArray<Key>,
  { id, seconds, signatures }: Claims,
  body: Uint8Array
): Effect.Effect<boolean> =>
  Effect.promise(async () => {
    const content = signed(id, seconds, body)
    const verified = await Promise.all(
      keys.flatMap((key) =>
        signatures.map((signature) => crypto.subtle.verify(algorithm.name, key, signature, content))
      )
    )
    return verified.includes(true)
  })
