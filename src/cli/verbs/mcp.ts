/**
 * `reprise mcp`: a server of the Model Context Protocol over stdin and stdout, for coding agents: what happened to a
 * run, where it stopped, from where it can be done again. It only looks, unless `--write` lets it do more.
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"

export const mcp = Command.make("mcp", {
  write: Flag.Boolean("write").pipe(
    Flag.withDescription("Also tools that send, cancel, fork and retry"),
    Flag.withDefault(false)
  )
}, ({ write }) =>
  Effect.gen(function*() {
    // Nobody else waits for what this loads.
    const { serve } = yield* Effect.promise(() => import("../mcp/server.ts"))
    return yield* Layer.launch(serve(write))
    // The protocol has stdout for itself.
  }).pipe(Effect.provideService(Logger.LogToStderr, true))).pipe(
    Command.withDescription("Serves the runs to a coding agent (Model Context Protocol, stdio)"),
    Command.withExamples([
      {
        command: "claude mcp add reprise -- npx reprise mcp --storage file:.reprise",
        description: "For an agent that starts it by itself"
      }
    ])
  )
