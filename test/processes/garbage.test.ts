/**
 * A run that has ended is garbage at once: nothing of it waits for a full collection. What does is copied by
 * every small collection before, which once took a fifth of the time of short runs. Two things make V8 keep a
 * whole run: a generator function that is made anew for each, and a closure written straight into a property.
 */
import { spawnSync } from "node:child_process"
import { join } from "node:path"
import { expect, it } from "vitest"

it("leaves nothing of a run that has ended to a full collection", () => {
  const { status, stderr, stdout } = spawnSync(process.execPath, [
    "--expose-gc",
    "--no-allocation-site-pretenuring",
    "--conditions=reprise-source",
    join(import.meta.dirname, "support/garbage.ts")
  ], { encoding: "utf8", env: { ...process.env, NODE_ENV: "production" } })
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" })
  const { left } = JSON.parse(stdout) as { left: number }
  console.log(`${left} bytes of a run are left`)
  // A run that is kept as a whole takes more than 15,000.
  expect(left).toBeLessThan(8_000)
})
