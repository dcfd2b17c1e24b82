/**
 * When outcomes are durable: `sync`, `async` and `exit` write the same journal, and differ only in what a
 * crash takes with it. What must never be lost is the same for all: the start, intents, events, the end.
 */
import { Context, Effect, Exit, Fiber, Schema } from "effect"
import { Runs, Storage, Workflow } from "reprise"
import { describe, expect, it } from "vitest"
import type { Recorded } from "../../src/Entry.ts"
import * as Journal from "../../src/Journal.ts"
import { Died, failureOf, isDeath, type Plan, worldOf } from "../support/faults.ts"
import { Simulation } from "../support/simulation.ts"
import { attempt, type Scenario, story } from "../support/trial.ts"

const runId = "r1"
const hour = 3_600_000
const modes = ["sync", "async", "exit"] as const
const lazy = ["async", "exit"] as const

/** A driver whose appends take so many milliseconds, and are done in their last moment. */
const slow = (driver: Storage.Driver, millis: number): Storage.Driver => ({
  ...driver,
  writer: (id) =>
    Effect.map(driver.writer(id), (writer) => ({
      append: (at, lines, row) =>
        Effect.uninterruptible(
          Effect.andThen(
            Effect.sleep(millis),
            Effect.suspend(() => writer.append(at, lines, row))
          )
        )
    }))
})

/** Processes over one storage whose appends take `millis`. */
const lab = (millis = 0) => {
  const under = Storage.memoryDriver()
  const world = worldOf(millis === 0 ? under : slow(under, millis))
  const simulation = new Simulation()
  let process = world.process()
  const run = <A, E>(program: Effect.Effect<A, E, Storage.Storage>): Exit.Exit<A, E> => {
    const exit = simulation.run(program, Context.make(Storage.Storage, process.storage))
    if (isDeath(exit) || !process.isAlive()) process = world.process()
    else if (Exit.isFailure(exit) && failureOf(exit) === undefined) throw new Error(String(exit))
    return exit
  }
  const journal = (): Journal.Journal => {
    const read = Journal.read(runId, Effect.runSync(under.read(runId)).text)
    if (read._tag === "Failure") throw read.failure
    return read.success
  }
  return {
    under,
    run,
    get: <A, E>(program: Effect.Effect<A, E, Storage.Storage>): A => {
      const exit = run(program)
      if (Exit.isSuccess(exit)) return exit.value
      throw new Error(`failed: ${String(exit.cause)}`)
    },
    refused: <A, E>(program: Effect.Effect<A, E, Storage.Storage>): E | undefined =>
      failureOf(run(program)),
    dies: (program: Effect.Effect<unknown, unknown, Storage.Storage>) => isDeath(run(program)),
    kill: (): never => {
      process.kill()
      throw new Died()
    },
    next: (plan?: Plan) => {
      process = world.process(plan)
    },
    /** What is durable. */
    journal,
    types: () => journal().entries.map(({ type }) => type),
    durable: (type: Recorded["type"]) =>
      journal().entries.filter((entry) => entry.type === type).length,
    lost: () => {
      const lines = new Set(Effect.runSync(under.read(runId)).text.split("\n"))
      return world.acknowledged(runId).filter((line) => !lines.has(line))
    }
  }
}

