/**
 * Checkpoints: the beginning of a run as one text, from which it can be started anew in any process and on
 * any storage.
 *
 * Owns the text and its protection: what stands in it comes from `Cut`, and what a run is started from is
 * checked against code by whoever starts it. Invariants:
 * C1. The text is of `A-Z a-z 0-9 - _ .` only: it fits a URL, a row and a mail as it is.
 * C2. The text says how long it is, and ends in a sum of all before it: a change of any one character, and
 *     every cut, is refused. Against somebody who means to change it there are keys.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Base64Url from "effect/encoding/Base64Url"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { isKept, type Kept, type Prefix } from "./Cut.ts"
import { type Base, Entry as EntrySchema, type Step } from "./Entry.ts"
import { crc32Hex } from "./internal/crc32.ts"
import { put } from "./internal/put.ts"

type Entry = typeof EntrySchema.Type

/** Why a checkpoint is not gone on from. */
export const Reason = Schema.Literals([
  "NotACheckpoint",
  "Newer",
  "Truncated",
  "Changed",
  "Unprotected",
  "UnknownKey",
  "Forged",
  "Expired",
  "OtherWorkflow",
  "OtherVersion",
  "ChangedDefinition",
  "UnknownStep",
  "OverrideRejected"
])
export type Reason = typeof Reason.Type

const advice: Record<Reason, string> = {
  NotACheckpoint: "Pass the text that a hook's event.checkpoint or checkpoint(runId) gave, whole",
  Newer: "A newer version of reprise made it: run it there",
  Truncated: "Store the text whole: a column or a link may have cut it",
  Changed: "Store and pass on the text as it is: nothing of it may be changed",
  Unprotected:
    "This process has keys for checkpoints and takes only those that they protect: make it again with the keys",
  UnknownKey: "Give the key layer the key of this id, among the older ones if need be",
  Forged: "Do not use it: whoever changed it had no key",
  Expired: "Make a new one, from the run itself where it is still there",
  OtherWorkflow: "Run it with the workflow that it was made by",
  OtherVersion:
    "Run it in a process that has this version, or name it in the workflow's `previous`",
  ChangedDefinition:
    "Run it with the code that made it, or make a new checkpoint with the new code",
  UnknownStep: "Name a step that the checkpoint has",
  OverrideRejected: "Override with a value that the step itself could have given"
}

/** The text is no checkpoint that this code goes on from; `reason` says why. Nothing was run or written. */
export class CheckpointRejected
  extends Schema.TaggedError<CheckpointRejected>("reprise/CheckpointRejected")(
    "CheckpointRejected",
    { reason: Reason, saw: Schema.String }
  )
{
  override get message(): string {
    return `The checkpoint is refused (${this.reason}): ${this.saw}. ${
      advice[this.reason]
    }. Nothing was run or written.`
  }
}

/**
 * A checkpoint as data. `output` is what the steps had given, by name, as it stands in the journal; of a
 * pipeline, the context behind its last outermost step (inside a branch, `contextOf` knows more).
 */
export interface Checkpoint<out T = Readonly<Record<string, Schema.Json | undefined>>>
  extends Prefix
{
  /** The step that it was taken behind. */
  readonly stepName: string
  readonly stepId: string
  readonly output: T
  /** UTC milliseconds. */
  readonly createdAt: number
  /** UTC milliseconds; never, when undefined. */
  readonly expiresAt: number | undefined
}

/** What protects checkpoints, and opens those that it protected. Synchronous: a hook's `checkpoint` is. */
export interface KeysShape {
  /** Signs, or encrypts, what stands in a text; `keyId` is of `A-Z a-z 0-9 - _`. */
  readonly protect: (
    bytes: Uint8Array
  ) => { readonly how: "s" | "e"; readonly keyId: string; readonly bytes: Uint8Array }
  readonly open: (
    how: "s" | "e",
    keyId: string,
    bytes: Uint8Array
  ) => Uint8Array | "UnknownKey" | "Forged"
}

/** The keys of this process; none by default. With keys, only checkpoints that they protect are taken. */
export const Keys: Context.Reference<KeysShape | undefined> = Context.Reference(
  "reprise/CheckpointKeys",
  { defaultValue: (): KeysShape | undefined => undefined }
)

