/**
 * The embedded worker and the verdicts that it goes by: runs go on by themselves to the right end, wherever
 * they are kept, whatever stands in the way, and however many workers there are.
 */
import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Schema } from "effect"
import { Dispatch, Runs, Storage, Workflow } from "reprise"
import {
  dies,
  gauge,
  memory,
  on,
  type Place,
  places,
  postgres,
  resultOf,
  type Service,
  sqlite,
  stateOf,
  until,
  untilState,
  work,
  wrapped
} from "./support.ts"

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

/** A test on every place, which is given two openings of it: this process, and another one. */
const everywhere = (
  name: string,
  test: (here: Service, there: Service) => Effect.Effect<void, unknown, any>,
  among: ReadonlyArray<Place> = places
) => {
  for (const place of among) {
    it.live(`${name}, on ${place.name}`, () =>
      Effect.scoped(Effect.gen(function*() {
        const open = yield* place.fresh
        yield* test(yield* open, yield* open)
      })) as Effect.Effect<void, unknown>)
  }
}

describe("a run goes on by itself", () => {
  everywhere(
    "when it was enqueued, here or by another process",
    (here, there) =>
      Effect.gen(function*() {
        yield* work(here, { workflows: [hello] })
        yield* on(here)(hello.enqueue("here", { runId: "a" }))
        yield* on(there)(hello.enqueue("there", { runId: "b" }))
        expect(yield* on(here)(resultOf("a"))).toBe("hello here")
        expect(yield* on(here)(resultOf("b"))).toBe("hello there")
      })
  )

  everywhere(
    "when it was enqueued before there was a worker",
    (here, there) =>
      Effect.gen(function*() {
        yield* on(there)(hello.enqueue("early", { runId: "a" }))
        yield* work(here, { workflows: [hello] })
        expect(yield* on(here)(resultOf("a"))).toBe("hello early")
      })
  )

  everywhere(
    "when an event is posted, here or by another process",
    (here, there) =>
      Effect.gen(function*() {
        yield* work(here, { workflows: [asking] })
        for (const [runId, storage] of [["a", here], ["b", there]] as const) {
          yield* on(here)(asking.enqueue(undefined, { runId }))
          yield* on(here)(untilState(runId, "suspended"))
          yield* on(storage)(asking.send(runId, { eventName: "answer", value: runId }))
          expect(yield* on(here)(resultOf(runId))).toBe(`it is ${runId}`)
        }
      })
  )

  everywhere(
    "when it is cancelled, here or by another process",
    (here, there) =>
      Effect.gen(function*() {
        yield* work(here, { workflows: [asking] })
        for (const [runId, storage] of [["a", here], ["b", there]] as const) {
          yield* on(here)(asking.enqueue(undefined, { runId }))
          yield* on(here)(untilState(runId, "suspended"))
          yield* on(storage)(Runs.cancel(runId, { reason: "no more" }))
          yield* on(here)(untilState(runId, "cancelled"))
          expect((yield* on(here)(Runs.status(runId))).reason).toBe("no more")
        }
      })
  )

  everywhere(
    "when its timer goes off, waited for in the process or suspended",
    (here) =>
      Effect.gen(function*() {
        const sleeper = Workflow.make("sleeper", function*(ctx, millis: number) {
          yield* ctx.sleep(millis)
          return yield* ctx.step("awake", () => "awake")
        })
        const patient = Workflow.make(
          "patient",
          { events: { never: Schema.Void } },
          function*(ctx) {
            const answer = yield* ctx.suspend("never", { timeout: "300 millis" })
            return yield* ctx.step("after", () => answer._tag)
          }
        )
        for (const short of [0, 10_000]) {
          const workflows = [sleeper, patient]
          const { close } = yield* Effect.provideService(
            work(here, { workflows, poll: "1 minute" }),
            Workflow.ShortWait,
            short
          )
          yield* on(here)(sleeper.enqueue(300, { runId: `sleeper-${short}` }))
          yield* on(here)(patient.enqueue(undefined, { runId: `patient-${short}` }))
          expect(yield* on(here)(resultOf(`sleeper-${short}`))).toBe("awake")
          expect(yield* on(here)(resultOf(`patient-${short}`))).toBe("None")
          const { entries } = yield* on(here)(Runs.journal(`sleeper-${short}`))
          expect(entries.some(({ type }) => type === "suspend")).toBe(short === 0)
          yield* close
        }
      })
  )

  everywhere(
    "when one timer after the other goes off, without a poll",
    (here) =>
      Effect.gen(function*() {
        const sleeper = Workflow.make("sleeper", function*(ctx, millis: number) {
          yield* ctx.sleep(millis)
          return yield* ctx.step("awake", () => millis)
        })
        yield* Effect.provideService(
          work(here, { workflows: [sleeper], poll: "1 minute" }),
          Workflow.ShortWait,
          0
        )
        const all = [200, 400, 600]
        for (const n of all) yield* on(here)(sleeper.enqueue(n, { runId: `n${n}` }))
        for (const n of all) expect(yield* on(here)(resultOf(`n${n}`))).toBe(n)
      })
  )

  everywhere(
    "when a timer goes off that was set before there was a worker",
    (here, there) =>
      Effect.gen(function*() {
        const sleeper = Workflow.make("sleeper", function*(ctx) {
          yield* ctx.sleep(400)
          return yield* ctx.step("awake", () => "awake")
        })
        yield* on(there)(sleeper.start(undefined, { runId: "a" })).pipe(
          Effect.provideService(Workflow.ShortWait, 0)
        )
        expect(yield* on(here)(stateOf("a"))).toBe("suspended")
        yield* work(here, { workflows: [sleeper] })
        expect(yield* on(here)(resultOf("a"))).toBe("awake")
      })
  )

  everywhere(
    "when the child that it waits for has ended, driven by whomever",
    (here, there) =>
      Effect.gen(function*() {
        const parent = Workflow.make("parent", function*(ctx, name: string) {
          const said = yield* ctx.child(asking, undefined, { runId: `${name}-child` })
          return yield* ctx.step("repeat", () => `child: ${said}`)
        })
        yield* work(here, { workflows: [parent, asking] })
        for (const [runId, storage] of [["a", here], ["b", there]] as const) {
          yield* on(here)(parent.enqueue(runId, { runId }))
          yield* on(here)(untilState(`${runId}-child`, "suspended"))
          yield* on(here)(untilState(runId, "suspended"))
          yield* on(storage)(asking.send(`${runId}-child`, { eventName: "answer", value: "yes" }))
          expect(yield* on(here)(resultOf(runId))).toBe("child: it is yes")
        }
      })
  )

  everywhere(
    "through a chain of continueAs, also one cut between two of its runs",
    (here, there) =>
      Effect.gen(function*() {
        const counting = Workflow.make(
          "counting",
          function*(ctx, n: number): Workflow.Body<number> {
            yield* ctx.step("count", () => n)
            return n >= 6 ? n : yield* ctx.continueAs(n + 1)
          }
        )
        // Its journal says where it goes on, and nobody has begun that yet.
        yield* on(there)(counting.start(1, { runId: "cut" }))
        for (let n = 2; n <= 6; n++) yield* there.remove(`cut+${n}`)
        yield* work(here, { workflows: [counting] })
        yield* on(here)(counting.enqueue(1, { runId: "whole" }))
        for (const runId of ["cut", "whole"]) {
          yield* on(here)(until(
            `${runId}+6 is over`,
            Effect.map(stateOf(`${runId}+6`), (state) => state === "success")
          ))
          expect((yield* on(here)(Runs.status(`${runId}+6`))).result).toBe(6)
          expect((yield* on(here)(Runs.status(`${runId}+5`))).status).toBe("continued")
        }
      })
  )

  everywhere(
    "when whoever drove it is gone in the middle of a step",
    (here, there) =>
      Effect.gen(function*() {
        const begun = yield* Deferred.make<void>()
        const ran: Array<string> = []
        const state = { hangs: true }
        const three = Workflow.make("three", function*(ctx) {
          yield* ctx.step("a", () => void ran.push("a"))
          yield* ctx.step(
            "b",
            Effect.suspend(() => {
              ran.push("b")
              if (!state.hangs) return Effect.void
              return Effect.andThen(Deferred.succeed(begun, undefined), Effect.never)
            })
          )
          return yield* ctx.step("c", () => "c")
        })
        const driving = yield* Effect.forkChild(on(there)(three.start(undefined, { runId: "a" })))
        yield* Deferred.await(begun)
        yield* Fiber.interrupt(driving)
        state.hangs = false
        yield* work(here, { workflows: [three] })
        expect(yield* on(here)(resultOf("a"))).toBe("c")
        expect(ran).toEqual(["a", "b", "b"])
      })
  )
})

