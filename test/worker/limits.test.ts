/**
 * Limits by workflow, through the worker, under a clock that stands still: how many runs of one are driven
 * at once, how often they are taken up, which goes first, and that nothing else is held up or lost.
 */
import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Layer, Schema, Scope } from "effect"
import { TestClock } from "effect/testing"
import { Dispatch, Runs, Storage, Worker, Workflow } from "reprise"
import { on, type Service, stateOf, work as opened, wrapped } from "./support.ts"

/**
 * No look at all that is due, unless a test is about one: what is told of is driven. Nobody drains: a test that
 * fails would wait for a clock that stands still.
 */
const never = "400 days"

const work = (
  storage: Service,
  options: Worker.Options<ReadonlyArray<Dispatch.AnyWorkflow>>
) => opened(storage, { poll: never, drain: 0, ...options })

/** Lets what is under way go on; time stands still meanwhile, but for a moment. */
const settled = Effect.gen(function*() {
  for (let i = 0; i < 20; i++) yield* TestClock.adjust(0)
})

const pass = (millis: number) => Effect.andThen(TestClock.adjust(millis), settled)

const now = Effect.clockWith((clock) => clock.currentTimeMillis)

/** Workflows that say when their runs begin, and are under way until they are let go. */
const lab = () => {
  const began: Array<string> = []
  const at: Array<number> = []
  const under = new Map<string, Deferred.Deferred<void>>()
  const most = new Map<string, number>()
  const running = (name: string) => Array.from(under.keys()).filter((id) => id.startsWith(name))
  const make = (name: string) =>
    Workflow.make(name, function*(ctx, id: string) {
      yield* ctx.step("work", () =>
        Effect.gen(function*() {
          const done = yield* Deferred.make<void>()
          began.push(id)
          at.push(yield* now)
          under.set(id, done)
          most.set(name, Math.max(most.get(name) ?? 0, running(name).length))
          yield* Deferred.await(done)
          under.delete(id)
        }))
      return id
    })
  /** A workflow whose runs are over at once. */
  const quick = (name: string) =>
    Workflow.make(name, function*(ctx, id: string) {
      yield* ctx.step("work", () =>
        Effect.gen(function*() {
          began.push(id)
          at.push(yield* now)
        }))
      return id
    })
  const letGo = (id: string) =>
    Effect.andThen(
      Effect.suspend(() => {
        const done = under.get(id)
        return done === undefined
          ? Effect.die(new Error(`${id} is not under way, but ${Array.from(under.keys()).join()}`))
          : Deferred.succeed(done, undefined)
      }),
      settled
    )
  return { began, at, under, most, make, quick, letGo }
}

const memory = Effect.sync(() => Storage.make(Storage.memoryDriver()))

const enqueued = (
  workflow: Workflow.Workflow<string, string, unknown, {}, any, any>,
  ...ids: ReadonlyArray<string>
) => Effect.forEach(ids, (id) => workflow.enqueue(id, { runId: id }), { discard: true })

