/**
 * `npm run example`: how an example is found.
 */
import { existsSync, readdirSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { runExample, scratch } from "./support/command.ts"

const examples = readdirSync("examples")
  .filter((name) => existsSync(`examples/${name}/main.ts`))
  .toSorted()

describe("npm run example", () => {
  const directory = scratch()

  it("lists what there is when it is given nothing", async () => {
    const { code, stderr } = await runExample(directory, [])
    expect(code).toBe(1)
    expect(stderr.trimEnd().split("\n")).toEqual([
      "Which example?",
      ...examples.map((name) => `  npm run example ${name}`)
    ])
  })

  it("lists what there is when there is no such example", async () => {
    const { code, lines, stderr } = await runExample(directory, ["99"])
    expect(code).toBe(1)
    expect(lines).toEqual([""])
    expect(stderr).toContain(`There is no example "99".`)
    expect(stderr).toContain("  npm run example 02-approval-with-timeout\n")
  })

  it("takes a name as well as a number, and passes on what stands behind it", async () => {
    for (const name of ["01", "01-quickstart"]) {
      const { code, lines } = await runExample(directory, [name, "--version"])
      expect(code).toBe(0)
      expect(lines).toEqual(["quickstart v1.0.0"])
    }
  })
})
