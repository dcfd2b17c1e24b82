/**
 * What is journaled of what happened: the entries for an outcome, for a post and for the end of a body.
 *
 * Pure. What cannot be journaled is a typed error, found here, before anything is appended.
 */
import type * as Context from "effect/Context"
import * as Codec from "./Codec.ts"
import type { Posted } from "./Driver.ts"
import type { Cancelled, Complete, Entry, Failed, Intent, Step } from "./Entry.ts"
import * as Failure from "./Failure.ts"
import type * as Instruction from "./Instruction.ts"
import { describe } from "./internal/describe.ts"
import type { Machine, Pending } from "./Machine.ts"
import type { Performed } from "./Perform.ts"
import * as Replay from "./Replay.ts"

/** Whose values, and what they are encoded with. */
export interface Of {
  readonly program: Replay.Program
  readonly runId: string
  readonly services: Context.Context<never>
}

/** An end that a session writes. */
export type End = Complete | Failed | Cancelled

type Unencodable = Codec.Unserializable | Codec.ValueTooLarge

/** The step behind something pending that is one. */
export const stepOf = (pending: Pending): Instruction.Step =>
  pending.instruction as Instruction.Step

/** The entry for a step's outcome; `duration` in milliseconds. */
export const step = (
  { program, runId, services }: Of,
  pending: Pending,
  performed: Performed,
  duration: number
): Step | Unencodable => {
  const { id } = pending
  const { name, options } = stepOf(pending)
  const { attempts } = performed
  const entry: { -readonly [K in keyof Step]: Step[K] } = { type: "step", stepId: id, name }
  if (performed.ok) {
    const encoded = Codec.of(options.schema).encode(performed.value, services)
    if (!encoded.ok) return Codec.rejection(encoded.refused, { runId, what: `step "${id}"` })
    if (encoded.json !== undefined) entry.result = encoded.json
  } else {
    const at = { id, attempts, schema: options.error }
    Object.assign(entry, Failure.encodeStep(performed, at, program.error, services))
  }
  if (attempts > 1) entry.attempts = attempts
  if (duration > 0) entry.duration = duration
  return entry
}

/** A value that was encoded and is refused by the same schema when it is read back. */
export const oneWay = ({ runId }: Of, { id }: Pending, actual: string): Unencodable =>
  new Codec.Unserializable({
    runId,
    what: `step "${id}"`,
    path: "$",
    saw: `what its schema encodes but does not decode again (${actual})`
  })

/** The entry that says that an at-most-once attempt is about to run. */
export const intent = (pending: Pending, attempt: number): Intent => ({
  type: "intent",
  stepId: pending.id,
  name: stepOf(pending).name,
  attempt
})

/** The entry for a post: for the wait that takes it, or to be kept. */
export const posted = (machine: Machine, post: Posted): Entry => {
  const { eventId } = post
  if (post.type === "cancel") {
    return {
      type: "cancel",
      eventId,
      ...(post.reason === undefined ? undefined : { reason: post.reason })
    }
  }
  const { eventName, key, value } = post
  const event = {
    eventName,
    ...(key === undefined ? undefined : { key }),
    ...(value === undefined ? undefined : { value }),
    eventId
  }
  const taker = machine.taker(eventName, key)
  return taker === undefined
    ? { type: "event", ...event }
    : { type: "resume", stepId: taker.id, ...event }
}

/** The entry that ends a run whose body has ended, or why there is none. */
export const end = (
  { program, runId, services }: Of,
  { cancelled, declared, outcome }: Machine
): End | Unencodable | Replay.BodyDefect => {
  if (cancelled !== undefined) {
    const { reason } = cancelled
    return { type: "cancelled", ...(reason === undefined ? undefined : { reason }) }
  }
  if (outcome?.ok !== false) {
    const encoded = program.output.encode(outcome?.value, services)
    return !encoded.ok
      ? Codec.rejection(encoded.refused, { runId, what: "the workflow's output" })
      : { type: "complete", ...(encoded.json === undefined ? undefined : { result: encoded.json }) }
  }
  const { error } = outcome
  const recorded = Failure.encodeEnd(error, program.error, declared, services)
  if (recorded === undefined) {
    const { message, tag } = describe(error)
    return Replay.defectOf(program, runId, `The body threw ${tag}: ${message}`, error)
  }
  return "_tag" in recorded
    ? Codec.rejection(recorded, { runId, what: "the error the workflow failed with" })
    : { type: "error", ...recorded }
}
