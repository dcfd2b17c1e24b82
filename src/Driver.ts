/**
 * The contract between storages and the engine, in strings: what a driver implements, its errors, and
 * helpers for drivers without an index or notifications of their own.
 *
 * A driver stores and never decides: it knows nothing of steps, schemas or replay.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { describe } from "./internal/describe.ts"
import type { Head, JournalCorrupt } from "./Journal.ts"
import type * as Status from "./Status.ts"

// ---------------------------------------------------------------------------------------------------
// errors

/**
 * Why a storage failed:
 * - `Unavailable`: it did not answer, or not in time; trying again may work
 * - `Full`: no space, no quota or no descriptors left
 * - `Denied`: a permission, a symbolic link where none is allowed, or not a directory
 * - `Unsupported`: this storage cannot do what was asked
 * - `Unknown`: anything else; whether a write arrived is not known
 */
export const Reason = Schema.Literals(["Unavailable", "Full", "Denied", "Unsupported", "Unknown"])

/** The storage failed. Nothing that was not on it before may be taken as saved. */
export class StorageError
  extends Schema.TaggedError<StorageError>("reprise/StorageError")("StorageError", {
    reason: Reason,
    /** What was attempted, as in `append to run "r1"`. */
    doing: Schema.String,
    cause: Schema.Defect()
  })
{
  override get message(): string {
    return `Could not ${this.doing}: ${describe(this.cause).message}. ${advice[this.reason]}`
  }
  /** Whether sending the same again may help. */
  get isRetryable(): boolean {
    return this.reason === "Unavailable"
  }
}

const advice: Record<typeof Reason.Type, string> = {
  Unavailable: "The run is unharmed; try again.",
  Full:
    "The run is unharmed and stays where its last acknowledged entry left it; free some space, then resume it.",
  Denied:
    "Check that the storage exists and lets this user write, and that the keys are the right ones; nothing was written.",
  Unsupported: "Nothing was written.",
  Unknown:
    "The run stays where its last acknowledged entry left it; resume it once the storage works."
}

/** The journal is no longer where the writer thought it was: someone else wrote. Read it again. */
export class Moved
  extends Schema.TaggedError<Moved>("reprise/Moved")("Moved", { runId: Schema.String })
{}

// ---------------------------------------------------------------------------------------------------
// what is stored beside journals

interface Post {
  /** A repeat of an id is no news. */
  readonly eventId: string
  /** Of the run it was posted to: a run of the same id made later does not get it. */
  readonly incarnation: string
  /** ISO 8601, UTC. */
  readonly timestamp: string
}

/** Something posted to a run by anyone; its owner journals it. */
export type Posted =
  | Post & {
    readonly type: "event"
    readonly eventName: string
    readonly key?: string
    readonly value?: Schema.Json
  }
  | Post & { readonly type: "cancel"; readonly reason?: string }
  /** What a person decided of a step whose outcome nobody knows; without a step, that a run may go on. */
  | Post & { readonly type: "settle"; readonly stepId?: string; readonly as: Settlement }

/** How a step is settled by hand. */
export type Settlement =
  | { readonly is: "value"; readonly value?: Schema.Json }
  | { readonly is: "failure"; readonly tag: string; readonly message: string }
  | { readonly is: "retry" }

/** What may have changed: a post, an append, or, in this process, the append that ends the run, or a publication. */
export type Changed = "inbox" | "journal" | "end" | "progress"
export type OnChange = (what: Changed) => void
export type OnHint = (runId: string) => void

/** Who holds a run's lease. */
export interface Holder {
  readonly host: string
  readonly pid?: number
  /** UTC milliseconds. */
  readonly until: number
}

/** A run as whoever takes its lease finds it. */
export interface Found {
  /** `""` when it has no journal. */
  readonly version: string
  /** False when nothing was ever posted to it. */
  readonly hasPosts: boolean
}

export type Claim =
  | {
    readonly _tag: "Acquired"
    readonly token: string
    /** What the storage saw behind the taking of the lease: then nobody needs to ask for it. */
    readonly found?: Found | undefined
  }
  | { readonly _tag: "Held"; readonly by: Holder }

export interface Query {
  readonly status?: Status.State | undefined
  readonly workflow?: string | undefined
  /** Runs whose last entry is not older than this; UTC milliseconds. */
  readonly updatedFrom?: number | undefined
  /** Runs whose last entry is older than this; UTC milliseconds. */
  readonly updatedBefore?: number | undefined
  /** At most this many; default 100. */
  readonly limit?: number | undefined
  /** `cursor` of the page before. */
  readonly after?: string | undefined
}

