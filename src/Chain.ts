/**
 * Runs that go on where another one's journal ends: how the ids of `ctx.continueAs` follow each other,
 * and which one of a chain is the last.
 */
import * as Effect from "effect/Effect"
import type { StorageError } from "./Driver.ts"
import type { JournalCorrupt } from "./Journal.ts"
import type { Loaded, Storage } from "./Storage.ts"

const numbered = /^(.*)\+(\d+)$/

/** Longer ids are cut, with a sum of what was cut. */
const longest = 180

const split = (runId: string): readonly [base: string, n: number] => {
  const found = numbered.exec(runId)
  return found === null ? [runId.slice(0, longest), 1] : [found[1]!, Number(found[2])]
}

const nth = (base: string, n: number) => `${base}+${n}`

/** The id of the run that goes on after `runId`: `loop`, `loop+2`, `loop+3` … */
export const nextId = (runId: string): string => {
  const [base, n] = split(runId)
  return nth(base, n + 1)
}

/** The id that `runId` goes on after, if it is one of a chain. */
export const previousId = (runId: string): string | undefined => {
  const [base, n] = split(runId)
  return n < 2 ? undefined : n === 2 ? base : nth(base, n - 1)
}

/** Where a journal goes on, if it ended in `continueAs`. */
export const successor = ({ journal }: Loaded): string | undefined => {
  const last = journal.entries.at(-1)
  return last?.type === "continue" ? last.runId : undefined
}

/**
 * The last run of the chain that `loaded` stands in. Links in between are found by doubling the number,
 * so a chain of a thousand takes some twenty looks.
 */
export const latest = Effect.fnUntraced(function*(
  storage: Storage["Service"],
  loaded: Loaded
): Effect.fn.Return<Loaded, StorageError | JournalCorrupt> {
  let at = loaded
  for (;;) {
    const next = successor(at)
    if (next === undefined) return at
    const [base, n] = split(next)
    const exists = (k: number) => Effect.map(storage.version(nth(base, k)), (v) => v !== "")
    if (!(yield* exists(n))) return at
    let known = n, step = 1
    while (yield* exists(known + step)) {
      known += step
      step *= 2
    }
    for (; step >= 1; step /= 2) if (yield* exists(known + step)) known += step
    at = yield* storage.read(nth(base, known))
  }
})
