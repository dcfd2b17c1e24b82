/**
 * What is said to a run while it goes on as another one with `continueAs`: at every moment of that, by
 * posters that die, and over a storage that fails, each post arrives once, and in the order it was sent.
 */
import { describe, expect, it } from "@effect/vitest"
import { Cause, Context, Effect, Exit, Layer, Schema, type Scope } from "effect"
import { readdirSync, truncateSync } from "node:fs"
import { join } from "node:path"
import { Runs, Storage, Workflow } from "reprise"
import { local, temporary } from "../storage/support/local.ts"
import { type Fate, worldOf } from "../support/faults.ts"
import { Simulation } from "../support/simulation.ts"
import { checked, everywhere, type Program, run } from "../support/together.ts"
import {
  on,
  type Open,
  resultOf,
  type Service,
  sqlite,
  untilState,
  work
} from "../worker/support.ts"

const events = { tick: Schema.Number, other: Schema.String }

/** Takes one tick in each run of its chain. */
const ticking = Workflow.make(
  "ticking",
  {
    input: Schema.Struct({ seen: Schema.Array(Schema.Number), until: Schema.Number }),
    output: Schema.Array(Schema.Number),
    events
  },
  function*(ctx, { seen, until }): Workflow.Body<ReadonlyArray<number>> {
    const all = [...seen, yield* ctx.suspend("tick")]
    return all.length >= until ? all : yield* ctx.continueAs({ seen: all, until })
  }
)

/** Goes on three times without waiting for anything, and takes in the last run what was sent to any of them. */
const passing = Workflow.make(
  "passing",
  { input: Schema.Number, output: Schema.Array(Schema.Unknown), events },
  function*(ctx, n): Workflow.Body<ReadonlyArray<unknown>> {
    yield* ctx.step("count", () => n)
    if (n < 4) return yield* ctx.continueAs(n + 1)
    const one = yield* ctx.suspend("tick")
    const keyed = yield* ctx.suspend("other", { key: "k" })
    const two = yield* ctx.suspend("tick")
    return [one, two, keyed]
  }
)

/** A storage each of whose calls takes a while, so that something can come in between any two. */
const slowed = ({ driver }: Service, millis: number): Service => {
  const later = <A, E, R>(call: Effect.Effect<A, E, R>) =>
    Effect.uninterruptible(Effect.delay(call, millis))
  return Storage.make({
    ...driver,
    read: (...args) => later(driver.read(...args)),
    version: (...args) => later(driver.version(...args)),
    post: (...args) => later(driver.post(...args)),
    inbox: (...args) => later(driver.inbox(...args)),
    acquire: (...args) => later(driver.acquire(...args)),
    release: (...args) => later(driver.release(...args)),
    holder: (...args) => later(driver.holder(...args)),
    writer: (runId) =>
      Effect.map(driver.writer(runId), (writer) => ({
        append: (...args) => later(Effect.suspend(() => writer.append(...args)))
      }))
  })
}

/** Waits until there is a run to post to. */
const begun = Effect.gen(function*() {
  const storage = yield* Storage.Storage
  while ((yield* storage.version("r")) === "") yield* Effect.sleep(1)
})

const sent = (from: number, to: number) =>
  Effect.gen(function*() {
    for (let n = from; n <= to; n++) {
      yield* ticking.send("r", { eventName: "tick", value: n, eventId: `e${n}` })
    }
  })

const upTo = (n: number) => Array.from({ length: n }, (_, k) => k + 1)

/** How long `passing` takes to its last wait when a call takes a millisecond. */
const span = 90

