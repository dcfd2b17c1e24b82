/**
 * Debounced and keyed calls, where somebody tries to lose one or to make two of it: keys that look alike,
 * calls at one moment from several processes, deaths at every write, and inputs that are more than JSON.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer, Redacted, Schema } from "effect"
import { TestClock } from "effect/testing"
import { JournalCodec, Runs, Storage, Worker, Workflow } from "reprise"
import { everywhere, type Program, run, together } from "../support/together.ts"

/** A workflow that says what its runs were begun with. */
const saving = (name = "save") => {
  const seen: Array<string> = []
  const save = Workflow.make(name, { input: Schema.String }, function*(ctx, text) {
    yield* ctx.step("save", () => void seen.push(text))
    return text
  })
  return { seen, save }
}

/** Lets what is under way go on; time stands still meanwhile. */
const settled = Effect.gen(function*() {
  for (let i = 0; i < 50; i++) yield* TestClock.adjust(0)
})

const pass = (millis: number) =>
  Effect.gen(function*() {
    yield* settled
    yield* TestClock.adjust(millis)
    yield* settled
  })

const workerOf = (...workflows: ReadonlyArray<any>) =>
  Worker.layer({ workflows, drain: 0 }) as Layer.Layer<Worker.Worker, never, Storage.Storage>

/** A storage with a worker on it. */
const worked = (...workflows: ReadonlyArray<any>) =>
  Effect.provide(workerOf(...workflows).pipe(Layer.provideMerge(Storage.layerMemory)))

const resultsOf = (workflow: string) =>
  Effect.map(
    Runs.list({ workflow, limit: 10_000 }),
    ({ runs }) => runs.map(({ result, status }) => status === "success" ? result : status)
  )

const oddKeys = [
  "",
  " ",
  "  ",
  "/",
  "a/b",
  "a\\b",
  "../..",
  ".",
  "..",
  "%2F",
  "a:b",
  ":",
  "~",
  "ä",
  "日本",
  "🙂",
  "\n",
  "\0",
  "\u001b[31m",
  "é",
  "e\u0301",
  "A",
  "a",
  "ſ",
  "s",
  "x".repeat(150),
  "x".repeat(10_000),
  "x".repeat(10_001),
  "-".repeat(300),
  "ä".repeat(300),
  "__proto__",
  "constructor",
  "null",
  "undefined",
  "1",
  "01",
  "1.0",
  "a\u200b",
  "\ufeffa"
]

