/**
 * What the measurements of storages share: the workflows that they run, and databases of their own on the
 * server that all of them are given.
 */
import { PgClient } from "@effect/sql-pg"
import { Effect, Layer, Redacted } from "effect"
import postgres from "postgres"
import { createDatabaseOn, startPostgres } from "../../scripts/postgres.ts"
import { type Storage, Workflow } from "../../src/index.ts"
import { PostgresStorage } from "../../src/postgres.ts"
import { rate } from "../measure.ts"
import { stepOf } from "../peers/shared.ts"

/** What every limit writes at a time: as much as a step of `sequential` leaves in its journal. */
export const text300 = "x".repeat(300)

const filler = "x".repeat(90)

/** Hears of every step of `sequential`, which waits for what it gives. */
let visit: (i: number) => Promise<void> | undefined = () => undefined

/** One step after the other, each with an entry of 300 bytes. */
export const sequential = Workflow.make("sequential", function*(ctx, n: number) {
  for (let i = 0; i < n; i++) {
    yield* ctx.step("step", () => {
      const value = { i, filler }
      const wait = visit(i)
      return wait === undefined ? value : Effect.as(Effect.promise(() => wait), value)
    })
  }
})

const block = 100
const last = 1_000

/**
 * How much longer a hundred steps take among the last thousand of a run of 10,000 than at the start of one,
 * in turn: the long run waits in a step while a new one is begun, on a storage of its own.
 */
export const flatness = async (
  run: (of: "long" | "new", work: Effect.Effect<void, unknown, Storage.Storage>) => Promise<void>,
  rounds: number
): Promise<ReadonlyArray<number>> => {
  const ratios: Array<number> = []
  const steps = 10_000
  let serial = 0
  const work = (n: number) =>
    sequential.execute(n, { runId: `flat-${++serial}` }).pipe(
      Effect.provideService(Workflow.JournalLimits, { warn: Infinity, stop: Infinity })
    )
  /** Milliseconds of the first steps of a new run. */
  const begin = async (): Promise<number> => {
    let from = 0, to = 0
    visit = (i) => {
      if (i === block) to = performance.now()
      return i > 0 ? undefined : new Promise<void>((resolve) => setImmediate(resolve)).then(() => {
        from = performance.now()
      })
    }
    await run("new", work(block + 1))
    return to - from
  }
  for (let round = 0; round < rounds; round++) {
    let first = 0, from = 0
    const ofLong = (i: number): Promise<void> | undefined => {
      if (i < steps - last || i % block > 0) return undefined
      if (i > steps - last) ratios.push((performance.now() - from) / first)
      return begin().then((millis) => {
        first = millis
        visit = ofLong
        from = performance.now()
      })
    }
    visit = ofLong
    await run("long", work(steps))
    visit = () => undefined
  }
  return ratios
}

/** The work that the peers are given, too. */
export const short = Workflow.make(
  "short",
  function*(ctx, { run, steps }: { run: number; steps: number }) {
    let sum = 0
    for (let index = 0; index < steps; index++) {
      sum += yield* ctx.step(`step-${index}`, () => stepOf(run, index))
    }
    return sum
  }
)

/** Of the server that all measurements are given; starts one when there is none. */
export const serverUrl = async (): Promise<string> => {
  const given = process.env.DATABASE_URL
  if (given !== undefined && given !== "") return given
  return process.env.DATABASE_URL = (await startPostgres({ durable: true })).url
}

export interface TestDatabase {
  readonly url: string
  readonly drop: () => Promise<void>
}

export const database = async (): Promise<TestDatabase> => createDatabaseOn(await serverUrl())

/** The storage over a pool of its own. */
export const layerPostgres = (url: string, pool: Partial<PgClient.PgPoolConfig> = {}) =>
  PostgresStorage.layer().pipe(
    Layer.provide(PgClient.layer({ ...pool, url: Redacted.make(url) }))
  )

/** Postgres through a driver that adds next to nothing. */
export const plain = (url: string, connections: number) =>
  postgres(url, { max: connections, onnotice: () => {} })

/** A rate beside another, of the milliseconds that one takes. */
export const rates = (ours: number, theirs: number): string =>
  `${rate(ours)} against ${rate(theirs)}`
