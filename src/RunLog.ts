/**
 * Prints what runs do while they do it, for any workflow: one layer, nothing without it.
 *
 * Owns three styles of text over what `Observer` tells; what a step came to is worded by `Outline`.
 * Prints through Effect's `Console`, and only what is durable: a line never tells of an outcome that a
 * crash could still take back.
 */
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type Entry, isEnd, type Recorded } from "./Entry.ts"
import { type Observer, Observers, type RunEvent } from "./Observer.ts"
import * as Outline from "./Outline.ts"
import * as Text from "./Text.ts"

export interface Options {
  /**
   * - `tree` (default): indented, for people: ✓ done, ✗ failed, … running, ⏸ waiting, ↻ done before
   * - `lines`: one line an event with time, run and what happened, for log files
   * - `json`: one JSON object an event, for programs; values whole
   */
  readonly style?: "tree" | "lines" | "json" | undefined
  /** Colours the tree's marks, unless `NO_COLOR` is set. Default: false. */
  readonly colors?: boolean | undefined
}

/**
 * Prints the runs of everything it is provided to. Observers that are installed already stay.
 *
 * @example
 * ```ts
 * import { RunLog, Storage, Workflow } from "reprise"
 * import { Effect } from "effect"
 *
 * const hello = Workflow.make("hello", function*(ctx, who: { name: string }) {
 *   return yield* ctx.step("greet", () => `Hello, ${who.name}`)
 * })
 * const program = hello.start({ name: "Ada" }, { runId: "r1" }).pipe(
 *   Effect.provide(RunLog.layer({ style: "tree" })),
 *   Effect.provide(Storage.layerMemory)
 * )
 * // hello r1
 * //   … greet
 * //   ✓ greet  "Hello, Ada"
 * // ✓ r1 success  "Hello, Ada"
 * ```
 */
export const layer = (options: Options = {}): Layer.Layer<never> =>
  Layer.effect(
    Observers,
    Effect.gen(function*() {
      const installed = yield* Observers
      const colors = options.colors === true && !(yield* noColor)
      return [...installed, print(style(options.style ?? "tree", colors))]
    })
  )

// internal

/** The lines to print for an event. */
type Style = (event: RunEvent, timestamp: string) => ReadonlyArray<string>

const style = (name: NonNullable<Options["style"]>, colors: boolean): Style => {
  switch (name) {
    case "tree":
      return makeTree(colors)
    case "lines":
      return inLines
    case "json":
      return inJson
  }
}

/** Loaded when colours are asked for: the main entry stays small. */
const noColor = Effect.promise(() => import("effect/ConfigProvider")).pipe(
  Effect.flatMap(({ ConfigProvider }) => ConfigProvider),
  Effect.flatMap((provider) => provider.load(["NO_COLOR"])),
  Effect.map((node) => node?.value !== undefined && node.value !== ""),
  Effect.orElseSucceed(() => false)
)

const print = (style: Style): Observer => (event) =>
  Effect.gen(function*() {
    const timestamp = event.type === "entry"
      ? event.timestamp
      : new Date(yield* Clock.currentTimeMillis).toISOString()
    const lines = style(event, timestamp)
    if (lines.length > 0) yield* Console.log(lines.join("\n"))
  })

/** A run id may contain spaces. */
const word = (runId: string) => runId.includes(" ") ? Text.short(runId, 220) : runId

const join = (...parts: ReadonlyArray<string>) => parts.filter((part) => part !== "").join("  ")

/** What an entry says that is about no instruction; undefined for one that is. */
const aside = (
  entry: Entry
): { readonly mark: string; readonly what: string; readonly text: string } | undefined => {
  switch (entry.type) {
    case "event":
      return {
        mark: "+",
        what: `event ${Text.plain(entry.eventName)} kept`,
        text: Text.short(entry.value)
      }
    case "patch":
      return { mark: "+", what: `patch ${Text.plain(entry.changeId)}`, text: "" }
    case "cancel":
      return {
        mark: "!",
        what: "cancel requested",
        text: entry.reason === undefined ? "" : Text.plain(entry.reason)
      }
    case "stop":
      return { mark: "⏸", what: `stopped after ${Text.plain(entry.stepId)}`, text: "" }
    case "continue":
      return { mark: "✓", what: `continued as ${Text.plain(entry.runId)}`, text: "" }
    case "complete":
      return { mark: "✓", what: "success", text: Text.short(entry.result) }
    case "error":
      return { mark: "✗", what: "failed", text: Text.errorText(entry.error) }
    case "cancelled":
      return {
        mark: "✗",
        what: "cancelled",
        text: entry.reason === undefined ? "" : Text.plain(entry.reason)
      }
    default:
      return undefined
  }
}

// ---------------------------------------------------------------------------------------------------
// json

