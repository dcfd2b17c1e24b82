/**
 * Checkpoints of generator workflows: from every place of a run, on a storage and in a process that never
 * saw it, a new one comes to the same end and does nothing again that was done; and what is refused leaves
 * nothing behind.
 */
import { Context, Effect, Exit, Schedule, Schema } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Checkpoint, Instruction, type Journal, Runs, Storage, Workflow } from "reprise"
import { describe, expect, it } from "vitest"
import type { StepInfo } from "../../src/Instruction.ts"
import { temporary } from "../storage/support/local.ts"
import { epoch, Simulation } from "../support/simulation.ts"
import { checked, entriesOf, everywhere, failureOf, run } from "../support/together.ts"

type AnyWorkflow = Workflow.Workflow<any, any, any, any, any>
type AnyResult = Workflow.Result<any, any>

interface Sent {
  readonly eventName: string
  readonly value?: unknown
  readonly key?: string | undefined
  readonly eventId: string
}

/** What a client does for a run that waits: sends events, cancels it, or waits for its timer. */
type Answer = (wait: Journal.Wait) => ReadonlyArray<Sent> | "cancel" | undefined

interface Case {
  /** Whether the body does one thing after the other, so that its journal is always the same. */
  readonly isSequential?: false
  readonly make: (did: (info: StepInfo) => void) => AnyWorkflow
  readonly input?: unknown
  readonly answer?: Answer
}

const say = <A>(did: (info: StepInfo) => void, value: A, millis = 0) => (info: StepInfo) =>
  Effect.map(millis === 0 ? Effect.void : Effect.sleep(millis), () => {
    did(info)
    return value
  })

class Declined extends Schema.TaggedError<Declined>()("Declined", { why: Schema.String }) {}

const Point = Schema.Struct({ at: Schema.Date, big: Schema.BigInt })

