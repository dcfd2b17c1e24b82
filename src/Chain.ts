/**
 * Runs that go on where another one's journal ends: how the ids of `ctx.continueAs` follow each other,
 * and which one of a chain is the last.
 */
import * as Effect from "effect/Effect"
import type { StorageError } from "./Driver.ts"
import { crc32Hex } from "./internal/crc32.ts"
import type { JournalCorrupt } from "./Journal.ts"
import type { Loaded, Storage } from "./Storage.ts"

const numbered = /^(.*)\+(\d+)$/

/** Longer ids are cut, with a sum of what was cut. */
const longest = 180

const split = (runId: string): readonly [base: string, n: number] => {
  const found = numbered.exec(runId)
  if (found !== null) return [found[1]!, Number(found[2])]
  const sum = crc32Hex(runId)
  return [runId.length <= longest ? runId : `${runId.slice(0, longest - sum.length)}${sum}`, 1]
}

const nth = (base: string, n: number) => `${base}+${n}`

/** The id of the run that goes on after `runId`: `loop`, `loop+2`, `loop+3` … */
export const nextId = (runId: string): string => {
  const [base, n] = split(runId)
  return nth(base, n + 1)
}

/** Whether there is such a run: a file whose first line a crash cut short is none. */
export const exists = (storage: Storage["Service"], runId: string) =>
  Effect.flatMap(
    storage.version(runId),
    (version) =>
      version === ""
        ? Effect.succeed(false)
        : Effect.map(storage.read(runId, "none"), ({ journal }) => journal.entries.length > 0)
  )

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
    const isThere = (k: number) => Effect.map(storage.version(nth(base, k)), (v) => v !== "")
    if (!(yield* isThere(n))) return at
    let known = n, step = 1
    while (yield* isThere(known + step)) {
      known += step
      step *= 2
    }
    for (; step >= 1; step /= 2) if (yield* isThere(known + step)) known += step
    let found = yield* storage.read(nth(base, known))
    // A file whose first line a crash cut short is no run.
    while (found.journal.entries.length === 0) {
      if (known === n) return at
      found = yield* storage.read(nth(base, --known))
    }
    at = found
  }
})
