/**
 * Keys for checkpoints, on Node's own cryptography: signed with HMAC-SHA-256, or encrypted with
 * AES-256-GCM.
 *
 * The id of the key stands in the text, and is authenticated with it. The keys that are used are derived
 * from the secrets with HKDF (RFC 5869), one for each purpose.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  hkdfSync,
  randomBytes,
  timingSafeEqual
} from "node:crypto"
import { Checkpoint } from "../index.ts"

/** A secret and the name that it has in checkpoints. */
export interface Key {
  /** 1 to 64 characters of `A-Z a-z 0-9 - _`. */
  readonly id: string
  /** At least 32 characters that nobody can guess, as `openssl rand -base64 32` gives them. */
  readonly secret: Redacted.Redacted<string> | string
}

export interface Options {
  /**
   * - `sign`: who has no key can read a checkpoint, and cannot change it
   * - `encrypt`: who has no key can neither read nor change it
   */
  readonly how: "sign" | "encrypt"
  /**
   * The first makes checkpoints; all of them open those that they made. To rotate, put the new one in front,
   * and take the old one out when its checkpoints are used up.
   */
  readonly keys: readonly [Key, ...ReadonlyArray<Key>]
}

/** The keys cannot be used; the message names no secret. */
export class KeysRejected
  extends Schema.TaggedError<KeysRejected>("reprise/KeysRejected")("KeysRejected", {
    keyId: Schema.String,
    saw: Schema.String
  })
{
  override get message(): string {
    return `The key "${this.keyId}" for checkpoints cannot be used: ${this.saw}. Give each an id of 1 to 64 characters of `
      + `A-Z a-z 0-9 - _, and a secret of at least 32 characters, as openssl rand -base64 32 makes them.`
  }
}

const shortest = 32
const macBytes = 32
const nonceBytes = 12
const tagBytes = 16

interface Derived {
  readonly sign: Uint8Array
  readonly encrypt: Uint8Array
}

/**
 * Protects the checkpoints of everything it is provided to, and refuses those that are not protected.
 *
 * @example
 * ```ts
 * import { NodeCheckpointKeys } from "reprise/node"
 * import { Redacted } from "effect"
 *
 * const keys = NodeCheckpointKeys.layer({
 *   how: "encrypt",
 *   keys: [{ id: "2026-11", secret: Redacted.make("a secret of at least 32 characters!") }]
 * })
 * ```
 */
export const layer = (options: Options): Layer.Layer<never, KeysRejected> =>
  Layer.effect(
    Checkpoint.Keys,
    Effect.suspend(() => {
      const made = make(options)
      return made instanceof KeysRejected ? Effect.fail(made) : Effect.succeed(made)
    })
  )

const make = ({ how, keys }: Options): Checkpoint.KeysShape | KeysRejected => {
  const derived = new Map<string, Derived>()
  for (const { id, secret } of keys) {
    const reject = (saw: string) => new KeysRejected({ keyId: String(id).slice(0, 64), saw })
    const text = Redacted.isRedacted(secret) ? Redacted.value(secret) : secret
    if (!/^[\w-]{1,64}$/.test(id)) return reject("its id has other characters, or another length")
    if (derived.has(id)) return reject("another key has the same id")
    if (typeof text !== "string" || text.length < shortest) return reject("its secret is too short")
    derived.set(id, { sign: derive(text, "sign"), encrypt: derive(text, "encrypt") })
  }
  const keyId = keys[0]?.id
  const current = keyId === undefined ? undefined : derived.get(keyId)
  if (keyId === undefined || current === undefined) {
    return new KeysRejected({ keyId: "", saw: "there is none" })
  }
  return {
    protect: (bytes) =>
      how === "sign"
        ? { how: "s", keyId, bytes: Buffer.concat([bytes, macOf(current.sign, keyId, bytes)]) }
        : { how: "e", keyId, bytes: encrypt(current.encrypt, keyId, bytes) },
    open: (how, keyId, bytes) => {
      const key = derived.get(keyId)
      if (key === undefined) return "UnknownKey"
      return (how === "s" ? verified(key.sign, keyId, bytes) : decrypted(key.encrypt, keyId, bytes))
        ?? "Forged"
    }
  }
}

const derive = (secret: string, purpose: keyof Derived): Uint8Array =>
  new Uint8Array(hkdfSync("sha256", secret, "", `reprise checkpoint ${purpose} 1`, 32))

const macOf = (key: Uint8Array, keyId: string, bytes: Uint8Array): Uint8Array =>
  createHmac("sha256", key).update(`${keyId}.`).update(bytes).digest()

const verified = (key: Uint8Array, keyId: string, bytes: Uint8Array): Uint8Array | undefined => {
  if (bytes.length < macBytes) return undefined
  const signed = bytes.subarray(0, -macBytes)
  return timingSafeEqual(bytes.subarray(-macBytes), macOf(key, keyId, signed)) ? signed : undefined
}

const encrypt = (key: Uint8Array, keyId: string, bytes: Uint8Array): Uint8Array => {
  const nonce = randomBytes(nonceBytes)
  const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(Buffer.from(keyId))
  return Buffer.concat([nonce, cipher.update(bytes), cipher.final(), cipher.getAuthTag()])
}

const decrypted = (key: Uint8Array, keyId: string, bytes: Uint8Array): Uint8Array | undefined => {
  if (bytes.length < nonceBytes + tagBytes) return undefined
  const decipher = createDecipheriv("aes-256-gcm", key, bytes.subarray(0, nonceBytes))
    .setAAD(Buffer.from(keyId))
    .setAuthTag(bytes.subarray(-tagBytes))
  try {
    return Buffer.concat([
      decipher.update(bytes.subarray(nonceBytes, -tagBytes)),
      decipher.final()
    ])
  } catch {
    return undefined
  }
}
