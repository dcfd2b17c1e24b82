/**
 * Values apart from their entries: large ones in blobs, encrypted and compressed ones, secrets that nobody is
 * shown; whatever is copied, forked, restarted or rotated.
 */
import { NodeServices } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import { Cause, Effect, Layer, Option, Redacted, Result, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { TestConsole } from "effect/testing"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { Checkpoint, Journal, JournalCodec, RunLog, Runs, Storage, Workflow } from "reprise"
import { NodeCheckpointKeys } from "reprise/node"
import { SqliteStorage } from "reprise/sqlite"
import * as Testing from "reprise/testing"
import { run as command } from "../../src/cli/reprise.ts"
import { local, temporary } from "../storage/support/local.ts"

const large = "x".repeat(200_000)

const big = Workflow.make("big", { events: { go: Schema.String } }, function*(ctx, input: string) {
  const a = yield* ctx.step("a", () => ({ text: large, input }))
  const b = yield* ctx.suspend("go")
  return `${a.text.length} ${b.length} ${input.length}`
})

const key = (id: string) => ({
  id,
  secret: Redacted.make(`the secret of ${id} that nobody can guess`)
})

const secretText = "4111 1111 1111 1111"

describe("a large value", () => {
  const layers: Record<string, () => Layer.Layer<Storage.Storage, Storage.StorageError>> = {
    files: () => local(temporary()),
    SQLite: () => SqliteStorage.layer({ filename: join(temporary(), "a.db") })
  }
  for (const [name, layer] of Object.entries(layers)) {
    it.live(`is a blob beside the journal, and read when it is needed: ${name}`, () =>
      Effect.gen(function*() {
        const { driver } = yield* Storage.Storage
        expect(yield* big.start(large, { runId: "r" })).toMatchObject({ status: "suspended" })
        const { text } = yield* driver.read("r")
        expect(text.length).toBeLessThan(2_000)
        yield* big.send("r", { eventName: "go", value: large })
        expect(yield* big.resume("r")).toMatchObject({ result: "200000 200000 200000" })
        const { entries } = yield* Runs.journal("r")
        expect(entries[0]).toMatchObject({ type: "start", metadata: large })
        expect(entries[1]).toMatchObject({ type: "step", result: { text: large } })
        yield* Runs.remove("r")
        expect((yield* driver.read("r")).text).toBe("")
      }).pipe(Effect.provide(layer())))
  }
})

describe("an encrypted journal", () => {
  it.live("has no value as plain text, and opens with the right key only", () =>
    Effect.gen(function*() {
      const directory = temporary()
      const w = Workflow.make(
        "w",
        { events: { go: Schema.String } },
        function*(ctx, input: string) {
          const a = yield* ctx.step("a", () => `${input} ${secretText}`)
          const b = yield* ctx.suspend("go")
          return `${a} ${b}`
        }
      )
      const on = (options: JournalCodec.Options) =>
        JournalCodec.layer(options).pipe(Layer.provide(local(directory)))
      const first = on({ keys: [key("k1")] })
      yield* w.start(secretText, { runId: "r" }).pipe(Effect.provide(first))
      yield* w.send("r", { eventName: "go", value: secretText }).pipe(Effect.provide(first))
      for (const file of readdirSync(directory)) {
        expect(readFileSync(join(directory, file), "utf8")).not.toContain("4111")
      }
      const without = yield* Effect.flip(w.resume("r").pipe(Effect.provide(local(directory))))
      expect(without).toMatchObject({ _tag: "StorageError", reason: "Denied" })
      const other = yield* Effect.flip(
        w.resume("r").pipe(Effect.provide(on({ keys: [key("k2")] })))
      )
      expect((other as Error).message).toContain("key \"k1\"")
      // Rotated: the old entries stay as they are.
      const rotated = on({ keys: [key("k2"), key("k1")], compress: true })
      expect(yield* w.resume("r").pipe(Effect.provide(rotated))).toMatchObject({
        result: `${secretText} ${secretText} ${secretText}`
      })
      const { entries } = yield* Effect.provide(Runs.journal("r"), rotated)
      expect(entries.at(-1)).toMatchObject({ type: "complete" })
      for (const file of readdirSync(directory)) {
        expect(readFileSync(join(directory, file), "utf8")).not.toContain("4111")
      }
    }))
})

describe("a secret", () => {
  it.live("reaches the body, and is shown to nobody", () => {
    const Card = Schema.Struct({ name: Schema.String, card: Workflow.secret(Schema.String) })
    const w = Workflow.make("w", { input: Card }, function*(ctx, input) {
      const a = yield* ctx.step("a", () => input, { schema: Card })
      const b = yield* ctx.step("b", () => a.card, { schema: Schema.Redacted(Schema.String) })
      return [Redacted.value(a.card), Redacted.value(b)].join()
    })
    return Effect.gen(function*() {
      const done = yield* w.start({ name: "ada", card: Redacted.make(secretText) }, { runId: "r" })
      expect(done).toMatchObject({ result: `${secretText},${secretText}` })
      const { entries } = yield* Runs.journal("r")
      expect(entries[1]).toMatchObject({ result: { name: "ada", card: { $secret: secretText } } })
      expect(entries[2]).toMatchObject({ result: { $secret: secretText } })
      const shown = JSON.stringify(JournalCodec.hide(entries.slice(0, 3)))
      expect(shown).not.toContain("4111")
      expect(shown).toContain("<redacted>")
      expect(yield* w.start({ name: "ada", card: Redacted.make(secretText) }, { runId: "r" }))
        .toMatchObject({ status: "success" })
    }).pipe(Effect.provide(Storage.layerMemory))
  })
})

// ---------------------------------------------------------------------------------------------------
// what the tests below look with

type Handed = Storage.Storage["Service"]

const using = (storage: Handed) => Effect.provideService(Storage.Storage, storage)

/** A driver in memory whose blobs a test sees, and may take away or change. */
const withBlobs = () => {
  const kept = new Map<string, string>()
  const puts: Array<string> = []
  const driver: Storage.Driver = {
    ...Storage.memoryDriver(),
    blobs: {
      put: (runId, hash, text) =>
        Effect.sync(() => {
          puts.push(hash)
          kept.set(`${runId} ${hash}`, text)
        }),
      get: (runId, hash) => Effect.sync(() => kept.get(`${runId} ${hash}`))
    }
  }
  return { driver, kept, puts, storage: Storage.make(driver) }
}

/** A JSON text of exactly so many characters. */
const jsonOf = (characters: number) => "x".repeat(characters - 2)
const limit = 65_536

const codecOf = (options: JournalCodec.Options) => Effect.orDie(JournalCodec.make(options))

const bytesOf = (driver: Storage.Driver, runId: string) =>
  Effect.map(driver.read(runId), ({ text }) => text)

/** The same journal with other entries: with sums that are right, as somebody makes it who means to. */
const rewritten = (
  runId: string,
  text: string,
  change: (entries: Array<Record<string, unknown>>) => void
) => {
  const { entries: recorded } = Result.getOrThrow(Journal.read(runId, text))
  const entries = recorded.map((entry) => structuredClone(entry) as any)
  change(entries)
  const lines: Array<string> = []
  let head = Journal.emptyHead
  for (
    const { incarnation, offset: _o, prev: _p, session, sum: _s, timestamp, writer, ...entry }
      of entries
  ) {
    const sealed = Journal.seal(head, { incarnation, session, writer }, [
      Journal.stamped(entry, timestamp)
    ])
    head = sealed.head
    lines.push(...sealed.lines)
  }
  return lines.map((line) => `${line}\n`).join("")
}

/** The storage with a journal of the run that is another one. */
const serving = (driver: Storage.Driver, codec: Storage.ValueCodec | undefined, text: string) =>
  Storage.make({
    ...driver,
    read: (runId) => Effect.map(driver.read(runId), ({ version }) => ({ text, version }))
  }, codec)

describe("a large value", () => {
  it.live("is one whose text has more than 65,536 characters", () => {
    const { driver, kept, storage } = withBlobs()
    const w = Workflow.make("w", function*(ctx, input: string) {
      const fits = yield* ctx.step("fits", () => jsonOf(limit))
      const over = yield* ctx.step("over", () => jsonOf(limit + 1))
      // So many characters are more bytes.
      const wide = yield* ctx.step("wide", () => "é".repeat(limit - 2))
      return [input, fits, over, wide].map((text) => text.length)
    })
    return Effect.gen(function*() {
      const result = [limit - 2, limit - 2, limit - 1, limit - 2]
      expect(yield* w.execute(jsonOf(limit), { runId: "r" })).toEqual(result)
      expect([...kept.values()]).toEqual([JSON.stringify(jsonOf(limit + 1))])
      const { entries } = Result.getOrThrow(Journal.read("r", yield* bytesOf(driver, "r")))
      expect(entries.map(({ sealed }) => sealed)).toMatchObject([
        undefined,
        undefined,
        { result: { length: limit + 1 } },
        undefined,
        undefined
      ])
      // What is given back is what was given.
      const read = (yield* Runs.journal("r")).entries
      expect(read[2]).toMatchObject({ result: jsonOf(limit + 1) })
      expect(read[2]).not.toHaveProperty("sealed")
    }).pipe(using(storage))
  })

  it.live("that comes twice is kept once, and is read for each", () =>
    Effect.gen(function*() {
      const directory = temporary()
      const w = Workflow.make("w", function*(ctx) {
        const a = yield* ctx.step("a", () => large)
        const b = yield* ctx.step("b", () => large)
        return a.length + b.length
      })
      yield* Effect.gen(function*() {
        expect(yield* w.execute(undefined, { runId: "r" })).toBe(400_000)
        const blobs = () => readdirSync(directory).filter((name) => name.endsWith(".blob"))
        expect(blobs()).toHaveLength(1)
        expect((yield* Runs.journal("r")).entries.slice(1, 3)).toMatchObject([
          { result: large },
          { result: large }
        ])
        // Another run has its own: the one may be removed.
        yield* w.execute(undefined, { runId: "s" })
        expect(blobs()).toHaveLength(2)
        yield* Runs.remove("r")
        expect(blobs()).toHaveLength(1)
        expect((yield* Runs.journal("s")).entries[1]).toMatchObject({ result: large })
      }).pipe(Effect.provide(local(directory)))
    }))

  class TooMuch extends Schema.TaggedError<TooMuch>()("TooMuch", { text: Schema.String }) {}

  it.live("may be an input, an event, an error, a child's result, or what continueAs hands over", () => {
    const { driver, kept, storage } = withBlobs()
    const child = Workflow.make("child", { output: Schema.String }, function*() {
      return `c${large}`
    })
    const w = Workflow.make(
      "w",
      {
        input: Schema.Struct({ round: Schema.Int, text: Schema.String }),
        events: { go: Schema.String },
        error: TooMuch
      },
      function*(ctx, { round, text }) {
        const event = yield* ctx.suspend("go")
        const result = yield* ctx.child(child, undefined, { runId: `child-${round}` })
        if (round === 0) return yield* ctx.continueAs({ round: 1, text: `${text}2` })
        return yield* ctx.fail(
          new TooMuch({ text: [text, event, result].join().slice(0, 150_000) })
        )
      }
    )
    return Effect.gen(function*() {
      yield* w.start({ round: 0, text: large }, { runId: "r" })
      const go = (runId: string, value: string) => w.resume(runId, { eventName: "go", value })
      const next = yield* go("r", `e${large}`)
      expect(next).toMatchObject({ status: "suspended" })
      const failed = yield* go(next.runId, `f${large}`)
      const error = { _tag: "TooMuch", text: large.slice(0, 150_000) }
      expect(failed).toMatchObject({ status: "failed", error })
      for (const { runId } of (yield* Runs.list()).runs) {
        expect((yield* bytesOf(driver, runId)).length).toBeLessThan(5_000)
      }
      // Input, two events, two children's results in both journals, the input handed over, the error.
      expect(kept.size).toBeGreaterThanOrEqual(7)
      expect(yield* Effect.flip(w.join("r"))).toMatchObject(error)
      expect(yield* w.status("r")).toMatchObject({ status: "failed", error })
      expect(yield* w.start({ round: 0, text: large }, { runId: "r" })).toMatchObject({ error })
      const other = w.start({ round: 0, text: `${large}!` }, { runId: "r" })
      expect(yield* Effect.flip(other)).toMatchObject({ _tag: "RunExists", differs: "input" })
    }).pipe(using(storage))
  })

  const codecs: ReadonlyArray<readonly [string, JournalCodec.Options | undefined]> = [
    ["as they are", undefined],
    ["encrypted", { keys: [key("k1")] }],
    ["encrypted and compressed", { keys: [key("k1")], compress: true }],
    ["compressed", { compress: true }]
  ]
  for (const [how, options] of codecs) {
    it.live(`goes along with a fork, a retry and a checkpoint: ${how}`, () => {
      const { driver, kept } = withBlobs()
      let isOpen = false
      let performed = 0
      const noise = () =>
        Array.from({ length: 40_000 }, (_, n) => Math.sin(n).toString(36).slice(3)).join("")
      const w = Workflow.make("w", function*(ctx, input: string) {
        const a = yield* ctx.step("a", () => {
          performed++
          return `${input}${noise()}`
        })
        const b = yield* ctx.step("b", () => {
          if (!isOpen) throw new Error("closed")
          return a.length
        })
        return `${a.slice(0, 3)} ${b}`
      })
      return Effect.gen(function*() {
        const codec = options === undefined ? undefined : yield* codecOf(options)
        const storage = Storage.make(driver, codec)
        const elsewhere = withBlobs()
        yield* Effect.gen(function*() {
          const runs = yield* Effect.gen(function*() {
            yield* w.start("one", { runId: "r" })
            const text = yield* w.checkpoint("r", { after: "a" })
            isOpen = true
            const fork = yield* w.fork("r", { runId: "f", fromStep: "b" })
            const retried = yield* w.retryFrom("r", { runId: "t" })
            const there = yield* w.runCheckpoint({ checkpoint: text, runId: "c" }).pipe(
              using(Storage.make(elsewhere.driver, codec))
            )
            return [fork, retried, there]
          })
          expect(performed).toBe(1)
          const result = `one ${noise().length + 3}`
          for (const run of runs) expect(run).toMatchObject({ status: "success", result })
          // Each has values of its own, and needs none of the run it came from.
          yield* Runs.remove("r")
          for (const name of kept.keys()) if (name.startsWith("r ")) kept.delete(name)
          for (const runId of ["f", "t"]) {
            const { entries } = yield* Runs.journal(runId)
            expect(entries.find(({ type }) => type === "step")).toMatchObject({
              result: `one${noise()}`
            })
          }
          expect(elsewhere.kept.size).toBe(1)
          expect([...elsewhere.kept.keys()][0]).toMatch(/^c /)
        }).pipe(using(storage))
      })
    })
  }

  it.live("that is gone or changed is a StorageError, and the run is unharmed", () => {
    const { driver, kept, storage } = withBlobs()
    return Effect.gen(function*() {
      yield* big.start(large, { runId: "r" })
      const whole = new Map(kept)
      expect(whole.size).toBe(2)
      const before = yield* bytesOf(driver, "r")
      for (const [name, text] of whole) {
        const damages: ReadonlyArray<readonly [() => void, string]> = [
          [() => kept.delete(name), "is not there"],
          [() => kept.set(name, ""), "was changed"],
          [() => kept.set(name, text.slice(0, -2) + "y\""), "was changed"],
          [() => kept.set(name, `${text} `), "was changed"]
        ]
        for (const [damage, said] of damages) {
          damage()
          for (
            const asked of [
              Effect.asVoid(big.resume("r", { eventName: "go", value: "x" })),
              Effect.asVoid(Runs.journal("r"))
            ]
          ) {
            const error: any = yield* Effect.flip(asked)
            expect(error).toMatchObject({ _tag: "StorageError", reason: "Unknown" })
            expect(error.message).toContain(said)
          }
          expect(yield* bytesOf(driver, "r")).toBe(before)
          kept.set(name, text)
        }
      }
      // Runs that cannot be read are still listed.
      kept.clear()
      expect((yield* Runs.list()).runs).toMatchObject([{ runId: "r", status: "suspended" }])
      for (const [name, text] of whole) kept.set(name, text)
      expect(yield* big.resume("r", { eventName: "go", value: "x" })).toMatchObject({
        result: "200000 1 200000"
      })
    }).pipe(using(storage))
  })

  it.live("whose process dies between the blob and the append is made again", () => {
    const { driver, kept, puts } = withBlobs()
    let performed = 0
    const w = Workflow.make("w", function*(ctx) {
      const a = yield* ctx.step("a", () => `${++performed}${large}`)
      return a.length
    })
    return Effect.gen(function*() {
      const dying = Testing.faultyDriver(
        driver,
        ({ nth, verb }) => verb === "append" && nth === 2 ? "dies before" : "done"
      )
      const dead = yield* Effect.flip(
        w.execute(undefined, { runId: "r" }).pipe(
          using(Storage.make({ ...dying, blobs: driver.blobs! }))
        )
      )
      expect(dead).toMatchObject({ _tag: "StorageError" })
      expect(puts).toHaveLength(1)
      expect(yield* w.execute(undefined, { runId: "r" }).pipe(using(Storage.make(driver)))).toBe(
        200_001
      )
      expect(performed).toBe(2)
      // The first one belongs to nobody, and does no harm.
      expect(kept.size).toBe(2)
    })
  })

  it.live("whose blob cannot be kept is not journaled", () => {
    const { driver } = withBlobs()
    let isFull = true
    const full = new Storage.StorageError({ reason: "Full", doing: "x", cause: new Error("full") })
    const storage = Storage.make({
      ...driver,
      blobs: {
        ...driver.blobs!,
        put: (...args) => isFull ? Effect.fail(full) : driver.blobs!.put(...args)
      }
    })
    const w = Workflow.make("w", { events: { go: Schema.String } }, function*(ctx) {
      const a = yield* ctx.step("a", () => large)
      return a.length + (yield* ctx.suspend("go")).length
    })
    return Effect.gen(function*() {
      const refused = { _tag: "StorageError", reason: "Full" }
      expect(yield* Effect.flip(w.start(undefined, { runId: "r" }))).toMatchObject(refused)
      const { entries } = yield* Runs.journal("r")
      expect(entries.map(({ type }) => type)).toEqual(["start"])
      const sent = w.send("r", { eventName: "go", value: large })
      expect(yield* Effect.flip(sent)).toMatchObject(refused)
      isFull = false
      expect(yield* w.resume("r")).toMatchObject({ status: "suspended" })
      yield* sent
      expect(yield* w.resume("r")).toMatchObject({ result: 400_000 })
    }).pipe(using(storage))
  })
})

describe("a codec on a faulty storage", () => {
  const fates: ReadonlyArray<Testing.Fate> = [
    "before",
    "after",
    "unknown before",
    "unknown after",
    "duplicate",
    "dies before",
    "dies after",
    { torn: 1 }
  ]
  for (const fate of fates) {
    it.live(`loses and doubles nothing where a write is ${JSON.stringify(fate)}`, () => {
      const w = Workflow.make(
        "w",
        { events: { go: Schema.String }, input: Schema.String },
        function*(ctx, input) {
          const all = yield* ctx.all([
            ctx.step("a", () => `${input} a`),
            ctx.step("b", () => `${input} b`)
          ])
          const go = yield* ctx.suspend("go")
          return [...all, go, yield* ctx.step("c", () => "c")].join()
        }
      )
      return Effect.gen(function*() {
        const codec = yield* codecOf({ keys: [key("k1")], compress: true })
        for (const verb of ["append", "post"] as const) {
          for (let nth = 1; nth <= (verb === "append" ? 5 : 1); nth++) {
            const driver = Storage.memoryDriver()
            const on = (driver: Storage.Driver) => using(Storage.make(driver, codec))
            const faulty = Testing.faultyDriver(
              driver,
              (call) => call.verb === verb && call.nth === nth ? fate : "done"
            )
            const event = { eventName: "go", value: "é1", eventId: "e" } as const
            yield* Effect.exit(
              Effect.andThen(w.start(secretText, { runId: "r" }), w.resume("r", event)).pipe(
                on(faulty)
              )
            )
            yield* Effect.andThen(w.start(secretText, { runId: "r" }), w.resume("r", event)).pipe(
              on(driver)
            )
            const { entries } = yield* Runs.journal("r").pipe(on(driver))
            expect(entries.at(-1)).toMatchObject({
              type: "complete",
              result: `${secretText} a,${secretText} b,é1,c`
            })
            expect(entries.filter(({ type }) => type === "resume")).toHaveLength(1)
            expect(yield* bytesOf(driver, "r")).not.toContain("4111")
          }
        }
      })
    })
  }
})

// ---------------------------------------------------------------------------------------------------
// somebody who writes to the storage

describe("an encrypted value", () => {
  const at = "r i 1 result"
  const json = JSON.stringify({ card: secretText, more: ["é", 1] })
  const denied = { _tag: "StorageError", reason: "Denied" }
  const plainOf = (sealed: Storage.SealedText, codec: Storage.ValueCodec, where = at) =>
    Effect.result(codec.open(sealed, where))

  it.live("does not open when one character of it is another, at any place", () =>
    Effect.gen(function*() {
      const codec = yield* codecOf({ keys: [key("k1")] })
      const sealed = yield* codec.seal(json, at)
      expect(yield* codec.open(sealed, at)).toBe(json)
      const { text } = sealed
      for (let place = 0; place < text.length; place++) {
        for (const other of ["A", "B", "/"]) {
          if (text[place] === other) continue
          const changed = text.slice(0, place) + other + text.slice(place + 1)
          // The bits behind the last byte stand for nothing.
          if (atob0(changed) === atob0(text)) continue
          const opened = yield* plainOf({ ...sealed, text: changed }, codec)
          expect(opened).toMatchObject({ _tag: "Failure", failure: denied })
        }
      }
    }))

  it.live("does not open when it is cut, lengthened, or no ciphertext at all: it is refused, and nothing dies", () =>
    Effect.gen(function*() {
      const codec = yield* codecOf({ keys: [key("k1")] })
      const sealed = yield* codec.seal(json, at)
      const { text } = sealed
      const others = [
        "",
        "A",
        "====",
        "no base64!",
        text.slice(0, -4),
        text.slice(4),
        text.slice(0, -1),
        `${text}AAAA`,
        `${text}AAAA`.replaceAll("=", ""),
        "é"
      ]
      for (const other of others) {
        const exit = yield* Effect.exit(codec.open({ ...sealed, text: other }, at))
        expect(exit._tag).toBe("Failure")
        if (exit._tag === "Failure") expect(Cause.squash(exit.cause)).toMatchObject(denied)
      }
    }))

  it.live("does not open with another iv, key id, or without the mark of its compression", () =>
    Effect.gen(function*() {
      const codec = yield* codecOf({ keys: [key("k1"), key("k2")], compress: true })
      for (const value of [json, JSON.stringify(large)]) {
        const sealed = yield* codec.seal(value, at)
        const { zip: _, ...unzipped } = sealed
        const again = yield* codec.seal(value, at)
        expect(again.iv).not.toBe(sealed.iv)
        expect(again.text).not.toBe(sealed.text)
        const changed: ReadonlyArray<Storage.SealedText> = [
          { ...sealed, iv: again.iv! },
          { ...sealed, iv: "" },
          { ...sealed, iv: "no base64!" },
          { ...sealed, iv: "AAAAAAAA" },
          { ...sealed, key: "k2" },
          { ...sealed, key: "k3" },
          { ...sealed, key: "" },
          sealed.zip === undefined
            ? { ...sealed, zip: "deflate-raw" }
            : unzipped as Storage.SealedText
        ]
        for (const one of changed) {
          const exit = yield* Effect.exit(codec.open(one, at))
          expect(exit._tag).toBe("Failure")
          if (exit._tag === "Failure") expect(Cause.squash(exit.cause)).toMatchObject(denied)
        }
        expect(yield* codec.open(sealed, at)).toBe(value)
      }
    }))

  it.live("does not open in another place: run, incarnation, entry or field", () =>
    Effect.gen(function*() {
      const codec = yield* codecOf({ keys: [key("k1")] })
      const sealed = yield* codec.seal(json, at)
      for (
        const where of ["s i 1 result", "r j 1 result", "r i 2 result", "r i 1 error", "r i 1", ""]
      ) {
        expect(yield* plainOf(sealed, codec, where)).toMatchObject({ failure: denied })
      }
    }))

  it.live("that is moved in its journal, or to another run, stops the run before anything is done", () => {
    const driver = Storage.memoryDriver()
    let performed = 0
    const w = Workflow.make("w", { events: { go: Schema.String } }, function*(ctx, input: string) {
      const a = yield* ctx.step("a", () => `${input} a`)
      const b = yield* ctx.step("b", () => `${input} b`)
      const go = yield* ctx.suspend("go")
      return yield* ctx.step("c", () => {
        performed++
        return [a, b, go].join()
      })
    })
    return Effect.gen(function*() {
      const codec = yield* codecOf({ keys: [key("k1")] })
      const storage = Storage.make(driver, codec)
      for (const runId of ["r", "s"]) yield* w.start(runId, { runId }).pipe(using(storage))
      const text = yield* bytesOf(driver, "r")
      const foreign = Result.getOrThrow(Journal.read("s", yield* bytesOf(driver, "s"))).entries
      const changes: ReadonlyArray<(entries: Array<any>) => void> = [
        (entries) => {
          const { sealed } = entries[1]
          entries[1].sealed = entries[2].sealed
          entries[2].sealed = sealed
        },
        (entries) => {
          entries[1].sealed = foreign[1]!.sealed
        },
        (entries) => {
          entries[0].sealed = foreign[0]!.sealed
        },
        (entries) => {
          entries[1].sealed = { error: entries[1].sealed.result }
        },
        (entries) => {
          entries[1].sealed = { result: entries[0].sealed.metadata }
        }
      ]
      // As it is, it may be written anew.
      const same = serving(driver, codec, rewritten("r", text, () => {}))
      expect((yield* Runs.journal("r").pipe(using(same))).entries[1]).toMatchObject({
        result: "r a"
      })
      for (const change of changes) {
        const forged = serving(driver, codec, rewritten("r", text, change))
        const resumed = w.resume("r", { eventName: "go", value: "x" }).pipe(using(forged))
        expect(yield* Effect.flip(resumed)).toMatchObject(denied)
      }
      expect(performed).toBe(0)
      expect(yield* bytesOf(driver, "r")).toBe(text)
    })
  })

  it.live("posted for one run is not taken by another", () => {
    const driver = Storage.memoryDriver()
    const w = Workflow.make("w", { events: { go: Schema.String } }, function*(ctx) {
      return yield* ctx.suspend("go")
    })
    return Effect.gen(function*() {
      const storage = Storage.make(driver, yield* codecOf({ keys: [key("k1")] }))
      for (const runId of ["r", "s"]) yield* w.start(undefined, { runId }).pipe(using(storage))
      yield* w.send("s", { eventName: "go", value: "for s" }).pipe(using(storage))
      const posted = JSON.parse((yield* driver.inbox("s", "")).text)
      expect(JSON.stringify(posted)).not.toContain("for s")
      const [first] = Result.getOrThrow(Journal.read("r", yield* bytesOf(driver, "r"))).entries
      const { sum: _, ...post } = { ...posted, incarnation: first!.incarnation }
      yield* driver.post("r", {
        id: "moved",
        eventId: post.eventId,
        line: Journal.sealText(JSON.stringify(post))
      })
      expect(yield* Effect.flip(w.resume("r").pipe(using(storage)))).toMatchObject(denied)
      expect(yield* w.resume("s").pipe(using(storage))).toMatchObject({ result: "for s" })
    })
  })
})

const atob0 = (base64: string) => {
  try {
    return atob(base64)
  } catch {
    return undefined
  }
}

describe("keys", () => {
  it.live("are rotated three times under one run, with and without compression", () => {
    const driver = Storage.memoryDriver()
    const w = Workflow.make("w", { events: { go: Schema.String } }, function*(ctx, input: string) {
      const got: Array<string> = [input]
      for (let n = 0; n < 4; n++) {
        got.push(yield* ctx.step("s", () => `${n}${"é".repeat(2_000)}`))
        got.push(yield* ctx.suspend("go"))
      }
      return got.join()
    })
    const ids = ["k1", "k2", "k3", "k4"]
    const keysFrom = (n: number) =>
      ids.slice(0, n + 1).toReversed().map(key) as unknown as NonNullable<
        JournalCodec.Options["keys"]
      >
    return Effect.gen(function*() {
      const on = (n: number) =>
        Effect.map(
          codecOf({ keys: keysFrom(n), compress: n % 2 === 1 }),
          (codec) => using(Storage.make(driver, codec))
        )
      yield* w.start("in", { runId: "r" }).pipe(yield* on(0))
      let end: unknown
      for (let n = 0; n < 4; n++) {
        end = yield* w.resume("r", { eventName: "go", value: `go ${n}` }).pipe(yield* on(n))
      }
      const parts = [0, 1, 2, 3].flatMap((n) => [`${n}${"é".repeat(2_000)}`, `go ${n}`])
      expect(end).toMatchObject({ status: "success", result: ["in", ...parts].join() })
      const { entries } = Result.getOrThrow(Journal.read("r", yield* bytesOf(driver, "r")))
      const used = entries.flatMap(({ sealed }) => Object.values(sealed ?? {}))
      expect(new Set(used.map(({ key }) => key))).toEqual(new Set(ids))
      expect(new Set(used.map(({ zip }) => zip))).toEqual(new Set([undefined, "deflate-raw"]))
      expect((yield* Runs.journal("r").pipe(yield* on(3))).entries).toHaveLength(entries.length)
      // One of them is gone: what it sealed is, too, and nothing else is said than which.
      const without = yield* codecOf({ keys: [key("k4"), key("k3"), key("k1")] })
      const error: any = yield* Effect.flip(
        Runs.journal("r").pipe(using(Storage.make(driver, without)))
      )
      expect(error).toMatchObject({ _tag: "StorageError", reason: "Denied" })
      expect(error.message).toContain("key \"k2\"")
    })
  })

  it.live("may be given to a storage that had none: what is there stays readable", () => {
    const driver = Storage.memoryDriver()
    const w = Workflow.make("w", { events: { go: Schema.String } }, function*(ctx) {
      const a = yield* ctx.step("a", () => secretText)
      return a + (yield* ctx.suspend("go"))
    })
    return Effect.gen(function*() {
      yield* w.start(undefined, { runId: "r" }).pipe(using(Storage.make(driver)))
      const codec = yield* codecOf({ keys: [key("k1")] })
      expect(
        yield* w.resume("r", { eventName: "go", value: "!" }).pipe(
          using(Storage.make(driver, codec))
        )
      ).toMatchObject({ result: `${secretText}!` })
    })
  })

  it.live("may be given to a storage that only compressed: what is there stays readable", () => {
    const { driver } = withBlobs()
    return Effect.gen(function*() {
      const compressed = yield* codecOf({ compress: true })
      yield* big.start(large, { runId: "r" }).pipe(using(Storage.make(driver, compressed)))
      const codec = yield* codecOf({ keys: [key("k1")] })
      const resumed = big.resume("r", { eventName: "go", value: "!" })
      expect(yield* resumed.pipe(using(Storage.make(driver, codec)))).toMatchObject({
        result: "200000 1 200000"
      })
    })
  })

  it.live("that cannot be used are refused, and no secret is named", () =>
    Effect.gen(function*() {
      const short = { id: "k1", secret: Redacted.make("only 31 characters are in here.") }
      const refused: ReadonlyArray<JournalCodec.Options> = [
        {},
        { compress: false },
        { keys: [short] },
        { keys: [{ ...key("a b"), id: "a b" }] },
        { keys: [{ ...key("k"), id: "" }] },
        { keys: [{ ...key("k"), id: "k".repeat(65) }] },
        { keys: [key("k1"), key("k1")] }
      ]
      for (const options of refused) {
        const error = yield* Effect.flip(JournalCodec.make(options))
        expect(error._tag).toBe("CodecRejected")
        expect(error.message).not.toContain("31 characters are in here")
        expect(error.message).not.toContain("nobody can guess")
      }
    }))
})

describe("a codec", () => {
  const values: Readonly<Record<string, Schema.Json>> = {
    "a value of more than 1 MiB": "é1".repeat(400_000),
    "1 MiB that does not compress": Array.from({ length: 60_000 }, (_, n) => Math.sin(n)),
    "text of every kind":
      "a\u0000\u001f\u2028\u2029\ud83d\ude00 \ud800 \udc00 \ufeff\ufffe \"\\ \n\t é ﷽",
    "texts that look like its own": {
      sealed: { result: { blob: "x" } },
      $secret: 1,
      as: "json",
      text: ""
    },
    "empty ones": ["", {}, [], null, false, 0],
    "null": null
  }
  for (const [name, value] of Object.entries(values)) {
    it.live(`hands back ${name}`, () =>
      Effect.gen(function*() {
        const text = JSON.stringify(value)
        const w = Workflow.make(
          "w",
          { input: Schema.Json, events: { go: Schema.Json }, output: Schema.Json },
          function*(ctx, input) {
            const a = yield* ctx.step("a", () => value)
            const b = yield* ctx.suspend("go")
            return [input, a, b].map((one) => JSON.stringify(one) === text)
          }
        )
        const { blobs: _, ...withoutBlobs } = Storage.memoryDriver()
        const ways: ReadonlyArray<readonly [JournalCodec.Options, Storage.Driver]> = [
          [{ keys: [key("k1")] }, withoutBlobs],
          [{ keys: [key("k1")], compress: true }, withBlobs().driver],
          [{ compress: true }, withBlobs().driver]
        ]
        for (const [options, driver] of ways) {
          yield* Effect.gen(function*() {
            yield* w.start(value, { runId: "r" })
            const done = yield* w.resume("r", { eventName: "go", value })
            expect(done).toMatchObject({ status: "success", result: [true, true, true] })
            const step = (yield* Runs.journal("r")).entries[1]
            expect(step?.type === "step" && JSON.stringify(step.result) === text).toBe(true)
          }).pipe(
            using(Storage.make(driver, yield* codecOf(options))),
            Effect.provideService(Workflow.Limits, { bytes: 10_000_000, depth: 200 })
          )
        }
      }))
  }

  it.live("seals what a transaction gives, and what is sent or started within one", () =>
    Effect.gen(function*() {
      const filename = join(temporary(), "a.db")
      const layer = JournalCodec.layer({ keys: [key("k1")] }).pipe(
        Layer.provideMerge(SqliteStorage.layer({ filename }))
      )
      const w = Workflow.make(
        "w",
        { events: { go: Schema.String } },
        function*(ctx, input: string) {
          const a = yield* ctx.transaction(
            "a",
            Effect.gen(function*() {
              const sql = yield* SqlClient.SqlClient
              yield* sql`INSERT INTO mine (n) VALUES (1)`
              return `${input} a`
            })
          )
          const b = yield* ctx.suspend("go")
          return `${a} ${b}`
        }
      )
      yield* Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        yield* sql`CREATE TABLE mine (n INTEGER NOT NULL)`
        yield* sql.withTransaction(SqliteStorage.startIn(w, secretText, { runId: "r" }))
        expect(yield* w.resume("r")).toMatchObject({ status: "suspended" })
        const send = w.send("r", { eventName: "go", value: `${secretText}!` })
        const lost = sql.withTransaction(
          Effect.andThen(SqliteStorage.inTransaction(send), Effect.fail("rolled back"))
        )
        expect(yield* Effect.flip(lost)).toBe("rolled back")
        expect(yield* w.resume("r")).toMatchObject({ status: "suspended" })
        yield* sql.withTransaction(SqliteStorage.inTransaction(send))
        expect(yield* w.resume("r")).toMatchObject({
          result: `${secretText} a ${secretText}!`
        })
        expect(yield* sql`SELECT n FROM mine`).toEqual([{ n: 1 }])
        expect((yield* Runs.list()).runs).toMatchObject([{ status: "success" }])
      }).pipe(Effect.provide(layer))
      for (const name of readdirSync(join(filename, ".."))) {
        expect(readFileSync(join(filename, "..", name)).includes("4111")).toBe(false)
      }
    }))
})

