/** Times as the inspector says them, and where they stand on its timeline. */
import { describe, expect, it } from "vitest"
import { scaleOf, spanOf } from "../../inspector/scale.ts"
import { ago, clock, distance, exact, iso, span } from "../../inspector/time.ts"

const minute = 60_000, hour = 60 * minute, day = 24 * hour

describe("span", () => {
  it.each([
    [0, "0 ms"],
    [999, "999 ms"],
    [999.7, "1.00 s"],
    [1_234, "1.23 s"],
    [9_996, "10.0 s"],
    [59_949, "59.9 s"],
    [59_950, "1m"],
    [61_000, "1m 1s"],
    [hour + 59 * minute, "1h 59m"],
    [hour + 5_000, "1h"],
    [3 * day + 4 * hour, "3d 4h"],
    [Infinity, "?"]
  ])("says %d as %s", (millis, said) => {
    expect(span(millis)).toBe(said)
  })
})

describe("ago", () => {
  it.each([
    [4_000, "now"],
    [59_000, "59s ago"],
    [minute, "1m ago"],
    [2 * hour - 1_000, "1h ago"],
    [49 * hour, "2d ago"],
    [-90_000, "in 1m"],
    [Number.NaN, "?"]
  ])("says %d milliseconds as %s", (passed, said) => {
    const now = 1_800_000_000_000
    expect(ago(now - passed, now)).toBe(said)
  })
})

describe("clock", () => {
  const at = new Date(2026, 4, 3, 9, 5, 7, 42).getTime()

  it("leaves out the day when it is today", () => {
    expect(clock(at, at + 1_000)).toBe("09:05:07")
    expect(clock(at, at + day)).toBe("2026-05-03 09:05:07")
    expect(exact(at, at)).toBe("09:05:07.042")
  })

  it("has words for what is no time", () => {
    expect(clock(Number.NaN, at)).toBe("an unknown time")
    expect(exact(1e300, at)).toBe("an unknown time")
    expect(iso(Number.NaN)).toBe("")
    expect(iso(0)).toBe("1970-01-01T00:00:00.000Z")
  })
})

describe("distance", () => {
  it.each([[10, 10, 1], [1_000, 10, 100], [90_000, 8, 15_000], [10 * day, 5, 2 * day]])(
    "of %d milliseconds with at most %d marks is %d",
    (length, count, expected) => {
      expect(distance(length, count)).toBe(expected)
    }
  )

  it("is found for any length", () => {
    expect(1e15 / distance(1e15, 10)).toBeLessThanOrEqual(10)
  })
})

describe("spanOf", () => {
  it("goes on until now for what is under way, and ends where nothing more is known", () => {
    expect(spanOf({ stepId: "a", kind: "step", state: "running", startedAt: 5 }, 9))
      .toEqual({ from: 5, to: 9 })
    expect(spanOf({ stepId: "a", kind: "step", state: "done", startedAt: 5, endedAt: 7 }, 9))
      .toEqual({ from: 5, to: 7 })
    expect(spanOf({ stepId: "a", kind: "step", state: "unknown", startedAt: 5 }, 9))
      .toEqual({ from: 5, to: 5 })
    expect(spanOf({ stepId: "a", kind: "step", state: "done", endedAt: 9, duration: 4 }, 20))
      .toEqual({ from: 5, to: 9 })
    expect(spanOf({ stepId: "a", kind: "step", state: "dropped" }, 9)).toBeUndefined()
  })
})

describe("scaleOf", () => {
  it("spreads time evenly when nothing is squeezed", () => {
    const { ticks, x } = scaleOf({ from: 1_000, to: 2_000 })
    expect([x(0), x(1_000), x(1_500), x(2_000), x(9_000)]).toEqual([0, 0, 0.5, 1, 1])
    expect(ticks.map(({ label }) => label).slice(0, 3)).toEqual(["0", "+100 ms", "+200 ms"])
  })

  it("leaves most of the width to what was done, however long it waited", () => {
    const busy = [{ from: 0, to: 1_000 }, { from: day, to: day + 1_000 }]
    const { segments, x } = scaleOf({ from: 0, to: day + 1_000 }, busy)
    expect(segments.map(({ isSqueezed }) => isSqueezed)).toEqual([false, true, false])
    expect(x(1_000)).toBeGreaterThan(0.4)
    expect(x(day) - x(1_000)).toBeLessThan(0.1)
    expect(x(day + 1_000)).toBeCloseTo(1)
  })

  it("never goes back, and stays within its width", () => {
    const busy = Array.from(
      { length: 40 },
      (_, i) => ({ from: i * i * 977, to: i * i * 977 + 300 })
    )
    const { ticks, x } = scaleOf({ from: 0, to: 40 * 40 * 977 }, busy)
    let last = 0
    for (let time = -500; time < 40 * 40 * 977 + 5_000; time += 1_003) {
      const now = x(time)
      expect(now).toBeGreaterThanOrEqual(last)
      expect(now).toBeLessThanOrEqual(1 + 1e-9)
      last = now
    }
    for (const [i, tick] of ticks.entries()) {
      expect(tick.x).toBeGreaterThanOrEqual(i === 0 ? 0 : ticks[i - 1]!.x)
    }
  })

  it("shows a run in which nothing is done, and one that took no time", () => {
    expect(scaleOf({ from: 5, to: 5 }, []).x(5)).toBe(0)
    const waits = scaleOf({ from: 0, to: day }, [])
    expect(waits.x(day / 2)).toBeCloseTo(0.5)
  })
})
