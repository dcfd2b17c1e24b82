/**
 * The types a body is inferred by: what may be yielded, what a branch is, and what each of them gives,
 * fails with and needs.
 */
import type * as Pipeable from "effect/Pipeable"

/** A step by name and value, in types only: what the test kit's stubs are typed by. */
export interface Named<out Name extends string, out A> {
  readonly name: Name
  readonly value: A
}

/**
 * Something a body may yield with `yield*`: gives an `A`, may fail with `E`, needs the services `R` of
 * its steps, and `S` are the steps in it, each as `Named`.
 */
export interface Instruction<out A, out E = never, out R = never, out S = unknown>
  extends Pipeable.Pipeable
{
  /** Only in the type: its name is the advice that the compiler's last line shows. */
  readonly "Only instructions can be yielded here: wrap an Effect or a Promise in ctx.step(name, () => …)":
    {
      readonly _A: A
      readonly _E: E
      readonly _R: R
      readonly _S: S
    }
  [Symbol.iterator](): Iterator<Instruction<A, E, R, S>, A, any>
}

/** An instruction in which no step runs. */
export type Plain<A, E = never> = Instruction<A, E, never, never>

/** What `yield` without its star gives: nothing can be done with it. */
export interface WriteYieldWithAStar {
  readonly "Write yield* instead of yield: only then the value has its type": never
}

/** A body, or a part of one: what a generator function that yields instructions returns. */
export type Part<A, E = never, R = never> = Generator<
  Instruction<any, E, R, any>,
  A,
  WriteYieldWithAStar
>

/** What a combinator runs: an instruction, a generator function, or a generator object. */
export type Branch<A = any, E = any, R = any> =
  | Instruction<A, E, R, any>
  | (() => Generator<Instruction<any, E, R, any>, A, WriteYieldWithAStar>)
  | Generator<Instruction<any, E, R, any>, A, WriteYieldWithAStar>

type Yielded<B> = B extends Instruction<infer _A, infer _E, infer _R, infer _S> ? B
  : B extends (...args: any) => Generator<infer Y, infer _A, infer _N> ? Y
  : B extends Generator<infer Y, infer _A, infer _N> ? Y
  : never
export type BranchValue<B> = B extends Instruction<infer A, infer _E, infer _R, infer _S> ? A
  : B extends (...args: any) => Generator<infer _Y, infer A, infer _N> ? A
  : B extends Generator<infer _Y, infer A, infer _N> ? A
  : never
/** The error of an instruction, or of every instruction in a union. */
export type ErrorOf<Y> = Y extends Instruction<infer _A, infer E, infer _R, infer _S> ? E : never
/** The services of an instruction, or of every instruction in a union. */
export type ServicesOf<Y> = Y extends Instruction<infer _A, infer _E, infer R, infer _S> ? R : never
export type BranchError<B> = ErrorOf<Yielded<B>>
export type BranchServices<B> = ServicesOf<Yielded<B>>
/** The steps of an instruction, or of every instruction in a union. */
export type StepsOf<Y> = Y extends Instruction<infer _A, infer _E, infer _R, infer S>
  ? unknown extends S ? Named<string, any> : S
  : never
export type BranchSteps<B> = StepsOf<Yielded<B>>
