/**
 * The accept rule: which lines of a file count, whatever crashes, zombies, power cuts and flipped bits
 * leave in it. A journal is read as an exact prefix, or refused; never as another one.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Journal, Runs, type Storage, Workflow } from "reprise"
import { decode, encode } from "../src/storage/Files.ts"
import { local, temporary } from "./storage/support/local.ts"
import { runs } from "./support/amount.ts"
import { random } from "./support/random.ts"

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

const seal = (head: Journal.Head, by: Journal.Stamp, ...entries: ReadonlyArray<Journal.Entry>) =>
  Journal.seal(head, by, entries.map((entry) => ({ entry, timestamp })))

/** One append of entries: its text, and the head behind it. */
const append = (head: Journal.Head, by: Journal.Stamp, ...entries: ReadonlyArray<Journal.Entry>) => {
  const sealed = seal(head, by, ...entries)
  return { ...sealed, text: Journal.write(sealed.lines) }
}

const read = (text: string) => Journal.read("r", text)
const accepted = (text: string): Journal.Journal => Result.getOrThrow(read(text))
const names = (text: string) =>
  accepted(text).entries.map((entry) => entry.type === "step" ? entry.name : entry.type)

/** Changes the envelope of a sealed line and seals it again: a line that only the rule can refuse. */
const forge = (line: string, change: (line: string) => string): string => {
  const changed = change(line.slice(0, line.lastIndexOf(`,"sum":"`)))
  expect(line.startsWith(changed)).toBe(false)
  return Journal.sealText(`${changed}}`)
}

/** What a run of several sessions leaves on a disk, with torn lines and a zombie's among them. */
const realistic = Effect.gen(function*() {
  const directory = temporary()
  const path = join(directory, "r.jsonl")
  const order = Workflow.make("order", { events: {} }, function*(ctx, id: string) {
    yield* ctx.step("größe", () => ({ text: `${id} 😀 \ud800 \u2028`, n: [1, 2.5, -3e-7] }))
    const both = yield* ctx.all({
      left: ctx.step("left", () => "l"),
      right: ctx.step("right", () => {
        throw new Error("out of paper")
      })
    }, { mode: "result" })
    return Object.keys(both)
  })
  const wait = Workflow.make("order", {
    events: { ok: Workflow.Limits === undefined ? undefined! : schemaOfAnything }
  }, function*(ctx, id: string) {
    const done = yield* ctx.step("größe", () => ({ text: `${id} 😀 \ud800 \u2028`, n: [1, 2.5] }))
    const first = yield* ctx.suspend("ok", { reason: "é" })
    const both = yield* ctx.all({
      left: ctx.step("left", () => "l"),
      right: ctx.step("right", () => {
        throw new Error("out of paper")
      })
    }, { mode: "result" })
    const second = yield* ctx.suspend("ok", { key: "2" })
    yield* ctx.step("end", () => ({ "__proto__": 1 }))
    return [done.n, first, second, Object.keys(both)]
  })
  void order
  const on = local(directory)
  yield* Effect.provide(wait.start("o1", { runId: "r" }), on)
  const old = accepted(decode(readFileSync(path))).head
  appendFileSync(path, encode("\t\n{\"type\":\"start\",\"sess"))
  yield* Effect.provide(wait.resume("r", { eventName: "ok", value: "ß" }), on)
  // A zombie of the first session, and a crash in the middle of a character.
  appendFileSync(path, encode(append(old, old, step("zombie"), step("another")).text))
  appendFileSync(path, encode("\t\n{\"name\":\"😀").subarray(0, -2))
  yield* Effect.provide(wait.resume("r", { eventName: "ok", key: "2", value: null }), on)
  return readFileSync(path)
})

import { Schema } from "effect"
const schemaOfAnything = Schema.Json
