/**
 * A store with 100,000 runs that wait, half of them for an event and half for a timer a year away: the memory
 * that its worker takes beside one on an empty store, how long a whole look for what is due takes, and a
 * thousand timers that go off at one instant, with fresh runs enqueued before and meanwhile.
 *
 * One run of each kind is driven to its wait. The others are its rows once more under other ids, written with
 * SQL: what a store holds of each is the same, without the minutes that driving them would take. Every
 * measurement has a process of its own.
 */
import { Effect, ManagedRuntime, Schema } from "effect"
import { fork } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { Runs, Storage, Worker, Workflow } from "../../src/index.ts"
import { directory } from "../files.ts"
import { type Figure, median, report, show } from "../measure.ts"
import { database } from "../storage/work.ts"
import { copy } from "./copies.ts"
import { amount, type Kind, kinds, pause, storageOf, working } from "./work.ts"

const parked = amount(100_000, 100)
const herd = amount(1_000, 20)
const megabyte = 1 << 20

const waiting = Workflow.make("waiting", {
  input: Schema.Number,
  events: { go: Schema.Void }
}, function*(ctx, until) {
  if (until > 0) yield* ctx.sleepUntil(until)
  else yield* ctx.suspend("go")
  yield* ctx.step("woken", () => woken(until))
})

const fresh = Workflow.make("fresh", function*(ctx, n: number) {
  yield* ctx.step("first", () => began(n))
})

/** When each fresh run came to its first step. */
const firstSteps = new Map<number, number>()
const began = (n: number) => void firstSteps.set(n, performance.now())

/** How much later than its instant each run of the herd came to its step; UTC milliseconds here. */
const late: Array<number> = []
const woken = (until: number) => void late.push(Date.now() - until)

const workflows = [waiting, fresh]

// ---------------------------------------------------------------------------------------------------
// the processes

const tasks = {
  /** Memory of a worker that has looked at the store a few times. */
  memory: async (kind: Kind, place: string) => {
    setFlagsFromString("--expose-gc")
    const collect = runInNewContext("gc") as () => void
    const runtime = working(storageOf(kind, place), workflows, { poll: 200 })
    let looks = 0
    let last: number | undefined
    while (looks < 6) {
      const { lookedAt } = await runtime.runPromise(Worker.health)
      if (lookedAt !== last) looks++
      last = lookedAt
      await pause(50)
    }
    for (let i = 0; i < 3; i++) {
      await pause(20)
      collect()
    }
    const { heapUsed, rss } = process.memoryUsage()
    return { heapUsed, rss }
  },
  /** Milliseconds of a look for what is due, and of one for the next timer: the first, and the others' median. */
  look: async (kind: Kind, place: string) => {
    const runtime = ManagedRuntime.make(storageOf(kind, place))
    const storage = await runtime.runPromise(Storage.Storage)
    const due: Array<number> = []
    const nextWake: Array<number> = []
    for (let i = 0; i < 21; i++) {
      const from = performance.now()
      const found = await runtime.runPromise(storage.due(Date.now()))
      const between = performance.now()
      if (found.length > 0) throw new Error(`${found.length} runs are due.`)
      await runtime.runPromise(storage.nextWake(Date.now()))
      due.push(between - from)
      nextWake.push(performance.now() - between)
    }
    return {
      due: median(due.slice(1)),
      first: due[0]!,
      nextWake: median(nextWake.slice(1))
    }
  },
  /** The herd, and how long fresh runs wait for their first step before it and meanwhile. */
  herd: async (kind: Kind, place: string, instant: number) => {
    const runtime = working(storageOf(kind, place), workflows)
    await runtime.context()
    let serial = 0
    /** A fresh run every 20 ms, whatever becomes of those before it; gives their delays. */
    const probe = async (goesOn: () => boolean) => {
      const enqueued = new Map<number, number>()
      while (goesOn()) {
        const n = ++serial
        enqueued.set(n, performance.now())
        void runtime.runPromise(fresh.enqueue(n, { runId: `fresh-${n}` }))
        await pause(20)
      }
      while (!Array.from(enqueued.keys()).every((n) => firstSteps.has(n))) await pause(5)
      return Array.from(enqueued, ([n, at]) => firstSteps.get(n)! - at)
    }
    // What is compiled once is compiled now.
    const warm = Date.now() + 300
    await probe(() => Date.now() < warm)

    const before = await probe(() => Date.now() < instant - 100)
    if (before.length < 10) throw new Error("The timers went off too early.")
    while (Date.now() < instant) await pause(1)
    const meanwhile = await probe(() => late.length < herd)
    const due = await runtime.runPromise(Runs.due())
    return {
      over: Math.max(...late),
      before: median(before),
      meanwhile: median(meanwhile),
      worst: Math.max(...meanwhile),
      left: due.length
    }
  }
}
type Tasks = typeof tasks
type Task = keyof Tasks

interface Asked {
  readonly task: Task
  readonly kind: Kind
  readonly place: string
  /** When the timers of a herd go off; UTC milliseconds. */
  readonly instant: number
}

