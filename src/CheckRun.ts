/** Whether what is stored of a run is sound: its journal line by line, its large values, and its inbox. */
import * as Effect from "effect/Effect"
import { StorageError } from "./Driver.ts"
import type { Sealed } from "./Entry.ts"
import { found } from "./Find.ts"
import * as Inbox from "./Inbox.ts"
import type { JournalCorrupt } from "./Journal.ts"
import type { RunNotFound } from "./Refusals.ts"
import type { RunIdRejected } from "./RunId.ts"
import { Storage } from "./Storage.ts"

/** What was found of a run. */
export interface Checked {
  readonly runId: string
  readonly state: "sound" | "damaged" | "unreadable"
  /** Those before the damage, where there is some. */
  readonly entries: number
  /** Lines of writers that had lost the run. */
  readonly rejected: number
  readonly torn: number
  readonly file?: JournalCorrupt["file"]
  /** Of the file, counted from 1. */
  readonly line?: number
  readonly message?: string
}

/** Of a run with damage, or with something that the storage does not give. */
export const unsound = (
  runId: string,
  error: JournalCorrupt | StorageError,
  counts: Pick<Checked, "entries" | "rejected" | "torn"> = { entries: 0, rejected: 0, torn: 0 }
): Checked =>
  error._tag === "StorageError"
    ? { runId, state: "unreadable", ...counts, message: error.message }
    : {
      runId,
      state: "damaged",
      ...counts,
      ...(error.file === "journal" ? { entries: error.offset } : undefined),
      file: error.file,
      line: error.line,
      message: error.message
    }

/** Reads all that is stored of the run. Fails when nothing can be said, since the storage is away. */
export const checkRun = (
  runId: string
): Effect.Effect<Checked, StorageError | RunNotFound | RunIdRejected, Storage> =>
  Effect.suspend(() => {
    let counts = { entries: 0, rejected: 0, torn: 0 }
    return Effect.gen(function*() {
      const { journal: { entries, rejected, torn } } = yield* found(runId, "none")
      counts = { entries: entries.length, rejected, torn }
      const sealed = entries.flatMap((entry) => Object.values(entry.sealed ?? {}))
      if (sealed.some(isEncoded)) yield* areThere(runId, sealed)
      else if (sealed.length > 0) yield* found(runId, "all")
      const { driver } = yield* Storage
      const { before, text } = yield* driver.inbox(runId, "")
      yield* Effect.fromResult(Inbox.read(runId, text, before))
      return { runId, state: "sound" as const, ...counts }
    }).pipe(
      Effect.catchTag("JournalCorrupt", (error) => Effect.succeed(unsound(runId, error, counts))),
      Effect.catchTag("StorageError", (error) =>
        error.isRetryable
          ? Effect.fail(error)
          : Effect.succeed(unsound(runId, error, counts)))
    )
  })

/** Whether only who has the key can read it. */
const isEncoded = ({ blob: _, length: __, text: ___, ...rest }: Sealed) =>
  Object.keys(rest).length > 0

/** Large values that nobody here can read are looked for at least. */
const areThere = Effect.fnUntraced(function*(runId: string, sealed: ReadonlyArray<Sealed>) {
  const { driver } = yield* Storage
  for (const { blob } of sealed) {
    if (blob === undefined || (yield* driver.blobs?.get(runId, blob) ?? Effect.undefined)) continue
    const cause = new Error(`its blob ${blob} is not there`)
    return yield* new StorageError({ reason: "Unknown", doing: `look at run "${runId}"`, cause })
  }
})
