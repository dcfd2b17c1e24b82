/**
 * Child runs: what a parent hears of them, their ids, parents and children that crash apart from each
 * other, how a cancel reaches them, and what a parent does while a child waits.
 */
import { Context, Effect, Fiber, Result, Schema } from "effect"
import { Instruction, Runs, Storage, Workflow } from "reprise"
import { describe, expect, it } from "vitest"
import { Simulation } from "../support/simulation.ts"
import {
  checked,
  entriesOf,
  everywhere,
  failureOf,
  type Program,
  run,
  storyOf
} from "../support/together.ts"

class NoStock extends Schema.TaggedError<NoStock>()("NoStock", { sku: Schema.String }) {}

/** The id of a child that was given none. */
const childId = (parent: string, place: string) =>
  Effect.map(Runs.journal(parent), ({ head }) => `${parent}.${head.incarnation}.${place}`)

/** Waits until a look at the run succeeds in being `status`. */
const until = (runId: string, status: Runs.Status["status"]) =>
  Runs.status(runId).pipe(
    Effect.orElseSucceed(() => undefined),
    Effect.tap(() => Effect.sleep(5)),
    Effect.repeat({ until: (now) => now?.status === status })
  )

const double = Workflow.make("double", function*(ctx, n: number) {
  const twice = yield* ctx.step("twice", () => n * 2)
  return yield* ctx.step("say", () => `it is ${twice}`)
})

const asked = Workflow.make(
  "asked",
  { input: Schema.Number, output: Schema.String, events: { answer: Schema.String } },
  function*(ctx, n) {
    const before = yield* ctx.step("before", () => n + 1)
    const answer = yield* ctx.suspend("answer")
    return yield* ctx.step("after", () => `${before} ${answer}`)
  }
)

describe("what a parent hears", () => {
  it("is the child's output, live, replayed and attached to", () => {
    const parent = Workflow.make("parent", function*(ctx) {
      const one = yield* ctx.child(double, 1)
      const two = yield* ctx.child(double, 2, { name: "second" })
      return yield* ctx.step("join", () => [one, two])
    })
    run(Effect.gen(function*() {
      const ended = { status: "success", result: ["it is 2", "it is 4"], runId: "p" }
      expect(yield* parent.start(undefined, { runId: "p" })).toEqual(ended)
      const journal = yield* Runs.journal("p")
      expect(yield* storyOf("p")).toEqual([
        "child double",
        "child second",
        "step join",
        "complete"
      ])
      expect(parent.replay(journal)).toMatchObject({ _tag: "Returned", value: ended.result })
      const id = yield* childId("p", "double")
      const child = yield* Runs.journal(id)
      expect(child.entries[0]).toMatchObject({
        workflow: "double",
        metadata: 1,
        parent: { runId: "p", stepId: "double" }
      })
      expect(double.replay(child)).toMatchObject({ _tag: "Returned", value: "it is 2" })
      expect(yield* parent.start(undefined, { runId: "p" })).toEqual(ended)
      expect((yield* entriesOf("p")).length).toBe(journal.entries.length)
      expect((yield* entriesOf(id)).length).toBe(child.entries.length)
    }))
  })

  it("is the child's declared error, with its class, to handle or to end with", () => {
    const child = Workflow.make("child", { error: NoStock }, function*(ctx, sku: string) {
      return yield* ctx.step("reserve", () => Effect.fail(new NoStock({ sku })))
    })
    const handles = Workflow.make("handles", function*(ctx) {
      const heard = yield* ctx.child(child, "a").pipe(
        Instruction.catchTag("NoStock", ({ sku }) => ctx.step("note", () => `no ${sku}`))
      )
      const caught = yield* Instruction.result(ctx.child(child, "b", { name: "again" }))
      return [heard, Result.isFailure(caught) && caught.failure instanceof NoStock]
    })
    const passes = Workflow.make("passes", { error: NoStock }, function*(ctx) {
      yield* ctx.child(child, "c")
    })
    run(Effect.gen(function*() {
      expect(yield* handles.execute(undefined, { runId: "h" })).toEqual(["no a", true])
      expect(handles.replay(yield* Runs.journal("h"))._tag).toBe("Returned")
      const error = yield* failureOf(passes.execute(undefined, { runId: "p" }))
      expect(error).toBeInstanceOf(NoStock)
      expect(error).toMatchObject({ sku: "c" })
      expect(yield* storyOf("p")).toEqual(["child child", "error"])
      expect((yield* entriesOf("p"))[1]).toMatchObject({ declared: true })
    }))
  })

  it("is a declared error passed on by a parent that declares nothing", () => {
    const child = Workflow.make("child", { error: NoStock }, function*(ctx) {
      yield* ctx.fail(new NoStock({ sku: "a" }))
    })
    const parent = Workflow.make("parent", function*(ctx) {
      yield* ctx.child(child)
    })
    run(Effect.gen(function*() {
      const failed = yield* parent.start(undefined, { runId: "p" })
      expect(failed).toMatchObject({ status: "failed", error: { _tag: "NoStock", sku: "a" } })
      expect(parent.replay(yield* Runs.journal("p"))._tag).toBe("Threw")
    }))
  })

  it("is the StepFailed that an undeclared failure ended the child with", () => {
    const child = Workflow.make("child", function*(ctx) {
      yield* ctx.step("break", () => {
        throw new RangeError("too far")
      })
    })
    const parent = Workflow.make("parent", function*(ctx) {
      const result = yield* Instruction.result(ctx.child(child))
      if (Result.isSuccess(result)) return undefined
      const error: unknown = result.failure
      return error instanceof Instruction.StepFailed ? [error.step, error.tag, error.message] : "?"
    })
    const hard = Workflow.make("hard", function*(ctx) {
      yield* ctx.child(child)
    })
    run(Effect.gen(function*() {
      expect(yield* parent.execute(undefined, { runId: "p" }))
        .toEqual(["break", "RangeError", "too far"])
      expect(yield* failureOf(hard.execute(undefined, { runId: "h" })))
        .toBeInstanceOf(Instruction.StepFailed)
      expect(hard.replay(yield* Runs.journal("h"))._tag).toBe("Threw")
    }))
  })

  it("is a StepFailed Cancelled when the child was cancelled elsewhere", () => {
    const parent = Workflow.make("parent", function*(ctx) {
      const result = yield* Instruction.result(ctx.child(asked, 1, { runId: "c" }))
      if (Result.isSuccess(result)) return undefined
      const error: unknown = result.failure
      return error instanceof Instruction.StepFailed ? [error.step, error.tag] : "?"
    })
    run(Effect.gen(function*() {
      expect((yield* parent.start(undefined, { runId: "p" })).status).toBe("suspended")
      expect((yield* asked.cancel("c", { reason: "elsewhere" })).status).toBe("cancelled")
      expect(yield* parent.resume("p")).toMatchObject({
        status: "success",
        result: ["asked", "Cancelled"]
      })
      expect((yield* entriesOf("p")).find(({ type }) => type === "child"))
        .toMatchObject({ childId: "c", cancelled: true })
      expect(parent.replay(yield* Runs.journal("p"))._tag).toBe("Returned")
    }))
  })

  it("is the output of the run that a child went on as", () => {
    const counting = Workflow.make("counting", function*(ctx, n: number): Workflow.Body<number> {
      yield* ctx.step("count", () => n)
      return n >= 3 ? n : yield* ctx.continueAs(n + 1)
    })
    const parent = Workflow.make("parent", function*(ctx) {
      return yield* ctx.child(counting, 0, { runId: "c" })
    })
    run(Effect.gen(function*() {
      expect(yield* parent.execute(undefined, { runId: "p" })).toBe(3)
      expect((yield* entriesOf("p")).find(({ type }) => type === "child"))
        .toMatchObject({ childId: "c+4", result: 3 })
      for (const id of ["c", "c+2", "c+3", "c+4"]) {
        expect((yield* Runs.status(id)).parent).toEqual({ runId: "p", stepId: "counting" })
      }
    }))
  })

  it("takes what the child's schemas decode", () => {
    const child = Workflow.make(
      "child",
      { input: Schema.Date, output: Schema.Date },
      function*(ctx, at) {
        return yield* ctx.step("later", () => new Date(at.getTime() + 1), { schema: Schema.Date })
      }
    )
    const parent = Workflow.make("parent", { output: Schema.Date }, function*(ctx) {
      const at = yield* ctx.child(child, new Date(5))
      return new Date(at.getTime() + 10)
    })
    run(Effect.gen(function*() {
      expect(yield* parent.execute(undefined, { runId: "p" })).toEqual(new Date(16))
    }))
  })

  it("fails the parent's drive when the input does not fit, and journals nothing for it", () => {
    const child = Workflow.make("child", { input: Schema.Int }, function*() {})
    const parent = Workflow.make("parent", function*(ctx) {
      yield* ctx.step("first", () => 1)
      yield* ctx.child(child, 1.5)
    })
    run(Effect.gen(function*() {
      expect(yield* failureOf(parent.start(undefined, { runId: "p" })))
        .toBeInstanceOf(Workflow.Unserializable)
      expect(yield* storyOf("p")).toEqual(["step first"])
      expect((yield* Runs.list()).runs.map(({ runId }) => runId)).toEqual(["p"])
    }))
  })
})

