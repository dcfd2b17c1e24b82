/**
 * Cases of run ids: every id that is allowed names a run of its own, and nothing but that.
 */
import { cases, type Trial } from "./Case.ts"
import { same } from "./Checks.ts"
import { completes, event, post, posted, step, waits } from "./Entries.ts"
import { begin, epoch, linesOf } from "./Hand.ts"
import { walk } from "./Walk.ts"

/** A case that does everything with a run of this very id, which no other case has. */
const named = (runId: string) =>
  function*(t: Trial) {
    // A store that is shared may have it from an earlier time.
    yield* t.driver.remove(runId)
    const hand = yield* begin(t, "r", [step("a"), waits], { runId })
    yield* same("its lines", yield* linesOf(t.other, runId), hand.place.lines)
    yield* post(t, hand, event(hand.incarnation, t.unique()))
    yield* same("its inbox", posted(yield* t.other.inbox(runId, "")).length, 1)
    yield* same("it is due", (yield* t.driver.due(epoch)).includes(runId), true)
    const claim = yield* t.driver.acquire(runId, epoch, epoch + 1000)
    yield* same("its lease", claim._tag, "Acquired")
    yield* same("is held", (yield* t.other.holder(runId, epoch))?.until, epoch + 1000)
    const runs = yield* walk(t.driver, { workflow: t.workflow }, epoch)
    yield* same("it is listed", runs.map(({ runId, status }) => [runId, status]), [
      [runId, "suspended"]
    ])
    yield* t.driver.remove(runId)
    yield* same("it can be removed", yield* t.other.version(runId), "")
    yield* same("with its inbox", posted(yield* t.driver.inbox(runId, "")), [])
    yield* same("and its lease", (yield* t.driver.holder(runId, epoch)) === undefined, true)
  }

/** A case of ids that must not be taken for each other. */
const apart = (...suffixes: ReadonlyArray<string>) =>
  function*(t: Trial) {
    const hands = []
    for (const suffix of suffixes) {
      const hand = yield* begin(t, suffix, [step(suffix)])
      yield* post(t, hand, event(hand.incarnation, t.unique()))
      hands.push(hand)
    }
    for (const hand of hands) {
      yield* same("its lines", yield* linesOf(t.driver, hand.runId), hand.place.lines)
      yield* same("its posts", posted(yield* t.driver.inbox(hand.runId, "")).length, 1)
      const claim = yield* t.driver.acquire(hand.runId, epoch, epoch + 1000)
      yield* same("its lease", claim._tag, "Acquired")
      yield* hand.append(completes)
    }
    const runs = yield* walk(t.other, { workflow: t.workflow }, epoch)
    yield* same(
      "all are listed",
      runs.map(({ runId }) => runId),
      suffixes.map((suffix) => t.id(suffix)).toSorted((a, b) => a < b ? -1 : 1)
    )
    yield* t.driver.remove(hands[0]!.runId)
    for (const hand of hands.slice(1)) {
      yield* same("it stays", yield* linesOf(t.driver, hand.runId), hand.place.lines)
    }
  }

export const ids = cases("id", {
  "a point names a run": named("."),
  "two points name a run": named(".."),
  "a name with points and a colon names a run": named("..:..:etc:passwd"),
  "a hidden file's name names a run": named(".git"),
  "a device's name names a run": named("CON"),
  "a device's name with an extension names a run": named("nul.jsonl"),
  "a stream's name names a run": named("a:b"),
  "an escaped slash names a run": named("%2f"),
  "escaped points name a run": named("%2e%2e%2fa"),
  "a percent sign names a run": named("%"),
  "a question mark names a run": named("?"),
  "a query names a run": named("a?b=c&d#e"),
  "a pattern names a run": named("*"),
  "a statement of a database names a run": named("'; drop table runs;--"),
  "a quote names a run": named("\""),
  "a backtick and a dollar name a run": named("`$(id)`"),
  "a space names a run": named(" "),
  "spaces around an id are part of it": named("  a  "),
  "a point at the end is part of an id": named("ends."),
  "a minus at the beginning is part of an id": named("--help"),
  "a tilde names a run": named("~"),
  "a name from a prototype names a run": named("__proto__"),
  "a name of a method names a run": named("constructor"),
  "a number names a run": named("0"),
  "words of JSON name runs": named("null"),
  "two hundred characters name a run": named("x".repeat(200)),
  "two hundred signs name a run": named("%".repeat(200)),
  "every character that is allowed names a run": named(
    Array.from({ length: 95 }, (_, n) => String.fromCharCode(32 + n)).join("")
      .replace(/[/\\]/g, "")
  ),
  "ids that differ in case only are apart": apart("abc", "ABC", "Abc", "aBC"),
  "ids that begin with others are apart": apart("a", "a-", "a-b", "ab", "abc"),
  "ids that differ in spaces only are apart": apart("a", "a ", " a", "a  "),
  "ids that differ in points only are apart": apart("a", "a.", "a..", ".a"),
  "ids that differ in signs only are apart": apart("a b", "a-b", "a_b", "a%b", "a+b", "a?b", "a*b"),
  "ids and what they are escaped as are apart": apart("a b", "a%20b", "a+b", "a%2520b"),
  "ids that look like a driver's own names are apart": apart(
    "a",
    "a.jsonl",
    "a.inbox",
    "a.lease",
    "a:inbox",
    "a~1"
  ),
  *"long ids that differ in their last character are apart"(t) {
    const stem = "l".repeat(199 - t.id("").length)
    yield* apart(`${stem}a`, `${stem}b`, `${stem}A`)(t)
  }
})
