/**
 * A directory in memory that several processes use at once, one file operation at a time in an order that
 * a seed decides. Processes crash in the middle of a write, writes are cut short, the power goes, and the
 * number of a removed file is given to the next one.
 */
import { Effect, FileSystem, Layer, Option, Path, PlatformError, Scope } from "effect"
import { type Random, random } from "./random.ts"

interface Inode {
  readonly ino: number
  /** When it was made, in milliseconds: no two files have both in common. */
  readonly born: number
  bytes: Buffer
  /** How many bytes are on the disk for sure. */
  synced: number
  /** Open descriptors: the number is not free while there are any. */
  open: number
}

interface Pending {
  readonly process: Process
  readonly run: () => void
  /** Does a part of a write, as a crash in the middle of it would. */
  readonly tear?: () => void
}

export interface Process {
  readonly name: string
  isAlive: boolean
  readonly descriptors: Array<Inode>
}

const missing = (path: string) =>
  PlatformError.systemError({
    _tag: "NotFound",
    module: "FileSystem",
    method: "open",
    pathOrDescriptor: path,
    cause: Object.assign(new Error(`ENOENT: ${path}`), { code: "ENOENT" })
  })

const existing = (path: string) =>
  PlatformError.systemError({
    _tag: "AlreadyExists",
    module: "FileSystem",
    method: "open",
    pathOrDescriptor: path,
    cause: Object.assign(new Error(`EEXIST: ${path}`), { code: "EEXIST" })
  })

const info = (type: "File" | "Directory", inode?: Inode) =>
  ({
    type,
    dev: 1n,
    ino: Option.some(BigInt(inode?.ino ?? 0)),
    birthtime: Option.some(new Date(inode?.born ?? 0)),
    mode: type === "Directory" ? 0o700 : 0o600,
    size: BigInt(inode?.bytes.length ?? 0)
  }) as unknown as FileSystem.File.Info

export const directory = "/runs"

export class World {
  readonly chance: Random
  readonly log: Array<string> = []
  names = new Map<string, Inode>()
  private durable = new Map<string, Inode>()
  private pending: Array<Pending> = []
  private processes: Array<Process> = []
  private births = 1
  /** One write in so many is cut short; never by default. */
  shortWrites = 0

  constructor(seed: number) {
    this.chance = random(seed)
  }

  file(name: string): Inode | undefined {
    return this.names.get(`${directory}/${name}`)
  }

  /** A process begins; `layer` is how it sees the directory. */
  spawn(
    name: string
  ): { readonly process: Process; readonly layer: Layer.Layer<FileSystem.FileSystem | Path.Path> } {
    const process: Process = { name, isAlive: true, descriptors: [] }
    this.processes.push(process)
    const fs = Layer.succeed(FileSystem.FileSystem, this.fileSystem(process))
    return { process, layer: Layer.merge(fs, Path.layer) }
  }

  /** Lets one operation of one process happen; false when every process is busy elsewhere. */
  turn(): boolean {
    const at = this.chance.below(Math.max(1, this.pending.length))
    const [next] = this.pending.splice(at, 1)
    next?.run()
    return next !== undefined
  }

  crash(process: Process): void {
    for (const one of this.pending) {
      if (one.process === process && this.chance.oneIn(2)) one.tear?.()
    }
    this.end(process)
    this.log.push(`${process.name} crashes`)
  }

  /** Everything stops, and what was not synced is gone as far as chance takes it. */
  cutPower(): void {
    const { processes } = this
    for (const process of processes) this.end(process)
    this.names = new Map(this.durable)
    for (const [path, inode] of this.names) {
      const kept = inode.synced + this.chance.below(inode.bytes.length - inode.synced + 1)
      this.log.push(`the power goes: ${kept} of ${inode.bytes.length} bytes of ${path} are left`)
      inode.bytes = inode.bytes.subarray(0, kept)
      inode.synced = kept
    }
  }

  end(process: Process): void {
    process.isAlive = false
    this.processes = this.processes.filter((one) => one !== process)
    this.pending = this.pending.filter((one) => one.process !== process)
    for (const inode of process.descriptors.splice(0)) inode.open--
  }

