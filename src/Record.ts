/**
 * What is journaled of what happened: the entries for an outcome, for a post and for the end of a body.
 *
 * Pure. What cannot be journaled is a typed error, found here, before anything is appended.
 */
import type * as Context from "effect/Context"
import * as Chain from "./Chain.ts"
import * as Codec from "./Codec.ts"
import type { Posted } from "./Driver.ts"
import type {
  Cancelled,
  Complete,
  Continue,
  Entry,
  Failed,
  Intent,
  Retry,
  Step,
  Timer
} from "./Entry.ts"
import * as Failure from "./Failure.ts"
import type * as Instruction from "./Instruction.ts"
import { type Machine, type Pending, Undecodable } from "./Machine.ts"
import type { Performed } from "./Perform.ts"
import * as Replay from "./Replay.ts"

/** Whose values, and what they are encoded with. */
export interface Of {
  readonly program: Replay.Program
  readonly runId: string
  readonly services: Context.Context<never>
}

/** An end that a session writes. */
export type End = Complete | Failed | Cancelled | Continue

type Unencodable = Codec.Unserializable | Codec.ValueTooLarge

/** The step behind something pending that is one. */
export const stepOf = (pending: Pending): Instruction.Step =>
  pending.instruction as Instruction.Step

/** The entry for an attempt that is to be repeated later. */
export const retry = (
  { program, services }: Of,
  pending: Pending,
  failed: Extract<Performed, { readonly ok: false }>,
  wakeAt: number
): Retry => {
  const { attempts } = failed
  const { name, options } = stepOf(pending)
  const at = { id: pending.id, attempts, schema: options.error }
  const { declared, error } = Failure.encodeStep(failed, at, program.error, services)
  return {
    type: "retry",
    stepId: pending.id,
    name,
    attempt: attempts,
    error: error ?? null,
    ...(declared === undefined ? undefined : { declared }),
    wakeAt
  }
}

/** The entry for a step that was cancelled before it began. */
export const interrupted = (of: Of, pending: Pending): Step | Unencodable => {
  const error = { _tag: "Interrupted", message: "cancelled before it began" }
  return step(of, pending, { ok: false, error, defect: true, attempts: 0 }, 0)
}

/** The entry for a timer that went off. */
export const timer = ({ id, instruction }: Pending): Timer => ({
  type: "timer",
  stepId: id,
  ...(instruction.op === "suspend" ? { event: instruction.name } : undefined)
})

/** The entry for what a person decided of a step, or why it cannot be taken. */
export const settled = (
  of: Of,
  machine: Machine,
  { as, eventId, stepId }: Extract<Posted, { readonly type: "settle" }>,
  now: number
): Step | Retry | string => {
  const pending = machine.pending.get(stepId ?? "")
  if (pending?.instruction.op !== "step" || pending.intent === 0) {
    return `no outcome of "${stepId ?? ""}" is unknown`
  }
  const { name, options } = pending.instruction
  const attempts = (pending.retry?.failed.at(-1)?.attempt ?? 0) + 1
  switch (as.is) {
    case "value": {
      const { value: result } = as
      const decoded = Codec.of(options.schema).decode(result, of.services)
      if (decoded instanceof Undecodable) return decoded.why
      const outcome = result === undefined ? undefined : { result }
      return { type: "step", stepId: pending.id, name, ...outcome, eventId }
    }
    case "failure": {
      const { message, tag } = as
      const failed = { ok: false, error: { _tag: tag, message }, defect: true, attempts } as const
      const entry = step(of, pending, failed, 0)
      return "_tag" in entry ? entry.message : { ...entry, eventId }
    }
    case "retry": {
      const error = { _tag: "OutcomeUnknown", message: "a person decided to run it again" }
      const failed = { ok: false, error, defect: true, attempts } as const
      return { ...retry(of, pending, failed, now), eventId }
    }
  }
}

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

/** The entry for an event or a cancel: for the wait that takes it, or to be kept. */
export const posted = (
  machine: Machine,
  post: Exclude<Posted, { readonly type: "settle" }>
): Entry => {
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
  { cancelled, continued, declared, outcome }: Machine
): End | Unencodable | Replay.BodyDefect => {
  if (cancelled !== undefined) {
    const { reason } = cancelled
    return { type: "cancelled", ...(reason === undefined ? undefined : { reason }) }
  }
  if (continued !== undefined && outcome?.ok === true) {
    const encoded = program.input.encode(continued.input, services)
    if (!encoded.ok) {
      return Codec.rejection(encoded.refused, { runId, what: "the input of ctx.continueAs" })
    }
    const metadata = encoded.json === undefined ? undefined : { metadata: encoded.json }
    return { type: "continue", runId: Chain.nextId(runId), ...metadata }
  }
  if (outcome?.ok !== false) {
    const encoded = program.output.encode(outcome?.value, services)
    return !encoded.ok
      ? Codec.rejection(encoded.refused, { runId, what: "the workflow's output" })
      : { type: "complete", ...(encoded.json === undefined ? undefined : { result: encoded.json }) }
  }
  const { error } = outcome
  const recorded = Failure.encodeEnd(error, program.error, declared, services)
  if (recorded === undefined) return Replay.undeclared(program, runId, error)
  return "_tag" in recorded
    ? Codec.rejection(recorded, { runId, what: "the error the workflow failed with" })
    : { type: "error", ...recorded }
}
