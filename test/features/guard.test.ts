/**
 * The slice guard and the shadow replay: what a body must not do between two yields is named with its line
 * and what to do instead, and nothing else is touched. And what a body cannot get around: a suspension, a
 * cancel, instructions in the wrong place, and failures that are no errors.
 */
import { Cause, Context, Effect, Exit, Fiber, Option, Result, Schedule, Schema } from "effect"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { Instruction, Runs, Storage, Workflow } from "reprise"
import { describe, expect, it } from "vitest"
import { failureOf } from "../support/faults.ts"
import { epoch, Simulation } from "../support/simulation.ts"

/** Taken before any guarded body ran, as a module of the user's may do. */
const earlyRandom = Math.random
const earlyNow = Date.now

const runId = "r1"
const hour = 3_600_000
const events = { go: Schema.String, never: Schema.String }

type Services = Storage.Storage
type Body = (ctx: Workflow.Ctx<any>) => Generator<any, any, any>

/** A workflow of a body whose types say nothing. */
const workflowOf = (body: Body) =>
  Workflow.make(
    "odd",
    { events },
    body as (
      ctx: Workflow.Ctx<any>
    ) => Generator<Instruction.Instruction<any>, any, Instruction.WriteYieldWithAStar>
  )

/** One storage, with the guard as it says; each call is a process of its own. */
const lab = (guard: Workflow.GuardShape) => {
  const driver = Storage.memoryDriver()
  const simulation = new Simulation()
  const run = <A, E>(program: Effect.Effect<A, E, Services>) => {
    const services = Context.make(Storage.Storage, Storage.make(driver))
    const exit = simulation.run(Effect.provideService(program, Workflow.Guard, guard), services)
    if (Exit.isFailure(exit) && failureOf(exit) === undefined) {
      throw new Error(`died: ${Cause.pretty(exit.cause)}`)
    }
    return exit
  }
  return {
    /** The value, or the typed error. */
    get: <A, E>(program: Effect.Effect<A, E, Services>): A | E => {
      const exit = run(program)
      return Exit.isSuccess(exit) ? exit.value : failureOf(exit)!
    },
    journal: () => {
      const exit = run(Runs.journal(runId))
      if (Exit.isFailure(exit)) throw new Error("no journal")
      return exit.value
    }
  }
}

const slices = { slices: true, shadow: false }
const shadow = { slices: false, shadow: true }
const off = { slices: false, shadow: false }

const lines = readFileSync(fileURLToPath(import.meta.url), "utf8").split("\n")

/** The text of the line that a message or a `source` names in this file. */
const lineIn = (text: string): string | undefined => {
  const line = /guard\.test\.ts:(\d+):\d+/.exec(text)?.[1]
  return line === undefined ? undefined : lines[Number(line) - 1]?.trim()
}

/** What a body must not call, what the message names, and what it says to use instead. */
const calls: ReadonlyArray<readonly [call: string, f: () => unknown, instead: string]> = [
  ["Date.now()", () => Date.now(), "ctx.now"],
  ["new Date()", () => new Date(), "ctx.now"],
  ["Date()", () => Date(), "ctx.now"],
  ["Math.random()", () => Math.random(), "ctx.random"],
  ["crypto.randomUUID()", () => crypto.randomUUID(), "ctx.uuid"],
  ["crypto.getRandomValues()", () => crypto.getRandomValues(new Uint8Array(1)), "ctx.random"],
  ["performance.now()", () => performance.now(), "ctx.now"],
  ["fetch()", () => fetch("data:text/plain,x"), "ctx.step"],
  ["setTimeout()", () => clearTimeout(setTimeout(() => {}, 0)), "ctx.sleep"],
  ["setInterval()", () => clearInterval(setInterval(() => {}, 1)), "ctx.sleep"],
  ["setImmediate()", () => clearImmediate(setImmediate(() => {})), "ctx.sleep"],
  ["process.hrtime()", () => process.hrtime(), "ctx.now"],
  ["process.hrtime.bigint()", () => process.hrtime.bigint(), "ctx.now"]
]

