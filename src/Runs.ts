/**
 * What callers hold by run id, for any workflow and without its code: the front of `Find` and `Posts`,
 * with streams of changes, runs that are due, and removal. Never drives a run and never writes a journal.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Chain from "./Chain.ts"
import type { Changed, StorageError } from "./Driver.ts"
import { found, latestStatus, type ReadError, status } from "./Find.ts"
import { first, isEnd } from "./Journal.ts"
import { RunNotFound } from "./Refusals.ts"
import * as RunId from "./RunId.ts"
import * as Status from "./Status.ts"
import { Storage } from "./Storage.ts"
import { until } from "./Until.ts"

export { type Copied, copy, CopyRejected } from "./Copy.ts"
export { journal, latestStatus, list, type ReadError, status } from "./Find.ts"
export { checkpoint, fork, retryFrom } from "./ForkWithoutCode.ts"
export { importJournal, ImportRejected, type Options as ImportOptions } from "./Import.ts"
export {
  cancel,
  deliver,
  type PostError,
  type PostOptions,
  send,
  type Sent,
  settle,
  SettleRejected,
  type Verdict
} from "./Posts.ts"
export { EventRejected, RunClosed, RunExists, RunNotFound } from "./Refusals.ts"
export { createRunId, RunIdRejected } from "./RunId.ts"
export { Status } from "./Status.ts"
export { TokenRejected } from "./Token.ts"

/**
 * Records a run for whoever drives runs of its workflow, as `workflow.enqueue` does: for processes that do not work.
 * A contract, which `Workflow.define` makes, is enough.
 *
 * @example
 * ```ts
 * import { Runs, Storage, Workflow } from "reprise"
 * import { Effect, Schema } from "effect"
 *
 * const index = Workflow.define("index", { input: Schema.Struct({ page: Schema.String }) })
 * const program = Effect.gen(function*() {
 *   const one = yield* Runs.enqueue(index, { page: "home" }, { idempotencyKey: "edit 7" })
 *   const again = yield* Runs.enqueue(index, { page: "home" }, { idempotencyKey: "edit 7" })
 *   return [one, again, (yield* Runs.list()).runs.length]
 * })
 * const enqueued = await Effect.runPromise(Effect.provide(program, Storage.layerMemory))
 * enqueued // => ["index:edit 7", "index:edit 7", 1]
 * ```
 */
export const enqueue = <I, O, E, R>(
  workflow: {
    readonly enqueue: (input: I, options?: O) => Effect.Effect<string, E, R>
  },
  input: NoInfer<I>,
  options?: NoInfer<O>
): Effect.Effect<string, E, R> => workflow.enqueue(input, options)

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
      (yield* storage.read(runId, "none").pipe(
        Effect.catchTag("JournalCorrupt", () => Effect.undefined)
      ))
        ?.version === ""
    ) {
      return yield* new RunNotFound({ runId })
    }
    yield* storage.remove(runId)
  })

/**
 * Removes runs that have ended and whose last entry is older than `endedBefore` (UTC milliseconds); gives
 * their ids. Open runs stay, however old.
 */
export const prune = (
  endedBefore: number
): Effect.Effect<ReadonlyArray<string>, StorageError, Storage> =>
  Effect.gen(function*() {
    const storage = yield* Storage
    const removed: Array<string> = []
    for (const status of ["continued", "success", "failed", "cancelled"] as const) {
      let after: string | undefined
      do {
        const page = yield* storage.list({ status, updatedBefore: endedBefore, after })
        for (const { continuedAs, parent, runId } of page.runs) {
          // It is still to hand over what the next one begins with.
          if (continuedAs !== undefined && !(yield* isThere(storage, continuedAs))) continue
          // An open parent may not have heard of it yet, and would begin it anew.
          if (parent !== undefined && (yield* isOpen(storage, parent.runId))) continue
          for (const one of yield* chainOf(storage, runId)) {
            yield* storage.remove(one)
            removed.push(one)
          }
        }
        after = page.cursor
      } while (after !== undefined)
    }
    return removed
  })

/** What cannot be read is there. */
const isThere = (storage: Storage["Service"], runId: string) =>
  Effect.catchTag(Chain.exists(storage, runId), "JournalCorrupt", () => Effect.succeed(true))

