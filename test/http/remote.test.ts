/**
 * `Runs` and contracts over HTTP do what they do beside the storage: the same answers, the same errors, and an end that
 * is heard of, whatever becomes of a connection.
 */
import { describe, expect, it } from "@effect/vitest"
import {
  DateTime,
  Deferred,
  Effect,
  Fiber,
  Redacted,
  Result,
  Schema,
  type Scope,
  Stream
} from "effect"
import { inspect } from "node:util"
import { Runs, Storage, Workflow } from "reprise"
import { on, type Service, until, work } from "../worker/support.ts"
import { type Fetch, remote, type Served, served, token, tokenOf } from "./support/remote.ts"

// ---------------------------------------------------------------------------------------------------
// workflows, and what another machine knows of them

const ordering = {
  input: Schema.Struct({ item: Schema.String }),
  output: Schema.Struct({ item: Schema.String, by: Schema.String, at: Schema.DateTimeUtc }),
  error: Schema.TaggedStruct("Refused", { why: Schema.String }),
  events: { approve: Schema.Struct({ by: Schema.String, at: Schema.DateTimeUtc }) }
}
const order = Workflow.make("order", ordering, function*(ctx, { item }) {
  yield* ctx.step("reserve", () => item)
  const { at, by } = yield* ctx.suspend("approve")
  if (by === "nobody") return yield* ctx.fail({ _tag: "Refused", why: "by nobody" } as const)
  return { item, by, at }
})
const orders = Workflow.define("order", ordering)

const at = DateTime.makeUnsafe("2030-01-01T00:00:00Z")
const approval = (by: string, more: { readonly eventId?: string } = {}) => ({
  eventName: "approve" as const,
  value: { by, at },
  ...more
})

/** A step that a dying process leaves behind without an outcome. */
const charging = Workflow.make("charging", function*(ctx) {
  return yield* ctx.step("charge", Effect.never, { delivery: "at-most-once" })
})

/** A run of `charging` that is blocked. */
const left = (runId: string) =>
  Effect.gen(function*() {
    const driven = yield* Effect.forkChild(charging.start(undefined, { runId }))
    yield* until(
      "it charges",
      Effect.map(Runs.status(runId), ({ intents }) => intents.length > 0).pipe(
        Effect.orElseSucceed(() => false)
      )
    )
    yield* Fiber.interrupt(driven)
  })

/** Counts to `n`, as fast as it can, and says where it is. */
const counting = Workflow.make("counting", {
  input: Schema.Int,
  channels: { at: Schema.Int },
  events: { go: Schema.Json }
}, function*(ctx, n) {
  yield* ctx.publish("at", 0)
  yield* ctx.suspend("go")
  for (let i = 1; i <= n; i++) yield* ctx.step(`count ${i}`, () => i)
  return n
})

/** Goes on as another run until it is at 3. */
const looping = Workflow.make("looping", {
  input: Schema.Int,
  events: { next: Schema.Json }
}, function*(ctx, n) {
  yield* ctx.suspend("next")
  return n === 3 ? "over" : yield* ctx.continueAs(n + 1)
})

// ---------------------------------------------------------------------------------------------------
// two ways to one storage

interface Both {
  readonly here: Service
  readonly there: Service
  readonly server: Served
}

const both = (
  options: Parameters<typeof served>[0] = {},
  storage?: Service
): Effect.Effect<Both, never, Scope.Scope> =>
  Effect.gen(function*() {
    const server = yield* served(options, storage)
    return { here: server.storage, there: yield* remote(server.fetch), server }
  })

/** What it gives or fails with, and what that says. */
const outcome = <A, E>(storage: Service, program: Effect.Effect<A, E, Storage.Storage>) =>
  Effect.map(Effect.result(on(storage)(program)), (result) =>
    Result.isSuccess(result)
      ? { gives: result.success }
      : { fails: { ...result.failure, message: String((result.failure as Error).message) } })

/** Holds that it is the same here and there, and gives it. */
const same = <A, E>({ here, there }: Both, program: Effect.Effect<A, E, Storage.Storage>) =>
  Effect.gen(function*() {
    const local = yield* outcome(here, program)
    expect(yield* outcome(there, program)).toEqual(local)
    return local
  })

type Calls = ReadonlyArray<Effect.Effect<unknown, unknown, Storage.Storage>>

const live = (
  name: string,
  test: () => Effect.Effect<unknown, unknown, Scope.Scope>
) => it.live(name, () => Effect.asVoid(Effect.scoped(Effect.suspend(test))))

// ---------------------------------------------------------------------------------------------------

