/** `reprise show <runId>`: what a run did, where it stands, and how it goes on, from what is stored alone. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import type { Wait } from "../../Entry.ts"
import * as Outline from "../../Outline.ts"
import * as Text from "../../Text.ts"
import { type Happened, type Posted, type View, viewOf } from "../../View.ts"
import * as Colors from "../colors.ts"
import * as Output from "../output.ts"

export const show = Command.make("show", {
  runId: Argument.String("run-id").pipe(Argument.withDescription("The run to show"))
}, ({ runId }) =>
  Effect.gen(function*() {
    const view = yield* viewOf(runId)
    yield* Console.log(
      (yield* Output.mode) === "json"
        ? Text.jsonLine(view)
        : page(view, yield* Colors.paint).join("\n")
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

const page = (view: View, paint: Colors.Paint): ReadonlyArray<string> => {
  const { createdAt, damage, events, input, items, posted, sessions, updatedAt, version, waits } =
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
    ["journal", lines(view)]
  ]
  const blocks = [
    fields.flatMap(([name, text]) => {
      if (text === "") return []
      const shown = Text.plain(text)
      return [`${name.padEnd(10)}${name === "status" ? paint(view.status, shown) : shown}`]
    }),
    branch(Outline.tree(items), "", paint),
    events.length === 0 ? [] : ["events", ...events.map((event) => `  ${inWords(event)}`)],
    damage === undefined ? [] : ["posted", `  ! ${Text.plain(damage)}`],
    posted.length === 0 ? [] : [
      "posted, not taken yet",
      ...posted.map((post) => `  ${Text.plain(post.timestamp)}  ${untaken(post)}`)
    ],
    waits.length === 0 ? [] : ["waits for", ...waits.map((wait) => `  ${awaited(wait)}`)],
    goesOn(view)
  ]
  return blocks.filter((block) => block.length > 0).flatMap((block, i) =>
    i === 0 ? block : ["", ...block]
  )
}

const lines = ({ entries, rejected, torn }: View): string => {
  const ignored = [
    ...(rejected === 0 ? [] : [`${rejected} ignored of writers that had lost the run`]),
    ...(torn === 0 ? [] : [`${torn} torn`])
  ]
  return `${entries} ${entries === 1 ? "entry" : "entries"}${
    ignored.length === 0 ? "" : `, ${ignored.join(", ")}`
  }`
}

const branch = (
  nodes: ReadonlyArray<Outline.Node>,
  indent: string,
  paint: Colors.Paint
): ReadonlyArray<string> =>
  nodes.flatMap(({ children, item, label }) => {
    const text = item === undefined ? "" : Outline.text(item)
    const mark = item === undefined ? " " : paint(item.state, Outline.marks[item.state])
    return [
      `${indent}${mark} ${label}${text === "" ? "" : `  ${text}`}`,
      ...branch(children, `${indent}  `, paint)
    ]
  })

const inWords = (happened: Happened): string => {
  const { changeId, runId, stepId, timestamp, type } = happened
  const texts: Record<Happened["type"], string> = {
    resume: `${eventText(happened)}  (taken by ${Text.plain(stepId ?? "")})`,
    event: `${eventText(happened)}  (kept until something waits for it)`,
    cancel: cancelText(happened),
    patch: `patch ${Text.plain(changeId ?? "")}`,
    stop: `stopped after ${Text.plain(stepId ?? "")}`,
    continue: `continued as run ${Text.plain(runId ?? "")}`
  }
  return `${Text.plain(timestamp)}  ${texts[type]}`
}

type Told = Pick<Happened, "eventName" | "key" | "value" | "reason">

const eventText = ({ eventName, key, value }: Told): string =>
  `${Text.plain(eventName ?? "")}${key === undefined ? "" : ` key ${Text.short(key)}`}${
    value === undefined ? "" : `  ${Text.short(value)}`
  }`

const cancelText = ({ reason }: Told): string =>
  `cancel${reason === undefined ? "" : `  ${Text.plain(Text.cut(reason, 144))}`}`

const untaken = (posted: Posted): string => {
  const { reason, stepId, type, value, verdict } = posted
  switch (type) {
    case "event":
      return eventText(posted)
    case "cancel":
      return cancelText(posted)
    case "settle": {
      const texts = {
        value: `gave ${Text.short(value) || "nothing"}`,
        failure: `failed: ${Text.plain(Text.cut(reason ?? "", 144))}`,
        retry: stepId === undefined ? "may go on" : "may run again"
      }
      return `settle${stepId === undefined ? "" : ` ${Text.plain(stepId)}`}  ${
        texts[verdict ?? "retry"]
      }`
    }
  }
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
