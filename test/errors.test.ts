/**
 * Bad input, broken code and hostile values: each is a typed error that says what was seen, what is
 * allowed and what to do next, and the journal is byte for byte what it was.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer, Result, Schema, SchemaGetter } from "effect"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { Instruction, Journal, Runs, Storage, Workflow } from "reprise"
import * as MemoryDriver from "../src/MemoryDriver.ts"

class NoStock extends Schema.TaggedError<NoStock>()("NoStock", { sku: Schema.String }) {}

/** A memory storage whose bytes can be looked at. */
class Bytes {
  readonly driver = MemoryDriver.make()
  readonly layer = Layer.succeed(Storage.Storage, Storage.make(this.driver))
  readonly read = (runId = "r1") => Effect.map(this.driver.read(runId), ({ text }) => text)
}

/** A test with a memory storage of its own. */
const test = <A, E>(
  name: string,
  body: (bytes: Bytes) => Effect.Effect<A, E, Storage.Storage>
) =>
  it.live(name, () => {
    const bytes = new Bytes()
    return Effect.provide(body(bytes), bytes.layer)
  })

/** The error of `call`, which leaves no trace in the run's journal. */
const harmless = <A, E extends { readonly _tag: string }, R>(
  bytes: Bytes,
  call: Effect.Effect<A, E, R>,
  runId = "r1"
) =>
  Effect.gen(function*() {
    const before = yield* bytes.read(runId)
    const error = yield* Effect.flip(call)
    expect(yield* bytes.read(runId)).toBe(before)
    return error as E & { readonly message: string }
  })

/** Every message tells people what they can do now. */
const advice =
  /(?:^|[.:;,] |or |: )(Use|Send|Start|Check|Look|Resume|Raise|Keep|Return|Restore|Wrap|Give|Declare|Write|Mend|mend|deploy|keep|resume|start|raise|give|declare|send|use|check|look|remove)\b/

const says = (error: { readonly message: string }, ...words: ReadonlyArray<string>) => {
  for (const word of words) expect(error.message).toContain(word)
  expect(error.message).toMatch(advice)
}

/** Throws whatever is done with it. */
const hostile: object = new Proxy({}, {
  get() {
    throw new Error("get")
  },
  has() {
    throw new Error("has")
  },
  ownKeys() {
    throw new Error("ownKeys")
  },
  getPrototypeOf() {
    throw new Error("getPrototypeOf")
  }
})

const file = fileURLToPath(import.meta.url)
const source = readFileSync(file, "utf8").split("\n")

/** Where this file has the comment `// marker`, as errors name it. */
const lineOf = (marker: string) => {
  const at = source.findIndex((line) => line.endsWith(`// ${marker}`))
  expect(at).toBeGreaterThan(0)
  return `errors.test.ts:${at + 1}:`
}

const events = { review: Schema.Struct({ approved: Schema.Boolean }), go: Schema.Void }

const review = Workflow.make("review", { events }, function*(ctx) {
  yield* ctx.step("before", () => 1)
  return (yield* ctx.suspend("review")).approved
})

describe("an event", () => {
  test("with a name that is not declared is rejected, with the names that are", (bytes) =>
    Effect.gen(function*() {
      yield* review.start(undefined, { runId: "r1" })
      for (const eventName of ["revue", "constructor", "__proto__", "toString", ""]) {
        const event = { eventName, value: { approved: true } } as never
        for (const call of [review.send("r1", event), review.resume("r1", event)]) {
          const error = yield* harmless(bytes, call)
          expect(error).toMatchObject({
            _tag: "EventRejected",
            runId: "r1",
            eventName,
            allowed: ["review", "go"]
          })
          says(error, `"${eventName}"`, `"review", "go"`, `run "r1"`)
        }
      }
      expect((yield* bytes.driver.inbox("r1", "")).text).toBe("")
    }))

  test("is rejected where none is declared", (bytes) =>
    Effect.gen(function*() {
      const none = Workflow.make("none", function*() {})
      yield* none.enqueue(undefined, { runId: "r1" })
      const error = yield* harmless(bytes, none.send("r1", { eventName: "go" } as never))
      expect(error).toMatchObject({ _tag: "EventRejected", allowed: [] })
      says(error, "The workflow declares no events")
    }))

  test("with another payload is rejected, with what is wrong with it", (bytes) =>
    Effect.gen(function*() {
      yield* review.start(undefined, { runId: "r1" })
      for (const value of [{ approved: "yes" }, undefined, null, [], { approved: 1n }]) {
        const event = { eventName: "review", value } as never
        for (const call of [review.send("r1", event), review.resume("r1", event)]) {
          const error = yield* harmless(bytes, call)
          expect(error).toMatchObject({ _tag: "EventRejected", eventName: "review" })
          says(error, `"review"`)
        }
      }
      const error = yield* harmless(
        bytes,
        review.send("r1", { eventName: "review", value: { approved: "yes" } } as never)
      )
      says(error, "boolean", "approved")
      expect((yield* bytes.driver.inbox("r1", "")).text).toBe("")
    }))

  test("over the limit is rejected", (bytes) =>
    Effect.gen(function*() {
      const large = Workflow.make("large", { events: { go: Schema.String } }, function*(ctx) {
        return (yield* ctx.suspend("go")).length
      })
      yield* large.start(undefined, { runId: "r1" })
      const error = yield* harmless(
        bytes,
        large.send("r1", { eventName: "go", value: "x".repeat(1000) }).pipe(
          Effect.provideService(Workflow.Limits, { bytes: 100, depth: 10 })
        )
      )
      expect(error._tag).toBe("EventRejected")
      says(error, "1002 bytes", "100")
    }))

  test("that Runs.send posts unchecked is left in the inbox, and the run goes on", (bytes) =>
    Effect.gen(function*() {
      yield* review.start(undefined, { runId: "r1" })
      yield* Runs.send("r1", { eventName: "revue", value: 1 })
      yield* Runs.send("r1", { eventName: "review", value: { approved: "yes" } })
      const before = yield* bytes.read()
      expect(yield* review.resume("r1")).toMatchObject({ status: "suspended" })
      expect(yield* bytes.read()).toBe(before)
      expect(yield* review.resume("r1", { eventName: "review", value: { approved: true } }))
        .toMatchObject({ status: "success", result: true })
    }))
})