describe("how many are driven at once", () => {
  everywhere(
    "is never more than concurrency, none twice, and all complete",
    (here, there) =>
      Effect.gen(function*() {
        const { during, seen } = gauge()
        const busy = Workflow.make("busy", function*(ctx, runId: string) {
          yield* ctx.step("first", during(runId, 10))
          yield* ctx.step("second", during(runId, 10))
          return runId
        })
        const ids = Array.from({ length: 30 }, (_, n) => `run-${n}`)
        for (const id of ids.slice(0, 10)) yield* on(there)(busy.enqueue(id, { runId: id }))
        const { health } = yield* work(here, { workflows: [busy], concurrency: 3, poll: 20 })
        for (const id of ids.slice(10)) {
          yield* on(here)(busy.enqueue(id, { runId: id }))
          // Told of it again while it may be driven already.
          here.hint(id)
          expect((yield* health).running.length).toBeLessThanOrEqual(3)
        }
        for (const id of ids) expect(yield* on(here)(resultOf(id))).toBe(id)
        expect(seen).toEqual({ most: 3, mostOfOne: 1, begun: 60 })
        yield* until(
          "it rests",
          Effect.map(health, (now) => now.running.length + now.waiting === 0)
        )
      })
  )

  everywhere(
    "is tried again only when a place is free, and health says who waits",
    (here) =>
      Effect.gen(function*() {
        const open = yield* Deferred.make<void>()
        const gated = Workflow.make("gated", function*(ctx) {
          return yield* ctx.step("wait", Effect.as(Deferred.await(open), "through"))
        })
        const { health } = yield* work(here, { workflows: [gated], concurrency: 2 })
        const ids = ["a", "b", "c", "d", "e"]
        for (const runId of ids) yield* on(here)(gated.enqueue(undefined, { runId }))
        yield* until("3 wait", Effect.map(health, ({ waiting }) => waiting === 3))
        expect((yield* health).running).toHaveLength(2)
        yield* Deferred.succeed(open, undefined)
        for (const runId of ids) expect(yield* on(here)(resultOf(runId))).toBe("through")
      }),
    [memory]
  )
})

