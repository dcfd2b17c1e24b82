/**
 * Runs an example as `npm run example` does, in a process of its own, with journals elsewhere.
 */
import { spawn } from "node:child_process"
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll } from "vitest"

const repository = fileURLToPath(new URL("../../..", import.meta.url))

export interface Ran {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly lines: ReadonlyArray<string>
  readonly stderr: string
}

/** A directory that is removed after the tests of the file. */
export const scratch = (): string => {
  const directory = mkdtempSync(join(tmpdir(), "reprise-example-"))
  afterAll(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

/** What it printed goes through files, which have it even when the process is killed. */
export const runExample = (
  directory: string,
  args: ReadonlyArray<string>,
  env: Readonly<Record<string, string>> = {}
): Promise<Ran> => {
  // Without what the test runner and its npm put in the environment.
  const inherited = Object.fromEntries(
    Object.entries(process.env).filter(([name]) =>
      name === "NODE_COMPILE_CACHE" || !/^(npm_|NODE_|VITEST|FORCE_COLOR)/.test(name)
    )
  )
  const paths = [join(directory, "stdout"), join(directory, "stderr")] as const
  const files = paths.map((path) => openSync(path, "w"))
  const child = spawn(
    process.execPath,
    ["--conditions=reprise-source", "scripts/example.ts", ...args],
    {
      cwd: repository,
      env: { ...inherited, REPRISE_DIR: join(directory, "runs"), ...env },
      stdio: ["ignore", ...files]
    }
  )
  return new Promise((resolve, reject) => {
    child.on("error", reject)
    child.on("exit", (code, signal) => {
      for (const file of files) closeSync(file)
      const [stdout, stderr] = paths.map((path) => readFileSync(path, "utf8"))
      resolve({ code, signal, lines: stdout!.trimEnd().split("\n"), stderr: stderr! })
    })
  })
}
