/**
 * Schedules by the test clock: each tick has one run, whatever is missed, changed or broken in between.
 * A process is a layer of its own on a storage that all of them share.
 */
import { describe, expect, it } from "@effect/vitest"
import {
  Context,
  Cron,
  DateTime,
  Effect,
  Exit,
  Fiber,
  Layer,
  Logger,
  Option,
  Schema,
  Scope
} from "effect"
import { TestClock } from "effect/testing"
import { Dispatch, Journal, Runs, Schedules, Storage, Worker, Workflow } from "reprise"
import * as Ticks from "../../src/schedules/Ticks.ts"
import { on, type Service, stateOf, work } from "./support.ts"

const job = Workflow.define("job", { input: Schema.String, output: Schema.String })

const iso = (tick: Date) => tick.toISOString()

/** Lets everything happen that happens now. */
const settle = Effect.promise(async () => {
  for (let n = 0; n < 10; n++) await new Promise((done) => setImmediate(done))
})

/** Time goes by, second by second or in larger steps. */
const pass = (seconds: number, step = 1) =>
  Effect.gen(function*() {
    for (let n = 0; n < seconds; n += step) {
      yield* TestClock.adjust(Math.min(step, seconds - n) * 1_000)
      yield* settle
    }
  })

const at = (time: string) => Effect.andThen(TestClock.setTime(Date.parse(time)), settle)

/** A process with these schedules, until it is closed. */
const open = <const L extends ReadonlyArray<Schedules.AnyContract>>(
  storage: Service,
  list: Schedules.List<L>
) =>
  Effect.gen(function*() {
    const scope = yield* Effect.acquireRelease(
      Scope.make(),
      (scope) => Scope.close(scope, Exit.void)
    )
    const layer = Schedules.layer(list) as Layer.Layer<
      Schedules.Schedules,
      never,
      Storage.Storage
    >
    const context = yield* Layer.buildWithScope(layer, scope).pipe(on(storage))
    yield* settle
    const { health, next } = Context.get(context, Schedules.Schedules)
    return { health, next, close: Effect.andThen(Scope.close(scope, Exit.void), settle) }
  })

/** The ids of all runs that ticks began, and what each was given. */
const begun = (storage: Service, workflow = "job") =>
  Effect.gen(function*() {
    const found = new Map<string, unknown>()
    let after: string | undefined
    do {
      const page = yield* storage.list({ workflow, after })
      for (const { runId } of page.runs) {
        const { journal } = yield* storage.read(runId)
        found.set(runId, Journal.first(journal)?.metadata)
      }
      after = page.cursor
    } while (after !== undefined)
    return found
  })
const idsOf = (storage: Service, workflow?: string) =>
  Effect.map(begun(storage, workflow), (found) => Array.from(found.keys()))

/** `minutes("12:00", 3)`: the ids of so many ticks, one a minute. */
const minutes = (time: string, count: number, step = 60, name = "job") =>
  Array.from(
    { length: count },
    (_, n) =>
      `${name}@${iso(new Date(Date.parse(`2026-08-06T${time}Z`) + n * step * 1_000))}`
        .replace(".000Z", "Z")
  )

/** Lines that were logged. */
const heard = () => {
  const lines: Array<string> = []
  const layer = Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))])
  return { lines, logged: Effect.provide(layer) }
}

const shared = Effect.sync(() => {
  const driver = Storage.memoryDriver()
  return () => Storage.make(driver)
})

const minutely = { workflow: job, cron: "* * * * *", input: iso } as const