/** Workflows that cannot go on while `state.broken`. */
const broken = () => {
  const state = { broken: true, tries: 0 }
  const events = { answer: Schema.String, nudge: Schema.Void }
  const throwing = Workflow.make("throwing", { events }, function*(ctx) {
    state.tries++
    if (state.broken) throw new Error("this body is broken")
    return yield* ctx.step("fine", () => "fine")
  })
  const changed = Workflow.make("changed", { events }, function*(ctx) {
    state.tries++
    yield* state.broken && (yield* ctx.runId) !== ""
      ? ctx.step("new", () => 1)
      : ctx.step("old", () => 1)
    const answer = yield* ctx.suspend("answer")
    return yield* ctx.step("after", () => answer)
  })
  return { state, throwing, changed }
}

describe("a run that cannot go on", () => {
  for (const poster of ["here", "by another process"] as const) {
    const posts = (here: Service, there: Service) => on(poster === "here" ? here : there)

    everywhere(`because its body throws is blocked until something is posted ${poster}`, (
      here,
      there
    ) =>
      Effect.gen(function*() {
        const { state, throwing } = broken()
        const { health } = yield* work(here, { workflows: [throwing, hello], concurrency: 1 })
        yield* on(here)(throwing.enqueue(undefined, { runId: "bad" }))
        yield* until("it is blocked", Effect.map(health, ({ blocked }) => blocked.has("bad")))
        expect((yield* health).blocked.get("bad")).toContain("this body is broken")
        yield* on(here)(hello.enqueue("you", { runId: "good" }))
        expect(yield* on(here)(resultOf("good"))).toBe("hello you")
        state.broken = false
        yield* posts(here, there)(throwing.send("bad", { eventName: "nudge" }))
        expect(yield* on(here)(resultOf("bad"))).toBe("fine")
        yield* until("it is not", Effect.map(health, ({ blocked }) => !blocked.has("bad")))
      }))

    everywhere(`because the code has changed is blocked until something is posted ${poster}`, (
      here,
      there
    ) =>
      Effect.gen(function*() {
        const { changed, state } = broken()
        state.broken = false
        yield* on(here)(changed.start(undefined, { runId: "bad" }))
        state.broken = true
        yield* on(here)(changed.send("bad", { eventName: "answer", value: "yes" }))
        const { health } = yield* work(here, { workflows: [changed, hello], concurrency: 1 })
        yield* until("it is blocked", Effect.map(health, ({ blocked }) => blocked.has("bad")))
        expect((yield* health).blocked.get("bad")).toMatch(/"?old"?/)
        yield* on(here)(hello.enqueue("you", { runId: "good" }))
        expect(yield* on(here)(resultOf("good"))).toBe("hello you")
        state.broken = false
        yield* posts(here, there)(changed.send("bad", { eventName: "nudge" }))
        expect(yield* on(here)(resultOf("bad"))).toBe("yes")
      }))

    everywhere(
      `because it was stopped is blocked until it is cancelled ${poster}`,
      (here, there) =>
        Effect.gen(function*() {
          const stopping = Workflow.make(
            "stopping",
            { onStepComplete: ({ stop }: Workflow.StepCompleted) => stop() },
            function*(ctx) {
              yield* ctx.step("a", () => 1)
              return yield* ctx.step("b", () => 2)
            }
          )
          const { health } = yield* work(here, { workflows: [stopping] })
          yield* on(here)(stopping.enqueue(undefined, { runId: "s" }))
          yield* until("it is blocked", Effect.map(health, ({ blocked }) => blocked.has("s")))
          expect((yield* health).blocked.get("s")).toContain(`"a"`)
          yield* posts(here, there)(Runs.cancel("s"))
          yield* on(here)(untilState("s", "cancelled"))
        })
    )

    everywhere(`because nobody knows what became of a step goes on when it is settled ${poster}`, (
      here,
      there
    ) =>
      Effect.gen(function*() {
        const { paying } = yield* unknown(here)
        yield* work(here, { workflows: [paying] })
        yield* posts(here, there)(Runs.settle("p", "pay", { value: "paid" }))
        expect(yield* on(here)(resultOf("p"))).toBe("paid")
      }))

    everywhere(`because it crashes over and over goes on when it is settled ${poster}`, (
      here,
      there
    ) =>
      Effect.gen(function*() {
        yield* on(there)(hello.enqueue("again", { runId: "loop" }))
        yield* on(there)(dies("loop", 10))
        const { health } = yield* work(here, { workflows: [hello] })
        yield* on(here)(hello.enqueue("you", { runId: "good" }))
        expect(yield* on(here)(resultOf("good"))).toBe("hello you")
        expect(yield* on(here)(stateOf("loop"))).toBe("blocked")
        yield* until("nothing runs", Effect.map(health, ({ running }) => running.length === 0))
        yield* posts(here, there)(Runs.settle("loop"))
        expect(yield* on(here)(resultOf("loop"))).toBe("hello again")
      }))
  }

  everywhere(
    "because it crashes over and over is among the blocked of health",
    (here, there) =>
      Effect.gen(function*() {
        yield* on(there)(hello.enqueue("again", { runId: "loop" }))
        yield* on(there)(dies("loop", 10))
        const { health } = yield* work(here, { workflows: [hello] })
        yield* until("it is blocked", Effect.map(health, ({ blocked }) => blocked.has("loop")))
        expect((yield* health).blocked.get("loop")).toContain("CrashLoop")
      }),
    [memory]
  )

  everywhere("here is not blocked any more when another process has driven it to its end", (
    here,
    there
  ) =>
    Effect.gen(function*() {
      const old = Workflow.make("order", { version: "1" }, function*(ctx) {
        return yield* ctx.step("a", () => 1)
      })
      const newer = Workflow.make("order", { version: "2" }, function*(ctx) {
        return yield* ctx.step("b", () => 2)
      })
      yield* on(here)(old.enqueue(undefined, { runId: "v" }))
      const { health } = yield* work(here, { workflows: [newer] })
      yield* until("it is blocked", Effect.map(health, ({ blocked }) => blocked.has("v")))
      yield* work(there, { workflows: [old] })
      expect(yield* on(here)(resultOf("v"))).toBe(1)
      yield* until("it is not", Effect.map(health, ({ blocked }) => !blocked.has("v")))
    }), [memory])

  everywhere("is looked at no more often than the poll says", (here) =>
    Effect.gen(function*() {
      const { counts, storage } = wrapped(here)
      const { changed, state, throwing } = broken()
      const { health } = yield* work(storage, { workflows: [throwing, changed], poll: 100 })
      yield* on(storage)(throwing.enqueue(undefined, { runId: "bad" }))
      // A post that no code takes keeps it due.
      yield* on(storage)(throwing.send("bad", { eventName: "nudge" }))
      yield* until("it is blocked", Effect.map(health, ({ blocked }) => blocked.has("bad")))
      yield* Effect.sleep(100)
      const before = { ...counts, tries: state.tries }
      const since = performance.now()
      yield* Effect.sleep(500)
      const looks = counts.due - before.due
      // Jittered by a fifth.
      expect(looks).toBeLessThanOrEqual((performance.now() - since) / 80 + 1)
      expect(counts.acquire).toBe(before.acquire)
      expect(state.tries).toBe(before.tries)
      expect(counts.read - before.read).toBeLessThanOrEqual(5 * (looks + 1))
    }))

  everywhere(
    "for what is in its inbox, which its code refuses, is not driven in a hot loop",
    (here) =>
      Effect.gen(function*() {
        const { counts, storage } = wrapped(here)
        const { health } = yield* work(storage, { workflows: [asking], poll: 100 })
        yield* on(storage)(asking.enqueue(undefined, { runId: "a" }))
        yield* on(storage)(untilState("a", "suspended"))
        yield* on(storage)(Runs.send("a", { eventName: "answer", value: 7 }))
        yield* Effect.sleep(200)
        const before = { ...counts }
        const since = performance.now()
        yield* Effect.sleep(500)
        const looks = counts.due - before.due
        expect(looks).toBeLessThanOrEqual((performance.now() - since) / 80 + 1)
        expect(counts.acquire - before.acquire).toBeLessThanOrEqual(2 * (looks + 1))
        yield* on(storage)(asking.send("a", { eventName: "answer", value: "yes" }))
        expect(yield* on(storage)(resultOf("a"))).toBe("it is yes")
        expect((yield* health).failure).toBeUndefined()
      })
  )
})

