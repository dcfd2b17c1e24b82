/**
 * One step: what its work may be, how often it is tried, when it is cut off, and what it is told about
 * itself.
 */
import { describe, expect, it } from "@effect/vitest"
import { Cause, Context, Deferred, Effect, Exit, Fiber, Ref, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Instruction, Storage, Workflow } from "reprise"
import * as Perform from "../src/Perform.ts"

class NoStock extends Schema.TaggedError<NoStock>()("NoStock", { sku: Schema.String }) {}
class NoMoney extends Schema.TaggedError<NoMoney>()("NoMoney", { n: Schema.Number }) {}

const identity: Perform.Identity = {
  runId: "r1",
  stepId: "s",
  idempotencyKey: "r1:i:s",
  fence: 3,
  publish: () => {}
}

/** How the session repeats a step of these options; every wait is short enough to stay. */
const repeating = (
  retry: Instruction.Retry | undefined,
  before?: (attempt: number) => Effect.Effect<void>
): Perform.Repeating => ({
  retry,
  earlier: [],
  longest: Infinity,
  ...(before === undefined ? undefined : { before })
})

const stepOf = (work: any, options?: Instruction.StepOptions) =>
  Instruction.data(Instruction.step("s", work, options as {})) as Instruction.Step

const perform = (work: any, options?: Instruction.StepOptions) =>
  Perform.perform(stepOf(work, options), identity, repeating(options?.retry))

/** The work as the session calls it: without an Effect where none is needed. */
const call = (work: any, options?: Instruction.StepOptions) =>
  Effect.suspend(() => {
    const called = Perform.call(stepOf(work, options), identity, repeating(options?.retry))
    return Effect.isEffect(called) ? called : Effect.succeed(called)
  })

/** Work that fails `times` times, and how often it ran. */
const failing = (times: number, how: (n: number) => unknown) => {
  const state = { ran: 0 }
  return { state, work: () => ++state.ran <= times ? how(state.ran) : "done" }
}

