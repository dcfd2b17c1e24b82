/**
 * What a caller of workflows is promised, on the memory storage: starting and attaching, events, ends,
 * cancelling, what a body can and cannot notice, and what can be watched from outside.
 */
import { describe, expect, it } from "@effect/vitest"
import {
  Cause,
  Context,
  Deferred,
  Effect,
  Exit,
  Fiber,
  Logger,
  Metric,
  Option,
  References,
  Result,
  Schema,
  SchemaGetter,
  Stream,
  Tracer
} from "effect"
import { Instruction, Runs, Storage, Workflow } from "reprise"
import * as Observer from "../src/Observer.ts"

class NoStock extends Schema.TaggedError<NoStock>()("NoStock", { sku: Schema.String }) {}

/** A test with a memory storage of its own. */
const test = <A, E>(name: string, effect: Effect.Effect<A, E, Storage.Storage>) =>
  it.live(name, () => Effect.provide(effect, Storage.layerMemory))

const entriesOf = (runId: string) => Effect.map(Runs.journal(runId), ({ entries }) => entries)

const typesOf = (runId: string) =>
  Effect.map(entriesOf(runId), (entries) => entries.map(({ type }) => type))

/** The journal without what differs from run to run. */
const linesOf = (runId: string) =>
  Effect.map(entriesOf(runId), (entries) => entries.map(({ sum }) => sum))

/** What a look at a run of a workflow without channels shows beside its state. */
const tally = (steps: { readonly done?: number; readonly running?: number } = {}) => ({
  steps: { done: 0, running: 0, failed: 0, ...steps },
  progress: {}
})

/** Waits until the run is in this state. */
const until = (runId: string, status: Runs.Status["status"]) =>
  Runs.status(runId).pipe(
    Effect.orElseSucceed(() => undefined),
    Effect.tap(() => Effect.sleep(1)),
    Effect.repeat({ until: (now) => now?.status === status })
  )

/** A process that dies: its fiber is interrupted once `ready` is done, and nothing else is left of it. */
const crash = <A, E>(
  driving: Effect.Effect<A, E, Storage.Storage>,
  ready: Deferred.Deferred<void>
) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(driving)
    yield* Deferred.await(ready)
    yield* Fiber.interrupt(fiber)
  })

const hang = (ready: Deferred.Deferred<void>) =>
  Effect.andThen(Deferred.succeed(ready, undefined), Effect.never)

const review = Workflow.make(
  "review",
  {
    input: Schema.Struct({ severity: Schema.Number }),
    output: Schema.String,
    events: { verdict: Schema.Struct({ approved: Schema.Boolean }) }
  },
  function*(ctx, { severity }) {
    const category = yield* ctx.step("classify", () => severity > 3 ? "bug" : "question")
    const { approved } = yield* ctx.suspend("verdict", { reason: `severity ${severity}` })
    return yield* ctx.step("draft", () => `${category}: ${approved ? "yes" : "no"}`)
  }
)

describe("start", () => {
  test(
    "drives a run to its end and journals each step",
    Effect.gen(function*() {
      const workflow = Workflow.make("w", function*(ctx, n: number) {
        const a = yield* ctx.step("double", () => n * 2)
        const b = yield* ctx.step("ask", () => Effect.succeed(a + 1))
        return yield* ctx.step("tell", async () => ({ a, b }))
      })
      expect(yield* workflow.start(3, { runId: "r1" }))
        .toEqual({ status: "success", result: { a: 6, b: 7 }, runId: "r1" })
      const entries = yield* entriesOf("r1")
      expect(entries.map(({ type }) => type)).toEqual(["start", "step", "step", "step", "complete"])
      expect(entries[0]).toMatchObject({ workflow: "w", runId: "r1", metadata: 3, session: 1 })
      expect(entries[1]).toMatchObject({ stepId: "double", name: "double", result: 6 })
      expect(entries[4]).toMatchObject({ result: { a: 6, b: 7 } })
    })
  )

  test(
    "stops at a suspension and says what it waits for",
    Effect.gen(function*() {
      const result = yield* review.start({ severity: 5 }, { runId: "r1" })
      expect(result).toMatchObject({
        status: "suspended",
        event: "verdict",
        reason: "severity 5",
        runId: "r1",
        waits: [{ stepId: "verdict", kind: "event", event: "verdict", reason: "severity 5" }]
      })
      expect(yield* typesOf("r1")).toEqual(["start", "step", "suspend"])
    })
  )

  test(
    "gives the workflow's own failure as a value",
    Effect.gen(function*() {
      const workflow = Workflow.make("w", { error: NoStock }, function*(ctx) {
        yield* ctx.step("reserve", () => Effect.fail(new NoStock({ sku: "a" })))
      })
      const result = yield* workflow.start(undefined, { runId: "r1" })
      expect(result).toMatchObject({ status: "failed", runId: "r1" })
      expect((result as { error: unknown }).error).toBeInstanceOf(NoStock)
      expect((result as { error: unknown }).error).toMatchObject({ sku: "a" })
      expect(yield* typesOf("r1")).toEqual(["start", "step", "error"])
    })
  )

  test(
    "gives the run an id: the caller's, else the contract's, else a new one",
    Effect.gen(function*() {
      const named = Workflow.make("named", {
        input: Schema.Struct({ id: Schema.String }),
        runId: ({ id }: { id: string }) => `order-${id}`
      }, function*() {})
      expect(yield* named.start({ id: "1" })).toMatchObject({ runId: "order-1" })
      expect(yield* named.start({ id: "1" }, { runId: "mine" })).toMatchObject({ runId: "mine" })
      const unnamed = Workflow.make("unnamed", function*(ctx) {
        return yield* ctx.runId
      })
      const one = yield* unnamed.start()
      const two = yield* unnamed.start()
      expect(one.runId).toMatch(/^[0-9a-z]{26}$/)
      expect(two.runId).not.toBe(one.runId)
      expect(one).toMatchObject({ status: "success", result: one.runId })
    })
  )

  test(
    "takes bodies without steps, without input and without output",
    Effect.gen(function*() {
      const workflow = Workflow.make("w", function*() {})
      expect(yield* workflow.start(undefined, { runId: "r1" }))
        .toEqual({ status: "success", result: undefined, runId: "r1" })
      const entries = yield* entriesOf("r1")
      expect(entries.map(({ type }) => type)).toEqual(["start", "complete"])
      expect(entries[0]).not.toHaveProperty("metadata")
      expect(entries[1]).not.toHaveProperty("result")
    })
  )

  test(
    "is the same behind a contract",
    Effect.gen(function*() {
      const contract = Workflow.define("w", { input: Schema.Date, output: Schema.Date })
      const workflow = contract.make(function*(ctx, at) {
        return yield* ctx.step("later", () => new Date(at.getTime() + 1), { schema: Schema.Date })
      })
      expect(yield* workflow.start(new Date(1), { runId: "r1" }))
        .toEqual({ status: "success", result: new Date(2), runId: "r1" })
      expect(yield* contract.join("r1")).toEqual(new Date(2))
    })
  )
})

