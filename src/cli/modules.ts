/**
 * Which modules of workflows are meant: those of the flags, else those that the nearest `reprise.json` of this directory
 * or one above names.
 */
import * as Effect from "effect/Effect"
import * as Path from "effect/Path"
import * as Schema from "effect/Schema"
import { ConfigRejected, nearest } from "./config.ts"
import * as Workflows from "./workflows.ts"

/** A verb was given no code. */
export class CodeMissing
  extends Schema.TaggedError<CodeMissing>("reprise/CodeMissing")("CodeMissing", {})
{
  override get message(): string {
    return `This needs the code of the workflows. Name the file that exports them, as in --workflow ./workflows.ts, `
      + `or write {"workflows": "./workflows.ts"} into a reprise.json here or above.`
  }
}

/** The code of a call; undefined when none is named. */
export const code = Effect.fnUntraced(function*(flags: ReadonlyArray<string>) {
  const modules = flags.length > 0 ? flags : yield* configured
  return modules.length === 0 ? undefined : yield* Workflows.load(modules)
})

/** As `code`, for a verb that can do nothing without. */
export const needed = Effect.fnUntraced(function*(flags: ReadonlyArray<string>) {
  return (yield* code(flags)) ?? (yield* new CodeMissing())
})

/** What the nearest file says. */
const configured = Effect.gen(function*() {
  const paths = yield* Path.Path
  const found = yield* nearest("workflows")
  if (found?.value === undefined) return []
  const { directory, file, value } = found
  const named = typeof value === "string" ? [value] : value
  return isModules(named)
    ? named.map((module) => paths.resolve(directory, module))
    : yield* new ConfigRejected({
      file,
      field: "workflows",
      saw: "its \"workflows\" is no path and no array of paths"
    })
})

const isModules = (named: unknown): named is ReadonlyArray<string> =>
  Array.isArray(named) && named.every((one) => typeof one === "string" && one !== "")
