/**
 * How soon an idle worker goes on: from a call of `enqueue` to the first step, from a call of `send` to the
 * next one, and from the instant of a timer to the step behind it.
 */
import { Schema } from "effect"
import { join } from "node:path"
import { Workflow } from "../../src/index.ts"
import { directory } from "../files.ts"
import { type Figure, median, report, show } from "../measure.ts"
import { database } from "../storage/work.ts"
import { amount, type Kind, pause, storageOf, working } from "./work.ts"

/** When the worker last came to a step. */
let steppedAt = 0
const step = () => {
  steppedAt = performance.now()
}

const stepped = Workflow.make("stepped", {
  input: Schema.Number,
  events: { go: Schema.Void }
}, function*(ctx, millis) {
  yield* ctx.step("first", step)
  if (millis > 0) yield* ctx.sleep(millis)
  else yield* ctx.suspend("go")
  yield* ctx.step("second", step)
})

const stepBehind = async (before: number): Promise<number> => {
  while (steppedAt === before) await pause(1)
  return steppedAt
}

/** Milliseconds from a call's start to the step that follows from it. */
const delayOf = async (call: () => Promise<unknown>): Promise<number> => {
  const before = steppedAt
  const from = performance.now()
  await call()
  return await stepBehind(before) - from
}

const delays = async (
  kind: Kind,
  place: string,
  most: number
): Promise<ReadonlyArray<Figure>> => {
  const runtime = working(storageOf(kind, place), [stepped])
  await runtime.context()
  let serial = 0
  const enqueued: Array<number> = []
  const posted: Array<number> = []
  const late: Array<number> = []
  // The first ones compile what the others use.
  const warmUp = amount(10)
  for (let n = -warmUp; n < amount(100, 5); n++) {
    const runId = `posted-${++serial}`
    const first = await delayOf(() => runtime.runPromise(stepped.enqueue(0, { runId })))
    await pause(20)
    const second = await delayOf(() => runtime.runPromise(stepped.send(runId, { eventName: "go" })))
    await pause(20)
    if (n < 0) continue
    enqueued.push(first)
    posted.push(second)
  }
  for (let n = 0; n < amount(20, 3); n++) {
    // Of other lengths, so that no poll comes at the same place in each.
    const millis = 150 + 37 * (n % 8)
    const runId = `timed-${++serial}`
    await delayOf(() => runtime.runPromise(stepped.enqueue(millis, { runId })))
    const first = steppedAt
    late.push(await stepBehind(first) - first - millis)
  }
  await runtime.dispose()
  const figure = (what: string, of: ReadonlyArray<number>, atMost: number): Figure => ({
    figure: `${kind}: ${what}, milliseconds`,
    value: `median of ${of.length}, at worst ${show(Math.max(...of))}`,
    ratio: median(of),
    atMost
  })
  return [
    figure("from enqueue to the first step", enqueued, most),
    figure("from a post to the next step", posted, most),
    figure("a timer goes off late by", late, 20)
  ]
}

const { drop, url } = await database()
const figures = [
  ...await delays("SQLite", join(directory(), "runs.db"), 5),
  ...await delays("Postgres", url, 15)
]
await drop()
report(figures)
