/**
 * Cases of listings: every state that a journal can be in, and what is left out by a filter.
 */
import * as Effect from "effect/Effect"
import type { Storage } from "../../index.ts"
import * as Status from "../../Status.ts"
import { cases, type Trial } from "./Case.ts"
import { demand, same } from "./Checks.ts"
import {
  completes,
  continues,
  crash,
  ends,
  event,
  fails,
  intent,
  post,
  sleeps,
  start,
  step,
  stops,
  takes,
  waits
} from "./Entries.ts"
import { begin, epoch, type Hand, rival, type Written } from "./Hand.ts"
import { walk } from "./Walk.ts"

const until = epoch + 15_000

const listed = ({ driver, workflow }: Trial, query: Storage.Query = {}, now = epoch) =>
  walk(driver, { workflow, ...query }, now)

/** What is to be listed of a run that nobody drives. */
const alone = (hand: Hand) => Status.withOwner(hand.seal().row().status, false)

/** A case of a run that ends in `entries` and is then listed as `state`, by that filter and no other. */
const state = (expected: string, ...entries: ReadonlyArray<Written>) =>
  function*(t: Trial) {
    const hand = yield* begin(t, "r", entries)
    yield* isListed(t, hand, expected)
  }

const states = [
  "pending",
  "running",
  "suspended",
  "blocked",
  "stopped",
  "success",
  "failed",
  "cancelled",
  "continued"
] as const

function* isListed(t: Trial, { runId }: Hand, expected: string) {
  const runs = yield* listed(t)
  yield* same("it is listed so", runs.map(({ runId, status }) => [runId, status]), [
    [runId, expected]
  ])
  for (const status of states) {
    const found = yield* listed(t, { status })
    yield* same(
      `among those that are ${status}`,
      found.map(({ runId }) => runId),
      status === expected ? [runId] : []
    )
  }
}

