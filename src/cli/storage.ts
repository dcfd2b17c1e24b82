/** Opens the storage that a URL names. Only its own driver is loaded, and reading makes nothing. */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import type * as Path from "effect/Path"
import * as Schema from "effect/Schema"
import type { SqlError } from "effect/sql/SqlError"
import type { Storage, StorageError } from "../Storage.ts"
import * as LocalStorage from "../storage/LocalStorage.ts"
import { allowed, shown, StorageRejected } from "./storage/rejected.ts"

export { StorageRejected } from "./storage/rejected.ts"

/** The storage needs a package that is not installed. */
export class PeerMissing
  extends Schema.TaggedError<PeerMissing>("reprise/PeerMissing")("PeerMissing", {
    storage: Schema.String,
    peer: Schema.String
  })
{
  override get message(): string {
    return `The storage ${JSON.stringify(this.storage)} needs a package that is not installed: `
      + `npm install ${this.peer}`
  }
}

export type OpenError = StorageRejected | PeerMissing | StorageError | SqlError

/**
 * What a storage is opened for: to look at what is there, which does not wait for a server that does not answer, to go
 * on with what is there, or to write to what is made if need be.
 */
export type Purpose = "look" | "go on" | "make"

/** Opens the storage; only with `make` anything is made. */
export const layer = (
  storage: string,
  purpose: Purpose = "go on"
): Layer.Layer<Storage, OpenError, FileSystem.FileSystem | Path.Path> => {
  const [, scheme, rest = ""] = /^([a-z0-9]+):(.+)$/is.exec(storage) ?? []
  switch (scheme) {
    case "file":
      return LocalStorage.layer(rest)
    case "sqlite": {
      const loaded = Effect.promise(() => import("./storage/sqlite.ts"))
      return Layer.unwrap(Effect.map(loaded, ({ open }) => open(rest, purpose === "make")))
    }
    case "postgres":
    case "postgresql": {
      const loaded = needing("@effect/sql-pg", storage, () => import("./storage/postgres.ts"))
      return Layer.unwrap(Effect.map(loaded, ({ open }) => open(storage, purpose)))
    }
    case "s3": {
      const loaded = needing("aws4fetch", storage, () => import("./storage/s3.ts"))
      return Layer.unwrap(Effect.map(loaded, ({ open }) => open(storage)))
    }
    default:
      return Layer.unwrap(Effect.fail(
        new StorageRejected({
          storage: shown(storage),
          saw: "is none that this command can open",
          advice: allowed
        })
      ))
  }
}

const needing = <A>(peer: string, storage: string, load: () => Promise<A>) =>
  Effect.catch(
    Effect.tryPromise({ try: load, catch: (error) => error }),
    (error) =>
      isMissing(error, peer)
        ? Effect.fail(new PeerMissing({ storage: shown(storage), peer }))
        : Effect.die(error)
  )

const isMissing = (error: unknown, peer: string) =>
  error instanceof Error && "code" in error && error.code === "ERR_MODULE_NOT_FOUND"
  && error.message.includes(peer)
