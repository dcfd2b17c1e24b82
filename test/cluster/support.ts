/**
 * A cluster in this process, in memory: one runner of `effect/cluster` with what drives runs on it, and storages that
 * stand for processes which share nothing but what is stored.
 */
import { Context, Effect, Layer, type Scope } from "effect"
import { TestRunner } from "effect/cluster"
import { type Dispatch, Storage, Worker } from "reprise"
import { ClusterWorker } from "reprise/cluster"

export type Service = Storage.Storage["Service"]

/** Two openings of one storage: that of the runner, and that of a process that the cluster does not know. */
export const makeStorages = () => {
  const driver = Storage.memoryDriver()
  return { here: Storage.make(driver), there: Storage.make(driver) }
}

type Options = ClusterWorker.Options<ReadonlyArray<Dispatch.AnyWorkflow>>

/** A runner on an opened storage, until the test is over. Gives what it is built of. */
export const run = (storage: Service, options: Options) => {
  const layer = ClusterWorker.layer(options).pipe(Layer.provideMerge(TestRunner.layer))
  return Layer.build(Layer.fresh(
    layer as Layer.Layer<
      Worker.Worker | Layer.Success<typeof TestRunner.layer>,
      never,
      Storage.Storage
    >
  )).pipe(
    Effect.provideService(Storage.Storage, storage),
    Effect.map((context) => ({
      context,
      health: Context.get(context, Worker.Worker).health
    }))
  )
}

export type Runner = Effect.Success<ReturnType<typeof run>>

/** A test that has a scope. */
export const scoped = <A, E>(test: Effect.Effect<A, E, Scope.Scope>) => Effect.scoped(test)
