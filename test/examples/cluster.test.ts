/** 17-cluster: a shop in one process and on a fleet, where a runner is killed and the other one goes on. */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { embedded } from "../../examples/17-cluster/layers.ts"
import { orderIds, shop } from "../../examples/17-cluster/workflow.ts"
import { patience } from "../support/amount.ts"
import { postgresUrl } from "../support/postgres.ts"
import { runExample, scratch } from "./support/command.ts"

describe("the shop", () => {
  it.live("ships every order in one process", () =>
    Effect.gen(function*() {
      expect(yield* Effect.provide(shop(3), embedded))
        .toEqual(orderIds(3).map((id) => `${id} is on its way`))
    }))
})

describe("npm run example 17", () => {
  const directory = scratch()

  const shows = async (env: Readonly<Record<string, string>>) => {
    const { code, lines, stderr } = await runExample(directory, ["17"], env)
    // A runner may warn there that no other one is healthy: that is what the example brings about.
    expect(stderr).not.toMatch(/ERROR|Error/)
    expect(code).toBe(0)
    expect(lines.slice(7, 9)).toEqual([
      "order-1 is on its way; order-2 is on its way",
      "on two runners, a and b:"
    ])
    const kill = lines.findIndex((line) => line.startsWith("runner "))
    const [, victim, held] = /^runner ([ab]) is killed, with (\d+) orders in its hands:$/
      .exec(lines[kill]!)!
    expect(Number(held)).toBeGreaterThanOrEqual(3)
    // What it held is with the other one now, each with how long that took.
    const other = victim === "a" ? "b" : "a"
    const after = lines.slice(kill + 1).filter((line) => line.startsWith("  "))
    expect(after.filter((line) => !line.startsWith(`  ${other}: `))).toEqual([])
    expect(after.filter((line) => /, \d+\.\d s later$/.test(line)).length).toBe(Number(held))
    for (const id of orderIds(12)) {
      expect(lines.slice(9).filter((line) => line.includes(`${id} is shipped`)).length)
        .toBeGreaterThanOrEqual(1)
    }
    expect(lines.at(-2)).toBe("client: 12 orders are on their way")
    const [, done, twice] = /^(\d+) steps in 12 journals, and (\d+) that were done twice$/
      .exec(lines.at(-1)!)!
    expect(Number(done)).toBe(36)
    // At most the step that each was in when its runner died.
    expect(Number(twice)).toBeLessThanOrEqual(Number(held))
  }

  it("goes on when a runner is killed, on a Postgres that it starts and stops itself", async () => {
    await shows({ DATABASE_URL: "" })
  }, patience)

  it("does the same on the server that DATABASE_URL names", async () => {
    await shows({ DATABASE_URL: await postgresUrl() })
  }, patience)
})