  private act<A>(
    process: Process,
    act: () => A,
    tear?: () => void
  ): Effect.Effect<A, PlatformError.PlatformError> {
    return Effect.callback<A, PlatformError.PlatformError>((resume) => {
      if (!process.isAlive) return
      this.pending.push({
        process,
        run: () => {
          let effect: Effect.Effect<A, PlatformError.PlatformError>
          try {
            effect = Effect.succeed(act())
          } catch (error) {
            if (!(error instanceof PlatformError.PlatformError)) throw error
            effect = Effect.fail(error)
          }
          resume(effect)
        },
        ...(tear === undefined ? undefined : { tear })
      })
    })
  }

  private find(path: string): Inode {
    const inode = this.names.get(path)
    if (inode === undefined) throw missing(path)
    return inode
  }

  private create(path: string): Inode {
    const taken = new Set<number>()
    for (const inode of this.names.values()) taken.add(inode.ino)
    for (const { descriptors } of this.processes) {
      for (const inode of descriptors) taken.add(inode.ino)
    }
    let ino = 1
    while (taken.has(ino)) ino++
    const inode: Inode = { ino, born: this.births++, bytes: Buffer.alloc(0), synced: 0, open: 0 }
    this.names.set(path, inode)
    return inode
  }

  private fileSystem(process: Process): FileSystem.FileSystem {
    const open = (path: string, flag: FileSystem.OpenFlag) => {
      if (path === directory) return undefined
      const found = this.names.get(path)
      if (flag.startsWith("ax") && found !== undefined) throw existing(path)
      if (flag === "r" && found === undefined) throw missing(path)
      const inode = found ?? this.create(path)
      inode.open++
      process.descriptors.push(inode)
      return inode
    }
    const close = (inode: Inode | undefined) => {
      const at = inode === undefined ? -1 : process.descriptors.indexOf(inode)
      if (at < 0) return
      process.descriptors.splice(at, 1)
      inode!.open--
    }
    const file = (inode: Inode | undefined): FileSystem.File =>
      ({
        [FileSystem.FileTypeId]: FileSystem.FileTypeId,
        stat: this.act(process, () => info(inode === undefined ? "Directory" : "File", inode)),
        sync: this.act(process, () => {
          if (inode === undefined) this.durable = new Map(this.names)
          else inode.synced = inode.bytes.length
        }),
        readAlloc: (size: number, options?: FileSystem.File.ReadOptions) =>
          this.act(process, () => {
            const from = Number(options?.position ?? 0)
            const bytes = inode!.bytes.subarray(from, from + size)
            return bytes.length === 0 ? Option.none() : Option.some(Buffer.from(bytes))
          }),
        write: (bytes: Uint8Array) => {
          const take = (length: number) => {
            inode!.bytes = Buffer.concat([inode!.bytes, bytes.subarray(0, length)])
            return length
          }
          return this.act(
            process,
            () =>
              take(
                this.shortWrites > 0 && this.chance.oneIn(this.shortWrites)
                  ? 1 + this.chance.below(bytes.length - 1)
                  : bytes.length
              ),
            () => take(this.chance.below(bytes.length + 1))
          )
        }
      }) as unknown as FileSystem.File
    return {
      ...FileSystem.makeNoop({
        lstat: (path) =>
          this.act(
            process,
            () => path === directory ? info("Directory") : info("File", this.find(path))
          ),
        stat: (path) => this.act(process, () => info("File", this.find(path))),
        exists: (path) => this.act(process, () => this.names.has(path)),
        makeDirectory: () => Effect.void,
        remove: (path) =>
          this.act(process, () => {
            this.names.delete(path)
          }),
        readDirectory: () =>
          this.act(
            process,
            () => [...this.names.keys()].map((path) => path.slice(directory.length + 1))
          ),
        open: (path, options) =>
          Effect.flatMap(
            this.act(process, () => open(path, options?.flag ?? "r")),
            (inode) =>
              Effect.flatMap(Scope.Scope, (scope) =>
                Effect.as(
                  Scope.addFinalizer(scope, Effect.sync(() => close(inode))),
                  file(inode)
                ))
          )
      }),
      readFileString: (path) => Effect.fail(missing(path)),
      readLink: (path) => Effect.fail(missing(path))
    }
  }
}
