/**
 * The names of a pipeline's steps before people, from their ids in the journal: `outer/inner` for nested
 * ones, `route/case/step` for those of a branch.
 *
 * A name may be used by several steps, and by what the pipeline journals for itself beside them; the
 * definition says in which order.
 */
import { type Kind, type Named, type Naming, type Part, partsOf } from "../Naming.ts"
import { mark } from "./Body.ts"
import type { Branch, Definition, Nested, Step } from "./Definition.ts"

/** Names the steps of a pipeline. */
export const of = (definition: Definition): Naming => {
  const known = new Map<string, Named>()
  return (stepId) => {
    const named = known.get(stepId)
    if (named !== undefined) return named
    const made = name(definition, stepId)
    known.set(stepId, made)
    return made
  }
}

/** One thing that a step may journal under a name, or a combinator that it opens. */
interface Use {
  readonly step: Step
  readonly kind: Kind | "fan" | "limit"
  readonly name: string
}

/** The name of the race that a time limit of a container is. */
const limit = "timeout"

/** What a step journals, in order. */
const usesOf = (step: Step): ReadonlyArray<Use> => {
  const use = (kind: Use["kind"], suffix = ""): Use => ({ step, kind, name: step.name + suffix })
  const asked = step.condition === true ? [] : [use("condition", mark.condition)]
  if (step.kind === "step" || step.kind === "transform") return [...asked, use(step.kind)]
  return [
    ...asked,
    ...(step.kind === "branch" ? [use("decision", mark.decision)] : []),
    step.timeout === undefined ? use("fan") : { step, kind: "limit", name: limit },
    use("own", mark.pause),
    use("end", mark.end)
  ]
}

/**
 * What a part of an id stands for. What was left out has used no name, so it is the use of that count or a
 * later one; but what is repeated uses its names again.
 */
const find = <U extends Use>(
  uses: ReadonlyArray<Use>,
  count: number,
  fits: (use: Use) => use is U
): U | undefined => uses.slice(count - 1).find(fits) ?? uses.findLast(fits)

const ofName = ({ steps }: Definition, name: string): ReadonlyArray<Use> =>
  steps.flatMap((step) => usesOf(step).filter((use) => use.name === name))

const isEntry = (use: Use): use is Use & { readonly kind: Kind } =>
  use.kind !== "fan" && use.kind !== "limit"

type Container = Use & { readonly step: Nested | Branch }

/** Whether it is a container that has this part. */
const has = (key: string) => (use: Use): use is Container => {
  const { kind, step } = use
  return kind === "fan" && (step.kind === "branch"
    ? step.cases.some(({ label }) => label === key)
    : step.kind === "nested" && step.parts[Number(key)] !== undefined)
}

const isLimit = (use: Use): use is Container => use.kind === "limit"

const name = (definition: Definition, stepId: string): Named => {
  const parts = partsOf(stepId)
  const last = parts.at(-1)!
  const path: Array<string> = []
  const within: Array<{ level: string; fan: string }> = []
  let at: Definition | undefined = definition
  let level = "", prefix = ""
  /** Set inside of a time limit. */
  let limited: Step | undefined
  /** What a function stands in that is a part beside pipelines. */
  let beside: Step | undefined
  for (const part of parts.slice(0, -1)) {
    const { key, text } = part
    const before = limited === undefined ? fanAt(at, part) : limitedAt(limited, at, part)
    const fan = prefix + text
    prefix = `${fan}[${keyText(stepId, fan)}]/`
    if (before?.kind === "limit") {
      limited = before.step
      continue
    }
    limited = undefined
    const step = before?.step
    within.push({ level, fan })
    level = prefix
    path.push(part.name)
    if (step?.kind === "branch") {
      path.push(key)
      at = step.cases.find(({ label }) => label === key)?.target
    } else {
      const inner: unknown = step?.kind === "nested" ? step.parts[Number(key)] : undefined
      beside = typeof inner === "function" ? step : undefined
      at = typeof inner === "function" ? undefined : inner as Definition | undefined
    }
  }
  const named = (kind: Kind, step: Step | undefined, as?: string): Named => ({
    label: (as === undefined ? path : [...path, as]).join("/"),
    kind,
    log: step?.log,
    skipsOpen: step?.circuit?.skips,
    place: { level, within }
  })
  // The end of a time limit is told of as the failure of what it limits.
  if (limited !== undefined) return named("own", limited, limited.name)
  if (beside !== undefined && last.name === beside.name + mark.part) return named("own", beside)
  const use = at === undefined ? undefined : find(ofName(at, last.name), last.count, isEntry)
  return use === undefined
    ? named("step", undefined, last.name)
    : named(use.kind, use.step, use.step.name)
}
