/**
 * Forks: a new run from any place of another one, which is only read; failed runs that go on from the step
 * that failed; and the question what a run would do, which runs nothing.
 */
import { Context, Effect, Schema } from "effect"
import { Instruction, type Journal, Replay, Runs, Storage, Workflow } from "reprise"
import { describe, expect, it } from "vitest"
import type { StepInfo } from "../../src/Instruction.ts"
import { Simulation } from "../support/simulation.ts"
import { checked, entriesOf, everywhere, failureOf, run, storyOf } from "../support/together.ts"

type AnyWorkflow = Workflow.Workflow<any, any, any, any, any>
type AnyResult = Workflow.Result<any, any>

const idsOf = Effect.map(Runs.list(), ({ runs }) => runs.map(({ runId }) => runId).toSorted())

/** The bytes of a run's journal and of its inbox. */
const bytesOf = (runId: string) =>
  Effect.flatMap(Storage.Storage, (storage) =>
    Effect.map(
      Effect.all([Runs.journal(runId), storage.version(runId), storage.inbox(runId, "", "")]),
      (all) => JSON.stringify(all)
    ))

/** Steps that say what ran, and with which key. */
const witness = () => {
  const ran: Array<string> = []
  const keys: Array<string> = []
  const say = <A>(value: A) => ({ idempotencyKey, stepId }: StepInfo) => {
    ran.push(stepId)
    keys.push(idempotencyKey)
    return value
  }
  return { ran, keys, say }
}

class No extends Schema.TaggedError<No>()("No", { why: Schema.String }) {}

/** Steps in a line, a branch, a loop, and a wait, each of which says that it runs. */
const rich = ({ say } = witness()) =>
  Workflow.make("rich", { events: { go: Schema.Json } }, function*(ctx, n: number) {
    const out: Array<Schema.Json> = [n, yield* ctx.random, yield* ctx.uuid, yield* ctx.now]
    out.push(yield* ctx.step("a", say({ a: n })))
    out.push(
      yield* ctx.all({
        x: function*() {
          const one = yield* ctx.step("one", say(1))
          return one + (yield* ctx.step("two", say(2)))
        },
        y: ctx.step("one", say("y"))
      }, { concurrency: 1 })
    )
    for (const k of [1, 2]) out.push(yield* ctx.step("loop", say(k)))
    yield* ctx.sleep("1 hour")
    if (yield* ctx.patched("p")) out.push(yield* ctx.step("patched", say("p")))
    out.push(yield* ctx.suspend("go", { reason: "ask" }))
    out.push(
      yield* Instruction.result(ctx.step("fails", (info) => {
        say(0)(info)
        throw new RangeError("no")
      })).pipe(Instruction.map(({ _tag }) => _tag))
    )
    out.push(yield* ctx.step("z", say("z")), yield* ctx.random)
    return out
  })

const go = { eventName: "go", eventId: "g", value: { by: "ada" } } as const

/** Drives a call to its end: waits for timers, and sends the event. */
const toEnd = (
  workflow: AnyWorkflow,
  first: Effect.Effect<AnyResult, unknown, Storage.Storage>
): Effect.Effect<AnyResult, unknown, Storage.Storage> =>
  Effect.gen(function*() {
    let result = yield* first
    for (let n = 0; result.status === "suspended" && n < 9; n++) {
      const { runId, wakeAt } = result
      if (wakeAt === undefined) result = yield* workflow.resume(runId, go)
      else {
        const now = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
        yield* Effect.sleep(Math.max(1, wakeAt - now))
        result = yield* workflow.resume(runId)
      }
    }
    return result
  })

const envelope = new Set(
  ["session", "offset", "timestamp", "incarnation", "writer", "prev", "sum", "duration", "childId"]
)
/** What a journal says beside who wrote it and when. */
const keptOf = (entries: ReadonlyArray<Journal.Recorded>) =>
  entries
    .filter(({ type }) => !["start", "suspend", "intent", "retry", "stop"].includes(type))
    .map((entry) =>
      JSON.stringify(entry, (key, value: unknown) => envelope.has(key) ? undefined : value)
    )

const resultOf = (result: AnyResult) => result.status === "success" ? result.result : result

