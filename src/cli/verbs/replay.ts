/** `reprise replay <runId>`: would this code accept this run, and what would it do next? Nothing is run. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type { Wait } from "../../Entry.ts"
import { found } from "../../Find.ts"
import { describe } from "../../internal/describe.ts"
import { compare } from "../../Opening.ts"
import type { Replayed } from "../../Replay.ts"
import { hide } from "../../Secret.ts"
import * as Status from "../../Status.ts"
import type { Loaded } from "../../Storage.ts"
import * as Text from "../../Text.ts"
import { Found } from "../exit.ts"
import * as Modules from "../modules.ts"
import { answer, word } from "../posted.ts"
import * as Workflows from "../workflows.ts"

export const replay = Command.make("replay", {
  runId: Argument.String("run-id").pipe(Argument.withDescription("The run to replay")),
  workflow: Workflows.flag
}, ({ runId, workflow }) =>
  Effect.gen(function*() {
    const code = yield* Modules.needed(workflow)
    const loaded = yield* found(runId)
    const name = Status.of(runId, loaded.journal.entries).workflow
    const coded = Workflows.replaying(code, name)
    if (coded === undefined) return yield* Workflows.unknown(code, runId, name)
    const judged = yield* judge(coded, loaded)
    yield* answer(judged, () => page(judged))
    if (!judged.fits) return yield* new Found({ message: "" })
  })).pipe(
    Command.withDescription("Replays a run with other code: does it fit, and what comes next"),
    Command.withExamples([
      {
        command: "reprise replay order-1234 --workflow ./workflows.ts",
        description: "Would this code go on with the run?"
      }
    ])
  )

/** What the code would do with a run that it fits. */
export type Next =
  | { readonly does: "end"; readonly as: "success"; readonly result?: Schema.Json }
  | { readonly does: "end"; readonly as: "failed"; readonly error: Schema.Json }
  | {
    readonly does: "go on"
    /** Steps without an outcome, which would run. */
    readonly steps: ReadonlyArray<string>
    readonly waits: ReadonlyArray<Wait>
  }

/** Why code and run do not go together. */
export interface Problem {
  /**
   * - `diverged`: the journal says that one thing came next, and the code does another
   * - `broke`: the body throws what is no error of it, or breaks a rule
   * - `version`: the code has no such version of the workflow, or reprise of this journal
   */
  readonly kind: "diverged" | "broke" | "version"
  readonly message: string
  /** The entry that does not fit. */
  readonly offset?: number
  /** What the journal has there. */
  readonly expected?: string
  /** What the code does instead. */
  readonly actual?: string
  /** Where the code does it. */
  readonly source?: string
  /** What can be done. */
  readonly waysOut: ReadonlyArray<string>
}

/** What code makes of a run. */
export interface Judged {
  readonly runId: string
  readonly workflow: string
  readonly version?: string
  readonly status: Status.State
  readonly entries: number
  readonly fits: boolean
  /** Of an open run that fits. */
  readonly next?: Next
  /** Of one that does not. */
  readonly problem?: Problem
}

/** Replays a run with the code of its workflow. */
export const judge = (coded: Workflows.Replaying, loaded: Loaded): Effect.Effect<Judged> =>
  Effect.map(
    Effect.result(compare(coded.program, loaded, undefined, Context.empty())),
    (compared): Judged => {
      const { journal } = loaded
      const { entries, runId } = journal
      const { status, version, workflow } = Status.of(runId, entries)
      const about = {
        runId,
        workflow,
        ...(version === undefined ? undefined : { version }),
        status,
        entries: entries.length
      }
      if (compared._tag === "Failure") {
        const { failure } = compared
        const recorded = "of" in failure && failure.of === "workflow" ? failure.recorded : undefined
        const waysOut = recorded === undefined
          ? ["Use a version of reprise that reads this journal"]
          : [
            `Keep the body of version ${recorded} beside the new one: give the workflow the older one as previous`,
            `Leave the run to a process that has version ${recorded}`
          ]
        return {
          ...about,
          fits: false,
          problem: { kind: "version", message: failure.message, waysOut }
        }
      }
      const made = replayed(coded, loaded)
      if ("kind" in made) return { ...about, fits: false, problem: made }
      return Status.isEnded({ status } as Status.Status)
        ? { ...about, fits: true }
        : { ...about, fits: true, next: hide(nextOf(coded, made)) }
    }
  )

