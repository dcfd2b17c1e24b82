/** How two runs differ: by instruction, and between two texts by line. Pure. */
import type { Item } from "./types.ts"

export interface Difference {
  readonly stepId: string
  /** `left` and `right` are instructions that only that run has. */
  readonly kind: "same" | "changed" | "left" | "right"
  readonly left?: Item
  readonly right?: Item
}

/** JSON with the keys of objects in order, so that it tells equal values. */
const canonical = (value: unknown): string =>
  JSON.stringify(
    value,
    (_, part: unknown) =>
      typeof part === "object" && part !== null && !Array.isArray(part)
        ? Object.fromEntries(
          Object.entries(part).toSorted(([a], [b]) => a < b ? -1 : a > b ? 1 : 0)
        )
        : part
  ) ?? ""

/** What an instruction came to; how long it took and how often it was tried are no differences. */
const outcome = ({ error, kind, state, timedOut, undone, value }: Item): string =>
  canonical([kind, state, timedOut === true, undone === true, value ?? null, error ?? null])

/**
 * Every instruction of both runs: in the order of `right`, and what only `left` has where that had it.
 */
export const differences = (
  left: ReadonlyArray<Item>,
  right: ReadonlyArray<Item>
): ReadonlyArray<Difference> => {
  const ofLeft = new Map(left.map((item) => [item.stepId, item]))
  const ofRight = new Set(right.map(({ stepId }) => stepId))
  /** What only `left` has, by the instruction before it. */
  const behind = new Map<string, Array<Difference>>()
  let last = ""
  for (const item of left) {
    const { stepId } = item
    if (ofRight.has(stepId)) {
      last = stepId
      continue
    }
    const group = behind.get(last) ?? []
    group.push({ stepId, kind: "left", left: item })
    behind.set(last, group)
  }
  const all: Array<Difference> = [...behind.get("") ?? []]
  for (const item of right) {
    const { stepId } = item
    const before = ofLeft.get(stepId)
    all.push(
      before === undefined
        ? { stepId, kind: "right", right: item }
        : {
          stepId,
          kind: outcome(before) === outcome(item) ? "same" : "changed",
          left: before,
          right: item
        }
    )
    all.push(...behind.get(stepId) ?? [])
  }
  return all
}

/** Where they part: the first instruction that is not the same in both, or nothing. */
export const parting = (all: ReadonlyArray<Difference>): Difference | undefined =>
  all.find(({ kind }) => kind !== "same")

export interface LineOf {
  readonly text: string
  readonly kind: "same" | "left" | "right"
}

/** Longer texts are too much work to compare line by line. */
const atMost = 1_500

/** Two texts as one, each line marked with whose it is; nothing when they are too long for that. */
export const lines = (left: string, right: string): ReadonlyArray<LineOf> | undefined => {
  const a = left.split("\n")
  const b = right.split("\n")
  if (a.length > atMost || b.length > atMost) return undefined
  let start = 0
  while (start < a.length && start < b.length && a[start] === b[start]) start++
  let end = 0
  while (
    end < a.length - start && end < b.length - start
    && a[a.length - 1 - end] === b[b.length - 1 - end]
  ) end++
  const x = a.slice(start, a.length - end)
  const y = b.slice(start, b.length - end)
  // How many lines the rest of both have in common, from each pair of places on.
  const width = y.length + 1
  const common = new Uint16Array((x.length + 1) * width)
  for (let i = x.length - 1; i >= 0; i--) {
    for (let j = y.length - 1; j >= 0; j--) {
      common[i * width + j] = x[i] === y[j]
        ? common[(i + 1) * width + j + 1]! + 1
        : Math.max(common[(i + 1) * width + j]!, common[i * width + j + 1]!)
    }
  }
  const same = (text: string): LineOf => ({ text, kind: "same" })
  const out = a.slice(0, start).map(same)
  let i = 0
  let j = 0
  while (i < x.length || j < y.length) {
    if (i < x.length && j < y.length && x[i] === y[j]) {
      out.push(same(x[i]!))
      i++
      j++
    } else if (
      j >= y.length
      || (i < x.length && common[(i + 1) * width + j]! >= common[i * width + j + 1]!)
    ) out.push({ text: x[i++]!, kind: "left" })
    else out.push({ text: y[j++]!, kind: "right" })
  }
  return [...out, ...a.slice(a.length - end).map(same)]
}
