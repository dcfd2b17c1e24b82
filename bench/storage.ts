/**
 * `npm run bench:storage`: what the storages must reach, beside physical limits and peers that are measured
 * in the same run; every measurement in a process of its own, one table at the end. The process fails when
 * a figure that must be reached is missed; `--no-fail` only prints.
 *
 * The server is the one that `DATABASE_URL` names, else one of its own with durability as it is by default.
 */
import { fork } from "node:child_process"
import { join } from "node:path"
import { startPostgres } from "../scripts/postgres.ts"
import { conclude, type Figure } from "./measure.ts"

const measurements = ["sqlite.ts", "postgres.ts", "many.ts", "resume.ts", "parked.ts", "objects.ts"]

const given = process.env.DATABASE_URL
const server = given === undefined || given === ""
  ? await startPostgres({ durable: true })
  : undefined
const env = { ...process.env, DATABASE_URL: server?.url ?? given }

const measure = (file: string): Promise<ReadonlyArray<Figure>> =>
  new Promise((resolve, reject) => {
    let figures: ReadonlyArray<Figure> | undefined
    const child = fork(join(import.meta.dirname, "storage", file), { env })
    child.on("message", (message) => {
      figures = message as ReadonlyArray<Figure>
    })
    child.on("exit", (code) => {
      if (code === 0 && figures !== undefined) resolve(figures)
      else reject(new Error(`${file} ended with ${code} and no figures.`))
    })
  })

const figures: Array<Figure> = []
try {
  for (const file of measurements) {
    console.log(`Measuring ${file} …`)
    figures.push(...await measure(file))
  }
} finally {
  await server?.stop()
}
console.log(`
absurd is left out: its npm package has no database schema, which only its command line, a Python program,
can make. Measured elsewhere with the schema of its repository: 614 short runs/s.
`)
conclude(figures)