// ---------------------------------------------------------------------------------------------------
// what nobody is shown

/** A secret that says where it is. */
const hiddenText = (where: string) => `4111-${where}`
const hiddenIn = (where: string) => Redacted.make(hiddenText(where))

const Hidden = Workflow.secret(Schema.String)

class Account extends Schema.Class<Account>("Account")({ owner: Schema.String, iban: Hidden }) {}

interface Chain {
  readonly iban: Redacted.Redacted<string>
  readonly next: Chain | null
}
const Chain: Schema.Codec<Chain, any> = Schema.Struct({
  iban: Hidden,
  next: Schema.NullOr(Schema.suspend((): Schema.Codec<Chain, any> => Chain))
})

/** A schema, and a value of it with a secret. */
const places: Readonly<
  Record<string, readonly [schema: Schema.Codec<any, any>, value: (where: string) => unknown]>
> = {
  "a struct in a struct": [
    Schema.Struct({ a: Schema.Struct({ b: Hidden }) }),
    (where) => ({ a: { b: hiddenIn(where) } })
  ],
  "an array": [Schema.Array(Hidden), (where) => [hiddenIn(where), hiddenIn(where)]],
  "an array of structs": [
    Schema.Array(Schema.Struct({ x: Schema.Array(Hidden) })),
    (where) => [{ x: [] }, { x: [hiddenIn(where)] }]
  ],
  "a tuple": [Schema.Tuple([Schema.Int, Hidden]), (where) => [1, hiddenIn(where)]],
  "an optional field": [
    Schema.Struct({ a: Schema.optionalKey(Hidden), b: Schema.optional(Hidden) }),
    (where) => ({ a: hiddenIn(where), b: hiddenIn(where) })
  ],
  "a record": [Schema.Record(Schema.String, Hidden), (where) => ({ a: hiddenIn(where) })],
  "a union": [Schema.Union([Schema.Int, Hidden]), hiddenIn],
  "a class": [Account, (where) => new Account({ owner: "ada", iban: hiddenIn(where) })],
  "an Option": [Schema.Option(Hidden), (where) => Option.some(hiddenIn(where))],
  "a recursive schema": [
    Chain,
    (where) => ({ iban: hiddenIn(where), next: { iban: hiddenIn(where), next: null } })
  ],
  "a secret of a struct": [
    Workflow.secret(Schema.Struct({ a: Schema.String })),
    (where) => Redacted.make({ a: hiddenText(where) })
  ],
  "a secret in a secret": [
    Workflow.secret(Schema.Struct({ a: Hidden })),
    (where) => Redacted.make({ a: hiddenIn(where) })
  ],
  "Effect's own Redacted": [Schema.Redacted(Schema.String), hiddenIn],
  "Effect's own Redacted, in a struct": [
    Schema.Struct({ a: Schema.Redacted(Schema.String) }),
    (where) => ({ a: hiddenIn(where) })
  ],
  "Effect's own Redacted, in an array of Options": [
    Schema.Array(Schema.Option(Schema.Redacted(Schema.String))),
    (where) => [Option.some(hiddenIn(where))]
  ],
  "Effect's own Redacted, behind a suspended schema": [
    Schema.Struct({
      a: Schema.suspend(() => Schema.Struct({ b: Schema.Redacted(Schema.String) }))
    }),
    (where) => ({ a: { b: hiddenIn(where) } })
  ],
  "Effect's own Redacted, beside a secret": [
    Schema.Struct({ a: Schema.Redacted(Schema.String), b: Hidden }),
    (where) => ({ a: hiddenIn(where), b: hiddenIn(where) })
  ]
}

