/**
 * `npm run bench:cli`: how long a call of the command takes, as a whole process of the compiled package, beside a Node
 * that does nothing. The disk and the compile cache are warm, as when a person looks at a second run.
 *
 * The process fails when a figure that must be reached is missed; `--no-fail` only prints.
 */
import { Effect, Schema } from "effect"
import { execFileSync } from "node:child_process"
import { join } from "node:path"
import { Workflow } from "../src/index.ts"
import { NodeLocalStorage } from "../src/node.ts"
import { SqliteStorage } from "../src/sqlite.ts"
import { directory } from "./files.ts"
import { type Figure, interleave, median, ratio, report, show, time } from "./measure.ts"

const at = directory()
const command = join(import.meta.dirname, "..", "dist", "cli", "main.js")

const work = Workflow.make("work", { input: Schema.Int }, function*(ctx, steps) {
  for (let i = 0; i < steps; i++) {
    yield* ctx.step("classify", () => ({ category: "bug", severity: i % 6 }))
  }
})

/** A thousand runs, and one of ten thousand steps. */
const recorded = Effect.gen(function*() {
  yield* Effect.forEach(
    Array.from({ length: 1_000 }, (_, n) => n),
    (n) => work.start(3, { runId: `run-${n}` }),
    { concurrency: 16 }
  )
  yield* work.start(10_000, { runId: "long" })
}).pipe(Effect.provideService(Workflow.JournalLimits, { warn: Infinity, stop: Infinity }))

const storages = { file: join(at, "runs"), sqlite: join(at, "runs.db") }
await Effect.runPromise(Effect.provide(recorded, NodeLocalStorage.layer(storages.file)))
await Effect.runPromise(
  Effect.provide(recorded, SqliteStorage.layer({ filename: storages.sqlite }))
)

/** Milliseconds of a process from its start to its end. */
const call = (...args: ReadonlyArray<string>) => () =>
  time(() =>
    execFileSync(process.execPath, [...args], {
      stdio: ["ignore", "pipe", "ignore"],
      maxBuffer: Infinity
    })
  )

const urls = Object.entries(storages).map(([scheme, path]) => `${scheme}:${path}`)
const figures: Array<Figure> = []
for (const [verb, atMost] of [[["list"], 350], [["show", "long"], 600]] as const) {
  for (const url of urls) {
    const samples = await interleave({
      ours: call(command, ...verb, "--storage", url),
      node: call("-e", "0")
    }, { rounds: 15, warmUp: 2 })
    const what = `reprise ${verb[0]}, ${verb[0] === "list" ? "1,000 runs" : "10,000 steps"}, ${
      url.split(":")[0]
    }`
    figures.push({
      figure: `${what}: milliseconds`,
      value: `${show(median(samples.ours))}, at best ${show(Math.min(...samples.ours))}`,
      ratio: median(samples.ours),
      atMost
    }, {
      figure: `${what}: times a Node that does nothing`,
      value: `${show(median(samples.ours))} against ${show(median(samples.node))}`,
      ratio: ratio(samples.ours, samples.node)
    })
  }
}
report(figures)
