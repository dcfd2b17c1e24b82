/**
 * Every verb on a storage that lets nobody in, and on a run that a newer version of the library has written: it says so, or
 * shows what it can, and nothing is changed.
 */
import { describe, expect, it } from "@effect/vitest"
import { Cause, Effect, Exit } from "effect"
import { Journal, Storage } from "reprise"
import { reprise, stderr } from "./support/command.ts"

const code = ["--workflow", "./examples/01-quickstart/workflows.ts"]

/** A call of every verb, and what it comes to on a run of a newer version. */
const verbs: ReadonlyArray<readonly [args: ReadonlyArray<string>, newer: string]> = [
  [["list"], "shown"],
  [["show", "r1"], "shown"],
  [["journal", "r1"], "shown"],
  [["verify", "r1"], "shown"],
  [["fsck"], "shown"],
  [["send", "r1", "e"], "posted"],
  [["cancel", "r1"], "posted"],
  [["settle", "r1", "a", "--retry"], "SettleRejected"],
  [["resume", "r1", ...code], "VersionMismatch"],
  [["retry", "r1"], "ForkRejected"],
  [["fork", "r1", "--from-step", "a"], "VersionMismatch"],
  [["checkpoint", "r1"], "VersionMismatch"],
  [["replay", "r1", ...code], "Found"],
  [["check", ...code], "Found"],
  [["rm", "r1", "--yes"], "RemovalRejected"],
  [["gc", "--older-than", "1 day"], "shown"],
  [["copy", "r1", "--to", "file:elsewhere"], "copied"],
  [["doctor"], "shown"]
]

const denied = new Storage.StorageError({
  reason: "Denied",
  doing: "use the storage",
  cause: new Error("EACCES")
})

/** All that is asked of it is denied. */
const closed = Storage.make(
  new Proxy(Storage.memoryDriver(), {
    get: (driver, name) => {
      const member: unknown = Reflect.get(driver, name)
      return typeof member !== "function" || name === "watch" ? member : () => Effect.fail(denied)
    }
  })
)

const timestamp = "2026-01-01T00:00:00.000Z"

/** A storage with one run, of a journal format that nobody knows yet. */
const newer = Effect.gen(function*() {
  const driver = Storage.memoryDriver()
  const start = { type: "start", format: 99, workflow: "triage", runId: "r1", metadata: {} }
  const { head, lines } = Journal.seal(
    Journal.emptyHead,
    { incarnation: "i", session: 1, writer: "w" },
    [start, { type: "step", stepId: "a", name: "a", result: 1 }].map((entry) =>
      Journal.stamped(entry as Journal.Entry, timestamp)
    )
  )
  const writer = yield* driver.writer("r1")
  // A driver without an index asks for no row.
  yield* writer.append("", lines, () => ({ head, taken: [], status: {} as never }))
  return { driver, storage: Storage.make(driver) }
}).pipe(Effect.scoped)

/** What a call came to: the tag of what it failed with. */
const outcome = (args: ReadonlyArray<string>, storage: Storage.Storage["Service"]) =>
  Effect.map(
    Effect.exit(reprise(...args).pipe(Effect.provideService(Storage.Storage, storage))),
    (exit) =>
      Exit.isSuccess(exit)
        ? "done"
        : (Cause.squash(exit.cause) as { readonly _tag?: string })._tag ?? "a defect"
  )

describe.each(verbs)("reprise %j", (args, expected) => {
  it.effect("says that the storage lets nobody in", () =>
    Effect.gen(function*() {
      const came = yield* outcome(args, closed)
      if (args[0] === "verify" || args[0] === "doctor") return expect(came).toBe("Found")
      expect(came).toBe("StorageError")
      expect(yield* stderr).toMatch(/^Could not use the storage: EACCES\. Check that the storage/)
    }))

  it.effect("takes a run of a newer version for what it is", () =>
    Effect.gen(function*() {
      const { driver, storage } = yield* newer
      const before = yield* driver.read("r1")
      const came = yield* outcome(args, storage)
      const isDone = ["shown", "posted", "copied"].includes(expected)
      expect(came).toBe(isDone ? "done" : expected)
      expect(yield* driver.read("r1")).toEqual(before)
      const { text } = yield* driver.inbox("r1", "")
      expect(text === "").toBe(expected !== "posted")
    }))
})
