/**
 * What a workflow body may yield: plain data in a closed union, and the functions that make it.
 *
 * Owns the types a body is inferred by and the two errors a step can leave behind. Nothing here runs a
 * step, waits or touches a journal: `Replay` answers instructions, `Interpreter` performs steps.
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Pipeable from "effect/Pipeable"
import * as Result from "effect/Result"
import type * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type { Unsafe } from "./internal/JsonSafe.ts"

// ---------------------------------------------------------------------------------------------------
// errors a step leaves behind

/**
 * A step failed with an error that no schema declares, with a defect, or with something that was
 * thrown. Only what fits a journal is left of it.
 */
export class StepFailed extends Schema.TaggedError<StepFailed>("reprise/StepFailed")("StepFailed", {
  /** The step's id. */
  step: Schema.String,
  /** `_tag` or `name` of what the step failed with. */
  tag: Schema.String,
  /** Its message, cut at 2,000 characters. */
  message: Schema.String,
  attempts: Schema.Int,
  /** True for a defect: the step died or threw, it did not fail with an error of its type. */
  defect: Schema.Boolean
}) {}

/** The last allowed attempt of a step was interrupted because it took longer than its `timeout`. */
export class StepTimeout
  extends Schema.TaggedError<StepTimeout>("reprise/StepTimeout")("StepTimeout", {
    step: Schema.String,
    /** The timeout in milliseconds. */
    timeout: Schema.Number,
    attempts: Schema.Int
  })
{
  override get message(): string {
    return `Step "${this.step}" took longer than ${this.timeout} ms, ${this.attempts} time(s). `
      + `Raise its timeout, or handle StepTimeout with Instruction.catchTag.`
  }
}

/** What every step can fail with, whatever its type says. */
export type StepError = StepFailed | StepTimeout

/** Thrown into a body at its pending instructions when the run, or a race it lost, is cancelled. */
export class Cancelled extends Error {
  override readonly name = "Cancelled"
  constructor(reason?: string) {
    super(reason ?? "cancelled")
  }
}

// ---------------------------------------------------------------------------------------------------
// the type a body sees

/**
 * Something a body may yield with `yield*`: gives an `A`, may fail with `E`, and needs the services `R`
 * of its steps.
 */
export interface Instruction<out A, out E = never, out R = never> extends Pipeable.Pipeable {
  /** Only in the type: its name is the advice that the compiler's last line shows. */
  readonly "Only instructions can be yielded here: wrap an Effect or a Promise in ctx.step(name, () => …)":
    {
      readonly _A: A
      readonly _E: E
      readonly _R: R
    }
  [Symbol.iterator](): Iterator<Instruction<A, E, R>, A, any>
}

/** What `yield` without its star gives: nothing can be done with it. */
export interface WriteYieldWithAStar {
  readonly "Write yield* instead of yield: only then the value has its type": never
}

/** Marks a step's failure that no schema of its own declares. */
export interface Undeclared<out E> {
  readonly "a failure that the step's own { error } does not declare": E
}

/** What a handler of a failure sees. */
export type Heard<E> = StepError | (E extends Undeclared<infer _> ? never : E)

/** A body, or a part of one: what a generator function that yields instructions returns. */
export type Part<A, E = never, R = never> = Generator<
  Instruction<any, E, R>,
  A,
  WriteYieldWithAStar
>

/** What a combinator runs: an instruction, a generator function, or a generator object. */
export type Branch<A = any, E = any, R = any> =
  | Instruction<A, E, R>
  | (() => Generator<Instruction<any, E, R>, A, WriteYieldWithAStar>)
  | Generator<Instruction<any, E, R>, A, WriteYieldWithAStar>

type Yielded<B> = B extends Instruction<infer _A, infer _E, infer _R> ? B
  : B extends (...args: any) => Generator<infer Y, infer _A, infer _N> ? Y
  : B extends Generator<infer Y, infer _A, infer _N> ? Y
  : never
export type BranchValue<B> = B extends Instruction<infer A, infer _E, infer _R> ? A
  : B extends (...args: any) => Generator<infer _Y, infer A, infer _N> ? A
  : B extends Generator<infer _Y, infer A, infer _N> ? A
  : never
