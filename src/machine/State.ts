/**
 * The machine's vocabulary: outcomes, what is pending, the nodes and open combinators of its tree, and
 * how a branch becomes a generator.
 */
import type * as Schema from "effect/Schema"
import type { Base, Child, Entry, Step } from "../Entry.ts"
import * as Instruction from "../Instruction.ts"

/** What an instruction, a branch or a body came to. */
export type Outcome = { readonly ok: true; readonly value: unknown } | {
  readonly ok: false
  readonly error: unknown
}

/** A recorded value that the code's schema does not decode. */
export class Undecodable {
  readonly why: string
  constructor(why: string) {
    this.why = why
  }
}

/** Turns what stands in the journal into what a body is handed. */
export interface Codec {
  readonly step: (step: Instruction.Step, entry: Step) => Outcome | Undecodable
  readonly event: (name: string, value: unknown) => Outcome | Undecodable
  readonly child: (child: Instruction.Child, entry: Child) => Outcome | Undecodable
  /** Whether the run may end with what its body threw; if not it is a bug. */
  readonly mayEndWith: (
    error: unknown,
    declared: ReadonlyMap<unknown, Schema.Json | undefined>
  ) => boolean
}

/** The journal and the code do not belong together. */
export interface Divergence {
  /** What the journal says came next. */
  readonly expected: Entry
  /** What the code does instead, in words. */
  readonly actual: string
  /** The instruction that stands where the journal has another. */
  readonly instruction: Instruction.Data | undefined
}

/** The body broke a rule that no handler of its own may hide. */
export interface Defect {
  readonly message: string
  /** Its stack shows where. */
  readonly cause?: Error
  /** An instruction that was made and never yielded. */
  readonly notYielded?: Instruction.Data
}

/** An instruction that waits for its outcome. */
export interface Pending {
  readonly id: string
  readonly instruction:
    | Instruction.Step
    | Instruction.Suspend
    | Instruction.Timer
    | Instruction.Child
  /** Timestamp of the outcome behind which it became pending. */
  readonly since: string
  /** UTC milliseconds at which its timer goes off. */
  readonly wakeAt: number | undefined
  /** The session of an intent that has no outcome yet. */
  intent: number
  /** A failed attempt that is to be repeated. */
  retry: Repeat | undefined
  /** Set by a cancel that awaits the outcome: what its branch will hear. */
  cancelling: Error | undefined
  /** Its undo runs. */
  isUndoing: boolean
  readonly seq: number
  readonly node: Node
}

/** Attempts that failed, and when the next one is due. */
export interface Repeat {
  readonly failed: ReadonlyArray<{
    /** How many attempts had been made. */
    readonly attempt: number
    /** UTC milliseconds. */
    readonly at: number
    /** As a body would hear it. */
    readonly error: unknown
  }>
  /** UTC milliseconds. */
  readonly wakeAt: number
  /** False once an intent of the next attempt is recorded. */
  readonly isWaiting: boolean
}

/** Something that was done and can be undone. */
export interface Done {
  readonly id: string
  readonly undo: Instruction.Undo
  readonly value: unknown
  /** Grows with every outcome. */
  readonly order: number
}

/** An undo that failed for good. */
export interface NotUndone {
  readonly step: string
  readonly tag: string
  readonly message: string
}

/** What a body said live: logged, or published. */
export type Said = Instruction.Log | Instruction.Publish

export type Kept = {
  readonly eventName: string
  readonly key?: string
  readonly value?: unknown
  readonly eventId: string
}

/** A step's recorded outcome, the instruction that it is the outcome of, and how many entries end with it. */
export interface Taken {
  readonly entry: Step
  readonly step: Instruction.Step
  readonly count: number
}

/** What was fed, for those who ask later what was done: hooks, checkpoints, overrides. */
export interface Memory {
  readonly entries: Array<{ readonly entry: Entry; readonly timestamp: string }>
  readonly taken: Array<Taken>
}

/** What a body shows of itself while it runs: the context that the steps of a pipeline merge into. */
export interface Exposed {
  context?: Readonly<Record<string, unknown>>
  /** Where it begins, if not at its first step. */
  base?: Base
  /** The end of a container that was performed last, and when that began, in UTC milliseconds. */
  ending?: { readonly stepId: string; readonly began: number }
  /** Where it stands between its outermost steps. */
  outermost?: Outermost
  /** How many entries are remembered. */
  count?: number
}

export interface Outermost {
  readonly context: () => Readonly<Record<string, unknown>>
  /** The names of the steps that are over. */
  readonly steps: () => ReadonlyArray<string>
  /** Whether a name that was used stands in an id again later. */
  readonly recurs: (name: string) => boolean
  /** How many entries were remembered when the last of them was over. */
  readonly from: number
}

