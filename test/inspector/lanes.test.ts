/** The lines of the inspector's timeline, and the texts of a run's data that it shows. */
import { describe, expect, it } from "vitest"
import { lanes, nameOf } from "../../inspector/lanes.ts"
import { errorText, parts, preview, visible } from "../../inspector/text.ts"
import type { Item } from "../../inspector/types.ts"

const items = (...ids: ReadonlyArray<string>): ReadonlyArray<Item> =>
  ids.map((stepId) => ({ stepId, kind: "step", state: "done" }))

const drawn = (all: ReadonlyArray<Item>, closed?: ReadonlySet<string>) =>
  lanes(all, closed).map(({ branch, depth, item, label }) =>
    `${"  ".repeat(depth)}${branch === undefined ? "" : `[${branch}] `}${
      item === undefined && branch !== undefined ? "" : label
    }`.trimEnd()
  )

describe("lanes", () => {
  it("puts steps below their branches, and a step that is alone on the line of its branch", () => {
    const all = items("a", "fan[us]/one", "fan[us]/two", "fan[eu]/only", "b")
    expect(drawn(all)).toEqual([
      "a",
      "fan",
      "  [us]",
      "    one",
      "    two",
      "  [eu] only",
      "b"
    ])
    expect(drawn(all, new Set([lanes(all)[1]!.id]))).toEqual(["a", "fan", "b"])
    expect(lanes(all)[1]).toMatchObject({ branches: 2, below: [{}, {}, {}] })
  })

  it("gives every line a key of its own, also where names are alike", () => {
    const all = items("x", "x[x]/x", "x[x]/y", "x[]/x", "/", "x/x", "", "[", "]/[")
    const keys = lanes(all).map(({ key }) => key)
    expect(new Set(keys).size).toBe(keys.length)
    expect(lanes(all).flatMap(({ item }) => item ?? []).length).toBe(all.length)
  })

  it("shows names without their escapes", () => {
    expect(nameOf("fan[a]/50%25 %2f up")).toBe("50% / up")
  })
})

describe("texts", () => {
  it("spell out what cannot be seen, and lose nothing else", () => {
    expect(visible("a\u202eb\u0000\u001bc\nd\ud800 👩‍👩‍👧 é")).toBe(
      "a\\u202eb\\u0000\\u001bc\\u000ad\\ud800 👩‍👩‍👧 é"
    )
    expect(parts("a\nb", "\n")).toEqual([{ text: "a\nb", isSpelled: false }])
  })

  it("are no longer than their place, however large the value is", () => {
    const large = { a: "x".repeat(1_000_000), b: Array.from({ length: 10_000 }, () => ({})) }
    expect(preview(large, 50).length).toBeLessThanOrEqual(51)
    expect(preview({ a: [1, "two", null], b: { c: true } })).toBe(
      `{"a": [1, "two", null], "b": {"c": true}}`
    )
    expect(preview({ cut: `{"a":1`, characters: 9_000 })).toBe(`{"a":1`)
    expect(preview(undefined)).toBe("")
  })

  it("name an error by its tag and message", () => {
    expect(errorText({ _tag: "Declined", message: "no funds" })).toBe("Declined: no funds")
    expect(errorText("plain")).toBe("plain")
    expect(errorText({ code: 5 })).toBe(`{"code": 5}`)
  })
})
