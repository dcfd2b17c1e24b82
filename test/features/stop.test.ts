/**
 * A run that a hook stops: what it comes to, what still ends, what is never started, what each call makes of
 * it afterwards, and how it goes on.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Schedule, Schema } from "effect"
import { Instruction, Runs, Storage, Workflow } from "reprise"
import * as Testing from "reprise/testing"
import { entriesOf, everywhere, failureOf, run } from "../support/together.ts"

const runId = "r"
const hour = 3_600_000

/** A hook that stops a run behind the steps of these ids. */
const stopsAt = (...ids: ReadonlyArray<string>) => ({
  onStepComplete: ({ stepId, stop }: Workflow.StepCompleted) => {
    if (ids.includes(stepId)) stop()
  }
})

/** A journal in brief, with its starts and suspensions. */
const typesOf = (id = runId) =>
  Effect.map(
    entriesOf(id),
    (entries) =>
      entries.map((entry) => "stepId" in entry ? `${entry.type} ${entry.stepId}` : entry.type)
  )

/** Lets the process die a while after it began. */
const diesAfter = (millis: number) => <A, E>(program: Effect.Effect<A, E, Storage.Storage>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(program)
    yield* Effect.sleep(millis)
    yield* Fiber.interrupt(fiber)
  })

/** What a call comes to, unless it takes an hour. */
const soon = <A, E, R>(program: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.timeoutOrElse(program, {
    duration: hour,
    orElse: () => Effect.die(new Error("it takes for ever"))
  })

/** Three steps, and what ran of them. */
const three = () => {
  const ran: Array<string> = []
  const did = <A>(name: string, value: A): A => {
    ran.push(name)
    return value
  }
  const workflow = Workflow.make(
    "three",
    { events: { go: Schema.String } },
    function*(ctx, more: number) {
      const a = yield* ctx.step("a", () => did("a", { n: more }))
      const b = yield* ctx.step("b", () => did("b", a.n + 1))
      return yield* ctx.step("c", () => did("c", b + 1))
    }
  )
  return { ran, workflow }
}

describe("a run that a hook stops", () => {
  it("comes to stopped, with the step and the context as of it, and nothing more is started", () => {
    const { ran, workflow } = three()
    run(Effect.gen(function*() {
      const result = yield* workflow.start(1, { runId, ...stopsAt("b") })
      expect(result).toEqual({
        status: "stopped",
        stepId: "b",
        context: { a: { n: 1 }, b: 2 },
        runId
      })
      expect(ran).toEqual(["a", "b"])
      const entries = yield* entriesOf(runId)
      expect(yield* typesOf()).toEqual(["start", "step a", "step b", "stop b"])
      expect(entries.at(-1)).toMatchObject({ type: "stop", stepId: "b" })
      expect(yield* failureOf(Workflow.output(result))).toMatchObject({
        _tag: "NoOutput",
        status: "stopped"
      })
    }))
  })

  it("may be stopped by either name, from a Promise's or an Effect's end, by the definition or the call", () => {
    const hooks: ReadonlyArray<(event: Workflow.StepCompleted) => unknown> = [
      ({ stop }) => stop(),
      ({ stopPipeline }) => stopPipeline(),
      ({ stop }) => Effect.map(Effect.sleep(10), stop),
      (event) => Effect.sync(() => event.stopPipeline())
    ]
    for (const onStepComplete of hooks) {
      run(Effect.gen(function*() {
        expect(yield* three().workflow.start(1, { runId, onStepComplete }))
          .toMatchObject({ status: "stopped", stepId: "a" })
        const defined = Workflow.make("defined", { onStepComplete }, function*(ctx) {
          yield* ctx.step("x", () => 1)
          yield* ctx.step("y", () => 1)
        })
        expect(yield* defined.start(undefined, { runId: "d" }))
          .toMatchObject({ status: "stopped", stepId: "x", context: { x: 1 } })
      }))
    }
  })

  it.effect("may be stopped from a Promise", () => {
    const { workflow } = three()
    return Effect.gen(function*() {
      const result = yield* workflow.start(1, {
        runId,
        onStepComplete: async ({ stop }) => {
          await Promise.resolve()
          stop()
        }
      })
      expect(result).toMatchObject({ status: "stopped", stepId: "a" })
    }).pipe(Effect.provide(Storage.layerMemory))
  })

  it("lets the other hooks hear of the step before it stops", () => {
    const heard: Array<string> = []
    const both = Workflow.make("both", {
      onStepComplete: ({ stepId, stop }) => {
        heard.push(`D ${stepId}`)
        stop()
      }
    }, function*(ctx) {
      yield* ctx.step("a", () => 1)
      yield* ctx.step("b", () => 1)
    })
    run(Effect.gen(function*() {
      yield* both.start(undefined, {
        runId,
        onStepComplete: ({ stepId, stop }) => {
          heard.push(`call ${stepId}`)
          // A stop that was asked for stays one.
          stop()
        }
      })
      expect(heard).toEqual(["D a", "call a"])
      expect(yield* typesOf()).toEqual(["start", "step a", "stop a"])
    }))
  })

  const kid = Workflow.make("kid", function*(ctx) {
    yield* ctx.step("within", () => 1)
  })
  const follows: Record<
    string,
    (ctx: Workflow.Ctx<{ go: typeof Schema.Void }>) => Workflow.Body<unknown, any, any>
  > = {
    *intent(ctx) {
      yield* ctx.step("once", () => 1, { delivery: "at-most-once" })
    },
    *child(ctx) {
      yield* ctx.child(kid, undefined, { runId: "kid" })
    },
    *discarded(ctx) {
      yield* ctx.child(kid, undefined, { runId: "kid", discard: true })
    },
    *timer(ctx) {
      yield* ctx.sleep("1 second")
    },
    *suspension(ctx) {
      yield* ctx.suspend("go")
    },
    *branches(ctx) {
      yield* ctx.all([ctx.step("x", () => 1), ctx.suspend("go"), ctx.sleep("1 day")])
    },
    *end() {},
    *failure(ctx) {
      yield* ctx.fail("no")
    },
    *bug() {
      throw new TypeError("a bug")
    }
  }
  for (const [name, follow] of Object.entries(follows)) {
    it(`is stopped before what follows the step: ${name}`, () => {
      const workflow = Workflow.make("follows", { events: { go: Schema.Void } }, function*(ctx) {
        yield* ctx.step("a", () => 1)
        yield* follow(ctx as never) as Workflow.Body<unknown>
      })
      run(Effect.gen(function*() {
        expect(yield* soon(workflow.start(undefined, { runId, ...stopsAt("a") })))
          .toMatchObject({ status: "stopped", stepId: "a" })
        expect(yield* typesOf()).toEqual(["start", "step a", "stop a"])
        expect(Exit.isFailure(yield* Effect.exit(Runs.status("kid")))).toBe(true)
        expect(yield* Runs.due(8.64e15)).toEqual([])
      }))
    })
  }

  it("goes on behind a step that was its last, to its end", () => {
    const { ran, workflow } = three()
    run(Effect.gen(function*() {
      expect(yield* workflow.start(1, { runId, ...stopsAt("c") }))
        .toMatchObject({ status: "stopped", stepId: "c", context: { a: { n: 1 }, b: 2, c: 3 } })
      expect((yield* workflow.status(runId)).status).toBe("stopped")
      expect(yield* workflow.resume(runId)).toMatchObject({ status: "success", result: 3 })
      expect(ran).toEqual(["a", "b", "c"])
      expect(yield* typesOf())
        .toEqual(["start", "step a", "step b", "step c", "stop c", "start", "complete"])
    }))
  })

  it("may be stopped at every step in turn, each resume passing one stop", () => {
    const { ran, workflow } = three()
    const stops = stopsAt("a", "b", "c")
    run(Effect.gen(function*() {
      const results = [yield* workflow.start(1, { runId, ...stops })]
      for (let n = 0; n < 3; n++) results.push(yield* workflow.resume(runId, undefined, stops))
      expect(results.map((result) => result.status === "stopped" ? result.stepId : result.status))
        .toEqual(["a", "b", "c", "success"])
      expect(ran).toEqual(["a", "b", "c"])
      expect(workflow.replay(yield* Runs.journal(runId))).toMatchObject({
        _tag: "Returned",
        value: 3
      })
    }))
  })

  it("is not stopped by what an earlier call did: a resume that skips the step passes it", () => {
    const { workflow } = three()
    const heard: Array<string> = []
    run(Effect.gen(function*() {
      yield* workflow.start(1, { runId, ...stopsAt("b") })
      const result = yield* workflow.resume(runId, undefined, {
        ...stopsAt("a", "b"),
        onStepSkipped: (event) => {
          expect(event).not.toHaveProperty("stop")
          expect(event).not.toHaveProperty("stopPipeline")
          heard.push(event.stepId)
        }
      })
      expect(result).toMatchObject({ status: "success", result: 3 })
      expect(heard).toEqual(["a", "b"])
    }))
  })

  it("stays stopped when the event is kept and asked again afterwards", () => {
    const { workflow } = three()
    const events: Array<Workflow.StepCompleted> = []
    run(Effect.gen(function*() {
      yield* workflow.start(1, {
        runId,
        onStepComplete: (event) => {
          events.push(event)
          event.stop()
        }
      })
      for (const { stop } of events) stop()
      expect(yield* workflow.resume(runId)).toMatchObject({ status: "success" })
      for (const { context, stop } of events) {
        stop()
        expect(context).toEqual({ a: { n: 1 } })
      }
      expect((yield* workflow.status(runId)).status).toBe("success")
      expect(events).toHaveLength(1)
    }))
  })

  it("may be stopped late: what has begun by then ends, and the context is still that of the step", () => {
    const late = Workflow.make("late", function*(ctx) {
      yield* ctx.step("a", () => 1)
      yield* ctx.step("b", () => Effect.sleep("1 second"))
      yield* ctx.step("c", () => 1)
    })
    const events: Array<Workflow.StepCompleted> = []
    run(Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(
        late.start(undefined, { runId, onStepComplete: (event) => void events.push(event) })
      )
      yield* Effect.sleep(100)
      events[0]!.stop()
      expect(yield* Fiber.join(fiber))
        .toEqual({ status: "stopped", stepId: "a", context: { a: 1 }, runId })
      expect(yield* typesOf()).toEqual(["start", "step a", "step b", "stop a"])
    }))
  })

  it("comes to the same context whoever looks, whatever the body did to its values since", () => {
    const spoils = Workflow.make("spoils", function*(ctx) {
      const a = yield* ctx.step("a", () => ({ list: [1] }))
      a.list.push(2)
      yield* ctx.step("b", () => 1)
    })
    run(Effect.gen(function*() {
      const context = { a: { list: [1] } }
      expect(yield* spoils.start(undefined, { runId, ...stopsAt("a") }))
        .toEqual({ status: "stopped", stepId: "a", context, runId })
      expect(yield* spoils.start(undefined, { runId }))
        .toEqual({ status: "stopped", stepId: "a", context, runId })
    }))
  })
})

