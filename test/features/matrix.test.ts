/**
 * Every instruction, each in a workflow of its own, through everything that can happen to a run: left alone,
 * replayed from every prefix of its journal, killed at every append, cancelled wherever something is
 * pending, and with its concurrent steps in every order.
 *
 * What an instruction is in detail stands in the other files; here is only what must hold for all.
 */
import { describe, expect, it } from "@effect/vitest"
import { Cause, Context, Effect, Exit, Fiber, Option, Result, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Instruction, type Journal, Runs, Storage, Workflow } from "reprise"
import * as Testing from "reprise/testing"

type Steps = Workflow.Workflow<any, any, any, any, Storage.Storage, never, any, any>

interface Row {
  readonly workflow: Steps
  readonly input?: unknown
  readonly events?: ReadonlyArray<{
    readonly eventName: string
    readonly key?: string
    readonly value?: unknown
  }>
  /** What the run comes to, whatever happens to its processes. */
  readonly comesTo: object
  /** What its orders come to, where that is not one and the same. */
  readonly orders?: ReadonlyArray<object>
  /** Of its children, so that their journals are replayed as well. */
  readonly others?: ReadonlyArray<Steps>
  /** Runs that a cancel does not reach. */
  readonly leaves?: ReadonlyArray<string>
  /** A death in the middle of it leaves a question to a person. */
  readonly asksAfterDeath?: { readonly stepId: string; readonly verdict: Runs.Verdict }
}

const cleanUp = "clean up"

/** A part of a body that cleans up behind itself, so that a cancel can be seen to reach it. */
const tidy = function*<Y, A>(work: () => Generator<Y, A, any>) {
  try {
    return yield* work()
  } finally {
    yield* Instruction.step(cleanUp, () => "clean")
  }
}

/** What the steps have taken and not given back. */
const Taken = Context.Reference<Set<string>>("test/Taken", { defaultValue: () => new Set() })

const take = (name: string) => () => Effect.map(Taken, (taken) => taken.add(name).size > 0 && name)

const giveBack = (name: string) =>
  Instruction.step("give back", () => Effect.map(Taken, (taken) => void taken.delete(name)))

const hour = 3_600_000

const square = Workflow.make("square", function*(ctx, n: number) {
  return yield* tidy(function*() {
    yield* ctx.sleep("1 hour")
    return yield* ctx.step("multiply", () => n * n)
  })
})

const squares = Workflow.make("squares", function*(ctx, n: number) {
  return yield* tidy(function*() {
    const first = yield* ctx.child(square, n)
    return first + (yield* ctx.step("add", () => 1))
  })
})

const refusing = Workflow.make("refusing", { error: Schema.String }, function*(ctx) {
  return yield* tidy(function*() {
    yield* ctx.step("look", () => 1)
    return yield* ctx.fail("refused")
  })
})

const mailbox = Workflow.define("mailbox", {
  events: { note: Schema.String },
  output: Schema.Array(Schema.String)
})

const reader = mailbox.make(function*(ctx) {
  const first = yield* ctx.suspend("note")
  const second = yield* ctx.suspend("note", { timeout: "1 hour" })
  return [first, ...Option.toArray(second)]
})

const talking = Workflow.define("talking", { events: { note: Schema.String } })

