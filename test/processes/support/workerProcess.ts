/**
 * A process that is a worker and nothing else, and the workflows that it drives. Its log has a line for every
 * step that it does, for every outcome that it was told is safe, for every session that it lost and for every run
 * that it left blocked. It is ready when it has looked at all that is due.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { openSync, writeSync } from "node:fs"
import { flushCompileCache } from "node:module"
import { fileURLToPath } from "node:url"
import { Storage, Worker, Workflow } from "reprise"
import { Observers } from "../../../src/Observer.ts"
import { driverOf, type Kind } from "./sqlStores.ts"

export const script = fileURLToPath(import.meta.url)

/** `short` is all but `order`; `old` and `new` are that one, before and after a deploy. */
export type Code = "short" | "old" | "new"

/** The process's only argument, as JSON. */
export interface Options {
  readonly kind: Kind
  readonly place: string
  readonly log: string
  readonly code: Code
  readonly concurrency: number
  /** Milliseconds. */
  readonly poll: number
  readonly drain: number
  /** How long every waiting step waits, whatever its task says; milliseconds. */
  readonly pause?: number
}

export interface Task {
  readonly id: string
  readonly n: number
  /** Milliseconds that some of its steps wait. */
  readonly pause: number
}

/** What a step gives; `by` tells apart all who ever did one. */
export interface Did {
  readonly value: number
  readonly by: string
}

/** Says that a step is done, and gives by whom. */
export type Doing = (runId: string, step: string) => string

/** `pauseOf` is how long a step of the task waits when it has been done. */
export const makeWorkflows = (
  doing: Doing,
  pauseOf: (task: Task) => number = ({ pause }) => pause
) => {
  const now = (task: Task, step: string, value: number) => (): Did => ({
    value,
    by: doing(task.id, step)
  })
  const later = (task: Task, step: string, value: number) => () =>
    Effect.suspend(() =>
      Effect.as(Effect.sleep(pauseOf(task)), { value, by: doing(task.id, step) })
    )
  const plain = Workflow.make("plain", function*(ctx, task: Task) {
    const a = yield* ctx.step("a", later(task, "a", task.n))
    const b = yield* ctx.step("b", now(task, "b", a.value + 1))
    const c = yield* ctx.step("c", later(task, "c", b.value + 1))
    const d = yield* ctx.step("d", now(task, "d", c.value + 1))
    return d.value
  })
  const naps = Workflow.make("naps", function*(ctx, task: Task) {
    const a = yield* ctx.step("a", later(task, "a", task.n))
    const b = yield* ctx.step("b", now(task, "b", a.value + 1))
    yield* ctx.sleep("30 millis")
    const c = yield* ctx.step("c", now(task, "c", b.value + 1))
    const d = yield* ctx.step("d", later(task, "d", c.value + 1))
    return d.value
  })
  const asks = Workflow.make("asks", {
    input: Schema.Struct({ id: Schema.String, n: Schema.Number, pause: Schema.Number }),
    events: { more: Schema.Number }
  }, function*(ctx, task) {
    const a = yield* ctx.step("a", now(task, "a", task.n))
    const b = yield* ctx.step("b", later(task, "b", a.value + 1))
    const more = yield* ctx.suspend("more")
    const c = yield* ctx.step("c", later(task, "c", b.value + more))
    const d = yield* ctx.step("d", now(task, "d", c.value + 1))
    return d.value
  })
  const once = Workflow.make("once", {
    input: Schema.Struct({ id: Schema.String, n: Schema.Number, pause: Schema.Number }),
    events: { note: Schema.String }
  }, function*(ctx, task) {
    const charge = ctx.step("charge", later(task, "charge", task.n), { delivery: "at-most-once" })
    const { value } = yield* charge
    const ship = yield* ctx.step("ship", now(task, "ship", value + 1))
    return ship.value
  })
  const order = {
    input: Schema.Struct({ id: Schema.String, n: Schema.Number, pause: Schema.Number }),
    events: { go: Schema.Null }
  }
  const old = Workflow.make("order", { ...order, version: "1" }, function*(ctx, task) {
    yield* ctx.step("reserve", now(task, "reserve", 1))
    yield* ctx.suspend("go")
    yield* ctx.step("ship", later(task, "ship", 1))
    return "one"
  })
  const changed = Workflow.make(
    "order",
    { ...order, version: "2", previous: [old] },
    function*(ctx, task) {
      yield* ctx.step("check", later(task, "check", 2))
      yield* ctx.step("reserve", now(task, "reserve", 2))
      yield* ctx.suspend("go")
      yield* ctx.step("pack", now(task, "pack", 2))
      yield* ctx.step("ship", later(task, "ship", 2))
      return "two"
    }
  )
  return { plain, naps, asks, once, old, new: changed }
}

const main = ({ code, concurrency, drain, kind, log, pause, place, poll }: Options) => {
  const file = openSync(log, "a")
  const say = (line: string) => writeSync(file, `${line}\n`)
  let done = 0
  const made = makeWorkflows((runId, step) => {
    const by = `${process.pid}.${++done}`
    say(`did ${runId} ${step} ${by}`)
    return by
  }, (task) => pause ?? task.pause)
  const observer = Layer.succeed(Observers, [(event) =>
    Effect.sync(() => {
      if (event.type === "left") say(`left ${event.runId} ${process.pid} ${event.why}`)
      if (event.type !== "entry" || event.entry.type !== "step") return
      const { result, stepId } = event.entry
      say(`ack ${event.runId} ${stepId} ${(result as unknown as Did).by}`)
    })])
  const storage = Layer.effect(
    Storage.Storage,
    Effect.map(driverOf(kind, place), (driver) => Storage.make(driver))
  )
  const workflows = code === "short"
    ? [made.plain, made.naps, made.asks, made.once]
    : [made[code]]
  const worker = Worker.layer({ workflows, concurrency, poll, drain })
  const told = new Set<string>()
  const telling = Layer.effectDiscard(Effect.forkScoped(Effect.gen(function*() {
    let isReady = false
    for (;;) {
      const { blocked, lookedAt } = yield* Worker.health
      if (!isReady && lookedAt !== undefined) {
        isReady = true
        // Most of these processes never get to their own end, where the cache would be kept otherwise.
        flushCompileCache()
        process.stdout.write("ready\n")
      }
      for (const [runId, why] of blocked) {
        if (told.has(runId)) continue
        told.add(runId)
        say(`blocked ${runId} ${process.pid} ${why}`)
      }
      yield* Effect.sleep(10)
    }
  })))
  NodeRuntime.runMain(
    Layer.launch(telling.pipe(
      Layer.provide(worker),
      Layer.provide(storage),
      Layer.provide(observer)
    ))
  )
}

// Who only wants the workflows is no worker.
if (process.argv[1] === script) main(JSON.parse(process.argv[2]!) as Options)
