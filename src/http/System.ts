/** Answers whether the server is there, whether its storage is, and what was counted: to those who watch it. */
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import { Storage } from "../Storage.ts"
import { Api } from "./Api.ts"
import { NotReady } from "./Problems.ts"

const isUp = { status: "ok" } as const

export const watching = HttpApiBuilder.group(Api, "health", (handlers) =>
  Effect.gen(function*() {
    const storage = yield* Storage
    // Anyone may ask, so the storage is asked at most once a second.
    const ready = yield* Effect.cachedWithTTL(
      storage.list({ limit: 1 }).pipe(
        Effect.timeout("5 seconds"),
        Effect.as(isUp),
        Effect.tapError((error) => Effect.logWarning("The storage does not answer", error)),
        Effect.mapError(() => new NotReady({ detail: "The server's log says why." }))
      ),
      "1 second"
    )
    return handlers.handleAll({ health: () => Effect.succeed(isUp), ready: () => ready })
  }))

export const counting = HttpApiBuilder.group(
  Api,
  "metrics",
  (handlers) => handlers.handle("metrics", () => PrometheusMetrics.format())
)
