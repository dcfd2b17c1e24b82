/**
 * The types of a pipeline: the context that its steps merge into, step by step, and what is known of each
 * step by name.
 */
import type * as Effect from "effect/Effect"
import type { StepContext, StepInfo } from "../Instruction.ts"
import type { Unsafe } from "../internal/JsonSafe.ts"

/** A context, or what is merged into one. */
export type Fields = Readonly<Record<string, unknown>>

/** A step by name: the context that it is given, the one behind it, and the keys that it gives. */
export interface Ran<out Name extends string, out Input, out Output, out Gives = never> {
  readonly name: Name
  readonly input: Input
  readonly output: Output
  /** `never` for a step of a nested pipeline: what that one gives is given by the step it stands in. */
  readonly gives: Gives
}
export type AnyRan = Ran<string, any, any, any>

type IsAny<T> = 0 extends 1 & T ? true : false

/** Shown as one object, field by field. */
export type Flat<T> = IsAny<T> extends true ? any
  : T extends infer U ? { readonly [K in keyof U]: U[K] }
  : never

export type AllKeys<U> = U extends unknown ? keyof U : never
/** Of each member of a union that has the key. */
type ValueOf<U, K> = U extends unknown ? Required<U>[K & keyof U] : never

/** A union of objects, as of a function with two returns, as one: what all have, and what some may have. */
export type OneObject<U> = IsAny<U> extends true ? any
  : [U, AllKeys<U>] extends [UnionToIntersection<U>, keyof U] ? U
  : Flat<
    & { [K in AllKeys<U> as [U] extends [Record<K, unknown>] ? K : never]: ValueOf<U, K> }
    & {
      [K in AllKeys<U> as [U] extends [Record<K, unknown>] ? never : K]?: Exclude<
        ValueOf<U, K>,
        undefined
      >
    }
  >

/** What a context may hold somewhere in a pipeline, before it was replaced or after. */
export type Anywhere<Ctx, Steps> = Holding<Ctx | (Steps extends AnyRan ? Steps["output"] : never)>
type Holding<U> = Flat<{ [K in AllKeys<U>]?: ValueOf<U, K> }>

/** Either of two contexts: what both have, and what may be there. */
type Either<A, B> = OneObject<A | B>

/**
 * What was merged, in this order: an input, and what steps gave. A context is made from the whole list and not
 * from the context before it, since the compiler would have to go through all of those to look at one field,
 * and gives up at about thirty.
 */
export type Patches = ReadonlyArray<unknown>

/** The patches of a pipeline; of one of which less is known, its context. */
export type ListOf<Ctx, List> = IsAny<List> extends true ? [Ctx]
  : List extends Patches ? List
  : never

/** Patches merged: a context. The first may be a union, whose members stay apart. */
export type Merged<List extends Patches> = List extends readonly [infer One] ? Flat<One>
  : List extends readonly [infer First, ...infer Rest]
    ? First extends unknown ? MergedOne<[First, ...Rest]> : never
  : {}
type MergedOne<List extends Patches> = IsAny<List[number]> extends true ? any
  : Repeated<List> extends infer Keys
    ? [Keys] extends [never] ? Flat<UnionToIntersection<List[number]>>
    : Flat<
      & UnionToIntersection<Without<List[number], Keys>>
      & { [K in Keys & RequiredKeys<List[number]>]: Latest<List, K> }
      & {
        [K in Exclude<Keys, RequiredKeys<List[number]>> & PropertyKey]?: Exclude<
          Latest<List, K>,
          undefined
        >
      }
    >
  : never
type Without<T, Keys> = T extends unknown ? { [K in keyof T as K extends Keys ? never : K]: T[K] }
  : never
/** The keys that more than one patch has. */
type Repeated<List extends Patches, Seen = never, Keys = never> = List extends
  readonly [infer Patch, ...infer Rest]
  ? Repeated<Rest, Seen | keyof Patch, Keys | (Seen & keyof Patch)>
  : Keys
type RequiredKeys<U> = U extends unknown
  ? keyof { [K in keyof U as {} extends Pick<U, K> ? never : K]: 0 }
  : never
/**
 * The value of a key that several have: of the last that has it for certain, or of one behind that. A field
 * that is undefined is left out of the journal, so it leaves what is there.
 */
type Latest<List extends Patches, K, Or = never> = List extends
  readonly [...infer Rest, infer Patch]
  ? K extends keyof Patch
    ? undefined extends Patch[K] ? Latest<Rest, K, Or | Exclude<Patch[K], undefined>>
    : string extends keyof Patch ? Latest<Rest, K, Or | Patch[K]>
    : Or | Patch[K]
  : Latest<Rest, K, Or>
  : Or | undefined

type UnionToIntersection<U> = (U extends unknown ? (u: U) => void : never) extends
  (i: infer I) => void ? I : never

