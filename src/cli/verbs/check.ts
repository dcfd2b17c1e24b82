/**
 * `reprise check`: every open run of a storage against the code that is to be deployed. Nothing is run.
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Runs from "../../Runs.ts"
import * as Status from "../../Status.ts"
import { Storage } from "../../Storage.ts"
import * as Text from "../../Text.ts"
import { Found } from "../exit.ts"
import { ArgumentRejected } from "../json.ts"
import * as Modules from "../modules.ts"
import { answer } from "../posted.ts"
import * as Progress from "../progress.ts"
import * as Workflows from "../workflows.ts"
import { judge, type Judged, problemText } from "./replay.ts"

export const check = Command.make("check", {
  workflow: Workflows.flag,
  status: Flag.Literals("status", Status.State.literals).pipe(
    Flag.withDescription("Only runs in this state"),
    Flag.optional
  ),
  all: Flag.Boolean("all").pipe(
    Flag.withDescription("Runs that have ended, too"),
    Flag.withoutNegation,
    Flag.withDefault(false)
  )
}, ({ all, status, workflow }) =>
  Effect.gen(function*() {
    if (all && Option.isSome(status)) {
      return yield* new ArgumentRejected({
        argument: "check",
        saw: "was given --all and --status",
        instead: "Give one of them"
      })
    }
    const code = yield* Modules.needed(workflow)
    const states = all ? [undefined] : Option.isSome(status) ? [status.value] : open
    const report = yield* checked(code, states)
    yield* answer(report, () => page(report))
    if (!isFine(report)) return yield* new Found({ message: "" })
  })).pipe(
    Command.withDescription(
      "Replays every open run with the code that is to be deployed; exits with 2 when one does not fit"
    ),
    Command.withShortDescription("Replays every open run with the code that is to be deployed"),
    Command.withExamples([
      {
        command: "reprise check --workflow ./workflows.ts",
        description: "Before a deploy: would each open run go on?"
      },
      {
        command: "reprise check --workflow ./workflows.ts --json | jq '.breaks[].runId'",
        description: "The runs that would not"
      }
    ])
  )

/** What came of a check. */
interface Report {
  /** How many runs fit. */
  readonly fits: number
  readonly breaks: ReadonlyArray<Judged>
  /** Runs of which nobody can tell. */
  readonly unreadable: ReadonlyArray<{ readonly runId: string; readonly message: string }>
  /** How many runs are of workflows that the modules do not have, by workflow. */
  readonly others: Readonly<Record<string, number>>
}

const isFine = ({ breaks, unreadable }: Report) => breaks.length + unreadable.length === 0

/**
 * States of open runs, in the order they are asked for. A run that goes from one to another meanwhile is found in the
 * one or the other; the last catches those that were driven on in between.
 */
const open = ["pending", "suspended", "stopped", "blocked", "running", "suspended"] as const

const checked = Effect.fnUntraced(function*(
  code: Workflows.Code,
  states: ReadonlyArray<Status.State | undefined>
) {
  const storage = yield* Storage
  const seen = new Set<string>()
  const breaks: Array<Judged> = []
  const unreadable: Array<Report["unreadable"][number]> = []
  const others = new Map<string, number>()
  let fits = 0
  const look = Effect.fnUntraced(function*({ runId, workflow }: Status.Status) {
    const coded = Workflows.replaying(code, workflow)
    if (coded === undefined) {
      others.set(workflow, (others.get(workflow) ?? 0) + 1)
      return undefined
    }
    const loaded = yield* storage.read(runId)
    // Removed since it was listed.
    if (loaded.journal.entries.length === 0) return undefined
    const judged = yield* judge(coded, loaded)
    if (judged.fits) fits++
    if (++done % 50 === 0) yield* Progress.show(`${done} runs replayed`)
    return judged.fits ? undefined : judged
  })
  let done = 0
  for (const status of states) {
    let after: string | undefined
    do {
      const page = yield* Runs.list({ status, after, limit: 500 })
      const isNew = ({ runId }: { readonly runId: string }) => !seen.has(runId)
      const damaged = page.unreadable.filter(isNew)
      const found = yield* Effect.forEach(
        page.runs.filter(isNew),
        (run) =>
          Effect.catchTag(
            look(run),
            "JournalCorrupt",
            (error) => Effect.succeed({ runId: run.runId, error })
          ),
        { concurrency: atOnce }
      )
      for (const one of [...found, ...damaged]) {
        if (one === undefined) continue
        if ("error" in one) unreadable.push({ runId: one.runId, message: one.error.message })
        else breaks.push(one)
      }
      for (const { runId } of [...page.runs, ...page.unreadable]) seen.add(runId)
      after = page.cursor
    } while (after !== undefined)
  }
  yield* Progress.clear
  return { fits, breaks, unreadable, others: Object.fromEntries(others) } satisfies Report
})

/** How many journals are read at once. */
const atOnce = 8

// ---------------------------------------------------------------------------------------------------
// text

const page = (report: Report): ReadonlyArray<string> => {
  const { breaks, fits, others, unreadable } = report
  const elsewhere = Object.entries(others)
  const count = elsewhere.reduce((sum, [, n]) => sum + n, 0)
  return [
    ...breaks.flatMap(breakText),
    ...unreadable.flatMap(({ message, runId }) => [
      `✗ ${Text.plain(runId)}  cannot be read: ${Text.plain(message)}`,
      ""
    ]),
    `${runs(fits)} ${fits === 1 ? "fits" : "fit"}, ${breaks.length} ${
      breaks.length === 1 ? "breaks" : "break"
    }${unreadable.length === 0 ? "" : `, ${unreadable.length} cannot be read`}.`,
    ...(count === 0 ? [] : [
      `${runs(count)} of workflows that are not here: ${
        elsewhere.map(([name, n]) => `${Text.plain(name)} (${n})`).join(", ")
      }.`
    ])
  ]
}

const runs = (n: number) => `${n} ${n === 1 ? "run" : "runs"}`

const breakText = ({ problem, runId, status, version, workflow }: Judged) => [
  `✗ ${Text.plain(runId)}  ${Text.plain(workflow)}${
    version === undefined ? "" : ` version ${Text.plain(version)}`
  }  ${status}`,
  ...problemText(problem!).map((line) => `    ${line}`),
  ""
]
