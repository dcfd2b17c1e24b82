/**
 * Every example of the second seed's page on checkpoints, in the order of the page, as an Effect: with the
 * results that the page promises, and its approval by two people put right.
 */
import { describe, expect, it } from "@effect/vitest"
import { Clock, Console, Effect, Fiber, Option } from "effect"
import { TestClock, TestConsole } from "effect/testing"
import { DatabaseSync } from "node:sqlite"
import { Checkpoint, Pipeline, Runs, Storage } from "reprise"
import { expectTypeOf } from "vitest"

/** A step that takes a while by the test's clock. */
const takes = <A>(millis: number, value: A) => Effect.delay(Effect.succeed(value), millis)

/** Runs `effect` while the clock goes on, a millisecond at a time. */
const ticking = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect)
    while (fiber.pollUnsafe() === undefined) yield* TestClock.adjust(1)
    return yield* Fiber.join(fiber)
  })

const calc = Pipeline.make<{ a: number; b?: number }>("calc")
  .step("add-one", ({ a }) => ({ a: a + 1 }))
  .step("double", ({ a }) => ({ a: a * 2 }))
  .step("finish", ({ a, b }) => ({ sum: (a ?? 0) + (b ?? 0) }))

/** Three steps that each add one, and which of them ran. */
const counting = () => {
  const ran: Array<string> = []
  const plusOne = (name: string) => ({ n }: { readonly n: number }) => {
    ran.push(name)
    return { n: n + 1 }
  }
  const pipeline = Pipeline.make<{ n: number }>("counting")
    .step("s1", plusOne("s1"))
    .step("s2", plusOne("s2"))
    .step("s3", plusOne("s3"))
  return { pipeline, ran }
}

/** The checkpoint of `calc` behind "double". */
const behindDouble = Effect.gen(function*() {
  let checkpoint = ""
  yield* calc.run({ a: 1 }, {
    onStepComplete: (e) => {
      if (e.stepName === "double") checkpoint = e.checkpoint
    }
  })
  return checkpoint
})

describe("basic checkpoint usage", () => {
  it.effect("a checkpoint kept by a hook is resumed with an override: { a: 4, b: 10, sum: 14 }", () =>
    Effect.gen(function*() {
      let checkpoint = ""
      const first = yield* calc.run({ a: 1 }, {
        onStepComplete: (e) => {
          if (e.stepName === "double") checkpoint = e.checkpoint
        }
      })
      expect(first).toEqual({ a: 4, sum: 4 })
      const resumed = yield* calc.runCheckpoint({ checkpoint, overrideData: { b: 10 } })
      expect(resumed).toEqual({ a: 4, b: 10, sum: 14 })
    }))
})

describe("step complete event", () => {
  it.effect("has the step's name, its milliseconds, the context, a checkpoint and stopPipeline", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make<{ input: string }>("events")
        .step("shout", ({ input }) => takes(7, { loud: input.toUpperCase() }))
        .step("count", ({ loud }) => takes(3, { length: loud.length }))
      const events: Array<unknown> = []
      const checkpoints: Array<string> = []
      yield* ticking(pipeline.run({ input: "data" }, {
        onStepComplete: (event) => {
          const { checkpoint, context, duration, stepName, stopPipeline } = event
          events.push({ stepName, duration, context, stop: typeof stopPipeline })
          checkpoints.push(checkpoint)
        }
      }))
      expect(events).toEqual([
        {
          stepName: "shout",
          duration: 7,
          context: { input: "data", loud: "DATA" },
          stop: "function"
        },
        {
          stepName: "count",
          duration: 3,
          context: { input: "data", loud: "DATA", length: 4 },
          stop: "function"
        }
      ])
      expect(checkpoints).toEqual([
        expect.stringMatching(/^rcp1\./),
        expect.stringMatching(/^rcp1\./)
      ])
    }))

  it.effect("has a context that is a copy: what a hook does to it changes nothing", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make<{ list: ReadonlyArray<number> }>("copies")
        .step("one", ({ list }) => ({ list: [...list, 1] }))
        .step("two", ({ list }) => ({ list: [...list, 2] }))
      const result = yield* pipeline.run({ list: [] }, {
        onStepComplete: ({ context }) => {
          const own = context.list as Array<number>
          own.push(99)
        }
      })
      expect(result).toEqual({ list: [1, 2] })
    }))

  it.effect("can be logged as the page does it, by an Effect", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make<{ input: string }>("logged")
        .step("shout", ({ input }) => takes(7, { loud: input.toUpperCase() }))
      const checkpoints: Array<string> = []
      yield* ticking(pipeline.run({ input: "data" }, {
        onStepComplete: (event) =>
          Effect.gen(function*() {
            checkpoints.push(event.checkpoint)
            yield* Console.log(`Step ${event.stepName} completed in ${event.duration}ms`)
            yield* Console.log("Current context:", event.context)
            yield* Console.log("Checkpoint:", event.checkpoint)
          })
      }))
      expect(yield* TestConsole.logLines).toEqual([
        "Step shout completed in 7ms",
        "Current context:",
        { input: "data", loud: "DATA" },
        "Checkpoint:",
        checkpoints[0]
      ])
    }))
})