const rows: Readonly<Record<string, Row>> = {
  "step, with a schema": {
    workflow: Workflow.make("dated", function*(ctx) {
      return yield* tidy(function*() {
        const at = yield* ctx.step("date", () => new Date(7), { schema: Schema.Date })
        const more = yield* ctx.step("later", async () => at.getTime() + 1)
        return at instanceof Date ? more : 0
      })
    }),
    comesTo: { status: "success", result: 8 }
  },
  "step, repeated over hours": {
    workflow: Workflow.make("flaky", function*(ctx) {
      return yield* tidy(function*() {
        return yield* ctx.step(
          "try",
          ({ attempt }) => attempt < 3 ? Effect.fail("busy") : Effect.succeed(attempt),
          { retry: { times: 4, schedule: Schedule.spaced("1 hour") } }
        )
      })
    }),
    comesTo: { status: "success", result: 3 }
  },
  "step, at most once": {
    workflow: Workflow.make("once", function*(ctx) {
      return yield* tidy(function*() {
        yield* ctx.step("before", () => 1)
        return yield* ctx.step("post", () => "posted", { delivery: "at-most-once" })
      })
    }),
    comesTo: { status: "success", result: "posted" },
    asksAfterDeath: { stepId: "post", verdict: { value: "posted" } }
  },
  "step, with an undo": {
    workflow: Workflow.make("undoing", { error: Schema.String }, function*(ctx) {
      return yield* tidy(function*() {
        yield* ctx.step("reserve", take("seat"), { undo: () => giveBack("seat") })
        yield* ctx.step("charge", take("money"), { undo: () => giveBack("money") })
        return yield* ctx.step("ship", () => Effect.fail("no stock"), { error: Schema.String })
      })
    }),
    comesTo: { status: "failed", error: "no stock" }
  },
  "suspend, with keys": {
    workflow: Workflow.make("keyed", { events: { go: Schema.String } }, function*(ctx) {
      return yield* tidy(function*() {
        const both = yield* ctx.all({
          a: ctx.suspend("go", { key: "a" }),
          b: ctx.suspend("go", { key: "b", reason: "b is missing" })
        })
        return both.a + both.b + (yield* ctx.suspend("go"))
      })
    }),
    events: [
      { eventName: "go", key: "b", value: "2" },
      { eventName: "go", key: "a", value: "1" },
      { eventName: "go", value: "3" }
    ],
    comesTo: { status: "success", result: "123" }
  },
  "suspend, with a timeout": {
    workflow: Workflow.make("patient", { events: { go: Schema.String } }, function*(ctx) {
      return yield* tidy(function*() {
        const heard = yield* ctx.suspend("go", { timeout: "1 hour" })
        const unheard = yield* ctx.suspend("go", { timeout: "1 hour" })
        return [Option.getOrNull(heard), Option.getOrNull(unheard)]
      })
    }),
    events: [{ eventName: "go", value: "heard" }],
    comesTo: { status: "success", result: ["heard", null] }
  },
  "sleep": {
    workflow: Workflow.make("sleeping", function*(ctx) {
      return yield* tidy(function*() {
        yield* ctx.sleep("365 days")
        yield* ctx.all([ctx.sleep("1 hour"), ctx.sleep("2 hours", { name: "longer" })])
        return yield* ctx.now
      })
    }),
    comesTo: { status: "success", result: 365 * 24 * hour + 2 * hour }
  },
  "sleepUntil": {
    workflow: Workflow.make("until", function*(ctx) {
      return yield* tidy(function*() {
        yield* ctx.sleepUntil(new Date(5 * hour))
        yield* ctx.sleepUntil(hour)
        return yield* ctx.now
      })
    }),
    comesTo: { status: "success", result: 5 * hour }
  },
  "all, of a record": {
    workflow: Workflow.make("record", function*(ctx) {
      return yield* tidy(function*() {
        const seen: Array<string> = []
        const branch = (name: string) =>
          function*() {
            seen.push(yield* ctx.step(name, async () => name))
            return seen.length
          }
        const all = yield* ctx.all({ a: branch("a"), b: branch("b") })
        return { all, seen: seen.join("") }
      })
    }),
    comesTo: { status: "success", result: { all: { a: 1, b: 2 }, seen: "ab" } },
    orders: [
      { status: "success", result: { all: { a: 1, b: 2 }, seen: "ab" } },
      { status: "success", result: { all: { a: 2, b: 1 }, seen: "ba" } }
    ]
  },
  "all, of a tuple, with a step, a wait, a timer and a child": {
    workflow: Workflow.make("tuple", { events: { go: Schema.Number } }, function*(ctx) {
      return yield* tidy(function*() {
        const [step, event, , child] = yield* ctx.all([
          ctx.step("step", () => 1),
          ctx.suspend("go"),
          ctx.sleep("2 hours"),
          ctx.child(square, 2)
        ])
        return [step, event, child, yield* ctx.now]
      })
    }),
    others: [square],
    events: [{ eventName: "go", value: 3 }],
    comesTo: { status: "success", result: [1, 3, 4, 2 * hour] }
  },
  "all, with results": {
    workflow: Workflow.make("results", function*(ctx) {
      return yield* tidy(function*() {
        const all = yield* ctx.all(
          { good: ctx.step("good", () => 1), bad: ctx.step("bad", () => Effect.fail("no")) },
          { mode: "result" }
        )
        return [Result.isSuccess(all.good), Result.isFailure(all.bad)]
      })
    }),
    comesTo: { status: "success", result: [true, true] }
  },
  "all, some at a time": {
    workflow: Workflow.make("limited", function*(ctx) {
      return yield* tidy(function*() {
        return yield* ctx.all(
          ["a", "b", "c", "d"].map((name) => ctx.step(name, async () => name)),
          { concurrency: 2 }
        )
      })
    }),
    comesTo: { status: "success", result: ["a", "b", "c", "d"] }
  },
  "all, where one fails": {
    workflow: Workflow.make("failing", { error: Schema.String }, function*(ctx) {
      return yield* tidy(function*() {
        yield* ctx.all([
          function*() {
            yield* ctx.step("take", take("seat"), { undo: () => giveBack("seat") })
            yield* ctx.sleep("1 day")
          },
          ctx.step("fail", () => Effect.fail("no"), { error: Schema.String })
        ])
      })
    }),
    comesTo: { status: "failed", error: "no" }
  },
  "forEach, with keys": {
    workflow: Workflow.make("each", function*(ctx) {
      return yield* tidy(function*() {
        return yield* ctx.forEach(
          [{ id: "x", n: 1 }, { id: "y", n: 2 }, { id: "z", n: 3 }],
          ({ n }) => ctx.step("double", () => n * 2),
          { key: ({ id }) => id, concurrency: 2 }
        )
      })
    }),
    comesTo: { status: "success", result: [2, 4, 6] }
  },
  "forEach, in runs of their own": {
    workflow: Workflow.make("parts", function*(ctx) {
      return yield* tidy(function*() {
        return yield* ctx.forEach([1, 2, 3], (n) => ctx.step("double", () => n * 2), { perRun: 2 })
      })
    }),
    comesTo: { status: "success", result: [2, 4, 6] }
  },
  "race, of a record": {
    workflow: Workflow.make("racing", function*(ctx) {
      return yield* tidy(function*() {
        const { value, winner } = yield* ctx.race({
          fast: ctx.step("fast", () => 1),
          slow: function*() {
            return yield* tidy(function*() {
              const first = yield* ctx.step("slow", async () => 2)
              return first + (yield* ctx.step("slower", () => 2))
            })
          },
          never: ctx.sleep("1 day")
        })
        return `${winner} ${String(value)}`
      })
    }),
    comesTo: { status: "success", result: "fast 1" },
    orders: [
      { status: "success", result: "fast 1" },
      { status: "success", result: "slow 4" }
    ]
  },
  "race, of an array": {
    workflow: Workflow.make("dash", function*(ctx) {
      return yield* tidy(function*() {
        return yield* ctx.race([ctx.sleep("2 hours"), ctx.child(square, 3), ctx.sleep("1 day")])
      })
    }),
    others: [square],
    comesTo: { status: "success", result: 9 }
  },
  "any": {
    workflow: Workflow.make("any", function*(ctx) {
      return yield* tidy(function*() {
        return yield* ctx.any([
          ctx.step("bad", () => Effect.fail("no")),
          ctx.step("good", async () => "good"),
          ctx.step("better", async () => {
            await Promise.resolve()
            return "better"
          })
        ])
      })
    }),
    comesTo: { status: "success", result: "good" },
    orders: [
      { status: "success", result: "good" },
      { status: "success", result: "better" }
    ]
  },
  "child": {
    workflow: Workflow.make("parent", function*(ctx) {
      return yield* tidy(function*() {
        const four = yield* ctx.child(square, 2)
        const error = yield* ctx.child(refusing, undefined, { onCancel: "await" }).pipe(
          Instruction.result
        )
        return [four, Result.isFailure(error) && String(error.failure)]
      })
    }),
    others: [square, refusing],
    comesTo: { status: "success", result: [4, "refused"] }
  },
  "child, with children": {
    workflow: Workflow.make("family", function*(ctx) {
      return yield* tidy(function*() {
        const [a, b] = yield* ctx.all([ctx.child(squares, 2), ctx.child(squares, 3)])
        return a + b
      })
    }),
    others: [square, squares],
    comesTo: { status: "success", result: 15 }
  },
  "send, and a child that nobody waits for": {
    workflow: Workflow.make("sender", function*(ctx) {
      return yield* tidy(function*() {
        const id = yield* ctx.child(mailbox, null, { discard: true, runId: "box" })
        yield* ctx.send(mailbox, id, { eventName: "note", value: "one" })
        return id
      })
    }),
    others: [reader],
    leaves: ["box"],
    comesTo: { status: "success", result: "box" }
  },
  "send, to itself": {
    workflow: talking.make(function*(ctx) {
      return yield* tidy(function*() {
        const id = yield* ctx.runId
        yield* ctx.send(talking, id, { eventName: "note", value: "early" })
        return yield* ctx.suspend("note")
      })
    }),
    comesTo: { status: "success", result: "early" }
  },
  "publish": {
    workflow: Workflow.make("publishing", { channels: { done: Schema.Number } }, function*(ctx) {
      return yield* tidy(function*() {
        yield* ctx.publish("done", 1)
        const two = yield* ctx.step("two", ({ publish }) => {
          publish("done", 2)
          return 2
        })
        yield* ctx.publish("done", 3)
        return two
      })
    }),
    comesTo: { status: "success", result: 2 }
  },
  "token": {
    workflow: Workflow.make("linked", { events: { click: Schema.String } }, function*(ctx) {
      return yield* tidy(function*() {
        const token = yield* ctx.token("click", "mail")
        yield* ctx.step("mail", () => Effect.orDie(Runs.deliver(token, "clicked")))
        return yield* ctx.suspend("click", { key: "mail" })
      })
    }),
    comesTo: { status: "success", result: "clicked" }
  },
  "continueAs": {
    workflow: Workflow.make("countdown", { events: { go: Schema.String } }, function*(
      ctx,
      n: number
    ): Workflow.Body<string> {
      return yield* tidy(function*() {
        const tick = yield* ctx.step("tick", () => n)
        if (tick > 0) return yield* ctx.continueAs(n - 1)
        return yield* ctx.suspend("go")
      })
    }),
    input: 2,
    events: [{ eventName: "go", value: "lift-off" }],
    comesTo: { status: "success", result: "lift-off", runId: "r+3" }
  },
  "patched": {
    workflow: Workflow.make("patched", function*(ctx) {
      return yield* tidy(function*() {
        const first = yield* ctx.patched("first")
        yield* ctx.all([
          ctx.step("a", async () => 1),
          function*() {
            yield* ctx.step("b", async () => 1)
            if (yield* ctx.patched("second")) yield* ctx.step("c", () => 1)
          }
        ])
        return [first, yield* ctx.patched("second"), yield* ctx.patched("first")]
      })
    }),
    comesTo: { status: "success", result: [true, true, true] }
  },
  "now, random and uuid": {
    workflow: Workflow.make("chance", function*(ctx) {
      return yield* tidy(function*() {
        const draws = [yield* ctx.random, yield* ctx.random]
        const ids = [yield* ctx.uuid, yield* ctx.uuid]
        yield* ctx.sleep("1 hour")
        const more = yield* ctx.all([ctx.random, ctx.random])
        const step = yield* ctx.step(`of ${ids[0]}`, () => 1)
        return {
          now: yield* ctx.now,
          different: new Set([...draws, ...ids, ...more]).size,
          step
        }
      })
    }),
    comesTo: { status: "success", result: { now: hour, different: 6, step: 1 } }
  },
  "log, and runId": {
    workflow: Workflow.make("logging", function*(ctx) {
      return yield* tidy(function*() {
        yield* ctx.log("begins", { a: 1 })
        yield* ctx.step("a", () => 1)
        yield* ctx.log("goes on")
        return yield* ctx.runId
      })
    }),
    comesTo: { status: "success", result: "r" }
  },
  "fail": {
    workflow: Workflow.make(
      "giving up",
      { error: Schema.Struct({ _tag: Schema.Literal("Empty"), shelf: Schema.Number }) },
      function*(ctx) {
        return yield* tidy(function*() {
          const shelf = yield* ctx.step("look", () => 7)
          const caught = yield* Instruction.catch(
            ctx.fail({ _tag: "Empty", shelf: 1 }),
            () => ctx.step("mend", () => 1)
          )
          return yield* ctx.fail({ _tag: "Empty", shelf: shelf + caught })
        })
      }
    ),
    comesTo: { status: "failed", error: { _tag: "Empty", shelf: 8 } }
  },
  "timeout": {
    workflow: Workflow.make("timeout", { events: { go: Schema.String } }, function*(ctx) {
      return yield* tidy(function*() {
        const value = yield* ctx.step("in time", () => 1).pipe(Instruction.timeout("1 hour"))
        const late = yield* tidied(ctx.suspend("go")).pipe(
          Instruction.timeout("1 hour"),
          Instruction.result
        )
        return [value, Result.isFailure(late) && late.failure._tag]
      })
    }),
    comesTo: { status: "success", result: [1, "StepTimeout"] }
  },
  "timeoutOption": {
    workflow: Workflow.make("timeoutOption", function*(ctx) {
      return yield* tidy(function*() {
        const value = yield* ctx.step("in time", () => 1).pipe(
          Instruction.timeoutOption("1 hour")
        )
        const late = yield* ctx.child(square, 2).pipe(Instruction.timeoutOption("1 minute"))
        return [Option.getOrNull(value), Option.getOrNull(late)]
      })
    }),
    others: [square],
    comesTo: { status: "success", result: [1, null] }
  },
  "withCompensation, of steps": {
    workflow: Workflow.make("steps undone", { error: Schema.String }, function*(ctx) {
      return yield* tidy(function*() {
        yield* ctx.all([
          ctx.step("seat", take("seat")).pipe(Instruction.withCompensation(() => giveBack("seat"))),
          ctx.step("meal", take("meal")).pipe(Instruction.withCompensation(function*() {
            yield* ctx.sleep("1 hour")
            yield* giveBack("meal")
          }))
        ])
        return yield* ctx.fail("over")
      })
    }),
    comesTo: { status: "failed", error: "over" }
  },
  "withCompensation, of a child": {
    workflow: Workflow.make("child undone", { error: Schema.String }, function*(ctx) {
      return yield* tidy(function*() {
        yield* ctx.child(square, 2).pipe(
          Instruction.withCompensation((four) =>
            ctx.step("undo", () => four === undefined || four === 4)
          )
        )
        return yield* ctx.fail("over")
      })
    }),
    others: [square],
    comesTo: { status: "failed", error: "over" }
  },
  "withCompensation, of all": {
    workflow: Workflow.make("all undone", { error: Schema.String }, function*(ctx) {
      return yield* tidy(function*() {
        yield* ctx.all([ctx.step("a", () => 1), ctx.step("b", () => 2)]).pipe(
          Instruction.withCompensation((both) => ctx.step("undo", () => both ?? []))
        )
        return yield* ctx.fail("over")
      })
    }),
    comesTo: { status: "failed", error: "over" }
  }
}

