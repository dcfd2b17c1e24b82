/**
 * `reprise fsck [runId]` and `reprise verify <runId>`: reads every line of journals and inboxes again, and
 * tells which are damaged, which count for nothing, and which were cut short. Repairs nothing.
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { type Checked, checkRun, unsound } from "../../CheckRun.ts"
import type { Page, StorageError } from "../../Driver.ts"
import type { RunNotFound } from "../../Refusals.ts"
import type { RunIdRejected } from "../../RunId.ts"
import * as Runs from "../../Runs.ts"
import type { Storage } from "../../Storage.ts"
import * as Text from "../../Text.ts"
import { Found } from "../exit.ts"
import * as Output from "../output.ts"
import * as Progress from "../progress.ts"

export const fsck = Command.make("fsck", {
  runId: Argument.String("run-id").pipe(
    Argument.withDescription("Only this run; else all of the storage"),
    Argument.optional
  )
}, ({ runId }) =>
  Effect.gen(function*() {
    const isJson = (yield* Output.mode) === "json"
    const sum = { runs: 0, entries: 0, rejected: 0, torn: 0, bad: 0 }
    const take = (checked: Checked) => {
      sum.runs++
      sum.entries += checked.entries
      sum.rejected += checked.rejected
      sum.torn += checked.torn
      if (checked.state !== "sound") sum.bad++
      const line = isJson ? Text.jsonLine(checked) : remark(checked)
      return line === undefined ? Effect.void : Effect.andThen(Progress.clear, Console.log(line))
    }
    if (Option.isSome(runId)) yield* Effect.flatMap(checkRun(runId.value), take)
    else yield* eachRun((checked) => Effect.andThen(take(checked), Progress.show(counted(sum))))
    yield* Progress.clear
    if (!isJson) yield* Console.log(summary(sum))
    if (sum.bad > 0) return yield* new Found({ message: verdict(sum) })
  })).pipe(
    Command.withDescription("Reads every line of every journal, and tells what is damaged"),
    Command.withExamples([
      { command: "reprise fsck", description: "All runs; ends with code 2 when one is damaged" },
      {
        command: "reprise fsck --json | jq 'select(.state != \"sound\")'",
        description: "The bad ones"
      }
    ])
  )

export const verify = Command.make("verify", {
  runId: Argument.String("run-id").pipe(Argument.withDescription("The run to verify"))
}, ({ runId }) =>
  Effect.gen(function*() {
    const checked = yield* checkRun(runId)
    yield* Console.log(
      (yield* Output.mode) === "json" ? Text.jsonLine(checked) : inWords(checked).join("\n")
    )
    if (checked.state !== "sound") return yield* new Found({ message: "" })
  })).pipe(
    Command.withDescription("Says in words whether the journal of a run is sound"),
    Command.withExamples([
      { command: "reprise verify order-1234", description: "Ends with code 2 when it is damaged" }
    ])
  )

/** Reads all runs, a page of them at a time. */
const eachRun = Effect.fnUntraced(function*<E, R>(
  take: (checked: Checked) => Effect.Effect<void, E, R>
): Effect.fn.Return<void, E | StorageError, R | Storage> {
  let after: string | undefined
  do {
    const page: Page = yield* Runs.list({ after })
    const runIds = page.runs.map(({ runId }) => runId)
    const read = yield* Effect.forEach(runIds, orGone, { concurrency: 8 })
    for (const checked of read) if (checked !== undefined) yield* take(checked)
    for (const { error, runId } of page.unreadable) {
      // The name of a file that is a hash is no id: all that is known of it is the error.
      yield* take((yield* orGone(runId)) ?? unsound(runId, error))
    }
    after = page.cursor
  } while (after !== undefined)
})

/** Undefined for a run that was removed since. */
const orGone = (runId: string): Effect.Effect<Checked | undefined, StorageError, Storage> =>
  Effect.catchTags(checkRun(runId), { RunNotFound: none, RunIdRejected: none })

const none = (_: RunNotFound | RunIdRejected) => Effect.undefined

// ---------------------------------------------------------------------------------------------------
// text

const many = (n: number, one: string, more = `${one}s`) => `${n} ${n === 1 ? one : more}`

const counted = ({ bad, runs }: { readonly bad: number; readonly runs: number }) =>
  `${many(runs, "run")} read${bad === 0 ? "" : `, ${bad} damaged`} …`

const ignored = ({ rejected, torn }: Pick<Checked, "rejected" | "torn">): ReadonlyArray<string> => [
  ...(rejected === 0
    ? []
    : [`${many(rejected, "line")} ignored of writers that had lost the run`]),
  ...(torn === 0 ? [] : [`${many(torn, "line")} torn`])
]

/** What there is to say of a run; nothing of one with sound lines alone. */
const remark = (checked: Checked): string | undefined => {
  const { entries, message, runId, state } = checked
  if (state !== "sound") return `${Text.plain(runId)}  ${state}: ${Text.plain(message ?? "")}`
  const more = ignored(checked)
  return more.length === 0
    ? undefined
    : `${Text.plain(runId)}  sound: ${[many(entries, "entry", "entries"), ...more].join(", ")}`
}

const summary = (sum: Parameters<typeof verdict>[0] & Parameters<typeof ignored>[0]) =>
  [
    many(sum.runs, "run"),
    many(sum.entries, "sound entry", "sound entries"),
    ...ignored(sum),
    sum.bad === 0 ? "nothing damaged" : `${sum.bad} damaged`
  ].join(", ")

const verdict = (
  { bad, runs }: { readonly runs: number; readonly bad: number; readonly entries: number }
) =>
  `${bad} of ${
    many(runs, "run")
  } cannot be read. Nothing was changed: restore what is damaged from `
  + `a backup, or remove the run.`

const inWords = (checked: Checked): ReadonlyArray<string> => {
  const { entries, message, rejected, runId, state, torn } = checked
  if (state !== "sound") return [Text.plain(message ?? "")]
  return [
    `The journal of run "${Text.plain(runId)}" is sound: ${many(entries, "entry", "entries")}, `
    + `each with the checksum of its bytes, and behind the one before it.`,
    ...(rejected === 0
      ? []
      : [
        `${many(rejected, "line")} of writers that had lost the run: no reader counts them, `
        + `and they do no harm.`
      ]),
    ...(torn === 0
      ? []
      : [
        `${many(torn, "line")} cut short by a crash or a full disk: nobody was told that they `
        + `were saved.`
      ])
  ]
}
