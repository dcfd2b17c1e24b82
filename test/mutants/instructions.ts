/**
 * One short look at each thing that an instruction promises beyond its value: in which order things are
 * taken, what is journaled of them, and what happens after a crash. As in `checks.ts`, every check takes
 * the library as a parameter and throws when it sees a bug in it.
 *
 * Without the guard and the shadow replay, which would see many of them first.
 */
import { Deferred, Effect, Exit, Fiber, Option, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import assert from "node:assert/strict"
import type * as Reprise from "reprise"
import type { Check, Library } from "./checks.ts"

type Driver = Reprise.Storage.Driver

const runId = "r"
const second = 1_000
const hour = 3_600 * second

/** A storage and a clock of its own; no timer is waited for in the process. */
const inWorld = (
  look: (reprise: Library) => Effect.Effect<void, unknown, Reprise.Storage.Storage>
): Check =>
(reprise) =>
  look(reprise).pipe(
    on(reprise, reprise.Storage.memoryDriver()),
    Effect.provideService(reprise.Workflow.Guard, { slices: false, shadow: false }),
    Effect.provideService(reprise.Workflow.ShortWait, 0),
    Effect.provide(TestClock.layer(), { local: true })
  )

const on = ({ Storage }: Library, driver: Driver) =>
  Effect.provideService(Storage.Storage, Storage.make(driver))

/** A process on `disk` that dies at its nth append. */
const dying = (
  { Testing }: Library,
  disk: Driver,
  nth: number,
  fate: "dies before" | "dies after"
) =>
  Testing.faultyDriver(disk, (call) => call.verb === "append" && call.nth === nth ? fate : "done")

/** Runs a process to its death. */
const killed = <A, E>(
  reprise: Library,
  program: Effect.Effect<A, E, Reprise.Storage.Storage>,
  driver: Reprise.Storage.Driver & { readonly died: Effect.Effect<void> }
) =>
  Effect.gen(function*() {
    assert.ok(Exit.isFailure(yield* Effect.exit(on(reprise, driver)(program))))
    yield* driver.died
  })

const entries = ({ Runs }: Library, of = runId) =>
  Effect.map(Runs.journal(of), (journal) => journal.entries)

/** Types of the entries, without those that open a session or say that the run waits. */
const story = (reprise: Library, of = runId) =>
  Effect.map(
    entries(reprise, of),
    (all) =>
      all.filter(({ type }) => type !== "start" && type !== "suspend").map((entry) =>
        "stepId" in entry ? `${entry.type} ${entry.stepId}` : entry.type
      )
  )

const events = { go: Schema.String }
const go = (value: string) => ({ eventName: "go", value, eventId: value }) as const

// time

/** No timer goes off before its time, also where something else wakes the run. */
export const neverEarly = inWorld((reprise) =>
  Effect.gen(function*() {
    const nap = reprise.Workflow.make("nap", { events }, function*(ctx) {
      return yield* ctx.race({
        timer: ctx.sleep("10 seconds"),
        events: function*() {
          yield* ctx.suspend("go")
          yield* ctx.suspend("go")
        }
      })
    })
    yield* nap.start(undefined, { runId })
    yield* TestClock.setTime(9.5 * second)
    assert.equal((yield* nap.resume(runId, go("one"))).status, "suspended")
    yield* TestClock.setTime(10 * second)
    assert.equal((yield* nap.resume(runId)).status, "success")
  })
)

/** A timer that went off stands in the journal. */
export const timersJournaled = inWorld((reprise) =>
  Effect.gen(function*() {
    const nap = reprise.Workflow.make("nap", function*(ctx) {
      yield* ctx.sleep("1 hour")
    })
    yield* reprise.Testing.play(nap, undefined, { runId })
    assert.deepEqual(yield* story(reprise), ["timer sleep", "complete"])
  })
)

/** `ctx.now` never goes back, although the clock does. */
export const timeGoesOn = inWorld((reprise) =>
  Effect.gen(function*() {
    const clocks = reprise.Workflow.make("clocks", function*(ctx) {
      yield* ctx.step("ahead", () => TestClock.setTime(hour))
      const first = yield* ctx.now
      yield* ctx.step("back", () => TestClock.setTime(second))
      return [first, yield* ctx.now]
    })
    const result = yield* clocks.start(undefined, { runId })
    assert.deepEqual(result.status === "success" && result.result, [hour, hour])
  })
)

/** A session goes on counting attempts where the last one stopped. */
export const retryBudget = inWorld((reprise) =>
  Effect.gen(function*() {
    let ran = 0
    const flaky = reprise.Workflow.make("flaky", function*(ctx) {
      yield* ctx.step("try", () => ++ran > 3 ? Effect.void : Effect.fail("busy"), {
        retry: { times: 2, schedule: Schedule.spaced("1 hour") }
      })
    })
    const { status } = yield* reprise.Testing.play(flaky, undefined, { runId })
    assert.deepEqual({ ran, status }, { ran: 3, status: "failed" })
  })
)

// events

const patient = ({ Workflow }: Library) =>
  Workflow.make("patient", { events }, function*(ctx) {
    yield* ctx.sleep("1 hour")
    return Option.getOrElse(yield* ctx.suspend("go", { timeout: "1 hour" }), () => "nothing")
  })

/** An event that came before its wait is taken by it at once. */
export const keptEvents = inWorld((reprise) =>
  Effect.gen(function*() {
    const waiting = patient(reprise)
    yield* waiting.start(undefined, { runId })
    yield* waiting.resume(runId, go("early"))
    yield* TestClock.setTime(hour)
    const result = yield* waiting.resume(runId)
    assert.deepEqual(result, { status: "success", result: "early", runId })
  })
)

/** What was posted before a session looks at its timers comes before them. */
export const eventsFirst = inWorld((reprise) =>
  Effect.gen(function*() {
    const waiting = patient(reprise)
    yield* waiting.start(undefined, { runId })
    yield* TestClock.setTime(hour)
    assert.equal((yield* waiting.resume(runId)).status, "suspended")
    yield* waiting.send(runId, go("posted"))
    yield* TestClock.setTime(3 * hour)
    const result = yield* waiting.resume(runId)
    assert.deepEqual(result, { status: "success", result: "posted", runId })
  })
)

/** A token is of one run, and counts once. */
export const tokens = inWorld((reprise) =>
  Effect.gen(function*() {
    const { Runs, Workflow } = reprise
    const made: Array<string> = []
    const linked = Workflow.make("linked", { events }, function*(ctx) {
      const token = yield* ctx.token("go")
      yield* ctx.step("mail", () => void made.push(token))
      return [yield* ctx.suspend("go"), yield* ctx.suspend("go")]
    })
    yield* linked.start(undefined, { runId })
    yield* Runs.remove(runId)
    yield* linked.start(undefined, { runId })
    const [old, current] = made
    const exit = yield* Effect.exit(Runs.deliver(old!, "old"))
    assert.ok(Exit.isFailure(exit), "a token of a run that was removed reached another one")
    yield* Runs.deliver(current!, "one")
    yield* Runs.deliver(current!, "two")
    assert.equal((yield* linked.resume(runId)).status, "suspended")
  })
)

/** A message is delivered once, although its step ran again after a crash. */
export const sendsOnce = inWorld((reprise) =>
  Effect.gen(function*() {
    const { Storage, Workflow } = reprise
    const disk = Storage.memoryDriver()
    const twice = Workflow.make("twice", { events }, function*(ctx) {
      return [yield* ctx.suspend("go"), yield* ctx.suspend("go")]
    })
    const sender = Workflow.make("sender", function*(ctx) {
      yield* ctx.send(twice, "twice", { eventName: "go", value: "one" })
    })
    yield* on(reprise, disk)(twice.start(undefined, { runId: "twice" }))
    const death = dying(reprise, disk, 2, "dies before")
    yield* killed(reprise, sender.start(undefined, { runId }), death)
    const sent = yield* on(reprise, disk)(sender.resume(runId))
    assert.equal(sent.status, "success")
    const result = yield* on(reprise, disk)(twice.resume("twice"))
    assert.equal(result.status, "suspended")
  })
)

// branches

/** The losers of a race are cancelled. */
export const losersEnd = inWorld((reprise) =>
  Effect.gen(function*() {
    const racing = reprise.Workflow.make("racing", { events }, function*(ctx) {
      return yield* ctx.race([ctx.step("step", () => "step"), ctx.suspend("go")])
    })
    const result = yield* racing.start(undefined, { runId })
    assert.deepEqual(result, { status: "success", result: "step", runId })
  })
)

/** An outcome that arrives together with the one that won the race counts for nothing. */
export const lostOutcomes = inWorld((reprise) =>
  Effect.gen(function*() {
    const racing = reprise.Workflow.make("racing", function*(ctx) {
      return yield* ctx.race([ctx.step("a", () => "a"), ctx.step("b", () => "b")])
    })
    assert.equal((yield* racing.start(undefined, { runId })).status, "success")
    assert.deepEqual(yield* story(reprise), ["step race[0]/a", "complete"])
  })
)

// undoing

const saga = ({ Workflow }: Library, undone: Array<string>, failing?: string) => {
  let isFirst = true
  return Workflow.make("saga", { error: Schema.String }, function*(ctx) {
    for (const name of ["a", "b"]) {
      const undo = () => {
        if (name === failing && isFirst) {
          isFirst = false
          throw new Error("not now")
        }
        undone.push(name)
      }
      yield* ctx.step(name, () => name, { undo: () => ctx.step("undo", undo) })
    }
    return yield* ctx.fail("over")
  })
}

/** What was done is undone, the last first, and stands in the journal. */
export const undoOrder = inWorld((reprise) =>
  Effect.gen(function*() {
    const undone: Array<string> = []
    const result = yield* reprise.Testing.play(saga(reprise, undone), undefined, { runId })
    assert.deepEqual(result, { status: "failed", error: "over", runId })
    assert.deepEqual(undone, ["b", "a"])
    assert.deepEqual((yield* story(reprise)).slice(2), [
      "step b[undo]/undo",
      "undo b",
      "step a[undo]/undo",
      "undo a",
      "error"
    ])
  })
)

/** An undo that fails is tried again by itself. */
export const undoRetried = inWorld((reprise) =>
  Effect.gen(function*() {
    const undone: Array<string> = []
    const result = yield* reprise.Testing.play(saga(reprise, undone, "b"), undefined, { runId })
    assert.deepEqual(result, { status: "failed", error: "over", runId })
    assert.deepEqual(undone, ["b", "a"])
  })
)

/** What could not be undone is told, and stops no other undo. */
export const undoFails = inWorld((reprise) =>
  Effect.gen(function*() {
    const undone: Array<string> = []
    const hopeless = reprise.Workflow.make("hopeless", function*(ctx) {
      yield* ctx.step("a", () => 1, { undo: () => ctx.step("undo", () => void undone.push("a")) })
      yield* ctx.step("b", () => 1, {
        undo: () => ctx.step("undo", () => Effect.fail("no"), { retry: 0 })
      })
      return yield* ctx.fail("over")
    })
    const result = yield* reprise.Testing.play(hopeless, undefined, { runId })
    assert.deepEqual(undone, ["a"])
    assert.equal(
      result.status === "failed" && (result.error as { readonly _tag?: string })._tag,
      "CompensationFailed"
    )
  })
)

/** A bug in the body undoes nothing and ends nothing. */
export const bugsUndoNothing = inWorld((reprise) =>
  Effect.gen(function*() {
    const undone: Array<string> = []
    const broken = reprise.Workflow.make("broken", function*(ctx) {
      yield* ctx.step("a", () => 1, { undo: () => ctx.step("undo", () => void undone.push("a")) })
      throw new Error("a bug")
    })
    assert.ok(Exit.isFailure(yield* Effect.exit(broken.start(undefined, { runId }))))
    assert.deepEqual(undone, [])
    assert.deepEqual(yield* story(reprise), ["step a"])
  })
)

/** A step with an undo that runs when it is cancelled comes to its end, and is undone then. */
export const undoRunning = inWorld((reprise) =>
  Effect.gen(function*() {
    const { Runs, Workflow } = reprise
    const undone: Array<unknown> = []
    const began = yield* Deferred.make<void>()
    const gate = yield* Deferred.make<void>()
    const work = Effect.as(
      Effect.andThen(Deferred.succeed(began, undefined), Deferred.await(gate)),
      "done"
    )
    const slow = Workflow.make("slow", function*(ctx) {
      yield* ctx.step("slow", () => work, {
        undo: (value) => ctx.step("undo", () => void undone.push(value))
      })
    })
    const run = yield* Effect.forkChild(slow.start(undefined, { runId }))
    yield* Deferred.await(began)
    yield* Runs.cancel(runId)
    for (let turns = 0; turns < 50; turns++) yield* Effect.yieldNow
    yield* Deferred.succeed(gate, undefined)
    assert.equal((yield* Fiber.join(run)).status, "cancelled")
    assert.deepEqual(undone, ["done"])
  })
)

/** A step with an undo whose outcome a crash took is undone by a cancel, and never runs again. */
export const undoUnknown = inWorld((reprise) =>
  Effect.gen(function*() {
    const disk = reprise.Storage.memoryDriver()
    let ran = 0
    const undone: Array<unknown> = []
    const charging = reprise.Workflow.make("charging", function*(ctx) {
      yield* ctx.step("charge", () => ++ran, {
        undo: (value) => ctx.step("refund", () => void undone.push(value ?? "unknown"))
      })
    })
    const death = dying(reprise, disk, 2, "dies before")
    yield* killed(reprise, charging.start(undefined, { runId }), death)
    const result = yield* on(reprise, disk)(charging.cancel(runId))
    assert.equal(result.status, "cancelled")
    assert.deepEqual({ ran, undone }, { ran: 1, undone: ["unknown"] })
  })
)

// children

const parentOf = ({ Workflow }: Library) => {
  const child = Workflow.make("child", function*(ctx) {
    yield* ctx.sleep("1 hour")
    return yield* ctx.step("answer", () => 42)
  })
  return Workflow.make("parent", function*(ctx) {
    return yield* ctx.child(child)
  })
}

const statuses = ({ Runs }: Library) =>
  Effect.map(Runs.list(), ({ runs }) => runs.map(({ status }) => status))

/** A cancel reaches the children before their parent has ended. */
export const childrenHear = inWorld((reprise) =>
  Effect.gen(function*() {
    const parent = parentOf(reprise)
    yield* parent.start(undefined, { runId })
    yield* parent.cancel(runId)
    assert.deepEqual(yield* statuses(reprise), ["cancelled", "cancelled"])
  })
)

/** So it does when the process died between the cancel and what followed from it. */
export const childrenHearLater = inWorld((reprise) =>
  Effect.gen(function*() {
    const disk = reprise.Storage.memoryDriver()
    const parent = parentOf(reprise)
    yield* on(reprise, disk)(parent.start(undefined, { runId }))
    yield* killed(reprise, parent.cancel(runId), dying(reprise, disk, 1, "dies after"))
    yield* on(reprise, disk)(parent.resume(runId))
    assert.deepEqual(yield* on(reprise, disk)(statuses(reprise)), ["cancelled", "cancelled"])
  })
)

/** A parent that waits for the end of a child it has cancelled hears of the cancel after that. */
export const childrenAwaited = inWorld((reprise) =>
  Effect.gen(function*() {
    const { Workflow } = reprise
    const cleaned: Array<string> = []
    const child = Workflow.make("child", function*(ctx) {
      try {
        yield* ctx.sleep("1 hour")
      } finally {
        yield* ctx.step("first", () => Effect.yieldNow)
        yield* ctx.step("clean", () => void cleaned.push("child"))
      }
    })
    const parent = Workflow.make("parent", function*(ctx) {
      try {
        yield* ctx.child(child, undefined, { onCancel: "await" })
      } finally {
        yield* ctx.step("clean", () => void cleaned.push("parent"))
      }
    })
    yield* parent.start(undefined, { runId })
    yield* parent.cancel(runId)
    assert.deepEqual(cleaned, ["child", "parent"])
  })
)

/** A parent that goes on in another session goes on with the same child. */
export const childIds = inWorld((reprise) =>
  Effect.gen(function*() {
    const parent = parentOf(reprise)
    yield* parent.start(undefined, { runId })
    yield* TestClock.setTime(hour)
    yield* parent.resume(runId)
    assert.deepEqual(yield* statuses(reprise), ["success", "success"])
  })
)

// going on in a fresh journal

/** Events that nobody took go along. */
export const handedOver = inWorld((reprise) =>
  Effect.gen(function*() {
    const loop = reprise.Workflow.make("loop", { events }, function*(
      ctx,
      n: number
    ): Reprise.Workflow.Body<string> {
      yield* ctx.sleep("1 hour")
      return n > 0 ? yield* ctx.continueAs(n - 1) : yield* ctx.suspend("go")
    })
    yield* loop.start(1, { runId })
    yield* loop.resume(runId, go("early"))
    const result = yield* reprise.Testing.play(loop, 1, { runId })
    assert.deepEqual(result, { status: "success", result: "early", runId: "r+2" })
  })
)

const takes = ({ Workflow }: Library) =>
  Workflow.make("takes", { events }, function*(ctx, n: number): Reprise.Workflow.Body<string> {
    const taken = yield* ctx.suspend("go")
    return n > 0 ? yield* ctx.continueAs(n - 1) : taken
  })

/** An event that an earlier run of the chain took is no news for a later one. */
export const takenOnce = inWorld((reprise) =>
  Effect.gen(function*() {
    const loop = takes(reprise)
    yield* loop.start(1, { runId })
    yield* loop.resume(runId, go("one"))
    const result = yield* loop.resume(runId, go("one"))
    assert.deepEqual([result.status, result.runId], ["suspended", "r+2"])
  })
)

/** What is posted when the body has left already goes to the run that follows. */
export const passedOn = inWorld((reprise) =>
  Effect.gen(function*() {
    const { Runs, Workflow } = reprise
    const late = Workflow.make("late", { events }, function*(
      ctx,
      n: number
    ): Reprise.Workflow.Body<string, never, Reprise.Storage.Storage> {
      if (n === 0) return yield* ctx.suspend("go")
      yield* ctx.step("post", () => Effect.orDie(Runs.send(runId, go("posted"))))
      return yield* ctx.continueAs(n - 1)
    })
    const result = yield* late.start(1, { runId })
    assert.deepEqual(result, { status: "success", result: "posted", runId: "r+2" })
  })
)

// change

/** A run that has passed the place of a change goes on as it began, for good. */
export const oldPath = inWorld((reprise) =>
  Effect.gen(function*() {
    const { Workflow } = reprise
    const old = Workflow.make("changed", { events }, function*(ctx) {
      yield* ctx.step("a", () => 1)
      yield* ctx.step("b", () => 1)
      return [false, false, yield* ctx.suspend("go")]
    })
    const changed = Workflow.make("changed", { events }, function*(ctx) {
      yield* ctx.step("a", () => 1)
      const first = yield* ctx.patched("better")
      yield* first ? ctx.step("c", () => 1) : ctx.step("b", () => 1)
      const go = yield* ctx.suspend("go")
      return [first, yield* ctx.patched("better"), go]
    })
    yield* old.start(undefined, { runId })
    const result = yield* changed.resume(runId, go("on"))
    assert.deepEqual(result, { status: "success", result: [false, false, "on"], runId })
  })
)

/** A change that is taken stands directly behind the outcome whose slice asked. */
export const patchPlace = inWorld((reprise) =>
  Effect.gen(function*() {
    const changed = reprise.Workflow.make("changed", function*(ctx) {
      yield* ctx.all([
        function*() {
          yield* ctx.step("a", () => 1)
          yield* ctx.patched("better")
        },
        ctx.step("b", () => 1)
      ])
    })
    assert.equal((yield* changed.start(undefined, { runId })).status, "success")
    assert.deepEqual(yield* story(reprise), [
      "step all[0]/a",
      "patch",
      "step all[1]/b",
      "complete"
    ])
  })
)

const versioned = ({ Workflow }: Library) => {
  const one = Workflow.make("versioned", { version: "1", events }, function*(ctx) {
    yield* ctx.step("old", () => 1)
    return `one ${yield* ctx.suspend("go")}`
  })
  const two = Workflow.make("versioned", { version: "2", previous: [one], events }, function*(ctx) {
    yield* ctx.step("new", () => 1)
    return `two ${yield* ctx.suspend("go")}`
  })
  return { one, two }
}

/** A run goes on with the body that its journal names. */
export const oldBody = inWorld((reprise) =>
  Effect.gen(function*() {
    const { one, two } = versioned(reprise)
    yield* one.start(undefined, { runId })
    const result = yield* two.resume(runId, go("on"))
    assert.deepEqual(result, { status: "success", result: "one on", runId })
  })
)

/** Code that has not the run's version leaves it alone. */
export const newerRun = inWorld((reprise) =>
  Effect.gen(function*() {
    const { one, two } = versioned(reprise)
    yield* two.start(undefined, { runId })
    const exit = yield* Effect.exit(Effect.flip(one.resume(runId, go("on"))))
    assert.ok(Exit.isSuccess(exit) && exit.value._tag === "VersionMismatch")
  })
)

/** Drawn values follow from the run and from the place in its body. */
export const chance = inWorld((reprise) =>
  Effect.gen(function*() {
    const { Runs, Workflow } = reprise
    const lottery = Workflow.make("lottery", function*(ctx) {
      const own = [yield* ctx.random, yield* ctx.random]
      return [...own, ...yield* ctx.all([ctx.random, ctx.random])]
    })
    const first = yield* lottery.execute(undefined, { runId })
    yield* Runs.remove(runId)
    const second = yield* lottery.execute(undefined, { runId })
    assert.equal(new Set([...first, ...second]).size, 8)
  })
)

// durability

/** Every durability writes an intent before the effect that it is of. */
export const intentsFirst = inWorld((reprise) =>
  Effect.gen(function*() {
    const { Storage, Testing, Workflow } = reprise
    const durable: Array<string> = []
    const driver = Testing.faultyDriver(Storage.memoryDriver(), () => "done", {
      onAcknowledged: (_, lines) => durable.push(...lines.map((line) => JSON.parse(line).type))
    })
    const letter = Workflow.make("letter", { durability: "async" }, function*(ctx) {
      yield* ctx.step("write", () => 1)
      return yield* ctx.step("post", () => durable.includes("intent"), {
        delivery: "at-most-once"
      })
    })
    const result = yield* on(reprise, driver)(letter.start(undefined, { runId }))
    assert.deepEqual(result, { status: "success", result: true, runId })
  })
)

/** A step that may have run is not run again, and asks. */
export const neverTwice = inWorld((reprise) =>
  Effect.gen(function*() {
    const disk = reprise.Storage.memoryDriver()
    let ran = 0
    const letter = reprise.Workflow.make("letter", { events }, function*(ctx) {
      yield* ctx.all([
        ctx.step("post", () => ++ran, { delivery: "at-most-once" }),
        ctx.suspend("go")
      ])
    })
    const death = dying(reprise, disk, 2, "dies before")
    yield* killed(reprise, letter.start(undefined, { runId }), death)
    const { status } = yield* on(reprise, disk)(letter.resume(runId, go("on")))
    assert.deepEqual({ ran, status }, { ran: 1, status: "blocked" })
  })
)

/** With `exit`, a run is only said to be over when that is durable. */
export const exitWritten = inWorld((reprise) =>
  Effect.gen(function*() {
    const letter = reprise.Workflow.make("letter", { durability: "exit" }, function*(ctx) {
      yield* ctx.step("write", () => 1)
    })
    const death = dying(reprise, reprise.Storage.memoryDriver(), 2, "dies before")
    yield* killed(reprise, letter.start(undefined, { runId }), death)
  })
)

/** So it is with `async`, whose writes are under way. */
export const asyncWritten = inWorld((reprise) =>
  Effect.gen(function*() {
    const { Storage, Testing, Workflow } = reprise
    const disk = Storage.memoryDriver()
    const slow = Testing.faultyDriver(
      disk,
      ({ nth, verb }) => verb === "append" && nth > 1 ? { delay: 5 } : "done"
    )
    const letter = Workflow.make("letter", { durability: "async" }, function*(ctx) {
      for (const name of ["a", "b", "c"]) yield* ctx.step(name, () => Effect.yieldNow)
    })
    yield* on(reprise, slow)(letter.start(undefined, { runId }))
    const told = yield* on(reprise, disk)(story(reprise))
    assert.deepEqual(told, ["step a", "step b", "step c", "complete"])
  })
)

/** Only a step whose outcome is unknown can be settled. */
export const settledOnly = inWorld((reprise) =>
  Effect.gen(function*() {
    const { Runs, Storage, Workflow } = reprise
    const flaky = Workflow.make("flaky", function*(ctx) {
      return yield* ctx.step("try", (): Effect.Effect<string, string> => Effect.fail("busy"), {
        retry: Schedule.spaced("1 hour")
      })
    })
    yield* flaky.start(undefined, { runId })
    const { head } = yield* Runs.journal(runId)
    // As by somebody who looked before the step was settled otherwise.
    const storage = yield* Storage.Storage
    yield* storage.post(runId, {
      type: "settle",
      stepId: "try",
      as: { is: "value", value: "settled" },
      eventId: "late",
      incarnation: head.incarnation,
      timestamp: new Date(0).toISOString()
    })
    assert.equal((yield* flaky.resume(runId)).status, "suspended")
  })
)

/** A run that kills its process is given up after a while. */
export const crashLoop = inWorld((reprise) =>
  Effect.gen(function*() {
    const disk = reprise.Storage.memoryDriver()
    const deadly = reprise.Workflow.make("deadly", function*(ctx) {
      yield* ctx.step("deadly", () => 1)
    })
    for (let deaths = 0; deaths < 10; deaths++) {
      const death = dying(reprise, disk, 2, "dies before")
      yield* killed(reprise, deadly.start(undefined, { runId }), death)
    }
    const { status } = yield* on(reprise, disk)(deadly.resume(runId))
    assert.equal(status, "blocked")
  })
)

/** A journal that has reached its limit gets no more steps. */
export const journalLimit = inWorld((reprise) =>
  Effect.gen(function*() {
    const { Workflow } = reprise
    const long = Workflow.make("long", function*(ctx) {
      for (let n = 0; n < 20; n++) yield* ctx.step("step", () => n)
    })
    const result = yield* Effect.provideService(
      long.start(undefined, { runId }),
      Workflow.JournalLimits,
      { warn: 100, stop: 10 }
    )
    assert.equal(result.status, "blocked")
  })
)

// what is due

/** A run whose timer has gone off is due, and no earlier. */
export const dueTimers = inWorld((reprise) =>
  Effect.gen(function*() {
    const { Runs, Workflow } = reprise
    const nap = Workflow.make("nap", function*(ctx) {
      yield* ctx.sleep("1 hour")
    })
    yield* nap.start(undefined, { runId })
    assert.deepEqual(yield* Runs.due(hour - 1), [])
    assert.deepEqual(yield* Runs.due(hour), [runId])
  })
)

/** A parent whose child has ended elsewhere is due. */
export const dueChildren = inWorld((reprise) =>
  Effect.gen(function*() {
    const { Runs, Workflow } = reprise
    const contract = Workflow.define("child", { output: Schema.Number })
    const child = contract.make(function*(ctx) {
      return yield* ctx.step("answer", () => 42)
    })
    const parent = Workflow.make("parent", function*(ctx) {
      return yield* ctx.child(contract, null, { runId: "c" })
    })
    yield* parent.start(undefined, { runId })
    assert.deepEqual(yield* Runs.due(0), ["c"])
    yield* child.resume("c")
    assert.deepEqual(yield* Runs.due(0), [runId])
  })
)

// the guard

/** The wrappers are armed only while a body runs, also where it throws. */
export const slicesClose: Check = (reprise) =>
  Effect.sync(() => {
    const { Storage, Workflow, slice } = reprise
    const throwing = Workflow.make("throwing", function*(ctx) {
      yield* ctx.fail("over")
    })
    const run = throwing.start(undefined, { runId }).pipe(
      on(reprise, Storage.memoryDriver()),
      Effect.provideService(Workflow.Guard, { slices: true, shadow: false })
    )
    // In one go: nobody else may run while the wrappers are armed by mistake.
    const exit = Effect.runSyncExit(run)
    const { isOpen } = slice
    slice.isOpen = false
    assert.equal(isOpen, false)
    assert.ok(Exit.isSuccess(exit))
  })

/** A forgotten `yield*` is found before the end is journaled. */
export const notYielded = inWorld((reprise) =>
  Effect.gen(function*() {
    const { Workflow } = reprise
    const forgetful = Workflow.make("forgetful", function*(ctx) {
      yield* ctx.step("a", () => 1)
      ctx.step("forgotten", () => 1)
    })
    const exit = yield* Effect.exit(Effect.flip(
      Effect.provideService(forgetful.start(undefined, { runId }), Workflow.Guard, {
        slices: true,
        shadow: false
      })
    ))
    assert.ok(Exit.isSuccess(exit) && exit.value._tag === "NotYielded")
    assert.deepEqual(yield* story(reprise), ["step a"])
  })
)

/** A body that is not the same each time is found while it runs. */
export const shadow = inWorld((reprise) =>
  Effect.gen(function*() {
    const { Workflow } = reprise
    let bodies = 0
    const counting = Workflow.make("counting", function*(ctx) {
      yield* ctx.step(`step ${++bodies}`, () => 1)
    })
    const exit = yield* Effect.exit(Effect.flip(
      Effect.provideService(counting.start(undefined, { runId }), Workflow.Guard, {
        slices: false,
        shadow: true
      })
    ))
    assert.ok(Exit.isSuccess(exit) && exit.value._tag === "ReplayMismatch")
  })
)
