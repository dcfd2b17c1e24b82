/**
 * One sequential run on Postgres beside what the server itself can do: one row of as many bytes in a commit
 * of its own, on one connection and on 16, over a driver that adds next to nothing.
 */
import { ManagedRuntime } from "effect"
import { type Figure, interleave, median, rate, ratio, report, time } from "../measure.ts"
import { database, flatness, layerPostgres, plain, rates, sequential, text300 } from "./work.ts"

const steps = 1_000
const { drop, url } = await database()
let serial = 0

const sql = plain(url, 1)
await sql`CREATE TABLE lines (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, line text NOT NULL)`
const sql16 = plain(url, 16)

const commit = async () =>
  await time(async () => {
    for (let i = 0; i < steps; i++) await sql`INSERT INTO lines (line) VALUES (${text300})`
  }) / steps

const commit16 = async () =>
  await time(() =>
    Promise.all(Array.from({ length: 16 }, async () => {
      for (let i = 0; i < steps / 4; i++) await sql16`INSERT INTO lines (line) VALUES (${text300})`
    }))
  ) / (4 * steps)

const runtime = ManagedRuntime.make(layerPostgres(url))
const ours = async () =>
  await time(() => runtime.runPromise(sequential.execute(steps, { runId: `run-${++serial}` })))
  / steps

const t = await interleave({ commit, ours, commit16 }, { rounds: 9, warmUp: 2 })

const second = await database()
const other = ManagedRuntime.make(layerPostgres(second.url))
const flat = await flatness(
  (of, work) => (of === "long" ? runtime : other).runPromise(work),
  2
)

const figures: ReadonlyArray<Figure> = [
  { figure: "limit: Postgres, a row a commit on 1 connection", value: rate(median(t.commit)) },
  { figure: "limit: Postgres, a row a commit on 16 connections", value: rate(median(t.commit16)) },
  {
    figure: "sequential run on Postgres against a commit on 1 connection",
    value: rates(median(t.ours), median(t.commit)),
    ratio: ratio(t.commit, t.ours),
    atLeast: 0.6
  },
  {
    figure: "Postgres: a step of the last thousand of 10,000 against one of the first",
    value: `median of ${flat.length}`,
    ratio: median(flat),
    atMost: 1.5
  }
]
await runtime.dispose()
await other.dispose()
await Promise.all([sql.end(), sql16.end()])
await drop()
await second.drop()
report(figures)
