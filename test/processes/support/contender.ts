/**
 * A process that drives the loop for as long as it lives, and starts over whenever it lost the run. A bold
 * one takes no notice of the lease, so that only the journal stands between it and the others. Its log has
 * a line for every entry that it was told is safe: offset and sum.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import { openSync, writeSync } from "node:fs"
import { flushCompileCache } from "node:module"
import { LocalStorage, Storage } from "reprise"
import { random } from "../../storage/support/random.ts"
import { makeLoop } from "./loop.ts"

const [directory, log, stopFile, kind, seed] = process.argv.slice(2)

const file = openSync(log!, "a")
const say = (line: string) => writeSync(file, `${line}\n`)
const chance = random(Number(seed))

const driver = await Effect.runPromise(
  LocalStorage.driver(directory!).pipe(
    Effect.provide(Layer.merge(NodeFileSystem.layer, NodePath.layer))
  )
)
const storage = Storage.make(
  kind === "polite" ? driver : {
    ...driver,
    acquire: () => Effect.succeed({ _tag: "Acquired", token: "taken" }),
    renew: () => Effect.succeed(true),
    release: () => Effect.void
  }
)
/** Writes down every acknowledgement. */
const noting = Storage.Storage.of({
  ...storage,
  writer: (loaded) =>
    Effect.map(storage.writer(loaded), (writer) => ({
      ...writer,
      append: (stamp, entries) =>
        Effect.tap(writer.append(stamp, entries), (isAccepted) =>
          Effect.sync(() => {
            const { offset, prev } = writer.head()
            if (isAccepted) say(`ack ${offset - 1} ${prev} ${stamp.session} ${stamp.writer}`)
          }))
    }))
})

const loop = makeLoop(stopFile!)

const program = Effect.gen(function*() {
  for (;;) {
    const drive = Effect.result(loop.resume("r"))
    const result = yield* Effect.provideService(drive, Storage.Storage, noting)
    if (Result.isFailure(result)) {
      say(`lost ${result.failure._tag}`)
      if (result.failure._tag !== "Fenced") {
        say(`bad ${result.failure.message}`)
        return
      }
    } else if (result.success.status === "success") return say("end")
    yield* Effect.sleep(chance.below(40))
  }
})

// Most of these processes never get to their own end, where the cache would be kept otherwise.
flushCompileCache()
process.stdout.write("ready\n")
await Effect.runPromise(program)
