/** Finds the workflows in what a module exports, by their fields: it may have a copy of this library of its own. */
import { programOf } from "../../Replay.ts"
import type { Workflow } from "../../workflow/Types.ts"

/** A workflow of which nothing is known. */
export type AnyWorkflow = Workflow<any, any, any, any, any, any, any>

export interface Exported {
  readonly module: string
  /** As in `default.order`. */
  readonly path: string
  readonly workflow: AnyWorkflow
}

/** How deep arrays and objects are looked into. */
const deepest = 3

/** Each workflow once, however often it is exported. */
export const workflowsIn = (module: string, exports: unknown): ReadonlyArray<Exported> => {
  const found = new Map<AnyWorkflow, Exported>()
  const look = (value: unknown, path: ReadonlyArray<string>) => {
    const workflow = workflowOf(value)
    if (workflow !== undefined) {
      if (found.has(workflow)) return
      found.set(workflow, { module, path: JSON.stringify(path.join(".")), workflow })
    } else if (path.length < deepest && isPlain(value)) {
      for (const key of Object.keys(value)) look(fieldOf(value, key), [...path, key])
    }
  }
  look(exports, [])
  return [...found.values()]
}

/** Older versions belong to the workflow that has them. */
export const newest = (exported: ReadonlyArray<Exported>): ReadonlyArray<Exported> => {
  const programs = exported.map(({ workflow }) => programOf(workflow))
  return exported.filter(({ workflow }) =>
    !programs.some(({ previous }) => previous.includes(programOf(workflow)))
  )
}

/** A workflow with a body; that of a pipeline is in it. */
const workflowOf = (value: unknown): AnyWorkflow | undefined => {
  if (isWorkflow(value)) return value
  if (isPlain(value) || typeof fieldOf(value, "runCheckpoint") !== "function") return undefined
  const inside = fieldOf(value, "workflow")
  return isWorkflow(inside) ? inside : undefined
}

const isWorkflow = (value: unknown): value is AnyWorkflow =>
  fieldOf(value, "~driven") !== undefined
  && fieldOf(fieldOf(value, "~callee"), "program") !== undefined
  && typeof fieldOf(value, "replay") === "function"

const isPlain = (value: unknown): value is object => {
  if (typeof value !== "object" || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return Array.isArray(value) || prototype === null || prototype === Object.prototype
}

/** A field of anything; what throws when it is looked at has none. */
export const fieldOf = (value: unknown, key: string): unknown => {
  if ((typeof value !== "object" && typeof value !== "function") || value === null) return undefined
  try {
    return Reflect.get(value, key)
  } catch {
    return undefined
  }
}

/** What is exported, for who looks for a workflow in it. */
export const kinds = (exports: unknown): string => {
  const names = isPlain(exports) ? Object.keys(exports).sort() : []
  const shown = names.slice(0, 10).map((name) =>
    `${JSON.stringify(name)} (${kindOf(fieldOf(exports, name))})`
  )
  const more = names.length > shown.length ? ` and ${names.length - shown.length} more` : ""
  return names.length === 0 ? "it exports nothing" : `it has ${shown.join(", ")}${more}`
}

export const kindOf = (value: unknown): string =>
  fieldOf(value, "~callee") !== undefined && fieldOf(value, "~driven") === undefined
    ? "a contract without a body"
    : value === null || value === undefined
    ? String(value)
    : Array.isArray(value)
    ? value.length === 0 ? "an empty array" : "an array"
    : typeof value === "object"
    ? "an object"
    : `a ${typeof value}`