/** A run whose at-most-once step began, and nobody knows how it ended. */
const unknown = (storage: Service) =>
  Effect.gen(function*() {
    const begun = yield* Deferred.make<void>()
    const paying = Workflow.make("paying", function*(ctx) {
      return yield* ctx.step(
        "pay",
        Effect.andThen(Deferred.succeed(begun, undefined), Effect.as(Effect.never, "unknown")),
        { delivery: "at-most-once" }
      )
    })
    const driving = yield* Effect.forkChild(on(storage)(paying.start(undefined, { runId: "p" })))
    yield* Deferred.await(begun)
    yield* Fiber.interrupt(driving)
    expect(yield* on(storage)(stateOf("p"))).toBe("blocked")
    return { paying }
  })

describe("a run of a workflow that is not known", () => {
  everywhere(
    "is left to a worker that knows it, and is not blocked",
    (here, there) =>
      Effect.gen(function*() {
        const { counts, storage } = wrapped(here)
        const one = yield* work(storage, { workflows: [hello], poll: 50 })
        yield* on(here)(asking.enqueue(undefined, { runId: "other" }))
        yield* on(storage)(asking.enqueue(undefined, { runId: "told" }))
        yield* on(storage)(hello.enqueue("you", { runId: "mine" }))
        expect(yield* on(here)(resultOf("mine"))).toBe("hello you")
        const before = counts.due
        yield* until("it has looked", Effect.sync(() => counts.due > before + 3))
        for (const runId of ["other", "told"]) {
          const { entries } = yield* on(here)(Runs.journal(runId))
          expect(entries.map(({ type }) => type)).toEqual(["start"])
          expect(yield* here.holder(runId)).toBeUndefined()
        }
        expect((yield* one.health).blocked.size).toBe(0)
        yield* work(there, { workflows: [asking] })
        for (const runId of ["other", "told"]) {
          yield* on(here)(untilState(runId, "suspended"))
          yield* on(storage)(asking.send(runId, { eventName: "answer", value: "yes" }))
          expect(yield* on(here)(resultOf(runId))).toBe("it is yes")
        }
        expect((yield* one.health).blocked.size).toBe(0)
      })
  )
})

