/** The order of the files in `src`, and the few rules that a type cannot state. */
import { readdirSync, readFileSync } from "node:fs"
import { isBuiltin } from "node:module"
import { dirname, join, normalize } from "node:path/posix"
import { describe, expect, it } from "vitest"
import { parseAst } from "vitest/node"

/** A file imports lower ranks only: not its own rank either, and type imports count. */
const fileRanks: Record<string, number> = {
  // words and data
  "Entry.ts": 0,
  "Refusals.ts": -1,
  "RunId.ts": 0,
  "Secret.ts": 0,
  "Text.ts": 0,
  "Token.ts": 0,
  "Limits.ts": 0,
  "Live.ts": 0,
  "SliceGuard.ts": 0,
  "Instruction.ts": 0.5,
  "Journal.ts": 1,
  "Observer.ts": 1,
  "Status.ts": 1,
  "Outline.ts": 2,
  "Cut.ts": 2.2,
  "Checkpoint.ts": 3,
  // what a storage is, and what replay is: neither knows the other
  "Driver.ts": 2,
  "Machine.ts": 2.5,
  "Inbox.ts": 2.5,
  "Codec.ts": 3,
  "Due.ts": 3,
  "Enqueued.ts": 3.5,
  "MemoryDriver.ts": 3.5,
  "Values.ts": 3.5,
  "Failure.ts": 4,
  "Storage.ts": 4,
  "Chain.ts": 4.5,
  "Naming.ts": 2.1,
  "Hooks.ts": 4.3,
  "StepLog.ts": 4.3,
  "Program.ts": 4.5,
  "Replay.ts": 5,
  // what is done with them
  "StepHook.ts": 4,
  "Perform.ts": 5,
  "Timers.ts": 5,
  "Find.ts": 4.8,
  "Until.ts": 4.8,
  "Copy.ts": 4.9,
  "Import.ts": 4.9,
  "Opening.ts": 5.5,
  "Ending.ts": 6,
  "Record.ts": 6,
  "Past.ts": 6.2,
  "Override.ts": 6.3,
  "Appender.ts": 6,
  "Looker.ts": 6.5,
  "Running.ts": 6.5,
  "Telling.ts": 6.5,
  "Shadow.ts": 6.5,
  "Children.ts": 6.5,
  "Metrics.ts": 6.8,
  "Session.ts": 6.8,
  "Enqueue.ts": 6.8,
  "HandOver.ts": 5.8,
  "Posts.ts": 6,
  "Runs.ts": 7.2,
  "View.ts": 7.3,
  "CheckRun.ts": 7.3,
  "Turn.ts": 6.9,
  "Fork.ts": 6.9,
  "ForkWithoutCode.ts": 7,
  "Interpreter.ts": 7,
  "JsonCalls.ts": 8.5,
  "Workflow.ts": 8.5,
  "Debouncer.ts": 8.6,
  "Dispatch.ts": 8.7,
  "Pipeline.ts": 9,
  "RunLog.ts": 9,
  "Worker.ts": 9,
  "Schedules.ts": 9.5,
  // What users enter by: these put the rest together.
  "index.ts": 11,
  "cluster.ts": 12,
  "node.ts": 12,
  "sqlite.ts": 12,
  "postgres.ts": 12,
  "objects.ts": 12,
  "push.ts": 12,
  "http.ts": 12,
  "testing.ts": 12
}

/** All files of a folder share its rank and may import each other. */
const folderRanks: Record<string, number> = {
  internal: -2,
  instruction: 0,
  machine: 2,
  view: 7.25,
  worker: 8.9,
  session: 6.7,
  log: 4.2,
  workflow: 8,
  pipeline: 8.3,
  schedules: 9.2,
  ai: 10,
  http: 11.6,
  storage: 10,
  sql: 11.3,
  sqlite: 11.5,
  postgres: 11.5,
  objects: 11.5,
  cluster: 11.5,
  push: 11.5,
  testing: 11.5,
  node: 11.5,
  cli: 13
}

/** Only these may know which platform they run on. */
const platformUsers = ["cli/", "node.ts", "node/"]

type Tree = Readonly<Record<string, string>>

const manifest = JSON.parse(readFileSync("package.json", "utf8"))

