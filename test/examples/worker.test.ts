/** 16-worker: orders that go on by themselves, also in the process that comes next. */
import { describe, expect, it } from "@effect/vitest"
import { runExample, scratch } from "./support/command.ts"

describe("npm run example 16", () => {
  const directory = scratch()

  it("ships what is paid and gives up what is not, without a call that drives anything", async () => {
    const { code, lines, stderr } = await runExample(directory, ["16"])
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    expect(lines.filter((line) => line.startsWith("  mail: invoice")).toSorted()).toEqual([
      "  mail: invoice for order a, 30 euros",
      "  mail: invoice for order b, 80 euros"
    ])
    expect(lines.filter((line) => !line.startsWith("  mail: invoice"))).toEqual([
      "two orders come in, one of them twice:",
      "a is paid:",
      "  ship: order a, paid by card",
      "a: shipped",
      "b is not, and nobody calls anything:",
      "  mail: reminder for order b, 80 euros",
      "b: given up",
      "the worker is working, 2 runs ended, 0 blocked"
    ])
  })

  it("does nothing twice when it is run again", async () => {
    const { code, lines } = await runExample(directory, ["16"])
    expect(code).not.toBe(null)
    expect(lines.filter((line) => line.startsWith("  "))).toEqual([])
  })
})