describe("ids", () => {
  const parent = Workflow.make("parent", function*(ctx) {
    yield* ctx.child(double, 1)
    yield* ctx.child(double, 1)
    yield* ctx.all({
      us: ctx.child(double, 2),
      "e/u": function*() {
        return yield* ctx.child(double, 3, { name: "a b" })
      }
    }, { name: "fan" })
  })

  it("are the parent's, its incarnation and the place in its body", () => {
    run(Effect.gen(function*() {
      yield* parent.execute(undefined, { runId: "p" })
      const { incarnation } = (yield* Runs.journal("p")).head
      const ids = (yield* Runs.list({ workflow: "double" })).runs.map(({ runId }) => runId)
      expect(ids.map((id) => id.replace(`p.${incarnation}.`, "")).toSorted()).toEqual(
        ["double", "double#2", "fan[us].double", "fan[e%2fu].a~20b"].toSorted()
      )
    }))
  })

  it("differ for a parent that was removed and made again", () => {
    run(Effect.gen(function*() {
      yield* parent.execute(undefined, { runId: "p" })
      yield* Runs.remove("p")
      yield* parent.execute(undefined, { runId: "p" })
      expect((yield* Runs.list({ workflow: "double" })).runs.length).toBe(8)
    }))
  })

  it("stay within what a run id may be, and stay different, however long names are", () => {
    const long = "n".repeat(190)
    const deep = Workflow.make("deep", function*(ctx) {
      return yield* ctx.all(
        [ctx.child(double, 1, { name: `${long}é\\` }), ctx.child(double, 2, { name: `${long}è\\` })]
      )
    })
    run(Effect.gen(function*() {
      const runId = "r".repeat(200)
      expect(yield* deep.execute(undefined, { runId })).toEqual(["it is 2", "it is 4"])
      const ids = (yield* Runs.list({ workflow: "double" })).runs.map(({ runId }) => runId)
      expect(new Set(ids).size).toBe(2)
      expect(ids.every((id) => id.length <= 200)).toBe(true)
    }))
  })

  it("are the contract's own where it makes them", () => {
    const named = Workflow.make("named", {
      input: Schema.Struct({ id: Schema.String }),
      runId: ({ id }: { id: string }) => `order-${id}`
    }, function*() {})
    const both = Workflow.make("both", function*(ctx) {
      yield* ctx.child(named, { id: "1" })
      yield* ctx.child(named, { id: "2" }, { runId: "mine" })
    })
    run(Effect.gen(function*() {
      yield* both.execute(undefined, { runId: "p" })
      expect((yield* Runs.list({ workflow: "named" })).runs.map(({ runId }) => runId).toSorted())
        .toEqual(["mine", "order-1"])
    }))
  })

  it("attach to a run that is there, and are refused to another input or another workflow", () => {
    const with1 = Workflow.make("with1", function*(ctx) {
      return yield* ctx.child(double, 1, { runId: "c" })
    })
    const with2 = Workflow.make("with2", function*(ctx) {
      yield* ctx.step("first", () => 1)
      return yield* ctx.child(double, 2, { runId: "c" })
    })
    const other = Workflow.make("other", function*(ctx) {
      return yield* ctx.child(asked, 1, { runId: "c" })
    })
    run(Effect.gen(function*() {
      yield* double.execute(1, { runId: "c" })
      const before = (yield* entriesOf("c")).length
      expect(yield* with1.execute(undefined, { runId: "p1" })).toBe("it is 2")
      const refused = yield* failureOf(with2.execute(undefined, { runId: "p2" }))
      expect(refused).toBeInstanceOf(Workflow.RunExists)
      expect(refused).toMatchObject({ runId: "c", differs: "input" })
      expect(yield* storyOf("p2")).toEqual(["step first"])
      expect(yield* failureOf(other.start(undefined, { runId: "p3" })))
        .toMatchObject({ _tag: "RunExists", differs: "workflow" })
      expect((yield* entriesOf("c")).length).toBe(before)
      // Once the run in the way is gone the parent goes on.
      yield* Runs.remove("c")
      expect(yield* with2.resume("p2")).toMatchObject({ status: "success", result: "it is 4" })
    }))
  })

  it("let two parents share one child", () => {
    const shares = Workflow.make("shares", function*(ctx) {
      return yield* ctx.child(asked, 1, { runId: "c" })
    })
    run(Effect.gen(function*() {
      const one = yield* Effect.forkChild(shares.execute(undefined, { runId: "p1" }))
      const two = yield* Effect.forkChild(shares.execute(undefined, { runId: "p2" }))
      yield* until("p1", "suspended")
      yield* until("p2", "suspended")
      yield* asked.send("c", { eventName: "answer", value: "yes" })
      expect([yield* Fiber.join(one), yield* Fiber.join(two)]).toEqual(["2 yes", "2 yes"])
      expect((yield* entriesOf("c")).filter(({ type }) => type === "step").length).toBe(2)
    }))
  })
})

