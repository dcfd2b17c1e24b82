/**
 * Runs that talk: messages to other runs, progress that is published, and tokens for links.
 */
import { Deferred, Effect, Fiber, Logger, Result, Schema, Stream } from "effect"
import { Instruction, Runs, Workflow } from "reprise"
import { describe, expect, it } from "vitest"
import { type Fate, type Plan } from "../support/faults.ts"
import { entriesOf, everywhere, failureOf, run, storyOf, together } from "../support/together.ts"

/** What a program logs. */
const logged = <A, E, R>(program: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const lines: Array<string> = []
    const logger = Logger.make(({ logLevel, message }) => {
      lines.push(`${logLevel} ${String(message)}`)
    })
    yield* Effect.provide(program, Logger.layer([logger]))
    return lines
  })

const mailbox = Workflow.make(
  "mailbox",
  { events: { mail: Schema.Struct({ text: Schema.String }), stop: Schema.Void } },
  function*(ctx) {
    const got = [(yield* ctx.suspend("mail")).text]
    yield* ctx.suspend("stop")
    return got
  }
)

describe("send", () => {
  const sender = Workflow.make("sender", function*(ctx) {
    yield* ctx.step("first", () => 1)
    yield* ctx.send(mailbox, "box", { eventName: "mail", value: { text: "hello" } })
    return yield* ctx.step("last", () => 2)
  })
  const mails = Effect.map(
    entriesOf("box"),
    (entries) =>
      entries.flatMap((entry) => entry.type === "resume" || entry.type === "event" ? [entry] : [])
  )

  it("delivers to a run and waits for nothing it does", () => {
    run(Effect.gen(function*() {
      yield* mailbox.start(undefined, { runId: "box" })
      expect(yield* sender.execute(undefined, { runId: "s" })).toBe(2)
      expect(yield* storyOf("s")).toEqual(["step first", "step send", "step last", "complete"])
      expect(yield* Runs.due()).toEqual(["box"])
      yield* mailbox.resume("box")
      expect(yield* mails).toMatchObject([{ eventName: "mail", value: { text: "hello" } }])
      expect(sender.replay(yield* Runs.journal("s"))._tag).toBe("Returned")
    }))
  })

  it("delivers once, at whichever write the process dies", () => {
    const program = Effect.gen(function*() {
      yield* mailbox.start(undefined, { runId: "box" })
      yield* sender.execute(undefined, { runId: "s" })
      return (yield* mailbox.resume("box")).status
    })
    everywhere([program], 0, ({ get, value }) => {
      expect(value).toBe("suspended")
      expect(get(mails)).toHaveLength(1)
      expect(get(mailbox.resume("box", { eventName: "stop" })))
        .toMatchObject({ status: "success", result: ["hello"] })
    })
  })

  it("delivers once when the storage does not answer, and is tried again", () => {
    const fates: Array<Fate> = []
    const plan: Plan = ({ verb }) => {
      if (verb !== "post") return "done"
      fates.push(
        fates.length < 3 ? (["lost", "unanswered", "unanswered"] as const)[fates.length]! : "done"
      )
      return fates.at(-1)!
    }
    const program = Effect.gen(function*() {
      yield* mailbox.start(undefined, { runId: "box" })
      yield* sender.execute(undefined, { runId: "s" })
      return (yield* mailbox.resume("box")).status
    })
    const { get, value } = together([program], [plan])
    expect(fates).toEqual(["lost", "unanswered", "unanswered", "done"])
    expect(value).toBe("suspended")
    expect(get(mails)).toHaveLength(1)
  })

  it("gives two sends an id each, and one id of the caller's own to a message that is repeated", () => {
    const twice = Workflow.make("twice", function*(ctx) {
      for (let k = 0; k < 2; k++) {
        yield* ctx.send(mailbox, "box", { eventName: "mail", value: { text: `m${k}` } })
      }
      for (let k = 0; k < 2; k++) {
        yield* ctx.send(mailbox, "box", {
          eventName: "mail",
          value: { text: "own" },
          eventId: "own"
        })
      }
    })
    run(Effect.gen(function*() {
      yield* mailbox.start(undefined, { runId: "box" })
      yield* twice.execute(undefined, { runId: "s" })
      yield* mailbox.resume("box")
      expect((yield* mails).map(({ value }) => value))
        .toEqual([{ text: "m0" }, { text: "m1" }, { text: "own" }])
    }))
  })

  it("fails with what the body can handle: no such run, a closed one, a wrong payload", () => {
    const handles = Workflow.make("handles", function*(ctx) {
      const heard: Array<string> = []
      for (const runId of ["nobody", "closed"]) {
        const sent = yield* Instruction.result(
          ctx.send(mailbox, runId, { eventName: "mail", value: { text: "a" } })
        )
        if (Result.isFailure(sent)) heard.push(sent.failure._tag)
      }
      const wrong = { eventName: "mail", value: { text: 5 } } as never
      yield* ctx.send(mailbox, "closed", wrong).pipe(
        Instruction.catchTag("EventRejected", ({ allowed }) => {
          heard.push(allowed.join())
          return ctx.step("note", () => 1)
        })
      )
      return heard
    })
    run(Effect.gen(function*() {
      yield* mailbox.start(undefined, { runId: "closed" })
      yield* mailbox.cancel("closed")
      expect(yield* handles.execute(undefined, { runId: "s" }))
        .toEqual(["RunNotFound", "RunClosed", "mail,stop"])
      expect(handles.replay(yield* Runs.journal("s"))._tag).toBe("Returned")
    }))
  })

  it("ends the run as failed, with the class, when nobody handles that nobody is there", () => {
    run(Effect.gen(function*() {
      const error = yield* failureOf(sender.execute(undefined, { runId: "s" }))
      expect(error).toMatchObject({ _tag: "RunNotFound", runId: "box" })
      expect(yield* storyOf("s")).toEqual(["step first", "step send", "error"])
      expect(sender.replay(yield* Runs.journal("s"))._tag).toBe("Threw")
    }))
  })

  it("to a run of another workflow is refused", () => {
    const other = Workflow.make("other", { events: { mail: Schema.Json } }, function*(ctx) {
      yield* ctx.suspend("mail")
    })
    run(Effect.gen(function*() {
      yield* other.start(undefined, { runId: "box" })
      expect((yield* sender.start(undefined, { runId: "s" })).status).toBe("failed")
      expect((yield* other.resume("box")).status).toBe("suspended")
    }))
  })

  it("reaches the sender itself", () => {
    const contract = Workflow.define("loop", {
      input: Schema.Void,
      output: Schema.Number,
      events: { me: Schema.Number }
    })
    const loop = contract.make(function*(ctx) {
      const runId = yield* ctx.runId
      yield* ctx.send(contract, runId, { eventName: "me", value: 7 })
      return yield* ctx.suspend("me")
    })
    everywhere([loop.execute(undefined, { runId: "s" })], 0, ({ get, value }) => {
      expect(value).toBe(7)
      expect(get(entriesOf("s")).filter(({ type }) => type === "resume" || type === "event").length)
        .toBeLessThanOrEqual(2)
    })
  })

  it("between a parent and its child, both ways", () => {
    const parentOf = Workflow.define("asking", {
      input: Schema.Void,
      output: Schema.String,
      events: { question: Schema.String }
    })
    const child = Workflow.make(
      "child",
      { input: Schema.String, output: Schema.String, events: { answer: Schema.String } },
      function*(ctx, parentId) {
        yield* ctx.send(parentOf, parentId, { eventName: "question", value: "why?" })
        return yield* ctx.suspend("answer")
      }
    )
    const parent = parentOf.make(function*(ctx) {
      const me = yield* ctx.runId
      const [said] = yield* ctx.all([
        ctx.child(child, me, { runId: "c" }),
        function*() {
          const question = yield* ctx.suspend("question")
          yield* ctx.send(child, "c", { eventName: "answer", value: `${question} so` })
        }
      ])
      return said
    })
    everywhere([parent.execute(undefined, { runId: "p" })], 0, ({ get, value }) => {
      expect(value).toBe("why? so")
      expect(parent.replay(get(Runs.journal("p")))._tag).toBe("Returned")
    })
  })
})

