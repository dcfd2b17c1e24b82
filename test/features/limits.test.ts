/**
 * How long a journal may get: a warning, then a stop that loses nothing, can be cancelled, and is lifted by
 * a higher limit.
 */
import { Context, Effect, Logger, Schema } from "effect"
import { Instruction, Runs, Storage, Workflow } from "reprise"
import { describe, expect, it } from "vitest"
import { Simulation } from "../support/simulation.ts"

const runId = "r1"
const tooLong = { status: "blocked", reason: "JournalTooLong" }

/** A storage, and what was warned of; each call has limits of its own. */
const lab = () => {
  const storage = Storage.make(Storage.memoryDriver())
  const simulation = new Simulation()
  const warnings: Array<string> = []
  const logger = Logger.make(({ logLevel, message }) => {
    if (logLevel === "Warn") warnings.push(String(message))
  })
  const get = <A, E>(
    program: Effect.Effect<A, E, Storage.Storage>,
    limits?: Workflow.JournalLimitsShape
  ): A =>
    simulation.get(
      Effect.provide(
        limits === undefined
          ? program
          : Effect.provideService(program, Workflow.JournalLimits, limits),
        Logger.layer([logger])
      ),
      Context.make(Storage.Storage, storage)
    )
  const journal = (id = runId) => get(Runs.journal(id))
  return {
    get,
    warnings,
    journal,
    types: (id?: string) => journal(id).entries.map(({ type }) => type)
  }
}

const loop = (ran: Array<number> = []) =>
  Workflow.make("loop", function*(ctx, times: number) {
    for (let n = 0; n < times; n++) yield* ctx.step("turn", () => void ran.push(n))
    return times
  })

