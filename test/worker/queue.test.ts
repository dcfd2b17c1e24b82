/**
 * The queue of a worker against a plain account of what it promises: never more than a limit allows, the
 * highest priority first and the oldest among equals, nothing lost and nothing twice, and the right moment
 * to look again.
 */
import fc from "fast-check"
import assert from "node:assert/strict"
import { describe, expect, it } from "vitest"
import type { Limits } from "../../src/worker/Limit.ts"
import * as Queue from "../../src/worker/Queue.ts"
import { drawn } from "../support/amount.ts"

const always = () => true
const names = ["a", "b", "c", "d", undefined] as const
type Name = (typeof names)[number]

/** What waits, oldest first, kept apart from the queue. */
interface Waiting {
  readonly how: "told"
  readonly runId: string
  readonly workflow: Name
}

const limitOf = (limits: Limits, workflow: Name) => workflow === undefined ? {} : limits[workflow]

const priorityOf = (limits: Limits, workflow: Name) =>
  workflow === undefined ? Infinity : limitOf(limits, workflow)?.priority ?? 0

const perMillis = (rate: { readonly times: number; readonly per: unknown }) =>
  (rate.per as number) / rate.times

/** A limit whose rate has a whole number of milliseconds for each: so that an account of it can be exact. */
const wholeLimit = fc.record({
  concurrency: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
  priority: fc.option(fc.integer({ min: -1, max: 1 }), { nil: undefined }),
  rate: fc.option(
    fc.record({ times: fc.integer({ min: 1, max: 4 }), each: fc.integer({ min: 1, max: 50 }) }).map(
      ({ each, times }) => ({ times, per: each * times })
    ),
    { nil: undefined }
  )
})

const wholeLimits: fc.Arbitrary<Limits> = fc.record({ a: wholeLimit, b: wholeLimit, c: wholeLimit })

const op = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(fc.constant("add"), fc.nat(11), fc.constantFrom(...names)) },
  { weight: 4, arbitrary: fc.tuple(fc.constant("take"), fc.nat(11), fc.constant("a")) },
  { weight: 2, arbitrary: fc.tuple(fc.constant("over"), fc.nat(11), fc.constant("a")) },
  { weight: 2, arbitrary: fc.tuple(fc.constant("pass"), fc.nat(80), fc.constant("a")) }
) as fc.Arbitrary<readonly ["add" | "take" | "over" | "pass", number, Name]>

/** When the next of a workflow may begin, by its theoretical arrival times: no tokens, and no fractions. */
class Account {
  private readonly at = new Map<Name, number>()
  private readonly limits: Limits
  constructor(limits: Limits) {
    this.limits = limits
  }
  nextAt(workflow: Name): number {
    const rate = limitOf(this.limits, workflow)?.rate
    if (rate === undefined) return -Infinity
    return (this.at.get(workflow) ?? -Infinity) - (Math.max(1, rate.times) - 1) * perMillis(rate)
  }
  take(workflow: Name, now: number): void {
    const rate = limitOf(this.limits, workflow)?.rate
    if (rate === undefined) return
    this.at.set(workflow, Math.max(now, this.at.get(workflow) ?? -Infinity) + perMillis(rate))
  }
}