const replayed = (
  coded: Workflows.Replaying,
  { journal }: Loaded
): Exclude<Replayed, { readonly _tag: "Diverged" | "Broke" }> | Problem => {
  let made: Replayed
  try {
    made = coded.replay(journal)
  } catch (error) {
    // A schema of the workflow's that needs a service.
    const { message, tag } = describe(error)
    const waysOut = ["Mend the code: a replay has no services, so its schemas must need none"]
    return { kind: "broke", message: `The code cannot be replayed: ${tag}: ${message}`, waysOut }
  }
  switch (made._tag) {
    case "Diverged": {
      const { actual, expected, message, offset, source } = made.mismatch
      const where = source === undefined ? undefined : { source }
      const waysOut = waysOutOf(journal.runId, offset)
      return { kind: "diverged", message, offset, expected, actual, ...where, waysOut }
    }
    case "Broke": {
      const { message, source } = made.defect
      const waysOut = [
        `Mend the code${source === undefined ? "" : ` at ${source}`}: the run stays open`
      ]
      return { kind: "broke", message, ...(source === undefined ? undefined : { source }), waysOut }
    }
    default:
      return made
  }
}

/** What can be done about a run that diverges at `offset`. */
const waysOutOf = (runId: string, offset: number): ReadonlyArray<string> => [
  ...(offset === 0
    ? []
    : [
      `Fork it from there, to go on with this code: reprise fork ${
        word(runId)
      } --from-offset ${offset}`
    ]),
  "Pin it: give the new body a new version, and the old one to it as previous",
  "Keep the old path beside the new one with ctx.patched",
  "Deploy the code that fits it",
  `While developing, remove it: reprise rm ${word(runId)}`
]

const nextOf = (
  { program }: Workflows.Replaying,
  made: Exclude<Replayed, { readonly _tag: "Diverged" | "Broke" }>
): Next => {
  switch (made._tag) {
    case "Blocked":
      return { does: "go on", steps: made.steps, waits: made.waits }
    case "Returned": {
      const encoded = program.output.encode(made.value, Context.empty())
      const result = encoded.ok && encoded.json !== undefined ? { result: encoded.json } : undefined
      return { does: "end", as: "success", ...result }
    }
    case "Threw": {
      const { message, tag } = describe(made.error)
      return { does: "end", as: "failed", error: { _tag: tag, message } }
    }
  }
}

// ---------------------------------------------------------------------------------------------------
// text

const page = (judged: Judged): ReadonlyArray<string> => {
  const { entries, fits, next, problem, runId, status, version, workflow } = judged
  const head = [
    `run       ${Text.plain(runId)}`,
    `workflow  ${Text.plain(workflow)}${
      version === undefined ? "" : ` version ${Text.plain(version)}`
    }`,
    `status    ${status}`,
    `fits      ${fits ? `yes, all ${entries} entries of its journal` : "no"}`
  ]
  return problem === undefined
    ? next === undefined ? head : [...head, "", ...inWords(next)]
    : [...head, "", ...problemText(problem)]
}

/** A problem in lines. */
export const problemText = (problem: Problem): ReadonlyArray<string> => {
  const { actual, expected, message, offset, source, waysOut } = problem
  const what = expected === undefined || actual === undefined
    ? [Text.plain(message)]
    : [
      `offset    ${offset}`,
      `journal   ${Text.plain(expected)}`,
      `code      ${Text.plain(actual)}`,
      ...(source === undefined ? [] : [`source    ${Text.plain(source)}`])
    ]
  return [...what, "ways out", ...waysOut.map((way) => `  ${Text.plain(way)}`)]
}

const inWords = (next: Next): ReadonlyArray<string> => {
  if (next.does === "end") {
    return [
      next.as === "success"
        ? `It would end with ${Text.short(next.result) || "no result"}`
        : `It would fail with ${Text.errorText(next.error)}`
    ]
  }
  const { steps, waits } = next
  return [
    ...(steps.length === 0 ? [] : ["would run", ...steps.map((id) => `  step ${Text.plain(id)}`)]),
    ...(waits.length === 0
      ? []
      : ["would wait for", ...waits.map((wait) => `  ${waitText(wait)}`)]),
    ...(steps.length === 0 && waits.length === 0 ? ["Nothing is pending."] : [])
  ]
}

/** A wait in a line. */
export const waitText = ({ event, key, kind, reason, stepId, wakeAt }: Wait): string =>
  [
    kind === "event" ? `event ${Text.plain(event ?? stepId)}` : `${kind} ${Text.plain(stepId)}`,
    key === undefined ? "" : `key ${Text.short(key)}`,
    reason === undefined ? "" : Text.plain(Text.cut(reason, 144)),
    wakeAt === undefined ? "" : `until ${Text.time(wakeAt)}`
  ].filter((part) => part !== "").join("  ")
