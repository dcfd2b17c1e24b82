/**
 * Replay: a workflow's code against a journal, without running anything.
 *
 * Owns what the code's answer can be and the two errors that say that code and journal, or code and
 * rules, do not go together. Pure and synchronous: the engine, the command line and tests use the same
 * function. The tree itself is in `Machine`.
 */
import * as Context from "effect/Context"
import * as Schema from "effect/Schema"
import * as Codec from "./Codec.ts"
import type { Posted } from "./Driver.ts"
import type { Entry, Wait } from "./Entry.ts"
import * as Failure from "./Failure.ts"
import * as Instruction from "./Instruction.ts"
import { describe } from "./internal/describe.ts"
import type { Journal } from "./Journal.ts"
import * as Machine from "./Machine.ts"
import { Guard, type Program, programOf } from "./Program.ts"
import * as SliceGuard from "./SliceGuard.ts"

export * from "./Program.ts"

/**
 * The journal says that one thing came next and the code does another. Nothing was executed and nothing
 * was appended.
 */
export class ReplayMismatch
  extends Schema.TaggedError<ReplayMismatch>("reprise/ReplayMismatch")("ReplayMismatch", {
    runId: Schema.String,
    workflow: Schema.String,
    /** The entry that does not fit. */
    offset: Schema.Int,
    /** What the journal has. */
    expected: Schema.String,
    /** What the code does. */
    actual: Schema.String,
    /** Where the code does it, as `file:line:column`, when that could be told. */
    source: Schema.optionalKey(Schema.String),
    /** Found by the shadow replay: the same code, and the same journal. */
    shadow: Schema.optionalKey(Schema.Literal(true))
  })
{
  override get message(): string {
    if (this.shadow === true) {
      return `Workflow "${this.workflow}" does not do the same each time: after ${this.offset} entries of run `
        + `"${this.runId}" the body had ${this.expected}, and a replay of the same journal has ${this.actual}. `
        + `Something between two yields has more than one answer: a clock, chance, or a variable outside of the `
        + `body. Put it into a step, or use ctx.now, ctx.random or ctx.uuid. What was journaled is kept.`
    }
    return `The code of workflow "${this.workflow}" no longer fits run "${this.runId}". `
      + `Its journal has ${this.expected} at offset ${this.offset}; the code has ${this.actual}`
      + `${this.source === undefined ? "" : ` (${this.source})`}. Nothing was run or written. `
      + `Ways out: deploy the code that fits; keep the old path beside the new one with ctx.patched or a new version of `
      + `the workflow; fork the run from before that step; or, while developing, remove the run.`
  }
}

/**
 * The body broke: it threw what is not an error it may fail with, or it yielded something else than an
 * instruction. The run stays open and goes on once the code is mended.
 */
export class BodyDefect extends Schema.TaggedError<BodyDefect>("reprise/BodyDefect")("BodyDefect", {
  runId: Schema.String,
  workflow: Schema.String,
  saw: Schema.String,
  source: Schema.optionalKey(Schema.String),
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return `${this.saw.replace(/\.$/, "")}${
      this.source === undefined ? "" : ` (${this.source})`
    }. Run "${this.runId}" of workflow `
      + `"${this.workflow}" stays open: mend the code, then resume it. To end a run with an error, declare it: `
      + `give the workflow an error schema, or yield* ctx.fail(error).`
  }
}

/**
 * The body made an instruction and neither yielded it nor placed it in a branch, so it never ran: mostly
 * a forgotten `yield*`. Found by the slice guard, before the end was journaled; the run stays open.
 */
export class NotYielded extends Schema.TaggedError<NotYielded>("reprise/NotYielded")("NotYielded", {
  runId: Schema.String,
  workflow: Schema.String,
  saw: Schema.String,
  source: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    return `${this.saw}${
      this.source === undefined ? "" : ` (${this.source})`
    }. Write yield* before it, `
      + `or take it out. Run "${this.runId}" of workflow "${this.workflow}" stays open.`
  }
}