describe("a fork", () => {
  it("from every offset and every step comes to the same end, and leaves its source as it is", () => {
    run(Effect.gen(function*() {
      const first = witness()
      const whole = rich(first)
      const expected = yield* toEnd(whole, whole.start(5, { runId: "r" }))
      expect(expected.status).toBe("success")
      const entries = yield* entriesOf("r")
      const before = yield* bytesOf("r")
      const steps = [
        ...new Set(entries.flatMap((entry) => "stepId" in entry ? [entry.stepId] : []))
      ]
      expect(steps.length).toBe(11)
      const cuts: ReadonlyArray<Workflow.CutAt> = [
        ...entries.map((_, offset) => ({ fromOffset: offset + 1 })),
        ...steps.map((fromStep) => ({ fromStep }))
      ]
      for (const cut of cuts) {
        const where = JSON.stringify(cut)
        const second = witness()
        const workflow = rich(second)
        const result = yield* toEnd(workflow, workflow.fork("r", cut))
        expect([where, resultOf(result)]).toEqual([where, resultOf(expected)])
        const offset = cut.fromOffset
          ?? entries.findIndex((entry) => "stepId" in entry && entry.stepId === cut.fromStep)
        const kept = entries.slice(0, offset)
        const done = new Set(kept.flatMap((entry) => entry.type === "step" ? [entry.stepId] : []))
        expect([where, second.ran]).toEqual([where, first.ran.filter((id) => !done.has(id))])
        const written = yield* entriesOf(result.runId)
        expect([where, keptOf(written)]).toEqual([where, keptOf(entries)])
        expect({ where, ...written[0] }).toMatchObject({
          where,
          type: "start",
          runId: result.runId,
          source: {
            runId: "r",
            offset,
            copied: keptOf(kept.filter(({ type }) => type !== "complete")).length
          }
        })
        expect([where, yield* bytesOf("r")]).toEqual([where, before])
        expect([where, workflow.replay(yield* Runs.journal(result.runId))._tag]).toEqual([
          where,
          "Returned"
        ])
        expect([where, second.keys.filter((key) => first.keys.includes(key))]).toEqual([where, []])
      }
      expect((yield* idsOf).length).toBe(cuts.length + 1)
    }))
  })

  it("survives a process that dies at any of its writes, at whichever offset it was cut", () => {
    const make = () => rich()
    for (const fromOffset of [1, 3, 6, 9]) {
      const workflow = make()
      const program = Effect.gen(function*() {
        yield* toEnd(workflow, workflow.start(5, { runId: "r" }))
        const before = yield* bytesOf("r")
        const result = yield* toEnd(workflow, workflow.fork("r", { fromOffset, runId: "n" }))
        expect(yield* bytesOf("r")).toBe(before)
        return result
      })
      everywhere([program], 0, ({ get, value }) => {
        expect(value).toMatchObject({ status: "success" })
        expect(keptOf(get(entriesOf("n")))).toEqual(keptOf(get(entriesOf("r"))))
        expect(get(idsOf)).toEqual(["n", "r"])
      })
    }
  })

  it("has its beginning in one append", () => {
    const driver = Storage.memoryDriver()
    const appends: Array<string> = []
    const storage = Storage.make({
      ...driver,
      writer: (runId) =>
        Effect.map(driver.writer(runId), (writer) => ({
          append: (at, lines, row) => {
            appends.push(`${runId} ${lines.length}`)
            return writer.append(at, lines, row)
          }
        }))
    })
    const workflow = rich()
    run(Effect.provideService(
      Effect.gen(function*() {
        yield* toEnd(workflow, workflow.start(5, { runId: "r" }))
        appends.length = 0
        yield* toEnd(workflow, workflow.fork("r", { fromStep: "loop#2", runId: "n" }))
        // The opening, a, one, two, one and the first of the loop.
        expect(appends[0]).toBe("n 6")
        expect(appends.every((one) => one.startsWith("n "))).toBe(true)
      }),
      Storage.Storage,
      storage
    ))
  })

  it("is cut before the first entry of its step, by id or by a name that only one has", () => {
    const workflow = rich()
    run(Effect.gen(function*() {
      yield* toEnd(workflow, workflow.start(5, { runId: "r" }))
      const story = (cut: Workflow.CutAt) =>
        Effect.gen(function*() {
          const { runId } = yield* workflow.fork("r", cut)
          const { source } = yield* Runs.status(runId)
          return source?.offset
        })
      const entries = yield* entriesOf("r")
      const at = (id: string) =>
        entries.findIndex((entry) => "stepId" in entry && entry.stepId === id)
      expect(yield* story({ fromStep: "two" })).toBe(at("all[x]/two"))
      expect(yield* story({ fromStep: "all[x]/two" })).toBe(at("all[x]/two"))
      expect(yield* story({ fromStep: "loop" })).toBe(at("loop"))
      expect(yield* story({ fromStep: "loop#2" })).toBe(at("loop#2"))
      expect(yield* story({ fromStep: "sleep" })).toBe(at("sleep"))
      expect(yield* story({ fromStep: "go" })).toBe(at("go"))
    }))
  })

  it("cannot be cut where there is nothing, and nothing is written then", () => {
    const workflow = rich()
    run(Effect.gen(function*() {
      yield* workflow.start(5, { runId: "r" })
      const { length } = yield* entriesOf("r")
      const before = yield* bytesOf("r")
      for (const fromOffset of [0, -1, 1.5, NaN, Infinity, length + 1]) {
        const error = yield* failureOf(workflow.fork("r", { fromOffset }))
        expect(error).toBeInstanceOf(Workflow.ForkRejected)
        expect(error).toMatchObject({
          _tag: "ForkRejected",
          runId: "r",
          saw: expect.stringContaining(String(fromOffset)),
          instead: `Give an offset from 1 to ${length}`
        })
        expect((error as Error).message).toContain("Nothing was run or written.")
      }
      for (const cut of [{}, { fromStep: "a", fromOffset: 2 }]) {
        expect(yield* failureOf(workflow.fork("r", cut as never))).toMatchObject({
          _tag: "ForkRejected",
          instead: "Give either fromStep or fromOffset"
        })
      }
      // Waited for, and not begun; several of the name; in another case; of an object.
      for (const fromStep of ["go", "z", "one", "A", "", "toString", "loop#3"]) {
        const error = yield* failureOf(workflow.fork("r", { fromStep }))
        expect(error).toBeInstanceOf(Workflow.StepNotFound)
        expect(error).toMatchObject({ runId: "r", step: fromStep })
        expect((error as Workflow.StepNotFound).allowed)
          .toEqual(["a", "all[x]/one", "all[x]/two", "all[y]/one", "loop", "loop#2"])
      }
      for (const runId of ["", "a/b", "ä"]) {
        expect(yield* failureOf(workflow.fork("r", { fromOffset: 1, runId })))
          .toMatchObject({ _tag: "RunIdRejected" })
      }
      expect(yield* failureOf(workflow.fork("x", { fromOffset: 1 })))
        .toBeInstanceOf(Runs.RunNotFound)
      const other = Workflow.make("other", function*() {})
      expect(yield* failureOf(other.fork("r", { fromOffset: 1 })))
        .toMatchObject({ _tag: "RunExists", differs: "workflow" })
      expect(yield* bytesOf("r")).toBe(before)
      expect(yield* idsOf).toEqual(["r"])
    }))
  })

  it("cannot be cut at an offset that is no number, as what comes from a command line may be", () => {
    const workflow = rich()
    run(Effect.gen(function*() {
      yield* workflow.start(5, { runId: "r" })
      for (const fromOffset of ["2", null, {}, true]) {
        expect(yield* failureOf(workflow.fork("r", { fromOffset: fromOffset as never })))
          .toBeInstanceOf(Workflow.ForkRejected)
      }
      expect(yield* idsOf).toEqual(["r"])
    }))
  })

  it("under a known id is the run that it was, and is refused with another source", () => {
    const { ran, say } = witness()
    const workflow = rich({ ...witness(), say })
    run(Effect.gen(function*() {
      yield* toEnd(workflow, workflow.start(5, { runId: "r" }))
      yield* toEnd(workflow, workflow.start(5, { runId: "s" }))
      const first = yield* toEnd(workflow, workflow.fork("r", { fromStep: "z", runId: "n" }))
      const bytes = yield* bytesOf("n")
      ran.length = 0
      expect(yield* workflow.fork("r", { fromStep: "z", runId: "n" })).toEqual(first)
      const differing: ReadonlyArray<
        readonly [string, Workflow.CutAt & { readonly runId: string }]
      > = [
        ["r", { fromStep: "a", runId: "n" }],
        ["s", { fromStep: "z", runId: "n" }],
        ["r", { fromStep: "z", runId: "s" }],
        ["r", { fromStep: "z", runId: "r" }],
        ["n", { fromStep: "z", runId: "n" }]
      ]
      for (const [source, options] of differing) {
        expect(yield* failureOf(workflow.fork(source, options)))
          .toMatchObject({ _tag: "RunExists", differs: "source", runId: options.runId })
      }
      expect(yield* bytesOf("n")).toBe(bytes)
      expect(ran).toEqual([])
    }))
  })

  it("of a fork, of that, and so on, keeps times, chance and what was done", () => {
    const workflow = rich()
    run(Effect.gen(function*() {
      const expected = yield* toEnd(workflow, workflow.start(5, { runId: "f0" }))
      const steps = ["z", "fails", "go", "loop#2", "all[x]/two", "a"]
      for (const [k, fromStep] of steps.entries()) {
        const runId = `f${k + 1}`
        const result = yield* toEnd(workflow, workflow.fork(`f${k}`, { fromStep, runId }))
        expect(resultOf(result)).toEqual(resultOf(expected))
        expect((yield* Runs.status(runId)).source?.runId).toBe(`f${k}`)
      }
      const [first] = yield* entriesOf("f0"), [last] = yield* entriesOf("f6")
      expect(last).toMatchObject({
        seed: (first as Journal.Start).seed!,
        timestamp: first!.timestamp
      })
      expect(
        new Set((yield* Effect.forEach(yield* idsOf, entriesOf)).map(([one]) => one!.incarnation))
          .size
      ).toBe(7)
    }))
  })

  it("tells only what it does itself as done, and can be stopped", () => {
    const workflow = rich()
    run(Effect.gen(function*() {
      yield* toEnd(workflow, workflow.start(5, { runId: "r" }))
      const heard: Array<string> = []
      const hooks = {
        onStepComplete: ({ stepId, stop }: Workflow.StepCompleted) => {
          heard.push(`did ${stepId}`)
          stop()
        },
        onStepSkipped: ({ stepId }: Workflow.StepSkipped) => void heard.push(`skipped ${stepId}`)
      }
      const stopped = yield* workflow.fork("r", { fromStep: "loop", runId: "n", ...hooks })
      expect(stopped).toMatchObject({ status: "stopped", stepId: "loop", runId: "n" })
      expect(heard).toEqual([
        "skipped a",
        "skipped all[x]/one",
        "skipped all[x]/two",
        "skipped all[y]/one",
        "did loop"
      ])
      expect((yield* toEnd(workflow, workflow.resume("n"))).status).toBe("success")
    }))
  })

  it("takes none of the events that its source has not journaled, and gives it none", () => {
    const workflow = rich()
    run(Effect.gen(function*() {
      const waiting = yield* workflow.start(5, { runId: "r" })
      expect(waiting).toMatchObject({ status: "suspended" })
      yield* workflow.send("r", go)
      const bytes = yield* bytesOf("r")
      yield* workflow.fork("r", { fromStep: "loop", runId: "n" })
      yield* Effect.sleep("2 hours")
      expect(yield* workflow.resume("n")).toMatchObject({ status: "suspended", event: "go" })
      expect(yield* bytesOf("r")).toBe(bytes)
      // The same event id: it is another run.
      expect((yield* workflow.resume("n", go)).status).toBe("success")
      expect(yield* bytesOf("r")).toBe(bytes)
      expect((yield* workflow.resume("r")).status).toBe("success")
    }))
  })

  it("keeps what children gave, and starts others anew under other ids", () => {
    const { ran, say } = witness()
    const child = Workflow.make("child", function*(ctx, n: number) {
      return yield* ctx.step(`do ${n}`, say(n * 2))
    })
    const parent = Workflow.make("parent", function*(ctx) {
      const one = yield* ctx.child(child, 1)
      const two = yield* ctx.child(child, 2)
      return [one, two]
    })
    run(Effect.gen(function*() {
      yield* parent.start(undefined, { runId: "r" })
      ran.length = 0
      const before = yield* idsOf
      expect(yield* parent.fork("r", { fromStep: "child#2", runId: "n" }))
        .toMatchObject({ status: "success", result: [2, 4] })
      expect(ran).toEqual(["do 2"])
      const fresh = (yield* idsOf).filter((id) => !before.includes(id))
      expect(fresh.length).toBe(2)
      const [first, , second] = yield* entriesOf("n")
      expect(first).toMatchObject({ source: { runId: "r", offset: 2, copied: 1 } })
      expect(fresh).toContain((second as Journal.Child).childId)
    }))
  })

  it("goes past code that changed behind the cut, and is refused by code that changed before it", () => {
    const make = (names: ReadonlyArray<string>) =>
      Workflow.make("changing", function*(ctx) {
        const out: Array<string> = []
        for (const name of names) out.push(yield* ctx.step(name, () => name))
        return out.join("")
      })
    run(Effect.gen(function*() {
      yield* make(["a", "b", "c"]).start(undefined, { runId: "r" })
      const changed = make(["a", "B", "c"])
      expect(yield* changed.fork("r", { fromStep: "b" })).toMatchObject({ result: "aBc" })
      const ids = yield* idsOf
      const error = yield* failureOf(changed.fork("r", { fromStep: "c" }))
      expect(error).toBeInstanceOf(Replay.ReplayMismatch)
      expect(yield* failureOf(make(["a"]).fork("r", { fromStep: "c" })))
        .toBeInstanceOf(Replay.ReplayMismatch)
      expect(yield* idsOf).toEqual(ids)
    }))
  })

  it("is driven by the body of its source's version, or not at all", () => {
    const make = (version: string, name: string) =>
      Workflow.make("versions", { version }, function*(ctx) {
        yield* ctx.step("a", () => "a")
        return yield* ctx.step(name, () => name)
      })
    const one = make("1", "one")
    const two = Workflow.make("versions", { version: "2", previous: [one] }, function*(ctx) {
      return yield* ctx.step("two", () => "two")
    })
    run(Effect.gen(function*() {
      yield* one.start(undefined, { runId: "r" })
      expect(yield* failureOf(make("2", "two").fork("r", { fromStep: "a" })))
        .toMatchObject({ _tag: "VersionMismatch", recorded: "1", seen: "2" })
      expect(yield* idsOf).toEqual(["r"])
      expect(yield* two.fork("r", { fromStep: "one", runId: "n" })).toMatchObject({ result: "one" })
      expect((yield* entriesOf("n"))[0]).toMatchObject({ version: "1" })
      expect(yield* two.fork("r", { fromOffset: 1, runId: "m" })).toMatchObject({ result: "one" })
    }))
  })

  it("takes the new path of a patch where an old run was cut", () => {
    const { say } = witness()
    const old = Workflow.make("patched", function*(ctx) {
      yield* ctx.step("a", say(1))
      yield* ctx.step("b", say(1))
    })
    const fresh = Workflow.make("patched", function*(ctx) {
      yield* ctx.step("a", say(1))
      if (yield* ctx.patched("p")) yield* ctx.step("new", say(1))
      yield* ctx.step("b", say(1))
    })
    run(Effect.gen(function*() {
      yield* old.start(undefined, { runId: "r" })
      expect((yield* fresh.fork("r", { fromStep: "b", runId: "n" })).status).toBe("success")
      expect(yield* storyOf("n")).toEqual(["step a", "patch", "step new", "step b", "complete"])
      expect(yield* storyOf("r")).toEqual(["step a", "step b", "complete"])
    }))
  })
})

