/**
 * 03-fan-out: how many steps run at a time, and what is seen of it.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Stream } from "effect"
import { Storage, Workflow } from "reprise"
import { album } from "../../examples/03-fan-out/workflow.ts"
import { runExample, scratch } from "./support/command.ts"

const photos = ["a", "bb", "ccc", "dddd", "eeeee", "ffffff"]

describe("the album", () => {
  it.live("is shrunk four photos at a time, in the album's order", () => {
    let running = 0
    const counts: Array<number> = []
    const counting = Layer.succeed(Workflow.StepHook, (_, work) => {
      counts.push(++running)
      return Effect.ensuring(work, Effect.sync(() => running--))
    })
    return Effect.gen(function*() {
      expect(yield* album.execute({ photos })).toEqual(
        photos.map((photo) => ({ photo, bytes: 1000 * photo.length }))
      )
      expect(counts).toEqual([1, 2, 3, 4, 4, 4])
    }).pipe(Effect.provide(Layer.merge(Storage.layerMemory, counting)))
  })

  it.live("tells whoever watches how far it is", () =>
    Effect.gen(function*() {
      const runId = yield* album.enqueue({ photos })
      const watcher = yield* Effect.forkChild(Stream.runCollect(album.changes(runId)))
      yield* album.resume(runId)
      const looks = yield* Fiber.join(watcher)

      const done = looks.flatMap(({ progress }) => progress.album?.value.done ?? [])
      expect(done).toEqual(done.toSorted((a, b) => a - b))
      expect(done.length).toBeGreaterThan(0)
      for (const { progress } of looks) {
        if (progress.photo === undefined) continue
        const { stepId, value } = progress.photo
        expect(stepId).toBe(`each[${value.photo}]/shrink`)
        expect([25, 50, 75, 100]).toContain(value.percent)
      }
      expect(looks.at(-1)).toMatchObject({ status: "success", steps: { done: 6, running: 0 } })
    }).pipe(Effect.provide(Storage.layerMemory)))
})

describe("npm run example 03", () => {
  const directory = scratch()

  it("prints how far it is, and the thumbnails", async () => {
    const { code, lines, stderr } = await runExample(directory, ["03"])
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    expect(lines.filter((line) => / of 9 done, 4 running, last heard of \w+\.jpg /.test(line)))
      .not.toEqual([])
    expect(lines.slice(-10, -8)).toEqual(["all done: 9 of 9", "ada.jpg: 7000 bytes"])
    expect(lines.at(-1)).toBe("tony.jpg: 8000 bytes")
  })
})