describe("resuming from checkpoints", () => {
  it.effect("with the text alone", () =>
    Effect.gen(function*() {
      expect(yield* calc.runCheckpoint(yield* behindDouble)).toEqual({ a: 4, sum: 4 })
    }))

  it.effect("with data that is merged shallowly into the context", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make<{ user: { name: string; tags: ReadonlyArray<string> } }>(
        "shallow"
      )
        .step("load", () => ({ settings: { theme: "dark", size: 12 } as { theme: string } }))
        .step("show", ({ settings, user }) => ({ shown: JSON.stringify([user, settings]) }))
      let checkpoint = ""
      yield* pipeline.run({ user: { name: "Ann", tags: ["x"] } }, {
        onStepComplete: (e) => {
          if (e.stepName === "load") checkpoint = e.checkpoint
        }
      })
      const result = yield* pipeline.runCheckpoint({
        checkpoint,
        overrideData: { settings: { theme: "light" } }
      })
      // The key as a whole is another one: `size` is gone. What is not named stays.
      expect(result).toEqual({
        user: { name: "Ann", tags: ["x"] },
        settings: { theme: "light" },
        shown: `[{"name":"Ann","tags":["x"]},{"theme":"light"}]`
      })
    }))

  it.effect("with options behind the text: a log with a stopwatch, and a hook", () =>
    Effect.gen(function*() {
      const checkpoint = yield* behindDouble
      const heard: Array<string> = []
      const lines: Array<string> = []
      const result = yield* calc.runCheckpoint(checkpoint, {
        log: { stopwatch: true, logFn: (text) => void lines.push(text) },
        onStepComplete: (e) => void heard.push(`Step completed: ${e.stepName}`)
      })
      expect(result).toEqual({ a: 4, sum: 4 })
      expect(heard).toEqual(["Step completed: finish"])
      expect(lines[0]).toBe("🚀 Resuming pipeline from checkpoint step: double")
    }))
})

describe("how resume works", () => {
  it.effect("skips the steps before it and its own, runs those behind it, with the saved context", () =>
    Effect.gen(function*() {
      const { pipeline, ran } = counting()
      let checkpoint = ""
      const first = yield* pipeline.run({ n: 0 }, {
        onStepComplete: (e) => {
          if (e.stepName === "s2") checkpoint = e.checkpoint
        }
      })
      expect(first).toEqual({ n: 3 })
      expect(ran.splice(0)).toEqual(["s1", "s2", "s3"])
      expect(yield* pipeline.contextOf(checkpoint)).toEqual({ n: 2 })
      expect(yield* pipeline.runCheckpoint(checkpoint)).toEqual({ n: 3 })
      expect(ran).toEqual(["s3"])
    }))
})