describe("a tick", () => {
  it.effect("starts a run that has the tick in its id and is given it, and none before the first", () =>
    Effect.gen(function*() {
      const storage = (yield* shared)()
      yield* at("2026-08-06T11:59:30Z")
      const { health, next } = yield* open(storage, [minutely])
      expect(yield* idsOf(storage)).toEqual([])
      expect(yield* next).toEqual(new Map([["job", new Date("2026-08-06T12:00:00Z")]]))
      yield* pass(29)
      expect(yield* idsOf(storage)).toEqual([])
      yield* pass(1)
      expect(yield* idsOf(storage)).toEqual(["job@2026-08-06T12:00:00Z"])
      yield* pass(120)
      expect(yield* begun(storage)).toEqual(
        new Map([
          ["job@2026-08-06T12:00:00Z", "2026-08-06T12:00:00.000Z"],
          ["job@2026-08-06T12:01:00Z", "2026-08-06T12:01:00.000Z"],
          ["job@2026-08-06T12:02:00Z", "2026-08-06T12:02:00.000Z"]
        ])
      )
      const { blocked, failing, failure, lookedAt } = yield* health
      expect({ blocked, failing, failure }).toEqual({
        blocked: new Map(),
        failing: new Map(),
        failure: undefined
      })
      expect(lookedAt).toBeDefined()
    }))

  it.effect("is not run for the time before there was the schedule", () =>
    Effect.gen(function*() {
      const storage = (yield* shared)()
      yield* at("2026-08-06T12:00:00Z")
      yield* open(storage, [{ ...minutely, catchUp: "all" }])
      yield* pass(59)
      expect(yield* idsOf(storage)).toEqual([])
      yield* pass(1)
      expect(yield* idsOf(storage)).toEqual(minutes("12:01", 1))
    }))

  it.effect("has its run driven by the worker that knows the workflow, beside that of the schedules", () =>
    Effect.gen(function*() {
      const storage = (yield* shared)()
      yield* at("2026-08-06T12:00:00Z")
      const seen: Array<string> = []
      const made = job.make(function*(ctx, tick) {
        return yield* ctx.step("say", () => {
          seen.push(tick)
          return tick
        })
      })
      const worker = yield* work(storage, { workflows: [made] })
      const { lines, logged } = heard()
      yield* logged(open(storage, [minutely]))
      yield* pass(121)
      expect(seen).toEqual(["2026-08-06T12:01:00.000Z", "2026-08-06T12:02:00.000Z"])
      expect(yield* on(storage)(stateOf("job@2026-08-06T12:02:00Z"))).toBe("success")
      // What is not a schedule is none of its business, neither told of nor found.
      yield* worker.close
      yield* on(storage)(job.enqueue("by hand", { runId: "open" }))
      yield* pass(5)
      expect(lines).toEqual([])
    }))

  it.effect("is run at its very instant, also on a storage that has the timers in an index", () =>
    Effect.gen(function*() {
      const { driver } = (yield* shared)()
      // Of other people's runs: none.
      const storage = Storage.make({ ...driver, nextWake: () => Effect.undefined })
      yield* at("2026-08-06T12:00:00Z")
      yield* open(storage, [minutely])
      for (let nth = 1; nth <= 5; nth++) {
        yield* TestClock.adjust(59_999)
        yield* settle
        expect(yield* idsOf(storage)).toHaveLength(nth - 1)
        yield* TestClock.adjust(1)
        yield* settle
        expect(yield* idsOf(storage)).toHaveLength(nth)
      }
    }))

  it.effect("is one run with two processes, and with one that comes and one that goes", () =>
    Effect.gen(function*() {
      const make = yield* shared
      yield* at("2026-08-06T12:00:00Z")
      const one = yield* open(make(), [minutely])
      yield* open(make(), [minutely])
      yield* pass(150)
      yield* one.close
      yield* pass(60)
      yield* open(make(), [minutely])
      yield* pass(30)
      expect(yield* idsOf(make())).toEqual(minutes("12:01", 4))
    }))

  it.effect("belongs to its schedule: of two with one workflow each has its own", () =>
    Effect.gen(function*() {
      const storage = (yield* shared)()
      const other = Workflow.define("other", { input: Schema.Number })
      yield* at("2026-08-06T12:00:00Z")
      yield* open(storage, [
        minutely,
        { workflow: job, name: "half", cron: "*/30 * * * * *", input: () => "half" },
        { workflow: other, cron: "* * * * *", input: (tick) => tick.getUTCMinutes() }
      ])
      yield* pass(60)
      expect(yield* begun(storage)).toEqual(
        new Map([
          ["half@2026-08-06T12:00:30Z", "half"],
          ["half@2026-08-06T12:01:00Z", "half"],
          ["job@2026-08-06T12:01:00Z", "2026-08-06T12:01:00.000Z"]
        ])
      )
      expect(yield* begun(storage, "other")).toEqual(new Map([["other@2026-08-06T12:01:00Z", 1]]))
    }))

  it.effect("is run once when the process died behind the run and before the journal", () =>
    Effect.gen(function*() {
      const make = yield* shared
      yield* at("2026-08-06T12:00:00Z")
      const first = yield* open(make(), [minutely])
      yield* first.close
      // As by a process that came no further, and with another input than today's code gives.
      yield* on(make())(job.enqueue("older", { runId: "job@2026-08-06T12:01:00Z" }))
      const { health } = yield* open(make(), [minutely])
      yield* pass(120)
      expect(yield* begun(make())).toEqual(
        new Map([
          ["job@2026-08-06T12:01:00Z", "older"],
          ["job@2026-08-06T12:02:00Z", "2026-08-06T12:02:00.000Z"]
        ])
      )
      expect((yield* health).failing).toEqual(new Map())
    }))

  it.effect(
    "comes again and again over many journals, each of which is short, and none is missing",
    () =>
      Effect.gen(function*() {
        const storage = (yield* shared)()
        yield* at("2026-08-06T12:00:00Z")
        const { next } = yield* open(storage, [{ ...minutely, cron: "* * * * * *" }])
        yield* pass(250)
        expect(yield* idsOf(storage)).toEqual(minutes("12:00:01", 250, 1))
        const { runs } = yield* storage.list({ workflow: "schedule:job" })
        expect(runs.map(({ runId }) => runId)).toEqual([
          "schedule:job",
          "schedule:job+2",
          "schedule:job+3"
        ])
        for (const { runId } of runs) {
          const { entries } = (yield* storage.read(runId)).journal
          expect(entries.length).toBeLessThan(600)
        }
        expect((yield* next).get("job")).toEqual(new Date("2026-08-06T12:04:11Z"))
      }),
    60_000
  )

  it.effect(
    "goes on in the newest journal when those before it were pruned",
    () =>
      Effect.gen(function*() {
        const make = yield* shared
        yield* at("2026-08-06T12:00:00Z")
        const first = yield* open(make(), [{ ...minutely, cron: "* * * * * *" }])
        yield* pass(210)
        yield* first.close
        yield* on(make())(Runs.prune(Date.parse("2026-08-06T13:00:00Z")))
        const here = make()
        expect((yield* here.list({ workflow: "schedule:job" })).runs.map(({ runId }) => runId))
          .toEqual(["schedule:job+3"])
        const { next } = yield* open(here, [{ ...minutely, cron: "* * * * * *" }])
        yield* pass(5)
        expect((yield* here.list({ workflow: "schedule:job" })).runs.map(({ runId }) => runId))
          .toEqual(["schedule:job+3"])
        expect(yield* idsOf(here)).toEqual(minutes("12:00:01", 215, 1))
        expect((yield* next).get("job")).toEqual(new Date("2026-08-06T12:03:36Z"))
      }),
    60_000
  )
})

