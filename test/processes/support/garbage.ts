/**
 * A process that drives many runs to their end and tells how many bytes of each are left when only young
 * objects were collected. Needs `--expose-gc` and `--no-allocation-site-pretenuring`, without which V8 would
 * take this counting for a reason to make objects old.
 */
import * as Effect from "effect/Effect"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Schema from "effect/Schema"
import { Storage, Workflow } from "reprise"

const short = Workflow.make("short", {
  input: Schema.Number,
  events: { answer: Schema.Number }
}, function*(ctx, n) {
  const a = yield* ctx.step("a", () => n)
  const b = yield* ctx.step("b", Effect.andThen(Effect.yieldNow, Effect.succeed(n)))
  const later = ctx.step("later", () => Effect.delay(Effect.succeed(n), 1), { retry: 2 })
  const both = yield* ctx.all([later, ctx.step("beside", () => n)])
  const answer = yield* ctx.suspend("answer")
  return a + b + both.length + answer
})

const runtime = ManagedRuntime.make(Storage.layerMemory)
let serial = 0
const drive = async (runs: number) => {
  for (let n = 0; n < runs; n++) {
    const runId = `run-${++serial}`
    await runtime.runPromise(short.start(n, { runId }))
    await runtime.runPromise(short.resume(runId, { eventName: "answer", value: n }))
    // Its journal is no garbage.
    await runtime.runPromise(Effect.flatMap(Storage.Storage, (storage) => storage.remove(runId)))
  }
}

await drive(1_000)
globalThis.gc!()
const before = process.memoryUsage().heapUsed
const runs = 300
await drive(runs)
for (let turn = 0; turn < 2; turn++) globalThis.gc!({ type: "minor" })
const left = (process.memoryUsage().heapUsed - before) / runs
process.stdout.write(JSON.stringify({ left: Math.round(left) }))
process.exit()
