/**
 * The instruction set: what a branch costs among many, what the slice guard adds to a replay, what
 * `durability: "async"` saves on files, and how fast virtual years pass.
 */
import { Context, Effect, Fiber, Layer, ManagedRuntime } from "effect"
import { TestClock } from "effect/testing"

import * as Codec from "../src/Codec.ts"
import { Instruction, Replay, Runs, Storage, Workflow } from "../src/index.ts"
import { NodeLocalStorage } from "../src/node.ts"
import { directory } from "./files.ts"
import { coreTime, type Figure, interleave, median, ratio, report, show, time } from "./measure.ts"

const figures: Array<Figure> = []

// ---------------------------------------------------------------------------------------------------
// branches

const few = 10, many = 1_000

/** So many branches in a sample, in combinators of `n` each. */
const branchesPerSample = 10_000

const fanOf = (
  combine: (
    branches: ReadonlyArray<Instruction.Branch<number, never, never>>
  ) => Instruction.Instruction<unknown>
) =>
  Workflow.make("fan", function*(_ctx, n: number) {
    yield* combine(
      Array.from({ length: n }, (_, i) =>
        Instruction.step("work", () => Effect.as(Effect.yieldNow, i)))
    )
    return n
  })

const fans = {
  all: fanOf((branches) => Instruction.all(branches)),
  race: fanOf((branches) => Instruction.race(branches))
}

const perBranch = (fan: typeof fans.all, n: number) => async () => {
  const runtime = ManagedRuntime.make(Storage.layerMemory)
  await runtime.context()
  const runs = Effect.forEach(
    Array.from({ length: branchesPerSample / n }, (_, k) => k),
    (k) => fan.execute(n, { runId: `run-${k}` }),
    { discard: true }
  )
  const millis = await coreTime(() => runtime.runPromise(runs))
  await runtime.dispose()
  return millis / branchesPerSample
}

for (const [name, fan] of Object.entries(fans)) {
  const t = await interleave(
    { few: perBranch(fan, few), many: perBranch(fan, many) },
    { rounds: 15, warmUp: 5 }
  )
  figures.push({
    figure: `${name}: a branch of ${many.toLocaleString("en")} against one of ${few}`,
    value: `${show(median(t.many))} against ${show(median(t.few))}`,
    ratio: ratio(t.many, t.few),
    atMost: 2
  })
}

// ---------------------------------------------------------------------------------------------------
// the slice guard

const steps = 10_000
const body = function*(): Workflow.Body<void> {
  for (let i = 0; i < steps; i++) yield* Instruction.step("work", () => i)
}
const program: Replay.Program = {
  name: "guarded",
  version: undefined,
  previous: [],
  retired: [],
  durability: "sync",
  runIdOf: undefined,
  input: Codec.strict,
  output: Codec.strict,
  error: undefined,
  events: {},
  channels: {},
  hasBody: true,
  hook: undefined,
  accumulates: false,
  naming: undefined,
  refusesBase: undefined,
  body
}
const guarded = Workflow.make("guarded", body)
const journal = await Effect.runPromise(
  Effect.andThen(guarded.start(undefined, { runId: "g" }), Runs.journal("g")).pipe(
    Effect.provide(Storage.layerMemory),
    Effect.provideService(Workflow.JournalLimits, { warn: Infinity, stop: Infinity })
  )
)
const replay = (slices: boolean) => () => {
  const services = Context.make(Workflow.Guard, { slices, shadow: false })
  const [first] = journal.entries
  return coreTime(() => {
    const machine = Replay.machine(program, undefined, Replay.startOf(first!), {
      runId: "g",
      live: false,
      services: services as Context.Context<never>
    })
    Replay.feed(machine, journal.entries)
    if (machine.outcome?.ok !== true) throw new Error("The body did not return.")
  })
}
const before = await interleave({ off: replay(false) }, { rounds: 31, warmUp: 15 })
const g = await interleave({ off: replay(false), on: replay(true) }, { rounds: 61, warmUp: 15 })
figures.push({
  figure: "replay with the slice guard against without",
  value: `${show(median(g.on) / steps)} against ${show(median(g.off) / steps)} an entry`,
  ratio: ratio(g.on, g.off),
  atMost: 1.1
}, {
  figure: "replay without the guard, after it was installed against before",
  value: `${show(median(g.off) / steps)} against ${show(median(before.off) / steps)} an entry`,
  ratio: median(g.off) / median(before.off)
})

// ---------------------------------------------------------------------------------------------------
// durability

const trivial = 1_000
const at = directory()
const local = ManagedRuntime.make(NodeLocalStorage.layer(at))
const durable = Workflow.make("durable", function*(ctx) {
  for (let i = 0; i < trivial; i++) yield* ctx.step("work", () => i)
})
let serial = 0
const run = (durability: Workflow.Durability) => async () => {
  const runId = `${durability}-${++serial}`
  return await time(() => local.runPromise(durable.execute(undefined, { runId, durability })))
}
const d = await interleave(
  { sync: run("sync"), async: run("async"), exit: run("exit") },
  { rounds: 9, warmUp: 2 }
)
/** Everything of a journal but when and by whom it was written. */
const content = async (runId: string) => {
  const { entries } = await local.runPromise(Runs.journal(runId))
  return JSON.stringify(entries.map((entry) => {
    const told: Record<string, unknown> = { ...entry }
    const own = ["timestamp", "incarnation", "writer", "prev", "sum", "seed", "runId", "durability"]
    for (const key of [...own, "duration"]) delete told[key]
    return told
  }))
}
const isSame = (await content("sync-1")) === (await content("async-2"))
if (!isSame) throw new Error("The journals differ.")
figures.push({
  figure: `${trivial.toLocaleString("en")} steps on files: async times as fast as sync`,
  value: `${show(median(d.async))} against ${show(median(d.sync))}, same content`,
  ratio: ratio(d.sync, d.async),
  atLeast: 5
}, {
  figure: `${trivial.toLocaleString("en")} steps on files: exit times as fast as sync`,
  value: `${show(median(d.exit))} against ${show(median(d.sync))}`,
  ratio: ratio(d.sync, d.exit)
})
await local.dispose()

// ---------------------------------------------------------------------------------------------------
// virtual time

const years = 1_000
const sleeper = Workflow.make("sleeper", function*(ctx) {
  for (let i = 0; i < years; i++) yield* ctx.sleep("365 days")
  return yield* ctx.now
})
const sleepThrough = Effect.gen(function*() {
  const { live: { activity } } = yield* Storage.Storage
  const run = yield* Effect.forkChild(sleeper.execute(undefined, { runId: "sleeper" }))
  while (run.pollUnsafe() === undefined) {
    yield* Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))
    if (activity.sessions === 0 && activity.wakeUps.size > 0) {
      yield* TestClock.setTime(Math.min(...Array.from(activity.wakeUps, ({ at }) => at)))
    }
  }
  return yield* Fiber.join(run)
}).pipe(Effect.provide(Layer.mergeAll(Storage.layerMemory, TestClock.layer())))
const passed: Array<number> = []
for (let round = -1; round < 5; round++) {
  const millis = await time(async () => {
    const end = await Effect.runPromise(sleepThrough)
    if (end < years * 365 * 86_400_000) throw new Error("It woke up early.")
  })
  if (round >= 0) passed.push(millis)
}
figures.push({
  figure: `${years.toLocaleString("en")} sleeps of 365 days: seconds`,
  value: show(median(passed)),
  ratio: median(passed) / 1000,
  atMost: 1.5
})

report(figures)
