/**
 * What a server tells of runs that somebody here waits for: one stream a run, however many wait, for as long as they do.
 *
 * Nobody has to look again by himself: a stream that breaks or falls silent is opened anew, which is a reason to look, as it
 * is when that fails.
 * Of what is under way only those are told who stream it; whoever waits for an end would ask for the journal each time.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as RcMap from "effect/RcMap"
import * as Stream from "effect/Stream"
import { makeWatchers } from "../Driver.ts"
import type { Registry } from "../Live.ts"
import * as Status from "../Status.ts"
import type { Storage } from "../Storage.ts"
import type { Client } from "./Client.ts"

/** A server says something at least every 15 seconds. */
const silence = "40 seconds"

/** How long one is kept that nobody waits for: who follows a run waits again and again. */
const kept = "1 second"

/** Changes that come closer together are told as one. */
const pace = "250 millis"

/** Milliseconds until it is opened anew; longer each time. */
const shortest = 250
const longest = 5_000

/** Servers do not live by a clock that a test has swapped. */
const realClock = Clock.Clock.defaultValue()

export interface Following {
  readonly watch: Storage["Service"]["watch"]
  /** Where the run stood when the server spoke of it last, while it is followed. */
  readonly version: (runId: string) => string | undefined
  /** Something of the run was read, which the server may be yet to tell of. */
  readonly saw: (status: Status.Status) => void
  readonly forget: (runId: string) => void
}

/** Tells one state of a journal from another. */
export const versionOf = ({ createdAt, entries, updatedAt }: Status.Status): string =>
  entries === 0 ? "" : `${createdAt} ${entries} ${updatedAt}`

export const make = Effect.fnUntraced(function*({ runs }: Pick<Client, "runs">, live: Registry) {
  const { changed, watch } = makeWatchers<Status.Status>()
  const known = new Map<string, Status.Status>()
  const run = yield* FiberSet.makeRuntime<never>()

  const saw = (status: Status.Status) => {
    const before = known.get(status.runId)
    // What was read in between may be newer.
    const isOld = before?.createdAt === status.createdAt && before.entries > status.entries
    if (!isOld) known.set(status.runId, status)
  }

  /** Puts what the run published where those find it who stream its changes. */
  const publish = ({ progress, runId, steps }: Status.Status) => {
    const held = live.get(runId)
    if (held === undefined) return
    const isSame = held.running === steps.running
      && Object.entries(progress).every(([channel, published]) =>
        JSON.stringify(held.progress[channel]) === JSON.stringify(published)
      )
    if (isSame) return
    held.running = steps.running
    Object.assign(held.progress, progress)
    held.version++
  }

  /** What became of one stream: it was never opened, or it broke off, or it told of the end. */
  const once = Effect.fnUntraced(function*(runId: string) {
    let became: "absent" | "broken" | "ended" = "absent"
    const take = (status: Status.Status) => {
      const isFirst = became === "absent"
      became = "broken"
      // It may tell of the run that this one went on as.
      if (status.runId !== runId || Status.isEnded(status)) became = "ended"
      if (status.runId === runId) {
        saw(status)
        publish(status)
      } else known.delete(runId)
      // An end is not kept waiting, nor what has changed until it was opened.
      if (became === "ended") changed(runId, "end")
      else if (isFirst) changed(runId, "inbox")
    }
    yield* runs.changes({ params: { runId } }).pipe(
      Effect.flatMap((changes) =>
        changes.pipe(
          Stream.timeout(silence),
          Stream.tap((status) => Effect.sync(() => take(status))),
          Stream.buffer({ capacity: 1, strategy: "sliding" }),
          Stream.runForEach(() => {
            if (live.get(runId) !== undefined) changed(runId, "journal")
            return Effect.sleep(pace)
          })
        )
      ),
      Effect.exit
    )
    known.delete(runId)
    return became as "absent" | "broken" | "ended"
  })

  const follow = Effect.fnUntraced(function*(runId: string) {
    let pause = shortest / 2
    for (;;) {
      const became = yield* once(runId)
      // Whoever asks now is told why.
      if (became === "absent") changed(runId, "inbox")
      pause = became === "ended"
        ? longest
        : became === "broken"
        ? shortest
        : Math.min(longest, pause * 2)
      yield* Effect.sleep(pause)
    }
  })

  const followed = yield* RcMap.make({
    lookup: (runId: string) =>
      Effect.andThen(
        Effect.addFinalizer(() => Effect.sync(() => known.delete(runId))),
        Effect.forkScoped(follow(runId))
      ),
    idleTimeToLive: kept
  })

  const following: Following = {
    watch: (runId, onChange) => {
      const unwatch = watch(runId, onChange)
      const fiber = run(
        Effect.andThen(RcMap.get(followed, runId), Effect.never).pipe(
          Effect.scoped,
          Effect.provideService(Clock.Clock, realClock)
        )
      )
      return () => {
        unwatch()
        fiber.interruptUnsafe()
      }
    },
    version: (runId) => {
      const status = known.get(runId)
      return status === undefined ? undefined : versionOf(status)
    },
    saw: (status) => {
      if (known.has(status.runId)) saw(status)
    },
    forget: (runId) => void known.delete(runId)
  }
  return following
})
