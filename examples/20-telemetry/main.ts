/**
 * What a collector is told of a run by Effect's own OTLP export: a span for each time that the run was driven, one for
 * each step that ran, the program's own below; its logs; and what the engine counts.
 *
 * With `OTEL_EXPORTER_OTLP_ENDPOINT` all of it goes there; else to a collector in this process, which shows it.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Layer } from "effect"
import { FetchHttpClient } from "effect/http"
import { Otlp } from "effect/observability"
import { Storage } from "reprise"
import { startCollector } from "./collector.ts"
import { order } from "./workflow.ts"

/** All that a program needs. Closing it sends what is left. */
const telemetry = (baseUrl: string) =>
  Otlp.layerJson({ baseUrl, resource: { serviceName: "shop" }, loggerMergeWithExisting: false })
    .pipe(Layer.provide(FetchHttpClient.layer))

const shop = Effect.gen(function*() {
  yield* order.start({ euros: 42 }, { runId: "order-1" })
  yield* order.resume("order-1", { eventName: "approved", value: true })
})

const program = Effect.gen(function*() {
  const given = process.env["OTEL_EXPORTER_OTLP_ENDPOINT"]
  const collector = given === undefined || given === ""
    ? yield* Effect.acquireRelease(
      Effect.promise(startCollector),
      ({ stop }) => Effect.sync(stop)
    )
    : undefined
  yield* shop.pipe(
    Effect.provide(telemetry(collector?.url ?? given!)),
    Effect.provide(Storage.layerMemory)
  )
  yield* Console.log(collector?.lines().join("\n") ?? `exported to ${given}`)
}).pipe(Effect.scoped)

NodeRuntime.runMain(program)