describe("at every moment of going on", () => {
  /** Drives `passing` on a slow storage, and does something `at` so many milliseconds after its first write. */
  const meanwhile = <A>(
    at: number,
    speed: number,
    says: Effect.Effect<unknown, unknown, Storage.Storage>,
    looks: Effect.Effect<A, unknown, Storage.Storage>
  ): A =>
    run(Effect.gen(function*() {
      const storage = yield* Storage.Storage
      yield* Effect.forkChild(
        on(slowed(storage, 1))(Effect.exit(passing.execute(1, { runId: "r" })))
      )
      yield* begun
      yield* Effect.sleep(at)
      yield* on(speed === 0 ? storage : slowed(storage, speed))(says)
      yield* Effect.sleep("1 minute")
      return yield* looks
    }))

  const moments = Array.from({ length: span }, (_, at) => at)

  it("the chain is under way in the moments that are looked at", () => {
    const states = moments.map((at) => meanwhile(at, 0, Effect.void, Effect.void) ?? at)
    expect(states).toHaveLength(span)
    const counted = run(Effect.gen(function*() {
      const storage = yield* Storage.Storage
      yield* Effect.forkChild(on(slowed(storage, 1))(passing.start(1, { runId: "r" })))
      yield* begun
      const links: Array<number> = []
      for (let at = 0; at < span; at++) {
        links.push((yield* Runs.list()).runs.length)
        yield* Effect.sleep(1)
      }
      return links
    }))
    expect(new Set(counted)).toEqual(new Set([1, 2, 3, 4]))
  })

  for (const speed of [0, 0.7, 3]) {
    const poster = speed === 0 ? "at once" : `in calls of ${speed} ms`

    it(`events of each name arrive once, in their order, with their keys, sent ${poster}`, () => {
      for (const at of moments) {
        const value = meanwhile(
          at,
          speed,
          Effect.gen(function*() {
            yield* passing.send("r", { eventName: "tick", value: 1 })
            yield* passing.send("r", { eventName: "other", value: "keyed", key: "k" })
            yield* passing.send("r", { eventName: "other", value: "not taken" })
            yield* passing.send("r", { eventName: "tick", value: 2 })
          }),
          Effect.map(Runs.latestStatus("r"), ({ result, runId }) => [runId, result])
        )
        expect([at, value]).toEqual([at, ["r+4", [1, 2, "keyed"]]])
      }
    })

    it(`a cancel ends the chain, with its reason, sent ${poster}`, () => {
      for (const at of moments) {
        const value = meanwhile(
          at,
          speed,
          Runs.cancel("r", { reason: "enough" }),
          Effect.map(Runs.latestStatus("r"), ({ reason, status }) => [status, reason])
        )
        expect([at, value]).toEqual([at, ["cancelled", "enough"]])
      }
    })

    it(`what a person decided harms nothing, and events behind it arrive, sent ${poster}`, () => {
      for (const at of moments) {
        const value = meanwhile(
          at,
          speed,
          Effect.gen(function*() {
            yield* Runs.settle("r")
            for (const value of [1, 2]) yield* passing.send("r", { eventName: "tick", value })
            yield* Runs.settle("r")
            yield* passing.send("r", { eventName: "other", value: "keyed", key: "k" })
          }),
          Effect.map(Runs.latestStatus("r"), ({ result }) => result)
        )
        expect([at, value]).toEqual([at, [1, 2, "keyed"]])
      }
    })
  }
})

describe("whoever dies at whichever write", () => {
  const driving: Program = ticking.execute({ seen: [], until: 5 }, { runId: "r" })

  it("of driving and posting, the events arrive once and in their order", () => {
    const posting: Program = Effect.andThen(begun, Effect.ignore(sent(1, 5)))
    for (const k of [0, 1]) {
      const writes = everywhere([driving, posting], k, ({ value }) => {
        expect(value).toEqual(upTo(5))
      })
      expect(writes).toBeGreaterThanOrEqual(5)
    }
  })

  it("of two that drive, the events of two posters arrive once, each poster's in its order", () => {
    const posting = (from: number): Program =>
      Effect.andThen(begun, Effect.ignore(sent(from, from + 2)))
    const two: Program = ticking.execute({ seen: [], until: 6 }, { runId: "r" })
    for (const k of [0, 1, 2]) {
      everywhere([two, two, posting(1), posting(11)], k, ({ value }) => {
        const all = value as ReadonlyArray<number>
        expect(all.filter((n) => n < 10)).toEqual([1, 2, 3])
        expect(all.filter((n) => n > 10)).toEqual([11, 12, 13])
      })
    }
  })

  it("of cancelling, the chain is cancelled once that is acknowledged", () => {
    const chain: Program = Effect.exit(passing.execute(1, { runId: "r" }))
    const cancelling: Program = Effect.andThen(
      begun,
      Effect.ignore(Runs.cancel("r", { eventId: "c", reason: "enough" }))
    )
    for (const k of [0, 1]) {
      everywhere([chain, cancelling], k, ({ get }) => {
        expect(get(Runs.latestStatus("r"))).toMatchObject({ status: "cancelled", reason: "enough" })
      })
    }
  })
})