const cases: Record<string, Case> = {
  "steps one after the other, with time and chance between them": {
    make: (did) =>
      Workflow.make("line", {
        input: Schema.Struct({ since: Schema.Date }),
        output: Schema.Array(Schema.Unknown)
      }, function*(ctx, { since }) {
        const out: Array<unknown> = [since.getTime()]
        for (const name of ["a", "b", "c"]) {
          out.push(yield* ctx.now)
          out.push(yield* ctx.random, yield* ctx.uuid)
          out.push(yield* ctx.step(name, say(did, { name }, 7)))
        }
        const { at, big } = yield* ctx.step(
          "schema",
          say(did, { at: new Date(5), big: 12n }),
          { schema: Point }
        )
        yield* ctx.log("half way")
        out.push(at.getTime(), String(big), yield* ctx.random)
        yield* ctx.step("nothing", say(did, undefined))
        out.push((yield* ctx.step("null", say(did, null))) === null)
        const odd = JSON.parse(`{"__proto__":{"a":1},"größe\\u2028😀":"\\ud800"}`) as {}
        out.push(JSON.stringify(yield* ctx.step("__proto__", say(did, odd))))
        out.push(yield* ctx.step("all[0]/x % #2", say(did, "")), yield* ctx.uuid)
        return out
      }),
    input: { since: new Date(1) }
  },
  "branches in branches": {
    isSequential: false,
    make: (did) =>
      Workflow.make("branches", function*(ctx) {
        const both = yield* ctx.all({
          left: function*() {
            const one = yield* ctx.step("one", say(did, 1, 30))
            return one + (yield* ctx.step("two", say(did, 2, 30)))
          },
          right: ctx.all([
            ctx.step("one", say(did, 10, 20)),
            ctx.step("one", say(did, 20, 50)),
            function*() {
              yield* ctx.step("one", say(did, "x", 10))
              return yield* ctx.random
            }
          ], { name: "in" })
        })
        const each = yield* ctx.forEach(["a", "b", "c"], (item) =>
          function*() {
            const first = yield* ctx.step("first", say(did, `${item}1`, item === "a" ? 40 : 10))
            return first + (yield* ctx.step("second", say(did, `${item}2`, 15)))
          }, { key: (item) => item, concurrency: 2 })
        return [both, each, yield* ctx.step("last", say(did, "end"))]
      })
  },
  "branches with a limit of one, and one that fails": {
    make: (did) =>
      Workflow.make("limited", function*(ctx) {
        const list = yield* ctx.all([
          ctx.step("a", say(did, 1)),
          function*() {
            did({ stepId: "not a step" } as StepInfo)
            return yield* ctx.step("b", say(did, 2))
          },
          ctx.step("c", (info) => {
            did(info)
            throw new RangeError("c fails")
          }),
          ctx.step("d", say(did, 4))
        ], { concurrency: 1, mode: "result" })
        return list.map(({ _tag }) => _tag)
      })
  },
  "a race, whose loser tidies up": {
    isSequential: false,
    make: (did) =>
      Workflow.make("race", { events: { never: Schema.Json } }, function*(ctx) {
        const before = yield* ctx.step("before", say(did, "b"))
        const won = yield* ctx.race({
          slow: function*() {
            try {
              yield* ctx.step("work", say(did, 1, 10))
              yield* ctx.step("never done", say(did, 2, 10_000))
            } finally {
              yield* ctx.step("tidy", say(did, 3))
              yield* ctx.step("tidier", say(did, 4))
            }
          },
          quick: function*() {
            yield* ctx.step("one", say(did, 1, 50))
            return yield* ctx.step("two", say(did, "two", 50))
          },
          wait: ctx.suspend("never")
        })
        const any = yield* ctx.any([
          ctx.step("fails", (info) => {
            did(info)
            throw new Error("no")
          }),
          function*() {
            yield* ctx.step("p", say(did, 0, 20))
            return yield* ctx.step("q", say(did, "q", 20))
          },
          ctx.step("too late", say(did, "late", 10_000))
        ])
        return [before, won, any, yield* ctx.step("after", say(did, "a"))]
      })
  },
  "a loop of approvals by key, one of them early": {
    make: (did) =>
      Workflow.make(
        "approvals",
        { events: { approve: Schema.Struct({ by: Schema.String }) } },
        function*(ctx) {
          const seen: Array<string> = []
          for (const key of ["x", "y", "z"]) {
            yield* ctx.step("ask", say(did, key))
            const verdict = yield* ctx.suspend("approve", { key, reason: `for ${key}` })
            seen.push(`${key} ${verdict.by}`)
            yield* ctx.step("tell", say(did, seen.length))
          }
          return seen
        }
      ),
    answer: ({ key }) => {
      const event = (key: string): Sent => ({
        eventName: "approve",
        key,
        eventId: `e-${key}`,
        value: { by: `by ${key}` }
      })
      return key === "x" ? [event("z"), event("x")] : [event(key!)]
    }
  },
  "events that are kept until somebody waits for them": {
    make: (did) =>
      Workflow.make("kept", { events: { go: Schema.Json, first: Schema.Json } }, function*(ctx) {
        const first = yield* ctx.suspend("first")
        yield* ctx.step("a", say(did, 1))
        yield* ctx.step("b", say(did, 2))
        const one = yield* ctx.suspend("go")
        const two = yield* ctx.suspend("go")
        yield* ctx.step("c", say(did, 3))
        return [first, one, two]
      }),
    answer: ({ event }) =>
      event === "first"
        ? [
          { eventName: "go", eventId: "g1", value: { n: 1 } },
          { eventName: "go", eventId: "g2", value: { n: 2 } },
          { eventName: "first", eventId: "f", value: "f" }
        ]
        : [
          { eventName: "go", eventId: "g1", value: { n: 1 } },
          { eventName: "go", eventId: "g2", value: { n: 2 } }
        ]
  },
  "sleeps, and waits that run out": {
    make: (did) =>
      Workflow.make("sleeps", { events: { go: Schema.String } }, function*(ctx) {
        const began = yield* ctx.now
        yield* ctx.step("a", say(did, 1))
        yield* ctx.sleep("2 days")
        yield* ctx.step("b", say(did, 2))
        const none = yield* ctx.suspend("go", { key: "none", timeout: "1 hour" })
        yield* ctx.step("c", say(did, 3))
        const some = yield* ctx.suspend("go", { key: "some", timeout: "1 hour" })
        yield* ctx.step("d", say(did, 4))
        yield* ctx.sleepUntil(new Date(began + 86_400_000 * 9))
        yield* ctx.step("e", say(did, 5))
        return [none._tag, some._tag, (yield* ctx.now) - began]
      }),
    answer: ({ key }) =>
      key === "some" ? [{ eventName: "go", key, eventId: "s", value: "yes" }] : undefined
  },
  "children that give, fail, wait and are left alone": {
    make: (did) => {
      const child = Workflow.make("child", function*(ctx, n: number) {
        yield* ctx.step("do", say(did, n, 5))
        if (n === 3) yield* ctx.sleep("1 hour")
        if (n === 4) yield* ctx.fail({ _tag: "Four" })
        return { n: yield* ctx.step("more", say(did, n * 2)) }
      })
      return Workflow.make("parent", function*(ctx) {
        yield* ctx.step("a", say(did, 1))
        const two = yield* ctx.child(child, 2)
        yield* ctx.step("b", say(did, 1))
        const three = yield* ctx.child(child, 3)
        const four = yield* Instruction.result(ctx.child(child, 4))
        yield* ctx.step("c", say(did, 1))
        return [two, three, four._tag]
      })
    }
  },
  "a saga that fails and is undone": {
    make: (did) => {
      const doing = (name: string) =>
        Instruction.step(name, say(did, name), {
          undo: (value) => Instruction.step(`un${name}`, say(did, `un${String(value)}`))
        })
      return Workflow.make("saga", { error: Declined }, function*(ctx) {
        yield* doing("a")
        yield* ctx.step("plain", say(did, 0))
        yield* ctx.all([doing("b"), doing("c")], { concurrency: 1 })
        yield* ctx.fail(new Declined({ why: "no" }))
      })
    }
  },
  "errors that are caught, declared, and repeated": {
    make: (did) =>
      Workflow.make("errors", { error: Declined }, function*(ctx) {
        const out: Array<unknown> = []
        out.push(
          yield* ctx.step("once", say(did, "once"), {
            delivery: "at-most-once",
            error: Instruction.StepFailed
          })
        )
        const declined = ctx.step("declines", (info) => {
          did(info)
          return Effect.fail(new Declined({ why: "first" }))
        })
        out.push(
          yield* Instruction.catch(declined, () => ctx.step("instead", say(did, "i")))
        )
        const result = yield* Instruction.result(ctx.step("throws", (info) => {
          did(info)
          throw new TypeError("thrown")
        }))
        out.push(result._tag)
        out.push(
          yield* ctx.step("soon", (info) => {
            did(info)
            if (info.attempt < 3) throw new Error("not yet")
            return info.attempt
          }, { retry: 2, error: Instruction.StepFailed })
        )
        out.push(
          yield* ctx.step("later", (info) => {
            did(info)
            if (info.attempt < 3) throw new Error("not yet")
            return info.attempt
          }, {
            retry: { schedule: Schedule.spaced("1 hour"), times: 5 },
            error: Instruction.StepFailed
          })
        )
        return yield* ctx.fail(new Declined({ why: JSON.stringify(out) }))
      }) as unknown as AnyWorkflow
  },
  "patches and bodies that change what they are handed": {
    make: (did) =>
      Workflow.make("spoils", { events: { go: Schema.Json } }, function*(
        ctx,
        input: { list: Array<number> }
      ) {
        input.list.push(0)
        const a = yield* ctx.step("a", say(did, { list: [1] }))
        a.list.push(2)
        input.list.push(...a.list)
        if (yield* ctx.patched("p1")) yield* ctx.step("patched", say(did, 1))
        const event = (yield* ctx.suspend("go")) as { list: Array<number> }
        event.list.push(9)
        const b = yield* ctx.step("b", say(did, { list: [3] }))
        b.list.length = 0
        const both = yield* ctx.patched("p2")
        yield* ctx.step("c", say(did, { both }))
        return { input, a, b, event }
      }),
    input: { list: [7] },
    answer: () => [{ eventName: "go", eventId: "g", value: { list: [8] } }]
  },
  "a run that is cancelled, and cleans up": {
    make: (did) =>
      Workflow.make(
        "cancelled",
        { events: { go: Schema.Json, sure: Schema.Json } },
        function*(ctx) {
          try {
            yield* ctx.step("a", say(did, 1))
            yield* ctx.suspend("go")
          } finally {
            yield* ctx.step("tidy", say(did, 2))
            yield* ctx.suspend("sure")
            yield* ctx.step("tidier", say(did, 3))
          }
        }
      ),
    answer: ({ event }) =>
      event === "go" ? "cancel" : [{ eventName: "sure", eventId: "s", value: null }]
  },
  "a run that goes on in fresh journals": {
    make: (did) =>
      Workflow.make("chain", function*(ctx, n: number): Workflow.Body<number> {
        yield* ctx.step("a", say(did, n))
        yield* ctx.step("b", say(did, n))
        if (n < 3) return yield* ctx.continueAs(n + 1)
        return n
      }) as unknown as AnyWorkflow,
    input: 1
  }
}

