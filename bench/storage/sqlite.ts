/**
 * One sequential run on SQLite, durable at every step, beside what the disk and SQLite itself can do: an
 * append with `fdatasync`, and one row of as many bytes in a commit of its own. All in one directory.
 */
import { ManagedRuntime } from "effect"
import { fdatasyncSync, openSync, writeSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { Runs } from "../../src/index.ts"
import { SqliteStorage } from "../../src/sqlite.ts"
import { directory } from "../files.ts"
import { type Figure, interleave, median, rate, ratio, report, time } from "../measure.ts"
import { flatness, rates, sequential, text300 } from "./work.ts"

const steps = 1_000
const at = directory()
let serial = 0

const append = () => {
  const file = openSync(join(at, "appended"), "a", 0o600)
  const line = Buffer.from(text300)
  return async () =>
    await time(() => {
      for (let i = 0; i < steps; i++) {
        writeSync(file, line)
        fdatasyncSync(file)
      }
    }) / steps
}

const commit = (synchronous: "FULL" | "NORMAL") => {
  const db = new DatabaseSync(join(at, `limit-${synchronous}.db`))
  db.exec(`PRAGMA journal_mode=WAL; PRAGMA synchronous=${synchronous};
    CREATE TABLE lines (id INTEGER PRIMARY KEY, line TEXT NOT NULL)`)
  const insert = db.prepare("INSERT INTO lines (line) VALUES (?)")
  return async () =>
    await time(() => {
      for (let i = 0; i < steps; i++) insert.run(text300)
    }) / steps
}

const storage = (synchronous: "FULL" | "NORMAL") =>
  ManagedRuntime.make(
    SqliteStorage.layer({ filename: join(at, `ours-${synchronous}.db`), synchronous })
  )
const full = storage("FULL")
const normal = storage("NORMAL")
const sequentialOn = (runtime: typeof full) => async () =>
  await time(() => runtime.runPromise(sequential.execute(steps, { runId: `run-${++serial}` })))
  / steps

const t = await interleave({
  commit: commit("FULL"),
  ours: sequentialOn(full),
  fdatasync: append(),
  commitNormal: commit("NORMAL"),
  oursNormal: sequentialOn(normal)
}, { rounds: 15, warmUp: 12 })

const other = ManagedRuntime.make(SqliteStorage.layer({ filename: join(at, "other.db") }))
const flat = await flatness(
  (of, work) => (of === "long" ? full : other).runPromise(work),
  3
)

const { entries } = await full.runPromise(Runs.journal("flat-1"))
const bytes = JSON.stringify(entries[500]).length

const figures: ReadonlyArray<Figure> = [
  { figure: "limit: append of 300 bytes and fdatasync", value: rate(median(t.fdatasync)) },
  {
    figure: "limit: node:sqlite, a row a commit, FULL",
    value: rate(median(t.commit)),
    ratio: ratio(t.fdatasync, t.commit)
  },
  { figure: "limit: node:sqlite, a row a commit, NORMAL", value: rate(median(t.commitNormal)) },
  {
    figure: "sequential run on SQLite at FULL against a commit",
    value: `${rates(median(t.ours), median(t.commit))}, ${bytes} bytes a step`,
    ratio: ratio(t.commit, t.ours),
    atLeast: 0.8
  },
  {
    figure: "sequential run on SQLite at NORMAL against a commit",
    value: rates(median(t.oursNormal), median(t.commitNormal)),
    ratio: ratio(t.commitNormal, t.oursNormal)
  },
  {
    figure: "SQLite: a step of the last thousand of 10,000 against one of the first",
    value: `median of ${flat.length}`,
    ratio: median(flat),
    atMost: 1.5
  }
]
await full.dispose()
await normal.dispose()
await other.dispose()
report(figures)
