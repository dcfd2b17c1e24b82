/**
 * Compensation: what is undone and in which order, in branches and after crashes; and cancelling, at every
 * place where something can be pending.
 */
import { Effect, Fiber, Result, Schedule, Schema } from "effect"
import { Instruction, Runs, Workflow } from "reprise"
import { describe, expect, it } from "vitest"
import { entriesOf, everywhere, failureOf, run, storyOf } from "../support/together.ts"

/** A step that is undone by a step called un… of it, which keeps the value it undid. */
const doing = (name: string, work: () => Effect.Effect<string> | string = () => name) =>
  Instruction.step(name, work, {
    undo: (value) => Instruction.step(`un${name}`, () => value ?? "unknown")
  })

const no = Instruction.fail({ _tag: "No" })

const undone = (id: string, name = id) => [`step ${id}[undo]/un${name}`, `undo ${id}`]

describe("a run that fails", () => {
  it("undoes what was done, the last first, each undo journaled, at whichever write it dies", () => {
    const saga = Workflow.make("saga", function*(ctx) {
      yield* doing("a")
      yield* ctx.step("plain", () => 0)
      yield* doing("b")
      yield* ctx.all([doing("c"), doing("d")], { concurrency: 1 })
      yield* no
    })
    const writes = everywhere(
      [saga.start(undefined, { runId: "r" })],
      0,
      ({ get, value }) => {
        expect(value).toMatchObject({ status: "failed", error: { _tag: "No" } })
        expect(get(storyOf("r"))).toEqual([
          "step a",
          "step plain",
          "step b",
          "step all[0]/c",
          "step all[1]/d",
          ...undone("all[1]/d", "d"),
          ...undone("all[0]/c", "c"),
          ...undone("b"),
          ...undone("a"),
          "error"
        ])
        const values = get(entriesOf("r")).flatMap((entry) =>
          entry.type === "step" && entry.name.startsWith("un") ? [entry.result] : []
        )
        expect(values).toEqual(["d", "c", "b", "a"])
        expect(saga.replay(get(Runs.journal("r")))._tag).toBe("Threw")
      }
    )
    expect(writes).toBeGreaterThanOrEqual(8)
  })

  it("undoes in the order of completion, whatever the order of the branches", () => {
    const slow = (name: string, millis: number) =>
      doing(name, () => Effect.as(Effect.sleep(millis), name))
    const saga = Workflow.make("saga", function*(ctx) {
      yield* ctx.all([slow("a", 300), slow("b", 100), slow("c", 200)])
      yield* no
    })
    run(Effect.gen(function*() {
      yield* saga.start(undefined, { runId: "r" })
      expect((yield* storyOf("r")).filter((entry) => entry.startsWith("undo"))).toEqual([
        "undo all[0]/a",
        "undo all[2]/c",
        "undo all[1]/b"
      ])
    }))
  })

  it("undoes nothing when the body handles the failure, or when a bug broke it", () => {
    const handles = Workflow.make("handles", function*(ctx) {
      yield* doing("a")
      try {
        yield* no
      } catch {
        yield* ctx.step("handled", () => 1)
      }
    })
    const broken = (isFixed: boolean) =>
      Workflow.make("broken", function*() {
        yield* doing("a")
        if (!isFixed) throw new TypeError("a bug")
        yield* no
      })
    run(Effect.gen(function*() {
      yield* handles.execute(undefined, { runId: "h" })
      expect(yield* storyOf("h")).toEqual(["step a", "step handled", "complete"])
      for (let k = 0; k < 2; k++) {
        expect(yield* failureOf(broken(false).start(undefined, { runId: "b" })))
          .toBeInstanceOf(Workflow.BodyDefect)
        expect(yield* storyOf("b")).toEqual(["step a"])
      }
      expect((yield* broken(true).resume("b")).status).toBe("failed")
      expect(yield* storyOf("b")).toEqual(["step a", ...undone("a"), "error"])
    }))
  })

  it("tells an undo why, and by which key to find what was done", () => {
    const causes: Array<Instruction.UndoCause> = []
    const saga = Workflow.make("saga", function*(ctx) {
      yield* ctx.step("a", ({ idempotencyKey }) => idempotencyKey, {
        undo: (value, cause) => {
          causes.push(cause)
          return Instruction.step("una", () => value === cause.idempotencyKey)
        }
      })
      yield* no
    })
    run(Effect.gen(function*() {
      yield* saga.start(undefined, { runId: "r" })
      expect(causes[0]).toMatchObject({ error: { _tag: "No" }, stepId: "a" })
      expect((yield* entriesOf("r")).find((entry) => entry.type === "step" && entry.name === "una"))
        .toMatchObject({ result: true })
    }))
  })

  it("undoes with a body of several steps that sleep and wait", () => {
    const saga = Workflow.make("saga", { events: { refunded: Schema.String } }, function*(ctx) {
      yield* ctx.step("pay", () => "p1").pipe(Instruction.withCompensation(function*(id) {
        yield* ctx.step("ask", () => id ?? "?")
        yield* ctx.sleep("1 day")
        const by = yield* ctx.suspend("refunded")
        yield* ctx.all([ctx.step("note", () => by), ctx.step("mail", () => by)])
      }))
      yield* no
    })
    const program = Effect.gen(function*() {
      const waiting = yield* saga.start(undefined, { runId: "r" })
      if (waiting.status === "suspended") yield* Effect.sleep("25 hours")
      yield* saga.resume("r")
      yield* saga.resume("r", { eventName: "refunded", value: "bank", eventId: "e1" })
      return (yield* saga.resume("r")).status
    })
    everywhere([program], 0, ({ get, value }) => {
      expect(value).toBe("failed")
      const story = get(storyOf("r"))
      expect(story.slice(0, 4)).toEqual([
        "step pay",
        "step pay[undo]/ask",
        "timer pay[undo]/sleep",
        "resume pay[undo]/refunded"
      ])
      expect(story.slice(-2)).toEqual(["undo pay", "error"])
      expect(saga.replay(get(Runs.journal("r")))._tag).toBe("Threw")
    })
  })

  it("undoes what all, a race, a mapped instruction and a Result gave", () => {
    const undo = (what: string) => (value: unknown) =>
      Instruction.step(`undo ${what}`, () => JSON.stringify(value))
    const saga = Workflow.make("saga", function*(ctx) {
      yield* ctx.all({ x: ctx.step("x", () => 1), y: ctx.step("y", () => 2) }).pipe(
        Instruction.withCompensation(undo("all"))
      )
      yield* ctx.race({ q: ctx.step("q", () => 3), s: ctx.sleep("1 day") }).pipe(
        Instruction.withCompensation(undo("race"))
      )
      yield* ctx.step("m", () => 4).pipe(
        Instruction.map((n) => n + 1),
        Instruction.withCompensation(undo("map"))
      )
      yield* Instruction.result(ctx.step("r", () => 6)).pipe(
        Instruction.map(({ _tag }) => _tag),
        Instruction.withCompensation(undo("result"))
      )
      yield* ctx.sleep(5).pipe(Instruction.withCompensation(undo("sleep")))
      yield* no
    })
    everywhere([saga.start(undefined, { runId: "r" })], 0, ({ get, value }) => {
      expect(value).toMatchObject({ status: "failed" })
      const values = get(entriesOf("r")).flatMap((entry) =>
        entry.type === "step" && entry.name.startsWith("undo ") ? [[entry.name, entry.result]] : []
      )
      expect(values).toEqual([
        ["undo sleep", undefined],
        ["undo result", `"Success"`],
        ["undo map", "5"],
        ["undo race", `{"winner":"q","value":3}`],
        ["undo all", `{"x":1,"y":2}`]
      ])
      expect(get(entriesOf("r")).filter(({ type }) => type === "undo").length).toBe(5)
      expect(saga.replay(get(Runs.journal("r")))._tag).toBe("Threw")
    })
  })

  it("keeps both undos of an instruction that was given two", () => {
    const saga = Workflow.make("saga", function*() {
      yield* doing("a").pipe(
        Instruction.withCompensation(() => Instruction.step("second", () => 2))
      )
      yield* no
    })
    run(Effect.gen(function*() {
      yield* saga.start(undefined, { runId: "r" })
      expect(yield* storyOf("r")).toEqual([
        "step a",
        "step compensation[undo]/second",
        "undo compensation",
        ...undone("a"),
        "error"
      ])
      expect(saga.replay(yield* Runs.journal("r"))._tag).toBe("Threw")
    }))
  })

  it("undoes a child by what it gave", () => {
    const child = Workflow.make("child", function*(ctx, n: number) {
      return yield* ctx.step("do", () => n * 2)
    })
    const saga = Workflow.make("saga", function*(ctx) {
      yield* ctx.child(child, 4, { runId: "c" }).pipe(
        Instruction.withCompensation((value) => ctx.step("undo child", () => value ?? null))
      )
      yield* no
    })
    everywhere([saga.start(undefined, { runId: "r" })], 0, ({ get, value }) => {
      expect(value).toMatchObject({ status: "failed" })
      expect(get(storyOf("r")))
        .toEqual(["child child", "step child[undo]/undo child", "undo child", "error"])
      expect(get(entriesOf("r")).find((entry) => entry.type === "step"))
        .toMatchObject({ result: 8 })
      expect(get(storyOf("c"))).toEqual(["step do", "complete"])
    })
  })

  it("undoes by a child", () => {
    const refund = Workflow.make("refund", function*(ctx, id: string) {
      yield* ctx.sleep("1 day")
      return yield* ctx.step("send", () => `refunded ${id}`)
    })
    const saga = Workflow.make("saga", function*(ctx) {
      yield* ctx.step("pay", () => "p1", {
        undo: (id) => ctx.child(refund, id ?? "?", { runId: "refund" })
      })
      yield* no
    })
    const program = Effect.result(saga.execute(undefined, { runId: "r" }))
    everywhere([program], 0, ({ get, value }) => {
      expect(Result.isFailure(value as Result.Result<unknown, unknown>)).toBe(true)
      expect(get(Runs.status("refund")))
        .toMatchObject({ status: "success", result: "refunded p1" })
      expect(get(storyOf("r")).slice(-2)).toEqual(["undo pay", "error"])
    })
  })
})