/** Drives what a call gave until it is over, as the case's client does. */
const toEnd = (
  workflow: AnyWorkflow,
  first: Effect.Effect<AnyResult, unknown, Storage.Storage>,
  answer: Answer = () => undefined,
  hooks: object = {}
): Effect.Effect<AnyResult, unknown, Storage.Storage> =>
  Effect.gen(function*() {
    let result = yield* first
    for (let n = 0; result.status === "suspended"; n++) {
      if (n > 20) throw new Error(`it waits for ever: ${JSON.stringify(result)}`)
      const { runId, waits, wakeAt } = result
      const said = answer(waits[0]!)
      if (said === "cancel") result = yield* workflow.cancel(runId, { eventId: "cancel" })
      else if (said !== undefined) {
        for (const event of said) {
          yield* Effect.catchTag(
            workflow.send(runId, event) as Effect.Effect<void, Runs.RunClosed, Storage.Storage>,
            "RunClosed",
            () => Effect.void
          )
        }
        result = yield* workflow.resume(runId, undefined, hooks)
      } else {
        yield* Effect.sleep(Math.max(1, wakeAt! - (yield* nowOf)))
        result = yield* workflow.resume(runId, undefined, hooks)
      }
    }
    return result
  })

const nowOf = Effect.clockWith((clock) => clock.currentTimeMillis)

/** A process and a storage of its own, whose clock shows `millis` when it begins. */
const fresh = (millis = epoch, driver = Storage.memoryDriver()) => {
  const simulation = new Simulation()
  simulation.pass(millis - epoch)
  const services = Context.add(checked, Storage.Storage, Storage.make(driver))
  return <A>(program: Effect.Effect<A, unknown, Storage.Storage>): A => {
    const exit = simulation.run(program, services)
    if (Exit.isSuccess(exit)) return exit.value
    throw new Error(String(exit.cause), { cause: exit.cause })
  }
}

const endOf = ({ runId: _, ...rest }: AnyResult) => {
  const { error, ...others } = rest as { readonly error?: object }
  return { ...others, ...(error === undefined ? {} : { error: JSON.stringify(error) }) }
}

/** What a journal says that a checkpoint keeps, without who wrote it, when, and for whom. */
const keptOf = (entries: ReadonlyArray<Journal.Recorded>) => {
  const dropped = ["start", "suspend", "intent", "retry", "stop"]
  const envelope = new Set([
    "session",
    "offset",
    "timestamp",
    "incarnation",
    "writer",
    "prev",
    "sum",
    "duration",
    "attempts",
    "childId"
  ])
  return entries.filter(({ type }) => !dropped.includes(type)).map((entry) =>
    JSON.stringify(entry, (key, value: unknown) => envelope.has(key) ? undefined : value)
  )
}

/** `did` by step id and attempt, for what comes to an end. */
const counting = () => {
  const ran: Array<string> = []
  return { ran, did: ({ attempt, stepId }: StepInfo) => void ran.push(`${stepId} ${attempt}`) }
}

const latest = (entries: ReadonlyArray<{ readonly timestamp: string }>) =>
  Math.max(epoch, ...entries.map(({ timestamp }) => Date.parse(timestamp)))

/** The original run, with a checkpoint from each hook and each outcome. */
const original = ({ answer, input, make }: Case) => {
  const { did, ran } = counting()
  const hooked: Array<{ readonly text: string; readonly stepId: string; readonly runId: string }> =
    []
  const workflow = make(did)
  const hooks = {
    onStepComplete: ({ checkpoint, runId, stepId }: Workflow.StepCompleted) =>
      void hooked.push({ text: checkpoint, stepId, runId })
  }
  const get = fresh()
  const result = get(
    toEnd(workflow, workflow.start(input, { runId: "r", ...hooks }), answer, hooks)
  )
  const ids = get(Effect.map(Runs.list(), ({ runs }) => runs.map(({ runId }) => runId)))
  const chain = ids.filter((runId) => hooked.some((one) => one.runId === runId))
  const journals = new Map(chain.map((id) => [id, get(Runs.journal(id))]))
  const called = [...journals].flatMap(([runId, { entries }]) => {
    const outcomes = entries.flatMap((entry) =>
      entry.type === "step" || entry.type === "child" || entry.type === "resume"
        || entry.type === "timer"
        ? [entry.stepId]
        : []
    )
    return outcomes.map((stepId) => ({
      text: get(workflow.checkpoint(runId, { after: stepId })),
      stepId,
      runId
    }))
  })
  return { workflow, get, result, ran, hooked, called, journals }
}

const read = (text: string) => Effect.runSync(Checkpoint.deserializeCheckpoint(text))

