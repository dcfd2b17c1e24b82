/**
 * What hooks hear and when: their events, their order against the journal, hooks that fail, hooks that take
 * long, and every outcome heard at least once wherever a process dies. What `stop` does stands in
 * stop.test.ts.
 */
import { describe, expect, it } from "@effect/vitest"
import { Context, Deferred, Effect, Fiber, Layer, Schedule, Schema, SchemaGetter } from "effect"
import { TestClock } from "effect/testing"
import { Instruction, Runs, Storage, Workflow } from "reprise"
import * as Testing from "reprise/testing"
import * as JournalText from "../../src/Journal.ts"
import { Died, worldOf } from "../support/faults.ts"
import { Simulation } from "../support/simulation.ts"
import { entriesOf, everywhere, failureOf, run } from "../support/together.ts"

const runId = "r"
const hour = 3_600_000

/** Hooks that write down what they hear. */
const recorder = (heard: Array<string> = []) => ({
  heard,
  hooks: {
    onStepComplete: ({ stepId }: Workflow.StepCompleted) => void heard.push(`completed ${stepId}`),
    onStepError: ({ stepId }: Workflow.StepErred) => void heard.push(`failed ${stepId}`),
    onStepSkipped: ({ stepId }: Workflow.StepSkipped) => void heard.push(`skipped ${stepId}`)
  }
})

/** A journal in brief, with its starts and suspensions. */
const typesOf = (id = runId) =>
  Effect.map(
    entriesOf(id),
    (entries) =>
      entries.map((entry) => "stepId" in entry ? `${entry.type} ${entry.stepId}` : entry.type)
  )

const abc = Workflow.make("abc", function*(ctx) {
  const a = yield* ctx.step("a", () => 1)
  const b = yield* ctx.step("b", () => a + 1)
  return b + (yield* ctx.step("c", () => b + 1))
})

const asking = Workflow.make("asking", { events: { go: Schema.String } }, function*(ctx) {
  const a = yield* ctx.step("a", () => "a")
  const said = yield* ctx.suspend("go")
  return yield* ctx.step("b", () => a + said)
})

/** A newer session writes its start, as a process does that thinks this one dead. */
const takeOver = (id = runId) =>
  Effect.scoped(Effect.gen(function*() {
    const storage = yield* Storage.Storage
    const loaded = yield* storage.read(id)
    const writer = yield* storage.writer(loaded)
    const { incarnation, session } = loaded.journal.head
    const stamp = { incarnation, session: session + 1, writer: "thief" }
    const start = JournalText.stamped({ type: "start" }, new Date(0).toISOString())
    expect(yield* writer.append(stamp, [start])).toBe(true)
  }))

/** Lets the process die a while after it began. */
const diesAfter = (millis: number) => <A, E>(program: Effect.Effect<A, E, Storage.Storage>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(program)
    yield* Effect.sleep(millis)
    yield* Fiber.interrupt(fiber)
  })

class Mailer extends Context.Service<Mailer, {
  readonly mail: (text: string) => Effect.Effect<void>
}>()("test/Mailer") {}

describe("a hook", () => {
  it.effect("may be a plain function, give a Promise or an Effect with services, and is awaited", () => {
    const said: Array<string> = []
    const workflow = Workflow.make("kinds", function*(ctx) {
      for (const name of ["a", "b", "c"] as const) {
        yield* ctx.step(name, () => void said.push(`run ${name}`))
      }
    })
    const mailer = Layer.succeed(Mailer, {
      mail: (text) => Effect.andThen(Effect.yieldNow, Effect.sync(() => void said.push(text)))
    })
    const turns = async (text: string) => {
      for (let n = 0; n < 20; n++) await Promise.resolve()
      said.push(text)
    }
    return Effect.gen(function*() {
      yield* workflow.start(undefined, {
        runId,
        onStepComplete: ({ stepId }) =>
          stepId === "a"
            ? void said.push("plain a")
            : stepId === "b"
            ? turns("promise b")
            : Effect.flatMap(Mailer, ({ mail }) => mail("mailed c"))
      })
      expect(said).toEqual(["run a", "plain a", "run b", "promise b", "run c", "mailed c"])
    }).pipe(Effect.provide([mailer, Storage.layerMemory]))
  })

  it("may give any other value, which means nothing", () => {
    run(Effect.gen(function*() {
      for (const value of [0, "x", null, {}, [], () => 1, Symbol("s")]) {
        const id = `r${String(typeof value)}${JSON.stringify(value)?.length ?? 0}`
        const result = yield* abc.start(undefined, { runId: id, onStepComplete: () => value })
        expect(result).toMatchObject({ status: "success", result: 5 })
      }
    }))
  })

  it("of the definition comes before the call's, on start, execute and resume", () => {
    const said: Array<string> = []
    const both = Workflow.make("both", {
      events: { go: Schema.Void },
      onStepComplete: ({ stepId }) =>
        Effect.map(Effect.sleep(5), () => void said.push(`D ${stepId}`)),
      onStepSkipped: ({ stepId }) => void said.push(`D skipped ${stepId}`),
      onStepError: ({ stepId }) => void said.push(`D failed ${stepId}`)
    }, function*(ctx, waits: boolean) {
      yield* ctx.step("a", () => 1)
      if (waits) yield* ctx.suspend("go")
      yield* Instruction.result(ctx.step("b", () => Effect.fail("no")))
    })
    const call = {
      onStepComplete: ({ stepId }: Workflow.StepCompleted) => void said.push(`call ${stepId}`),
      onStepSkipped: ({ stepId }: Workflow.StepSkipped) => void said.push(`call skipped ${stepId}`),
      onStepError: ({ stepId }: Workflow.StepErred) => void said.push(`call failed ${stepId}`)
    }
    run(Effect.gen(function*() {
      yield* both.execute(false, { runId: "x", ...call })
      expect(said.splice(0)).toEqual(["D a", "call a", "D failed b", "call failed b"])
      yield* both.start(true, { runId, ...call })
      expect(said.splice(0)).toEqual(["D a", "call a"])
      yield* both.resume(runId, { eventName: "go" }, call)
      expect(said.splice(0))
        .toEqual(["D skipped a", "call skipped a", "D failed b", "call failed b"])
      // A call that says nothing leaves the definition's.
      yield* both.start(true, { runId: "y" })
      expect(said.splice(0)).toEqual(["D a"])
      // An ended run has nothing to tell.
      yield* both.resume(runId, undefined, call)
      expect(said).toEqual([])
    }))
  })

  it("hears of each step once while one call drives on through suspensions", () => {
    const { heard, hooks } = recorder()
    run(Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(asking.execute(undefined, { runId, ...hooks }))
      yield* Effect.sleep(100)
      expect(yield* asking.status(runId)).toMatchObject({ status: "suspended" })
      yield* asking.send(runId, { eventName: "go", value: "!" })
      expect(yield* Fiber.join(fiber)).toBe("a!")
      expect(heard).toEqual(["completed a", "completed b"])
    }))
  })

  it("hears of no waits, timers, children or patches, and of every step of a loop and of branches", () => {
    const { heard, hooks } = recorder()
    const inner = Workflow.make("inner", function*(ctx) {
      yield* ctx.step("within", () => 1)
    })
    const outer = Workflow.make("outer", { events: { go: Schema.Void } }, function*(ctx) {
      yield* ctx.patched("p")
      yield* ctx.sleep("1 second")
      yield* ctx.child(inner)
      for (let n = 0; n < 2; n++) yield* ctx.step("loop", () => n)
      yield* ctx.all({ x: ctx.step("s", () => 1), y: ctx.step("s", () => 2) })
      yield* ctx.suspend("go")
    })
    run(Effect.gen(function*() {
      yield* outer.start(undefined, { runId, ...hooks })
      yield* outer.resume(runId, { eventName: "go" }, hooks)
      const steps = ["loop", "loop#2", "all[x]/s", "all[y]/s"]
      expect(heard).toEqual([
        ...steps.map((id) => `completed ${id}`),
        ...steps.map((id) => `skipped ${id}`)
      ])
    }))
  })
})

