/**
 * What callers hold by run id, for any workflow and without its code: lists, journals, status, and the
 * posts that an owner takes.
 *
 * Owns the errors that a caller's own input can cause. Never drives a run and never writes a journal.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Page, Posted, Query } from "./Driver.ts"
import { StorageError } from "./Driver.ts"
import * as Signal from "./internal/signal.ts"
import { type Journal, JournalCorrupt } from "./Journal.ts"
import * as RunId from "./RunId.ts"
import * as Status from "./Status.ts"
import { Storage } from "./Storage.ts"

export { createRunId, RunIdRejected } from "./RunId.ts"
export { Status } from "./Status.ts"

/** No run of this id is in the storage. */
export class RunNotFound
  extends Schema.TaggedError<RunNotFound>("reprise/RunNotFound")("RunNotFound", {
    runId: Schema.String
  })
{
  override get message(): string {
    return `There is no run "${this.runId}" in this storage. Check the id and the storage (for files: the directory), `
      + `or start the run first.`
  }
}

/** The run has ended: it takes no events and no cancel any more. */
export class RunClosed extends Schema.TaggedError<RunClosed>("reprise/RunClosed")("RunClosed", {
  runId: Schema.String,
  status: Status.State
}) {
  override get message(): string {
    return `Run "${this.runId}" has ended (${this.status}), so nothing was delivered. Start a new run to do it again.`
  }
}

/** The run was started with something else under the same id. */
export class RunExists extends Schema.TaggedError<RunExists>("reprise/RunExists")("RunExists", {
  runId: Schema.String,
  /** What differs. */
  differs: Schema.Literals(["workflow", "input"]),
  seen: Schema.String,
  recorded: Schema.String
}) {
  override get message(): string {
    return `Run "${this.runId}" exists with another ${this.differs}: recorded ${this.recorded}, now ${this.seen}. `
      + `Use another run id for other work, or resume("${this.runId}") to go on with the recorded one.`
  }
}

/** The event is not one that the workflow declares, or its payload does not fit. Nothing was posted. */
export class EventRejected
  extends Schema.TaggedError<EventRejected>("reprise/EventRejected")("EventRejected", {
    runId: Schema.String,
    eventName: Schema.String,
    why: Schema.String,
    /** The names that are allowed. */
    allowed: Schema.Array(Schema.String)
  })
{
  override get message(): string {
    const advice = this.allowed.length === 0
      ? "The workflow declares no events: declare this one in its events, with a schema, to send it."
      : `Send one of these, with the payload its schema declares: ${
        this.allowed.map((name) => `"${name}"`).join(", ")
      }.`
    return `Event "${this.eventName}" was not delivered to run "${this.runId}": ${this.why}. ${advice}`
  }
}

/** An event as a caller sends it. `eventId` makes sending it again harmless; `key` picks the wait. */
export interface Sent {
  readonly eventName: string
  readonly value?: Schema.Json | undefined
  readonly key?: string | undefined
  readonly eventId?: string | undefined
}

export type ReadError = StorageError | JournalCorrupt

const found = (runId: string) =>
  Effect.gen(function*() {
    yield* RunId.check(runId)
    const storage = yield* Storage
    const loaded = yield* storage.read(runId)
    if (loaded.journal.entries.length === 0) return yield* new RunNotFound({ runId })
    return loaded
  })

/** Runs of the storage by id, at most `limit` (default 100) a page. */
export const list = (query: Query = {}): Effect.Effect<Page, StorageError, Storage> =>
  Effect.flatMap(Storage, (storage) => storage.list(query))

/** The accepted entries of a run. */
export const journal = (
  runId: string
): Effect.Effect<Journal, ReadError | RunNotFound | RunId.RunIdRejected, Storage> =>
  Effect.map(found(runId), (loaded) => loaded.journal)

/** A look at a run: its state, what it waits for, what it came to. */
export const status = (
  runId: string
): Effect.Effect<Status.Status, ReadError | RunNotFound | RunId.RunIdRejected, Storage> =>
  Effect.gen(function*() {
    const { journal } = yield* found(runId)
    const now = Status.of(runId, journal.entries)
    if (now.status !== "pending") return now
    const storage = yield* Storage
    return Status.withOwner(now, (yield* storage.holder(runId)) !== undefined)
  })

/** Whose runs may be posted to: those of any workflow, or of this one. */
export interface PostOptions {
  readonly workflow?: string | undefined
}