describe("a body that is guarded", () => {
  it.each(calls)("is told not to call %s, where it does, and what to use", (call, f, instead) => {
    const { get, journal } = lab(slices)
    const workflow = Workflow.make("forbidden", function*(ctx) {
      yield* ctx.step("first", () => 1)
      f()
      yield* ctx.step("second", () => 2)
    })
    const error = get(workflow.start(undefined, { runId })) as Workflow.BodyDefect
    expect(error._tag).toBe("BodyDefect")
    expect(error.message).toContain(call)
    expect(error.message).toContain(instead)
    expect(lineIn(error.source ?? "")).toContain(`["${call}", () => `)
    expect(lineIn(error.message)).toBe(lineIn(error.source ?? ""))
    expect(journal().entries.map(({ type }) => type)).toEqual(["start", "step"])
  })

  const places: Record<string, Body> = {
    "in its first slice": function*() {
      return Date.now()
    },
    "in a branch": function*(ctx) {
      return yield* ctx.all([function*() {
        yield* ctx.step("a", () => 1)
        return Date.now()
      }, ctx.step("b", () => 2)])
    },
    "in a helper": function*(ctx) {
      const helper = function*() {
        yield* ctx.step("a", () => 1)
        return Date.now()
      }
      return yield* helper()
    },
    "in what forEach calls for an item": function*(ctx) {
      return yield* ctx.forEach([1], (n) => ctx.step(`${n} ${Date.now()}`, () => n))
    },
    "in a map": function*(ctx) {
      return yield* ctx.all([ctx.step("a", () => 1).pipe(Instruction.map(() => Date.now()))])
    },
    "in a handler": function*(ctx) {
      return yield* ctx.all([
        ctx.step("a", () => Effect.fail("no")).pipe(
          Instruction.catch(() => ctx.step(`at ${Date.now()}`, () => 1))
        )
      ])
    },
    "in a clean-up": function*(ctx) {
      try {
        yield* ctx.step("a", () => Effect.fail("no"))
      } finally {
        Date.now()
      }
    },
    "in an undo that is a generator": function*(ctx) {
      yield* ctx.step("a", () => 1).pipe(
        Instruction.withCompensation(function*() {
          yield* ctx.step(`at ${Date.now()}`, () => 1)
        })
      )
      return yield* ctx.fail("no")
    },
    "in an undo that gives an instruction": function*(ctx) {
      yield* ctx.step("a", () => 1).pipe(
        Instruction.withCompensation(() => ctx.step(`at ${Date.now()}`, () => 1))
      )
      return yield* ctx.fail("no")
    },
    "in a function that gives a generator": function*(ctx) {
      const branch = (at: number) =>
        function*() {
          return yield* ctx.step(`at ${at}`, () => 1)
        }
      return yield* ctx.all([() => branch(Date.now())()])
    }
  }
  it.each(Object.keys(places))("is told %s", (name) => {
    const { get, journal } = lab(slices)
    const workflow = workflowOf(places[name]!)
    const error = get(workflow.start(undefined, { runId })) as Workflow.BodyDefect
    expect(error._tag).toBe("BodyDefect")
    expect(lineIn(error.source ?? "")).toContain("Date.now()")
    expect(journal().entries.every(({ type }) => type === "start" || type === "step")).toBe(true)
  })

  it("cannot hide it with try, catch and finally, nor with result and catch", () => {
    const hidden: Record<string, Body> = {
      try: function*(ctx) {
        try {
          Date.now()
        } catch {
          yield* ctx.step("instead", () => 1)
        }
        return 1
      },
      finally: function*(ctx) {
        try {
          Date.now()
        } finally {
          yield* ctx.step("at last", () => 1)
        }
      },
      result: function*(ctx) {
        return (yield* ctx.all({
          a: ctx.step("a", () => 1).pipe(
            Instruction.map(() => Date.now()),
            Instruction.result
          )
        })).a._tag
      },
      any: function*(ctx) {
        return yield* ctx.any([
          function*() {
            return Date.now()
          },
          ctx.step("other", () => 1)
        ])
      }
    }
    for (const [name, body] of Object.entries(hidden)) {
      const { get, journal } = lab(slices)
      const workflow = workflowOf(body)
      const error = get(workflow.start(undefined, { runId })) as Workflow.BodyDefect
      expect([name, error._tag]).toEqual([name, "BodyDefect"])
      expect(error.message).toContain("Date.now()")
      expect(journal().entries.map(({ type }) => type)).not.toContain("complete")
    }
  })

  it("is told on every resume, and goes on once it is mended", () => {
    const { get } = lab(slices)
    let isMended = false
    const workflow = Workflow.make("mended", function*(ctx) {
      const first = yield* ctx.step("first", () => 1)
      if (!isMended) Date.now()
      return first + (yield* ctx.step("second", () => 2))
    })
    for (let n = 0; n < 3; n++) {
      expect(get(n === 0 ? workflow.start(undefined, { runId }) : workflow.resume(runId)))
        .toMatchObject({ _tag: "BodyDefect" })
    }
    isMended = true
    expect(get(workflow.resume(runId))).toMatchObject({ status: "success", result: 3 })
  })

  it("may do what is the same each time", () => {
    const { get } = lab(slices)
    const workflow = Workflow.make("allowed", function*(ctx) {
      const at = yield* ctx.now
      const date = new Date(at)
      yield* ctx.step("a", () => 1)
      class Later extends Date {}
      return [
        date.getTime() === at,
        date instanceof Date,
        new Later(at) instanceof Date,
        new Later(at) instanceof Later,
        Date.UTC(2026, 0) === Date.parse("2026-01-01T00:00:00Z"),
        Number.isNaN(new Date(Number.NaN).getTime()),
        Math.max(1, 2) === 2,
        typeof (yield* ctx.random) === "number",
        (yield* ctx.uuid).length === 36
      ]
    })
    const result = get(workflow.start(undefined, { runId }))
    expect(result).toMatchObject({ status: "success" })
    expect(new Set((result as { result: unknown }).result as Array<boolean>)).toEqual(
      new Set([true])
    )
  })
})

