/**
 * Where journals live: the typed service that the engine uses, over a driver of strings.
 *
 * The service turns entries into sealed lines and lines back into accepted entries, and settles appends
 * whose answer was lost. What drivers implement is in `Driver`, and exported from here.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import {
  type Append,
  type Changed,
  type Claim,
  type Driver,
  type DriverWriter,
  type Holder,
  makeHints,
  makeWatchers,
  Moved,
  type Page,
  type Posted,
  type Query,
  type Row,
  StorageError
} from "./Driver.ts"
import * as Enqueued from "./Enqueued.ts"
import * as Inbox from "./Inbox.ts"
import { crc32Hex } from "./internal/crc32.ts"
import * as Journal from "./Journal.ts"
import { LeaseTime } from "./Limits.ts"
import { makeRegistry, type Registry } from "./Live.ts"
import * as MemoryDriver from "./MemoryDriver.ts"
import * as Status from "./Status.ts"
import * as Values from "./Values.ts"

export * from "./Driver.ts"
export { scanDue } from "./Due.ts"
export type { SealedText, ValueCodec } from "./Values.ts"

/** A journal and its state in the storage. */
export interface Loaded {
  readonly journal: Journal.Journal
  readonly version: string
  /** Its state, where that is known. Where a writer left it, `journal` has its head and no entries. */
  readonly status?: Status.Status
}

/** Writes one run's journal for one session, in order. */
export interface Writer {
  /** Position behind the last acknowledged append. */
  readonly head: () => Journal.Head
  /**
   * Appends all of `entries` or none; false when someone else wrote. An append without an answer is
   * settled by sending the same bytes again.
   */
  readonly append: (
    stamp: Journal.Stamp,
    entries: ReadonlyArray<Journal.Stamped>
  ) => Effect.Effect<boolean, StorageError | Journal.JournalCorrupt>
  /**
   * Runs `work` in a transaction of the storage's database and commits it together with the entry that
   * `entry` makes of its value; false when someone else wrote. `Unavailable` when neither was committed and
   * it may be tried again. Undefined where the storage has no such transactions.
   */
  readonly transaction:
    | undefined
    | (<A, E, R, E2>(
      work: Effect.Effect<A, E, R>,
      stamp: Journal.Stamp,
      entry: (value: A) => Effect.Effect<Journal.Stamped, E2>
    ) => Effect.Effect<boolean, E | E2 | StorageError | Journal.JournalCorrupt, R>)
  /** Where the journal stands behind the last acknowledged append. */
  readonly loaded: () => Loaded
  /** Whether someone else may have written since. */
  readonly hasMoved: Effect.Effect<boolean, StorageError>
}

export class Storage extends Context.Service<Storage, {
  /** Changes with every append that counts; `""` when nothing of the run is stored. */
  readonly version: (runId: string) => Effect.Effect<string, StorageError>
  /** The run's accepted entries, with their values: of `all`, of the `last`, or of `none` that stand elsewhere. */
  readonly read: (
    runId: string,
    values?: "all" | "last" | "none"
  ) => Effect.Effect<Loaded, StorageError | Journal.JournalCorrupt>
  /** Opens the journal for appending behind what was loaded. */
  readonly writer: (loaded: Loaded) => Effect.Effect<Writer, StorageError, Scope.Scope>
  readonly post: (runId: string, posted: Posted) => Effect.Effect<void, StorageError>
  /** What was posted to this incarnation of the run behind `after` (`""`: all). */
  readonly inbox: (
    runId: string,
    incarnation: string,
    after: string
  ) => Effect.Effect<
    { readonly items: ReadonlyArray<Posted>; readonly cursor: string },
    StorageError | Journal.JournalCorrupt
  >
  readonly acquire: (runId: string) => Effect.Effect<Claim, StorageError>
  readonly renew: (runId: string, token: string) => Effect.Effect<boolean, StorageError>
  readonly release: (runId: string, token: string) => Effect.Effect<void, StorageError>
  readonly holder: (runId: string) => Effect.Effect<Holder | undefined, StorageError>
  readonly list: (query: Query) => Effect.Effect<Page, StorageError>
  /** Open runs that somebody should drive at `now`, in UTC milliseconds. */
  readonly due: (now: number) => Effect.Effect<ReadonlyArray<string>, StorageError>
  readonly remove: (runId: string) => Effect.Effect<void, StorageError>
  /**
   * Calls `onChange` also when the run publishes something, and with the state in which it ended, if that is known.
   * Those who wait share that state: it is not to be changed.
   */
  readonly watch: (
    runId: string,
    onChange: (what: Changed, ended?: Status.Status) => void
  ) => () => void
  /** False when changes by other processes show only to those who look. */
  readonly seesAll: boolean
  /** Says that a run was enqueued, or posted to: somebody may want to drive it. */
  readonly hint: (runId: string) => void
  /** Calls `onHint` after every `hint` in this process, and of others as far as the driver hears of them. */
  readonly hints: (onHint: (runId: string) => void) => () => void
  /** What this process has enqueued. */
  readonly enqueued: Enqueued.Enqueued<Loaded>
  /** The next instant behind `now` at which a timer goes off, as far as the driver can tell; UTC milliseconds. */
  readonly nextWake: (now: number) => Effect.Effect<number | undefined, StorageError>
  /** What is known of runs only in this process. */
  readonly live: Registry
  readonly driver: Driver
  /** What its values pass on their way to the driver and back. */
  readonly codec: Values.ValueCodec | undefined
}>()("reprise/Storage") {}