describe("an event", () => {
  it("says which step of which run, and how long it took", () => {
    const seen: Array<object> = []
    const slow = Workflow.make("slow", function*(ctx) {
      yield* ctx.all({ x: ctx.step("wait", () => Effect.sleep(1_500)) })
      yield* ctx.step(
        "again",
        ({ attempt }) =>
          Effect.andThen(Effect.sleep(100), attempt < 3 ? Effect.fail("no") : Effect.void),
        {
          retry: { times: 3, schedule: Schedule.spaced("1 second") }
        }
      )
    })
    run(Effect.gen(function*() {
      yield* slow.start(undefined, {
        runId,
        onStepComplete: ({ duration, runId, stepId, stepName }) =>
          void seen.push({ duration, runId, stepId, stepName })
      })
      expect(seen).toEqual([
        { runId, stepId: "all[x]/wait", stepName: "wait", duration: 1_500 },
        // From the first attempt to the outcome.
        { runId, stepId: "again", stepName: "again", duration: 2_300 }
      ])
    }))
  })

  it("has the results so far by name, of several of one name the latest, without those that failed", () => {
    const seen: Array<unknown> = []
    const looping = Workflow.make("looping", function*(ctx) {
      yield* ctx.step("first", () => ({ deep: [1] }))
      for (let n = 0; n < 3; n++) {
        yield* Instruction.result(
          ctx.step("loop", () => n === 2 ? Effect.fail("no") : Effect.succeed(n))
        )
      }
      yield* ctx.step("nothing", () => {})
    })
    run(Effect.gen(function*() {
      yield* looping.start(undefined, {
        runId,
        onStepComplete: ({ context }) => void seen.push(context)
      })
      const first = { deep: [1] }
      expect(seen).toEqual([
        { first },
        { first, loop: 0 },
        { first, loop: 1 },
        { first, loop: 1, nothing: undefined }
      ])
    }))
  })

  it("has a context of its own: no hook, body or step sees what another does to it", () => {
    const seen: Array<unknown> = []
    const kept: Array<unknown> = []
    const spoils = (context: any) => {
      seen.push(structuredClone(context))
      kept.push(context)
      context.a.list.push("spoilt")
      context.more = 1
    }
    const body = Workflow.make(
      "spoilt",
      { onStepComplete: ({ context }) => spoils(context) },
      function*(ctx) {
        const a = yield* ctx.step("a", () => ({ list: ["a"] }))
        const b = yield* ctx.step("b", () => a.list.length)
        return [...a.list, b]
      }
    )
    run(Effect.gen(function*() {
      const hooks = { onStepComplete: ({ context }: Workflow.StepCompleted) => spoils(context) }
      expect(yield* body.execute(undefined, { runId, ...hooks })).toEqual(["a", 1])
      const a = { list: ["a"] }
      expect(seen).toEqual([{ a }, { a }, { a, b: 1 }, { a, b: 1 }])
      expect(new Set(kept).size).toBe(4)
    }))
  })

  const schemas = {
    "no schema": undefined,
    "a struct": Schema.Struct({ n: Schema.Number }),
    "Schema.Json": Schema.Json,
    "Schema.Any": Schema.Any
  }
  for (const [what, schema] of Object.entries(schemas)) {
    it(`has what a step with ${what} gave, not what the body made of it since`, () => {
      const seen: Array<unknown> = []
      const checkpoints: Array<string> = []
      const spoils = Workflow.make("spoils", function*(ctx) {
        const options = schema === undefined ? {} : { schema: schema as typeof Schema.Any }
        const a: { n: number } = yield* ctx.step("a", () => ({ n: 1 }), options)
        a.n = 2
        yield* ctx.step("b", () => 1)
        a.n = 3
      })
      run(Effect.gen(function*() {
        yield* spoils.start(undefined, {
          runId,
          onStepComplete: ({ checkpoint, context }) => {
            seen.push(context)
            checkpoints.push(checkpoint)
          }
        })
        expect(seen).toEqual([{ a: { n: 1 } }, { a: { n: 1 }, b: 1 }])
        for (const checkpoint of checkpoints) {
          expect(yield* spoils.contextOf(checkpoint)).toMatchObject({ a: { n: 1 } })
        }
      }))
    })
  }

  it("has values as the body hears them: decoded", () => {
    const seen: Array<any> = []
    const dated = Workflow.make("dated", function*(ctx) {
      yield* ctx.step("at", () => new Date(7), { schema: Schema.Date })
      yield* ctx.step("big", () => 7n, { schema: Schema.BigInt })
    })
    run(Effect.gen(function*() {
      yield* dated.start(undefined, {
        runId,
        onStepComplete: ({ context }) => {
          seen.push({ at: context.at?.getTime(), big: context.big })
        }
      })
      expect(seen).toEqual([{ at: 7, big: undefined }, { at: 7, big: 7n }])
    }))
  })

  it("has the context as of its step, also read later and where other branches have ended since", () => {
    const events: Array<Workflow.StepCompleted> = []
    const fan = Workflow.make("fan", function*(ctx) {
      yield* ctx.all({
        // All three are over before the first of them is journaled.
        x: ctx.step("x", () => Effect.succeed("x")),
        y: ctx.step("y", () => Effect.succeed("y")),
        z: ctx.step("z", () => Effect.succeed("z"))
      })
      yield* ctx.race({ p: ctx.step("p", () => "p"), q: ctx.step("q", () => Effect.sleep(hour)) })
      yield* ctx.forEach(
        [1, 2, 3],
        (n) => ctx.step("each", () => Effect.as(Effect.sleep(10 - n), n))
      )
    })
    const expected = [
      { x: "x" },
      { x: "x", y: "y" },
      { x: "x", y: "y", z: "z" },
      { x: "x", y: "y", z: "z", p: "p" },
      { x: "x", y: "y", z: "z", p: "p", each: 3 },
      { x: "x", y: "y", z: "z", p: "p", each: 2 },
      { x: "x", y: "y", z: "z", p: "p", each: 1 }
    ]
    run(Effect.gen(function*() {
      const at: Array<unknown> = []
      yield* fan.start(undefined, {
        runId,
        // While a hook takes its time, the others arrive.
        onStepComplete: (event) =>
          Effect.map(Effect.sleep(50), () => {
            at.push(event.context)
            events.push(event)
          })
      })
      expect(at).toEqual(expected)
      expect(events.map(({ context }) => context)).toEqual(expected)
    }))
    // Never read while the run was driven.
    const later: Array<Workflow.StepCompleted> = []
    run(Effect.gen(function*() {
      yield* fan.start(undefined, { runId, onStepComplete: (event) => void later.push(event) })
      expect(later.map(({ context }) => context)).toEqual(expected)
      for (const [n, { checkpoint }] of later.entries()) {
        expect(yield* fan.contextOf(checkpoint)).toEqual(expected[n])
      }
    }))
  })

  it("makes context and checkpoint when they are read, once", () => {
    let decoded = 0
    const counted = Schema.String.pipe(Schema.decodeTo(Schema.String, {
      decode: SchemaGetter.transform((s: string) => {
        decoded++
        return s
      }),
      encode: SchemaGetter.transform((s: string) => s)
    }))
    const many = Workflow.make("many", function*(ctx) {
      for (let n = 0; n < 10; n++) yield* ctx.step("s", () => "x", { schema: counted })
    })
    const costs = (hooks: object) => {
      decoded = 0
      run(
        many.start(undefined, { runId, ...hooks }).pipe(
          Effect.provideService(Workflow.Guard, { slices: false, shadow: false })
        )
      )
      return decoded
    }
    const none = costs({})
    expect(none).toBe(10)
    expect(costs({ onStepComplete: () => {}, onStepSkipped: () => {} })).toBe(none)
    const once = costs({ onStepComplete: ({ context }: Workflow.StepCompleted) => void context })
    expect(once).toBe(10 + 55)
    const twice = costs({
      onStepComplete: (event: Workflow.StepCompleted) => {
        expect(event.context).toBe(event.context)
        expect(event.checkpoint).toBe(event.checkpoint)
      }
    })
    expect(twice).toBe(once)
  })

  it("of another branch's undo, or of a step that a cancel kept from running, says what became of it", () => {
    const { heard, hooks } = recorder()
    const saga = Workflow.make("saga", function*(ctx) {
      yield* ctx.step("a", () => 1, { undo: () => ctx.step("unA", () => 1) })
      yield* ctx.step("b", () => 1, {
        undo: () => ctx.step("unB", () => Effect.fail("no"), { retry: 0 })
      })
      yield* ctx.fail("no")
    })
    run(Effect.gen(function*() {
      expect(yield* saga.start(undefined, { runId, ...hooks })).toMatchObject({ status: "failed" })
      expect(heard).toEqual([
        "completed a",
        "completed b",
        "failed b[undo]/unB",
        "completed a[undo]/unA"
      ])
    }))
  })
})

