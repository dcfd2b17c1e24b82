/**
 * One storage and processes on it that come one after the other, each with a clock of its own.
 */
import { Clock, Context, Effect } from "effect"
import { Runs, Storage } from "reprise"
import { expect } from "vitest"
import type { Recorded } from "../../src/Entry.ts"
import { epoch, Simulation } from "./simulation.ts"
import { runId } from "./trial.ts"

type Replays = { readonly replay: (journal: any) => { readonly _tag: string } }

/** One storage, and processes on it, each of which has its own clock. */
export const lab = () => {
  const driver = Storage.memoryDriver()
  const at = <A, E>(millis: number, program: Effect.Effect<A, E, Storage.Storage>): A => {
    const simulation = new Simulation()
    simulation.pass(millis - epoch)
    return simulation.get(program, Context.make(Storage.Storage, Storage.make(driver)))
  }
  const journal = (id = runId) => at(epoch, Runs.journal(id))
  return {
    /** What a process comes to whose clock shows `millis` when it starts. */
    at,
    driver,
    journal,
    /** The same, and what its clock shows in the end. */
    timed: <A, E>(millis: number, program: Effect.Effect<A, E, Storage.Storage>) =>
      at(
        millis,
        Effect.flatMap(program, (value) =>
          Effect.map(Clock.currentTimeMillis, (now) => ({ value, now })))
      ),
    types: () => journal().entries.map(({ type }) => type),
    entry: <T extends Recorded["type"]>(type: T) =>
      journal().entries.filter((entry): entry is Extract<Recorded, { readonly type: T }> =>
        entry.type === type
      ),
    due: (millis: number) => at(epoch, Runs.due(millis)),
    /** What the code makes of the journal, after every prefix of it was seen to fit. */
    replayed: (workflow: Replays) => {
      const whole = journal()
      for (let n = 1; n < whole.entries.length; n++) {
        const prefix = { ...whole, entries: whole.entries.slice(0, n) }
        expect(workflow.replay(prefix)._tag).not.toMatch(/Diverged|Broke/)
      }
      return workflow.replay(whole)
    }
  }
}
