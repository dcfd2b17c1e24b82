/**
 * Cases of removal: all that belongs to a run goes with it, and nothing else does.
 */
import * as Effect from "effect/Effect"
import { cases } from "./Case.ts"
import { same } from "./Checks.ts"
import { completes, event, fails, post, posted, posting, start, step, waits } from "./Entries.ts"
import { begin, epoch, linesOf } from "./Hand.ts"
import { walk } from "./Walk.ts"

export const removals = cases("remove", {
  *"a run that was removed has no text and no state, for any process"(t) {
    const { runId } = yield* begin(t, "r", [step("a")])
    yield* t.driver.remove(runId)
    for (const driver of [t.driver, t.other]) {
      yield* same("read", yield* driver.read(runId), { text: "", version: "" })
      yield* same("version", yield* driver.version(runId), "")
    }
  },
  *"a run that was removed is not listed"(t) {
    const { runId } = yield* begin(t, "a")
    const { runId: left } = yield* begin(t, "b")
    yield* t.driver.remove(runId)
    const runs = yield* walk(t.other, { workflow: t.workflow }, epoch)
    yield* same("what is listed", runs.map(({ runId }) => runId), [left])
  },
  *"a removal takes the inbox along"(t) {
    const hand = yield* begin(t, "r")
    yield* post(t, hand, event(hand.incarnation, t.unique()))
    yield* t.driver.remove(hand.runId)
    yield* same("its posts", posted(yield* t.driver.inbox(hand.runId, "")), [])
    yield* same("for the other, too", posted(yield* t.other.inbox(hand.runId, "")), [])
  },
  *"a removal takes an inbox along that has no journal"(t) {
    yield* t.driver.post(t.id("r"), posting(event("i", t.unique())))
    yield* t.driver.remove(t.id("r"))
    yield* same("its posts", posted(yield* t.driver.inbox(t.id("r"), "")), [])
  },
  *"a removal takes the lease along"(t) {
    const { runId } = yield* begin(t, "r")
    const claim = yield* t.driver.acquire(runId, epoch, epoch + 15_000)
    yield* t.driver.remove(runId)
    yield* same("its holder", (yield* t.driver.holder(runId, epoch)) === undefined, true)
    if (claim._tag === "Acquired") {
      const renewed = yield* t.driver.renew(runId, claim.token, epoch + 15_000)
      yield* same("the token renews nothing", renewed, false)
    }
    const next = yield* t.other.acquire(runId, epoch, epoch + 15_000)
    yield* same("the next claim", next._tag, "Acquired")
  },
  *"what is not there can be removed"(t) {
    yield* t.driver.remove(t.id("r"))
    const { runId } = yield* begin(t, "r")
    yield* t.driver.remove(runId)
    yield* t.driver.remove(runId)
    yield* same("there is no run", yield* t.driver.version(runId), "")
  },
  *"a removal leaves every other run as it is"(t) {
    const hands = yield* Effect.forEach(
      ["a", "aa", "b", "A"],
      (name) => begin(t, name, [step(name)])
    )
    for (const hand of hands) yield* post(t, hand, event(hand.incarnation, t.unique()))
    yield* t.driver.remove(t.id("a"))
    for (const hand of hands.slice(1)) {
      yield* same("its lines", yield* linesOf(t.driver, hand.runId), hand.place.lines)
      yield* same("its posts", posted(yield* t.driver.inbox(hand.runId, "")).length, 1)
      yield* same("it goes on", yield* hand.attempt(step("b")), "appended")
    }
  },
  *"a post to a removed run is one to the run that is made next"(t) {
    const { runId } = yield* begin(t, "r")
    yield* t.driver.remove(runId)
    const item = posting(event("i", t.unique()))
    yield* t.driver.post(runId, item)
    yield* same("there is no run", yield* t.driver.version(runId), "")
    yield* begin(t, "r")
    yield* same("its inbox", posted(yield* t.driver.inbox(runId, "")), [item.line])
  },
  *"an id that was posted to a removed run can be posted again"(t) {
    const { runId } = yield* begin(t, "r")
    const item = posting(event("i", t.unique()))
    yield* t.driver.post(runId, item)
    yield* t.driver.remove(runId)
    yield* begin(t, "r")
    yield* t.driver.post(runId, item)
    yield* same("its inbox", posted(yield* t.driver.inbox(runId, "")), [item.line])
  },
  *"runs that ended long ago are found and removed, page by page, and no others"(t) {
    const old = { time: epoch - 86_400_000 }
    for (const name of ["a", "b", "c"]) yield* begin(t, name, [completes], old)
    yield* begin(t, "open", [waits], old)
    yield* begin(t, "young", [completes])
    yield* begin(t, "failed", [fails], old)
    const query = { workflow: t.workflow, status: "success", updatedBefore: epoch } as const
    for (;;) {
      const { runs } = yield* t.driver.list({ ...query, limit: 2 }, epoch)
      if (runs.length === 0) break
      for (const { runId } of runs) yield* t.driver.remove(runId)
    }
    const left = yield* walk(t.driver, { workflow: t.workflow }, epoch)
    yield* same(
      "what is left",
      left.map(({ runId }) => runId),
      ["failed", "open", "young"].map(t.id)
    )
  },
  *"a removal of a run with a long journal leaves nothing of it"(t) {
    const hand = yield* begin(t, "r", Array.from({ length: 300 }, (_, n) => step(`s${n}`)))
    for (let n = 0; n < 5; n++) yield* hand.append(step(`t${n}`, "x".repeat(50_000)))
    yield* t.driver.remove(hand.runId)
    const again = yield* begin(t, "r")
    yield* again.append(start, step("a"))
    yield* same("the next run", yield* linesOf(t.other, hand.runId), again.place.lines)
  }
})
