/** The verbs that only read, in this process: journal, watch, fsck, verify, doctor, and list as it watches. */
import { NodeServices } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Option, Redacted, Runtime, Schema } from "effect"
import { TerminalCapabilities } from "effect/cli"
import { TestClock, TestConsole } from "effect/testing"
import { chmodSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Instruction, Journal, JournalCodec, Runs, Storage, Workflow } from "reprise"
import { run } from "../../src/cli/reprise.ts"
import { nodeCheck, peerCheck } from "../../src/cli/verbs/doctor/versions.ts"
import * as MemoryDriver from "../../src/MemoryDriver.ts"
import { temporary } from "../storage/support/local.ts"
import { reprise, repriseOn, stderr, stdout, terminal } from "./support/command.ts"

const Card = Schema.Struct({ number: Workflow.secret(Schema.String) })
const Reserved = Schema.Struct({ card: Card, note: Schema.String })
const order = Workflow.make("order", {
  input: Card,
  events: { go: Schema.String }
}, function*(ctx, card) {
  yield* ctx.step("reserve", () => ({ card, note: "\u001b[2J\u202e" }), { schema: Reserved })
  yield* ctx.step("charge", () => Effect.fail(new Error("declined"))).pipe(Instruction.result)
  const said = yield* ctx.suspend("go", { key: "k" })
  yield* ctx.step("ship", () => said.length)
  return said
})
const card = { number: Redacted.make("4111 1111") }
const begun = order.start(card, { runId: "r1" })
const go = order.resume("r1", { eventName: "go", key: "k", value: "yes" })

/** The lines that the command prints. */
const lines = (...args: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const before = (yield* stdout).length
    yield* reprise(...args)
    return (yield* stdout).slice(before)
  })
const json = (...args: ReadonlyArray<string>) =>
  Effect.map(lines("--json", ...args), (found) => found.map((line) => JSON.parse(line)))

/** What it prints when it ends with a code other than 0, and that code. */
const failing = (...args: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const before = (yield* stdout).length
    const exit = yield* Effect.exit(reprise(...args))
    const error = Option.getOrThrow(Exit.findErrorOption(exit))
    const code = typeof error === "object" && error !== null && Runtime.errorExitCode in error
      ? error[Runtime.errorExitCode]
      : 1
    return { code, out: (yield* stdout).slice(before) }
  })

/** Waits until so many lines are printed: what looks for its storage in files takes its time. */
const untilPrinted = (count: number): Effect.Effect<void> =>
  Effect.flatMap(stdout, ({ length }) =>
    length >= count
      ? Effect.void
      : Effect.andThen(Effect.promise(() => new Promise(setImmediate)), untilPrinted(count)))

/** A storage whose journals, or inboxes, read as `change` has them. */
const damagedBy = (
  driver: Storage.Driver,
  change: (runId: string, text: string) => string,
  posts: (text: string) => string = (text) => text
) =>
  Storage.make({
    ...driver,
    read: (runId) =>
      Effect.map(driver.read(runId), ({ text, version }) => ({
        text: change(runId, text),
        version
      })),
    inbox: (runId, after) =>
      Effect.map(driver.inbox(runId, after), ({ text, ...rest }) => ({
        ...rest,
        text: posts(text)
      }))
  })

const zombies = (text: string) => {
  const [first = "", ...rest] = text.split("\n")
  const stamp = { incarnation: "another", session: 9, writer: "zombie" }
  const { lines } = Journal.seal(Journal.emptyHead, stamp, [
    Journal.stamped({ type: "start" }, "1970-01-01T00:00:00.000Z")
  ])
  return [first, `${first.slice(0, 40)}\t`, `${first.slice(0, 50)}\t`, ...lines, ...rest].join("\n")
}

// ---------------------------------------------------------------------------------------------------

