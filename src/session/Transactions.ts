/**
 * Steps that commit together with their entry: the work runs in a transaction of the storage's, waits there
 * until the session can journal its outcome as the very next entry, and both are committed at once.
 *
 * Owns the waiting and the attempts; the session makes the entry, and takes it once it is committed.
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schedule from "effect/Schedule"
import { StorageError } from "../Driver.ts"
import type { JournalCorrupt, Stamp, Stamped } from "../Journal.ts"
import type { Pending } from "../Machine.ts"
import type { Writer } from "../Storage.ts"

export interface Options {
  readonly writer: Writer
  readonly stamp: Stamp
  /** Called when one waits for its entry. */
  readonly onWaiting: () => void
  /** Called when nothing can be written any more; without an error when someone else wrote. */
  readonly onBroken: (error: StorageError | JournalCorrupt | undefined) => void
}

/** An attempt of a step. */
export interface Attempt {
  /** How many there were with this one. */
  readonly attempts: number
  /** UTC milliseconds of the first one's start. */
  readonly began: number
}

/** Work that is done, in a transaction that is still open. */
export interface Done extends Attempt {
  readonly pending: Pending
  readonly value: unknown
  /** Commits with this entry; false when it was rolled back. */
  readonly commit: (entry: Stamped) => Effect.Effect<boolean>
}

interface Waiting extends Done {
  /** Called once when the transaction is over. */
  ended: (isCommitted: boolean) => void
}

/** How often a transaction is tried again that was in the way of another, or lost its connection. */
const tries = { times: 12, schedule: Schedule.jittered(Schedule.exponential("10 millis", 1.8)) }

export class Transactions {
  readonly waiting: Array<Done> = []
  private readonly o: Options

  constructor(options: Options) {
    this.o = options
  }

  /** Runs one attempt of a step; it succeeds when its entry is committed with it. */
  run(
    pending: Pending,
    work: Effect.Effect<unknown, unknown>,
    attempt: Attempt
  ): Effect.Effect<unknown, unknown> {
    const { onBroken, stamp, writer: { transaction } } = this.o
    if (transaction === undefined) {
      onBroken(
        new StorageError({
          reason: "Unsupported",
          doing: `commit step "${pending.id}"`,
          cause: new Error(
            "the storage has no transactions: use SqliteStorage or PostgresStorage, or ctx.step"
          )
        })
      )
      return Effect.never
    }
    return Effect.suspend(() => {
      let failed: { readonly error: unknown } | undefined
      let value: unknown
      let waits: Waiting | undefined
      const own = work.pipe(
        Effect.tap((made) =>
          Effect.sync(() => {
            value = made
          })
        ),
        Effect.tapError((error) =>
          Effect.sync(() => {
            failed = { error }
          })
        )
      )
      const once = Effect.suspend(() => {
        failed = undefined
        waits = undefined
        return transaction(own, stamp, (made) =>
          this.turn(pending, made, attempt, (waiting) => {
            waits = waiting
          }))
      }).pipe(
        Effect.onExit((exit) => Effect.sync(() => waits?.ended(Exit.isSuccess(exit) && exit.value)))
      )
      const isOwn = (error: unknown) => failed !== undefined && failed.error === error
      return Effect.retry(once, {
        ...tries,
        while: (error) => !isOwn(error) && error instanceof StorageError && error.isRetryable
      }).pipe(
        Effect.matchCauseEffect({
          onSuccess: (isMine): Effect.Effect<unknown, unknown> => {
            if (isMine) return Effect.succeed(value)
            onBroken(undefined)
            return Effect.never
          },
          onFailure: (cause: Cause.Cause<unknown>) => {
            const error = Exit.findErrorOption(Exit.failCause(cause))
            if (error._tag === "None" || isOwn(error.value)) return Effect.failCause(cause)
            onBroken(error.value as StorageError | JournalCorrupt)
            return Effect.never
          }
        })
      )
    })
  }

  /** Waits until the session hands over the entry. */
  private turn(
    pending: Pending,
    value: unknown,
    attempt: Attempt,
    onWaiting: (waiting: Waiting) => void
  ): Effect.Effect<Stamped> {
    return Effect.callback<Stamped>((resume) => {
      const waiting: Waiting = {
        pending,
        value,
        ...attempt,
        ended: () => {},
        commit: (entry) =>
          Effect.uninterruptible(Effect.callback<boolean>((ended) => {
            waiting.ended = (isCommitted) => ended(Effect.succeed(isCommitted))
            resume(Effect.succeed(entry))
          }))
      }
      onWaiting(waiting)
      this.waiting.push(waiting)
      this.o.onWaiting()
      return Effect.sync(() => {
        const at = this.waiting.indexOf(waiting)
        if (at >= 0) this.waiting.splice(at, 1)
      })
    })
  }
}
