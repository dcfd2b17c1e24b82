/** `reprise settle`: says what became of a step that nobody can know of. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Runs from "../../Runs.ts"
import { hide } from "../../Secret.ts"
import * as Text from "../../Text.ts"
import { ArgumentRejected, valueOf } from "../json.ts"
import { answer, goesOn, named } from "../posted.ts"

export const settle = Command.make("settle", {
  runId: Argument.String("run-id").pipe(Argument.withDescription("The run that is blocked")),
  step: Argument.String("step-id").pipe(
    Argument.withDescription("The step; left out, a run that is blocked as a CrashLoop may go on"),
    Argument.optional
  ),
  value: Flag.String("value").pipe(
    Flag.withDescription(
      "It was done, and gave this, as its journal has it; - reads it from stdin"
    ),
    Flag.withMetavar("json"),
    Flag.optional
  ),
  fail: Flag.String("fail").pipe(
    Flag.withDescription("It was not done: it failed, for this reason"),
    Flag.withMetavar("message"),
    Flag.optional
  ),
  tag: Flag.String("tag").pipe(
    Flag.withDescription("With --fail: the tag that the workflow knows such a failure by"),
    Flag.withMetavar("tag"),
    Flag.optional
  ),
  retry: Flag.Boolean("retry").pipe(
    Flag.withDescription("It may run again"),
    Flag.withoutNegation,
    Flag.withDefault(false)
  )
}, ({ fail, retry, runId, step, tag, value }) =>
  Effect.gen(function*() {
    const said = [Option.isSome(value), Option.isSome(fail), retry].filter((is) => is).length
    if (said !== 1) {
      return yield* new ArgumentRejected({
        argument: "settle",
        saw: said === 0 ? "was not told what became of the step" : "was told more than one thing",
        instead: "Give one of --value JSON, --fail MESSAGE and --retry"
      })
    }
    if (Option.isSome(tag) && Option.isNone(fail)) {
      return yield* new ArgumentRejected({
        argument: "--tag",
        saw: "is of a failure, and none was given",
        instead: "Give the failure's message, as in --fail \"card declined\""
      })
    }
    if (Option.isNone(step)) {
      if (!retry) {
        return yield* new ArgumentRejected({
          argument: "<step-id>",
          saw: "is missing",
          instead: "Name the step whose outcome this is: reprise show marks it"
        })
      }
      yield* Runs.settle(runId)
      return yield* told(runId, undefined, { retry }, "may go on")
    }
    const stepId = step.value
    if (Option.isSome(fail)) {
      const failed = Option.isNone(tag)
        ? { failure: fail.value }
        : { failure: fail.value, tag: yield* named("--tag", tag.value) }
      yield* Runs.settle(runId, stepId, failed)
      const words = Option.match(tag, { onNone: () => "", onSome: (tag) => ` as ${tag}` })
      return yield* told(runId, stepId, failed, `failed${words}: ${fail.value}`)
    }
    if (retry) {
      yield* Runs.settle(runId, stepId, { retry })
      return yield* told(runId, stepId, { retry }, "may run again")
    }
    const given = yield* valueOf("--value", Option.getOrElse(value, () => ""))
    yield* Runs.settle(runId, stepId, { value: given })
    return yield* told(runId, stepId, { value: given }, `gave ${Text.short(hide(given))}`)
  })).pipe(
    Command.withDescription("Says what became of a step whose process died with its outcome"),
    Command.withExamples([
      {
        command: "reprise settle order-1 charge --value '{\"receipt\":\"r-9\"}'",
        description: "The charge was seen to have gone through"
      },
      {
        command: "reprise settle order-1 charge --fail 'card declined' --tag Declined",
        description: "It was seen to have been refused, which the workflow handles"
      },
      {
        command: "reprise settle order-1 charge --retry",
        description: "It was seen not to have begun"
      }
    ])
  )

const told = (runId: string, stepId: string | undefined, verdict: object, words: string) =>
  Effect.flatMap(Runs.latestStatus(runId), ({ runId }) =>
    answer(
      { runId, ...(stepId === undefined ? undefined : { stepId }), settled: verdict },
      () => [
        `Settled${stepId === undefined ? "" : ` step ${Text.short(stepId)} of`} run ${runId}: `
        + `${stepId === undefined ? "it" : "the step"} ${Text.cut(words, 2 * Text.shown)}.`,
        goesOn(runId)
      ]
    ))
