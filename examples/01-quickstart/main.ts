/**
 * The command line: `start [ticket.json]`, which is meant without a command, too, and `resume <runId>` in
 * another process, whenever.
 *
 * Owns the choice of classifier and storage, and what is printed.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect, FileSystem, Schema } from "effect"
import { Argument, CliError, Command, Flag } from "effect/cli"
import { join, relative } from "node:path"
import { LocalStorage } from "reprise"
import { NodeLocalStorage } from "reprise/node"
import { layerKeywords, Ticket } from "./classifier.ts"
import { triage } from "./workflow.ts"

const directory = ".reprise"

const defaultTicket = join(import.meta.dirname, "ticket.json")

const startWith = Effect.fn(function*({ file }: { readonly file: string }) {
  yield* report(yield* triage.start(yield* readTicket(file)))
})

const start = Command.make(
  "start",
  { file: Argument.String("ticket.json").pipe(Argument.withDefault(defaultTicket)) },
  startWith
)

const resume = Command.make(
  "resume",
  {
    runId: Argument.String("runId"),
    reject: Flag.Boolean("reject").pipe(Flag.withDefault(false)),
    reviewer: Flag.String("reviewer").pipe(Flag.withDefault("alice"))
  },
  Effect.fn(function*({ reject, reviewer, runId }) {
    const value = { approved: !reject, reviewer }
    yield* report(yield* triage.resume(runId, { eventName: "manual-review", value }))
  })
)

class BadTicket extends Schema.TaggedError<BadTicket>()("BadTicket", { message: Schema.String }) {}

const readTicket = Effect.fn(function*(file: string) {
  const fileSystem = yield* FileSystem.FileSystem
  const text = yield* fileSystem.readFileString(file).pipe(
    Effect.mapError(({ reason }) =>
      new BadTicket({ message: `Cannot read the ticket "${file}": ${reason._tag}.` })
    )
  )
  return yield* Schema.decodeEffect(Schema.fromJsonString(Ticket))(text).pipe(
    Effect.mapError(({ message }) =>
      new BadTicket({ message: `"${file}" is no ticket: ${message}.` })
    )
  )
})

const report = Effect.fn(function*(result: { readonly status: string; readonly runId: string }) {
  const { runId, status } = result
  yield* Console.log(JSON.stringify(result, null, 2))
  yield* Console.log(`run:     ${runId}`)
  yield* Console.log(`journal: ${yield* LocalStorage.journalPath(directory, runId)}`)
  if (status === "suspended") {
    yield* Console.log(`review:  ${commandLine("resume", runId)}`)
    yield* Console.log(`         (--reject to turn it down, --reviewer NAME to sign)`)
  }
})

/** What to type for another command of this file: as this process was started, by npm or by node. */
const commandLine = (command: string, argument: string) => {
  const [, file = "main.ts"] = process.argv
  return ["start", "resume"].includes(process.env["npm_lifecycle_event"] ?? "")
    ? `npm run ${command} -- ${argument}`
    : ["node", ...process.execArgv, relative("", file), command, argument].join(" ")
}

Command.make("quickstart", {}, () => startWith({ file: defaultTicket })).pipe(
  Command.withSubcommands([start, resume]),
  Command.run({ version: "1.0.0" }),
  // To ask a language model instead, plug a provider into layerLanguageModel: see classifier.ts.
  Effect.provide([layerKeywords, NodeLocalStorage.layer(directory), NodeServices.layer]),
  // What the caller did wrong takes one line; a bug still shows its stack.
  Effect.catchIf(
    (error) => !CliError.isCliError(error),
    ({ message }) =>
      Console.error(message.replace(/\s*\n\s*/g, " ")).pipe(
        Effect.andThen(Effect.sync(() => {
          process.exitCode = 1
        }))
      )
  ),
  NodeRuntime.runMain
)
