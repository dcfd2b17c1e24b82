/** DBOS on Postgres: workflows started and run in this process, directly or through its queue. */
import { DBOS } from "@dbos-inc/dbos-sdk"
import { setTimeout as sleep } from "node:timers/promises"
import { check, type OnPostgres, stepOf, timed } from "./shared.ts"

const workflow = DBOS.registerWorkflow(
  async (run: number, steps: number) => {
    let sum = 0
    for (let index = 0; index < steps; index++) {
      sum += await DBOS.runStep(async () => stepOf(run, index), { name: `step-${index}` })
    }
    return sum
  },
  { name: "short" }
)

export const manyShortRuns = async (work: OnPostgres): Promise<number> => {
  DBOS.setConfig({
    name: "bench",
    systemDatabaseUrl: work.url,
    // The pool is as large as it is by default, 20: a larger one was slower on two cores.
    logLevel: "error"
  })
  await DBOS.launch()
  try {
    // Not through a queue: a queue is polled, and this is the shorter way.
    return await timed(work, async (run) => {
      const handle = await DBOS.startWorkflow(workflow)(run, work.steps)
      return await handle.getResult()
    })
  } finally {
    await DBOS.shutdown()
  }
}

/**
 * Through its queue, of which this process runs 64 at once. Who waits for a result polls for it, so all runs
 * are enqueued first, one look waits for all of them, and then every result is read: 64 callers that each
 * wait for one run at a time were slower by a third, at whatever interval.
 */
export const manyQueuedRuns = async (work: OnPostgres): Promise<number> => {
  DBOS.setConfig({ name: "bench", systemDatabaseUrl: work.url, logLevel: "error" })
  await DBOS.launch()
  try {
    // By default it polls once a second. At 1 ms, the least there is, it was slower: it polls on while runs wait.
    await DBOS.registerQueue("short", {
      workerConcurrency: work.inFlight,
      minPollingIntervalMs: 10
    })
    // It looks once a second for queues that are new.
    await sleep(2_000)
    const from = performance.now()
    const handles = await Promise.all(
      Array.from(
        { length: work.runs },
        (_, run) => DBOS.startWorkflow(workflow, { queueName: "short" })(run, work.steps)
      )
    )
    await DBOS.waitAll(handles, { pollingIntervalMs: 10 })
    const results = await Promise.all(handles.map((handle) => handle.getResult()))
    const millis = performance.now() - from
    check(work, results)
    return millis
  } finally {
    await DBOS.shutdown()
  }
}
