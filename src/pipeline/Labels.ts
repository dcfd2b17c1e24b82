/**
 * The names of a pipeline's steps before people, from their ids in the journal: `outer/inner` for nested
 * ones, `route/case/step` for those of a branch.
 */
import type { Kind, Named, Naming } from "../Naming.ts"
import * as Outline from "../Outline.ts"
import { mark } from "./Body.ts"
import type { Definition, Step } from "./Definition.ts"

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

const counted = /#(\d+)$/

/** The step of that name, the nth of several. */
const find = ({ steps }: Definition, name: string): Step | undefined => {
  const n = Number(counted.exec(name)?.[1] ?? 1)
  const same = steps.filter((step) => step.name === name.replace(counted, ""))
  return same[n - 1] ?? same[0]
}

const name = (definition: Definition, stepId: string): Named => {
  const { branches, name: last } = Outline.place(stepId)
  const path: Array<string> = []
  let at: Definition | undefined = definition
  for (const { fan, key } of branches) {
    const step: Step | undefined = at === undefined ? undefined : find(at, fan)
    // A time limit is a race around what it limits.
    if (step === undefined && fan.replace(counted, "") === "timeout") continue
    path.push(fan.replace(counted, ""))
    if (step?.kind === "branch") {
      path.push(key)
      at = step.cases.find(({ label }) => label === key)?.target
    } else {
      const part = step?.kind === "nested" ? step.parts[Number(key)] : undefined
      at = typeof part === "function" ? undefined : part
    }
  }
  const named = (kind: Kind, step: Step | undefined, as = last): Named => ({
    label: [...path, as.replace(counted, "")].join("/"),
    kind,
    log: step?.log,
    skipsOpen: step?.circuit?.skips
  })
  const exact = at === undefined ? undefined : find(at, last)
  if (exact?.kind === "step" || exact?.kind === "transform") return named(exact.kind, exact)
  const bare = last.replace(counted, "")
  for (const [kind, suffix] of marks) {
    if (!bare.endsWith(suffix)) continue
    const of = bare.slice(0, -suffix.length)
    const step = at === undefined ? undefined : find(at, of)
    if (step !== undefined || kind === "own") return named(kind, step, of)
  }
  return named("step", exact)
}

const marks: ReadonlyArray<readonly [Kind, string]> = [
  ["condition", mark.condition],
  ["decision", mark.decision],
  ["end", mark.end],
  ["own", mark.part],
  ["own", mark.pause]
]
