/**
 * How cases compare what they saw with what the contract demands.
 */
import * as Effect from "effect/Effect"
import { canonical } from "../Outcome.ts"

/** A demand was not met; the case it stands in puts its name to it. */
export class Broken extends Error {
  override readonly name = "Broken"
  readonly demand: string
  readonly expected: string
  readonly actual: string
  constructor(demand: string, expected: string, actual: string) {
    super(demand)
    this.demand = demand
    this.expected = expected
    this.actual = actual
  }
}

const longest = 400

/** The text of both from a little before the place where they part. */
const parted = (a: string, b: string): readonly [string, string] => {
  let at = 0
  while (at < a.length && a[at] === b[at]) at++
  const from = a.length <= longest && b.length <= longest ? 0 : Math.max(0, at - 60)
  const shown = (text: string) =>
    (from > 0 ? `…${from} characters… ` : "") + text.slice(from, from + longest)
    + (text.length > from + longest ? "…" : "")
  return [shown(a), shown(b)]
}

/** Fails when `actual` is not `expected`; objects are the same whatever the order of their keys. */
export const same = (
  demand: string,
  actual: unknown,
  expected: unknown
): Effect.Effect<void, Broken> =>
  Effect.suspend(() => {
    const [is, should] = [canonical(actual), canonical(expected)]
    if (is === should) return Effect.void
    const [seen, wanted] = parted(is, should)
    return Effect.fail(new Broken(demand, wanted, seen))
  })

/** Fails when `actual` is none of `allowed`. */
export const oneOf = (
  demand: string,
  actual: unknown,
  allowed: ReadonlyArray<unknown>
): Effect.Effect<void, Broken> =>
  Effect.suspend(() => {
    const texts = allowed.map(canonical)
    return texts.includes(canonical(actual))
      ? Effect.void
      : Effect.fail(new Broken(demand, texts.join(" or "), canonical(actual)))
  })

/** Fails when `holds` is false; `actual` is what was seen. */
export const demand = (
  demand: string,
  holds: boolean,
  actual: unknown
): Effect.Effect<void, Broken> =>
  Effect.suspend(() =>
    holds ? Effect.void : Effect.fail(new Broken(demand, "that this holds", canonical(actual)))
  )
