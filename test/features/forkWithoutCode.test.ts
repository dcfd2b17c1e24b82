/** Forks and retries by who has no code of the workflow: the new run is left to who has. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer, Redacted, Schema } from "effect"
import { Instruction, Journal, JournalCodec, Runs, Storage, Worker, Workflow } from "reprise"

let calls: Array<string> = []
let isBroken = true

const order = Workflow.make("order", {
  input: Schema.Struct({ amount: Schema.Int }),
  events: { approve: Schema.Boolean },
  version: "2"
}, function*(ctx, { amount }) {
  const price = yield* ctx.step("price", () => {
    calls.push("price")
    return amount * 2
  })
  const [a, b] = yield* ctx.all([ctx.step("tax", () => price / 10), ctx.uuid])
  const isApproved = yield* ctx.suspend("approve")
  yield* ctx.step("charge", () => {
    calls.push("charge")
    return isBroken ? Promise.reject(new Error("declined")) : Promise.resolve(price + a)
  })
  return { price, tax: a, id: b, isApproved }
})

const approve = { eventName: "approve", value: true } as const

/** A run that failed at its last step. */
const failed = Effect.gen(function*() {
  calls = []
  isBroken = true
  yield* order.start({ amount: 21 }, { runId: "a" })
  yield* order.resume("a", approve)
  isBroken = false
})

const story = (runId: string) =>
  Effect.map(
    Runs.journal(runId),
    ({ entries }) =>
      entries.map((entry) => "stepId" in entry ? `${entry.type} ${entry.stepId}` : entry.type)
  )

const onMemory = Effect.provide(Storage.layerMemory)

describe("a fork without code", () => {
  it.live("keeps what was done before the step, and is driven by a worker", () =>
    Effect.gen(function*() {
      yield* failed
      const before = yield* Runs.journal("a")
      const runId = yield* Runs.fork("a", { fromStep: "charge" })
      expect(yield* Runs.status(runId)).toMatchObject({ status: "pending", workflow: "order" })
      expect(yield* Runs.due()).toEqual([runId])
      const worked = yield* order.join(runId).pipe(
        Effect.provide(Worker.layer({ workflows: [order] }))
      )
      expect(worked).toMatchObject({ price: 42, tax: 4.2, isApproved: true })
      expect(calls).toEqual(["price", "charge", "charge"])
      expect(yield* Runs.journal("a")).toEqual(before)
    }).pipe(onMemory))

  it.effect("is the run that a fork with code makes", () =>
    Effect.gen(function*() {
      yield* failed
      const without = yield* Runs.fork("a", { fromStep: "charge", runId: "without" })
      const one = yield* order.resume(without)
      const other = yield* order.fork("a", { fromStep: "charge", runId: "with" })
      expect({ ...one, runId: "" }).toEqual({ ...other, runId: "" })
      const bare = (runId: string) =>
        Effect.map(story(runId), (types) => types.filter((type) => type !== "start"))
      expect(yield* bare("without")).toEqual(yield* bare("with"))
      const source = (runId: string) =>
        Effect.map(Runs.journal(runId), ({ entries: [start] }) => {
          const { at: _, ...source } = (start as any).source
          return { source, seed: (start as any).seed, version: (start as any).version }
        })
      expect(yield* source("without")).toEqual(yield* source("with"))
    }).pipe(onMemory))

  it.effect("takes other results, and what is behind them is done with those", () =>
    Effect.gen(function*() {
      yield* failed
      const runId = yield* Runs.fork("a", { fromStep: "tax", override: { price: 100 } })
      expect(yield* order.resume(runId)).toMatchObject({ status: "suspended" })
      expect(yield* order.resume(runId, approve))
        .toMatchObject({ status: "success", result: { price: 100, tax: 10 } })
    }).pipe(onMemory))

  it.effect("may be cut at an offset", () =>
    Effect.gen(function*() {
      yield* failed
      const runId = yield* Runs.fork("a", { fromOffset: 1 })
      expect(yield* story(runId)).toEqual(["start"])
      expect(yield* order.resume(runId)).toMatchObject({ status: "suspended" })
      expect(calls.filter((call) => call === "price")).toHaveLength(2)
    }).pipe(onMemory))

  it.effect("is refused where there is nothing to cut, and nothing is written", () =>
    Effect.gen(function*() {
      yield* failed
      const refused = (options: any) => Effect.flip(Runs.fork("a", options))
      expect(yield* refused({ fromStep: "nope" })).toMatchObject({ _tag: "StepNotFound" })
      expect(yield* refused({ fromOffset: 0 })).toMatchObject({ _tag: "ForkRejected" })
      expect(yield* refused({ fromOffset: 99 })).toMatchObject({ _tag: "ForkRejected" })
      expect(yield* refused({ fromOffset: 1.5 })).toMatchObject({ _tag: "ForkRejected" })
      expect(yield* refused({})).toMatchObject({ _tag: "ForkRejected" })
      expect(yield* refused({ fromStep: "" })).toMatchObject({ _tag: "StepNotFound" })
      expect(yield* refused({ fromStep: "tax", fromOffset: 1 }))
        .toMatchObject({ _tag: "ForkRejected" })
      expect(yield* refused({ fromStep: "charge", override: { nope: 1 } }))
        .toMatchObject({ _tag: "StepNotFound" })
      expect(yield* refused({ fromStep: "charge", runId: "a/b" }))
        .toMatchObject({ _tag: "RunIdRejected" })
      expect(yield* Effect.flip(Runs.fork("none", { fromOffset: 1 })))
        .toMatchObject({ _tag: "RunNotFound" })
      expect((yield* Runs.list()).runs.map(({ runId }) => runId)).toEqual(["a"])
    }).pipe(onMemory))

  it.effect("of a run that a newer version wrote is that version's to make", () =>
    Effect.gen(function*() {
      yield* failed
      const { driver } = yield* Storage.Storage
      const newer = Storage.make({
        ...driver,
        read: (runId) =>
          Effect.map(driver.read(runId), ({ text, version }) => {
            const [start = ""] = text.split("\n")
            const line = start.replace(/,"sum":"[0-9a-f]+"\}$/, "}").replace(
              "\"format\":1",
              "\"format\":2"
            )
            return { version, text: [Journal.sealText(line), ""].join("\n") }
          })
      })
      const refused = Runs.fork("a", { fromOffset: 1 }).pipe(
        Effect.provideService(Storage.Storage, newer)
      )
      expect(yield* Effect.flip(refused)).toMatchObject({
        _tag: "VersionMismatch",
        of: "journal format",
        recorded: "2"
      })
    }).pipe(onMemory))

  it.effect("of one id is one run, and none of another origin", () =>
    Effect.gen(function*() {
      yield* failed
      const fork = (override?: Record<string, number>) =>
        Runs.fork("a", { fromStep: "charge", runId: "b", ...(override && { override }) })
      expect(yield* fork()).toBe("b")
      const before = yield* Runs.journal("b")
      expect(yield* fork()).toBe("b")
      expect(yield* Runs.journal("b")).toEqual(before)
      expect(yield* Effect.flip(fork({ price: 1 }))).toMatchObject({
        _tag: "RunExists",
        differs: "source"
      })
      expect(yield* Effect.flip(Runs.fork("a", { fromOffset: 1, runId: "a" })))
        .toMatchObject({ _tag: "RunExists" })
    }).pipe(onMemory))

  it.effect("keeps what is sealed sealed", () => {
    const secret = Redacted.make("an example of 32 characters or more")
    const memory = Layer.sync(Storage.Storage, () => Storage.make(Storage.memoryDriver()))
    const sealed = JournalCodec.layer({ keys: [{ id: "a", secret }] })
    return Effect.gen(function*() {
      yield* failed
      const runId = yield* Runs.fork("a", { fromStep: "charge", override: { price: 7 } })
      const { driver } = yield* Storage.Storage
      expect((yield* driver.read(runId)).text).not.toContain("\"result\":7")
      expect(yield* order.resume(runId)).toMatchObject({ status: "success", result: { price: 7 } })
    }).pipe(Effect.provide(Layer.provide(sealed, memory)))
  })
})

