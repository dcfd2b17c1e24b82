/**
 * Opens a SQLite file that is there, with the tables that this version makes: `SqliteStorage` by itself makes
 * both, which is for those who write to a new one.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { existsSync } from "node:fs"
import { resolve } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { pathToFileURL } from "node:url"
import { toStorageError } from "../../sqlite/Errors.ts"
import * as SqliteStorage from "../../sqlite/SqliteStorage.ts"
import type { Storage, StorageError } from "../../Storage.ts"
import { StorageRejected } from "./rejected.ts"
import { otherVersion } from "./version.ts"

export const open = (
  filename: string,
  makes: boolean
): Layer.Layer<Storage, StorageRejected | StorageError> =>
  Layer.unwrap(Effect.as(check(filename, makes), SqliteStorage.layer({ filename })))

const check = Effect.fnUntraced(function*(filename: string, makes: boolean) {
  const storage = `sqlite:${filename}`
  if (!existsSync(filename)) {
    if (makes) return
    return yield* new StorageRejected({
      storage,
      saw: "is not there",
      advice: "Name the file that your program opens; nothing was made."
    })
  }
  const version = yield* Effect.try({
    try: () => versionIn(filename),
    catch: toStorageError(`open the database ${filename}`)
  })
  if (version === undefined) {
    if (makes) return
    return yield* new StorageRejected({
      storage,
      saw: "has no journals in it",
      advice: "The first program that opens it by SqliteStorage makes the tables; nothing was made."
    })
  }
  const other = otherVersion(storage, version, makes)
  if (other !== undefined) return yield* other
})

/** The version of its tables; undefined when it has none. */
const versionIn = (filename: string): number | undefined => {
  const url = pathToFileURL(resolve(filename))
  // What is not there is not made. A reader of a write-ahead log writes beside it, so not `ro`.
  url.search = "?mode=rw"
  const db = new DatabaseSync(url, { timeout: 5_000 })
  try {
    const table = db.prepare("SELECT 1 FROM sqlite_master WHERE name = 'reprise_migrations'").get()
    if (table === undefined) return undefined
    const row = db.prepare("SELECT max(migration_id) AS version FROM reprise_migrations").get()
    return row?.version === null ? undefined : Number(row?.version)
  } finally {
    db.close()
  }
}
