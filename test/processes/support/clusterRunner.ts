/**
 * A process that is a runner of a cluster and nothing else, on Postgres. Its log has a line for every step that it
 * does, for every outcome that it was told is safe and for every session that it lost. It says when it has its part
 * of the shards.
 */
import { NodeClusterSocket, NodeRuntime } from "@effect/platform-node"
import * as PgClient from "@effect/sql-pg/PgClient"
import { Effect, Layer, Option, Redacted } from "effect"
import { RunnerAddress, Sharding } from "effect/cluster"
import { openSync, writeSync } from "node:fs"
import { flushCompileCache } from "node:module"
import { fileURLToPath } from "node:url"
import { ClusterWorker } from "reprise/cluster"
import { PostgresStorage } from "reprise/postgres"
import { Observers } from "../../../src/Observer.ts"
import { type Did, makeWorkflows } from "./workerProcess.ts"

export const script = fileURLToPath(import.meta.url)

/** The process's only argument, as JSON. */
export interface Options {
  readonly url: string
  readonly port: number
  readonly log: string
}

const main = ({ log, port, url }: Options) => {
  const file = openSync(log, "a")
  const say = (line: string) => writeSync(file, `${line}\n`)
  let done = 0
  const { asks, naps, plain } = makeWorkflows((runId, step) => {
    const by = `${process.pid}.${++done}`
    say(`did ${runId} ${step} ${by}`)
    return by
  })
  const observer = Layer.succeed(Observers, [(event) =>
    Effect.sync(() => {
      if (event.type === "left") say(`left ${event.runId} ${process.pid} ${event.why}`)
      if (event.type !== "entry" || event.entry.type !== "step") return
      const { result, stepId } = event.entry
      say(`ack ${event.runId} ${stepId} ${(result as unknown as Did).by}`)
    })])
  const cluster = NodeClusterSocket.layer({
    storage: "sql",
    shardingConfig: {
      ...ClusterWorker.tuned,
      runnerAddress: Option.some(RunnerAddress.make("127.0.0.1", port))
    }
  })
  const telling = Layer.effectDiscard(Effect.forkScoped(Effect.gen(function*() {
    const sharding = yield* Sharding.Sharding
    const has = (n: number) =>
      sharding.hasShardId(sharding.getShardId(String(n) as never, "default"))
    let share = 0
    for (;;) {
      const now = Array.from({ length: 200 }, (_, n) => n).filter(has).length
      if (now !== share) {
        if (share === 0) flushCompileCache()
        share = now
        process.stdout.write(`${share / 200}\n`)
      }
      yield* Effect.sleep(20)
    }
  })))
  NodeRuntime.runMain(Layer.launch(
    Layer.merge(telling, ClusterWorker.layer({ workflows: [plain, naps, asks] })).pipe(
      Layer.provide(cluster),
      Layer.provide(PostgresStorage.layer()),
      Layer.provide(PgClient.layer({ url: Redacted.make(url), maxConnections: 8 })),
      Layer.provide(observer)
    )
  ))
}

// Who only wants the options is no runner.
if (process.argv[1] === script) main(JSON.parse(process.argv[2]!) as Options)
