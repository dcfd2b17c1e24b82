/**
 * Postgres while the worst happens to it: the server is killed, answers are lost on their way, backends are
 * terminated, transactions are in each other's way. Runs move money meanwhile; what was acknowledged stays,
 * every run gets to its end, and every transfer is made once.
 *
 * `CHAOS_SEED` makes other chances, `TEST_AMOUNT` makes more or less of everything.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer, Result } from "effect"
import { SqlClient } from "effect/sql"
import { Storage } from "reprise"
import { onTestFinished } from "vitest"
import { patience, runs } from "../support/amount.ts"
import { createDatabase, execute, startPostgres } from "../support/postgres.ts"
import { type Proxy, startProxy } from "../support/tcpProxy.ts"
import { type Random, random } from "./support/random.ts"
import {
  audit,
  makeTransfers,
  openAccounts,
  poolOf,
  type Services,
  storageOf
} from "./support/transfers.ts"

const seed = Number(process.env.CHAOS_SEED ?? 1)

/** What the storage said is safe: the place behind it, whose sum stands for all that is before. */
interface Acknowledged {
  readonly runId: string
  readonly offset: number
  readonly prev: string
}

/** The storage in the context, writing down every acknowledgement. */
const noting = (acknowledged: Array<Acknowledged>) =>
  Layer.effect(
    Storage.Storage,
    Effect.map(Storage.Storage, (storage) =>
      Storage.Storage.of({
        ...storage,
        writer: (loaded) =>
          Effect.map(storage.writer(loaded), (writer) => {
            const note = (isMine: boolean) =>
              Effect.sync(() => {
                const { offset, prev } = writer.head()
                if (isMine) acknowledged.push({ runId: loaded.journal.runId, offset, prev })
              })
            const { append, transaction } = writer
            return {
              ...writer,
              append: (stamp, entries) => Effect.tap(append(stamp, entries), note),
              transaction: transaction === undefined
                ? undefined
                : (work, stamp, entry) => Effect.tap(transaction(work, stamp, entry), note)
            }
          })
      }))
  )

interface World {
  readonly accounts: number
  readonly ids: ReadonlyArray<string>
  readonly rounds: number
  readonly acknowledged: Array<Acknowledged>
  /** Why a run was driven anew, and how often. */
  readonly setbacks: Record<string, number>
  /** What came of a run that nothing should have come of. */
  readonly bad: Array<string>
  /** How often the work of a transfer was begun. */
  tries: number
  isOver: boolean
}

const worldOf = (sizes: Pick<World, "accounts" | "rounds"> & { readonly runs: number }): World => ({
  ...sizes,
  ids: Array.from({ length: sizes.runs }, (_, nth) => `r${nth}`),
  acknowledged: [],
  setbacks: {},
  bad: [],
  tries: 0,
  isOver: false
})

/** Drives every run to its end, beginning anew whenever the storage gives up or the run is lost. */
const driveAll = (world: World, ids = world.ids) => {
  const { accounts, acknowledged, bad, rounds, setbacks } = world
  const workflow = makeTransfers({
    isOver: () => world.isOver,
    onTry: () => world.tries++
  })
  const drive = (runId: string): Effect.Effect<void, never, Services> =>
    Effect.gen(function*() {
      const input = { accounts, rounds, seed: seed + Number(runId.slice(1)) * 104_729 }
      const ran = yield* Effect.result(workflow.start(input, { runId }))
      if (Result.isSuccess(ran)) {
        const { success } = ran
        if (success.status !== "success") bad.push(JSON.stringify(success))
        return
      }
      const { failure } = ran
      const why = failure._tag === "StorageError" ? failure.reason : failure._tag
      if (why !== "Unavailable" && why !== "Fenced") {
        bad.push(`run ${runId}: ${String(failure)}`)
        return
      }
      setbacks[why] = (setbacks[why] ?? 0) + 1
      return yield* drive(runId)
    })
  return Effect.forEach(ids, drive, { concurrency: "unbounded", discard: true }).pipe(
    Effect.provide(noting(acknowledged))
  )
}

/** Until so many more acknowledgements are there: what follows happens in the middle of something. */
const progress = ({ acknowledged }: World, many: number) =>
  Effect.gen(function*() {
    const from = acknowledged.length
    while (acknowledged.length < from + many) yield* Effect.sleep(2)
  })

