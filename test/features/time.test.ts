/**
 * Durable time: sleeps, instants, timeouts of waits and of any instruction. Nothing is ever early, whatever
 * a clock does between sessions or within one, and every journal replays to what it was live.
 *
 * Every process here has a clock of its own that moves only when nothing else can happen.
 */
import { Clock, Deferred, Duration, Effect, Fiber, Option, Schema } from "effect"
import { Instruction, Runs, Storage, Workflow } from "reprise"
import { afterEach, describe, expect, it, vi } from "vitest"
import type { Plan } from "../support/faults.ts"
import { Hand } from "../support/hand.ts"
import { lab } from "../support/lab.ts"
import { epoch } from "../support/simulation.ts"
import { attempt, runId, type Scenario, type Script } from "../support/trial.ts"

const second = 1_000
const minute = 60 * second
const hour = 60 * minute
const day = 24 * hour

const go = { eventName: "go", value: "here" } as const
const events = { go: Schema.String, stop: Schema.String }

describe("a sleep", () => {
  it("that is short stays in the process", () => {
    const { at, entry, replayed, timed, types } = lab()
    const workflow = Workflow.make("nap", function*(ctx) {
      yield* ctx.sleep("5 seconds")
      return yield* ctx.now
    })
    const { now, value } = timed(epoch, workflow.start(undefined, { runId }))
    expect(value).toMatchObject({ status: "success", result: epoch + 5 * second })
    expect(now).toBe(epoch + 5 * second)
    expect(types()).toEqual(["start", "timer", "complete"])
    expect(entry("timer")[0]).toMatchObject({ stepId: "sleep" })
    expect(entry("timer")[0]).not.toHaveProperty("event")
    expect(replayed(workflow)).toMatchObject({ _tag: "Returned", value: epoch + 5 * second })
    expect(at(epoch, workflow.resume(runId))).toMatchObject({ status: "success" })
  })

  it("that is long suspends the run until it is over, to the millisecond", () => {
    const { at, due, journal, replayed, types } = lab()
    const workflow = Workflow.make("nap", function*(ctx) {
      yield* ctx.sleep("1 hour", { name: "cool down" })
      return "rested"
    })
    const wakeAt = epoch + hour
    const suspended = at(epoch, workflow.start(undefined, { runId }))
    expect(suspended).toEqual({
      status: "suspended",
      event: undefined,
      wakeAt,
      waits: [{ stepId: "cool down", kind: "timer", since: epoch, wakeAt }],
      runId
    })
    const before = journal().entries.length
    expect(due(wakeAt - 1)).toEqual([])
    expect(due(wakeAt)).toEqual([runId])
    expect(at(wakeAt - 1, workflow.start(undefined, { runId }))).toEqual(suspended)
    expect(at(wakeAt - 1, workflow.resume(runId))).toEqual(suspended)
    expect(journal().entries.length).toBe(before)
    expect(at(wakeAt, workflow.resume(runId))).toMatchObject({ result: "rested" })
    expect(types()).toEqual(["start", "suspend", "start", "timer", "complete"])
    expect(replayed(workflow)).toMatchObject({ _tag: "Returned", value: "rested" })
    expect(due(wakeAt + day)).toEqual([])
  })

  it("is short up to Workflow.ShortWait, whatever that is", () => {
    const sleeps = (duration: Duration.Input, short?: number) => {
      const { at } = lab()
      const workflow = Workflow.make("nap", function*(ctx) {
        yield* ctx.sleep(duration)
      })
      const started = workflow.start(undefined, { runId })
      return at(
        epoch,
        short === undefined
          ? started
          : Effect.provideService(started, Workflow.ShortWait, short)
      ).status
    }
    expect(sleeps("10 seconds")).toBe("success")
    expect(sleeps("10001 millis")).toBe("suspended")
    expect(sleeps(1, 0)).toBe("suspended")
    expect(sleeps(0, 0)).toBe("success")
    expect(sleeps("2 hours", Infinity)).toBe("success")
  })

  it("of nothing, of less than nothing and until the past goes on in the same session", () => {
    const { at, journal, replayed, types } = lab()
    const workflow = Workflow.make("nap", function*(ctx) {
      yield* ctx.sleep(0)
      yield* ctx.sleep(-5)
      yield* ctx.sleepUntil(0)
      yield* ctx.sleepUntil(new Date("1969-01-01T00:00:00Z"))
      yield* ctx.sleepUntil({ epochMilliseconds: epoch - 1 })
      return yield* ctx.now
    })
    expect(at(epoch, workflow.start(undefined, { runId }))).toMatchObject({ result: epoch })
    expect(types().filter((type) => type === "timer")).toHaveLength(5)
    expect(new Set(journal().entries.map(({ session }) => session))).toEqual(new Set([1]))
    expect(replayed(workflow)).toMatchObject({ _tag: "Returned" })
  })

  it("ends for execute in one process, without anybody driving the run", () => {
    const { timed, types } = lab()
    const workflow = Workflow.make("nap", function*(ctx) {
      for (let n = 0; n < 3; n++) yield* ctx.sleep("365 days")
      return "old"
    })
    const { now, value } = timed(epoch, workflow.execute(undefined, { runId }))
    expect(value).toBe("old")
    expect(now).toBe(epoch + 3 * 365 * day)
    expect(types().filter((type) => type === "timer")).toHaveLength(3)
  })

  it.each([
    ["endless", () => Duration.infinity, /Infinity ms/],
    ["longer than time itself", () => Duration.days(1e9), /finite duration/]
  ])("that is %s is refused where it stands", (_, duration, message) => {
    const { at, types } = lab()
    const workflow = Workflow.make("nap", function*(ctx) {
      yield* ctx.step("first", () => 1)
      yield* ctx.sleep(duration())
    })
    const error = at(epoch, Effect.flip(workflow.start(undefined, { runId })))
    expect(error).toMatchObject({ _tag: "BodyDefect" })
    expect(error.message).toMatch(message)
    expect(error.message).toContain("time.test.ts")
    expect(types()).toEqual(["start", "step"])
  })

  it.each([Number.NaN, Infinity, -Infinity, new Date("no date")])(
    "until %s is refused where it stands",
    (instant) => {
      const { at } = lab()
      const workflow = Workflow.make("nap", function*(ctx) {
        yield* ctx.sleepUntil(instant)
      })
      const error = at(epoch, Effect.flip(workflow.start(undefined, { runId })))
      expect(error.message).toMatch(/needs an instant/)
    }
  )
})

