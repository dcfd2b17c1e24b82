/**
 * Overrides: a journal's beginning with other results for some of its steps.
 *
 * Pure. Finds the steps that are meant, and encodes the values as the steps themselves would have. Whether
 * the code still goes with what stands behind an overridden step is seen when it is replayed.
 */
import * as Schema from "effect/Schema"
import * as Codec from "./Codec.ts"
import * as Cut from "./Cut.ts"
import type { Step } from "./Entry.ts"
import { put } from "./internal/put.ts"
import { Undecodable } from "./Machine.ts"
import * as Past from "./Past.ts"
import type * as Record from "./Record.ts"

/** A run cannot be forked like that. Nothing was run or written, and the run it is about is untouched. */
export class ForkRejected
  extends Schema.TaggedError<ForkRejected>("reprise/ForkRejected")("ForkRejected", {
    runId: Schema.String,
    saw: Schema.String,
    /** What to do instead. */
    instead: Schema.String
  })
{
  override get message(): string {
    return `No new run was made of run "${this.runId}": ${this.saw}. ${this.instead}. Nothing was run or written.`
  }
}

/** Why an override cannot be applied. */
export type Refusal = Cut.StepNotFound | ForkRejected

export const isRefusal = (u: unknown): u is Refusal =>
  u instanceof Cut.StepNotFound || u instanceof ForkRejected

/** Values of steps by id, or by a name that only one has; of a pipeline, what is merged into its context. */
export type Override = Readonly<Record<string, unknown>>

const rejected = ({ runId }: Record.Of, saw: string) =>
  new ForkRejected({
    runId,
    saw,
    instead: "Override with a value that the step itself could have given"
  })

/** The beginning of a pipeline's run with the override merged into the context that it ends with. */
export const merge = <P extends Pick<Cut.Prefix, "base" | "entries">>(
  of: Record.Of,
  prefix: P,
  override: Override
): P | Refusal => {
  const { base, entries } = prefix
  const at = entries.findLastIndex(({ entry }) => entry.type === "step")
  const kept = entries[at]
  const entry = kept?.entry.type === "step" ? kept.entry : undefined
  if (base === undefined && entry === undefined) {
    return rejected(of, "no step of it is done that the override could be merged into")
  }
  if (base !== undefined && entry === undefined) {
    const context = merged(of, base.context, override)
    return context instanceof ForkRejected
      ? context
      : { ...prefix, base: { ...base, context }, baseText: undefined }
  }
  if (entry === undefined) return prefix
  const { error, result = {}, stepId } = entry
  if (
    error !== undefined || typeof result !== "object" || result === null || Array.isArray(result)
  ) {
    return rejected(of, `step "${stepId}" gave nothing that an override could be merged into`)
  }
  const patch = merged(of, result as Schema.JsonObject, override)
  if (patch instanceof ForkRejected) return patch
  const overridden = [...base?.overridden ?? [], ...Object.keys(override)]
  return {
    ...prefix,
    ...(base === undefined ? undefined : { base: { ...base, overridden }, baseText: undefined }),
    entries: entries.with(at, { ...kept!, entry: withResult(entry, patch) })
  }
}

const merged = (of: Record.Of, fields: Schema.JsonObject, override: Override) => {
  const all = {}
  for (const from of [fields, override]) {
    for (const [key, value] of Object.entries(from)) put(all, key, value)
  }
  const encoded = Codec.strict.encode(all, of.services)
  return encoded.ok
    ? encoded.json as Schema.JsonObject
    : rejected(of, `the override ${Codec.why(encoded.refused)}`)
}

/** The entry with another outcome; what is not about that stays. */
export const withResult = (entry: Step, result: Schema.Json | undefined): Step => {
  const changed: { -readonly [K in keyof Step]: Step[K] } = { ...entry }
  delete changed.error
  delete changed.declared
  delete changed.result
  if (result !== undefined) changed.result = result
  return changed
}

/** `entries` behind `first`, with other results. */
export const replace = (
  of: Record.Of,
  first: Past.First,
  entries: ReadonlyArray<Cut.Kept>,
  override: Override
): ReadonlyArray<Cut.Kept> | Refusal => {
  const { runId, services } = of
  const outcomes = entries.flatMap(({ entry }) => entry.type === "step" ? [entry] : [])
  const schemas = schemasOf(of, first, entries)
  const results = new Map<string, Schema.Json | undefined>()
  for (const [key, value] of Object.entries(override)) {
    const id = Cut.find(runId, outcomes, key)
    if (typeof id !== "string") return id
    const codec = Codec.of(schemas.get(id))
    const encoded = codec.encode(value, services)
    if (!encoded.ok) {
      return rejected(of, `the value for step "${key}" ${Codec.why(encoded.refused)}`)
    }
    const decoded = codec.decode(structuredClone(encoded.json), services)
    if (decoded instanceof Undecodable) {
      return rejected(of, `the value for step "${key}" does not decode again: ${decoded.why}`)
    }
    results.set(id, encoded.json)
  }
  return entries.map((kept) =>
    kept.entry.type === "step" && results.has(kept.entry.stepId)
      ? { ...kept, entry: withResult(kept.entry, results.get(kept.entry.stepId)) }
      : kept
  )
}

/** The schemas of steps by id, as far as the code goes with the entries. */
const schemasOf = (
  of: Record.Of,
  first: Past.First,
  entries: ReadonlyArray<Cut.Kept>
): ReadonlyMap<string, Schema.Top | undefined> => {
  const machine = Past.rebuild(of, first, entries)
  const taken = machine?.memory?.taken ?? []
  return new Map(taken.map(({ entry, step }) => [entry.stepId, step.options.schema]))
}
