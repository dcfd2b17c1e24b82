/**
 * What nobody can know and nobody can help: an at-most-once step whose process died with it is never run
 * again until a person says what became of it, and a run that kills every process stops being driven.
 */
import { Context, Effect, Exit, Logger, Schema } from "effect"
import { Instruction, Runs, Storage, Workflow } from "reprise"
import { describe, expect, it } from "vitest"
import type { Recorded } from "../../src/Entry.ts"
import { Died, failureOf, isDeath, type Plan, worldOf } from "../support/faults.ts"
import { Simulation } from "../support/simulation.ts"

const runId = "r1"
const hour = 3_600_000

/** Processes over one storage, one after the other; a step may kill the one it runs in. */
const lab = () => {
  const world = worldOf(Storage.memoryDriver())
  const simulation = new Simulation()
  const warnings: Array<string> = []
  const logger = Logger.make(({ logLevel, message }) => {
    if (logLevel === "Warn") warnings.push(String(message))
  })
  let process = world.process()
  const run = <A, E>(program: Effect.Effect<A, E, Storage.Storage>): Exit.Exit<A, E> => {
    const exit = simulation.run(
      Effect.provide(program, Logger.layer([logger])),
      Context.make(Storage.Storage, process.storage)
    )
    if (isDeath(exit)) process = world.process()
    else if (Exit.isFailure(exit) && failureOf(exit) === undefined) throw new Error(String(exit))
    return exit
  }
  const get = <A, E>(program: Effect.Effect<A, E, Storage.Storage>): A => {
    const exit = run(program)
    if (Exit.isSuccess(exit)) return exit.value
    throw new Error(`failed: ${String(exit.cause)}`)
  }
  const journal = (id = runId) => get(Runs.journal(id))
  return {
    get,
    /** Whether the process died of it. */
    dies: (program: Effect.Effect<unknown, unknown, Storage.Storage>) => isDeath(run(program)),
    /** The typed error of a call. */
    refused: <A, E>(program: Effect.Effect<A, E, Storage.Storage>): E => {
      const exit = run(program)
      const error = failureOf(exit)
      if (error === undefined) throw new Error("it did not fail")
      return error
    },
    /** The end of the process that runs now. */
    kill: (): never => {
      process.kill()
      throw new Died()
    },
    /** The next process, which fails as `plan` says. */
    next: (plan?: Plan) => {
      process = world.process(plan)
    },
    pass: (millis: number) => simulation.pass(millis),
    journal,
    types: (id = runId) => journal(id).entries.map(({ type }) => type),
    entry: <T extends Recorded["type"]>(type: T) =>
      journal().entries.filter((entry): entry is Extract<Recorded, { readonly type: T }> =>
        entry.type === type
      ),
    status: (id = runId) => get(Runs.status(id)),
    due: () => get(Runs.due()),
    warnings
  }
}

type Lab = ReturnType<typeof lab>

const Receipt = Schema.Struct({ no: Schema.Number, at: Schema.Date })
class Declined extends Schema.TaggedError<Declined>()("Declined", { why: Schema.String }) {}

/** A payment whose process dies while it is made, as long as `state.kills`. */
const payment = (of: Lab) => {
  const state = { kills: true, attempts: [] as Array<number> }
  const workflow = Workflow.make("payment", { error: Declined }, function*(ctx) {
    yield* ctx.step("reserve", () => "reserved")
    const paid = yield* ctx.step("charge", ({ attempt }: Instruction.StepInfo) => {
      state.attempts.push(attempt)
      return state.kills ? of.kill() : { no: attempt, at: new Date(attempt) }
    }, { delivery: "at-most-once", schema: Receipt }).pipe(
      Instruction.map(({ at, no }) => ({ no, at: at.getTime() })),
      Instruction.catchTag(
        "StepFailed",
        ({ message, tag }) => ctx.step("note", () => ({ no: -1, at: `${tag}: ${message}` }))
      )
    )
    yield* ctx.step("tell", () => "told")
    return paid
  })
  return { state, workflow }
}

const unknown = { status: "blocked", reason: `OutcomeUnknown: "charge"` }

/** A run whose payment nobody knows the outcome of. */
const stuck = () => {
  const of = lab()
  const { state, workflow } = payment(of)
  expect(of.dies(workflow.start(undefined, { runId }))).toBe(true)
  state.kills = false
  return { ...of, state, workflow }
}