describe("nothing is trapped", () => {
  const all = () => calls.map(([call, f]) => f() === undefined || call !== "")

  it("in steps, in what they start, and in schemas, undos' steps and predicates", () => {
    const { get } = lab(slices)
    const Stamped = Schema.Number.check(Schema.makeFilter(() => {
      all()
      return true
    }))
    const workflow = Workflow.make("free", function*(ctx) {
      const plain = yield* ctx.step("plain", all)
      const effect = yield* ctx.step("effect", Effect.sync(all))
      const fn = yield* ctx.step(
        "fn",
        Effect.fn(function*() {
          yield* Effect.yieldNow
          return all()
        })
      )
      yield* ctx.step("schema", () => 1, { schema: Stamped })
      yield* ctx.step("retried", ({ attempt }) => {
        all()
        if (attempt < 2) throw new Error("again")
      }, {
        retry: {
          schedule: Schedule.spaced(1),
          while: (_: unknown) => {
            all()
            return true
          }
        }
      })
      yield* ctx.all([ctx.step("beside", all), ctx.step("another", all)])
      return plain.length + effect.length + fn.length
    })
    expect(get(workflow.start(undefined, { runId })))
      .toMatchObject({ status: "success", result: 3 * calls.length })
  })

  it("outside of bodies, also when one was just interrupted by a violation", () => {
    const { get } = lab(slices)
    const workflow = Workflow.make("bad", function*() {
      Date.now()
    })
    get(workflow.start(undefined, { runId }))
    expect(all()).toHaveLength(calls.length)
  })

  it("where a promise of the body's step goes on while another body runs", async () => {
    const workflow = Workflow.make("beside", function*(ctx) {
      const branch = (n: number) =>
        function*() {
          let sum = 0
          for (let k = 0; k < 20; k++) {
            sum += yield* ctx.step("s", async () => {
              await Promise.resolve()
              return Math.min(1, Date.now()) * n
            })
          }
          return sum
        }
      return yield* ctx.all([branch(1), branch(2)])
    })
    const result = await Effect.runPromise(
      workflow.execute(undefined, { runId }).pipe(
        Effect.provideService(Workflow.Guard, slices),
        Effect.provide(Storage.layerMemory)
      )
    )
    expect(result).toEqual([20, 40])
  })

  it("with the guard off", () => {
    const { get } = lab(off)
    const workflow = Workflow.make("off", function*(ctx) {
      for (const [, f] of calls) f()
      ctx.step("never yielded", () => 1)
      return yield* ctx.step("a", () => 1)
    })
    expect(get(workflow.start(undefined, { runId }))).toMatchObject({ result: 1 })
  })

  it("that people ask of the wrapped functions themselves", () => {
    lab(slices).get(Workflow.make("installs", function*() {}).start(undefined, { runId }))
    expect(new Date(0).constructor).toBe(Date)
    expect(new Date(0)).toBeInstanceOf(Date)
    expect(Object.prototype.toString.call(new Date(0))).toBe("[object Date]")
    expect([Date.name, Date.length]).toEqual(["Date", 7])
    expect(structuredClone(new Date(7)).getTime()).toBe(7)
    const before = earlyNow()
    expect(Date.now()).toBeGreaterThanOrEqual(before)
  })
})