describe("looking at runs over HTTP", () => {
  live("gives every state as the storage gives it", () =>
    Effect.gen(function*() {
      const places = yield* both()
      const { here } = places
      yield* on(here)(Effect.gen(function*() {
        yield* order.enqueue({ item: "pen" }, { runId: "pending" })
        for (const runId of ["suspended", "success", "failed", "cancelled"]) {
          yield* order.start({ item: "book" }, { runId })
        }
        yield* order.resume("success", approval("ada"))
        yield* order.resume("failed", approval("nobody"))
        yield* order.cancel("cancelled", { reason: "too late" })
        yield* order.start({ item: "cup" }, {
          runId: "stopped",
          onStepComplete: ({ stop }) => stop()
        })
        yield* left("blocked")
      }))
      const held = yield* Effect.forkChild(
        on(here)(charging.start(undefined, { runId: "running" }))
      )
      yield* until(
        "it runs",
        on(here)(Effect.map(Runs.list({ status: "running" }), ({ runs }) => runs.length === 1))
      )
      const states = [
        "pending",
        "suspended",
        "success",
        "failed",
        "cancelled",
        "stopped",
        "blocked",
        "running"
      ]
      for (const runId of states) {
        // How many steps run is known only where they do.
        const idle = (status: Runs.Status) => ({
          ...status,
          steps: { ...status.steps, running: 0 }
        })
        expect(yield* same(places, Effect.map(Runs.status(runId), idle))).toMatchObject({
          gives: { status: runId }
        })
        yield* same(places, Effect.map(Runs.latestStatus(runId), idle))
        yield* same(places, Runs.journal(runId))
        yield* same(places, Effect.map(orders.status(runId), ({ steps: _, ...look }) => look))
      }
      const holder = Effect.flatMap(Storage.Storage, (storage) => storage.holder("running"))
      expect(yield* same(places, holder)).toMatchObject({ gives: { host: expect.any(String) } })
      yield* Fiber.interrupt(held)
    }))

  live("lists what is asked for, a page at a time", () =>
    Effect.gen(function*() {
      const places = yield* both()
      yield* on(places.here)(Effect.gen(function*() {
        for (let n = 0; n < 5; n++) yield* order.start({ item: "book" }, { runId: `order ${n}` })
        yield* order.resume("order 3", approval("ada"))
        yield* counting.enqueue(1, { runId: "count" })
      }))
      const queries: ReadonlyArray<Storage.Query> = [
        {},
        { limit: 2 },
        { limit: 2, after: "order 1" },
        { limit: 100_000 },
        { status: "success" },
        { workflow: "counting" },
        { workflow: "nothing" },
        { updatedBefore: 5 },
        { updatedBefore: Infinity, updatedFrom: -Infinity },
        { updatedFrom: 5, status: "suspended", workflow: "order", limit: 3 }
      ]
      for (const query of queries) {
        const { gives } = yield* same(places, Runs.list(query))
        expect(gives).toBeDefined()
      }
      expect(yield* same(places, Runs.due())).toEqual({ gives: ["count"] })
      expect(yield* same(places, Runs.due(0))).toEqual({ gives: ["count"] })
    }))

  live("asks for what is due at the instant that it is asked for", () =>
    Effect.gen(function*() {
      const places = yield* both()
      const sleeping = Workflow.make("sleeping", function*(ctx) {
        yield* ctx.sleep("1 hour")
      })
      yield* on(places.here)(sleeping.start(undefined, { runId: "r" }))
      expect(yield* same(places, Runs.due())).toEqual({ gives: [] })
      expect(yield* same(places, Runs.due(8e14))).toEqual({ gives: ["r"] })
    }))

  live("reads a journal of several pages whole", () =>
    Effect.gen(function*() {
      const driver = Storage.memoryDriver()
      const places = yield* both({}, Storage.make(driver))
      const n = 10_100
      const { here, server } = places
      yield* on(here)(Effect.gen(function*() {
        yield* counting.start(n, { runId: "long", durability: "exit" })
        yield* counting.resume("long", { eventName: "go", value: 1 })
      }))
      yield* same(places, Runs.journal("long"))
      expect(server.requests.filter((path) => path.endsWith("/journal"))).toHaveLength(2)
    }))

  live("finds the runs of every id, as nasty as it may be", () =>
    Effect.gen(function*() {
      const places = yield* both()
      const ids = [
        "a b#?%25",
        "..%2f",
        "%",
        "%00",
        "...",
        ". .",
        "a+b",
        "~",
        ";",
        "{x}",
        "*",
        ":runId",
        "?status=success",
        " ",
        "%".repeat(200)
      ]
      for (const runId of ids) {
        yield* on(places.here)(order.start({ item: runId }, { runId }))
        expect(yield* same(places, Runs.status(runId))).toMatchObject({ gives: { runId } })
        yield* same(places, Runs.journal(runId))
        yield* on(places.there)(orders.send(runId, approval("ada")))
        yield* on(places.here)(order.resume(runId))
        expect(yield* same(places, orders.status(runId))).toMatchObject({
          gives: { status: "success", result: { item: runId, by: "ada" } }
        })
        yield* on(places.there)(Runs.remove(runId))
        expect((yield* on(places.here)(Runs.list())).runs).toEqual([])
      }
    }))

  live("has no address for two ids, and says so", () =>
    Effect.gen(function*() {
      const { here, server, there } = yield* both()
      for (const runId of [".", ".."]) {
        yield* on(here)(order.start({ item: "book" }, { runId }))
        const calls: Calls = [
          Runs.status(runId),
          Runs.remove(runId),
          orders.send(runId, approval("ada")),
          orders.join(runId)
        ]
        for (const call of calls) {
          expect(yield* outcome(there, call)).toMatchObject({
            fails: {
              _tag: "StorageError",
              reason: "Unsupported",
              message: expect.stringContaining(`a URL cannot hold the run id "${runId}"`)
            }
          })
        }
      }
      expect(server.requests).toEqual([])
    }))
})

