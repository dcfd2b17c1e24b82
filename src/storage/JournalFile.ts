/**
 * Appends to one journal file for one session, so that the log itself decides who owns the run.
 *
 * One `O_APPEND` write an append, never continued after a short count; then fsync; then the path must
 * still name the file that was written, and the new lines must be among those the accept rule accepts.
 * Only after that is an append acknowledged, and only then is the next one written. Equal size is the
 * fast path of the last check and never a reason to refuse. The name of a new file is durable before its
 * first line is written; who opens one that is there syncs the directory beside the first append, as whoever
 * made it may have died before.
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

/** So many bytes are read to find a journal's first entry, before all are: the run's input is in it. */
const beginnings = [4_096, 65_536]

/** A file's state as a driver's version. */
export const version = ({ file, size }: Identity): string => `${file}:${size}`

/** Whose journal a writer writes. */
interface Of {
  readonly files: Files
  readonly runId: string
  readonly name: string
}

interface Open {
  readonly appender: Appender
  readonly file: string
}

type AppendError = PlatformError | StorageError | Moved

const moved = ({ runId }: Of): Effect.Effect<never, Moved> =>
  Effect.suspend(() => Effect.fail(new Moved({ runId })))

const envelopeOf = (line: string): Journal.Envelope => JSON.parse(line)

/** The writer of the journal `name`, which tells `onAppended` of every append; its file is open from the first append to the end of the scope. */
export const writer = (
  files: Files,
  runId: string,
  name: string,
  onAppended: () => void
): Effect.Effect<DriverWriter, never, Scope.Scope> =>
  Effect.map(Effect.scope, (scope): DriverWriter => {
    const writer = new JournalWriter({ files, runId, name }, onAppended, scope)
    return { append: (at, lines) => writer.append(at, lines) }
  })

class JournalWriter {
  private open: Open | undefined
  /** Whether the file's name is durable. */
  private isNamed = false
  /** Set when a newer session stands behind lines of ours: they count, and no more of ours will. */
  private isLost = false
  private readonly of: Of
  private readonly onAppended: () => void
  private readonly scope: Scope.Scope

  constructor(of: Of, onAppended: () => void, scope: Scope.Scope) {
    this.of = of
    this.onAppended = onAppended
    this.scope = scope
  }

  append(at: string, lines: ReadonlyArray<string>): Effect.Effect<string, StorageError | Moved> {
    if (this.isLost) return moved(this.of)
    return Effect.uninterruptible(Effect.matchEffect(this.write(at, lines, tries), {
      onFailure: (error) => Effect.fail(refused(this.of, at, error)),
      onSuccess: (now) => {
        this.onAppended()
        return Effect.succeed(now)
      }
    }))
  }

  private write(
    at: string,
    lines: ReadonlyArray<string>,
    left: number
  ): Effect.Effect<string, AppendError> {
    if (this.open !== undefined && this.isNamed) return this.writeTo(this.open, at, lines, left)
    return Effect.flatMap(this.opened(at, lines), (open) => {
      this.open = open
      if (this.isNamed) return this.writeTo(open, at, lines, left)
      const written = beside(this.of.files.syncDirectory, this.writeTo(open, at, lines, left))
      return Effect.map(written, (now) => {
        this.isNamed = true
        return now
      })
    })
  }

  private opened(at: string, lines: ReadonlyArray<string>): Effect.Effect<Open, AppendError> {
    if (this.open !== undefined) return Effect.succeed(this.open)
    const opening = at !== ""
      ? openAt(this.of, at, envelopeOf(lines[0]!).incarnation)
      : Effect.tap(create(this.of), () => {
        this.isNamed = true
        return Effect.void
      })
    return Scope.provide(opening, this.scope)
  }

  private writeTo(
    open: Open,
    at: string,
    lines: ReadonlyArray<string>,
    left: number
  ): Effect.Effect<string, AppendError> {
    const { appender, file } = open
    const bytes = encode(Journal.write(lines))
    const expected = sizeOf(at) + bytes.length
    return Effect.flatMap(
      appender.write(bytes),
      (taken) =>
        Effect.flatMap(
          beside(appender.sync, this.of.files.identify(this.of.name)),
          (now) =>
            now?.file === file && taken === bytes.length && now.size === expected
              ? Effect.succeed(version(now))
              : this.readBack(open, lines, left)
        )
    )
  }

