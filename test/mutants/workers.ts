/**
 * One short look at each thing that runs which go on by themselves promise: how many at once and in which
 * order, what wakes them, what becomes of debounced calls, and of what is posted while a run goes on as
 * another one. As in `checks.ts`, every check takes the library as a parameter and throws when it sees a bug.
 */
import { Context, Deferred, Effect, Layer, Schema, type Scope } from "effect"
import { TestClock } from "effect/testing"
import assert from "node:assert/strict"
import type * as Reprise from "reprise"
import type * as Acknowledged from "./checks.ts"

export interface Library
  extends Acknowledged.Library, Pick<typeof Reprise, "Dispatch" | "Worker">
{}

export type Check = (reprise: Library) => Effect.Effect<void, unknown>

type Storage = Reprise.Storage.Storage
type Service = Storage["Service"]

const hour = 3_600_000

/** A storage and a clock of its own. */
const inWorld = (
  look: (reprise: Library, storage: Service) => Effect.Effect<void, unknown, Storage | Scope.Scope>
): Check =>
(reprise) =>
  Effect.suspend(() => {
    const storage = reprise.Storage.make(reprise.Storage.memoryDriver())
    return Effect.scoped(look(reprise, storage)).pipe(
      Effect.provideService(reprise.Storage.Storage, storage),
      Effect.provideService(reprise.Workflow.Guard, { slices: false, shadow: false }),
      Effect.provide(TestClock.layer(), { local: true })
    )
  })

const settled = Effect.gen(function*() {
  for (let i = 0; i < 20; i++) yield* TestClock.adjust(0)
})

const pass = (millis: number) =>
  Effect.gen(function*() {
    yield* settled
    yield* TestClock.adjust(millis)
    yield* settled
  })

/** A worker that looks at nothing by itself: only what it is told of, and what it remembers, is driven. */
const work = (
  { Worker }: Library,
  workflows: ReadonlyArray<any>,
  pace: Reprise.Worker.Pace = {}
): Effect.Effect<
  { readonly health: Effect.Effect<Reprise.Worker.Health> },
  never,
  Storage | Scope.Scope
> => {
  const layer = Worker.layer({ workflows, poll: "400 days", drain: 0, ...pace }) as Layer.Layer<
    Reprise.Worker.Worker,
    never,
    Storage
  >
  return Effect.map(
    Layer.build(Layer.fresh(layer)),
    (context) => ({ health: Context.get(context, Worker.Worker).health })
  )
}

/** A workflow whose runs are under way until they are let go, and say when they began. */
const gated = ({ Workflow }: Library, name: string, began: Array<string>) => {
  const gates = new Map<string, Deferred.Deferred<void>>()
  const workflow = Workflow.make(name, function*(ctx, id: string) {
    yield* ctx.step("work", () =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        began.push(id)
        gates.set(id, gate)
        yield* Deferred.await(gate)
      }))
  })
  const letGo = (id: string) =>
    Effect.suspend(() => Effect.andThen(Deferred.succeed(gates.get(id)!, undefined), settled))
  const enqueue = (...ids: ReadonlyArray<string>) =>
    Effect.forEach(ids, (id) => workflow.enqueue(id, { runId: id }), { discard: true })
  return { workflow, letGo, enqueue }
}

const quick = ({ Workflow }: Library, name: string, began: Array<string>) => {
  const workflow = Workflow.make(name, function*(ctx, id: string) {
    yield* ctx.step("work", () => void began.push(id))
  })
  const enqueue = (...ids: ReadonlyArray<string>) =>
    Effect.forEach(ids, (id) => workflow.enqueue(id, { runId: id }), { discard: true })
  return { workflow, enqueue }
}

const unavailable = ({ Storage }: Library) =>
  new Storage.StorageError({ reason: "Unknown", doing: "reach it", cause: new Error("cut") })

// limits