describe.each([["at once", call], ["as an Effect", perform]])("performed %s", (_, go) => {
  it.effect.each([
    { what: "a value", work: () => 1 },
    { what: "an Effect", work: Effect.succeed(1) },
    { what: "a function of an Effect", work: () => Effect.succeed(1) },
    { what: "a Promise", work: async () => 1 },
    {
      what: "a thenable",
      // oxlint-disable-next-line unicorn/no-thenable
      work: () => ({ then: (f: (n: number) => void) => f(1) })
    }
  ])("$what is what the step comes to", ({ work }) =>
    Effect.gen(function*() {
      expect(yield* go(work)).toEqual({ ok: true, value: 1, attempts: 1 })
    }))

  it.effect("nothing is a value too", () =>
    Effect.gen(function*() {
      expect(yield* go(() => {})).toEqual({ ok: true, value: undefined, attempts: 1 })
      expect(yield* go(Effect.void)).toEqual({ ok: true, value: undefined, attempts: 1 })
    }))

  it.effect.each([
    { what: "an Effect that fails", work: () => Effect.fail("no") },
    {
      what: "a function that throws",
      work: () => {
        // oxlint-disable-next-line typescript/only-throw-error
        throw "no"
      }
    },
    { what: "a Promise that rejects", work: () => Promise.reject("no") }
  ])("$what is a failure, not a defect", ({ work }) =>
    Effect.gen(function*() {
      expect(yield* go(work)).toEqual({ ok: false, error: "no", defect: false, attempts: 1 })
    }))

  it.effect("an Effect that dies is a defect", () =>
    Effect.gen(function*() {
      expect(yield* go(() => Effect.die("no")))
        .toEqual({ ok: false, error: "no", defect: true, attempts: 1 })
    }))

  it.effect("a failure goes before a defect beside it", () =>
    Effect.gen(function*() {
      const both = Effect.failCause(Cause.combine(Cause.die("died"), Cause.fail("failed")))
      expect(yield* go(both)).toMatchObject({ error: "failed", defect: false })
    }))

  it.effect("an Effect that interrupts itself is a defect and does not end the engine", () =>
    Effect.gen(function*() {
      const performed = yield* go(() => Effect.interrupt)
      expect(performed).toMatchObject({ ok: false, defect: true })
      expect(String((performed as { error: unknown }).error)).toContain("interrupted from inside")
    }))

  it.effect("a generator is refused, with the way to write it", () =>
    Effect.gen(function*() {
      const performed = yield* go(() =>
        (function*() {
          yield 1
        })()
      )
      expect(performed).toMatchObject({ ok: false, defect: false, attempts: 1 })
      expect(String((performed as { error: unknown }).error)).toContain("Effect.fn")
    }))

  it.effect("it is told which step of which run it is", () =>
    Effect.gen(function*() {
      const performed = yield* go((
        { attempt, fence, idempotencyKey, runId, stepId }: Instruction.StepInfo
      ) => ({ attempt, fence, idempotencyKey, runId, stepId }))
      const { publish: _, ...told } = identity
      expect(performed).toEqual({ ok: true, value: { ...told, attempt: 1 }, attempts: 1 })
    }))

  it.effect("what it publishes is passed on, with its step and attempt", () =>
    Effect.gen(function*() {
      const published: Array<unknown> = []
      const publish: Perform.Identity["publish"] = (...said) => void published.push(said)
      const step = stepOf(({ publish }: Instruction.StepInfo) => publish("progress", 0.5))
      yield* Perform.perform(step, { ...identity, publish }, repeating(undefined))
      expect(published).toEqual([["progress", 0.5, "s", 1]])
    }))

  it.effect("an Effect finds the same in StepContext, whether it is a function or not", () =>
    Effect.gen(function*() {
      const fromContext = Effect.map(Instruction.StepContext, (info) => info)
      const seen = yield* go((info: Instruction.StepInfo) =>
        Effect.map(fromContext, (found) => found === info)
      )
      expect(seen).toMatchObject({ ok: true, value: true })
      const bare = yield* go(Effect.map(fromContext, ({ runId, stepId }) => [runId, stepId]))
      expect(bare).toMatchObject({ value: ["r1", "s"] })
    }))

  it.effect("an Effect finds the services of whoever drives the run", () =>
    Effect.gen(function*() {
      class Shop extends Context.Service<Shop, string>()("test/Shop") {}
      const performed = yield* go(() => Effect.map(Shop, (name) => name)).pipe(
        Effect.provideService(Shop, "corner")
      )
      expect(performed).toMatchObject({ value: "corner" })
    }))
})

describe("a call without retry and timeout", () => {
  it("is over at once when the function returns a value or throws", () => {
    expect(Perform.call(stepOf(() => 1), identity, repeating(undefined))).toEqual({
      ok: true,
      value: 1,
      attempts: 1
    })
    const error = new Error("no")
    expect(Perform.call(
      stepOf(() => {
        throw error
      }),
      identity,
      repeating(undefined)
    )).toEqual({ ok: false, error, defect: false, attempts: 1 })
  })

  it("is an Effect when the function returns one, or a Promise", () => {
    expect(
      Effect.isEffect(Perform.call(stepOf(() => Effect.succeed(1)), identity, repeating(undefined)))
    ).toBe(true)
    expect(Effect.isEffect(Perform.call(stepOf(async () => 1), identity, repeating(undefined))))
      .toBe(true)
  })
})

