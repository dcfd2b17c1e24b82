/**
 * `continueAs`: a run that goes on in a fresh journal, what it takes along, and that everything said to its
 * first id reaches the last.
 */
import { Context, Effect, Fiber, Result, Schema, Stream } from "effect"
import { Instruction, Runs, Storage, Workflow } from "reprise"
import { describe, expect, it } from "vitest"
import { Simulation } from "../support/simulation.ts"
import {
  entriesOf,
  everywhere,
  failureOf,
  type Program,
  run,
  storyOf
} from "../support/together.ts"

const counting = Workflow.make("counting", function*(ctx, n: number): Workflow.Body<number> {
  yield* ctx.step("count", () => n)
  return n >= 50 ? n : yield* ctx.continueAs(n + 1)
})

describe("a loop", () => {
  it("of 50 is a chain of short journals, each linked to the next", () => {
    run(Effect.gen(function*() {
      expect(yield* counting.start(1, { runId: "loop" }))
        .toEqual({ status: "success", result: 50, runId: "loop+50" })
      const first = yield* Runs.journal("loop")
      expect(first.entries.map(({ type }) => type)).toEqual(["start", "step", "continue"])
      expect(first.entries[2]).toMatchObject({ runId: "loop+2", metadata: 2 })
      expect((yield* entriesOf("loop+30"))[0])
        .toMatchObject({ continues: "loop+29", metadata: 30, workflow: "counting" })
      expect(yield* Runs.status("loop"))
        .toMatchObject({ status: "continued", continuedAs: "loop+2" })
      expect(yield* counting.status("loop"))
        .toMatchObject({ status: "success", result: 50, runId: "loop+50" })
      expect(yield* counting.join("loop")).toBe(50)
      expect(yield* counting.resume("loop")).toMatchObject({ runId: "loop+50", result: 50 })
      expect(yield* counting.start(1, { runId: "loop" }))
        .toMatchObject({ runId: "loop+50", result: 50 })
      expect((yield* Runs.list({ limit: 200 })).runs.length).toBe(50)
      for (const { runId } of (yield* Runs.list({ limit: 200 })).runs) {
        expect(counting.replay(yield* Runs.journal(runId))._tag).toBe("Returned")
      }
    }))
  })

  it("compares the input of a start with that of the first run", () => {
    run(Effect.gen(function*() {
      yield* counting.start(48, { runId: "loop" })
      expect(yield* failureOf(counting.start(49, { runId: "loop" })))
        .toMatchObject({ _tag: "RunExists", differs: "input" })
    }))
  })

  it("begins in the middle when its id looks like that of a later run", () => {
    run(Effect.gen(function*() {
      expect(yield* counting.start(49, { runId: "a+7" })).toMatchObject({
        runId: "a+8",
        result: 50
      })
      const long = "x".repeat(200)
      expect(yield* counting.execute(48, { runId: long })).toBe(50)
      expect(yield* counting.join(long)).toBe(50)
    }))
  })

  it("ends the same at whichever write the process dies", () => {
    const short = Workflow.make("short", function*(ctx, n: number): Workflow.Body<number> {
      yield* ctx.step("count", () => n)
      return n >= 3 ? n : yield* ctx.continueAs(n + 1)
    })
    const writes = everywhere(
      [short.execute(1, { runId: "loop" })],
      0,
      ({ get, value }) => {
        expect(value).toBe(3)
        expect(get(Runs.list()).runs.map(({ runId, status }) => [runId, status])).toEqual([
          ["loop", "continued"],
          ["loop+2", "continued"],
          ["loop+3", "success"]
        ])
        for (const runId of ["loop", "loop+2"]) {
          expect(get(storyOf(runId))).toEqual(["step count", "continue"])
        }
      }
    )
    expect(writes).toBeGreaterThanOrEqual(7)
  })

  it("is healed by the next drive when nothing was written behind `continue`", () => {
    const whole = Storage.memoryDriver(), cut = Storage.memoryDriver()
    const on = <A>(
      driver: typeof whole,
      program: Effect.Effect<A, unknown, Storage.Storage>
    ) => {
      const services = Context.make(Storage.Storage, Storage.make(driver))
      return new Simulation().get(program, services)
    }
    on(whole, counting.start(49, { runId: "loop" }))
    const lines = Effect.runSync(whole.read("loop")).text.split("\n").filter((line) => line !== "")
    Effect.runSync(Effect.scoped(Effect.flatMap(
      cut.writer("loop"),
      (writer) =>
        Effect.suspend(() =>
          writer.append("", lines, () => {
            throw new Error("the memory driver has no index")
          })
        )
    )))
    on(
      cut,
      Effect.gen(function*() {
        expect(yield* Runs.due()).toEqual(["loop"])
        expect(yield* Runs.status("loop+2").pipe(Effect.flip))
          .toMatchObject({ _tag: "RunNotFound" })
        expect(yield* counting.resume("loop"))
          .toEqual({ status: "success", result: 50, runId: "loop+2" })
        expect(yield* Runs.due()).toEqual([])
      })
    )
  })

  it("keeps schema, version, durability and the parent", () => {
    const dated = Workflow.make(
      "dated",
      { input: Schema.Date, output: Schema.Date, version: "3", durability: "exit" },
      function*(ctx, at) {
        yield* ctx.step("s", () => 1)
        if (at.getTime() > 2) return at
        return yield* ctx.continueAs(new Date(at.getTime() + 1))
      }
    )
    run(Effect.gen(function*() {
      expect(yield* dated.execute(new Date(1), { runId: "d", durability: "async" }))
        .toEqual(new Date(3))
      expect((yield* entriesOf("d+3"))[0])
        .toMatchObject({ version: "3", durability: "async", metadata: new Date(3).toISOString() })
    }))
  })
})

