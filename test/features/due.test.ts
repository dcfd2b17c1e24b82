/**
 * `Runs.due`: each reason for which somebody should drive a run, and each state in which nobody should.
 */
import { Context, Effect, Fiber, Schedule, Schema } from "effect"
import { Runs, Storage, Workflow } from "reprise"
import { describe, expect, it } from "vitest"
import { Simulation } from "../support/simulation.ts"
import { run } from "../support/together.ts"

const asked = Workflow.make(
  "asked",
  { events: { go: Schema.String, other: Schema.String } },
  function*(ctx) {
    const said = yield* ctx.suspend("go")
    return yield* ctx.step("after", () => said)
  }
)

/** A process that dies a while after it began. */
const dies = <A, E>(program: Effect.Effect<A, E, Storage.Storage>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(program)
    yield* Effect.sleep(100)
    yield* Fiber.interrupt(fiber)
  })

const hanging = Workflow.make("hanging", function*(ctx) {
  yield* ctx.step("quick", () => 1)
  yield* ctx.step("hang", () => Effect.never)
})

describe("a run is due", () => {
  it("when it was enqueued and nobody has driven it", () => {
    run(Effect.gen(function*() {
      yield* asked.enqueue(undefined, { runId: "b" })
      yield* asked.enqueue(undefined, { runId: "a" })
      expect(yield* Runs.due()).toEqual(["a", "b"])
      yield* asked.resume("a")
      expect(yield* Runs.due()).toEqual(["b"])
    }))
  })

  it("when its process died in the middle", () => {
    run(Effect.gen(function*() {
      yield* dies(hanging.start(undefined, { runId: "r" }))
      expect((yield* Runs.status("r")).status).toBe("pending")
      expect(yield* Runs.due()).toEqual(["r"])
    }))
  })

  it("when a timer has gone off: a sleep, the timeout of a wait, a retry, and not before", () => {
    const sleeps = Workflow.make("sleeps", function*(ctx) {
      yield* ctx.sleep("1 day")
    })
    const waits = Workflow.make("waits", { events: { go: Schema.Void } }, function*(ctx) {
      yield* ctx.suspend("go", { timeout: "1 day" })
    })
    const retries = Workflow.make("retries", function*(ctx) {
      yield* ctx.step("fails", ({ attempt }) => attempt > 1 ? Effect.void : Effect.fail("no"), {
        retry: Schedule.spaced("1 day")
      })
    })
    for (const workflow of [sleeps, waits, retries]) {
      run(Effect.gen(function*() {
        const first = yield* workflow.start(undefined, { runId: "r" })
        const { wakeAt = 0 } = yield* Runs.status("r")
        expect(first).toMatchObject({ status: "suspended", wakeAt })
        expect(yield* Runs.due()).toEqual([])
        expect(yield* Runs.due(wakeAt - 1)).toEqual([])
        expect(yield* Runs.due(wakeAt)).toEqual(["r"])
        yield* Effect.sleep("1 day")
        expect(yield* Runs.due()).toEqual(["r"])
        expect((yield* workflow.resume("r")).status).toBe("success")
        expect(yield* Runs.due()).toEqual([])
      }))
    }
  })

  it("when its inbox holds what is not journaled: an event it waits for or not, a cancel", () => {
    run(Effect.gen(function*() {
      for (const runId of ["a", "b", "c", "d"]) yield* asked.start(undefined, { runId })
      expect(yield* Runs.due()).toEqual([])
      yield* asked.send("a", { eventName: "go", value: "x" })
      yield* asked.send("b", { eventName: "other", value: "x" })
      yield* Runs.cancel("c")
      expect(yield* Runs.due()).toEqual(["a", "b", "c"])
      for (const runId of ["a", "b", "c"]) yield* asked.resume(runId)
      expect(yield* Runs.due()).toEqual([])
    }))
  })

  it("when a child that it waits for has ended, in whatever way", () => {
    const parent = Workflow.make("parent", function*(ctx, id: string) {
      yield* ctx.child(asked, undefined, { runId: id })
    })
    run(Effect.gen(function*() {
      yield* parent.start("c1", { runId: "p1" })
      yield* parent.start("c2", { runId: "p2" })
      expect(yield* Runs.due()).toEqual([])
      yield* asked.send("c1", { eventName: "go", value: "x" })
      expect(yield* Runs.due()).toEqual(["c1"])
      yield* asked.resume("c1")
      expect(yield* Runs.due()).toEqual(["p1"])
      yield* asked.cancel("c2")
      expect(yield* Runs.due()).toEqual(["p1", "p2"])
      yield* parent.resume("p1")
      yield* parent.resume("p2")
      expect(yield* Runs.due()).toEqual([])
    }))
  })

  it("when a child that it waits for went on as another run, and that has ended", () => {
    const looping = Workflow.make(
      "looping",
      { input: Schema.Number, events: { go: Schema.Void } },
      function*(ctx, n): Workflow.Body<void> {
        yield* ctx.suspend("go")
        if (n < 2) yield* ctx.continueAs(n + 1)
      }
    )
    const parent = Workflow.make("parent", function*(ctx) {
      yield* ctx.child(looping, 1, { runId: "c" })
      return "done"
    })
    run(Effect.gen(function*() {
      yield* parent.start(undefined, { runId: "p" })
      yield* looping.resume("c", { eventName: "go" })
      yield* looping.resume("c", { eventName: "go" })
      expect((yield* looping.status("c")).status).toBe("success")
      expect(yield* Runs.due()).toEqual(["p"])
      expect(yield* parent.resume("p")).toMatchObject({ status: "success", result: "done" })
    }))
  })

  it("when a person has settled what blocked it", () => {
    const once = Workflow.make("once", function*(ctx) {
      return yield* ctx.step("pay", () => Effect.never, { delivery: "at-most-once" })
    })
    run(Effect.gen(function*() {
      yield* dies(once.start(undefined, { runId: "r" }))
      expect((yield* once.resume("r")).status).toBe("blocked")
      expect(yield* Runs.due()).toEqual([])
      yield* Runs.settle("r", "pay", { value: "paid" })
      expect(yield* Runs.due()).toEqual(["r"])
      expect(yield* once.resume("r")).toMatchObject({ status: "success", result: "paid" })
    }))
  })

  it("when it was released from a crash loop, and a crash loop itself is not, whatever is sent", () => {
    const kills = Workflow.make("kills", { events: { go: Schema.Void } }, function*(ctx) {
      yield* ctx.step("kill", () => Effect.never)
    })
    run(Effect.gen(function*() {
      for (let k = 0; k < 10; k++) yield* dies(kills.start(undefined, { runId: "r" }))
      expect(yield* kills.resume("r")).toMatchObject({ status: "blocked" })
      expect(yield* Runs.due()).toEqual([])
      yield* kills.send("r", { eventName: "go" })
      expect(yield* Runs.due()).toEqual([])
      yield* Runs.settle("r")
      expect(yield* Runs.due()).toEqual(["r"])
    }))
  })
})

