/**
 * `reprise rm`: removes runs for good. Careful: all are looked at before one is removed, somebody is asked, and a run
 * that is still needed is only removed by force.
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Prompt from "effect/cli/Prompt"
import { TerminalCapabilities } from "effect/cli/TerminalCapabilities"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Chain from "../../Chain.ts"
import * as Journal from "../../Journal.ts"
import * as Runs from "../../Runs.ts"
import * as Status from "../../Status.ts"
import { Storage } from "../../Storage.ts"
import * as Text from "../../Text.ts"
import { ArgumentRejected } from "../json.ts"
import * as Output from "../output.ts"

/** Runs are still needed. None was removed. */
export class RemovalRejected
  extends Schema.TaggedError<RemovalRejected>("reprise/RemovalRejected")("RemovalRejected", {
    runs: Schema.Array(Schema.Struct({ runId: Schema.String, why: Schema.String }))
  })
{
  override get message(): string {
    const shown = this.runs.slice(0, 5).map(({ runId, why }) => `run "${runId}" ${why}`)
    const more = this.runs.length > 5 ? `; and ${this.runs.length - 5} more` : ""
    return `Nothing was removed: ${shown.join("; ")}${more}. `
      + "Cancel what is open or let it end first; --force removes all the same."
  }
}

export const rm = Command.make("rm", {
  runIds: Argument.String("run-id").pipe(
    Argument.withDescription("The runs to remove"),
    Argument.atLeast(1)
  ),
  yes: Flag.Boolean("yes").pipe(
    Flag.withAlias("y"),
    Flag.withDescription("Does not ask; needed where nobody can be asked"),
    Flag.withoutNegation,
    Flag.withDefault(false)
  ),
  force: Flag.Boolean("force").pipe(
    Flag.withDescription("Also runs that are open, damaged, or needed by an open one"),
    Flag.withoutNegation,
    Flag.withDefault(false)
  )
}, ({ force, runIds, yes }) =>
  Effect.gen(function*() {
    const wanted = new Set(runIds)
    const found = yield* Effect.forEach(wanted, look)
    if (!force) {
      const runs: Array<{ readonly runId: string; readonly why: string }> = []
      for (const one of found) {
        const why = yield* objection(one, wanted)
        if (why !== undefined) runs.push({ runId: one.runId, why })
      }
      if (runs.length > 0) return yield* new RemovalRejected({ runs })
    }
    if (!yes && !(yield* confirmed(found))) return yield* Console.error("Nothing was removed.")
    const isJson = (yield* Output.mode) === "json"
    for (const { runId, state } of ordered(found)) {
      yield* Effect.catchTag(Runs.remove(runId), "RunNotFound", () => Effect.void)
      yield* Console.log(
        isJson
          ? Text.jsonLine({ runId, removed: true })
          : Text.plain(`Removed run ${runId} (${state}).`)
      )
    }
  })).pipe(
    Command.withDescription(
      "Removes runs with all that belongs to them, for good. Open runs stay, unless --force is given, and so do "
        + "those without which an open run would begin something again"
    ),
    Command.withShortDescription("Removes runs for good"),
    Command.withExamples([
      { command: "reprise rm order-1 order-2 --yes", description: "Without being asked" }
    ])
  )

interface Seen {
  readonly runId: string
  /** None when the journal is damaged. */
  readonly status: Status.Status | undefined
  readonly state: string
  /** The run that went on as this one. */
  readonly before: string | undefined
}

const look = Effect.fnUntraced(function*(runId: string) {
  const seen: Seen = yield* Effect.flatMap(
    Runs.status(runId),
    (status) =>
      Effect.map(Effect.flatMap(Storage, (storage) => storage.read(runId, "none")), (loaded) => ({
        runId,
        status,
        state: status.status,
        before: Journal.first(loaded.journal)?.continues
      }))
  ).pipe(
    Effect.catchTag(
      "JournalCorrupt",
      () => Effect.succeed({ runId, status: undefined, state: "damaged", before: undefined })
    )
  )
  return seen
})

/** What began another one goes before it: left alone, it would begin that again. */
const ordered = (found: ReadonlyArray<Seen>): ReadonlyArray<Seen> => {
  const left = new Map(found.map((one) => [one.runId, one]))
  const out: Array<Seen> = []
  for (const one of found) {
    const line: Array<Seen> = []
    for (let at: Seen | undefined = one; at !== undefined && left.delete(at.runId);) {
      line.push(at)
      at = left.get(at.before ?? at.status?.parent?.runId ?? "")
    }
    out.push(...line.toReversed())
  }
  return out
}

/** Why a run had better stay, when those that are `wanted` go. */
const objection = Effect.fnUntraced(
  function*({ before, runId, status }: Seen, wanted: ReadonlySet<string>) {
    if (status === undefined) return "is damaged: look at it first with reprise fsck"
    if (!Status.isEnded(status)) return `is ${status.status}`
    const storage = yield* Storage
    const { continuedAs, parent } = status
    if (continuedAs !== undefined && !(yield* Chain.exists(storage, continuedAs))) {
      return `is still to go on as "${continuedAs}"`
    }
    if (parent !== undefined && !wanted.has(parent.runId) && (yield* isOpen(parent.runId))) {
      return `was begun by "${parent.runId}", which is open and may begin it again`
    }
    if (before === undefined || wanted.has(before)) return undefined
    const earlier = yield* Effect.orElseSucceed(storage.read(before, "none"), () => undefined)
    // A fork has what its source went on from.
    return earlier !== undefined && Chain.successor(earlier) === runId
      ? `is what "${before}" went on as, which would begin it again`
      : undefined
  }
)

const isOpen = (runId: string) =>
  Runs.status(runId).pipe(
    Effect.map((status) => !Status.isEnded(status)),
    Effect.orElseSucceed(() => false)
  )

const confirmed = Effect.fnUntraced(function*(found: ReadonlyArray<Seen>) {
  const { canPrompt } = yield* TerminalCapabilities
  if (!canPrompt) {
    return yield* new ArgumentRejected({
      argument: "rm",
      saw: "cannot ask anybody here",
      instead: "Say --yes to remove the runs for good"
    })
  }
  const some = found.slice(0, 5).map(({ runId, state }) => Text.plain(`${runId} (${state})`))
  const more = found.length > 5 ? ` and ${found.length - 5} more` : ""
  return yield* Prompt.Confirm({ message: `Remove ${some.join(", ")}${more} for good?` }).pipe(
    Effect.catchTag("QuitError", () => Effect.interrupt)
  )
})