describe("a run id", () => {
  const calls: Record<string, (runId: string) => Effect.Effect<unknown, any, Storage.Storage>> = {
    resume: (runId) => review.resume(runId),
    "resume with an event": (runId) => review.resume(runId, { eventName: "go" }),
    send: (runId) => review.send(runId, { eventName: "go" }),
    cancel: (runId) => review.cancel(runId),
    status: (runId) => review.status(runId),
    join: (runId) => review.join(runId),
    "Runs.status": (runId) => Runs.status(runId),
    "Runs.journal": (runId) => Runs.journal(runId),
    "Runs.send": (runId) => Runs.send(runId, { eventName: "go" }),
    "Runs.cancel": (runId) => Runs.cancel(runId),
    "Runs.remove": (runId) => Runs.remove(runId)
  }

  for (const [name, call] of Object.entries(calls)) {
    test(`that is not known is RunNotFound for ${name}, and creates nothing`, () =>
      Effect.gen(function*() {
        yield* review.start(undefined, { runId: "other" })
        const error = yield* Effect.flip(call("r1"))
        expect(error).toMatchObject({ _tag: "RunNotFound", runId: "r1" })
        says(error, `no run "r1"`, "Check the id and the storage")
        expect((yield* Runs.list()).runs.map(({ runId }) => runId)).toEqual(["other"])
        expect(yield* Effect.flip(call("r1"))).toMatchObject({ _tag: "RunNotFound" })
      }))
  }

  const impossible = [
    "",
    "../escape",
    "a/b",
    "a\\b",
    "/etc/passwd",
    "a\nb",
    "a\0b",
    "\u007f",
    "é",
    "😀",
    "\u202egnp",
    "x".repeat(201),
    5 as never,
    null as never,
    {} as never
  ]

  const starts: typeof calls = {
    ...calls,
    start: (runId) => review.start(undefined, { runId }),
    execute: (runId) => review.execute(undefined, { runId }),
    enqueue: (runId) => review.enqueue(undefined, { runId })
  }

  for (const [name, call] of Object.entries(starts)) {
    test(`that no storage could hold is refused by ${name}`, () =>
      Effect.gen(function*() {
        for (const runId of impossible) {
          // No id at all means a new one where a run is started.
          if (runId === null && !(name in calls)) continue
          const error = yield* Effect.flip(call(runId))
          expect(error).toMatchObject({ _tag: "RunIdRejected" })
          says(error, "1 to 200 printable ASCII characters", "createRunId()")
          expect(error.message.length).toBeLessThan(500)
        }
        expect((yield* Runs.list()).runs).toEqual([])
      }))
  }

  test("may be odd, as long as it is printable ASCII without slashes", () =>
    Effect.gen(function*() {
      const odd = [
        "a b",
        ".",
        "..",
        "CON",
        "con",
        "%2e%2e",
        "~",
        "-rf",
        "\"'`$(x)",
        "x".repeat(200)
      ]
      for (const runId of odd) {
        expect(yield* review.start(undefined, { runId })).toMatchObject({
          status: "suspended",
          runId
        })
      }
      expect((yield* Runs.list()).runs.map(({ runId }) => runId).sort()).toEqual(odd.sort())
    }))
})

describe("a closed run", () => {
  const ends: Record<string, Workflow.Workflow<any, any, any, any>> = {
    success: Workflow.make("w", { events }, function*() {}) as never,
    failed: Workflow.make("w", { events }, function*(ctx) {
      yield* ctx.fail("no")
    }) as never
  }

  for (const [status, workflow] of Object.entries(ends)) {
    test(`that came to ${status} takes no events and no cancel`, (bytes) =>
      Effect.gen(function*() {
        yield* workflow.start(undefined, { runId: "r1" })
        const event = { eventName: "go" }
        for (
          const call of [
            workflow.send("r1", event),
            workflow.resume("r1", event),
            workflow.cancel("r1"),
            Runs.send("r1", event),
            Runs.cancel("r1")
          ]
        ) {
          const error = yield* harmless(bytes, call as Effect.Effect<void, Runs.RunClosed>)
          expect(error).toMatchObject({ _tag: "RunClosed", runId: "r1", status })
          says(error, `"r1" has ended (${status})`, "nothing was delivered", "Start a new run")
        }
        expect((yield* bytes.driver.inbox("r1", "")).text).toBe("")
      }))
  }

  test("that was cancelled takes none either", (bytes) =>
    Effect.gen(function*() {
      yield* review.start(undefined, { runId: "r1" })
      yield* review.cancel("r1")
      const error = yield* harmless(bytes, review.resume("r1", { eventName: "go" }))
      expect(error).toMatchObject({ _tag: "RunClosed", status: "cancelled" })
    }))
})

describe("a start", () => {
  const typed = Workflow.make("typed", {
    input: Schema.Struct({ id: Schema.String, n: Schema.Number }),
    events
  }, function*(ctx) {
    yield* ctx.suspend("go")
  })

  test("with an input that the schema refuses records nothing", () =>
    Effect.gen(function*() {
      for (const input of [{ id: "a" }, { id: 1, n: 1 }, undefined, null, "x"]) {
        for (const call of [typed.start, typed.execute, typed.enqueue]) {
          const error = yield* Effect.flip(call(input as never, { runId: "r1" }))
          expect(error).toMatchObject({ _tag: "InputRejected", runId: "r1", workflow: "typed" })
          says(error, `workflow "typed"`, "Nothing was recorded")
        }
      }
      expect((yield* Runs.list()).runs).toEqual([])
    }))

  test("with another input for a known id names both", (bytes) =>
    Effect.gen(function*() {
      yield* typed.start({ id: "a", n: 1 }, { runId: "r1" })
      const input = { id: "a", n: 2 }
      for (const call of [typed.start, typed.enqueue]) {
        const error = yield* harmless(
          bytes,
          call(input, { runId: "r1" }) as Effect.Effect<void, Runs.RunExists, Storage.Storage>
        )
        expect(error).toMatchObject({
          _tag: "RunExists",
          differs: "input",
          seen: `{"id":"a","n":2}`,
          recorded: `{"id":"a","n":1}`
        })
        says(error, `{"id":"a","n":2}`, `{"id":"a","n":1}`, "Use another run id", `resume("r1")`)
      }
    }))

  test("of another workflow under a known id names both", (bytes) =>
    Effect.gen(function*() {
      yield* review.start(undefined, { runId: "r1" })
      for (
        const call of [
          typed.start({ id: "a", n: 1 }, { runId: "r1" }),
          typed.enqueue({ id: "a", n: 1 }, { runId: "r1" }),
          typed.resume("r1"),
          typed.status("r1"),
          typed.join("r1")
        ]
      ) {
        const error = yield* harmless(
          bytes,
          call as Effect.Effect<void, Runs.RunExists, Storage.Storage>
        )
        expect(error).toMatchObject({
          _tag: "RunExists",
          differs: "workflow",
          seen: "typed",
          recorded: "review"
        })
        says(error, "typed", "review")
      }
    }))
})

