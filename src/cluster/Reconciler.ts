/**
 * Finds what nobody told of: runs whose message was lost, whose runner or client died, or that were enqueued by a
 * process that is not of the cluster. One runner at a time looks at all that is due and tells of it.
 *
 * A run that stays due is told of less and less often, so that one that cannot go on costs next to nothing.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type { Storage } from "../index.ts"
import { describe } from "../internal/describe.ts"
import type { Sender } from "./RunEntity.ts"
import { tellAll } from "./Teller.ts"

export interface Looks {
  /** UTC milliseconds of the last one. */
  lookedAt: number | undefined
  /** Why the last one failed. */
  failure: string | undefined
}

/** How many runs one look tells of; the next one follows at once if there were more. */
const most = 1_000

/** How long a run is left alone that stays due: first, and at most. */
const firstPause = Duration.toMillis("5 seconds")
const longestPause = Duration.toMillis("1 minute")

interface Told {
  readonly times: number
  /** When it may be told of again; UTC milliseconds. */
  readonly next: number
}

/** Looks for ever, every `poll` or so, and leaves in `looks` how that went. */
export const loop = (
  storage: Storage.Storage["Service"],
  sender: Sender,
  poll: Duration.Input,
  looks: Looks
): Effect.Effect<never> =>
  Effect.gen(function*() {
    const clock = yield* Effect.clockWith(Effect.succeed)
    const pollMillis = Duration.toMillis(Duration.fromInputUnsafe(poll))
    const known = new Map<string, Told>()
    // Whoever looked before may have died, together with much else.
    let isFirst = true

    /** Gives whether there was more. */
    const look = Effect.gen(function*() {
      const now = clock.currentTimeMillisUnsafe()
      const due = yield* storage.due(now)
      const isDue = new Set(due)
      for (const runId of known.keys()) if (!isDue.has(runId)) known.delete(runId)
      const open: Array<string> = []
      for (const runId of due) {
        const told = known.get(runId)
        // One that is due for the first time has most likely just been told of.
        if (told === undefined && !isFirst) known.set(runId, { times: 0, next: now })
        else if ((told?.next ?? now) <= now) open.push(runId)
      }
      isFirst = false
      const chosen = open.slice(0, most)
      for (const runId of chosen) {
        const times = known.get(runId)?.times ?? 0
        const pause = Math.min(longestPause, firstPause * 2 ** times)
        known.set(runId, { times: times + 1, next: now + pause })
      }
      looks.lookedAt = now
      looks.failure = undefined
      yield* tellAll(sender, chosen)
      return open.length > chosen.length
    })

    return yield* Effect.forever(Effect.gen(function*() {
      const hasMore = yield* Effect.catchCause(look, (cause) => {
        if (Cause.hasInterruptsOnly(cause)) return Effect.interrupt
        looks.failure = describe(Cause.squash(cause)).message
        return Effect.succeed(false)
      })
      const jitter = 0.8 + 0.4 * (yield* Random.next)
      yield* Effect.sleep(hasMore ? 100 : pollMillis * jitter)
    }))
  })
