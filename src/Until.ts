/**
 * Waiting until something is so of a run, whoever makes it so.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Changed } from "./Driver.ts"
import * as Signal from "./internal/signal.ts"
import type { Status } from "./Status.ts"
import { Storage } from "./Storage.ts"

/** How often a storage that cannot tell of all changes is looked at. */
const pollMillis = 250

/** Other processes do not live by a clock that a test has swapped. */
const realClock = Clock.Clock.defaultValue()

export interface Until {
  /** UTC milliseconds at which to check in any case. */
  readonly wakeAt?: number | undefined
  /** Whether what is checked may change without a change of the runs: a lease runs out. */
  readonly polls?: boolean | undefined
  /** Which changes of the runs are a reason to check; default: all. */
  readonly after?: ((what: Changed, ended?: Status) => boolean) | undefined
}

/**
 * Succeeds when `check` does: checks now, after every change of the runs, at `wakeAt`, and four times a
 * second where there are changes that nobody tells of.
 */
export const until: <E>(
  runIds: ReadonlyArray<string>,
  check: Effect.Effect<boolean, E, Storage>,
  options?: Until
) => Effect.Effect<void, E, Storage> = Effect.fnUntraced(
  function*(runIds, check, { after = anyChange, polls = false, wakeAt = Infinity } = {}) {
    const storage = yield* Storage
    const clock = yield* Effect.clockWith(Effect.succeed)
    const signal = Signal.make()
    const onChange = (what: Changed, ended?: Status) => {
      if (after(what, ended)) signal.raise()
    }
    const unwatch = runIds.map((runId) => storage.watch(runId, onChange))
    const polled = Effect.asVoid(Effect.timeoutOption(signal.raised, pollMillis))
    const changed = polls
      ? polled
      : storage.seesAll
      ? signal.raised
      : Effect.provideService(polled, Clock.Clock, realClock)
    const wakeUp = { at: wakeAt }
    const { wakeUps } = storage.live.activity
    if (wakeAt < Infinity) wakeUps.add(wakeUp)
    const stop = Effect.sync(() => {
      wakeUps.delete(wakeUp)
      for (const stop of unwatch) stop()
    })
    yield* Effect.ensuring(checking(check, { changed, clock, signal, wakeAt }), stop)
  }
)

const anyChange = () => true

interface Checking {
  readonly changed: Effect.Effect<void>
  readonly clock: Clock.Clock
  readonly signal: Signal.Signal
  readonly wakeAt: number
}

const checking: <E>(
  check: Effect.Effect<boolean, E, Storage>,
  options: Checking
) => Effect.Effect<void, E, Storage> = Effect.fnUntraced(
  function*(check, { changed, clock, signal, wakeAt }) {
    for (;;) {
      signal.lower()
      const rest = wakeAt - clock.currentTimeMillisUnsafe()
      if (yield* check) return
      yield* rest === Infinity || rest <= 0 ? changed : Effect.timeoutOption(changed, rest)
    }
  }
)
