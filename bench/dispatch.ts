/**
 * `npm run bench:dispatch`: how soon an embedded worker goes on with what is due, and how many short runs go
 * through it, beside a peer's own worker in the same run. The process fails when a figure that must be
 * reached is missed; `--no-fail` only prints.
 */
import { Effect, Layer, ManagedRuntime, Schema } from "effect"
import { join } from "node:path"
import { type Storage, Worker, Workflow } from "../src/index.ts"
import { SqliteStorage } from "../src/sqlite.ts"
import { directory } from "./files.ts"
import { conclude, type Figure, interleave, median, rate, ratio, show } from "./measure.ts"
import * as openworkflow from "./peers/openworkflow.ts"
import { timed, type Work } from "./peers/shared.ts"
import { database, layerPostgres, serverUrl, short } from "./storage/work.ts"

/** When the worker last came to a step. */
let steppedAt = 0
const stepped = Workflow.make("stepped", {
  input: Schema.Number,
  events: { go: Schema.Void }
}, function*(ctx, millis) {
  yield* ctx.step("first", () => {
    steppedAt = performance.now()
  })
  if (millis > 0) yield* ctx.sleep(millis)
  else yield* ctx.suspend("go")
  yield* ctx.step("second", () => {
    steppedAt = performance.now()
  })
})

const at = directory()
let serial = 0
type Runtime = ManagedRuntime.ManagedRuntime<Worker.Worker | Storage.Storage, any>

const runtimeOn = (storage: Layer.Layer<Storage.Storage, any>, concurrency: number): Runtime =>
  ManagedRuntime.make(
    Worker.layer({ workflows: [stepped, short], concurrency }).pipe(Layer.provideMerge(storage))
  )
const onSqlite = () => SqliteStorage.layer({ filename: join(at, `${++serial}.db`) })

const pause = (millis: number) => new Promise((resolve) => setTimeout(resolve, millis))

/** Milliseconds from a call's start to the step that follows from it. */
const delayOf = async (call: () => Promise<unknown>): Promise<number> => {
  steppedAt = 0
  const from = performance.now()
  await call()
  while (steppedAt === 0) await pause(1)
  return steppedAt - from
}

const delays = async (where: string, runtime: Runtime, most: number) => {
  const enqueued: Array<number> = []
  const posted: Array<number> = []
  const late: Array<number> = []
  for (let n = 0; n < 40; n++) {
    const runId = `${where}-${++serial}`
    enqueued.push(await delayOf(() => runtime.runPromise(stepped.enqueue(0, { runId }))))
    await pause(30)
    posted.push(
      await delayOf(() => runtime.runPromise(stepped.send(runId, { eventName: "go" })))
    )
    await pause(20)
  }
  for (let n = 0; n < 8; n++) {
    const millis = 150 + 37 * n
    await delayOf(() => runtime.runPromise(stepped.enqueue(millis, { runId: `t-${++serial}` })))
    const first = steppedAt
    while (steppedAt === first) await pause(1)
    late.push(steppedAt - first - millis)
  }
  const figure = (what: string, of: ReadonlyArray<number>, atMost: number): Figure => ({
    figure: `${where}: ${what}, milliseconds`,
    value: `median of ${of.length}, at worst ${show(Math.max(...of))}`,
    ratio: median(of),
    atMost
  })
  return [
    figure("from enqueue to the first step", enqueued, most),
    figure("from a post to the next step", posted, most),
    figure("a timer goes off late by", late, 20)
  ]
}

const work: Work = { runs: 2_000, inFlight: 64, steps: 3 }

/** Milliseconds a run that is enqueued, driven by the worker, and whose result is awaited. */
const through = async (storage: Layer.Layer<Storage.Storage, any>): Promise<number> => {
  const runtime = runtimeOn(storage, 64)
  await runtime.context()
  const millis = await timed(work, (run) =>
    runtime.runPromise(
      Effect.flatMap(
        short.enqueue({ run, steps: work.steps }, { runId: `run-${run}` }),
        (runId) => short.join(runId)
      )
    ))
  await runtime.dispose()
  return millis / work.runs
}

await serverUrl()
const figures: Array<Figure> = []
const sqlite = runtimeOn(onSqlite(), 16)
await sqlite.context()
figures.push(...await delays("SQLite", sqlite, 5))
await sqlite.dispose()
const made = await database()
const postgres = runtimeOn(layerPostgres(made.url), 16)
await postgres.context()
figures.push(...await delays("Postgres", postgres, 15))
await postgres.dispose()

const s = await interleave({
  ours: () => through(onSqlite()),
  openworkflow: async () =>
    await openworkflow.manyShortRunsOnSqlite({ ...work, filename: join(at, `${++serial}.db`) })
    / work.runs
}, { rounds: 3, warmUp: 1 })
figures.push({
  figure: "short runs through the worker on SQLite: times openworkflow",
  value: `${rate(median(s.ours))} against ${rate(median(s.openworkflow))}`,
  ratio: ratio(s.openworkflow, s.ours),
  atLeast: 10
})
const p = await interleave({
  ours: async () => {
    const { drop, url } = await database()
    const millis = await through(layerPostgres(url))
    await drop()
    return millis
  },
  openworkflow: async () => {
    const { drop, url } = await database()
    const millis = await openworkflow.manyShortRunsOnPostgres({ ...work, url })
    await drop()
    return millis / work.runs
  }
}, { rounds: 3, warmUp: 1 })
figures.push({
  figure: "short runs through the worker on Postgres: times openworkflow",
  value: `${rate(median(p.ours))} against ${rate(median(p.openworkflow))}`,
  ratio: ratio(p.openworkflow, p.ours),
  atLeast: 5
})
conclude(figures)
process.exit()