/** The page's reply that a person approves, with its store and its mailbox. */
const replying = () => {
  const kv = new Map<string, string>()
  const sent: Array<{ readonly to: string; readonly body: string }> = []
  const save = (id: string, checkpoint: string) => Effect.sync(() => kv.set(id, checkpoint))
  const get = (id: string) => Effect.sync(() => kv.get(id))
  const del = (id: string) => Effect.sync(() => kv.delete(id))
  const sendEmail = (mail: { readonly to: string; readonly body: string }) =>
    Effect.andThen(
      Console.log("Sending email to", mail.to, "with body:", mail.body),
      Effect.sync(() => void sent.push(mail))
    )

  const replyFlow = Pipeline.make<{ body: string }>("reply")
    .step("generate", async ({ body }) => ({ reply: `Reply: ${body}` }))
    .step("send", ({ reply }) => sendEmail({ to: "user@example.com", body: reply }))

  const start = Effect.fn(function*(body: string) {
    let approvalId: string | undefined
    const context = yield* replyFlow.run({ body }, {
      onStepComplete: (e) =>
        Effect.gen(function*() {
          if (!e.stepName.endsWith("generate")) return
          approvalId = `apr_${yield* Clock.currentTimeMillis}`
          yield* save(approvalId, e.checkpoint)
          e.stopPipeline()
        })
    })
    return { approvalId, context }
  })

  const approve = Effect.fn(function*(approvalId: string) {
    const checkpoint = yield* get(approvalId)
    if (checkpoint === undefined) return yield* Effect.fail(new Error("Not found"))
    yield* replyFlow.runCheckpoint(checkpoint)
    yield* del(approvalId)
  })

  const reject = (approvalId: string) => del(approvalId)

  return { approve, kv, reject, sent, start }
}

describe("human approval workflow", () => {
  it.effect("stops for the person, and sends the mail when they approve", () =>
    Effect.gen(function*() {
      const { approve, kv, sent, start } = replying()
      const { approvalId, context } = yield* start("Hello, how are you?")
      expect(approvalId).toBe("apr_0")
      expect(context).toEqual({
        body: "Hello, how are you?",
        reply: "Reply: Hello, how are you?"
      })
      expect(sent).toEqual([])
      yield* TestClock.adjust("3 weeks")
      yield* approve(approvalId!)
      expect(sent).toEqual([
        { to: "user@example.com", body: "Reply: Hello, how are you?" }
      ])
      expect(yield* TestConsole.logLines).toEqual([
        "Sending email to",
        "user@example.com",
        "with body:",
        "Reply: Hello, how are you?"
      ])
      expect(kv.size).toBe(0)
      expect((yield* Effect.flip(approve(approvalId!))).message).toBe("Not found")
      expect(sent.length).toBe(1)
    }))

  it.effect("sends nothing when they reject", () =>
    Effect.gen(function*() {
      const { approve, kv, reject, sent, start } = replying()
      const { approvalId } = yield* start("Hello")
      yield* reject(approvalId!)
      expect(kv.size).toBe(0)
      expect((yield* Effect.flip(approve(approvalId!))).message).toBe("Not found")
      expect(sent).toEqual([])
    }))
})

describe("stopping early", () => {
  it.effect("returns the context as of the step: { n: 2 }, and s3 never runs", () =>
    Effect.gen(function*() {
      const { pipeline, ran } = counting()
      const result = yield* pipeline.run({ n: 0 }, {
        onStepComplete: (e) => {
          if (e.stepName === "s2") e.stopPipeline()
        }
      })
      expect(result).toEqual({ n: 2 })
      expect(ran).toEqual(["s1", "s2"])
    }))

  it.effect("on the very call that builds the pipeline, as the page writes it", () =>
    Effect.gen(function*() {
      const result = yield* Pipeline.make<{ n: number }>()
        .step("s1", ({ n }) => ({ n: n + 1 }))
        .step("s2", ({ n }) => ({ n: n + 1 }))
        .step("s3", ({ n }) => ({ n: n + 1 }))
        .run({ n: 0 }, {
          onStepComplete: (e) => {
            if (e.stepName === "s2") e.stopPipeline()
          }
        })
      expect(result).toEqual({ n: 2 })
    }))
})

