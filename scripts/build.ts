/**
 * Builds `dist` from `src`, from nothing each time: declarations with the compiler, one bundle an entry with
 * shared chunks, and the inspector.
 *
 * Bundled because loading forty small modules costs as much as the rest of the import; what the package
 * exports, and what it imports, stays as it is.
 */
import { spawnSync } from "node:child_process"
import { chmodSync, readFileSync, rmSync } from "node:fs"
import { rolldown } from "rolldown"
import { buildInspector } from "./build-inspector.ts"

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

const main = "index"

/** One file an entry. The other entries of the package find what they share in the main one. */
const bundle = async (entry: string, isShared: boolean) => {
  const made = await rolldown({
    input: { [entry]: `src/${entry}.ts` },
    external: /^[^./]/,
    platform: "neutral",
    plugins: [{
      name: "main entry",
      resolveId: (id) =>
        isShared && entry !== main && (id === `./${main}.ts` || id === `../${main}.ts`)
          ? { id: `./${main}.js`, external: true }
          : undefined
    }]
  })
  await made.write({
    dir: "dist",
    format: "esm",
    sourcemap: true,
    // What is parsed at every import: half of it is comments and white space, a fifth more the names of
    // variables. Names of functions and classes stay, for stack traces.
    minify: { compress: true, mangle: { keepNames: true } },
    chunkFileNames: "chunks/[name]-[hash].js"
  })
  await made.close()
}

for (const entry of Object.values(exports)) {
  if (typeof entry !== "object" || entry?.["reprise-source"] === undefined) continue
  await bundle(name(entry["reprise-source"]), true)
}
// A command is a program of its own.
for (const file of Object.values(bin)) await bundle(name(file), false)

for (const file of Object.values(bin)) chmodSync(file, 0o755)

await buildInspector()
