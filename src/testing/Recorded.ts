/**
 * Journals as tests have them: the text of a file, what `Runs.journal` gives, or entries written by hand.
 * Whatever they were, they come out as lines that a storage takes.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { Journal } from "../index.ts"

/** The text of a journal file, or its entries; a prefix of either will do. */
export type RecordedJournal =
  | string
  | ReadonlyArray<Journal.Entry>
  | { readonly entries: ReadonlyArray<Journal.Entry> }

/** A journal made ready for a storage. */
export interface Prepared {
  readonly runId: string
  readonly lines: ReadonlyArray<string>
  /** UTC milliseconds of the last entry. */
  readonly now: number
}

const isList = (recorded: object): recorded is ReadonlyArray<Journal.Entry> =>
  Array.isArray(recorded)

/** What was given as a journal is none. */
export class NoJournal extends Schema.TaggedError<NoJournal>("reprise/NoJournal")("NoJournal", {
  /** From 1; 0 for the whole. */
  line: Schema.Int,
  saw: Schema.String
}) {
  override get message(): string {
    const where = this.line === 0 ? "" : ` at line ${this.line}`
    return `This is no journal${where}: ${this.saw}. Give the text of a journal's file (not its path), from its `
      + `start entry on, or the entries that Runs.journal gives.`
  }
}

/** Reads a text by the accept rule; a text whose lines have no checksums was written by hand. */
const entriesOf = (
  recorded: RecordedJournal
): Result.Result<ReadonlyArray<Journal.Entry>, Journal.JournalCorrupt | NoJournal> => {
  if (typeof recorded !== "string") {
    return Result.succeed(isList(recorded) ? recorded : recorded.entries)
  }
  if (/"sum":"[0-9a-f]{8}"\}/.test(recorded)) {
    // A cut of the text may have taken the last newline.
    const text = recorded.endsWith("\n") ? recorded : `${recorded}\n`
    return Result.map(Journal.read("recorded", text), ({ entries }) => entries)
  }
  const entries: Array<Journal.Entry> = []
  for (const [n, line] of recorded.split("\n").entries()) {
    if (line.trim() === "") continue
    const entry = parse(line)
    if (!Journal.isType(entry?.["type"])) {
      return Result.fail(new NoJournal({ line: n + 1, saw: JSON.stringify(line.slice(0, 60)) }))
    }
    entries.push(entry as unknown as Journal.Entry)
  }
  return Result.succeed(entries)
}

const parse = (line: string): Record<string, unknown> | undefined => {
  try {
    return JSON.parse(line) as Record<string, unknown>
  } catch {
    return undefined
  }
}

const stamps = ["session", "offset", "timestamp", "incarnation", "writer", "prev", "sum"]

/** What a line says without its envelope. */
const bare = (entry: Journal.Entry): Journal.Entry =>
  Object.fromEntries(
    Object.entries(entry).filter(([key]) => !stamps.includes(key))
  ) as unknown as Journal.Entry

/** Seals the entries anew, so that those that were changed or cut count as well. */
export const prepare = (
  recorded: RecordedJournal
): Effect.Effect<Prepared, Journal.JournalCorrupt | NoJournal> =>
  Effect.gen(function*() {
    const entries = yield* Effect.fromResult(entriesOf(recorded))
    const [first] = entries
    if (first?.type !== "start") {
      const saw = first === undefined ? "it has no entry" : `it begins with a ${first.type} entry`
      return yield* new NoJournal({ line: 0, saw })
    }
    const { incarnation = "fixture" } = first as Partial<Journal.Recorded>
    const lines: Array<string> = []
    let head = Journal.emptyHead
    let session = 0
    let timestamp = new Date(0).toISOString()
    for (const entry of entries) {
      if (entry.type === "start") session++
      timestamp = (entry as Partial<Journal.Recorded>).timestamp ?? timestamp
      const stamped = Journal.stamped(bare(entry), timestamp)
      const sealed = Journal.seal(head, { incarnation, session, writer: "fixture" }, [stamped])
      lines.push(...sealed.lines)
      head = sealed.head
    }
    return { runId: first.runId ?? "fixture", lines, now: Date.parse(timestamp) }
  })