describe("a sleep is never early", () => {
  const nap = Workflow.make("nap", { events }, function*(ctx) {
    yield* ctx.suspend("go")
    yield* ctx.sleep("1 hour")
    return yield* ctx.now
  })

  it("when the clock is set back after it began", () => {
    const { at, replayed } = lab()
    const begun = epoch + 30 * day
    at(begun, nap.start(undefined, { runId }))
    at(begun, nap.resume(runId, go))
    for (const now of [epoch, begun - day, begun, begun + hour - 1]) {
      expect(at(now, nap.resume(runId))).toMatchObject({
        status: "suspended",
        wakeAt: begun + hour
      })
    }
    expect(at(begun + hour, nap.resume(runId))).toMatchObject({ result: begun + hour })
    expect(replayed(nap)).toMatchObject({ _tag: "Returned", value: begun + hour })
  })

  it("when the clock was set back before it began: time in a journal never goes back", () => {
    const { at, replayed } = lab()
    const first = epoch + 30 * day
    at(first, nap.start(undefined, { runId }))
    expect(at(epoch, nap.resume(runId, go))).toMatchObject({ wakeAt: first + hour })
    expect(at(epoch + 2 * hour, nap.resume(runId))).toMatchObject({ status: "suspended" })
    expect(at(first + hour, nap.resume(runId))).toMatchObject({ result: first + hour })
    expect(replayed(nap)).toMatchObject({ value: first + hour })
  })

  /** A clock that an effect can set, while waiting goes on as it did. */
  const settable = () => {
    const state = { offset: 0 }
    const layer = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      Effect.flatMap(Clock.clockWith(Effect.succeed), (clock) => {
        const millis = () => clock.currentTimeMillisUnsafe() + state.offset
        const set: Clock.Clock = Object.assign(Object.create(clock), {
          currentTimeMillisUnsafe: millis,
          currentTimeMillis: Effect.sync(millis)
        })
        return Effect.provideService(effect, Clock.Clock, set)
      })
    return { state, layer }
  }

  it("when the clock is set back while the process waits for it", () => {
    const { at, entry, journal } = lab()
    const { layer, state } = settable()
    const workflow = Workflow.make("nap", function*(ctx) {
      yield* ctx.all([
        ctx.sleep("8 seconds"),
        ctx.step("set", () =>
          Effect.andThen(
            Effect.sleep("7 seconds"),
            Effect.sync(() => {
              state.offset = -5 * second
            })
          ))
      ])
      return "done"
    })
    expect(at(epoch, layer(workflow.start(undefined, { runId })))).toMatchObject({
      result: "done"
    })
    expect(Date.parse(entry("timer")[0]!.timestamp)).toBeGreaterThanOrEqual(epoch + 8 * second)
    expect(new Set(journal().entries.map(({ session }) => session))).toEqual(new Set([1]))
  })

  it("when the clock is set back so far that the rest is a long wait: it suspends then", () => {
    const { at, entry } = lab()
    const { layer, state } = settable()
    const workflow = Workflow.make("nap", function*(ctx) {
      yield* ctx.all([
        ctx.sleep("8 seconds"),
        ctx.step("set", () =>
          Effect.andThen(
            Effect.sleep("7 seconds"),
            Effect.sync(() => {
              state.offset = -hour
            })
          ))
      ])
      return "done"
    })
    const wakeAt = epoch + 8 * second
    expect(at(epoch + 0, layer(workflow.start(undefined, { runId })))).toMatchObject({
      status: "suspended",
      wakeAt
    })
    expect(at(wakeAt, workflow.resume(runId))).toMatchObject({ result: "done" })
    expect(Date.parse(entry("timer")[0]!.timestamp)).toBe(wakeAt)
  })

  describe("on the platform's timers", () => {
    afterEach(() => {
      vi.useRealTimers()
    })

    it("when it is longer than the 2^31 milliseconds that they can hold", async () => {
      vi.useFakeTimers({ toFake: ["Date", "setTimeout", "clearTimeout"], now: epoch })
      const woken: Array<number> = []
      const workflow = Workflow.make("nap", function*(ctx) {
        yield* ctx.sleep("60 days")
        yield* ctx.step("note", () => void woken.push(Date.now()))
      })
      const ended = Effect.runPromise(
        workflow.execute(undefined, { runId }).pipe(Effect.provide(Storage.layerMemory))
      )
      await vi.advanceTimersByTimeAsync(60 * day - 1)
      expect(woken).toEqual([])
      await vi.advanceTimersByTimeAsync(1)
      await ended
      expect(woken).toEqual([epoch + 60 * day])
    })
  })

  it.each([
    ["the last second of year 9999", Date.UTC(9999, 11, 31, 23, 59, 59)],
    ["the year 12026", Date.UTC(12_026, 5, 1)],
    ["an hour before the end of all dates", 8.64e15 - hour]
  ])("until %s, and everything behind it is in order", (_, instant) => {
    const { at, due, entry, replayed } = lab()
    const workflow = Workflow.make("far", { events }, function*(ctx) {
      yield* ctx.sleepUntil(instant)
      const woken = yield* ctx.now
      yield* ctx.sleep("20 minutes")
      const later = yield* ctx.now
      const waited = yield* ctx.suspend("go", { timeout: "15 minutes" })
      return { woken, later, waited: Option.isNone(waited), last: yield* ctx.now }
    })
    expect(at(epoch, workflow.start(undefined, { runId }))).toMatchObject({ wakeAt: instant })
    expect(due(instant - 1)).toEqual([])
    expect(due(instant)).toEqual([runId])
    expect(at(instant - 1, workflow.resume(runId))).toMatchObject({ status: "suspended" })
    expect(at(instant, workflow.resume(runId))).toMatchObject({ wakeAt: instant + 20 * minute })
    expect(at(instant + 20 * minute, workflow.resume(runId)))
      .toMatchObject({ event: "go", wakeAt: instant + 35 * minute })
    const result = {
      woken: instant,
      later: instant + 20 * minute,
      waited: true,
      last: instant + 35 * minute
    }
    expect(at(instant + 35 * minute, workflow.resume(runId))).toMatchObject({ result })
    expect(entry("timer").map(({ timestamp }) => Date.parse(timestamp)))
      .toEqual([instant, instant + 20 * minute, instant + 35 * minute])
    expect(replayed(workflow)).toMatchObject({ _tag: "Returned", value: result })
  })

  it("when the rest of a day lies beyond the end of all dates: the run just waits", () => {
    const { at } = lab()
    const instant = 8.64e15 - hour
    const workflow = Workflow.make("far", function*(ctx) {
      yield* ctx.sleepUntil(instant)
      yield* ctx.sleep("1 day")
    })
    at(epoch, workflow.start(undefined, { runId }))
    expect(at(instant, workflow.resume(runId))).toMatchObject({ wakeAt: instant + day })
    expect(at(instant + hour, workflow.status(runId))).toMatchObject({ status: "suspended" })
  })
})