describe("the errors of runs over HTTP", () => {
  live("are those of the library, with the same fields and words", () =>
    Effect.gen(function*() {
      const places = yield* both()
      yield* on(places.here)(Effect.gen(function*() {
        yield* order.start({ item: "book" }, { runId: "over" })
        yield* order.resume("over", approval("ada"))
        yield* order.start({ item: "book" }, { runId: "open" })
        yield* left("blocked")
      }))
      const tags: ReadonlyArray<
        readonly [string, Effect.Effect<unknown, unknown, Storage.Storage>]
      > = [
        ["RunNotFound", Runs.status("gone")],
        ["RunNotFound", Runs.journal("gone")],
        ["RunNotFound", Runs.latestStatus("gone")],
        ["RunNotFound", Runs.send("gone", { eventName: "approve" })],
        ["RunNotFound", Runs.cancel("gone")],
        ["RunNotFound", Runs.settle("gone")],
        ["RunNotFound", Runs.remove("gone")],
        ["RunNotFound", Runs.end("gone")],
        ["RunNotFound", orders.join("gone")],
        ["RunNotFound", Stream.runCollect(Runs.changes("gone"))],
        ["RunIdRejected", Runs.status("a/b")],
        ["RunIdRejected", Runs.status("")],
        ["RunIdRejected", Runs.remove("")],
        ["RunIdRejected", orders.enqueue({ item: "book" }, { runId: "é" })],
        ["RunClosed", Runs.send("over", { eventName: "approve" })],
        ["RunClosed", Runs.cancel("over")],
        ["RunClosed", Runs.settle("over")],
        ["RunExists", Runs.send("open", { eventName: "approve" }, { workflow: "other" })],
        ["RunExists", Workflow.define("other", {}).join("open")],
        ["RunExists", Workflow.define("other", {}).status("open")],
        ["RunExists", orders.enqueue({ item: "another" }, { runId: "open" })],
        ["SettleRejected", Runs.settle("blocked", "refund", { retry: true })],
        ["TokenRejected", Runs.deliver("no token")],
        ["EventRejected", orders.send("open", { eventName: "reject" } as never)]
      ]
      for (const [tag, call] of tags) {
        expect(yield* same(places, call)).toMatchObject({ fails: { _tag: tag } })
      }
    }))

  live(
    "tell of a damaged journal, which can be removed and hides no other run",
    () =>
      Effect.gen(function*() {
        const driver = Storage.memoryDriver()
        const damaged: Storage.Driver = {
          ...driver,
          read: (runId) =>
            Effect.map(
              driver.read(runId),
              (stored) =>
                runId === "bad" ? { ...stored, text: stored.text.replace("pen", "pan") } : stored
            ),
          list: (query, now) =>
            Effect.map(driver.list(query, now), (page) => ({
              ...page,
              runs: page.runs.filter(({ runId }) => runId !== "bad"),
              unreadable: page.runs.filter(({ runId }) => runId === "bad").map(({ runId }) => ({
                runId,
                error: new Storage.StorageError({ reason: "Unknown", doing: "x", cause: "y" })
              }))
            }))
        }
        const places = yield* both({}, Storage.make(damaged))
        yield* on(places.here)(order.start({ item: "pen" }, { runId: "bad" }))
        yield* on(places.here)(order.start({ item: "pen" }, { runId: "good" }))
        expect(yield* same(places, Runs.status("bad"))).toMatchObject({
          fails: { _tag: "JournalCorrupt", file: "journal" }
        })
        const { runs, unreadable } = yield* on(places.there)(Runs.list())
        expect(runs.map(({ runId }) => runId)).toEqual(["good"])
        expect(unreadable).toMatchObject([{ runId: "bad", error: { _tag: "StorageError" } }])
        yield* on(places.there)(Runs.remove("bad"))
        expect(yield* same(places, Runs.status("bad"))).toMatchObject({
          fails: { _tag: "RunNotFound" }
        })
      })
  )

  live("are those of a race as well: the server has looked again", () =>
    Effect.gen(function*() {
      const { here, server } = yield* both()
      // The run is removed between the look and the post.
      const racing: Fetch = async (...ask) => {
        if (ask[1]?.method === "POST") await Effect.runPromise(on(here)(Runs.remove("r")))
        return server.fetch(...ask)
      }
      const there = yield* remote(racing)
      yield* on(here)(order.start({ item: "book" }, { runId: "r" }))
      const remotely = yield* outcome(there, Runs.send("r", { eventName: "approve" }))
      expect(remotely).toMatchObject({ fails: { _tag: "RunNotFound" } })
      expect(remotely).toEqual(yield* outcome(here, Runs.send("r", { eventName: "approve" })))
      const other = yield* both({ workflows: [orders] })
      yield* on(other.here)(order.start({ item: "book" }, { runId: "r" }))
      // What the server knows of events is no error of a call without types.
      expect(yield* outcome(other.there, Runs.send("r", { eventName: "reject" }))).toMatchObject({
        fails: {
          _tag: "StorageError",
          reason: "Unsupported",
          message: expect.stringContaining("does not declare it")
        }
      })
    }))
})