describe.each(modes)("a run that is %s", (durability) => {
  it("says so in its first start, if it is not sync, and goes on so whatever the code says then", () => {
    const { get, journal } = lab()
    const body = function*(ctx: Workflow.Ctx<{ go: typeof Schema.String }>) {
      return yield* ctx.suspend("go")
    }
    const events = { go: Schema.String }
    const workflow = Workflow.make("w", { events, durability }, body)
    get(workflow.start(undefined, { runId }))
    const [first] = journal().entries
    expect(Reflect.get(first!, "durability") ?? "sync").toBe(durability)
    const other = Workflow.make(
      "w",
      { events, durability: durability === "sync" ? "exit" : "sync" },
      body
    )
    expect(get(other.resume(runId, { eventName: "go", value: "on" }))).toMatchObject({
      result: "on"
    })
    expect(journal().entries.filter((entry) => entry.type === "start")).toHaveLength(2)
  })

  it("may be so although its workflow is not", () => {
    const { get, journal } = lab()
    const workflow = Workflow.make(
      "w",
      { durability: durability === "sync" ? "async" : "sync" },
      function*(ctx) {
        return yield* ctx.step("a", () => 1)
      }
    )
    get(workflow.start(undefined, { runId, durability }))
    const [first] = journal().entries
    expect(Reflect.get(first!, "durability") ?? "sync").toBe(durability)
  })

  it("has everything on the disk when it is answered: suspended, ended or failed", () => {
    const { get, types } = lab(500)
    const workflow = Workflow.make(
      "w",
      { durability, events: { go: Schema.String } },
      function*(ctx) {
        for (let n = 0; n < 3; n++) yield* ctx.step("s", () => n)
        yield* ctx.suspend("go")
        yield* ctx.step("last", () => 1)
        return yield* ctx.fail("no")
      }
    )
    get(workflow.start(undefined, { runId }))
    expect(types()).toEqual(["start", "step", "step", "step", "suspend"])
    expect(get(workflow.resume(runId, { eventName: "go", value: "on" })))
      .toMatchObject({ status: "failed", error: "no" })
    expect(types().slice(5)).toEqual(["start", "resume", "step", "error"])
  })

  it("has the intent of an at-most-once step, and all before it, on the disk before the step runs", () => {
    const { durable, get } = lab(500)
    const seen: Array<readonly [intents: number, steps: number]> = []
    const workflow = Workflow.make("w", { durability }, function*(ctx) {
      for (let n = 0; n < 3; n++) {
        yield* ctx.step("plain", () => n)
        yield* ctx.step("once", () => void seen.push([durable("intent"), durable("step")]), {
          delivery: "at-most-once"
        })
      }
      yield* ctx.step("again", ({ attempt }) => {
        seen.push([durable("intent"), durable("step")])
        if (attempt < 3) throw new Error("again")
      }, { delivery: "at-most-once", retry: 5 })
    })
    expect(get(workflow.start(undefined, { runId }))).toMatchObject({ status: "success" })
    expect(seen).toEqual([[1, 1], [2, 3], [3, 5], [4, 6], [5, 6], [6, 6]])
  })

  it("never runs an at-most-once step twice when its process dies in it", () => {
    const { dies, get, kill, types } = lab(500)
    let ran = 0
    const workflow = Workflow.make("w", { durability }, function*(ctx) {
      yield* ctx.step("plain", () => 1)
      yield* ctx.step("once", () => {
        ran++
        return kill()
      }, { delivery: "at-most-once" })
    })
    expect(dies(workflow.start(undefined, { runId }))).toBe(true)
    expect(types()).toEqual(["start", "step", "intent"])
    expect(get(workflow.resume(runId)))
      .toMatchObject({ status: "blocked", reason: `OutcomeUnknown: "once"` })
    expect(ran).toBe(1)
  })

  it("takes an event again whose entry was lost, and only once", () => {
    const { dies, get, journal, kill } = lab(500)
    const state = { kills: true, heard: 0 }
    const workflow = Workflow.make(
      "w",
      { durability, events: { go: Schema.String } },
      function*(ctx) {
        const value = yield* ctx.suspend("go")
        yield* ctx.step("heard", () => void state.heard++)
        yield* ctx.step("dies", () => {
          if (state.kills) kill()
        })
        return value
      }
    )
    get(workflow.start(undefined, { runId }))
    const event = { eventName: "go", value: "on", eventId: "e1" } as const
    expect(dies(workflow.resume(runId, event))).toBe(true)
    state.kills = false
    expect(get(workflow.resume(runId))).toMatchObject({ result: "on" })
    const taken = journal().entries.filter((entry) => "eventId" in entry && entry.eventId === "e1")
    expect(taken).toHaveLength(1)
    expect(workflow.replay(journal())).toMatchObject({ _tag: "Returned", value: "on" })
  })

  it("is cancelled durably, with its clean-up", () => {
    const { get, types } = lab(500)
    const workflow = Workflow.make(
      "w",
      { durability, events: { go: Schema.String } },
      function*(ctx) {
        try {
          yield* ctx.suspend("go")
        } finally {
          yield* ctx.step("tidy", () => 1)
        }
      }
    )
    get(workflow.start(undefined, { runId }))
    expect(get(workflow.cancel(runId))).toMatchObject({ status: "cancelled" })
    expect(types()).toEqual(["start", "suspend", "start", "cancel", "step", "cancelled"])
  })

  it("writes what it has done when its process is told to stop", () => {
    const { get, types } = lab(500)
    const workflow = Workflow.make("w", { durability }, function*(ctx) {
      yield* ctx.step("one", () => 1)
      yield* ctx.step("two", () => 2)
      yield* ctx.step("long", () => Effect.sleep(hour))
    })
    get(Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(workflow.start(undefined, { runId }))
      yield* Effect.sleep("1 minute")
      yield* Fiber.interrupt(fiber)
    }))
    expect(types()).toEqual(["start", "step", "step"])
  })

  it("ends the same wherever its process dies, and loses nothing that was acknowledged", () => {
    const scenario: Scenario = {
      sequential: false,
      make: (did) =>
        Workflow.make("w", { events: { go: Schema.String } }, function*(ctx) {
          const seen: Array<string> = []
          for (const name of ["a", "b", "c"]) {
            seen.push(
              yield* ctx.step(name, (info) => {
                did(info)
                return name
              })
            )
          }
          seen.push(yield* ctx.suspend("go"))
          yield* ctx.all([
            ctx.step("d", (info) => Effect.map(Effect.sleep(5), () => did(info))),
            ctx.step("e", (info) => Effect.map(Effect.sleep(9), () => did(info)))
          ])
          yield* ctx.sleep("3 seconds")
          yield* ctx.step("f", (info) => did(info))
          return seen
        }),
      script: (n, _, workflow) =>
        n === 0
          ? workflow.start(undefined, { runId, durability })
          : n === 1
          ? workflow.resume(runId, { eventName: "go", value: "on", eventId: "e1" })
          : undefined
    }
    const over = () => worldOf(slow(Storage.memoryDriver(), 7))
    let appends = 0
    const whole = attempt(scenario, [({ verb }) => {
      if (verb === "append") appends++
      return "done"
    }], over())
    expect(whole.answer).toMatchObject({ result: ["a", "b", "c", "on"] })
    expect(appends).toBeGreaterThan(2)
    for (let n = 0; n < appends; n++) {
      for (const how of ["dies before", "dies after", { diesWithin: 1 }] as const) {
        let k = 0
        const plan: Plan = ({ verb }) => verb === "append" && k++ === n ? how : "done"
        const left = attempt(scenario, [plan], over())
        expect(left.processes).toBe(2)
        expect(left).toMatchObject({ answer: whole.answer, lost: [], reran: [] })
        expect(left.replayed).toBe("Returned")
        const ids = left.journal.flatMap((entry) => entry.type === "step" ? [entry.stepId] : [])
        expect(ids.toSorted()).toEqual(["a", "all[0]/d", "all[1]/e", "b", "c", "f"])
      }
    }
  })
})

