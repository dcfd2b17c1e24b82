/**
 * Finding runs by id, for any workflow and without its code: lists, journals, and their state.
 */
import * as Effect from "effect/Effect"
import * as Chain from "./Chain.ts"
import type { Page, Query, StorageError } from "./Driver.ts"
import type { Journal, JournalCorrupt } from "./Journal.ts"
import { JournalLimits } from "./Limits.ts"
import { RunNotFound } from "./Refusals.ts"
import * as RunId from "./RunId.ts"
import * as Status from "./Status.ts"
import { type Loaded, Storage } from "./Storage.ts"

export type ReadError = StorageError | JournalCorrupt

/** The run, or `RunNotFound`; with the values of all its entries, or of those that are needed. */
export const found = Effect.fnUntraced(
  function*(runId: string, values: "all" | "last" | "none" = "all") {
    yield* RunId.check(runId)
    const storage = yield* Storage
    const loaded = yield* storage.read(runId, values)
    if (loaded.journal.entries.length === 0) return yield* new RunNotFound({ runId })
    return loaded
  }
)

/** Runs of the storage by id, at most `limit` (default 100) a page. */
export const list = (query: Query = {}): Effect.Effect<Page, StorageError, Storage> =>
  Effect.flatMap(Storage, (storage) => storage.list(query))

/** The accepted entries of a run. */
export const journal = (
  runId: string
): Effect.Effect<Journal, ReadError | RunNotFound | RunId.RunIdRejected, Storage> =>
  Effect.map(found(runId), (loaded) => loaded.journal)

/** A look at a run: its state, what it waits for, what it came to. */
export const status = (
  runId: string
): Effect.Effect<Status.Status, ReadError | RunNotFound | RunId.RunIdRejected, Storage> =>
  Effect.flatMap(found(runId, "last"), statusOf)

const statusOf = Effect.fnUntraced(
  function*({ journal }: Loaded): Effect.fn.Return<Status.Status, StorageError, Storage> {
    const storage = yield* Storage
    const { entries, runId } = journal
    const recorded = Status.of(runId, entries)
    const live = storage.live.get(runId)
    const now = live === undefined ? recorded : {
      ...recorded,
      steps: { ...recorded.steps, running: live.running },
      progress: { ...live.progress }
    }
    if (now.status !== "pending" && now.status !== "suspended") return now
    const { stop } = yield* JournalLimits
    return Status.withOwner(now, (yield* storage.holder(runId)) !== undefined, stop)
  }
)

/** As `status`, of the last run of a chain of `continueAs`. */
export const latestStatus = Effect.fnUntraced(function*(
  runId: string
): Effect.fn.Return<Status.Status, ReadError | RunNotFound | RunId.RunIdRejected, Storage> {
  const storage = yield* Storage
  return yield* statusOf(yield* Chain.latest(storage, yield* found(runId, "last")))
})
