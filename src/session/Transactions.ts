/**
 * Steps that commit together with their entry: the work runs in a transaction of the storage's, and its
 * outcome is the very next entry of the journal, written in that transaction.
 *
 * One of a run is open at a time, and the session appends nothing meanwhile: an append that waited for the
 * transaction's connection while the transaction waited for the session would wait for ever. What else happens
 * in the run waits for a while; then the transaction is rolled back, and has its turn again behind that. Owns
 * the turns and the attempts; the session makes the entry, and takes it once it is committed.
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
  /** Called when a transaction wants to begin, has done its work, or is over. */
  readonly onChange: () => void
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

/** One transaction, from wanting its turn to its end. */
export class Turn {
  readonly pending: Pending
  readonly attempt: Attempt
  /** What the work gave, once it is done and waits for its entry. */
  done: { readonly value: unknown } | undefined
  /** Set when the entry is handed over, or there is none. */
  isHanded = false
  /** Set when it is over: whether it is committed. */
  end: { readonly isCommitted: boolean } | undefined
  /** How long others are to wait for it, in milliseconds. */
  readonly grace: number
  /** Rolls it back, to be run again. */
  preempt: () => void = () => {}
  private readonly onBegin: () => void
  private onEntry: ((entry: Stamped | undefined) => void) | undefined

  constructor(pending: Pending, attempt: Attempt, grace: number, onBegin: () => void) {
    this.pending = pending
    this.attempt = attempt
    this.grace = grace
    this.onBegin = onBegin
  }

  begin(): void {
    this.onBegin()
  }

  /** Says what the work gave; `onEntry` is called with the entry, or without one when there is none. */
  wait(value: unknown, onEntry: (entry: Stamped | undefined) => void): void {
    this.done = { value }
    this.onEntry = onEntry
  }

  hand(entry: Stamped | undefined): void {
    this.isHanded = true
    this.onEntry?.(entry)
  }
}

/** The session has no entry for it: it is rolled back, and the session ends. */
class Refused {
  readonly _tag = "Refused"
}

/** Others have waited for it long enough. */
class Preempted {
  readonly _tag = "Preempted"
}

/** How long others wait for a transaction; twice as long each time that it was rolled back for them. */
const graceMillis = 1_000

/** How often a transaction is tried again that was in the way of another, or lost its connection. */
const tries = { times: 12, schedule: Schedule.jittered(Schedule.exponential("10 millis", 1.8)) }

export class Transactions {
  /** Those that want to begin. */
  readonly waiting: Array<Turn> = []
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
    const { onBroken, onChange, stamp, writer: { transaction } } = this.o
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
      const own = Effect.tapError(work, (error) =>
        Effect.sync(() => {
          failed = { error }
        }))
      let preemptions = 0
      const grace = () => graceMillis * 2 ** preemptions
      const once = Effect.suspend(() => this.turn(pending, attempt, grace())).pipe(
        Effect.flatMap((turn) => {
          failed = undefined
          const entryFor = (made: unknown) => {
            value = made
            return Effect.callback<Stamped, Refused>((resume) => {
              turn.wait(
                made,
                (entry) =>
                  resume(entry === undefined ? Effect.fail(new Refused()) : Effect.succeed(entry))
              )
              onChange()
            })
          }
          const preempted = Effect.callback<never, Preempted>((resume) => {
            const preempt = () => resume(Effect.fail(new Preempted()))
            turn.preempt = preempt
          })
          return Effect.raceFirst(transaction(own, stamp, entryFor), preempted).pipe(
            Effect.onExit((exit) =>
              Effect.sync(() => {
                turn.end = { isCommitted: Exit.isSuccess(exit) && exit.value }
                onChange()
              })
            )
          )
        })
      )
      const inTurn = Effect.retry(once, {
        while: (error) => {
          const isPreempted = error instanceof Preempted
          if (isPreempted) preemptions++
          return isPreempted
        }
      })
      const isOwn = (error: unknown) => failed !== undefined && failed.error === error
      return Effect.retry(inTurn, {
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
            if (!(error.value instanceof Refused)) {
              onBroken(error.value as StorageError | JournalCorrupt)
            }
            return Effect.never
          }
        })
      )
    })
  }

  /** Waits until the session lets it begin. */
  private turn(pending: Pending, attempt: Attempt, grace: number): Effect.Effect<Turn> {
    return Effect.callback<Turn>((resume) => {
      const turn = new Turn(pending, attempt, grace, () => resume(Effect.succeed(turn)))
      this.waiting.push(turn)
      this.o.onChange()
      return Effect.sync(() => {
        // It was interrupted before it began, or as it began.
        turn.end ??= { isCommitted: false }
        const at = this.waiting.indexOf(turn)
        if (at >= 0) this.waiting.splice(at, 1)
        this.o.onChange()
      })
    })
  }
}
