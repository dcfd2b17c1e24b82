/** `reprise cancel`: asks for a run to be cancelled. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Runs from "../../Runs.ts"
import * as Text from "../../Text.ts"
import { answer, goesOn } from "../posted.ts"

export const cancel = Command.make("cancel", {
  runId: Argument.String("run-id").pipe(Argument.withDescription("The run to cancel")),
  reason: Flag.String("reason").pipe(
    Flag.withDescription("Why; it is journaled and shown"),
    Flag.optional
  )
}, (flags) =>
  Effect.gen(function*() {
    const reason = Option.getOrUndefined(flags.reason)
    yield* Runs.cancel(flags.runId, { reason })
    const { runId } = yield* Runs.latestStatus(flags.runId)
    const asked = { runId, cancel: "posted", ...(reason === undefined ? undefined : { reason }) }
    yield* answer(asked, () => [
      `Asked for run ${runId} to be cancelled`
      + `${reason === undefined ? "" : `: ${Text.cut(reason, 2 * Text.shown)}`}.`
      + " It cleans up first; asked a second time, it ends at once.",
      goesOn(runId)
    ])
  })).pipe(
    Command.withDescription("Asks for a run to be cancelled, without driving its clean-up"),
    Command.withExamples([
      { command: "reprise cancel order-1 --reason duplicate", description: "Cancels a run" }
    ])
  )
