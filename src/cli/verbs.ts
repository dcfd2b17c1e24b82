/**
 * The verbs, in the order of the help. A call loads those that it names: the others would cost as much time as the work
 * that is asked for.
 */
import type * as Command from "effect/cli/Command"
import type { Layer } from "effect/Layer"
import type { Storage } from "../Storage.ts"

/** Opens the storage that a URL names. */
export type LayerOf<E, R> = (storage: string) => Layer<Storage, E, R>

/** A verb with whatever flags, and what it may need. */
export type Verb = Command.Command<
  any,
  any,
  any,
  unknown,
  Storage | Command.CommandContext<"reprise"> | Command.Environment
>

const loading: Readonly<Record<string, () => Promise<Verb>>> = {
  list: async () => (await import("./list.ts")).list,
  show: async () => (await import("./show.ts")).show,
  journal: async () => (await import("./journal.ts")).journal,
  watch: async () => (await import("./watch.ts")).watch,
  verify: async () => (await import("./fsck.ts")).verify,
  fsck: async () => (await import("./fsck.ts")).fsck,
  send: async () => (await import("./send.ts")).send,
  cancel: async () => (await import("./cancel.ts")).cancel,
  settle: async () => (await import("./settle.ts")).settle,
  resume: async () => (await import("./resume.ts")).resume,
  retry: async () => (await import("./retry.ts")).retry,
  fork: async () => (await import("./fork.ts")).fork,
  checkpoint: async () => (await import("./checkpoint.ts")).checkpoint,
  replay: async () => (await import("./replay.ts")).replay,
  check: async () => (await import("./check.ts")).check,
  rm: async () => (await import("./rm.ts")).rm,
  gc: async () => (await import("./gc.ts")).gc,
  mcp: async () => (await import("./mcp.ts")).mcp
}

const all = [...Object.keys(loading), "copy", "doctor"]

/** The verbs that may be meant, which are all where none is named, as for the help. */
export const named = (args: ReadonlyArray<string>): ReadonlySet<string> => {
  const found = all.filter((verb) => args.includes(verb))
  return new Set(found.length === 0 || args.includes("--wizard") ? all : found)
}

/** The verbs of `names` that work on the storage that is opened for them. */
export const load = (names: ReadonlySet<string>): Promise<ReadonlyArray<Verb>> =>
  Promise.all(
    Object.entries(loading).flatMap(([name, verb]) => names.has(name) ? [verb()] : [])
  )

/** Those that open storages by themselves. */
export const loadOpening = async <E, R>(
  names: ReadonlySet<string>,
  layerOf: LayerOf<E, R>,
  layerForWriting: LayerOf<E, R>
) => ({
  copy: names.has("copy") ? [(await import("./copy.ts")).copy(layerForWriting)] : [],
  doctor: names.has("doctor") ? [(await import("./doctor.ts")).doctor(layerOf)] : []
})
