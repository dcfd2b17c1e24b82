/**
 * A gate before every step: the steps of one run, let go one after the other in an order that a list of
 * choices decides, and written down.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { turn } from "./Clock.ts"
import type { Hook } from "./Layers.ts"

/** Which of several steps was let go. */
export interface Choice {
  readonly taken: number
  readonly of: number
}

/** The choices that come after these, depth first; none when these were the last. */
export const next = (choices: ReadonlyArray<Choice>): ReadonlyArray<Choice> => {
  const at = choices.findLastIndex(({ of, taken }) => taken + 1 < of)
  return at < 0 ? [] : [
    ...choices.slice(0, at),
    { taken: choices[at]!.taken + 1, of: choices[at]!.of }
  ]
}

/** So many turns in a row nothing must have happened before another step is let go. */
const quiet = 12

/** Holds every step until it is its turn. */
export class Gates {
  readonly order: Array<string> = []
  readonly choices: Array<Choice> = []
  private readonly held = new Map<string, Deferred.Deferred<void>>()
  private running = 0
  private moves = 0
  private readonly script: ReadonlyArray<number>

  constructor(script: ReadonlyArray<number>) {
    this.script = script
  }

  readonly hook: Hook = ({ runId, stepId }, work) =>
    Effect.gen({ self: this }, function*() {
      const id = `${runId} ${stepId}`
      const gate = yield* Deferred.make<void>()
      this.held.set(id, gate)
      this.moves++
      yield* Effect.onInterrupt(Deferred.await(gate), () =>
        Effect.sync(() => {
          if (this.held.get(id) === gate) this.held.delete(id)
          this.moves++
        }))
      this.order.push(stepId)
      this.running++
      return yield* Effect.ensuring(
        work,
        Effect.sync(() => {
          this.running--
          this.moves++
        })
      )
    })

  /** Lets one step go whenever nothing else can happen. */
  open(): Effect.Effect<never> {
    return Effect.gen({ self: this }, function*() {
      for (let turns = 0, unchanged = 0, seen = -1;; turns++) {
        yield* turn(turns)
        unchanged = seen === this.moves && this.running === 0 ? unchanged + 1 : 0
        seen = this.moves
        if (unchanged < quiet || this.held.size === 0) continue
        turns = unchanged = 0
        // By name: what is ready first must not matter.
        const ids = [...this.held.keys()].toSorted()
        const taken = ids.length === 1 ? 0 : this.choose(ids.length)
        const gate = this.held.get(ids[taken]!)!
        this.held.delete(ids[taken]!)
        this.moves++
        yield* Deferred.succeed(gate, undefined)
      }
    })
  }

  private choose(of: number): number {
    const taken = Math.min(this.script[this.choices.length] ?? 0, of - 1)
    this.choices.push({ taken, of })
    return taken
  }
}
