/**
 * A process that drives an order to its end, as far as it gets: it kills itself at the file operation it
 * is told, or is killed from outside. `did` and `ack` lines in its log say what it did and was told.
 */
import * as NodePath from "@effect/platform-node/NodePath"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { openSync, writeSync } from "node:fs"
import { flushCompileCache } from "node:module"
import { LocalStorage } from "reprise"
import { Observers } from "../../../src/Observer.ts"
import { makeDisk } from "../../storage/support/disk.ts"
import { dying } from "./dying.ts"
import { approval, input, makeOrder } from "./order.ts"

const [directory, log, runId, operation, moment, pause] = process.argv.slice(2)

const file = openSync(log!, "a")
const say = (line: string) => writeSync(file, `${line}\n`)

const disk = makeDisk()
disk.hook = dying(Number(operation), moment!)
const storage = LocalStorage.layer(directory!).pipe(
  Layer.provide(Layer.merge(disk.layer, NodePath.layer))
)

const order = makeOrder((step) => say(`did ${step}`), Effect.sleep(Number(pause)))

const program = Effect.gen(function*() {
  yield* order.start(input, { runId: runId! })
  const done = yield* order.resume(runId!, approval)
  say(`end ${JSON.stringify(done)}`)
})

// Most of these processes never get to their own end, where the cache would be kept otherwise.
flushCompileCache()
process.stdout.write("ready\n")
await Effect.runPromise(
  program.pipe(
    Effect.provide(storage),
    Effect.provideService(Observers, [(event) =>
      Effect.sync(() => {
        if (event.type === "entry") say(`ack ${JSON.stringify(event)}`)
      })])
  )
)