/** How long a checkpoint that is made here may be gone on from; for ever by default. */
export const Lifetime: Context.Reference<Duration.Input | undefined> = Context.Reference(
  "reprise/CheckpointLifetime",
  { defaultValue: (): Duration.Input | undefined => undefined }
)

/** What a text is made of, besides the keys and the lifetime of the process. */
export interface Made extends Prefix {
  readonly stepName: string
  readonly stepId: string
  readonly createdAt: number
}

const magic = "rcp1"
const utf8 = new TextEncoder()
const ascii = /^[\0-\x7f]*$/

/** The text of a checkpoint. */
export const text = (made: Made, services: Context.Context<never>): string => {
  const lifetime = Context.get(services, Lifetime)
  const millis = lifetime === undefined
    ? Infinity
    : Duration.toMillis(Duration.fromInputUnsafe(lifetime))
  const expiresAt = millis === Infinity ? undefined : made.createdAt + millis
  return seal(payloadOf(made, expiresAt), Context.get(services, Keys))
}

/** The text of a checkpoint that was taken apart. */
export const serializeCheckpoint = (checkpoint: Checkpoint<unknown>): Effect.Effect<string> =>
  Effect.map(
    Effect.context<never>(),
    (services) => seal(payloadOf(checkpoint, checkpoint.expiresAt), Context.get(services, Keys))
  )

/**
 * What stands in a checkpoint, checked as far as that goes without the workflow. `now` is UTC milliseconds.
 */
export const open = (
  text: unknown,
  services: Context.Context<never>,
  now: number
): Checkpoint | CheckpointRejected => {
  const opened = unseal(text, Context.get(services, Keys))
  if (opened instanceof CheckpointRejected) return opened
  const checkpoint = parse(opened)
  if (checkpoint instanceof CheckpointRejected) return checkpoint
  const { expiresAt } = checkpoint
  return expiresAt !== undefined && now >= expiresAt
    ? rejected("Expired", `it could be used until ${new Date(expiresAt).toISOString()}`)
    : checkpoint
}

/**
 * What stands in a checkpoint: the step it was taken behind, the input, and what the steps had given.
 * `T` is not checked; that the text is whole and as it was made, is.
 */
export const deserializeCheckpoint = <T = Checkpoint["output"]>(
  text: string
): Effect.Effect<Checkpoint<T>, CheckpointRejected> =>
  Effect.clockWith((clock) =>
    Effect.flatMap(Effect.context<never>(), (services) => {
      const opened = open(text, services, clock.currentTimeMillisUnsafe())
      return opened instanceof CheckpointRejected
        ? Effect.fail(opened)
        : Effect.succeed(opened as Checkpoint<any>)
    })
  )

// ---------------------------------------------------------------------------------------------------
// the payload: a line of JSON that says what it is of; a pipeline's base, or an empty line; then a line an
// entry, with the milliseconds since the one before

const optional = Schema.optionalKey

const Header = Schema.Struct({
  workflow: Schema.String,
  version: optional(Schema.String),
  runId: Schema.String,
  offset: Schema.Int,
  input: optional(Schema.Json),
  seed: Schema.String,
  timestamp: Schema.String,
  continues: optional(Schema.String),
  taken: optional(Schema.Array(Schema.String)),
  stepId: Schema.String,
  stepName: Schema.String,
  createdAt: Schema.Number,
  expiresAt: optional(Schema.Number)
})
type Header = typeof Header.Type

const payloadOf = (made: Made, expiresAt: number | undefined): string => {
  const { continues, metadata, offset, runId, seed, taken, timestamp, version, workflow } = made
  const { base, createdAt, stepId, stepName } = made
  const header: Header = {
    workflow,
    ...(version === undefined ? undefined : { version }),
    runId,
    offset,
    ...(metadata === undefined ? undefined : { input: metadata }),
    seed,
    timestamp,
    ...(continues === undefined ? undefined : { continues }),
    ...(taken.length === 0 ? undefined : { taken }),
    stepId,
    stepName,
    createdAt,
    ...(expiresAt === undefined ? undefined : { expiresAt })
  }
  let last = Date.parse(timestamp), lastText = timestamp
  const lines = [JSON.stringify(header), base === undefined ? "" : JSON.stringify(base)]
  for (const { entry, timestamp } of made.entries) {
    let since = 0
    if (timestamp !== lastText) {
      const millis = Date.parse(timestamp)
      since = millis - last
      last = millis
      lastText = timestamp
    }
    lines.push(
      `${since.toString(36)} ${JSON.stringify(entry.type === "step" ? short(entry) : entry)}`
    )
  }
  return lines.join("\n")
}

