/**
 * Runs by id, for any workflow and without its code: lists, journals, states, posts, removal.
 */
import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Schema, Stream } from "effect"
import { createRunId, Instruction, Runs, Storage, Workflow } from "reprise"
import * as MemoryDriver from "../src/MemoryDriver.ts"

/** A test with a memory storage of its own. */
const test = <A, E>(name: string, effect: Effect.Effect<A, E, Storage.Storage>) =>
  it.live(name, () => Effect.provide(effect, Storage.layerMemory))

const waiting = Workflow.make(
  "waiting",
  { events: { go: Schema.Number } },
  function*(ctx, n: number) {
    yield* ctx.step("before", () => n)
    const more = yield* ctx.suspend("go", { reason: "needs a number" })
    return n + more
  }
)

const done = Workflow.make("done", function*(_ctx, n: number) {
  return n
})

const failing = Workflow.make("failing", function*(ctx) {
  yield* ctx.step("good", () => 1)
  yield* ctx.step("bad", () => Effect.fail("no"))
})

const ids = (page: Storage.Page) => page.runs.map(({ runId }) => runId)

/** Starts a run whose process dies in its step. */
const crashed = (runId: string, delivery: "at-least-once" | "at-most-once") =>
  Effect.gen(function*() {
    const ready = yield* Deferred.make<void>()
    const workflow = Workflow.make("crashing", function*(ctx) {
      yield* ctx.step(
        "hang",
        () => Effect.andThen(Deferred.succeed(ready, undefined), Effect.never),
        { delivery }
      )
    })
    const driving = yield* Effect.forkChild(workflow.start(undefined, { runId }))
    yield* Deferred.await(ready)
    yield* Fiber.interrupt(driving)
  })