const inJson: Style = (event, timestamp) => [
  Text.jsonLine(
    event.type === "session"
      ? { timestamp, ...event, replayed: event.replayed.length }
      : event.type === "entry"
      ? { timestamp, type: event.type, runId: event.runId, entry: event.entry }
      : { timestamp, ...event }
  )
]

// ---------------------------------------------------------------------------------------------------
// lines

const inLines: Style = (event, timestamp) => {
  const what = inWords(event)
  return what === "" ? [] : [`${timestamp} ${word(event.runId)} ${what}`]
}

const inWords = (event: RunEvent): string => {
  switch (event.type) {
    case "session": {
      const { replayed, session, workflow } = event
      return join(
        `session ${session} of ${Text.plain(workflow)}`,
        replayed.length === 0 ? "" : `(${replayed.length} entries replayed)`
      )
    }
    case "started":
      return `step ${Text.plain(event.stepId)} started`
    case "entry": {
      const { entry } = event
      const said = aside(entry)
      if (said !== undefined) return join(said.what, said.text)
      return Outline.ofEntry(entry).map((item) =>
        join(
          `${item.kind} ${Text.plain(item.stepId)} ${stateOf(entry, item)}`,
          Outline.text(item)
        )
      ).join("; ")
    }
    case "left":
      return `left: ${Text.plain(event.why)}`
  }
}

const stateOf = (entry: Entry, item: Outline.Item): string =>
  entry.type === "intent" ? "begins" : entry.type === "undo" ? "undo" : item.state

// ---------------------------------------------------------------------------------------------------
// tree

/** How many of the outcomes found at the start of a session are named. */
const namedOutcomes = 10

const codes: Record<string, string> = {
  "✓": "32",
  "✗": "31",
  "…": "36",
  "⏸": "33",
  "?": "33",
  "↻": "2"
}

/**
 * Lines stand under the run and the combinators they belong to. Where another place was printed last,
 * these are named again, so a line is never read under the wrong one.
 */
const makeTree = (colors: boolean): Style => {
  /** Where the line printed last stands: the run, then ids of combinators. */
  let at: ReadonlyArray<string> = []
  const marked = (mark: string) => {
    const code = colors ? codes[mark] : undefined
    return code === undefined ? mark : `\u001b[${code}m${mark}\u001b[0m`
  }
  const goTo = (out: Array<string>, path: ReadonlyArray<string>, labels: ReadonlyArray<string>) => {
    let same = 0
    while (same < path.length && path[same] === at[same]) same++
    for (let i = same; i < path.length; i++) out.push(`${"  ".repeat(i)}${labels[i]}`)
    at = path
  }
  const line = (
    out: Array<string>,
    runId: string,
    item: { readonly stepId: string },
    mark: string,
    text: string
  ) => {
    const { branches, name } = Outline.place(item.stepId)
    const parts = item.stepId.split("/")
    const path = [runId]
    const labels = [word(runId)]
    let branch = ""
    branches.forEach(({ fan, key }, i) => {
      path.push(parts.slice(0, i + 1).join("/").replace(/\[[^[\]]*\]$/, ""))
      labels.push(`${branch}${fan}`)
      branch = `[${key}] `
    })
    goTo(out, path, labels)
    out.push(join(`${"  ".repeat(path.length)}${marked(mark)} ${branch}${name}`, text))
  }
  const replayed = (out: Array<string>, runId: string, entries: ReadonlyArray<Recorded>) => {
    const done = Outline.items(entries).filter(({ state }) =>
      state === "done" || state === "failed"
    )
    const more = done.length - namedOutcomes
    if (more > 0) out.push(`  ${marked("↻")} ${more} more`)
    for (const item of more > 0 ? done.slice(more) : done) {
      line(out, runId, item, "↻", item.state === "failed" ? "failed" : "")
    }
  }
  return (event) => {
    const out: Array<string> = []
    const { runId } = event
    switch (event.type) {
      case "session": {
        const { replayed: found, session, workflow } = event
        const again = session === 1 ? "" : ` (session ${session})`
        out.push(`${Text.plain(workflow)} ${word(runId)}${again}`)
        at = [runId]
        replayed(out, runId, found)
        break
      }
      case "started":
        line(out, runId, event, Outline.marks.running, "")
        break
      case "entry": {
        const { entry } = event
        const said = aside(entry)
        if (said === undefined) {
          // That a step is about to run was told when it started.
          if (entry.type === "intent") break
          for (const item of Outline.ofEntry(entry)) {
            line(out, runId, item, Outline.marks[item.state], Outline.text(item))
          }
        } else if (isEnd(entry)) {
          out.push(join(`${marked(said.mark)} ${word(runId)} ${said.what}`, said.text))
          at = []
        } else {
          goTo(out, [runId], [word(runId)])
          out.push(join(`  ${marked(said.mark)} ${said.what}`, said.text))
        }
        break
      }
      case "left":
        out.push(`${marked("✗")} ${word(runId)} left  ${Text.plain(event.why)}`)
        at = []
    }
    return out
  }
}