describe("a fork of a run that", () => {
  const { ran, say } = witness()
  const workflow = Workflow.make(
    "states",
    { events: { go: Schema.Json }, error: No },
    function*(ctx, end: string) {
      yield* ctx.step("a", say(1))
      const b = yield* ctx.step("b", say(end))
      if (b === "fail") yield* ctx.fail(new No({ why: "b" }))
      try {
        if (b === "wait") yield* ctx.suspend("go")
      } finally {
        yield* ctx.step("tidy", say(1))
      }
      return yield* ctx.step("c", say(b))
    }
  )
  const fork = (runId: string, cut: Workflow.CutAt) =>
    Effect.gen(function*() {
      const before = yield* bytesOf(runId)
      ran.length = 0
      const result = yield* workflow.fork(runId, cut)
      expect(yield* bytesOf(runId)).toBe(before)
      return { ...result, runId: "n" }
    })

  it("is suspended waits as well, for its own event, also from behind the last entry", () => {
    run(Effect.gen(function*() {
      yield* workflow.start("wait", { runId: "r" })
      const { length } = yield* entriesOf("r")
      for (const fromOffset of [1, 2, 3, length]) {
        expect(yield* fork("r", { fromOffset })).toMatchObject({ status: "suspended", event: "go" })
      }
      expect(ran).toEqual([])
      const { runId } = yield* workflow.fork("r", { fromOffset: length })
      expect((yield* workflow.resume(runId, { eventName: "go", value: 1 })).status).toBe("success")
      expect((yield* workflow.status("r")).status).toBe("suspended")
    }))
  })

  it("failed can go another way", () => {
    run(Effect.gen(function*() {
      yield* workflow.start("fail", { runId: "r" })
      expect(yield* fork("r", { fromStep: "b" }))
        .toMatchObject({ status: "failed", error: { why: "b" } })
      expect(ran).toEqual(["b"])
      const { length } = yield* entriesOf("r")
      const other = yield* workflow.fork("r", { fromOffset: length - 1, override: { b: "fine" } })
      expect(other).toMatchObject({ status: "success", result: "fine" })
    }))
  })

  it("was cancelled is not, from before the cancel, and is, from behind it", () => {
    run(Effect.gen(function*() {
      yield* workflow.start("wait", { runId: "r" })
      yield* workflow.cancel("r")
      const story = (yield* entriesOf("r")).map(({ type }) => type)
      const cancel = story.indexOf("cancel")
      expect(cancel).toBeGreaterThan(0)
      expect(yield* fork("r", { fromOffset: cancel })).toMatchObject({ status: "suspended" })
      expect(yield* fork("r", { fromOffset: cancel + 1 })).toMatchObject({ status: "cancelled" })
      expect(ran).toEqual(["tidy"])
      expect(yield* fork("r", { fromOffset: story.length })).toMatchObject({ status: "cancelled" })
      expect(ran).toEqual([])
    }))
  })

  it("a hook stopped is not stopped", () => {
    run(Effect.gen(function*() {
      yield* workflow.start("fine", { runId: "r", onStepComplete: ({ stop }) => stop() })
      const story = (yield* entriesOf("r")).map(({ type }) => type)
      expect(story).toEqual(["start", "step", "stop"])
      for (const fromOffset of [1, 2, 3]) {
        expect(yield* fork("r", { fromOffset })).toMatchObject({ status: "success" })
      }
      expect(yield* fork("r", { fromStep: "a" })).toMatchObject({ status: "success" })
      expect(ran).toEqual(["a", "b", "tidy", "c"])
      expect((yield* workflow.status("r")).status).toBe("stopped")
    }))
  })

  it("is only recorded begins", () => {
    run(Effect.gen(function*() {
      yield* workflow.enqueue("fine", { runId: "r" })
      expect(yield* fork("r", { fromOffset: 1 })).toMatchObject({ status: "success" })
      expect((yield* workflow.status("r")).status).toBe("pending")
      expect(yield* failureOf(workflow.fork("r", { fromStep: "a" })))
        .toMatchObject({ _tag: "StepNotFound", allowed: [] })
    }))
  })

  it("goes on elsewhere goes on elsewhere too, in a chain of its own", () => {
    const counting = Workflow.make("counting", function*(ctx, n: number): Workflow.Body<number> {
      yield* ctx.step("count", () => n)
      return n >= 3 ? n : yield* ctx.continueAs(n + 1)
    })
    run(Effect.gen(function*() {
      const { runId: last } = yield* counting.start(1, { runId: "r" })
      const chain = yield* idsOf
      expect(chain.length).toBe(3)
      const before = yield* Effect.forEach(chain, bytesOf)
      const result = yield* counting.fork("r", { fromOffset: 2, runId: "n" })
      expect(result).toMatchObject({ status: "success", result: 3 })
      expect(result.runId).not.toBe(last)
      expect(chain).not.toContain(result.runId)
      expect(yield* counting.fork(last, { fromStep: "count" }))
        .toMatchObject({ status: "success", result: 3 })
      expect(yield* Effect.forEach(chain, bytesOf)).toEqual(before)
    }))
  })
})