describe("daylight saving in Europe/Berlin", () => {
  const zone = process.env.TZ
  afterEach(() => {
    if (zone === undefined) delete process.env.TZ
    else process.env.TZ = zone
  })

  it.each([
    { change: "spring", begun: Date.UTC(2026, 2, 28, 12), local: [2026, 2, 29, 12], rest: 22 },
    { change: "autumn", begun: Date.UTC(2026, 9, 24, 12), local: [2026, 9, 25, 12], rest: 24 }
  ])("does not change a sleep over the $change change", ({ begun, local, rest }) => {
    process.env.TZ = "Europe/Berlin"
    const noon = new Date(local[0]!, local[1]!, local[2]!, local[3]!)
    // The platform must know the zone, or this says nothing.
    expect(noon.getTime() - begun).toBe((rest + (rest === 22 ? 0 : -1)) * hour)
    expect(new Date(begun).getTimezoneOffset()).not.toBe(noon.getTimezoneOffset())
    const { at, entry, replayed } = lab()
    const workflow = Workflow.make("nap", function*(ctx) {
      yield* ctx.sleep("24 hours")
      const slept = yield* ctx.now
      yield* ctx.sleepUntil(new Date(slept + day))
      return { slept, until: yield* ctx.now }
    })
    expect(at(begun, workflow.start(undefined, { runId }))).toMatchObject({ wakeAt: begun + day })
    expect(at(begun + day - 1, workflow.resume(runId))).toMatchObject({ wakeAt: begun + day })
    expect(at(begun + day, workflow.resume(runId))).toMatchObject({ wakeAt: begun + 2 * day })
    // What was journaled in this zone is the same for a process in another one.
    process.env.TZ = "America/New_York"
    const result = { slept: begun + day, until: begun + 2 * day }
    expect(at(begun + 2 * day - 1, workflow.resume(runId))).toMatchObject({ status: "suspended" })
    expect(at(begun + 2 * day, workflow.resume(runId))).toMatchObject({ result })
    expect(entry("timer").map(({ timestamp }) => timestamp.endsWith("Z"))).toEqual([true, true])
    expect(replayed(workflow)).toMatchObject({ value: result })
  })

  it("takes a local time that happens twice, or never, as the instant that a Date is", () => {
    process.env.TZ = "Europe/Berlin"
    const never = new Date(2026, 2, 29, 2, 30)
    const twice = new Date(2026, 9, 25, 2, 30)
    expect([never.getUTCHours(), twice.getUTCHours()]).toEqual([1, 0])
    for (const instant of [never, twice]) {
      const { at } = lab()
      const workflow = Workflow.make("nap", function*(ctx) {
        yield* ctx.sleepUntil(instant)
      })
      const wakeAt = instant.getTime()
      expect(at(epoch, workflow.start(undefined, { runId }))).toMatchObject({ wakeAt })
      expect(at(wakeAt - 1, workflow.resume(runId)).status).toBe("suspended")
      expect(at(wakeAt, workflow.resume(runId)).status).toBe("success")
    }
  })
})

