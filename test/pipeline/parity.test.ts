/**
 * The second seed's whole surface: what its README shows and what its functions do, each as a test of ours
 * that names the behaviour, and its nine measured defects, none of which is here. Where ours is another
 * way, the name says so; docs/pipelines.md has the table.
 */
import { describe, expect, it } from "@effect/vitest"
import { Context, Deferred, Effect, Fiber, Layer, Logger, Result } from "effect"
import { TestClock, TestConsole } from "effect/testing"
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { Checkpoint, Pipeline, Runs, Storage } from "reprise"
import { expectTypeOf } from "vitest"

/** A step that takes a while by the test's clock. */
const takes = <A>(millis: number, value: A) => Effect.delay(Effect.succeed(value), millis)

/** Runs `effect` while the clock goes on, a millisecond at a time. */
const ticking = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect)
    while (fiber.pollUnsafe() === undefined) yield* TestClock.adjust(1)
    return yield* Fiber.join(fiber)
  })

/** What is logged while `effect` runs, besides what it gives. */
const logging = <A, E, R>(effect: Effect.Effect<A, E, R>) => {
  const logged: Array<string> = []
  const logger = Logger.make(({ message }) => void logged.push([message].flat().join(" ")))
  return Effect.map(Effect.provide(effect, Logger.layer([logger])), (value) => ({ value, logged }))
}

/** Hooks that write down what they hear. */
const recorder = () => {
  const heard: Array<string> = []
  return {
    heard,
    hooks: {
      onStepComplete: (e: { readonly stepName: string }) => void heard.push(`done ${e.stepName}`),
      onStepError: (e: { readonly stepName: string }) => void heard.push(`failed ${e.stepName}`),
      onStepSkipped: (e: { readonly stepName: string; readonly reason: string }) =>
        void heard.push(`skipped ${e.stepName}: ${e.reason}`)
    }
  }
}

/** The checkpoints of a run, by the names of its steps. */
const checkpointsOf = Effect.fn(function*<In, Ctx, Base, Steps, R>(
  pipeline: Pipeline.Pipeline<In, Ctx, Base, Steps, R>,
  input: In
) {
  const checkpoints = new Map<string, string>()
  const context = yield* pipeline.run(input, {
    onStepComplete: (e: { readonly stepName: string; readonly checkpoint: string }) =>
      void checkpoints.set(e.stepName, e.checkpoint)
  } as {})
  return { checkpoints, context }
})

const fails = (message: string) => () => {
  throw new Error(message)
}

describe("building", () => {
  it.effect("steps run in order, each with what those before it gave", () =>
    Effect.gen(function*() {
      const result = yield* Pipeline.make<{ a: number }>()
        .step("b", ({ a }) => ({ b: a + 1 }))
        .step("c", ({ a, b }) => ({ c: a + b }))
        .run({ a: 1 })
      expect(result).toEqual({ a: 1, b: 2, c: 3 })
    }))

  it.effect("a pipeline may take no input", () =>
    Effect.gen(function*() {
      expect(yield* Pipeline.make().step("a", () => ({ a: 1 })).run({})).toEqual({ a: 1 })
    }))

  it.effect("a builder never changes: two pipelines may be made of one", () =>
    Effect.gen(function*() {
      const base = Pipeline.make<{ n: number }>().step("one", ({ n }) => ({ n: n + 1 }))
      const left = base.step("left", ({ n }) => ({ left: n }))
      const right = base.step("right", ({ n }) => ({ right: n }))
      expect(yield* left.run({ n: 0 })).toEqual({ n: 1, left: 1 })
      expect(yield* right.run({ n: 0 })).toEqual({ n: 1, right: 1 })
      expect(base.describe()).toEqual(["one"])
    }))

  it.effect("unnamed steps are called by their kind and place: step-1, branch-2, transform-3", () =>
    Effect.gen(function*() {
      const { heard, hooks } = recorder()
      const pipeline = Pipeline.make()
        .step(() => ({ a: 1 }))
        .branchOn({ when: () => true, then: (b) => b.step(() => ({ b: 2 })) })
        .transform(({ a }) => ({ c: a }))
        .step({ mergePolicy: "error" }, () => ({ d: 4 }))
      expect(pipeline.describe()).toEqual(["step-1", "branch-2", "transform-3", "step-4"])
      expect(yield* pipeline.run({}, hooks)).toEqual({ c: 1, d: 4 })
      expect(heard).toEqual([
        "done step-1",
        "done branch-2/branch-case/step-1",
        "done branch-2",
        "done transform-3",
        "done step-4"
      ])
    }))

  it("describe gives the names of the outermost steps", () => {
    const inner = Pipeline.make().step("hidden", () => ({ a: 1 }))
    const pipeline = Pipeline.make()
      .step("first", () => ({}))
      .step("nested", inner)
      .branchOn("route", { default: inner })
      .transform("last", () => ({}))
    expect(pipeline.describe()).toEqual(["first", "nested", "route", "last"])
  })
})

describe("what a step gives", () => {
  it.effect("a plain object, a Promise of one or an Effect of one", () =>
    Effect.gen(function*() {
      class Shop extends Context.Service<Shop, { readonly price: number }>()("test/Shop") {}
      const pipeline = Pipeline.make()
        .step("plain", () => ({ a: 1 }))
        .step("promise", async () => ({ b: await Promise.resolve(2) }))
        .step("effect", () => Effect.map(Shop, ({ price }) => ({ c: price })))
      const result = yield* Effect.provide(pipeline.run({}), Layer.succeed(Shop, { price: 3 }))
      expect(result).toEqual({ a: 1, b: 2, c: 3 })
    }))

  it.effect("nothing, in any of these ways, which changes nothing", () =>
    Effect.gen(function*() {
      const result = yield* Pipeline.make<{ a: number }>()
        .step("nothing", () => {})
        .step("undefined", () => undefined)
        .step("promise", async () => {})
        .step("effect", () => Effect.void)
        .step("together", () => {}, () => ({ b: 2 }), async () => {})
        .step({ name: "settled", parallelMode: "settled" }, () => {}, () => ({ c: 3 }))
        .run({ a: 1 })
      expect(result).toEqual({ a: 1, b: 2, c: 3 })
    }))

  it.effect("anything else fails the step with a TypeError that says what it was", () =>
    Effect.gen(function*() {
      const others = { "an array": [1], "a string": "x", "a number": 1, "a boolean": true }
      for (const [saw, value] of Object.entries(others)) {
        const wrong = (() => value) as unknown as () => {}
        const error = yield* Effect.flip(Pipeline.make().step("odd", wrong).run({}))
        expect(error).toMatchObject({ _tag: "StepFailed", step: "odd", tag: "TypeError" })
        expect(error.message).toContain(`must return a plain object or nothing, not ${saw}`)
      }
      const error = yield* Effect.flip(
        Pipeline.make().step("odd", (() => new Set()) as unknown as () => {}).run({})
      )
      expect(error.message).toContain("not an instance of Set")
    }))

  it.effect("null is refused, which stepkit takes for nothing", () =>
    Effect.gen(function*() {
      const nothing = (() => null) as unknown as () => {}
      const error = yield* Effect.flip(Pipeline.make().step("odd", nothing).run({}))
      expect(error.message).toContain("must return a plain object or nothing, not null")
    }))

  it.effect("the input of a call and what a step returned stay as they were: they are copied", () =>
    Effect.gen(function*() {
      const input = { list: [1] }
      const given = { more: { n: 1 } }
      const result = yield* Pipeline.make<{ list: Array<number> }>()
        .step("give", () => given)
        .run(input)
      given.more.n = 99
      input.list.push(99)
      expect(result).toEqual({ list: [1], more: { n: 1 } })
      expect(Object.isFrozen(given)).toBe(false)
    }))

  it.effect("a step that writes to its context is told so, where stepkit lets it", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make<{ n: number }>().step("write", (context) => {
        ;(context as { n: number }).n = 2
      })
      const error = yield* Effect.flip(pipeline.run({ n: 1 }))
      expect(error).toMatchObject({ _tag: "StepFailed", tag: "TypeError" })
      expect(error.message).toContain("The context is read-only")
    }))

  it.effect("the second argument of a step tells of its run, attempt and signal", () =>
    Effect.gen(function*() {
      const result = yield* Pipeline.make()
        .step("ask", (_, { attempt, runId, signal, stepId }) => ({
          attempt,
          runId,
          stepId,
          aborted: signal.aborted
        }))
        .run({}, { runId: "r1" })
      expect(result).toEqual({ attempt: 1, runId: "r1", stepId: "ask", aborted: false })
    }))
})

describe("several functions in one step", () => {
  it.effect("run beside each other", () =>
    Effect.gen(function*() {
      const both = yield* Deferred.make<void>()
      let begun = 0
      // Each waits for the other: one after the other they would never end.
      const meet = <A>(value: A) =>
        Effect.gen(function*() {
          if (++begun === 2) yield* Deferred.succeed(both, undefined)
          yield* Deferred.await(both)
          return value
        })
      const result = yield* Pipeline.make()
        .step("both", () => meet({ a: 1 }), () => meet({ b: 2 }))
        .run({})
      expect(result).toEqual({ a: 1, b: 2 })
    }))

  it.effect("merge in the order they are written, whichever ends first", () =>
    Effect.gen(function*() {
      const result = yield* ticking(
        Pipeline.make()
          .step(
            "both",
            () => takes(20, { who: "first", a: 1 }),
            () => takes(5, { who: "second", b: 2 })
          )
          .run({})
      )
      expect(result).toEqual({ who: "second", a: 1, b: 2 })
    }))

  it.effect("fail with the first that fails (parallelMode all, the default)", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(
        Pipeline.make().step("both", () => ({ a: 1 }), fails("broken")).run({})
      )
      expect(error).toMatchObject({ _tag: "StepFailed", step: "both", message: "broken" })
    }))

  it.effect("parallelMode settled: those that fail are logged, the others are merged", () =>
    Effect.gen(function*() {
      const { logged, value } = yield* logging(
        Pipeline.make()
          .step(
            { name: "all", parallelMode: "settled" },
            () => ({ a: 1 }),
            fails("broken"),
            () => Effect.fail(new Error("failed")),
            async () => ({ b: 2 })
          )
          .run({})
      )
      expectTypeOf(value).toEqualTypeOf<{ readonly a?: number; readonly b?: number }>()
      expect(value).toEqual({ a: 1, b: 2 })
      expect(logged).toEqual([
        "A parallel function failed, the others are merged: Error: broken",
        "A parallel function failed, the others are merged: Error: failed"
      ])
    }))
})

