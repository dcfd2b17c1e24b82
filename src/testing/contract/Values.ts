/**
 * Cases of values: a line is bytes, whatever stands in it, and comes back as it was.
 */
import { cases, type Trial } from "./Case.ts"
import { same } from "./Checks.ts"
import { completes, event, posted, posting, rawStep, start, step } from "./Entries.ts"
import { begin, epoch, linesOf } from "./Hand.ts"
import { walk } from "./Walk.ts"

/** A case of a step whose result has this text in the journal, read by both processes. */
const kept = (json: string) =>
  function*(t: Trial) {
    const hand = yield* begin(t, "r", [rawStep(json)])
    yield* hand.append(step("behind it"))
    yield* same("the line", yield* linesOf(t.driver, hand.runId), hand.place.lines)
    yield* same("for another process", yield* linesOf(t.other, hand.runId), hand.place.lines)
  }

const text = (value: string) => kept(JSON.stringify(value))

const deep = (depth: number) => "[".repeat(depth) + "1" + "]".repeat(depth)

export const values = cases("value", {
  "an empty text is kept": text(""),
  "letters of other scripts are kept": text("Ünïcödé — Ελληνικά, עברית, 中文, हिन्दी"),
  "what is composed and what is decomposed stay apart": text(
    "\u00e9 e\u0301 \u212b \u00c5 A\u030a"
  ),
  "characters beyond the first plane are kept": text(
    "\u{1F600}\u{1F469}\u200D\u{1F4BB} \u{10FFFF}"
  ),
  "NUL as an escape is kept": text("a\u0000b"),
  "all control characters as escapes are kept": text(
    Array.from({ length: 32 }, (_, n) => String.fromCharCode(n)).join("")
  ),
  "lone surrogates as escapes are kept": text("\ud800 \udfff \udc00\ud800"),
  "an escape that could be a character stays an escape": kept(`"\\u00e9\\u0041\\/\\u2028"`),
  "separators of lines and paragraphs are kept": text("a\u2028b\u2029c\u0085d"),
  "line ends as escapes are kept": text("a\r\nb\nc\rd"),
  "the mark of a byte order is kept": text("\ufeffa\ufeff"),
  "non-characters and what is not assigned are kept": text("\ufffe\uffff\u{1FFFE}\ufffd\u0378"),
  "DEL and the controls above it are kept": text("\u007f\u0080\u009f\u00a0\u00ad"),
  "directions and joiners are kept": text("\u202eabc\u202c \u200b\u200d\u2060"),
  "quotes and backslashes are kept": text(`' '' " "" \\ \\\\ \\' \\n $1 $$ \${x} %s %% ? :a @b`),
  "statements of a database are kept": text(`'); DROP TABLE runs; -- /* */ ; \\x00 \\. COPY`),
  "what looks like a line of a journal is kept": text(`{"type":"start","sum":"00000000"}\t\n`),
  "keys like `__proto__` are kept": kept(
    `{"__proto__":{"a":1},"constructor":2,"toString":3,"":4,"hasOwnProperty":null}`
  ),
  "keys keep their order, and doubles their place": kept(`{"b":1,"a":2,"10":3,"9":4,"b":5}`),
  "numbers are kept as they are written": kept(
    `[1e308,-0,0.1,1.0,1E5,5e-324,9007199254740993,123456789012345678901234567890]`
  ),
  "spaces between tokens are kept": kept(`{ "a" : [ 1 , 2 ] ,\t"b" :  null }`),
  "a value of two hundred levels is kept": kept(deep(200)),
  "a value of a hundred thousand items is kept": kept(
    JSON.stringify(Array.from({ length: 100_000 }, (_, n) => n))
  ),
  "a line of a mebibyte is kept": text("x".repeat(1024 * 1024)),
  "a mebibyte of three-byte characters is kept": text("\u20ac".repeat(350_000)),
  *"a batch of five mebibytes is kept"(t) {
    const hand = yield* begin(t, "r")
    const part = (n: number) => step(`s${n}`, String.fromCharCode(97 + n).repeat(1024 * 1024))
    yield* hand.append(...[0, 1, 2, 3, 4].map(part))
    yield* same("all lines", yield* linesOf(t.driver, hand.runId), hand.place.lines)
    yield* same("it goes on", yield* hand.attempt(completes), "appended")
  },
  *"large and small lines in turn are kept"(t) {
    const hand = yield* begin(t, "r")
    for (const size of [1, 70_000, 3, 200_000, 0, 65_535, 65_536, 65_537]) {
      yield* hand.append(step(`s${size}`, "\u00fc".repeat(size)))
    }
    yield* same("all lines", yield* linesOf(t.other, hand.runId), hand.place.lines)
  },
  *"odd texts in an inbox are kept"(t) {
    const { runId } = yield* begin(t, "r")
    const odd = [
      "e\u0301\u00e9",
      "\u0000\ud800",
      "\u2028\ufeff\u0085",
      "'; --",
      "\u{1F600}",
      "\r\n"
    ]
    const items = odd.map((value) => posting(event("i", t.unique(), value)))
    for (const item of items) yield* t.driver.post(runId, item)
    yield* same("the posts", posted(yield* t.other.inbox(runId, "")), items.map(({ line }) => line))
  },
  *"odd texts in ids of posts tell posts apart"(t) {
    const { runId } = yield* begin(t, "r")
    const odd = ["a", "A", "\u00e9", "e\u0301", "a ", "a\u0000", "'", "%", "_", "a/b", "\u{1F600}"]
    const items = odd.map((id) => posting(event("i", `${t.unique()}${id}`), id))
    for (const item of items) yield* t.driver.post(runId, item)
    yield* same(
      "the posts",
      posted(yield* t.driver.inbox(runId, "")),
      items.map(({ line }) => line)
    )
  },
  *"odd names of workflows are listed and filtered by"(t) {
    const odd = ["\u00e9", "e\u0301", "'; --", "%", "_", "a\u0000b", "\u{1F600}", " ", "\""]
    for (const [n, name] of odd.entries()) {
      yield* begin(t, `${n}`, [], { workflow: t.workflow + name })
    }
    for (const [n, name] of odd.entries()) {
      const workflow = t.workflow + name
      const runs = yield* walk(t.driver, { workflow }, epoch)
      yield* same(
        `those of ${JSON.stringify(name)}`,
        runs.map((run) => [run.runId, run.workflow]),
        [[t.id(`${n}`), workflow]]
      )
    }
  },
  *"odd event ids count as taken when they are journaled"(t) {
    const hand = yield* begin(t, "r")
    const ids = ["\u00e9", "e\u0301", "'", "a\u0000", "{a,b}", "\\", "\"", ",", "NULL"]
    for (const id of ids) {
      yield* t.driver.post(hand.runId, posting(event(hand.incarnation, id)))
    }
    yield* hand.append(...ids.map((eventId) => ({
      type: "event" as const,
      eventName: "go",
      eventId
    })))
    yield* hand.append(start, { type: "suspend", waits: [] })
    yield* same("the run is not due", (yield* t.driver.due(epoch)).includes(hand.runId), false)
  }
})
