/**
 * The worker that drives the schedules of a process: it looks at their runs only, and at the newest of each.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Dispatch from "../Dispatch.ts"
import { Storage } from "../Storage.ts"
import * as Worker from "../Worker.ts"
import { current, type Keeper, makeWorkflow, type Plan } from "./Run.ts"

/**
 * A worker for schedules and nothing else. It sees only their runs, so that it is no burden on a storage that has a
 * million others, and is not in the way of the user's own worker.
 */
export const driving = Effect.fnUntraced(function*(plans: ReadonlyArray<Plan>, keeper: Keeper) {
  const storage = yield* Storage
  const dispatch = yield* Layer.build(
    Dispatch.layer(plans.map((plan) => makeWorkflow(plan, keeper)))
  )
  const byRun = new Map(plans.map((plan) => [plan.runId, plan]))
  const planOfRun = (runId: string) => byRun.get(runId.replace(/\+\d+$/, ""))
  const isOwn = (runId: string) => planOfRun(runId) !== undefined
  /** The run that a schedule was when it was driven last, by its first. */
  const seen = new Map<string, string>()
  /** When each goes on, as far as is known here. */
  const wakes = new Map<string, number>()

  /** Drives the newest run: to come there from the first would take longer with every journal. */
  const handle = Effect.fnUntraced(function*(runId: string) {
    const plan = planOfRun(runId)!
    const found = yield* Effect.orElseSucceed(
      Effect.provideService(current(plan, seen.get(plan.runId)), Storage, storage),
      () => undefined
    )
    const at = found?.journal.runId ?? runId
    seen.set(plan.runId, at)
    const verdict = yield* Effect.provideContext(Dispatch.handle(at), dispatch)
    if (verdict._tag === "Waits" && verdict.until !== undefined) {
      wakes.set(plan.runId, verdict.until)
    } else wakes.delete(plan.runId)
    return verdict
  })

  const view = Storage.of({
    ...storage,
    due: (now) => Effect.map(storage.due(now), (runIds) => runIds.filter(isOwn)),
    list: (query) =>
      Effect.map(storage.list(query), (page) => ({
        ...page,
        runs: page.runs.filter(({ runId }) => isOwn(runId))
      })),
    hints: (onHint) => storage.hints((runId) => void (isOwn(runId) && onHint(runId))),
    nextWake: (now) =>
      Effect.sync(() => {
        const ahead = Array.from(wakes.values()).filter((at) => at > now)
        return ahead.length === 0 ? undefined : Math.min(...ahead)
      })
  })
  const services = yield* Layer.build(
    Worker.layerDispatch({ concurrency: Math.max(1, plans.length), drain: "5 seconds" }).pipe(
      Layer.provide(Layer.succeed(Dispatch.Dispatch, { handle })),
      Layer.provide(Layer.succeed(Storage, view))
    )
  )
  return { seen, worker: Context.get(services, Worker.Worker) }
})
