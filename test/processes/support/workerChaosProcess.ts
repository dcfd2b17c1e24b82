/**
 * A process that is a worker, or a client of one, and may have a clock of its own. The log that all of them share
 * has a line for every step that is done, with the fence of who did it, for every outcome that was told to be safe,
 * for every timer that went off, and for what happens to the process itself.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { existsSync, openSync, writeSync } from "node:fs"
import { flushCompileCache } from "node:module"
import { fileURLToPath } from "node:url"
import { type Instruction, Storage, Worker, Workflow } from "reprise"
import { PostgresStorage } from "reprise/postgres"
import { SqliteStorage } from "reprise/sqlite"
import { Observers } from "../../../src/Observer.ts"
import { driverOf, type Kind } from "./sqlStores.ts"

export const script = fileURLToPath(import.meta.url)

/** The process's only argument, as JSON. */
export interface Options {
  readonly kind: Kind
  readonly place: string
  readonly log: string
  /** How far the clock of the process is ahead; milliseconds. A message to the process changes it. */
  readonly ahead: number
  readonly concurrency: number
  /** Milliseconds. */
  readonly poll: number
  readonly limits: Worker.Limits
  /** `driver` needs nothing of a server before it is asked for something; `layer` looks at the tables first. */
  readonly opens: "driver" | "layer"
  /** Whether the log has a line for every look at all that is due. */
  readonly tellsLooks: boolean
  /** What a client is to enqueue; a worker has none. */
  readonly tasks: ReadonlyArray<Task> | undefined
}

export interface Task {
  readonly id: string
  readonly n: number
  /** Milliseconds that two of its steps take. */
  readonly pause: number
  /** Milliseconds that it sleeps, twice; 0: not at all. */
  readonly nap: number
  /** Whether it waits for an event. */
  readonly asks: boolean
}

/** What a step gives; `by` tells apart all who ever did one. */
export interface Did {
  readonly value: number
  readonly by: string
}

/** Says that a step is done, and gives by whom. */
export type Doing = (step: Instruction.StepInfo) => string

const TaskSchema = Schema.Struct({
  id: Schema.String,
  n: Schema.Number,
  pause: Schema.Number,
  nap: Schema.Number,
  asks: Schema.Boolean
})

const Herded = Schema.Struct({
  /** When all of the herd go on; UTC milliseconds. */
  at: Schema.Number,
  /** The file that their next step waits for. */
  gate: Schema.String
})

export const makeWorkflows = (doing: Doing) => {
  const now = (value: number) => (step: Instruction.StepInfo): Did => ({ value, by: doing(step) })
  const later = (value: number, millis: number) => (step: Instruction.StepInfo) =>
    Effect.suspend(() => {
      const by = doing(step)
      return Effect.as(Effect.sleep(millis), { value, by })
    })
  const behind = (gate: string) => (step: Instruction.StepInfo) =>
    Effect.gen(function*() {
      const by = doing(step)
      while (!existsSync(gate)) yield* Effect.sleep(10)
      return { value: 0, by }
    })

  const order = Workflow.make(
    "order",
    { input: TaskSchema, events: { more: Schema.Number } },
    function*(ctx, { asks, n, nap, pause }) {
      const a = yield* ctx.step("a", later(n, pause))
      const b = yield* ctx.step("b", now(a.value + 1))
      if (nap > 0) yield* ctx.sleep(nap)
      const more = asks ? yield* ctx.suspend("more") : 0
      const c = yield* ctx.step("c", later(b.value + more, pause))
      if (nap > 0) yield* ctx.sleep(nap)
      const d = yield* ctx.step("d", now(c.value + 1))
      return d.value
    }
  )
  const herd = Workflow.make("herd", { input: Herded }, function*(ctx, { at, gate }) {
    yield* ctx.step("set", now(0))
    yield* ctx.sleepUntil(at)
    yield* ctx.step("woke", behind(gate))
    yield* ctx.sleep(300)
    yield* ctx.step("end", now(0))
    return 1
  })
  const fresh = Workflow.make("fresh", { input: Schema.Number }, function*(ctx, n) {
    const did = yield* ctx.step("fresh", later(n, 5))
    return did.value
  })
  return { order, herd, fresh }
}

const real = Clock.Clock.defaultValue()

/** The real clock, but set otherwise. */
const shifted = (ahead: () => number): Clock.Clock => {
  const millis = () => real.currentTimeMillisUnsafe() + ahead()
  const nanos = () => real.currentTimeNanosUnsafe() + BigInt(ahead()) * 1_000_000n
  return {
    currentTimeMillisUnsafe: millis,
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanosUnsafe: nanos,
    currentTimeNanos: Effect.sync(nanos),
    monotonicTimeNanosUnsafe: () => real.monotonicTimeNanosUnsafe(),
    monotonicTimeNanos: real.monotonicTimeNanos,
    sleep: (duration) => real.sleep(duration)
  }
}

