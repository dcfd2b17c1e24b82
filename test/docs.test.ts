/**
 * Every example people read runs: the `ts` blocks of docstrings in `src`, and of the pages.
 *
 * A block is a program of its own. `expression // => value` in it is an assertion.
 */
import { execFileSync } from "node:child_process"
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"

/** In the repository, since only there "reprise" names this package. */
const generated = ".docs-test"

interface Block {
  readonly from: string
  readonly code: string
}

const blocks = (from: string, text: string): ReadonlyArray<Block> =>
  [...text.matchAll(/^```ts\n([\s\S]*?)^```/gm)].map((match, i) => ({
    from: `${from} #${i + 1}`,
    code: match[1]!
  }))

const uncomment = (text: string) => text.replace(/^ *\*( |$)/gm, "")

const sources = readdirSync("src", { recursive: true, encoding: "utf8" }).filter((file) =>
  file.endsWith(".ts")
)
const pages = [
  "README.md",
  "ARCHITECTURE.md",
  ...readdirSync("docs").filter((file) => file.endsWith(".md")).map((file) => join("docs", file))
]
const all: ReadonlyArray<Block> = [
  ...sources.flatMap((file) =>
    blocks(`src/${file}`, uncomment(readFileSync(join("src", file), "utf8")))
  ),
  ...pages.flatMap((file) => blocks(file, readFileSync(file, "utf8")))
]

/** `expression // => value` becomes an assertion. */
const assertions = (code: string) => {
  const asserted = code.replace(
    /^(?!import |\/\/)(.+?) \/\/ => (.+)$/gm,
    (_, expression: string, value: string) => `deepStrictEqual(${expression}, ${value})`
  )
  return `import { deepStrictEqual } from "node:assert"\nvoid deepStrictEqual\n${asserted}`
}

const file = (index: number) => join(generated, `${index}.ts`)
const run = (command: string, args: ReadonlyArray<string>, cwd = ".") => {
  try {
    const text = execFileSync(command, args, {
      cwd,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"]
    })
    return { code: 0, text }
  } catch (error) {
    const failed = error as { readonly stdout: string; readonly stderr: string }
    return { code: 1, text: failed.stdout + failed.stderr }
  }
}

beforeAll(() => {
  rmSync(generated, { recursive: true, force: true })
  mkdirSync(generated)
  all.forEach(({ code }, i) => writeFileSync(file(i), assertions(code)))
  writeFileSync(
    join(generated, "tsconfig.json"),
    JSON.stringify({ extends: "../tsconfig.json", include: ["*.ts"] })
  )
})

afterAll(() => rmSync(generated, { recursive: true, force: true }))

describe("examples", () => {
  it("stand in docstrings and on the pages", () => {
    expect(all.filter(({ from }) => from.startsWith("src/")).length).toBeGreaterThan(4)
    expect(all.filter(({ from }) => from.startsWith("README"))).not.toEqual([])
  })

  it("pass the compiler", () => {
    const { code, text } = run("node_modules/.bin/tsc", ["-p", generated])
    expect({ code, text }).toEqual({ code: 0, text: "" })
  })

  it.each(all.map(({ from }, i) => [from, i] as const))("run: %s", (_, i) => {
    const { code, text } = run(
      process.execPath,
      ["--conditions=reprise-source", `${i}.ts`],
      generated
    )
    expect({ code, text }).toMatchObject({ code: 0 })
  })
})
