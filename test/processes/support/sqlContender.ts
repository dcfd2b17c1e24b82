/**
 * A process that drives runs of the loop in a database for as long as it lives, all beside each other, and
 * starts over whenever it lost one. A bold one takes no notice of the lease, so that only the journal stands
 * between it and the others. Its log has a line for every entry that it was told is safe: run, offset, sum. It is
 * ready when it has written the first of these.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { openSync, writeSync } from "node:fs"
import { flushCompileCache } from "node:module"
import { Storage } from "reprise"
import { random } from "../../storage/support/random.ts"
import { makeLoop } from "./loop.ts"
import { driverOf, type Kind } from "./sqlStores.ts"

const [store, place, log, stopFile, kind, seed, count] = process.argv.slice(2)

const file = openSync(log!, "a")
let isReady = false
const say = (line: string) => {
  writeSync(file, `${line}\n`)
  if (isReady) return
  isReady = true
  // Most of these processes never get to their own end, where the cache would be kept otherwise.
  flushCompileCache()
  process.stdout.write("ready\n")
}
const chance = random(Number(seed))

const contend = (driver: Storage.Driver) => {
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
              if (isAccepted) say(`ack ${loaded.journal.runId} ${offset - 1} ${prev}`)
            }))
      }))
  })
  const loop = makeLoop(stopFile!)
  const drive = (runId: string) =>
    Effect.gen(function*() {
      for (;;) {
        const result = yield* Effect.result(loop.resume(runId)).pipe(
          Effect.provideService(Storage.Storage, noting)
        )
        if (Result.isFailure(result)) {
          const error = result.failure
          // Another process, maybe a stopped one, may be in the way for long; that must be said so.
          const isBusy = error._tag === "StorageError" && error.isRetryable
          say(`lost ${isBusy ? "Unavailable" : error._tag}`)
          if (error._tag !== "Fenced" && !isBusy) return say(`bad ${runId}: ${error.message}`)
        } else if (result.success.status === "success") {
          return say("end")
        }
        yield* Effect.sleep(chance.below(40))
      }
    })
  return Effect.forEach(
    Array.from({ length: Number(count) }, (_, n) => `r${n}`),
    drive,
    { concurrency: "unbounded", discard: true }
  )
}

await Effect.runPromise(Effect.scoped(Effect.flatMap(driverOf(store as Kind, place!), contend)))