describe("a journal with stops", () => {
  it("fits the code from every prefix on, under the guard, in branches and loops", () => {
    const busy = Workflow.make("busy", { events: { go: Schema.Void } }, function*(ctx) {
      yield* ctx.patched("p")
      for (let n = 0; n < 2; n++) yield* ctx.step("loop", () => n)
      yield* ctx.all([
        ctx.step("x", () => Effect.sleep(5)),
        ctx.step("y", () => Effect.sleep(5)),
        ctx.suspend("go")
      ])
      yield* ctx.race({ p: ctx.step("p", () => 1), q: ctx.sleep("1 day") })
      return yield* ctx.random
    })
    run(Effect.gen(function*() {
      const always = { onStepComplete: ({ stop }: Workflow.StepCompleted) => stop() }
      let result = yield* soon(busy.start(undefined, { runId, ...always }))
      for (let n = 0; n < 20 && result.status !== "success"; n++) {
        const event = result.status === "suspended" ? { eventName: "go" } as const : undefined
        result = yield* soon(busy.resume(runId, event, always))
      }
      const journal = yield* Runs.journal(runId)
      expect(journal.entries.filter(({ type }) => type === "stop").length).toBeGreaterThanOrEqual(4)
      expect(busy.replay(journal)).toEqual({
        _tag: "Returned",
        value: (result as { result?: number }).result
      })
      for (let n = 1; n < journal.entries.length; n++) {
        const prefix = { ...journal, entries: journal.entries.slice(0, n) }
        expect(busy.replay(prefix)._tag).toMatch(/^(Blocked|Returned)$/)
      }
    }))
  })

  it("takes a new path of ctx.patched behind the stop, and replays so", () => {
    const old = Workflow.make("patches", function*(ctx) {
      yield* ctx.step("a", () => 1)
      return yield* ctx.step("old", () => "old")
    })
    const mended = Workflow.make("patches", function*(ctx) {
      yield* ctx.step("a", () => 1)
      if (yield* ctx.patched("new")) return yield* ctx.step("new", () => "new")
      return yield* ctx.step("old", () => "old")
    })
    run(Effect.gen(function*() {
      for (const [id, stop] of [["p", "a"], ["q", "old"]] as const) {
        yield* old.start(undefined, { runId: id, ...stopsAt(stop) })
        const result = stop === "a" ? "new" : "old"
        expect(yield* mended.resume(id)).toMatchObject({ status: "success", result })
        expect(mended.replay(yield* Runs.journal(id))).toMatchObject({ value: result })
      }
    }))
  })

  it("has what was done in earlier sessions in the context of a stop, in one call or several", () => {
    const asks = Workflow.make("asks", { events: { go: Schema.String } }, function*(ctx) {
      yield* ctx.step("a", () => 1)
      yield* ctx.suspend("go")
      yield* ctx.step("b", () => new Date(7), { schema: Schema.Date })
      yield* ctx.step("c", () => 1)
    })
    run(Effect.gen(function*() {
      const context = { a: 1, b: new Date(7) }
      const event = { eventName: "go", value: "x" } as const
      yield* asks.start(undefined, { runId })
      expect(yield* asks.resume(runId, event, stopsAt("b"))).toMatchObject({
        status: "stopped",
        context
      })
      const executing = yield* Effect.forkChild(
        failureOf(asks.execute(undefined, { runId: "e", ...stopsAt("b") }))
      )
      yield* Effect.sleep("1 second")
      yield* asks.send("e", event)
      expect(yield* Fiber.join(executing)).toMatchObject({ _tag: "NoOutput", status: "stopped" })
      expect(yield* asks.start(undefined, { runId: "e" })).toMatchObject({
        status: "stopped",
        context
      })
    }))
  })
})