describe("mergePolicy", () => {
  const given = (mergePolicy?: Pipeline.MergePolicy) =>
    Pipeline.make<{ a: number }>().step(
      { name: "again", ...(mergePolicy === undefined ? undefined : { mergePolicy }) },
      () => ({ a: 2, b: 2 })
    ).run({ a: 1 })

  it.effect("override, the default: what comes later stands", () =>
    Effect.gen(function*() {
      expect(yield* given()).toEqual({ a: 2, b: 2 })
      expect(yield* given("override")).toEqual({ a: 2, b: 2 })
    }))

  it.effect("error: a key that is there already fails the step", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(given("error"))
      expect(error).toMatchObject({ _tag: "StepFailed", step: "again", tag: "KeyCollision" })
      expect(error.message).toContain(`the context has "a" already`)
    }))

  it.effect("warn: the key is logged, through Effect's logger, and overridden", () =>
    Effect.gen(function*() {
      const { logged, value } = yield* logging(given("warn"))
      expect(value).toEqual({ a: 2, b: 2 })
      expect(logged).toEqual([`Step "again" overrides what the context has already: "a"`])
    }))

  it.effect("skip: what is there stays, and what is new is merged", () =>
    Effect.gen(function*() {
      expect(yield* given("skip")).toEqual({ a: 1, b: 2 })
    }))

  it.effect("holds between the functions of one step as well", () =>
    Effect.gen(function*() {
      const both = (mergePolicy: Pipeline.MergePolicy) =>
        Pipeline.make().step({ name: "both", mergePolicy }, () => ({ a: 1 }), () => ({ a: 2 }))
          .run({})
      expect(yield* both("override")).toEqual({ a: 2 })
      expect(yield* both("skip")).toEqual({ a: 1 })
      expect(yield* Effect.flip(both("error"))).toMatchObject({ tag: "KeyCollision" })
      expect((yield* logging(both("warn"))).value).toEqual({ a: 2 })
    }))

  it.effect("of a wrapping step holds for what its nested pipeline contributes", () =>
    Effect.gen(function*() {
      const inner = Pipeline.make<{ k: number }>().step("inner", () => ({ k: 2, extra: true }))
      const outer = (mergePolicy: Pipeline.MergePolicy) =>
        Pipeline.make<{ k: number }>().step({ name: "sub", mergePolicy }, inner).run({ k: 1 })
      expect(yield* outer("override")).toEqual({ k: 2, extra: true })
      expect(yield* outer("skip")).toEqual({ k: 1, extra: true })
      expect(yield* Effect.flip(outer("error"))).toMatchObject({ tag: "KeyCollision" })
      const { logged, value } = yield* logging(outer("warn"))
      expect(value).toEqual({ k: 2, extra: true })
      expect(logged).toEqual([`Step "sub" overrides what the context has already: "k"`])
    }))
})

describe("condition", () => {
  it.effect("is a boolean or a function that gives one, a Promise or an Effect of one", () =>
    Effect.gen(function*() {
      const { heard, hooks } = recorder()
      const result = yield* Pipeline.make<{ on: boolean }>()
        .step({ name: "true", condition: true }, () => ({ a: 1 }))
        .step({ name: "false", condition: false }, () => ({ b: 2 }))
        .step({ name: "sync", condition: ({ on }) => on }, () => ({ c: 3 }))
        .step({ name: "async", condition: async ({ on }) => !on }, () => ({ d: 4 }))
        .step({ name: "effect", condition: ({ on }) => Effect.succeed(on) }, () => ({ e: 5 }))
        .run({ on: true }, hooks)
      expect(result).toEqual({ on: true, a: 1, c: 3, e: 5 })
      expect(heard).toEqual([
        "done true",
        "skipped false: condition",
        "done sync",
        "skipped async: condition",
        "done effect"
      ])
    }))

  it.effect("holds for a transform, which then replaces nothing, and for a branch", () =>
    Effect.gen(function*() {
      const result = yield* Pipeline.make<{ a: number }>()
        .transform({ name: "clear", condition: false }, () => ({ b: 2 }))
        .branchOn({ name: "route", condition: () => false }, {
          default: (b) => b.step("never", () => ({ c: 3 }))
        })
        .run({ a: 1 })
      expect(result).toEqual({ a: 1 })
    }))

  it.effect("is asked once: its answer is journaled, and a resume does not ask again", () =>
    Effect.gen(function*() {
      let asked = 0
      const pipeline = Pipeline.make("asks")
        .step({ name: "maybe", condition: () => ++asked === 1 }, () => ({ a: 1 }))
        .step("last", () => ({ b: 2 }))
      const stops = {
        onStepComplete: (e: { stepName: string; stop: () => void }) => {
          if (e.stepName === "maybe") e.stop()
        }
      }
      expect(yield* pipeline.run({}, { runId: "r1", ...stops })).toEqual({ a: 1 })
      expect(yield* pipeline.workflow.resume("r1")).toMatchObject({
        status: "success",
        result: { a: 1, b: 2 }
      })
      expect(asked).toBe(1)
    }).pipe(Effect.provide(Storage.layerMemory)))
})

describe("onError", () => {
  it.effect("throw, the default: the run fails with the step's error", () =>
    Effect.gen(function*() {
      const { heard, hooks } = recorder()
      const error = yield* Effect.flip(
        Pipeline.make()
          .step("a", fails("broken"))
          .step("b", () => ({ b: 1 }))
          .run({}, hooks)
      )
      expect(error).toMatchObject({ _tag: "StepFailed", step: "a", message: "broken" })
      expect(heard).toEqual(["failed a"])
    }))

  it.effect("continue: the run goes on without what the step would have given", () =>
    Effect.gen(function*() {
      const { heard, hooks } = recorder()
      const result = yield* Pipeline.make()
        .step({ name: "a", onError: "continue" }, (): { a: number } => fails("broken")())
        .step("b", ({ a }) => ({ hasA: a !== undefined }))
        .run({}, hooks)
      expect(result).toEqual({ hasA: false })
      expect(heard).toEqual(["failed a", "done b"])
    }))

  it.effect("skip-remaining: the pipeline ends there, successfully", () =>
    Effect.gen(function*() {
      const { heard, hooks } = recorder()
      const result = yield* Pipeline.make()
        .step("a", () => ({ a: 1 }))
        .step({ name: "b", onError: "skip-remaining" }, fails("broken"))
        .step("c", () => ({ c: 3 }))
        .run({}, hooks)
      expect(result).toEqual({ a: 1 })
      expect(heard).toEqual(["done a", "failed b"])
    }))

  it.effect("skip-remaining in a nested pipeline ends that one only", () =>
    Effect.gen(function*() {
      const inner = Pipeline.make()
        .step("x", () => ({ x: 1 }))
        .step({ name: "y", onError: "skip-remaining" }, fails("broken"))
        .step("z", () => ({ z: 3 }))
      const result = yield* Pipeline.make()
        .step("inner", inner)
        .step("after", () => ({ after: true }))
        .run({})
      expect(result).toEqual({ x: 1, after: true })
    }))

  it.effect("the hook hears of the error itself: of the pipeline first, then of the call", () =>
    Effect.gen(function*() {
      const heard: Array<unknown> = []
      const pipeline = Pipeline.make({
        onStepError: ({ error, stepName }) =>
          void heard.push(["pipeline", stepName, (error as Error).message])
      }).step({ name: "a", onError: "continue" }, fails("broken"))
      yield* pipeline.run({}, {
        onStepError: ({ error, stepName }) =>
          void heard.push(["call", stepName, (error as Error).message])
      })
      expect(heard).toEqual([["pipeline", "a", "broken"], ["call", "a", "broken"]])
    }))
})

