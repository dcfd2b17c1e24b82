/** What verbs say that write to a run and do not drive it: the answer, and how the run goes on. */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { hide } from "../Secret.ts"
import * as Text from "../Text.ts"
import { ArgumentRejected } from "./json.ts"
import * as Output from "./output.ts"

/** One object for programs, or words for people. */
export const answer = (json: object, text: () => ReadonlyArray<string>) =>
  Effect.flatMap(
    Output.mode,
    (mode) =>
      Console.log(
        mode === "json" ? Text.jsonLine(hide(json)) : text().map(Text.plain).join("\n")
      )
  )

/** How a run goes on that nobody drives. */
export const goesOn = (runId: string): string =>
  `A worker goes on with it, or: reprise resume ${word(runId)} --workflow ./module.ts`

/** As a shell takes it. */
export const word = (text: string): string =>
  /^[\w.:/=@%+-]+$/.test(text) ? text : `'${Text.plain(text).replaceAll("'", `'\\''`)}'`

/** Names that somebody is to find again are not empty. */
export const named = (argument: string, text: string): Effect.Effect<string, ArgumentRejected> =>
  text === ""
    ? Effect.fail(
      new ArgumentRejected({ argument, saw: "is empty", instead: "Give a name, or leave it out" })
    )
    : Effect.succeed(text)
