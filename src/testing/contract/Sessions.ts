/**
 * Cases of owners that follow each other: who was overtaken, or whose run was removed, writes no more.
 */
import { cases } from "./Case.ts"
import { oneOf, same } from "./Checks.ts"
import { completes, event, post, posted, start, step } from "./Entries.ts"
import { begin, create, epoch, linesOf, rival } from "./Hand.ts"
import { walk } from "./Walk.ts"

export const sessions = cases("session", {
  *"an owner whom a newer session overtook gets Moved"(t) {
    const old = yield* begin(t, "r")
    const newer = yield* rival(t, old)
    yield* newer.append(start)
    yield* same("the old one's answer", yield* old.attempt(step("late")), "Moved")
    yield* same("the newer goes on", yield* newer.attempt(step("a")), "appended")
    yield* same("only its lines count", yield* linesOf(t.driver, old.runId), newer.place.lines)
  },
  *"an owner that was overtaken gets Moved however often it tries"(t) {
    const old = yield* begin(t, "r")
    const newer = yield* rival(t, old)
    yield* newer.append(start, step("a"))
    for (const name of ["x", "y", "z"]) {
      yield* same("the answer", yield* old.attempt(step(name)), "Moved")
      yield* newer.append(step(`after ${name}`))
    }
    yield* same("only the newer's lines", yield* linesOf(t.other, old.runId), newer.place.lines)
  },
  *"an overtaken owner with a writer opened anew gets Moved"(t) {
    const old = yield* begin(t, "r")
    const newer = yield* rival(t, old)
    const anew = yield* rival(t, old, { driver: t.driver })
    yield* newer.append(start)
    yield* same("the answer", yield* anew.attempt(step("late")), "Moved")
    yield* same("the newer's lines", yield* linesOf(t.driver, old.runId), newer.place.lines)
  },
  *"an overtaken owner cannot end the run"(t) {
    const old = yield* begin(t, "r")
    const newer = yield* rival(t, old)
    yield* newer.append(start)
    yield* same("the answer", yield* old.attempt(completes), "Moved")
    const runs = yield* walk(t.driver, { workflow: t.workflow }, epoch)
    yield* same("it is open", runs.map(({ session, status }) => ({ session, status })), [
      { session: 2, status: "pending" }
    ])
  },
  *"an overtaken owner that sends its last lines again adds nothing"(t) {
    const old = yield* begin(t, "r")
    const { at } = old.place
    const batch = old.seal(step("a"))
    yield* old.append(step("a"))
    const newer = yield* rival(t, old)
    yield* newer.append(start)
    yield* oneOf("the answer", yield* old.put(batch, at), ["appended", "Moved"])
    yield* same("what counts", yield* linesOf(t.driver, old.runId), newer.place.lines)
    yield* same("the newer goes on", yield* newer.attempt(step("b")), "appended")
  },
  *"of two new sessions only the first opens"(t) {
    const hand = yield* begin(t, "r")
    const one = yield* rival(t, hand)
    const two = yield* rival(t, hand, { driver: t.driver })
    yield* same("the first", yield* one.attempt(start), "appended")
    yield* same("the second", yield* two.attempt(start), "Moved")
    yield* same("what counts", yield* linesOf(t.driver, hand.runId), one.place.lines)
  },
  *"ten sessions in turn, of two processes, leave one journal"(t) {
    let hand = yield* begin(t, "r")
    for (let n = 0; n < 9; n++) {
      hand = yield* rival(t, hand, { driver: n % 2 === 0 ? t.other : t.driver })
      yield* hand.append(start, step(`s${n}`))
    }
    yield* same("all counts", yield* linesOf(t.driver, hand.runId), hand.place.lines)
    const runs = yield* walk(t.other, { workflow: t.workflow }, epoch)
    yield* same("the session that is listed", runs.map(({ session }) => session), [10])
  },
  *"a writer of a removed run gets Moved and does not bring it back"(t) {
    const hand = yield* begin(t, "r", [step("a")])
    yield* t.other.remove(hand.runId)
    yield* same("the answer", yield* hand.attempt(step("b")), "Moved")
    yield* same("there is no run", yield* t.driver.version(hand.runId), "")
    yield* same("nor its text", yield* linesOf(t.driver, hand.runId), [])
  },
  *"a writer opened after a removal at the state before gets Moved"(t) {
    const hand = yield* begin(t, "r", [step("a")])
    yield* t.driver.remove(hand.runId)
    const anew = yield* rival(t, hand)
    yield* same("the answer", yield* anew.attempt(step("b")), "Moved")
    yield* same("there is no run", yield* t.other.version(hand.runId), "")
  },
  *"a writer of the run that was there before gets Moved"(t) {
    const old = yield* begin(t, "r", [step("a"), step("b")])
    yield* t.driver.remove(old.runId)
    const recreated = yield* begin(t, "r")
    yield* same("the answer", yield* old.attempt(step("c")), "Moved")
    yield* same("the run", yield* linesOf(t.driver, old.runId), recreated.place.lines)
  },
  *"a writer of the run before gets Moved when the new one is as long"(t) {
    const old = yield* begin(t, "r", [step("a")])
    yield* t.driver.remove(old.runId)
    const recreated = yield* begin(t, "r", [step("a")])
    yield* same("the answer", yield* old.attempt(step("b")), "Moved")
    yield* same("the run", yield* linesOf(t.driver, old.runId), recreated.place.lines)
    yield* same("its owner goes on", yield* recreated.attempt(step("b")), "appended")
  },
  *"a writer of the run before gets Moved when the new one was made by another process"(t) {
    const old = yield* begin(t, "r", [step("a")])
    yield* t.other.remove(old.runId)
    const recreated = yield* begin(t, "r", [step("a")], { driver: t.other })
    yield* same("the answer", yield* old.attempt(step("b")), "Moved")
    yield* same("the run", yield* linesOf(t.other, old.runId), recreated.place.lines)
  },
  *"a writer opened anew at a state of the run before gets Moved"(t) {
    const old = yield* begin(t, "r", [step("a")])
    yield* t.driver.remove(old.runId)
    const recreated = yield* begin(t, "r", [step("a")])
    const anew = yield* rival(t, old)
    yield* same("the answer", yield* anew.attempt(step("b")), "Moved")
    yield* same("the run", yield* linesOf(t.driver, old.runId), recreated.place.lines)
  },
  *"a writer of the run before gets Moved after the new one has grown"(t) {
    const old = yield* begin(t, "r")
    yield* t.driver.remove(old.runId)
    const recreated = yield* begin(t, "r")
    for (let n = 0; n < 5; n++) yield* recreated.append(step(`s${n}`))
    yield* same("the answer", yield* old.attempt(step("a")), "Moved")
    yield* same("the run", yield* linesOf(t.driver, old.runId), recreated.place.lines)
  },
  *"a run that is made again has its own lines only"(t) {
    const old = yield* begin(t, "r", [step("old"), completes])
    yield* t.driver.remove(old.runId)
    const recreated = yield* begin(t, "r", [step("new")])
    yield* same("the run", yield* linesOf(t.other, old.runId), recreated.place.lines)
    const runs = yield* walk(t.driver, { workflow: t.workflow }, epoch)
    yield* same("what is listed", runs.map(({ entries, status }) => ({ entries, status })), [
      { entries: 2, status: "pending" }
    ])
  },
  *"a run that is made again has none of the old posts"(t) {
    const old = yield* begin(t, "r")
    yield* post(t, old, event(old.incarnation, t.unique()))
    yield* t.driver.remove(old.runId)
    const recreated = yield* begin(t, "r")
    yield* same("its inbox", posted(yield* t.other.inbox(recreated.runId, "")), [])
  },
  *"a run can be removed and made again and again"(t) {
    const first = yield* begin(t, "r", [step("0")])
    let last = first
    for (let n = 1; n < 5; n++) {
      yield* t.driver.remove(first.runId)
      last = yield* begin(t, "r", [step(`${n}`)])
    }
    yield* same("the first owner", yield* first.attempt(step("late")), "Moved")
    yield* same("the last owner", yield* last.attempt(completes), "appended")
    yield* same("the run", yield* linesOf(t.driver, first.runId), last.place.lines)
  },
  *"a first append that lost to another incarnation stays lost after it was removed"(t) {
    const winner = yield* begin(t, "r")
    const loser = yield* create(t, "r")
    yield* same("the answer", yield* loser.attempt(start), "Moved")
    yield* t.driver.remove(winner.runId)
    yield* same("nothing comes to light", yield* linesOf(t.driver, winner.runId), [])
  }
})
