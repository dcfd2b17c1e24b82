/**
 * Opens journals in a Postgres that has their tables, by `@effect/sql-pg`, which is installed only where it is
 * needed: loading this file fails without it.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as SqlClient from "effect/sql/SqlClient"
import { codeOf, isLost, toStorageError } from "../../postgres/Errors.ts"
import * as PostgresStorage from "../../postgres/PostgresStorage.ts"
import { Storage, StorageError } from "../../Storage.ts"
import type { Purpose } from "../storage.ts"
import { shown, StorageRejected } from "./rejected.ts"
import { otherVersion } from "./version.ts"

export const open = (storage: string, purpose: Purpose) =>
  Layer.unwrap(Effect.map(checkUrl(storage), () => opened(storage, purpose)))

const checkUrl = (storage: string) =>
  URL.canParse(storage) ? Effect.succeed(storage) : Effect.fail(
    new StorageRejected({
      storage: shown(storage),
      saw: "is no URL",
      advice: "Use postgres://user:password@host:5432/database, with what is special in a password "
        + "as %40 and the like."
    })
  )

const opened = (storage: string, purpose: Purpose) => {
  const makes = purpose === "make"
  const client = PgClient.layer({ url: Redacted.make(storage), applicationName: "reprise" })
  const checked = Layer.effectDiscard(check(storage, makes))
  const journals = makes
    ? PostgresStorage.layer()
    : purpose === "look"
    ? Layer.provide(PostgresStorage.layerWithoutMigrations(), Layer.effectDiscard(isThere))
    : PostgresStorage.layerWithoutMigrations()
  return Layer.provide(
    // Behind it: it tells by itself when there are no tables, or no server.
    makes ? Layer.provide(journals, checked) : Layer.provideMerge(checked, journals),
    client
  ).pipe(Layer.catch((error) => Layer.effect(Storage, Effect.fail(named(shown(storage), error)))))
}

/**
 * The storage waits some seconds for a server that may be starting anew: who is about to do something wants that, and
 * who only looks rather hears of it. Of all else the storage tells by itself.
 */
const isThere = Effect.gen(function*() {
  const client = yield* SqlClient.SqlClient
  const asked = Effect.mapError(
    client.unsafe("SELECT 1").withoutTransform,
    (error) =>
      isLost(error) && codeOf(error) === ""
        ? toStorageError("open the storage")(error)
        : undefined
  )
  yield* Effect.catch(asked, (error) => error === undefined ? Effect.void : Effect.fail(error))
})

/** Which server it was, and why: the client keeps that behind a few causes. */
const named = <E extends { readonly _tag: string }>(storage: string, error: E) => {
  if (!(error instanceof StorageError)) return error
  const { cause, reason } = error
  return new StorageError({ reason, doing: `open ${storage}`, cause: deepest(cause) })
}

const deepest = (error: unknown): unknown => {
  let at = error
  for (let depth = 0; depth < 8; depth++) {
    if (typeof at !== "object" || at === null) break
    const next = "reason" in at ? at.reason : "cause" in at ? at.cause : undefined
    if (typeof next !== "object" || next === null) break
    at = next
  }
  return at
}

const check = Effect.fnUntraced(function*(storage: string, makes: boolean) {
  const client = yield* SqlClient.SqlClient
  // Where there are none, and for those who may not read this table and yet the journals, the rest will tell.
  const [row] = yield* Effect.orElseSucceed(
    client.unsafe<{ version: number | null }>(
      "SELECT max(migration_id) AS version FROM reprise.migrations"
    ).withoutTransform,
    () => []
  )
  if (row === undefined || row.version === null) return
  const other = otherVersion(shown(storage), row.version, makes)
  if (other !== undefined) return yield* other
})
