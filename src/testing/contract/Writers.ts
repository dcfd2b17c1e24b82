/**
 * Cases of writers: opened for a session, closed with its scope, and never cut off in the middle.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { pause } from "../Clock.ts"
import { cases } from "./Case.ts"
import { oneOf, same } from "./Checks.ts"
import { completes, start, step } from "./Entries.ts"
import { begin, create, epoch, linesOf, rival } from "./Hand.ts"
import { walk } from "./Walk.ts"

export const writers = cases("writer", {
  *"a writer that is opened and not used makes no run"(t) {
    yield* Effect.scoped(t.driver.writer(t.id("r")))
    yield* same("there is no run", yield* t.driver.version(t.id("r")), "")
    const runs = yield* walk(t.driver, { workflow: t.workflow }, epoch)
    yield* same("none is listed", runs, [])
  },
  *"writers follow each other, each from where the last one left"(t) {
    let place = yield* Effect.scoped(
      Effect.map(begin(t, "r"), (hand) => hand)
    )
    for (let n = 0; n < 6; n++) {
      place = yield* Effect.scoped(
        Effect.tap(
          rival(t, place, { driver: n % 2 === 0 ? t.other : t.driver }),
          (hand) => n % 2 === 0 ? hand.append(start) : hand.append(step(`s${n}`))
        )
      )
    }
    yield* same("all counts", yield* linesOf(t.driver, place.runId), place.place.lines)
  },
  *"what a writer appended stays when its scope is closed"(t) {
    const hand = yield* Effect.scoped(begin(t, "r", [step("a")]))
    yield* same("its lines", yield* linesOf(t.driver, hand.runId), hand.place.lines)
    yield* same("for all", yield* linesOf(t.other, hand.runId), hand.place.lines)
  },
  *"two writers may be open at once, and write in turns"(t) {
    const one = yield* begin(t, "r")
    const two = yield* rival(t, one, { driver: t.driver })
    for (let n = 0; n < 4; n++) {
      two.place = one.place
      yield* two.append(step(`two ${n}`))
      one.place = two.place
      yield* one.append(step(`one ${n}`))
    }
    yield* same("all counts", yield* linesOf(t.other, one.runId), one.place.lines)
  },
  *"a writer that is closed disturbs no other one"(t) {
    const one = yield* begin(t, "r")
    yield* Effect.scoped(Effect.flatMap(rival(t, one), (two) => two.put(two.seal(step("x")), "no")))
    yield* same("the one goes on", yield* one.attempt(step("a"), completes), "appended")
    yield* same("its lines", yield* linesOf(t.driver, one.runId), one.place.lines)
  },
  *"writers of many runs may be open at once"(t) {
    const hands = yield* Effect.forEach(
      Array.from({ length: 40 }, (_, n) => n),
      (n) => create(t, `r${n}`)
    )
    for (const hand of hands) yield* hand.append(start)
    for (const hand of hands.toReversed()) yield* hand.append(completes)
    for (const hand of hands) {
      yield* same("its lines", yield* linesOf(t.driver, hand.runId), hand.place.lines)
    }
  },
  *"an append that is interrupted is whole or not there when the interruption is over"(t) {
    const hand = yield* begin(t, "r")
    for (let n = 0; n < 5; n++) {
      const batch = hand.seal(step(`a${n}`), step(`b${n}`))
      const before = hand.place
      const fiber = yield* Effect.forkChild(hand.put(batch), { startImmediately: true })
      yield* Fiber.interrupt(fiber)
      const lines = yield* linesOf(t.driver, hand.runId)
      yield* oneOf("all of it or nothing", lines.length - before.lines.length, [0, 2])
      yield* pause(20)
      yield* same("and that stays", yield* linesOf(t.driver, hand.runId), lines)
      if (lines.length > before.lines.length) {
        hand.place = {
          at: yield* t.driver.version(hand.runId),
          head: batch.head,
          entries: batch.entries,
          lines: [...before.lines, ...batch.lines]
        }
      }
    }
    yield* same("the writer goes on", yield* hand.attempt(completes), "appended")
  },
  *"a writer goes on after it was told Moved, from the state that it reads"(t) {
    const hand = yield* begin(t, "r")
    const other = yield* rival(t, hand)
    yield* other.append(step("theirs"))
    yield* same("the answer", yield* hand.attempt(step("mine")), "Moved")
    const next = yield* rival(t, other, { driver: t.driver })
    yield* next.append(start, step("mine"))
    yield* same("all counts", yield* linesOf(t.other, hand.runId), next.place.lines)
  }
})
