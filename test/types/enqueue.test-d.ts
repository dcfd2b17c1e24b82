/**
 * Calls that begin runs, in types: a run has one name, and what debounces calls has a key and a time.
 */
import type { Effect } from "effect"
import { Runs, type Storage, Workflow } from "reprise"
import { describe, expectTypeOf, it } from "vitest"

const save = Workflow.make("save", function*(ctx, text: string) {
  yield* ctx.step("save", () => text)
})
const contract = Workflow.define("save", {})

describe("a run that is enqueued", () => {
  it("has a run id, or an idempotency key, or neither", () => {
    expectTypeOf(save.enqueue("a")).toExtend<Effect.Effect<string, any, Storage.Storage>>()
    expectTypeOf(save.enqueue("a", {})).toBeObject()
    expectTypeOf(save.enqueue("a", { runId: "r" })).toBeObject()
    expectTypeOf(save.enqueue("a", { runId: undefined })).toBeObject()
    expectTypeOf(save.enqueue("a", { idempotencyKey: "k" })).toBeObject()
    expectTypeOf(save.enqueue("a", { idempotencyKey: "k", durability: "exit" })).toBeObject()
    expectTypeOf(Runs.enqueue(save, "a", { idempotencyKey: "k" })).toBeObject()
  })

  it("has not both", () => {
    // @ts-expect-error the key makes the run id
    expectTypeOf(save.enqueue("a", { runId: "r", idempotencyKey: "k" }))
    // @ts-expect-error of a contract neither
    expectTypeOf(contract.enqueue(undefined as never, { runId: "r", idempotencyKey: "k" }))
    // @ts-expect-error also by its other name
    expectTypeOf(Runs.enqueue(save, "a", { runId: "r", idempotencyKey: "k" }))
    const debounce = { key: "k", wait: 5 }
    // @ts-expect-error also where it is debounced
    expectTypeOf(save.enqueue("a", { runId: "r", idempotencyKey: "k", debounce }))
  })

  it("has a key that is text", () => {
    // @ts-expect-error a number is none
    expectTypeOf(save.enqueue("a", { idempotencyKey: 7 }))
    // @ts-expect-error nothing is none
    expectTypeOf(save.enqueue("a", { idempotencyKey: undefined }))
    // @ts-expect-error there is no such option
    expectTypeOf(save.enqueue("a", { idempotenceKey: "k" }))
  })
})

describe("a call that is debounced", () => {
  it("has a key and a wait, and may have a longest time", () => {
    const all = { key: "k", wait: "5 seconds", atMost: "1 minute" } as const
    expectTypeOf(save.enqueue("a", { debounce: all })).toBeObject()
    expectTypeOf(save.enqueue("a", { debounce: { key: "k", wait: 5 } })).toBeObject()
    expectTypeOf(save.enqueue("a", { debounce: undefined })).toBeObject()
    expectTypeOf(save.enqueue("a", { runId: "r", debounce: all })).toBeObject()
    expectTypeOf(save.enqueue("a", { idempotencyKey: "k", debounce: all })).toBeObject()
    // @ts-expect-error which calls belong together must be said
    expectTypeOf(save.enqueue("a", { debounce: { wait: 5 } }))
    // @ts-expect-error and for how long none may come
    expectTypeOf(save.enqueue("a", { debounce: { key: "k" } }))
    // @ts-expect-error in a time
    expectTypeOf(save.enqueue("a", { debounce: { key: "k", wait: "soon" } }))
  })

  it("is none of those that drive a run", () => {
    // @ts-expect-error start begins it now
    expectTypeOf(save.start("a", { debounce: { key: "k", wait: 5 } }))
    // @ts-expect-error start takes a run id
    expectTypeOf(save.start("a", { idempotencyKey: "k" }))
  })
})
