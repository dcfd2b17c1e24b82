/**
 * What types say of transactions and storages: what `ctx.transaction` infers and refuses, what a layer gives
 * and needs, and how a run is started inside the caller's own transaction.
 */
import { Context, Effect, type Layer, Redacted, Schema } from "effect"
import type { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import { type Instruction, type Storage, Workflow } from "reprise"
import { ObjectStorage } from "reprise/objects"
import { PostgresStorage } from "reprise/postgres"
import { SqliteStorage } from "reprise/sqlite"
import { describe, expectTypeOf, it } from "vitest"
import { expectBare } from "./support/bare.ts"

class NoStock extends Schema.TaggedError<NoStock>()("NoStock", { sku: Schema.String }) {}
class NoMoney extends Schema.TaggedError<NoMoney>()("NoMoney", { missing: Schema.Number }) {}
class Shop extends Context.Service<Shop, {
  readonly reserve: (sku: string) => Effect.Effect<number, NoStock>
}>()("test/Shop") {}

const ctx = null as unknown as Workflow.Ctx
type Sql = SqlClient.SqlClient
/** Short for what is written in every line here. */
type I<A, E = never, R = Sql> = Instruction.Instruction<A, E, R>

const select = null as unknown as Effect.Effect<ReadonlyArray<{ id: string }>, SqlError, Sql>
const reserve = Effect.flatMap(Shop, (shop) => shop.reserve("a"))

describe("ctx.transaction", () => {
  it("gives what its Effect succeeds with, and needs the database even where the Effect does not", () => {
    expectBare(ctx.transaction("t", Effect.succeed(1))).toEqualTypeOf<I<number>>()
    expectBare(ctx.transaction("t", () => Effect.succeed("a"))).toEqualTypeOf<I<string>>()
    expectBare(ctx.transaction("t", () => Effect.void)).toEqualTypeOf<I<void>>()
    expectBare(ctx.transaction("t", Effect.succeed(1)))
      // @ts-expect-error without a database there is no transaction
      .toEqualTypeOf<I<number, never, never>>()
    expectBare(ctx.transaction("t", Effect.succeed(1)))
      // @ts-expect-error not the Effect itself
      .toEqualTypeOf<I<Effect.Effect<number>>>()
  })

  it("has the failures and services of its Effect", () => {
    expectBare(ctx.transaction("t", select)).toEqualTypeOf<
      I<ReadonlyArray<{ id: string }>, Instruction.Undeclared<SqlError>>
    >()
    expectBare(ctx.transaction("t", () => reserve)).toEqualTypeOf<
      I<number, Instruction.Undeclared<NoStock>, Sql | Shop>
    >()
    expectBare(ctx.transaction("t", () => reserve, { error: NoStock }))
      .toEqualTypeOf<I<number, NoStock, Sql | Shop>>()
    expectBare(ctx.transaction("t", () => reserve))
      // @ts-expect-error it needs the shop, too
      .toEqualTypeOf<I<number, Instruction.Undeclared<NoStock>>>()
    expectBare(ctx.transaction("t", () => reserve, { error: NoStock }))
      // @ts-expect-error it can fail
      .toEqualTypeOf<I<number, never, Sql | Shop>>()
  })

  it("puts the database into what start needs", () => {
    const sql = Workflow.make("w", function*(ctx) {
      yield* ctx.transaction("t", Effect.succeed(1))
    })
    const plain = Workflow.make("w", function*(ctx) {
      yield* ctx.step("t", Effect.succeed(1))
    })
    const branched = Workflow.make("w", function*(ctx) {
      yield* ctx.all({ a: ctx.transaction("t", reserve) })
    })
    expectTypeOf<Effect.Services<ReturnType<typeof sql.start>>>()
      .toEqualTypeOf<Storage.Storage | Sql>()
    expectTypeOf<Effect.Services<ReturnType<typeof sql.resume>>>()
      .toEqualTypeOf<Storage.Storage | Sql>()
    expectTypeOf<Effect.Services<ReturnType<typeof branched.start>>>()
      .toEqualTypeOf<Storage.Storage | Sql | Shop>()
    // Whoever only writes down that it is to be started needs none of the body's services.
    expectTypeOf<Effect.Services<ReturnType<typeof sql.enqueue>>>()
      .toEqualTypeOf<Storage.Storage>()
    expectTypeOf<Effect.Services<ReturnType<typeof plain.start>>>()
      // @ts-expect-error a step needs no database
      .toEqualTypeOf<Storage.Storage | Sql>()
  })

  it("takes an Effect or a function that gives one, and nothing else", () => {
    ctx.transaction("t", ({ attempt, idempotencyKey }) => Effect.succeed([attempt, idempotencyKey]))
    // @ts-expect-error a plain function's work cannot be rolled back
    ctx.transaction("t", () => 1)
    // @ts-expect-error nor a Promise's
    ctx.transaction("t", async () => 1)
    // @ts-expect-error nor that of a generator function
    ctx.transaction("t", function*() {})
    // @ts-expect-error a value is no work
    ctx.transaction("t", 1)
  })

  it("holds its value to what a journal can keep", () => {
    expectBare(ctx.transaction("t", Effect.succeed(new Date(0)), { schema: Schema.Date }))
      .toEqualTypeOf<I<Date>>()
    // @ts-expect-error JSON has no dates
    ctx.transaction("t", Effect.succeed(new Date(0)))
    // @ts-expect-error the schema is of numbers
    ctx.transaction("t", Effect.succeed("a"), { schema: Schema.Number })
  })

  it("has retry, timeout and undo, and no delivery: it happens once", () => {
    ctx.transaction("t", select, { retry: 3, timeout: "1 second" })
    const undone = ctx.transaction("t", Effect.succeed(1), {
      undo: (n) => ctx.transaction("u", Effect.succeed(n ?? 0))
    })
    expectBare(undone).toEqualTypeOf<I<number>>()
    // @ts-expect-error there is nothing to choose
    ctx.transaction("t", select, { delivery: "at-most-once" })
    // @ts-expect-error not even the other
    ctx.transaction("t", select, { delivery: "at-least-once" })
  })

  it("is held to the workflow's error schema", () => {
    Workflow.make("w", { error: NoStock }, function*(ctx) {
      yield* ctx.transaction("t", reserve)
    })
    Workflow.make("w", function*(ctx) {
      yield* ctx.transaction("t", reserve)
    })
    // @ts-expect-error the workflow declares something else
    Workflow.make("w", { error: NoMoney }, function*(ctx) {
      yield* ctx.transaction("t", reserve)
    })
    // @ts-expect-error its own schema declares something else
    ctx.transaction("t", reserve, { error: NoMoney })
  })

  it("is known by its name and value", () => {
    type Named<Name extends string> = Instruction.Instruction<
      number,
      never,
      Sql,
      Instruction.Named<Name, number>
    >
    const one = ctx.transaction("one", Effect.succeed(1))
    expectTypeOf(one).toEqualTypeOf<Named<"one">>()
    // @ts-expect-error by its own name
    expectTypeOf(one).toEqualTypeOf<Named<"two">>()
  })
})

describe("startIn", () => {
  const contract = Workflow.define("order", { input: Schema.Struct({ at: Schema.Date }) })
  const workflow = contract.make(function*(ctx) {
    yield* ctx.step("s", reserve)
  })

  it("takes a contract or a workflow with its input, and needs storage and database alone", () => {
    for (const { startIn } of [PostgresStorage, SqliteStorage]) {
      const started = startIn(contract, { at: new Date(0) }, { runId: "r" })
      expectTypeOf(started).toEqualTypeOf<
        Effect.Effect<string, Workflow.EngineError, Storage.Storage | Sql>
      >()
      expectTypeOf(startIn(workflow, { at: new Date(0) })).toEqualTypeOf(started)
      expectTypeOf(started)
        // @ts-expect-error the transaction is on a database
        .toEqualTypeOf<Effect.Effect<string, Workflow.EngineError, Storage.Storage>>()
    }
  })

  it("refuses another input", () => {
    // @ts-expect-error as the schema has it, not as JSON has it
    void PostgresStorage.startIn(contract, { at: "1970-01-01T00:00:00.000Z" })
    // @ts-expect-error a field is missing
    void PostgresStorage.startIn(workflow, {})
    // @ts-expect-error there is an input
    void SqliteStorage.startIn(contract)
    // @ts-expect-error there is no such option
    void SqliteStorage.startIn(contract, { at: new Date(0) }, { id: "r" })
  })

  it("has the services of the input's schema", () => {
    const At = null as unknown as Schema.Codec<Date, string, Shop, Shop>
    const started = PostgresStorage.startIn(Workflow.define("w", { input: At }), new Date(0))
    expectTypeOf<Effect.Services<typeof started>>().toEqualTypeOf<Storage.Storage | Sql | Shop>()
    expectTypeOf<Effect.Services<typeof started>>()
      // @ts-expect-error it encodes by the shop
      .toEqualTypeOf<Storage.Storage | Sql>()
  })
})

describe("inTransaction", () => {
  it("adds storage and database to what an effect needs", () => {
    const send = Workflow.define("w", { events: { go: Schema.String } })
      .send("r", { eventName: "go", value: "a" })
    const sent = SqliteStorage.inTransaction(send)
    expectTypeOf<Effect.Services<typeof sent>>().toEqualTypeOf<Storage.Storage | Sql>()
    expectTypeOf<Effect.Success<typeof sent>>().toEqualTypeOf<Effect.Success<typeof send>>()
    expectTypeOf<Effect.Services<typeof sent>>()
      // @ts-expect-error a send alone needs no database
      .toEqualTypeOf<Effect.Services<typeof send>>()
  })
})

describe("a storage's layer", () => {
  it("of Postgres needs the program's client, or brings one", () => {
    expectTypeOf(PostgresStorage.layer()).toEqualTypeOf<
      Layer.Layer<Storage.Storage, Storage.StorageError, Sql>
    >()
    expectTypeOf(PostgresStorage.layerWithoutMigrations()).toEqualTypeOf<
      Layer.Layer<Storage.Storage, Storage.StorageError, Sql>
    >()
    const own = PostgresStorage.layerConfig({})
    expectTypeOf<Layer.Success<typeof own>>().toEqualTypeOf<Storage.Storage | Sql>()
    expectTypeOf<Layer.Services<typeof own>>().toBeNever()
    expectTypeOf(PostgresStorage.layer())
      // @ts-expect-error the client comes from outside
      .toEqualTypeOf<Layer.Layer<Storage.Storage, Storage.StorageError>>()
    // @ts-expect-error there is no such option
    PostgresStorage.layer({ table: "runs" })
  })

  it("of SQLite gives storage and client", () => {
    expectTypeOf(SqliteStorage.layer({ filename: "a.db" })).toEqualTypeOf<
      Layer.Layer<Storage.Storage | Sql, Storage.StorageError>
    >()
    SqliteStorage.layer({ filename: "a.db", synchronous: "NORMAL" })
    expectTypeOf(SqliteStorage.layer({ filename: "a.db" }))
      // @ts-expect-error the client, too
      .toEqualTypeOf<Layer.Layer<Storage.Storage, Storage.StorageError>>()
    // @ts-expect-error OFF keeps nothing safe
    SqliteStorage.layer({ filename: "a.db", synchronous: "OFF" })
    // @ts-expect-error which file?
    SqliteStorage.layer({})
  })

  it("of objects carries what making the store needs and fails with", () => {
    const store = null as unknown as ObjectStorage.ObjectStore
    const making = null as unknown as Effect.Effect<ObjectStorage.ObjectStore, NoMoney, Shop>
    expectTypeOf(ObjectStorage.layer(store)).toEqualTypeOf<
      Layer.Layer<Storage.Storage, Storage.StorageError>
    >()
    expectTypeOf(ObjectStorage.layer(making, { prefix: "a/" })).toEqualTypeOf<
      Layer.Layer<Storage.Storage, Storage.StorageError | NoMoney, Shop>
    >()
    expectTypeOf(ObjectStorage.layer(making))
      // @ts-expect-error it can fail, and needs the shop
      .toEqualTypeOf<Layer.Layer<Storage.Storage, Storage.StorageError>>()
    // @ts-expect-error a driver is no store
    ObjectStorage.layer(null as unknown as Storage.Driver)
  })
})

describe("Workflow.secret", () => {
  const Card = Schema.Struct({ card: Workflow.secret(Schema.String), pin: Schema.Int })

  it("gives Redacted, whatever it is in", () => {
    expectTypeOf<typeof Card.Type>().toEqualTypeOf<
      { readonly card: Redacted.Redacted<string>; readonly pin: number }
    >()
    const At = Workflow.secret(Schema.Date)
    expectTypeOf<typeof At.Type>().toEqualTypeOf<Redacted.Redacted<Date>>()
    expectTypeOf<typeof At.Type>()
      // @ts-expect-error not the date itself
      .toEqualTypeOf<Date>()
  })

  it("is taken and handed over as Redacted", () => {
    const pay = Workflow.make("w", { input: Card, output: Schema.String }, function*(ctx, input) {
      expectTypeOf(input.card).toEqualTypeOf<Redacted.Redacted<string>>()
      const kept = yield* ctx.step("s", () => input, { schema: Card })
      // @ts-expect-error the plain text has to be asked for
      const text: string = kept.card
      if (input.pin === 0) return text
      return Redacted.value(kept.card)
    })
    void pay.start({ card: Redacted.make("4111"), pin: 1 })
    // @ts-expect-error nobody passes it as plain text
    void pay.start({ card: "4111", pin: 1 })
    // @ts-expect-error a step without a schema cannot keep it
    ctx.step("s", () => Redacted.make("4111"))
  })

  it("needs what its schema needs", () => {
    const S = Workflow.secret(null as unknown as Schema.Codec<Date, string, Shop, Shop>)
    expectTypeOf<typeof S.DecodingServices>().toEqualTypeOf<Shop>()
    expectTypeOf<typeof S.DecodingServices>()
      // @ts-expect-error it decodes by the shop
      .toBeNever()
  })
})
