/** Colours of states, for a terminal that shows them: never with `NO_COLOR`, nor in a pipe that nobody forces them on. */
import { TerminalCapabilities } from "effect/cli/TerminalCapabilities"
import * as Effect from "effect/Effect"
import { styleText } from "node:util"
import type * as Outline from "../Outline.ts"
import type * as Status from "../Status.ts"

/** States of runs, and of what stands in them. */
type State = Status.Status["status"] | Outline.State

/** `text` as the state has it: the state's name, or its mark. */
export type Paint = (state: State, text: string) => string

/** Green is well, red asks for somebody, yellow waits, and grey is of no more interest. */
const colors: Record<State, "green" | "red" | "yellow" | "cyan" | "gray"> = {
  success: "green",
  done: "green",
  failed: "red",
  blocked: "red",
  unknown: "red",
  suspended: "yellow",
  stopped: "yellow",
  waiting: "yellow",
  retrying: "yellow",
  pending: "cyan",
  running: "cyan",
  cancelled: "gray",
  continued: "gray",
  dropped: "gray"
}

const painted: Paint = (state, text) => styleText(colors[state], text, { validateStream: false })

const unpainted: Paint = (_, text) => text

/** As the terminal of this call shows it. */
export const paint = Effect.gen(function*() {
  const { canColor } = yield* TerminalCapabilities
  return canColor ? painted : unpainted
})
