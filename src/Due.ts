/**
 * Which runs somebody should drive, for drivers without an index: looks at one run after the other.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Driver, Posted } from "./Driver.ts"
import * as Inbox from "./Inbox.ts"
import * as Journal from "./Journal.ts"
import { JournalLimits } from "./Limits.ts"
import * as Status from "./Status.ts"

type Looked = Pick<Driver, "read" | "inbox" | "holder" | "version">

/**
 * The runs among `runIds` that are due at `now`; one that cannot be read hides no other. `concurrency` is
 * how many are looked at beside each other.
 */
export const scanDue = (
  driver: Looked,
  runIds: Iterable<string>,
  now: number,
  concurrency = 1
): Effect.Effect<ReadonlyArray<string>> =>
  Effect.filter(
    Array.from(runIds).toSorted(),
    (runId) => Effect.orElseSucceed(isDue(driver, runId, now), () => false),
    { concurrency }
  )

const isDue = (driver: Looked, runId: string, now: number) =>
  Effect.gen(function*() {
    const journal = yield* entriesOf(driver, runId)
    const entries = journal?.entries ?? []
    if (journal === undefined || entries.length === 0) return false
    const status = Status.of(runId, entries)
    const { continuedAs } = status
    if (Status.isEnded(status) && continuedAs === undefined) return false
    if ((yield* driver.holder(runId, now)) !== undefined) return false
    if (continuedAs !== undefined) {
      if ((yield* driver.version(continuedAs)) === "") return true
      return (yield* entriesOf(driver, continuedAs))?.entries.length === 0
    }
    // One that a hook stopped goes on when it is told to, or is to be cancelled.
    if (status.status === "stopped") return yield* hasPosts(driver, runId, journal, isCancel)
    const { stop } = yield* JournalLimits
    const alone = Status.withOwner(status, false, stop)
    const isLoop = status.fruitless >= Status.crashLimit
    // A run that kills its process does it again, whatever happens to it, unless a person steps in.
    if (yield* hasPosts(driver, runId, journal, isLoop ? isNoEvent : isAny)) return true
    if (alone.status === "pending") return true
    if (alone.wakeAt !== undefined && alone.wakeAt <= now) return true
    for (const { childId } of alone.waits) {
      const last = childId === undefined
        ? undefined
        : (yield* entriesOf(driver, childId))?.entries.at(-1)
      if (last !== undefined && Journal.isEnd(last)) return true
    }
    return false
  })

const isAny = () => true
const isCancel = (type: Posted["type"]) => type === "cancel"
const isNoEvent = (type: Posted["type"]) => type !== "event"

const entriesOf = (driver: Looked, runId: string) =>
  Effect.map(driver.read(runId), ({ text }) => {
    const read = Journal.read(runId, text)
    return Result.isSuccess(read) ? read.success : undefined
  })

const hasPosts = (
  driver: Looked,
  runId: string,
  { entries, head }: Journal.Journal,
  counts: (type: Posted["type"]) => boolean
) =>
  Effect.map(driver.inbox(runId, ""), ({ before, text }) => {
    const read = Inbox.read(runId, text, before)
    if (Result.isFailure(read)) return false
    const known = Journal.takenIds(entries)
    return read.success.some(({ eventId, incarnation, type }) =>
      incarnation === head.incarnation && !known.has(eventId) && counts(type)
    )
  })