describe("steering runs over HTTP", () => {
  live("sends an event once for each id", () =>
    Effect.gen(function*() {
      const { here, there } = yield* both()
      yield* on(here)(order.start({ item: "book" }, { runId: "r" }))
      yield* on(there)(orders.send("r", approval("ada", { eventId: "one" })))
      yield* on(there)(orders.send("r", approval("eve", { eventId: "one" })))
      yield* on(here)(order.resume("r"))
      // A repeat of what was taken is no news of a run that is over.
      yield* on(there)(orders.send("r", approval("ada", { eventId: "one" })))
      const { entries } = yield* on(here)(Runs.journal("r"))
      expect(entries.filter((entry) => "eventId" in entry)).toMatchObject([
        { type: "resume", eventId: "one", value: { by: "ada" } }
      ])
    }))

  live("posts to the newest run of a chain", () =>
    Effect.gen(function*() {
      const { here, there } = yield* both()
      yield* on(here)(looping.start(1, { runId: "loop" }))
      for (const eventId of ["a", "b", "c"]) {
        yield* on(there)(Runs.send("loop", { eventName: "next", value: 1, eventId }))
        const { runId } = yield* on(there)(Runs.latestStatus("loop"))
        yield* on(here)(looping.resume(runId))
      }
      expect(yield* on(there)(Runs.latestStatus("loop"))).toMatchObject({
        runId: "loop+3",
        status: "success"
      })
      // It was taken by a run before this one.
      yield* on(there)(Runs.send("loop", { eventName: "next", value: 1, eventId: "a" }))
    }))

  live("cancels with a reason, and delivers what a token stands for", () =>
    Effect.gen(function*() {
      const { here, there } = yield* both()
      const asking = Workflow.make("asking", { events: { answer: Schema.Int } }, function*(ctx) {
        const token = yield* ctx.token("answer")
        yield* ctx.step("mail", () => token)
        return yield* ctx.suspend("answer")
      })
      yield* on(here)(order.start({ item: "book" }, { runId: "r" }))
      yield* on(there)(Runs.cancel("r", { reason: "sold out", eventId: "c" }))
      yield* on(there)(Runs.cancel("r", { reason: "sold out", eventId: "c" }))
      expect(yield* on(here)(order.resume("r"))).toMatchObject({
        status: "cancelled",
        reason: "sold out"
      })
      yield* on(here)(asking.start(undefined, { runId: "a" }))
      const { entries } = yield* on(here)(Runs.journal("a"))
      const mail = entries.find((entry) => entry.type === "step")
      const link = (mail as unknown as { readonly result: string }).result
      yield* on(there)(Runs.deliver(link, 42))
      yield* on(there)(Runs.deliver(link, 43))
      expect(yield* on(here)(asking.resume("a"))).toMatchObject({ result: 42 })
    }))

  const verdicts: ReadonlyArray<readonly [string, Runs.Verdict, object]> = [
    ["a value", { value: "paid" }, { status: "success", result: "paid" }],
    ["nothing", { value: undefined }, { status: "success", result: undefined }],
    ["null", { value: null }, { status: "success", result: null }],
    ["a failure", { failure: "no money", tag: "Broke" }, { status: "failed" }]
  ]
  for (const [what, verdict, driven] of verdicts) {
    live(`settles a step with ${what}`, () =>
      Effect.gen(function*() {
        const { here, there } = yield* both()
        yield* on(here)(left("local"))
        yield* on(here)(left("remote"))
        yield* on(here)(Runs.settle("local", "charge", verdict))
        yield* on(there)(Runs.settle("remote", "charge", verdict))
        const [one, other] = yield* Effect.forEach(
          ["local", "remote"],
          (runId) => on(here)(charging.resume(runId))
        )
        expect(other).toMatchObject(driven)
        expect({ ...other, runId: "" }).toEqual({ ...one, runId: "" })
        const settled = (runId: string) =>
          Effect.map(on(here)(Runs.journal(runId)), ({ entries }) => {
            const step = entries.find((entry) => entry.type === "step")
            return { error: step?.error, result: step?.result, of: typeof step?.eventId }
          })
        expect(yield* settled("remote")).toEqual(yield* settled("local"))
      }))
  }

  live("lets a step run again, and a run go on", () =>
    Effect.gen(function*() {
      const { here, there } = yield* both()
      yield* on(here)(left("r"))
      yield* on(there)(Runs.settle("r", "charge", { retry: true }))
      expect(yield* on(there)(Runs.due())).toEqual(["r"])
      yield* on(there)(Runs.settle("r"))
      const inbox = yield* here.inbox(
        "r",
        (yield* on(here)(Runs.journal("r"))).head.incarnation,
        ""
      )
      expect(inbox.items).toMatchObject([
        { type: "settle", stepId: "charge", as: { is: "retry" } },
        { type: "settle", as: { is: "retry" } }
      ])
    }))

  live("removes a run, and all that ended before an instant", () =>
    Effect.gen(function*() {
      const { here, there } = yield* both()
      yield* on(here)(Effect.gen(function*() {
        yield* looping.start(2, { runId: "loop" })
        yield* looping.resume("loop", { eventName: "next", value: 1 })
        yield* looping.resume("loop+2", { eventName: "next", value: 1 })
        for (const runId of ["a", "b", "open"]) yield* order.start({ item: "book" }, { runId })
        yield* order.resume("a", approval("ada"))
        yield* order.resume("b", approval("nobody"))
      }))
      expect(yield* on(there)(Runs.prune(5))).toEqual([])
      expect(new Set(yield* on(there)(Runs.prune(Infinity)))).toEqual(
        new Set(["a", "b", "loop", "loop+2"])
      )
      expect((yield* on(here)(Runs.list())).runs.map(({ runId }) => runId)).toEqual(["open"])
      yield* on(there)(Runs.remove("open"))
      expect((yield* on(here)(Runs.list())).runs).toEqual([])
    }))
})

