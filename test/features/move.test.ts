/**
 * Runs from one storage to another, journals of the library before this one, and what is removed when it is
 * old: nothing is lost on the way, and what cannot be moved is left where it was.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Redacted, Result, Schema, type Scope } from "effect"
import { appendFileSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Journal, JournalCodec, LocalStorage, Runs, Storage, Workflow } from "reprise"
import { SqliteStorage } from "reprise/sqlite"
import * as Testing from "reprise/testing"
import { local, platform, temporary } from "../storage/support/local.ts"

const Verdict = Schema.Struct({ approved: Schema.Boolean, reviewer: Schema.String })

const triage = Workflow.make("triage", {
  input: Schema.Struct({ id: Schema.String }),
  events: { "manual-review": Verdict }
}, function*(ctx, ticket) {
  const c = yield* ctx.step("classify", () => ({ category: "wrong", severity: 0 }))
  const verdict = yield* ctx.suspend("manual-review", { reason: `severity ${c.severity}` })
  const draft = yield* ctx.step("draft", () => `Triaged ${ticket.id} as ${c.category}`)
  return `${draft}, ${verdict.reviewer}, ${"x".repeat(c.severity)}`
})

const go = { eventName: "manual-review", value: { approved: true, reviewer: "alice" } } as const

describe("a copy", () => {
  it.live("has journal, inbox and large values, and goes on where the run stood", () => {
    const big = Workflow.make("big", { events: { go: Schema.String } }, function*(ctx) {
      const a = yield* ctx.step("a", () => "y".repeat(100_000))
      return `${a.length} ${yield* ctx.suspend("go")}`
    })
    return Effect.gen(function*() {
      const to = Storage.make(
        (yield* SqliteStorage.make({ filename: join(temporary(), "a.db") })).driver
      )
      yield* big.start(undefined, { runId: "r" })
      yield* big.send("r", { eventName: "go", value: "early" })
      expect(yield* Runs.copy("r", to)).toEqual({ runId: "r", entries: 3, posts: 1, blobs: 1 })
      const done = yield* big.resume("r").pipe(Effect.provideService(Storage.Storage, to))
      expect(done).toMatchObject({ result: "100000 early" })
      expect(yield* big.status("r")).toMatchObject({ status: "suspended" })
    }).pipe(Effect.scoped, Effect.provide(local(temporary())))
  })

  it.live("may be made again, is refused for another run of that id, and while somebody drives it", () =>
    Effect.gen(function*() {
      const to = Storage.make(Storage.memoryDriver())
      const from = yield* Storage.Storage
      yield* triage.start({ id: "t" }, { runId: "r" })
      const once = yield* Runs.copy("r", to)
      expect(once).toEqual({ runId: "r", entries: 3, posts: 0, blobs: 0 })
      expect(yield* Runs.copy("r", to)).toEqual(once)
      const lines = ({ text }: Storage.Stored) =>
        text.split("\n").filter((line) => line.trim() !== "")
      expect(lines(yield* to.driver.read("r"))).toEqual(lines(yield* from.driver.read("r")))
      const done = yield* triage.resume("r", go).pipe(Effect.provideService(Storage.Storage, to))
      expect(done).toMatchObject({ status: "success" })
      expect(yield* Effect.flip(Runs.copy("r", to))).toMatchObject({ _tag: "CopyRejected" })
      const other = Storage.make(Storage.memoryDriver())
      const claim = yield* from.acquire("r")
      expect(claim._tag).toBe("Acquired")
      expect(yield* Effect.flip(Runs.copy("r", other))).toMatchObject({ _tag: "CopyRejected" })
    }).pipe(Effect.provide(local(temporary()))))
})

describe("a journal of the library before", () => {
  const at = (offset: number, session = 1) =>
    `"timestamp":"2026-01-02T03:04:0${offset}.678Z","session":${session},"offset":${offset}`
  const text = [
    `{"type":"start","metadata":{"id":"t1"},${at(0)}}`,
    `{"type":"step","name":"classify","result":{"category":"bug","severity":5},${at(1)}}`,
    `{"type":"suspend","waitingFor":"manual-review","reason":"severity 5",${at(2)}}`
  ]

  it.live("is gone on with: what it has is not run again", () =>
    Effect.gen(function*() {
      expect(yield* Runs.importJournal("r", text.join("\n"), { workflow: "triage" })).toBe(3)
      expect(yield* triage.status("r")).toMatchObject({ status: "suspended" })
      expect(yield* triage.resume("r", go)).toMatchObject({
        result: "Triaged t1 as bug, alice, xxxxx"
      })
      const again = Runs.importJournal("r", text.join("\n"), { workflow: "triage" })
      expect(yield* Effect.flip(again)).toMatchObject({ _tag: "ImportRejected" })
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.live("is taken with its later sessions, events and end", () =>
    Effect.gen(function*() {
      const more = [
        `{"type":"start",${at(3, 2)}}`,
        `{"type":"resume","eventName":"manual-review","value":{"approved":true,"reviewer":"bob"},${
          at(4, 2)
        }}`,
        `{"type":"step","name":"draft","result":"d",${at(5, 2)}}`,
        `{"type":"complete","result":"d, bob, xxxxx",${at(6, 2)}}`
      ]
      yield* Runs.importJournal("r", [...text, ...more].join("\n"), { workflow: "triage" })
      expect(yield* triage.resume("r")).toMatchObject({
        status: "success",
        result: "d, bob, xxxxx"
      })
      yield* Runs.importJournal("s", [...text, ...more.slice(0, 2)].join("\n"), {
        workflow: "triage"
      })
      expect(yield* triage.resume("s")).toMatchObject({ result: "Triaged t1 as bug, bob, xxxxx" })
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.live("that makes no sense is refused with its line, and nothing is written", () =>
    Effect.gen(function*() {
      const bad: ReadonlyArray<readonly [ReadonlyArray<string>, number]> = [
        [[], 0],
        [["{"], 1],
        [[text[1]!], 1],
        [[text[0]!, "{\"type\":\"step\"}"], 2],
        [[text[0]!, `{"type":"resume","eventName":"x",${at(1)}}`], 2],
        [[text[0]!, `{"type":"complete",${at(1)}}`, text[1]!], 3],
        [[text[0]!.replace("2026-01", "2026-31")], 1]
      ]
      for (const [lines, line] of bad) {
        const error = yield* Effect.flip(
          Runs.importJournal("r", lines.join("\n"), { workflow: "triage" })
        )
        expect(error).toMatchObject({ _tag: "ImportRejected", line })
      }
      expect((yield* Runs.list()).runs).toEqual([])
    }).pipe(Effect.provide(Storage.layerMemory)))
})

describe("prune", () => {
  it.live("removes what ended before an instant, and nothing that is open", () =>
    Effect.gen(function*() {
      const one = Workflow.make("one", function*(ctx) {
        return yield* ctx.step("a", () => 1)
      })
      yield* triage.start({ id: "t" }, { runId: "open" })
      yield* one.execute(undefined, { runId: "done" })
      expect(yield* Runs.prune(Date.now() - 60_000)).toEqual([])
      expect(yield* Runs.prune(Date.now() + 60_000)).toEqual(["done"])
      expect((yield* Runs.list()).runs.map(({ runId }) => runId)).toEqual(["open"])
    }).pipe(Effect.provide(Storage.layerMemory)))
})

// ---------------------------------------------------------------------------------------------------
// between any two storages

const using = (storage: Storage.Storage["Service"]) =>
  Effect.provideService(Storage.Storage, storage)

const k1 = { id: "k1", secret: Redacted.make("a secret of 32 characters or more") }

/** Fresh drivers, by what they are. */
const stores: Record<string, () => Effect.Effect<Storage.Driver, unknown, Scope.Scope>> = {
  memory: () => Effect.sync(() => Storage.memoryDriver()),
  files: () => Effect.provide(LocalStorage.driver(temporary()), platform()),
  SQLite: () =>
    Effect.map(SqliteStorage.make({ filename: join(temporary(), "a.db") }), ({ driver }) => driver)
}

