/**
 * Durable retry: what becomes of a step's attempts when their delays are too long to wait for. A budget is a
 * budget, over as many processes as it takes, and an at-most-once step says before each attempt that it runs.
 */
import { Context, Effect, Fiber, Option, Schedule, Schema } from "effect"
import { Instruction, Runs, Storage, Workflow } from "reprise"
import { describe, expect, it } from "vitest"
import { Died, isDeath, type Plan, worldOf } from "../support/faults.ts"
import { lab } from "../support/lab.ts"
import { epoch, Simulation } from "../support/simulation.ts"
import { attempt, runId, type Scenario } from "../support/trial.ts"

const second = 1_000
const minute = 60 * second
const hour = 60 * minute
const day = 24 * hour

/** Drives a run on whenever it wakes, each time in a new process; gives what it came to and when it was driven. */
const drivenOn = <A>(
  at: ReturnType<typeof lab>["at"],
  workflow: {
    readonly start: (
      input: undefined,
      options: { readonly runId: string }
    ) => Effect.Effect<Workflow.Result<A, unknown>, unknown, Storage.Storage>
  },
  limit = 20
) => {
  const driven: Array<number> = []
  let now = epoch
  for (let n = 0; n < limit; n++) {
    driven.push(now)
    const result = at(now, workflow.start(undefined, { runId }))
    if (result.status !== "suspended" || result.wakeAt === undefined) return { result, driven }
    now = result.wakeAt
  }
  throw new Error(`still not over after ${limit} processes`)
}

class NoStock extends Schema.TaggedError<NoStock>()("NoStock", {
  sku: Schema.String,
  until: Schema.Date
}) {}

/** A step that fails until its `n`th attempt. */
const until = (n: number, error: unknown = new Error("not yet")) => {
  const seen: Array<Instruction.StepInfo> = []
  return {
    seen,
    attempts: () => seen.map(({ attempt }) => attempt),
    work: (info: Instruction.StepInfo) => {
      seen.push(info)
      return seen.length < n ? Effect.fail(error) : Effect.succeed(seen.length)
    }
  }
}

