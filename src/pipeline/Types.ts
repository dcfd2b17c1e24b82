/**
 * The types of a pipeline: the context that its steps merge into, step by step, and what is known of each
 * step by name.
 */
import type * as Effect from "effect/Effect"
import type { StepContext, StepInfo } from "../Instruction.ts"
import type { Unsafe } from "../internal/JsonSafe.ts"

/** A context, or what is merged into one. */
export type Fields = Readonly<Record<string, unknown>>

/** A step by name: the context that it is given, and the one behind it. */
export interface Ran<out Name extends string, out Input, out Output> {
  readonly name: Name
  readonly input: Input
  readonly output: Output
}
export type AnyRan = Ran<string, any, any>

type Flat<T> = T extends infer U ? { readonly [K in keyof U]: U[K] } : never

/** What is there for certain of either of two contexts, and what may be there. */
export type Either<A, B> = Flat<
  & { readonly [K in keyof A & keyof B]: A[K] | B[K] }
  & { readonly [K in Exclude<keyof A, keyof B>]?: A[K] }
  & { readonly [K in Exclude<keyof B, keyof A>]?: B[K] }
>

/** `Out` merged into `Ctx`. */
export type Merge<Ctx, Out> = Flat<Omit<Ctx, keyof Out> & Out>

/** `Out` merged into `Ctx`, or not. */
export type MergeMaybe<Ctx, Out> = Flat<
  & Omit<Ctx, keyof Out>
  & {
    readonly [K in keyof Out & keyof Ctx]: Ctx[K] | Exclude<Out[K], undefined>
  }
  & { readonly [K in Exclude<keyof Out, keyof Ctx>]?: Out[K] }
>

/** What of `Out` is new, where what is there already stays. */
export type Added<Ctx, Out> = Flat<Omit<Ctx, never> & Omit<Out, keyof Ctx>>

type UnionToIntersection<U> = (U extends unknown ? (u: U) => void : never) extends
  (i: infer I) => void ? I : never

/** Only in a type: what a builder is known by. */
export interface Known<in In, out Ctx, out Base, out Steps, out R> {
  readonly "~pipeline": {
    readonly _In?: (input: In) => void
    readonly _Ctx?: Ctx
    /** The context where the first step stands that may skip all others; `never` without one. */
    readonly _Base?: Base
    readonly _Steps?: Steps
    readonly _R?: R
  }
}
export type AnyKnown = Known<any, any, any, any, any>

export type InOf<P> = P extends Known<infer In, any, any, any, any> ? In : never
type CtxOf<P> = P extends Known<any, infer Ctx, any, any, any> ? Ctx : never
export type StepsOf<P> = P extends Known<any, any, any, infer Steps, any> ? Steps : never
type ServicesOf<P> = P extends Known<any, any, any, any, infer R> ? R : never

/** What a run of a pipeline ends with, if nothing stops it. */
export type ResultOf<Ctx, Base> = [Base] extends [never] ? Ctx : Either<Base, Ctx>
type Ended<P> = P extends Known<any, infer Ctx, infer Base, any, any> ? ResultOf<Ctx, Base> : never

type Same<A, B> = [A] extends [B] ? [B] extends [A] ? true : false : false

/** What a nested pipeline contributes: what it did not just pass on. */
export type Contributed<P> = Flat<
  {
    readonly [
      K in keyof Ended<P> as K extends keyof InOf<P>
        ? Same<Ended<P>[K], InOf<P>[K]> extends true ? never
        : K
        : K
    ]: Ended<P>[K]
  }
>

// ---------------------------------------------------------------------------------------------------
// functions

/** What a step runs: a function of the context, or another pipeline. */
export type Item<Ctx> = ((context: Ctx, step: StepInfo) => unknown) | AnyKnown

type Given<F> = F extends (...args: any) => infer X ? 0 extends 1 & X ? any
  : X extends Effect.Effect<infer A, infer _E, infer _R> ? A
  : Awaited<X>
  : never
type FunctionServices<F> = F extends (...args: any) => infer X ? 0 extends 1 & X ? never
  : X extends Effect.Effect<infer _A, infer _E, infer R> ? Exclude<R, StepContext>
  : never
  : never

type OrNothing<A> = A extends void | undefined ? {} : A

/** What an item merges. */
export type ItemOutput<I> = I extends AnyKnown ? Contributed<I>
  : 0 extends 1 & Given<I> ? any
  : OrNothing<Given<I>>
