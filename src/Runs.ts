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
import * as Chain from "./Chain.ts"
import type { Page, Posted, Query, Settlement } from "./Driver.ts"
import { StorageError } from "./Driver.ts"
import * as Signal from "./internal/signal.ts"
import { type Journal, JournalCorrupt, takenIds } from "./Journal.ts"
import { JournalLimits } from "./Limits.ts"
import { RunClosed, RunExists, RunNotFound } from "./Refusals.ts"
import * as RunId from "./RunId.ts"
import * as Status from "./Status.ts"
import { type Loaded, Storage } from "./Storage.ts"
import * as Token from "./Token.ts"
import { TokenRejected } from "./Token.ts"

export { EventRejected, RunClosed, RunExists, RunNotFound } from "./Refusals.ts"
export { createRunId, RunIdRejected } from "./RunId.ts"
export { Status } from "./Status.ts"
export { TokenRejected } from "./Token.ts"

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
  Effect.flatMap(found(runId), statusOf)

const statusOf = ({ journal }: Loaded): Effect.Effect<Status.Status, StorageError, Storage> =>
  Effect.gen(function*() {
    const storage = yield* Storage
    const { entries, runId } = journal
    const recorded = Status.of(runId, entries)
    const live = storage.live.get(runId)
    const now = live === undefined ? recorded : {
      ...recorded,
      steps: { ...recorded.steps, running: live.running },
      progress: { ...live.progress }
    }
    if (now.status !== "pending" && now.status !== "suspended") return now
    const { stop } = yield* JournalLimits
    return Status.withOwner(now, (yield* storage.holder(runId)) !== undefined, stop)
  })

/** As `status`, of the last run of a chain of `continueAs`. */
export const latestStatus = (
  runId: string
): Effect.Effect<Status.Status, ReadError | RunNotFound | RunId.RunIdRejected, Storage> =>
  Effect.gen(function*() {
    const storage = yield* Storage
    return yield* statusOf(yield* Chain.latest(storage, yield* found(runId)))
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
    const storage = yield* Storage
    const millis = yield* Clock.currentTimeMillis
    const timestamp = new Date(millis).toISOString()
    let loaded = yield* found(runId)
    for (;;) {
      loaded = yield* Chain.latest(storage, loaded)
      const { journal } = loaded
      const now = Status.of(journal.runId, journal.entries)
      if (workflow !== undefined && workflow !== now.workflow) {
        return yield* new RunExists({
          runId,
          differs: "workflow",
          seen: workflow,
          recorded: now.workflow
        })
      }
      const item = posted({ incarnation: journal.head.incarnation, timestamp })
      // A repeat of what was journaled already is no news, whatever became of the run.
      if (takenIds(journal.entries).has(item.eventId)) return
      if (Status.isEnded(now) && now.status !== "continued") {
        return yield* new RunClosed({ runId, status: now.status })
      }
      yield* storage.post(journal.runId, item)
      // A run that went on meanwhile may have done so without this post: then it is posted there, too.
      const after = yield* storage.read(journal.runId)
      const next = Chain.successor(after)
      if (next === undefined || (yield* storage.version(next)) === "") return
      loaded = after
    }
  })

export type PostError = ReadError | RunNotFound | RunExists | RunId.RunIdRejected | RunClosed

/** Hands what is in the inbox of a run that went on, and not in its journal, to the run it went on as. */
export const passOn = (runId: string, taken: ReadonlySet<string>) =>
  Effect.gen(function*() {
    const storage = yield* Storage
    const loaded = yield* storage.read(runId)
    const { items } = yield* storage.inbox(runId, loaded.journal.head.incarnation, "")
    const left = items.filter(({ eventId }) => !taken.has(eventId))
    if (left.length === 0) return
    const { journal } = yield* Chain.latest(storage, loaded)
    const { incarnation } = journal.head
    const known = takenIds(journal.entries)
    for (const item of left) {
      if (!known.has(item.eventId)) yield* storage.post(journal.runId, { ...item, incarnation })
    }
  })

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

/** The step is not one whose outcome is unknown. Nothing was posted. */
export class SettleRejected
  extends Schema.TaggedError<SettleRejected>("reprise/SettleRejected")("SettleRejected", {
    runId: Schema.String,
    stepId: Schema.String,
    /** The steps that can be settled. */
    allowed: Schema.Array(Schema.String)
  })
{
  override get message(): string {
    const allowed = this.allowed.length === 0
      ? "It has none that could be: only an at-most-once step with an intent and no outcome can."
      : `It has: ${this.allowed.map((id) => `"${id}"`).join(", ")}.`
    return `Step "${this.stepId}" of run "${this.runId}" has no unknown outcome to settle. ${allowed}`
  }
}

/** What a person found out about a step: its value (encoded), that it failed, or that it may run again. */
export type Verdict =
  | { readonly value: Schema.Json | undefined }
  | { readonly failure: string }
  | { readonly retry: true }

/**
 * Decides what nobody can know: what became of an at-most-once step whose process died with it. The run
 * is not driven. Without a step, a run that is blocked as a `CrashLoop` may go on.
 */
export const settle: {
  (
    runId: string,
    stepId: string,
    verdict: Verdict
  ): Effect.Effect<void, PostError | SettleRejected, Storage>
  (runId: string): Effect.Effect<void, PostError | SettleRejected, Storage>
} = (
  runId: string,
  stepId?: string,
  verdict?: Verdict
): Effect.Effect<void, PostError | SettleRejected, Storage> =>
  Effect.gen(function*() {
    if (stepId !== undefined) {
      const { intents } = yield* latestStatus(runId)
      if (!intents.includes(stepId)) {
        return yield* new SettleRejected({ runId, stepId, allowed: intents })
      }
    }
    yield* post(runId, {}, (at) => ({
      type: "settle",
      eventId: RunId.createRunId(),
      ...(stepId === undefined ? undefined : { stepId }),
      as: settlement(verdict ?? { retry: true }),
      ...at
    }))
  })

