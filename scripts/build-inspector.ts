/**
 * Builds the inspector page: one script and one style sheet, minified, beside the page itself. Nothing of
 * it is inline, so that it may be served under a policy that forbids that.
 */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { rolldown } from "rolldown"

/** A style sheet without what only people need; strings in it have no spaces or comments. */
const squeezed = (css: string): string =>
  css
    .replace(/\/\*[^]*?\*\//g, "")
    .replace(/\s+/g, " ")
    .replace(/ ?([{};,>]) ?/g, "$1")
    .replace(/: /g, ":")
    .replaceAll(";}", "}")
    .trim()

/** Writes `index.html`, `inspector.js` and `inspector.css`. */
export const buildInspector = async (outDir = "dist/inspector"): Promise<void> => {
  const root = join(import.meta.dirname, "..")
  const source = join(root, "inspector")
  const out = resolve(root, outDir)
  mkdirSync(out, { recursive: true })
  const made = await rolldown({
    input: join(source, "main.tsx"),
    platform: "browser",
    tsconfig: join(source, "tsconfig.json")
  })
  await made.write({
    file: join(out, "inspector.js"),
    format: "esm",
    minify: true
  })
  await made.close()
  writeFileSync(
    join(out, "inspector.css"),
    squeezed(readFileSync(join(source, "style.css"), "utf8"))
  )
  copyFileSync(join(source, "index.html"), join(out, "index.html"))
  // What is bundled is handed on, and its terms with it.
  copyFileSync(join(root, "node_modules", "preact", "LICENSE"), join(out, "preact.LICENSE"))
}

if (import.meta.main) await buildInspector()
