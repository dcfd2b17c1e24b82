/**
 * Cases of blobs, for drivers that keep them; the others have nothing to show.
 */
import * as Effect from "effect/Effect"
import type { Storage } from "../../index.ts"
import { type Body, cases, type Trial } from "./Case.ts"
import { same } from "./Checks.ts"
import { begin } from "./Hand.ts"

/** A case for drivers with blobs: `other` is how another process has them. */
const kept = (
  body: (t: Trial, blobs: Storage.Blobs, other: Storage.Blobs) => ReturnType<Body>
): Body =>
  function*(t) {
    const { blobs } = t.driver
    if (blobs !== undefined) yield* body(t, blobs, t.other.blobs ?? blobs)
  }

const hash = (n: number) => n.toString(16).padStart(64, "0")

export const blobs = cases("blob", {
  "a text is read back by its hash, by any process": kept(function*(t, blobs, other) {
    const { runId } = yield* begin(t, "r")
    yield* blobs.put(runId, hash(1), "a text")
    yield* same("own", yield* blobs.get(runId, hash(1)), "a text")
    yield* same("other's", yield* other.get(runId, hash(1)), "a text")
  }),
  "odd texts are read back byte for byte": kept(function*(t, blobs) {
    const { runId } = yield* begin(t, "r")
    const odd = [
      "",
      "\"e\u0301\u00e9\"",
      "\u2028\ufeff\u0085\r\n\t",
      "'; --\\x00",
      "\u{1F600}",
      "{}"
    ]
    for (const [n, text] of odd.entries()) yield* blobs.put(runId, hash(n), text)
    const read = yield* Effect.forEach(odd, (_, n) => blobs.get(runId, hash(n)))
    yield* same("the texts", read, odd)
  }),
  "five mebibytes are read back": kept(function*(t, blobs, other) {
    const { runId } = yield* begin(t, "r")
    const text = "\u20acx".repeat(1_310_720)
    yield* blobs.put(runId, hash(1), text)
    yield* same("the text", (yield* other.get(runId, hash(1))) === text, true)
  }),
  "a hash that is not there gives nothing": kept(function*(t, blobs) {
    const { runId } = yield* begin(t, "r")
    yield* blobs.put(runId, hash(1), "a")
    yield* same("no text", yield* blobs.get(runId, hash(2)), undefined)
    yield* same("nor of no run", yield* blobs.get(t.id("nobody"), hash(1)), undefined)
  }),
  "a hash may be put twice": kept(function*(t, blobs, other) {
    const { runId } = yield* begin(t, "r")
    yield* Effect.all(
      [blobs.put(runId, hash(1), "a"), other.put(runId, hash(1), "a")],
      { concurrency: "unbounded" }
    )
    yield* blobs.put(runId, hash(1), "a")
    yield* same("the text", yield* blobs.get(runId, hash(1)), "a")
  }),
  "blobs go with their run": kept(function*(t, blobs, other) {
    const { runId } = yield* begin(t, "r")
    for (const n of [1, 2, 3]) yield* blobs.put(runId, hash(n), `${n}`)
    yield* t.driver.remove(runId)
    for (const n of [1, 2, 3]) {
      yield* same("no text", yield* other.get(runId, hash(n)), undefined)
    }
  }),
  "blobs of other runs stay": kept(function*(t, blobs) {
    const ids = ["a", "aa", "A"].map(t.id)
    for (const name of ["a", "aa", "A"]) {
      yield* begin(t, name)
      yield* blobs.put(t.id(name), hash(1), "the same")
    }
    yield* t.driver.remove(ids[0]!)
    const read = yield* Effect.forEach(ids, (runId) => blobs.get(runId, hash(1)))
    yield* same("the texts", read.map((text) => text ?? "none"), ["none", "the same", "the same"])
  }),
  "a blob may be put before its run begins": kept(function*(t, blobs) {
    yield* blobs.put(t.id("r"), hash(1), "early")
    yield* same("it makes no run", yield* t.driver.version(t.id("r")), "")
    yield* begin(t, "r")
    yield* same("the text", yield* blobs.get(t.id("r"), hash(1)), "early")
  })
})