describe("an undo that fails", () => {
  const saga = (fails: number, retry?: number) => {
    const state = { attempts: 0 }
    const workflow = Workflow.make("saga", function*(ctx) {
      yield* doing("a")
      yield* ctx.step("b", () => "b", {
        undo: () =>
          Instruction.step("unb", () => {
            if (++state.attempts <= fails) throw new RangeError("not now")
            return "ok"
          }, retry === undefined ? {} : { retry })
      })
      yield* doing("c")
      yield* no
    })
    return { state, workflow }
  }

  it("once is tried again", () => {
    run(Effect.gen(function*() {
      const { state, workflow } = saga(1)
      expect(yield* workflow.start(undefined, { runId: "r" }))
        .toMatchObject({ status: "failed", error: { _tag: "No" } })
      expect(state.attempts).toBe(2)
      expect((yield* storyOf("r")).slice(3))
        .toEqual([...undone("c"), ...undone("b"), ...undone("a"), "error"])
    }))
  })

  it("for good leaves the others undone, and ends the run with what a person has to do", () => {
    run(Effect.gen(function*() {
      const { state, workflow } = saga(Infinity)
      const failed = yield* workflow.execute(undefined, { runId: "r" }).pipe(Effect.flip)
      expect(failed).toBeInstanceOf(Instruction.CompensationFailed)
      expect(failed).toMatchObject({
        notUndone: [{ step: "b", tag: "StepFailed" }],
        because: { tag: "No" }
      })
      expect(state.attempts).toBe(11)
      const story = (yield* storyOf("r")).slice(3)
      // Attempts that are far apart are journaled.
      expect(story.filter((entry) => entry !== "retry b[undo]/unb"))
        .toEqual([...undone("c"), ...undone("b"), ...undone("a"), "error"])
      expect((yield* entriesOf("r")).find((entry) => entry.type === "undo" && entry.stepId === "b"))
        .toHaveProperty("error")
      expect(workflow.replay(yield* Runs.journal("r"))._tag).toBe("Threw")
      expect(yield* workflow.status("r"))
        .toMatchObject({ status: "failed", error: { _tag: "CompensationFailed" } })
    }))
  })

  it("is tried as often as its own retry says", () => {
    run(Effect.gen(function*() {
      const { state, workflow } = saga(Infinity, 0)
      expect((yield* workflow.start(undefined, { runId: "r" })).status).toBe("failed")
      expect(state.attempts).toBe(1)
    }))
  })

  it("by throwing itself, or by failing with an error of its own, is one as well", () => {
    const odd = Workflow.make("odd", function*(ctx) {
      yield* ctx.step("a", () => 1, {
        undo: () => {
          throw new TypeError("no undo")
        }
      })
      yield* ctx.step("b", () => 1, { undo: () => ctx.fail({ _tag: "Never" }) })
      yield* doing("c")
      yield* no
    })
    run(Effect.gen(function*() {
      const failed = yield* odd.execute(undefined, { runId: "r" }).pipe(Effect.flip)
      expect(failed).toMatchObject({
        _tag: "CompensationFailed",
        notUndone: [{ step: "b", tag: "Never" }, {
          step: "a",
          tag: "TypeError",
          message: "no undo"
        }]
      })
      expect(odd.replay(yield* Runs.journal("r"))._tag).toBe("Threw")
    }))
  })

  it("does not change that a cancelled run is cancelled", () => {
    const cancelled = Workflow.make("cancelled", function*(ctx) {
      yield* ctx.step("b", () => "b", {
        undo: () =>
          Instruction.step("unb", () => {
            throw new RangeError("no")
          }, { retry: 0 })
      })
      yield* ctx.sleep("1 day")
    })
    run(Effect.gen(function*() {
      yield* cancelled.start(undefined, { runId: "r" })
      expect((yield* cancelled.cancel("r")).status).toBe("cancelled")
      expect(yield* storyOf("r")).toEqual(["step b", "cancel", ...undone("b"), "cancelled"])
      expect(cancelled.replay(yield* Runs.journal("r"))._tag).toBe("Threw")
    }))
  })

  it("of a child ends the parent with the child's CompensationFailed", () => {
    const { workflow } = saga(Infinity, 0)
    const parent = Workflow.make("parent", function*(ctx) {
      yield* ctx.child(workflow, undefined, { runId: "c" })
    })
    run(Effect.gen(function*() {
      const failed = yield* parent.execute(undefined, { runId: "p" }).pipe(Effect.flip)
      expect(failed).toBeInstanceOf(Instruction.CompensationFailed)
    }))
  })
})