describe("list", () => {
  test(
    "of an empty storage is empty",
    Effect.gen(function*() {
      expect(yield* Runs.list()).toEqual({ runs: [], unreadable: [] })
    })
  )

  test(
    "is sorted by id, whatever the order of the starts",
    Effect.gen(function*() {
      for (const runId of ["c", "a", "b"]) yield* done.start(1, { runId })
      const page = yield* Runs.list()
      expect(ids(page)).toEqual(["a", "b", "c"])
      expect(page.cursor).toBeUndefined()
      expect(page.runs[0]).toMatchObject({
        runId: "a",
        workflow: "done",
        status: "success",
        result: 1,
        entries: 2,
        session: 1
      })
    })
  )

  test(
    "filters by status and by workflow",
    Effect.gen(function*() {
      yield* done.start(1, { runId: "d1" })
      yield* waiting.start(1, { runId: "w1" })
      yield* waiting.start(2, { runId: "w2" })
      yield* waiting.resume("w2", { eventName: "go", value: 1 })
      yield* failing.start(undefined, { runId: "f1" })
      yield* waiting.enqueue(3, { runId: "w3" })
      yield* waiting.start(4, { runId: "w4" })
      yield* waiting.cancel("w4")
      expect(ids(yield* Runs.list({ status: "success" }))).toEqual(["d1", "w2"])
      expect(ids(yield* Runs.list({ status: "suspended" }))).toEqual(["w1"])
      expect(ids(yield* Runs.list({ status: "failed" }))).toEqual(["f1"])
      expect(ids(yield* Runs.list({ status: "pending" }))).toEqual(["w3"])
      expect(ids(yield* Runs.list({ status: "cancelled" }))).toEqual(["w4"])
      expect(ids(yield* Runs.list({ workflow: "waiting" }))).toEqual(["w1", "w2", "w3", "w4"])
      expect(ids(yield* Runs.list({ workflow: "waiting", status: "success" }))).toEqual(["w2"])
      expect(ids(yield* Runs.list({ workflow: "unknown" }))).toEqual([])
    })
  )

  test(
    "is paged: every run once, and no cursor on the last page",
    Effect.gen(function*() {
      const all = Array.from({ length: 7 }, (_, n) => `run-${n}`)
      for (const runId of all) yield* done.start(1, { runId })
      for (const limit of [1, 2, 3, 7, 8]) {
        const seen: Array<string> = []
        let pages = 0
        let after: string | undefined
        do {
          const page = yield* Runs.list({ limit, after })
          expect(page.runs.length).toBeLessThanOrEqual(limit)
          seen.push(...ids(page))
          after = page.cursor
          pages++
        } while (after !== undefined && pages < 20)
        expect(seen).toEqual(all)
        expect(pages).toBe(Math.ceil(all.length / limit))
      }
    })
  )

  test(
    "is paged through a filter, too",
    Effect.gen(function*() {
      for (let n = 0; n < 6; n++) {
        yield* (n % 2 === 0 ? done : waiting).start(n, { runId: `r${n}` })
      }
      const first = yield* Runs.list({ workflow: "done", limit: 2 })
      expect(ids(first)).toEqual(["r0", "r2"])
      const second = yield* Runs.list({ workflow: "done", limit: 2, after: first.cursor })
      expect(ids(second)).toEqual(["r4"])
      expect(second.cursor).toBeUndefined()
    })
  )

  test(
    "goes on behind a run that was removed meanwhile, and shows one that came meanwhile",
    Effect.gen(function*() {
      for (const runId of ["a", "c", "e"]) yield* done.start(1, { runId })
      const first = yield* Runs.list({ limit: 2 })
      expect(ids(first)).toEqual(["a", "c"])
      yield* Runs.remove("c")
      yield* done.start(1, { runId: "d" })
      expect(ids(yield* Runs.list({ limit: 2, after: first.cursor }))).toEqual(["d", "e"])
    })
  )

  test(
    "has a hundred runs a page unless it is told otherwise",
    Effect.gen(function*() {
      for (let n = 0; n < 101; n++) yield* done.enqueue(n, { runId: `r${1000 + n}` })
      const page = yield* Runs.list()
      expect(page.runs).toHaveLength(100)
      expect(ids(yield* Runs.list({ after: page.cursor }))).toEqual(["r1100"])
    })
  )

  it.live("names a run that cannot be read beside those that can", () => {
    const driver = MemoryDriver.make()
    return Effect.gen(function*() {
      yield* done.start(1, { runId: "a" })
      yield* done.start(1, { runId: "c" })
      const writer = yield* Effect.scoped(driver.writer("b"))
      yield* writer.append("", [`{"type":"start"}`], () => {
        throw new Error("memory keeps no row")
      })
      const page = yield* Runs.list()
      expect(ids(page)).toEqual(["a", "c"])
      expect(page.unreadable).toMatchObject([{ runId: "b", error: { _tag: "JournalCorrupt" } }])
      expect(page.unreadable[0]!.error.message).toMatch(/journal of run "b" is damaged at line 1/)
      expect(yield* Effect.flip(Runs.status("b"))).toMatchObject({ _tag: "JournalCorrupt" })
      yield* Runs.remove("b")
      expect((yield* Runs.list()).unreadable).toEqual([])
    }).pipe(Effect.provide(Layer.succeed(Storage.Storage, Storage.make(driver))))
  })
})