type ItemsOutput<Items extends ReadonlyArray<unknown>> = {
  [K in keyof Items]: (o: OneObject<ItemOutput<Items[K]>>) => void
}[number] extends (o: infer O) => void ? O : never
/** A union of objects, as of a function with two returns: what all have, and what some have. */
type OneObject<U> = 0 extends 1 & U ? any
  : [U] extends [UnionToIntersection<U>] ? U
  : Flat<
    & { readonly [K in keyof U]: U[K] }
    & {
      readonly [K in Exclude<AllKeys<U>, keyof U>]?: U extends unknown
        ? K extends keyof U ? U[K] : never
        : never
    }
  >
type AllKeys<U> = U extends unknown ? keyof U : never

/** What the items of a step merge together. */
export type Outputs<Items extends ReadonlyArray<unknown>> = Items extends readonly [infer One]
  ? OneObject<ItemOutput<One>>
  : Flat<ItemsOutput<Items>>
export type ItemsServices<Items extends ReadonlyArray<unknown>> = {
  [K in keyof Items]: Items[K] extends AnyKnown ? ServicesOf<Items[K]> : FunctionServices<Items[K]>
}[number]

type Advice<Text extends string> = { readonly [K in Text]: never }

type Unmergeable<A> = 0 extends 1 & A ? never
  : A extends void | undefined ? never
  : A extends ReadonlyArray<unknown> ? "an array"
  : A extends string ? "a string"
  : A extends number ? "a number"
  : A extends boolean ? "a boolean"
  : A extends null ? "null"
  : Unsafe<A>

/** `unknown` when an item can be a part of the step, else a type whose only property is the advice. */
export type CheckItem<Ctx, I> = I extends AnyKnown ? Ctx extends InOf<I> ? unknown
  : Advice<"This pipeline needs more than the context has here: its input does not fit">
  : [Unmergeable<Given<I>>] extends [never] ? unknown
  : Unmergeable<Given<I>> extends
    | "a Date"
    | "a Map"
    | "a Set"
    | "a bigint"
    | "a function"
    | "an object with methods"
    | "unknown"
    | "bytes"
    | "a symbol" ? Advice<
      `This step gives ${Unmergeable<Given<I>>}, which JSON cannot hold: give it in another form`
    >
  : Advice<
    `This step returns ${Unmergeable<
      Given<I>
    >}: return a plain object, whose fields are merged into the context, or nothing`
  >

/**
 * The same for a transform, which runs one function. The compiler first tries all that an item may be, to find
 * out what the context is: that must pass.
 */
export type CheckChange<Ctx, F> = F extends AnyKnown ? 0 extends 1 & InOf<F> ? unknown
  : Advice<"A transform needs a function that returns the next context: nest a pipeline with step">
  : [Given<F>] extends [void]
    ? Advice<"A transform replaces the whole context: return a plain object, or {} to clear it">
  : CheckItem<Ctx, F>

// ---------------------------------------------------------------------------------------------------
// configurations

/** What to do with a key that the context has already. */
export type MergePolicy = "override" | "error" | "warn" | "skip"

export interface CircuitBreakerConfig {
  /** How many attempts in a row fail before it opens. Default: never. */
  readonly failureThreshold?: number
  /** How long it stays open before one attempt is let through, in milliseconds. Default: 60,000. */
  readonly cooldownMs?: number
  /** What the step does while it is open: fail, or be left out. Default: `throw`. */
  readonly behaviorOnOpen?: "throw" | "skip"
}

export interface StepConfig<in Ctx = any> {
  /** Default: its kind and its place, from 1: `step-3`. */
  readonly name?: string
  /** Whether it runs. What a function answers is journaled, and not asked again. */
  readonly condition?: boolean | ((context: Ctx) => unknown)
  /**
   * What follows from its failure: `throw` fails the run, `continue` goes on without what it gives,
   * `skip-remaining` ends the pipeline here. Default: `throw`.
   */
  readonly onError?: "throw" | "continue" | "skip-remaining"
  /** `false`: no line in the log of a call; `true`: also when the call has none. */
  readonly log?: boolean
  /** For one attempt, in milliseconds. */
  readonly timeout?: number
  /** Of several functions: `all` fails with the first that fails, `settled` merges those that succeed. Default: `all`. */
  readonly parallelMode?: "all" | "settled"
  /** Default: `override`. */
  readonly mergePolicy?: MergePolicy
  /** How often a failed attempt is repeated. Default: 0. */
  readonly retries?: number
  /** Before each of them, in milliseconds; `attempt` counts those that failed, from 1. Default: 0. */
  readonly retryDelayMs?: number | ((attempt: number, error: Error) => number)
  /** Whether a failed attempt is repeated at all. Default: it is. */
  readonly shouldRetry?: (error: Error) => boolean
  /** Leaves a dependency alone that keeps failing, in all runs of this process. */
  readonly circuitBreaker?: CircuitBreakerConfig
}

type IsMaybe<Config> = Config extends { readonly condition: infer C }
  ? [C] extends [true] ? IsUnsure<Config> : true
  : IsUnsure<Config>
