/**
 * Which storage is meant: the one of the flag, else of `REPRISE_STORAGE`, else of the nearest `reprise.json`
 * of this directory or one above, else `file:.reprise`.
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import { ConfigRejected, nearest } from "../config.ts"
import { root } from "../root.ts"
import { shown } from "./rejected.ts"

export interface Place {
  /** What the driver is opened with. It may hold a password: show `name`. */
  readonly url: string
  readonly name: string
  /** Who said so. */
  readonly from: string
}

/** Where the journals are. */
export const place: Effect.Effect<
  Place,
  ConfigRejected,
  FileSystem.FileSystem | Path.Path | Effect.Services<typeof root>
> = Effect.gen(function*() {
  const { storage } = yield* root
  if (Option.isSome(storage)) return of(storage.value, "--storage")
  const variable = "REPRISE_STORAGE"
  const set = yield* Effect.orDie(Config.option(Config.String(variable)))
  if (Option.isSome(set)) return of(set.value, variable)
  return (yield* configured) ?? of("file:.reprise", "the default")
})

const of = (url: string, from: string): Place => ({ url, name: shown(url), from })

/** What the nearest file says. */
const configured = Effect.gen(function*() {
  const paths = yield* Path.Path
  const found = yield* nearest("storage")
  if (found?.value === undefined) return undefined
  const { directory, file, value } = found
  return typeof value === "string" && value !== ""
    ? of(absolute(paths, directory, value), file)
    : yield* new ConfigRejected({ file, field: "storage", saw: "its \"storage\" is no text" })
})

/** A path in a file is relative to that file. */
const absolute = (paths: Path.Path, directory: string, storage: string): string => {
  const [, scheme, path] = /^(file|sqlite):(.+)$/s.exec(storage) ?? []
  return path === undefined ? storage : `${scheme}:${paths.resolve(directory, path)}`
}