describe("a child that somebody else drives", () => {
  const contract = Workflow.define("elsewhere", {
    input: Schema.Number,
    output: Schema.String,
    events: { answer: Schema.String }
  })
  const elsewhere = contract.make(function*(ctx, n) {
    const before = yield* ctx.step("before", () => n + 1)
    return yield* ctx.step("after", () => `${before} done`)
  })
  const parent = Workflow.make("parent", function*(ctx) {
    const first = yield* ctx.step("first", () => 1)
    const said = yield* ctx.child(contract, first, { runId: "c" })
    return yield* ctx.step("last", () => `last ${said}`)
  })

  it("is recorded by the parent, which waits for its end while it executes", () => {
    run(Effect.gen(function*() {
      const executing = yield* Effect.forkChild(parent.execute(undefined, { runId: "p" }))
      yield* until("p", "suspended")
      expect((yield* Runs.status("p")).waits).toMatchObject([
        { kind: "child", stepId: "elsewhere", childId: "c" }
      ])
      expect(yield* Runs.status("c")).toMatchObject({ status: "pending", entries: 1 })
      expect(yield* Runs.due()).toEqual(["c"])
      expect((yield* elsewhere.resume("c")).status).toBe("success")
      expect(yield* Fiber.join(executing)).toBe("last 2 done")
      expect(parent.replay(yield* Runs.journal("p"))._tag).toBe("Returned")
    }))
  })

  const worker: Program = Effect.gen(function*() {
    for (;;) {
      yield* Effect.sleep(100)
      const due = yield* Runs.due()
      if (due.includes("c")) yield* elsewhere.resume("c")
    }
  })
  const client: Program = parent.execute(undefined, { runId: "p" })

  it.each([["the parent", 0], ["the child", 1]] as const)(
    "ends the same wherever %s's process dies",
    (_, k) => {
      const writes = everywhere([client, worker], k, ({ get, value }) => {
        expect(value).toBe("last 2 done")
        expect(get(storyOf("p")))
          .toEqual(["step first", "child elsewhere", "step last", "complete"])
        expect(get(storyOf("c"))).toEqual(["step before", "step after", "complete"])
        expect(parent.replay(get(Runs.journal("p")))._tag).toBe("Returned")
        expect(elsewhere.replay(get(Runs.journal("c")))._tag).toBe("Returned")
      })
      expect(writes).toBeGreaterThanOrEqual(3)
    }
  )
})

