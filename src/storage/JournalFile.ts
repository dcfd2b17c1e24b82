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

/** A file's state as a driver's version. */
export const version = ({ file, size }: Identity): string => `${file}:${size}`

interface Open {
  readonly appender: Appender
  readonly file: string
}

const envelopeOf = (line: string): Journal.Envelope => JSON.parse(line)

/** The writer of the journal `name`; its file is open from the first append to the end of the scope. */
export const writer = (
  files: Files,
  runId: string,
  name: string
): Effect.Effect<DriverWriter, never, Scope.Scope> =>
  Effect.map(Effect.scope, (scope): DriverWriter => {
    const doing = `append to run "${runId}"`
    const moved = Effect.fail(new Moved({ runId }))
    let open: Open | undefined

    const create = Effect.gen(function*() {
      yield* files.prepare
      const appender = yield* files.open(name, true)
      yield* files.syncDirectory
      return { appender, identity: yield* appender.identity }
    })

    /** Opens the file that `at` is a state of; `Moved` when the path names another one. */
    const opened = (at: string) =>
      Effect.gen(function*() {
        if (open !== undefined) return open
        if (
          at !== "" && !at.startsWith(`${(yield* files.identify(name))?.file}:`)
        ) return yield* moved
        const { appender, identity } = at === "" ? yield* create : yield* existing
        if (at !== "" && !at.startsWith(`${identity.file}:`)) return yield* moved
        return open = { appender, file: identity.file }
      }).pipe(Scope.provide(scope))

    const existing = Effect.gen(function*() {
      const appender = yield* files.open(name, false)
      return { appender, identity: yield* appender.identity }
    })

    const write = (
      at: string,
      lines: ReadonlyArray<string>,
      left: number
    ): Effect.Effect<string, PlatformError | StorageError | Moved> =>
      open === undefined
        ? Effect.flatMap(opened(at), (file) => writeTo(file, at, lines, left))
        : writeTo(open, at, lines, left)

    const writeTo = (
      { appender, file }: Open,
      at: string,
      lines: ReadonlyArray<string>,
      left: number
    ): Effect.Effect<string, PlatformError | StorageError | Moved> => {
      const bytes = encode(Journal.write(lines))
      const expected = (at === "" ? 0 : Number(at.slice(at.lastIndexOf(":") + 1))) + bytes.length
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
        const accepted = new Set(entries.slice(-lines.length * 2).map((entry) => entry.sum))
        const missing = lines.filter((line) => !accepted.has(envelopeOf(line).sum))
        if (missing.length === 0) return now
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

    return {
      append: (at, lines) =>
        Effect.mapError(write(at, lines, tries), (error): StorageError | Moved => {
          if (error._tag === "Moved") return error
          const isTaken = error._tag === "PlatformError" && at === ""
            && error.reason._tag === "AlreadyExists"
          return isTaken ? new Moved({ runId }) : toStorageError(doing)(error)
        })
    }
  })