describe("beginning runs over HTTP", () => {
  live("records what a worker beside the storage drives", () =>
    Effect.gen(function*() {
      const { here, there } = yield* both()
      const one = yield* on(there)(orders.enqueue({ item: "book" }, { idempotencyKey: "7" }))
      const again = yield* on(there)(
        Runs.enqueue(orders, { item: "book" }, { idempotencyKey: "7" })
      )
      expect([one, again]).toEqual(["order:7", "order:7"])
      yield* work(here, { workflows: [order] })
      yield* on(there)(orders.send(one, approval("ada")))
      expect(yield* on(there)(orders.join(one))).toEqual({ item: "book", by: "ada", at })
      // Also when it is over the same run is the same run.
      expect(yield* on(there)(orders.enqueue({ item: "book" }, { runId: one }))).toBe(one)
      expect(yield* on(there)(orders.join(one))).toMatchObject({ by: "ada" })
    }))

  live(
    "records the version that both know, and none that only one of them knows",
    () =>
      Effect.gen(function*() {
        const two = Workflow.define("order", { ...ordering, version: "2" })
        const { here, there } = yield* both({ workflows: [two] })
        yield* on(there)(two.enqueue({ item: "book" }, { runId: "r" }))
        expect(yield* on(here)(Runs.status("r"))).toMatchObject({ version: "2" })
        const three = Workflow.define("order", { ...ordering, version: "3" })
        expect(yield* outcome(there, three.enqueue({ item: "book" }, { runId: "s" })))
          .toMatchObject({
            fails: {
              reason: "Unsupported",
              message: expect.stringContaining("version 3 of workflow \"order\"")
            }
          })
        const unknown = Workflow.define("other", { version: "1" })
        expect(yield* outcome(there, unknown.enqueue(1 as never))).toMatchObject({
          fails: { message: expect.stringContaining("the server knows no version of it") }
        })
        expect((yield* on(here)(Runs.list())).runs).toHaveLength(1)
      })
  )

  live(
    "refuses what the API has no words for, before anything is recorded",
    () =>
      Effect.gen(function*() {
        const { here, server, there } = yield* both()
        const input = { item: "book" }
        expect(yield* outcome(there, orders.enqueue(input, { durability: "exit" }))).toMatchObject({
          fails: {
            _tag: "StorageError",
            reason: "Unsupported",
            message: expect.stringContaining("client.events.enqueue")
          }
        })
        expect(yield* outcome(there, Workflow.define("void", {}).enqueue(undefined as never)))
          .toMatchObject({ fails: { _tag: "StorageError", reason: "Unsupported" } })
        expect(server.requests).toEqual([])
        expect((yield* on(here)(Runs.list())).runs).toEqual([])
      })
  )

  live("hears of an input that only the server knows to be wrong", () =>
    Effect.gen(function*() {
      const { there } = yield* both({ workflows: [orders] })
      const loose = Workflow.define("order", { input: Schema.Json })
      expect(yield* outcome(there, loose.enqueue({ article: "book" }, { runId: "r" })))
        .toMatchObject({ fails: { _tag: "InputRejected", runId: "r", workflow: "order" } })
    }))

  live("drives nothing: that is for workers beside the storage", () =>
    Effect.gen(function*() {
      const { here, there } = yield* both()
      yield* on(here)(order.start({ item: "book" }, { runId: "r" }))
      const calls: Calls = [
        order.start({ item: "book" }, { runId: "s" }),
        order.resume("r"),
        order.cancel("r"),
        Runs.fork("r", { fromStep: "reserve" }),
        Effect.flatMap(Storage.Storage, (storage) => storage.inbox("r", "", ""))
      ]
      for (const call of calls) {
        expect(yield* outcome(there, call)).toMatchObject({
          fails: { _tag: "StorageError", reason: "Unsupported" }
        })
      }
      expect((yield* on(here)(Runs.list())).runs).toHaveLength(1)
    }))
})

