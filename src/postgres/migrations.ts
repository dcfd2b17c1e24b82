/**
 * The tables of the Postgres storage, in a schema of their own.
 *
 * Lines are `text`: `jsonb` would refuse `\u0000` and lone surrogates and drop the order of keys. Leases
 * need not outlive the server, so their table is not logged and taking one waits for no disk.
 */
import * as Effect from "effect/Effect"
import * as Migrator from "effect/sql/Migrator"
import * as SqlClient from "effect/sql/SqlClient"

const ddl = (q: (table: string) => string): ReadonlyArray<string> => [
  `CREATE TABLE ${q("runs")} (
    key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id text COLLATE "C" NOT NULL UNIQUE,
    entries int NOT NULL,
    workflow text NOT NULL,
    state text NOT NULL,
    alone text NOT NULL,
    wake_at bigint,
    updated_at bigint NOT NULL,
    children json,
    successor text,
    rest text NOT NULL
  ) WITH (fillfactor = 70)`,
  `CREATE INDEX runs_alone ON ${q("runs")} (alone)`,
  `CREATE INDEX runs_wake_at ON ${q("runs")} (wake_at) WHERE wake_at IS NOT NULL`,
  `CREATE INDEX runs_children ON ${q("runs")} (key) WHERE children IS NOT NULL`,
  `CREATE TABLE ${q("entries")} (
    run bigint NOT NULL,
    "offset" int NOT NULL,
    line text NOT NULL,
    PRIMARY KEY (run, "offset")
  )`,
  `CREATE TABLE ${q("inbox")} (
    run_id text COLLATE "C" NOT NULL,
    position int NOT NULL,
    id text NOT NULL,
    event_id text NOT NULL,
    taken boolean NOT NULL,
    line text NOT NULL,
    PRIMARY KEY (run_id, position),
    UNIQUE (run_id, id)
  )`,
  `CREATE INDEX inbox_fresh ON ${q("inbox")} (run_id) WHERE NOT taken`,
  `CREATE UNLOGGED TABLE ${q("leases")} (
    run_id text COLLATE "C" PRIMARY KEY,
    token text NOT NULL,
    until bigint NOT NULL,
    owner text NOT NULL
  ) WITH (fillfactor = 70)`,
  `CREATE TABLE ${q("blobs")} (
    run_id text COLLATE "C" NOT NULL,
    hash text NOT NULL,
    value text NOT NULL,
    PRIMARY KEY (run_id, hash)
  )`,
  // What whoever takes a lease finds. Volatile, so that it sees what was committed while the lease was waited for.
  `CREATE FUNCTION ${q("found")} (id text) RETURNS text LANGUAGE plpgsql VOLATILE AS $$ BEGIN
    RETURN (SELECT json_build_array(max(r.key)::text,
      (SELECT max(e."offset") + 1 FROM ${q("entries")} e WHERE e.run = max(r.key)),
      EXISTS (SELECT 1 FROM ${q("inbox")} i WHERE i.run_id = $1))::text
    FROM ${q("runs")} r WHERE r.run_id = $1);
  END $$`
]

/** The SQL that `migrate` runs, for those whose migrations are somebody else's job. */
export const statements = (schema: string): ReadonlyArray<string> => [
  `CREATE SCHEMA IF NOT EXISTS ${quoted(schema)}`,
  ...ddl((table) => `${quoted(schema)}.${table}`),
  // As the migrator keeps count.
  `CREATE TABLE ${quoted(schema)}.migrations (
    migration_id integer PRIMARY KEY,
    created_at timestamp with time zone NOT NULL DEFAULT now(),
    name text NOT NULL
  )`,
  `INSERT INTO ${quoted(schema)}.migrations (migration_id, name) VALUES (1, 'storage')`
]

export const quoted = (name: string): string => `"${name.replaceAll("\"", "\"\"")}"`

/** Brings the tables to the newest form. */
export const migrate = (schema: string) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    // Two that come at once would both make it.
    const create = `CREATE SCHEMA IF NOT EXISTS ${quoted(schema)}`
    yield* Effect.retry(sql.unsafe(create), { times: 3 })
    yield* Migrator.make({})({
      table: `${schema}.migrations`,
      loader: Migrator.fromRecord({
        "0001_storage": Effect.forEach(
          ddl((table) => `${quoted(schema)}.${table}`),
          (one) => sql.unsafe(one),
          { discard: true }
        )
      })
    })
  })
