/**
 * `npm run bench:engine`: every measurement in a process of its own, one table at the end. The
 * process fails when a figure that must be reached is missed; `--no-fail` only prints.
 */
import { fork } from "node:child_process"
import { join } from "node:path"
import { conclude, type Figure } from "./measure.ts"

const measurements = [
  "live.ts",
  "replay.ts",
  "instructions.ts",
  "pipelines.ts",
  "local.ts",
  "imports.ts"
]

const measure = (file: string): Promise<ReadonlyArray<Figure>> =>
  new Promise((resolve, reject) => {
    let figures: ReadonlyArray<Figure> | undefined
    const child = fork(join(import.meta.dirname, file))
    child.on("message", (message) => {
      figures = message as ReadonlyArray<Figure>
    })
    child.on("exit", (code) => {
      if (code === 0 && figures !== undefined) resolve(figures)
      else reject(new Error(`${file} ended with ${code} and no figures.`))
    })
  })

const figures: Array<Figure> = []
for (const file of measurements) {
  console.log(`Measuring ${file} …`)
  figures.push(...await measure(file))
}
console.log()
conclude(figures)