describe("waiting for runs over HTTP", () => {
  live("sees every change until the end, and what is published", () =>
    Effect.gen(function*() {
      const { here, there } = yield* both()
      yield* on(here)(counting.enqueue(3, { runId: "r" }))
      const seen: Array<Runs.Status> = []
      const look = Stream.runForEach(
        Runs.changes("r"),
        (status) => Effect.sync(() => void seen.push(status))
      )
      const looking = yield* Effect.forkChild(on(there)(look))
      yield* until("it is seen", Effect.sync(() => seen.length > 0))
      expect(seen[0]).toMatchObject({ status: "pending" })
      yield* work(here, { workflows: [counting] })
      yield* until("it waits", Effect.sync(() => seen.at(-1)?.status === "suspended"))
      yield* on(there)(Runs.send("r", { eventName: "go", value: 1 }))
      yield* Fiber.join(looking)
      expect(seen.at(-1)).toMatchObject({ status: "success", result: 3, steps: { done: 3 } })
      expect(seen.filter(({ status }) => status === "success")).toHaveLength(1)
    }))

  live("is told what a run publishes while it works", () =>
    Effect.gen(function*() {
      const { here, there } = yield* both()
      const open = yield* Deferred.make<void>()
      const telling = Workflow.make(
        "telling",
        { channels: { percent: Schema.Int } },
        function*(ctx) {
          yield* ctx.publish("percent", 7)
          yield* ctx.step("work", Deferred.await(open))
        }
      )
      yield* on(here)(telling.enqueue(undefined, { runId: "r" }))
      const told = yield* Effect.forkChild(
        on(there)(Stream.runHead(Stream.filter(
          telling.changes("r"),
          ({ progress, steps }) => progress.percent?.value === 7 && steps.running === 1
        )))
      )
      yield* work(here, { workflows: [telling] })
      expect((yield* Fiber.join(told))._tag).toBe("Some")
      yield* Deferred.succeed(open, undefined)
      expect(yield* on(there)(Runs.end("r"))).toMatchObject({ status: "success" })
    }))

  live("follows a chain to its end", () =>
    Effect.gen(function*() {
      const { here, there } = yield* both()
      yield* on(here)(looping.enqueue(1, { runId: "loop" }))
      yield* work(here, { workflows: [looping] })
      const joined = yield* Effect.forkChild(on(there)(looping.join("loop")))
      const states = yield* Effect.forkChild(on(there)(Stream.runCollect(Runs.changes("loop"))))
      for (const eventId of ["a", "b", "c"]) {
        yield* on(there)(Runs.send("loop", { eventName: "next", value: 1, eventId }))
      }
      expect(yield* Fiber.join(joined)).toBe("over")
      expect((yield* Fiber.join(states)).at(-1)).toMatchObject({
        runId: "loop+3",
        status: "success"
      })
    }))

  live("fails as the run fails, and tells of one that was cancelled", () =>
    Effect.gen(function*() {
      const places = yield* both()
      const { here, there } = places
      for (const runId of ["f", "c"]) yield* on(here)(order.start({ item: "book" }, { runId }))
      const failed = yield* Effect.forkChild(Effect.flip(on(there)(orders.join("f"))))
      const cancelled = yield* Effect.forkChild(Effect.flip(on(there)(orders.join("c"))))
      yield* on(here)(order.resume("f", approval("nobody")))
      yield* on(here)(order.cancel("c"))
      expect(yield* Fiber.join(failed)).toEqual({ _tag: "Refused", why: "by nobody" })
      expect(yield* Fiber.join(cancelled)).toMatchObject({ _tag: "NoOutput", status: "cancelled" })
      yield* same(places, orders.join("f"))
    }))

  live(
    "asks for no journal while a run is under way, but for its end",
    () =>
      Effect.gen(function*() {
        const { here, server, there } = yield* both()
        // Apart enough for each step to be told of.
        const slow = Workflow.make("slow", { events: { go: Schema.Json } }, function*(ctx) {
          yield* ctx.suspend("go")
          for (let i = 0; i < 8; i++) yield* ctx.step("wait", Effect.sleep("300 millis"))
          return "done"
        })
        yield* on(here)(slow.start(undefined, { runId: "r" }))
        const joined = yield* Effect.forkChild(on(there)(slow.join("r")))
        yield* until(
          "it is followed",
          Effect.sync(() => server.requests.some((path) => path.endsWith("/changes")))
        )
        yield* on(here)(slow.resume("r", { eventName: "go", value: 1 }))
        expect(yield* Fiber.join(joined)).toBe("done")
        const journals = server.requests.filter((path) => path.endsWith("/journal"))
        expect(journals.length).toBeLessThanOrEqual(4)
        expect(server.requests.length).toBeLessThanOrEqual(8)
      })
  )

  live(
    "shares one stream between all who wait for a run, and leaves none open",
    () =>
      Effect.gen(function*() {
        const { here, server, there } = yield* both()
        yield* on(here)(order.start({ item: "book" }, { runId: "r" }))
        const joins = yield* Effect.forkChild(
          Effect.all(Array.from({ length: 20 }, () => on(there)(orders.join("r"))), {
            concurrency: "unbounded"
          })
        )
        const streams = () => server.requests.filter((path) => path.endsWith("/changes")).length
        yield* until("it is followed", Effect.sync(() => streams() > 0))
        yield* on(here)(order.resume("r", approval("ada")))
        expect(yield* Fiber.join(joins)).toHaveLength(20)
        expect(streams()).toBe(1)
        // Whoever gives up is not waited for.
        yield* on(here)(order.start({ item: "book" }, { runId: "s" }))
        const given = yield* Effect.forkChild(on(there)(orders.join("s")))
        yield* until("it is followed, too", Effect.sync(() => streams() === 2))
        yield* Fiber.interrupt(given)
        yield* Effect.promise(() => server.answers.at(-1)!)
      })
  )

  live(
    "goes on when the stream breaks off, whatever happened meanwhile",
    () =>
      Effect.gen(function*() {
        const { here, server } = yield* both()
        yield* on(here)(order.start({ item: "book" }, { runId: "r" }))
        let broken = 0
        const breaking: Fetch = async (url, init) => {
          const response = await server.fetch(url, init)
          if (!new Request(url).url.endsWith("/changes") || broken >= 3) return response
          // After the first piece the connection is gone, and the run ends behind the last of them.
          const reader = response.body!.getReader()
          const { value } = await reader.read()
          void reader.cancel()
          if (++broken === 3) {
            await Effect.runPromise(on(here)(order.resume("r", approval("ada"))))
          }
          return new Response(
            new ReadableStream<Uint8Array>({
              start: (stream) => stream.enqueue(value!),
              pull: (stream) => stream.error(new Error("the connection is gone"))
            }),
            response
          )
        }
        const there = yield* remote(breaking)
        expect(yield* on(there)(orders.join("r"))).toMatchObject({ by: "ada" })
        expect(broken).toBe(3)
      })
  )

  live("fails when the server stays away", () =>
    Effect.gen(function*() {
      const { here, server } = yield* both()
      yield* on(here)(order.start({ item: "book" }, { runId: "r" }))
      const closing = yield* Deferred.make<void>()
      let isThere = true
      const leaving: Fetch = async (...ask) => {
        if (!isThere) throw new TypeError("fetch failed")
        const response = await server.fetch(...ask)
        if (!response.headers.get("content-type")?.startsWith("text/event-stream")) return response
        const reader = response.body!.getReader()
        const { value } = await reader.read()
        return new Response(
          new ReadableStream<Uint8Array>({
            start: (stream) => stream.enqueue(value!),
            pull: async (stream) => {
              await Effect.runPromise(Deferred.await(closing))
              stream.error(new Error("the connection is gone"))
            }
          }, { highWaterMark: 0 }),
          response
        )
      }
      const there = yield* remote(leaving)
      const joined = yield* Effect.forkChild(outcome(there, orders.join("r")))
      yield* until(
        "it is followed",
        Effect.sync(() => server.requests.some((path) => path.endsWith("/changes")))
      )
      isThere = false
      yield* Deferred.succeed(closing, undefined)
      expect(yield* Fiber.join(joined)).toMatchObject({
        fails: { _tag: "StorageError", reason: "Unavailable" }
      })
    }))

  it.effect("does not go by a clock that a test has swapped", () =>
    Effect.scoped(Effect.gen(function*() {
      const { here, server, there } = yield* both()
      yield* on(here)(order.start({ item: "book" }, { runId: "r" }))
      const joined = yield* Effect.forkChild(on(there)(orders.join("r")))
      const followed = () => server.requests.some((path) => path.endsWith("/changes"))
      yield* Effect.repeat(Effect.yieldNow, { until: followed })
      yield* on(here)(order.resume("r", approval("ada")))
      expect(yield* Fiber.join(joined)).toMatchObject({ by: "ada" })
    })))
})