describe("a post of another workflow", () => {
  const other = Workflow.make("other", { events }, function*() {})

  test("to a run that is not its own is refused, and nothing is posted", (bytes) =>
    Effect.gen(function*() {
      yield* review.start(undefined, { runId: "r1" })
      for (
        const call of [
          other.send("r1", { eventName: "go" }),
          other.resume("r1", { eventName: "go" }),
          other.cancel("r1")
        ]
      ) {
        const error = yield* harmless(
          bytes,
          call as Effect.Effect<void, Runs.RunExists, Storage.Storage>
        )
        expect(error).toMatchObject({ _tag: "RunExists", seen: "other", recorded: "review" })
        expect((yield* bytes.driver.inbox("r1", "")).text).toBe("")
      }
    }))
})

describe("another version", () => {
  const of = (version: string | undefined) =>
    Workflow.make("versioned", { version, events }, function*(ctx) {
      yield* ctx.suspend("go")
    })

  test("of the workflow is not driven on", (bytes) =>
    Effect.gen(function*() {
      yield* of("1").start(undefined, { runId: "r1" })
      for (
        const call of [
          of("2").resume("r1"),
          of("2").start(undefined, { runId: "r1" }),
          of("2").execute(undefined, { runId: "r1" })
        ]
      ) {
        const error = yield* harmless(
          bytes,
          call as Effect.Effect<void, Workflow.VersionMismatch, Storage.Storage>
        )
        expect(error).toMatchObject({
          _tag: "VersionMismatch",
          of: "workflow",
          recorded: "1",
          seen: "2"
        })
        says(error, "version 1", "has 2", "Nothing was run or written", "Resume it in a process")
      }
      expect(yield* of("1").resume("r1", { eventName: "go" })).toMatchObject({ status: "success" })
    }))

  test("is not compared where one side has none", () =>
    Effect.gen(function*() {
      yield* of(undefined).start(undefined, { runId: "r1" })
      expect(yield* of("2").resume("r1", { eventName: "go" })).toMatchObject({ status: "success" })
    }))

  test("of the journal's format is not guessed at", (bytes) =>
    Effect.gen(function*() {
      const { lines } = Journal.seal(
        Journal.emptyHead,
        { incarnation: "i", session: 1, writer: "w" },
        [Journal.stamped(
          { type: "start", format: Journal.format + 1, workflow: "versioned" },
          new Date(0).toISOString()
        )]
      )
      const writer = yield* Effect.scoped(bytes.driver.writer("r1"))
      yield* writer.append("", lines, () => {
        throw new Error("memory keeps no row")
      })
      const error = yield* harmless(bytes, of("1").resume("r1"))
      expect(error).toMatchObject({ _tag: "VersionMismatch", of: "journal format" })
      says(error, `version ${Journal.format + 1}`)
    }))
})