describe("ticks that nobody was there for", () => {
  const missed = (catchUp: Schedules.CatchUp | undefined) =>
    Effect.gen(function*() {
      const make = yield* shared
      const list = [{ ...minutely, catchUp }] as const
      yield* at("2026-08-06T12:00:00Z")
      const before = yield* open(make(), list)
      yield* pass(90)
      yield* before.close
      yield* at("2026-08-06T12:05:30Z")
      yield* open(make(), list)
      const atOnce = yield* idsOf(make())
      yield* pass(60)
      expect((yield* idsOf(make())).at(-1)).toBe("job@2026-08-06T12:06:00Z")
      expect((yield* idsOf(make())).slice(0, -1)).toEqual(atOnce)
      return atOnce
    })

  it.effect("are all run when it is to catch up all", () =>
    Effect.gen(function*() {
      expect(yield* missed("all")).toEqual(minutes("12:01", 5))
    }))

  it.effect("are left out but for the newest by default", () =>
    Effect.gen(function*() {
      const ids = ["job@2026-08-06T12:01:00Z", "job@2026-08-06T12:05:00Z"]
      expect(yield* missed("latest")).toEqual(ids)
      expect(yield* missed(undefined)).toEqual(ids)
    }))

  it.effect("are left out when it is to catch up none", () =>
    Effect.gen(function*() {
      expect(yield* missed("none")).toEqual(minutes("12:01", 1))
    }))

  it.effect("are enqueued in order", () =>
    Effect.gen(function*() {
      const make = yield* shared
      const list = [{ ...minutely, catchUp: "all" }] as const
      yield* at("2026-08-06T12:00:00Z")
      yield* (yield* open(make(), list)).close
      yield* at("2026-08-06T12:10:00Z")
      const here = make()
      const hinted: Array<string> = []
      here.hints((runId) => void (runId.startsWith("job@") && hinted.push(runId)))
      yield* open(here, list)
      expect(hinted).toEqual(minutes("12:01", 10))
    }))

  it.effect(
    "are run up to a thousand, the newest, and it is said how many are skipped",
    () =>
      Effect.gen(function*() {
        const make = yield* shared
        const { lines, logged } = heard()
        const list = [{ ...minutely, cron: "* * * * * *", catchUp: "all" }] as const
        yield* at("2026-08-06T12:00:00Z")
        yield* (yield* open(make(), list)).close
        yield* at("2026-08-06T12:20:00Z")
        yield* logged(open(make(), list))
        while ((yield* idsOf(make())).length < 1_000) yield* settle
        yield* settle
        // 1,200 seconds went by.
        expect(yield* idsOf(make())).toEqual(minutes("12:03:21", 1_000, 1))
        expect(lines.filter((line) => line.includes("skipped"))).toEqual([
          "Schedule \"job\" missed more ticks than it catches up: 200 before 2026-08-06T12:03:21.000Z are skipped"
        ])
      }),
    60_000
  )

  it.effect("are not those that a process which was there took too long for", () =>
    Effect.gen(function*() {
      const make = yield* shared
      yield* at("2026-08-06T12:00:00Z")
      const list = [{ ...minutely, cron: "* * * * * *", catchUp: "none" }] as const
      yield* open(make(), list)
      // Nothing is done in between.
      yield* at("2026-08-06T12:00:20Z")
      yield* pass(2)
      expect(yield* idsOf(make())).toEqual(minutes("12:00:01", 22, 1))
    }))

  it.effect("are none when they are older than a minute, though a process was there", () =>
    Effect.gen(function*() {
      const make = yield* shared
      let isAway = true
      const list = [{
        ...minutely,
        catchUp: "none",
        input: (tick: Date) => {
          if (isAway) throw new Error("away")
          return iso(tick)
        }
      }] as const
      yield* at("2026-08-06T12:00:30Z")
      yield* open(make(), list)
      yield* pass(600, 10)
      expect(yield* idsOf(make())).toEqual([])
      isAway = false
      yield* pass(90, 10)
      expect(yield* idsOf(make())).toEqual(minutes("12:11", 2))
    }))
})