const src: Tree = Object.fromEntries(
  readdirSync("src", { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .map((file) => [file, readFileSync(join("src", file), "utf8")])
)

describe("src", () => {
  it("is read", () => {
    expect(Object.keys(src)).toContain("index.ts")
  })

  it("imports downwards only", () => {
    expect(Object.keys(src).flatMap((file) => upwardImports(file, src))).toEqual([])
  })

  it("imports only what users have installed", () => {
    expect(Object.keys(src).flatMap((file) => foreignImports(file, src))).toEqual([])
  })

  it("opens every file with a paragraph on what it owns", () => {
    expect(Object.keys(src).filter((file) => !opensWithParagraph(file, src))).toEqual([])
  })

  it("asks Effect for the time", () => {
    expect(Object.keys(src).filter((file) => readsClock(file, src))).toEqual([])
  })
})

describe("package.json", () => {
  it("needs nothing but effect", () => {
    const names = ["dependencies", "optionalDependencies", "peerDependencies"]
      .flatMap((kind) => Object.keys(manifest[kind] ?? {}))
      .filter((name) => manifest.peerDependenciesMeta?.[name]?.optional !== true)
    expect(names).toEqual(["effect"])
  })
})

describe("this test", () => {
  const planted = {
    "an import": "import { start } from './Runs.ts'",
    "a type import": "import type { Runs } from './Runs.ts'",
    "an inline type import": "import { type Runs } from './Runs.ts'",
    "an import for effect": "import './Runs.ts'",
    "an export from": "export { start } from './Runs.ts'",
    "a type export from": "export type { Runs } from './Runs.ts'",
    "an export of all": "export * from './Runs.ts'",
    "a dynamic import": "const load = () => import('./Runs.ts')",
    "a type import in place": "const runs: import('./Runs.ts').Runs | undefined = undefined",
    "a typeof import": "type Runs = typeof import('./Runs.ts')",
    "an import assignment": "import Runs = require('./Runs.ts')",
    "a module augmentation": "declare module './Runs.ts' { interface Runs {} }"
  }

  it.each(Object.entries(planted))("catches %s that points upwards", (_, code) => {
    expect(upwardImports("Machine.ts", { "Machine.ts": code })).toEqual([
      "src/Machine.ts (rank 2.5) imports src/Runs.ts (rank 7.2)"
    ])
  })

  it("catches neighbours of one rank, and folders that import each other", () => {
    expect(upwardImports("Replay.ts", { "Replay.ts": "import './Runs.ts'" })).toHaveLength(1)
    expect(
      upwardImports("storage/Sql.ts", { "storage/Sql.ts": "import '../ai/Tool.ts'" })
    ).toHaveLength(1)
    expect(
      upwardImports("internal/sum.ts", { "internal/sum.ts": "import '../Entry.ts'" })
    ).toHaveLength(1)
  })

  it("catches a specifier that is computed", () => {
    expect(upwardImports("Replay.ts", { "Replay.ts": "import(name)" })).toHaveLength(1)
  })

  it("lets a folder's files import each other, and anyone look down", () => {
    const code = "import './Sql.ts'; import '../internal/a.ts'; import '../Workflow.ts'"
    expect(upwardImports("storage/Sqlite.ts", { "storage/Sqlite.ts": code })).toEqual([])
  })

  it("asks for a rank", () => {
    expect(upwardImports("New.ts", { "New.ts": "" })).toEqual([
      "src/New.ts has no rank: add it to the table in test/architecture.test.ts"
    ])
  })

  it("catches the barrel, the platform, a package that is not a peer, and this one", () => {
    const bad = ["effect", "@effect/platform-node/NodeRuntime", "left-pad", "reprise", "vitest"]
    for (const name of bad) {
      expect(foreignImports("Runs.ts", { "Runs.ts": `import type {} from "${name}"` }))
        .toHaveLength(
          1
        )
    }
    const good = ["effect/Effect", "@effect/platform-node/NodeRuntime", "node:fs"]
    for (const name of good) {
      expect(foreignImports("cli/main.ts", { "cli/main.ts": `import "${name}"` })).toEqual([])
    }
    expect(foreignImports("internal/a.ts", { "internal/a.ts": "import 'node:fs'" })).toHaveLength(1)
  })

  it("catches a missing paragraph and a clock", () => {
    expect(opensWithParagraph("a.ts", { "a.ts": "// a\n/** b */" })).toBe(false)
    expect(opensWithParagraph("a.ts", { "a.ts": "#!/usr/bin/env node\n/** b */" })).toBe(true)
    expect(readsClock("a.ts", { "a.ts": "const a = () => new Date()" })).toBe(true)
    expect(readsClock("a.ts", { "a.ts": "const a = new Date(0).toISOString()" })).toBe(false)
  })
})

/** Loads what a user names. */
const loadsModules = "cli/code/load.ts"

function upwardImports(file: string, tree: Tree): Array<string> {
  const own = rank(file)
  if (own === undefined) return [unranked(file)]
  return importsOf(file, tree).flatMap((specifier) => {
    if (specifier === undefined) {
      return file === loadsModules ? [] : [`src/${file} imports a module whose name is computed`]
    }
    if (!specifier.startsWith(".")) return []
    const target = normalize(join(dirname(file), specifier))
    const other = rank(target)
    if (other === undefined) return target in tree ? [] : [unranked(target)]
    if (other < own || (folder(file) !== undefined && folder(file) === folder(target))) return []
    return [`src/${file} (rank ${own}) imports src/${target} (rank ${other})`]
  })
}

function foreignImports(file: string, tree: Tree): Array<string> {
  return importsOf(file, tree).flatMap((specifier) => {
    if (specifier === undefined || specifier.startsWith(".")) return []
    const name = packageName(specifier)
    if (specifier === "effect") return [`src/${file} imports the barrel: import effect/Module`]
    if (name === "effect") return []
    if (folder(file) === "internal") {
      return [`src/${file} imports ${name}: internal has effect only`]
    }
    if (name.startsWith("@effect/platform-node")) {
      const allowed = platformUsers.some((user) => file.startsWith(user))
      return allowed ? [] : [`src/${file} imports ${name}: only ${platformUsers.join(", ")} may`]
    }
    if (isBuiltin(specifier) || name in manifest.peerDependencies) return []
    return [`src/${file} imports ${name}, which is no peer in package.json`]
  })
}

function opensWithParagraph(file: string, tree: Tree): boolean {
  return source(file, tree).replace(/^#!.*\n/, "").startsWith("/**")
}

function readsClock(file: string, tree: Tree): boolean {
  return nodesOf(file, tree).some((node) =>
    (node.type === "NewExpression" || node.type === "CallExpression")
    && node.callee.name === "Date" && node.arguments.length === 0
  )
}

function rank(file: string): number | undefined {
  const name = folder(file)
  return name === undefined ? fileRanks[file] : folderRanks[name]
}

function unranked(file: string): string {
  return `src/${file} has no rank: add it to the table in test/architecture.test.ts`
}

function folder(file: string): string | undefined {
  return file.includes("/") ? file.slice(0, file.indexOf("/")) : undefined
}

function packageName(specifier: string): string {
  return specifier.split("/").slice(0, specifier.startsWith("@") ? 2 : 1).join("/")
}

/** Every specifier a file names, for values or for types; undefined for a computed one. */
function importsOf(file: string, tree: Tree): Array<string | undefined> {
  return nodesOf(file, tree).flatMap((node) => {
    switch (node.type) {
      case "ImportDeclaration":
      case "ExportAllDeclaration":
      case "ImportExpression":
      case "TSImportType":
        return [node.source.value]
      case "ExportNamedDeclaration":
        return node.source === null ? [] : [node.source.value]
      case "TSExternalModuleReference":
        return [node.expression.value]
      case "TSModuleDeclaration":
        return node.id.type === "Literal" ? [node.id.value] : []
      default:
        return []
    }
  })
}

function nodesOf(file: string, tree: Tree): Array<any> {
  const nodes: Array<any> = []
  const visit = (value: any) => {
    if (value === null || typeof value !== "object") return
    if (typeof value.type === "string") nodes.push(value)
    Object.values(value).forEach(visit)
  }
  visit(parseAst(source(file, tree), { lang: "ts" }))
  return nodes
}

function source(file: string, tree: Tree): string {
  const code = tree[file]
  if (code === undefined) throw new Error(`no ${file}`)
  return code
}