describe("edited code", () => {
  type Body = (ctx: Workflow.Ctx<typeof events>) => Workflow.Body<string | void, any>
  const of = (body: Body) =>
    Workflow.make("edited", { events }, function*(ctx) {
      return yield* body(ctx)
    })

  const recorded: Body = function*(ctx) {
    yield* ctx.step("reserve", () => "reserved")
    yield* ctx.all({ a: ctx.step("charge", () => "charged"), b: ctx.step("pack", () => "packed") })
    yield* ctx.suspend("go", { key: "k" })
    yield* ctx.step("ship", () => "shipped")
  }

  const ran: Array<string> = []
  const work = (name: string) => () => ran.push(name)

  const edits: Record<
    string,
    {
      readonly body: Body
      readonly offset: number
      readonly expected: string
      readonly actual: string
      readonly marker: string | undefined
    }
  > = {
    "a renamed step": {
      body: function*(ctx) {
        yield* ctx.step("book", work("book")) // the renamed step
        yield* recorded(ctx)
      },
      offset: 1,
      expected: `the outcome of step "reserve"`,
      actual: `step "book"`,
      marker: "the renamed step"
    },
    "a removed step": {
      body: function*(ctx) {
        yield* ctx.all({
          a: ctx.step("charge", work("charge")),
          b: ctx.step("pack", work("pack")) // the next one
        })
        yield* ctx.suspend("go", { key: "k" })
      },
      offset: 1,
      expected: `the outcome of step "reserve"`,
      actual: `step "all[a]/charge", step "all[b]/pack"`,
      marker: "the next one"
    },
    "an added step": {
      body: function*(ctx) {
        yield* ctx.step("reserve", work("reserve"))
        yield* ctx.step("check", work("check")) // the added step
        yield* ctx.all({ a: ctx.step("charge", work("charge")), b: ctx.step("pack", work("pack")) })
        yield* ctx.suspend("go", { key: "k" })
      },
      offset: 2,
      expected: `the outcome of step "all[a]/charge"`,
      actual: `step "check"`,
      marker: "the added step"
    },
    "reordered steps": {
      body: function*(ctx) {
        yield* ctx.all({ a: ctx.step("charge", work("charge")), b: ctx.step("pack", work("pack")) })
        yield* ctx.step("reserve", work("reserve"))
        yield* ctx.suspend("go", { key: "k" })
      },
      offset: 1,
      expected: `the outcome of step "reserve"`,
      actual: `step "all[a]/charge"`,
      marker: undefined
    },
    "a step that became a suspend": {
      body: function*(ctx) {
        yield* ctx.suspend("reserve" as "go") // the changed kind
      },
      offset: 1,
      expected: `the outcome of step "reserve"`,
      actual: `suspend "reserve"`,
      marker: "the changed kind"
    },
    "a suspend that became a step": {
      body: function*(ctx) {
        yield* ctx.step("reserve", work("reserve"))
        yield* ctx.all({ a: ctx.step("charge", work("charge")), b: ctx.step("pack", work("pack")) })
        yield* ctx.step("go", work("go")) // the suspend before
      },
      offset: 4,
      expected: `a suspend on "go" (key "k")`,
      actual: `step "go"`,
      marker: "the suspend before"
    },
    "a suspend with another key": {
      body: function*(ctx) {
        yield* ctx.step("reserve", work("reserve"))
        yield* ctx.all({ a: ctx.step("charge", work("charge")), b: ctx.step("pack", work("pack")) })
        yield* ctx.suspend("go", { key: "other" }) // the other key
      },
      offset: 4,
      expected: `a suspend on "go" (key "k")`,
      actual: `suspend "go" (key "other")`,
      marker: "the other key"
    },
    "a removed branch": {
      body: function*(ctx) {
        yield* ctx.step("reserve", work("reserve"))
        yield* ctx.all({ a: ctx.step("charge", work("charge")) })
        yield* ctx.suspend("go", { key: "k" }) // what comes instead
      },
      offset: 3,
      expected: `the outcome of step "all[b]/pack"`,
      actual: `suspend "go" (key "k")`,
      marker: "what comes instead"
    },
    "a combinator of another kind": {
      body: function*(ctx) {
        yield* ctx.step("reserve", work("reserve"))
        yield* ctx.race({
          a: ctx.step("charge", work("charge")),
          b: ctx.step("pack", work("pack")) // in a race
        })
        yield* ctx.suspend("go", { key: "k" })
      },
      offset: 2,
      expected: `the outcome of step "all[a]/charge"`,
      actual: `step "race[a]/charge"`,
      marker: "in a race"
    },
    "a body that ends early": {
      body: function*(ctx) {
        yield* ctx.step("reserve", work("reserve"))
        return "done"
      },
      offset: 2,
      expected: `the outcome of step "all[a]/charge"`,
      actual: "the body has ended",
      marker: undefined
    },
    "a step whose schema no longer takes the recorded value": {
      body: function*(ctx) {
        yield* ctx.step("reserve", () => 1, { schema: Schema.Number }) // the new schema
      },
      offset: 1,
      expected: `the outcome of step "reserve"`,
      actual: `step "reserve"`,
      marker: "the new schema"
    }
  }

  for (const [name, { actual, body, expected, marker, offset }] of Object.entries(edits)) {
    test(`with ${name} does not fit: nothing runs and nothing is written`, (bytes) =>
      Effect.gen(function*() {
        const old = of(recorded)
        yield* old.start(undefined, { runId: "r1" })
        ran.length = 0
        const now = of(body)
        for (
          const call of [now.resume("r1"), now.resume("r1"), now.start(undefined, { runId: "r1" })]
        ) {
          const error = yield* harmless(
            bytes,
            call as Effect.Effect<void, Workflow.ReplayMismatch, Storage.Storage>
          )
          expect(error).toMatchObject({
            _tag: "ReplayMismatch",
            runId: "r1",
            workflow: "edited",
            offset,
            expected
          })
          expect(error.actual).toContain(actual)
          if (marker !== undefined) expect(error.source).toContain(lineOf(marker))
          says(
            error,
            `workflow "edited"`,
            `run "r1"`,
            expected,
            actual,
            "Nothing was run or written",
            "ctx.patched",
            "fork"
          )
        }
        const replayed = now.replay(yield* Runs.journal("r1"))
        expect(replayed).toMatchObject({ _tag: "Diverged", mismatch: { offset, expected } })
        expect(ran).toEqual([])
        // An event is accepted all the same, and waits for the code that fits.
        yield* old.send("r1", { eventName: "go", key: "k" })
        expect((yield* harmless(bytes, now.resume("r1")))._tag).toBe("ReplayMismatch")
        expect(yield* old.resume("r1")).toMatchObject({ status: "success" })
      }))
  }

  test("whose result schema no longer takes the recorded end is a mismatch, too", (bytes) =>
    Effect.gen(function*() {
      yield* Workflow.make("w", { output: Schema.Number }, function*() {
        return 1
      }).start(undefined, { runId: "r1" })
      const now = Workflow.make("w", { output: Schema.String }, function*() {
        return "1"
      })
      const error = yield* harmless(bytes, now.resume("r1"))
      expect(error._tag).toBe("ReplayMismatch")
      says(error, "result")
      expect((yield* harmless(bytes, now.status("r1")))._tag).toBe("ReplayMismatch")
    }))

  test("behind the recorded part fits", () =>
    Effect.gen(function*() {
      yield* of(recorded).start(undefined, { runId: "r1" })
      const now = of(function*(ctx) {
        yield* recorded(ctx)
        return yield* ctx.step("and more", () => "added")
      })
      expect(yield* now.resume("r1", { eventName: "go", key: "k" }))
        .toMatchObject({ status: "success", result: "added" })
    }))
})

