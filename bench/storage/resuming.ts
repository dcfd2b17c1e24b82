/**
 * The new process of `resume`. It loads what a user's process does, which is the built package and one storage,
 * and nothing of what measures it.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import type { Storage } from "../../src/index.ts"
import { type Kind, recorded, type Resume, runId, type Sample } from "./recorded.ts"

type Index = typeof import("../../src/index.ts")

/** An entry of the built package; its types are those of the source. */
const built = <A>(entry: string): Promise<A> => import(`../../dist/${entry}.js`)

const layers: Record<
  Kind,
  (place: string) => Promise<Layer.Layer<Storage.Storage, unknown>>
> = {
  SQLite: async (filename) => {
    type Sqlite = typeof import("../../src/sqlite.ts")
    const { SqliteStorage } = await built<Sqlite>("sqlite")
    return SqliteStorage.layer({ filename })
  },
  LocalStorage: async (directory) => {
    type Node = typeof import("../../src/node.ts")
    const { NodeLocalStorage } = await built<Node>("node")
    return NodeLocalStorage.layer(directory)
  },
  Postgres: async (url) => {
    type Postgres = typeof import("../../src/postgres.ts")
    const { PostgresStorage } = await built<Postgres>("postgres")
    const PgClient = await import("@effect/sql-pg/PgClient")
    const Redacted = await import("effect/Redacted")
    return PostgresStorage.layer().pipe(Layer.provide(PgClient.layer({ url: Redacted.make(url) })))
  }
}

const { kind, place, steps } = JSON.parse(process.argv[2]!) as Resume
const { Storage: { Storage: service }, Workflow } = await built<Index>("index")
const workflow = recorded(Workflow, () => Effect.void)
const runtime = ManagedRuntime.make(await layers[kind](place))
const opening = performance.now()
await runtime.context()
const open = performance.now() - opening

const resumed = workflow.resume(runId).pipe(
  Effect.provideService(Workflow.JournalLimits, { warn: Infinity, stop: Infinity })
)
const began = performance.now()
const result = await runtime.runPromise(resumed)
const call = performance.now() - began
if (result.status !== "success" || result.result !== steps) {
  throw new Error(`The run is ${JSON.stringify(result)}.`)
}

const { journal } = await runtime.runPromise(
  Effect.flatMap(service, (storage) => storage.read(runId))
)
const lines = journal.entries.map((entry) => JSON.stringify(entry))
const parseBegan = performance.now()
for (const line of lines) JSON.parse(line)
const parse = performance.now() - parseBegan
process.send?.({ open, call, parse } satisfies Sample)
process.disconnect?.()
process.exit()
