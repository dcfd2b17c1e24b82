/**
 * Appends whose answer is lost on the way: sent again, they are acknowledged once, and behind a newer
 * session nothing is acknowledged any more, whatever the driver.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { Journal, Storage } from "reprise"
import * as MemoryDriver from "../../src/MemoryDriver.ts"

const timestamp = "2026-01-02T03:04:05.678Z"
const entry = (name: string): Journal.Stamped =>
  Journal.stamped({ type: "step", stepId: name, name, result: name }, timestamp)
const start = Journal.stamped({ type: "start", format: 1, workflow: "w", runId: "r" }, timestamp)
const again = Journal.stamped({ type: "start" }, timestamp)
const stamp = (session: number, writer: string) => ({ incarnation: "i", session, writer })

const names = (storage: Storage.Storage["Service"]) =>
  Effect.map(
    storage.read("r"),
    ({ journal }) => journal.entries.map((one) => one.type === "step" ? one.name : one.type)
  )

/** A memory whose next answer to an append is lost; `meanwhile` happens before anyone asks again. */
const losing = () => {
  const driver = MemoryDriver.make()
  const other = Storage.make(driver)
  const state: { meanwhile: Effect.Effect<unknown, unknown> | undefined } = { meanwhile: undefined }
  const storage = Storage.make({
    ...driver,
    writer: (runId) =>
      Effect.map(driver.writer(runId), (writer) => ({
        append: (at, lines, row) =>
          Effect.flatMap(writer.append(at, lines, row), (version) => {
            const { meanwhile } = state
            if (meanwhile === undefined) return Effect.succeed(version)
            state.meanwhile = undefined
            const lost = new Storage.StorageError({
              reason: "Unavailable",
              doing: "append",
              cause: new Error("no answer")
            })
            return Effect.andThen(Effect.orDie(meanwhile), Effect.fail(lost))
          })
      }))
  })
  return { other, state, storage }
}

describe("an append without an answer", () => {
  it.live("is acknowledged once when it is sent again", () =>
    Effect.scoped(Effect.gen(function*() {
      const { state, storage } = losing()
      const writer = yield* storage.writer(yield* storage.read("r"))
      for (const name of ["one", "two"]) {
        state.meanwhile = Effect.void
        const entries = name === "one" ? [start, entry(name)] : [entry(name)]
        expect(yield* writer.append(stamp(1, "a"), entries)).toBe(true)
      }
      expect(yield* writer.append(stamp(1, "a"), [entry("three")])).toBe(true)
      expect(yield* names(storage)).toEqual(["start", "one", "two", "three"])
    })))

  it.live("counts though a newer session stands behind it, and the next one does not", () =>
    Effect.scoped(Effect.gen(function*() {
      const { other, state, storage } = losing()
      const writer = yield* storage.writer(yield* storage.read("r"))
      expect(yield* writer.append(stamp(1, "a"), [start])).toBe(true)
      state.meanwhile = Effect.scoped(Effect.gen(function*() {
        const newer = yield* other.writer(yield* other.read("r"))
        expect(yield* newer.append(stamp(2, "b"), [again])).toBe(true)
      }))
      expect(yield* writer.append(stamp(1, "a"), [entry("in time")])).toBe(true)
      expect(yield* writer.hasMoved).toBe(true)
      expect(yield* writer.append(stamp(1, "a"), [entry("late")])).toBe(false)
      expect(yield* writer.append(stamp(1, "a"), [entry("later")])).toBe(false)
      expect(yield* names(storage)).toEqual(["start", "in time", "start"])
    })))
})
