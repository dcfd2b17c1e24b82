/** `reprise show` in this process, on the memory storage. */
import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Schema } from "effect"
import { TestClock, TestConsole } from "effect/testing"
import { Instruction, Journal, Runs, Storage, Workflow } from "reprise"
import * as MemoryDriver from "../../src/MemoryDriver.ts"
import * as Outline from "../../src/Outline.ts"
import { reprise, stderr } from "./support/command.ts"

const Verdict = Schema.Struct({ approved: Schema.Boolean })
const triage = Workflow.make("triage", {
  version: "2",
  input: Schema.Struct({ id: Schema.String }),
  events: { "manual-review": Verdict, note: Schema.String }
}, function*(ctx, ticket) {
  yield* ctx.step("classify", () => ({ severity: 5, id: ticket.id }))
  yield* ctx.forEach(["us", "eu"], (region) => ctx.step("check stock", () => region === "us"), {
    name: "regions",
    key: (region) => region
  })
  const verdict = yield* ctx.suspend("manual-review", { reason: "severity 5", key: "k1" })
  yield* ctx.step("notify", () => Effect.fail(new Error("no mail")), { retry: 2 }).pipe(
    Instruction.result
  )
  return verdict.approved ? "approved" : "rejected"
})

const shown = (...args: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    yield* reprise("show", ...args)
    return String((yield* TestConsole.logLines).at(-1))
  })
const lines = (runId: string) => Effect.map(shown(runId), (text) => text.split("\n"))
const json = (runId: string) => Effect.map(shown(runId, "--json"), (text) => JSON.parse(text))

/** The block of the page that begins with `title`. */
const block = (page: ReadonlyArray<string>, title: string) => {
  const from = page.indexOf(title)
  if (from < 0) return undefined
  const to = page.indexOf("", from)
  return page.slice(from + 1, to < 0 ? undefined : to)
}

const at = "1970-01-01T00:00:00.000Z"

const atNoon = TestClock.setTime(Date.UTC(2026, 0, 2, 12))
const suspended = triage.start({ id: "t1" }, { runId: "r1" })

