/**
 * OpenWorkflow on Postgres and on SQLite: a worker in this process polls for the runs, and whoever waits
 * for a result polls too.
 *
 * A handle looks for its result once a second, which cannot be set: 64 callers that each wait for one run
 * at a time would measure nothing else. So all runs are created first, the worker runs 64 of them at once,
 * and the clock stops when the storage counts them as completed; then every result is read.
 */
import { setTimeout as sleep } from "node:timers/promises"
import { OpenWorkflow } from "openworkflow"
import { BackendPostgres } from "openworkflow/postgres"
import { BackendSqlite } from "openworkflow/sqlite"
import { check, type OnPostgres, type OnSqlite, stepOf, type Work } from "./shared.ts"

type Backend = ConstructorParameters<typeof OpenWorkflow>[0]["backend"]

const manyOn = async (backend: Backend, work: Work): Promise<number> => {
  const ow = new OpenWorkflow({ backend })
  const workflow = ow.defineWorkflow(
    { name: "short" },
    async ({ input, step }: {
      input: { run: number; steps: number }
      step: { run: <A>(config: { name: string }, fn: () => A | Promise<A>) => Promise<A> }
    }) => {
      let sum = 0
      for (let index = 0; index < input.steps; index++) {
        sum += await step.run({ name: `step-${index}` }, () => stepOf(input.run, index))
      }
      return sum
    }
  )
  const worker = ow.newWorker({ concurrency: work.inFlight })
  try {
    const from = performance.now()
    await worker.start()
    const handles = await Promise.all(
      Array.from({ length: work.runs }, (_, run) => workflow.run({ run, steps: work.steps }))
    )
    while ((await backend.countWorkflowRuns()).completed < work.runs) await sleep(10)
    const millis = performance.now() - from
    check(work, await Promise.all(handles.map((handle) => handle.result())))
    return millis
  } finally {
    await worker.stop()
    await backend.stop()
  }
}

export const manyShortRunsOnPostgres = async (work: OnPostgres): Promise<number> =>
  // Its default of ten connections: more were slower on two cores.
  manyOn(await BackendPostgres.connect(work.url), work)

export const manyShortRunsOnSqlite = (work: OnSqlite): Promise<number> =>
  manyOn(BackendSqlite.connect(work.filename), work)