describe("a concurrency", () => {
  it.effect("holds the runs of its workflow, and nobody else's", () =>
    Effect.gen(function*() {
      const { began, letGo, make, most, quick, under } = lab()
      const slow = make("slow"), other = make("other"), fast = quick("fast")
      const storage = yield* memory
      const { health } = yield* work(storage, {
        workflows: [slow, other, fast],
        concurrency: 6,
        limits: { slow: { concurrency: 2 }, other: { concurrency: 3 } }
      })
      yield* on(storage)(Effect.gen(function*() {
        yield* enqueued(slow, "slow1", "slow2", "slow3", "slow4", "slow5")
        yield* enqueued(other, "other1", "other2", "other3", "other4")
        yield* enqueued(fast, "fast1", "fast2", "fast3")
        yield* settled
        expect(Array.from(under.keys()).toSorted())
          .toEqual(["other1", "other2", "other3", "slow1", "slow2"])
        for (const id of ["fast1", "fast2", "fast3"]) expect(yield* stateOf(id)).toBe("success")
        expect(yield* health).toMatchObject({ waiting: 4 })
        yield* letGo("slow2")
        expect(Array.from(under.keys()).toSorted())
          .toEqual(["other1", "other2", "other3", "slow1", "slow3"])
        for (const id of ["slow1", "slow3", "slow4", "slow5"]) yield* letGo(id)
        for (const id of ["other3", "other2", "other1", "other4"]) yield* letGo(id)
        expect(began.toSorted()).toEqual([
          "fast1",
          "fast2",
          "fast3",
          "other1",
          "other2",
          "other3",
          "other4",
          "slow1",
          "slow2",
          "slow3",
          "slow4",
          "slow5"
        ])
        expect(Object.fromEntries(most)).toEqual({ slow: 2, other: 3 })
        expect(yield* health).toMatchObject({ waiting: 0, running: [] })
      }))
    }))

  it.effect("is not taken up by a run that only waits, for an event or for a timer", () =>
    Effect.gen(function*() {
      const waits = Workflow.make("waits", { events: { go: Schema.Void } }, function*(ctx) {
        yield* ctx.suspend("go")
      })
      const sleeps = Workflow.make("sleeps", function*(ctx) {
        yield* ctx.sleep("1 hour")
      })
      const storage = yield* memory
      yield* work(storage, {
        workflows: [waits, sleeps],
        limits: { waits: { concurrency: 1 }, sleeps: { concurrency: 1 } }
      })
      yield* on(storage)(Effect.gen(function*() {
        for (const n of [1, 2, 3]) {
          yield* waits.enqueue(undefined, { runId: `waits${n}` })
          yield* sleeps.enqueue(undefined, { runId: `sleeps${n}` })
        }
        yield* pass(1_000)
        const of = (name: string) => Effect.forEach([1, 2, 3], (n) => stateOf(`${name}${n}`))
        expect(yield* of("waits")).toEqual(["suspended", "suspended", "suspended"])
        expect(yield* of("sleeps")).toEqual(["suspended", "suspended", "suspended"])
        for (const n of [3, 1, 2]) yield* waits.send(`waits${n}`, { eventName: "go" })
        yield* pass(3_600_000)
        expect(yield* of("waits")).toEqual(["success", "success", "success"])
        expect(yield* of("sleeps")).toEqual(["success", "success", "success"])
      }))
    }))

  it.effect("lets a run that was posted to while it ran go on with what came", () =>
    Effect.gen(function*() {
      const begun = yield* Deferred.make<void>()
      const go = yield* Deferred.make<void>()
      const asking = Workflow.make(
        "asking",
        { events: { answer: Schema.String } },
        function*(ctx, id: string) {
          yield* ctx.step(
            "first",
            Effect.andThen(Deferred.succeed(begun, undefined), Deferred.await(go))
          )
          const one = yield* ctx.suspend("answer")
          const two = yield* ctx.suspend("answer")
          return `${id}: ${one} ${two}`
        }
      )
      const storage = yield* memory
      const { health } = yield* work(storage, {
        workflows: [asking],
        limits: { asking: { concurrency: 1, rate: { times: 3, per: "1 hour" } } }
      })
      yield* on(storage)(Effect.gen(function*() {
        yield* asking.enqueue("a", { runId: "a" })
        yield* asking.enqueue("b", { runId: "b" })
        yield* Deferred.await(begun)
        yield* asking.send("a", { eventName: "answer", value: "one" })
        yield* asking.send("a", { eventName: "answer", value: "two" })
        yield* settled
        expect((yield* health).running).toEqual(["a"])
        yield* Deferred.succeed(go, undefined)
        yield* settled
        expect(yield* asking.status("a")).toMatchObject({ result: "a: one two" })
        // It is looked at once more behind that, since it may not have seen what came last.
        yield* pass(3_600_000)
        expect(yield* stateOf("b")).toBe("suspended")
        expect(yield* health).toMatchObject({ running: [], waiting: 0 })
      }))
    }))
})

