/**
 * The live log: what each style prints, to the letter; nothing without it, nothing before it is durable,
 * and nothing that acts on a terminal.
 */
import { describe, expect, it } from "@effect/vitest"
import { ConfigProvider, Deferred, Effect, Fiber, Layer, Schema } from "effect"
import { TestClock, TestConsole } from "effect/testing"
import { Instruction, Storage, Workflow } from "reprise"
import * as MemoryDriver from "../src/MemoryDriver.ts"
import { Observers, type RunEvent } from "../src/Observer.ts"
import * as RunLog from "../src/RunLog.ts"

const Verdict = Schema.Struct({ approved: Schema.Boolean })

/** A step that takes a while by the test's clock. */
const takes = <A>(millis: number, value: A) => Effect.delay(Effect.succeed(value), millis)

const triage = Workflow.make(
  "triage",
  { input: Schema.Struct({ id: Schema.String }), events: { "manual-review": Verdict } },
  function*(ctx, ticket) {
    yield* ctx.step("classify", () => takes(120, { severity: 5, id: ticket.id }))
    yield* ctx.all({
      us: ctx.step("charge", () => takes(20, "paid")),
      eu: function*() {
        yield* ctx.step("charge", () => takes(10, "paid"))
        yield* ctx.forEach(["a", "b"], (item) => ctx.step("ship", () => takes(30, item)), {
          key: (item) => item
        })
      }
    }, { name: "fan" })
    const verdict = yield* ctx.suspend("manual-review", { reason: "severity 5", key: "k1" })
    yield* ctx.step("notify", () => Effect.fail(new Error("no mail")), { retry: 1 }).pipe(
      Instruction.result
    )
    return verdict.approved ? "approved" : "rejected"
  }
)

const bothSessions = Effect.gen(function*() {
  yield* triage.start({ id: "t1" }, { runId: "r1" })
  yield* triage.resume("r1", {
    eventName: "manual-review",
    key: "k1",
    eventId: "e1",
    value: { approved: true }
  })
})

/** Runs `effect` while the clock goes on, a millisecond at a time. */
const ticking = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect)
    while (fiber.pollUnsafe() === undefined) yield* TestClock.adjust(1)
    return yield* Fiber.join(fiber)
  })

/** What was printed, line by line. */
const printed = Effect.map(
  TestConsole.logLines,
  (logged) => logged.flatMap((text) => String(text).split("\n"))
)