describe("over a storage that fails", () => {
  const fates: ReadonlyArray<Fate> = ["lost", "unanswered", "fails", "fails after"]

  /** Sends all events before anybody drives; then one call of the driving fails; then another process drives. */
  const attempt = (nth: number, fate: Fate) => {
    const world = worldOf(Storage.memoryDriver())
    let n = 0
    let called = false
    const failing = world.process(({ verb }) => {
      if (verb === "remove" || n++ !== nth) return "done"
      called = true
      return fate
    })
    const simulation = new Simulation()
    const get = <A>(storage: Service, program: Effect.Effect<A, unknown, Storage.Storage>): A => {
      const exit = simulation.run(program, Context.add(checked, Storage.Storage, storage))
      if (Exit.isSuccess(exit)) return exit.value
      throw Cause.squash(exit.cause)
    }
    const well = world.process().storage
    get(
      well,
      Effect.gen(function*() {
        yield* ticking.enqueue({ seen: [], until: 4 }, { runId: "r" })
        yield* sent(1, 2)
      })
    )
    get(failing.storage, Effect.exit(ticking.resume("r")))
    // A lease whose release failed has to run out.
    get(well, Effect.sleep("1 minute"))
    get(well, Effect.andThen(sent(3, 4), ticking.resume("r")))
    return { called, value: get(well, Runs.latestStatus("r")).result }
  }

  for (const fate of fates) {
    it(`nothing is lost and nothing comes twice: "${JSON.stringify(fate)}"`, () => {
      let nth = 0
      for (;; nth++) {
        const { called, value } = attempt(nth, fate)
        expect([nth, value]).toEqual([nth, upTo(4)])
        if (!called) break
      }
      expect(nth).toBeGreaterThanOrEqual(12)
    })
  }
})

describe("whoever hands over and is held up until his lease is over", () => {
  it("leaves behind nothing that was posted meanwhile", () => {
    run(Effect.gen(function*() {
      const storage = yield* Storage.Storage
      const { driver } = storage
      const held = Storage.make({
        ...driver,
        // Its process stands still when it is about to begin the next run.
        writer: (runId) =>
          Effect.map(driver.writer(runId), (writer) => ({
            append: (...args) =>
              Effect.uninterruptible(Effect.delay(
                Effect.suspend(() => writer.append(...args)),
                runId === "r+2" ? 60_000 : 0
              ))
          }))
      })
      yield* Effect.forkChild(
        on(held)(Effect.exit(ticking.execute({ seen: [], until: 2 }, { runId: "r" })))
      )
      yield* begun
      yield* sent(1, 1)
      yield* Effect.sleep(50_000)
      expect((yield* Runs.status("r")).status).toBe("continued")
      yield* sent(2, 2)
      yield* Effect.sleep(600_000)
      expect(yield* Runs.latestStatus("r")).toMatchObject({ status: "success", result: [1, 2] })
    }))
  })

  it("begins no second one when another has begun it meanwhile, and that has all", () => {
    run(Effect.gen(function*() {
      const storage = yield* Storage.Storage
      const { driver } = storage
      const held = Storage.make({
        ...driver,
        writer: (runId) =>
          Effect.map(driver.writer(runId), (writer) => ({
            append: (...args) =>
              Effect.uninterruptible(Effect.delay(
                Effect.suspend(() => writer.append(...args)),
                runId === "r+2" ? 60_000 : 0
              ))
          }))
      })
      yield* Effect.forkChild(
        on(held)(Effect.exit(ticking.execute({ seen: [], until: 3 }, { runId: "r" })))
      )
      yield* begun
      yield* sent(1, 1)
      yield* Effect.sleep(50_000)
      yield* sent(2, 2)
      yield* ticking.resume("r")
      yield* Effect.sleep(600_000)
      yield* sent(3, 3)
      yield* Effect.sleep(600_000)
      expect(yield* Runs.latestStatus("r")).toMatchObject({ status: "success", result: upTo(3) })
      expect((yield* Runs.list()).runs).toHaveLength(3)
    }))
  })
})