describe("status", () => {
  test(
    "of an enqueued run is pending",
    Effect.gen(function*() {
      yield* waiting.enqueue(1, { runId: "r1" })
      expect(yield* Runs.status("r1")).toMatchObject({
        runId: "r1",
        workflow: "waiting",
        status: "pending",
        entries: 1,
        waits: [],
        steps: { done: 0, failed: 0 },
        intents: []
      })
    })
  )

  test(
    "of a run that is driven is running, and pending again when its process died",
    Effect.gen(function*() {
      const ready = yield* Deferred.make<void>()
      const workflow = Workflow.make("w", function*(ctx) {
        yield* ctx.step(
          "hang",
          () => Effect.andThen(Deferred.succeed(ready, undefined), Effect.never)
        )
      })
      const driving = yield* Effect.forkChild(workflow.start(undefined, { runId: "r1" }))
      yield* Deferred.await(ready)
      expect(yield* Runs.status("r1")).toMatchObject({ status: "running" })
      yield* Fiber.interrupt(driving)
      expect(yield* Runs.status("r1")).toMatchObject({ status: "pending" })
    })
  )

  test(
    "of a suspended run says what it waits for, since when and why",
    Effect.gen(function*() {
      yield* waiting.start(1, { runId: "r1" })
      const status = yield* Runs.status("r1")
      expect(status).toMatchObject({
        status: "suspended",
        reason: "needs a number",
        waits: [{ stepId: "go", kind: "event", event: "go", reason: "needs a number" }],
        steps: { done: 1, failed: 0 }
      })
      expect(status.waits[0]!.since).toBeLessThanOrEqual(Date.parse(status.updatedAt))
      expect(status.waits[0]!.since).toBeGreaterThanOrEqual(Date.parse(status.createdAt))
    })
  )

  test(
    "of an ended run has its result, its error or its reason as they were recorded",
    Effect.gen(function*() {
      yield* waiting.start(1, { runId: "r1" })
      yield* waiting.resume("r1", { eventName: "go", value: 2 })
      expect(yield* Runs.status("r1")).toMatchObject({
        status: "success",
        result: 3,
        waits: [],
        session: 2
      })
      expect(yield* Runs.status("r1")).not.toHaveProperty("reason")
      yield* failing.start(undefined, { runId: "r2" })
      expect(yield* Runs.status("r2")).toMatchObject({
        status: "failed",
        error: { _tag: "StepFailed", step: "bad" },
        steps: { done: 1, failed: 1 }
      })
      yield* waiting.start(1, { runId: "r3" })
      yield* waiting.cancel("r3", { reason: "enough" })
      expect(yield* Runs.status("r3")).toMatchObject({ status: "cancelled", reason: "enough" })
    })
  )

  test(
    "of a run whose at-most-once step has no known outcome is blocked, in a list as well",
    Effect.gen(function*() {
      yield* crashed("r1", "at-most-once")
      yield* crashed("r2", "at-least-once")
      expect(yield* Runs.status("r1")).toMatchObject({
        status: "blocked",
        reason: "OutcomeUnknown",
        intents: ["hang"]
      })
      expect(yield* Runs.status("r2")).toMatchObject({ status: "pending", intents: [] })
      expect(ids(yield* Runs.list({ status: "blocked" }))).toEqual(["r1"])
    })
  )
})

describe("journal", () => {
  test(
    "has the accepted entries in order, with their envelopes",
    Effect.gen(function*() {
      yield* waiting.start(1, { runId: "r1" })
      yield* waiting.resume("r1", { eventName: "go", value: 2 })
      const { entries, head, rejected, runId, torn } = yield* Runs.journal("r1")
      expect(runId).toBe("r1")
      expect({ rejected, torn }).toEqual({ rejected: 0, torn: 0 })
      expect(entries.map(({ type }) => type))
        .toEqual(["start", "step", "suspend", "start", "resume", "complete"])
      expect(entries.map(({ offset }) => offset)).toEqual([0, 1, 2, 3, 4, 5])
      expect(entries.map(({ session }) => session)).toEqual([1, 1, 1, 2, 2, 2])
      expect(new Set(entries.map(({ incarnation }) => incarnation)).size).toBe(1)
      expect(new Set(entries.map(({ writer }) => writer)).size).toBe(2)
      entries.forEach(({ prev }, n) => expect(prev).toBe(n === 0 ? "-" : entries[n - 1]!.sum))
      expect(head).toMatchObject({ offset: 6, session: 2, prev: entries[5]!.sum })
      for (const { timestamp } of entries) {
        expect(new Date(timestamp).toISOString()).toBe(timestamp)
      }
    })
  )
})

describe("send", () => {
  test(
    "posts an encoded event that the next driver takes",
    Effect.gen(function*() {
      yield* waiting.start(1, { runId: "r1" })
      yield* Runs.send("r1", { eventName: "go", value: 2, eventId: "e1" })
      expect(yield* Runs.status("r1")).toMatchObject({ status: "suspended" })
      yield* Runs.send("r1", { eventName: "go", value: 5, eventId: "e1" })
      expect(yield* waiting.resume("r1")).toMatchObject({ status: "success", result: 3 })
      // A repeat is harmless even now.
      yield* Runs.send("r1", { eventName: "go", value: 5, eventId: "e1" })
      expect(yield* Effect.flip(Runs.send("r1", { eventName: "go", value: 5 })))
        .toMatchObject({ _tag: "RunClosed" })
    })
  )

  test(
    "wakes a driver that waits",
    Effect.gen(function*() {
      const executing = yield* Effect.forkChild(waiting.execute(1, { runId: "r1" }))
      yield* Runs.status("r1").pipe(
        Effect.orElseSucceed(() => undefined),
        Effect.tap(() => Effect.sleep(1)),
        Effect.repeat({ until: (now) => now?.status === "suspended" })
      )
      yield* Runs.send("r1", { eventName: "go", value: 2 })
      expect(yield* Fiber.join(executing)).toBe(3)
    })
  )
})