describe("leaving", () => {
  it("runs finally blocks with their steps, the inner ones first, and no catch", () => {
    const tidy = Workflow.make("tidy", function*(ctx, n: number): Workflow.Body<number> {
      const inner = function*(): Workflow.Body<never> {
        try {
          return yield* ctx.continueAs(n + 1)
        } catch {
          yield* ctx.step("caught", () => 0)
          throw new Error("never")
        } finally {
          yield* ctx.step("inner", () => 1)
        }
      }
      if (n > 1) return n
      try {
        return yield* inner()
      } finally {
        yield* ctx.step("outer", () => 2)
        yield* ctx.all([ctx.step("a", () => 3), ctx.step("b", () => 4)])
      }
    })
    everywhere([tidy.execute(1, { runId: "r" })], 0, ({ get, value }) => {
      expect(value).toBe(2)
      const story = get(storyOf("r"))
      expect(story.slice(0, 2)).toEqual(["step inner", "step outer"])
      expect(story.slice(2, 4).toSorted()).toEqual(["step all[0]/a", "step all[1]/b"])
      expect(story.slice(4)).toEqual(["continue"])
      expect(tidy.replay(get(Runs.journal("r")))._tag).toBe("Returned")
    })
  })

  it("from a handler passes through the instruction around it", () => {
    const handled = Workflow.make("handled", function*(ctx, n: number): Workflow.Body<number> {
      if (n > 1) return n
      try {
        const failing = ctx.step("fail", (): number => {
          throw new Error("no")
        })
        const leave = function*() {
          return yield* ctx.continueAs(n + 1)
        }
        yield* Instruction.result(Instruction.catch(failing, () => leave()))
        yield* ctx.step("never", () => 1)
        return 0
      } finally {
        yield* ctx.step("tidy", () => 1)
      }
    })
    run(Effect.gen(function*() {
      expect(yield* handled.execute(1, { runId: "r" })).toBe(2)
      expect(yield* storyOf("r")).toEqual(["step fail", "step tidy", "continue"])
      expect(handled.replay(yield* Runs.journal("r"))._tag).toBe("Returned")
    }))
  })

  it("may wait in a finally block for an event, and is cancelled there", () => {
    const waits = Workflow.make(
      "waits",
      { input: Schema.Number, events: { go: Schema.Void } },
      function*(ctx, n): Workflow.Body<number> {
        if (n > 1) return n
        try {
          return yield* ctx.continueAs(n + 1)
        } finally {
          yield* ctx.suspend("go")
        }
      }
    )
    run(Effect.gen(function*() {
      expect((yield* waits.start(1, { runId: "r" })).status).toBe("suspended")
      expect(yield* waits.resume("r", { eventName: "go" }))
        .toMatchObject({ status: "success", result: 2, runId: "r+2" })
      yield* waits.start(1, { runId: "s" })
      expect((yield* waits.cancel("s")).status).toBe("cancelled")
      expect(yield* storyOf("s")).toEqual(["cancel", "cancelled"])
      expect((yield* Runs.list()).runs.length).toBe(3)
      yield* waits.resume("s")
    }))
  })

  it("ends with the error that a finally block fails with, and goes on nowhere", () => {
    const fails = Workflow.make("fails", function*(ctx) {
      try {
        yield* ctx.continueAs(undefined)
      } finally {
        yield* ctx.fail({ _tag: "TidyFailed" })
      }
    })
    run(Effect.gen(function*() {
      expect(yield* fails.start(undefined, { runId: "r" }))
        .toMatchObject({ status: "failed", error: { _tag: "TidyFailed" } })
      expect((yield* Runs.list()).runs.length).toBe(1)
      expect(fails.replay(yield* Runs.journal("r"))._tag).toBe("Threw")
    }))
  })

  it("in a branch is refused at the yield", () => {
    const branched = Workflow.make("branched", function*(ctx) {
      const heard: Array<string> = []
      const leave = function*() {
        yield* ctx.continueAs(undefined)
      }
      for (const fan of [ctx.all([leave]), ctx.race([leave]), ctx.any([leave])]) {
        try {
          yield* fan
        } catch (error) {
          heard.push(error instanceof TypeError ? error.message.slice(0, 14) : "?")
        }
      }
      return heard
    })
    run(Effect.gen(function*() {
      expect(yield* branched.execute(undefined, { runId: "r" }))
        .toEqual(["ctx.continueAs", "ctx.continueAs", "ctx.continueAs"])
      expect((yield* Runs.list()).runs.length).toBe(1)
    }))
  })

  it("with an input that does not fit journals nothing, and goes on after the fix", () => {
    const wrong = (next: number) =>
      Workflow.make("wrong", { input: Schema.Int, output: Schema.Int }, function*(ctx, n) {
        if (n > 1) return n
        yield* ctx.step("s", () => n)
        return yield* ctx.continueAs(next)
      })
    run(Effect.gen(function*() {
      expect(yield* failureOf(wrong(1.5).start(1, { runId: "r" })))
        .toBeInstanceOf(Workflow.Unserializable)
      expect(yield* storyOf("r")).toEqual(["step s"])
      expect(yield* wrong(2).resume("r")).toMatchObject({ status: "success", result: 2 })
    }))
  })

  it("undoes nothing, and what was done is not undone later", () => {
    const undone: Array<string> = []
    const saga = Workflow.make("saga", function*(
      ctx,
      n: number
    ): Workflow.Body<never, { readonly _tag: "No" }> {
      yield* ctx.step("book", () => n, {
        undo: () => Instruction.step("unbook", () => void undone.push(`run ${n}`))
      })
      if (n > 1) return yield* ctx.fail({ _tag: "No" })
      return yield* ctx.continueAs(n + 1)
    })
    run(Effect.gen(function*() {
      expect((yield* saga.start(1, { runId: "r" })).status).toBe("failed")
      expect(undone).toEqual(["run 2"])
      expect(yield* storyOf("r")).toEqual(["step book", "continue"])
      expect(yield* storyOf("r+2"))
        .toEqual(["step book", "step book[undo]/unbook", "undo book", "error"])
    }))
  })
})