it("all three write the same journal", () => {
  const written = modes.map((durability) => {
    const { get, journal } = lab()
    const workflow = Workflow.make(
      "same",
      { durability, events: { go: Schema.String } },
      function*(ctx) {
        const a = yield* ctx.step("a", () => ({ deep: [1, { x: "y" }] }))
        yield* ctx.step("fails", () => Effect.fail("no")).pipe((step) =>
          ctx.all([step], { mode: "result" })
        )
        yield* ctx.sleep("2 seconds")
        const each = yield* ctx.forEach(
          [3, 1, 2],
          (n) => ctx.step("each", () => Effect.as(Effect.sleep(n), n))
        )
        yield* ctx.step("once", () => 1, { delivery: "at-most-once" })
        const go = yield* ctx.suspend("go")
        yield* ctx.race({
          slow: ctx.sleep("3 seconds"),
          quick: ctx.step("quick", () => Effect.sleep(5))
        })
        return { a, each, go, random: yield* ctx.random }
      }
    )
    get(workflow.start(undefined, { runId }))
    get(workflow.send(runId, { eventName: "go", value: "on", eventId: "e1" }))
    const result = get(workflow.resume(runId)) as { result: { random: number } }
    expect(workflow.replay(journal())).toMatchObject({ _tag: "Returned", value: result.result })
    // Each run has a seed of its own.
    return story(journal().entries).map((line) =>
      line.replace(String(result.result.random), "random")
    )
  })
  expect(written[0]!.length).toBeGreaterThan(9)
  expect(written[1]).toEqual(written[0])
  expect(written[2]).toEqual(written[0])
})

