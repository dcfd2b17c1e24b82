/**
 * The effects of a session that run beside each other: starts them, collects what came out, interrupts
 * what was cancelled or lost. Knows no journal; the session decides what becomes of an outcome.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { Pending } from "./Machine.ts"

/** An outcome that waits to be taken. */
export interface Arrived<A> {
  readonly pending: Pending
  readonly outcome: A
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

/** How long interrupted effects may take to clean up before they are no longer waited for. */
export const cleanUpMillis = 10_000

export class Running<A> {
  arrived: Array<Arrived<A>> = []
  asked: Array<Asked> = []
  private readonly fibers = new Map<
    string,
    { readonly pending: Pending; readonly fiber: Fiber.Fiber<void> }
  >()
  private readonly ending: Array<Fiber.Fiber<unknown>> = []
  private readonly onArrival: () => void

  /** `onArrival` is called when something has arrived. */
  constructor(onArrival: () => void) {
    this.onArrival = onArrival
  }

  /** Whether anything runs, or waits to be taken. */
  get isBusy(): boolean {
    return this.fibers.size > 0 || this.hasArrived
  }

  get hasArrived(): boolean {
    return this.arrived.length > 0 || this.asked.length > 0
  }

  has(pending: Pending): boolean {
    return this.fibers.get(pending.id)?.pending === pending
  }

  /** Takes an outcome that is there already. */
  arrive(pending: Pending, outcome: A, began: number): void {
    this.fibers.delete(pending.id)
    this.arrived.push({ pending, outcome, began })
    this.onArrival()
  }

  /** Runs an effect whose value is the outcome. */
  launch(pending: Pending, effect: Effect.Effect<A>, began: number): Effect.Effect<void> {
    const whole = Effect.map(effect, (outcome) => this.arrive(pending, outcome, began))
    return Effect.map(Effect.forkDetach(whole), (fiber) => {
      this.fibers.set(pending.id, { pending, fiber })
    })
  }

  /** Asks for an intent of a further attempt; succeeds once it is durable. */
  ask(pending: Pending, attempt: number): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      this.asked.push({ pending, attempt, acknowledged: () => resume(Effect.void) })
      this.onArrival()
    })
  }

  /** Interrupts what was cancelled or lost; its outcome no longer counts. */
  drop(pending: Pending): void {
    const fiber = this.release(pending)
    if (fiber === undefined) return
    fiber.interruptUnsafe()
    this.ending.push(fiber)
  }

  /** Lets something run on by itself: nobody waits for it any more. */
  release(pending: Pending): Fiber.Fiber<void> | undefined {
    const running = this.fibers.get(pending.id)
    if (running?.pending !== pending) return undefined
    this.fibers.delete(pending.id)
    return running.fiber
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
