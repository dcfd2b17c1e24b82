/**
 * A process that has a schedule with a tick every second, and a worker for the runs of its ticks. Its log has a line
 * for every tick that was done. It is ready when its schedule has been begun.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { openSync, writeSync } from "node:fs"
import { flushCompileCache } from "node:module"
import { fileURLToPath } from "node:url"
import { Schedules, Worker, Workflow } from "reprise"
import { SqliteStorage } from "reprise/sqlite"

export const script = fileURLToPath(import.meta.url)

/** The process's only argument, as JSON. */
export interface Options {
  readonly filename: string
  readonly log: string
}

const main = ({ filename, log }: Options) => {
  const file = openSync(log, "a")
  const beat = Workflow.make(
    "beat",
    { input: Schema.String, output: Schema.String },
    function*(ctx, tick) {
      return yield* ctx.step("say", () => {
        writeSync(file, `${tick} ${process.pid}\n`)
        return tick
      })
    }
  )
  const schedules = Schedules.layer([
    {
      workflow: beat,
      cron: "* * * * * *",
      catchUp: "all",
      input: (tick) => tick.toISOString()
    }
  ])
  const telling = Layer.effectDiscard(Effect.gen(function*() {
    while ((yield* Schedules.health).lookedAt === undefined) yield* Effect.sleep(10)
    flushCompileCache()
    process.stdout.write("ready\n")
  }))
  NodeRuntime.runMain(
    Layer.launch(telling.pipe(
      Layer.provide(Layer.mergeAll(schedules, Worker.layer({ workflows: [beat], poll: 100 }))),
      Layer.provide(SqliteStorage.layer({ filename })),
      Layer.orDie
    ))
  )
}

// Who only wants to know where it is has no schedule.
if (process.argv[1] === script) main(JSON.parse(process.argv[2]!) as Options)
