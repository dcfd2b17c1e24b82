/** Loads a module that a user names, and says why it could not be loaded. */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import * as Schema from "effect/Schema"
import { describe } from "../../internal/describe.ts"
import { fieldOf } from "./exported.ts"

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

/** What the module exports. */
export const load = Effect.fnUntraced(function*(
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
const own = new URL("../..", import.meta.url).href

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
