/** `reprise list` in this process, on the memory storage. */
import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Instruction, Storage, Workflow } from "reprise"
import * as MemoryDriver from "../../src/MemoryDriver.ts"
import * as Status from "../../src/Status.ts"
import { reprise, stderr, stdout } from "./support/command.ts"

const order = Workflow.make("order", { events: { go: Schema.Boolean } }, function*(ctx) {
  yield* ctx.step("reserve", () => 1)
  yield* ctx.step("charge", () => Effect.fail(new Error("declined"))).pipe(Instruction.result)
  yield* ctx.all([
    ctx.suspend("go", { key: "warehouse 7" }),
    ctx.suspend("go", { key: "b" })
  ])
})
const echo = Workflow.make("echo", function*(ctx, text: string) {
  return yield* ctx.step("say", () => text)
})

/** What the command prints, which must be all there is on stdout. */
const lines = (...args: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const before = (yield* stdout).length
    yield* reprise("list", ...args)
    return (yield* stdout).slice(before)
  })
const ids = (...args: ReadonlyArray<string>) =>
  Effect.map(lines("--json", ...args), (found) => found.map((line) => JSON.parse(line).runId))

const some = Effect.gen(function*() {
  yield* TestClock.setTime(Date.UTC(2026, 0, 2, 3, 4, 5, 678))
  yield* order.start(undefined, { runId: "o-1" })
  yield* echo.start("hi", { runId: "e-1" })
  yield* echo.enqueue("later", { runId: "e-2" })
})