describe("a delay over Workflow.ShortWait", () => {
  it("is journaled and suspends the run; shorter ones before it stay in the process", () => {
    const { at, due, entry, replayed, types } = lab()
    const { attempts, seen, work } = until(6)
    const workflow = Workflow.make("retried", function*(ctx) {
      return yield* ctx.step("work", work, { retry: Schedule.exponential("4 seconds") })
    })
    // 4 s and 8 s are waited for; 16 s is too long.
    const wakeAt = epoch + 28 * second
    const suspended = at(epoch, workflow.start(undefined, { runId }))
    expect(suspended).toEqual({
      status: "suspended",
      event: undefined,
      wakeAt,
      waits: [{ stepId: "work", kind: "retry", since: epoch, wakeAt }],
      runId
    })
    expect(types()).toEqual(["start", "retry", "suspend"])
    expect(entry("retry")).toMatchObject([{
      stepId: "work",
      name: "work",
      attempt: 3,
      error: { _tag: "StepFailed", tag: "Error", message: "not yet", attempts: 3 },
      wakeAt
    }])
    expect(attempts()).toEqual([1, 2, 3])
    expect(due(wakeAt - 1)).toEqual([])
    expect(due(wakeAt)).toEqual([runId])
    expect(at(wakeAt - 1, workflow.resume(runId))).toEqual(suspended)
    expect(attempts()).toEqual([1, 2, 3])
    // The schedule goes on where it stood: 32 s and 64 s.
    expect(at(wakeAt, workflow.resume(runId))).toMatchObject({ wakeAt: wakeAt + 32 * second })
    expect(at(wakeAt + 32 * second, workflow.resume(runId)))
      .toMatchObject({ wakeAt: wakeAt + 96 * second })
    expect(at(wakeAt + 96 * second, workflow.resume(runId)))
      .toMatchObject({ status: "success", result: 6 })
    expect(attempts()).toEqual([1, 2, 3, 4, 5, 6])
    expect(new Set(seen.map(({ idempotencyKey }) => idempotencyKey)).size).toBe(1)
    expect(seen.map(({ fence }) => fence)).toEqual([1, 1, 1, 2, 3, 4])
    expect(entry("retry").map(({ attempt }) => attempt)).toEqual([3, 4, 5])
    expect(entry("step")).toMatchObject([{ result: 6, attempts: 6 }])
    expect(replayed(workflow)).toMatchObject({ _tag: "Returned", value: 6 })
  })

  it("is whatever is over the reference, and one that is just as long is not", () => {
    const first = (delay: number, short: number) => {
      const { at } = lab()
      const { work } = until(2)
      const workflow = Workflow.make("retried", function*(ctx) {
        return yield* ctx.step("work", work, { retry: Schedule.spaced(delay) })
      })
      return at(
        epoch,
        Effect.provideService(
          workflow.start(undefined, { runId }),
          Workflow.ShortWait,
          short
        )
      ).status
    }
    expect(first(10_000, 10_000)).toBe("success")
    expect(first(10_001, 10_000)).toBe("suspended")
    expect(first(0, 0)).toBe("success")
    expect(first(1, 0)).toBe("suspended")
    expect(first(hour, Infinity)).toBe("success")
  })

  it("does not end a session in which something else goes on", () => {
    const { at, entry, journal, replayed } = lab()
    const { attempts, work } = until(3)
    const workflow = Workflow.make("beside", function*(ctx) {
      return yield* ctx.all({
        work: ctx.step("work", work, { retry: Schedule.spaced("20 minutes") }),
        long: ctx.step("long", () => Effect.as(Effect.sleep("1 hour"), "long"))
      })
    })
    const result = { work: 3, long: "long" }
    expect(at(epoch, workflow.start(undefined, { runId }))).toMatchObject({ result })
    expect(attempts()).toEqual([1, 2, 3])
    expect(entry("retry").map(({ attempt }) => attempt)).toEqual([1, 2])
    expect(entry("suspend")).toEqual([])
    expect(new Set(journal().entries.map(({ session }) => session))).toEqual(new Set([1]))
    expect(replayed(workflow)).toMatchObject({ value: result })
  })

  it("waits beside an event, and neither disturbs the other", () => {
    const { at, replayed } = lab()
    const { attempts, work } = until(2)
    const workflow = Workflow.make("both", { events: { go: Schema.String } }, function*(ctx) {
      return yield* ctx.all([
        ctx.step("work", work, { retry: Schedule.spaced("1 hour") }),
        ctx.suspend("go")
      ])
    })
    expect(at(epoch, workflow.start(undefined, { runId }))).toMatchObject({
      event: "go",
      wakeAt: epoch + hour,
      waits: [{ stepId: "all[0]/work", kind: "retry" }, { stepId: "all[1]/go", kind: "event" }]
    })
    expect(at(epoch + minute, workflow.resume(runId, { eventName: "go", value: "here" })))
      .toMatchObject({ status: "suspended", wakeAt: epoch + hour })
    expect(attempts()).toEqual([1])
    expect(at(epoch + hour, workflow.resume(runId))).toMatchObject({ result: [2, "here"] })
    expect(replayed(workflow)).toMatchObject({ value: [2, "here"] })
  })

  it("is never cut short by a clock that was set back", () => {
    const { at } = lab()
    const { attempts, work } = until(2)
    const workflow = Workflow.make("retried", function*(ctx) {
      return yield* ctx.step("work", work, { retry: Schedule.spaced("1 hour") })
    })
    const began = epoch + 10 * day
    at(began, workflow.start(undefined, { runId }))
    for (const now of [epoch, began, began + hour - 1]) {
      expect(at(now, workflow.resume(runId))).toMatchObject({ wakeAt: began + hour })
    }
    expect(attempts()).toEqual([1])
    expect(at(began + hour, workflow.resume(runId))).toMatchObject({ result: 2 })
  })
})

