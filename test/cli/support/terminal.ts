/** What the tests of the command line share: a terminal that shows text, and no colours. */
import { TerminalCapabilities } from "effect/cli"

export const terminal: TerminalCapabilities.TerminalCapabilities = {
  canColor: false,
  canAnimate: true,
  canPrompt: false
}
