/**
 * Bundles `worker.ts` and runs it in workerd, Cloudflare's own runtime, with a bucket, a queue and Durable
 * Objects: orders come in, one is paid, and the alarm of the other one goes off.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Schedule } from "effect"
import { Miniflare } from "miniflare"
import { createInterface } from "node:readline"
import type { Readable } from "node:stream"
import { rolldown } from "rolldown"

/** The Worker with all that it imports, in one module, as `wrangler deploy` makes it. */
const bundled = Effect.promise(async () => {
  const bundle = await rolldown({
    input: `${import.meta.dirname}/worker.ts`,
    platform: "neutral",
    resolve: { conditionNames: ["reprise-source", "import", "module", "default"] },
    logLevel: "silent"
  })
  const { output } = await bundle.generate({ format: "esm", codeSplitting: false })
  await bundle.close()
  return output[0].code
})

/** What `wrangler.jsonc` says otherwise. */
const started = (code: string) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const miniflare = new Miniflare({
        modules: [{ type: "ESModule", path: "worker.js", contents: code }],
        compatibilityDate: "2026-07-01",
        r2Buckets: ["BUCKET"],
        queueProducers: { RUNS: "runs" },
        queueConsumers: { runs: { maxBatchTimeout: 0.05, maxRetries: 100 } },
        durableObjects: { TIMERS: { className: "Timer", useSQLite: true } },
        cf: false,
        // What the Worker logs is what it does.
        handleRuntimeStdio: (stdout: Readable) => {
          createInterface(stdout).on("line", (line) => console.log(`  ${line}`))
        }
      })
      await miniflare.ready
      return miniflare
    }),
    (miniflare) => Effect.promise(() => miniflare.dispose())
  )

const program = Effect.gen(function*() {
  const miniflare = yield* started(yield* bundled)
  const ask = (method: string, path: string, body?: unknown) =>
    Effect.promise(async () => {
      const response = await miniflare.dispatchFetch(`http://shop${path}`, {
        method,
        ...(body === undefined ? undefined : { body: JSON.stringify(body) })
      })
      return await response.json() as { readonly status?: string; readonly result?: string }
    })
  const ended = (id: string) =>
    ask("GET", `/orders/${id}`).pipe(
      Effect.repeat({
        until: ({ status }) => status === "success",
        schedule: Schedule.spaced("100 millis")
      })
    )

  yield* Console.log("two orders come in, one of them twice:")
  yield* ask("POST", "/orders", { id: "a", euros: 30 })
  yield* ask("POST", "/orders", { id: "a", euros: 30 })
  yield* ask("POST", "/orders", { id: "b", euros: 80 })
  yield* Console.log("a is paid, which is reported twice:")
  yield* ask("POST", "/orders/a/paid", { by: "card", payment: "payment-1" })
  yield* ask("POST", "/orders/a/paid", { by: "card", payment: "payment-1" })
  yield* Console.log(`a: ${(yield* ended("a")).result}`)
  yield* Console.log("b is not, and its alarm goes off:")
  yield* Console.log(`b: ${(yield* ended("b")).result}`)
})

program.pipe(Effect.scoped, NodeRuntime.runMain)