describe("retries", () => {
  /** Fails as often as is said, then gives how often it was called. */
  const flaky = (failures: number, message = "429: too many requests") => {
    let calls = 0
    return {
      calls: () => calls,
      work: () => {
        if (++calls <= failures) throw new Error(message)
        return { calls }
      }
    }
  }

  it.effect("repeat a failed attempt, and the last failure is the step's", () =>
    Effect.gen(function*() {
      const { work } = flaky(2)
      expect(yield* Pipeline.make().step({ retries: 2 }, work).run({})).toEqual({ calls: 3 })
      const { calls, work: worse } = flaky(3)
      const error = yield* Effect.flip(Pipeline.make().step({ retries: 2 }, worse).run({}))
      expect(error).toMatchObject({ _tag: "StepFailed", attempts: 3 })
      expect(calls()).toBe(3)
    }))

  it.effect("only while shouldRetry says so", () =>
    Effect.gen(function*() {
      const asked: Array<string> = []
      const shouldRetry = (error: Error) => {
        asked.push(error.message)
        return /429|timeout/i.test(error.message)
      }
      const limited = flaky(1)
      expect(yield* Pipeline.make().step({ retries: 2, shouldRetry }, limited.work).run({}))
        .toEqual({ calls: 2 })
      const other = flaky(1, "404")
      yield* Effect.flip(Pipeline.make().step({ retries: 2, shouldRetry }, other.work).run({}))
      expect(other.calls()).toBe(1)
      expect(asked).toEqual(["429: too many requests", "404"])
    }))

  it.effect("after retryDelayMs, a number", () =>
    Effect.gen(function*() {
      const { calls, work } = flaky(2)
      const fiber = yield* Effect.forkChild(
        Pipeline.make().step({ retries: 2, retryDelayMs: 250 }, work).run({})
      )
      yield* TestClock.adjust(249)
      expect(calls()).toBe(1)
      yield* TestClock.adjust(1)
      expect(calls()).toBe(2)
      yield* TestClock.adjust(250)
      expect(yield* Fiber.join(fiber)).toEqual({ calls: 3 })
    }))

  it.effect("after retryDelayMs, a function of the attempt that failed, from 1, and its error", () =>
    Effect.gen(function*() {
      const asked: Array<unknown> = []
      const { work } = flaky(3)
      const retryDelayMs = (attempt: number, error: Error) => {
        asked.push([attempt, error.message])
        return attempt * 10
      }
      const result = yield* ticking(
        Pipeline.make().step({ retries: 3, retryDelayMs }, work).run({})
      )
      expect(result).toEqual({ calls: 4 })
      expect(asked).toEqual([
        [1, "429: too many requests"],
        [2, "429: too many requests"],
        [3, "429: too many requests"]
      ])
    }))

  it.effect("a thrown value that is no Error is one for shouldRetry", () =>
    Effect.gen(function*() {
      const seen: Array<Error> = []
      const shouldRetry = (error: Error) => {
        seen.push(error)
        return false
      }
      const odd = () => Promise.reject("just a text")
      yield* Effect.flip(Pipeline.make().step({ retries: 1, shouldRetry }, odd).run({}))
      expect(seen).toEqual([new Error("just a text")])
    }))

  it.effect("hold for a branch and for a nested pipeline as a whole", () =>
    Effect.gen(function*() {
      const { calls, work } = flaky(2)
      const ran: Array<string> = []
      const inner = Pipeline.make()
        .step("before", () => void ran.push("before"))
        .step("flaky", work)
      const nested = Pipeline.make().step({ name: "nested", retries: 1 }, inner)
      yield* Effect.flip(nested.run({}))
      expect([calls(), ran.length]).toEqual([2, 2])
      const branch = Pipeline.make().branchOn({ name: "route", retries: 1 }, { default: inner })
      expect(yield* branch.run({})).toEqual({ calls: 3 })
    }))
})

describe("timeout", () => {
  it.effect("an attempt that takes longer fails the step", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(ticking(
        Pipeline.make().step({ name: "slow", timeout: 50 }, () => takes(100, {})).run({})
      ))
      expect(error).toMatchObject({ _tag: "StepTimeout", step: "slow", timeout: 50 })
    }))

  it.effect("one that is in time gives what it gives", () =>
    Effect.gen(function*() {
      const result = yield* ticking(
        Pipeline.make().step({ timeout: 100 }, () => takes(50, { a: 1 })).run({})
      )
      expect(result).toEqual({ a: 1 })
    }))

  it.effect("goes with onError: a guarded request that is slow is gone on without", () =>
    Effect.gen(function*() {
      const guarded = Pipeline.make()
        .step(
          { name: "third-party-api-request", timeout: 1500, onError: "continue" },
          () => takes(2000, { thirdPartyOk: true })
        )
        .step("after", ({ thirdPartyOk }) => ({
          status: thirdPartyOk ? "used-third-party" : "skipped-third-party"
        }))
      expect(yield* ticking(guarded.run({}))).toEqual({ status: "skipped-third-party" })
    }))

  it.effect("tells the step's signal, and interrupts its Effect", () =>
    Effect.gen(function*() {
      let aborted = false
      let interrupted = false
      const pipeline = Pipeline.make().step(
        { name: "slow", timeout: 50 },
        (_, { signal }) => {
          signal.addEventListener("abort", () => void (aborted = true))
          return Effect.onInterrupt(takes(100, {}), () =>
            Effect.sync(() => void (interrupted = true)))
        }
      )
      yield* Effect.flip(ticking(pipeline.run({})))
      expect([aborted, interrupted]).toEqual([true, true])
    }))

  it("a value that cannot be one is a TypeError where it is written; stepkit leaves it out", () => {
    for (const timeout of [0, -1, NaN, Infinity, "100" as unknown as number]) {
      expect(() => Pipeline.make().step({ name: "a", timeout }, () => ({}))).toThrow(
        /Step "a" has timeout .*; it must be a number of at least 1\./
      )
    }
    expect(() => Pipeline.make().step({ name: "a", retries: -1 }, () => ({}))).toThrow(/retries -1/)
    expect(() => Pipeline.make().step({ name: "a", retryDelayMs: NaN }, () => ({}))).toThrow(
      /retryDelayMs NaN/
    )
    const onError = "ignore" as "continue"
    expect(() => Pipeline.make().step({ name: "a", onError }, () => ({}))).toThrow(
      /onError "ignore"; it may be one of "throw", "continue", "skip-remaining"/
    )
    const typo = { name: "a", retires: 3 } as { name: "a" }
    expect(() => Pipeline.make().step(typo, () => ({}))).toThrow(/option "retires"/)
  })
})

describe("circuitBreaker", () => {
  /** A dependency that is down until it is mended. */
  const dependency = () => {
    const state = { calls: 0, isDown: true }
    const work = () => {
      state.calls++
      if (state.isDown) throw new Error("down")
      return { up: true }
    }
    return { state, work }
  }

  it.effect("after the threshold the step is not called, in all runs of the pipeline", () =>
    Effect.gen(function*() {
      const { state, work } = dependency()
      const pipeline = Pipeline.make().step(
        { name: "call", circuitBreaker: { failureThreshold: 2, cooldownMs: 1_000 } },
        work
      )
      yield* Effect.flip(pipeline.run({}))
      yield* Effect.flip(pipeline.run({}))
      const error = yield* Effect.flip(pipeline.run({}))
      expect(error).toMatchObject({ _tag: "StepFailed", step: "call", tag: "StepCircuitOpen" })
      expect(state.calls).toBe(2)
    }))

  it.effect("after the cooldown one attempt is let through, and closes it when it succeeds", () =>
    Effect.gen(function*() {
      const { state, work } = dependency()
      const pipeline = Pipeline.make().step(
        { name: "call", circuitBreaker: { failureThreshold: 1, cooldownMs: 1_000 } },
        work
      )
      yield* Effect.flip(pipeline.run({}))
      yield* TestClock.adjust(999)
      yield* Effect.flip(pipeline.run({}))
      expect(state.calls).toBe(1)
      yield* TestClock.adjust(1)
      yield* Effect.flip(pipeline.run({}))
      expect(state.calls).toBe(2)
      state.isDown = false
      yield* TestClock.adjust(1_000)
      expect(yield* pipeline.run({})).toEqual({ up: true })
      expect(yield* pipeline.run({})).toEqual({ up: true })
      expect(state.calls).toBe(4)
    }))

  it.effect("behaviorOnOpen skip: the step is left out while it is open, and a hook hears of it", () =>
    Effect.gen(function*() {
      const { state, work } = dependency()
      const { heard, hooks } = recorder()
      const pipeline = Pipeline.make()
        .step({
          name: "call",
          circuitBreaker: { failureThreshold: 1, cooldownMs: 1_000, behaviorOnOpen: "skip" }
        }, work)
        .step("after", ({ up }) => ({ used: up === true }))
      yield* Effect.flip(pipeline.run({}))
      expect(yield* pipeline.run({}, hooks)).toEqual({ used: false })
      expect(heard).toEqual(["skipped call: circuit", "done after"])
      expect(state.calls).toBe(1)
    }))

  it.effect("a success in between lets it count anew, and attempts count like runs", () =>
    Effect.gen(function*() {
      let calls = 0
      const pipeline = Pipeline.make<{ fails: boolean }>().step(
        { name: "call", retries: 3, circuitBreaker: { failureThreshold: 2, cooldownMs: 1_000 } },
        ({ fails }) => {
          calls++
          if (fails && calls % 2 === 1) throw new Error("now and then")
          if (!fails) throw new Error("down")
          return {}
        }
      )
      yield* pipeline.run({ fails: true })
      yield* pipeline.run({ fails: true })
      expect(calls).toBe(4)
      // Two attempts open it; the two retries that are left would be of no use and are not made.
      const error = yield* Effect.flip(pipeline.run({ fails: false }))
      expect(error).toMatchObject({ tag: "StepCircuitOpen" })
      expect(calls).toBe(6)
    }))
})

