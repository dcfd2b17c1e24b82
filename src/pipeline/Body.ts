/**
 * A pipeline as the body of a workflow: each step a journaled step, and what they gave merged into the
 * context between them.
 *
 * Besides its steps it journals what it decided: `x?` is what the condition of step `x` answered, `x>` which
 * branch `x` took, `x!` that a branch or a nested pipeline is over, `x()` what a function beside a nested
 * pipeline gave, `x~` whether and when it is repeated. A resume goes by these, whatever the
 * conditions would say now.
 */
import * as Result from "effect/Result"
import type { Base } from "../Entry.ts"
import * as Instruction from "../Instruction.ts"
import type { Exposed } from "../Machine.ts"
import { Context, effective } from "./Context.ts"
import {
  type Branch,
  type Case,
  type Common,
  Definition,
  type Nested,
  type Part,
  type Plain,
  type Step
} from "./Definition.ts"
import * as Retrying from "./Retrying.ts"
import type { Fields } from "./Types.ts"
import * as Work from "./Work.ts"

/** A step whose value is known to be a patch, whatever the types say of the user's functions. */
const journaled: (
  name: string,
  work: (info: Instruction.StepInfo) => unknown,
  options?: Instruction.StepOptions
) => Instruction.Instruction<any, any, any, any> = Instruction.step as any

type Body<A> = Generator<Instruction.Instruction<any, any, any, any>, A, any>

/** The names of what a pipeline journals for itself. */
export const mark = { condition: "?", decision: ">", end: "!", part: "()", pause: "~" } as const

/** A branch that the journal took is in the pipeline no more. */
class CaseGone extends Error {
  override readonly name = "CaseGone"
  constructor(branch: string, label: string, cases: ReadonlyArray<Case>) {
    super(
      `branch "${branch}" took its case "${label}" in this run, and has only: ${
        cases.map((one) => `"${one.label}"`).join(", ")
      }`
    )
  }
}

/** Runs a pipeline; gives its context. */
export function* body(definition: Definition, input: unknown, exposed: Exposed): Body<Fields> {
  const { base } = exposed
  const begins = base?.context ?? { ...(input as object | undefined) }
  const context = new Context(begins as Record<string, unknown>, exposed, false)
  const stands = (over: number) => {
    exposed.outermost = {
      context: () => context.all,
      steps: () => definition.steps.slice(0, over).map(({ name }) => name),
      recurs: (name) => definition.isRepeated(name),
      from: exposed.count ?? 0
    }
  }
  const from = base?.steps.length ?? 0
  stands(from)
  yield* steps(definition, context, from, stands)
  return context.all
}

/** Runs the steps of a pipeline from one on, until one says that the rest is skipped. */
function* steps(
  { steps }: Definition,
  context: Context,
  from: number = 0,
  onOver?: (over: number) => void
): Body<void> {
  for (let at = from; at < steps.length; at++) {
    const step = steps[at]!
    // What comes before is over, however it ended.
    if (at > from) onOver?.(at)
    try {
      const { condition } = step
      if (condition !== true) {
        const runs: unknown = yield* journaled(
          step.name + mark.condition,
          () => condition === false ? false : Work.answer(condition, context)
        )
        if (runs !== true) continue
      }
      if (step.kind === "nested" || step.kind === "branch") yield* container(step, context)
      else {
        const given = yield* journaled(
          step.name,
          (info) => Work.perform(step, context, info),
          step.options
        )
        // A transform that failed beside others leaves the context as it is.
        if (step.kind === "transform" && given !== undefined) context.replace(given)
        else context.merge(given)
      }
    } catch (error) {
      // What is still running below a container has its own context; this one is the outer again.
      context.show()
      if (mustPass(error) || (step.onError === "throw" && !isLeftOut(step, error))) throw error
      if (step.onError === "skip-remaining" && !isLeftOut(step, error)) return
    }
  }
  onOver?.(steps.length)
}

/** Why a pipeline of this definition cannot begin where a checkpoint was taken. */
export const refusesBase = ({ steps }: Definition, base: Base): string | undefined => {
  const at = base.steps.findIndex((name, k) => steps[k]?.name !== name)
  if (at < 0) return undefined
  const now = steps[at] === undefined ? "none" : `"${steps[at].name}"`
  return `${now} as its step ${at + 1}, which was "${base.steps[at]}"`
}

/** A cancel, and a body that does not fit its journal, are no failures of a step. */
const mustPass = (error: unknown): boolean =>
  error instanceof Instruction.Cancelled || error instanceof CaseGone