/** The error of an instruction, or of every instruction in a union. */
export type ErrorOf<Y> = Y extends Instruction<infer _A, infer E, infer _R> ? E : never
/** The services of an instruction, or of every instruction in a union. */
export type ServicesOf<Y> = Y extends Instruction<infer _A, infer _E, infer R> ? R : never
export type BranchError<B> = ErrorOf<Yielded<B>>
export type BranchServices<B> = ServicesOf<Yielded<B>>

// ---------------------------------------------------------------------------------------------------
// the data behind it

/** What a step is told about itself. */
export interface StepInfo {
  readonly runId: string
  readonly stepId: string
  /** From 1, in this session. */
  readonly attempt: number
  /** The same for every attempt of this step of this run, in every session: pass it to what you call. */
  readonly idempotencyKey: string
  /** Grows with every session: a resource that remembers the highest can refuse an owner that lost the run. */
  readonly fence: number
  /** Aborted when the step is interrupted: by its timeout, a cancel, a lost race or a lost run. */
  readonly signal: AbortSignal
}

/** `StepInfo` for Effects: available inside every step. */
export class StepContext extends Context.Service<StepContext, StepInfo>()("reprise/StepContext") {}

type AnyEffect = Effect.Effect<any, any, any>
/** What a step may run. */
export type Work = AnyEffect | ((step: StepInfo) => unknown)

/** How often and when a failed attempt is repeated: a count, a schedule, or Effect's retry options. */
export type Retry = number | Schedule.Schedule<any, any, any, any> | Effect.Retry.Options<any>

export interface StepOptions {
  /** Encodes the value. Needed for what JSON cannot hold; decodes what older code journaled. */
  readonly schema?: Schema.Top | undefined
  /** Declares the failures that reach the body as they are. */
  readonly error?: Schema.Top | undefined
  /** Default: no retry. */
  readonly retry?: Retry | undefined
  /** For one attempt. */
  readonly timeout?: Duration.Input | undefined
  /** `at-most-once` journals an intent first and never runs the step a second time. Default: `at-least-once`. */
  readonly delivery?: "at-least-once" | "at-most-once" | undefined
}

/** The closed union that `Replay` and `Interpreter` switch on. */
export type Data = Step | Suspend | Fan | Log | Fail | AskRunId | Wrap

export interface Step {
  readonly op: "step"
  readonly name: string
  readonly work: Work
  readonly options: StepOptions
}
export interface Suspend {
  readonly op: "suspend"
  readonly name: string
  readonly key: string | undefined
  readonly reason: string | undefined
}
export interface Fan {
  readonly op: "all" | "race" | "any"
  readonly name: string
  readonly branches: ReadonlyArray<readonly [key: string, branch: Branch]>
  readonly concurrency: number
  /** How the outcomes become one value. */
  readonly shape: "record" | "array" | "discard"
  /** With `true` a failed branch is a value and ends nothing. */
  readonly results: boolean
}
export interface Log {
  readonly op: "log"
  readonly message: string
  readonly fields: Record<string, unknown>
}
export interface Fail {
  readonly op: "fail"
  readonly error: unknown
}
export interface AskRunId {
  readonly op: "runId"
}
/** Another branch run in the same place; `map`, `result` and `catch` are made of it. */
export interface Wrap {
  readonly op: "wrap"
  readonly run: () => Iterator<unknown, unknown, unknown>
}

const TypeId = "~reprise/Instruction"

/** Whether `u` may be yielded by a body. */
export const isInstruction = (u: unknown): u is Instruction<any, any, any> =>
  typeof u === "object" && u !== null && TypeId in u

/** The data of an instruction. */
export const data = (self: Instruction<any, any, any>): Data => self as unknown as Data

/** Hands its instruction out once and the answer back. */
class Once implements Iterator<unknown, unknown, unknown> {
  private asked = false
  private readonly self: object
  constructor(self: object) {
    this.self = self
  }
  next(answer: unknown): IteratorResult<unknown, unknown> {
    if (this.asked) return { done: true, value: answer }
    this.asked = true
    return { done: false, value: this.self }
  }
  throw(error: unknown): IteratorResult<unknown, unknown> {
    throw error
  }
  return(value: unknown): IteratorResult<unknown, unknown> {
    return { done: true, value }
  }
}

