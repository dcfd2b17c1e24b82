/**
 * The text of a checkpoint: it comes back as it went in, whatever stands in it, and no text that is not
 * whole and as it was made is taken, with a reason that says what became of it.
 */
import { describe, expect, it } from "@effect/vitest"
import { Context, Duration, Effect, Exit } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { crc32 } from "node:zlib"
import { Checkpoint, Journal, Runs, Storage, Workflow } from "reprise"
import { drawn } from "./support/amount.ts"

type Kept = Checkpoint.Checkpoint["entries"][number]

const at = (millis: number) => new Date(1_700_000_000_000 + millis).toISOString()

const made = (
  entries: ReadonlyArray<Kept>,
  more: Partial<Checkpoint.Checkpoint<unknown>> = {}
): Checkpoint.Checkpoint<unknown> => ({
  workflow: "triage",
  version: undefined,
  runId: "r1",
  offset: entries.length + 1,
  metadata: { id: "t1" },
  seed: "seed",
  timestamp: at(0),
  continues: undefined,
  taken: [],
  entries,
  stepName: "classify",
  stepId: "classify",
  output: {},
  createdAt: 1_700_000_000_000,
  expiresAt: undefined,
  ...more
})

const step = (stepId: string, result?: Journal.Step["result"], name = stepId): Kept => ({
  entry: {
    type: "step",
    stepId,
    name,
    ...(result === undefined ? undefined : { result })
  },
  timestamp: at(1)
})

const few = made([step("classify", { category: "bug", severity: 5 }), step("draft", "grüße 😀")])

/** Keys that only turn every bit round, with ids and places as real ones have them. */
const turning = (how: "s" | "e", keyId = "k_1-A"): Checkpoint.KeysShape => ({
  protect: (bytes) => ({ how, keyId, bytes: bytes.map((byte) => byte ^ 255) }),
  open: (kind, id, bytes) =>
    id !== keyId ? "UnknownKey" : kind !== how ? "Forged" : bytes.map((byte) => byte ^ 255)
})
const keysOf = { plain: undefined, signed: turning("s"), encrypted: turning("e") } as const

const write = (checkpoint: Checkpoint.Checkpoint<unknown>, keys?: Checkpoint.KeysShape) =>
  Effect.runSync(
    Effect.provideService(Checkpoint.serializeCheckpoint(checkpoint), Checkpoint.Keys, keys)
  )

const now = 1_700_000_000_000

/** What reading a text comes to, as the engine does it, and without an Effect for each of many texts. */
const read = (text: unknown, keys?: Checkpoint.KeysShape, millis = now) =>
  Checkpoint.open(text, Context.make(Checkpoint.Keys, keys) as Context.Context<never>, millis)

const reasonOf = (text: unknown, keys?: Checkpoint.KeysShape, millis = now) => {
  const opened = read(text, keys, millis)
  return opened instanceof Checkpoint.CheckpointRejected ? opened.reason : "taken"
}

const taken = (text: string, keys?: Checkpoint.KeysShape): Checkpoint.Checkpoint => {
  const opened = read(text, keys)
  if (opened instanceof Checkpoint.CheckpointRejected) throw opened
  return opened
}

/** The text with its sum made anew, as somebody would who has no key. */
const resealed = (text: string) => {
  const body = text.slice(0, -8)
  return body + crc32(body).toString(16).padStart(8, "0")
}

/** A text of a payload of one's own, with length and sum as they should be. */
const forged = (payload: string, how = "p") => {
  const body = Buffer.from(payload).toString("base64url")
  for (let digits = 1;; digits++) {
    const length = (`rcp1.${how}..${body}.`.length + digits + 8).toString(36)
    if (length.length === digits) return resealed(`rcp1.${how}.${length}.${body}.00000000`)
  }
}

const payloadOf = (text: string) => Buffer.from(text.split(".")[3]!, "base64url").toString()

/** Two members of each class, so that there is another one for every character. */
const classes = {
  digit: "07",
  upper: "AQ",
  lower: "ez",
  dash: "-",
  underscore: "_",
  dot: ".",
  space: " \t",
  newline: "\n\r",
  punctuation: "+/=%",
  nul: "\0",
  "non-ASCII": "éＡ",
  "a kind of dash": "‑−",
  "a lone surrogate": "\ud83d\ude00"
}
const others = Object.values(classes).flatMap((members) => Array.from(members.split("")))
others.push("😀", "")