describe("a budget", () => {
  const spent = (
    retry: Instruction.Retry,
    options: { readonly error?: unknown; readonly declared?: boolean } = {}
  ) => {
    const { at, replayed } = lab()
    const { attempts, work } = until(Infinity, options.error)
    const workflow = Workflow.make("spent", function*(ctx) {
      return yield* options.declared === true
        ? ctx.step("work", (info) => Effect.mapError(work(info), (e) => e as NoStock), {
          retry,
          error: NoStock
        })
        : ctx.step("work", work, { retry })
    })
    const { driven, result } = drivenOn(at, workflow)
    const replay = replayed(workflow) as { readonly _tag: string; readonly error: unknown }
    expect(replay).toMatchObject({ _tag: "Threw" })
    return { attempts: attempts(), result, hours: driven.map((now) => (now - epoch) / hour) }
  }

  it("of times is kept over processes", () => {
    const { attempts, hours, result } = spent({
      times: 4,
      schedule: Schedule.exponential("1 hour")
    })
    expect(attempts).toEqual([1, 2, 3, 4, 5])
    expect(hours).toEqual([0, 1, 3, 7, 15])
    expect(result).toMatchObject({
      status: "failed",
      error: { _tag: "StepFailed", message: "not yet", attempts: 5 }
    })
  })

  it("of a schedule is kept over processes", () => {
    const { attempts, hours } = spent(
      Schedule.exponential("1 hour").pipe(Schedule.upTo({ times: 3 }))
    )
    expect(attempts).toEqual([1, 2, 3, 4])
    expect(hours).toEqual([0, 1, 3, 7])
  })

  it("of a schedule that counts the time is kept over processes", () => {
    const { attempts, hours } = spent(
      Schedule.spaced("1 hour").pipe(Schedule.upTo({ duration: "150 minutes" }))
    )
    expect(attempts).toEqual([1, 2, 3, 4])
    expect(hours).toEqual([0, 1, 2, 3])
  })

  it("that begins with short delays counts them, too", () => {
    const { attempts } = spent({ times: 5, schedule: Schedule.exponential("4 seconds") })
    expect(attempts).toEqual([1, 2, 3, 4, 5, 6])
  })

  const error = new NoStock({ sku: "a", until: new Date(5) })

  it("of a schedule is kept under a predicate that hears declared errors", () => {
    const seen: Array<unknown> = []
    const { attempts, hours } = spent({
      schedule: Schedule.exponential("1 hour").pipe(Schedule.upTo({ times: 3 })),
      while: (e) => {
        seen.push(e)
        return e instanceof NoStock && e.sku === "a" && e.until.getTime() === 5
      }
    }, { error, declared: true })
    expect(seen.every((e) => e instanceof NoStock)).toBe(true)
    expect(attempts).toEqual([1, 2, 3, 4])
    expect(hours).toEqual([0, 1, 3, 7])
  })

  it("of a schedule is kept under a predicate on an error that nothing declares", () => {
    const { attempts, hours } = spent({
      schedule: Schedule.exponential("1 hour").pipe(Schedule.upTo({ times: 3 })),
      while: (e) => e instanceof Error && e.message === "not yet" && !("_tag" in e)
    })
    expect(attempts).toEqual([1, 2, 3, 4])
    expect(hours).toEqual([0, 1, 3, 7])
  })
})

describe("a predicate", () => {
  it("ends the retries at the attempt whose error it refuses, in whichever process that is", () => {
    const { at } = lab()
    const workflow = Workflow.make("picky", { error: NoStock }, function*(ctx) {
      return yield* ctx.step(
        "work",
        ({ attempt }) =>
          Effect.fail(
            new NoStock({ sku: attempt < 3 ? "soon" : "gone", until: new Date(attempt) })
          ),
        {
          retry: {
            schedule: Schedule.spaced("1 hour"),
            until: (e: unknown) => (e as NoStock).sku === "gone"
          }
        }
      )
    })
    const { driven, result } = drivenOn(at, workflow)
    expect(driven).toEqual([epoch, epoch + hour, epoch + 2 * hour])
    expect(result).toMatchObject({ status: "failed", error: { sku: "gone", until: new Date(3) } })
  })

  it("may be an Effect", () => {
    const { at } = lab()
    const { attempts, work } = until(9)
    let asked = 0
    const workflow = Workflow.make("picky", function*(ctx) {
      return yield* ctx.step("work", work, {
        retry: {
          schedule: Schedule.spaced("1 hour"),
          while: () =>
            Effect.sync(() => {
              asked++
              return attempts().length < 4
            })
        }
      })
    })
    const { result } = drivenOn(at, workflow)
    expect(result).toMatchObject({ status: "failed", error: { attempts: 4 } })
    expect(asked).toBeGreaterThanOrEqual(4)
  })

  it("and schedule never see a defect, which is not repeated", () => {
    const { at } = lab()
    const workflow = Workflow.make("dies", function*(ctx) {
      yield* ctx.step("work", () => Effect.die("broken"), { retry: Schedule.spaced("1 hour") })
    })
    expect(at(epoch, workflow.start(undefined, { runId })))
      .toMatchObject({ status: "failed", error: { defect: true, attempts: 1 } })
  })
})

