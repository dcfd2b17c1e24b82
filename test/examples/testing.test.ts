/**
 * 08-testing: the tests of a user pass, by themselves and as an example; and what the kit says to a user
 * whose test is wrong.
 */
import { describe, expect, it } from "@effect/vitest"
import { Cause, Effect, Exit, Result } from "effect"
import { readFileSync } from "node:fs"
import { Journal, Workflow } from "reprise"
import * as Testing from "reprise/testing"
import { order } from "../../examples/08-testing/workflow.ts"
import { runExample, scratch } from "./support/command.ts"

const text = readFileSync("examples/08-testing/journals/waiting.jsonl", "utf8")
const teapot = { item: "teapot", cents: 3_950 }

/** The code of somebody who forgot that orders are open. */
const rewritten = Workflow.make("order", function*(ctx) {
  yield* ctx.step("pay", () => 1)
})

/** Answers a little differently each time. */
const moody = () => {
  let n = 0
  return Workflow.make("moody", function*(ctx) {
    return yield* ctx.step("count", () => n++)
  })
}

/** What the test runner shows of a test that ends so. */
const shown = <A, E extends { readonly message: string }>(effect: Effect.Effect<A, E>) =>
  Effect.map(Effect.exit(effect), (exit) => {
    if (Exit.isSuccess(exit)) throw new Error(`succeeded with ${JSON.stringify(exit.value)}`)
    const error = Cause.squash(exit.cause) as Error
    return `${error.name}: ${error.message}`
  })

