/**
 * The code that a verb is given: loads modules, and finds the workflows that they export.
 *
 * A module has a copy of this library of its own when the command is not the one it was installed with, so
 * what it exports is told by its fields and asked by its own methods, never by `instanceof`.
 */
import * as Flag from "effect/cli/Flag"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import type * as Path from "effect/Path"
import * as Ending from "../Ending.ts"
import type { Journal } from "../Journal.ts"
import { type Program, programOf, type Replayed } from "../Replay.ts"
import { targetOf } from "../workflow/Debounce.ts"
import {
  type AnyWorkflow,
  type Exported,
  fieldOf,
  kindOf,
  kinds,
  newest,
  workflowsIn
} from "./code/exported.ts"
import { CodeRejected, load as loadModule } from "./code/load.ts"

export type { AnyWorkflow } from "./code/exported.ts"
export { CodeRejected } from "./code/load.ts"

/** Modules of workflows, in the order they were given. */
export const flag = Flag.String("workflow").pipe(
  Flag.withDescription("A module that exports workflows; may be given several times"),
  Flag.withMetavar("./module.ts"),
  Flag.atLeast(0)
)

/** What modules export. */
export interface Code {
  /** As they were given. */
  readonly modules: ReadonlyArray<string>
  readonly workflows: ReadonlyMap<string, AnyWorkflow>
  /** What their workflows need, where they say so; each with its module. */
  readonly layers: ReadonlyArray<
    { readonly module: string; readonly layer: Layer.Layer<unknown, unknown, unknown> }
  >
  /** What debounces calls of a workflow. */
  readonly debouncerOf: (target: Program) => Program
}

/** Loads modules and finds what they export. */
export const load = Effect.fnUntraced(function*(
  modules: ReadonlyArray<string>
): Effect.fn.Return<Code, CodeRejected, FileSystem.FileSystem | Path.Path> {
  const exported: Array<Exported> = []
  const layers: Array<Code["layers"][number]> = []
  for (const module of new Set(modules)) {
    const found = yield* loadModule(module)
    const own = workflowsIn(module, found)
    if (own.length === 0) {
      const saw = `exports no workflow: ${kinds(found)}`
      const instead = "Export what Workflow.make gives, by a name, in an array or in an object"
      return yield* new CodeRejected({ module, saw, instead })
    }
    exported.push(...own)
    const layer = fieldOf(found, "layer") ?? fieldOf(fieldOf(found, "default"), "layer")
    if (layer === undefined) continue
    if (!Layer.isLayer(layer)) {
      const saw = `exports a "layer" that is no Layer: ${kindOf(layer)}`
      const instead = "Export the Layer that gives what its workflows need"
      return yield* new CodeRejected({ module, saw, instead })
    }
    layers.push({ module, layer })
  }
  const workflows = new Map<string, AnyWorkflow>()
  for (const one of newest(exported)) {
    const other = newest(exported).find((it) =>
      it !== one && it.workflow.name === one.workflow.name
    )
    if (other !== undefined) {
      return yield* new CodeRejected({
        module: one.module,
        saw: `exports workflow "${one.workflow.name}" as ${one.path}, and ${
          other.module === one.module ? "" : `${JSON.stringify(other.module)} has another as `
        }${other.path}${other.module === one.module ? " is another of that name" : ""}`,
        instead: "Give one of them another name, or the older one to the newer as previous"
      })
    }
    workflows.set(one.workflow.name, one.workflow)
  }
  // All of the engine is behind it, which other verbs do without.
  const Debouncer = yield* Effect.promise(() => import("../Debouncer.ts"))
  return { modules, workflows, layers, debouncerOf: Debouncer.of }
})

/** What replays the runs of a workflow, as a worker that knows these workflows would. */
export interface Replaying {
  readonly program: Program
  readonly replay: (journal: Journal) => Replayed
}

/** The code for runs of workflow `name`; debounced calls of one that is known are known as well. */
export const replaying = (
  { debouncerOf, workflows }: Code,
  name: string
): Replaying | undefined => {
  const known = workflows.get(name)
  if (known !== undefined) return { program: programOf(known), replay: known.replay }
  const target = workflows.get(targetOf(name) ?? "")
  if (target === undefined) return undefined
  const program = debouncerOf(programOf(target))
  return { program, replay: (journal) => Ending.replay(program, journal, Context.empty()) }
}

/** The code of these modules has no such workflow. */
export const unknown = ({ modules, workflows }: Code, runId: string, name: string): CodeRejected =>
  new CodeRejected({
    module: modules.join(", "),
    saw: `has no workflow "${name}", which run "${runId}" is of: it has ${
      [...workflows.keys()].map((known) => `"${known}"`).join(", ")
    }`,
    instead: "Give the module that has it"
  })
