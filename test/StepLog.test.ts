/**
 * The `log` of a call, to the letter: what is printed of runs, resumes and checkpoints, of branches,
 * failures and waits; how wide the box is; what never reaches a terminal; and where the text goes.
 */
import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Schema } from "effect"
import { TestClock, TestConsole } from "effect/testing"
import { stripVTControlCharacters } from "node:util"
import { Pipeline, Storage, Workflow } from "reprise"
import { afterEach } from "vitest"

const runId = "r1"

/** A step's work that takes a while by the test's clock. */
const takes = <A>(millis: number, value: A) => Effect.delay(Effect.succeed(value), millis)

/** Runs `effect` while the clock goes on, a millisecond at a time. */
const ticking = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect)
    while (fiber.pollUnsafe() === undefined) yield* TestClock.adjust(1)
    return yield* Fiber.join(fiber)
  })

/** A log that is kept, line by line. */
const kept = (options: Workflow.LogOptions = {}) => {
  const texts: Array<string> = []
  return {
    texts,
    lines: () => texts.flatMap((text) => text.split("\n")),
    log: { logFn: (text: string) => void texts.push(text), ...options } as const
  }
}

const stopwatch = { stopwatch: true } as const

/** How many columns a terminal gives a text. */
const columns = (text: string): number => {
  const wide =
    /\p{Extended_Pictographic}\ufe0f?|[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Hangul}]/gu
  return Array.from(text.replace(wide, "xx").replace(/\p{Mn}/gu, "")).length
}

/** The lines of the box, with its borders. */
const boxOf = (lines: ReadonlyArray<string>) => lines.filter((line) => /^[┌│└]/u.test(line))

/** A line of the box of one that took `took`. */
const row = (icon: string, name: string, took: string) =>
  `│ ${icon} ${name}${" ".repeat(54 - 6 - name.length - took.length)} ${took} │`
const top = `┌${"─".repeat(54)}┐`
const bottom = `└${"─".repeat(54)}┘`

const calc = Pipeline.make<{ a: number; b?: number }>("calc")
  .step("add-one", ({ a }) => takes(3, { a: a + 1 }))
  .step("double", ({ a }) => takes(5, { a: a * 2, doubled: true }))
  .step("finish", ({ a, b }) => takes(2, { sum: a + (b ?? 0) }))

const calcRun = [
  "🚀 Starting pipeline (run r1)",
  "   Input: a",
  "",
  "📍 Step: add-one",
  "✅ add-one completed in 3ms",
  "   Output: a",
  "",
  "📍 Step: double",
  "✅ double completed in 5ms",
  "   Output: a, doubled",
  "",
  "📍 Step: finish",
  "✅ finish completed in 2ms",
  "   Output: sum"
]

describe("a run of a pipeline", () => {
  it.effect("is printed step by step, with a box, statistics and a total", () =>
    Effect.gen(function*() {
      const result = yield* ticking(calc.run({ a: 1 }, { runId, log: stopwatch }))
      expect(result).toEqual({ a: 4, doubled: true, sum: 4 })
      const lines = (yield* TestConsole.logLines).flatMap((text) => String(text).split("\n"))
      expect(lines).toEqual([
        ...calcRun,
        "",
        "⏱️  Performance Summary:",
        top,
        row("✅", "add-one", "3ms"),
        row("✅", "double", "5ms"),
        row("✅", "finish", "2ms"),
        bottom,
        "",
        "📊 Statistics:",
        "   Average: 3ms",
        "   Slowest: double (5ms)",
        "   Fastest: finish (2ms)",
        "",
        "⏰ Total Pipeline Time: 10ms",
        "",
        "✨ Pipeline completed successfully"
      ])
      expect(yield* TestConsole.errorLines).toEqual([])
    }))

  it.effect("is printed without box, statistics and total where no stopwatch is asked for", () =>
    Effect.gen(function*() {
      yield* ticking(calc.run({ a: 1 }, { runId, log: true }))
      const lines = (yield* TestConsole.logLines).flatMap((text) => String(text).split("\n"))
      expect(lines).toEqual([...calcRun, "", "✨ Pipeline completed successfully"])
    }))

  it.effect("is not printed without a log, or with false", () =>
    Effect.gen(function*() {
      yield* ticking(calc.run({ a: 1 }))
      yield* ticking(calc.run({ a: 1 }, { log: false }))
      expect(yield* TestConsole.logLines).toEqual([])
    }))

  it.effect("is printed as the definition says, where the call says nothing", () =>
    Effect.gen(function*() {
      const { lines, log } = kept()
      const logging = Pipeline.make<{}>("logging", { log }).step("one", () => ({ one: 1 }))
      yield* logging.run({}, { log: false })
      expect(lines()).toEqual([])
      yield* logging.run({})
      expect(lines()).toContain("📍 Step: one")
      const call = kept()
      const before = lines().length
      yield* logging.run({}, { log: call.log })
      expect(lines()).toHaveLength(before)
      expect(call.lines()).toContain("📍 Step: one")
    }))

  const parts: ReadonlyArray<readonly [off: keyof typeof shown, missing: ReadonlyArray<string>]> = [
    ["showStepDuration", ["✅ add-one completed in 3ms"]],
    ["showSummary", ["⏱️  Performance Summary:", top, "📊 Statistics:"]],
    ["showTotal", ["⏰ Total Pipeline Time: 10ms"]]
  ]
  const shown = { showStepDuration: true, showSummary: true, showTotal: true }
  for (const [off, missing] of parts) {
    it.effect(`leaves out what ${off}: false says, and nothing else`, () =>
      Effect.gen(function*() {
        const all = kept({ stopwatch: shown })
        yield* ticking(calc.run({ a: 1 }, { runId, log: all.log }))
        const { lines, log } = kept({ stopwatch: { [off]: false } })
        yield* ticking(calc.run({ a: 1 }, { runId, log }))
        for (const line of missing) {
          expect(all.lines()).toContain(line)
          expect(lines()).not.toContain(line)
        }
        for (const [other, theirs] of parts) {
          if (other !== off) { for (const line of theirs) expect(lines()).toContain(line) }
        }
        if (off === "showStepDuration") {
          expect(lines()).toContain("✅ add-one completed")
          expect(lines()).toContain(row("✅", "add-one", "3ms"))
        }
        expect(lines().at(-1)).toBe("✨ Pipeline completed successfully")
      }))
  }

  it.effect("says where it was stopped early, in the lines and in the summary", () =>
    Effect.gen(function*() {
      const { lines, log } = kept(stopwatch)
      yield* ticking(calc.run({ a: 1 }, {
        runId,
        log,
        onStepComplete: ({ stepName, stopPipeline }) => {
          if (stepName === "double") stopPipeline()
        }
      }))
      expect(lines()).toEqual([
        ...calcRun.slice(0, 10),
        "",
        "⏹️  Early stop requested by: double",
        "",
        "⏱️  Performance Summary:",
        top,
        row("✅", "add-one", "3ms"),
        row("✅", "double", "5ms"),
        bottom,
        "",
        "📊 Statistics:",
        "   Average: 4ms",
        "   Slowest: double (5ms)",
        "   Fastest: add-one (3ms)",
        "",
        "⏹️  Stopped early (requested by double)",
        "",
        "⏰ Total Pipeline Time: 8ms",
        "",
        "✨ Pipeline stopped early"
      ])
    }))

  it.effect("shows keys of what a step gave, and no line where it gave none", () =>
    Effect.gen(function*() {
      const { lines, log } = kept()
      const gives = Pipeline.make<{}>("gives")
        .step("nothing", () => {})
        .step("none", () => ({}))
        .step("several", () => ({ a: 1 }), () => ({ b: { c: 1 } }))
        .step((() => ({ auto: 1 })) as () => { auto: number })
      yield* gives.run({}, { runId, log: { ...log, stopwatch: { showStepDuration: false } } })
      expect(lines().slice(3, 13)).toEqual([
        "📍 Step: nothing",
        "✅ nothing completed",
        "",
        "📍 Step: none",
        "✅ none completed",
        "",
        "📍 Step: several",
        "✅ several completed",
        "   Output: a, b",
        ""
      ])
      expect(lines()).toContain("📍 Step: step-4")
    }))

  it.effect("is printed the same in every unit of time", () =>
    Effect.gen(function*() {
      const { lines, log } = kept(stopwatch)
      const slow = Pipeline.make<{}>("slow")
        .step("seconds", () => Effect.sleep("1500 millis"))
        .step("minutes", () => Effect.sleep("125 seconds"))
      const fiber = yield* Effect.forkChild(slow.run({}, { runId, log }))
      yield* TestClock.adjust("1500 millis")
      yield* TestClock.adjust("125 seconds")
      yield* Fiber.join(fiber)
      expect(lines()).toContain("✅ seconds completed in 1.5s")
      expect(boxOf(lines())).toEqual([
        top,
        row("✅", "seconds", "1.5s"),
        row("✅", "minutes", "2m 5s"),
        bottom
      ])
      expect(lines()).toContain("⏰ Total Pipeline Time: 2m 7s")
    }))
})