/** An instruction that cleans up behind itself. */
function tidied<A, E, R, S>(of: Instruction.Instruction<A, E, R, S>) {
  return Instruction.all([() =>
    tidy(function*() {
      return yield* of
    })]).pipe(Instruction.map(([value]) => value))
}

// ---------------------------------------------------------------------------------------------------
// what is done with each

const runId = "r"

const storageOf = (driver: Storage.Driver) =>
  Effect.provideService(Storage.Storage, Storage.make(driver))

/** A clock, and what its steps take, of its own. */
const inWorld = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  effect.pipe(
    Effect.provideService(Workflow.Guard, { slices: true, shadow: true }),
    Effect.provideService(Workflow.ShortWait, 0),
    Effect.provideService(Taken, new Set<string>()),
    Effect.provide(TestClock.layer(), { local: true })
  )

const play = ({ events = [], input, workflow }: Row) =>
  Testing.play(workflow, input, { runId, events: events as any })

const journals = Effect.gen(function*() {
  const { runs } = yield* Runs.list({})
  return yield* Effect.forEach(runs, ({ runId }) => Runs.journal(runId))
})

const workflowOf = ({ others = [], workflow }: Row, { entries }: Journal.Journal) => {
  const [start] = entries
  const name = start?.type === "start" ? start.workflow : undefined
  return [workflow, ...others].find((one) => one.name === name)
}