/** What the code makes of a journal. */
export type Replayed =
  | { readonly _tag: "Returned"; readonly value: unknown }
  | { readonly _tag: "Threw"; readonly error: unknown }
  | {
    readonly _tag: "Blocked"
    readonly steps: ReadonlyArray<string>
    readonly waits: ReadonlyArray<Wait>
  }
  | { readonly _tag: "Diverged"; readonly mismatch: ReplayMismatch }
  | { readonly _tag: "Broke"; readonly defect: BodyDefect | NotYielded }

type Services = Context.Context<never>

/** With `copies`, what is handed out is a copy: what the body does to it does not show in the entry. */
const codec = (program: Program, services: Services, copies: boolean): Machine.Codec => ({
  step: ({ options }, entry) =>
    entry.error === undefined
      ? options.schema === undefined
        ? { ok: true, value: copied(entry.result, copies) }
        : Codec.fromSchema(options.schema).decode(copied(entry.result, copies), services)
      : Failure.decodeStep(
        { ...entry, error: copied(entry.error, copies) },
        options.error,
        program.error,
        services
      ),
  event: (name, value) => {
    const known = Object.hasOwn(program.events, name) ? program.events[name] : undefined
    const json = value as Schema.Json | undefined
    return (known ?? Codec.strict).decode(copied(json, copies), services)
  },
  child: ({ callee, discard }, entry) => {
    const { declared, stepId } = entry
    const result = copied(entry.result, copies), error = copied(entry.error, copies)
    if (entry.cancelled === true) {
      return { ok: false, error: cancelledChild(stepId, entry.childId) }
    }
    const of = callee === undefined ? undefined : programOf(callee)
    if (error === undefined) {
      return (discard ? Codec.strict : of?.output ?? Codec.strict).decode(result, services)
    }
    const ended = { error, ...(declared === undefined ? undefined : { declared }) }
    const decoded = Failure.decodeEnd(ended, (of ?? program).error, services)
    return decoded instanceof Machine.Undecodable
      ? decoded
      : { ok: false, error: (decoded as { readonly value: unknown }).value }
  },
  mayEndWith: (error, declared) =>
    Failure.encodeEnd(error, program.error, declared, services) !== undefined
})

const copied = <A>(json: A, copies: boolean): A => copies ? structuredClone(json) : json

const cancelledChild = (step: string, childId: string) =>
  new Instruction.StepFailed({
    step,
    tag: "Cancelled",
    message: `the child run "${childId}" was cancelled`,
    attempts: 1,
    defect: false
  })

/** Why the code cannot take what was posted, or undefined when it can. */
export const refuses = (
  program: Program,
  posted: Posted,
  services: Services
): string | undefined => {
  if (posted.type !== "event") return undefined
  const { eventName, value } = posted
  const known = Object.hasOwn(program.events, eventName) ? program.events[eventName] : undefined
  if (known === undefined) return `workflow "${program.name}" has no event "${eventName}"`
  const decoded = known.decode(value, services)
  return decoded instanceof Machine.Undecodable
    ? `its payload does not fit event "${eventName}": ${decoded.why}`
    : undefined
}

export interface Running {
  readonly runId: string
  readonly live: boolean
  readonly services: Services
  /** Whether the machine remembers what it is fed. */
  readonly remembers?: boolean | undefined
}

/** A machine that has been fed nothing yet. `input` is decoded; `recorded` is what it will be fed. */
export const machine = (
  program: Program,
  input: unknown,
  start: Machine.Start,
  { live, remembers = false, runId, services }: Running,
  recorded: ReadonlyArray<Entry> = []
): Machine.Machine => {
  const { retired } = program
  const exposed: Machine.Exposed = start.base === undefined ? {} : { base: start.base }
  const guard = Context.get(services, Guard).slices
  if (guard) SliceGuard.install()
  const options = {
    runId,
    workflow: program.name,
    // A pipeline freezes what its steps look at.
    codec: codec(program, services, remembers && !program.accumulates),
    live,
    guard,
    retired,
    remembers,
    exposed
  }
  return new Machine.Machine(() => program.body(input, exposed), start, options, recorded)
}

