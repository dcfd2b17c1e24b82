/**
 * 18-cloudflare: orders in a Worker, as the example runs it, and in workerd under duplicates, consumers that
 * die at any of their writes, and messages that are lost.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { Miniflare } from "miniflare"
import { fileURLToPath } from "node:url"
import { Runs, type Storage } from "reprise"
import { ObjectStorage } from "reprise/objects"
import { rolldown } from "rolldown"
import { afterAll, beforeAll } from "vitest"
import { order } from "../../examples/18-cloudflare/worker.ts"
import { bindingOf } from "../support/r2.ts"
import { runExample, scratch } from "./support/command.ts"

describe("npm run example 18", () => {
  const directory = scratch()

  it("ships what is paid and gives up what is not, and ends by itself", async () => {
    const { code, lines, stderr } = await runExample(directory, ["18"])
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    expect(lines.filter((line) => line.startsWith("  ")).toSorted()).toEqual([
      "  mail: invoice for order a, 30 euros",
      "  mail: invoice for order b, 80 euros",
      "  mail: reminder for order b, 80 euros",
      "  ship: order a, paid by card"
    ])
    expect(lines.filter((line) => !line.startsWith("  "))).toEqual([
      "two orders come in, one of them twice:",
      "a is paid, which is reported twice:",
      "a: shipped",
      "b is not, and its alarm goes off:",
      "b: given up"
    ])
  })
})

const worker = fileURLToPath(new URL("../../examples/18-cloudflare/worker.ts", import.meta.url))

/**
 * The Worker of the example, whose consumer dies at a write when it is told to: before or behind the write of that
 * number that an order makes. From then on nothing that it asks of the bucket is answered, as if it were gone. Leases
 * are over after 4 seconds and not 15, as whoever comes next waits for that.
 */
const dying = `
import worker, { Timer } from ${JSON.stringify(worker)}
export { Timer }

const deaths = new Map()

const fetch = async (request, env) => {
  const { pathname, searchParams } = new URL(request.url)
  if (pathname !== "/deaths") return worker.fetch(request, env)
  if (request.method === "GET") return Response.json([...deaths.keys()])
  deaths.set(searchParams.get("order"), {
    at: Number(searchParams.get("at")),
    isBefore: searchParams.has("before")
  })
  return Response.json({})
}

const queue = (batch, env) => {
  const bucket = env.BUCKET
  let isDead = false
  let die
  const death = new Promise((_, reject) => { die = reject })
  const never = new Promise(() => {})
  const alive = (call) => (...args) => isDead ? never : call(...args)
  const shortened = (body) =>
    body.replace(/"until":([1-9][0-9]*)/, (_, until) => '"until":' + (until - 11_000))
  const put = async (key, body, ...rest) => {
    const text = key.includes("leases/") ? shortened(body) : body
    for (const [id, fate] of deaths) {
      if (!key.includes("order-" + id) || --fate.at > 0) continue
      deaths.delete(id)
      if (!fate.isBefore) await bucket.put(key, text, ...rest)
      isDead = true
      die(new Error("the consumer dies"))
      return never
    }
    return bucket.put(key, text, ...rest)
  }
  const BUCKET = {
    get: alive((key) => bucket.get(key)),
    head: alive((key) => bucket.head(key)),
    delete: alive((key) => bucket.delete(key)),
    list: alive((options) => bucket.list(options)),
    put: alive(put)
  }
  return Promise.race([worker.queue(batch, { ...env, BUCKET }), death])
}

export default { fetch, queue, scheduled: worker.scheduled }
`

const bundled = async (): Promise<string> => {
  const bundle = await rolldown({
    input: "dying",
    platform: "neutral",
    resolve: { conditionNames: ["reprise-source", "import", "module", "default"] },
    logLevel: "silent",
    plugins: [{
      name: "dying",
      resolveId: (id) => id === "dying" ? id : undefined,
      load: (id) => id === "dying" ? dying : undefined
    }]
  })
  const { output } = await bundle.generate({ format: "esm", codeSplitting: false })
  await bundle.close()
  return output[0].code
}

