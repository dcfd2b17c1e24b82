/**
 * What the engine tells whoever watches it work: nothing by default. `RunLog` prints it.
 *
 * Observers see only what happens live, after it is durable; they cannot change anything, and a replay
 * is silent.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { Entry, Recorded } from "./Entry.ts"

export type RunEvent =
  /** A session opened; `replayed` are the entries it found. */
  | {
    readonly type: "session"
    readonly runId: string
    readonly workflow: string
    readonly session: number
    readonly replayed: ReadonlyArray<Recorded>
  }
  /** A step is about to run, or a child. */
  | {
    readonly type: "started"
    readonly runId: string
    readonly stepId: string
    readonly name: string
    readonly isChild?: true
  }
  /** An entry is durable. */
  | {
    readonly type: "entry"
    readonly runId: string
    readonly entry: Entry
    readonly timestamp: string
  }
  /** The session ended without an end or a suspension: fenced, blocked, broken, or without its storage. */
  | { readonly type: "left"; readonly runId: string; readonly why: string }

export type Observer = (event: RunEvent) => Effect.Effect<void>

/** Everyone who watches the runs of this process. */
export const Observers: Context.Reference<ReadonlyArray<Observer>> = Context.Reference(
  "reprise/Observers",
  {
    defaultValue: (): ReadonlyArray<Observer> => []
  }
)