/** One generator of the tree: the body's, a branch's, or an undo's. */
export class Node {
  /** The branch the node belongs to; undefined for the body. */
  readonly parent: Node | undefined
  readonly prefix: string
  readonly end: (outcome: Outcome) => void
  gen: Iterator<unknown, unknown, unknown>
  readonly outer: Array<Iterator<unknown, unknown, unknown>> = []
  readonly counts = new Map<string, { readonly escaped: string; count: number }>()
  leaf: Pending | undefined
  fan: OpenFan | undefined
  cancelled = false
  /** The error that a cancel threw. */
  reason: unknown = undefined
  /** Whether the node is an undo or a part of one. */
  readonly isUndo: boolean
  /** Whether the body leaves through `continueAs`. */
  isLeaving = false
  /** What was done here, and in its ended branches, and can be undone. */
  done: Array<Done> | undefined
  constructor(
    parent: Node | undefined,
    prefix: string,
    gen: Iterator<unknown, unknown, unknown>,
    end: (outcome: Outcome) => void,
    isUndo: boolean
  ) {
    this.parent = parent
    this.prefix = prefix
    this.gen = gen
    this.end = end
    this.isUndo = isUndo
  }
}

export interface OpenFan {
  readonly id: string
  readonly node: Node
  readonly instruction: Instruction.Fan
  next: number
  readonly live: Set<Node>
  readonly results: Array<Outcome | undefined>
  last: Outcome | undefined
  outcome: Outcome | undefined
  swept: boolean
  busy: boolean
  opening: boolean
}

export const failed = (error: unknown): Outcome => ({ ok: false, error })
export const done = (value: unknown): Outcome => ({ ok: true, value })

const special = /[%#[\]/]/g
export const escape = (name: string) =>
  name.replace(special, (c) => `%${c.charCodeAt(0).toString(16)}`)

/** The name of the outermost instruction that an id stands for or in, and the how many'th of the name it is. */
export const outermost = (id: string): { readonly name: string; readonly count: number } => {
  const [, escaped = id, count = "1"] = /^([^[/#]*)(?:#(\d+))?/.exec(id) ?? []
  const name = escaped.replace(
    /%([0-9a-f]{2})/g,
    (_, code: string) => String.fromCharCode(Number.parseInt(code, 16))
  )
  return { name, count: Number(count) }
}

export interface Options {
  readonly runId: string
  /** Named in messages. */
  readonly workflow: string
  readonly codec: Codec
  /** Whether the first slice runs for the first time, so that its logs count. */
  readonly live: boolean
  /** Whether slices are watched for what they must not do. */
  readonly guard: boolean
  /** Changes whose old path is gone. */
  readonly retired: ReadonlyArray<string>
  /** Whether what is fed is remembered. */
  readonly remembers?: boolean | undefined
  readonly exposed?: Exposed | undefined
}

/** What the machine takes from the first entry of a journal. */
export interface Start {
  readonly timestamp: string
  readonly seed?: string
  readonly incarnation: string
  /** Ids of events that the runs took which this one goes on from. */
  readonly taken?: ReadonlyArray<string>
  /** Where a pipeline begins. */
  readonly base?: Base
}

/** The later of two ISO timestamps; those of years over 9999 are longer. */
export const later = (a: string, b: string): string =>
  a.length !== b.length ? a.length > b.length ? a : b : a > b ? a : b

/** The generator of a branch; a function that throws instead of returning one fails its branch. */
export const start = (branch: Instruction.Branch): Iterator<unknown, unknown, unknown> => {
  try {
    const gen: unknown = Instruction.iterate(branch)
    if (typeof gen === "object" && gen !== null && "next" in gen) {
      return gen as Iterator<unknown, unknown, unknown>
    }
    return throwing(new TypeError("a branch that is a function must be a generator function"))
  } catch (error) {
    return throwing(error)
  }
}

/** A generator that fails at once. */
export const throwing = function*(error: unknown): Generator<never, never, unknown> {
  throw error
}

/** What was yielded instead of an instruction, in words. */
export const nameOf = (value: unknown): string => {
  switch (typeof value) {
    case "undefined":
      return "undefined"
    case "function":
      return "a function"
    case "object":
      if (value === null) return "null"
      if ("then" in value) return "a Promise"
      return "~effect/Effect" in value
        ? "an Effect"
        : `an object (${Object.keys(value).slice(0, 3).join(", ")})`
    default:
      return `${typeof value} ${String(value)}`
  }
}