describe("a generator function", () => {
  it("is refused where the step is made", () => {
    expect(() => Instruction.step("s", function*() {} as any)).toThrow(
      /Step "s" was given a generator function.*Effect\.fn\(function\*\(\)/
    )
  })

  it("is fine inside Effect.fn and Effect.gen", async () => {
    const value = await Effect.runPromise(perform(Effect.fn(function*() {
      return yield* Effect.succeed(1)
    })))
    expect(value).toEqual({ ok: true, value: 1, attempts: 1 })
  })
})

describe("a step's name", () => {
  it.each([["empty", ""], ["too long", "x".repeat(201)], ["missing", undefined], [
    "no string",
    5
  ]])("is refused when it is %s", (_, name) => {
    expect(() => Instruction.step(name as string, () => 1)).toThrow(/1 to 200 characters/)
  })
})

describe("retry", () => {
  it.effect("is not done unless it is asked for", () =>
    Effect.gen(function*() {
      const { state, work } = failing(1, () => Effect.fail("no"))
      expect(yield* perform(work)).toMatchObject({ ok: false, attempts: 1 })
      expect(state.ran).toBe(1)
    }))

  it.effect.each([
    { what: "a failure", how: () => Effect.fail("no") },
    {
      what: "a throw",
      how: () => {
        throw new Error("no")
      }
    },
    { what: "a rejection", how: () => Promise.reject(new Error("no")) }
  ])("with a number repeats after $what, at most that often", ({ how }) =>
    Effect.gen(function*() {
      const enough = failing(2, how)
      expect(yield* perform(enough.work, { retry: 2 }))
        .toEqual({ ok: true, value: "done", attempts: 3 })
      const tooMany = failing(3, how)
      expect(yield* perform(tooMany.work, { retry: 2 })).toMatchObject({ ok: false, attempts: 3 })
      expect(tooMany.state.ran).toBe(3)
    }))

  it.effect("gives the last failure", () =>
    Effect.gen(function*() {
      const { work } = failing(9, (n) => Effect.fail(n))
      expect(yield* perform(work, { retry: 2 })).toMatchObject({ error: 3, attempts: 3 })
    }))

  it.effect("repeats an Effect that is no function", () =>
    Effect.gen(function*() {
      const count = yield* Ref.make(0)
      const work = Effect.flatMap(
        Ref.updateAndGet(count, (n) => n + 1),
        (n) => n < 3 ? Effect.fail("no") : Effect.succeed(n)
      )
      expect(yield* perform(work, { retry: 5 })).toEqual({ ok: true, value: 3, attempts: 3 })
    }))

  it.effect("does not repeat a defect", () =>
    Effect.gen(function*() {
      const { state, work } = failing(1, () => Effect.die("no"))
      expect(yield* perform(work, { retry: 5 })).toMatchObject({ ok: false, defect: true })
      expect(state.ran).toBe(1)
    }))

  it.effect("with a schedule waits as long as the schedule says", () =>
    Effect.gen(function*() {
      const { state, work } = failing(2, () => Effect.fail("no"))
      const schedule = Schedule.exponential("1 minute").pipe(Schedule.upTo({ times: 3 }))
      const fiber = yield* Effect.forkChild(perform(work, { retry: schedule }))
      yield* TestClock.adjust("59 seconds")
      expect(state.ran).toBe(1)
      yield* TestClock.adjust("1 second")
      expect(state.ran).toBe(2)
      yield* TestClock.adjust("119 seconds")
      expect(state.ran).toBe(2)
      yield* TestClock.adjust("1 second")
      expect(yield* Fiber.join(fiber)).toEqual({ ok: true, value: "done", attempts: 3 })
    }))

  it.effect("ends when the schedule ends", () =>
    Effect.gen(function*() {
      const { state, work } = failing(9, () => Effect.fail("no"))
      const performed = yield* perform(work, { retry: Schedule.recurs(2) })
      expect(performed).toMatchObject({ ok: false, attempts: 3 })
      expect(state.ran).toBe(3)
    }))

  it.effect("with options repeats only while they say so", () =>
    Effect.gen(function*() {
      const { state, work } = failing(
        9,
        (n) => Effect.fail(n < 3 ? new NoStock({ sku: "a" }) : new NoMoney({ n }))
      )
      const performed = yield* perform(work, {
        retry: { times: 5, while: (error: NoStock | NoMoney) => error._tag === "NoStock" }
      })
      expect(performed).toMatchObject({ ok: false, error: { _tag: "NoMoney", n: 3 }, attempts: 3 })
      expect(state.ran).toBe(3)
    }))

  it.effect("counts its attempts and keeps the rest of what a step is told", () =>
    Effect.gen(function*() {
      const seen: Array<Instruction.StepInfo> = []
      const performed = yield* perform(
        (info: Instruction.StepInfo) => {
          seen.push(info)
          return Effect.flatMap(
            Instruction.StepContext,
            ({ attempt }) => attempt < 3 ? Effect.fail("no") : Effect.succeed(attempt)
          )
        },
        { retry: 5 }
      )
      expect(performed).toEqual({ ok: true, value: 3, attempts: 3 })
      expect(seen.map(({ attempt }) => attempt)).toEqual([1, 2, 3])
      expect(new Set(seen.map(({ idempotencyKey }) => idempotencyKey)))
        .toEqual(new Set(["r1:i:s"]))
      expect(new Set(seen.map(({ fence }) => fence))).toEqual(new Set([3]))
    }))

  it.effect("asks before every attempt but the first", () =>
    Effect.gen(function*() {
      const order: Array<string> = []
      const { work } = failing(2, () => Effect.fail("no"))
      yield* Perform.perform(
        stepOf(() => {
          order.push("work")
          return work()
        }, { retry: 5 }),
        identity,
        repeating(5, (attempt) => Effect.sync(() => void order.push(`before ${attempt}`)))
      )
      expect(order).toEqual(["work", "before 2", "work", "before 3", "work"])
    }))
})

describe("timeout", () => {
  it.effect("cuts an attempt off and is a StepTimeout", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(
        perform(() => Effect.never, { timeout: "2 seconds" })
      )
      yield* TestClock.adjust("2 seconds")
      const performed = yield* Fiber.join(fiber)
      expect(performed).toMatchObject({ ok: false, defect: false, attempts: 1 })
      const { error } = performed as { error: unknown }
      expect(error).toBeInstanceOf(Instruction.StepTimeout)
      expect(error).toMatchObject({ step: "s", timeout: 2000, attempts: 1 })
      expect(String((error as Error).message))
        .toBe(
          `Step "s" took longer than 2000 ms, 1 time(s). Raise its timeout, or handle StepTimeout with Instruction.catchTag.`
        )
    }))

  it.effect("is not felt by work that ends in time", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(
        perform(() => Effect.as(Effect.sleep("1 second"), "in time"), { timeout: "2 seconds" })
      )
      yield* TestClock.adjust("1 second")
      expect(yield* Fiber.join(fiber)).toEqual({ ok: true, value: "in time", attempts: 1 })
    }))

  it.effect("is for one attempt, and is retried", () =>
    Effect.gen(function*() {
      const { state, work } = failing(2, () => Effect.never)
      const fiber = yield* Effect.forkChild(perform(work, { retry: 3, timeout: "2 seconds" }))
      yield* TestClock.adjust("2 seconds")
      expect(state.ran).toBe(2)
      yield* TestClock.adjust("2 seconds")
      expect(yield* Fiber.join(fiber)).toEqual({ ok: true, value: "done", attempts: 3 })
    }))

  it.effect("counts the attempts when all took too long", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(
        perform(() => new Promise(() => {}), { retry: 1, timeout: 500 })
      )
      yield* TestClock.adjust("1 second")
      expect(yield* Fiber.join(fiber)).toMatchObject({
        error: { _tag: "StepTimeout", timeout: 500, attempts: 2 },
        attempts: 2
      })
    }))
})