describe("a tick that cannot be run", () => {
  it.effect("shows in health, is tried again, and is run when it can be", () =>
    Effect.gen(function*() {
      const make = yield* shared
      const { lines, logged } = heard()
      let broken = true
      const list = [{
        ...minutely,
        catchUp: "all",
        input: (tick: Date) => {
          if (broken) throw new Error("no input today")
          return iso(tick)
        }
      }] as const
      yield* at("2026-08-06T12:00:00Z")
      const { health } = yield* logged(open(make(), list))
      yield* pass(180)
      expect(yield* idsOf(make())).toEqual([])
      expect((yield* health).failing).toEqual(new Map([["job", "no input today"]]))
      expect(lines.some((line) => line.includes("Schedule \"job\" does not go on"))).toBe(true)
      broken = false
      yield* pass(60)
      expect(yield* idsOf(make())).toEqual(minutes("12:01", 4))
      expect((yield* health).failing).toEqual(new Map())
    }))

  it.effect("keeps no other schedule from its own", () =>
    Effect.gen(function*() {
      const storage = (yield* shared)()
      const { logged } = heard()
      yield* at("2026-08-06T12:00:00Z")
      yield* logged(open(storage, [
        {
          workflow: job,
          name: "bad",
          cron: "* * * * *",
          input: (): string => {
            throw new Error("never")
          }
        },
        minutely
      ]))
      yield* pass(180)
      expect(yield* idsOf(storage)).toEqual(minutes("12:01", 3))
    }))
})

