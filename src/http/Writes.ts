/** Answers what begins runs, what sends to them, and what steers them. None of it drives a run. */
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { enqueueJson } from "../JsonCalls.ts"
import * as Runs from "../Runs.ts"
import { Storage } from "../Storage.ts"
import { makeProgram } from "../workflow/Program.ts"
import { Api } from "./Api.ts"
import type { AnyContract } from "./Forms.ts"
import { programs, sender } from "./Send.ts"

/** What is known of a workflow; of an unknown one, that its values are JSON. */
export const sending = (workflows: ReadonlyArray<AnyContract>) =>
  HttpApiBuilder.group(Api, "events", (handlers) =>
    Effect.gen(function*() {
      const on = Effect.provideService(Storage, yield* Storage)
      const known = programs(workflows)
      const { deliver, send } = sender(workflows)
      return handlers.handleAll({
        enqueue: ({ payload: { input, workflow, ...named } }) =>
          on(Effect.map(
            enqueueJson(known.get(workflow) ?? makeProgram(workflow, {}, undefined), input, named),
            (runId) => ({ runId })
          )),
        send: ({ params, payload }) => {
          const { eventId = Runs.createRunId() } = payload
          return on(Effect.map(
            send(params.runId, { ...payload, eventId }),
            (runId) => ({ runId, eventId })
          ))
        },
        deliver: ({ payload: { token, value } }) => on(deliver(token, value))
      })
    }))

export const steering = HttpApiBuilder.group(Api, "admin", (handlers) =>
  Effect.gen(function*() {
    const on = Effect.provideService(Storage, yield* Storage)
    return handlers.handleAll({
      cancel: ({ params: { runId }, payload }) =>
        on(Effect.as(Runs.cancel(runId, payload), { runId })),
      settle: ({ params: { runId }, payload: { stepId, verdict } }) =>
        on(Effect.as(
          stepId === undefined
            ? Runs.settle(runId)
            : Runs.settle(runId, stepId, verdict ?? { retry: true }),
          { runId }
        )),
      fork: ({ params: { runId }, payload }) =>
        on(Effect.map(Runs.fork(runId, payload), (made) => ({ runId: made }))),
      retry: ({ params: { runId }, payload }) =>
        on(Effect.map(Runs.retryFrom(runId, payload), (made) => ({ runId: made }))),
      checkpoint: ({ params: { runId }, query }) =>
        on(Effect.map(Runs.checkpoint(runId, query), (checkpoint) => ({ runId, checkpoint }))),
      remove: ({ params: { runId } }) => on(Runs.remove(runId)),
      prune: ({ payload: { endedBefore } }) =>
        on(Effect.map(Runs.prune(endedBefore), (removed) => ({ removed })))
    })
  }))