export interface Page {
  readonly runs: ReadonlyArray<Status.Status>
  /** Runs that could not be read, and why: one bad journal hides no other run. */
  readonly unreadable: ReadonlyArray<
    { readonly runId: string; readonly error: JournalCorrupt | StorageError }
  >
  /** Set when there is more. */
  readonly cursor?: string
}

// ---------------------------------------------------------------------------------------------------
// the driver contract

/** A journal's text and a token for its state: it changes with every append that counts. */
export interface Stored {
  /** Lines that each end in a newline; empty for an unknown run. */
  readonly text: string
  /** Opaque; `""` for an unknown run. */
  readonly version: string
}

/** What a driver with an index keeps beside the lines of an append. */
export interface Row {
  /** Behind the lines. */
  readonly status: Status.Status
  /** Where the journal stands behind the lines. */
  readonly head: Head
  /** `eventId`s of the posts that the lines journal: they are no news any more. */
  readonly taken: ReadonlyArray<string>
}

/** What is to be appended behind the state `at`. */
export interface Append {
  readonly at: string
  readonly lines: ReadonlyArray<string>
  readonly row: () => Row
  /**
   * True when all that the lines change of the run's state is that as many more steps are done, as
   * `Status.withSteps` counts them: an index that counts them itself need not write the row.
   */
  readonly areSteps?: boolean | undefined
}

/** Appends to one run, for as long as a session lasts. */
export interface DriverWriter {
  /**
   * Appends all of `lines` behind the state `at` and gives the new state, durable when it returns.
   * `Moved` when the journal is not at `at` any more and `lines` are not in it. When two race from one
   * state, one gets `Moved`. Only an append at `""` may create a run. Must not be interruptible: half an
   * append has no answer. A driver that is done when it is called may return a finished Effect: the
   * call itself then is the append.
   */
  readonly append: (
    at: string,
    lines: ReadonlyArray<string>,
    row: () => Row,
    areSteps?: boolean
  ) => Effect.Effect<string, StorageError | Moved>
  /**
   * Only of storages that are a database of the user's, too: runs `work` in a transaction and commits what
   * it did together with what `append` makes of its value, or neither; then gives the new state. Once.
   *
   * `Unavailable` when it was rolled back and may be tried again: a lost connection, or a conflict with
   * another transaction, in `work` as well. `Moved` as for `append`. What `work` or `append` fails with is
   * handed on, and rolls back. Never `Unavailable` while the commit may still arrive.
   */
  readonly transaction?: <A, E, R, E2>(
    work: Effect.Effect<A, E, R>,
    append: (value: A) => Effect.Effect<Append, E2>
  ) => Effect.Effect<string, E | E2 | StorageError | Moved, R>
}

/** A post to be stored. */
export interface Posting {
  /** Of this post, content and all. */
  readonly id: string
  /** The id that an append's `taken` names it by. */
  readonly eventId: string
  /** Without its newline. */
  readonly line: string
}

/** Posted lines, each ending in a newline; the rest of one that is being written may follow. */
export interface Posts {
  readonly text: string
  /** Where the next look begins. */
  readonly cursor: string
  /** How many lines of the inbox come before `text`. */
  readonly before: number
}