/** Feeds `entries` from `from` on; gives the offset at which they diverged. */
export const feed = (
  to: Machine.Machine,
  entries: ReadonlyArray<Entry & { readonly timestamp: string }>
): number | undefined => {
  for (let offset = 1; offset < entries.length; offset++) {
    const entry = entries[offset]!
    to.feed(entry, entry.timestamp)
    if (to.diverged !== undefined || to.defect !== undefined) return offset
  }
  return undefined
}

/** What the machine takes from the first entry of a journal. */
export const startOf = (
  first: Entry & { readonly timestamp: string; readonly incarnation: string }
): Machine.Start => {
  const { incarnation, timestamp } = first
  const { base, seed, taken } = first.type === "start" ? first : {}
  return {
    incarnation,
    timestamp,
    ...(seed === undefined ? undefined : { seed }),
    ...(taken === undefined ? undefined : { taken }),
    ...(base === undefined ? undefined : { base })
  }
}

/** A fresh machine, fed what a session found and what it fed since: to be asked again where something was made. */
export const again = (
  { program, runId, services }: {
    readonly program: Program
    readonly runId: string
    readonly services: Services
  },
  found: ReadonlyArray<Entry & { readonly timestamp: string; readonly incarnation: string }>,
  since: ReadonlyArray<{ readonly json: string; readonly timestamp: string }>
): Machine.Machine | undefined => {
  const entries = [
    ...structuredClone(found),
    ...since.map(({ json, timestamp }) => ({ ...JSON.parse(json), timestamp, incarnation: "" }))
  ]
  const [first] = entries
  if (first?.type !== "start") return undefined
  const input = program.input.decode(first.metadata, services)
  if (input instanceof Machine.Undecodable || !input.ok) return undefined
  const options = { runId, services, live: false }
  const m = machine(program, input.value, startOf(first), options, entries)
  feed(m, entries)
  return m
}

/**
 * What `program` makes of `journal`: the outcome, what it waits for, or where they part.
 *
 * `input` gives the decoded input, a copy at each call; `services` are those that the schemas need. The
 * journal is copied as well: a body may change what it is handed.
 */
export const replay = (
  program: Program,
  input: () => unknown,
  journal: Journal,
  services: Services
): Replayed => {
  const { runId } = journal
  const run = () => {
    const entries = structuredClone(journal.entries)
    const first = startOf(entries[0]!)
    const m = machine(program, input(), first, { runId, live: false, services }, entries)
    return { m, offset: feed(m, entries) }
  }
  const { m, offset } = run()
  const bug = bugOf(program, runId, m, services)
  if (bug !== undefined) return { _tag: "Broke", defect: bug }
  if (m.diverged !== undefined) {
    return {
      _tag: "Diverged",
      mismatch: mismatch(program, runId, m.diverged, offset ?? 0, () => run().m.diverged)
    }
  }
  if (m.defect !== undefined) {
    return { _tag: "Broke", defect: broke(program, runId, m.defect, () => run().m.defect) }
  }
  if (m.outcome === undefined) {
    const steps = [...m.pending.values()].filter((p) => p.instruction.op === "step").map((p) =>
      p.id
    )
    return { _tag: "Blocked", steps, waits: m.waits() }
  }
  return m.outcome.ok
    ? { _tag: "Returned", value: m.outcome.value }
    : { _tag: "Threw", error: m.outcome.error }
}

/** What a body threw that its workflow does not declare: no run ends with that. */
const bugOf = (
  program: Program,
  runId: string,
  { cancelled, declared, outcome }: Machine.Machine,
  services: Services
): BodyDefect | undefined => {
  if (cancelled !== undefined || outcome?.ok !== false) return undefined
  const { error } = outcome
  return Failure.encodeEnd(error, program.error, declared, services) === undefined
    ? undeclared(program, runId, error)
    : undefined
}

export const undeclared = (program: Program, runId: string, error: unknown): BodyDefect => {
  const { message, tag } = describe(error)
  return defectOf(program, runId, `The body threw ${tag}: ${message}`, error)
}