describe("start with a known run id", () => {
  const counted = () => {
    const state = { steps: 0 }
    const workflow = Workflow.make(
      "counted",
      { input: Schema.Date, output: Schema.Number, events: { go: Schema.Void } },
      function*(ctx) {
        const n = yield* ctx.step("count", () => ++state.steps)
        yield* ctx.suspend("go")
        return n
      }
    )
    return { state, workflow }
  }

  test(
    "gives the suspension again, and appends nothing",
    Effect.gen(function*() {
      const { state, workflow } = counted()
      const first = yield* workflow.start(new Date(1), { runId: "r1" })
      const before = yield* linesOf("r1")
      expect(yield* workflow.start(new Date(1), { runId: "r1" })).toEqual(first)
      expect(yield* workflow.resume("r1")).toEqual(first)
      expect(state.steps).toBe(1)
      expect(yield* linesOf("r1")).toEqual(before)
    })
  )

  test(
    "gives the recorded end again, and runs nothing",
    Effect.gen(function*() {
      const { state, workflow } = counted()
      yield* workflow.start(new Date(1), { runId: "r1" })
      const end = yield* workflow.resume("r1", { eventName: "go" })
      const before = yield* linesOf("r1")
      expect(end).toEqual({ status: "success", result: 1, runId: "r1" })
      expect(yield* workflow.start(new Date(1), { runId: "r1" })).toEqual(end)
      expect(yield* workflow.execute(new Date(1), { runId: "r1" })).toBe(1)
      expect(yield* workflow.resume("r1")).toEqual(end)
      expect(state.steps).toBe(1)
      expect(yield* linesOf("r1")).toEqual(before)
    })
  )

  test(
    "gives a recorded failure and a recorded cancel again",
    Effect.gen(function*() {
      const failing = Workflow.make("failing", { error: NoStock }, function*(ctx) {
        yield* ctx.fail(new NoStock({ sku: "a" }))
      })
      const failed = yield* failing.start(undefined, { runId: "r1" })
      expect(failed.status).toBe("failed")
      expect(yield* failing.start(undefined, { runId: "r1" })).toEqual(failed)
      yield* review.start({ severity: 1 }, { runId: "r2" })
      const cancelled = yield* review.cancel("r2", { reason: "enough" })
      expect(cancelled).toEqual({ status: "cancelled", reason: "enough", runId: "r2" })
      expect(yield* review.start({ severity: 1 }, { runId: "r2" })).toEqual(cancelled)
    })
  )

  test(
    "goes on with an open run whose process died",
    Effect.gen(function*() {
      const ready = yield* Deferred.make<void>()
      const ran: Array<string> = []
      let dead = false
      const workflow = Workflow.make("w", function*(ctx, n: number) {
        yield* ctx.step("one", () => ran.push("one"))
        yield* ctx.step("two", () => {
          ran.push("two")
          return dead ? Effect.void : hang(ready)
        })
        return n
      })
      yield* crash(workflow.start(7, { runId: "r1" }), ready)
      dead = true
      expect(yield* workflow.start(7, { runId: "r1" })).toMatchObject({ result: 7 })
      expect(ran).toEqual(["one", "two", "two"])
      expect(yield* typesOf("r1")).toEqual(["start", "step", "start", "step", "complete"])
    })
  )

  test(
    "compares the input after decoding: what older code encoded otherwise is the same",
    Effect.gen(function*() {
      const old = Workflow.make("w", function*(_ctx, _n: string) {
        return "old"
      })
      const now = Workflow.make("w", { input: Schema.NumberFromString }, function*() {
        return "new"
      })
      yield* old.start("01", { runId: "r1" })
      expect(yield* now.start(1, { runId: "r1" })).toMatchObject({ result: "old" })
      const other = yield* Effect.flip(now.start(2, { runId: "r1" }))
      expect(other._tag).toBe("RunExists")
    })
  )

  test(
    "does not mind the order of keys",
    Effect.gen(function*() {
      const workflow = Workflow.make("w", function*(_ctx, input: { a: number; b: number }) {
        return input.a
      })
      yield* workflow.start({ a: 1, b: 2 }, { runId: "r1" })
      expect(yield* workflow.start({ b: 2, a: 1 }, { runId: "r1" }))
        .toMatchObject({ status: "success" })
    })
  )

  test(
    "says running while another fiber drives it",
    Effect.gen(function*() {
      const ready = yield* Deferred.make<void>()
      const finish = yield* Deferred.make<void>()
      const workflow = Workflow.make("w", function*(ctx) {
        return yield* ctx.step("wait", () =>
          Effect.gen(function*() {
            yield* Deferred.succeed(ready, undefined)
            yield* Deferred.await(finish)
            return 1
          }))
      })
      const driving = yield* Effect.forkChild(workflow.start(undefined, { runId: "r1" }))
      yield* Deferred.await(ready)
      expect(yield* workflow.start(undefined, { runId: "r1" }))
        .toEqual({ status: "running", runId: "r1" })
      expect(yield* workflow.resume("r1")).toEqual({ status: "running", runId: "r1" })
      expect(yield* workflow.status("r1"))
        .toEqual({ status: "running", runId: "r1", ...tally({ running: 1 }) })
      yield* Deferred.succeed(finish, undefined)
      expect(yield* Fiber.join(driving)).toMatchObject({ status: "success", result: 1 })
    })
  )

  test(
    "runs once, whoever of many fibers starts it first",
    Effect.gen(function*() {
      let steps = 0
      const workflow = Workflow.make("w", function*(ctx, n: number) {
        return yield* ctx.step("count", () => Effect.as(Effect.sleep(1), ++steps + n))
      })
      const ends = yield* Effect.all(
        Array.from({ length: 10 }, () => workflow.execute(1, { runId: "r1" })),
        { concurrency: "unbounded" }
      )
      expect(ends).toEqual(Array.from({ length: 10 }, () => 2))
      expect(yield* typesOf("r1")).toEqual(["start", "step", "complete"])
    })
  )
})

describe("starts of one run with different inputs at the same time", () => {
  test(
    "leave one run, and tell the others",
    Effect.gen(function*() {
      const workflow = Workflow.make("w", function*(ctx, n: number) {
        return yield* ctx.step("s", () => Effect.as(Effect.sleep(1), n))
      })
      const ends = yield* Effect.all(
        [1, 2, 3].map((n) => Effect.result(workflow.execute(n, { runId: "r1" }))),
        { concurrency: "unbounded" }
      )
      const won = ends.filter(Result.isSuccess)
      expect(won).toHaveLength(1)
      for (const lost of ends.filter(Result.isFailure)) {
        expect(lost.failure).toMatchObject({ _tag: "RunExists", differs: "input" })
      }
      expect((yield* entriesOf("r1")).filter(({ type }) => type === "start")).toHaveLength(1)
    })
  )
})

describe("resume", () => {
  test(
    "delivers an event and drives the run to its end",
    Effect.gen(function*() {
      yield* review.start({ severity: 5 }, { runId: "r1" })
      const result = yield* review.resume("r1", {
        eventName: "verdict",
        value: { approved: true }
      })
      expect(result).toEqual({ status: "success", result: "bug: yes", runId: "r1" })
      const entries = yield* entriesOf("r1")
      expect(entries.map(({ session, type }) => `${session} ${type}`)).toEqual([
        "1 start",
        "1 step",
        "1 suspend",
        "2 start",
        "2 resume",
        "2 step",
        "2 complete"
      ])
      expect(entries[4]).toMatchObject({
        stepId: "verdict",
        eventName: "verdict",
        value: { approved: true }
      })
    })
  )

  test(
    "does not run again what was journaled",
    Effect.gen(function*() {
      const ran: Array<string> = []
      const workflow = Workflow.make("w", { events: { go: Schema.String } }, function*(ctx) {
        const a = yield* ctx.step("a", () => ran.push("a"))
        const all = yield* ctx.all([
          ctx.step("b", () => ran.push("b")),
          ctx.suspend("go"),
          function*() {
            yield* ctx.step("c", () => ran.push("c"))
            return yield* ctx.suspend("go")
          }
        ])
        return { a, all, ran: yield* ctx.step("d", () => ran.push("d")) }
      })
      yield* workflow.start(undefined, { runId: "r1" })
      yield* workflow.resume("r1", { eventName: "go", value: "x" })
      const end = yield* workflow.resume("r1", { eventName: "go", value: "y" })
      expect(end).toMatchObject({
        status: "success",
        result: { a: 1, all: [2, "x", "y"], ran: 4 }
      })
      expect(ran).toEqual(["a", "b", "c", "d"])
    })
  )
})

describe("execute", () => {
  test(
    "waits for events that others send, and gives the output",
    Effect.gen(function*() {
      const executing = yield* Effect.forkChild(review.execute({ severity: 1 }, { runId: "r1" }))
      yield* until("r1", "suspended")
      yield* review.send("r1", { eventName: "verdict", value: { approved: false } })
      expect(yield* Fiber.join(executing)).toBe("question: no")
    })
  )

  test(
    "fails with the workflow's error",
    Effect.gen(function*() {
      const workflow = Workflow.make("w", { error: NoStock }, function*(ctx) {
        yield* ctx.fail(new NoStock({ sku: "a" }))
      })
      const error = yield* Effect.flip(workflow.execute())
      expect(error).toBeInstanceOf(NoStock)
    })
  )

  test(
    "fails with NoOutput when the run is cancelled meanwhile",
    Effect.gen(function*() {
      const executing = yield* Effect.forkChild(
        Effect.flip(review.execute({ severity: 1 }, { runId: "r1" }))
      )
      yield* until("r1", "suspended")
      yield* review.cancel("r1", { reason: "enough" })
      const error = yield* Fiber.join(executing)
      expect(error).toMatchObject({ _tag: "NoOutput", status: "cancelled", reason: "enough" })
      expect(error.message).toContain(`Run "r1" has no output: it is cancelled (enough).`)
      expect(error.message).toContain(`status("r1")`)
    })
  )
})

describe("enqueue", () => {
  test(
    "records a start that someone else drives",
    Effect.gen(function*() {
      const contract = Workflow.define("w", { input: Schema.Date, output: Schema.Number })
      let steps = 0
      const workflow = contract.make(function*(ctx, at) {
        return yield* ctx.step("count", () => ++steps + at.getTime())
      })
      expect(yield* contract.enqueue(new Date(5), { runId: "r1" })).toBe("r1")
      expect(steps).toBe(0)
      expect((yield* entriesOf("r1"))[0]).toMatchObject({ type: "start", enqueued: true })
      expect(yield* contract.status("r1"))
        .toEqual({ status: "pending", runId: "r1", ...tally() })
      expect(yield* workflow.resume("r1")).toEqual({ status: "success", result: 6, runId: "r1" })
      expect(steps).toBe(1)
    })
  )

  test(
    "is harmless when it is repeated, also once the run is over",
    Effect.gen(function*() {
      yield* review.enqueue({ severity: 1 }, { runId: "r1" })
      yield* review.enqueue({ severity: 1 }, { runId: "r1" })
      expect(yield* typesOf("r1")).toEqual(["start"])
      yield* review.start({ severity: 1 }, { runId: "r1" })
      yield* review.resume("r1", { eventName: "verdict", value: { approved: true } })
      const before = yield* linesOf("r1")
      yield* review.enqueue({ severity: 1 }, { runId: "r1" })
      expect(yield* linesOf("r1")).toEqual(before)
      const error = yield* Effect.flip(review.enqueue({ severity: 2 }, { runId: "r1" }))
      expect(error._tag).toBe("RunExists")
    })
  )

  test(
    "records one start when many do it at once",
    Effect.gen(function*() {
      yield* Effect.all(
        Array.from({ length: 10 }, () => review.enqueue({ severity: 1 }, { runId: "r1" })),
        { concurrency: "unbounded" }
      )
      expect(yield* typesOf("r1")).toEqual(["start"])
    })
  )
})

