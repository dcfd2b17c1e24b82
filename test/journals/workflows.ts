/**
 * The workflows whose journals stand beside this file, by the names of the files. They must go on fitting
 * those journals: a journal that was written once replays for ever.
 */
import { Effect, Option, Schedule, Schema } from "effect"
import { Instruction, Pipeline, Workflow } from "reprise"

const review = Workflow.make(
  "review",
  { events: { verdict: Schema.Struct({ approved: Schema.Boolean }) } },
  function*(ctx, ticket: { readonly title: string }) {
    const kind = yield* ctx.step("classify", () => `bug: ${ticket.title}`)
    const { approved } = yield* ctx.suspend("verdict", { reason: "severity 5" })
    const reply = yield* ctx.step("draft", () => approved ? `fixed ${kind}` : "closed")
    return { kind, reply }
  }
)

const reminder = Workflow.make(
  "reminder",
  { events: { answer: Schema.String } },
  function*(ctx, until: number) {
    const first = yield* ctx.now
    yield* ctx.sleep("2 days")
    yield* ctx.sleepUntil(until)
    const answer = yield* ctx.suspend("answer", { timeout: "1 hour" })
    return { waited: (yield* ctx.now) - first, answered: Option.isSome(answer) }
  }
)

const square = Workflow.make("square", function*(ctx, n: number) {
  yield* ctx.sleep("1 minute")
  return yield* ctx.step("multiply", () => n * n)
})

const family = Workflow.make("family", function*(ctx, n: number) {
  const first = yield* ctx.child(square, n, { runId: "child" })
  return first + 1
})

const payment = Workflow.make(
  "payment",
  { error: Schema.String },
  function*(ctx) {
    yield* ctx.step("reserve", () => ({ seat: 12 }), {
      undo: (seat) => ctx.step("release", () => seat?.seat ?? 0)
    })
    yield* ctx.step("charge", () => 100, { undo: () => ctx.step("refund", () => -100) })
    return yield* ctx.step("ship", () => Effect.fail("no stock"))
  }
)

const greeting = Workflow.make("greeting", function*(ctx) {
  const greeting = (yield* ctx.patched("politer"))
    ? yield* ctx.step("bow", () => "good evening")
    : yield* ctx.step("nod", () => "hi")
  return `${greeting}, ${(yield* ctx.uuid).length}`
})

const fan = Workflow.make("fan", function*(ctx) {
  const all = yield* ctx.all({
    us: ctx.step("ask", () => "us"),
    eu: function*() {
      yield* ctx.step("prepare", () => 1)
      return yield* ctx.step("ask", () => "eu")
    }
  })
  const first = yield* ctx.race({
    fast: ctx.step("fast", () => "fast"),
    late: ctx.sleep("1 day")
  })
  const each = yield* ctx.forEach([1, 2, 3], (n) => ctx.step("double", () => n * 2), {
    concurrency: 2
  })
  return { all, first, each }
})

let attempts = 0

const flaky = Workflow.make("flaky", function*(ctx) {
  return yield* ctx.step(
    "fetch",
    () => ++attempts < 3 ? Effect.fail("busy") : Effect.succeed("fetched"),
    { retry: { times: 5, schedule: Schedule.spaced("1 hour") } }
  )
})

const letter = Workflow.make("letter", function*(ctx) {
  return yield* ctx.step("post", () => "posted", { delivery: "at-most-once" })
})

const stay = Workflow.make("stay", { events: { leave: Schema.Void } }, function*(ctx) {
  yield* ctx.step("check in", () => 12)
  try {
    yield* ctx.suspend("leave")
  } finally {
    yield* ctx.step("clean", () => "cleaned")
  }
})

const countdown = Workflow.make("countdown", function*(ctx, n: number): Workflow.Body<string> {
  yield* ctx.step("tick", () => n)
  return n > 0 ? yield* ctx.continueAs(n - 1) : "lift-off"
})

const handled = Workflow.make("handled", function*(ctx) {
  return yield* ctx.step("break", () => Effect.fail({ _tag: "Broken" })).pipe(
    Instruction.catch(() => ctx.step("mend", () => "mended"))
  )
})

const early = Workflow.make("early", { events: { go: Schema.Number } }, function*(ctx) {
  yield* ctx.sleep("1 day")
  return yield* ctx.suspend("go", { key: "k" })
})

/** A hook stops it behind its first step. */
const paused = Workflow.make("paused", function*(ctx) {
  const first = yield* ctx.step("first", () => 1)
  const second = yield* ctx.step("second", () => first + 1)
  return { first, second }
})

/** A hook stops it in one branch while the other runs. */
const beside = Workflow.make("beside", function*(ctx) {
  const both = yield* ctx.all({
    quick: ctx.step("step", () => "quick"),
    slow: ctx.step("step", () => Effect.as(Effect.yieldNow, "slow"))
  })
  return yield* ctx.step("join", () => `${both.quick}, ${both.slow}`)
})

const drawn = Workflow.make("drawn", { events: { go: Schema.String } }, function*(ctx) {
  const before = { random: yield* ctx.random, uuid: yield* ctx.uuid, now: yield* ctx.now }
  yield* ctx.sleep("1 hour")
  yield* ctx.step("kept", () => 1)
  const said = yield* ctx.suspend("go")
  yield* ctx.step("again", () => 2)
  return { before, said, random: yield* ctx.random, now: yield* ctx.now }
})

const stock = Pipeline.make<{ items: number }>("stock")
  .step("count", ({ items }) => ({ left: 100 - items }))
  .step("reserve", ({ left }) => ({ reserved: left > 0 }))

const order = Pipeline.make<{ items: number; express: boolean }>("order")
  .step("price", ({ items }) => ({ price: items * 5 }))
  .step(
    { name: "discount", condition: ({ items }) => items > 10 },
    ({ price }) => ({ price: price - 1 })
  )
  .step({ name: "gift", condition: ({ price }) => price > 10 }, () => ({ gift: "a pen" }))
  .branchOn(
    "ship",
    {
      name: "express",
      when: ({ express }) => express,
      then: (p) =>
        p.step("carrier", () => ({ carrier: "air" }))
          .step("label", ({ carrier }) => ({ label: `by ${carrier}` }))
    },
    { name: "standard", default: (p) => p.step("drive", () => ({ label: "by road" })) }
  )
  .step("check", stock, () => ({ address: "known" }))
  .step("price", ({ price }) => ({ price: price + 4 }))
  .transform("receipt", ({ gift, label, price, reserved }) => ({
    total: price,
    lines: [gift ?? "no gift", label ?? "not shipped", reserved]
  }))
  .workflow

/** The workflow of each journal, by the name of its file. */
export const workflows = {
  review,
  reminder,
  parent: family,
  child: square,
  payment,
  greeting,
  fan,
  flaky,
  letter,
  stay,
  countdown,
  "countdown+2": countdown,
  handled,
  early,
  stopped: paused,
  "stopped-beside": beside,
  forked: review,
  drawn,
  "drawn-again": drawn,
  pipeline: order,
  "pipeline-again": order
}
