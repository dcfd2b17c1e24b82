/**
 * A run's journal: how a line is sealed, which lines of a file count, and what they say together.
 *
 * Owns the line format and the accept rule; knows no storage and no body. Everything here is pure.
 * Invariants:
 * J1. Every append is one write that begins with a tab and a newline. After a clean end that makes a
 *     blank line, after a torn one it marks the torn line; nothing on disk is ever changed.
 * J2. A line without its newline is never accepted.
 * J3. An accepted line verifies, has the next offset and the `prev` of the last accepted one, and is
 *     either a `start` of a higher session or belongs to the current session and writer.
 * J4. Bytes that fit none of this are `JournalCorrupt`; they are never skipped in silence.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { type Entry, type Envelope, format, isType, type Recorded, type Start } from "./Entry.ts"
import { crc32Hex } from "./internal/crc32.ts"
import { withoutEnd } from "./internal/withoutEnd.ts"

export * from "./Entry.ts"

/**
 * Bytes of the journal are neither lines of its run nor the torn rest of one. Nothing is guessed: the
 * run is left alone until the file is repaired or the run removed.
 */
export class JournalCorrupt
  extends Schema.TaggedError<JournalCorrupt>("reprise/JournalCorrupt")("JournalCorrupt", {
    runId: Schema.String,
    file: Schema.Literals(["journal", "inbox"]),
    /** How many entries before the damage are sound. */
    offset: Schema.Int,
    /** The damaged line in its file, counted from 1. */
    line: Schema.Int,
    saw: Schema.String
  })
{
  override get message(): string {
    return `The ${this.file} of run "${this.runId}" is damaged at line ${this.line}: ${this.saw}. `
      + `The ${this.offset} entries before it are sound. Nothing was changed. `
      + `Restore the file from a backup, or remove the run.`
  }
}

/** What the next line follows: the sum of these fields is a position in a journal. */
export interface Head {
  readonly incarnation: string
  readonly session: number
  readonly writer: string
  /** The offset of the next line, so the number of accepted ones. */
  readonly offset: number
  /** `sum` of the last accepted line. */
  readonly prev: string
}

/** Where a journal without a line stands. */
export const emptyHead: Head = { incarnation: "", session: 0, writer: "", offset: 0, prev: "-" }

/** What stands in a line's envelope beside its position; `timestamp` is ISO 8601 in UTC. */
export interface Stamp {
  readonly incarnation: string
  readonly session: number
  readonly writer: string
}

/** Lines to append and the position behind them. */
export interface Sealed {
  readonly lines: ReadonlyArray<string>
  readonly head: Head
}

/** Puts a checksum at the end of a JSON object's text. */
export const sealText = (json: string): string => {
  const body = json.slice(0, -1)
  return `${body},"sum":"${crc32Hex(body)}"}`
}

/** An entry to append: its text is made before a body sees, and may change, the values in it. */
export interface Stamped {
  readonly entry: Entry
  readonly json: string
  /** ISO 8601, UTC. */
  readonly timestamp: string
}

/** Makes the text of an entry. */
export const stamped = (entry: Entry, timestamp: string): Stamped => ({
  entry,
  json: JSON.stringify(entry),
  timestamp
})

/** Chains `entries` on `head`: one line each, with envelope and checksum, without newlines. */
export const seal = (
  head: Head,
  stamp: Stamp,
  entries: ReadonlyArray<Pick<Stamped, "json" | "timestamp">>
): Sealed => {
  const lines: Array<string> = []
  let { offset, prev } = head
  for (const { json, timestamp } of entries) {
    const body =
      `${
        json.slice(0, -1)
      },"session":${stamp.session},"offset":${offset},"timestamp":"${timestamp}",`
      + `"incarnation":"${stamp.incarnation}","writer":"${stamp.writer}","prev":"${prev}"`
    prev = crc32Hex(body)
    lines.push(`${body},"sum":"${prev}"}`)
    offset++
  }
  return { lines, head: { ...stamp, offset, prev } }
}

/** The bytes of one append (J1). */
export const write = (lines: ReadonlyArray<string>): string => `\t\n${lines.join("\n")}\n`

const tail = `,"sum":"`
const tailLength = tail.length + 8 + 2

/** Whether `text.slice(from, to)` ends in the checksum of what comes before it. */
export const verifies = (text: string, from: number, to: number): boolean => {
  const cut = to - tailLength
  return cut > from && text.startsWith(tail, cut) && text.startsWith(`"}`, to - 2)
    && text.startsWith(crc32Hex(text, from, cut), cut + tail.length)
}

/** Whether a whole verifying line stands before other bytes than tabs: its newline was hit. */
export const hidesWholeLine = (line: string): boolean => {
  const bare = withoutEnd(line, "\t")
  for (let k = bare.indexOf(tail); k >= 0; k = bare.indexOf(tail, k + 1)) {
    const to = k + tailLength
    if (to < bare.length && verifies(bare, 0, to)) return true
  }
  return false
}

const blank = /^\t*$/
const tab = 9

export type LineKind = "blank" | "whole" | "torn" | "corrupt"