describe("what is durable while a run goes on", () => {
  const seenBy = (durability: Workflow.Durability) => {
    const { durable, get } = lab(1_000)
    const seen: Array<number> = []
    const workflow = Workflow.make("w", { durability }, function*(ctx) {
      for (let n = 0; n < 4; n++) yield* ctx.step("quick", () => void seen.push(durable("step")))
      yield* ctx.step("long", () =>
        Effect.andThen(
          Effect.sleep("1 minute"),
          Effect.sync(() => void seen.push(durable("step")))
        ))
    })
    get(workflow.start(undefined, { runId }))
    return { seen, all: durable("step") }
  }

  it("is all that was done, with sync", () => {
    expect(seenBy("sync")).toEqual({ seen: [0, 1, 2, 3, 4], all: 5 })
  })
  it("follows in the background, with async", () => {
    expect(seenBy("async")).toEqual({ seen: [0, 0, 0, 0, 4], all: 5 })
  })
  it("is the start, with exit", () => {
    expect(seenBy("exit")).toEqual({ seen: [0, 0, 0, 0, 0], all: 5 })
  })
})

describe("a crash", () => {
  const died = (durability: Workflow.Durability) => {
    const { dies, durable, get, kill, journal, lost, types } = lab(1_000)
    const state = { kills: true, ran: [] as Array<string> }
    const workflow = Workflow.make("w", { durability }, function*(ctx) {
      yield* ctx.step("one", () => void state.ran.push("one"))
      // Long enough for what is behind to be written in the background.
      yield* ctx.step(
        "two",
        () =>
          Effect.andThen(Effect.sleep("10 seconds"), Effect.sync(() => void state.ran.push("two")))
      )
      yield* ctx.step("three", () => void state.ran.push("three"))
      yield* ctx.step("four", () => {
        state.ran.push("four")
        if (state.kills) kill()
      })
      return "done"
    })
    expect(dies(workflow.start(undefined, { runId }))).toBe(true)
    const kept = durable("step")
    state.ran.push("|")
    state.kills = false
    expect(get(workflow.resume(runId))).toMatchObject({ result: "done" })
    expect(lost()).toEqual([])
    expect(types().filter((type) => type === "step")).toHaveLength(4)
    expect(workflow.replay(journal())).toMatchObject({ _tag: "Returned" })
    return { kept, ran: state.ran.join(" ") }
  }

  it("takes only the step that runs, with sync", () => {
    expect(died("sync")).toEqual({ kept: 3, ran: "one two three four | four" })
  })
  it("takes what was not written in the background, with async", () => {
    expect(died("async")).toEqual({ kept: 1, ran: "one two three four | two three four" })
  })
  it("takes the whole session, with exit", () => {
    expect(died("exit")).toEqual({ kept: 0, ran: "one two three four | one two three four" })
  })
})