/** No more runs of a workflow are driven at once than its limit says, and each that ends makes room for one. */
export const limitsHeld = inWorld((reprise) =>
  Effect.gen(function*() {
    const began: Array<string> = []
    const { enqueue, letGo, workflow } = gated(reprise, "slow", began)
    yield* work(reprise, [workflow], { limits: { slow: { concurrency: 2 } } })
    yield* enqueue("a", "b", "c", "d")
    yield* settled
    assert.deepEqual(began, ["a", "b"])
    yield* letGo("b")
    assert.deepEqual(began, ["a", "b", "c"])
    yield* letGo("a")
    assert.deepEqual(began, ["a", "b", "c", "d"])
  })
)

/** Runs are taken up no more often than the rate says, and as often as it says. */
export const ratesHeld = inWorld((reprise) =>
  Effect.gen(function*() {
    const began: Array<string> = []
    const { enqueue, workflow } = quick(reprise, "quick", began)
    yield* work(reprise, [workflow], { limits: { quick: { rate: { times: 2, per: "2 hours" } } } })
    yield* enqueue("a", "b", "c", "d")
    yield* settled
    assert.deepEqual(began, ["a", "b"])
    yield* pass(hour - 1)
    assert.deepEqual(began, ["a", "b"])
    yield* pass(1)
    assert.deepEqual(began, ["a", "b", "c"])
    yield* pass(hour)
    assert.deepEqual(began, ["a", "b", "c", "d"])
  })
)

/** Of what waits, the highest priority goes first, and the oldest among equals. */
export const highestFirst = inWorld((reprise) =>
  Effect.gen(function*() {
    const began: Array<string> = []
    const [low, plain, high] = [
      quick(reprise, "low", began),
      gated(reprise, "plain", began),
      quick(reprise, "high", began)
    ]
    yield* work(reprise, [low.workflow, plain.workflow, high.workflow], {
      concurrency: 1,
      limits: { low: { priority: -1 }, high: { priority: 1 } }
    })
    yield* plain.enqueue("first")
    yield* settled
    yield* low.enqueue("low 1", "low 2")
    yield* high.enqueue("high 1", "high 2")
    yield* plain.letGo("first")
    assert.deepEqual(began, ["first", "high 1", "high 2", "low 1", "low 2"])
  })
)

// the worker

/** What is told of a run while it is driven makes nobody drive it beside that, and is looked at behind it. */
export const drivenOnce = inWorld((reprise, storage) =>
  Effect.gen(function*() {
    const began: Array<string> = []
    const { enqueue, letGo, workflow } = gated(reprise, "slow", began)
    const { health } = yield* work(reprise, [workflow])
    yield* enqueue("a")
    yield* settled
    storage.hint("a")
    yield* settled
    const { running, waiting } = yield* health
    assert.deepEqual({ running, waiting }, { running: ["a"], waiting: 1 })
    yield* letGo("a")
    assert.equal((yield* health).waiting, 0)
  })
)

/** A run that could not be driven is driven again. */
export const triedAgain = inWorld((reprise, { driver }) =>
  Effect.gen(function*() {
    const began: Array<string> = []
    const { enqueue, workflow } = quick(reprise, "quick", began)
    let fails = true
    const storage = reprise.Storage.make({
      ...driver,
      acquire: (...args) =>
        Effect.suspend(() => fails ? Effect.fail(unavailable(reprise)) : driver.acquire(...args))
    })
    const on = Effect.provideService(reprise.Storage.Storage, storage)
    yield* on(work(reprise, [workflow]))
    yield* on(enqueue("a"))
    yield* pass(10_000)
    assert.deepEqual(began, [])
    fails = false
    yield* pass(hour)
    assert.deepEqual(began, ["a"])
  })
)

/** A timer goes off although nobody looks. */
export const timersRing = inWorld((reprise) =>
  Effect.gen(function*() {
    const sleeper = reprise.Workflow.make("sleeper", function*(ctx) {
      yield* ctx.sleep("1 hour")
    })
    yield* work(reprise, [sleeper])
    yield* sleeper.enqueue(undefined, { runId: "a" })
    yield* pass(1_000)
    assert.equal((yield* reprise.Runs.status("a")).status, "suspended")
    yield* pass(hour)
    assert.equal((yield* reprise.Runs.status("a")).status, "success")
  })
)