  /** Looks which of `lines` count, and writes anew what a short write lost. */
  private readBack(
    open: Open,
    lines: ReadonlyArray<string>,
    left: number
  ): Effect.Effect<string, AppendError> {
    const { files, name, runId } = this.of
    const { file } = open
    return Effect.flatMap(files.read(name), (found) => {
      if (found === undefined || found.file !== file) return moved(this.of)
      const journal = Journal.read(runId, decode(found.bytes))
      // Damage is for the reader to report, with its place.
      if (Result.isFailure(journal)) return moved(this.of)
      const { entries, head } = journal.success
      const now = version({ file, size: found.bytes.length })
      const accepted = new Set(entries.map((entry) => entry.sum))
      const missing = lines.filter((line) => !accepted.has(envelopeOf(line).sum))
      if (missing.length === 0) {
        this.isLost = envelopeOf(lines.at(-1)!).sum !== head.prev
        return Effect.succeed(this.isLost ? passedBy : now)
      }
      if (envelopeOf(missing[0]!).prev !== head.prev) return moved(this.of)
      return left === 0
        ? Effect.fail(cutShort(this.of))
        : this.writeTo(open, now, missing, left - 1)
    })
  }
}

const create = ({ files, name }: Of): Effect.Effect<Open, AppendError, Scope.Scope> =>
  Effect.gen(function*() {
    yield* files.prepare
    const appender = yield* files.open(name, true)
    // Who reads the first line may tell others of it.
    yield* files.syncDirectory
    return { appender, file: (yield* appender.identity).file }
  })

/** Opens the file that `at` is a state of; `Moved` when the path names another one. */
const openAt = (
  of: Of,
  at: string,
  incarnation: string
): Effect.Effect<Open, AppendError, Scope.Scope> =>
  Effect.gen(function*() {
    const { files, name } = of
    // Opening makes a file where there is none.
    if (!at.startsWith(`${(yield* files.identify(name))?.file}:`)) return yield* moved(of)
    const appender = yield* files.open(name, false)
    const { file, size } = yield* appender.identity
    // A journal never shrinks.
    if (!at.startsWith(`${file}:`) || size < sizeOf(at)) return yield* moved(of)
    // A file that is made again may get the number of the one that was removed.
    if (!(yield* isOf(of, appender, incarnation))) return yield* moved(of)
    return { appender, file }
  })

/** Whether the file's first entry is of this incarnation, or it has no entry yet. */
const isOf = (
  { runId }: Of,
  appender: Appender,
  incarnation: string
): Effect.Effect<boolean, PlatformError> =>
  Effect.gen(function*() {
    for (const atMost of beginnings) {
      const text = decode((yield* appender.read(atMost)).bytes)
      const first = Result.getOrUndefined(Journal.read(runId, firstWhole(text)))?.entries[0]
      if (first !== undefined) return first.incarnation === incarnation
    }
    const journal = Journal.read(runId, decode((yield* appender.read()).bytes))
    if (Result.isFailure(journal)) return false
    const { entries } = journal.success
    return entries.length === 0 || entries[0]!.incarnation === incarnation
  })

/** Up to the first line that is whole: mostly there is the first entry, and the rest need not be read. */
const firstWhole = (text: string): string => {
  for (let from = 0, to: number; (to = text.indexOf("\n", from)) >= 0; from = to + 1) {
    if (Journal.lineKind(text, from, to) === "whole") return text.slice(0, to + 1)
  }
  return ""
}

/** Does `effect` while `syncing` runs: both must be over before anything is acknowledged. */
const beside = <A, E>(
  syncing: Effect.Effect<void, PlatformError>,
  effect: Effect.Effect<A, E>
): Effect.Effect<A, E | PlatformError> =>
  Effect.flatMap(
    Effect.forkChild(syncing, { startImmediately: true }),
    (fiber) => Effect.flatMap(effect, (value) => Effect.as(Fiber.join(fiber), value))
  )

const refused = ({ runId }: Of, at: string, error: AppendError): StorageError | Moved => {
  if (error._tag === "Moved") return error
  const isTaken = error._tag === "PlatformError" && at === ""
    && error.reason._tag === "AlreadyExists"
  return isTaken ? new Moved({ runId }) : toStorageError(appending(runId))(error)
}

const cutShort = ({ runId }: Of): StorageError =>
  new StorageError({
    reason: "Full",
    doing: appending(runId),
    cause: new Error("the disk takes only a part of what is written")
  })

const appending = (runId: string): string => `append to run "${runId}"`
