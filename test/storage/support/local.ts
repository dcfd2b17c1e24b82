/** Directories that go away again, local storages in them, and what stands in them. */
import { NodeFileSystem, NodePath } from "@effect/platform-node"
import { type FileSystem, Layer, type Path, Result } from "effect"
import { chmodSync, mkdtempSync, readFileSync, realpathSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Journal, LocalStorage, type Storage } from "reprise"
import { afterAll } from "vitest"
import { decode } from "../../../src/storage/Files.ts"
import type { Disk } from "./disk.ts"

const made: Array<string> = []

afterAll(() => {
  for (const directory of made.splice(0)) rmSync(directory, { recursive: true, force: true })
})

/** An empty directory that is removed after the tests of the file. */
export const temporary = (): string => {
  const directory = mkdtempSync(join(realpathSync(tmpdir()), "reprise-test-"))
  chmodSync(directory, 0o700)
  made.push(directory)
  return directory
}

export const platform = (disk?: Disk): Layer.Layer<FileSystem.FileSystem | Path.Path> =>
  Layer.merge(disk?.layer ?? NodeFileSystem.layer, NodePath.layer)

/** A storage in `directory` that shares nothing with any other instance. */
export const local = (directory: string, disk?: Disk): Layer.Layer<Storage.Storage> =>
  LocalStorage.layer(directory).pipe(Layer.provide(platform(disk)))

/** The accepted entries of a journal file; fails the test when it is damaged. */
export const journalOf = (path: string, runId = "r"): Journal.Journal =>
  Result.getOrThrow(Journal.read(runId, decode(readFileSync(path))))
