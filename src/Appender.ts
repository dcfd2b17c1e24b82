/**
 * How a session's entries reach the storage: at once, in the background, or when the session ends.
 *
 * Owns what is journaled in memory and not yet durable. The order of entries never changes; what `async`
 * and `exit` risk is that the last of them are lost with the process.
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { StorageError } from "./Driver.ts"
import * as Failure from "./Failure.ts"
import { JournalCorrupt, type Stamp, type Stamped } from "./Journal.ts"
import type { Durability } from "./Replay.ts"
import { succeedTrue, type Writer } from "./Storage.ts"

type AppendError = StorageError | JournalCorrupt

export interface Options {
  readonly writer: Writer
  readonly stamp: Stamp
  readonly durability: Durability
  /** Called after an append was acknowledged. */
  readonly onAcknowledged: (entries: ReadonlyArray<Stamped>) => Effect.Effect<void> | undefined
  /** Called when an append in the background failed, or was beaten. */
  readonly onBroken: (error: AppendError | undefined) => void
}

export class Appender {
  private waiting: Array<Stamped> = []
  private flusher: Fiber.Fiber<void> | undefined
  private readonly o: Options

  constructor(options: Options) {
    this.o = options
  }

  /** How many entries are not durable yet. */
  get behind(): number {
    return this.waiting.length
  }

  /** Takes entries; durable when it returns if `now` is true. False when someone else wrote. */
  append(entries: ReadonlyArray<Stamped>, now: boolean): Effect.Effect<boolean, AppendError> {
    const { durability } = this.o
    if (durability === "sync") return entries.length === 0 ? succeedTrue : this.write(entries)
    for (const entry of entries) this.waiting.push(entry)
    if (now) return this.flush()
    return durability === "exit" || this.flusher !== undefined
      ? succeedTrue
      : Effect.as(this.startFlushing(), true)
  }

  /** Writes what is not durable yet. */
  flush(): Effect.Effect<boolean, AppendError> {
    return Effect.suspend(() =>
      this.flusher !== undefined
        ? Effect.andThen(Fiber.await(this.flusher), this.flush())
        : this.waiting.length === 0
        ? succeedTrue
        : this.write(this.waiting.splice(0))
    )
  }

  private write(entries: ReadonlyArray<Stamped>): Effect.Effect<boolean, AppendError> {
    const appended = this.o.writer.append(this.o.stamp, entries)
    return appended === succeedTrue
      ? this.told(entries)
      : Effect.flatMap(appended, (isMine) => isMine ? this.told(entries) : Effect.succeed(false))
  }

  private told(entries: ReadonlyArray<Stamped>): Effect.Effect<boolean> {
    const told = this.o.onAcknowledged(entries)
    return told === undefined ? succeedTrue : Effect.as(told, true)
  }

  private startFlushing(): Effect.Effect<void> {
    const loop: Effect.Effect<void> = Effect.suspend(() => {
      const entries = this.waiting.splice(0)
      if (entries.length === 0) {
        this.flusher = undefined
        return Effect.void
      }
      return Effect.matchCauseEffect(this.write(entries), {
        onFailure: (cause) => this.broken(this.toError(cause)),
        onSuccess: (isMine) => isMine ? loop : this.broken(undefined)
      })
    })
    // Entries that were taken are written, whatever becomes of the session's fiber.
    return Effect.map(Effect.forkDetach(Effect.uninterruptible(loop)), (fiber) => {
      this.flusher = fiber
    })
  }

  private toError(cause: Cause.Cause<AppendError>): AppendError {
    const { error } = Failure.ofCause(cause)
    return error instanceof StorageError || error instanceof JournalCorrupt
      ? error
      : new StorageError({ reason: "Unknown", doing: "append in the background", cause: error })
  }

  private broken(error: AppendError | undefined): Effect.Effect<void> {
    return Effect.sync(() => {
      this.flusher = undefined
      this.waiting.length = 0
      this.o.onBroken(error)
    })
  }
}
