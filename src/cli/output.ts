/** How a verb's answer is printed: as text for people, or as JSON for programs. */
import { TerminalCapabilities } from "effect/cli/TerminalCapabilities"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { root } from "./root.ts"

export type Mode = "text" | "json"

/** As `--json` or `--no-json` says; else text on a terminal, and JSON in a pipe or a file. */
export const mode = Effect.gen(function*() {
  const { json } = yield* root
  const { canAnimate } = yield* TerminalCapabilities
  const answer: Mode = Option.getOrElse(json, () => !canAnimate) ? "json" : "text"
  return answer
})