describe("branchOn", () => {
  const routed = Pipeline.make<{ n: number }>()
    .branchOn(
      "route",
      { name: "big", when: ({ n }) => n > 10, then: (b) => b.step("s", () => ({ size: "big" })) },
      {
        name: "even",
        when: async ({ n }) => n % 2 === 0,
        then: (b) => b.step("s", () => ({ size: "even" }))
      },
      { name: "other", default: (b) => b.step("s", () => ({ size: "other" })) }
    )

  it.effect("takes the first case whose when says yes, which may be a Promise; else the default", () =>
    Effect.gen(function*() {
      expect(yield* routed.run({ n: 12 })).toEqual({ n: 12, size: "big" })
      expect(yield* routed.run({ n: 2 })).toEqual({ n: 2, size: "even" })
      expect(yield* routed.run({ n: 1 })).toEqual({ n: 1, size: "other" })
    }))

  it.effect("a when may be an Effect, with services", () =>
    Effect.gen(function*() {
      class Flags extends Context.Service<Flags, { readonly on: boolean }>()("test/Flags") {}
      const pipeline = Pipeline.make().branchOn("route", {
        name: "on",
        when: () => Effect.map(Flags, ({ on }) => on),
        then: (b) => b.step("s", () => ({ on: true }))
      })
      const result = yield* Effect.provide(pipeline.run({}), Layer.succeed(Flags, { on: true }))
      expect(result).toEqual({ on: true })
    }))

  it.effect("nothing happens where no case says yes and none is the default", () =>
    Effect.gen(function*() {
      const result = yield* Pipeline.make<{ n: number }>()
        .branchOn("route", { when: () => false, then: (b) => b.step("s", () => ({ a: 1 })) })
        .step("after", ({ a }) => ({ hasA: a !== undefined }))
        .run({ n: 1 })
      expect(result).toEqual({ n: 1, hasA: false })
    }))

  it.effect("the default counts last, wherever it stands", () =>
    Effect.gen(function*() {
      const result = yield* Pipeline.make()
        .branchOn(
          "route",
          { name: "else", default: (b) => b.step("s", () => ({ taken: "else" })) },
          { name: "yes", when: () => true, then: (b) => b.step("s", () => ({ taken: "yes" })) }
        )
        .run({})
      expect(result).toEqual({ taken: "yes" })
    }))

  it.effect("steps are called route/case/step, and the branch itself by its name", () =>
    Effect.gen(function*() {
      const { heard, hooks } = recorder()
      yield* routed.run({ n: 2 }, hooks)
      expect(heard).toEqual(["done route/even/s", "done route"])
    }))

  it.effect("a case may be a pipeline that stands elsewhere; unnamed ones get names", () =>
    Effect.gen(function*() {
      const one = Pipeline.make<{ n: number }>().step("one", ({ n }) => ({ found: n + 1 }))
      const two = Pipeline.make<{ n: number }>().step("two", ({ n }) => ({ found: n + 2 }))
      const pipeline = Pipeline.make<{ n: number }>().branchOn(
        { when: ({ n }) => n === 1, then: one },
        { when: ({ n }) => n === 2, then: two },
        { default: one }
      )
      const { heard, hooks } = recorder()
      expect(yield* pipeline.run({ n: 2 }, hooks)).toEqual({ n: 2, found: 4 })
      yield* pipeline.run({ n: 3 }, hooks)
      // Two cases of one name would be one place in the journal.
      expect(heard).toEqual([
        "done branch-1/branch-case-2/two",
        "done branch-1",
        "done branch-1/default-case/one",
        "done branch-1"
      ])
    }))

  it.effect("only what a branch changed or added comes back, not what it just passed on", () =>
    Effect.gen(function*() {
      const inner = Pipeline.make<{ a: number; b: number }>()
        .step("s", ({ a }) => ({ a, b: 5, c: 6 }))
      const pipeline = Pipeline.make<{ a: number; b: number }>()
        .branchOn({ name: "route", mergePolicy: "error" }, { default: inner })
      // "a" is given again with the value it had: no collision. "b" is another.
      const error = yield* Effect.flip(pipeline.run({ a: 1, b: 2 }))
      expect(error.message).toContain(`the context has "b" already`)
      expect(yield* pipeline.run({ a: 1, b: 5 })).toEqual({ a: 1, b: 5, c: 6 })
    }))

  it.effect("a transform in a branch replaces what the branch sees, and drops nothing outside", () =>
    Effect.gen(function*() {
      const result = yield* Pipeline.make<{ secret: string }>()
        .branchOn("route", {
          default: (b) =>
            b.transform("clean", ({ secret }) => ({ length: secret.length }))
              .step("look", (context) => ({ keys: Object.keys(context) }))
        })
        .run({ secret: "abc" })
      expect(result).toEqual({ secret: "abc", length: 3, keys: ["length"] })
    }))
})

describe("transform", () => {
  it.effect("replaces the context", () =>
    Effect.gen(function*() {
      const result = yield* Pipeline.make<{ a: number }>()
        .step("b", () => ({ b: 2 }))
        .transform("only", ({ a, b }) => ({ sum: a + b }))
        .step("after", ({ sum }) => ({ twice: sum * 2 }))
        .run({ a: 1 })
      expect(result).toEqual({ sum: 3, twice: 6 })
      expectTypeOf(result).toEqualTypeOf<{ readonly sum: number; readonly twice: number }>()
    }))

  it.effect("with nothing to replace it by fails, and says to return {} if that is meant", () =>
    Effect.gen(function*() {
      const nothing = (() => {}) as unknown as () => {}
      const error = yield* Effect.flip(Pipeline.make().transform("clear", nothing).run({}))
      expect(error).toMatchObject({ _tag: "StepFailed", step: "clear", tag: "TypeError" })
      expect(error.message).toContain("return {} if that is meant")
      expect(yield* Pipeline.make<{ a: number }>().transform("clear", () => ({})).run({ a: 1 }))
        .toEqual({})
    }))

  it.effect("takes the configuration of a step", () =>
    Effect.gen(function*() {
      let calls = 0
      const result = yield* Pipeline.make<{ a: number }>()
        .transform({ name: "flaky", retries: 1 }, ({ a }) => {
          if (++calls === 1) throw new Error("once")
          return { b: a }
        })
        .transform({ onError: "continue" }, (): { c: number } => fails("always")())
        .run({ a: 1 })
      expect(result).toEqual({ b: 1 })
    }))
})

describe("nested pipelines", () => {
  const session = Pipeline.make<{ sessionId: string }>()
    .step("fetch-session", async ({ sessionId }) => ({ session: { userId: `u-${sessionId}` } }))
    .step("fetch-permissions", ({ session }) => ({ permissions: [`${session.userId}:publish`] }))

  it.effect("a pipeline is a step of another, named outer/inner", () =>
    Effect.gen(function*() {
      const { heard, hooks } = recorder()
      const result = yield* Pipeline.make<{ sessionId: string }>()
        .step("load-session", session)
        .step("use-permissions", ({ permissions }) => ({
          canPublish: permissions.some((one) => one.endsWith("publish"))
        }))
        .run({ sessionId: "abc123" }, hooks)
      expect(result).toEqual({
        sessionId: "abc123",
        session: { userId: "u-abc123" },
        permissions: ["u-abc123:publish"],
        canPublish: true
      })
      expect(heard).toEqual([
        "done load-session/fetch-session",
        "done load-session/fetch-permissions",
        "done load-session",
        "done use-permissions"
      ])
    }))

  it.effect("several run beside each other, together with functions", () =>
    Effect.gen(function*() {
      const other = Pipeline.make<{ sessionId: string }>()
        .step("count", ({ sessionId }) => ({ length: sessionId.length }))
      const result = yield* Pipeline.make<{ sessionId: string }>()
        .step("all", session, other, ({ sessionId }) => ({ shout: sessionId.toUpperCase() }))
        .run({ sessionId: "abc" })
      expect(result).toEqual({
        sessionId: "abc",
        session: { userId: "u-abc" },
        permissions: ["u-abc:publish"],
        length: 3,
        shout: "ABC"
      })
    }))

  it.effect("with a condition that says no, it is left out as a whole", () =>
    Effect.gen(function*() {
      const inner = Pipeline.make<{ on: boolean }>().step("sub", () => ({ seen: true }))
      const result = yield* Pipeline.make<{ on: boolean }>()
        .step({ name: "maybe", condition: ({ on }) => on }, inner)
        .step("after", ({ seen }) => ({ after: seen === true }))
        .run({ on: false })
      expect(result).toEqual({ on: false, after: false })
    }))

  it("a circuitBreaker around pipelines is refused where it is written, which stepkit takes", () => {
    const circuitBreaker = { failureThreshold: 1 }
    expect(() =>
      Pipeline.make<{ sessionId: string }>().step({ name: "x", circuitBreaker }, session)
    )
      .toThrow(/put it on the steps in them/)
  })
})

describe("hooks", () => {
  it.effect("of the pipeline is called first, then the call's; each is awaited", () =>
    Effect.gen(function*() {
      const said: Array<string> = []
      const later = (text: string) =>
        Effect.andThen(Effect.yieldNow, Effect.sync(() => void said.push(text)))
      const pipeline = Pipeline.make("hooked", {
        onStepComplete: async ({ stepName }) => {
          await Promise.resolve()
          said.push(`pipeline ${stepName}`)
        }
      })
        .step("a", () => void said.push("a runs"))
        .step("b", () => void said.push("b runs"))
      yield* pipeline.run({}, { onStepComplete: ({ stepName }) => later(`call ${stepName}`) })
      expect(said).toEqual([
        "a runs",
        "pipeline a",
        "call a",
        "b runs",
        "pipeline b",
        "call b"
      ])
    }))

  it.effect("an asynchronous hook that stops is waited for: the next step never begins", () =>
    Effect.gen(function*() {
      let ranB = false
      const pipeline = Pipeline.make("stopping")
        .step("a", () => ({ a: 1 }))
        .step("b", () => {
          ranB = true
          return { b: 2 }
        })
      let checkpoint = ""
      const result = yield* pipeline.run({}, {
        onStepComplete: async (e) => {
          await Promise.resolve()
          checkpoint = e.checkpoint
          e.stopPipeline()
        }
      })
      expect([result, ranB]).toEqual([{ a: 1 }, false])
      expect(yield* pipeline.runCheckpoint(checkpoint)).toEqual({ a: 1, b: 2 })
    }))

  it.effect("a stop inside a nested pipeline gives the context as of that step", () =>
    Effect.gen(function*() {
      const inner = Pipeline.make<{ n: number }>()
        .step("x", ({ n }) => ({ n: n + 1 }))
        .step("y", ({ n }) => ({ n: n + 1 }))
      const result = yield* Pipeline.make<{ n: number }>()
        .step("inner", inner)
        .step("z", ({ n }) => ({ n: n + 1 }))
        .run({ n: 0 }, {
          onStepComplete: (e) => {
            if (e.stepName === "inner/x") e.stopPipeline()
          }
        })
      expect(result).toEqual({ n: 1 })
    }))
})

