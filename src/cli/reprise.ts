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
import * as Text from "../Text.ts"
import { root } from "./root.ts"
import * as storage from "./storage.ts"
import { place } from "./storage/place.ts"
import * as Verbs from "./verbs.ts"
import { version } from "./version.ts"

/** Runs the command with `args` on the storage that `layerOf` makes of the `--storage` flag. */
export const run = Effect.fnUntraced(function*<E, R>(
  args: ReadonlyArray<string>,
  layerOf: Verbs.LayerOf<E, R>
) {
  const opened = (verb: string) =>
    Layer.unwrap(Effect.map(place, ({ url }) => layerOf(url, Verbs.purposeOf(verb))))
  const names = Verbs.named(args)
  const verbs = yield* Effect.promise(() => Verbs.load(names))
  const { copy, doctor } = yield* Effect.promise(() => Verbs.loadOpening(names, layerOf))
  const command = root.pipe(
    Command.withSubcommands([
      ...verbs.map((verb) => Command.provide(verb, opened(verb.name))),
      ...copy.map((verb) => Command.provide(verb, opened(verb.name))),
      ...doctor
    ])
  )
  return yield* Command.runWith(command, { version })(args)
}, (called) => Effect.tapCause(called, report))

/** Runs the command as this process. */
export const main = (): void => {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    // Whoever reads has had enough: what is done goes on, and what only watches hears of it, too.
    if (error.code !== "EPIPE") throw error
  })
  NodeRuntime.runMain(
    run(process.argv.slice(2), storage.layer).pipe(Effect.provide(NodeServices.layer)),
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