/** Every journal of the world fits its code, from every prefix on. */
const replays = (row: Row) =>
  Effect.map(journals, (all) => {
    for (const journal of all) {
      const workflow = workflowOf(row, journal)
      if (workflow === undefined) continue
      for (let n = 1; n <= journal.entries.length; n++) {
        const replayed = workflow.replay({ ...journal, entries: journal.entries.slice(0, n) })
        if (replayed._tag === "Diverged") throw replayed.mismatch
        if (replayed._tag === "Broke") throw replayed.defect
      }
    }
    return all
  })

/** Whether the clean-up of a run's body has run, or was what a cancel found pending and cut off. */
const isClean = (workflow: Steps, journal: Journal.Journal) => {
  const { entries } = journal
  if (entries.some((entry) => entry.type === "step" && entry.stepId === cleanUp)) return true
  const at = entries.findIndex(({ type }) => type === "cancel")
  const before = workflow.replay({ ...journal, entries: entries.slice(0, at) })
  return at > 0 && before._tag === "Blocked" && before.steps.includes(cleanUp)
}

/** What must hold of a world after its run was cancelled. */
const seenCancelled = (row: Row) =>
  Effect.gen(function*() {
    // Clean-up and undos may wait for a timer.
    yield* play(row)
    expect((yield* Runs.latestStatus(runId)).status).toBe("cancelled")
    for (const journal of yield* replays(row)) {
      if (row.leaves?.includes(journal.runId) === true) continue
      expect(isOver(journal)).toBe(true)
      const workflow = workflowOf(row, journal)
      if (workflow !== undefined) expect(isClean(workflow, journal)).toBe(true)
    }
    expect([...(yield* Taken)]).toEqual([])
  })