/** A step that succeeded is `[id, result, name]`, without what follows from the rest. */
const short = (entry: Step): unknown => {
  const { attempts, declared, error, name, result, stepId, type } = entry
  if (error !== undefined) {
    return {
      type,
      stepId,
      name,
      error,
      ...(declared === undefined ? undefined : { declared }),
      ...(attempts === undefined ? undefined : { attempts })
    }
  }
  return name !== stepId
    ? result === undefined ? [stepId, name] : [stepId, name, result]
    : result === undefined
    ? [stepId]
    : [stepId, 0, result]
}

const long = (parts: ReadonlyArray<any>): Step => {
  const [stepId, name, result] = parts
  return {
    type: "step",
    stepId,
    name: typeof name === "string" ? name : stepId,
    ...(parts.length < 3 ? undefined : { result })
  }
}

const parse = (payload: string): Checkpoint | CheckpointRejected => {
  try {
    const lines = payload.split("\n")
    const header: unknown = JSON.parse(lines[0]!)
    const baseText = lines[1]!
    const base: unknown = baseText === "" ? undefined : JSON.parse(baseText)
    const entries: Array<Kept> = []
    if (!isHeader(header) || !isBase(base)) throw new Error("no header")
    let millis = Date.parse(header.timestamp), timestamp = header.timestamp
    for (let i = 2; i < lines.length; i++) {
      const line = lines[i]!
      const at = line.indexOf(" ")
      if (at !== 1 || line[0] !== "0") {
        millis += parseInt(line.slice(0, at), 36)
        timestamp = new Date(millis).toISOString()
      }
      entries.push({ entry: entryOf(JSON.parse(line.slice(at + 1))), timestamp })
    }
    const { input, taken = [], ...rest } = header
    return {
      continues: undefined,
      version: undefined,
      expiresAt: undefined,
      ...rest,
      base,
      ...(base === undefined ? undefined : { baseText }),
      metadata: input,
      taken,
      entries,
      get output() {
        return outputOf(base, entries)
      }
    }
  } catch {
    return rejected("NotACheckpoint", "what stands in it is not what reprise writes")
  }
}

/** Built when the first checkpoint is read. */
const made: {
  header?: (u: unknown) => u is Header
  entry?: (u: unknown) => u is Entry
} = {}

const isHeader = (u: unknown): u is Header =>
  (made.header ??= Schema.is(Header))(u) && Number.isFinite(Date.parse(u.timestamp))

/** What stands in a line, seen to be what a run can be begun with. */
const entryOf = (u: unknown): Entry => {
  if (Array.isArray(u)) {
    const [stepId, name] = u as ReadonlyArray<unknown>
    if (
      typeof stepId === "string" && (name === undefined || name === 0 || typeof name === "string")
    ) {
      return long(u)
    }
  } else if ((made.entry ??= Schema.is(EntrySchema))(u) && isKept(u)) return u
  throw new Error("no entry")
}

/** Looks at no more than its shape: what was parsed is JSON, and a context may have thousands of keys. */
const isBase = (u: unknown): u is Base | undefined => {
  if (u === undefined) return true
  if (typeof u !== "object" || u === null) return false
  const { context, counts = {}, ids = [], overridden = [], steps } = u as Record<string, unknown>
  const isList = (list: unknown) =>
    Array.isArray(list) && list.every((name) => typeof name === "string")
  return typeof context === "object" && context !== null && !Array.isArray(context)
    && isList(steps) && isList(ids) && isList(overridden) && typeof counts === "object"
    && counts !== null
    && Object.values(counts).every((count) => Number.isInteger(count))
}

const outputOf = (
  base: Base | undefined,
  entries: ReadonlyArray<Kept>
): Record<string, Schema.Json | undefined> => {
  if (base !== undefined) return { ...base.context }
  const output: Record<string, Schema.Json | undefined> = {}
  for (const { entry } of entries) {
    if (entry.type === "step" && entry.error === undefined) put(output, entry.name, entry.result)
  }
  return output
}

// ---------------------------------------------------------------------------------------------------
// the text: rcp1.<how>.<length>.<payload>.<sum>

