/**
 * How a run is recorded that nobody drives yet: a start for someone else to take up, and the run that goes
 * on where another one's journal ends.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Posted, StorageError } from "./Driver.ts"
import { isoOf } from "./internal/iso.ts"
import * as Journal from "./Journal.ts"
import { type Begin, compare, firstStart, type VersionMismatch } from "./Opening.ts"
import type { RunExists } from "./Refusals.ts"
import type * as Replay from "./Replay.ts"
import * as RunId from "./RunId.ts"
import { nothing, Storage } from "./Storage.ts"
import { until } from "./Until.ts"

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
      const now = isoOf(yield* Clock.currentTimeMillis)
      if (yield* writer.append(stamp, [Journal.stamped({ ...entry, enqueued: true }, now)])) {
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

/**
 * Begins the run that goes on where a journal ended, unless it is there. The lease says that this is under way: whoever
 * posts meanwhile waits for the new run.
 */
export const handOver = Effect.fnUntraced(
  function*(newest: Replay.Program, { next, runId }: Continued) {
    const storage = yield* Storage
    const isThere = Effect.map(storage.version(next), (version) => version !== "")
    while (!(yield* isThere)) {
      const claim = yield* Effect.acquireUseRelease(
        storage.acquire(runId),
        ({ _tag }) => Effect.as(_tag === "Held" ? Effect.void : begun(newest, runId, next), _tag),
        (claim) =>
          claim._tag === "Held" ? Effect.void : Effect.ignore(storage.release(runId, claim.token))
      )
      if (claim === "Acquired") return
      // Another process does the same.
      const isFree = Effect.map(storage.holder(runId), (holder) => holder === undefined)
      const isOver = Effect.flatMap(isThere, (is) => is ? Effect.succeed(true) : isFree)
      yield* until([runId, next], isOver, { polls: true })
    }
  }
)

/** What nobody took is in the inbox of the new run before that is there: so it comes before all that is posted to it. */
const begun = Effect.fnUntraced(function*(newest: Replay.Program, runId: string, next: string) {
  const storage = yield* Storage
  const { journal } = yield* storage.read(runId)
  const { entries, head } = journal
  const last = entries.at(-1)
  const first = Journal.first(journal)
  if (last?.type !== "continue" || first === undefined) return
  const ids = Journal.takenIds(entries)
  const inbox = yield* storage.inbox(runId, head.incarnation, "")
  const left = [...untaken(journal), ...inbox.items.filter(({ eventId }) => !ids.has(eventId))]
  const incarnation = RunId.randomText(8)
  for (const posted of left) yield* storage.post(next, { ...posted, incarnation })
  const handed = new Set(left.map(({ eventId }) => eventId))
  const taken = [...ids].filter((id) => !handed.has(id)).slice(-takenLimit)
  yield* enqueue(newest, next, {
    metadata: () => structuredClone(last.metadata),
    durability: first.durability ?? "sync",
    parent: first.parent,
    continues: { runId, taken, incarnation }
  })
})

/** Events that stand in the journal, and that the body took no notice of. */
const untaken = ({ entries, head }: Journal.Journal): ReadonlyArray<Posted> => {
  const resumed = new Set(
    entries.flatMap((entry) => entry.type === "resume" ? entry.eventId : [])
  )
  return entries.flatMap((entry): ReadonlyArray<Posted> => {
    if (entry.type !== "event" || resumed.has(entry.eventId)) return []
    const { eventId, eventName, key, timestamp, value } = entry
    return [{
      type: "event",
      eventId,
      eventName,
      ...(key === undefined ? undefined : { key }),
      ...(value === undefined ? undefined : { value }),
      incarnation: head.incarnation,
      timestamp
    }]
  })
}
