/**
 * Runs on a cluster, in one process: they go on by themselves whoever tells of them, when they cannot go on they do
 * no harm, and the program is the one that an embedded worker drives.
 */
import { describe, expect, it } from "@effect/vitest"
import { Context, Deferred, Effect, Fiber, Layer, Option, Schema } from "effect"
import { MessageStorage, TestRunner } from "effect/cluster"
import { join } from "node:path"
import { Runs, Storage, Worker, Workflow } from "reprise"
import { ClusterClient, ClusterWorker } from "reprise/cluster"
import { SqliteStorage } from "reprise/sqlite"
import { temporary } from "../storage/support/local.ts"
import { gauge, on, resultOf, stateOf, until, untilState, wrapped } from "../worker/support.ts"
import { makeStorages, run, scoped } from "./support.ts"

const hello = Workflow.make("hello", function*(ctx, who: string) {
  return yield* ctx.step("greet", () => `hello ${who}`)
})

const asking = Workflow.make(
  "asking",
  { events: { answer: Schema.String, nudge: Schema.Void } },
  function*(ctx) {
    const answer = yield* ctx.suspend("answer")
    return yield* ctx.step("after", () => `it is ${answer}`)
  }
)

/** No look at all that is due comes before the test is over. */
const never = "1 hour"

/** The messages for one run that the cluster has stored, by tag. */
const messagesFor = (context: Context.Context<MessageStorage.MemoryDriver>, runId: string) =>
  Context.get(context, MessageStorage.MemoryDriver).journal.flatMap((envelope) =>
    envelope._tag === "Request" && envelope.address.entityId === runId ? [envelope.tag] : []
  )

describe("a run goes on by itself on a cluster", () => {
  it.live("when it was enqueued, though nobody looks at what is due", () =>
    scoped(Effect.gen(function*() {
      const { here } = makeStorages()
      yield* run(here, { workflows: [hello], poll: never })
      yield* on(here)(hello.enqueue("you", { runId: "a" }))
      expect(yield* on(here)(resultOf("a"))).toBe("hello you")
    })))

  it.live("whatever its id is made of", () =>
    scoped(Effect.gen(function*() {
      const { here } = makeStorages()
      yield* run(here, { workflows: [hello], poll: never })
      const odd = [" ", "~!'\"%$;--", "A:B:1", "x".repeat(200)]
      for (const runId of odd) yield* on(here)(hello.enqueue(runId, { runId }))
      for (const runId of odd) expect(yield* on(here)(resultOf(runId))).toBe(`hello ${runId}`)
    })))

  it.live("when an event is posted, and when it is cancelled", () =>
    scoped(Effect.gen(function*() {
      const { here } = makeStorages()
      yield* run(here, { workflows: [asking], poll: never })
      yield* on(here)(asking.enqueue(undefined, { runId: "a" }))
      yield* on(here)(asking.enqueue(undefined, { runId: "b" }))
      yield* on(here)(untilState("a", "suspended"))
      yield* on(here)(untilState("b", "suspended"))
      yield* on(here)(asking.send("a", { eventName: "answer", value: "yes" }))
      expect(yield* on(here)(resultOf("a"))).toBe("it is yes")
      yield* on(here)(Runs.cancel("b"))
      yield* on(here)(untilState("b", "cancelled"))
    })))

  it.live("when its time has come", () =>
    scoped(Effect.gen(function*() {
      const { here } = makeStorages()
      const naps = Workflow.make("naps", { events: { answer: Schema.String } }, function*(ctx) {
        yield* ctx.sleep("300 millis")
        const answer = yield* ctx.suspend("answer", { timeout: "300 millis" })
        return Option.isNone(answer)
      })
      const { context } = yield* run(here, { workflows: [naps], poll: never })
      yield* on(here)(naps.enqueue(undefined, { runId: "a" }))
      expect(yield* on(here)(resultOf("a"))).toBe(true)
      // One that says that it is there, and one for each time.
      expect(messagesFor(context, "a")).toEqual(["Drive", "Wake", "Wake"])
    })))

  it.live("when the child that it waits for has ended", () =>
    scoped(Effect.gen(function*() {
      const { here } = makeStorages()
      const parent = Workflow.make("parent", function*(ctx) {
        const said = yield* ctx.child(asking, undefined, { runId: "child" })
        return yield* ctx.step("repeat", () => `child: ${said}`)
      })
      yield* run(here, { workflows: [parent, asking], poll: never })
      yield* on(here)(parent.enqueue(undefined, { runId: "a" }))
      yield* on(here)(untilState("child", "suspended"))
      yield* on(here)(asking.send("child", { eventName: "answer", value: "yes" }))
      expect(yield* on(here)(resultOf("a"))).toBe("child: it is yes")
    })))

  it.live("when it goes on as another one", () =>
    scoped(Effect.gen(function*() {
      const { here } = makeStorages()
      const countdown = Workflow.make(
        "countdown",
        { input: Schema.Number, output: Schema.String },
        function*(ctx, n) {
          if (n === 0) return "zero"
          return yield* ctx.continueAs(n - 1)
        }
      )
      yield* run(here, { workflows: [countdown], poll: never })
      yield* on(here)(countdown.enqueue(3, { runId: "a" }))
      expect(yield* on(here)(resultOf("a"))).toBe("zero")
    })))

  it.live("when a client enqueued it and was closed at once", () =>
    scoped(Effect.gen(function*() {
      const { here, there } = makeStorages()
      const { context } = yield* run(here, { workflows: [hello], poll: never })
      const client = ClusterClient.layer.pipe(
        Layer.provideMerge(Layer.succeed(Storage.Storage, there)),
        Layer.provide(Layer.succeedContext(context))
      )
      yield* Effect.provide(hello.enqueue("you", { runId: "a" }), client)
      expect(yield* on(here)(resultOf("a"))).toBe("hello you")
    })))
})

