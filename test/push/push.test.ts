/**
 * Pushed deliveries over real loopback HTTP: a dispatcher and functions that share nothing but the storage bring
 * runs to their right end, whatever is cut off, lost, or delivered twice.
 */
import { describe, expect, it } from "@effect/vitest"
import {
  Clock,
  Deferred,
  Effect,
  Exit,
  Fiber,
  Layer,
  Logger,
  Redacted,
  Schema,
  type Scope
} from "effect"
import { FetchHttpClient } from "effect/http"
import { TestClock } from "effect/testing"
import { inspect } from "node:util"
import { Dispatch, Runs, Storage, Worker, Workflow } from "reprise"
import { Push } from "reprise/push"
import {
  memory,
  on,
  type Place,
  resultOf,
  type Service,
  sqlite,
  stateOf,
  until
} from "../worker/support.ts"
import { deliveryOf, type Handler, other, secret, serve, signatureOf } from "./support.ts"

/** A function: it has its own opening of the storage. */
const functionOf = (
  storage: Service,
  workflows: ReadonlyArray<Dispatch.AnyWorkflow>,
  options: Partial<Push.RespondOptions> = {}
): Handler =>
  Push.handler({
    secret,
    ...options,
    layer: (Dispatch.layer(workflows) as Layer.Layer<Dispatch.Dispatch, never, Storage.Storage>)
      .pipe(Layer.provide(Layer.succeed(Storage.Storage, storage)))
  })

/** The same on the clock of the test. */
const responderOf = (storage: Service, workflows: ReadonlyArray<Dispatch.AnyWorkflow>) => {
  const respond = Push.responder({ secret })
  const layer = Dispatch.layer(workflows) as Layer.Layer<Dispatch.Dispatch, never, Storage.Storage>
  return (runId: string) =>
    Effect.flatMap(
      Clock.currentTimeMillis,
      (now) => respond(deliveryOf(runId, String(Math.floor(now / 1_000))))
    ).pipe(
      Effect.provide(layer),
      on(storage)
    )
}

/** What the function answers whose time is over once its step has begun. */
const cutOff = (responding: Effect.Effect<Response>, begun: Deferred.Deferred<void>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(responding)
    yield* Deferred.await(begun)
    yield* TestClock.adjust("25 seconds")
    return yield* Fiber.join(fiber)
  })

/** A dispatcher: it drives nothing itself. */
const dispatcher = (storage: Service, url: string, options: Partial<Push.LayerOptions> = {}) =>
  Layer.build(Layer.fresh(
    Worker.layerDispatch({ poll: "100 millis", concurrency: 8, drain: "5 seconds" }).pipe(
      Layer.provide(Push.layer({ url, secret, ...options })),
      Layer.provide(FetchHttpClient.layer),
      Layer.provide(Layer.succeed(Storage.Storage, storage))
    )
  ))

const everywhere = (
  name: string,
  test: (
    open: Effect.Effect<Service, never, Scope.Scope>
  ) => Effect.Effect<void, unknown, Scope.Scope>,
  among: ReadonlyArray<Place> = [memory, sqlite]
) => {
  for (const place of among) {
    it.live(`${name}, on ${place.name}`, () => Effect.scoped(Effect.flatMap(place.fresh, test)))
  }
}

/** How often each step was begun, by run and name. */
const counter = () => {
  const counts: Record<string, number> = {}
  const count = (what: string) => {
    counts[what] = (counts[what] ?? 0) + 1
  }
  return { counts, count }
}

/** How many outcomes each step has in the run's journal. */
const outcomes = (runId: string) =>
  Effect.map(Runs.journal(runId), ({ entries }) => {
    const found: Record<string, number> = {}
    for (const entry of entries) {
      if (entry.type === "step") found[entry.stepId] = (found[entry.stepId] ?? 0) + 1
    }
    return found
  })

const sessions = (runId: string) =>
  Effect.map(
    Runs.journal(runId),
    ({ entries }) => entries.filter(({ type }) => type === "start").length
  )

