/**
 * A worker that comes to many runs that were enqueued while none was there: how many it drives in a second of
 * a great backlog, beside a small one. A look at all that is due must not be what it is busy with.
 */
import { ManagedRuntime } from "effect"
import { join } from "node:path"
import { Workflow } from "../../src/index.ts"
import { directory } from "../files.ts"
import { type Figure, rate, report } from "../measure.ts"
import { database } from "../storage/work.ts"
import { copy } from "./copies.ts"
import { amount, type Kind, kinds, pause, storageOf, working } from "./work.ts"

const small = amount(500, 50)
const great = amount(20_000, 200)
/** So long at most is a worker watched. */
const most = 8_000

let ended = 0
const waiting = Workflow.make("waiting", function*(ctx, steps: number) {
  for (let i = 0; i < steps; i++) yield* ctx.step(`step-${i}`, () => i)
  ended++
  return steps
})

const at = directory()
let files = 0

/** Milliseconds a run. */
const drive = async (kind: Kind, backlog: number): Promise<number> => {
  const { drop, url: place } = kind === "SQLite"
    ? { url: join(at, `${++files}.db`), drop: async () => {} }
    : await database()
  const storage = ManagedRuntime.make(storageOf(kind, place))
  await storage.runPromise(waiting.enqueue(3, { runId: "run" }))
  await storage.dispose()
  await copy(kind, place, "run", backlog - 1)
  const runtime = working(storageOf(kind, place), [waiting])
  ended = 0
  const from = performance.now()
  await runtime.context()
  while (ended < backlog && performance.now() - from < most) await pause(5)
  const millis = (performance.now() - from) / Math.max(1, ended)
  await runtime.dispose()
  await drop()
  return millis
}

const figures: Array<Figure> = []
for (const kind of kinds) {
  // What is compiled once is compiled now.
  await drive(kind, small)
  const of = await drive(kind, small)
  const ofGreat = await drive(kind, great)
  figures.push({
    figure: `${kind}: runs of a backlog of ${great.toLocaleString("en")} against one of ${small}`,
    value: `${rate(ofGreat)} against ${rate(of)}`,
    ratio: of / ofGreat
  })
}
report(figures)