const settlement = (verdict: Verdict): Settlement => {
  if ("failure" in verdict) return { is: "failure", tag: "Settled", message: verdict.failure }
  if ("retry" in verdict) return { is: "retry" }
  const { value } = verdict
  return { is: "value", ...(value === undefined ? undefined : { value }) }
}

/**
 * Sends the event that a token of `ctx.token` stands for, without driving the run. Once: a link that is
 * followed again changes nothing. `value` is the payload as JSON.
 */
export const deliver = (
  token: string,
  value?: Schema.Json
): Effect.Effect<void, PostError | TokenRejected, Storage> =>
  Effect.gen(function*() {
    const addressed = Token.parse(token)
    if (addressed === undefined) {
      return yield* new TokenRejected({ saw: JSON.stringify(String(token).slice(0, 40)) })
    }
    const { event, incarnation, key, runId } = addressed
    const { journal } = yield* found(runId)
    if (journal.head.incarnation !== incarnation) return yield* new RunNotFound({ runId })
    yield* send(runId, { eventName: event, key, value, eventId: `token:${token}` })
  })

/** Ids of open runs that somebody should drive at `now`, in UTC milliseconds; default: now. */
export const due = (now?: number): Effect.Effect<ReadonlyArray<string>, StorageError, Storage> =>
  Effect.gen(function*() {
    const storage = yield* Storage
    return yield* storage.due(now ?? (yield* Clock.currentTimeMillis))
  })

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

/** How often a storage that cannot tell of all changes is looked at. */
const pollMillis = 250

/** Other processes do not live by a clock that a test has swapped. */
const realClock = Clock.Clock.defaultValue()

export interface Until {
  /** UTC milliseconds at which to check in any case. */
  readonly wakeAt?: number | undefined
  /** Whether what is checked may change without a change of the runs: a lease runs out. */
  readonly polls?: boolean | undefined
}

/**
 * Succeeds when `check` does: checks now, after every change of the runs, at `wakeAt`, and four times a
 * second where there are changes that nobody tells of.
 */
export const until = <E>(
  runIds: ReadonlyArray<string>,
  check: Effect.Effect<boolean, E, Storage>,
  { polls = false, wakeAt = Infinity }: Until = {}
): Effect.Effect<void, E, Storage> =>
  Effect.gen(function*() {
    const storage = yield* Storage
    const clock = yield* Effect.clockWith(Effect.succeed)
    const signal = Signal.make()
    const unwatch = runIds.map((runId) => storage.watch(runId, signal.raise))
    const polled = Effect.asVoid(Effect.timeoutOption(signal.raised, pollMillis))
    const changed = polls
      ? polled
      : storage.seesAll
      ? signal.raised
      : Effect.provideService(polled, Clock.Clock, realClock)
    const checking = Effect.gen(function*() {
      for (;;) {
        signal.lower()
        const rest = wakeAt - clock.currentTimeMillisUnsafe()
        if (yield* check) return
        yield* rest === Infinity || rest <= 0 ? changed : Effect.timeoutOption(changed, rest)
      }
    })
    const wakeUp = { at: wakeAt }
    const { wakeUps } = storage.live.activity
    if (wakeAt < Infinity) wakeUps.add(wakeUp)
    const stop = Effect.sync(() => {
      wakeUps.delete(wakeUp)
      for (const stop of unwatch) stop()
    })
    yield* Effect.ensuring(checking, stop)
  })

/**
 * The run's state now and after every change of its journal and its published progress, until it ends.
 * After `continueAs` it goes on with the states of the run it went on as.
 */
export const changes = (
  runId: string
): Stream.Stream<Status.Status, ReadError | RunNotFound | RunId.RunIdRejected, Storage> =>
  Stream.unwrap(Effect.gen(function*() {
    const storage = yield* Storage
    // What is published between two looks is kept as long as somebody looks.
    const held = yield* Effect.acquireRelease(
      Effect.sync(() => storage.live.hold(runId)),
      ({ release }) => Effect.sync(release)
    )
    void held
    return Stream.unfold<
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
  }))

interface Seen {
  readonly status: Status.Status
  readonly version: string
}

/** The state of a journal and of what was published. */
const versionOf = (storage: Storage["Service"], runId: string) =>
  Effect.map(
    storage.version(runId),
    (version) => `${version}:${storage.live.get(runId)?.version ?? 0}`
  )

/** The first state that is not the one seen before. */
const after = (
  first: string,
  seen: Seen | undefined
): Effect.Effect<Seen, ReadError | RunNotFound | RunId.RunIdRejected, Storage> =>
  Effect.gen(function*() {
    const storage = yield* Storage
    const runId = seen?.status.runId ?? first
    if (seen !== undefined) {
      yield* until(
        [runId],
        Effect.map(versionOf(storage, runId), (now) => now !== seen.version)
      )
    }
    const version = yield* versionOf(storage, runId)
    const now = yield* status(runId)
    const { continuedAs } = now
    if (continuedAs === undefined) return { status: now, version }
    yield* until(
      [continuedAs],
      Effect.map(storage.version(continuedAs), (version) => version !== "")
    )
    const next = yield* latestStatus(continuedAs)
    return { status: next, version: yield* versionOf(storage, next.runId) }
  })
