/**
 * The typed client: every endpoint as a function, the library's own errors, and nothing of the token in any of them; over
 * a real connection, too.
 */
import { NodeHttpServer } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Redacted, Schema, type Scope, Stream } from "effect"
import { FetchHttpClient, HttpServer } from "effect/http"
import { createServer } from "node:http"
import { inspect } from "node:util"
import { Runs, Storage, Worker, Workflow } from "reprise"
import { Http } from "reprise/http"
import { on, work } from "../worker/support.ts"
import { clientOf, type Fetch, served, token, tokenOf } from "./support/remote.ts"

const greet = Workflow.make("greet", {
  input: Schema.Struct({ name: Schema.String }),
  events: { wave: Schema.Int }
}, function*(ctx, { name }) {
  const hello = yield* ctx.step("hello", () => `hello ${name}`)
  const times = yield* ctx.suspend("wave")
  return yield* ctx.step("bow", () => `${hello} ${times}`)
})
const greeting = Workflow.define("greet", greet.options as {})

const live = (
  name: string,
  test: () => Effect.Effect<unknown, unknown, Scope.Scope>
) => it.live(name, () => Effect.asVoid(Effect.scoped(Effect.suspend(test))))

const input = { name: "ada" }
const params = { runId: "r" }

describe("the client", () => {
  live(
    "is given a checkpoint that another storage goes on from, and told whether a run is sound",
    () =>
      Effect.gen(function*() {
        const { fetch, storage } = yield* served()
        yield* on(storage)(greet.start(input, { runId: "r" }))
        const { admin, runs } = yield* clientOf(fetch)
        const { checkpoint } = yield* admin.checkpoint({ params, query: { after: "hello" } })
        const elsewhere = Storage.make(Storage.memoryDriver())
        const begun = yield* on(elsewhere)(greet.runCheckpoint(checkpoint))
        expect(begun).toMatchObject({ status: "suspended" })
        const missing = yield* Effect.flip(admin.checkpoint({ params, query: { after: "nope" } }))
        expect(missing).toMatchObject({ _tag: "StepNotFound", step: "nope" })
        const { entries } = yield* on(storage)(Runs.journal("r"))
        expect(yield* runs.verify({ params })).toEqual({
          runId: "r",
          state: "sound",
          entries: entries.length,
          rejected: 0,
          torn: 0
        })
      })
  )

  live("is told of a run that has ended with the state it ended in", () =>
    Effect.gen(function*() {
      const { fetch, storage } = yield* served()
      yield* on(storage)(greet.start(input, { runId: "r" }))
      yield* on(storage)(greet.resume("r", { eventName: "wave", value: 1 }))
      const { events } = yield* clientOf(fetch)
      const error = yield* Effect.flip(events.send({ params, payload: { eventName: "wave" } }))
      expect(error).toBeInstanceOf(Runs.RunClosed)
      expect(error).toMatchObject({ runId: "r", status: "success" })
    }))

  live("begins a run, sends to it, and sees its end", () =>
    Effect.gen(function*() {
      const { fetch, storage } = yield* served({ workflows: [greet] })
      const { admin, events, runs } = yield* clientOf(fetch)
      expect(yield* events.enqueue({ payload: { workflow: "greet", input, runId: "r" } })).toEqual(
        params
      )
      expect(yield* runs.due({ query: {} })).toEqual(["r"])
      expect(yield* runs.lease({ params })).toEqual({})
      yield* work(storage, { workflows: [greet] })
      const changes = yield* runs.changes({ params })
      const seen = yield* Effect.forkChild(Stream.runCollect(changes))
      const event = { eventName: "wave", value: 3, eventId: "one" }
      expect(yield* events.send({ params, payload: event })).toEqual({ runId: "r", eventId: "one" })
      expect(yield* events.send({ params, payload: event })).toMatchObject({ eventId: "one" })
      expect((yield* Fiber.join(seen)).at(-1)).toMatchObject({
        runId: "r",
        status: "success",
        result: "hello ada 3"
      })
      const status = yield* on(storage)(Runs.status("r"))
      expect(yield* runs.status({ params })).toEqual(status)
      expect(yield* runs.list({ query: {} })).toEqual({ runs: [status], unreadable: [] })
      expect(yield* runs.list({ query: { search: "nothing" } })).toEqual({
        runs: [],
        unreadable: []
      })
      const { entries } = yield* on(storage)(Runs.journal("r"))
      expect(yield* runs.journal({ params, query: {} })).toEqual({
        entries,
        total: entries.length,
        rejected: 0,
        torn: 0
      })
      expect((yield* runs.journal({ params, query: { offset: 2, limit: 1 } })).entries).toEqual([
        entries[2]
      ])
      expect(yield* runs.show({ params, query: {} })).toMatchObject({ runId: "r", input })
      const { runId } = yield* admin.fork({
        params,
        payload: { fromStep: "bow", override: { hello: "good day" } }
      })
      expect(yield* runs.status({ params: { runId } })).toMatchObject({ source: { runId: "r" } })
      expect(yield* on(storage)(greet.join(runId))).toBe("good day 3")
      yield* admin.remove({ params: { runId } })
      yield* on(storage)(greet.start(input, { runId: "s" }))
      yield* admin.cancel({ params: { runId: "s" }, payload: { reason: "enough" } })
      expect(yield* on(storage)(Runs.end("s"))).toMatchObject({ reason: "enough" })
      expect(yield* admin.prune({ payload: { endedBefore: 8e14 } })).toEqual({
        removed: ["r", "s"]
      })
    }))

  live("is told who it is, and how the server is", () =>
    Effect.gen(function*() {
      const { fetch } = yield* served({ workflows: [greet], drives: true })
      const client = yield* clientOf(fetch)
      expect(yield* client.runs.session()).toMatchObject({
        name: "tests",
        scopes: ["admin"],
        drives: true,
        workflows: [{ name: "greet", events: { wave: { schema: { type: "integer" } } } }]
      })
      expect(yield* client.health()).toEqual({ status: "ok" })
      expect(yield* client.ready()).toEqual({ status: "ok" })
      expect(yield* client.metrics()).toEqual(expect.any(String))
    }))

  live("fails as the library does", () =>
    Effect.gen(function*() {
      const { fetch, storage } = yield* served({ workflows: [greet] })
      const { admin, events, runs } = yield* clientOf(fetch)
      yield* on(storage)(greet.start(input, { runId: "r" }))
      const gone = { params: { runId: "gone" } }
      const workflow = "greet"
      const failures: ReadonlyArray<readonly [Effect.Effect<unknown, unknown>, object]> = [
        [runs.status(gone), new Runs.RunNotFound({ runId: "gone" })],
        [runs.show({ ...gone, query: {} }), new Runs.RunNotFound({ runId: "gone" })],
        [runs.changes(gone), new Runs.RunNotFound({ runId: "gone" })],
        [admin.remove(gone), new Runs.RunNotFound({ runId: "gone" })],
        [runs.status({ params: { runId: "a/b" } }), new Runs.RunIdRejected({ runId: "a/b" })],
        [
          events.enqueue({ payload: { workflow, input: { name: "eve" }, runId: "r" } }),
          new Runs.RunExists({
            runId: "r",
            differs: "input",
            seen: `{"name":"eve"}`,
            recorded: `{"name":"ada"}`
          })
        ],
        [
          events.enqueue({ payload: { workflow, input: 5, runId: "s" } }),
          { _tag: "InputRejected", runId: "s", workflow }
        ],
        [
          events.send({ params, payload: { eventName: "shout", value: 1 } }),
          { _tag: "EventRejected", runId: "r", eventName: "shout", allowed: ["wave"] }
        ],
        [
          admin.settle({ params, payload: { stepId: "hello", verdict: { value: 1 } } }),
          new Runs.SettleRejected({ runId: "r", stepId: "hello", allowed: [] })
        ],
        [
          admin.fork({ params, payload: { fromStep: "bye" } }),
          { _tag: "StepNotFound", runId: "r" }
        ],
        [admin.retry({ params, payload: {} }), { _tag: "ForkRejected", runId: "r" }],
        [events.deliver({ payload: { token: "x" } }), new Runs.TokenRejected({ saw: `"x"` })]
      ]
      for (const [call, expected] of failures) {
        const error = yield* Effect.flip(call)
        expect(error).toBeInstanceOf(Error)
        const { message } = error as Error
        expect({ ...(error as object), message }).toMatchObject({ ...expected })
        if (expected instanceof Error) expect(message).toBe(expected.message)
      }
    }))

  live("fails where the token does not allow it", () =>
    Effect.gen(function*() {
      const reading = tokenOf("reading-0123456789", ["read"])
      const { fetch } = yield* served({ tokens: [reading], rates: { token: 2 } })
      const unknown = yield* clientOf(fetch)
      expect(yield* Effect.flip(unknown.runs.session())).toMatchObject({
        _tag: "Unauthorized",
        detail: expect.stringContaining("Bearer")
      })
      const reader = yield* clientOf(fetch, { token: reading.token })
      expect(yield* Effect.flip(reader.admin.remove({ params }))).toMatchObject({
        _tag: "Forbidden",
        needs: "admin"
      })
      yield* reader.runs.session()
      expect(yield* Effect.flip(reader.runs.session())).toMatchObject({
        _tag: "TooManyRequests",
        retryAfter: expect.any(Number)
      })
    }))

  live(
    "has no address for some ids, and asks for no other in their place",
    () =>
      Effect.gen(function*() {
        const { fetch, requests } = yield* served()
        const { admin, runs } = yield* clientOf(fetch)
        for (const runId of ["", ".", ".."]) {
          for (const call of [runs.status, admin.remove, runs.changes]) {
            const error: unknown = yield* Effect.flip(
              call({ params: { runId } }) as Effect.Effect<unknown, unknown>
            )
            expect(error).toMatchObject({
              _tag: "SchemaError",
              message: expect.stringContaining(`"${runId}" has no address`)
            })
          }
        }
        expect(requests).toEqual([])
      })
  )

  live("sends the token with every request, and shows it to nobody", () =>
    Effect.gen(function*() {
      const authorizations: Array<string | null> = []
      const failing: Fetch = (url, init) => {
        authorizations.push(new Request(url, init).headers.get("authorization"))
        return Promise.reject(new TypeError("fetch failed"))
      }
      const client = yield* clientOf(failing)
      const shown: Array<string> = []
      for (const call of [client.runs.session(), client.health(), client.metrics()]) {
        const error = yield* Effect.flip(call as Effect.Effect<unknown, unknown>)
        shown.push(String(error), JSON.stringify(error), inspect(error, { depth: 20 }))
      }
      const text = Redacted.value(token)
      expect(authorizations).toEqual(Array.from({ length: 3 }, () => `Bearer ${text}`))
      expect(shown.filter((one) => one.includes(text))).toEqual([])
    }))
})

