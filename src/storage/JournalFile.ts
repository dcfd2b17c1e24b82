/**
 * Appends to one journal file for one session, so that the log itself decides who owns the run.
 *
 * One `O_APPEND` write an append, never continued after a short count; then fsync; then the path must
 * still name the file that was written, and the new lines must be among those the accept rule accepts.
 * Only after that is an append acknowledged, and only then is the next one written. Equal size is the
 * fast path of the last check and never a reason to refuse.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { PlatformError } from "effect/PlatformError"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import { type DriverWriter, Moved, StorageError } from "../Driver.ts"
import * as Journal from "../Journal.ts"
import {
  type Appender,
  decode,
  encode,
  type Files,
  type Identity,
  toStorageError
} from "./Files.ts"

/** How often lines that a short write lost are written anew before the disk counts as full. */
const tries = 3

const sizeOf = (at: string): number => Number(at.slice(at.lastIndexOf(":") + 1))

/** The version of a writer behind whose lines a newer session stands: no state of the file equals it. */
const passedBy = "passed by"

/** How many bytes are read to find a journal's first entry, before all of them are. */
const firstLines = 65_536

/** A file's state as a driver's version. */
export const version = ({ file, size }: Identity): string => `${file}:${size}`

interface Open {
  readonly appender: Appender
  readonly file: string
}

const envelopeOf = (line: string): Journal.Envelope => JSON.parse(line)

/** The writer of the journal `name`, which tells `onAppended` of every append; its file is open from the first append to the end of the scope. */
export const writer = (
  files: Files,
  runId: string,
  name: string,
  onAppended: () => void
): Effect.Effect<DriverWriter, never, Scope.Scope> =>
  Effect.map(Effect.scope, (scope): DriverWriter => {
    const doing = `append to run "${runId}"`
    const moved = Effect.fail(new Moved({ runId }))
    let open: Open | undefined
    // Set when a newer session stands behind lines of ours: they count, and no more of ours will.
    let isLost = false

    const create = Effect.gen(function*() {
      yield* files.prepare
      const appender = yield* files.open(name, true)
      yield* files.syncDirectory
      return { appender, identity: yield* appender.identity }
    })

    /** Opens the file that `at` is a state of; `Moved` when the path names another one. */
    const opened = (at: string, incarnation: string) =>
      Effect.gen(function*() {
        if (at === "") {
          const { appender, identity } = yield* create
          return open = { appender, file: identity.file }
        }
        if (!at.startsWith(`${(yield* files.identify(name))?.file}:`)) return yield* moved
        const appender = yield* files.open(name, false)
        const { file, size } = yield* appender.identity
        // A journal never shrinks.
        if (!at.startsWith(`${file}:`) || size < sizeOf(at)) return yield* moved
        // A file that is made again may get the number of the one that was removed.
        if (!(yield* isOf(incarnation))) return yield* moved
        // Whoever made the file may have died before its name was durable.
        yield* files.syncDirectory
        return open = { appender, file }
      }).pipe(Scope.provide(scope))

    /** Whether the file's first entry is of this incarnation, or it has no entry yet. */
    const isOf = (incarnation: string) =>
      Effect.gen(function*() {
        const beginning = yield* files.read(name, 0, firstLines)
        const text = beginning === undefined ? "" : decode(beginning.bytes)
        const whole = text.slice(0, text.lastIndexOf("\n") + 1)
        const first = Result.getOrUndefined(Journal.read(runId, whole))?.entries[0]
        if (first !== undefined) return first.incarnation === incarnation
        const all = yield* files.read(name)
        const journal = Journal.read(runId, all === undefined ? "" : decode(all.bytes))
        if (Result.isFailure(journal)) return false
        const { entries } = journal.success
        return entries.length === 0 || entries[0]!.incarnation === incarnation
      })

    const write = (
      at: string,
      lines: ReadonlyArray<string>,
      left: number
    ): Effect.Effect<string, PlatformError | StorageError | Moved> =>
      open === undefined
        ? Effect.flatMap(
          opened(at, envelopeOf(lines[0]!).incarnation),
          (file) => writeTo(file, at, lines, left)
        )
        : writeTo(open, at, lines, left)

    const writeTo = (
      { appender, file }: Open,
      at: string,
      lines: ReadonlyArray<string>,
      left: number
    ): Effect.Effect<string, PlatformError | StorageError | Moved> => {
      const bytes = encode(Journal.write(lines))
      const expected = sizeOf(at) + bytes.length
      return Effect.flatMap(
        appender.write(bytes),
        (taken) =>
          Effect.flatMap(
            syncAndIdentify(appender),
            (now) =>
              now?.file === file && taken === bytes.length && now.size === expected
                ? Effect.succeed(version(now))
                : readBack(file, lines, left)
          )
      )
    }

    /** The check overlaps the sync; both must be over before anything is acknowledged. */
    const syncAndIdentify = (appender: Appender) =>
      Effect.flatMap(
        Effect.forkChild(appender.sync, { startImmediately: true }),
        (syncing) =>
          Effect.flatMap(files.identify(name), (now) => Effect.as(Fiber.join(syncing), now))
      )

    /** Looks which of `lines` count, and writes anew what a short write lost. */
    const readBack = (file: string, lines: ReadonlyArray<string>, left: number) =>
      Effect.gen(function*() {
        const found = yield* files.read(name)
        if (found === undefined || found.file !== file) return yield* moved
        const journal = Journal.read(runId, decode(found.bytes))
        // Damage is for the reader to report, with its place.
        if (Result.isFailure(journal)) return yield* moved
        const { entries, head } = journal.success
        const now = version({ file, size: found.bytes.length })
        const accepted = new Set(entries.map((entry) => entry.sum))
        const missing = lines.filter((line) => !accepted.has(envelopeOf(line).sum))
        if (missing.length === 0) {
          isLost = envelopeOf(lines.at(-1)!).sum !== head.prev
          return isLost ? passedBy : now
        }
        if (envelopeOf(missing[0]!).prev !== head.prev) return yield* moved
        if (left === 0) {
          return yield* new StorageError({
            reason: "Full",
            doing,
            cause: new Error("the disk takes only a part of what is written")
          })
        }
        return yield* write(now, missing, left - 1)
      })

    const refused = (at: string, error: PlatformError | StorageError | Moved) => {
      if (error._tag === "Moved") return error
      const isTaken = error._tag === "PlatformError" && at === ""
        && error.reason._tag === "AlreadyExists"
      return isTaken ? new Moved({ runId }) : toStorageError(doing)(error)
    }

    return {
      append: (at, lines) =>
        isLost ? moved : Effect.uninterruptible(Effect.matchEffect(write(at, lines, tries), {
          onFailure: (error) => Effect.fail(refused(at, error)),
          onSuccess: (now) => {
            onAppended()
            return Effect.succeed(now)
          }
        }))
    }
  })