describe("the text", () => {
  it("is of A-Z a-z 0-9 - _ . only, whatever stands in it", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "binary" }),
        fc.jsonValue(),
        fc.constantFrom(...Object.values(keysOf)),
        (name, value, keys) => {
          const all = made([step(name, { [name]: value as Journal.Step["result"] ?? null })], {
            metadata: name,
            workflow: name,
            stepName: name
          })
          expect(write(all, keys)).toMatch(/^[A-Za-z0-9._-]+$/)
        }
      ),
      drawn(200)
    )
  })

  for (const [kind, keys] of Object.entries(keysOf)) {
    const text = write(few, keys)

    it(`of a ${kind} checkpoint is refused with any one character changed to one of any class`, () => {
      const lengthEnds = text.indexOf(".", text.indexOf(".", 5) + 1)
      for (let i = 0; i < text.length; i++) {
        for (const other of others) {
          if (other === text[i]) continue
          const changed = text.slice(0, i) + other + text.slice(i + 1)
          const reason = reasonOf(changed, keys)
          const expected = other === ""
            ? /^(Truncated|Changed|NotACheckpoint)$/
            : i < 5
            ? /^(NotACheckpoint|Newer)$/
            : i < lengthEnds
            ? /^(Changed|Truncated)$/
            : /^Changed$/
          expect(reason, `${JSON.stringify(other)} at ${i}`).toMatch(expected)
        }
      }
    })

    it(`of a ${kind} checkpoint is refused wherever it is cut, as cut`, () => {
      for (let length = 1; length < text.length; length++) {
        expect([length, reasonOf(text.slice(0, length), keys)]).toEqual([length, "Truncated"])
      }
      expect(reasonOf("", keys)).toBe("NotACheckpoint")
    })

    it(`of a ${kind} checkpoint is refused with its beginning cut off`, () => {
      for (let from = 1; from < text.length; from++) {
        expect([from, reasonOf(text.slice(from), keys)]).toEqual([from, "NotACheckpoint"])
      }
    })

    it(`of a ${kind} checkpoint is refused with characters dropped, doubled, or in another order`, () => {
      for (let i = 0; i < text.length; i++) {
        const before = text.slice(0, i), rest = text.slice(i + 1)
        const doubled = reasonOf(before + text[i] + text[i] + rest, keys)
        expect(doubled, `doubled at ${i}`).not.toBe("taken")
        expect(reasonOf(before + rest, keys), `dropped at ${i}`).not.toBe("taken")
        for (let j = i + 1; j < Math.min(text.length, i + 40); j++) {
          if (text[j] === text[i]) continue
          const swapped = before + text[j] + text.slice(i + 1, j) + text[i] + text.slice(j + 1)
          expect(reasonOf(swapped, keys), `${i} and ${j} swapped`).not.toBe("taken")
        }
      }
    })

    it(`of a ${kind} checkpoint is refused with anything before or behind it`, () => {
      for (const more of ["\n", " ", "\r\n", ".", "0", "=", text, "\ufeff"]) {
        expect(reasonOf(text + more, keys)).toBe("Changed")
        expect(reasonOf(more + text, keys)).not.toBe("taken")
      }
      expect(reasonOf(text.toUpperCase(), keys)).toBe("NotACheckpoint")
      expect(reasonOf(encodeURIComponent(text), keys)).toBe("taken")
    })
  }

  it("is refused with two characters changed, or a part of it moved", () => {
    const text = write(few)
    const place = fc.nat({ max: text.length - 1 })
    const character = fc.constantFrom(...Array.from("AZaz09-_."))
    fc.assert(
      fc.property(place, character, place, character, (i, a, j, b) => {
        const changed = text.split("")
        changed[i] = a
        changed[j] = b
        fc.pre(changed.join("") !== text)
        expect(reasonOf(changed.join(""))).not.toBe("taken")
      }),
      drawn(2_000)
    )
    fc.assert(
      fc.property(place, place, place, (i, j, k) => {
        const [from, to] = [Math.min(i, j), Math.max(i, j)]
        const without = text.slice(0, from) + text.slice(to)
        const moved = without.slice(0, k) + text.slice(from, to) + without.slice(k)
        fc.pre(moved !== text)
        expect(reasonOf(moved)).not.toBe("taken")
      }),
      drawn(2_000)
    )
  })

  it("that is none is said to be none, and breaks nothing", () => {
    const none: ReadonlyArray<unknown> = [
      undefined,
      null,
      0,
      NaN,
      1n,
      true,
      Symbol("x"),
      {},
      [],
      [write(few)],
      () => write(few),
      Buffer.from(write(few)),
      new String(write(few)),
      new Error("x")
    ]
    for (const u of none) expect(reasonOf(u)).toBe("NotACheckpoint")
    for (const text of [" ", "{}", "null", "undefined", "rcp", "RCP1.p", "xrcp1.", "rcp-1.", "."]) {
      expect([text, reasonOf(text)])
        .toEqual([text, "rcp1.".startsWith(text) ? "Truncated" : "NotACheckpoint"])
    }
    const near = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.array(fc.constantFrom("rcp1", "rcp", ".", "p", "s-", "e-", "1k", "0", "AAAA", "\n"))
        .map((parts) => parts.join("")),
      fc.string({ unit: "binary" }).map((rest) => `rcp1.p.${rest}`)
    )
    fc.assert(
      fc.property(near, (text) => {
        expect(reasonOf(text)).not.toBe("taken")
      }),
      drawn(2_000)
    )
  })

  it("of a newer format is said to be newer", () => {
    const text = write(few)
    for (const version of ["2", "3", "10", "999"]) {
      expect(reasonOf(`rcp${version}${text.slice(4)}`)).toBe("Newer")
      expect(reasonOf(`rcp${version}.something else`)).toBe("Newer")
    }
    expect(read("rcp7.x")).toMatchObject({ reason: "Newer", saw: expect.stringContaining("rcp7") })
  })

  it("says of each refusal what was seen, what to do, and that nothing was run", () => {
    const text = write(few)
    const texts = ["", "rcp1", text.slice(0, -1), `${text} `, "rcp9.x", "hello", 5]
    for (const refused of texts) {
      const rejected = read(refused) as Checkpoint.CheckpointRejected
      expect(rejected).toBeInstanceOf(Checkpoint.CheckpointRejected)
      expect(rejected._tag).toBe("CheckpointRejected")
      expect(rejected.message).toContain(`(${rejected.reason})`)
      expect(rejected.message).toContain("Nothing was run or written.")
    }
    expect((read(text.slice(0, 50)) as Error).message)
      .toContain(`only 50 of ${text.length} characters`)
  })
})

