/**
 * Code that changes under open runs: `patched` and its retirement, `version` with `previous` bodies, and
 * schemas that decode what older code journaled.
 */
import { Effect, Option, Result, Schema, SchemaGetter } from "effect"
import { Instruction, Runs, Workflow } from "reprise"
import { describe, expect, it } from "vitest"
import { entriesOf, everywhere, failureOf, run, storyOf } from "../support/together.ts"

const events = { go: Schema.Void }

/** The code before the change, with it, and after the old path was taken out. */
const old = Workflow.make("w", { events }, function*(ctx) {
  yield* ctx.step("first", () => 1)
  yield* ctx.step("old", () => 1)
  yield* ctx.suspend("go")
  return yield* ctx.step("last", () => "old")
})
const changed = Workflow.make("w", { events }, function*(ctx) {
  yield* ctx.step("first", () => 1)
  if (yield* ctx.patched("change")) yield* ctx.step("new", () => 1)
  else yield* ctx.step("old", () => 1)
  yield* ctx.suspend("go")
  const again = yield* ctx.patched("change")
  return yield* ctx.step("last", () => again ? "new" : "old")
})
const retired = Workflow.make("w", { events, retired: ["change"] }, function*(ctx) {
  yield* ctx.step("first", () => 1)
  yield* ctx.step("new", () => 1)
  yield* ctx.suspend("go")
  return yield* ctx.step("last", () => "new")
})

