/**
 * A process may die at every write, and a storage may swallow every answer: another process goes on, nothing
 * that was acknowledged is lost or done again, and the run comes to the same end.
 *
 * All through the public API, on the memory storage behind a driver that fails as it is told.
 * `TEST_AMOUNT=20` draws twenty times as many random bodies.
 */
import fc from "fast-check"
import { describe, expect, it, vi } from "vitest"
import * as MemoryDriver from "../src/MemoryDriver.ts"
import { drawn, patience } from "./support/amount.ts"
import { type Call, type Fate, type Plan, wellDone } from "./support/faults.ts"
import { worldOf } from "./support/faults.ts"
import { type Program, programs } from "./support/programs.ts"
import { random, scenarios } from "./support/scenarios.ts"
import { attempt, type Left, outcomes, runId, type Scenario, story } from "./support/trial.ts"

vi.setConfig({ testTimeout: patience })

/** Which call, and what becomes of it. */
interface Point {
  readonly call: number
  readonly fate: Fate
}

const show = ({ call, fate }: Point, calls: ReadonlyArray<Call>) =>
  `${typeof fate === "object" ? `dies after line ${fate.diesWithin}` : fate} at call ${call} (${
    calls[call]?.verb ?? "beyond the last"
  })`

/** Fails the one call, and lets all others pass. */
const at = ({ call, fate }: Point): Plan => {
  let n = 0
  return () => n++ === call ? fate : "done"
}

/** The run without faults, and every call it made that changes something. */
const undisturbed = (scenario: Scenario) => {
  const calls: Array<Call> = []
  const left = attempt(scenario, [(call) => {
    calls.push(call)
    return "done"
  }])
  return { left, calls }
}

/** Every point at which a process can die. */
const deaths = (calls: ReadonlyArray<Call>): ReadonlyArray<Point> =>
  calls.flatMap(({ lines }, call) => [
    { call, fate: "dies before" as const },
    ...Array.from({ length: lines - 1 }, (_, k) => ({ call, fate: { diesWithin: k + 1 } })),
    { call, fate: "dies after" as const }
  ])

/** What must hold whatever happened. */
const isSound = ({ early, journal, lost, rejected, replayed, reran }: Left) => {
  const ids = journal.flatMap((entry) => entry.type === "step" ? [entry.stepId] : [])
  const events = journal.flatMap((entry) =>
    entry.type === "event" || entry.type === "cancel"
      || entry.type === "resume" && entry.value !== undefined
      ? [entry.eventId]
      : []
  )
  return {
    lost,
    reran,
    early,
    rejected,
    replays: replayed !== "Diverged" && replayed !== "Broke",
    twice: [...ids, ...events].filter((id, n, all) => all.indexOf(id) !== n)
  }
}
const sound = { lost: [], reran: [], early: [], rejected: 0, replays: true, twice: [] }

/** All that must not depend on where a process died. */
const comparable = (left: Left, scenario: Scenario) => ({
  answer: left.answer,
  outcomes: outcomes(left.journal),
  story: scenario.sequential ? story(left.journal) : [],
  ...isSound(left)
})

/** `since` tells when a wait began, which a death may delay where time passes. */
const timeless = (answer: unknown): unknown =>
  JSON.parse(JSON.stringify(answer ?? null, (key, value: unknown) => key === "since" ? 0 : value))

const same = (scenario: Scenario, left: Left, expected: Left, where: string) => {
  const [is, should] = [left, expected].map((one) => {
    const { answer, ...rest } = comparable(one, scenario)
    return { where, answer: timeless(answer), ...rest }
  })
  expect(is).toEqual({ ...should, ...sound })
}

const everyScenario = Object.entries(scenarios)