describe("timers that are due at once", () => {
  const order = Workflow.make("order", function*(ctx) {
    const woken: Array<string> = []
    const nap = (name: string, hours: number) =>
      function*() {
        yield* ctx.sleep(Duration.hours(hours), { name })
        woken.push(name)
      }
    yield* ctx.all([nap("third", 3), nap("first", 1), nap("second", 2), nap("as third", 3)])
    return woken
  })

  it("go off in the order they were due, and those of one instant as they began", () => {
    const { at, entry, replayed } = lab()
    at(epoch, order.start(undefined, { runId }))
    const expected = ["first", "second", "third", "as third"]
    expect(at(epoch + day, order.resume(runId))).toMatchObject({ result: expected })
    expect(entry("timer").map(({ stepId }) => stepId.split("/")[1])).toEqual(expected)
    expect(replayed(order)).toMatchObject({ value: expected })
  })

  it("let the race be won by the one that was due first, and the other is no more heard of", () => {
    const { at, due, replayed, types } = lab()
    const workflow = Workflow.make("race", { events }, function*(ctx) {
      const { winner } = yield* ctx.race({ slow: ctx.sleep("2 hours"), quick: ctx.sleep("1 hour") })
      yield* ctx.suspend("go")
      return winner
    })
    at(epoch, workflow.start(undefined, { runId }))
    const suspended = at(epoch + day, workflow.resume(runId))
    expect(suspended).toMatchObject({ event: "go" })
    expect(suspended).not.toHaveProperty("wakeAt")
    expect(due(epoch + 2 * day)).toEqual([])
    expect(at(epoch + 2 * day, workflow.resume(runId, go))).toMatchObject({ result: "quick" })
    expect(types().filter((type) => type === "timer")).toHaveLength(1)
    expect(replayed(workflow)).toMatchObject({ value: "quick" })
  })

  it("do not let what begins behind them count from before", () => {
    const { at } = lab()
    const workflow = Workflow.make("chain", function*(ctx) {
      yield* ctx.sleep("1 hour")
      yield* ctx.sleep("1 hour")
    })
    at(epoch, workflow.start(undefined, { runId }))
    expect(at(epoch + day, workflow.resume(runId))).toMatchObject({ wakeAt: epoch + day + hour })
  })
})

describe("a run that sleeps", () => {
  it("can be cancelled, and its clean-up may sleep as well", () => {
    const { at, entry, replayed, types } = lab()
    const seen: Array<string> = []
    const workflow = Workflow.make("nap", function*(ctx) {
      try {
        yield* ctx.sleep("1 day")
      } catch (error) {
        seen.push((error as Error).name)
        throw error
      } finally {
        yield* ctx.sleep("2 seconds", { name: "short" })
        yield* ctx.sleep("2 hours", { name: "long" })
        yield* ctx.step("tidy", () => {})
      }
    })
    at(epoch, workflow.start(undefined, { runId }))
    const cancelled = epoch + hour
    expect(at(cancelled, workflow.cancel(runId, { reason: "enough" }))).toMatchObject({
      status: "suspended",
      waits: [{ stepId: "long", wakeAt: cancelled + 2 * second + 2 * hour }]
    })
    expect(at(epoch + day, workflow.resume(runId)))
      .toEqual({ status: "cancelled", reason: "enough", runId })
    expect(entry("timer").map(({ stepId }) => stepId)).toEqual(["short", "long"])
    expect(types().at(-1)).toBe("cancelled")
    expect(new Set(seen)).toEqual(new Set(["Cancelled"]))
    expect(replayed(workflow)).toMatchObject({ _tag: "Threw" })
  })

  it("hears of a cancel while a process waits for a short sleep", () => {
    const { at, entry } = lab()
    const workflow = Workflow.make("nap", function*(ctx) {
      yield* ctx.sleep("9 seconds")
    })
    const { now, status } = at(
      epoch,
      Effect.gen(function*() {
        const fiber = yield* Effect.forkChild(workflow.start(undefined, { runId }))
        yield* Effect.sleep("2 seconds")
        yield* Runs.cancel(runId)
        const { status } = yield* Fiber.join(fiber)
        return { status, now: yield* Clock.currentTimeMillis }
      })
    )
    expect(status).toBe("cancelled")
    expect(now).toBe(epoch + 2 * second)
    expect(entry("timer")).toEqual([])
  })

  it("may lose a race while it sleeps: nothing waits for its timer any more", () => {
    const { at, due, entry, replayed } = lab()
    const workflow = Workflow.make("race", function*(ctx) {
      const first = yield* ctx.race({
        nap: function*() {
          try {
            yield* ctx.sleep("8 seconds")
            return "slept"
          } finally {
            yield* ctx.step("wake", () => {})
          }
        },
        day: ctx.sleep("1 day"),
        work: ctx.step("work", () => Effect.as(Effect.sleep("1 second"), "worked"))
      })
      yield* ctx.step("after", () => {})
      return first
    })
    expect(at(epoch, workflow.start(undefined, { runId })))
      .toMatchObject({ status: "success", result: { winner: "work", value: "worked" } })
    expect(entry("timer")).toEqual([])
    expect(due(epoch + 2 * day)).toEqual([])
    expect(replayed(workflow)).toMatchObject({ _tag: "Returned" })
  })

  it("keeps its short timers beside a step that runs longer than they do", () => {
    const { at, replayed, types } = lab()
    const workflow = Workflow.make("beside", function*(ctx) {
      const seen: Array<string> = []
      yield* ctx.all([
        ctx.step("work", () => Effect.sleep("2 hours")).pipe(
          Instruction.map(() => void seen.push("work"))
        ),
        ctx.sleep("5 seconds").pipe(Instruction.map(() => void seen.push("5 seconds"))),
        ctx.sleep("1 hour").pipe(Instruction.map(() => void seen.push("1 hour"))),
        ctx.sleep("3 hours").pipe(Instruction.map(() => void seen.push("3 hours")))
      ])
      return seen
    })
    // What a process that runs anyway can wait for, it waits for, however long that is.
    expect(at(epoch, workflow.start(undefined, { runId })))
      .toMatchObject({ status: "suspended", wakeAt: epoch + 3 * hour })
    const result = ["5 seconds", "1 hour", "work", "3 hours"]
    expect(at(epoch + 3 * hour, workflow.resume(runId))).toMatchObject({ result })
    expect(types()).toEqual(
      ["start", "timer", "timer", "step", "suspend", "start", "timer", "complete"]
    )
    expect(replayed(workflow)).toMatchObject({ value: result })
  })
})

