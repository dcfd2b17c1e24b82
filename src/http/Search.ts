/** A page of runs, also of those whose id or workflow has a text in it, which no storage has an index of. */
import * as Effect from "effect/Effect"
import type { Query, StorageError } from "../Driver.ts"
import * as Runs from "../Runs.ts"
import { hide } from "../Secret.ts"
import type * as Status from "../Status.ts"
import type { Storage } from "../Storage.ts"
import { messageOf } from "./Problems.ts"
import type { Page } from "./Shapes.ts"

/** How many runs one search looks at before it gives what it has, and where to go on. */
const looked = 20_000
const atOnce = 1_000

export const page = (
  { search = "", ...query }: Query & { readonly search?: string | undefined }
): Effect.Effect<Page, StorageError, Storage> =>
  search === ""
    ? Effect.map(Runs.list(query), ({ cursor, runs, unreadable }) => ({
      runs: runs.map(hide),
      unreadable: unreadable.map(told),
      ...(cursor === undefined ? undefined : { cursor })
    }))
    : searched(search.toLowerCase(), query)

const told = ({ error, runId }: { readonly runId: string; readonly error: Error }) => ({
  runId,
  message: messageOf(error)
})

const searched = Effect.fnUntraced(function*(text: string, query: Query) {
  const { limit = 100 } = query
  const runs: Array<Status.Status> = []
  const unreadable: Array<{ runId: string; message: string }> = []
  let { after } = query
  for (let seen = 0; seen < looked; seen += atOnce) {
    // A page of the storage is taken whole, since only its end is a place to go on from: it may be more than asked for.
    const found = yield* Runs.list({ ...query, after, limit: atOnce })
    for (const run of found.runs) {
      if (`${run.runId}\n${run.workflow}`.toLowerCase().includes(text)) runs.push(hide(run))
    }
    for (const run of found.unreadable) {
      if (run.runId.toLowerCase().includes(text)) unreadable.push(told(run))
    }
    after = found.cursor
    if (after === undefined || runs.length >= limit) break
  }
  return { runs, unreadable, ...(after === undefined ? undefined : { cursor: after }) }
})
