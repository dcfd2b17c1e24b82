/**
 * Performs one step: calls the work, repeats failed attempts, cuts off long ones, and gives what came
 * out. Knows nothing of journals or of other steps; never fails.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schedule from "effect/Schedule"
import * as Failure from "./Failure.ts"
import {
  isInstruction,
  misplacedError,
  type Step,
  StepContext,
  type StepInfo,
  StepTimeout
} from "./Instruction.ts"

/** What a step came to, before it is encoded. */
export type Performed =
  | { readonly ok: true; readonly value: unknown; readonly attempts: number }
  | {
    readonly ok: false
    readonly error: unknown
    readonly defect: boolean
    readonly attempts: number
  }

/** What does not change from attempt to attempt. */
export type Identity = Pick<StepInfo, "runId" | "stepId" | "idempotencyKey" | "fence">

/** `StepInfo` of one attempt; its AbortController is only made when someone asks for the signal. */
class Info implements StepInfo {
  readonly runId: string
  readonly stepId: string
  readonly idempotencyKey: string
  readonly fence: number
  readonly attempt: number
  controller: AbortController | undefined
  constructor(identity: Identity, attempt: number) {
    this.runId = identity.runId
    this.stepId = identity.stepId
    this.idempotencyKey = identity.idempotencyKey
    this.fence = identity.fence
    this.attempt = attempt
  }
  get signal(): AbortSignal {
    return (this.controller ??= new AbortController()).signal
  }
}

/** A test of something that may throw when it is looked at; then it is none of what is tested for. */
const safely = <A>(test: (u: unknown) => u is A) => (u: unknown): u is A => {
  try {
    return test(u)
  } catch {
    return false
  }
}

const isEffect = safely(Effect.isEffect)

const isPromise = safely((u): u is PromiseLike<unknown> =>
  typeof u === "object" && u !== null && "then" in u && typeof u.then === "function"
)

const isGenerator = safely((u): u is Generator =>
  typeof u === "object" && u !== null && Symbol.iterator in u && "next" in u && "throw" in u
)

const success = (value: unknown, attempts: number): Performed =>
  safely(isInstruction)(value)
    ? thrown(misplacedError(value), attempts)
    : { ok: true, value, attempts }
const thrown = (error: unknown, attempts: number): Performed => ({
  ok: false,
  error,
  defect: false,
  attempts
})

/** Whether the step is one call without retry and timeout, which may be over at once. */
const isPlain = (step: Step) =>
  typeof step.work === "function" && step.options.retry === undefined
  && step.options.timeout === undefined

/** Calls the work of a plain step. Gives the outcome if it is over, else the effect that finishes it. */
export const call = (step: Step, identity: Identity): Performed | Effect.Effect<Performed> => {
  if (!isPlain(step)) return perform(step, identity)
  const info = new Info(identity, 1)
  let value: unknown
  try {
    value = (step.work as (info: StepInfo) => unknown)(info)
  } catch (error) {
    return thrown(error, 1)
  }
  if (typeof value !== "object" || value === null) return { ok: true, value, attempts: 1 }
  if (isEffect(value)) {
    return toPerformed(attempt(value as Effect.Effect<unknown, unknown>, info), () => 1)
  }
  if (isPromise(value)) return toPerformed(settle(value, info), () => 1)
  if (isGenerator(value)) return thrown(generatorHint(step.name), 1)
  return success(value, 1)
}

const generatorHint = (name: string) =>
  new TypeError(
    `step "${name}" returned a generator; wrap the generator function in Effect.fn, or yield* it in the body`
  )

/** An effect with the step's services, whose signal aborts when it is interrupted. */
const attempt = <A, E>(effect: Effect.Effect<A, E>, info: Info): Effect.Effect<A, E> =>
  Effect.onInterrupt(
    Effect.provideService(effect, StepContext, info),
    () => Effect.sync(() => info.controller?.abort())
  )

const settle = (promise: PromiseLike<unknown>, info: Info): Effect.Effect<unknown, unknown> =>
  Effect.callback<unknown, unknown>((resume) => {
    promise.then(
      (value) => resume(Effect.succeed(value)),
      (error: unknown) => resume(Effect.fail(error))
    )
    return Effect.sync(() => info.controller?.abort())
  })

const toPerformed = (
  effect: Effect.Effect<unknown, unknown>,
  attempts: () => number
): Effect.Effect<Performed> =>
  Effect.map(Effect.exit(effect), (exit) =>
    Exit.isSuccess(exit)
      ? success(exit.value, attempts())
      : { ok: false, ...Failure.ofCause(exit.cause), attempts: attempts() })

/** Performs a step with its retry and timeout. `before` runs ahead of every attempt but the first. */
export const perform = (
  step: Step,
  identity: Identity,
  before: (attempt: number) => Effect.Effect<void> = () => Effect.void
): Effect.Effect<Performed> =>
  Effect.suspend(() => {
    const { retry, timeout } = step.options
    let attempts = 0
    const once = Effect.suspend(() => {
      const info = new Info(identity, ++attempts)
      const work = attempts === 1
        ? run(step, info)
        : Effect.andThen(before(attempts), run(step, info))
      return timeout === undefined
        ? work
        : limited(work, Duration.fromInputUnsafe(timeout), identity.stepId, () => attempts)
    })
    if (retry === undefined) return toPerformed(once, () => attempts)
    const repeated = typeof retry === "number"
      ? Effect.retry(once, { times: retry })
      : Schedule.isSchedule(retry)
      ? Effect.retry(once, retry)
      : Effect.retry(once, retry as Effect.Retry.Options<unknown>)
    // The services of the user's schedule are part of the step's R.
    return toPerformed(repeated as Effect.Effect<unknown, unknown>, () => attempts)
  })

const run = (step: Step, info: Info): Effect.Effect<unknown, unknown> => {
  if (typeof step.work !== "function") {
    return attempt(step.work as Effect.Effect<unknown, unknown>, info)
  }
  const f = step.work
  return Effect.flatMap(
    Effect.try({ try: () => f(info), catch: (error) => error }),
    (value) =>
      isEffect(value)
        ? attempt(value as Effect.Effect<unknown, unknown>, info)
        : isPromise(value)
        ? settle(value, info)
        : isGenerator(value)
        ? Effect.fail(generatorHint(step.name))
        : Effect.succeed(value)
  )
}

const limited = <A, E>(
  effect: Effect.Effect<A, E>,
  timeout: Duration.Duration,
  step: string,
  attempts: () => number
) =>
  Effect.timeoutOrElse(effect, {
    duration: timeout,
    orElse: () =>
      Effect.fail(
        new StepTimeout({ step, timeout: Duration.toMillis(timeout), attempts: attempts() })
      )
  })