describe("the signal", () => {
  interface Hanging {
    readonly what: string
    readonly work: (info: Instruction.StepInfo, see: (signal: AbortSignal) => void) => unknown
  }

  it.effect("is not aborted when all went well", () =>
    Effect.gen(function*() {
      let signal: AbortSignal | undefined
      yield* perform(async (info: Instruction.StepInfo) => {
        signal = info.signal
      })
      expect(signal?.aborted).toBe(false)
    }))

  it.effect("is the same one for every look", () =>
    Effect.gen(function*() {
      expect(
        yield* perform((info: Instruction.StepInfo) => info.signal === info.signal)
      ).toMatchObject({ value: true })
    }))

  it.effect.each<Hanging>([
    {
      what: "a Promise",
      work: (info, see) => {
        see(info.signal)
        return new Promise(() => {})
      }
    },
    {
      what: "an Effect",
      work: (info, see) => {
        see(info.signal)
        return Effect.never
      }
    },
    {
      what: "an Effect that finds it in StepContext",
      work: (_, see) =>
        Effect.flatMap(Instruction.StepContext, ({ signal }) => {
          see(signal)
          return Effect.never
        })
    }
  ])(
    "is aborted when $what is cut off or interrupted, and is new for each attempt",
    ({ work }) =>
      Effect.gen(function*() {
        const signals: Array<AbortSignal> = []
        const fiber = yield* Effect.forkChild(
          perform((info: Instruction.StepInfo) => work(info, (signal) => signals.push(signal)), {
            retry: 1,
            timeout: "1 second"
          })
        )
        yield* TestClock.adjust("1 second")
        expect(signals.map(({ aborted }) => aborted)).toEqual([true, false])
        const exit = yield* Effect.andThen(Fiber.interrupt(fiber), Fiber.await(fiber))
        expect(Exit.isFailure(exit)).toBe(true)
        expect(signals.map(({ aborted }) => aborted)).toEqual([true, true])
      })
  )
})