describe("reprise journal", () => {
  it.effect("prints the entries that count, without secrets and what acts on a terminal", () =>
    Effect.gen(function*() {
      yield* begun
      const printed = yield* lines("journal", "r1")
      const { entries } = yield* Runs.journal("r1")
      expect(printed.map((line) => JSON.parse(line).offset)).toEqual(
        entries.map(({ offset }) => offset)
      )
      expect(JSON.parse(printed[0]!)).toMatchObject({ metadata: { number: "<redacted>" } })
      expect(JSON.parse(printed[1]!)).toMatchObject({
        stepId: "reserve",
        result: { card: { number: "<redacted>" }, note: "\u001b[2J\u202e" }
      })
      expect(printed.join("")).not.toMatch(/4111|[\p{Cc}\p{Bidi_Control}]/u)
      expect(yield* lines("journal", "r1", "--no-json")).toEqual(printed)
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("leaves out what is torn and of zombies", () => {
    const driver = MemoryDriver.make()
    return Effect.gen(function*() {
      yield* Effect.provideService(begun, Storage.Storage, Storage.make(driver))
      const types = (yield* json("journal", "r1")).map(({ type }) => type)
      expect(types).toEqual(["start", "step", "step", "suspend"])
    }).pipe(Effect.provideService(Storage.Storage, damagedBy(driver, (_, text) => zombies(text))))
  })

  it.effect("begins where it is told to", () =>
    Effect.gen(function*() {
      yield* begun
      const offsets = (from: string) =>
        Effect.map(json("journal", "r1", "--offset", from), (all) => all.map((e) => e.offset))
      expect(yield* offsets("2")).toEqual([2, 3])
      expect(yield* offsets("0")).toEqual([0, 1, 2, 3])
      const before = yield* stdout
      yield* reprise("journal", "r1", "--offset", "4")
      expect(yield* stdout).toEqual(before)
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("goes on with what is written, each entry once, until the run ends", () =>
    Effect.gen(function*() {
      yield* begun
      const following = yield* Effect.forkChild(
        lines("journal", "r1", "--watch", "--offset", "3")
      )
      yield* untilPrinted(1)
      yield* go
      const printed = yield* Fiber.join(following)
      const { entries } = yield* Runs.journal("r1")
      expect(printed.map((line) => JSON.parse(line).offset)).toEqual(
        entries.slice(3).map(({ offset }) => offset)
      )
      expect(JSON.parse(printed.at(-1)!)).toMatchObject({ type: "complete", result: "yes" })
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect.each([
    ["nope", "There is no run \"nope\" in this storage."],
    ["a/b", "\"a/b\" is no run id"],
    ["r1 --offset -1", "offset"],
    ["r1 --offset x", "offset"],
    ["r1 r2", "r2"]
  ])("refuses %s", ([args = "", message]) =>
    Effect.gen(function*() {
      yield* begun
      expect(yield* failing("journal", ...args.split(" "))).toMatchObject({ code: 1 })
      expect(yield* stderr).toContain(message)
    }).pipe(Effect.provide(Storage.layerMemory)))
})

describe("reprise watch", () => {
  it.effect("prints a line for each state until the run ends", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(Date.UTC(2026, 0, 2, 3, 4, 5, 678))
      yield* begun
      const watching = yield* Effect.forkChild(lines("watch", "r1"))
      yield* untilPrinted(1)
      yield* go
      const printed = yield* Fiber.join(watching)
      expect(printed[0]).toBe(
        "2026-01-02T03:04:05Z  suspended  1 step  1 failed  waits for go key \"k\""
      )
      expect(printed.at(-1)).toBe("2026-01-02T03:04:05Z  success  2 steps  1 failed  \"yes\"")
      expect(new Set(printed).size).toBe(printed.length)
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("prints whole states as JSON, without secrets", () =>
    Effect.gen(function*() {
      const telling = Workflow.make("telling", { output: Card }, function*(ctx) {
        return yield* ctx.step("card", () => card, { schema: Card })
      })
      yield* telling.start(undefined, { runId: "t1" })
      expect(yield* json("watch", "t1")).toEqual([
        expect.objectContaining({
          runId: "t1",
          status: "success",
          result: { number: "<redacted>" }
        })
      ])
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("shows what runs and what is published, as far as this process knows", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const busy = Workflow.make("busy", { channels: { done: Schema.Int } }, function*(ctx) {
        yield* ctx.publish("done", 7)
        yield* ctx.step("work", () => Deferred.await(gate))
      })
      const fiber = yield* Effect.forkChild(busy.start(undefined, { runId: "b1" }))
      yield* TestClock.adjust(1)
      const watching = yield* Effect.forkChild(lines("watch", "b1"))
      yield* untilPrinted(1)
      expect((yield* stdout).at(-1)).toMatch(/ {2}running {2}0 steps {2}1 running {2}done 7$/)
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(fiber)
      expect((yield* Fiber.join(watching)).at(-1)).toMatch(/ {2}success {2}1 step {2}done 7$/)
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("names the run that it goes on as, and why one failed", () =>
    Effect.gen(function*() {
      const loop = Workflow.make("loop", { input: Schema.Int }, function*(ctx, n) {
        if (n < 2) return yield* ctx.continueAs(n + 1)
        return yield* ctx.step("boom", () => Effect.fail(new Error("no\nmore")))
      })
      yield* loop.start(1, { runId: "l1" }).pipe(Effect.exit)
      const [last] = (yield* lines("watch", "l1")).slice(-1)
      expect(last).toMatch(/ {2}l1\+2 {2}failed {2}0 steps {2}1 failed {2}.*no more$/)
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("fails for a run that is not there", () =>
    Effect.gen(function*() {
      expect(yield* failing("watch", "nope")).toEqual({ code: 1, out: [] })
      expect(yield* stderr).toContain("There is no run \"nope\"")
    }).pipe(Effect.provide(Storage.layerMemory)))
})

describe("reprise list --watch", () => {
  const others = order.enqueue(card, { runId: "r2" })

  it.effect("prints as JSON what is new, what has changed and what is gone, and nothing else", () =>
    Effect.gen(function*() {
      yield* begun
      yield* others
      const watching = yield* Effect.forkChild(reprise("list", "--watch", "--json"))
      const news = Effect.gen(function*() {
        const before = (yield* stdout).length
        yield* TestClock.adjust("1 second")
        return (yield* stdout).slice(before).map((line) => JSON.parse(line))
      })
      yield* untilPrinted(2)
      expect((yield* stdout).map((line) => JSON.parse(line).runId)).toEqual(["r1", "r2"])
      expect(yield* news).toEqual([])
      yield* go
      expect(yield* news).toEqual([expect.objectContaining({ runId: "r1", status: "success" })])
      yield* order.enqueue(card, { runId: "r3" })
      yield* Runs.remove("r2")
      expect(yield* news).toEqual([
        expect.objectContaining({ runId: "r3", status: "pending" }),
        { runId: "r2", gone: true }
      ])
      expect(yield* news).toEqual([])
      yield* Fiber.interrupt(watching)
      expect(yield* stderr).toBe("")
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("prints the page anew on a terminal when it has changed", () =>
    Effect.gen(function*() {
      yield* begun
      const watching = yield* Effect.forkChild(reprise("list", "--watch"))
      yield* untilPrinted(3)
      yield* TestClock.adjust("3 seconds")
      const first = yield* TestConsole.logLines
      expect(first).toHaveLength(2)
      expect(first[0]).toBe("\u001b[H\u001b[2J")
      expect(first[1]).toMatch(/\nr1 +order +suspended /)
      yield* go
      yield* TestClock.adjust("1 second")
      const second = (yield* TestConsole.logLines).slice(2)
      expect(second[0]).toBe("\u001b[H\u001b[2J")
      expect(second[1]).toMatch(/\nr1 +order +success /)
      yield* Fiber.interrupt(watching)
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("does not act on what is no terminal", () =>
    Effect.gen(function*() {
      yield* begun
      const watching = yield* Effect.forkChild(
        repriseOn({ canAnimate: false, canColor: false, canPrompt: false }, [
          "list",
          "--watch",
          "--no-json"
        ])
      )
      yield* untilPrinted(2)
      yield* go
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(watching)
      const printed = yield* stdout
      expect(printed.map((line) => line.slice(0, 3).trim())).toEqual(["RUN", "r1", "", "RUN", "r1"])
      expect(printed.join("")).not.toMatch(/\p{Cc}/u)
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("watches the runs that were asked for", () =>
    Effect.gen(function*() {
      yield* begun
      yield* others
      const watching = yield* Effect.forkChild(
        reprise("list", "--watch", "--json", "--status", "suspended")
      )
      yield* untilPrinted(1)
      yield* go
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(watching)
      expect((yield* stdout).map((line) => JSON.parse(line))).toEqual([
        expect.objectContaining({ runId: "r1", status: "suspended" }),
        { runId: "r1", gone: true }
      ])
    }).pipe(Effect.provide(Storage.layerMemory)))
})

describe("reprise fsck and verify", () => {
  const three = Effect.gen(function*() {
    yield* begun
    yield* order.start(card, { runId: "r2" })
    yield* order.start(card, { runId: "r3" })
    yield* Runs.send("r3", { eventName: "go", key: "k", value: "yes" })
  })

  it.effect("say that all is sound", () =>
    Effect.gen(function*() {
      yield* three
      expect(yield* lines("fsck")).toEqual(["3 runs, 12 sound entries, nothing damaged"])
      expect(yield* json("fsck")).toEqual(["r1", "r2", "r3"].map((runId) => ({
        runId,
        state: "sound",
        entries: 4,
        rejected: 0,
        torn: 0
      })))
      expect(yield* lines("fsck", "r2")).toEqual(["1 run, 4 sound entries, nothing damaged"])
      expect(yield* lines("verify", "r2")).toEqual([
        "The journal of run \"r2\" is sound: 4 entries, each with the checksum of its bytes, "
        + "and behind the one before it."
      ])
      expect(yield* json("verify", "r2")).toEqual([
        { runId: "r2", state: "sound", entries: 4, rejected: 0, torn: 0 }
      ])
      expect(yield* stderr).toBe("")
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("say that there is nothing", () =>
    Effect.gen(function*() {
      expect(yield* lines("fsck")).toEqual(["0 runs, 0 sound entries, nothing damaged"])
      for (const verb of ["fsck", "verify"]) {
        expect(yield* failing(verb, "nope")).toEqual({ code: 1, out: [] })
      }
      expect(yield* stderr).toContain("There is no run \"nope\"")
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("go through all pages", () =>
    Effect.gen(function*() {
      const ids = Array.from({ length: 230 }, (_, i) => `r${1_000 + i}`)
      for (const runId of ids) yield* order.enqueue(card, { runId })
      expect((yield* json("fsck")).map(({ runId }) => runId)).toEqual(ids)
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("count what counts for nothing, which is no damage", () => {
    const driver = MemoryDriver.make()
    const change = (runId: string, text: string) => runId === "r2" ? zombies(text) : text
    return Effect.gen(function*() {
      yield* Effect.provideService(three, Storage.Storage, Storage.make(driver))
      expect(yield* lines("fsck")).toEqual([
        "r2  sound: 4 entries, 1 line ignored of writers that had lost the run, 2 lines torn",
        "3 runs, 12 sound entries, 1 line ignored of writers that had lost the run, 2 lines torn, "
        + "nothing damaged"
      ])
      expect((yield* lines("verify", "r2")).slice(1)).toEqual([
        "1 line of writers that had lost the run: no reader counts them, and they do no harm.",
        "2 lines cut short by a crash or a full disk: nobody was told that they were saved."
      ])
    }).pipe(Effect.provideService(Storage.Storage, damagedBy(driver, change)))
  })

  it.effect("end with code 2 for a damaged journal, and tell where", () => {
    const driver = MemoryDriver.make()
    const change = (runId: string, text: string) =>
      runId === "r2" ? text.replace("\"charge\"", "\"chargE\"") : text
    return Effect.gen(function*() {
      yield* Effect.provideService(three, Storage.Storage, Storage.make(driver))
      const all = yield* failing("fsck")
      expect(all.code).toBe(2)
      expect(all.out).toEqual([
        expect.stringMatching(
          /^r2 {2}damaged: The journal of run "r2" is damaged at line 3: its c/
        ),
        "3 runs, 10 sound entries, 1 damaged"
      ])
      expect(yield* stderr).toMatch(/^1 of 3 runs cannot be read\. Nothing was changed: restore/)
      const { code, out } = yield* failing("fsck", "--json")
      expect(code).toBe(2)
      expect(out.map((line) => JSON.parse(line))[1]).toEqual({
        runId: "r2",
        state: "damaged",
        entries: 2,
        rejected: 0,
        torn: 0,
        file: "journal",
        line: 3,
        message: expect.stringContaining("The 2 entries before it are sound.")
      })
      const one = yield* failing("verify", "r2")
      expect(one).toEqual({
        code: 2,
        out: [expect.stringMatching(/^The journal of run "r2" is damaged at line 3/)]
      })
      expect(yield* lines("verify", "r3")).toHaveLength(1)
    }).pipe(Effect.provideService(Storage.Storage, damagedBy(driver, change)))
  })

  it.effect("find damage in an inbox", () => {
    const driver = MemoryDriver.make()
    const posts = (text: string) => text.replace("\"go\"", "\"gO\"")
    return Effect.gen(function*() {
      yield* Effect.provideService(three, Storage.Storage, Storage.make(driver))
      const { code, out } = yield* failing("fsck")
      expect(code).toBe(2)
      expect(out[0]).toMatch(/^r3 {2}damaged: The inbox of run "r3" is damaged at line 1/)
      const found = yield* failing("verify", "r3", "--json")
      expect(JSON.parse(found.out[0]!)).toMatchObject({
        state: "damaged",
        file: "inbox",
        entries: 4
      })
    }).pipe(Effect.provideService(Storage.Storage, damagedBy(driver, (_, text) => text, posts)))
  })

  it.effect("tell a run that the storage does not give, and fail when it gives none", () => {
    const driver = MemoryDriver.make()
    let reason: "Denied" | "Unavailable" = "Denied"
    const denied = Storage.make({
      ...driver,
      read: (runId) =>
        runId === "r2"
          ? Effect.fail(
            new Storage.StorageError({ reason, doing: "read it", cause: new Error("EACCES") })
          )
          : driver.read(runId)
    })
    return Effect.gen(function*() {
      yield* Effect.provideService(three, Storage.Storage, Storage.make(driver))
      const { code, out } = yield* failing("fsck")
      expect(code).toBe(2)
      expect(out).toEqual([
        expect.stringMatching(/^r2 {2}unreadable: Could not read it: EACCES/),
        "3 runs, 8 sound entries, 1 damaged"
      ])
      reason = "Unavailable"
      expect(yield* failing("fsck", "r2")).toEqual({ code: 1, out: [] })
    }).pipe(Effect.provideService(Storage.Storage, denied))
  })

  it.effect("look at large values too, and need no key for those that are encoded", () => {
    const blobs = new Map<string, string>()
    const memory = MemoryDriver.make()
    const driver: Storage.Driver = {
      ...memory,
      blobs: {
        inline: 100,
        put: (_, hash, text) => Effect.sync(() => void blobs.set(hash, text)),
        get: (_, hash) => Effect.sync(() => blobs.get(hash))
      }
    }
    const plain = Storage.make(driver)
    const large = Workflow.make("large", function*(ctx) {
      return (yield* ctx.step("make", () => "large ".repeat(100))).length
    })
    const states = Effect.map(
      Effect.ignore(reprise("fsck", "--json")),
      () => undefined
    ).pipe(
      Effect.andThen(stdout),
      Effect.map((all) => all.slice(-2).map((line) => JSON.parse(line).state))
    )
    return Effect.gen(function*() {
      yield* large.start(undefined, { runId: "l1" })
      yield* large.start(undefined, { runId: "l2" }).pipe(
        Effect.provide(
          JournalCodec.layer({ keys: [{ id: "a", secret: Redacted.make("s".repeat(40)) }] })
        ),
        Effect.provideService(Storage.Storage, plain)
      )
      expect(blobs.size).toBe(2)
      expect(yield* states).toEqual(["sound", "sound"])
      const hashes = Array.from(blobs.keys())
      blobs.set(hashes[0]!, "\"other\"")
      expect(yield* states).toEqual(["unreadable", "sound"])
      blobs.delete(hashes[1]!)
      expect(yield* states).toEqual(["unreadable", "unreadable"])
    }).pipe(Effect.provideService(Storage.Storage, plain))
  })
})

describe("reprise doctor", () => {
  const elsewhere = ["--storage", "postgres://me:hunter2@host/db"]

  it.effect("says that all is well", () =>
    Effect.gen(function*() {
      yield* begun
      const all = yield* json("doctor", ...elsewhere)
      expect(all.map(({ check }) => check)).toEqual([
        "reprise",
        "node",
        "@effect/platform-node",
        "@effect/sql-pg",
        "aws4fetch",
        "effect",
        "storage",
        "opening",
        "runs",
        "clock"
      ])
      expect(all.filter(({ state }) => state !== "ok")).toEqual([])
      expect(all[6]).toEqual({
        check: "storage",
        state: "ok",
        saw: "postgres://me@host/db, by --storage"
      })
      expect(yield* lines("doctor", ...elsewhere)).toContain(
        "✓ runs                    1 can be read"
      )
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("warns of entries from the future", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(Date.UTC(2026, 0, 2))
      yield* begun
      yield* TestClock.setTime(Date.UTC(2026, 0, 1))
      expect((yield* lines("doctor", ...elsewhere)).at(-1)).toMatch(
        /^! clock +the newest entry is of 2026-01-02T00:00:00.000Z, and here it is 2026-01-01T.* → Set/
      )
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("tells runs that cannot be read", () => {
    const driver = MemoryDriver.make()
    const storage = damagedBy(driver, (_, text) => text)
    const bad = Storage.make({
      ...driver,
      list: () =>
        Effect.map(driver.list({}, 0), ({ runs }) => ({
          runs,
          unreadable: [{
            runId: "bad",
            error: new Journal.JournalCorrupt({
              runId: "bad",
              file: "journal",
              offset: 1,
              line: 2,
              saw: "x"
            })
          }]
        }))
    })
    return Effect.gen(function*() {
      yield* Effect.provideService(begun, Storage.Storage, storage)
      const { code, out } = yield* failing("doctor", ...elsewhere)
      expect(code).toBe(2)
      expect(out).toContain(
        "✗ runs                    1 of 2 cannot be read, as bad  → reprise fsck tells what is wrong "
          + "with each."
      )
    }).pipe(Effect.provideService(Storage.Storage, bad))
  })

  it.effect.each(["fails", "dies"])(
    "goes on when the storage %s as it is opened",
    (how) =>
      Effect.gen(function*() {
        const error = new Error("no such host")
        const layer = Layer.effect(
          Storage.Storage,
          how === "fails" ? Effect.fail(error) : Effect.die(error)
        )
        const exit = yield* Effect.exit(
          run(["doctor", ...elsewhere], () => layer).pipe(
            Effect.provide(NodeServices.layer),
            Effect.provideService(TerminalCapabilities.TerminalCapabilities, terminal)
          )
        )
        expect(Option.getOrThrow(Exit.findErrorOption(exit))).toMatchObject({ _tag: "Found" })
        expect((yield* stdout).at(-1)).toBe(
          "✗ opening                 no such host  → Nothing can be read of it until it opens."
        )
        expect(yield* stderr).toBe("")
      })
  )

  it.effect("tells that reprise.json names no storage", () =>
    Effect.gen(function*() {
      const cwd = temporary()
      writeFileSync(join(cwd, "reprise.json"), "{")
      const before = process.cwd()
      process.chdir(cwd)
      const { code, out } = yield* Effect.ensuring(
        failing("doctor"),
        Effect.sync(() => process.chdir(before))
      )
      expect(code).toBe(2)
      expect(out.at(-1)).toContain(`names no storage: it is not JSON.`)
      expect(out.at(-1)).toContain(`→ Mend ${join(cwd, "reprise.json")}.`)
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("looks at the directory of files", () =>
    Effect.gen(function*() {
      const top = temporary()
      const of = (name: string) =>
        Effect.gen(function*() {
          const before = (yield* stdout).length
          yield* Effect.ignore(reprise("doctor", "--json", "--storage", `file:${join(top, name)}`))
          const found = (yield* stdout).slice(before).map((line) => JSON.parse(line))
          return found.find(({ check }) => check === "directory")
        })
      const make = (name: string, mode: number) => {
        mkdirSync(join(top, name))
        chmodSync(join(top, name), mode)
      }
      make("own", 0o700)
      make("read", 0o755)
      make("open", 0o777)
      symlinkSync(join(top, "own"), join(top, "link"))
      writeFileSync(join(top, "text"), "")
      expect(yield* of("own")).toMatchObject({ state: "ok" })
      expect(yield* of("read")).toMatchObject({
        state: "warning",
        advice: expect.stringMatching(/^chmod 700/)
      })
      expect(yield* of("open")).toMatchObject({
        state: "wrong",
        saw: expect.stringContaining("777")
      })
      expect(yield* of("link")).toMatchObject({
        state: "wrong",
        saw: expect.stringContaining("Link")
      })
      expect(yield* of("text")).toMatchObject({
        state: "wrong",
        saw: expect.stringContaining("File")
      })
      expect(yield* of("none")).toMatchObject({ state: "warning" })
      expect(readdirSync(top).toSorted()).toEqual(["link", "open", "own", "read", "text"])
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.each([
    [nodeCheck("22.19.0", ">=22.19"), "ok"],
    [nodeCheck("24.1.0", ">=22.19"), "ok"],
    [nodeCheck("22.18.9", ">=22.19"), "wrong"],
    [nodeCheck("20.30.0", ">=22.19"), "wrong"],
    [peerCheck("effect", "^4.1.0", false, "4.1.0"), "ok"],
    [peerCheck("effect", "^4.1.0", false, "4.12.1"), "ok"],
    [peerCheck("effect", "^4.1.0", false, "4.0.9"), "wrong"],
    [peerCheck("effect", "^4.1.0", false, "5.0.0"), "wrong"],
    [peerCheck("effect", "^4.1.0", false, undefined), "wrong"],
    [peerCheck("aws4fetch", "^1.0.20", true, "1.0.3"), "warning"],
    [peerCheck("aws4fetch", "^1.0.20", true, undefined), "ok"]
  ])("knows which versions do: %j is %s", ({ advice, state }, expected) => {
    expect(state).toBe(expected)
    expect(advice === undefined).toBe(expected === "ok")
  })
})
