/**
 * The names of a pipeline's steps before people, from their ids in the journal: `outer/inner` for nested
 * ones, `route/case/step` for those of a branch.
 *
 * A name may be used by several steps, and by what the pipeline journals for itself beside them; the
 * definition says in which order.
 */
import { type Kind, type Named, type Naming, partsOf, type Place } from "../Naming.ts"
import { mark } from "./Body.ts"
import type { Definition, Part, Step } from "./Definition.ts"

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
    ...(step.retrying.retries === 0 ? [] : [use("own", mark.pause)]),
    use("end", mark.end)
  ]
}

/**
 * What a part of an id stands for. What was left out has used no name, so it is the use of that count or a
 * later one; but what is repeated uses its names again.
 */
const find = (
  uses: ReadonlyArray<Use>,
  count: number,
  fits: (use: Use) => boolean
): Use | undefined => uses.slice(count - 1).find(fits) ?? uses.findLast(fits)

const ofName = ({ steps }: Definition, name: string): ReadonlyArray<Use> => {
  const uses = steps.flatMap((step) => usesOf(step).filter((use) => use.name === name))
  // Whether there was a pause is not known: a step of that name is rather meant, so that it is told of.
  return uses.every(({ kind }) => kind === "own") ? uses : uses.filter(({ kind }) => kind !== "own")
}

const isEntry = ({ kind }: Use): boolean => kind !== "fan" && kind !== "limit"

const isContainer = ({ kind }: Step): boolean => kind === "branch" || kind === "nested"

/** Whether it is a container that has this part, or the time limit of one. */
const holds = (key: string) => ({ kind, step }: Use): boolean => {
  if (kind === "limit") return key === "value" || key === "timeout"
  if (kind !== "fan") return false
  return step.kind === "branch"
    ? step.cases.some(({ label }) => label === key)
    : step.kind === "nested" && step.parts[Number(key)] !== undefined
}

const name = (definition: Definition, stepId: string): Named => {
  const parts = partsOf(stepId)
  const last = parts.at(-1)!
  const path: Array<string> = []
  const within: Array<Place["within"][number]> = []
  let at: Definition | undefined = definition
  let level = "", prefix = ""
  /** What has a time limit, inside of that. */
  let limited: Step | undefined
  /** What a function stands in that is a part beside pipelines. */
  let beside: Step | undefined
  for (const { count, key, name, text } of parts.slice(0, -1)) {
    const use: Use | undefined = at === undefined || limited !== undefined
      ? undefined
      : find(ofName(at, name), count, holds(key))
    const fan = prefix + text.split("[")[0]!
    prefix += `${text}/`
    if (use?.kind === "limit") {
      limited = use.step
      continue
    }
    // Inside of a time limit, names are counted anew.
    const step: Step | undefined = limited === undefined || at === undefined
      ? use?.step
      : [limited, ...at.steps].find((one) => one.name === name && isContainer(one))
    limited = undefined
    within.push({ level, fan })
    level = prefix
    path.push(name)
    if (step?.kind === "branch") {
      path.push(key)
      at = step.cases.find(({ label }) => label === key)?.target
    } else {
      const part: Part | undefined = step?.kind === "nested" ? step.parts[Number(key)] : undefined
      beside = typeof part === "function" ? step : undefined
      at = typeof part === "function" ? undefined : part
    }
  }
  const named = (kind: Kind, step: Step | undefined, ...as: ReadonlyArray<string>): Named => ({
    label: [...path, ...as].join("/"),
    kind,
    log: step?.log,
    skipsOpen: step?.circuit?.skips,
    place: { level, within }
  })
  // That a limit was reached is told of as the failure of what it limits.
  if (limited !== undefined) return named("own", limited, limited.name)
  if (beside !== undefined && last.name === beside.name + mark.part) return named("own", beside)
  const use = at === undefined ? undefined : find(ofName(at, last.name), last.count, isEntry)
  return use === undefined
    ? named("step", undefined, last.name)
    : named(use.kind as Kind, use.step, use.step.name)
}