describe("RunLog", () => {
  it.effect("says why a session left its run without an end", () =>
    Effect.gen(function*() {
      const broken = Workflow.make("broken", function*(ctx) {
        yield* ctx.step("a", () => 1)
        return (null as unknown as { readonly x: string }).x
      })
      yield* Effect.flip(broken.start(undefined, { runId: "b1" }))
      const lines = yield* printed
      expect(lines.at(-1)).toMatch(/^✗ b1 left {2}The body threw TypeError: .* stays open/)
    }).pipe(
      Effect.provide(RunLog.layer({ style: "tree" })),
      Effect.provide(Storage.layerMemory)
    ))

  it.effect("is the only thing that prints", () =>
    Effect.gen(function*() {
      yield* ticking(bothSessions)
      expect(yield* printed).toEqual([])
      expect(yield* TestConsole.errorLines).toEqual([])
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("draws a tree, naming again where a line stands when another place came between", () =>
    Effect.gen(function*() {
      yield* ticking(bothSessions).pipe(Effect.provide(RunLog.layer()))
      expect(yield* printed).toEqual([
        "triage r1",
        "  … classify",
        "  ✓ classify  {\"severity\":5,\"id\":\"t1\"}  (120ms)",
        "  fan",
        "    … [us] charge",
        "    … [eu] charge",
        "    ✓ [eu] charge  \"paid\"  (10ms)",
        "    [eu] each",
        "      … [a] ship",
        "      … [b] ship",
        "    ✓ [us] charge  \"paid\"  (20ms)",
        "    [eu] each",
        "      ✓ [a] ship  \"a\"  (30ms)",
        "      ✓ [b] ship  \"b\"  (30ms)",
        "  ⏸ manual-review  severity 5  (key \"k1\")",
        "triage r1 (session 2)",
        "  ↻ classify",
        "  fan",
        "    ↻ [eu] charge",
        "    ↻ [us] charge",
        "    [eu] each",
        "      ↻ [a] ship",
        "      ↻ [b] ship",
        "  ✓ manual-review  {\"approved\":true}",
        "  … notify",
        "  ✗ notify  Error: no mail  (2 attempts)",
        "✓ r1 success  \"approved\""
      ])
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("writes a line an event", () =>
    Effect.gen(function*() {
      yield* ticking(bothSessions).pipe(Effect.provide(RunLog.layer({ style: "lines" })))
      const lines = yield* printed
      expect(lines.filter((line) => !line.includes("/"))).toEqual([
        "1970-01-01T00:00:00.000Z r1 session 1 of triage",
        "1970-01-01T00:00:00.000Z r1 step classify started",
        "1970-01-01T00:00:00.120Z r1 step classify done  {\"severity\":5,\"id\":\"t1\"}  (120ms)",
        "1970-01-01T00:00:00.160Z r1 event manual-review waiting  severity 5  (key \"k1\")",
        "1970-01-01T00:00:00.160Z r1 session 2 of triage  (7 entries replayed)",
        "1970-01-01T00:00:00.160Z r1 event manual-review done  {\"approved\":true}",
        "1970-01-01T00:00:00.160Z r1 step notify started",
        "1970-01-01T00:00:00.160Z r1 step notify failed  Error: no mail  (2 attempts)",
        "1970-01-01T00:00:00.160Z r1 success  \"approved\""
      ])
      expect(lines).toContain(
        "1970-01-01T00:00:00.160Z r1 step fan[eu]/each[a]/ship done  \"a\"  (30ms)"
      )
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("writes a JSON object an event, values whole", () =>
    Effect.gen(function*() {
      const long = "x".repeat(10_000)
      const echo = Workflow.make("echo", function*(ctx, text: string) {
        return yield* ctx.step("say", () => text)
      })
      yield* echo.start(long, { runId: "r1" }).pipe(
        Effect.provide(RunLog.layer({ style: "json" }))
      )
      const lines = (yield* printed).map((line) => JSON.parse(line))
      expect(lines.map(({ entry, type }) => [type, entry?.type])).toEqual([
        ["session", undefined],
        ["entry", "start"],
        ["started", undefined],
        ["entry", "step"],
        ["entry", "complete"]
      ])
      const timestamp = "1970-01-01T00:00:00.000Z"
      expect(lines[0]).toEqual({
        timestamp,
        type: "session",
        runId: "r1",
        workflow: "echo",
        session: 1,
        replayed: 0
      })
      expect(lines[2]).toEqual({
        timestamp,
        type: "started",
        runId: "r1",
        stepId: "say",
        name: "say"
      })
      expect(lines[3]).toEqual({
        timestamp,
        type: "entry",
        runId: "r1",
        entry: { type: "step", stepId: "say", name: "say", result: long }
      })
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("shows failures, cancels and events that came early", () =>
    Effect.gen(function*() {
      const order = Workflow.make("order", { events: { go: Schema.Void } }, function*(ctx) {
        yield* ctx.suspend("go", { key: "a" })
        yield* ctx.suspend("go", { key: "b" })
        yield* ctx.fail({ _tag: "SoldOut", message: "none left" })
      })
      yield* Effect.gen(function*() {
        yield* order.start(undefined, { runId: "fails" })
        yield* order.resume("fails", { eventName: "go", key: "b" })
        yield* order.resume("fails", { eventName: "go", key: "a" })
        yield* order.start(undefined, { runId: "ends" })
        yield* order.cancel("ends", { reason: "changed\nmy mind" })
      }).pipe(Effect.provide(RunLog.layer()))
      expect(yield* printed).toEqual([
        "order fails",
        "  ⏸ go  (key \"a\")",
        "order fails (session 2)",
        "  + event go kept  null",
        "  ⏸ go  (key \"a\")",
        "order fails (session 3)",
        "  ✓ go  null",
        "  ✓ go#2",
        "✗ fails failed  SoldOut: none left",
        "order ends",
        "  ⏸ go  (key \"a\")",
        "order ends (session 2)",
        "  ! cancel requested  changed my mind",
        "✗ ends cancelled  changed my mind"
      ])
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("names the run again when another one printed in between", () =>
    Effect.gen(function*() {
      const slow = Workflow.make("slow", function*(ctx, millis: number) {
        yield* ctx.all({
          a: function*() {
            yield* ctx.step("work", () => takes(millis, millis))
            yield* ctx.step("rest", () => takes(millis, millis))
          }
        }, { name: "fan" })
      })
      yield* ticking(Effect.all([
        slow.start(10, { runId: "r one" }),
        slow.start(15, { runId: "r2" })
      ], { concurrency: 2 })).pipe(Effect.provide(RunLog.layer()))
      const lines = yield* printed
      expect(lines.slice(lines.indexOf("    ✓ [a] work  10  (10ms)") - 2)).toEqual([
        "\"r one\"",
        "  fan",
        "    ✓ [a] work  10  (10ms)",
        "    … [a] rest",
        "r2",
        "  fan",
        "    ✓ [a] work  15  (15ms)",
        "    … [a] rest",
        "\"r one\"",
        "  fan",
        "    ✓ [a] rest  10  (10ms)",
        "✓ \"r one\" success",
        "r2",
        "  fan",
        "    ✓ [a] rest  15  (15ms)",
        "✓ r2 success"
      ])
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("names only the last outcomes of a long journal", () =>
    Effect.gen(function*() {
      const long = Workflow.make("long", { events: { go: Schema.Void } }, function*(ctx) {
        for (let i = 0; i < 30; i++) yield* ctx.step("count", () => i)
        yield* ctx.suspend("go")
      })
      yield* long.start(undefined, { runId: "r1" })
      yield* long.resume("r1", { eventName: "go" }).pipe(Effect.provide(RunLog.layer()))
      const lines = yield* printed
      expect(lines.slice(0, 3)).toEqual([
        "long r1 (session 2)",
        "  ↻ 20 more",
        "  ↻ count#21"
      ])
      expect(lines).toHaveLength(14)
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("says nothing of what could not be saved", () => {
    const driver = MemoryDriver.make()
    let appends = 0
    const failing = Storage.make({
      ...driver,
      writer: (runId) =>
        Effect.map(driver.writer(runId), ({ append }) => ({
          append: (at, lines, row) =>
            ++appends === 2
              ? Effect.fail(
                new Storage.StorageError({ reason: "Full", doing: "append", cause: "no space" })
              )
              : append(at, lines, row)
        }))
    })
    const echo = Workflow.make("echo", function*(ctx) {
      yield* ctx.step("first", () => 1)
      yield* ctx.step("second", () => 2)
    })
    return Effect.gen(function*() {
      const error = yield* Effect.flip(echo.start(undefined, { runId: "r1" }))
      expect(error._tag).toBe("StorageError")
      expect(yield* printed).toEqual([
        "echo r1",
        "  … first",
        expect.stringMatching(/^✗ r1 left {2}Could not append: no space/)
      ])
    }).pipe(
      Effect.provide(RunLog.layer()),
      Effect.provideService(Storage.Storage, failing)
    )
  })

  it.effect("keeps the observers that are installed already", () => {
    const seen: Array<RunEvent["type"]> = []
    const own = Layer.succeed(Observers, [(event: RunEvent) =>
      Effect.sync(() => {
        seen.push(event.type)
      })])
    const echo = Workflow.make("echo", function*(ctx) {
      yield* ctx.step("say", () => "hi")
    })
    return Effect.gen(function*() {
      yield* echo.start(undefined, { runId: "r1" }).pipe(
        Effect.provide(
          RunLog.layer({ style: "tree" }).pipe(
            Layer.provideMerge(RunLog.layer({ style: "lines" })),
            Layer.provideMerge(own)
          )
        )
      )
      expect(seen).toEqual(["session", "entry", "started", "entry", "entry"])
      const lines = yield* printed
      expect(lines).toContain("  ✓ say  \"hi\"")
      expect(lines).toContain("1970-01-01T00:00:00.000Z r1 step say done  \"hi\"")
    }).pipe(Effect.provide(Storage.layerMemory))
  })

  it.effect("keeps what would act on a terminal from it, in every style", () => {
    const bad = "\u001b[31mred\u009b2J\u0007\r\u202e\u2028"
    const hostile = Workflow.make(`w${bad}`, { events: { [bad]: Schema.String } }, function*(ctx) {
      yield* ctx.forEach([bad], (item) => ctx.step(item, () => item), {
        name: bad,
        key: (item) => item
      })
      yield* ctx.step("boom", () => Effect.fail(new Error(bad))).pipe(Instruction.result)
      yield* ctx.suspend(bad, { reason: bad, key: bad })
      return bad
    })
    return Effect.gen(function*() {
      for (const style of ["tree", "lines", "json"] as const) {
        yield* Effect.gen(function*() {
          yield* hostile.start(undefined, { runId: style })
          yield* hostile.resume(style, { eventName: bad, value: bad })
          yield* hostile.resume(style, { eventName: bad, key: bad, value: bad })
          yield* hostile.start(undefined, { runId: `${style}-2` })
          yield* hostile.cancel(`${style}-2`, { reason: bad })
        }).pipe(Effect.provide(RunLog.layer({ style })))
      }
      const lines = yield* printed
      expect(lines.length).toBeGreaterThan(40)
      expect(lines.filter((line) => /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/u.test(line))).toEqual([])
      expect(lines).toContain("✓ tree success  \"\\u001b[31mred2J\\u0007\\r\"")
    }).pipe(Effect.provide(Storage.layerMemory))
  })

  describe("colours", () => {
    const colored = (options: RunLog.Options, env: Record<string, string>) =>
      Effect.gen(function*() {
        const echo = Workflow.make("echo", function*(ctx) {
          yield* ctx.step("say", () => "hi")
        })
        yield* echo.start(undefined).pipe(
          Effect.provide(RunLog.layer(options)),
          Effect.provide(Storage.layerMemory),
          Effect.provideService(
            ConfigProvider.ConfigProvider,
            ConfigProvider.fromEnv({ env })
          )
        )
        return (yield* printed).some((line) => line.includes("\u001b[32m✓\u001b[0m say"))
      })

    it.effect("come when asked for", () =>
      Effect.gen(function*() {
        expect(yield* colored({ colors: true }, {})).toBe(true)
      }))

    it.effect("come when NO_COLOR is empty", () =>
      Effect.gen(function*() {
        expect(yield* colored({ colors: true }, { NO_COLOR: "" })).toBe(true)
      }))

    it.effect("do not come by themselves", () =>
      Effect.gen(function*() {
        expect(yield* colored({}, {})).toBe(false)
      }))

    it.effect("do not come where NO_COLOR is set", () =>
      Effect.gen(function*() {
        expect(yield* colored({ colors: true }, { NO_COLOR: "1" })).toBe(false)
      }))
  })

  it.effect("prints a step's start before it runs", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const waits = Workflow.make("waits", function*(ctx) {
        yield* ctx.step("gate", () => Deferred.await(gate))
      })
      const fiber = yield* Effect.forkChild(
        waits.start(undefined, { runId: "r1" }).pipe(Effect.provide(RunLog.layer()))
      )
      yield* TestClock.adjust(1)
      expect(yield* printed).toEqual(["waits r1", "  … gate"])
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(fiber)
      expect(yield* printed).toContain("✓ r1 success")
    }).pipe(Effect.provide(Storage.layerMemory)))
})
