/**
 * `step`: runs work once and journals its outcome. Mostly the types that hold it to what a journal can
 * keep.
 */
import type * as Effect from "effect/Effect"
import type * as Schedule from "effect/Schedule"
import type * as Schema from "effect/Schema"
import type * as SqlClient from "effect/sql/SqlClient"
import type { Unsafe } from "../internal/JsonSafe.ts"
import {
  type Channels,
  makeStep,
  named,
  type Retry,
  type StepContext,
  type StepInfo,
  type StepOptions,
  type UndoCause,
  type Work
} from "./Data.ts"
import type { StepFailed, Undeclared } from "./Failures.ts"
import type { Branch, BranchServices, BranchSteps, Instruction, Named } from "./Yieldable.ts"

type Out<W> = W extends Effect.Effect<infer A, infer _E, infer _R> ? A
  : W extends (...args: any) => infer X
    ? X extends Effect.Effect<infer A, infer _E, infer _R> ? A : Awaited<X>
  : never
/** The Effect that the work is or returns. `any`, as of JSON.parse, is a value: it would be every Effect. */
type Performed<W> = W extends Effect.Effect<infer _A, infer _E, infer _R> ? W
  : W extends (...args: any) => infer X ? 0 extends 1 & X ? never : X
  : never
type WorkError<W> = Performed<W> extends infer X
  ? X extends Effect.Effect<infer _A, infer E, infer _R> ? E : never
  : never
type WorkServices<W> = Performed<W> extends infer X
  ? X extends Effect.Effect<infer _A, infer _E, infer R> ? R : never
  : never

type StepValue<W, O> = O extends { readonly schema: infer S extends Schema.Top } ? S["Type"]
  : Out<W>
type StepFailure<W, O> = O extends { readonly error: infer S extends Schema.Top } ? S["Type"]
  : [WorkError<W>] extends [never] ? never
  : Undeclared<WorkError<W>>
type CodecServices<O, Key extends string> = O extends
  { readonly [K in Key]: infer S extends Schema.Top }
  ? S["DecodingServices"] | S["EncodingServices"]
  : never
type RetryServices<O> = O extends
  { readonly retry: Schedule.Schedule<infer _Out, infer _In, infer _E, infer R> } ? R
  : O extends {
    readonly retry: {
      readonly schedule: Schedule.Schedule<infer _Out, infer _In, infer _E, infer R>
    }
  } ? R
  : never
type StepServices<W, O> =
  | Exclude<WorkServices<W>, StepContext>
  | CodecServices<O, "schema">
  | CodecServices<O, "error">
  | RetryServices<O>

/** Work of the form of `W` that gives an `A`: one form only, so that the last line of an error is about `A`. */
type WorkFor<W, A> = W extends (...args: any) => unknown
  ? (step: StepInfo) => Effect.Effect<A, any, any> | PromiseLike<A> | A
  : Effect.Effect<A, any, any>

/** `unknown` when all is well, else a type whose only property is the advice. */
type Checked<W, O> =
  & (O extends { readonly schema: infer S extends Schema.Top } ? WorkFor<W, S["Type"]>
    : [Unsafe<Out<W>>] extends [never] ? unknown
    : {
      readonly [
        K in `This step returns ${Unsafe<Out<W>>}, which JSON cannot hold: give it { schema }`
      ]: never
    })
  & (O extends { readonly error: infer S extends Schema.Top }
    ? [WorkError<W>] extends [S["Type"]] ? unknown
    : [StepFailed] extends [S["Type"]] ? unknown
    : {
      readonly "This step can fail with what its { error } does not declare": Exclude<
        WorkError<W>,
        S["Type"]
      >
    }
    : unknown)

const noOptions: StepOptions = {}

const GeneratorFunction: unknown = (function*() {}).constructor

/** `step`, for a workflow that publishes on the channels `Ch`. */
export type StepFunction<Ch extends Channels> = <
  const Name extends string,
  W extends Work<Ch>,
  S extends Schema.Top | undefined = undefined,
  Er extends Schema.Top | undefined = undefined,
  Rt extends Retry | undefined = Retry | undefined,
  U extends Branch = never,
  O = { readonly schema: S; readonly error: Er; readonly retry: Rt }
