/**
 * A pipeline as data: its steps in order, and what each of them was configured with, checked.
 */
import type { StepInfo, StepOptions } from "../Instruction.ts"
import { withoutEnd } from "../internal/withoutEnd.ts"
import * as Retrying from "./Retrying.ts"
import type { Fields, MergePolicy, StepConfig } from "./Types.ts"

export type StepFunction = (context: Fields, step: StepInfo) => unknown

/** What a step runs; several run beside each other. */
export type Part = StepFunction | Definition

export interface Common {
  /** Stands in the journal. */
  readonly name: string
  readonly condition: boolean | ((context: Fields) => unknown)
  readonly onError: "throw" | "continue" | "skip-remaining"
  readonly log: boolean | undefined
  readonly mergePolicy: MergePolicy
  readonly settled: boolean
  readonly circuit: Circuit | undefined
  /** Of one attempt, in milliseconds. */
  readonly timeout: number | undefined
  readonly retrying: Retrying.Retrying
  /** How one attempt is run, and how often. */
  readonly options: StepOptions
}

export interface Circuit {
  readonly failureThreshold: number
  readonly cooldownMs: number
  readonly skips: boolean
}

export interface Case {
  /** Unlike that of any other case of the branch. */
  readonly label: string
  readonly when: ((context: Fields) => unknown) | undefined
  readonly target: Definition
}

/** A step of functions, one or several beside each other; a transform has one. */
export interface Plain extends Common {
  readonly kind: "step" | "transform"
  readonly functions: ReadonlyArray<StepFunction>
}

/** A step with pipelines among its parts. */
export interface Nested extends Common {
  readonly kind: "nested"
  readonly parts: ReadonlyArray<Part>
}

export interface Branch extends Common {
  readonly kind: "branch"
  readonly cases: ReadonlyArray<Case>
}

export type Step = Plain | Nested | Branch

/** A pipeline's steps. Adding one shares those before it. */
export class Definition {
  readonly before: Definition | undefined
  readonly last: Step | undefined
  readonly length: number
  private all: ReadonlyArray<Step> | undefined
  private repeated: ReadonlyArray<string> | undefined

  constructor(before?: Definition, last?: Step) {
    this.before = before
    this.last = last
    this.length = before === undefined ? 0 : before.length + 1
  }

  get steps(): ReadonlyArray<Step> {
    return this.all ??= [...listed(this)].reverse()
  }

  /** Whether several of its steps may journal something by this name: equal ones, or one that is called like a mark. */
  isRepeated(name: string): boolean {
    if (this.repeated === undefined) {
      const seen = new Set<string>()
      const longer = new Set(this.steps.map((step) => bare(step.name)))
      this.repeated = this.steps.flatMap(({ name: one }) => {
        const isKnown = seen.has(one) || (bare(one) !== one && longer.has(bare(one)))
        seen.add(one)
        return isKnown ? [bare(one)] : []
      })
    }
    return this.repeated.some((one) => name.startsWith(one))
  }
}

/** A name without what looks like a mark of a pipeline's own. */
const bare = (name: string): string => withoutEnd(name, "?", ">", "!", "~", "()")

/** The steps, the last first. */
function* listed(definition: Definition): Generator<Step> {
  for (let at: Definition | undefined = definition; at?.last !== undefined; at = at.before) {
    yield at.last
  }
}

const oneOf = <A extends string>(
  step: string,
  option: string,
  value: A | undefined,
  allowed: readonly [A, ...ReadonlyArray<A>]
): A => {
  if (value === undefined) return allowed[0]
  if (allowed.includes(value)) return value
  const shown = allowed.map((one) => `"${one}"`).join(", ")
  throw new TypeError(`Step "${step}" has ${option} ${shownAs(value)}; it may be one of ${shown}.`)
}

/** What was given, in words; whatever it is. */
const shownAs = (value: unknown): string =>
  typeof value === "string" ? JSON.stringify(value) : typeof value === "object" && value !== null
    ? "an object"
    : String(value)

const count = (
  step: string,
  option: string,
  value: number | undefined,
  least: number,
  otherwise: number
): number => {
  if (value === undefined) return otherwise
  if (typeof value === "number" && Number.isFinite(value) && value >= least) return value
  const from = least > 0 ? `a number of at least ${least}` : "0 or a positive number"
  throw new TypeError(`Step "${step}" has ${option} ${String(value)}; it must be ${from}.`)
}

