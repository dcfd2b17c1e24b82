/** What the measurements of the worker share: how much they do, and workers on a storage. */
import { Layer, ManagedRuntime } from "effect"
import { type Dispatch, type Storage, Worker } from "../../src/index.ts"
import { SqliteStorage } from "../../src/sqlite.ts"
import { layerPostgres } from "../storage/work.ts"

const factor = Number(process.env.BENCH_AMOUNT ?? 1)

/** `times` scaled by `BENCH_AMOUNT`, at least `least`. */
export const amount = (times: number, least = 1): number =>
  Math.max(least, Math.round(times * factor))

export const kinds = ["SQLite", "Postgres"] as const
export type Kind = typeof kinds[number]

/** The storage in a file or a database. */
export const storageOf = (
  kind: Kind,
  place: string
): Layer.Layer<Storage.Storage, unknown> =>
  kind === "SQLite" ? SqliteStorage.layer({ filename: place }) : layerPostgres(place)

export type Runtime = ManagedRuntime.ManagedRuntime<Worker.Worker | Storage.Storage, unknown>

/** A worker on a storage, in one runtime with whoever enqueues. */
export const working = (
  storage: Layer.Layer<Storage.Storage, unknown>,
  workflows: ReadonlyArray<Dispatch.AnyWorkflow>,
  pace: Worker.Pace = {}
): Runtime =>
  ManagedRuntime.make(
    (Worker.layer({ ...pace, workflows }) as Layer.Layer<Worker.Worker, never, Storage.Storage>)
      .pipe(Layer.provideMerge(storage))
  )

export const pause = (millis: number) => new Promise((resolve) => setTimeout(resolve, millis))
