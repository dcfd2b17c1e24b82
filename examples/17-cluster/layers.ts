/** Who drives the orders: this process, a runner of a fleet, or somebody else. All the rest of the program stays. */
import { NodeClusterSocket } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { Layer, Option, Redacted } from "effect"
import { RunnerAddress } from "effect/cluster"
import { Storage, Worker } from "reprise"
import { ClusterClient, ClusterWorker } from "reprise/cluster"
import { PostgresStorage } from "reprise/postgres"
import { order } from "./workflow.ts"

const workflows = [order] as const

/** On a laptop: the worker is in the process, and so are the journals. */
export const embedded = Worker.layer({ workflows }).pipe(Layer.provideMerge(Storage.layerMemory))

const database = (url: string) =>
  PostgresStorage.layer().pipe(
    Layer.provideMerge(PgClient.layer({ url: Redacted.make(url), maxConnections: 6 }))
  )

/** A runner of the fleet, which the others reach at this port. */
export const runner = (url: string, port: number) =>
  ClusterWorker.layer({ workflows, concurrency: 4 }).pipe(
    Layer.provide(NodeClusterSocket.layer({
      storage: "sql",
      shardingConfig: {
        ...ClusterWorker.tuned,
        runnerAddress: Option.some(RunnerAddress.make("127.0.0.1", port))
      }
    })),
    Layer.provideMerge(database(url))
  )

/** A web server of the fleet: it takes orders in, and drives nothing. */
export const client = (url: string) =>
  ClusterClient.layer.pipe(
    Layer.provide(NodeClusterSocket.layer({
      clientOnly: true,
      storage: "sql",
      shardingConfig: { ...ClusterWorker.tuned, runnerAddress: Option.none() }
    })),
    Layer.provideMerge(database(url))
  )

/** Who only looks. */
export const looker = database