>(
  name: Name,
  work: W & Checked<W, O>,
  options?: Omit<StepOptions, "schema" | "error" | "retry"> & {
    readonly schema?: S
    readonly error?: Er
    readonly retry?: Rt
    /** As `withCompensation`. */
    readonly undo?: ((value: StepValue<W, O> | undefined, cause: UndoCause) => U) | undefined
  }
) => Instruction<
  StepValue<W, O>,
  StepFailure<W, O>,
  StepServices<W, O> | BranchServices<U>,
  Named<Name, StepValue<W, O>> | BranchSteps<U>
>

/** `transaction`, for a workflow that publishes on the channels `Ch`. */
export type TransactionFunction<Ch extends Channels> = <
  const Name extends string,
  W extends Transactional<Ch>,
  S extends Schema.Top | undefined = undefined,
  Er extends Schema.Top | undefined = undefined,
  Rt extends Retry | undefined = Retry | undefined,
  U extends Branch = never,
  O = { readonly schema: S; readonly error: Er; readonly retry: Rt }
>(
  name: Name,
  work: W & Checked<W, O>,
  options?: Omit<StepOptions, "schema" | "error" | "retry" | "delivery"> & {
    readonly schema?: S
    readonly error?: Er
    readonly retry?: Rt
    /** As `withCompensation`. */
    readonly undo?: ((value: StepValue<W, O> | undefined, cause: UndoCause) => U) | undefined
  }
) => Instruction<
  StepValue<W, O>,
  StepFailure<W, O>,
  StepServices<W, O> | SqlClient.SqlClient | BranchServices<U>,
  Named<Name, StepValue<W, O>> | BranchSteps<U>
>

/** What a transaction may run: its statements are Effects. */
type Transactional<Ch extends Channels> =
  | Effect.Effect<any, any, any>
  | ((step: StepInfo<Ch>) => Effect.Effect<any, any, any>)

/**
 * Runs `work` once and journals its outcome; a replay is handed the journaled outcome.
 *
 * `work` is an Effect, or a function of `StepInfo` that returns an Effect, a Promise or a value. Use it
 * for everything that must not happen again, or whose answer may change: calls, time, chance. The value
 * must survive JSON, or a `schema` encodes it. A failure reaches the body as `StepFailed`, or as itself
 * where the step's or the workflow's `error` declares it.
 *
 * @example
 * ```ts
 * import { Instruction } from "reprise"
 *
 * const total = Instruction.step("total", () => 40 + 2)
 * Instruction.isInstruction(total) // => true
 * ```
 */
export const step: StepFunction<any> = (name, work, options) => {
  refuseGenerators(name, work, "step")
  return makeStep(named("A step", name), work, options ?? noOptions, options?.undo)
}

const refuseGenerators = (name: string, work: unknown, call: "step" | "transaction"): void => {
  if (!(work instanceof (GeneratorFunction as new() => object))) return
  throw new TypeError(
    `Step "${name}" was given a generator function. Write ctx.${call}("${name}", Effect.fn(function*() { … })) `
      + `for an Effect, or yield the instructions in the body itself.`
  )
}

/**
 * A step whose SQL and whose entry are committed in one transaction: exactly once, whatever crashes. A replay
 * is handed the journaled outcome.
 *
 * For storages that are a database of yours, too: SQLite and Postgres. `work` is an Effect, or a function of
 * `StepInfo` that returns one, and runs its statements on the `SqlClient` in its context, which must be the
 * storage's own. A failure rolls it back and reaches the body as a step's does. A conflict with another
 * transaction, or a connection that is lost, rolls it back and runs it again; so does a crash. Keep what
 * cannot be rolled back out of it. While it is open, SQLite writes nothing else.
 *
 * @example
 * ```ts
 * import { Instruction } from "reprise"
 * import { Effect } from "effect"
 * import { SqlClient } from "effect/sql"
 *
 * const pay = Instruction.transaction("pay", Effect.gen(function*() {
 *   const sql = yield* SqlClient.SqlClient
 *   yield* sql`UPDATE accounts SET balance = balance - 5 WHERE id = 1`
 * }))
 * Instruction.isInstruction(pay) // => true
 * ```
 */
export const transaction: TransactionFunction<any> = (name, work, options) => {
  refuseGenerators(name, work, "transaction")
  const given = { ...options as StepOptions, isTransaction: true } as const
  return makeStep(named("A step", name), work, given, options?.undo)
}
