/**
 * Twenty thousand hostile requests: none of them is a fault of the server's, none is kept in memory, and what they wrote
 * verifies. `SEED` sends the same ones again.
 */
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { Runs } from "reprise"
import { onTestFailed } from "vitest"
import { secret } from "../push/support.ts"
import { chanceOf, ids, requestOf } from "./support/hostile.ts"
import { made, waits } from "./support/server.ts"

const requests = 20_000
/** How many are sent between two looks at what they wrote, which is removed then. */
const between = 250
/** By when all that is kept for good is there. */
const warm = 5_000
const mebibyte = 1_048_576

const collect = (): number => {
  setFlagsFromString("--expose-gc")
  const gc: () => void = runInNewContext("gc")
  gc()
  gc()
  return process.memoryUsage().heapUsed
}

it("no request is a fault of the server's, or is remembered", async () => {
  const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
  const chance = chanceOf(seed)
  let last = ""
  onTestFailed(() => console.error(`With SEED=${seed}, at: ${last}`))
  const { handler, logged, on } = made({
    workflows: [waits],
    webhooks: { shop: { secret } },
    rates: { token: 1e9, refused: 1e9 },
    page: { html: "<!doctype html>", script: "1", style: "a{}" }
  })

  /** What is wrong with an answer. */
  const faultOf = async (request: Request): Promise<string | undefined> => {
    const response = await handler(request)
    const { headers, status } = response
    counts.set(status, (counts.get(status) ?? 0) + 1)
    const type = headers.get("content-type") ?? ""
    if (type.startsWith("text/event-stream")) await response.body?.cancel()
    const text = type.startsWith("text/event-stream") ? "" : await response.text()
    if (status >= 500) return `it was answered by ${status}: ${text} ${logged.join()}`
    if (logged.length > 0) return `it was logged: ${logged.join()}`
    if (headers.get("x-content-type-options") !== "nosniff") return "its answer is not guarded"
    if (headers.has("set-cookie")) return "it set a cookie"
    if (status < 400) return undefined
    if (type !== "application/problem+json") return `it was answered by a ${type}`
    if (request.method === "HEAD") return undefined
    const problem = JSON.parse(text)
    return problem.status === status && typeof problem.title === "string"
      ? undefined
      : `its problem is none: ${text}`
  }
  const counts = new Map<number, number>()

  /** Looks at all that was written, also after it was driven, and begins anew. */
  const swept = Effect.gen(function*() {
    let count = 0
    for (;;) {
      const { runs, unreadable } = yield* Runs.list({ limit: 1_000 })
      expect(unreadable).toEqual([])
      for (const { runId, workflow } of runs) {
        if (workflow === "waits") yield* Effect.exit(waits.resume(runId))
        const { rejected, torn } = yield* Runs.journal(runId)
        expect([runId, rejected, torn]).toEqual([runId, 0, 0])
        count++
        yield* Runs.remove(runId)
      }
      if (runs.length === 0) break
    }
    for (const runId of ids.slice(0, 6)) yield* waits.start(runId, { runId })
    for (const runId of ids.slice(0, 2)) {
      yield* waits.resume(runId, { eventName: "go", value: 1 })
    }
    yield* Runs.cancel(ids[2]!)
    return count
  })

  let before = 0, written = 0
  await on(swept)
  for (let n = 1; n <= requests; n++) {
    const { request, said } = requestOf(chance)
    last = said
    const fault = await faultOf(request)
    expect(fault && `With SEED=${seed}, request ${n}, ${said}: ${fault}`).toBeUndefined()
    if (n % between !== 0) continue
    written += await on(swept)
    if (n === warm) before = collect()
  }
  expect(collect() - before).toBeLessThan(10 * mebibyte)
  // They were not all turned away at the door.
  for (const status of [200, 201, 202, 204, 400, 401, 403, 404, 409, 413, 415, 421, 422]) {
    expect([...counts.keys()]).toContain(status)
  }
  expect(written).toBeGreaterThan(500)
}, 120_000)