describe("reprise list", () => {
  it.effect("shows a run a line", () =>
    Effect.gen(function*() {
      yield* some
      expect(yield* lines()).toEqual([
        "RUN  WORKFLOW  STATUS     WAITS FOR                UPDATED               STEPS",
        "e-1  echo      success    -                        2026-01-02T03:04:05Z  1",
        "e-2  echo      pending    -                        2026-01-02T03:04:05Z  0",
        "o-1  order     suspended  go key \"warehouse 7\" +1  2026-01-02T03:04:05Z  1 (1 failed)"
      ])
      expect(yield* stderr).toBe("")
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("says so when there is none", () =>
    Effect.gen(function*() {
      expect(yield* lines()).toEqual([])
      expect(yield* stderr).toBe("No runs in file:.reprise.")
      yield* some
      expect(yield* lines("--workflow", "other")).toEqual([])
      expect(yield* stderr).toContain("No such runs in file:.reprise.")
      expect(yield* ids("--workflow", "other")).toEqual([])
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("takes only runs of a state or a workflow", () =>
    Effect.gen(function*() {
      yield* some
      expect(yield* ids("--status", "suspended")).toEqual(["o-1"])
      expect(yield* ids("--workflow", "echo")).toEqual(["e-1", "e-2"])
      expect(yield* ids("--workflow", "echo", "--status", "success")).toEqual(["e-1"])
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("goes through pages without losing or repeating a run", () =>
    Effect.gen(function*() {
      const all = Array.from({ length: 7 }, (_, i) => `it's ${i}`)
      for (const runId of all) yield* echo.enqueue("x", { runId })
      const found: Array<unknown> = []
      let after: ReadonlyArray<string> = []
      for (;;) {
        const said = (yield* stderr).length
        found.push(...yield* ids("--limit", "3", ...after))
        const more = /More runs: the same with --after (.*)/.exec((yield* stderr).slice(said))?.[1]
        if (more === undefined) break
        expect(more).toMatch(/^'it'\\''s \d'$/)
        after = ["--after", more.slice(1, -1).replaceAll("'\\''", "'")]
      }
      expect(found).toEqual(all)
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("gives whole states as JSON", () =>
    Effect.gen(function*() {
      yield* some
      const states = (yield* lines("--json")).map((line) => JSON.parse(line))
      for (const state of states) {
        expect(yield* Schema.decodeUnknownEffect(Status.Status)(state)).toEqual(state)
      }
      expect(states[0]).toMatchObject({ runId: "e-1", status: "success", result: "hi" })
      expect(states[2].waits).toHaveLength(2)
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("hides no run that cannot be read, and still succeeds", () => {
    const driver = MemoryDriver.make()
    const damaged = Storage.make({
      ...driver,
      list: (query, now) =>
        Storage.pageOf(
          query,
          ["bad-1", "e-1", "e-2", "o-1", "zbad"].map((runId) => ({
            runId,
            status: runId.includes("bad")
              ? Effect.fail(
                new Storage.StorageError({
                  reason: "Denied",
                  doing: `read run "${runId}"`,
                  cause: new Error("EACCES\u001b[2J")
                })
              )
              : Effect.map(
                driver.list(query, now),
                ({ runs }) => runs.find((run) => run.runId === runId)
              )
          }))
        )
    })
    return Effect.gen(function*() {
      yield* some
      const found = yield* lines()
      expect(found.slice(0, 4).map((line) => line.slice(0, 3))).toEqual([
        "RUN",
        "e-1",
        "e-2",
        "o-1"
      ])
      const advice =
        "Check that the storage exists and lets this user write, and that the keys are "
        + "the right ones; nothing was written."
      expect(found.slice(4)).toEqual([
        `bad-1  cannot be read: Could not read run "bad-1": EACCES. ${advice}`,
        `zbad  cannot be read: Could not read run "zbad": EACCES. ${advice}`
      ])
      const [, , , first] = (yield* lines("--json")).map((line) => JSON.parse(line))
      expect(first).toEqual({
        runId: "bad-1",
        unreadable: { _tag: "StorageError", message: expect.stringContaining("EACCES") }
      })
    }).pipe(Effect.provideService(Storage.Storage, damaged))
  })

  it.effect("tells a run that a live process drives from one that waits for a process", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const busy = Workflow.make("busy", function*(ctx) {
        yield* ctx.step("work", () => Deferred.await(gate))
      })
      const fiber = yield* Effect.forkChild(busy.start(undefined, { runId: "b-1" }))
      yield* TestClock.adjust(1)
      yield* echo.enqueue("later", { runId: "e-2" })
      const states = (yield* lines("--json")).map((line) => JSON.parse(line).status)
      expect(states).toEqual(["running", "pending"])
      expect(yield* ids("--status", "running")).toEqual(["b-1"])
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(fiber)
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("keeps columns straight and short, whatever workflows are called", () =>
    Effect.gen(function*() {
      for (const name of ["注文", "x\u001b[31m\n\u009b".padEnd(90, "y"), "%s%d"]) {
        const { start } = Workflow.make(name, { events: { go: Schema.Void } }, function*(ctx) {
          yield* ctx.suspend("go", { key: name })
        })
        yield* start(undefined, { runId: `run-${name.length}` })
      }
      const found = yield* lines()
      expect(found).toHaveLength(4)
      expect(found.filter((line) => /\p{Cc}/u.test(line))).toEqual([])
      expect(found[1]).toContain("注文 ")
      const columns = found.map((line) => line.replaceAll(/[注文]/g, "xx").indexOf("1970"))
      expect(columns.slice(1)).toEqual([columns[1], columns[1], columns[1]])
      expect(columns[1]).toBeLessThan(110)
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect.each([
    "--status sleeping",
    "--limit 0",
    "--limit many",
    "--colour",
    "extra"
  ])("refuses %s", (flags) =>
    Effect.gen(function*() {
      const args = flags.split(" ")
      const exit = yield* Effect.exit(reprise("list", ...args))
      expect(Exit.isFailure(exit)).toBe(true)
      expect(yield* stderr).toContain("ERROR")
      expect(yield* stderr).toContain(args.at(-1))
    }).pipe(Effect.provide(Storage.layerMemory)))
})