export const rejected = (reason: Reason, saw: string): CheckpointRejected =>
  new CheckpointRejected({ reason, saw })

const sumLength = 8

const seal = (payload: string, keys: KeysShape | undefined): string => {
  const { body, how } = keys === undefined
    ? { how: "p", body: encode(payload) }
    : protect(keys, payload)
  const ends = `.${body}.`
  const head = `${magic}.${how}.`
  // The length counts its own digits.
  let digits = 1
  const rest = head.length + ends.length + sumLength
  while ((rest + digits).toString(36).length > digits) digits++
  const all = `${head}${(rest + digits).toString(36)}${ends}`
  return all + crc32Hex(all)
}

const protect = (keys: KeysShape, payload: string) => {
  const { bytes, how, keyId } = keys.protect(utf8.encode(payload))
  return { how: `${how}-${keyId}`, body: Base64Url.encode(bytes) }
}

/** What only ASCII stands in takes the platform's own way, which is some twenty times as fast. */
const encode = (payload: string): string =>
  ascii.test(payload)
    ? btoa(payload).replaceAll("=", "").replaceAll("+", "-").replaceAll("/", "_")
    : Base64Url.encode(payload)

/** A text that ends before its length does. */
const opening = /^rcp1\.(p|[se](-[\w-]{0,64})?)?(\.[0-9a-z]{0,7})?$/
/** A text that ends in its payload or its sum. */
const cutForm = /^rcp1\.(p|[se]-[\w-]{1,64})\.[0-9a-z]+\.[\w-]*(\.[0-9a-f]{0,7})?$/
const form = /^rcp1\.(p|[se]-[\w-]{1,64})\.([0-9a-z]+)\.([\w-]*)\.([0-9a-f]{8})$/

const unseal = (
  given: unknown,
  keys: KeysShape | undefined
): string | CheckpointRejected => {
  if (typeof given !== "string") return rejected("NotACheckpoint", `it is ${kindOf(given)}`)
  if (given === "") return rejected("NotACheckpoint", "it is empty")
  if (!given.startsWith(`${magic}.`)) {
    return /^rcp\d+\./.test(given)
      ? rejected("Newer", `its format is ${JSON.stringify(given.slice(0, given.indexOf(".")))}`)
      : `${magic}.`.startsWith(given)
      ? rejected("Truncated", `only ${given.length} characters of it are there`)
      : rejected("NotACheckpoint", `it begins with ${JSON.stringify(given.slice(0, 8))}`)
  }
  if (opening.test(given)) {
    return rejected("Truncated", `only ${given.length} characters of it are there`)
  }
  const length = parseInt(given.split(".", 3)[2] ?? "", 36)
  if (given.length < length && (form.test(given) || cutForm.test(given))) {
    return rejected("Truncated", `only ${given.length} of ${length} characters of it are there`)
  }
  const found = form.exec(given)
  if (
    found === null || given.length !== length
    || crc32Hex(given, 0, given.length - sumLength) !== found[4]
  ) {
    return rejected("Changed", "its sum is not that of its text")
  }
  const how = found[1]!, body = found[3]!
  if (how === "p") {
    return keys === undefined ? decode(body) : rejected("Unprotected", "it was made without a key")
  }
  const kind = how[0] as "s" | "e", keyId = how.slice(2)
  if (keys === undefined) {
    return rejected(
      "UnknownKey",
      `it is protected with key "${keyId}", and this process has no keys`
    )
  }
  const bytes = Base64Url.decode(body)
  const opened = Result.isSuccess(bytes) ? keys.open(kind, keyId, bytes.success) : "Forged"
  return typeof opened !== "string"
    ? new TextDecoder().decode(opened)
    : opened === "UnknownKey"
    ? rejected(opened, `it is protected with key "${keyId}"`)
    : rejected(opened, `it was not made with key "${keyId}"`)
}

const decode = (body: string): string | CheckpointRejected => {
  try {
    const binary = atob(body.replaceAll("-", "+").replaceAll("_", "/"))
    return ascii.test(binary)
      ? binary
      : new TextDecoder().decode(Uint8Array.from(binary, (c) => c.charCodeAt(0)))
  } catch {
    return rejected("NotACheckpoint", "what stands in it is not base64url")
  }
}

const kindOf = (u: unknown) => u === null ? "null" : `${typeof u} and no text`