describe("an event", () => {
  const events = { go: Schema.Number }

  test(
    "sent before anything waits for it is kept, and taken behind the outcome that makes a wait",
    Effect.gen(function*() {
      const workflow = Workflow.make("w", { events }, function*(ctx) {
        const a = yield* ctx.step("a", () => 1)
        const n = yield* ctx.suspend("go")
        return a + n
      })
      yield* workflow.enqueue(undefined, { runId: "r1" })
      yield* workflow.send("r1", { eventName: "go", value: 41, eventId: "e1" })
      expect(yield* workflow.resume("r1")).toMatchObject({ status: "success", result: 42 })
      const entries = yield* entriesOf("r1")
      expect(entries.map(({ type }) => type))
        .toEqual(["start", "start", "event", "step", "resume", "complete"])
      expect(entries[2]).toMatchObject({ eventName: "go", value: 41, eventId: "e1" })
      expect(entries[4]).toMatchObject({ stepId: "go", eventName: "go", eventId: "e1" })
      expect(entries[4]).not.toHaveProperty("value")
    })
  )

  test(
    "is decoded by its schema before the body sees it",
    Effect.gen(function*() {
      const workflow = Workflow.make("w", { events: { at: Schema.Date } }, function*(ctx) {
        const at = yield* ctx.suspend("at")
        return at instanceof Date && at.getTime() === 5
      })
      yield* workflow.start(undefined, { runId: "r1" })
      expect(yield* workflow.resume("r1", { eventName: "at", value: new Date(5) }))
        .toMatchObject({ result: true })
      expect((yield* entriesOf("r1")).find(({ type }) => type === "resume"))
        .toMatchObject({ value: "1970-01-01T00:00:00.005Z" })
    })
  )

  test(
    "goes to the wait of its own key, and without one only to a wait without one",
    Effect.gen(function*() {
      const workflow = Workflow.make("w", { events }, function*(ctx) {
        return yield* ctx.all({
          a: ctx.suspend("go", { key: "a" }),
          b: ctx.suspend("go", { key: "b" }),
          none: ctx.suspend("go")
        })
      })
      const { waits } = (yield* workflow.start(undefined, { runId: "r1" })) as {
        waits: ReadonlyArray<unknown>
      }
      expect(waits).toMatchObject([
        { stepId: "all[a]/go", key: "a" },
        { stepId: "all[b]/go", key: "b" },
        { stepId: "all[none]/go" }
      ])
      expect(yield* workflow.resume("r1", { eventName: "go", value: 0 }))
        .toMatchObject({ status: "suspended", waits: [{ key: "a" }, { key: "b" }] })
      yield* workflow.resume("r1", { eventName: "go", key: "b", value: 2 })
      yield* workflow.resume("r1", { eventName: "go", key: "c", value: 3 })
      expect(yield* workflow.resume("r1", { eventName: "go", key: "a", value: 1 }))
        .toMatchObject({ status: "success", result: { a: 1, b: 2, none: 0 } })
    })
  )

  test(
    "is first come, first served, among waits and among events",
    Effect.gen(function*() {
      const workflow = Workflow.make("w", { events }, function*(ctx) {
        const both = yield* ctx.all([ctx.suspend("go"), ctx.suspend("go")])
        return [...both, yield* ctx.suspend("go"), yield* ctx.suspend("go")]
      })
      yield* workflow.enqueue(undefined, { runId: "r1" })
      for (const value of [1, 2, 3, 4]) yield* workflow.send("r1", { eventName: "go", value })
      expect(yield* workflow.resume("r1")).toMatchObject({ result: [1, 2, 3, 4] })
    })
  )

  test(
    "is taken once for each event id",
    Effect.gen(function*() {
      const workflow = Workflow.make("w", { events }, function*(ctx) {
        return [yield* ctx.suspend("go"), yield* ctx.suspend("go")]
      })
      yield* workflow.start(undefined, { runId: "r1" })
      const once = { eventName: "go", value: 1, eventId: "e1" } as const
      yield* workflow.send("r1", once)
      yield* workflow.send("r1", once)
      expect(yield* workflow.resume("r1", once)).toMatchObject({ status: "suspended" })
      const before = yield* linesOf("r1")
      expect(yield* workflow.resume("r1", { ...once, value: 9 }))
        .toMatchObject({ status: "suspended" })
      expect(yield* linesOf("r1")).toEqual(before)
      expect(yield* workflow.resume("r1", { ...once, value: 2, eventId: "e2" }))
        .toMatchObject({ status: "success", result: [1, 2] })
      // A repeat of what was taken is no news to a closed run either.
      expect(yield* workflow.resume("r1", once)).toMatchObject({ result: [1, 2] })
    })
  )

  test(
    "reaches a run that is being driven",
    Effect.gen(function*() {
      const ready = yield* Deferred.make<void>()
      const finish = yield* Deferred.make<void>()
      const workflow = Workflow.make("w", { events }, function*(ctx) {
        return yield* ctx.all({
          slow: ctx.step(
            "slow",
            () => Effect.andThen(Deferred.succeed(ready, undefined), Deferred.await(finish))
          ),
          chain: function*() {
            const n = yield* ctx.suspend("go")
            yield* ctx.step("tell", () => Deferred.succeed(finish, undefined).pipe(Effect.as(n)))
            return n
          }
        })
      })
      const driving = yield* Effect.forkChild(workflow.start(undefined, { runId: "r1" }))
      yield* Deferred.await(ready)
      yield* workflow.send("r1", { eventName: "go", value: 1 })
      expect(yield* Fiber.join(driving)).toMatchObject({ status: "success", result: { chain: 1 } })
      expect((yield* entriesOf("r1")).every(({ session }) => session === 1)).toBe(true)
    })
  )

  test(
    "may carry nothing",
    Effect.gen(function*() {
      const workflow = Workflow.make("w", { events: { poke: Schema.Void } }, function*(ctx) {
        return (yield* ctx.suspend("poke")) === undefined
      })
      yield* workflow.start(undefined, { runId: "r1" })
      expect(yield* workflow.resume("r1", { eventName: "poke" })).toMatchObject({ result: true })
    })
  )
})

describe("join", () => {
  test(
    "waits for the end and gives the output, without driving",
    Effect.gen(function*() {
      yield* review.enqueue({ severity: 5 }, { runId: "r1" })
      const joining = yield* Effect.forkChild(review.join("r1"))
      yield* Effect.sleep(1)
      expect(yield* typesOf("r1")).toEqual(["start"])
      yield* review.resume("r1")
      yield* review.resume("r1", { eventName: "verdict", value: { approved: true } })
      expect(yield* Fiber.join(joining)).toBe("bug: yes")
      expect(yield* review.join("r1")).toBe("bug: yes")
    })
  )

  test(
    "fails with the error, or with NoOutput",
    Effect.gen(function*() {
      const workflow = Workflow.make("w", { error: NoStock }, function*(ctx) {
        yield* ctx.fail(new NoStock({ sku: "a" }))
      })
      yield* workflow.start(undefined, { runId: "r1" })
      expect(yield* Effect.flip(workflow.join("r1"))).toBeInstanceOf(NoStock)
      yield* review.start({ severity: 1 }, { runId: "r2" })
      yield* review.cancel("r2")
      expect(yield* Effect.flip(review.join("r2")))
        .toMatchObject({ _tag: "NoOutput", status: "cancelled" })
      expect(yield* Effect.flip(review.join("r3"))).toMatchObject({ _tag: "RunNotFound" })
      expect(yield* Effect.flip(review.join("r1"))).toMatchObject({ _tag: "RunExists" })
    })
  )
})

describe("changes", () => {
  test(
    "gives the state now and after every change, and ends with the run",
    Effect.gen(function*() {
      yield* review.enqueue({ severity: 5 }, { runId: "r1" })
      const states: Array<Workflow.Look<string, unknown>> = []
      const collecting = yield* Effect.forkChild(
        Stream.runForEach(review.changes("r1"), (state) => Effect.sync(() => states.push(state)))
      )
      const shows = (status: string) =>
        Effect.repeat(Effect.sleep(1), {
          until: () => states.some((state) => state.status === status)
        })
      yield* shows("pending")
      yield* review.resume("r1")
      yield* shows("suspended")
      yield* review.resume("r1", { eventName: "verdict", value: { approved: true } })
      yield* Fiber.join(collecting)
      expect(states[0]).toEqual({ status: "pending", runId: "r1", ...tally() })
      expect(states.find(({ status }) => status === "suspended"))
        .toMatchObject({ event: "verdict", reason: "severity 5" })
      expect(states.at(-1)).toEqual({
        status: "success",
        result: "bug: yes",
        runId: "r1",
        ...tally({ done: 2 })
      })
    })
  )

  test(
    "of a closed run is its end alone",
    Effect.gen(function*() {
      yield* review.start({ severity: 5 }, { runId: "r1" })
      yield* review.cancel("r1")
      expect(yield* Stream.runCollect(review.changes("r1")))
        .toEqual([{ status: "cancelled", runId: "r1", ...tally({ done: 1 }) }])
    })
  )
})

