/**
 * A journal as a row of objects. An append writes the last one anew, by a condition on its ETag; one that
 * has grown large is sealed by the append that made it so, and the next append opens another, by the
 * condition that there is none. So what an append costs does not grow with the journal, and of two who
 * append behind one state one is refused, whoever of them owned the run before.
 *
 * Who reads many segments leaves a pack of them behind: sealed ones never change, so a copy of all of them in
 * one object says the same and is read at once.
 */
import * as Effect from "effect/Effect"
import { Storage } from "../index.ts"
import { crc32Hex } from "../internal/crc32.ts"
import type { Keys } from "./Keys.ts"
import type { Condition, ObjectStore } from "./ObjectStore.ts"

/** The last line of a segment that takes no more. */
const seal = "sealed\n"

/** How many segments are asked for at once. */
const width = 16

/** How many segments make a pack worth writing, unless it holds more than that already. */
const packed = 64

interface Segment {
  readonly text: string
  readonly etag: string
  readonly isSealed: boolean
}

/** The last segment of a journal. */
export interface Tail extends Segment {
  readonly incarnation: string
  readonly index: number
  /** The ETag of the first segment once it is sealed: as long as it has that, the run is this one. */
  readonly root: string
}

type Place = Pick<Tail, "incarnation" | "index">

export const versionOf = (tail: Omit<Tail, "text">): string => {
  const { etag, incarnation, index, isSealed, root } = tail
  return [incarnation, index, isSealed ? "sealed" : "open", root, etag].join(" ")
}

const parse = (version: string): Omit<Tail, "text"> | undefined => {
  const [incarnation = "", index, state, root = "", ...etag] = version.split(" ")
  return state === "sealed" || state === "open"
    ? {
      incarnation,
      index: Number(index),
      isSealed: state === "sealed",
      root,
      etag: etag.join(" ")
    }
    : undefined
}

const incarnationOf = (text: string): string =>
  /"incarnation":"([^"]*)","writer":"[^"]*","prev":"[^"]*","sum":"[^"]*"\}$/.exec(
    text.slice(0, text.indexOf("\n"))
  )?.[1] ?? ""

export interface Segments {
  /** The whole journal. */
  readonly read: (
    runId: string
  ) => Effect.Effect<
    { readonly text: string; readonly tail: Tail | undefined },
    Storage.StorageError
  >
  /** Whether the journal still ends in the segment `hint`. */
  readonly isAt: (runId: string, hint: Tail) => Effect.Effect<boolean, Storage.StorageError>
  /** Appends behind `at`; `known` is the last segment where the caller has it. */
  readonly append: (
    runId: string,
    at: string,
    lines: ReadonlyArray<string>,
    incarnation: string,
    known: Tail | undefined
  ) => Effect.Effect<Tail, Storage.StorageError | Storage.Moved>
}

