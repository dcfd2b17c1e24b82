/** How the inspector compares two runs, and two texts. */
import { describe, expect, it } from "vitest"
import { differences, lines, parting } from "../../inspector/diff.ts"
import type { Item, Json } from "../../inspector/types.ts"

const step = (stepId: string, value: Json, more: Partial<Item> = {}): Item => ({
  stepId,
  kind: "step",
  state: "done",
  value,
  ...more
})

const kinds = (left: ReadonlyArray<Item>, right: ReadonlyArray<Item>) =>
  differences(left, right).map(({ kind, stepId }) => `${stepId} ${kind}`)

describe("differences", () => {
  it("tells what both did alike, what came out otherwise, and what only one did", () => {
    const left = [step("a", 1), step("b", 2), step("gone", 3), step("d", 4)]
    const right = [step("a", 1), step("b", 20), step("new", 3), step("d", 4)]
    expect(kinds(left, right)).toEqual(["a same", "b changed", "gone left", "new right", "d same"])
  })

  it("takes values for equal whose keys stand in another order", () => {
    expect(kinds([step("a", { x: 1, y: [{ p: 1, q: 2 }] })], [
      step("a", { y: [{ q: 2, p: 1 }], x: 1 })
    ])).toEqual(["a same"])
  })

  it("takes no notice of how long something took and how often it was tried", () => {
    expect(kinds([step("a", 1, { duration: 5, attempts: 3, startedAt: 1 })], [step("a", 1)]))
      .toEqual(["a same"])
  })

  it("tells a failure from a success, and a wait from its outcome", () => {
    const failed: Item = { stepId: "a", kind: "step", state: "failed", error: "no" }
    const waits: Item = { stepId: "e", kind: "event", state: "waiting" }
    const came: Item = { stepId: "e", kind: "event", state: "done" }
    expect(kinds([failed, waits], [step("a", 1), came])).toEqual(["a changed", "e changed"])
  })

  it("puts what only the other did where that did it, at the beginning too", () => {
    expect(kinds([step("x", 0), step("a", 1), step("y", 2), step("z", 3)], [step("a", 1)]))
      .toEqual(["x left", "a same", "y left", "z left"])
    expect(kinds([], [step("a", 1)])).toEqual(["a right"])
    expect(kinds([step("a", 1)], [])).toEqual(["a left"])
  })

  it("goes on where a step stands that is named like a field of every object", () => {
    const odd = [step("__proto__", 1), step("constructor", 2)]
    expect(kinds(odd, odd)).toEqual(["__proto__ same", "constructor same"])
    const [made] = differences([step("a", JSON.parse(`{"__proto__": 1}`))], [step("a", {})])
    expect(made?.kind).toBe("changed")
  })
})

describe("parting", () => {
  it("is the first that is not the same, or nothing", () => {
    const left = [step("a", 1), step("b", 2), step("c", 3)]
    const right = [step("a", 1), step("b", 3), step("c", 4)]
    expect(parting(differences(left, right))?.stepId).toBe("b")
    expect(parting(differences(left, left))).toBeUndefined()
  })
})

describe("lines", () => {
  const told = (left: string, right: string) =>
    lines(left, right)?.map(({ kind, text }) =>
      `${{ same: " ", left: "-", right: "+" }[kind]}${text}`
    )

  it("marks what only one of the texts has", () => {
    expect(told("{\na\nb\nc\n}", "{\na\nx\nc\nd\n}")).toEqual([
      " {",
      " a",
      "-b",
      "+x",
      " c",
      "+d",
      " }"
    ])
  })

  it("loses no line of either text", () => {
    const left = "a\nb\na\nc\nb"
    const right = "b\na\nb\nb\nd"
    const both = lines(left, right)!
    const of = (other: string) =>
      both.filter(({ kind }) => kind !== other).map(({ text }) => text).join("\n")
    expect(of("right")).toBe(left)
    expect(of("left")).toBe(right)
  })

  it("leaves texts alone that are too long to be compared", () => {
    const long = "a\n".repeat(5_000)
    expect(lines(long, `${long}b`)).toBeUndefined()
  })
})
