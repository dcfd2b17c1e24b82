/**
 * What is told on the channel: who tells it, and of which runs, a line each.
 *
 * No transaction that appends tells by itself, since the server commits those that do one by one, and wakes every
 * process for each. A run is told of behind its commit: at once, or a moment after what was told last, together with
 * all that there is by then. What is never told, because the process dies in between, the others find when they look.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { Storage } from "../index.ts"
import { randomText } from "../RunId.ts"

/** Of the 8,000 bytes that the server takes at most, those for ids, which are ASCII. */
const room = 7_900

const moment = "5 millis"

export const make = (
  notify: (payload: string) => Effect.Effect<unknown, Storage.StorageError>
) => {
  /** In front of all that this process tells. */
  const sender = `${randomText(8)}\n`
  const waiting = new Set<string>()
  let resting: Fiber.Fiber<void> | undefined

  /** As many as there is room for. */
  const take = (): string => {
    let payload = sender
    for (const runId of waiting) {
      if (payload.length + runId.length >= room) break
      waiting.delete(runId)
      payload += `${runId}\n`
    }
    return payload.slice(0, -1)
  }
  const tellAll: Effect.Effect<void> = Effect.suspend(() =>
    waiting.size === 0 ? Effect.void : Effect.andThen(Effect.ignore(notify(take())), tellAll)
  )
  const rest: Effect.Effect<void> = Effect.andThen(
    Effect.sleep(moment),
    Effect.suspend(() => {
      if (waiting.size > 0) return Effect.andThen(Effect.uninterruptible(tellAll), rest)
      resting = undefined
      return Effect.void
    })
  )
  return {
    sender,
    /** Tells of a run, and waits for that unless others are told of soon. */
    tell: (runId: string): Effect.Effect<void> =>
      Effect.uninterruptible(Effect.suspend(() => {
        waiting.add(runId)
        if (resting !== undefined) return Effect.void
        resting = Effect.runFork(rest)
        return tellAll
      })),
    /** Tells all that is left, and ends. */
    told: Effect.suspend(() =>
      Effect.andThen(tellAll, resting === undefined ? Effect.void : Fiber.interrupt(resting))
    ),
    /** The runs that somebody else tells of: of its own, everybody in this process has heard. */
    heard: (payload: string): ReadonlyArray<string> =>
      payload.startsWith(sender) ? [] : payload.split("\n").slice(1)
  }
}