const Proto = {
  ...Pipeable.Prototype,
  [TypeId]: TypeId,
  [Symbol.iterator](this: Data) {
    return this.op === "wrap" ? this.run() : new Once(this)
  }
}

/** Set while a divergence or a defect is being located: instructions remember where they were made. */
let tracing = false
const traces = new WeakMap<object, string>()

/** Runs `f` with instructions remembering the stack they are made in. Slow; nothing else changes. */
export const traced = <A>(f: () => A): A => {
  tracing = true
  try {
    return f()
  } finally {
    tracing = false
  }
}

/** The stack in which the instruction was made, if that was under `traced`. */
export const stackOf = (self: object): string | undefined => traces.get(self)

/** An instruction is its data on a prototype that can be piped and yielded. */
const make = (fields: Data): any => {
  const self = Object.assign(Object.create(Proto), fields)
  if (tracing) traces.set(self, new Error("made here").stack ?? "")
  return self
}

// ---------------------------------------------------------------------------------------------------
// constructors

type Out<W> = W extends Effect.Effect<infer A, infer _E, infer _R> ? A
  : W extends (...args: any) => infer X
    ? X extends Effect.Effect<infer A, infer _E, infer _R> ? A : Awaited<X>
  : never
type WorkError<W> = W extends Effect.Effect<infer _A, infer E, infer _R> ? E
  : W extends (...args: any) => infer X
    ? X extends Effect.Effect<infer _A, infer E, infer _R> ? E : never
  : never
type WorkServices<W> = W extends Effect.Effect<infer _A, infer _E, infer R> ? R
  : W extends (...args: any) => infer X
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

/** Work that gives an `A`. */
type WorkFor<A> =
  | Effect.Effect<A, any, any>
  | ((step: StepInfo) => Effect.Effect<A, any, any> | PromiseLike<A> | A)

