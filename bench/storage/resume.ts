/**
 * A run that goes on in a new process, from the call to its end, with modules loaded and the storage open.
 * Its journal has so many steps, and one more is to be made. Beside `JSON.parse` of the same journal, line by
 * line, in the same process: neither has anything compiled before.
 */
import { NodePath } from "@effect/platform-node"
import { Deferred, Effect, Layer, ManagedRuntime } from "effect"
import { fork } from "node:child_process"
import { once } from "node:events"
import { cpSync } from "node:fs"
import { join } from "node:path"
import { execute } from "../../scripts/postgres.ts"
import { LocalStorage, Storage, Workflow } from "../../src/index.ts"
import { NodeLocalStorage } from "../../src/node.ts"
import { SqliteStorage } from "../../src/sqlite.ts"
import { directory, layerSync } from "../files.ts"
import { type Figure, median, report, show } from "../measure.ts"
import { database, layerPostgres, type TestDatabase } from "./work.ts"

const kinds = ["SQLite", "LocalStorage", "Postgres"] as const
type Kind = typeof kinds[number]

interface Resume {
  readonly kind: Kind
  /** A file, a directory, or a database. */
  readonly place: string
  readonly steps: number
}

interface Sample {
  /** Opening the storage: its file or its connections, and a look at its tables. */
  readonly open: number
  /** The run itself. */
  readonly call: number
  /** JSON.parse of the journal. */
  readonly parse: number
}

const runId = "run"

const layerOf = (kind: Kind, place: string): Layer.Layer<Storage.Storage, unknown> =>
  kind === "SQLite"
    ? SqliteStorage.layer({ filename: place })
    : kind === "Postgres"
    ? layerPostgres(place)
    : NodeLocalStorage.layer(place)

/** Called where the last step is made. */
let atEnd: () => Effect.Effect<void> = () => Effect.void

const recorded = Workflow.make("recorded", function*(ctx, n: number) {
  for (let i = 0; i < n; i++) {
    yield* ctx.step("classify", () => ({ category: "bug", severity: i % 6 }))
  }
  yield* ctx.step("last", () => atEnd())
  return n
})

const unlimited = Effect.provideService(Workflow.JournalLimits, { warn: Infinity, stop: Infinity })

// ---------------------------------------------------------------------------------------------------
// the new process

const asked = process.env.BENCH_RESUME
if (asked !== undefined) {
  const { kind, place, steps } = JSON.parse(asked) as Resume
  const runtime = ManagedRuntime.make(layerOf(kind, place))
  const opening = performance.now()
  await runtime.context()
  const open = performance.now() - opening
  const began = performance.now()
  const result = await runtime.runPromise(unlimited(recorded.resume(runId)))
  const call = performance.now() - began
  if (result.status !== "success" || result.result !== steps) {
    throw new Error(`The run is ${JSON.stringify(result)}.`)
  }
  const { journal } = await runtime.runPromise(
    Effect.flatMap(Storage.Storage, (storage) => storage.read(runId))
  )
  const lines = journal.entries.map((entry) => JSON.stringify(entry))
  const parseBegan = performance.now()
  for (const line of lines) JSON.parse(line)
  const parse = performance.now() - parseBegan
  process.send?.({ open, call, parse } satisfies Sample)
  process.disconnect?.()
  process.exit()
}

const resume = async (of: Resume): Promise<Sample> => {
  const child = fork(import.meta.filename, {
    env: { ...process.env, BENCH_RESUME: JSON.stringify(of) }
  })
  const exited = once(child, "exit")
  const [sample] = await Promise.race([
    once(child, "message"),
    exited.then(([code]) => Promise.reject(new Error(`The resuming process ended with ${code}.`)))
  ])
  await exited
  return sample as Sample
}

// ---------------------------------------------------------------------------------------------------
// the journals

const at = directory()

