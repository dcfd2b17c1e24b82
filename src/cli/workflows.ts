/**
 * The code that a verb is given: loads modules, and finds the workflows that they export.
 *
 * A module has a copy of this library of its own when the command is not the one it was installed with, so
 * what it exports is told by its fields and asked by its own methods, never by `instanceof`.
 */
import * as Flag from "effect/cli/Flag"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Path from "effect/Path"
import * as Schema from "effect/Schema"
import * as Ending from "../Ending.ts"
import { describe } from "../internal/describe.ts"
import type { Journal } from "../Journal.ts"
import { type Program, programOf, type Replayed } from "../Replay.ts"
import { targetOf } from "../workflow/Debounce.ts"
import type { Workflow } from "../workflow/Types.ts"

/** Modules of workflows, in the order they were given. */
export const flag = Flag.String("workflow").pipe(
  Flag.withDescription("A module that exports workflows; may be given several times"),
  Flag.withMetavar("./module.ts"),
  Flag.atLeast(0)
)

/** A workflow of which nothing is known. */
export type AnyWorkflow = Workflow<any, any, any, any, any, any, any>

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

/** A module is not there, cannot be loaded, or has not what is needed of it. */
export class CodeRejected
  extends Schema.TaggedError<CodeRejected>("reprise/CodeRejected")("CodeRejected", {
    module: Schema.String,
    saw: Schema.String,
    /** What to do instead. */
    instead: Schema.String
  })
{
  override get message(): string {
    return `Module ${JSON.stringify(this.module)} ${this.saw}. ${this.instead}.`
  }
}

/** Loads modules and finds what they export. */
export const load = Effect.fnUntraced(function*(
  modules: ReadonlyArray<string>
): Effect.fn.Return<Code, CodeRejected, FileSystem.FileSystem | Path.Path> {
  const exported: Array<Exported> = []
  const layers: Array<Code["layers"][number]> = []
  for (const module of new Set(modules)) {
    const found = yield* imported(module)
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

// ---------------------------------------------------------------------------------------------------
// loading

const imported = Effect.fnUntraced(function*(
  module: string
): Effect.fn.Return<unknown, CodeRejected, FileSystem.FileSystem | Path.Path> {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const rejected = (saw: string, instead: string) => new CodeRejected({ module, saw, instead })
  const file = path.resolve(module)
  const instead = "Give the file that exports the workflows, as in --workflow ./workflows.ts"
  const { type } = yield* Effect.mapError(
    fs.stat(file),
    ({ message, reason }) =>
      reason._tag === "NotFound"
        ? rejected(`is not there: there is no file ${file}`, instead)
        : rejected(`cannot be read: ${message}`, instead)
  )
  if (type !== "File") return yield* rejected(`is no file, but a ${type.toLowerCase()}`, instead)
  const url = yield* Effect.mapError(
    path.toFileUrl(file),
    ({ message }) => rejected(`cannot be read: ${message}`, instead)
  )
  return yield* Effect.tryPromise({
    try: (): Promise<unknown> => import(/* @vite-ignore */ url.href),
    catch: (error) => {
      const { instead, saw } = failureOf(error, file)
      return rejected(saw, instead)
    }
  })
})

/** Why a module could not be loaded, and what helps. */
export const failureOf = (
  error: unknown,
  file: string
): { readonly saw: string; readonly instead: string } => {
  const { message, tag } = describe(error)
  const code = fieldOf(error, "code")
  const extension = /\.[^./\\]*$/.exec(file)?.[0] ?? ""
  if (code === "ERR_UNKNOWN_FILE_EXTENSION" && message.includes(`"${extension}"`)) {
    return /^\.[cm]?ts$/.test(extension)
      ? {
        saw: `is TypeScript, which this Node (${process.version}) does not read`,
        instead: "Use Node 22.18 or newer without --no-strip-types, or give the compiled JavaScript"
      }
      : {
        saw: `is a "${extension}" file, which Node does not read`,
        instead: "Give a .ts, .mts, .js or .mjs file"
      }
  }
  const at = lineOf(error)
  return {
    saw: `could not be loaded: ${tag}: ${message.replace(/\.$/, "")}${
      at === undefined ? "" : ` (${at})`
    }`,
    instead:
      "It is loaded as a program would import it: it must define workflows and need nothing else"
  }
}

/** Where this library is. */
const own = new URL("..", import.meta.url).href

/** The line that an error is about: of a text that does not parse, else the first of a stack that is the user's. */
const lineOf = (error: unknown): string | undefined => {
  const stack = fieldOf(error, "stack")
  if (typeof stack !== "string") return undefined
  const parsed = /^file:\/\/(.+:\d+)$/m.exec(stack.split("\n", 1)[0]!)?.[1]
  if (parsed !== undefined) return parsed
  for (const line of stack.split("\n")) {
    const at = /^\s+at (?:.*\()?((?:file:\/\/)?\/[^()]+:\d+:\d+)\)?$/.exec(line)?.[1]
    if (at === undefined || at.includes("/node_modules/")) continue
    if (at.startsWith(own) || at.startsWith(own.replace("file://", ""))) continue
    return at.replace("file://", "")
  }
  return undefined
}

// ---------------------------------------------------------------------------------------------------
// finding

interface Exported {
  readonly module: string
  /** As in `default.order`. */
  readonly path: string
  readonly workflow: AnyWorkflow
}

/** How deep arrays and objects are looked into. */
const deepest = 3

/** Each workflow once, however often it is exported. */
const workflowsIn = (module: string, exports: unknown): ReadonlyArray<Exported> => {
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
const newest = (exported: ReadonlyArray<Exported>): ReadonlyArray<Exported> => {
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
const fieldOf = (value: unknown, key: string): unknown => {
  if ((typeof value !== "object" && typeof value !== "function") || value === null) return undefined
  try {
    return Reflect.get(value, key)
  } catch {
    return undefined
  }
}

/** What is exported, for who looks for a workflow in it. */
const kinds = (exports: unknown): string => {
  const names = isPlain(exports) ? Object.keys(exports).sort() : []
  const shown = names.slice(0, 10).map((name) =>
    `${JSON.stringify(name)} (${kindOf(fieldOf(exports, name))})`
  )
  const more = names.length > shown.length ? ` and ${names.length - shown.length} more` : ""
  return names.length === 0 ? "it exports nothing" : `it has ${shown.join(", ")}${more}`
}

const kindOf = (value: unknown): string =>
  fieldOf(value, "~callee") !== undefined && fieldOf(value, "~driven") === undefined
    ? "a contract without a body"
    : value === null || value === undefined
    ? String(value)
    : Array.isArray(value)
    ? value.length === 0 ? "an empty array" : "an array"
    : typeof value === "object"
    ? "an object"
    : `a ${typeof value}`
