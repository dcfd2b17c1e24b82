/**
 * Texts of a run's data as a page may show them: what a browser would act on instead of showing it is
 * spelled out, and no text is longer than its place. Pure.
 */
import { isCut, type Json } from "./types.ts"

/** Control characters, marks of writing direction, line separators, invisible ones, half characters. */
const unseen = /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\p{Bidi_Control}\u200b\ufeff]/gu

const spelled = (c: string) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`

/** The parts of a text, told apart by whether they are spelled out. */
export const parts = (
  text: string,
  keeps = ""
): ReadonlyArray<{ readonly text: string; readonly isSpelled: boolean }> => {
  const all: Array<{ text: string; isSpelled: boolean }> = []
  let from = 0
  for (const { 0: found, index } of text.matchAll(unseen)) {
    if (keeps.includes(found)) continue
    if (index > from) all.push({ text: text.slice(from, index), isSpelled: false })
    const last = all.at(-1)
    if (last?.isSpelled === true) last.text += spelled(found)
    else all.push({ text: spelled(found), isSpelled: true })
    from = index + found.length
  }
  if (from < text.length) all.push({ text: text.slice(from), isSpelled: false })
  return all
}

/** The text with what cannot be seen spelled out. */
export const visible = (text: string): string => parts(text).map(({ text }) => text).join("")

/** The first `max` characters, an ellipsis behind them when there are more. */
export const cut = (text: string, max: number): string =>
  text.length <= max ? text : `${text.slice(0, max).replace(/[\ud800-\udbff]$/, "")}…`

/** The beginning of a value as JSON; work and length are bounded by `max`, however large the value is. */
export const preview = (value: Json | undefined, max = 140): string => {
  let out = ""
  const isFull = () => out.length > max
  const write = (part: Json): void => {
    if (isFull()) return
    if (typeof part === "string") out += JSON.stringify(part.slice(0, max + 1))
    else if (Array.isArray(part)) {
      list("[", part, write, "]")
    } else if (typeof part === "object" && part !== null) {
      list("{", Object.keys(part), (key) => {
        out += `${JSON.stringify(key.slice(0, max))}: `
        write((part as { readonly [key: string]: Json })[key] ?? null)
      }, "}")
    } else out += String(part)
  }
  const list = <A>(open: string, all: ReadonlyArray<A>, each: (one: A) => void, close: string) => {
    out += open
    for (const [i, one] of all.entries()) {
      if (isFull()) return
      if (i > 0) out += ", "
      each(one)
    }
    out += close
  }
  if (isCut(value)) out = value.cut
  else if (value !== undefined) write(value)
  return cut(out, max)
}

/** A recorded error in a line: `Tag: message` where it has them. */
export const errorText = (error: Json | undefined): string => {
  if (typeof error !== "object" || error === null || Array.isArray(error)) {
    return typeof error === "string" ? cut(error, 300) : preview(error)
  }
  if (isCut(error)) return preview(error, 300)
  const { _tag, message, name, tag } = error as { readonly [key: string]: Json }
  const kind = [tag, _tag, name].find((name) => typeof name === "string")
  if (typeof message !== "string") return preview(error)
  return cut(kind === undefined ? message : `${String(kind)}: ${message}`, 300)
}

export const plural = (count: number, one: string, many = `${one}s`): string =>
  `${count.toLocaleString("en")} ${count === 1 ? one : many}`