describe("in branches", () => {
  it("a cancelled sibling undoes its own, before the failure reaches the body", () => {
    const saga = Workflow.make("saga", function*(ctx) {
      yield* doing("before")
      try {
        yield* ctx.all([
          function*() {
            yield* doing("a")
            yield* doing("b")
            yield* ctx.sleep("1 day")
          },
          function*() {
            yield* ctx.sleep(100)
            yield* no
          }
        ])
      } catch {
        yield* ctx.step("caught", () => 1)
      }
      return "fine"
    })
    everywhere([saga.execute(undefined, { runId: "r" })], 0, ({ get, value }) => {
      expect(value).toBe("fine")
      const story = get(storyOf("r"))
      expect(story.slice(story.indexOf("timer all[1]/sleep"))).toEqual([
        "timer all[1]/sleep",
        ...undone("all[0]/b", "b"),
        ...undone("all[0]/a", "a"),
        "step caught",
        "complete"
      ])
      expect(saga.replay(get(Runs.journal("r")))._tag).toBe("Returned")
    })
  })

  it("the loser of a race undoes what it did, the winner's is undone when the run fails", () => {
    const saga = (fails: boolean) =>
      Workflow.make("saga", function*(ctx) {
        const { winner } = yield* ctx.race({
          slow: function*() {
            yield* doing("a")
            yield* ctx.sleep("1 day")
          },
          quick: function*() {
            yield* doing("b")
            yield* ctx.sleep("1 second")
          }
        })
        if (fails) yield* no
        return winner
      })
    everywhere([saga(false).execute(undefined, { runId: "r" })], 0, ({ get, value }) => {
      expect(value).toBe("quick")
      expect(get(storyOf("r")).slice(-4))
        .toEqual(["timer race[quick]/sleep", ...undone("race[slow]/a", "a"), "complete"])
      expect(saga(false).replay(get(Runs.journal("r")))._tag).toBe("Returned")
    })
    run(Effect.gen(function*() {
      yield* saga(true).start(undefined, { runId: "r" })
      expect((yield* storyOf("r")).slice(-6)).toEqual([
        "timer race[quick]/sleep",
        ...undone("race[slow]/a", "a"),
        ...undone("race[quick]/b", "b"),
        "error"
      ])
    }))
  })

  it("what nested branches did is passed up, and undone once, the last first", () => {
    const saga = Workflow.make("saga", function*(ctx) {
      yield* ctx.all([function*() {
        yield* doing("a")
        yield* ctx.all([doing("b"), doing("c")], { concurrency: 1, name: "in" })
        yield* doing("d")
      }])
      yield* doing("e")
      yield* no
    })
    run(Effect.gen(function*() {
      yield* saga.start(undefined, { runId: "r" })
      expect((yield* storyOf("r")).filter((entry) => entry.startsWith("undo"))).toEqual([
        "undo e",
        "undo all[0]/d",
        "undo all[0]/in[1]/c",
        "undo all[0]/in[0]/b",
        "undo all[0]/a"
      ])
      expect(saga.replay(yield* Runs.journal("r"))._tag).toBe("Threw")
    }))
  })

  it("with mode result a failed branch keeps what it did until the run fails", () => {
    const saga = Workflow.make("saga", function*(ctx) {
      yield* ctx.all([function*() {
        yield* doing("a")
        yield* no
      }, doing("b")], { mode: "result", concurrency: 1 })
      yield* ctx.step("on", () => 1)
      yield* no
    })
    run(Effect.gen(function*() {
      yield* saga.start(undefined, { runId: "r" })
      expect(yield* storyOf("r")).toEqual([
        "step all[0]/a",
        "step all[1]/b",
        "step on",
        ...undone("all[1]/b", "b"),
        ...undone("all[0]/a", "a"),
        "error"
      ])
    }))
  })
})