describe("publish", () => {
  const working = (gate: Deferred.Deferred<void>) =>
    Workflow.make(
      "working",
      { channels: { percent: Schema.Number, note: Schema.Struct({ at: Schema.Date }) } },
      function*(ctx) {
        yield* ctx.publish("percent", 0)
        yield* ctx.step("work", (step) =>
          Effect.gen(function*() {
            step.publish("percent", step.attempt * 10)
            if (step.attempt < 3) return yield* Effect.fail("again")
            step.publish("note", { at: new Date(5) })
            yield* Deferred.await(gate)
            return 1
          }), { retry: 5 })
      }
    )

  it("shows the latest value of a channel, with step and attempt, while the run is driven", () => {
    run(Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const workflow = working(gate)
      const fiber = yield* Effect.forkChild(workflow.start(undefined, { runId: "r" }))
      yield* Effect.sleep(100)
      const seen = yield* workflow.status("r")
      expect(seen).toMatchObject({
        status: "running",
        steps: { done: 0, running: 1, failed: 0 },
        progress: {
          percent: { value: 30, stepId: "work", attempt: 3 },
          note: { value: { at: new Date(5) }, stepId: "work", attempt: 3 }
        }
      })
      expect((yield* Runs.status("r")).progress["percent"])
        .toEqual({ value: 30, stepId: "work", attempt: 3 })
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(fiber)
      expect((yield* entriesOf("r")).map(({ type }) => type)).toEqual(["start", "step", "complete"])
      expect(yield* workflow.status("r"))
        .toMatchObject({
          status: "success",
          steps: { done: 1, running: 0, failed: 0 },
          progress: {}
        })
    }))
  })

  it("is in changes: every state has what was published last", () => {
    run(Effect.gen(function*() {
      const steps = Workflow.make("steps", { channels: { n: Schema.Number } }, function*(ctx) {
        yield* ctx.publish("n", 0)
        for (let k = 1; k <= 3; k++) {
          yield* ctx.step("s", (step) => {
            step.publish("n", k)
            return Effect.sleep(1_000)
          })
        }
      })
      yield* steps.enqueue(undefined, { runId: "r" })
      const watching = yield* Effect.forkChild(Stream.runCollect(steps.changes("r")))
      yield* Effect.sleep(10)
      yield* steps.resume("r")
      const seen = Array.from(yield* Fiber.join(watching))
      const values = seen.flatMap(({ progress: { n } }) =>
        n === undefined ? [] : [`${n.value} ${n.stepId ?? "body"} ${n.attempt ?? "-"}`]
      )
      expect(values.filter((value, k) => value !== values[k - 1]).slice(-3))
        .toEqual(["1 s 1", "2 s#2 1", "3 s#3 1"])
      expect(seen.at(-1)).toMatchObject({ status: "success", steps: { done: 3, running: 0 } })
    }))
  })

  it("of the body happens once: a replay says nothing again", () => {
    run(Effect.gen(function*() {
      const waits = Workflow.make(
        "waits",
        { channels: { n: Schema.Number }, events: { go: Schema.Void } },
        function*(ctx) {
          yield* ctx.publish("n", 1)
          yield* ctx.suspend("go")
          yield* ctx.step("hold", () => Effect.sleep("1 minute"))
          yield* ctx.publish("n", 2)
          yield* ctx.step("hold", () => Effect.sleep("1 minute"))
        }
      )
      yield* waits.start(undefined, { runId: "r" })
      expect((yield* waits.status("r")).progress).toEqual({})
      const fiber = yield* Effect.forkChild(waits.resume("r", { eventName: "go" }))
      yield* Effect.sleep("10 seconds")
      expect((yield* waits.status("r")).progress).toEqual({})
      yield* Effect.sleep("1 minute")
      expect((yield* waits.status("r")).progress).toEqual({ n: { value: 2 } })
      yield* Fiber.join(fiber)
    }))
  })

  it("on an undeclared channel, or of a wrong value, warns and shows nothing", () => {
    run(Effect.gen(function*() {
      const wrong = Workflow.make("wrong", { channels: { n: Schema.Number } }, function*(ctx) {
        yield* ctx.publish("m" as "n", 1)
        yield* ctx.publish("n", "text" as never)
        yield* ctx.step("s", (step) => {
          step.publish("toString" as "n", 1)
          return 1
        })
        return "fine"
      })
      const lines = yield* logged(Effect.gen(function*() {
        expect(yield* wrong.execute(undefined, { runId: "r" })).toBe("fine")
      }))
      expect(lines.length).toBe(3)
      expect(lines[0]).toContain(`no channel "m" is declared; there are: n`)
      expect(lines[1]).toContain(`channel "n"`)
      expect(lines[2]).toContain(`no channel "toString" is declared`)
      expect(lines.every((line) => line.startsWith("Warn"))).toBe(true)
    }))
  })

  it("without declared channels takes any JSON, through the free function, and warns of the rest", () => {
    run(Effect.gen(function*() {
      const free = Workflow.make("free", function*(ctx) {
        yield* Instruction.publish("any", { deep: [1] })
        yield* Instruction.publish("bad", new Map())
        yield* ctx.step("hold", () => Effect.sleep("1 minute"))
      })
      const lines = yield* logged(Effect.gen(function*() {
        const fiber = yield* Effect.forkChild(free.start(undefined, { runId: "r" }))
        yield* Effect.sleep(10)
        expect((yield* Runs.status("r")).progress).toEqual({ any: { value: { deep: [1] } } })
        yield* Fiber.join(fiber)
      }))
      expect(lines.length).toBe(1)
      expect(lines[0]).toContain(`channel "bad"`)
    }))
  })

  it("does not mix up runs, nor a value that changes after it was published", () => {
    run(Effect.gen(function*() {
      const gates = { a: yield* Deferred.make<void>(), b: yield* Deferred.make<void>() }
      const channels = { v: Schema.Json }
      const workflow = Workflow.make("w", { channels }, function*(ctx, which: "a" | "b") {
        yield* ctx.step("s", (step) => {
          const value = { which, list: [1] }
          step.publish("v", value)
          value.list.push(2)
          return Deferred.await(gates[which])
        })
      })
      const one = yield* Effect.forkChild(workflow.start("a", { runId: "a" }))
      const two = yield* Effect.forkChild(workflow.start("b", { runId: "b" }))
      yield* Effect.sleep(10)
      for (const which of ["a", "b"] as const) {
        expect((yield* Runs.status(which)).progress["v"]?.value).toEqual({ which, list: [1] })
        yield* Deferred.succeed(gates[which], undefined)
      }
      yield* Fiber.join(one)
      yield* Fiber.join(two)
    }))
  })
})