describe("a stopped run and", () => {
  const stopped = (options: object = {}) =>
    Effect.gen(function*() {
      const { ran, workflow } = three()
      yield* workflow.start(1, { runId, ...stopsAt("a"), ...options })
      return { ran, workflow, before: yield* typesOf() }
    })
  const atA = { status: "stopped", stepId: "a", runId }

  it("start: attaches, with the context, and appends nothing; another input is RunExists", () => {
    run(Effect.gen(function*() {
      const { before, ran, workflow } = yield* stopped()
      for (let n = 0; n < 3; n++) {
        expect(yield* workflow.start(1, { runId })).toEqual({ ...atA, context: { a: { n: 1 } } })
      }
      expect(yield* failureOf(workflow.start(2, { runId }))).toMatchObject({ _tag: "RunExists" })
      expect(yield* typesOf()).toEqual(before)
      expect(ran).toEqual(["a"])
    }))
  })

  it("execute: NoOutput at once, stopping or attaching", () => {
    run(Effect.gen(function*() {
      const { before, workflow } = yield* stopped()
      const noOutput = { _tag: "NoOutput", status: "stopped", runId }
      expect(yield* failureOf(soon(workflow.execute(1, { runId })))).toMatchObject(noOutput)
      expect(yield* typesOf()).toEqual(before)
      expect(yield* failureOf(soon(workflow.execute(1, { runId: "e", ...stopsAt("b") }))))
        .toMatchObject({ ...noOutput, runId: "e" })
    }))
  })

  it("status, changes and listings: stopped, and where", () => {
    run(Effect.gen(function*() {
      const { workflow } = yield* stopped()
      expect(yield* workflow.status(runId))
        .toMatchObject({
          status: "stopped",
          stepId: "a",
          steps: { done: 1, running: 0, failed: 0 }
        })
      expect(yield* Runs.status(runId)).toMatchObject({ status: "stopped", stoppedAt: "a" })
      expect((yield* Runs.list()).runs).toMatchObject([{ runId, status: "stopped" }])
      yield* workflow.resume(runId)
      expect(yield* Runs.status(runId)).not.toHaveProperty("stoppedAt")
    }))
  })

  it("join: waits until it has been resumed and is over", () => {
    run(Effect.gen(function*() {
      const { workflow } = yield* stopped()
      const joined = yield* Effect.forkChild(workflow.join(runId))
      yield* Effect.sleep("1 minute")
      expect(joined.pollUnsafe()).toBeUndefined()
      yield* workflow.resume(runId)
      expect(yield* Fiber.join(joined)).toBe(3)
    }))
  })

  it("send: is kept, makes nothing due, and is taken after a resume", () => {
    const asks = Workflow.make("asks", { events: { go: Schema.String } }, function*(ctx) {
      yield* ctx.step("a", () => 1)
      return yield* ctx.suspend("go")
    })
    run(Effect.gen(function*() {
      yield* asks.start(undefined, { runId, ...stopsAt("a") })
      yield* asks.send(runId, { eventName: "go", value: "x" })
      expect(yield* Runs.due()).toEqual([])
      expect(yield* asks.start(undefined, { runId })).toMatchObject(atA)
      expect(yield* typesOf()).toEqual(["start", "step a", "stop a"])
      expect(yield* asks.resume(runId)).toMatchObject({ status: "success", result: "x" })
    }))
  })

  it("resume with an event: goes on and takes it", () => {
    const asks = Workflow.make("asks", { events: { go: Schema.String } }, function*(ctx) {
      yield* ctx.step("a", () => 1)
      return yield* ctx.suspend("go")
    })
    run(Effect.gen(function*() {
      yield* asks.start(undefined, { runId, ...stopsAt("a") })
      expect(yield* asks.resume(runId, { eventName: "go", value: "x" }))
        .toMatchObject({ status: "success", result: "x" })
    }))
  })

  it("due: not by itself, not by a timer that was pending, but by a cancel", () => {
    const sleeps = Workflow.make("sleeps", function*(ctx) {
      yield* ctx.all([ctx.sleep("1 hour"), ctx.step("a", () => Effect.sleep(10))])
    })
    run(Effect.gen(function*() {
      yield* sleeps.start(undefined, { runId, ...stopsAt("all[1]/a") })
      expect(yield* Runs.due(8.64e15)).toEqual([])
      yield* Effect.sleep("2 hours")
      expect(yield* Runs.due()).toEqual([])
      yield* Runs.cancel(runId)
      expect(yield* Runs.due()).toEqual([runId])
      expect(yield* sleeps.start(undefined, { runId })).toMatchObject({ status: "cancelled" })
      expect(yield* Runs.due()).toEqual([])
    }))
  })

  it("cancel: cleans up and ends it", () => {
    const tidies = Workflow.make("tidies", function*(ctx) {
      try {
        yield* ctx.step("a", () => 1)
        yield* ctx.step("b", () => 1)
      } finally {
        yield* ctx.step("tidy", () => 1)
      }
    })
    run(Effect.gen(function*() {
      yield* tidies.start(undefined, { runId, ...stopsAt("a") })
      expect(yield* tidies.cancel(runId, { reason: "no more" }))
        .toMatchObject({ status: "cancelled", reason: "no more" })
      expect((yield* typesOf()).slice(3)).toEqual(["start", "cancel", "step tidy", "cancelled"])
    }))
  })

  it("cancel: takes what was done back", () => {
    const saga = Workflow.make("saga", function*(ctx) {
      yield* ctx.step("a", () => 1, { undo: () => ctx.step("unA", () => 1) })
      yield* ctx.step("b", () => 1)
    })
    run(Effect.gen(function*() {
      yield* saga.start(undefined, { runId, ...stopsAt("a") })
      expect(yield* saga.cancel(runId)).toMatchObject({ status: "cancelled" })
      expect((yield* typesOf()).slice(-3)).toEqual(["step a[undo]/unA", "undo a", "cancelled"])
    }))
  })

  it("two callers that resume it at once: its steps run once", () => {
    const { ran, workflow } = three()
    run(Effect.gen(function*() {
      yield* workflow.start(1, { runId, ...stopsAt("a") })
      const both = yield* Effect.all([workflow.resume(runId), workflow.resume(runId)], {
        concurrency: 2
      })
      expect(both.map(({ status }) => status).toSorted()[1]).toBe("success")
      expect(ran).toEqual(["a", "b", "c"])
    }))
  })

  it("a person's settlement of a step: is taken when it goes on, and leaves nobody busy until then", () => {
    const once = Workflow.make("once", function*(ctx) {
      yield* ctx.all([
        ctx.step("unknown", () => Effect.never, { delivery: "at-most-once" }),
        ctx.step("a", () => Effect.sleep(500))
      ])
      return "done"
    })
    run(Effect.gen(function*() {
      yield* once.start(undefined, { runId }).pipe(diesAfter(100))
      const stops = stopsAt("all[1]/a")
      expect(yield* soon(once.resume(runId, undefined, stops))).toMatchObject({ status: "stopped" })
      yield* Runs.settle(runId, "all[0]/unknown", { value: null })
      // What is due must stop being due when it is driven.
      if ((yield* Runs.due()).length > 0) yield* once.start(undefined, { runId })
      expect(yield* Runs.due()).toEqual([])
      expect(yield* once.resume(runId)).toMatchObject({ status: "success", result: "done" })
    }))
  })
})

