/**
 * The driver that fails as a plan says: what reaches the storage underneath, and what the process hears.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import { Runs, Storage, Workflow } from "reprise"
import * as Testing from "reprise/testing"

const ran: Array<string> = []

const two = Workflow.make("two", function*(ctx) {
  const a = yield* ctx.step("a", () => {
    ran.push("a")
    return 1
  })
  yield* ctx.all([ctx.step("b", () => ran.push("b")), ctx.step("c", () => ran.push("c"))])
  return a
})

const on = <A, E>(driver: Storage.Driver, effect: Effect.Effect<A, E, Storage.Storage>) =>
  Effect.provideService(effect, Storage.Storage, Storage.make(driver))

const start = two.start(undefined, { runId: "r" })

/** Fails one append. */
const append = (nth: number, fate: Testing.Fate): Testing.Plan => (call) =>
  call.verb === "append" && call.nth === nth ? fate : "done"

/** What stands in the storage: entry types, and names of steps. */
const stored = (driver: Storage.Driver) =>
  Effect.map(
    on(driver, Runs.journal("r")),
    ({ entries }) => entries.map((entry) => entry.type === "step" ? entry.name : entry.type)
  )

const attempt = (plan: Testing.Plan) =>
  Effect.gen(function*() {
    ran.length = 0
    const disk = Storage.memoryDriver()
    const faulty = Testing.faultyDriver(disk, plan)
    return { disk, faulty, exit: yield* Effect.exit(on(faulty, start)) }
  })

const errorOf = (exit: Exit.Exit<unknown, unknown>) =>
  Exit.isFailure(exit) ? Effect.runSync(Effect.flip(exit)) : undefined

describe("faultyDriver", () => {
  it.effect("changes nothing where all is done, and counts the calls of each verb", () =>
    Effect.gen(function*() {
      const calls: Array<Testing.Call> = []
      const { disk, exit, faulty } = yield* attempt((call) => {
        calls.push(call)
        return "done"
      })
      expect(exit).toMatchObject({ value: { status: "success", result: 1 } })
      expect(yield* stored(disk)).toEqual(["start", "a", "b", "c", "complete"])
      expect(calls.map(({ lines, nth, runId, verb }) => [verb, runId, nth, lines])).toEqual([
        ["acquire", "r", 1, 1],
        ["append", "r", 1, 1],
        ["append", "r", 2, 1],
        ["append", "r", 3, 3],
        ["release", "r", 1, 1]
      ])
      expect(faulty.isAlive()).toBe(true)
    }))

  it.live("before and after are worth repeating: the run goes on, and no step runs twice", () =>
    Effect.gen(function*() {
      for (const fate of ["before", "after"] as const) {
        const { disk, exit } = yield* attempt(append(2, fate))
        expect(exit).toMatchObject({ value: { status: "success" } })
        expect(yield* stored(disk)).toEqual(["start", "a", "b", "c", "complete"])
        expect(ran).toEqual(["a", "b", "c"])
      }
    }))

  it.effect("an unknown outcome ends the drive, whether it was written or not", () =>
    Effect.gen(function*() {
      const before = yield* attempt(append(2, "unknown before"))
      expect(errorOf(before.exit)).toMatchObject({ _tag: "StorageError", reason: "Unknown" })
      expect(yield* stored(before.disk)).toEqual(["start"])
      const after = yield* attempt(append(2, "unknown after"))
      expect(errorOf(after.exit)).toMatchObject({ _tag: "StorageError", reason: "Unknown" })
      expect(yield* stored(after.disk)).toEqual(["start", "a"])
      expect(after.faulty.isAlive()).toBe(true)
    }))

  it.effect("a duplicate is as good as one", () =>
    Effect.gen(function*() {
      const { disk, exit } = yield* attempt(() => "duplicate")
      // The second of two claims of a lease finds it held; the answer is the first one's.
      expect(exit).toMatchObject({ value: { status: "success" } })
      expect(yield* stored(disk)).toEqual(["start", "a", "b", "c", "complete"])
    }))

  it.effect("a delay is real, and under a test clock as well", () =>
    Effect.gen(function*() {
      const { disk, exit } = yield* attempt(append(2, { delay: 5 }))
      expect(exit).toMatchObject({ value: { status: "success" } })
      expect(yield* stored(disk)).toHaveLength(5)
    }))

  it.effect("a process that dies leaves what was written, and hears nothing more", () =>
    Effect.gen(function*() {
      for (
        const [fate, left] of [
          ["dies before", ["start", "a"]],
          [{ torn: 1 }, ["start", "a", "b"]],
          [{ torn: 2 }, ["start", "a", "b", "c"]],
          ["dies after", ["start", "a", "b", "c", "complete"]]
        ] as const
      ) {
        const { disk, exit, faulty } = yield* attempt(append(3, fate))
        expect(errorOf(exit)).toMatchObject({
          _tag: "StorageError",
          cause: { name: "ProcessDied" }
        })
        expect(faulty.isAlive()).toBe(false)
        expect(yield* stored(disk)).toEqual(left)
        expect(yield* Effect.flip(faulty.read("r"))).toMatchObject({ _tag: "StorageError" })
        expect(yield* Effect.flip(faulty.post("r", { id: "e", eventId: "e", line: "line" })))
          .toMatchObject({ doing: "post" })
        expect(yield* stored(disk)).toEqual(left)
      }
    }))

  it.effect("the lease of a dead process is free, and another process goes on", () =>
    Effect.gen(function*() {
      const { disk } = yield* attempt(append(3, "dies before"))
      ran.length = 0
      expect(yield* on(disk, start)).toMatchObject({ status: "success", result: 1 })
      expect(ran).toEqual(["b", "c"])
    }))

  it.effect("tells who waits for its death, and of every acknowledged append", () =>
    Effect.gen(function*() {
      const acknowledged: Array<number> = []
      const faulty = Testing.faultyDriver(Storage.memoryDriver(), append(3, "dies after"), {
        onAcknowledged: (_, lines) => acknowledged.push(lines.length)
      })
      const waiting = yield* Effect.forkChild(faulty.died)
      yield* Effect.exit(on(faulty, start))
      yield* Fiber.join(waiting)
      yield* faulty.died
      expect(acknowledged).toEqual([1, 1])
    }))

  it.effect("may be killed from outside", () =>
    Effect.gen(function*() {
      const faulty = Testing.faultyDriver(Storage.memoryDriver(), () => "done")
      faulty.kill()
      expect(yield* Effect.flip(on(faulty, start))).toMatchObject({ _tag: "StorageError" })
    }))
})

describe("layerFaulty", () => {
  it.live("is over a memory storage, or over the driver it is given", () =>
    Effect.gen(function*() {
      const disk = Storage.memoryDriver()
      const plan = append(2, "after")
      const run = (layer: ReturnType<typeof Testing.layerFaulty>) => Effect.provide(start, layer)
      expect(yield* run(Testing.layerFaulty(plan))).toMatchObject({ status: "success" })
      expect(yield* run(Testing.layerFaulty(plan, disk))).toMatchObject({ status: "success" })
      expect(yield* stored(disk)).toHaveLength(5)
    }))
})
