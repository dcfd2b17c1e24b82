/**
 * One short look at each thing that hooks, stops, checkpoints, forks and pipelines promise: what is told and
 * when, what a new run is given of another one, and what a pipeline goes by when it goes on. As in
 * `checks.ts`, every check takes the library as a parameter and throws when it sees a bug in it.
 *
 * Without the guard and the shadow replay, which would see many of them first.
 */
import { Deferred, Effect, Exit, Fiber, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import assert from "node:assert/strict"
import { crc32 } from "node:zlib"
import type * as Reprise from "reprise"
import type * as Acknowledged from "./checks.ts"

export interface Library
  extends Acknowledged.Library, Pick<typeof Reprise, "Checkpoint" | "Pipeline">
{
  readonly CheckpointKeys: typeof import("reprise/node")["NodeCheckpointKeys"]
}

export type Check = (reprise: Library) => Effect.Effect<void, unknown>

type Storage = Reprise.Storage.Storage
type Driver = Reprise.Storage.Driver
type Completed = Reprise.Workflow.StepCompleted

const runId = "r"
const hour = 3_600_000

/** A storage and a clock of its own; no timer is waited for in the process. */
const inWorld =
  (look: (reprise: Library) => Effect.Effect<void, unknown, Storage>): Check => (reprise) =>
    look(reprise).pipe(
      on(reprise, reprise.Storage.memoryDriver()),
      Effect.provideService(reprise.Workflow.Guard, { slices: false, shadow: false }),
      Effect.provideService(reprise.Workflow.ShortWait, 0),
      Effect.provide(TestClock.layer(), { local: true })
    )

const on = ({ Storage }: Library, driver: Driver) =>
  Effect.provideService(Storage.Storage, Storage.make(driver))

/** Runs a process that dies at its nth append. */
const killed = <A, E>(
  reprise: Library,
  disk: Driver,
  nth: number,
  fate: "dies before" | "dies after",
  program: Effect.Effect<A, E, Storage>
) =>
  Effect.gen(function*() {
    const driver = reprise.Testing.faultyDriver(
      disk,
      (call) => call.verb === "append" && call.nth === nth ? fate : "done"
    )
    assert.ok(Exit.isFailure(yield* Effect.exit(on(reprise, driver)(program))))
    yield* driver.died
  })

/** What a call fails with. */
const failure = <A, E, R>(program: Effect.Effect<A, E, R>): Effect.Effect<any, never, R> =>
  Effect.map(
    Effect.result(program),
    (result) => result._tag === "Failure" ? result.failure : assert.fail("it did not fail")
  )

/** A journal in brief. */
const journaled = ({ Runs }: Library, of = runId) =>
  Effect.map(
    Runs.journal(of),
    ({ entries }) =>
      entries.map((entry) => "stepId" in entry ? `${entry.type} ${entry.stepId}` : entry.type)
  )

const idsOf = ({ Runs }: Library) =>
  Effect.map(Runs.list(), ({ runs }) => runs.map((run) => run.runId).toSorted())

/** All that is stored of a run. */
const storedOf = ({ Runs, Storage }: Library) =>
  Effect.flatMap(Storage.Storage, (storage) =>
    Effect.map(
      Effect.all([Runs.journal(runId), storage.inbox(runId, "", ""), storage.version(runId)]),
      (all) => JSON.stringify(all)
    ))

const events = { go: Schema.String }
const go = (value: string) => ({ eventName: "go", value, eventId: value }) as const

/** Three steps in a row, and what ran of them. */
const threeOf = ({ Workflow }: Library, name = "three", first = "a") => {
  const ran: Array<string> = []
  const did = (step: string) => () => {
    ran.push(step)
    return step.toUpperCase()
  }
  const workflow = Workflow.make(name, { events }, function*(ctx) {
    return [
      yield* ctx.step(first, did(first)),
      yield* ctx.step("b", did("b")),
      yield* ctx.step("c", did("c"))
    ]
  })
  return { ran, workflow }
}

const stopsAt = (id: string) => ({
  onStepComplete: ({ stepId, stop }: Completed) => {
    if (stepId === id) stop()
  }
})

// hooks

/** A hook hears of what is journaled, before anything that follows from it is done or journaled. */
export const hooksFirst = inWorld((reprise) =>
  Effect.gen(function*() {
    const seen: Array<string> = []
    const did = (name: string) => () => void seen.push(name)
    const workflow = reprise.Workflow.make("follows", { events }, function*(ctx) {
      yield* ctx.step("a", did("a"))
      yield* ctx.step("b", did("b"), { delivery: "at-most-once" })
      yield* ctx.suspend("go")
      yield* ctx.all([ctx.step("c", did("c")), ctx.step("d", did("d"))])
    })
    const hooks = {
      onStepComplete: ({ stepId }: Completed) =>
        Effect.map(
          Effect.andThen(Effect.yieldNow, journaled(reprise)),
          (all) => void seen.push(`${stepId}: ${all.at(-1)}`)
        )
    }
    yield* workflow.start(undefined, { runId, ...hooks })
    yield* workflow.resume(runId, go("on"), hooks)
    assert.deepEqual(seen, [
      "a",
      "a: step a",
      "b",
      "b: step b",
      "c",
      "d",
      "all[0]/c: step all[0]/c",
      "all[1]/d: step all[1]/d"
    ])
  })
)

/** What a process died over is told by the next one; what was told is not told as done again. */
export const heardAgain = inWorld((reprise) =>
  Effect.gen(function*() {
    const disk = reprise.Storage.memoryDriver()
    const workflow = reprise.Workflow.make("told", { events }, function*(ctx) {
      yield* ctx.step("a", () => 1)
      yield* ctx.step("b", () => 2)
      yield* ctx.suspend("go")
      yield* ctx.step("c", () => 3)
    })
    const seen: Array<string> = []
    const hooks = {
      onStepComplete: ({ stepId }: Completed) => void seen.push(`done ${stepId}`),
      onStepSkipped: ({ stepId }: Reprise.Workflow.StepSkipped) => void seen.push(`left ${stepId}`)
    }
    yield* killed(reprise, disk, 2, "dies after", workflow.start(undefined, { runId, ...hooks }))
    assert.deepEqual(seen, [])
    yield* on(reprise, disk)(workflow.resume(runId, undefined, hooks))
    assert.deepEqual(seen.splice(0), ["done a", "done b"])
    yield* on(reprise, disk)(workflow.resume(runId, go("on"), hooks))
    assert.deepEqual(seen, ["left a", "left b", "done c"])
  })
)

/** A process that waits and goes on tells of each step once. */
export const heardOnce = inWorld((reprise) =>
  Effect.gen(function*() {
    const seen: Array<string> = []
    const workflow = reprise.Workflow.make("naps", function*(ctx) {
      yield* ctx.step("a", () => 1)
      yield* ctx.sleep("1 hour")
      yield* ctx.step("b", () => 2)
    })
    const call = yield* Effect.forkChild(workflow.execute(undefined, {
      runId,
      onStepComplete: ({ stepId }) => void seen.push(`done ${stepId}`),
      onStepSkipped: ({ stepId }) => void seen.push(`left ${stepId}`)
    }))
    yield* TestClock.adjust(2 * hour)
    yield* Fiber.join(call)
    assert.deepEqual(seen, ["done a", "done b"])
  })
)

/** A hook that fails fails the call, and leaves its step's outcome as it is. */
export const hookFailures = inWorld((reprise) =>
  Effect.gen(function*() {
    const failing: ReadonlyArray<() => unknown> = [
      () => {
        throw new Error("no")
      },
      () => Effect.fail("no")
    ]
    for (const [k, onStepComplete] of failing.entries()) {
      const id = `${runId}${k}`
      const { ran, workflow } = threeOf(reprise)
      const error = yield* failure(workflow.start(undefined, { runId: id, onStepComplete }))
      assert.deepEqual([error._tag, error.stepId], ["HookFailed", "a"])
      assert.deepEqual(yield* journaled(reprise, id), ["start", "step a"])
      const seen: Array<string> = []
      const result = yield* workflow.resume(id, undefined, {
        onStepComplete: ({ stepId }) => void seen.push(stepId)
      })
      assert.deepEqual(result, { status: "success", result: ["A", "B", "C"], runId: id })
      assert.deepEqual([ran, seen], [["a", "b", "c"], ["a", "b", "c"]])
    }
  })
)

// stopping

/** A run that a hook stops does nothing more until somebody tells it to go on. */
export const stops = inWorld((reprise) =>
  Effect.gen(function*() {
    const { Runs } = reprise
    const { ran, workflow } = threeOf(reprise)
    const stopped = { status: "stopped", stepId: "a", context: { a: "A" }, runId }
    assert.deepEqual(yield* workflow.start(undefined, { runId, ...stopsAt("a") }), stopped)
    assert.deepEqual(yield* journaled(reprise), ["start", "step a", "stop a"])
    assert.deepEqual(yield* Runs.due(hour), [])
    yield* workflow.send(runId, go("on"))
    assert.deepEqual(yield* Runs.due(hour), [])
    assert.deepEqual(yield* workflow.start(undefined, { runId }), stopped)
    assert.deepEqual(ran, ["a"])
    assert.equal((yield* workflow.resume(runId)).status, "success")
    assert.deepEqual(ran, ["a", "b", "c"])
  })
)

/** A stop over what another process had done lets nothing start that was ready. */
export const stopsFound = inWorld((reprise) =>
  Effect.gen(function*() {
    const disk = reprise.Storage.memoryDriver()
    const { ran, workflow } = threeOf(reprise)
    yield* killed(reprise, disk, 2, "dies after", workflow.start(undefined, { runId }))
    const result = yield* on(reprise, disk)(workflow.resume(runId, undefined, stopsAt("a")))
    assert.equal(result.status, "stopped")
    assert.deepEqual(ran, ["a"])
  })
)

/** What runs in another branch comes to its end, and stands behind the stop. */
export const stopsBesides = inWorld((reprise) =>
  Effect.gen(function*() {
    const asked = yield* Deferred.make<void>()
    const gate = yield* Deferred.make<void>()
    const workflow = reprise.Workflow.make("besides", function*(ctx) {
      yield* ctx.all({
        quick: ctx.step("quick", () => 1),
        slow: ctx.step("slow", () => Deferred.await(gate))
      })
    })
    const call = yield* Effect.forkChild(workflow.start(undefined, {
      runId,
      onStepComplete: ({ stepId, stop }) => {
        if (stepId !== "all[quick]/quick") return undefined
        stop()
        return Deferred.succeed(asked, undefined)
      }
    }))
    yield* Deferred.await(asked)
    for (let turns = 0; turns < 50; turns++) yield* Effect.yieldNow
    yield* Deferred.succeed(gate, undefined)
    assert.equal((yield* Fiber.join(call)).status, "stopped")
    const stop = "all[quick]/quick"
    assert.deepEqual(yield* journaled(reprise), [
      "start",
      `step ${stop}`,
      `stop ${stop}`,
      "step all[slow]/slow"
    ])
    assert.equal((yield* workflow.status(runId)).status, "stopped")
  })
)

// checkpoints

/** A run of three steps, and its checkpoint behind the second. */
const checkpointed = (reprise: Library) =>
  Effect.gen(function*() {
    const { ran, workflow } = threeOf(reprise)
    yield* workflow.start(undefined, { runId })
    return { ran, workflow, text: yield* workflow.checkpoint(runId, { after: "b" }) }
  })

const sealed = (how: string, length: string, body: string) => {
  const all = `rcp1.${how}.${length}.${body}.`
  return all + crc32(all).toString(16).padStart(8, "0")
}

const partsOf = (text: string) => text.split(".") as [string, string, string, string, string]

/** A text of which one character is another one, or that is cut, or that says another length, is refused. */
export const wholeTexts = inWorld((reprise) =>
  Effect.gen(function*() {
    const { text } = yield* checkpointed(reprise)
    const reason = (text: string) =>
      Effect.map(failure(reprise.Checkpoint.deserializeCheckpoint(text)), (error) => error.reason)
    const [, how, length, body] = partsOf(text)
    const from = text.indexOf(body)
    for (let at = from; at < from + body.length; at++) {
      const other = text[at] === "A" ? "B" : "A"
      assert.equal(yield* reason(text.slice(0, at) + other + text.slice(at + 1)), "Changed")
    }
    for (let to = 1; to < text.length; to++) {
      assert.equal(yield* reason(text.slice(0, to)), "Truncated")
    }
    assert.equal(sealed(how, length, body), text)
    assert.equal(yield* reason(sealed(how, "1", body)), "Changed")
  })
)

/** A checkpoint is of one workflow. */
export const checkpointsOfOne = inWorld((reprise) =>
  Effect.gen(function*() {
    const { text } = yield* checkpointed(reprise)
    const other = threeOf(reprise, "other")
    const error = yield* failure(other.workflow.runCheckpoint(text, { runId: "n" }))
    assert.equal(error.reason, "OtherWorkflow")
    assert.deepEqual([other.ran, yield* idsOf(reprise)], [[], [runId]])
  })
)

/** A checkpoint that has expired is of no use. */
export const checkpointsExpire = inWorld((reprise) =>
  Effect.gen(function*() {
    const { workflow } = yield* checkpointed(reprise)
    const text = yield* workflow.checkpoint(runId, { expiresIn: "1 hour" })
    yield* TestClock.setTime(hour - 1)
    yield* reprise.Checkpoint.deserializeCheckpoint(text)
    yield* TestClock.setTime(hour)
    const error = yield* failure(workflow.runCheckpoint(text, { runId: "n" }))
    assert.equal(error.reason, "Expired")
  })
)

/** Where there are keys, only what they signed is taken. */
export const checkpointKeys = inWorld((reprise) =>
  Effect.gen(function*() {
    const { Checkpoint, CheckpointKeys } = reprise
    const { text, workflow } = yield* checkpointed(reprise)
    const keys = CheckpointKeys.layer({
      how: "sign",
      keys: [{ id: "k", secret: "a secret of at least 32 characters!" }]
    })
    const opened = (text: string) => Effect.provide(Checkpoint.deserializeCheckpoint(text), keys)
    const signed = yield* Effect.provide(workflow.checkpoint(runId, { after: "b" }), keys)
    assert.deepEqual((yield* opened(signed)).output, { a: "A", b: "B" })
    const [, how, length, body] = partsOf(signed)
    const forged = Buffer.from(body, "base64url").toString("latin1").replace(`"A"`, `"Z"`)
    const again = sealed(how, length, Buffer.from(forged, "latin1").toString("base64url"))
    assert.equal(again.length, signed.length)
    assert.equal((yield* failure(opened(again))).reason, "Forged")
    assert.equal((yield* failure(opened(text))).reason, "Unprotected")
  })
)

/** A new run is given outcomes, and nothing that only told how far a session had come. */
export const bareCopies = inWorld((reprise) =>
  Effect.gen(function*() {
    let tries = 0
    const workflow = reprise.Workflow.make("rich", { events }, function*(ctx) {
      yield* ctx.step("a", () => ++tries === 1 ? Effect.fail("busy") : Effect.void, {
        retry: { times: 1, schedule: Schedule.spaced("1 hour") }
      })
      yield* ctx.step("b", () => 1, { delivery: "at-most-once" })
      yield* ctx.suspend("go")
      yield* ctx.step("c", () => 1)
    })
    yield* workflow.start(undefined, { runId })
    yield* TestClock.setTime(hour)
    yield* workflow.resume(runId)
    yield* workflow.resume(runId, go("on"))
    const types = new Set(yield* journaled(reprise))
    assert.ok(["retry a", "intent b", "suspend"].every((type) => types.has(type)))
    const bare = ["step a", "step b", "resume go", "step c"]
    yield* workflow.fork(runId, { fromStep: "c", runId: "f" })
    assert.deepEqual(yield* journaled(reprise, "f"), ["start", ...bare, "complete"])
    const text = yield* workflow.checkpoint(runId, { after: "c" })
    const { entries } = yield* reprise.Checkpoint.deserializeCheckpoint(text)
    assert.deepEqual(
      entries.map(({ entry }) => "stepId" in entry ? `${entry.type} ${entry.stepId}` : entry.type),
      bare
    )
  })
)

/** A run from a checkpoint draws the same, has the same time, and has the events that no wait took yet. */
export const copiesGoOn = inWorld((reprise) =>
  Effect.gen(function*() {
    const workflow = reprise.Workflow.make("draws", { events }, function*(ctx) {
      const drawn = [yield* ctx.random, yield* ctx.uuid, yield* ctx.now]
      yield* ctx.sleep("1 hour")
      yield* ctx.step("a", () => 1)
      return [...drawn, yield* ctx.now, yield* ctx.random, yield* ctx.suspend("go")]
    })
    yield* workflow.start(undefined, { runId })
    yield* workflow.resume(runId, go("early"))
    yield* TestClock.setTime(hour)
    const { status, ...first } = yield* workflow.resume(runId)
    assert.equal(status, "success")
    const text = yield* workflow.checkpoint(runId, { after: "a" })
    yield* TestClock.setTime(5 * hour)
    const { status: again, ...second } = yield* workflow.runCheckpoint(text, { runId: "n" })
    assert.equal(again, "success")
    assert.deepEqual({ ...second, runId }, first)
  })
)

/** A checkpoint that the code does not go with is refused before anything is run or written. */
export const refusedWhole = inWorld((reprise) =>
  Effect.gen(function*() {
    const { text } = yield* checkpointed(reprise)
    const changed = threeOf(reprise, "three", "renamed")
    const error = yield* failure(changed.workflow.runCheckpoint(text, { runId: "n" }))
    assert.deepEqual([changed.ran, yield* idsOf(reprise)], [[], [runId]])
    assert.equal(error.reason, "ChangedDefinition")
  })
)

// forks

/** A fork has what stands before the cut, does the rest itself, and leaves its source alone. */
export const forksCopy = inWorld((reprise) =>
  Effect.gen(function*() {
    const { ran, workflow } = threeOf(reprise)
    yield* workflow.start(undefined, { runId, ...stopsAt("c") })
    ran.length = 0
    const before = yield* storedOf(reprise)
    const result = yield* workflow.fork(runId, { fromStep: "b", runId: "f" })
    assert.deepEqual(result, { status: "success", result: ["A", "B", "C"], runId: "f" })
    assert.deepEqual(ran, ["b", "c"])
    assert.equal(yield* storedOf(reprise), before)
    const { entries } = yield* reprise.Runs.journal("f")
    const [first] = entries
    assert.ok(first?.type === "start")
    assert.deepEqual([first.source?.runId, first.source?.offset, first.source?.copied], [
      runId,
      2,
      1
    ])
  })
)

/** An override replaces what it names, and nothing else; a pipeline's is merged at its end. */
export const overrides = inWorld((reprise) =>
  Effect.gen(function*() {
    const { Pipeline } = reprise
    const { workflow } = threeOf(reprise)
    yield* workflow.start(undefined, { runId })
    const result = yield* workflow.fork(runId, {
      fromStep: "c",
      runId: "f",
      override: { b: "other" }
    })
    assert.deepEqual(result, { status: "success", result: ["A", "other", "C"], runId: "f" })
    const pipeline = Pipeline.make("merges")
      .step("one", () => ({ n: 1 }))
      .step("two", ({ n }) => ({ n: n + 1 }))
      .step("three", ({ n }) => ({ last: n }))
    yield* pipeline.run({}, { runId: "p" })
    const text = yield* pipeline.workflow.checkpoint("p", { after: "two" })
    const given = yield* pipeline.runCheckpoint(text, { override: { n: 9 } })
    assert.deepEqual(given, { n: 9, last: 9 })
  })
)

/** What was undone when a run failed is not kept by the one that goes on for it. */
export const undoneStays = inWorld((reprise) =>
  Effect.gen(function*() {
    const workflow = reprise.Workflow.make("saga", { error: Schema.String }, function*(ctx) {
      yield* ctx.step("a", () => 1, { undo: () => ctx.step("undo", () => 1) })
      yield* ctx.step("b", () => Effect.fail("no"))
    })
    assert.equal((yield* workflow.start(undefined, { runId })).status, "failed")
    const error = yield* failure(workflow.retryFrom(runId, { runId: "again" }))
    assert.equal(error._tag, "ForkRejected")
    assert.deepEqual(yield* idsOf(reprise), [runId])
  })
)

/** A run that was cut from somewhere else is not taken for a new one. */
export const sourcesDiffer = inWorld((reprise) =>
  Effect.gen(function*() {
    const { workflow } = threeOf(reprise)
    yield* workflow.start(undefined, { runId })
    yield* workflow.fork(runId, { fromStep: "b", runId: "f" })
    yield* workflow.fork(runId, { fromStep: "b", runId: "f" })
    for (const other of [{ fromStep: "c" }, { fromStep: "b", override: { a: "other" } }]) {
      const error = yield* failure(workflow.fork(runId, { ...other, runId: "f" }))
      assert.deepEqual([error._tag, error.differs], ["RunExists", "source"])
    }
  })
)

// pipelines

/** What is in the context is what is in the journal. */
export const pipelinesReplay = inWorld((reprise) =>
  Effect.gen(function*() {
    const pipeline = reprise.Pipeline.make("adds")
      .step("a", () => ({ a: 1 }))
      .step("b", ({ a }) => ({ b: a + 1 }))
    yield* pipeline.workflow.start({}, { runId, ...stopsAt("a") })
    const result = yield* pipeline.workflow.resume(runId)
    assert.deepEqual(result, { status: "success", result: { a: 1, b: 2 }, runId })
  })
)

/** A condition is asked once, and a resume goes by what it said. */
export const conditionsOnce = inWorld((reprise) =>
  Effect.gen(function*() {
    const disk = reprise.Storage.memoryDriver()
    const world = { asked: 0, says: true }
    const pipeline = reprise.Pipeline.make("asks")
      .step({ name: "x", condition: () => (world.asked++, world.says) }, () => ({ x: 1 }))
    const { workflow } = pipeline
    yield* killed(reprise, disk, 3, "dies before", workflow.start({}, { runId }))
    world.says = false
    const result = yield* on(reprise, disk)(workflow.resume(runId))
    assert.deepEqual(result, { status: "success", result: { x: 1 }, runId })
    assert.equal(world.asked, 1)
  })
)

/** A branch that was taken is gone on in. */
export const branchesStay = inWorld((reprise) =>
  Effect.gen(function*() {
    const disk = reprise.Storage.memoryDriver()
    const world = { isLeft: true }
    const { workflow } = reprise.Pipeline.make("turns").branchOn(
      "way",
      { name: "left", when: () => world.isLeft, then: (p) => p.step("l", () => ({ left: 1 })) },
      { name: "right", default: (p) => p.step("r", () => ({ right: 1 })) }
    )
    yield* killed(reprise, disk, 3, "dies before", workflow.start({}, { runId }))
    assert.deepEqual(yield* on(reprise, disk)(journaled(reprise)), ["start", "step way>"])
    world.isLeft = false
    const result = yield* on(reprise, disk)(workflow.resume(runId))
    assert.deepEqual(result, { status: "success", result: { left: 1 }, runId })
  })
)

/** No step changes the context but by what it gives. */
export const contextsStay = inWorld((reprise) =>
  Effect.gen(function*() {
    const writes: ReadonlyArray<(context: any) => void> = [
      (context) => void (context.n = 2),
      (context) => void context.list.push(2)
    ]
    for (const write of writes) {
      let seen: unknown
      const pipeline = reprise.Pipeline.make("writes")
        .step("x", () => ({ n: 1, list: [1] }))
        .step({ name: "y", onError: "continue" }, (context) => {
          try {
            write(context)
          } finally {
            seen = { ...context }
          }
        })
      yield* pipeline.run({})
      assert.deepEqual(seen, { n: 1, list: [1] })
    }
  })
)

/** What was merged by one policy stays so, whatever the policy is now. */
export const policiesOnce = inWorld((reprise) =>
  Effect.gen(function*() {
    const pipeline = (mergePolicy: "override" | "skip") =>
      reprise.Pipeline.make<{ n: number }>("merges")
        .step({ name: "x", mergePolicy }, () => ({ n: 2 }))
        .step("y", ({ n }) => ({ seen: n })).workflow
    yield* pipeline("override").start({ n: 1 }, { runId, ...stopsAt("x") })
    const result = yield* pipeline("skip").resume(runId)
    assert.deepEqual(result, { status: "success", result: { n: 2, seen: 2 }, runId })
  })
)

/** What failed too often in a row is not called. */
export const circuitsOpen = inWorld((reprise) =>
  Effect.gen(function*() {
    let calls = 0
    const pipeline = reprise.Pipeline.make("breaks")
      .step({ name: "x", circuitBreaker: { failureThreshold: 2 } }, () => {
        calls++
        throw new Error("down")
      })
    for (let k = 0; k < 4; k++) yield* failure(pipeline.run({}))
    assert.equal(calls, 2)
  })
)

/** A timeout is of each attempt. */
export const timeoutsEach = inWorld((reprise) =>
  Effect.gen(function*() {
    let attempts = 0
    const pipeline = reprise.Pipeline.make("repeats").step(
      { name: "x", timeout: 100, retries: 2 },
      () =>
        Effect.andThen(
          Effect.sleep(60),
          Effect.suspend(() => ++attempts < 3 ? Effect.fail("busy") : Effect.succeed({ attempts }))
        )
    )
    const call = yield* Effect.forkChild(pipeline.run({}))
    for (let k = 0; k < 30; k++) yield* TestClock.adjust(10)
    assert.deepEqual(yield* Fiber.join(call), { attempts: 3 })
  })
)

/** A pipeline goes on behind what its checkpoint has, if it still has that. */
export const basesHold = inWorld((reprise) =>
  Effect.gen(function*() {
    const ran: Array<string> = []
    const did = (name: string) => () => ({ [name]: ran.push(name) })
    const pipeline = (second: string) =>
      reprise.Pipeline.make("rows")
        .step("one", did("one"))
        .step(second, did(second))
        .step("three", did("three"))
    const texts: Array<string> = []
    yield* pipeline("two").run({}, {
      onStepComplete: ({ checkpoint }) => void texts.push(checkpoint)
    })
    ran.length = 0
    const result = yield* pipeline("two").runCheckpoint(texts[1]!)
    assert.deepEqual([result, ran], [{ one: 1, two: 2, three: 1 }, ["three"]])
    ran.length = 0
    const error = yield* failure(pipeline("renamed").runCheckpoint(texts[1]!))
    assert.deepEqual(ran, [])
    assert.equal(error.reason, "ChangedDefinition")
  })
)

/** The names of steps are counted on behind a checkpoint, where one comes again. */
export const countsGoOn = inWorld((reprise) =>
  Effect.gen(function*() {
    const seen: Array<string> = []
    const pipeline = reprise.Pipeline.make<{ n?: number }>("twice")
      .step("add", ({ n = 0 }) => ({ n: n + 1 }))
      .step("add", ({ n }) => ({ n: n + 1 }))
    let text = ""
    yield* pipeline.run({}, { onStepComplete: ({ checkpoint }) => void (text ||= checkpoint) })
    const result = yield* pipeline.runCheckpoint(text, {
      onStepComplete: ({ stepId }) => void seen.push(stepId)
    })
    assert.deepEqual([result, seen], [{ n: 2 }, ["add#2"]])
  })
)

/** A pipeline inside another sees the outer context, adds to it, and shows that. */
export const nestedContexts = inWorld((reprise) =>
  Effect.gen(function*() {
    const { Pipeline } = reprise
    const seen: Array<unknown> = []
    const inner = Pipeline.make<{ a?: number }>("inner")
      .step("b", ({ a = -9 }) => ({ b: a + 1 }))
      .step("c", ({ b }) => ({ c: b + 1 }))
    const outer = Pipeline.make("outer")
      .step("a", () => ({ a: 1 }))
      .step("n", inner)
    const result = yield* outer.run({}, {
      onStepComplete: ({ context }) => void seen.push(context)
    })
    assert.deepEqual(result, { a: 1, b: 2, c: 3 })
    assert.deepEqual(seen, [
      { a: 1 },
      { a: 1, b: 2 },
      { a: 1, b: 2, c: 3 },
      { a: 1, b: 2, c: 3 }
    ])
  })
)
