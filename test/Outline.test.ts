/**
 * Runs as people read them: every journal gives a tree, every id its place, and no text acts on a
 * terminal.
 */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { Entry, Recorded, Wait } from "../src/Entry.ts"
import * as Instruction from "../src/Instruction.ts"
import * as Outline from "../src/Outline.ts"
import * as Text from "../src/Text.ts"
import { runs } from "./support/amount.ts"
import { Hand } from "./support/hand.ts"

const second = 1_000

/** Entries as a journal has them, a second apart. */
const recorded = (...entries: ReadonlyArray<Entry>): ReadonlyArray<Recorded> =>
  entries.map((entry, offset) => ({
    ...entry,
    session: 1,
    offset,
    timestamp: new Date(offset * second).toISOString(),
    incarnation: "i",
    writer: "w",
    prev: "-",
    sum: "-"
  }))

const start: Entry = { type: "start" }
const step = (stepId: string, more: object = {}): Entry => ({
  type: "step",
  stepId,
  name: stepId,
  ...more
})
const wait = (stepId: string, more: Partial<Wait> = {}): Wait => ({
  stepId,
  kind: "event",
  event: stepId,
  since: second,
  ...more
})
const suspend = (...waits: ReadonlyArray<Wait>): Entry => ({ type: "suspend", waits })
const resume = (stepId: string, more: object = {}): Entry => ({
  type: "resume",
  stepId,
  eventName: stepId,
  eventId: `for ${stepId}`,
  ...more
})

/** `mark id text` of every item. */
const told = (...entries: ReadonlyArray<Entry>): ReadonlyArray<string> =>
  Outline.items(recorded(start, ...entries)).map((item) => {
    const text = Outline.text(item)
    return `${Outline.marks[item.state]} ${item.stepId}${text === "" ? "" : `: ${text}`}`
  })

/** The tree as indented labels. */
const drawn = (nodes: ReadonlyArray<Outline.Node>, indent = ""): ReadonlyArray<string> =>
  nodes.flatMap(({ children, item, label }) => [
    `${indent}${label}${item === undefined ? ":" : ""}`,
    ...drawn(children, `${indent}  `)
  ])
const labels = (...stepIds: ReadonlyArray<string>) =>
  drawn(Outline.tree(Outline.items(recorded(start, ...stepIds.map((id) => step(id))))))