describe("a retry without code", () => {
  it.effect("goes on from the step that failed", () =>
    Effect.gen(function*() {
      yield* failed
      const runId = yield* Runs.retryFrom("a")
      expect(yield* order.resume(runId)).toMatchObject({ status: "success", result: { price: 42 } })
      expect(calls).toEqual(["price", "charge", "charge"])
    }).pipe(onMemory))

  it.effect("goes on from an earlier one, with another result", () =>
    Effect.gen(function*() {
      yield* failed
      const runId = yield* Runs.retryFrom("a", { step: "charge", override: { price: 1 } })
      expect(yield* order.resume(runId)).toMatchObject({ status: "success", result: { price: 1 } })
    }).pipe(onMemory))

  it.effect("is refused of a run that has not failed, and of one whose body did", () =>
    Effect.gen(function*() {
      const body = Workflow.make("body", { error: Schema.String }, function*(ctx) {
        yield* ctx.step("fine", () => 1)
        return yield* ctx.fail("no")
      })
      yield* order.start({ amount: 1 }, { runId: "open" })
      expect(yield* Effect.flip(Runs.retryFrom("open"))).toMatchObject({
        _tag: "ForkRejected",
        saw: "it has not failed"
      })
      yield* body.start(undefined, { runId: "own" })
      expect(yield* Effect.flip(Runs.retryFrom("own"))).toMatchObject({
        _tag: "ForkRejected",
        saw: "no step of it failed: its body did, of itself"
      })
    }).pipe(onMemory))

  it.effect("tells what was undone, as the one with code does", () =>
    Effect.gen(function*() {
      const saga = Workflow.make("saga", function*(ctx) {
        yield* ctx.step("book", () => 1, { undo: () => Instruction.step("unbook", () => 2) })
        yield* ctx.step("pay", () => Promise.reject(new Error("declined")))
      })
      yield* saga.start(undefined, { runId: "s" })
      const without = yield* Effect.flip(Runs.retryFrom("s"))
      const withCode = yield* Effect.flip(saga.retryFrom("s"))
      expect(without.message).toBe((withCode as Error).message)
      expect(without.message).toContain("was undone when it failed: \"book\"")
    }).pipe(onMemory))
})