class Declined extends Schema.TaggedError<Declined>("test/Declined")("Declined", {
  cents: Schema.Number
}) {}

describe("onStepError", () => {
  it("is given the error as the body hears it: declared, or StepFailed with its attempts", () => {
    const seen: Array<unknown> = []
    const heard: Array<unknown> = []
    const failing = Workflow.make("failing", function*(ctx) {
      const keep = (error: unknown) => void heard.push(error)
      try {
        yield* ctx.step("declared", () => Effect.fail(new Declined({ cents: 5 })), {
          error: Declined
        })
      } catch (error) {
        keep(error)
      }
      try {
        yield* ctx.step("retried", () => Effect.fail("busy"), { retry: 2 })
      } catch (error) {
        keep(error)
      }
      try {
        yield* ctx.step("throws", () => {
          throw new RangeError("out")
        })
      } catch (error) {
        keep(error)
      }
      try {
        yield* ctx.step("slow", () => Effect.sleep(hour), { timeout: "1 second" })
      } catch (error) {
        keep(error)
      }
    })
    run(
      Effect.gen(function*() {
        const result = yield* failing.start(undefined, {
          runId,
          onStepError: (event) => {
            seen.push(event.error)
            expect(event).not.toHaveProperty("stop")
            expect(event).toMatchObject({ runId, stepName: event.stepId })
          }
        })
        expect(result).toMatchObject({ status: "success" })
        expect(seen[0]).toBeInstanceOf(Declined)
        expect(seen[1]).toBeInstanceOf(Instruction.StepFailed)
        expect(seen[1]).toMatchObject({ step: "retried", attempts: 3, message: "busy" })
        expect(seen[2]).toMatchObject({ _tag: "StepFailed", tag: "RangeError", message: "out" })
        expect(seen[3]).toMatchObject({ _tag: "StepTimeout", step: "slow" })
        expect(seen).toHaveLength(4)
        expect(seen).toEqual(heard)
        // A replay of the body would hear them again.
      }).pipe(Effect.provideService(Workflow.Guard, { slices: false, shadow: false }))
    )
  })

  it("hears of a workflow's declared error, and of a step that is repeated only when it failed for good", () => {
    const { heard, hooks } = recorder()
    const seen: Array<unknown> = []
    const paying = Workflow.make("paying", { error: Declined }, function*(ctx) {
      yield* ctx.step(
        "tries",
        ({ attempt }) => attempt < 3 ? Effect.fail(new Declined({ cents: 1 })) : Effect.void,
        {
          retry: { times: 5, schedule: Schedule.spaced("1 hour") }
        }
      )
      yield* ctx.step("fails", () => Effect.fail(new Declined({ cents: 7 })), {
        retry: { times: 1, schedule: Schedule.spaced("1 hour") }
      })
    })
    run(Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(
        Effect.exit(paying.execute(undefined, {
          runId,
          ...hooks,
          onStepError: (event) => {
            hooks.onStepError(event)
            seen.push(event.error)
          }
        }))
      )
      yield* Effect.sleep(24 * hour)
      yield* Fiber.join(fiber)
      expect(heard).toEqual(["completed tries", "failed fails"])
      expect(seen).toEqual([new Declined({ cents: 7 })])
      expect((yield* typesOf()).filter((type) => type.startsWith("retry"))).toHaveLength(3)
    }))
  })

  it("hears of an at-most-once step, and of what a person settled", () => {
    const { heard, hooks } = recorder()
    const once = Workflow.make("once", function*(ctx) {
      const at = { delivery: "at-most-once" } as const
      yield* Instruction.result(ctx.step("fails", () => Effect.fail("no"), at))
      yield* ctx.step("works", () => 1, at)
      yield* Instruction.result(ctx.step("dies", () => Effect.never, at))
    })
    run(Effect.gen(function*() {
      yield* once.start(undefined, { runId, ...hooks }).pipe(diesAfter(100))
      expect(heard.splice(0)).toEqual(["failed fails", "completed works"])
      expect(yield* once.resume(runId, undefined, hooks)).toMatchObject({ status: "blocked" })
      heard.length = 0
      yield* Runs.settle(runId, "dies", { failure: "it never came" })
      expect(yield* once.resume(runId, undefined, hooks)).toMatchObject({ status: "success" })
      expect(heard).toEqual(["skipped fails", "skipped works", "failed dies"])
    }))
  })

  it("hears of each of several steps that were settled at once, also when its process dies at the first", () => {
    const at = { delivery: "at-most-once" } as const
    const two = Workflow.make("two", function*(ctx) {
      yield* ctx.all([
        ctx.step("x", () => Effect.never, at),
        ctx.step("y", () => Effect.never, at)
      ])
      yield* ctx.step("after", () => 1)
    })
    const { heard, hooks } = recorder()
    run(Effect.gen(function*() {
      yield* two.start(undefined, { runId }).pipe(diesAfter(100))
      yield* Runs.settle(runId, "all[0]/x", { value: null })
      yield* Runs.settle(runId, "all[1]/y", { value: null })
      const dies = { onStepComplete: () => Effect.never }
      yield* two.resume(runId, undefined, dies).pipe(diesAfter(100))
      expect(yield* two.resume(runId, undefined, hooks)).toMatchObject({ status: "success" })
      expect(heard).toEqual(["completed all[0]/x", "completed all[1]/y", "completed after"])
    }))
  })
})