describe("a queue", () => {
  it("does what a plain account of it says, whatever comes in whichever order", () => {
    fc.assert(
      fc.property(wholeLimits, fc.array(op, { maxLength: 80 }), (limits, ops) => {
        const queue = Queue.make(limits)
        const account = new Account(limits)
        let waiting: Array<Waiting> = []
        const running: Array<Queue.Taken> = []
        let now = 1_000_000
        const runs = (workflow: Name) => running.filter((one) => one.workflow === workflow).length
        const hasPlace = (workflow: Name) =>
          runs(workflow) < (limitOf(limits, workflow)?.concurrency ?? Infinity)
        const expected = (isFree: (runId: string) => boolean) =>
          waiting.filter(({ runId, workflow }) =>
            isFree(runId) && hasPlace(workflow) && account.nextAt(workflow) <= now
          ).reduce<Waiting | undefined>(
            (best, one) =>
              best === undefined
                || priorityOf(limits, one.workflow) > priorityOf(limits, best.workflow)
                ? one
                : best,
            undefined
          )
        for (const [verb, n, workflow] of ops) {
          if (verb === "add") {
            const runId = `r${n}`
            queue.add(runId, workflow)
            if (waiting.every((one) => one.runId !== runId)) {
              waiting.push({ runId, workflow, how: "told" })
            }
          } else if (verb === "take") {
            // One that is driven is not taken again, and here and there one is not free for another reason.
            const isFree = (runId: string) =>
              runId !== `r${n}` && running.every((one) => one.runId !== runId)
            const best = expected(isFree)
            assert.deepEqual(queue.take(now, isFree), best)
            if (best !== undefined) {
              waiting = waiting.filter((one) => one !== best)
              running.push(best)
              account.take(best.workflow, now)
            }
          } else if (verb === "over") {
            const [over] = running.splice(n % Math.max(1, running.length), 1)
            if (over !== undefined) queue.over(over)
          } else {
            now += n
          }
          expect(queue.size()).toBe(waiting.length)
          const byRate = waiting.filter(({ workflow }) => hasPlace(workflow)).map(({ workflow }) =>
            account.nextAt(workflow)
          ).filter((at) => at > now)
          const due = Math.min(Infinity, ...byRate)
          // A rounding error may make it the millisecond behind.
          expect([due, due + 1]).toContain(queue.nextAt(now))
        }
      }),
      drawn(1_000)
    )
  })

  it("gives back all that was put in, each once, as the limits allow", () => {
    fc.assert(
      fc.property(
        wholeLimits,
        fc.uniqueArray(fc.tuple(fc.nat(60), fc.constantFrom(...names)), {
          selector: ([n]) => n,
          maxLength: 40
        }),
        (limits, runs) => {
          const queue = Queue.make(limits)
          for (const [n, workflow] of runs) {
            queue.add(`r${n}`, workflow)
            // Told of again, by whoever knows more or less of it.
            queue.add(`r${n}`, "d")
            queue.add(`r${n}`)
          }
          const seen: Array<string> = []
          let now = 5
          for (;;) {
            const taken = queue.take(now, always)
            if (taken !== undefined) {
              seen.push(`${taken.runId} of ${taken.workflow}`)
              queue.over(taken)
              continue
            }
            const next = queue.nextAt(now)
            if (next === Infinity) break
            expect(next).toBeGreaterThan(now)
            now = next
          }
          expect(seen.toSorted()).toEqual(
            runs.map(([n, workflow]) => `r${n} of ${workflow}`).toSorted()
          )
          expect(queue.size()).toBe(0)
        }
      ),
      drawn(500)
    )
  })
})

const anyRate = fc.record({
  times: fc.oneof(
    fc.double({ min: 0.01, max: 7, noNaN: true }),
    fc.constantFrom(1 / 3, 0.1, 0.7, 1, 2.5, 1_000, 1e6)
  ),
  per: fc.oneof(
    fc.integer({ min: 1, max: 5_000 }),
    fc.constantFrom(86_400_000, 30 * 86_400_000, 365 * 86_400_000)
  )
})