describe("a token", () => {
  const approval = Workflow.make(
    "approval",
    { events: { ok: Schema.Boolean, other: Schema.Boolean } },
    function*(ctx) {
      const tokens: Array<string> = []
      const answers: Array<boolean> = []
      for (const key of ["a", "b"]) tokens.push(yield* ctx.token("ok", key))
      yield* ctx.step("mail", () => tokens)
      for (const key of ["a", "b"]) answers.push(yield* ctx.suspend("ok", { key }))
      tokens.push(yield* ctx.token("other"))
      yield* ctx.step("mail", () => tokens)
      answers.push(yield* ctx.suspend("other"))
      return answers
    }
  )
  const tokensOf = (runId: string) =>
    Effect.map(entriesOf(runId), (entries) => {
      const mail = entries.findLast((entry) => entry.type === "step")
      return mail?.type === "step" ? mail.result as ReadonlyArray<string> : []
    })

  it("delivers its event, with its key, to its run", () => {
    run(Effect.gen(function*() {
      yield* approval.start(undefined, { runId: "r" })
      const [a, b] = yield* tokensOf("r")
      expect(a).toMatch(/^[A-Za-z0-9_-]+$/)
      yield* Runs.deliver(b!, false)
      yield* Runs.deliver(a!, true)
      expect((yield* approval.resume("r")).status).toBe("suspended")
      const all = yield* tokensOf("r")
      expect(all.slice(0, 2)).toEqual([a, b])
      yield* Runs.deliver(all[2]!, true)
      expect(yield* approval.resume("r"))
        .toMatchObject({ status: "success", result: [true, false, true] })
      expect(approval.replay(yield* Runs.journal("r"))._tag).toBe("Returned")
    }))
  })

  it("counts once, however often its link is followed, also after the end", () => {
    run(Effect.gen(function*() {
      yield* approval.start(undefined, { runId: "r" })
      const [a, b] = yield* tokensOf("r")
      yield* Runs.deliver(a!, true)
      yield* Runs.deliver(a!, false)
      yield* approval.resume("r")
      yield* Runs.deliver(a!, false)
      yield* approval.resume("r")
      expect((yield* entriesOf("r")).filter(({ type }) => type === "resume" || type === "event"))
        .toMatchObject([{ key: "a", value: true }])
      yield* Runs.deliver(b!, true)
      yield* approval.resume("r", { eventName: "other", value: true })
      yield* Runs.deliver(a!, false)
      yield* Runs.deliver(b!, false)
      expect(yield* approval.resume("r")).toMatchObject({ result: [true, true, true] })
    }))
  })

  it("is refused when it is no token, or was cut or changed", () => {
    run(Effect.gen(function*() {
      yield* approval.start(undefined, { runId: "r" })
      const [a] = yield* tokensOf("r")
      const json = (value: unknown) => btoa(JSON.stringify(value)).replaceAll("=", "")
      const wrong = [
        "",
        "hello",
        "ünï",
        a!.slice(0, -3),
        json({}),
        json(["r"]),
        json(["r", 1, "ok"])
      ]
      for (const text of wrong) {
        expect(yield* failureOf(Runs.deliver(text, true)))
          .toBeInstanceOf(Runs.TokenRejected)
      }
      expect(yield* failureOf(Runs.deliver(json(["r", "guess", "ok", "a"]), true)))
        .toMatchObject({ _tag: "RunNotFound", runId: "r" })
      expect(yield* failureOf(Runs.deliver(json(["a/b", "guess", "ok"]), true)))
        .toMatchObject({ _tag: "RunIdRejected" })
      expect((yield* approval.resume("r")).status).toBe("suspended")
      expect(yield* storyOf("r")).toEqual(["step mail"])
    }))
  })

  it("of a run that was removed reaches no later run of the same id", () => {
    run(Effect.gen(function*() {
      yield* approval.start(undefined, { runId: "r" })
      const [a] = yield* tokensOf("r")
      yield* Runs.remove("r")
      expect(yield* failureOf(Runs.deliver(a!, true))).toMatchObject({ _tag: "RunNotFound" })
      yield* approval.start(undefined, { runId: "r" })
      const [again] = yield* tokensOf("r")
      expect(again).not.toBe(a)
      expect(yield* failureOf(Runs.deliver(a!, true))).toMatchObject({ _tag: "RunNotFound" })
      yield* approval.resume("r")
      expect(yield* storyOf("r")).toEqual(["step mail"])
    }))
  })

  it("of a cancelled run is told that the run has ended", () => {
    run(Effect.gen(function*() {
      yield* approval.start(undefined, { runId: "r" })
      const [a] = yield* tokensOf("r")
      yield* approval.cancel("r")
      expect(yield* failureOf(Runs.deliver(a!, true)))
        .toMatchObject({ _tag: "RunClosed", status: "cancelled" })
    }))
  })

  it("holds names of any script, and follows the run through continueAs", () => {
    const loop = Workflow.make(
      "loop",
      { input: Schema.NullOr(Schema.String), events: { "größe ✓": Schema.Number } },
      function*(ctx, token): Workflow.Body<number> {
        if (token === null) return yield* ctx.continueAs(yield* ctx.token("größe ✓", "日"))
        yield* ctx.step("mail", () => token)
        return yield* ctx.suspend("größe ✓", { key: "日" })
      }
    )
    run(Effect.gen(function*() {
      const waiting = yield* loop.start(null, { runId: "r" })
      expect(waiting).toMatchObject({ status: "suspended", runId: "r+2" })
      const mail = (yield* entriesOf("r+2")).find((entry) => entry.type === "step")
      yield* Runs.deliver((mail as { result: string }).result, 5)
      expect(yield* loop.resume("r")).toMatchObject({ status: "success", result: 5 })
    }))
  })
})
