/**
 * The few file operations that the local storage is made of: whole reads, single appends, directory
 * syncs; with the modes, the refusal of links and the typed errors that go with them.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import type { PlatformError } from "effect/PlatformError"
import type * as Scope from "effect/Scope"
import { StorageError } from "../Driver.ts"

const fileMode = 0o600
const directoryMode = 0o700

const reasons: Record<string, StorageError["reason"]> = {
  ENOSPC: "Full",
  EDQUOT: "Full",
  EFBIG: "Full",
  EMFILE: "Full",
  ENFILE: "Full",
  EACCES: "Denied",
  EPERM: "Denied",
  ELOOP: "Denied",
  ENOTDIR: "Denied",
  EISDIR: "Denied",
  EROFS: "Denied"
}

const code = (error: PlatformError): string => {
  const cause: unknown = "cause" in error.reason ? error.reason.cause : undefined
  return typeof cause === "object" && cause !== null && "code" in cause ? String(cause.code) : ""
}

/** The storage's error for a failed file operation. */
export const toStorageError =
  (doing: string) => (error: PlatformError | StorageError): StorageError => {
    if (error._tag === "StorageError") return error
    const reason = reasons[code(error)]
      ?? (error.reason._tag === "PermissionDenied" ? "Denied" : "Unknown")
    // What the system said has its code and its call; what is around it only has a descriptor.
    const cause = "cause" in error.reason ? error.reason.cause ?? error : error
    return new StorageError({ reason, doing, cause })
  }

const isNotFound = (error: PlatformError) => error.reason._tag === "NotFound"

const refused = (doing: string, saw: string) =>
  new StorageError({ reason: "Denied", doing, cause: new Error(saw) })

/** Which file a path or a descriptor stands for, and how long it is. */
export interface Identity {
  readonly file: string
  readonly size: number
}

const identity = (info: FileSystem.File.Info): Identity => ({
  file: `${info.dev}:${Option.getOrElse(info.ino, () => 0n)}`,
  size: Number(info.size)
})

/** What was read of a file. */
export interface Found {
  readonly bytes: Uint8Array
  /** Where the bytes begin. */
  readonly from: number
  readonly file: string
}

/** An open file that only grows. */
export interface Appender {
  readonly identity: Effect.Effect<Identity, PlatformError>
  /** At most so many bytes from its beginning, of which there are at least as many as when it was opened. */
  readonly read: (atMost?: number) => Effect.Effect<Found, PlatformError>
  /** One write at the end of the file; gives how many bytes were taken. */
  readonly write: (bytes: Uint8Array) => Effect.Effect<number, PlatformError>
  readonly sync: Effect.Effect<void, PlatformError>
}

export interface Files {
  readonly path: (name: string) => string
  /** Makes the directory if it is missing, durably; refuses one that others may write to. */
  readonly prepare: Effect.Effect<void, StorageError>
  readonly syncDirectory: Effect.Effect<void, PlatformError>
  /** The bytes from `from` on (from 0 when the file is shorter), and the file they are of; undefined when there is no such file. */
  readonly read: (name: string, from?: number) => Effect.Effect<Found | undefined, PlatformError>
  readonly exists: (name: string) => Effect.Effect<boolean, PlatformError>
  readonly identify: (name: string) => Effect.Effect<Identity | undefined, PlatformError>
  /** Opens for appending and reading; `create` makes the file and fails when it exists. */
  readonly open: (
    name: string,
    create: boolean
  ) => Effect.Effect<Appender, PlatformError, Scope.Scope>
  readonly names: Effect.Effect<ReadonlyArray<string>, PlatformError>
  readonly remove: (name: string) => Effect.Effect<void, PlatformError>
}