describe("a rate", () => {
  it("is exceeded in no stretch of time by more than what was saved up, fractions or not", () => {
    fc.assert(
      fc.property(
        anyRate,
        fc.array(fc.double({ min: 0, max: 3, noNaN: true }), { minLength: 1, maxLength: 60 }),
        fc.constantFrom(0, 1, 1_700_000_000_000),
        (rate, gaps, epoch) => {
          const queue = Queue.make({ a: { rate } })
          const each = perMillis(rate)
          const capacity = Math.max(1, rate.times)
          const times: Array<number> = []
          let now = epoch
          gaps.forEach((gap, n) => {
            now += Math.floor(gap * each)
            for (let k = 0; k < 4; k++) queue.add(`${n} ${k}`, "a")
            for (let k = 0; k < 4; k++) {
              if (queue.take(now, always) === undefined) break
              times.push(now)
            }
          })
          for (let i = 0; i < times.length; i++) {
            for (let j = i; j < times.length; j++) {
              const most = capacity + (times[j]! - times[i]!) / each
              expect(j - i + 1).toBeLessThanOrEqual(most + 1e-6)
            }
          }
        }
      ),
      drawn(500)
    )
  })

  it("comes at the moment it says, and not before", () => {
    fc.assert(
      fc.property(
        anyRate,
        fc.integer({ min: 1, max: 20 }),
        fc.nat(10_000),
        (rate, runs, since) => {
          const queue = Queue.make({ a: { rate } })
          let now = 1_700_000_000_000 + since
          const total = runs + Math.min(20, Math.ceil(rate.times))
          for (let n = 0; n < total; n++) queue.add(`r${n}`, "a")
          for (let n = 0; n < total; n++) {
            if (queue.take(now, always) !== undefined) continue
            const next = queue.nextAt(now)
            expect(Number.isInteger(next)).toBe(true)
            expect(next).toBeGreaterThan(now)
            // A billionth of the time of one, and a millisecond, are rounding errors.
            const early = next - 2 - Math.ceil(perMillis(rate) * 1e-9)
            if (early > now) assert.equal(queue.take(early, always), undefined)
            now = next
            expect(queue.nextAt(now)).toBe(Infinity)
            expect(queue.take(now, always)).toMatchObject({ runId: `r${n}`, workflow: "a" })
          }
        }
      ),
      drawn(500)
    )
  })

  it("is kept when the clock goes back, and goes on when it has come back", () => {
    const queue = Queue.make({ a: { rate: { times: 1, per: 1_000 } } })
    for (const id of ["x", "y", "z"]) queue.add(id, "a")
    expect(queue.take(10_000, always)?.runId).toBe("x")
    expect(queue.take(2_000, always)).toBeUndefined()
    expect(queue.nextAt(2_000)).toBeGreaterThan(2_000)
    expect(queue.take(10_999, always)).toBeUndefined()
    expect(queue.take(11_000, always)?.runId).toBe("y")
    expect(queue.take(11_999, always)).toBeUndefined()
    expect([12_000, 12_001]).toContain(queue.nextAt(11_999))
    expect(queue.take(12_000, always)?.runId).toBe("z")
  })

  it("that never fills up again lets one begin, and no other", () => {
    const queue = Queue.make({ a: { rate: { times: Number.MIN_VALUE, per: "1 day" } } })
    for (const id of ["x", "y"]) queue.add(id, "a")
    expect(queue.take(0, always)?.runId).toBe("x")
    expect(queue.nextAt(0)).toBe(Infinity)
    expect(queue.take(Number.MAX_SAFE_INTEGER, always)).toBeUndefined()
    expect(queue.size()).toBe(1)
  })
})

describe("what cannot begin", () => {
  it("because its workflow is at its limit is in nobody's way, and no reason to look", () => {
    const limits = { a: { concurrency: 1, priority: 9, rate: { times: 1, per: 1_000 } } }
    const queue = Queue.make(limits)
    for (const id of ["a1", "a2"]) queue.add(id, "a")
    queue.add("b1", "b")
    const first = queue.take(0, always)!
    expect(first.runId).toBe("a1")
    expect(queue.take(5_000, always)?.runId).toBe("b1")
    expect(queue.take(5_000, always)).toBeUndefined()
    // Both limits hold it: only the end of the other one lets it begin.
    expect(queue.nextAt(0)).toBe(Infinity)
    queue.over(first)
    expect(queue.nextAt(0)).toBe(1_000)
    expect(queue.take(999, always)).toBeUndefined()
    expect(queue.take(1_000, always)?.runId).toBe("a2")
  })

  it("because it is driven keeps its place in the line, and lets the next one pass", () => {
    const queue = Queue.make({ a: { priority: 1 } })
    for (const id of ["x", "y"]) queue.add(id, "a")
    queue.add("z", "b")
    const isFree = (runId: string) => runId !== "x"
    expect(queue.take(0, isFree)?.runId).toBe("y")
    expect(queue.take(0, isFree)?.runId).toBe("z")
    expect(queue.take(0, isFree)).toBeUndefined()
    expect(queue.nextAt(0)).toBe(Infinity)
    queue.add("y", "a")
    expect(queue.take(0, always)?.runId).toBe("x")
    expect(queue.take(0, always)?.runId).toBe("y")
  })

  it("spends nothing of the rate", () => {
    const queue = Queue.make({ a: { rate: { times: 1, per: 1_000 } } })
    queue.add("x", "a")
    for (let now = 0; now < 10; now++) expect(queue.take(now, () => false)).toBeUndefined()
    expect(queue.take(10, always)?.runId).toBe("x")
  })
})