describe("another deploy", () => {
  const every = (cron: string) => [{ ...minutely, cron, catchUp: "all" }] as const

  it.effect("with another cron has it take effect when it starts, and none of its ticks before that", () =>
    Effect.gen(function*() {
      const make = yield* shared
      yield* at("2026-08-06T12:00:00Z")
      const old = yield* open(make(), every("0 * * * *"))
      yield* old.close
      yield* at("2026-08-06T12:10:10Z")
      const { next } = yield* open(make(), every("*/30 * * * * *"))
      expect(yield* next).toEqual(new Map([["job", new Date("2026-08-06T12:10:30Z")]]))
      yield* pass(60)
      expect(yield* idsOf(make())).toEqual(minutes("12:10:30", 2, 30))
    }))

  it.effect("still runs what was missed by the old cron", () =>
    Effect.gen(function*() {
      const make = yield* shared
      yield* at("2026-08-06T12:00:00Z")
      const old = yield* open(make(), every("*/5 * * * *"))
      yield* old.close
      yield* at("2026-08-06T12:11:00Z")
      yield* open(make(), every("*/3 * * * *"))
      yield* pass(61)
      expect(yield* idsOf(make())).toEqual([
        "job@2026-08-06T12:05:00Z",
        "job@2026-08-06T12:10:00Z",
        "job@2026-08-06T12:12:00Z"
      ])
    }))

  it.effect("that goes back to the cron before has that one again, and again", () =>
    Effect.gen(function*() {
      const make = yield* shared
      yield* at("2026-08-06T12:00:00Z")
      for (const cron of ["0 * * * *", "30 * * * *", "0 * * * *", "30 * * * *"]) {
        const { close, next } = yield* open(make(), every(cron))
        yield* pass(10)
        const minute = cron.startsWith("0") ? 0 : 30
        expect((yield* next).get("job")?.getUTCMinutes()).toBe(minute)
        yield* close
      }
    }))

  it.effect("of which there are several processes changes the schedule once", () =>
    Effect.gen(function*() {
      const make = yield* shared
      yield* at("2026-08-06T12:00:00Z")
      const old = yield* open(make(), every("0 * * * *"))
      yield* old.close
      for (let n = 0; n < 3; n++) yield* on(make())(Schedules.begin(every("30 * * * *")))
      yield* open(make(), every("30 * * * *"))
      yield* pass(3)
      const { runs } = yield* make().list({ workflow: "schedule:job" })
      expect(runs.map(({ runId, status }) => [runId, status])).toEqual([
        ["schedule:job", "continued"],
        ["schedule:job+2", "suspended"]
      ])
      const { entries } = (yield* make().read("schedule:job")).journal
      expect(entries.filter(({ type }) => type === "resume" || type === "event")).toHaveLength(1)
    }))

  it.effect("beside which the old one goes on does not bring the old cron back", () =>
    Effect.gen(function*() {
      const make = yield* shared
      yield* at("2026-08-06T12:00:00Z")
      yield* open(make(), every("0 0 1 * *"))
      yield* pass(5)
      const newer = yield* open(make(), every("* * * * *"))
      yield* pass(61)
      yield* newer.close
      yield* pass(120)
      expect(yield* idsOf(make())).toEqual(minutes("12:01", 3))
    }))

  it.effect("with another time zone has it take effect", () =>
    Effect.gen(function*() {
      const make = yield* shared
      const daily = { ...minutely, cron: "0 9 * * *" }
      yield* at("2026-08-06T05:00:00Z")
      const old = yield* open(make(), [daily])
      expect((yield* old.next).get("job")).toEqual(new Date("2026-08-06T09:00:00Z"))
      yield* old.close
      const { next } = yield* open(make(), [{ ...daily, timeZone: "Europe/Berlin" }])
      yield* pass(2)
      expect((yield* next).get("job")).toEqual(new Date("2026-08-06T07:00:00Z"))
    }))

  it.effect("with another input and catchUp has them from its start, and changes nothing else", () =>
    Effect.gen(function*() {
      const make = yield* shared
      yield* at("2026-08-06T12:00:00Z")
      const old = yield* open(make(), [minutely])
      yield* pass(60)
      yield* old.close
      yield* at("2026-08-06T12:04:30Z")
      yield* open(make(), [{ ...minutely, input: () => "new", catchUp: "all" }])
      expect(yield* begun(make())).toEqual(
        new Map([
          ["job@2026-08-06T12:01:00Z", "2026-08-06T12:01:00.000Z"],
          ...minutes("12:02", 3).map((id) => [id, "new"] as const)
        ])
      )
      const { runs } = yield* make().list({ workflow: "schedule:job" })
      expect(runs).toHaveLength(1)
    }))

  it.effect("without the schedule leaves its run as it is; cancelled it stays so", () =>
    Effect.gen(function*() {
      const make = yield* shared
      yield* at("2026-08-06T12:00:00Z")
      const old = yield* open(make(), [minutely])
      yield* pass(60)
      yield* old.close
      const { health } = yield* open(make(), [])
      yield* pass(120)
      expect(yield* idsOf(make())).toEqual(minutes("12:01", 1))
      expect((yield* health).blocked).toEqual(new Map())

      const again = yield* open(make(), [minutely])
      yield* on(make())(Runs.cancel("schedule:job"))
      yield* pass(5)
      expect(yield* on(make())(stateOf("schedule:job"))).toBe("cancelled")
      expect(yield* again.next).toEqual(new Map())
      yield* again.close
      const after = yield* open(make(), [{ ...minutely, cron: "*/2 * * * *" }])
      yield* pass(240)
      expect(yield* idsOf(make())).toEqual(["job@2026-08-06T12:01:00Z", "job@2026-08-06T12:03:00Z"])
      expect(yield* after.next).toEqual(new Map())
      yield* on(make())(Runs.remove("schedule:job"))
      yield* after.close
      yield* open(make(), [minutely])
      yield* pass(60)
      expect((yield* idsOf(make())).at(-1)).toBe("job@2026-08-06T12:08:00Z")
    }))
})

