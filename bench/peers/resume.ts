/**
 * Peers' runs that go on in a new process, from the call with modules loaded and the backend open to their
 * end: every step but the last is recorded, and the process that recorded them was killed in the last.
 *
 * A peer is given what it can be given: the run is free at once, though its owner left it without a word,
 * and nobody looks for it, or for its end, less often than is quickest.
 */
import { fork } from "node:child_process"
import { randomUUID } from "node:crypto"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { registerHooks } from "node:module"
import { DatabaseSync, type SQLInputValue } from "node:sqlite"
import { setTimeout as sleep } from "node:timers/promises"
import type { BackendPostgres } from "openworkflow/postgres"
import type { BackendSqlite } from "openworkflow/sqlite"
import postgres from "postgres"

export const peers = [
  "openworkflow on SQLite",
  "openworkflow on Postgres",
  "DBOS on Postgres"
] as const
export type Peer = typeof peers[number]

/** As the table calls them, each beside ours on the same storage. */
export const names: Readonly<Record<Peer, string>> = {
  "openworkflow on SQLite": "openworkflow without its limit",
  "openworkflow on Postgres": "openworkflow without its limit",
  "DBOS on Postgres": "DBOS"
}

export interface Recorded {
  readonly peer: Peer
  /** A file, or the address of a database. */
  readonly place: string
  readonly steps: number
}

interface Asked extends Recorded {
  readonly does: "record" | "resume"
}

/** So many steps the peer records itself. The rows of the others are copies: a minute becomes a second. */
const written = 100

/** A step with the same result, among those that are recorded and have a number behind their name. */
const like = (i: number): number => 6 + i % 6

// ---------------------------------------------------------------------------------------------------
// the process of a peer

interface Verdict {
  readonly category: string
  readonly severity: number
}

type Step = <A>(name: string, make: () => A | Promise<A>) => Promise<A>

let end: () => void = () => {}
const ended = new Promise<void>((resolve) => {
  end = resolve
})

/** Its body: records as many steps as asked and stays in the last, or finds all but the last. */
const bodyOf = ({ does }: Asked) => async (steps: number, step: Step): Promise<number> => {
  const isNew = does === "record"
  const classify = (i: number): Verdict => {
    if (!isNew) throw new Error(`Step ${i} is made a second time.`)
    return { category: "bug", severity: i % 6 }
  }
  for (let i = 0; i < (isNew ? Math.min(steps, written) : steps); i++) {
    const { severity } = await step("classify", () => classify(i))
    if (severity !== i % 6) throw new Error(`Step ${i} gave ${severity}.`)
  }
  await step("last", () => {
    if (!isNew) return
    process.send?.("stuck")
    return new Promise<void>(() => {})
  })
  end()
  return steps
}

/**
 * openworkflow fails a run that has 1,000 attempts of steps, which no option changes: it could not be compared
 * at all. So here the limit is higher; it is the size of a page, too, and one query reads all steps.
 */
const liftLimit = (): void => {
  const limit = "WORKFLOW_STEP_LIMIT = 1000;"
  registerHooks({
    load: (url, context, next) => {
      if (!url.endsWith("/openworkflow/dist/worker/step-history.js")) return next(url, context)
      const source = readFileSync(new URL(url), "utf8")
      if (!source.includes(limit)) throw new Error("openworkflow has its limit elsewhere now.")
      return {
        format: "module",
        shortCircuit: true,
        source: source.replace(limit, "WORKFLOW_STEP_LIMIT = 100_000;")
      }
    }
  })
}

/** What is asked of it, begun by the call. */
type Ready = () => Promise<unknown>

const openworkflow = async (asked: Asked): Promise<Ready> => {
  const { does, peer, place, steps } = asked
  liftLimit()
  const { OpenWorkflow } = await import("openworkflow")
  const backend: BackendPostgres | BackendSqlite = peer === "openworkflow on SQLite"
    ? (await import("openworkflow/sqlite")).BackendSqlite.connect(place)
    : await (await import("openworkflow/postgres")).BackendPostgres.connect(place)
  const ow = new OpenWorkflow({ backend })
  const body = bodyOf(asked)
  const workflow = ow.defineWorkflow(
    { name: "recorded" },
    ({ input, step }: {
      input: { steps: number }
      step: { run: <A>(config: { name: string }, fn: () => A | Promise<A>) => Promise<A> }
    }) => body(input.steps, (name, make) => step.run({ name }, make))
  )
  const worker = ow.newWorker()
  if (does === "record") {
    await workflow.run({ steps })
    return () => worker.start()
  }
  const [run] = (await backend.listWorkflowRuns({ limit: 1 })).data
  return async () => {
    // It looks for a run at once; a handle would look for its end once a second.
    await worker.start()
    for (;;) {
      // Now and then before the end, too: its run may fail without it.
      await Promise.race([ended, sleep(1_000)])
      const now = await backend.getWorkflowRun({ workflowRunId: run!.id })
      if (now?.status === "completed") return now.output
      if (now?.status !== "running") {
        throw new Error(`The run is ${now?.status}: ${JSON.stringify(now?.error)}`)
      }
      await sleep(1)
    }
  }
}