describe("checkpoint structure", () => {
  it.effect("is a step's name and an output, taken apart and put together again", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("mine").step("my-step", () => ({ a: 42 }))
      let serialized = ""
      yield* pipeline.run({}, { onStepComplete: (e) => void (serialized = e.checkpoint) })

      const checkpoint: Checkpoint.Checkpoint<{ a: number }> = yield* Checkpoint
        .deserializeCheckpoint<{ a: number }>(serialized)
      expect(checkpoint).toMatchObject({ stepName: "my-step", output: { a: 42 } })
      expect(checkpoint.output.a).toBe(42)
      expect(yield* Checkpoint.serializeCheckpoint(checkpoint)).toBe(serialized)
      expect(yield* pipeline.contextOf(serialized)).toEqual({ a: 42 })
    }))

  it.effect("is not the page's two fields as JSON: such a text is refused, and nothing runs", () =>
    Effect.gen(function*() {
      const { pipeline, ran } = counting()
      const error = yield* Effect.flip(
        pipeline.runCheckpoint(`{"stepName":"s2","output":{"n":42}}`)
      )
      expect(error).toMatchObject({ _tag: "CheckpointRejected", reason: "NotACheckpoint" })
      expect(ran).toEqual([])
    }))
})

describe("storing checkpoints", () => {
  it.effect("in memory", () =>
    Effect.gen(function*() {
      const checkpoints = new Map<string, string>()
      checkpoints.set("checkpoint-1", yield* behindDouble)
      const saved = checkpoints.get("checkpoint-1")
      expect(yield* calc.runCheckpoint(saved!)).toEqual({ a: 4, sum: 4 })
    }))

  it.effect("in a database, for the critical step only", () =>
    Effect.gen(function*() {
      const db = new DatabaseSync(":memory:")
      db.exec("CREATE TABLE checkpoints (pipeline_id TEXT, checkpoint TEXT, created_at INTEGER)")
      const ran: Array<string> = []
      const pipeline = Pipeline.make<{ order: number }>("critical")
        .step("prepare", ({ order }) => ({ parcel: `parcel ${order}` }))
        .step("critical-step", ({ parcel }) => {
          ran.push("critical-step")
          return { label: `label of ${parcel}` }
        })
        .step("hand-over", ({ label }) => ({ handedOver: label }))
      yield* pipeline.run({ order: 7 }, {
        onStepComplete: (e) =>
          e.stepName === "critical-step"
            ? Effect.map(Clock.currentTimeMillis, (now) => {
              db.prepare("INSERT INTO checkpoints VALUES (?, ?, ?)").run(
                "workflow-123",
                e.checkpoint,
                now
              )
            })
            : undefined
      })
      const rows = db.prepare("SELECT * FROM checkpoints WHERE pipeline_id = ?").all("workflow-123")
      db.close()
      expect(rows.length).toBe(1)
      const result = yield* pipeline.runCheckpoint(String(rows[0]!.checkpoint))
      expect(result).toEqual({
        order: 7,
        parcel: "parcel 7",
        label: "label of parcel 7",
        handedOver: "label of parcel 7"
      })
      expect(ran).toEqual(["critical-step"])
    }))

  /** A store whose rows expire, as in `SET key value EX seconds`. */
  const store = () => {
    const rows = new Map<string, { readonly value: string; readonly until: number }>()
    return {
      set: (key: string, value: string, _: "EX", seconds: number) =>
        Effect.map(
          Clock.currentTimeMillis,
          (now) => void rows.set(key, { value, until: now + seconds * 1_000 })
        ),
      get: (key: string) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          const row = rows.get(key)
          return row !== undefined && now < row.until ? Option.some(row.value) : Option.none()
        }),
      del: (key: string) => Effect.sync(() => void rows.delete(key))
    }
  }

  it.effect("in a store that forgets them after an hour", () =>
    Effect.gen(function*() {
      const redis = store()
      const needsApproval = (e: { readonly stepName: string }) => e.stepName === "s2"
      const { pipeline, ran } = counting()
      const approvalId = `approval-${yield* Clock.currentTimeMillis}`
      const begin = pipeline.run({ n: 0 }, {
        onStepComplete: (e) =>
          Effect.gen(function*() {
            if (!needsApproval(e)) return
            yield* redis.set(approvalId, e.checkpoint, "EX", 3_600)
            e.stopPipeline()
          })
      })
      expect(yield* begin).toEqual({ n: 2 })
      yield* TestClock.adjust("59 minutes")
      const checkpoint = yield* redis.get(approvalId)
      expect(yield* pipeline.runCheckpoint(Option.getOrThrow(checkpoint))).toEqual({ n: 3 })
      yield* redis.del(approvalId)
      expect(ran).toEqual(["s1", "s2", "s3"])

      yield* begin
      yield* TestClock.adjust("1 hour")
      expect(yield* redis.get(approvalId)).toEqual(Option.none())
    }))

  it.effect("for an hour by the text itself, wherever it is stored", () =>
    Effect.gen(function*() {
      const checkpoint = yield* Effect.provideService(
        behindDouble,
        Checkpoint.Lifetime,
        "1 hour"
      )
      yield* TestClock.adjust("59 minutes")
      expect(yield* calc.runCheckpoint(checkpoint)).toEqual({ a: 4, sum: 4 })
      yield* TestClock.adjust("1 minute")
      const error = yield* Effect.flip(calc.runCheckpoint(checkpoint))
      expect(error).toMatchObject({ _tag: "CheckpointRejected", reason: "Expired" })
    }))
})

