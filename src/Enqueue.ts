/**
 * How a run is recorded that nobody drives yet: a start for someone else to take up.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { StorageError } from "./Driver.ts"
import type { Entry } from "./Entry.ts"
import { isoOf } from "./internal/iso.ts"
import * as Journal from "./Journal.ts"
import { type Begin, compare, firstStart, type VersionMismatch } from "./Opening.ts"
import type { RunExists } from "./Refusals.ts"
import type * as Replay from "./Replay.ts"
import * as RunId from "./RunId.ts"
import { type Loaded, nothing, Storage } from "./Storage.ts"

export type EnqueueError =
  | StorageError
  | Journal.JournalCorrupt
  | RunExists
  | VersionMismatch
  | RunId.RunIdRejected

/** Records a run without driving it; known runs with the same input are left as they are. */
export const enqueue: (
  program: Replay.Program,
  runId: string,
  begin: Begin
) => Effect.Effect<void, EnqueueError, Storage> = Effect.fnUntraced(
  function*(program, runId, begin) {
    yield* RunId.check(runId)
    const storage = yield* Storage
    const services = yield* Effect.context<never>()
    let loaded = yield* nothing(runId)
    for (;;) {
      if (loaded.journal.entries.length > 0) return yield* compare(program, loaded, begin, services)
      const writer = yield* storage.writer(loaded)
      const { entry, stamp } = yield* firstStart(program, runId, begin)
      const timestamp = isoOf(yield* Clock.currentTimeMillis)
      const first = { ...entry, enqueued: true } as const
      if (yield* writer.append(stamp, [Journal.stamped(first, timestamp)])) {
        storage.enqueued.add(runId, behind(writer.loaded(), { ...first, ...stamp, timestamp }))
        return storage.hint(runId)
      }
      loaded = yield* storage.read(runId)
    }
  },
  (enqueued) => Effect.scoped(enqueued)
)

/** What whoever reads the journal now finds in it. */
const behind = (
  { journal, version }: Loaded,
  first: Entry & Journal.Stamp & { readonly timestamp: string }
): Loaded => {
  const sums = { offset: 0, prev: Journal.emptyHead.prev, sum: journal.head.prev }
  return { journal: { ...journal, entries: [{ ...first, ...sums }] }, version }
}
