/** DBOS on Postgres: workflows started and run in this process. */
import { DBOS } from "@dbos-inc/dbos-sdk"
import { type OnPostgres, stepOf, timed } from "./shared.ts"

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
