/**
 * Many short runs, 64 of them in flight and their results awaited, beside the peers that keep runs in the
 * same place: openworkflow on SQLite; DBOS, openworkflow and Effect's own cluster engine on the same server.
 *
 * Every contender has a process of its own, and every sample an empty database of its own. Each is opened
 * before the clock starts, with its defaults: a commit is durable where it says so.
 */
import { ManagedRuntime } from "effect"
import { join } from "node:path"
import { SqliteStorage } from "../../src/sqlite.ts"
import { directory } from "../files.ts"
import { apart, type Figure, interleave, median, rate, ratio, report } from "../measure.ts"
import * as cluster from "../peers/cluster.ts"
import * as dbos from "../peers/dbos.ts"
import * as openworkflow from "../peers/openworkflow.ts"
import { type OnPostgres, type OnSqlite, timed, type Work } from "../peers/shared.ts"
import { database, layerPostgres, short } from "./work.ts"

const work: Work = { runs: 2_000, inFlight: 64, steps: 3 }

type Runtime = ReturnType<typeof ManagedRuntime.make<any, any>>

const ours = async (runtime: Runtime, work: Work): Promise<number> => {
  await runtime.context()
  const millis = await timed(
    work,
    (run) => runtime.runPromise(short.execute({ run, steps: work.steps }, { runId: `run-${run}` }))
  )
  await runtime.dispose()
  return millis
}

const of = await apart<string, any>(import.meta.filename, {
  sqlite: (work: OnSqlite) => ours(ManagedRuntime.make(SqliteStorage.layer(work)), work),
  openworkflowOnSqlite: openworkflow.manyShortRunsOnSqlite,
  postgres: (work: OnPostgres) => ours(ManagedRuntime.make(layerPostgres(work.url)), work),
  dbos: dbos.manyShortRuns,
  openworkflow: openworkflow.manyShortRunsOnPostgres,
  cluster: cluster.manyShortRuns
})

const at = directory()
let serial = 0

/** Milliseconds a run, on a file of its own. */
const onSqlite = (contender: string) => async () =>
  await of[contender]!({ ...work, filename: join(at, `${++serial}.db`) }) / work.runs

const onPostgres = (contender: string) => async () => {
  const { drop, url } = await database()
  try {
    return await of[contender]!({ ...work, url }) / work.runs
  } finally {
    await drop()
  }
}

const s = await interleave(
  { ours: onSqlite("sqlite"), openworkflow: onSqlite("openworkflowOnSqlite") },
  { rounds: 3, warmUp: 1 }
)
const p = await interleave({
  ours: onPostgres("postgres"),
  dbos: onPostgres("dbos"),
  openworkflow: onPostgres("openworkflow"),
  cluster: onPostgres("cluster")
}, { rounds: 3, warmUp: 1 })

const { ours: mine, ...peers } = p
const best = mine.map((_, round) => Math.min(...Object.values(peers).map((of) => of[round]!)))
const beside = (
  figure: string,
  ours: ReadonlyArray<number>,
  theirs: ReadonlyArray<number>,
  atLeast?: number
): Figure => ({
  figure,
  value: `${rate(median(ours))} against ${rate(median(theirs))}`,
  ratio: ratio(theirs, ours),
  ...(atLeast === undefined ? undefined : { atLeast })
})

const figures: ReadonlyArray<Figure> = [
  beside("short runs on SQLite: times openworkflow", s.ours, s.openworkflow, 12),
  beside("short runs on Postgres: times DBOS", mine, p.dbos),
  beside("short runs on Postgres: times openworkflow", mine, p.openworkflow),
  beside("short runs on Postgres: times effect/cluster", mine, p.cluster),
  beside("short runs on Postgres: times the best of them", mine, best, 5)
]
report(figures)
