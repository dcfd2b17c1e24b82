/**
 * Cases of runs that somebody should drive, and of those that nobody should.
 */
import * as Effect from "effect/Effect"
import type { Storage } from "../../index.ts"
import { cases, type Trial } from "./Case.ts"
import { demand, same } from "./Checks.ts"
import {
  cancel,
  completes,
  continues,
  crash,
  ends,
  event,
  fails,
  intent,
  post,
  settle,
  sleeps,
  start,
  step,
  stops,
  takes,
  waits,
  waitsFor
} from "./Entries.ts"
import { begin, epoch, type Hand, rival, type Written } from "./Hand.ts"

const until = epoch + 15_000

const isDue = ({ driver }: Trial, runId: string, now = epoch) =>
  Effect.map(driver.due(now), (ids) => ids.includes(runId))

/** A case of a run of these entries, to which `posts` are posted. */
const due = (
  expected: boolean,
  entries: ReadonlyArray<Written>,
  posts: (hand: Hand, t: Trial) => ReadonlyArray<Storage.Posted> = () => [],
  prepare: (hand: Hand) => Effect.Effect<void, Storage.StorageError | Storage.Moved> = () =>
    Effect.void
) =>
  function*(t: Trial) {
    const hand = yield* begin(t, "r", entries)
    yield* prepare(hand)
    for (const posted of posts(hand, t)) yield* post(t, hand, posted)
    yield* same("whether it is due", yield* isDue(t, hand.runId), expected)
  }

const anEvent = (hand: Hand, t: Trial) => [event(hand.incarnation, t.unique())]
const aCancel = (hand: Hand, t: Trial) => [cancel(hand.incarnation, t.unique())]
const aSettlement = (hand: Hand, t: Trial) => [settle(hand.incarnation, t.unique())]