describe("what nobody told of", () => {
  it.live("is found by looking at all that is due", () =>
    scoped(Effect.gen(function*() {
      const { here, there } = makeStorages()
      yield* on(there)(hello.enqueue("early", { runId: "early" }))
      yield* run(here, { workflows: [hello], poll: "100 millis" })
      expect(yield* on(here)(resultOf("early"))).toBe("hello early")
      yield* on(there)(hello.enqueue("late", { runId: "late" }))
      expect(yield* on(here)(resultOf("late"))).toBe("hello late")
    })))

  it.live("is not asked about again and again when it cannot go on", () =>
    scoped(Effect.gen(function*() {
      const { here, there } = makeStorages()
      const stuck = Workflow.make("stuck", function*() {
        throw new Error("this body is broken")
      })
      yield* on(there)(stuck.enqueue(undefined, { runId: "stuck" }))
      const { context, health } = yield* run(here, {
        workflows: [hello, stuck],
        poll: "20 millis"
      })
      yield* until("it is told of", Effect.map(health, ({ blocked }) => blocked.has("stuck")))
      const looked = (yield* health).lookedAt!
      yield* until(
        "there were more looks",
        Effect.map(health, (now) => now.lookedAt! > looked + 200)
      )
      expect(messagesFor(context, "stuck")).toEqual(["Drive"])
      expect((yield* health).blocked.get("stuck")).toContain("this body is broken")
      // It is in nobody's way.
      yield* on(there)(hello.enqueue("you", { runId: "a" }))
      expect(yield* on(here)(resultOf("a"))).toBe("hello you")
    })))

  it.live("does not end the looks when the storage fails for a while", () =>
    scoped(Effect.gen(function*() {
      const { here, there } = makeStorages()
      const { state, storage } = wrapped(here)
      state.fails = true
      const { health } = yield* run(storage, { workflows: [hello], poll: "20 millis" })
      yield* until("it says so", Effect.map(health, ({ failure }) => failure !== undefined))
      yield* on(there)(hello.enqueue("you", { runId: "a" }))
      state.fails = false
      expect(yield* on(there)(resultOf("a"))).toBe("hello you")
      yield* until("it is well", Effect.map(health, ({ failure }) => failure === undefined))
    })))
})