describe("an at-most-once step that is repeated", () => {
  it("journals an intent before each attempt, in one process and over several", () => {
    const { at, driver, entry, replayed, types } = lab()
    const durable: Array<number> = []
    const { attempts, work } = until(5)
    const workflow = Workflow.make("once", function*(ctx) {
      return yield* ctx.step("charge", (info) => {
        const { text } = Effect.runSync(driver.read(runId))
        durable.push(text.split(`"type":"intent"`).length - 1)
        return work(info)
      }, { delivery: "at-most-once", retry: Schedule.exponential("4 seconds") })
    })
    expect(drivenOn(at, workflow).result).toMatchObject({ result: 5 })
    expect(attempts()).toEqual([1, 2, 3, 4, 5])
    // When an attempt runs, its intent is there.
    expect(durable).toEqual([1, 2, 3, 4, 5])
    expect(entry("intent").map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4, 5])
    expect(types()).toEqual([
      "start",
      "intent",
      "intent",
      "intent",
      "retry",
      "suspend",
      "start",
      "intent",
      "retry",
      "suspend",
      "start",
      "intent",
      "step",
      "complete"
    ])
    expect(replayed(workflow)).toMatchObject({ _tag: "Returned", value: 5 })
  })

  it("is blocked when its process dies in a later attempt, and a person may let it go on", () => {
    const world = worldOf(Storage.memoryDriver())
    const simulation = new Simulation()
    let process = world.process()
    const run = <A, E>(program: Effect.Effect<A, E, Storage.Storage>) =>
      simulation.run(program, Context.make(Storage.Storage, process.storage))
    const get = <A, E>(program: Effect.Effect<A, E, Storage.Storage>): A =>
      simulation.get(program, Context.make(Storage.Storage, process.storage))
    const attempts: Array<number> = []
    let kills = true
    const workflow = Workflow.make("once", function*(ctx) {
      return yield* ctx.step("charge", ({ attempt }) => {
        attempts.push(attempt)
        if (attempt === 1) throw new Error("declined")
        if (!kills) return `attempt ${attempt}`
        process.kill()
        throw new Died()
      }, { delivery: "at-most-once", retry: { times: 5, schedule: Schedule.spaced("1 hour") } })
    })
    expect(get(workflow.start(undefined, { runId }))).toMatchObject({ status: "suspended" })
    simulation.pass(hour)
    expect(isDeath(run(workflow.resume(runId)))).toBe(true)
    process = world.process()
    kills = false
    const blocked = { status: "blocked", reason: `OutcomeUnknown: "charge"` }
    expect(get(workflow.resume(runId))).toMatchObject(blocked)
    expect(get(workflow.resume(runId))).toMatchObject(blocked)
    expect(attempts).toEqual([1, 2])
    get(Runs.settle(runId, "charge", { retry: true }))
    expect(get(workflow.resume(runId))).toMatchObject({ result: "attempt 3" })
    expect(attempts).toEqual([1, 2, 3])
  })

  it("is not blocked when its process dies while it waits for the next attempt", () => {
    const { at, entry } = lab()
    const { attempts, work } = until(2)
    const workflow = Workflow.make("once", { events: { go: Schema.Void } }, function*(ctx) {
      return yield* ctx.all([
        ctx.step("charge", work, { delivery: "at-most-once", retry: Schedule.spaced("1 hour") }),
        ctx.step("long", () => Effect.as(Effect.sleep("30 minutes"), "long"))
      ])
    })
    // The process is told to stop while the other step runs.
    at(
      epoch,
      Effect.gen(function*() {
        const fiber = yield* Effect.forkChild(workflow.start(undefined, { runId }))
        yield* Effect.sleep("1 minute")
        yield* Fiber.interrupt(fiber)
      })
    )
    expect(entry("retry")).toHaveLength(1)
    const resumed = at(epoch + hour, workflow.resume(runId))
    expect(resumed).toMatchObject({ status: "success" })
    expect(attempts()).toEqual([1, 2])
    expect(entry("intent").map(({ attempt }) => attempt)).toEqual([1, 2])
  })
})

