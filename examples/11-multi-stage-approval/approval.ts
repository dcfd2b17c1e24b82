/**
 * The approvals: behind the draft the pipeline stops for the manager, and behind the manager's review for
 * the lawyer. In between there is nothing but a checkpoint in a store: no process, and no journal.
 */
import { Effect, Schema } from "effect"
import type { Workflow } from "reprise"
import { policy } from "./pipeline.ts"
import type { Store } from "./stores.ts"

export type Stage = "manager" | "legal"

/** Who has to say yes behind a step. */
const waitsFor = new Map<string, Stage>([["draft", "manager"], ["manager-review", "legal"]])

export class NothingToApprove
  extends Schema.TaggedError<NothingToApprove>()("NothingToApprove", { key: Schema.String })
{
  override get message(): string {
    return `Nothing waits as "${this.key}": it was decided already, or it is not its turn.`
  }
}

const keyOf = (id: string, stage: Stage) => `${id}:${stage}`

/**
 * Every call needs this, that for the second stage too: an approval that goes on without it would run
 * through, and nobody would ask the lawyer.
 */
const stopping = (store: Store, id: string) => ({
  onStepComplete: async ({ checkpoint, stepName, stopPipeline }: Workflow.StepCompleted) => {
    const stage = waitsFor.get(stepName)
    if (stage === undefined) return
    stopPipeline()
    await store.set(keyOf(id, stage), checkpoint)
  }
})

export const submit = (store: Store, id: string, request: string) =>
  policy.run({ request }, stopping(store, id))

export const approve = (store: Store, id: string, stage: Stage, name: string) =>
  Effect.gen(function*() {
    const key = keyOf(id, stage)
    const checkpoint = yield* Effect.promise(async () => store.get(key))
    if (checkpoint === undefined) return yield* new NothingToApprove({ key })
    const context = yield* policy.runCheckpoint({
      checkpoint,
      overrideData: stage === "manager" ? { manager: name } : { legal: name },
      ...stopping(store, id)
    })
    // Last: after a crash the checkpoint is still there, and whoever approves again goes on from it.
    yield* Effect.promise(async () => store.delete(key))
    return context
  })

/** Nothing goes on, and nothing is left. */
export const reject = (store: Store, id: string, stage: Stage) =>
  Effect.promise(async () => store.delete(keyOf(id, stage)))
