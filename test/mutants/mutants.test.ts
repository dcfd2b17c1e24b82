/**
 * Bugs planted on purpose, one for each protection: the check for it holds for the library as it is and
 * fails for the library with the bug. A check that nothing can fail would prove nothing.
 */
import { describe, expect, it } from "@effect/vitest"
import { Cause, Effect, Exit } from "effect"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { slice } from "../../src/internal/slice.ts"
import { type Bug, bugs } from "./bugs.ts"
import * as acknowledged from "./checks.ts"
import * as copies from "./copies.ts"
import { copyBugs } from "./copyBugs.ts"
import * as instructions from "./instructions.ts"
import { plant, source, uproot } from "./plant.ts"
import { storageBugs } from "./storageBugs.ts"
import * as storages from "./storages.ts"
import { workerBugs } from "./workerBugs.ts"
import * as workers from "./workers.ts"

const checks = { ...acknowledged, ...instructions, ...copies, ...storages, ...workers }
type Library = storages.Library & workers.Library
type Mutant = Bug<keyof typeof checks>

const mutants: ReadonlyArray<Mutant> = [
  ...bugs,
  ...copyBugs,
  ...storageBugs,
  ...workerBugs,
  // what is on the disk
  {
    bug: "skip fsync of the journal",
    file: "storage/Files.ts",
    from: "sync: file.sync",
    to: "sync: Effect.void",
    check: "power"
  },
  {
    bug: "skip the sync of the directory",
    file: "storage/Files.ts",
    from: "syncDirectory: sync(root)",
    to: "syncDirectory: Effect.void",
    check: "power"
  },
  {
    bug: "skip the sync of the directory that holds the new directory",
    file: "storage/Files.ts",
    from: "yield* sync(paths.dirname(at))",
    to: "yield* Effect.void",
    check: "power"
  },
  {
    bug: "skip fsync of posts",
    file: "storage/LocalDriver.ts",
    from: "yield* file.sync",
    to: "",
    check: "postedPower"
  },
  {
    bug: "acknowledge while the sync still runs",
    file: "storage/JournalFile.ts",
    from: "Effect.as(Fiber.join(fiber), value)",
    to: "Effect.succeed(value)",
    check: "failedSync"
  },
  {
    bug: "go on after an append that failed",
    file: "Appender.ts",
    from: "this.o.writer.append(this.o.stamp, entries)",
    to: "Effect.orElseSucceed(this.o.writer.append(this.o.stamp, entries), () => true)",
    check: "failedSync"
  },
  // who owns the run
  {
    bug: "acknowledge before reading back",
    file: "storage/JournalFile.ts",
    from: "taken === bytes.length && now.size === expected",
    to: "now !== null",
    check: "twoOwners"
  },
  {
    bug: "take the end of a newer session for one's own",
    file: "storage/JournalFile.ts",
    from: "isLost = envelopeOf",
    to: "isLost = false && envelopeOf",
    check: "overtaken"
  },
  {
    bug: "acknowledge what a short write did not take",
    file: "storage/JournalFile.ts",
    from: "taken === bytes.length && now.size === expected",
    to: "now !== null",
    check: "shortWrite"
  },
  {
    bug: "ignore which file was written",
    file: "storage/JournalFile.ts",
    from: "now?.file === file",
    to: "now !== undefined",
    check: "otherFile"
  },
  {
    bug: "go on after someone else wrote",
    file: "Session.ts",
    from: "!(appended === succeedTrue || (yield* appended))",
    to: "(yield* appended) === undefined",
    check: "fencing"
  },
  // which lines count
  {
    bug: "ignore the session",
    file: "Journal.ts",
    from: "e.session === session && e.writer === writer",
    to: "true",
    check: "sessions"
  },
  {
    bug: "ignore the writer",
    file: "Journal.ts",
    from: "e.session === session && e.writer === writer",
    to: "e.session === session",
    check: "sessions"
  },
  {
    bug: "let a session open that is not higher",
    file: "Journal.ts",
    from: "e.session > session",
    to: "e.session >= session",
    check: "sessions"
  },
  {
    bug: "ignore what a line follows",
    file: "Journal.ts",
    from: "e.prev === prev && e.offset === entries.length",
    to: "e.offset === entries.length",
    check: "chain"
  },
  {
    bug: "drop the checksum",
    file: "Journal.ts",
    from: "&& text.startsWith(crc32Hex(text, from, cut), cut + tail.length)",
    to: "",
    check: "bits"
  },
  {
    bug: "overlook a whole line whose newline was hit",
    file: "Journal.ts",
    from: "if (to < bare.length && verifies(bare, 0, to)) return true",
    to: "",
    check: "bits"
  },
  {
    bug: "leave out the mark behind torn lines",
    file: "Journal.ts",
    from: "`\\t\\n${lines",
    to: "`${lines",
    check: "tornLines"
  },
  {
    bug: "begin an append with a newline only",
    file: "Journal.ts",
    from: "`\\t\\n${lines",
    to: "`\\n${lines",
    check: "tornLines"
  },
  {
    bug: "accept a line without its newline",
    file: "Journal.ts",
    from: "    if (to < 0) {",
    to:
      "    if (to < 0 && verifies(text, from, text.length)) { text += \"\\n\"; to = text.length - 1 }\n    if (to < 0) {",
    check: "unterminated"
  },
  {
    bug: "ignore the incarnation of lines",
    file: "Journal.ts",
    from: "e.incarnation !== incarnation",
    to: "false",
    check: "incarnations"
  },
  // leases
  {
    bug: "release a lease without comparing its token",
    file: "storage/LeaseFile.ts",
    from: "if (held?.token !== token) return",
    to: "token = held?.token ?? token",
    check: "leases"
  },
  {
    bug: "let the last of two claims hold",
    file: "storage/LeaseFile.ts",
    from: "if (line.claim !== claim + 1) continue",
    to: "",
    check: "leases"
  },
  // places
  {
    bug: "make files that others can read",
    file: "storage/Files.ts",
    from: "const fileMode = 0o600",
    to: "const fileMode = 0o644",
    check: "places"
  },
  {
    bug: "make directories that others can enter",
    file: "storage/Files.ts",
    from: "const directoryMode = 0o700",
    to: "const directoryMode = 0o755",
    check: "places"
  },
  {
    bug: "follow links",
    file: "storage/Files.ts",
    from: "noFollow: isPosix",
    to: "noFollow: false",
    check: "places"
  },
  // posts and outcomes
  {
    bug: "take a repeated event again",
    file: "session/Ledger.ts",
    from: "if (machine.eventIds.has(post.eventId)) continue",
    to: "",
    check: "repeatedEvents"
  },
  {
    bug: "take events of a removed run",
    file: "Storage.ts",
    from: "posted.incarnation === incarnation",
    to: "posted.incarnation !== \"\"",
    check: "strangeEvents"
  },
  {
    bug: "release the lease after the last look at the inbox",
    file: "Interpreter.ts",
    from: "turn.seen !== undefined && (yield* hasNews",
    to: "turn.seen === null && (yield* hasNews",
    check: "lateEvents"
  },
  {
    bug: "journal outcomes in another order than they are fed",
    file: "session/Ledger.ts",
    from: "this.batch.push(recorded)",
    to: "this.batch.splice(this.opened ? 0 : 1, 0, recorded)",
    check: "order"
  }
]

