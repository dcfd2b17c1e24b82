/**
 * What was done up to a step: the context that a hook is shown, and the checkpoint that it is handed.
 *
 * Both are made from what the machine remembers, when somebody asks.
 */
import * as Checkpoint from "./Checkpoint.ts"
import * as Codec from "./Codec.ts"
import * as Cut from "./Cut.ts"
import type { Base, Entry, Start, Step } from "./Entry.ts"
import { copy } from "./internal/json.ts"
import { put } from "./internal/put.ts"
import { type Machine, outermost, type Taken, Undecodable } from "./Machine.ts"
import type * as Record from "./Record.ts"
import * as Replay from "./Replay.ts"

/** How the run was opened. */
export interface First extends Start {
  readonly timestamp: string
  readonly incarnation: string
}

const plain = (value: unknown): unknown => {
  const copied = copy(value, Infinity)
  return copied.ok ? copied.value : value
}

/** What was given by the first `count` steps, by name; of a pipeline, the merged context behind them. */
export const context = (of: Record.Of, first: First, machine: Machine, count: number): unknown => {
  const { taken } = machine.memory!
  if (!of.program.accumulates) return results(of, taken.slice(0, count))
  if (count === taken.length && machine.exposed.context !== undefined) {
    return plain(machine.exposed.context)
  }
  const until = count === 0 ? 0 : taken[count - 1]!.count
  return plain(again(of, first, machine, until)?.exposed.context ?? {})
}

/** The values of steps by name, of several of one name the latest. */
const results = (
  { services }: Record.Of,
  taken: ReadonlyArray<Taken>
): Record<string, unknown> => {
  const out: Record<string, unknown> = {}
  for (const { entry, step } of taken) {
    if (entry.error !== undefined) continue
    const result = structuredClone(entry.result)
    const decoded = Codec.of(step.options.schema).decode(result, services)
    put(out, entry.name, decoded instanceof Undecodable || !decoded.ok ? result : decoded.value)
  }
  return out
}

/** A machine that was fed the first `count` entries. */
const again = (of: Record.Of, first: First, { memory }: Machine, count: number) =>
  rebuild(of, first, memory!.entries.slice(0, count))

/** A machine that was fed copies of `kept` and remembers them; nothing when its input is refused. */
export const rebuild = (
  { program, runId, services }: Record.Of,
  first: First,
  kept: ReadonlyArray<Cut.Kept>
): Machine | undefined => {
  const input = program.input.decode(structuredClone(first.metadata), services)
  if (input instanceof Undecodable || !input.ok) return undefined
  const { incarnation } = first
  const entries = [
    first,
    ...kept.map(({ entry, timestamp }) => ({
      ...structuredClone(entry),
      timestamp,
      incarnation
    }))
  ]
  const options = { runId, services, live: false, remembers: true }
  const machine = Replay.machine(program, input.value, Replay.startOf(first), options, entries)
  Replay.feed(machine, entries)
  return machine
}

/** What the steps of `kept` gave; or why the code does not go with them. */
export const ofEntries = (
  of: Record.Of,
  first: First,
  kept: ReadonlyArray<Cut.Kept>
): { readonly context: unknown } | string => {
  const refused = Replay.baseRefused(of.program, of.runId, first)
  if (refused !== undefined) return `the code has ${refused.actual}`
  const machine = rebuild(of, first, kept)
  if (machine === undefined) return "its input does not fit the workflow's"
  const { diverged, memory } = machine
  return diverged === undefined
    ? { context: context(of, first, machine, memory!.taken.length) }
    : `the code has ${diverged.actual} where it has a "${diverged.expected.type}" entry`
}

/** The checkpoint behind a step. `now` is UTC milliseconds. */
export const checkpoint = (
  of: Record.Of,
  first: First,
  machine: Machine,
  at: number,
  now: number
): string => {
  const { program, runId, services } = of
  const { entries, taken } = machine.memory!
  // The first entry is not among those that were fed, so an entry's count is its offset.
  const { count, entry: { name, stepId } } = taken[at]!
  const { workflow = program.name } = first
  const stands = program.accumulates ? standing(of, first, machine, at + 1) : undefined
  const prefix = Cut.prefix(
    runId,
    { ...first, workflow, ...(stands === undefined ? undefined : { base: stands.base }) },
    count + 1,
    entries.slice(stands?.from ?? 0, count)
  )
  // The context came from the input: what was dropped of it is not to travel on.
  const metadata = stands === undefined ? prefix.metadata : undefined
  const made = { ...prefix, metadata, stepId, stepName: name, createdAt: now }
  return Checkpoint.text(made, services)
}

/** Where a pipeline stood behind the first `count` steps: between its outermost ones, and what is fed since. */
const standing = (
  of: Record.Of,
  first: First,
  machine: Machine,
  count: number
): { readonly base: Base; readonly from: number } | undefined => {
  const { entries, taken } = machine.memory!
  const { outermost: stands } = count === taken.length
    ? machine.exposed
    : again(of, first, machine, taken[count - 1]!.count)?.exposed ?? {}
  if (stands === undefined) return undefined
  const { from } = stands
  const steps = stands.steps()
  const counts: Record<string, number> = { ...first.base?.counts }
  for (const { entry } of entries.slice(0, from)) {
    if (!("stepId" in entry)) continue
    const used = outermost(entry.stepId)
    if (stands.recurs(used.name)) {
      put(counts, used.name, Math.max(used.count, counts[used.name] ?? 0))
    }
  }
  const ids = [
    ...first.base?.ids ?? first.base?.steps ?? [],
    ...entries.slice(0, from).flatMap(({ entry }) => isTold(of, entry) ? [entry.stepId] : [])
  ]
  const isSame = ids.length === steps.length && ids.every((id, k) => id === steps[k])
  const context = stands.context() as Base["context"]
  const base: Base = {
    steps,
    ...(isSame ? undefined : { ids }),
    ...(Object.keys(counts).length === 0 ? undefined : { counts }),
    context
  }
  return { base, from }
}

/** Whether an entry is one that a hook or a log is told of: a step that is done, or was left out. */
const isTold = ({ program }: Record.Of, entry: Entry): entry is Step => {
  if (entry.type !== "step") return false
  const kind = program.naming?.(entry.stepId, entry.name).kind ?? "step"
  return kind === "condition" ? entry.result === false : kind !== "own" && kind !== "decision"
}
