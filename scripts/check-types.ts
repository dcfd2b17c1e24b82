/**
 * Types of the whole tree. The Effect lint is a build of the compiler for one platform; a lock
 * file that names it fails to install on the others, so it is used only where someone added it.
 */
import { spawnSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"

const { version } = JSON.parse(readFileSync("node_modules/typescript/package.json", "utf8")) as {
  version: string
}
const lint = `@effect/tsgo-${process.platform}-${process.arch}`
const linter = `node_modules/${lint}/artifacts/typescript/${version}/tsc`
const linted = existsSync(linter)
console.log(linted ? `Types and Effect lint (${lint})` : `Effect lint skipped: no ${linter}`)

const projects = ["tsconfig.json", "inspector/tsconfig.json"]
if (existsSync("bench/node_modules")) projects.push("bench/tsconfig.json")
else console.log("Types of bench skipped: npm --prefix bench ci adds what it imports")

for (const project of projects) {
  const { status } = spawnSync(linted ? linter : "node_modules/.bin/tsc", ["-p", project], {
    stdio: "inherit"
  })
  if (status !== 0) process.exitCode = 1
}