describe("a crash", () => {
  const parent = Workflow.make("parent", function*(ctx) {
    const first = yield* ctx.step("first", () => 1)
    const both = yield* ctx.all([
      ctx.child(double, first, { name: "one" }),
      ctx.child(double, first + 1, { name: "two" })
    ])
    return yield* ctx.step("last", () => both.join())
  })

  it("of the process that drives both is survived at every write", () => {
    const program = parent.execute(undefined, { runId: "p" })
    const writes = everywhere([program], 0, ({ get, value }) => {
      expect(value).toBe("it is 2,it is 4")
      expect(get(Runs.list()).runs.map(({ status }) => status))
        .toEqual(["success", "success", "success"])
      for (const { runId } of get(Runs.list({ workflow: "double" })).runs) {
        expect(get(storyOf(runId))).toEqual(["step twice", "step say", "complete"])
      }
      expect(parent.replay(get(Runs.journal("p")))._tag).toBe("Returned")
    })
    expect(writes).toBeGreaterThanOrEqual(10)
  })

  it("of parent and child, each at any place that the other allows, ends the same", () => {
    const single = Workflow.make("single", function*(ctx) {
      const first = yield* ctx.step("first", () => 1)
      const said = yield* ctx.child(asked, first, { runId: "c" })
      return yield* ctx.step("last", () => said)
    })
    const whole = Storage.memoryDriver()
    const on = <A>(
      driver: ReturnType<typeof Storage.memoryDriver>,
      program: Effect.Effect<A, unknown, Storage.Storage>
    ) => {
      const services = Context.add(checked, Storage.Storage, Storage.make(driver))
      return new Simulation().get(program, services)
    }
    on(
      whole,
      Effect.gen(function*() {
        yield* single.start(undefined, { runId: "p" })
        yield* asked.resume("c", { eventName: "answer", value: "yes", eventId: "e1" })
        yield* single.resume("p")
      })
    )
    const linesOf = (runId: string) =>
      Effect.runSync(whole.read(runId)).text.split("\n").filter((line) => line !== "")
    const parents = linesOf("p"), children = linesOf("c")
    const outcome = parents.findIndex((line) => line.startsWith(`{"type":"child"`))
    const begun = parents.findIndex((line) => line.startsWith(`{"type":"step"`)) + 1
    expect([begun, outcome, children.length]).toEqual([2, 4, 7])
    let tried = 0
    for (let p = 1; p <= parents.length; p++) {
      for (let c = 0; c <= children.length; c++) {
        // The parent's lines say how far the child must have come.
        if (p > outcome ? c < children.length : p < begun && c > 0) continue
        if (p === begun + 1 && c < 3) continue
        const driver = Storage.memoryDriver()
        const write = (runId: string, lines: ReadonlyArray<string>) =>
          Effect.runSync(Effect.scoped(Effect.flatMap(
            driver.writer(runId),
            (writer) =>
              lines.length === 0
                ? Effect.void
                : Effect.suspend(() => writer.append("", lines, noRow))
          )))
        const noRow = () => {
          throw new Error("the memory driver has no index")
        }
        write("p", parents.slice(0, p))
        write("c", children.slice(0, c))
        const [ended, story, child] = on(
          driver,
          Effect.gen(function*() {
            const now = yield* single.resume("p")
            if (now.status === "suspended") {
              yield* asked.resume("c", { eventName: "answer", value: "yes", eventId: "e1" })
            }
            return [yield* single.resume("p"), yield* storyOf("p"), yield* storyOf("c")] as const
          })
        )
        expect(ended).toMatchObject({ status: "success", result: "2 yes" })
        expect(story).toEqual(["step first", "child asked", "step last", "complete"])
        expect(child)
          .toEqual(["step before", "resume answer", "step after", "complete"])
        tried++
      }
    }
    expect(tried).toBeGreaterThan(15)
  })
})