const post = (
  runId: string,
  { workflow }: PostOptions,
  posted: (at: Pick<Posted, "incarnation" | "timestamp">) => Posted
) =>
  Effect.gen(function*() {
    const { journal } = yield* found(runId)
    const storage = yield* Storage
    const now = Status.of(runId, journal.entries)
    if (workflow !== undefined && workflow !== now.workflow) {
      return yield* new RunExists({
        runId,
        differs: "workflow",
        seen: workflow,
        recorded: now.workflow
      })
    }
    const millis = yield* Clock.currentTimeMillis
    const item = posted({
      incarnation: journal.head.incarnation,
      timestamp: new Date(millis).toISOString()
    })
    // A repeat of what was journaled already is no news, whatever became of the run.
    if (journal.entries.some((entry) => "eventId" in entry && entry.eventId === item.eventId)) {
      return
    }
    if (Status.isEnded(now)) return yield* new RunClosed({ runId, status: now.status })
    yield* storage.post(runId, item)
  })

export type PostError = ReadError | RunNotFound | RunExists | RunId.RunIdRejected | RunClosed

/**
 * Posts an event whose payload is encoded already, without driving the run. Durable when it returns,
 * and delivered once per `eventId`. `Workflow.send` checks name and payload first.
 */
export const send = (
  runId: string,
  event: Sent,
  options: PostOptions = {}
): Effect.Effect<void, PostError, Storage> =>
  post(runId, options, (at) => ({
    type: "event",
    eventId: event.eventId ?? RunId.createRunId(),
    eventName: event.eventName,
    ...(event.key === undefined ? undefined : { key: event.key }),
    ...(event.value === undefined ? undefined : { value: event.value }),
    ...at
  }))

/** Asks for the run to be cancelled, without driving its clean-up. A second request ends it at once. */
export const cancel = (
  runId: string,
  options?: PostOptions & {
    readonly reason?: string | undefined
    readonly eventId?: string | undefined
  }
): Effect.Effect<void, PostError, Storage> =>
  post(runId, options ?? {}, (at) => ({
    type: "cancel",
    eventId: options?.eventId ?? RunId.createRunId(),
    ...(options?.reason === undefined ? undefined : { reason: options.reason }),
    ...at
  }))

/** Removes a run with its journal and inbox. A process that still drives it is fenced. */
export const remove = (
  runId: string
): Effect.Effect<void, ReadError | RunNotFound | RunId.RunIdRejected, Storage> =>
  Effect.gen(function*() {
    yield* RunId.check(runId)
    const storage = yield* Storage
    if (
      (yield* storage.read(runId).pipe(Effect.catchTag("JournalCorrupt", () => Effect.undefined)))
        ?.version === ""
    ) {
      return yield* new RunNotFound({ runId })
    }
    yield* storage.remove(runId)
  })

/** How often a storage that cannot tell of changes is looked at. */
const pollMillis = 250

/** Succeeds when `check` does: checks now, after every change of the run, and four times a second. */
export const until = <E>(
  runId: string,
  check: Effect.Effect<boolean, E, Storage>
): Effect.Effect<void, E, Storage> =>
  Effect.gen(function*() {
    const storage = yield* Storage
    const signal = Signal.make()
    const unwatch = storage.watch(runId, signal.raise)
    const checking = Effect.gen(function*() {
      for (;;) {
        signal.lower()
        if (yield* check) return
        yield* Effect.timeoutOption(signal.raised, pollMillis)
      }
    })
    yield* Effect.ensuring(checking, Effect.sync(unwatch))
  })

/** The run's state now and after every change of its journal, until it ends. */
export const changes = (
  runId: string
): Stream.Stream<Status.Status, ReadError | RunNotFound | RunId.RunIdRejected, Storage> =>
  Stream.unfold<
    Seen | undefined,
    Status.Status,
    ReadError | RunNotFound | RunId.RunIdRejected,
    Storage
  >(
    undefined,
    (seen) =>
      seen !== undefined && Status.isEnded(seen.status)
        ? Effect.undefined
        : Effect.map(after(runId, seen), (now) => [now.status, now] as const)
  )

interface Seen {
  readonly status: Status.Status
  readonly version: string
}

/** The first state that is not the one seen before. */
const after = (runId: string, seen: Seen | undefined) =>
  Effect.gen(function*() {
    const storage = yield* Storage
    if (seen !== undefined) {
      yield* until(runId, Effect.map(storage.version(runId), (now) => now !== seen.version))
    }
    const version = yield* storage.version(runId)
    return { status: yield* status(runId), version }
  })
