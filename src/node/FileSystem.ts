/**
 * Node's file system for journals: what mostly the page cache answers is done at once, and only a sync, which
 * always waits for the disk, is left to Node's threads.
 *
 * Opening, looking at, reading and appending to a journal takes some 10 µs each; to hand it to a thread and
 * to hear of it takes 60 to 90. The price is that a file which is not in memory is waited for. Everything that
 * is not on the way of a step is Effect's own file system.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as ByteSize from "effect/ByteSize"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as PlatformError from "effect/PlatformError"
import * as fs from "node:fs"

type Attempt<A> = Effect.Effect<A, PlatformError.PlatformError>

/** As Effect's own file system tells errors apart. */
const tags: Record<string, PlatformError.SystemErrorTag> = {
  ENOENT: "NotFound",
  EEXIST: "AlreadyExists",
  EACCES: "PermissionDenied",
  EPERM: "PermissionDenied",
  EISDIR: "BadResource",
  ENOTDIR: "BadResource",
  ELOOP: "BadResource",
  EBUSY: "Busy"
}

const failure = (method: string, of: string | number, cause: unknown) =>
  PlatformError.systemError({
    _tag: tags[(cause as NodeJS.ErrnoException).code ?? ""] ?? "Unknown",
    module: "FileSystem",
    method,
    pathOrDescriptor: of,
    cause
  })

const attempt = <A>(method: string, of: string | number, f: () => A): Attempt<A> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(f())
    } catch (cause) {
      return Effect.fail(failure(method, of, cause))
    }
  })

const typeOf = (stat: fs.BigIntStats): FileSystem.File.Type =>
  stat.isFile()
    ? "File"
    : stat.isDirectory()
    ? "Directory"
    : stat.isSymbolicLink()
    ? "SymbolicLink"
    : "Unknown"

const infoOf = (stat: fs.BigIntStats): FileSystem.File.Info => ({
  type: typeOf(stat),
  mtime: Option.some(stat.mtime),
  atime: Option.some(stat.atime),
  birthtime: Option.some(stat.birthtime),
  dev: BigInt.asUintN(64, stat.dev),
  ino: Option.some(BigInt.asUintN(64, stat.ino)),
  mode: Number(stat.mode),
  nlink: Option.some(stat.nlink),
  uid: Option.some(Number(stat.uid)),
  gid: Option.some(Number(stat.gid)),
  rdev: Option.some(stat.rdev),
  size: ByteSize.bytes(stat.size),
  blksize: Option.some(ByteSize.bytes(stat.blksize)),
  blocks: Option.some(stat.blocks)
})

/** A file that is open for reading, or for reading and for writing at its end. */
class OpenFile implements FileSystem.File {
  readonly [FileSystem.FileTypeId]: typeof FileSystem.FileTypeId = FileSystem.FileTypeId
  private readonly fd: number
  private isClosed = false
  /** Where the next read begins that says no place. */
  private position = 0n

  constructor(fd: number) {
    this.fd = fd
  }

  get stat(): Attempt<FileSystem.File.Info> {
    return this.attempt("stat", () => infoOf(fs.fstatSync(this.fd, { bigint: true })))
  }

  get sync(): Attempt<void> {
    const done = Effect.callback<void, PlatformError.PlatformError>((resume) =>
      fs.fsync(
        this.fd,
        (cause) => resume(cause ? Effect.fail(failure("sync", this.fd, cause)) : Effect.void)
      )
    )
    return Effect.andThen(this.attempt("sync", () => {}), done)
  }

  seek(offset: bigint, from: FileSystem.SeekMode): Attempt<bigint> {
    return this.attempt("seek", () => {
      const position = from === "start" ? offset : this.position + offset
      if (position < 0n) throw new RangeError("Cannot seek before the start of the file")
      return this.position = position
    })
  }

  read(buffer: Uint8Array, options?: FileSystem.File.ReadOptions): Attempt<number> {
    return this.attempt("read", () => {
      const position = options?.position ?? this.position
      const count = fs.readSync(this.fd, buffer, { position })
      if (options?.position === undefined) this.position += BigInt(count)
      return count
    })
  }

  readAlloc(
    size: number,
    options?: FileSystem.File.ReadOptions
  ): Attempt<Option.Option<Uint8Array>> {
    return Effect.suspend(() => {
      const buffer = new Uint8Array(size)
      return Effect.map(
        this.read(buffer, options),
        (count) => count === 0 ? Option.none() : Option.some(buffer.subarray(0, count))
      )
    })
  }

  truncate(length = 0): Attempt<void> {
    return this.attempt("truncate", () => fs.ftruncateSync(this.fd, length))
  }

  write(buffer: Uint8Array): Attempt<number> {
    return this.attempt("write", () => fs.writeSync(this.fd, buffer))
  }

  writeAll(buffer: Uint8Array): Attempt<void> {
    return buffer.length === 0
      ? Effect.void
      : Effect.flatMap(this.write(buffer), (count) =>
        count === 0
          ? Effect.fail(failure("writeAll", this.fd, new Error("nothing was written")))
          : this.writeAll(buffer.subarray(count)))
  }

  close(): void {
    this.isClosed = true
    fs.closeSync(this.fd)
  }

  /** The number of a closed file may be another file's by now. */
  private attempt<A>(method: string, f: () => A): Attempt<A> {
    return attempt(method, this.fd, () => {
      if (!this.isClosed) return f()
      throw Object.assign(new Error(`EBADF: the file is closed, ${method}`), { code: "EBADF" })
    })
  }
}

const { O_APPEND, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_RDWR } = fs.constants

/** How journals are opened; a pipe in the place of a file is not waited for. */
const flags: Partial<Record<FileSystem.OpenFlag, number>> = {
  "r": O_RDONLY | O_NONBLOCK,
  "a+": O_RDWR | O_APPEND | O_CREAT | O_NONBLOCK,
  "ax+": O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_NONBLOCK
}

/** The file system, with the paths that a step takes done at once. */
export const layer: Layer.Layer<FileSystem.FileSystem> = Layer.effect(
  FileSystem.FileSystem,
  Effect.map(FileSystem.FileSystem, (node): FileSystem.FileSystem => ({
    ...node,
    exists: (path) =>
      attempt("exists", path, () => fs.statSync(path, { throwIfNoEntry: false }) !== undefined),
    stat: (path) => attempt("stat", path, () => infoOf(fs.statSync(path, { bigint: true }))),
    lstat: (path) => attempt("lstat", path, () => infoOf(fs.lstatSync(path, { bigint: true }))),
    open: (path, options) => {
      const { flag = "r", mode, noFollow = false } = options ?? {}
      const bits = flags[flag]
      return bits === undefined
        ? node.open(path, options)
        : Effect.acquireRelease(
          attempt(
            "open",
            path,
            () => new OpenFile(fs.openSync(path, noFollow ? bits | O_NOFOLLOW : bits, mode))
          ),
          (file) => Effect.sync(() => file.close())
        )
    }
  }))
).pipe(Layer.provide(NodeFileSystem.layer))