describe("reprise show", () => {
  it.effect("shows what a suspended run did, what it waits for, and how to go on", () =>
    Effect.gen(function*() {
      yield* atNoon
      yield* suspended
      expect(yield* lines("r1")).toEqual([
        "run       r1",
        "workflow  triage version 2",
        "status    suspended",
        "created   2026-01-02T12:00:00.000Z",
        "updated   2026-01-02T12:00:00.000Z",
        "sessions  1",
        "input     {\"id\":\"t1\"}",
        "journal   5 entries",
        "",
        "✓ classify  {\"severity\":5,\"id\":\"t1\"}",
        "  regions",
        "  ✓ [us] check stock  true",
        "  ✓ [eu] check stock  false",
        "⏸ manual-review  severity 5  (key \"k1\")",
        "",
        "waits for",
        "  event manual-review  key \"k1\"  severity 5  since 2026-01-02T12:00:00.000Z",
        "",
        "resume with",
        "  triage.resume(\"r1\", { eventName: \"manual-review\", key: \"k1\", value: … })"
      ])
      expect(yield* stderr).toBe("")
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("shows an ended run with its sessions, events and result", () =>
    Effect.gen(function*() {
      yield* suspended
      yield* Runs.send("r1", { eventName: "note", value: "call back", eventId: "e0" })
      yield* TestClock.adjust(90_000)
      yield* triage.resume("r1", {
        eventName: "manual-review",
        key: "k1",
        value: { approved: true },
        eventId: "e1"
      })
      const page = yield* lines("r1")
      expect(page.slice(0, 10)).toEqual([
        "run       r1",
        "workflow  triage version 2",
        "status    success",
        `created   ${at}`,
        "updated   1970-01-01T00:01:30.000Z",
        "sessions  2",
        "input     {\"id\":\"t1\"}",
        "result    \"approved\"",
        "journal   10 entries",
        ""
      ])
      expect(page).toContain("✓ manual-review  {\"approved\":true}  (key \"k1\", waited 1m 30s)")
      expect(page).toContain("✗ notify  Error: no mail  (3 attempts)")
      expect(block(page, "events")).toEqual([
        "  1970-01-01T00:01:30.000Z  note  \"call back\"  (kept until something waits for it)",
        "  1970-01-01T00:01:30.000Z  manual-review key \"k1\"  {\"approved\":true}  "
        + "(taken by manual-review)"
      ])
      expect(block(page, "waits for")).toBeUndefined()
      expect(block(page, "resume with")).toBeUndefined()
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("gives all of it as one JSON object, values whole", () =>
    Effect.gen(function*() {
      const long = "x".repeat(5_000)
      yield* triage.start({ id: long }, { runId: "r1" })
      const view = yield* json("r1")
      expect(view).toMatchObject({
        runId: "r1",
        workflow: "triage",
        version: "2",
        status: "suspended",
        input: { id: long },
        steps: { done: 3, failed: 0 },
        sessions: [{ session: 1, timestamp: at }],
        events: [],
        posted: [],
        rejected: 0,
        torn: 0,
        next: ["triage.resume(\"r1\", { eventName: \"manual-review\", key: \"k1\", value: … })"]
      })
      expect(view.items.map(({ state, stepId, value }: Outline.Item) => [stepId, state, value]))
        .toEqual([
          ["classify", "done", { severity: 5, id: long }],
          ["regions[us]/check stock", "done", true],
          ["regions[eu]/check stock", "done", false],
          ["manual-review", "waiting", undefined]
        ])
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("shows how a run failed, and how one was cancelled", () =>
    Effect.gen(function*() {
      const fails = Workflow.make("fails", function*(ctx) {
        yield* ctx.step("charge", () => Effect.fail(new TypeError("no card")))
      })
      yield* fails.start(undefined, { runId: "f1" })
      const failed = yield* lines("f1")
      expect(failed).toContain("status    failed")
      expect(failed).toContain("error     TypeError: no card")
      expect(failed).toContain("✗ charge  TypeError: no card")

      yield* suspended
      yield* triage.cancel("r1", { reason: "duplicate" })
      const cancelled = yield* lines("r1")
      expect(cancelled).toContain("status    cancelled")
      expect(cancelled).toContain("reason    duplicate")
      expect(cancelled).toContain("– manual-review  no longer awaited  (key \"k1\")")
      expect(block(cancelled, "events")).toEqual([`  ${at}  cancel  duplicate`])
      expect(block(cancelled, "resume with")).toBeUndefined()
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("names every call that would go on, quoted as code", () =>
    Effect.gen(function*() {
      const both = Workflow.make(
        "two-sided",
        { events: { "it's": Schema.Void, go: Schema.Void } },
        function*(ctx) {
          yield* ctx.all([ctx.suspend("it's", { key: "\"a\"" }), ctx.suspend("go")])
        }
      )
      yield* both.start(undefined, { runId: "it's \"1\"" })
      expect((yield* json("it's \"1\"")).next).toEqual([
        "workflow.resume(\"it's \\\"1\\\"\", { eventName: \"it's\", key: \"\\\"a\\\"\", value: … })",
        "workflow.resume(\"it's \\\"1\\\"\", { eventName: \"go\", value: … })"
      ])
      yield* triage.enqueue({ id: "t" }, { runId: "e1" })
      const page = yield* lines("e1")
      expect(page).toContain("status    pending")
      expect(page).toContain("journal   1 entry")
      expect(block(page, "resume with")).toEqual(["  triage.resume(\"e1\")"])
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("tells a step that runs now from one whose outcome nobody knows", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const pay = Workflow.make("pay", function*(ctx) {
        yield* ctx.step("charge", () => Deferred.await(gate), { delivery: "at-most-once" })
      })
      const fiber = yield* Effect.forkChild(pay.start(undefined, { runId: "p1" }))
      yield* TestClock.adjust(1)
      const running = yield* lines("p1")
      expect(running).toContain("status    running")
      expect(running).toContain("… charge")
      expect(running.at(-1)).toBe("A live process drives it.")

      yield* Fiber.interrupt(fiber)
      const blocked = yield* lines("p1")
      expect(blocked).toContain("status    blocked")
      expect(blocked).toContain("reason    OutcomeUnknown")
      expect(blocked).toContain("? charge  outcome not known")
      expect(blocked.at(-1)).toMatch(/^It does not go on by itself/)
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("tells of events that nobody has taken yet, and of the call that takes them", () =>
    Effect.gen(function*() {
      yield* suspended
      yield* atNoon
      const value = { approved: true, by: { $secret: "ada" } }
      const event = { eventName: "manual-review", key: "k1", value, eventId: "e1" }
      yield* Runs.send("r1", event)
      const page = yield* lines("r1")
      expect(page).toContain("status    suspended")
      expect(block(page, "posted, not taken yet")).toEqual([
        "  2026-01-02T12:00:00.000Z  manual-review key \"k1\"  {\"approved\":true,\"by\":\"<redacted>\"}"
      ])
      expect(block(page, "resume with")).toEqual(["  triage.resume(\"r1\")"])
      const { next, posted, waits } = yield* json("r1")
      expect({ next, waits: waits.length }).toEqual({ next: ["triage.resume(\"r1\")"], waits: 1 })
      expect(posted).toEqual([{
        ...event,
        timestamp: "2026-01-02T12:00:00.000Z",
        type: "event",
        value: { approved: true, by: "<redacted>" }
      }])

      expect(yield* triage.resume("r1")).toMatchObject({ status: "success" })
      expect((yield* json("r1")).posted).toEqual([])
      expect(block(yield* lines("r1"), "posted, not taken yet")).toBeUndefined()
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("shows a run whose inbox is damaged, and says so", () => {
    const driver = Storage.memoryDriver()
    const inbox: Storage.Driver["inbox"] = (runId, after) =>
      Effect.map(
        driver.inbox(runId, after),
        (posts) => ({ ...posts, text: "not a line of ours\n" })
      )
    return Effect.gen(function*() {
      yield* suspended
      const page = yield* lines("r1").pipe(
        Effect.provideService(Storage.Storage, Storage.make({ ...driver, inbox }))
      )
      expect(page).toContain("status    suspended")
      expect(block(page, "posted")).toEqual([
        expect.stringMatching(/^ {2}! The inbox of run "r1" is damaged at line 1/)
      ])
    }).pipe(Effect.provideService(Storage.Storage, Storage.make(driver)))
  })

  it.effect("still names the calls for waits that no post is for", () =>
    Effect.gen(function*() {
      const both = Workflow.make("both", { events: { a: Schema.Void, b: Schema.Void } }, function*(
        ctx
      ) {
        yield* ctx.all([ctx.suspend("a", { key: "k" }), ctx.suspend("b")])
      })
      yield* both.start(undefined, { runId: "b1" })
      const calls = [
        "both.resume(\"b1\", { eventName: \"a\", key: \"k\", value: … })",
        "both.resume(\"b1\", { eventName: \"b\", value: … })"
      ]
      yield* Runs.send("b1", { eventName: "a" })
      // Without the key that is awaited it is for nobody yet.
      expect((yield* json("b1")).next).toEqual(calls)
      yield* Runs.send("b1", { eventName: "b" })
      expect((yield* json("b1")).next).toEqual(["both.resume(\"b1\")", calls[0]])
      expect((yield* json("b1")).posted).toHaveLength(2)
      yield* Runs.cancel("b1")
      expect((yield* json("b1")).next).toEqual(["both.resume(\"b1\")"])
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("tells of cancels and of what a person decided, and that a blocked run goes on by it", () =>
    Effect.gen(function*() {
      const pay = Workflow.make("pay", function*(ctx) {
        return yield* ctx.step("charge", () => Effect.never, { delivery: "at-most-once" })
      })
      const fiber = yield* Effect.forkChild(pay.start(undefined, { runId: "p1" }))
      yield* TestClock.adjust(1)
      yield* Fiber.interrupt(fiber)
      expect((yield* json("p1")).next).toEqual([])
      const time = "1970-01-01T00:00:00.001Z"
      yield* Runs.settle("p1", "charge", { value: { receipt: 9 } })
      yield* Runs.settle("p1", "charge", { value: undefined })
      yield* Runs.settle("p1", "charge", { failure: "no funds", tag: "Declined" })
      yield* Runs.settle("p1", "charge", { retry: true })
      yield* Runs.settle("p1")
      const settled = yield* lines("p1")
      expect(settled).toContain("status    blocked")
      expect(block(settled, "posted, not taken yet")).toEqual([
        `  ${time}  settle charge  gave {"receipt":9}`,
        `  ${time}  settle charge  gave nothing`,
        `  ${time}  settle charge  failed: Declined: no funds`,
        `  ${time}  settle charge  may run again`,
        `  ${time}  settle  may go on`
      ])
      expect(block(settled, "resume with")).toEqual(["  pay.resume(\"p1\")"])
      expect((yield* json("p1")).posted.slice(2)).toMatchObject([
        { type: "settle", stepId: "charge", verdict: "failure", reason: "Declined: no funds" },
        { type: "settle", stepId: "charge", verdict: "retry" },
        { type: "settle", verdict: "retry" }
      ])

      yield* triage.enqueue({ id: "t" }, { runId: "e1" })
      yield* Runs.cancel("e1", { reason: "dup\u001b[2Jlicate" })
      const page = yield* lines("e1")
      expect(block(page, "posted, not taken yet")).toEqual([`  ${time}  cancel  duplicate`])
      expect(block(page, "resume with")).toEqual(["  triage.resume(\"e1\")"])
      // What comes too late is of no more interest.
      expect(yield* triage.resume("e1")).toMatchObject({ status: "cancelled" })
      expect((yield* json("e1")).posted).toEqual([])
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("counts the lines that do not count", () => {
    const driver = MemoryDriver.make()
    const torn = Storage.make({
      ...driver,
      read: (runId) =>
        Effect.map(driver.read(runId), ({ text, version }) => {
          const [first = "", ...rest] = text.split("\n")
          const stamp = { incarnation: "another", session: 9, writer: "zombie" }
          const { lines } = Journal.seal(Journal.emptyHead, stamp, [
            Journal.stamped({ type: "start" }, at)
          ])
          return { text: [first, `${first.slice(0, 40)}\t`, ...lines, ...rest].join("\n"), version }
        })
    })
    return Effect.gen(function*() {
      yield* suspended.pipe(Effect.provideService(Storage.Storage, Storage.make(driver)))
      expect(yield* lines("r1")).toContain(
        "journal   5 entries, 1 ignored of writers that had lost the run, 1 torn"
      )
      expect(yield* json("r1")).toMatchObject({ entries: 5, rejected: 1, torn: 1 })
    }).pipe(Effect.provideService(Storage.Storage, torn))
  })

  it.effect("keeps what would act on a terminal from it, and long values short", () =>
    Effect.gen(function*() {
      const bad = `\u001b[2J\u009b\u202e\n${"long ".repeat(100)}`
      const name = bad.slice(0, 200)
      const hostile = Workflow.make(
        name,
        { version: bad, events: { [name]: Schema.String } },
        function*(ctx, _: string) {
          yield* ctx.step(name, () => bad)
          const boom = ctx.step("boom", () => Effect.fail(new Error(bad)))
          yield* ctx.all({ [bad]: boom.pipe(Instruction.result) }, { name })
          yield* ctx.suspend(name, { reason: bad, key: bad })
        }
      )
      yield* hostile.start(bad, { runId: "r1" })
      yield* Runs.send("r1", { eventName: name, value: bad })
      yield* Runs.cancel("r1", { reason: bad })
      yield* hostile.resume("r1")
      yield* hostile.start(bad, { runId: "r2" })
      const page = [...yield* lines("r1"), ...yield* lines("r2")]
      expect(page.filter((line) => /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/u.test(line))).toEqual([])
      expect(page.filter((line) => line.length > 1_000)).toEqual([])
      expect(yield* shown("r1", "--json")).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/u)
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect.each([
    ["nope", "There is no run \"nope\" in this storage."],
    ["a/b", "\"a/b\" is no run id"],
    ["", "\"\" is no run id"],
    ["x\u001b[2J", "\"x\\u001b[2J\" is no run id"]
  ])("fails for run %j", ([runId = "", message]) =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(reprise("show", runId))
      expect(Exit.isFailure(exit)).toBe(true)
      expect(yield* stderr).toContain(message)
      expect(yield* TestConsole.logLines).toEqual([])
    }).pipe(Effect.provide(Storage.layerMemory)))
})