describe("an at-most-once step whose process died with it", () => {
  it("blocks its run, and is never run again by itself", () => {
    const { due, get, journal, state, status, types, workflow } = stuck()
    expect(types()).toEqual(["start", "step", "intent"])
    const before = journal().entries.length
    for (let n = 0; n < 3; n++) {
      expect(get(workflow.resume(runId))).toMatchObject(unknown)
      expect(get(workflow.start(undefined, { runId }))).toMatchObject(unknown)
    }
    expect(status()).toMatchObject({ status: "blocked", intents: ["charge"] })
    expect(due()).toEqual([])
    expect(state.attempts).toEqual([1])
    expect(journal().entries.length).toBe(before)
    expect(workflow.replay(journal())).toMatchObject({ _tag: "Blocked", steps: ["charge"] })
  })

  it("goes on with the value that a person found", () => {
    const { due, entry, get, journal, state, workflow } = stuck()
    get(Runs.settle(runId, "charge", { value: { no: 7, at: "1970-01-01T00:00:00.007Z" } }))
    expect(due()).toEqual([runId])
    expect(get(workflow.resume(runId)))
      .toMatchObject({ status: "success", result: { no: 7, at: 7 } })
    expect(state.attempts).toEqual([1])
    const settled = entry("step").find(({ stepId }) => stepId === "charge")
    expect(settled).toMatchObject({ result: { no: 7 }, eventId: expect.any(String) })
    expect(workflow.replay(journal())).toMatchObject({ _tag: "Returned", value: { no: 7, at: 7 } })
  })

  it("goes on with the failure that a person found, as a body can handle it", () => {
    const { get, journal, state, workflow } = stuck()
    get(Runs.settle(runId, "charge", { failure: "the card was stolen" }))
    const result = { no: -1, at: "Settled: the card was stolen" }
    expect(get(workflow.resume(runId))).toMatchObject({ status: "success", result })
    expect(state.attempts).toEqual([1])
    expect(workflow.replay(journal())).toMatchObject({ value: result })
  })

  it("runs again when a person says so, with an intent of its own", () => {
    const { entry, get, journal, state, workflow } = stuck()
    get(Runs.settle(runId, "charge", { retry: true }))
    expect(get(workflow.resume(runId))).toMatchObject({ result: { no: 2, at: 2 } })
    expect(state.attempts).toEqual([1, 2])
    expect(entry("intent").map(({ attempt }) => attempt)).toEqual([1, 2])
    expect(workflow.replay(journal())).toMatchObject({ value: { no: 2, at: 2 } })
  })

  it("blocks again when it dies again after a retry", () => {
    const { dies, get, state, workflow } = stuck()
    state.kills = true
    get(Runs.settle(runId, "charge", { retry: true }))
    expect(dies(workflow.resume(runId))).toBe(true)
    state.kills = false
    expect(get(workflow.resume(runId))).toMatchObject(unknown)
    get(Runs.settle(runId, "charge", { retry: true }))
    expect(get(workflow.resume(runId))).toMatchObject({ result: { no: 3 } })
    expect(state.attempts).toEqual([1, 2, 3])
  })

  it("is settled once: what comes second changes nothing", () => {
    const { entry, get, refused, workflow } = stuck()
    get(Runs.settle(runId, "charge", { value: { no: 1, at: "1970-01-01T00:00:00.001Z" } }))
    get(Runs.settle(runId, "charge", { failure: "no, it was not" }))
    expect(get(workflow.resume(runId))).toMatchObject({ result: { no: 1, at: 1 } })
    expect(entry("step").filter(({ stepId }) => stepId === "charge")).toHaveLength(1)
    expect(refused(Runs.settle(runId, "charge", { retry: true })))
      .toMatchObject({ _tag: "SettleRejected", allowed: [] })
    expect(get(workflow.resume(runId))).toMatchObject({ status: "success" })
  })

  it("keeps what was settled when the process dies that was to take it", () => {
    const { dies, get, next, state, workflow } = stuck()
    get(Runs.settle(runId, "charge", { value: { no: 7, at: "1970-01-01T00:00:00.007Z" } }))
    next(({ verb }) => verb === "append" ? "dies before" : "done")
    expect(dies(workflow.resume(runId))).toBe(true)
    next(({ verb }) => verb === "append" ? "dies after" : "done")
    expect(dies(workflow.resume(runId))).toBe(true)
    expect(get(workflow.resume(runId))).toMatchObject({ result: { no: 7 } })
    expect(state.attempts).toEqual([1])
  })

  it("refuses a value that its schema does not decode: warned of, blocked still, and settleable", () => {
    const { entry, get, state, status, warnings, workflow } = stuck()
    get(Runs.settle(runId, "charge", { value: { no: "seven" } }))
    expect(get(workflow.resume(runId))).toMatchObject(unknown)
    expect(warnings.join("\n")).toContain("settled by hand")
    expect(entry("step").map(({ stepId }) => stepId)).toEqual(["reserve"])
    expect(status()).toMatchObject({ status: "blocked", intents: ["charge"] })
    get(Runs.settle(runId, "charge", { value: { no: 8, at: "1970-01-01T00:00:00.008Z" } }))
    expect(get(workflow.resume(runId))).toMatchObject({ result: { no: 8, at: 8 } })
    expect(state.attempts).toEqual([1])
  })

  it("does not grow its journal, nor stay due, for a settlement that is refused again and again", () => {
    const { due, get, journal, workflow } = stuck()
    get(Runs.settle(runId, "charge", { value: { no: "seven" } }))
    get(workflow.resume(runId))
    const after = journal().entries.length
    for (let n = 0; n < 15; n++) {
      expect(get(workflow.resume(runId))).toMatchObject(unknown)
    }
    expect(journal().entries.length).toBe(after)
    expect(due()).toEqual([])
  })

  it("does not stay due for a second settlement that came too late", () => {
    const of = lab()
    let kills = true
    const workflow = Workflow.make("late", { events: { go: Schema.String } }, function*(ctx) {
      const paid = yield* ctx.step("charge", () => kills ? of.kill() as string : "paid", {
        delivery: "at-most-once"
      })
      return [paid, yield* ctx.suspend("go")]
    })
    of.dies(workflow.start(undefined, { runId }))
    kills = false
    of.get(Runs.settle(runId, "charge", { value: "found" }))
    of.get(Runs.settle(runId, "charge", { value: "found again" }))
    for (let n = 0; n < 3; n++) {
      expect(of.get(workflow.resume(runId))).toMatchObject({ status: "suspended" })
    }
    expect(of.due()).toEqual([])
    const before = of.journal().entries.length
    of.get(workflow.resume(runId))
    expect(of.journal().entries.length).toBe(before)
    expect(of.get(workflow.resume(runId, { eventName: "go", value: "on" })))
      .toMatchObject({ result: ["found", "on"] })
  })

  it("may be cancelled instead, and its body cleans up", () => {
    const of = lab()
    const seen: Array<string> = []
    const workflow = Workflow.make("payment", function*(ctx) {
      try {
        yield* ctx.step("charge", () => of.kill() as number, { delivery: "at-most-once" })
      } finally {
        yield* ctx.step("tidy", () => void seen.push("tidied"))
      }
    })
    of.dies(workflow.start(undefined, { runId }))
    expect(of.get(workflow.cancel(runId))).toMatchObject({ status: "cancelled" })
    expect(seen).toEqual(["tidied"])
  })
})

