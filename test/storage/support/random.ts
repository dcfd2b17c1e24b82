/** Chance that can be replayed: the same seed gives the same numbers. */

export interface Random {
  /** An integer from 0 to `n` - 1. */
  readonly below: (n: number) => number
  /** True once in `n` times. */
  readonly oneIn: (n: number) => boolean
  readonly pick: <A>(from: ReadonlyArray<A>) => A
}

export const random = (seed: number): Random => {
  let a = seed >>> 0
  const next = () => {
    a = a + 0x6d2b79f5 >>> 0
    let t = Math.imul(a ^ a >>> 15, 1 | a)
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t
    return (t ^ t >>> 14) >>> 0
  }
  const below = (n: number) => next() % n
  return { below, oneIn: (n) => below(n) === 0, pick: (from) => from[below(from.length)]! }
}
