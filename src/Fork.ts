/**
 * Runs that begin with what another run did: forks, retries of failed runs, checkpoints and runs from them,
 * and the question what a run would do if a step had given something else.
 *
 * The run that something is taken from is only read. Driving the new one is `Interpreter`'s.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Checkpoint from "./Checkpoint.ts"
import * as Cut from "./Cut.ts"
import * as Ending from "./Ending.ts"
import type { Recorded, Start } from "./Entry.ts"
import { found, type ReadError } from "./Find.ts"
import { crc32Hex } from "./internal/crc32.ts"
import * as Journal from "./Journal.ts"
import type { Naming } from "./Naming.ts"
import { type Begin, compare, type VersionMismatch } from "./Opening.ts"
import * as Override from "./Override.ts"
import { ForkRejected } from "./Override.ts"
import * as Past from "./Past.ts"
import type { Program } from "./Program.ts"
import type * as Record from "./Record.ts"
import { RunExists, type RunNotFound } from "./Refusals.ts"
import * as Replay from "./Replay.ts"
import * as RunId from "./RunId.ts"
import type { Storage } from "./Storage.ts"

export { StepNotFound } from "./Cut.ts"
export { ForkRejected } from "./Override.ts"

/** Where a fork is cut: before a step, or before the entry at an offset. */
export type CutAt =
  /** A step's id, or a name that only one has. It runs again in the new run. */
  | { readonly fromStep: string; readonly fromOffset?: undefined }
  /** How many entries of the journal the new run keeps. */
  | { readonly fromOffset: number; readonly fromStep?: undefined }

/** A run that is to be begun. */
export interface Begun {
  readonly runId: string
  readonly begin: Begin
}

export type FindError = ReadError | RunNotFound | RunId.RunIdRejected

/** The beginning of a run up to a cut. */
export const cut = (
  journal: Journal.Journal,
  { fromOffset, fromStep }: CutAt,
  naming?: Naming
): Cut.Prefix | Cut.StepNotFound | ForkRejected => {
  const { entries, runId } = journal
  if ((fromStep === undefined) === (fromOffset === undefined)) {
    return new ForkRejected({
      runId,
      saw: fromStep === undefined
        ? "it was not said where to cut it"
        : "two places to cut it were given",
      instead: "Give either fromStep or fromOffset"
    })
  }
  const offset: unknown = fromStep === undefined
    ? fromOffset
    : Cut.before(runId, entries, fromStep, naming)
  if (offset instanceof Cut.StepNotFound) return offset
  const isInside = typeof offset === "number" && Number.isInteger(offset) && offset >= 1
    && offset <= entries.length
  if (!isInside) {
    return new ForkRejected({
      runId,
      saw: `it cannot be cut at offset ${
        typeof offset === "number" ? offset : JSON.stringify(offset) ?? "undefined"
      }`,
      instead: `Give an offset from 1 to ${entries.length}`
    })
  }
  return Cut.upTo(runId, entries, offset)
}

/** What a new run is begun with. */
export const beginOf = (prefix: Cut.Prefix, isCheckpoint: boolean): Begin => ({
  metadata: () => structuredClone(prefix.metadata),
  prefix,
  isCheckpoint
})

/** The opening of a prefix, for code that is to be replayed against it. */
const openingOf = (prefix: Cut.Prefix): Past.First => {
  const { base, continues, metadata, seed, taken, timestamp, version, workflow } = prefix
  const start: Start = {
    type: "start",
    workflow,
    ...(version === undefined ? undefined : { version }),
    ...(metadata === undefined ? undefined : { metadata }),
    seed,
    ...(continues === undefined ? undefined : { continues }),
    ...(taken.length === 0 ? undefined : { taken }),
    ...(base === undefined ? undefined : { base })
  }
  return { ...start, timestamp, incarnation: "" }
}