describe("abort", () => {
  it.effect("a signal that is aborted already lets nothing run", () =>
    Effect.gen(function*() {
      let ran = false
      const pipeline = Pipeline.make("never").step("a", () => void (ran = true))
      const error = yield* Effect.flip(pipeline.run({}, { signal: AbortSignal.abort() }))
      expect(error._tag).toBe("PipelineAborted")
      expect(error.message).toContain("Pipeline aborted")
      expect(ran).toBe(false)
    }))

  it.effect("one that is aborted while a step runs ends the call, and tells the step's own signal", () =>
    Effect.gen(function*() {
      const ac = new AbortController()
      const begun = yield* Deferred.make<void>()
      let heard = false
      let ranAfter = false
      const pipeline = Pipeline.make("aborted")
        .step({ name: "slow", onError: "continue" }, (_, { signal }) => {
          signal.addEventListener("abort", () => void (heard = true))
          return Effect.andThen(Deferred.succeed(begun, undefined), Effect.never)
        })
        .step("after", () => void (ranAfter = true))
      const fiber = yield* Effect.forkChild(pipeline.run({}, { signal: ac.signal }))
      yield* Deferred.await(begun)
      ac.abort()
      const error = yield* Effect.flip(Fiber.join(fiber))
      expect(error._tag).toBe("PipelineAborted")
      expect([heard, ranAfter]).toEqual([true, false])
    }))

  it.effect("leaves the run open: what was done stays done, and a resume goes on", () =>
    Effect.gen(function*() {
      const ac = new AbortController()
      const ran: Array<string> = []
      const pipeline = Pipeline.make("open", { signal: ac.signal })
        .step("a", () => {
          ran.push("a")
          return { a: 1 }
        })
        .step("b", () => {
          ran.push("b")
          return ran.length === 2
            ? Effect.andThen(Effect.sync(() => ac.abort()), Effect.never)
            : Effect.succeed({ b: 2 })
        })
      const error = yield* Effect.flip(pipeline.run({}, { runId: "r1" }))
      expect(error._tag).toBe("PipelineAborted")
      expect(yield* pipeline.workflow.resume("r1")).toMatchObject({
        status: "success",
        result: { a: 1, b: 2 }
      })
      expect(ran).toEqual(["a", "b", "b"])
    }).pipe(Effect.provide(Storage.layerMemory)))
})

describe("checkpoints", () => {
  it.effect("from every step, of branches and nested pipelines too, the same end comes out", () =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const did = <A>(name: string, value: A): A => {
        ran.push(name)
        return value
      }
      const inner = Pipeline.make<{ n: number }>()
        .step("x", ({ n }) => did("x", { x: n }))
        .step("y", ({ x }) => did("y", { y: x + 1 }))
      const pipeline = Pipeline.make<{ n: number }>("everywhere")
        .step("first", ({ n }) => did("first", { n: n + 1 }))
        .step("nested", inner)
        .branchOn(
          "route",
          {
            name: "yes",
            when: ({ y }) => y > 0,
            then: (b) =>
              b.step("p", () => did("p", { p: 1 })).step("q", ({ p }) => did("q", { q: p + 1 }))
          },
          { name: "no", default: (b) => b.step("r", () => did("r", { r: 1 })) }
        )
        .step("together", () => did("t1", { t1: 1 }), () => did("t2", { t2: 2 }))
        .transform("end", ({ n, q, t1, t2, y }) => did("end", { all: [n, q ?? 0, t1, t2, y] }))
      const { checkpoints, context } = yield* checkpointsOf(pipeline, { n: 0 })
      expect(context).toEqual({ all: [1, 2, 1, 2, 2] })
      const all = ran.splice(0)
      const behind = {
        first: 1,
        "nested/x": 2,
        "nested/y": 3,
        nested: 3,
        "route/yes/p": 4,
        "route/yes/q": 5,
        route: 5,
        together: 7,
        end: 8
      }
      expect([...checkpoints.keys()]).toEqual(Object.keys(behind))
      for (const [name, done] of Object.entries(behind)) {
        expect(yield* pipeline.runCheckpoint(checkpoints.get(name)!)).toEqual(context)
        expect([name, ran.splice(0)]).toEqual([name, all.slice(done)])
      }
    }))

  it.effect("overrideData is merged over the context key by key, and the rest of it stays", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make<{ flags: { a: boolean; b: boolean }; list: Array<number> }>()
        .step("load", () => ({ user: { name: "Ann", age: 40 } }))
        .step("use", ({ flags, list, user }) => ({ seen: JSON.stringify([flags, list, user]) }))
      const { checkpoints } = yield* checkpointsOf(pipeline, {
        flags: { a: true, b: true },
        list: [1, 2]
      })
      const result = yield* pipeline.runCheckpoint({
        checkpoint: checkpoints.get("load")!,
        overrideData: { list: [9], flags: { a: false, b: true } }
      })
      expect(result).toMatchObject({
        flags: { a: false, b: true },
        list: [9],
        user: { name: "Ann", age: 40 },
        seen: `[{"a":false,"b":true},[9],{"name":"Ann","age":40}]`
      })
    }))

  it.effect("inside a branch an override is seen by the rest of the branch and behind it", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make<{ n: number }>("inside")
        .branchOn("route", {
          name: "only",
          when: () => true,
          then: (b) => b.step("p", () => ({ p: 1 })).step("q", ({ n, p }) => ({ q: n * 100 + p }))
        })
        .step("after", ({ n, p }) => ({ after: n * 100 + (p ?? 0) }))
      const { checkpoints } = yield* checkpointsOf(pipeline, { n: 1 })
      const result = yield* pipeline.runCheckpoint({
        checkpoint: checkpoints.get("route/only/p")!,
        overrideData: { n: 7, p: 3 }
      })
      expect(result).toEqual({ n: 7, p: 3, q: 703, after: 703 })
    }))

  it.effect("inside a nested pipeline an override holds behind it, whatever its mergePolicy", () =>
    Effect.gen(function*() {
      const inner = Pipeline.make<{ k: number }>()
        .step("x", () => ({ x: 1 }))
        .step("y", ({ k, x }) => ({ y: k + x }))
      const ends: Array<unknown> = []
      for (const mergePolicy of ["override", "warn", "skip", "error"] as const) {
        const pipeline = Pipeline.make<{ k: number }>("wrapped")
          .step({ name: "sub", mergePolicy }, inner)
          .step("after", ({ k }) => ({ seen: k }))
        const { checkpoints } = yield* checkpointsOf(pipeline, { k: 1 })
        const resumed = pipeline.runCheckpoint({
          checkpoint: checkpoints.get("sub/x")!,
          overrideData: { k: 5 }
        })
        const result = yield* Effect.result(resumed)
        ends.push([mergePolicy, Result.isSuccess(result) ? result.success : result.failure._tag])
      }
      // The data is merged into the context at the checkpoint: it is not the pipeline that collides.
      const end = { k: 5, x: 1, y: 6, seen: 5 }
      expect(ends).toEqual([["override", end], ["warn", end], ["skip", end], ["error", end]])
    }))

  it.effect("behind a transform it holds what the context holds, and nothing that was dropped", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make<{ id: string }>("cleaned")
        .step("fetch", () => ({ debug: "dropped later" }))
        .transform("clean", ({ id }) => ({ userId: id }))
        .step("use", ({ userId }) => ({ greeting: `Hello, ${userId}` }))
      const { checkpoints } = yield* checkpointsOf(pipeline, { id: "u1" })
      const opened = yield* Checkpoint.deserializeCheckpoint(checkpoints.get("clean")!)
      expect(opened.output).toEqual({ userId: "u1" })
      expect(JSON.stringify(opened)).not.toContain("dropped later")
      // Nor does the input travel on: the context came from it.
      expect(opened.metadata).toBe(undefined)
    }))

  it.effect("every resume is a run of its own, with an id and a journal, that names its source", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("sources").step("a", () => ({ a: 1 })).step("b", () => ({}))
      let checkpoint = ""
      yield* pipeline.run({}, {
        runId: "r1",
        onStepComplete: (e) => {
          if (e.stepName === "a") checkpoint = e.checkpoint
        }
      })
      yield* pipeline.runCheckpoint(checkpoint, { runId: "r2" })
      const { entries } = yield* Runs.journal("r2")
      expect(entries[0]).toMatchObject({ type: "start", source: { runId: "r1" } })
      expect(
        entries.map((entry) => "stepId" in entry ? `${entry.type} ${entry.stepId}` : entry.type)
      )
        .toEqual(["start", "step b", "complete"])
    }).pipe(Effect.provide(Storage.layerMemory)))
})

