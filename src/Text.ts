/**
 * Short texts for people: values, errors, times. No text made here carries a character of a run's data
 * that a terminal would act on.
 */
import type * as Schema from "effect/Schema"

/** What only a terminal acts on: control characters, line separators, and marks of writing direction. */
const unprintable = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu

/** `text` on one line, without what a terminal would act on. */
export const plain = (text: string): string =>
  text.split("\u001b")
    .map((part, i) => i === 0 ? part : part.replace(/^\[[0-?]*[ -/]*[@-~]/, ""))
    .join("")
    .replace(/[\t\n\r]+/g, " ")
    .replace(unprintable, "")

/** `value` as one line of JSON that a terminal shows as it is; nothing is lost. */
export const jsonLine = (value: unknown): string =>
  JSON.stringify(value).replace(
    unprintable,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`
  )

/** The first `max` characters of `text`, the last of them an ellipsis when more follows. */
export const cut = (text: string, max: number): string => {
  if (text.length <= max) return text
  const end = max - 1
  const high = text.charCodeAt(end - 1)
  return `${text.slice(0, high >= 0xd800 && high < 0xdc00 ? end - 1 : end)}…`
}

/** How many characters of a value are shown. */
export const shown = 72

/** The beginning of a value; empty for a void one. */
export const short = (value: Schema.Json | undefined, max = shown): string =>
  value === undefined ? "" : plain(cut(JSON.stringify(value), max))

/** A recorded error in a line: `Tag: message` where it has them. */
export const errorText = (error: Schema.Json | undefined): string => {
  if (typeof error !== "object" || error === null || Array.isArray(error)) return short(error)
  const { _tag, attempts, message, name, tag, timeout } = error as Record<string, Schema.Json>
  if (_tag === "StepTimeout" && typeof timeout === "number" && typeof attempts === "number") {
    return `timed out after ${span(timeout)}`
  }
  const kind = [tag, _tag, name].find((name) => typeof name === "string")
  if (typeof message !== "string") return short(error)
  return plain(cut(kind === undefined ? message : `${kind}: ${message}`, 2 * shown))
}

/** Milliseconds for people. */
export const span = (millis: number): string => {
  const seconds = millis / 1_000
  if (seconds < 1) return `${Math.round(millis)}ms`
  if (seconds < 59.95) return `${seconds.toFixed(1)}s`
  const units = [["d", 86_400], ["h", 3_600], ["m", 60], ["s", 1]] as const
  const first = units.findIndex(([, size]) => Math.round(seconds) >= size)
  let rest = Math.round(seconds)
  return units.slice(first, first + 2).map(([unit, size]) => {
    const count = Math.floor(rest / size)
    rest -= count * size
    return `${count}${unit}`
  }).join(" ")
}

/** UTC milliseconds as ISO 8601. */
export const time = (millis: number): string =>
  Math.abs(millis) <= 8.64e15 ? new Date(millis).toISOString() : "an unknown time"
