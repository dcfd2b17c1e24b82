/**
 * What this process has just enqueued, as long as it hears of nobody who wrote to it: whoever is to drive such a run,
 * or waits for its end, needs not read what was just written.
 *
 * Another process may have written meanwhile without a word. So who drives compares versions when it has the lease,
 * and who waits does so whenever it looks.
 */
import type { Driver } from "./Driver.ts"

/** How many are kept; then the oldest go. */
const most = 256

export interface Enqueued<Loaded> {
  readonly add: (runId: string, loaded: Loaded) => void
  readonly get: (runId: string) => Loaded | undefined
  /** Gives it to who may change it: nobody else has it then. */
  readonly take: (runId: string) => Loaded | undefined
}

export const make = <Loaded>(watch: Driver["watch"]): Enqueued<Loaded> => {
  const runs = new Map<string, { readonly loaded: Loaded; readonly unwatch: () => void }>()
  const take = (runId: string) => {
    const found = runs.get(runId)
    found?.unwatch()
    runs.delete(runId)
    return found?.loaded
  }
  return {
    add: (runId, loaded) => {
      take(runId)
      if (runs.size === most) take(runs.keys().next().value!)
      const unwatch = watch(runId, (what) => {
        if (what === "journal") take(runId)
      })
      runs.set(runId, { loaded, unwatch })
    },
    get: (runId) => runs.get(runId)?.loaded,
    take
  }
}
