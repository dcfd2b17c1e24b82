/**
 * How a run is recorded that nobody drives yet: a start for someone else to take up, and the run that goes
 * on where another one's journal ends.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { StorageError } from "./Driver.ts"
import type { Entry } from "./Entry.ts"
import { isoOf } from "./internal/iso.ts"
import * as Journal from "./Journal.ts"
import { type Begin, compare, firstStart, type VersionMismatch } from "./Opening.ts"
import { passOn } from "./Posts.ts"
import type { RunExists } from "./Refusals.ts"
import type * as Replay from "./Replay.ts"
import * as RunId from "./RunId.ts"
import { nothing, Storage } from "./Storage.ts"

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
  begin: Begin,
  handed?: ReadonlyArray<Entry>
) => Effect.Effect<void, EnqueueError, Storage> = Effect.fnUntraced(
  function*(program, runId, begin, handed = []) {
    yield* RunId.check(runId)
    const storage = yield* Storage
    const services = yield* Effect.context<never>()
    let loaded = yield* nothing(runId)
    for (;;) {
      if (loaded.journal.entries.length > 0) return yield* compare(program, loaded, begin, services)
      const writer = yield* storage.writer(loaded)
      const { entry, stamp } = yield* firstStart(program, runId, begin)
      const now = isoOf(yield* Clock.currentTimeMillis)
      const entries = [{ ...entry, enqueued: true } as const, ...handed]
      if (yield* writer.append(stamp, entries.map((entry) => Journal.stamped(entry, now)))) {
        return storage.hint(runId)
      }
      loaded = yield* storage.read(runId)
    }
  },
  (enqueued) => Effect.scoped(enqueued)
)

/** A journal that ended in `continueAs`: it goes on in `next`. */
export interface Continued {
  readonly status: "continued"
  readonly runId: string
  readonly next: string
}

/** How many of the last event ids go along with `continueAs`. */
const takenLimit = 1_000

/** Begins the run that goes on where a journal ended, with the events that nobody took, unless it is there. */
export const handOver = Effect.fnUntraced(
  function*(newest: Replay.Program, { next, runId }: Continued) {
    const storage = yield* Storage
    const { journal } = yield* storage.read(runId)
    const last = journal.entries.at(-1)
    const first = Journal.first(journal)
    if (last?.type !== "continue" || first === undefined) return
    const ids = Journal.takenIds(journal.entries)
    if ((yield* storage.version(next)) === "") {
      const resumed = new Set(
        journal.entries.flatMap((entry) => entry.type === "resume" ? entry.eventId : [])
      )
      const kept = journal.entries.flatMap((entry): ReadonlyArray<Entry> => {
        if (entry.type !== "event" || resumed.has(entry.eventId)) return []
        const { eventId, eventName, key, value } = entry
        return [{
          type: "event",
          eventName,
          ...(key === undefined ? undefined : { key }),
          ...(value === undefined ? undefined : { value }),
          eventId
        }]
      })
      const handed = new Set(kept.map((entry) => "eventId" in entry ? entry.eventId : ""))
      const begin: Begin = {
        metadata: () => structuredClone(last.metadata),
        durability: first.durability ?? "sync",
        parent: first.parent,
        continues: {
          runId,
          taken: [...ids].filter((id) => !handed.has(id)).slice(-takenLimit)
        }
      }
      yield* enqueue(newest, next, begin, kept)
    }
    yield* passOn(runId, ids)
  }
)
