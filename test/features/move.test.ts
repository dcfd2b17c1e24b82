/**
 * Runs from one storage to another, journals of the library before this one, and what is removed when it is
 * old: nothing is lost on the way, and what cannot be moved is left where it was.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { join } from "node:path"
import { Runs, Storage, Workflow } from "reprise"
import { SqliteStorage } from "reprise/sqlite"
import { local, temporary } from "../storage/support/local.ts"

const Verdict = Schema.Struct({ approved: Schema.Boolean, reviewer: Schema.String })

const triage = Workflow.make("triage", {
  input: Schema.Struct({ id: Schema.String }),
  events: { "manual-review": Verdict }
}, function*(ctx, ticket) {
  const c = yield* ctx.step("classify", () => ({ category: "wrong", severity: 0 }))
  const verdict = yield* ctx.suspend("manual-review", { reason: `severity ${c.severity}` })
  const draft = yield* ctx.step("draft", () => `Triaged ${ticket.id} as ${c.category}`)
  return `${draft}, ${verdict.reviewer}, ${"x".repeat(c.severity)}`
})

const go = { eventName: "manual-review", value: { approved: true, reviewer: "alice" } } as const

describe("a copy", () => {
  it.live("has journal, inbox and large values, and goes on where the run stood", () => {
    const big = Workflow.make("big", { events: { go: Schema.String } }, function*(ctx) {
      const a = yield* ctx.step("a", () => "y".repeat(100_000))
      return `${a.length} ${yield* ctx.suspend("go")}`
    })
    return Effect.gen(function*() {
      const to = Storage.make(
        (yield* SqliteStorage.make({ filename: join(temporary(), "a.db") })).driver
      )
      yield* big.start(undefined, { runId: "r" })
      yield* big.send("r", { eventName: "go", value: "early" })
      expect(yield* Runs.copy("r", to)).toEqual({ runId: "r", entries: 3, posts: 1, blobs: 1 })
      const done = yield* big.resume("r").pipe(Effect.provideService(Storage.Storage, to))
      expect(done).toMatchObject({ result: "100000 early" })
      expect(yield* big.status("r")).toMatchObject({ status: "suspended" })
    }).pipe(Effect.scoped, Effect.provide(Storage.layerMemory))
  })

  it.live("may be made again, is refused for another run of that id, and while somebody drives it", () =>
    Effect.gen(function*() {
      const to = Storage.make(Storage.memoryDriver())
      const from = yield* Storage.Storage
      yield* triage.start({ id: "t" }, { runId: "r" })
      const once = yield* Runs.copy("r", to)
      expect(once).toEqual({ runId: "r", entries: 3, posts: 0, blobs: 0 })
      expect(yield* Runs.copy("r", to)).toEqual(once)
      const lines = ({ text }: Storage.Stored) =>
        text.split("\n").filter((line) => line.trim() !== "")
      expect(lines(yield* to.driver.read("r"))).toEqual(lines(yield* from.driver.read("r")))
      const done = yield* triage.resume("r", go).pipe(Effect.provideService(Storage.Storage, to))
      expect(done).toMatchObject({ status: "success" })
      expect(yield* Effect.flip(Runs.copy("r", to))).toMatchObject({ _tag: "CopyRejected" })
      const other = Storage.make(Storage.memoryDriver())
      const claim = yield* from.acquire("r")
      expect(claim._tag).toBe("Acquired")
      expect(yield* Effect.flip(Runs.copy("r", other))).toMatchObject({ _tag: "CopyRejected" })
    }).pipe(Effect.provide(local(temporary()))))
})

describe("a journal of the library before", () => {
  const at = (offset: number, session = 1) =>
    `"timestamp":"2026-01-02T03:04:0${offset}.678Z","session":${session},"offset":${offset}`
  const text = [
    `{"type":"start","metadata":{"id":"t1"},${at(0)}}`,
    `{"type":"step","name":"classify","result":{"category":"bug","severity":5},${at(1)}}`,
    `{"type":"suspend","waitingFor":"manual-review","reason":"severity 5",${at(2)}}`
  ]

  it.live("is gone on with: what it has is not run again", () =>
    Effect.gen(function*() {
      expect(yield* Runs.importJournal("r", text.join("\n"), { workflow: "triage" })).toBe(3)
      expect(yield* triage.status("r")).toMatchObject({ status: "suspended" })
      expect(yield* triage.resume("r", go)).toMatchObject({
        result: "Triaged t1 as bug, alice, xxxxx"
      })
      const again = Runs.importJournal("r", text.join("\n"), { workflow: "triage" })
      expect(yield* Effect.flip(again)).toMatchObject({ _tag: "ImportRejected" })
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.live("is taken with its later sessions, events and end", () =>
    Effect.gen(function*() {
      const more = [
        `{"type":"start",${at(3, 2)}}`,
        `{"type":"resume","eventName":"manual-review","value":{"approved":true,"reviewer":"bob"},${
          at(4, 2)
        }}`,
        `{"type":"step","name":"draft","result":"d",${at(5, 2)}}`,
        `{"type":"complete","result":"d, bob, xxxxx",${at(6, 2)}}`
      ]
      yield* Runs.importJournal("r", [...text, ...more].join("\n"), { workflow: "triage" })
      expect(yield* triage.resume("r")).toMatchObject({
        status: "success",
        result: "d, bob, xxxxx"
      })
      yield* Runs.importJournal("s", [...text, ...more.slice(0, 2)].join("\n"), {
        workflow: "triage"
      })
      expect(yield* triage.resume("s")).toMatchObject({ result: "Triaged t1 as bug, bob, xxxxx" })
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.live("that makes no sense is refused with its line, and nothing is written", () =>
    Effect.gen(function*() {
      const bad: ReadonlyArray<readonly [ReadonlyArray<string>, number]> = [
        [[], 0],
        [["{"], 1],
        [[text[1]!], 1],
        [[text[0]!, "{\"type\":\"step\"}"], 2],
        [[text[0]!, `{"type":"resume","eventName":"x",${at(1)}}`], 2],
        [[text[0]!, `{"type":"complete",${at(1)}}`, text[1]!], 3],
        [[text[0]!.replace("2026-01", "2026-31")], 1]
      ]
      for (const [lines, line] of bad) {
        const error = yield* Effect.flip(
          Runs.importJournal("r", lines.join("\n"), { workflow: "triage" })
        )
        expect(error).toMatchObject({ _tag: "ImportRejected", line })
      }
      expect((yield* Runs.list()).runs).toEqual([])
    }).pipe(Effect.provide(Storage.layerMemory)))
})

describe("prune", () => {
  it.live("removes what ended before an instant, and nothing that is open", () =>
    Effect.gen(function*() {
      const one = Workflow.make("one", function*(ctx) {
        return yield* ctx.step("a", () => 1)
      })
      yield* triage.start({ id: "t" }, { runId: "open" })
      yield* one.execute(undefined, { runId: "done" })
      expect(yield* Runs.prune(Date.now() - 60_000)).toEqual([])
      expect(yield* Runs.prune(Date.now() + 60_000)).toEqual(["done"])
      expect((yield* Runs.list()).runs.map(({ runId }) => runId)).toEqual(["open"])
    }).pipe(Effect.provide(Storage.layerMemory)))
})
