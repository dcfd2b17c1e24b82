/**
 * The library in Cloudflare's workerd, without Node, over the binding of a real R2 bucket: the whole storage
 * contract, and a workflow over several requests.
 */
import { describe, expect, it } from "@effect/vitest"
import { Miniflare } from "miniflare"
import * as Testing from "reprise/testing"
import { rolldown } from "rolldown"
import { afterAll, beforeAll } from "vitest"

/** The Worker with all that it imports, in one module. */
const bundled = async (): Promise<string> => {
  const bundle = await rolldown({
    input: "test/storage/support/worker.ts",
    platform: "neutral",
    resolve: { conditionNames: ["reprise-source", "import", "module", "default"] },
    logLevel: "silent"
  })
  const { output } = await bundle.generate({ format: "esm", codeSplitting: false })
  await bundle.close()
  return output[0].code
}

let miniflare: Miniflare | undefined
beforeAll(async () => {
  miniflare = new Miniflare({
    modules: [{ type: "ESModule", path: "worker.js", contents: await bundled() }],
    r2Buckets: ["BUCKET"],
    // Without `nodejs_compat`.
    compatibilityDate: "2026-07-01",
    cf: false
  })
  await miniflare.ready
})
afterAll(() => miniflare?.dispose())

const ask = async (path: string): Promise<unknown> => {
  const response = await miniflare!.dispatchFetch(`http://worker.test${path}`)
  const { error, value } = await response.json() as { value?: unknown; error?: string }
  if (error !== undefined) throw new Error(`${path}: ${error}`)
  return value
}

/** How many cases one request runs: few enough that none takes long. */
const size = 33

describe("in workerd", () => {
  it("there is no Node", async () => {
    expect(await ask("/process")).toBe("undefined")
  })

  it("a workflow suspends in one request and ends in another", async () => {
    expect(await ask("/start?run=r1")).toMatchObject({ status: "suspended", event: "verdict" })
    expect(await ask("/resume?run=r1")).toEqual({
      status: "success",
      result: "ticket by Ada",
      runId: "r1"
    })
    expect(await ask("/journal?run=r1")).toEqual([
      "start",
      "step",
      "suspend",
      "start",
      "resume",
      "step",
      "complete"
    ])
  })

  const count = Testing.storageContract.length
  for (let from = 0; from < count; from += size) {
    const to = Math.min(count, from + size)
    it(`R2 keeps the contract, cases ${from + 1} to ${to} of ${count}`, async () => {
      const done = await ask(`/contract?from=${from}&to=${to}`) as ReadonlyArray<
        { readonly name: string; readonly failure?: string }
      >
      expect(done.map(({ name }) => name)).toEqual(
        Testing.storageContract.slice(from, to).map(({ area, name }) => `${area}: ${name}`)
      )
      expect(done.filter(({ failure }) => failure !== undefined)).toEqual([])
    }, 60_000)
  }
})
