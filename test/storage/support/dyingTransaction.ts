/**
 * A process that begins a run with one transaction and kills itself at a moment of it:
 * - `work`: the transaction has written, and its entry is not made yet
 * - `commit`: its entry is written, too, and COMMIT is not sent
 * - `told`: it is committed, and the engine has not heard of that
 */
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { makePaying } from "./paying.ts"
import { storageOf } from "./transfers.ts"

const [url, moment] = process.argv.slice(2)

const die = Effect.suspend(() => {
  process.kill(process.pid, "SIGKILL")
  return Effect.never
})
const dieAt = (here: string) => here === moment ? die : Effect.void

/** Set once the step is at work: what the storage does in transactions before that is not meant. */
let isAtWork = false
const work = Effect.suspend(() => {
  isAtWork = true
  return dieAt("work")
})

const program = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const { withTransaction } = sql
  Object.assign(sql, {
    withTransaction: <A, E, R>(inside: Effect.Effect<A, E, R>) => {
      const before = Effect.tap(inside, () => isAtWork ? dieAt("commit") : Effect.void)
      return Effect.tap(withTransaction(before), () => isAtWork ? dieAt("told") : Effect.void)
    }
  })
  yield* makePaying(work).start(undefined, { runId: "r" })
})

await Effect.runPromise(Effect.provide(program, storageOf(url!)))