describe("over a real connection", () => {
  const serving = Http.serve({
    tokens: [{ name: "tests", token, scopes: ["admin"] }],
    workflows: [greet],
    drives: true
  }).pipe(
    Layer.provideMerge(Worker.layer({ workflows: [greet], poll: "200 millis" })),
    Layer.provideMerge(
      NodeHttpServer.layer(() => createServer(Http.serverOptions), { port: 0, host: "127.0.0.1" })
    ),
    Layer.provide(Storage.layerMemory)
  )
  const address = HttpServer.addressFormattedWith(Effect.succeed)

  live("client and remote runs do what they do in one process", () =>
    Effect.gen(function*() {
      const context = yield* Layer.build(serving)
      const url = yield* Effect.provide(address, context)
      const remote = Http.layerRuns({ url, token }).pipe(Layer.provide(FetchHttpClient.layer))
      const { health, runs } = yield* Effect.provide(
        Http.client({ url, token }),
        FetchHttpClient.layer
      )
      expect(yield* health()).toEqual({ status: "ok" })
      yield* Effect.provide(
        Effect.gen(function*() {
          const runId = yield* greet.enqueue(input, { runId: "a b#?%25" })
          const states = yield* Effect.forkChild(Stream.runCollect(Runs.changes(runId)))
          const joined = yield* Effect.forkChild(greet.join(runId))
          yield* greet.send(runId, { eventName: "wave", value: 2 })
          expect(yield* Fiber.join(joined)).toBe("hello ada 2")
          expect((yield* Fiber.join(states)).at(-1)).toMatchObject({ status: "success" })
          expect(yield* runs.status({ params: { runId } })).toEqual(yield* Runs.status(runId))
          expect(yield* Effect.flip(greeting.join("gone"))).toMatchObject({ _tag: "RunNotFound" })
        }),
        remote
      )
    }))
})