describe("use cases", () => {
  it.effect("a long-running workflow saves its progress, and goes on from each of its steps", () =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const did = <A>(name: string, value: A) =>
        Effect.sync(() => {
          ran.push(name)
          return value
        })
      const pipeline = Pipeline.make<{ batchId: string }>("batch")
        .step("load-batch", ({ batchId }) => did("load-batch", { items: [`${batchId}-a`, "b"] }))
        .step(
          "process-items",
          ({ items }) =>
            did("process-items", { processed: items.map((item) => item.toUpperCase()) })
        )
        .step("validate", ({ processed }) => did("validate", { validated: processed.length === 2 }))
        .step("save-results", ({ validated }) => did("save-results", { saved: validated ? 2 : 0 }))
      const saved: Array<{ workflowId: string; stepName: string; checkpoint: string }> = []
      const db = {
        saveCheckpoint: (row: (typeof saved)[number]) => Effect.sync(() => saved.push(row))
      }
      const whole = yield* pipeline.run({ batchId: "123" }, {
        onStepComplete: (e) =>
          db.saveCheckpoint({
            workflowId: "batch-123",
            stepName: e.stepName,
            checkpoint: e.checkpoint
          })
      })
      expect(whole).toEqual({
        batchId: "123",
        items: ["123-a", "b"],
        processed: ["123-A", "B"],
        validated: true,
        saved: 2
      })
      const names = pipeline.describe()
      expect(names).toEqual(["load-batch", "process-items", "validate", "save-results"])
      expect(saved.map(({ stepName }) => stepName)).toEqual(names)
      for (const [at, { checkpoint }] of saved.entries()) {
        ran.length = 0
        expect(yield* pipeline.runCheckpoint(checkpoint)).toEqual(whole)
        expect(ran).toEqual(names.slice(at + 1))
      }
    }))
})