describe("a checkpoint that is written and read", () => {
  const json: fc.Arbitrary<any> = fc.jsonValue({ maxDepth: 3, stringUnit: "binary" })
    .map((value) => JSON.parse(JSON.stringify(value)))
  const odd = fc.constantFrom(
    "",
    "__proto__",
    "constructor",
    "toString",
    "a b",
    "a\nb",
    "\"",
    "0",
    "x#2",
    "all[0]/x",
    "\ud800",
    "\u2028",
    "名前"
  )
  const text = fc.oneof(odd, fc.string({ unit: "binary", maxLength: 12 }))
  const maybe = <T>(key: string, values: fc.Arbitrary<T>) =>
    fc.option(values, { nil: undefined })
      .map((value) => value === undefined ? {} : { [key]: value })
  const all = (...parts: ReadonlyArray<fc.Arbitrary<object>>) =>
    fc.tuple(...parts).map((objects) => Object.assign({}, ...objects))
  const is = (type: string) => fc.constant({ type })
  const only = <T>(key: string, values: fc.Arbitrary<T>) =>
    values.map((value) => ({ [key]: value }))
  const declared = maybe("declared", fc.constant(true))
  const entry: fc.Arbitrary<Journal.Entry> = fc.oneof(
    all(is("step"), only("stepId", text), only("name", text), maybe("result", json)),
    text.map((id) => ({ type: "step", stepId: id, name: id })),
    all(
      is("step"),
      only("stepId", text),
      only("name", text),
      only("error", json),
      declared,
      maybe("attempts", fc.nat())
    ),
    all(
      is("resume"),
      only("stepId", text),
      only("eventName", text),
      maybe("key", text),
      maybe("value", json),
      only("eventId", text)
    ),
    all(
      is("event"),
      only("eventName", text),
      maybe("key", text),
      maybe("value", json),
      only("eventId", text)
    ),
    all(is("timer"), only("stepId", text), maybe("event", text)),
    all(
      is("child"),
      only("stepId", text),
      only("childId", text),
      maybe("result", json),
      maybe("error", json),
      declared
    ),
    all(is("patch"), only("changeId", text)),
    all(is("undo"), only("stepId", text), maybe("error", json)),
    all(is("cancel"), only("eventId", text), maybe("reason", text))
  )
  const time = fc.integer({ min: -1_000, max: 100_000_000 }).map(at)
  const kept: fc.Arbitrary<ReadonlyArray<Kept>> = fc.array(
    fc.record({ entry, timestamp: time }),
    { maxLength: 12 }
  )
  const checkpoint: fc.Arbitrary<Checkpoint.Checkpoint<unknown>> = fc.record({
    workflow: text,
    version: fc.option(text, { nil: undefined }),
    runId: text,
    offset: fc.nat(),
    metadata: fc.option(json, { nil: undefined }),
    seed: text,
    timestamp: time,
    continues: fc.option(text, { nil: undefined }),
    taken: fc.array(text),
    entries: kept,
    stepName: text,
    stepId: text,
    output: fc.constant({}),
    createdAt: fc.nat(),
    expiresAt: fc.option(fc.integer({ min: now + 1, max: now * 2 }), { nil: undefined })
  })

  /** By name, the latest; a list, since a name may be one that an object treats differently. */
  const outputOf = (entries: ReadonlyArray<Kept>) => {
    const results = new Map<string, unknown>()
    for (const { entry } of entries) {
      if (entry.type === "step" && entry.error === undefined) results.set(entry.name, entry.result)
    }
    return [...results].toSorted(([a], [b]) => a < b ? -1 : 1)
  }

  for (const [kind, keys] of Object.entries(keysOf)) {
    it(`is what it was: ${kind}`, () => {
      fc.assert(
        fc.property(checkpoint, (before) => {
          const { output, ...after } = taken(write(before, keys), keys)
          const { output: _, ...rest } = before
          expect(after).toEqual(rest)
          expect(Object.entries(output).toSorted(([a], [b]) => a < b ? -1 : 1))
            .toEqual(outputOf(before.entries))
        }),
        drawn(300)
      )
    })
  }

  it("gives the same text again, which is taken in the same way", () => {
    fc.assert(
      fc.property(checkpoint, (before) => {
        const first = write(before)
        expect(write(taken(first))).toBe(first)
      }),
      drawn(300)
    )
  })

  it("keeps what a step called __proto__ gave, and no object changes by it", () => {
    const own = JSON.parse(`{"__proto__":{"polluted":true},"constructor":1}`)
    const { entries, metadata, output } = taken(
      write(made([step("__proto__", own), step("constructor", 2)], { metadata: own }))
    )
    expect(JSON.stringify(metadata)).toBe(JSON.stringify(own))
    expect(entries[0]!.entry).toEqual({
      type: "step",
      stepId: "__proto__",
      name: "__proto__",
      result: own
    })
    expect(({} as { polluted?: boolean }).polluted).toBe(undefined)
    expect(Object.keys(output)).toEqual(["__proto__", "constructor"])
    expect(Object.entries(output)).toEqual([["__proto__", own], ["constructor", 2]])
    expect((output as { polluted?: boolean }).polluted).toBe(undefined)
  })

  it("tells a step without a value from one that gave null, and its name from its id", () => {
    const entries = [
      step("a"),
      step("b", null),
      step("a#2", undefined, "a"),
      step("b#2", null, "b"),
      step("0", 0),
      step("all[0]/0", 0, "0"),
      step("", ""),
      step("x", false, ""),
      step("y", [])
    ]
    const read = taken(write(made(entries)))
    expect(read.entries).toEqual(entries)
    expect("a" in read.output && read.output.a === undefined).toBe(true)
    expect(read.output.b).toBe(null)
  })

  it("keeps times that go backwards, stand still, and are far apart", () => {
    const times = [0, 0, 5, 5, 4, -3, 86_400_000 * 400, 86_400_000 * 400, 1]
    const entries = times.map((millis, k): Kept => ({
      entry: { type: "timer", stepId: `sleep#${k}` },
      timestamp: at(millis)
    }))
    expect(taken(write(made(entries, { timestamp: at(5) }))).entries).toEqual(entries)
  })

  it("may be empty, or of many steps and a long text", () => {
    expect(taken(write(made([]))).entries).toEqual([])
    const long = "ß😀\ud800".repeat(200_000)
    const many = Array.from({ length: 20_000 }, (_, k) => step(`step#${k}`, k, "step"))
    for (const keys of Object.values(keysOf)) {
      const text = write(made([step("long", long), ...many]), keys)
      const { entries, output } = taken(text, keys)
      expect(entries.length).toBe(20_001)
      expect(output.long === long).toBe(true)
      expect(output.step).toBe(19_999)
      expect(reasonOf(text.slice(0, -1), keys)).toBe("Truncated")
      const middle = text.length >> 1
      const other = text[middle] === "A" ? "B" : "A"
      expect(reasonOf(text.slice(0, middle) + other + text.slice(middle + 1), keys)).toBe("Changed")
    }
  })

  it("is small: some ten characters a step besides what it gave", () => {
    const steps = Array.from({ length: 1_000 }, (_, k) => step(`s${k}`, k))
    const given = steps.reduce((sum, _, k) => sum + `"s${k}"${k}`.length, 0)
    const text = write(made(steps))
    expect(text.length).toBeLessThan((given + 1_000 * 12 + 1_000) * 4 / 3)
  })
})

