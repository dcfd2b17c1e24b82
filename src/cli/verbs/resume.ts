/**
 * `reprise resume`: goes on with a run. With its code the run is driven here until it ends or only waits; without, an
 * event is posted and a worker goes on with it.
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { payloadOf } from "../../JsonCalls.ts"
import { programOf } from "../../Replay.ts"
import * as Runs from "../../Runs.ts"
import { hide } from "../../Secret.ts"
import type { Status } from "../../Status.ts"
import * as Text from "../../Text.ts"
import { driven } from "../driving.ts"
import { Found } from "../exit.ts"
import * as Flags from "../flags.ts"
import { ArgumentRejected } from "../json.ts"
import * as Modules from "../modules.ts"
import { answer, goesOn } from "../posted.ts"
import * as Workflows from "../workflows.ts"
import { waitText } from "./replay.ts"

export const resume = Command.make("resume", {
  runId: Argument.String("run-id").pipe(Argument.withDescription("The run to go on with")),
  event: Argument.String("event").pipe(
    Argument.withDescription("An event to post first"),
    Argument.optional
  ),
  ...Flags.event,
  workflow: Workflows.flag
}, (flags) =>
  Effect.gen(function*() {
    const { runId } = flags
    const event = yield* eventOf(flags)
    const code = yield* Modules.code(flags.workflow)
    if (code !== undefined) {
      const { workflow } = yield* Runs.status(runId)
      const known = code.workflows.get(workflow)
      if (known === undefined) return yield* Workflows.unknown(code, runId, workflow)
      const drove = yield* driven(
        code,
        runId,
        Effect.andThen(
          event === undefined ? Effect.void : post(known, runId, event),
          known.resume(runId)
        )
      )
      return yield* stands(yield* Runs.status(drove.runId))
    }
    if (event === undefined) {
      const status = yield* Runs.latestStatus(runId)
      return yield* new ArgumentRejected({
        argument: "resume",
        saw: `was given neither an event nor code, and the run is ${status.status}${
          waitsFor(status)
        }`,
        instead: "Give the file that exports its workflow, as in --workflow ./workflows.ts, "
          + "or an event for a worker to take"
      })
    }
    yield* Runs.send(runId, event)
    const { runId: newest, workflow } = yield* Runs.latestStatus(runId)
    yield* answer({ runId: newest, workflow, ...event }, () => [
      `Posted event ${Text.short(event.eventName)} to run ${newest} (event id ${event.eventId})`,
      goesOn(newest)
    ])
  })).pipe(
    Command.withDescription(
      "Goes on with a run, here with its code, or without by an event that a worker takes; exits with 2 when "
        + "the run has failed or is blocked"
    ),
    Command.withShortDescription("Goes on with a run"),
    Command.withExamples([
      {
        command: "reprise resume ticket-7 --workflow ./workflows.ts",
        description: "Drives the run until it ends or only waits"
      },
      {
        command:
          "reprise resume ticket-7 manual-review '{\"approved\":true}' --workflow ./workflows.ts",
        description: "Answers what it waits for, then drives it"
      }
    ])
  )

/** The event of a call, if it has one. */
const eventOf = Effect.fnUntraced(function*(
  { event, ...more }:
    & { readonly event: Option.Option<string> }
    & Parameters<
      typeof Flags.eventOf
    >[1]
) {
  if (Option.isSome(event)) return yield* Flags.eventOf(event.value, more)
  const { eventId, key } = more
  const given = Option.isSome(key) ? "--key" : Option.isSome(eventId) ? "--event-id" : undefined
  if (given === undefined) return undefined
  return yield* new ArgumentRejected({
    argument: given,
    saw: "is of an event, and none was given",
    instead: "Name the event behind the run"
  })
})

/** Posts what the workflow declares. */
const post = Effect.fnUntraced(
  function*(workflow: Workflows.AnyWorkflow, runId: string, event: Flags.Event) {
    const program = programOf(workflow)
    const value = yield* payloadOf(program, runId, event.eventName, event.value)
    const sent = value === undefined ? event : { ...event, value }
    yield* Runs.send(runId, sent, { workflow: program.name })
  }
)

/** Prints where a run stands that was driven, and is found fault with when that came to nothing. */
export const stands = Effect.fnUntraced(function*(given: Status) {
  const status = hide(given)
  yield* answer(status, () => {
    const { error, reason, result, runId, steps: { done }, waits } = status
    return [
      `Run ${runId} is ${inWords[status.status]}, with ${done} ${
        done === 1 ? "step" : "steps"
      } done.`,
      ...(result === undefined ? [] : [`result  ${Text.short(result)}`]),
      ...(error === undefined ? [] : [`error   ${Text.errorText(error)}`]),
      ...(waits.length === 0 && reason !== undefined ? [`reason  ${reason}`] : []),
      ...(waits.length === 0 ? [] : ["waits for", ...waits.map((wait) => `  ${waitText(wait)}`)])
    ]
  })
  if (status.status === "failed" || status.status === "blocked") {
    return yield* new Found({ message: "" })
  }
})

const inWords: Record<Status["status"], string> = {
  pending: "open, and nobody drives it",
  running: "driven by another process",
  suspended: "suspended",
  blocked: "blocked: it does not go on by itself",
  stopped: "stopped by a hook",
  success: "over: it succeeded",
  failed: "over: it failed",
  cancelled: "over: it was cancelled",
  continued: "over: it goes on as another run"
}

const waitsFor = ({ waits }: Status): string => {
  const events = waits.flatMap(({ event }) => event === undefined ? [] : [Text.short(event)])
  return events.length === 0 ? "" : `, waiting for event ${events.slice(0, 5).join(", ")}`
}
