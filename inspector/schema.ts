/**
 * What a form asks for, from a JSON Schema: the parts it can ask for by themselves, and JSON for the rest.
 * Reads every schema, also a wrong one; the server is who checks the value. Pure.
 */
import type { Json } from "./types.ts"

interface About {
  readonly title?: string
  readonly about?: string
  readonly initial?: Json
}

/** A part of a form. */
export type Field =
  & About
  & (
    | {
      readonly kind: "string"
      readonly minLength?: number
      readonly maxLength?: number
      readonly pattern?: string
    }
    | {
      readonly kind: "number"
      readonly isInteger: boolean
      readonly min?: number
      readonly max?: number
      readonly above?: number
      readonly below?: number
    }
    | { readonly kind: "boolean" }
    | { readonly kind: "pick"; readonly options: ReadonlyArray<Json> }
    | { readonly kind: "const"; readonly value: Json }
    | { readonly kind: "object"; readonly fields: ReadonlyArray<Named> }
    | {
      readonly kind: "list"
      readonly items: Field
      readonly min: number
      readonly max: number
    }
    | { readonly kind: "tuple"; readonly items: ReadonlyArray<Field> }
    /** May be left out, or be null. */
    | { readonly kind: "maybe"; readonly inner: Field; readonly otherwise: "absent" | "null" }
    | { readonly kind: "json" }
  )

export interface Named {
  readonly name: string
  readonly field: Field
}

type Schema = { readonly [key: string]: Json }

const isSchema = (value: unknown): value is Schema =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const list = (value: Json | undefined): ReadonlyArray<Json> => Array.isArray(value) ? value : []

const text = <K extends string>(key: K, value: Json | undefined) =>
  typeof value === "string" && value !== "" ? { [key]: value } as { [_ in K]: string } : undefined

const number = <K extends string>(key: K, value: Json | undefined) =>
  typeof value === "number" ? { [key]: value } as { [_ in K]: number } : undefined

/** A schema deeper than this is asked for as JSON; one that holds itself, too. */
const deepest = 8

const larger = (a: Json | undefined, b: Json | undefined) =>
  typeof a === "number" && typeof b === "number" ? Math.max(a, b) : a ?? b
const smaller = (a: Json | undefined, b: Json | undefined) =>
  typeof a === "number" && typeof b === "number" ? Math.min(a, b) : a ?? b

/** Both at once. */
const both = (a: Schema, b: Schema): Schema => {
  const merged: Record<string, Json> = { ...a, ...b }
  for (const key of ["minimum", "exclusiveMinimum", "minLength", "minItems"]) {
    const value = larger(a[key], b[key])
    if (value !== undefined) merged[key] = value
  }
  for (const key of ["maximum", "exclusiveMaximum", "maxLength", "maxItems"]) {
    const value = smaller(a[key], b[key])
    if (value !== undefined) merged[key] = value
  }
  if (isSchema(a.properties) && isSchema(b.properties)) {
    merged.properties = { ...a.properties, ...b.properties }
  }
  if (Array.isArray(a.required) && Array.isArray(b.required)) {
    merged.required = [...new Set([...a.required, ...b.required])]
  }
  // Which whole number is a number is not for a form to say.
  if (a.type === "integer" && b.type === "number") merged.type = "integer"
  return merged
}

/** The part of a document that a reference names. */
const resolve = (root: Schema, reference: string): Schema | undefined => {
  if (!reference.startsWith("#")) return undefined
  let at: Json | undefined = root
  for (const part of reference.slice(1).split("/").slice(1)) {
    let key = part.replaceAll("~1", "/").replaceAll("~0", "~")
    try {
      key = decodeURIComponent(key)
    } catch { /* It is as it stands. */ }
    if (!isSchema(at) || !Object.hasOwn(at, key)) return undefined
    at = at[key]
  }
  return isSchema(at) ? at : undefined
}

const isNull = (schema: Json) =>
  isSchema(schema) && (schema.type === "null" || schema.const === null
    || (Array.isArray(schema.enum) && schema.enum.length === 1 && schema.enum[0] === null))

/** What JSON cannot write as a number, and Effect writes as a word. */
const isUnwritable = (schema: Json) =>
  isSchema(schema) && schema.type === "string" && Array.isArray(schema.enum)
  && schema.enum.every((one) => one === "Infinity" || one === "-Infinity" || one === "NaN")

/** The form for a schema; definitions may stand in it, or beside it as in a document of Effect. */
export const fieldOf = (document: Json | undefined): Field => {
  if (!isSchema(document)) return { kind: "json" }
  const root = "definitions" in document && isSchema(document.schema)
    ? {
      ...document.schema,
      $defs: document.definitions ?? {},
      definitions: document.definitions ?? {}
    }
    : document
  return field(root, root, [], 0)
}