/** The page's policy that a manager and the legal department review, and what was done for it. */
const policy = () => {
  const did: Array<string> = []
  const act = <A>(name: string, value: A) =>
    Effect.sync(() => {
      did.push(name)
      return value
    })
  const pipeline = Pipeline.make<{ request: string }>("policy")
    .step("draft", ({ request }) => act("draft", { draft: `draft of ${request}` }))
    .step("manager-review", ({ draft }) => act("manager-review", { reviewed: `reviewed ${draft}` }))
    .step(
      "legal-review",
      ({ reviewed }) => act("legal-review", { approved: `approved ${reviewed}` })
    )
    .step("publish", ({ approved }) => act("publish", { published: approved }))
  const published = "approved reviewed draft of New policy"
  return { did, pipeline, published }
}

describe("multi-stage approval", () => {
  it.effect("put right: the hook is given to every call, so each stage has a checkpoint of its own", () =>
    Effect.gen(function*() {
      const { did, pipeline, published } = policy()
      let managerCheckpoint = ""
      let legalCheckpoint = ""
      const stages = {
        onStepComplete: (e: { stepName: string; checkpoint: string; stopPipeline: () => void }) => {
          if (e.stepName === "draft") {
            managerCheckpoint = e.checkpoint
            e.stopPipeline()
          } else if (e.stepName === "manager-review") {
            legalCheckpoint = e.checkpoint
            e.stopPipeline()
          }
        }
      }
      yield* pipeline.run({ request: "New policy" }, stages)
      expect(did).toEqual(["draft"])
      expect(legalCheckpoint).toBe("")

      // The manager approves: their review is recorded, and the run stops for the legal department.
      const reviewed = yield* pipeline.runCheckpoint(managerCheckpoint, stages)
      expect(reviewed).toEqual({
        request: "New policy",
        draft: "draft of New policy",
        reviewed: "reviewed draft of New policy"
      })
      expect(did).toEqual(["draft", "manager-review"])

      // The legal department approves.
      const result = yield* pipeline.runCheckpoint(legalCheckpoint, stages)
      expect(result.published).toBe(published)
      expect(did).toEqual(["draft", "manager-review", "legal-review", "publish"])
    }))

  it.effect("as the page has it, nobody asks the second time, and the second checkpoint is empty", () =>
    Effect.gen(function*() {
      const { did, pipeline } = policy()
      let managerCheckpoint = ""
      const legalCheckpoint = ""
      yield* pipeline.run({ request: "New policy" }, {
        onStepComplete: (e) => {
          if (e.stepName !== "draft") return
          managerCheckpoint = e.checkpoint
          e.stopPipeline()
        }
      })
      // A hook is of its call: without one the steps run to the end.
      yield* pipeline.runCheckpoint(managerCheckpoint)
      expect(did.splice(0)).toEqual(["draft", "manager-review", "legal-review", "publish"])
      const error = yield* Effect.flip(pipeline.runCheckpoint(legalCheckpoint))
      expect(error).toMatchObject({ _tag: "CheckpointRejected", reason: "NotACheckpoint" })
      expect(did).toEqual([])
    }))

  it.effect("on a storage, without any text: the same run is stopped and resumed by its id", () =>
    Effect.gen(function*() {
      const { did, pipeline, published } = policy()
      const stages = {
        onStepComplete: (e: { stepName: string; stopPipeline: () => void }) => {
          if (e.stepName === "draft" || e.stepName === "manager-review") e.stopPipeline()
        }
      }
      const runId = "policy-1"
      const { workflow } = pipeline
      const first = yield* workflow.start({ request: "New policy" }, { runId, ...stages })
      expect(first).toMatchObject({ status: "stopped", stepId: "draft" })
      const second = yield* workflow.resume(runId, undefined, stages)
      expect(second).toMatchObject({ status: "stopped", stepId: "manager-review" })
      const third = yield* workflow.resume(runId, undefined, stages)
      expect(third).toMatchObject({ status: "success", result: { published } })
      expect(did).toEqual(["draft", "manager-review", "legal-review", "publish"])
      const { entries } = yield* Runs.journal(runId)
      expect(
        entries.map((entry) => "stepId" in entry ? `${entry.type} ${entry.stepId}` : entry.type)
      )
        .toEqual([
          "start",
          "step draft",
          "stop draft",
          "start",
          "step manager-review",
          "stop manager-review",
          "start",
          "step legal-review",
          "step publish",
          "complete"
        ])
    }).pipe(Effect.provide(Storage.layerMemory)))
})