describe("onStepSkipped", () => {
  it("hears on resume, in another process too, of what was done, before anything goes on", () => {
    const said: Array<string> = []
    const { hooks } = recorder(said)
    const steps = Workflow.make("steps", { events: { go: Schema.Void } }, function*(ctx) {
      yield* ctx.step("a", () => void said.push("run a"))
      yield* Instruction.result(ctx.step("b", () => Effect.fail("no")))
      yield* ctx.all([ctx.suspend("go"), ctx.step("c", () => void said.push("run c"))])
      yield* ctx.step("d", () => void said.push("run d"))
    })
    run(Effect.gen(function*() {
      const driver = Storage.memoryDriver()
      const process = () => Effect.provideService(Storage.Storage, Storage.make(driver))
      yield* steps.start(undefined, { runId, ...hooks }).pipe(process())
      expect(said.splice(0)).toEqual([
        "run a",
        "completed a",
        "failed b",
        "run c",
        "completed all[1]/c"
      ])
      yield* steps.resume(runId, { eventName: "go" }, hooks).pipe(process())
      expect(said).toEqual(["skipped a", "skipped b", "skipped all[1]/c", "run d", "completed d"])
    }))
  })

  it("has a reason, and nothing that stops a run", () => {
    const seen: Array<Workflow.StepSkipped> = []
    run(Effect.gen(function*() {
      yield* asking.start(undefined, { runId })
      yield* asking.resume(runId, { eventName: "go", value: "x" }, {
        onStepSkipped: (event) => void seen.push(event)
      })
      expect(seen).toEqual([{ runId, stepId: "a", stepName: "a", reason: "replayed" }])
    }))
  })

  it("hears nothing when a call only attaches to what waits or is over", () => {
    const { heard, hooks } = recorder()
    run(Effect.gen(function*() {
      yield* asking.start(undefined, { runId })
      yield* asking.start(undefined, { runId, ...hooks })
      yield* asking.resume(runId, { eventName: "go", value: "x" })
      yield* asking.start(undefined, { runId, ...hooks })
      expect(heard).toEqual([])
    }))
  })

  it("hears the last outcome as completed when nobody can say that it was heard", () => {
    const { heard, hooks } = recorder()
    const hangs = { now: true }
    const steps = Workflow.make("steps", function*(ctx) {
      yield* ctx.step("a", () => 1)
      yield* ctx.step("b", () => 1)
      yield* ctx.step("c", () => hangs.now ? Effect.never : Effect.void)
    })
    run(Effect.gen(function*() {
      yield* steps.start(undefined, { runId }).pipe(diesAfter(100))
      hangs.now = false
      yield* steps.resume(runId, undefined, hooks)
      expect(heard).toEqual(["skipped a", "completed b", "completed c"])
    }))
  })
})

describe("a hook is called after its outcome is journaled and before", () => {
  /** What stands in the journal when the hook of a step is called. */
  const whenHeard = <A, E>(
    start: (
      hooks: { readonly onStepComplete: Hook; readonly onStepError: Hook }
    ) => Effect.Effect<A, E, Storage.Storage>
  ) => {
    const at: Record<string, ReadonlyArray<string>> = {}
    const hook: Hook = ({ stepId }) =>
      Effect.map(typesOf(), (types) => {
        at[stepId] = types
      })
    run(start({ onStepComplete: hook, onStepError: hook }))
    return at
  }
  type Hook = (
    event: { readonly stepId: string }
  ) => Effect.Effect<void, unknown, Storage.Storage>

  it("the next step, an intent, a child, a timer, a suspension and the end", () => {
    const kid = Workflow.make("kid", function*(ctx) {
      yield* ctx.step("within", () => 1)
    })
    const ran: Array<string> = []
    const seen: Record<string, ReadonlyArray<string>> = {}
    const all = Workflow.make("all", { events: { go: Schema.Void } }, function*(ctx) {
      yield* ctx.step("a", () => void ran.push("a"))
      yield* ctx.step("once", () => void ran.push("once"), { delivery: "at-most-once" })
      yield* ctx.step("b", () => void ran.push("b"))
      yield* ctx.child(kid, undefined, { runId: "kid" })
      yield* ctx.step("c", () => void ran.push("c"))
      yield* ctx.sleep("1 second")
      yield* ctx.step("d", () => void ran.push("d"))
      yield* ctx.suspend("go")
      yield* ctx.step("e", () => void ran.push("e"))
    })
    const hooks = {
      onStepComplete: ({ stepId }: Workflow.StepCompleted) =>
        Effect.gen(function*() {
          seen[stepId] = [...(yield* typesOf()), ran.join("")]
          if (stepId === "b") {
            expect(yield* Effect.exit(Runs.status("kid"))).toMatchObject({ _tag: "Failure" })
          }
        })
    }
    run(Effect.gen(function*() {
      yield* all.start(undefined, { runId, ...hooks })
      yield* all.resume(runId, { eventName: "go" }, hooks)
      const upToOnce = ["start", "step a"]
      const upToB = [...upToOnce, "intent once", "step once"]
      const upToC = [...upToB, "step b", "child inner"]
      expect(seen["a"]).toEqual([...upToOnce, "a"])
      expect(seen["once"]).toEqual([...upToB, "aonce"])
      expect(seen["b"]).toEqual([...upToB, "step b", "aonceb"])
      const c = [...upToC.slice(0, -1), "child kid", "step c"]
      expect(seen["c"]).toEqual([...c, "aoncebc"])
      const d = [...c, "timer sleep", "step d"]
      expect(seen["d"]).toEqual([...d, "aoncebcd"])
      expect(seen["e"]).toEqual([...d, "suspend", "start", "resume go", "step e", "aoncebcde"])
    }))
  })

  it("the error that a run ends with, an undo, and a continueAs", () => {
    const saga = Workflow.make("saga", function*(ctx) {
      yield* ctx.step("a", () => 1, { undo: () => ctx.step("unA", () => 1) })
      yield* ctx.step("b", () => Effect.fail("no"))
    })
    expect(whenHeard((hooks) => saga.start(undefined, { runId, ...hooks }))).toEqual({
      "a": ["start", "step a"],
      "b": ["start", "step a", "step b"],
      "a[undo]/unA": ["start", "step a", "step b", "step a[undo]/unA"].concat("undo a")
    })
    const goesOn = Workflow.make("goesOn", function*(ctx, n: number): Workflow.Body<number> {
      yield* ctx.step("a", () => n)
      return n > 0 ? n : yield* ctx.continueAs(n + 1)
    })
    expect(
      whenHeard((hooks) =>
        goesOn.start(0, { runId, ...hooks }).pipe(
          Effect.map((result) => expect(result).toMatchObject({ status: "success", result: 1 }))
        )
      )["a"]
    ).toEqual(["start", "step a", "continue"])
  })

  it("a step that waits for a place among others of a forEach, or for a retry of its own", () => {
    const ran: Array<string> = []
    const at: Record<string, string> = {}
    const each = Workflow.make("each", function*(ctx) {
      yield* ctx.forEach(
        [1, 2, 3, 4],
        (n) => ctx.step(`s${n}`, () => Effect.sync(() => void ran.push(`${n}`))),
        {
          concurrency: 2
        }
      )
    })
    run(Effect.gen(function*() {
      yield* each.start(undefined, {
        runId,
        onStepComplete: ({ stepName }) =>
          Effect.map(Effect.sleep(20), () => {
            at[stepName] = ran.join("")
          })
      })
      expect(at).toEqual({ s1: "12", s2: "123", s3: "1234", s4: "1234" })
    }))
  })
})

