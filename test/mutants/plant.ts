/**
 * Makes copies of the library with a bug in one file. Whatever imports that file is a copy, too; everything else is a
 * link to the library itself, which is loaded and warm.
 */
import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { dirname, join, resolve } from "node:path"
import { join as joinPosix } from "node:path/posix"
import { temporary } from "../storage/support/local.ts"

export const source = resolve("src")

export interface Planted {
  readonly bug: string
  /** In `src`, with slashes. */
  readonly file: string
  readonly from: string
  readonly to: string
}

const files = readdirSync(source, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map(({ name, parentPath }) =>
    joinPosix(parentPath.slice(source.length + 1).replaceAll("\\", "/"), name)
  )

/** Of each file: those that name it in an import, of whatever kind. */
const importers = new Map<string, Array<string>>()
for (const file of files) {
  const text = readFileSync(join(source, file), "utf8")
  for (const [, path] of text.matchAll(/(?:from|import|import\() ?"(\.[^"]+)"/g)) {
    const imported = joinPosix(file, "..", path!)
    importers.set(imported, [...importers.get(imported) ?? [], file])
  }
}

/** The file and all that reach it by imports. */
const reaching = (file: string, found = new Set<string>()): ReadonlySet<string> => {
  if (found.has(file)) return found
  found.add(file)
  for (const importer of importers.get(file) ?? []) reaching(importer, found)
  return found
}

/** The `src` of a library that has the bug. */
export const plant = ({ bug, file, from, to }: Planted): string => {
  const base = temporary()
  symlinkSync(resolve("node_modules"), join(base, "node_modules"))
  writeFileSync(join(base, "package.json"), `{"type":"module"}`)
  const copied = reaching(file)
  for (const name of files) {
    const to = join(base, "src", name)
    mkdirSync(dirname(to), { recursive: true })
    if (copied.has(name)) cpSync(join(source, name), to)
    else symlinkSync(join(source, name), to)
  }
  const path = join(base, "src", file)
  const text = readFileSync(path, "utf8")
  if (!text.includes(from)) throw new Error(`"${bug}" does not apply: src/${file} has no ${from}`)
  writeFileSync(path, text.replaceAll(from, () => to))
  return join(base, "src")
}

/** Takes a copy away again: all of them at the end would take too long. */
export const uproot = (planted: string): void =>
  rmSync(dirname(planted), { recursive: true, force: true })