if (process.env.BENCH_PARKED !== undefined) {
  const { instant, kind, place, task } = JSON.parse(process.env.BENCH_PARKED) as Asked
  process.send?.(await tasks[task](kind, place, instant))
  process.disconnect?.()
  process.exit()
}

const inProcess = async <T extends Task>(
  task: T,
  kind: Kind,
  place: string,
  instant = 0
): Promise<Awaited<ReturnType<Tasks[T]>>> => {
  const asked: Asked = { task, kind, place, instant }
  const child = fork(import.meta.filename, {
    env: { ...process.env, BENCH_PARKED: JSON.stringify(asked) }
  })
  const exited = once(child, "exit")
  const [answer] = await Promise.race([
    once(child, "message"),
    exited.then(([code]) => Promise.reject(new Error(`"${task}" ended with ${code}.`)))
  ])
  await exited
  return answer
}

// ---------------------------------------------------------------------------------------------------
// the stores

const aYear = 365 * 86_400_000

/** Drives a run to its wait, for an event or until an instant. */
const park = async (kind: Kind, place: string, runId: string, until: number): Promise<void> => {
  const runtime = ManagedRuntime.make(storageOf(kind, place))
  const { status } = await runtime.runPromise(
    // However soon it is.
    Effect.provideService(waiting.start(until, { runId }), Workflow.ShortWait, 0)
  )
  if (status !== "suspended") throw new Error(`A run is ${status}.`)
  await runtime.dispose()
}

const at = directory()
let files = 0

/** Adds runs that wait as one does that is driven there. */
const add = async (
  kind: Kind,
  place: string,
  { name, runs, until }: { readonly name: string; readonly runs: number; readonly until: number }
): Promise<void> => {
  await park(kind, place, name, until)
  await copy(kind, place, name, runs - 1)
}

const store = async (kind: Kind, runs: number) => {
  const { drop, url: place } = kind === "SQLite"
    ? { url: join(at, `${++files}.db`), drop: async () => {} }
    : await database()
  const until = Date.now() + aYear
  await add(kind, place, { name: "for-an-event", runs: runs / 2, until: 0 })
  await add(kind, place, { name: "for-a-timer", runs: runs / 2, until })
  return { place, drop }
}

/** The herd in a store, where a worker is at home when its timers go off. */
const herdIn = async (kind: Kind, place: string) => {
  const instant = Date.now() + 6_000
  await add(kind, place, { name: "herd", runs: herd, until: instant })
  return await inProcess("herd", kind, place, instant)
}

const of = (kind: Kind): string => `${kind}, ${parked.toLocaleString("en")} parked runs`

const measure = async (kind: Kind): Promise<ReadonlyArray<Figure>> => {
  const empty = await store(kind, 4)
  const full = await store(kind, parked)
  const rss: Array<number> = []
  const heap: Array<number> = []
  let last = 0
  for (let round = 0; round < 3; round++) {
    const without = await inProcess("memory", kind, empty.place)
    const beside = await inProcess("memory", kind, full.place)
    rss.push((beside.rss - without.rss) / megabyte)
    heap.push((beside.heapUsed - without.heapUsed) / megabyte)
    last = beside.rss / megabyte
  }
  const emptyLook = await inProcess("look", kind, empty.place)
  const look = await inProcess("look", kind, full.place)
  const alone = await herdIn(kind, empty.place)
  const herded = await herdIn(kind, full.place)
  await empty.drop()
  await full.drop()
  const whole = ({ due, nextWake }: typeof look) => due + nextWake
  const delays = ({ before, meanwhile, worst }: typeof herded) =>
    `${show(before)} before, ${show(meanwhile)} meanwhile, ${show(worst)} at worst`
  if (herded.left + alone.left > 0) throw new Error("Some of the herd were left.")
  return [
    {
      figure: `${of(kind)}: megabytes of the worker above an empty store's`,
      value: `${last.toFixed(0)} MB in all, ${median(heap).toFixed(2)} MB more of heap`,
      ratio: median(rss),
      atMost: 50
    },
    {
      figure: `${of(kind)}: milliseconds of a whole look`,
      value: `due ${show(look.due)} (the first ${show(look.first)}), `
        + `next timer ${show(look.nextWake)}; empty ${show(whole(emptyLook))}`,
      ratio: whole(look)
    },
    {
      figure: `${of(kind)}: ${
        herd.toLocaleString("en")
      } timers of one instant, seconds until the last`,
      value: `${show(herded.over)}; in a store without others ${show(alone.over)}`,
      ratio: herded.over / 1_000,
      atMost: 10
    },
    {
      figure: `${of(kind)}: a fresh run meanwhile, seconds to its first step at worst`,
      value: delays(herded),
      ratio: herded.worst / 1_000,
      atMost: 5
    }
  ]
}

const figures: Array<Figure> = []
for (const kind of kinds) figures.push(...await measure(kind))
report(figures)
