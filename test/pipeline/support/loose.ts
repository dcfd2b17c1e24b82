/**
 * What tests of pipelines share: pipelines without their types, and runs whose every journal is replayed.
 */
import { expect } from "@effect/vitest"
import { Effect, Layer, Result } from "effect"
import { Pipeline, Runs, Storage, type Workflow } from "reprise"
import * as Testing from "reprise/testing"
import { run } from "../../support/together.ts"

export type Fields = Record<string, any>

/** A pipeline without its types: they would only be in the way of tables. */
export interface Loose {
  step(...parts: ReadonlyArray<unknown>): Loose
  branchOn(...parts: ReadonlyArray<unknown>): Loose
  transform(...parts: ReadonlyArray<unknown>): Loose
  describe(): ReadonlyArray<string>
  run(input: unknown, options?: object): Effect.Effect<Fields, unknown>
  readonly workflow: Workflow.Workflow<any, any, any, any>
}

export const make = (name = "p", options: Pipeline.Options = {}): Loose =>
  Pipeline.make(name, options) as unknown as Loose

export const runId = "r"

export const world = Layer.mergeAll(Storage.layerMemory, Testing.guarded)

/** Every journal fits its code, from every prefix on; an ended one gives what it ended with. */
export const replays = (pipeline: Loose) =>
  Effect.gen(function*() {
    const { runs } = yield* Runs.list()
    for (const { runId } of runs) {
      const journal = yield* Runs.journal(runId)
      for (let n = 1; n <= journal.entries.length; n++) {
        const prefix = { ...journal, entries: journal.entries.slice(0, n) }
        expect(pipeline.workflow.replay(prefix)._tag).not.toMatch(/Diverged|Broke/)
      }
      const last = journal.entries.at(-1)
      if (last?.type === "complete") {
        expect(pipeline.workflow.replay(journal)).toEqual({ _tag: "Returned", value: last.result })
      }
    }
  })

/** What a run comes to: its context, or its error. */
export const outcome = (pipeline: Loose, input: unknown = {}, options: object = {}) =>
  Effect.gen(function*() {
    const result = yield* Effect.result(pipeline.run(input, { runId, ...options }))
    yield* replays(pipeline)
    return Result.isSuccess(result) ? { context: result.success } : { error: result.failure }
  })

/** The same in a time of its own; nothing in it may wait for the platform. */
export const comesTo = (pipeline: Loose, input: unknown = {}, options: object = {}) =>
  run(outcome(pipeline, input, options))
