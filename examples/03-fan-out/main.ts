/**
 * Shrinks an album, and prints how far it is from the stream of the run's changes.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Fiber, Stream } from "effect"
import { Workflow } from "reprise"
import { NodeLocalStorage } from "reprise/node"
import { album } from "./workflow.ts"

const directory = process.env["REPRISE_DIR"] ?? ".reprise"

const photos = ["ada", "alan", "barbara", "edsger", "grace", "john", "katherine", "leslie", "tony"]
  .map((name) => `${name}.jpg`)

const program = Effect.gen(function*() {
  // Recorded first and driven then, so that nothing is missed in between.
  const runId = yield* album.enqueue({ photos })
  const watcher = yield* Effect.forkChild(watch(runId))

  const thumbnails = yield* Effect.flatMap(album.resume(runId), Workflow.output)
  yield* Fiber.join(watcher)
  for (const { bytes, photo } of thumbnails) yield* Console.log(`${photo}: ${bytes} bytes`)
})

const watch = (runId: string) =>
  album.changes(runId).pipe(
    Stream.map(({ progress, status, steps }) => {
      const { done, of } = progress.album?.value ?? { done: 0, of: photos.length }
      const { percent, photo } = progress.photo?.value ?? { photo: "nothing", percent: 0 }
      return status === "success"
        ? `all done: ${steps.done} of ${photos.length}`
        : `${done} of ${of} done, ${steps.running} running, last heard of ${photo} (${percent} %)`
    }),
    Stream.changes,
    Stream.runForEach(Console.log)
  )

program.pipe(Effect.provide(NodeLocalStorage.layer(directory)), NodeRuntime.runMain)
