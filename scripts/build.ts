/** Builds `dist` from `src`, from nothing each time, and makes the commands executable. */
import { spawnSync } from "node:child_process"
import { chmodSync, readFileSync, rmSync } from "node:fs"

rmSync("dist", { recursive: true, force: true })
const { status } = spawnSync("node_modules/.bin/tsc", ["-p", "tsconfig.build.json"], {
  stdio: "inherit"
})
if (status !== 0) process.exit(status ?? 1)

const { bin } = JSON.parse(readFileSync("package.json", "utf8")) as { bin: Record<string, string> }
for (const file of Object.values(bin)) chmodSync(file, 0o755)