describe("a rate", () => {
  const began = (
    rate: { readonly times: number; readonly per: any },
    runs: number,
    stops: ReadonlyArray<number>
  ) =>
    Effect.gen(function*() {
      const { at, quick } = lab()
      const since = yield* now
      const limited = quick("limited"), free = quick("free")
      const storage = yield* memory
      yield* work(storage, { workflows: [limited, free], limits: { limited: { rate } } })
      yield* on(storage)(Effect.gen(function*() {
        const ids = Array.from({ length: runs }, (_, n) => `limited${n}`)
        yield* enqueued(limited, ...ids)
        yield* settled
        for (const stop of stops) yield* pass(stop)
        const seen = at.length
        // Others are not held up by it.
        yield* enqueued(free, "free")
        yield* settled
        expect(at).toHaveLength(seen + 1)
      }))
      return at.slice(0, -1).map((time) => time - since)
    })

  it.effect("lets as many begin at once as it says, and then one after the other", () =>
    Effect.gen(function*() {
      expect(yield* began({ times: 2, per: "10 seconds" }, 6, [60_000]))
        .toEqual([0, 0, 5_000, 10_000, 15_000, 20_000])
      expect(yield* began({ times: 3, per: 3_000 }, 7, [4_000]))
        .toEqual([0, 0, 0, 1_000, 2_000, 3_000, 4_000])
    }))

  it.effect("of less than once is one in a longer time", () =>
    Effect.gen(function*() {
      expect(yield* began({ times: 0.5, per: "10 seconds" }, 3, [60_000]))
        .toEqual([0, 20_000, 40_000])
      expect(yield* began({ times: 0.1, per: "1 second" }, 3, [19_000]))
        .toEqual([0, 10_000])
    }))

  it.effect("of a month begins nothing a day early", () =>
    Effect.gen(function*() {
      const day = 86_400_000
      expect(yield* began({ times: 1, per: "30 days" }, 3, [29 * day])).toEqual([0])
      expect(yield* began({ times: 1, per: "30 days" }, 3, [30 * day, 30 * day]))
        .toEqual([0, 30 * day, 60 * day])
    }))

  it.effect("counts a run whenever it is taken up again", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const talks = Workflow.make(
        "talks",
        { events: { say: Schema.String } },
        function*(ctx) {
          for (;;) {
            const said = yield* ctx.suspend("say")
            yield* ctx.step("hear", () => void seen.push(said))
          }
        }
      )
      const storage = yield* memory
      yield* work(storage, {
        workflows: [talks],
        limits: { talks: { rate: { times: 1, per: "10 seconds" } } }
      })
      yield* on(storage)(Effect.gen(function*() {
        yield* talks.enqueue(undefined, { runId: "r" })
        yield* settled
        for (const value of ["a", "b"]) {
          yield* talks.send("r", { eventName: "say", value })
          yield* settled
        }
        yield* pass(9_000)
        expect(seen).toEqual([])
        yield* pass(1_100)
        expect(seen).toEqual(["a", "b"])
      }))
    }))

  it.effect("is not spent on runs that another worker has driven to their end", () =>
    Effect.gen(function*() {
      const { began, quick } = lab()
      const limited = quick("limited")
      const storage = yield* memory
      const rate = { times: 1, per: "1 hour" } as const
      yield* work(storage, {
        workflows: [limited],
        limits: { limited: { rate } },
        poll: "1 minute"
      })
      yield* on(storage)(Effect.gen(function*() {
        yield* enqueued(limited, "a", "b", "c", "d")
        yield* settled
        expect(began).toEqual(["a"])
        for (const id of ["b", "c"]) yield* limited.resume(id)
        expect(began).toEqual(["a", "b", "c"])
        for (let minute = 0; minute <= 60; minute++) yield* pass(60_000)
        expect(began).toEqual(["a", "b", "c", "d"])
      }))
    }))
})