describe.each(Object.entries(cases))("%s", (_, given) => {
  const { answer, isSequential = true, make } = given

  /** What is to run behind a checkpoint: all that ran, without what it has the outcome of. */
  const restOf = (ran: ReadonlyArray<string>, kept: Checkpoint.Checkpoint["entries"]) => {
    const done = new Set(kept.flatMap(({ entry }) => entry.type === "step" ? [entry.stepId] : []))
    return ran.filter((one) => !done.has(one.slice(0, one.lastIndexOf(" "))))
  }

  it("goes on from every checkpoint to the same end, and does nothing again", () => {
    const { called, hooked, journals, ran, result } = original(given)
    expect(hooked.length).toBeGreaterThan(1)
    for (const [from, list] of Object.entries({ hooked, called })) {
      for (const { runId, stepId, text } of list) {
        const where = `${from} behind ${stepId} of ${runId}`
        const { entries } = read(text)
        const again = counting()
        const workflow = make(again.did)
        const get = fresh(latest(entries))
        const now = get(toEnd(workflow, workflow.runCheckpoint(text, { runId: "n" }), answer))
        expect([where, endOf(now)]).toEqual([where, endOf(result)])
        // Children of other runs, and what the runs before in a chain did, are not this run's.
        const replayed = workflow.replay(get(Runs.journal("n")))._tag
        expect([where, replayed]).toEqual([
          where,
          expect.stringMatching(/^(Returned|Threw|Blocked)$/)
        ])
        // What children of other runs did, and the runs before in a chain, is not this run's.
        const source = keptOf(journals.get("r")!.entries)
        if (journals.size > 1 || source.join().includes("\"child\"")) continue
        const isStep = (one: string) => one !== "not a step undefined"
        const did = again.ran.filter(isStep).toSorted()
        expect([where, did]).toEqual([where, restOf(ran, entries).filter(isStep).toSorted()])
        const inOrder = (list: ReadonlyArray<string>) => isSequential ? list : list.toSorted()
        const written = keptOf(get(Runs.journal("n")).entries)
        expect([where, inOrder(written)]).toEqual([where, inOrder(source)])
      }
    }
  })

  it("gives a hook the checkpoint that the journal gives afterwards", () => {
    const { called, hooked, journals } = original(given)
    for (const { runId, stepId, text } of hooked) {
      const { createdAt: _, ...heard } = read(text)
      const later = called.find((one) => one.stepId === stepId && one.runId === runId)!
      const { createdAt: __, ...asked } = read(later.text)
      expect([stepId, heard]).toEqual([stepId, asked])
      const { entries } = journals.get(runId)!
      const outcome = entries.findIndex((entry) => entry.type === "step" && entry.stepId === stepId)
      expect([stepId, heard.offset]).toEqual([stepId, outcome + 1])
      expect(heard.stepId).toBe(stepId)
    }
  })

  it("can be taken of a run that came from one, and is the same", () => {
    const { hooked } = original(given)
    const [first] = hooked
    const again: Array<string> = []
    const hooks = {
      onStepComplete: ({ checkpoint }: Workflow.StepCompleted) => void again.push(checkpoint)
    }
    const workflow = make(() => {})
    const get = fresh(latest(read(first!.text).entries))
    const begun = workflow.runCheckpoint(first!.text, { runId: "n", ...hooks })
    get(toEnd(workflow, begun, answer, hooks))
    const contents = (text: string) => {
      const { entries } = read(text)
      return entries.map(({ entry }) =>
        JSON.stringify(entry, (key, value: unknown) => key === "childId" ? undefined : value)
      )
    }
    const expected = hooked.slice(1).map(({ text }) => contents(text))
    // What runs beside each other is begun anew, and may come in another order.
    const comparable = (list: ReadonlyArray<ReadonlyArray<string>>) =>
      isSequential ? list : list.at(-1)!.toSorted()
    expect(comparable(again.map(contents))).toEqual(comparable(expected))
    expect(read(again.at(-1)!).runId).not.toBe(first!.runId)
  })

  it("survives a process that dies at every write of the run from a checkpoint", () => {
    const { hooked, result } = original(given)
    const middle = hooked[hooked.length >> 1]!
    const workflow = make(() => {})
    let n = 0
    const begun = Effect.suspend(() =>
      ++n % 2 === 1
        ? workflow.runCheckpoint(middle.text, { runId: "n" })
        : workflow.runCheckpoint({ checkpoint: middle.text, runId: "n" })
    )
    const writes = everywhere([toEnd(workflow, begun, answer)], 0, ({ get, value }) => {
      const end = endOf(value as AnyResult) as { readonly result?: unknown }
      // Its clock is another one, so what it gives may be.
      expect(end).toMatchObject({ status: result.status })
      expect(workflow.replay(get(Runs.journal("n")))._tag).toMatch(/^(Returned|Threw|Blocked)$/)
      const steps = get(entriesOf("n")).flatMap((entry) =>
        entry.type === "step" ? [entry.stepId] : []
      )
      expect(new Set(steps).size).toBe(steps.length)
    })
    expect(writes).toBeGreaterThanOrEqual(1)
  })
})

/** Three steps, of which the names and the order can be changed. */
const three = (
  names: ReadonlyArray<string> = ["a", "b", "c"],
  { ran = [], ...options }: { readonly ran?: Array<string>; readonly version?: string } = {}
) =>
  Workflow.make("three", options, function*(ctx) {
    const out: Array<string> = []
    for (const name of names) {
      out.push(
        yield* ctx.step(name, () => {
          ran.push(name)
          return name.toUpperCase()
        })
      )
    }
    return out.join("")
  })

/** The checkpoint behind a step of a run on another storage. */
const checkpointOf = (workflow: AnyWorkflow, after: string, input?: unknown) =>
  run(Effect.andThen(
    workflow.start(input, { runId: "r" }) as Effect.Effect<AnyResult, unknown, Storage.Storage>,
    workflow.checkpoint("r", { after })
  ))

const idsOf = Effect.map(Runs.list(), ({ runs }) => runs.map(({ runId }) => runId))

/** A call that is refused, on an empty storage that stays empty. */
const refused = <A>(call: Effect.Effect<A, unknown, Storage.Storage>) =>
  run(Effect.gen(function*() {
    const error = yield* failureOf(call)
    expect(yield* idsOf).toEqual([])
    return error
  }))

const rejectedFor = <A>(call: Effect.Effect<A, unknown, Storage.Storage>) => {
  const error = refused(call)
  expect(error).toBeInstanceOf(Checkpoint.CheckpointRejected)
  return error as Checkpoint.CheckpointRejected
}

