/** The verbs of the command that write and need no code, in this process, on the memory storage. */
import { NodeServices } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import {
  type Cause,
  Clock,
  Deferred,
  Effect,
  Exit,
  Fiber,
  Layer,
  Option,
  Queue,
  Schema,
  Stdio,
  Stream,
  Terminal
} from "effect"
import { TerminalCapabilities } from "effect/cli"
import { TestClock, TestConsole } from "effect/testing"
import { Checkpoint, Instruction, Runs, Storage, Workflow } from "reprise"
import { run } from "../../src/cli/reprise.ts"

const order = Workflow.make("order", {
  version: "2",
  events: { go: Schema.Json, approve: Schema.Boolean }
}, function*(ctx, amount: number) {
  const price = yield* ctx.step("price", () => amount * 2)
  const told = yield* ctx.suspend("go", { key: "k" })
  const bill = yield* ctx.step("bill", () => ({ price, told }))
  return bill
})
const one = Workflow.make("one", function*(ctx, value: Schema.Json) {
  return yield* ctx.step("a", () => value)
})

interface World {
  readonly stdin?: Stream.Stream<Uint8Array>
  /** What a person presses when asked; nobody can be asked without. */
  readonly keys?: ReadonlyArray<string>
  /** Another storage by its name. */
  readonly others?: Readonly<Record<string, Storage.Storage["Service"]>>
}

/** The command on the storage of the test. */
const repriseIn = (
  { keys, others = {}, stdin = Stream.empty }: World,
  args: ReadonlyArray<string>
) =>
  Effect.gen(function*() {
    const storage = yield* Storage.Storage
    const platform = yield* Layer.build(NodeServices.layer)
    const stdio = yield* Layer.build(Stdio.layerTest({ stdin }))
    const asked = Terminal.make({
      columns: Effect.succeed(80),
      rows: Effect.succeed(24),
      size: Effect.die("not asked"),
      readLine: Effect.die("not asked"),
      display: () => Effect.void,
      readInput: Effect.gen(function*() {
        const input = yield* Queue.make<Terminal.UserInput, Cause.Done>()
        for (const key of keys ?? []) {
          yield* Queue.offer(input, {
            input: Option.some(key),
            key: { name: key, ctrl: false, meta: false, shift: false }
          })
        }
        yield* Queue.end(input)
        return input
      })
    })
    yield* run(args, (url) => Layer.succeed(Storage.Storage, others[url] ?? storage)).pipe(
      Effect.provideService(Terminal.Terminal, asked),
      Effect.provideContext(stdio),
      Effect.provideContext(platform),
      Effect.provideService(TerminalCapabilities.TerminalCapabilities, {
        canColor: false,
        canAnimate: true,
        canPrompt: keys !== undefined
      })
    )
  }).pipe(Effect.scoped)
const reprise = (...args: ReadonlyArray<string>) => repriseIn({}, args)

const stdout = Effect.map(TestConsole.logLines, (logged) => logged.map(String).join("\n"))
const stderr = Effect.map(TestConsole.errorLines, (logged) => logged.map(String).join("\n"))

/** What it says on both, of this call alone. */
const said = (world: World, ...args: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const out = (yield* stdout).length, err = (yield* stderr).length
    const exit = yield* Effect.exit(repriseIn(world, args))
    return {
      isDone: Exit.isSuccess(exit),
      out: (yield* stdout).slice(out).replace(/^\n/, ""),
      err: (yield* stderr).slice(err).replace(/^\n/, "")
    }
  })
const text = (...args: ReadonlyArray<string>) =>
  Effect.map(said({}, ...args), ({ err, isDone, out }) => {
    expect({ isDone, err }).toMatchObject({ isDone: true })
    return out.split("\n")
  })
const json = (...args: ReadonlyArray<string>) =>
  Effect.map(said({}, "--json", ...args), ({ err, isDone, out }) => {
    expect({ isDone, err }).toEqual({ isDone: true, err: "" })
    return out.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line))
  })
/** The one line on stderr of a call that fails and says nothing else. */
const refused = (...args: ReadonlyArray<string>) =>
  Effect.map(said({}, ...args), ({ err, isDone, out }) => {
    expect({ isDone, out }).toEqual({ isDone: false, out: "" })
    expect(err.split("\n")).toHaveLength(1)
    expect(err).not.toMatch(/\p{Cc}|^\s+at |Error:/mu)
    return err
  })

const ids = Effect.map(Runs.list(), ({ runs }) => runs.map(({ runId }) => runId))
/** What was posted to a run and not taken yet. */
const posted = (runId: string) =>
  Effect.gen(function*() {
    const storage = yield* Storage.Storage
    const { journal } = yield* storage.read(runId)
    return (yield* storage.inbox(runId, journal.head.incarnation, "")).items
  })

const goesOn = "A worker goes on with it, or: reprise resume r1 --workflow ./module.ts"
const onMemory = Effect.provide(Storage.layerMemory)
const started = order.start(21, { runId: "r1" })

/** A run whose process died with the outcome of its step. */
const pay = Workflow.make("pay", function*(ctx) {
  return yield* ctx.step("charge", () => Effect.never as Effect.Effect<Schema.Json>, {
    delivery: "at-most-once"
  })
})
const died = Effect.gen(function*() {
  const fiber = yield* Effect.forkChild(pay.start(undefined, { runId: "p1" }))
  yield* TestClock.adjust(1)
  yield* Fiber.interrupt(fiber)
})

