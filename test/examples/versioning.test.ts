/**
 * 07-versioning: which code goes on with which run.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestConsole } from "effect/testing"
import { Runs, Storage } from "reprise"
import * as January from "../../examples/07-versioning/january.ts"
import * as March from "../../examples/07-versioning/march.ts"
import * as Today from "../../examples/07-versioning/workflow.ts"
import { runExample, scratch } from "./support/command.ts"

const confirmed = { eventName: "confirmed" } as const
const january = January.welcome.start({ name: "Ada" })
const march = March.welcome.start({ name: "Konrad", language: "de" })
const today = Today.welcome.start({ name: "Grace", language: "en" })

/** What was printed since the last time. */
const printed = Effect.gen(function*() {
  const lines = yield* TestConsole.logLines
  return lines.map((line) => String(line).trim())
})

const entriesOf = (runId: string) => Effect.map(Runs.journal(runId), ({ entries }) => entries)

describe("a run", () => {
  it.effect("of January goes on under March's code: old path, and an input with a language", () =>
    Effect.gen(function*() {
      const { runId } = yield* january
      expect(yield* March.welcome.resume(runId, confirmed)).toMatchObject({
        status: "success",
        result: "Ada is welcome"
      })
      expect(yield* printed).toEqual([
        "[january] Hello Ada, please confirm",
        "[march] a voucher (en) for Ada"
      ])
      const entries = yield* entriesOf(runId)
      expect(entries[0]).toMatchObject({ type: "start", metadata: { name: "Ada" } })
      expect(entries.filter(({ type }) => type === "patch")).toEqual([])
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("of March takes the new path, and keeps to it", () =>
    Effect.gen(function*() {
      const { runId } = yield* march
      expect(yield* March.welcome.resume(runId, confirmed)).toMatchObject({ status: "success" })
      expect(yield* printed).toEqual([
        "[march] is Konrad a person?",
        "[march] Moin Konrad, please confirm",
        "[march] a voucher (de) for Konrad"
      ])
      const patches = (yield* entriesOf(runId)).filter(({ type }) => type === "patch")
      expect(patches).toMatchObject([{ changeId: "check-for-spam" }])
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("of an older version goes on with the older body under today's code", () =>
    Effect.gen(function*() {
      for (
        const [begun, result] of [[january, "Ada is welcome"], [
          march,
          "Konrad is welcome"
        ]] as const
      ) {
        const { runId } = yield* begun
        expect(yield* Today.welcome.resume(runId, confirmed)).toMatchObject({
          status: "success",
          result
        })
        expect((yield* entriesOf(runId))[0]).toMatchObject({ type: "start", version: "1" })
      }
      expect((yield* printed).filter((line) => line.startsWith("[today]"))).toEqual([])
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("of today runs today's body", () =>
    Effect.gen(function*() {
      const { runId } = yield* today
      expect(yield* Today.welcome.resume(runId, confirmed)).toMatchObject({
        status: "success",
        result: "Grace has an account"
      })
      expect((yield* entriesOf(runId))[0]).toMatchObject({ type: "start", version: "2" })
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("of newer code is refused by the older one, which leaves it alone", () =>
    Effect.gen(function*() {
      const { runId } = yield* today
      const before = yield* entriesOf(runId)
      for (const older of [January.welcome, March.welcome]) {
        expect(yield* Effect.flip(older.resume(runId))).toMatchObject({ _tag: "VersionMismatch" })
      }
      expect(yield* entriesOf(runId)).toEqual(before)

      // The patch is one that January does not know.
      const patched = yield* march
      expect(yield* Effect.flip(January.welcome.resume(patched.runId))).toMatchObject({
        _tag: "ReplayMismatch"
      })
    }).pipe(Effect.provide(Storage.layerMemory)))
})

describe("npm run example 07", () => {
  const directory = scratch()

  it("lets each customer go on with the code that fits", async () => {
    const { code, lines, stderr } = await runExample(directory, ["07"])
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    expect(lines).toEqual([
      "three sign up, with the code of the day:",
      "  [january] Hello Ada, please confirm",
      "  [march] is Konrad a person?",
      "  [march] Moin Konrad, please confirm",
      "  [today] sign up Grace (en)",
      "all of them confirm today:",
      "  [march] a voucher (en) for Ada",
      "  Ada is welcome",
      "  [march] a voucher (de) for Konrad",
      "  Konrad is welcome",
      "  [today] open the account of Grace",
      "  Grace has an account"
    ])
  })
})
