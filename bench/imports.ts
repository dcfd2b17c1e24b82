/**
 * What it costs to import the main entry: whole processes that import one module and end, as built for
 * users, beside `effect/Schema` alone, which everything here needs in any case.
 */
import { spawnSync } from "node:child_process"
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { directory } from "./files.ts"
import { type Figure, interleave, median, ratio, report, show, time } from "./measure.ts"

const root = join(import.meta.dirname, "..")
const at = directory()

const run = (args: ReadonlyArray<string>): void => {
  const { status, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: "utf8" })
  if (status !== 0) throw new Error(`${args.join(" ")} ended with ${status}: ${stderr}`)
}

// The package as it is installed: what it exports and how Node is told its format are part of the cost.
const installed = join(at, "node_modules", "reprise")
mkdirSync(installed, { recursive: true })
copyFileSync(join(root, "package.json"), join(installed, "package.json"))
const tsc = join(root, "node_modules", "typescript", "bin", "tsc")
run([tsc, "-p", "tsconfig.build.json", "--outDir", join(installed, "dist")])

/** A whole process that imports `module`. */
const importing = (module: string) => {
  const file = join(at, `${module.replaceAll("/", "-")}.mjs`)
  writeFileSync(file, module === "nothing" ? "" : `import "${module}"\n`)
  return () => time(() => run([file]))
}

const t = await interleave({
  schema: importing("effect/Schema"),
  reprise: importing("reprise"),
  node: importing("reprise/node"),
  barrel: importing("effect"),
  nothing: importing("nothing")
}, { rounds: 21, warmUp: 2 })

const against = `against ${show(median(t.schema))}`
const figures: ReadonlyArray<Figure> = [
  {
    figure: "process that imports reprise: times effect/Schema",
    value: `${show(median(t.reprise))} ${against}`,
    ratio: ratio(t.reprise, t.schema),
    atMost: 1.25
  },
  {
    figure: "process that imports reprise/node: times effect/Schema",
    value: `${show(median(t.node))} ${against}`,
    ratio: ratio(t.node, t.schema)
  },
  {
    figure: "process that imports the barrel of effect: times effect/Schema",
    value: `${show(median(t.barrel))} ${against}`,
    ratio: ratio(t.barrel, t.schema)
  },
  {
    figure: "process that imports nothing: times effect/Schema",
    value: `${show(median(t.nothing))} ${against}`,
    ratio: ratio(t.nothing, t.schema)
  }
]
report(figures)
