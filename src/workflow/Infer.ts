/**
 * What a workflow's types are when a body is given: input, output, failures and services inferred, and
 * held to what the contract declares.
 *
 * A body that breaks a promise meets a type whose only property is the advice, so that the compiler's
 * last line says what to do.
 */
import type * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type * as Instruction from "../Instruction.ts"
import type { Unsafe } from "../internal/JsonSafe.ts"
import type {
  BodyServices,
  ChannelsIn,
  Contract,
  ContractServices,
  Ctx,
  EventsIn,
  Options,
  SchemaIn,
  StepTypesOf,
  TypeIn,
  Workflow
} from "./Types.ts"

export type AnyInstruction = Instruction.Instruction<any, any, any, any>
/** A body that is given `I`, yields `Y` and returns `A`. */
export type BodyOf<O, I, Y, A> = (
  ctx: Ctx<EventsIn<O>, ChannelsIn<O>, TypeIn<O, "input", unknown>>,
  input: I
) => Generator<Y, A, Instruction.WriteYieldWithAStar>

type Yielded<B> = B extends (...args: any) => Generator<infer Y, infer _A, infer _N> ? Y : never
type Returned<B> = B extends (...args: any) => Generator<infer _Y, infer A, infer _N> ? A : never
type InputOf<O, B> = TypeIn<
  O,
  "input",
  B extends (ctx: any, ...rest: infer Rest) => unknown ? Rest extends [infer I, ...any] ? I : void
    : void
>

type Declared<E> = E extends Instruction.Undeclared<infer _> ? never : E
type FailureOf<O, Y> =
  | Instruction.RunError
  | TypeIn<O, "error", Declared<Instruction.ErrorOf<Y>>>

type IsAny<T> = 0 extends 1 & T ? true : false
type Uncovered<E, Covered> = IsAny<E> extends true ? never
  : E extends Instruction.Undeclared<infer X> ? X extends Covered ? never : X
  : E extends Covered | Instruction.StepError ? never
  : E
type TagOf<E> = E extends { readonly _tag: infer Tag extends string } ? Tag : "an error"

// The compiler first tries a body that yields `any`, to find out what `ctx` is: that one must pass.
type CheckedErrors<O, Y> = IsAny<Y> extends true ? unknown
  : SchemaIn<O, "error"> extends Schema.Top
    ? [Uncovered<Instruction.ErrorOf<Y>, SchemaIn<O, "error">["Type"]>] extends [never] ? unknown
    : {
      readonly [
        K in `This body can fail with ${TagOf<
          Uncovered<Instruction.ErrorOf<Y>, SchemaIn<O, "error">["Type"]>
        >}, which the workflow's error schema does not cover: add it there, give the step its own { error }, or handle it with Instruction.result, catch or catchTag`
      ]: never
    }
  : unknown
type CheckedOutput<O, A> = SchemaIn<O, "output"> extends Schema.Top ? unknown
  : [Unsafe<A>] extends [never] ? unknown
  : {
    readonly [
      K in `This workflow returns ${Unsafe<A>}, which JSON cannot hold: give it { output }`
    ]: never
  }
type CheckedInput<O, I> = SchemaIn<O, "input"> extends Schema.Top ? unknown
  : [Unsafe<I>] extends [never] ? unknown
  : {
    readonly [K in `This workflow takes ${Unsafe<I>}, which JSON cannot hold: give it { input }`]:
      never
  }
/** What is yielded and is no instruction, in words. */
type Foreign<Y> = IsAny<Y> extends true ? never
  : Y extends AnyInstruction ? never
  : Y extends Effect.Effect<infer _A, infer _E, infer _R> ? "an Effect"
  : Y extends PromiseLike<infer _A> ? "a Promise"
  : "something else"
type CheckedYields<Y> = [Foreign<Y>] extends [never] ? unknown
  : {
    readonly [
      K in `This body yields ${Foreign<
        Y
      >}. Only instructions can be yielded here: wrap an Effect or a Promise in ctx.step(name, () => ...)`
    ]: never
  }
/** `unknown` when all is well, else a type whose only property is the advice. */
export type Checked<O, I, Y, A> =
  & CheckedYields<Y>
  & CheckedErrors<O, Y>
  & CheckedOutput<O, A>
  & CheckedInput<O, I>

export type Made<O, I, Y, A> = Workflow<
  I,
  TypeIn<O, "output", A>,
  FailureOf<O, Y>,
  EventsIn<O>,
  Instruction.ServicesOf<Y> | ContractServices<O> | BodyServices<O>,
  ContractServices<O>,
  StepTypesOf<Instruction.StepsOf<Y>>,
  ChannelsIn<O>
>

/** A contract that still wants its body. */
export interface Definition<O extends Options> extends
  Contract<
    TypeIn<O, "input", Schema.Json>,
    TypeIn<O, "output", Schema.Json>,
    TypeIn<O, "error", Schema.Json> | Instruction.RunError,
    EventsIn<O>,
    ContractServices<O>,
    ChannelsIn<O>
  >
{
  /** The workflow with this body. */
  readonly make: <
    B extends BodyOf<O, TypeIn<O, "input", any>, any, TypeIn<O, "output", any>>
  >(
    body: B & Checked<O, InputOf<O, B>, Yielded<B>, Returned<B>>
  ) => Made<O, InputOf<O, B>, Yielded<B>, Returned<B>>
}