describe("a journal that gets long", () => {
  it("is warned of once, with its length and what to do", () => {
    const { get, warnings } = lab()
    expect(get(loop().start(30, { runId }), { warn: 10, stop: 1_000 }))
      .toMatchObject({ result: 30 })
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toContain(`"${runId}"`)
    expect(warnings[0]).toMatch(/\b1\d entries/)
    expect(warnings[0]).toContain("ctx.continueAs")
    expect(warnings[0]).toContain("perRun")
  })

  it("is not warned of before", () => {
    const { get, types, warnings } = lab()
    get(loop().start(7, { runId }), { warn: 10, stop: 1_000 })
    expect(types()).toHaveLength(9)
    expect(warnings).toEqual([])
  })

  it.each(["sync", "async", "exit"] as const)("stops the run at the limit: %s", (durability) => {
    const { get, journal, types, warnings } = lab()
    const ran: Array<number> = []
    const workflow = loop(ran)
    const limits = { warn: 5, stop: 10 }
    expect(get(workflow.start(30, { runId, durability }), limits)).toMatchObject(tooLong)
    // Of what is counted before an append, one outcome may come on top.
    const { length } = types()
    expect([10, 11]).toContain(length)
    expect(ran).toHaveLength(length - 1)
    expect(warnings).toHaveLength(1)
    for (let n = 0; n < 3; n++) {
      expect(get(workflow.resume(runId), limits)).toMatchObject(tooLong)
      expect(get(workflow.start(30, { runId }), limits)).toMatchObject(tooLong)
    }
    expect(journal().entries).toHaveLength(length)
    expect(ran).toHaveLength(length - 1)
  })

  it("leaves a run that nobody should drive: it is not due", () => {
    const { get } = lab()
    const limits = { warn: 5, stop: 10 }
    get(loop().start(30, { runId }), limits)
    expect(get(Runs.due(), limits)).toEqual([])
  })

  it("goes on where the limit is higher, and repeats nothing", () => {
    const { get, journal } = lab()
    const ran: Array<number> = []
    const workflow = loop(ran)
    get(workflow.start(30, { runId }), { warn: 5, stop: 10 })
    expect(get(workflow.resume(runId), { warn: 5, stop: 20 })).toMatchObject(tooLong)
    expect(get(workflow.resume(runId))).toMatchObject({ status: "success", result: 30 })
    expect(ran).toEqual(Array.from({ length: 30 }, (_, n) => n))
    expect(workflow.replay(journal())).toMatchObject({ _tag: "Returned", value: 30 })
  })

  it("can still be cancelled, and its clean-up runs", () => {
    const { get, types } = lab()
    const limits = { warn: 5, stop: 10 }
    const tidied: Array<string> = []
    const workflow = Workflow.make("loop", function*(ctx) {
      try {
        for (;;) yield* ctx.step("turn", () => 1)
      } finally {
        yield* ctx.step("tidy", ({ stepId }) => void tidied.push(stepId))
        yield* ctx.step("tidy", ({ stepId }) => void tidied.push(stepId))
      }
    })
    expect(get(workflow.start(undefined, { runId }), limits)).toMatchObject(tooLong)
    expect(get(workflow.cancel(runId, { reason: "enough" }), limits))
      .toEqual({ status: "cancelled", reason: "enough", runId })
    expect(tidied).toEqual(["tidy", "tidy#2"])
    expect(types().at(-1)).toBe("cancelled")
  })

  it("keeps the outcome of what ran beside when it stops", () => {
    const { get, journal } = lab()
    const limits = { warn: 5, stop: 10 }
    const ran: Array<string> = []
    const workflow = Workflow.make("beside", function*(ctx) {
      return yield* ctx.forEach(["a", "b", "c"], (name, n) =>
        function*() {
          for (let k = 0; k < 8; k++) {
            yield* ctx.step("turn", ({ stepId }) =>
              Effect.andThen(
                Effect.sleep(n + 1),
                Effect.sync(() => void ran.push(stepId))
              ))
          }
          return name
        }, { key: (name) => name })
    })
    expect(get(workflow.start(undefined, { runId }), limits)).toMatchObject(tooLong)
    const journaled = journal().entries.flatMap((entry) =>
      entry.type === "step" ? [entry.stepId] : []
    )
    expect(journaled).toEqual(ran)
    expect(get(workflow.resume(runId))).toMatchObject({ result: ["a", "b", "c"] })
    expect(ran).toHaveLength(24)
    expect(new Set(ran).size).toBe(24)
  })

  it("leaves no intent behind whose step it did not let run", () => {
    const { get, types } = lab()
    const limits = { warn: 5, stop: 10 }
    const ran: Array<number> = []
    const workflow = Workflow.make("once", function*(ctx) {
      for (let n = 0; n < 12; n++) {
        yield* ctx.step("pay", () => void ran.push(n), { delivery: "at-most-once" })
      }
      return "paid"
    })
    expect(get(workflow.start(undefined, { runId }), limits)).toMatchObject(tooLong)
    expect(types().at(-1)).toBe("step")
    expect(get(workflow.resume(runId))).toMatchObject({ result: "paid" })
    expect(ran).toEqual(Array.from({ length: 12 }, (_, n) => n))
  })

  it("still takes an event, and lets a run end that has nothing left to do", () => {
    const { get, types } = lab()
    const limits = { warn: 1, stop: 3 }
    const workflow = Workflow.make("waits", { events: { go: Schema.String } }, function*(ctx) {
      yield* ctx.step("first", () => 1)
      return yield* ctx.suspend("go")
    })
    expect(get(workflow.start(undefined, { runId }), limits)).toMatchObject({
      status: "suspended"
    })
    expect(get(workflow.resume(runId, { eventName: "go", value: "on" }), limits))
      .toMatchObject({ status: "success", result: "on" })
    expect(types()).toEqual(["start", "step", "suspend", "start", "resume", "complete"])
  })

  it("never happens to a loop that goes on with ctx.continueAs", () => {
    const { get, types, warnings } = lab()
    const limits = { warn: 8, stop: 10 }
    const workflow = Workflow.make("years", function*(ctx, n: number) {
      yield* ctx.step("turn", () => n)
      if (n === 0) return "over"
      return yield* ctx.continueAs(n - 1)
    })
    expect(get(workflow.start(20, { runId }), limits)).toMatchObject({ result: "over" })
    expect(types()).toEqual(["start", "step", "continue"])
    expect(warnings).toEqual([])
  })

  it("never happens to many items that are split into runs", () => {
    const { get, types } = lab()
    const limits = { warn: 15, stop: 20 }
    const workflow = Workflow.make("items", function*(ctx) {
      const items = Array.from({ length: 60 }, (_, n) => n)
      const doubled = yield* ctx.forEach(items, (n) => ctx.step("double", () => 2 * n), {
        perRun: 10
      })
      return doubled.reduce((sum, n) => sum + n, 0)
    })
    expect(get(workflow.start(undefined, { runId }), limits)).toMatchObject({ result: 60 * 59 })
    expect(types().length).toBeLessThan(15)
  })

  it("does not stop what an undo has to do", () => {
    const { get, types } = lab()
    const limits = { warn: 5, stop: 6 }
    const undone: Array<string> = []
    const workflow = Workflow.make("saga", function*(ctx) {
      for (const name of ["a", "b", "c", "d"]) {
        yield* ctx.step(name, () => name).pipe(
          Instruction.withCompensation(() => ctx.step("undo", () => void undone.push(name)))
        )
      }
      return yield* ctx.fail("no")
    })
    get(workflow.start(undefined, { runId }), limits)
    const after = get(workflow.resume(runId))
    expect(after).toMatchObject({ status: "failed", error: "no" })
    expect(undone).toEqual(["d", "c", "b", "a"])
    expect(types().at(-1)).toBe("error")
  })
})
