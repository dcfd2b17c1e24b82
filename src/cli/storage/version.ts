/** Which tables of an SQL storage this version reads. */
import { StorageRejected } from "./rejected.ts"

/** The last migration of the SQLite and the Postgres storage. */
export const tables = 1

/** Why a storage of such tables is not opened; who `makes` them brings older ones up to date. */
export const otherVersion = (
  storage: string,
  version: number,
  makes: boolean
): StorageRejected | undefined =>
  version === tables || (makes && version < tables) ? undefined : new StorageRejected({
    storage,
    saw: `has tables of version ${version}, and this command knows version ${tables}`,
    advice: version > tables
      ? "Install the version of reprise that made them."
      : "The first program of this version that opens it brings them up to date."
  })