describe("secrets over HTTP", () => {
  const Card = Schema.Struct({ card: Workflow.secret(Schema.String) })
  const paying = Workflow.make(
    "paying",
    { input: Card, output: Card, events: { pin: Card } },
    function*(
      ctx,
      { card }
    ) {
      yield* ctx.step("charge", () => ({ card }), { schema: Card })
      const pin = yield* ctx.suspend("pin")
      return { card: pin.card }
    }
  )
  const payment = (card: string) => ({ card: Redacted.make(card) })

  live("are shown by nothing that is asked", () =>
    Effect.gen(function*() {
      const { here, server, there } = yield* both({ workflows: [paying] })
      const number = "4111111111111111"
      yield* on(there)(paying.enqueue(payment(number), { runId: "r" }))
      // The server compares what is secret, too.
      yield* on(there)(paying.enqueue(payment(number), { runId: "r" }))
      expect(yield* outcome(there, paying.enqueue(payment("other"), { runId: "r" }))).toMatchObject(
        {
          fails: { _tag: "RunExists", differs: "input" }
        }
      )
      yield* work(here, { workflows: [paying] })
      yield* until(
        "it waits",
        on(there)(Effect.map(Runs.status("r"), ({ status }) => status === "suspended"))
      )
      yield* on(there)(paying.send("r", { eventName: "pin", value: payment(number) }))
      const { result } = yield* on(there)(Runs.end("r"))
      expect(result).toEqual({ card: "<redacted>" })
      expect(yield* on(here)(paying.join("r"))).toEqual(payment(number))
      // What is hidden cannot be decoded.
      expect(yield* outcome(there, paying.join("r"))).toMatchObject({
        fails: { _tag: "ReplayMismatch" }
      })
      yield* on(there)(Runs.journal("r"))
      yield* on(there)(Runs.list())
      const get = (path: string) =>
        Effect.promise(async () => {
          const headers = { authorization: `Bearer ${Redacted.value(token)}` }
          return (await server.fetch(`http://localhost${path}`, { headers })).text()
        })
      const looks = ["/api/runs", "/api/runs?search=r", "/api/runs/r", "/api/runs/r?whole=true"]
      for (const path of [...looks, "/api/runs/r/status", "/api/runs/r/journal"]) yield* get(path)
      const texts = yield* Effect.promise(() => Promise.all(server.answers))
      expect(texts.length).toBeGreaterThan(10)
      expect(texts.filter((text) => text.includes("<redacted>")).length).toBeGreaterThan(5)
      expect(texts.filter((text) => text.includes(number))).toEqual([])
    }))
})