describe("reprise send", () => {
  it.effect("posts what the run then goes on with", () =>
    Effect.gen(function*() {
      yield* started
      const [answer] = yield* json("send", "r1", "go", "{\"a\":[1,\"é\"]}", "--key", "k")
      expect(answer).toEqual({
        runId: "r1",
        eventName: "go",
        key: "k",
        value: { a: [1, "é"] },
        eventId: expect.stringMatching(/^\w{26}$/),
        isAwaited: true
      })
      expect(yield* Runs.status("r1")).toMatchObject({ status: "suspended" })
      expect(yield* order.resume("r1")).toMatchObject({
        status: "success",
        result: { price: 42, told: { a: [1, "é"] } }
      })
    }).pipe(onMemory))

  it.effect("says on a terminal what was posted and how the run goes on", () =>
    Effect.gen(function*() {
      yield* started
      const lines = yield* text("send", "r1", "go", "true", "--key", "k", "--event-id", "e1")
      expect(lines).toEqual(["Posted event \"go\" key \"k\" to run r1: true (event id e1)", goesOn])
      expect(yield* stderr).toBe("")
    }).pipe(onMemory))

  it.effect("warns of an event that the run does not wait for, and posts it", () =>
    Effect.gen(function*() {
      yield* started
      const { err, out } = yield* said({}, "send", "r1", "og")
      expect(out).toMatch(/^Posted event "og" to run r1 \(event id \w+\)/)
      expect(err).toBe(
        "The run does not wait for event \"og\" now, but for event \"go\" key \"k\": it is kept until "
          + "something does."
      )
      const programs = yield* said({}, "send", "r1", "go", "--key", "K", "--json")
      expect(JSON.parse(programs.out)).toMatchObject({ isAwaited: false })
      expect(programs.err).toContain("does not wait for event \"go\" key \"K\" now")
      expect(yield* posted("r1")).toHaveLength(2)
    }).pipe(onMemory))

  it.effect("sends no value when none is given", () =>
    Effect.gen(function*() {
      yield* started
      const [answer] = yield* json("send", "r1", "go", "--key", "k")
      expect(Object.keys(answer)).not.toContain("value")
      const [item] = yield* posted("r1")
      expect(item).toMatchObject({ type: "event", eventName: "go", key: "k" })
      expect(Object.keys(item!)).not.toContain("value")
    }).pipe(onMemory))

  it.effect("of one event id twice is one event", () =>
    Effect.gen(function*() {
      yield* started
      const again = ["send", "r1", "go", "1", "--key", "k", "--event-id", "e1"]
      yield* json(...again)
      yield* json(...again)
      expect(yield* order.resume("r1")).toMatchObject({ status: "success", result: { told: 1 } })
      // What was taken already is no news for an ended run, either.
      yield* json(...again)
      expect((yield* Runs.journal("r1")).entries.filter(({ type }) => type === "event")).toEqual([])
    }).pipe(onMemory))

  it.effect("reads - from stdin, in whatever parts it comes", () =>
    Effect.gen(function*() {
      yield* started
      const bytes = new TextEncoder().encode("  {\"text\": \"é\"}\n")
      const stdin = Stream.make(bytes.slice(0, 13), bytes.slice(13))
      expect(yield* said({ stdin }, "send", "r1", "go", "-", "--key", "k", "--json"))
        .toMatchObject({ isDone: true })
      expect(yield* posted("r1")).toMatchObject([{ value: { text: "é" } }])
    }).pipe(onMemory))

  it.effect.each<readonly [string, Stream.Stream<Uint8Array>, string]>([
    ["nothing", Stream.empty, "is no JSON: Unexpected end of JSON input"],
    ["what is no UTF-8", Stream.make(Uint8Array.of(34, 0xff, 34)), "is no UTF-8"],
    [
      "what does not end",
      Stream.forever(Stream.succeed(new Uint8Array(1 << 24).fill(32))),
      "does not end"
    ]
  ])("refuses %s from stdin", ([, stdin, why]) =>
    Effect.gen(function*() {
      yield* started
      const { err, isDone } = yield* said({ stdin }, "send", "r1", "go", "-")
      expect(isDone).toBe(false)
      expect(err).toContain(`<json>, from stdin, ${why}. `)
      expect(yield* posted("r1")).toEqual([])
    }).pipe(onMemory))

  it.effect("keeps values exactly, whatever their keys", () =>
    Effect.gen(function*() {
      yield* started
      const hostile =
        "{\"__proto__\":{\"x\":1},\"constructor\":null,\"\":\"\\u0000\\u001b\\ud800\"}"
      yield* json("send", "r1", "go", hostile, "--key", "k")
      const [item] = yield* posted("r1")
      expect(JSON.stringify((item as { value: unknown }).value)).toBe(hostile)
      expect(({} as { x?: number }).x).toBeUndefined()
    }).pipe(onMemory))

  it.effect("shows no secret", () =>
    Effect.gen(function*() {
      yield* started
      const args = ["send", "r1", "go", "{\"card\":{\"$secret\":\"4111\"}}", "--key", "k"]
      expect((yield* text(...args)).join()).toContain("{\"card\":\"<redacted>\"}")
      expect((yield* json(...args))[0].value).toEqual({ card: "<redacted>" })
      expect(yield* stdout).not.toContain("4111")
      expect(yield* posted("r1")).toMatchObject([
        { value: { card: { $secret: "4111" } } },
        { value: { card: { $secret: "4111" } } }
      ])
    }).pipe(onMemory))

  it.effect("keeps what would act on a terminal from it", () =>
    Effect.gen(function*() {
      yield* started
      const bad = "\u001b[2J\u009b\u202e\nx"
      const { err, out } = yield* said({}, "send", "r1", bad, JSON.stringify(bad), "--key", bad)
      expect(out.split("\n")).toHaveLength(2)
      expect(`${out}${err}`.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\p{Bidi_Control}]/u)
      expect(yield* posted("r1")).toMatchObject([{ eventName: bad, key: bad, value: bad }])
    }).pipe(onMemory))

  it.effect.each<readonly [string, string]>([
    ["hello", "is no JSON: Unexpected token 'h'"],
    ["", "is no JSON: Unexpected end of JSON input"],
    ["{'a':1}", "is no JSON: "],
    ["\u001b[2J", "is no JSON: "],
    ["NaN", "is no JSON: "],
    ["1 2", "is no JSON: "],
    ["1e999", "holds Infinity at $, which JSON cannot keep"],
    ["{\"a\":-0}", "holds -0 at $.a, which JSON cannot keep"],
    [
      "{\"id\":12345678901234567890}",
      "holds 12345678901234567890, which would be rounded to 12345678901234567168"
    ],
    ["[".repeat(300) + "]".repeat(300), "holds nesting deeper than allowed"],
    ["[".repeat(100_000), "is no JSON: "],
    [
      JSON.stringify("x".repeat(1 << 20)),
      "takes 1048578 bytes as JSON, of which 1048576 are allowed"
    ]
  ])("refuses a value that cannot be kept, number %#", ([value, why]) =>
    Effect.gen(function*() {
      yield* started
      const err = yield* refused("send", "r1", "go", value)
      expect(err).toMatch(/^<json> /)
      expect(err).toContain(why)
      expect(err.length).toBeLessThan(500)
      expect(yield* posted("r1")).toEqual([])
    }).pipe(onMemory))

  it.effect("takes numbers that stay as they are, also below zero", () =>
    Effect.gen(function*() {
      yield* started
      for (const number of ["-5", "-1.5e-7", "9007199254740993.5", "1234567890123456768"]) {
        yield* json("send", "r1", "go", number, "--key", "k")
      }
      expect((yield* posted("r1")).map((item) => (item as { value: number }).value))
        .toEqual([-5, -1.5e-7, Number("9007199254740993.5"), Number("1234567890123456768")])
    }).pipe(onMemory))

  it.effect.each<readonly [ReadonlyArray<string>, string]>([
    [["nope", "go"], "There is no run \"nope\" in this storage."],
    [["../r1", "go"], "\"../r1\" is no run id"],
    [["", "go"], "\"\" is no run id"],
    [["x\u001b[2J", "go"], "is no run id"],
    [["é", "go"], "\"é\" is no run id"],
    [["x".repeat(10_000), "go"], "is no run id"],
    [["__proto__", "go"], "There is no run \"__proto__\""],
    [["r1", ""], "<event> is empty."],
    [["r1", "go", "--event-id", ""], "--event-id is empty."]
  ])("fails for %j", ([args, why]) =>
    Effect.gen(function*() {
      yield* started
      const err = yield* refused("send", ...args)
      expect(err).toContain(why)
      expect(err.length).toBeLessThan(500)
      expect(yield* posted("r1")).toEqual([])
    }).pipe(onMemory))

  it.effect("tells that a run has ended, and reaches the newest of a chain", () =>
    Effect.gen(function*() {
      const loop = Workflow.make(
        "loop",
        { events: { go: Schema.Void } },
        function*(ctx, n: number): Workflow.Body<number> {
          if (n === 0) return yield* ctx.continueAs(1)
          yield* ctx.suspend("go")
          return n
        }
      )
      yield* one.start(1, { runId: "r1" })
      expect(yield* refused("send", "r1", "go")).toContain("Run \"r1\" has ended (success)")
      yield* loop.start(0, { runId: "l" })
      expect(yield* json("send", "l", "go")).toMatchObject([{ runId: "l+2", isAwaited: true }])
      expect(yield* posted("l+2")).toHaveLength(1)
    }).pipe(onMemory))

  it.effect.each([["send"], ["send", "r1"], ["send", "r1", "go", "1", "2"], ["send", "--nope"]])(
    "explains itself for %j",
    (args) =>
      Effect.gen(function*() {
        const { err, isDone } = yield* said({}, ...args)
        expect(isDone).toBe(false)
        expect(err).toContain("ERROR")
      }).pipe(onMemory)
  )
})