describe("a cancel of the parent", () => {
  const tidy = Workflow.make("tidy", { events: { go: Schema.String } }, function*(ctx) {
    yield* ctx.step("do", () => 1)
    try {
      return yield* ctx.suspend("go")
    } finally {
      yield* ctx.step("tidy up", () => Effect.sleep("1 second"))
      yield* ctx.step("lock up", () => 2)
    }
  })
  const parentOf = (onCancel: "cancel" | "await" | "abandon") =>
    Workflow.make("parent", function*(ctx) {
      try {
        return yield* ctx.child(tidy, undefined, { runId: "c", onCancel })
      } finally {
        yield* ctx.step("parent tidies up", () => 3)
      }
    })
  const cleaned = [
    "step do",
    "cancel",
    "step tidy up",
    "step lock up",
    "cancelled"
  ]

  it.each(["cancel", "await"] as const)(
    "with %s drives the child's clean-up to its end",
    (mode) => {
      const parent = parentOf(mode)
      run(Effect.gen(function*() {
        yield* parent.start(undefined, { runId: "p" })
        expect(yield* parent.cancel("p", { reason: "enough" }))
          .toEqual({ status: "cancelled", reason: "enough", runId: "p" })
        expect(yield* storyOf("c")).toEqual(cleaned)
        expect((yield* entriesOf("c")).find(({ type }) => type === "cancel"))
          .toMatchObject({ reason: `run "p" was cancelled` })
        expect(yield* storyOf("p")).toEqual(
          mode === "cancel"
            ? ["cancel", "step parent tidies up", "cancelled"]
            : ["cancel", "child tidy", "step parent tidies up", "cancelled"]
        )
        expect(parent.replay(yield* Runs.journal("p"))._tag).toBe("Threw")
        expect(tidy.replay(yield* Runs.journal("c"))._tag).toBe("Threw")
      }))
    }
  )

  it("with abandon leaves the child as it is", () => {
    const parent = parentOf("abandon")
    run(Effect.gen(function*() {
      yield* parent.start(undefined, { runId: "p" })
      expect((yield* parent.cancel("p")).status).toBe("cancelled")
      expect(yield* storyOf("c")).toEqual(["step do"])
      expect((yield* Runs.status("c")).status).toBe("suspended")
      expect(yield* tidy.resume("c", { eventName: "go", value: "on" }))
        .toMatchObject({ status: "success", result: "on" })
    }))
  })

  it.each(["cancel", "await", "abandon"] as const)(
    "with %s is survived at every write",
    (mode) => {
      const parent = parentOf(mode)
      const program = Effect.gen(function*() {
        yield* parent.start(undefined, { runId: "p" })
        return (yield* parent.cancel("p", { eventId: "c1" })).status
      })
      everywhere([program], 0, ({ get, value }) => {
        expect(value).toBe("cancelled")
        expect(get(Runs.status("c")).status)
          .toBe(mode === "abandon" ? "suspended" : "cancelled")
        expect(get(storyOf("c"))).toEqual(mode === "abandon" ? ["step do"] : cleaned)
        const story = get(storyOf("p"))
        expect(story.filter((entry) => entry !== "child tidy"))
          .toEqual(["cancel", "step parent tidies up", "cancelled"])
        expect(parent.replay(get(Runs.journal("p")))._tag).toBe("Threw")
      })
    }
  )

  it("reaches a child that is in the middle of a step", () => {
    const busy = Workflow.make("busy", function*(ctx) {
      try {
        yield* ctx.step("work", () => Effect.sleep("1 hour"))
      } finally {
        yield* ctx.step("tidy up", () => 1)
      }
    })
    const parent = Workflow.make("parent", function*(ctx) {
      yield* ctx.child(busy, undefined, { runId: "c", onCancel: "await" })
    })
    run(Effect.gen(function*() {
      const driving = yield* Effect.forkChild(parent.start(undefined, { runId: "p" }))
      yield* until("c", "running")
      yield* Effect.sleep(100)
      yield* Runs.cancel("p")
      expect((yield* Fiber.join(driving)).status).toBe("cancelled")
      expect(yield* storyOf("c")).toEqual(["cancel", "step tidy up", "cancelled"])
      expect(yield* storyOf("p")).toEqual(["cancel", "child busy", "cancelled"])
    }))
  })

  it("a second time ends parent and child at once", () => {
    const slow = Workflow.make("slow", { events: { go: Schema.Void } }, function*(ctx) {
      try {
        yield* ctx.suspend("go")
      } finally {
        yield* ctx.suspend("go")
      }
    })
    for (const onCancel of ["cancel", "await"] as const) {
      const parent = Workflow.make("parent", function*(ctx) {
        try {
          yield* ctx.child(slow, undefined, { runId: "c", onCancel })
        } finally {
          yield* ctx.sleep("1 day")
        }
      })
      run(Effect.gen(function*() {
        yield* parent.start(undefined, { runId: "p" })
        expect((yield* parent.cancel("p", { eventId: "c1" })).status).toBe("suspended")
        expect((yield* Runs.status("c")).status).toBe("suspended")
        expect((yield* parent.cancel("p", { eventId: "c2" })).status).toBe("cancelled")
        yield* slow.resume("c").pipe(Effect.ignore)
        expect((yield* Runs.status("c")).status).toBe("cancelled")
        expect(parent.replay(yield* Runs.journal("p"))._tag).toBe("Threw")
      }))
    }
  })

  it("waits with await for a clean-up that suspends, and goes on when the child has ended", () => {
    const slow = Workflow.make(
      "slow",
      { events: { go: Schema.Void, done: Schema.Void } },
      function*(ctx) {
        try {
          yield* ctx.suspend("go")
        } finally {
          yield* ctx.suspend("done")
        }
      }
    )
    const parent = Workflow.make("parent", function*(ctx) {
      try {
        yield* ctx.child(slow, undefined, { runId: "c", onCancel: "await" })
      } finally {
        yield* ctx.step("tidy up", () => 1)
      }
    })
    run(Effect.gen(function*() {
      yield* parent.start(undefined, { runId: "p" })
      const waiting = yield* parent.cancel("p")
      expect(waiting).toMatchObject({
        status: "suspended",
        waits: [{ kind: "child", childId: "c" }]
      })
      expect(yield* parent.resume("p")).toEqual(waiting)
      yield* slow.resume("c", { eventName: "done" })
      expect((yield* parent.resume("p")).status).toBe("cancelled")
      expect(yield* storyOf("p")).toEqual(["cancel", "child slow", "step tidy up", "cancelled"])
    }))
  })

  it("before the child began leaves no child", () => {
    const parent = Workflow.make("parent", { events: { go: Schema.Void } }, function*(ctx) {
      yield* ctx.suspend("go")
      yield* ctx.child(tidy, undefined, { runId: "c", onCancel: "await" })
    })
    run(Effect.gen(function*() {
      yield* parent.start(undefined, { runId: "p" })
      yield* parent.send("p", { eventName: "go" })
      yield* Runs.cancel("p")
      expect((yield* parent.resume("p")).status).toBe("cancelled")
      expect((yield* Runs.list()).runs.map(({ runId, status }) => [runId, status]))
        .toEqual([["p", "cancelled"]])
      expect(parent.replay(yield* Runs.journal("p"))._tag).toBe("Threw")
    }))
  })

  it("of a lost race reaches the loser, which cleans up, and the winner's value stands", () => {
    const parent = Workflow.make("parent", function*(ctx) {
      const won = yield* ctx.race({
        child: ctx.child(tidy, undefined, { runId: "c" }),
        quick: ctx.step("quick", () => Effect.as(Effect.sleep("1 second"), "quick"))
      })
      return yield* ctx.step("after", () => won.winner)
    })
    const program = parent.execute(undefined, { runId: "p" })
    everywhere([program], 0, ({ get, value }) => {
      expect(value).toBe("quick")
      expect(get(storyOf("p"))).toEqual(["step race[quick]/quick", "step after", "complete"])
      expect(get(storyOf("c"))).toEqual(cleaned)
      expect(parent.replay(get(Runs.journal("p")))._tag).toBe("Returned")
    })
  })
})

