/**
 * 15-own-storage-driver: what its contract cannot see. Its own tests, beside it, run the contract itself.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { appendFileSync, existsSync, readFileSync, statSync, truncateSync } from "node:fs"
import { join } from "node:path"
import { Runs, Storage, Workflow } from "reprise"
import { make } from "../../examples/15-own-storage-driver/driver.ts"
import { runExample, scratch } from "./support/command.ts"

const counting = Workflow.make("counting", function*(ctx, count: number) {
  for (let n = 0; n < count; n++) yield* ctx.step(`s${n}`, () => `é${n}`)
  return count
})

/** As a process of its own has the file. */
const on = <A, E>(file: string, effect: Effect.Effect<A, E, Storage.Storage>) =>
  Effect.scoped(
    Effect.flatMap(
      make(file),
      (driver) => Effect.provideService(effect, Storage.Storage, Storage.make(driver))
    )
  )

describe("the driver in one file", () => {
  const directory = scratch()

  it.live("has in a new process what was written before", () =>
    Effect.gen(function*() {
      const file = join(directory, "a.log")
      yield* on(file, counting.execute(3, { runId: "r" }))
      const { entries } = yield* on(file, Runs.journal("r"))
      expect(entries.map(({ type }) => type)).toEqual(["start", "step", "step", "step", "complete"])
    }))

  it.live("passes over a line that a crash cut short anywhere, and goes on", () =>
    Effect.gen(function*() {
      const file = join(directory, "b.log")
      yield* on(file, counting.execute(1, { runId: "r0" }))
      const { size } = statSync(file)
      yield* on(file, counting.execute(1, { runId: "r1" }))
      const news = readFileSync(file).subarray(size)
      const first = news.indexOf(10, 1) + 1
      for (let cut = 0; cut < first; cut += 9) {
        truncateSync(file, size)
        appendFileSync(file, news.subarray(0, cut))
        expect(yield* on(file, counting.execute(1, { runId: "r1" }))).toBe(1)
        const { runs } = yield* on(file, Runs.list())
        expect(runs.map(({ runId }) => runId)).toEqual(["r0", "r1"])
      }
    }))

  it.live("drives a run once where two processes begin it at the same time", () =>
    Effect.gen(function*() {
      const file = join(directory, "c.log")
      let performed = 0
      const once = Workflow.make("once", function*(ctx) {
        return yield* ctx.step(
          "s",
          Effect.andThen(Effect.sleep(20), Effect.sync(() => ++performed))
        )
      })
      const ends = yield* Effect.all(
        [1, 2, 3].map(() => on(file, once.execute(undefined, { runId: "r" }))),
        { concurrency: "unbounded" }
      )
      expect(ends).toEqual([1, 1, 1])
      expect(performed).toBe(1)
    }))
})

describe("npm run example 15", () => {
  const directory = scratch()

  it("goes on in another process, and keeps every demand of the contract", async () => {
    const { code, lines, stderr } = await runExample(directory, ["15"])
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    expect(lines.slice(0, -1)).toEqual([
      "a letter:",
      "  it is written",
      "  the run is suspended; another process goes on:",
      "  Dear Ada, with a blue stamp",
      "the contract of storages:"
    ])
    const [, kept, all] = /^ {2}(\d+) of (\d+) demands are kept$/.exec(lines.at(-1)!)!
    expect(kept).toBe(all)
    expect(Number(all)).toBeGreaterThanOrEqual(150)
    expect(existsSync(join(directory, "runs", "15", "runs.log"))).toBe(true)
  })
})