describe("a priority", () => {
  it.effect("lets the highest go first where there is one place, and the oldest among equals", () =>
    Effect.gen(function*() {
      const { began, letGo, make } = lab()
      const names = ["low", "plain", "high", "also"] as const
      const [low, plain, high, also] = [make("low"), make("plain"), make("high"), make("also")]
      const storage = yield* memory
      yield* work(storage, {
        workflows: [low, plain, high, also],
        concurrency: 1,
        limits: { low: { priority: -0.5 }, high: { priority: 2 }, also: { priority: 2 } }
      })
      yield* on(storage)(Effect.gen(function*() {
        yield* enqueued(plain, "plain0")
        yield* settled
        const all = { low, plain, high, also }
        for (const n of [1, 2]) for (const name of names) yield* enqueued(all[name], `${name}${n}`)
        yield* settled
        expect(began).toEqual(["plain0"])
        yield* letGo("plain0")
        yield* letGo("high1")
        // One that comes later passes those below it.
        yield* enqueued(high, "high3")
        const order = ["also1", "high2", "also2", "high3", "plain1", "plain2", "low1", "low2"]
        for (const id of order) yield* letGo(id)
        expect(began).toEqual(["plain0", "high1", ...order])
      }))
    }))

  it.effect("keeps no place free for a workflow that is at its limit", () =>
    Effect.gen(function*() {
      const { began, letGo, make } = lab()
      const low = make("low"), high = make("high")
      const storage = yield* memory
      yield* work(storage, {
        workflows: [low, high],
        concurrency: 2,
        limits: { low: { priority: -1 }, high: { concurrency: 1, priority: 1 } }
      })
      yield* on(storage)(
        Effect.gen(function*() {
          yield* enqueued(high, "high1", "high2")
          yield* settled
          yield* enqueued(low, "low1", "low2")
          yield* settled
          expect(began).toEqual(["high1", "low1"])
          yield* letGo("low1")
          expect(began.at(-1)).toBe("low2")
          yield* letGo("high1")
          expect(began.at(-1)).toBe("high2")
        })
      )
    }))
})

describe("a limit that is none", () => {
  const one = Workflow.make("one", function*(ctx) {
    yield* ctx.step("s", () => 1)
  })
  const two = Workflow.make("two", function*(ctx) {
    yield* ctx.step("s", () => 1)
  })

  it("is refused for a workflow that is not driven here, with those that are", () => {
    const make = () => Worker.layer({ workflows: [one, two], limits: { tow: { priority: 1 } } })
    expect(make).toThrow(TypeError)
    expect(make).toThrow(
      `There is a limit of workflow "tow", which is none of "one", "two".`
    )
    expect(() => Worker.layer({ workflows: [one], limits: { constructor: {} } as never }))
      .toThrow(`There is a limit of workflow "constructor", which is none of "one".`)
  })

  it("is not refused by name where nobody knows which workflows there are", () => {
    expect(Layer.isLayer(Worker.layerDispatch({ limits: { tow: { priority: 1 } } }))).toBe(true)
  })

  const wrong: ReadonlyArray<readonly [what: string, limit: Worker.Limit, text: string]> = [
    ...[0, -1, 1.5, NaN, Infinity, "2" as never].map((concurrency) =>
      [
        `a concurrency of ${concurrency}`,
        { concurrency },
        `The limit of workflow "one" has a concurrency of ${concurrency}: `
        + "a whole number from 1 on is allowed."
      ] as const
    ),
    ...[NaN, Infinity, -Infinity, "high" as never].map((priority) =>
      [
        `a priority of ${priority}`,
        { priority },
        `The limit of workflow "one" has a priority of ${priority}: any finite number is allowed.`
      ] as const
    ),
    ...[0, -0.5, NaN, Infinity, "1" as never].map((times) =>
      [
        `a rate of ${times} times`,
        { rate: { times, per: "1 second" as const } },
        `The limit of workflow "one" has a rate of ${times} times: `
        + "a finite number above 0 is allowed."
      ] as const
    ),
    ...([0, -1, NaN, Infinity, "0 seconds", "Infinity"] as const).map((per) =>
      [
        `a rate per ${per}`,
        { rate: { times: 1, per: per as never } },
        `The limit of workflow "one" has a rate per`
      ] as const
    )
  ]
  for (const [what, limit, text] of wrong) {
    it(`is refused: ${what}`, () => {
      for (
        const make of [
          () => Worker.layer({ workflows: [one], limits: { one: limit } }),
          () => Worker.layerDispatch({ limits: { one: limit } })
        ]
      ) {
        expect(make).toThrow(TypeError)
        expect(make).toThrow(text)
      }
    })
  }

  it("is not one that leaves all out", () => {
    const empty = { concurrency: undefined, priority: undefined, rate: undefined }
    expect(Layer.isLayer(Worker.layer({ workflows: [one], limits: { one: empty } }))).toBe(true)
  })
})

