/**
 * Cases of several lines in one append: all or none, in their order.
 */
import { cases } from "./Case.ts"
import { demand, oneOf, same } from "./Checks.ts"
import { completes, event, post, posted, start, step, takes, waits } from "./Entries.ts"
import { begin, create, epoch, linesOf, occurrences, rival } from "./Hand.ts"
import { walk } from "./Walk.ts"

const steps = (count: number) => Array.from({ length: count }, (_, n) => step(`s${n}`, n))

export const batches = cases("batch", {
  *"the lines of an append stand in their order"(t) {
    const hand = yield* begin(t, "r", steps(3))
    yield* hand.append(step("x"), step("y"), step("z"))
    yield* same("all lines are there", yield* linesOf(t.driver, hand.runId), hand.place.lines)
  },
  *"an append of five hundred lines stands whole and in order"(t) {
    const hand = yield* begin(t, "r")
    yield* hand.append(...steps(500))
    yield* same("all lines are there", yield* linesOf(t.driver, hand.runId), hand.place.lines)
  },
  *"an append has one state however many lines it has"(t) {
    const hand = yield* begin(t, "r", steps(7))
    yield* same("it can go on", yield* hand.attempt(...steps(5)), "appended")
    yield* same("the state", yield* t.driver.version(hand.runId), hand.place.at)
  },
  *"appends of one line and of many follow each other"(t) {
    const hand = yield* begin(t, "r")
    for (const count of [1, 5, 1, 1, 9, 2]) yield* hand.append(...steps(count))
    yield* same("all lines are there", yield* linesOf(t.driver, hand.runId), hand.place.lines)
  },
  *"a losing batch leaves nothing that counts"(t) {
    const hand = yield* begin(t, "r")
    const other = yield* rival(t, hand)
    yield* other.append(start, step("a"))
    yield* same("the answer", yield* hand.attempt(...steps(5)), "Moved")
    yield* same("only the winner's", yield* linesOf(t.driver, hand.runId), other.place.lines)
    yield* same("the winner goes on", yield* other.attempt(step("b")), "appended")
    yield* same("to the end", yield* linesOf(t.other, hand.runId), other.place.lines)
  },
  *"a losing batch that ends a run does not end it"(t) {
    const hand = yield* begin(t, "r")
    const other = yield* rival(t, hand)
    yield* other.append(start)
    yield* same("the answer", yield* hand.attempt(step("a"), completes), "Moved")
    yield* same("the run is open", yield* other.attempt(step("b"), waits), "appended")
    const runs = yield* walk(t.driver, { workflow: t.workflow }, epoch)
    yield* same("and suspended", runs.map(({ status }) => status), ["suspended"])
  },
  *"a losing first batch leaves nothing that counts"(t) {
    const winner = yield* begin(t, "r", [step("mine")])
    const loser = yield* create(t, "r", { driver: t.other })
    yield* same("the answer", yield* loser.attempt(start, ...steps(4)), "Moved")
    yield* same("only the winner's", yield* linesOf(t.driver, winner.runId), winner.place.lines)
  },
  *"a batch whose first line stands there is taken whole or not at all"(t) {
    const hand = yield* begin(t, "r")
    const other = yield* rival(t, hand)
    const batch = other.seal(step("a"), step("b"))
    yield* hand.append(step("a"))
    const answer = yield* other.put(batch)
    yield* same(
      `what counts after ${answer}`,
      yield* linesOf(t.driver, hand.runId),
      answer === "Moved" ? hand.place.lines : [...hand.place.lines, batch.lines[1]]
    )
  },
  *"a losing batch takes no posts"(t) {
    const hand = yield* begin(t, "r", [waits])
    const eventId = t.unique()
    yield* post(t, hand, event(hand.incarnation, eventId))
    const other = yield* rival(t, hand)
    yield* other.append(start, step("a"))
    yield* other.append(waits)
    yield* same("the answer", yield* hand.attempt(takes(eventId)), "Moved")
    yield* same("the post is there", posted(yield* t.driver.inbox(hand.runId, "")).length, 1)
    const due = yield* t.driver.due(epoch)
    yield* demand("and somebody should drive the run for it", due.includes(hand.runId), due)
  },
  *"a batch that is sent again stands once, line by line"(t) {
    const hand = yield* begin(t, "r")
    const batch = hand.seal(...steps(4))
    yield* hand.put(batch)
    const again = yield* rival(t, hand)
    yield* oneOf("the second answer", yield* again.put(batch), ["appended", "Moved"])
    yield* same("it stands once", yield* linesOf(t.driver, hand.runId), [
      ...hand.place.lines,
      ...batch.lines
    ])
    for (const line of batch.lines) {
      const times = yield* occurrences(t.driver, hand.runId, line)
      yield* demand("no line stands where none was sent", times >= 1 && times <= 2, times)
    }
  },
  *"what is listed is the state behind the last line of a batch"(t) {
    const hand = yield* begin(t, "r", [step("a"), waits, takes(t.unique()), completes])
    const runs = yield* walk(t.driver, { workflow: t.workflow }, epoch)
    yield* same(
      "state, result and length",
      runs.map(({ entries, result, runId, status }) => ({ entries, result, runId, status })),
      [{ entries: 5, result: "done", runId: hand.runId, status: "success" }]
    )
  },
  *"a batch of a megabyte in many lines stands whole"(t) {
    const hand = yield* begin(t, "r")
    yield* hand.append(...Array.from({ length: 64 }, (_, n) => step(`s${n}`, "x".repeat(16_384))))
    yield* same("all lines are there", yield* linesOf(t.other, hand.runId), hand.place.lines)
  }
})