describe("closing a worker", () => {
  const slow = () => {
    const ran: Array<string> = []
    const state = { hangs: false }
    const go = Deferred.makeUnsafe<void>()
    const begun = Deferred.makeUnsafe<void>()
    const workflow = Workflow.make("slow", function*(ctx) {
      yield* ctx.step("a", () => void ran.push("a"))
      yield* ctx.step(
        "b",
        Effect.suspend(() => {
          ran.push("b")
          const wait = state.hangs ? Effect.never : Deferred.await(go)
          return Effect.andThen(Deferred.succeed(begun, undefined), wait)
        })
      )
      return yield* ctx.step("c", () => "done")
    })
    return { ran, state, go, begun, workflow }
  }

  everywhere(
    "lets what is under way end, and drives nothing more",
    (here) =>
      Effect.gen(function*() {
        const { begun, go, ran, workflow } = slow()
        const { close, health } = yield* work(here, { workflows: [workflow, hello] })
        yield* on(here)(workflow.enqueue(undefined, { runId: "a" }))
        yield* Deferred.await(begun)
        const closing = yield* Effect.forkChild(close)
        yield* until("it drains", Effect.map(health, (now) => now.state === "draining"))
        yield* on(here)(hello.enqueue("late", { runId: "late" }))
        expect((yield* health).running).toEqual(["a"])
        yield* Deferred.succeed(go, undefined)
        yield* Fiber.join(closing)
        expect(yield* on(here)(stateOf("a"))).toBe("success")
        expect(ran).toEqual(["a", "b"])
        yield* Effect.sleep(500)
        expect(yield* on(here)(stateOf("late"))).toBe("pending")
        expect((yield* health).running).toEqual([])
      })
  )

  everywhere(
    "interrupts what takes longer than drain, and another worker goes on",
    (here, there) =>
      Effect.gen(function*() {
        const { begun, go, ran, state, workflow } = slow()
        state.hangs = true
        const { close, health } = yield* work(here, { workflows: [workflow], drain: "50 millis" })
        yield* on(here)(workflow.enqueue(undefined, { runId: "a" }))
        yield* Deferred.await(begun)
        yield* close
        expect((yield* health).running).toEqual([])
        expect(yield* here.holder("a")).toBeUndefined()
        expect(yield* there.due(Date.now())).toEqual(["a"])
        state.hangs = false
        yield* Deferred.succeed(go, undefined)
        yield* work(there, { workflows: [workflow] })
        expect(yield* on(there)(resultOf("a"))).toBe("done")
        expect(ran).toEqual(["a", "b", "b"])
      })
  )
})