describe("logging with resume", () => {
  it.effect("prints the page's lines: from which step, what is skipped, what runs, and the box", () =>
    Effect.gen(function*() {
      const timed = Pipeline.make<{ a: number; b?: number }>("timed")
        .step("add-one", ({ a }) => ({ a: a + 1 }))
        .step("double", ({ a }) => ({ a: a * 2 }))
        .step("finish", ({ a, b }) => takes(2, { sum: a + (b ?? 0) }))
      let checkpoint = ""
      yield* ticking(timed.run({ a: 1 }, {
        onStepComplete: (e) => {
          if (e.stepName === "double") checkpoint = e.checkpoint
        }
      }))
      yield* ticking(timed.runCheckpoint(checkpoint, { log: { stopwatch: true } }))
      const lines = (yield* TestConsole.logLines).flatMap((text) => String(text).split("\n"))
      const box = (text: string) => `│ ${text} │`
      expect(lines).toEqual([
        "🚀 Resuming pipeline from checkpoint step: double",
        "",
        "⏭️  Step: add-one (resume-skip)",
        "",
        "⏭️  Step: double (resume-skip)",
        "",
        "📍 Step: finish",
        "✅ finish completed in 2ms",
        "   Output: sum",
        "",
        "⏱️  Performance Summary:",
        "↪️ Resumed from checkpoint: double",
        `┌${"─".repeat(54)}┐`,
        box(`⏭️ ${"add-one".padEnd(41)} skipped`),
        box(`⏭️ ${"double".padEnd(41)} skipped`),
        box(`✅ ${"finish".padEnd(45)} 2ms`),
        `└${"─".repeat(54)}┘`,
        "",
        "📊 Statistics:",
        "   Average: 2ms",
        "   Slowest: finish (2ms)",
        "   Fastest: finish (2ms)",
        "",
        "⏰ Total Pipeline Time: 2ms",
        "",
        "✨ Pipeline completed successfully"
      ])
    }))
})

describe("type safety", () => {
  it.effect("an event's context has the type of its step, and a checkpoint is a string", () =>
    Effect.gen(function*() {
      type MyContext = { a: number; b: string }
      const pipeline = Pipeline.make<MyContext>("typed")
        .step("process", ({ a, b }) => ({ c: a + b.length }))
      let checkpoint: string = ""
      const seen: Array<number> = []
      yield* pipeline.run({ a: 1, b: "test" }, {
        onStepComplete: (e) => {
          checkpoint = e.checkpoint
          expectTypeOf(e.context).toEqualTypeOf<
            { readonly a: number; readonly b: string; readonly c: number }
          >()
          seen.push(e.context.c)
        }
      })
      expect(seen).toEqual([5])
      expect(yield* pipeline.runCheckpoint(checkpoint)).toEqual({ a: 1, b: "test", c: 5 })
      const wrong = {
        // @ts-expect-error: no context of this pipeline has a `d`
        key: () => pipeline.runCheckpoint({ checkpoint, overrideData: { d: 1 } }),
        // @ts-expect-error: `b` is a string
        type: () => pipeline.runCheckpoint({ checkpoint, overrideData: { b: 1 } })
      }
      expect(Object.keys(wrong)).toEqual(["key", "type"])
    }))

  it.effect("the steps of a longer one are told apart by their names", () =>
    Effect.gen(function*() {
      const names: Array<string> = []
      yield* calc.run({ a: 1 }, {
        onStepComplete: (e) => {
          names.push(e.stepName)
          if (e.stepName === "finish") expectTypeOf(e.context.sum).toEqualTypeOf<number>()
          // @ts-expect-error: no step of this pipeline is called so
          expect(e.stepName === "finnish").toBe(false)
        }
      })
      expect(names).toEqual(["add-one", "double", "finish"])
    }))
})
