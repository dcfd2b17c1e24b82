/**
 * How a run goes on where another one's journal ended in `continueAs`: with what nobody took of that one's posts.
 *
 * These are in the new inbox before the new run is there, so they come before all that is posted to it, and none is
 * lost when this is cut short: the run is not there, and it is done again. Whoever posts meanwhile waits for it.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Chain from "./Chain.ts"
import type { Posted } from "./Driver.ts"
import { isoOf } from "./internal/iso.ts"
import * as Journal from "./Journal.ts"
import { firstStart } from "./Opening.ts"
import type * as Replay from "./Replay.ts"
import * as RunId from "./RunId.ts"
import { Storage } from "./Storage.ts"
import { until } from "./Until.ts"

/** A journal that ended in `continueAs`: it goes on in `next`. */
export interface Continued {
  readonly status: "continued"
  readonly runId: string
  readonly next: string
}

/** How many of the last event ids go along with `continueAs`. */
const takenLimit = 1_000

/** Begins the next run, unless it is there. The lease tells those who post meanwhile that they need not do it. */
export const handOver = Effect.fnUntraced(function*(
  { next, runId }: Continued,
  newest: Replay.Program
) {
  const storage = yield* Storage
  if (yield* Chain.exists(storage, next)) return
  yield* Effect.acquireUseRelease(
    storage.acquire(runId),
    () => begin(runId, next, newest),
    (claim) =>
      claim._tag === "Held" ? Effect.void : Effect.ignore(storage.release(runId, claim.token))
  )
})

/** Whoever does the same at the same time does no harm. Without `newest`, in the version that has ended. */
const begin = Effect.fnUntraced(function*(
  runId: string,
  next: string,
  newest?: Pick<Replay.Program, "name" | "version" | "durability">
) {
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
  const { durability = "sync", parent, version, workflow: name = "" } = first
  const { entry, stamp } = yield* firstStart(newest ?? { name, version, durability }, next, {
    metadata: () => structuredClone(last.metadata),
    durability,
    parent,
    continues: { runId, taken, incarnation }
  })
  // A file of it may be there, whose first line a crash cut short.
  const loaded = yield* storage.read(next)
  if (loaded.journal.entries.length > 0) return
  const writer = yield* storage.writer(loaded)
  const now = isoOf(yield* Clock.currentTimeMillis)
  const isBegun = yield* writer.append(stamp, [Journal.stamped({ ...entry, enqueued: true }, now)])
  if (isBegun) storage.hint(next)
}, (begun) => Effect.scoped(begun))

/** Waits until the next run is there, or begins it where nobody is about to. */
export const awaitNext = Effect.fnUntraced(function*(runId: string, next: string) {
  const storage = yield* Storage
  const isThere = Chain.exists(storage, next)
  const isFree = Effect.map(storage.holder(runId), (holder) => holder === undefined)
  const isLeft = Effect.flatMap(isThere, (is) => is ? Effect.succeed(true) : isFree)
  yield* until([runId, next], isLeft, { polls: true })
  if (!(yield* isThere)) yield* begin(runId, next)
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
