/** What is shown of a run at a glance: long values are cut, and say how long they are. */
import type * as Schema from "effect/Schema"

/** How many characters of one value an overview shows. */
const longest = 2_000

/** The value, or its beginning with how long it is. */
export const brief = (value: unknown): Schema.Json => {
  const text = JSON.stringify(value) ?? "null"
  return text.length <= longest
    ? JSON.parse(text) as Schema.Json
    : { cut: text.slice(0, longest), characters: text.length }
}

/** An object whose values are brief. */
export const briefly = (object: object): Readonly<Record<string, Schema.Json>> =>
  Object.fromEntries(
    Object.entries(object).flatMap(([key, value]) =>
      value === undefined ? [] : [[key, brief(value)]]
    )
  )