/** The error for a pipeline that cannot begin where its journal does. */
export const baseRefused = (
  program: Program,
  runId: string,
  first: Entry
): ReplayMismatch | undefined => {
  const base = first.type === "start" ? first.base : undefined
  const actual = base === undefined ? undefined : program.refusesBase?.(base)
  return actual === undefined
    ? undefined
    : new ReplayMismatch({
      runId,
      workflow: program.name,
      offset: 0,
      expected: "a pipeline that begins behind what its checkpoint has",
      actual
    })
}

/** The error for a divergence. `again` diverges once more, with instructions remembering their lines. */
export const mismatch = (
  program: Program,
  runId: string,
  diverged: Machine.Divergence,
  offset: number,
  again: () => Machine.Divergence | undefined
): ReplayMismatch => {
  const instruction = Instruction.traced(again)?.instruction
  const source = instruction === undefined ? undefined : userLine(Instruction.stackOf(instruction))
  return new ReplayMismatch({
    runId,
    workflow: program.name,
    offset,
    expected: show(diverged.expected),
    actual: diverged.actual,
    ...(source === undefined ? undefined : { source })
  })
}

/** The error for a rule that the body broke. `again` breaks it once more, with instructions remembering their lines. */
export const broke = (
  program: Program,
  runId: string,
  defect: Machine.Defect,
  again: () => Machine.Defect | undefined
): BodyDefect | NotYielded => {
  if (defect.notYielded === undefined) {
    return defectOf(program, runId, defect.message, defect.cause)
  }
  const made = Instruction.traced(again)?.notYielded
  const source = made === undefined ? undefined : userLine(Instruction.stackOf(made))
  return new NotYielded({
    runId,
    workflow: program.name,
    saw: defect.message,
    ...(source === undefined ? undefined : { source })
  })
}

/** The error for a body that broke. */
export const defectOf = (
  program: Program,
  runId: string,
  saw: string,
  cause?: unknown
): BodyDefect => {
  const source = userLine(stackOf(cause))
  return new BodyDefect({
    runId,
    workflow: program.name,
    saw,
    ...(source === undefined ? undefined : { source }),
    ...(cause === undefined ? undefined : { cause })
  })
}

// internal

/** The stack of what may be no error, or throw when it is looked at. */
const stackOf = (cause: unknown): string | undefined => {
  try {
    return cause instanceof Error ? cause.stack : undefined
  } catch {
    return undefined
  }
}

const show = (entry: Machine.Divergence["expected"]): string => {
  switch (entry.type) {
    case "suspend":
      return `a suspend on ${
        entry.waits.map((w) => `"${w.stepId}"${w.key === undefined ? "" : ` (key "${w.key}")`}`)
          .join(", ")
      }`
    case "resume":
      return `event "${entry.eventName}" for suspend "${entry.stepId}"`
    case "step":
      return `the outcome of step "${entry.stepId}"`
    default:
      return "stepId" in entry ? `${entry.type} "${entry.stepId}"` : `"${entry.type}"`
  }
}

/** Where this library is; in a bundle there may be no such place. */
const own = import.meta.url?.slice(0, import.meta.url.lastIndexOf("/") + 1) ?? "no url"

/** The place that a line of a stack ends with. */
const placeOf = (line: string): string | undefined => {
  const text = line.endsWith(")") ? line.slice(0, -1) : line
  const place = text.slice(Math.max(text.lastIndexOf(" "), text.lastIndexOf("(")) + 1)
  return /:\d+:\d+$/.test(place) ? place : undefined
}

/** The first line of a stack that is the user's: not this library's, not the platform's. */
const userLine = (stack: string | undefined): string | undefined => {
  for (const line of stack?.split("\n") ?? []) {
    const at = line.trim().startsWith("at ") ? placeOf(line.trim()) : undefined
    if (at === undefined || at.startsWith("node:") || at.includes("/node_modules/effect/")) continue
    if (at.startsWith(own) || at.startsWith(own.replace("file://", ""))) continue
    return at.replace("file://", "")
  }
  return undefined
}
