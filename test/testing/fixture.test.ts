/**
 * Workflows against recorded journals: what is recorded answers itself, what is not needs a stub.
 */
import { describe, expect, it } from "@effect/vitest"
import { Context, Effect, Exit, Option, Schedule, Schema } from "effect"
import { Instruction, Journal, Runs, Storage, Workflow } from "reprise"
import * as Testing from "reprise/testing"

class Bank extends Context.Service<Bank, { readonly charge: (n: number) => number }>()("Bank") {}

const real = (): never => {
  throw new Error("the real work ran")
}

const order = Workflow.make(
  "order",
  { events: { approve: Schema.Boolean } },
  function*(ctx, id: string) {
    const price = yield* ctx.step("price", (): number => 42)
    const approved = yield* ctx.suspend("approve")
    if (!approved) return `${id} refused`
    const paid = yield* ctx.step(
      "charge",
      () => Effect.map(Bank, (bank): number => bank.charge(price))
    )
    yield* ctx.step("note", (): void => real())
    return `${id}: ${paid}`
  }
)

/** A recorded run that waits for its approval. */
const recorded = Effect.gen(function*() {
  yield* order.start("o1", { runId: "order-1" })
  return yield* Runs.journal("order-1")
}).pipe(
  Effect.provide(Storage.layerMemory),
  Effect.provideService(Bank, { charge: real })
)

const lines = (entries: ReadonlyArray<unknown>) =>
  entries.map((entry) => `${JSON.stringify(entry)}\n`).join("")

const approve = [{ eventName: "approve", value: true }] as const

