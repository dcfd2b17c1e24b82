/** Whether this package runs on the versions that its package.json asks for: of node, of effect, of the peers. */
import { createRequire, findPackageJSON } from "node:module"
import { type Check, ok, warning, wrong } from "./Check.ts"

interface Manifest {
  readonly version: string
  readonly engines: { readonly node: string }
  readonly peerDependencies: Readonly<Record<string, string>>
  readonly peerDependenciesMeta: Readonly<Record<string, { readonly optional?: boolean }>>
}

const require = createRequire(import.meta.url)

/** A line for each. */
export const versions = (): ReadonlyArray<Check> => {
  const { engines, peerDependencies, peerDependenciesMeta, version } = require(
    "reprise/package.json"
  ) as Manifest
  return [
    ok("reprise", version),
    nodeCheck(process.versions.node, engines.node),
    ...Object.entries(peerDependencies).map(([name, range]) =>
      peerCheck(name, range, peerDependenciesMeta[name]?.optional === true, installed(name))
    )
  ]
}

export const nodeCheck = (version: string, range: string): Check =>
  compare(version, range.replace(/^>=/, "")) >= 0
    ? ok("node", version)
    : wrong("node", version, `Use node ${range}.`)

export const peerCheck = (
  name: string,
  range: string,
  isOptional: boolean,
  version: string | undefined
): Check => {
  if (version === undefined) {
    return isOptional
      ? ok(name, "not installed, and only needed for what uses it")
      : wrong(name, "not installed", `npm install ${name}@${range}`)
  }
  const base = range.replace(/^\^/, "")
  const fits = version.split(".")[0] === base.split(".")[0] && compare(version, base) >= 0
  if (fits) return ok(name, version)
  const say = isOptional ? warning : wrong
  return say(name, `${version}, and ${range} is asked for`, `npm install ${name}@${range}`)
}

const installed = (name: string): string | undefined => {
  try {
    const file = findPackageJSON(name, import.meta.url)
    return file === undefined
      ? undefined
      : (require(file) as { readonly version: string }).version
  } catch {
    return undefined
  }
}

/** Negative when `a` is older than `b`. */
const compare = (a: string, b: string): number => {
  const [left = [], right = []] = [a, b].map((text) => text.split(/[.-]/, 3).map(Number))
  const at = [0, 1, 2].find((i) => (left[i] ?? 0) !== (right[i] ?? 0))
  return at === undefined ? 0 : (left[at] ?? 0) - (right[at] ?? 0)
}
