/** Effect's own workflow engine: effect/workflow on effect/cluster in one process, with its messages in Postgres. */
import { NodeCrypto } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { Effect, Layer, ManagedRuntime, Redacted, Schema } from "effect"
import { ClusterWorkflowEngine, SingleRunner } from "effect/cluster"
import { Activity, Workflow } from "effect/workflow"
import { type OnPostgres, stepOf, timed } from "./shared.ts"

const Short = Workflow.make("Short", {
  payload: { run: Schema.Int, steps: Schema.Int },
  success: Schema.Int,
  idempotencyKey: ({ run }) => String(run)
})

const ShortLive = Short.toLayer(Effect.fn(function*({ run, steps }) {
  let sum = 0
  for (let index = 0; index < steps; index++) {
    sum += yield* Activity.make({
      name: `step-${index}`,
      success: Schema.Int,
      execute: Effect.succeed(stepOf(run, index))
    })
  }
  return sum
}))

export const manyShortRuns = async (work: OnPostgres): Promise<number> => {
  const layer = ShortLive.pipe(
    Layer.provideMerge(ClusterWorkflowEngine.layer),
    // One process and no network between runners: the shortest way there is.
    Layer.provideMerge(SingleRunner.layer({
      // Which process holds which shard: there is only this one.
      runnerStorage: "memory",
      shardingConfig: {
        // What is not handed over within the process is polled for; the default is ten seconds.
        entityMessagePollInterval: "100 millis",
        entityReplyPollInterval: "10 millis"
      }
    })),
    // Its default of ten connections: more were slower on two cores.
    Layer.provide(PgClient.layer({ url: Redacted.make(work.url) })),
    Layer.provide(NodeCrypto.layerDigest)
  )
  const runtime = ManagedRuntime.make(layer)
  try {
    await runtime.runPromise(Effect.void)
    return await timed(
      work,
      (run) => runtime.runPromise(Short.execute({ run, steps: work.steps }))
    )
  } finally {
    await runtime.dispose()
  }
}
