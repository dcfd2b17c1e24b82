/**
 * The driver over files: which file a run's journal, inbox and lease are, and what each verb does with
 * them. `LocalStorage` is the layer over it.
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import type * as Path from "effect/Path"
import type { PlatformError } from "effect/PlatformError"
import { type Driver, type Listed, makeWatchers, pageOf, StorageError } from "../Driver.ts"
import { scanDue } from "../Due.ts"
import * as Journal from "../Journal.ts"
import * as RunId from "../RunId.ts"
import * as Status from "../Status.ts"
import * as Files from "./Files.ts"
import * as JournalFile from "./JournalFile.ts"
import * as LeaseFile from "./LeaseFile.ts"
import * as ThisProcess from "./ThisProcess.ts"

/** The path of a run's journal in `directory`. */
export const journalPath = (
  directory: string,
  runId: string
): Effect.Effect<string, never, FileSystem.FileSystem | Path.Path> =>
  Effect.flatMap(
    Files.make(directory),
    (files) => Effect.map(RunId.fileName(runId), (name) => files.path(`${name}.jsonl`))
  )

/** The driver over the files of `directory`. */
export const driver = (
  directory: string
): Effect.Effect<Driver, never, FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function*() {
    const files = yield* Files.make(directory)
    const lease = LeaseFile.make(files, yield* ThisProcess.make)
    const { changed, watch } = makeWatchers()

    const at = <A, E extends PlatformError | StorageError>(
      runId: string,
      extension: string,
      doing: string,
      f: (name: string) => Effect.Effect<A, E>
    ): Effect.Effect<A, StorageError> =>
      Effect.mapError(
        Effect.flatMap(RunId.fileName(runId), (name) => f(`${name}.${extension}`)),
        Files.toStorageError(`${doing} of run "${runId}"`)
      )

    const read: Driver["read"] = (runId) =>
      at(runId, "jsonl", "read the journal", (name) =>
        Effect.map(files.read(name), (found) => {
          if (found === undefined) return { text: "", version: "" }
          const version = JournalFile.version({ file: found.file, size: found.bytes.length })
          return { text: Files.decode(found.bytes), version }
        }))

    const holder: Driver["holder"] = (runId, now) =>
      at(runId, "lease", "read the lease", (name) => lease.holder(name, now))

    const load = (name: string) =>
      Effect.flatMap(
        Effect.mapError(
          files.read(`${name}.jsonl`),
          Files.toStorageError(`read the journal ${name}`)
        ),
        (found) =>
          Effect.fromResult(
            Journal.read(name, found === undefined ? "" : Files.decode(found.bytes))
          )
      )

    const statusOf = (runId: string, name: string, { entries }: Journal.Journal, now: number) => {
      if (entries.length === 0) return Effect.undefined
      const status = Status.of(runId, entries)
      return status.status !== "pending" && status.status !== "suspended"
        ? Effect.succeed(status)
        : Effect.map(
          Effect.mapError(
            lease.holder(`${name}.lease`, now),
            Files.toStorageError(`read the lease of run "${runId}"`)
          ),
          (holder) => Status.withOwner(status, holder !== undefined)
        )
    }

    /** A run by the name of its file. A name that is a hash stands for the id in the first entry. */
    const listed = (name: string, now: number): Effect.Effect<Listed> =>
      name.includes("~")
        ? Effect.map(Effect.result(load(name)), (journal) => {
          const runId = journal._tag === "Success"
            ? Journal.first(journal.success)?.runId ?? name
            : name
          const status = Effect.flatMap(
            Effect.fromResult(journal),
            (found) => statusOf(runId, name, found, now)
          )
          return { runId, status }
        })
        : Effect.succeed({
          runId: name,
          status: Effect.flatMap(load(name), (found) => statusOf(name, name, found, now))
        })

    /** The ids of the stored runs; a file whose journal cannot be read has none to give. */
    const runIds = Effect.gen(function*() {
      const names = yield* Effect.mapError(files.names, Files.toStorageError("list the runs"))
      const ids = yield* Effect.forEach(
        names.filter((name) => name.endsWith(".jsonl")).map((name) => name.slice(0, -6)),
        (name) =>
          name.includes("~")
            ? Effect.orElseSucceed(
              Effect.map(load(name), (journal) => Journal.first(journal)?.runId),
              () => undefined
            )
            : Effect.succeed(name)
      )
      return ids.filter((id) => id !== undefined)
    })

    const driver: Driver = {
      read,
      version: (runId) =>
        at(runId, "jsonl", "look at the journal", (name) =>
          Effect.map(
            files.identify(name),
            (found) => found === undefined ? "" : JournalFile.version(found)
          )),
      writer: (runId) =>
        Effect.flatMap(RunId.fileName(runId), (name) =>
          JournalFile.writer(files, runId, `${name}.jsonl`, () => changed(runId, "journal"))),
      post: (runId, { line }) =>
        at(runId, "inbox", "post to the inbox", (name) =>
          Effect.gen(function*() {
            yield* files.prepare
            const bytes = Files.encode(Journal.write([line]))
            yield* Effect.scoped(Effect.gen(function*() {
              const file = yield* files.open(name, false)
              if ((yield* file.write(bytes)) < bytes.length) {
                return yield* cutShort(runId)
              }
              yield* file.sync
            }))
            // Whoever made the file may have died before its name was durable.
            yield* files.syncDirectory
            changed(runId, "inbox")
          }).pipe(Effect.uninterruptible)),
      inbox: (runId, after) =>
        at(runId, "inbox", "read the inbox", (name) =>
          Effect.flatMap(files.exists(name), (isThere) =>
            // Mostly nothing was posted, and a look is quicker than an error.
            isThere
              ? Effect.map(files.read(name, placeOf(after)[0]), (found) =>
                postsIn(found, after))
              : Effect.succeed(postsIn(undefined, after)))),
      acquire: (runId, now, until) =>
        at(runId, "lease", "take the lease", (name) =>
          Effect.andThen(files.prepare, lease.acquire(name, now, until))),
      renew: (runId, token, until) =>
        at(runId, "lease", "renew the lease", (name) =>
          lease.renew(name, token, until)),
      release: (runId, token) =>
        at(runId, "lease", "release the lease", (name) =>
          lease.release(name, token)),
      holder,
      list: (query, now) =>
        Effect.mapError(files.names, Files.toStorageError("list the runs")).pipe(
          Effect.map((names) =>
            names.filter((name) =>
              name.endsWith(".jsonl")
            )
          ),
          Effect.flatMap((names) =>
            Effect.forEach(names, (file) =>
              listed(file.slice(0, -6), now))
          ),
          Effect.flatMap((runs) => pageOf(query, runs))
        ),
      due: (now) => Effect.flatMap(runIds, (ids) => scanDue(driver, ids, now)),
      remove: (runId) =>
        at(runId, "jsonl", "remove the files", (name) =>
          Effect.gen(function*() {
            const run = name.slice(0, -"jsonl".length)
            // The journal first: without it the rest belongs to nobody.
            for (const extension of ["jsonl", "inbox", "lease"]) {
              yield* files.remove(`${run}${extension}`)
            }
            const names = yield* files.names
            yield* Effect.forEach(
              names.filter((name) => name.startsWith(run) && name.endsWith(".blob")),
              files.remove
            )
            yield* files.syncDirectory
            changed(runId, "journal")
          })),
      watch,
      // Other processes write without telling.
      seesAll: false,
      blobs: {
        put: (runId, hash, text) =>
          at(runId, `${hash}.blob`, "store a value", (name) =>
            Effect.gen(function*() {
              yield* files.prepare
              const bytes = Files.encode(text)
              for (let looks = 0;; looks++) {
                const there = yield* files.read(name)
                if (there === undefined) break
                if (Files.decode(there.bytes) === text) return
                // Somebody may be writing the same. Else it was cut short, and no entry names it yet.
                if (looks < 20) yield* pause
                else yield* files.remove(name)
              }
              yield* Effect.scoped(Effect.gen(function*() {
                const file = yield* files.open(name, true)
                if ((yield* file.write(bytes)) < bytes.length) return yield* cutShort(runId)
                yield* file.sync
              }))
              yield* files.syncDirectory
            }).pipe(
              // Somebody made the file since: then it is looked at.
              Effect.retry({ times: 3, while: isAlreadyThere }),
              Effect.uninterruptible
            )),
        get: (runId, hash) =>
          at(runId, `${hash}.blob`, "read a value", (name) =>
            Effect.map(files.read(name), (found) =>
              found === undefined ? undefined : Files.decode(found.bytes)))
      }
    }
    return driver
  })

/** How many bytes a cursor stands behind, and how many lines are in them. */
const placeOf = (cursor: string): readonly [bytes: number, lines: number] => {
  const [bytes = 0, lines = 0] = cursor.split(":").map(Number)
  return [bytes, lines]
}

/** What was read of an inbox behind the cursor `after`. */
const postsIn = (found: Files.Found | undefined, after: string) => {
  if (found === undefined) return { text: "", cursor: after, before: placeOf(after)[1] }
  const [bytes, lines] = placeOf(after)
  const end = found.bytes.lastIndexOf(10) + 1
  const text = Files.decode(found.bytes)
  const before = found.from === bytes ? lines : 0
  const cursor = `${found.from + end}:${before + text.split("\n").length - 1}`
  return { text, cursor, before }
}

/** By the real clock: who writes the same file does not wait for a test's. */
const pause = Effect.promise(() => Effect.runPromise(Effect.sleep(25)))

const isAlreadyThere = (error: PlatformError | StorageError): boolean =>
  error._tag === "PlatformError" && error.reason._tag === "AlreadyExists"

const cutShort = (runId: string) =>
  new StorageError({
    reason: "Full",
    doing: `write for run "${runId}"`,
    cause: new Error("the disk took only a part of it")
  })