describe("status", () => {
  test(
    "decodes what the run came to",
    Effect.gen(function*() {
      const workflow = Workflow.make(
        "w",
        { input: Schema.Boolean, output: Schema.Date, error: NoStock },
        function*(ctx, fails) {
          if (fails) yield* ctx.fail(new NoStock({ sku: "a" }))
          return new Date(5)
        }
      )
      yield* workflow.start(false, { runId: "r1" })
      yield* workflow.start(true, { runId: "r2" })
      expect(yield* workflow.status("r1"))
        .toEqual({ status: "success", result: new Date(5), runId: "r1", ...tally() })
      const failed = yield* workflow.status("r2")
      expect((failed as { error: unknown }).error).toBeInstanceOf(NoStock)
    })
  )

  test(
    "knows suspended, cancelled and blocked runs",
    Effect.gen(function*() {
      yield* review.start({ severity: 5 }, { runId: "r1" })
      expect(yield* review.status("r1"))
        .toMatchObject({ status: "suspended", event: "verdict", reason: "severity 5" })
      yield* review.cancel("r1", { reason: "enough" })
      expect(yield* review.status("r1"))
        .toEqual({ status: "cancelled", reason: "enough", runId: "r1", ...tally({ done: 1 }) })
      const ready = yield* Deferred.make<void>()
      const once = Workflow.make("once", function*(ctx) {
        yield* ctx.step("pay", () => hang(ready), { delivery: "at-most-once" })
      })
      yield* crash(once.start(undefined, { runId: "r2" }), ready)
      const blocked = yield* once.status("r2")
      expect(blocked).toMatchObject({ status: "blocked", runId: "r2" })
      expect((blocked as { reason: string }).reason).toContain("OutcomeUnknown")
    })
  )

  test(
    "becomes a value or an error by output",
    Effect.gen(function*() {
      const suspended = yield* review.start({ severity: 5 }, { runId: "r1" })
      expect(yield* Effect.flip(Workflow.output(suspended)))
        .toMatchObject({ _tag: "NoOutput", status: "suspended", reason: "severity 5" })
      const done = yield* review.resume("r1", {
        eventName: "verdict",
        value: { approved: true }
      })
      expect(yield* Workflow.output(done)).toBe("bug: yes")
      const failing = Workflow.make("f", { error: NoStock }, function*(ctx) {
        yield* ctx.fail(new NoStock({ sku: "a" }))
      })
      expect(yield* Effect.flip(Effect.flatMap(failing.start(), Workflow.output)))
        .toBeInstanceOf(NoStock)
    })
  )
})

describe("cancel", () => {
  const events = { go: Schema.Void, approve: Schema.Void }

  test(
    "ends a suspended run as cancelled, after its clean-up steps",
    Effect.gen(function*() {
      const ran: Array<string> = []
      const workflow = Workflow.make("w", { events }, function*(ctx) {
        try {
          yield* ctx.step("reserve", () => ran.push("reserve"))
          yield* ctx.suspend("go")
        } finally {
          yield* ctx.step("release", () => ran.push("release"))
        }
      })
      yield* workflow.start(undefined, { runId: "r1" })
      expect(yield* workflow.cancel("r1", { reason: "enough" }))
        .toEqual({ status: "cancelled", reason: "enough", runId: "r1" })
      expect(ran).toEqual(["reserve", "release"])
      expect(yield* typesOf("r1"))
        .toEqual(["start", "step", "suspend", "start", "cancel", "step", "cancelled"])
    })
  )

  test(
    "is what the run ends with, whatever the body returns or its clean-up throws",
    Effect.gen(function*() {
      const returning = Workflow.make("returning", { events }, function*(ctx) {
        try {
          yield* ctx.suspend("go")
          return "went on"
        } catch {
          return "caught"
        }
      })
      const throwing = Workflow.make("throwing", { events }, function*(ctx) {
        try {
          yield* ctx.suspend("go")
        } finally {
          // oxlint-disable-next-line no-unsafe-finally
          throw new Error("in clean-up")
        }
      })
      yield* returning.start(undefined, { runId: "r1" })
      expect(yield* returning.cancel("r1")).toEqual({ status: "cancelled", runId: "r1" })
      yield* throwing.start(undefined, { runId: "r2" })
      expect(yield* throwing.cancel("r2")).toEqual({ status: "cancelled", runId: "r2" })
    })
  )

  test(
    "is not seen by result, catch, catchTag, mode result and any",
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      const ways: Record<
        string,
        (ctx: Workflow.Ctx<typeof events>) => Instruction.Instruction<unknown>
      > = {
        result: (ctx) =>
          ctx.suspend("go").pipe(Instruction.result, Instruction.map((r) => seen.push(r))),
        catch: (ctx) =>
          ctx.suspend("go").pipe(Instruction.catch((e) => {
            seen.push(e)
            return ctx.runId
          })),
        catchTag: (ctx) =>
          ctx.suspend("go").pipe(Instruction.catchTag("StepFailed", (e) => {
            seen.push(e)
            return ctx.runId
          })),
        mode: (ctx) =>
          ctx.all([ctx.suspend("go")], { mode: "result" })
            .pipe(Instruction.map((r) => seen.push(r))),
        any: (ctx) =>
          ctx.any([ctx.suspend("go"), ctx.suspend("approve")])
            .pipe(Instruction.map((r) => seen.push(r)))
      }
      for (const [name, way] of Object.entries(ways)) {
        const workflow = Workflow.make(name, { events }, function*(ctx) {
          yield* way(ctx)
          seen.push("went on")
        })
        yield* workflow.start(undefined, { runId: name })
        expect(yield* workflow.cancel(name)).toMatchObject({ status: "cancelled" })
      }
      expect(seen).toEqual([])
    })
  )

  test(
    "interrupts a running effect, aborts its signal, and does not retry it",
    Effect.gen(function*() {
      const ready = yield* Deferred.make<void>()
      const seen: Array<string> = []
      let attempts = 0
      let signal: AbortSignal | undefined
      const workflow = Workflow.make("w", function*(ctx) {
        try {
          yield* ctx.step("work", (step) => {
            attempts++
            signal = step.signal
            return Effect.onInterrupt(
              hang(ready),
              () => Effect.sync(() => seen.push("interrupted"))
            )
          }, { retry: 5 })
        } finally {
          yield* ctx.step("clean", () => seen.push("cleaned"))
        }
      })
      const driving = yield* Effect.forkChild(workflow.start(undefined, { runId: "r1" }))
      yield* Deferred.await(ready)
      expect(yield* workflow.cancel("r1", { reason: "enough" }))
        .toMatchObject({ status: "running" })
      expect(yield* Fiber.join(driving))
        .toEqual({ status: "cancelled", reason: "enough", runId: "r1" })
      expect(seen).toEqual(["interrupted", "cleaned"])
      expect(signal?.aborted).toBe(true)
      expect(attempts).toBe(1)
    })
  )

  test(
    "interrupts all running branches and lets each clean up",
    Effect.gen(function*() {
      const ready = yield* Deferred.make<void>()
      const interrupted: Array<string> = []
      const cleaned: Array<string> = []
      const workflow = Workflow.make("w", function*(ctx) {
        yield* ctx.forEach(["a", "b", "c"], function*(name) {
          try {
            yield* ctx.step("work", () =>
              Effect.onInterrupt(
                name === "c" ? hang(ready) : Effect.never,
                () => Effect.sync(() => interrupted.push(name))
              ))
          } finally {
            yield* ctx.step("clean", () => cleaned.push(name))
          }
        }, { key: (name) => name })
      })
      const driving = yield* Effect.forkChild(workflow.start(undefined, { runId: "r1" }))
      yield* Deferred.await(ready)
      yield* Runs.cancel("r1")
      expect(yield* Fiber.join(driving)).toMatchObject({ status: "cancelled" })
      expect(interrupted.sort()).toEqual(["a", "b", "c"])
      expect(cleaned.sort()).toEqual(["a", "b", "c"])
    })
  )

  test(
    "waits for clean-up that suspends, until its event",
    Effect.gen(function*() {
      const workflow = Workflow.make("w", { events }, function*(ctx) {
        try {
          yield* ctx.suspend("go")
        } finally {
          yield* ctx.suspend("approve", { reason: "of the clean-up" })
        }
      })
      yield* workflow.start(undefined, { runId: "r1" })
      expect(yield* workflow.cancel("r1", { reason: "enough" }))
        .toMatchObject({ status: "suspended", event: "approve", reason: "of the clean-up" })
      expect(yield* workflow.resume("r1", { eventName: "approve" }))
        .toEqual({ status: "cancelled", reason: "enough", runId: "r1" })
    })
  )

  test(
    "ends a run at once when it comes a second time",
    Effect.gen(function*() {
      const workflow = Workflow.make("w", { events }, function*(ctx) {
        try {
          yield* ctx.suspend("go")
        } finally {
          yield* ctx.suspend("approve")
        }
      })
      yield* workflow.start(undefined, { runId: "r1" })
      const once = { eventId: "c1", reason: "first" }
      expect(yield* workflow.cancel("r1", once)).toMatchObject({ status: "suspended" })
      // A repeat of the same request is not a second one.
      expect(yield* workflow.cancel("r1", once)).toMatchObject({ status: "suspended" })
      expect(yield* workflow.cancel("r1", { reason: "second" }))
        .toMatchObject({ status: "cancelled" })
      expect((yield* typesOf("r1")).at(-1)).toBe("cancelled")
    })
  )

  test(
    "reaches an enqueued run before its first step",
    Effect.gen(function*() {
      let steps = 0
      const workflow = Workflow.make("w", function*(ctx) {
        yield* ctx.step("work", () => ++steps)
      })
      yield* workflow.enqueue(undefined, { runId: "r1" })
      expect(yield* workflow.cancel("r1")).toEqual({ status: "cancelled", runId: "r1" })
      expect(steps).toBe(0)
    })
  )
})