describe("a hook that fails", () => {
  type Kind =
    | "throws"
    | "rejects"
    | "fails"
    | "dies"
    | "is interrupted from inside"
    | "rejects with undefined"
  const kinds: Record<Kind, { readonly fail: () => unknown; readonly saw: RegExp }> = {
    "throws": {
      fail: () => {
        throw new TypeError("thrown")
      },
      saw: /TypeError: thrown/
    },
    "rejects": {
      fail: () => Promise.reject(new TypeError("rejected")),
      saw: /TypeError: rejected/
    },
    "fails": {
      fail: () => Effect.fail({ _tag: "NoMail", message: "failed" }),
      saw: /NoMail: failed/
    },
    "dies": { fail: () => Effect.die(new TypeError("died")), saw: /TypeError: died/ },
    "is interrupted from inside": { fail: () => Effect.interrupt, saw: /interrupt/i },
    "rejects with undefined": { fail: () => Promise.reject(undefined), saw: /undefined/ }
  }
  const hookNames = ["onStepComplete", "onStepError", "onStepSkipped"] as const

  for (const [kind, { fail, saw }] of Object.entries(kinds)) {
    for (const hook of hookNames) {
      it.effect(`${kind} in ${hook}: HookFailed, the outcome stays, and a resume calls it again`, () => {
        const ran: Array<string> = []
        const steps = Workflow.make("steps", { events: { go: Schema.Void } }, function*(ctx) {
          yield* ctx.step("before", () => void ran.push("before"))
          yield* Instruction.result(ctx.step("it", () => {
            ran.push("it")
            return hook === "onStepError" ? Effect.fail("no") : Effect.succeed("value")
          }))
          if (hook === "onStepSkipped") yield* ctx.suspend("go")
          yield* ctx.step("after", () => void ran.push("after"))
        })
        const heard: Array<string> = []
        const { hooks } = recorder(heard)
        const failing = {
          ...hooks,
          [hook]: (event: { readonly stepId: string }) => event.stepId === "it" ? fail() : undefined
        }
        return Effect.gen(function*() {
          const isSkip = hook === "onStepSkipped"
          if (isSkip) yield* steps.start(undefined, { runId })
          const first = isSkip
            ? steps.resume(runId, { eventName: "go" }, failing)
            : steps.start(undefined, { runId, ...failing })
          for (let n = 0; n < 3; n++) {
            const error = yield* Effect.flip(
              n === 0 ? first : steps.resume(runId, undefined, failing)
            )
            expect(error).toBeInstanceOf(Workflow.HookFailed)
            expect(error).toMatchObject({ _tag: "HookFailed", runId, stepId: "it", hook })
            expect((error as Workflow.HookFailed).saw).toMatch(saw)
            expect((error as Workflow.HookFailed).message).toMatch(/resume/)
            expect(ran).toEqual(["before", "it"])
            const entry = (yield* entriesOf(runId)).find((entry) =>
              entry.type === "step" && entry.stepId === "it"
            )
            expect(entry).toMatchObject(
              hook === "onStepError" ? { error: {} } : { result: "value" }
            )
            // What an earlier session did is told before anything is written.
            expect((yield* steps.status(runId)).status)
              .toBe(hook === "onStepSkipped" ? "suspended" : "pending")
          }
          heard.length = 0
          expect(yield* steps.resume(runId, undefined, hooks)).toMatchObject({ status: "success" })
          expect(heard).toEqual([
            "skipped before",
            isSkip ? "skipped it" : hook === "onStepError" ? "failed it" : "completed it",
            "completed after"
          ])
          expect(ran).toEqual(["before", "it", "after"])
        }).pipe(Effect.provide(Storage.layerMemory))
      })
    }
  }

  it("keeps the call's from being called when it is the definition's, and both are called again", () => {
    const said: Array<string> = []
    const state = { fails: true }
    const workflow = Workflow.make("both", {
      onStepComplete: ({ stepId }) => {
        said.push(`D ${stepId}`)
        if (state.fails) throw new Error("no")
      }
    }, function*(ctx) {
      yield* ctx.step("a", () => 1)
    })
    const call = {
      onStepComplete: ({ stepId }: Workflow.StepCompleted) => void said.push(`call ${stepId}`)
    }
    run(Effect.gen(function*() {
      expect(yield* failureOf(workflow.start(undefined, { runId, ...call }))).toMatchObject({
        _tag: "HookFailed"
      })
      expect(said.splice(0)).toEqual(["D a"])
      state.fails = false
      yield* workflow.resume(runId, undefined, call)
      expect(said).toEqual(["D a", "call a"])
    }))
  })

  it("may fail more often than a process may die, and the run goes on when it is mended", () => {
    run(Effect.gen(function*() {
      const fails = { onStepComplete: () => Effect.fail("the mail server is down") }
      yield* failureOf(abc.start(undefined, { runId, ...fails }))
      for (let n = 0; n < 15; n++) {
        const again = yield* Effect.result(abc.resume(runId, undefined, fails))
        expect(again).toMatchObject({
          _tag: "Failure",
          failure: { _tag: "HookFailed", stepId: "a" }
        })
      }
      const { heard, hooks } = recorder()
      expect(yield* abc.resume(runId, undefined, hooks)).toMatchObject({ status: "success" })
      expect(heard).toEqual(["completed a", "completed b", "completed c"])
    }))
  })

  it("may do so with a value that throws when it is looked at", () => {
    const odd = new Proxy({}, {
      has: () => {
        throw new TypeError("do not look")
      }
    })
    run(Effect.gen(function*() {
      expect(yield* failureOf(abc.start(undefined, { runId, onStepComplete: () => odd })))
        .toMatchObject({ _tag: "HookFailed", stepId: "a" })
    }))
  })

  it("interrupts what runs in other branches, which runs again", () => {
    const ran: Array<string> = []
    const fan = Workflow.make("fan", function*(ctx) {
      yield* ctx.all({
        x: ctx.step("x", () => void ran.push("x")),
        y: ctx.step("y", () => {
          ran.push("y")
          return Effect.onInterrupt(
            Effect.sleep(100),
            () => Effect.sync(() => void ran.push("y interrupted"))
          )
        })
      })
    })
    run(Effect.gen(function*() {
      const hooks = {
        onStepComplete: () => Effect.andThen(Effect.sleep(5), Effect.fail("no"))
      }
      expect(yield* failureOf(fan.start(undefined, { runId, ...hooks })))
        .toMatchObject({ _tag: "HookFailed", stepId: "all[x]/x" })
      const { heard, hooks: recording } = recorder()
      yield* fan.resume(runId, undefined, recording)
      expect(ran).toEqual(["x", "y", "y interrupted", "y"])
      expect(heard).toEqual(["completed all[x]/x", "completed all[y]/y"])
    }))
  })

  it("is not called for an outcome that was refused and is not journaled", () => {
    const { heard, hooks } = recorder()
    const state = { result: 1n as unknown }
    const workflow = Workflow.make("refused", function*(ctx) {
      return yield* ctx.step("a", () => state.result as number)
    })
    run(Effect.gen(function*() {
      expect(yield* failureOf(workflow.start(undefined, { runId, ...hooks })))
        .toMatchObject({ _tag: "Unserializable" })
      expect(heard).toEqual([])
      state.result = 2
      yield* workflow.resume(runId, undefined, hooks)
      expect(heard).toEqual(["completed a"])
    }))
  })

  it("is not called for an outcome whose schema does not read back what it wrote", () => {
    const { heard, hooks } = recorder()
    // Encodes what it refuses to decode.
    const oneWay = Schema.Number.pipe(
      Schema.decodeTo(Schema.Number.check(Schema.isGreaterThan(0)), {
        decode: SchemaGetter.transform((n: number) => -n),
        encode: SchemaGetter.transform((n: number) => n)
      })
    )
    const workflow = Workflow.make("oneWay", function*(ctx) {
      yield* ctx.step("a", () => 1)
      yield* ctx.step("b", () => 1, { schema: oneWay })
    })
    run(Effect.gen(function*() {
      expect(yield* failureOf(workflow.start(undefined, { runId, ...hooks })))
        .toMatchObject({ _tag: "Unserializable" })
      expect(yield* typesOf()).toEqual(["start", "step a"])
      expect(heard).toEqual(["completed a"])
    }))
  })
})