/** What a driver with an index keeps of a whole journal. */
export const rowOf = ({ entries, head, runId }: Journal.Journal): Row => ({
  status: Status.of(runId, entries),
  head,
  taken: Array.from(Journal.takenIds(entries))
})

/** The state of a journal, for a driver without an index; `isHeld` is whether its lease is live. */
export const statusOf = (
  { entries, runId }: Journal.Journal,
  isHeld: boolean
): Status.Status | undefined =>
  entries.length === 0 ? undefined : Status.withOwner(Status.of(runId, entries), isHeld)

/** The service over a driver; `codec` seals the values. */
export const make = (driver: Driver, codec?: Values.ValueCodec): Storage["Service"] => {
  const values: Values.Values = { codec, blobs: driver.blobs }
  const published = makeWatchers<Status.Status>()
  const { hint, hints } = makeHints()
  const live = makeRegistry((runId) => published.changed(runId, "progress"))
  const isSealed = (entry: Journal.Recorded) => entry.sealed !== undefined
  const read: Storage["Service"]["read"] = Effect.fnUntraced(
    function*(runId, which = "all"): Effect.fn.Return<
      Loaded,
      StorageError | Journal.JournalCorrupt
    > {
      const { text, version } = yield* driver.read(runId)
      const journal = yield* Effect.fromResult(Journal.read(runId, text))
      const { entries } = journal
      if (which === "none" || !entries.some(isSealed)) return { journal, version }
      const first = which === "all" ? 0 : entries.length - 1
      const opened = yield* Effect.forEach(
        entries.slice(first),
        (entry) => Values.openEntry(values, runId, entry),
        { concurrency: 8 }
      )
      return { journal: { ...journal, entries: [...entries.slice(0, first), ...opened] }, version }
    }
  )
  return Storage.of({
    read,
    version: driver.version,
    writer: (loaded) =>
      Effect.map(driver.writer(loaded.journal.runId), (driverWriter): Writer => {
        const { runId } = loaded.journal
        const onEnd = (status?: Status.Status) => published.changed(runId, "end", status)
        const writer = makeWriter(driverWriter, loaded, { read, values, onEnd })
        return {
          head: writer.head,
          append: writer.append,
          transaction: writer.transaction,
          loaded: writer.loaded,
          hasMoved: Effect.map(driver.version(loaded.journal.runId), (now) =>
            now !== writer.version())
        }
      }),
    post: (runId, posted) => {
      // One with a payload that the code refuses must not be in the way of the right one.
      const { eventId, incarnation, timestamp: _, ...what } = posted
      const id = `${eventId}:${incarnation}:${crc32Hex(JSON.stringify(what))}`
      return Effect.flatMap(
        Values.sealPost(values, runId, posted),
        (sealed) =>
          Effect.map(
            driver.post(runId, { id, eventId, line: Journal.sealText(JSON.stringify(sealed)) }),
            () => hint(runId)
          )
      )
    },
    inbox: (runId, incarnation, after) =>
      Effect.flatMap(driver.inbox(runId, after), ({ before, cursor, text }) =>
        text === ""
          ? Effect.succeed({ items: [], cursor })
          : Effect.gen(function*() {
            const all = yield* Effect.fromResult(Inbox.read(runId, text, before))
            const items = yield* Effect.forEach(
              all.filter((posted) => posted.incarnation === incarnation),
              (posted) => Values.openPost(values, runId, posted)
            )
            return { items, cursor }
          })),
    acquire: Effect.fnUntraced(function*(runId) {
      const now = yield* Clock.currentTimeMillis
      return yield* driver.acquire(runId, now, now + (yield* LeaseTime))
    }),
    renew: Effect.fnUntraced(function*(runId, token) {
      const now = yield* Clock.currentTimeMillis
      return yield* driver.renew(runId, token, now + (yield* LeaseTime))
    }),
    release: driver.release,
    holder: (runId) =>
      Clock.clockWith((clock) => driver.holder(runId, clock.currentTimeMillisUnsafe())),
    list: (query) =>
      Clock.clockWith((clock) => driver.list(query, clock.currentTimeMillisUnsafe())),
    due: driver.due,
    remove: driver.remove,
    watch: (runId, onChange) => {
      const unwatch = driver.watch(runId, onChange)
      const unheard = published.watch(runId, onChange)
      return () => {
        unwatch()
        unheard()
      }
    },
    seesAll: driver.seesAll,
    hint,
    hints: (onHint) => {
      const stop = hints(onHint)
      const stopDriver = driver.hints?.(onHint)
      return () => {
        stop()
        stopDriver?.()
      }
    },
    enqueued: Enqueued.make(driver.watch),
    nextWake: (now) => driver.nextWake?.(now) ?? Effect.undefined,
    live,
    driver,
    codec
  })
}