describe("types", () => {
  const simple = Pipeline.make<{ id: string }>()
    .step("fetch-user", ({ id }) => ({ name: "John", id }))
    .step("process", ({ name }) => ({ result: name.toUpperCase() }))

  it.effect("StepNames, StepInput and StepOutput are those of the README", () =>
    Effect.gen(function*() {
      type Simple = typeof simple
      type User = { readonly id: string; readonly name: string }
      expectTypeOf<Pipeline.StepNames<Simple>>().toEqualTypeOf<"fetch-user" | "process">()
      expectTypeOf<Pipeline.StepInput<Simple, "process">>().toEqualTypeOf<User>()
      expectTypeOf<Pipeline.StepOutput<Simple, "fetch-user">>().toEqualTypeOf<User>()
      expectTypeOf<Pipeline.StepOutput<Simple>>().toEqualTypeOf<
        { readonly id: string; readonly name: string; readonly result: string }
      >()
      expect(yield* simple.run({ id: "1" })).toEqual({ id: "1", name: "John", result: "JOHN" })
    }))

  it("steps of nested pipelines and branches are known under their prefix", () => {
    const outer = Pipeline.make<{ id: string }>()
      .step("some-other", simple)
      .branchOn(
        "route",
        { name: "yes", when: () => true, then: (b) => b.step("in", () => ({ yes: 1 })) },
        { default: (b) => b.step("in", () => ({ no: 1 })) }
      )
    type Names = Pipeline.StepNames<typeof outer>
    expectTypeOf<Names>().toEqualTypeOf<
      | "some-other"
      | "some-other/fetch-user"
      | "some-other/process"
      | "route"
      | "route/yes/in"
      | "route/default-case/in"
    >()
    expectTypeOf<Pipeline.StepOutput<typeof outer, "some-other/process">["result"]>()
      .toEqualTypeOf<string>()
    expect(outer.describe()).toEqual(["some-other", "route"])
  })

  it.effect("outputs are optional under condition, continue, skip-remaining, settled and skip", () =>
    Effect.gen(function*() {
      const conditioned = Pipeline.make().step({ condition: () => true }, () => ({ a: 1 }))
      const continued = Pipeline.make().step({ onError: "continue" }, () => ({ a: 1 }))
      const skipping = Pipeline.make()
        .step({ onError: "skip-remaining" }, () => ({ a: 1 }))
        .step("next", () => ({ b: 2 }))
      const breaking = Pipeline.make().step({
        circuitBreaker: { failureThreshold: 1, behaviorOnOpen: "skip" }
      }, () => ({ a: 1 }))
      type Maybe = { readonly a?: number }
      expectTypeOf<Pipeline.StepOutput<typeof conditioned>>().toEqualTypeOf<Maybe>()
      expectTypeOf<Pipeline.StepOutput<typeof continued>>().toEqualTypeOf<Maybe>()
      expectTypeOf<Pipeline.StepOutput<typeof breaking>>().toEqualTypeOf<Maybe>()
      expectTypeOf<Pipeline.StepOutput<typeof skipping>>().toEqualTypeOf<
        { readonly a?: number; readonly b?: number }
      >()
      expect(yield* conditioned.run({})).toEqual({ a: 1 })
      expect(yield* skipping.run({})).toEqual({ a: 1, b: 2 })
    }))

  it.effect("a timeout alone makes none optional, as it does in stepkit: the run fails then", () =>
    Effect.gen(function*() {
      const timed = Pipeline.make().step({ timeout: 100 }, () => ({ a: 1 }))
      expectTypeOf<Pipeline.StepOutput<typeof timed>>().toEqualTypeOf<{ readonly a: number }>()
      const both = Pipeline.make().step({ timeout: 100, onError: "continue" }, () => ({ a: 1 }))
      expectTypeOf<Pipeline.StepOutput<typeof both>>().toEqualTypeOf<{ readonly a?: number }>()
      expect(yield* timed.run({})).toEqual({ a: 1 })
    }))

  it("what cannot be a part, an input or an override is refused by the compiler", () => {
    const wrong = {
      // @ts-expect-error: a step of this pipeline has no `missing`
      context: () => simple.step("next", ({ missing }) => ({ missing })),
      // @ts-expect-error: its id is a string
      input: () => simple.run({ id: 1 }),
      // @ts-expect-error: an array cannot be merged
      array: () => simple.step("next", () => [1]),
      // @ts-expect-error: nothing cannot replace the context
      nothing: () => simple.transform("next", () => {}),
      // @ts-expect-error: JSON cannot hold it
      date: () => simple.step("next", () => ({ at: new Date(0) })),
      // @ts-expect-error: the context has no `user` here
      nested: () => simple.step("next", Pipeline.make<{ user: string }>()),
      // @ts-expect-error: no context of it has `other`
      override: () => simple.runCheckpoint({ checkpoint: "", overrideData: { other: 1 } })
    }
    expect(Object.keys(wrong).length).toBe(7)
  })
})

describe("log", () => {
  const two = Pipeline.make<{ n: number }>("two")
    .step("a", ({ n }) => takes(4, { a: n }))
    .step({ name: "b", condition: false }, () => ({ b: 2 }))

  const linesOf = (log: Parameters<typeof two.run>[1]) =>
    Effect.gen(function*() {
      yield* ticking(two.run({ n: 1 }, { runId: "r1", ...log }))
      return (yield* TestConsole.logLines).flatMap((text) => String(text).split("\n"))
    })

  it.effect("nothing is printed unless it is asked for", () =>
    Effect.gen(function*() {
      expect(yield* linesOf(undefined)).toEqual([])
      expect(yield* linesOf({ log: false })).toEqual([])
      expect(yield* TestConsole.errorLines).toEqual([])
    }))

  it.effect("true prints each step with its milliseconds and keys, and what was left out", () =>
    Effect.gen(function*() {
      expect(yield* linesOf({ log: true })).toEqual([
        "🚀 Starting pipeline (run r1)",
        "   Input: n",
        "",
        "📍 Step: a",
        "✅ a completed in 4ms",
        "   Output: a",
        "",
        "⏭️  Step: b (skipped)",
        "",
        "✨ Pipeline completed successfully"
      ])
    }))

  it.effect("a stopwatch adds the box with a skipped step, the statistics and the total", () =>
    Effect.gen(function*() {
      expect((yield* linesOf({ log: { stopwatch: true } })).slice(8)).toEqual([
        "",
        "⏱️  Performance Summary:",
        `┌${"─".repeat(54)}┐`,
        `│ ✅ ${"a".padEnd(45)} 4ms │`,
        `│ ⏭️ ${"b".padEnd(41)} skipped │`,
        `└${"─".repeat(54)}┘`,
        "",
        "📊 Statistics:",
        "   Average: 4ms",
        "   Slowest: a (4ms)",
        "   Fastest: a (4ms)",
        "",
        "⏰ Total Pipeline Time: 4ms",
        "",
        "✨ Pipeline completed successfully"
      ])
    }))

  it.effect("of the stopwatch each part may be left out", () =>
    Effect.gen(function*() {
      const only = {
        stopwatch: { showStepDuration: false, showSummary: false, showTotal: true }
      }
      expect((yield* linesOf({ log: only })).slice(3)).toEqual([
        "📍 Step: a",
        "✅ a completed",
        "   Output: a",
        "",
        "⏭️  Step: b (skipped)",
        "",
        "⏰ Total Pipeline Time: 4ms",
        "",
        "✨ Pipeline completed successfully"
      ])
    }))

  it.effect("goes to logFn, and failures to errorLogFn, in place of the console", () =>
    Effect.gen(function*() {
      const said: Array<string> = []
      const failed: Array<string> = []
      yield* Effect.flip(
        Pipeline.make().step("a", () => ({ a: 1 })).step("b", fails("broken")).run({}, {
          runId: "r1",
          log: {
            logFn: (text) => void said.push(text),
            errorLogFn: (text) => void failed.push(text)
          }
        })
      )
      expect(failed).toEqual([
        "❌ b failed after 0ms\n   Error: broken",
        "\n❌ Pipeline failed: broken"
      ])
      expect(said).toEqual([
        "🚀 Starting pipeline (run r1)",
        "   Input: {}",
        "\n📍 Step: a",
        "✅ a completed in 0ms",
        "   Output: a",
        "\n📍 Step: b"
      ])
      expect(yield* TestConsole.logLines).toEqual([])
      expect(yield* TestConsole.errorLines).toEqual([])
    }))

  it.effect("of the pipeline holds for calls that have none, and a step may have its own", () =>
    Effect.gen(function*() {
      const logged = Pipeline.make("own", { log: true })
        .step({ name: "quiet", log: false }, () => ({ a: 1 }))
        .step("loud", () => ({ b: 2 }))
      yield* logged.run({}, { runId: "r1" })
      yield* logged.run({}, { runId: "r2", log: false })
      yield* Pipeline.make("single")
        .step("quiet", () => ({ a: 1 }))
        .step({ name: "loud", log: true }, () => ({ b: 2 }))
        .run({})
      expect(yield* TestConsole.logLines).toEqual([
        "🚀 Starting pipeline (run r1)",
        "   Input: {}",
        "\n📍 Step: loud",
        "✅ loud completed in 0ms",
        "   Output: b",
        "\n✨ Pipeline completed successfully",
        "\n📍 Step: loud",
        "✅ loud completed in 0ms",
        "   Output: b"
      ])
    }))

  it.effect("a stop is printed where it was asked for, and at the end", () =>
    Effect.gen(function*() {
      const lines = yield* linesOf({
        log: { stopwatch: true },
        onStepComplete: (e) => e.stopPipeline()
      })
      expect(lines).toContain("⏹️  Early stop requested by: a")
      expect(lines).toContain("⏹️  Stopped early (requested by a)")
      expect(lines.at(-1)).toBe("✨ Pipeline stopped early")
    }))
})

