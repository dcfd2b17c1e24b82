/** The SQL storages as processes open them: by kind and place, which is a file or a URL. */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { Storage } from "reprise"
import { PostgresStorage } from "reprise/postgres"
import { SqliteStorage } from "reprise/sqlite"

export type Kind = "sqlite" | "postgres"

const pool = (url: string) => PgClient.layer({ url: Redacted.make(url), maxConnections: 3 })

/** The driver on a connection, or a small pool, of its own. The tables must be there on Postgres. */
export const driverOf = (
  kind: Kind,
  place: string
): Effect.Effect<Storage.Driver, unknown, Scope.Scope> =>
  kind === "sqlite"
    ? Effect.map(SqliteStorage.make({ filename: place }), ({ driver }) => driver)
    : Effect.flatMap(
      Layer.build(pool(place)),
      (services) => Effect.provideContext(PostgresStorage.make(), services)
    )

/** Makes the tables. */
export const prepare = (kind: Kind, place: string): Effect.Effect<void, unknown> =>
  kind === "sqlite"
    ? Effect.scoped(Effect.asVoid(driverOf(kind, place)))
    : Effect.provide(PostgresStorage.migrate(), pool(place))