export const make = (store: ObjectStore, keys: Keys): Segments => {
  const get = (
    runId: string,
    incarnation: string,
    index: number
  ): Effect.Effect<Segment | undefined, Storage.StorageError> =>
    Effect.map(store.get(keys.segment(runId, incarnation, index)), (found) => {
      if (found === undefined) return undefined
      const isSealed = found.body.endsWith(`\n${seal}`)
      const text = isSealed ? found.body.slice(0, -seal.length) : found.body
      return { text, etag: found.etag, isSealed }
    })

  const rootOf = (runId: string) => store.head(keys.segment(runId, "", 0))

  const write = (
    runId: string,
    tail: Omit<Tail, "etag" | "isSealed">,
    condition: Condition
  ): Effect.Effect<Tail, Storage.StorageError | Storage.Moved> => {
    const isSealed = tail.text.length >= store.segmentBytes
    return Effect.flatMap(
      store.put(
        keys.segment(runId, tail.incarnation, tail.index),
        isSealed ? `${tail.text}${seal}` : tail.text,
        condition
      ),
      (etag): Effect.Effect<Tail, Storage.StorageError | Storage.Moved> => {
        if (etag === undefined) return Effect.fail(new Storage.Moved({ runId }))
        const root = tail.index === 0 && isSealed ? etag : tail.root
        return Effect.succeed({ ...tail, etag, isSealed, root })
      }
    )
  }

  /** Opens the next segment, unless the run was removed before: then nobody would find it. */
  const open = (runId: string, { incarnation, index }: Place, text: string, root: string) =>
    Effect.gen(function*() {
      const next = { text, incarnation, index: index + 1, root }
      const tail = yield* write(runId, next, { ifNoneMatch: "*" })
      if ((yield* rootOf(runId)) === root) return tail
      yield* store.delete(keys.segment(runId, incarnation, next.index))
      return yield* new Storage.Moved({ runId })
    })

  /** All up to a sealed segment in one: its last line says which one that is, and sums up the rest. */
  const packOf = (runId: string, root: string) =>
    Effect.map(store.get(keys.pack(runId)), (found): Tail | undefined => {
      if (found === undefined) return undefined
      const end = found.body.lastIndexOf("\n", found.body.length - 2) + 1
      const text = found.body.slice(0, end)
      const [sum, ...version] = found.body.slice(end, -1).split(" ")
      const last = parse(version.join(" "))
      return last?.root === root && last.isSealed && sum === crc32Hex(text)
        ? { ...last, text }
        : undefined
    })
  /** A pack is never needed: one that is not written, or an older one, costs time. */
  const keep = (runId: string, sealed: Tail) =>
    Effect.ignore(
      store.put(keys.pack(runId), `${sealed.text}${crc32Hex(sealed.text)} ${versionOf(sealed)}\n`)
    )

  return {
    read: (runId) =>
      Effect.gen(function*() {
        const first = yield* get(runId, "", 0)
        if (first === undefined) return { text: "", tail: undefined }
        const incarnation = incarnationOf(first.text)
        const root = first.isSealed ? first.etag : ""
        const begun: Tail = { ...first, incarnation, index: 0, root }
        if (!first.isSealed) return { text: first.text, tail: begun }
        const pack = yield* packOf(runId, root)
        const texts = [pack?.text ?? first.text]
        let tail = pack ?? begun
        let sealed = tail
        for (let ask = 2; tail.isSealed; ask = width) {
          const from = tail.index + 1
          const segments = yield* Effect.forEach(
            Array.from({ length: ask }, (_, i) => from + i),
            (index) => get(runId, incarnation, index),
            { concurrency: width }
          )
          for (const segment of segments) {
            if (segment === undefined || !tail.isSealed) break
            tail = { ...segment, incarnation, index: tail.index + 1, root }
            if (tail.isSealed) {
              texts.push(tail.text)
              sealed = tail
            }
          }
          if (tail.index < from + ask - 1) break
        }
        const text = texts.join("")
        if (sealed.index - (pack?.index ?? 0) >= Math.max(packed, pack?.index ?? 0)) {
          yield* keep(runId, { ...sealed, text })
        }
        return { text: tail.isSealed ? text : `${text}${tail.text}`, tail }
      }),
    isAt: (runId, hint) =>
      Effect.gen(function*() {
        const { etag, incarnation, index, isSealed, root } = hint
        const at = yield* store.head(keys.segment(runId, incarnation, index))
        if (at !== etag) return false
        // The first one goes first when a run is removed.
        if (index > 0 && (yield* rootOf(runId)) !== root) return false
        return !isSealed
          || (yield* store.head(keys.segment(runId, incarnation, index + 1))) === undefined
      }),
    append: (runId, at, lines, incarnation, known) =>
      Effect.gen(function*() {
        const added = lines.map((line) => `${line}\n`).join("")
        if (at === "") {
          const first = { text: added, incarnation, index: 0, root: "" }
          return yield* write(runId, first, { ifNoneMatch: "*" })
        }
        const moved = new Storage.Moved({ runId })
        const position = parse(at)
        // A writer of an earlier incarnation.
        if (position === undefined || position.incarnation !== incarnation) return yield* moved
        const { etag, index, isSealed, root } = position
        const isKnown = known !== undefined && versionOf(known) === at
        const last = isKnown ? known : yield* get(runId, incarnation, index)
        if (last?.etag !== etag || last.isSealed !== isSealed) return yield* moved
        if (isSealed) return yield* open(runId, position, added, root)
        return yield* write(
          runId,
          { text: `${last.text}${added}`, incarnation, index, root },
          { ifMatch: etag }
        )
      })
  }
}
