/**
 * What it costs to import the main entry: whole processes that import one module and end, as built for
 * users, beside `effect/Schema` alone, which everything here needs in any case.
 */
import { spawnSync } from "node:child_process"
import { cpSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { directory } from "./files.ts"
import { type Figure, interleave, median, ratio, report, show, time } from "./measure.ts"

const root = join(import.meta.dirname, "..")
const at = directory()

const run = (args: ReadonlyArray<string>, cwd = root): void => {
  const { status, stderr, stdout } = spawnSync(process.execPath, args, { cwd, encoding: "utf8" })
  if (status !== 0) throw new Error(`${args.join(" ")} ended with ${status}: ${stdout}${stderr}`)
}

// Built in a copy, where it lies as it is installed: a `dist` in the repository may be an older one.
const installed = join(at, "node_modules", "reprise")
for (const part of ["src", "package.json", "tsconfig.json", "tsconfig.build.json"]) {
  cpSync(join(root, part), join(installed, part), { recursive: true })
}
symlinkSync(join(root, "node_modules"), join(installed, "node_modules"))
run([join(root, "scripts", "build.ts")], installed)
rmSync(join(installed, "node_modules"))

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
