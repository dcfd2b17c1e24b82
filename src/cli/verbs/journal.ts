/** `reprise journal <runId>`: the entries of a run that count, an object a line, without what is secret. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { isEnd, type Recorded } from "../../Journal.ts"
import * as Runs from "../../Runs.ts"
import { hide } from "../../Secret.ts"
import { Storage } from "../../Storage.ts"
import * as Text from "../../Text.ts"
import { until } from "../../Until.ts"
import { untilClosed } from "../closed.ts"

const Offset = Schema.Int.pipe(Schema.check(Schema.isGreaterThanOrEqualTo(0)))

export const journal = Command.make("journal", {
  runId: Argument.String("run-id").pipe(Argument.withDescription("The run to read")),
  offset: Flag.Int("offset").pipe(
    Flag.withSchema(Offset),
    Flag.withDescription("Begins with this entry"),
    Flag.withDefault(0)
  ),
  watch: Flag.Boolean("watch").pipe(
    Flag.withDescription("Goes on with entries as they are written, until the run ends"),
    Flag.withDefault(false)
  )
}, ({ offset, runId, watch }) =>
  watch
    ? untilClosed(follow(runId, offset))
    : Effect.flatMap(Runs.journal(runId), ({ entries }) => print(entries.slice(offset)))).pipe(
    Command.withDescription("Prints the journal of a run, a line of JSON an entry"),
    Command.withExamples([
      {
        command: "reprise journal order-1234 | jq 'select(.type == \"step\")'",
        description: "The steps of a run with their results"
      },
      {
        command: "reprise journal order-1234 --offset 20 --watch",
        description: "Its entries from number 20 on, and those to come"
      }
    ])
  )

const follow = Effect.fnUntraced(function*(runId: string, offset: number) {
  const storage = yield* Storage
  let at = offset
  for (;;) {
    // Before it is read: what is written meanwhile is seen by another look.
    const version = yield* storage.version(runId)
    const { entries } = yield* Runs.journal(runId)
    yield* print(entries.slice(at))
    at = Math.max(at, entries.length)
    if (isEnd(entries.at(-1)!)) return
    yield* until([runId], Effect.map(storage.version(runId), (now) => now !== version))
  }
})

/** How many lines are made a text at once. */
const atOnce = 500

const print = (entries: ReadonlyArray<Recorded>) =>
  Effect.gen(function*() {
    for (let from = 0; from < entries.length; from += atOnce) {
      const lines = entries.slice(from, from + atOnce).map((entry) => Text.jsonLine(hide(entry)))
      yield* Console.log(lines.join("\n"))
    }
  })