describe("an event without a value", () => {
  const signalled = Workflow.make("signalled", {
    output: Schema.Struct({ go: Schema.Boolean, maybe: Schema.Boolean }),
    events: { go: Schema.Void, maybe: Schema.NullOr(Schema.String), text: Schema.String }
  }, function*(ctx) {
    const go = yield* ctx.suspend("go")
    const maybe = yield* ctx.suspend("maybe")
    return { go: go === undefined, maybe: maybe === null }
  })

  test(
    "is taken by who waits for one that has none, sent by whoever has no schema",
    Effect.gen(function*() {
      yield* signalled.start(undefined, { runId: "r" })
      for (const eventName of ["go", "maybe"]) yield* Runs.send("r", { eventName })
      expect(yield* signalled.resume("r"))
        .toMatchObject({ status: "success", result: { go: true, maybe: true } })
      const replayed = signalled.replay(yield* Runs.journal("r"))
      expect(replayed).toMatchObject({ _tag: "Returned" })
    })
  )

  test(
    "is not taken for one that needs a value",
    Effect.gen(function*() {
      yield* waiting.start(1, { runId: "r" })
      yield* Runs.send("r", { eventName: "go" })
      expect(yield* waiting.resume("r")).toMatchObject({ status: "suspended" })
    })
  )
})

describe("cancel", () => {
  test(
    "only posts: the clean-up is the next driver's",
    Effect.gen(function*() {
      const cleaned: Array<string> = []
      const workflow = Workflow.make("w", { events: { go: Schema.Void } }, function*(ctx) {
        try {
          yield* ctx.suspend("go")
        } finally {
          yield* ctx.step("clean", () => cleaned.push("cleaned"))
        }
      })
      yield* workflow.start(undefined, { runId: "r1" })
      yield* Runs.cancel("r1", { reason: "enough", eventId: "c1" })
      yield* Runs.cancel("r1", { reason: "enough", eventId: "c1" })
      expect(yield* Runs.status("r1")).toMatchObject({ status: "suspended" })
      expect(cleaned).toEqual([])
      expect(yield* workflow.resume("r1"))
        .toEqual({ status: "cancelled", reason: "enough", runId: "r1" })
      expect(cleaned).toEqual(["cleaned"])
      // A repeat is harmless even now.
      yield* Runs.cancel("r1", { eventId: "c1" })
      expect(yield* Effect.flip(Runs.cancel("r1"))).toMatchObject({ _tag: "RunClosed" })
    })
  )
})

describe("remove", () => {
  test(
    "removes journal and inbox",
    Effect.gen(function*() {
      yield* waiting.start(1, { runId: "r1" })
      yield* Runs.send("r1", { eventName: "go", value: 41 })
      yield* Runs.remove("r1")
      expect(yield* Effect.flip(Runs.status("r1"))).toMatchObject({ _tag: "RunNotFound" })
      expect(yield* Effect.flip(waiting.resume("r1"))).toMatchObject({ _tag: "RunNotFound" })
      expect(ids(yield* Runs.list())).toEqual([])
      // A run of the same id is another run, and takes nothing that was sent to the first.
      expect(yield* waiting.start(2, { runId: "r1" })).toMatchObject({ status: "suspended" })
      expect(yield* waiting.resume("r1", { eventName: "go", value: 1 }))
        .toMatchObject({ result: 3 })
    })
  )

  test(
    "works on runs that are open, ended or blocked",
    Effect.gen(function*() {
      yield* waiting.enqueue(1, { runId: "r1" })
      yield* done.start(1, { runId: "r2" })
      yield* crashed("r3", "at-most-once")
      for (const runId of ["r1", "r2", "r3"]) yield* Runs.remove(runId)
      expect(ids(yield* Runs.list())).toEqual([])
    })
  )

  test(
    "fences a process that still drives the run",
    Effect.gen(function*() {
      const ready = yield* Deferred.make<void>()
      const finish = yield* Deferred.make<void>()
      const workflow = Workflow.make("w", function*(ctx) {
        yield* ctx.step(
          "slow",
          () => Effect.andThen(Deferred.succeed(ready, undefined), Deferred.await(finish))
        )
        return yield* ctx.step("after", () => "never")
      })
      const driving = yield* Effect.forkChild(
        Effect.flip(workflow.start(undefined, { runId: "r1" }))
      )
      yield* Deferred.await(ready)
      yield* Runs.remove("r1")
      yield* Deferred.succeed(finish, undefined)
      const error = yield* Fiber.join(driving)
      expect(error).toMatchObject({ _tag: "Fenced", runId: "r1" })
      expect(ids(yield* Runs.list())).toEqual([])
    })
  )
})