const whole = (step: string, option: string, value: number | undefined): number => {
  const known = count(step, option, value, 0, 0)
  if (Number.isInteger(known)) return known
  throw new TypeError(`Step "${step}" has ${option} ${known}; it must be a whole number.`)
}

const knownOnly = (step: string, of: string, given: object, known: ReadonlySet<string>): void => {
  for (const option of Object.keys(given)) {
    if (known.has(option)) continue
    throw new TypeError(
      `Step "${step}" has an option "${of}${option}" that is not known; there are: ${
        [...known].join(", ")
      }.`
    )
  }
}

const circuitOptions = new Set(["failureThreshold", "cooldownMs", "behaviorOnOpen"])

const circuitOf = (step: string, given: StepConfig["circuitBreaker"]): Circuit | undefined => {
  if (given === undefined) return undefined
  if (typeof given !== "object" || given === null) {
    throw new TypeError(
      `Step "${step}" has circuitBreaker ${shownAs(given)}; it must be an object.`
    )
  }
  knownOnly(step, "circuitBreaker.", given, circuitOptions)
  const { behaviorOnOpen, cooldownMs, failureThreshold } = given
  return {
    failureThreshold: count(step, "circuitBreaker.failureThreshold", failureThreshold, 1, Infinity),
    cooldownMs: count(step, "circuitBreaker.cooldownMs", cooldownMs, 0, 60_000),
    skips:
      oneOf(step, "circuitBreaker.behaviorOnOpen", behaviorOnOpen, ["throw", "skip"]) === "skip"
  }
}

const known = new Set([
  "name",
  "condition",
  "onError",
  "log",
  "timeout",
  "parallelMode",
  "mergePolicy",
  "retries",
  "retryDelayMs",
  "shouldRetry",
  "circuitBreaker"
])

/** What a step is configured with, or a TypeError that names the option. */
export const configure = (name: string, config: StepConfig): Common => {
  if (typeof name !== "string" || name === "" || name.length > 190) {
    throw new TypeError(
      `A step of a pipeline needs a name of 1 to 190 characters, but was given ${
        JSON.stringify(name) ?? String(name)
      }.`
    )
  }
  knownOnly(name, "", config, known)
  const { condition = true, log, retryDelayMs, shouldRetry = () => true } = config
  if (typeof condition !== "boolean" && typeof condition !== "function") {
    throw new TypeError(`Step "${name}" has a condition that is neither a boolean nor a function.`)
  }
  if (typeof shouldRetry !== "function") {
    throw new TypeError(
      `Step "${name}" has shouldRetry ${shownAs(shouldRetry)}; it must be a function.`
    )
  }
  if (log !== undefined && typeof log !== "boolean") {
    throw new TypeError(`Step "${name}" has log ${shownAs(log)}; it must be true or false.`)
  }
  const timeout = config.timeout === undefined
    ? undefined
    : count(name, "timeout", config.timeout, 1, 1)
  const circuit = circuitOf(name, config.circuitBreaker)
  const retrying: Retrying.Retrying = {
    step: name,
    retries: whole(name, "retries", config.retries),
    delay: typeof retryDelayMs === "function"
      ? retryDelayMs
      : ((millis) => () => millis)(count(name, "retryDelayMs", retryDelayMs, 0, 0)),
    shouldRetry
  }
  return {
    name,
    condition,
    onError: oneOf(name, "onError", config.onError, ["throw", "continue", "skip-remaining"]),
    log,
    mergePolicy: oneOf(name, "mergePolicy", config.mergePolicy, [
      "override",
      "error",
      "warn",
      "skip"
    ]),
    settled: oneOf(name, "parallelMode", config.parallelMode, ["all", "settled"]) === "settled",
    circuit,
    timeout,
    retrying,
    options: {
      // A breaker is to hear of an attempt whose time is up.
      ...(timeout === undefined || circuit !== undefined ? undefined : { timeout }),
      ...(retrying.retries === 0 ? undefined : { retry: Retrying.policy(retrying) })
    }
  }
}
