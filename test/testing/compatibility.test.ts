/**
 * `replayAll`, on the journals of this version that stand in `test/journals`: they replay for ever.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import { readdirSync, readFileSync } from "node:fs"
import { Journal, Pipeline, Storage, Workflow } from "reprise"
import * as Testing from "reprise/testing"
import { workflows } from "../journals/workflows.ts"

type Name = keyof typeof workflows

const names = Object.keys(workflows) as ReadonlyArray<Name>
const text = (name: Name) => readFileSync(`test/journals/${name}.jsonl`, "utf8")
const read = (name: Name) => Result.getOrThrow(Journal.read(name, text(name)))

const entryTypes = [
  "start",
  "step",
  "suspend",
  "event",
  "resume",
  "timer",
  "retry",
  "intent",
  "child",
  "patch",
  "undo",
  "cancel",
  "stop",
  "continue",
  "complete",
  "error",
  "cancelled"
]

describe("the journals of version 0.1", () => {
  it("each have a workflow, and none is missing", () => {
    const files = readdirSync("test/journals").filter((file) => file.endsWith(".jsonl"))
    expect(files.toSorted()).toEqual(names.map((name) => `${name}.jsonl`).toSorted())
  })

  it.each(names)("%s is sound to the last byte", (name) => {
    const journal = read(name)
    expect(journal).toMatchObject({ rejected: 0, torn: 0 })
    expect(journal.entries[0]).toMatchObject({ type: "start", format: 1, runId: name })
    const lines = text(name).split("\n").filter((line) => line.trim() !== "")
    expect(journal.entries).toHaveLength(lines.length)
  })

  it.effect.each(names)(
    "%s replays to the end that was recorded",
    (name) =>
      Effect.gen(function*() {
        const journals = [{ name, text: text(name) }]
        const [replayed] = yield* Testing.replayAll(journals, workflows[name])
        expect(replayed).toMatchObject({ name, runId: name })
        const last = read(name).entries.at(-1)
        switch (last?.type) {
          case "complete":
            return expect(replayed?.replayed).toMatchObject({
              _tag: "Returned",
              value: last.result
            })
          case "continue":
            return expect(replayed?.replayed._tag).toBe("Returned")
          case "error":
            return expect(replayed?.replayed).toEqual({ _tag: "Threw", error: last.error })
          default:
            expect(last?.type).toBe("cancelled")
            expect(replayed?.replayed._tag).toBe("Threw")
        }
      })
  )

  it.effect.each(names)("%s replays from every prefix", (name) =>
    Effect.gen(function*() {
      const { entries } = read(name)
      for (let length = 1; length <= entries.length; length++) {
        const lines = entries.slice(0, length).map((entry) => JSON.stringify(entry))
        const journals = [{ name, text: Journal.write(lines) }]
        expect(yield* Testing.replayAll(journals, workflows[name])).toHaveLength(1)
      }
    }))

  it("show every kind of entry", () => {
    const types = new Set(names.flatMap((name) => read(name).entries.map(({ type }) => type)))
    expect([...types].toSorted()).toEqual(entryTypes.toSorted())
  })
})

describe("replayAll", () => {
  const review = { name: "an old review", text: text("review") }

  it.effect("names each journal that the code does not fit, and why", () =>
    Effect.gen(function*() {
      const changed = Workflow.make("review", function*(ctx) {
        yield* ctx.step("something new", () => 1)
      })
      const journals = [review, { name: "a second", text: text("review") }]
      const error = yield* Effect.flip(Testing.replayAll(journals, changed))
      expect(error).toMatchObject({
        _tag: "Incompatible",
        workflow: "review",
        journals: [{ name: "an old review" }, { name: "a second" }]
      })
      expect(error.message).toContain("something new")
    }))

  it.effect("names a journal that begins behind steps which its pipeline has no more", () =>
    Effect.gen(function*() {
      const changed = Pipeline.make("order").step("renamed", () => ({ n: 1 })).workflow
      const [start] = read("pipeline-again").entries
      const journals = [{ name: "behind", text: Journal.write([JSON.stringify(start)]) }]
      const error = yield* Effect.flip(Testing.replayAll(journals, changed))
      expect(error).toMatchObject({ _tag: "Incompatible", journals: [{ name: "behind" }] })
    }))

  it.effect("takes part of the journals that fit for no excuse", () =>
    Effect.gen(function*() {
      const late = Workflow.make("countdown", function*(ctx, n: number): Workflow.Body<string> {
        if (n === 0) yield* ctx.step("extra", () => 1)
        yield* ctx.step("tick", () => n)
        return n > 0 ? yield* ctx.continueAs(n - 1) : "lift-off"
      })
      const journals = (["countdown", "countdown+2"] as const).map((name) => ({
        name,
        text: text(name)
      }))
      const error = yield* Effect.flip(Testing.replayAll(journals, late))
      expect(error).toMatchObject({ journals: [{ name: "countdown+2" }] })
    }))

  it.effect("finds a body that breaks, a journal of another workflow, and an empty one", () =>
    Effect.gen(function*() {
      const breaking = Workflow.make("review", function*() {
        yield 5 as never
      })
      const why = (workflow: Parameters<typeof Testing.replayAll>[1], text = review.text) =>
        Effect.map(
          Effect.flip(Testing.replayAll([{ name: "j", text }], workflow)),
          (error) => error._tag === "Incompatible" ? error.journals[0]?.why : error._tag
        )
      expect(yield* why(breaking)).toMatch(/yield/)
      expect(yield* why(workflows.letter)).toBe(`it is of workflow "review"`)
      expect(yield* why(workflows.review, "")).toBe("it has no entry")
    }))

  it.effect("finds a version that the code does not have, though its body would fit", () =>
    Effect.gen(function*() {
      const of = (version: string, previous: ReadonlyArray<Workflow.Older> = []) =>
        Workflow.make("aged", { version, previous }, function*(ctx) {
          return yield* ctx.step("a", () => 1)
        })
      const first = of("1")
      const { journal } = yield* Testing.fixture(first, { stubs: { a: 1 } })
      const lines = journal.entries.map((entry) => JSON.stringify(entry))
      const journals = [{ name: "of version 1", text: Journal.write(lines) }]
      for (const [newer, seen] of [[of("2"), "2"], [of("2", [of("0")]), "2, 0"]] as const) {
        const error = yield* Effect.flip(Testing.replayAll(journals, newer))
        expect(error).toMatchObject({ _tag: "Incompatible", journals: [{ name: "of version 1" }] })
        expect(error.message).toContain(`has workflow version 1, this code has ${seen}.`)
        // As driving would have it.
        yield* first.start(undefined, { runId: "r1" })
        expect((yield* Effect.flip(newer.resume("r1")))._tag).toBe("VersionMismatch")
      }
      expect(yield* Testing.replayAll(journals, of("2", [first]))).toMatchObject([
        { replayed: { _tag: "Returned", value: 1 } }
      ])
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("fails for a journal that is damaged", () =>
    Effect.gen(function*() {
      const journals = [{ name: "j", text: review.text.replace("bug", "bag") }]
      expect(yield* Effect.flip(Testing.replayAll(journals, workflows.review))).toMatchObject({
        _tag: "JournalCorrupt",
        runId: "j"
      })
    }))

  it.effect("runs nothing, and gives what an open run waits for", () =>
    Effect.gen(function*() {
      const { entries } = read("review")
      const lines = entries.slice(0, 2).map((entry) => JSON.stringify(entry))
      const [open] = yield* Testing.replayAll(
        [{ name: "open", text: Journal.write(lines) }],
        workflows.review
      )
      expect(open?.replayed).toMatchObject({ _tag: "Blocked", waits: [{ stepId: "verdict" }] })
    }))
})
