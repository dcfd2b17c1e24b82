/**
 * A process that parks many runs in a SQLite file and tells how much its heap has grown by that. Needs
 * `--expose-gc`.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Workflow } from "reprise"
import { SqliteStorage } from "reprise/sqlite"

const [filename, count] = process.argv.slice(2)

const parked = Workflow.make("parked", {
  input: Schema.Struct({ order: Schema.String }),
  events: { paid: Schema.Void }
}, function*(ctx, { order }) {
  const price = yield* ctx.step("price", () => order.length)
  yield* ctx.suspend("paid")
  return price
})

const park = (from: number, to: number) =>
  Effect.forEach(
    Array.from({ length: to - from }, (_, n) => from + n),
    (n) => parked.start({ order: `order ${n}` }, { runId: `run-${n}` }),
    { concurrency: 64, discard: true }
  )

const heap = Effect.promise(async () => {
  for (let turn = 0; turn < 3; turn++) {
    await new Promise((resolve) => setImmediate(resolve))
    globalThis.gc!()
  }
  return process.memoryUsage().heapUsed
})

const program = Effect.gen(function*() {
  // What is made once, such as statements and compiled code, is no cost of a run.
  yield* park(0, 500)
  const before = yield* heap
  yield* park(500, Number(count))
  const after = yield* heap
  process.stdout.write(`${JSON.stringify({ grown: after - before })}\n`)
})

await Effect.runPromise(
  Effect.provide(program, SqliteStorage.layer({ filename: filename!, synchronous: "NORMAL" }))
)
