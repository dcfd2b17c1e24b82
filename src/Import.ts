/**
 * Runs from journals in the format of the library that this one replaces, as its documentation shows it: JSON
 * Lines of `start`, `step`, `suspend`, `resume` and the end, with `timestamp`, `session` and `offset`.
 *
 * A step of such a journal has a name and no id, so what stands in one sequence can be told, and what ran
 * beside each other cannot: a body with branches replays it only if it takes the steps in that order.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { StorageError } from "./Driver.ts"
import { type Entry, format } from "./Entry.ts"
import * as Journal from "./Journal.ts"
import { escape } from "./machine/State.ts"
import * as RunId from "./RunId.ts"
import { Storage } from "./Storage.ts"

/** The journal was not imported; nothing was written. */
export class ImportRejected
  extends Schema.TaggedError<ImportRejected>("reprise/ImportRejected")("ImportRejected", {
    runId: Schema.String,
    /** Of the text, from 1; 0 where it is about the whole. */
    line: Schema.Int,
    saw: Schema.String
  })
{
  override get message(): string {
    const at = this.line === 0 ? "" : ` (line ${this.line})`
    return `The journal of run "${this.runId}" was not imported${at}: ${this.saw}. Nothing was written.`
  }
}

const optional = Schema.optionalKey
const at = { timestamp: Schema.String, session: optional(Schema.Int), offset: optional(Schema.Int) }

/** A line of such a journal. Fields that are not named here are passed over. */
const Line = Schema.Union([
  Schema.Struct({ type: Schema.tag("start"), metadata: optional(Schema.Json), ...at }),
  Schema.Struct({
    type: Schema.tag("step"),
    name: Schema.String,
    result: optional(Schema.Json),
    error: optional(Schema.Json),
    ...at
  }),
  Schema.Struct({
    type: Schema.tag("suspend"),
    waitingFor: Schema.String,
    reason: optional(Schema.String),
    ...at
  }),
  Schema.Struct({
    type: Schema.tag("resume"),
    eventName: Schema.String,
    value: optional(Schema.Json),
    ...at
  }),
  Schema.Struct({ type: Schema.tag("complete"), result: optional(Schema.Json), ...at }),
  Schema.Struct({ type: Schema.tag("error"), error: optional(Schema.Json), ...at })
])
type Line = typeof Line.Type

const decode = Schema.decodeUnknownResult(Line)

export interface Options {
  /** The name of the workflow that goes on with the run. */
  readonly workflow: string
  readonly version?: string | undefined
}

/** Names as ids, as the machine counts them in one sequence. */
const makeIds = () => {
  const counts = new Map<string, number>()
  return (name: string) => {
    const count = (counts.get(name) ?? 0) + 1
    counts.set(name, count)
    return count === 1 ? escape(name) : `${escape(name)}#${count}`
  }
}

const defined = <A extends object>(fields: A) =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    readonly [K in keyof A]?: Exclude<A[K], undefined>
  }

/** The error as a step's that nobody declared. */
const failure = (error: Schema.Json | undefined): Schema.Json =>
  typeof error === "object" && error !== null && "message" in error
    && typeof error.message === "string"
    ? { _tag: "Error", message: error.message }
    : { _tag: "Error", message: typeof error === "string" ? error : JSON.stringify(error ?? null) }

