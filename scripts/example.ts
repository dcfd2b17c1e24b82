/**
 * Runs an example by its number or name: `npm run example 05`, and what stands behind it is passed on.
 */
import { existsSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"

const directory = join(import.meta.dirname, "..", "examples")
const examples = readdirSync(directory)
  .filter((name) => existsSync(join(directory, name, "main.ts")))
  .toSorted()

const [asked, ...rest] = process.argv.slice(2)
const found = examples.find((name) => name === asked || name.split("-")[0] === asked)

if (found === undefined) {
  console.error(asked === undefined ? "Which example?" : `There is no example "${asked}".`)
  for (const name of examples) console.error(`  npm run example ${name}`)
  process.exitCode = 1
} else {
  const main = join(directory, found, "main.ts")
  // In this process, so that signals and the exit code are the example's own.
  process.argv.splice(1, Infinity, main, ...rest)
  await import(pathToFileURL(main).href)
}
