/**
 * `npm run bench:dispatch`: what runs that go on by themselves must reach on the embedded worker, beside
 * peers on their own workers in the same run; every measurement in a process of its own, one table at the
 * end. The process fails when a figure that must be reached is missed; `--no-fail` only prints.
 * `BENCH_AMOUNT=0.1` does a tenth of the work, to see that all of it works: its figures say little.
 * Names of files of `bench/dispatch` as arguments leave the others out.
 *
 * The server is the one that `DATABASE_URL` names, else one of its own with durability as it is by default.
 */
import { fork } from "node:child_process"
import { join } from "node:path"
import { startPostgres } from "../scripts/postgres.ts"
import { conclude, type Figure } from "./measure.ts"

const measurements = ["delays.ts", "many.ts", "fleet.ts", "backlog.ts", "parked.ts"]

const given = process.env.DATABASE_URL
const server = given === undefined || given === ""
  ? await startPostgres({ durable: true })
  : undefined
const env = { ...process.env, DATABASE_URL: server?.url ?? given }

const measure = (file: string): Promise<ReadonlyArray<Figure>> =>
  new Promise((resolve, reject) => {
    let figures: ReadonlyArray<Figure> | undefined
    const child = fork(join(import.meta.dirname, "dispatch", file), { env })
    child.on("message", (message) => {
      figures = message as ReadonlyArray<Figure>
    })
    child.on("exit", (code) => {
      if (code === 0 && figures !== undefined) resolve(figures)
      else reject(new Error(`${file} ended with ${code} and no figures.`))
    })
  })

const asked = process.argv.slice(2).filter((argument) => !argument.startsWith("-"))
const figures: Array<Figure> = []
try {
  for (const file of measurements) {
    if (asked.length > 0 && !asked.includes(file)) continue
    const began = performance.now()
    console.log(`Measuring ${file} …`)
    figures.push(...await measure(file))
    console.log(`  ${Math.round((performance.now() - began) / 1000)} s`)
  }
} finally {
  await server?.stop()
}
console.log(`
absurd is left out: its npm package has no database schema, which only its command line, a Python program,
can make. Measured elsewhere with the schema of its repository: 614 short runs/s.
`)
conclude(figures)