describe("a limit on each attempt", () => {
  it("interrupts it, aborts its signal, and journals StepTimeout as the attempt's error", () => {
    const { at, entry, replayed } = lab()
    const signals: Array<AbortSignal> = []
    const interrupted: Array<number> = []
    const workflow = Workflow.make("slow", function*(ctx) {
      return yield* ctx.step("slow", ({ attempt, signal }) => {
        signals.push(signal)
        return Effect.onInterrupt(
          Effect.never,
          () => Effect.sync(() => void interrupted.push(attempt))
        )
      }, { timeout: "3 seconds", retry: { times: 2, schedule: Schedule.spaced("1 hour") } })
    })
    const { driven, result } = drivenOn(at, workflow)
    const each = 3 * second + hour
    expect(driven).toEqual([epoch, epoch + each, epoch + 2 * each])
    expect(result).toMatchObject({
      status: "failed",
      error: { _tag: "StepTimeout", step: "slow", timeout: 3 * second, attempts: 3 }
    })
    expect(interrupted).toEqual([1, 2, 3])
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true, true])
    expect(entry("retry").map(({ error }) => error)).toMatchObject([
      { _tag: "StepTimeout", attempts: 1 },
      { _tag: "StepTimeout", attempts: 2 }
    ])
    expect(replayed(workflow)).toMatchObject({ _tag: "Threw" })
  })

  it("reaches a predicate as StepTimeout in every process", () => {
    const { at } = lab()
    const heard: Array<unknown> = []
    const workflow = Workflow.make("slow", { error: NoStock }, function*(ctx) {
      return yield* ctx.step("slow", () => Effect.never, {
        timeout: "3 seconds",
        retry: {
          times: 2,
          schedule: Schedule.spaced("1 hour"),
          while: (e: unknown) => {
            heard.push(e)
            return e instanceof Instruction.StepTimeout && e.timeout === 3 * second
          }
        }
      })
    })
    expect(drivenOn(at, workflow).result).toMatchObject({ error: { attempts: 3 } })
    expect(heard.length).toBeGreaterThanOrEqual(2)
    expect(heard.every((e) => e instanceof Instruction.StepTimeout)).toBe(true)
  })
})

describe("a step that waits for its next attempt", () => {
  const waiting = (seen: Array<string>) => {
    const { attempts, work } = until(9)
    const workflow = Workflow.make("waiting", function*(ctx) {
      try {
        yield* ctx.step("work", work, { retry: Schedule.spaced("1 hour") })
      } catch (error) {
        seen.push((error as Error).name)
        throw error
      } finally {
        yield* ctx.step("tidy", () => void seen.push("tidied"))
      }
    })
    return { attempts, workflow }
  }

  it("hears of a cancel at once, and never runs again", () => {
    const { at, due, replayed, types } = lab()
    const seen: Array<string> = []
    const { attempts, workflow } = waiting(seen)
    at(epoch, workflow.start(undefined, { runId }))
    expect(at(epoch + minute, workflow.cancel(runId)).status).toBe("cancelled")
    expect(seen).toEqual(["Cancelled", "tidied"])
    expect(attempts()).toEqual([1])
    expect(due(epoch + day)).toEqual([])
    expect(types()).toEqual(["start", "retry", "suspend", "start", "cancel", "step", "cancelled"])
    expect(replayed(workflow)).toMatchObject({ _tag: "Threw" })
  })

  it("may lose a race", () => {
    const { at, due, replayed } = lab()
    const { attempts, work } = until(9)
    const workflow = Workflow.make("race", { events: { go: Schema.String } }, function*(ctx) {
      const won = yield* ctx.race({
        work: ctx.step("work", work, { retry: Schedule.spaced("1 hour") }),
        go: ctx.suspend("go")
      })
      return won.winner
    })
    at(epoch, workflow.start(undefined, { runId }))
    expect(at(epoch + 3 * hour, workflow.resume(runId, { eventName: "go", value: "g" })))
      .toMatchObject({ result: "go" })
    expect(attempts()).toEqual([1])
    expect(due(epoch + day)).toEqual([])
    expect(replayed(workflow)).toMatchObject({ value: "go" })
  })

  it("may be cut off by a durable timeout between two attempts", () => {
    const { at, replayed } = lab()
    const { attempts, work } = until(9)
    const workflow = Workflow.make("limit", function*(ctx) {
      const got = yield* ctx.step("work", work, { retry: Schedule.spaced("1 hour") }).pipe(
        Instruction.timeoutOption("150 minutes")
      )
      return Option.isNone(got)
    })
    const { driven, result } = drivenOn(at, workflow)
    expect(driven.map((now) => (now - epoch) / minute)).toEqual([0, 60, 120, 150])
    expect(result).toMatchObject({ result: true })
    expect(attempts()).toEqual([1, 2, 3])
    expect(replayed(workflow)).toMatchObject({ value: true })
  })

  it("with an undo has nothing to undo when it is cancelled", () => {
    const { at, entry, replayed } = lab()
    const { attempts, work } = until(9)
    const undone: Array<unknown> = []
    const workflow = Workflow.make("saga", function*(ctx) {
      yield* ctx.step("work", work, { retry: Schedule.spaced("1 hour") }).pipe(
        Instruction.withCompensation((value) => ctx.step("refund", () => void undone.push(value)))
      )
    })
    at(epoch, workflow.start(undefined, { runId }))
    expect(at(epoch + minute, workflow.cancel(runId)).status).toBe("cancelled")
    expect(attempts()).toEqual([1])
    expect(undone).toEqual([])
    expect(entry("undo")).toEqual([])
    expect(replayed(workflow)).toMatchObject({ _tag: "Threw" })
  })
})