/**
 * The storage below with every value sealed by `codec`, for any storage: what is stored is read through the
 * same codec. `JournalCodec` has one that encrypts and compresses.
 */
export const layerCodec = (codec: Values.ValueCodec): Layer.Layer<Storage, never, Storage> =>
  Layer.effect(Storage, Effect.map(Storage, ({ driver }) => make(driver, codec)))

/** A new, empty driver over a `Map`: what `layerMemory` uses, and what a driver of one's own may wrap. */
export const memoryDriver: () => Driver = MemoryDriver.make

/** Journals in a `Map`: they live as long as the process. For tests and for trying things out. */
export const layerMemory: Layer.Layer<Storage> = Layer.sync(
  Storage,
  () => make(MemoryDriver.make())
)

/** What is loaded of a run that has no journal. */
export const nothing = (runId: string): Effect.Effect<Loaded, Journal.JournalCorrupt> =>
  Effect.map(
    Effect.fromResult(Journal.read(runId, "")),
    (journal) => ({ journal, version: "" })
  )

// internal

const again = Schedule.exponential("50 millis").pipe(Schedule.jittered)

const isRetryable = (error: StorageError | Moved) =>
  error._tag === "StorageError" && error.isRetryable

const makeWriter = (
  writer: DriverWriter,
  loaded: Loaded,
  { onEnd, read, values }: {
    readonly read: Storage["Service"]["read"]
    readonly values: Values.Values
    /** Called when an append that ends the run is acknowledged, with the last state if its values are plain. */
    readonly onEnd: (status?: Status.Status) => void
  }
) => {
  const { runId } = loaded.journal
  let { head } = loaded.journal
  let version = loaded.version
  let status = loaded.status === undefined
    ? Status.of(runId, loaded.journal.entries)
    : copyOf(loaded.status)
  // Set when a newer session stands behind lines of ours: they count, and no more of ours will.
  let isLost = false
  // Whether the values of the last append stand in it as they are.
  let isPlain = true
  const acknowledged = (now: string, behind: Journal.Head): Effect.Effect<boolean> => {
    head = behind
    version = now
    if (Status.isEnded(status)) onEnd(isPlain && !isLost ? copyOf(status) : undefined)
    return succeedTrue
  }
  // A conflict says that the journal moved, not who moved it: an append without an answer may have.
  const settle = (behind: Journal.Head) =>
    Effect.flatMap(read(runId, "none"), ({ journal, version }) => {
      if (journal.entries[behind.offset - 1]?.sum !== behind.prev) return succeedFalse
      isLost = journal.head.prev !== behind.prev
      return acknowledged(isLost ? "" : version, behind)
    })
  const sealEntries = (stamp: Journal.Stamp, entries: ReadonlyArray<Journal.Stamped>) =>
    Values.isPlain(values, entries)
      ? Effect.succeed(entries)
      : Values.sealEntries(values, { runId, incarnation: stamp.incarnation }, head.offset, entries)
  const append: Writer["append"] = (stamp, entries) => {
    isPlain = Values.isPlain(values, entries)
    return isPlain
      ? appendNow(stamp, entries)
      : Effect.flatMap(sealEntries(stamp, entries), (sealed) => appendNow(stamp, sealed))
  }
  const appendNow: Writer["append"] = (stamp, entries) => {
    if (isLost) return succeedFalse
    const sealed = Journal.seal(head, stamp, entries)
    const areSteps = entries.every(({ entry }) => Status.onlyCounts(status, entry))
    add(status, stamp, entries)
    const row = () => ({ status: copyOf(status), head: sealed.head, taken: takenBy(entries) })
    const attempt = writer.append(version, sealed.lines, row, areSteps)
    if (Exit.isExit(attempt) && Exit.isSuccess(attempt)) {
      return acknowledged(attempt.value as string, sealed.head)
    }
    const onSuccess = (now: string) => acknowledged(now, sealed.head)
    const onFailure = (
      error: StorageError | Moved
    ): Effect.Effect<boolean, StorageError | Journal.JournalCorrupt> =>
      error._tag === "Moved"
        ? settle(sealed.head)
        : error.isRetryable
        ? Effect.retry(Effect.suspend(() => writer.append(version, sealed.lines, row, areSteps)), {
          schedule: again,
          times: 6,
          while: isRetryable
        }).pipe(
          Effect.flatMap(onSuccess),
          Effect.catchTag("Moved", () => settle(sealed.head))
        )
        : Effect.fail(error)
    return Effect.matchEffect(attempt, { onFailure, onSuccess })
  }
  const { transaction: transact } = writer
  const transaction: Writer["transaction"] = transact === undefined
    ? undefined
    : <A, E, R, E2>(
      work: Effect.Effect<A, E, R>,
      stamp: Journal.Stamp,
      entry: (value: A) => Effect.Effect<Journal.Stamped, E2>
    ) =>
      // Nobody may go away between the commit and what is known of it.
      Effect.uninterruptibleMask((restore) => {
        let behind = head
        let next = status
        const lines = (entry: Journal.Stamped): Append => {
          const sealed = Journal.seal(head, stamp, [entry])
          behind = sealed.head
          next = copyOf(status)
          add(next, stamp, [entry])
          const row = () => ({ status: copyOf(next), head: behind, taken: [] })
          return { at: version, lines: sealed.lines, row }
        }
        const append = (value: A): Effect.Effect<Append, E2 | Moved | StorageError> =>
          Effect.gen(function*() {
            const plain = yield* restore(entry(value))
            if (isLost) return yield* new Moved({ runId })
            const [sealed] = yield* sealEntries(stamp, [plain])
            return lines(sealed!)
          })
        return transact(restore(work), append).pipe(
          Effect.flatMap((now) => {
            status = next
            return acknowledged(now, behind)
          }),
          Effect.catchTag(
            "Moved",
            () =>
              isLost ? succeedFalse : Effect.tap(settle(behind), (isMine) =>
                Effect.sync(() => {
                  if (isMine) status = next
                }))
          )
        ) as Effect.Effect<boolean, E | E2 | StorageError | Journal.JournalCorrupt, R>
      })
  const leave = (): Loaded => ({
    journal: { ...loaded.journal, entries: [], head },
    version,
    status
  })
  return { head: () => head, version: () => version, append, transaction, loaded: leave }
}

const copyOf = (status: Status.Status): Status.Draft => ({ ...status, steps: { ...status.steps } })

const add = (
  status: Status.Draft,
  { session }: Journal.Stamp,
  entries: ReadonlyArray<Journal.Stamped>
): void => {
  for (const { entry, timestamp } of entries) Status.add(status, entry, { session, timestamp })
}

const takenBy = (entries: ReadonlyArray<Journal.Stamped>): ReadonlyArray<string> =>
  Array.from(Journal.takenIds(entries.map(({ entry }) => entry)))

/** What `Writer.append` gives when it is over at once. */
export const succeedTrue = Effect.succeed(true)
const succeedFalse = Effect.succeed(false)
