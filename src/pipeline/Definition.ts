/**
 * A pipeline as data: its steps in order, and what each of them was configured with, checked.
 */
import type { StepInfo, StepOptions } from "../Instruction.ts"
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

  constructor(before?: Definition, last?: Step) {
    this.before = before
    this.last = last
    this.length = before === undefined ? 0 : before.length + 1
  }

  get steps(): ReadonlyArray<Step> {
    return this.all ??= [...listed(this)].reverse()
  }
}

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
  throw new TypeError(
    `Step "${step}" has ${option} ${JSON.stringify(value)}; it may be one of ${shown}.`
  )
}

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
  for (const option of Object.keys(config)) {
    if (known.has(option)) continue
    throw new TypeError(
      `Step "${name}" has an option "${option}" that is not known; there are: ${
        [...known].join(", ")
      }.`
    )
  }
  const { circuitBreaker, condition = true, retryDelayMs, shouldRetry } = config
  if (typeof condition !== "boolean" && typeof condition !== "function") {
    throw new TypeError(`Step "${name}" has a condition that is neither a boolean nor a function.`)
  }
  const timeout = config.timeout === undefined
    ? undefined
    : count(name, "timeout", config.timeout, 1, 1)
  const retrying: Retrying.Retrying = {
    retries: Math.floor(count(name, "retries", config.retries, 0, 0)),
    delay: typeof retryDelayMs === "function"
      ? retryDelayMs
      : ((millis) => () => millis)(count(name, "retryDelayMs", retryDelayMs, 0, 0)),
    shouldRetry: shouldRetry ?? (() => true)
  }
  return {
    name,
    condition,
    onError: oneOf(name, "onError", config.onError, ["throw", "continue", "skip-remaining"]),
    log: config.log,
    mergePolicy: oneOf(name, "mergePolicy", config.mergePolicy, [
      "override",
      "error",
      "warn",
      "skip"
    ]),
    settled: oneOf(name, "parallelMode", config.parallelMode, ["all", "settled"]) === "settled",
    circuit: circuitBreaker === undefined ? undefined : {
      failureThreshold: count(
        name,
        "circuitBreaker.failureThreshold",
        circuitBreaker.failureThreshold,
        1,
        Infinity
      ),
      cooldownMs: count(name, "circuitBreaker.cooldownMs", circuitBreaker.cooldownMs, 0, 60_000),
      skips: oneOf(name, "circuitBreaker.behaviorOnOpen", circuitBreaker.behaviorOnOpen, [
        "throw",
        "skip"
      ]) === "skip"
    },
    retrying,
    options: {
      ...(timeout === undefined ? undefined : { timeout }),
      ...(retrying.retries === 0 ? undefined : { retry: Retrying.policy(retrying) })
    }
  }
}
