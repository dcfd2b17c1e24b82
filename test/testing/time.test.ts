/**
 * The layers of the test kit, and the two ways in which time passes: `skipTime` and `play`.
 */
import { describe, expect, it } from "@effect/vitest"
import { Clock, Context, Deferred, Effect, Exit, Fiber, Layer, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Runs, Storage, Workflow } from "reprise"
import * as Testing from "reprise/testing"

/** A test with the kit's layer only: no clock but its own. */
const test = <A, E>(name: string, effect: Effect.Effect<A, E, Storage.Storage>) =>
  it.live(name, () => Effect.provide(effect, Testing.layer))

const days = (n: number) => n * 86_400_000

const clock = Workflow.make("clock", function*() {
  return Date.now() > 0
})

const moody = Workflow.make("moody", function*(ctx) {
  yield* ctx.step(answers++ % 2 === 0 ? "a" : "b", () => 1)
})
let answers = 0

describe("layer", () => {
  test(
    "begins at 0, keeps journals in memory, and suspends for every timer",
    Effect.gen(function*() {
      expect(yield* Clock.currentTimeMillis).toBe(0)
      const nap = Workflow.make("nap", function*(ctx) {
        yield* ctx.sleep("1 milli")
      })
      expect(yield* nap.start(undefined, { runId: "n" })).toMatchObject({
        status: "suspended",
        wakeAt: 1
      })
      expect((yield* Runs.list()).runs).toHaveLength(1)
    })
  )

  it.live("gives every program a storage of its own", () =>
    Effect.gen(function*() {
      const done = Workflow.make("done", function*() {
        return 1
      })
      const runs = Effect.andThen(done.start(undefined), Runs.list())
      const page = () =>
        Effect.promise(() => Effect.runPromise(Effect.provide(runs, Testing.layer)))
      expect((yield* page()).runs).toHaveLength(1)
      expect((yield* page()).runs).toHaveLength(1)
    }))

  test(
    "guards slices",
    Effect.gen(function*() {
      expect(yield* Effect.flip(clock.start(undefined))).toMatchObject({ _tag: "BodyDefect" })
    })
  )

  test(
    "replays in the shadow",
    Effect.gen(function*() {
      expect(yield* Effect.flip(moody.start(undefined))).toMatchObject({ _tag: "ReplayMismatch" })
    })
  )
})

describe("guarded and unguarded", () => {
  it.live("switch the guard on and off by themselves", () =>
    Effect.gen(function*() {
      const on = (layer: Layer.Layer<never>) =>
        Effect.exit(Effect.provide(clock.execute(undefined), [Storage.layerMemory, layer]))
      expect(yield* on(Testing.unguarded)).toEqual(Exit.succeed(true))
      expect(Exit.isFailure(yield* on(Testing.guarded))).toBe(true)
    }))
})

describe("skipTime", () => {
  test(
    "lets a thousand years pass",
    Effect.gen(function*() {
      const millennium = Workflow.make("millennium", function*(ctx) {
        for (let year = 0; year < 1_000; year++) yield* ctx.sleep("365 days")
        return yield* ctx.now
      })
      expect(yield* Testing.skipTime(millennium.execute(undefined))).toBe(days(365) * 1_000)
    }).pipe(Effect.provide(Testing.unguarded))
  )

  test(
    "stops at every timer on the way, in order",
    Effect.gen(function*() {
      const woke: Array<readonly [string, number]> = []
      const sleeper = Workflow.make("sleeper", function*(ctx, n: number) {
        yield* ctx.sleep(`${n} days`)
        yield* ctx.step("note", () =>
          Effect.map(Clock.currentTimeMillis, (now) => {
            woke.push([`${n}`, now])
          }))
      })
      const all = Effect.forEach([3, 1, 2], (n) => sleeper.execute(n), { concurrency: 3 })
      yield* Testing.skipTime(all)
      expect(woke).toEqual([["1", days(1)], ["2", days(2)], ["3", days(3)]])
    })
  )

  test(
    "does not skip while a step runs",
    Effect.gen(function*() {
      const order: Array<string> = []
      const timer = Workflow.make("timer", function*(ctx) {
        yield* ctx.sleep("1 hour")
        yield* ctx.step("rang", () => {
          order.push("rang")
        })
      })
      const slow = Workflow.make("slow", function*(ctx) {
        yield* ctx.step("work", async () => {
          await new Promise((resolve) => setTimeout(resolve, 20))
          order.push("worked")
        })
      })
      yield* Testing.skipTime(
        Effect.all([timer.execute(undefined), slow.execute(undefined)], { concurrency: 2 })
      )
      expect(order).toEqual(["worked", "rang"])
    })
  )

  test(
    "stands still while a run waits for an event only",
    Effect.gen(function*() {
      const waiting = Workflow.make("waiting", { events: { go: Schema.Void } }, function*(ctx) {
        yield* ctx.suspend("go")
        return yield* ctx.now
      })
      const program = Effect.gen(function*() {
        const driving = yield* Effect.forkChild(waiting.execute(undefined, { runId: "w" }))
        yield* Effect.repeat(Effect.yieldNow, Schedule.recurs(50))
        yield* waiting.send("w", { eventName: "go" })
        return yield* Fiber.join(driving)
      })
      expect(yield* Testing.skipTime(program)).toBe(0)
    })
  )

  test(
    "wakes a parent for its child's timer",
    Effect.gen(function*() {
      const child = Workflow.make("child", function*(ctx) {
        yield* ctx.sleep("2 days")
        return "slept"
      })
      const parent = Workflow.make("parent", function*(ctx) {
        return yield* ctx.child(child, undefined)
      })
      expect(yield* Testing.skipTime(parent.execute(undefined))).toBe("slept")
      expect(yield* Clock.currentTimeMillis).toBe(days(2))
    })
  )

  test(
    "gives the failure of what it runs, and stops with it",
    Effect.gen(function*() {
      expect(yield* Effect.flip(Testing.skipTime(Effect.fail("no")))).toBe("no")
      const interrupted = yield* Deferred.make<void>()
      const fiber = yield* Effect.forkChild(
        Testing.skipTime(
          Effect.onInterrupt(Effect.never, () => Deferred.succeed(interrupted, undefined))
        )
      )
      yield* Effect.yieldNow
      yield* Fiber.interrupt(fiber)
      expect(yield* Deferred.isDone(interrupted)).toBe(true)
    })
  )

  it.live("says what to provide where the clock is real", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Testing.skipTime(Effect.void))
      expect(String(Exit.isFailure(exit) && exit.cause)).toMatch(/provide Testing\.layer/)
    }).pipe(Effect.provide(Storage.layerMemory)))
})

