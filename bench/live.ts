/**
 * Live runs on memory beside `effect/workflow` on its memory engine and `stepkit`: the same trivial
 * steps one after the other, each returning its number, and every value handed back at the end.
 *
 * Every contender has a process of its own, and every sample a storage of its own that is opened
 * before the clock starts. The peers are used as their pages say: activities and pipelines are made
 * once, outside the loop. Nobody has a tracer.
 */
import { Effect, Layer, ManagedRuntime, Schema } from "effect"
import { Activity, Workflow as Peer, WorkflowEngine } from "effect/workflow"
import { createRequire } from "node:module"
import { Storage, Workflow } from "../src/index.ts"
import { apart, coreTime, type Figure, interleave, median, ratio, report, show } from "./measure.ts"

const sizes = [100, 1_000, 5_000] as const
const names = Array.from({ length: 5_000 }, (_, i) => `step-${i}`)

/** Steps in one sample, so that a sample of short runs is not a sample of the timer. */
const stepsPerSample = 20_000

/** Anything less would be fast for the wrong reason. */
const whole = (n: number, length: number, last: unknown): void => {
  if (length !== n || last !== n - 1) {
    throw new Error(`Kept ${length} of ${n}, ending in ${String(last)}.`)
  }
}

/** Samples runs of `n` steps on a fresh storage: milliseconds a step. */
const perStep = <R>(
  layer: Layer.Layer<R>,
  run: (n: number, serial: number) => Effect.Effect<ReadonlyArray<number>, unknown, R>
) =>
async (n: number): Promise<number> => {
  const runs = stepsPerSample / n
  const runtime = ManagedRuntime.make(layer)
  await runtime.context()
  const all = Effect.gen(function*() {
    for (let serial = 0; serial < runs; serial++) {
      const kept = yield* run(n, serial)
      whole(n, kept.length, kept.at(-1))
    }
  })
  const millis = await coreTime(() => runtime.runPromise(all))
  await runtime.dispose()
  return millis / stepsPerSample
}

// ---------------------------------------------------------------------------------------------------
// reprise

const functions = Workflow.make("functions", function*(ctx, n: number) {
  const kept: Array<number> = []
  for (let i = 0; i < n; i++) kept.push(yield* ctx.step(names[i]!, () => i))
  return kept
})

const effects = Workflow.make("effects", function*(ctx, n: number) {
  const kept: Array<number> = []
  for (let i = 0; i < n; i++) kept.push(yield* ctx.step(names[i]!, () => Effect.succeed(i)))
  return kept
})

// ---------------------------------------------------------------------------------------------------
// effect/workflow

const activities = names.map((name, i) =>
  Activity.make({ name, success: Schema.Number, execute: Effect.succeed(i) })
)

const peer = Peer.make("peer", {
  payload: { id: Schema.String, n: Schema.Number },
  success: Schema.Array(Schema.Number),
  idempotencyKey: ({ id }) => id
})

const peerLayer = peer.toLayer(({ n }) =>
  Effect.gen(function*() {
    const kept: Array<number> = []
    for (let i = 0; i < n; i++) kept.push(yield* activities[i]!)
    return kept
  })
).pipe(Layer.provideMerge(WorkflowEngine.layerMemory))

const peerRun = (n: number, serial: number) => peer.execute({ id: `run-${serial}`, n })

// ---------------------------------------------------------------------------------------------------
// stepkit

// The module its package.json names for `import` has imports that Node does not resolve.
const { stepkit } = createRequire(import.meta.url)("stepkit") as typeof import("stepkit")

const pipelineOf = (n: number) => {
  // Its type grows with every step, and the compiler's work with it.
  let pipeline: any = stepkit()
  for (let i = 0; i < n; i++) pipeline = pipeline.step(names[i], () => ({ [names[i]!]: i }))
  return pipeline
}

const pipelines = new Map<number, any>()

/** Copies its whole context at every step, so a few runs fill a sample. */
const stepkitPerStep = async (n: number): Promise<number> => {
  let pipeline = pipelines.get(n)
  if (pipeline === undefined) pipelines.set(n, pipeline = pipelineOf(n))
  const runs = Math.max(1, 1_000 / n)
  let kept: Record<string, unknown> = {}
  const millis = await coreTime(async () => {
    for (let serial = 0; serial < runs; serial++) kept = await pipeline.run({})
  })
  whole(n, Object.keys(kept).length, kept[names[n - 1]!])
  return millis / (n * runs)
}

// ---------------------------------------------------------------------------------------------------

const of = await apart(import.meta.filename, {
  functions: perStep(Storage.layerMemory, (n) => functions.execute(n)),
  effects: perStep(Storage.layerMemory, (n) => effects.execute(n)),
  peer: perStep(peerLayer, peerRun),
  peerUntraced: perStep(
    peerLayer,
    (n, serial) => Effect.withTracerEnabled(peerRun(n, serial), false)
  ),
  stepkit: stepkitPerStep
})

const figures: Array<Figure> = []
const beside = (
  n: number,
  peer: string,
  theirs: ReadonlyArray<number>,
  ours: ReadonlyArray<number>,
  atLeast?: number,
  form = ""
): Figure => ({
  figure: `${n.toLocaleString("en")} steps${form}: times as fast as ${peer}`,
  value: `${show(median(ours))} against ${show(median(theirs))} a step`,
  ratio: ratio(theirs, ours),
  ...(atLeast === undefined ? undefined : { atLeast })
})

for (const n of sizes) {
  const t = await interleave({
    functions: () => of.functions(n),
    peer: () => of.peer(n),
    effects: () => of.effects(n),
    untraced: () => of.peerUntraced(n)
  }, { rounds: 11, warmUp: 4 })
  const atLeast = n === 1_000 ? 6 : undefined
  figures.push(beside(n, "effect/workflow", t.peer, t.functions, atLeast))
  figures.push(beside(n, "effect/workflow", t.peer, t.effects, undefined, ", each an Effect"))
  figures.push(beside(n, "effect/workflow, spans off", t.untraced, t.functions))
}

for (const n of sizes) {
  // A sample of 5,000 steps takes stepkit half a minute.
  const rounds = n === 5_000 ? 1 : 5
  const t = await interleave(
    { functions: () => of.functions(n), stepkit: () => of.stepkit(n) },
    { rounds, warmUp: rounds === 1 ? 0 : 2 }
  )
  figures.push(beside(n, "stepkit", t.stepkit, t.functions, n === 1_000 ? 40 : undefined))
}

const flat = await interleave(
  { short: () => of.functions(100), long: () => of.functions(5_000) },
  { rounds: 15, warmUp: 2 }
)
figures.push({
  figure: "a step of 5,000 against one of 100",
  value: `${show(median(flat.long))} against ${show(median(flat.short))}`,
  ratio: ratio(flat.long, flat.short),
  atMost: 1.3
})

report(figures)