describe("an odd key", () => {
  it.effect("makes one run for each, twice the same for the same", () =>
    Effect.gen(function*() {
      const { save } = saving()
      const ids: Array<string> = []
      for (const idempotencyKey of oddKeys) {
        const id = yield* save.enqueue("text", { idempotencyKey })
        expect(id).toMatch(/^[\x20-\x2e\x30-\x5b\x5d-\x7e]{1,200}$/)
        expect(yield* save.enqueue("text", { idempotencyKey })).toBe(id)
        ids.push(id)
      }
      expect(new Set(ids).size).toBe(oddKeys.length)
      expect((yield* Runs.list({ limit: 1_000 })).runs).toHaveLength(oddKeys.length)
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("debounces its own calls, and nobody else's", () => {
    const { save, seen } = saving()
    return Effect.gen(function*() {
      for (const round of ["first", "last"]) {
        for (const [n, key] of oddKeys.entries()) {
          yield* save.enqueue(`${round} ${n}`, { debounce: { key, wait: "5 seconds" } })
        }
        yield* pass(1_000)
      }
      yield* pass(5_000)
      expect(seen.toSorted()).toEqual(oddKeys.map((_, n) => `last ${n}`).toSorted())
    }).pipe(worked(save))
  })

  it.effect("that is no well-formed text is none of another one's", () =>
    Effect.gen(function*() {
      const { save } = saving()
      const keys = ["\ud800", "\ud801", "\ufffd"]
      const ids = yield* Effect.forEach(keys, (idempotencyKey) =>
        save.enqueue("text", { idempotencyKey }))
      expect(new Set(ids).size).toBe(3)
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("is none of another workflow's, however the two are spelled", () =>
    Effect.gen(function*() {
      const one = saving("a").save, other = saving("a:b").save
      const id = yield* one.enqueue("text", { idempotencyKey: "b:c" })
      expect(yield* other.enqueue("text", { idempotencyKey: "c" })).not.toBe(id)
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("that looks like a later run of another one's chain is not mistaken for it", () =>
    Effect.gen(function*() {
      const counting = Workflow.make(
        "counting",
        { input: Schema.Struct({ of: Schema.String, n: Schema.Number }), output: Schema.String },
        function*(ctx, { n, of }): Workflow.Body<string> {
          return n >= 3 ? of : yield* ctx.continueAs({ of, n: n + 1 })
        }
      )
      const keys = ["order", "order+2", "order+3"]
      const ids: Array<string> = []
      for (const of of keys) {
        ids.push(yield* counting.enqueue({ of, n: 1 }, { idempotencyKey: of }))
      }
      for (const id of ids) yield* counting.resume(id)
      expect(yield* Effect.forEach(ids, (id) => counting.join(id))).toEqual(keys)
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("that is long goes on as itself, whatever begins like it", () =>
    Effect.gen(function*() {
      const counting = Workflow.make(
        "counting",
        { input: Schema.Struct({ of: Schema.String, n: Schema.Number }), output: Schema.String },
        function*(ctx, { n, of }): Workflow.Body<string> {
          return n >= 3 ? of : yield* ctx.continueAs({ of, n: n + 1 })
        }
      )
      const ids = ["a", "b"].map((last) => `${"x".repeat(185)}${last}`)
      const ended = yield* Effect.forEach(
        ids,
        (runId) => counting.execute({ of: runId, n: 1 }, { runId })
      )
      expect(ended).toEqual(ids)
    }).pipe(Effect.provide(Storage.layerMemory)))
})

describe("a debouncer that has gone on in a fresh journal", () => {
  const rounds = 100

  /** So many runs of a key, one after the other. */
  const round = (
    save: ReturnType<typeof saving>["save"],
    key: string,
    from: number,
    to: number
  ) =>
    Effect.gen(function*() {
      for (let n = from; n < to; n++) {
        yield* save.enqueue(`${key} ${n}`, { debounce: { key, wait: 10 } })
        yield* pass(10)
      }
    })

  it.effect("is not taken for that of a key which looks like it", () => {
    const { save, seen } = saving()
    return Effect.gen(function*() {
      yield* round(save, "doc+2", 0, 1)
      yield* round(save, "doc", 0, rounds)
      seen.length = 0
      for (const key of ["doc", "doc+2"]) {
        yield* save.enqueue(`${key} last`, { debounce: { key, wait: 10 } })
      }
      yield* pass(20)
      expect(seen.toSorted()).toEqual(["doc last", "doc+2 last"])
    }).pipe(worked(save))
  })

  /** A storage on which it takes a while to begin a run that is no debouncer's. */
  const slowly = Effect.map(Storage.Storage, ({ driver }) =>
    Storage.make({
      ...driver,
      writer: (runId) =>
        Effect.map(driver.writer(runId), (writer) => ({
          ...writer,
          append: (...args) =>
            Effect.delay(
              Effect.suspend(() => writer.append(...args)),
              runId.startsWith("debounce:") ? 0 : 50
            )
        }))
    }))

  for (const isCancelled of [false, true]) {
    const which = isCancelled ? ", also where a chain before it was cancelled" : ""
    it(`takes along a call that came while it began its last run${which}`, () => {
      const { save, seen } = saving()
      const calls = (from: number, to: number) =>
        Effect.gen(function*() {
          for (let n = from; n < to; n++) {
            yield* save.enqueue(`${n}`, { debounce: { key: "doc", wait: 10 } })
            yield* Effect.sleep(1_000)
          }
        })
      run(Effect.gen(function*() {
        const storage = yield* slowly
        yield* Effect.gen(function*() {
          if (isCancelled) {
            yield* calls(0, rounds + 1)
            yield* Runs.cancel("debounce:save:doc")
            yield* Effect.sleep(1_000)
            seen.length = 0
          }
          yield* calls(0, rounds - 1)
          yield* save.enqueue("one", { debounce: { key: "doc", wait: 10 } })
          yield* Effect.sleep(30)
          yield* save.enqueue("two", { debounce: { key: "doc", wait: 10 } })
          yield* Effect.sleep(10_000)
          expect(seen).toHaveLength(rounds + 1)
          expect(seen.slice(-2)).toEqual(["one", "two"])
        }).pipe(Effect.provide(workerOf(save)), Effect.provideService(Storage.Storage, storage))
      }))
    })
  }

  it.effect("and was cancelled is followed by one that loses nothing, for as many runs again", () => {
    const { save, seen } = saving()
    return Effect.gen(function*() {
      yield* round(save, "doc", 0, rounds + 1)
      yield* Runs.cancel("debounce:save:doc")
      yield* settled
      seen.length = 0
      yield* round(save, "doc", 0, rounds + 3)
      expect(seen).toEqual(Array.from({ length: rounds + 3 }, (_, n) => `doc ${n}`))
    }).pipe(worked(save))
  })
})

describe("calls at one moment", () => {
  it.effect("of many keys come to one run for each, with its last input", () => {
    const { save, seen } = saving()
    return Effect.gen(function*() {
      const keys = Array.from({ length: 150 }, (_, n) => `key ${n}`)
      for (let n = 0; n < 3; n++) {
        yield* Effect.forEach(
          keys,
          (key) => save.enqueue(`${key}: ${n}`, { debounce: { key, wait: "5 seconds" } }),
          { concurrency: "unbounded" }
        )
      }
      // There are places for few of them at a time.
      for (let n = 0; n < 20; n++) yield* pass(500)
      expect(seen.toSorted()).toEqual(keys.map((key) => `${key}: 2`).toSorted())
    }).pipe(worked(save))
  })

  const debounce = { key: "doc", wait: 1_000 }

  /** Looks at what came of it when all is over. */
  const watching: Program = Effect.andThen(Effect.sleep("1 minute"), resultsOf("save"))

  const working = (save: Workflow.Workflow<string, string, any, {}>): Program =>
    Effect.never.pipe(Effect.provide(workerOf(save)))

  it("of two processes are one run, whoever dies at whichever write", () => {
    const { save } = saving()
    const calling = (text: string): Program =>
      Effect.andThen(save.enqueue(text, { debounce, runId: text }), Effect.never)
    const programs = [watching, calling("a"), calling("b"), working(save)]
    for (const k of [1, 2, 3]) {
      everywhere(programs, k, ({ value }) => {
        expect(value).toHaveLength(1)
        expect(["a", "b"]).toContain((value as ReadonlyArray<string>)[0])
      })
    }
  })

  it("one after the other are one run of the last, whoever dies at whichever write", () => {
    const { save } = saving()
    const calling: Program = Effect.gen(function*() {
      for (const text of ["a", "b", "c"]) {
        yield* save.enqueue(text, { debounce, runId: text })
        yield* Effect.sleep(100)
      }
      return yield* Effect.never
    })
    const programs = [watching, calling, working(save)]
    for (const k of [1, 2]) {
      const writes = everywhere(programs, k, ({ get, value }) => {
        expect(value).toEqual(["c"])
        expect(get(Effect.map(Runs.list(), ({ runs }) => runs.length))).toBe(2)
      })
      expect(writes).toBeGreaterThanOrEqual(4)
    }
  })

  it("apart are a run each, whoever dies at whichever write, and none begins twice", () => {
    const { save } = saving()
    const calling: Program = Effect.gen(function*() {
      for (const text of ["a", "b"]) {
        yield* save.enqueue(text, { debounce, runId: text })
        yield* Effect.sleep(5_000)
      }
      return yield* Effect.never
    })
    everywhere([watching, calling, working(save)], 2, ({ get, value }) => {
      expect(value).toEqual(["a", "b"])
      for (const runId of ["a", "b"]) {
        const { entries } = get(Runs.journal(runId))
        expect(entries.filter(({ type }) => type === "step")).toHaveLength(1)
      }
    })
  })

  it("of two processes that find the debouncer cancelled are none of them lost, and belong together", () => {
    const { save, seen } = saving()
    run(
      Effect.gen(function*() {
        yield* save.enqueue("old", { debounce })
        yield* Effect.sleep(10)
        for (const [text, more] of [["c", "d"], ["e", "f"]] as const) {
          const { runs } = yield* Runs.list({ workflow: "debounce:save" })
          yield* Effect.forEach(runs, ({ runId }) => Effect.ignore(Runs.cancel(runId)))
          yield* Effect.sleep(10)
          const calls = [text, more].map((one) => save.enqueue(one, { debounce }))
          yield* Effect.all(calls, { concurrency: "unbounded" })
          yield* Effect.sleep(10_000)
        }
        expect(seen).toHaveLength(2)
        expect(["c", "d"]).toContain(seen[0])
        expect(["e", "f"]).toContain(seen[1])
      }).pipe(Effect.provide(workerOf(save)))
    )
  })

  it("are not lost when a process dies that has removed the debouncer it found cancelled", () => {
    const { save, seen } = saving()
    run(
      Effect.gen(function*() {
        const { driver } = yield* Storage.Storage
        const dying = Storage.make({
          ...driver,
          remove: (runId) =>
            Effect.sleep(500).pipe(
              Effect.andThen(driver.remove(runId)),
              Effect.andThen(Effect.never)
            )
        })
        yield* save.enqueue("old", { debounce })
        yield* Effect.sleep(10)
        yield* Runs.cancel("debounce:save:doc")
        yield* Effect.sleep(10)
        yield* Effect.forkChild(
          Effect.provideService(save.enqueue("never sent", { debounce }), Storage.Storage, dying)
        )
        yield* Effect.sleep(10)
        // Acknowledged, and nobody has called since.
        yield* save.enqueue("quick", { debounce })
        yield* Effect.sleep(10_000)
        expect(seen).toEqual(["quick"])
      }).pipe(Effect.provide(workerOf(save)))
    )
  })

  it("of two processes that both begin the debouncer are both heard", () => {
    const { save } = saving()
    const calling = (text: string): Program =>
      Effect.andThen(
        save.enqueue(text, { debounce: { key: "doc", wait: 0 }, runId: text }),
        Effect.never
      )
    // No wait: nothing puts one in the place of the other but a call that is there already.
    const { value } = together([watching, calling("a"), calling("b"), working(save)], [])
    expect((value as ReadonlyArray<string>).length).toBeGreaterThanOrEqual(1)
    expect(value).toContain("b")
  })
})

describe("an input", () => {
  it.effect("with dates and secrets arrives as it was, and the debouncer shows no secret", () => {
    const seen: Array<unknown> = []
    const Input = Schema.Struct({
      at: Schema.Date,
      card: Schema.Redacted(Schema.String),
      pin: Workflow.secret(Schema.String)
    })
    const pay = Workflow.make("pay", { input: Input }, function*(ctx, { at, card, pin }) {
      yield* ctx.step("pay", () => void seen.push([at, Redacted.value(card), Redacted.value(pin)]))
    })
    return Effect.gen(function*() {
      const at = new Date(1_234)
      const input = { at, card: Redacted.make("4111"), pin: Redacted.make("0815") }
      yield* pay.enqueue(input, { debounce: { key: "k", wait: 100 } })
      yield* settled
      const { entries } = yield* Runs.journal("debounce:pay:k")
      expect(JSON.stringify(entries)).toContain("4111")
      expect(JSON.stringify(JournalCodec.hide(entries))).not.toMatch(/4111|0815/)
      yield* pass(100)
      expect(seen).toEqual([[at, "4111", "0815"]])
    }).pipe(worked(pay))
  })

  it.effect("that there is none of, or that is null or false, arrives as it was", () => {
    const seen: Array<unknown> = []
    const empty = Workflow.make("empty", function*(ctx, input: void) {
      yield* ctx.step("see", () => void seen.push(["empty", input]))
    })
    const any = Workflow.make("any", { input: Schema.Json }, function*(ctx, input) {
      yield* ctx.step("see", () => void seen.push(["any", input]))
    })
    return Effect.gen(function*() {
      yield* empty.enqueue(undefined, { debounce: { key: "k", wait: 0 } })
      for (const [n, input] of [null, false, 0, "", [], {}].entries()) {
        yield* any.enqueue(input, { debounce: { key: `k${n}`, wait: 0 } })
      }
      yield* pass(100)
      expect(seen).toHaveLength(7)
      expect(seen).toContainEqual(["empty", undefined])
      for (const input of [null, false, 0, "", [], {}]) expect(seen).toContainEqual(["any", input])
    }).pipe(worked(empty, any))
  })

  it.effect("that its schema refuses is refused to the caller, and begins nothing", () =>
    Effect.gen(function*() {
      const dated = Workflow.make("dated", { input: Schema.Date }, function*(ctx) {
        yield* ctx.step("s", () => 1)
      })
      expect(
        yield* Effect.flip(
          dated.enqueue("no date" as never, { debounce: { key: "k", wait: 0 } })
        )
      ).toMatchObject({ _tag: "InputRejected" })
      expect((yield* Runs.list()).runs).toEqual([])
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("keeps its durability and its run id on the way", () => {
    const { save } = saving()
    return Effect.gen(function*() {
      const options = {
        runId: "mine",
        durability: "exit",
        debounce: { key: "k", wait: 10 }
      } as const
      expect(yield* save.enqueue("text", options)).toBe("mine")
      yield* pass(10)
      const { entries: [start] } = yield* Runs.journal("mine")
      expect(start).toMatchObject({ type: "start", durability: "exit", metadata: "text" })
    }).pipe(worked(save))
  })

  it.effect("comes with an idempotency key, too: a key that has its run gets no other", () => {
    const { save, seen } = saving()
    return Effect.gen(function*() {
      for (const text of ["a", "b"]) {
        yield* save.enqueue(text, { idempotencyKey: "once", debounce: { key: "k", wait: 10 } })
        yield* pass(10)
      }
      expect(seen).toEqual(["a"])
    }).pipe(worked(save))
  })
})

describe("a time", () => {
  it.effect("without end for atMost is as if there were none", () => {
    const { save, seen } = saving()
    return Effect.gen(function*() {
      const debounce = { key: "k", wait: "1 second", atMost: "Infinity" } as const
      yield* save.enqueue("a", { debounce })
      yield* pass(500)
      yield* save.enqueue("b", { debounce })
      yield* pass(999)
      expect(seen).toEqual([])
      yield* pass(1)
      expect(seen).toEqual(["b"])
    }).pipe(worked(save))
  })

  it.effect("of nothing begins the run at once", () => {
    const { save, seen } = saving()
    return Effect.gen(function*() {
      yield* save.enqueue("a", { debounce: { key: "k", wait: 0 } })
      yield* settled
      yield* save.enqueue("b", { debounce: { key: "k", wait: "1 day", atMost: 0 } })
      yield* settled
      expect(seen).toEqual(["a", "b"])
    }).pipe(worked(save))
  })

  it.effect("is that of the last call, longer or shorter than the one before", () => {
    const { save, seen } = saving()
    return Effect.gen(function*() {
      yield* save.enqueue("a", { debounce: { key: "k", wait: "1 day" } })
      yield* pass(1_000)
      yield* save.enqueue("b", { debounce: { key: "k", wait: 1_000 } })
      yield* pass(999)
      expect(seen).toEqual([])
      yield* pass(1)
      expect(seen).toEqual(["b"])
    }).pipe(worked(save))
  })
})
