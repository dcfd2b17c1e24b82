/**
 * What the tests of the worker stand on: places that several processes can share, workers that are closed by
 * hand, waiting until something is so, and drivers that count what they are asked or fail for a while.
 */
import { PgClient } from "@effect/sql-pg"
import { Context, Effect, Exit, Layer, Redacted, Schedule, Scope } from "effect"
import { join } from "node:path"
import { type Dispatch, Journal, Runs, Storage, Worker } from "reprise"
import { PostgresStorage } from "reprise/postgres"
import { SqliteStorage } from "reprise/sqlite"
import { temporary } from "../storage/support/local.ts"
import { createDatabase } from "../support/postgres.ts"

/** A storage as one process has it open. */
export type Service = Storage.Storage["Service"]

/** Opens the same storage anew at each call: what is opened shares nothing but what is stored. */
export type Open = Effect.Effect<Service, never, Scope.Scope>

/** Where runs may live. */
export interface Place {
  readonly name: string
  /** A new, empty one. */
  readonly fresh: Effect.Effect<Open>
}

const opened = <E>(layer: Layer.Layer<Storage.Storage, E>): Open =>
  Effect.orDie(
    Effect.map(Layer.build(Layer.fresh(layer)), (context) => Context.get(context, Storage.Storage))
  )

export const memory: Place = {
  name: "memory",
  fresh: Effect.sync(() => {
    const driver = Storage.memoryDriver()
    return Effect.sync(() => Storage.make(driver))
  })
}

export const sqlite: Place = {
  name: "SQLite",
  fresh: Effect.sync(() => {
    const filename = join(temporary(), "runs.db")
    return Effect.suspend(() => opened(SqliteStorage.layer({ filename })))
  })
}

export const postgres: Place = {
  name: "Postgres",
  fresh: Effect.map(
    Effect.promise(createDatabase),
    ({ url }) =>
      Effect.suspend(() =>
        opened(Layer.provide(
          PostgresStorage.layer(),
          PgClient.layer({ url: Redacted.make(url), maxConnections: 4 })
        ))
      )
  )
}

export const places: ReadonlyArray<Place> = [memory, sqlite, postgres]

/** Runs a program on an opened storage. */
export const on =
  (storage: Service) =>
  <A, E, R>(program: Effect.Effect<A, E, R>): Effect.Effect<A, E, Exclude<R, Storage.Storage>> =>
    Effect.provideService(program, Storage.Storage, storage)

export interface Working {
  readonly health: Effect.Effect<Worker.Health>
  readonly close: Effect.Effect<void>
}

/** Options of a worker whose workflows need no services. */
export type Options = Worker.Options<ReadonlyArray<Dispatch.AnyWorkflow>>

/** A worker on an opened storage, until the test is over or it is closed. */
export const work = (
  storage: Service,
  options: Options
): Effect.Effect<Working, never, Scope.Scope> =>
  Effect.gen(function*() {
    const scope = yield* Effect.acquireRelease(
      Scope.make(),
      (scope) => Scope.close(scope, Exit.void)
    )
    const layer = Worker.layer({ poll: "200 millis", ...options }) as Layer.Layer<
      Worker.Worker,
      never,
      Storage.Storage
    >
    const context = yield* Layer.buildWithScope(Layer.fresh(layer), scope).pipe(on(storage))
    return {
      health: Context.get(context, Worker.Worker).health,
      close: Scope.close(scope, Exit.void)
    }
  })

/** Waits until something is so; the test fails when it never is. */
export const until = <E, R>(
  what: string,
  isSo: Effect.Effect<boolean, E, R>
): Effect.Effect<void, E, R> =>
  isSo.pipe(
    Effect.repeat({ until: (so: boolean) => so, schedule: Schedule.spaced("10 millis") }),
    Effect.timeoutOrElse({
      duration: "15 seconds",
      orElse: () => Effect.die(new Error(`it was never so that ${what}`))
    }),
    Effect.asVoid
  )

/** The state of the last run of the chain; `absent` when there is none. */
export const stateOf = (runId: string): Effect.Effect<string, never, Storage.Storage> =>
  Effect.orElseSucceed(
    Effect.map(Runs.latestStatus(runId), ({ status }): string => status),
    () => "absent"
  )

/** Waits until the run is in this state. */
export const untilState = (runId: string, state: string) =>
  until(`${runId} is ${state}`, Effect.map(stateOf(runId), (now) => now === state))

/** Waits until the run has succeeded, and gives its result. */
export const resultOf = (runId: string) =>
  Effect.andThen(
    untilState(runId, "success"),
    Effect.orDie(Effect.map(Runs.latestStatus(runId), ({ result }) => result))
  )

/** Adds so many sessions to a run, of which none journaled anything: their processes died. */
export const dies = (runId: string, times: number) =>
  Effect.scoped(Effect.gen(function*() {
    const storage = yield* Storage.Storage
    for (let n = 0; n < times; n++) {
      const loaded = yield* storage.read(runId)
      const { incarnation, session } = loaded.journal.head
      const writer = yield* storage.writer(loaded)
      const stamp = { incarnation, session: session + 1, writer: `w${n}` }
      const now = new Date().toISOString()
      yield* writer.append(stamp, [Journal.stamped({ type: "start" }, now)])
    }
  }))

/** A driver that counts what it is asked for, by method, and fails while `fails` says so. */
export const wrapped = (service: Service) => {
  const counts = { read: 0, due: 0, acquire: 0 }
  const state = { fails: false }
  const { driver } = service
  const failing = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E | Storage.StorageError> =>
    Effect.suspend(() =>
      state.fails
        ? Effect.fail(
          new Storage.StorageError({
            reason: "Unavailable",
            doing: "reach the storage",
            cause: new Error("the cable is out")
          })
        )
        : effect as Effect.Effect<A, E | Storage.StorageError>
    )
  const counted: Storage.Driver = {
    ...driver,
    read: (runId) => Effect.suspend(() => (counts.read++, failing(driver.read(runId)))),
    due: (now) => Effect.suspend(() => (counts.due++, failing(driver.due(now)))),
    acquire: (...args) =>
      Effect.suspend(() => (counts.acquire++, failing(driver.acquire(...args)))),
    writer: (runId) =>
      Effect.map(driver.writer(runId), (writer) => ({
        ...writer,
        append: (...args) => failing(Effect.suspend(() => writer.append(...args)))
      }))
  }
  return { storage: Storage.make(counted), counts, state }
}

/** Counts what is under way, and the most there ever was, of all and of each run. */
export const gauge = () => {
  const now = new Map<string, number>()
  const seen = { most: 0, mostOfOne: 0, begun: 0 }
  const during = (runId: string, millis: number) =>
    Effect.acquireUseRelease(
      Effect.sync(() => {
        now.set(runId, (now.get(runId) ?? 0) + 1)
        seen.begun++
        seen.most = Math.max(seen.most, Array.from(now.values()).reduce((a, b) => a + b, 0))
        seen.mostOfOne = Math.max(seen.mostOfOne, now.get(runId)!)
      }),
      () => Effect.sleep(millis),
      () =>
        Effect.sync(() => {
          now.set(runId, now.get(runId)! - 1)
        })
    )
  return { seen, during }
}