describe("a stop among branches", () => {
  it("lets what runs end, be journaled and be heard, and starts nothing behind it", () => {
    const ran: Array<string> = []
    const heard: Array<string> = []
    const step = (name: string, millis: number) =>
      Instruction.step(name, () => Effect.map(Effect.sleep(millis), () => ran.push(name)))
    const fan = Workflow.make("fan", function*(ctx) {
      yield* ctx.step("before", () => 1)
      yield* ctx.all({
        *a() {
          yield* step("a", 10)
          yield* step("a2", 10)
        },
        *b() {
          yield* step("b", 100)
          yield* step("b2", 10)
        },
        *c() {
          yield* Instruction.result(
            ctx.step("c", () => Effect.andThen(Effect.sleep(200), Effect.fail("no")))
          )
          yield* step("c2", 10)
        },
        sleep: ctx.sleep("1 second")
      }, { concurrency: 4 })
      return "done"
    })
    run(Effect.gen(function*() {
      const result = yield* fan.start(undefined, {
        runId,
        onStepComplete: ({ context, stepId, stop }) => {
          heard.push(`${stepId} ${Object.keys(context).join("+")}`)
          if (stepId !== "before") stop()
        },
        onStepError: ({ stepId }) => void heard.push(`failed ${stepId}`)
      })
      expect(result).toMatchObject({
        status: "stopped",
        stepId: "all[a]/a",
        context: { before: 1, a: 1 }
      })
      expect(Object.keys((result as { context: object }).context)).toEqual(["before", "a"])
      expect(ran).toEqual(["a", "b"])
      expect(heard).toEqual([
        "before before",
        "all[a]/a before+a",
        "all[b]/b before+a+b",
        "failed all[c]/c"
      ])
      expect(yield* typesOf()).toEqual([
        "start",
        "step before",
        "step all[a]/a",
        "stop all[a]/a",
        "step all[b]/b",
        "step all[c]/c"
      ])
      // Whoever attaches sees the context as of that step, too.
      expect(yield* fan.start(undefined, { runId })).toEqual(result)
      expect(yield* fan.resume(runId)).toMatchObject({ status: "success", result: "done" })
      expect(ran).toEqual(["a", "b", "a2", "b2", "c2"])
    }))
  })

  it("lets attempts that are to be repeated soon be repeated, and those of later wait", () => {
    const ran: Array<string> = []
    const fan = Workflow.make("fan", function*(ctx) {
      yield* ctx.all([
        ctx.step("a", () => Effect.sleep(10)),
        ctx.step("later", ({ attempt }) => {
          ran.push(`later ${attempt}`)
          return Effect.andThen(Effect.sleep(50), attempt < 2 ? Effect.fail("no") : Effect.void)
        }, { retry: { times: 2, schedule: Schedule.spaced("1 day") } })
      ])
    })
    run(Effect.gen(function*() {
      expect(yield* soon(fan.start(undefined, { runId, ...stopsAt("all[0]/a") })))
        .toMatchObject({ status: "stopped" })
      expect(ran).toEqual(["later 1"])
      expect(yield* typesOf())
        .toEqual(["start", "step all[0]/a", "stop all[0]/a", "retry all[1]/later"])
      expect(yield* Runs.due(8.64e15)).toEqual([])
      yield* Effect.sleep("2 days")
      expect(yield* fan.resume(runId)).toMatchObject({ status: "success" })
      expect(ran).toEqual(["later 1", "later 2"])
    }))
  })

  it("does not wait for the losers of a race that the step has won", () => {
    const said: Array<string> = []
    const racing = Workflow.make("racing", function*(ctx) {
      const { winner } = yield* ctx.race({
        quick: ctx.step("quick", () => Effect.sleep(10)),
        never: ctx.step(
          "never",
          () =>
            Effect.onInterrupt(Effect.never, () => Effect.sync(() => void said.push("interrupted")))
        )
      })
      yield* ctx.step("after", () => void said.push("after"))
      return winner
    })
    run(Effect.gen(function*() {
      expect(yield* soon(racing.start(undefined, { runId, ...stopsAt("race[quick]/quick") })))
        .toMatchObject({ status: "stopped", stepId: "race[quick]/quick" })
      expect(said).toEqual(["interrupted"])
      expect(yield* typesOf()).toEqual([
        "start",
        "step race[quick]/quick",
        "stop race[quick]/quick"
      ])
      expect(yield* racing.resume(runId)).toMatchObject({ status: "success", result: "quick" })
      expect(said).toEqual(["interrupted", "after"])
    }))
  })

  it("does not wait for a child that lost a race, which is cancelled when the run goes on", () => {
    const kid = Workflow.make("kid", function*(ctx) {
      yield* ctx.step("long", () => Effect.sleep(24 * hour))
    })
    const racing = Workflow.make("racing", function*(ctx) {
      yield* ctx.race({
        quick: ctx.step("quick", () => Effect.sleep(10)),
        kid: ctx.child(kid, undefined, { runId: "kid" })
      })
      yield* ctx.step("after", () => 1)
    })
    run(Effect.gen(function*() {
      expect(yield* soon(racing.start(undefined, { runId, ...stopsAt("race[quick]/quick") })))
        .toMatchObject({ status: "stopped" })
      expect(yield* soon(racing.resume(runId))).toMatchObject({ status: "success" })
      yield* soon(kid.resume("kid"))
      expect((yield* Runs.status("kid")).status).toBe("cancelled")
    }))
  })

  it("leaves the loser of a race that has an undo to be undone when the run goes on", () => {
    const racing = Workflow.make("racing", function*(ctx) {
      yield* ctx.race({
        quick: ctx.step("quick", () => Effect.sleep(10)),
        taken: ctx.step("taken", () => Effect.as(Effect.sleep(100), 1), {
          undo: () => ctx.step("give back", () => 1)
        })
      })
      return "done"
    })
    run(Effect.gen(function*() {
      expect(yield* soon(racing.start(undefined, { runId, ...stopsAt("race[quick]/quick") })))
        .toMatchObject({ status: "stopped", stepId: "race[quick]/quick" })
      expect(yield* typesOf()).toEqual([
        "start",
        "step race[quick]/quick",
        "stop race[quick]/quick",
        "step race[taken]/taken"
      ])
      expect(yield* racing.resume(runId)).toMatchObject({ status: "success", result: "done" })
      expect((yield* typesOf()).filter((type) => type.startsWith("undo"))).toEqual([
        "undo race[taken]/taken"
      ])
    }))
  })

  it("lets children go, which go on later and are heard of", () => {
    const ran: Array<string> = []
    const kid = Workflow.make("kid", function*(ctx) {
      yield* ctx.step("one", () => Effect.map(Effect.sleep(500), () => void ran.push("one")))
      return yield* ctx.step("two", () => Effect.map(Effect.sleep(500), () => ran.push("two")))
    })
    const parent = Workflow.make("parent", function*(ctx) {
      const [n] = yield* ctx.all([
        ctx.child(kid, undefined, { runId: "kid" }),
        ctx.step("a", () => Effect.sleep(700)),
        ctx.step("slow", () => Effect.sleep(1_000))
      ])
      return n
    })
    run(Effect.gen(function*() {
      expect(yield* soon(parent.start(undefined, { runId, ...stopsAt("all[1]/a") })))
        .toMatchObject({ status: "stopped", stepId: "all[1]/a" })
      expect(yield* typesOf())
        .toEqual(["start", "step all[1]/a", "stop all[1]/a", "step all[2]/slow"])
      expect(ran).toEqual(["one"])
      expect((yield* Runs.status("kid")).status).toBe("pending")
      expect(yield* Runs.due()).toEqual(["kid"])
      // Somebody else drives it meanwhile.
      expect(yield* kid.resume("kid")).toMatchObject({ status: "success" })
      expect(yield* Runs.due()).toEqual([])
      expect(yield* parent.resume(runId)).toMatchObject({ status: "success", result: 2 })
      expect(ran).toEqual(["one", "two"])
    }))
  })

  it("lets children go that the resume drives on itself", () => {
    const kid = Workflow.make("kid", function*(ctx) {
      yield* ctx.sleep("1 hour")
      return yield* ctx.step("two", () => 2)
    })
    const parent = Workflow.make("parent", function*(ctx) {
      const [n] = yield* ctx.all([
        ctx.child(kid, undefined, { runId: "kid" }),
        ctx.step("a", () => Effect.sleep(700))
      ])
      return n
    })
    run(Effect.gen(function*() {
      expect(yield* soon(parent.start(undefined, { runId, ...stopsAt("all[1]/a") })))
        .toMatchObject({ status: "stopped" })
      expect(yield* parent.resume(runId)).toMatchObject({ status: "suspended" })
      yield* Effect.sleep("2 hours")
      expect(yield* parent.resume(runId)).toMatchObject({ status: "success", result: 2 })
    }))
  })

  it("posts that come while it waits for the others are taken afterwards: a cancel at once", () => {
    const fan = Workflow.make("fan", { events: { go: Schema.String } }, function*(ctx) {
      yield* ctx.all([
        ctx.step("a", () => Effect.sleep(10)),
        ctx.step("slow", () => Effect.sleep("10 seconds"))
      ])
      return yield* ctx.suspend("go")
    })
    run(Effect.gen(function*() {
      const started = (id: string) =>
        Effect.forkChild(fan.start(undefined, { runId: id, ...stopsAt("all[0]/a") }))
      const sent = yield* started("s")
      const cancelled = yield* started("c")
      yield* Effect.sleep("3 seconds")
      yield* fan.send("s", { eventName: "go", value: "x" })
      yield* Runs.cancel("c")
      expect(yield* Fiber.join(sent)).toMatchObject({ status: "stopped" })
      expect(yield* fan.resume("s")).toMatchObject({ status: "success", result: "x" })
      expect(yield* Fiber.join(cancelled)).toMatchObject({ status: "cancelled" })
    }))
  })

  it("starts no further item of a forEach, and keeps those that run", () => {
    const ran: Array<number> = []
    const each = Workflow.make("each", function*(ctx) {
      return yield* ctx.forEach(
        [1, 2, 3, 4, 5],
        (n) => ctx.step("s", () => Effect.map(Effect.sleep(n * 10), () => ran.push(n))),
        { concurrency: 2 }
      )
    })
    run(Effect.gen(function*() {
      expect(yield* each.start(undefined, { runId, onStepComplete: ({ stop }) => stop() }))
        .toMatchObject({ status: "stopped", stepId: "each[0]/s" })
      expect(ran).toEqual([1, 2])
      yield* each.resume(runId)
      expect(ran).toEqual([1, 2, 3, 4, 5])
    }))
  })
})

