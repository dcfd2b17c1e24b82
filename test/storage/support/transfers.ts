/**
 * Postgres as the tests of its storage use it: pools, accounts in a table of the program's own, and a
 * workflow that moves money between them with `ctx.transaction`.
 */
import { PgClient } from "@effect/sql-pg"
import { Context, Effect, Layer, Redacted, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { Runs, type Storage, Workflow } from "reprise"
import { PostgresStorage } from "reprise/postgres"
import { random } from "./random.ts"

export type Pool = Omit<PgClient.PgPoolConfig, "url">

/** A pool of connections; `maxConnections` is 8 unless told otherwise. */
export const poolOf = (url: string, options: Pool = {}) =>
  PgClient.layer({ url: Redacted.make(url), maxConnections: 8, ...options })

/** The storage over a pool of its own, with its tables. */
export const storageOf = (url: string, options: Pool = {}, schema?: string) =>
  Layer.provideMerge(PostgresStorage.layer({ schema }), poolOf(url, options))

export type Services = Storage.Storage | SqlClient.SqlClient

/** A process of its own, as far as the storage can tell: a pool and a storage until the scope closes. */
export const processOn = (url: string, options: Pool = {}, schema?: string) =>
  Effect.map(
    Layer.build(Layer.fresh(storageOf(url, options, schema))),
    (context) => ({
      context,
      run: <A, E>(effect: Effect.Effect<A, E, Services>) =>
        Effect.provideContext(effect, context as Context.Context<Services>)
    })
  )

/** What is in a table of the program's own, as the server tells it. */
export const query = <A extends object>(text: string, params: ReadonlyArray<unknown> = []) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) => sql.unsafe<A>(text, params))

/** A table in which a transaction leaves a mark: the second of the same name is refused. */
export const marks = query("CREATE TABLE IF NOT EXISTS marks (name text PRIMARY KEY)")

export const mark = (name: string) =>
  Effect.as(query("INSERT INTO marks (name) VALUES ($1)", [name]), name)

export const marked = Effect.map(
  query<{ name: string }>(`SELECT name FROM marks ORDER BY name COLLATE "C"`),
  (rows) => rows.map(({ name }) => name)
)

/** The entries of a run, by type; those of steps with their id. */
export const told = (runId: string) =>
  Effect.map(
    Runs.journal(runId),
    ({ entries }) =>
      entries.map((entry) => entry.type === "step" ? `step ${entry.stepId}` : entry.type)
  )

// ---------------------------------------------------------------------------------------------------
// accounts

export const deposit = 1_000

/** So many accounts with a deposit each, and no transfers. */
export const openAccounts = (many: number) =>
  Effect.gen(function*() {
    yield* query("CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL)")
    // The same transfer may stand here twice: it is the test that counts them.
    yield* query("CREATE TABLE transfers (id text NOT NULL, amount int NOT NULL)")
    yield* query("INSERT INTO accounts SELECT n, $1::int FROM generate_series(0, $2::int - 1) n", [
      deposit,
      many
    ])
  })

/** A run of transfers between so many accounts; the same seed makes the same. */
export const Transfers = Schema.Struct({
  accounts: Schema.Int,
  rounds: Schema.Int,
  seed: Schema.Int
})

/** One transfer in the transaction that is open. The order of its accounts is by chance: some deadlock. */
const transfer = (id: string, accounts: number, seed: number) =>
  Effect.gen(function*() {
    const chance = random(seed)
    const from = chance.below(accounts)
    const to = (from + 1 + chance.below(accounts - 1)) % accounts
    const amount = 1 + chance.below(20)
    yield* query("UPDATE accounts SET balance = balance - $2 WHERE id = $1", [from, amount])
    yield* query("UPDATE accounts SET balance = balance + $2 WHERE id = $1", [to, amount])
    yield* query("INSERT INTO transfers (id, amount) VALUES ($1, $2)", [id, amount])
    return amount
  })

/** Makes its transfers one after the other, and goes on behind the last until it `isOver`. */
export const makeTransfers = (
  { isOver, onTry }: { readonly isOver: () => boolean; readonly onTry: () => void }
) =>
  Workflow.make("transfers", { input: Transfers }, function*(ctx, { accounts, rounds, seed }) {
    const runId = yield* ctx.runId
    for (let nth = 0;; nth++) {
      if (nth >= rounds && (yield* ctx.step(`look-${nth}`, isOver))) return nth
      yield* ctx.transaction(
        `transfer-${nth}`,
        Effect.andThen(
          Effect.sync(onTry),
          transfer(`${runId}/${nth}`, accounts, seed + nth * 7_919)
        )
      )
    }
  })

/** What stands, looked at when nobody writes any more. */
export interface Audit {
  /** What should not be: nothing where all is well. */
  readonly wrong: ReadonlyArray<string>
  /** How many transfers were made. */
  readonly made: number
}

/** Compares accounts, transfers and the journals of `ids`. */
export const audit = (accounts: number, ids: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const wrong: Array<string> = []
    const [sum] = yield* query<{ total: number }>("SELECT sum(balance)::int AS total FROM accounts")
    const drift = sum!.total - accounts * deposit
    if (drift !== 0) wrong.push(`the balances drifted by ${drift}`)
    const rows = yield* query<{ id: string; amount: number; times: number }>(
      "SELECT id, min(amount) AS amount, count(*)::int AS times FROM transfers GROUP BY id"
    )
    const found = new Map(rows.map((row) => [row.id, row]))
    let made = 0
    for (const runId of ids) {
      const { entries } = yield* Runs.journal(runId)
      if (entries.at(-1)?.type !== "complete") wrong.push(`run ${runId} is not complete`)
      let nth = 0
      for (const entry of entries) {
        if (entry.type !== "step" || !entry.stepId.startsWith("transfer-")) continue
        if (entry.stepId !== `transfer-${nth}`) {
          wrong.push(`run ${runId} has ${entry.stepId} where transfer-${nth} should be`)
        }
        const id = `${runId}/${nth++}`
        const row = found.get(id)
        found.delete(id)
        if (row?.times !== 1) wrong.push(`transfer ${id} was made ${row?.times ?? 0} times`)
        else if (row.amount !== entry.result) {
          wrong.push(
            `transfer ${id} moved ${row.amount}, and its entry says ${JSON.stringify(entry.result)}`
          )
        }
        made++
      }
    }
    for (const id of found.keys()) wrong.push(`transfer ${id} is in no journal`)
    return { wrong, made } satisfies Audit
  })
