/**
 * Pipelines beside `stepkit`: a context that grows by one key with every step, a checkpoint that is read
 * once, and a run that goes on from it.
 *
 * Each side has a process of its own. Ours journals every step, in memory; theirs keeps nothing. stepkit
 * copies its whole context at every step, so its 5,000 steps are left out: they take minutes.
 */
import { Effect } from "effect"
import { createRequire } from "node:module"
import { Pipeline } from "../src/index.ts"
import { apart, coreTime, type Figure, interleave, median, ratio, report, show } from "./measure.ts"

/** Loads as CommonJS only: its ES module entry does not. */
const { stepkit } = createRequire(import.meta.url)("stepkit") as { readonly stepkit: () => any }

const names = Array.from({ length: 5_000 }, (_, i) => `step-${i}`)

// Its type grows with every step, and the compiler's work with it.
const built = (empty: any, n: number) => {
  let pipeline = empty
  for (let i = 0; i < n; i++) pipeline = pipeline.step(names[i], () => ({ [names[i]!]: i }))
  return pipeline
}

interface Side {
  readonly of: (n: number) => any
  readonly run: (pipeline: any, options: object) => Promise<object>
  readonly resume: (pipeline: any, checkpoint: string) => Promise<object>
}

const side = (empty: () => any, promised: (result: any) => Promise<object>): Side => {
  const known = new Map<number, any>()
  return {
    of: (n) => {
      if (!known.has(n)) known.set(n, built(empty(), n))
      return known.get(n)
    },
    run: (pipeline, options) => promised(pipeline.run({}, options)),
    resume: (pipeline, checkpoint) => promised(pipeline.runCheckpoint(checkpoint))
  }
}

const sides = {
  ours: side(() => Pipeline.make("bench"), (effect) => Effect.runPromise(effect)),
  stepkit: side(stepkit, (promise) => promise)
}

/** Anything less would be fast for the wrong reason. */
const whole = (n: number, kept: object): void => {
  const { length } = Object.keys(kept)
  if (length !== n) throw new Error(`Kept ${length} of ${n}.`)
}

/** Milliseconds a step, with a checkpoint read behind the last. */
const live = async ({ of, run }: Side, n: number): Promise<number> => {
  const pipeline = of(n)
  const runs = Math.max(1, Math.floor(5_000 / n))
  const millis = await coreTime(async () => {
    for (let serial = 0; serial < runs; serial++) {
      let checkpoint = ""
      const kept = await run(pipeline, {
        onStepComplete: (event: { readonly stepName: string; readonly checkpoint: string }) => {
          if (event.stepName === names[n - 1]) checkpoint = event.checkpoint
        }
      })
      whole(n, kept)
      if (checkpoint === "") throw new Error("There is no checkpoint.")
    }
  })
  return millis / (n * runs)
}

const checkpoints = new Map<string, string>()

/** Milliseconds to go on behind `done` of `n` steps. */
const resumed = async (
  { of, resume, run }: Side,
  [done, n]: readonly [done: number, n: number]
): Promise<number> => {
  const pipeline = of(n)
  const key = `${done}/${n}`
  if (!checkpoints.has(key)) {
    await run(pipeline, {
      onStepComplete: (event: { readonly stepName: string; readonly checkpoint: string }) => {
        if (event.stepName === names[done - 1]) checkpoints.set(key, event.checkpoint)
      }
    })
  }
  const checkpoint = checkpoints.get(key)!
  const times = 50
  const millis = await coreTime(async () => {
    for (let k = 0; k < times; k++) whole(n, await resume(pipeline, checkpoint))
  })
  return millis / times
}

type Task = { readonly live: number } | { readonly resumed: readonly [number, number] }

const doing = (of: Side) => (task: Task) =>
  "live" in task ? live(of, task.live) : resumed(of, task.resumed)

const of = await apart(import.meta.filename, {
  ours: doing(sides.ours),
  stepkit: doing(sides.stepkit)
})

const figures: Array<Figure> = []

const beside = async (figure: string, task: Task, rounds: number, atLeast?: number) => {
  const t = await interleave(
    { ours: () => of.ours(task), stepkit: () => of.stepkit(task) },
    { rounds, warmUp: 2 }
  )
  figures.push({
    figure: `${figure}: times as fast as stepkit`,
    value: `${show(median(t.ours))} against ${show(median(t.stepkit))}`,
    ratio: ratio(t.stepkit, t.ours),
    ...(atLeast === undefined ? undefined : { atLeast })
  })
}

await beside("pipeline of 100 steps, a checkpoint read", { live: 100 }, 5)
await beside("pipeline of 1,000 steps, a checkpoint read", { live: 1_000 }, 5, 10)
await beside("behind 1,000 steps, ten more to go", { resumed: [1_000, 1_010] }, 7, 3)
await beside("behind 1,000 steps, one more to go", { resumed: [1_000, 1_001] }, 7)
await beside("behind 500 of 1,000 steps", { resumed: [500, 1_000] }, 3)

const grown = await interleave(
  { few: () => of.ours({ live: 100 }), many: () => of.ours({ live: 5_000 }) },
  { rounds: 9, warmUp: 3 }
)
figures.push({
  figure: "pipeline: a step of 5,000 against one of 100",
  value: `${show(median(grown.many))} against ${show(median(grown.few))}`,
  ratio: ratio(grown.many, grown.few),
  atMost: 1.5
})

report(figures)