const ends = new Set(["complete", "error", "cancelled", "continue"])

const isOver = ({ entries }: Journal.Journal) => ends.has(entries.at(-1)?.type ?? "")

/** How often something happens in a run that is left alone. */
const counts = (row: Row) =>
  Effect.gen(function*() {
    let appends = 0
    let steps = 0
    let suspensions = 0
    const driver = Testing.faultyDriver(Storage.memoryDriver(), ({ verb }) => {
      if (verb === "append") appends++
      return "done"
    })
    const hook: Workflow.StepHook = (_, work) => Effect.suspend(() => (steps++, work))
    yield* play(row).pipe(
      Effect.provideService(Workflow.StepHook, hook),
      storageOf(driver),
      inWorld
    )
    yield* driveTo(row, Infinity, () => suspensions++).pipe(
      storageOf(Storage.memoryDriver()),
      inWorld
    )
    return { appends, steps, suspensions }
  })

/** Drives a run as `play` does, up to its nth suspension. */
const driveTo = ({ events = [], input, workflow }: Row, nth: number, onSuspended: () => void) =>
  Effect.gen(function*() {
    const left = [...events]
    let result: Workflow.Result<unknown, unknown> = yield* workflow.start(input, { runId })
    for (let n = 1; result.status === "suspended"; n++) {
      onSuspended()
      const { wakeAt, waits } = result
      if (n === nth) return
      const at = left.findIndex(({ eventName, key }) =>
        waits.some((wait) => wait.event === eventName && wait.key === key)
      )
      const [event] = at < 0 ? [] : left.splice(at, 1)
      if (event === undefined) yield* TestClock.setTime(wakeAt!)
      result = yield* workflow.resume(result.runId, event as any)
    }
  })

