/**
 * Runs the tests beside it, as `npx vitest run examples/08-testing` does, and ends with their exit code.
 */
import { spawnSync } from "node:child_process"
import { join } from "node:path"

const repository = join(import.meta.dirname, "..", "..")
const vitest = join(repository, "node_modules", "vitest", "vitest.mjs")

const { status } = spawnSync(
  process.execPath,
  [vitest, "run", "examples/08-testing", "--reporter=verbose", ...process.argv.slice(2)],
  { cwd: repository, stdio: "inherit" }
)
process.exitCode = status ?? 1