describe("a suspension", () => {
  const events = { go: Schema.Number }

  test(
    "is neither seen nor swallowed by try, catch and finally",
    Effect.gen(function*() {
      const seen: Array<string> = []
      const workflow = Workflow.make("w", { events }, function*(ctx) {
        for (;;) {
          try {
            const n = yield* ctx.suspend("go")
            seen.push(`took ${n}`)
            return n
          } catch {
            seen.push("caught")
          } finally {
            seen.push("finally")
          }
        }
      })
      expect(yield* workflow.start(undefined, { runId: "r1" }))
        .toMatchObject({ status: "suspended" })
      expect(seen).toEqual([])
      yield* workflow.resume("r1", { eventName: "go", value: 1 })
      expect(seen).toEqual(["took 1", "finally"])
    })
  )

  test(
    "is not seen by result, catch and any either",
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      const workflow = Workflow.make("w", { events }, function*(ctx) {
        const one = yield* ctx.suspend("go").pipe(
          Instruction.catch((error) => {
            seen.push(error)
            return ctx.step("instead", () => -1)
          }),
          Instruction.result
        )
        const two = yield* ctx.any([ctx.suspend("go")])
        return [Result.getOrThrow(one), two]
      })
      yield* workflow.start(undefined, { runId: "r1" })
      yield* workflow.resume("r1", { eventName: "go", value: 1 })
      expect(yield* workflow.resume("r1", { eventName: "go", value: 2 }))
        .toMatchObject({ result: [1, 2] })
      expect(seen).toEqual([])
    })
  )

  test(
    "waits for the branches that still run before it is written",
    Effect.gen(function*() {
      const workflow = Workflow.make("w", { events }, function*(ctx) {
        return yield* ctx.all([
          ctx.suspend("go"),
          ctx.step("slow", () => Effect.as(Effect.sleep(5), 1)),
          ctx.step("slower", () => Effect.as(Effect.sleep(10), 2))
        ])
      })
      expect(yield* workflow.start(undefined, { runId: "r1" }))
        .toMatchObject({ status: "suspended" })
      expect(yield* typesOf("r1")).toEqual(["start", "step", "step", "suspend"])
    })
  )
})

describe("a value", () => {
  test(
    "has passed its schema before the body sees it, live as on replay",
    Effect.gen(function*() {
      class Money extends Schema.Class<Money>("Money")({ amount: Schema.Number }) {
        get doubled() {
          return this.amount * 2
        }
      }
      const Trimmed = Schema.Struct({ at: Schema.Date, kept: Schema.String })
      const seen: Array<unknown> = []
      const workflow = Workflow.make("w", { events: { go: Schema.Void } }, function*(ctx) {
        const given = { at: new Date(5), kept: "k", dropped: 1 }
        const trimmed = yield* ctx.step("trim", () => given, { schema: Trimmed })
        const money = yield* ctx.step("pay", () => new Money({ amount: 2 }), { schema: Money })
        const plain = yield* ctx.step("plain", () => ({ a: undefined, b: [1] }))
        seen.push([trimmed, trimmed === given, money instanceof Money && money.doubled, plain])
        yield* ctx.suspend("go")
      })
      yield* workflow.start(undefined, { runId: "r1" })
      yield* workflow.resume("r1", { eventName: "go" })
      expect(seen[0]).toStrictEqual([
        { at: new Date(5), kept: "k" },
        false,
        4,
        { b: [1] }
      ])
      expect(seen).toHaveLength(2)
      expect(seen[1]).toStrictEqual(seen[0])
    })
  )

  test(
    "of a step is a copy: what a body or a step changes later is not in the journal",
    Effect.gen(function*() {
      const shared = { list: [1] }
      const workflow = Workflow.make("w", { events: { go: Schema.Void } }, function*(ctx) {
        const first = yield* ctx.step("one", () => shared)
        first.list.push(2)
        shared.list.push(3)
        yield* ctx.suspend("go")
        return first
      })
      yield* workflow.start(undefined, { runId: "r1" })
      expect((yield* entriesOf("r1"))[1]).toMatchObject({ result: { list: [1] } })
      expect(yield* workflow.resume("r1", { eventName: "go" }))
        .toMatchObject({ result: { list: [1, 2] } })
    })
  )

  test(
    "of the input is a copy as well",
    Effect.gen(function*() {
      const given = { list: [1] }
      const workflow = Workflow.make(
        "w",
        { events: { go: Schema.Void } },
        function*(ctx, input: { list: Array<number> }) {
          input.list.push(2)
          yield* ctx.suspend("go")
          return input
        }
      )
      yield* workflow.start(given, { runId: "r1" })
      expect(given).toEqual({ list: [1] })
      expect((yield* entriesOf("r1"))[0]).toMatchObject({ metadata: { list: [1] } })
      expect(yield* workflow.start(given, { runId: "r1" })).toMatchObject({ status: "suspended" })
      expect(yield* workflow.resume("r1", { eventName: "go" }))
        .toMatchObject({ result: { list: [1, 2] } })
    })
  )

  test(
    "of an event is a copy as well",
    Effect.gen(function*() {
      const workflow = Workflow.make(
        "w",
        { events: { go: Schema.Json, end: Schema.Void } },
        function*(ctx) {
          const list = (yield* ctx.suspend("go")) as Array<number>
          list.push(2)
          yield* ctx.suspend("end")
          return list
        }
      )
      yield* workflow.start(undefined, { runId: "r1" })
      yield* workflow.resume("r1", { eventName: "go", value: [1] })
      expect((yield* entriesOf("r1")).find(({ type }) => type === "resume"))
        .toMatchObject({ value: [1] })
      expect(yield* workflow.resume("r1", { eventName: "end" }))
        .toMatchObject({ result: [1, 2] })
    })
  )

  test(
    "of the input has passed its schema too",
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      const workflow = Workflow.make("w", {
        input: Schema.Struct({ at: Schema.Date }),
        events: { go: Schema.Void }
      }, function*(ctx, input) {
        seen.push(input)
        yield* ctx.suspend("go")
      })
      const given = { at: new Date(5), extra: 1 }
      yield* workflow.start(given, { runId: "r1" })
      yield* workflow.resume("r1", { eventName: "go" })
      expect(seen).toStrictEqual([{ at: new Date(5) }, { at: new Date(5) }])
    })
  )

  test(
    "may be nothing at all",
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      const workflow = Workflow.make("w", { events: { go: Schema.Void } }, function*(ctx) {
        seen.push(yield* ctx.step("nothing", () => {}))
        seen.push(yield* ctx.step("null", () => null))
        seen.push(yield* ctx.step("void", () => {}, { schema: Schema.Void }))
        seen.push(yield* ctx.step("undefined", () => undefined, { schema: Schema.Undefined }))
        seen.push(
          yield* ctx.step("none", () => Option.none(), { schema: Schema.Option(Schema.Number) })
        )
        seen.push(
          yield* ctx.step("field", () => ({ a: undefined }), {
            schema: Schema.Struct({ a: Schema.UndefinedOr(Schema.String) })
          })
        )
        yield* ctx.suspend("go")
      })
      yield* workflow.start(undefined, { runId: "r1" })
      yield* workflow.resume("r1", { eventName: "go" })
      const once = [undefined, null, undefined, undefined, Option.none(), { a: undefined }]
      expect(seen).toEqual([...once, ...once])
      expect((yield* entriesOf("r1"))[1]).not.toHaveProperty("result")
    })
  )
})