const wholeLines = ({ text }: { readonly text: string }) =>
  text.split("\n").filter((line) => line.trim() !== "")

const journalOf = (driver: Storage.Driver, runId: string) =>
  Effect.map(driver.read(runId), ({ text }) => Result.getOrThrow(Journal.read(runId, text)))

const long = Workflow.make(
  "long",
  { input: Schema.String, events: { go: Schema.String, extra: Schema.String } },
  function*(ctx, input) {
    const a = yield* ctx.step("a", () => `${input}${"é".repeat(70_000)}`)
    const extra = yield* ctx.suspend("extra")
    const go = yield* ctx.suspend("go")
    return [a.length, extra.length, go].join()
  }
)

describe("a copy", () => {
  const codecs: ReadonlyArray<readonly [string, JournalCodec.Options | undefined]> = [
    ["plain", undefined],
    ["encrypted", { keys: [k1] }],
    ["compressed and encrypted", { keys: [k1], compress: true }]
  ]
  for (const source of Object.keys(stores)) {
    for (const target of Object.keys(stores)) {
      for (const [how, options] of codecs) {
        it.live(`from ${source} to ${target} is the same run, ${how}`, () =>
          Effect.gen(function*() {
            const codec = options === undefined
              ? undefined
              : yield* JournalCodec.make(options)
            const there = yield* stores[source]!()
            const here = yield* stores[target]!()
            const from = Storage.make(there, codec)
            const to = Storage.make(here, codec)
            yield* Effect.gen(function*() {
              yield* long.start("in", { runId: "r" })
              yield* long.send("r", { eventName: "go", value: "early", eventId: "e1" })
              yield* long.send("r", { eventName: "extra", value: "x" })
              const copied = yield* Runs.copy("r", to)
              expect(copied).toMatchObject({ entries: 3, posts: 2 })
              expect(yield* Runs.copy("r", to)).toEqual(copied)
              expect(wholeLines(yield* here.read("r"))).toEqual(wholeLines(yield* there.read("r")))
              expect((yield* Runs.list()).runs).toEqual(
                (yield* Runs.list().pipe(using(to))).runs
              )
              // Nobody holds it, here or there.
              expect(yield* from.holder("r")).toBeUndefined()
              yield* there.remove("r")
            }).pipe(using(from))
            const done = yield* long.resume("r").pipe(using(to))
            expect(done).toMatchObject({ result: "70002,1,early" })
            expect(yield* Runs.due().pipe(using(to))).toEqual([])
          }).pipe(Effect.scoped))
      }
    }
  }

  it.live("has no line of a zombie, and none that was cut short", () =>
    Effect.gen(function*() {
      const directory = temporary()
      const from = Storage.make(yield* Effect.provide(LocalStorage.driver(directory), platform()))
      const file = join(directory, "r.jsonl")
      yield* Effect.gen(function*() {
        yield* triage.start({ id: "t" }, { runId: "r" })
        const { entries, head } = yield* journalOf(from.driver, "r")
        const { incarnation, session, writer } = head
        appendFileSync(file, "\t\n{\"type\":\"start\",\"sess")
        yield* triage.resume("r", go)
        // Of the first session, which does not know that it was left.
        const late = Journal.seal(head, { incarnation, session, writer }, [
          Journal.stamped(
            { type: "step", stepId: "draft", name: "draft", result: "a zombie's" },
            entries.at(-1)!.timestamp
          )
        ])
        appendFileSync(file, Journal.write(late.lines))
        const journal = yield* Runs.journal("r")
        expect(journal).toMatchObject({ torn: 1, rejected: 1 })
        for (const make of Object.values(stores)) {
          const to = Storage.make(yield* make())
          expect(yield* Runs.copy("r", to)).toMatchObject({ entries: journal.entries.length })
          const copied = yield* Runs.journal("r").pipe(using(to))
          expect(copied).toMatchObject({ torn: 0, rejected: 0, entries: journal.entries })
        }
      }).pipe(using(from))
    }).pipe(Effect.scoped))

  it.live("of a journal that is damaged is refused, and nothing is there", () =>
    Effect.gen(function*() {
      const directory = temporary()
      const from = Storage.make(yield* Effect.provide(LocalStorage.driver(directory), platform()))
      const file = join(directory, "r.jsonl")
      yield* triage.start({ id: "t" }, { runId: "r" }).pipe(using(from))
      const bytes = readFileSync(file)
      for (const at of [20, Math.floor(bytes.length / 2), bytes.length - 5]) {
        const damaged = Buffer.from(bytes)
        damaged[at]! ^= 1
        writeFileSync(file, damaged)
        const to = Storage.make(Storage.memoryDriver())
        expect(yield* Effect.flip(Runs.copy("r", to).pipe(using(from)))).toMatchObject({
          _tag: "JournalCorrupt"
        })
        expect(yield* to.version("r")).toBe("")
        expect(readFileSync(file)).toEqual(damaged)
      }
      writeFileSync(file, bytes)
      expect(yield* Runs.copy("r", Storage.make(Storage.memoryDriver())).pipe(using(from)))
        .toMatchObject({ entries: 3 })
    }).pipe(Effect.scoped))

  for (const [name, make] of Object.entries(stores)) {
    it.live(`leaves another run of that id as it is, inbox and all: ${name}`, () =>
      Effect.gen(function*() {
        const from = Storage.make(Storage.memoryDriver())
        const to = Storage.make(yield* make())
        yield* long.start("theirs", { runId: "r" }).pipe(using(from))
        yield* long.send("r", { eventName: "go", value: "theirs" }).pipe(using(from))
        for (const [runId, end] of [["r", false], ["s", true]] as const) {
          if (end) {
            const one = Workflow.make("one", function*(ctx) {
              return yield* ctx.step("a", () => 1)
            })
            yield* one.execute(undefined, { runId }).pipe(using(to))
            yield* long.start("theirs", { runId }).pipe(using(from))
            yield* long.send(runId, { eventName: "go", value: "theirs" }).pipe(using(from))
          } else yield* long.start("ours", { runId }).pipe(using(to))
          const before = yield* to.driver.read(runId)
          expect(yield* Effect.flip(Runs.copy(runId, to).pipe(using(from)))).toMatchObject({
            _tag: "CopyRejected",
            saw: "the other storage has another run of that id"
          })
          expect(yield* to.driver.read(runId)).toEqual(before)
          expect((yield* to.driver.inbox(runId, "")).text).toBe("")
          expect(yield* to.holder(runId)).toBeUndefined()
        }
        expect(yield* Runs.due().pipe(using(to))).toEqual([])
      }).pipe(Effect.scoped))
  }

  for (const [name, make] of Object.entries(stores)) {
    it.live(`takes the large values of posts along: ${name}`, () =>
      Effect.gen(function*() {
        const from = Storage.make(Storage.memoryDriver())
        const to = Storage.make(yield* make())
        yield* long.start("in", { runId: "r" }).pipe(using(from))
        for (const eventName of ["extra", "go"] as const) {
          yield* long.send("r", { eventName, value: "x".repeat(80_000) }).pipe(using(from))
        }
        yield* Runs.copy("r", to).pipe(using(from))
        expect(yield* long.resume("r").pipe(using(to))).toMatchObject({
          result: `70002,80000,${"x".repeat(80_000)}`
        })
      }).pipe(Effect.scoped))
  }

  it.live("leaves the posts behind that were for an earlier run of that id", () =>
    Effect.gen(function*() {
      const from = Storage.make(Storage.memoryDriver())
      const to = Storage.make(Storage.memoryDriver())
      yield* Effect.gen(function*() {
        yield* long.start("first", { runId: "r" })
        yield* long.send("r", { eventName: "go", value: "for the first" })
        const { text } = yield* from.driver.inbox("r", "")
        yield* Runs.remove("r")
        yield* long.start("second", { runId: "r" })
        // It was on its way when its run was removed.
        yield* from.driver.post("r", { id: "late", eventId: "late", line: text.trim() })
        yield* long.send("r", { eventName: "extra", value: "x" })
        expect(yield* Runs.copy("r", to)).toMatchObject({ posts: 1 })
      }).pipe(using(from))
      expect(wholeLines(yield* to.driver.inbox("r", ""))).toHaveLength(1)
      expect(yield* long.resume("r").pipe(using(to))).toMatchObject({ event: "go" })
    }))

  it.live("of a run that went on as another one is the first of two", () => {
    const rounds = Workflow.make(
      "rounds",
      { input: Schema.Int, events: { go: Schema.String } },
      function*(ctx, round) {
        const go = yield* ctx.suspend("go")
        if (round === 0) return yield* ctx.continueAs(1)
        return `round ${round} ${go}`
      }
    )
    return Effect.gen(function*() {
      const from = Storage.make(Storage.memoryDriver())
      const to = Storage.make(yield* stores.SQLite!())
      const next = yield* Effect.gen(function*() {
        yield* rounds.start(0, { runId: "r" })
        const { runId } = yield* rounds.resume("r", { eventName: "go", value: "on" })
        expect(runId).not.toBe("r")
        for (const id of ["r", runId]) yield* Runs.copy(id, to)
        return runId
      }).pipe(using(from))
      yield* Effect.gen(function*() {
        expect(yield* Runs.status("r")).toMatchObject({ status: "continued", continuedAs: next })
        expect(yield* Runs.due()).toEqual([])
        yield* rounds.resume(next, { eventName: "go", value: "end" })
        expect(yield* rounds.join("r")).toBe("round 1 end")
      }).pipe(using(to))
    }).pipe(Effect.scoped)
  })

  it.live("is compared: what the other storage loses or changes is told", () =>
    Effect.gen(function*() {
      const memory = Storage.memoryDriver()
      const from = Storage.make({ ...memory, blobs: { ...memory.blobs!, inline: 1_000 } })
      yield* long.start("in", { runId: "r" }).pipe(using(from))
      yield* long.send("r", { eventName: "go", value: "early" }).pipe(using(from))
      const losing: Record<string, (driver: Storage.Driver) => Storage.Driver> = {
        "the last line": (driver) => ({
          ...driver,
          writer: (runId) =>
            Effect.map(driver.writer(runId), ({ append }) => ({
              append: (at, lines, row) => append(at, lines.slice(0, -1), row)
            }))
        }),
        "all lines": (driver) => ({
          ...driver,
          writer: () => Effect.succeed({ append: () => Effect.succeed("1") })
        }),
        "a post": (driver) => ({ ...driver, post: () => Effect.void }),
        "a value": (driver) => ({
          ...driver,
          blobs: { put: () => Effect.void, get: driver.blobs!.get }
        }),
        "the end of a value": (driver) => ({
          ...driver,
          blobs: {
            put: (runId, hash, text) => driver.blobs!.put(runId, hash, text.slice(1)),
            get: driver.blobs!.get
          }
        }),
        "room for values": ({ blobs: _, ...driver }) => driver
      }
      for (const [what, lose] of Object.entries(losing)) {
        const to = Storage.make(lose(Storage.memoryDriver()))
        const copied = yield* Effect.result(Runs.copy("r", to).pipe(using(from)))
        expect([what, copied._tag]).toEqual([what, "Failure"])
        if (copied._tag === "Failure") {
          expect(["CopyRejected", "StorageError"]).toContain(copied.failure._tag)
        }
        expect(yield* from.holder("r")).toBeUndefined()
      }
      expect(yield* Runs.copy("r", Storage.make(Storage.memoryDriver())).pipe(using(from)))
        .toEqual({ runId: "r", entries: 3, posts: 1, blobs: 1 })
    }))

  it.live("that is cut short at any write may be made again", () =>
    Effect.gen(function*() {
      const from = Storage.make(Storage.memoryDriver())
      yield* long.start("in", { runId: "r" }).pipe(using(from))
      yield* long.send("r", { eventName: "extra", value: "1" }).pipe(using(from))
      yield* long.send("r", { eventName: "go", value: "2" }).pipe(using(from))
      for (const verb of ["append", "post"] as const) {
        for (const fate of ["dies before", "dies after", "unknown after"] as const) {
          const driver = Storage.memoryDriver()
          const dying = Testing.faultyDriver(driver, (call) => call.verb === verb ? fate : "done")
          const first = Runs.copy("r", Storage.make({ ...dying, blobs: driver.blobs! }))
          yield* Effect.flip(first.pipe(using(from)))
          const to = Storage.make(driver)
          expect(yield* Runs.copy("r", to).pipe(using(from))).toMatchObject({
            entries: 3,
            posts: 2
          })
          expect(yield* long.resume("r").pipe(using(to))).toMatchObject({ result: "70002,1,2" })
        }
      }
    }))

  it.live("of encrypted values needs their key to be compared", () =>
    Effect.gen(function*() {
      const codec = yield* JournalCodec.make({ keys: [k1] })
      const from = Storage.make(Storage.memoryDriver(), codec)
      yield* long.start("in", { runId: "r" }).pipe(using(from))
      const keyless = Storage.make(Storage.memoryDriver())
      expect(yield* Effect.flip(Runs.copy("r", keyless).pipe(using(from)))).toMatchObject({
        _tag: "StorageError",
        reason: "Denied"
      })
      // Rotated there: what is copied opens with the old one.
      const newer = yield* JournalCodec.make({
        keys: [{ id: "k2", secret: Redacted.make("another secret of 32 characters!") }, k1]
      })
      const to = Storage.make(Storage.memoryDriver(), newer)
      yield* Runs.copy("r", to).pipe(using(from))
      expect(yield* long.resume("r", { eventName: "extra", value: "x" }).pipe(using(to)))
        .toMatchObject({ event: "go" })
    }))

  it.live("of a run that is not there is RunNotFound", () =>
    Effect.gen(function*() {
      const to = Storage.make(Storage.memoryDriver())
      expect(yield* Effect.flip(Runs.copy("r", to))).toMatchObject({ _tag: "RunNotFound" })
    }).pipe(Effect.provide(Storage.layerMemory)))
})

