/**
 * The worker of a fleet: runs are spread over runners by `effect/cluster`, go on elsewhere when one of them dies, and
 * are driven by one of them at a time as far as the cluster can tell. It cannot always: the lease and the journal
 * decide, as everywhere, and a runner that was paused writes nothing once another one has gone on.
 *
 * It puts the parts together: what a message does is in `Deliveries`, what this process tells of in `Teller`, what
 * nobody told of in `Reconciler`.
 */
import * as Entity from "effect/cluster/Entity"
import { Sharding } from "effect/cluster/Sharding"
import type { ShardingConfig } from "effect/cluster/ShardingConfig"
import * as Singleton from "effect/cluster/Singleton"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { SqlClient } from "effect/sql/SqlClient"
import { Dispatch, Storage, Worker } from "../index.ts"
import * as Alarms from "./Alarms.ts"
import * as Deliveries from "./Deliveries.ts"
import * as Reconciler from "./Reconciler.ts"
import { RunEntity, sender as makeSender } from "./RunEntity.ts"
import * as Sweeper from "./Sweeper.ts"
import * as Teller from "./Teller.ts"

export interface Options<W extends ReadonlyArray<Dispatch.AnyWorkflow>> {
  /** What is driven here. Runs of other workflows wait until a runner has their run's shard that knows them. */
  readonly workflows: W
  /** How many runs are driven at once by this runner; default 16. */
  readonly concurrency?: number | undefined
  /**
   * How often one of the runners looks for what nobody told of. Jittered by a fifth; default 2 seconds. Such a run
   * waits for two looks at most.
   */
  readonly poll?: Duration.Input | undefined
  /** The prefix of the cluster's tables, if it was given one; default `cluster`. */
  readonly tables?: string | undefined
}

/**
 * Settings under which the runs of a runner that was killed continue elsewhere within 6 seconds, for the
 * `shardingConfig` of every runner and client. The defaults are made for fleets where half a minute does not matter.
 *
 * - `shardsPerGroup: 64`: runs move by shards, and every runner renews the locks of its own. Enough for a dozen of
 *   runners; all processes must have the same number.
 * - `shardLockExpiration: "3 seconds"`, `shardLockRefreshInterval: "1 second"`: a runner that cannot reach the database
 *   loses its shards after three missed renewals. As long as the lease of its runs, which is 3 seconds here
 *   (`Workflow.LeaseTime`): less would move runs that nobody may drive yet.
 * - `runnerHealthCheckInterval: "1 second"`: a dead runner is asked, and found dead, within a second. The default of a
 *   minute is nearly all of the time that a failover takes.
 * - `refreshAssignmentsInterval: "500 millis"`: the others learn of it within half a second.
 * - `entityMessagePollInterval: "500 millis"`: what was stored while nobody could be told is found within half a second.
 *   Two small queries a second and runner.
 * - `entityTerminationTimeout: "10 seconds"`: how long a run may go on in its step when its shard moves or its runner
 *   is told to end (Kubernetes waits for 30 seconds). What takes longer is interrupted, and begun again elsewhere.
 */
export const tuned = {
  shardsPerGroup: 64,
  shardLockExpiration: "3 seconds",
  shardLockRefreshInterval: "1 second",
  runnerHealthCheckInterval: "1 second",
  refreshAssignmentsInterval: "500 millis",
  entityMessagePollInterval: "500 millis",
  entityTerminationTimeout: "10 seconds"
} as const satisfies Partial<ShardingConfig["Service"]>

/** How long the cluster remembers a run that nothing happens to. */
const maxIdleTime = "5 seconds"

