/**
 * Cases of `watch`: a driver that says it sees all tells of all, and nobody is told who left.
 */
import * as Effect from "effect/Effect"
import { pause } from "../Clock.ts"
import { cases, type Trial } from "./Case.ts"
import { oneOf, same } from "./Checks.ts"
import { event, post, step } from "./Entries.ts"
import { begin } from "./Hand.ts"

/** Waits until a driver that sees all has told; how long that may take is not the contract's. */
const told = (seen: ReadonlyArray<string>, count: number) =>
  Effect.gen(function*() {
    for (let n = 0; n < 200 && seen.length < count; n++) yield* pause(10)
    return seen.length >= count
  })

const watched = (t: Trial, runId: string) => {
  const seen: Array<string> = []
  return { seen, unwatch: t.driver.watch(runId, (what) => seen.push(what)) }
}

export const watches = cases("watch", {
  *"an append is told, where the driver sees all"(t) {
    const hand = yield* begin(t, "r")
    const { seen, unwatch } = watched(t, hand.runId)
    yield* hand.append(step("a"))
    if (t.driver.seesAll) yield* same("it is told", yield* told(seen, 1), true)
    unwatch()
  },
  *"a post is told, where the driver sees all"(t) {
    const hand = yield* begin(t, "r")
    const { seen, unwatch } = watched(t, hand.runId)
    yield* post(t, hand, event(hand.incarnation, t.unique()))
    if (t.driver.seesAll) yield* same("it is told", yield* told(seen, 1), true)
    unwatch()
  },
  *"a removal is told, where the driver sees all"(t) {
    const hand = yield* begin(t, "r")
    const { seen, unwatch } = watched(t, hand.runId)
    yield* t.driver.remove(hand.runId)
    if (t.driver.seesAll) yield* same("it is told", yield* told(seen, 1), true)
    unwatch()
  },
  *"what another process does is told, where the driver sees all"(t) {
    const hand = yield* begin(t, "r", [], { driver: t.other })
    const { seen, unwatch } = watched(t, hand.runId)
    yield* hand.append(step("a"))
    yield* post({ ...t, driver: t.other }, hand, event(hand.incarnation, t.unique()))
    if (t.driver.seesAll) yield* same("it is told", yield* told(seen, 2), true)
    unwatch()
  },
  *"what is told is a journal's change or an inbox's"(t) {
    const hand = yield* begin(t, "r")
    const { seen, unwatch } = watched(t, hand.runId)
    yield* hand.append(step("a"))
    yield* post(t, hand, event(hand.incarnation, t.unique()))
    if (t.driver.seesAll) yield* told(seen, 2)
    unwatch()
    for (const what of seen) yield* oneOf("the word", what, ["journal", "inbox"])
  },
  *"who left is not told any more, and the others are"(t) {
    const hand = yield* begin(t, "r")
    const [gone, here] = [watched(t, hand.runId), watched(t, hand.runId)]
    gone.unwatch()
    gone.unwatch()
    yield* hand.append(step("a"))
    if (t.driver.seesAll) yield* same("who stayed is told", yield* told(here.seen, 1), true)
    yield* same("who left is not", gone.seen, [])
    here.unwatch()
  },
  *"who leaves while being told harms nobody"(t) {
    const hand = yield* begin(t, "r")
    const first: Array<string> = []
    const unwatch = t.driver.watch(hand.runId, (what) => {
      first.push(what)
      unwatch()
    })
    const { seen, unwatch: leave } = watched(t, hand.runId)
    yield* hand.append(step("a"))
    yield* hand.append(step("b"))
    if (t.driver.seesAll) {
      yield* same("the other is told of both", yield* told(seen, 2), true)
      yield* same("the one that left, once", first.length, 1)
    }
    leave()
  },
  *"a run that is not there can be watched, and its making is told"(t) {
    const { seen, unwatch } = watched(t, t.id("r"))
    yield* begin(t, "r")
    if (t.driver.seesAll) yield* same("it is told", yield* told(seen, 1), true)
    unwatch()
  }
})