describe("a journal of the library before", () => {
  const at = (offset: number) =>
    `"timestamp":"2026-01-02T03:04:0${offset}.678Z","session":1,"offset":${offset}`
  const text = `{"type":"start","metadata":{"id":"t1"},${at(0)}}`

  for (const [name, make] of Object.entries(stores)) {
    it.live(`is refused for an id that is taken, and the run stays as it is: ${name}`, () =>
      Effect.gen(function*() {
        const storage = Storage.make(yield* make())
        yield* Effect.gen(function*() {
          yield* triage.start({ id: "mine" }, { runId: "r" })
          const before = yield* storage.driver.read("r")
          const imported = Runs.importJournal("r", text, { workflow: "triage" })
          expect(yield* Effect.flip(imported)).toMatchObject({ _tag: "ImportRejected", line: 0 })
          expect(yield* storage.driver.read("r")).toEqual(before)
          yield* Runs.remove("r")
          expect(yield* imported).toBe(1)
          expect((yield* Runs.list()).runs).toMatchObject([{ runId: "r", status: "pending" }])
        }).pipe(using(storage))
      }).pipe(Effect.scoped))
  }
})

// ---------------------------------------------------------------------------------------------------
// what is old

describe("prune", () => {
  const one = Workflow.make("one", function*(ctx, fails: boolean) {
    return yield* ctx.step("a", () => {
      if (fails) throw new Error("no")
      return 1
    })
  })
  const later = Effect.sync(() => Date.now() + 60_000)

  for (const [name, make] of Object.entries(stores)) {
    it.live(`goes through all pages, whatever it removes from them: ${name}`, () =>
      Effect.gen(function*() {
        const storage = Storage.make(yield* make())
        yield* Effect.gen(function*() {
          const ids = Array.from({ length: 230 }, (_, n) => `r${String(n).padStart(3, "0")}`)
          const kindOf = (n: number) => ["success", "failed", "open"][n % 3]!
          yield* Effect.forEach(ids, (runId, n) =>
            kindOf(n) === "open"
              ? Effect.asVoid(triage.start({ id: "t" }, { runId }))
              : Effect.asVoid(one.start(kindOf(n) === "failed", { runId })), { concurrency: 8 })
          // More than a page of one kind.
          const more = Array.from({ length: 120 }, (_, n) => `s${String(n).padStart(3, "0")}`)
          yield* Effect.forEach(more, (runId) => one.start(false, { runId }), { concurrency: 8 })
          const removed = yield* Runs.prune(yield* later)
          const ended = ids.filter((_, n) => kindOf(n) !== "open")
          expect(removed.toSorted()).toEqual([...ended, ...more])
          const left = yield* Runs.list({ limit: 1_000 })
          expect(left.runs.map(({ runId }) => runId)).toEqual(
            ids.filter((_, n) => kindOf(n) === "open")
          )
          expect(yield* Runs.prune(yield* later)).toEqual([])
        }).pipe(using(storage))
      }).pipe(Effect.scoped))
  }

  it.live("removes what was cancelled, with its inbox and its large values", () =>
    Effect.gen(function*() {
      const { driver } = yield* Storage.Storage
      yield* long.start("in", { runId: "r" })
      yield* Runs.cancel("r")
      expect(yield* long.resume("r")).toMatchObject({ status: "cancelled" })
      const { entries } = yield* journalOf(driver, "r")
      const hash = entries.flatMap(({ sealed }) => Object.values(sealed ?? {})).at(0)!.blob!
      expect(yield* driver.blobs!.get("r", hash)).toBeDefined()
      expect(yield* Runs.prune(yield* later)).toEqual(["r"])
      expect((yield* driver.inbox("r", "")).text).toBe("")
      expect(yield* driver.blobs!.get("r", hash)).toBeUndefined()
    }).pipe(Effect.provide(local(temporary()))))

  it.live("removes a chain of continueAs whole, and never makes it run again", () => {
    let performed = 0
    const rounds = Workflow.make("rounds", { input: Schema.Int }, function*(ctx, round) {
      yield* ctx.step("a", () => ++performed)
      if (round < 2) return yield* ctx.continueAs(round + 1)
      return round
    })
    return Effect.gen(function*() {
      expect(yield* rounds.execute(0, { runId: "r" })).toBe(2)
      const all = (yield* Runs.list()).runs.map(({ runId }) => runId)
      expect(all).toHaveLength(3)
      expect((yield* Runs.prune(yield* later)).toSorted()).toEqual(all)
      expect((yield* Runs.list()).runs).toEqual([])
      expect(yield* Runs.due()).toEqual([])
      expect(performed).toBe(3)
    }).pipe(Effect.provide(Storage.layerMemory))
  })

  it.live("removes what an open run went on after, from its beginning on, however ids are sorted", () => {
    const rounds = Workflow.make("rounds", { input: Schema.Int }, function*(ctx, round) {
      if (round < 12) return yield* ctx.continueAs(round + 1)
      yield* ctx.sleep("1 hour")
      return round
    })
    return Effect.gen(function*() {
      yield* rounds.start(0, { runId: "r" })
      // Called like one of the chain, and none of it.
      yield* one.start(false, { runId: "other+2" })
      yield* one.start(false, { runId: "other" })
      const names = Array.from({ length: 12 }, (_, n) => n === 0 ? "r" : `r+${n + 1}`)
      const { driver } = yield* Storage.Storage
      const removed: Array<string> = []
      const remove = (runId: string) =>
        Effect.flatMap(driver.remove(runId), () => Effect.sync(() => void removed.push(runId)))
      yield* Runs.prune(yield* later).pipe(using(Storage.make({ ...driver, remove })))
      expect(removed.filter((runId) => runId.startsWith("r"))).toEqual(names)
      expect(removed.toSorted().slice(0, 2)).toEqual(["other", "other+2"])
      expect((yield* Runs.list()).runs).toMatchObject([{ runId: "r+13", status: "suspended" }])
      expect(yield* Runs.due()).toEqual([])
    }).pipe(Effect.provide(Storage.layerMemory))
  })

  it.live("keeps the beginning of a chain whose next run is not begun yet", () => {
    const rounds = Workflow.make("rounds", { input: Schema.Int }, function*(ctx, round) {
      yield* ctx.step("a", () => 1)
      if (round === 0) return yield* ctx.continueAs(1)
      return round
    })
    return Effect.gen(function*() {
      const { driver } = yield* Storage.Storage
      // It dies behind the end of the first journal.
      const dying = Testing.faultyDriver(
        driver,
        ({ runId, verb }) => verb === "append" && runId !== "r" ? "dies before" : "done"
      )
      yield* Effect.exit(rounds.execute(0, { runId: "r" }).pipe(using(Storage.make(dying))))
      expect((yield* Runs.list()).runs).toMatchObject([{ runId: "r", status: "continued" }])
      expect(yield* Runs.prune(yield* later)).toEqual([])
      expect(yield* Runs.due()).toEqual(["r"])
      expect(yield* rounds.execute(0, { runId: "r" })).toBe(1)
    }).pipe(Effect.provide(Storage.layerMemory))
  })

  it.live("does not make the child of an open run be done again", () => {
    let performed = 0
    const child = Workflow.make("child", { events: { go: Schema.Void } }, function*(ctx) {
      yield* ctx.suspend("go")
      return yield* ctx.step("pay", () => ++performed)
    })
    const parent = Workflow.make("parent", function*(ctx) {
      return yield* ctx.child(child, undefined, { runId: "c" })
    })
    return Effect.gen(function*() {
      yield* parent.start(undefined, { runId: "p" })
      // It ends, and its parent has not heard of that yet.
      yield* child.resume("c", { eventName: "go", value: undefined })
      expect(performed).toBe(1)
      expect((yield* Runs.status("p")).status).toBe("suspended")
      yield* Runs.prune(yield* later)
      expect(yield* parent.resume("p")).toMatchObject({ status: "success", result: 1 })
      expect(performed).toBe(1)
    }).pipe(Effect.provide(Storage.layerMemory))
  })
})