const lastJournal = Effect.flatMap(
  Runs.latestStatus(runId),
  ({ runId }) => Runs.journal(runId)
)

/** Whether the run's body is not over; then a cancel is not too late. */
const isInBody = ({ workflow }: Row) =>
  Effect.map(lastJournal, (journal) => workflow.replay(journal)._tag === "Blocked")

/** Cancels the run while its nth step runs; the step goes on when the run has heard of it. */
const cancelInStep = (row: Row, nth: number) =>
  Effect.gen(function*() {
    const storage = yield* Storage.Storage
    let steps = 0
    let isTooLate = false
    const cancel = Effect.gen(function*() {
      yield* Runs.cancel(runId)
      for (let turns = 0;; turns++) {
        const { entries } = yield* lastJournal
        if (entries.some(({ type }) => type === "cancel")) break
        // Its body has ended, and the step is of a child that cleans up.
        isTooLate = !(yield* isInBody(row))
        if (isTooLate) break
        if (turns > 1_000) throw new Error("the run does not hear of its cancel")
        yield* Effect.yieldNow
      }
      // So do children, and what is to be interrupted is.
      for (let turns = 0; turns < 50; turns++) yield* Effect.yieldNow
    }).pipe(Effect.provideService(Storage.Storage, storage))
    const hook: Workflow.StepHook = (_, work) =>
      Effect.suspend(() => ++steps === nth ? Effect.andThen(cancel, work) : work)
    const result = yield* Effect.provideService(play(row), Workflow.StepHook, hook)
    expect(steps).toBeGreaterThanOrEqual(nth)
    if (isTooLate) expect(result).toMatchObject(row.comesTo)
    else yield* seenCancelled(row)
  })

