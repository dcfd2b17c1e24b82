/**
 * All the chance there is in a simulation: numbers drawn from a seed, for the story, for Effect's `Random`,
 * and in the place of the platform's cryptographic source.
 */
import { Random } from "effect"

export interface Chance {
  /** At least 0, below 1. */
  readonly next: () => number
  /** A whole number, both ends included. */
  readonly between: (from: number, to: number) => number
  readonly happens: (probability: number) => boolean
  readonly one: <A>(list: ReadonlyArray<A>) => A
}

/** The same numbers for the same seed and the same use. */
export const chanceOf = (seed: number, use: string): Chance => {
  let state = seed | 0
  for (const letter of use) state = Math.imul(state ^ letter.charCodeAt(0), 0x01000193) | 0
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
  const between = (from: number, to: number) => from + Math.floor(next() * (to - from + 1))
  return {
    next,
    between,
    happens: (probability) => next() < probability,
    one: (list) => list[between(0, list.length - 1)]!
  }
}

/** Effect's `Random`. */
export const randomOf = (chance: Chance): typeof Random.Random["Service"] => ({
  nextDoubleUnsafe: chance.next,
  nextIntUnsafe: () => chance.between(Number.MIN_SAFE_INTEGER / 2, Number.MAX_SAFE_INTEGER / 2)
})

/**
 * Runs `play` with a cryptographic source that is no more random than its seed, and a platform whose clock
 * stands still: ids that are made without a clock of one's own begin with its time.
 */
export const withoutEntropy = <A>(seed: number, play: () => A): A => {
  const { crypto } = globalThis
  const chance = chanceOf(seed, "entropy")
  const digits = (count: number) =>
    Array.from({ length: count }, () => chance.between(0, 15).toString(16)).join("")
  const drawn = () => `${digits(8)}-${digits(4)}-4${digits(3)}-8${digits(3)}-${digits(12)}`
  Object.defineProperty(crypto, "randomUUID", { value: drawn, configurable: true })
  const { now } = Date
  Date.now = () => 1_700_000_000_000
  try {
    return play()
  } finally {
    Date.now = now
    Reflect.deleteProperty(crypto, "randomUUID")
  }
}