describe.each(lazy)("a session that is %s", (durability) => {
  /** A newer session writes its start, as a process does that thinks this one dead. */
  const takeOver = (under: Storage.Driver) =>
    Effect.scoped(Effect.gen(function*() {
      const storage = Storage.make(under)
      const loaded = yield* storage.read(runId)
      const writer = yield* storage.writer(loaded)
      const { incarnation, session } = loaded.journal.head
      const stamp = { incarnation, session: session + 1, writer: "thief" }
      const start = Journal.stamped({ type: "start" }, new Date(0).toISOString())
      expect(yield* writer.append(stamp, [start])).toBe(true)
    }))

  it("that lost its run is Fenced, appends nothing more, and its effects are interrupted", () => {
    const { journal, refused, types, under } = lab()
    const seen: Array<string> = []
    const workflow = Workflow.make("w", { durability }, function*(ctx) {
      yield* ctx.step("one", () => 1)
      yield* ctx.step("taken", () => Effect.orDie(takeOver(under)))
      yield* ctx.step("two", () => 2)
      yield* ctx.step("long", ({ signal }) => {
        signal.addEventListener("abort", () => void seen.push("aborted"))
        return Effect.andThen(
          Effect.sleep("1 hour"),
          Effect.sync(() => void seen.push("went on"))
        )
      })
    })
    expect(refused(workflow.start(undefined, { runId }))).toMatchObject({
      _tag: "Fenced",
      session: 1
    })
    expect(seen).toEqual(["aborted"])
    const { entries, head, rejected } = journal()
    expect(head).toMatchObject({ session: 2, writer: "thief" })
    expect(types().at(-1)).toBe("start")
    expect(entries.filter((entry) => entry.type === "step" && entry.stepId === "two")).toEqual([])
    expect(rejected).toBe(0)
  })

  it("that lost its run does not answer with an end that is not journaled", () => {
    const { refused, types, under } = lab()
    const workflow = Workflow.make("w", { durability }, function*(ctx) {
      yield* ctx.step("taken", () => Effect.orDie(takeOver(under)))
      return "done"
    })
    expect(refused(workflow.start(undefined, { runId }))).toMatchObject({ _tag: "Fenced" })
    expect(types()).not.toContain("complete")
  })

  it("fails with the storage's error when a write in the background fails, and goes on later", () => {
    const of = lab()
    let ran = 0
    const workflow = Workflow.make("w", { durability }, function*(ctx) {
      for (let n = 0; n < 3; n++) yield* ctx.step("s", () => void ran++)
      yield* ctx.step("long", () => Effect.sleep("1 minute"))
      return "done"
    })
    let appends = 0
    of.next(({ verb }) => verb === "append" && ++appends > 1 ? "fails" : "done")
    expect(of.refused(workflow.start(undefined, { runId }))).toMatchObject({
      _tag: "StorageError"
    })
    expect(of.types()).toEqual(["start"])
    of.next()
    expect(of.get(workflow.resume(runId))).toMatchObject({ result: "done" })
    expect(ran).toBe(6)
    expect(of.get(Runs.status(runId))).toMatchObject({ status: "success", steps: { done: 4 } })
  })

  it("settles a write in the background whose answer was lost", () => {
    const of = lab()
    const workflow = Workflow.make("w", { durability }, function*(ctx) {
      for (let n = 0; n < 3; n++) yield* ctx.step("s", () => n)
      yield* ctx.step("long", () => Effect.sleep("1 minute"))
      return "done"
    })
    let appends = 0
    of.next(({ verb }) => verb === "append" && ++appends % 2 === 0 ? "unanswered" : "done")
    expect(of.get(workflow.start(undefined, { runId }))).toMatchObject({ result: "done" })
    expect(of.types()).toEqual(["start", "step", "step", "step", "step", "complete"])
    expect(of.journal().rejected).toBe(0)
  })
})
