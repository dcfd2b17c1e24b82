/**
 * Workers, storage and clocks simulated from a seed: processes that are killed, stopped and started again, clocks
 * that differ, requests that are late, lost or not answered. Whatever happens, every run comes to the right
 * end, and nothing that was promised is broken.
 *
 * `SIMULATION_SEED=123 npx vitest run test/worker/simulation.test.ts` plays one seed and prints what happened;
 * `TEST_AMOUNT=20` plays twenty times as many.
 */
import { describe, expect, it, vi } from "vitest"
import { patience, runs } from "../support/amount.ts"
import type { StorageBug } from "./simulation/disk.ts"
import { commandOf, complaints } from "./simulation/judge.ts"
import { type Options, play, type WorkerBug } from "./simulation/play.ts"

vi.setConfig({ testTimeout: patience })

const groups = 20
const seeds = runs(1_000)

/** What is wrong with how a seed went, and how to see it. */
const report = (seed: number): string => {
  const found = complaints(play(seed))
  return found.length === 0 ? "" : `\n${found.join("\n")}\nSee it with: ${commandOf(seed)}\n`
}

const only = process.env.SIMULATION_SEED

describe.runIf(only !== undefined)(`seed ${only}`, () => {
  it("goes well", () => {
    const outcome = play(Number(only), { isTraced: true })
    process.stdout.write(`${outcome.world.trace!.join("\n")}\n`)
    expect(complaints(outcome)).toEqual([])
  })
})

describe.runIf(only === undefined)("whatever happens to processes, storage and clocks", () => {
  const each = Math.max(1, Math.ceil(seeds / groups))
  for (let first = 1; first <= seeds; first += each) {
    const last = Math.min(seeds, first + each - 1)
    it(`every run comes to its end, and each promise is kept, from seed ${first} to ${last}`, () => {
      const reports: Array<string> = []
      for (let seed = first; seed <= last; seed++) {
        const found = report(seed)
        if (found !== "") reports.push(found)
      }
      expect(reports.join("")).toBe("")
    })
  }
})

describe.runIf(only === undefined)("a seed", () => {
  it("is played the same each time, to the last step", () => {
    for (let seed = 1; seed <= runs(12); seed++) {
      const first = play(seed, { isTraced: true }).world.trace!
      // Another one in between: nothing may be left over from it.
      play(seed + 100)
      const second = play(seed, { isTraced: true }).world.trace!
      expect(first.length).toBeGreaterThan(100)
      expect(second).toEqual(first)
    }
  })

  it("takes neither time nor chance from the platform", () => {
    const asked: Array<string> = []
    const watched = [
      vi.spyOn(Math, "random"),
      vi.spyOn(performance, "now"),
      vi.spyOn(globalThis, "setTimeout"),
      vi.spyOn(globalThis, "setImmediate"),
      vi.spyOn(globalThis, "queueMicrotask")
    ]
    try {
      for (let seed = 1; seed <= 5; seed++) play(seed)
      for (const spy of watched) {
        if (spy.mock.calls.length > 0) asked.push(spy.getMockName())
      }
    } finally {
      for (const spy of watched) spy.mockRestore()
    }
    expect(asked).toEqual([])
  })

  it("brings about what it is meant to", () => {
    const seen = { kills: 0, stops: 0, closes: 0, late: 0, unanswered: 0, moved: 0, blocked: 0 }
    for (let seed = 1; seed <= 60; seed++) {
      const { blocked, disk, world } = play(seed, { isTraced: true })
      const trace = world.trace!.join("\n")
      const count = (what: RegExp) => trace.match(what)?.length ?? 0
      seen.kills += count(/trouble: kill/g)
      seen.stops += count(/trouble: stop/g)
      seen.closes += count(/is closed/g)
      seen.late += count(/\(late\)/g)
      seen.unanswered += count(/\(unanswered\)/g)
      seen.moved += disk.moved.length
      seen.blocked += blocked.size
    }
    const { blocked, ...others } = seen
    expect(blocked).toBeGreaterThan(0)
    expect(Object.entries(others).filter(([, times]) => times <= 20)).toEqual([])
  })
})

/** Bugs, and in how many seeds they must be found; what is found must be due to them. */
const storageBugs: Record<StorageBug, RegExp> = {
  "appends whatever the state is": /lines that do not count|lost its acknowledged/,
  "keeps a lease for ever": /never over/,
  "gives everybody the lease": /two drove|that had lost its run|still/,
  "loses a post that it acknowledges": /never took/,
  "loses an append that it acknowledges": /lost its acknowledged|corrupt|without a session/,
  "keeps one line of an append": /lost its acknowledged|corrupt|never over/,
  "writes an append twice": /lines that do not count/,
  "overlooks timers": /never over/,
  "overlooks posts": /never over/,
  "overlooks open runs": /never over/
}

const workerBugs: Record<WorkerBug, RegExp> = {
  "never looks": /never over/,
  "forgets what it drove": /never over/,
  "takes every step for repeatable": /paid 2 times/
}

describe.runIf(only === undefined)("a simulation finds", () => {
  /** Where sound code is blameless, and the bug is seen. */
  const finds = (options: Options, says: RegExp) => {
    for (let seed = 1; seed <= 40; seed++) {
      const found = complaints(play(seed, options))
      if (found.some((what) => says.test(what)) && complaints(play(seed)).length === 0) return seed
    }
    return undefined
  }
  for (const [bug, says] of Object.entries(storageBugs)) {
    it(`a storage that ${bug}`, () => {
      expect(finds({ storageBug: bug as StorageBug }, says)).toBeDefined()
    })
  }
  for (const [bug, says] of Object.entries(workerBugs)) {
    it(`a worker that ${bug}`, () => {
      expect(finds({ workerBug: bug as WorkerBug }, says)).toBeDefined()
    })
  }
})