const dbos = async (asked: Asked): Promise<Ready> => {
  const { does, place, steps } = asked
  const { DBOS } = await import("@dbos-inc/dbos-sdk")
  const body = bodyOf(asked)
  const workflow = DBOS.registerWorkflow(
    (steps: number) => body(steps, (name, make) => DBOS.runStep(async () => make(), { name })),
    { name: "recorded" }
  )
  DBOS.setConfig({
    name: "bench",
    systemDatabaseUrl: place,
    // Not who recorded it, whose runs the launch would recover before the clock is started.
    executorID: does,
    logLevel: "error"
  })
  await DBOS.launch()
  if (does === "record") {
    // At 1 ms, the least there is, it was slower: it polls on while the run goes.
    await DBOS.registerQueue("resume", { workerConcurrency: 1, minPollingIntervalMs: 10 })
    return () => DBOS.startWorkflow(workflow, { workflowID: "run" })(steps)
  }
  // The launch does not wait till it knows its queues.
  await sleep(200)
  return async () => {
    const handle = await DBOS.resumeWorkflow<number>("run", { queueName: "resume" })
    await Promise.race([ended, handle.getResult({ pollingIntervalMs: 1_000 })])
    return await handle.getResult({ pollingIntervalMs: 1 })
  }
}

const given = process.env.BENCH_RESUME_PEER
if (given !== undefined) {
  process.on("disconnect", () => process.exit())
  const asked = JSON.parse(given) as Asked
  const go = await (asked.peer === "DBOS on Postgres" ? dbos : openworkflow)(asked)
  const began = performance.now()
  const result = await go()
  if (asked.does === "record") await new Promise(() => {})
  const millis = performance.now() - began
  if (result !== asked.steps) throw new Error(`The run gave ${String(result)}.`)
  process.send?.(millis)
  process.disconnect?.()
  process.exit()
}

const ask = async (asked: Asked) => {
  const child = fork(import.meta.filename, {
    env: { ...process.env, BENCH_RESUME_PEER: JSON.stringify(asked) }
  })
  const exited = once(child, "exit")
  const [message] = await Promise.race([
    once(child, "message"),
    exited.then(([code]) => Promise.reject(new Error(`${asked.peer} ended with ${code}.`)))
  ])
  return { child, exited, message: message as unknown }
}

// ---------------------------------------------------------------------------------------------------
// what it left

/** The other steps, and the end of the lease: its owner would have the run for half a minute. */
const completeOnSqlite = ({ place, steps }: Recorded): void => {
  const db = new DatabaseSync(place)
  db.exec("BEGIN")
  const recorded = db.prepare("SELECT * FROM step_attempts WHERE step_name = ?")
  const rows = Array.from({ length: 6 }, (_, i) => recorded.get(`classify:${like(i)}`)!)
  const columns = Object.keys(rows[0]!)
  const began = Date.parse(String(rows[0]!.created_at))
  const insert = db.prepare(
    `INSERT INTO step_attempts (${columns.join()}) VALUES (${columns.map(() => "?").join()})`
  )
  for (let i = written; i < steps; i++) {
    const row: Record<string, SQLInputValue> = {
      ...rows[i % 6],
      id: randomUUID(),
      step_name: `classify:${i}`,
      // Steps are read in this order: equal times would be sorted.
      created_at: new Date(began + i).toISOString()
    }
    insert.run(...columns.map((column) => row[column]!))
  }
  db.prepare("UPDATE workflow_runs SET available_at = ?").run(new Date().toISOString())
  db.exec("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)")
  db.close()
}

const completeOnPostgres = async ({ peer, place, steps }: Recorded): Promise<void> => {
  const sql = postgres(place, { max: 1 })
  const numbers = sql`generate_series(${written}::int, ${steps - 1}::int) i`
  if (peer === "DBOS on Postgres") {
    await sql`INSERT INTO dbos.operation_outputs
      SELECT row.* FROM ${numbers}, dbos.operation_outputs recorded,
        jsonb_populate_record(recorded, jsonb_build_object('function_id', i)) row
      WHERE recorded.function_id = 6 + i % 6`
  } else {
    await sql`INSERT INTO openworkflow.step_attempts
      SELECT row.* FROM ${numbers}, openworkflow.step_attempts recorded,
        jsonb_populate_record(recorded, jsonb_build_object(
          'id', gen_random_uuid(), 'step_name', 'classify:' || i,
          'created_at', recorded.created_at + i * interval '1 millisecond'
        )) row
      WHERE recorded.step_name = 'classify:' || (6 + i % 6)`
    await sql`UPDATE openworkflow.workflow_runs SET available_at = now()`
  }
  await sql.end()
}

/** Leaves a run in an empty place. */
export const record = async (run: Recorded): Promise<void> => {
  const { child, exited } = await ask({ ...run, does: "record" })
  child.kill("SIGKILL")
  await exited
  if (run.peer === "openworkflow on SQLite") completeOnSqlite(run)
  else await completeOnPostgres(run)
}

/** Milliseconds till it has ended. */
export const resume = async (run: Recorded): Promise<number> => {
  const { exited, message } = await ask({ ...run, does: "resume" })
  await exited
  return message as number
}
