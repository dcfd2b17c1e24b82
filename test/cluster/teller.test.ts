/** What a process tells the cluster of: what it did itself, once, whatever becomes of others, and before it ends. */
import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import { Storage } from "reprise"
import type { Sender } from "../../src/cluster/RunEntity.ts"
import * as Teller from "../../src/cluster/Teller.ts"
import { until } from "../worker/support.ts"

const sending = (drive: (runId: string) => Effect.Effect<void>): Sender => ({
  drive,
  wake: () => Effect.void,
  hello: Effect.void
})

describe("a process", () => {
  it.live("tells of what it did, and leaves to others what they did", () =>
    Effect.scoped(Effect.gen(function*() {
      const others = Storage.makeHints()
      const storage = Storage.make({ ...Storage.memoryDriver(), hints: others.hints })
      const told: Array<string> = []
      yield* Teller.start(storage, sending((runId) => Effect.sync(() => void told.push(runId))))
      others.hint("theirs")
      storage.hint("mine")
      others.hint("mine")
      others.hint("theirs")
      storage.hint("theirs")
      yield* until("both are told of", Effect.sync(() => told.length >= 2))
      yield* Effect.sleep(20)
      expect(told).toEqual(["mine", "theirs"])
    })))

  it.live("tells of one run though another one's runner does not answer", () =>
    Effect.scoped(Effect.gen(function*() {
      const storage = Storage.make(Storage.memoryDriver())
      const answer = yield* Deferred.make<void>()
      const told: Array<string> = []
      yield* Teller.start(
        storage,
        sending((runId) =>
          runId === "frozen"
            ? Deferred.await(answer)
            : Effect.sync(() => void told.push(runId))
        )
      )
      storage.hint("frozen")
      storage.hint("a")
      yield* until("it is told of", Effect.sync(() => told.includes("a")))
      yield* Deferred.succeed(answer, undefined)
    })))

  it.live("that ends waits until it is known where the runners are, and they are told", () =>
    Effect.gen(function*() {
      const storage = Storage.make(Storage.memoryDriver())
      const found = yield* Deferred.make<void>()
      const told: Array<string> = []
      const scope = yield* Scope.make()
      yield* Teller.start(
        storage,
        sending((runId) => Effect.delay(Effect.sync(() => void told.push(runId)), 20)),
        Deferred.await(found)
      ).pipe(Scope.provide(scope))
      // Three times, of which none has been sent.
      for (let n = 0; n < 3; n++) storage.hint("a")
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* Effect.sleep(20)
      expect(told).toEqual([])
      yield* Deferred.succeed(found, undefined)
      yield* Fiber.join(closing)
      expect(told).toEqual(["a"])
      storage.hint("b")
      yield* Effect.sleep(50)
      expect(told).toEqual(["a"])
    }))

  it.live("that did nothing ends without looking for runners any longer", () =>
    Effect.gen(function*() {
      const storage = Storage.make(Storage.memoryDriver())
      let isOver = false
      yield* Effect.scoped(Teller.start(
        storage,
        sending(() => Effect.void),
        Effect.onInterrupt(Effect.never, () =>
          Effect.sync(() => {
            isOver = true
          }))
      ))
      expect(isOver).toBe(true)
    }))
})
