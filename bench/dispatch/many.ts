/**
 * Many short runs through the worker, 64 of them in flight and their results awaited, beside peers on their
 * own queues and workers: openworkflow on SQLite; DBOS and openworkflow on the same server.
 *
 * Every contender has a process of its own, and every sample an empty database of its own. Each is opened
 * before the clock starts, with its defaults: a commit is durable where it says so.
 */
import { Effect } from "effect"
import { join } from "node:path"
import { directory } from "../files.ts"
import { apart, type Figure, interleave, median, ratio, report } from "../measure.ts"
import * as dbos from "../peers/dbos.ts"
import * as openworkflow from "../peers/openworkflow.ts"
import { type OnPostgres, type OnSqlite, timed, type Work } from "../peers/shared.ts"
import { database, rates, short } from "../storage/work.ts"
import { amount, type Kind, storageOf, working } from "./work.ts"

const work: Work = { runs: amount(2_000), inFlight: 64, steps: 3 }

const ours = async (kind: Kind, place: string, work: Work): Promise<number> => {
  const runtime = working(storageOf(kind, place), [short], { concurrency: work.inFlight })
  await runtime.context()
  const millis = await timed(work, (run) =>
    runtime.runPromise(
      Effect.flatMap(
        short.enqueue({ run, steps: work.steps }, { runId: `run-${run}` }),
        (runId) => short.join(runId)
      )
    ))
  await runtime.dispose()
  return millis
}

const of = await apart<string, any>(import.meta.filename, {
  sqlite: (work: OnSqlite) => ours("SQLite", work.filename, work),
  openworkflowOnSqlite: openworkflow.manyShortRunsOnSqlite,
  postgres: (work: OnPostgres) => ours("Postgres", work.url, work),
  dbos: dbos.manyQueuedRuns,
  openworkflow: openworkflow.manyShortRunsOnPostgres
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

// A worker is there for long: what it does once it is warm.
const rounds = { rounds: 4, warmUp: 3 }
const s = await interleave(
  { ours: onSqlite("sqlite"), openworkflow: onSqlite("openworkflowOnSqlite") },
  rounds
)
const p = await interleave({
  ours: onPostgres("postgres"),
  dbos: onPostgres("dbos"),
  openworkflow: onPostgres("openworkflow")
}, rounds)

const best = p.ours.map((_, round) => Math.min(p.dbos[round]!, p.openworkflow[round]!))
const beside = (
  figure: string,
  ours: ReadonlyArray<number>,
  theirs: ReadonlyArray<number>,
  atLeast?: number
): Figure => ({
  figure: `short runs through the worker on ${figure}`,
  value: rates(median(ours), median(theirs)),
  ratio: ratio(theirs, ours),
  ...(atLeast === undefined ? undefined : { atLeast })
})

const figures: ReadonlyArray<Figure> = [
  beside("SQLite: times openworkflow", s.ours, s.openworkflow, 10),
  beside("Postgres: times DBOS", p.ours, p.dbos),
  beside("Postgres: times openworkflow", p.ours, p.openworkflow),
  beside("Postgres: times the best of them", p.ours, best, 5)
]
report(figures)
