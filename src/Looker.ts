/**
 * Looks at a run from outside while its owner waits for effects, or has been busy for a second: for posts,
 * for a newer owner, and to keep the lease. At every post in this process, and at least once a second.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { Posted, StorageError } from "./Driver.ts"
import { hasMoved, type Seen } from "./Ending.ts"
import type * as Signal from "./internal/signal.ts"
import type { JournalCorrupt, Stamp } from "./Journal.ts"
import { LeaseTime } from "./Limits.ts"
import type { Storage, Writer } from "./Storage.ts"

/** How often the inbox and the journal's head are looked at. */
const lookMillis = 1_000
/** How often the lease is renewed while it holds. */
const renewalsPerLease = 3

export interface Options {
  readonly runId: string
  /** Raised when something is posted in this process. */
  readonly posted: Signal.Signal
  readonly storage: Storage["Service"]
  readonly writer: Writer
  readonly stamp: Stamp
  readonly leaseToken: string
  /** Up to where the owner has read the inbox, and what it has journaled. */
  readonly cursor: () => string
  readonly isKnown: (eventId: string) => boolean
  /** Called with what the owner has not seen. */
  readonly onNews: (news: ReadonlyArray<Posted>) => void
  /** Called when a newer session stands in the journal. */
  readonly onLost: () => void
  /** Called after every look. */
  readonly onLook: () => void
  /** Children that wait, as they were seen, and what is called when one of them has moved. */
  readonly children: () => ReadonlyArray<Seen>
  readonly onChild: () => void
}

/** Starts looking; ends when it is interrupted. */
export const start = (options: Options): Effect.Effect<Fiber.Fiber<never>> => {
  // The lease may have been taken long ago: the first look renews it.
  const renewed = { at: -Infinity }
  return Effect.suspend(() => lookAround(options, renewed)).pipe(
    // What a failed look would have seen is seen by the next one, or by the next append.
    Effect.catch(() => Effect.sleep(lookMillis)),
    Effect.forever,
    Effect.forkDetach
  )
}

/** A look, when there is reason for one. */
const lookAround = Effect.fnUntraced(
  function*(options: Options, renewed: { at: number }) {
    const { leaseToken, posted, runId, storage } = options
    yield* Effect.timeoutOption(posted.raised, lookMillis)
    posted.lower()
    const now = yield* Clock.currentTimeMillis
    if (now - renewed.at >= (yield* LeaseTime) / renewalsPerLease) {
      yield* storage.renew(runId, leaseToken)
      renewed.at = now
    }
    yield* look(options)
    options.onLook()
  }
)

const look = Effect.fnUntraced(
  function*(options: Options): Effect.fn.Return<void, StorageError | JournalCorrupt> {
    const { runId, stamp, storage, writer } = options
    if (yield* writer.hasMoved) {
      const { head } = (yield* storage.read(runId, "none")).journal
      const mine = head.incarnation === stamp.incarnation && head.session === stamp.session
        && head.writer === stamp.writer
      if (!mine) return options.onLost()
    }
    const { items } = yield* storage.inbox(runId, stamp.incarnation, options.cursor())
    const news = items.filter((posted) => !options.isKnown(posted.eventId))
    if (news.length > 0) options.onNews(news)
    for (const child of options.children()) {
      if (yield* hasMoved(storage, child)) return options.onChild()
    }
  }
)