describe("when clocks change", () => {
  /** The ticks of one schedule in Berlin between two instants. */
  const ticksIn = (cron: string | Cron.Cron, from: string, until: string) =>
    Effect.gen(function*() {
      const storage = (yield* shared)()
      yield* at(from)
      const timeZone = typeof cron === "string" ? "Europe/Berlin" : undefined
      const { close } = yield* open(storage, [{ workflow: job, cron, timeZone, input: iso }])
      const seconds = (Date.parse(until) - Date.parse(from)) / 1_000
      yield* pass(seconds, 60)
      yield* close
      return (yield* idsOf(storage)).map((id) => id.slice("job@".length))
    })

  it.effect(
    "forwards, what falls into the hour that there is not is run behind it",
    () =>
      Effect.gen(function*() {
        // 02:30 of the 29th is 03:30 summer time.
        expect(yield* ticksIn("30 2 * * *", "2026-03-29T00:20:00Z", "2026-03-29T01:40:00Z"))
          .toEqual(["2026-03-29T01:30:00Z"])
        expect(yield* ticksIn("30 2 * * *", "2026-03-30T00:20:00Z", "2026-03-30T01:40:00Z"))
          .toEqual(["2026-03-30T00:30:00Z"])
        expect(yield* ticksIn("*/30 * * * *", "2026-03-29T00:00:00Z", "2026-03-29T02:00:00Z"))
          .toEqual([
            "2026-03-29T00:30:00Z",
            "2026-03-29T01:00:00Z",
            "2026-03-29T01:30:00Z",
            "2026-03-29T02:00:00Z"
          ])
      }),
    60_000
  )

  it.effect(
    "back, what has its hour is run in the first of the two, and what goes off every hour in both",
    () =>
      Effect.gen(function*() {
        expect(yield* ticksIn("30 2 * * *", "2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z"))
          .toEqual(["2026-10-25T00:30:00Z"])
        expect(yield* ticksIn("30 2 * * *", "2026-10-26T00:20:00Z", "2026-10-26T01:40:00Z"))
          .toEqual(["2026-10-26T01:30:00Z"])
        expect(yield* ticksIn("30 * * * *", "2026-10-25T00:00:00Z", "2026-10-25T03:00:00Z"))
          .toEqual(["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"])
      }),
    60_000
  )

  it.effect(
    "back, a Cron says itself which of the two hours is meant",
    () =>
      Effect.gen(function*() {
        const both = Cron.parseUnsafe("30 2 * * *", "Europe/Berlin", { onDstOverlap: "both" })
        const later = Cron.parseUnsafe("30 2 * * *", "Europe/Berlin", { onDstOverlap: "later" })
        expect(yield* ticksIn(both, "2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z"))
          .toEqual(["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"])
        expect(yield* ticksIn(later, "2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z"))
          .toEqual(["2026-10-25T01:30:00Z"])
      }),
    60_000
  )
})

