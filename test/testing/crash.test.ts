/**
 * `crashEverywhere`: it kills at every append, in every mode, and finds what is not the same each time.
 */
import { NodeServices } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import { Context, Effect, Layer, Random, Result, Schedule, Schema } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Journal, LocalStorage, Storage, Workflow } from "reprise"
import * as Testing from "reprise/testing"

const sound = Workflow.make(
  "sound",
  { events: { approve: Schema.String } },
  function*(ctx, n: number) {
    const a = yield* ctx.step("a", () => n)
    yield* ctx.sleep("1 day")
    const by = yield* ctx.suspend("approve", { timeout: "1 hour" })
    const both = yield* ctx.all([ctx.step("b", () => a + 1), ctx.step("c", async () => a + 2)])
    return { by: by._tag, both, id: yield* ctx.uuid, at: yield* ctx.now }
  }
)

const events = [{ eventName: "approve", value: "Ada" }] as const

describe("crashEverywhere", () => {
  it.effect("comes to the same end wherever a sound run is killed", () =>
    Effect.gen(function*() {
      const { outcome, points } = yield* Testing.crashEverywhere(sound, 1, { runId: "s", events })
      expect(outcome).toMatchObject({
        status: "success",
        runId: "s",
        result: { by: "Some", both: [2, 3], at: 86_400_000 }
      })
      // Six appends at least, each of them before and after.
      expect(points).toBeGreaterThanOrEqual(12)
      const some = yield* Testing.crashEverywhere(sound, 1, { events, modes: ["before"] })
      expect(some.points).toBeLessThan(points / 2 + 1)
    }))

  it.effect("kills in the middle of an append of several lines", () =>
    Effect.gen(function*() {
      const pair = Workflow.make("pair", function*(ctx) {
        yield* ctx.step("a", () => 1)
      })
      // The appends are start, and a with complete: only the second can be torn, in one place.
      const options = { modes: ["torn"] } as const
      expect((yield* Testing.crashEverywhere(pair, undefined, options)).points).toBe(1)
    }))

  it.effect("plays sagas, children, retries, races and continueAs through", () =>
    Effect.gen(function*() {
      const child = Workflow.make("child", function*(ctx, n: number) {
        yield* ctx.sleep("1 hour")
        return { square: yield* ctx.step("square", () => n * n), draw: yield* ctx.random }
      })
      const saga = Workflow.make(
        "saga",
        { error: Schema.String },
        function*(ctx, n: number): Workflow.Body<string, string> {
          const { square } = yield* ctx.child(child, n)
          const first = yield* ctx.race({
            a: ctx.step("quick", () => "quick"),
            b: ctx.sleep("1 day")
          })
          yield* ctx.step("reserve", () => square, { undo: () => ctx.step("release", () => 1) })
          if (n > 1) return yield* ctx.continueAs(n - 1)
          return yield* ctx.fail(`${first.winner} ${square}`)
        }
      )
      const { outcome } = yield* Testing.crashEverywhere(saga, 2, { runId: "saga" })
      expect(outcome).toEqual({ status: "failed", error: "a 1", runId: "saga+2" })

      const flaky = Workflow.make("flaky", function*(ctx) {
        return yield* ctx.step(
          "try",
          ({ attempt }) => attempt < 3 ? Effect.fail("busy") : Effect.succeed(attempt),
          { retry: { times: 9, schedule: Schedule.spaced("1 hour") } }
        )
      })
      expect(yield* Testing.crashEverywhere(flaky, undefined)).toMatchObject({
        outcome: { result: 3 }
      })
    }))

  it.effect("works with every durability", () =>
    Effect.gen(function*() {
      for (const durability of ["async", "exit"] as const) {
        const { outcome } = yield* Testing.crashEverywhere(sound, 1, { events, durability })
        expect(outcome).toMatchObject({ status: "success" })
      }
    }))

  it.effect("compares suspended runs as well", () =>
    Effect.gen(function*() {
      const { outcome, points } = yield* Testing.crashEverywhere(sound, 1, {
        modes: ["after"],
        events: []
      })
      expect(outcome).toMatchObject({ result: { by: "None" } })
      expect(points).toBeGreaterThan(4)
      const waiting = Workflow.make("waiting", { events: { go: Schema.Void } }, function*(ctx) {
        yield* ctx.suspend("go")
      })
      const report = yield* Testing.crashEverywhere(waiting, undefined)
      expect(report).toMatchObject({ outcome: { status: "suspended", event: "go" } })
    }))

  it.effect("finds a step whose result depends on how often it ran", () =>
    Effect.gen(function*() {
      let ran = 0
      const counting = Workflow.make("counting", function*(ctx) {
        return yield* ctx.step("count", () => ++ran)
      })
      const error = yield* Effect.flip(Testing.crashEverywhere(counting, undefined))
      expect(error).toMatchObject({
        _tag: "CrashDiffers",
        append: 1,
        mode: "before",
        wrote: "start",
        expected: "success with 1",
        actual: "success with 2"
      })
      expect(error.message).toMatch(/dies before append 1 \(start\)/)
    }))

  it.effect("finds chance in a body, with the guard off", () =>
    Effect.gen(function*() {
      const fickle = Workflow.make("fickle", function*(ctx) {
        yield* ctx.step(`step ${Math.random()}`, () => 1)
        yield* ctx.step("last", () => 1)
      })
      const error = yield* Testing.crashEverywhere(fickle, undefined).pipe(
        Effect.flip,
        Effect.provide(Testing.unguarded)
      )
      expect(error).toMatchObject({ _tag: "CrashDiffers", append: 2, mode: "after" })
      expect(error.message).toContain("ReplayMismatch")
    }))

  it.effect("finds it at once with the guard, which is on by itself", () =>
    Effect.gen(function*() {
      const fickle = Workflow.make("fickle", function*(ctx) {
        yield* ctx.step(`step ${Math.random()}`, () => 1)
      })
      expect(yield* Effect.flip(Testing.crashEverywhere(fickle, undefined))).toMatchObject({
        _tag: "BodyDefect"
      })
    }))

  it.effect("finds state outside of the journal", () =>
    Effect.gen(function*() {
      class Memory extends Context.Service<Memory, { value: number }>()("Memory") {}
      const leaky = Workflow.make("leaky", function*(ctx) {
        yield* ctx.step("remember", () => Effect.map(Memory, (memory) => void (memory.value = 7)))
        return yield* ctx.step("recall", () => Effect.map(Memory, ({ value }) => value))
      })
      // Each process builds the layer anew, so that what was only in memory is gone.
      const layer = Layer.sync(Memory, () => ({ value: 0 }))
      const error = yield* Effect.flip(Testing.crashEverywhere(leaky, undefined, { layer }))
      expect(error).toMatchObject({
        _tag: "CrashDiffers",
        append: 2,
        mode: "after",
        expected: "success with 7",
        actual: "success with 0"
      })
    }))

  it.effect("gives steps the same chance each time, and keeps the one they were given", () =>
    Effect.gen(function*() {
      const lucky = Workflow.make("lucky", function*(ctx) {
        return yield* ctx.step("draw", () => Random.next)
      })
      expect(yield* Testing.crashEverywhere(lucky, undefined)).toMatchObject({ points: 5 })
      let n = 0
      const own = { nextDoubleUnsafe: () => ++n, nextIntUnsafe: () => ++n }
      const error = yield* Testing.crashEverywhere(lucky, undefined).pipe(
        Effect.provideService(Random.Random, own),
        Effect.flip
      )
      expect(error).toMatchObject({ _tag: "CrashDiffers", expected: "success with 1" })
    }))

  it.effect("fails with the run's own failure when it does not get through without a crash", () =>
    Effect.gen(function*() {
      const broken = Workflow.make("broken", function*() {
        throw new Error("a bug")
      })
      expect(yield* Effect.flip(Testing.crashEverywhere(broken, undefined))).toMatchObject({
        _tag: "BodyDefect"
      })
    }))
})