const durabilities = ["sync", "async", "exit"] as const

describe.each(durabilities)("a run that is %s", (durability) => {
  /** Each step after the one before it; `x` and `y` beside each other. */
  const order = ["a", "fails", "all[x]/x", "all[x]/x2", "tries", "race[p]/p", "last"]

  const busy = (said: Array<string>) => {
    const ran = (info: { readonly stepId: string }) => said.push(`run ${info.stepId}`)
    return Workflow.make("busy", { durability, events: { go: Schema.Void } }, function*(ctx) {
      yield* ctx.step("a", (info) => ran(info))
      yield* Instruction.result(ctx.step("fails", (info) => {
        ran(info)
        return Effect.fail("no")
      }))
      yield* ctx.all({
        *x() {
          yield* ctx.step("x", (info) => Effect.map(Effect.sleep(5), () => ran(info)))
          yield* ctx.step("x2", (info) => ran(info))
        },
        y: ctx.step("y", (info) => Effect.map(Effect.sleep(5), () => ran(info)))
      })
      yield* ctx.step("tries", (info) => {
        ran(info)
        return info.attempt < 2 ? Effect.fail("busy") : Effect.succeed(1)
      }, { retry: { times: 3, schedule: Schedule.spaced("1 hour") } })
      yield* ctx.suspend("go")
      yield* ctx.race({ p: ctx.step("p", (info) => ran(info)), q: ctx.sleep("1 hour") })
      yield* ctx.step("last", (info) => ran(info))
      return "done"
    })
  }

  it("loses no outcome wherever its process dies: each is first heard as what it is, before what follows", () => {
    const said: Array<string> = []
    const { hooks } = recorder(said)
    const workflow = busy(said)
    const driven = Effect.gen(function*() {
      let result = yield* workflow.start(undefined, { runId, ...hooks })
      while (result.status !== "success") {
        if (result.status === "suspended" && result.event === "go") {
          result = yield* workflow.resume(runId, { eventName: "go", eventId: "e1" }, hooks)
        } else {
          yield* Effect.sleep(hour)
          result = yield* workflow.resume(runId, undefined, hooks)
        }
      }
      return result
    })
    const writes = everywhere([driven], 0, ({ get, value }) => {
      const trial = said.splice(0)
      expect(value).toMatchObject({ status: "success", result: "done" })
      const ids = get(entriesOf(runId)).flatMap((entry) =>
        entry.type === "step" ? [entry.stepId] : []
      )
      expect(ids.toSorted()).toEqual([...order, "all[y]/y"].toSorted())
      for (const id of ids) {
        const first = trial.find((text) => !text.startsWith("run ") && text.endsWith(` ${id}`))
        expect(first).toBe(`${id === "fails" ? "failed" : "completed"} ${id}`)
      }
      for (const [n, id] of order.slice(1).entries()) {
        const before = trial.findIndex((text) =>
          /^(completed|failed) /.test(text) && text.endsWith(` ${order[n]}`)
        )
        expect(before).toBeLessThan(trial.indexOf(`run ${id}`))
      }
    })
    expect(writes).toBeGreaterThan(durability === "exit" ? 3 : 8)
  })

  it("keeps what was done before a hook failed, and calls it again for exactly that", () => {
    const { heard, hooks } = recorder()
    const workflow = Workflow.make("kept", { durability }, function*(ctx) {
      for (let n = 1; n < 5; n++) yield* ctx.step(`s${n}`, () => n)
    })
    run(Effect.gen(function*() {
      const failing = {
        onStepComplete: ({ stepId }: Workflow.StepCompleted) =>
          stepId === "s3" ? Effect.fail("no") : Effect.void
      }
      expect(yield* failureOf(workflow.start(undefined, { runId, ...failing })))
        .toMatchObject({ _tag: "HookFailed", stepId: "s3" })
      expect(yield* typesOf()).toEqual(["start", "step s1", "step s2", "step s3"])
      yield* workflow.resume(runId, undefined, hooks)
      expect(heard).toEqual(["skipped s1", "skipped s2", "completed s3", "completed s4"])
    }))
  })

  it("does not call a hook twice in a session whose storage fails meanwhile", () => {
    const world = worldOf(Storage.memoryDriver())
    const simulation = new Simulation()
    const heard: Array<string> = []
    const workflow = Workflow.make("w", { durability }, function*(ctx) {
      for (let n = 1; n < 4; n++) yield* ctx.step(`s${n}`, () => n)
    })
    const onStepComplete = ({ stepId }: Workflow.StepCompleted) => {
      heard.push(stepId)
      return Effect.sleep("1 minute")
    }
    const good = durability === "exit" ? 1 : 2
    let appends = 0
    const { storage } = world.process(({ verb }) =>
      verb === "append" && ++appends > good ? "fails" : "done"
    )
    const exit = simulation.run(
      workflow.start(undefined, { runId, onStepComplete }),
      Context.make(Storage.Storage, storage)
    )
    expect(exit).toMatchObject({ _tag: "Failure" })
    expect(JSON.stringify(exit)).toContain("StorageError")
    expect(heard).toEqual([...new Set(heard)])
  })
})