describe("another dispatcher", () => {
  it.effect("drives the workflows of schedules that `begin` has begun", () =>
    Effect.gen(function*() {
      const storage = (yield* shared)()
      yield* at("2026-08-06T12:00:00Z")
      const list = [{ ...minutely, catchUp: "none" }] as const
      yield* on(storage)(Schedules.begin(list))
      yield* on(storage)(Schedules.begin(list))
      // A function that is there for one delivery, and had not begun when the tick went by.
      const deliver = () =>
        Dispatch.handle("schedule:job").pipe(
          Effect.provide(Dispatch.layer(Schedules.workflows(list))),
          on(storage)
        )
      expect(yield* deliver())
        .toEqual({ _tag: "Waits", until: Date.parse("2026-08-06T12:01:00Z") })
      yield* TestClock.adjust(60_050)
      expect(yield* deliver())
        .toEqual({ _tag: "Waits", until: Date.parse("2026-08-06T12:02:00Z") })
      expect(yield* deliver())
        .toEqual({ _tag: "Waits", until: Date.parse("2026-08-06T12:02:00Z") })
      expect(yield* idsOf(storage)).toEqual(minutes("12:01", 1))
    }))

  it.effect("whose clock is behind that of the one which waited for the tick runs it, and once", () =>
    Effect.gen(function*() {
      const storage = (yield* shared)()
      yield* at("2026-08-06T12:00:00Z")
      const hanging = { ...job, enqueue: () => Effect.never }
      const deliver = (workflow: typeof job) =>
        Dispatch.handle("schedule:job").pipe(
          Effect.provide(Dispatch.layer(Schedules.workflows([{ ...minutely, workflow }]))),
          on(storage)
        )
      yield* on(storage)(Schedules.begin([minutely]))
      yield* deliver(job)
      yield* TestClock.adjust(60_000)
      // It dies behind the timer and before the run.
      const dying = yield* Effect.forkChild(deliver(hanging))
      yield* settle
      yield* Fiber.interrupt(dying)
      expect((yield* storage.read("schedule:job")).journal.entries.at(-1)?.type).toBe("timer")
      yield* at("2026-08-06T12:00:58Z")
      expect(yield* deliver(job))
        .toEqual({ _tag: "Waits", until: Date.parse("2026-08-06T12:02:00Z") })
      expect(yield* idsOf(storage)).toEqual(minutes("12:01", 1))
    }))

  it.effect("may be a worker of one's own, which drives them beside everything else", () =>
    Effect.gen(function*() {
      const storage = (yield* shared)()
      yield* at("2026-08-06T12:00:00Z")
      const made = job.make(function*(ctx, tick) {
        return yield* ctx.step("say", () => tick)
      })
      const list = [{ ...minutely, workflow: made }] as const
      yield* on(storage)(Schedules.begin(list))
      const workflows = [made, ...Schedules.workflows(list)] as const
      yield* Layer.build(Worker.layer({ workflows })).pipe(on(storage))
      yield* pass(121)
      expect(yield* on(storage)(Runs.end("job@2026-08-06T12:02:00Z")))
        .toMatchObject({ status: "success", result: "2026-08-06T12:02:00.000Z" })
    }))
})

describe("a storage that is away when the layer is opened", () => {
  it.effect("does not keep a program from starting, shows, and is begun with later", () =>
    Effect.gen(function*() {
      const storage = (yield* shared)()
      const { logged } = heard()
      const state = { isAway: true }
      const away = new Storage.StorageError({
        reason: "Unavailable",
        doing: "reach the storage",
        cause: new Error("the cable is out")
      })
      const flaky = Storage.make({
        ...storage.driver,
        read: (runId) =>
          Effect.suspend(() => state.isAway ? Effect.fail(away) : storage.driver.read(runId))
      })
      yield* at("2026-08-06T12:00:00Z")
      const { health } = yield* logged(open(flaky, [minutely]))
      expect((yield* health).failing.get("job")).toContain("the cable is out")
      yield* pass(10)
      state.isAway = false
      yield* pass(60)
      expect((yield* health).failing).toEqual(new Map())
      expect(yield* idsOf(storage)).toEqual(minutes("12:01", 1))
    }))
})