describe("two workers on one storage", () => {
  everywhere("do all work of 100 runs, each step once", (here, there) =>
    Effect.gen(function*() {
      const did = new Map<string, number>()
      const count = (what: string) =>
        Effect.gen(function*() {
          yield* Effect.sleep(1)
          did.set(what, (did.get(what) ?? 0) + 1)
        })
      const three = Workflow.make("three", function*(ctx, id: number) {
        for (const step of ["a", "b", "c"]) yield* ctx.step(step, count(`${id}${step}`))
        return id
      })
      yield* work(here, { workflows: [three], poll: 50 })
      yield* work(there, { workflows: [three], poll: 50 })
      yield* Effect.forEach(
        Array.from({ length: 100 }, (_, n) => n),
        (n) => on(n % 2 === 0 ? here : there)(three.enqueue(n, { runId: `run-${n}` })),
        { concurrency: 8 }
      )
      yield* on(here)(until(
        "all are over",
        Effect.map(Runs.list({ status: "success", limit: 200 }), ({ runs }) => runs.length === 100)
      ))
      expect(did.size).toBe(300)
      expect(Array.from(did).filter(([, times]) => times !== 1)).toEqual([])
    }), [memory, sqlite, postgres])
})

describe("a storage that fails for a while", () => {
  everywhere(
    "shows in health, and everything completes afterwards",
    (here) =>
      Effect.gen(function*() {
        const { state, storage } = wrapped(here)
        const go = yield* Deferred.make<void>()
        const begun = yield* Deferred.make<void>()
        const gated = Workflow.make("gated", function*(ctx) {
          yield* ctx.step(
            "a",
            Effect.andThen(Deferred.succeed(begun, undefined), Deferred.await(go))
          )
          return yield* ctx.step("b", () => "through")
        })
        const { health } = yield* work(storage, { workflows: [gated, hello], poll: 100 })
        yield* on(storage)(gated.enqueue(undefined, { runId: "under way" }))
        yield* Deferred.await(begun)
        for (let n = 0; n < 5; n++) yield* on(here)(hello.enqueue("you", { runId: `h${n}` }))
        state.fails = true
        yield* on(here)(hello.enqueue("told", { runId: "told" }))
        storage.hint("told")
        yield* Deferred.succeed(go, undefined)
        yield* until("it shows", Effect.map(health, ({ failure }) => failure !== undefined))
        expect((yield* health).failure).toContain("the cable is out")
        yield* Effect.sleep(1_000)
        expect((yield* health).failure).toContain("the cable is out")
        state.fails = false
        expect(yield* on(here)(resultOf("under way"))).toBe("through")
        expect(yield* on(here)(resultOf("told"))).toBe("hello told")
        yield* until("it looks", Effect.map(health, ({ failure }) => failure === undefined))
        expect((yield* health).blocked.size).toBe(0)
      })
  )
})