describe("a step with an undo that is cancelled", () => {
  const slow = Effect.as(Effect.sleep("1 minute"), "done")

  it("while it runs is awaited, then undone, and only then does its branch hear of it", () => {
    const saga = Workflow.make("saga", function*(ctx) {
      try {
        yield* doing("a", () => slow)
      } finally {
        yield* ctx.step("tidy", () => 1)
      }
    })
    run(Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(saga.start(undefined, { runId: "r" }))
      yield* Effect.sleep("1 second")
      yield* Runs.cancel("r")
      expect((yield* Fiber.join(fiber)).status).toBe("cancelled")
      expect(yield* storyOf("r"))
        .toEqual(["cancel", "step a", ...undone("a"), "step tidy", "cancelled"])
      expect((yield* entriesOf("r")).filter((entry) => entry.type === "step")[1])
        .toMatchObject({ result: "done" })
      expect(saga.replay(yield* Runs.journal("r"))._tag).toBe("Threw")
    }))
  })

  it("while it runs, and that then fails, has nothing to be undone", () => {
    const saga = Workflow.make("saga", function*(ctx) {
      yield* ctx.step("a", () => Effect.andThen(Effect.sleep("1 minute"), Effect.fail("no")), {
        undo: () => Instruction.step("una", () => 1)
      })
    })
    run(Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(saga.start(undefined, { runId: "r" }))
      yield* Effect.sleep("1 second")
      yield* Runs.cancel("r")
      expect((yield* Fiber.join(fiber)).status).toBe("cancelled")
      expect(yield* storyOf("r")).toEqual(["cancel", "step a", "cancelled"])
      expect(saga.replay(yield* Runs.journal("r"))._tag).toBe("Threw")
    }))
  })

  it("before it began is Interrupted, and never runs", () => {
    const ran: Array<string> = []
    const saga = Workflow.make("saga", { events: { go: Schema.Void } }, function*(ctx) {
      yield* ctx.suspend("go")
      yield* doing("a", () => {
        ran.push("a")
        return "a"
      })
    })
    run(Effect.gen(function*() {
      yield* saga.start(undefined, { runId: "r" })
      yield* saga.send("r", { eventName: "go" })
      expect((yield* saga.cancel("r")).status).toBe("cancelled")
      expect(yield* storyOf("r")).toEqual(["resume go", "cancel", "step a", "cancelled"])
      expect((yield* entriesOf("r")).find((entry) => entry.type === "step"))
        .toMatchObject({ error: { tag: "Interrupted" } })
      expect(ran).toEqual([])
      expect(saga.replay(yield* Runs.journal("r"))._tag).toBe("Threw")
    }))
  })

  it("after a crash is undone without a value, found by its key, and never run again", () => {
    const seen: Array<unknown> = []
    let runs = 0
    const saga = Workflow.make("saga", function*(ctx) {
      try {
        yield* ctx.step("a", () => {
          runs++
          return slow
        }, {
          undo: (value, { idempotencyKey, stepId }) =>
            ctx.step("una", () => {
              seen.push([value, stepId, idempotencyKey.startsWith("r:")])
            })
        })
      } finally {
        yield* ctx.step("tidy", () => 1)
      }
    })
    run(Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(saga.start(undefined, { runId: "r" }))
      yield* Effect.sleep("1 second")
      yield* Fiber.interrupt(fiber)
      expect((yield* saga.cancel("r")).status).toBe("cancelled")
      expect(yield* storyOf("r")).toEqual([
        "cancel",
        "undo a",
        "step a[undo]/una",
        "undo a",
        "step tidy",
        "cancelled"
      ])
      expect((yield* entriesOf("r")).filter(({ type }) => type === "undo"))
        .toMatchObject([{ unknown: true }, {}])
      expect(runs).toBe(1)
      expect(seen).toEqual([[undefined, "a", true]])
      expect(saga.replay(yield* Runs.journal("r"))._tag).toBe("Threw")
    }))
  })

  it("ends the same at whichever write the process dies: settled by one entry, undone at most once", () => {
    const saga = Workflow.make("saga", function*(ctx) {
      yield* doing("z")
      yield* ctx.all([
        doing("a", () => slow),
        function*() {
          yield* doing("b")
          yield* ctx.sleep("1 hour")
        }
      ])
    })
    const program = Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(saga.start(undefined, { runId: "r" }))
      yield* Effect.sleep("1 second")
      yield* Runs.cancel("r", { eventId: "c1" })
      yield* Fiber.join(fiber)
      return (yield* saga.resume("r")).status
    })
    everywhere([program], 0, ({ get, value }) => {
      expect(value).toBe("cancelled")
      const story = get(storyOf("r"))
      const undos = get(entriesOf("r")).flatMap((entry) =>
        entry.type === "undo" && entry.unknown === undefined ? [entry.stepId] : []
      )
      expect(new Set(undos).size).toBe(undos.length)
      for (const id of ["z", "all[0]/a", "all[1]/b"]) {
        const done = story.includes(`step ${id}`)
        const unknown = get(entriesOf("r")).some((entry) =>
          entry.type === "undo" && entry.stepId === id && entry.unknown === true
        )
        const interrupted = get(entriesOf("r")).some((entry) =>
          entry.type === "step" && entry.stepId === id && entry.error !== undefined
        )
        expect(undos.includes(id)).toBe((done || unknown) && !interrupted)
      }
      expect(saga.replay(get(Runs.journal("r")))._tag).toBe("Threw")
    })
  })

  it("by losing a race is awaited and undone before the body goes on", () => {
    const saga = Workflow.make("saga", function*(ctx) {
      const { winner } = yield* ctx.race({ a: doing("a", () => slow), quick: ctx.sleep(10) })
      return yield* ctx.step("after", () => winner)
    })
    run(Effect.gen(function*() {
      expect(yield* saga.execute(undefined, { runId: "r" })).toBe("quick")
      expect(yield* storyOf("r")).toEqual([
        "timer race[quick]/sleep",
        "step race[a]/a",
        ...undone("race[a]/a", "a"),
        "step after",
        "complete"
      ])
      expect(saga.replay(yield* Runs.journal("r"))._tag).toBe("Returned")
    }))
  })

  it("while it waits for its next attempt is settled without another attempt", () => {
    let attempts = 0
    const saga = Workflow.make("saga", function*(ctx) {
      yield* ctx.step("a", () => {
        attempts++
        return Effect.fail("no")
      }, {
        retry: Schedule.spaced("1 day"),
        undo: () => Instruction.step("una", () => 1)
      })
    })
    run(Effect.gen(function*() {
      expect((yield* saga.start(undefined, { runId: "r" })).status).toBe("suspended")
      expect((yield* saga.cancel("r")).status).toBe("cancelled")
      expect(attempts).toBe(1)
      expect(saga.replay(yield* Runs.journal("r"))._tag).toBe("Threw")
    }))
  })

  it("a child with an undo that is still open is cancelled and awaited, or undone if it succeeds", () => {
    const child = (stubborn: boolean) =>
      Workflow.make("child", { events: { go: Schema.Void } }, function*(ctx) {
        yield* ctx.step("work", () => slow, stubborn ? { undo: () => Instruction.sleep(1) } : {})
        return "made"
      })
    for (const stubborn of [false, true]) {
      const of = child(stubborn)
      const saga = Workflow.make("saga", function*(ctx) {
        yield* ctx.child(of, undefined, { runId: "c" }).pipe(
          Instruction.withCompensation((value) => ctx.step("unmake", () => value ?? "?"))
        )
      })
      run(Effect.gen(function*() {
        const fiber = yield* Effect.forkChild(saga.start(undefined, { runId: "r" }))
        yield* Effect.sleep("1 second")
        yield* Runs.cancel("r")
        expect((yield* Fiber.join(fiber)).status).toBe("cancelled")
        expect((yield* Runs.status("c")).status).toBe("cancelled")
        expect(yield* storyOf("r")).toEqual(["cancel", "child child", "cancelled"])
        expect(saga.replay(yield* Runs.journal("r"))._tag).toBe("Threw")
      }))
    }
  })
})

