/**
 * For Node: the local storage with Node's file system already in it, and keys for checkpoints. Needs
 * `@effect/platform-node`.
 */
import * as NodePath from "@effect/platform-node/NodePath"
import * as Layer from "effect/Layer"
// From the main entry, so that both are one file when they are built.
import { LocalStorage, type Storage } from "./index.ts"
import * as FileSystem from "./node/FileSystem.ts"

export * as NodeCheckpointKeys from "./node/CheckpointKeys.ts"

/** The local storage on Node. */
export const NodeLocalStorage = {
  /**
   * Journals as files of `directory`, which is made with the first run.
   *
   * @example
   * ```ts
   * import { NodeLocalStorage } from "reprise/node"
   *
   * const storage = NodeLocalStorage.layer(".reprise")
   * ```
   */
  layer: (directory: string): Layer.Layer<Storage.Storage> =>
    LocalStorage.layer(directory).pipe(Layer.provide([FileSystem.layer, NodePath.layer]))
}
