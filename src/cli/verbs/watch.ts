/** `reprise watch <runId>`: a line whenever a run's state changes, until it ends. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Runs from "../../Runs.ts"
import { hide } from "../../Secret.ts"
import type { Status } from "../../Status.ts"
import * as Text from "../../Text.ts"
import { untilClosed } from "../closed.ts"
import * as Colors from "../colors.ts"
import * as Output from "../output.ts"
import * as Lines from "./lines.ts"

export const watch = Command.make("watch", {
  runId: Argument.String("run-id").pipe(Argument.withDescription("The run to watch"))
}, ({ runId }) =>
  Effect.gen(function*() {
    const line = (yield* Output.mode) === "json"
      ? Text.jsonLine
      : inWords(runId, yield* Colors.paint)
    yield* untilClosed(
      Stream.runForEach(Runs.changes(runId), (status) => Console.log(line(hide(status))))
    )
  })).pipe(
    Command.withDescription("Watches a run until it ends, and the runs that it goes on as"),
    Command.withExamples([
      { command: "reprise watch order-1234", description: "A line whenever something happens" },
      {
        command: "reprise watch order-1234 --json | tail -n 1 | jq .result",
        description: "Waits for a run and prints what it came to"
      }
    ])
  )

/** Time, state, steps; then what it waits for, what it published, and what it came to. */
const inWords = (first: string, paint: Colors.Paint) => (status: Status): string => {
  const { error, progress, result, runId, steps: { done, failed, running } } = status
  const waits = Lines.waitsFor(status)
  const parts = [
    Lines.updated(status),
    // Another one only after `continueAs`.
    ...(runId === first ? [] : [Text.plain(runId)]),
    paint(status.status, status.status),
    `${done} ${done === 1 ? "step" : "steps"}`,
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(running > 0 ? [`${running} running`] : []),
    ...(waits === "" ? [] : [status.waits.length > 0 ? `waits for ${waits}` : waits]),
    ...Object.entries(progress).map(([channel, { value }]) =>
      `${Text.plain(Text.cut(channel, 40))} ${Text.short(value)}`.trimEnd()
    ),
    ...(result === undefined ? [] : [Text.short(result)]),
    ...(error === undefined ? [] : [Text.errorText(error)])
  ]
  return parts.join("  ")
}