describe("a run from a checkpoint", () => {
  const text = checkpointOf(three(), "a")

  it("has an id of its own, says where it comes from, and keeps the times of what it was given", () => {
    run(Effect.gen(function*() {
      const result = yield* three().runCheckpoint(text)
      expect(result).toMatchObject({ status: "success", result: "ABC" })
      expect(result.runId).not.toBe("r")
      const { runId } = result
      const [first, ...entries] = yield* entriesOf(runId)
      const { entries: kept, seed, timestamp } = read(text)
      expect(first).toMatchObject({
        type: "start",
        workflow: "three",
        runId,
        seed,
        timestamp,
        source: { runId: "r", offset: 2, copied: 1 }
      })
      expect(kept.length).toBe(1)
      expect(entries[0]).toMatchObject({ ...kept[0]!.entry, timestamp: kept[0]!.timestamp })
      expect(yield* Runs.status(runId))
        .toMatchObject({ status: "success", source: { runId: "r", offset: 2 } })
    }))
  })

  it("begins with one append that has all that it was given", () => {
    const driver = Storage.memoryDriver()
    const appends: Array<number> = []
    const storage = Storage.make({
      ...driver,
      writer: (runId) =>
        Effect.map(driver.writer(runId), (writer) => ({
          append: (at, lines, row) => {
            appends.push(lines.length)
            return writer.append(at, lines, row)
          }
        }))
    })
    const behindB = checkpointOf(three(), "b")
    run(Effect.provideService(
      Effect.asVoid(three().runCheckpoint(behindB, { runId: "n" })),
      Storage.Storage,
      storage
    ))
    expect(appends[0]).toBe(3)
  })

  it("is attached to by the same checkpoint and the same id, and does nothing again", () => {
    const ran: Array<string> = []
    run(Effect.gen(function*() {
      const workflow = three(undefined, { ran })
      const first = yield* workflow.runCheckpoint(text, { runId: "n" })
      const entries = yield* entriesOf("n")
      expect(yield* workflow.runCheckpoint(text, { runId: "n" })).toEqual(first)
      expect(yield* workflow.runCheckpoint({ checkpoint: text, runId: "n" })).toEqual(first)
      expect(yield* workflow.start(undefined, { runId: "n" })).toEqual(first)
      expect(yield* workflow.resume("n")).toEqual(first)
      expect(yield* entriesOf("n")).toEqual(entries)
      expect(ran).toEqual(["b", "c"])
    }))
  })

  it("is another one for every id that is not given", () => {
    run(Effect.gen(function*() {
      yield* three().runCheckpoint(text)
      yield* three().runCheckpoint(text)
      expect(new Set(yield* idsOf).size).toBe(2)
    }))
  })

  it("is not begun under an id that has another source, another input, or none", () => {
    const ran: Array<string> = []
    run(Effect.gen(function*() {
      const workflow = three(undefined, { ran })
      yield* workflow.runCheckpoint(text, { runId: "n" })
      yield* workflow.start(undefined, { runId: "plain" })
      const before = [yield* entriesOf("n"), yield* entriesOf("plain")]
      ran.length = 0
      const other = checkpointOf(three(), "b")
      const differs = yield* failureOf(workflow.runCheckpoint(other, { runId: "n" }))
      expect(differs).toBeInstanceOf(Runs.RunExists)
      expect(differs).toMatchObject({
        runId: "n",
        differs: "source",
        seen: expect.stringContaining("3"),
        recorded: expect.stringContaining("2")
      })
      expect(yield* failureOf(workflow.runCheckpoint(text, { runId: "plain" })))
        .toMatchObject({ _tag: "RunExists", differs: "source", recorded: "none" })
      const withInput = Workflow.make("three", function*(ctx, _: number) {
        return yield* ctx.step("a", () => "A")
      })
      expect(
        yield* failureOf(
          withInput.runCheckpoint(checkpointOf(withInput, "a", 5), { runId: "plain" })
        )
      ).toMatchObject({ _tag: "RunExists", differs: "input" })
      expect([yield* entriesOf("n"), yield* entriesOf("plain")]).toEqual(before)
      expect(ran).toEqual([])
    }))
  })

  it("is refused an id that is none, and nothing is written", () => {
    for (const runId of ["", "a/b", "\\", "ä", "x".repeat(201), "\n"]) {
      expect(refused(three().runCheckpoint(text, { runId })))
        .toMatchObject({ _tag: "RunIdRejected" })
    }
  })

  it("tells only what it does itself as done, and the rest as skipped", () => {
    run(Effect.gen(function*() {
      const heard: Array<string> = []
      yield* three().runCheckpoint({
        checkpoint: text,
        onStepComplete: ({ stepId }) => void heard.push(`did ${stepId}`),
        onStepSkipped: ({ reason, stepId }) => void heard.push(`${reason} ${stepId}`)
      })
      expect(heard).toEqual(["replayed a", "did b", "did c"])
    }))
  })

  it("of a workflow with a default id gets a new one, as the source has that", () => {
    const named = Workflow.make("named", { runId: () => "always" }, function*(ctx) {
      yield* ctx.step("a", () => 1)
      return yield* ctx.step("b", () => 2)
    })
    run(Effect.gen(function*() {
      yield* named.start(undefined)
      const text = yield* named.checkpoint("always", { after: "a" })
      const result = yield* named.runCheckpoint(text)
      expect(result).toMatchObject({ status: "success", result: 2 })
      expect(result.runId).not.toBe("always")
    }))
  })

  it("has idempotency keys of its own for what it does", () => {
    const keys: Array<string> = []
    const paying = Workflow.make("paying", function*(ctx) {
      yield* ctx.step("a", () => 1)
      yield* ctx.step("pay", ({ idempotencyKey }) => void keys.push(idempotencyKey))
    })
    run(Effect.gen(function*() {
      yield* paying.start(undefined, { runId: "r" })
      const text = yield* paying.checkpoint("r", { after: "a" })
      yield* paying.runCheckpoint(text, { runId: "n1" })
      yield* paying.runCheckpoint(text, { runId: "n2" })
      yield* Runs.remove("r")
      yield* paying.runCheckpoint(text, { runId: "r" })
      expect(new Set(keys).size).toBe(4)
    }))
  })

  it("can be stopped by a hook, and go on from there, and from its own checkpoint", () => {
    run(Effect.gen(function*() {
      const workflow = three()
      const stopped = yield* workflow.runCheckpoint({
        checkpoint: text,
        runId: "n",
        onStepComplete: ({ stop }) => stop()
      })
      expect(stopped).toEqual({
        status: "stopped",
        stepId: "b",
        context: { a: "A", b: "B" },
        runId: "n"
      })
      expect(yield* workflow.runCheckpoint(text, { runId: "n" })).toEqual(stopped)
      const later = yield* workflow.checkpoint("n")
      expect(yield* workflow.contextOf(later)).toEqual({ a: "A", b: "B" })
      expect(yield* workflow.runCheckpoint(later, { runId: "m" }))
        .toMatchObject({ status: "success", result: "ABC" })
      expect(yield* workflow.resume("n")).toMatchObject({ status: "success", result: "ABC" })
    }))
  })

  it("goes on as durably as the call says", () => {
    run(Effect.gen(function*() {
      yield* three().runCheckpoint(text, { runId: "n", durability: "exit" })
      expect((yield* entriesOf("n"))[0]).toMatchObject({ type: "start", durability: "exit" })
      yield* three().runCheckpoint(text, { runId: "m" })
      expect((yield* entriesOf("m"))[0]).not.toHaveProperty("durability")
    }))
  })
})