describe("a stop in the clean-up", () => {
  const saga = Workflow.make("saga", function*(ctx) {
    try {
      yield* ctx.step("a", () => 1, {
        undo: function*() {
          yield* ctx.step("un1", () => 1)
          yield* ctx.step("un2", () => 1)
        }
      })
      yield* ctx.fail("no")
    } finally {
      yield* ctx.step("tidy", () => 1)
      yield* ctx.step("tidy2", () => 1)
    }
  })

  it("of a body that fails stops it there, and a resume goes on with it", () => {
    const hooks = stopsAt("tidy", "a[undo]/un1", "a[undo]/un2")
    run(Effect.gen(function*() {
      expect(yield* saga.start(undefined, { runId, ...hooks })).toMatchObject({ stepId: "tidy" })
      expect(yield* saga.resume(runId, undefined, hooks))
        .toMatchObject({ status: "stopped", stepId: "a[undo]/un1" })
      expect(yield* saga.resume(runId, undefined, hooks))
        .toMatchObject({ status: "stopped", stepId: "a[undo]/un2" })
      expect(yield* saga.start(undefined, { runId }))
        .toMatchObject({ status: "stopped", stepId: "a[undo]/un2" })
      expect(yield* saga.resume(runId, undefined, hooks)).toMatchObject({
        status: "failed",
        error: "no"
      })
      expect((yield* typesOf()).filter((type) => !/^(start|stop)/.test(type))).toEqual([
        "step a",
        "step tidy",
        "step tidy2",
        "step a[undo]/un1",
        "step a[undo]/un2",
        "undo a",
        "error"
      ])
    }))
  })

  it("of a cancelled run stops it there; a resume goes on with it, a second cancel ends it", () => {
    const tidies = Workflow.make("tidies", {
      events: { go: Schema.Void },
      ...stopsAt("tidy")
    }, function*(ctx) {
      try {
        yield* ctx.suspend("go")
      } finally {
        yield* ctx.step("tidy", () => 1)
        yield* ctx.step("tidy2", () => 1)
      }
    })
    run(Effect.gen(function*() {
      for (const id of ["x", "y"]) {
        yield* tidies.start(undefined, { runId: id })
        expect(yield* tidies.cancel(id)).toMatchObject({ status: "stopped", stepId: "tidy" })
        expect(yield* Runs.due()).toEqual([])
        expect(yield* tidies.start(undefined, { runId: id })).toMatchObject({ status: "stopped" })
      }
      expect(yield* tidies.resume("x")).toMatchObject({ status: "cancelled" })
      expect((yield* typesOf("x")).slice(-4)).toEqual([
        "stop tidy",
        "start",
        "step tidy2",
        "cancelled"
      ])
      expect(yield* tidies.cancel("y")).toMatchObject({ status: "cancelled" })
      expect((yield* typesOf("y")).slice(-4)).toEqual(["stop tidy", "start", "cancel", "cancelled"])
    }))
  })
})