export const lists = cases("list", {
  "a run that has begun is pending": state("pending"),
  "a run that nobody drives is pending behind a step": state("pending", step("a")),
  "a run that only waits is suspended": state("suspended", step("a"), waits),
  "a run that sleeps is suspended": state("suspended", sleeps(epoch + 1000)),
  "a run that took its event is pending": state("pending", waits, takes("e")),
  "a run that returned is a success": state("success", step("a"), completes),
  "a run that failed is failed": state("failed", fails),
  "a run that was cancelled is cancelled": state("cancelled", ends),
  "a run that a hook stopped is stopped": state("stopped", step("a"), stops),
  "a run that went on as another is continued": state("continued", continues("next")),
  "a run with an intent and no outcome is blocked": state("blocked", intent),
  "a run that waits beside an intent without outcome is blocked": state("blocked", intent, waits),
  "a run whose intent was followed by its outcome is pending": state(
    "pending",
    intent,
    step("pay")
  ),
  *"a run that died ten times without progress is blocked"(t) {
    const hand = yield* begin(t, "r")
    yield* crash(hand, 8)
    yield* isListed(t, hand, "pending")
    yield* hand.append(start)
    yield* isListed(t, hand, "blocked")
  },
  *"a blocked run says why"(t) {
    yield* begin(t, "a", [intent])
    yield* crash(yield* begin(t, "b"))
    yield* same("reasons", (yield* listed(t)).map(({ reason }) => reason), [
      "OutcomeUnknown",
      "CrashLoop"
    ])
  },
  *"a run that goes on after a stop is pending"(t) {
    const hand = yield* begin(t, "r", [step("a"), stops])
    yield* hand.append(start)
    yield* isListed(t, hand, "pending")
  },
  *"a run with a live lease is running, and pending again when the lease has run out"(t) {
    const hand = yield* begin(t, "r")
    yield* t.driver.acquire(hand.runId, epoch, until)
    yield* isListed(t, hand, "running")
    const state = (now: number, status?: "pending" | "running") => listed(t, { status }, now)
    yield* same("before", (yield* state(until - 1))[0]?.status, "running")
    yield* same("at its end", (yield* state(until))[0]?.status, "pending")
    yield* same("none is running then", yield* state(until, "running"), [])
    yield* same("one is pending", (yield* state(until, "pending")).length, 1)
  },
  *"a run whose lease was released is pending"(t) {
    const hand = yield* begin(t, "r")
    const claim = yield* t.driver.acquire(hand.runId, epoch, until)
    if (claim._tag === "Acquired") yield* t.driver.release(hand.runId, claim.token)
    yield* isListed(t, hand, "pending")
  },
  *"a run with an intent is running while its owner lives"(t) {
    const hand = yield* begin(t, "r", [intent])
    yield* t.other.acquire(hand.runId, epoch, until)
    yield* isListed(t, hand, "running")
  },
  *"a suspended run with a live lease is suspended"(t) {
    const hand = yield* begin(t, "r", [waits])
    yield* t.driver.acquire(hand.runId, epoch, until)
    yield* isListed(t, hand, "suspended")
  },
  *"a run that ended stays so under a live lease"(t) {
    const hand = yield* begin(t, "r", [completes])
    yield* t.driver.acquire(hand.runId, epoch, until)
    yield* isListed(t, hand, "success")
  },
  *"a run that a newer session drove on is listed by what that wrote"(t) {
    const hand = yield* begin(t, "r", [waits])
    const newer = yield* rival(t, hand)
    yield* newer.append(start, completes)
    yield* isListed(t, newer, "success")
  },
  *"posts do not change what a run is listed as"(t) {
    const hand = yield* begin(t, "r", [waits])
    yield* post(t, hand, event(hand.incarnation, t.unique()))
    yield* isListed(t, hand, "suspended")
  },
  *"a listed run has all that its journal tells"(t) {
    const hand = yield* begin(t, "r", [step("a"), intent, sleeps(epoch + 5000)])
    hand.time += 60_000
    yield* hand.append(step("pay"), sleeps(epoch + 7000))
    const { status } = hand.seal().row()
    yield* same("the whole state", yield* listed(t), [status])
  },
  *"every step is in what is listed, whether it came alone, with others, or failed"(t) {
    const hand = yield* begin(t, "r")
    const failed = { ...step("c"), error: { message: "no" } }
    const counted = [[step("a")], [step("b1"), step("b2")], [failed], [step("d")]]
    const batches = [...counted, [intent], [step("pay")], [step("e")]]
    for (const batch of batches) {
      hand.time += 1000
      yield* hand.append(...batch)
      yield* same("the whole state", yield* listed(t), [alone(hand)])
      yield* same("and when", (yield* listed(t, { updatedFrom: hand.time })).length, 1)
      yield* same("not before", yield* listed(t, { updatedBefore: hand.time }), [])
    }
    const other = yield* walk(t.other, { workflow: t.workflow }, epoch)
    yield* same("as another process lists it", other, [alone(hand)])
  },
  *"a step with `incarnation` and `timestamp` in its value does not change when its run was driven"(
    t
  ) {
    const hand = yield* begin(t, "r")
    hand.time += 1000
    const result = { timestamp: "1999-01-01T00:00:00.000Z", incarnation: "x" }
    yield* hand.append(step("a", result))
    yield* same("from then", (yield* listed(t, { updatedFrom: hand.time })).length, 1)
    yield* same("before that", yield* listed(t, { updatedBefore: hand.time }), [])
  },
  *"the value of a run that ended is listed with it"(t) {
    yield* begin(t, "a", [{ type: "complete", result: { deep: ["é\u2028", null, 1e308] } }])
    yield* begin(t, "b", [{ type: "error", error: { why: "ö" }, declared: true }])
    const runs = yield* listed(t)
    yield* same("the result", runs[0]?.result, { deep: ["é\u2028", null, 1e308] })
    yield* same("the error", [runs[1]?.error, runs[1]?.declared], [{ why: "ö" }, true])
  },
  *"another process lists the same"(t) {
    for (const name of ["a", "b", "c"]) yield* begin(t, name, [step(name)])
    const other = yield* walk(t.other, { workflow: t.workflow }, epoch)
    yield* same("the same runs", other, yield* listed(t))
    yield* same("three of them", other.length, 3)
  },
  *"a workflow's filter leaves the runs of others out"(t) {
    const names = ["x", "X", "x2", "é"].map((name) => `${t.workflow}-${name}`)
    for (const [n, workflow] of names.entries()) yield* begin(t, `r${n}`, [], { workflow })
    for (const [n, workflow] of names.entries()) {
      const runs = yield* listed(t, { workflow })
      yield* same(`those of ${workflow}`, runs.map(({ runId }) => runId), [t.id(`r${n}`)])
    }
    yield* same("none of one that has none", yield* listed(t), [])
  },
  *"without a filter every run is listed"(t) {
    const ids = ["a", "b"].map((name) => t.id(name))
    yield* begin(t, "a", [completes])
    yield* begin(t, "b", [waits], { workflow: `${t.workflow}-2` })
    const runs = yield* walk(t.driver, {}, epoch)
    const own = runs.map(({ runId }) => runId).filter((runId) => ids.includes(runId))
    yield* same("both are among them", own, ids)
  },
  *"`updatedFrom` includes its moment and leaves out what is older"(t) {
    for (const n of [0, 1, 2]) yield* begin(t, `${n}`, [], { time: epoch + n })
    const from = (updatedFrom: number) => listed(t, { updatedFrom })
    yield* same("all", (yield* from(epoch)).length, 3)
    const runs = yield* from(epoch + 1)
    yield* same("from the second on", runs.map(({ runId }) => runId), [t.id("1"), t.id("2")])
    yield* same("none", yield* from(epoch + 3), [])
  },
  *"`updatedBefore` leaves out its moment and what is newer"(t) {
    for (const n of [0, 1, 2]) yield* begin(t, `${n}`, [], { time: epoch + n })
    const before = (updatedBefore: number) => listed(t, { updatedBefore })
    yield* same("all", (yield* before(epoch + 3)).length, 3)
    const runs = yield* before(epoch + 2)
    yield* same("before the third", runs.map(({ runId }) => runId), [t.id("0"), t.id("1")])
    yield* same("none", yield* before(epoch), [])
  },
  *"times are those of the last entry"(t) {
    const hand = yield* begin(t, "r")
    hand.time = epoch + 5000
    yield* hand.append(step("a"))
    yield* same("it is young", (yield* listed(t, { updatedFrom: epoch + 5000 })).length, 1)
    yield* same("and not old", yield* listed(t, { updatedBefore: epoch + 5000 }), [])
  },
  *"filters hold together"(t) {
    for (const n of [0, 1, 2, 3]) {
      yield* begin(t, `${n}`, [n % 2 === 0 ? waits : completes], { time: epoch + n * 10 })
    }
    const runs = yield* listed(t, {
      status: "suspended",
      updatedFrom: epoch + 5,
      updatedBefore: epoch + 25
    })
    yield* same("the one", runs.map(({ runId }) => runId), [t.id("2")])
  },
  *"a journal that cannot be read hides no other run"(t) {
    yield* begin(t, "a")
    const bad = yield* begin(t, "b")
    // Others that share the store need not meet it for ever.
    yield* Effect.addFinalizer(() => Effect.ignore(t.driver.remove(bad.runId)))
    const batch = bad.seal(step("a"))
    yield* bad.put({ ...batch, lines: batch.lines.map((line) => line.replace("step", "stop")) })
    yield* begin(t, "c", [completes])
    const runs = (yield* listed(t)).map(({ runId }) => runId).filter((id) => id !== bad.runId)
    yield* same("the others are there", runs, [t.id("a"), t.id("c")])
    const due = yield* t.driver.due(epoch)
    yield* demand("and the one that is due is so", due.includes(t.id("a")), due)
  }
})
