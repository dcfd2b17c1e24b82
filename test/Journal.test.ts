/**
 * The accept rule: which lines of a file count, whatever crashes, zombies, power cuts and flipped bits
 * leave in it. A journal is read as an exact prefix, or refused; never as another one.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Result, Schema } from "effect"
import { appendFileSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Journal, Runs, Workflow } from "reprise"
import { decode, encode } from "../src/storage/Files.ts"
import { local, temporary } from "./storage/support/local.ts"
import { type Random, random } from "./storage/support/random.ts"
import { runs } from "./support/amount.ts"

const timestamp = "2026-01-02T03:04:05.678Z"
const stamp = (session: number, writer: string, incarnation = "first"): Journal.Stamp => ({
  incarnation,
  session,
  writer
})
const start: Journal.Entry = {
  type: "start",
  format: 1,
  workflow: "w",
  runId: "r",
  metadata: "grüße 😀"
}
const again: Journal.Entry = { type: "start" }
const step = (name: string): Journal.Entry => ({ type: "step", stepId: name, name, result: name })

/** One append of entries: its lines, its text, and the head behind it. */
const append = (
  head: Journal.Head,
  by: Journal.Stamp,
  ...entries: ReadonlyArray<Journal.Entry>
) => {
  const sealed = Journal.seal(head, by, entries.map((entry) => Journal.stamped(entry, timestamp)))
  return { ...sealed, text: Journal.write(sealed.lines) }
}

const read = (text: string) => Journal.read("r", text)
const accepted = (text: string): Journal.Journal => Result.getOrThrow(read(text))
const name = (entry: Journal.Entry) => entry.type === "step" ? entry.name : entry.type
const names = (text: string) => accepted(text).entries.map(name)

