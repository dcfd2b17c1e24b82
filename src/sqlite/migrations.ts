/** The tables of the SQLite storage, in the user's own file: `reprise_` is in front of every name. */
import * as Effect from "effect/Effect"
import * as Migrator from "effect/sql/Migrator"
import * as SqlClient from "effect/sql/SqlClient"

const statements = (all: ReadonlyArray<string>) =>
  Effect.flatMap(
    SqlClient.SqlClient,
    (sql) => Effect.forEach(all, (one) => sql.unsafe(one), { discard: true })
  )

/** Brings the tables to the newest form. */
export const migrate = Migrator.make({})({
  table: "reprise_migrations",
  loader: Migrator.fromRecord({
    "0001_storage": statements([
      `CREATE TABLE reprise_runs (
        key INTEGER PRIMARY KEY AUTOINCREMENT,
        run_id TEXT NOT NULL UNIQUE,
        entries INTEGER NOT NULL,
        workflow TEXT NOT NULL,
        state TEXT NOT NULL,
        alone TEXT NOT NULL,
        wake_at INTEGER,
        updated_at INTEGER NOT NULL,
        children TEXT,
        successor TEXT,
        rest TEXT NOT NULL
      )`,
      "CREATE INDEX reprise_runs_alone ON reprise_runs (alone)",
      "CREATE INDEX reprise_runs_wake_at ON reprise_runs (wake_at) WHERE wake_at IS NOT NULL",
      "CREATE INDEX reprise_runs_children ON reprise_runs (key) WHERE children IS NOT NULL",
      // The id is the run's key and the entry's offset in 32 bits each: SQLite is quickest at rising integers.
      `CREATE TABLE reprise_entries (
        id INTEGER PRIMARY KEY,
        line TEXT NOT NULL
      )`,
      `CREATE TABLE reprise_inbox (
        run_id TEXT NOT NULL,
        position INTEGER NOT NULL,
        id TEXT NOT NULL,
        event_id TEXT NOT NULL,
        taken INTEGER NOT NULL,
        line TEXT NOT NULL,
        PRIMARY KEY (run_id, position),
        UNIQUE (run_id, id)
      )`,
      "CREATE INDEX reprise_inbox_fresh ON reprise_inbox (run_id) WHERE taken = 0",
      `CREATE TABLE reprise_leases (
        run_id TEXT PRIMARY KEY,
        token TEXT NOT NULL,
        until INTEGER NOT NULL,
        owner TEXT NOT NULL
      ) WITHOUT ROWID`,
      `CREATE TABLE reprise_blobs (
        run_id TEXT NOT NULL,
        hash TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (run_id, hash)
      )`
    ])
  })
})
