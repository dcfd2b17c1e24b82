/**
 * Builds `dist` from `src`, from nothing each time: declarations with the compiler, and one bundle an
 * entry with shared chunks.
 *
 * Bundled because loading forty small modules costs as much as the rest of the import; what the package
 * exports, and what it imports, stays as it is.
 */
import { spawnSync } from "node:child_process"
import { chmodSync, readFileSync, rmSync } from "node:fs"
import { rolldown } from "rolldown"

interface Manifest {
  readonly bin: Record<string, string>
  readonly exports: Record<
    string,
    string | null | { readonly "reprise-source"?: string; readonly default?: string }
  >
}

const { bin, exports } = JSON.parse(readFileSync("package.json", "utf8")) as Manifest

rmSync("dist", { recursive: true, force: true })
const { status } = spawnSync("node_modules/.bin/tsc", ["-p", "tsconfig.build.json"], {
  stdio: "inherit"
})
if (status !== 0) process.exit(status ?? 1)

const name = (file: string) => file.replace(/^(\.\/)?(src|dist)\//, "").replace(/\.[jt]s$/, "")
const entries = Object.values(exports).flatMap((entry) =>
  typeof entry === "object" && entry?.["reprise-source"] !== undefined
    ? [name(entry["reprise-source"])]
    : []
)
const input = Object.fromEntries(
  [...entries, ...Object.values(bin).map(name)].map((entry) => [entry, `src/${entry}.ts`])
)

const bundle = await rolldown({ input, external: /^[^./]/, platform: "neutral" })
await bundle.write({
  dir: "dist",
  format: "esm",
  sourcemap: true,
  chunkFileNames: "chunks/[name]-[hash].js"
})
await bundle.close()

for (const file of Object.values(bin)) chmodSync(file, 0o755)