describe("reprise cancel", () => {
  it.effect("asks for it, with the reason, and the run is cancelled when somebody drives it", () =>
    Effect.gen(function*() {
      yield* started
      expect(yield* json("cancel", "r1", "--reason", "two of them")).toEqual([
        { runId: "r1", cancel: "posted", reason: "two of them" }
      ])
      expect(yield* Runs.status("r1")).toMatchObject({ status: "suspended" })
      expect(yield* order.resume("r1")).toMatchObject({
        status: "cancelled",
        reason: "two of them"
      })
      expect(yield* refused("cancel", "r1")).toContain("Run \"r1\" has ended (cancelled)")
    }).pipe(onMemory))

  it.effect("needs no reason, and shows a long one short and clean", () =>
    Effect.gen(function*() {
      yield* started
      expect(yield* text("cancel", "r1")).toEqual([
        "Asked for run r1 to be cancelled. It cleans up first; asked a second time, it ends at once.",
        goesOn
      ])
      const [first = ""] = yield* text(
        "cancel",
        "r1",
        "--reason",
        `\u001b[2J${"why ".repeat(1_000)}`
      )
      expect(first.length).toBeLessThan(300)
      expect(first).not.toMatch(/\p{Cc}/u)
      expect(yield* posted("r1")).toHaveLength(2)
    }).pipe(onMemory))

  it.effect.each([["nope", "There is no run \"nope\""], ["a/b", "\"a/b\" is no run id"]] as const)(
    "fails for %s",
    ([runId, why]) =>
      Effect.gen(function*() {
        expect(yield* refused("cancel", runId)).toContain(why)
      }).pipe(onMemory)
  )
})