it("an outcome that was heard and is lost with its process is heard again as completed, with exit", () => {
  const world = worldOf(Storage.memoryDriver())
  const simulation = new Simulation()
  let process = world.process()
  const { heard, hooks } = recorder()
  const state = { kills: true }
  const workflow = Workflow.make("w", { durability: "exit" }, function*(ctx) {
    for (let n = 1; n < 4; n++) yield* ctx.step(`s${n}`, () => n)
  })
  const exit = simulation.run(
    workflow.start(undefined, {
      runId,
      ...hooks,
      onStepComplete: (event) => {
        hooks.onStepComplete(event)
        if (event.stepId !== "s3" || !state.kills) return Effect.void
        process.kill()
        return Effect.die(new Died())
      }
    }),
    Context.make(Storage.Storage, process.storage)
  )
  expect(exit._tag).toBe("Failure")
  process = world.process()
  expect(heard.splice(0)).toEqual(["completed s1", "completed s2", "completed s3"])
  simulation.get(
    workflow.resume(runId, undefined, hooks),
    Context.make(Storage.Storage, process.storage)
  )
  expect(heard).toEqual(["completed s1", "completed s2", "completed s3"])
})

it.effect("a run whose every outcome is the journal's last when it is heard comes to the same wherever it dies", () => {
  const ok = { seen: 0 }
  const workflow = Workflow.make("checked", {
    events: { go: Schema.Void },
    onStepComplete: ({ context, runId, stepId, stepName }) =>
      Effect.gen(function*() {
        const last = (yield* entriesOf(runId)).findLast(({ type }) => type !== "start")
        ok.seen++
        if (last?.type !== "step" || last.stepId !== stepId) {
          return yield* Effect.fail(`"${stepId}" is heard behind ${JSON.stringify(last)}`)
        }
        if (!(stepName in context)) return yield* Effect.fail(`"${stepId}" is not in its context`)
      })
  }, function*(ctx) {
    yield* ctx.step("a", () => 1)
    yield* ctx.all([
      ctx.step("b", () => Effect.succeed(2)),
      ctx.step("c", () => Effect.succeed(3), { retry: 2 }),
      ctx.sleep("1 hour")
    ])
    yield* ctx.suspend("go")
    return yield* ctx.step("d", () => 4)
  })
  return Effect.gen(function*() {
    const { outcome, points } = yield* Testing.crashEverywhere(workflow, undefined, {
      runId,
      events: [{ eventName: "go" }]
    })
    expect(outcome).toMatchObject({ status: "success", result: 4 })
    expect(points).toBeGreaterThan(9)
    expect(ok.seen).toBeGreaterThan(4 * points)
  }).pipe(Effect.provide(Storage.layerMemory))
})

describe("while a hook runs", () => {
  const tidying = Workflow.make("tidying", { events: { go: Schema.String } }, function*(ctx) {
    try {
      yield* ctx.step("a", () => 1)
      yield* ctx.step("b", () => 1)
      return yield* ctx.suspend("go")
    } finally {
      yield* ctx.step("tidy", () => 1)
    }
  })

  /** A hook that takes ten seconds for step "a", and says when it is done. */
  const taking = (said: Array<string>) => ({
    onStepComplete: ({ stepId }: Workflow.StepCompleted) =>
      stepId === "a"
        ? Effect.map(Effect.sleep("10 seconds"), () => void said.push("a"))
        : Effect.sync(() => void said.push(stepId))
  })

  it("what is posted waits, and is taken in its turn", () => {
    const said: Array<string> = []
    run(Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(tidying.start(undefined, { runId, ...taking(said) }))
      yield* Effect.sleep("2 seconds")
      for (const value of ["one", "two"]) yield* tidying.send(runId, { eventName: "go", value })
      yield* Effect.sleep("2 seconds")
      expect(yield* typesOf()).toEqual(["start", "step a"])
      expect((yield* tidying.status(runId)).status).toBe("running")
      expect(yield* Runs.due()).toEqual([])
      expect(yield* Fiber.join(fiber)).toMatchObject({ status: "success", result: "one" })
      expect(said).toEqual(["a", "b", "tidy"])
      expect(tidying.replay(yield* Runs.journal(runId))).toMatchObject({ value: "one" })
    }))
  })

  it("a cancel waits for it, and nothing but the clean-up starts behind it", () => {
    const said: Array<string> = []
    run(Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(tidying.start(undefined, { runId, ...taking(said) }))
      yield* Effect.sleep("2 seconds")
      yield* Runs.cancel(runId)
      expect(yield* Fiber.join(fiber)).toMatchObject({ status: "cancelled" })
      expect(said).toEqual(["a", "tidy"])
      expect((yield* typesOf()).slice(1)).toEqual(["step a", "cancel", "step tidy", "cancelled"])
    }))
  })

  it("the hook may itself send to its run, cancel it, or look at it", () => {
    run(Effect.gen(function*() {
      const looked: Array<string> = []
      const sends = yield* tidying.start(undefined, {
        runId,
        onStepComplete: ({ runId, stepId }) =>
          Effect.gen(function*() {
            looked.push((yield* tidying.status(runId)).status)
            looked.push((yield* tidying.resume(runId)).status)
            if (stepId === "a") yield* tidying.send(runId, { eventName: "go", value: "self" })
          })
      })
      expect(sends).toMatchObject({ status: "success", result: "self" })
      expect(new Set(looked)).toEqual(new Set(["running"]))
      const cancels = yield* tidying.start(undefined, {
        runId: "c",
        onStepComplete: ({ runId, stepId }) => stepId === "a" ? tidying.cancel(runId) : Effect.void
      })
      expect(cancels).toMatchObject({ status: "cancelled" })
      expect((yield* typesOf("c")).slice(-3)).toEqual(["cancel", "step tidy", "cancelled"])
    }))
  })

  it("what runs in other branches runs on, and is heard in the order in which it ended", () => {
    const said: Array<string> = []
    const fan = Workflow.make("fan", function*(ctx) {
      yield* ctx.all({
        a: ctx.step("a", () => 1),
        slow: ctx.step(
          "slow",
          () => Effect.map(Effect.sleep("4 seconds"), () => void said.push("ran slow"))
        ),
        quick: ctx.step(
          "quick",
          () => Effect.map(Effect.sleep("2 seconds"), () => void said.push("ran quick"))
        )
      })
    })
    run(Effect.gen(function*() {
      yield* fan.start(undefined, {
        runId,
        onStepComplete: ({ stepName }) =>
          Effect.map(Effect.sleep("10 seconds"), () => void said.push(stepName))
      })
      expect(said).toEqual(["ran quick", "ran slow", "a", "quick", "slow"])
    }))
  })

  it("a call that is interrupted interrupts it, and it is called again", () => {
    const said: Array<string> = []
    run(Effect.gen(function*() {
      const hook = {
        onStepComplete: () =>
          Effect.onInterrupt(Effect.never, () => Effect.sync(() => void said.push("interrupted")))
      }
      yield* tidying.start(undefined, { runId, ...hook }).pipe(diesAfter(1_000))
      expect(said).toEqual(["interrupted"])
      const { heard, hooks } = recorder()
      yield* tidying.resume(runId, undefined, hooks)
      expect(heard).toEqual(["completed a", "completed b"])
    }))
  })

  for (const kind of ["an Effect", "a Promise"]) {
    it.effect(`that gives ${kind} and takes longer than a lease, the lease is kept`, () =>
      Effect.gen(function*() {
        const driver = Storage.memoryDriver()
        const process = () => Effect.provideService(Storage.Storage, Storage.make(driver))
        const done = yield* Deferred.make<void>()
        const called = yield* Deferred.make<void>()
        const promised = Effect.runPromise(Deferred.await(done))
        const fiber = yield* Effect.forkChild(
          abc.start(undefined, {
            runId,
            onStepComplete: ({ stepId }) => {
              if (stepId !== "a") return undefined
              Deferred.doneUnsafe(called, Effect.void)
              return kind === "a Promise" ? promised : Deferred.await(done)
            }
          }).pipe(process())
        )
        yield* Deferred.await(called)
        for (let n = 0; n < 12; n++) {
          yield* TestClock.adjust("5 seconds")
          expect(yield* abc.start(undefined, { runId }).pipe(process())).toMatchObject({
            status: "running"
          })
        }
        yield* Deferred.succeed(done, undefined)
        expect(yield* Fiber.join(fiber)).toMatchObject({ status: "success", result: 5 })
        expect(yield* typesOf().pipe(process()))
          .toEqual(["start", "step a", "step b", "step c", "complete"])
      }))
  }

  it("a newer session fences it: it is interrupted, nothing is appended, and the call is Fenced", () => {
    const said: Array<string> = []
    run(Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(failureOf(abc.start(undefined, {
        runId,
        onStepComplete: ({ stepId }) =>
          Effect.onInterrupt(
            Effect.map(Effect.sleep(hour), () => void said.push(`heard ${stepId}`)),
            () => Effect.sync(() => void said.push(`interrupted ${stepId}`))
          )
      })))
      yield* Effect.sleep("1 second")
      yield* takeOver()
      expect(yield* Fiber.join(fiber)).toMatchObject({ _tag: "Fenced", session: 1 })
      expect(said).toEqual(["interrupted a"])
      expect(yield* typesOf()).toEqual(["start", "step a", "start"])
      const { heard, hooks } = recorder()
      expect(yield* abc.resume(runId, undefined, hooks)).toMatchObject({ status: "success" })
      expect(heard).toEqual(["completed a", "completed b", "completed c"])
    }))
  })
})

