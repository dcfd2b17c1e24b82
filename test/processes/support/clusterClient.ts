/** A process that enqueues runs in a cluster, answers those that ask, and ends: it drives nothing. */
import { NodeClusterSocket, NodeRuntime } from "@effect/platform-node"
import * as PgClient from "@effect/sql-pg/PgClient"
import { Effect, Layer, Option, Redacted } from "effect"
import { fileURLToPath } from "node:url"
import { ClusterClient, ClusterWorker } from "reprise/cluster"
import { PostgresStorage } from "reprise/postgres"
import { makeWorkflows, type Task } from "./workerProcess.ts"

export const script = fileURLToPath(import.meta.url)

/** The process's only argument, as JSON. */
export interface Options {
  readonly url: string
  readonly tasks: ReadonlyArray<Task & { readonly kind: "plain" | "naps" | "asks" }>
}

const main = ({ tasks, url }: Options) => {
  const workflows = makeWorkflows(() => "nobody")
  const cluster = NodeClusterSocket.layer({
    clientOnly: true,
    storage: "sql",
    shardingConfig: { ...ClusterWorker.tuned, runnerAddress: Option.none() }
  })
  const client = ClusterClient.layer.pipe(
    Layer.provide(cluster),
    Layer.provideMerge(PostgresStorage.layer()),
    Layer.provide(PgClient.layer({ url: Redacted.make(url), maxConnections: 4 }))
  )
  const program = Effect.gen(function*() {
    for (const { kind, ...task } of tasks) {
      yield* workflows[kind].enqueue(task, { runId: task.id })
      if (kind !== "asks") continue
      yield* workflows.asks.send(task.id, {
        eventName: "more",
        value: 10,
        eventId: `more-${task.id}`
      })
    }
  })
  NodeRuntime.runMain(Effect.provide(program, client))
}

// Who only wants the options is no client.
if (process.argv[1] === script) main(JSON.parse(process.argv[2]!) as Options)