describe("a cancel while something is undone", () => {
  const saga = Workflow.make("saga", { events: { ok: Schema.Void } }, function*(ctx) {
    yield* doing("a")
    yield* ctx.step("b", () => "b").pipe(Instruction.withCompensation(function*() {
      yield* ctx.suspend("ok")
      yield* ctx.step("unb", () => 1)
    }))
    yield* no
  })

  it("leaves the undo alone, and ends the run as cancelled once all is undone", () => {
    run(Effect.gen(function*() {
      expect((yield* saga.start(undefined, { runId: "r" })).status).toBe("suspended")
      expect((yield* saga.cancel("r")).status).toBe("suspended")
      expect(yield* saga.resume("r", { eventName: "ok" })).toMatchObject({ status: "cancelled" })
      expect(yield* storyOf("r")).toEqual([
        "step a",
        "step b",
        "cancel",
        "resume b[undo]/ok",
        "step b[undo]/unb",
        "undo b",
        ...undone("a"),
        "cancelled"
      ])
      expect(saga.replay(yield* Runs.journal("r"))._tag).toBe("Threw")
    }))
  })

  it("a second time ends the run at once, with what is not yet undone left as it is", () => {
    run(Effect.gen(function*() {
      yield* saga.start(undefined, { runId: "r" })
      yield* saga.cancel("r")
      expect((yield* saga.cancel("r")).status).toBe("cancelled")
      expect(yield* storyOf("r")).toEqual(["step a", "step b", "cancel", "cancel", "cancelled"])
      expect(saga.replay(yield* Runs.journal("r"))._tag).toBe("Threw")
    }))
  })

  it("does not undo a second time what a cancelled run is undoing", () => {
    const waits = Workflow.make("waits", { events: { ok: Schema.Void } }, function*(ctx) {
      yield* doing("a")
      yield* ctx.step("b", () => "b").pipe(
        Instruction.withCompensation(() => ctx.suspend("ok"))
      )
      yield* ctx.sleep("1 day")
    })
    const program = Effect.gen(function*() {
      yield* waits.start(undefined, { runId: "r" })
      yield* waits.cancel("r", { eventId: "c1" })
      yield* waits.resume("r", { eventName: "ok", eventId: "e1" })
      return (yield* waits.resume("r")).status
    })
    everywhere([program], 0, ({ get, value }) => {
      expect(value).toBe("cancelled")
      expect(get(storyOf("r"))).toEqual([
        "step a",
        "step b",
        "cancel",
        "resume b[undo]/ok",
        "undo b",
        ...undone("a"),
        "cancelled"
      ])
    })
  })
})

