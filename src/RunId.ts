/**
 * Names of runs: which strings are allowed, new ones, and the file name of each.
 *
 * A run id is 1 to 200 printable ASCII characters without `/` and `\`. Two different ids never share a
 * file name, on case-folding file systems neither.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/** The run id is not one that every storage can hold. */
export class RunIdRejected
  extends Schema.TaggedError<RunIdRejected>("reprise/RunIdRejected")("RunIdRejected", {
    runId: Schema.String
  })
{
  override get message(): string {
    return `${
      JSON.stringify(this.runId.slice(0, 220))
    } is no run id: use 1 to 200 printable ASCII characters `
      + `without "/" and "\\", such as order-1234, or createRunId().`
  }
}

const allowed = /^[\x20-\x2e\x30-\x5b\x5d-\x7e]{1,200}$/

/** Whether `runId` may name a run. */
export const isRunId = (runId: unknown): runId is string =>
  typeof runId === "string" && allowed.test(runId)

/** `runId` itself, or `RunIdRejected`. */
export const check = (runId: string): Effect.Effect<string, RunIdRejected> =>
  isRunId(runId) ? Effect.succeed(runId) : Effect.fail(new RunIdRejected({ runId: String(runId) }))

const plain = /^[a-z0-9_-]{1,128}$/

/**
 * The name, without extension, of the run's files: the id itself when it is lowercase and short, else
 * a readable part and 32 digits of its SHA-256, joined by `~`, which no plain id contains.
 */
export const fileName = (runId: string): Effect.Effect<string> => {
  if (plain.test(runId)) return Effect.succeed(runId)
  const slug = runId.toLowerCase().replace(/[^a-z0-9_-]+/g, "-").slice(0, 80)
  return Effect.map(
    Effect.promise(() =>
      globalThis.crypto.subtle.digest("SHA-256", new TextEncoder().encode(runId))
    ),
    (digest) =>
      `${slug}~${
        Array.from(new Uint8Array(digest, 0, 16), (b) => b.toString(16).padStart(2, "0")).join("")
      }`
  )
}

/** Ends the id of a run that goes on after another one, as `loop+2` after `loop`. */
const later = /\+\d+$/

/**
 * The run id that stands for a key, which may be any text, among those of `name`: the same for the same two, and for no
 * others. It is `name:key` where that is plain, behind `prefix`.
 */
export const ofKey = (name: string, key: string, prefix = ""): Effect.Effect<string> => {
  const text = `${prefix}${name}:${key}`
  const isPlain = isRunId(text) && !name.includes(":") && !text.includes("~") && !later.test(text)
  return isPlain
    ? Effect.succeed(text)
    : Effect.map(fileName(JSON.stringify([name, key])), (hashed) => `${prefix}${hashed}`)
}

const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

const encodeTime = (millis: number): string => {
  let out = ""
  for (let rest = millis, k = 0; k < 10; k++, rest = Math.floor(rest / 32)) {
    out = alphabet[rest % 32] + out
  }
  return out
}

/**
 * `length` random characters of 5 bits each, from the platform's cryptographic source: by way of UUIDs, which
 * Node makes without loading the rest of Web Crypto.
 */
export const randomText = (length: number): string => {
  let out = ""
  while (out.length < length) {
    const uuid = globalThis.crypto.randomUUID()
    // Without the group that says which kind of UUID it is, and the one behind it.
    const hex = uuid.slice(0, 8) + uuid.slice(9, 13) + uuid.slice(24)
    for (let k = 0; k < hex.length && out.length < length; k += 2) {
      out += alphabet[Number.parseInt(hex.slice(k, k + 2), 16) & 31]
    }
  }
  return out
}

/**
 * A new run id: 26 lowercase characters, unique, sorting by the millisecond it was made in (the layout
 * of a ULID).
 *
 * @example
 * ```ts
 * import { createRunId } from "reprise"
 *
 * createRunId().length // => 26
 * ```
 */
export const createRunId = (): string =>
  encodeTime(Effect.runSync(Clock.currentTimeMillis)) + randomText(16)
