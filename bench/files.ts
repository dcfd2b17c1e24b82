/**
 * What the measurements on disk share: a directory of their own, on the disk that the repository is on
 * and not in memory, and a file system whose syncs can be watched.
 */
import { NodeFileSystem } from "@effect/platform-node"
import { Effect, FileSystem, Layer } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { join } from "node:path"

/** An empty directory that goes with the process. */
export const directory = (): string => {
  const made = mkdtempSync(join(import.meta.dirname, "node_modules", ".bench-"))
  process.on("exit", () => rmSync(made, { recursive: true, force: true }))
  return made
}

type Sync = FileSystem.File["sync"]

/** Node's file system, with `change` between a file's `sync` and who asks for it. */
export const layerSync = (change: (sync: Sync) => Sync): Layer.Layer<FileSystem.FileSystem> =>
  Layer.effect(
    FileSystem.FileSystem,
    Effect.map(FileSystem.FileSystem, (fs) => ({
      ...fs,
      open: (path, options) =>
        Effect.map(
          fs.open(path, options),
          (file): FileSystem.File => Object.create(file, { sync: { get: () => change(file.sync) } })
        )
    }))
  ).pipe(Layer.provide(NodeFileSystem.layer))
