/**
 * `reprise ui`: serves the inspector and the HTTP API on this machine, for whoever has the token that is printed with
 * the address. With code of workflows their runs are driven here, too, so that what is answered goes on.
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Config from "effect/Config"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { randomText } from "../../RunId.ts"
import * as Text from "../../Text.ts"
import { untilClosed } from "../closed.ts"
import * as Modules from "../modules.ts"
import * as Output from "../output.ts"
import { place } from "../storage/place.ts"
import * as Workflows from "../workflows.ts"

const Port = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 65_535 }))

export const ui = Command.make("ui", {
  port: Flag.Int("port").pipe(
    Flag.withSchema(Port),
    Flag.withDescription("Where it listens; 0 for any that is free"),
    Flag.withDefault(4_983)
  ),
  host: Flag.String("host").pipe(
    Flag.withDescription("The address it listens on, and is called by"),
    Flag.withDefault("127.0.0.1")
  ),
  scope: Flag.Literals("scope", ["read", "send", "admin"]).pipe(
    Flag.withDescription("What the token allows: to look, to send events as well, or all"),
    Flag.withDefault("admin")
  ),
  workflow: Workflows.flag
}, ({ host, port, scope, workflow }) =>
  Effect.gen(function*() {
    const given = yield* Config.Redacted("REPRISE_TOKEN").pipe(Config.option)
    const token = Option.getOrElse(given, () => Redacted.make(randomText(52)))
    const code = yield* Modules.code(workflow)
    const { name } = yield* place
    const isJson = (yield* Output.mode) === "json"
    // Nobody else waits for what this loads.
    const { serving } = yield* Effect.promise(() => import("../serving.ts"))
    const told = (address: string) => {
      const url = `${address}/#token=${encodeURIComponent(Redacted.value(token))}`
      return Console.log(
        isJson
          ? Text.jsonLine({ url, storage: name, workflows: [...code?.workflows.keys() ?? []] })
          : [
            `The inspector of ${Text.plain(name)} is at`,
            "",
            `  ${url}`,
            "",
            code === undefined
              ? "It drives no runs: workers go on with what is answered, or name the code by --workflow."
              : `It drives runs of ${[...code.workflows.keys()].map(Text.plain).join(", ")}.`,
            "Whoever has the address may do all of that. Stop it with Ctrl-C."
          ].join("\n")
      )
    }
    yield* untilClosed(serving({ code, host, port, told, token, scope }))
  }).pipe(Effect.provideService(Logger.LogToStderr, true))).pipe(
    Command.withDescription(
      "Serves the inspector and the HTTP API on this machine, to whoever has the address that is printed"
    ),
    Command.withShortDescription("Serves the inspector on this machine"),
    Command.withExamples([
      { command: "reprise ui", description: "The runs of this directory, in a browser" },
      {
        command: "reprise ui --storage postgres://db/app --scope read --port 0",
        description: "Only to look at, on any free port"
      },
      {
        command: "REPRISE_TOKEN=… reprise ui --workflow ./workflows.ts",
        description: "With a token of your own, and driving runs of these workflows"
      }
    ])
  )