describe("a checkpoint is refused, and nothing is run or written,", () => {
  const ran: Array<string> = []
  const text = checkpointOf(three(), "b")

  it("by a workflow of another name", () => {
    const other = Workflow.make("other", function*(ctx) {
      return yield* ctx.step("a", () => void ran.push("a"))
    })
    const rejected = rejectedFor(other.runCheckpoint(text))
    expect(rejected.reason).toBe("OtherWorkflow")
    expect(rejected.message).toContain("\"three\"")
    expect(rejected.message).toContain("\"other\"")
    expect(rejectedFor(other.contextOf(text)).reason).toBe("OtherWorkflow")
    expect(ran).toEqual([])
  })

  it("when the steps that it has are others now", () => {
    const changed: ReadonlyArray<ReadonlyArray<string>> = [
      ["A", "b", "c"],
      ["a", "B", "c"],
      ["b", "c"],
      ["a", "c"],
      ["new", "a", "b", "c"],
      ["a", "new", "b", "c"],
      ["b", "a", "c"],
      ["a"],
      []
    ]
    for (const names of changed) {
      const { message, reason } = rejectedFor(three(names, { ran }).runCheckpoint(text))
      expect([names, reason]).toEqual([names, "ChangedDefinition"])
      expect(message).toMatch(/"(a|b)"/)
    }
    expect(ran).toEqual([])
    for (const names of [["a", "b"], ["a", "b", "new", "c"], ["a", "b", "C"]]) {
      run(Effect.gen(function*() {
        expect((yield* three(names, { ran }).runCheckpoint(text)).status).toBe("success")
      }))
    }
  })

  it("when a step has become something else, or a branch is gone", () => {
    const before = Workflow.make("w", { events: { go: Schema.Json } }, function*(ctx) {
      yield* ctx.all({ x: ctx.step("s", () => 1), y: ctx.step("t", () => 1) })
      yield* ctx.step("u", () => 1)
    })
    const text = checkpointOf(before, "u")
    const bodies = [
      Workflow.make("w", { events: { go: Schema.Json } }, function*(ctx) {
        yield* ctx.all({ x: ctx.step("s", () => 1) })
        yield* ctx.step("u", () => 1)
      }),
      Workflow.make("w", { events: { go: Schema.Json } }, function*(ctx) {
        yield* ctx.all({ x: ctx.step("s", () => 1), y: ctx.sleep("1 hour") })
        yield* ctx.step("u", () => 1)
      }),
      Workflow.make("w", { events: { go: Schema.Json } }, function*(ctx) {
        yield* ctx.all({ x: ctx.step("s", () => 1), y: ctx.step("t", () => 1) })
        yield* ctx.suspend("go")
      }),
      Workflow.make("w", { events: { go: Schema.Json } }, function*(ctx) {
        yield* ctx.step("s", () => 1)
        yield* ctx.step("t", () => 1)
        yield* ctx.step("u", () => 1)
      })
    ]
    for (const workflow of bodies) {
      expect(rejectedFor(workflow.runCheckpoint(text)).reason).toBe("ChangedDefinition")
    }
  })

  it("when a schema no longer takes what a step gave, or the input", () => {
    const step = (schema: Schema.Top) =>
      Workflow.make("schemas", function*(ctx) {
        return yield* ctx.step("a", () => 1 as never, { schema: schema as never })
      }) as unknown as AnyWorkflow
    const text = checkpointOf(step(Schema.Number), "a")
    expect(rejectedFor(step(Schema.String).runCheckpoint(text)).reason).toBe("ChangedDefinition")
    const input = (schema: Schema.Top) =>
      Workflow.make("inputs", { input: schema }, function*(ctx) {
        return yield* ctx.step("a", () => 1)
      }) as unknown as AnyWorkflow
    const other = checkpointOf(input(Schema.Number), "a", 5)
    expect(rejectedFor(input(Schema.String).runCheckpoint(other)).reason).toBe("ChangedDefinition")
  })

  it("when the body breaks before it comes to the checkpoint", () => {
    const broken = Workflow.make("three", function*(ctx) {
      yield* ctx.step("a", () => "A")
      throw new TypeError("a bug")
    })
    const error = refused(broken.runCheckpoint(text))
    expect((error as { _tag: string })._tag).toMatch(/^(BodyDefect|CheckpointRejected)$/)
    const early = Workflow.make("three", function*(ctx) {
      if (String(1) === "1") throw new TypeError("a bug")
      yield* ctx.step("a", () => "A")
    })
    expect((refused(early.runCheckpoint(text)) as { _tag: string })._tag)
      .toMatch(/^(BodyDefect|CheckpointRejected)$/)
  })

  it("when its version is not here, and is taken by the body of its own version", () => {
    const one = three(["a", "b"], { version: "1" })
    const two = three(["x", "y"], { version: "2" })
    const text = checkpointOf(one, "a")
    const both = Workflow.make("three", { version: "2", previous: [one] }, function*(ctx) {
      return yield* ctx.step("x", () => "X")
    })
    const rejected = rejectedFor(two.runCheckpoint(text))
    expect(rejected.reason).toBe("OtherVersion")
    expect(rejected.saw).toContain("1")
    run(Effect.gen(function*() {
      expect(yield* both.runCheckpoint(text, { runId: "n" }))
        .toMatchObject({ status: "success", result: "AB" })
      expect((yield* entriesOf("n"))[0]).toMatchObject({ version: "1" })
      expect(yield* both.contextOf(text)).toEqual({ a: "A" })
      // What is not a checkpoint's takes the newest.
      expect(yield* both.start(undefined, { runId: "m" })).toMatchObject({ result: "X" })
    }))
  })

  it("when the text is damaged, cut, or none", () => {
    const bad: ReadonlyArray<readonly [unknown, string]> = [
      [text.slice(0, -1), "Truncated"],
      [`${text}x`, "Changed"],
      ["", "NotACheckpoint"],
      [undefined, "NotACheckpoint"],
      [null, "NotACheckpoint"],
      [{}, "NotACheckpoint"],
      [{ checkpoint: undefined }, "NotACheckpoint"],
      [{ checkpoint: text.replace(/^rcp1/, "rcp2") }, "Newer"]
    ]
    for (const [given, reason] of bad) {
      const call = Effect.suspend(() => three(undefined, { ran }).runCheckpoint(given as string))
      expect([given, rejectedFor(call).reason]).toEqual([given, reason])
    }
    expect(rejectedFor(three().contextOf("hello")).reason).toBe("NotACheckpoint")
  })
})