/** What a terminated line is by itself, before its place in the chain is looked at. */
export const lineKind = (text: string, from: number, to: number): LineKind => {
  if (verifies(text, from, to)) return "whole"
  const line = text.slice(from, to)
  if (blank.test(line)) return "blank"
  return line.endsWith("\t") && !hidesWholeLine(line) ? "torn" : "corrupt"
}

/** A journal as the accept rule reads it. */
export interface Journal {
  readonly runId: string
  /** The accepted entries in order; empty when the run is not known. */
  readonly entries: ReadonlyArray<Recorded>
  readonly head: Head
  /** Lines of writers that had lost the run. They are ignored by every reader. */
  readonly rejected: number
  /** Lines that a crash or a full disk cut short. Nobody was told that they were safe. */
  readonly torn: number
}

const isEnvelope = (u: Record<string, unknown>): boolean =>
  Number.isInteger(u.session) && Number.isInteger(u.offset) && typeof u.timestamp === "string"
  && typeof u.incarnation === "string" && typeof u.writer === "string" && typeof u.prev === "string"

/**
 * Reads the text of a journal by the accept rule.
 *
 * Total: every text gives a journal or `JournalCorrupt`. Truncating a text gives a prefix of its
 * entries; every flipped bit is either reported or in a line that was never acknowledged.
 *
 * @example
 * ```ts
 * import { Journal } from "reprise"
 * import { Result } from "effect"
 *
 * const read = Journal.read("r1", "")
 * Result.isSuccess(read) && read.success.entries.length // => 0
 * ```
 */
export const read = (runId: string, text: string): Result.Result<Journal, JournalCorrupt> => {
  const entries: Array<Recorded> = []
  const rejectedSums = new Set<string>()
  let { incarnation, session, writer, prev } = emptyHead
  let line = 0, rejected = 0, torn = 0
  const corrupt = (saw: string) =>
    Result.fail(new JournalCorrupt({ runId, file: "journal", offset: entries.length, line, saw }))

  for (let from = 0, to: number; from < text.length; from = to + 1) {
    line++
    to = text.indexOf("\n", from)
    // What every append to a file begins with.
    if (to === from + 1 && text.charCodeAt(from) === tab) continue
    if (to < 0) {
      const rest = text.slice(from)
      if (hidesWholeLine(rest)) {
        return corrupt("a whole entry is followed by bytes that belong to no entry")
      }
      if (!blank.test(rest)) torn++
      break
    }
    const kind = lineKind(text, from, to)
    if (kind === "blank") continue
    if (kind === "corrupt") return corrupt("its checksum does not match its bytes")
    if (kind === "torn") {
      torn++
      continue
    }
    const u: unknown = parse(text.slice(from, to))
    if (typeof u !== "object" || u === null || !isEnvelope(u as Record<string, unknown>)) {
      return corrupt("it verifies but is not an entry")
    }
    const e = u as Recorded
    if (incarnation !== "" && e.incarnation !== incarnation) {
      rejected++
      rejectedSums.add(e.sum)
      continue
    }
    if (
      e.prev !== prev && !rejectedSums.has(e.prev) && !entries.some((known) => known.sum === e.prev)
      && e.prev !== "-"
    ) {
      return corrupt(`it follows a line with the checksum ${e.prev}, which is not here`)
    }
    const follows = e.prev === prev && e.offset === entries.length
    const mine = e.type === "start"
      ? e.session > session
      : e.session === session && e.writer === writer
    if (!follows || !mine) {
      rejected++
      rejectedSums.add(e.sum)
      continue
    }
    // A newer format may have types of its own: that is told by the format, not as damage.
    const opening = entries[0] ?? e
    if (!isType(e.type) && !(opening.type === "start" && isNewer(opening))) {
      return corrupt(`its type "${String((e as Envelope & { type: unknown }).type)}" is not known`)
    }
    if (e.type === "start") {
      session = e.session
      writer = e.writer
      if (incarnation === "") incarnation = e.incarnation
    }
    entries.push(e)
    prev = e.sum
  }
  return Result.succeed({
    runId,
    entries,
    head: { incarnation, session, writer, offset: entries.length, prev },
    rejected,
    torn
  })
}

const parse = (json: string): unknown => {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}

/** The entry that says what runs: always the first, and always a `start`. */
export const first = (journal: Journal): Start & Envelope | undefined => {
  const entry = journal.entries[0]
  return entry?.type === "start" ? entry : undefined
}

/** Whether a newer version wrote the journal, which this one must not guess at. */
export const isNewer = (start: Start): boolean =>
  start.format !== undefined && start.format > format

/** Ids of the posts that stand in a journal, or stood in those it goes on from: they are taken once. */
export const takenIds = (entries: ReadonlyArray<Entry>): Set<string> => {
  const ids = new Set<string>()
  for (const entry of entries) {
    if (entry.type === "start") {
      for (const id of entry.taken ?? []) ids.add(id)
      for (const id of entry.settled ?? []) ids.add(id)
    } else if ("eventId" in entry && entry.eventId !== undefined) ids.add(entry.eventId)
  }
  return ids
}
