/** `reprise list`: the runs of a storage, one a line, then those that cannot be read. */
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { Page } from "../Driver.ts"
import * as Runs from "../Runs.ts"
import { hide } from "../Secret.ts"
import * as Status from "../Status.ts"
import * as Text from "../Text.ts"
import * as Output from "./output.ts"
import { root } from "./root.ts"

const Limit = Schema.Int.pipe(Schema.check(Schema.isGreaterThanOrEqualTo(1)))

export const list = Command.make("list", {
  status: Flag.Literals("status", Status.State.literals).pipe(
    Flag.withDescription("Only runs in this state"),
    Flag.optional
  ),
  workflow: Flag.String("workflow").pipe(
    Flag.withDescription("Only runs of this workflow"),
    Flag.optional
  ),
  limit: Flag.Int("limit").pipe(
    Flag.withSchema(Limit),
    Flag.withDescription("At most this many"),
    Flag.withDefault(100)
  ),
  after: Flag.String("after").pipe(
    Flag.withDescription("Goes on behind the page that named this"),
    Flag.optional
  )
}, (flags) =>
  Effect.gen(function*() {
    const { storage } = yield* root
    const isJson = (yield* Output.mode) === "json"
    const page = yield* Runs.list({
      status: Option.getOrUndefined(flags.status),
      workflow: Option.getOrUndefined(flags.workflow),
      limit: flags.limit,
      after: Option.getOrUndefined(flags.after)
    })
    const lines = isJson ? jsonLines(page) : table(page)
    if (lines.length > 0) yield* Console.log(lines.join("\n"))
    // Not among the data: on a terminal it is seen, and a pipe gets runs alone.
    if (page.cursor !== undefined) {
      yield* Console.error(`More runs: the same with --after ${shellWord(page.cursor)}`)
    } else if (lines.length === 0 && !isJson) {
      const some = Option.isSome(flags.status) || Option.isSome(flags.workflow)
        || Option.isSome(flags.after)
      yield* Console.error(`No ${some ? "such runs" : "runs"} in ${Text.plain(storage)}.`)
    }
  })).pipe(
    Command.withDescription("Lists runs: state, what they wait for, steps"),
    Command.withExamples([
      { command: "reprise list --status suspended", description: "What waits for someone" },
      {
        command: "reprise list --json | jq -r .runId",
        description: "The ids of all runs"
      }
    ])
  )

const jsonLines = ({ runs, unreadable }: Page): Array<string> => [
  ...runs.map((run) => Text.jsonLine(hide(run))),
  ...unreadable.map(({ error, runId }) =>
    Text.jsonLine({ runId, unreadable: { _tag: error._tag, message: error.message } })
  )
]

const header = ["RUN", "WORKFLOW", "STATUS", "WAITS FOR", "UPDATED", "STEPS"]

const table = ({ runs, unreadable }: Page): Array<string> => {
  const rows = runs.map((run) => [
    run.runId,
    Text.cut(Text.plain(run.workflow), 40),
    run.status,
    waitsFor(run),
    Text.plain(run.updatedAt).replace(/\.\d+Z$/, "Z"),
    run.steps.failed === 0
      ? `${run.steps.done}`
      : `${run.steps.done} (${run.steps.failed} failed)`
  ])
  const lines = rows.length === 0 ? [] : aligned([header, ...rows])
  for (const { error, runId } of unreadable) {
    lines.push(`${Text.plain(runId)}  cannot be read: ${Text.plain(error.message)}`)
  }
  return lines
}

const waitsFor = ({ reason, waits }: Status.Status): string => {
  const [first] = waits
  const text = first === undefined
    ? Text.plain(reason ?? "")
    : first.kind === "event"
    ? Text.plain(first.event ?? first.stepId)
      + (first.key === undefined ? "" : ` key ${Text.short(first.key)}`)
    : `${first.kind}${first.wakeAt === undefined ? "" : ` until ${Text.time(first.wakeAt)}`}`
  const more = waits.length > 1 ? ` +${waits.length - 1}` : ""
  return (Text.cut(text, 40) + more) || "-"
}

const aligned = (rows: ReadonlyArray<ReadonlyArray<string>>): Array<string> => {
  const widths = header.map((_, column) =>
    Math.max(...rows.map((row) => CliOutput.displayWidth(row[column] ?? "")))
  )
  return rows.map((row) =>
    row.map((cell, column) =>
      column === row.length - 1
        ? cell
        : cell + " ".repeat(widths[column]! - CliOutput.displayWidth(cell))
    ).join("  ")
  )
}

const shellWord = (text: string) =>
  /^[\w.:/=@%+-]+$/.test(text) ? text : `'${Text.plain(text).replaceAll("'", `'\\''`)}'`