describe("patched", () => {
  const go = { eventName: "go" } as const

  it("takes the old path in a run of old code, and the first answer holds", () => {
    run(Effect.gen(function*() {
      yield* old.start(undefined, { runId: "r" })
      expect(yield* changed.resume("r", go)).toMatchObject({ status: "success", result: "old" })
      expect(yield* storyOf("r"))
        .toEqual(["step first", "step old", "resume go", "step last", "complete"])
      expect(changed.replay(yield* Runs.journal("r"))._tag).toBe("Returned")
      expect(old.replay(yield* Runs.journal("r"))._tag).toBe("Returned")
    }))
  })

  it("takes the new path in a new run, and says so directly behind the outcome that led there", () => {
    run(Effect.gen(function*() {
      yield* changed.start(undefined, { runId: "r" })
      expect(yield* storyOf("r")).toEqual(["step first", "patch", "step new"])
      expect(yield* changed.resume("r", go)).toMatchObject({ status: "success", result: "new" })
      expect((yield* storyOf("r")).filter((entry) => entry === "patch").length).toBe(1)
      expect(changed.replay(yield* Runs.journal("r"))._tag).toBe("Returned")
    }))
  })

  it("in a run that the old code is asked to go on with is a mismatch, and nothing is written", () => {
    run(Effect.gen(function*() {
      yield* changed.start(undefined, { runId: "r" })
      const before = yield* entriesOf("r")
      expect(yield* failureOf(old.resume("r"))).toBeInstanceOf(Workflow.ReplayMismatch)
      expect(yield* failureOf(old.resume("r", go))).toBeInstanceOf(Workflow.ReplayMismatch)
      expect(yield* entriesOf("r")).toEqual(before)
      // The event is not lost: the code that fits takes it.
      expect(yield* changed.resume("r")).toMatchObject({ status: "success", result: "new" })
    }))
  })

  it("is retired: runs of the new path go on, and those of the old one are refused", () => {
    run(Effect.gen(function*() {
      yield* changed.start(undefined, { runId: "new" })
      yield* old.start(undefined, { runId: "old" })
      expect(yield* retired.resume("new", go)).toMatchObject({ status: "success", result: "new" })
      expect(yield* failureOf(retired.resume("old", go))).toBeInstanceOf(Workflow.ReplayMismatch)
      expect(yield* retired.start(undefined, { runId: "fresh" }))
        .toMatchObject({ status: "suspended" })
      expect(yield* storyOf("fresh")).toEqual(["step first", "step new"])
      // The code in between can go on with what newer code began.
      expect(yield* failureOf(changed.resume("fresh", go))).toBeInstanceOf(Workflow.ReplayMismatch)
    }))
  })

  it("may be asked for while it is retired, and is true", () => {
    const asks = Workflow.make("w", { events, retired: ["change"] }, function*(ctx) {
      yield* ctx.step("first", () => 1)
      if (yield* ctx.patched("change")) yield* ctx.step("new", () => 1)
      yield* ctx.suspend("go")
      return yield* ctx.step("last", () => "new")
    })
    run(Effect.gen(function*() {
      yield* changed.start(undefined, { runId: "a" })
      expect(yield* asks.resume("a", go)).toMatchObject({ status: "success" })
      yield* asks.start(undefined, { runId: "b" })
      expect(yield* storyOf("b")).toEqual(["step first", "step new"])
      expect(asks.replay(yield* Runs.journal("a"))._tag).toBe("Returned")
    }))
  })

  it("is true where an open run first comes to it: at its live end, also behind a suspension", () => {
    const before = Workflow.make("w", { events }, function*(ctx) {
      yield* ctx.step("first", () => 1)
      yield* ctx.suspend("go")
      return yield* ctx.step("old", () => "old")
    })
    const after = Workflow.make("w", { events }, function*(ctx) {
      yield* ctx.step("first", () => 1)
      yield* ctx.suspend("go")
      return (yield* ctx.patched("change"))
        ? yield* ctx.step("new", () => "new")
        : yield* ctx.step("old", () => "old")
    })
    const program = Effect.gen(function*() {
      const status = yield* Effect.option(Runs.status("r"))
      // The old code is gone once it has left the run suspended.
      if (Option.isNone(status) || status.value.entries < 3) {
        yield* before.start(undefined, { runId: "r" })
      }
      yield* Effect.ignore(after.send("r", { eventName: "go", eventId: "e1" }))
      return yield* after.execute(undefined, { runId: "r" })
    })
    everywhere([program], 0, ({ get, value }) => {
      expect(value).toBe("new")
      expect(get(storyOf("r")))
        .toEqual(["step first", "resume go", "patch", "step new", "complete"])
    })
  })

  it("in the slice that stands before a recorded suspension is false", () => {
    const before = Workflow.make("w", { events }, function*(ctx) {
      yield* ctx.step("first", () => 1)
      yield* ctx.suspend("go")
      return "end"
    })
    const after = Workflow.make("w", { events }, function*(ctx) {
      yield* ctx.step("first", () => 1)
      if (yield* ctx.patched("change")) yield* ctx.step("new", () => 1)
      yield* ctx.suspend("go")
      return "end"
    })
    run(Effect.gen(function*() {
      yield* before.start(undefined, { runId: "r" })
      expect((yield* after.resume("r")).status).toBe("suspended")
      expect(yield* after.resume("r", go)).toMatchObject({ status: "success" })
      expect(yield* storyOf("r")).toEqual(["step first", "resume go", "complete"])
    }))
  })

  it("before the first step is true for a run that was only enqueued, and false for one that went on", () => {
    const before = Workflow.make("w", { events }, function*(ctx) {
      yield* ctx.suspend("go")
      return "old"
    })
    const after = Workflow.make("w", { events }, function*(ctx) {
      if (yield* ctx.patched("change")) {
        yield* ctx.step("new", () => 1)
        yield* ctx.suspend("go")
        return "new"
      }
      yield* ctx.suspend("go")
      return "old"
    })
    run(Effect.gen(function*() {
      yield* before.enqueue(undefined, { runId: "queued" })
      yield* before.start(undefined, { runId: "begun" })
      expect(yield* after.resume("queued", go)).toMatchObject({ result: "new" })
      expect(yield* after.resume("begun", go)).toMatchObject({ result: "old" })
      expect((yield* storyOf("queued"))[0]).toBe("patch")
      for (const runId of ["queued", "begun"]) {
        expect(after.replay(yield* Runs.journal(runId))._tag).toBe("Returned")
      }
    }))
  })

  it("in branches answers for the whole run, and replays whatever the order of completion", () => {
    const fan = Workflow.make(
      "fan",
      { input: Schema.Array(Schema.Number) },
      function*(ctx, delays) {
        return yield* ctx.all(delays.map((delay, n) =>
          function*() {
            yield* ctx.step("wait", () => Effect.sleep(delay))
            const one = yield* ctx.patched("one")
            const own = yield* ctx.patched(`own ${n}`)
            return yield* ctx.step(one && own ? "new" : "old", () => `${one} ${own}`)
          }
        ))
      }
    )
    for (const delays of [[1, 2, 3], [3, 2, 1], [5, 5, 5]]) {
      everywhere([fan.execute(delays, { runId: "r" })], 0, ({ get, value }) => {
        expect(value).toEqual(["true true", "true true", "true true"])
        expect(get(storyOf("r")).filter((entry) => entry === "patch").length).toBe(4)
        expect(fan.replay(get(Runs.journal("r")))._tag).toBe("Returned")
      })
    }
  })

  it("in a branch is false in a run of old code that has passed there", () => {
    const fan = (isNew: boolean) =>
      Workflow.make("fan", { events }, function*(ctx) {
        return yield* ctx.all([
          function*() {
            yield* ctx.step("a", () => 1)
            const name = isNew && (yield* ctx.patched("change")) ? "new" : "old"
            return yield* ctx.step(name, () => name)
          },
          function*() {
            yield* ctx.suspend("go")
            const name = isNew && (yield* ctx.patched("other")) ? "new" : "old"
            return yield* ctx.step(name, () => name)
          }
        ])
      })
    run(Effect.gen(function*() {
      yield* fan(false).start(undefined, { runId: "r" })
      expect(yield* fan(true).resume("r", go))
        .toMatchObject({ status: "success", result: ["old", "new"] })
      expect(fan(true).replay(yield* Runs.journal("r"))._tag).toBe("Returned")
    }))
  })

  it("of several changes in one slice journals each, in order", () => {
    const many = Workflow.make("many", function*(ctx) {
      yield* ctx.step("a", () => 1)
      const answers = [
        yield* ctx.patched("one"),
        yield* ctx.patched("two"),
        yield* ctx.patched("one")
      ]
      return yield* ctx.step("b", () => answers)
    })
    everywhere([many.execute(undefined, { runId: "r" })], 0, ({ get, value }) => {
      expect(value).toEqual([true, true, true])
      expect(get(entriesOf("r")).flatMap((entry) => entry.type === "patch" ? [entry.changeId] : []))
        .toEqual(["one", "two"])
    })
  })

  it("answers in an undo and in a finally block of a cancelled run", () => {
    const waits = Workflow.make("waits", function*(ctx) {
      try {
        yield* ctx.step("a", () => 1, {
          undo: function*() {
            const name = (yield* ctx.patched("undoing")) ? "new undo" : "old undo"
            yield* ctx.step(name, () => 1)
          }
        })
        yield* ctx.sleep("1 day")
      } finally {
        if (yield* ctx.patched("tidying")) yield* ctx.step("tidy", () => 1)
      }
    })
    const program = Effect.gen(function*() {
      yield* waits.start(undefined, { runId: "r" })
      return (yield* waits.cancel("r", { eventId: "c1" })).status
    })
    everywhere([program], 0, ({ get, value }) => {
      expect(value).toBe("cancelled")
      expect(get(storyOf("r"))).toEqual([
        "step a",
        "cancel",
        "patch",
        "step tidy",
        "patch",
        "step a[undo]/new undo",
        "undo a",
        "cancelled"
      ])
      expect(waits.replay(get(Runs.journal("r")))._tag).toBe("Threw")
    })
  })
})

