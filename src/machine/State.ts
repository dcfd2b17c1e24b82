/**
 * The machine's vocabulary: outcomes, what is pending, the nodes and open combinators of its tree, and
 * how a branch becomes a generator.
 */
import type { Entry, Step } from "../Entry.ts"
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
}

/** An instruction that waits for its outcome. */
export interface Pending {
  readonly id: string
  readonly instruction: Instruction.Step | Instruction.Suspend
  /** Timestamp of the entry behind which it became pending. */
  readonly since: string
  /** The session of an intent that has no outcome yet. */
  intent: number
  readonly seq: number
  readonly node: Node
}

/** What a body logged live. */
export interface Logged {
  readonly message: string
  readonly fields: Record<string, unknown>
}

export type Kept = {
  readonly eventName: string
  readonly key?: string
  readonly value?: unknown
  readonly eventId: string
}

/** One generator of the tree: the body's, or a branch's. */
export class Node {
  readonly prefix: string
  readonly end: (outcome: Outcome) => void
  gen: Iterator<unknown, unknown, unknown>
  readonly outer: Array<Iterator<unknown, unknown, unknown>> = []
  readonly counts = new Map<string, { readonly escaped: string; count: number }>()
  leaf: Pending | undefined
  fan: OpenFan | undefined
  cancelled = false
  constructor(
    prefix: string,
    gen: Iterator<unknown, unknown, unknown>,
    end: (outcome: Outcome) => void
  ) {
    this.prefix = prefix
    this.gen = gen
    this.end = end
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

export const describe = (p: Pending) =>
  `${p.instruction.op === "step" ? "step" : "suspend"} "${p.id}"`
  + (p.instruction.op === "suspend" && p.instruction.key !== undefined
    ? ` (key "${p.instruction.key}")`
    : "")

export interface Options {
  readonly runId: string
  /** Named in messages. */
  readonly workflow: string
  readonly codec: Codec
  /** Whether the first slice runs for the first time, so that its logs count. */
  readonly live: boolean
}

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