describe("a stop and other runs", () => {
  it("of a run that went on with continueAs: the newest is stopped, and a resume by either id passes it", () => {
    const goesOn = Workflow.make("goesOn", function*(ctx, n: number): Workflow.Body<number> {
      yield* ctx.step("s", () => n)
      return n > 1 ? n : yield* ctx.continueAs(n + 1)
    })
    const hooks = {
      onStepComplete: ({ context, stop }: Workflow.StepCompleted<string, { s?: number }>) => {
        if (context.s === 1) stop()
      }
    }
    run(Effect.gen(function*() {
      for (const by of ["first", "newest"]) {
        const result = yield* goesOn.start(0, { runId: by, ...hooks })
        expect(result).toMatchObject({ status: "stopped", stepId: "s", context: { s: 1 } })
        expect(result.runId).not.toBe(by)
        expect(yield* goesOn.start(0, { runId: by })).toEqual(result)
        expect((yield* goesOn.status(by)).status).toBe("stopped")
        expect(yield* goesOn.resume(by === "first" ? by : result.runId))
          .toMatchObject({ status: "success", result: 2 })
      }
    }))
  })

  it("behind the last step before a continueAs: nothing goes on until it is resumed", () => {
    const goesOn = Workflow.make("goesOn", function*(ctx, n: number): Workflow.Body<number> {
      yield* ctx.step("s", () => n)
      return n > 0 ? n : yield* ctx.continueAs(n + 1)
    })
    run(Effect.gen(function*() {
      expect(yield* goesOn.start(0, { runId, ...stopsAt("s") })).toMatchObject({
        status: "stopped",
        runId
      })
      expect((yield* Runs.list()).runs).toHaveLength(1)
      expect(yield* goesOn.resume(runId)).toMatchObject({ status: "success", result: 1 })
    }))
  })

  /** A child that its definition stops, and its parent. */
  const family = () => {
    const kid = Workflow.make("kid", stopsAt("one"), function*(ctx) {
      yield* ctx.step("one", () => 1)
      return yield* ctx.step("two", () => 2)
    })
    const parent = Workflow.make("parent", function*(ctx) {
      const n = yield* ctx.child(kid, undefined, { runId: "kid" })
      return yield* ctx.step("after", () => n + 1)
    })
    return { kid, parent }
  }

  it("of a child: the parent waits for it, and goes on when it was resumed elsewhere", () => {
    const { kid, parent } = family()
    run(Effect.gen(function*() {
      const first = yield* soon(parent.start(undefined, { runId }))
      expect(first).toMatchObject({
        status: "suspended",
        waits: [{ kind: "child", childId: "kid" }]
      })
      expect((yield* Runs.status("kid")).status).toBe("stopped")
      expect(yield* Runs.due(8.64e15)).toEqual([])
      // A resume of the parent does not pass the stop of its child.
      expect(yield* soon(parent.resume(runId))).toMatchObject({ status: "suspended" })
      expect((yield* Runs.status("kid")).status).toBe("stopped")
      expect(yield* kid.resume("kid")).toMatchObject({ status: "success", result: 2 })
      expect(yield* Runs.due()).toEqual([runId])
      expect(yield* parent.resume(runId)).toMatchObject({ status: "success", result: 3 })
    }))
  })

  it("of a child: who attaches to its parent again and again appends nothing", () => {
    const { parent } = family()
    run(Effect.gen(function*() {
      yield* soon(parent.start(undefined, { runId }))
      const before = yield* typesOf()
      for (let n = 0; n < 3; n++) yield* soon(parent.start(undefined, { runId }))
      expect(yield* typesOf()).toEqual(before)
    }))
  })

  it("of a child: an execute of the parent waits, and goes on when it was resumed elsewhere", () => {
    const { kid, parent } = family()
    run(Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(parent.execute(undefined, { runId }))
      yield* Effect.sleep("1 minute")
      expect(fiber.pollUnsafe()).toBeUndefined()
      yield* kid.resume("kid")
      expect(yield* soon(Fiber.join(fiber))).toBe(3)
    }))
  })

  it("of a child: a cancel of the parent cancels it", () => {
    const { parent } = family()
    run(Effect.gen(function*() {
      yield* soon(parent.start(undefined, { runId }))
      expect(yield* soon(parent.cancel(runId))).toMatchObject({ status: "cancelled" })
      expect((yield* Runs.status("kid")).status).toBe("cancelled")
    }))
  })

  it("of a child beside other branches: they go on", () => {
    const { kid } = family()
    const parent = Workflow.make("parent", function*(ctx) {
      return yield* ctx.all({
        kid: ctx.child(kid, undefined, { runId: "kid" }),
        *other() {
          yield* ctx.sleep("2 seconds")
          return yield* ctx.step("other", () => 1)
        }
      })
    })
    run(Effect.gen(function*() {
      expect(yield* soon(parent.start(undefined, { runId }))).toMatchObject({ status: "suspended" })
      expect((yield* typesOf()).at(-2)).toBe("step all[other]/other")
      yield* kid.resume("kid")
      expect(yield* soon(parent.resume(runId))).toMatchObject({
        status: "success",
        result: { kid: 2, other: 1 }
      })
    }))
  })
})