describe("the kit says", () => {
  it.effect("which stub is missing, how to add it, and which there are", () =>
    Effect.gen(function*() {
      const none =
        `reprise/StubMissing: Step "reserve" (id "any[north]/reserve") has no outcome in the `
        + `journal, and no stub. Add one: stubs: { "reserve": value }, or a function that gives the `
        + `value; or record a journal that goes further. `
      expect(yield* shown(Testing.fixture(order, { input: teapot }))).toBe(
        `${none}No stubs were given.`
      )
      const stubs = { charge: "receipt", release: undefined }
      expect(yield* shown(Testing.fixture(order, { input: teapot, stubs }))).toBe(
        `${none}Stubs were given for "charge", "release".`
      )
    }))

  it.effect("what a workflow's input should have been", () =>
    Effect.gen(function*() {
      const said = yield* shown(Testing.fixture(order, { stubs: { reserve: "north" } }))
      expect(said).toContain(`does not fit workflow "order": Expected object`)
    }))

  it.effect("where code and journal part, with the line of the code", () =>
    Effect.gen(function*() {
      const parted =
        /the outcome of step "any\[north\]\/reserve" at offset 1; the code has pending: /
      const line = /step "pay" \(\S+testing\.test\.ts:\d+:\d+\)/
      const said = yield* shown(Testing.fixture(rewritten, { journal: text }))
      expect(said).toMatch(parted)
      expect(said).toMatch(line)

      const all = yield* shown(Testing.replayAll([{ name: "a piano", text }], rewritten))
      expect(all).toMatch(
        /^reprise\/Incompatible: .* workflow "order" does not fit 1 of the journals:\n- a piano: /
      )
      expect(all).toMatch(parted)
      expect(all).toMatch(line)
    }))

  it.effect("which workflow a journal is of", () =>
    Effect.gen(function*() {
      const journals = [{ name: "a piano", text }]
      const said = yield* shown(Testing.replayAll(journals, moody()))
      expect(said).toContain(`- a piano: it is of workflow "order"`)
      const other = yield* shown(Testing.fixture(moody(), { journal: text }))
      expect(other).toContain("recorded order, now moody")
    }))

  it.effect("after which append a crash changes the end, what both ends are, and why", () =>
    Effect.gen(function*() {
      const said = yield* shown(Testing.crashEverywhere(moody(), undefined))
      expect(said).toBe(
        `reprise/CrashDiffers: A process that dies before append 1 (start) changes the outcome. `
          + `Left alone the run came to: success with 0. Recovered it came to: success with 1. Something is not the same each time: a value that no step journals, or a step `
          + `whose result depends on how often it ran.`
      )
    }))

  it.effect("in which order of steps a replay comes to something else", () =>
    Effect.gen(function*() {
      let bodies = 0
      const counting = Workflow.make("counting", function*(ctx) {
        const body = ++bodies
        yield* ctx.all([ctx.step("a", () => 1), ctx.step("b", () => 2)])
        return body
      })
      const program = Effect.provide(Testing.permute(counting, undefined), Testing.unguarded)
      expect(yield* shown(program)).toBe(
        `reprise/OrderDiffers: With the steps in the order "all[0]/a", "all[1]/b" the run came to: `
          + `success with 1. A replay of its journal comes to: success with 2. Something in the body `
          + `is not the same each time.`
      )
    }))

  it.live("which clock is missing, and what brings it", () =>
    Effect.gen(function*() {
      const driven = Testing.skipTime(moody().execute())
      const said = yield* shown(Effect.provide(driven, Testing.layerFaulty(() => "done")))
      expect(said).toBe(
        `TypeError: Only Effect's TestClock can be moved, and this program has another clock: provide `
          + `Testing.layer, or run it in it.effect.`
      )
    }))

  it.effect("that a journal is not one, where it was given a path or half a line", () =>
    Effect.gen(function*() {
      const half = `{"type":"start","workflow":"order","runId":"o1"}\n{"type":"st`
      for (const journal of ["journals/waiting.jsonl", half]) {
        const said = yield* shown(Testing.fixture(order, { journal }))
        expect(said).toContain("journal")
        expect(said).not.toContain("SyntaxError")
      }
    }))

  it.effect("each thing in one sentence, with one full stop", () =>
    Effect.gen(function*() {
      const wrongPayload = [{ eventName: "approval", value: "yes" as never }] as const
      let bodies = 0
      const naming = Workflow.make("naming", function*(ctx) {
        yield* ctx.step(`step ${++bodies}`, () => 1)
      })
      const crashes = Testing.crashEverywhere(naming, undefined)
      const orders = Testing.permute(naming, undefined)
      const all = [
        yield* shown(Testing.fixture(order, { journal: text, events: wrongPayload })),
        yield* shown(Effect.provide(crashes, Testing.unguarded)),
        yield* shown(Effect.provide(orders, Testing.unguarded))
      ]
      expect(all.map((said) => said.split(":")[0])).toEqual([
        "reprise/EventRejected",
        "reprise/CrashDiffers",
        "reprise/OrderDiffers"
      ])
      expect(all.slice(1).filter((said) => !said.includes("no longer fits"))).toEqual([])
      expect(all.filter((said) => said.includes(".."))).toEqual([])
    }))
})

describe("npm run example 08", () => {
  const directory = scratch()

  it("runs the tests beside it, and prints each of them", async () => {
    const { code, lines, stderr } = await runExample(directory, ["08"], { NO_COLOR: "1" })
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    const passed = lines.filter((line) => line.includes("✓"))
    expect(passed.some((line) => line.includes("reserves in one warehouse only"))).toBe(true)
    expect(passed.some((line) => line.includes("wherever its process dies"))).toBe(true)
    expect(lines.some((line) => /Tests +12 passed \(12\)/.test(line))).toBe(true)
  })

  it("ends with the exit code of the tests", async () => {
    const { code } = await runExample(directory, ["08", "--reporter=unheard-of"])
    expect(code).toBe(1)
  })

  it("has journals that are sound to the last byte, and end as their names say", () => {
    const last = (name: string) => {
      const file = `examples/08-testing/journals/${name}.jsonl`
      const journal = Result.getOrThrow(Journal.read(name, readFileSync(file, "utf8")))
      expect(journal).toMatchObject({ rejected: 0, torn: 0 })
      return journal.entries.at(-1)
    }
    expect(last("approved")).toMatchObject({ type: "complete", result: { warehouse: "south" } })
    expect(last("expired")).toMatchObject({ type: "error", error: { why: "nobody answered" } })
    expect(last("waiting")).toMatchObject({ type: "suspend", waitingFor: "approval" })
  })
})