describe("what goes along", () => {
  const events = { tick: Schema.Number, other: Schema.String }
  const ticking = Workflow.make(
    "ticking",
    { input: Schema.Array(Schema.Number), output: Schema.Array(Schema.Number), events },
    function*(ctx, seen): Workflow.Body<ReadonlyArray<number>> {
      const tick = yield* ctx.suspend("tick")
      const all = [...seen, tick]
      return all.length >= 6 ? all : yield* ctx.continueAs(all)
    }
  )

  it("is every event that nobody took, in its order, with its key", () => {
    const keyed = Workflow.make(
      "keyed",
      { input: Schema.Number, events },
      function*(ctx, n): Workflow.Body<ReadonlyArray<string | number>> {
        if (n === 1) {
          yield* ctx.suspend("tick")
          return yield* ctx.continueAs(2)
        }
        if (n === 2) return yield* ctx.continueAs(3)
        const one = yield* ctx.suspend("other", { key: "k" })
        const two = yield* ctx.suspend("other")
        const three = yield* ctx.suspend("other")
        return [one, two, three]
      }
    )
    run(Effect.gen(function*() {
      yield* keyed.start(1, { runId: "r" })
      yield* keyed.send("r", { eventName: "other", value: "a", eventId: "e1" })
      yield* keyed.send("r", { eventName: "other", value: "b", key: "k", eventId: "e2" })
      yield* keyed.send("r", { eventName: "other", value: "c", eventId: "e3" })
      expect(yield* keyed.resume("r", { eventName: "tick", value: 0 }))
        .toMatchObject({ status: "success", result: ["b", "a", "c"], runId: "r+3" })
      expect(keyed.replay(yield* Runs.journal("r+3"))._tag).toBe("Returned")
    }))
  })

  it("is not an event that was taken: a repeat of its id is dropped, also many runs later", () => {
    run(Effect.gen(function*() {
      yield* ticking.start([], { runId: "r" })
      for (let n = 1; n <= 5; n++) {
        yield* ticking.resume("r", { eventName: "tick", value: n, eventId: `e${n}` })
        yield* ticking.resume("r", { eventName: "tick", value: n, eventId: `e${n}` })
        yield* ticking.send("r+2", { eventName: "tick", value: 1, eventId: "e1" }).pipe(
          Effect.ignore
        )
      }
      expect(yield* ticking.resume("r", { eventName: "tick", value: 6, eventId: "e6" }))
        .toMatchObject({ status: "success", result: [1, 2, 3, 4, 5, 6], runId: "r+6" })
      // After the end a repeat is no news either.
      yield* ticking.send("r", { eventName: "tick", value: 1, eventId: "e1" })
      expect(yield* failureOf(ticking.send("r", { eventName: "tick", value: 7, eventId: "e7" })))
        .toMatchObject({ _tag: "RunClosed" })
    }))
  })

  it("are events that are posted to the first id all the while, each once", () => {
    const client: Program = ticking.execute([], { runId: "r" })
    const posting: Program = Effect.gen(function*() {
      while (Result.isFailure(yield* Effect.result(Runs.status("r")))) yield* Effect.sleep(1)
      for (let n = 1; n <= 6; n++) {
        yield* ticking.send("r", { eventName: "tick", value: n, eventId: `e${n}` }).pipe(
          Effect.catchTag("RunClosed", () => Effect.void)
        )
      }
    })
    for (const k of [0, 1]) {
      everywhere([client, posting], k, ({ value }) => {
        expect((value as Array<number>).toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6])
      })
    }
  })

  it("are events posted by the body itself just before it leaves", () => {
    const contract = Workflow.define("self", {
      input: Schema.Number,
      output: Schema.Array(Schema.Number),
      events: { tick: Schema.Number }
    })
    const self = contract.make(function*(ctx, n) {
      if (n < 4) {
        yield* ctx.send(contract, "r", { eventName: "tick", value: n })
        return yield* ctx.continueAs(n + 1)
      }
      const seen: Array<number> = []
      for (let k = 1; k < 4; k++) seen.push(yield* ctx.suspend("tick"))
      return seen
    })
    everywhere([self.execute(1, { runId: "r" })], 0, ({ value }) => {
      expect(value).toEqual([1, 2, 3])
    })
  })
})