describe("reprise settle", () => {
  it.effect("says that the step was done, and what it gave", () =>
    Effect.gen(function*() {
      yield* died
      expect(yield* Runs.status("p1")).toMatchObject({ intents: ["charge"] })
      expect(yield* text("settle", "p1", "charge", "--value", "{\"receipt\":9}")).toEqual([
        "Settled step \"charge\" of run p1: the step gave {\"receipt\":9}.",
        goesOn.replace("r1", "p1")
      ])
      expect(yield* pay.resume("p1")).toMatchObject({ status: "success", result: { receipt: 9 } })
    }).pipe(onMemory))

  it.effect("says that it failed", () =>
    Effect.gen(function*() {
      yield* died
      expect(yield* json("settle", "p1", "charge", "--fail", "never arrived")).toEqual([
        { runId: "p1", stepId: "charge", settled: { failure: "never arrived" } }
      ])
      yield* pay.resume("p1")
      expect(yield* Runs.status("p1")).toMatchObject({
        status: "failed",
        error: { message: expect.stringContaining("never arrived") }
      })
    }).pipe(onMemory))

  it.effect("says as what it failed, for a body that knows that", () =>
    Effect.gen(function*() {
      yield* died
      const args = ["p1", "charge", "--fail", "no funds", "--tag", "Declined"]
      expect(yield* text("settle", ...args)).toEqual([
        "Settled step \"charge\" of run p1: the step failed as Declined: no funds.",
        goesOn.replace("r1", "p1")
      ])
      expect(yield* posted("p1")).toMatchObject([{ as: { is: "failure", tag: "Declined" } }])
      const handles = Workflow.make("pay", function*(ctx) {
        return yield* ctx.step("charge", () => Effect.succeed<Schema.Json>("again"), {
          delivery: "at-most-once"
        }).pipe(
          Instruction.catchTag(
            "StepFailed",
            ({ message, tag }) => ctx.step("note", (): Schema.Json => ({ message, tag }))
          )
        )
      })
      expect(yield* handles.resume("p1")).toMatchObject({
        status: "success",
        result: { tag: "Declined", message: expect.stringContaining("no funds") }
      })
    }).pipe(onMemory))

  it.effect("lets it run again", () =>
    Effect.gen(function*() {
      yield* died
      expect(yield* json("settle", "p1", "charge", "--retry")).toEqual([
        { runId: "p1", stepId: "charge", settled: { retry: true } }
      ])
      const gate = yield* Deferred.make<void>()
      const again = Workflow.make("pay", function*(ctx) {
        return yield* ctx.step("charge", () => Effect.as(Deferred.succeed(gate, undefined), 7), {
          delivery: "at-most-once"
        })
      })
      expect(yield* again.resume("p1")).toMatchObject({ status: "success", result: 7 })
      expect(yield* Deferred.isDone(gate)).toBe(true)
    }).pipe(onMemory))

  it.effect("lets a run go on that is blocked as a crash loop", () =>
    Effect.gen(function*() {
      yield* started
      expect(yield* json("settle", "r1", "--retry")).toEqual([
        { runId: "r1", settled: { retry: true } }
      ])
      expect(yield* posted("r1")).toMatchObject([{ type: "settle", as: { is: "retry" } }])
      expect((yield* text("settle", "r1", "--retry"))[0]).toBe("Settled run r1: it may go on.")
    }).pipe(onMemory))

  it.effect("reads a value from stdin, and shows no secret", () =>
    Effect.gen(function*() {
      yield* died
      const stdin = Stream.make(new TextEncoder().encode("{\"$secret\":\"4111\"}"))
      const { isDone, out } = yield* said({ stdin }, "settle", "p1", "charge", "--value", "-")
      expect({ isDone, out }).toMatchObject({
        isDone: true,
        out: expect.stringContaining("gave \"<redacted>\".")
      })
      expect(yield* posted("p1")).toMatchObject([{
        as: { is: "value", value: { $secret: "4111" } }
      }])
    }).pipe(onMemory))

  it.effect.each<readonly [ReadonlyArray<string>, string]>([
    [["p1", "charge"], "settle was not told what became of the step."],
    [["p1", "charge", "--retry", "--fail", "x"], "settle was told more than one thing."],
    [["p1", "charge", "--value", "1", "--fail", "x"], "settle was told more than one thing."],
    [["p1", "--value", "1"], "<step-id> is missing."],
    [["p1", "--fail", "x"], "<step-id> is missing."],
    [["p1", "charge", "--retry", "--tag", "T"], "--tag is of a failure, and none was given."],
    [["p1", "charge", "--fail", "x", "--tag", ""], "--tag is empty."],
    [["p1", "charge", "--value", "{"], "--value is no JSON: "],
    [["p1", "charge", "--value", ""], "--value is no JSON: "],
    [
      ["p1", "other", "--retry"],
      "Step \"other\" of run \"p1\" has no unknown outcome to settle. It has: \"charge\"."
    ],
    [["p1", "__proto__", "--retry"], "Step \"__proto__\" of run \"p1\" has no unknown outcome"],
    [["r1", "price", "--retry"], "It has none that could be"],
    [["nope", "charge", "--retry"], "There is no run \"nope\""],
    [["nope", "--retry"], "There is no run \"nope\""]
  ])("refuses %j", ([args, why]) =>
    Effect.gen(function*() {
      yield* died
      yield* started
      expect(yield* refused("settle", ...args)).toContain(why)
      expect([...yield* posted("p1"), ...yield* posted("r1")]).toEqual([])
    }).pipe(onMemory))
})

