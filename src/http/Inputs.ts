/** What callers may send, in general: names, instants and values that every storage can hold. */
import * as Schema from "effect/Schema"
import { copy } from "../internal/json.ts"
import { Limits } from "../Limits.ts"

/** Longer names, ids and keys find no place in an index. */
const longest = 500

/** What no database takes in a text. */
const nul = "\u0000"

const isPlain = Schema.makeFilter<string>((text) =>
  !text.includes(nul) || "Expected a text without NUL characters"
)

/** A name, an id or a key: at most 500 characters. */
export const Name = Schema.String.check(Schema.isMaxLength(longest), isPlain)

/** What a person writes, or a cursor: at most 10,000 characters. */
export const Text = Schema.String.check(Schema.isMaxLength(10_000), isPlain)

/** A token of `ctx.token`, of which an id is made. */
export const Token = Schema.String.check(Schema.isMaxLength(2_000), isPlain)

/** The largest instant that a date can have. */
export const latest = 8.64e15

/** UTC milliseconds. */
export const Millis = Schema.Finite.check(
  Schema.isBetween({ minimum: 0, maximum: latest })
)

const { depth } = Limits.defaultValue()

/** JSON that a journal can keep: at most 200 levels deep, as everywhere. */
export const Value = Schema.Json.check(
  Schema.makeFilter<Schema.Json>((value) => {
    const copied = copy(value, depth)
    return copied.ok || `Expected JSON that a journal can keep, got ${copied.refused.saw}`
  })
)
