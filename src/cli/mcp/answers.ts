/** How the tools are answered, from journals alone. What an agent is shown is redacted, and cut to what it can read. */
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type * as Outline from "../../Outline.ts"
import * as Runs from "../../Runs.ts"
import { hide } from "../../Secret.ts"
import * as Storage from "../../Storage.ts"
import { viewOf } from "../../View.ts"
import { brief, briefly } from "../../view/Brief.ts"
import { reading, Refused, writing } from "./tools.ts"

const page = <A>(all: ReadonlyArray<A>, { count, from }: { from: number; count: number }) =>
  all.slice(from, from + count)

/** Whatever is the matter with the run or the storage is told in the library's own words. */
const refusing = <A, R>(effect: Effect.Effect<A, { readonly message: string }, R>) =>
  Effect.mapError(effect, ({ message }) => new Refused({ message }))

const isOpen = ({ state }: Outline.Item) => state !== "done" && state !== "dropped"

/** The tools that change nothing, on a storage. */
export const readingLayer = reading.toLayer(Effect.map(Storage.Storage, (storage) => {
  const on = Effect.provideService(Storage.Storage, storage)
  return reading.of({
    list_runs: (query) =>
      refusing(Effect.map(Runs.list(query), ({ cursor, runs, unreadable }) => ({
        runs: runs.map((run) => briefly(hide(run))),
        unreadable: unreadable.map(({ error, runId }) => ({ runId, message: error.message })),
        ...(cursor === undefined ? undefined : { cursor })
      }))).pipe(on),
    show_run: ({ runId, ...asked }) =>
      refusing(Effect.map(viewOf(runId), ({ events, items, next, posted, ...run }) => ({
        run: { ...briefly(run), posted: posted.slice(-50).map(briefly) },
        items: page(items, asked).map(briefly),
        total: items.length,
        open: items.filter(isOpen).slice(0, 50).map(briefly),
        events: events.slice(-50).map(briefly),
        next
      }))).pipe(on),
    read_journal: ({ runId, ...asked }) =>
      refusing(Effect.map(Runs.journal(runId), ({ entries, rejected, torn }) => ({
        entries: page(entries, asked).map((entry) => hide(entry) as unknown as Schema.Json),
        total: entries.length,
        rejected,
        torn
      }))).pipe(on),
    fork_points: ({ runId, ...asked }) =>
      refusing(Effect.map(Runs.journal(runId), ({ entries }) => {
        const points = new Map<string, {
          fromStep: string
          fromOffset: number
          state: string
          error?: Schema.Json
        }>()
        for (const entry of entries.map(hide)) {
          if (entry.type !== "step") continue
          const { error, offset, stepId } = entry
          points.set(stepId, {
            fromStep: stepId,
            fromOffset: points.get(stepId)?.fromOffset ?? offset,
            state: error === undefined ? "done" : "failed",
            ...(error === undefined ? undefined : { error: brief(error) })
          })
        }
        const isFailed = (state: string) => state === "failed" ? 0 : 1
        const sorted = Array.from(points.values())
          .sort((a, b) => isFailed(a.state) - isFailed(b.state) || a.fromOffset - b.fromOffset)
        return { points: page(sorted, asked), total: sorted.length }
      })).pipe(on)
  })
}))

const goesOn = (runId: string) => ({
  runId,
  next: `A worker of its workflow goes on with it, or: reprise resume ${runId} --workflow MODULE`
})

/** The tools that write; none of them drives a run. */
export const writingLayer = writing.toLayer(Effect.map(Storage.Storage, (storage) => {
  const on = Effect.provideService(Storage.Storage, storage)
  return writing.of({
    send_event: ({ runId, ...event }) =>
      refusing(Effect.as(Runs.send(runId, event), goesOn(runId))).pipe(on),
    cancel_run: ({ runId, reason }) =>
      refusing(Effect.as(Runs.cancel(runId, { reason }), goesOn(runId))).pipe(on),
    fork_run: ({ fromOffset, fromStep, newRunId, override, runId }) =>
      refusing(
        Effect.map(
          Runs.fork(
            runId,
            { fromOffset, fromStep, override, runId: newRunId } as Parameters<
              typeof Runs.fork
            >[1]
          ),
          goesOn
        )
      ).pipe(on),
    retry_run: ({ newRunId, runId }) =>
      refusing(Effect.map(Runs.retryFrom(runId, { runId: newRunId }), goesOn)).pipe(on)
  })
}))
