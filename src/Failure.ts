/**
 * Failures on their way to the journal and back: what is left of a `Cause`, or of something thrown.
 *
 * Total: a message that throws when it is read, a cyclic cause or a thrown string give a bounded
 * `StepFailed` as well, the same on every replay.
 */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import type * as Schema from "effect/Schema"
import * as Codec from "./Codec.ts"
import type { Step } from "./Entry.ts"
import * as Instruction from "./Instruction.ts"
import { describe } from "./internal/describe.ts"
import { type Outcome, Undecodable } from "./Machine.ts"

type Services = Context.Context<never>

/** The part of a cause that a body hears of: a failure before a defect before an interruption. */
export const ofCause = (
  cause: Cause.Cause<unknown>
): { readonly error: unknown; readonly defect: boolean } => {
  for (const reason of cause.reasons) {
    if (Cause.isFailReason(reason)) return { error: reason.error, defect: false }
  }
  for (const reason of cause.reasons) {
    if (Cause.isDieReason(reason)) return { error: reason.defect, defect: true }
  }
  return { error: new Error("the step was interrupted from inside"), defect: true }
}

/** `instanceof` for what may throw when it is asked. */
const is = <A>(error: unknown, constructor: new(...args: any) => A): error is A => {
  try {
    return error instanceof constructor
  } catch {
    return false
  }
}

/** What a `step` entry says of a failure. */
export type Recorded = Pick<Step, "error" | "declared">

const json = (error: Instruction.RunError): Recorded => {
  if (error._tag === "CompensationFailed") {
    const { _tag, because, notUndone } = error
    return { error: { _tag, notUndone: [...notUndone], because } }
  }
  const { _tag, attempts, step } = error
  return error._tag === "StepTimeout"
    ? { error: { _tag, step, timeout: error.timeout, attempts } }
    : {
      error: { _tag, step, tag: error.tag, message: error.message, attempts, defect: error.defect }
    }
}

/** The failure of a step for its entry: declared by the step's schema, by the workflow's, or `StepFailed`. */
export const encodeStep = (
  failure: { readonly error: unknown; readonly defect: boolean },
  step: { readonly id: string; readonly attempts: number; readonly schema: Schema.Top | undefined },
  workflow: Codec.Codec | undefined,
  services: Services
): Recorded => {
  const { defect, error } = failure
  if (is(error, Instruction.StepTimeout)) return json(error)
  if (!defect) {
    const codec = step.schema === undefined ? workflow : Codec.fromSchema(step.schema)
    const encoded = codec?.encode(error, services)
    if (encoded?.ok === true && encoded.json !== undefined) {
      return { error: encoded.json, declared: true }
    }
  }
  return json(
    new Instruction.StepFailed({
      step: step.id,
      ...describe(error),
      attempts: step.attempts,
      defect
    })
  )
}

/** An engine's own failure as a body hears it. */
const engine = (error: unknown): Instruction.RunError => {
  const fields = error as Instruction.RunError
  switch (fields._tag) {
    case "StepTimeout":
      return new Instruction.StepTimeout(fields)
    case "CompensationFailed":
      return new Instruction.CompensationFailed(fields)
    default:
      return new Instruction.StepFailed(fields)
  }
}

/** The failure that a `step` entry hands to the body. */
export const decodeStep = (
  entry: Step,
  schema: Schema.Top | undefined,
  workflow: Codec.Codec | undefined,
  services: Services
): Outcome | Undecodable => {
  if (entry.declared !== true) return { ok: false, error: engine(entry.error) }
  const own = schema === undefined
    ? undefined
    : Codec.fromSchema(schema).decode(entry.error, services)
  if (own !== undefined && !(own instanceof Undecodable)) {
    return { ok: false, error: (own as { value: unknown }).value }
  }
  const decoded = workflow?.decode(entry.error, services) ?? own
  const failed = () =>
    new Instruction.StepFailed({
      step: entry.stepId,
      ...describe(entry.error),
      attempts: entry.attempts ?? 1,
      defect: false
    })
  // Neither schema is there any more: what remains is a failure without a type.
  if (decoded === undefined) return { ok: false, error: failed() }
  if (decoded instanceof Undecodable) return decoded
  const error = (decoded as { value: unknown }).value
  Instruction.hearAs(error, failed())
  return { ok: false, error }
}

/** How a run may end with `error`, or undefined when it is a bug of the body. */
export const encodeEnd = (
  error: unknown,
  workflow: Codec.Codec | undefined,
  declared: ReadonlyMap<unknown, Schema.Json | undefined>,
  services: Services
): Recorded | Codec.Refused | undefined => {
  const encoded = workflow?.encode(error, services)
  if (encoded?.ok === true && encoded.json !== undefined) {
    return { error: encoded.json, declared: true }
  }
  if (
    is(error, Instruction.StepFailed) || is(error, Instruction.StepTimeout)
    || is(error, Instruction.CompensationFailed)
  ) {
    return json(error)
  }
  if (workflow !== undefined || !declared.has(error)) return undefined
  const known = declared.get(error)
  if (known !== undefined) return { error: known, declared: true }
  const plain = Codec.strict.encode(unclass(error), services)
  if (!plain.ok) return plain.refused
  return plain.json === undefined ? undefined : { error: plain.json, declared: true }
}

/** The fields of an error object: without a schema, a run's error comes back as plain data. */
const unclass = (error: unknown): unknown =>
  is(error, Error) ? Object.assign({}, error, { message: error.message }) : error

/** The error that an `error` entry ended its run with. */
export const decodeEnd = (
  entry: Recorded,
  workflow: Codec.Codec | undefined,
  services: Services
): Outcome | Undecodable =>
  entry.declared !== true
    ? { ok: true, value: engine(entry.error) }
    : (workflow ?? Codec.strict).decode(entry.error, services)