/** The prefix with other results. */
const overridden = (
  newest: Program,
  prefix: Cut.Prefix,
  override: Override.Override | undefined,
  services: Context.Context<never>
): Cut.Prefix | Cut.StepNotFound | ForkRejected => {
  if (override === undefined || Object.keys(override).length === 0) return prefix
  const program = Replay.ofVersion(newest, prefix.version) ?? newest
  const of = { program, runId: prefix.runId, services }
  if (program.accumulates) return marked(Override.merge(of, prefix, override))
  const entries = Override.replace(of, openingOf(prefix), prefix.entries, override)
  return Override.isRefusal(entries) ? entries : marked({ ...prefix, entries })
}

/** With a sum of what is begun with, so that another override is another run. */
export const marked = <P extends Cut.Prefix>(prefix: P | Override.Refusal): P | Override.Refusal =>
  Override.isRefusal(prefix)
    ? prefix
    : { ...prefix, override: crc32Hex(JSON.stringify([prefix.base, prefix.entries])) }

/** How a run of this workflow is forked. */
export const fork = (
  program: Program,
  runId: string,
  options: CutAt & {
    readonly runId?: string | undefined
    readonly override?: Override.Override | undefined
  }
): Effect.Effect<
  Begun,
  FindError | RunExists | VersionMismatch | Cut.StepNotFound | ForkRejected,
  Storage
> =>
  Effect.gen(function*() {
    const services = yield* Effect.context<never>()
    const loaded = yield* found(runId)
    yield* compare(program, loaded, undefined, services)
    const prefix = yield* orFail(cut(loaded.journal, options, program.naming))
    const changed = yield* orFail(overridden(program, prefix, options.override, services))
    return { runId: yield* idFor(options), begin: beginOf(changed, false) }
  })

const idFor = ({ runId }: { readonly runId?: string | undefined }) =>
  RunId.check(runId ?? RunId.createRunId())

type Refusal = Override.Refusal | Checkpoint.CheckpointRejected

/** Fails with what is a refusal. */
export const orFail = <A>(
  outcome: A
): Effect.Effect<Exclude<A, Refusal>, Extract<A, Refusal>> =>
  Override.isRefusal(outcome) || outcome instanceof Checkpoint.CheckpointRejected
    ? Effect.fail(outcome as Extract<A, Refusal>)
    : Effect.succeed(outcome as Exclude<A, Refusal>)

/** How a failed run goes on from the step that failed: as a new run that keeps what was done before it. */
export const retryFrom = (
  program: Program,
  runId: string,
  options: {
    readonly step?: string | undefined
    readonly runId?: string | undefined
    readonly override?: Override.Override | undefined
  }
): ReturnType<typeof fork> =>
  Effect.gen(function*() {
    const { journal } = yield* found(runId)
    const fromOffset = yield* orFail(retryOffset(journal, options.step, program.naming))
    const { override, runId: next } = options
    return yield* fork(program, runId, { fromOffset, runId: next, override })
  })

/** Where a failed run is cut to go on from `step`, or else from the step that failed. */
export const retryOffset = (
  { entries, runId }: Journal.Journal,
  step: string | undefined,
  naming?: Naming
): number | Override.Refusal => {
  const reject = (saw: string, instead: string) => new ForkRejected({ runId, saw, instead })
  if (entries.at(-1)?.type !== "error") {
    return reject(
      "it has not failed",
      `Go on with an open run with resume("${runId}"), or fork it from a step`
    )
  }
  const failed = step ?? lastFailed(entries, naming)
  if (failed === undefined) {
    return reject(
      "no step of it failed: its body did, of itself",
      `Choose where to go on from: fork("${runId}", { fromStep })`
    )
  }
  const offset = Cut.before(runId, entries, failed, naming)
  if (Override.isRefusal(offset)) return offset
  const undone = entries.slice(offset).flatMap((entry) =>
    entry.type === "undo" ? [entry.stepId] : []
  )
  const kept = entries.slice(0, offset)
    .flatMap((entry) => "stepId" in entry && undone.includes(entry.stepId) ? [entry.stepId] : [])
  return kept.length === 0
    ? offset
    : reject(
      `what was done before step "${failed}" was undone when it failed: ${
        kept.map((id) => `"${id}"`).join(", ")
      }`,
      `Do that again too: fork("${runId}", { fromStep: "${kept[0]}" })`
    )
}