/** Has the command line tell all there is of the runs. */
const tell = Effect.gen(function*() {
  const storage = yield* Storage.Storage
  const reprise = (...args: ReadonlyArray<string>) =>
    command(args, () => Layer.succeed(Storage.Storage, storage)).pipe(
      Effect.provide(NodeServices.layer)
    )
  yield* reprise("list")
  yield* reprise("list", "--json")
  for (const { runId } of (yield* Runs.list()).runs) {
    yield* reprise("show", runId)
    yield* reprise("show", runId, "--json")
  }
})

/** Whatever was printed. */
const printed = Effect.gen(function*() {
  return [...(yield* TestConsole.logLines), ...(yield* TestConsole.errorLines)].map(String)
    .join("\n")
})

describe("a secret in", () => {
  for (const [place, [schema, value]] of Object.entries(places)) {
    it.effect(`${place} is in no log and no listing, and reaches everybody who needs it`, () => {
      class Refused extends Schema.TaggedError<Refused>()("Refused", { why: schema }) {}
      const seen: Array<unknown> = []
      const w = Workflow.make(
        "w",
        {
          input: schema,
          output: schema,
          error: Refused,
          events: { go: schema },
          channels: { news: schema }
        },
        function*(ctx, input) {
          const step = yield* ctx.step("step", () => value("step"), { schema })
          yield* ctx.publish("news", value("news"))
          const fails = ctx.step(
            "fails",
            () => Effect.fail(new Refused({ why: value("caught") })),
            {
              error: Refused,
              retry: 1
            }
          )
          yield* ctx.any({ fails, other: ctx.step("other", () => 1) })
          const event = yield* ctx.suspend("go")
          seen.push(input, step, event)
          if (Redacted.isRedacted(event)) return value("output")
          return yield* ctx.fail(new Refused({ why: value("error") }))
        }
      )
      return Effect.gen(function*() {
        for (const style of ["tree", "lines", "json"] as const) {
          yield* Effect.gen(function*() {
            yield* w.start(value("input"), { runId: style })
            yield* tell
            const end = yield* w.resume(style, { eventName: "go", value: value("event") })
            expect(end).toMatchObject(
              end.status === "success"
                ? { result: value("output") }
                : { status: "failed", error: { _tag: "Refused", why: value("error") } }
            )
            yield* tell
          }).pipe(Effect.provide(RunLog.layer({ style })))
        }
        expect(seen.slice(0, 3)).toEqual([value("input"), value("step"), value("event")])
        // The journal has them: a replay needs them.
        const { entries } = yield* Runs.journal("tree")
        for (const part of ["input", "step", "event"]) {
          expect(JSON.stringify(entries)).toContain(hiddenText(part))
        }
        expect(JSON.stringify(JournalCodec.hide(entries))).not.toContain("4111")
        const text = yield* printed
        expect(text).toContain("<redacted>")
        expect(text.split("\n").filter((line) => line.includes("4111"))).toEqual([])
      }).pipe(Effect.provide(Storage.layerMemory))
    })
  }
})