describe("an override of a checkpoint", () => {
  class No extends Schema.TaggedError<No>()("No", { n: Schema.Number }) {}
  const make = (ran: Array<string> = []) =>
    Workflow.make("over", function*(ctx) {
      const say = <A>(name: string, value: A) => () => {
        ran.push(name)
        return value
      }
      const at = yield* ctx.step("at", say("at", new Date(5)), { schema: Schema.Date })
      const a = yield* ctx.step("a", say("a", 1))
      const twice = [
        yield* ctx.step("twice", say("twice", 1)),
        yield* ctx.step("twice", say("twice", 2))
      ]
      const both = yield* ctx.all([ctx.step("in", say("in", "x"))])
      const failed = yield* Instruction.result(
        ctx.step("fails", () => Effect.fail(new No({ n: 1 })), { error: No, schema: Schema.String })
      )
      yield* ctx.step("last", say("last", null))
      return [at.getTime(), a, ...twice, ...both, failed._tag === "Success" ? failed.success : "no"]
    })
  const text = checkpointOf(make(), "last")
  type Over = Readonly<Record<string, unknown>>
  const go = (override: Over, alias: "override" | "overrideData" = "override") =>
    make().runCheckpoint({ checkpoint: text, runId: "n", [alias]: override } as never)
  const resultOf = (override: Over, alias?: "override" | "overrideData") =>
    run(
      Effect.map(go(override, alias), (result) =>
        result.status === "success" ? result.result : result.status)
    )

  it("replaces what a step gave, by its name, its id, or the older name of the option", () => {
    expect(resultOf({})).toEqual([5, 1, 1, 2, "x", "no"])
    expect(resultOf({ a: 7 })).toEqual([5, 7, 1, 2, "x", "no"])
    expect(resultOf({ a: 7 }, "overrideData")).toEqual([5, 7, 1, 2, "x", "no"])
    expect(resultOf({ at: new Date(9), in: "y" })).toEqual([9, 1, 1, 2, "y", "no"])
    expect(resultOf({ "all[0]/in": "z" })).toEqual([5, 1, 1, 2, "z", "no"])
    expect(resultOf({ "twice#2": 22, twice: 11 })).toEqual([5, 1, 11, 22, "x", "no"])
    expect(resultOf({ fails: "does not" })).toEqual([5, 1, 1, 2, "x", "does not"])
    expect(resultOf({ last: undefined })).toEqual([5, 1, 1, 2, "x", "no"])
    expect(resultOf({ a: null })).toEqual([5, null, 1, 2, "x", "no"])
  })

  it("runs none of the steps that it is about, and stands in the new run only", () => {
    const ran: Array<string> = []
    run(Effect.gen(function*() {
      yield* make().start(undefined, { runId: "r" })
      const before = yield* entriesOf("r")
      const text = yield* make().checkpoint("r", { after: "a" })
      yield* make(ran).runCheckpoint({ checkpoint: text, override: { a: 5 }, runId: "n" })
      expect(ran).toEqual(["twice", "twice", "in", "last"])
      expect(yield* entriesOf("r")).toEqual(before)
      const a = (yield* entriesOf("n")).find((entry) => entry.type === "step" && entry.name === "a")
      expect(a).toMatchObject({ result: 5, stepId: "a" })
      // The same text gives what it gave, without an override.
      const plain = yield* make().runCheckpoint(text, { runId: "m" })
      expect(plain).toMatchObject({ result: [5, 1, 1, 2, "x", "no"] })
    }))
  })

  it("of a failed step leaves nothing of its error in the journal", () => {
    run(Effect.gen(function*() {
      yield* go({ fails: "fine" })
      const step = (yield* entriesOf("n")).find((entry) =>
        entry.type === "step" && entry.name === "fails"
      )
      expect(step).toMatchObject({ result: "fine" })
      expect(step).not.toHaveProperty("error")
      expect(step).not.toHaveProperty("declared")
    }))
  })

  it("of a step that it does not have is refused", () => {
    for (const name of ["", "nobody", "A", "twice#3", "__proto__x", "toString", "in[0]"]) {
      const { reason, saw } = rejectedFor(go({ [name]: 1 }))
      expect([name, reason]).toEqual([name, "UnknownStep"])
      expect(saw).toContain(`"${name}"`)
      expect(saw).toContain("\"all[0]/in\"")
    }
    const early = checkpointOf(make(), "at")
    expect(
      rejectedFor(make().runCheckpoint({ checkpoint: early, override: { a: 1 } })).reason
    ).toBe("UnknownStep")
  })

  it("of a name that several steps have, none of them as its id, is refused", () => {
    const fan = Workflow.make("fan", function*(ctx) {
      return yield* ctx.forEach(["x", "y"], (item) => ctx.step("do", () => item), { key: (x) => x })
    })
    const text = checkpointOf(fan, "each[y]/do")
    const { reason, saw } = rejectedFor(
      fan.runCheckpoint({ checkpoint: text, override: { do: "z" } })
    )
    expect(reason).toBe("UnknownStep")
    expect(saw).toContain("each[x]/do")
    run(Effect.gen(function*() {
      const override = { "each[x]/do": "X" } as {}
      expect(yield* fan.runCheckpoint({ checkpoint: text, override }))
        .toMatchObject({ result: ["X", "y"] })
    }))
  })

  it("with a value that the step could not have given is refused", () => {
    const loop: Record<string, unknown> = {}
    loop.self = loop
    const bad: ReadonlyArray<Over> = [
      { at: "no date" },
      { at: 5 },
      { at: null },
      { at: new Date(NaN) },
      { fails: 5 },
      { a: () => 1 },
      { a: NaN },
      { a: Infinity },
      { a: 1n },
      { a: Symbol("x") },
      { a: new Map() },
      { a: [undefined] },
      { a: loop },
      { a: { b: { c: -0 } } },
      // One that is fine does not save the other.
      { a: 1, at: "no date" }
    ]
    for (const override of bad) {
      const { reason } = rejectedFor(go(override))
      expect([Object.keys(override), String(Object.values(override)[0]), reason])
        .toEqual([Object.keys(override), String(Object.values(override)[0]), "OverrideRejected"])
    }
  })

  it("with which the code takes another way than what stands behind it is refused", () => {
    const choosing = Workflow.make("choosing", function*(ctx) {
      const way = yield* ctx.step("way", () => "left")
      const went = yield* ctx.step(way, () => `went ${way}`)
      return [went, yield* ctx.step("end", () => 1)]
    })
    const behindWay = checkpointOf(choosing, "way")
    const behindLeft = checkpointOf(choosing, "left")
    const override = { way: "right" }
    expect(rejectedFor(choosing.runCheckpoint({ checkpoint: behindLeft, override })))
      .toMatchObject({ reason: "ChangedDefinition", saw: expect.stringContaining("\"left\"") })
    run(Effect.gen(function*() {
      expect(yield* choosing.runCheckpoint({ checkpoint: behindWay, override }))
        .toMatchObject({ result: ["went right", 1] })
    }))
  })

  it("is not changed by what the caller or the body does to the value afterwards", () => {
    const list = Workflow.make("list", { events: { go: Schema.Json } }, function*(ctx) {
      const list = yield* ctx.step("list", (): Array<number> => [1])
      list.push(2)
      yield* ctx.suspend("go")
      return list
    })
    const checkpoint = checkpointOf(list, "list")
    run(Effect.gen(function*() {
      const given = [5]
      yield* list.runCheckpoint({ checkpoint, override: { list: given }, runId: "n" })
      expect(given).toEqual([5])
      given.push(6)
      expect(yield* list.resume("n", { eventName: "go", value: 1 })).toMatchObject({
        result: [5, 2]
      })
    }))
  })
})