/** The entries for the lines, or at which line and why there are none. */
const entriesOf = (
  runId: string,
  lines: ReadonlyArray<readonly [number, Line]>,
  { version, workflow }: Options
) => {
  const idOf = makeIds()
  const entries: Array<Journal.Stamped> = []
  let wait: { readonly stepId: string; readonly event: string } | undefined
  let isEnded = false
  const rejected = (line: number, saw: string) => new ImportRejected({ runId, line, saw })
  for (const [number, line] of lines) {
    const { timestamp } = line
    if (Number.isNaN(Date.parse(timestamp))) return rejected(number, "its timestamp is none")
    if (isEnded) return rejected(number, "it stands behind the end of the run")
    if (entries.length === 0 && line.type !== "start") {
      return rejected(number, "a journal begins with its start")
    }
    const add = (entry: Entry) =>
      entries.push(Journal.stamped(entry, new Date(timestamp).toISOString()))
    switch (line.type) {
      case "start":
        // A later one opened a session, of which nothing follows here.
        if (entries.length > 0) break
        add({
          type: "start",
          format,
          workflow,
          runId,
          seed: RunId.randomText(24),
          ...defined({ version, metadata: line.metadata })
        })
        break
      case "step": {
        const { error, name, result } = line
        const outcome = error === undefined ? defined({ result }) : { error: failure(error) }
        add({ type: "step", stepId: idOf(name), name, ...outcome })
        break
      }
      case "suspend": {
        const { reason, waitingFor: event } = line
        // A session that found the same wait says so again.
        wait = wait?.event === event ? wait : { stepId: idOf(event), event }
        const { stepId } = wait
        const since = Date.parse(timestamp)
        add({
          type: "suspend",
          waitingFor: event,
          ...defined({ reason }),
          waits: [{ stepId, kind: "event", event, ...defined({ reason }), since }]
        })
        break
      }
      case "resume": {
        const { eventName, value } = line
        if (wait?.event !== eventName) return rejected(number, `nothing waits for "${eventName}"`)
        add({
          type: "resume",
          stepId: wait.stepId,
          eventName,
          ...defined({ value }),
          eventId: RunId.createRunId()
        })
        wait = undefined
        break
      }
      case "complete":
        isEnded = true
        add({ type: "complete", ...defined({ result: line.result }) })
        break
      case "error":
        isEnded = true
        add({ type: "error", error: failure(line.error) })
    }
  }
  return entries
}

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/**
 * Imports a run from the text of such a journal; gives how many entries were written. The run then goes on
 * with `workflow`: what the journal has is not run again. A run of that id must not exist yet.
 *
 * @example
 * ```ts
 * import { Runs, Storage } from "reprise"
 * import { Effect } from "effect"
 *
 * const at = `"timestamp":"2026-01-02T03:04:05.678Z","session":1`
 * const text = [
 *   `{"type":"start","metadata":{"id":"t1"},${at},"offset":0}`,
 *   `{"type":"step","name":"classify","result":{"severity":5},${at},"offset":1}`
 * ].join("\n")
 * const program = Runs.importJournal("t1", text, { workflow: "triage" })
 * await Effect.runPromise(Effect.provide(program, Storage.layerMemory)) // => 2
 * ```
 */
export const importJournal = (
  runId: string,
  text: string,
  options: Options
): Effect.Effect<
  number,
  StorageError | Journal.JournalCorrupt | ImportRejected | RunId.RunIdRejected,
  Storage
> =>
  Effect.gen(function*() {
    yield* RunId.check(runId)
    const reject = (line: number, saw: string) => new ImportRejected({ runId, line, saw })
    const lines: Array<readonly [number, Line]> = []
    for (const [i, raw] of text.split("\n").entries()) {
      if (raw.trim() === "") continue
      const decoded = decode(parse(raw))
      if (decoded._tag === "Failure") {
        return yield* reject(i + 1, `it is no line of such a journal: ${decoded.failure.message}`)
      }
      lines.push([i + 1, decoded.success])
    }
    if (lines.length === 0) return yield* reject(0, "it is empty")
    const made = entriesOf(runId, lines, options)
    if (made instanceof ImportRejected) return yield* made

    const storage = yield* Storage
    const loaded = yield* storage.read(runId, "none")
    if (loaded.version !== "") return yield* reject(0, "a run of that id exists")
    const stamp = { incarnation: RunId.randomText(8), session: 1, writer: RunId.randomText(8) }
    const isMine = yield* Effect.scoped(
      Effect.flatMap(storage.writer(loaded), (writer) => writer.append(stamp, made))
    )
    return isMine ? made.length : yield* reject(0, "somebody else began a run of that id")
  })
