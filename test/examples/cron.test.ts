/** 19-cron: a tick every second, over a restart and over two calls, each with one report. */
import { describe, expect, it } from "@effect/vitest"
import { runExample, scratch } from "./support/command.ts"

const written = (lines: ReadonlyArray<string>) =>
  lines.flatMap((line) => /^ {2}report until (.+)$/.exec(line)?.[1] ?? [])

describe("npm run example 19", () => {
  const directory = scratch()
  const all: Array<string> = []

  it("writes a report for every second, also for those that nobody was there for", async () => {
    const { code, lines, stderr } = await runExample(directory, ["19"])
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    expect(lines.filter((line) => !line.startsWith("  "))).toEqual([
      "the first process:",
      "nobody is there for two seconds",
      "the next process:",
      "every second has its run: true"
    ])
    const restart = lines.indexOf("the next process:")
    expect(written(lines.slice(0, restart)).length).toBeGreaterThanOrEqual(2)
    expect(written(lines.slice(restart)).length).toBeGreaterThanOrEqual(3)
    all.push(...written(lines))
  })

  it("goes on where it stood when it is run again, and repeats no report", async () => {
    const { code, lines } = await runExample(directory, ["19"])
    expect(code).toBe(0)
    expect(lines.at(-1)).toBe("every second has its run: true")
    all.push(...written(lines))
    expect(new Set(all).size).toBe(all.length)
  })
})