describe("a workflow", () => {
  it("that nobody has named is looked at first, and named ones with any name have no limit", () => {
    const queue = Queue.make({ a: { priority: Number.MAX_VALUE } })
    const odd = ["constructor", "__proto__", "toString", "hasOwnProperty", "ä/ö"]
    for (const name of odd) for (let n = 0; n < 20; n++) queue.add(`${name} ${n}`, name)
    queue.add("of a", "a")
    queue.add("unnamed")
    expect(queue.take(0, always)).toMatchObject({ runId: "unnamed", workflow: undefined })
    expect(queue.take(0, always)?.runId).toBe("of a")
    for (const name of odd) {
      for (let n = 0; n < 20; n++) expect(queue.take(0, always)?.runId).toBe(`${name} ${n}`)
    }
  })

  it("has no limits where there are none, and the queue says so", () => {
    expect(Queue.make({}).isLimited).toBe(false)
    expect(Queue.make({ a: {} }).isLimited).toBe(true)
  })
})

it("a queue that is cleared has nothing, and takes more", () => {
  const queue = Queue.make({ a: { rate: { times: 1, per: 1_000 } } })
  for (const id of ["x", "y"]) queue.add(id, "a")
  queue.add("z")
  expect(queue.take(0, always)?.runId).toBe("z")
  expect(queue.take(0, always)?.runId).toBe("x")
  queue.keep(() => false)
  expect(queue.size()).toBe(0)
  expect(queue.nextAt(0)).toBe(Infinity)
  expect(queue.take(10_000, always)).toBeUndefined()
  queue.add("y", "a")
  expect(queue.take(10_000, always)?.runId).toBe("y")
})

describe("what was told of and what was found due", () => {
  const order = (queue: Queue.Queue) => {
    const seen: Array<string> = []
    for (;;) {
      const taken = queue.take(0, always)
      if (taken === undefined) return seen
      seen.push(taken.runId)
    }
  }

  it("take turns, each in its order", () => {
    const queue = Queue.make({})
    for (const n of [1, 2, 3, 4]) queue.add(`due ${n}`, undefined, "found")
    for (const n of [1, 2]) queue.add(`told ${n}`)
    expect(order(queue)).toEqual(["told 1", "due 1", "told 2", "due 2", "due 3", "due 4"])
  })

  it("are one run when it is both", () => {
    const queue = Queue.make({})
    queue.add("r", undefined, "found")
    queue.add("r")
    queue.add("r", "a", "found")
    expect(order(queue)).toEqual(["r"])
  })

  it("do not change who has the higher priority", () => {
    const queue = Queue.make({ high: { priority: 1 } })
    queue.add("low", "low")
    for (const n of [1, 2]) queue.add(`high ${n}`, "high", "found")
    expect(order(queue)).toEqual(["high 1", "high 2", "low"])
  })

  it("are dropped by whether they pass, and by when they came", () => {
    const queue = Queue.make({})
    queue.add("old")
    queue.add("due", undefined, "found")
    const before = queue.arrivals()
    queue.add("new")
    queue.keep((runId, arrival) => arrival > before || runId === "due")
    expect(order(queue)).toEqual(["new", "due"])
  })
})
