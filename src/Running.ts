/**
 * The effects of a session that run beside each other: starts them, collects what came out, interrupts
 * what was cancelled or lost. Knows no journal; the session decides what becomes of an outcome.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { Pending } from "./Machine.ts"
import * as Perform from "./Perform.ts"
import { stepOf } from "./Record.ts"

/** An outcome that waits to be taken. */
export interface Arrived {
  readonly pending: Pending
  readonly performed: Perform.Performed
  /** UTC milliseconds of its start. */
  readonly began: number
}

/** A repeated at-most-once attempt that waits for its intent to be journaled. */
export interface Asked {
  readonly pending: Pending
  readonly attempt: number
  /** Lets the attempt run. */
  readonly acknowledged: () => void
}

export interface Options {
  readonly clock: Clock.Clock
  readonly identity: (pending: Pending) => Perform.Identity
  /** Adds what surrounds a step: log annotations, a span. */
  readonly surround: (
    pending: Pending,
    effect: Effect.Effect<Perform.Performed>
  ) => Effect.Effect<Perform.Performed>
  /** Called when something has arrived. */
  readonly onArrival: () => void
}

/** How long interrupted effects may take to clean up before they are no longer waited for. */
const cleanUpMillis = 10_000

export class Running {
  arrived: Array<Arrived> = []
  asked: Array<Asked> = []
  private readonly fibers = new Map<
    string,
    { readonly pending: Pending; readonly fiber: Fiber.Fiber<void> }
  >()
  private readonly ending: Array<Fiber.Fiber<unknown>> = []
  private readonly o: Options

  constructor(options: Options) {
    this.o = options
  }

  /** Whether anything runs, or waits to be taken. */
  get isBusy(): boolean {
    return this.fibers.size > 0 || this.hasArrived
  }

  get hasArrived(): boolean {
    return this.arrived.length > 0 || this.asked.length > 0
  }

  /** Starts a step; what is over at once has arrived when this returns. */
  launch(pending: Pending): Effect.Effect<void> {
    return Effect.suspend(() => {
      const began = this.o.clock.currentTimeMillisUnsafe()
      const arrive = (performed: Perform.Performed) => {
        this.fibers.delete(pending.id)
        this.arrived.push({ pending, performed, began })
        this.o.onArrival()
      }
      const step = stepOf(pending)
      const identity = this.o.identity(pending)
      const called = isRepeatedOnce(pending)
        ? Perform.perform(step, identity, (attempt) => this.ask(pending, attempt))
        : Perform.call(step, identity)
      if (!Effect.isEffect(called)) {
        arrive(called)
        return Effect.void
      }
      const effect = Effect.map(this.o.surround(pending, called), arrive)
      return Effect.map(Effect.forkDetach(effect), (fiber) => {
        this.fibers.set(pending.id, { pending, fiber })
      })
    })
  }

  private ask(pending: Pending, attempt: number): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      this.asked.push({ pending, attempt, acknowledged: () => resume(Effect.void) })
      this.o.onArrival()
    })
  }

  /** Interrupts a step that was cancelled or lost; its outcome no longer counts. */
  drop(pending: Pending): void {
    const running = this.fibers.get(pending.id)
    if (running?.pending !== pending) return
    this.fibers.delete(pending.id)
    running.fiber.interruptUnsafe()
    this.ending.push(running.fiber)
  }

  /** Interrupts everything, and waits for its clean-up, but not for ever. */
  stop(others: ReadonlyArray<Fiber.Fiber<unknown>>): Effect.Effect<void> {
    const fibers = [
      ...others,
      ...this.ending,
      ...Array.from(this.fibers.values(), ({ fiber }) => fiber)
    ]
    return fibers.length === 0
      ? Effect.void
      : Effect.asVoid(Effect.timeoutOption(Fiber.interruptAll(fibers), cleanUpMillis))
  }
}

/** Whether the step's further attempts ask for an intent each, so that it cannot run in the session's own fiber. */
export const isRepeatedOnce = (pending: Pending): boolean => {
  const { delivery, retry } = stepOf(pending).options
  return delivery === "at-most-once" && retry !== undefined
}