/** What a storage implements. It sees strings; the engine never needs more than this. */
export interface Driver {
  readonly read: (runId: string) => Effect.Effect<Stored, StorageError>
  /** The state of a journal without its text. */
  readonly version: (runId: string) => Effect.Effect<string, StorageError>
  readonly writer: (runId: string) => Effect.Effect<DriverWriter, StorageError, Scope.Scope>
  /** Stores a line, durable when it returns. Storing the same `id` twice may keep one or both. */
  readonly post: (runId: string, post: Posting) => Effect.Effect<void, StorageError>
  /** The lines posted behind `after` (`""`: all), in the order they were posted. */
  readonly inbox: (
    runId: string,
    after: string
  ) => Effect.Effect<Posts, StorageError>
  /** Takes the lease when nobody live holds it. `now` and `until` are UTC milliseconds. */
  readonly acquire: (
    runId: string,
    now: number,
    until: number
  ) => Effect.Effect<Claim, StorageError>
  /** False when the lease is no longer `token`'s. */
  readonly renew: (
    runId: string,
    token: string,
    until: number
  ) => Effect.Effect<boolean, StorageError>
  /** Gives the lease back if it is still `token`'s. The append that ends a run may do so, too. */
  readonly release: (runId: string, token: string) => Effect.Effect<void, StorageError>
  readonly holder: (runId: string, now: number) => Effect.Effect<Holder | undefined, StorageError>
  /** Runs by run id. A run that a live process drives at `now` (UTC milliseconds) is `running`. */
  readonly list: (query: Query, now: number) => Effect.Effect<Page, StorageError>
  /**
   * Open runs without a live lease at `now` (UTC milliseconds) that somebody should drive: nothing holds
   * them up, their `wakeAt` has passed, their inbox holds what is not journaled, or a child they wait for
   * has ended. `scanDue` finds them for a driver without an index.
   */
  readonly due: (now: number) => Effect.Effect<ReadonlyArray<string>, StorageError>
  /** Removes journal and inbox. A run of the same id made later is another run. */
  readonly remove: (runId: string) => Effect.Effect<void, StorageError>
  /**
   * Calls `onChange` when something of the run may have changed, until the returned function is called.
   * A driver that cannot tell never calls it: the engine looks once a second in any case.
   */
  readonly watch: (runId: string, onChange: OnChange) => () => void
  /** Whether `watch` tells of every change, whoever made it, so that nobody needs to look. */
  readonly seesAll: boolean
  /**
   * Calls `onHint` with the id of a run that another process has enqueued or posted to, until the returned function is
   * called. What is missed is found by `due`.
   */
  readonly hints?: (onHint: OnHint) => () => void
  /** The next instant behind `now` at which a timer of an open run goes off; both UTC milliseconds. */
  readonly nextWake?: (now: number) => Effect.Effect<number | undefined, StorageError>
  /** Where large values go. A storage without it keeps every value in its entry. */
  readonly blobs?: Blobs
  /** The same storage inside the database transaction that the calling fiber has open. */
  readonly inTransaction?: Driver
}

/** Large values beside a run's journal, by the hash of their text; removed with the run. */
export interface Blobs {
  /** A value whose text is no longer than this many characters stays in its entry; default 65,536. */
  readonly inline?: number
  /** Durable when it returns. A hash always stands for the same text. */
  readonly put: (runId: string, hash: string, text: string) => Effect.Effect<void, StorageError>
  readonly get: (runId: string, hash: string) => Effect.Effect<string | undefined, StorageError>
}

/** A run as a driver without an index lists it. */
export interface Listed {
  readonly runId: string
  readonly status: Effect.Effect<Status.Status | undefined, JournalCorrupt | StorageError>
}

/** A page of runs for a driver without an index: asks for the state of one run after the other. */
export const pageOf = (query: Query, listed: ReadonlyArray<Listed>): Effect.Effect<Page> =>
  Effect.gen(function*() {
    const runs: Array<Status.Status> = []
    const unreadable: Array<Page["unreadable"][number]> = []
    const { after, limit = 100 } = query
    let last = ""
    for (const { runId, status } of listed.toSorted((a, b) => a.runId < b.runId ? -1 : 1)) {
      if (after !== undefined && runId <= after) continue
      if (runs.length + unreadable.length >= limit) return { runs, unreadable, cursor: last }
      last = runId
      const read = yield* Effect.result(status)
      if (Result.isFailure(read)) unreadable.push({ runId, error: read.failure })
      else if (read.success !== undefined && matches(query, read.success)) runs.push(read.success)
    }
    return { runs, unreadable }
  })

const matches = (query: Query, run: Status.Status) =>
  (query.status === undefined || query.status === run.status)
  && (query.workflow === undefined || query.workflow === run.workflow)
  && (query.updatedFrom === undefined || Date.parse(run.updatedAt) >= query.updatedFrom)
  && (query.updatedBefore === undefined || Date.parse(run.updatedAt) < query.updatedBefore)

/** Callbacks by run, for drivers that see every change of their own process, and of what is known of the change. */
export const makeWatchers = <Known = never>() => {
  type OnKnown = (what: Changed, known?: Known) => void
  const byRun = new Map<string, Set<OnKnown>>()
  return {
    watch: (runId: string, onChange: OnKnown) => {
      const set = byRun.get(runId) ?? new Set()
      byRun.set(runId, set.add(onChange))
      return () => {
        set.delete(onChange)
        if (set.size === 0 && byRun.get(runId) === set) byRun.delete(runId)
      }
    },
    changed: (runId: string, what: Changed, known?: Known) => {
      const set = byRun.get(runId)
      // A callback may take itself out while it is called.
      if (set !== undefined) Array.from(set).forEach((onChange) => onChange(what, known))
    }
  }
}

/** Callbacks that hear of every run. */
export const makeHints = () => {
  const all = new Set<OnHint>()
  return {
    hints: (onHint: OnHint) => {
      all.add(onHint)
      return () => void all.delete(onHint)
    },
    hint: (runId: string) => all.forEach((onHint) => onHint(runId))
  }
}