const record = (steps: number, layer: Layer.Layer<Storage.Storage, unknown>): Promise<unknown> =>
  Effect.runPromise(
    Effect.gen(function*() {
      const isThere = yield* Deferred.make<void>()
      atEnd = () => Effect.andThen(Deferred.succeed(isThere, undefined), Effect.never)
      yield* Effect.raceFirst(
        Effect.orDie(recorded.start(steps, { runId })),
        Deferred.await(isThere)
      )
    }).pipe(unlimited, Effect.provide(layer))
  )

/** Makes the journal once; gives a function that makes a copy of its place, and one that gives that back. */
const prepare = async (kind: Kind, steps: number) => {
  let serial = 0
  const original = join(at, `${kind}-${steps}`)
  const nothing = async () => {}
  if (kind === "Postgres") {
    const made = await database()
    const name = new URL(made.url).pathname.slice(1)
    // Of this database only, and not of its copies.
    await execute(made.url, `ALTER DATABASE ${name} SET synchronous_commit = off`)
    await record(steps, layerPostgres(made.url))
    return {
      drop: made.drop,
      copy: async (): Promise<TestDatabase> => {
        const copy = new URL(made.url)
        copy.pathname = `/${name}_${++serial}`
        const own = copy.pathname.slice(1)
        await execute(process.env.DATABASE_URL!, `CREATE DATABASE ${own} TEMPLATE ${name}`)
        return {
          url: copy.href,
          drop: async () =>
            void await execute(process.env.DATABASE_URL!, `DROP DATABASE ${own} WITH (FORCE)`)
        }
      }
    }
  }
  await record(
    steps,
    kind === "SQLite"
      ? SqliteStorage.layer({ filename: original, synchronous: "NORMAL" })
      : LocalStorage.layer(original).pipe(
        Layer.provide([layerSync(() => Effect.void), NodePath.layer])
      )
  )
  return {
    drop: nothing,
    copy: async (): Promise<TestDatabase> => {
      const url = `${original}-${++serial}`
      cpSync(original, url, { recursive: true })
      return { url, drop: nothing }
    }
  }
}

// ---------------------------------------------------------------------------------------------------

const limits: Readonly<Record<Kind, readonly [number, number]>> = {
  SQLite: [20, 60],
  LocalStorage: [20, 60],
  Postgres: [Infinity, 120]
}
const rounds = 9
const figures: Array<Figure> = []

for (const kind of kinds) {
  const sizes = [1_000, 10_000] as const
  const prepared = [await prepare(kind, sizes[0]), await prepare(kind, sizes[1])]
  const samples: Array<Array<Sample>> = [[], []]
  for (let round = -1; round < rounds; round++) {
    for (const [i, steps] of sizes.entries()) {
      const { drop, url } = await prepared[i]!.copy()
      const sample = await resume({ kind, place: url, steps })
      if (round >= 0) samples[i]!.push(sample)
      await drop()
    }
  }
  for (const [i, steps] of sizes.entries()) {
    const of = samples[i]!
    const call = of.map((sample) => sample.call)
    const parse = median(of.map((sample) => sample.parse))
    const open = show(median(of.map((sample) => sample.open)))
    const most = limits[kind][i]!
    const figure = `resume of ${steps.toLocaleString("en")} steps on ${kind}`
    figures.push({
      figure: `${figure}: milliseconds`,
      // A time that is no ratio takes other load for its own: the best has least of that.
      value: `${show(median(call))}, at best ${show(Math.min(...call))}, behind ${open} to open`,
      ratio: Math.min(...call),
      ...(most === Infinity ? undefined : { atMost: most })
    }, {
      figure: `${figure}: times JSON.parse`,
      value: `${show(median(call))} against ${show(parse)}`,
      ratio: median(of.map(({ call, parse }) => call / parse))
    })
  }
  const [shorter, longer] = [samples[0]!, samples[1]!]
  figures.push({
    figure: `resume on ${kind}: 10,000 steps against 1,000`,
    value: [longer, shorter].map((of) => show(median(of.map(({ call }) => call)))).join(
      " against "
    ),
    ratio: median(longer.map(({ call }, round) => call / shorter[round]!.call)),
    atMost: 12
  })
  for (const { drop } of prepared) await drop()
}
report(figures)