describe("an instruction that is never yielded", () => {
  it("is NotYielded, with its name and the line it was made on; the run stays open", () => {
    const { get, journal } = lab(slices)
    let isMended = false
    const workflow = Workflow.make("forgets", function*(ctx) {
      if (!isMended) ctx.step("forgotten", () => 1)
      return yield* ctx.step("kept", () => 2)
    })
    const error = get(workflow.start(undefined, { runId })) as Workflow.NotYielded
    expect(error._tag).toBe("NotYielded")
    expect(error.message).toContain(`"forgotten"`)
    expect(error.message).toContain("yield*")
    expect(lineIn(error.source ?? "")).toContain(`ctx.step("forgotten"`)
    expect(journal().entries.map(({ type }) => type)).toEqual(["start", "step"])
    expect(get(workflow.resume(runId))).toMatchObject({ _tag: "NotYielded" })
    isMended = true
    expect(get(workflow.resume(runId))).toMatchObject({ status: "success", result: 2 })
  })

  const forgets: Record<string, Body> = {
    "a sleep": function*(ctx) {
      ctx.sleep("1 hour")
      return 1
    },
    "a suspend": function*(ctx) {
      yield* ctx.step("a", () => 1)
      ctx.suspend("go")
      return 1
    },
    "a combinator": function*(ctx) {
      ctx.all([ctx.step("a", () => 1)])
      return 1
    },
    "one in a branch": function*(ctx) {
      return yield* ctx.all([function*() {
        ctx.step("forgotten", () => 1)
        return yield* ctx.step("a", () => 1)
      }])
    },
    "one with a handler": function*(ctx) {
      ctx.step("a", () => 1).pipe(Instruction.map(() => 2))
      return 1
    },
    "the twin of one that is yielded": function*(ctx) {
      ctx.step("a", () => 1)
      return yield* ctx.step("a", () => 1)
    }
  }
  it.each(Object.keys(forgets))("is found where it is %s", (name) => {
    const { get } = lab(slices)
    const workflow = workflowOf(forgets[name]!)
    const error = get(workflow.start(undefined, { runId })) as Workflow.NotYielded
    expect(error._tag).toBe("NotYielded")
    expect(lineIn(error.source ?? "")).toMatch(/ctx\.(step|sleep|suspend|all)/)
  })

  /** Bodies that use everything they make, one way or another. */
  const uses: Record<string, Body> = {
    "mapped": function*(ctx) {
      return yield* ctx.step("a", () => 1).pipe(Instruction.map((n) => n + 1))
    },
    "mapped twice, in a branch": function*(ctx) {
      return yield* ctx.all([
        ctx.step("a", () => 1).pipe(
          Instruction.map((n) => n + 1),
          Instruction.map((n) => n + 1)
        )
      ])
    },
    "turned into a result": function*(ctx) {
      const got = yield* Instruction.result(ctx.step("a", () => Effect.fail("no")))
      return Result.isFailure(got)
    },
    "caught": function*(ctx) {
      return yield* ctx.step("a", () => Effect.fail("no")).pipe(
        Instruction.catch(() => ctx.step("b", () => 1))
      )
    },
    "caught, with a handler that is mapped": function*(ctx) {
      return yield* ctx.all([
        ctx.step("a", () => Effect.fail("no")).pipe(
          Instruction.catchTag(
            "StepFailed",
            () => ctx.step("b", () => 1).pipe(Instruction.map((n) => n + 1))
          )
        )
      ])
    },
    "caught without a failure": function*(ctx) {
      return yield* ctx.all([
        ctx.step("a", () => 1).pipe(Instruction.catch(() => ctx.step("b", () => 1)))
      ])
    },
    "limited in time": function*(ctx) {
      const limited = yield* ctx.step("a", () => 1).pipe(Instruction.timeout("1 minute"))
      const option = yield* ctx.step("b", () => 1).pipe(Instruction.timeoutOption("1 minute"))
      return [limited, Option.isSome(option)]
    },
    "limited in time, and too slow": function*(ctx) {
      const option = yield* ctx.step("b", () => Effect.never).pipe(
        Instruction.timeoutOption("5 seconds")
      )
      return Option.isNone(option)
    },
    "undoable": function*(ctx) {
      const a = yield* ctx.step("a", () => 1).pipe(
        Instruction.withCompensation(() => ctx.step("undo a", () => 1))
      )
      const b = yield* ctx.all([ctx.step("b", () => 1)]).pipe(
        Instruction.withCompensation(() => ctx.step("undo b", () => 1))
      )
      return [a, b]
    },
    "undoable, made in an earlier slice": function*(ctx) {
      const step = ctx.step("a", () => 1)
      yield* ctx.step("b", () => 2)
      return yield* step.pipe(Instruction.withCompensation(() => ctx.step("undo a", () => 1)))
    },
    "mapped, made in an earlier slice": function*(ctx) {
      const step = ctx.step("a", () => 1)
      yield* ctx.step("b", () => 2)
      return yield* ctx.all([step.pipe(Instruction.map((n) => n + 1))])
    },
    "made in one slice and yielded in a later one": function*(ctx) {
      const steps = ["a", "b", "c"].map((name) => ctx.step(name, () => name))
      const all = ctx.all([ctx.step("d", () => "d")])
      const got: Array<unknown> = []
      for (const step of steps) got.push(yield* step)
      got.push(yield* all)
      return got
    },
    "made by the body and yielded in a branch": function*(ctx) {
      const step = ctx.step("a", () => 1)
      return yield* ctx.all([
        function*() {
          yield* ctx.step("b", () => 2)
          return yield* step
        }
      ])
    },
    "yielded twice": function*(ctx) {
      const step = ctx.step("a", () => 1)
      return [yield* step, yield* step]
    },
    "in a race that it loses before it is started": function*(ctx) {
      return (yield* ctx.race({
        nothing: function*() {
          return yield* ctx.runId
        },
        never: ctx.step("never", () => 1)
      })).winner
    },
    "in a branch that a failing sibling keeps from starting": function*(ctx) {
      const got = yield* ctx.all({
        fan: ctx.all([
          ctx.step("fails", () => Effect.fail("no")),
          ctx.step("late", () => 1),
          ctx.step("later", () => 1).pipe(Instruction.map((n) => n + 1))
        ], { concurrency: 1 }).pipe(Instruction.result)
      })
      return got.fan._tag
    },
    "in a forEach with failing siblings": function*(ctx) {
      const got = yield* ctx.all({
        each: ctx.forEach(
          [1, 2, 3, 4],
          (n) => ctx.step(`s${n}`, () => n === 2 ? Effect.fail("no") : Effect.succeed(n)),
          { concurrency: 2 }
        ).pipe(Instruction.result)
      })
      return got.each._tag
    },
    "in a forEach whose branches wait when one of them fails": function*(ctx) {
      const got = yield* ctx.all({
        each: ctx.forEach([1, 2, 3], (n) =>
          function*() {
            const later = ctx.step("later", () => n)
            yield* ctx.step("first", () => n === 2 ? Effect.fail("no") : Effect.never)
            return yield* later
          }).pipe(Instruction.result)
      })
      return got.each._tag
    },
    "in a race loser that would have used it": function*(ctx) {
      const { winner } = yield* ctx.race({
        quick: ctx.step("quick", () => 1),
        slow: function*() {
          const later = ctx.step("later", () => 1)
          yield* ctx.suspend("never")
          return yield* later
        }
      })
      return winner
    },
    "behind a failure that is handled": function*(ctx) {
      const later = ctx.step("later", () => 1)
      try {
        yield* ctx.step("fails", () => Effect.fail("no"))
        yield* later
      } catch {
        return "handled"
      }
      return "not reached"
    },
    "under a condition, in a race of what is left": function*(ctx) {
      const a = ctx.step("a", () => 1)
      const b = ctx.step("b", () => 2)
      return (yield* (yield* ctx.random) < 2 ? ctx.race({ a, b }) : ctx.all({ a, b })) !== undefined
    },
    "asked for by ctx.any whose first branches fail": function*(ctx) {
      return yield* ctx.any([
        ctx.step("a", () => Effect.fail("no")),
        ctx.step("b", () => 1).pipe(Instruction.map((n) => n + 1))
      ])
    },
    "made on another generator's behalf and yielded without a star": function*(ctx) {
      const helper = function*(): Generator<any, any, any> {
        return yield ctx.step("a", () => 1)
      }
      return yield* helper()
    },
    "made on the module's level": function*() {
      return yield* shared
    }
  }
  const shared = Instruction.step("shared", () => "shared")

  it.each(Object.keys(uses))("is not what is %s", (name) => {
    const { get, journal } = lab(slices)
    const workflow = workflowOf(uses[name]!)
    const result = get(workflow.start(undefined, { runId }))
    expect(result).toMatchObject({ status: "success" })
    expect(workflow.replay(journal())._tag).toBe("Returned")
  })

  it("is not what a run still holds when it is suspended and driven on", () => {
    const { get } = lab(slices)
    const workflow = Workflow.make("holds", { events }, function*(ctx) {
      const later = ctx.step("later", () => "later")
      yield* ctx.suspend("go")
      return yield* later
    })
    expect(get(workflow.start(undefined, { runId }))).toMatchObject({ status: "suspended" })
    expect(get(workflow.resume(runId, { eventName: "go", value: "g" })))
      .toMatchObject({ result: "later" })
  })

  it("is not what a cancelled run made", () => {
    const { get } = lab(slices)
    const workflow = Workflow.make("cancelled", { events }, function*(ctx) {
      const later = ctx.step("later", () => "later")
      yield* ctx.suspend("go")
      yield* later
    })
    get(workflow.start(undefined, { runId }))
    expect(get(workflow.cancel(runId))).toMatchObject({ status: "cancelled" })
  })
})