describe("hooks and other runs", () => {
  it("of a call go along with continueAs, and are called again where one failed", () => {
    const said: Array<string> = []
    const goesOn = Workflow.make("goesOn", function*(ctx, n: number): Workflow.Body<number> {
      yield* ctx.step("s", () => n)
      return n > 1 ? n : yield* ctx.continueAs(n + 1)
    })
    const state = { fails: true }
    const hooks = {
      onStepComplete: (
        { context, runId, stepId }: Workflow.StepCompleted<string, { s?: number }>
      ) => {
        said.push(`${runId} ${stepId} ${context.s}`)
        if (context.s === 1 && state.fails) throw new Error("no")
      },
      onStepSkipped: ({ runId }: Workflow.StepSkipped) => void said.push(`${runId} skipped`)
    }
    run(Effect.gen(function*() {
      const error = yield* failureOf(goesOn.start(0, { runId, ...hooks }))
      const [first, second] = said.splice(0)
      expect(first).toBe("r s 0")
      expect(second).toMatch(/ s 1$/)
      expect(second).not.toBe("r s 1")
      const next = second!.split(" ")[0]
      expect(error).toMatchObject({ _tag: "HookFailed", runId: next, stepId: "s" })
      state.fails = false
      expect(yield* goesOn.resume(runId, undefined, hooks)).toMatchObject({
        status: "success",
        result: 2
      })
      expect(said[0]).toBe(second)
      expect(said[1]).toMatch(/ s 2$/)
      expect(said).toHaveLength(2)
    }))
  })

  it("of a parent's call hear nothing of its children, whose definitions' do", () => {
    const said: Array<string> = []
    const kid = Workflow.make("kid", {
      onStepComplete: ({ runId, stepId }) => void said.push(`${runId} ${stepId}`)
    }, function*(ctx) {
      return yield* ctx.step("within", () => 1)
    })
    const parent = Workflow.make("parent", function*(ctx) {
      yield* ctx.step("a", () => 1)
      yield* ctx.child(kid, undefined, { runId: "kid" })
      yield* ctx.step("b", () => 1)
    })
    run(Effect.gen(function*() {
      yield* parent.start(undefined, {
        runId,
        onStepComplete: ({ runId, stepId }) => void said.push(`${runId} ${stepId}`)
      })
      expect(said).toEqual(["r a", "kid within", "r b"])
    }))
  })

  it("of a child that fail fail the parent's call, which goes on with the child when they are mended", () => {
    const state = { fails: true }
    const { heard, hooks } = recorder()
    const kid = Workflow.make("kid", {
      ...hooks,
      onStepComplete: (event) => {
        hooks.onStepComplete(event)
        if (state.fails) throw new Error("no")
      }
    }, function*(ctx) {
      return yield* ctx.step("within", () => 1)
    })
    const parent = Workflow.make("parent", function*(ctx) {
      return yield* ctx.child(kid, undefined, { runId: "kid" })
    })
    run(Effect.gen(function*() {
      expect(yield* failureOf(parent.start(undefined, { runId })))
        .toMatchObject({ _tag: "HookFailed", runId: "kid", stepId: "within" })
      expect(yield* typesOf("kid")).toEqual(["start", "step within"])
      state.fails = false
      expect(yield* parent.resume(runId)).toMatchObject({ status: "success", result: 1 })
      expect(heard).toEqual(["completed within", "completed within"])
    }))
  })

  it("of a definition hear of the parts of a forEach that run as runs of their own", () => {
    const { heard, hooks } = recorder()
    const parts = Workflow.make("parts", hooks, function*(ctx) {
      yield* ctx.forEach([1, 2, 3], (n) => ctx.step("part", () => n), { perRun: 2 })
      yield* ctx.step("end", () => 1)
    })
    run(Effect.gen(function*() {
      yield* parts.start(undefined, { runId })
      expect(heard).toHaveLength(4)
      expect(heard.filter((text) => text.endsWith("/part"))).toHaveLength(3)
      expect(heard.at(-1)).toBe("completed end")
    }))
  })
})
