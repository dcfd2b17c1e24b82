/**
 * Every regular expression of the library takes time that grows with the text it is given: a hostile one cannot hold a
 * process up (ReDoS).
 */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { checkSync, type Diagnostics } from "recheck"
import { describe, expect, it } from "vitest"
import { parseAst } from "vitest/node"

// The same answer on every machine, whatever is installed beside it.
process.env["RECHECK_BACKEND"] = "pure"

interface Pattern {
  readonly pattern: string
  readonly flags: string
}

const patternsIn = (node: unknown, found: Map<string, Pattern>): void => {
  if (typeof node !== "object" || node === null) return
  const { regex } = node as { readonly regex?: Pattern }
  if (regex !== undefined) found.set(`/${regex.pattern}/${regex.flags}`, regex)
  for (const part of Object.values(node)) patternsIn(part, found)
}

const summaryOf = (found: Diagnostics): string =>
  "complexity" in found ? found.complexity.summary : found.status

const found = new Map<string, Pattern>()
for (const directory of ["src", "inspector"]) {
  for (const file of readdirSync(directory, { recursive: true, encoding: "utf8" })) {
    if (!/\.tsx?$/.test(file)) continue
    const lang = file.endsWith("x") ? "tsx" : "ts"
    patternsIn(parseAst(readFileSync(join(directory, file), "utf8"), { lang }), found)
  }
}

describe("regular expressions", () => {
  it("are found", () => {
    expect(found.size).toBeGreaterThan(50)
  })

  it("are linear, every one of them", () => {
    const slow = Array.from(found).flatMap(([shown, { flags, pattern }]) => {
      const found = checkSync(pattern, flags)
      return found.status === "safe" ? [] : [`${shown}: ${summaryOf(found)}`]
    })
    expect(slow).toEqual([])
  }, 60_000)

  it("would be caught, were one not", () => {
    expect(summaryOf(checkSync("(a+)+$", ""))).toBe("exponential")
    expect(summaryOf(checkSync("\\t+$", ""))).toBe("2nd degree polynomial")
  })
})
