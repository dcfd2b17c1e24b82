/**
 * Two workers, each a process, on one Postgres against one: runs are enqueued beforehand, and the clock goes
 * from the moment the workers are let at them until the last has ended.
 *
 * Each step takes 2 ms of a core: as much as it takes to parse an answer or to put a page together. Steps that
 * take nothing would measure the server, which two processes have to share, on cores that they share with it;
 * and steps that wait for somebody else need no second process, since one drives many at once.
 */
import { ManagedRuntime } from "effect"
import { type ChildProcess, fork } from "node:child_process"
import { createHash } from "node:crypto"
import { once } from "node:events"
import { Workflow } from "../../src/index.ts"
import { coreTime, type Figure, interleave, median, rate, ratio, report } from "../measure.ts"
import { database, layerPostgres, plain } from "../storage/work.ts"
import { amount, pause, type Runtime, working } from "./work.ts"

const steps = 3
const millisAStep = 2
const runs = amount(1_000, 20)
const concurrency = 16

const bytes = Buffer.alloc(16_384, "x")
const hash = (times: number): string => {
  let digest = ""
  for (let i = 0; i < times; i++) digest = createHash("sha256").update(bytes).digest("hex")
  return digest
}

let driven = 0
const busy = Workflow.make(
  "busy",
  function*(ctx, { steps, times }: { steps: number; times: number }) {
    for (let i = 0; i < steps; i++) yield* ctx.step(`step-${i}`, () => hash(times))
    driven++
    return steps
  }
)

// ---------------------------------------------------------------------------------------------------
// a worker

if (process.env.BENCH_FLEET !== undefined) {
  let runtime: Runtime | undefined
  process.on("disconnect", () => process.exit())
  for (;;) {
    const [url] = await once(process, "message")
    await runtime?.dispose()
    runtime = undefined
    const was = driven
    if (url !== "") {
      driven = 0
      runtime = working(layerPostgres(url), [busy], { concurrency })
      await runtime.context()
    }
    process.send?.(was)
  }
}

const startWorker = (): ChildProcess => {
  const child = fork(import.meta.filename, { env: { ...process.env, BENCH_FLEET: "worker" } })
  child.on("exit", (code) => {
    if (code !== 0 && code !== null) throw new Error(`A worker ended with ${code}.`)
  })
  return child
}

/** Lets a worker at a database, or with `""` away from it; gives how many runs it has driven before. */
const tell = async (worker: ChildProcess, url: string): Promise<number> => {
  worker.send(url)
  const [driven] = await once(worker, "message")
  return driven
}

// ---------------------------------------------------------------------------------------------------

/** How often the bytes are hashed in the time of a step: the same work in every process and round. */
hash(500)
const many = 2_000
const times = Math.max(1, Math.round(millisAStep * many / await coreTime(() => hash(many))))

let shares: ReadonlyArray<number> = []

const sample = async (workers: ReadonlyArray<ChildProcess>, runs: number): Promise<number> => {
  const { drop, url } = await database()
  const storage = ManagedRuntime.make(layerPostgres(url))
  let next = 0
  await Promise.all(Array.from({ length: 64 }, async () => {
    while (next < runs) {
      const runId = `run-${next++}`
      await storage.runPromise(busy.enqueue({ steps, times }, { runId }))
    }
  }))
  await storage.dispose()
  const sql = plain(url, 1)
  const from = performance.now()
  await Promise.all(workers.map((worker) => tell(worker, url)))
  for (;;) {
    const [row] = await sql`SELECT count(*)::int AS ended FROM reprise.runs WHERE alone = 'success'`
    if (row!.ended === runs) break
    await pause(20)
  }
  const millis = performance.now() - from
  shares = await Promise.all(workers.map((worker) => tell(worker, "")))
  await sql.end()
  await drop()
  return millis / runs
}

const workers = [startWorker(), startWorker()]
const [first] = workers as [ChildProcess, ChildProcess]
// What is compiled once is compiled now.
for (const worker of workers) await sample([worker], Math.ceil(runs / 5))
const t = await interleave({
  one: () => sample([first], runs),
  two: () => sample(workers, runs)
}, { rounds: 3, warmUp: 0 })
const share = Math.round(100 * Math.min(...shares) / runs)
for (const worker of workers) worker.kill()

const figures: ReadonlyArray<Figure> = [{
  figure: `two workers on Postgres against one: ${steps} steps of ${millisAStep} ms of a core`,
  value: `${rate(median(t.two))} against ${rate(median(t.one))}, ${share}% by one of two`,
  ratio: ratio(t.one, t.two),
  atLeast: 1.5
}]
report(figures)