describe("a value that JSON cannot keep", () => {
  class Plain {
    readonly n = 1
  }
  const cyclic: Record<string, unknown> = { a: {} }
  cyclic.a = { back: cyclic }
  const values: Record<string, readonly [value: unknown, path: string, saw: string]> = {
    "NaN": [{ a: [1, NaN] }, "$.a[1]", "NaN"],
    "Infinity": [-Infinity, "$", "-Infinity"],
    "-0": [{ zero: -0 }, "$.zero", "-0"],
    "a Date": [{ orders: [1, 2, 3, { at: new Date(0) }] }, "$.orders[3].at", "an instance of Date"],
    "an instance of a class": [{ plain: new Plain() }, "$.plain", "an instance of Plain"],
    "undefined in an array": [["a", undefined], "$[1]", "undefined"],
    "a bigint": [{ "odd key": 1n }, `$["odd key"]`, "a bigint"],
    "a function": [{ f: () => 1 }, "$.f", "a function"],
    "a symbol": [Symbol("s"), "$", "a symbol"],
    "a Map": [new Map(), "$", "an instance of Map"],
    "a cycle": [cyclic, "$.a.back", "a cycle"],
    "a getter that throws": [
      {
        get boom() {
          throw new Error("boom")
        }
      },
      "$.boom",
      "throws when it is read"
    ],
    "an object that throws whatever is done with it": [hostile, "$", "throws when it is read"]
  }

  for (const [name, [value, path, saw]] of Object.entries(values)) {
    test(`such as ${name} is refused with its path, before the append`, (bytes) =>
      Effect.gen(function*() {
        let bad = true
        const ran: Array<string> = []
        const workflow = Workflow.make("w", { events }, function*(ctx) {
          yield* ctx.step("before", () => ran.push("before"))
          yield* ctx.suspend("go")
          yield* ctx.step("bad", () => {
            ran.push("bad")
            return (bad ? value : "mended") as string
          })
          return "done"
        })
        yield* workflow.start(undefined, { runId: "r1" })
        const error = yield* Effect.flip(workflow.resume("r1", { eventName: "go" }))
        expect(error).toMatchObject({
          _tag: "Unserializable",
          runId: "r1",
          what: `step "bad"`
        })
        expect((error as Workflow.Unserializable).path).toContain(path)
        expect((error as Workflow.Unserializable).saw).toContain(saw)
        says(error, `step "bad"`, `run "r1"`, path, saw, "give it a schema")
        expect(yield* bytes.read()).not.toContain(`"stepId":"bad"`)
        expect(yield* Effect.flip(workflow.resume("r1"))).toMatchObject({ _tag: "Unserializable" })
        expect(yield* workflow.status("r1")).toMatchObject({ status: "pending" })
        bad = false
        expect(yield* workflow.resume("r1")).toMatchObject({ status: "success", result: "done" })
        expect(ran).toEqual(["before", "bad", "bad", "bad"])
      }))
  }

  test("is refused in a branch, and the other branches' outcomes are kept", (bytes) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      let bad: unknown = NaN
      const workflow = Workflow.make("w", function*(ctx) {
        return yield* ctx.all([
          ctx.step("good", () => ran.push("good")),
          ctx.step("bad", () => Effect.as(Effect.sleep(2), bad as number))
        ])
      })
      const error = yield* Effect.flip(workflow.start(undefined, { runId: "r1" }))
      expect(error).toMatchObject({ _tag: "Unserializable", what: `step "all[1]/bad"`, path: "$" })
      expect(yield* bytes.read()).toContain(`"stepId":"all[0]/good"`)
      bad = 5
      expect(yield* workflow.resume("r1")).toMatchObject({ result: [1, 5] })
      expect(ran).toEqual(["good"])
    }))

  test("is refused as a workflow's input, and records nothing", () =>
    Effect.gen(function*() {
      const workflow = Workflow.make("w", function*(_ctx, _input: any) {})
      for (const call of [workflow.start, workflow.enqueue]) {
        const started: Effect.Effect<unknown, Workflow.EngineError, Storage.Storage> = call(
          { at: new Date(0) },
          { runId: "r1" }
        )
        const error = yield* Effect.flip(started)
        expect(error).toMatchObject({
          _tag: "Unserializable",
          what: "the workflow's input",
          path: "$.at"
        })
        says(error, "the workflow's input", "$.at")
      }
      expect((yield* Runs.list()).runs).toEqual([])
    }))

  test("is refused as a workflow's output and as its error, and the run stays open", () =>
    Effect.gen(function*() {
      let bad = true
      const output = Workflow.make("output", function*(ctx) {
        yield* ctx.step("a", () => 1)
        return (bad ? { n: NaN } : "mended") as any
      })
      expect(yield* Effect.flip(output.start(undefined, { runId: "r1" })))
        .toMatchObject({ _tag: "Unserializable", what: "the workflow's output", path: "$.n" })
      const failing = Workflow.make("failing", function*(ctx) {
        yield* ctx.fail(bad ? { n: NaN } : "mended")
      })
      expect(yield* Effect.flip(failing.start(undefined, { runId: "r2" })))
        .toMatchObject({ _tag: "Unserializable", path: "$.n" })
      expect((yield* Runs.list()).runs.map(({ status }) => status)).toEqual(["pending", "pending"])
      bad = false
      expect(yield* output.resume("r1")).toMatchObject({ status: "success", result: "mended" })
      expect(yield* failing.resume("r2")).toMatchObject({ status: "failed", error: "mended" })
    }))

  test("is refused when the schema does not encode it", () =>
    Effect.gen(function*() {
      const workflow = Workflow.make("w", function*(ctx) {
        yield* ctx.step("typed", () => ({ n: "x" }) as never, {
          schema: Schema.Struct({ n: Schema.Number })
        })
      })
      const error = yield* Effect.flip(workflow.start(undefined, { runId: "r1" }))
      expect(error).toMatchObject({ _tag: "Unserializable", what: `step "typed"` })
      says(error, "its schema does not encode", "number")
    }))

  test("is refused when the schema encodes it but does not decode it again", (bytes) =>
    Effect.gen(function*() {
      const OneWay = Schema.String.pipe(
        Schema.decodeTo(Schema.String.check(Schema.isMinLength(5)), {
          decode: SchemaGetter.transform((short: string) => short),
          encode: SchemaGetter.transform((long: string) => long.slice(0, 1))
        })
      )
      const workflow = Workflow.make("w", function*(ctx) {
        yield* ctx.step("one way", () => "long enough", { schema: OneWay })
      })
      const error = yield* Effect.flip(workflow.start(undefined, { runId: "r1" }))
      expect(error).toMatchObject({ _tag: "Unserializable", what: `step "one way"` })
      says(error, "does not decode again")
      expect(yield* bytes.read()).not.toContain(`"type":"step"`)
    }))
})