const opened = (layer: Layer.Layer<Storage.Storage>): Open =>
  Effect.map(Layer.build(Layer.fresh(layer)), (context) => Context.get(context, Storage.Storage))

const places = [
  {
    name: "LocalStorage",
    fresh: Effect.sync(() => {
      const directory = temporary()
      return Effect.suspend(() => opened(local(directory)))
    })
  },
  sqlite
]

describe("a next run of which nothing but the beginning of a line was written", () => {
  for (const length of [0, 10]) {
    it.live(`is begun again, from ${length} bytes of it, on LocalStorage`, () =>
      Effect.gen(function*() {
        const directory = temporary()
        const services = Effect.provide(Layer.fresh(local(directory)))
        yield* Effect.gen(function*() {
          yield* ticking.enqueue({ seen: [], until: 2 }, { runId: "r" })
          yield* sent(1, 1)
          yield* ticking.resume("r")
        }).pipe(services)
        const [next, ...others] = readdirSync(directory).filter((name) => /^r.2.*jsonl$/.test(name))
        expect(others).toEqual([])
        truncateSync(join(directory, next!), length)
        yield* Effect.gen(function*() {
          expect(yield* Runs.due()).toEqual(["r"])
          yield* sent(2, 2)
          expect(yield* ticking.resume("r")).toMatchObject({ status: "success", result: [1, 2] })
        }).pipe(services)
      }))
  }
})

describe("between two processes", () => {
  const between = (
    name: string,
    test: (here: Service, there: Service) => Effect.Effect<void, unknown, Scope.Scope>
  ) => {
    for (const place of places) {
      it.live(`${name}, on ${place.name}`, () =>
        Effect.scoped(Effect.gen(function*() {
          const open = yield* place.fresh
          yield* test(yield* open, yield* open)
        })))
    }
  }

  between(
    "events arrive once and in their order, over a chain as long as they are",
    (here, there) =>
      Effect.gen(function*() {
        const many = 25
        yield* work(here, { workflows: [ticking] })
        yield* on(there)(ticking.enqueue({ seen: [], until: many }, { runId: "r" }))
        yield* on(there)(sent(1, many))
        expect(yield* on(here)(resultOf("r"))).toEqual(upTo(many))
        expect((yield* on(there)(Runs.list({ limit: 100 }))).runs).toHaveLength(many)
      })
  )

  between(
    "events of two posters arrive once, while two drive",
    (here, there) =>
      Effect.gen(function*() {
        for (const storage of [here, there]) {
          yield* work(storage, { workflows: [ticking], poll: 50 })
        }
        yield* on(there)(ticking.enqueue({ seen: [], until: 20 }, { runId: "r" }))
        yield* Effect.all([on(here)(sent(1, 10)), on(there)(sent(101, 110))], { concurrency: 2 })
        const all = (yield* on(here)(resultOf("r"))) as ReadonlyArray<number>
        expect(all.filter((n) => n < 100)).toEqual(upTo(10))
        expect(all.filter((n) => n > 100)).toEqual(upTo(10).map((n) => n + 100))
      })
  )

  between(
    "a cancel reaches the last of a chain that goes on all the while",
    (here, there) =>
      Effect.gen(function*() {
        const endless = Workflow.make("endless", function*(ctx, n: number): Workflow.Body<never> {
          yield* ctx.step("count", () => n)
          return yield* ctx.continueAs(n + 1)
        })
        yield* work(here, { workflows: [endless] })
        yield* on(there)(endless.enqueue(1, { runId: "r" }))
        yield* Effect.sleep(100)
        yield* on(there)(Runs.cancel("r", { reason: "enough" }))
        yield* on(here)(untilState("r", "cancelled"))
        expect((yield* on(there)(Runs.latestStatus("r"))).reason).toBe("enough")
      })
  )
})
