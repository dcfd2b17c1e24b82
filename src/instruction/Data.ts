/**
 * The data behind an instruction: a closed union that `Machine` and `Session` switch on, and the one
 * function that makes an instruction of it. Nothing here runs anything.
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Pipeable from "effect/Pipeable"
import type * as Schedule from "effect/Schedule"
import type * as Schema from "effect/Schema"
import { remember, slice, use } from "../internal/slice.ts"
import type { Callee } from "./Callee.ts"
import type { Branch, Instruction } from "./Yieldable.ts"

/** What may be published, by channel. */
export type Channels = Readonly<Record<string, unknown>>

/** What a step is told about itself. `Ch` are the values of the workflow's channels. */
export interface StepInfo<Ch extends Channels = any> {
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
  /** Shows progress to whoever watches the run: live, marked with step and attempt, not journaled. */
  readonly publish: (
    ...said: { [K in keyof Ch & string]: [channel: K, value: Ch[K]] }[keyof Ch & string]
  ) => void
}

/** `StepInfo` for Effects: available inside every step. */
export class StepContext extends Context.Service<StepContext, StepInfo>()("reprise/StepContext") {}

type AnyEffect = Effect.Effect<any, any, any>
/** What a step may run. */
export type Work<Ch extends Channels = any> = AnyEffect | ((step: StepInfo<Ch>) => unknown)

/** How often and when a failed attempt is repeated: a count, a schedule, or Effect's retry options. */
export type Retry = number | Schedule.Schedule<any, any, any, any> | Effect.Retry.Options<any>

/** Why something is undone. */
export interface UndoCause {
  /** What the body failed with, or `Cancelled`. */
  readonly error: unknown
  /** What is undone. */
  readonly stepId: string
  /** That of the step that is undone: find by it what the step may have done. */
  readonly idempotencyKey: string
}

/** Undoes what succeeded with `value`, which is undefined when a crash left that unknown. */
export type Undo<A = any> = (value: A | undefined, cause: UndoCause) => Branch

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

/** The closed union that `Machine` and `Session` switch on. */
export type Data =
  | Step
  | Suspend
  | Timer
  | Child
  | Fan
  | Log
  | Publish
  | Fail
  | Ask
  | Patched
  | Token
  | Continue
  | Saga
  | Wrap

export interface Step {
  readonly op: "step"
  readonly name: string
  readonly work: Work
  readonly options: StepOptions & {
    /** Whether what the work writes and the step's entry are committed together. */
    readonly isTransaction?: true
  }
  readonly undo: Undo | undefined
}
export interface Suspend {
  readonly op: "suspend"
  readonly name: string
  readonly key: string | undefined
  readonly reason: string | undefined
  /** Milliseconds; with it the answer is an Option. */
  readonly timeout: number | undefined
}
/** Waits for so many milliseconds, or until an instant in UTC milliseconds. */
export interface Timer {
  readonly op: "sleep"
  readonly name: string
  readonly millis: number | undefined
  readonly until: number | undefined
}
export interface Child {
  readonly op: "child"
  readonly name: string
  /** Undefined for a part of the body itself that runs as a run of its own. */
  readonly callee: Callee<any, any, any, any> | undefined
  readonly input: unknown
  readonly part: (() => Branch) | undefined
  readonly runId: string | undefined
  readonly discard: boolean
  readonly onCancel: "cancel" | "await" | "abandon"
  readonly undo: Undo | undefined
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
export interface Publish {
  readonly op: "publish"
  readonly channel: string
  readonly value: unknown
}
export interface Fail {
  readonly op: "fail"
  readonly error: unknown
}
/** Answered by the machine from what the journal says anyway. */
export interface Ask {
  readonly op: "runId" | "now" | "random" | "uuid"
}
export interface Patched {
  readonly op: "patched"
  readonly changeId: string
}
export interface Token {
  readonly op: "token"
  readonly event: string
  readonly key: string | undefined
}
/** Ends this journal and goes on in a fresh one. */
export interface Continue {
  readonly op: "continueAs"
  readonly input: unknown
}
/** A branch in the same place that is undone when the run fails or is cancelled later. */
export interface Saga {
  readonly op: "saga"
  readonly of: Branch
  readonly undo: Undo
}
/** Another branch run in the same place; `map`, `result` and `catch` are made of it. */
export interface Wrap {
  readonly op: "wrap"
  readonly run: () => Iterator<unknown, unknown, unknown>
  /** The instruction inside, where there is one. */
  readonly of?: Instruction<any, any, any, any>
}

const TypeId = "~reprise/Instruction"

/** Whether `u` may be yielded by a body. */
export const isInstruction = (u: unknown): u is Instruction<any, any, any, any> =>
  typeof u === "object" && u !== null && TypeId in u

/** Fails a step that handed out an instruction instead of a value. */
export const misplacedError = (self: Instruction<any, any, any, any>): TypeError =>
  misplaced(data(self))

/** The data of an instruction. */
export const data = (self: Instruction<any, any, any, any>): Data => self as unknown as Data

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

const misplaced = (self: Data): TypeError =>
  new TypeError(
    `${
      "name" in self ? `"${self.name}"` : `"${self.op}"`
    } is an instruction, and was used inside a step. `
      + `Instructions belong in the body: yield* them there, one after the other.`
  )

const Proto = {
  ...Pipeable.Prototype,
  // What Effect's runtime calls on whatever is yielded in Effect.gen: without it the fiber ends unheard.
  ["~effect/Effect/evaluate"](this: Data) {
    return Effect.die(misplaced(this))
  },
  [TypeId]: TypeId,
  [Symbol.iterator](this: Data) {
    if (this.op !== "wrap") return new Once(this)
    // It runs in the place of the one that yields it, and is never handed to the machine itself.
    if (slice.isOpen) use(this)
    return this.run()
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

/** A step's data. A class, since steps are made most often and an object of one shape is made fastest. */
class StepData implements Step {
  readonly op = "step"
  readonly name: string
  readonly work: Work
  readonly options: Step["options"]
  readonly undo: Undo | undefined
  constructor(name: string, work: Work, options: Step["options"], undo: Undo | undefined) {
    this.name = name
    this.work = work
    this.options = options
    this.undo = undo
  }
}
Object.setPrototypeOf(StepData.prototype, Proto)

export const makeStep = (
  name: string,
  work: Work,
  options: Step["options"],
  undo?: Undo
): any => {
  const self = new StepData(name, work, options, undo)
  if (slice.isOpen) remember(self)
  if (tracing) traces.set(self, new Error("made here").stack ?? "")
  return self
}

/** An instruction is its data on a prototype that can be piped and yielded. */
export const make = (fields: Exclude<Data, Step>): any => {
  const self = Object.assign(Object.create(Proto), fields)
  if (slice.isOpen) remember(self)
  if (tracing) traces.set(self, new Error("made here").stack ?? "")
  return self
}

/** Takes back an instruction that another one was made of, and that nobody is to yield. */
export const retract = (self: object): void => {
  if (slice.isOpen) use(self)
}

/** A name that can stand in an id. */
export const named = (what: string, name: unknown): string => {
  if (typeof name === "string" && name !== "" && name.length <= 200) return name
  throw new TypeError(
    `${what} needs a name of 1 to 200 characters, but was given ${
      JSON.stringify(name) ?? String(name)
    }.`
  )
}

/** The generator that runs a branch. */
export const iterate = (branch: Branch): Iterator<unknown, unknown, unknown> =>
  typeof branch === "function"
    ? branch()
    : branch[Symbol.iterator]() as Iterator<unknown, unknown, unknown>