describe("a secret", () => {
  const Card = Schema.Struct({ card: Workflow.secret(Schema.NonEmptyString) })
  const card = (text: unknown) => ({ card: Redacted.make(text) }) as typeof Card.Type

  it.effect("is in no message of a refusal", () =>
    Effect.gen(function*() {
      const w = Workflow.make("w", { input: Card, events: { go: Card } }, function*(ctx, input) {
        const event = yield* ctx.suspend("go")
        return yield* ctx.step("s", (): number => {
          throw new Error(`${JSON.stringify(input)} and ${JSON.stringify(event)} are refused`)
        })
      })
      yield* w.start(card("4111-1"), { runId: "r" })
      const messages: Array<string> = []
      const refused = <A, E>(tag: string, effect: Effect.Effect<A, E, Storage.Storage>) =>
        Effect.gen(function*() {
          const error: any = yield* Effect.flip(effect)
          expect(error._tag).toBe(tag)
          messages.push(error.message, JSON.stringify(error), String(error))
        })
      yield* refused("RunExists", w.start(card("4111-2"), { runId: "r" }))
      yield* refused("InputRejected", w.start(card(4111), { runId: "s" }))
      const go = (value: unknown) => ({ eventName: "go", value }) as any
      yield* refused("EventRejected", w.resume("r", go(card(4111))))
      yield* refused("EventRejected", w.resume("r", go({ card: "4111-3" })))
      const failed = yield* w.resume("r", go(card("4111-4")))
      messages.push(JSON.stringify(failed))
      expect(failed).toMatchObject({
        error: { message: `{"card":"<redacted>"} and {"card":"<redacted>"} are refused` }
      })
      expect(messages.filter((message) => message.includes("4111"))).toEqual([])
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("that the code cannot take any more is in no message either", () =>
    Effect.gen(function*() {
      const made = (schema: Schema.Codec<any, any>) =>
        Workflow.make("w", { events: { go: Schema.Void } }, function*(ctx) {
          yield* ctx.step("s", () => card("4111-1"), { schema })
          yield* ctx.suspend("go")
        })
      yield* made(Card).start(undefined, { runId: "r" })
      const changed = Schema.Struct({ card: Workflow.secret(Schema.Int) })
      const go = { eventName: "go", value: undefined } as const
      const exit = yield* Effect.exit(made(changed).resume("r", go))
      const error: any = exit._tag === "Failure" ? Cause.squash(exit.cause) : exit.value
      expect(error._tag).toBe("ReplayMismatch")
      expect(`${error.message} ${JSON.stringify(error)}`).not.toContain("4111")

      const wrong = Workflow.make("wrong", function*(ctx) {
        yield* ctx.step("s", () => card(4111), { schema: Card })
      })
      const unfit = yield* Effect.flip(wrong.start(undefined, { runId: "u" }))
      expect(unfit._tag).toBe("Unserializable")
      expect(unfit.message).not.toContain("4111")
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("is Redacted in what hooks and callers are handed", () =>
    Effect.gen(function*() {
      const w = Workflow.make("w", { output: Card }, function*(ctx) {
        return yield* ctx.step("s", () => card("4111-1"), { schema: Card })
      })
      const heard: Array<string> = []
      const done = yield* w.start(undefined, {
        runId: "r",
        onStepComplete: ({ context }) => {
          heard.push(JSON.stringify(context))
        }
      })
      expect(done).toMatchObject({ result: card("4111-1") })
      expect(heard).toEqual([`{"s":{"card":"<redacted>"}}`])
      const texts = [done, yield* w.status("r"), yield* w.join("r")].map((one) =>
        JSON.stringify(one)
      )
      expect(texts.filter((text) => text.includes("4111"))).toEqual([])
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("stands in a checkpoint, which encryption hides and a signature does not", () => {
    const events = { go: Schema.Void }
    const w = Workflow.make("w", { input: Card, events }, function*(ctx, input) {
      const kept = yield* ctx.step("s", () => input, { schema: Card })
      yield* ctx.suspend("go")
      return Redacted.value(kept.card)
    })
    const keys = (how: "sign" | "encrypt") =>
      NodeCheckpointKeys.layer({ how, keys: [{ id: "k", secret: key("k").secret }] })
    const holds = (text: string) =>
      text.split(".").some((part) => Buffer.from(part, "base64url").includes("4111"))
    return Effect.gen(function*() {
      yield* w.start(card("4111-1"), { runId: "r" })
      for (const how of ["sign", "encrypt"] as const) {
        yield* Effect.gen(function*() {
          const text = yield* w.checkpoint("r")
          expect(holds(text)).toBe(how === "sign")
          yield* w.runCheckpoint({ checkpoint: text, runId: how })
          const event = { eventName: "go", value: undefined } as const
          expect(yield* w.resume(how, event)).toMatchObject({ result: "4111-1" })
          const { output } = yield* Checkpoint.deserializeCheckpoint(text)
          expect(JSON.stringify(JournalCodec.hide(output))).not.toContain("4111")
        }).pipe(Effect.provide(keys(how)))
      }
    }).pipe(Effect.provide(Storage.layerMemory))
  })

  it.effect("and what only looks like one are told apart by their schemas", () => {
    const w = Workflow.make("w", { output: Schema.Json }, function*(ctx) {
      const plain = yield* ctx.step("plain", () => ({ $secret: "mine" }))
      const odd = yield* ctx.step("odd", () => ({ $secret: "mine" }), {
        schema: Schema.Struct({ $secret: Schema.String })
      })
      const both = yield* ctx.step("both", () => ({ $secret: Redacted.make("mine") }), {
        schema: Schema.Struct({ $secret: Hidden })
      })
      const whole = yield* ctx.step("whole", () => ({ $secret: Redacted.make("mine") }), {
        schema: Schema.Struct({ $secret: Schema.Redacted(Schema.String) })
      })
      return [plain, odd, Redacted.value(both.$secret), Redacted.value(whole.$secret)]
    })
    return Effect.gen(function*() {
      const all = [{ $secret: "mine" }, { $secret: "mine" }, "mine", "mine"]
      expect(yield* w.execute(undefined, { runId: "r" })).toEqual(all)
      expect(w.replay(yield* Runs.journal("r"))).toMatchObject({ _tag: "Returned", value: all })
    }).pipe(Effect.provide(Storage.layerMemory))
  })
})

describe("what is hidden", () => {
  it("leaves what has no secret as the very same object, and changes nothing that it is given", () => {
    const plain = { a: [1, { b: "x" }], c: null, $secret: 1 }
    expect(JournalCodec.hide(plain)).toBe(plain)
    const one = Object.freeze({
      a: Object.freeze([0, Object.freeze({ $secret: { deep: 1 } })]),
      b: "x",
      c: plain
    })
    const hidden = JournalCodec.hide(one)
    expect(hidden).toEqual({ a: [0, "<redacted>"], b: "x", c: plain })
    expect(hidden.c).toBe(plain)
    expect(Array.isArray(hidden.a)).toBe(true)
    for (const value of [undefined, null, 1, "$secret", true]) {
      expect(JournalCodec.hide(value)).toBe(value)
    }
  })
})
