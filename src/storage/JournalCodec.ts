/**
 * Encryption at rest and compression of the values in journals, for any storage, on the platform's own Web
 * Crypto and streams.
 *
 * Each value is encrypted by itself with AES-256-GCM and bound to its place: run, incarnation, entry, field.
 * The id of its key stands beside it, so keys are rotated without rewriting anything. What an entry says
 * beside its values stays readable: its type, the names of steps and events, its times.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Storage from "../Storage.ts"

export { hide } from "../Secret.ts"

/** A secret and the name that it has in journals. */
export interface Key {
  /** 1 to 64 characters of `A-Z a-z 0-9 - _`. */
  readonly id: string
  /** At least 32 characters that nobody can guess, as `openssl rand -base64 32` gives them. */
  readonly secret: Redacted.Redacted<string>
}

export interface Options {
  /**
   * The first encrypts; all of them open what they encrypted. To rotate, put the new one in front and keep
   * the old ones as long as there are runs from their time.
   */
  readonly keys?: readonly [Key, ...ReadonlyArray<Key>] | undefined
  /** Whether values over 1 KiB are compressed, where that makes them shorter; default false. */
  readonly compress?: boolean | undefined
}

/** The options cannot be used; the message names no secret. */
export class CodecRejected
  extends Schema.TaggedError<CodecRejected>("reprise/CodecRejected")("CodecRejected", {
    saw: Schema.String
  })
{
  override get message(): string {
    return `The journal codec cannot be used: ${this.saw}. Give each key an id of its own, of 1 to 64 characters of `
      + `A-Z a-z 0-9 - _, and a secret of at least 32 characters, as openssl rand -base64 32 makes them.`
  }
}

const shortest = 32
const worthwhile = 1_024

const utf8 = new TextEncoder()
const text = new TextDecoder()

const toBase64 = (bytes: Uint8Array): string => {
  let binary = ""
  for (let i = 0; i < bytes.length; i += 8_192) {
    binary += String.fromCharCode(...bytes.subarray(i, i + 8_192))
  }
  return btoa(binary)
}
/** Of exactly what `toBase64` writes: `atob` would also take spaces, and a text without its end. */
const fromBase64 = (base64: string) => {
  const binary = atob(base64)
  const bytes = new Uint8Array(binary.length)
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i)
  if (toBase64(bytes) !== base64) throw new Error("it is not as it was written")
  return bytes
}

const through = async (
  bytes: Uint8Array<ArrayBuffer>,
  stream: CompressionStream | DecompressionStream
): Promise<Uint8Array<ArrayBuffer>> =>
  new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer())

/** The key that a secret gives for journals, by HKDF-SHA-256 (RFC 5869). */
const derive = async ({ id, secret }: Key) => {
  const raw = await crypto.subtle.importKey(
    "raw",
    utf8.encode(Redacted.value(secret)),
    "HKDF",
    false,
    ["deriveKey"]
  )
  return crypto.subtle.deriveKey(
    {
      name: "HKDF",
      hash: "SHA-256",
      salt: new Uint8Array(),
      info: utf8.encode(`reprise journal ${id}`)
    },
    raw,
    { name: "AES-GCM", length: 256 },
    false,
    ["encrypt", "decrypt"]
  )
}

const rejected = ({ compress = false, keys }: Options): string | undefined => {
  if (keys === undefined) return compress ? undefined : "it has neither keys nor compression"
  const ids = keys.map(({ id }) => id)
  const odd = ids.find((id) => !/^[A-Za-z0-9_-]{1,64}$/.test(id))
  if (odd !== undefined) return `"${odd}" is no id of a key`
  if (new Set(ids).size < ids.length) return "two keys have the same id"
  const short = keys.find(({ secret }) => Redacted.value(secret).length < shortest)
  return short === undefined
    ? undefined
    : `the secret of key "${short.id}" has fewer than ${shortest} characters`
}

const failed = (why: string) =>
  new Storage.StorageError({ reason: "Denied", doing: "open a value", cause: new Error(why) })