const ask = Workflow.make(
  "ask",
  { events: { answer: Schema.String, other: Schema.Number } },
  function*(ctx) {
    const first = yield* ctx.suspend("answer", { key: "a" })
    const second = yield* ctx.suspend("answer", { key: "b", timeout: "1 hour" })
    return { first, second: second._tag, at: yield* ctx.now }
  }
)

describe("play", () => {
  test(
    "sends each event to the wait of its name and key, whatever their order in the script",
    Effect.gen(function*() {
      const result = yield* Testing.play(ask, undefined, {
        runId: "r",
        events: [
          { eventName: "other", value: 1 },
          { eventName: "answer", key: "b", value: "two" },
          { eventName: "answer", key: "a", value: "one" }
        ]
      })
      expect(result).toEqual({
        status: "success",
        runId: "r",
        result: { first: "one", second: "Some", at: 0 }
      })
    })
  )

  test(
    "lets a timeout go off whose event is not in the script",
    Effect.gen(function*() {
      const result = yield* Testing.play(ask, undefined, {
        events: [{ eventName: "answer", key: "a", value: "one" }]
      })
      expect(result).toMatchObject({ result: { first: "one", second: "None", at: 3_600_000 } })
    })
  )

  test(
    "gives the suspended result when nothing is left",
    Effect.gen(function*() {
      const events = [{ eventName: "answer", value: "without a key" }] as const
      expect(yield* Testing.play(ask, undefined, { runId: "r", events })).toMatchObject({
        status: "suspended",
        event: "answer",
        runId: "r"
      })
      expect((yield* Runs.journal("r")).entries.map(({ type }) => type)).toEqual([
        "start",
        "suspend"
      ])
    })
  )

  test(
    "goes through durable retries, in virtual time",
    Effect.gen(function*() {
      let attempts = 0
      const flaky = Workflow.make("flaky", function*(ctx) {
        yield* ctx.step("try", () => ++attempts < 3 ? Effect.fail("busy") : Effect.void, {
          retry: { times: 5, schedule: Schedule.spaced("1 day") }
        })
        return yield* ctx.now
      })
      expect(yield* Testing.play(flaky, undefined)).toMatchObject({ result: days(2) })
    })
  )

  test(
    "gives a failed run as a result",
    Effect.gen(function*() {
      const failing = Workflow.make("failing", { error: Schema.String }, function*(ctx) {
        yield* ctx.fail("no")
      })
      expect(yield* Testing.play(failing, undefined)).toMatchObject({
        status: "failed",
        error: "no"
      })
    })
  )

  test(
    "follows a run that goes on with continueAs",
    Effect.gen(function*() {
      const loop = Workflow.make("loop", function*(ctx, n: number): Workflow.Body<string> {
        yield* ctx.sleep("1 day")
        return n === 0 ? "over" : yield* ctx.continueAs(n - 1)
      })
      expect(yield* Testing.play(loop, 2, { runId: "loop" })).toEqual({
        status: "success",
        result: "over",
        runId: "loop+3"
      })
    })
  )

  test(
    "hands services to the steps, and the durability to the run",
    Effect.gen(function*() {
      class Price extends Context.Service<Price, number>()("Price") {}
      const shop = Workflow.make("shop", function*(ctx) {
        return yield* ctx.step("price", () => Effect.map(Price, (price) => price))
      })
      const played = Testing.play(shop, undefined, { runId: "s", durability: "exit" })
      expect(yield* Effect.provideService(played, Price, 7)).toMatchObject({ result: 7 })
      expect((yield* Runs.journal("s")).entries[0]).toMatchObject({ durability: "exit" })
    })
  )

  test(
    "does not go round for the timer of a child that somebody else drives",
    Effect.gen(function*() {
      const elsewhere = Workflow.define("elsewhere", {
        input: Schema.Null,
        output: Schema.Number
      })
      const sleeping = elsewhere.make(function*(ctx) {
        yield* ctx.sleep("1 day")
        return 1
      })
      const parent = Workflow.make("parent", function*(ctx) {
        return yield* ctx.child(elsewhere, null, { runId: "there" })
      })
      yield* sleeping.start(null, { runId: "there" })
      const playing = yield* Effect.forkChild(Testing.play(parent, undefined, { runId: "p" }))
      yield* Effect.repeat(Effect.yieldNow, Schedule.recurs(200))
      expect(playing.pollUnsafe()).toMatchObject({
        value: { status: "suspended", waits: [{ kind: "child", childId: "there" }] }
      })
      // Whoever drives the child wakes it, too.
      yield* TestClock.adjust("1 day")
      yield* sleeping.resume("there")
      expect(yield* Testing.play(parent, undefined, { runId: "p" })).toMatchObject({ result: 1 })
    })
  )
})