/** Waits until a state was seen. */
const shows = (states: ReadonlyArray<Runs.Status>, status: Runs.Status["status"]) =>
  Effect.repeat(Effect.sleep(1), { until: () => states.some((state) => state.status === status) })

describe("changes", () => {
  test(
    "gives the state now and after every change until the run ends",
    Effect.gen(function*() {
      yield* waiting.enqueue(1, { runId: "r1" })
      const states: Array<Runs.Status> = []
      const collecting = yield* Effect.forkChild(
        Stream.runForEach(Runs.changes("r1"), (state) => Effect.sync(() => states.push(state)))
      )
      yield* shows(states, "pending")
      yield* waiting.resume("r1")
      yield* shows(states, "suspended")
      yield* waiting.resume("r1", { eventName: "go", value: 2 })
      yield* Fiber.join(collecting)
      expect(states[0]).toMatchObject({ status: "pending", entries: 1 })
      expect(states.at(-1)).toMatchObject({ status: "success", result: 3 })
      const entries = states.map(({ entries }) => entries)
      expect(entries).toEqual([...entries].sort((a, b) => a - b))
    })
  )

  test(
    "can be left early, and started for a run that has ended",
    Effect.gen(function*() {
      yield* waiting.start(1, { runId: "r1" })
      expect(yield* Stream.runCollect(Stream.take(Runs.changes("r1"), 1)))
        .toMatchObject([{ status: "suspended" }])
      yield* waiting.resume("r1", { eventName: "go", value: 2 })
      expect(yield* Stream.runCollect(Runs.changes("r1"))).toMatchObject([{ status: "success" }])
    })
  )

  test(
    "of an unknown run fails",
    Effect.gen(function*() {
      expect(yield* Effect.flip(Stream.runDrain(Runs.changes("r1"))))
        .toMatchObject({ _tag: "RunNotFound" })
    })
  )

  test(
    "of a run that is removed meanwhile fails",
    Effect.gen(function*() {
      yield* waiting.start(1, { runId: "r1" })
      const watching = yield* Effect.forkChild(Effect.flip(Stream.runDrain(Runs.changes("r1"))))
      yield* Effect.sleep(1)
      yield* Runs.remove("r1")
      expect(yield* Fiber.join(watching)).toMatchObject({ _tag: "RunNotFound" })
    })
  )
})

describe("createRunId", () => {
  it("is lowercase, unique, and sorts by the time it was made", () => {
    const made = Array.from({ length: 1000 }, createRunId)
    expect(new Set(made).size).toBe(1000)
    for (const id of made) expect(id).toMatch(/^[0-9a-hjkmnp-tv-z]{26}$/)
    const times = made.map((id) => id.slice(0, 10))
    expect(times).toEqual([...times].sort())
  })

  test(
    "can be used in a body only as a step",
    Effect.gen(function*() {
      const workflow = Workflow.make("w", { events: { go: Schema.Void } }, function*(ctx) {
        const id = yield* Instruction.step("id", createRunId)
        yield* ctx.suspend("go")
        return id
      })
      yield* workflow.start(undefined, { runId: "r1" })
      const { entries } = yield* Runs.journal("r1")
      expect(yield* workflow.resume("r1", { eventName: "go" }))
        .toMatchObject({ result: (entries[1] as { result: string }).result })
    })
  )
})