describe("a failure of a step", () => {
  test(
    "reaches the body as StepFailed, live as on replay",
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      const workflow = Workflow.make("w", { events: { go: Schema.Void } }, function*(ctx) {
        const failures = [
          yield* ctx.step("fails", () => Effect.fail(new NoStock({ sku: "a" })))
            .pipe(Instruction.result),
          yield* ctx.step("throws", () => {
            throw new RangeError("too far")
          }).pipe(Instruction.result),
          yield* ctx.step("dies", () => Effect.die(new Error("dead")), { retry: 2 })
            .pipe(Instruction.result),
          yield* ctx.step("rejects", () => Promise.reject(new Error("no")), { retry: 2 })
            .pipe(Instruction.result)
        ]
        for (const failure of failures) {
          if (Result.isSuccess(failure)) return
          const error: Instruction.StepError = failure.failure
          expect(error).toBeInstanceOf(Instruction.StepFailed)
          seen.push(
            Object.fromEntries(
              ["step", "tag", "message", "attempts", "defect"].map((key) => [
                key,
                Reflect.get(error, key)
              ])
            )
          )
        }
        yield* ctx.suspend("go")
      })
      yield* workflow.start(undefined, { runId: "r1" })
      expect(seen).toMatchObject([
        { step: "fails", tag: "NoStock", attempts: 1, defect: false },
        { step: "throws", tag: "RangeError", message: "too far", attempts: 1 },
        { step: "dies", tag: "Error", message: "dead", attempts: 1, defect: true },
        { step: "rejects", tag: "Error", message: "no", attempts: 3 }
      ])
      yield* workflow.resume("r1", { eventName: "go" })
      expect(seen.slice(4)).toEqual(seen.slice(0, 4))
    })
  )

  test(
    "reaches the body as itself where a schema of the workflow or of the step declares it",
    Effect.gen(function*() {
      const seen: Array<boolean> = []
      const workflow = Workflow.make(
        "w",
        { error: NoStock, events: { go: Schema.Void } },
        function*(ctx) {
          try {
            yield* ctx.step("a", () => Effect.fail(new NoStock({ sku: "a" })))
          } catch (error) {
            seen.push(error instanceof NoStock && error.sku === "a")
          }
          // Whoever handles it by its type sees what the step declares, which is nothing.
          const undeclared = yield* ctx.step("c", () => Effect.fail(new NoStock({ sku: "c" })))
            .pipe(Instruction.result)
          seen.push(
            Result.isFailure(undeclared) && undeclared.failure instanceof Instruction.StepFailed
          )
          const own = yield* ctx.step("b", () => Effect.fail(new NoStock({ sku: "b" })), {
            error: NoStock
          }).pipe(Instruction.result)
          seen.push(Result.isFailure(own) && own.failure instanceof NoStock)
          yield* ctx.suspend("go")
        }
      )
      yield* workflow.start(undefined, { runId: "r1" })
      yield* workflow.resume("r1", { eventName: "go" })
      expect(seen).toEqual([true, true, true, true, true, true])
    })
  )

  test(
    "that nothing handles ends the run",
    Effect.gen(function*() {
      const workflow = Workflow.make("w", function*(ctx) {
        yield* ctx.step("fails", () => Effect.fail(new NoStock({ sku: "a" })))
      })
      const result = yield* workflow.start(undefined, { runId: "r1" })
      expect(result).toMatchObject({
        status: "failed",
        error: { _tag: "StepFailed", step: "fails", tag: "NoStock" }
      })
      expect((result as { error: unknown }).error).toBeInstanceOf(Instruction.StepFailed)
    })
  )

  test(
    "may be converted or replaced",
    Effect.gen(function*() {
      const work = () => Effect.fail(new NoStock({ sku: "a" }))
      const workflow = Workflow.make("w", function*(ctx) {
        const instead = yield* ctx.step("a", work).pipe(
          Instruction.catch((error) => ctx.step("b", () => `instead of ${error._tag}`))
        )
        const tagged = yield* ctx.step("c", work, { error: NoStock }).pipe(
          Instruction.catchTag("NoStock", function*({ sku }) {
            return yield* ctx.step("d", () => `no ${sku}`)
          })
        )
        const converted = yield* ctx.step("e", work, { error: Instruction.StepFailed })
          .pipe(Instruction.catchTag("StepFailed", ({ tag }) => ctx.step("f", () => tag)))
        return [instead, tagged, converted]
      })
      expect(yield* workflow.start())
        .toMatchObject({ result: ["instead of StepFailed", "no a", "NoStock"] })
    })
  )

  test(
    "may be a timeout, live as on replay",
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      const workflow = Workflow.make("w", { events: { go: Schema.Void } }, function*(ctx) {
        const slow = yield* ctx.step("slow", () => Effect.never, { timeout: "1 millis", retry: 1 })
          .pipe(Instruction.result)
        if (Result.isFailure(slow)) {
          const { _tag, attempts, step } = slow.failure
          seen.push({
            _tag,
            attempts,
            step,
            typed: slow.failure instanceof Instruction.StepTimeout
          })
        }
        yield* ctx.suspend("go")
      })
      yield* workflow.start(undefined, { runId: "r1" })
      yield* workflow.resume("r1", { eventName: "go" })
      const timeout = { _tag: "StepTimeout", attempts: 2, step: "slow", typed: true }
      expect(seen).toEqual([timeout, timeout])
    })
  )
})

describe("ctx", () => {
  test(
    "log logs once, live, through Effect's logger, with the run's annotations",
    Effect.gen(function*() {
      const lines: Array<unknown> = []
      const logger = Logger.make(({ fiber, message }) => {
        lines.push({ message, ...fiber.getRef(References.CurrentLogAnnotations) })
      })
      const workflow = Workflow.make("w", { events: { go: Schema.Void } }, function*(ctx) {
        yield* ctx.log("before", { n: 1 })
        yield* ctx.step("a", () => 1)
        yield* ctx.log("between")
        yield* ctx.suspend("go")
        yield* ctx.log("after")
      })
      yield* Effect.gen(function*() {
        yield* workflow.start(undefined, { runId: "r1" })
        yield* workflow.resume("r1")
        yield* workflow.resume("r1", { eventName: "go" })
        yield* workflow.resume("r1")
      }).pipe(Effect.provide(Logger.layer([logger])))
      expect(lines).toEqual([
        { message: ["before"], n: 1, runId: "r1", workflow: "w" },
        { message: ["between"], runId: "r1", workflow: "w" },
        { message: ["after"], runId: "r1", workflow: "w" }
      ])
    })
  )

  test(
    "log of an enqueued run's first slice is not lost",
    Effect.gen(function*() {
      const lines: Array<unknown> = []
      const logger = Logger.make(({ message }) => {
        lines.push(message)
      })
      const workflow = Workflow.make("w", function*(ctx) {
        yield* ctx.log("here")
      })
      yield* workflow.enqueue(undefined, { runId: "r1" })
      yield* Effect.provide(workflow.resume("r1"), Logger.layer([logger]))
      expect(lines).toEqual([["here"]])
    })
  )

  test(
    "fail can be caught by the body, and ends the run otherwise",
    Effect.gen(function*() {
      const workflow = Workflow.make("w", { error: NoStock }, function*(ctx) {
        const caught = yield* ctx.fail(new NoStock({ sku: "a" })).pipe(Instruction.result)
        yield* ctx.fail(new NoStock({ sku: Result.isFailure(caught) ? "b" : "c" }))
      })
      expect(yield* workflow.start()).toMatchObject({ status: "failed", error: { sku: "b" } })
    })
  )

  test(
    "runId is the run's id in every session",
    Effect.gen(function*() {
      const workflow = Workflow.make("w", { events: { go: Schema.Void } }, function*(ctx) {
        const before = yield* ctx.runId
        yield* ctx.suspend("go")
        return [before, yield* ctx.runId]
      })
      yield* workflow.start(undefined, { runId: "r1" })
      expect(yield* workflow.resume("r1", { eventName: "go" }))
        .toMatchObject({ result: ["r1", "r1"] })
    })
  )

  test(
    "is stateless: the free functions are the same instructions",
    Effect.gen(function*() {
      const workflow = Workflow.make("w", function*(ctx) {
        expect(ctx.step).toBe(Instruction.step)
        return yield* Instruction.all({
          id: Instruction.runId,
          n: Instruction.step("n", () => 1)
        })
      })
      expect(yield* workflow.start(undefined, { runId: "r1" }))
        .toMatchObject({ result: { id: "r1", n: 1 } })
    })
  )
})

describe("at-most-once", () => {
  test(
    "journals an intent before the effect runs",
    Effect.gen(function*() {
      const workflow = Workflow.make("w", function*(ctx) {
        return yield* ctx.step("pay", () => Effect.orDie(typesOf("r1")), {
          delivery: "at-most-once",
          schema: Schema.Array(Schema.String)
        })
      })
      expect(yield* workflow.start(undefined, { runId: "r1" }))
        .toMatchObject({ status: "success", result: ["start", "intent"] })
      expect(yield* typesOf("r1")).toEqual(["start", "intent", "step", "complete"])
    })
  )

  test(
    "is never run again after a crash: the run is blocked",
    Effect.gen(function*() {
      const ready = yield* Deferred.make<void>()
      let paid = 0
      const workflow = Workflow.make("w", function*(ctx) {
        yield* ctx.step("pay", () => {
          paid++
          return hang(ready)
        }, { delivery: "at-most-once" })
      })
      yield* crash(workflow.start(undefined, { runId: "r1" }), ready)
      expect(yield* typesOf("r1")).toEqual(["start", "intent"])
      const blocked = yield* workflow.resume("r1")
      expect(blocked).toEqual({
        status: "blocked",
        reason: `OutcomeUnknown: "pay"`,
        runId: "r1"
      })
      expect(yield* workflow.start(undefined, { runId: "r1" })).toEqual(blocked)
      expect(yield* Effect.flip(workflow.execute(undefined, { runId: "r1" })))
        .toMatchObject({ _tag: "NoOutput", status: "blocked" })
      expect(paid).toBe(1)
      expect(yield* typesOf("r1")).toEqual(["start", "intent"])
    })
  )

  test(
    "blocks only once the branches beside it are done",
    Effect.gen(function*() {
      const ready = yield* Deferred.make<void>()
      let done = 0
      let dead = false
      const workflow = Workflow.make("w", function*(ctx) {
        yield* ctx.all([
          ctx.step("pay", () => Effect.never, { delivery: "at-most-once" }),
          ctx.step("other", () => dead ? Effect.sync(() => ++done) : hang(ready))
        ])
      })
      yield* crash(workflow.start(undefined, { runId: "r1" }), ready)
      dead = true
      expect(yield* workflow.resume("r1"))
        .toMatchObject({ status: "blocked", reason: `OutcomeUnknown: "all[0]/pay"` })
      expect(done).toBe(1)
      expect(yield* typesOf("r1")).toEqual(["start", "intent", "start", "step"])
    })
  )

  test(
    "can be cancelled when it is blocked",
    Effect.gen(function*() {
      const ready = yield* Deferred.make<void>()
      const workflow = Workflow.make("w", function*(ctx) {
        yield* ctx.step("pay", () => hang(ready), { delivery: "at-most-once" })
      })
      yield* crash(workflow.start(undefined, { runId: "r1" }), ready)
      expect(yield* workflow.cancel("r1")).toMatchObject({ status: "cancelled" })
    })
  )

  test(
    "with a retry journals an intent for each attempt",
    Effect.gen(function*() {
      let attempts = 0
      const workflow = Workflow.make("w", function*(ctx) {
        return yield* ctx.step(
          "pay",
          () => ++attempts < 3 ? Effect.fail("declined") : Effect.succeed(attempts),
          { delivery: "at-most-once", retry: 5 }
        )
      })
      expect(yield* workflow.start(undefined, { runId: "r1" })).toMatchObject({ result: 3 })
      const entries = yield* entriesOf("r1")
      expect(entries.map(({ type }) => type))
        .toEqual(["start", "intent", "intent", "intent", "step", "complete"])
      expect(entries.flatMap((e) => e.type === "intent" ? e.attempt : [])).toEqual([1, 2, 3])
      expect(entries[4]).toMatchObject({ attempts: 3 })
    })
  )
})