/** The line with something else in it, sealed again: only the rule itself can refuse it. */
const forge = (line: string, from: string, to: string): string => {
  expect(line).toContain(from)
  return Journal.sealText(`${line.slice(0, line.lastIndexOf(`,"sum":"`)).replace(from, to)}}`)
}

/** What a run of several sessions leaves on a disk, with torn lines and a zombie's among them. */
const realistic = Effect.gen(function*() {
  const directory = temporary()
  const path = join(directory, "r.jsonl")
  const on = local(directory)
  const order = Workflow.make("order", {
    input: Schema.String,
    events: { ok: Schema.Json }
  }, function*(ctx, id) {
    const made = yield* ctx.step("größe", () => ({ text: `${id} 😀 \ud800 \u2028`, n: [1, 2.5] }))
    const first = yield* ctx.suspend("ok", { reason: "é" })
    const both = yield* ctx.all({
      left: ctx.step("left", () => "l"),
      right: ctx.step("right", () => {
        throw new Error("out of paper")
      })
    }, { mode: "result" })
    yield* ctx.step("between", () => JSON.parse(`{"__proto__":1}`) as Record<string, number>)
    const second = yield* ctx.suspend("ok", { key: "2" })
    return [made.n, first, second, Object.keys(both)]
  })
  yield* Effect.provide(order.start("o1", { runId: "r" }), on)
  const old = accepted(decode(readFileSync(path))).head
  appendFileSync(path, encode("\t\n{\"type\":\"start\",\"sess"))
  yield* Effect.provide(order.resume("r", { eventName: "ok", value: "ß" }), on)
  // A zombie of the first session, and a crash in the middle of a character.
  appendFileSync(path, encode(append(old, old, step("zombie"), step("another")).text))
  appendFileSync(path, encode("\t\n{\"name\":\"😀").subarray(0, -2))
  yield* Effect.provide(order.resume("r", { eventName: "ok", key: "2", value: null }), on)
  return readFileSync(path)
})

/** Where each accepted line stands in the file: from its first byte to behind its newline. */
const placesOf = (bytes: Uint8Array, journal: Journal.Journal) =>
  journal.entries.map(({ sum }) => {
    const end = Buffer.from(bytes).indexOf(`,"sum":"${sum}"}\n`) + `,"sum":"${sum}"}\n`.length
    return { from: Buffer.from(bytes).lastIndexOf("\n", end - 2) + 1, to: end }
  })

describe("a journal of several sessions", () => {
  it.live("is read with its torn lines counted and its zombie's lines refused", () =>
    Effect.gen(function*() {
      const bytes = yield* realistic
      const journal = accepted(decode(bytes))
      expect(journal.entries.map(name)).toEqual([
        "start",
        "größe",
        "suspend",
        "start",
        "resume",
        "left",
        "right",
        "between",
        "suspend",
        "start",
        "resume",
        "complete"
      ])
      expect(journal).toMatchObject({ torn: 2, rejected: 2 })
      expect(journal.entries.map((entry) => entry.offset)).toEqual([...journal.entries.keys()])
      expect(journal.head).toMatchObject({ session: 3, offset: 12 })
    }))

  it.live("cut anywhere is an exact prefix, with the torn rest counted, and takes a new session", () =>
    Effect.gen(function*() {
      const bytes = yield* realistic
      const whole = accepted(decode(bytes))
      const places = placesOf(bytes, whole)
      for (let length = 0; length <= bytes.length; length++) {
        const text = decode(bytes.subarray(0, length))
        const journal = accepted(text)
        const count = places.filter(({ to }) => to <= length).length
        expect([length, journal.entries.length]).toEqual([length, count])
        expect(journal.entries).toEqual(whole.entries.slice(0, count))
        const lines = text.split("\n")
        const rest = lines.pop()!
        const torn = lines.filter((line) => /[^\t]\t$/.test(line)).length
        expect([length, journal.torn]).toEqual([length, torn + (/^\t*$/.test(rest) ? 0 : 1)])

        const by = stamp(journal.head.session + 1, "next", journal.head.incarnation || "other")
        const more = append(journal.head, by, count === 0 ? start : again, step("more"))
        const then = accepted(text + more.text)
        expect(then.entries.slice(0, count)).toEqual(journal.entries)
        expect(then.entries.slice(count).map(name)).toEqual(["start", "more"])
      }
    }))

  it.live(
    "with any single bit flipped is refused, or reads the same",
    () =>
      Effect.gen(function*() {
        const bytes = yield* realistic
        const whole = JSON.stringify(accepted(decode(bytes)).entries)
        const places = placesOf(bytes, accepted(decode(bytes)))
        const wrong: Array<string> = []
        let refused = 0
        for (let bit = 0; bit < bytes.length * 8; bit++) {
          const at = bit >> 3
          const isAcknowledged = places.some(({ from, to }) => from <= at && at < to)
          bytes[at]! ^= 1 << (bit & 7)
          const journal = read(decode(bytes))
          bytes[at]! ^= 1 << (bit & 7)
          if (Result.isFailure(journal)) refused++
          else if (isAcknowledged) wrong.push(`bit ${bit} in an acknowledged line is not reported`)
          else if (JSON.stringify(journal.success.entries) !== whole) {
            wrong.push(`bit ${bit} silently changes what is accepted`)
          }
        }
        expect(wrong).toEqual([])
        expect(refused).toBeGreaterThan(bytes.length * 7)
      }),
    60_000
  )

  it.live("with lines removed, doubled or swapped is refused, or reads the same", () =>
    Effect.gen(function*() {
      const bytes = yield* realistic
      const whole = accepted(decode(bytes))
      const lines = decode(bytes).split("\n").filter((line) => line.endsWith(`"}`))
      const text = (of: ReadonlyArray<string>) => of.map((line) => Journal.write([line])).join("")
      const same = JSON.stringify(whole.entries)
      const sums = new Set(whole.entries.map(({ sum }) => sum))
      const last = lines.findLastIndex((line) => JSON.parse(line).sum === whole.head.prev)
      const check = (what: string, changed: ReadonlyArray<string>, isCut = false) => {
        const journal = read(text(changed))
        if (Result.isFailure(journal)) {
          expect(journal.failure).toBeInstanceOf(Journal.JournalCorrupt)
          return
        }
        const { entries } = journal.success
        // Without its last line a journal is a shorter one that nothing tells apart.
        const expected = isCut ? JSON.stringify(whole.entries.slice(0, entries.length)) : same
        expect([what, JSON.stringify(entries)]).toEqual([what, expected])
      }
      check("nothing", lines)
      for (let i = 0; i < lines.length; i++) {
        check(`without ${i}`, lines.toSpliced(i, 1), i === last)
        // A zombie's line that stood earlier would have been its owner's: only where it stands tells.
        if (!sums.has(JSON.parse(lines[i]!).sum)) continue
        for (let j = 0; j <= lines.length; j++) {
          check(`${i} again at ${j}`, lines.toSpliced(j, 0, lines[i]!))
          if (i < j && j < lines.length) {
            check(`${i} and ${j} swapped`, lines.with(i, lines[j]!).with(j, lines[i]!))
          }
        }
      }
    }))
})

describe("a line", () => {
  const one = append(Journal.emptyHead, stamp(1, "a"), start, step("one"))
  const two = append(one.head, stamp(2, "b"), again)
  const base = one.text + two.text
  const next = append(two.head, stamp(2, "b"), step("two")).lines[0]!
  const text = (line: string) => base + Journal.write([line])

  it("counts when it follows and belongs to the session", () => {
    expect(names(text(next))).toEqual(["start", "one", "start", "two"])
  })

  const strangers: ReadonlyArray<readonly [name: string, from: string, to: string]> = [
    ["of an older session", `"session":2`, `"session":1`],
    ["of a later session that was not opened", `"session":2`, `"session":3`],
    ["of another writer of the same session", `"writer":"b"`, `"writer":"c"`],
    ["of another incarnation", `"incarnation":"first"`, `"incarnation":"other"`],
    ["that skips an offset", `"offset":3`, `"offset":4`],
    ["that repeats an offset", `"offset":3`, `"offset":2`],
    ["that follows an earlier line", `"prev":"${two.head.prev}"`, `"prev":"${one.head.prev}"`],
    ["that follows nothing", `"prev":"${two.head.prev}"`, `"prev":"-"`]
  ]
  for (const [what, from, to] of strangers) {
    it(`${what} is refused and counted, and what follows it too`, () => {
      const line = forge(next, from, to)
      expect(names(text(line))).toEqual(["start", "one", "start"])
      expect(accepted(text(line)).rejected).toBe(1)
      const { sum, ...envelope } = JSON.parse(line)
      const behind = append(
        { ...envelope, offset: envelope.offset + 1, prev: sum },
        envelope,
        step("x")
      )
      expect(accepted(text(line) + behind.text).rejected).toBe(2)
      // The owner goes on as if nothing had been there.
      expect(names(text(line) + Journal.write([next]))).toEqual(["start", "one", "start", "two"])
    })
  }

  for (const session of [0, 1, 2]) {
    it(`that opens session ${session} when session 2 is open is refused`, () => {
      const opening = append(two.head, stamp(session, "c"), again)
      expect(names(base + opening.text)).toEqual(["start", "one", "start"])
    })
  }

  it("that opens a session may skip numbers", () => {
    expect(names(base + append(two.head, stamp(9, "c"), again, step("x")).text)).toEqual([
      "start",
      "one",
      "start",
      "start",
      "x"
    ])
  })

  it("that follows a line nobody knows is damage: a line before it is gone", () => {
    const line = forge(next, `"prev":"${two.head.prev}"`, `"prev":"00000000"`)
    expect(Result.getOrThrow(Result.flip(read(text(line))))).toMatchObject({
      _tag: "JournalCorrupt",
      runId: "r",
      file: "journal",
      offset: 3,
      line: 7
    })
  })

  it("of an unknown type in its right place is refused by name", () => {
    const line = forge(next, `"type":"step"`, `"type":"teleport"`)
    const error = Result.getOrThrow(Result.flip(read(text(line))))
    expect(error.message).toContain("teleport")
    // A zombie may have been of another version.
    const zombie = forge(line, `"session":2`, `"session":1`)
    expect(names(text(zombie))).toEqual(["start", "one", "start"])
  })

  it("may have fields that this version does not know", () => {
    const line = forge(next, `"name":"two"`, `"name":"two","later":{"sum":"00000000"}`)
    expect(accepted(text(line)).entries[3]).toMatchObject({ later: { sum: "00000000" } })
  })

  it("that verifies but is no entry is damage", () => {
    for (const body of [`{"a":1`, `[{"a":1`, `{"type":"step"`, `"text`]) {
      const error = Result.getOrThrow(
        Result.flip(read(base + Journal.write([Journal.sealText(`${body}}`)])))
      )
      expect(error).toMatchObject({ _tag: "JournalCorrupt", offset: 3, line: 7 })
    }
  })

  it("without its newline never counts, though it is whole", () => {
    const text = (base + Journal.write([next])).slice(0, -1)
    expect(names(text)).toEqual(["start", "one", "start"])
    expect(accepted(text).torn).toBe(1)
    const behind = append(two.head, stamp(3, "c"), again)
    expect(names(text + behind.text)).toEqual(["start", "one", "start", "start"])
  })

  it("that lost only its newline is reported where other bytes follow it", () => {
    const text = (base + Journal.write([next])).slice(0, -1)
    for (const rest of ["\x0b", "x", "\x0b\t\n", "{\"type\":", "x\n"]) {
      expect(Result.isFailure(read(text + rest))).toBe(true)
    }
  })

  it("that fails its checksum is damage where it ends, and torn where a mark follows it", () => {
    const broken = next.replace("two", "TWO")
    expect(Result.isFailure(read(`${base}\t\n${broken}\n`))).toBe(true)
    expect(Result.isFailure(read(`${base}\t\n${broken}\n\t\n`))).toBe(true)
    expect(accepted(`${base}\t\n${broken}\t\n`).torn).toBe(1)
    expect(accepted(`${base}\t\n${broken.slice(0, 20)}\t\n`).torn).toBe(1)
    expect(accepted(`${base}\t\n${broken.slice(0, 20)}`).torn).toBe(1)
  })
})

describe("a zombie", () => {
  const first = append(Journal.emptyHead, stamp(1, "a"), start, step("one"))
  /** What the owner of session 1 would still write, in one append or in several. */
  const late = append(first.head, stamp(1, "a"), step("late"), step("later"))
  const latest = append(late.head, stamp(1, "a"), step("latest"))

  it("that wakes after a pause is not accepted, wherever its lines land", () => {
    const opening = append(first.head, stamp(2, "b"), again)
    const more = append(opening.head, stamp(2, "b"), step("two"), step("three"))
    const expected = ["start", "one", "start", "two", "three"]
    for (
      const text of [
        first.text + opening.text + late.text + latest.text + more.text,
        first.text + opening.text + late.text + more.text + latest.text,
        first.text + opening.text + more.text + late.text + latest.text
      ]
    ) {
      expect(names(text)).toEqual(expected)
      expect(accepted(text).rejected).toBe(3)
    }
    // Before the new session it was the owner, so its line counts and the beaten start does not.
    expect(names(first.text + late.text + opening.text + more.text)).toEqual([
      "start",
      "one",
      "late",
      "later"
    ])
  })

  it("that wakes after a torn tail is not accepted, nor is its torn line completed", () => {
    for (let length = 0; length < late.text.length; length++) {
      const torn = first.text + late.text.slice(0, length)
      const seen = accepted(torn)
      const opening = append(seen.head, stamp(2, "b"), again)
      const text = torn + opening.text + late.text + latest.text
      const more = append(opening.head, stamp(2, "b"), step("two"))
      const expected = [...seen.entries.map(name), "start", "two"]
      expect([length, names(text + more.text)]).toEqual([length, expected])
      // The rest of a torn write, if it ever came, completes nothing.
      const rest = torn + opening.text + late.text.slice(length)
      const journal = read(rest)
      const then = Result.isSuccess(journal) ? journal.success.entries.map(name) : "refused"
      expect([expected.slice(0, -1), "refused"]).toContainEqual(then)
    }
  })

  it("of a removed run is not accepted by the run made again under its id", () => {
    const reborn = append(Journal.emptyHead, stamp(1, "z", "second"), start)
    const more = append(reborn.head, stamp(1, "z", "second"), step("new"))
    for (
      const text of [
        reborn.text + late.text + latest.text + more.text,
        reborn.text + first.text + late.text + more.text,
        reborn.text + more.text + late.text + latest.text + first.text
      ]
    ) {
      expect(names(text)).toEqual(["start", "new"])
      expect(accepted(text).head.incarnation).toBe("second")
    }
    // Also where it opens a session of its own.
    const opening = append(late.head, stamp(2, "a2"), again)
    expect(names(reborn.text + opening.text + more.text)).toEqual(["start", "new"])
  })
})

describe("any bytes at all", () => {
  it.live("are read or refused, and never throw", () =>
    Effect.gen(function*() {
      const bytes = yield* realistic
      const pieces = decode(bytes).split("\n").flatMap((line) => [line, `${line}\n`])
      const pieceOf = (chance: Random): string =>
        chance.pick<() => string>([
          () => chance.pick(pieces),
          () => chance.pick(pieces).slice(chance.below(40), 40 + chance.below(400)),
          () => chance.pick(["\t", "\n", "\t\n", "\n\n", "{", "}", "\"}", "null\n", "0\n", "\0"]),
          () => `${Journal.sealText(`{"type":"step","offset":${chance.below(9)}}`)}\n`,
          () => `,"sum":"${chance.below(2 ** 31).toString(16).padStart(8, "0")}"}`,
          () => decode(Uint8Array.from({ length: chance.below(30) }, () => chance.below(256)))
        ])()
      for (let seed = 1; seed <= runs(20_000); seed++) {
        const chance = random(seed)
        let text = ""
        for (let n = chance.below(12); n >= 0; n--) text += pieceOf(chance)
        const journal = read(text)
        if (Result.isSuccess(journal)) {
          const { entries, head } = journal.success
          const ok = entries.every((entry, offset) => entry.offset === offset)
            && head.offset === entries.length
          if (!ok) throw new Error(`seed ${seed}: ${JSON.stringify(text)}`)
        } else if (!(journal.failure instanceof Journal.JournalCorrupt)) {
          throw new Error(`seed ${seed} fails with something else`)
        }
      }
    }))
})

describe("a newer format", () => {
  const newer = (...more: ReadonlyArray<string>) => {
    const directory = temporary()
    const one = append(Journal.emptyHead, stamp(1, "a"), { ...start, format: Journal.format + 1 })
    const two = append(one.head, stamp(1, "a"), step("one"))
    const lines = [
      ...one.lines,
      ...two.lines,
      ...more.flatMap((type) =>
        forge(
          append(two.head, stamp(1, "a"), step("two")).lines[0]!,
          `"type":"step"`,
          `"type":"${type}"`
        )
      )
    ]
    writeFileSync(join(directory, "r.jsonl"), Journal.write(lines), { mode: 0o600 })
    return { directory, bytes: () => readFileSync(join(directory, "r.jsonl")) }
  }
  const ran: Array<string> = []
  const workflow = Workflow.make("w", {
    input: Schema.String,
    events: { ok: Schema.Json }
  }, function*(ctx) {
    yield* ctx.step("one", () => ran.push("one"))
    return yield* ctx.step("two", () => ran.push("two"))
  })
  const mismatch = {
    _tag: "VersionMismatch",
    runId: "r",
    of: "journal format",
    recorded: String(Journal.format + 1),
    seen: String(Journal.format)
  }

  for (const more of [[], ["teleport"]]) {
    it.live(`${more.length === 0 ? "" : "with entries of an unknown type "}is refused as such, by every call that drives`, () =>
      Effect.gen(function*() {
        const { bytes, directory } = newer(...more)
        const before = bytes()
        const calls = [
          workflow.start("grüße 😀", { runId: "r" }),
          workflow.execute("grüße 😀", { runId: "r" }),
          workflow.enqueue("grüße 😀", { runId: "r" }),
          workflow.resume("r"),
          workflow.resume("r", { eventName: "ok", value: 1 }),
          workflow.cancel("r")
        ]
        for (const call of calls) {
          const error = yield* Effect.flip(
            Effect.provide(call as Effect.Effect<unknown, unknown, never>, local(directory))
          )
          expect(error).toMatchObject(mismatch)
          expect((error as Error).message).toContain("Nothing was run or written")
        }
        expect(bytes()).toEqual(before)
        expect(ran).toEqual([])
      }))
  }

  it.live("is still listed and shown", () =>
    Effect.gen(function*() {
      const { directory } = newer()
      const on = local(directory)
      expect((yield* Effect.provide(Runs.list(), on)).runs).toMatchObject([{ runId: "r" }])
      expect((yield* Effect.provide(Runs.journal("r"), on)).entries).toHaveLength(2)
    }))

  it.live("in a later session's start changes nothing: the first entry names the format", () =>
    Effect.gen(function*() {
      const directory = temporary()
      const one = append(Journal.emptyHead, stamp(1, "a"), start)
      writeFileSync(join(directory, "r.jsonl"), one.text, { mode: 0o600 })
      const done = yield* Effect.provide(workflow.resume("r"), local(directory))
      expect(done).toMatchObject({ status: "success" })
    }))
})

// ---------------------------------------------------------------------------------------------------
// random histories of one file, byte by byte

interface File {
  readonly incarnation: string
  bytes: Buffer
  /** How many bytes are on the disk for sure. */
  synced: number
}

interface Writer {
  readonly id: number
  life: number
  state: "idle" | "composed" | "written" | "synced" | "open"
  file: File | undefined
  stamp: Journal.Stamp
  head: Journal.Head
  lines: ReadonlyArray<string>
  pending: Buffer
}

const readFile = ({ bytes }: File) => read(decode(bytes))

/** Who may do what in a history. */
interface Weather {
  readonly crashes: number
  readonly powerCuts: number
  readonly shortWrites: boolean
  readonly removals: number
  readonly flips: number
}

/** Runs one history; gives what is wrong with it, if anything, and what happened. */
const history = (
  seed: number,
  weather: Weather
): { wrong: string | undefined; log: Array<string> } => {
  const chance = random(seed)
  const log: Array<string> = []
  let incarnations = 1
  let file: File = { incarnation: "i1", bytes: Buffer.alloc(0), synced: 0 }
  /** Sums of what some writer was told is safe, with all it stands on. */
  let safe: ReadonlyArray<string> = []
  let isFlipped = false
  let { crashes, flips, powerCuts, removals } = weather
  let serial = 0
  const writers = Array.from({ length: 3 }, (_, id): Writer => ({
    id,
    life: 0,
    state: "idle",
    file: undefined,
    stamp: stamp(0, ""),
    head: Journal.emptyHead,
    lines: [],
    pending: Buffer.alloc(0)
  }))
  const die = (writer: Writer) => {
    writer.state = "idle"
    writer.life++
  }
  const compose = (writer: Writer, entries: ReadonlyArray<Journal.Entry>) => {
    const { head, lines, text } = append(writer.head, writer.stamp, ...entries)
    Object.assign(writer, { head, lines, pending: Buffer.from(encode(text)), state: "composed" })
  }
  const write = (writer: Writer, bytes: Uint8Array) => {
    writer.file!.bytes = Buffer.concat([writer.file!.bytes, bytes])
  }
  const some = () => {
    const entries: Array<Journal.Entry> = []
    for (let n = chance.below(3); n >= 0; n--) entries.push(step(`é${serial++}`))
    return entries
  }
  /** What reading shows when it should be readable; the wrongness otherwise. */
  const turn = (writer: Writer): string | undefined => {
    switch (writer.state) {
      case "idle": {
        const journal = readFile(file)
        if (Result.isFailure(journal)) return isFlipped ? undefined : "a sound journal is refused"
        const { head } = journal.success
        const isNew = head.offset === 0
        writer.file = file
        writer.head = head
        writer.stamp = stamp(
          head.session + 1,
          `w${writer.id}.${writer.life}`,
          isNew ? `${file.incarnation}.${writer.id}.${writer.life}` : head.incarnation
        )
        log.push(`${writer.id} reads ${head.offset}, will open ${head.session + 1}`)
        compose(writer, [isNew ? start : again, ...chance.oneIn(2) ? some() : []])
        return
      }
      case "composed": {
        if (crashes > 0 && chance.oneIn(8)) {
          crashes--
          const taken = chance.below(writer.pending.length + 1)
          write(writer, writer.pending.subarray(0, taken))
          log.push(`${writer.id} crashes after ${taken} of ${writer.pending.length} bytes`)
          die(writer)
          return
        }
        const isShort = weather.shortWrites && chance.oneIn(6)
        const taken = isShort ? 1 + chance.below(writer.pending.length - 1) : writer.pending.length
        write(writer, writer.pending.subarray(0, taken))
        log.push(`${writer.id} writes ${taken} of ${writer.pending.length} bytes`)
        writer.state = "written"
        return
      }
      case "written":
        writer.file!.synced = writer.file!.bytes.length
        writer.state = "synced"
        return
      case "synced": {
        const journal = readFile(writer.file!)
        const isSame = writer.file === file
        if (!isSame || Result.isFailure(journal)) {
          log.push(`${writer.id} stops: ${isSame ? "damage" : "another file"}`)
          die(writer)
          return !isSame || isFlipped ? undefined : "a sound journal is refused"
        }
        const { entries, head } = journal.success
        const sums = entries.map(({ sum }) => sum)
        const own = writer.lines.map((line) => JSON.parse(line) as Journal.Recorded)
        const missing = own.filter(({ sum }) => !sums.includes(sum))
        if (missing.length === 0) {
          const upTo = sums.indexOf(own.at(-1)!.sum) + 1
          log.push(`${writer.id} acknowledges ${upTo - own.length} to ${upTo - 1}`)
          if (upTo > safe.length) safe = sums.slice(0, upTo)
          writer.state = head.writer === writer.stamp.writer ? "open" : "idle"
          if (writer.state === "idle") die(writer)
          return
        }
        if (missing[0]!.prev !== head.prev) {
          log.push(`${writer.id} is fenced`)
          const isMine = head.session === writer.stamp.session
            && head.writer === writer.stamp.writer
          die(writer)
          return isMine ? "an owner is fenced by nobody" : undefined
        }
        log.push(`${writer.id} writes ${missing.length} of ${own.length} lines anew`)
        writer.head = head
        compose(writer, missing)
        return
      }
      case "open":
        compose(writer, some())
        return
    }
  }
  const calamity = (): boolean => {
    const dice = chance.below(100)
    if (dice < 3 && powerCuts > 0) {
      powerCuts--
      const kept = file.synced + chance.below(file.bytes.length - file.synced + 1)
      log.push(`the power goes: ${kept} of ${file.bytes.length} bytes are left`)
      file = { ...file, bytes: file.bytes.subarray(0, kept), synced: kept }
      writers.forEach(die)
      return true
    }
    if (dice < 6 && removals > 0 && safe.length > 0) {
      removals--
      const incarnation = `i${++incarnations}`
      log.push(`the run is removed and made again as ${incarnation}`)
      const { text } = append(Journal.emptyHead, stamp(1, "new", incarnation), start)
      const bytes = Buffer.from(encode(text))
      // Zombies that write by path write into the new file.
      const isByPath = chance.oneIn(2)
      const old = file
      isFlipped = false
      file = { incarnation, bytes, synced: bytes.length }
      if (isByPath) { for (const writer of writers) if (writer.file === old) writer.file = file }
      safe = accepted(decode(bytes)).entries.map(({ sum }) => sum)
      return true
    }
    if (dice < 10 && flips > 0 && safe.length > 2) {
      flips--
      isFlipped = true
      const sum = chance.pick(safe)
      const end = file.bytes.indexOf(`"sum":"${sum}"}\n`) + sum.length + 10
      const from = file.bytes.lastIndexOf("\n", end - 2) + 1
      const at = from + chance.below(end - from)
      file.bytes = Buffer.from(file.bytes)
      file.bytes[at]! ^= 1 << chance.below(8)
      log.push(`a bit flips at ${at}, in an acknowledged line from ${from} to ${end}`)
      return true
    }
    return false
  }
  const check = (): string | undefined => {
    const journal = readFile(file)
    if (Result.isFailure(journal)) return isFlipped ? undefined : "a sound journal is refused"
    if (isFlipped) return "a flipped bit in an acknowledged line is not reported"
    const sums = journal.success.entries.map(({ sum }) => sum)
    return safe.every((sum, offset) => sums[offset] === sum)
      ? undefined
      : "an acknowledged entry is not accepted"
  }
  for (let turns = 0; turns < 60; turns++) {
    const wrong = (calamity() ? undefined : turn(chance.pick(writers))) ?? check()
    if (wrong !== undefined) return { wrong, log }
  }
  return { wrong: undefined, log }
}

describe("random histories of writers", () => {
  const calm: Weather = { crashes: 0, powerCuts: 0, shortWrites: false, removals: 0, flips: 0 }
  const weathers: ReadonlyArray<readonly [name: string, weather: Weather]> = [
    ["with zombies", calm],
    ["with zombies and crashes", { ...calm, crashes: 4 }],
    ["with crashes and power cuts", { ...calm, crashes: 3, powerCuts: 2 }],
    ["with short writes", { ...calm, crashes: 2, shortWrites: true }],
    ["with removed runs", { ...calm, crashes: 2, removals: 2 }],
    ["with flipped bits", { ...calm, crashes: 2, flips: 1 }],
    ["with all of it", { crashes: 3, powerCuts: 2, shortWrites: true, removals: 2, flips: 1 }]
  ]
  for (const [name, weather] of weathers) {
    it(`${name} lose nothing that was acknowledged and refuse nothing that is sound`, () => {
      for (let seed = 1; seed <= runs(120); seed++) {
        const { log, wrong } = history(seed, weather)
        if (wrong !== undefined) throw new Error(`seed ${seed}: ${wrong}\n${log.join("\n")}`)
      }
    })
  }

  it("are the same for the same seed", () => {
    const weather = weathers.at(-1)![1]
    for (let seed = 1; seed <= 5; seed++) {
      expect(history(seed, weather)).toEqual(history(seed, weather))
    }
  })
})
