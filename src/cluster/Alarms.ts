/**
 * When the cluster is to look for messages whose time has come, so that a timer goes off at its time and not at the
 * next poll. Only what is near is kept; the poll finds the rest, and all of a runner that died.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Signal from "../internal/signal.ts"

/** How far ahead an alarm is kept, and how many are. */
const horizonMillis = 60_000
const most = 10_000

/** Calls `ring` at every instant that was `set`, in UTC milliseconds, as long as the scope is open. */
export const make = (
  ring: Effect.Effect<void>
): Effect.Effect<{ readonly set: (at: number) => void }, never, Scope.Scope> =>
  Effect.gen(function*() {
    const clock = yield* Effect.clockWith(Effect.succeed)
    const signal = Signal.make()
    const times = new Set<number>()
    yield* Effect.forkScoped(Effect.forever(Effect.gen(function*() {
      signal.lower()
      const now = clock.currentTimeMillisUnsafe()
      let next = now + horizonMillis
      let isTime = false
      for (const at of times) {
        if (at <= now) {
          times.delete(at)
          isTime = true
        } else if (at < next) next = at
      }
      if (isTime) yield* ring
      yield* Effect.timeoutOption(signal.raised, next - now)
    })))
    return {
      set: (at) => {
        if (times.size >= most || at - clock.currentTimeMillisUnsafe() > horizonMillis) return
        times.add(at)
        signal.raise()
      }
    }
  })
