/**
 * Cases of leases: one holder at a time, until a given moment, and only its token speaks for it.
 */
import * as Effect from "effect/Effect"
import type { Storage } from "../../index.ts"
import { cases, type Trial } from "./Case.ts"
import { Broken, demand, same } from "./Checks.ts"
import { completes, event, fails, post, step } from "./Entries.ts"
import { begin, epoch, linesOf } from "./Hand.ts"
import { walk } from "./Walk.ts"

const until = epoch + 15_000

/** The token of a lease that must be free. */
const take = (
  driver: Storage.Driver,
  runId: string,
  now = epoch,
  to = until
): Effect.Effect<string, Storage.StorageError | Broken> =>
  Effect.flatMap(driver.acquire(runId, now, to), (claim) =>
    claim._tag === "Acquired"
      ? Effect.succeed(claim.token)
      : Effect.fail(new Broken("a free lease is acquired", "Acquired", "Held")))

const tagAt = (driver: Storage.Driver, runId: string, now: number, to = now + 15_000) =>
  Effect.map(driver.acquire(runId, now, to), ({ _tag }) => _tag)

const isHeld = ({ driver }: Trial, runId: string, now: number) =>
  Effect.map(driver.holder(runId, now), (holder) => holder !== undefined)

export const leases = cases("lease", {
  *"a lease that nobody took has no holder"(t) {
    yield* same("holder", yield* isHeld(t, t.id("r"), epoch), false)
  },
  *"a lease that was acquired is held by someone until its time"(t) {
    yield* take(t.driver, t.id("r"))
    const holder = yield* t.driver.holder(t.id("r"), epoch)
    yield* same("it says until when", holder?.until, until)
    yield* demand("it names a host", (holder?.host ?? "") !== "", holder)
  },
  *"a lease that is held is not acquired a second time"(t) {
    yield* take(t.driver, t.id("r"))
    const claim = yield* t.driver.acquire(t.id("r"), epoch, until)
    yield* same("it is held", claim._tag, "Held")
    if (claim._tag === "Held") yield* same("until then", claim.by.until, until)
  },
  *"another process sees a lease and does not get it"(t) {
    yield* take(t.driver, t.id("r"))
    yield* same("its claim", yield* tagAt(t.other, t.id("r"), epoch), "Held")
    const holder = yield* t.other.holder(t.id("r"), epoch)
    yield* same("what it sees", holder?.until, until)
  },
  *"a lease is held in the last millisecond before its time"(t) {
    yield* take(t.driver, t.id("r"))
    yield* same("holder", yield* isHeld(t, t.id("r"), until - 1), true)
    yield* same("a claim", yield* tagAt(t.other, t.id("r"), until - 1), "Held")
  },
  *"a lease is free at its time exactly"(t) {
    yield* take(t.driver, t.id("r"))
    yield* same("holder", yield* isHeld(t, t.id("r"), until), false)
    yield* same("a claim", yield* tagAt(t.other, t.id("r"), until), "Acquired")
  },
  *"a claim that was refused does not make the lease longer"(t) {
    yield* take(t.driver, t.id("r"))
    yield* same("the claim", yield* tagAt(t.other, t.id("r"), epoch + 1, until + 60_000), "Held")
    yield* same("holder", yield* isHeld(t, t.id("r"), until), false)
  },
  *"a lease that is renewed holds until its new time"(t) {
    const token = yield* take(t.driver, t.id("r"))
    yield* same("renewed", yield* t.driver.renew(t.id("r"), token, until + 5000), true)
    yield* same("before it", yield* isHeld(t, t.id("r"), until + 4999), true)
    yield* same("a claim before it", yield* tagAt(t.other, t.id("r"), until + 4999), "Held")
    yield* same("at it", yield* isHeld(t, t.id("r"), until + 5000), false)
  },
  *"a lease can be renewed many times"(t) {
    const token = yield* take(t.driver, t.id("r"))
    for (let n = 1; n <= 20; n++) {
      yield* same("renewed", yield* t.driver.renew(t.id("r"), token, until + n * 1000), true)
    }
    yield* same("it holds", yield* isHeld(t, t.id("r"), until + 19_999), true)
    yield* same("and ends", yield* isHeld(t, t.id("r"), until + 20_000), false)
  },
  *"a token that never was renews nothing"(t) {
    yield* take(t.driver, t.id("r"))
    yield* same("the answer", yield* t.driver.renew(t.id("r"), "nobody's", until + 5000), false)
    yield* same("the lease ends as before", yield* isHeld(t, t.id("r"), until), false)
  },
  *"the token of a lease that went to another renews nothing"(t) {
    const old = yield* take(t.driver, t.id("r"))
    yield* take(t.other, t.id("r"), until, until + 15_000)
    yield* same("the answer", yield* t.driver.renew(t.id("r"), old, until + 60_000), false)
    yield* same("the lease ends as before", yield* isHeld(t, t.id("r"), until + 15_000), false)
  },
  *"a lease that was released is renewed by nobody"(t) {
    const token = yield* take(t.driver, t.id("r"))
    yield* t.driver.release(t.id("r"), token)
    yield* same("the answer", yield* t.driver.renew(t.id("r"), token, until), false)
    yield* same("it stays free", yield* isHeld(t, t.id("r"), epoch), false)
  },
  *"a lease of a run that nobody took is renewed by nobody"(t) {
    yield* same("the answer", yield* t.driver.renew(t.id("r"), "a", until), false)
    yield* same("it stays free", yield* isHeld(t, t.id("r"), epoch), false)
  },
  *"a lease that is released is free at once"(t) {
    const token = yield* take(t.driver, t.id("r"))
    yield* t.driver.release(t.id("r"), token)
    yield* same("holder", yield* isHeld(t, t.id("r"), epoch), false)
    yield* same("a claim", yield* tagAt(t.other, t.id("r"), epoch), "Acquired")
  },
  *"a token that never was releases nothing"(t) {
    yield* take(t.driver, t.id("r"))
    yield* t.driver.release(t.id("r"), "nobody's")
    yield* same("holder", yield* isHeld(t, t.id("r"), epoch), true)
  },
  *"the token of a lease that went to another releases nothing"(t) {
    const old = yield* take(t.driver, t.id("r"))
    yield* take(t.other, t.id("r"), until, until + 15_000)
    yield* t.driver.release(t.id("r"), old)
    yield* same("holder", yield* isHeld(t, t.id("r"), until), true)
    yield* same("a claim", yield* tagAt(t.driver, t.id("r"), until), "Held")
  },
  *"a lease that is released twice is free, and the next one is not touched"(t) {
    const token = yield* take(t.driver, t.id("r"))
    yield* t.driver.release(t.id("r"), token)
    yield* take(t.other, t.id("r"))
    yield* t.driver.release(t.id("r"), token)
    yield* same("holder", yield* isHeld(t, t.id("r"), epoch), true)
  },
  *"every claim that succeeds has a token of its own"(t) {
    const tokens = new Set<string>()
    for (let n = 0; n < 8; n++) {
      const driver = n % 2 === 0 ? t.driver : t.other
      const token = yield* take(driver, t.id("r"))
      tokens.add(token)
      yield* driver.release(t.id("r"), token)
    }
    for (let n = 0; n < 4; n++) {
      tokens.add(yield* take(t.driver, t.id("r"), epoch + n, epoch + n + 1))
    }
    yield* same("all differ", tokens.size, 12)
  },
  *"leases of runs have nothing to do with each other"(t) {
    const one = yield* take(t.driver, t.id("one"))
    const two = yield* take(t.driver, t.id("two"))
    yield* demand("tokens differ", one !== two, one)
    yield* same(
      "another's token renews nothing",
      yield* t.driver.renew(t.id("two"), one, until),
      false
    )
    yield* t.driver.release(t.id("two"), one)
    yield* t.driver.release(t.id("one"), one)
    yield* same("the one is free", yield* isHeld(t, t.id("one"), epoch), false)
    yield* same("the other is not", yield* isHeld(t, t.id("two"), epoch), true)
  },
  *"a lease does not stop appends: only the journal's state does"(t) {
    const hand = yield* begin(t, "r")
    yield* take(t.other, hand.runId)
    yield* same("an append", yield* hand.attempt(step("a")), "appended")
    yield* same("it counts", yield* linesOf(t.other, hand.runId), hand.place.lines)
  },
  *"a lease can be had of a run that is not there, and makes none"(t) {
    yield* take(t.driver, t.id("r"))
    yield* same("there is no run", yield* t.driver.version(t.id("r")), "")
    const runs = yield* walk(t.driver, { workflow: t.workflow }, epoch)
    yield* same("none is listed", runs, [])
  },
  *"a claim that says what it found says what is there"(t) {
    const runId = t.id("r")
    let now = epoch
    for (const driver of [t.driver, t.other]) {
      const finds = Effect.fnUntraced(function*(when: string) {
        const claim = yield* driver.acquire(runId, ++now, now + 1)
        const found = claim._tag === "Acquired" ? claim.found : undefined
        if (found === undefined) return
        yield* same(`the state, ${when}`, found.version, yield* driver.version(runId))
        const { text } = yield* driver.inbox(runId, "")
        yield* same(`whether there are posts, ${when}`, found.hasPosts, text !== "")
      })
      yield* finds("of nothing")
      const hand = yield* begin(t, "r")
      yield* finds("with its start")
      yield* hand.append(step("a"))
      yield* finds("with a step")
      yield* post(t, hand, event(hand.incarnation, t.unique()))
      yield* finds("with a post")
      yield* hand.append(completes)
      yield* finds("when it has ended")
      yield* driver.remove(runId)
    }
  },
  *"a lease that is released behind the end of its run is free"(t) {
    for (const [n, end] of [completes, fails, { type: "cancelled" } as const].entries()) {
      const hand = yield* begin(t, `${n}`)
      const token = yield* take(t.driver, hand.runId)
      yield* hand.append(step("a"))
      yield* same("it is held before", yield* isHeld(t, hand.runId, epoch), true)
      yield* hand.append(end)
      yield* t.driver.release(hand.runId, token)
      yield* same("its holder", yield* isHeld(t, hand.runId, epoch), false)
      yield* same("a claim", yield* tagAt(t.other, hand.runId, epoch), "Acquired")
    }
  },
  *"the time of a lease is the caller's, whatever the clock says"(t) {
    const late = Date.UTC(2200, 0, 1)
    yield* take(t.driver, t.id("late"), late, late + 10)
    yield* same("held then", yield* isHeld(t, t.id("late"), late + 9), true)
    yield* same("and free then", yield* isHeld(t, t.id("late"), late + 10), false)
    yield* take(t.driver, t.id("early"), 1000, 1010)
    yield* same("held long ago", yield* isHeld(t, t.id("early"), 1009), true)
    yield* same("free long ago", yield* isHeld(t, t.id("early"), 1010), false)
  }
})