/** Drives runs while the worst happens; they end when that is over, or when something is wrong with them. */
const beside = <E, R, E2, R2>(
  world: World,
  driven: Effect.Effect<unknown, E, R>,
  worst: Effect.Effect<unknown, E2, R2>
) => {
  const over = Effect.sync(() => {
    world.isOver = true
  })
  return Effect.raceFirst(driven, Effect.andThen(Effect.andThen(worst, over), Effect.never))
}

/** Checks all, with a client that nothing happens to; gives how many transfers were made. */
const settled = (world: World, url: string) =>
  Effect.gen(function*() {
    expect(world.bad).toEqual([])
    expect(world.isOver).toBe(true)
    const { made, wrong } = yield* audit(world.accounts, world.ids)
    expect(wrong).toEqual([])
    const storage = yield* Storage.Storage
    const sums = new Map<string, ReadonlyArray<string>>()
    for (const runId of world.ids) {
      const { journal } = yield* storage.read(runId)
      sums.set(runId, journal.entries.map(({ sum }) => sum))
    }
    const missing = world.acknowledged.filter(({ offset, prev, runId }) =>
      sums.get(runId)?.[offset - 1] !== prev
    )
    expect(missing).toEqual([])
    expect(world.acknowledged.length).toBeGreaterThan(world.ids.length)
    return made
  }).pipe(Effect.provide(storageOf(url)))

/** The accounts, in a database where who waits for each other is found at once. */
const prepare = (world: World, url: string) =>
  Effect.gen(function*() {
    const name = new URL(url).pathname.slice(1)
    yield* Effect.promise(() =>
      execute(url, `ALTER DATABASE ${name} SET deadlock_timeout = '20ms'`)
    )
    yield* Effect.provide(openAccounts(world.accounts), poolOf(url))
  })

const proxyOf = (url: string) =>
  Effect.promise(async () => {
    const proxy = await startProxy(url)
    onTestFinished(proxy.close)
    return proxy
  })

/** Statements whose loss is a case of its own. */
const losses = {
  append: /^WITH (input|moved)/,
  commit: /^COMMIT$/,
  work: /^(UPDATE accounts|INSERT INTO transfers)/,
  begin: /^BEGIN/,
  lease: /leases/
}

const lostOf = (proxy: Proxy, kind: keyof typeof losses) =>
  proxy.counts.lost.filter(({ statement }) => losses[kind].test(statement)).length

/** Loses answers, and some requests, until there are so many of each kind. */
const lose = (
  proxy: Proxy,
  chance: Random,
  wanted: Readonly<Partial<Record<keyof typeof losses, number>>>
) =>
  Effect.gen(function*() {
    const kinds = Object.keys(wanted) as Array<keyof typeof losses>
    const left = () => kinds.filter((kind) => lostOf(proxy, kind) < wanted[kind]!)
    for (let armed = 0; left().length > 0;) {
      if (armed - proxy.counts.lost.length < 10) {
        const kind = chance.pick(left())
        const nth = 1 + chance.below(8)
        if (chance.oneIn(6)) proxy.loseRequest(losses[kind], nth)
        else proxy.loseAnswer(losses[kind], nth)
        armed++
      }
      yield* Effect.sleep(1 + chance.below(5))
    }
  })

/** Ends backends of the database by chance, until it were so many. */
const terminate = (world: World, url: string, chance: Random, many: number) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    for (let ended = 0; ended < many;) {
      const found = yield* sql<{ pid: number }>`
        SELECT pid FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'victim' ORDER BY pid`
      if (found.length > 0) {
        const { pid } = chance.pick(found)
        const [row] = yield* sql<
          { done: boolean }
        >`SELECT pg_terminate_backend(${pid}::int) AS done`
        if (row!.done) ended++
      }
      yield* progress(world, chance.below(4))
    }
  }).pipe(Effect.provide(poolOf(url, { maxConnections: 1 })))

