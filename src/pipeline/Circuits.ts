/**
 * Circuit breakers of steps: one for each step that has one, for all runs of this process.
 *
 * They are Effect's own, loaded when the first attempt of such a step is made.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as CircuitBreaker from "effect/persistence/CircuitBreaker"
import * as Scope from "effect/Scope"
import type { Circuit } from "./Definition.ts"
import { StepCircuitOpen } from "./StepCircuitOpen.ts"

const breakers = new WeakMap<Circuit, Promise<Loaded>>()

interface Loaded {
  readonly breaker: CircuitBreaker.CircuitBreaker
  readonly isRejection: (error: unknown) => error is CircuitBreaker.CircuitBreakerError
}

const load = ({ cooldownMs, failureThreshold }: Circuit): Promise<Loaded> =>
  import("effect/persistence/CircuitBreaker").then(async (Breaker) => {
    const made = Breaker.make({
      tripPolicy: Breaker.consecutive(failureThreshold),
      openDuration: cooldownMs
    }).pipe(
      Effect.provide(Breaker.layerStoreMemory()),
      // It lives as long as the pipeline does.
      Scope.provide(Scope.makeUnsafe())
    )
    return {
      breaker: await Effect.runPromise(made),
      isRejection: (error) => error instanceof Breaker.CircuitBreakerError
    }
  })

/** Runs an attempt unless the step's circuit is open. */
export const guarded = <A, R>(
  step: string,
  circuit: Circuit,
  attempt: Effect.Effect<A, unknown, R>
): Effect.Effect<A, unknown, R> => {
  if (circuit.failureThreshold === Infinity) return attempt
  let known = breakers.get(circuit)
  if (known === undefined) breakers.set(circuit, known = load(circuit))
  return Effect.flatMap(Effect.promise(() => known), ({ breaker, isRejection }) => {
    // Told apart from a breaker's error that the attempt itself fails with.
    let isCalled = false
    const called = Effect.suspend(() => {
      isCalled = true
      return attempt
    })
    return Effect.mapError(
      breaker.execute(called, { key: step }),
      (error) => !isCalled && isRejection(error) ? toOpen(step, error) : error
    )
  })
}

const toOpen = (step: string, { reason }: CircuitBreaker.CircuitBreakerError): StepCircuitOpen =>
  new StepCircuitOpen({
    step,
    ...(reason._tag === "CircuitOpen"
      ? { retryAfter: Duration.toMillis(reason.retryAfter) }
      : undefined)
  })