describe("without limits", () => {
  it.effect("a worker does as before: in the order of arrival, and without a read more", () =>
    Effect.gen(function*() {
      const reads: Array<number> = []
      const limits = [undefined, {}, { quick: { priority: 1 } }]
      for (const limit of limits) {
        const { began, quick } = lab()
        const workflow = quick("quick")
        const inner = yield* memory
        const { counts, storage } = wrapped(inner)
        const { close, health } = yield* work(storage, {
          workflows: [workflow],
          concurrency: 2,
          limits: limit
        })
        const ids = Array.from({ length: 9 }, (_, n) => `quick${n}`)
        // By another process: this one has to read them.
        yield* on(inner)(enqueued(workflow, ...ids))
        for (const id of ids) storage.hint(id)
        yield* settled
        expect(began).toEqual(ids)
        expect(yield* health).toMatchObject({ running: [], waiting: 0 })
        reads.push(counts.read)
        yield* close
      }
      expect(reads[1]).toBe(reads[0])
      // Of each, whose run it is.
      expect(reads[2]).toBe(reads[0]! + 9)
    }))
})

describe("a run that is not driven here", () => {
  it.effect("because it is of another workflow holds up nobody, and is left to who knows it", () =>
    Effect.gen(function*() {
      const { began, quick } = lab()
      const mine = quick("mine"), others = quick("others")
      const storage = yield* memory
      const limits = { mine: { concurrency: 1, rate: { times: 9, per: "1 minute" as const } } }
      const first = yield* work(storage, { workflows: [mine], concurrency: 1, limits, poll: 1_000 })
      yield* on(storage)(Effect.gen(function*() {
        yield* enqueued(others, "others1", "others2", "others3")
        yield* enqueued(mine, "mine1", "mine2")
        yield* pass(5_000)
        expect(began).toEqual(["mine1", "mine2"])
        expect(yield* stateOf("others1")).toBe("pending")
        expect(yield* first.health).toMatchObject({ waiting: 0, running: [] })
        expect((yield* first.health).blocked.size).toBe(0)
        yield* work(storage, {
          workflows: [others],
          limits: { others: { concurrency: 1 } },
          poll: 1_000
        })
        yield* pass(2_000)
        expect(began.slice(2).toSorted()).toEqual(["others1", "others2", "others3"])
      }))
    }))

  it.effect("because it is not there, or was removed while it waited, holds up nobody", () =>
    Effect.gen(function*() {
      const { began, letGo, make } = lab()
      const slow = make("slow")
      const storage = yield* memory
      const { health } = yield* work(storage, {
        workflows: [slow],
        limits: { slow: { concurrency: 1 } }
      })
      yield* on(storage)(Effect.gen(function*() {
        storage.hint("nobody")
        yield* enqueued(slow, "slow1", "slow2", "slow3")
        storage.hint("nobody")
        yield* settled
        yield* Runs.remove("slow2")
        yield* letGo("slow1")
        yield* letGo("slow3")
        expect(began).toEqual(["slow1", "slow3"])
        expect(yield* health).toMatchObject({ running: [], waiting: 0 })
        expect((yield* health).blocked.size).toBe(0)
      }))
    }))

  it.effect("because it is corrupt is among the blocked, and holds up nobody", () =>
    Effect.gen(function*() {
      const { began, quick } = lab()
      const mine = quick("mine")
      const driver = Storage.memoryDriver()
      const storage = Storage.make({
        ...driver,
        read: (runId) =>
          Effect.map(
            driver.read(runId),
            (stored) =>
              runId === "bad" ? { ...stored, text: stored.text.replace("mine", "mnie") } : stored
          )
      })
      const { health } = yield* work(storage, {
        workflows: [mine],
        concurrency: 1,
        limits: { mine: { concurrency: 1, rate: { times: 2, per: "1 hour" } } }
      })
      yield* on(storage)(Effect.gen(function*() {
        // By another process: this one has to read them.
        yield* on(Storage.make(driver))(enqueued(mine, "bad", "good1", "good2"))
        for (const id of ["bad", "good1", "good2"]) storage.hint(id)
        yield* settled
        expect(began).toEqual(["good1", "good2"])
        expect((yield* health).blocked.get("bad")).toMatch(/corrupt|damaged|checksum/i)
        expect(yield* health).toMatchObject({ running: [], waiting: 0 })
      }))
    }))

  it.effect("because the storage failed when its workflow was looked up goes on later", () =>
    Effect.gen(function*() {
      const { began, quick } = lab()
      const mine = quick("mine")
      const inner = yield* memory
      const { state, storage } = wrapped(inner)
      const { health } = yield* work(storage, {
        workflows: [mine],
        limits: { mine: { concurrency: 1 } }
      })
      yield* settled
      yield* on(inner)(enqueued(mine, "a", "b"))
      state.fails = true
      for (const id of ["a", "b"]) storage.hint(id)
      yield* pass(3_000)
      expect(began).toEqual([])
      state.fails = false
      yield* pass(60_000)
      expect(began.toSorted()).toEqual(["a", "b"])
      expect(yield* health).toMatchObject({ running: [], waiting: 0 })
    }))

  it.effect("because another process holds it is tried again, and holds no place meanwhile", () =>
    Effect.gen(function*() {
      const { began, letGo, make } = lab()
      const slow = make("slow")
      const storage = yield* memory
      yield* work(storage, { workflows: [slow], poll: 1_000, limits: { slow: { concurrency: 1 } } })
      yield* on(storage)(Effect.gen(function*() {
        yield* storage.acquire("slow1")
        yield* enqueued(slow, "slow1", "slow2")
        yield* settled
        expect(began).toEqual(["slow2"])
        yield* letGo("slow2")
        // Nobody renews that lease.
        yield* pass(60_000)
        expect(began).toEqual(["slow2", "slow1"])
      }))
    }))
})