describe("a text that somebody made who knows the form", () => {
  const payload = payloadOf(write(few))

  it("is taken as it is where there are no keys: the sum tells accidents only", () => {
    const text = forged(payload.replace("grüße", "hello"))
    expect(taken(text).output.draft).toBe("hello 😀")
  })

  it("is refused as no checkpoint when it is none inside", () => {
    const insides = [
      "",
      "x",
      "null",
      "5",
      "[]",
      "{",
      "\"\"",
      `${payload}\n`,
      `${payload}\n\n`,
      `${payload}\n0`,
      `${payload}\n0 `,
      `${payload}\n0 null`,
      `${payload}\nzz`,
      `${payload}\n{}`,
      `\n${payload}`
    ]
    for (const inside of insides) {
      expect([inside, reasonOf(forged(inside))]).toEqual([inside, "NotACheckpoint"])
    }
    for (const bytes of ["AAA", "A", "-_-_", "gICA"]) {
      const text = forged(payload)
      const parts = text.split(".")
      const body = resealed(`rcp1.p.0.${bytes}.00000000`)
      const exact = resealed(`rcp1.p.${body.length.toString(36)}.${bytes}.00000000`)
      expect(parts.length).toBe(5)
      expect([bytes, reasonOf(exact)]).toEqual([bytes, "NotACheckpoint"])
    }
  })

  /** What comes of a payload that is none of ours: a refusal, or a run that can be read. */
  const outcomeOf = (inside: string) =>
    Effect.gen(function*() {
      const workflow = Workflow.make("triage", function*(ctx, _: { readonly id: string }) {
        const { severity } = yield* ctx.step("classify", () => ({ category: "bug", severity: 5 }))
        return yield* ctx.step("draft", () => `${severity}`)
      })
      const exit = yield* Effect.exit(workflow.runCheckpoint(forged(inside), { runId: "n" }))
      if (Exit.isSuccess(exit)) {
        const journal = yield* Effect.exit(Runs.journal("n"))
        if (Exit.isFailure(journal)) return "a run whose journal cannot be read"
        const { metadata, seed, source, timestamp } = Journal.first(journal.value)!
        const isFit = Number.isInteger(source?.offset) && typeof source?.runId === "string"
          && typeof seed === "string" && Number.isFinite(Date.parse(timestamp))
          && metadata !== null
        return isFit ? workflow.replay(journal.value)._tag : "a run whose beginning is damaged"
      }
      if ((yield* Runs.list()).runs.length > 0) return "a run, and a refusal"
      return exit.cause.reasons.map((reason) =>
        reason._tag === "Fail" ? reason.error._tag : `${reason._tag}: ${String(exit.cause)}`
      ).join()
    }).pipe(Effect.provide(Storage.layerMemory), Effect.runSync)
  const [header, ...rest] = payload.split("\n") as [string, ...Array<string>]

  it("with a header that none of ours has is refused", () => {
    const fields = [
      "workflow",
      "runId",
      "offset",
      "seed",
      "timestamp",
      "stepId",
      "stepName",
      "createdAt"
    ]
    const wrong = fields.flatMap((field) =>
      [undefined, null, {}, [], true, field === "offset" || field === "createdAt" ? "x" : 5].map((
        value
      ) => JSON.stringify({ ...JSON.parse(header), [field]: value }))
    )
    for (const head of ["{}", ...wrong]) {
      expect([head, outcomeOf([head, ...rest].join("\n"))]).toEqual([head, "CheckpointRejected"])
    }
    expect(outcomeOf(payload)).toBe("Returned")
  })

  it("with an entry that none of ours has is refused", () => {
    const lines = [
      `0 5`,
      `0 {}`,
      `0 []`,
      `0 [5]`,
      `0 [null,null,null]`,
      `0 "x"`,
      `0 true`,
      `0 {"type":"start"}`,
      `0 {"type":"complete","result":1}`,
      `0 {"type":"suspend"}`,
      `0 {"type":"intent"}`,
      `0 {"type":"nonsense"}`,
      `0 {"type":"step"}`,
      `0 {"type":"step","stepId":5,"name":5}`,
      `0 {"type":"cancel"}`,
      `0 {"type":"event"}`,
      `0 {"type":"resume","stepId":"x"}`,
      `x {"type":"patch","changeId":"x"}`,
      `!! ["classify",0,1]`,
      `1000000000000 ["classify",0,1]`
    ]
    for (const line of lines) {
      for (const all of [[header, line], [header, line, ...rest], [header, ...rest, line]]) {
        expect([all.slice(1), outcomeOf(all.join("\n"))])
          .toEqual([all.slice(1), "CheckpointRejected"])
      }
    }
  })
})

