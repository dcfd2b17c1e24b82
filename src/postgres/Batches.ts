/**
 * What several runs ask at about the same time goes in one statement, and so in one round trip and one
 * commit: group commit for appends, and the same for what a session reads and claims.
 *
 * Whoever comes while few statements are under way is sent at once, and whoever is all alone from its own
 * fiber; whoever comes later goes together with the others that wait. A run's appends keep their order, since
 * each waits for the one before.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Storage } from "../index.ts"

export interface Options<Item, Answer> {
  /** Asks for all of `items` at once; gives as many answers, in their order. */
  readonly send: (
    items: ReadonlyArray<Item>
  ) => Effect.Effect<ReadonlyArray<Answer>, Storage.StorageError>
  /** How many statements are under way at most. */
  readonly underWay: number
  /** Two with one key are never in one statement. */
  readonly keyOf: (item: Item) => string
  /** How much of a statement's `room` an item takes; a first one always fits. */
  readonly sizeOf: (item: Item) => number
  readonly room: number
}

interface Waiting<Item, Answer> {
  readonly item: Item
  readonly done: (answer: Exit.Exit<Answer, Storage.StorageError>) => void
}

export const make = <Item, Answer>(
  { keyOf, room, send, sizeOf, underWay }: Options<Item, Answer>
): (item: Item) => Effect.Effect<Answer, Storage.StorageError> => {
  let waiting: Array<Waiting<Item, Answer>> = []
  let busy = 0

  /** As many as one statement takes, in the order in which they came. */
  const next = (): ReadonlyArray<Waiting<Item, Answer>> => {
    const batch: Array<Waiting<Item, Answer>> = []
    const later: Array<Waiting<Item, Answer>> = []
    const keys = new Set<string>()
    let size = 0
    for (const one of waiting) {
      const key = keyOf(one.item)
      const added = sizeOf(one.item)
      if (keys.has(key) || (batch.length > 0 && size + added > room)) later.push(one)
      else {
        batch.push(one)
        size += added
      }
      // What came later for the same key stays behind it.
      keys.add(key)
    }
    waiting = later
    return batch
  }

  const sendAll = (batch: ReadonlyArray<Waiting<Item, Answer>>): Effect.Effect<void> =>
    Effect.matchCauseEffect(send(batch.map(({ item }) => item)), {
      onSuccess: (answers) =>
        Effect.sync(() => batch.forEach(({ done }, i) => done(Exit.succeed(answers[i]!)))),
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
      Effect.runFork(sendAll(batch)).addObserver(freed)
    }
  }

  const freed = () => {
    busy--
    pump()
  }
  const alone = (item: Item) => {
    busy++
    return Effect.ensuring(Effect.map(send([item]), ([answer]) => answer!), Effect.sync(freed))
  }
  const withOthers = (item: Item) =>
    Effect.callback<Answer, Storage.StorageError>((resume) => {
      waiting.push({ item, done: resume })
      pump()
    })
  return (item) =>
    Effect.uninterruptible(Effect.suspend(() => busy === 0 ? alone(item) : withOthers(item)))
}
