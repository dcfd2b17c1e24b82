/**
 * For processes that enqueue and post, but drive nothing, such as web servers: what they do goes to the runners at
 * once.
 */
import type { Sharding } from "effect/cluster/Sharding"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Storage } from "../index.ts"
import * as RunEntity from "./RunEntity.ts"
import * as Teller from "./Teller.ts"

/** How long to look for runners before messages are only stored, where a runner finds them by its poll. */
const patience = "3 seconds"

/**
 * Tells the runners of every run that this process enqueues or posts to. It goes over a cluster without a runner of its
 * own, and with the same configuration as the runners': `NodeClusterSocket.layer({ clientOnly: true, … })`. Closing it
 * waits until what was enqueued is on its way. Without it the runners find the same runs some seconds later.
 *
 * @example
 * ```ts
 * import { PostgresStorage } from "reprise/postgres"
 * import { ClusterClient, ClusterWorker } from "reprise/cluster"
 * import { NodeClusterSocket } from "@effect/platform-node"
 * import { PgClient } from "@effect/sql-pg"
 * import { Layer, Option, Redacted } from "effect"
 *
 * const cluster = NodeClusterSocket.layer({
 *   clientOnly: true,
 *   storage: "sql",
 *   shardingConfig: { ...ClusterWorker.tuned, runnerAddress: Option.none() }
 * })
 * const database = PgClient.layer({ url: Redacted.make("postgres://localhost/shop") })
 * const client = ClusterClient.layer.pipe(
 *   Layer.provide(cluster),
 *   Layer.provideMerge(PostgresStorage.layer()),
 *   Layer.provideMerge(database)
 * )
 * Layer.isLayer(client) // => true
 * ```
 */
export const layer: Layer.Layer<never, never, Sharding | Storage.Storage> = Layer.effectDiscard(
  Effect.gen(function*() {
    const storage = yield* Storage.Storage
    const sender = yield* RunEntity.sender
    // A message that is sent before it is known where the runners are is stored, and nobody is told of it.
    const found = Effect.ignoreCause(Effect.timeout(sender.hello, patience))
    yield* Teller.start(storage, sender, found)
  })
)