/** An order with a child, a timer and an event, each of which ends an invocation. */
const shop = () => {
  const { count, counts } = counter()
  const pack = Workflow.make("pack", function*(ctx, id: string) {
    yield* ctx.step("fetch", () => count(`fetch ${id}`))
    yield* ctx.sleep("250 millis")
    return yield* ctx.step("wrap", () => {
      count(`wrap ${id}`)
      return `parcel ${id}`
    })
  })
  const order = Workflow.make(
    "order",
    { input: Schema.String, events: { paid: Schema.String } },
    function*(ctx, id) {
      yield* ctx.step("invoice", () => count(`invoice ${id}`))
      yield* ctx.sleep("250 millis")
      const parcel = yield* ctx.child(pack, id)
      const by = yield* ctx.suspend("paid")
      yield* ctx.step("ship", () => count(`ship ${id}`))
      return `${parcel} to ${by}`
    }
  )
  return { counts, order, workflows: [order, pack] }
}

describe("a function behind a dispatcher", () => {
  everywhere(
    "brings a run with timers, a child and an event to its end",
    (open) =>
      Effect.gen(function*() {
        const { counts, order, workflows } = shop()
        const here = yield* open
        const server = yield* serve(functionOf(yield* open, workflows))
        yield* dispatcher(here, server.url)
        yield* on(here)(order.enqueue("a", { runId: "a" }))
        yield* on(here)(until(
          "it waits for the event",
          Effect.map(
            Runs.latestStatus("a"),
            ({ waits }) => waits.some(({ event }) => event === "paid")
          )
        ))
        yield* on(here)(order.send("a", { eventName: "paid", value: "ada" }))
        expect(yield* on(here)(resultOf("a"))).toBe("parcel a to ada")
        expect(counts).toEqual({ "invoice a": 1, "fetch a": 1, "wrap a": 1, "ship a": 1 })
        // At least: the start, behind the timer, behind the event.
        expect(yield* on(here)(sessions("a"))).toBeGreaterThanOrEqual(3)
        expect(server.statuses.filter((status) => status === 200).length).toBeGreaterThanOrEqual(3)
      })
  )

  everywhere("does the work of two dispatchers once", (open) =>
    Effect.gen(function*() {
      const { counts, order, workflows } = shop()
      const [a, b] = [yield* open, yield* open]
      const servers = yield* Effect.all([
        serve(functionOf(yield* open, workflows)),
        serve(functionOf(yield* open, workflows))
      ])
      yield* dispatcher(a, servers[0].url)
      yield* dispatcher(b, servers[1].url)
      const ids = Array.from({ length: 6 }, (_, n) => `r${n}`)
      for (const [n, id] of ids.entries()) {
        yield* on(n % 2 === 0 ? a : b)(order.enqueue(id, { runId: id }))
        yield* on(n % 2 === 0 ? b : a)(order.send(id, { eventName: "paid", value: "both" }))
      }
      for (const id of ids) {
        expect(yield* on(a)(resultOf(id))).toBe(`parcel ${id} to both`)
        expect(yield* on(a)(outcomes(id))).toEqual({ invoice: 1, ship: 1 })
      }
      const expected = ids.flatMap((id) =>
        ["fetch", "invoice", "ship", "wrap"].map((step) => [`${step} ${id}`, 1])
      )
      expect(counts).toEqual(Object.fromEntries(expected))
    }))

  everywhere("does nothing twice when its answers are lost", (open) =>
    Effect.gen(function*() {
      const { counts, order, workflows } = shop()
      const here = yield* open
      // Of every three requests one never arrives, and one is done and not answered.
      const server = yield* serve(
        functionOf(yield* open, workflows),
        (nth) => (["drop after", "drop before", "answer"] as const)[nth % 3]!
      )
      yield* dispatcher(here, server.url)
      yield* on(here)(order.enqueue("a", { runId: "a" }))
      yield* on(here)(order.send("a", { eventName: "paid", value: "ada" }))
      expect(yield* on(here)(resultOf("a"))).toBe("parcel a to ada")
      expect(counts).toEqual({ "invoice a": 1, "fetch a": 1, "wrap a": 1, "ship a": 1 })
      expect(yield* on(here)(outcomes("a"))).toEqual({ invoice: 1, ship: 1 })
    }))

  for (const place of [memory, sqlite]) {
    it.effect(`goes on where it was cut off, and repeats no acknowledged step, on ${place.name}`, () =>
      Effect.scoped(Effect.gen(function*() {
        const { count, counts } = counter()
        const begun = yield* Deferred.make<void>()
        let aborted = 0
        const long = Workflow.make("long", function*(ctx) {
          yield* ctx.step("first", () => count("first"))
          // As long as the function lives, the first time; a Promise hears of the end by its signal.
          yield* ctx.step("second", ({ signal }) => {
            count("second")
            if (counts["second"] !== 1) return Promise.resolve()
            Deferred.doneUnsafe(begun, Effect.void)
            return new Promise<void>(() => signal.addEventListener("abort", () => void aborted++))
          })
          yield* ctx.step("third", () => count("third"))
          return "done"
        })
        const open = yield* place.fresh
        const here = yield* open
        const respond = responderOf(yield* open, [long])
        yield* on(here)(long.enqueue(undefined, { runId: "a" }))
        const cut = yield* cutOff(respond("a"), begun)
        // The lease is back before the answer is given.
        expect(yield* here.holder("a")).toBeUndefined()
        expect(aborted).toBe(1)
        expect(cut.status).toBe(503)
        expect(cut.headers.get("retry-after")).toBe("0")
        expect(yield* Effect.promise(() => cut.json())).toEqual({
          _tag: "Redeliver",
          after: 0,
          why: "the time of the function was over"
        })
        expect(yield* on(here)(outcomes("a"))).toEqual({ first: 1 })
        expect((yield* respond("a")).status).toBe(200)
        expect(yield* on(here)(stateOf("a"))).toBe("success")
        expect(counts).toEqual({ first: 1, second: 2, third: 1 })
        expect(yield* on(here)(outcomes("a"))).toEqual({ first: 1, second: 1, third: 1 })
      })))

    it.effect(`gives up a step that never fits in its time, as a crash loop, on ${place.name}`, () =>
      Effect.scoped(Effect.gen(function*() {
        const { count, counts } = counter()
        let begun = yield* Deferred.make<void>()
        const endless = Workflow.make("endless", function*(ctx) {
          yield* ctx.step("first", () => count("first"))
          yield* ctx.step("second", () => {
            count("second")
            Deferred.doneUnsafe(begun, Effect.void)
            return Effect.never
          })
        })
        const here = yield* yield* place.fresh
        const respond = responderOf(here, [endless])
        yield* on(here)(endless.enqueue(undefined, { runId: "a" }))
        const statuses: Array<number> = []
        while ((yield* on(here)(stateOf("a"))) !== "blocked") {
          begun = yield* Deferred.make<void>()
          statuses.push((yield* cutOff(respond("a"), begun)).status)
          // A run that is never given up fails the test, instead of keeping it busy.
          expect(statuses.length).toBeLessThan(20)
        }
        expect(new Set(statuses)).toEqual(new Set([503]))
        const blocked = yield* respond("a")
        expect(blocked.status).toBe(200)
        const verdict = (yield* Effect.promise(() => blocked.json())) as Dispatch.Verdict
        expect(verdict).toMatchObject({ _tag: "Blocked" })
        expect((verdict as { why: string }).why).toContain("CrashLoop")
        expect(counts).toEqual({ first: 1, second: statuses.length })
        expect(yield* on(here)(outcomes("a"))).toEqual({ first: 1 })
      })))
  }

  everywhere("leaves a run alone that another function drives", (open) =>
    Effect.gen(function*() {
      const begun = yield* Deferred.make<void>()
      const free = yield* Deferred.make<void>()
      const slow = Workflow.make("slow", function*(ctx) {
        return yield* ctx.step("work", () =>
          Effect.as(Effect.andThen(Deferred.succeed(begun, undefined), Deferred.await(free)), "ok"))
      })
      const here = yield* open
      const one = functionOf(here, [slow])
      const two = functionOf(yield* open, [slow])
      yield* on(here)(slow.enqueue(undefined, { runId: "a" }))
      const first = one(deliveryOf("a"))
      yield* Deferred.await(begun)
      const second = yield* Effect.promise(() =>
        two(deliveryOf("a"))
      )
      expect(second.status).toBe(503)
      expect(second.headers.get("retry-after")).toBe("2")
      expect(yield* Effect.promise(() => second.json())).toEqual({ _tag: "Held", after: 2_000 })
      yield* Deferred.succeed(free, undefined)
      const answered = yield* Effect.promise(() => first)
      expect(yield* Effect.promise(() => answered.json())).toEqual({
        _tag: "Done",
        status: "success"
      })
    }))

  everywhere(
    "suspends for a timer that it need not wait for, unless it is told to wait",
    (open) =>
      Effect.gen(function*() {
        const nap = Workflow.make("nap", function*(ctx) {
          yield* ctx.sleep("300 millis")
          return "awake"
        })
        const here = yield* open
        for (const runId of ["suspends", "waits"]) {
          yield* on(here)(nap.enqueue(undefined, { runId }))
        }
        const eager = functionOf(here, [nap])
        const suspended = yield* Effect.promise(() => eager(deliveryOf("suspends")))
        const { wakeAt } = yield* on(here)(Runs.status("suspends"))
        expect(typeof wakeAt).toBe("number")
        expect(yield* Effect.promise(() => suspended.json())).toEqual({
          _tag: "Waits",
          until: wakeAt
        })
        const patient = functionOf(here, [nap], { shortWait: "1 minute" })
        const done = yield* Effect.promise(() => patient(deliveryOf("waits")))
        expect(yield* Effect.promise(() => done.json())).toEqual({
          _tag: "Done",
          status: "success"
        })
      }),
    [memory]
  )

  it.live("hands runs of workflows that it does not know to nobody else's functions", () =>
    Effect.scoped(Effect.gen(function*() {
      const here = yield* yield* memory.fresh
      const { order, workflows } = shop()
      const other = Workflow.make("other", function*() {
        return "other"
      })
      yield* on(here)(other.enqueue(undefined, { runId: "o" }))
      yield* on(here)(order.enqueue("a", { runId: "a" }))
      const handler = functionOf(here, workflows)
      const foreign = yield* Effect.promise(() => handler(deliveryOf("o")))
      expect(foreign.status).toBe(404)
      expect(yield* Effect.promise(() => foreign.json())).toEqual({
        _tag: "Foreign",
        workflow: "other"
      })
      const absent = yield* Effect.promise(() => handler(deliveryOf("nobody")))
      expect(absent.status).toBe(200)
      expect(yield* Effect.promise(() => absent.json())).toEqual({ _tag: "Done", status: "absent" })
    })))

  it.live("is interrupted in its request, and not in its work, when the dispatcher is closed", () =>
    Effect.scoped(Effect.gen(function*() {
      const here = yield* yield* memory.fresh
      const begun = yield* Deferred.make<void>()
      const free = yield* Deferred.make<void>()
      const slow = Workflow.make("slow", function*(ctx) {
        yield* ctx.step(
          "work",
          () => Effect.andThen(Deferred.succeed(begun, undefined), Deferred.await(free))
        )
        return "ok"
      })
      const server = yield* serve(functionOf(here, [slow]))
      yield* on(here)(slow.enqueue(undefined, { runId: "a" }))
      const scoped = Effect.scoped(Effect.andThen(
        Layer.build(
          Worker.layerDispatch({ drain: "10 millis" }).pipe(
            Layer.provide(Push.layer({ url: server.url, secret })),
            Layer.provide(FetchHttpClient.layer),
            Layer.provide(Layer.succeed(Storage.Storage, here))
          )
        ),
        Deferred.await(begun)
      ))
      yield* scoped
      yield* Deferred.succeed(free, undefined)
      expect(yield* on(here)(resultOf("a"))).toBe("ok")
    })))
})