describe("Runs.settle is refused", () => {
  it("for a step that has an outcome, was never begun, or is not there; and names those it can be for", () => {
    const { get, journal, refused, workflow } = stuck()
    const before = journal().entries.length
    for (const stepId of ["reserve", "tell", "nowhere", "charge#2", ""]) {
      const error = refused(Runs.settle(runId, stepId, { retry: true }))
      expect(error).toMatchObject({ _tag: "SettleRejected", stepId, allowed: ["charge"] })
      expect((error as Error).message).toContain(`"charge"`)
    }
    expect(get(workflow.resume(runId))).toMatchObject(unknown)
    expect(journal().entries.length).toBe(before)
  })

  it("for an at-least-once step, and for a run that does not exist or has ended", () => {
    const of = lab()
    const workflow = Workflow.make("plain", function*(ctx) {
      yield* ctx.step("work", () => of.kill() as number)
    })
    of.dies(workflow.start(undefined, { runId }))
    expect(of.refused(Runs.settle(runId, "work", { retry: true })))
      .toMatchObject({ _tag: "SettleRejected", allowed: [] })
    expect(of.refused(Runs.settle("nobody", "work", { retry: true })))
      .toMatchObject({ _tag: "RunNotFound" })
    const done = Workflow.make("done", function*() {})
    of.get(done.start(undefined, { runId: "r2" }))
    expect(of.refused(Runs.settle("r2"))).toMatchObject({ _tag: "RunClosed" })
  })
})