describe("branches", () => {
  test(
    "run at most as many at a time as allowed, and give their values in order",
    Effect.gen(function*() {
      let now = 0
      let most = 0
      const workflow = Workflow.make("w", function*(ctx) {
        return yield* ctx.forEach(
          [1, 2, 3, 4, 5, 6, 7],
          (n) =>
            ctx.step("work", () =>
              Effect.gen(function*() {
                most = Math.max(most, ++now)
                yield* Effect.sleep(n % 3)
                now--
                return n
              })),
          { concurrency: 3 }
        )
      })
      expect(yield* workflow.start()).toMatchObject({ result: [1, 2, 3, 4, 5, 6, 7] })
      expect(most).toBe(3)
    })
  )

  test(
    "run one after the other with a concurrency of 1",
    Effect.gen(function*() {
      const order: Array<string> = []
      const workflow = Workflow.make("w", function*(ctx) {
        yield* ctx.forEach(["a", "b"], (name) =>
          ctx.step("work", () =>
            Effect.gen(function*() {
              order.push(`${name} begins`)
              yield* Effect.sleep(1)
              order.push(`${name} ends`)
            })), { concurrency: 1, discard: true })
      })
      yield* workflow.start()
      expect(order).toEqual(["a begins", "a ends", "b begins", "b ends"])
    })
  )

  test(
    "that lose a race are interrupted, clean up, and do not change its outcome",
    Effect.gen(function*() {
      const seen: Array<string> = []
      const workflow = Workflow.make("w", function*(ctx) {
        const first = yield* ctx.race({
          fast: ctx.step("fast", () => Effect.as(Effect.sleep(1), 1)),
          slow: function*() {
            try {
              return yield* ctx.step(
                "slow",
                () =>
                  Effect.onInterrupt(
                    Effect.never,
                    () => Effect.sync(() => seen.push("interrupted"))
                  )
              )
            } finally {
              yield* ctx.step("clean", () => seen.push("cleaned"))
            }
          }
        })
        seen.push("went on")
        return first
      })
      expect(yield* workflow.start(undefined, { runId: "r1" }))
        .toMatchObject({ result: { winner: "fast", value: 1 } })
      expect(seen).toEqual(["interrupted", "cleaned", "went on"])
      expect((yield* entriesOf("r1")).flatMap((e) => e.type === "step" ? e.stepId : []))
        .toEqual(["race[fast]/fast", "race[slow]/clean"])
    })
  )

  test(
    "fail as a whole with the first failure, and the others are interrupted",
    Effect.gen(function*() {
      let interrupted = false
      const workflow = Workflow.make("w", { error: NoStock }, function*(ctx) {
        yield* ctx.all([
          ctx.step("hangs", () =>
            Effect.onInterrupt(Effect.never, () =>
              Effect.sync(() => {
                interrupted = true
              }))),
          ctx.step("fails", () => Effect.fail(new NoStock({ sku: "a" })))
        ])
      })
      expect(yield* workflow.start()).toMatchObject({ status: "failed", error: { sku: "a" } })
      expect(interrupted).toBe(true)
    })
  )

  test(
    "in mode result fail alone",
    Effect.gen(function*() {
      const workflow = Workflow.make("w", function*(ctx) {
        const { bad, good } = yield* ctx.all({
          good: ctx.step("good", () => 1),
          bad: ctx.step("bad", () => Effect.fail("no"))
        }, { mode: "result" })
        return [Result.isSuccess(good) && good.success, Result.isFailure(bad) && bad.failure._tag]
      })
      expect(yield* workflow.start()).toMatchObject({ result: [1, "StepFailed"] })
    })
  )

  test(
    "of any: the first success decides, and all failures are a failure",
    Effect.gen(function*() {
      const workflow = Workflow.make("w", function*(ctx, fails: boolean) {
        return yield* ctx.any([
          ctx.step("a", () => Effect.fail("no")),
          ctx.step("b", () => fails ? Effect.fail("neither") : Effect.as(Effect.sleep(1), 2))
        ])
      })
      expect(yield* workflow.start(false)).toMatchObject({ status: "success", result: 2 })
      expect(yield* workflow.start(true))
        .toMatchObject({ status: "failed", error: { message: "neither" } })
    })
  )

  test(
    "keep their recorded values when items are added in front of a keyed forEach",
    Effect.gen(function*() {
      const make = (items: ReadonlyArray<string>) =>
        Workflow.make("w", { events: { go: Schema.Void } }, function*(ctx) {
          const values = yield* ctx.forEach(
            items,
            (item) => ctx.step("work", () => `${item} of ${items.length}`),
            { key: (item) => item }
          )
          yield* ctx.suspend("go")
          return values
        })
      yield* make(["a", "b"]).start(undefined, { runId: "r1" })
      const swapped = yield* make(["b", "a"]).resume("r1", { eventName: "go" })
      expect(swapped).toMatchObject({ result: ["b of 2", "a of 2"] })
    })
  )
})

describe("services", () => {
  class Shop extends Context.Service<Shop, { readonly name: string }>()("test/Shop") {}

  test(
    "are those of whoever drives the run, in every session",
    Effect.gen(function*() {
      const workflow = Workflow.make("w", { events: { go: Schema.Void } }, function*(ctx) {
        const name = () => Effect.map(Shop, ({ name }) => name)
        const first = yield* ctx.step("first", name)
        yield* ctx.suspend("go")
        return [first, ...(yield* ctx.all([ctx.step("second", name), ctx.step("third", name)]))]
      })
      yield* Effect.provideService(workflow.start(undefined, { runId: "r1" }), Shop, { name: "a" })
      const end = yield* Effect.provideService(
        workflow.resume("r1", { eventName: "go" }),
        Shop,
        { name: "b" }
      )
      expect(end).toMatchObject({ result: ["a", "b", "b"] })
    })
  )

  test(
    "of schemas are found, too",
    Effect.gen(function*() {
      // Keeps what it encodes under the shop's own key.
      const Sealed = Schema.String.pipe(
        Schema.decodeTo(Schema.String, {
          decode: SchemaGetter.transformEffect((sealed: string) =>
            Effect.map(Shop, ({ name }) => sealed.slice(name.length))
          ),
          encode: SchemaGetter.transformEffect((open: string) =>
            Effect.map(Shop, ({ name }) => name + open)
          )
        })
      )
      const workflow = Workflow.make(
        "w",
        { input: Sealed, output: Sealed, events: { go: Sealed } },
        function*(ctx, input) {
          const step = yield* ctx.step("s", () => "step", { schema: Sealed })
          return `${input} ${step} ${yield* ctx.suspend("go")}`
        }
      )
      const end = yield* Effect.andThen(
        workflow.start("input", { runId: "r1" }),
        workflow.resume("r1", { eventName: "go", value: "event" })
      ).pipe(Effect.provideService(Shop, { name: "shop-" }))
      expect(end).toMatchObject({ status: "success", result: "input step event" })
      const entries = yield* entriesOf("r1")
      expect(entries[0]).toMatchObject({ metadata: "shop-input" })
      expect(entries[1]).toMatchObject({ result: "shop-step" })
      expect(entries.at(-1)).toMatchObject({ result: "shop-input step event" })
    })
  )
})