/**
 * Drives runs of `workflows` that the cluster gives to this runner, as long as the layer is open. Takes the place of
 * `Worker.layer`: the program is the same. What this process enqueues or posts goes to whichever runner has the run.
 *
 * All runners and clients share one storage and one cluster, best in one database. Where the `SqlClient` of the
 * cluster is in the context too, handled messages are removed from its tables; otherwise the cluster keeps them.
 *
 * On Kubernetes: a Deployment whose pods have `runnerAddress` set to their own IP, and `runnerHealth: "k8s"` if the
 * service account may list pods (`"ping"` needs nothing). `terminationGracePeriodSeconds` must be more than
 * `entityTerminationTimeout`. Clients need no address.
 *
 * @example
 * ```ts
 * import { Storage, Workflow } from "reprise"
 * import { ClusterWorker } from "reprise/cluster"
 * import { Effect, Layer } from "effect"
 * import { TestRunner } from "effect/cluster"
 *
 * const double = Workflow.make("double", function*(ctx, n: number) {
 *   yield* ctx.sleep("20 millis")
 *   return n * 2
 * })
 * const program = Effect.gen(function*() {
 *   const runId = yield* double.enqueue(21)
 *   return yield* double.join(runId)
 * })
 * // A fleet has NodeClusterSocket.layer({ storage: "sql", shardingConfig: { ...ClusterWorker.tuned, … } }) here.
 * const worker = ClusterWorker.layer({ workflows: [double] }).pipe(
 *   Layer.provide(TestRunner.layer),
 *   Layer.provideMerge(Storage.layerMemory)
 * )
 * const doubled = await Effect.runPromise(Effect.provide(program, worker))
 * doubled // => 42
 * ```
 */
export const layer = <const W extends ReadonlyArray<Dispatch.AnyWorkflow>>(
  options: Options<W>
): Layer.Layer<
  Worker.Worker,
  never,
  Sharding | Storage.Storage | Dispatch.ServicesOf<W[number]>
> => Layer.provide(Layer.unwrap(make(options)), Dispatch.layer(options.workflows))

const make = Effect.fnUntraced(function*(
  { concurrency = 16, poll = "2 seconds", tables = "cluster" }: Omit<Options<[]>, "workflows">
) {
  const storage = yield* Storage.Storage
  const dispatch = yield* Dispatch.Dispatch
  const sharding = yield* Sharding
  const sender = yield* makeSender
  const sweeper = Option.map(
    yield* Effect.serviceOption(SqlClient),
    (sql) => Sweeper.make(sql, tables)
  )
  const alarms = yield* Alarms.make(sharding.pollStorage)
  const deliveries = Deliveries.make({
    storage,
    dispatch,
    sender,
    concurrency,
    onWake: alarms.set,
    onEnd: (runId) => Option.map(sweeper, ({ ended }) => ended(runId))
  })
  const looks: Reconciler.Looks = { lookedAt: undefined, failure: undefined }
  let state: Worker.Health["state"] = "working"

  const runs = RunEntity.toLayer(
    Effect.map(Entity.CurrentAddress, ({ entityId }) => {
      const deliver = deliveries.of(entityId)
      return RunEntity.of({
        Drive: () => deliver(0),
        Wake: ({ payload }) => deliver(payload.attempt),
        Hello: () => Effect.void
      })
    }),
    // Messages of a run wait for each other in `deliveries`, where one look serves many.
    { maxIdleTime, concurrency: "unbounded", mailboxCapacity: "unbounded" }
  )
  const sweeping = (swept: "handled" | "timers") =>
    Option.match(sweeper, {
      onNone: () => Effect.void,
      onSome: (sweeper) =>
        Effect.clockWith((clock) => sweeper[swept](clock.currentTimeMillisUnsafe())).pipe(
          Effect.delay(Sweeper.every),
          Effect.forever
        )
    })
  const reconciler = Singleton.make(
    "reprise/Reconciler",
    Effect.andThen(
      Effect.forkScoped(sweeping("handled")),
      Reconciler.loop(storage, sender, poll, looks)
    )
  )

  const health = Effect.gen(function*(): Effect.gen.Return<Worker.Health> {
    const blocked = new Map<string, string>()
    const found = yield* Effect.result(storage.list({ status: "blocked" }))
    const now = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
    if (Result.isSuccess(found)) {
      for (const { reason = "", runId } of found.success.runs) blocked.set(runId, reason)
    }
    for (const [runId, why] of yield* deliveries.blocked) blocked.set(runId, why)
    return {
      state,
      running: Array.from(deliveries.running),
      waiting: deliveries.waiting(),
      blocked,
      // Another runner may be the one that looks at all that is due: then this look counts.
      lookedAt: looks.lookedAt ?? (Result.isSuccess(found) ? now : undefined),
      failure: Result.isFailure(found) ? found.failure.message : looks.failure
    }
  })
  const worker = Layer.effect(
    Worker.Worker,
    Effect.gen(function*() {
      yield* Effect.forkScoped(sweeping("timers"))
      yield* Teller.start(storage, sender)
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          state = "draining"
        })
      )
      return Worker.Worker.of({ health })
    })
  )
  return Layer.merge(worker, Layer.merge(runs, reconciler))
})