const cancelWhenSuspended = (row: Row, nth: number) =>
  Effect.gen(function*() {
    yield* driveTo(row, nth, () => {})
    yield* row.workflow.cancel(runId)
    yield* seenCancelled(row)
  })

type Death = "dies before" | "dies after"

/** Plays the run in a process that dies at its nth append; gives what it leaves behind. */
const killed = (row: Row, nth: number, death: Death, onStep: (name: string) => void = () => {}) =>
  Effect.gen(function*() {
    const disk = Storage.memoryDriver()
    const dying = Testing.faultyDriver(
      disk,
      (call) => call.verb === "append" && call.nth === nth ? death : "done"
    )
    const hook: Workflow.StepHook = ({ name }, work) =>
      Effect.suspend(() => {
        if (!dying.isAlive()) return Effect.interrupt
        onStep(name)
        return work
      })
    const process = yield* Effect.forkChild(
      play(row).pipe(Effect.provideService(Workflow.StepHook, hook), storageOf(dying))
    )
    yield* Effect.raceFirst(Fiber.await(process), dying.died)
    yield* Fiber.interrupt(process)
    expect(dying.isAlive()).toBe(false)
    yield* dying.died
    return disk
  })

/** Cancels in a new process what the old one left at its nth append; false when it was too late. */
const cancelAfterDeath = (row: Row, nth: number, death: Death) =>
  Effect.gen(function*() {
    const disk = yield* killed(row, nth, death)
    return yield* Effect.gen(function*() {
      const isOpen = yield* Effect.orElseSucceed(isInBody(row), () => false)
      const exit = yield* Effect.exit(row.workflow.cancel(runId))
      const isCancelled = isOpen || (Exit.isSuccess(exit) && exit.value.status === "cancelled")
      if (isCancelled) yield* seenCancelled(row)
      else if (Exit.isSuccess(exit)) expect(exit.value).toMatchObject(row.comesTo)
      else {expect(Cause.squash(exit.cause)).toMatchObject({
          _tag: expect.stringMatching(/^Run(NotFound|Closed)$/)
        })}
      return isCancelled
    }).pipe(storageOf(disk))
  }).pipe(inWorld)

