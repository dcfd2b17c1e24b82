/**
 * Values apart from their entries: large ones in blobs, encrypted and compressed ones, secrets that nobody is
 * shown; whatever is copied, forked, restarted or rotated.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer, Redacted, Schema } from "effect"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { JournalCodec, Runs, Storage, Workflow } from "reprise"
import { SqliteStorage } from "reprise/sqlite"
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
    memory: () => Storage.layerMemory,
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