describe("a child that waits", () => {
  const parent = Workflow.make("parent", function*(ctx) {
    const said = yield* ctx.child(asked, 1, { runId: "c" })
    return yield* ctx.step("last", () => `heard ${said}`)
  })

  it("for an event suspends the parent, which goes on when the child has", () => {
    run(Effect.gen(function*() {
      const waiting = yield* parent.start(undefined, { runId: "p" })
      expect(waiting).toMatchObject({
        status: "suspended",
        event: undefined,
        waits: [{ kind: "child", stepId: "asked", childId: "c" }]
      })
      expect(waiting).not.toHaveProperty("wakeAt")
      // Nothing has changed, so nothing is written.
      const before = yield* entriesOf("p")
      expect(yield* parent.resume("p")).toEqual(waiting)
      expect(yield* entriesOf("p")).toEqual(before)
      expect(yield* asked.resume("c", { eventName: "answer", value: "yes" }))
        .toMatchObject({ status: "success" })
      expect(yield* Runs.due()).toEqual(["p"])
      expect(yield* parent.resume("p")).toMatchObject({ status: "success", result: "heard 2 yes" })
      expect(parent.replay(yield* Runs.journal("p"))._tag).toBe("Returned")
    }))
  })

  it("is driven by a resume of the parent once its event is posted", () => {
    run(Effect.gen(function*() {
      yield* parent.start(undefined, { runId: "p" })
      yield* asked.send("c", { eventName: "answer", value: "yes" })
      expect(yield* parent.resume("p")).toMatchObject({ status: "success", result: "heard 2 yes" })
    }))
  })

  it("for a timer suspends the parent until then", () => {
    const sleepy = Workflow.make("sleepy", function*(ctx) {
      yield* ctx.sleep("3 days")
      return "awake"
    })
    const sleeping = Workflow.make("sleeping", function*(ctx) {
      return yield* ctx.child(sleepy, undefined, { runId: "c" })
    })
    run(Effect.gen(function*() {
      const waiting = yield* sleeping.start(undefined, { runId: "p" })
      const child = yield* Runs.status("c")
      expect(child.wakeAt).toBeTypeOf("number")
      expect(waiting).toMatchObject({
        status: "suspended",
        wakeAt: child.wakeAt,
        waits: [{ kind: "child", childId: "c", wakeAt: child.wakeAt }]
      })
      expect(yield* Runs.due(child.wakeAt! - 1)).toEqual([])
      expect(yield* Runs.due(child.wakeAt)).toEqual(["c", "p"])
      expect(yield* sleeping.execute(undefined, { runId: "p" })).toBe("awake")
      expect(sleeping.replay(yield* Runs.journal("p"))._tag).toBe("Returned")
    }))
  })

  it("is noticed by a parent that executes: an event for the child, and an end elsewhere", () => {
    run(Effect.gen(function*() {
      const one = yield* Effect.forkChild(parent.execute(undefined, { runId: "p" }))
      yield* until("p", "suspended")
      yield* asked.send("c", { eventName: "answer", value: "yes" })
      expect(yield* Fiber.join(one)).toBe("heard 2 yes")
      yield* Runs.remove("p")
      yield* Runs.remove("c")
      const two = yield* Effect.forkChild(parent.execute(undefined, { runId: "p" }))
      yield* until("p", "suspended")
      yield* asked.resume("c", { eventName: "answer", value: "no" })
      expect(yield* Fiber.join(two)).toBe("heard 2 no")
    }))
  })

  it("is noticed while a sibling step is still running", () => {
    const beside = Workflow.make("beside", function*(ctx) {
      return yield* ctx.all([
        ctx.child(asked, 1, { runId: "c" }),
        ctx.step("slow", () => Effect.as(Effect.sleep("1 hour"), "slow"))
      ])
    })
    run(Effect.gen(function*() {
      const driving = yield* Effect.forkChild(beside.start(undefined, { runId: "p" }))
      yield* until("c", "suspended")
      yield* Effect.sleep("2 seconds")
      yield* asked.send("c", { eventName: "answer", value: "yes" })
      yield* Effect.sleep("10 seconds")
      expect(yield* storyOf("p")).toEqual(["child all[0]/asked"])
      expect(yield* Fiber.join(driving)).toMatchObject({ result: ["2 yes", "slow"] })
    }))
  })

  it("is waited for with children of its own below it", () => {
    const middle = Workflow.make("middle", function*(ctx) {
      const said = yield* ctx.child(asked, 1, { runId: "leaf" })
      return `middle ${said}`
    })
    const top = Workflow.make("top", function*(ctx) {
      const said = yield* ctx.child(middle, undefined, { runId: "mid" })
      return `top ${said}`
    })
    run(Effect.gen(function*() {
      expect(yield* top.start(undefined, { runId: "t" }))
        .toMatchObject({ status: "suspended", waits: [{ childId: "mid" }] })
      yield* asked.send("leaf", { eventName: "answer", value: "yes" })
      expect(yield* top.resume("t")).toMatchObject({
        status: "success",
        result: "top middle 2 yes"
      })
    }))
    run(Effect.gen(function*() {
      const executing = yield* Effect.forkChild(top.execute(undefined, { runId: "t" }))
      yield* until("t", "suspended")
      yield* asked.send("leaf", { eventName: "answer", value: "yes" })
      expect(yield* Fiber.join(executing)).toBe("top middle 2 yes")
    }))
    run(Effect.gen(function*() {
      yield* top.start(undefined, { runId: "t" })
      expect((yield* top.cancel("t")).status).toBe("cancelled")
      expect((yield* Runs.list()).runs.map(({ runId, status }) => [runId, status])).toEqual([
        ["leaf", "cancelled"],
        ["mid", "cancelled"],
        ["t", "cancelled"]
      ])
    }))
    everywhere(
      [
        Effect.gen(function*() {
          yield* top.start(undefined, { runId: "t" })
          yield* asked.send("leaf", { eventName: "answer", value: "yes", eventId: "e1" })
          return yield* top.execute(undefined, { runId: "t" })
        }).pipe(Effect.catchTag("RunClosed", () => top.execute(undefined, { runId: "t" })))
      ],
      0,
      ({ get, value }) => {
        expect(value).toBe("top middle 2 yes")
        expect(get(storyOf("leaf")))
          .toEqual(["step before", "resume answer", "step after", "complete"])
        expect(get(storyOf("t"))).toEqual(["child middle", "complete"])
      }
    )
  })
})

