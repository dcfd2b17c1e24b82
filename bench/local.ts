/**
 * The local storage beside raw appends: one sequential run, durable at every step, against writing 200
 * bytes and `fdatasync` on a file handle, in the same process and directory. Also counts what a step
 * costs in syncs.
 */
import { NodePath } from "@effect/platform-node"
import { Effect, Layer, ManagedRuntime } from "effect"
import { open, readFile } from "node:fs/promises"
import { join } from "node:path"
import { LocalStorage, Workflow } from "../src/index.ts"
import { NodeLocalStorage } from "../src/node.ts"
import { directory, layerSync } from "./files.ts"
import { type Figure, interleave, median, rate, ratio, report, time } from "./measure.ts"

const steps = 1_000
const at = directory()
let serial = 0

/** About as many bytes of value as make a line of 200. */
const workflow = Workflow.make("bench", function*(ctx, n: number) {
  for (let i = 0; i < n; i++) yield* ctx.step("step", () => ({ i }))
})

const runtime = ManagedRuntime.make(NodeLocalStorage.layer(at))

const ours = async () =>
  await time(() => runtime.runPromise(workflow.execute(steps, { runId: `run-${++serial}` })))
  / steps

const line = Buffer.from(`${"x".repeat(199)}\n`)

const raw = (sync: "sync" | "datasync") => async () => {
  const file = await open(join(at, `raw-${++serial}`), "a", 0o600)
  const millis = await time(async () => {
    for (let i = 0; i < steps; i++) {
      await file.write(line)
      await file[sync]()
    }
  })
  await file.close()
  return millis / steps
}

const t = await interleave(
  { fdatasync: raw("datasync"), reprise: ours, fsync: raw("sync") },
  { rounds: 11, warmUp: 3 }
)

/** Syncs of a whole run of `n` steps. */
const syncsOf = async (n: number): Promise<number> => {
  let syncs = 0
  const counting = layerSync((sync) => Effect.suspend(() => (syncs++, sync)))
  const storage = LocalStorage.layer(at).pipe(Layer.provide([counting, NodePath.layer]))
  await Effect.runPromise(workflow.execute(n).pipe(Effect.provide(storage)))
  return syncs
}
const short = await syncsOf(100)
const long = await syncsOf(300)

const text = await readFile(join(at, `run-${serial - 1}.jsonl`), "utf8")
const bytes = Math.round(text.length / text.split("\n").filter((line) => line.length > 1).length)

const figures: ReadonlyArray<Figure> = [
  {
    figure: "LocalStorage against raw append and fdatasync",
    value: `${rate(median(t.reprise))} against ${rate(median(t.fdatasync))}`,
    ratio: ratio(t.fdatasync, t.reprise),
    atLeast: 0.65
  },
  {
    figure: "LocalStorage against raw append and fsync",
    value: `${rate(median(t.reprise))} against ${rate(median(t.fsync))}, ${bytes} bytes a step`,
    ratio: ratio(t.fsync, t.reprise)
  },
  {
    figure: "syncs a step",
    value: `${long} of 300 steps, ${short} of 100`,
    ratio: (long - short) / 200,
    atLeast: 1,
    atMost: 1
  }
]
await runtime.dispose()
report(figures)