describe("a process that dies at any write", () => {
  const scenario = (delivery: "at-least-once" | "at-most-once"): Scenario => ({
    sequential: true,
    make: (did) =>
      Workflow.make("retried", function*(ctx) {
        const seen: Array<number> = []
        yield* ctx.step("before", (info) => did(info))
        seen.push(
          yield* ctx.step("work", (info) => {
            if (info.attempt < 5) throw new Error(`attempt ${info.attempt}`)
            did(info)
            return info.attempt
          }, { delivery, retry: { times: 6, schedule: Schedule.exponential("6 seconds") } })
        )
        yield* ctx.step("after", (info) => did(info))
        return seen
      }),
    script: (n, _, workflow) => n === 0 ? workflow.execute(undefined, { runId }) : undefined
  })
  const appendsOf = (of: Scenario) => {
    let appends = 0
    attempt(of, [({ verb }) => {
      if (verb === "append") appends++
      return "done"
    }])
    return appends
  }
  const dying = (appends: number, how: "dies before" | "dies after"): Plan => {
    let n = 0
    return ({ verb }) => verb === "append" && n++ === appends ? how : "done"
  }

  it("does not change what a repeated step comes to", () => {
    const of = scenario("at-least-once")
    const appends = appendsOf(of)
    expect(appends).toBeGreaterThan(6)
    for (let n = 0; n < appends; n++) {
      for (const how of ["dies before", "dies after"] as const) {
        const left = attempt(of, [dying(n, how)])
        expect(left).toMatchObject({ lost: [], reran: [], early: [], replayed: "Returned" })
        expect(left.answer).toEqual([5])
        expect(left.ran).toMatchObject({ before: expect.any(Number), work: expect.any(Number) })
        const attempts = left.journal.flatMap((entry) =>
          entry.type === "retry" ? [entry.attempt] : []
        )
        expect(attempts).toEqual([...new Set(attempts)].toSorted((a, b) => a - b))
      }
    }
  })

  it("never lets an at-most-once attempt run twice: it goes on, or says that it does not know", () => {
    const of = scenario("at-most-once")
    const appends = appendsOf(of)
    expect(appends).toBeGreaterThan(8)
    const ends = new Set<string>()
    for (let n = 0; n < appends; n++) {
      for (const how of ["dies before", "dies after"] as const) {
        let left: ReturnType<typeof attempt> | undefined
        try {
          left = attempt(of, [dying(n, how)])
        } catch (error) {
          ends.add(String(error).includes("OutcomeUnknown") ? "unknown" : String(error))
        }
        if (left === undefined) continue
        ends.add("known")
        expect(left.answer).toEqual([5])
        const intents = left.journal.flatMap((entry) =>
          entry.type === "intent" ? [entry.attempt] : []
        )
        expect(intents).toEqual([1, 2, 3, 4, 5])
      }
    }
    expect(ends).toEqual(new Set(["known", "unknown"]))
  })
})
