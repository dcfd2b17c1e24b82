/** Lines about runs: a page of them as a table or as JSON, and what a run waits for in a few words. */
import * as CliOutput from "effect/cli/CliOutput"
import type { Page } from "../../Driver.ts"
import { hide } from "../../Secret.ts"
import type { Status } from "../../Status.ts"
import * as Text from "../../Text.ts"
import type { Paint } from "../colors.ts"

/** A line of JSON for each run, by its id. */
export const jsonLines = ({ runs, unreadable }: Page): ReadonlyMap<string, string> =>
  new Map([
    ...runs.map((run) => [run.runId, Text.jsonLine(hide(run))] as const),
    ...unreadable.map(({ error, runId }) =>
      [
        runId,
        Text.jsonLine({ runId, unreadable: { _tag: error._tag, message: error.message } })
      ] as const
    )
  ])

const header = ["RUN", "WORKFLOW", "STATUS", "WAITS FOR", "UPDATED", "STEPS"]

export const table = ({ runs, unreadable }: Page, paint: Paint): ReadonlyArray<string> => {
  const rows = runs.map((run) => [
    run.runId,
    Text.cut(Text.plain(run.workflow), 40),
    paint(run.status, run.status),
    waitsFor(hide(run)) || "-",
    updated(run),
    steps(run)
  ])
  const lines = rows.length === 0 ? [] : aligned([header, ...rows])
  for (const { error, runId } of unreadable) {
    lines.push(`${Text.plain(runId)}  cannot be read: ${Text.plain(error.message)}`)
  }
  return lines
}

/** To the second. */
export const updated = ({ updatedAt }: Status): string =>
  Text.plain(updatedAt).replace(/\.\d+Z$/, "Z")

export const steps = ({ steps: { done, failed } }: Status): string =>
  failed === 0 ? `${done}` : `${done} (${failed} failed)`

/** The first that it waits for, and how many more there are; empty when it waits for nothing. */
export const waitsFor = ({ reason, waits }: Status): string => {
  const [first] = waits
  const text = first === undefined
    ? Text.plain(reason ?? "")
    : first.kind === "event"
    ? Text.plain(first.event ?? first.stepId)
      + (first.key === undefined ? "" : ` key ${Text.short(first.key)}`)
    : `${first.kind}${first.wakeAt === undefined ? "" : ` until ${Text.time(first.wakeAt)}`}`
  return Text.cut(text, 40) + (waits.length > 1 ? ` +${waits.length - 1}` : "")
}

/** By what a terminal shows of them, which is not their colours. */
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
