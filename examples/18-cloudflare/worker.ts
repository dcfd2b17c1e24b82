/**
 * Orders in a Cloudflare Worker: journals in R2, a Queue that delivers runs, a Durable Object a run whose alarm
 * is its timer, and a front door. Nothing of it is always on.
 *
 * A message is a run's id and nothing else. It may come twice, late, or at two places: the journal decides.
 */
import { Console, Effect, Layer, Option, Schema } from "effect"
import { Dispatch, Runs, type Storage, Workflow } from "reprise"
import { ObjectStorage } from "reprise/objects"

export const order = Workflow.make("order", {
  input: Schema.Struct({ id: Schema.String, euros: Schema.Number }),
  output: Schema.String,
  events: { paid: Schema.Struct({ by: Schema.String }) },
  // An order that comes in twice is one run.
  runId: ({ id }) => `order-${id}`
}, function*(ctx, { euros, id }) {
  for (const attempt of ["invoice", "reminder"]) {
    yield* ctx.step(attempt, Console.log(`mail: ${attempt} for order ${id}, ${euros} euros`))
    const paid = yield* ctx.suspend("paid", { timeout: "2 seconds" })
    if (Option.isNone(paid)) continue
    yield* ctx.step("ship", Console.log(`ship: order ${id}, paid by ${paid.value.by}`))
    return "shipped"
  }
  return "given up"
})

/** What `wrangler.jsonc` binds, as far as it is used here; `@cloudflare/workers-types` has all of it. */
export interface Env {
  readonly BUCKET: ObjectStorage.R2Bucket
  readonly RUNS: { readonly send: (runId: string) => Promise<unknown> }
  readonly TIMERS: {
    readonly getByName: (name: string) => {
      readonly fetch: (url: string, init: RequestInit) => Promise<unknown>
    }
  }
}

export interface Message {
  readonly body: string
  readonly ack: () => void
  readonly retry: (options?: { readonly delaySeconds?: number }) => void
}

export interface Batch {
  readonly messages: ReadonlyArray<Message>
}

interface State {
  readonly storage: {
    readonly get: (key: string) => Promise<unknown>
    readonly put: (key: string, value: unknown) => Promise<void>
    readonly deleteAll: () => Promise<void>
    readonly getAlarm: () => Promise<number | null>
    readonly setAlarm: (at: number) => Promise<void>
  }
}

/** Everything of a request is its own: in a Worker no request may wait for what another one began. */
const run = <A, E>(
  env: Env,
  program: Effect.Effect<A, E, Dispatch.Dispatch | Storage.Storage>
): Promise<A> =>
  program.pipe(
    Effect.provide(
      Dispatch.layer([order]).pipe(
        Layer.provideMerge(ObjectStorage.layer(ObjectStorage.r2(env.BUCKET)))
      )
    ),
    // Whoever pays by the second does not pay for waiting: the run suspends, and the alarm wakes it.
    Effect.provideService(Workflow.ShortWait, 0),
    Effect.runPromise
  )

const seconds = (millis: number) => Math.ceil(millis / 1_000)

/** Drives a run, and does with the message what the verdict says. */
const deliver = (message: Message, env: Env) =>
  Effect.gen(function*() {
    const runId = message.body
    const verdict = yield* Dispatch.handle(runId)
    switch (verdict._tag) {
      case "Waits":
        if (verdict.until !== undefined) yield* wake(env, runId, verdict.until)
        return message.ack()
      case "Done":
      case "Blocked":
        return message.ack()
      case "Held":
      case "Redeliver":
        return message.retry({ delaySeconds: seconds(verdict.after) })
      case "Foreign":
        // The code that knows it may be rolled out right now.
        return message.retry({ delaySeconds: 60 })
    }
  }).pipe(
    Effect.catchCause((cause) =>
      Effect.andThen(
        Effect.logError("A delivery failed", cause),
        Effect.sync(() => message.retry({ delaySeconds: 1 }))
      )
    )
  )

const wake = (env: Env, runId: string, at: number) =>
  Effect.tryPromise(() =>
    env.TIMERS.getByName(runId).fetch("https://timer/", {
      method: "PUT",
      body: JSON.stringify({ runId, at })
    })
  )

/** The timer of one run. */
export class Timer {
  private readonly state: State
  private readonly env: Env
  constructor(state: State, env: Env) {
    this.state = state
    this.env = env
  }

  async fetch(request: Request): Promise<Response> {
    const { at, runId } = await request.json() as { readonly at: number; readonly runId: string }
    const { storage } = this.state
    await storage.put("runId", runId)
    // An alarm that is too early costs a look; one that is too late would be a timer that is late.
    const set = await storage.getAlarm()
    if (set === null || at < set) await storage.setAlarm(at)
    return new Response(null, { status: 204 })
  }

  async alarm(): Promise<void> {
    const { storage } = this.state
    // When this throws, the alarm goes off again.
    await this.env.RUNS.send(await storage.get("runId") as string)
    if (await storage.getAlarm() === null) await storage.deleteAll()
  }
}

const Input = Schema.Struct({ id: Schema.String, euros: Schema.Number })
const Paid = Schema.Struct({ by: Schema.String, payment: Schema.String })

const bodyOf = <A, I>(request: Request, schema: Schema.Codec<A, I>) =>
  Effect.flatMap(Effect.tryPromise(() => request.json()), Schema.decodeUnknownEffect(schema))

const tell = (env: Env, runId: string) => Effect.tryPromise(() => env.RUNS.send(runId))

/** Records what comes in, and tells the queue. What is recorded and not told of, `scheduled` finds. */
const answer = (request: Request, env: Env) =>
  Effect.gen(function*() {
    const [, orders, id, paid] = new URL(request.url).pathname.split("/")
    const runId = `order-${id}`
    if (orders !== "orders") return new Response("nothing is here", { status: 404 })
    if (request.method === "POST" && id === undefined) {
      const placed = yield* order.enqueue(yield* bodyOf(request, Input))
      yield* tell(env, placed)
      return Response.json({ runId: placed }, { status: 202 })
    }
    if (request.method === "POST" && paid === "paid") {
      const { by, payment } = yield* bodyOf(request, Paid)
      // The same payment counts once, however often it is reported.
      yield* order.send(runId, { eventName: "paid", eventId: payment, value: { by } })
      yield* tell(env, runId)
      return Response.json({ runId }, { status: 202 })
    }
    if (request.method === "GET" && paid === undefined) {
      const { result, status, wakeAt } = yield* Runs.status(runId)
      return Response.json({ status, result, wakeAt })
    }
    return new Response("nothing is here", { status: 404 })
  }).pipe(
    Effect.catch((error) =>
      Effect.succeed(
        Response.json({ error: error.message }, { status: statuses.get(error._tag) ?? 400 })
      )
    )
  )

const statuses: ReadonlyMap<string, number> = new Map([
  ["RunNotFound", 404],
  ["RunExists", 409],
  ["RunClosed", 409],
  ["StorageError", 503]
])

export default {
  fetch: (request: Request, env: Env): Promise<Response> => run(env, answer(request, env)),

  queue: (batch: Batch, env: Env): Promise<void> =>
    run(
      env,
      Effect.forEach(batch.messages, (message) => deliver(message, env), {
        concurrency: "unbounded",
        discard: true
      })
    ),

  /** By a cron trigger, as `* * * * *`: makes up for messages and alarms that were lost. */
  scheduled: (_: unknown, env: Env): Promise<void> =>
    run(
      env,
      Effect.flatMap(Runs.due(), (due) =>
        Effect.forEach(due, (runId) => tell(env, runId), { concurrency: 8, discard: true }))
    )
}