/** The step that failed last; inside a container that failed with it, if one did. */
const lastFailed = (
  entries: ReadonlyArray<Recorded>,
  naming: Naming | undefined
): string | undefined => {
  const failed = entries.flatMap((entry) =>
    (entry.type === "step" || entry.type === "child") && entry.error !== undefined
      ? [{ id: entry.stepId, name: entry.type === "step" ? entry.name : "" }]
      : []
  )
  const isEnd = ({ id, name }: { readonly id: string; readonly name: string }) =>
    naming?.(id, name).kind === "end"
  let at = failed.length - 1
  while (at > 0 && isEnd(failed[at]!) && Cut.isInside(failed[at]!.id, failed[at - 1]!.id)) at--
  return failed[at]?.id
}

// ---------------------------------------------------------------------------------------------------
// checkpoints

export interface CheckpointOptions {
  /** The step whose outcome is the last that the checkpoint has: its id, or a name that only one has. Default: the last. */
  readonly after?: string | undefined
  /** How long it may be gone on from. Default: as `Checkpoint.Lifetime` says. */
  readonly expiresIn?: Duration.Input | undefined
}

/** The checkpoint of a run of this workflow, behind a step. Nothing is replayed. */
export const checkpoint = (
  { name, naming }: Pick<Program, "name" | "naming">,
  runId: string,
  { after, expiresIn }: CheckpointOptions
): Effect.Effect<string, FindError | RunExists | Cut.StepNotFound, Storage> =>
  Effect.gen(function*() {
    const services = yield* Effect.context<never>()
    const now = yield* Clock.currentTimeMillis
    const { journal } = yield* found(runId)
    const { entries } = journal
    const recorded = Journal.first(journal)?.workflow ?? ""
    if (recorded !== name) {
      return yield* new RunExists({ runId, differs: "workflow", seen: name, recorded })
    }
    const last = entries.findLast((entry) => Cut.isOutcome(entry))
    const step = after ?? (last !== undefined && "stepId" in last ? last.stepId : "")
    const offset = yield* orFail(Cut.behind(runId, entries, step, naming))
    const at = entries[offset - 1]!
    const stepId = "stepId" in at ? at.stepId : ""
    const made = {
      ...Cut.upTo(runId, entries, offset),
      stepId,
      stepName: "name" in at ? at.name : stepId,
      createdAt: now
    }
    return Checkpoint.text(
      made,
      expiresIn === undefined ? services : Context.add(services, Checkpoint.Lifetime, expiresIn)
    )
  })

/** How a run is begun from a checkpoint. */
export const fromCheckpoint = (
  program: Program,
  text: string,
  options: {
    readonly runId?: string | undefined
    readonly override?: Override.Override | undefined
  }
): Effect.Effect<
  Begun & { readonly checkpoint: Checkpoint.Checkpoint },
  Checkpoint.CheckpointRejected | RunId.RunIdRejected
> =>
  Effect.gen(function*() {
    const services = yield* Effect.context<never>()
    const checkpoint = yield* opened(program, text)
    const changed = overridden(program, checkpoint, options.override, services)
    if (changed instanceof Cut.StepNotFound) {
      return yield* Checkpoint.rejected("UnknownStep", changed.message)
    }
    if (changed instanceof ForkRejected) {
      return yield* Checkpoint.rejected("OverrideRejected", changed.saw)
    }
    return { runId: yield* idFor(options), begin: beginOf(changed, true), checkpoint }
  })