describe("a value over the limit", () => {
  const limited = Effect.provideService(Workflow.Limits, { bytes: 100, depth: 5 })

  test("is refused before the append, and the run goes on when it may", (bytes) =>
    Effect.gen(function*() {
      const workflow = Workflow.make("w", function*(ctx) {
        yield* ctx.step("small", () => "x".repeat(90))
        return (yield* ctx.step("large", () => "ü".repeat(60))).length
      })
      const error = yield* Effect.flip(limited(workflow.start(undefined, { runId: "r1" })))
      expect(error).toMatchObject({
        _tag: "ValueTooLarge",
        runId: "r1",
        what: `step "large"`,
        bytes: 122,
        limit: 100
      })
      says(error, `step "large"`, "122 bytes", "100 are allowed", "raise Workflow.Limits")
      expect(yield* bytes.read()).toContain(`"stepId":"small"`)
      expect(yield* bytes.read()).not.toContain(`"stepId":"large"`)
      expect(yield* workflow.resume("r1")).toMatchObject({ status: "success", result: 60 })
    }))

  test("is measured to the byte", () =>
    Effect.gen(function*() {
      const workflow = Workflow.make("w", function*(ctx, n: number) {
        return (yield* ctx.step("s", () => "x".repeat(n - 2))).length
      })
      expect(yield* limited(workflow.start(100))).toMatchObject({ status: "success" })
      expect(yield* Effect.flip(limited(workflow.start(101))))
        .toMatchObject({ _tag: "ValueTooLarge", bytes: 101 })
    }))

  test("is refused as input and as output", () =>
    Effect.gen(function*() {
      const input = Workflow.make("input", function*(_ctx, _text: string) {})
      expect(yield* Effect.flip(limited(input.start("x".repeat(200), { runId: "r1" }))))
        .toMatchObject({ _tag: "ValueTooLarge", what: "the workflow's input" })
      const output = Workflow.make("output", function*() {
        return "x".repeat(200)
      })
      expect(yield* Effect.flip(limited(output.start(undefined, { runId: "r2" }))))
        .toMatchObject({ _tag: "ValueTooLarge", what: "the workflow's output" })
      expect((yield* Runs.list()).runs.map(({ runId, status }) => `${runId} ${status}`))
        .toEqual(["r2 pending"])
    }))

  test("is refused when it is nested too deep", () =>
    Effect.gen(function*() {
      const workflow = Workflow.make("w", function*(ctx) {
        yield* ctx.step("deep", () => [[[[[[1]]]]]])
      })
      const error = yield* Effect.flip(limited(workflow.start()))
      expect(error).toMatchObject({ _tag: "Unserializable" })
      says(error, "nesting deeper than allowed")
      expect(yield* workflow.start()).toMatchObject({ status: "success" })
    }))

  test("is 1 MiB unless it is set", () =>
    Effect.gen(function*() {
      const workflow = Workflow.make("w", function*(ctx, n: number) {
        return (yield* ctx.step("s", () => "x".repeat(n))).length
      })
      expect(yield* workflow.start(1024 * 1024 - 2)).toMatchObject({ status: "success" })
      expect(yield* Effect.flip(workflow.start(1024 * 1024 - 1)))
        .toMatchObject({ _tag: "ValueTooLarge", limit: 1024 * 1024 })
    }))
})

