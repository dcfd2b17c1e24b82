/**
 * Values that are journaled, since a replay needs them, and shown to nobody: how they are marked in a journal,
 * and how what is shown leaves them out.
 *
 * The mark hides from logs and listings, not from who reads the storage: `JournalCodec` encrypts that.
 */
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as SchemaGetter from "effect/SchemaGetter"

/** The only field of an object that stands for a secret. */
const mark = "$secret"

/** A schema of `Redacted` values that stand in a journal under a mark of their own. */
export interface Secret<S extends Schema.Top> extends Schema.Redacted<S> {}

/** Says that a schema marks its secrets itself. */
const annotation = "~reprise/Secret"

/**
 * A field that nobody is shown. The body is handed it as `Redacted`; logs, `reprise show` and errors print
 * `<redacted>` in its place. Where a schema has Effect's own `Schema.Redacted` the whole value is hidden.
 *
 * @example
 * ```ts
 * import { Workflow } from "reprise"
 * import { Schema } from "effect"
 *
 * const Payment = Schema.Struct({ amount: Schema.Int, card: Workflow.secret(Schema.String) })
 * const payment = Schema.decodeUnknownSync(Schema.toCodecJson(Payment))({
 *   amount: 5,
 *   card: { $secret: "4111 1111" }
 * })
 * String(payment.card) // => "<redacted>"
 * ```
 */
export const secret = <S extends Schema.Top>(schema: S): Secret<S> =>
  Schema.Redacted(schema).annotate({
    [annotation]: true,
    toCodecJson: ([value]: readonly [Schema.Top]) =>
      Schema.link<Redacted.Redacted<unknown>>()(Schema.Struct({ [mark]: value }), {
        decode: SchemaGetter.transform((json) => Redacted.make(json[mark])),
        encode: SchemaGetter.transform((held) => ({ [mark]: Redacted.value(held) }))
      })
  }) as Secret<S>

/** Whether a schema holds secrets that it does not mark itself. */
export const hidesAll = (ast: unknown, seen = new Set<unknown>()): boolean => {
  if (typeof ast !== "object" || ast === null || seen.has(ast)) return false
  seen.add(ast)
  const { annotations, thunk } = ast as {
    readonly annotations?: Readonly<Record<string, unknown>>
    /** Of a schema that names itself. */
    readonly thunk?: () => unknown
  }
  const representation = annotations?.representation as { readonly id?: unknown } | undefined
  if (representation?.id === "effect/schema/Redacted") return annotations?.[annotation] !== true
  return Object.values(ast).some((part) => hidesAll(part, seen))
    || (typeof thunk === "function" && hidesAll(thunk(), seen))
}

const isSecret = (json: object): json is { readonly [mark]: Schema.Json } =>
  mark in json && Object.keys(json).length === 1

/** A value with a mark around it. */
export const marked = (json: Schema.Json): Schema.Json => ({ [mark]: json })

/** The value in a mark, or the value itself. */
export const unmarked = (json: Schema.Json | undefined): Schema.Json | undefined =>
  typeof json === "object" && json !== null && isSecret(json) ? json[mark] : json

/** The same without what is secret; what holds none of it is handed back as it is. */
export const hide = <A>(json: A): A => {
  if (typeof json !== "object" || json === null) return json
  if (isSecret(json)) return "<redacted>" as A
  let hidden: Record<string, unknown> | undefined
  for (const [key, value] of Object.entries(json)) {
    const shown = hide(value)
    if (shown === value) continue
    hidden ??= (Array.isArray(json) ? [...json] : { ...json }) as unknown as Record<string, unknown>
    hidden[key] = shown
  }
  return (hidden ?? json) as A
}
