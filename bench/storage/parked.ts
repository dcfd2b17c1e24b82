/**
 * Runs that wait for an event and are nobody's any more: the disk that each takes besides its own lines, the
 * heap that is left of it in the process that started it, and how fast they are started beside short runs
 * of three steps that are awaited.
 */
import { ManagedRuntime, Schema } from "effect"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import type { Storage } from "../../src/index.ts"
import { Workflow } from "../../src/index.ts"
import { SqliteStorage } from "../../src/sqlite.ts"
import { directory } from "../files.ts"
import { type Figure, interleave, median, ratio, report, time } from "../measure.ts"
import { timed } from "../peers/shared.ts"
import { database, layerPostgres, plain, rates, short } from "./work.ts"

setFlagsFromString("--expose-gc")
const collect = runInNewContext("gc") as () => void

const inFlight = 64
const runs = 10_000
/** So many samples make all the runs. */
const rounds = 5
const perSample = runs / rounds

const parked = Workflow.make("parked", { events: { go: Schema.Void } }, function*(ctx, n: number) {
  yield* ctx.suspend("go")
  return n
})

type Runtime = ManagedRuntime.ManagedRuntime<Storage.Storage, unknown>

/** What `measured` finds on the disk, in bytes: all of it, and the lines of the journals alone. */
interface Disk {
  readonly all: number
  readonly lines: number
}

const heap = async (): Promise<number> => {
  for (let i = 0; i < 3; i++) {
    await new Promise((resolve) => setTimeout(resolve, 20))
    collect()
  }
  return process.memoryUsage().heapUsed
}

const measure = async (
  name: string,
  make: () => Promise<{
    readonly runtime: Runtime
    readonly disk: () => Promise<Disk>
    readonly close: () => Promise<void>
  }>
): Promise<ReadonlyArray<Figure>> => {
  const place = await make()
  const beside = await make()
  await Promise.all([place.runtime.context(), beside.runtime.context()])
  let serial = 0
  const start = async (runtime: Runtime, runs: number): Promise<void> => {
    let left = runs
    await Promise.all(Array.from({ length: inFlight }, async () => {
      while (left-- > 0) {
        const n = ++serial
        const result = await runtime.runPromise(parked.start(n, { runId: `parked-${n}` }))
        if (result.status !== "suspended") throw new Error(`A run is ${result.status}.`)
      }
    }))
  }
  let shorts = 0
  const short3 = (runs: number) =>
    timed(
      { runs, inFlight, steps: 3 },
      (run) =>
        beside.runtime.runPromise(short.execute({ run, steps: 3 }, { runId: `short-${++shorts}` }))
    )
  // Whatever is made once is made now.
  await start(beside.runtime, 1_000)
  await short3(1_000)

  const before = await place.disk()
  const heapBefore = await heap()
  const t = await interleave({
    parked: async () => await time(() => start(place.runtime, perSample)) / perSample,
    short: async () => await short3(500) / 500
  }, { rounds, warmUp: 0 })
  const grown = (await heap() - heapBefore) / runs
  const after = await place.disk()
  const lines = (after.lines - before.lines) / runs
  const disk = (after.all - before.all) / runs
  await place.close()
  await beside.close()
  return [
    {
      figure: `${name}, ${runs.toLocaleString("en")} parked runs: disk a run besides its lines`,
      value: `${Math.round(disk)} bytes, of which ${Math.round(lines)} are its lines`,
      ratio: disk - lines,
      atMost: 1_024
    },
    {
      figure: `${name}: bytes of heap a parked run`,
      value: `${Math.round(grown)} bytes`,
      ratio: grown,
      atMost: 200
    },
    {
      figure: `${name}: starting one against a short run`,
      value: rates(median(t.parked), median(t.short)),
      ratio: ratio(t.short, t.parked),
      atLeast: 1
    }
  ]
}

const at = directory()
let files = 0
const onSqlite = async () => {
  const filename = join(at, `${++files}.db`)
  const runtime = ManagedRuntime.make(SqliteStorage.layer({ filename }))
  return {
    runtime,
    close: () => runtime.dispose(),
    disk: async (): Promise<Disk> => {
      const db = new DatabaseSync(filename)
      db.exec("PRAGMA wal_checkpoint(TRUNCATE)")
      const all = db.prepare(
        "SELECT page_count * page_size AS bytes FROM pragma_page_count, pragma_page_size"
      )
        .get()
      const lines = db.prepare(
        "SELECT total(length(CAST(line AS BLOB))) AS bytes FROM reprise_entries"
      )
        .get()
      db.close()
      return { all: Number(all!.bytes), lines: Number(lines!.bytes) }
    }
  }
}

const onPostgres = async () => {
  const { drop, url } = await database()
  const runtime = ManagedRuntime.make(layerPostgres(url))
  const sql = plain(url, 1)
  return {
    runtime,
    close: async () => {
      await runtime.dispose()
      await sql.end()
      await drop()
    },
    disk: async (): Promise<Disk> => {
      const [all] =
        await sql`SELECT sum(pg_total_relation_size(c.oid))::float8 AS bytes FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'reprise' AND c.relkind = 'r'`
      const [lines] = await sql`SELECT coalesce(sum(octet_length(line)), 0)::float8 AS bytes
        FROM reprise.entries`
      return { all: all!.bytes, lines: lines!.bytes }
    }
  }
}

report([
  ...await measure("SQLite", onSqlite),
  ...await measure("Postgres", onPostgres)
])