/** What a person decided of a run that killed its process again and again is seen before it is driven. */
export const postsSeen = inWorld((reprise, storage) =>
  Effect.gen(function*() {
    const { Journal, Runs } = reprise
    const began: Array<string> = []
    const { enqueue, workflow } = quick(reprise, "quick", began)
    yield* enqueue("a")
    for (let n = 0; n < 10; n++) {
      const loaded = yield* storage.read("a")
      const { incarnation, session } = loaded.journal.head
      const writer = yield* storage.writer(loaded)
      const stamp = { incarnation, session: session + 1, writer: `w${n}` }
      const start = Journal.stamped({ type: "start" }, "2026-01-02T03:04:05.678Z")
      yield* writer.append(stamp, [start])
    }
    assert.equal((yield* workflow.resume("a")).status, "blocked")
    yield* Runs.settle("a")
    assert.equal((yield* workflow.resume("a")).status, "success")
  })
)

// keys

/** A key is that of its workflow. */
export const keysApart = inWorld((reprise) =>
  Effect.gen(function*() {
    const began: Array<string> = []
    const a = quick(reprise, "a", began).workflow, b = quick(reprise, "b", began).workflow
    const one = yield* a.enqueue("text", { idempotencyKey: "k" })
    assert.equal(yield* a.enqueue("text", { idempotencyKey: "k" }), one)
    assert.notEqual(yield* b.enqueue("text", { idempotencyKey: "k" }), one)
  })
)

/** Calls of one key come to one run, of the last of them, when none has come for a while. */
export const debounced = inWorld((reprise) =>
  Effect.gen(function*() {
    const began: Array<string> = []
    const { workflow } = quick(reprise, "quick", began)
    yield* work(reprise, [workflow])
    const call = (text: string, key: string) =>
      workflow.enqueue(text, { debounce: { key, wait: 5_000 } })
    yield* call("a", "k")
    yield* pass(3_000)
    yield* call("b", "k")
    yield* call("other", "other")
    yield* pass(4_999)
    assert.deepEqual(began, [])
    yield* pass(1)
    assert.deepEqual(new Set(began), new Set(["b", "other"]))
    yield* call("c", "k")
    yield* pass(5_000)
    assert.equal(began.at(-1), "c")
  })
)

/** Calls that keep coming put a run off for so long and no longer. */
export const debouncedAtMost = inWorld((reprise) =>
  Effect.gen(function*() {
    const began: Array<string> = []
    const { workflow } = quick(reprise, "quick", began)
    yield* work(reprise, [workflow])
    for (const text of ["a", "b", "c"]) {
      yield* workflow.enqueue(text, { debounce: { key: "k", wait: 5_000, atMost: 8_000 } })
      yield* pass(3_000)
    }
    assert.deepEqual(began, ["c"])
  })
)

/** A call whose run cannot be recorded while the storage fails is kept until it can. */
export const debouncedLater = inWorld((reprise, { driver }) =>
  Effect.gen(function*() {
    const began: Array<string> = []
    const { workflow } = quick(reprise, "quick", began)
    let fails = true
    const storage = reprise.Storage.make({
      ...driver,
      writer: (runId) =>
        Effect.map(driver.writer(runId), (writer) => ({
          append: (...args) =>
            Effect.suspend(() =>
              fails && runId === "mine"
                ? Effect.fail(unavailable(reprise))
                : writer.append(...args)
            )
        }))
    })
    const on = Effect.provideService(reprise.Storage.Storage, storage)
    yield* on(work(reprise, [workflow]))
    yield* on(workflow.enqueue("a", { runId: "mine", debounce: { key: "k", wait: 0 } }))
    yield* pass(1_000)
    fails = false
    yield* pass(hour)
    assert.deepEqual(began, ["a"])
  })
)