describe("a pipeline that goes on", () => {
  /** The checkpoint behind a step. */
  const checkpointAt = (name: string) =>
    Effect.gen(function*() {
      let checkpoint = ""
      yield* ticking(calc.run({ a: 1 }, {
        onStepComplete: (event) => {
          if (event.stepName === name) checkpoint = event.checkpoint
        }
      }))
      return checkpoint
    })

  it.effect("from a checkpoint says from which step, and what it skips, as the seed shows", () =>
    Effect.gen(function*() {
      const { lines, log } = kept(stopwatch)
      const checkpoint = yield* checkpointAt("double")
      const result = yield* ticking(
        calc.runCheckpoint({ checkpoint, overrideData: { b: 10 } }, { log })
      )
      expect(result).toEqual({ a: 4, b: 10, doubled: true, sum: 14 })
      expect(lines()).toEqual([
        "🚀 Resuming pipeline from checkpoint step: double",
        "",
        "⏭️  Step: add-one (resume-skip)",
        "",
        "⏭️  Step: double (resume-skip)",
        "",
        "📍 Step: finish",
        "✅ finish completed in 2ms",
        "   Output: sum",
        "",
        "⏱️  Performance Summary:",
        "↪️ Resumed from checkpoint: double",
        top,
        row("⏭️", "add-one", "skipped"),
        row("⏭️", "double", "skipped"),
        row("✅", "finish", "2ms"),
        bottom,
        "",
        "📊 Statistics:",
        "   Average: 2ms",
        "   Slowest: finish (2ms)",
        "   Fastest: finish (2ms)",
        "",
        "⏰ Total Pipeline Time: 2ms",
        "",
        "✨ Pipeline completed successfully"
      ])
    }))

  it.effect("from the checkpoint of its last step skips all, and has no statistics to show", () =>
    Effect.gen(function*() {
      const { lines, log } = kept(stopwatch)
      yield* ticking(calc.runCheckpoint(yield* checkpointAt("finish"), { log }))
      expect(lines().slice(-10)).toEqual([
        "↪️ Resumed from checkpoint: finish",
        top,
        row("⏭️", "add-one", "skipped"),
        row("⏭️", "double", "skipped"),
        row("⏭️", "finish", "skipped"),
        bottom,
        "",
        "⏰ Total Pipeline Time: 0ms",
        "",
        "✨ Pipeline completed successfully"
      ])
    }))

  it.effect("by its run's id names the session, and skips what earlier ones did", () =>
    Effect.gen(function*() {
      yield* ticking(calc.workflow.start({ a: 1 }, {
        runId,
        onStepComplete: ({ stepName, stop }) => {
          if (stepName === "add-one") stop()
        }
      }))
      const { lines, log } = kept()
      yield* ticking(calc.workflow.resume(runId, undefined, { log }))
      expect(lines()).toEqual([
        "🚀 Resuming pipeline (run r1, session 2)",
        "",
        "⏭️  Step: add-one (resume-skip)",
        "",
        ...calcRun.slice(7),
        "",
        "✨ Pipeline completed successfully"
      ])
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("as a fork says of which run", () =>
    Effect.gen(function*() {
      yield* ticking(calc.workflow.start({ a: 1 }, { runId }))
      const { lines, log } = kept()
      yield* ticking(calc.workflow.fork(runId, { fromStep: "double", runId: "r2", log }))
      expect(lines().slice(0, 5)).toEqual([
        "🚀 Resuming pipeline (run r2, forked from r1)",
        "",
        "⏭️  Step: add-one (resume-skip)",
        "",
        "📍 Step: double"
      ])
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("has nothing printed where it is over already", () =>
    Effect.gen(function*() {
      yield* ticking(calc.workflow.start({ a: 1 }, { runId }))
      const { lines, log } = kept(stopwatch)
      expect(yield* ticking(calc.workflow.start({ a: 1 }, { runId, log })))
        .toMatchObject({ status: "success" })
      expect(lines()).toEqual([])
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("inside a branch shows what the branch gave in all sessions when it is over", () =>
    Effect.gen(function*() {
      const routed = Pipeline.make<{}>("routed").branchOn("route", {
        name: "only",
        when: () => true,
        then: (b) =>
          b.step("first", () => takes(3, { first: 1 })).step(
            "second",
            () => takes(4, { second: 2 })
          )
      })
      let checkpoint = ""
      yield* ticking(routed.run({}, {
        onStepComplete: (event) => {
          if (event.stepName === "route/only/first") checkpoint = event.checkpoint
        }
      }))
      const { lines, log } = kept()
      let took: number | undefined
      yield* ticking(routed.runCheckpoint(checkpoint, {
        log,
        onStepComplete: ({ duration, stepName }) => {
          if (stepName === "route") took = duration
        }
      }))
      expect(lines()).toEqual([
        "🚀 Resuming pipeline from checkpoint step: route/only/first",
        "",
        "⏭️  Step: route/only/first (resume-skip)",
        "",
        "📍 Step: route/only/second",
        "✅ route/only/second completed in 4ms",
        "   Output: second",
        `✅ route completed in ${took}ms`,
        "   Output: first, second",
        "",
        "✨ Pipeline completed successfully"
      ])
    }))
})

describe("a container", () => {
  const priced = Pipeline.make<{ total: number }>("priced").branchOn(
    "route",
    {
      name: "large",
      when: ({ total }) => total > 1000,
      then: (b) => b.step("review", () => takes(7, { reviewed: true }))
    },
    {
      name: "small",
      when: ({ total }) => total > 10,
      then: (b) => b.step("accept", () => takes(2, { accepted: true }))
    }
  )

  it.effect("that branches says which case it takes, and how long that took", () =>
    Effect.gen(function*() {
      const { lines, log } = kept(stopwatch)
      yield* ticking(priced.run({ total: 2000 }, { runId, log }))
      expect(lines().slice(2, -2)).toEqual([
        "",
        "🔀 Branch: route",
        "   ↳ Executing: large",
        "",
        "📍 Step: route/large/review",
        "✅ route/large/review completed in 7ms",
        "   Output: reviewed",
        "✅ route completed in 7ms",
        "   Output: reviewed",
        "",
        "⏱️  Performance Summary:",
        top,
        row("✅", "route/large/review", "7ms"),
        row("✅", "route", "7ms"),
        bottom,
        "",
        "📊 Statistics:",
        "   Average: 7ms",
        "   Slowest: route/large/review (7ms)",
        "   Fastest: route/large/review (7ms)",
        "",
        "⏰ Total Pipeline Time: 7ms"
      ])
    }))

  it.effect("that branches to nothing says so", () =>
    Effect.gen(function*() {
      const { lines, log } = kept()
      yield* ticking(priced.run({ total: 1 }, { runId, log }))
      expect(lines().slice(2)).toEqual([
        "",
        "🔀 Branch: route",
        "   ↳ Executing: nothing",
        "✅ route completed in 0ms",
        "",
        "✨ Pipeline completed successfully"
      ])
    }))

  it.effect("that is nested names its steps by where they stand, with durations of its own", () =>
    Effect.gen(function*() {
      const inner = Pipeline.make<{}>("inner")
        .step("one", () => takes(3, { one: 1 }))
        .step("two", () => takes(4, { two: 2 }))
      const outer = Pipeline.make<{}>("outer")
        .step("before", () => takes(10, {}))
        .step(
          "nest",
          Pipeline.make<{}>("middle").step("deep", inner),
          () => takes(5, { beside: 1 })
        )
        .step("after", () => takes(1, {}))
      const { lines, log } = kept(stopwatch)
      yield* ticking(outer.run({}, { runId, log }))
      expect(lines().slice(5, 20)).toEqual([
        "",
        "📍 Step: nest/deep/one",
        "✅ nest/deep/one completed in 3ms",
        "   Output: one",
        "",
        "📍 Step: nest/deep/two",
        "✅ nest/deep/two completed in 4ms",
        "   Output: two",
        "✅ nest/deep completed in 7ms",
        "   Output: one, two",
        "✅ nest completed in 7ms",
        expect.stringMatching("   Output: "),
        "",
        "📍 Step: after",
        "✅ after completed in 1ms"
      ])
      expect(boxOf(lines())).toEqual([
        top,
        row("✅", "before", "10ms"),
        row("✅", "nest/deep/one", "3ms"),
        row("✅", "nest/deep/two", "4ms"),
        row("✅", "nest/deep", "7ms"),
        row("✅", "nest", "7ms"),
        row("✅", "after", "1ms"),
        bottom
      ])
      expect(lines().at(-3)).toBe("⏰ Total Pipeline Time: 18ms")
    }))

  it.effect("shows the keys of a function beside a nested pipeline, too", () =>
    Effect.gen(function*() {
      const inner = Pipeline.make<{}>("inner").step("one", () => ({ one: 1 }))
      const { lines, log } = kept()
      const outer = Pipeline.make<{}>("outer").step("nest", inner, () => ({ beside: 1 }))
      expect(yield* outer.run({}, { runId, log })).toEqual({ one: 1, beside: 1 })
      const end = lines().indexOf("✅ nest completed in 0ms")
      expect(lines()[end + 1]!.replace("   Output: ", "").split(", ").toSorted())
        .toEqual(["beside", "one"])
    }))

  it.effect("takes as long in the log as the hook is told", () =>
    Effect.gen(function*() {
      const slowly = Pipeline.make<{}>("slowly").branchOn("route", {
        name: "only",
        when: () => takes(20, true),
        then: (b) => b.step("work", () => takes(5, { done: true }))
      })
      const { lines, log } = kept()
      let told: number | undefined
      yield* ticking(slowly.run({}, {
        runId,
        log,
        onStepComplete: ({ duration, stepName }) => {
          if (stepName === "route") told = duration
        }
      }))
      expect(lines()).toContain(`✅ route completed in ${told}ms`)
    }))

  it.effect("takes as long as the hook is told: beside others, in a time limit, and again", () =>
    Effect.gen(function*() {
      const told: Array<string> = []
      let attempts = 0
      const part = (millis: number) =>
        Pipeline.make<{}>("part").step(
          "deep",
          Pipeline.make<{}>("inner").step("work", () => takes(millis, {}))
        )
      const all = Pipeline.make<{}>("all")
        .step("before", () => takes(2, {}))
        .step({ name: "nest", timeout: 1_000 }, part(5), part(3), () => takes(7, {}))
        .step(
          { name: "nest", retries: 2, retryDelayMs: 10 },
          Pipeline.make<{}>("part").step("one", () => takes(1, {})).step(
            { name: "two", condition: () => takes(2, true) },
            () => ++attempts < 3 ? Effect.fail(new Error("no")) : {}
          )
        )
        .step({ name: "late", timeout: 5, onError: "continue" }, part(50))
      const { lines, log } = kept()
      yield* ticking(all.run({}, {
        runId,
        log,
        onStepComplete: (e) => void told.push(`✅ ${e.stepName} completed in ${e.duration}ms`),
        onStepError: (e) => void told.push(`❌ ${e.stepName} failed after ${e.duration}ms`)
      }))
      expect(lines().filter((line) => /^[✅❌]/u.test(line))).toEqual(told)
      expect(told).toContain("✅ nest completed in 7ms")
      expect(told).toContain("✅ nest completed in 29ms")
      expect(told).toContain("❌ late failed after 5ms")
    }))

  it.effect("of a name that another has is measured from its own beginning, with its own keys", () =>
    Effect.gen(function*() {
      const part = (key: string) =>
        Pipeline.make<{}>("part").step("work", () => takes(4, { [key]: true }))
      const twice = Pipeline.make<{}>("twice")
        .step("nest", part("a"))
        .step("between", () => takes(50, {}))
        .step("nest", part("b"))
      const { lines, log } = kept()
      yield* ticking(twice.run({}, { runId, log }))
      const ends = lines().flatMap((line, n) =>
        line.startsWith("✅ nest completed") ? [[line, lines()[n + 1]]] : []
      )
      expect(ends).toEqual([
        ["✅ nest completed in 4ms", "   Output: a"],
        ["✅ nest completed in 4ms", "   Output: b"]
      ])
    }))

  it.effect("that is repeated says so by its name, and shows what its last attempt gave", () =>
    Effect.gen(function*() {
      let attempts = 0
      const again = Pipeline.make<{}>("again").step(
        { name: "nest", retries: 1, retryDelayMs: 5 },
        Pipeline.make<{}>("part")
          .step("one", () => takes(1, { [`of${++attempts}`]: true }))
          .step("two", () => attempts === 1 ? Effect.fail(new Error("no")) : takes(2, { two: 2 }))
      )
      const { lines, log } = kept()
      const result = yield* ticking(again.run({}, { runId, log }))
      expect(result).toEqual({ of2: true, two: 2 })
      expect(lines().slice(-4)).toEqual([
        "✅ nest completed in 9ms",
        "   Output: of2, two",
        "",
        "✨ Pipeline completed successfully"
      ])
      // What a pipeline journals for itself is nothing to be told of.
      expect(lines().filter((line) => line.includes("~"))).toEqual([])
    }))

  it.effect("that runs out of time says so, by its name", () =>
    Effect.gen(function*() {
      const late = Pipeline.make<{}>("late").step(
        { name: "nest", timeout: 5 },
        Pipeline.make<{}>("part").step("work", () => takes(50, {}))
      )
      const { lines, log } = kept()
      yield* Effect.exit(ticking(late.run({}, { runId, log })))
      expect(lines().slice(-5)).toEqual([
        "📍 Step: nest/work",
        "❌ nest failed after 5ms",
        expect.stringMatching(/^ {3}Error: StepTimeout: Step "nest" took longer than 5 ms/),
        "",
        "❌ Pipeline failed: timed out after 5ms"
      ])
      expect(lines().filter((line) => line.includes("timeout/"))).toEqual([])
    }))
})

describe("a step", () => {
  it.effect("that transforms is called so", () =>
    Effect.gen(function*() {
      const { lines, log } = kept(stopwatch)
      const shaped = Pipeline.make<{ a: number }>("shaped")
        .transform("shape", ({ a }) => takes(2, { total: a }))
        .transform(({ total }) => ({ total, more: 1 }))
      yield* ticking(shaped.run({ a: 1 }, { runId, log }))
      expect(lines().slice(2, 9)).toEqual([
        "",
        "🔄 Transform: shape",
        "✅ shape completed in 2ms",
        "   Output: total",
        "",
        "🔄 Transform: transform-2",
        "✅ transform-2 completed in 0ms"
      ])
      expect(boxOf(lines()).slice(1, -1)).toEqual([
        row("✅", "shape", "2ms"),
        row("✅", "transform-2", "0ms")
      ])
    }))

  it.effect("whose condition says no is skipped: steps, branches and nested pipelines alike", () =>
    Effect.gen(function*() {
      const inner = Pipeline.make<{}>("inner").step("one", () => ({ one: 1 }))
      const picky = Pipeline.make<{}>("picky")
        .step({ name: "never", condition: false }, () => ({ a: 1 }))
        .step({ name: "asked", condition: () => Effect.succeed(false) }, () => ({ b: 1 }))
        .step({ name: "done", condition: () => true }, () => ({ c: 1 }))
        .step({ name: "nest", condition: async () => false }, inner)
        .branchOn({ name: "route", condition: false }, { default: (b) => b.step("x", () => ({})) })
        .transform({ name: "shape", condition: () => false }, () => ({}))
      const { lines, log } = kept(stopwatch)
      yield* picky.run({}, { runId, log: { ...log, stopwatch: { showStepDuration: false } } })
      expect(lines().slice(2, 17)).toEqual([
        "",
        "⏭️  Step: never (skipped)",
        "",
        "⏭️  Step: asked (skipped)",
        "",
        "📍 Step: done",
        "✅ done completed",
        "   Output: c",
        "",
        "⏭️  Step: nest (skipped)",
        "",
        "⏭️  Step: route (skipped)",
        "",
        "⏭️  Step: shape (skipped)",
        ""
      ])
      expect(boxOf(lines()).filter((line) => line.endsWith(" skipped │"))).toHaveLength(5)
    }))

  it.effect("that fails is told of with its error, and the run fails", () =>
    Effect.gen(function*() {
      const { lines, log } = kept(stopwatch)
      const fails = Pipeline.make<{}>("fails")
        .step("fine", () => takes(2, { ok: true }))
        .step("pay", () => Effect.andThen(Effect.sleep(4), Effect.fail(new Error("declined"))))
        .step("never", () => ({}))
      const exit = yield* Effect.exit(ticking(fails.run({}, { runId, log })))
      expect(Exit.isFailure(exit)).toBe(true)
      expect(lines().slice(5)).toEqual([
        "   Output: ok",
        "",
        "📍 Step: pay",
        "❌ pay failed after 4ms",
        "   Error: declined",
        "",
        "⏱️  Performance Summary:",
        top,
        row("✅", "fine", "2ms"),
        row("❌", "pay", "4ms"),
        bottom,
        "",
        "📊 Statistics:",
        "   Average: 2ms",
        "   Slowest: fine (2ms)",
        "   Fastest: fine (2ms)",
        "",
        "⏰ Total Pipeline Time: 6ms",
        "",
        "❌ Pipeline failed: declined"
      ])
    }))

  it.effect("that fails and is passed over leaves the run successful", () =>
    Effect.gen(function*() {
      for (const onError of ["continue", "skip-remaining"] as const) {
        const { lines, log } = kept()
        const passes = Pipeline.make<{}>("passes")
          .step({ name: "flaky", onError }, () => Effect.fail(new TypeError("no")))
          .step("next", () => ({ next: 1 }))
        yield* passes.run({}, { runId, log })
        expect(lines().slice(2, 6)).toEqual([
          "",
          "📍 Step: flaky",
          "❌ flaky failed after 0ms",
          "   Error: TypeError: no"
        ])
        expect(lines().includes("📍 Step: next")).toBe(onError === "continue")
        expect(lines().at(-1)).toBe("✨ Pipeline completed successfully")
      }
    }))

  it.effect("that is repeated at once has one line, with the time of all attempts", () =>
    Effect.gen(function*() {
      let attempts = 0
      const flaky = Pipeline.make<{}>("flaky").step(
        { name: "call", retries: 2, retryDelayMs: 100 },
        () => ++attempts < 3 ? Effect.fail(new Error("busy")) : takes(1, { answer: 42 })
      )
      const { lines, log } = kept()
      yield* ticking(flaky.run({}, { runId, log }))
      expect(attempts).toBe(3)
      expect(lines().slice(2)).toEqual([
        "",
        "📍 Step: call",
        "✅ call completed in 201ms",
        "   Output: answer",
        "",
        "✨ Pipeline completed successfully"
      ])
    }))

  it.effect("that is repeated much later says when", () =>
    Effect.gen(function*() {
      let attempts = 0
      const flaky = Pipeline.make<{}>("flaky").step(
        { name: "call", retries: 1, retryDelayMs: 60_000 },
        () => ++attempts < 2 ? Effect.fail(new Error("busy")) : takes(1, { answer: 42 })
      )
      const { lines, log } = kept()
      const fiber = yield* Effect.forkChild(flaky.run({}, { runId, log }))
      while (fiber.pollUnsafe() === undefined) yield* TestClock.adjust(1_000)
      expect(yield* Fiber.join(fiber)).toEqual({ answer: 42 })
      expect(lines().slice(2, 5)).toEqual([
        "",
        "📍 Step: call",
        "🔁 call failed, and is tried again at 1970-01-01T00:01:00.000Z"
      ])
      expect(lines().slice(-4, -1)).toEqual([
        expect.stringMatching(/^✅ call completed in /),
        "   Output: answer",
        ""
      ])
    }))

  // Effect's breaker is loaded when it is needed, which no test clock waits for.
  it.live("whose circuit is open is skipped where it is to be, and fails where it is not", () =>
    Effect.gen(function*() {
      for (const behaviorOnOpen of ["skip", "throw"] as const) {
        const breaks = Pipeline.make<{}>("breaks").step({
          name: "call",
          onError: "continue",
          circuitBreaker: { failureThreshold: 1, cooldownMs: 60_000, behaviorOnOpen }
        }, () => Effect.fail(new Error("down")))
        yield* breaks.run({})
        const { lines, log } = kept(stopwatch)
        yield* breaks.run({}, { runId, log })
        const told = lines().join("\n")
        if (behaviorOnOpen === "skip") {
          expect(told).toContain("\n⏭️  Step: call (skipped, its circuit is open)\n")
          expect(boxOf(lines())).toContain(row("⏭️", "call", "skipped"))
        } else expect(told).toMatch(/\n❌ call failed after .*\n {3}Error: StepCircuitOpen: /)
      }
    }))

  it.effect("of log: false is not printed, and stands in the box; its failure is not printed either", () =>
    Effect.gen(function*() {
      const { lines, log } = kept(stopwatch)
      const quiet = Pipeline.make<{}>("quiet")
        .step({ name: "secret", log: false }, () => ({ a: 1 }))
        .step({ name: "broken", log: false, onError: "continue" }, () => Effect.fail("no"))
        .step({ name: "left", log: false, condition: false }, () => ({ a: 1 }))
        .step("open", () => ({ b: 1 }))
      yield* quiet.run({}, { runId, log })
      expect(lines().slice(2, 6)).toEqual([
        "",
        "📍 Step: open",
        "✅ open completed in 0ms",
        "   Output: b"
      ])
      expect(boxOf(lines())).toEqual([
        top,
        row("✅", "secret", "0ms"),
        row("❌", "broken", "0ms"),
        row("⏭️", "left", "skipped"),
        row("✅", "open", "0ms"),
        bottom
      ])
    }))

  it.effect("of log: true is the only thing printed of a call without a log", () =>
    Effect.gen(function*() {
      const loud = Pipeline.make<{}>("loud")
        .step("quiet", () => ({ a: 1 }))
        .step({ name: "loud", log: true }, () => takes(3, { b: 1 }))
        .step(
          { name: "broken", log: true, onError: "continue" },
          () => Effect.fail(new Error("no"))
        )
        .step({ name: "left", log: true, condition: false }, () => ({}))
      for (const options of [{ runId }, { runId, log: undefined }]) {
        yield* ticking(loud.run({}, options))
      }
      const once = ["\n📍 Step: loud", "✅ loud completed in 3ms", "   Output: b"]
      const rest = ["\n📍 Step: broken", "\n⏭️  Step: left (skipped)"]
      expect(yield* TestConsole.logLines).toEqual([...once, ...rest, ...once, ...rest])
      expect(yield* TestConsole.errorLines).toEqual([
        "❌ broken failed after 0ms\n   Error: no",
        "❌ broken failed after 0ms\n   Error: no"
      ])
    }))

  it.effect("of log: true inside a branch of a nested pipeline is printed, too", () =>
    Effect.gen(function*() {
      const inner = Pipeline.make<{}>("inner").branchOn("route", {
        default: (b) => b.step({ name: "loud", log: true }, () => ({ x: 1 }))
      })
      yield* Pipeline.make<{}>("outer").step("nest", inner).run({})
      expect(yield* TestConsole.logLines).toEqual([
        "\n📍 Step: nest/route/default-case/loud",
        "✅ nest/route/default-case/loud completed in 0ms",
        "   Output: x"
      ])
    }))

  it.effect("stays printed where only what it stands in is not", () =>
    Effect.gen(function*() {
      const { lines, log } = kept()
      const quiet = Pipeline.make<{}>("quiet").branchOn({ name: "route", log: false }, {
        default: (b) => b.step("work", () => ({ x: 1 }))
      })
      yield* quiet.run({}, { runId, log })
      expect(lines().slice(2)).toEqual([
        "",
        "📍 Step: route/default-case/work",
        "✅ route/default-case/work completed in 0ms",
        "   Output: x",
        "",
        "✨ Pipeline completed successfully"
      ])
    }))
})

describe("the box", () => {
  const boxed = (name: string) =>
    Effect.gen(function*() {
      const { lines, log } = kept(stopwatch)
      const named = Pipeline.make<{}>("named").step(name, () => takes(12, {})).step(
        { name: "left", condition: false },
        () => ({})
      )
      yield* ticking(named.run({}, { runId, log }))
      return boxOf(lines())
    })

  it.effect("is 54 columns wide inside, whatever stands in it", () =>
    Effect.gen(function*() {
      for (const length of [1, 42, 43, 44, 45, 60, 71, 72, 73, 190]) {
        const box = yield* boxed("n".repeat(length))
        expect(box.map(columns)).toEqual([56, 56, 56, 56])
        const name = length <= 44 ? "n".repeat(length) : `${"n".repeat(43)}…`
        expect(box[1]).toBe(row("✅", name, "12ms"))
      }
    }))

  for (const name of ["価格を計算する", "가격", "📦 pack", "cafe\u0301 au lait", "𝒑𝒓𝒊𝒄𝒆"]) {
    it.effect(`keeps its right border where "${name}" stands in it`, () =>
      Effect.gen(function*() {
        const box = yield* boxed(name)
        expect(box.map(columns)).toEqual([56, 56, 56, 56])
      }))
  }

  it.effect("cuts no character of two halves apart", () =>
    Effect.gen(function*() {
      for (const before of [40, 41, 42, 43]) {
        const [, line] = yield* boxed(`${"n".repeat(before)}📦📦📦`)
        expect(line).not.toMatch(/\p{Cs}/u)
      }
    }))
})

describe("names and values that are hostile", () => {
  const hostile = "a\u001b[31mb\u0007c\nd\r\u009b2Je\u202ef\u2028"
  // oxlint-disable-next-line no-control-regex
  const acts = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/

  const attack = Pipeline.make<Record<string, string>>("attack")
    .step(`${hostile}1`, () => ({ [`${hostile}key`]: 1 }))
    .step({ name: `${hostile}2`, onError: "continue" }, () => Effect.fail(new Error(hostile)))
    .step({ name: `${hostile}3`, condition: false }, () => ({}))
    .branchOn(`${hostile}4`, {
      name: `${hostile}case`,
      when: () => true,
      then: (b) => b.step(hostile, () => ({}))
    })
    .transform(`${hostile}5`, () => ({ [hostile]: hostile }))

  it.effect("never reach a terminal as they are, in a run or in a checkpoint's", () =>
    Effect.gen(function*() {
      const { log, texts } = kept(stopwatch)
      let checkpoint = ""
      yield* attack.run({ [hostile]: hostile }, {
        runId,
        log,
        onStepComplete: (event) => void (checkpoint ||= event.checkpoint)
      })
      yield* attack.runCheckpoint(checkpoint, { log })
      expect(texts.length).toBeGreaterThan(30)
      for (const text of texts) {
        expect(text).not.toMatch(acts)
        // A name takes no line of its own.
        expect(text.replace(/^\n/, "").split("\n").length)
          .toBe(text.startsWith("❌") ? 2 : text.includes("Statistics") ? 4 : 1)
      }
      expect(boxOf(texts).map(columns)).toEqual(boxOf(texts).map(() => 56))
    }))

  it.effect("are still known for what they are: conditions, branches, transforms, and log: false", () =>
    Effect.gen(function*() {
      const told: Array<string> = []
      const { lines, log } = kept({ stopwatch: { showStepDuration: false } })
      for (const name of [hostile, "n".repeat(100)]) {
        const named = Pipeline.make<{}>("named")
          .step({ name: `${name}1`, condition: false }, () => ({}))
          .branchOn(`${name}2`, { default: (b) => b.step("inner", () => ({})) })
          .transform(`${name}3`, () => ({}))
          .step({ name: `${name}4`, log: false }, () => ({}))
        yield* named.run({}, {
          runId,
          log,
          onStepComplete: ({ stepName }) => void told.push(`done ${stepName}`),
          onStepSkipped: ({ reason }) => void told.push(`skipped: ${reason}`)
        })
      }
      const heads = lines().filter((line) => /^(📍|🔀|🔄|⏭️ {2})/u.test(line))
      expect(heads.map((line) => line.split(" ").slice(0, 3).join(" ").trim().replace(/:.*/, "")))
        .toEqual([
          "⏭️  Step",
          "🔀 Branch",
          "📍 Step",
          "🔄 Transform",
          "⏭️  Step",
          "🔀 Branch",
          "📍 Step",
          "🔄 Transform"
        ])
      expect(told.filter((one) => one === "skipped: condition")).toHaveLength(2)
      expect(told.filter((one) => one.startsWith("done"))).toHaveLength(8)
    }))

  it.effect("of a pipeline are told whole, with what looks like a counter or a mark", () =>
    Effect.gen(function*() {
      const told: Array<string> = []
      const { lines, log } = kept()
      const long = "n".repeat(100)
      const marked = Pipeline.make<{}>("marked")
        .step("item#1", () => ({ a: 1 }))
        .step("ready?", () => ({ b: 1 }))
        .step("done!", () => ({ c: 1 }))
        .step(long, () => ({ d: 1 }))
      yield* marked.run({}, {
        runId,
        log,
        onStepComplete: ({ stepName }) => void told.push(stepName)
      })
      expect(told).toEqual(["item#1", "ready?", "done!", long])
      expect(lines().filter((line) => line.startsWith("📍")).slice(0, 3)).toEqual([
        "📍 Step: item#1",
        "📍 Step: ready?",
        "📍 Step: done!"
      ])
    }))

  it.effect("that look like what a pipeline journals for itself are told apart from it", () =>
    Effect.gen(function*() {
      const told: Array<string> = []
      const marked = Pipeline.make<{}>("marked")
        .step({ name: "x", condition: false }, () => ({ x: 1 }))
        .step("x?", () => ({ y: 1 }))
      const result = yield* marked.run({}, {
        onStepComplete: ({ stepName }) => void told.push(`done ${stepName}`),
        onStepSkipped: ({ stepName }) => void told.push(`skipped ${stepName}`)
      })
      expect(result).toEqual({ y: 1 })
      expect(told).toEqual(["skipped x", "done x?"])
    }))

  it.effect("that look like a container's are told apart from it, by what comes first", () =>
    Effect.gen(function*() {
      const told: Array<string> = []
      const { lines, log } = kept({ stopwatch: { showStepDuration: false } })
      const part = (key: string) => Pipeline.make<{}>("part").step("work", () => ({ [key]: 1 }))
      const marked = Pipeline.make<{}>("marked")
        .branchOn("x", { name: "a", when: () => true, then: part("inner") })
        .step("x>", () => ({ a: 1 }))
        .step("x!", () => ({ b: 1 }))
        .step({ name: "x", timeout: 100, retries: 1 }, part("other"))
        .step("x~", () => ({ c: 1 }))
        .step("timeout", part("third"), () => ({ d: 1 }))
        .step("timeout()", () => ({ e: 1 }))
      yield* marked.run({}, {
        runId,
        log,
        onStepComplete: ({ stepName }) => void told.push(stepName)
      })
      const names = [
        "x/a/work",
        "x",
        "x>",
        "x!",
        "x/work",
        "x",
        "x~",
        "timeout/work",
        "timeout",
        "timeout()"
      ]
      expect(told).toEqual(names)
      const ends = lines().filter((line) => line.startsWith("✅"))
      expect(ends).toEqual(names.map((name) => `✅ ${name} completed`))
      const outputs = lines().filter((line) => line.startsWith("   Output"))
      expect(outputs.map((line) => line.replace("   Output: ", "")))
        .toEqual(["inner", "inner", "a", "b", "other", "other", "c", "third", "third, d", "e"])
    }))

  it.effect("of several of one name are told each with its own log and breaker", () =>
    Effect.gen(function*() {
      const { lines, log } = kept()
      const twins = Pipeline.make<{}>("twins")
        .step({ name: "x", log: false, condition: () => false }, () => ({ a: 1 }))
        .step({ name: "x", condition: () => false }, () => ({ a: 1 }))
        .step({ name: "y", log: false }, () => ({ b: 1 }))
        .step("y", () => ({ c: 1 }))
      yield* twins.run({}, { runId, log })
      expect(lines().filter((line) => /^(⏭️|📍)/u.test(line)))
        .toEqual(["⏭️  Step: x (skipped)", "📍 Step: y"])
      expect(lines()).toContain("   Output: c")
    }))

  it.effect("are plain in a workflow's steps, waits, reasons and events", () =>
    Effect.gen(function*() {
      const { log, texts } = kept(stopwatch)
      const attacked = Workflow.make("attacked", { events: { go: Schema.String } }, function*(ctx) {
        yield* ctx.step(hostile, () => hostile)
        yield* ctx.suspend("go", { reason: hostile, key: hostile })
        yield* ctx.step("fails", () => Effect.fail(new Error(hostile)))
      })
      const event = { eventName: "go", key: hostile, value: hostile } as const
      yield* attacked.start(undefined, { runId, log })
      yield* attacked.resume(runId, event, { log })
      expect(texts.join("\n")).toContain("Waiting: go")
      expect(texts.join("\n")).toContain("📨")
      for (const text of texts) expect(text).not.toMatch(acts)
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("cannot make a line endless, by many keys or a long error", () =>
    Effect.gen(function*() {
      const { lines, log } = kept()
      const keys = Object.fromEntries(Array.from({ length: 5_000 }, (_, n) => [`key${n}`, n]))
      const wide = Pipeline.make<Record<string, number>>("wide")
        .step("keys", () => keys)
        .step("error", () => Effect.fail(new Error("e".repeat(100_000))))
      yield* Effect.exit(wide.run(keys, { runId, log }))
      expect(Math.max(...lines().map(({ length }) => length))).toBeLessThan(300)
    }))
})

describe("where it goes", () => {
  const fails = Pipeline.make<{}>("fails")
    .step("fine", () => ({ a: 1 }))
    .step({ name: "broken", onError: "continue" }, () => Effect.fail(new Error("no")))
  const failure = "❌ broken failed after 0ms\n   Error: no"

  it.effect("is the console, and of failures the console's error", () =>
    Effect.gen(function*() {
      yield* fails.run({}, { runId, log: true })
      expect(yield* TestConsole.errorLines).toEqual([failure])
      expect(yield* TestConsole.logLines).toEqual([
        "🚀 Starting pipeline (run r1)",
        "   Input: {}",
        "\n📍 Step: fine",
        "✅ fine completed in 0ms",
        "   Output: a",
        "\n📍 Step: broken",
        "\n✨ Pipeline completed successfully"
      ])
    }))

  it.effect("is logFn for everything, or errorLogFn for failures", () =>
    Effect.gen(function*() {
      const one = kept()
      yield* fails.run({}, { runId, log: one.log })
      expect(one.texts).toContain(failure)

      const errors: Array<string> = []
      const two = kept({ errorLogFn: (text) => void errors.push(text) })
      yield* fails.run({}, { runId, log: two.log })
      expect(errors).toEqual([failure])
      expect(two.texts).toEqual(one.texts.filter((text) => text !== failure))

      yield* fails.run({}, { runId, log: { errorLogFn: (text) => void errors.push(text) } })
      expect(errors).toEqual([failure, failure])
      expect(yield* TestConsole.logLines).toEqual(two.texts)
      expect(yield* TestConsole.errorLines).toEqual([])
    }))

  it.effect("does not change what a run comes to, also when it is a function that throws", () =>
    Effect.gen(function*() {
      const thrown = () => {
        throw new Error("the pipe is closed")
      }
      const rejected = async () => thrown()
      for (const logFn of [thrown, rejected]) {
        for (const log of [{ logFn, ...stopwatch }, { errorLogFn: logFn, logFn, ...stopwatch }]) {
          const result = yield* ticking(calc.run({ a: 1 }, { log }))
          expect(result).toEqual({ a: 4, doubled: true, sum: 4 })
          const failing = Pipeline.make<{}>("failing").step(
            "pay",
            () => Effect.fail(new Error("declined"))
          )
          expect(yield* Effect.flip(failing.run({}, { log })))
            .toMatchObject({ _tag: "StepFailed", step: "pay", message: "declined" })
        }
      }
    }))

  it.effect("is given the rest where one text cannot be taken", () =>
    Effect.gen(function*() {
      const texts: Array<string> = []
      const logFn = (text: string) => {
        if (text.includes("Step")) throw new Error("no steps")
        texts.push(text)
      }
      yield* fails.run({}, { runId, log: { logFn } })
      expect(texts.at(-1)).toBe("\n✨ Pipeline completed successfully")
      expect(texts).toContain("   Output: a")
    }))

  it.effect("is the console's error for the end of a run that failed, in red", () =>
    Effect.gen(function*() {
      const fatal = Pipeline.make<{}>("fatal").step("a", () => Effect.fail(new TypeError("no")))
      yield* Effect.flip(fatal.run({}, { runId, log: { colors: true } }))
      expect((yield* TestConsole.errorLines).at(-1))
        .toBe("\n\u001b[31m❌ Pipeline failed: TypeError: no\u001b[0m")
    }))
})

describe("colours", () => {
  const stdout = process.stdout as { isTTY?: boolean }
  const stderr = process.stderr as { isTTY?: boolean }
  const was = { out: stdout.isTTY, err: stderr.isTTY, no: process.env["NO_COLOR"] }
  const terminal = (out: boolean, err: boolean, noColor?: string) => {
    stdout.isTTY = out
    stderr.isTTY = err
    if (noColor === undefined) delete process.env["NO_COLOR"]
    else process.env["NO_COLOR"] = noColor
  }
  afterEach(() => {
    Object.assign(stdout, { isTTY: was.out })
    Object.assign(stderr, { isTTY: was.err })
    if (was.no === undefined) delete process.env["NO_COLOR"]
    else process.env["NO_COLOR"] = was.no
  })

  const fails = Pipeline.make<{}>("fails")
    .step({ name: "broken", onError: "continue" }, () => Effect.fail(new Error("no")))
    .step({ name: "left", condition: false }, () => ({}))
    .step("fine", () => ({ a: 1 }))

  const coloured = [
    "\u001b[1m🚀 Starting pipeline (run r1)\u001b[0m",
    "\u001b[2m   Input: {}\u001b[0m",
    "\n📍 Step: broken",
    "\u001b[31m❌ broken failed after 0ms\u001b[0m\n   Error: no",
    "\n\u001b[2m⏭️  Step: left (skipped)\u001b[0m",
    "\n📍 Step: fine",
    "\u001b[32m✅ fine completed in 0ms\u001b[0m",
    "\u001b[2m   Output: a\u001b[0m",
    "\n\u001b[32m✨ Pipeline completed successfully\u001b[0m"
  ]
  const plain = coloured.map((text) => stripVTControlCharacters(text))
  const printed = Effect.gen(function*() {
    const all = [...(yield* TestConsole.logLines), ...(yield* TestConsole.errorLines)]
    return all.map(String).toSorted()
  })

  it.effect("are used on a terminal", () =>
    Effect.gen(function*() {
      terminal(true, true)
      yield* fails.run({}, { runId, log: true })
      expect(yield* printed).toEqual(coloured.toSorted())
    }))

  it.effect("are not used in a file, where NO_COLOR is set, or where they are turned off", () =>
    Effect.gen(function*() {
      const cases = [
        [false, undefined, {}],
        [true, "1", {}],
        [true, undefined, { colors: false }]
      ] as const
      for (const [isTTY, noColor, log] of cases) {
        terminal(isTTY, isTTY, noColor)
        yield* fails.run({}, { runId, log })
      }
      expect(yield* printed).toEqual([...plain, ...plain, ...plain].toSorted())
    }))

  it.effect("are used where NO_COLOR is empty, and where they are asked for", () =>
    Effect.gen(function*() {
      const cases = [[true, "", {}], [false, undefined, { colors: true }], [true, "1", {
        colors: true
      }]] as const
      for (const [isTTY, noColor, log] of cases) {
        terminal(isTTY, isTTY, noColor)
        yield* fails.run({}, { runId, log })
      }
      expect(yield* printed).toEqual([...coloured, ...coloured, ...coloured].toSorted())
    }))

  it.effect("are not given to a function that takes the text, unless they are asked for", () =>
    Effect.gen(function*() {
      terminal(true, true)
      const one = kept()
      yield* fails.run({}, { runId, log: one.log })
      expect(one.texts).toEqual(plain)
      const two = kept({ colors: true })
      yield* fails.run({}, { runId, log: two.log })
      expect(two.texts).toEqual(coloured)
    }))

  it.effect("are not given to a function that takes only the failures", () =>
    Effect.gen(function*() {
      terminal(true, true)
      const errors: Array<string> = []
      yield* fails.run({}, { runId, log: { errorLogFn: (text) => void errors.push(text) } })
      expect(errors).toEqual([plain[3]])
    }))

  it.effect("of failures depend on where failures go", () =>
    Effect.gen(function*() {
      terminal(true, false)
      yield* fails.run({}, { runId, log: true })
      expect(yield* TestConsole.errorLines).toEqual([plain[3]])
    }))

  it.effect("never stand in the box", () =>
    Effect.gen(function*() {
      const { log, texts } = kept({ stopwatch: true, colors: true })
      yield* calc.run({ a: 1 }, { runId, log }).pipe(ticking)
      expect(boxOf(texts)).toHaveLength(5)
      for (const line of boxOf(texts)) expect(stripVTControlCharacters(line)).toBe(line)
    }))
})

describe("a workflow", () => {
  const events = { go: Schema.Struct({ ok: Schema.Boolean }) }
  const triage = Workflow.make("triage", { events }, function*(ctx, ticket: { id: string }) {
    yield* ctx.step("classify", () => takes(120, { severity: 5, id: ticket.id }))
    yield* ctx.all({
      us: ctx.step("charge", () => takes(20, "paid")),
      eu: ctx.step("charge", () => takes(10, 7))
    }, { name: "fan" })
    const { ok } = yield* ctx.suspend("go", { reason: "severity 5" })
    yield* ctx.step("notify", () => Effect.sleep(1))
    return ok
  })

  it.effect("is printed to where it waits, and from there on when it is resumed", () =>
    Effect.gen(function*() {
      const first = kept(stopwatch)
      yield* ticking(triage.start({ id: "t1" }, { runId, log: first.log }))
      expect(first.lines()).toEqual([
        `🚀 Starting workflow "triage" (run r1)`,
        "   Input: id",
        "",
        "📍 Step: classify",
        "✅ classify completed in 120ms",
        "   Output: severity, id",
        "",
        "📍 Step: fan/us/charge",
        "",
        "📍 Step: fan/eu/charge",
        "✅ fan/eu/charge completed in 10ms",
        "   Output: 7",
        "✅ fan/us/charge completed in 20ms",
        `   Output: "paid"`,
        "",
        "⏸️  Waiting: go  severity 5",
        "",
        "⏱️  Performance Summary:",
        top,
        row("✅", "classify", "120ms"),
        row("✅", "fan/eu/charge", "10ms"),
        row("✅", "fan/us/charge", "20ms"),
        bottom,
        "",
        "📊 Statistics:",
        "   Average: 50ms",
        "   Slowest: classify (120ms)",
        "   Fastest: fan/eu/charge (10ms)",
        "",
        "⏰ Total Workflow Time: 140ms",
        "",
        `⏸️  Workflow "triage" waits for go (run r1)`
      ])

      const second = kept()
      const event = { eventName: "go", value: { ok: true } } as const
      yield* ticking(triage.resume(runId, event, { log: second.log }))
      expect(second.lines()).toEqual([
        `🚀 Resuming workflow "triage" (run r1, session 2)`,
        "",
        "⏭️  Step: classify (resume-skip)",
        "",
        "⏭️  Step: fan/eu/charge (resume-skip)",
        "",
        "⏭️  Step: fan/us/charge (resume-skip)",
        `📨 go  {"ok":true}`,
        "",
        "📍 Step: notify",
        "✅ notify completed in 1ms",
        "",
        `✨ Workflow "triage" completed successfully`
      ])
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("that is executed is one log, through all that it waits for", () =>
    Effect.gen(function*() {
      const { lines, log } = kept()
      const fiber = yield* Effect.forkChild(triage.execute({ id: "t1" }, { runId, log }))
      while (!lines().some((line) => line.startsWith("⏸️"))) yield* TestClock.adjust(1)
      yield* triage.send(runId, { eventName: "go", value: { ok: true } })
      yield* ticking(Fiber.join(fiber))
      const all = lines()
      expect(all.filter((line) => line.startsWith("🚀"))).toHaveLength(1)
      expect(all.filter((line) => line.includes("resume-skip"))).toEqual([])
      expect(all.slice(-8)).toEqual([
        "",
        "⏸️  Waiting: go  severity 5",
        `📨 go  {"ok":true}`,
        "",
        "📍 Step: notify",
        "✅ notify completed in 1ms",
        "",
        `✨ Workflow "triage" completed successfully`
      ])
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("says until when it waits, and that the time is up", () =>
    Effect.gen(function*() {
      const waits = Workflow.make("waits", { events }, function*(ctx) {
        yield* ctx.suspend("go", { timeout: "1 minute" })
        yield* ctx.sleep("1 hour")
        return "over"
      })
      const { lines, log } = kept()
      yield* waits.start(undefined, { runId, log })
      yield* TestClock.adjust("1 minute")
      yield* waits.resume(runId, undefined, { log })
      yield* TestClock.adjust("1 hour")
      yield* waits.resume(runId, undefined, { log })
      expect(lines()).toEqual([
        `🚀 Starting workflow "waits" (run r1)`,
        "",
        "⏸️  Waiting: go  (until 1970-01-01T00:01:00.000Z)",
        "",
        `⏸️  Workflow "waits" waits for go (run r1)`,
        `🚀 Resuming workflow "waits" (run r1, session 2)`,
        "⏰ go: nobody answered in time",
        "",
        "⏸️  Waiting: sleep  (until 1970-01-01T01:01:00.000Z)",
        "",
        `⏸️  Workflow "waits" waits for sleep (run r1)`,
        `🚀 Resuming workflow "waits" (run r1, session 3)`,
        "⏰ sleep is over",
        "",
        `✨ Workflow "waits" completed successfully`
      ])
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("from a checkpoint and as a retry says so", () =>
    Effect.gen(function*() {
      let down = true
      const pays = Workflow.make("pays", function*(ctx) {
        yield* ctx.all({ eu: ctx.step("check", () => 1) }, { name: "fan" })
        yield* ctx.step("pay", () => down ? Effect.fail(new Error("down")) : takes(3, "paid"))
      })
      const failed = kept()
      let checkpoint = ""
      yield* pays.start(undefined, {
        runId,
        log: failed.log,
        onStepComplete: (event) => void (checkpoint = event.checkpoint)
      })
      expect(failed.lines().slice(-3)).toEqual([
        "   Error: down",
        "",
        `❌ Workflow "pays" failed: down`
      ])
      down = false
      const rest = [
        "",
        "⏭️  Step: fan/eu/check (resume-skip)",
        "",
        "📍 Step: pay",
        "✅ pay completed in 3ms",
        `   Output: "paid"`,
        "",
        `✨ Workflow "pays" completed successfully`
      ]
      const retried = kept()
      yield* ticking(pays.retryFrom(runId, { runId: "r2", log: retried.log }))
      expect(retried.lines()).toEqual([
        `🚀 Resuming workflow "pays" (run r2, forked from r1)`,
        ...rest
      ])
      const anew = kept()
      yield* ticking(pays.runCheckpoint(checkpoint, { log: anew.log }))
      expect(anew.lines()).toEqual([
        `🚀 Resuming workflow "pays" from checkpoint step: fan/eu/check`,
        ...rest
      ])
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("shows what its child came to, and none of the child's steps", () =>
    Effect.gen(function*() {
      const kid = Workflow.make("kid", function*(ctx, n: number) {
        return yield* ctx.step("within", () => takes(5, n + 1))
      })
      const parent = Workflow.make("parent", function*(ctx) {
        yield* ctx.step("before", () => takes(1, 1))
        return yield* ctx.child(kid, 1, { runId: "kid1" })
      })
      const { lines, log } = kept(stopwatch)
      const fiber = yield* Effect.forkChild(parent.execute(undefined, { runId, log }))
      yield* ticking(Fiber.join(fiber))
      expect(lines().join("\n")).not.toContain("within")
      expect(lines().filter((line) => line.endsWith(": kid"))).toEqual(["👶 Child: kid"])
      const end = lines().indexOf("✅ kid completed in 5ms")
      expect(lines()[end + 1]).toBe("   Output: 2")
      expect(boxOf(lines())).toEqual([
        top,
        row("✅", "before", "1ms"),
        row("✅", "kid", "5ms"),
        bottom
      ])
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("whose child fails or is not waited for says so", () =>
    Effect.gen(function*() {
      const kid = Workflow.make("kid", function*(ctx, fails: boolean) {
        return yield* ctx.step("within", () => fails ? Effect.fail(new Error("no")) : 1)
      })
      const parent = Workflow.make("parent", function*(ctx) {
        yield* ctx.child(kid, false, { name: "left", runId: "kid1", discard: true })
        return yield* ctx.child(kid, true, { runId: "kid2" })
      })
      const { lines, log } = kept(stopwatch)
      yield* parent.start(undefined, { runId, log })
      expect(lines()).toContain("✅ left completed in 0ms")
      expect(lines()).toContain("   Output: run kid1")
      const failed = lines().indexOf("❌ kid failed after 0ms")
      expect(lines()[failed + 1]).toBe("   Error: no")
      expect(boxOf(lines())).toEqual([
        top,
        row("✅", "left", "0ms"),
        row("❌", "kid", "0ms"),
        bottom
      ])
      expect(lines().at(-1)).toBe(`❌ Workflow "parent" failed: no`)
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("that waited for its child times it from its start, and skips it when it goes on", () =>
    Effect.gen(function*() {
      const kid = Workflow.make("kid", { events }, function*(ctx) {
        yield* ctx.suspend("go")
        return "done"
      })
      const parent = Workflow.make("parent", { events }, function*(ctx) {
        yield* ctx.child(kid, undefined, { runId: "kid1" })
        yield* ctx.suspend("go")
      })
      const go = { eventName: "go", value: { ok: true } } as const
      const first = kept()
      yield* parent.start(undefined, { runId, log: first.log })
      expect(first.lines().at(-1)).toBe(`⏸️  Workflow "parent" waits for kid (run r1)`)
      yield* TestClock.adjust("1 minute")
      yield* kid.resume("kid1", go)
      const second = kept()
      yield* parent.resume(runId, undefined, { log: second.log })
      expect(second.lines()).toContain("✅ kid completed in 1m 0s")
      const third = kept(stopwatch)
      yield* parent.resume(runId, go, { log: third.log })
      expect(third.lines().slice(0, 4)).toEqual([
        `🚀 Resuming workflow "parent" (run r1, session 3)`,
        "",
        "⏭️  Child: kid (resume-skip)",
        `📨 go  {"ok":true}`
      ])
      expect(boxOf(third.lines())).toEqual([top, row("⏭️", "kid", "skipped"), bottom])
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("whose child is of the same workflow shows only its own steps", () =>
    Effect.gen(function*() {
      const nested: Workflow.Workflow<number, number, any, {}, any, any, any> = Workflow.make(
        "nested",
        { input: Schema.Number, output: Schema.Number },
        function*(ctx, depth): Workflow.Body<number, any, any> {
          yield* ctx.step("at", () => ({ depth }))
          return depth === 0 ? 0 : yield* ctx.child(nested, depth - 1) as any
        }
      ) as any
      const { lines, log } = kept()
      yield* ticking(
        Effect.forkChild(nested.execute(2, { runId, log })).pipe(
          Effect.flatMap(Fiber.join)
        )
      )
      expect(lines().filter((line) => line === "📍 Step: at")).toHaveLength(1)
      expect(lines().filter((line) => line.startsWith("🚀"))).toHaveLength(1)
      expect(lines()[1]).toBe("   Input: 2")
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("that continues as another run is printed on", () =>
    Effect.gen(function*() {
      const counts = Workflow.make("counts", function*(ctx, n: number) {
        yield* ctx.step("count", () => ({ n }))
        if (n < 2) yield* ctx.continueAs(n + 1)
        return n
      })
      for (const call of ["execute", "start"] as const) {
        const { lines, log } = kept()
        const options = { runId: call, log }
        if (call === "start") yield* ticking(counts.start(0, options))
        else expect(yield* ticking(counts.execute(0, options))).toBe(2)
        expect(lines().filter((line) => !/^(📍|✅| {3}Output|$)/u.test(line))).toEqual([
          `🚀 Starting workflow "counts" (run ${call})`,
          "   Input: 0",
          `↪️  Workflow "counts" goes on as run ${call}+2`,
          `↪️  Workflow "counts" goes on as run ${call}+3`,
          `✨ Workflow "counts" completed successfully`
        ])
        expect(lines().filter((line) => line.startsWith("📍"))).toHaveLength(3)
      }
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("that is cancelled, or is left behind by its code, says so", () =>
    Effect.gen(function*() {
      const { lines, log } = kept()
      const fiber = yield* Effect.forkChild(
        Effect.exit(triage.execute({ id: "t1" }, { runId, log }))
      )
      while (!lines().some((line) => line.startsWith("⏸️"))) yield* TestClock.adjust(1)
      yield* Effect.forkChild(triage.cancel(runId, { reason: "closed" }))
      yield* ticking(Fiber.join(fiber))
      expect(lines().at(-1)).toBe(`• Workflow "triage" was cancelled`)

      const broken = Workflow.make("broken", function*(ctx) {
        yield* ctx.step("a", () => 1)
        return (null as unknown as { readonly x: string }).x
      })
      const second = kept()
      yield* Effect.flip(broken.start(undefined, { runId: "b", log: second.log }))
      expect(second.lines().at(-1)).toMatch(/^• Workflow "broken" left: The body threw TypeError: /)
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("whose hook fails is left open", () =>
    Effect.gen(function*() {
      const { lines, log } = kept()
      yield* Effect.flip(
        calc.run({ a: 1 }, {
          runId,
          log,
          onStepComplete: () => Effect.fail("no")
        }).pipe(ticking)
      )
      expect(lines().slice(3, 6)).toEqual([
        "📍 Step: add-one",
        "✅ add-one completed in 3ms",
        "   Output: a"
      ])
      expect(lines().at(-1)).toMatch(/^• Pipeline left/)
    }))

  it.effect("that is aborted or interrupted is left open, with its summary", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const blocked = Pipeline.make<{}>("blocked")
        .step("first", () => takes(2, { a: 1 }))
        .step("second", () => Effect.as(Deferred.await(gate), {}))
      for (const controller of [new AbortController(), undefined]) {
        const { lines, log } = kept(stopwatch)
        const fiber = yield* Effect.forkChild(
          blocked.run({}, { runId, log, ...(controller && { signal: controller.signal }) })
        )
        while (!lines().includes("📍 Step: second")) yield* TestClock.adjust(1)
        if (controller === undefined) yield* Fiber.interrupt(fiber)
        else {
          controller.abort()
          yield* Effect.exit(Fiber.join(fiber))
        }
        expect(boxOf(lines())).toEqual([top, row("✅", "first", "2ms"), bottom])
        expect(lines().at(-1)).toBe("• Pipeline left open")
      }
    }))
})

describe("runs beside each other", () => {
  it.effect("do not get into each other's logs, of one pipeline or of one inside another", () =>
    Effect.gen(function*() {
      const timed = Pipeline.make<{ id: string; millis: number }>("timed")
        .step("one", ({ millis }) => takes(millis, { one: 1 }))
        .step("two", ({ millis }) => takes(millis, { two: 2 }))
      const logs = ["x", "y", "z"].map((id, n) => ({ id, millis: 3 + n, ...kept(stopwatch) }))
      yield* ticking(Effect.all(
        logs.map(({ id, log, millis }) => timed.run({ id, millis }, { runId: id, log })),
        { concurrency: "unbounded" }
      ))
      for (const { id, lines, millis } of logs) {
        expect(lines().slice(0, 9)).toEqual([
          `🚀 Starting pipeline (run ${id})`,
          "   Input: id, millis",
          "",
          "📍 Step: one",
          `✅ one completed in ${millis}ms`,
          "   Output: one",
          "",
          "📍 Step: two",
          `✅ two completed in ${millis}ms`
        ])
        expect(boxOf(lines())).toEqual([
          top,
          row("✅", "one", `${millis}ms`),
          row("✅", "two", `${millis}ms`),
          bottom
        ])
        expect(lines().filter((line) => line.startsWith("🚀"))).toHaveLength(1)
      }
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("of one inside a step of another are printed where they are logged", () =>
    Effect.gen(function*() {
      const inner = Pipeline.make<{}>("same").step("inside", () => takes(2, { x: 1 }))
      const within = kept()
      const outer = Pipeline.make<{}>("same").step(
        "outside",
        () => Effect.as(inner.run({}, { runId: "i", log: within.log }), { y: 1 })
      )
      const around = kept()
      yield* ticking(outer.run({}, { runId: "o", log: around.log }))
      const steps = (lines: ReadonlyArray<string>) => lines.filter((line) => line.startsWith("📍"))
      expect(steps(within.lines())).toEqual(["📍 Step: inside"])
      expect(steps(around.lines())).toEqual(["📍 Step: outside"])
    }))

  it.effect("keep the order of what happened, where steps end out of turn", () =>
    Effect.gen(function*() {
      const { lines, log } = kept({ stopwatch: { showStepDuration: false } })
      const part = (millis: number) =>
        Pipeline.make<{}>("part").step(`takes-${millis}`, () => takes(millis, { [millis]: 1 }))
      const beside = Pipeline.make<{}>("beside").step("nest", part(9), part(3), part(6))
      yield* ticking(beside.run({}, { runId, log }))
      expect(lines().filter((line) => line !== "").slice(2, 13)).toEqual([
        "📍 Step: nest/takes-9",
        "📍 Step: nest/takes-3",
        "📍 Step: nest/takes-6",
        "✅ nest/takes-3 completed",
        "   Output: 3",
        "✅ nest/takes-6 completed",
        "   Output: 6",
        "✅ nest/takes-9 completed",
        "   Output: 9",
        "✅ nest completed",
        "   Output: 3, 6, 9"
      ])
    }))

  it.effect("time a step by the time that it took, also behind a wait of the run", () =>
    Effect.gen(function*() {
      const { lines, log } = kept(stopwatch)
      const napping = Workflow.make("napping", function*(ctx) {
        yield* ctx.sleep("1 hour")
        yield* ctx.step("work", () => Effect.sleep(5))
      })
      yield* napping.start(undefined, { runId })
      yield* TestClock.adjust("1 hour")
      yield* ticking(napping.resume(runId, undefined, { log }))
      expect(boxOf(lines())).toEqual([top, row("✅", "work", "5ms"), bottom])
      expect(lines()).toContain("⏰ Total Workflow Time: 5ms")
    }).pipe(Effect.provide(Storage.layerMemory)))
})