describe("which checkpoint is made", () => {
  it("is the one behind the last outcome, without a step", () => {
    run(Effect.gen(function*() {
      yield* three().start(undefined, { runId: "r" })
      expect(read(yield* three().checkpoint("r"))).toMatchObject({ stepId: "c", offset: 4 })
      expect(read(yield* three().checkpoint("r", { after: "a" })))
        .toMatchObject({ stepId: "a", stepName: "a", offset: 2, output: { a: "A" } })
    }))
  })

  it("is none of a step that there is not, of a run that there is not, or of another workflow's", () => {
    run(Effect.gen(function*() {
      yield* three().start(undefined, { runId: "r" })
      const error = yield* failureOf(three().checkpoint("r", { after: "d" }))
      expect(error).toBeInstanceOf(Workflow.StepNotFound)
      expect(error).toMatchObject({ runId: "r", step: "d", allowed: ["a", "b", "c"] })
      expect(yield* failureOf(three().checkpoint("x"))).toBeInstanceOf(Runs.RunNotFound)
      const other = Workflow.make("other", function*() {})
      expect(yield* failureOf(other.checkpoint("r")))
        .toMatchObject({ _tag: "RunExists", differs: "workflow" })
      yield* three().enqueue(undefined, { runId: "q" })
      expect(yield* failureOf(three().checkpoint("q")))
        .toMatchObject({ _tag: "StepNotFound", allowed: [] })
    }))
  })

  it("is none of a step that is not over", () => {
    const waits = Workflow.make("waits", { events: { go: Schema.Json } }, function*(ctx) {
      yield* ctx.step("a", () => 1)
      yield* ctx.all([
        ctx.suspend("go"),
        ctx.step("later", () => Effect.fail(new Error("no")), {
          retry: Schedule.spaced("1 hour")
        })
      ])
    })
    run(Effect.gen(function*() {
      yield* waits.start(undefined, { runId: "r" })
      for (const after of ["all[0]/go", "all[1]/later", "later"]) {
        expect(yield* failureOf(waits.checkpoint("r", { after })))
          .toMatchObject({ _tag: "StepNotFound", step: after, allowed: ["a"] })
      }
    }))
  })

  it("shows what a step called __proto__ gave, as what any other gave", () => {
    const odd = Workflow.make("odd", function*(ctx) {
      yield* ctx.step("__proto__", () => ({ polluted: true }))
      return yield* ctx.step("constructor", () => 1)
    })
    run(Effect.gen(function*() {
      const contexts: Array<object> = []
      yield* odd.start(undefined, {
        runId: "r",
        onStepComplete: ({ context }) => void contexts.push(context)
      })
      const text = yield* odd.checkpoint("r")
      contexts.push(yield* odd.contextOf(text), read(text).output)
      for (const context of contexts.slice(1)) {
        expect(Object.entries(context)).toEqual([
          ["__proto__", { polluted: true }],
          ["constructor", 1]
        ])
        expect("polluted" in context).toBe(false)
      }
    }))
  })

  it("has nothing of what only told how far an owner had come", () => {
    let tries = 0
    const all = Workflow.make("all", { events: { go: Schema.Json } }, function*(ctx) {
      yield* ctx.step("once", () => 1, { delivery: "at-most-once" })
      yield* ctx.step("later", () => {
        if (++tries < 3) throw new Error("no")
      }, { retry: { schedule: Schedule.spaced("1 hour"), times: 9 } })
      yield* ctx.suspend("go")
      return yield* ctx.step("last", () => 1)
    })
    run(Effect.gen(function*() {
      let result = yield* all.start(undefined, { runId: "r" })
      while (result.status === "suspended" && result.wakeAt !== undefined) {
        yield* Effect.sleep("1 hour")
        result = yield* all.resume("r")
      }
      yield* all.resume("r", { eventName: "go", value: 1 })
      const types = (yield* entriesOf("r")).map(({ type }) => type)
      expect(types).toContain("intent")
      expect(types).toContain("retry")
      expect(types).toContain("suspend")
      const kept = read(yield* all.checkpoint("r")).entries.map(({ entry }) => entry.type)
      expect(kept).toEqual(["step", "step", "resume", "step"])
    }))
  })
})

describe("in another process", () => {
  const repository = fileURLToPath(new URL("../..", import.meta.url))
  const order = join(repository, "test/processes/support/order.ts")

  /** A program that makes checkpoints of the order, or goes on from one, and prints what it came to. */
  const program = `
    import { Effect, Layer } from "effect"
    import { NodeCheckpointKeys, NodeLocalStorage } from "reprise/node"
    import { approval, input, makeOrder } from ${JSON.stringify(order)}
    const [directory, how, text] = process.argv.slice(1)
    const ran = []
    const order = makeOrder((step) => ran.push(step), Effect.sleep(1))
    const keys = how === "plain" ? Layer.empty : NodeCheckpointKeys.layer({
      how,
      keys: [{ id: "k", secret: "k".repeat(32) }]
    })
    const texts = {}
    const hooks = { onStepComplete: (event) => { texts[event.stepId] = event.checkpoint } }
    const main = Effect.gen(function*() {
      let result = text === undefined
        ? yield* order.start(input, { runId: "r", ...hooks })
        : yield* order.runCheckpoint({ checkpoint: text, ...hooks })
      if (result.status === "suspended") result = yield* order.resume(result.runId, approval, hooks)
      return { status: result.status, result: result.result, ran, texts }
    })
    console.log(JSON.stringify(await Effect.runPromise(main.pipe(
      Effect.provide(NodeLocalStorage.layer(directory)),
      Effect.provide(keys)
    ))))
  `

  interface Printed {
    readonly status: string
    readonly result: unknown
    readonly ran: ReadonlyArray<string>
    readonly texts: Readonly<Record<string, string>>
  }

  const start = async (how: string, text?: string): Promise<Printed> => {
    const args = ["--conditions=reprise-source", "--input-type=module", "-e", program, "--"]
    const child = spawn(
      process.execPath,
      [...args, join(temporary(), "runs"), how, ...(text === undefined ? [] : [text])],
      { cwd: repository, stdio: ["ignore", "pipe", "pipe"] }
    )
    let out = "", errors = ""
    child.stdout.on("data", (data) => out += String(data))
    child.stderr.on("data", (data) => errors += String(data))
    const [code] = await once(child, "close") as [number | null]
    if (code !== 0) throw new Error(errors)
    return JSON.parse(out) as Printed
  }

  it(
    "and on files that never saw the run, it comes to the same end, plain, signed and encrypted",
    async () => {
      for (const how of ["plain", "sign", "encrypt"]) {
        const first = await start(how)
        expect(first.status).toBe("success")
        const ids = Object.keys(first.texts)
        expect(ids.length).toBe(12)
        const chosen = {
          plain: ["reserve", "all[credit]/score", "each[tea]/pack", "charge"],
          sign: ["race[courier]/courier"],
          encrypt: ["each[jam]/pack"]
        }[how]!
        for (const stepId of chosen) {
          const next = await start(how, first.texts[stepId])
          expect([stepId, next.status, next.result]).toEqual([stepId, "success", first.result])
          const done = isRestOf(how, first.texts[stepId]!, first.ran.length, next.ran.length)
          expect([stepId, done]).toEqual([stepId, true])
          expect(first.ran).toEqual(expect.arrayContaining([...next.ran]))
          expect(new Set(next.ran).size).toBe(next.ran.length)
        }
      }
    },
    60_000
  )

  /** How many steps are left, where the checkpoint can be read here. */
  const isRestOf = (how: string, text: string, all: number, left: number) => {
    if (how !== "plain") return left < all
    const done = read(text).entries.filter(({ entry }) => entry.type === "step").length
    return done + left === all
  }
})
