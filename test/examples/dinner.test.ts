/**
 * 06-child-and-signals: children that are told when to go on, and when to stop.
 */
import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { TestClock, TestConsole } from "effect/testing"
import { Runs, Storage } from "reprise"
import { dinner, dish } from "../../examples/06-child-and-signals/workflow.ts"
import { runExample, scratch } from "./support/command.ts"

const slow = {
  table: 3,
  dishes: [
    { name: "salad", cooks: Duration.zero },
    { name: "goose", cooks: Duration.hours(3) }
  ]
}

const stepsOf = (runId: string) =>
  Effect.map(
    Runs.journal(runId),
    ({ entries }) => entries.flatMap((entry) => entry.type === "step" ? [entry.name] : [])
  )

describe("the dinner", () => {
  it.effect("has nothing served before all is done, over as many sessions as it takes", () =>
    Effect.gen(function*() {
      const { runId, status } = yield* dinner.start(slow)
      expect(status).toBe("suspended")
      expect(yield* stepsOf(`${runId}.salad`)).toEqual(["cook", "send"])
      expect(yield* stepsOf(`${runId}.goose`)).toEqual(["cook"])

      yield* TestClock.adjust("3 hours")
      expect(yield* dinner.execute(slow, { runId })).toBe("they had salad and goose")
      for (const name of ["salad", "goose"]) {
        expect(yield* dish.join(`${runId}.${name}`)).toBe(name)
        expect(yield* stepsOf(`${runId}.${name}`)).toEqual(["cook", "send", "carry", "turn-off"])
      }
      const lines = (yield* TestConsole.logLines).map(String)
      const first = lines.findIndex((line) => line.includes("to table 3"))
      expect(lines.slice(0, first).toSorted()).toEqual([
        "  goose: on the stove",
        "  salad: on the stove"
      ])
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("has every stove turned off when the guests leave", () =>
    Effect.gen(function*() {
      const { runId } = yield* dinner.start(slow)
      expect(yield* dinner.resume(runId, { eventName: "guests-left" })).toMatchObject({
        status: "success",
        result: "the guests have left"
      })
      for (const name of ["salad", "goose"]) {
        expect(yield* Runs.status(`${runId}.${name}`)).toMatchObject({ status: "cancelled" })
        expect((yield* stepsOf(`${runId}.${name}`)).at(-1)).toBe("turn-off")
      }
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("takes its dishes along when it is cancelled itself", () =>
    Effect.gen(function*() {
      const { runId } = yield* dinner.start(slow)
      expect(yield* dinner.cancel(runId, { reason: "fire" })).toMatchObject({
        status: "cancelled",
        reason: "fire"
      })
      for (const name of ["salad", "goose"]) {
        expect(yield* dish.status(`${runId}.${name}`)).toMatchObject({ status: "cancelled" })
        expect((yield* stepsOf(`${runId}.${name}`)).at(-1)).toBe("turn-off")
      }
    }).pipe(Effect.provide(Storage.layerMemory)))
})

describe("npm run example 06", () => {
  const directory = scratch()

  it("serves one dinner together, and cancels the other", async () => {
    const { code, lines, stderr } = await runExample(directory, ["06"])
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })

    const [one, two] = [lines.slice(0, lines.indexOf("")), lines.slice(lines.indexOf("") + 1)]
    expect(one.toSorted()).toEqual([
      "  dumplings: on the stove",
      "  dumplings: stove off",
      "  dumplings: to table 1",
      "  soup: on the stove",
      "  soup: stove off",
      "  soup: to table 1",
      "table 1:",
      "they had soup and dumplings"
    ])
    expect(two.toSorted()).toEqual([
      "  (three hours are long)",
      "  goose: on the stove",
      "  goose: stove off",
      "  salad: on the stove",
      "  salad: stove off",
      "table 2:",
      "the goose is cancelled",
      "the guests have left"
    ])
  })
})
