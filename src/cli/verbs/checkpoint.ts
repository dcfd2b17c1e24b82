/** `reprise checkpoint`: the beginning of a run as one text, from which it can be started anew anywhere. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Runs from "../../Runs.ts"
import * as Text from "../../Text.ts"
import { named } from "../posted.ts"
import { root } from "../root.ts"

export const checkpoint = Command.make("checkpoint", {
  runId: Argument.String("run-id").pipe(Argument.withDescription("The run to take it from")),
  after: Flag.String("after").pipe(
    Flag.withDescription("The last step it has: an id, or a name that only one has"),
    Flag.withMetavar("step-id"),
    Flag.optional
  )
}, (flags) =>
  Effect.gen(function*() {
    const { runId } = flags
    const { json } = yield* root
    const after = Option.isNone(flags.after)
      ? undefined
      : yield* named("--after", flags.after.value)
    const checkpoint = yield* Runs.checkpoint(runId, { after })
    // A pipe is where it is wanted as it is.
    yield* Console.log(
      Option.getOrElse(json, () => false) ? Text.jsonLine({ runId, checkpoint }) : checkpoint
    )
  })).pipe(
    Command.withDescription(
      "Prints a run's checkpoint: its input and results, also secret ones, without the protection of a key"
    ),
    Command.withShortDescription("Prints the beginning of a run as one text"),
    Command.withExamples([
      {
        command: "reprise checkpoint ticket-7 --after classify > ticket-7.checkpoint",
        description: "For runCheckpoint, in any process and on any storage"
      }
    ])
  )