/** Loses the last line of a journal when its owner dies behind it. */
const forgetful = Effect.sync((): Storage.Driver => {
  const disk = Storage.memoryDriver()
  return {
    ...disk,
    release: (runId, token) =>
      Effect.gen(function*() {
        const lines = (yield* disk.read(runId)).text.split("\n").slice(0, -1)
        if (!lines.at(-1)?.startsWith(`{"type":"step"`)) return yield* disk.release(runId, token)
        yield* disk.remove(runId)
        const writer = yield* disk.writer(runId)
        const left = lines.slice(0, -1)
        const row = () =>
          Storage.rowOf(Result.getOrThrow(Journal.read(runId, `${left.join("\n")}\n`)))
        yield* writer.append("", left, row)
      }).pipe(Effect.scoped, Effect.catchTag("Moved", Effect.die))
  }
})

describe("StepRepeated", () => {
  it.effect("finds a storage that loses what it acknowledged", () =>
    Effect.gen(function*() {
      const two = Workflow.make("two", function*(ctx) {
        yield* ctx.step("a", () => 1)
        return yield* ctx.step("b", () => 2)
      })
      const error = yield* Effect.flip(
        Testing.crashEverywhere(two, undefined, { runId: "t", driver: forgetful })
      )
      expect(error).toEqual(
        new Testing.StepRepeated({ append: 3, mode: "before", runId: "t", stepId: "a" })
      )
      expect(error.message).toBe(
        `Step "a" of run "t" ran again after a process died before append 3, although its outcome `
          + `was durable. The storage lost it.`
      )
    }))

  it.live("finds nothing wrong with the local storage", () =>
    Effect.gen(function*() {
      const directory = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "reprise-crash-"))),
        (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
      )
      let n = 0
      const driver = Effect.suspend(() => LocalStorage.driver(join(directory, String(n++)))).pipe(
        Effect.provide(NodeServices.layer)
      )
      const report = yield* Testing.crashEverywhere(sound, 1, { events, driver })
      expect(report.outcome).toMatchObject({ status: "success" })
    }).pipe(Effect.scoped))
})
