/** `reprise show <runId>`: what a run did, where it stands, and how it goes on, from its journal alone. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type { Recorded, Wait } from "../Entry.ts"
import type { Journal } from "../Journal.ts"
import * as Outline from "../Outline.ts"
import * as Runs from "../Runs.ts"
import { hide } from "../Secret.ts"
import * as Status from "../Status.ts"
import * as Text from "../Text.ts"
import * as Output from "./output.ts"

export const show = Command.make("show", {
  runId: Argument.String("run-id").pipe(Argument.withDescription("The run to show"))
}, ({ runId }) =>
  Effect.gen(function*() {
    const journal = yield* Runs.journal(runId)
    const seen = Status.of(runId, journal.entries)
    // Only its lease tells whether someone drives an open run.
    const status = seen.status === "pending" ? yield* Runs.status(runId) : seen
    const view = look(journal, status)
    yield* Console.log(
      (yield* Output.mode) === "json" ? Text.jsonLine(view) : page(view).join("\n")
    )
  })).pipe(
    Command.withDescription("Shows a run: its steps, what it waits for, how it goes on"),
    Command.withExamples([
      { command: "reprise show order-1234", description: "The run as a tree of steps" },
      {
        command: "reprise show order-1234 --json | jq '.items[] | select(.state == \"failed\")'",
        description: "Its failed steps"
      }
    ])
  )

/** Something that reached the run from outside, or that is about the run as a whole. */
interface Happened {
  readonly timestamp: string
  readonly type: "resume" | "event" | "cancel" | "patch" | "stop" | "continue"
  readonly eventName?: string
  readonly key?: string
  readonly value?: Schema.Json
  readonly eventId?: string
  /** The wait that took the event. */
  readonly stepId?: string
  readonly reason?: string
  readonly changeId?: string
  readonly runId?: string
}

/** All that is shown of a run. */
interface View extends Status.Status {
  readonly input?: Schema.Json
  readonly sessions: ReadonlyArray<{ readonly session: number; readonly timestamp: string }>
  /** The journal's instructions in the order of their first entries. */
  readonly items: ReadonlyArray<Outline.Item>
  readonly events: ReadonlyArray<Happened>
  /** Lines of the journal that do not count: of writers that had lost the run, or cut short. */
  readonly rejected: number
  readonly torn: number
  /** What to call to go on with the run. */
  readonly next: ReadonlyArray<string>
}

const look = ({ entries: found, rejected, torn }: Journal, given: Status.Draft): View => {
  const entries = found.map(hide)
  const status = hide(given)
  const [start] = entries
  const input = start?.type === "start" ? start.metadata : undefined
  const items = Outline.items(entries).map((item): Outline.Item =>
    item.state === "unknown" && status.status === "running" ? { ...item, state: "running" } : item
  )
  return {
    ...status,
    ...(input === undefined ? undefined : { input }),
    sessions: entries.flatMap(({ session, timestamp, type }) =>
      type === "start" ? [{ session, timestamp }] : []
    ),
    items,
    events: entries.flatMap(happened),
    rejected,
    torn,
    next: next(status)
  }
}

const happened = (entry: Recorded): ReadonlyArray<Happened> => {
  const { timestamp } = entry
  switch (entry.type) {
    case "resume":
    case "event": {
      const { eventId, eventName, key, type, value } = entry
      return [{
        timestamp,
        type,
        eventName,
        ...(key === undefined ? undefined : { key }),
        ...(value === undefined ? undefined : { value }),
        eventId,
        ...(entry.type === "resume" ? { stepId: entry.stepId } : undefined)
      }]
    }
    case "cancel": {
      const { eventId, reason, type } = entry
      return [{ timestamp, type, eventId, ...(reason === undefined ? undefined : { reason }) }]
    }
    case "patch":
      return [{ timestamp, type: entry.type, changeId: entry.changeId }]
    case "stop":
      return [{ timestamp, type: entry.type, stepId: entry.stepId }]
    case "continue":
      return [{ timestamp, type: entry.type, runId: entry.runId }]
    default:
      return []
  }
}

/** The calls that go on with a run that waits for one; `value: …` is the caller's to fill in. */
const next = ({ runId, status, waits, workflow }: Status.Status): ReadonlyArray<string> => {
  const call = `${/^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(workflow) ? workflow : "workflow"}`
    + `.resume(${JSON.stringify(runId)}`
  if (status === "suspended") {
    const events = waits.filter(({ kind }) => kind === "event")
    return events.length > 0
      ? events.map(({ event, key, stepId }) =>
        `${call}, { eventName: ${word(event ?? stepId)}, `
        + `${key === undefined ? "" : `key: ${word(key)}, `}value: … })`
      )
      : [`${call})`]
  }
  return status === "pending" || status === "stopped" ? [`${call})`] : []
}