/** A dispatcher's `handle` against a `fetch`, and what it logged. */
const asked = (
  fetch: (request: Request) => Promise<Response> | Response,
  options: Partial<Push.LayerOptions> = {},
  times = 1
) =>
  Effect.gen(function*() {
    const logged: Array<string> = []
    const logger = Logger.make(({ message }) => void logged.push(String(message)))
    const send = (async (url: string | URL, init?: RequestInit) =>
      fetch(new Request(url, init))) as typeof globalThis.fetch
    const layer = Push.layer({ url: "http://function.test/", secret, ...options }).pipe(
      Layer.provide(FetchHttpClient.layer)
    )
    const verdicts = yield* Effect.forEach(
      Array.from({ length: times }, (_, n) =>
        `r${n}`),
      Dispatch.handle
    ).pipe(
      Effect.provide(layer),
      Effect.provideService(FetchHttpClient.Fetch, send),
      Effect.provide(Logger.layer([logger]))
    )
    return { verdicts, logged }
  })

const verdictOf = (
  fetch: (request: Request) => Promise<Response> | Response,
  options: Partial<Push.LayerOptions> = {}
) => Effect.map(asked(fetch, options), ({ verdicts }) => verdicts[0]!)

describe("a dispatcher", () => {
  const verdicts: ReadonlyArray<Dispatch.Verdict> = [
    { _tag: "Done", status: "success" },
    { _tag: "Done", status: "failed" },
    { _tag: "Done", status: "cancelled" },
    { _tag: "Done", status: "absent" },
    { _tag: "Waits", until: 1_800_000_000_000 },
    { _tag: "Waits", until: undefined },
    { _tag: "Held", after: 2_000 },
    { _tag: "Redeliver", after: 0, why: "time" },
    { _tag: "Redeliver", after: 1_500, why: "the disk is full" },
    { _tag: "Blocked", why: "CrashLoop" },
    { _tag: "Foreign", workflow: "order" }
  ]

  for (const verdict of verdicts) {
    it.live(`hears ${JSON.stringify(verdict)} as the function says it`, () =>
      Effect.gen(function*() {
        const layer = Layer.succeed(
          Dispatch.Dispatch,
          Dispatch.Dispatch.of({ handle: () => Effect.succeed(verdict) })
        )
        const heard = yield* verdictOf(Push.handler({ secret, layer }))
        expect(heard).toStrictEqual(verdict)
      }))
  }

  it.live("posts the id of the run, signed by each of its secrets", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      yield* verdictOf(async (request) => {
        const id = request.headers.get("webhook-id")!
        const seconds = request.headers.get("webhook-timestamp")!
        const body = await request.text()
        expect(request.method).toBe("POST")
        expect(request.headers.get("content-type")).toBe("application/json")
        expect(body).toBe(`{"runId":"r0"}`)
        expect(id).toMatch(/^msg_[0-9a-z]{26}$/)
        expect(request.headers.get("webhook-signature")).toBe(
          [secret, other].map((by) => signatureOf(by, id, seconds, body)).join(" ")
        )
        seen.push(id)
        return Response.json({ _tag: "Done", status: "success" })
      }, { secret: [secret, other] })
      expect(seen).toHaveLength(1)
    }))

  const reset = () => {
    throw new TypeError("fetch failed")
  }
  const broken = () =>
    new Response(
      new ReadableStream({ pull: (controller) => controller.error(new Error("cut")) }),
      { status: 200 }
    )
  const answers: ReadonlyArray<
    readonly [string, (request: Request) => Promise<Response> | Response, number, RegExp]
  > = [
    ["there is no connection", reset, 1_000, /^the function was not reached: /],
    ["the answer breaks off", broken, 1_000, /^the function was not reached: /],
    ["it is 500", () => new Response("oops", { status: 500 }), 1_000, /answered 500/],
    ["it is 502 with a page", () => new Response("<html>", { status: 502 }), 1_000, /502/],
    [
      "it is 503 with a while to wait",
      () => new Response("", { status: 503, headers: { "retry-after": "7" } }),
      7_000,
      /503/
    ],
    [
      "it is 429 with a long while to wait",
      () => new Response("", { status: 429, headers: { "retry-after": "86400" } }),
      60_000,
      /429/
    ],
    [
      "it is 503 with a date to wait for",
      () =>
        new Response("", {
          status: 503,
          headers: { "retry-after": "Wed, 21 Oct 2026 07:28:00 GMT" }
        }),
      1_000,
      /503/
    ],
    ["it is 408", () => new Response("", { status: 408 }), 1_000, /408/],
    ["it is 401", () => new Response("", { status: 401 }), 10_000, /none of the secrets/],
    ["it is 404 without a verdict", () => new Response("", { status: 404 }), 10_000, /no function/],
    ["it is 200 with a page", () => new Response("<html>welcome"), 10_000, /no function/],
    ["it is 200 with nothing", () => new Response(null, { status: 204 }), 10_000, /204/],
    [
      "it is a verdict that is not known here",
      () => Response.json({ _tag: "Perhaps" }),
      10_000,
      /no function/
    ],
    [
      "it is a verdict whose pause is none",
      () => Response.json({ _tag: "Held", after: -1 }),
      10_000,
      /no function/
    ],
    [
      "it is a verdict whose pause is null",
      () => Response.json({ _tag: "Held", after: null }),
      10_000,
      /no function/
    ],
    [
      "it is a verdict of no known status",
      () => Response.json({ _tag: "Done", status: "perhaps" }),
      10_000,
      /no function/
    ]
  ]

  for (const [what, fetch, after, why] of answers) {
    it.live(`delivers again when ${what}`, () =>
      Effect.gen(function*() {
        const verdict = yield* verdictOf(fetch)
        expect(verdict).toMatchObject({ _tag: "Redeliver", after })
        expect((verdict as { why: string }).why).toMatch(why)
      }))
  }

  it.live("delivers again when there is no answer in time, and ends the request", () =>
    Effect.gen(function*() {
      let aborted = false
      const verdict = yield* verdictOf(
        ({ signal }) =>
          new Promise<Response>(() =>
            signal.addEventListener("abort", () => {
              aborted = true
            })
          ),
        { timeout: "50 millis" }
      )
      expect(verdict).toEqual({
        _tag: "Redeliver",
        after: 1_000,
        why: "the function did not answer in time"
      })
      expect(aborted).toBe(true)
    }))

  it.live("logs a refusal once, and again after an answer, and shows no secret", () =>
    Effect.gen(function*() {
      let count = 0
      const { logged, verdicts } = yield* asked(
        () =>
          count++ === 2
            ? Response.json({ _tag: "Done", status: "success" })
            : new Response("", { status: 401 }),
        {},
        5
      )
      expect(verdicts.map(({ _tag }) => _tag)).toEqual([
        "Redeliver",
        "Redeliver",
        "Done",
        "Redeliver",
        "Redeliver"
      ])
      expect(logged).toHaveLength(2)
      expect(logged[0]).toContain("http://function.test/")
      expect(logged[0]).toContain("401")
      expect(logged.join()).not.toContain("whsec_")
    }))

  it.live("does not follow a redirect: whoever answers there has no say", () =>
    Effect.scoped(Effect.gen(function*() {
      let asked = 0
      const elsewhere = yield* serve(async () => {
        asked++
        return Response.json({ _tag: "Done", status: "success" })
      })
      const server = yield* serve(async () =>
        new Response(null, { status: 307, headers: { location: elsewhere.url } })
      )
      const verdict = yield* Dispatch.handle("r1").pipe(
        Effect.provide(Push.layer({ url: server.url, secret })),
        Effect.provide(FetchHttpClient.layer),
        Effect.provide(Logger.layer([]))
      )
      expect(verdict).toMatchObject({ _tag: "Redeliver", after: 10_000 })
      expect((verdict as { why: string }).why).toContain("307")
      expect(asked).toBe(0)
    })))

  it.live("is refused as a layer when its secret cannot be used", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(asked(reset, { secret: Redacted.make("whsec_c2hvcnQ=") }))
      expect(Exit.isFailure(exit) && String(exit.cause)).toContain("it has 5 bytes, not 24 to 64")
      expect(inspect(exit, { depth: 9 })).not.toContain("c2hvcnQ")
    }))
})
