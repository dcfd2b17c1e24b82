/**
 * Runs from one storage to another, line by line: what arrives is read back and compared before anyone is
 * told that it is there.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Posted, StorageError } from "./Driver.ts"
import { found, type ReadError } from "./Find.ts"
import * as Inbox from "./Inbox.ts"
import { crc32Hex } from "./internal/crc32.ts"
import * as Journal from "./Journal.ts"
import type { RunNotFound } from "./Refusals.ts"
import type * as RunId from "./RunId.ts"
import { rowOf, Storage } from "./Storage.ts"

/** The run was not copied, or not all of it; the one that was to be copied is as it was. */
export class CopyRejected
  extends Schema.TaggedError<CopyRejected>("reprise/CopyRejected")("CopyRejected", {
    runId: Schema.String,
    saw: Schema.String
  })
{
  override get message(): string {
    return `Run "${this.runId}" was not copied: ${this.saw}.`
  }
}

/** What was copied. */
export interface Copied {
  readonly runId: string
  readonly entries: number
  /** Posts that no entry has taken yet. */
  readonly posts: number
  /** Large values beside the journal. */
  readonly blobs: number
}

/** The lines of a journal's text that its accept rule took, in order. */
const acceptedLines = (text: string, { entries }: Journal.Journal): ReadonlyArray<string> => {
  const lines: Array<string> = []
  for (const line of text.split("\n")) {
    const next = entries[lines.length]
    if (next === undefined) break
    // Of two that verify with one sum, both say the same.
    if (line.endsWith(`"sum":"${next.sum}"}`) && Journal.verifies(line, 0, line.length)) {
      lines.push(line)
    }
  }
  return lines
}

/** What has values that are kept elsewhere. */
interface Holding {
  readonly sealed?: Journal.Recorded["sealed"]
}

const blobsOf = (holding: ReadonlyArray<Holding>): ReadonlyArray<string> => [
  ...new Set(
    holding.flatMap(({ sealed }) => Object.values(sealed ?? {}).flatMap(({ blob }) => blob ?? []))
  )
]

/**
 * Copies a run with its inbox and its large values into the storage `to`, and compares what is there
 * afterwards. Copying again is harmless; another run of that id there is left alone. The values are copied
 * as they stand, so a storage with a codec needs the same codec there.
 *
 * Nobody drives the run while it is copied. Go on with one of the two: they are one run to everybody outside.
 *
 * @example
 * ```ts
 * import { Runs, Storage, Workflow } from "reprise"
 * import { Effect } from "effect"
 *
 * const one = Workflow.make("one", function*(ctx) {
 *   return yield* ctx.step("a", () => 1)
 * })
 * const there = Storage.make(Storage.memoryDriver())
 * const program = Effect.gen(function*() {
 *   yield* one.execute(undefined, { runId: "r1" })
 *   const { entries } = yield* Runs.copy("r1", there)
 *   return entries
 * })
 * await Effect.runPromise(Effect.provide(program, Storage.layerMemory)) // => 3
 * ```
 */
export const copy = (
  runId: string,
  to: Storage["Service"]
): Effect.Effect<
  Copied,
  ReadError | RunNotFound | RunId.RunIdRejected | CopyRejected,
  Storage
> =>
  Effect.gen(function*() {
    yield* found(runId, "none")
    const from = yield* Storage
    const claim = yield* from.acquire(runId)
    const reject = (saw: string) => new CopyRejected({ runId, saw })
    if (claim._tag === "Held") {
      return yield* reject(
        `a process on ${claim.by.host} drives it${
          claim.by.pid === undefined ? "" : ` (pid ${claim.by.pid})`
        }; copy it when it only waits, or has ended`
      )
    }
    return yield* Effect.ensuring(
      copyHeld(runId, from, to, reject),
      Effect.ignore(from.release(runId, claim.token))
    )
  })

const copyHeld = (
  runId: string,
  from: Storage["Service"],
  to: Storage["Service"],
  reject: (saw: string) => CopyRejected
): Effect.Effect<Copied, StorageError | Journal.JournalCorrupt | CopyRejected> =>
  Effect.gen(function*() {
    const { text } = yield* from.driver.read(runId)
    const journal = yield* Effect.fromResult(Journal.read(runId, text))
    const lines = acceptedLines(text, journal)

    const there = yield* to.read(runId, "none")
    const isThere = there.journal.head.prev === journal.head.prev
    if (!isThere && there.version !== "") {
      return yield* reject("the other storage has another run of that id")
    }
    const posts = yield* postsOf(runId, from, journal)
    const blobs = blobsOf([...journal.entries, ...posts.map(({ posted }) => posted)])
    for (const hash of blobs) {
      const value = yield* from.driver.blobs?.get(runId, hash) ?? Effect.undefined
      if (value === undefined) return yield* reject(`its value ${hash} is not there`)
      if (to.driver.blobs === undefined) {
        return yield* reject("the other storage has no place for its large values")
      }
      yield* to.driver.blobs.put(runId, hash, value)
    }

    for (const { line, posted: { eventId } } of posts) {
      const id = `${eventId}:${journal.head.incarnation}:${crc32Hex(line)}`
      yield* to.driver.post(runId, { id, eventId, line })
    }

    if (!isThere) {
      yield* Effect.scoped(Effect.flatMap(
        to.driver.writer(runId),
        (writer) => writer.append("", lines, () => rowOf(journal))
      )).pipe(
        Effect.catchTag("Moved", () => reject("somebody else began a run of that id there"))
      )
    }

    const arrived = yield* to.read(runId, "all")
    const { offset, prev } = arrived.journal.head
    if (offset !== journal.head.offset || prev !== journal.head.prev) {
      return yield* reject("what arrived is not what was sent")
    }
    const inbox = yield* postsOf(runId, to, journal)
    const arrivedLines = new Set(inbox.map(({ line }) => line))
    if (posts.some(({ line }) => !arrivedLines.has(line))) {
      return yield* reject("a post did not arrive")
    }
    return { runId, entries: lines.length, posts: posts.length, blobs: blobs.length }
  })

/** Posts of this incarnation that no entry has taken, with their lines. */
const postsOf = (runId: string, storage: Storage["Service"], journal: Journal.Journal) =>
  Effect.gen(function*() {
    const { before, text } = yield* storage.driver.inbox(runId, "")
    const known = Journal.takenIds(journal.entries)
    const lines = text.split("\n").filter((line) => Journal.verifies(line, 0, line.length))
    const posts = yield* Effect.fromResult(Inbox.read(runId, text, before))
    return posts.flatMap((posted, i) =>
      posted.incarnation === journal.head.incarnation && !known.has(posted.eventId)
        ? [{ posted: posted as Posted & Holding, line: lines[i]! }]
        : []
    )
  })