/** The Worker for the tests of a describe; a delivery has at most `maxBatchSize` messages. */
const shop = (maxBatchSize: number) => {
  let miniflare: Miniflare
  let printed = ""

  beforeAll(async () => {
    miniflare = new Miniflare({
      modules: [{ type: "ESModule", path: "worker.js", contents: await bundled() }],
      // Without Node.
      compatibilityDate: "2026-07-01",
      r2Buckets: ["BUCKET"],
      queueProducers: { RUNS: "runs" },
      queueConsumers: { runs: { maxBatchSize, maxBatchTimeout: 0.05, maxRetries: 100 } },
      durableObjects: { TIMERS: { className: "Timer", useSQLite: true } },
      cf: false,
      handleRuntimeStdio: (stdout: NodeJS.ReadableStream) => {
        stdout.on("data", (chunk) => {
          printed += String(chunk)
        })
      }
    })
    await miniflare.ready
  })
  afterAll(() => miniflare.dispose())

  const ask = async (method: string, path: string, body?: unknown) => {
    const response = await miniflare.dispatchFetch(`http://shop${path}`, {
      method,
      ...(body === undefined ? undefined : { body: JSON.stringify(body) })
    })
    return {
      status: response.status,
      body: await response.json() as Record<string, unknown>
    }
  }

  const until = (what: string, isSo: () => Promise<boolean>) =>
    Effect.runPromise(
      Effect.promise(isSo).pipe(
        Effect.repeat({ until: (so: boolean) => so, schedule: Schedule.spaced("200 millis") }),
        Effect.timeoutOrElse({
          duration: "70 seconds",
          orElse: () => Effect.die(new Error(`it was never so that ${what}`))
        })
      )
    )

  /** Runs a program on the bucket, as a process elsewhere. */
  const outside = async <A, E>(program: Effect.Effect<A, E, Storage.Storage>): Promise<A> => {
    const bucket = await bindingOf(miniflare, "BUCKET")
    return Effect.runPromise(
      Effect.provide(program, ObjectStorage.layer(ObjectStorage.r2(bucket)))
    )
  }

  const isIn = (id: string, status: string) =>
    until(
      `order ${id} is ${status}`,
      async () => (await ask("GET", `/orders/${id}`)).body["status"] === status
    )
  const entries = (id: string) =>
    outside(Effect.map(Runs.journal(`order-${id}`), (journal) => journal.entries))

  return {
    ask,
    until,
    isIn,
    outside,
    entries,
    place: (id: string) => ask("POST", "/orders", { id, euros: 30 }),
    pay: (id: string, payment = `payment-${id}`) =>
      ask("POST", `/orders/${id}/paid`, { by: "card", payment }),
    ended: async (id: string) => {
      await isIn(id, "success")
      return (await ask("GET", `/orders/${id}`)).body["result"]
    },
    outcomes: async (id: string) =>
      (await entries(id)).flatMap((entry) => entry.type === "step" ? entry.stepId : []),
    /** How often a line was printed: how often the step was run, whether it was acknowledged or not. */
    linesOf: (line: string) => printed.split("\n").filter((one) => one === line).length,
    send: async (id: string) => {
      const queue = await miniflare.getQueueProducer<string>("RUNS")
      await queue.send(`order-${id}`)
    },
    ring: async () => {
      // Its type is that of a service binding, which needs the DOM.
      const { scheduled } = await miniflare.getWorker() as unknown as {
        readonly scheduled: (options: { readonly cron: string }) => Promise<unknown>
      }
      await scheduled({ cron: "* * * * *" })
    }
  }
}

