/** Calls that become one run: by a key that says so, and by one that debounces. */
import { expect, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Runs, Storage, Worker, Workflow } from "reprise"
import { describe } from "vitest"

const seen: Array<string> = []

const save = Workflow.make("save", {
  input: Schema.Struct({ text: Schema.String }),
  output: Schema.String
}, function*(ctx, { text }) {
  return yield* ctx.step("save", () => {
    seen.push(text)
    return `saved ${text}`
  })
})

const worker = Worker.layer({ workflows: [save] }).pipe(Layer.provideMerge(Storage.layerMemory))

/** Lets what is under way go on; time stands still meanwhile, but for a moment. */
const settled = Effect.gen(function*() {
  for (let i = 0; i < 20; i++) yield* TestClock.adjust("1 millis")
})

const ofSave = Effect.map(Runs.list({ workflow: "save" }), ({ runs }) => runs)

describe("an idempotency key", () => {
  it.effect("makes one run of calls with one input, and refuses another input", () =>
    Effect.gen(function*() {
      const options = { idempotencyKey: "order 7/ä" }
      const one = yield* save.enqueue({ text: "a" }, options)
      expect(yield* save.enqueue({ text: "a" }, options)).toBe(one)
      expect(yield* Effect.flip(save.enqueue({ text: "b" }, options)))
        .toMatchObject({ _tag: "RunExists", differs: "input" })
      expect(yield* save.enqueue({ text: "a" }, { idempotencyKey: "order 8" })).not.toBe(one)
      expect(yield* ofSave).toHaveLength(2)
    }).pipe(Effect.provide(Storage.layerMemory)))
})

describe("debounce", () => {
  const call = (text: string, key = "doc", more = {}) =>
    Effect.andThen(
      save.enqueue({ text }, { debounce: { key, wait: "5 seconds", ...more } }),
      settled
    )

  it.effect("begins one run with the last input, when none has come for a while", () =>
    Effect.gen(function*() {
      seen.length = 0
      for (const text of ["a", "b", "c"]) {
        yield* call(text)
        yield* TestClock.adjust("4 seconds")
      }
      expect(seen).toEqual([])
      yield* TestClock.adjust("1 seconds")
      yield* settled
      expect(seen).toEqual(["c"])
      yield* call("d")
      yield* TestClock.adjust("5 seconds")
      yield* settled
      expect(seen).toEqual(["c", "d"])
    }).pipe(Effect.provide(worker)))

  it.effect("keeps keys apart", () =>
    Effect.gen(function*() {
      seen.length = 0
      yield* call("a", "one")
      yield* call("b", "two")
      yield* TestClock.adjust("5 seconds")
      yield* settled
      expect(seen.toSorted()).toEqual(["a", "b"])
    }).pipe(Effect.provide(worker)))

  it.effect("puts a run off for so long at most", () =>
    Effect.gen(function*() {
      seen.length = 0
      for (const text of ["a", "b", "c", "d"]) {
        yield* call(text, "doc", { atMost: "10 seconds" })
        yield* TestClock.adjust("3 seconds")
      }
      yield* settled
      expect(seen).toEqual(["d"])
    }).pipe(Effect.provide(worker)))

  it.effect("takes calls that came while nobody worked", () =>
    Effect.gen(function*() {
      seen.length = 0
      yield* call("a")
      yield* call("b")
      yield* Effect.gen(function*() {
        yield* settled
        yield* TestClock.adjust("5 seconds")
        yield* settled
      }).pipe(Effect.provide(Worker.layer({ workflows: [save] })))
      expect(seen).toEqual(["b"])
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("goes on with a new debouncer when somebody cancelled the old one", () =>
    Effect.gen(function*() {
      seen.length = 0
      yield* call("a")
      const { runs: [debouncer] } = yield* Runs.list({ workflow: "debounce:save" })
      yield* Runs.cancel(debouncer!.runId)
      yield* settled
      yield* call("b")
      yield* TestClock.adjust("5 seconds")
      yield* settled
      expect(seen).toEqual(["b"])
    }).pipe(Effect.provide(worker)))

  it.effect("keeps a key's journal short", () =>
    Effect.gen(function*() {
      seen.length = 0
      for (let i = 0; i < 205; i++) {
        yield* save.enqueue({ text: `${i}` }, { debounce: { key: "doc", wait: "10 millis" } })
        yield* TestClock.adjust("5 millis")
        yield* settled
      }
      expect(seen).toHaveLength(205)
      const { runs } = yield* Runs.list({ workflow: "debounce:save" })
      expect(runs.length).toBe(3)
    }).pipe(Effect.provide(worker)))

  it.effect("goes on when a run cannot be enqueued", () =>
    Effect.gen(function*() {
      seen.length = 0
      yield* save.enqueue({ text: "first" }, { runId: "taken" })
      yield* settled
      const debounce = { key: "doc", wait: "1 second" } as const
      yield* save.enqueue({ text: "other" }, { runId: "taken", debounce })
      yield* settled
      yield* TestClock.adjust("1 second")
      yield* settled
      yield* call("b")
      yield* TestClock.adjust("5 seconds")
      yield* settled
      expect(seen).toEqual(["first", "b"])
    }).pipe(Effect.provide(worker)))
})