describe("what was declared wrong is a TypeError that says", () => {
  const layer = (...list: ReadonlyArray<unknown>) => () =>
    Schedules.layer(list as [typeof minutely])
  const refused = (change: object, ...words: ReadonlyArray<string>) => {
    expect(layer({ ...minutely, ...change })).toThrow(TypeError)
    for (const word of words) expect(layer({ ...minutely, ...change })).toThrow(word)
  }

  it("which field of the cron, and what is allowed", () => {
    refused({ cron: "0 99 * * *" }, "\"job\"", "\"0 99 * * *\"", "its hour is \"99\"", "0 and 23")
    refused({ cron: "61 * * * * *" }, "its second is \"61\"")
    refused({ cron: "* * * nix *" }, "its month is \"nix\"")
    refused({ cron: "* * * * 9" }, "its day of week is \"9\"")
    refused({ cron: "* * *" }, "it has 3 fields", "five fields")
    refused({ cron: "" }, "it has 0 fields")
    refused({ cron: "@daily" }, "it has 1 fields", "five fields")
    refused({ cron: 5 }, "cron is 5", "a text or a Cron")
    refused({ cron: "0 0 30 2 *" }, "there is no such day")
  })

  it("that there is no such time zone", () => {
    refused({ timeZone: "Europe/Bonn" }, "\"Europe/Bonn\"", "\"Europe/Berlin\"")
    refused({ timeZone: 1 }, "timeZone is 1")
    const cron = Cron.parseUnsafe("* * * * *", "UTC")
    refused({ cron, timeZone: "Europe/Berlin" }, "a time zone of its own")
    expect(layer({ ...minutely, cron: "* * * * *", timeZone: "+02:00" })).not.toThrow()
  })

  it("that two have one name", () => {
    expect(layer(minutely, { ...minutely, cron: "0 0 * * *" })).toThrow(TypeError)
    expect(layer(minutely, { ...minutely, cron: "0 0 * * *" })).toThrow(
      "Two schedules are called \"job\""
    )
    expect(layer(minutely, { ...minutely, name: "nightly" })).not.toThrow()
  })

  it("what a name, a policy, an input and a workflow are", () => {
    refused({ name: "a/b" }, "\"a/b\"", "printable ASCII")
    refused({ name: "" }, "its name")
    refused({ name: "x".repeat(151) }, "150")
    refused({ name: "loop+2" }, "\"+\" and a number")
    refused({ catchUp: "some" }, "\"some\"", "\"all\", \"latest\", \"none\"")
    refused({ input: "now" }, "input is \"now\"", "(tick) =>")
    refused({ workflow: { name: "job" } }, "Schedule 1", "a workflow or its contract")
  })

  it("the same for workflows and begin", () => {
    const list = [{ ...minutely, cron: "x" }] as const
    expect(() => Schedules.workflows(list)).toThrow("it has 1 fields")
    expect(() => Schedules.begin(list)).toThrow("it has 1 fields")
  })
})

describe("ticks", () => {
  it("of a timing are those of the cron it was made of", () => {
    const from = Date.parse("2026-01-01T00:00:00Z")
    const crons = [
      Cron.parseUnsafe("*/7 1-3,22 * * mon", "Europe/Berlin"),
      Cron.parseUnsafe("15 30 */5 1,15 * 2", "America/New_York", { onDstOverlap: "both" }),
      Cron.make({ minutes: [1], hours: [], days: [13], months: [], weekdays: [5], and: true }),
      Cron.make({
        minutes: [0],
        hours: [12],
        days: [1],
        months: [],
        weekdays: [1],
        tz: DateTime.zoneMakeOffset(2 * 3_600_000)
      })
    ]
    for (const cron of crons) {
      const timing = Ticks.timingOf("a", cron, Option.isNone(cron.tz) ? "Asia/Tokyo" : undefined)
      // It stands in a journal.
      const again = Ticks.cronOf(JSON.parse(JSON.stringify(timing)))
      const zoned = Option.isSome(cron.tz) ? cron : Object.assign(
        Object.create(Object.getPrototypeOf(cron)),
        cron,
        { tz: Option.some(DateTime.zoneMakeNamedUnsafe("Asia/Tokyo")) }
      )
      let a = from, b = from
      for (let n = 0; n < 50; n++) {
        a = Ticks.next(again, a)
        b = Cron.next(zoned, b).getTime()
        expect(a).toBe(b)
      }
    }
  })

  it("that are the newest are the last of all, for any limit", () => {
    const until = Date.parse("2026-03-30T12:00:00Z")
    for (const cron of ["*/10 * * * * *", "0 3 * * *", "* 5 * * *", "0 0 1 1 *"]) {
      const made = Ticks.cronOf(Ticks.timingOf("a", cron, "Europe/Berlin"))
      for (const back of [1, 999, 10_000, 3_600_000, 11 * 3_600_000]) {
        const all: Array<number> = []
        for (let tick = Ticks.next(made, until - back); tick <= until;) {
          all.push(tick)
          tick = Ticks.next(made, tick)
        }
        for (const limit of [1, 7, 200]) {
          expect(Ticks.newest(made, until - back, until, limit)).toEqual(all.slice(-limit))
        }
        expect(Ticks.count(made, until - back, until + 1, 100_000)).toBe(all.length)
      }
    }
  }, 60_000)
})