describe("the examples of stepkit's README", () => {
  it.effect("the sign-up: a mail for an address that can be reached, a request for any other", () =>
    Effect.gen(function*() {
      const mails: Array<{ to: string; subject: string; body: string }> = []
      const verifyEmail = async (email: string) => email.endsWith("example.com")
      const sendEmail = async (mail: (typeof mails)[number]) => `mail-${mails.push(mail)}`
      const signup = Pipeline.make<{ email: string }>("signup")
        .step("normalize-email", ({ email }) => ({ normalizedEmail: email.trim().toLowerCase() }))
        .step("check-email-deliverability", async ({ normalizedEmail }) => ({
          isDeliverable: await verifyEmail(normalizedEmail)
        }))
        .branchOn(
          "delivery-route",
          {
            name: "deliverable",
            when: ({ isDeliverable }) => isDeliverable,
            then: (b) =>
              b
                .step("draft-welcome", async ({ normalizedEmail }) => ({
                  welcomeSubject: "Welcome to Acme",
                  welcomeBody: `Hello, ${normalizedEmail}`
                }))
                .step(
                  "send-welcome-email",
                  async ({ normalizedEmail, welcomeBody, welcomeSubject }) => ({
                    welcomeEmailId: await sendEmail({
                      to: normalizedEmail,
                      subject: welcomeSubject,
                      body: welcomeBody
                    })
                  })
                )
          },
          {
            name: "undeliverable",
            default: (b) =>
              b.step("request-verification", async ({ normalizedEmail }) => ({
                verificationRequestId: `verify ${normalizedEmail}`
              }))
          }
        )
      expect(yield* signup.run({ email: " User@Example.com" })).toEqual({
        email: " User@Example.com",
        normalizedEmail: "user@example.com",
        isDeliverable: true,
        welcomeSubject: "Welcome to Acme",
        welcomeBody: "Hello, user@example.com",
        welcomeEmailId: "mail-1"
      })
      expect(mails).toEqual([
        { to: "user@example.com", subject: "Welcome to Acme", body: "Hello, user@example.com" }
      ])
      expect(yield* signup.run({ email: "x@nowhere" })).toMatchObject({
        verificationRequestId: "verify x@nowhere"
      })
      expect(mails.length).toBe(1)
    }))

  it.effect("parallel execution and a conditional step", () =>
    Effect.gen(function*() {
      const evaluator = Pipeline.make<{ idea: string }>("evaluator")
        .step(
          "gather-market-signals",
          async ({ idea }) => ({ marketSize: idea.length > 10 ? "large" : "small" }),
          async ({ idea }) => ({ competitors: [`${idea} Ltd.`] })
        )
        .step(
          { name: "run-forecast", condition: ({ marketSize }) => marketSize === "large" },
          async ({ idea }) => ({ forecast: `${idea} will do` })
        )
        .step("evaluate", async ({ competitors, forecast, marketSize }) => ({
          evaluation: `${marketSize}, ${competitors.length}, ${forecast ?? "n/a"}`
        }))
      expect((yield* evaluator.run({ idea: "AI-powered plant waterer" })).evaluation)
        .toBe("large, 1, AI-powered plant waterer will do")
      expect((yield* evaluator.run({ idea: "tea" })).evaluation).toBe("small, 1, n/a")
    }))

  it.effect("logging and stopwatch: its output, line by line", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make<{ userId: string }>("orders")
        .step("fetch-user", ({ userId }) =>
          takes(150, { user: { id: userId, email: "user@example.com" } }))
        .step(
          "fetch-data",
          () =>
            takes(120, { orders: [{ id: "o1" }, { id: "o2" }, { id: "o3" }] }),
          () => takes(80, { alerts: ["notice"] })
        )
        .step(
          { name: "maybe-slow", timeout: 200, onError: "continue" },
          () => takes(300, { slow: true })
        )
        .step("process", ({ orders }) => ({ orderCount: orders.length }))
        .branchOn(
          "route",
          {
            name: "has-orders",
            when: ({ orderCount }) => orderCount > 0,
            then: (b) => b.step("compute-total", () => takes(2, { total: 99.5 }))
          },
          { name: "no-orders", default: (b) => b.step("show-empty", () => ({ total: 0 })) }
        )
        .transform("finalize", ({ total, user }) => ({ userId: user.id, total }))
      const result = yield* ticking(
        pipeline.run({ userId: "42" }, { runId: "r1", log: { stopwatch: true } })
      )
      expect(result).toEqual({ userId: "42", total: 99.5 })
      const box = (icon: string, name: string, took: string) =>
        `│ ${icon} ${name.padEnd(48 - took.length)} ${took} │`
      const lines = (yield* TestConsole.logLines).flatMap((text) => String(text).split("\n"))
      expect((yield* TestConsole.errorLines).flatMap((text) => String(text).split("\n"))).toEqual([
        "❌ maybe-slow failed after 200ms",
        "   Error: timed out after 200ms"
      ])
      expect(lines).toEqual([
        "🚀 Starting pipeline (run r1)",
        "   Input: userId",
        "",
        "📍 Step: fetch-user",
        "✅ fetch-user completed in 150ms",
        "   Output: user",
        "",
        "📍 Step: fetch-data",
        "✅ fetch-data completed in 120ms",
        "   Output: orders, alerts",
        "",
        "📍 Step: maybe-slow",
        "",
        "📍 Step: process",
        "✅ process completed in 0ms",
        "   Output: orderCount",
        "",
        "🔀 Branch: route",
        "   ↳ Executing: has-orders",
        "",
        "📍 Step: route/has-orders/compute-total",
        "✅ route/has-orders/compute-total completed in 2ms",
        "   Output: total",
        "✅ route completed in 2ms",
        "   Output: total",
        "",
        "🔄 Transform: finalize",
        "✅ finalize completed in 0ms",
        "   Output: userId, total",
        "",
        "⏱️  Performance Summary:",
        `┌${"─".repeat(54)}┐`,
        box("✅", "fetch-user", "150ms"),
        box("✅", "fetch-data", "120ms"),
        box("❌", "maybe-slow", "200ms"),
        box("✅", "process", "0ms"),
        box("✅", "route/has-orders/compute-total", "2ms"),
        box("✅", "route", "2ms"),
        box("✅", "finalize", "0ms"),
        `└${"─".repeat(54)}┘`,
        "",
        "📊 Statistics:",
        "   Average: 54ms",
        "   Slowest: fetch-user (150ms)",
        "   Fastest: process (0ms)",
        "",
        "⏰ Total Pipeline Time: 472ms",
        "",
        "✨ Pipeline completed successfully"
      ])
    }))

  it.effect("branching: three routes of several steps, and a transform behind them", () =>
    Effect.gen(function*() {
      const did: Array<string> = []
      const act = async <A>(name: string, value: A) => {
        did.push(name)
        return value
      }
      const moderator = Pipeline.make<{ content: string; userId: string }>("moderator")
        .step("classify-content", async ({ content }) => ({
          riskLevel: content as "safe" | "suspicious" | "dangerous"
        }))
        .branchOn(
          "policy-route",
          {
            name: "safe",
            when: ({ riskLevel }) => riskLevel === "safe",
            then: (b) => b.step("publish", async () => ({ action: "published" as const }))
          },
          {
            name: "suspicious",
            when: ({ riskLevel }) => riskLevel === "suspicious",
            then: (b) =>
              b
                .step("queue-review", async () => ({ reviewTicketId: await act("ticket", "t1") }))
                .step("notify-moderators", async ({ reviewTicketId }) => ({
                  moderatorNotified: await act(`notify ${reviewTicketId}`, true)
                }))
                .step("hold", () => ({ action: "held-for-review" as const }))
          },
          {
            name: "dangerous",
            default: (b) =>
              b
                .step("block-user", async ({ userId }) => ({
                  blocked: await act(`block ${userId}`, true)
                }))
                .step("send-user-email", async ({ blocked }) => ({
                  userMessaged: blocked ? await act("mail", true) : false
                }))
                .step("notify-admin", async () => ({ adminNotified: await act("admin", true) }))
                .step("finalize", () => ({ action: "blocked" as const }))
          }
        )
        .transform("format", ({ action, adminNotified, moderatorNotified, reviewTicketId }) => ({
          status: action,
          reviewTicketId: reviewTicketId ?? null,
          moderatorNotified: moderatorNotified ?? null,
          adminNotified: adminNotified ?? null
        }))
      const run = (content: string) => moderator.run({ content, userId: "u1" })
      const none = { reviewTicketId: null, moderatorNotified: null, adminNotified: null }
      const safe = yield* run("safe")
      expectTypeOf(safe.status).toEqualTypeOf<"published" | "held-for-review" | "blocked">()
      expect(safe).toEqual({ ...none, status: "published" })
      expect(yield* run("suspicious")).toEqual({
        ...none,
        status: "held-for-review",
        reviewTicketId: "t1",
        moderatorNotified: true
      })
      expect(yield* run("dangerous")).toEqual({ ...none, status: "blocked", adminNotified: true })
      expect(did).toEqual(["ticket", "notify t1", "block u1", "mail", "admin"])
    }))

  it.effect("transform: the context is cleaned of what the next steps need not see", () =>
    Effect.gen(function*() {
      const cleaner = Pipeline.make<{ token: string }>("cleaner")
        .step("fetch-user", async ({ token }) => ({
          user: { id: "u1", email: "u1@example.com" },
          token,
          debugInfo: { fetchedAt: 1 }
        }))
        .step("fetch-settings", async () => ({
          rawSettings: { theme: null as string | null, plan: "pro" },
          transient: "will-be-removed"
        }))
        .transform("clean-context", ({ rawSettings, user }) => ({
          userId: user.id,
          email: user.email,
          theme: rawSettings.theme ?? "system",
          isPro: rawSettings.plan === "pro"
        }))
        .step("use-clean", ({ isPro, theme, userId }) => ({
          profileReady: true,
          message: `${isPro ? "Pro" : "Free"} user ${userId} prefers ${theme} theme`
        }))
      expect(yield* cleaner.run({ token: "secret" })).toEqual({
        userId: "u1",
        email: "u1@example.com",
        theme: "system",
        isPro: true,
        profileReady: true,
        message: "Pro user u1 prefers system theme"
      })
    }))

  it.effect("composable pipelines: reusable branches, typed by a step of the pipeline they go into", () =>
    Effect.gen(function*() {
      const classify = Pipeline.make<{ prompt: string }>("responder")
        .step("classify", async ({ prompt }) => ({
          type: prompt.endsWith("?") ? "question" : "statement"
        }))
      type Classified = Pipeline.StepOutput<typeof classify, "classify">
      const handleQuestion = Pipeline.make<Classified>()
        .step("answer", async ({ prompt }) => ({ response: `Answer: ${prompt}` }))
      const handleStatement = Pipeline.make<Classified>()
        .step("acknowledge", () => ({ response: "Thanks for sharing!" }))
      const responder = classify
        .branchOn(
          { name: "question", when: ({ type }) => type === "question", then: handleQuestion },
          { name: "statement", default: handleStatement }
        )
        .step("finalize", ({ response }) => ({ done: true, response }))
      expect(yield* responder.run({ prompt: "What is AI?" })).toEqual({
        prompt: "What is AI?",
        type: "question",
        response: "Answer: What is AI?",
        done: true
      })
      expect((yield* responder.run({ prompt: "Tea." })).response).toBe("Thanks for sharing!")
    }))

  it.effect("error handling and retries: a step that fails for good does not break the pipeline", () =>
    Effect.gen(function*() {
      const fetchWithRetry = (failures: number) => {
        let calls = 0
        return Pipeline.make()
          .step(
            {
              name: "fetch-resource",
              onError: "continue",
              retries: 2,
              retryDelayMs: 250,
              shouldRetry: (err) => /429|timeout/i.test(err.message)
            },
            async () => {
              if (++calls <= failures) throw new Error("429: too many requests")
              return { data: { id: "42" } }
            }
          )
          .step("continue-anyway", ({ data }) => ({ hasData: data !== undefined, calls }))
      }
      expect(yield* ticking(fetchWithRetry(2).run({}))).toEqual({
        data: { id: "42" },
        hasData: true,
        calls: 3
      })
      expect(yield* ticking(fetchWithRetry(3).run({}))).toEqual({ hasData: false, calls: 3 })
    }))
})

