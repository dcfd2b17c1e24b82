/**
 * Values on their way between entries and a storage: a codec may encrypt or compress them, and a large one
 * goes to a blob of its own. An entry then names under `sealed` where the value of each field is.
 *
 * What an entry says beside its values stays readable, and so do the checks of the journal: its sums are over
 * what is stored.
 */
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import { type Blobs, type Posted, StorageError } from "./Driver.ts"
import type { Entry, Recorded, Sealed } from "./Entry.ts"
import type { Stamped } from "./Journal.ts"

/** What becomes of the text of every value before it is stored. */
export interface ValueCodec {
  /** `at` names the place of the value: what was sealed for another place must not open. */
  readonly seal: (json: string, at: string) => Effect.Effect<SealedText, StorageError>
  /** `sealed` has its `text`, wherever that was kept. */
  readonly open: (sealed: SealedText, at: string) => Effect.Effect<string, StorageError>
}

/** A sealed value with its text, and what its codec needs to know of it. */
export type SealedText = Sealed & { readonly text: string }

/** Where values go. */
export interface Values {
  readonly codec: ValueCodec | undefined
  readonly blobs: Blobs | undefined
}

/** A longer text goes to a blob, where the storage has them and says nothing else. */
const inlineOf = ({ inline = 65_536 }: Blobs): number => inline

/** The fields that hold values of the user's. */
const fields = ["metadata", "base", "result", "error", "value"] as const

const utf8 = new TextEncoder()

/** SHA-256, in hexadecimal; of a text in one life of a run, so that no other one removes it. */
const hashOf = (incarnation: string, text: string) =>
  Effect.map(
    Effect.promise(() => crypto.subtle.digest("SHA-256", utf8.encode(`${incarnation} ${text}`))),
    (bytes) => Array.from(new Uint8Array(bytes), (b) => b.toString(16).padStart(2, "0")).join("")
  )

const damaged = (doing: string, why: string) =>
  new StorageError({ reason: "Unknown", doing, cause: new Error(why) })

/** Whether something is to be sealed. */
export const isPlain = ({ blobs, codec }: Values, entries: ReadonlyArray<Stamped>): boolean =>
  codec === undefined
  && (blobs === undefined || entries.every(({ json }) => json.length <= inlineOf(blobs)))

/** Where a value stands: one that was moved to another entry, or another run, does not open. */
interface Place {
  readonly runId: string
  readonly incarnation: string
  /** The offset of its entry, or the id of its event. */
  readonly at: number | string
}

const named = ({ at, incarnation, runId }: Place, field: string) =>
  `${runId} ${incarnation} ${at} ${field}`

const sealText = Effect.fnUntraced(function*(
  { blobs, codec }: Values,
  place: Place,
  json: string,
  field: string
): Effect.fn.Return<Sealed | undefined, StorageError> {
  const sealed: SealedText | undefined = codec === undefined
    ? undefined
    : yield* codec.seal(json, named(place, field))
  const { text } = sealed ?? { text: json }
  if (blobs === undefined || text.length <= inlineOf(blobs)) return sealed
  const blob = yield* hashOf(place.incarnation, text)
  yield* blobs.put(place.runId, blob, text)
  const { text: _, ...rest } = sealed ?? {}
  return { ...rest, blob, length: text.length }
})

const openText = Effect.fnUntraced(function*(
  { blobs, codec }: Values,
  place: Place,
  sealed: Sealed,
  field: string
): Effect.fn.Return<string, StorageError> {
  const { incarnation, runId } = place
  const doing = `open a value of run "${runId}"`
  const text = sealed.text ?? (yield* blobs?.get(runId, sealed.blob ?? "") ?? Effect.undefined)
  if (text === undefined) return yield* damaged(doing, `its blob ${sealed.blob} is not there`)
  if (sealed.blob !== undefined && (yield* hashOf(incarnation, text)) !== sealed.blob) {
    return yield* damaged(doing, `its blob ${sealed.blob} was changed`)
  }
  if (!isEncoded(sealed)) return text
  if (codec !== undefined) return yield* codec.open({ ...sealed, text }, named(place, field))
  const cause = new Error(
    "it is encoded; provide the Storage.layerCodec that it was written with"
  )
  return yield* new StorageError({ reason: "Denied", doing, cause })
})

/** Whether a codec made the text. */
const isEncoded = (sealed: Sealed) =>
  Object.keys(sealed).some((key) => key !== "text" && key !== "blob" && key !== "length")

type Fields = Readonly<Record<string, unknown>>

/** The object without the values that are kept elsewhere or encoded. */
const seal = <A extends object>(values: Values, place: Place, given: A) =>
  Effect.gen(function*() {
    const kept: Record<string, unknown> = { ...given as Fields }
    const sealed: Record<string, Sealed> = {}
    for (const field of fields) {
      const value = (given as Fields)[field]
      if (value === undefined) continue
      const made = yield* sealText(values, place, JSON.stringify(value), field)
      if (made === undefined) continue
      delete kept[field]
      sealed[field] = made
    }
    return (Object.keys(sealed).length === 0 ? given : { ...kept, sealed }) as A
  })

const open = <A extends object>(values: Values, place: Place, given: A) =>
  Effect.gen(function*() {
    const { sealed, ...kept } = given as { readonly sealed?: Readonly<Record<string, Sealed>> }
    if (sealed === undefined) return given
    const opened: Record<string, Schema.Json> = {}
    for (const [field, one] of Object.entries(sealed)) {
      opened[field] = JSON.parse(yield* openText(values, place, one, field))
    }
    return { ...kept, ...opened } as A
  })

/** Entries as they are to be stored from `offset` on. */
export const sealEntries = (
  values: Values,
  { incarnation, runId }: Pick<Place, "runId" | "incarnation">,
  offset: number,
  entries: ReadonlyArray<Stamped>
): Effect.Effect<ReadonlyArray<Stamped>, StorageError> =>
  Effect.forEach(entries, ({ json, timestamp }, i) =>
    Effect.map(
      // Made of the text: a body may have changed the values since.
      seal<Entry>(values, { runId, incarnation, at: offset + i }, JSON.parse(json)),
      (entry) => ({ entry, json: JSON.stringify(entry), timestamp })
    ))

/** An entry with its values. */
export const openEntry = (
  values: Values,
  runId: string,
  entry: Recorded
): Effect.Effect<Recorded, StorageError> =>
  open(values, { runId, incarnation: entry.incarnation, at: entry.offset }, entry)

export const sealPost = (values: Values, runId: string, posted: Posted) =>
  values.codec === undefined
    && (values.blobs === undefined || JSON.stringify(posted).length <= inlineOf(values.blobs))
    ? Effect.succeed(posted)
    : seal(values, { runId, incarnation: posted.incarnation, at: posted.eventId }, posted)

export const openPost = (values: Values, runId: string, posted: Posted) =>
  open(values, { runId, incarnation: posted.incarnation, at: posted.eventId }, posted)