describe("a process that dies", () => {
  for (const durability of ["sync", "async", "exit"] as const) {
    it(`at any write of a run that is ${durability} starts nothing behind a stop when it is begun anew`, () => {
      const ran: Array<string> = []
      const workflow = Workflow.make("dies", { durability }, function*(ctx) {
        yield* ctx.step("a", () => void ran.push("a"))
        yield* ctx.step("b", () => void ran.push("b"))
        yield* ctx.step("c", () => void ran.push("c"))
      })
      const program = workflow.start(undefined, { runId, ...stopsAt("b") })
      const writes = everywhere([program], 0, ({ get, value }) => {
        expect(value).toMatchObject({ status: "stopped", stepId: "b" })
        expect(Object.keys((value as { context: object }).context)).toEqual(["a", "b"])
        expect(ran.splice(0)).not.toContain("c")
        expect(get(entriesOf(runId)).at(-1)).toMatchObject({ type: "stop", stepId: "b" })
        expect(get(workflow.resume(runId))).toMatchObject({ status: "success" })
        expect(ran.splice(0)).toEqual(["c"])
        expect(workflow.replay(get(Runs.journal(runId)))._tag).toBe("Returned")
      })
      expect(writes).toBeGreaterThan(1)
    })

    it(`at any write of a run that is ${durability} starts nothing behind a stop among branches`, () => {
      const ran: Array<string> = []
      const step = (name: string, millis: number) =>
        Instruction.step(name, () => Effect.map(Effect.sleep(millis), () => void ran.push(name)))
      const workflow = Workflow.make("dies", { durability }, function*(ctx) {
        yield* ctx.all({
          *x() {
            yield* step("x", 10)
            yield* step("x2", 10)
          },
          *y() {
            yield* step("y", 50)
            yield* step("y2", 10)
          }
        })
      })
      const program = workflow.start(undefined, { runId, ...stopsAt("all[x]/x") })
      const writes = everywhere([program], 0, ({ get, value }) => {
        expect(value).toMatchObject({ status: "stopped", stepId: "all[x]/x" })
        expect(ran.splice(0)).not.toContain("x2")
        expect(get(workflow.resume(runId))).toMatchObject({ status: "success" })
        ran.length = 0
      })
      expect(writes).toBeGreaterThan(1)
    })
  }

  it("in the hook that has just stopped: it is called again, and stops again", () => {
    const { ran, workflow } = three()
    run(Effect.gen(function*() {
      const hangs = {
        onStepComplete: ({ stop }: Workflow.StepCompleted) => {
          stop()
          return Effect.never
        }
      }
      yield* workflow.start(1, { runId, ...hangs }).pipe(diesAfter(1_000))
      expect(yield* typesOf()).toEqual(["start", "step a"])
      expect(yield* workflow.start(1, { runId, ...stopsAt("a") })).toMatchObject({
        status: "stopped"
      })
      expect(ran).toEqual(["a"])
    }))
  })

  it("before its hook was called, and whose run is then cancelled: the cancel wins over the stop", () => {
    const defined = Workflow.make("defined", stopsAt("a"), function*(ctx) {
      yield* ctx.step("a", () => 1)
      yield* ctx.step("b", () => 1)
    })
    run(Effect.gen(function*() {
      const hangs = { onStepComplete: () => Effect.never }
      yield* defined.start(undefined, { runId, ...hangs }).pipe(diesAfter(1_000))
      expect(yield* typesOf()).toEqual(["start", "step a"])
      expect(yield* defined.cancel(runId)).toMatchObject({ status: "cancelled" })
      expect((yield* Runs.status(runId)).status).toBe("cancelled")
    }))
  })

  it("a hook that fails in one branch after another was stopped: HookFailed, and the stop holds", () => {
    const fan = Workflow.make("fan", function*(ctx) {
      yield* ctx.all({
        x: ctx.step("x", () => Effect.sleep(10)),
        y: ctx.step("y", () => Effect.sleep(50))
      })
    })
    run(Effect.gen(function*() {
      const error = yield* failureOf(fan.start(undefined, {
        runId,
        onStepComplete: ({ stepName, stop }) => {
          stop()
          if (stepName === "y") throw new Error("no")
        }
      }))
      expect(error).toMatchObject({ _tag: "HookFailed", stepId: "all[y]/y" })
      expect(yield* typesOf())
        .toEqual(["start", "step all[x]/x", "stop all[x]/x", "step all[y]/y"])
      expect(yield* fan.start(undefined, { runId }))
        .toMatchObject({ status: "stopped", stepId: "all[x]/x" })
      expect(yield* fan.resume(runId)).toMatchObject({ status: "success" })
    }))
  })

  it("a hook that stops and fails: HookFailed, and nothing is stopped", () => {
    const { workflow } = three()
    run(Effect.gen(function*() {
      const error = yield* failureOf(workflow.start(1, {
        runId,
        onStepComplete: ({ stop }) => {
          stop()
          throw new Error("no")
        }
      }))
      expect(error).toMatchObject({ _tag: "HookFailed", stepId: "a" })
      expect(yield* typesOf()).toEqual(["start", "step a"])
      expect(yield* workflow.resume(runId)).toMatchObject({ status: "success" })
    }))
  })
})

it.effect("a definition that stops comes to the same wherever its process dies", () => {
  const workflow = Workflow.make("crashes", stopsAt("b"), function*(ctx) {
    yield* ctx.step("a", () => 1)
    yield* ctx.sleep("1 hour")
    yield* ctx.step("b", () => 2)
    return yield* ctx.step("c", () => 3)
  })
  return Effect.gen(function*() {
    const { outcome, points } = yield* Testing.crashEverywhere(workflow, undefined, { runId })
    expect(outcome).toEqual({ status: "stopped", stepId: "b", context: { a: 1, b: 2 }, runId })
    expect(points).toBeGreaterThan(6)
  })
})
