/** What stands in a form while it is filled in, and the value that it comes to. Pure. */
import type { Field } from "./schema.ts"
import { cut } from "./text.ts"
import type { Json } from "./types.ts"

/** What was typed or chosen, by the shape of the field. */
export type Draft =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "flag"; readonly isOn: boolean }
  | { readonly kind: "parts"; readonly parts: ReadonlyArray<Draft> }
  | { readonly kind: "maybe"; readonly isOn: boolean; readonly inner: Draft }

/** A part of the form and what is wrong with it. */
export interface Mistake {
  readonly path: string
  readonly text: string
}

/** A field that is left out by leaving it empty, without another thing to tick. */
export const isPlain = ({ kind }: Field): boolean =>
  kind === "string" || kind === "number" || kind === "pick"

const asText = (text = ""): Draft => ({ kind: "text", text })

/** A form that nobody has filled in. */
export const empty = (field: Field): Draft => {
  const { initial } = field
  switch (field.kind) {
    case "string":
      return asText(typeof initial === "string" ? initial : "")
    case "number":
      return asText(typeof initial === "number" ? String(initial) : "")
    case "boolean":
      return { kind: "flag", isOn: initial === true }
    case "pick": {
      const at = initial === undefined
        ? -1
        : field.options.findIndex((one) => JSON.stringify(one) === JSON.stringify(initial))
      return asText(at < 0 ? "" : String(at))
    }
    case "const":
      return asText()
    case "json":
      return asText(initial === undefined ? "" : JSON.stringify(initial, null, 2))
    case "object":
      return { kind: "parts", parts: field.fields.map(({ field }) => empty(field)) }
    case "tuple":
      return { kind: "parts", parts: field.items.map(empty) }
    case "list":
      return {
        kind: "parts",
        parts: Array.from({ length: Math.min(field.min, 20) }, () => empty(field.items))
      }
    case "maybe":
      return { kind: "maybe", isOn: isPlain(field.inner), inner: empty(field.inner) }
  }
}

const nothing = Symbol()

/** The value of a form, or what is wrong with it. Without a value there is nothing to send. */
export const read = (
  field: Field,
  draft: Draft
):
  | { readonly value?: Json; readonly mistakes?: undefined }
  | { readonly mistakes: ReadonlyArray<Mistake> } =>
{
  const mistakes: Array<Mistake> = []
  const value = part(field, draft, "", false, mistakes)
  if (mistakes.length > 0) return { mistakes }
  return value === nothing ? {} : { value }
}

const part = (
  field: Field,
  draft: Draft,
  path: string,
  isOptional: boolean,
  mistakes: Array<Mistake>
): Json | typeof nothing => {
  const wrong = (text: string) => {
    mistakes.push({ path, text })
    return null
  }
  const text = draft.kind === "text" ? draft.text : ""
  const parts = draft.kind === "parts" ? draft.parts : []
  const all = (fields: ReadonlyArray<Field>) =>
    fields.map((field, i) => {
      const value = part(field, parts[i] ?? empty(field), `${path}/${i}`, false, mistakes)
      return value === nothing ? null : value
    })
  switch (field.kind) {
    case "string": {
      if (text === "" && isOptional) return nothing
      const { maxLength, minLength = 0, pattern } = field
      if (text === "" && minLength > 0) return wrong("Fill this in")
      if (text.length < minLength) return wrong(`At least ${minLength} characters`)
      if (maxLength !== undefined && text.length > maxLength) {
        return wrong(`At most ${maxLength} characters`)
      }
      return pattern !== undefined && !matches(pattern, text)
        ? wrong(`This must be like ${cut(pattern, 80)}`)
        : text
    }
    case "number": {
      if (text.trim() === "") return isOptional ? nothing : wrong("Give a number")
      const value = Number(text)
      const { above, below, isInteger, max, min } = field
      if (!Number.isFinite(value)) return wrong("This is no number")
      if (isInteger && !Number.isInteger(value)) return wrong("Give a whole number")
      if (min !== undefined && value < min) return wrong(`At least ${min}`)
      if (max !== undefined && value > max) return wrong(`At most ${max}`)
      if (above !== undefined && value <= above) return wrong(`More than ${above}`)
      return below !== undefined && value >= below ? wrong(`Less than ${below}`) : value
    }
    case "boolean":
      return draft.kind === "flag" && draft.isOn
    case "pick": {
      if (text === "") return isOptional ? nothing : wrong("Choose one")
      return field.options[Number(text)] ?? null
    }
    case "const":
      return field.value
    case "json": {
      if (text.trim() === "") return path === "" || isOptional ? nothing : wrong("Give JSON")
      try {
        return JSON.parse(text) as Json
      } catch (error) {
        return wrong(`This is no JSON: ${error instanceof Error ? error.message : String(error)}`)
      }
    }
    case "object": {
      const out: Array<readonly [string, Json]> = []
      for (const [i, { field: one, name }] of field.fields.entries()) {
        const value = part(one, parts[i] ?? empty(one), `${path}/${i}`, false, mistakes)
        if (value !== nothing) out.push([name, value])
      }
      // A field of this name would otherwise set what the object inherits from.
      return Object.fromEntries(out)
    }
    case "tuple":
      return all(field.items)
    case "list": {
      const { items, max, min } = field
      if (parts.length < min) wrong(`At least ${min}`)
      if (parts.length > max) wrong(`At most ${max}`)
      return all(parts.map(() => items))
    }
    case "maybe": {
      const otherwise = field.otherwise === "null" ? null : nothing
      if (draft.kind !== "maybe" || !draft.isOn) return otherwise
      const value = part(field.inner, draft.inner, path, true, mistakes)
      return value === nothing ? otherwise : value
    }
  }
}

const matches = (pattern: string, text: string): boolean => {
  try {
    return new RegExp(pattern, "u").test(text)
  } catch {
    return true
  }
}