/** Whether a step was left out because its circuit is open. */
const isLeftOut = ({ circuit }: Step, error: unknown): boolean =>
  circuit?.skips === true && typeof error === "object" && error !== null && "tag" in error
  && error.tag === "StepCircuitOpen"

/** A branch, or a step with pipelines in it: what it contributes is merged when it is over. */
function* container(step: Nested | Branch, context: Context): Body<void> {
  const began: number = yield* Instruction.now
  let branches: Record<string, () => Body<Fields>> = {}
  if (step.kind === "branch") {
    const chosen: string | null = yield* journaled(
      step.name + mark.decision,
      () => Work.choose(step, context)
    )
    const taken = step.cases.find(({ label }) => label === chosen)
    if (chosen !== null && taken === undefined) throw new CaseGone(step.name, chosen, step.cases)
    if (taken !== undefined) branches = { [taken.label]: () => nested(taken.target, context) }
  } else {
    branches = Object.fromEntries(
      step.parts.map((part, k) => [String(k), () => ofPart(step, part, context)])
    )
  }
  const given = Object.keys(branches).length === 0
    ? []
    : yield* attempted(step, context, began, branches)
  const extra = yield* journaled(step.name + mark.end, ({ stepId }) => {
    context.ended(stepId, began)
    const { collided } = effective(context, given, step.mergePolicy)
    return collided.length === 0 ? undefined : Work.warn(step.name, collided)
  })
  context.merge(effective(context, given, step.mergePolicy).patch)
  context.merge(extra as Fields | undefined)
}

/** What the branches gave; that they failed is journaled, so that it is told of the container, too. */
function* attempted(
  step: Nested | Branch,
  context: Context,
  began: number,
  branches: Record<string, () => Body<Fields>>
): Body<ReadonlyArray<Fields>> {
  try {
    return yield* repeated(step, branches)
  } catch (error) {
    if (mustPass(error)) throw error
    try {
      yield* journaled(step.name + mark.end, ({ stepId }) => {
        context.ended(stepId, began)
        throw Work.failureOf(error)
      })
    } catch (journaledError) {
      if (mustPass(journaledError)) throw journaledError
    }
    throw error
  }
}

/** Runs a pipeline inside another; gives what it changed and added. */
function* nested(definition: Definition, outer: Context): Body<Fields> {
  const context = outer.nested()
  yield* steps(definition, context)
  return context.changes()
}

/** Runs one part of a step that has pipelines among its parts. */
function* ofPart(step: Common, part: Part, context: Context): Body<Fields> {
  if (part instanceof Definition) return yield* nested(part, context)
  const alone: Plain = {
    ...step,
    kind: "step",
    functions: [part],
    settled: false,
    mergePolicy: "override"
  }
  const given = yield* journaled(
    step.name + mark.part,
    (info) => Work.perform(alone, context, info)
  )
  return given ?? {}
}

/** Runs the branches, and again where they fail and are to be repeated. */
function* repeated(
  { name, retrying, settled, timeout }: Nested | Branch,
  branches: Record<string, () => Body<Fields>>
): Body<ReadonlyArray<Fields>> {
  for (let failed = 1;; failed++) {
    try {
      const all = Instruction.all(branches, { name, ...(settled ? { mode: "result" } : undefined) })
      const given: Record<string, any> = yield* timeout === undefined
        ? all
        : Instruction.timeout(all, timeout)
      if (!settled) return Object.values(given)
      const succeeded: Array<Fields> = []
      for (const result of Object.values(given) as Array<Result.Result<Fields, unknown>>) {
        if (Result.isSuccess(result)) succeeded.push(result.success)
        else if (mustPass(result.failure)) throw result.failure
        else yield* Instruction.log(Work.failedPart(result.failure))
      }
      return succeeded
    } catch (error) {
      if (mustPass(error)) throw error
      const failure = isTimeUp(error)
        ? new Instruction.StepTimeout({ step: name, timeout: timeout!, attempts: failed })
        : error
      if (failed > retrying.retries) throw failure
      const delay: number | null = yield* journaled(
        name + mark.pause,
        () => Retrying.next(retrying, failed, failure)
      )
      if (delay === null) throw failure
      if (delay > 0) yield* Instruction.sleep(delay, { name: name + mark.pause })
    }
  }
}

/** Whether it is the limit of a whole container that was reached. */
const isTimeUp = (error: unknown): boolean =>
  error instanceof Instruction.StepTimeout && error.step === "timeout"