describe("items", () => {
  it("tell what steps came to", () => {
    expect(told(
      step("void"),
      step("value", { result: { severity: 5 }, duration: 12 }),
      step("often", { result: 1, attempts: 3, duration: 61_000 }),
      step("failed", {
        error: {
          _tag: "StepFailed",
          step: "failed",
          tag: "CardDeclined",
          message: "no funds",
          attempts: 1,
          defect: false
        }
      }),
      step("slow", { error: { _tag: "StepTimeout", step: "slow", timeout: 5_000, attempts: 1 } }),
      step("declared", { error: { _tag: "Taken", seat: 4 }, declared: true }),
      step("text", { error: "just text", declared: true })
    )).toEqual([
      "✓ void",
      "✓ value: {\"severity\":5}  (12ms)",
      "✓ often: 1  (3 attempts, 1m 1s)",
      "✗ failed: CardDeclined: no funds",
      "✗ slow: timed out after 5.0s",
      "✗ declared: {\"_tag\":\"Taken\",\"seat\":4}",
      "✗ text: \"just text\""
    ])
  })

  it("tell an intent without an outcome from one with it", () => {
    const intent = (attempt: number): Entry => ({
      type: "intent",
      stepId: "charge",
      name: "charge",
      attempt
    })
    expect(told(intent(1))).toEqual(["? charge: outcome not known"])
    expect(told(intent(1), intent(2))).toEqual(["? charge: outcome not known  (2 attempts)"])
    expect(told(intent(1), intent(2), step("charge", { result: "ok", attempts: 2 }))).toEqual([
      "✓ charge: \"ok\"  (2 attempts)"
    ])
  })

  it("count attempts across durable retries", () => {
    const retry: Entry = {
      type: "retry",
      stepId: "call",
      name: "call",
      attempt: 2,
      error: { tag: "Busy", message: "503" },
      wakeAt: 60_000
    }
    const waiting = suspend(wait("call", { kind: "retry", event: "call", wakeAt: 60_000 }))
    const pending = ["… call: Busy: 503  (attempt 2 failed, again at 1970-01-01T00:01:00.000Z)"]
    expect(told(retry)).toEqual(pending)
    expect(told(retry, waiting)).toEqual(pending)
    expect(told(retry, waiting, step("call", { result: 1 }))).toEqual(["✓ call: 1  (3 attempts)"])
    expect(told(retry, step("call", { result: 1, attempts: 2 }))).toEqual([
      "✓ call: 1  (4 attempts)"
    ])
  })

  it("tell what is awaited and for how long it was", () => {
    const asked = suspend(
      wait("review", { reason: "severity 5", key: "k1", wakeAt: 60_000 }),
      wait("other"),
      wait("sleep", { kind: "timer", wakeAt: 60_000 })
    )
    expect(told(asked)).toEqual([
      "⏸ review: severity 5  (key \"k1\", until 1970-01-01T00:01:00.000Z)",
      "⏸ other",
      "⏸ sleep: (until 1970-01-01T00:01:00.000Z)"
    ])
    expect(told(asked, resume("other", { value: [1] }))).toContain("✓ other: [1]  (waited 1.0s)")
    expect(told(
      asked,
      { type: "timer", stepId: "sleep" },
      { type: "timer", stepId: "review", event: "review" }
    )).toEqual([
      "✓ review: timed out  (key \"k1\", waited 2.0s)",
      "⏸ other",
      "✓ sleep: (waited 1.0s)"
    ])
  })

  it("drop what the next suspension or the end no longer awaits", () => {
    const waits = suspend(wait("a"), wait("b"))
    expect(told(waits, resume("a"), suspend(wait("c")))).toEqual([
      "✓ a: (waited 1.0s)",
      "– b: no longer awaited",
      "⏸ c"
    ])
    expect(told(waits, resume("a"), { type: "complete" })[1]).toBe("– b: no longer awaited")
    expect(told(waits, resume("a"))[1]).toBe("⏸ b")
  })

  it("show the payload of an event that came before its wait", () => {
    expect(told(
      { type: "event", eventName: "go", eventId: "e1", value: "early" },
      step("first"),
      resume("go", { eventId: "e1" })
    )).toEqual(["✓ first", "✓ go: \"early\""])
  })

  it("show children and what was undone", () => {
    expect(told(
      { type: "child", stepId: "a", childId: "r1.a", result: 1 },
      { type: "child", stepId: "b", childId: "r1.b", error: { tag: "Bad", message: "no" } },
      { type: "child", stepId: "c", childId: "r1.c", cancelled: true },
      step("book", { result: 7 }),
      step("pay", { result: 8 }),
      { type: "undo", stepId: "book" },
      { type: "undo", stepId: "pay", error: { tag: "Gone", message: "late" } }
    )).toEqual([
      "✓ a: 1  (run r1.a)",
      "✗ b: Bad: no  (run r1.b)",
      "✗ c: \"cancelled\"  (run r1.c)",
      "✓ book: 7  (undone)",
      "✓ pay: 8  (undo failed: Gone: late)"
    ])
  })
})

describe("places", () => {
  it("come from the id alone", () => {
    expect(Outline.place("classify")).toEqual({ branches: [], name: "classify" })
    expect(Outline.place("classify#2")).toEqual({ branches: [], name: "classify#2" })
    expect(Outline.place("fan[us]/charge")).toEqual({
      branches: [{ fan: "fan", key: "us" }],
      name: "charge"
    })
    expect(Outline.place("a#2[x]/b[%5by%5d]/GET %2forders%23%25")).toEqual({
      branches: [{ fan: "a#2", key: "x" }, { fan: "b", key: "[y]" }],
      name: "GET /orders#%"
    })
  })

  it("are those of the machine, whatever things are called", () => {
    const name = fc.oneof(
      fc.string({ maxLength: 8 }),
      fc.string({ unit: fc.constantFrom("#", "[", "]", "/", "%", "5", "b", "é") })
    ).filter((text) => text !== "")
    fc.assert(
      fc.property(name, name, name, (fan, key, leaf) => {
        const hand = new Hand(function*() {
          yield Instruction.all({ [key]: Instruction.step(leaf, () => 1) }, { name: fan })
        })
        const { branches, name } = Outline.place(hand.pending[0]!)
        expect([branches.length, branches[0], name]).toEqual([
          1,
          { fan: Text.plain(fan), key: Text.plain(key) },
          Text.plain(leaf)
        ])
      }),
      { numRuns: runs(300) }
    )
  })

  it("are found for any text", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom("a", "[", "]", "/", "%", "2", "f", "#") }),
        (id) => {
          const [node] = Outline.tree(Outline.items(recorded(start, step(id))))
          expect(node).toBeDefined()
          expect(Outline.place(id).branches.length).toBe(id.split("/").length - 1)
        }
      ),
      { numRuns: runs(500) }
    )
  })
})

