/**
 * Circuit breakers of steps: one for each step that has one, for all runs of this process.
 *
 * They are Effect's own, loaded when the first attempt of such a step is made.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as CircuitBreaker from "effect/persistence/CircuitBreaker"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import type { Circuit } from "./Definition.ts"

/** The step's dependency failed too often: it was not called. */
export class CircuitOpen
  extends Schema.TaggedError<CircuitOpen>("reprise/CircuitOpen")("CircuitOpen", {
    step: Schema.String,
    /** Milliseconds until an attempt is let through; undefined while one is under way. */
    retryAfter: Schema.optionalKey(Schema.Number)
  })
{
  override get message(): string {
    return `the circuit breaker of step "${this.step}" is open, so nothing was called: ${
      this.retryAfter === undefined
        ? "one attempt is under way that decides whether it closes"
        : `an attempt is let through in ${this.retryAfter} ms`
    }`
  }
}

const breakers = new WeakMap<Circuit, Promise<CircuitBreaker.CircuitBreaker>>()

const load = ({ cooldownMs, failureThreshold }: Circuit) =>
  import("effect/persistence/CircuitBreaker").then((Breaker) => {
    const made = Breaker.make({
      tripPolicy: Breaker.consecutive(failureThreshold),
      openDuration: cooldownMs
    }).pipe(
      Effect.provide(Breaker.layerStoreMemory()),
      // It lives as long as the pipeline does.
      Scope.provide(Scope.makeUnsafe())
    )
    return Effect.runPromise(made)
  })

/** Runs an attempt unless the step's circuit is open. */
export const guarded = <A, R>(
  step: string,
  circuit: Circuit,
  attempt: Effect.Effect<A, unknown, R>
): Effect.Effect<A, unknown, R> => {
  if (circuit.failureThreshold === Infinity) return attempt
  let breaker = breakers.get(circuit)
  if (breaker === undefined) breakers.set(circuit, breaker = load(circuit))
  return Effect.flatMap(Effect.promise(() => breaker), (loaded) =>
    Effect.mapError(
      loaded.execute(attempt, { key: step }),
      (error) => isRejection(error) ? toOpen(step, error) : error
    ))
}

const isRejection = (error: unknown): error is CircuitBreaker.CircuitBreakerError =>
  typeof error === "object" && error !== null && "_tag" in error
  && error._tag === "CircuitBreakerError"

const toOpen = (step: string, { reason }: CircuitBreaker.CircuitBreakerError): CircuitOpen =>
  new CircuitOpen({
    step,
    ...(reason._tag === "CircuitOpen"
      ? { retryAfter: Duration.toMillis(reason.retryAfter) }
      : undefined)
  })
