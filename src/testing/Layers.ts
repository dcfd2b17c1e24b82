/**
 * What a test provides instead of the real thing, and the fresh world in which the kit runs a workflow
 * that is to be run many times.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as TestClock from "effect/testing/TestClock"
import { Storage, Workflow } from "../index.ts"

/**
 * The slice guard and the shadow replay: mistakes of a body show at once.
 *
 * @example
 * ```ts
 * import * as Testing from "reprise/testing"
 * import { Storage, Workflow } from "reprise"
 * import { Effect } from "effect"
 *
 * const late = Workflow.make("late", function*() {
 *   return Date.now()
 * })
 * const program = late.start().pipe(
 *   Effect.provide([Storage.layerMemory, Testing.guarded]),
 *   Effect.flip
 * )
 * const error = await Effect.runPromise(program)
 * error._tag // => "BodyDefect"
 * ```
 */
export const guarded: Layer.Layer<never> = Layer.succeed(Workflow.Guard, {
  slices: true,
  shadow: true
})

/**
 * Neither slice guard nor shadow replay, as in production.
 *
 * @example
 * ```ts
 * import * as Testing from "reprise/testing"
 * import { Storage, Workflow } from "reprise"
 * import { Effect } from "effect"
 *
 * const late = Workflow.make("late", function*() {
 *   return Date.now() > 0
 * })
 * const program = late.execute().pipe(Effect.provide([Storage.layerMemory, Testing.unguarded]))
 * await Effect.runPromise(program) // => true
 * ```
 */
export const unguarded: Layer.Layer<never> = Layer.succeed(Workflow.Guard, {
  slices: false,
  shadow: false
})

/**
 * All that a test of a workflow needs: journals in memory, Effect's `TestClock`, the guard, and no wait
 * in the process, so that every timer suspends the run.
 *
 * @example
 * ```ts
 * import * as Testing from "reprise/testing"
 * import { Workflow } from "reprise"
 * import { Effect } from "effect"
 *
 * const nap = Workflow.make("nap", function*(ctx) {
 *   yield* ctx.sleep("1 second")
 * })
 * const program = nap.start().pipe(Effect.provide(Testing.layer))
 * const { status } = await Effect.runPromise(program)
 * status // => "suspended"
 * ```
 */
export const layer: Layer.Layer<Storage.Storage> = Layer.mergeAll(
  Storage.layerMemory,
  TestClock.layer(),
  guarded,
  Layer.succeed(Workflow.ShortWait, 0)
)

/** Switches the guard on where the program does not say. */
export const guardedUnlessSaid = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(Effect.context<R>(), ({ mapUnsafe }) =>
    mapUnsafe.has(Workflow.Guard.key)
      ? effect
      : Effect.provideService(effect, Workflow.Guard, { slices: true, shadow: true }))

/** A clock of its own that begins at `now`, in UTC milliseconds. */
export const withClock = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  now = 0
): Effect.Effect<A, E, R> =>
  Effect.provide(Effect.andThen(TestClock.setTime(now), effect), TestClock.layer())

/** What does the step instead of its work. */
export type Hook = (
  step: Workflow.Called,
  work: Effect.Effect<unknown, unknown>
) => Effect.Effect<unknown, unknown>

/** Draws one value for ever, so that every run has the same seed whenever it is started. */
const constant = { nextDoubleUnsafe: () => 0.5, nextIntUnsafe: () => 0 }

/**
 * Runs on `storage` with `hook` around every step, and with the same chance each time: `ctx.random` and
 * `ctx.uuid` follow from a fixed seed, Effect's `Random` in a step from its id. The program's own hook and
 * `Random` are kept for the steps.
 */
export const repeatable = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  storage: Storage.Storage["Service"],
  hook: Hook
): Effect.Effect<A, E, Exclude<R, Storage.Storage>> =>
  Effect.flatMap(Effect.context<never>(), (context) => {
    const own = Context.get(context, Workflow.StepHook)
    const random = context.mapUnsafe.has(Random.Random.key)
      ? Context.get(context, Random.Random)
      : undefined
    return effect.pipe(
      Effect.provideService(Workflow.StepHook, (step, work) => {
        const drawing = random === undefined
          ? Random.withSeed(work, step.stepId)
          : Effect.provideService(work, Random.Random, random)
        return hook(step, own === undefined ? drawing : own(step, drawing))
      }),
      Effect.provideService(Random.Random, constant),
      Effect.provideService(Storage.Storage, storage)
    )
  })