/** `unknown` when all is well, else a type whose only property is the advice. */
type Checked<W, O> =
  & (O extends { readonly schema: infer S extends Schema.Top } ? WorkFor<S["Type"]>
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

const GeneratorFunction: unknown = (function*() {}).constructor

const named = (what: string, name: unknown): string => {
  if (typeof name === "string" && name !== "" && name.length <= 200) return name
  throw new TypeError(
    `${what} needs a name of 1 to 200 characters, but was given ${
      JSON.stringify(name) ?? String(name)
    }.`
  )
}

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
export const step = <W extends Work, const O extends StepOptions = {}>(
  name: string,
  work: W & Checked<W, O>,
  options?: O
): Instruction<StepValue<W, O>, StepFailure<W, O>, StepServices<W, O>> => {
  if ((work as unknown) instanceof (GeneratorFunction as new() => object)) {
    throw new TypeError(
      `Step "${name}" was given a generator function. Write ctx.step("${name}", Effect.fn(function*() { … })) `
        + `for an Effect, or yield the instructions in the body itself.`
    )
  }
  return make({ op: "step", name: named("A step", name), work, options: options ?? {} })
}

/**
 * Waits for an event, in this process or any later one. A wait and an event match when name and key are
 * equal; without a key, only events without one. First come, first served on both sides.
 *
 * `reason` is shown to whoever has to send the event.
 */
export const suspend = <A = unknown>(
  event: string,
  options?: { readonly key?: string | undefined; readonly reason?: string | undefined }
): Instruction<A> =>
  make({
    op: "suspend",
    name: named("A suspend", event),
    key: options?.key,
    reason: options?.reason
  })

export interface FanOptions {
  /** Stands in the ids of the steps inside. Default: the combinator's own name. */
  readonly name?: string | undefined
  /** How many branches run at a time, at least 1. Default: all. */
  readonly concurrency?: number | "unbounded" | undefined
  /** `result` gives each branch's `Result` and never fails. Default: the first failure cancels the others. */
  readonly mode?: "default" | "result" | undefined
  /** Keep no values. */
  readonly discard?: boolean | undefined
}

type Branches = Readonly<Record<string, Branch>> | ReadonlyArray<Branch>
type OneIn<T> = T extends ReadonlyArray<infer B> ? B : T[keyof T]
type OneOf<B, O> = O extends { readonly mode: "result" }
  ? Result.Result<BranchValue<B>, Heard<BranchError<B>>>
  : BranchValue<B>
type FanError<B, O> = O extends { readonly mode: "result" } ? never : BranchError<B>
type AllValue<T, O> = O extends { readonly discard: true } ? void
  : { -readonly [K in keyof T]: OneOf<T[K], O> }

const limit = (concurrency: number | "unbounded" | undefined): number =>
  concurrency === undefined || concurrency === "unbounded" ? Infinity : concurrency

const entries = (branches: Branches): ReadonlyArray<readonly [string, Branch]> =>
  Array.isArray(branches)
    ? branches.map((branch, i) => [String(i), branch] as const)
    : Object.entries(branches)

const fan = (
  op: Fan["op"],
  branches: ReadonlyArray<readonly [string, Branch]>,
  keyed: boolean,
  options: FanOptions | undefined,
  name: string
): any =>
  make({
    op,
    name: options?.name === undefined ? name : named(`"${op}"`, options.name),
    branches,
    concurrency: limit(options?.concurrency),
    shape: options?.discard === true ? "discard" : keyed ? "record" : "array",
    results: options?.mode === "result"
  })

/**
 * Runs branches at the same time and gives all their values, in the shape of the record or tuple. The
 * first failure cancels the other branches, lets them clean up, and is the failure of the whole.
 */
export const all = <const T extends Branches, const O extends FanOptions = {}>(
  branches: T,
  options?: O
): Instruction<AllValue<T, O>, FanError<OneIn<T>, O>, BranchServices<OneIn<T>>> =>
  fan("all", entries(branches), !Array.isArray(branches), options, "all")

/**
 * Runs `f` for each item and gives the values in the items' order. The items are taken here and now.
 * With a `key` a recorded outcome stays with its item when items are added or removed later.
 */
export const forEach = <T, B extends Branch, const O extends FanOptions = {}>(
  items: Iterable<T>,
  f: (item: T, index: number) => B,
  options?: O & { readonly key?: ((item: T, index: number) => string) | undefined }
): Instruction<
  O extends { readonly discard: true } ? void : Array<OneOf<B, O>>,
  FanError<B, O>,
  BranchServices<B>
> =>
  fan(
    "all",
    Array.from(items, (item, i) =>
      [
        options?.key === undefined ? String(i) : options.key(item, i),
        later(() => f(item, i))
      ] as const),
    false,
    options,
    "each"
  )

/** A branch that is made when it starts. */
const later = (f: () => Branch): Instruction<any, any, any> =>
  make({ op: "wrap", run: () => iterate(f()) })

/**
 * The first branch to end decides, whether it succeeds or fails; the others are cancelled. A record
 * gives `{ winner, value }`, told apart by `winner`; an array gives the value.
 */
export const race = <const T extends Branches>(
  branches: T,
  options?: Pick<FanOptions, "name">
): Instruction<
  T extends ReadonlyArray<unknown> ? BranchValue<T[number]>
    : { [K in keyof T]: { readonly winner: K; readonly value: BranchValue<T[K]> } }[keyof T],
  BranchError<OneIn<T>>,
  BranchServices<OneIn<T>>
> => fan("race", entries(branches), !Array.isArray(branches), options, "race")

/**
 * The first branch to succeed decides and gives its value; the others are cancelled. When all fail, the
 * failure of the last one to fail is the failure of the whole.
 */
export const any = <const T extends Branches>(
  branches: T,
  options?: Pick<FanOptions, "name">
): Instruction<BranchValue<OneIn<T>>, BranchError<OneIn<T>>, BranchServices<OneIn<T>>> =>
  fan("any", entries(branches), !Array.isArray(branches), options, "any")

/** Logs once, when the body first gets here, through Effect's logger. `fields` become annotations. */
export const log = (message: string, fields?: Record<string, unknown>): Instruction<void> =>
  make({ op: "log", message, fields: fields ?? {} })

/** Fails the body here with a typed error that a handler may catch and the run may end with. */
export const fail = <const E>(error: E): Instruction<never, E> => make({ op: "fail", error })

/** The run's id. */
export const runId: Instruction<string> = /* @__PURE__ */ make({ op: "runId" })

// ---------------------------------------------------------------------------------------------------
// handling

/** The generator that runs a branch. */
export const iterate = (branch: Branch): Iterator<unknown, unknown, unknown> =>
  typeof branch === "function"
    ? branch()
    : branch[Symbol.iterator]() as Iterator<unknown, unknown, unknown>

/** Errors that reached the body as a schema of the workflow declares them, and what they were before. */
const heard = new WeakMap<object, StepFailed>()

/** Remembers that no schema of the step itself declares `error`, so that handlers see `StepFailed`. */
export const hearAs = (error: unknown, failed: StepFailed): void => {
  if (typeof error === "object" && error !== null) heard.set(error, failed)
}

/** What a handler sees of `error`. */
export const toHeard = (error: unknown): unknown =>
  typeof error === "object" && error !== null ? heard.get(error) ?? error : error

const wrap = (run: () => Generator<any, unknown, any>): any => make({ op: "wrap", run })

/** Changes the value. `f` must be pure: it runs on every replay. */
export const map: {
  <A, B>(f: (value: A) => B): <E, R>(self: Instruction<A, E, R>) => Instruction<B, E, R>
  <A, E, R, B>(self: Instruction<A, E, R>, f: (value: A) => B): Instruction<B, E, R>
} = dual(
  2,
  <A, E, R, B>(self: Instruction<A, E, R>, f: (value: A) => B): Instruction<B, E, R> =>
    wrap(function*() {
      return f(yield* self)
    })
)

/** Turns a failure into a value: gives a `Result` and never fails. A cancel passes through. */
export const result = <A, E, R>(
  self: Instruction<A, E, R>
): Instruction<Result.Result<A, Heard<E>>, never, R> =>
  wrap(function*() {
    try {
      return Result.succeed(yield* self)
    } catch (error) {
      if (error instanceof Cancelled) throw error
      return Result.fail(toHeard(error))
    }
  })

const handle = (
  self: Instruction<any, any, any>,
  handler: (error: unknown) => Branch | undefined
): Instruction<any, any, any> =>
  wrap(function*() {
    try {
      return yield* self
    } catch (error) {
      if (error instanceof Cancelled) throw error
      const branch = handler(toHeard(error))
      if (branch === undefined) throw error
      return yield* { [Symbol.iterator]: () => iterate(branch) }
    }
  })

const catch_: {
  <E, B extends Branch>(
    f: (error: Heard<E>) => B
  ): <A, R>(
    self: Instruction<A, E, R>
  ) => Instruction<A | BranchValue<B>, BranchError<B>, R | BranchServices<B>>
  <A, E, R, B extends Branch>(
    self: Instruction<A, E, R>,
    f: (error: Heard<E>) => B
  ): Instruction<A | BranchValue<B>, BranchError<B>, R | BranchServices<B>>
} = dual(2, (self: Instruction<any, any, any>, f: (error: any) => Branch) => handle(self, f))

export {
  /** Goes on with another branch after a failure. A cancel passes through. */
  catch_ as catch
}

/** Whoever handles `StepFailed` handles every failure that is not declared. */
type Unhandled<E, Tag> = Exclude<
  E,
  { readonly _tag: Tag } | ("StepFailed" extends Tag ? Undeclared<unknown> : never)
>
type Tags<E> = Extract<Heard<E>, { readonly _tag: string }>["_tag"]
type Tagged<E, Tag> = Extract<Heard<E>, { readonly _tag: Tag }>

/** Goes on with another branch after a failure with this `_tag`; other failures pass through. */
export const catchTag: {
  <E, const Tag extends Tags<E>, B extends Branch>(
    tag: Tag,
    f: (error: Tagged<E, Tag>) => B
  ): <A, R>(
    self: Instruction<A, E, R>
  ) => Instruction<
    A | BranchValue<B>,
    Unhandled<E, Tag> | BranchError<B>,
    R | BranchServices<B>
  >
  <A, E, R, const Tag extends Tags<E>, B extends Branch>(
    self: Instruction<A, E, R>,
    tag: Tag,
    f: (error: Tagged<E, Tag>) => B
  ): Instruction<
    A | BranchValue<B>,
    Unhandled<E, Tag> | BranchError<B>,
    R | BranchServices<B>
  >
} = dual(
  3,
  (self: Instruction<any, any, any>, tag: string, f: (error: any) => Branch) =>
    handle(
      self,
      (error) =>
        typeof error === "object" && error !== null && "_tag" in error && error._tag === tag
          ? f(error)
          : undefined
    )
)