describe("a cancel at every place where something is pending", () => {
  const pause = () => Effect.sleep(20)
  const leaf = Workflow.make("leaf", function*(ctx) {
    try {
      yield* ctx.step("work", pause)
      yield* ctx.sleep(50)
    } finally {
      yield* ctx.step("leaf tidies", pause)
    }
  })
  const everything = Workflow.make(
    "everything",
    { events: { go: Schema.Void, late: Schema.Void }, channels: { note: Schema.Number } },
    function*(ctx) {
      try {
        yield* ctx.step("step", pause)
        yield* doing("undoable", () => Effect.as(pause(), "did"))
        yield* ctx.suspend("go")
        yield* ctx.suspend("late", { timeout: 50 })
        yield* ctx.sleep(50)
        yield* Instruction.result(
          ctx.step("flaky", () => Effect.andThen(pause(), Effect.fail("no")), {
            retry: { schedule: Schedule.spaced(50), times: 1 }
          })
        )
        yield* ctx.step("once", pause, { delivery: "at-most-once" })
        yield* ctx.child(leaf, undefined, { runId: "leaf" })
        yield* ctx.child(leaf, undefined, { runId: "leaf2", onCancel: "await" })
        yield* ctx.all([
          ctx.step("one", pause),
          function*() {
            try {
              yield* ctx.sleep(50)
              yield* ctx.step("two", pause)
            } finally {
              yield* ctx.step("branch tidies", pause)
            }
          }
        ])
        yield* ctx.race({ a: doing("loses", () => Effect.as(pause(), "lost")), b: ctx.sleep(10) })
        yield* ctx.any([Instruction.fail({ _tag: "No" }), ctx.step("any", pause)])
        yield* ctx.forEach([1, 2, 3], () => ctx.step("item", pause), { concurrency: 2 })
        yield* ctx.forEach([1, 2], (n) => ctx.step("item", () => Effect.as(pause(), n)), {
          perRun: 1,
          name: "runs"
        })
        yield* Instruction.timeoutOption(ctx.step("limited", pause), 5)
        yield* ctx.publish("note", 1)
      } finally {
        yield* ctx.step("tidy", pause)
        yield* ctx.all([ctx.step("tidy a", pause), ctx.sleep(5)])
      }
      return "all"
    }
  )
  const played = (cancelAt: number) =>
    Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(everything.execute(undefined, { runId: "r" }))
      const count = Effect.orElseSucceed(
        Effect.map(Runs.status("r"), ({ entries }) => entries),
        () => 0
      )
      let sent = false
      while ((yield* count) < cancelAt && fiber.pollUnsafe() === undefined) {
        const { waits } = yield* Effect.orElseSucceed(Runs.status("r"), () => ({ waits: [] }))
        if (!sent && waits.some(({ stepId }) => stepId === "go")) {
          sent = true
          yield* everything.send("r", { eventName: "go" })
        }
        yield* Effect.sleep(1)
      }
      if (cancelAt < Infinity) {
        // Between an entry and what it made pending, and in the middle of that.
        yield* Effect.sleep(cancelAt % 2 === 0 ? 1 : 7)
        yield* Effect.ignore(Runs.cancel("r"))
      }
      const exit = yield* Effect.exit(Fiber.join(fiber))
      if (cancelAt === Infinity) yield* exit
      return yield* Runs.status("r")
    })

  it("runs the clean-up, undoes, cancels children, and replays", () => {
    const [whole, cleansFrom] = run(Effect.gen(function*() {
      const status = yield* played(Infinity)
      return [status, (yield* storyOf("r")).indexOf("step tidy")] as const
    }))
    expect(whole).toMatchObject({ status: "success", result: "all" })
    expect(whole.entries).toBeGreaterThan(30)
    for (let at = 1; at < whole.entries - 1; at++) {
      const [status, story, replayed, runs, due] = run(Effect.gen(function*() {
        const { status } = yield* played(at)
        const runs: Record<string, ReadonlyArray<string>> = {}
        for (const { runId } of (yield* Runs.list()).runs) runs[runId] = yield* storyOf(runId)
        const { _tag } = everything.replay(yield* Runs.journal("r"))
        return [status, yield* storyOf("r"), _tag, runs, yield* Runs.due()] as const
      }))
      const count = (of: string) => story.filter((entry) => entry.endsWith(of)).length
      // A clean-up that began by itself hears of the cancel like anything else.
      const mayCutShort = story.indexOf("cancel") >= cleansFrom
      const open = Object.entries(runs).filter(([runId, of]) =>
        !["complete", "cancelled"].includes(of.at(-1) ?? "")
        || (runId.startsWith("leaf") && !of.includes("step leaf tidies"))
      )
      const seen = {
        at,
        status,
        replayed,
        open,
        due,
        end: story.at(-1),
        cancels: count("cancel"),
        tidied: mayCutShort || (count("step tidy") === 1 && count("/tidy a") === 1),
        undone: count("undo undoable") === count("step undoable")
      }
      expect(seen).toEqual({
        at,
        status: "cancelled",
        replayed: "Threw",
        open: [],
        due: [],
        end: "cancelled",
        cancels: 1,
        tidied: true,
        undone: true
      })
    }
  })
})