describe("version", () => {
  const v0 = Workflow.make("order", { events }, function*(ctx) {
    yield* ctx.step("zero", () => 0)
    yield* ctx.suspend("go")
    return "v0"
  })
  const v1 = Workflow.make("order", { events, version: "1" }, function*(ctx) {
    yield* ctx.step("one", () => 1)
    yield* ctx.suspend("go")
    return "v1"
  })
  const v2 = Workflow.make("order", { events, version: "2", previous: [v1] }, function*(ctx) {
    yield* ctx.step("two", () => 2)
    yield* ctx.suspend("go")
    return "v2"
  })
  const go = { eventName: "go" } as const

  it("lets an old run go on with its own body, and gives a new run the newest", () => {
    run(Effect.gen(function*() {
      yield* v1.start(undefined, { runId: "old" })
      yield* v2.start(undefined, { runId: "new" })
      expect(yield* v2.resume("old", go)).toMatchObject({ status: "success", result: "v1" })
      expect(yield* v2.resume("new", go)).toMatchObject({ status: "success", result: "v2" })
      expect((yield* entriesOf("old"))[0]).toMatchObject({ version: "1" })
      expect((yield* entriesOf("new"))[0]).toMatchObject({ version: "2" })
      for (const runId of ["old", "new"]) {
        expect(v2.replay(yield* Runs.journal(runId))._tag).toBe("Returned")
      }
    }))
  })

  it("of an enqueued run is the one that it was enqueued with", () => {
    run(Effect.gen(function*() {
      yield* v1.enqueue(undefined, { runId: "r" })
      expect((yield* v2.start(undefined, { runId: "r" })).status).toBe("suspended")
      expect(yield* storyOf("r")).toEqual(["step one"])
    }))
  })

  it("that no code here has is a mismatch that leaves the journal alone", () => {
    run(Effect.gen(function*() {
      yield* v2.start(undefined, { runId: "new" })
      const before = yield* entriesOf("new")
      for (
        const drive of [
          v1.resume("new"),
          v1.resume("new", go),
          v1.start(undefined, { runId: "new" })
        ]
      ) {
        expect(yield* failureOf(drive))
          .toMatchObject({ _tag: "VersionMismatch", recorded: "2", seen: "1" })
      }
      expect(yield* entriesOf("new")).toEqual(before)
      expect(yield* v2.resume("new")).toMatchObject({ status: "success", result: "v2" })
    }))
  })

  it("that a run has none of goes on with a previous body without one, else with the newest", () => {
    const both = Workflow.make(
      "order",
      { events, version: "3", previous: [v2, v0] },
      function*(ctx) {
        yield* ctx.step("three", () => 3)
        yield* ctx.suspend("go")
        return "v3"
      }
    )
    const same = Workflow.make("order", { events, version: "1" }, function*(ctx) {
      yield* ctx.step("zero", () => 0)
      yield* ctx.suspend("go")
      return "same"
    })
    run(Effect.gen(function*() {
      yield* v0.start(undefined, { runId: "a" })
      yield* v0.start(undefined, { runId: "b" })
      expect(yield* both.resume("a", go)).toMatchObject({ status: "success", result: "v0" })
      expect(yield* same.resume("b", go)).toMatchObject({ status: "success", result: "same" })
    }))
  })

  it("is looked for among all previous ones, not in those of a previous one", () => {
    const v3 = Workflow.make("order", { events, version: "3", previous: [v2, v1] }, function*() {
      return "v3"
    })
    run(Effect.gen(function*() {
      for (const [runId, of] of [["1", v1], ["2", v2]] as const) {
        yield* of.start(undefined, { runId })
        expect(yield* v3.resume(runId, go)).toMatchObject({
          status: "success",
          result: `v${runId}`
        })
      }
      expect(yield* v3.start(undefined, { runId: "3" })).toMatchObject({ result: "v3" })
    }))
  })

  it("of a child is the one it began with, after its parent's code has the newer one", () => {
    const parentOf = (child: typeof v1) =>
      Workflow.make("parent", function*(ctx) {
        return yield* ctx.child(child, undefined, { runId: "c" })
      })
    run(Effect.gen(function*() {
      yield* parentOf(v1).start(undefined, { runId: "p" })
      yield* v2.send("c", go)
      expect(yield* parentOf(v2 as never).resume("p"))
        .toMatchObject({ status: "success", result: "v1" })
    }))
  })

  it("is the newest after continueAs", () => {
    const looping = (version: string, previous: ReadonlyArray<Workflow.Older> = []) =>
      Workflow.make(
        "loop",
        { input: Schema.Number, output: Schema.String, events, version, previous },
        function*(ctx, n): Workflow.Body<string> {
          if (n > 1) return version
          yield* ctx.suspend("go")
          return yield* ctx.continueAs(n + 1)
        }
      )
    run(Effect.gen(function*() {
      const one = looping("1")
      yield* one.start(1, { runId: "r" })
      expect(yield* looping("2", [one]).resume("r", go))
        .toMatchObject({ status: "success", result: "2", runId: "r+2" })
    }))
  })

  it("lets what an older version ended with be read", () => {
    run(Effect.gen(function*() {
      yield* v1.start(undefined, { runId: "r" })
      yield* v1.resume("r", go)
      expect(yield* v2.start(undefined, { runId: "r" }))
        .toMatchObject({ status: "success", result: "v1" })
      expect(yield* v2.join("r")).toBe("v1")
    }))
  })
})