describe("by its first id", () => {
  const waiting = Workflow.make(
    "waiting",
    { input: Schema.Number, output: Schema.String, events: { go: Schema.String } },
    function*(ctx, n): Workflow.Body<string> {
      if (n < 3) {
        yield* ctx.step("s", () => n)
        return yield* ctx.continueAs(n + 1)
      }
      try {
        return yield* ctx.suspend("go")
      } finally {
        yield* ctx.step("tidy", () => 1)
      }
    }
  )

  it("a run is cancelled, and a second cancel ends it", () => {
    run(Effect.gen(function*() {
      yield* waiting.start(1, { runId: "r" })
      expect(yield* waiting.cancel("r", { reason: "enough" }))
        .toEqual({ status: "cancelled", reason: "enough", runId: "r+3" })
      expect(yield* storyOf("r+3")).toEqual(["cancel", "step tidy", "cancelled"])
      expect(yield* waiting.status("r")).toMatchObject({ status: "cancelled" })
      expect(yield* failureOf(waiting.cancel("r"))).toMatchObject({ _tag: "RunClosed" })
      expect(yield* failureOf(waiting.join("r"))).toMatchObject({ _tag: "NoOutput" })
    }))
  })

  it("a run is joined, looked at and watched through all that it goes on as", () => {
    run(Effect.gen(function*() {
      yield* waiting.enqueue(1, { runId: "r" })
      const joining = yield* Effect.forkChild(waiting.join("r"))
      const watching = yield* Effect.forkChild(
        Stream.runCollect(Stream.map(waiting.changes("r"), ({ runId, status }) => [runId, status]))
      )
      yield* Effect.sleep(10)
      yield* waiting.resume("r")
      expect(yield* waiting.status("r")).toMatchObject({
        status: "suspended",
        runId: "r+3",
        waits: [{ event: "go" }]
      })
      yield* Effect.sleep(10)
      yield* waiting.resume("r", { eventName: "go", value: "now" })
      expect(yield* Fiber.join(joining)).toBe("now")
      const seen = Array.from(yield* Fiber.join(watching))
      expect(seen[0]).toEqual(["r", "pending"])
      expect(seen.at(-1)).toEqual(["r+3", "success"])
      expect(seen.some(([runId, status]) => runId === "r+3" && status === "suspended")).toBe(true)
      expect(seen.every(([, status]) => status !== "cancelled")).toBe(true)
    }))
  })

  it("a run that executes is joined by a second caller that executes", () => {
    run(Effect.gen(function*() {
      const one = yield* Effect.forkChild(waiting.execute(1, { runId: "r" }))
      const two = yield* Effect.forkChild(waiting.execute(1, { runId: "r" }))
      yield* Effect.sleep(1_000)
      yield* waiting.send("r", { eventName: "go", value: "now" })
      expect([yield* Fiber.join(one), yield* Fiber.join(two)]).toEqual(["now", "now"])
      expect((yield* Runs.list()).runs.length).toBe(3)
    }))
  })
})
