/**
 * How a step is called before people: by hooks, logs, and whoever names one in a call.
 *
 * A workflow's steps are named by where they stand; a pipeline also journals what it decided itself, which
 * nobody is to be told of as a step. Names are exact: whoever prints one cleans it.
 */
import * as Outline from "./Outline.ts"

/**
 * - `step`, `transform`: a step
 * - `condition`, `decision`: what a pipeline asked itself before a step, or which branch it took
 * - `end`: the end of a branch or of a nested pipeline, which is told of as that step
 * - `own`: nothing to be told of
 */
export type Kind = "step" | "transform" | "condition" | "decision" | "end" | "own"

export interface Named {
  readonly label: string
  readonly kind: Kind
  /** False for one that is not to be printed, true for one that is even if nothing else is. */
  readonly log?: boolean | undefined
  /** Whether a failure because of an open circuit is a step left out. */
  readonly skipsOpen?: boolean | undefined
  /** Where it stands in a pipeline. */
  readonly place?: Place | undefined
}

export interface Place {
  /** What stands before its name in its id: steps of one level follow each other. */
  readonly level: string
  /** The branches and nested pipelines that it is a part of, the outermost first. */
  readonly within: ReadonlyArray<{
    /** The level that they stand in themselves. */
    readonly level: string
    /** What stands before `[` in the ids of their parts: another one in each attempt. */
    readonly fan: string
  }>
}

/** The step's id, and its name as the journal has it. */
export type Naming = (stepId: string, name: string) => Named

/** Names steps by where they stand, for people to read. */
export const byPlace: Naming = (stepId) => {
  const { branches, name } = Outline.place(stepId)
  const path = branches.flatMap(({ fan, key }) => [fan, key])
  return { label: [...path, name].join("/"), kind: "step" }
}

/** Names steps as the journal does. */
export const byName: Naming = (_, name) => ({ label: name, kind: "step" })

/** One part of an id: `name#count[key]`. */
export interface Part {
  readonly name: string
  /** The how many'th of its name. */
  readonly count: number
  readonly key: string
  /** As it stands in the id. */
  readonly text: string
}

const unescape = (text: string): string =>
  text.replace(
    /%([0-9a-f]{2})/g,
    (_, code: string) => String.fromCharCode(Number.parseInt(code, 16))
  )

const numbered = /^([^[#]*)(?:#(\d+))?(?:\[([^\]]*)\])?$/

/** An id, taken apart into names as they were given. */
export const partsOf = (stepId: string): ReadonlyArray<Part> =>
  stepId.split("/").map((part) => {
    const [, name = part, count, key = ""] = numbered.exec(part) ?? []
    return { name: unescape(name), count: Number(count ?? 1), key: unescape(key), text: part }
  })
