/**
 * `reprise fork`: begins a run with what another one did up to a cut, without its code.
 *
 * The new run is recorded and not driven. That the code goes with what it was begun with is seen when somebody does.
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { CutAt } from "../../Fork.ts"
import * as Runs from "../../Runs.ts"
import * as Text from "../../Text.ts"
import * as Flags from "../flags.ts"
import { ArgumentRejected } from "../json.ts"
import { answer, goesOn, named } from "../posted.ts"

export const fork = Command.make("fork", {
  runId: Argument.String("run-id").pipe(
    Argument.withDescription("The run to begin with; it stays as it is")
  ),
  fromStep: Flag.String("from-step").pipe(
    Flag.withDescription("The step that runs again: its id, or a name that only one has"),
    Flag.withMetavar("step-id"),
    Flag.optional
  ),
  fromOffset: Flag.Int("from-offset").pipe(
    Flag.withDescription("How many entries of the journal are kept"),
    Flag.optional
  ),
  ...Flags.fork
}, (flags) =>
  Effect.gen(function*() {
    const { runId } = flags
    const cut = yield* cutOf(flags)
    const override = yield* Flags.overrideOf(flags.overrides)
    const forked = yield* Runs.fork(runId, {
      ...cut,
      override,
      runId: Option.getOrUndefined(flags.newRunId)
    })
    const { source, version, workflow } = yield* Runs.status(forked)
    const overridden = Object.keys(override)
    const made = {
      runId: forked,
      workflow,
      ...(version === undefined ? undefined : { version }),
      source,
      overridden
    }
    yield* answer(made, () => [
      `Run ${forked} begins with what run ${runId} did up to entry ${source?.offset}`
      + `${overridden.length === 0 ? "" : `, with another result of ${names(overridden)}`}.`,
      goesOn(forked)
    ])
  })).pipe(
    Command.withDescription("Begins a new run with what a run did before a step"),
    Command.withExamples([
      {
        command: "reprise fork ticket-7 --from-step notify",
        description: "Does again what the run did from that step on"
      },
      {
        command: "reprise fork ticket-7 --from-step route --override 'classify={\"severity\":1}'",
        description: "What would have come of another classification"
      }
    ])
  )

const names = (ids: ReadonlyArray<string>) => ids.map((id) => Text.short(id)).join(", ")

const cutOf = ({ fromOffset, fromStep }: {
  readonly fromStep: Option.Option<string>
  readonly fromOffset: Option.Option<number>
}): Effect.Effect<CutAt, ArgumentRejected> => {
  if (Option.isSome(fromStep) && Option.isNone(fromOffset)) {
    return Effect.map(named("--from-step", fromStep.value), (fromStep) => ({ fromStep }))
  }
  if (Option.isSome(fromOffset) && Option.isNone(fromStep)) {
    return Effect.succeed({ fromOffset: fromOffset.value })
  }
  return Effect.fail(
    new ArgumentRejected({
      argument: "fork",
      saw: Option.isNone(fromStep) ? "was not told where to cut" : "was told two places to cut",
      instead: "Give either --from-step ID or --from-offset N"
    })
  )
}