describe("trees", () => {
  it("put steps under their combinators and branches", () => {
    expect(labels(
      "classify",
      "fan[us]/charge",
      "fan[eu]/charge",
      "fan[eu]/each[1]/ship",
      "fan[eu]/each[0]/ship",
      "fan[eu]/each[0]/ship#2",
      "classify#2"
    )).toEqual([
      "classify",
      "fan:",
      "  [us] charge",
      "  [eu]:",
      "    charge",
      "    each:",
      "      [1] ship",
      "      [0]:",
      "        ship",
      "        ship#2",
      "classify#2"
    ])
  })

  it("let a branch that holds one combinator share its line", () => {
    expect(labels("fan[us]/each[0]/a", "fan[us]/each[1]/a")).toEqual([
      "fan:",
      "  [us] each:",
      "    [0] a",
      "    [1] a"
    ])
  })

  it("tell equal names apart that differ by their escapes", () => {
    expect(labels("a[b]/c", "a%5bb%5d[b]/c", "a[b%2fc]/c")).toEqual([
      "a:",
      "  [b] c",
      "  [b/c] c",
      "a[b]:",
      "  [b] c"
    ])
  })
})

describe("texts", () => {
  const hostile = fc.string({
    unit: fc.constantFrom(
      "\u001b",
      "[31m",
      "]0;title\u0007",
      "\u009b",
      "\n",
      "\r",
      "\t",
      "\u0000",
      "\u007f",
      "\u2028",
      "\u202e",
      "\u2066",
      "\ud83d\ude00",
      "\ud83d",
      "a",
      "\""
    )
  })
  // What terminals act on, in the order of code points.
  const isHarmless = (text: string) =>
    Array.from(text, (c) => c.codePointAt(0)!).every((c) =>
      c >= 0x20 && !(c >= 0x7f && c < 0xa0) && c !== 0x2028 && c !== 0x2029
      && !(c >= 0x202a && c <= 0x202e) && !(c >= 0x2066 && c <= 0x2069)
      && c !== 0x200e && c !== 0x200f && c !== 0x61c
    )

  it("never act on a terminal", () => {
    fc.assert(
      fc.property(hostile, hostile, (a, b) => {
        const json = { [a]: b }
        const texts = [
          Text.plain(a),
          Text.short(json),
          Text.jsonLine(json),
          Text.errorText({ _tag: a, message: b }),
          Outline.place(`${a}[${b}]/${a}`).name,
          Outline.text({
            stepId: a,
            kind: "event",
            state: "waiting",
            wait: wait(a, { reason: b, key: a })
          }),
          Outline.text({ stepId: a, kind: "child", state: "failed", childId: b, error: a })
        ]
        expect(texts.filter((text) => !isHarmless(text))).toEqual([])
      }),
      { numRuns: runs(500) }
    )
  })

  it("lose nothing as JSON", () => {
    fc.assert(
      fc.property(hostile, (text) => {
        expect(JSON.parse(Text.jsonLine({ text }))).toEqual({ text })
      }),
      { numRuns: runs(300) }
    )
  })

  it("drop whole colour codes, and join lines", () => {
    expect(Text.plain("\u001b[1;31mexpected\u001b[0m\n  to be\u001b 1")).toBe(
      "expected   to be 1"
    )
  })

  it("are cut without cutting a character", () => {
    expect(Text.cut("abcdef", 6)).toBe("abcdef")
    expect(Text.cut("abcdefg", 6)).toBe("abcde…")
    expect(Text.cut("abcd😀fgh", 6)).toBe("abcd…")
    expect(Text.short("x".repeat(1_000)).length).toBe(72)
    expect(Text.short(undefined)).toBe("")
    expect(Text.short(null)).toBe("null")
  })

  it("give times that people can read", () => {
    expect([0.4, 999, 1_000, 59_940, 59_950, 60_000, 3_599_000, 3_600_000, 90_061_000].map(
      Text.span
    )).toEqual(["0ms", "999ms", "1.0s", "59.9s", "1m 0s", "1m 0s", "59m 59s", "1h 0m", "1d 1h"])
    expect(Text.time(0)).toBe("1970-01-01T00:00:00.000Z")
    expect([Text.time(Number.NaN), Text.time(1e300)]).toEqual([
      "an unknown time",
      "an unknown time"
    ])
  })

  it("take a message before the rest of an error", () => {
    expect(Text.errorText({ name: "TypeError", message: "x is not a function" })).toBe(
      "TypeError: x is not a function"
    )
    expect(Text.errorText({ message: "bare" })).toBe("bare")
    expect(Text.errorText({ _tag: "StepTimeout", reason: "the user's own" })).toBe(
      "{\"_tag\":\"StepTimeout\",\"reason\":\"the user's own\"}"
    )
    expect(Text.errorText(undefined)).toBe("")
    expect(Text.errorText([1])).toBe("[1]")
  })
})
