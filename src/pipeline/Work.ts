/**
 * What a step of a pipeline does when it runs: calls its functions with the context, and makes one patch of
 * what they give. Runs inside a journaled step, so it happens once.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Failure from "../Failure.ts"
import { StepFailed, type StepInfo, StepTimeout } from "../Instruction.ts"
import { describe } from "../internal/describe.ts"
import { toEffect } from "../internal/promise.ts"
import * as Circuits from "./Circuits.ts"
import { type Context, effective } from "./Context.ts"
import type { Branch, Common, Plain } from "./Definition.ts"
import type { Fields } from "./Types.ts"

const isPlain = (u: unknown): u is Fields => {
  if (typeof u !== "object" || u === null || Array.isArray(u)) return false
  const proto: unknown = Object.getPrototypeOf(u)
  return proto === Object.prototype || proto === null
}

const nameOf = (u: unknown): string =>
  u === null
    ? "null"
    : Array.isArray(u)
    ? "an array"
    : typeof u === "object"
    ? `an instance of ${u.constructor?.name ?? "a class"}`
    : `a ${typeof u}`

/** What one function gave, as something that can be merged. */
const fieldsOf = ({ kind, name }: Plain, out: unknown): Fields => {
  if (isPlain(out)) return out
  if (kind === "transform") {
    const advice = out === undefined || out === null
      ? " A transform replaces the whole context, so nothing would clear it: return {} if that is meant."
      : ""
    throw new TypeError(
      `Transform "${name}" must return a plain object, not ${
        out === undefined ? "nothing" : nameOf(out)
      }.${advice}`
    )
  }
  if (out === undefined) return {}
  throw new TypeError(`Step "${name}" must return a plain object or nothing, not ${nameOf(out)}.`)
}

/** Calls one function: its value if that is there at once, else the effect that gives it. */
const call = (f: () => unknown): Effect.Effect<unknown, unknown> => {
  let out: unknown
  try {
    out = f()
  } catch (error) {
    return Effect.fail(error)
  }
  return effectOf(out)
}

const effectOf = (out: unknown): Effect.Effect<unknown, unknown> =>
  toEffect(out) ?? Effect.succeed(out)

/** The patch that a step makes of the context; a transform's is the next context. */
export const perform = (step: Plain, context: Context, info: StepInfo): unknown => {
  const { circuit, functions } = step
  const [only] = functions
  if (functions.length === 1 && circuit === undefined && !step.settled) {
    const out = only!(context.view, info)
    const later = toEffect(out)
    return later === undefined
      ? mergedNow(step, context, out)
      : Effect.flatMap(later, (value) => merged(step, context, [value]))
  }
  const all = Effect.flatMap(
    besideEachOther(step, context, info),
    (outputs) => merged(step, context, outputs)
  )
  return circuit === undefined
    ? all
    : Circuits.guarded(step.name, circuit, limited(step, info, all))
}

/** An attempt that may take so long; where a circuit breaker has to know, it cannot be limited from outside. */
const limited = <A, R>(
  { timeout }: Plain,
  { attempt, stepId }: StepInfo,
  all: Effect.Effect<A, unknown, R>
): Effect.Effect<A, unknown, R> =>
  timeout === undefined ? all : Effect.timeoutOrElse(all, {
    duration: timeout,
    orElse: () => Effect.fail(new StepTimeout({ step: stepId, timeout, attempts: attempt }))
  })

/** All functions at the same time: what they gave, or with `settled` what those gave that did not fail. */
const besideEachOther = (
  step: Plain,
  context: Context,
  info: StepInfo
): Effect.Effect<ReadonlyArray<unknown>, unknown> =>
  Effect.suspend(() => {
    const { functions, settled } = step
    // The first failure tells the others, as an interruption from outside does.
    const own = new AbortController()
    const told: StepInfo = Object.create(info, {
      signal: { get: () => AbortSignal.any([info.signal, own.signal]) }
    })
    const called = functions.map((f) =>
      Effect.map(call(() => f(context.view, told)), (out) => fieldsOf(step, out))
    )
    const all = settled
      ? Effect.flatMap(
        Effect.all(called.map(Effect.exit), { concurrency: "unbounded" }),
        succeeded
      )
      : Effect.all(called, { concurrency: "unbounded" })
    return Effect.onExit(all, () => Effect.sync(() => own.abort()))
  })

/** What succeeded; what failed is logged. */
const succeeded = (exits: ReadonlyArray<Exit.Exit<unknown, unknown>>) =>
  Effect.as(
    Effect.forEach(
      exits,
      (exit) =>
        Exit.isSuccess(exit)
          ? Effect.void
          : Effect.logWarning(failedPart(Failure.ofCause(exit.cause).error)),
      { discard: true }
    ),
    exits.flatMap((exit) => Exit.isSuccess(exit) ? [exit.value] : [])
  )

/** What is said of a part that failed while the others are merged. */
export const failedPart = (error: unknown): string => {
  const { message, tag } = describe(error)
  return `A parallel function failed, the others are merged: ${tag}: ${message}`
}

const mergedNow = (step: Plain, context: Context, out: unknown): unknown => {
  const fields = fieldsOf(step, out)
  if (step.kind === "transform" || step.mergePolicy === "override") {
    return out === undefined ? undefined : fields
  }
  return collisions(step, context, [fields])
}

const merged = (step: Plain, context: Context, outputs: ReadonlyArray<unknown>) =>
  Effect.flatMap(
    Effect.try({
      try: () => {
        const fields = outputs.map((out) => fieldsOf(step, out))
        return step.kind === "transform" ? fields[0] : collisions(step, context, fields)
      },
      catch: (error) => error
    }),
    effectOf
  )

/** What is merged; with the policy `warn` an effect that says of which keys. */
const collisions = (
  { mergePolicy, name }: Common,
  context: Context,
  fields: ReadonlyArray<Fields>
) => {
  const { collided, patch } = effective(context, fields, mergePolicy)
  return collided.length === 0 ? patch : Effect.as(warn(name, collided), patch)
}

/** Says which keys were there already. */
export const warn = (name: string, keys: ReadonlyArray<string>): Effect.Effect<void> =>
  Effect.logWarning(
    `Step "${name}" overrides what the context has already: ${
      keys.map((key) => `"${key}"`).join(", ")
    }`
  )

/** What a condition answers. */
export const answer = (condition: (context: Fields) => unknown, context: Context): unknown => {
  const said = condition(context.view)
  const later = toEffect(said)
  return later === undefined ? Boolean(said) : Effect.map(later, Boolean)
}

/** The label of the first case that says yes, of the default where none does, or null. */
export const choose = (
  { cases }: Branch,
  context: Context
): Effect.Effect<string | null, unknown> =>
  Effect.gen(function*() {
    for (const { label, when } of cases) {
      if (when !== undefined && (yield* call(() => when(context.view)))) return label
    }
    return cases.find(({ when }) => when === undefined)?.label ?? null
  })

/** A failure as that of another step: with the tag and the message that it has in the journal. */
export const failureOf = (error: unknown): Error => {
  const { message, tag } = error instanceof StepFailed ? error : describe(error)
  return Object.assign(new Error(message), { name: tag })
}
