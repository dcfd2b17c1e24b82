/**
 * What a stranger gets: the packed library, built from a copy of this repository, installed in a
 * project elsewhere. The peers are links to this repository's, so no registry is needed.
 */
import { execFile } from "node:child_process"
import {
  accessSync,
  constants,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, describe, expect, it } from "vitest"

const repository = fileURLToPath(new URL("..", import.meta.url))
const tools = join(repository, "node_modules", ".bin")
const quickstart = join(repository, "examples", "01-quickstart")
const scratch = realpathSync(mkdtempSync(join(tmpdir(), "reprise-package-")))
const project = join(scratch, "project")
const installed = join(project, "node_modules", "reprise")

let tarball = ""

beforeAll(async () => {
  tarball = await pack()
  await install()
}, 120_000)

afterAll(() => rmSync(scratch, { recursive: true, force: true }))

describe("the packed library", () => {
  it("pleases publint", async () => {
    expect(await run("publint", [tarball, "--strict"])).toContain("All good!")
  })

  it("pleases attw", async () => {
    expect(await run("attw", [tarball, "--profile", "esm-only"])).toContain("🟢")
  })

  it("holds no tests, and every file its exports name", () => {
    const { exports } = manifest()
    const files = JSON.stringify(exports).match(/\.\/(dist|src)\/[^"]+/g) ?? []
    expect(files.filter((file) => !existsSync(join(installed, file)))).toEqual([])
    expect(readdirSync(installed).toSorted()).toEqual(
      [
        "CHANGELOG.md",
        "LICENSE",
        ...(existsSync(join(repository, "README.md")) ? ["README.md"] : []),
        "dist",
        "package.json",
        "src"
      ]
    )
  })

  it("has the inspector, which its HTTP entry finds", async () => {
    const code = `import { NodeServices } from "@effect/platform-node"
import { Effect } from "effect"
import { Http } from "reprise/http"
const { html, script, style } = await Effect.runPromise(
  Http.readPage.pipe(Effect.provide(NodeServices.layer))
)
console.log(html.includes("inspector.js"), script.length > 10_000, style.length > 1_000)
`
    expect((await run("node", ["--input-type=module", "-e", code])).trim()).toBe("true true true")
  })

  it("loads from every entry", async () => {
    const entries = Object.keys(manifest().exports)
      .filter((entry) => !/\*|package\.json$/.test(entry))
      .map((entry) => entry.replace(".", "reprise"))
    const code = entries.map((entry) => `await import("${entry}")`).join("\n")
    await run(process.execPath, ["--input-type=module", "-e", code])
  })

  it("keeps what is internal", async () => {
    const code = `await import("reprise/internal/anything.js")`
    await expect(run(process.execPath, ["--input-type=module", "-e", code])).rejects
      .toThrow("ERR_PACKAGE_PATH_NOT_EXPORTED")
  })

  it("type-checks where neither the DOM nor Node's types are", async () => {
    writeFileSync(
      join(project, "consumer.ts"),
      `import * as reprise from "reprise"\nexport type Names = keyof typeof reprise\n`
    )
    await check("consumer.ts", [])
  })

  it("installs commands that run", async () => {
    for (const command of Object.keys(manifest().bin ?? {})) {
      const file = join(project, "node_modules", ".bin", command)
      accessSync(file, constants.X_OK)
      await run(file, ["--help"])
    }
  })
})

describe("the quickstart", () => {
  beforeAll(() => {
    if (!existsSync(join(quickstart, "main.ts"))) {
      throw new Error("There is no examples/01-quickstart/main.ts to run")
    }
    cpSync(quickstart, project, { recursive: true })
  })

  it("type-checks against the packed library", async () => {
    await check("main.ts", ["node"])
  })

  it("suspends in one process and ends in the next", async () => {
    const first = await run(process.execPath, ["main.ts", "start", "ticket.json"])
    expect(first).toMatch(/"status": ?"suspended"/)
    const [, runId] = /resume (?:-- )?([\w-]+)/.exec(first) ?? []
    if (runId === undefined) throw new Error(`No "resume <runId>" in:\n${first}`)

    const second = await run(process.execPath, ["main.ts", "resume", runId])
    expect(second).toMatch(/"status": ?"success"/)
  })
})

/** A consumer that is as strict as can be. */
async function check(file: string, types: Array<string>): Promise<void> {
  const config = {
    compilerOptions: {
      strict: true,
      exactOptionalPropertyTypes: true,
      skipLibCheck: true,
      noEmit: true,
      allowImportingTsExtensions: true,
      module: "nodenext",
      target: "es2023",
      lib: ["es2023"],
      types
    },
    files: [file]
  }
  writeFileSync(join(project, "tsconfig.json"), JSON.stringify(config))
  await run("tsc", ["-p", "tsconfig.json"])
}

async function pack(): Promise<string> {
  const copy = join(scratch, "copy")
  mkdirSync(copy)
  const files = ["src", "inspector", "scripts", "README.md", "LICENSE", "CHANGELOG.md"]
  for (const file of [...files, "package.json", "tsconfig.json", "tsconfig.build.json"]) {
    const from = join(repository, file)
    if (existsSync(from)) cpSync(from, join(copy, file), { recursive: true })
  }
  symlinkSync(join(repository, "node_modules"), join(copy, "node_modules"))
  await run("npm", ["pack", "--pack-destination", scratch], copy)
  const [name] = readdirSync(scratch).filter((file) => file.endsWith(".tgz"))
  if (name === undefined) throw new Error("npm pack wrote no tarball")
  return join(scratch, name)
}

async function install(): Promise<void> {
  mkdirSync(project)
  writeFileSync(join(project, "package.json"), `{ "private": true, "type": "module" }`)
  await run("npm", ["install", "--offline", "--legacy-peer-deps", tarball])
  for (const name of ["effect", "@effect/platform-node", "@types/node"]) {
    const link = join(project, "node_modules", name)
    mkdirSync(dirname(link), { recursive: true })
    symlinkSync(join(repository, "node_modules", name), link)
  }
}

function manifest(): { exports: Record<string, unknown>; bin?: Record<string, string> } {
  return JSON.parse(readFileSync(join(installed, "package.json"), "utf8"))
}

/** Runs a program as a stranger would, without what npm and the test runner put in our own environment. */
function run(program: string, args: ReadonlyArray<string>, cwd = project): Promise<string> {
  const inherited = Object.entries(process.env).filter(([name]) =>
    !/^(npm_|NODE_|VITEST)/.test(name)
  )
  const path = [dirname(process.execPath), tools, process.env["PATH"]].join(delimiter)
  const env = { ...Object.fromEntries(inherited), PATH: path }
  return new Promise((resolve, reject) => {
    execFile(program, args, { cwd, env }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout)
      else reject(new Error(`${program} ${args.join(" ")}\n${stdout}${stderr}`, { cause: error }))
    })
  })
}