/** Only in a type: what a builder is known by. */
export interface Known<in In, out Ctx, out Base, out Steps, out R> {
  readonly "~pipeline": {
    readonly _In?: (input: In) => void
    readonly _Ctx?: Ctx
    /** `null`, and the contexts where steps stand that may skip all that follow. */
    readonly _Base?: Base
    readonly _Steps?: Steps
    readonly _R?: R
  }
}
export type AnyKnown = Known<any, any, any, any, any>

export type InOf<P> = P extends Known<infer In, any, any, any, any> ? In : never
export type StepsOf<P> = P extends Known<any, any, any, infer Steps, any> ? Steps : never
type ServicesOf<P> = P extends Known<any, any, any, any, infer R> ? R : never

/** What a run of a pipeline ends with, if nothing stops it. */
export type ResultOf<Ctx, Base> = [Base] extends [null] ? Ctx : Either<Ctx, Exclude<Base, null>>
type Ended<P> = P extends Known<any, infer Ctx, infer Base, any, any> ? ResultOf<Ctx, Base> : never

/** What a nested pipeline contributes: the keys that its steps give, not those it just passes on. */
export type Contributed<P> = Only<Ended<P>, GivenBy<StepsOf<P>>>
type Only<T, Keys> = { readonly [K in keyof T as K extends Keys ? K : never]: T[K] }
type GivenBy<Steps> = Steps extends AnyRan ? Steps["gives"] : never

// ---------------------------------------------------------------------------------------------------
// functions

/** What a step runs: a function of the context, or another pipeline. */
export type Item<Ctx> = ((context: Ctx, step: StepInfo) => unknown) | AnyKnown

/** What a function gives in the end. */
export type Given<F> = F extends (...args: any) => infer X ? 0 extends 1 & X ? any
  : X extends Effect.Effect<infer A, infer _E, infer _R> ? A
  : Awaited<X>
  : never
type FunctionServices<F> = F extends (...args: any) => infer X ? 0 extends 1 & X ? never
  : X extends Effect.Effect<infer _A, infer _E, infer R> ? Exclude<R, StepContext>
  : never
  : never

/** Nothing is merged of what gives nothing, or always fails. */
type OrNothing<A> = [A] extends [never] ? {} : A extends void | undefined ? {} : A

/** What an item merges. */
export type ItemOutput<I> = I extends AnyKnown ? Contributed<I>
  : IsAny<Given<I>> extends true ? any
  : OneObject<OrNothing<Given<I>>>

/** The keys that items may give. */
export type KeysGiven<Items extends ReadonlyArray<unknown>> = {
  [K in keyof Items]: keyof ItemOutput<Items[K]>
}[number]

export type ItemsServices<Items extends ReadonlyArray<unknown>> = {
  [K in keyof Items]: Items[K] extends AnyKnown ? ServicesOf<Items[K]> : FunctionServices<Items[K]>
}[number]

type Advice<Text extends string> = { readonly [K in Text]: never }

/** What the input of a pipeline must be: a plain object whose fields JSON can hold, else the advice. */
export type Taken<In> =
  & {
    readonly [K in keyof In]: [Unsafe<In[K]>] extends [never] ? In[K]
      : Advice<
        `This pipeline takes ${Unsafe<In[K]>}, which JSON cannot hold: give it in another form`
      >
  }
  // Not an array, a text, a map.
  & { readonly [Symbol.iterator]?: Advice<"A pipeline takes a plain object: its first context"> }

/** What cannot be merged, since it is no object. */
type NoFields<A> = IsAny<A> extends true ? never
  : A extends ReadonlyArray<unknown> ? "an array"
  : A extends string ? "a string"
  : A extends number ? "a number"
  : A extends boolean ? "a boolean"
  : A extends null ? "null"
  : never

type CheckOutput<A> = [NoFields<A>] extends [never]
  // Any: the function has an error of its own.
  ? IsAny<Unsafe<A>> extends true ? unknown
  : [Unsafe<A>] extends [never] ? unknown
  : Advice<`This step gives ${Unsafe<A>}, which JSON cannot hold: give it in another form`>
  : Advice<
    `This step returns ${NoFields<
      A
    >}: return a plain object, whose fields are merged into the context, or nothing`
  >

/** `unknown` when an item can be a part of the step, else a type whose only property is the advice. */
export type CheckItem<Ctx, I> = I extends AnyKnown ? [Ctx] extends [InOf<I>] ? unknown
  : Advice<"This pipeline needs more than the context has here: its input does not fit">
  : CheckOutput<Given<I>>

/**
 * The same for a transform, which runs one function. The compiler first tries all that an item may be, to find
 * out what the context is: that must pass.
 */
export type CheckChange<F> = F extends AnyKnown ? IsAny<InOf<F>> extends true ? unknown
  : Advice<"A transform needs a function that returns the next context: nest a pipeline with step">
  : IsAny<Given<F>> extends true ? unknown
  : [Extract<Given<F>, void | undefined>] extends [never] ? CheckOutput<Given<F>>
  : Advice<"A transform replaces the whole context: return a plain object, or {} to clear it">

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

