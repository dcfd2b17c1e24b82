/** The package's version; its package.json is the only place that has it. */
import { createRequire } from "node:module"

export const version: string =
  (createRequire(import.meta.url)("reprise/package.json") as { readonly version: string }).version
