/**
 * How a session opens: its `start` entry, and whether the run is the one that the caller means.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import type { Start } from "./Entry.ts"
import { equals } from "./internal/json.ts"
import * as Journal from "./Journal.ts"
import { Undecodable } from "./Machine.ts"
import type * as Replay from "./Replay.ts"
import * as RunId from "./RunId.ts"
import { RunExists } from "./Runs.ts"
import type { Loaded } from "./Storage.ts"

/** The journal was made by another version of the workflow, or of reprise, than this code is. */
export class VersionMismatch
  extends Schema.TaggedError<VersionMismatch>("reprise/VersionMismatch")("VersionMismatch", {
    runId: Schema.String,
    of: Schema.Literals(["workflow", "journal format"]),
    recorded: Schema.String,
    seen: Schema.String
  })
{
  override get message(): string {
    return `Run "${this.runId}" has ${this.of} version ${this.recorded}, this code has ${this.seen}. Nothing was run or `
      + `written. Resume it in a process that has version ${this.recorded}.`
  }
}

/** How to open a run that does not exist. */
export interface Begin {
  /** The encoded input, a copy at each call: a body may change what it is handed. */
  readonly metadata: () => Schema.Json | undefined
}

type Services = Context.Context<never>

/** The opening entry and who writes behind it. */
export interface Opening {
  readonly entry: Start
  readonly stamp: Journal.Stamp
}

/** `RunExists` or `VersionMismatch` when what is recorded is not what the caller means. */
export const compare = (
  program: Pick<Replay.Program, "name" | "version" | "input">,
  { journal }: Loaded,
  begin: Begin | undefined,
  services: Services
): Effect.Effect<void, RunExists | VersionMismatch> => {
  const { runId } = journal
  const start = Journal.first(journal)
  if (start === undefined) return Effect.void
  if (Journal.isNewer(start)) {
    const recorded = String(start.format), seen = String(Journal.format)
    return Effect.fail(new VersionMismatch({ runId, of: "journal format", recorded, seen }))
  }
  if (start.workflow !== program.name) {
    return Effect.fail(
      new RunExists({
        runId,
        differs: "workflow",
        seen: program.name,
        recorded: start.workflow ?? ""
      })
    )
  }
  if (begin !== undefined && !sameInput(program, start, begin, services)) {
    return Effect.fail(
      new RunExists({
        runId,
        differs: "input",
        seen: brief(begin.metadata()),
        recorded: brief(start.metadata)
      })
    )
  }
  if (
    start.version !== undefined && program.version !== undefined
    && start.version !== program.version
  ) {
    return Effect.fail(
      new VersionMismatch({ runId, of: "workflow", recorded: start.version, seen: program.version })
    )
  }
  return Effect.void
}

/** Compares after decoding: what older code encoded differently may still be the same input. */
const sameInput = (
  { input }: Pick<Replay.Program, "input">,
  start: Start,
  begin: Begin,
  services: Services
): boolean => {
  const metadata = begin.metadata()
  if (equals(start.metadata, metadata)) return true
  const decoded = input.decode(start.metadata, services)
  if (decoded instanceof Undecodable || !decoded.ok) return false
  const encoded = input.encode(decoded.value, services)
  return encoded.ok && equals(encoded.json, metadata)
}

const brief = (json: unknown): string => (JSON.stringify(json) ?? "nothing").slice(0, 200)

const writerId = () => RunId.randomText(8)

export const firstStart = (
  program: Pick<Replay.Program, "name" | "version">,
  runId: string,
  begin: Begin
): Effect.Effect<Opening> =>
  Effect.map(Random.nextIntBetween(0, 2 ** 31), (seed) => {
    const metadata = begin.metadata()
    const entry: Start = {
      type: "start",
      format: Journal.format,
      workflow: program.name,
      ...(program.version === undefined ? undefined : { version: program.version }),
      runId,
      ...(metadata === undefined ? undefined : { metadata }),
      seed
    }
    return { entry, stamp: { incarnation: RunId.randomText(8), session: 1, writer: writerId() } }
  })

export const laterStart = (
  { journal: { head } }: Loaded
): Effect.Effect<Opening> =>
  Effect.sync(() => ({
    entry: { type: "start" },
    stamp: { incarnation: head.incarnation, session: head.session + 1, writer: writerId() }
  }))
