/**
 * Cases of single appends: what they store and where, conflicts, repeats, and the token of a state.
 */
import * as Effect from "effect/Effect"
import { cases } from "./Case.ts"
import { demand, oneOf, same } from "./Checks.ts"
import { completes, event, post, start, step } from "./Entries.ts"
import { begin, create, epoch, linesOf, occurrences, rival } from "./Hand.ts"
import { walk } from "./Walk.ts"

export const appends = cases("append", {
  *"an unknown run has no text and no state"(t) {
    yield* same("read gives nothing", yield* t.driver.read(t.id("r")), { text: "", version: "" })
    yield* same("version gives nothing", yield* t.driver.version(t.id("r")), "")
  },
  *"an append at no state creates the run"(t) {
    const hand = yield* begin(t, "r")
    yield* demand("the run has a state", hand.place.at !== "", hand.place.at)
    yield* same("its line is there", yield* linesOf(t.driver, hand.runId), hand.place.lines)
  },
  *"lines are read back byte for byte in the order they were appended"(t) {
    const hand = yield* begin(t, "r")
    for (let n = 0; n < 20; n++) yield* hand.append(step(`step ${n}`, { n, text: "é\u2028" }))
    yield* same("all lines are there", yield* linesOf(t.driver, hand.runId), hand.place.lines)
  },
  *"a text ends in a newline"(t) {
    const hand = yield* begin(t, "r", [step("a")])
    const { text } = yield* t.driver.read(hand.runId)
    yield* demand("every line ends in a newline", text.endsWith("\n"), text.slice(-20))
  },
  *"the state that an append gives is the one that is read behind it"(t) {
    const hand = yield* begin(t, "r")
    for (const name of ["a", "b"]) {
      yield* hand.append(step(name))
      yield* same("version agrees", yield* t.driver.version(hand.runId), hand.place.at)
      yield* same("read agrees", (yield* t.driver.read(hand.runId)).version, hand.place.at)
    }
  },
  *"every append changes the state to one that was not there before"(t) {
    const hand = yield* begin(t, "r")
    const seen = [hand.place.at]
    for (let n = 0; n < 12; n++) {
      yield* hand.append(step(`s${n}`))
      seen.push(hand.place.at)
    }
    yield* same("all states differ", new Set(seen).size, seen.length)
  },
  *"the state stays when nothing is appended"(t) {
    const hand = yield* begin(t, "r")
    yield* t.driver.read(hand.runId)
    yield* t.driver.list({ workflow: t.workflow }, epoch)
    yield* same("it is as it was", yield* t.driver.version(hand.runId), hand.place.at)
  },
  *"posts and leases do not change the state of a journal"(t) {
    const hand = yield* begin(t, "r")
    yield* post(t, hand, event(hand.incarnation, t.unique()))
    const claim = yield* t.driver.acquire(hand.runId, epoch, epoch + 1000)
    yield* same("it is as it was", yield* t.driver.version(hand.runId), hand.place.at)
    if (claim._tag === "Acquired") yield* t.driver.release(hand.runId, claim.token)
    yield* same("the owner can append", yield* hand.attempt(step("a")), "appended")
  },
  *"what was appended is read at once, by another process as well"(t) {
    const hand = yield* begin(t, "r")
    for (const name of ["a", "b", "c"]) {
      yield* hand.append(step(name))
      yield* same("own read", yield* linesOf(t.driver, hand.runId), hand.place.lines)
      yield* same("other's read", yield* linesOf(t.other, hand.runId), hand.place.lines)
      yield* same("other's version", yield* t.other.version(hand.runId), hand.place.at)
    }
  },
  *"an append at a state that has passed gets Moved"(t) {
    const hand = yield* begin(t, "r")
    const other = yield* rival(t, hand)
    yield* other.append(start)
    yield* same("the answer", yield* hand.attempt(step("late")), "Moved")
    yield* same("nothing of it counts", yield* linesOf(t.driver, hand.runId), other.place.lines)
  },
  *"an append at a state that has long passed gets Moved"(t) {
    const hand = yield* begin(t, "r")
    const other = yield* rival(t, hand)
    yield* other.append(start)
    for (let n = 0; n < 10; n++) yield* other.append(step(`s${n}`))
    yield* same("the answer", yield* hand.attempt(step("late")), "Moved")
    yield* same("nothing of it counts", yield* linesOf(t.driver, hand.runId), other.place.lines)
  },
  *"an append at no state gets Moved when there is a run"(t) {
    const hand = yield* begin(t, "r", [step("a")])
    const other = yield* create(t, "r")
    yield* same("the answer", yield* other.attempt(start), "Moved")
    yield* same("the run is unharmed", yield* linesOf(t.driver, hand.runId), hand.place.lines)
  },
  *"an append at no state gets Moved in another process when there is a run"(t) {
    const hand = yield* begin(t, "r", [step("a")])
    const other = yield* create(t, "r", { driver: t.other })
    yield* same("the answer", yield* other.attempt(start), "Moved")
    yield* same("the run is unharmed", yield* linesOf(t.driver, hand.runId), hand.place.lines)
  },
  *"an append at a state that never was gets Moved"(t) {
    const hand = yield* begin(t, "r")
    const batch = hand.seal(step("a"))
    for (const at of ["nonsense", "0", "9:9", `${hand.place.at}0`, " ", "é", "null", "-1"]) {
      const other = yield* rival(t, hand)
      yield* same(`the answer at ${JSON.stringify(at)}`, yield* other.put(batch, at), "Moved")
    }
    yield* same("the state is as it was", yield* t.driver.version(hand.runId), hand.place.at)
  },
  *"an append at the state of another run gets Moved"(t) {
    const one = yield* begin(t, "one", [step("a")])
    const two = yield* begin(t, "two", [step("a"), step("b")])
    const anew = yield* rival(t, one)
    yield* same("the answer", yield* anew.put(one.seal(step("c")), two.place.at), "Moved")
    yield* same("the one is unharmed", yield* linesOf(t.driver, one.runId), one.place.lines)
    yield* same("the other, too", yield* linesOf(t.driver, two.runId), two.place.lines)
  },
  *"an append at a state of a run that is not there gets Moved and creates nothing"(t) {
    const hand = yield* create(t, "r")
    yield* same("the answer", yield* hand.put(hand.seal(start), "1:1"), "Moved")
    yield* same("there is no run", yield* t.driver.version(hand.runId), "")
    const runs = yield* walk(t.driver, { workflow: t.workflow }, epoch)
    yield* same("none is listed", runs, [])
  },
  *"an append that lost does not change what is listed"(t) {
    const hand = yield* begin(t, "r")
    const other = yield* rival(t, hand)
    yield* other.append(start, step("a"))
    yield* same("the answer", yield* hand.attempt(completes), "Moved")
    const runs = yield* walk(t.driver, { workflow: t.workflow }, epoch)
    yield* same(
      "state and length are of what counts",
      runs.map(({ entries, status }) => ({ entries, status })),
      [{ entries: 3, status: "pending" }]
    )
  },
  *"who lost can read on and append behind the winner"(t) {
    const hand = yield* begin(t, "r")
    const other = yield* rival(t, hand)
    yield* other.append(start)
    yield* same("the answer", yield* hand.attempt(start), "Moved")
    const third = yield* rival(t, other, { driver: t.driver })
    yield* third.append(start, step("a"))
    yield* same("all counts", yield* linesOf(t.other, hand.runId), third.place.lines)
  },
  *"a first append that is sent again stands once"(t) {
    const hand = yield* create(t, "r")
    const batch = hand.seal(start, step("a"))
    yield* same("the first answer", yield* hand.put(batch), "appended")
    yield* oneOf("the second answer", yield* hand.put(batch, ""), ["appended", "Moved"])
    yield* same("it stands once", yield* linesOf(t.driver, hand.runId), batch.lines)
  },
  *"an append that is sent again by its writer stands once"(t) {
    const hand = yield* begin(t, "r")
    const batch = hand.seal(step("a"))
    yield* hand.put(batch)
    yield* oneOf("the second answer", yield* hand.put(batch), ["appended", "Moved"])
    yield* same("it stands once", yield* linesOf(t.driver, hand.runId), [
      ...hand.place.lines,
      ...batch.lines
    ])
  },
  *"an append that is sent again by another writer stands once"(t) {
    const hand = yield* begin(t, "r")
    const batch = hand.seal(step("a"))
    yield* hand.put(batch)
    const again = yield* rival(t, hand)
    yield* oneOf("the second answer", yield* again.put(batch), ["appended", "Moved"])
    yield* same("it stands once", yield* linesOf(t.driver, hand.runId), [
      ...hand.place.lines,
      ...batch.lines
    ])
  },
  *"an append that is sent again after others stands once"(t) {
    const hand = yield* begin(t, "r")
    const { at } = hand.place
    const batch = hand.seal(step("a"))
    yield* hand.append(step("a"))
    yield* hand.append(step("b"))
    const again = yield* rival(t, hand)
    yield* oneOf("the second answer", yield* again.put(batch, at), ["appended", "Moved"])
    yield* same("it stands once", yield* linesOf(t.driver, hand.runId), hand.place.lines)
  },
  *"a run goes on after an append was sent twice"(t) {
    const hand = yield* begin(t, "r")
    const batch = hand.seal(step("a"))
    yield* hand.put(batch)
    yield* hand.put(batch)
    const at = yield* t.driver.version(hand.runId)
    const { entries, head, lines } = batch
    const other = yield* rival(t, hand)
    other.place = { at, head, entries, lines: [...hand.place.lines, ...lines] }
    yield* other.append(start, completes)
    yield* same("all counts", yield* linesOf(t.driver, hand.runId), other.place.lines)
    for (const line of batch.lines) {
      yield* demand(
        "the repeat is at most a line that no reader accepts",
        (yield* occurrences(t.driver, hand.runId, line)) <= 2,
        line
      )
    }
  },
  *"appends to one run leave others as they are"(t) {
    const one = yield* begin(t, "one", [step("a")])
    const two = yield* begin(t, "two", [step("b")])
    yield* one.append(step("c"))
    yield* same("the other's state", yield* t.driver.version(two.runId), two.place.at)
    yield* same("its lines", yield* linesOf(t.driver, two.runId), two.place.lines)
    yield* same("it can go on", yield* two.attempt(step("d")), "appended")
  },
  *"many runs can be written in turns"(t) {
    const hands = yield* Effect.forEach(["a", "b", "c", "d", "e"], (name) => begin(t, name))
    for (let n = 0; n < 4; n++) for (const hand of hands) yield* hand.append(step(`s${n}`))
    for (const hand of hands) {
      yield* same("each has its own", yield* linesOf(t.driver, hand.runId), hand.place.lines)
    }
  },
  *"a journal of a hundred appends keeps them all"(t) {
    const hand = yield* begin(t, "r")
    for (let n = 0; n < 100; n++) yield* hand.append(step(`s${n}`, n))
    yield* same("all lines are there", yield* linesOf(t.other, hand.runId), hand.place.lines)
  }
})