type IsUnsure<Config> = Config extends { readonly onError: "continue" | "skip-remaining" } ? true
  : Config extends { readonly parallelMode: "settled" } ? true
  : Config extends { readonly circuitBreaker: { readonly behaviorOnOpen: "skip" } } ? true
  : false

/** The context behind a step. */
export type After<Ctx, Out, Config> = 0 extends 1 & Out ? any
  : IsMaybe<Config> extends true ? MergeMaybe<Ctx, Out>
  : Config extends { readonly mergePolicy: "skip" } ? Added<Ctx, Out>
  : Merge<Ctx, Out>

/** The context behind a transform. */
export type AfterTransform<Ctx, Out, Config> = 0 extends 1 & Out ? any
  : IsMaybe<Config> extends true ? Either<Ctx, Out>
  : Flat<Out>

/** Where the run may have ended before its last step. */
export type BaseAfter<Ctx, Base, Config> = [Base] extends [never]
  ? Config extends { readonly onError: "skip-remaining" } ? Ctx : never
  : Base

/** A step's name in the types. */
export type NameIn<First, Auto extends string> = First extends string ? First
  : First extends { readonly name: infer N extends string } ? N
  : `${Auto}-${number}`

type PrefixedOf<Steps, Prefix extends string> = Steps extends Ran<infer N, infer I, infer O>
  ? Ran<`${Prefix}/${N}`, I, O>
  : never
/** The steps of nested pipelines, under the name of the step they stand in. */
export type NestedSteps<Items extends ReadonlyArray<unknown>, Name extends string> = {
  [K in keyof Items]: Items[K] extends AnyKnown ? PrefixedOf<StepsOf<Items[K]>, Name> : never
}[number]

// ---------------------------------------------------------------------------------------------------
// branches

/** A case of `branchOn`; the first whose `when` says yes is taken, else the default. */
export type Case<Ctx, Empty> =
  | {
    readonly name?: string
    readonly when: (context: Ctx) => unknown
    readonly then: AnyKnown | ((builder: Empty) => AnyKnown)
    readonly default?: undefined
  }
  | {
    readonly name?: string
    readonly default: AnyKnown | ((builder: Empty) => AnyKnown)
    readonly when?: undefined
    readonly then?: undefined
  }

type Built<B> = B extends AnyKnown ? B : B extends (builder: any) => infer P ? P : never
type PipelineIn<C> = C extends { readonly then: infer B } ? Built<B>
  : C extends { readonly default: infer B } ? Built<B>
  : never
type CaseName<C> = C extends { readonly name: infer N extends string } ? N
  : C extends { readonly default: {} } ? "default-case"
  : "branch-case"

/** What the branch that is taken contributes. */
export type CasesOutput<Cases extends ReadonlyArray<unknown>> = OneObject<
  | { [K in keyof Cases]: Contributed<PipelineIn<Cases[K]>> }[number]
  | (HasDefault<Cases[number]> extends true ? never : {})
>
type HasDefault<C> = true extends (C extends { readonly default: {} } ? true : never) ? true : false
export type CasesServices<Cases extends ReadonlyArray<unknown>> = {
  [K in keyof Cases]:
    | ServicesOf<PipelineIn<Cases[K]>>
    | FunctionServices<Cases[K] extends { readonly when: infer W } ? W : never>
}[number]
export type CasesSteps<Cases extends ReadonlyArray<unknown>, Name extends string> = {
  [K in keyof Cases]: PrefixedOf<StepsOf<PipelineIn<Cases[K]>>, `${Name}/${CaseName<Cases[K]>}`>
}[number]
export type CheckCase<Ctx, C> = Ctx extends InOf<PipelineIn<C>> ? unknown
  : Advice<
    "This branch needs more than the context has here: the input of its pipeline does not fit"
  >

export type ConditionServices<Config> = Config extends { readonly condition: infer F }
  ? FunctionServices<F>
  : never

// ---------------------------------------------------------------------------------------------------
// what users ask of a pipeline's type

/** The names of a pipeline's steps; nested ones as `outer/inner`, those of a branch as `route/case/step`. */
export type StepNames<P> = StepsOf<P> extends infer S extends AnyRan ? S["name"] : never
type Find<S, Name> = S extends AnyRan ? Name extends S["name"] ? S : never : never
/** The context that a step is given. */
export type StepInput<P, Name extends StepNames<P>> = Find<StepsOf<P>, Name>["input"]
/** The context behind a step; without a name, what the pipeline ends with. */
export type StepOutput<P, Name extends StepNames<P> = never> = [Name] extends [never] ? Ended<P>
  : Find<StepsOf<P>, Name>["output"]
export type { CtxOf }