describe("the shadow replay", () => {
  let outside = 0

  const changing: Record<string, Body> = {
    "a branch on a variable of the module": function*(ctx) {
      yield* ctx.step("first", () => 1)
      return yield* outside++ % 2 === 0 ? ctx.step("even", () => 2) : ctx.step("odd", () => 3)
    },
    "a name made of Math.random, captured before it was wrapped": function*(ctx) {
      yield* ctx.step("first", () => 1)
      return yield* ctx.step(`s${earlyRandom()}`, () => 2)
    },
    "a number of branches that changes": function*(ctx) {
      yield* ctx.step("first", () => 1)
      outside++
      return yield* ctx.all(
        Array.from({ length: 1 + outside }, (_, n) => ctx.step(`s${n}`, () => n))
      )
    },
    "a wait for another event": function*(ctx) {
      yield* ctx.step("first", () => 1)
      return yield* ctx.suspend(outside++ % 2 === 0 ? "go" : "never")
    },
    "a body that returns only at times": function*(ctx) {
      yield* ctx.step("first", () => 1)
      if (outside++ % 2 === 0) return 1
      return yield* ctx.step("second", () => 2)
    }
  }

  it.each(Object.keys(changing))("finds %s", (name) => {
    outside = 0
    const { get, journal } = lab(shadow)
    const workflow = workflowOf(changing[name]!)
    const error = get(workflow.start(undefined, { runId })) as Workflow.ReplayMismatch
    expect(error._tag).toBe("ReplayMismatch")
    expect(error.message.length).toBeGreaterThan(80)
    // It is found before the next step runs.
    expect(journal().entries.filter(({ type }) => type === "step")).toHaveLength(1)
  })

  it("finds nothing where there is nothing", () => {
    const { get } = lab(shadow)
    const workflow = Workflow.make("steady", { events }, function*(ctx) {
      const shared: Array<number> = []
      const each = yield* ctx.forEach([3, 1, 2], (n) =>
        function*() {
          yield* ctx.step("wait", () => Effect.sleep(n))
          shared.push(n)
          return yield* ctx.step("sum", () => n + shared.length)
        })
      const option = yield* ctx.suspend("go", { timeout: "2 seconds" })
      yield* ctx.sleep("1 second")
      const raced = yield* ctx.race({
        a: ctx.step("a", () => Effect.sleep(5)),
        b: ctx.step("b", () => Effect.sleep(2))
      })
      const undone = yield* ctx.step("c", () => 1).pipe(
        Instruction.withCompensation(() => ctx.step("d", () => 1))
      )
      return [each.length, Option.isNone(option), raced.winner, undone, yield* ctx.random]
    })
    expect(get(workflow.start(undefined, { runId }))).toMatchObject({ status: "success" })
  })

  it("compares nothing that is not on", () => {
    outside = 0
    const { get } = lab(off)
    const workflow = workflowOf(changing["a body that returns only at times"]!)
    expect(get(workflow.start(undefined, { runId }))).toMatchObject({ status: "success" })
  })
})

