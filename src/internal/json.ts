/**
 * Strict JSON: one walk that refuses what JSON would lose or change and copies the rest.
 *
 * The copy equals `JSON.parse(JSON.stringify(value))` for every accepted value (a property test
 * holds it to that), so a value handed on live is the value a replay reads. Refused: NaN, infinities,
 * -0, bigint, symbol, functions, `undefined` in arrays, class instances, cycles and deep nesting.
 * An object's property that is `undefined` is left out.
 */
import type * as Schema from "effect/Schema"
import { put } from "./put.ts"

type Json = Schema.Json

/** What was refused and where; `path` is written as in `$.orders[3].at`. */
export interface Refused {
  readonly path: string
  readonly saw: string
}

export type Copied =
  /** `weight` is at least an eighth of the bytes of the JSON. */
  | { readonly ok: true; readonly value: Json | undefined; readonly weight: number }
  | { readonly ok: false; readonly refused: Refused }

class Refusal extends Error {
  readonly saw: string
  constructor(saw: string) {
    super(saw)
    this.saw = saw
  }
}

const plainKey = /^[A-Za-z_$][\w$]*$/
const show = (trail: ReadonlyArray<string | number>) =>
  trail.reduce<string>(
    (path, key) =>
      typeof key === "string" && plainKey.test(key)
        ? `${path}.${key}`
        : `${path}[${JSON.stringify(key)}]`,
    "$"
  )

const describe = (value: object): string => {
  const name: unknown = Object.getPrototypeOf(value)?.constructor?.name
  return typeof name === "string" && name !== "" && name !== "Object"
    ? `an instance of ${name}`
    : "an object with a prototype of its own"
}

let weight = 0

const walk = (value: unknown, depth: number, trail: Array<string | number>): Json => {
  weight += 4
  switch (typeof value) {
    case "string":
      weight += value.length
      return value
    case "boolean":
      return value
    case "number":
      if (Number.isFinite(value) && !Object.is(value, -0)) return value
      throw new Refusal(Object.is(value, -0) ? "-0" : String(value))
    case "undefined":
      throw new Refusal("undefined")
    case "object":
      break
    default:
      throw new Refusal(`a ${typeof value}`)
  }
  if (value === null) return null
  if (depth === 0) throw new Refusal("nesting deeper than allowed, or a cycle")
  if (Array.isArray(value)) {
    const out: Array<Json> = []
    for (let i = 0; i < value.length; i++) {
      trail.push(i)
      out.push(walk(value[i], depth - 1, trail))
      trail.pop()
    }
    return out
  }
  const proto: unknown = Object.getPrototypeOf(value)
  if (proto !== Object.prototype && proto !== null) {
    // A plain object of another realm (a worker, a vm context) has a prototype without a prototype.
    if (Object.getPrototypeOf(proto) !== null || !Object.hasOwn(proto as object, "isPrototypeOf")) {
      throw new Refusal(describe(value))
    }
  }
  const out: Record<string, Json> = {}
  for (const key of Object.keys(value)) {
    trail.push(key)
    const field = (value as Record<string, unknown>)[key]
    if (field === undefined) {
      trail.pop()
      continue
    }
    weight += key.length + 1
    const copy = walk(field, depth - 1, trail)
    trail.pop()
    put(out, key, copy)
  }
  if (Object.getOwnPropertySymbols(value).length > 0) throw new Refusal("a symbol key")
  return out
}

/** Copies `value` strictly; `undefined` itself stays `undefined` (a void result). */
export const copy = (value: unknown, maxDepth: number): Copied => {
  if (value === undefined) return { ok: true, value, weight: 0 }
  weight = 0
  const trail: Array<string | number> = []
  try {
    return { ok: true, value: walk(value, maxDepth, trail), weight }
  } catch (error) {
    // Anything but a Refusal comes from the user's getter or proxy that threw while it was read.
    const saw = error instanceof Refusal ? error.saw : "a property that throws when it is read"
    return { ok: false, refused: { path: show(trail), saw } }
  }
}

/** Structural equality of two JSON values, whatever the order of their keys. */
export const equals = (a: unknown, b: unknown): boolean => {
  if (a === b) return true
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false
  if (Array.isArray(a) !== Array.isArray(b)) return false
  const keys = Object.keys(a)
  if (keys.length !== Object.keys(b).length) return false
  return keys.every((key) =>
    Object.hasOwn(b, key)
    && equals((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key])
  )
}