describe("a child whose body is broken", () => {
  const childOf = (fixed: boolean) =>
    Workflow.make("child", function*(ctx) {
      const value = yield* ctx.step("do", () => 1)
      if (!fixed) throw new TypeError("a bug")
      return value
    })
  const parentOf = (fixed: boolean) => {
    const child = childOf(fixed)
    return Workflow.make("parent", function*(ctx) {
      return yield* ctx.child(child, undefined, { runId: "c" })
    })
  }

  it("fails the parent's drive, journals nothing, and goes on after the fix", () => {
    run(Effect.gen(function*() {
      const broken = yield* failureOf(parentOf(false).execute(undefined, { runId: "p" }))
      expect(broken).toBeInstanceOf(Workflow.BodyDefect)
      expect(broken).toMatchObject({ runId: "c", workflow: "child" })
      expect(yield* storyOf("p")).toEqual([])
      expect(yield* storyOf("c")).toEqual(["step do"])
      expect(yield* failureOf(parentOf(false).resume("p"))).toBeInstanceOf(Workflow.BodyDefect)
      expect(yield* parentOf(true).resume("p")).toMatchObject({ status: "success", result: 1 })
      expect(yield* storyOf("c")).toEqual(["step do", "complete"])
    }))
  })

  it("does not stop what its siblings are doing", () => {
    const beside = (fixed: boolean) => {
      const child = childOf(fixed)
      return Workflow.make("beside", function*(ctx) {
        return yield* ctx.all([
          ctx.child(child, undefined, { runId: "c" }),
          ctx.step("slow", () => Effect.as(Effect.sleep("1 minute"), "slow"))
        ])
      })
    }
    run(Effect.gen(function*() {
      expect(yield* failureOf(beside(false).start(undefined, { runId: "p" })))
        .toBeInstanceOf(Workflow.BodyDefect)
      expect(yield* storyOf("p")).toEqual(["step all[1]/slow"])
      expect(yield* beside(true).resume("p"))
        .toMatchObject({ status: "success", result: [1, "slow"] })
    }))
  })
})

describe("discard", () => {
  it("gives the child's id at once, and the child runs on in the background", () => {
    const slow = Workflow.make("slow", function*(ctx) {
      return yield* ctx.step("work", () => Effect.as(Effect.sleep("1 hour"), "done"))
    })
    const parent = Workflow.make("parent", function*(ctx) {
      return yield* ctx.child(slow, undefined, { discard: true })
    })
    run(Effect.gen(function*() {
      const ended = yield* parent.execute(undefined, { runId: "p" })
      expect(ended).toBe(yield* childId("p", "slow"))
      expect((yield* Runs.status(ended)).status).not.toBe("success")
      yield* Effect.sleep(10)
      expect((yield* Runs.status(ended)).status).toBe("running")
      expect(yield* slow.join(ended)).toBe("done")
      expect(parent.replay(yield* Runs.journal("p"))).toMatchObject({ value: ended })
    }))
  })

  it("records the child of a contract, and leaves it alone when the parent is cancelled or fails", () => {
    const contract = Workflow.define("later", { input: Schema.Number, output: Schema.Number })
    const later = contract.make(function*(ctx, n) {
      return yield* ctx.step("work", () => n + 1)
    })
    const parent = Workflow.make("parent", { events: { go: Schema.Void } }, function*(ctx) {
      const id = yield* ctx.child(contract, 1, { discard: true })
      yield* ctx.suspend("go")
      return id
    })
    run(Effect.gen(function*() {
      yield* parent.start(undefined, { runId: "p" })
      const id = yield* childId("p", "later")
      expect((yield* parent.cancel("p")).status).toBe("cancelled")
      expect((yield* Runs.status(id)).status).toBe("pending")
      expect(yield* later.resume(id)).toMatchObject({ status: "success", result: 2 })
    }))
  })

  it("starts the child once, at whichever write the process dies", () => {
    const contract = Workflow.define("later", { input: Schema.Number, output: Schema.Number })
    const parent = Workflow.make("parent", function*(ctx) {
      yield* ctx.child(contract, 1, { discard: true })
      return yield* ctx.child(contract, 2, { discard: true, runId: "own" })
    })
    everywhere([parent.execute(undefined, { runId: "p" })], 0, ({ get, value }) => {
      expect(value).toBe("own")
      expect(get(Runs.list({ workflow: "later" })).runs.length).toBe(2)
      expect(get(storyOf("p"))).toEqual(["child later", "child later#2", "complete"])
    })
  })
})