describe("instructions in the wrong place", () => {
  const misplaced: Record<string, Body> = {
    "returned by a step": function*(ctx) {
      yield* ctx.step("outer", (() => ctx.step("inner", () => 1)) as any)
    },
    "returned by a step's promise": function*(ctx) {
      yield* ctx.step("outer", (async () => ctx.step("inner", () => 1)) as any)
    },
    "succeeded with by a step's Effect": function*(ctx) {
      yield* ctx.step("outer", () => Effect.succeed(ctx.step("inner", () => 1)) as any)
    },
    "yielded in a step's Effect.gen": function*(ctx) {
      yield* ctx.step("outer", () =>
        Effect.gen(function*(): Generator<any, number, any> {
          return yield* ctx.step("inner", () => 1) as any
        }))
    },
    "of another kind, yielded in a step's Effect.gen": function*(ctx) {
      yield* ctx.step("outer", () =>
        Effect.gen(function*(): Generator<any, number, any> {
          return yield* ctx.sleep("1 second") as any
        }))
    },
    "a mapped one, yielded in a step's Effect.gen": function*(ctx) {
      yield* ctx.step("outer", () =>
        Effect.gen(function*(): Generator<any, number, any> {
          return yield* ctx.step("inner", () => 1).pipe(Instruction.map(() => 2)) as any
        }))
    },
    "made by the body and yielded in a step": function*(ctx) {
      const inner = ctx.step("inner", () => 1)
      yield* ctx.step("outer", () =>
        Effect.gen(function*(): Generator<any, number, any> {
          return yield* inner as any
        }))
    },
    "the step's work itself": function*(ctx) {
      yield* ctx.step("outer", ctx.step("inner", () => 1) as any)
    }
  }
  it.each(Object.keys(misplaced))("are a typed failure of their step: %s", async (name) => {
    const workflow = workflowOf(misplaced[name]!)
    // Not a simulation: promises take turns of the platform.
    const { failed, journal } = await Effect.runPromise(
      Effect.gen(function*() {
        const failed = yield* workflow.start(undefined, { runId })
        return { failed, journal: yield* Runs.journal(runId) }
      }).pipe(Effect.provide(Storage.layerMemory))
    )
    expect(failed).toMatchObject({ status: "failed", error: { _tag: "StepFailed", step: "outer" } })
    const { message } = (failed as { error: Instruction.StepFailed }).error
    expect(message).toMatch(/instruction/)
    expect(message).toMatch(/yield\*/)
    const steps = journal.entries.filter(({ type }) => type === "step")
    expect(steps).toMatchObject([{ stepId: "outer" }])
    expect(workflow.replay(journal)._tag).toBe("Threw")
  })

  it("journal nothing when ctx escapes and its instructions are used after the run is over", () => {
    const { get, journal } = lab(off)
    let escaped: Workflow.Ctx | undefined
    const workflow = Workflow.make("escapes", function*(ctx) {
      escaped = ctx
      return yield* ctx.step("a", () => 1)
    })
    get(workflow.start(undefined, { runId }))
    const before = journal().entries.length
    const late = escaped!.step("late", () => 2)
    expect(late[Symbol.iterator]().next().value).toBe(late)
    expect(journal().entries.length).toBe(before)
  })
})