const load = (source: string, file: string) => import(pathToFileURL(join(source, file)).href)

const loadStorages = async (source: string) => ({
  ...await load(source, "sqlite.ts"),
  ...await load(source, "postgres.ts"),
  ...await load(source, "objects.ts")
})

/** Loads the library in `source`, or just its accept rule. */
const library = (source: string, isPure = false): Effect.Effect<Library> =>
  Effect.promise(async () =>
    isPure
      ? { Journal: await load(source, "Journal.ts") }
      : {
        ...await load(source, "index.ts"),
        CheckpointKeys: await load(source, "node/CheckpointKeys.ts"),
        Observer: await load(source, "Observer.ts"),
        Testing: await load(source, "testing.ts"),
        slice: (await load(source, "internal/slice.ts")).slice
      }
  )

/** The library with all its storages. */
const withStorages = (source: string): Effect.Effect<Library> =>
  Effect.zipWith(
    library(source),
    Effect.promise(() => loadStorages(source)),
    (reprise, stored) => ({ ...reprise, ...stored })
  )

const outcome = (check: keyof typeof checks, reprise: Library) =>
  Effect.exit(Effect.timeout(checks[check](reprise), "5 seconds"))

describe("the library as it is", () => {
  for (const check of Object.keys(checks) as ReadonlyArray<keyof typeof checks>) {
    it.live(`passes the check "${check}"`, () =>
      Effect.flatMap(withStorages(source), (reprise) => checks[check](reprise)))
  }

  it("has a bug planted for every check", () => {
    expect(new Set(mutants.map(({ check }) => check))).toEqual(new Set(Object.keys(checks)))
  })
})

describe("a planted bug", () => {
  for (const mutant of mutants) {
    it.live(`is caught: ${mutant.bug}`, () =>
      Effect.gen(function*() {
        const planted = plant(mutant)
        const exit = yield* Effect.flatMap(
          mutant.check in storages
            ? withStorages(planted)
            : library(planted, mutant.file === "Journal.ts"),
          (reprise) => outcome(mutant.check, reprise)
        ).pipe(Effect.ensuring(Effect.sync(() => {
          uproot(planted)
          // One that left it open would make the next one's calls look forbidden.
          slice.isOpen = false
          slice.violation = undefined
        })))
        if (Exit.isSuccess(exit)) throw new Error("nothing noticed it")
        // What the check asserts, or what the library says: not a bug that breaks more than it should.
        const seen = Cause.squash(exit.cause)
        expect(seen).not.toBeInstanceOf(TypeError)
        expect(seen).not.toBeInstanceOf(ReferenceError)
        expect(String(seen)).not.toMatch(/(Type|Reference)Error/)
      }))
  }
})
