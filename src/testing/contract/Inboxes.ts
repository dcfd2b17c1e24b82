/**
 * Cases of inboxes: what anyone posts is kept, in order, and read from a cursor on.
 */
import * as Effect from "effect/Effect"
import type { Storage } from "../../index.ts"
import { cases } from "./Case.ts"
import { demand, same } from "./Checks.ts"
import { cancel, event, post, posted, posting, settle, step, takes } from "./Entries.ts"
import { begin, epoch, linesOf } from "./Hand.ts"
import { walk } from "./Walk.ts"

const some = (unique: () => string, count: number, incarnation = "i") =>
  Array.from({ length: count }, () => posting(event(incarnation, unique())))

const linesBefore = (looks: ReadonlyArray<Storage.Posts>) =>
  looks.reduce((sum, { text }) => sum + text.split("\n").length - 1, 0)

export const inboxes = cases("inbox", {
  *"an inbox that nobody posted to is empty"(t) {
    const look = yield* t.driver.inbox(t.id("r"), "")
    yield* same("no posts", posted(look), [])
    yield* same("none before", look.before, 0)
  },
  *"a post is read at once, byte for byte, by another process as well"(t) {
    const hand = yield* begin(t, "r")
    const item = posting(event(hand.incarnation, t.unique(), "é\u2028\u{1F600} \\ \" '"))
    yield* t.driver.post(hand.runId, item)
    yield* same("own look", posted(yield* t.driver.inbox(hand.runId, "")), [item.line])
    yield* same("other's look", posted(yield* t.other.inbox(hand.runId, "")), [item.line])
  },
  *"posts stand in the order they were posted, by whomever"(t) {
    const { runId } = yield* begin(t, "r")
    const items = some(t.unique, 12)
    for (const [n, item] of items.entries()) {
      yield* (n % 3 === 0 ? t.other : t.driver).post(runId, item)
    }
    const lines = items.map(({ line }) => line)
    yield* same("the order", posted(yield* t.driver.inbox(runId, "")), lines)
    yield* same("for all", posted(yield* t.other.inbox(runId, "")), lines)
  },
  *"the order is not that of the ids"(t) {
    const { runId } = yield* begin(t, "r")
    const items = ["c", "a", "b", "Z", "0"].map((id) => posting(event("i", `${id}${t.unique()}`)))
    for (const item of items) yield* t.driver.post(runId, item)
    const lines = items.map(({ line }) => line)
    yield* same("the order", posted(yield* t.driver.inbox(runId, "")), lines)
  },
  *"a post that is sent again is there once or twice, and takes nothing away"(t) {
    const { runId } = yield* begin(t, "r")
    const [one, two] = some(t.unique, 2) as [Storage.Posting, Storage.Posting]
    for (const item of [one, two, one]) yield* t.driver.post(runId, item)
    const lines = posted(yield* t.driver.inbox(runId, ""))
    yield* same("the first two", lines.slice(0, 2), [one.line, two.line])
    yield* same(
      "nothing but a repeat behind them",
      lines.slice(2),
      lines.length > 2 ? [one.line] : []
    )
  },
  *"two posts of one event with other contents are both kept"(t) {
    const hand = yield* begin(t, "r")
    const eventId = t.unique()
    const items = ["right", "wrong"].map((value) =>
      posting(event(hand.incarnation, eventId, value), `${eventId}:${value}`)
    )
    for (const item of items) yield* t.driver.post(hand.runId, item)
    yield* same(
      "both",
      posted(yield* t.driver.inbox(hand.runId, "")),
      items.map(({ line }) => line)
    )
  },
  *"a look from a cursor gives what came after it"(t) {
    const { runId } = yield* begin(t, "r")
    const items = some(t.unique, 5)
    for (const item of items.slice(0, 3)) yield* t.driver.post(runId, item)
    const first = yield* t.driver.inbox(runId, "")
    for (const item of items.slice(3)) yield* t.driver.post(runId, item)
    const second = yield* t.driver.inbox(runId, first.cursor)
    yield* same("the first three", posted(first), items.slice(0, 3).map(({ line }) => line))
    yield* same("the last two", posted(second), items.slice(3).map(({ line }) => line))
  },
  *"a look from the last cursor gives nothing until there is a post"(t) {
    const { runId } = yield* begin(t, "r")
    const [one, two] = some(t.unique, 2) as [Storage.Posting, Storage.Posting]
    yield* t.driver.post(runId, one)
    let look = yield* t.driver.inbox(runId, "")
    for (let n = 0; n < 3; n++) {
      look = yield* t.driver.inbox(runId, look.cursor)
      yield* same("nothing", posted(look), [])
    }
    yield* t.driver.post(runId, two)
    yield* same("the second", posted(yield* t.driver.inbox(runId, look.cursor)), [two.line])
  },
  *"a cursor of an empty inbox sees the first post"(t) {
    const { runId } = yield* begin(t, "r")
    const empty = yield* t.driver.inbox(runId, "")
    const [item] = some(t.unique, 1) as [Storage.Posting]
    yield* t.driver.post(runId, item)
    yield* same("the post", posted(yield* t.driver.inbox(runId, empty.cursor)), [item.line])
  },
  *"post by post, cursors give each post once"(t) {
    const { runId } = yield* begin(t, "r")
    const items = some(t.unique, 8)
    const seen: Array<string> = []
    let cursor = ""
    for (const item of items) {
      yield* t.driver.post(runId, item)
      const look = yield* t.driver.inbox(runId, cursor)
      seen.push(...posted(look))
      cursor = look.cursor
    }
    yield* same("each once", seen, items.map(({ line }) => line))
  },
  *"`before` counts the lines that come ahead of a look"(t) {
    const { runId } = yield* begin(t, "r")
    const looks: Array<Storage.Posts> = []
    for (const count of [2, 0, 3, 1]) {
      for (const item of some(t.unique, count)) yield* t.driver.post(runId, item)
      const look = yield* t.driver.inbox(runId, looks.at(-1)?.cursor ?? "")
      yield* same("lines before it", look.before, linesBefore(looks))
      looks.push(look)
    }
  },
  *"a post for a run that is not there yet is kept for it"(t) {
    const [item] = some(t.unique, 1) as [Storage.Posting]
    yield* t.other.post(t.id("r"), item)
    yield* same("it makes no run", yield* t.driver.version(t.id("r")), "")
    yield* same("it is there", posted(yield* t.driver.inbox(t.id("r"), "")), [item.line])
    const hand = yield* begin(t, "r")
    yield* same("and stays", posted(yield* t.driver.inbox(hand.runId, "")), [item.line])
  },
  *"an inbox without a journal is not listed and not due"(t) {
    const [item] = some(t.unique, 1) as [Storage.Posting]
    yield* t.driver.post(t.id("r"), item)
    const due = yield* t.driver.due(epoch)
    yield* demand("it is not due", !due.includes(t.id("r")), due)
    const runs = yield* walk(t.driver, { workflow: t.workflow }, epoch)
    yield* same("it is not listed", runs, [])
  },
  *"a post reaches a run whose owner is at work"(t) {
    const hand = yield* begin(t, "r")
    const claim = yield* t.driver.acquire(hand.runId, epoch, epoch + 15_000)
    yield* same("the owner has the lease", claim._tag, "Acquired")
    const [item] = some(t.unique, 1) as [Storage.Posting]
    yield* t.other.post(hand.runId, item)
    yield* same("the owner goes on", yield* hand.attempt(step("a")), "appended")
    yield* same("and sees it", posted(yield* t.driver.inbox(hand.runId, "")), [item.line])
  },
  *"posts between appends change no line of the journal"(t) {
    const hand = yield* begin(t, "r")
    for (const item of some(t.unique, 5)) {
      yield* t.other.post(hand.runId, item)
      yield* hand.append(step(item.id))
    }
    yield* same("the journal", yield* linesOf(t.driver, hand.runId), hand.place.lines)
  },
  *"a post stays until its own entry stands in the journal"(t) {
    const hand = yield* begin(t, "r")
    const [one, two] = some(t.unique, 2, hand.incarnation) as [Storage.Posting, Storage.Posting]
    for (const item of [one, two]) yield* t.driver.post(hand.runId, item)
    yield* hand.append(takes(one.eventId))
    const lines = posted(yield* t.driver.inbox(hand.runId, ""))
    yield* same("the one that was not taken", lines.slice(-1), [two.line])
    yield* demand("and none that was not posted", lines.length <= 2, lines)
  },
  *"a cursor keeps its place while posts are taken"(t) {
    const hand = yield* begin(t, "r")
    const items = some(t.unique, 4, hand.incarnation)
    for (const item of items.slice(0, 2)) yield* t.driver.post(hand.runId, item)
    const { cursor } = yield* t.driver.inbox(hand.runId, "")
    yield* hand.append(...items.slice(0, 2).map(({ eventId }) => takes(eventId)))
    for (const item of items.slice(2)) yield* t.driver.post(hand.runId, item)
    const look = yield* t.driver.inbox(hand.runId, cursor)
    yield* same("what came after", posted(look), items.slice(2).map(({ line }) => line))
  },
  *"events, cancels and settlements stand in one inbox, whichever incarnation they are for"(t) {
    const hand = yield* begin(t, "r")
    const items = [
      event(hand.incarnation, t.unique()),
      cancel(hand.incarnation, t.unique()),
      event("another", t.unique()),
      settle(hand.incarnation, t.unique())
    ]
    for (const item of items) yield* post(t, hand, item)
    const lines = posted(yield* t.driver.inbox(hand.runId, ""))
    yield* same("all", lines, items.map((item) => posting(item).line))
  },
  *"runs have inboxes of their own"(t) {
    const hands = yield* Effect.forEach(["a", "b", "ab"], (name) => begin(t, name))
    const items = some(t.unique, 3)
    for (const [n, { runId }] of hands.entries()) yield* t.driver.post(runId, items[n]!)
    for (const [n, { runId }] of hands.entries()) {
      yield* same("its own", posted(yield* t.driver.inbox(runId, "")), [items[n]!.line])
    }
  },
  *"the same id posted to two runs reaches both"(t) {
    const one = yield* begin(t, "one")
    const two = yield* begin(t, "two")
    const [item] = some(t.unique, 1) as [Storage.Posting]
    for (const { runId } of [one, two]) yield* t.driver.post(runId, item)
    for (const { runId } of [one, two]) {
      yield* same("it is there", posted(yield* t.driver.inbox(runId, "")), [item.line])
    }
  },
  *"two hundred posts are all there"(t) {
    const { runId } = yield* begin(t, "r")
    const items = some(t.unique, 200)
    for (const item of items) yield* t.driver.post(runId, item)
    yield* same("all", posted(yield* t.driver.inbox(runId, "")), items.map(({ line }) => line))
  },
  *"a post of a megabyte comes back byte for byte"(t) {
    const { runId } = yield* begin(t, "r")
    const item = posting(event("i", t.unique(), "é".repeat(524_288)))
    yield* t.driver.post(runId, item)
    yield* same("the post", posted(yield* t.other.inbox(runId, "")), [item.line])
  }
})
