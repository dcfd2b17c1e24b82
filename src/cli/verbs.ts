/**
 * The verbs, in the order of the help. A call loads those that it names: the others would cost as much time as the work
 * that is asked for.
 */
import type * as Command from "effect/cli/Command"
import type { Layer } from "effect/Layer"
import type { Storage } from "../Storage.ts"
import type { Purpose } from "./storage.ts"

/** Opens the storage that a URL names. */
export type LayerOf<E, R> = (storage: string, purpose: Purpose) => Layer<Storage, E, R>

/** A verb with whatever flags, and what it may need. */
export type Verb = Command.Command<
  any,
  any,
  any,
  unknown,
  Storage | Command.CommandContext<"reprise"> | Command.Environment
>

const loading: Readonly<Record<string, () => Promise<Verb>>> = {
  list: async () => (await import("./verbs/list.ts")).list,
  show: async () => (await import("./verbs/show.ts")).show,
  journal: async () => (await import("./verbs/journal.ts")).journal,
  watch: async () => (await import("./verbs/watch.ts")).watch,
  verify: async () => (await import("./verbs/fsck.ts")).verify,
  fsck: async () => (await import("./verbs/fsck.ts")).fsck,
  send: async () => (await import("./verbs/send.ts")).send,
  cancel: async () => (await import("./verbs/cancel.ts")).cancel,
  settle: async () => (await import("./verbs/settle.ts")).settle,
  resume: async () => (await import("./verbs/resume.ts")).resume,
  retry: async () => (await import("./verbs/retry.ts")).retry,
  fork: async () => (await import("./verbs/fork.ts")).fork,
  checkpoint: async () => (await import("./verbs/checkpoint.ts")).checkpoint,
  replay: async () => (await import("./verbs/replay.ts")).replay,
  check: async () => (await import("./verbs/check.ts")).check,
  rm: async () => (await import("./verbs/rm.ts")).rm,
  gc: async () => (await import("./verbs/gc.ts")).gc,
  mcp: async () => (await import("./verbs/mcp.ts")).mcp,
  ui: async () => (await import("./verbs/ui.ts")).ui
}

const looking: ReadonlySet<string> = new Set(
  ["list", "show", "journal", "watch", "verify", "fsck", "checkpoint", "replay", "check"]
)

/** What the verb of this name opens its storage for. */
export const purposeOf = (name: string): Purpose => looking.has(name) ? "look" : "go on"

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
  layerOf: LayerOf<E, R>
) => ({
  copy: names.has("copy") ? [(await import("./verbs/copy.ts")).copy(layerOf)] : [],
  doctor: names.has("doctor") ? [(await import("./verbs/doctor.ts")).doctor(layerOf)] : []
})
