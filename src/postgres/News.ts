/**
 * What is told on the channel: who tells it, and of which runs, a line each.
 *
 * No transaction that appends tells by itself, since the server commits those that do one by one. A run is told of
 * behind its commit, together with whatever else there is to tell by then. What is never told, because the process
 * dies in between, the others find when they look.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { Storage } from "../index.ts"
import { randomText } from "../RunId.ts"
import * as Batches from "./Batches.ts"

/** Of the 8,000 bytes that the server takes at most, those for ids, which are ASCII. */
const room = 7_900

export const make = (
  notify: (payload: string) => Effect.Effect<unknown, Storage.StorageError>
) => {
  /** In front of all that this process tells. */
  const sender = `${randomText(8)}\n`
  const all = Batches.make<string, void>({
    send: (runIds) => Effect.as(notify(sender + runIds.join("\n")), runIds.map(() => {})),
    underWay: 1,
    keyOf: (runId) => runId,
    sizeOf: (runId) => runId.length + 1,
    room
  })
  /** Tells of a run, and waits until that is done. */
  const tell = (runId: string): Effect.Effect<void> => Effect.ignore(all(runId))
  const pending = new Set<Fiber.Fiber<void>>()
  return {
    sender,
    tell,
    /** Tells of a run soon. */
    tellLater: (runId: string): void => {
      const fiber = Effect.runFork(tell(runId))
      pending.add(fiber)
      fiber.addObserver(() => pending.delete(fiber))
    },
    /** Waits until all has been told. */
    told: Effect.suspend(() => Fiber.awaitAll(pending)),
    /** The runs that somebody else tells of: of its own, everybody in this process has heard. */
    heard: (payload: string): ReadonlyArray<string> =>
      payload.startsWith(sender) ? [] : payload.split("\n").slice(1)
  }
}