describe.each(everyScenario)("%s", (_, scenario) => {
  const { calls, left: expected } = undisturbed(scenario)

  it("is sound when nothing fails", () => {
    expect(isSound(expected)).toEqual(sound)
    expect(expected.processes).toBe(1)
    expect(Object.values(expected.ran).every((times) => times === 1)).toBe(true)
  })

  it("ends the same when its process dies at any write", () => {
    for (const point of deaths(calls)) {
      const left = attempt(scenario, [at(point)])
      expect(left.processes).toBe(2)
      same(scenario, left, expected, show(point, calls))
    }
  })

  it("ends the same when the next process dies as well", () => {
    for (const first of deaths(calls)) {
      for (let call = 0; call < 6; call++) {
        for (const fate of ["dies before", "dies after"] as const) {
          const second = { call, fate }
          const left = attempt(scenario, [at(first), at(second)])
          same(scenario, left, expected, `${show(first, calls)}, then ${show(second, [])}`)
        }
      }
    }
  })

  it("ends the same when the lease of the dead process has to run out", () => {
    for (const point of deaths(calls)) {
      const left = attempt(scenario, [at(point)], worldOf(MemoryDriver.make(), "held"))
      same(scenario, left, expected, show(point, calls))
    }
  })

  it("settles an append that the storage did not answer, in the same session", () => {
    const sessions = expected.journal.filter(({ type }) => type === "start").length
    calls.forEach(({ verb }, call) => {
      if (verb !== "append") return
      for (const fate of ["lost", "unanswered"] as const) {
        const left = attempt(scenario, [at({ call, fate })])
        same(scenario, left, expected, show({ call, fate }, calls))
        expect(left.journal.filter(({ type }) => type === "start")).toHaveLength(sessions)
        expect(left.ran).toEqual(expected.ran)
      }
    })
  })

  it("settles an append that is not answered again and again", () => {
    calls.forEach(({ verb }, call) => {
      if (verb !== "append") return
      for (
        const fates of [
          ["lost", "lost", "unanswered", "lost"],
          ["unanswered", "unanswered", "lost"],
          ["lost", "lost", "lost", "lost", "lost", "lost"]
        ] as const
      ) {
        let n = 0
        const left = attempt(scenario, [() => fates[n++ - call] ?? "done"])
        same(scenario, left, expected, `${fates.join(", ")} from call ${call}`)
        expect(left.ran).toEqual(expected.ran)
      }
    })
  })

  it("ends the same when a call fails and its caller repeats it", () => {
    calls.forEach((_, call) => {
      for (const fate of ["lost", "unanswered", "fails", "fails after"] as const) {
        const left = attempt(scenario, [at({ call, fate })])
        same(scenario, left, expected, show({ call, fate }, calls))
      }
    })
  })
})

describe("a random body", () => {
  const kinds = { throws: false, once: false }
  const everything = programs({
    ...kinds,
    fans: ["all", "race", "any", "each"],
    shared: true,
    fails: true
  })
  // What timing cannot change: no races, nothing shared, no failure that cancels others.
  const independent = programs({
    ...kinds,
    fans: ["all", "each"],
    shared: false,
    fails: false,
    own: true
  })
  const sequential = programs({ ...kinds, fans: [], shared: true, fails: true })

  /** A few of all points at which a process can die; `where` decides. */
  const some = (calls: ReadonlyArray<Call>, where: ReadonlyArray<number>) => {
    const all = deaths(calls)
    return [...new Set(where.map((n) => all[n % all.length]!))]
  }

  const where = fc.array(fc.nat(), { minLength: 4, maxLength: 8, size: "max" })

  const check = (
    options: { readonly sequential: boolean; readonly failing: boolean },
    judge: (scenario: Scenario, left: Left, expected: Left, point: string) => void
  ) =>
  (program: Program, where: ReadonlyArray<number>) => {
    const scenario = random(program, options)
    const { calls, left: expected } = undisturbed(scenario)
    expect(isSound(expected)).toEqual(sound)
    for (const point of some(calls, where)) {
      judge(scenario, attempt(scenario, [at(point)]), expected, show(point, calls))
    }
  }

  it("without branches ends the same, with the same journal, wherever its process dies", () => {
    fc.assert(
      fc.property(sequential, where, check({ sequential: true, failing: true }, same)),
      drawn(100)
    )
  })

  it("whose branches do not depend on each other ends the same wherever its process dies", () => {
    fc.assert(
      fc.property(independent, where, check({ sequential: false, failing: false }, same)),
      drawn(50)
    )
  })

  const ends = (_: Scenario, left: Left, expected: Left, point: string) => {
    expect({ point, ...isSound(left) }).toEqual({ point, ...sound })
    expect((left.answer as { status: string }).status).toMatch(/success|failed/)
    // What a step came to is its own, whoever won.
    const [is, should] = [outcomes(left.journal), outcomes(expected.journal)]
    for (const id of Object.keys(is).filter((id) => id in should)) expect(is[id]).toBe(should[id])
  }

  it("of any kind ends, loses nothing and repeats nothing, wherever its process dies", () => {
    fc.assert(
      fc.property(everything, where, check({ sequential: false, failing: true }, ends)),
      drawn(50)
    )
  })

  it("of any kind does so when one process after the other dies", () => {
    const points = fc.array(
      fc.record<Point>({
        call: fc.nat(12),
        fate: fc.constantFrom<Fate>("dies before", "dies after", { diesWithin: 1 })
      }),
      { minLength: 2, maxLength: 8, size: "max" }
    )
    fc.assert(
      fc.property(everything, points, (program, points) => {
        const scenario = random(program, { sequential: false, failing: true })
        const left = attempt(scenario, points.map(at))
        ends(scenario, left, undisturbed(scenario).left, JSON.stringify(points))
      }),
      drawn(200)
    )
  })

  it("ends the same when the storage does not answer now and then", () => {
    const fates = fc.array(fc.constantFrom<Fate>("done", "done", "lost", "unanswered"), {
      minLength: 5,
      maxLength: 60,
      size: "max"
    })
    fc.assert(
      fc.property(sequential, fates, (program, fates) => {
        const scenario = random(program, { sequential: true, failing: true })
        const { left: expected } = undisturbed(scenario)
        // Never more failures in a row than an append is repeated.
        let n = 0
        let row = 0
        const plan: Plan = () => {
          const fate = fates[n++] ?? "done"
          row = fate === "done" ? 0 : row + 1
          return row > 4 ? "done" : fate
        }
        same(scenario, attempt(scenario, [plan]), expected, JSON.stringify(fates))
      }),
      drawn(150)
    )
  })
})

