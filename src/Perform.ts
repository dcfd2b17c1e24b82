/**
 * Performs one step: calls the work, repeats failed attempts, cuts off long ones, and gives what came
 * out. Knows nothing of journals or of other steps; never fails.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Pull from "effect/Pull"
import * as Schedule from "effect/Schedule"
import * as Failure from "./Failure.ts"
import {
  isInstruction,
  misplacedError,
  type Retry,
  type Step,
  StepContext,
  type StepInfo,
  StepTimeout
} from "./Instruction.ts"
import { isPromise as isPromiseLike } from "./internal/promise.ts"
import type { Called, StepHook } from "./StepHook.ts"

/** What a step came to, before it is encoded. */
export type Performed =
  | { readonly ok: true; readonly value: unknown; readonly attempts: number }
  | {
    readonly ok: false
    readonly error: unknown
    readonly defect: boolean
    readonly attempts: number
    /** UTC milliseconds of the next attempt, where that is too far away to be waited for here. */
    readonly again?: number
  }

/** What does not change from attempt to attempt. */
export interface Identity extends Pick<StepInfo, "runId" | "stepId" | "idempotencyKey" | "fence"> {
  readonly publish: (channel: string, value: unknown, stepId: string, attempt: number) => void
}

/** `StepInfo` of one attempt; what is rarely asked for is made when someone does. */
class Info implements StepInfo {
  readonly runId: string
  readonly stepId: string
  readonly idempotencyKey: string
  readonly fence: number
  readonly attempt: number
  controller: AbortController | undefined
  private readonly identity: Identity
  constructor(identity: Identity, attempt: number) {
    this.runId = identity.runId
    this.stepId = identity.stepId
    this.idempotencyKey = identity.idempotencyKey
    this.fence = identity.fence
    this.attempt = attempt
    this.identity = identity
  }
  get signal(): AbortSignal {
    return (this.controller ??= new AbortController()).signal
  }
  get publish(): StepInfo["publish"] {
    return (channel, value) => this.identity.publish(channel, value, this.stepId, this.attempt)
  }
}

/** How a step is repeated, and what is known of attempts in earlier sessions. */
export interface Repeating {
  readonly retry: Retry | undefined
  readonly earlier: ReadonlyArray<Failed>
  /** Milliseconds; the next attempt is not waited for here when it is further away. */
  readonly longest: number
  /** Runs ahead of every attempt but the first. */
  readonly before?: (attempt: number) => Effect.Effect<void>
  readonly hook?: StepHook | undefined
  /** Runs the work of an attempt so that it is committed with its entry. */
  readonly transact?: (
    work: Effect.Effect<unknown, unknown>,
    attempt: number
  ) => Effect.Effect<unknown, unknown>
}