describe("whoever watches", () => {
  test(
    "finds run and step on every log of a step",
    Effect.gen(function*() {
      const lines: Array<unknown> = []
      const logger = Logger.make(({ fiber, message }) => {
        lines.push({ message, ...fiber.getRef(References.CurrentLogAnnotations) })
      })
      const workflow = Workflow.make("w", function*(ctx) {
        yield* ctx.step("lone", () => Effect.log("alone"))
        yield* ctx.all({ a: ctx.step("one", () => Effect.log("in a branch")) })
      })
      yield* Effect.provide(
        workflow.start(undefined, { runId: "r1" }),
        Logger.layer([logger])
      )
      expect(lines).toEqual([
        { message: ["alone"], runId: "r1", workflow: "w", stepId: "lone" },
        { message: ["in a branch"], runId: "r1", workflow: "w", stepId: "all[a]/one" }
      ])
    })
  )

  test(
    "is told nothing unless asked: no log line of the engine's own",
    Effect.gen(function*() {
      const lines: Array<unknown> = []
      const logger = Logger.make(({ message }) => {
        lines.push(message)
      })
      yield* Effect.gen(function*() {
        yield* review.start({ severity: 5 }, { runId: "r1" })
        yield* review.resume("r1", { eventName: "verdict", value: { approved: true } })
      }).pipe(Effect.provide(Logger.layer([logger])))
      expect(lines).toEqual([])
    })
  )

  test(
    "sees a span for the run and one for each step, with ids, where a tracer is installed",
    Effect.gen(function*() {
      const spans: Array<Tracer.NativeSpan> = []
      const tracer = Tracer.make({
        span: (options) => {
          const span = new Tracer.NativeSpan(options)
          spans.push(span)
          return span
        }
      })
      const workflow = Workflow.make("w", function*(ctx) {
        yield* ctx.step("one", () => Effect.void)
        yield* ctx.all({ a: ctx.step("two", () => Effect.sleep(1)) })
      })
      yield* Effect.provideService(
        workflow.start(undefined, { runId: "r1" }),
        Tracer.Tracer,
        tracer
      )
      expect(spans.map(({ attributes, name }) => ({ name, ...Object.fromEntries(attributes) })))
        .toMatchObject([
          { name: "run w", runId: "r1", workflow: "w" },
          { name: "step one", runId: "r1", workflow: "w", stepId: "one" },
          { name: "step all[a]/two", runId: "r1", workflow: "w", stepId: "all[a]/two" }
        ])
      for (const step of spans.slice(1)) {
        expect(Option.getOrThrow(step.parent).spanId).toBe(spans[0]!.spanId)
      }
      expect(spans.every(({ status }) => status._tag === "Ended")).toBe(true)
    })
  )

  test(
    "pays for no span where no tracer is installed",
    Effect.gen(function*() {
      const workflow = Workflow.make("w", function*(ctx) {
        return yield* ctx.step(
          "one",
          () => Effect.map(Effect.option(Effect.currentSpan), Option.isSome)
        )
      })
      expect(yield* workflow.start()).toMatchObject({ result: false })
    })
  )

  test(
    "counts sessions, runs and steps",
    Effect.gen(function*() {
      const workflow = Workflow.make("metered", { events: { go: Schema.Void } }, function*(ctx) {
        yield* ctx.step("good", () => 1)
        yield* ctx.step("bad", () => Effect.fail("no")).pipe(Instruction.result)
        yield* ctx.suspend("go")
      })
      yield* workflow.start(undefined, { runId: "r1" })
      yield* workflow.resume("r1", { eventName: "go" })
      const counts = (yield* Metric.snapshot).flatMap(({ attributes, id, state }) =>
        attributes?.workflow === "metered"
          ? [
            [
              id,
              ...Object.entries(attributes).flatMap(([k, v]) => k === "workflow" ? [] : v),
              Number((state as { count: number | bigint }).count)
            ].join(" ")
          ]
          : []
      )
      expect(counts.sort()).toEqual([
        "reprise_runs complete 1",
        "reprise_sessions Ended 1",
        "reprise_sessions Suspended 1",
        "reprise_steps failure 1",
        "reprise_steps success 1"
      ])
    })
  )

  test(
    "observes sessions, steps that begin, and entries that are durable",
    Effect.gen(function*() {
      const seen: Array<string> = []
      const observer: Observer.Observer = (event) =>
        Effect.gen(function*() {
          if (event.type === "session") {
            seen.push(
              `session ${event.session} of ${event.workflow} after ${event.replayed.length}`
            )
          } else if (event.type === "started") seen.push(`started ${event.stepId} ${event.name}`)
          else if (event.type === "left") seen.push(`left: ${event.why}`)
          else {
            const durable = yield* Effect.orDie(entriesOf(event.runId))
            expect(
              durable.some(({ timestamp, type }) =>
                type === event.entry.type && timestamp === event.timestamp
              )
            ).toBe(true)
            seen.push(event.entry.type)
          }
        }).pipe(Effect.provideService(Storage.Storage, storage))
      const storage = yield* Storage.Storage
      yield* Effect.gen(function*() {
        yield* review.start({ severity: 5 }, { runId: "r1" })
        yield* review.resume("r1")
        yield* review.resume("r1", { eventName: "verdict", value: { approved: true } })
        yield* review.resume("r1")
      }).pipe(Effect.provideService(Observer.Observers, [observer]))
      expect(seen).toEqual([
        "session 1 of review after 0",
        "start",
        "started classify classify",
        "step",
        "suspend",
        "session 2 of review after 3",
        "start",
        "resume",
        "started draft draft",
        "step",
        "complete"
      ])
    })
  )
})

describe("whoever watches a session that does not end its run", () => {
  const watched = <A, E, R>(effect: Effect.Effect<A, E, R>, seen: Array<string>) =>
    Effect.provideService(effect, Observer.Observers, [
      (event) =>
        Effect.sync(() => {
          if (event.type === "left") seen.push(event.why)
        })
    ])

  test(
    "is told why it left: broken, blocked",
    Effect.gen(function*() {
      const seen: Array<string> = []
      const broken = Workflow.make("broken", function*(ctx) {
        yield* ctx.step("a", () => 1)
        throw new Error("the bug")
      })
      yield* Effect.flip(watched(broken.start(), seen))
      expect(seen).toHaveLength(1)
      expect(seen[0]).toContain("the bug")
      seen.length = 0
      const ready = yield* Deferred.make<void>()
      let dead = false
      const blocked = Workflow.make("blocked", function*(ctx) {
        yield* ctx.all([
          ctx.step("pay", () => Effect.never, { delivery: "at-most-once" }),
          ctx.step("other", () => dead ? Effect.void : hang(ready))
        ])
      })
      yield* crash(blocked.start(undefined, { runId: "r1" }), ready)
      dead = true
      yield* watched(blocked.resume("r1"), seen)
      expect(seen).toHaveLength(1)
      expect(seen[0]).toContain("all[0]/pay")
    })
  )
})

describe("replay", () => {
  const events = { go: Schema.Number }

  test(
    "says what the code makes of a journal, and runs nothing",
    Effect.gen(function*() {
      let ran = 0
      const workflow = Workflow.make("w", { events }, function*(ctx) {
        const a = yield* ctx.step("a", () => ++ran)
        return a + (yield* ctx.suspend("go"))
      })
      const journal = Runs.journal("r1")
      yield* workflow.enqueue(undefined, { runId: "r1" })
      expect(workflow.replay(yield* journal))
        .toEqual({ _tag: "Blocked", steps: ["a"], waits: [] })
      yield* workflow.resume("r1")
      expect(workflow.replay(yield* journal))
        .toMatchObject({ _tag: "Blocked", steps: [], waits: [{ stepId: "go" }] })
      yield* workflow.resume("r1", { eventName: "go", value: 41 })
      expect(workflow.replay(yield* journal)).toEqual({ _tag: "Returned", value: 42 })
      expect(ran).toBe(1)
    })
  )

  test(
    "gives the error a body fails with, and a defect of the body",
    Effect.gen(function*() {
      let bad = false
      const workflow = Workflow.make("w", { error: NoStock }, function*(ctx) {
        yield* ctx.step("a", () => 1)
        if (bad) yield 5 as never
        yield* ctx.fail(new NoStock({ sku: "a" }))
      })
      yield* workflow.start(undefined, { runId: "r1" })
      const journal = yield* Runs.journal("r1")
      const replayed = workflow.replay(journal)
      expect(replayed).toMatchObject({ _tag: "Threw", error: { sku: "a" } })
      bad = true
      expect(workflow.replay(journal)).toMatchObject({ _tag: "Broke" })
    })
  )

  test(
    "says that a body is broken where driving it would: it throws what is not declared",
    Effect.gen(function*() {
      let bad = false
      const workflow = Workflow.make("w", { events: { go: Schema.Void } }, function*(ctx) {
        yield* ctx.step("a", () => 1)
        if (bad) throw new TypeError("x is undefined")
        yield* ctx.suspend("go")
      })
      yield* workflow.start(undefined, { runId: "waits" })
      yield* workflow.enqueue(undefined, { runId: "fresh" })
      bad = true
      const broken = { _tag: "BodyDefect", saw: "The body threw TypeError: x is undefined" }
      const replayed = workflow.replay(yield* Runs.journal("waits"))
      expect(replayed).toMatchObject({ _tag: "Broke", defect: broken })
      expect(yield* Effect.flip(workflow.resume("waits"))).toMatchObject(broken)
      // Nothing of it is recorded: it has not come so far.
      expect(workflow.replay(yield* Runs.journal("fresh"))).toMatchObject({ _tag: "Blocked" })
    })
  )
})

describe("a driving fiber that is interrupted", () => {
  test(
    "interrupts its steps, gives the run back, and leaves it open",
    Effect.gen(function*() {
      const ready = yield* Deferred.make<void>()
      const interrupted: Array<string> = []
      const workflow = Workflow.make("w", function*(ctx) {
        const hanging = (name: string) =>
          ctx.step(name, () =>
            Effect.onInterrupt(
              name === "b" ? hang(ready) : Effect.never,
              () => Effect.sync(() => interrupted.push(name))
            ))
        yield* ctx.all([hanging("a"), hanging("b")])
      })
      const driving = yield* Effect.forkChild(workflow.start(undefined, { runId: "r1" }))
      yield* Deferred.await(ready)
      yield* Fiber.interrupt(driving)
      const exit = yield* Fiber.await(driving)
      expect(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)).toBe(true)
      expect(interrupted.sort()).toEqual(["a", "b"])
      expect(yield* workflow.status("r1"))
        .toEqual({ status: "pending", runId: "r1", ...tally() })
      expect(yield* typesOf("r1")).toEqual(["start"])
    })
  )
})
