/**
 * Cases of listings page by page: the order of ids, limits, and cursors that outlive a run.
 */
import * as Effect from "effect/Effect"
import { cases, type Trial } from "./Case.ts"
import { demand, same } from "./Checks.ts"
import { completes, waits } from "./Entries.ts"
import { begin, epoch } from "./Hand.ts"
import { pages, walk } from "./Walk.ts"

const make = (t: Trial, names: ReadonlyArray<string>) =>
  Effect.forEach(names, (name) => begin(t, name), { discard: true })

const numbered = (count: number) =>
  Array.from({ length: count }, (_, n) => String(n).padStart(3, "0"))

/** A case of `count` runs that are walked through `limit` at a time. */
const paged = (count: number, limit: number) =>
  function*(t: Trial) {
    const names = numbered(count)
    yield* make(t, names.toReversed())
    const all = yield* pages(t.driver, { workflow: t.workflow, limit }, epoch)
    for (const { runs } of all) {
      yield* demand(`no page has more than ${limit}`, runs.length <= limit, runs.length)
    }
    yield* same(
      "each run is on one page, in order",
      all.flatMap(({ runs }) => runs.map(({ runId }) => runId)),
      names.map((name) => t.id(name))
    )
  }

export const paging = cases("list", {
  "pages of one hold every run once": paged(5, 1),
  "pages of two hold every run once when the last is half full": paged(5, 2),
  "pages hold every run once when the last is full": paged(6, 3),
  "a page that is larger than the listing holds all": paged(4, 50),
  "a limit of as many as there are holds all": paged(4, 4),
  *"a page that holds all there is has no cursor"(t) {
    yield* make(t, ["a", "b"])
    // Without a filter of its own the last page is the store's, not the case's.
    const all = yield* pages(t.driver, { workflow: t.workflow, limit: 10 }, epoch)
    yield* same("the last page", all.at(-1)?.cursor, undefined)
    yield* same("all runs", all.flatMap(({ runs }) => runs).length, 2)
  },
  *"a listing of nothing is an empty page"(t) {
    yield* same("no runs", yield* walk(t.driver, { workflow: t.workflow }, epoch), [])
  },
  *"a page holds a hundred runs when nothing is said"(t) {
    const names = numbered(103)
    yield* make(t, names)
    const all = yield* pages(t.driver, { workflow: t.workflow }, epoch)
    for (const { runs } of all) {
      yield* demand("no page has more than a hundred", runs.length <= 100, runs.length)
    }
    yield* same(
      "all of them",
      all.flatMap(({ runs }) => runs.map(({ runId }) => runId)),
      names.map((name) => t.id(name))
    )
  },
  *"runs stand in the order of their ids' characters, not of a language"(t) {
    const names = [
      ...Array.from(" !#$&'()+,-.09:;<=>@AZ[]^_`az{|}~"),
      "a b",
      "a-b",
      "aB",
      "aa",
      "ab",
      "a_b",
      "Ab",
      "a10",
      "a9"
    ]
    yield* make(t, names)
    const ids = names.map((name) => t.id(name)).toSorted((a, b) => a < b ? -1 : 1)
    for (const limit of [7, 100]) {
      const runs = yield* walk(t.driver, { workflow: t.workflow, limit }, epoch)
      yield* same(`in pages of ${limit}`, runs.map(({ runId }) => runId), ids)
    }
  },
  *"runs stand by id, whenever they were made"(t) {
    yield* make(t, ["c", "a", "d", "b"])
    const runs = yield* walk(t.driver, { workflow: t.workflow }, epoch)
    yield* same("the order", runs.map(({ runId }) => runId), ["a", "b", "c", "d"].map(t.id))
  },
  *"pages of a filter hold what it lets through"(t) {
    for (const [n, name] of numbered(9).entries()) {
      yield* begin(t, name, [n % 3 === 0 ? waits : completes])
    }
    const query = { workflow: t.workflow, status: "suspended", limit: 2 } as const
    const all = yield* pages(t.driver, query, epoch)
    for (const { runs } of all) yield* demand("no page is too long", runs.length <= 2, runs.length)
    yield* same(
      "the three",
      all.flatMap(({ runs }) => runs.map(({ runId }) => runId)),
      ["000", "003", "006"].map(t.id)
    )
  },
  *"a cursor holds when the run it stands at is removed"(t) {
    const names = numbered(6)
    yield* make(t, names)
    const query = { workflow: t.workflow, limit: 2 }
    const first = yield* t.driver.list(query, epoch)
    const seen = first.runs.map(({ runId }) => runId)
    yield* same("the first page", seen, names.slice(0, seen.length).map(t.id))
    const at = Math.max(0, seen.length - 1)
    yield* t.driver.remove(t.id(names[at]!))
    yield* t.driver.remove(t.id(names[at + 1]!))
    const rest = yield* walk(t.driver, { ...query, after: first.cursor }, epoch)
    const left = names.slice(at + 2).map(t.id)
    yield* same("the rest", rest.map(({ runId }) => runId), left)
  },
  *"a run that is made between two pages is on one of them at most"(t) {
    yield* make(t, ["b", "d", "f"])
    const query = { workflow: t.workflow, limit: 2 }
    const first = yield* t.driver.list(query, epoch)
    const seen = first.runs.map(({ runId }) => runId)
    yield* make(t, ["a", "g"])
    const rest = yield* walk(t.driver, { ...query, after: first.cursor }, epoch)
    const both = [...seen, ...rest.map(({ runId }) => runId)]
    yield* same("no run twice", new Set(both).size, both.length)
    yield* same(
      "what is ahead",
      both.filter((runId) => runId !== t.id("a")),
      ["b", "d", "f", "g"].map(t.id)
    )
  },
  *"a cursor of one process is one for another"(t) {
    yield* make(t, ["a", "b", "c"])
    const query = { workflow: t.workflow, limit: 1 }
    const first = yield* t.driver.list(query, epoch)
    const rest = yield* walk(t.other, { ...query, after: first.cursor }, epoch)
    const both = [...first.runs, ...rest].map(({ runId }) => runId)
    yield* same("each run once", both, ["a", "b", "c"].map(t.id))
  }
})