describe("a step that must not run twice", () => {
  it("is left to a person when its process died between intent and outcome", () => {
    const program: Program = [{ t: "step", name: "a", once: true }, { t: "step", name: "b" }]
    const scenario = random(program, { sequential: true, failing: false })
    const { calls, left: expected } = undisturbed(scenario)
    for (const point of deaths(calls)) {
      const left = attempt(scenario, [at(point)])
      expect(left.ran.a ?? 0).toBeLessThanOrEqual(1)
      const settled = "a" in outcomes(left.journal)
      if (settled) same(scenario, left, expected, show(point, calls))
      expect(left.answer).toMatchObject(
        settled ? { status: "success" } : { status: "blocked", reason: `OutcomeUnknown: "a"` }
      )
    }
  })
})

describe("a step that must not run twice, beside others", () => {
  it("does not run again while the others go on", () => {
    const program: Program = [{
      t: "fan",
      op: "all",
      record: true,
      branches: [
        [{ t: "step", name: "a", once: true } as const],
        [{ t: "wait", event: "x" } as const, { t: "step", name: "b" } as const]
      ].map((body) => ({ form: "function", body }))
    }]
    const scenario: Scenario = {
      ...random(program, { sequential: false, failing: false }),
      script: (n, _, workflow) =>
        n === 0
          ? workflow.start(undefined, { runId })
          : n === 1
          ? workflow.resume(runId, { eventName: "x", eventId: "e1", value: 1 })
          : undefined
    }
    const { calls, left: expected } = undisturbed(scenario)
    expect(expected.answer).toMatchObject({ status: "success" })
    for (const point of deaths(calls)) {
      const left = attempt(scenario, [at(point)])
      const once = "all[k0]/a"
      expect(left.ran[once] ?? 0).toBeLessThanOrEqual(1)
      expect(left.ran["all[k1]/b"]).toBeGreaterThanOrEqual(1)
      expect(left.answer).toMatchObject({
        status: once in outcomes(left.journal) ? "success" : "blocked"
      })
      expect(isSound(left)).toEqual(sound)
    }
  })
})

describe("the driver that fails on purpose", () => {
  it("catches a test that would not notice: a death loses what was not written", () => {
    const [, scenario] = everyScenario[0]!
    const { calls } = undisturbed(scenario)
    const appends = calls.flatMap(({ verb }, call) => verb === "append" ? [call] : [])
    const first = attempt(scenario, [at({ call: appends[1]!, fate: "dies before" }), wellDone])
    expect(first.ran.classify).toBe(2)
    const second = attempt(scenario, [at({ call: appends[1]!, fate: "dies after" }), wellDone])
    expect(second.ran.classify).toBe(1)
  })
})
