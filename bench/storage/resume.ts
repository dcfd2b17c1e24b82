/**
 * A run that goes on in a new process, from the call to its end, with modules loaded and the storage open: those
 * of the built package, as users and peers have them.
 * Its journal has so many steps, and one more is to be made. Beside peers whose run does the same, each in a
 * new process too, and beside `JSON.parse` of the same journal, line by line, in the same process: neither
 * has anything compiled before.
 */
import { NodePath } from "@effect/platform-node"
import { Deferred, Effect, Layer } from "effect"
import { fork } from "node:child_process"
import { once } from "node:events"
import { cpSync } from "node:fs"
import { join } from "node:path"
import { execute } from "../../scripts/postgres.ts"
import { LocalStorage, type Storage, Workflow } from "../../src/index.ts"
import { SqliteStorage } from "../../src/sqlite.ts"
import { directory, layerSync } from "../files.ts"
import { type Figure, median, ratio, report, show } from "../measure.ts"
import * as peers from "../peers/resume.ts"
import { type Kind, recorded, type Resume, runId, type Sample } from "./recorded.ts"
import { database, layerPostgres, type TestDatabase } from "./work.ts"

const kinds = ["SQLite", "LocalStorage", "Postgres"] as const

/** Called where the last step is made. */
let atEnd: () => Effect.Effect<void> = () => Effect.void

const workflow = recorded(Workflow, () => atEnd())

const resume = async (of: Resume): Promise<Sample> => {
  const child = fork(join(import.meta.dirname, "resuming.ts"), [JSON.stringify(of)])
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
        Effect.orDie(workflow.start(steps, { runId })),
        Deferred.await(isThere)
      )
    }).pipe(
      Effect.provideService(Workflow.JournalLimits, { warn: Infinity, stop: Infinity }),
      Effect.provide(layer)
    )
  )

/** Where the journal is: a copy for each sample. */
interface Places {
  readonly copy: () => Promise<TestDatabase>
  readonly drop: () => Promise<void>
}