/** A checkpoint of this workflow. */
const opened = (
  { name }: Program,
  text: string
): Effect.Effect<Checkpoint.Checkpoint, Checkpoint.CheckpointRejected> =>
  Effect.gen(function*() {
    const services = yield* Effect.context<never>()
    const checkpoint = yield* orFail(
      Checkpoint.open(text, services, yield* Clock.currentTimeMillis)
    )
    if (checkpoint.workflow !== name) {
      const saw = `it is of workflow "${checkpoint.workflow}", and was given to "${name}"`
      return yield* Checkpoint.rejected("OtherWorkflow", saw)
    }
    return checkpoint
  })

/** What the steps had given where a checkpoint was taken; of a pipeline, the merged context. */
export const contextOf = (
  newest: Program,
  text: string
): Effect.Effect<unknown, Checkpoint.CheckpointRejected> =>
  Effect.gen(function*() {
    const services = yield* Effect.context<never>()
    const checkpoint = yield* opened(newest, text)
    const program = Replay.ofVersion(newest, checkpoint.version) ?? newest
    const first = openingOf(checkpoint)
    const of = { program, runId: checkpoint.runId, services }
    const context = Past.ofEntries(of, first, checkpoint.entries)
    return typeof context === "string"
      ? yield* Checkpoint.rejected("ChangedDefinition", context)
      : context.context
  })

// ---------------------------------------------------------------------------------------------------
// what if

/** What the code would do with a journal in which steps had given something else. Nothing is run. */
export type WhatIf =
  & (
    | Exclude<Replay.Replayed, { readonly _tag: "Diverged" }>
    /** The override names no step of the journal, or a value that it could not have given. */
    | {
      readonly _tag: "Refused"
      readonly error: Cut.StepNotFound | ForkRejected | Replay.ReplayMismatch
    }
  )
  & {
    /** How many entries of the journal the code still goes along with. */
    readonly offset: number
    /** What the journal has there instead, if the run would have parted from it. */
    readonly instead?: Recorded
  }

/** The entries with other results; a pipeline's override is merged into what its last step gave. */
const changedBy = (
  of: Record.Of,
  opening: Past.First,
  kept: ReadonlyArray<Cut.Kept>,
  override: Override.Override
) => {
  if (!of.program.accumulates) return Override.replace(of, opening, kept, override)
  const merged = Override.merge(of, { base: opening.base, entries: kept }, override)
  return Override.isRefusal(merged) ? merged : merged.entries
}

/** Replays a journal with other results, up to where the code parts from it. */
export const whatIf = (
  newest: Program,
  journal: Journal.Journal,
  override: Override.Override | undefined,
  services: Context.Context<never>
): WhatIf => {
  const { runId } = journal
  const [first] = journal.entries
  const refused = (error: Extract<WhatIf, { _tag: "Refused" }>["error"]): WhatIf => ({
    _tag: "Refused",
    error,
    offset: 0
  })
  const base = Ending.replay(newest, { ...journal, entries: journal.entries.slice(0, 1) }, services)
  if (base._tag === "Diverged") return refused(base.mismatch)
  const program = Replay.ofVersion(newest, (first as Start).version) ?? newest
  const of = { program, runId, services }
  const opening = structuredClone(first) as Recorded & Start
  const kept = journal.entries.slice(1).map((entry) => ({ entry, timestamp: entry.timestamp }))
  const changed = override === undefined ? kept : changedBy(of, opening, kept, override)
  if (Override.isRefusal(changed)) return refused(changed)
  const entries = [opening, ...changed.map(({ entry }) => entry as Recorded)]
  const machine = Ending.machine(of, structuredClone(entries))
  const at = machine === undefined ? undefined : Replay.feed(machine, structuredClone(entries))
  const parted = machine?.diverged === undefined ? undefined : at
  const until = parted ?? entries.length
  const now = Ending.replay(newest, { ...journal, entries: entries.slice(0, until) }, services)
  if (now._tag === "Diverged") return refused(now.mismatch)
  const instead = parted === undefined ? undefined : journal.entries[parted]
  return { ...now, offset: until, ...(instead === undefined ? undefined : { instead }) }
}