export const dues = cases("due", {
  "a run that nobody drives is due": due(true, []),
  "a run that was enqueued is due": due(true, [step("a")]),
  "a run that only waits for an event is not due": due(false, [waits]),
  "a run that waits is due when an event is posted": due(true, [waits], anEvent),
  "a run that waits is due when it is to be cancelled": due(true, [waits], aCancel),
  "a run that sleeps is due when it is to be cancelled": due(true, [sleeps(until)], aCancel),
  "an event for another incarnation makes no run due": due(
    false,
    [waits],
    (_, t) => [event("another", t.unique())]
  ),
  "a run that returned is not due": due(false, [completes]),
  "a run that failed is not due": due(false, [fails]),
  "a run that was cancelled is not due": due(false, [ends]),
  "a run that returned is not due for an event": due(false, [completes], anEvent),
  "a run that failed is not due for a cancel": due(false, [fails], aCancel),
  "a run that was stopped is not due": due(false, [step("a"), stops]),
  "a run that was stopped is not due for an event": due(false, [stops], anEvent),
  "a run that was stopped is due when it is to be cancelled": due(true, [stops], aCancel),
  "a run whose outcome is unknown is not due": due(false, [intent]),
  "a run whose outcome is unknown is due when it is settled": due(true, [intent], aSettlement),
  "a run in a crash loop is not due": due(false, [], undefined, crash),
  "a run in a crash loop is not due for an event": due(false, [], anEvent, crash),
  "a run in a crash loop is due when it is settled": due(true, [], aSettlement, crash),
  "a run in a crash loop is due when it is to be cancelled": due(true, [], aCancel, crash),
  "a run that has died nine times is due": due(true, [], undefined, (hand) => crash(hand, 8)),
  *"a run that sleeps is due at its time and not before"(t) {
    const { runId } = yield* begin(t, "r", [sleeps(epoch + 60_000)])
    yield* same("long before", yield* isDue(t, runId), false)
    yield* same("a millisecond before", yield* isDue(t, runId, epoch + 59_999), false)
    yield* same("at its time", yield* isDue(t, runId, epoch + 60_000), true)
    yield* same("long after", yield* isDue(t, runId, epoch + 6_000_000), true)
  },
  *"a run that sleeps past the year 2100 is due then"(t) {
    const wakeAt = Date.UTC(2150, 0, 1)
    const { runId } = yield* begin(t, "r", [sleeps(wakeAt)])
    yield* same("before", yield* isDue(t, runId, wakeAt - 1), false)
    yield* same("then", yield* isDue(t, runId, wakeAt), true)
  },
  *"a run that sleeps anew is due at its new time"(t) {
    const hand = yield* begin(t, "r", [sleeps(epoch + 10)])
    yield* hand.append(start, { type: "timer", stepId: "sleep" }, sleeps(epoch + 50))
    yield* same("at the old time", yield* isDue(t, hand.runId, epoch + 10), false)
    yield* same("at the new time", yield* isDue(t, hand.runId, epoch + 50), true)
  },
  *"a run whose event was journaled is not due for it"(t) {
    const hand = yield* begin(t, "r", [waits])
    const eventId = t.unique()
    yield* post(t, hand, event(hand.incarnation, eventId))
    yield* same("before", yield* isDue(t, hand.runId), true)
    yield* hand.append(start, takes(eventId), waits)
    yield* same("after", yield* isDue(t, hand.runId), false)
  },
  *"a run whose event was taken by a wait is not due for it"(t) {
    const hand = yield* begin(t, "r", [waits])
    const eventId = t.unique()
    yield* post(t, hand, event(hand.incarnation, eventId))
    yield* hand.append(start, { type: "resume", stepId: "go", eventName: "go", eventId }, waits)
    yield* same("after", yield* isDue(t, hand.runId), false)
  },
  *"a repeat of an event that was journaled makes no run due"(t) {
    const hand = yield* begin(t, "r", [waits])
    const eventId = t.unique()
    yield* post(t, hand, event(hand.incarnation, eventId))
    yield* hand.append(start, takes(eventId), waits)
    yield* post(t, hand, event(hand.incarnation, eventId))
    yield* same("after", yield* isDue(t, hand.runId), false)
  },
  *"of two events the one that was not journaled makes a run due"(t) {
    const hand = yield* begin(t, "r", [waits])
    const [one, two] = [t.unique(), t.unique()]
    for (const eventId of [one, two]) yield* post(t, hand, event(hand.incarnation, eventId))
    yield* hand.append(start, takes(two), waits)
    yield* same("one is left", yield* isDue(t, hand.runId), true)
    yield* hand.append(takes(one), waits)
    yield* same("none is left", yield* isDue(t, hand.runId), false)
  },
  *"an event that was posted before its run began makes it due"(t) {
    const hand = yield* begin(t, "r")
    yield* post(t, hand, event(hand.incarnation, t.unique()))
    yield* hand.append(waits)
    yield* same("it is due", yield* isDue(t, hand.runId), true)
  },
  *"a post of another process makes a run due"(t) {
    const hand = yield* begin(t, "r", [waits])
    yield* post({ ...t, driver: t.other }, hand, event(hand.incarnation, t.unique()))
    yield* same("it is due", yield* isDue(t, hand.runId), true)
  },
  *"a run with a live lease is not due until the lease has run out"(t) {
    const { runId } = yield* begin(t, "r")
    yield* t.other.acquire(runId, epoch, until)
    yield* same("while it is held", yield* isDue(t, runId), false)
    yield* same("a millisecond before", yield* isDue(t, runId, until - 1), false)
    yield* same("at its time", yield* isDue(t, runId, until), true)
  },
  *"a run whose lease was renewed is not due until its new time"(t) {
    const { runId } = yield* begin(t, "r")
    const claim = yield* t.driver.acquire(runId, epoch, until)
    if (claim._tag === "Acquired") yield* t.driver.renew(runId, claim.token, until + 10)
    yield* same("before", yield* isDue(t, runId, until + 9), false)
    yield* same("at it", yield* isDue(t, runId, until + 10), true)
  },
  *"a run whose lease was released is due"(t) {
    const { runId } = yield* begin(t, "r")
    const claim = yield* t.driver.acquire(runId, epoch, until)
    if (claim._tag === "Acquired") yield* t.driver.release(runId, claim.token)
    yield* same("it is due", yield* isDue(t, runId), true)
  },
  *"neither an event nor its time makes a run due that somebody drives"(t) {
    const hand = yield* begin(t, "r", [sleeps(epoch)])
    yield* post(t, hand, event(hand.incarnation, t.unique()))
    yield* t.driver.acquire(hand.runId, epoch, until)
    yield* same("it is not due", yield* isDue(t, hand.runId, epoch + 1), false)
  },
  *"a run that waits for a child is due when that has ended, in whatever way"(t) {
    for (const [name, end] of Object.entries({ completes, ends, fails })) {
      const child = yield* begin(t, `child ${name}`, [waits])
      const parent = yield* begin(t, `parent ${name}`, [waitsFor(child.runId)])
      yield* same("while it is open", yield* isDue(t, parent.runId), false)
      yield* child.append(start, end)
      yield* same("when it has ended", yield* isDue(t, parent.runId), true)
    }
  },
  *"a run that waits for a child that is not there is not due"(t) {
    const { runId } = yield* begin(t, "r", [waitsFor(t.id("nobody"))])
    yield* same("it is not due", yield* isDue(t, runId), false)
  },
  *"a run that went on as one that is not there is due"(t) {
    const { runId } = yield* begin(t, "r", [continues(t.id("next"))])
    yield* same("it is due", yield* isDue(t, runId), true)
    yield* begin(t, "next", [waits])
    yield* same("and no more", yield* isDue(t, runId), false)
  },
  *"a run that was removed is not due"(t) {
    const { runId } = yield* begin(t, "r")
    yield* t.driver.remove(runId)
    yield* same("it is not due", yield* isDue(t, runId), false)
  },
  *"a run of a newer session is due by what that wrote"(t) {
    const hand = yield* begin(t, "r")
    const newer = yield* rival(t, hand)
    yield* newer.append(start, waits)
    yield* same("it waits", yield* isDue(t, hand.runId), false)
  },
  *"a run is due once, and all that are due are named"(t) {
    const ids = yield* Effect.forEach(
      ["a", "b", "c", "d"],
      (name) => Effect.map(begin(t, name, name === "c" ? [waits] : []), ({ runId }) => runId)
    )
    const own = (yield* t.other.due(epoch)).filter((runId) => ids.includes(runId))
    yield* same("each once", own.toSorted(), ["a", "b", "d"].map(t.id))
    yield* demand("the one that waits is not", !own.includes(t.id("c")), own)
  }
})
