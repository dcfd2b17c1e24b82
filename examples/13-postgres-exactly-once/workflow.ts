/**
 * Two workflows whose steps commit together with the journal: transfers between accounts, and an order
 * that is paid for. They know nothing of who kills their process.
 */
import { Effect, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { Workflow } from "reprise"

/** The program's own tables, in the same database as the journals. */
export const tables = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  yield* sql`CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL)`
  yield* sql`INSERT INTO accounts SELECT n, 1000 FROM generate_series(0, 4) n`
  // No key: a transfer that was made twice would stand here twice.
  yield* sql`CREATE TABLE transfers (nth int NOT NULL, euros int NOT NULL)`
  yield* sql`CREATE TABLE orders (id text PRIMARY KEY, item text NOT NULL, paid bool NOT NULL)`
})

/** One transfer. `halfway` is called when the money has left, and has not arrived. */
const transfer = Effect.fn("transfer")(function*(nth: number, halfway: Effect.Effect<void>) {
  const sql = yield* SqlClient.SqlClient
  const euros = 1 + nth * 7 % 20
  yield* sql`UPDATE accounts SET balance = balance - ${euros} WHERE id = ${nth % 5}`
  yield* halfway
  yield* sql`UPDATE accounts SET balance = balance + ${euros} WHERE id = ${(nth * 3 + 1) % 5}`
  yield* sql`INSERT INTO transfers (nth, euros) VALUES (${nth}, ${euros})`
  return euros
})

export const makeTransfers = (halfway: (nth: number) => Effect.Effect<void> = () => Effect.void) =>
  Workflow.make(
    "transfers",
    { input: Schema.Struct({ count: Schema.Int }) },
    function*(ctx, input) {
      let moved = 0
      for (let nth = 0; nth < input.count; nth++) {
        // The two updates, the row and the entry in the journal: all of them, or none.
        moved += yield* ctx.transaction(`transfer-${nth}`, transfer(nth, halfway(nth)))
      }
      return moved
    }
  )

export const order = Workflow.make(
  "order",
  { input: Schema.Struct({ id: Schema.String }) },
  function*(ctx, { id }) {
    yield* ctx.transaction(
      "pay",
      Effect.flatMap(
        SqlClient.SqlClient,
        (sql) => Effect.asVoid(sql`UPDATE orders SET paid = true WHERE id = ${id}`)
      )
    )
    return `order ${id} is paid`
  }
)