describe("a suspend with a timeout", () => {
  const wait = (timeout: Duration.Input) =>
    Workflow.make("wait", { events }, function*(ctx) {
      const first = yield* ctx.suspend("go", { timeout })
      const second = yield* ctx.suspend("stop")
      return [Option.getOrElse(first, () => "nobody"), second]
    })
  const approval = wait("1 hour")
  const stop = { eventName: "stop", value: "stopped" } as const

  it("says what it waits for and until when", () => {
    const { at, due } = lab()
    expect(at(epoch, approval.start(undefined, { runId }))).toEqual({
      status: "suspended",
      event: "go",
      wakeAt: epoch + hour,
      waits: [{ stepId: "go", kind: "event", event: "go", since: epoch, wakeAt: epoch + hour }],
      runId
    })
    expect(due(epoch + hour - 1)).toEqual([])
    expect(due(epoch + hour)).toEqual([runId])
  })

  it("gives the event that came before it", () => {
    const { at, replayed, types } = lab()
    at(epoch, approval.enqueue(undefined, { runId }))
    at(epoch, approval.send(runId, go))
    expect(at(epoch, approval.resume(runId))).toMatchObject({ event: "stop" })
    expect(at(epoch + day, approval.resume(runId, stop)))
      .toMatchObject({ result: ["here", "stopped"] })
    expect(types()).not.toContain("timer")
    expect(replayed(approval)).toMatchObject({ value: ["here", "stopped"] })
  })

  it("gives the event that comes in time, and forgets the timer", () => {
    const { at, due, replayed, types } = lab()
    at(epoch, approval.start(undefined, { runId }))
    expect(at(epoch + hour - 1, approval.resume(runId, go))).toMatchObject({ event: "stop" })
    expect(due(epoch + day)).toEqual([])
    expect(at(epoch + day, approval.resume(runId, stop)))
      .toMatchObject({ result: ["here", "stopped"] })
    expect(types()).not.toContain("timer")
    expect(replayed(approval)).toMatchObject({ value: ["here", "stopped"] })
  })

  it("gives nothing once the time is over; an event that nobody waits for is kept", () => {
    const { at, entry, replayed, types } = lab()
    at(epoch, approval.start(undefined, { runId }))
    expect(at(epoch + hour, approval.resume(runId))).toMatchObject({ event: "stop" })
    at(epoch + hour + 1, approval.resume(runId, go))
    expect(at(epoch + day, approval.resume(runId, stop)))
      .toMatchObject({ result: ["nobody", "stopped"] })
    expect(entry("timer")).toMatchObject([{ stepId: "go", event: "go" }])
    expect(types().filter((type) => type === "event")).toHaveLength(1)
    expect(replayed(approval)).toMatchObject({ value: ["nobody", "stopped"] })
  })

  it("is decided by what is journaled first: the event, where both are there in the same instant", () => {
    const { at, replayed, types } = lab()
    at(epoch, approval.start(undefined, { runId }))
    expect(at(epoch + hour, approval.resume(runId, go))).toMatchObject({ event: "stop" })
    expect(at(epoch + day, approval.resume(runId, stop)))
      .toMatchObject({ result: ["here", "stopped"] })
    expect(types()).not.toContain("timer")
    expect(replayed(approval)).toMatchObject({ value: ["here", "stopped"] })
  })

  it("is decided by what is journaled first: the timer, where the event is a moment later", () => {
    const { at, entry, replayed } = lab()
    at(epoch, approval.start(undefined, { runId }))
    at(epoch + hour, approval.resume(runId))
    at(epoch + hour, approval.resume(runId, go))
    const [timer] = entry("timer")
    const [kept] = entry("event")
    expect([timer?.timestamp, kept?.timestamp])
      .toEqual(Array.from({ length: 2 }, () => new Date(epoch + hour).toISOString()))
    expect(at(epoch + day, approval.resume(runId, stop)))
      .toMatchObject({ result: ["nobody", "stopped"] })
    expect(replayed(approval)).toMatchObject({ value: ["nobody", "stopped"] })
  })

  it("is decided by the journal's order on the machine, too, at one and the same timestamp", () => {
    const body = function*(): Generator<any, any, any> {
      const first = yield* Instruction.suspend("go", { timeout: 1 })
      const second = yield* Instruction.suspend("go")
      return [Option.isSome(first), second]
    }
    const timer = { type: "timer", stepId: "go", event: "go" } as const
    const timerFirst = new Hand(body).feed(timer).event("go", "late")
    expect(timerFirst.result).toEqual([false, "late"])
    expect(timerFirst.replayed).toEqual(timerFirst.state)
    const eventFirst = new Hand(body).event("go", "in time")
    expect(eventFirst.pending).toEqual(["go#2"])
    // A timer that lost has no place in the journal.
    eventFirst.feed(timer)
    expect(eventFirst.machine.diverged).toMatchObject({ expected: timer })
  })

  it("gets the event that arrives in the same millisecond in which its process is woken", () => {
    const { at, entry, replayed } = lab()
    const workflow = wait("5 seconds")
    const result = at(
      epoch,
      Effect.gen(function*() {
        const posting = Effect.andThen(Effect.sleep("5 seconds"), workflow.send(runId, go))
        const fiber = yield* Effect.forkChild(posting)
        yield* workflow.start(undefined, { runId })
        yield* Fiber.join(fiber)
        return yield* workflow.resume(runId, stop)
      })
    )
    // Who came first decides, and only once: either the timer, and the event is kept, or the event.
    const timers = entry("timer").length
    expect(entry("event").filter(({ eventName }) => eventName === "go")).toHaveLength(timers)
    expect(result).toMatchObject({ result: [timers === 1 ? "nobody" : "here", "stopped"] })
    expect(replayed(workflow)).toMatchObject({
      value: [timers === 1 ? "nobody" : "here", "stopped"]
    })
  })

  it("leaves a late event to the next wait of its name and key, and to no other", () => {
    const { at, replayed } = lab()
    const workflow = Workflow.make("keys", { events }, function*(ctx) {
      const a = yield* ctx.suspend("go", { key: "a", timeout: "1 hour" })
      const b = yield* ctx.suspend("go", { key: "b", timeout: "1 hour" })
      const none = yield* ctx.suspend("go", { timeout: "1 hour" })
      const again = yield* ctx.suspend("go", { key: "a" })
      return [a, b, none].map(Option.isSome).concat(again === "for a")
    })
    at(epoch, workflow.start(undefined, { runId }))
    at(epoch + hour, workflow.resume(runId))
    const late = { eventName: "go", key: "a", value: "for a" } as const
    expect(at(epoch + hour, workflow.resume(runId, late)))
      .toMatchObject({ waits: [{ stepId: "go#2", key: "b" }] })
    expect(at(epoch + 2 * hour, workflow.resume(runId)))
      .toMatchObject({ waits: [{ stepId: "go#3" }] })
    const result = [false, false, false, true]
    expect(at(epoch + 3 * hour, workflow.resume(runId))).toMatchObject({ result })
    expect(replayed(workflow)).toMatchObject({ value: result })
  })

  it("of nothing at all gives the event that is there already, and else nothing", () => {
    const { at } = lab()
    const workflow = Workflow.make("poll", { events }, function*(ctx) {
      const before = yield* ctx.suspend("go", { timeout: 0 })
      const after = yield* ctx.suspend("go", { timeout: 0 })
      return [Option.isSome(before), Option.isSome(after)]
    })
    at(epoch, workflow.enqueue(undefined, { runId }))
    at(epoch, workflow.send(runId, go))
    expect(at(epoch, workflow.resume(runId))).toMatchObject({ result: [true, false] })
  })

  it("tells an event without a value from none", () => {
    const { at, replayed } = lab()
    const workflow = Workflow.make("void", { events: { done: Schema.Void } }, function*(ctx) {
      return Option.isSome(yield* ctx.suspend("done", { timeout: "1 hour" }))
    })
    at(epoch, workflow.start(undefined, { runId }))
    expect(at(epoch, workflow.resume(runId, { eventName: "done" }))).toMatchObject({ result: true })
    expect(replayed(workflow)).toMatchObject({ value: true })
  })

  it("holds in each branch by itself", () => {
    const { at, replayed } = lab()
    const keys = ["a", "b", "c"]
    const workflow = Workflow.make("branches", { events }, function*(ctx) {
      return yield* ctx.forEach(keys, (key, n) =>
        function*() {
          const got = yield* ctx.suspend("go", { key, timeout: Duration.hours(n + 1) })
          return Option.getOrElse(got, () => `no ${key}`)
        }, { key: (key) => key })
    })
    const started = at(epoch, workflow.start(undefined, { runId }))
    expect(started).toMatchObject({ wakeAt: epoch + hour })
    const event = { eventName: "go", key: "b", value: "b came" } as const
    expect(at(epoch + hour, workflow.resume(runId, event)))
      .toMatchObject({ waits: [{ stepId: "each[c]/go", key: "c", wakeAt: epoch + 3 * hour }] })
    const result = ["no a", "b came", "no c"]
    expect(at(epoch + day, workflow.resume(runId))).toMatchObject({ result })
    expect(replayed(workflow)).toMatchObject({ value: result })
  })

  it("is cut short by a cancel that comes in the same instant, if that is journaled first", () => {
    const { at, types } = lab()
    at(epoch, approval.start(undefined, { runId }))
    at(epoch + hour, Runs.cancel(runId))
    expect(at(epoch + hour, approval.resume(runId)).status).toBe("cancelled")
    expect(types()).not.toContain("timer")
  })
})

