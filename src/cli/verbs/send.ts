/** `reprise send`: posts an event to a run, for whoever drives it to take. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import type { Wait } from "../../Entry.ts"
import * as Runs from "../../Runs.ts"
import { hide } from "../../Secret.ts"
import * as Text from "../../Text.ts"
import * as Flags from "../flags.ts"
import { answer, goesOn } from "../posted.ts"

export const send = Command.make("send", {
  runId: Argument.String("run-id").pipe(Argument.withDescription("The run to send it to")),
  event: Argument.String("event").pipe(
    Argument.withDescription("The event's name, as the run waits for it")
  ),
  ...Flags.event
}, (flags) =>
  Effect.gen(function*() {
    const { runId } = flags
    const event = yield* Flags.eventOf(flags.event, flags)
    const { eventId, eventName, key, value } = event
    yield* Runs.send(runId, event)
    const { runId: newest, status, waits } = yield* Runs.latestStatus(runId)
    const isAwaited = waits.some((wait) => wait.event === eventName && wait.key === key)
    const posted = {
      runId: newest,
      ...event,
      isAwaited
    }
    yield* answer(posted, () => [
      `Posted ${inWords(eventName, key)} to run ${newest}`
      + `${value === undefined ? "" : `: ${Text.short(hide(value))}`} (event id ${eventId})`,
      goesOn(newest)
    ])
    if (status === "suspended" && !isAwaited) {
      const awaited = waits.flatMap(({ event, key }: Wait) =>
        event === undefined ? [] : [inWords(event, key)]
      )
      yield* Console.error(Text.plain(
        `The run does not wait for ${inWords(eventName, key)} now, but for ${
          awaited.length === 0 ? "no event" : awaited.slice(0, 5).join(", ")
        }: it is kept until something does.`
      ))
    }
  })).pipe(
    Command.withDescription("Posts an event to a run, without driving it"),
    Command.withExamples([
      {
        command: "reprise send ticket-7 manual-review '{\"approved\":true}'",
        description: "Answers what the run waits for"
      },
      {
        command: "reprise send order-1 paid - --event-id charge-77 < receipt.json",
        description: "A payload from a file, counted once however often it is sent"
      }
    ])
  )

const inWords = (event: string, key: string | undefined): string =>
  `event ${Text.short(event)}${key === undefined ? "" : ` key ${Text.short(key)}`}`
