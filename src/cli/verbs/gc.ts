/** `reprise gc`: removes runs that ended long ago. */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Runs from "../../Runs.ts"
import { Storage } from "../../Storage.ts"
import * as Text from "../../Text.ts"
import { ArgumentRejected } from "../json.ts"
import * as Output from "../output.ts"

export const gc = Command.make("gc", {
  olderThan: Flag.String("older-than").pipe(
    Flag.withDescription("How long ago the last entry was, as in \"30 days\""),
    Flag.withMetavar("duration")
  ),
  dryRun: Flag.Boolean("dry-run").pipe(
    Flag.withDescription("Only says what would be removed"),
    Flag.withoutNegation,
    Flag.withDefault(false)
  )
}, ({ dryRun, olderThan }) =>
  Effect.gen(function*() {
    const millis = yield* millisOf(olderThan)
    const before = Math.max(0, (yield* Clock.currentTimeMillis) - millis)
    const removed = yield* dryRun ? wouldPrune(before) : Runs.prune(before)
    if ((yield* Output.mode) === "json") {
      if (removed.length === 0) return
      const lines = removed.map((runId) => Text.jsonLine({ runId, removed: !dryRun }))
      return yield* Console.log(lines.join("\n"))
    }
    if (removed.length === 0) {
      return yield* Console.error(`No run ended before ${Text.time(before)}.`)
    }
    yield* Console.log(removed.map(Text.plain).join("\n"))
    yield* Console.error(
      `${dryRun ? "Would remove" : "Removed"} ${removed.length} ${
        removed.length === 1 ? "run" : "runs"
      } that ended before ${Text.time(before)}.`
    )
  })).pipe(
    Command.withDescription(
      "Removes runs that have ended and whose last entry is older; open ones stay, however old"
    ),
    Command.withShortDescription("Removes runs that ended long ago"),
    Command.withExamples([
      { command: "reprise gc --older-than \"30 days\" --dry-run", description: "What would go" }
    ])
  )

const millisOf = (text: string): Effect.Effect<number, ArgumentRejected> => {
  const millis = Duration.fromInput(text as Duration.Input).pipe(
    Option.map(Duration.toMillis),
    Option.filter((millis) => Number.isFinite(millis) && millis >= 0)
  )
  return Option.isSome(millis)
    ? Effect.succeed(millis.value)
    : Effect.fail(
      new ArgumentRejected({
        argument: "--older-than",
        saw: `is ${Text.short(text)}`,
        instead: "Give a time span, as in \"30 days\", \"12 hours\" or \"0 seconds\""
      })
    )
}

/** What `Runs.prune` would remove: that itself, where nothing can be removed. */
const wouldPrune = (before: number) =>
  Effect.gen(function*() {
    const storage = yield* Storage
    const kept = Storage.of({ ...storage, remove: () => Effect.void })
    const ids = yield* Effect.provideService(Runs.prune(before), Storage, kept)
    // The beginning of a chain is found again from each run of it, since it is still there.
    return [...new Set(ids)]
  })
