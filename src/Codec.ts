/**
 * Values on their way to the journal and back: by a schema's JSON codec, or strictly as they are.
 *
 * A value that enters a body has always passed encode and decode, live too, so that a replay hands over
 * the same. Both directions are synchronous.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as Json from "./internal/json.ts"
import { Limits } from "./Limits.ts"
import { type Outcome, Undecodable } from "./Machine.ts"
import * as Secret from "./Secret.ts"

/** A value that JSON would lose or change, found before anything was written. */
export class Unserializable
  extends Schema.TaggedError<Unserializable>("reprise/Unserializable")("Unserializable", {
    runId: Schema.String,
    /** Whose value, as in `step "classify"`. */
    what: Schema.String,
    /** Where in the value, as in `$.orders[3].at`. */
    path: Schema.String,
    saw: Schema.String
  })
{
  override get message(): string {
    return `The value of ${this.what} in run "${this.runId}" holds ${this.saw} at ${this.path}, which JSON cannot keep. `
      + `Return plain JSON, or give it a schema. Nothing was journaled; the run goes on from before it once the code is mended.`
  }
}

/** A value over the limit, found before anything was written. */
export class ValueTooLarge
  extends Schema.TaggedError<ValueTooLarge>("reprise/ValueTooLarge")("ValueTooLarge", {
    runId: Schema.String,
    what: Schema.String,
    /** Of its JSON in UTF-8. */
    bytes: Schema.Int,
    limit: Schema.Int
  })
{
  override get message(): string {
    return `The value of ${this.what} in run "${this.runId}" takes ${this.bytes} bytes as JSON; ${this.limit} are allowed. `
      + `Keep it elsewhere and return a reference, or raise Workflow.Limits. Nothing was journaled.`
  }
}

type Services = Context.Context<never>

/** Why a value was not encoded. */
export type Refused =
  | { readonly _tag: "Schema"; readonly message: string }
  | { readonly _tag: "Json"; readonly refused: Json.Refused }
  | { readonly _tag: "Size"; readonly bytes: number; readonly limit: number }

export type Encoded =
  | { readonly ok: true; readonly json: Schema.Json | undefined }
  | { readonly ok: false; readonly refused: Refused }

export interface Codec {
  readonly encode: (value: unknown, services: Services) => Encoded
  readonly decode: (json: Schema.Json | undefined, services: Services) => Outcome | Undecodable
}

const utf8 = new TextEncoder()

const strictly = (value: unknown, services: Services): Encoded => {
  const limits = Context.get(services, Limits)
  const copied = Json.copy(value, limits.depth)
  if (!copied.ok) return { ok: false, refused: { _tag: "Json", refused: copied.refused } }
  // Only what may be too large is measured exactly.
  if (copied.weight > limits.bytes / 8) {
    const bytes = utf8.encode(JSON.stringify(copied.value)).length
    if (bytes > limits.bytes) {
      return { ok: false, refused: { _tag: "Size", bytes, limit: limits.bytes } }
    }
  }
  return { ok: true, json: copied.value }
}

/** JSON as it is. */
export const strict: Codec = {
  encode: strictly,
  decode: (json) => ({ ok: true, value: json })
}

const firstLines = (error: unknown) =>
  String(error instanceof Error ? error.message : error).slice(0, 2000)

const codecs = new WeakMap<Schema.Top, Codec>()

/** The JSON codec of a schema. Its services are taken from the context it is used in. */
export const fromSchema = (schema: Schema.Top): Codec => {
  const known = codecs.get(schema)
  if (known !== undefined) return known
  const json = Schema.toCodecJson(schema)
  const encode = Schema.encodeUnknownEffect(json)
  const decode = Schema.decodeUnknownEffect(json)
  const isSecret = Secret.hidesAll(schema.ast)
  const codec: Codec = {
    encode: (value, services) => {
      const exit = runSync(encode(value), services)
      return Exit.isSuccess(exit)
        ? strictly(isSecret ? Secret.marked(exit.value) : exit.value, services)
        : { ok: false, refused: { _tag: "Schema", message: firstLines(Cause.squash(exit.cause)) } }
    },
    decode: (value, services) => {
      const of = (json: Schema.Json | undefined) =>
        runSync(decode(isSecret ? Secret.unmarked(json) : json), services)
      const exit = of(value)
      if (Exit.isSuccess(exit)) return { ok: true, value: exit.value }
      // Who has no schema posts nothing, where nothing is encoded as null.
      const ofNull = value === undefined ? of(null) : exit
      return Exit.isSuccess(ofNull)
        ? { ok: true, value: ofNull.value }
        : new Undecodable(firstLines(Cause.squash(exit.cause)))
    }
  }
  codecs.set(schema, codec)
  return codec
}

// The services of a user's schema are part of the workflow's R, so they are in the context.
const runSync = <A, E, R>(effect: Effect.Effect<A, E, R>, services: Services): Exit.Exit<A, E> =>
  Exit.isExit(effect)
    ? effect as Exit.Exit<A, E>
    : Effect.runSyncExitWith(services as Context.Context<R>)(effect)

/** The codec of a schema, or the strict one where there is none. */
export const of = (schema: Schema.Top | undefined): Codec =>
  schema === undefined ? strict : fromSchema(schema)

/** Why a value is refused, as the rest of a sentence about it. */
export const why = (refused: Refused): string => {
  switch (refused._tag) {
    case "Schema":
      return `does not fit its schema (${refused.message})`
    case "Json":
      return `holds ${refused.refused.saw} at ${refused.refused.path}, which JSON cannot keep`
    case "Size":
      return `takes ${refused.bytes} bytes as JSON, of which ${refused.limit} are allowed`
  }
}

/** The typed error for a refused value. `what` is as in `step "classify"`. */
export const rejection = (
  refused: Refused,
  at: { readonly runId: string; readonly what: string }
): Unserializable | ValueTooLarge => {
  switch (refused._tag) {
    case "Schema":
      return new Unserializable({
        ...at,
        path: "$",
        saw: `what its schema does not encode (${refused.message})`
      })
    case "Json":
      return new Unserializable({ ...at, ...refused.refused })
    case "Size":
      return new ValueTooLarge({ ...at, bytes: refused.bytes, limit: refused.limit })
  }
}