describe("forEach", () => {
  it("with perRun gives the values in order, from runs whose ids tell where they begin", () => {
    const squares = Workflow.make("squares", function*(ctx) {
      const items = Array.from({ length: 7 }, (_, i) => i)
      return yield* ctx.forEach(items, (n) => ctx.step("square", () => n * n), {
        perRun: 3,
        concurrency: 2
      })
    })
    everywhere([squares.execute(undefined, { runId: "p" })], 0, ({ get, value }) => {
      expect(value).toEqual([0, 1, 4, 9, 16, 25, 36])
      const { incarnation } = get(Runs.journal("p")).head
      expect(get(Runs.list()).runs.map(({ runId }) => runId).toSorted()).toEqual(
        ["p", ...[0, 3, 6].map((from) => `p.${incarnation}.each[${from}].run`)].toSorted()
      )
      expect(get(storyOf(`p.${incarnation}.each[3].run`))).toEqual([
        "step each[3]/square",
        "step each[4]/square",
        "step each[5]/square",
        "complete"
      ])
      expect(squares.replay(get(Runs.journal("p")))._tag).toBe("Returned")
    })
  })

  it("with perRun takes options as without it: key, discard, result, a multiple, nothing", () => {
    const options = Workflow.make("options", function*(ctx) {
      const step = (n: number) => ctx.step("n", () => n)
      const keyed = yield* ctx.forEach([1, 2], step, {
        perRun: 2,
        key: (n) => `k${n}`,
        name: "keyed"
      })
      const none = yield* ctx.forEach([], step, { perRun: 2 })
      const discarded = yield* ctx.forEach([1, 2, 3], step, { perRun: 2, discard: true })
      return { keyed, none, discarded: discarded === undefined }
    })
    run(Effect.gen(function*() {
      expect(yield* options.execute(undefined, { runId: "p" }))
        .toEqual({ keyed: [1, 2], none: [], discarded: true })
      const { incarnation } = (yield* Runs.journal("p")).head
      expect(yield* storyOf(`p.${incarnation}.keyed[0].run`))
        .toEqual(["step keyed[k1]/n", "step keyed[k2]/n", "complete"])
    }))
  })

  it("with perRun fails with the first item that fails, and cancels the other runs", () => {
    const failing = Workflow.make("failing", { error: NoStock }, function*(ctx) {
      return yield* ctx.forEach(["a", "b", "c", "d"], (sku) =>
        ctx.step("reserve", () =>
          sku === "b"
            ? Effect.fail(new NoStock({ sku }))
            : Effect.as(Effect.sleep("1 hour"), sku)), { perRun: 2 })
    })
    run(Effect.gen(function*() {
      const failed = yield* failing.start(undefined, { runId: "p" })
      expect(failed).toMatchObject({ status: "failed", error: { sku: "b" } })
      expect((failed as { error: unknown }).error).toBeInstanceOf(NoStock)
      const { incarnation } = (yield* Runs.journal("p")).head
      expect((yield* Runs.status(`p.${incarnation}.each[0].run`)).status).toBe("failed")
      expect((yield* Runs.status(`p.${incarnation}.each[2].run`)).status).toBe("cancelled")
      expect(failing.replay(yield* Runs.journal("p"))._tag).toBe("Threw")
    }))
  })

  it("with perRun hands items that may suspend their events through their runs", () => {
    const asking = Workflow.make("asking", { events: { ok: Schema.Number } }, function*(ctx) {
      return yield* ctx.forEach([1, 2], (n) => ctx.suspend("ok", { key: String(n) }), { perRun: 1 })
    })
    run(Effect.gen(function*() {
      expect((yield* asking.start(undefined, { runId: "p" })).status).toBe("suspended")
      const { incarnation } = (yield* Runs.journal("p")).head
      for (const n of [0, 1]) {
        yield* Runs.send(`p.${incarnation}.each[${n}].run`, {
          eventName: "ok",
          key: String(n + 1),
          value: n * 10
        })
      }
      expect(yield* asking.resume("p")).toMatchObject({ status: "success", result: [0, 10] })
    }))
  })

  it.each([["in one run", undefined], ["with perRun", 25]] as const)(
    "%s never has more than 50 live branches with concurrency 50",
    (_, perRun) => {
      const live = { now: 0, most: 0, all: 0 }
      const many = Workflow.make("many", function*(ctx) {
        const items = Array.from({ length: 2_000 }, (_, i) => i)
        return yield* ctx.forEach(
          items,
          (n) =>
            ctx.step("n", () =>
              Effect.gen(function*() {
                live.most = Math.max(live.most, ++live.now)
                live.all++
                yield* Effect.sleep(1 + n % 7)
                live.now--
                return n
              })),
          { concurrency: 50, ...(perRun === undefined ? undefined : { perRun }) }
        )
      })
      // Without the shadow replay, which is quadratic.
      const services = Context.make(Storage.Storage, Storage.make(Storage.memoryDriver()))
      const value = new Simulation().get(many.execute(undefined, { runId: "p" }), services)
      expect(value).toEqual(Array.from({ length: 2_000 }, (_, i) => i))
      expect(live).toEqual({ now: 0, most: 50, all: 2_000 })
    }
  )

  it("with perRun is no instruction that was never yielded, under the guard", () => {
    const guarded = Workflow.make("guarded", function*(ctx) {
      return yield* ctx.forEach([1, 2], (n) => ctx.step("n", () => n), { perRun: 1 })
    })
    const on = Effect.provideService(Workflow.Guard, { slices: true, shadow: true })
    expect(run(on(guarded.execute(undefined, { runId: "p" })))).toEqual([1, 2])
  })

  it("refuses a perRun that is no whole number of at least 1, at the yield", () => {
    for (const perRun of [0, -1, 1.5, Number.NaN]) {
      const wrong = Workflow.make("wrong", function*(ctx) {
        try {
          return yield* ctx.forEach([1], (n) => ctx.step("n", () => n), { perRun })
        } catch (error) {
          return String(error)
        }
      })
      expect(run(wrong.execute(undefined, { runId: "p" }))).toContain("perRun")
    }
  })
})