describe("reprise fork", () => {
  const ended = Effect.andThen(
    started,
    order.resume("r1", { eventName: "go", key: "k", value: "first" })
  )

  it.effect("begins a run that code goes on with, and leaves the other as it is", () =>
    Effect.gen(function*() {
      yield* ended
      const before = yield* Runs.journal("r1")
      const [made] = yield* json("fork", "r1", "--from-step", "go")
      expect(made).toEqual({
        runId: expect.stringMatching(/^\w{26}$/),
        workflow: "order",
        version: "2",
        source: { runId: "r1", offset: 4 },
        overridden: []
      })
      expect(yield* Runs.due()).toEqual([made.runId])
      yield* json("send", made.runId, "go", "\"second\"", "--key", "k")
      expect(yield* order.resume(made.runId)).toMatchObject({
        status: "success",
        result: { price: 42, told: "second" }
      })
      expect(yield* Runs.journal("r1")).toEqual(before)
    }).pipe(onMemory))

  it.effect("takes other results and an id, and says so", () =>
    Effect.gen(function*() {
      yield* ended
      const args = [
        "fork",
        "r1",
        "--from-step",
        "bill",
        "--override",
        "price=1",
        "--new-run-id",
        "f"
      ]
      expect(yield* text(...args)).toEqual([
        "Run f begins with what run r1 did up to entry 5, with another result of \"price\".",
        goesOn.replace("r1", "f")
      ])
      // Doing it again is harmless.
      yield* text(...args)
      expect(yield* order.resume("f")).toMatchObject({ result: { price: 1, told: "first" } })
      expect(yield* ids).toEqual(["f", "r1"])
    }).pipe(onMemory))

  it.effect("may be cut at an offset", () =>
    Effect.gen(function*() {
      yield* ended
      yield* json("fork", "r1", "--from-offset", "1", "--new-run-id", "f")
      expect(yield* order.resume("f")).toMatchObject({ status: "suspended" })
      expect((yield* Runs.journal("f")).entries.map(({ type }) => type))
        .toEqual(["start", "start", "step", "suspend"])
    }).pipe(onMemory))

  it.effect("finds the id of an override in front of its JSON, also when both hold =", () =>
    Effect.gen(function*() {
      const odd = Workflow.make("odd", function*(ctx) {
        const a = yield* ctx.step("a=b", () => 1)
        const b = yield* ctx.step("c", () => 2)
        yield* ctx.step("d", () => 3)
        return [a, b]
      })
      yield* odd.start(undefined, { runId: "o" })
      const overrides = ["--override", "a=b={\"x\":\"=1\"}", "--override", "c=\"a=1\""]
      yield* json("fork", "o", "--from-step", "d", "--new-run-id", "f", ...overrides)
      expect(yield* odd.resume("f")).toMatchObject({ result: [{ x: "=1" }, "a=1"] })
    }).pipe(onMemory))

  it.effect.each<readonly [ReadonlyArray<string>, string]>([
    [["r1"], "fork was not told where to cut."],
    [["r1", "--from-step", "go", "--from-offset", "1"], "fork was told two places to cut."],
    [["r1", "--from-step", "nope"], "Run \"r1\" has no step \"nope\""],
    [["r1", "--from-step", ""], "--from-step is empty."],
    [["r1", "--from-step", "__proto__"], "Run \"r1\" has no step \"__proto__\""],
    [["r1", "--from-offset", "0"], "it cannot be cut at offset 0. Give an offset from 1 to"],
    [["r1", "--from-offset", "-1"], "it cannot be cut at offset -1."],
    [["r1", "--from-offset", "99"], "it cannot be cut at offset 99."],
    [["r1", "--from-step", "go", "--new-run-id", "a/b"], "\"a/b\" is no run id"],
    [["r1", "--from-step", "go", "--new-run-id", ""], "\"\" is no run id"],
    [["r1", "--from-step", "go", "--new-run-id", "r1"], "Run \"r1\" exists with another source"],
    [
      ["r1", "--from-step", "go", "--override", "price"],
      "--override is \"price\". Write a step's id"
    ],
    [["r1", "--from-step", "go", "--override", "=1"], "--override is \"=1\". Write a step's id"],
    [["r1", "--from-step", "go", "--override", ""], "--override is \"\". Write a step's id"],
    [["r1", "--from-step", "go", "--override", "price="], "--override of \"price\" is no JSON"],
    [["r1", "--from-step", "go", "--override", "price=x"], "--override of \"price\" is no JSON"],
    [
      ["r1", "--from-step", "go", "--override", "price=1e999"],
      "--override of \"price\" holds Infinity"
    ],
    [["r1", "--from-step", "go", "--override", "bill=1"], "has no step \"bill\""],
    [["r1", "--from-step", "go", "--override", "__proto__=1"], "has no step \"__proto__\""],
    [
      ["r1", "--from-step", "go", "--override", "price=1", "--override", "price=2"],
      "--override gives two results for one step."
    ],
    [["nope", "--from-offset", "1"], "There is no run \"nope\""],
    [["a/b", "--from-offset", "1"], "\"a/b\" is no run id"]
  ])("refuses %j", ([args, why]) =>
    Effect.gen(function*() {
      yield* ended
      expect(yield* refused("fork", ...args)).toContain(why)
      expect(yield* ids).toEqual(["r1"])
    }).pipe(onMemory))

  it.effect.each(["1.5", "many"])(
    "explains itself for offset %s",
    (offset) =>
      Effect.gen(function*() {
        const { err, isDone } = yield* said({}, "fork", "r1", "--from-offset", offset)
        expect(isDone).toBe(false)
        expect(err).toContain("ERROR")
      }).pipe(onMemory)
  )
})