describe("a run that cannot go on", () => {
  it.live("is blocked until something is posted, and until it has gone on elsewhere", () =>
    scoped(Effect.gen(function*() {
      const { here, there } = makeStorages()
      let isBroken = true
      const fragile = Workflow.make("fragile", { events: { nudge: Schema.Void } }, function*(ctx) {
        if (isBroken) throw new Error("this body is broken")
        return yield* ctx.step("fine", () => "fine")
      })
      const { health } = yield* run(here, { workflows: [fragile], poll: never })
      const isBlocked = (runId: string) => Effect.map(health, ({ blocked }) => blocked.has(runId))
      for (const runId of ["a", "b"]) {
        yield* on(here)(fragile.enqueue(undefined, { runId }))
        yield* until("it is blocked", isBlocked(runId))
      }
      isBroken = false
      yield* on(here)(fragile.send("a", { eventName: "nudge", value: undefined }))
      expect(yield* on(here)(resultOf("a"))).toBe("fine")
      yield* on(there)(fragile.resume("b"))
      yield* until("it is not", Effect.map(isBlocked("b"), (so) => !so))
      expect((yield* health).blocked.size).toBe(0)
    })))
})

describe("messages", () => {
  it.live("that come while a run is driven are one more look, and none is lost", () =>
    scoped(Effect.gen(function*() {
      const { here } = makeStorages()
      const counts = { handled: 0 }
      const begun = yield* Deferred.make<void>()
      const go = yield* Deferred.make<void>()
      const busy = Workflow.make(
        "busy",
        { events: { answer: Schema.Number } },
        function*(ctx) {
          yield* ctx.step(
            "wait",
            () => Effect.andThen(Deferred.succeed(begun, undefined), Deferred.await(go))
          )
          let sum = 0
          for (let n = 0; n < 20; n++) sum += yield* ctx.suspend("answer")
          return sum
        }
      )
      const counting = wrapped(here)
      yield* run(counting.storage, { workflows: [busy], poll: never })
      yield* on(counting.storage)(busy.enqueue(undefined, { runId: "a" }))
      yield* Deferred.await(begun)
      counts.handled = counting.counts.acquire
      for (let n = 0; n < 20; n++) {
        yield* on(counting.storage)(busy.send("a", { eventName: "answer", value: n }))
      }
      yield* Effect.sleep("100 millis")
      yield* Deferred.succeed(go, undefined)
      expect(yield* on(here)(resultOf("a"))).toBe(190)
      yield* Effect.sleep("100 millis")
      // The session that was under way, and one look for all twenty behind it.
      expect(counting.counts.acquire - counts.handled).toBeLessThanOrEqual(1)
    })))

  it.live("for a run that somebody else drives come to one chain of looks, until it is free", () =>
    scoped(Effect.gen(function*() {
      const { here, there } = makeStorages()
      const begun = yield* Deferred.make<void>()
      const go = yield* Deferred.make<void>()
      const slow = Workflow.make(
        "slow",
        { events: { nudge: Schema.Void } },
        function*(ctx) {
          yield* ctx.step(
            "wait",
            () => Effect.andThen(Deferred.succeed(begun, undefined), Deferred.await(go))
          )
          yield* ctx.suspend("nudge")
          return "done"
        }
      )
      const { context } = yield* run(here, { workflows: [slow], poll: never })
      const driven = yield* Effect.forkChild(on(there)(slow.start(undefined, { runId: "a" })))
      yield* Deferred.await(begun)
      for (let n = 0; n < 20; n++) {
        yield* on(here)(slow.send("a", { eventName: "nudge", value: undefined }))
        yield* Effect.sleep(5)
      }
      yield* until(
        "it is looked at again",
        Effect.sync(() => messagesFor(context, "a").includes("Wake"))
      )
      // All of the twenty met it held: they wait for the same instant, or the one behind.
      expect(messagesFor(context, "a").filter((tag) => tag === "Wake").length)
        .toBeLessThanOrEqual(2)
      yield* Deferred.succeed(go, undefined)
      yield* Fiber.join(driven)
      expect(yield* on(here)(resultOf("a"))).toBe("done")
    })))

  it.live("for a workflow that no runner knows leave the run as it is", () =>
    scoped(Effect.gen(function*() {
      const { here, there } = makeStorages()
      const { context, health } = yield* run(here, { workflows: [hello], poll: never })
      yield* on(here)(asking.enqueue(undefined, { runId: "a" }))
      yield* until(
        "a later look is planned",
        Effect.sync(() => messagesFor(context, "a").includes("Wake"))
      )
      expect(yield* on(there)(stateOf("a"))).toBe("pending")
      expect((yield* health).blocked.size).toBe(0)
    })))
})