describe("an outcome that is unknown in one of several branches", () => {
  const branches = (of: Lab) => {
    const state = { kills: true, ran: [] as Array<string> }
    const workflow = Workflow.make("branches", { events: { go: Schema.String } }, function*(ctx) {
      return yield* ctx.all({
        once: ctx.forEach(["a", "b"], (name) =>
          ctx.step("pay", ({ attempt }) => {
            state.ran.push(`pay ${name}`)
            return Effect.andThen(
              Effect.sleep(1_000),
              Effect.sync(() => state.kills ? of.kill() : `paid ${name} ${attempt}`)
            )
          }, { delivery: "at-most-once" }), { key: (name) => name }),
        plain: function*() {
          yield* ctx.step("quick", () => void state.ran.push("quick"))
          yield* ctx.step("slow", () =>
            Effect.andThen(
              Effect.sleep(2_000),
              Effect.sync(() => void state.ran.push("slow"))
            ))
          return yield* ctx.suspend("go")
        }
      })
    })
    return { state, workflow }
  }

  it("lets the others go on as far as they can, and is then blocked, with every step named", () => {
    const of = lab()
    const { state, workflow } = branches(of)
    expect(of.dies(workflow.start(undefined, { runId }))).toBe(true)
    state.kills = false
    const blocked = {
      status: "blocked",
      reason: `OutcomeUnknown: "all[once]/each[a]/pay", "all[once]/each[b]/pay"`
    }
    expect(of.get(workflow.resume(runId))).toMatchObject(blocked)
    expect(state.ran).toEqual(["pay a", "pay b", "quick", "slow"])
    expect(of.get(workflow.resume(runId))).toMatchObject(blocked)
    // An event is still taken by the branch that waits for it.
    expect(of.get(workflow.resume(runId, { eventName: "go", value: "gone" })))
      .toMatchObject(blocked)
    of.get(Runs.settle(runId, "all[once]/each[a]/pay", { value: "found a" }))
    expect(of.get(workflow.resume(runId)))
      .toMatchObject({ status: "blocked", reason: `OutcomeUnknown: "all[once]/each[b]/pay"` })
    of.get(Runs.settle(runId, "all[once]/each[b]/pay", { retry: true }))
    const result = { once: ["found a", "paid b 2"], plain: "gone" }
    expect(of.get(workflow.resume(runId))).toMatchObject({ status: "success", result })
    expect(state.ran.filter((what) => what === "pay a")).toHaveLength(1)
    expect(workflow.replay(of.journal())).toMatchObject({ value: result })
  })

  it("does not hold up a race that another branch wins", () => {
    const of = lab()
    let kills = true
    const workflow = Workflow.make("race", function*(ctx) {
      return yield* ctx.race({
        once: ctx.step("pay", () => kills ? of.kill() as string : "paid", {
          delivery: "at-most-once"
        }),
        nap: ctx.sleep("1 hour")
      }).pipe(Instruction.map(({ winner }) => winner))
    })
    expect(of.dies(workflow.start(undefined, { runId }))).toBe(true)
    kills = false
    expect(of.get(workflow.resume(runId))).toMatchObject({ status: "blocked" })
    of.pass(hour)
    expect(of.get(workflow.resume(runId))).toMatchObject({ status: "success", result: "nap" })
  })
})