describe("an override of a fork", () => {
  const make = () =>
    Workflow.make("over", function*(ctx) {
      const at = yield* ctx.step("at", () => new Date(5), { schema: Schema.Date })
      const way = yield* ctx.step("way", () => "left")
      const went = yield* ctx.step(way, () => `went ${way}`)
      return [at.getTime(), went]
    })

  it("replaces a result that is kept, and is encoded by its step's schema", () => {
    run(Effect.gen(function*() {
      const workflow = make()
      yield* workflow.start(undefined, { runId: "r" })
      const before = yield* bytesOf("r")
      const forked = yield* workflow.fork("r", {
        fromStep: "left",
        runId: "n",
        override: { at: new Date(7), way: "right" }
      })
      expect(forked).toMatchObject({ status: "success", result: [7, "went right"] })
      expect(
        (yield* entriesOf("n")).flatMap((entry) => entry.type === "step" ? [entry.result] : [])
      )
        .toEqual([new Date(7).toISOString(), "right", "went right"])
      expect(yield* bytesOf("r")).toBe(before)
    }))
  })

  it("is refused when it names a step that is not kept, or does not fit, and nothing is written", () => {
    run(Effect.gen(function*() {
      const workflow = make()
      yield* workflow.start(undefined, { runId: "r" })
      const over = (fromStep: string, override: object) =>
        failureOf(workflow.fork("r", { fromStep, override }))
      for (const step of ["way", "left", "nobody"]) {
        const error = yield* over("way", { [step]: "x" })
        expect(error).toBeInstanceOf(Workflow.StepNotFound)
        expect(error).toMatchObject({ runId: "r", step, allowed: ["at"] })
      }
      for (const override of [{ at: "x" }, { way: 1n }, { way: [undefined] }]) {
        const error = yield* over("left", override)
        expect(error).toBeInstanceOf(Workflow.ForkRejected)
        expect(error).toMatchObject({
          runId: "r",
          saw: expect.stringContaining("the value for step")
        })
      }
      const { length } = yield* entriesOf("r")
      const error = yield* failureOf(
        workflow.fork("r", { fromOffset: length - 1, override: { way: "right" } })
      )
      expect(error).toBeInstanceOf(Replay.ReplayMismatch)
      expect(error).toMatchObject({ expected: expect.stringContaining("left") })
      expect(yield* idsOf).toEqual(["r"])
    }))
  })
})