describe("a runner", () => {
  it.live("drives no more runs at once than it may", () =>
    scoped(Effect.gen(function*() {
      const { here } = makeStorages()
      const { during, seen } = gauge()
      const work = Workflow.make("work", function*(ctx, id: string) {
        return yield* ctx.step("do", () => Effect.as(during(id, 20), id))
      })
      const { health } = yield* run(here, { workflows: [work], concurrency: 3, poll: never })
      const ids = Array.from({ length: 12 }, (_, n) => `w${n}`)
      for (const runId of ids) yield* on(here)(work.enqueue(runId, { runId }))
      yield* until("some wait", Effect.map(health, ({ waiting }) => waiting > 0))
      for (const runId of ids) expect(yield* on(here)(resultOf(runId))).toBe(runId)
      expect(seen.most).toBe(3)
      expect(seen.begun).toBe(12)
      yield* until("nothing is left", Effect.map(health, ({ running }) => running.length === 0))
      expect((yield* health).waiting).toBe(0)
    })))

  it.live("gives its leases a time that fits the cluster's, unless the program says otherwise", () =>
    scoped(Effect.gen(function*() {
      const { here } = makeStorages()
      const leases: Array<number> = []
      const seen = Workflow.make("seen", function*(ctx) {
        return yield* ctx.step("look", () =>
          Effect.map(Workflow.LeaseTime, (time) => {
            leases.push(time)
          }))
      })
      yield* run(here, { workflows: [seen], poll: never })
      yield* on(here)(seen.enqueue(undefined, { runId: "a" }))
      yield* on(here)(resultOf("a"))
      const other = makeStorages().here
      yield* Effect.provideService(
        run(other, { workflows: [seen], poll: never }),
        Workflow.LeaseTime,
        7_000
      )
      yield* on(other)(seen.enqueue(undefined, { runId: "a" }))
      yield* on(other)(resultOf("a"))
      expect(leases).toEqual([3_000, 7_000])
    })))
})

describe("the same program", () => {
  const counter = Workflow.make(
    "counter",
    { input: Schema.Number, output: Schema.Number, events: { add: Schema.Number } },
    function*(ctx, start) {
      const add = yield* ctx.suspend("add")
      yield* ctx.sleep("150 millis")
      return yield* ctx.step("sum", () => start + add)
    }
  )
  const program = Effect.gen(function*() {
    const runId = yield* counter.enqueue(40, { runId: "counted" })
    yield* counter.enqueue(40, { runId: "counted" })
    yield* counter.send(runId, { eventName: "add", value: 2 })
    const sum = yield* counter.join(runId)
    const { blocked, state } = yield* Worker.health
    const { runs } = yield* Runs.list({})
    return { sum, state, blocked: blocked.size, runs: runs.map((run) => run.status) }
  })
  const outcome = { sum: 42, state: "working", blocked: 0, runs: ["success"] }
  const workflows = [counter] as const
  const storages = {
    memory: () => Storage.layerMemory,
    SQLite: () => SqliteStorage.layer({ filename: join(temporary(), "runs.db") })
  }
  const workers = {
    "the embedded worker": Worker.layer({ workflows }),
    "a cluster": ClusterWorker.layer({ workflows }).pipe(Layer.provide(TestRunner.layer))
  }
  for (const [driver, worker] of Object.entries(workers)) {
    for (const [name, storage] of Object.entries(storages)) {
      it.live(`gives the same with ${driver} on ${name}`, () =>
        Effect.gen(function*() {
          const layer = Layer.fresh(worker).pipe(Layer.provideMerge(storage()))
          expect(yield* Effect.provide(program, layer)).toEqual(outcome)
        }))
    }
  }
})