/** A debouncer goes on in a fresh journal now and then. */
export const debouncersShort = inWorld((reprise) =>
  Effect.gen(function*() {
    const began: Array<string> = []
    const { workflow } = quick(reprise, "quick", began)
    yield* work(reprise, [workflow])
    for (let n = 0; n < 101; n++) {
      yield* workflow.enqueue(`${n}`, { debounce: { key: "k", wait: 0 } })
      yield* settled
    }
    assert.equal(began.length, 101)
    const { runs } = yield* reprise.Runs.list({ workflow: "debounce:quick" })
    assert.deepEqual(runs.map(({ status }) => status), ["continued", "suspended"])
  })
)

// going on as another run

const ticking = ({ Workflow }: Library) =>
  Workflow.make(
    "ticking",
    { input: Schema.Array(Schema.Number), events: { tick: Schema.Number } },
    function*(ctx, seen): Reprise.Workflow.Body<ReadonlyArray<number>> {
      const all = [...seen, yield* ctx.suspend("tick")]
      return all.length >= 3 ? all : yield* ctx.continueAs(all)
    }
  )

/** What came for a run that is over comes to the one that it goes on as: all of it, in its order. */
export const inboxesHanded = inWorld((reprise) =>
  Effect.gen(function*() {
    const workflow = ticking(reprise)
    yield* workflow.enqueue([], { runId: "r" })
    for (const value of [1, 2, 3]) yield* workflow.send("r", { eventName: "tick", value })
    const result = yield* workflow.resume("r")
    assert.deepEqual(result.status === "success" && result.result, [1, 2, 3])
  })
)

/** What is posted between two runs of a chain, when nobody drives it, comes to the next one, and once. */
export const postedOnce = inWorld((reprise, storage) =>
  Effect.gen(function*() {
    const workflow = ticking(reprise)
    yield* workflow.enqueue([], { runId: "r" })
    yield* workflow.send("r", { eventName: "tick", value: 1 })
    yield* workflow.resume("r")
    // Its process died when the journal said where it goes on.
    yield* storage.remove("r+2")
    yield* workflow.send("r", { eventName: "tick", value: 2 })
    assert.equal((yield* workflow.resume("r")).status, "suspended")
    yield* workflow.send("r", { eventName: "tick", value: 3 })
    const result = yield* workflow.resume("r")
    assert.deepEqual(result.status === "success" && result.result, [1, 2, 3])
  })
)

/** Taking a chain away leaves at no moment a run that would begin the next one again. */
export const chainsPruned = inWorld((reprise, { driver }) =>
  Effect.gen(function*() {
    const { Runs, Workflow } = reprise
    const counting = Workflow.make(
      "counting",
      function*(ctx, n: number): Reprise.Workflow.Body<number> {
        yield* ctx.step("count", () => n)
        return n >= 12 ? n : yield* ctx.continueAs(n + 1)
      }
    )
    yield* counting.start(1, { runId: "r" })
    let removed = 0
    const dying = reprise.Storage.make({
      ...driver,
      remove: (runId) => removed++ < 4 ? driver.remove(runId) : Effect.fail(unavailable(reprise))
    })
    yield* Effect.ignore(
      Effect.provideService(Runs.prune(hour), reprise.Storage.Storage, dying)
    )
    assert.equal((yield* Runs.list()).runs.length, 8)
    assert.deepEqual(yield* Runs.due(), [])
  })
)

/** A run that is still to hand over what the next one begins with is not taken away, however old. */
export const pendingKept = inWorld((reprise, storage) =>
  Effect.gen(function*() {
    const { Runs } = reprise
    const workflow = ticking(reprise)
    yield* workflow.enqueue([], { runId: "r" })
    yield* workflow.send("r", { eventName: "tick", value: 1 })
    yield* workflow.resume("r")
    yield* storage.remove("r+2")
    assert.deepEqual(yield* Runs.prune(hour), [])
    assert.deepEqual(yield* Runs.due(), ["r"])
  })
)