describe("a run that kills every process that drives it", () => {
  const sessions = 10

  const poison = (of: Lab) => {
    const state = { kills: true, ran: 0 }
    const workflow = Workflow.make("poison", { events: { go: Schema.String } }, function*(ctx) {
      return yield* ctx.step("poison", () => {
        state.ran++
        return state.kills ? of.kill() : "cured"
      })
    })
    return { state, workflow }
  }

  const poisoned = () => {
    const of = lab()
    const made = poison(of)
    for (let n = 0; n < sessions; n++) {
      expect(of.dies(
        n === 0
          ? made.workflow.start(undefined, { runId })
          : made.workflow.resume(runId)
      )).toBe(true)
      expect(of.due()).toEqual(n < sessions - 1 ? [runId] : [])
    }
    return { ...of, ...made }
  }

  it("is blocked after ten fruitless sessions, and no more driven", () => {
    const { due, get, journal, state, status, types, workflow } = poisoned()
    expect(state.ran).toBe(sessions)
    expect(types()).toEqual(Array.from({ length: sessions }, () => "start"))
    for (let n = 0; n < 3; n++) {
      const result = get(workflow.resume(runId))
      expect(result).toMatchObject({ status: "blocked" })
      expect((result as { reason: string }).reason).toMatch(/^CrashLoop: 10 sessions.*settle/)
    }
    expect(status()).toMatchObject({ status: "blocked", reason: "CrashLoop", fruitless: sessions })
    expect(state.ran).toBe(sessions)
    expect(journal().entries).toHaveLength(sessions)
    expect(due()).toEqual([])
  })

  it("does not touch other runs", () => {
    const { get } = poisoned()
    const other = Workflow.make("other", function*(ctx) {
      return yield* ctx.step("fine", () => "fine")
    })
    expect(get(other.start(undefined, { runId: "r2" }))).toMatchObject({ result: "fine" })
    const { runs } = get(Runs.list())
    expect(runs.map(({ runId, status }) => [runId, status]))
      .toEqual([["r1", "blocked"], ["r2", "success"]])
    expect(get(Runs.list({ status: "blocked" })).runs).toHaveLength(1)
  })

  it("goes on when a person says so, and its deaths are counted anew", () => {
    const { dies, due, get, journal, state, workflow } = poisoned()
    get(Runs.settle(runId))
    expect(due()).toEqual([runId])
    expect(dies(workflow.resume(runId))).toBe(true)
    expect(due()).toEqual([runId])
    state.kills = false
    expect(get(workflow.resume(runId))).toMatchObject({ status: "success", result: "cured" })
    expect(workflow.replay(journal())).toMatchObject({ value: "cured" })
  })

  it("is blocked again after as many deaths as before", () => {
    const { dies, due, get, state, status, workflow } = poisoned()
    get(Runs.settle(runId))
    for (let n = 0; n < sessions; n++) {
      expect(dies(workflow.resume(runId))).toBe(true)
    }
    expect(get(workflow.resume(runId))).toMatchObject({ status: "blocked" })
    expect(status()).toMatchObject({ status: "blocked", reason: "CrashLoop" })
    expect(due()).toEqual([])
    expect(state.ran).toBe(2 * sessions)
  })

  it("is not set going by an event, but can be cancelled", () => {
    const { due, get, journal, state, types, workflow } = poisoned()
    get(workflow.send(runId, { eventName: "go", value: "on" }))
    expect(due()).toEqual([])
    expect(get(workflow.resume(runId))).toMatchObject({ status: "blocked" })
    expect(state.ran).toBe(sessions)
    expect(journal().entries).toHaveLength(sessions)
    expect(get(workflow.cancel(runId))).toMatchObject({ status: "cancelled" })
    expect(state.ran).toBe(sessions)
    expect(types().at(-1)).toBe("cancelled")
  })

  it("is none as long as something is journaled in between", () => {
    const of = lab()
    let ran = 0
    const workflow = Workflow.make("slow", function*(ctx) {
      for (let n = 0; n < 15; n++) {
        yield* ctx.step("done", () => n)
        yield* ctx.step("dies once", () => {
          if (ran++ % 2 === 0) of.kill()
        })
      }
      return "done"
    })
    let deaths = 0
    while (
      of.dies(deaths === 0 ? workflow.start(undefined, { runId }) : workflow.resume(runId))
    ) deaths++
    expect(deaths).toBe(15)
    expect(of.status()).toMatchObject({ status: "success" })
  })

  it("is none when it was only enqueued, or waits for an event over many sessions", () => {
    const of = lab()
    const workflow = Workflow.make("waits", { events: { go: Schema.Number } }, function*(ctx) {
      let sum = 0
      for (let n = 0; n < 15; n++) sum += yield* ctx.suspend("go")
      return sum
    })
    of.get(workflow.enqueue(undefined, { runId }))
    for (let n = 0; n < 14; n++) {
      expect(of.get(workflow.resume(runId, { eventName: "go", value: n })))
        .toMatchObject({ status: "suspended" })
    }
    expect(of.get(workflow.resume(runId, { eventName: "go", value: 14 })))
      .toMatchObject({ result: 105 })
  })
})
