/**
 * The shadow replay: after a step, the journal is replayed from the top and compared with the body that
 * runs, so that code whose answers change is found at once and not after a deploy.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { StorageError } from "./Driver.ts"
import * as Ending from "./Ending.ts"
import type { JournalCorrupt } from "./Journal.ts"
import type { Machine } from "./Machine.ts"
import type { Of } from "./Record.ts"
import * as Replay from "./Replay.ts"
import type { Storage } from "./Storage.ts"

/** Up to so many entries every step is compared; of a longer journal every so many. */
const everyStep = 200
const sampled = 100

/** Whether a session compares at all. */
export const isOn = (of: Of): boolean => Context.get(of.services, Replay.Guard).shadow

const frontier = ({ outcome, pending }: Machine): string =>
  outcome !== undefined
    ? outcome.ok ? "the body has returned" : "the body has thrown"
    : `pending: ${[...pending.keys()].map((id) => `"${id}"`).join(", ")}`

/** Whether a journal of so many entries, of which the last `added` are new, is compared. */
export const isDue = (entries: number, added: number): boolean =>
  entries <= everyStep || entries % sampled < added

/** Fails when a replay of the journal does not come to where the machine stands. */
export const compare = (
  of: Of,
  storage: Storage["Service"],
  machine: Machine
): Effect.Effect<void, StorageError | JournalCorrupt | Replay.ReplayMismatch> =>
  Effect.gen(function*() {
    const { program, runId } = of
    const { entries, head } = (yield* storage.read(runId)).journal
    const again = Ending.machine(of, entries)
    if (again === undefined) return
    const offset = Replay.feed(again, entries)
    if (again.diverged !== undefined) {
      const { actual, expected } = Replay.mismatch(
        program,
        runId,
        again.diverged,
        offset ?? 0,
        () => undefined
      )
      return yield* new Replay.ReplayMismatch({
        runId,
        workflow: program.name,
        offset: offset ?? 0,
        expected,
        actual,
        shadow: true
      })
    }
    const now = frontier(machine), then = frontier(again)
    if (now === then) return
    return yield* new Replay.ReplayMismatch({
      runId,
      workflow: program.name,
      offset: head.offset,
      expected: now,
      actual: then,
      shadow: true
    })
  })
