/** The MCP server: which tools it has, and how it introduces itself. */
import * as McpProtocol from "effect/ai/McpProtocol"
import * as McpServer from "effect/ai/McpServer"
import * as Layer from "effect/Layer"
import { version } from "../version.ts"
import { readingLayer, writingLayer } from "./answers.ts"
import { reading, writing } from "./tools.ts"

const instructions = `Runs of durable workflows, from their journals.
To learn what happened to a run and where it stopped: show_run; when its id is unknown, list_runs first.
A suspended run waits for an event, a timer or a child: run.waits says which.
To do a part again: fork_points, then fork_run (if this server was started with --write).
Values marked <redacted> are secret and cannot be had here.`

/** The tools, for any server; the writing ones only if they are asked for. */
export const registrations = (isWriting: boolean) => {
  const reads = McpServer.toolkit(reading).pipe(Layer.provide(readingLayer))
  return isWriting
    ? Layer.mergeAll(reads, McpServer.toolkit(writing).pipe(Layer.provide(writingLayer)))
    : reads
}

export const serve = (isWriting: boolean) =>
  McpServer.layerStdio({
    name: "reprise",
    version,
    instructions,
    protocols: [McpProtocol.v2025_11_25, McpProtocol.v2025_06_18, McpProtocol.v2024_11_05],
    registrations: registrations(isWriting)
  })