describe(`chaos with seed ${seed}`, () => {
  it.live(
    "a server that is killed loses nothing that was acknowledged",
    () =>
      Effect.gen(function*() {
        const chance = random(seed)
        const server = yield* Effect.promise(() => startPostgres({ durable: true }))
        onTestFinished(server.stop)
        const world = worldOf({ accounts: 8, rounds: 5, runs: 8 })
        yield* prepare(world, server.url)
        const kills = runs(5)
        const worst = Effect.gen(function*() {
          for (let nth = 0; nth < kills; nth++) {
            yield* progress(world, 10 + chance.below(60))
            yield* Effect.promise(server.killPostmaster)
            yield* Effect.sleep(chance.below(100))
            yield* Effect.promise(server.restart)
          }
        })
        yield* beside(world, driveAll(world), worst).pipe(
          Effect.provide(storageOf(server.url))
        )
        expect(yield* settled(world, server.url)).toBeGreaterThanOrEqual(40)
      }),
    patience
  )

  it.live(
    "answers that are lost: no entry is there twice, and none is missing",
    () =>
      Effect.gen(function*() {
        const chance = random(seed + 1)
        const { url } = yield* Effect.promise(createDatabase)
        const proxy = yield* proxyOf(url)
        const world = worldOf({ accounts: 8, rounds: 5, runs: 16 })
        yield* prepare(world, url)
        const each = runs(80)
        const wanted = { append: each, commit: each, work: each, begin: runs(10), lease: runs(10) }
        yield* Effect.andThen(
          // The tables are made before anything is lost.
          SqlClient.SqlClient,
          beside(world, driveAll(world), lose(proxy, chance, wanted))
        ).pipe(Effect.provide(storageOf(proxy.url, { maxConnections: 16 })))
        yield* settled(world, url)
        // Most of them had been executed.
        const executed = proxy.counts.lost.filter(({ answer }) => answer !== undefined)
        expect(executed.length).toBeGreaterThan(proxy.counts.lost.length / 2)
      }),
    patience
  )

  it.live("backends that are terminated take nothing with them", () =>
    Effect.gen(function*() {
      const chance = random(seed + 2)
      const { url } = yield* Effect.promise(createDatabase)
      const world = worldOf({ accounts: 8, rounds: 5, runs: 8 })
      yield* prepare(world, url)
      const worst = terminate(world, url, chance, runs(100))
      yield* beside(world, driveAll(world), worst).pipe(
        Effect.provide(storageOf(url, { applicationName: "victim" }))
      )
      yield* settled(world, url)
    }), patience)

  it.live(
    "transactions in each other's way are tried again until all are done",
    () =>
      Effect.gen(function*() {
        const { url } = yield* Effect.promise(createDatabase)
        const rounds = runs(12)
        const world = worldOf({ accounts: 3, rounds, runs: 8 })
        world.isOver = true
        yield* prepare(world, url)
        yield* driveAll(world).pipe(
          Effect.provide(storageOf(url)),
          Effect.provideService(SqlClient.BeginTransaction, "BEGIN ISOLATION LEVEL SERIALIZABLE")
        )
        expect(yield* settled(world, url)).toBe(8 * rounds)
        const [row] = yield* Effect.provide(
          Effect.flatMap(SqlClient.SqlClient, (sql) =>
            sql<{ rolledBack: number }>`SELECT xact_rollback::int AS "rolledBack"
            FROM pg_stat_database WHERE datname = current_database()`),
          poolOf(url)
        )
        expect(row!.rolledBack).toBeGreaterThan(0)
      }),
    patience
  )

  it.live(
    "5,000 transfers of two processes under all of it: the sum does not drift",
    () =>
      Effect.gen(function*() {
        const chance = random(seed + 3)
        const server = yield* Effect.promise(() => startPostgres({ durable: true }))
        onTestFinished(server.stop)
        const proxy = yield* proxyOf(server.url)
        const rounds = runs(250)
        const world = worldOf({ accounts: 20, rounds, runs: 20 })
        world.isOver = true
        yield* prepare(world, server.url)
        const pool = { applicationName: "victim", maxConnections: 12 }
        const half = world.ids.length / 2
        const driven = Effect.all([
          Effect.provide(
            driveAll(world, world.ids.slice(0, half)),
            Layer.fresh(storageOf(proxy.url, pool))
          ),
          Effect.provide(
            driveAll(world, world.ids.slice(half)),
            Layer.fresh(storageOf(server.url, pool))
          )
        ], { concurrency: "unbounded" })
        const killed = Effect.gen(function*() {
          for (let nth = 0; nth < 3; nth++) {
            yield* progress(world, runs(400) + chance.below(100))
            yield* Effect.promise(server.killPostmaster)
            yield* Effect.promise(server.restart)
          }
        })
        const worst = Effect.all([
          lose(proxy, chance, { append: 10, commit: runs(80), work: runs(40) }),
          killed
        ], { concurrency: "unbounded" })
        // It has no end of its own: the last transfer is.
        yield* Effect.raceFirst(driven, Effect.andThen(worst, Effect.never))
        expect(yield* settled(world, server.url)).toBe(20 * rounds)
      }),
    patience
  )
})