describe("a failed run that goes on from the step that failed", () => {
  /** Fails at a step as long as `broken` says so. */
  const saga = (options: { readonly undo?: boolean; readonly twice?: boolean } = {}) => {
    const { ran, say } = witness()
    const state = { isBroken: true }
    const workflow = Workflow.make("saga", function*(ctx) {
      yield* ctx.step("a", say("a"))
      yield* ctx.step(
        "b",
        say("b"),
        options.undo === true ? { undo: () => Instruction.step("unb", say("unb")) } : {}
      )
      if (options.twice === true) {
        yield* Instruction.result(ctx.step("shrugged", () => {
          throw new Error("never mind")
        }))
      }
      yield* ctx.step("c", (info) => {
        say(0)(info)
        if (state.isBroken) throw new RangeError("c is down")
        return "c"
      })
      return yield* ctx.step("d", say("d"))
    })
    return { ran, state, workflow }
  }

  it("keeps what was done before, runs that again, and goes on", () => {
    run(Effect.gen(function*() {
      const { ran, state, workflow } = saga({ twice: true })
      yield* workflow.start(undefined, { runId: "r" })
      expect((yield* workflow.status("r")).status).toBe("failed")
      const before = yield* bytesOf("r")
      ran.length = 0
      const again = yield* workflow.retryFrom("r", { runId: "n" })
      expect(again).toMatchObject({ status: "failed" })
      expect(ran).toEqual(["c"])
      state.isBroken = false
      // Of the one that failed again, and of the first.
      for (const [source, runId] of [["n", "m"], ["r", "o"]] as const) {
        ran.length = 0
        expect(yield* workflow.retryFrom(source, { runId }))
          .toMatchObject({ status: "success", result: "d", runId })
        expect(ran).toEqual(["c", "d"])
        expect((yield* Runs.status(runId)).source).toMatchObject({ runId: source })
      }
      expect(yield* bytesOf("r")).toBe(before)
    }))
  })

  it("survives a process that dies at any of its writes", () => {
    const { state, workflow } = saga()
    const program = Effect.gen(function*() {
      state.isBroken = true
      yield* workflow.start(undefined, { runId: "r" })
      state.isBroken = false
      return yield* workflow.retryFrom("r", { runId: "n" })
    })
    everywhere([program], 0, ({ get, value }) => {
      expect(value).toMatchObject({ status: "success", result: "d" })
      expect(get(storyOf("n"))).toEqual(["step a", "step b", "step c", "step d", "complete"])
    })
  })

  it("may go on from another step, with other results, and be heard", () => {
    run(Effect.gen(function*() {
      const { ran, state, workflow } = saga()
      yield* workflow.start(undefined, { runId: "r" })
      state.isBroken = false
      ran.length = 0
      const heard: Array<string> = []
      const result = yield* workflow.retryFrom("r", {
        step: "b",
        override: { a: "other" },
        onStepComplete: ({ stepId }) => void heard.push(stepId)
      })
      expect(result.status).toBe("success")
      expect(ran).toEqual(["b", "c", "d"])
      expect(heard).toEqual(["b", "c", "d"])
      expect((yield* entriesOf(result.runId))[1]).toMatchObject({ result: "other" })
      expect(yield* failureOf(workflow.retryFrom("r", { step: "nobody" })))
        .toBeInstanceOf(Workflow.StepNotFound)
    }))
  })

  it("is refused when what was done before it was undone, and says what to do", () => {
    run(Effect.gen(function*() {
      const { ran, state, workflow } = saga({ undo: true })
      yield* workflow.start(undefined, { runId: "r" })
      expect(ran).toEqual(["a", "b", "c", "b[undo]/unb"])
      state.isBroken = false
      for (const options of [{}, { step: "c" }]) {
        const error = yield* failureOf(workflow.retryFrom("r", options))
        expect(error).toBeInstanceOf(Workflow.ForkRejected)
        expect(error).toMatchObject({
          runId: "r",
          saw: expect.stringContaining("\"b\""),
          instead: expect.stringContaining("fork(\"r\", { fromStep: \"b\" })")
        })
      }
      expect(yield* idsOf).toEqual(["r"])
      ran.length = 0
      expect((yield* workflow.retryFrom("r", { step: "b" })).status).toBe("success")
      expect(ran).toEqual(["b", "c", "d"])
    }))
  })

  it("is refused when it has not failed, or no step of it did", () => {
    const body = Workflow.make("body", { events: { go: Schema.Json }, error: No }, function*(
      ctx,
      way: string
    ) {
      yield* ctx.step("a", () => 1)
      if (way === "fail") yield* ctx.fail(new No({ why: "body" }))
      if (way === "wait") yield* ctx.suspend("go")
    })
    run(Effect.gen(function*() {
      yield* body.start("fine", { runId: "fine" })
      yield* body.start("wait", { runId: "wait" })
      yield* body.start("wait", { runId: "cancelled" })
      yield* body.cancel("cancelled")
      yield* body.start("fail", { runId: "fail" })
      yield* body.enqueue("fail", { runId: "new" })
      yield* body.start("fine", { runId: "stopped", onStepComplete: ({ stop }) => stop() })
      const ids = yield* idsOf
      for (const runId of ["fine", "wait", "cancelled", "new", "stopped"]) {
        expect(yield* failureOf(body.retryFrom(runId))).toMatchObject({
          _tag: "ForkRejected",
          runId,
          saw: "it has not failed"
        })
      }
      expect(yield* failureOf(body.retryFrom("fail"))).toMatchObject({
        _tag: "ForkRejected",
        saw: expect.stringContaining("no step of it failed")
      })
      expect(yield* failureOf(body.retryFrom("nobody"))).toBeInstanceOf(Runs.RunNotFound)
      expect(yield* idsOf).toEqual(ids)
    }))
  })

  it("goes on from a child that failed, which begins anew", () => {
    const state = { isBroken: true }
    const child = Workflow.make("child", function*(ctx) {
      yield* ctx.step("x", () => {
        if (state.isBroken) throw new Error("down")
      })
      return 5
    })
    const parent = Workflow.make("parent", function*(ctx) {
      yield* ctx.step("a", () => 1)
      return yield* ctx.child(child, undefined)
    })
    run(Effect.gen(function*() {
      expect((yield* parent.start(undefined, { runId: "r" })).status).toBe("failed")
      state.isBroken = false
      expect(yield* parent.retryFrom("r")).toMatchObject({ status: "success", result: 5 })
    }))
  })

  it("in a branch keeps what the other branches did", () => {
    const { ran, say } = witness()
    const state = { isBroken: true }
    const fan = Workflow.make("fan", function*(ctx) {
      return yield* ctx.all({
        good: function*() {
          yield* ctx.step("one", say(1))
          return yield* ctx.step("two", say(2))
        },
        bad: function*() {
          yield* ctx.step("slow", (info) => Effect.map(Effect.sleep(50), () => say(3)(info)))
          return yield* ctx.step("fails", (info) => {
            say(0)(info)
            if (state.isBroken) throw new Error("no")
            return 4
          })
        }
      })
    })
    run(Effect.gen(function*() {
      expect((yield* fan.start(undefined, { runId: "r" })).status).toBe("failed")
      state.isBroken = false
      ran.length = 0
      expect(yield* fan.retryFrom("r"))
        .toMatchObject({ status: "success", result: { good: 2, bad: 4 } })
      expect(ran).toEqual(["all[bad]/fails"])
    }))
  })
})