const word = (text: string) => Text.jsonLine(text)

// ---------------------------------------------------------------------------------------------------
// text

const page = (view: View): ReadonlyArray<string> => {
  const { createdAt, events, input, items, rejected, sessions, torn, updatedAt, version, waits } =
    view
  const fields: ReadonlyArray<readonly [string, string]> = [
    ["run", view.runId],
    ["workflow", `${view.workflow}${version === undefined ? "" : ` version ${version}`}`],
    ["status", view.status],
    ["reason", waits.length > 0 ? "" : view.reason ?? ""],
    ["created", createdAt],
    ["updated", updatedAt],
    ["sessions", String(sessions.length)],
    ["input", Text.short(input)],
    ["result", Text.short(view.result)],
    ["error", view.error === undefined ? "" : Text.errorText(view.error)],
    ["journal", lines(view.entries, rejected, torn)]
  ]
  const blocks = [
    fields.flatMap(([name, text]) => text === "" ? [] : [`${name.padEnd(10)}${Text.plain(text)}`]),
    branch(Outline.tree(items), ""),
    events.length === 0 ? [] : ["events", ...events.map((event) => `  ${inWords(event)}`)],
    waits.length === 0 ? [] : ["waits for", ...waits.map((wait) => `  ${awaited(wait)}`)],
    goesOn(view)
  ]
  return blocks.filter((block) => block.length > 0).flatMap((block, i) =>
    i === 0 ? block : ["", ...block]
  )
}

const lines = (entries: number, rejected: number, torn: number): string => {
  const ignored = [
    ...(rejected === 0 ? [] : [`${rejected} ignored of writers that had lost the run`]),
    ...(torn === 0 ? [] : [`${torn} torn`])
  ]
  return `${entries} ${entries === 1 ? "entry" : "entries"}${
    ignored.length === 0 ? "" : `, ${ignored.join(", ")}`
  }`
}

const branch = (nodes: ReadonlyArray<Outline.Node>, indent: string): ReadonlyArray<string> =>
  nodes.flatMap(({ children, item, label }) => {
    const text = item === undefined ? "" : Outline.text(item)
    const mark = item === undefined ? " " : Outline.marks[item.state]
    return [
      `${indent}${mark} ${label}${text === "" ? "" : `  ${text}`}`,
      ...branch(children, `${indent}  `)
    ]
  })

const inWords = (happened: Happened): string => {
  const { changeId, eventName, key, reason, runId, stepId, timestamp, type, value } = happened
  const event = `${Text.plain(eventName ?? "")}${
    key === undefined ? "" : ` key ${Text.short(key)}`
  }${value === undefined ? "" : `  ${Text.short(value)}`}`
  const texts: Record<Happened["type"], string> = {
    resume: `${event}  (taken by ${Text.plain(stepId ?? "")})`,
    event: `${event}  (kept until something waits for it)`,
    cancel: `cancel${reason === undefined ? "" : `  ${Text.plain(Text.cut(reason, 144))}`}`,
    patch: `patch ${Text.plain(changeId ?? "")}`,
    stop: `stopped after ${Text.plain(stepId ?? "")}`,
    continue: `continued as run ${Text.plain(runId ?? "")}`
  }
  return `${Text.plain(timestamp)}  ${texts[type]}`
}

const awaited = ({ event, key, kind, reason, since, stepId, wakeAt }: Wait): string => {
  const parts = [
    kind === "event"
      ? `event ${Text.plain(event ?? stepId)}`
      : `${kind} ${Text.plain(stepId)}`,
    key === undefined ? "" : `key ${Text.short(key)}`,
    reason === undefined ? "" : Text.plain(Text.cut(reason, 144)),
    `since ${Text.time(since)}`,
    wakeAt === undefined ? "" : `until ${Text.time(wakeAt)}`
  ]
  return parts.filter((part) => part !== "").join("  ")
}

const goesOn = ({ next, status }: View): ReadonlyArray<string> =>
  next.length > 0
    ? ["resume with", ...next.map((call) => `  ${call}`)]
    : status === "running"
    ? ["A live process drives it."]
    : status === "blocked"
    ? ["It does not go on by itself: look at what the marked steps did, then decide."]
    : []