describe("keys", () => {
  const payload = payloadOf(write(few))

  it("open what they protect, and nothing else", () => {
    const { encrypted, signed } = keysOf
    expect(reasonOf(write(few), signed)).toBe("Unprotected")
    expect(reasonOf(write(few, signed))).toBe("UnknownKey")
    expect(reasonOf(write(few, turning("s", "other")), signed)).toBe("UnknownKey")
    expect(reasonOf(write(few, encrypted), signed)).toBe("Forged")
    expect(reasonOf(forged(payload), signed)).toBe("Unprotected")
    expect(read(write(few, turning("s", "other")), signed))
      .toMatchObject({ saw: expect.stringContaining("\"other\"") })
  })

  it("may be given an id of 64 characters, and no text with another id is looked at", () => {
    const long = turning("e", "a".repeat(64))
    expect(reasonOf(write(few, long), long)).toBe("taken")
    const asked: Array<string> = []
    const curious: Checkpoint.KeysShape = {
      ...turning("s"),
      open: (how, id) => {
        asked.push(`${how} ${id}`)
        return "Forged"
      }
    }
    for (const how of ["s-", `s-${"a".repeat(65)}`, "s-a b", "x-a", "s", "e", "ss-a", "s-ä"]) {
      expect([how, reasonOf(forged(payload, how), curious)]).toEqual([how, "Changed"])
    }
    expect(asked).toEqual([])
    expect(reasonOf(forged(payload, "s-fine"), curious)).toBe("Forged")
    expect(asked).toEqual(["s fine"])
  })

  it("that open a text to something else make it no checkpoint", () => {
    const wrong: Checkpoint.KeysShape = {
      ...turning("s"),
      open: () => new TextEncoder().encode("\ufeff{}?")
    }
    expect(reasonOf(write(few, wrong), wrong)).toBe("NotACheckpoint")
  })
})