const storageOf = ({ kind, opens, place }: Options) => {
  if (opens === "driver") {
    return Layer.effect(Storage.Storage, Effect.map(driverOf(kind, place), Storage.make))
  }
  return kind === "sqlite"
    ? SqliteStorage.layer({ filename: place })
    : Layer.provide(
      PostgresStorage.layer(),
      PgClient.layer({ url: Redacted.make(place), maxConnections: 3 })
    )
}

const main = (options: Options) => {
  const { concurrency, limits, log, poll, tasks, tellsLooks } = options
  const { pid } = process
  const file = openSync(log, "a")
  const say = (...words: ReadonlyArray<unknown>) => writeSync(file, `${words.join(" ")}\n`)
  let { ahead } = options
  let done = 0
  const { fresh, herd, order } = makeWorkflows(({ fence, runId, stepId }) => {
    const by = `${pid}.${++done}`
    say("did", runId, stepId, by, fence)
    return by
  })

  const observer = Layer.succeed(Observers, [(event) =>
    Effect.sync(() => {
      if (event.type === "left") say("left", event.runId, pid, event.why)
      if (event.type !== "entry") return
      const { entry, runId } = event
      if (entry.type === "timer") say("timer", runId, entry.stepId, pid, Date.now() + ahead)
      if (entry.type === "step") {
        say("ack", runId, entry.stepId, (entry.result as unknown as Did).by)
      }
    })])

  const telling = Layer.effectDiscard(Effect.forkScoped(Effect.gen(function*() {
    let isReady = false
    let last: string | undefined
    let looked: number | undefined
    for (;;) {
      const { failure, lookedAt } = yield* Worker.health
      if (failure !== last) say("health", pid, failure === undefined ? "well" : `ill ${failure}`)
      last = failure
      if (!isReady && lookedAt !== undefined) {
        isReady = true
        // Most of these processes never get to their own end, where the cache would be kept otherwise.
        flushCompileCache()
        process.stdout.write("ready\n")
      }
      if (tellsLooks && lookedAt !== looked) say("looked", pid)
      looked = lookedAt
      yield* Effect.sleep(10)
    }
  })))

  const worker = telling.pipe(
    Layer.provide(Worker.layer({ workflows: [order, herd, fresh], concurrency, poll, limits })),
    Layer.provide(observer),
    Layer.provide(storageOf(options)),
    Layer.launch
  )

  /** Again and again while the storage is away: to enqueue and to post may be done twice. */
  const stubborn = (id: string) => <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.retry(effect, {
      schedule: Schedule.spaced("50 millis"),
      while: (error) => {
        const isAway = error instanceof Storage.StorageError && error.isRetryable
        say("again", id, pid, String(error))
        return isAway
      }
    })
  const client = Effect.gen(function*() {
    const answer = (task: Task | undefined) =>
      task?.asks === true
        ? stubborn(task.id)(
          order.send(task.id, { eventName: "more", value: 10, eventId: `more-${task.id}` })
        )
        : Effect.void
    const all = tasks ?? []
    // Most of them wait by the time that they are answered.
    const late = 6
    for (const [nth, task] of all.entries()) {
      yield* stubborn(task.id)(order.enqueue(task, { runId: task.id }))
      say("asked", task.id, pid)
      yield* answer(all[nth - late])
      yield* Effect.sleep(20)
    }
    for (const task of all.slice(-late)) yield* answer(task)
    say("over", pid)
    // The channel to who started it would keep it.
    process.disconnect()
  }).pipe(
    Effect.provide(storageOf(options)),
    Effect.tapCause((cause) => Effect.sync(() => say("died", pid, Cause.pretty(cause))))
  )

  process.on("message", (message) => {
    ahead = Number(message)
    say("jumped", pid)
  })
  // Nobody is left who would end it.
  process.on("disconnect", () => {
    if (tasks === undefined) process.exit(1)
  })

  const stayed = Effect.tapError(
    worker,
    (error) => Effect.sync(() => say("away", pid, String(error)))
  )
  NodeRuntime.runMain(
    (tasks === undefined ? Effect.retry(stayed, Schedule.spaced("100 millis")) : client).pipe(
      Effect.provideService(Clock.Clock, shifted(() => ahead))
    )
  )
}

// Who only wants the workflows is no worker.
if (process.argv[1] === script) main(JSON.parse(process.argv[2]!) as Options)