describe("fixture", () => {
  it.effect("answers recorded steps from the journal and the others from stubs", () =>
    Effect.gen(function*() {
      const journal = yield* recorded
      const { journal: after, performed, result } = yield* Testing.fixture(order, {
        journal,
        events: approve,
        stubs: { price: real, charge: 41, note: undefined }
      })
      expect(result).toEqual({ status: "success", result: "o1: 41", runId: "order-1" })
      expect(performed).toEqual(["charge", "note"])
      expect(after.entries.slice(0, journal.entries.length).map(({ type }) => type)).toEqual(
        journal.entries.map(({ type }) => type)
      )
      expect(after.entries.at(-1)).toMatchObject({ type: "complete", result: "o1: 41" })
    }))

  it.effect("takes the text of a file, a text without checksums, entries, and a prefix", () =>
    Effect.gen(function*() {
      const { entries } = yield* recorded
      const bare = [
        { type: "start", workflow: "order", runId: "order-1", metadata: "o1" },
        { type: "step", stepId: "price", name: "price", result: 1 }
      ] as const
      const journals: ReadonlyArray<Testing.RecordedJournal> = [
        lines(entries),
        Journal.write(entries.map((entry) => JSON.stringify(entry))),
        lines(bare),
        bare,
        entries,
        entries.slice(0, 2)
      ]
      for (const journal of journals) {
        const { performed, result } = yield* Testing.fixture(order, {
          journal,
          events: [{ eventName: "approve", value: false }]
        })
        expect({ performed, result }).toEqual({
          performed: [],
          result: { status: "success", result: "o1 refused", runId: "order-1" }
        })
      }
    }))

  it.effect("shows a changed entry to the body", () =>
    Effect.gen(function*() {
      const journal = (yield* recorded).entries.map((entry) =>
        entry.type === "step" ? { ...entry, result: 7 } : entry
      )
      const { performed, result } = yield* Testing.fixture(order, {
        journal,
        events: approve,
        stubs: { charge: () => 3, note: undefined }
      })
      expect(result).toMatchObject({ result: "o1: 3" })
      expect(performed).toEqual(["charge", "note"])
    }))

  it.effect("begins a run where there is no journal", () =>
    Effect.gen(function*() {
      const { performed, result } = yield* Testing.fixture(order, {
        input: "o2",
        runId: "mine",
        events: approve,
        stubs: { price: () => Effect.succeed(5), charge: async () => 6, note: () => undefined }
      })
      expect(result).toEqual({ status: "success", result: "o2: 6", runId: "mine" })
      expect(performed).toEqual(["price", "charge", "note"])
    }))

  it.effect("fails where a stub is missing, and says which and what to do", () =>
    Effect.gen(function*() {
      const journal = yield* recorded
      const error = yield* Effect.flip(
        Testing.fixture(order, { journal, events: approve, stubs: { note: undefined } })
      )
      expect(error).toMatchObject({
        _tag: "StubMissing",
        step: "charge",
        stepId: "charge",
        allowed: ["note"]
      })
      expect(error.message).toContain(`stubs: { "charge": value }`)
    }))

  it.effect("fails for a missing stub also where the body would catch it or try again", () =>
    Effect.gen(function*() {
      const careful = Workflow.make("careful", function*(ctx) {
        const tried = yield* ctx.step("risky", () => Effect.fail("no"), {
          retry: { times: 3, schedule: Schedule.spaced("1 day") }
        }).pipe(Instruction.result)
        return tried._tag
      })
      expect(yield* Effect.flip(Testing.fixture(careful))).toMatchObject({
        _tag: "StubMissing",
        allowed: []
      })
    }))

  it.effect("lets stubs fail, throw and reject, and counts each attempt", () =>
    Effect.gen(function*() {
      const stubborn = Workflow.make("stubborn", { error: Schema.String }, function*(ctx) {
        const work = (): Effect.Effect<number, string> => Effect.succeed(1)
        const failed = yield* ctx.step("failing", work).pipe(Instruction.result)
        const threw = yield* ctx.step("throwing", work).pipe(Instruction.result)
        const rejected = yield* ctx.step("rejecting", work, { retry: 1 }).pipe(Instruction.result)
        return [failed, threw, rejected].map(({ _tag }) => _tag)
      })
      const { performed, result } = yield* Testing.fixture(stubborn, {
        stubs: {
          failing: () => Effect.fail("no"),
          throwing: real,
          rejecting: () => Promise.reject(new Error("no"))
        }
      })
      expect(result).toMatchObject({ result: ["Failure", "Failure", "Failure"] })
      expect(performed).toEqual(["failing", "throwing", "rejecting", "rejecting"])
    }))

  it.effect("tells a stub which step it stands for", () =>
    Effect.gen(function*() {
      const fan = Workflow.make("fan", function*(ctx) {
        return yield* ctx.all({
          a: ctx.step("ask", (): string => real()),
          b: ctx.step("ask", (): string => real())
        })
      })
      const { result } = yield* Testing.fixture(fan, {
        stubs: { ask: ({ stepId }) => `${stepId}!` }
      })
      expect(result).toMatchObject({ result: { a: "all[a]/ask!", b: "all[b]/ask!" } })
    }))

  it.effect("encodes a stub's value by the step's schema", () =>
    Effect.gen(function*() {
      const dated = Workflow.make("dated", function*(ctx) {
        const at = yield* ctx.step("when", (): Date => real(), { schema: Schema.Date })
        return at.getUTCFullYear()
      })
      const { result } = yield* Testing.fixture(dated, {
        stubs: { when: new Date(Date.UTC(2031, 0, 1)) }
      })
      expect(result).toMatchObject({ result: 2031 })
    }))

  it.effect("stubs undos and the steps of children", () =>
    Effect.gen(function*() {
      const child = Workflow.make("child", function*(ctx) {
        return yield* ctx.step("inner", (): number => real())
      })
      const saga = Workflow.make("saga", { error: Schema.String }, function*(ctx) {
        const n = yield* ctx.child(child, undefined)
        yield* ctx.step("reserve", (): number => n, {
          undo: () => ctx.step("release", (): void => real())
        })
        yield* ctx.fail("over")
      })
      const stubs = { inner: 1, reserve: 2, release: undefined }
      const { performed, result } = yield* Testing.fixture(saga, { stubs })
      expect(result).toMatchObject({ status: "failed", error: "over" })
      expect(performed).toEqual(["inner", "reserve", "release"])
    }))

  it.effect("goes on at the time of the last entry", () =>
    Effect.gen(function*() {
      const late = Workflow.make("late", { events: { go: Schema.Void } }, function*(ctx) {
        const went = yield* ctx.suspend("go", { timeout: "1 hour" })
        return [Option.isSome(went), yield* ctx.now] as const
      })
      const at = Date.UTC(2030, 0, 1)
      const journal = [{
        type: "start",
        workflow: "late",
        runId: "l",
        timestamp: new Date(at).toISOString()
      }] as unknown as ReadonlyArray<Journal.Entry>
      const { result } = yield* Testing.fixture(late, { journal })
      expect(result).toMatchObject({ result: [false, at + 3_600_000] })
    }))

  it.effect("refuses a journal that the code does not fit, and one that is damaged", () =>
    Effect.gen(function*() {
      const { entries } = yield* recorded
      const other = Workflow.make("order", function*(ctx) {
        yield* ctx.step("another", () => 1)
      })
      expect(yield* Effect.flip(Testing.fixture(other, { journal: entries }))).toMatchObject({
        _tag: "ReplayMismatch"
      })
      const damaged = lines(entries).replace("42", "43")
      expect(yield* Effect.flip(Testing.fixture(order, { journal: damaged }))).toMatchObject({
        _tag: "JournalCorrupt"
      })
      const exit = yield* Effect.exit(Testing.fixture(order, { journal: entries.slice(1) }))
      expect(String(Exit.isFailure(exit) && exit.cause)).toContain("it begins with a")
    }))

  it.effect("guards the body, unless it is told not to", () =>
    Effect.gen(function*() {
      const clock = Workflow.make("clock", function*() {
        return Date.now() > 0
      })
      expect(yield* Effect.flip(Testing.fixture(clock))).toMatchObject({ _tag: "BodyDefect" })
      const { result } = yield* Effect.provide(Testing.fixture(clock), Testing.unguarded)
      expect(result).toMatchObject({ result: true })
    }))

  it("types stubs by the name and the value of each step", () => {
    const names = () => {
      // @ts-expect-error no step has this name
      void Testing.fixture(order, { stubs: { prize: 1 } })
      // @ts-expect-error the step gives a number
      void Testing.fixture(order, { stubs: { price: "1" } })
      // @ts-expect-error the step gives a number
      void Testing.fixture(order, { stubs: { price: () => Effect.succeed("1") } })
      // @ts-expect-error the workflow has no such event
      void Testing.fixture(order, { events: [{ eventName: "aprove", value: true }] })
      const needsNothing: Effect.Effect<unknown, unknown> = Testing.fixture(order)
      return needsNothing
    }
    expect(names).toBeTypeOf("function")
  })
})