describe("failures that are no errors", () => {
  const cyclic = new Error("cyclic")
  ;(cyclic as { cause?: unknown }).cause = cyclic
  const loop: Record<string, unknown> = { name: "Loop" }
  loop.self = loop
  const hostile = new Proxy({}, {
    get: () => {
      throw new Error("no reading")
    },
    has: () => {
      throw new Error("no looking")
    },
    getPrototypeOf: () => {
      throw new Error("no asking")
    }
  })
  const thrown: ReadonlyArray<readonly [string, unknown]> = [
    ["undefined", undefined],
    ["null", null],
    ["a string", "plain"],
    ["a number", Number.NaN],
    ["a bigint", 7n],
    ["a symbol", Symbol("s")],
    ["a function", () => 1],
    ["a cyclic cause", cyclic],
    ["a cyclic object", loop],
    ["an object without a prototype", Object.create(null)],
    ["a hostile proxy", hostile],
    ["a message that throws", {
      get message() {
        throw new Error("no")
      }
    }],
    ["a very long message", new Error("x".repeat(5_000_000))],
    ["lone surrogates and NUL", new Error("\ud800\u0000\udfff")]
  ]
  const ways: Record<string, (what: unknown) => unknown> = {
    throw: (what) => {
      throw what
    },
    reject: (what) => Effect.callback<never, unknown>((resume) => resume(Effect.fail(what))),
    die: (what) => Effect.die(what)
  }

  it.each(thrown)("are bounded, and the same on replay: %s", (_, what) => {
    for (const way of Object.keys(ways)) {
      const { get, journal } = lab(off)
      const seen: Array<unknown> = []
      const workflow = Workflow.make("odd", { events }, function*(ctx) {
        try {
          yield* ctx.step("odd", () => ways[way]!(what) as Effect.Effect<number>)
        } catch (error) {
          const { _tag, attempts, defect, message, tag } = error as Instruction.StepFailed
          seen.push({ _tag, attempts, defect, message, tag })
        }
        yield* ctx.suspend("go")
        return seen.length
      })
      expect(get(workflow.start(undefined, { runId }))).toMatchObject({ status: "suspended" })
      expect(get(workflow.resume(runId, { eventName: "go", value: "g" })))
        .toMatchObject({ status: "success" })
      expect(seen[0]).toMatchObject({ _tag: "StepFailed", defect: way === "die" })
      expect(seen[1]).toEqual(seen[0])
      expect(JSON.stringify(journal().entries).length).toBeLessThan(10_000)
    }
  })

  it.each(thrown)("thrown by the body itself are a BodyDefect: %s", (_, what) => {
    const { get, journal } = lab(off)
    const workflow = Workflow.make("odd", function*(ctx) {
      yield* ctx.step("a", () => 1)
      throw what
    })
    const error = get(workflow.start(undefined, { runId })) as Workflow.BodyDefect
    expect(error._tag).toBe("BodyDefect")
    expect(error.message.length).toBeLessThan(10_000)
    expect(journal().entries.map(({ type }) => type)).toEqual(["start", "step"])
  })
})