describe("for any Dispatch", () => {
  it.effect("limits go by the workflow that the journal names", () =>
    Effect.gen(function*() {
      const { began, letGo, make, most, quick } = lab()
      const slow = make("slow"), fast = quick("fast")
      const handled: Array<string> = []
      const storage = yield* memory
      const dispatch = yield* on(storage)(Layer.build(Dispatch.layer([slow, fast])))
      const counting = Layer.effect(
        Dispatch.Dispatch,
        Effect.map(
          Effect.provideContext(Dispatch.Dispatch, dispatch),
          ({ handle }) =>
            Dispatch.Dispatch.of({
              handle: (runId) => {
                handled.push(runId)
                return handle(runId)
              }
            })
        )
      )
      const worker = Worker.layerDispatch({
        limits: { slow: { concurrency: 1, priority: 1 } },
        poll: never
      })
      yield* Layer.build(Layer.provide(worker, counting)).pipe(on(storage))
      yield* on(storage)(Effect.gen(function*() {
        yield* enqueued(slow, "slow1", "slow2", "slow3")
        yield* enqueued(fast, "fast1")
        yield* settled
        expect(handled.toSorted()).toEqual(["fast1", "slow1"])
        for (const id of ["slow1", "slow2", "slow3"]) yield* letGo(id)
        expect(began.filter((id) => id !== "fast1")).toEqual(["slow1", "slow2", "slow3"])
        expect(most.get("slow")).toBe(1)
        expect(handled.toSorted()).toEqual(["fast1", "slow1", "slow2", "slow3"])
      }))
    }))
})

describe("closing", () => {
  it.effect("drives nothing of what waits for its limit, and leaves it to the next worker", () =>
    Effect.gen(function*() {
      const { began, letGo, make } = lab()
      const slow = make("slow")
      const storage = yield* memory
      const scope = yield* Scope.make()
      const options = {
        workflows: [slow],
        drain: "1 minute",
        limits: { slow: { concurrency: 1 } }
      } as const
      const { health } = yield* Scope.provide(work(storage, options), scope)
      yield* on(storage)(Effect.gen(function*() {
        yield* enqueued(slow, "slow1", "slow2", "slow3")
        yield* settled
        const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
        yield* settled
        expect(yield* health).toMatchObject({ state: "draining", running: ["slow1"], waiting: 0 })
        // What is told of now is for somebody else.
        yield* enqueued(slow, "slow4")
        yield* letGo("slow1")
        expect(closing.pollUnsafe()).toBeDefined()
        expect(began).toEqual(["slow1"])
        expect(yield* health).toMatchObject({ running: [], waiting: 0 })
        expect(yield* Runs.due()).toEqual(["slow2", "slow3", "slow4"])
        yield* work(storage, { ...options, drain: 0 })
        yield* settled
        expect(began).toHaveLength(2)
        for (let n = 0; n < 3; n++) yield* letGo(began.at(-1)!)
        expect(began.toSorted()).toEqual(["slow1", "slow2", "slow3", "slow4"])
      }))
    }))
})
