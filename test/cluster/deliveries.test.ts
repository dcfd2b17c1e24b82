/** When a run is looked at again, by the verdict of a look and how many in a row came to nothing. */
import { describe, expect, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Dispatch, Storage } from "reprise"
import * as Deliveries from "../../src/cluster/Deliveries.ts"

interface Sent {
  readonly runId: string
  readonly at: number
  readonly attempt: number
}

/** Deliveries whose runs all come to what `handle` says, and what was sent for later. */
const make = (handle: Effect.Effect<Dispatch.Verdict>) => {
  const sent: Array<Sent> = []
  const rung: Array<number> = []
  const driven: Array<string> = []
  const deliveries = Deliveries.make({
    storage: Storage.make(Storage.memoryDriver()),
    dispatch: { handle: () => handle },
    sender: {
      drive: (runId) => Effect.sync(() => void driven.push(runId)),
      wake: (runId, at, attempt) => Effect.sync(() => void sent.push({ runId, at, attempt })),
      hello: Effect.void
    },
    concurrency: 2,
    onWake: (at) => rung.push(at),
    onEnd: () => {}
  })
  return { deliveries, sent, rung, driven }
}

const now = 1_700_000_000_123

const pauses = {
  Held: { verdict: { _tag: "Held", after: 2_000 }, first: 500, longest: 2_000 },
  Redeliver: {
    verdict: { _tag: "Redeliver", after: 1_000, why: "" },
    first: 1_000,
    longest: 60_000
  },
  Foreign: { verdict: { _tag: "Foreign", workflow: "w" }, first: 5_000, longest: 60_000 }
} as const

describe("a look that comes to nothing", () => {
  for (const [name, { first, longest, verdict }] of Object.entries(pauses)) {
    it.effect(`is repeated later each time when it comes to ${name}`, () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(now)
        const { deliveries, rung, sent } = make(Effect.succeed(verdict))
        const deliver = deliveries.of("run")
        for (let attempt = 0; attempt < 12; attempt++) yield* deliver(attempt)
        expect(sent.map(({ attempt }) => attempt)).toEqual(
          Array.from({ length: 12 }, (_, n) => n + 1)
        )
        for (const [n, { at }] of sent.entries()) {
          const pause = Math.min(longest, first * 2 ** n)
          expect(at - now).toBeGreaterThanOrEqual(pause / 2)
          expect(at - now).toBeLessThanOrEqual(pause * 1.5)
        }
        expect(rung).toEqual(sent.map(({ at }) => at))
      }))
  }

  it.effect("waits for an instant that is the same for all who ask, and the run's own", () =>
    Effect.gen(function*() {
      const { deliveries, sent } = make(Effect.succeed({ _tag: "Held", after: 2_000 }))
      for (let millis = 0; millis < 4_000; millis += 10) {
        yield* TestClock.setTime(now + millis)
        yield* deliveries.of("a")(9)
      }
      const mine = new Set(sent.map(({ at }) => at))
      // Four seconds, with an instant every two.
      expect(mine.size).toBeLessThanOrEqual(3)
      yield* deliveries.of("b")(9)
      expect(mine.has(sent.at(-1)!.at)).toBe(false)
    }))
})

describe("a look", () => {
  it.effect("at a run that waits is followed by one at its time", () =>
    Effect.gen(function*() {
      const { deliveries, sent } = make(Effect.succeed({ _tag: "Waits", until: now + 5 }))
      yield* deliveries.of("run")(3)
      expect(sent).toEqual([{ runId: "run", at: now + 5, attempt: 0 }])
    }))

  it.effect("at a run that waits without a time, is blocked or is not there is the last one", () =>
    Effect.gen(function*() {
      const verdicts: ReadonlyArray<Dispatch.Verdict> = [
        { _tag: "Waits", until: undefined },
        { _tag: "Blocked", why: "because" },
        { _tag: "Done", status: "absent" }
      ]
      for (const verdict of verdicts) {
        const { deliveries, driven, sent } = make(Effect.succeed(verdict))
        yield* deliveries.of("run")(0)
        expect({ sent, driven }).toEqual({ sent: [], driven: [] })
      }
    }))

  it.effect("that ends with a bug is repeated", () =>
    Effect.gen(function*() {
      const { deliveries, sent } = make(Effect.die(new Error("a bug")))
      yield* deliveries.of("run")(0)
      expect(sent.length).toBe(1)
      expect(deliveries.running.size).toBe(0)
    }))

  it.effect("that is interrupted is not over: its message stays for the next runner", () =>
    Effect.gen(function*() {
      const begun = yield* Deferred.make<void>()
      const { deliveries, sent } = make(
        Effect.andThen(Deferred.succeed(begun, undefined), Effect.never)
      )
      const looking = yield* Effect.forkChild(deliveries.of("run")(0))
      yield* Deferred.await(begun)
      expect(Array.from(deliveries.running)).toEqual(["run"])
      yield* Fiber.interrupt(looking)
      const exit = yield* Fiber.await(looking)
      expect(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)).toBe(true)
      expect(sent).toEqual([])
      expect(deliveries.running.size).toBe(0)
      expect(deliveries.waiting()).toBe(0)
    }))

  it.effect("serves all messages that were there when it began", () =>
    Effect.gen(function*() {
      let looks = 0
      const go = yield* Deferred.make<void>()
      const { deliveries } = make(
        Effect.suspend(() => {
          looks++
          return Effect.as(Deferred.await(go), { _tag: "Waits", until: undefined } as const)
        })
      )
      const deliver = deliveries.of("run")
      const all = yield* Effect.forEach(
        Array.from({ length: 10 }),
        () => Effect.forkChild(deliver(0), { startImmediately: true })
      )
      yield* Deferred.succeed(go, undefined)
      yield* Fiber.awaitAll(all)
      // The first one's, and one for the nine that came during it.
      expect(looks).toBe(2)
    }))
})