describe("what if", () => {
  const { ran, say } = witness()
  const workflow = Workflow.make(
    "what",
    { events: { manager: Schema.Json, clerk: Schema.Json } },
    function*(ctx, _: number) {
      const at = yield* ctx.step("at", say(new Date(5)), { schema: Schema.Date })
      const sum = yield* ctx.step("sum", say(10))
      if (sum > 100) yield* ctx.suspend("manager")
      else yield* ctx.suspend("clerk")
      const paid = yield* ctx.step("pay", say("paid"))
      return `${paid} ${sum} ${at.getTime()}`
    }
  )
  /** The journal of a run that is over; nothing is counted of it. */
  const journalOf = () => {
    const journal = run(Effect.gen(function*() {
      yield* workflow.start(1, { runId: "r" })
      yield* workflow.resume("r", { eventName: "clerk", value: null })
      return yield* Runs.journal("r")
    }))
    ran.length = 0
    return journal
  }

  it("nothing were other says what replay says", () => {
    const journal = journalOf()
    for (let n = 1; n <= journal.entries.length; n++) {
      const part = { ...journal, entries: journal.entries.slice(0, n) }
      expect(workflow.whatIf(part)).toEqual({ ...workflow.replay(part), offset: n })
      expect(workflow.whatIf(part, { override: {} })).toEqual({
        ...workflow.replay(part),
        offset: n
      })
    }
    expect(ran).toEqual([])
  })

  it("a step had given something else: which instruction comes next, and what the journal has instead", () => {
    const journal = journalOf()
    const types = journal.entries.map(({ type }) => type)
    const suspend = types.indexOf("suspend")
    const parted = workflow.whatIf(journal, { override: { sum: 500 } })
    expect(parted).toMatchObject({ _tag: "Blocked", steps: [], offset: suspend })
    expect(parted).toMatchObject({
      waits: [{ kind: "event", event: "manager", stepId: "manager" }]
    })
    expect("instead" in parted && parted.instead).toEqual(journal.entries[suspend])
    expect(ran).toEqual([])
    const end = workflow.whatIf(journal, { override: { sum: 50, at: new Date(7) } })
    expect(end).toMatchObject({ _tag: "Returned", value: "paid 50 7" })
    expect("instead" in end).toBe(false)
    expect(end.offset).toBe(journal.entries.length)
    const open = { ...journal, entries: journal.entries.slice(0, types.lastIndexOf("step")) }
    const next = workflow.whatIf(open, { override: { sum: 50 } })
    expect(next).toMatchObject({ _tag: "Blocked", steps: ["pay"], offset: open.entries.length })
    expect(ran).toEqual([])
  })

  it("is the journal's business only: it is not changed, and may be asked again", () => {
    const journal = journalOf()
    const before = structuredClone(journal)
    const first = workflow.whatIf(journal, { override: { sum: 500 } })
    expect(workflow.whatIf(journal, { override: { sum: 500 } })).toEqual(first)
    expect(journal).toEqual(before)
    Object.freeze(journal.entries)
    for (const entry of journal.entries) Object.freeze(entry)
    expect(workflow.whatIf(journal, { override: { sum: 500 } })).toEqual(first)
  })

  it("a step there is not, or a value that it cannot give, is refused as data", () => {
    const journal = journalOf()
    const bad: ReadonlyArray<readonly [object, string]> = [
      [{ nobody: 1 }, "StepNotFound"],
      [{ clerk: 1 }, "StepNotFound"],
      [{ at: "x" }, "ForkRejected"],
      [{ sum: NaN }, "ForkRejected"]
    ]
    for (const [override, _tag] of bad) {
      const refused = workflow.whatIf(journal, { override })
      expect([override, refused._tag]).toEqual([override, "Refused"])
      expect(refused).toMatchObject({ error: { _tag, runId: "r" }, offset: 0 })
    }
    const empty = { ...journal, entries: [] }
    expect(workflow.whatIf(empty)).toMatchObject({
      _tag: "Refused",
      error: { _tag: "ReplayMismatch" }
    })
    expect(ran).toEqual([])
  })

  it("a failed step had succeeded, and one that succeeded is asked about in branches", () => {
    const { ran, say } = witness()
    const fan = Workflow.make("fan", function*(ctx) {
      const both = yield* ctx.all({
        x: ctx.step("one", say(1)),
        y: ctx.step("one", (info): number => {
          say(0)(info)
          throw new Error("no")
        })
      }, { mode: "result", concurrency: 1 })
      return both.y._tag === "Failure" ? "failed" : yield* ctx.step("on", say(both.y.success))
    })
    const journal = run(Effect.andThen(fan.start(undefined, { runId: "r" }), Runs.journal("r")))
    ran.length = 0
    const override = { "all[y]/one": 5 } as {}
    expect(fan.whatIf(journal, { override })).toMatchObject({
      _tag: "Blocked",
      steps: ["on"],
      offset: 3,
      instead: { type: "complete", result: "failed" }
    })
    expect(fan.whatIf(journal, { override: { one: 5 } as {} })).toMatchObject({
      _tag: "Refused",
      error: { _tag: "StepNotFound", allowed: ["all[x]/one", "all[y]/one"] }
    })
    expect(ran).toEqual([])
  })

  it("the code were another: it is asked with the code that it has", () => {
    const journal = journalOf()
    const renamed = Workflow.make(
      "what",
      { events: { clerk: Schema.Json } },
      function*(ctx, _: number) {
        yield* ctx.step("at", say(new Date(5)), { schema: Schema.Date })
        return yield* ctx.step("total", say(10))
      }
    )
    expect(renamed.whatIf(journal)).toMatchObject({
      _tag: "Blocked",
      steps: ["total"],
      offset: 2,
      instead: { type: "step", name: "sum" }
    })
    const broken = Workflow.make("what", function*(ctx, _: number) {
      yield* ctx.step("at", say(new Date(5)), { schema: Schema.Date })
      throw new TypeError("a bug")
    })
    expect(broken.whatIf(journal)).toMatchObject({
      _tag: "Broke",
      defect: { saw: "The body threw TypeError: a bug" },
      offset: 2,
      instead: { type: "step", name: "sum" }
    })
    expect(ran).toEqual([])
  })

  it("its answer is what a fork with the same override then does", () => {
    const simulation = new Simulation()
    const services = Context.add(checked, Storage.Storage, Storage.make(Storage.memoryDriver()))
    const get = <A>(program: Effect.Effect<A, unknown, Storage.Storage>) =>
      simulation.get(program, services)
    get(workflow.start(1, { runId: "r" }))
    get(workflow.resume("r", { eventName: "clerk", value: null }))
    const journal = get(Runs.journal("r"))
    const override = { sum: 500 }
    const { offset } = workflow.whatIf(journal, { override })
    const forked = get(workflow.fork("r", { fromOffset: offset, override }))
    expect(forked).toMatchObject({ status: "suspended", event: "manager" })
  })
})
