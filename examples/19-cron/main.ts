/**
 * A run every second, and a worker that is away for a while: what it missed is caught up, and nothing runs twice.
 * The schedule is a durable run in the SQLite file, so it goes on where it stood.
 *
 * Run it again: what ticked between the two is caught up first.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Layer, Schema } from "effect"
import { Runs, Schedules, Worker, Workflow } from "reprise"
import { SqliteStorage } from "reprise/sqlite"

const report = Workflow.make("report", {
  input: Schema.Struct({ until: Schema.String }),
  output: Schema.String
}, function*(ctx, { until }) {
  yield* ctx.step("write", Console.log(`  report until ${until}`))
  return until
})

const schedules = Schedules.layer([
  {
    workflow: report,
    cron: "* * * * * *",
    timeZone: "Europe/Berlin",
    input: (tick) => ({ until: tick.toISOString() }),
    // A nightly report would be content with the latest, which is the default.
    catchUp: "all"
  }
])

/** What a process has; closed when the program is over, as a deploy does. */
const program = Layer.merge(schedules, Worker.layer({ workflows: [report] }))

/** Waits until so many more reports have been written. */
const reports = (more: number) =>
  Effect.gen(function*() {
    const written = Effect.map(
      Runs.list({ workflow: "report", status: "success", limit: 100_000 }),
      ({ runs }) => runs.length
    )
    const before = yield* written
    while ((yield* written) < before + more) yield* Effect.sleep("50 millis")
  })

const main = Effect.gen(function*() {
  yield* Console.log("the first process:")
  yield* Effect.provide(reports(2), program)
  yield* Console.log("nobody is there for two seconds")
  yield* Effect.sleep("2 seconds")
  yield* Console.log("the next process:")
  yield* Effect.provide(reports(3), program)
  const { runs } = yield* Runs.list({ workflow: "report", limit: 100_000 })
  const ticks = runs.map(({ runId }) => Date.parse(runId.slice("report@".length)))
  const gaps = ticks.filter((tick, n) => n > 0 && tick !== ticks[n - 1]! + 1_000)
  yield* Console.log(`every second has its run: ${gaps.length === 0}`)
})

const directory = process.env["REPRISE_DIR"] ?? ".reprise"

main.pipe(
  Effect.provide(SqliteStorage.layer({ filename: `${directory}/19.db` })),
  NodeRuntime.runMain
)
