/**
 * Sends what this process enqueues and posts to whoever drives it: a message for each run that it is told of, beside
 * each other, so that a runner that does not answer keeps none of the others waiting. What is lost here is found by
 * the reconciler.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type { Storage } from "../index.ts"
import type { Sender } from "./RunEntity.ts"

/** How long a message may take. It is stored at once; then a runner is told, which may be frozen. */
const patience = "5 seconds"
const again = Schedule.jittered(Schedule.exponential("50 millis"))

/** How many messages are under way at once. */
const concurrency = 64

/** Tells one run's entity to look, and says so if it cannot. */
export const tell = (sender: Sender, runId: string): Effect.Effect<void> =>
  sender.drive(runId).pipe(
    Effect.retry({ schedule: again, times: 5 }),
    Effect.timeout(patience),
    Effect.catchCause((cause) =>
      Effect.logWarning(`Nobody could be told of run "${runId}": it is found later`, cause)
    )
  )

/** Tells of many. */
export const tellAll = (sender: Sender, runIds: Iterable<string>): Effect.Effect<void> =>
  Effect.forEach(runIds, (runId) => tell(sender, runId), { concurrency, discard: true })

/**
 * Tells of all that this process enqueues or posts to, as long as the scope is open; closing it waits for what is under
 * way. `found` succeeds when it is known where the runners are.
 */
export const start = (
  storage: Storage.Storage["Service"],
  sender: Sender,
  found: Effect.Effect<void> = Effect.void
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function*() {
    // Not in the caller's fiber: it may have a transaction open, or be over soon.
    const fork = Effect.runForkWith(yield* Effect.context<never>())
    const places = Semaphore.makeUnsafe(concurrency)
    const waiting = new Set<string>()
    const underWay = new Set<Fiber.Fiber<void>>()
    const finding = fork(found)
    const hear = (runId: string) => {
      // Its message is not sent yet, and is news of this too.
      if (waiting.has(runId)) return
      waiting.add(runId)
      const told = places.withPermits(1)(Effect.suspend(() => {
        waiting.delete(runId)
        return tell(sender, runId)
      }))
      const fiber = fork(Effect.andThen(Fiber.await(finding), told))
      underWay.add(fiber)
      fiber.addObserver(() => underWay.delete(fiber))
    }
    yield* Effect.acquireRelease(
      Effect.sync(() => localHints(storage, hear)),
      (unhear) =>
        Effect.suspend(() => {
          unhear()
          // A process that enqueues and ends: its message is to arrive, and not to lie about until the next poll.
          return Effect.andThen(
            Fiber.awaitAll(Array.from(underWay)),
            Fiber.interrupt(finding)
          )
        })
    )
  })

/** Hears of what this process did. What others did they tell of themselves, if they are of the cluster. */
const localHints = (storage: Storage.Storage["Service"], onHint: (runId: string) => void) => {
  let others: string | undefined
  // It was there first, so it is called first.
  const stopOthers = storage.driver.hints?.((runId) => {
    others = runId
  })
  const stop = storage.hints((runId) => {
    if (others === runId) others = undefined
    else onHint(runId)
  })
  return () => {
    stop()
    stopOthers?.()
  }
}
