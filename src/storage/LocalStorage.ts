/**
 * Journals as files of a directory, through Effect's `FileSystem`: the embedded default.
 *
 * A run has a journal (`<run>.jsonl`), an inbox (`<run>.inbox`) and a lease (`<run>.lease`); nothing is
 * ever rewritten. Several processes of one machine may share the directory. It must be on a local disk:
 * `O_APPEND` writes are assumed atomic against each other, which NFS does not give.
 *
 * The driver is loaded when it is used, so that those who store elsewhere do not wait for it.
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import type * as Path from "effect/Path"
import type { Driver } from "../Driver.ts"
import * as Storage from "../Storage.ts"

const loaded = Effect.promise(() => import("./LocalDriver.ts"))

/**
 * The storage in `directory`, which is made with the first run. Durable when a call returns: written,
 * synced and read back.
 *
 * @example
 * ```ts
 * import { LocalStorage } from "reprise"
 * import { NodeServices } from "@effect/platform-node"
 * import { Layer } from "effect"
 *
 * const storage = LocalStorage.layer(".reprise").pipe(Layer.provide(NodeServices.layer))
 * ```
 */
export const layer = (
  directory: string
): Layer.Layer<Storage.Storage, never, FileSystem.FileSystem | Path.Path> =>
  Layer.effect(Storage.Storage, Effect.map(driver(directory), Storage.make))

/** The path of a run's journal in `directory`, for people who want to read it. */
export const journalPath = (
  directory: string,
  runId: string
): Effect.Effect<string, never, FileSystem.FileSystem | Path.Path> =>
  Effect.flatMap(loaded, (local) => local.journalPath(directory, runId))

/** The driver itself, to be wrapped or tested. */
export const driver = (
  directory: string
): Effect.Effect<Driver, never, FileSystem.FileSystem | Path.Path> =>
  Effect.flatMap(loaded, (local) => local.driver(directory))
