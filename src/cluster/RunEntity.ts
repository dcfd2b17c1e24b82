/**
 * What the cluster knows of a run: an entity of the run's id, and two persisted messages that say nothing but "look at
 * it": `Drive` now, `Wake` at its time. What was posted to the run is in its inbox and nowhere else.
 *
 * A run id has at most 200 printable characters, which every table of the cluster can hold. `Drive` has no key, so that
 * none is taken for another one that is being handled; `Wake` is stored once for a run and an instant.
 */
import * as ClusterSchema from "effect/cluster/ClusterSchema"
import * as DeliverAt from "effect/cluster/DeliverAt"
import * as Entity from "effect/cluster/Entity"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as PrimaryKey from "effect/PrimaryKey"
import * as Rpc from "effect/rpc/Rpc"
import * as Schema from "effect/Schema"

/** `attempt` counts the looks in a row that came to nothing, of which this is the next one. */
class Alarm extends Schema.Class<Alarm>("reprise/Run/Alarm")({
  /** UTC milliseconds. */
  at: Schema.Number,
  attempt: Schema.Number
}) {
  [PrimaryKey.symbol]() {
    return String(this.at)
  }
  [DeliverAt.symbol]() {
    return DateTime.makeUnsafe(this.at)
  }
}

const Drive = Rpc.make("Drive").annotate(ClusterSchema.Persisted, true)

const Wake = Rpc.make("Wake", { payload: Alarm }).annotate(ClusterSchema.Persisted, true)

/** Not stored: it arrives once the sender knows where the runners are. */
const Hello = Rpc.make("Hello")

/** The type of the entity, as it stands in the cluster's tables. */
export const entityType = "reprise/Run"

export const RunEntity = Entity.make(entityType, [Drive, Wake, Hello])
  .annotate(ClusterSchema.ClientTracingEnabled, false)

/** An address that no run has. */
export const nobody = "/"

const discard = { discard: true } as const

/** Sends the messages: succeeds once they are stored and whoever handles them was told, if anybody is there. */
export const sender = Effect.map(RunEntity.client, (client) => ({
  drive: (runId: string) => client(runId).Drive(undefined, discard),
  wake: (runId: string, at: number, attempt: number) =>
    client(runId).Wake(new Alarm({ at, attempt }), discard),
  hello: client(nobody).Hello()
}))

export type Sender = Effect.Success<typeof sender>