describe("a bug in the body", () => {
  const undefinedThing = undefined as unknown as { readonly f: () => void }

  test("is a BodyDefect with its line; the run stays open and goes on after the fix", (bytes) =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      let bad = true
      const workflow = Workflow.make("w", { events }, function*(ctx) {
        yield* ctx.step("one", () => ran.push("one"))
        yield* ctx.suspend("go")
        yield* ctx.step("two", () => ran.push("two"))
        if (bad) undefinedThing.f() // the bug
        return yield* ctx.step("three", () => ran.push("three"))
      })
      yield* workflow.start(undefined, { runId: "r1" })
      const error = yield* Effect.flip(workflow.resume("r1", { eventName: "go" }))
      expect(error).toMatchObject({ _tag: "BodyDefect", runId: "r1", workflow: "w" })
      expect((error as Workflow.BodyDefect).source).toContain(lineOf("the bug"))
      expect((error as Workflow.BodyDefect).cause).toBeInstanceOf(TypeError)
      says(
        error,
        "TypeError",
        "reading 'f'",
        lineOf("the bug"),
        `Run "r1" of workflow "w" stays open`,
        "mend the code, then resume it",
        "yield* ctx.fail(error)"
      )
      const text = yield* bytes.read()
      for (const end of ["complete", "error", "cancelled"]) {
        expect(text).not.toContain(`"type":"${end}"`)
      }
      expect(yield* workflow.status("r1")).toEqual({
        status: "pending",
        runId: "r1",
        steps: { done: 2, running: 0, failed: 0 },
        progress: {}
      })
      // Driving it again finds the bug again, and writes nothing.
      const again = yield* harmless(bytes, workflow.resume("r1"))
      expect(again._tag).toBe("BodyDefect")
      expect((again as Workflow.BodyDefect).source).toContain(lineOf("the bug"))
      bad = false
      expect(yield* workflow.resume("r1")).toMatchObject({ status: "success", result: 3 })
      expect(ran).toEqual(["one", "two", "three"])
    }))

  test("that new code brings is a BodyDefect with its line as well", (bytes) =>
    Effect.gen(function*() {
      const of = (bad: boolean) =>
        Workflow.make("w", { events }, function*(ctx) {
          yield* ctx.step("one", () => 1)
          if (bad) undefinedThing.f() // the new bug
          yield* ctx.suspend("go")
        })
      yield* of(false).start(undefined, { runId: "r1" })
      const error = yield* harmless(bytes, of(true).resume("r1"))
      expect(error._tag).toBe("BodyDefect")
      says(error, "TypeError", lineOf("the new bug"))
      expect(yield* of(false).resume("r1", { eventName: "go" })).toMatchObject({
        status: "success"
      })
    }))

  test("before the first step leaves a run that goes on after the fix", () =>
    Effect.gen(function*() {
      let bad = true
      const workflow = Workflow.make("w", function*(_ctx, n: number) {
        if (bad) undefinedThing.f() // the first line
        return n
      })
      const error = yield* Effect.flip(workflow.start(7, { runId: "r1" }))
      expect(error).toMatchObject({ _tag: "BodyDefect" })
      says(error, lineOf("the first line"))
      bad = false
      expect(yield* workflow.start(7, { runId: "r1" })).toMatchObject({ result: 7 })
    }))

  test("in a branch is one, too, and other branches are interrupted", () =>
    Effect.gen(function*() {
      let interrupted = false
      const workflow = Workflow.make("w", function*(ctx) {
        yield* ctx.all([
          ctx.step("hangs", () =>
            Effect.onInterrupt(Effect.never, () =>
              Effect.sync(() => {
                interrupted = true
              }))),
          function*() {
            yield* ctx.step("short", () => Effect.sleep(1))
            undefinedThing.f() // the bug in a branch
          }
        ])
      })
      const error = yield* Effect.flip(workflow.start(undefined, { runId: "r1" }))
      expect(error).toMatchObject({ _tag: "BodyDefect" })
      says(error, lineOf("the bug in a branch"))
      expect(interrupted).toBe(true)
      expect(yield* workflow.status("r1")).toMatchObject({ status: "pending" })
    }))

  test("may throw anything", () =>
    Effect.gen(function*() {
      const thrown: ReadonlyArray<unknown> = [
        "text",
        5,
        undefined,
        null,
        { _tag: "Tag" },
        Symbol("s"),
        hostile
      ]
      for (const [n, value] of thrown.entries()) {
        const workflow = Workflow.make("w", { error: NoStock }, function*(ctx) {
          yield* ctx.step("a", () => 1)
          throw value
        })
        const error = yield* Effect.flip(workflow.start(undefined, { runId: `r${n}` }))
        expect(error).toMatchObject({ _tag: "BodyDefect" })
        says(error, "The body threw")
        expect(yield* workflow.status(`r${n}`)).toMatchObject({ status: "pending" })
      }
    }))

  test("is not what ctx.fail is for: a declared error ends the run", () =>
    Effect.gen(function*() {
      const declared = Workflow.make("declared", { error: NoStock }, function*() {
        throw new NoStock({ sku: "thrown" })
      })
      expect(yield* declared.start()).toMatchObject({ status: "failed", error: { sku: "thrown" } })
      const undeclared = Workflow.make("undeclared", function*() {
        throw new NoStock({ sku: "thrown" })
      })
      expect(yield* Effect.flip(undeclared.start())).toMatchObject({ _tag: "BodyDefect" })
    }))
})

describe("a wrong yield", () => {
  const wrong: Record<string, readonly [value: unknown, saw: string]> = {
    "an Effect": [Effect.succeed(1), "an Effect"],
    "a Promise": [Promise.resolve(1), "a Promise"],
    "a number": [5, "number 5"],
    "nothing": [undefined, "undefined"],
    "null": [null, "null"],
    "a string": ["text", "string text"],
    "an object": [{ a: 1, b: 2 }, "an object (a, b)"],
    "a function": [() => 1, "a function"],
    "a symbol": [Symbol("s"), "symbol Symbol(s)"]
  }

  for (const [name, [value, saw]] of Object.entries(wrong)) {
    test(`of ${name} names the workflow, the step before and what may be yielded`, (bytes) =>
      Effect.gen(function*() {
        const of = (bad: boolean) =>
          Workflow.make("wrong", { events }, function*(ctx) {
            yield* ctx.step("first", () => 1)
            try {
              if (bad) yield value as never
            } catch {
              return "swallowed"
            }
            yield* ctx.suspend("go")
            return "done"
          })
        const error = yield* Effect.flip(of(true).start(undefined, { runId: "r1" }))
        expect(error).toMatchObject({ _tag: "BodyDefect", workflow: "wrong", runId: "r1" })
        says(
          error,
          `Workflow "wrong" yielded ${saw} after "first"`,
          "ctx.step, ctx.suspend, ctx.all",
          `yield* ctx.step("name", () => …)`
        )
        yield* harmless(bytes, of(true).resume("r1"))
        yield* of(false).resume("r1")
        expect(yield* of(false).resume("r1", { eventName: "go" })).toMatchObject({ result: "done" })
      }))
  }

  test("before the first step, in a branch and behind a handler is found as well", () =>
    Effect.gen(function*() {
      const first = Workflow.make("first", function*() {
        yield Effect.void as never
      })
      says(yield* Effect.flip(first.start()), `"first" yielded an Effect before its first step`)
      const branch = Workflow.make("branch", function*(ctx) {
        yield* ctx.all({
          a: function*() {
            yield* ctx.step("inside", () => 1)
            yield Effect.void as never
          }
        }).pipe(Instruction.result)
      })
      says(yield* Effect.flip(branch.start()), `yielded an Effect after "all[a]/inside"`)
    }))
})