/** The run, and first those that it goes on after: one without its successor would begin that again. */
const chainOf = Effect.fnUntraced(function*(storage: Storage["Service"], runId: string) {
  const chain = [runId]
  for (;;) {
    const read = (id: string) => Effect.orElseSucceed(storage.read(id, "none"), () => undefined)
    const at = chain.at(-1)!
    const loaded = yield* read(at)
    const before = loaded === undefined ? undefined : first(loaded.journal)?.continues
    const earlier = before === undefined ? undefined : yield* read(before)
    // A fork has what its source went on from.
    if (earlier === undefined || Chain.successor(earlier) !== at) return chain.toReversed()
    chain.push(earlier.journal.runId)
  }
})

const isOpen = (storage: Storage["Service"], runId: string) =>
  Effect.map(
    Effect.orElseSucceed(storage.read(runId, "none"), () => undefined),
    (loaded) => {
      const last = loaded?.journal.entries.at(-1)
      return last !== undefined && !isEnd(last)
    }
  )

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

/** Of what another process writes no more may be told than that there is something: that comes as a post does. */
const mayBeEnd = (what: Changed) => what === "end" || what === "inbox"

/**
 * The state in which a run ended, or the last one that it went on as: waits for that, and drives nothing. Its values are
 * as they stand in the journal; `join` of its workflow decodes them.
 *
 * @example
 * ```ts
 * import { Runs, Storage, Workflow } from "reprise"
 * import { Effect } from "effect"
 *
 * const double = Workflow.make("double", function*(ctx, n: number) {
 *   return yield* ctx.step("double", () => n * 2)
 * })
 * const program = Effect.gen(function*() {
 *   yield* double.start(21, { runId: "r1" })
 *   return (yield* Runs.end("r1")).result
 * })
 * const result = await Effect.runPromise(Effect.provide(program, Storage.layerMemory))
 * result // => 42
 * ```
 */
export const end: <E = never>(
  runId: string,
  /** Looks at every state that is read, and fails when it is of no run to wait for. */
  inspect?: Inspect<E>
) => Effect.Effect<Status.Status, EndError | E, Storage> = Effect.fnUntraced(
  function*(runId, inspect = noInspection) {
    const storage = yield* Storage
    let status = yield* endOf(storage, runId, inspect)
    while (status.continuedAs !== undefined) {
      const next = status.continuedAs
      yield* until([next], Chain.exists(storage, next))
      status = yield* endOf(storage, next, inspect)
    }
    return status
  }
)

type Inspect<E> = (status: Status.Status) => Effect.Effect<void, E>

type EndError = ReadError | RunNotFound | RunId.RunIdRejected

const noInspection = () => Effect.void

/** The state in which one run of a chain ended. */
const endOf: <E>(
  storage: Storage["Service"],
  runId: string,
  inspect: Inspect<E>
) => Effect.Effect<Status.Status, EndError | E, Storage> = Effect.fnUntraced(
  function*(storage, runId, inspect) {
    const wait: Wait = { runId, seen: undefined, ended: undefined, status: Status.empty(runId) }
    const after = (what: Changed, ended?: Status.Status) => {
      // It has moved: nobody needs to ask.
      if (what === "end") {
        wait.seen = undefined
        wait.ended = ended
      }
      // Where nobody looks by himself, every change is a reason to.
      return storage.seesAll || mayBeEnd(what)
    }
    yield* until([runId], isOver(storage, wait, inspect), { after })
    return wait.status
  }
)

interface Wait {
  readonly runId: string
  /** The state of the journal that was read last. */
  seen: string | undefined
  /** The state in which this process saw it end: nobody needs to read. */
  ended: Status.Status | undefined
  status: Status.Status
}

const isOver: <E>(
  storage: Storage["Service"],
  wait: Wait,
  inspect: Inspect<E>
) => Effect.Effect<boolean, EndError | E, Storage> = Effect.fnUntraced(
  function*(storage, wait, inspect) {
    const { ended, runId, seen } = wait
    if (ended !== undefined) {
      wait.status = copyOf(ended)
      return true
    }
    if (seen !== undefined && (yield* storage.version(runId)) === seen) return false
    const enqueued = seen === undefined ? storage.enqueued.get(runId) : undefined
    const { journal, version } = enqueued ?? (yield* found(runId, "last"))
    wait.seen = version
    wait.status = Status.of(runId, journal.entries)
    yield* inspect(wait.status)
    return isEnd(journal.entries.at(-1)!)
  }
)

/** With values of its own: those are the session's, and of others who wait. */
const copyOf = ({ error, result, ...status }: Status.Status): Status.Status => ({
  ...status,
  ...(error === undefined ? undefined : { error: structuredClone(error) }),
  ...(result === undefined
    ? undefined
    : { result: typeof result === "object" ? structuredClone(result) : result })
})

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