describe("reprise checkpoint", () => {
  it.effect("prints the text alone, from which code goes on", () =>
    Effect.gen(function*() {
      yield* started
      const [printed = "", ...more] = yield* text("checkpoint", "r1")
      expect(more).toEqual([])
      const { after: _, ...taken } = {
        after: 0,
        ...yield* Checkpoint.deserializeCheckpoint(printed)
      }
      expect(taken).toMatchObject({ runId: "r1", stepId: "price", output: { price: 42 } })
      const gone = yield* order.runCheckpoint(printed, { runId: "c" })
      expect(gone).toMatchObject({ status: "suspended", runId: "c" })
      expect(yield* json("checkpoint", "r1")).toMatchObject([{ runId: "r1" }])
    }).pipe(onMemory))

  it.effect("is taken behind the step that is named", () =>
    Effect.gen(function*() {
      yield* started
      yield* order.resume("r1", { eventName: "go", key: "k", value: 1 })
      const stepOf = (...args: ReadonlyArray<string>) =>
        Effect.gen(function*() {
          const [printed = ""] = yield* text("checkpoint", "r1", ...args)
          return (yield* Checkpoint.deserializeCheckpoint(printed)).stepId
        })
      expect(yield* stepOf()).toBe("bill")
      expect(yield* stepOf("--after", "price")).toBe("price")
      expect(yield* stepOf("--after", "go")).toBe("go")
    }).pipe(onMemory))

  it.effect.each<readonly [ReadonlyArray<string>, string]>([
    [["r1", "--after", "nope"], "Run \"r1\" has no step \"nope\""],
    [["r1", "--after", "go"], "Run \"r1\" has no step \"go\""],
    [["r1", "--after", ""], "--after is empty."],
    [["r1", "--after", "\u001b[2J"], "Run \"r1\" has no step"],
    [["e1"], "It has no outcome of a step yet."],
    [["nope"], "There is no run \"nope\""],
    [["a/b"], "\"a/b\" is no run id"]
  ])("refuses %j", ([args, why]) =>
    Effect.gen(function*() {
      yield* started
      yield* order.enqueue(1, { runId: "e1" })
      expect(yield* refused("checkpoint", ...args)).toContain(why)
    }).pipe(onMemory))
})

describe("reprise copy", () => {
  const two = Effect.sync(() => Storage.make(Storage.memoryDriver()))
  const inOther = (there: Storage.Storage["Service"]) => ({ others: { "file:there": there } })

  it.effect("copies a run with its posts, and there it goes on", () =>
    Effect.gen(function*() {
      const there = yield* two
      yield* started
      yield* json("send", "r1", "go", "5", "--key", "k")
      const { err, isDone, out } = yield* said(inOther(there), "copy", "r1", "--to", "file:there")
      expect({ isDone, out, err }).toEqual({
        isDone: true,
        out: "Copied 1 run: 3 entries, 1 post, 0 large values.",
        err: "Go on with them in one of the two storages only."
      })
      expect(yield* Effect.provideService(order.resume("r1"), Storage.Storage, there))
        .toMatchObject({ status: "success", result: { told: 5 } })
      expect(yield* Runs.status("r1")).toMatchObject({ status: "suspended" })
    }).pipe(onMemory))

  it.effect("copies all runs, an object a line, again without harm", () =>
    Effect.gen(function*() {
      const there = yield* two
      const all = Array.from({ length: 30 }, (_, i) => `run ${i}`).sort()
      for (const runId of all) yield* one.start(runId, { runId })
      for (let i = 0; i < 2; i++) {
        const { err, isDone, out } = yield* said(
          inOther(there),
          ..."copy --all --json --to file:there".split(" ")
        )
        expect({ isDone, err }).toEqual({ isDone: true, err: "" })
        expect(out.split("\n").map((line) => JSON.parse(line))).toEqual(
          all.map((runId) => ({ runId, entries: 3, posts: 0, blobs: 0 }))
        )
      }
      expect(yield* Effect.provideService(ids, Storage.Storage, there)).toEqual(all)
    }).pipe(onMemory))

  it.effect("copies what it can, and fails for the rest", () =>
    Effect.gen(function*() {
      const there = yield* two
      yield* one.start(1, { runId: "a" })
      yield* one.start(2, { runId: "b" })
      yield* Effect.provideService(one.start(3, { runId: "a" }), Storage.Storage, there)
      const args = ["copy", "a", "nope", "b/c", "b", "b", "--to", "file:there"]
      const { err, isDone, out } = yield* said(inOther(there), ...args)
      expect(isDone).toBe(false)
      expect(out).toBe("Copied 1 run: 3 entries, 0 posts, 0 large values.")
      expect(err.split("\n")).toEqual([
        "Run \"a\" was not copied: the other storage has another run of that id.",
        expect.stringContaining("There is no run \"nope\""),
        expect.stringContaining("\"b/c\" is no run id"),
        "Go on with them in one of the two storages only.",
        "3 of 4 runs were not copied. Copying again is harmless."
      ])
      const { out: lines } = yield* said(inOther(there), "--json", ...args)
      expect(lines.split("\n").map((line) => JSON.parse(line))).toMatchObject([
        {
          runId: "a",
          error: { _tag: "CopyRejected", message: expect.stringMatching(/another run/) }
        },
        { runId: "nope", error: { _tag: "RunNotFound" } },
        { runId: "b/c", error: { _tag: "RunIdRejected" } },
        { runId: "b", entries: 3 }
      ])
    }).pipe(onMemory))

  it.effect("does not pass over a damaged run, nor stop at it", () => {
    const driver = Storage.memoryDriver()
    const damaged = Storage.make({
      ...driver,
      read: (runId) =>
        Effect.map(driver.read(runId), ({ text, version }) => ({
          text: runId === "b" ? text.replace("\"step\"", "\"stop\"") : text,
          version
        }))
    })
    return Effect.gen(function*() {
      const there = yield* two
      for (const runId of ["a", "b", "c"]) yield* one.start(1, { runId })
      const { err, isDone } = yield* said(inOther(there), "copy", "--all", "--to", "file:there")
      expect(isDone).toBe(false)
      expect(err).toContain("The journal of run \"b\" is damaged")
      expect(yield* Effect.provideService(ids, Storage.Storage, there)).toEqual(["a", "c"])
    }).pipe(Effect.provideService(Storage.Storage, damaged))
  })

  it.effect("copies no run that somebody drives, and stops when a storage does not answer", () =>
    Effect.gen(function*() {
      const there = yield* two
      const gate = yield* Deferred.make<void>()
      const busy = Workflow.make("busy", function*(ctx) {
        yield* ctx.step("work", () => Deferred.await(gate))
      })
      const fiber = yield* Effect.forkChild(busy.start(undefined, { runId: "b" }))
      yield* TestClock.adjust(1)
      const { err, out } = yield* said(inOther(there), "copy", "b", "--to", "file:there")
      expect({ out, err }).toEqual({
        out: "",
        err: expect.stringMatching(/^Run "b" was not copied: a process on .* drives it/)
      })
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(fiber)
      const denied = new Storage.StorageError({
        reason: "Denied",
        doing: "append",
        cause: new Error("EACCES")
      })
      const full = Storage.make({
        ...Storage.memoryDriver(),
        writer: () => Effect.fail(denied)
      })
      yield* one.start(1, { runId: "a" })
      const stopped = yield* said(inOther(full), "copy", "a", "b", "--to", "file:there")
      expect(stopped).toMatchObject({ isDone: false, out: "" })
      expect(stopped.err.split("\n")).toHaveLength(1)
      expect(stopped.err).toContain("Could not append: EACCES")
    }).pipe(onMemory))

  it.effect.each<readonly [ReadonlyArray<string>, string]>([
    [["--to", "file:there"], "copy was not told which runs."],
    [["r1", "--all", "--to", "file:there"], "copy was given runs and --all."],
    [["r1", "--to", "file:.reprise"], "--to is the storage itself."],
    [["nope", "--to", "file:there"], "There is no run \"nope\""],
    [["a/b", "--to", "file:there"], "\"a/b\" is no run id"]
  ])("refuses %j", ([args, why]) =>
    Effect.gen(function*() {
      yield* started
      expect(yield* refused("copy", ...args)).toContain(why)
    }).pipe(onMemory))
})

