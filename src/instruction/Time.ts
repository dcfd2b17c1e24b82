/**
 * Durable time: waiting for a while or until an instant, and a limit on how long something may take.
 *
 * All times are absolute UTC milliseconds in the journal, so a wait goes on over restarts, and neither
 * daylight saving nor a clock that is set back makes it end early.
 */
import * as Duration from "effect/Duration"
import { dual } from "effect/Function"
import * as Option from "effect/Option"
import { race } from "./Combinators.ts"
import { make, named } from "./Data.ts"
import { StepTimeout } from "./Failures.ts"
import type { Instruction, Plain } from "./Yieldable.ts"

/** The last instant that a timestamp can name, in UTC milliseconds (ECMA-262, "Time Values"). */
const lastInstant = 8.64e15

/** Milliseconds of a duration that a timer can wait for. */
export const millisOf = (what: string, duration: Duration.Input): number => {
  const known = Duration.fromInput(duration)
  const millis = Option.isSome(known) ? Duration.toMillis(known.value) : undefined
  if (millis !== undefined && millis <= lastInstant) return Math.max(0, millis)
  const given = millis === undefined ? JSON.stringify(duration) : `${millis} ms`
  throw new TypeError(
    `${what} needs a finite duration, as "5 minutes" or a number of milliseconds, but was given ${given}.`
  )
}

export interface SleepOptions {
  /** Stands in the journal. Default: `sleep`. */
  readonly name?: string | undefined
}

const nameOf = (options: SleepOptions | undefined) =>
  options?.name === undefined ? "sleep" : named("A sleep", options.name)

/**
 * Waits for at least `duration`, in this process or any later one.
 *
 * A short wait stays in the process; a long one suspends the run, with `wakeAt`, and costs nothing.
 *
 * @example
 * ```ts
 * import { Instruction } from "reprise"
 *
 * Instruction.isInstruction(Instruction.sleep("30 days")) // => true
 * ```
 */
export const sleep = (
  duration: Duration.Input,
  options?: SleepOptions
): Plain<void> =>
  make({
    op: "sleep",
    name: nameOf(options),
    millis: millisOf("ctx.sleep", duration),
    until: undefined
  })

/** Waits until an instant: a Date, UTC milliseconds or a DateTime. One that has passed waits for nothing. */
export const sleepUntil = (
  instant: Date | number | { readonly epochMilliseconds: number },
  options?: SleepOptions
): Plain<void> => {
  const until = typeof instant === "number"
    ? instant
    : instant instanceof Date
    ? instant.getTime()
    : instant.epochMilliseconds
  if (!(Math.abs(until) <= lastInstant)) {
    throw new TypeError(`ctx.sleepUntil needs an instant, but was given ${String(until)}.`)
  }
  return make({ op: "sleep", name: nameOf(options), millis: undefined, until })
}

/** Gives the value when it comes within `duration`, else nothing; what was not over is cancelled. */
export const timeoutOption: {
  (
    duration: Duration.Input
  ): <A, E, R, S>(self: Instruction<A, E, R, S>) => Instruction<Option.Option<A>, E, R, S>
  <A, E, R, S>(
    self: Instruction<A, E, R, S>,
    duration: Duration.Input
  ): Instruction<Option.Option<A>, E, R, S>
} = dual(2, (self: Instruction<any, any, any, any>, duration: Duration.Input) => {
  const raced = race({ value: self, timeout: sleep(duration) }, { name: "timeout" })
  return make({
    op: "wrap",
    of: raced,
    *run() {
      const { value, winner } = yield* raced
      return winner === "value" ? Option.some(value) : Option.none()
    }
  })
})

/**
 * Fails with `StepTimeout` when the instruction, whatever it is, takes longer than `duration`; it is
 * cancelled then. The limit is durable: a restart does not begin it anew. (`timeout` of a step limits one
 * attempt, in this process.)
 */
export const timeout: {
  (
    duration: Duration.Input
  ): <A, E, R, S>(self: Instruction<A, E, R, S>) => Instruction<A, E | StepTimeout, R, S>
  <A, E, R, S>(
    self: Instruction<A, E, R, S>,
    duration: Duration.Input
  ): Instruction<A, E | StepTimeout, R, S>
} = dual(2, (self: Instruction<any, any, any, any>, duration: Duration.Input) => {
  const limited = timeoutOption(self, duration)
  const limit = millisOf("Instruction.timeout", duration)
  return make({
    op: "wrap",
    of: limited,
    *run() {
      const value = yield* limited
      if (Option.isSome(value)) return value.value
      throw new StepTimeout({ step: "timeout", timeout: limit, attempts: 1 })
    }
  })
})
