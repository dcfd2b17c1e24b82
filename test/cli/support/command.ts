/** The command in this process: on the storage of the test, with nothing in its environment, and what it prints. */
import { NodeServices } from "@effect/platform-node"
import { ConfigProvider, Effect, Layer } from "effect"
import { TerminalCapabilities } from "effect/cli"
import { TestConsole } from "effect/testing"
import { Storage } from "reprise"
import { run } from "../../../src/cli/reprise.ts"

/** A terminal that shows text, and no colours. */
export const terminal: TerminalCapabilities.TerminalCapabilities = {
  canColor: false,
  canAnimate: true,
  canPrompt: false
}

export const repriseOn = (
  capabilities: TerminalCapabilities.TerminalCapabilities,
  args: ReadonlyArray<string>
) =>
  Effect.flatMap(
    Storage.Storage,
    (storage) =>
      run(args, () => Layer.succeed(Storage.Storage, storage)).pipe(
        Effect.provide([
          NodeServices.layer,
          ConfigProvider.layer(ConfigProvider.fromEnv({ env: {} }))
        ]),
        Effect.provideService(TerminalCapabilities.TerminalCapabilities, capabilities)
      )
  )

/** On a terminal. */
export const reprise = (...args: ReadonlyArray<string>) => repriseOn(terminal, args)

export const stdout = Effect.map(
  TestConsole.logLines,
  (logged) => logged.flatMap((text) => String(text).split("\n"))
)

export const stderr = Effect.map(TestConsole.errorLines, (logged) => logged.join("\n"))