describe("a run is not due", () => {
  it("while a live process drives it, also when something is posted or a timer is over", () => {
    run(Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(hanging.start(undefined, { runId: "r" }))
      yield* Effect.sleep(100)
      expect((yield* Runs.status("r")).status).toBe("running")
      expect(yield* Runs.due()).toEqual([])
      yield* Fiber.interrupt(fiber)
      expect(yield* Runs.due()).toEqual(["r"])
    }))
  })

  it("when it has ended, in whatever way", () => {
    const fails = Workflow.make("fails", function*(ctx) {
      yield* ctx.fail({ _tag: "No" })
    })
    const continues = Workflow.make("continues", function*(ctx, n: number): Workflow.Body<number> {
      return n > 2 ? n : yield* ctx.continueAs(n + 1)
    })
    run(Effect.gen(function*() {
      yield* asked.start(undefined, { runId: "done" })
      yield* asked.resume("done", { eventName: "go", value: "x" })
      yield* asked.start(undefined, { runId: "gone" })
      yield* asked.cancel("gone")
      yield* fails.start(undefined, { runId: "bad" })
      yield* continues.start(1, { runId: "more" })
      expect((yield* Runs.list()).runs.map(({ status }) => status).toSorted())
        .toEqual(["cancelled", "continued", "continued", "failed", "success", "success"])
      expect(yield* Runs.due()).toEqual([])
      expect(yield* Runs.due(8.64e15)).toEqual([])
    }))
  })

  it("for a post that its journal has, or that was made to a removed run of its id", () => {
    run(Effect.gen(function*() {
      yield* asked.start(undefined, { runId: "r" })
      yield* asked.resume("r", { eventName: "other", value: "x", eventId: "e1" })
      yield* asked.send("r", { eventName: "other", value: "x", eventId: "e1" })
      expect(yield* Runs.due()).toEqual([])
      yield* asked.send("r", { eventName: "go", value: "x", eventId: "e2" })
      yield* Runs.remove("r")
      expect(yield* Runs.due()).toEqual([])
      yield* asked.start(undefined, { runId: "r" })
      expect(yield* Runs.due()).toEqual([])
    }))
  })

  it("for what happens to another run", () => {
    run(Effect.gen(function*() {
      yield* asked.start(undefined, { runId: "a" })
      yield* asked.start(undefined, { runId: "a.b" })
      yield* asked.send("a.b", { eventName: "go", value: "x" })
      expect(yield* Runs.due()).toEqual(["a.b"])
    }))
  })

  it("when its journal is damaged, and hides no other then", () => {
    const driver = Storage.memoryDriver()
    const services = Context.make(Storage.Storage, Storage.make(driver))
    new Simulation().get(
      Effect.gen(function*() {
        yield* asked.enqueue(undefined, { runId: "good" })
        const writer = yield* Effect.scoped(driver.writer("bad"))
        yield* Effect.suspend(() =>
          writer.append("", [`{"type":"start"}`], () => {
            throw new Error("the memory driver has no index")
          })
        )
        expect(yield* Runs.due()).toEqual(["good"])
      }),
      services
    )
  })
})
