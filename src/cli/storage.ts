/** Which storage a `--storage` flag means. */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import type * as Path from "effect/Path"
import * as Schema from "effect/Schema"
import { Storage } from "../Storage.ts"
import * as LocalStorage from "../storage/LocalStorage.ts"

/** The command line knows no such storage. */
export class StorageRejected
  extends Schema.TaggedError<StorageRejected>("reprise/StorageRejected")("StorageRejected", {
    storage: Schema.String
  })
{
  override get message(): string {
    return `--storage ${JSON.stringify(this.storage)} is no storage that this command can open. `
      + `Use file:DIR, a directory of journals, as in --storage file:.reprise.`
  }
}

const directory = /^file:(.+)$/s

export const layer = (
  storage: string
): Layer.Layer<Storage, StorageRejected, FileSystem.FileSystem | Path.Path> => {
  const name = directory.exec(storage)?.[1]
  return name === undefined
    ? Layer.effect(Storage, Effect.fail(new StorageRejected({ storage })))
    : LocalStorage.layer(name)
}