/** File operations in one directory. */
export const make = (
  directory: string
): Effect.Effect<Files, never, FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const paths = yield* Path.Path
    const root = paths.resolve(directory)
    const path = (name: string) => paths.join(root, name)
    // Windows has neither O_NOFOLLOW nor a sync of directories.
    const isPosix = paths.sep === "/"

    const sync = (of: string) =>
      isPosix
        ? Effect.scoped(Effect.flatMap(fs.open(of, { flag: "r" }), (file) => file.sync))
        : Effect.void

    const check = (info: FileSystem.File.Info): Effect.Effect<void, StorageError> =>
      info.type !== "Directory"
        ? Effect.fail(
          refused(`use ${root} for journals`, `it is a ${info.type}, not a directory of its own`)
        )
        : isPosix && (info.mode & 0o022) !== 0
        ? Effect.fail(
          refused(
            `use ${root} for journals`,
            `others may write to it (mode ${(info.mode & 0o777).toString(8)}); chmod 700 it`
          )
        )
        : Effect.void

    /** The directory and its missing parents; each name is durable when its own directory is synced. */
    const create: Effect.Effect<void, PlatformError | StorageError> = Effect.gen(function*() {
      const made: Array<string> = []
      for (let at = root; !(yield* fs.exists(at)); at = paths.dirname(at)) made.push(at)
      yield* fs.makeDirectory(root, { recursive: true, mode: directoryMode })
      for (const at of made) yield* sync(paths.dirname(at))
    })

    const orMissing = <A>(
      effect: Effect.Effect<A, PlatformError>
    ): Effect.Effect<A | undefined, PlatformError> =>
      Effect.catch(effect, (error) => isNotFound(error) ? Effect.undefined : Effect.fail(error))

    let prepared = false
    return {
      path,
      prepare: Effect.suspend(() =>
        prepared ? Effect.void : orMissing(fs.lstat(root)).pipe(
          Effect.flatMap((info) => info === undefined ? create : check(info)),
          Effect.mapError(toStorageError(`use ${root} for journals`)),
          Effect.tap(() =>
            Effect.sync(() => {
              prepared = true
            })
          )
        )
      ),
      syncDirectory: sync(root),
      read: (name, from = 0) =>
        orMissing(Effect.scoped(Effect.flatMap(
          fs.open(path(name), { flag: "r", noFollow: isPosix }),
          (file) => readFrom(file, from, Infinity)
        ))),
      exists: (name) => fs.exists(path(name)),
      identify: (name) => orMissing(Effect.map(fs.stat(path(name)), identity)),
      open: (name, create) =>
        Effect.map(
          fs.open(path(name), { flag: create ? "ax+" : "a+", mode: fileMode, noFollow: isPosix }),
          (file): Appender => ({
            identity: Effect.map(file.stat, identity),
            read: (atMost = Infinity) => readFrom(file, 0, atMost),
            write: (bytes) => file.write(bytes),
            sync: file.sync
          })
        ),
      names: Effect.map(orMissing(fs.readDirectory(root)), (names) => names ?? []),
      remove: (name) => fs.remove(path(name), { force: true })
    }
  })

/** The bytes from `from` on, or from 0 when the file is shorter. */
const readFrom = (
  file: FileSystem.File,
  from: number,
  atMost: number
): Effect.Effect<Found, PlatformError> =>
  Effect.gen(function*() {
    const { file: id, size: all } = identity(yield* file.stat)
    const start = from > all ? 0 : from
    const size = Math.min(all, start + atMost)
    const chunks: Array<Uint8Array> = []
    // The file may grow meanwhile: what is read is a prefix of it in any case.
    for (let at = start; at < size;) {
      const chunk = yield* file.readAlloc(size - at, { position: BigInt(at) })
      if (Option.isNone(chunk)) break
      chunks.push(chunk.value)
      at += chunk.value.length
    }
    return { bytes: concat(chunks), from: start, file: id }
  })

const concat = (chunks: ReadonlyArray<Uint8Array>): Uint8Array => {
  if (chunks.length === 1) return chunks[0]!
  const out = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0))
  let at = 0
  for (const chunk of chunks) {
    out.set(chunk, at)
    at += chunk.length
  }
  return out
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true })
const encoder = new TextEncoder()

/** Bytes as text; what is no UTF-8 becomes U+FFFD, which no checksum then matches. */
export const decode = (bytes: Uint8Array): string => decoder.decode(bytes)
export const encode = (text: string): Uint8Array => encoder.encode(text)
