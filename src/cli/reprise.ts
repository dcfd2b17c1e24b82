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
import type { Storage } from "../Storage.ts"
import * as Text from "../Text.ts"
import { cancel } from "./cancel.ts"
import { check } from "./check.ts"
import { checkpoint } from "./checkpoint.ts"
import { copy } from "./copy.ts"
import { doctor } from "./doctor.ts"
import { fork } from "./fork.ts"
import { fsck, verify } from "./fsck.ts"
import { gc } from "./gc.ts"
import { journal } from "./journal.ts"
import { list } from "./list.ts"
import { mcp } from "./mcp.ts"
import { replay } from "./replay.ts"
import { resume } from "./resume.ts"
import { retry } from "./retry.ts"
import { rm } from "./rm.ts"
import { root } from "./root.ts"
import { send } from "./send.ts"
import { settle } from "./settle.ts"
import { show } from "./show.ts"
import * as storage from "./storage.ts"
import { place } from "./storage/place.ts"
import { version } from "./version.ts"
import { watch } from "./watch.ts"

/** Runs the command with `args` on the storage that `layerOf` makes of the `--storage` flag. */
export const run = <E, R>(
  args: ReadonlyArray<string>,
  layerOf: (storage: string) => Layer.Layer<Storage, E, R>,
  /** Opens a storage that is copied to, and makes it if need be. */
  layerForWriting = layerOf
) => {
  const opened = Layer.unwrap(Effect.map(place, ({ url }) => layerOf(url)))
  const command = root.pipe(
    Command.withSubcommands([
      // a line for each verb
      list.pipe(Command.provide(opened)),
      show.pipe(Command.provide(opened)),
      journal.pipe(Command.provide(opened)),
      watch.pipe(Command.provide(opened)),
      verify.pipe(Command.provide(opened)),
      fsck.pipe(Command.provide(opened)),
      doctor(layerOf),
      send.pipe(Command.provide(opened)),
      cancel.pipe(Command.provide(opened)),
      settle.pipe(Command.provide(opened)),
      resume.pipe(Command.provide(opened)),
      retry.pipe(Command.provide(opened)),
      fork.pipe(Command.provide(opened)),
      checkpoint.pipe(Command.provide(opened)),
      replay.pipe(Command.provide(opened)),
      check.pipe(Command.provide(opened)),
      copy(layerForWriting).pipe(Command.provide(opened)),
      rm.pipe(Command.provide(opened)),
      gc.pipe(Command.provide(opened)),
      mcp.pipe(Command.provide(opened))
    ])
  )
  return Effect.tapCause(Command.runWith(command, { version })(args), report)
}

/** Runs the command as this process. */
export const main = (): void => {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    // Whoever reads has had enough: a watch would go on for nobody.
    if (error.code === "EPIPE") process.exit(0)
    throw error
  })
  NodeRuntime.runMain(
    run(process.argv.slice(2), storage.layer, storage.layerForWriting).pipe(
      Effect.provide(NodeServices.layer)
    ),
    { disableErrorReporting: true }
  )
}

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
