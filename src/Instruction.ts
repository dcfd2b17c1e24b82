/**
 * What a workflow body may yield: plain data in a closed union, and the functions that make it.
 *
 * The front of `instruction/`. Nothing here runs a step, waits or touches a journal: `Machine` answers
 * instructions, `Session` performs steps.
 */
import type * as Duration from "effect/Duration"
import type * as Option from "effect/Option"
import { make, named } from "./instruction/Data.ts"
import { millisOf } from "./instruction/Time.ts"
import type { Plain } from "./instruction/Yieldable.ts"

export type * from "./instruction/Callee.ts"
export * from "./instruction/Calls.ts"
export * from "./instruction/Combinators.ts"
export * from "./instruction/Data.ts"
export * from "./instruction/Failures.ts"
export * from "./instruction/Handling.ts"
export * from "./instruction/Step.ts"
export { sleep, type SleepOptions, sleepUntil, timeout, timeoutOption } from "./instruction/Time.ts"
export * from "./instruction/Undo.ts"
export * from "./instruction/Yieldable.ts"

export interface SuspendOptions {
  /** Picks one of several waits for the same event. */
  readonly key?: string | undefined
  /** Shown to whoever has to send the event. */
  readonly reason?: string | undefined
  /** Gives up after this long: the answer is an Option then. Durable. */
  readonly timeout?: Duration.Input | undefined
}

/**
 * Waits for an event, in this process or any later one. A wait and an event match when name and key are
 * equal; without a key, only events without one. First come, first served on both sides.
 */
export const suspend: {
  <A = unknown>(
    event: string,
    options: SuspendOptions & { readonly timeout: Duration.Input }
  ): Plain<Option.Option<A>>
  <A = unknown>(
    event: string,
    options?: SuspendOptions & { readonly timeout?: undefined }
  ): Plain<A>
} = (event: string, options?: SuspendOptions): any =>
  make({
    op: "suspend",
    name: named("A suspend", event),
    key: options?.key,
    reason: options?.reason,
    timeout: options?.timeout === undefined
      ? undefined
      : millisOf("The timeout of a suspend", options.timeout)
  })

/** Logs once, when the body first gets here, through Effect's logger. `fields` become annotations. */
export const log = (
  message: string,
  fields?: Record<string, unknown>
): Plain<void> => make({ op: "log", message, fields: fields ?? {} })

/**
 * Shows progress to whoever watches the run in this process: live, when the body first gets here. Not
 * journaled: `status` and `changes` have the latest value of each channel while the run is driven.
 */
export const publish = (channel: string, value: unknown): Plain<void> =>
  make({ op: "publish", channel: named("A channel", channel), value })

/** Fails the body here with a typed error that a handler may catch and the run may end with. */
export const fail = <const E>(error: E): Plain<never, E> => make({ op: "fail", error })

/** The run's id. */
export const runId: Plain<string> = /* @__PURE__ */ make({ op: "runId" })

/**
 * The time by the journal, in UTC milliseconds: that of the latest outcome the body has been handed. The
 * same on every replay, and never going back. For a measurement use a step.
 */
export const now: Plain<number> = /* @__PURE__ */ make({ op: "now" })

/** A number in [0, 1), the same on every replay. */
export const random: Plain<number> = /* @__PURE__ */ make({
  op: "random"
})

/** A version 4 UUID, the same on every replay. */
export const uuid: Plain<string> = /* @__PURE__ */ make({ op: "uuid" })

/**
 * Whether this run takes the new path of a change: true for runs that come here for the first time, false
 * for those whose journal goes on with the old path. The first answer holds for the whole run.
 *
 * Once no run of the old path is open, delete the old path and name the change in the workflow's
 * `retired` option, which accepts what its runs have in their journals.
 */
export const patched = (changeId: string): Plain<boolean> =>
  make({ op: "patched", changeId: named("A change", changeId) })

/**
 * A text for a link in a mail: `Runs.deliver(token, value)` sends the event to this run.
 *
 * It names run, event and key; whoever holds it can also name the run's other events, so hand it to
 * somebody who may.
 */
export const token = (event: string, key?: string): Plain<string> =>
  make({ op: "token", event: named("A token", event), key })

/**
 * Ends this journal, as `return` would, and goes on with `input` in a fresh one, so that a loop may run
 * for years. Only in the body itself, not in a branch. Events that nobody took yet go along.
 */
export const continueAs = (input: unknown): Plain<never> => make({ op: "continueAs", input })