describe("a wrong use of a combinator", () => {
  type Wrong = (ctx: Workflow.Ctx) => Instruction.Instruction<unknown, any>
  const step = Instruction.step("s", () => 1)
  const used = (function*() {
    yield* step
  })()
  const wrongs: Record<string, readonly [wrong: Wrong, saw: string]> = {
    "an empty race": [(ctx) => ctx.race([]), "a race needs at least one branch"],
    "an empty any": [(ctx) => ctx.any({}), "a any needs at least one branch"],
    "a concurrency of 0": [
      (ctx) => ctx.all([step], { concurrency: 0 }),
      "concurrency is 0, but must be at least 1"
    ],
    "a concurrency that is no number": [
      (ctx) => ctx.forEach([1], () => step, { concurrency: NaN }),
      "concurrency is NaN"
    ],
    "a key that two items have": [
      (ctx) => ctx.forEach([1, 2], () => step, { key: () => "same" }),
      "two branches have the same key"
    ],
    "a generator object that is used twice": [
      (ctx) => ctx.all([used, used]),
      "a generator object that was used before"
    ],
    "a branch that is no branch": [
      (ctx) => ctx.all({ a: 5 as never }),
      `branch "a" is neither an instruction nor`
    ]
  }

  for (const [name, [wrong, saw]] of Object.entries(wrongs)) {
    test(`such as ${name} fails at the yield`, () =>
      Effect.gen(function*() {
        const workflow = Workflow.make("w", function*(ctx) {
          try {
            yield* wrong(ctx)
            return "went on"
          } catch (error) {
            return `${String(error)}`
          }
        })
        const result = yield* workflow.start()
        expect(result).toMatchObject({ status: "success" })
        expect((result as { result: string }).result).toContain(saw)
        expect((result as { result: string }).result).toContain(`workflow "w"`)
        const unhandled = Workflow.make("w", function*(ctx) {
          yield* ctx.step("before", () => 1)
          yield* wrong(ctx)
        })
        const error = yield* Effect.flip(unhandled.start())
        expect(error).toMatchObject({ _tag: "BodyDefect" })
        says(error, saw)
      }))
  }

  it("an empty all is no mistake", async () => {
    const workflow = Workflow.make("w", function*(ctx) {
      return [yield* ctx.all([]), yield* ctx.all({}), yield* ctx.forEach([], () => step)]
    })
    const result = await Effect.runPromise(
      Effect.provide(workflow.start(), Storage.layerMemory)
    )
    expect(result).toMatchObject({ status: "success", result: [[], {}, []] })
  })
})

describe("a step that fails with something odd", () => {
  const cyclic = new Error("cyclic")
  cyclic.cause = cyclic
  const odd: Record<string, readonly [thrown: unknown, tag: string, message: string]> = {
    "a string": ["text", "string", "text"],
    "a number": [5, "number", "5"],
    "undefined": [undefined, "undefined", "undefined"],
    "null": [null, "", "null"],
    "a symbol": [Symbol("s"), "symbol", "Symbol(s)"],
    "a function": [() => 1, "function", ""],
    "a plain object": [{ code: 7 }, "Error", `{"code":7}`],
    "an object with a tag": [{ _tag: "Odd", message: "m" }, "Odd", "m"],
    "an object without a prototype": [Object.create(null), "Error", "{}"],
    "an error whose cause is itself": [cyclic, "Error", "cyclic"],
    "an object that contains itself": [
      (() => {
        const o: Record<string, unknown> = {}
        o.self = o
        return o
      })(),
      "Error",
      "cannot be shown"
    ],
    "an error whose message throws": [
      Object.defineProperty(new Error(), "message", {
        get() {
          throw new Error("no message")
        }
      }),
      "Error",
      ""
    ],
    "an object whose every property throws": [
      hostile,
      "",
      ""
    ],
    "an error with an endless message": [
      new Error("x".repeat(1_000_000)),
      "Error",
      "x".repeat(2000)
    ]
  }

  const hows: Record<string, (value: unknown) => () => unknown> = {
    throws: (value) => () => {
      throw value
    },
    rejects: (value) => () => Promise.reject(value),
    fails: (value) => () => Effect.fail(value),
    dies: (value) => () => Effect.die(value)
  }

  for (const [name, [value, tag, message]] of Object.entries(odd)) {
    for (const [how, work] of Object.entries(hows)) {
      test(`and ${how} with ${name} is a StepFailed, the same on replay`, (bytes) =>
        Effect.gen(function*() {
          const seen: Array<unknown> = []
          const workflow = Workflow.make("w", { events, error: NoStock }, function*(ctx) {
            const result = yield* ctx.step("odd", work(value) as () => Effect.Effect<void>)
              .pipe(Instruction.result)
            if (Result.isFailure(result)) {
              const { _tag, message, step } = result.failure
              seen.push({ _tag, message, step, tag: Reflect.get(result.failure, "tag") })
            }
            yield* ctx.suspend("go")
          })
          yield* workflow.start(undefined, { runId: "r1" })
          expect(seen).toHaveLength(1)
          expect(seen[0]).toMatchObject({ _tag: "StepFailed", step: "odd" })
          const first = seen[0] as { tag: string; message: string }
          if (tag !== "") expect(first.tag).toBe(tag)
          expect(first.message).toContain(message)
          expect(first.message.length).toBeLessThanOrEqual(2000)
          expect(yield* workflow.resume("r1", { eventName: "go" }))
            .toMatchObject({ status: "success" })
          expect(seen[1]).toEqual(seen[0])
          expect((yield* bytes.read()).length).toBeLessThan(6000)
        }))
    }
  }
})

describe("an instruction in the wrong place", () => {
  test("is a failure of the step that it was used in", () =>
    Effect.gen(function*() {
      const inner = Instruction.step("inner", () => 1)
      const workflow = Workflow.make("w", function*(ctx) {
        const failures = [
          yield* ctx.step("returns", () => inner as never).pipe(Instruction.result),
          yield* ctx.step("in gen", () =>
            Effect.gen(function*() {
              return yield* (inner as never as Effect.Effect<number>)
            })).pipe(Instruction.result)
        ]
        return failures.map((f) => Result.isFailure(f) ? f.failure.message : "no failure")
      })
      const result = yield* workflow.start()
      expect(result.status).toBe("success")
      for (const message of (result as { result: ReadonlyArray<string> }).result) {
        expect(message).toContain(`"inner" is an instruction, and was used inside a step`)
        expect(message).toContain("yield* them there")
      }
    }))
})

describe("a workflow", () => {
  it("has a generator function for a body", () => {
    for (const body of [() => 1, async () => 1, async function*() {}, 5, undefined]) {
      expect(() => Workflow.make("w", body as never))
        .toThrow(/body of workflow "w" must be a generator function: function\*\(ctx, input\)/)
      expect(() => Workflow.define("w", {}).make(body as never)).toThrow(/generator function/)
    }
  })

  it("has a name", () => {
    expect(() => Workflow.make("", function*() {})).toThrow(/needs a name/)
    expect(() => Workflow.define(5 as never, {})).toThrow(/needs a name/)
  })
})