describe("Instruction.timeout", () => {
  it("cuts off what takes too long, and interrupts it", () => {
    const { at, entry, replayed, types } = lab()
    let interrupted = 0
    const workflow = Workflow.make("limit", function*(ctx) {
      const slow = ctx.step("slow", () =>
        Effect.onInterrupt(Effect.never, () =>
          Effect.sync(() => {
            interrupted++
          })))
      const caught = yield* slow.pipe(Instruction.timeout("5 seconds"), Instruction.result)
      const option = yield* slow.pipe(Instruction.timeoutOption("5 seconds"))
      if (caught._tag === "Success" || caught.failure._tag !== "StepTimeout") return caught._tag
      const { _tag, attempts, step, timeout } = caught.failure
      return { caught: { _tag, step, timeout, attempts }, option: option._tag }
    })
    const result = {
      caught: { _tag: "StepTimeout", step: "timeout", timeout: 5 * second, attempts: 1 },
      option: "None"
    }
    expect(at(epoch, workflow.start(undefined, { runId }))).toMatchObject({ result })
    expect(interrupted).toBe(2)
    expect(types()).toEqual(["start", "timer", "timer", "complete"])
    expect(entry("timer").map(({ stepId }) => stepId))
      .toEqual(["timeout[timeout]/sleep", "timeout#2[timeout]/sleep"])
    expect(replayed(workflow)).toMatchObject({ _tag: "Returned", value: result })
  })

  it("hands on what comes in time: value, undefined, and failure", () => {
    const { at, replayed, types } = lab()
    const workflow = Workflow.make("limit", function*(ctx) {
      const value = yield* ctx.step("value", () => 7).pipe(Instruction.timeout("1 day"))
      const nothing = yield* ctx.step("nothing", () => undefined).pipe(
        Instruction.timeoutOption("1 day")
      )
      const failure = yield* ctx.step("failure", () => Effect.fail("no")).pipe(
        Instruction.timeout("1 day"),
        Instruction.result
      )
      return [value, nothing._tag, failure._tag === "Failure" ? failure.failure._tag : "none"]
    })
    const result = [7, "Some", "StepFailed"]
    expect(at(epoch, workflow.start(undefined, { runId }))).toMatchObject({ result })
    expect(types()).toEqual(["start", "step", "step", "step", "complete"])
    expect(replayed(workflow)).toMatchObject({ value: result })
  })

  it("ends the run with StepTimeout when nobody handles it, also under an error schema", () => {
    const { at } = lab()
    const workflow = Workflow.make("limit", { error: Schema.String }, function*(ctx) {
      yield* ctx.step("slow", () => Effect.never).pipe(Instruction.timeout("1 second"))
    })
    const failed = at(epoch, workflow.start(undefined, { runId }))
    expect(failed).toMatchObject({
      status: "failed",
      error: { _tag: "StepTimeout", timeout: 1000 }
    })
    expect(at(epoch, workflow.start(undefined, { runId }))).toEqual(failed)
  })

  it("is durable: a restart does not begin the time anew", () => {
    const { at, replayed } = lab()
    const workflow = Workflow.make("limit", { events }, function*(ctx) {
      return yield* ctx.all([
        ctx.suspend("go").pipe(
          Instruction.timeout("1 hour"),
          Instruction.catchTag("StepTimeout", function*() {
            return yield* ctx.now
          })
        ),
        ctx.suspend("stop")
      ])
    })
    at(epoch, workflow.start(undefined, { runId }))
    expect(at(epoch + 40 * minute, workflow.resume(runId, { eventName: "stop", value: "s" })))
      .toMatchObject({ status: "suspended", wakeAt: epoch + hour })
    expect(at(epoch + hour - 1, workflow.resume(runId)).status).toBe("suspended")
    const result = [epoch + hour, "s"]
    expect(at(epoch + hour, workflow.resume(runId))).toMatchObject({ result })
    expect(replayed(workflow)).toMatchObject({ value: result })
  })

  it("holds for combinators and helpers, and cancels all that is in them", () => {
    const { at, replayed } = lab()
    const tidied: Array<string> = []
    const workflow = Workflow.make("limit", { events }, function*(ctx) {
      const both = ctx.all({
        done: ctx.step("done", () => 1),
        wait: ctx.suspend("go"),
        work: function*() {
          try {
            return yield* ctx.step("work", () => Effect.never)
          } finally {
            yield* ctx.step("tidy", ({ stepId }) => void tidied.push(stepId))
          }
        }
      })
      const all = yield* both.pipe(Instruction.timeoutOption("5 seconds"))
      return all._tag
    })
    expect(at(epoch, workflow.start(undefined, { runId }))).toMatchObject({ result: "None" })
    expect(tidied).toEqual(["timeout[value]/all[work]/tidy"])
    expect(replayed(workflow)).toMatchObject({ value: "None" })
  })

  it("inside another one is told by the one that began first when both are due at once", () => {
    const { at, entry, replayed } = lab()
    const workflow = Workflow.make("nested", { events }, function*(ctx) {
      return yield* ctx.suspend("go").pipe(
        Instruction.timeoutOption("1 hour"),
        Instruction.map((inner) => `inner ${inner._tag}`),
        Instruction.timeoutOption("1 hour"),
        Instruction.map((outer) => Option.getOrElse(outer, () => "outer None"))
      )
    })
    at(epoch, workflow.start(undefined, { runId }))
    expect(at(epoch + day, workflow.resume(runId))).toMatchObject({ result: "inner None" })
    expect(entry("timer")).toHaveLength(1)
    expect(replayed(workflow)).toMatchObject({ value: "inner None" })
  })

  it("of a child run cancels the child", () => {
    const { at } = lab()
    const child = Workflow.make("child", { events }, function*(ctx) {
      return yield* ctx.suspend("go")
    })
    const parent = Workflow.make("parent", function*(ctx) {
      const got = yield* ctx.child(child, undefined, { runId: "c1" }).pipe(
        Instruction.timeoutOption("1 hour")
      )
      return got._tag
    })
    expect(at(epoch, parent.start(undefined, { runId }))).toMatchObject({ wakeAt: epoch + hour })
    expect(at(epoch + hour, parent.resume(runId))).toMatchObject({ result: "None" })
    expect(at(epoch + hour, Runs.status("c1"))).toMatchObject({ status: "cancelled" })
  })

  it("loses against an outcome that arrives in the same session before the timer is looked at", () => {
    const { at, entry, replayed } = lab()
    const workflow = Workflow.make("tie", function*(ctx) {
      const got = yield* ctx.step("work", () => Effect.as(Effect.sleep("5 seconds"), "worked"))
        .pipe(Instruction.timeoutOption("5 seconds"))
      return got._tag
    })
    const result = at(epoch, workflow.start(undefined, { runId }))
    // At one instant the journal decides, and it names exactly one of the two.
    expect(entry("timer").length + entry("step").length).toBe(1)
    const expected = entry("timer").length === 1 ? "None" : "Some"
    expect(result).toMatchObject({ result: expected })
    expect(replayed(workflow)).toMatchObject({ value: expected })
  })
})