/** The configuration in the first argument of a step, a branch or a transform. */
export type ConfigIn<First> = First extends string ? { readonly name: First }
  : First extends ((...args: any) => unknown) | AnyKnown | AnyCase ? {}
  : First
/** An option of a configuration; undefined where it is not said. */
type Said<Config, Option> = Option extends keyof Config ? Config[Option] : undefined

type NoSuchOption<Given, Known> = {
  readonly [K in Exclude<keyof Given, Known>]: Advice<"There is no such option">
}
/** Refuses what is no option of a configuration, and a first argument that nothing follows. */
export type CheckFirst<First, Rest, Without = never> =
  & (Rest extends readonly []
    ? Advice<"There is nothing to run: a function, a pipeline or a case must follow">
    : unknown)
  & (First extends string ? unknown : NoSuchOption<First, Exclude<keyof StepConfig, Without>>)
  & (First extends { readonly circuitBreaker: infer Circuit }
    ? { readonly circuitBreaker: NoSuchOption<Circuit, keyof CircuitBreakerConfig> }
    : unknown)

/** Whether what a step gives may be missing behind it. */
type IsMaybe<Config> = [
  | Exclude<Said<Config, "condition">, true | undefined>
  | Extract<Said<Config, "onError">, "continue" | "skip-remaining">
  | Extract<Said<Config, "parallelMode">, "settled">
  | Extract<Said<Said<Config, "circuitBreaker">, "behaviorOnOpen">, "skip">
] extends [never] ? false : true

/** The list with one more patch. Where what is there stays, that counts as merged later. */
export type Put<List extends Patches, Out, Config> = IsAny<Out> extends true ? [any]
  : IsMaybe<Config> extends true ? Placed<List, Partial<Out>, Said<Config, "mergePolicy">>
  : Placed<List, Out, Said<Config, "mergePolicy">>
type Placed<List extends Patches, Patch, Policy> = [Extract<Policy, "skip">] extends [never]
  ? [...List, Patch]
  : [Policy] extends ["skip"] ? [Patch, ...List]
  : [Partial<Patch>, ...List, Partial<Patch>]

/** The list with what the items of a step give, in their order. */
export type PutItems<List extends Patches, Items extends ReadonlyArray<unknown>, Config> =
  Items extends readonly [infer One, ...infer Rest]
    ? PutItems<Put<List, ItemOutput<One>, Config>, Rest, Config>
    : Items extends readonly [] ? List
    : Put<List, Partial<OneObject<ItemOutput<Items[number]>>>, Config>

/** The list behind a transform; one that always fails is never behind it. */
export type Replaced<Ctx, Out, Config> = [Out] extends [never] ? [Ctx]
  : IsMaybe<Config> extends true ? [Either<Ctx, Out>]
  : [Out]

/** The contexts where the run may have ended before its last step. */
export type BaseAfter<Ctx, Base, Config> = "skip-remaining" extends Said<Config, "onError">
  ? Base | Ctx
  : Base

/** A step's name in the types. */
export type NameIn<Config, Auto extends string> =
  | (Said<Config, "name"> & string)
  | (undefined extends Said<Config, "name"> ? `${Auto}-${number}` : never)

type PrefixedOf<Steps, Prefix extends string> = Steps extends Ran<infer N, infer I, infer O, any>
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

/** An argument of `branchOn` that is a case, not a name or a configuration. */
export type AnyCase = { readonly when: unknown } | { readonly default: unknown }

type Built<B> = B extends AnyKnown ? B : B extends (builder: any) => infer P ? P : never
type PipelineIn<C> = C extends { readonly then: infer B } ? Built<B>
  : C extends { readonly default: infer B } ? Built<B>
  : never
/** Of several cases without a name, the second is `branch-case-2`, and so on. */
type CaseName<C, Cases extends ReadonlyArray<unknown>> = C extends
  { readonly name: infer N extends string } ? N
  : C extends { readonly default: {} } ? "default-case"
  : Nameless<Cases> extends [unknown, unknown, ...infer _] ? "branch-case" | `branch-case-${number}`
  : "branch-case"
type Nameless<Cases extends ReadonlyArray<unknown>, Found extends ReadonlyArray<unknown> = []> =
  Cases extends readonly [infer C, ...infer Rest] ? Nameless<
      Rest,
      C extends { readonly name: string } | { readonly default: {} } ? Found : [...Found, C]
    >
    : Found

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
  [K in keyof Cases]: PrefixedOf<
    StepsOf<PipelineIn<Cases[K]>>,
    `${Name}/${CaseName<Cases[K], Cases>}`
  >
}[number]
export type CheckCase<Ctx, C> = [Ctx] extends [InOf<PipelineIn<C>>]
  ? NoSuchOption<C, "name" | "when" | "then" | "default">
  : Advice<
    "This branch needs more than the context has here: the input of its pipeline does not fit"
  >

export type ConditionServices<Config> = FunctionServices<Said<Config, "condition">>

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
