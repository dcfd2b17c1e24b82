/**
 * What a session is given, what it can fail with, and how it ends.
 */
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { CheckpointRejected } from "../Checkpoint.ts"
import type * as Codec from "../Codec.ts"
import type { Posted, StorageError } from "../Driver.ts"
import type { Driven, Seen } from "../Ending.ts"
import type { Recorded, Suspend } from "../Entry.ts"
import type { Hook, HookFailed } from "../Hooks.ts"
import type { JournalCorrupt, Stamp, Stamped } from "../Journal.ts"
import type { Live } from "../Live.ts"
import type { Machine } from "../Machine.ts"
import type { Begin, VersionMismatch } from "../Opening.ts"
import type { First } from "../Past.ts"
import type * as Record from "../Record.ts"
import type { RunExists, RunNotFound } from "../Refusals.ts"
import type * as Replay from "../Replay.ts"
import type { RunIdRejected } from "../RunId.ts"
import type { Storage, Writer } from "../Storage.ts"

/** Another session opened the run: this one stopped, appended nothing more, and its effects were interrupted. */
export class Fenced extends Schema.TaggedError<Fenced>("reprise/Fenced")("Fenced", {
  runId: Schema.String,
  session: Schema.Int
}) {
  override get message(): string {
    return `Session ${this.session} of run "${this.runId}" lost the run to a newer session, which goes on with it. `
      + `Nothing acknowledged is lost. Wait for the end with join("${this.runId}"), or look with status.`
  }
}

export type SessionError =
  | StorageError
  | JournalCorrupt
  | Fenced
  | Replay.ReplayMismatch
  | Replay.BodyDefect
  | Replay.NotYielded
  | Codec.Unserializable
  | Codec.ValueTooLarge
  | HookFailed
  | CheckpointRejected
  // of a child
  | RunNotFound
  | RunExists
  | VersionMismatch
  | RunIdRejected

/** How a session ended. */
export type Conclusion =
  | { readonly _tag: "Ended"; readonly entry: Record.End }
  | { readonly _tag: "Suspended"; readonly entry: Suspend; readonly children: ReadonlyArray<Seen> }
  /** A hook stopped it behind the step. */
  | { readonly _tag: "Stopped"; readonly stepId: string; readonly context: unknown }
  /** It must not go on by itself. */
  | { readonly _tag: "Blocked"; readonly reason: string }
  /** Its own `start` was beaten: read again and decide again. */
  | { readonly _tag: "Beaten" }

export interface Options extends Record.Of {
  readonly storage: Storage["Service"]
  readonly writer: Writer
  readonly stamp: Stamp
  readonly machine: Machine
  readonly durability: Replay.Durability
  /** The accepted entries this session found. */
  readonly found: ReadonlyArray<Recorded>
  /** Opens the session: a `start`, and behind the first one of a copy what is copied. */
  readonly start: ReadonlyArray<Stamped>
  /** How the run was opened. */
  readonly first: First
  /** Whether the machine was made for this session. */
  readonly isFresh: boolean
  /** Hears of every step, the definition's first. */
  readonly hooks: ReadonlyArray<Hook>
  /** Posts found before the session opened, and where the inbox was read up to. */
  readonly news: ReadonlyArray<Posted>
  readonly cursor: string
  readonly leaseToken: string
  readonly live: Live
  /** How a child is driven, or its start recorded. */
  readonly drive: (
    program: Replay.Program,
    runId: string,
    begin: Begin
  ) => Effect.Effect<Driven, SessionError>
  readonly enqueue: (
    program: Replay.Program,
    runId: string,
    begin: Begin
  ) => Effect.Effect<void, SessionError>
}

/** A session that is over. */
export interface Ran {
  readonly conclusion: Conclusion
  /** Up to where the inbox was read. */
  readonly cursor: string
  /** How many outcomes it journaled. */
  readonly steps: { readonly done: number; readonly failed: number }
}

/** Why a run is blocked whose at-most-once steps have no known outcome. */
export const unknownReason = (steps: ReadonlyArray<string>): string =>
  `OutcomeUnknown: ${steps.map((id) => `"${id}"`).join(", ")}`

export const blocked = (steps: ReadonlyArray<string>): Conclusion => ({
  _tag: "Blocked",
  reason: unknownReason(steps)
})

/** Why a run is blocked whose journal has reached its limit. */
export const tooLong = "JournalTooLong"
