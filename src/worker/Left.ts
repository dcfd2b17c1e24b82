/** Runs that a worker leaves as they are until something of them has changed: nothing here could drive them on. */
import * as Effect from "effect/Effect"
import type { StorageError } from "../Driver.ts"
import { hasMoved, type Seen } from "../Ending.ts"
import type { JournalCorrupt } from "../Journal.ts"
import type { Storage } from "../Storage.ts"

export interface Left {
  /** How a run is now. */
  readonly see: (runId: string) => Effect.Effect<Seen, StorageError | JournalCorrupt>
  /** Leaves a run as it was seen; `why` is undefined of one whose workflow is not known here. */
  readonly leave: (seen: Seen, why: string | undefined) => void
  readonly forget: (runId: string) => void
  /** Forgets those that do not pass. */
  readonly keep: (passes: (runId: string) => boolean) => void
  /** Whether a run is left, and as it was; else it is forgotten. */
  readonly isLeft: (runId: string) => Effect.Effect<boolean>
  /** Why runs of workflows that are known here are left, by their ids. */
  readonly reasons: () => ReadonlyMap<string, string>
}

export const make = (storage: Storage["Service"]): Left => {
  const runs = new Map<string, { readonly seen: Seen; readonly why: string | undefined }>()
  return {
    see: Effect.fnUntraced(function*(runId) {
      const version = yield* storage.version(runId)
      const { cursor } = yield* storage.inbox(runId, "", "")
      return { runId, version, cursor }
    }),
    leave: (seen, why) => void runs.set(seen.runId, { seen, why }),
    forget: (runId) => void runs.delete(runId),
    keep: (passes) => {
      for (const runId of runs.keys()) if (!passes(runId)) runs.delete(runId)
    },
    isLeft: Effect.fnUntraced(function*(runId) {
      const left = runs.get(runId)
      if (left === undefined) return false
      const isSame = !(yield* Effect.orElseSucceed(hasMoved(storage, left.seen), () => true))
      if (!isSame) runs.delete(runId)
      return isSame
    }),
    reasons: () => {
      const reasons = new Map<string, string>()
      for (const [runId, { why }] of runs) if (why !== undefined) reasons.set(runId, why)
      return reasons
    }
  }
}
