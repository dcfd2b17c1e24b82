/**
 * A writer of one run as a case moves it: it seals lines behind the place where it believes the journal
 * stands, and knows what should be read back. Two hands on one run are two owners.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { Journal, Storage } from "../../index.ts"
import * as Status from "../../Status.ts"
import type { Trial } from "./Case.ts"
import { Broken } from "./Checks.ts"

/** The time of all that is written, unless a case says otherwise; UTC milliseconds. */
export const epoch = Date.UTC(2026, 0, 2, 3, 4, 5, 678)

/** An entry, or its very text. */
export type Written = Journal.Entry | { readonly json: string }

/** A journal as a hand knows it. */
export interface Place {
  /** The state behind the last append that it knows of. */
  readonly at: string
  readonly head: Journal.Head
  readonly entries: ReadonlyArray<Journal.Recorded>
  readonly lines: ReadonlyArray<string>
}

/** Lines for one append, and what an index is told with them. */
export interface Batch {
  readonly lines: ReadonlyArray<string>
  readonly row: () => Storage.Row
  readonly areSteps: boolean
  readonly entries: ReadonlyArray<Journal.Recorded>
  readonly head: Journal.Head
}

export interface Hand {
  readonly runId: string
  readonly writer: Storage.DriverWriter
  readonly incarnation: string
  place: Place
  /** The time of what it writes; UTC milliseconds. */
  time: number
  /** The lines of `entries` behind its place. A first `start` opens a session of its own. */
  readonly seal: (...entries: ReadonlyArray<Written>) => Batch
  /** Appends and goes on from there. */
  readonly append: (
    ...entries: ReadonlyArray<Written>
  ) => Effect.Effect<void, Storage.StorageError | Storage.Moved>
  /** As `append`, saying which of the two it came to. */
  readonly attempt: (
    ...entries: ReadonlyArray<Written>
  ) => Effect.Effect<"appended" | "Moved", Storage.StorageError>
  /** Appends `batch` at `at` and says what came of it, without going on from there. */
  readonly put: (
    batch: Batch,
    at?: string
  ) => Effect.Effect<"appended" | "Moved", Storage.StorageError>
}

export interface Opened {
  readonly runId?: string
  readonly workflow?: string
  readonly driver?: Storage.Driver
  readonly time?: number
}

const nowhere: Place = { at: "", head: Journal.emptyHead, entries: [], lines: [] }

const make = (
  trial: Trial,
  runId: string,
  incarnation: string,
  place: Place,
  { driver = trial.driver, time = epoch, workflow = trial.workflow }: Opened
): Effect.Effect<Hand, Storage.StorageError, Scope.Scope> =>
  Effect.map(driver.writer(runId), (writer) => {
    const name = trial.unique()
    const opening: Journal.Entry = {
      type: "start",
      format: Journal.format,
      workflow,
      runId,
      metadata: null,
      seed: "seed"
    }
    const seal: Hand["seal"] = (...written) => {
      const { entries, head } = hand.place
      const timestamp = new Date(hand.time).toISOString()
      const stamped = written.map((item) => {
        const first = entries.length === 0 && !("json" in item) && item.type === "start"
        return "json" in item
          ? { json: item.json, timestamp }
          : Journal.stamped(first ? { ...opening, ...item } : item, timestamp)
      })
      const isStart = written[0] !== undefined && "type" in written[0]
        && written[0].type === "start"
      const stamp = isStart
        ? { incarnation, session: head.session + 1, writer: name }
        : { incarnation, session: head.session, writer: head.writer }
      const sealed = Journal.seal(head, stamp, stamped)
      const added = sealed.lines.map((line): Journal.Recorded => JSON.parse(line))
      const all = [...entries, ...added]
      const row = () => ({
        status: Status.of(runId, all),
        head: sealed.head,
        taken: Array.from(Journal.takenIds(added))
      })
      const before = Status.of(runId, entries)
      const areSteps = added.every((entry) => Status.onlyCounts(before, entry))
      return { ...sealed, row, areSteps, entries: all }
    }
    const append: Hand["append"] = (...entries) =>
      Effect.suspend(() => {
        const batch = seal(...entries)
        const { at, lines } = hand.place
        return Effect.map(writer.append(at, batch.lines, batch.row, batch.areSteps), (now) => {
          const { entries, head } = batch
          hand.place = { at: now, head, entries, lines: [...lines, ...batch.lines] }
        })
      })
    const hand: Hand = {
      runId,
      writer,
      incarnation,
      place,
      time,
      seal,
      append,
      attempt: (...entries) => answered(append(...entries)),
      put: (batch, at) =>
        answered(
          Effect.suspend(() =>
            writer.append(at ?? hand.place.at, batch.lines, batch.row, batch.areSteps)
          )
        )
    }
    return hand
  })

const answered = <E>(append: Effect.Effect<unknown, E | Storage.Moved>) =>
  Effect.matchEffect(append, {
    onFailure: (error): Effect.Effect<"appended" | "Moved", Exclude<E, Storage.Moved>> =>
      error instanceof Storage.Moved
        ? Effect.succeed("Moved" as const)
        : Effect.fail(error as Exclude<E, Storage.Moved>),
    onSuccess: () => Effect.succeed("appended" as const)
  })

/** The first owner of a run that is not there yet. */
export const create = (trial: Trial, name: string, opened: Opened = {}) =>
  make(trial, opened.runId ?? trial.id(name), trial.unique(), nowhere, opened)

/** A run whose first append is its start and `entries`. */
export const begin = (
  trial: Trial,
  name: string,
  entries: ReadonlyArray<Written> = [],
  opened: Opened = {}
) => Effect.tap(create(trial, name, opened), (hand) => hand.append({ type: "start" }, ...entries))

/** Another owner, who knows what `hand` knows now; by default in another process. */
export const rival = (trial: Trial, hand: Hand, opened: Opened = {}) =>
  make(trial, hand.runId, hand.incarnation, hand.place, { driver: trial.other, ...opened })

/** The lines of a run that count, as `driver` reads them. */
export const linesOf = (driver: Storage.Driver, runId: string) =>
  Effect.flatMap(driver.read(runId), ({ text }) => {
    const read = Journal.read(runId, text)
    if (Result.isFailure(read)) {
      return Effect.fail(
        new Broken("what was appended is read back", "a sound journal", read.failure.message)
      )
    }
    const raw = text.split("\n")
    return Effect.succeed(
      read.success.entries.map(({ sum }) => raw.find((line) => line.endsWith(`,"sum":"${sum}"}`)))
    )
  })

/** How often each line of a run's text occurs, whether it counts or not. */
export const occurrences = (driver: Storage.Driver, runId: string, line: string) =>
  Effect.map(
    driver.read(runId),
    ({ text }) => text.split("\n").filter((raw) => raw === line).length
  )