const field = (
  root: Schema,
  given: Json,
  inside: ReadonlyArray<string>,
  depth: number
): Field => {
  if (!isSchema(given) || depth > deepest) return { kind: "json" }
  const about: About = {
    ...text("title", given.title),
    ...text("about", given.description),
    ...(given.default === undefined ? undefined : { initial: given.default })
  }
  const go = (schema: Json, through = inside) => field(root, schema, through, depth + 1)
  const with_ = (made: Field): Field => ({ ...made, ...about })

  if (typeof given.$ref === "string") {
    const target = resolve(root, given.$ref)
    if (target === undefined || inside.includes(given.$ref)) return { kind: "json", ...about }
    const { $ref, ...rest } = given
    return with_(go(both(target, rest), [...inside, $ref as string]))
  }
  if (Array.isArray(given.allOf)) {
    const { allOf, ...rest } = given
    const parts = (allOf as ReadonlyArray<Json>).map((part) =>
      isSchema(part) && typeof part.$ref === "string" && !inside.includes(part.$ref)
        ? resolve(root, part.$ref)
        : part
    )
    if (!parts.every(isSchema)) return { kind: "json", ...about }
    return with_(go(parts.reduce(both, rest)))
  }
  const choices = given.anyOf ?? given.oneOf
  if (Array.isArray(choices)) return with_(choice(choices, go))
  if (given.const !== undefined) return { kind: "const", value: given.const, ...about }
  if (Array.isArray(given.enum)) return with_(pick(given.enum))
  if (Array.isArray(given.type)) {
    const { type, ...rest } = given
    return with_(choice((type as ReadonlyArray<Json>).map((type) => ({ ...rest, type })), go))
  }
  switch (given.type) {
    case "string":
      return {
        kind: "string",
        ...number("minLength", given.minLength),
        ...number("maxLength", given.maxLength),
        ...text("pattern", given.pattern),
        ...about
      }
    case "number":
    case "integer":
      return {
        kind: "number",
        isInteger: given.type === "integer",
        ...number("min", given.minimum),
        ...number("max", given.maximum),
        ...number("above", given.exclusiveMinimum),
        ...number("below", given.exclusiveMaximum),
        ...about
      }
    case "boolean":
      return { kind: "boolean", ...about }
    case "null":
      return { kind: "const", value: null, ...about }
    case "array":
      return with_(array(given, go))
    default: {
      if (!isSchema(given.properties) || Object.keys(given.properties).length === 0) {
        return given.type === "object" && given.additionalProperties === false
          ? { kind: "const", value: {}, ...about }
          : { kind: "json", ...about }
      }
      const required = new Set(list(given.required))
      const fields = Object.entries(given.properties).map(([name, schema]): Named => {
        const made = go(schema)
        return { name, field: required.has(name) ? made : optional(made) }
      })
      return { kind: "object", fields, ...about }
    }
  }
}

/** A field that may be left out; whether it could also be null is then all the same. */
const optional = (made: Field): Field => ({
  kind: "maybe",
  inner: made.kind === "maybe" ? made.inner : made,
  otherwise: "absent",
  ...(made.title === undefined ? undefined : { title: made.title }),
  ...(made.about === undefined ? undefined : { about: made.about })
})

const pick = (options: ReadonlyArray<Json>): Field =>
  options.length === 1
    ? { kind: "const", value: options[0]! }
    : options.length === 0
    ? { kind: "json" }
    : { kind: "pick", options }

const choice = (choices: ReadonlyArray<Json>, go: (schema: Json) => Field): Field => {
  const some = choices.filter((one) => !isNull(one) && !isUnwritable(one))
  const [only, ...others] = some
  if (only === undefined) return { kind: "json" }
  const fields = some.map(go)
  const options = fields.flatMap((one) =>
    one.kind === "const" ? [one.value] : one.kind === "pick" ? one.options : []
  )
  const isPick = fields.every(({ kind }) => kind === "const" || kind === "pick")
  const inner: Field = others.length === 0
    ? fields[0]!
    : isPick
    ? { kind: "pick", options }
    : { kind: "json" }
  return choices.some(isNull) && inner.kind !== "json"
    ? { kind: "maybe", inner, otherwise: "null" }
    : inner
}

const array = (given: Schema, go: (schema: Json) => Field): Field => {
  const min = typeof given.minItems === "number" ? given.minItems : 0
  const max = typeof given.maxItems === "number" ? given.maxItems : Infinity
  if (Array.isArray(given.prefixItems)) {
    const { length } = given.prefixItems
    // One whose length varies is a matter for JSON.
    return min === length && max === length
      ? { kind: "tuple", items: given.prefixItems.map((one) => go(one)) }
      : { kind: "json" }
  }
  return isSchema(given.items)
    ? { kind: "list", items: go(given.items), min, max }
    : { kind: "json" }
}