describe("a server that does not answer, or refuses", () => {
  const responding = (response: () => Response | Promise<Response>) =>
    remote((async () => response()) as Fetch)
  const problem = (status: number, detail: string) => () =>
    new Response(JSON.stringify({ type: "about:blank", title: "x", status, detail }), {
      status,
      headers: { "content-type": "application/problem+json" }
    })
  const page = (status: number) => () =>
    new Response("<h1>Bad</h1>", { status, headers: { "content-type": "text/html" } })

  const cut = (status: number) => () =>
    new Response(
      new ReadableStream({ pull: (stream) => stream.error(new Error("the connection is gone")) }),
      { status, headers: { "content-type": "application/json" } }
    )

  const answers: ReadonlyArray<readonly [() => Response, string, says: string]> = [
    [page(200), "Unknown", "it is not what the API says"],
    [page(401), "Denied", "the server answered 401"],
    [problem(403, "Other origins may not call."), "Denied", "Other origins may not call"],
    [cut(200), "Unavailable", "the server's answer broke off"],
    [cut(503), "Unavailable", "the server's answer broke off"],
    [page(404), "Unsupported", "the server answered 404"],
    [problem(413, "A body has at most 5 bytes."), "Unsupported", "at most 5 bytes"],
    [problem(421, "It has another name."), "Unsupported", "It has another name"],
    [page(429), "Unavailable", "the server answered 429"],
    [page(500), "Unknown", "the server answered 500"],
    [page(502), "Unavailable", "the server answered 502"],
    [problem(503, "The server is stopping."), "Unavailable", "The server is stopping"]
  ]
  for (const [response, reason, says] of answers) {
    live(`answers ${response().status}: ${says}`, () =>
      Effect.gen(function*() {
        const there = yield* responding(response)
        expect(yield* outcome(there, Runs.status("r"))).toMatchObject({
          fails: {
            _tag: "StorageError",
            reason,
            doing: `read run "r"`,
            message: expect.stringContaining(says)
          }
        })
      }))
  }

  live("is not there", () =>
    Effect.gen(function*() {
      const there = yield* remote(
        (async () => {
          throw new TypeError("fetch failed", { cause: new Error("connect ECONNREFUSED") })
        }) as Fetch
      )
      const calls: Calls = [
        Runs.list(),
        Runs.send("r", { eventName: "x" }),
        Runs.remove("r"),
        Runs.due(),
        orders.join("r"),
        orders.enqueue({ item: "book" })
      ]
      for (const call of calls) {
        expect(yield* outcome(there, call)).toMatchObject({
          fails: {
            _tag: "StorageError",
            reason: "Unavailable",
            message: expect.stringContaining("ECONNREFUSED")
          }
        })
      }
      const wrong = yield* remote(globalThis.fetch, { url: "not an address" })
      expect(yield* outcome(wrong, Runs.list())).toMatchObject({ fails: { _tag: "StorageError" } })
    }))

  live("does not know the token, or allows less, or counts", () =>
    Effect.gen(function*() {
      const reading = tokenOf("reading-0123456789", ["read"])
      const sending = tokenOf("sending-0123456789", ["read", "send"])
      const server = yield* served({ tokens: [reading, sending], rates: { token: 3 } })
      yield* on(server.storage)(order.start({ item: "book" }, { runId: "r" }))
      const wrong = yield* remote(server.fetch, { token: Redacted.make("wrong-0123456789") })
      expect(yield* outcome(wrong, Runs.status("r"))).toMatchObject({
        fails: { reason: "Denied", message: expect.stringContaining("Authorization: Bearer") }
      })
      const reader = yield* remote(server.fetch, { token: reading.token })
      expect(yield* outcome(reader, Runs.cancel("r"))).toMatchObject({
        fails: { reason: "Denied", message: expect.stringContaining("this needs admin") }
      })
      const sender = yield* remote(server.fetch, { token: sending.token })
      for (let n = 0; n < 3; n++) yield* on(sender)(Runs.journal("r"))
      expect(yield* outcome(sender, Runs.journal("r"))).toMatchObject({
        fails: { reason: "Unavailable", message: expect.stringContaining("Try again in") }
      })
    }))

  live(
    "is told no more of the token than it needs, and nobody else anything",
    () =>
      Effect.gen(function*() {
        const there = yield* responding(page(502))
        const error = yield* Effect.flip(on(there)(Runs.status("r")))
        const all = [String(error), JSON.stringify(error), inspect(error, { depth: 20 })].join("\n")
        expect(all).not.toContain(Redacted.value(token))
        expect(all).toContain("502")
      })
  )
})
