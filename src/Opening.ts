/**
 * How a session opens: its `start` entry, and whether the run is the one that the caller means.
 */
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import type { Prefix } from "./Cut.ts"
import type { Start } from "./Entry.ts"
import { equals } from "./internal/json.ts"
import * as Journal from "./Journal.ts"
import { Undecodable } from "./Machine.ts"
import { RunExists } from "./Refusals.ts"
import * as Replay from "./Replay.ts"
import * as RunId from "./RunId.ts"
import { hide } from "./Secret.ts"
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
  /** When its outcomes are durable; default: as its workflow says. */
  readonly durability?: Replay.Durability | undefined
  /** The step of another run that starts this one. */
  readonly parent?: { readonly runId: string; readonly stepId: string } | undefined
  /** What a run that goes on in this one hands over. */
  readonly continues?:
    | {
      readonly runId: string
      readonly taken: ReadonlyArray<string>
      /** What was posted to it before it is there is posted to this incarnation. */
      readonly incarnation: string
    }
    | undefined
  /** What a fork is begun with, and whether that comes from a checkpoint. */
  readonly prefix?: Prefix | undefined
  readonly isCheckpoint?: boolean | undefined
}

type Services = Context.Context<never>

/** The opening entry and who writes behind it. */
export interface Opening {
  readonly entry: Start
  readonly stamp: Journal.Stamp
}

/** `RunExists` or `VersionMismatch` when what is recorded is not what the caller means. */
export const compare = (
  newest: Replay.Program,
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
  const exists = (differs: RunExists["differs"], seen: string, recorded: string) =>
    Effect.fail(new RunExists({ runId, differs, seen, recorded }))
  if (start.workflow !== newest.name) return exists("workflow", newest.name, start.workflow ?? "")
  const program = Replay.ofVersion(newest, start.version)
  if (program === undefined) {
    const seen = [newest, ...newest.previous].map(({ version = "none" }) => version).join(", ")
    const recorded = start.version ?? "none"
    return Effect.fail(new VersionMismatch({ runId, of: "workflow", recorded, seen }))
  }
  if (begin === undefined) return Effect.void
  if (!sameInput(program, start, begin, services)) {
    return exists("input", brief(begin.metadata()), brief(start.metadata))
  }
  const recorded = origin(start.source), seen = origin(begin.prefix)
  // A start without a source goes on with a fork of the same input, as with any other run.
  return begin.prefix === undefined || recorded === seen
    ? Effect.void
    : exists("source", seen, recorded)
}

/** Where what a run is begun with comes from, in words. */
export const origin = (
  source: Pick<Prefix, "runId" | "offset" | "override"> | undefined
): string =>
  source === undefined
    ? "none"
    : `run "${source.runId}" up to entry ${source.offset}${
      source.override === undefined ? "" : `, overridden (${source.override})`
    }`

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

const brief = (json: unknown): string => (JSON.stringify(hide(json)) ?? "nothing").slice(0, 200)

const writerId = () => RunId.randomText(8)

/** 120 random bits as text, from Effect's `Random`, so that a seeded test makes the same runs again. */
const seedText: Effect.Effect<string> = Effect.map(Random.Random, (random) => {
  const part = () => Math.floor(random.nextDoubleUnsafe() * 2 ** 30).toString(32).padStart(6, "0")
  return part() + part() + part() + part()
})

export const firstStart = (
  program: Pick<Replay.Program, "name" | "version" | "durability">,
  runId: string,
  begin: Begin
): Effect.Effect<Opening> =>
  Effect.map(Effect.all([seedText, Clock.currentTimeMillis]), ([drawn, now]) => {
    const metadata = begin.metadata()
    const { durability = program.durability, parent, prefix } = begin
    const continues = begin.continues?.runId ?? prefix?.continues
    const taken = begin.continues?.taken ?? prefix?.taken ?? []
    const entry: Start = {
      type: "start",
      format: Journal.format,
      workflow: program.name,
      ...(program.version === undefined ? undefined : { version: program.version }),
      runId,
      ...(metadata === undefined ? undefined : { metadata }),
      seed: prefix?.seed ?? drawn,
      ...(durability === "sync" ? undefined : { durability }),
      ...(prefix === undefined ? undefined : {
        source: {
          runId: prefix.runId,
          offset: prefix.offset,
          copied: prefix.entries.length,
          at: new Date(now).toISOString(),
          ...(prefix.override === undefined ? undefined : { override: prefix.override })
        }
      }),
      ...(parent === undefined ? undefined : { parent }),
      ...(prefix?.base === undefined ? undefined : { base: prefix.base }),
      ...(continues === undefined ? undefined : { continues }),
      ...(taken.length === 0 ? undefined : { taken })
    }
    const incarnation = begin.continues?.incarnation ?? RunId.randomText(8)
    return { entry, stamp: { incarnation, session: 1, writer: writerId() } }
  })

export const laterStart = (
  { head }: Pick<Journal.Journal, "head">,
  settled: ReadonlyArray<string>
): Effect.Effect<Opening> =>
  Effect.sync(() => ({
    entry: { type: "start", ...(settled.length === 0 ? undefined : { settled }) },
    stamp: { incarnation: head.incarnation, session: head.session + 1, writer: writerId() }
  }))
