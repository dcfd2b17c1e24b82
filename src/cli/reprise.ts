/**
 * Puts the command together: its verbs, its storage, its version, and what is said when it fails.
 *
 * The one place of the command line that knows the platform. Output goes to stdout, errors to stderr.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Cause from "effect/Cause"
import * as CliError from "effect/cli/CliError"
import * as Command from "effect/cli/Command"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import { createRequire } from "node:module"
import type { Storage } from "../Storage.ts"
import * as Text from "../Text.ts"
import { list } from "./list.ts"
import { root } from "./root.ts"
import { show } from "./show.ts"
import * as storage from "./storage.ts"

/** The package's version; its package.json is the only place that has it. */
export const version: string =
  (createRequire(import.meta.url)("reprise/package.json") as { readonly version: string }).version

/** Runs the command with `args` on the storage that `layerOf` makes of the `--storage` flag. */
export const run = <E, R>(
  args: ReadonlyArray<string>,
  layerOf: (storage: string) => Layer.Layer<Storage, E, R>
) => {
  const opened = Layer.unwrap(Effect.map(root, ({ storage }) => layerOf(storage)))
  const command = root.pipe(
    Command.withSubcommands([
      // a line for each verb
      list.pipe(Command.provide(opened)),
      show.pipe(Command.provide(opened))
    ])
  )
  return Effect.tapCause(Command.runWith(command, { version })(args), report)
}

/** Runs the command as this process. */
export const main = (): void =>
  NodeRuntime.runMain(
    run(process.argv.slice(2), storage.layer).pipe(Effect.provide(NodeServices.layer)),
    { disableErrorReporting: true }
  )

/** What the command failed with, for people; wrong arguments were explained with the help already. */
const report = (cause: Cause.Cause<unknown>): Effect.Effect<void> => {
  if (Cause.hasInterruptsOnly(cause)) return Effect.void
  const error = Exit.findErrorOption(Exit.failCause(cause))
  if (error._tag === "None") return Console.error(Cause.pretty(cause))
  if (CliError.isCliError(error.value)) return Effect.void
  const { value } = error
  const said = Text.plain(value instanceof Error ? value.message : String(value))
  return said === "" ? Effect.void : Console.error(said)
}
