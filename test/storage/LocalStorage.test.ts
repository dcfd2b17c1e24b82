/**
 * The local storage through the public calls: which files stand where and how, hostile names and places,
 * values byte for byte, one sync a step, runs that are removed under their owner, posts, and lists.
 */
import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, type Layer, Result, Schema } from "effect"
import {
  appendFileSync,
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { basename, join } from "node:path"
import { Instruction, LocalStorage, Runs, Storage, Workflow } from "reprise"
import { makeDisk } from "./support/disk.ts"
import { journalOf, local, platform, temporary } from "./support/local.ts"

/** Two steps with a wait between them; `ran` has what was done. */
const makeOrder = (ran: Array<string> = []) =>
  Workflow.make("order", {
    input: Schema.Struct({ id: Schema.String }),
    events: { approved: Schema.Struct({ by: Schema.String }) }
  }, function*(ctx, { id }) {
    yield* ctx.step("reserve", () => {
      ran.push("reserve")
      return id
    })
    const { by } = yield* ctx.suspend("approved", { reason: "needs a human" })
    return yield* ctx.step("ship", () => {
      ran.push("ship")
      return `${id} shipped for ${by}`
    })
  })

const approve = (by: string, eventId?: string) => ({
  eventName: "approved" as const,
  value: { by },
  ...(eventId === undefined ? undefined : { eventId })
})

const suspended = { status: "suspended", event: "approved" }

/** What a call fails with, in a storage of its own. */
const refusal = <A, E>(
  effect: Effect.Effect<A, E, Storage.Storage>,
  on: Layer.Layer<Storage.Storage>
) => Effect.flip(Effect.provide(effect, on))

describe("files", () => {
  it.live("are a journal, an inbox and a lease a run, all readable by their owner only", () =>
    Effect.gen(function*() {
      const directory = join(temporary(), "runs")
      const order = makeOrder()
      yield* Effect.gen(function*() {
        expect(yield* order.start({ id: "o1" }, { runId: "r" })).toMatchObject(suspended)
        yield* order.send("r", approve("ada"))
      }).pipe(Effect.provide(local(directory)))
      expect(readdirSync(directory).sort()).toEqual(["r.inbox", "r.jsonl", "r.lease"])
      expect(statSync(directory).mode & 0o777).toBe(0o700)
      for (const name of readdirSync(directory)) {
        expect([name, statSync(join(directory, name)).mode & 0o777]).toEqual([name, 0o600])
      }
    }))

  it.live("are made by the first write: looking at what is not there makes nothing", () =>
    Effect.gen(function*() {
      const base = temporary()
      const on = local(join(base, "runs"))
      const order = makeOrder()
      expect(yield* Effect.provide(Runs.list(), on)).toEqual({ runs: [], unreadable: [] })
      expect(yield* refusal(Runs.status("r"), on)).toMatchObject({ _tag: "RunNotFound" })
      expect(yield* refusal(order.resume("r"), on)).toMatchObject({ _tag: "RunNotFound" })
      expect(yield* refusal(order.send("r", approve("a")), on)).toMatchObject({
        _tag: "RunNotFound"
      })
      expect(yield* refusal(order.cancel("r"), on)).toMatchObject({ _tag: "RunNotFound" })
      expect(yield* refusal(Runs.remove("r"), on)).toMatchObject({ _tag: "RunNotFound" })
      expect(readdirSync(base)).toEqual([])
    }))

  it.live("hold one JSON object a line, which says what DESIGN promises to people with jq", () =>
    Effect.gen(function*() {
      const directory = temporary()
      const order = makeOrder()
      yield* Effect.provide(order.start({ id: "o1" }, { runId: "r" }), local(directory))
      yield* Effect.provide(order.resume("r", approve("ada")), local(directory))
      const path = yield* Effect.provide(LocalStorage.journalPath(directory, "r"), platform())
      expect(path).toBe(join(directory, "r.jsonl"))
      const lines = readFileSync(path, "utf8").split("\n").filter((line) => line.trim() !== "")
      expect(
        lines.map((line) => {
          const { name, offset, session, type, waitingFor } = JSON.parse(line)
          return { type, name, waitingFor, session, offset }
        })
      ).toEqual([
        { type: "start", session: 1, offset: 0 },
        { type: "step", name: "reserve", session: 1, offset: 1 },
        { type: "suspend", waitingFor: "approved", session: 1, offset: 2 },
        { type: "start", session: 2, offset: 3 },
        { type: "resume", session: 2, offset: 4 },
        { type: "step", name: "ship", session: 2, offset: 5 },
        { type: "complete", session: 2, offset: 6 }
      ])
    }))

  it.live("are never rewritten: whatever is done, a journal only grows", () =>
    Effect.gen(function*() {
      const directory = temporary()
      const path = join(directory, "r.jsonl")
      const order = makeOrder()
      const on = local(directory)
      let before = Buffer.alloc(0)
      let file = 0
      const grew = Effect.sync(() => {
        const now = readFileSync(path)
        expect(now.subarray(0, before.length).equals(before)).toBe(true)
        if (file !== 0) expect(statSync(path).ino).toBe(file)
        file = statSync(path).ino
        before = now
      })
      yield* Effect.provide(order.start({ id: "o1" }, { runId: "r" }), on)
      yield* grew
      appendFileSync(path, "\t\n{\"type\":\"st")
      yield* Effect.provide(order.resume("r", approve("ada")), on)
      expect(journalOf(path).torn).toBe(1)
      yield* Effect.sync(() =>
        expect(readFileSync(path).subarray(0, before.length)).toEqual(before)
      )
      expect(yield* Effect.provide(order.resume("r"), on)).toMatchObject({ status: "success" })
    }))
})

describe("a place that is not safe", () => {
  const order = makeOrder()
  const calls: ReadonlyArray<
    readonly [name: string, call: Effect.Effect<unknown, unknown, Storage.Storage>]
  > = [
    ["start", order.start({ id: "o1" }, { runId: "r" })],
    ["enqueue", order.enqueue({ id: "o1" }, { runId: "r" })]
  ]

  for (const [name, call] of calls) {
    it.live(`is refused by ${name}: a directory that is a link`, () =>
      Effect.gen(function*() {
        const base = temporary()
        mkdirSync(join(base, "elsewhere"), { mode: 0o700 })
        symlinkSync("elsewhere", join(base, "runs"))
        expect(yield* refusal(call, local(join(base, "runs")))).toMatchObject({
          _tag: "StorageError",
          reason: "Denied"
        })
        expect(readdirSync(join(base, "elsewhere"))).toEqual([])
      }))

    for (const mode of [0o777, 0o770, 0o702, 0o1777]) {
      it.live(`is refused by ${name}: a directory of mode ${mode.toString(8)}`, () =>
        Effect.gen(function*() {
          const directory = join(temporary(), "runs")
          mkdirSync(directory)
          chmodSync(directory, mode)
          const error = yield* refusal(call, local(directory))
          expect(error).toMatchObject({ _tag: "StorageError", reason: "Denied" })
          expect((error as Error).message).toContain("chmod 700")
          expect(readdirSync(directory)).toEqual([])
        }))
    }

    it.live(`is refused by ${name}: a file where the directory should be`, () =>
      Effect.gen(function*() {
        const directory = join(temporary(), "runs")
        writeFileSync(directory, "mine")
        expect(yield* refusal(call, local(directory))).toMatchObject({
          _tag: "StorageError",
          reason: "Denied"
        })
        expect(yield* refusal(call, local(join(directory, "below")))).toMatchObject({
          _tag: "StorageError",
          reason: "Denied"
        })
        expect(readFileSync(directory, "utf8")).toBe("mine")
      }))

    for (const extension of ["jsonl", "lease"]) {
      for (const target of ["a file", "nothing"]) {
        if (name === "enqueue" && extension === "lease") continue
        it.live(`is refused by ${name}: a link to ${target} as ${extension}`, () =>
          Effect.gen(function*() {
            const base = temporary()
            const directory = join(base, "runs")
            mkdirSync(directory, { mode: 0o700 })
            if (target === "a file") writeFileSync(join(base, "target"), "precious")
            symlinkSync(join(base, "target"), join(directory, `r.${extension}`))
            expect(yield* refusal(call, local(directory))).toMatchObject({
              _tag: "StorageError",
              reason: "Denied"
            })
            if (target === "a file") {
              expect(readFileSync(join(base, "target"), "utf8")).toBe("precious")
            } else expect(existsSync(join(base, "target"))).toBe(false)
          }))
      }
    }

    it.live(`is refused by ${name}: a directory as the journal`, () =>
      Effect.gen(function*() {
        const directory = temporary()
        mkdirSync(join(directory, "r.jsonl"))
        expect(yield* refusal(call, local(directory))).toMatchObject({ _tag: "StorageError" })
      }))
  }

  it.live("is refused for posts: a link as the inbox", () =>
    Effect.gen(function*() {
      const base = temporary()
      const directory = join(base, "runs")
      yield* Effect.provide(order.start({ id: "o1" }, { runId: "r" }), local(directory))
      const before = readFileSync(join(directory, "r.jsonl"))
      writeFileSync(join(base, "target"), "precious")
      symlinkSync(join(base, "target"), join(directory, "r.inbox"))
      for (const call of [order.send("r", approve("ada")), order.resume("r"), order.cancel("r")]) {
        expect(yield* refusal<unknown, unknown>(call, local(directory))).toMatchObject({
          _tag: "StorageError",
          reason: "Denied"
        })
      }
      expect(readFileSync(join(base, "target"), "utf8")).toBe("precious")
      expect(readFileSync(join(directory, "r.jsonl"))).toEqual(before)
    }))

  it.live("is refused for runs that stand there: the directory became a link", () =>
    Effect.gen(function*() {
      const base = temporary()
      const directory = join(base, "runs")
      yield* Effect.provide(order.start({ id: "o1" }, { runId: "r" }), local(directory))
      renameSync(directory, join(base, "moved"))
      symlinkSync("moved", directory)
      const before = readFileSync(join(base, "moved", "r.jsonl"))
      for (
        const call of [order.resume("r", approve("ada")), order.resume("r"), order.cancel("r")]
      ) {
        expect(yield* refusal<unknown, unknown>(call, local(directory))).toMatchObject({
          _tag: "StorageError",
          reason: "Denied"
        })
      }
      expect(readFileSync(join(base, "moved", "r.jsonl"))).toEqual(before)
    }))

  // Root may read everything, so the test becomes nobody for a while.
  const asAnother = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    process.getuid?.() !== 0 ? effect : Effect.acquireUseRelease(
      Effect.sync(() => process.seteuid!(65_534)),
      () => effect,
      () => Effect.sync(() => process.seteuid!(0))
    )

  it.live("is refused: a directory that this user may not read", () =>
    Effect.gen(function*() {
      const base = temporary()
      chmodSync(base, 0o755)
      const directory = join(base, "runs")
      yield* Effect.provide(order.start({ id: "o1" }, { runId: "r" }), local(directory))
      const before = readFileSync(join(directory, "r.jsonl"))
      chmodSync(directory, 0o000)
      const calls: ReadonlyArray<Effect.Effect<unknown, unknown, Storage.Storage>> = [
        order.start({ id: "o1" }, { runId: "r" }),
        order.start({ id: "o2" }, { runId: "new" }),
        order.resume("r"),
        order.send("r", approve("ada")),
        order.cancel("r"),
        order.status("r"),
        Runs.journal("r"),
        Runs.list(),
        Runs.remove("r")
      ]
      for (const call of calls) {
        expect(yield* asAnother(refusal(call, local(directory)))).toMatchObject({
          _tag: "StorageError",
          reason: "Denied"
        })
      }
      chmodSync(directory, 0o700)
      expect(readFileSync(join(directory, "r.jsonl"))).toEqual(before)
      expect(
        yield* Effect.provide(order.resume("r", approve("ada")), local(directory))
      ).toMatchObject({ status: "success" })
    }))

  it.live("is refused: a directory that this user may not write", () =>
    Effect.gen(function*() {
      const base = temporary()
      chmodSync(base, 0o755)
      const directory = join(base, "runs")
      mkdirSync(directory, { mode: 0o555 })
      for (const [_, call] of calls) {
        expect(yield* asAnother(refusal(call, local(directory)))).toMatchObject({
          _tag: "StorageError",
          reason: "Denied"
        })
      }
      expect(readdirSync(directory)).toEqual([])
    }))
})

describe("run ids", () => {
  const hostile: ReadonlyArray<string> = [
    "",
    "../x",
    "../../etc/x",
    "a/b",
    "/abs",
    "a\\b",
    "a\nb",
    "a\0b",
    "a\tb",
    "\x7f",
    "a".repeat(201),
    "a".repeat(300),
    "é",
    "e\u0301",
    "\ud800x",
    "\ufffdx",
    "😀",
    "\u2028",
    "\u202egnp",
    "ａ"
  ]
  for (const runId of hostile) {
    it.live(`refuse ${JSON.stringify(runId.slice(0, 20))} (${runId.length}) and make nothing`, () =>
      Effect.gen(function*() {
        const base = temporary()
        const on = local(join(base, "runs"))
        const order = makeOrder()
        const calls: ReadonlyArray<Effect.Effect<unknown, unknown, Storage.Storage>> = [
          order.start({ id: "o1" }, { runId }),
          order.execute({ id: "o1" }, { runId }),
          order.enqueue({ id: "o1" }, { runId }),
          order.resume(runId),
          order.resume(runId, approve("ada")),
          order.send(runId, approve("ada")),
          order.cancel(runId),
          order.status(runId),
          order.join(runId),
          Runs.journal(runId),
          Runs.status(runId),
          Runs.send(runId, { eventName: "approved" }),
          Runs.cancel(runId),
          Runs.remove(runId)
        ]
        for (const call of calls) {
          expect(yield* refusal(call, on)).toMatchObject({ _tag: "RunIdRejected", runId })
        }
        expect(readdirSync(base)).toEqual([])
      }))
  }

  it.live("that are odd but allowed get files of their own, all inside the directory", () =>
    Effect.gen(function*() {
      const base = temporary()
      const directory = join(base, "runs")
      const order = makeOrder()
      const odd = [
        "Order 12",
        "order 12",
        "order-12",
        "CON",
        "con",
        ".",
        "..",
        "...",
        "-rf",
        "--",
        " ",
        "  ",
        "A",
        "a",
        "~",
        "a~",
        "*?<>|:\"",
        "$(id)",
        "%2e%2e%2f",
        "x.jsonl",
        "r.lease",
        "_",
        "0",
        "__proto__",
        "constructor",
        "a".repeat(128),
        "a".repeat(129),
        "a".repeat(200),
        "B".repeat(200)
      ]
      for (const runId of odd) {
        const result = yield* Effect.provide(
          order.start({ id: runId }, { runId }),
          local(directory)
        )
        expect(result).toMatchObject({ ...suspended, runId })
      }
      expect(readdirSync(base)).toEqual(["runs"])
      const files = readdirSync(directory).filter((name) => name.endsWith(".jsonl"))
      expect(files).toHaveLength(odd.length)
      // Also where the file system does not tell case apart.
      expect(new Set(files.map((name) => name.toLowerCase())).size).toBe(odd.length)
      for (const name of readdirSync(directory)) {
        expect(name).toMatch(/^[a-z0-9_~-]{1,160}\.(jsonl|lease|inbox)$/)
      }

      const on = local(directory)
      const listed = yield* Effect.provide(Runs.list(), on)
      expect(listed.unreadable).toEqual([])
      expect(listed.runs.map((run) => run.runId)).toEqual([...odd].sort())
      for (const runId of odd) {
        const path = yield* Effect.provide(LocalStorage.journalPath(directory, runId), platform())
        expect(files).toContain(basename(path))
        expect(journalOf(path).entries[0]).toMatchObject({ runId, metadata: { id: runId } })
        const done = yield* Effect.provide(order.resume(runId, approve("ada")), on)
        expect(done).toMatchObject({ status: "success", result: `${runId} shipped for ada` })
      }
    }))
})

describe("a step", () => {
  const makeSteps = (count: number) =>
    Workflow.make("steps", function*(ctx) {
      for (let n = 0; n < count; n++) yield* ctx.step(`s${n}`, () => n)
      return count
    })

  const operationsOf = (count: number) =>
    Effect.gen(function*() {
      const directory = temporary()
      const disk = makeDisk()
      const result = yield* Effect.provide(
        makeSteps(count).start(undefined, { runId: "r" }),
        local(directory, disk)
      )
      expect(result).toMatchObject({ status: "success", result: count })
      return (kind: string) =>
        disk.operations.filter((one) => one.kind === kind && one.name === "r.jsonl").length
    })

  it.live("costs exactly one write and one sync, and a run one more for its start", () =>
    Effect.gen(function*() {
      for (const count of [1, 10, 50]) {
        const of = yield* operationsOf(count)
        expect([of("write"), of("sync")]).toEqual([count + 1, count + 1])
        expect(of("open")).toBeLessThanOrEqual(4)
      }
      const few = yield* operationsOf(10)
      const many = yield* operationsOf(30)
      expect(many("stat") - few("stat")).toBe(20)
      // Nothing is read again while nobody else writes.
      expect(many("read") - few("read")).toBe(0)
    }))

  it.live("costs one sync also where branches end together", () =>
    Effect.gen(function*() {
      const directory = temporary()
      const disk = makeDisk()
      const fan = Workflow.make("fan", function*(ctx) {
        return yield* ctx.all(Array.from({ length: 20 }, (_, n) => ctx.step(`s${n}`, () => n)))
      })
      yield* Effect.provide(fan.start(undefined, { runId: "r" }), local(directory, disk))
      const syncs = disk.operations.filter((one) => one.kind === "sync" && one.name === "r.jsonl")
      expect(syncs).toHaveLength(2)
    }))
})

describe("a value", () => {
  const own = (key: string, value: unknown) =>
    Object.defineProperty({}, key, { value, enumerable: true, configurable: true, writable: true })
  const deep = (levels: number): unknown => levels === 0 ? "bottom" : { d: [deep(levels - 2)] }
  const values: ReadonlyArray<readonly [name: string, value: unknown]> = [
    ["a key named __proto__", own("__proto__", { admin: true })],
    ["a key named constructor", own("constructor", { prototype: { a: 1 } })],
    [
      "keys that objects have anyway",
      JSON.parse(`{"toString":1,"hasOwnProperty":null,"length":0}`)
    ],
    ["keys in an order of their own", JSON.parse(`{"z":1,"a":2,"10":3,"9":4}`)],
    ["lone surrogates", ["\ud800", "\udfff\ud800", "x\udc00y", "😀"]],
    ["line ends of JavaScript", "a\u2028b\u2029c"],
    ["control characters", "\0\u0001\t\n\r\u001f\u007f\u0085\ufeff"],
    ["a replacement character", "\ufffd\ufffe\uffff"],
    ["text that looks like a line's end", `,"sum":"00000000"}`],
    ["text that looks like a torn mark", "\t\n{\"type\":\"start\"}\n\t\n"],
    ["a field named as an envelope's", { sum: "deadbeef", prev: "-", session: 99, offset: -1 }],
    ["deep nesting", deep(198)],
    ["nothing in it", [{}, [], "", null, [[]], { a: {} }]],
    ["numbers at the edges", [0, 5e-324, 1.7976931348623157e308, 2 ** 53 + 2, 1e21, 1e-7, -1]],
    ["tens of thousands of characters", "ä😀".repeat(20_000)],
    ["nothing at all", undefined]
  ]
  const makeKeep = (value: unknown) =>
    Workflow.make("keep", { events: { on: Schema.Json } }, function*(ctx, input: Schema.Json) {
      const kept = yield* ctx.step("keep", () => value as Schema.Json)
      const sent = yield* ctx.suspend("on")
      return { input, kept: kept ?? "void", sent } as Schema.Json
    })

  for (const [name, value] of values) {
    it.live(`with ${name} comes back from the disk as it was`, () =>
      Effect.gen(function*() {
        const directory = temporary()
        const json = (value ?? null) as Schema.Json
        yield* Effect.provide(makeKeep(value).start(json, { runId: "r" }), local(directory))
        // What is on the disk is valid UTF-8 and JSON, and says the same.
        const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
          .decode(readFileSync(join(directory, "r.jsonl")))
        const [start, step] = text.split("\n").filter((line) => line.startsWith("{"))
        expect(JSON.stringify(JSON.parse(start!).metadata)).toBe(JSON.stringify(json))
        expect(JSON.stringify(JSON.parse(step!).result)).toBe(JSON.stringify(value))
        expect(Object.hasOwn(JSON.parse(step!), "result")).toBe(value !== undefined)

        // Another process would run other code: it must not be asked for the value again.
        const later = makeKeep("not this one")
        const done = yield* Effect.provide(
          later.resume("r", { eventName: "on", value: json }),
          local(directory)
        )
        const expected = { input: json, kept: value === undefined ? "void" : json, sent: json }
        expect(done.status).toBe("success")
        const { result } = done as Extract<typeof done, { status: "success" }>
        expect(JSON.stringify(result)).toBe(JSON.stringify(expected))
        expect(result).toEqual(expected)
        expect((result as { admin?: unknown }).admin).toBeUndefined()
        const again = yield* Effect.provide(later.resume("r"), local(directory))
        expect(again).toEqual(done)
      }))
  }
})

describe("a run that is removed under its owner", () => {
  /** A run whose only step waits for a gate that the test opens. */
  const gated = Effect.gen(function*() {
    const began = yield* Deferred.make<void>()
    const gate = yield* Deferred.make<void>()
    const ran: Array<string> = []
    const workflow = Workflow.make("gated", function*(ctx, input: { n: number }) {
      yield* ctx.step("wait", () =>
        Effect.gen(function*() {
          ran.push(`wait ${input.n}`)
          yield* Deferred.succeed(began, undefined)
          yield* Deferred.await(gate)
        }))
      return yield* ctx.step("after", () => {
        ran.push(`after ${input.n}`)
        return input.n
      })
    })
    return { began, gate, ran, workflow }
  })

  it.live("fences the owner and stays removed", () =>
    Effect.gen(function*() {
      const directory = temporary()
      const { began, gate, ran, workflow } = yield* gated
      const owner = yield* Effect.forkChild(
        Effect.provide(workflow.start({ n: 1 }, { runId: "r" }), local(directory))
      )
      yield* Deferred.await(began)
      yield* Effect.provide(Runs.remove("r"), local(directory))
      yield* Deferred.succeed(gate, undefined)
      const error = yield* Effect.flip(Fiber.join(owner))
      expect(error).toMatchObject({ _tag: "Fenced", runId: "r" })
      expect(ran).toEqual(["wait 1"])
      expect(existsSync(join(directory, "r.jsonl"))).toBe(false)
    }))

  it.live("and made again fences the owner, whose lines the new run does not take", () =>
    Effect.gen(function*() {
      const directory = temporary()
      const { began, gate, ran, workflow } = yield* gated
      const owner = yield* Effect.forkChild(
        Effect.provide(workflow.start({ n: 1 }, { runId: "r" }), local(directory))
      )
      yield* Deferred.await(began)
      yield* Effect.provide(Runs.remove("r"), local(directory))
      yield* Effect.provide(workflow.enqueue({ n: 2 }, { runId: "r" }), local(directory))
      yield* Deferred.succeed(gate, undefined)
      expect(yield* Effect.flip(Fiber.join(owner))).toMatchObject({ _tag: "Fenced" })
      expect(ran).toEqual(["wait 1"])

      const done = yield* Effect.provide(workflow.resume("r"), local(directory))
      expect(done).toMatchObject({ status: "success", result: 2 })
      expect(ran).toEqual(["wait 1", "wait 2", "after 2"])
      const { entries } = journalOf(join(directory, "r.jsonl"))
      expect(new Set(entries.map((entry) => entry.incarnation)).size).toBe(1)
      expect(entries[0]).toMatchObject({ metadata: { n: 2 } })
    }))

  it.live("takes its posts with it: a new run of the same id does not get them", () =>
    Effect.gen(function*() {
      const directory = temporary()
      const order = makeOrder()
      const on = local(directory)
      yield* Effect.provide(order.start({ id: "old" }, { runId: "r" }), on)
      const { incarnation } = journalOf(join(directory, "r.jsonl")).head
      yield* Effect.provide(order.send("r", approve("early")), on)
      yield* Effect.provide(Runs.remove("r"), on)
      expect(readdirSync(directory)).toEqual([])
      expect(yield* Effect.provide(order.start({ id: "new" }, { runId: "r" }), on)).toMatchObject(
        suspended
      )

      // A poster that looked at the old run comes late.
      const late = {
        type: "event",
        eventId: "late",
        eventName: "approved",
        value: { by: "late" },
        incarnation,
        timestamp: "2026-01-02T03:04:05.678Z"
      } as const
      yield* Effect.provide(
        Effect.flatMap(Storage.Storage, (storage) => storage.post("r", late)),
        on
      )
      expect(yield* Effect.provide(order.resume("r"), on)).toMatchObject(suspended)
      const done = yield* Effect.provide(order.resume("r", approve("bob")), on)
      expect(done).toMatchObject({ result: "new shipped for bob" })
    }))

  it.live("can be removed while its journal is damaged", () =>
    Effect.gen(function*() {
      const directory = temporary()
      writeFileSync(join(directory, "r.jsonl"), "garbage\n", { mode: 0o600 })
      const on = local(directory)
      expect(yield* refusal(Runs.status("r"), on)).toMatchObject({ _tag: "JournalCorrupt" })
      yield* Effect.provide(Runs.remove("r"), on)
      expect(readdirSync(directory)).toEqual([])
    }))
})

describe("an inbox", () => {
  it.live("delivers an event id once, however often and by whom it is posted", () =>
    Effect.gen(function*() {
      const directory = temporary()
      const twice = Workflow.make("twice", { events: { go: Schema.String } }, function*(ctx) {
        const first = yield* ctx.suspend("go")
        const second = yield* ctx.suspend("go")
        return [first, second]
      })
      yield* Effect.provide(twice.start(undefined, { runId: "r" }), local(directory))
      const one = { eventName: "go", value: "one", eventId: "e1" } as const
      yield* Effect.forEach(
        [1, 2, 3],
        () => Effect.provide(twice.send("r", one), local(directory)),
        { concurrency: "unbounded" }
      )
      for (let n = 0; n < 3; n++) {
        expect(yield* Effect.provide(twice.resume("r", one), local(directory))).toMatchObject({
          status: "suspended",
          event: "go"
        })
      }
      const two = { eventName: "go", value: "two", eventId: "e2" } as const
      expect(yield* Effect.provide(twice.resume("r", two), local(directory))).toMatchObject({
        status: "success",
        result: ["one", "two"]
      })
      // A repeat to a closed run is no news; another event is too late.
      expect(yield* Effect.provide(twice.resume("r", one), local(directory))).toMatchObject({
        status: "success"
      })
      expect(
        yield* refusal(twice.resume("r", { ...one, eventId: "e3" }), local(directory))
      ).toMatchObject({ _tag: "RunClosed" })
    }))

  it.live("skips a post that a crash cut short anywhere, and takes the ones around it", () =>
    Effect.gen(function*() {
      const whole = temporary()
      const order = makeOrder()
      yield* Effect.provide(order.start({ id: "o" }, { runId: "r" }), local(whole))
      yield* Effect.provide(order.send("r", approve("torn", "torn")), local(whole))
      const post = readFileSync(join(whole, "r.inbox"))
      const journal = readFileSync(join(whole, "r.jsonl"))
      // Up to the newline: with it the post is whole.
      for (let length = 0; length < post.length; length += 7) {
        const directory = temporary()
        writeFileSync(join(directory, "r.jsonl"), journal)
        writeFileSync(join(directory, "r.inbox"), post.subarray(0, length))
        expect(yield* Effect.provide(order.resume("r"), local(directory))).toMatchObject(suspended)
        const done = yield* Effect.provide(
          order.resume("r", approve("next", "next")),
          local(directory)
        )
        expect([length, done]).toMatchObject([length, { result: "o shipped for next" }])
      }
    }))

  it.live("that is damaged is reported with its place, and nothing is written", () =>
    Effect.gen(function*() {
      const directory = temporary()
      const ran: Array<string> = []
      const order = makeOrder(ran)
      yield* Effect.provide(order.start({ id: "o" }, { runId: "r" }), local(directory))
      yield* Effect.provide(order.send("r", approve("ada", "e1")), local(directory))
      yield* Effect.provide(order.send("r", approve("bob", "e2")), local(directory))
      const path = join(directory, "r.inbox")
      const journal = readFileSync(join(directory, "r.jsonl"))
      const good = readFileSync(path)
      const bad = Buffer.from(good)
      const at = bad.indexOf("bob")
      bad[at] = bad[at]! ^ 1
      writeFileSync(path, bad)
      const error = yield* refusal(order.resume("r"), local(directory))
      expect(error).toMatchObject({
        _tag: "JournalCorrupt",
        runId: "r",
        file: "inbox",
        offset: 1,
        line: 4
      })
      expect((error as Error).message).toContain("inbox")
      expect(readFileSync(join(directory, "r.jsonl"))).toEqual(journal)
      expect(ran).toEqual(["reserve"])
      // Other calls still work, and so does this one once the file is restored.
      expect(yield* Effect.provide(order.status("r"), local(directory))).toMatchObject(suspended)
      writeFileSync(path, good)
      expect(yield* Effect.provide(order.resume("r"), local(directory))).toMatchObject({
        result: "o shipped for ada"
      })
    }))

  it.live("counts lines from the beginning also when only its end was read", () =>
    Effect.gen(function*() {
      const directory = temporary()
      const storage = Storage.make(
        yield* Effect.provide(LocalStorage.driver(directory), platform())
      )
      const posted = {
        type: "cancel",
        eventId: "e",
        incarnation: "i",
        timestamp: "2026-01-02T03:04:05.678Z"
      } as const
      yield* storage.post("r", posted)
      const { cursor, items } = yield* storage.inbox("r", "i", "")
      expect(items).toHaveLength(1)
      appendFileSync(join(directory, "r.inbox"), "garbage\n")
      expect(yield* Effect.flip(storage.inbox("r", "i", ""))).toMatchObject({ line: 3 })
      expect(yield* Effect.flip(storage.inbox("r", "i", cursor))).toMatchObject({ line: 3 })
    }))

  it.live("with every single bit flipped delivers what was posted, or says that it is damaged", () =>
    Effect.gen(function*() {
      const directory = temporary()
      const storage = Storage.make(
        yield* Effect.provide(LocalStorage.driver(directory), platform())
      )
      const post = (n: number) =>
        ({
          type: "event",
          eventId: `e${n}`,
          eventName: "go",
          value: "grüße 😀",
          incarnation: "i",
          timestamp: "2026-01-02T03:04:05.678Z"
        }) as const
      yield* storage.post("r", post(1))
      yield* storage.post("r", post(2))
      const path = join(directory, "r.inbox")
      const good = readFileSync(path)
      const wrong: Array<unknown> = []
      for (let bit = 0; bit < good.length * 8; bit += 5) {
        const bad = Buffer.from(good)
        bad[bit >> 3] = bad[bit >> 3]! ^ (1 << (bit & 7))
        writeFileSync(path, bad)
        const read = yield* Effect.result(storage.inbox("r", "i", ""))
        if (Result.isFailure(read)) {
          if (read.failure._tag !== "JournalCorrupt") wrong.push([bit, read.failure])
        } else {
          // Only the last newline can go without a trace: as if the post had been cut short.
          const isLastByte = bit >> 3 === good.length - 1
          const { items } = read.success
          const expected = isLastByte ? [post(1)] : [post(1), post(2)]
          if (items.length !== expected.length) wrong.push([bit, items])
          else items.forEach((item, n) => expect(item).toMatchObject(expected[n]!))
        }
      }
      expect(wrong).toEqual([])
    }))
})

describe("a list", () => {
  const three = Effect.gen(function*() {
    const directory = temporary()
    const order = makeOrder()
    for (const runId of ["a", "b", "Order 3"]) {
      yield* Effect.provide(order.start({ id: runId }, { runId }), local(directory))
    }
    const path = (runId: string) =>
      Effect.provide(LocalStorage.journalPath(directory, runId), platform())
    return { directory, path, list: Effect.provide(Runs.list(), local(directory)) }
  })
  const ids = (page: Storage.Page) => page.runs.map((run) => run.runId)

  it.live("names every run with its state", () =>
    Effect.gen(function*() {
      const { list } = yield* three
      const page = yield* list
      expect(ids(page)).toEqual(["Order 3", "a", "b"])
      expect(page.runs[1]).toMatchObject({
        workflow: "order",
        status: "suspended",
        waits: [{ event: "approved", reason: "needs a human" }]
      })
      expect(page.unreadable).toEqual([])
    }))

  for (const runId of ["a", "Order 3"]) {
    for (const [damage, at] of [["first", `"workflow"`], ["last", `"waits"`]] as const) {
      it.live(`shows the others and what is wrong when "${runId}" is damaged in its ${damage} entry`, () =>
        Effect.gen(function*() {
          const { list, path } = yield* three
          const file = yield* path(runId)
          const bytes = readFileSync(file)
          bytes[bytes.indexOf(at) + 3]! ^= 1
          writeFileSync(file, bytes)
          const page = yield* list
          expect(ids(page)).toEqual(["Order 3", "a", "b"].filter((one) => one !== runId))
          expect(page.unreadable).toHaveLength(1)
          expect(page.unreadable[0]).toMatchObject({ error: { _tag: "JournalCorrupt" } })
        }))
    }

    it.live(`shows the others when the journal of "${runId}" became a link`, () =>
      Effect.gen(function*() {
        const { list, path } = yield* three
        const file = yield* path(runId)
        renameSync(file, `${file}.moved`)
        symlinkSync(`${basename(file)}.moved`, file)
        expect(lstatSync(file).isSymbolicLink()).toBe(true)
        const page = yield* list
        expect(ids(page)).toEqual(["Order 3", "a", "b"].filter((one) => one !== runId))
        expect(page.unreadable).toHaveLength(1)
        expect(page.unreadable[0]).toMatchObject({
          error: { _tag: "StorageError", reason: "Denied" }
        })
      }))
  }

  it.live("takes no notice of files that are not its own", () =>
    Effect.gen(function*() {
      const { directory, list } = yield* three
      writeFileSync(join(directory, "notes.txt"), "mine")
      writeFileSync(join(directory, "empty.jsonl"), "")
      writeFileSync(join(directory, "Foreign Name.jsonl"), "not a journal\n")
      mkdirSync(join(directory, "folder"))
      expect(ids(yield* list)).toEqual(["Order 3", "a", "b"])
    }))
})

describe("a wrapped driver", () => {
  it.live("is a storage like any other", () =>
    Effect.gen(function*() {
      const driver = yield* Effect.provide(LocalStorage.driver(temporary()), platform())
      const doubled = Workflow.make("doubled", function*(ctx, n: number) {
        return yield* ctx.step("double", () => n * 2).pipe(Instruction.map((x) => x + 1))
      })
      const result = yield* Effect.provideService(
        doubled.execute(20),
        Storage.Storage,
        Storage.make(driver)
      )
      expect(result).toBe(41)
    }))
})