for (const [name, row] of Object.entries(rows)) {
  const { comesTo, orders = [comesTo] } = row
  describe(`a run of ${name}`, () => {
    it.effect("comes to what it should, and its journal fits the code from every prefix on", () =>
      Effect.gen(function*() {
        const result = yield* play(row)
        expect(result).toMatchObject(comesTo)
        const all = yield* replays(row)
        const last = all.find(({ runId }) => runId === result.runId)!
        const replayed = row.workflow.replay(last)
        if (result.status === "success") {
          expect(replayed).toEqual({ _tag: "Returned", value: expect.anything() })
          expect(JSON.parse(JSON.stringify(replayed))).toMatchObject({ value: result.result })
        } else expect(replayed).toMatchObject({ _tag: "Threw" })
        // Whoever comes later is told the same, and nothing is written.
        expect(yield* row.workflow.resume(runId)).toEqual(result)
        expect(yield* journals).toEqual(all)
      }).pipe(storageOf(Storage.memoryDriver()), inWorld))

    const { asksAfterDeath } = row
    if (asksAfterDeath !== undefined) {
      it.effect("runs once at most wherever its process dies, and asks when nobody knows", () =>
        Effect.gen(function*() {
          const { appends } = yield* counts(row)
          let asked = 0
          for (let nth = 1; nth <= appends; nth++) {
            for (const death of ["dies before", "dies after"] as const) {
              let ran = 0
              const count = (name: string) => {
                if (name === asksAfterDeath.stepId) ran++
              }
              yield* Effect.gen(function*() {
                const disk = yield* killed(row, nth, death, count)
                const hook: Workflow.StepHook = ({ name }, work) =>
                  Effect.suspend(() => (count(name), work))
                yield* Effect.gen(function*() {
                  let result = yield* play(row)
                  if (result.status === "blocked") {
                    asked++
                    expect(result.reason).toBe(`OutcomeUnknown: "${asksAfterDeath.stepId}"`)
                    yield* Runs.settle(runId, asksAfterDeath.stepId, asksAfterDeath.verdict)
                    result = yield* play(row)
                  }
                  expect(result).toMatchObject(comesTo)
                }).pipe(Effect.provideService(Workflow.StepHook, hook), storageOf(disk))
              }).pipe(inWorld)
              expect(ran).toBeLessThanOrEqual(1)
            }
          }
          expect(asked).toBeGreaterThan(0)
        }))
    } else {
      it.effect("comes to the same wherever its process dies", () =>
        Effect.gen(function*() {
          const { events = [], input, workflow } = row
          const options = { runId, events: events as any }
          const { outcome, points } = yield* Testing.crashEverywhere(workflow, input, options)
          expect(outcome).toMatchObject(comesTo)
          expect(points).toBeGreaterThan(4)
          for (const durability of ["async", "exit"] as const) {
            const relaxed = { ...options, durability }
            const report = yield* Testing.crashEverywhere(workflow, input, relaxed)
            expect(report.outcome).toMatchObject(comesTo)
            expect(report.points).toBeGreaterThan(1)
          }
        }))
    }

    it.effect("comes to one of few things in every order, and each of them replays", () =>
      Effect.gen(function*() {
        const { events = [], input, workflow } = row
        const options = { runId, events: events as any }
        const { complete, outcomes } = yield* Testing.permute(workflow, input, options)
        expect(complete).toBe(true)
        const results = outcomes.map(({ result }) => result)
        expect(results).toHaveLength(orders.length)
        const each = orders.map((order) => expect.objectContaining(order))
        expect(results).toEqual(expect.arrayContaining(each))
      }))

    it.effect("is cancelled wherever something is pending, cleans up, and fits the code", () =>
      Effect.gen(function*() {
        const { appends, steps, suspensions } = yield* counts(row)
        for (let nth = 1; nth <= steps; nth++) {
          yield* cancelInStep(row, nth).pipe(storageOf(Storage.memoryDriver()), inWorld)
        }
        for (let nth = 1; nth <= suspensions; nth++) {
          yield* cancelWhenSuspended(row, nth).pipe(storageOf(Storage.memoryDriver()), inWorld)
        }
        let cancelled = 0
        for (let nth = 1; nth <= appends; nth++) {
          for (const death of ["dies before", "dies after"] as const) {
            if (yield* cancelAfterDeath(row, nth, death)) cancelled++
          }
        }
        expect(cancelled).toBeGreaterThan(appends)
      }))
  })
}

describe("a cancel", () => {
  it.effect("reaches a child however soon it comes after the child's start", () =>
    Effect.gen(function*() {
      for (const onCancel of ["cancel", "await"] as const) {
        const parent = Workflow.make("hasty", { events: { go: Schema.Void } }, function*(ctx) {
          yield* ctx.all([ctx.suspend("go"), ctx.child(square, 2, { runId: "child", onCancel })])
        })
        for (let turns = 0; turns < 20; turns++) {
          yield* Effect.gen(function*() {
            const run = yield* Effect.forkChild(parent.start(undefined, { runId }))
            const storage = yield* Storage.Storage
            while ((yield* storage.version(runId)) === "") yield* Effect.yieldNow
            for (let turn = 0; turn < turns; turn++) yield* Effect.yieldNow
            yield* Runs.cancel(runId)
            yield* Fiber.join(run)
            // It may have only waited by then, and nobody drives it.
            yield* parent.resume(runId)
            const ended = Effect.map(Runs.list(), ({ runs }) => runs.map(({ status }) => status))
            for (const status of yield* ended) expect(status).toBe("cancelled")
          }).pipe(storageOf(Storage.memoryDriver()), inWorld)
        }
      }
    }))
})