describe("schemas that decode what older code journaled", () => {
  /** What was a name once and is a person now. */
  const Person = Schema.Union([Schema.Struct({ name: Schema.String }), Schema.String]).pipe(
    Schema.decodeTo(Schema.Struct({ name: Schema.String }), {
      decode: SchemaGetter.transform((from) => typeof from === "string" ? { name: from } : from),
      encode: SchemaGetter.transform((to) => to)
    })
  )
  const before = Workflow.make(
    "people",
    { input: Schema.String, output: Schema.String, events: { met: Schema.String } },
    function*(ctx, name) {
      const first = yield* ctx.step("look up", () => name, { schema: Schema.String })
      const second = yield* ctx.suspend("met")
      const third = yield* ctx.suspend("met")
      return `${first} ${second} ${third}`
    }
  )
  const after = Workflow.make(
    "people",
    { input: Person, output: Person, events: { met: Person } },
    function*(ctx, person) {
      const first = yield* ctx.step("look up", () => person, { schema: Person })
      const second = yield* ctx.suspend("met")
      const third = yield* ctx.suspend("met")
      return { name: [person, first, second, third].map(({ name }) => name).join() }
    }
  )

  it("give newer code the input, a step's result, an event and a kept event", () => {
    run(Effect.gen(function*() {
      yield* before.start("ada", { runId: "r" })
      yield* before.resume("r", { eventName: "met", value: "bob", eventId: "e1" })
      // Posted by old code, journaled by new code.
      yield* before.send("r", { eventName: "met", value: "eve", eventId: "e2" })
      expect(yield* after.resume("r"))
        .toMatchObject({ status: "success", result: { name: "ada,ada,bob,eve" } })
      expect(after.replay(yield* Runs.journal("r"))._tag).toBe("Returned")
    }))
  })

  it("take the same input, written otherwise, for the same", () => {
    run(Effect.gen(function*() {
      yield* before.start("ada", { runId: "r" })
      expect((yield* after.start({ name: "ada" }, { runId: "r" })).status).toBe("suspended")
      expect(yield* failureOf(after.start({ name: "bob" }, { runId: "r" })))
        .toMatchObject({ _tag: "RunExists", differs: "input" })
    }))
  })

  it("give newer code what older code ended with", () => {
    run(Effect.gen(function*() {
      yield* before.start("ada", { runId: "r" })
      for (const value of ["bob", "eve"]) yield* before.resume("r", { eventName: "met", value })
      expect(yield* after.join("r")).toEqual({ name: "ada bob eve" })
      expect(yield* after.start({ name: "ada" }, { runId: "r" }))
        .toMatchObject({ status: "success", result: { name: "ada bob eve" } })
    }))
  })

  it("that do not decode it are a mismatch, and nothing is written", () => {
    const numbers = Workflow.make(
      "people",
      { input: Schema.Number, output: Schema.Number, events: { met: Schema.String } },
      function*(_, n) {
        return n
      }
    )
    const results = Workflow.make(
      "people",
      { input: Schema.String, output: Schema.String, events: { met: Schema.String } },
      function*(ctx) {
        const n = yield* ctx.step("look up", () => 1, { schema: Schema.Number })
        return String(n)
      }
    )
    run(Effect.gen(function*() {
      yield* before.start("ada", { runId: "r" })
      const lines = yield* entriesOf("r")
      expect(yield* failureOf(numbers.resume("r"))).toMatchObject({
        _tag: "ReplayMismatch",
        offset: 0
      })
      const refused = yield* failureOf(results.resume("r"))
      expect(refused).toMatchObject({ _tag: "ReplayMismatch", offset: 1 })
      expect(String((refused as Error).message)).toContain("look up")
      expect(yield* entriesOf("r")).toEqual(lines)
    }))
  })

  it("leave an event that they refuse in the inbox, for code that can take it", () => {
    const strict = Workflow.make(
      "people",
      { input: Schema.String, output: Schema.String, events: { met: Schema.Number } },
      function*(ctx, name) {
        yield* ctx.step("look up", () => name, { schema: Schema.String })
        yield* ctx.suspend("met")
        return "never"
      }
    )
    run(Effect.gen(function*() {
      yield* before.start("ada", { runId: "r" })
      yield* before.send("r", { eventName: "met", value: "bob" })
      expect((yield* strict.resume("r")).status).toBe("suspended")
      expect(yield* storyOf("r")).toEqual(["step look up"])
      yield* before.resume("r")
      expect(yield* storyOf("r")).toEqual(["step look up", "resume met"])
    }))
  })

  it("give a parent what an older child ended with", () => {
    const child = (isNew: boolean) =>
      isNew
        ? Workflow.make("child", { input: Schema.Void, output: Person }, function*() {
          return { name: "new" }
        })
        : Workflow.make("child", { input: Schema.Void, output: Schema.String }, function*() {
          return "old"
        })
    const parentOf = (isNew: boolean) =>
      Workflow.make("parent", { output: Schema.Json, events }, function*(ctx) {
        const value = yield* ctx.child(child(isNew) as never, undefined as never, { runId: "c" })
        yield* ctx.suspend("go")
        return value as Schema.Json
      })
    run(Effect.gen(function*() {
      yield* parentOf(false).start(undefined, { runId: "p" })
      expect(yield* parentOf(true).resume("p", { eventName: "go" }))
        .toMatchObject({ status: "success", result: { name: "old" } })
    }))
  })

  it("give the body a declared error in its newer form", () => {
    class Old extends Schema.TaggedError<Old>()("Refused", { why: Schema.String }) {}
    class New extends Schema.TaggedError<New>()("Refused", {
      why: Schema.String,
      code: Schema.optionalKey(Schema.Number)
    }) {}
    const failing = <S extends typeof Old | typeof New>(error: S) =>
      Workflow.make("failing", { events }, function*(ctx) {
        const heard = yield* Instruction.result(
          ctx.step("ask", () => Effect.fail(new Old({ why: "no" })), { error: error as typeof Old })
        )
        yield* ctx.suspend("go")
        return Result.isFailure(heard) && heard.failure instanceof error
      })
    run(Effect.gen(function*() {
      yield* failing(Old).start(undefined, { runId: "r" })
      expect(yield* failing(New).resume("r", { eventName: "go" }))
        .toMatchObject({ status: "success", result: true })
    }))
  })
})
