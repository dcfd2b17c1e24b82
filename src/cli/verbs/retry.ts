/**
 * `reprise retry`: goes on with a failed run from the step that failed, as a new run. With its code that is driven here;
 * without, it is recorded, and a worker goes on with it.
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Runs from "../../Runs.ts"
import { driven } from "../driving.ts"
import * as Flags from "../flags.ts"
import * as Modules from "../modules.ts"
import { answer, goesOn } from "../posted.ts"
import * as Workflows from "../workflows.ts"
import { stands } from "./resume.ts"

export const retry = Command.make("retry", {
  runId: Argument.String("run-id").pipe(
    Argument.withDescription("The failed run; it stays as it is")
  ),
  workflow: Workflows.flag,
  step: Flag.String("step").pipe(
    Flag.withDescription("Where it goes on from; by default the step that failed last"),
    Flag.withMetavar("step-id"),
    Flag.optional
  ),
  ...Flags.fork
}, (flags) =>
  Effect.gen(function*() {
    const { runId } = flags
    const override = yield* Flags.overrideOf(flags.overrides)
    const options = {
      step: Option.getOrUndefined(flags.step),
      runId: Option.getOrUndefined(flags.newRunId),
      override
    }
    const code = yield* Modules.code(flags.workflow)
    if (code !== undefined) {
      const { workflow } = yield* Runs.status(runId)
      const known = code.workflows.get(workflow)
      if (known === undefined) return yield* Workflows.unknown(code, runId, workflow)
      const drove = yield* driven(code, runId, known.retryFrom(runId, options))
      return yield* stands(yield* Runs.status(drove.runId))
    }
    const begun = yield* Runs.retryFrom(runId, options)
    const { source, version, workflow } = yield* Runs.status(begun)
    const made = {
      runId: begun,
      workflow,
      ...(version === undefined ? undefined : { version }),
      source,
      overridden: Object.keys(override)
    }
    yield* answer(made, () => [
      `Run ${begun} begins with what run ${runId} did up to entry ${source?.offset}.`,
      goesOn(begun)
    ])
  })).pipe(
    Command.withDescription(
      "Goes on with a failed run from the step that failed, as a new run that keeps what was done before it; "
        + "exits with 2 when that fails, too, or is blocked"
    ),
    Command.withShortDescription("Goes on with a failed run from the step that failed"),
    Command.withExamples([
      {
        command: "reprise retry order-7 --workflow ./workflows.ts",
        description: "Tries the failed step again, here"
      },
      { command: "reprise retry order-7", description: "Leaves that to a worker" }
    ])
  )