describe("the time in which a checkpoint may be used", () => {
  const one = Workflow.make("one", function*(ctx) {
    return yield* ctx.step("a", () => 1)
  })
  const go = (text: string, runId: string) =>
    Effect.map(Effect.exit(one.runCheckpoint(text, { runId })), (exit) =>
      Exit.isSuccess(exit)
        ? exit.value.status
        : exit.cause.reasons.map((reason) =>
          reason._tag === "Fail" && reason.error._tag === "CheckpointRejected"
            ? reason.error.reason
            : reason._tag
        )[0])

  it.effect("ends at its last millisecond, and not before", () =>
    Effect.gen(function*() {
      yield* one.start(undefined, { runId: "r" })
      yield* TestClock.adjust(5_000)
      const text = yield* one.checkpoint("r", { expiresIn: "1 hour" })
      expect(yield* Checkpoint.deserializeCheckpoint(text))
        .toMatchObject({ createdAt: 5_000, expiresAt: 3_605_000 })
      yield* TestClock.setTime(3_604_999)
      expect(yield* go(text, "n1")).toBe("success")
      expect((yield* Checkpoint.deserializeCheckpoint(text)).stepId).toBe("a")
      yield* TestClock.setTime(3_605_000)
      expect(yield* go(text, "n2")).toBe("Expired")
      expect(yield* Effect.flip(Checkpoint.deserializeCheckpoint(text)))
        .toMatchObject({
          reason: "Expired",
          saw: expect.stringContaining("1970-01-01T01:00:05.000Z")
        })
      expect(yield* Effect.flip(one.contextOf(text))).toMatchObject({ reason: "Expired" })
      expect(yield* Effect.flip(Runs.status("n2"))).toBeInstanceOf(Runs.RunNotFound)
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("is for ever by default, and as Lifetime says, of a hook's checkpoint too", () =>
    Effect.gen(function*() {
      const texts: Array<string> = []
      const onStepComplete = (event: { readonly checkpoint: string }) => {
        texts.push(event.checkpoint)
      }
      yield* one.start(undefined, { runId: "r", onStepComplete })
      yield* Effect.provideService(
        one.start(undefined, { runId: "s", onStepComplete }),
        Checkpoint.Lifetime,
        "2 seconds"
      )
      texts.push(
        yield* one.checkpoint("r").pipe(Effect.provideService(Checkpoint.Lifetime, 2_000)),
        // What a call says goes before what holds for all.
        yield* one.checkpoint("r", { expiresIn: 10_000 }).pipe(
          Effect.provideService(Checkpoint.Lifetime, 2_000)
        )
      )
      yield* TestClock.setTime(2_000)
      const now = yield* Effect.forEach(texts, (text, k) => go(text, `n${k}`))
      expect(now).toEqual(["success", "Expired", "Expired", "success"])
      yield* TestClock.setTime(1e12)
      const later = yield* Effect.forEach(texts, (text, k) => go(text, `l${k}`))
      expect(later).toEqual(["success", "Expired", "Expired", "Expired"])
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("may be none, or have no end", () =>
    Effect.gen(function*() {
      yield* one.start(undefined, { runId: "r" })
      const none = yield* one.checkpoint("r", { expiresIn: 0 })
      expect(yield* go(none, "n0")).toBe("Expired")
      const ever = yield* one.checkpoint("r", { expiresIn: Duration.infinity })
      expect(yield* go(ever, "n1")).toBe("success")
      yield* TestClock.setTime(1e12)
      expect(yield* go(ever, "n2")).toBe("success")
    }).pipe(Effect.provide(Storage.layerMemory)))

  it.effect("stays when a checkpoint is taken apart and written again", () =>
    Effect.gen(function*() {
      yield* one.start(undefined, { runId: "r" })
      const text = yield* one.checkpoint("r", { expiresIn: "1 minute" })
      const again = yield* Checkpoint.serializeCheckpoint(
        yield* Checkpoint.deserializeCheckpoint(text)
      )
      expect(again).toBe(text)
      yield* TestClock.adjust("1 minute")
      expect(yield* go(again, "n")).toBe("Expired")
    }).pipe(Effect.provide(Storage.layerMemory)))

  it("is not looked at before the text is seen to be whole", () => {
    const text = write(made([], { expiresAt: 5 }))
    expect(reasonOf(text)).toBe("Expired")
    expect(reasonOf(text.slice(0, -1))).toBe("Truncated")
    expect(reasonOf(text, keysOf.signed)).toBe("Unprotected")
  })
})
