/**
 * The real file system with every operation shown to a hook first, which may fail it, cut it short, do
 * something else before or after, or let it pass. It also remembers what was synced, so that a power cut
 * can be acted out: everything that is not on the disk for sure is gone.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as PlatformError from "effect/PlatformError"
import { Scope } from "effect/Scope"
import { existsSync, readdirSync, rmSync, statSync, truncateSync } from "node:fs"
import { basename, dirname, join } from "node:path"

export interface Operation {
  readonly kind: "open" | "write" | "sync" | "stat" | "read" | "remove" | "make directory" | "list"
  readonly path: string
  /** The last part of `path`. */
  readonly name: string
  /** What is written. */
  readonly bytes?: Uint8Array
}

/** `proceed` does what was asked; a write may be given other bytes. */
export type Hook = (
  operation: Operation,
  proceed: (bytes?: Uint8Array) => Effect.Effect<any, PlatformError.PlatformError>
) => Effect.Effect<any, PlatformError.PlatformError>

export interface Disk {
  readonly layer: Layer.Layer<FileSystem.FileSystem>
  /** Every operation so far, in the order they began. */
  readonly operations: Array<Operation>
  hook: Hook
  /** Takes away whatever under `directory` was not synced, names of files included. */
  readonly cutPower: (directory: string) => void
}

const tags: Record<string, PlatformError.SystemErrorTag> = {
  ENOENT: "NotFound",
  EACCES: "PermissionDenied",
  EPERM: "PermissionDenied",
  EEXIST: "AlreadyExists",
  ELOOP: "BadResource"
}

/** The error that Node's file system gives for `code`. */
export const failure = (code: string, { kind, path }: Operation) =>
  PlatformError.systemError({
    _tag: tags[code] ?? "Unknown",
    module: "FileSystem",
    method: kind,
    pathOrDescriptor: path,
    cause: Object.assign(new Error(`${code}: planted, ${kind} '${path}'`), { code })
  })

/** Fails what `when` picks with `code`. */
export const failing =
  (code: string, when: (operation: Operation) => boolean): Hook => (operation, proceed) =>
    when(operation) ? Effect.fail(failure(code, operation)) : proceed()

/** As `hook`, on a file system that gives the number of a removed file to the next one for certain. */
export const reusing = (hook: Hook): Hook => (operation, proceed) =>
  operation.kind === "stat" && operation.name.endsWith(".jsonl")
    ? Effect.map(hook(operation, proceed), (info) => ({ ...info, ino: Option.some(7n) }))
    : hook(operation, proceed)

export const passing: Hook = (_operation, proceed) => proceed()

export const makeDisk = (): Disk => {
  const synced = new Map<string, number>()
  const named = new Map<string, ReadonlySet<string>>()
  /** Directories that were made here: only those may vanish. */
  const fresh = new Set<string>()

  const noteSync = (path: string) => {
    const isDirectory = statSync(path, { throwIfNoEntry: false })?.isDirectory()
    const names = isDirectory === true ? new Set(readdirSync(path)) : undefined
    const size = isDirectory === true ? 0 : statSync(path, { throwIfNoEntry: false })?.size ?? 0
    return () => names === undefined ? synced.set(path, size) : named.set(path, names)
  }

  const disk: Disk = {
    operations: [],
    hook: passing,
    layer: Layer.effect(
      FileSystem.FileSystem,
      Effect.map(FileSystem.FileSystem, (fs) => {
        const shown = <A>(
          kind: Operation["kind"],
          path: string,
          run: (bytes?: Uint8Array) => Effect.Effect<A, PlatformError.PlatformError>,
          bytes?: Uint8Array
        ): Effect.Effect<A, PlatformError.PlatformError> =>
          Effect.suspend(() => {
            const operation: Operation = {
              kind,
              path,
              name: basename(path),
              ...(bytes === undefined ? undefined : { bytes })
            }
            disk.operations.push(operation)
            return disk.hook(operation, run)
          })
        const file = (path: string, real: FileSystem.File): FileSystem.File => ({
          [FileSystem.FileTypeId]: FileSystem.FileTypeId,
          stat: shown("stat", path, () => real.stat),
          sync: shown("sync", path, () =>
            Effect.suspend(() => {
              // What is written while the sync runs need not be part of it.
              const done = noteSync(path)
              return Effect.tap(real.sync, () => Effect.sync(done))
            })),
          seek: (offset, from) => real.seek(offset, from),
          read: (buffer, options) => shown("read", path, () => real.read(buffer, options)),
          readAlloc: (size, options) => shown("read", path, () => real.readAlloc(size, options)),
          truncate: (length) => real.truncate(length),
          write: (bytes) => shown("write", path, (other = bytes) => real.write(other), bytes),
          writeAll: (bytes) => shown("write", path, (other = bytes) => real.writeAll(other), bytes)
        })
        return {
          ...fs,
          open: (path, options) =>
            Effect.map(
              Effect.flatMap(Effect.scope, (scope) =>
                shown("open", path, () =>
                  Effect.provideService(fs.open(path, options), Scope, scope))),
              (real) =>
                file(path, real)
            ),
          stat: (path) => shown("stat", path, () => fs.stat(path)),
          lstat: (path) => shown("stat", path, () => fs.lstat(path)),
          remove: (path, options) =>
            shown(
              "remove",
              path,
              () =>
                Effect.tap(fs.remove(path, options), () => Effect.sync(() => synced.delete(path)))
            ),
          makeDirectory: (path, options) =>
            shown("make directory", path, () => {
              for (let at = path; !existsSync(at); at = dirname(at)) fresh.add(at)
              return fs.makeDirectory(path, options)
            }),
          readDirectory: (path, options) =>
            shown("list", path, () => fs.readDirectory(path, options))
        }
      })
    ).pipe(Layer.provide(NodeFileSystem.layer)),
    cutPower: (directory) => {
      for (let at = directory; fresh.has(at); at = dirname(at)) {
        if (named.get(dirname(at))?.has(basename(at)) !== true) {
          rmSync(at, { recursive: true, force: true })
        }
      }
      if (!existsSync(directory)) return
      for (const name of readdirSync(directory)) {
        const path = join(directory, name)
        if (named.get(directory)?.has(name) !== true) rmSync(path)
        else truncateSync(path, synced.get(path) ?? 0)
      }
    }
  }
  return disk
}
