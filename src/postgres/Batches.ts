/**
 * Group commit: appends of several runs share one statement, and so one round trip and one commit.
 *
 * Whoever comes while a connection is free is sent at once; whoever comes while all are busy goes together
 * with the others that wait. A run's appends keep their order, since each waits for the one before.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Storage } from "../index.ts"
import type { Columns } from "../sql/Index.ts"

/** One append as a row of the statement. */
export interface Item extends Columns {
  readonly runId: string
  readonly at: string
  readonly lines: ReadonlyArray<string>
  readonly taken: ReadonlyArray<string>
}

type Answer = Exit.Exit<boolean, Storage.StorageError>

interface Waiting {
  readonly item: Item
  readonly done: (answer: Answer) => void
}

/** Appends the items that stand at their `at`; gives the ids of those runs. */
export type Send = (
  items: ReadonlyArray<Item>
) => Effect.Effect<ReadonlySet<string>, Storage.StorageError>

/** How many statements are under way at most: one that syncs, and one that is made ready meanwhile. */
const underWay = 2

/** How many characters of lines one statement carries, unless one append alone has more. */
const longest = 1_000_000

const sizeOf = ({ lines }: Item) => lines.reduce((sum, line) => sum + line.length, 0)

/** False when the run was not at `at`. */
export const make = (send: Send): (item: Item) => Effect.Effect<boolean, Storage.StorageError> => {
  let waiting: Array<Waiting> = []
  let busy = 0

  /** As many as one statement takes; a run is in it once. */
  const next = (): ReadonlyArray<Waiting> => {
    const batch: Array<Waiting> = []
    const later: Array<Waiting> = []
    const runs = new Set<string>()
    let size = 0
    for (const one of waiting) {
      const { runId } = one.item
      const added = sizeOf(one.item)
      if (runs.has(runId) || (batch.length > 0 && size + added > longest)) later.push(one)
      else {
        batch.push(one)
        runs.add(runId)
        size += added
      }
    }
    waiting = later
    return batch
  }

  const sendAll = (batch: ReadonlyArray<Waiting>): Effect.Effect<void> =>
    Effect.matchCauseEffect(send(batch.map(({ item }) => item)), {
      onSuccess: (appended) =>
        Effect.sync(() =>
          batch.forEach(({ done, item }) => done(Exit.succeed(appended.has(item.runId))))
        ),
      onFailure: (cause) => {
        const error = Exit.findErrorOption(Exit.failCause(cause))
        // One that cannot be written must not take the others with it.
        return batch.length > 1 && error._tag === "Some" && !error.value.isRetryable
          ? Effect.forEach(batch, (one) => sendAll([one]), { discard: true })
          : Effect.sync(() => batch.forEach(({ done }) => done(Exit.failCause(cause))))
      }
    })

  const pump = () => {
    while (busy < underWay && waiting.length > 0) {
      const batch = next()
      busy++
      Effect.runFork(sendAll(batch)).addObserver(() => {
        busy--
        pump()
      })
    }
  }

  return (item) =>
    Effect.uninterruptible(
      Effect.callback<boolean, Storage.StorageError>((resume) => {
        waiting.push({ item, done: resume })
        pump()
      })
    )
}