describe("in a run that is driven again", () => {
  it.effect("the idempotency key stays, the fence grows, and attempts count anew", () =>
    Effect.gen(function*() {
      const seen: Array<{ key: string; fence: number; attempt: number }> = []
      const begun = yield* Deferred.make<void>()
      let hang = true
      const workflow = Workflow.make("w", function*(ctx) {
        yield* ctx.step("before", () => 1)
        yield* ctx.step("call", ({ attempt, fence, idempotencyKey }) => {
          seen.push({ key: idempotencyKey, fence, attempt })
          if (attempt === 1) return Effect.fail("try again")
          return hang
            ? Effect.andThen(Deferred.succeed(begun, undefined), Effect.never)
            : Effect.void
        }, { retry: 1 })
      })
      const driving = yield* Effect.forkChild(workflow.start(undefined, { runId: "r1" }))
      yield* Deferred.await(begun)
      yield* Fiber.interrupt(driving)
      hang = false
      expect(yield* workflow.resume("r1")).toMatchObject({ status: "success" })
      expect(seen.map(({ attempt, fence }) => ({ attempt, fence }))).toEqual([
        { attempt: 1, fence: 1 },
        { attempt: 2, fence: 1 },
        { attempt: 1, fence: 2 },
        { attempt: 2, fence: 2 }
      ])
      expect(new Set(seen.map(({ key }) => key)).size).toBe(1)
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("two steps, two runs and two lives of one run id have different keys", () =>
    Effect.gen(function*() {
      const keys: Array<string> = []
      const workflow = Workflow.make("w", function*(ctx) {
        const call = ({ idempotencyKey }: Instruction.StepInfo) => {
          keys.push(idempotencyKey)
        }
        yield* ctx.step("call", call)
        yield* ctx.step("call", call)
      })
      const storage = yield* Storage.Storage
      yield* workflow.start(undefined, { runId: "r1" })
      yield* workflow.start(undefined, { runId: "r2" })
      yield* storage.remove("r1")
      yield* workflow.start(undefined, { runId: "r1" })
      expect(new Set(keys).size).toBe(6)
    }).pipe(Effect.provide(Storage.layerMemory)))
})