/** The codec itself. */
export const make = (options: Options): Effect.Effect<Storage.ValueCodec, CodecRejected> =>
  Effect.gen(function*() {
    const saw = rejected(options)
    if (saw !== undefined) return yield* new CodecRejected({ saw })
    const { compress = false, keys } = options
    const known = new Map(
      yield* Effect.promise(() =>
        Promise.all((keys ?? []).map(async (key) => [key.id, await derive(key)] as const))
      )
    )
    const current = keys?.[0]?.id
    const codec: Storage.ValueCodec = {
      seal: (json, at) =>
        Effect.promise(async () => {
          const plain = utf8.encode(json)
          const packed = compress && plain.length > worthwhile
            ? await through(plain, new CompressionStream("deflate-raw"))
            : plain
          const isPacked = packed.length < plain.length
          const zip = isPacked ? { zip: "deflate-raw" } : {}
          const bytes = isPacked ? packed : plain
          if (current === undefined) {
            return isPacked ? { ...zip, text: toBase64(bytes) } : { as: "json", text: json }
          }
          const iv = crypto.getRandomValues(new Uint8Array(12))
          const additionalData = utf8.encode(`${at} ${current} ${isPacked}`)
          const sealed = await crypto.subtle.encrypt(
            { name: "AES-GCM", iv, additionalData },
            known.get(current)!,
            bytes
          )
          return { key: current, ...zip, iv: toBase64(iv), text: toBase64(new Uint8Array(sealed)) }
        }),
      open: (sealed, at) =>
        Effect.gen(function*() {
          const { text: kept, zip } = sealed
          if (sealed.as === "json") return kept
          const isPacked = zip !== undefined
          const id = typeof sealed.key === "string" ? sealed.key : undefined
          const iv = typeof sealed.iv === "string" ? sealed.iv : ""
          let bytes = id === undefined
            ? yield* Effect.try({
              try: () => fromBase64(kept),
              catch: () => failed("it was changed")
            })
            : new Uint8Array()
          if (id !== undefined) {
            const key = known.get(id)
            if (key === undefined) {
              return yield* failed(
                `it was encrypted with key "${id}", which is not given here; add it behind the current one`
              )
            }
            const additionalData = utf8.encode(`${at} ${id} ${isPacked}`)
            const decrypted = yield* Effect.tryPromise({
              try: async () =>
                await crypto.subtle.decrypt(
                  { name: "AES-GCM", iv: fromBase64(iv), additionalData },
                  key,
                  fromBase64(kept)
                ),
              catch: () =>
                failed(
                  `key "${id}" does not open it: it was changed, moved, or the secret is another`
                )
            })
            bytes = new Uint8Array(decrypted)
          }
          if (!isPacked) return text.decode(bytes)
          return text.decode(
            yield* Effect.tryPromise({
              try: () => through(bytes, new DecompressionStream("deflate-raw")),
              catch: () => failed("it does not decompress")
            })
          )
        })
    }
    return codec
  })

/**
 * The storage below with every value encrypted, compressed, or both. Everyone who reads a value needs it.
 *
 * @example
 * ```ts
 * import { JournalCodec, Storage, Workflow } from "reprise"
 * import { Effect, Layer, Redacted } from "effect"
 *
 * const secret = Redacted.make("an example of 32 characters or more")
 * const storage = JournalCodec.layer({ keys: [{ id: "2026-11", secret }] }).pipe(
 *   Layer.provide(Storage.layerMemory)
 * )
 * const quiet = Workflow.make("quiet", function*(ctx) {
 *   return yield* ctx.step("whisper", () => "nobody reads this")
 * })
 * await Effect.runPromise(quiet.execute().pipe(Effect.provide(storage))) // => "nobody reads this"
 * ```
 */
export const layer = (
  options: Options
): Layer.Layer<Storage.Storage, CodecRejected, Storage.Storage> =>
  Layer.unwrap(Effect.map(make(options), Storage.layerCodec))
