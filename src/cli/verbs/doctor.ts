/**
 * `reprise doctor`: whether the command, its versions and its storage are as they should be, a line for each,
 * and what to do. Opens the storage by itself: that it cannot be opened is an answer.
 */
import * as Cause from "effect/Cause"
import * as Command from "effect/cli/Command"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import { describe } from "../../internal/describe.ts"
import * as Text from "../../Text.ts"
import { Found } from "../exit.ts"
import * as Output from "../output.ts"
import { place } from "../storage/place.ts"
import type { LayerOf } from "../verbs.ts"
import { type Check, ok, wrong } from "./doctor/Check.ts"
import * as health from "./doctor/health.ts"
import { versions } from "./doctor/versions.ts"

export const doctor = <E, R>(layerOf: LayerOf<E, R>) =>
  Command.make("doctor", {}, () =>
    Effect.gen(function*() {
      const line = (yield* Output.mode) === "json" ? Text.jsonLine : inWords
      let isWrong = false
      const tell = (checks: ReadonlyArray<Check>) =>
        Effect.forEach(checks, (check) => {
          isWrong ||= check.state === "wrong"
          return Console.log(line(check))
        }, { discard: true })
      yield* tell(versions())
      const at = yield* Effect.result(place)
      if (Result.isFailure(at)) {
        yield* tell([wrong("storage", at.failure.message, `Mend ${at.failure.file}.`)])
      } else {
        const { from, name, url } = at.success
        yield* tell([ok("storage", `${name}, by ${from}`)])
        yield* tell(yield* health.directory(at.success))
        const inside = Effect.andThen(
          tell([ok("opening", "it opens")]),
          Effect.flatMap(health.runs, tell)
        )
        const exit = yield* Effect.exit(Effect.provide(inside, layerOf(url, "look")))
        if (Exit.isFailure(exit)) yield* tell([unopened(exit.cause)])
      }
      if (isWrong) return yield* new Found({ message: "" })
    })).pipe(
      Command.withDescription("Looks whether versions, storage, permissions and clock are right"),
      Command.withExamples([
        { command: "reprise doctor", description: "Ends with code 2 when something is wrong" }
      ])
    )

const unopened = (cause: Cause.Cause<unknown>): Check =>
  wrong(
    "opening",
    describe(Cause.squash(cause)).message,
    "Nothing can be read of it until it opens."
  )

const marks: Record<Check["state"], string> = { ok: "✓", warning: "!", wrong: "✗" }

const inWords = ({ advice, check, saw, state }: Check): string =>
  `${marks[state]} ${check.padEnd(22)}  ${Text.plain(saw)}`
  + (advice === undefined ? "" : `  → ${Text.plain(advice)}`)
