/**
 * The storage contract can be broken: drivers with a planted bug are each caught by the case that is named
 * for it, and what a case says of a driver helps who wrote it.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Storage } from "reprise"
import * as Testing from "reprise/testing"
import { broken } from "./brokenDrivers.ts"

const caseOf = (full: string): Testing.ContractCase => {
  const found = Testing.storageContract.find(({ area, name }) => `${area}: ${name}` === full)
  if (found === undefined) throw new Error(`there is no case "${full}"`)
  return found
}

describe("a driver that", () => {
  for (const [bug, { caughtBy, plant }] of Object.entries(broken)) {
    it.live(`${bug} is caught by "${caughtBy}"`, () =>
      Effect.gen(function*() {
        const { run } = caseOf(caughtBy)
        const error = yield* Effect.flip(run(Effect.sync(plant)))
        expect(error).toBeInstanceOf(Testing.ContractBroken)
        expect(error).toMatchObject({ case: caughtBy })
      }))
  }

  it("has a bug of its own is there in numbers", () => {
    expect(Object.keys(broken).length).toBeGreaterThanOrEqual(20)
  })
})

describe("a case", () => {
  it.live("says what was demanded, what was expected and what was seen", () =>
    Effect.gen(function*() {
      const { run } = caseOf("lease: a lease that is released is free at once")
      const forgets = { ...Storage.memoryDriver(), release: () => Effect.void }
      const error = yield* Effect.flip(run(Effect.succeed(forgets)))
      expect(error.message).toBe(
        "The storage breaks its contract (lease: a lease that is released is free at once): holder. "
          + "Expected: false. Seen: true."
      )
      expect(Schema.is(Testing.ContractBroken)(error)).toBe(true)
    }))

  it.live("says so when the driver fails, dies or answers Moved", () =>
    Effect.gen(function*() {
      const { run } = caseOf("append: an append at no state creates the run")
      const failing = new Storage.StorageError({
        reason: "Full",
        doing: "append",
        cause: "no space"
      })
      const answers = [
        [Effect.fail(failing), "StorageError: "],
        [Effect.die(new TypeError("a bug")), "TypeError: a bug"],
        [Effect.fail(new Storage.Moved({ runId: "r" })), "Moved"]
      ] as const
      for (const [answer, seen] of answers) {
        const driver: Storage.Driver = {
          ...Storage.memoryDriver(),
          writer: () => Effect.succeed({ append: () => answer })
        }
        const error = yield* Effect.flip(run(Effect.succeed(driver)))
        expect(error.message).toContain(`Seen: ${seen}`)
      }
    }))

  it.live("hands on why a store could not be opened", () =>
    Effect.gen(function*() {
      const { run } = caseOf("append: an append at no state creates the run")
      expect(yield* Effect.flip(run(Effect.fail("no database" as const)))).toBe("no database")
    }))

  it.live("opens the store once, and closes it whatever it came to", () =>
    Effect.gen(function*() {
      const told: Array<string> = []
      const store = (driver: Storage.Driver) =>
        Effect.acquireRelease(
          Effect.sync(() => {
            told.push("opened")
            return driver
          }),
          () => Effect.sync(() => told.push("closed"))
        )
      const { run } = caseOf("lease: a lease that is released is free at once")
      yield* run(store(Storage.memoryDriver()))
      yield* Effect.flip(
        run(store({ ...Storage.memoryDriver(), release: () => Effect.void }))
      )
      expect(told).toEqual(["opened", "closed", "opened", "closed"])
    }))

  it.live("uses the driver of another process where there is one", () =>
    Effect.gen(function*() {
      const { run } = caseOf(
        "append: what was appended is read at once, by another process as well"
      )
      const error = yield* Effect.flip(run(Effect.succeed({
        driver: Storage.memoryDriver(),
        other: Storage.memoryDriver()
      })))
      expect(error.message).toContain("other's read")
    }))

  it.live("shows of long texts where they part", () =>
    Effect.gen(function*() {
      const { run } = caseOf("inbox: a post of a megabyte comes back byte for byte")
      const driver = Storage.memoryDriver()
      const error = yield* Effect.flip(run(Effect.succeed({
        ...driver,
        inbox: (runId: string, after: string) =>
          Effect.map(driver.inbox(runId, after), (posts) => ({
            ...posts,
            text: `${posts.text.slice(0, 300_000)}e${posts.text.slice(300_001)}`
          }))
      })))
      expect(error.message).toMatch(/Expected: …\d+ characters… é+….*Seen: …\d+ characters… é+eé+…/)
      expect(error.message.length).toBeLessThan(2000)
    }))
})