describe("a delivery", () => {
  const handle = (
    storage: Service,
    runId: string,
    ...workflows: ReadonlyArray<Dispatch.AnyWorkflow>
  ) =>
    Dispatch.handle(runId).pipe(
      Effect.provide(
        Dispatch.layer(workflows) as Layer.Layer<Dispatch.Dispatch, never, Storage.Storage>
      ),
      on(storage)
    )

  everywhere(
    "comes to Done for each end, again and again, and for a run that is not there",
    (here) =>
      Effect.gen(function*() {
        const failing = Workflow.make("failing", function*(ctx) {
          return yield* ctx.fail({ why: "so" })
        })
        yield* on(here)(hello.enqueue("you", { runId: "s" }))
        yield* on(here)(failing.enqueue(undefined, { runId: "f" }))
        yield* on(here)(asking.enqueue(undefined, { runId: "c" }))
        yield* on(here)(Runs.cancel("c"))
        const ends = { s: "success", f: "failed", c: "cancelled", nobody: "absent" }
        for (let times = 0; times < 2; times++) {
          for (const [runId, status] of Object.entries(ends)) {
            expect(yield* handle(here, runId, hello, failing, asking)).toEqual({
              _tag: "Done",
              status
            })
          }
        }
      })
  )

  everywhere("comes to Waits, with and without an instant", (here) =>
    Effect.gen(function*() {
      const sleeper = Workflow.make("sleeper", function*(ctx) {
        yield* ctx.sleep("1 hour")
      })
      yield* on(here)(asking.enqueue(undefined, { runId: "a" }))
      expect(yield* handle(here, "a", asking)).toEqual({ _tag: "Waits", until: undefined })
      yield* on(here)(sleeper.enqueue(undefined, { runId: "b" }))
      const verdict = yield* handle(here, "b", sleeper)
      const { wakeAt } = yield* on(here)(Runs.status("b"))
      expect(wakeAt).toBeGreaterThan(Date.now())
      expect(verdict).toEqual({ _tag: "Waits", until: wakeAt })
    }))

  everywhere(
    "comes to Held while another holds the run, and is driven afterwards",
    (here, there) =>
      Effect.gen(function*() {
        yield* on(here)(hello.enqueue("you", { runId: "a" }))
        const claim = yield* there.acquire("a")
        expect(yield* handle(here, "a", hello))
          .toEqual({ _tag: "Held", after: expect.any(Number) })
        expect((yield* on(here)(Runs.journal("a"))).entries).toHaveLength(1)
        if (claim._tag === "Acquired") yield* there.release("a", claim.token)
        expect(yield* handle(here, "a", hello)).toEqual({ _tag: "Done", status: "success" })
      })
  )

  everywhere("comes to Redeliver when the storage fails", (here) =>
    Effect.gen(function*() {
      const { state, storage } = wrapped(here)
      yield* on(here)(hello.enqueue("you", { runId: "a" }))
      state.fails = true
      expect(yield* handle(storage, "a", hello)).toMatchObject({
        _tag: "Redeliver",
        after: expect.any(Number),
        why: expect.stringContaining("the cable is out")
      })
      state.fails = false
      expect(yield* handle(storage, "a", hello)).toEqual({ _tag: "Done", status: "success" })
    }))

  everywhere(
    "comes to Blocked when a person or other code has to see to it",
    (here) =>
      Effect.gen(function*() {
        const { paying } = yield* unknown(here)
        expect(yield* handle(here, "p", paying))
          .toMatchObject({ _tag: "Blocked", why: expect.stringContaining("pay") })

        const stopping = Workflow.make(
          "stopping",
          { onStepComplete: ({ stop }: Workflow.StepCompleted) => stop() },
          function*(ctx) {
            yield* ctx.step("a", () => 1)
            return yield* ctx.step("b", () => 2)
          }
        )
        yield* on(here)(stopping.enqueue(undefined, { runId: "s" }))
        for (let times = 0; times < 2; times++) {
          expect(yield* handle(here, "s", stopping))
            .toMatchObject({ _tag: "Blocked", why: expect.stringContaining(`"a"`) })
        }

        const v1 = Workflow.make("order", { version: "1" }, function*(ctx) {
          return yield* ctx.step("a", () => 1)
        })
        const v2 = Workflow.make("order", { version: "2" }, function*(ctx) {
          return yield* ctx.step("b", () => 2)
        })
        yield* on(here)(v1.enqueue(undefined, { runId: "v" }))
        expect(yield* handle(here, "v", v2))
          .toMatchObject({ _tag: "Blocked", why: expect.stringContaining("version") })
        expect(yield* handle(here, "v", v1)).toEqual({ _tag: "Done", status: "success" })

        const { throwing } = broken()
        yield* on(here)(throwing.enqueue(undefined, { runId: "t" }))
        expect(yield* handle(here, "t", throwing))
          .toMatchObject({ _tag: "Blocked", why: expect.stringContaining("this body is broken") })

        yield* on(here)(hello.enqueue("you", { runId: "loop" }))
        yield* on(here)(dies("loop", 10))
        expect(yield* handle(here, "loop", hello))
          .toMatchObject({ _tag: "Blocked", why: expect.stringContaining("CrashLoop") })
      })
  )

  everywhere(
    "comes to Foreign for a workflow that is not known, ended or not",
    (here) =>
      Effect.gen(function*() {
        yield* on(here)(hello.enqueue("you", { runId: "a" }))
        for (let times = 0; times < 2; times++) {
          expect(yield* handle(here, "a", asking)).toEqual({ _tag: "Foreign", workflow: "hello" })
          yield* handle(here, "a", hello)
        }
      })
  )

  it("is refused for two workflows of one name", () => {
    const other = Workflow.make("hello", function*(ctx) {
      return yield* ctx.step("greet", () => "another")
    })
    expect(() => Dispatch.layer([hello, other])).toThrow(TypeError)
    expect(() => Dispatch.layer([hello, other])).toThrow(`"hello"`)
  })
})