describe("the nine defects of stepkit", () => {
  it.effect("1. retries need no shouldRetry", () =>
    Effect.gen(function*() {
      let calls = 0
      const result = yield* Pipeline.make()
        .step({ name: "flaky", retries: 1 }, () => {
          if (++calls === 1) throw new Error("once")
          return { calls }
        })
        .run({})
      expect(result).toEqual({ calls: 2 })
    }))

  it.effect("2. a timeout is one attempt's: a second has the whole of it", () =>
    Effect.gen(function*() {
      let calls = 0
      const slow = (millis: number) =>
        Pipeline.make().step(
          { name: "slow", timeout: 100, retries: 1 },
          () =>
            Effect.gen(function*() {
              yield* Effect.sleep(millis)
              if (++calls === 1) return yield* Effect.fail(new Error("once"))
              return { calls }
            })
        )
      expect(yield* ticking(slow(80).run({}))).toEqual({ calls: 2 })
      // And one that takes too long is repeated as any failure is.
      let attempts = 0
      const late = Pipeline.make().step(
        { timeout: 100, retries: 1 },
        () => takes(++attempts === 1 ? 150 : 50, { attempts })
      )
      expect(yield* ticking(late.run({}))).toEqual({ attempts: 2 })
    }))

  it.effect("3. a circuit breaker opens: of three calls the third is not made", () =>
    Effect.gen(function*() {
      let calls = 0
      const pipeline = Pipeline.make().step(
        { name: "down", circuitBreaker: { failureThreshold: 2 } },
        () => {
          calls++
          throw new Error("down")
        }
      )
      for (let n = 0; n < 3; n++) yield* Effect.flip(pipeline.run({}))
      expect(calls).toBe(2)
    }))

  it.effect("4. a resume inside a branch goes on in it, whatever its when says by now", () =>
    Effect.gen(function*() {
      const world = { isOpen: true }
      const pipeline = Pipeline.make<{ n: number }>("changed")
        .branchOn(
          "route",
          {
            name: "open",
            when: () => world.isOpen,
            then: (b) => b.step("p", () => ({ p: 1 })).step("q", ({ p }) => ({ q: p + 1 }))
          },
          { name: "shut", default: (b) => b.step("r", () => ({ r: 1 })) }
        )
        .step("after", () => ({ after: true }))
      const { checkpoints, context } = yield* checkpointsOf(pipeline, { n: 0 })
      world.isOpen = false
      expect(yield* pipeline.runCheckpoint(checkpoints.get("route/open/p")!)).toEqual(context)
      expect(context).toEqual({ n: 0, p: 1, q: 2, after: true })
    }))

  it.effect("5. a checkpoint of a step that is there no more is refused, and nothing runs", () =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const make = (name: string) =>
        Pipeline.make("renamed")
          .step(name, () => ({ a: 1 }))
          .step("last", () => void ran.push("last"))
      const { checkpoints } = yield* checkpointsOf(make("old"), {})
      ran.length = 0
      const error = yield* Effect.flip(
        Effect.flatMap(
          Storage.Storage,
          () => make("new").runCheckpoint(checkpoints.get("old")!, { runId: "r1" })
        )
      )
      expect(error).toMatchObject({ _tag: "CheckpointRejected", reason: "ChangedDefinition" })
      expect(error.message).toContain(`"old"`)
      expect(ran).toEqual([])
      expect(yield* Effect.flip(Runs.journal("r1"))).toMatchObject({ _tag: "RunNotFound" })
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("6. a checkpoint of the second step of a name does not run that step again", () =>
    Effect.gen(function*() {
      const plusOne = ({ n }: { readonly n: number }) => ({ n: n + 1 })
      const pipeline = Pipeline.make<{ n: number }>("twice")
        .step("inc", plusOne)
        .step("inc", plusOne)
        .step("last", ({ n }) => ({ last: n }))
      const checkpoints: Array<string> = []
      yield* pipeline.run({ n: 0 }, { onStepComplete: (e) => void checkpoints.push(e.checkpoint) })
      for (const checkpoint of checkpoints) {
        expect(yield* pipeline.runCheckpoint(checkpoint)).toEqual({ n: 2, last: 2 })
      }
    }))

  it.effect("6. nor does one inside the second of two nested pipelines of a name, or of two branches", () =>
    Effect.gen(function*() {
      const inner = Pipeline.make<{ n: number }>()
        .step("inc", ({ n }) => ({ n: n + 1 }))
        .step("inc", ({ n }) => ({ n: n + 1 }))
      const nested = Pipeline.make<{ n: number }>("twice nested")
        .step("in", inner)
        .step("in", inner)
      const branched = Pipeline.make<{ n: number }>("twice branched")
        .branchOn("in", { default: inner })
        .branchOn("in", { default: inner })
      for (const pipeline of [nested, branched]) {
        const checkpoints: Array<string> = []
        yield* pipeline.run({ n: 0 }, {
          onStepComplete: (e) => void checkpoints.push(e.checkpoint)
        })
        expect(checkpoints.length).toBe(6)
        for (const checkpoint of checkpoints) {
          expect(yield* pipeline.runCheckpoint(checkpoint)).toEqual({ n: 4 })
        }
      }
    }))

  it.effect("7. what JSON cannot hold is named, with its place: no Map becomes {}", () =>
    Effect.gen(function*() {
      const cases = {
        "$.held": () => ({ held: new Map([["a", 1]]) }),
        "$.deep.big": () => ({ deep: { big: 1n } }),
        "$.list[1]": () => ({ list: [1, new Date(0)] })
      }
      for (const [path, f] of Object.entries(cases)) {
        const odd = f as unknown as () => {}
        const error = yield* Effect.flip(Pipeline.make("odd").step("odd", odd).run({}))
        expect(error).toMatchObject({ _tag: "Unserializable", what: `step "odd"`, path })
      }
      const error = yield* Effect.flip(
        Pipeline.make<{ at: string }>("in").run({ at: 1n } as unknown as { at: string })
      )
      expect(error._tag).toMatch(/InputRejected|Unserializable/)
    }))

  it.effect("8. a skipped step has its event, and a hook that throws fails the call, not its step", () =>
    Effect.gen(function*() {
      const { heard, hooks } = recorder()
      const ran: Array<string> = []
      const pipeline = Pipeline.make("hooked")
        .step("a", () => void ran.push("a"))
        .step({ name: "b", condition: false }, () => void ran.push("b"))
        .step({ name: "c", onError: "continue" }, () => {
          ran.push("c")
          return { c: 3 }
        })
      const error = yield* Effect.flip(pipeline.run({}, {
        runId: "r1",
        onStepComplete: ({ stepName }) => {
          if (stepName === "c") throw new Error("the hook broke")
        }
      }))
      expect(error).toMatchObject({ _tag: "HookFailed", stepId: "c", hook: "onStepComplete" })
      // The hook is mended: it hears of the step, which does not run again.
      const result = yield* pipeline.workflow.resume("r1", undefined, hooks)
      expect(result).toMatchObject({ status: "success", result: { c: 3 } })
      expect(ran).toEqual(["a", "c"])
      expect(heard).toEqual(["skipped a: replayed", "skipped b: condition", "done c"])
    }).pipe(Effect.provide(Storage.layerMemory)))

  it("9. plain Node resolves all that a program with a pipeline imports", () => {
    const code = [
      `import { Effect } from "effect"`,
      `import { Pipeline } from "reprise"`,
      `const pipeline = Pipeline.make().step("a", () => ({ a: 1 }))`,
      `console.log(JSON.stringify(await Effect.runPromise(pipeline.run({}))))`
    ].join("\n")
    const printed = execFileSync(
      process.execPath,
      ["--conditions=reprise-source", "--input-type=module", "-e", code],
      { encoding: "utf8" }
    )
    expect(printed).toBe(`{"a":1}\n`)
  })
})

describe("the table of docs/pipelines.md", () => {
  /** The names of the tests of a file, in order. */
  const testsOf = (file: string): ReadonlyArray<string> =>
    [
      ...readFileSync(join(import.meta.dirname, file), "utf8")
        .matchAll(/^\s+it(?:\.effect)?\(\s*"([^"]+)"/gm)
    ].map(([, name]) => name!)
  const page = readFileSync(join(import.meta.dirname, "../../docs/pipelines.md"), "utf8")
  const rowsOf = (name: string): ReadonlyArray<string> =>
    [...page.matchAll(/\| (seed|parity): (.+?) +\|$/gm)].flatMap(([, file, test]) =>
      file === name ? [test!] : []
    )

  it("has a row for every test of the seed, and each row names one", () => {
    expect(rowsOf("seed")).toEqual(testsOf("seed.test.ts"))
  })

  it("has a row for every test of the parity suite, and each row names one", () => {
    const own = [
      "has a row for every test of the seed",
      "has a row for every test of the parity suite"
    ]
    const tests = testsOf("parity.test.ts").filter((name) =>
      !own.some((start) => name.startsWith(start))
    )
    expect(rowsOf("parity")).toEqual(tests)
  })
})