describe("the Worker in workerd", () => {
  const { ask, ended, entries, isIn, linesOf, outcomes, outside, pay, place, ring, send } = shop(5)

  it("takes each message as often as it comes, and runs each step once", async () => {
    await place("dup")
    for (let n = 0; n < 5; n++) await send("dup")
    await isIn("dup", "suspended")
    await pay("dup")
    for (let n = 0; n < 5; n++) await send("dup")
    expect(await ended("dup")).toBe("shipped")
    expect(await outcomes("dup")).toEqual(["invoice", "ship"])
    expect(linesOf("mail: invoice for order dup, 30 euros")).toBe(1)
    expect(linesOf("ship: order dup, paid by card")).toBe(1)
  })

  it("is woken by an event, which counts once", async () => {
    await place("event")
    await isIn("event", "suspended")
    const paid = await Promise.all([pay("event"), pay("event")])
    expect(paid.map(({ status }) => status)).toEqual([202, 202])
    expect(await ended("event")).toBe("shipped")
    const taken = (await entries("event")).filter(({ type }) => type === "resume")
    expect(taken).toHaveLength(1)
    // Too late, and of another payment.
    expect((await pay("event", "payment-2")).status).toBe(409)
  })

  it("is woken by its alarm, and by nothing else", async () => {
    await place("alarm")
    expect(await ended("alarm")).toBe("given up")
    const found = (await entries("alarm")).map(({ type }) => type)
    expect(found.filter((type) => type === "timer")).toHaveLength(2)
    expect(await outcomes("alarm")).toEqual(["invoice", "reminder"])
    // Each part was a delivery of its own.
    expect(found.filter((type) => type === "suspend")).toHaveLength(2)
  })

  it("drives many orders beside each other in one isolate", async () => {
    const ids = Array.from({ length: 12 }, (_, n) => `many${n}`)
    await Promise.all(ids.map(async (id) => {
      await outside(order.enqueue({ id, euros: 30 }))
      await pay(id)
    }))
    expect(await Promise.all(ids.map(ended))).toEqual(ids.map(() => "shipped"))
    for (const id of ids) expect(await outcomes(id)).toEqual(["invoice", "ship"])
  })

  it("finds what nobody told the queue of by its cron trigger", async () => {
    await outside(order.enqueue({ id: "lost", euros: 30 }))
    expect((await ask("GET", "/orders/lost")).body["status"]).toBe("pending")
    await ring()
    expect(await ended("lost")).toBe("given up")
  })

  it("answers what is wrong with a request", async () => {
    expect((await ask("POST", "/orders", { id: 1 })).status).toBe(400)
    expect((await ask("POST", "/orders")).status).toBe(400)
    expect((await ask("GET", "/orders/nobody")).status).toBe(404)
    expect((await pay("nobody")).status).toBe(404)
    await place("twice")
    expect((await ask("POST", "/orders", { id: "twice", euros: 31 })).status).toBe(409)
  })
})

describe("consumers that die at any of their writes", () => {
  // Whoever dies takes only its own message along.
  const { ask, entries, linesOf, outcomes, outside, send, until } = shop(1)

  /**
   * Every write of an order that was paid before it was delivered, and those of the second and third delivery of one
   * that never is: all of them would take a minute.
   */
  const fates = [
    { what: "paid", writes: [1, 2, 3, 4, 5], result: "shipped" },
    { what: "unpaid", writes: [6, 8, 10, 11], result: "given up" }
  ]

  it("leave runs that go on, and repeat no acknowledged step", async () => {
    const all = fates.flatMap(({ result, what, writes }) =>
      writes.flatMap((at) =>
        ["before", "behind"].map((when) => ({ id: `${what}${at}${when}`, what, at, when, result }))
      )
    )
    for (const { at, id, what, when } of all) {
      await ask("POST", `/deaths?order=${id}&at=${at}${when === "before" ? "&before" : ""}`)
      await outside(Effect.gen(function*() {
        const runId = yield* order.enqueue({ id, euros: 30 })
        if (what === "paid") yield* order.send(runId, { eventName: "paid", value: { by: "card" } })
      }))
    }
    await Promise.all(all.map(({ id }) => send(id)))
    await until("all ended", async () => {
      const { runs } = await outside(Runs.list({ status: "success" }))
      return runs.length === all.length
    })
    const { runs } = await outside(Runs.list())
    expect(new Map(runs.map(({ result, runId }) => [runId, result]))).toEqual(
      new Map(all.map(({ id, result }) => [`order-${id}`, result]))
    )
    // None was spared.
    expect((await ask("GET", "/deaths")).body).toEqual([])
    for (const { id, what } of all) {
      const second = what === "paid" ? "ship" : "reminder"
      expect(await outcomes(id)).toEqual(["invoice", second])
      const journal = await entries(id)
      for (
        const [stepId, line] of [
          ["invoice", `mail: invoice for order ${id}, 30 euros`],
          what === "paid"
            ? ["ship", `ship: order ${id}, paid by card`]
            : ["reminder", `mail: reminder for order ${id}, 30 euros`]
        ] as const
      ) {
        const entry = journal.find((one) => one.type === "step" && one.stepId === stepId)
        // One died at most once, and it is run no more once a session has acknowledged it.
        const most = Math.min(2, entry!.session)
        expect([1, most]).toContain(linesOf(line))
      }
    }
  }, 90_000)
})
