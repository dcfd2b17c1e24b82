/** What the README says of `effect/workflow`'s code, measured on the version that is installed. */
import { Effect, Layer, Schema } from "effect"
import { Activity, Workflow, WorkflowEngine } from "effect/workflow"
import { describe, expect, it } from "vitest"

const run = <A>(
  effect: Effect.Effect<A, unknown, WorkflowEngine.WorkflowEngine>,
  layer: Layer.Layer<never, never, WorkflowEngine.WorkflowEngine>
) =>
  Effect.runPromise(
    effect.pipe(Effect.provide(layer.pipe(Layer.provideMerge(WorkflowEngine.layerMemory))))
  )

const define = <A extends Schema.Top>(name: string, success: A) =>
  Workflow.make(name, { payload: { id: Schema.String }, success, idempotencyKey: ({ id }) => id })

describe("effect/workflow", () => {
  it("lets two activities of one name share a result", async () => {
    const ran: Array<number> = []
    const charge = (amount: number) =>
      Activity.make({
        name: "charge",
        success: Schema.Number,
        execute: Effect.sync(() => {
          ran.push(amount)
          return amount
        })
      })
    const workflow = define("two charges", Schema.Array(Schema.Number))
    const layer = workflow.toLayer(() => Effect.all([charge(1), charge(2)]))
    expect(await run(workflow.execute({ id: "1" }), layer)).toEqual([1, 1])
    expect(ran).toEqual([1])
  })

  it("compiles a body with work that is not journaled", async () => {
    const workflow = define("unjournaled", Schema.Number)
    const layer = workflow.toLayer(() => Effect.sync(() => 42))
    expect(await run(workflow.execute({ id: "1" }), layer)).toBe(42)
  })
})