describe("a cancel while an effect runs", () => {
  it("interrupts it, lets it clean up, and is answered once that is journaled", () => {
    const { get, journal } = lab(off)
    const seen: Array<string> = []
    const workflow = Workflow.make("busy", function*(ctx) {
      yield* ctx.step("busy", ({ signal }) => {
        signal.addEventListener("abort", () => void seen.push("aborted"))
        return Effect.onInterrupt(
          Effect.sleep(hour),
          () =>
            Effect.andThen(
              Effect.sleep("2 seconds"),
              Effect.sync(() => void seen.push("cleaned up"))
            )
        )
      })
    })
    const result = get(Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(workflow.start(undefined, { runId }))
      yield* Effect.sleep("1 second")
      expect(yield* workflow.cancel(runId, { reason: "enough" })).toMatchObject({
        status: "running"
      })
      return yield* Fiber.join(fiber)
    }))
    expect(result).toEqual({ status: "cancelled", reason: "enough", runId })
    expect(seen.toSorted()).toEqual(["aborted", "cleaned up"])
    expect(journal().entries.map(({ type }) => type)).toEqual(["start", "cancel", "cancelled"])
  })

  const stuck = () => Effect.onInterrupt(Effect.never, () => Effect.never)
  const bodies: Record<string, Body> = {
    "a lone one": function*(ctx) {
      yield* ctx.step("stuck", stuck)
    },
    "one beside others": function*(ctx) {
      yield* ctx.all([ctx.step("stuck", stuck), ctx.suspend("never")])
    }
  }
  it.each(Object.keys(bodies))("that never cleans up is not waited for for ever: %s", (name) => {
    const { get, journal } = lab(off)
    const workflow = workflowOf(bodies[name]!)
    const ended = get(Effect.gen(function*() {
      const fiber = yield* Effect.forkDetach(workflow.start(undefined, { runId }))
      yield* Effect.sleep("1 second")
      yield* Runs.cancel(runId)
      yield* Effect.sleep("1 minute")
      return fiber.pollUnsafe()
    }))
    expect(journal().entries.map(({ type }) => type)).toEqual(["start", "cancel", "cancelled"])
    expect(ended).toMatchObject({ _tag: "Success", value: { status: "cancelled" } })
  })
})

describe("a body that catches everything", () => {
  it("is still suspended, and hears nothing until its event comes", () => {
    const { get, journal } = lab(slices)
    const seen: Array<string> = []
    const workflow = Workflow.make("greedy", { events }, function*(ctx) {
      for (;;) {
        try {
          const got = yield* ctx.suspend("go")
          seen.push(`got ${got}`)
          return got
        } catch (error) {
          seen.push(`caught ${String(error)}`)
          yield* ctx.step("never", () => 1)
        } finally {
          seen.push("finally")
        }
      }
    })
    for (let n = 0; n < 3; n++) {
      const result = get(n === 0 ? workflow.start(undefined, { runId }) : workflow.resume(runId))
      expect(result).toMatchObject({ status: "suspended", event: "go" })
    }
    expect(seen).toEqual([])
    expect(journal().entries.map(({ type }) => type)).toEqual(["start", "suspend"])
    expect(get(workflow.resume(runId, { eventName: "go", value: "it" })))
      .toMatchObject({ result: "it" })
    expect(seen).toEqual(["got it", "finally"])
  })

  it("is suspended by a long sleep and a long retry just the same", () => {
    const { get, journal } = lab(slices)
    const seen: Array<string> = []
    const workflow = Workflow.make("greedy", function*(ctx) {
      try {
        yield* ctx.all([
          ctx.sleep("1 hour"),
          ctx.step("retried", () => Effect.fail("no"), { retry: Schedule.spaced("1 day") })
        ])
      } catch {
        seen.push("caught")
      } finally {
        seen.push("finally")
      }
    })
    expect(get(workflow.start(undefined, { runId })))
      .toMatchObject({ status: "suspended", wakeAt: epoch + hour })
    expect(seen).toEqual([])
    expect(journal().entries.map(({ type }) => type)).toEqual(["start", "retry", "suspend"])
  })

  it("cannot turn a cancel into success", () => {
    const { get, journal } = lab(slices)
    const workflow = Workflow.make("greedy", { events }, function*(ctx) {
      for (let n = 0; n < 3; n++) {
        try {
          yield* ctx.suspend("go")
        } catch {
          yield* ctx.step("tidy", () => 1)
          return "I was never cancelled"
        }
      }
      return "never"
    })
    get(workflow.start(undefined, { runId }))
    expect(get(workflow.cancel(runId))).toMatchObject({ status: "cancelled" })
    expect(journal().entries.at(-1)).toMatchObject({ type: "cancelled" })
  })
})