describe("reprise rm", () => {
  const chained = Workflow.make("loop", function*(ctx, n: number): Workflow.Body<number> {
    return n === 0 ? yield* ctx.continueAs(1) : n
  })

  it.effect("removes what has ended, in words or a line each", () =>
    Effect.gen(function*() {
      for (const runId of ["a", "b", "c"]) yield* one.start(1, { runId })
      expect(yield* text("rm", "a", "--yes")).toEqual(["Removed run a (success)."])
      expect(yield* json("rm", "c", "b", "c", "-y")).toEqual(
        expect.arrayContaining([{ runId: "b", removed: true }, { runId: "c", removed: true }])
      )
      expect(yield* ids).toEqual([])
    }).pipe(onMemory))

  it.effect("asks a person, and does as that says", () =>
    Effect.gen(function*() {
      yield* one.start(1, { runId: "a" })
      expect(yield* said({ keys: ["n"] }, "rm", "a"))
        .toEqual({ isDone: true, out: "", err: "Nothing was removed." })
      expect(yield* said({ keys: ["enter"] }, "rm", "a"))
        .toEqual({ isDone: true, out: "", err: "Nothing was removed." })
      // No more is typed: who leaves has not agreed.
      expect(yield* said({ keys: [] }, "rm", "a")).toEqual({ isDone: false, out: "", err: "" })
      expect(yield* ids).toEqual(["a"])
      expect((yield* said({ keys: ["y"] }, "rm", "a")).out).toBe("Removed run a (success).")
      expect(yield* ids).toEqual([])
    }).pipe(onMemory))

  it.effect("removes nothing where nobody can be asked", () =>
    Effect.gen(function*() {
      yield* one.start(1, { runId: "a" })
      expect(yield* refused("rm", "a")).toContain("Say --yes to remove the runs for good.")
      expect(yield* ids).toEqual(["a"])
    }).pipe(onMemory))

  it.effect("removes an open run by force only", () =>
    Effect.gen(function*() {
      yield* started
      yield* one.start(1, { runId: "a" })
      expect(yield* refused("rm", "a", "r1", "--yes")).toContain(
        "Nothing was removed: run \"r1\" is suspended."
      )
      expect(yield* ids).toEqual(["a", "r1"])
      expect(yield* json("rm", "a", "r1", "--yes", "--force")).toHaveLength(2)
      expect(yield* ids).toEqual([])
    }).pipe(onMemory))

  it.effect("removes none when one is not there", () =>
    Effect.gen(function*() {
      yield* one.start(1, { runId: "a" })
      expect(yield* refused("rm", "a", "nope", "--yes")).toContain("There is no run \"nope\"")
      expect(yield* refused("rm", "a", "../a", "--yes", "--force")).toContain("is no run id")
      expect(yield* ids).toEqual(["a"])
    }).pipe(onMemory))

  it.effect("leaves a run without which another would begin it again", () =>
    Effect.gen(function*() {
      yield* chained.start(0, { runId: "l" })
      expect(yield* ids).toEqual(["l", "l+2"])
      expect(yield* refused("rm", "l+2", "--yes")).toContain(
        "run \"l+2\" is what \"l\" went on as, which would begin it again"
      )
      const parent = Workflow.make("parent", { events: { go: Schema.Void } }, function*(ctx) {
        yield* ctx.child(one, 1)
        yield* ctx.suspend("go")
      })
      yield* parent.start(undefined, { runId: "p" })
      const child = (yield* ids).find((id) => id.startsWith("p") && id !== "p")!
      expect(yield* refused("rm", child, "--yes")).toContain(
        "was begun by \"p\", which is open and may begin it again"
      )
      yield* json("rm", "l+2", "l", "--yes")
      yield* json("cancel", "p")
      yield* parent.resume("p")
      yield* json("rm", child, "--yes")
      expect(yield* ids).toEqual(["p"])
    }).pipe(onMemory))

  it.effect("leaves a run that is still to go on as another one", () =>
    Effect.gen(function*() {
      yield* chained.start(0, { runId: "l" })
      yield* Runs.remove("l+2")
      expect(yield* refused("rm", "l", "--yes")).toContain("run \"l\" is still to go on as \"l+2\"")
      expect(yield* json("rm", "l", "--yes", "--force")).toHaveLength(1)
    }).pipe(onMemory))

  it.effect("removes what went on before what it went on as", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1)
      const { driver } = yield* Storage.Storage
      const removed: Array<string> = []
      const watched = Storage.make({
        ...driver,
        remove: (runId) =>
          Effect.andThen(Effect.sync(() => removed.push(runId)), driver.remove(runId))
      })
      yield* chained.start(0, { runId: "l" })
      yield* Effect.provideService(json("rm", "l+2", "l", "--yes"), Storage.Storage, watched)
      expect(removed).toEqual(["l", "l+2"])
    }).pipe(onMemory))

  it.effect("removes a damaged run by force only", () => {
    const driver = Storage.memoryDriver()
    const damaged = Storage.make({
      ...driver,
      read: (runId) =>
        Effect.map(driver.read(runId), ({ text, version }) => ({
          text: text.replace("\"step\"", "\"stop\""),
          version
        }))
    })
    return Effect.gen(function*() {
      yield* one.start(1, { runId: "a" })
      expect(yield* refused("rm", "a", "--yes")).toContain("run \"a\" is damaged: look at it first")
      expect(yield* text("rm", "a", "--yes", "--force")).toEqual(["Removed run a (damaged)."])
      expect(yield* driver.version("a")).toBe("")
    }).pipe(Effect.provideService(Storage.Storage, damaged))
  })
})

