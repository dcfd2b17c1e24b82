/**
 * How a run stands, in a form in which two runs of one workflow compare.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import { Runs, type Storage } from "../index.ts"
import type { PlayError } from "./Play.ts"

/** The text of a value whose properties are in order. */
export const canonical = (value: unknown): string =>
  JSON.stringify(
    value,
    (_, part: unknown) =>
      typeof part === "object" && part !== null && !Array.isArray(part)
        ? Object.fromEntries(
          Object.entries(part).toSorted(([a], [b]) => a < b ? -1 : 1)
        )
        : part
  ) ?? "undefined"

/** What a run came to, as its journal has it. Ids that differ from run to run are left out. */
export const ofRun = (
  runId: string
): Effect.Effect<
  string,
  Runs.ReadError | Runs.RunNotFound | Runs.RunIdRejected,
  Storage.Storage
> =>
  Effect.gen(function*() {
    const { error, reason, result, runId: last, status, waits } = yield* Runs.latestStatus(runId)
    const { head } = yield* Runs.journal(last)
    const value = status === "success" ? result : status === "failed" ? error : undefined
    const waiting = waits.map(({ event, key, kind, stepId }) => ({ stepId, kind, event, key }))
    const parts = [
      status,
      ...(value === undefined ? [] : [`with ${canonical(value)}`]),
      ...(reason === undefined || status === "suspended" ? [] : [`(${reason})`]),
      ...(waiting.length === 0 ? [] : [`waiting for ${canonical(waiting)}`])
    ]
    return parts.join(" ").replaceAll(head.incarnation, "…")
  })

/** What a whole attempt came to: the run's end, or why there is none. */
export const ofAttempt = (
  runId: string,
  exit: Exit.Exit<unknown, PlayError>
): Effect.Effect<string, never, Storage.Storage> =>
  Exit.isSuccess(exit)
    ? Effect.catch(ofRun(runId), (error) => Effect.succeed(said(error)))
    : Effect.succeed(failed(exit.cause))

const said = (error: { readonly _tag: string; readonly message: string }) =>
  `${error._tag}: ${unstopped(error.message)}`

/** A message without its full stop: it stands within another one. */
export const unstopped = (message: string): string => message.replace(/\.$/, "")

const failed = (cause: Cause.Cause<PlayError>): string => {
  const error = Cause.findError(cause)
  return Result.isSuccess(error) ? said(error.success) : Cause.pretty(cause)
}
