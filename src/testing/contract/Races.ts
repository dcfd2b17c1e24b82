/**
 * Cases of many at once: one winner where there may be one only, and everything kept where not.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { cases } from "./Case.ts"
import { demand, same } from "./Checks.ts"
import { event, posted, posting, start, step } from "./Entries.ts"
import { begin, create, epoch, linesOf, rival } from "./Hand.ts"
import { walk } from "./Walk.ts"

const all = { concurrency: "unbounded" } as const
const count = (n: number) => Array.from({ length: n }, (_, i) => i)

export const races = cases("concurrency", {
  *"of fifty writers at one state one wins"(t) {
    const hand = yield* begin(t, "r")
    const rivals = yield* Effect.forEach(
      count(50),
      (n) => rival(t, hand, { driver: n % 2 === 0 ? t.driver : t.other })
    )
    const answers = yield* Effect.forEach(rivals, (one) => one.attempt(start, step("a")), all)
    yield* same("winners", answers.filter((answer) => answer === "appended").length, 1)
    const winner = rivals[answers.indexOf("appended")]!
    yield* same("only its lines", yield* linesOf(t.driver, hand.runId), winner.place.lines)
    yield* same("it goes on", yield* winner.attempt(step("b")), "appended")
  },
  *"of twenty that create one run one wins"(t) {
    const hands = yield* Effect.forEach(
      count(20),
      (n) => create(t, "r", { driver: n % 2 === 0 ? t.driver : t.other })
    )
    const answers = yield* Effect.forEach(hands, (one) => one.attempt(start, step("a")), all)
    yield* same("winners", answers.filter((answer) => answer === "appended").length, 1)
    const winner = hands[answers.indexOf("appended")]!
    yield* same("only its lines", yield* linesOf(t.other, winner.runId), winner.place.lines)
    const runs = yield* walk(t.driver, { workflow: t.workflow }, epoch)
    yield* same("one run is listed", runs.length, 1)
  },
  *"owners that race for ten sessions leave one journal"(t) {
    let hand = yield* begin(t, "r")
    for (let session = 0; session < 10; session++) {
      const rivals = yield* Effect.forEach(
        count(4),
        (n) => rival(t, hand, { driver: n % 2 === 0 ? t.driver : t.other })
      )
      const answers = yield* Effect.forEach(rivals, (one) => one.attempt(start), all)
      yield* same("winners", answers.filter((answer) => answer === "appended").length, 1)
      hand = rivals[answers.indexOf("appended")]!
    }
    yield* same("the journal", yield* linesOf(t.driver, hand.runId), hand.place.lines)
  },
  *"a hundred runs that are written at once are all whole"(t) {
    const hands = yield* Effect.forEach(count(100), (n) => create(t, `r${n}`), all)
    yield* Effect.forEach(hands, (hand) =>
      Effect.gen(function*() {
        yield* hand.append(start)
        yield* hand.append(step("a"), step("b"))
        yield* hand.append(step("c"))
      }), all)
    for (const hand of hands) {
      yield* same("its lines", yield* linesOf(t.other, hand.runId), hand.place.lines)
    }
    const runs = yield* walk(t.driver, { workflow: t.workflow }, epoch)
    yield* same("all are listed", runs.map(({ entries }) => entries), count(100).map(() => 4))
  },
  *"posts that arrive at once are all kept, once"(t) {
    const { runId } = yield* begin(t, "r")
    const items = count(60).map(() => posting(event("i", t.unique())))
    yield* Effect.forEach(
      items,
      (item, n) => (n % 2 === 0 ? t.driver : t.other).post(runId, item),
      all
    )
    const lines = posted(yield* t.driver.inbox(runId, ""))
    yield* same("all", lines.toSorted(), items.map(({ line }) => line).toSorted())
  },
  *"looks while posts arrive give each post once, in one order"(t) {
    const { runId } = yield* begin(t, "r")
    const items = count(60).map(() => posting(event("i", t.unique())))
    const posting_ = yield* Effect.forkChild(
      Effect.forEach(
        items,
        (item, n) => (n % 2 === 0 ? t.driver : t.other).post(runId, item),
        { concurrency: 6 }
      ),
      { startImmediately: true }
    )
    const seen: Array<string> = []
    let cursor = ""
    let isOver = false
    while (!isOver) {
      isOver = posting_.pollUnsafe() !== undefined
      const look = yield* t.driver.inbox(runId, cursor)
      seen.push(...posted(look))
      cursor = look.cursor
      yield* Effect.yieldNow
    }
    yield* Fiber.join(posting_)
    yield* same("each once", seen.toSorted(), items.map(({ line }) => line).toSorted())
    yield* same("in order", seen, posted(yield* t.driver.inbox(runId, "")))
  },
  *"posts and appends at once are all kept"(t) {
    const hand = yield* begin(t, "r")
    const items = count(20).map(() => posting(event("i", t.unique())))
    yield* Effect.all([
      Effect.forEach(items, (item) => t.other.post(hand.runId, item)),
      Effect.forEach(count(20), (n) => hand.append(step(`s${n}`)))
    ], all)
    yield* same("the journal", yield* linesOf(t.driver, hand.runId), hand.place.lines)
    yield* same("the posts", posted(yield* t.driver.inbox(hand.runId, "")).length, 20)
  },
  *"of thirty that want one lease one gets it"(t) {
    const claims = yield* Effect.forEach(
      count(30),
      (n) => (n % 2 === 0 ? t.driver : t.other).acquire(t.id("r"), epoch, epoch + 1000),
      all
    )
    yield* same("holders", claims.filter(({ _tag }) => _tag === "Acquired").length, 1)
  },
  *"of thirty that want a lease that has run out one gets it"(t) {
    yield* t.driver.acquire(t.id("r"), epoch, epoch + 1000)
    const claims = yield* Effect.forEach(
      count(30),
      (n) => (n % 2 === 0 ? t.driver : t.other).acquire(t.id("r"), epoch + 1000, epoch + 2000),
      all
    )
    yield* same("holders", claims.filter(({ _tag }) => _tag === "Acquired").length, 1)
  },
  *"readers see beginnings of a journal only, and never less than before"(t) {
    const hand = yield* begin(t, "r")
    const over = yield* Deferred.make<void>()
    const writing = yield* Effect.forkChild(
      Effect.ensuring(
        Effect.forEach(count(30), (n) => hand.append(step(`a${n}`), step(`b${n}`)), {
          discard: true
        }),
        Deferred.succeed(over, undefined)
      ),
      { startImmediately: true }
    )
    const seen: Array<ReadonlyArray<string | undefined>> = []
    while (!(yield* Deferred.isDone(over))) {
      for (const driver of [t.driver, t.other]) seen.push(yield* linesOf(driver, hand.runId))
      yield* Effect.yieldNow
    }
    yield* Fiber.join(writing)
    let longest = 0
    for (const lines of seen) {
      yield* same("a beginning", lines, hand.place.lines.slice(0, lines.length))
      yield* demand("that does not shrink", lines.length >= longest, [lines.length, longest])
      longest = lines.length
    }
    yield* same("all in the end", yield* linesOf(t.driver, hand.runId), hand.place.lines)
  },
  *"a text and its state belong together while others write"(t) {
    const hand = yield* begin(t, "r")
    const states = new Map([[hand.place.at, hand.place.lines.length]])
    const writing = yield* Effect.forkChild(
      Effect.forEach(count(30), (n) =>
        Effect.map(hand.append(step(`s${n}`)), () => {
          states.set(hand.place.at, hand.place.lines.length)
        })),
      { startImmediately: true }
    )
    const seen: Array<readonly [string, number]> = []
    while (writing.pollUnsafe() === undefined) {
      const { text, version } = yield* t.other.read(hand.runId)
      seen.push([version, text.split("\n").filter((line) => line.trim() !== "").length])
      yield* Effect.yieldNow
    }
    yield* Fiber.join(writing)
    for (const [version, length] of seen) {
      // A state that nobody was told of may be one in the middle of an append.
      const told = states.get(version)
      if (told !== undefined) yield* same("lines at that state", length, told)
    }
    yield* demand("states were told", states.size === 31, states.size)
  },
  *"removals and appends at once leave a run that is whole or none"(t) {
    for (let n = 0; n < 5; n++) {
      const hand = yield* begin(t, `r${n}`, [step("a")])
      const [answer] = yield* Effect.all(
        [hand.attempt(step("b")), t.other.remove(hand.runId)],
        all
      )
      const lines = yield* linesOf(t.driver, hand.runId)
      yield* same(`what is left after ${answer}`, lines, [])
      yield* same("no state", yield* t.other.version(hand.runId), "")
    }
  }
})