describe("reprise gc", () => {
  const day = 86_400_000
  /** Runs that ended one, two and three days ago, and an open one that is as old. */
  const aged = Effect.gen(function*() {
    yield* started
    for (const days of [3, 2, 1]) {
      yield* one.start(1, { runId: `${days} ago` })
      yield* TestClock.adjust(day)
    }
  })

  it.effect("removes what ended long enough ago, and nothing that is open", () =>
    Effect.gen(function*() {
      yield* aged
      const now = yield* Clock.currentTimeMillis
      expect(now).toBe(3 * day)
      const { err, out } = yield* said({}, "gc", "--older-than", "36 hours")
      expect(out.split("\n").toSorted()).toEqual(["2 ago", "3 ago"])
      expect(err).toBe("Removed 2 runs that ended before 1970-01-02T12:00:00.000Z.")
      expect(yield* ids).toEqual(["1 ago", "r1"])
      expect(yield* json("gc", "--older-than", "0 seconds")).toEqual([
        { runId: "1 ago", removed: true }
      ])
      expect(yield* ids).toEqual(["r1"])
    }).pipe(onMemory))

  it.effect("says that there is nothing, and prints nothing for programs", () =>
    Effect.gen(function*() {
      yield* aged
      expect(yield* said({}, "gc", "--older-than", "30 days")).toEqual({
        isDone: true,
        out: "",
        err: "No run ended before 1970-01-01T00:00:00.000Z."
      })
      expect(yield* json("gc", "--older-than", "1000000000000 weeks")).toEqual([])
      expect(yield* ids).toHaveLength(4)
    }).pipe(onMemory))

  it.effect("removes nothing on a dry run, which lists what a real one removes", () =>
    Effect.gen(function*() {
      const loop = Workflow.make("loop", function*(ctx, n: number): Workflow.Body<number> {
        return n < 3 ? yield* ctx.continueAs(n + 1) : n
      })
      const parent = Workflow.make("parent", { events: { go: Schema.Void } }, function*(ctx) {
        yield* ctx.child(one, 1)
        yield* ctx.suspend("go")
      })
      const fails = Workflow.make("fails", function*(ctx) {
        yield* ctx.step("a", () => Effect.fail(new Error("no")))
      })
      yield* aged
      yield* loop.start(0, { runId: "l" })
      yield* loop.start(0, { runId: "cut" })
      yield* Runs.remove("cut+4")
      yield* parent.start(undefined, { runId: "p" })
      yield* fails.start(undefined, { runId: "f" })
      yield* order.start(1, { runId: "c" })
      yield* order.cancel("c")
      yield* TestClock.adjust(day)
      const before = yield* ids
      const dry = yield* json("gc", "--older-than", "1 hour", "--dry-run")
      expect(yield* ids).toEqual(before)
      expect((yield* said({}, "gc", "--older-than", "1 hour", "--dry-run")).err).toMatch(
        /^Would remove \d+ runs that ended before /
      )
      expect(yield* ids).toEqual(before)
      const real = yield* json("gc", "--older-than", "1 hour")
      const named = (lines: ReadonlyArray<{ readonly runId: string }>) =>
        lines.map(({ runId }) => runId).toSorted()
      expect(dry.map(({ removed }) => removed)).not.toContain(true)
      expect(named(dry)).toEqual(named(real))
      const left = yield* ids
      expect(named(real)).toEqual(before.filter((id) => !left.includes(id)).toSorted())
      expect(named(real)).toEqual(expect.arrayContaining(["l", "l+2", "l+3", "l+4", "f", "c"]))
      expect(left).toEqual(expect.arrayContaining(["cut+3", "p", "r1"]))
    }).pipe(onMemory))

  it.effect.each([
    "",
    "30",
    "30days",
    "a month",
    "-1 days",
    "Infinity",
    "-Infinity",
    "1e3 days",
    `${"9".repeat(400)} days`,
    "__proto__",
    "\u001b[2J"
  ])("refuses what is no time span, number %#", (span) =>
    Effect.gen(function*() {
      yield* aged
      const err = yield* refused("gc", `--older-than=${span}`)
      expect(err).toMatch(/^--older-than is ".*\. Give a time span, as in "30 days"/)
      expect(err.length).toBeLessThan(300)
      expect(yield* ids).toHaveLength(4)
    }).pipe(onMemory))

  it.effect("explains itself without a time span", () =>
    Effect.gen(function*() {
      const { err, isDone } = yield* said({}, "gc")
      expect(isDone).toBe(false)
      expect(err).toContain("--older-than")
      yield* Effect.exit(reprise("gc", "--help"))
      expect(yield* stdout).toContain("--dry-run")
    }).pipe(onMemory))
})