const inDatabase = async (record: (url: string) => Promise<unknown>): Promise<Places> => {
  const made = await database()
  const name = new URL(made.url).pathname.slice(1)
  // Of this database only, and not of its copies.
  await execute(made.url, `ALTER DATABASE ${name} SET synchronous_commit = off`)
  await record(made.url)
  let serial = 0
  return {
    drop: made.drop,
    copy: async () => {
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

let originals = 0

const onDisk = async (record: (path: string) => Promise<unknown>): Promise<Places> => {
  const original = join(at, `${++originals}`)
  await record(original)
  const drop = async () => {}
  let serial = 0
  return {
    drop,
    copy: async () => {
      const url = `${original}-${++serial}`
      cpSync(original, url, { recursive: true })
      return { url, drop }
    }
  }
}

const prepare = (kind: Kind, steps: number): Promise<Places> =>
  kind === "Postgres"
    ? inDatabase((url) => record(steps, layerPostgres(url)))
    : kind === "SQLite"
    ? onDisk((filename) => record(steps, SqliteStorage.layer({ filename, synchronous: "NORMAL" })))
    : onDisk((path) =>
      record(
        steps,
        LocalStorage.layer(path).pipe(
          Layer.provide([layerSync(() => Effect.void), NodePath.layer])
        )
      )
    )

const preparePeer = (of: peers.Peer, steps: number): Promise<Places> =>
  (of === "openworkflow on SQLite" ? onDisk : inDatabase)((place) =>
    peers.record({ peer: of, place, steps })
  )

// ---------------------------------------------------------------------------------------------------

const sizes = [1_000, 10_000] as const
/** Many, as other load is in most of them, and the goals are for the least that it takes. */
const rounds = 21

/** One who resumes a journal of one length, with samples by round: who takes long is not in every round. */
interface Contender<A extends { readonly call: number } = { readonly call: number }> {
  readonly steps: number
  readonly places: Places
  readonly every: number
  readonly take: (place: string) => Promise<A>
  readonly samples: Map<number, A>
}

const ours: Array<Contender<Sample> & { readonly kind: Kind }> = []
for (const kind of kinds) {
  for (const steps of sizes) {
    const places = await prepare(kind, steps)
    const take = (place: string) => resume({ kind, place, steps })
    ours.push({ kind, steps, places, every: 1, take, samples: new Map() })
  }
}

const theirs: Array<Contender & { readonly peer: peers.Peer }> = []
for (const peer of peers.peers) {
  for (const steps of sizes) {
    const places = await preparePeer(peer, steps)
    const take = async (place: string) => ({ call: await peers.resume({ peer, place, steps }) })
    // It takes seconds for 10,000 steps.
    const every = peer === "DBOS on Postgres" ? 7 : 1
    theirs.push({ peer, steps, places, every, take, samples: new Map() })
  }
}

const sample = async <A extends { readonly call: number }>(
  { every, places, samples, take }: Contender<A>,
  round: number
): Promise<void> => {
  if (round % every !== 0) return
  const { drop, url } = await places.copy()
  const taken = await take(url)
  // The first round is there to warm the disk and the server.
  if (round >= 0) samples.set(round, taken)
  await drop()
}

for (let round = -1; round < rounds; round++) {
  for (const our of ours) await sample(our, round)
  for (const their of theirs) await sample(their, round)
}
for (const { places } of [...ours, ...theirs]) await places.drop()

const calls = ({ samples }: Contender): ReadonlyArray<number> =>
  [...samples.values()].map(({ call }) => call)

const middle = (of: Contender): number => median(calls(of))

/** How often `b` fits into `a`: by neighbours, in the rounds that both were in. */
const times = (a: Contender, b: Contender): number => {
  const both = [...a.samples.keys()].filter((round) => b.samples.has(round))
  return ratio(
    both.map((round) => a.samples.get(round)!.call),
    both.map((round) => b.samples.get(round)!.call)
  )
}

// ---------------------------------------------------------------------------------------------------

/** Milliseconds for 1,000 and for 10,000 steps: goals that were set on another, quicker machine. */
const limits: Readonly<Record<Kind, readonly [number, number]>> = {
  SQLite: [20, 60],
  LocalStorage: [20, 60],
  Postgres: [Infinity, 120]
}

const figures: Array<Figure> = []
for (const our of ours) {
  const { kind, steps } = our
  const samples = [...our.samples.values()]
  const figure = `resume of ${steps.toLocaleString("en")} steps on ${kind}`
  const beside = (name: string, their: Contender): Figure => ({
    figure: `${figure}: times ${name}`,
    value: `${show(middle(our))} against ${show(middle(their))}`,
    ratio: times(their, our)
  })
  const open = show(median(samples.map((sample) => sample.open)))
  const parse = show(median(samples.map((sample) => sample.parse)))
  const most = limits[kind][steps === 1_000 ? 0 : 1]
  figures.push({
    figure: `${figure}: milliseconds`,
    // A time that is no ratio takes other load for its own: the best has least of that.
    value: `${show(middle(our))}, at best ${show(Math.min(...calls(our)))}, `
      + `behind ${open} to open`,
    ratio: Math.min(...calls(our)),
    ...(most === Infinity ? undefined : { atMost: most })
  }, {
    figure: `${figure}: times JSON.parse`,
    value: `${show(middle(our))} against ${parse}`,
    ratio: median(samples.map(({ call, parse }) => call / parse))
  })
  const same = theirs.filter((their) => their.steps === steps)
  for (const their of same) {
    if (their.peer.endsWith(kind)) figures.push(beside(peers.names[their.peer], their))
  }
}
for (const kind of kinds) {
  const [shorter, longer] = ours.filter((our) => our.kind === kind)
  figures.push({
    figure: `resume on ${kind}: 10,000 steps against 1,000`,
    value: `${show(middle(longer!))} against ${show(middle(shorter!))}`,
    ratio: times(longer!, shorter!),
    atMost: 12
  })
}
report(figures)