/** A failed attempt of an earlier session. */
export interface Failed {
  /** How many attempts had been made. */
  readonly attempt: number
  /** UTC milliseconds. */
  readonly at: number
  readonly error: unknown
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

const isPromise = safely(isPromiseLike)

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

/** Calls the work of a step. Gives the outcome if it is over, else the effect that finishes it. */
export const call = (
  step: Step,
  identity: Identity,
  repeating: Repeating
): Performed | Effect.Effect<Performed> => {
  if (
    typeof step.work !== "function" || isEffect(step.work) || step.options.timeout !== undefined
    || repeating.retry !== undefined || repeating.earlier.length > 0
    || repeating.hook !== undefined || repeating.transact !== undefined
  ) return perform(step, identity, repeating)
  const info = new Info(identity, 1)
  let value: unknown
  try {
    value = (step.work as (info: StepInfo) => unknown)(info)
  } catch (error) {
    return thrown(error, 1)
  }
  if (value === null || (typeof value !== "object" && typeof value !== "function")) {
    return { ok: true, value, attempts: 1 }
  }
  // A service is an Effect, and a class.
  if (isEffect(value)) {
    return toPerformed(attempt(value as Effect.Effect<unknown, unknown>, info), 1)
  }
  if (isPromise(value)) return toPerformed(settle(value, info), 1)
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
  attempts: number
): Effect.Effect<Performed> =>
  Effect.map(Effect.exit(effect), (exit) =>
    Exit.isSuccess(exit)
      ? success(exit.value, attempts)
      : { ok: false, ...Failure.ofCause(exit.cause), attempts })

/** Performs a step with its retry and timeout. */
export const perform = Effect.fnUntraced(
  function*(
    step: Step,
    identity: Identity,
    { before, earlier, hook, longest, retry, transact }: Repeating
  ): Effect.fn.Return<Performed> {
    const clock = yield* Effect.clockWith(Effect.succeed)
    const { timeout } = step.options
    const first = (earlier.at(-1)?.attempt ?? 0) + 1
    const delayAfter = retry === undefined ? undefined : yield* delays(retry, earlier)
    for (let attempts = first;; attempts++) {
      const info = new Info(identity, attempts)
      if (before !== undefined && attempts > first) yield* before(attempts)
      const own = transact === undefined ? run(step, info) : transact(run(step, info), attempts)
      const work = hook === undefined ? own : hook(called(step, identity), own)
      const performed = yield* toPerformed(
        timeout === undefined
          ? work
          : limited(work, Duration.fromInputUnsafe(timeout), identity.stepId, attempts),
        attempts
      )
      if (performed.ok || performed.defect || delayAfter === undefined) return performed
      const now = clock.currentTimeMillisUnsafe()
      const next = yield* Effect.exit(delayAfter(performed.error, attempts, now))
      // A policy that throws is the step's failure.
      if (!Exit.isSuccess(next)) return { ok: false, ...Failure.ofCause(next.cause), attempts }
      const delay = next.value
      if (delay === undefined) return performed
      if (delay > longest) return { ...performed, again: now + delay }
      yield* Effect.sleep(delay)
    }
  }
)

const called = ({ name }: Step, { idempotencyKey, runId, stepId }: Identity): Called => ({
  name,
  runId,
  stepId,
  idempotencyKey
})

type Delay = (
  error: unknown,
  attempt: number,
  now: number
) => Effect.Effect<number | undefined>

/** The milliseconds before the next attempt, or undefined when there is none. Schedules go on where they stood. */
const delays = (retry: Retry, earlier: ReadonlyArray<Failed>): Effect.Effect<Delay> =>
  Effect.gen(function*() {
    const options: Effect.Retry.Options<unknown> = typeof retry === "number"
      ? { times: retry }
      : Schedule.isSchedule(retry)
      ? { schedule: retry }
      : retry
    const { schedule = Schedule.forever, times = Infinity, until, while: whilst } = options
    // The services of the user's schedule are part of the step's R.
    const step = yield* Schedule.toStep(
      schedule as Schedule.Schedule<unknown, unknown>
    )
    const stepped = (error: unknown, now: number) =>
      Pull.matchEffect(step(now, error), {
        onSuccess: ([, duration]) => Effect.succeed(Duration.toMillis(duration)),
        onFailure: Effect.failCause,
        onDone: () => Effect.undefined
      })
    // They were allowed once; asked again, a predicate would see what the journal has left of the error.
    let attempt = 1
    for (const failed of earlier) {
      for (; attempt <= failed.attempt; attempt++) yield* stepped(failed.error, failed.at)
    }
    const next: Delay = (error, attempt, now) =>
      Effect.gen(function*() {
        if (attempt > times) return undefined
        if (whilst !== undefined && !(yield* answer(whilst(error)))) return undefined
        if (until !== undefined && (yield* answer(until(error)))) return undefined
        return yield* stepped(error, now)
      })
    return next
  })

const answer = (said: boolean | Effect.Effect<boolean, unknown, unknown>) =>
  typeof said === "boolean" ? Effect.succeed(said) : said as Effect.Effect<boolean>

const run = (step: Step, info: Info): Effect.Effect<unknown, unknown> => {
  if (typeof step.work !== "function" || isEffect(step.work)) {
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
  attempts: number
) =>
  Effect.timeoutOrElse(effect, {
    duration: timeout,
    orElse: () =>
      Effect.fail(
        new StepTimeout({ step, timeout: Duration.toMillis(timeout), attempts })
      )
  })