describe("a process that dies at any write", () => {
  const calls = (
    ...list: ReadonlyArray<(workflow: Parameters<Script>[2]) => Effect.Effect<unknown, any, any>>
  ): Script =>
  (n, _, workflow) => list[n]?.(workflow)
  const execute = (workflow: Parameters<Script>[2]) => workflow.execute(undefined, { runId })

  const scenarios: Record<string, Scenario> = {
    "between short and long sleeps": {
      sequential: true,
      make: (did) =>
        Workflow.make("naps", function*(ctx) {
          const began = yield* ctx.now
          yield* ctx.step("one", (info) => did(info))
          yield* ctx.sleep("3 seconds")
          yield* ctx.step("two", (info) => did(info))
          yield* ctx.sleep("30 days")
          yield* ctx.step("three", (info) => did(info))
          yield* ctx.sleepUntil(epoch + 100 * day)
          return (yield* ctx.now) >= began + 30 * day + 3 * second
        }),
      script: calls(execute)
    },
    "with timeouts in branches": {
      sequential: false,
      make: (did) =>
        Workflow.make("timeouts", { events }, function*(ctx) {
          return yield* ctx.all({
            waits: ctx.forEach(
              ["a", "b"],
              (key, n) =>
                ctx.suspend("go", { key, timeout: Duration.hours(n + 1) }).pipe(
                  Instruction.map((got) => got._tag)
                )
            ),
            limit: ctx.suspend("stop").pipe(
              Instruction.timeoutOption("90 minutes"),
              Instruction.map((got) => got._tag)
            ),
            raced: ctx.race({
              slow: ctx.sleep("5 hours"),
              quick: function*() {
                yield* ctx.sleep("4 hours")
                yield* ctx.step("work", (info) => did(info))
              }
            }).pipe(Instruction.map(({ winner }) => winner))
          })
        }),
      script: calls(execute)
    },
    "around a wait whose event comes": {
      sequential: true,
      make: (did) =>
        Workflow.make("approval", { events }, function*(ctx) {
          yield* ctx.step("ask", (info) => did(info))
          const got = yield* ctx.suspend("go", { timeout: "1 day" })
          yield* ctx.step("tell", (info) => did(info))
          const late = yield* ctx.suspend("go", { timeout: "1 day" })
          return [got._tag, late._tag]
        }),
      script: calls(
        (workflow) => workflow.start(undefined, { runId }),
        (workflow) => workflow.resume(runId, { ...go, eventId: "e1" }),
        execute
      )
    },
    "while its clean-up sleeps": {
      sequential: true,
      make: (did) =>
        Workflow.make("cleaned", { events }, function*(ctx) {
          try {
            yield* ctx.sleep("1 day")
          } finally {
            yield* ctx.sleep("20 minutes")
            yield* ctx.step("tidy", (info) => did(info))
          }
        }),
      script: calls(
        (workflow) => workflow.start(undefined, { runId }),
        (workflow) => workflow.cancel(runId, { eventId: "c1" }),
        (workflow) => Effect.map(Effect.flip(workflow.execute(undefined, { runId })), () => "over")
      )
    }
  }

  const after = (appends: number, how: "dies before" | "dies after"): Plan => {
    let n = 0
    return ({ verb }) => verb === "append" && n++ === appends ? how : "done"
  }

  /** What counts in the end; a start per session comes on top. */
  const essence = (left: ReturnType<typeof attempt>) => ({
    answer: left.answer,
    ids: left.journal.flatMap((entry) =>
      entry.type === "step" || entry.type === "timer" || entry.type === "resume"
        ? [`${entry.type} ${entry.stepId}`]
        : []
    ).sort(),
    end: left.journal.at(-1)?.type,
    replayed: left.replayed,
    lost: left.lost,
    reran: left.reran,
    early: left.early
  })

  it.each(Object.keys(scenarios))("%s ends the same", (name) => {
    const scenario = scenarios[name]!
    const whole = attempt(scenario)
    const expected = essence(whole)
    expect(expected).toMatchObject({ lost: [], reran: [], early: [] })
    expect(["complete", "cancelled"]).toContain(expected.end)
    let appends = 0
    attempt(scenario, [({ verb }) => {
      if (verb === "append") appends++
      return "done"
    }])
    expect(appends).toBeGreaterThan(3)
    for (let n = 0; n < appends; n++) {
      for (const how of ["dies before", "dies after"] as const) {
        const left = attempt(scenario, [after(n, how)])
        expect(left.processes).toBe(2)
        expect(essence(left)).toEqual(expected)
      }
    }
  })
})

it("a wait in the process ends when its process is told to stop", () => {
  const { at, types } = lab()
  const workflow = Workflow.make("nap", function*(ctx) {
    yield* ctx.sleep("9 seconds")
    return "rested"
  })
  const begun = Effect.gen(function*() {
    const gone = yield* Deferred.make<void>()
    const driving = Effect.ensuring(
      workflow.start(undefined, { runId }),
      Deferred.succeed(gone, undefined)
    )
    const fiber = yield* Effect.forkChild(driving)
    yield* Effect.sleep("1 second")
    yield* Fiber.interrupt(fiber)
    yield* Deferred.await(gone)
    return yield* Clock.currentTimeMillis
  })
  expect(at(epoch, begun)).toBe(epoch + second)
  expect(types()).toEqual(["start"])
  // The rest of the wait is what was left of it, not the whole of it.
  const { now, result } = at(
    epoch + 4 * second,
    Effect.flatMap(
      workflow.resume(runId),
      (result) => Effect.map(Clock.currentTimeMillis, (now) => ({ result, now }))
    )
  )
  expect(result).toMatchObject({ result: "rested" })
  expect(now).toBe(epoch + 9 * second)
})
