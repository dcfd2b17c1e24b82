/**
 * A place where chaos is made: a database, the processes on it, and the log that they share. It owns starting and
 * ending these, and reading what they said; the tests say what must come of it.
 */
import { expect } from "@effect/vitest"
import { Effect } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { type Journal, Runs, Storage } from "reprise"
import { temporary } from "../../storage/support/local.ts"
import { patience } from "../../support/amount.ts"
import { driverOf, type Kind } from "./sqlStores.ts"
import { type Did, makeWorkflows, type Options, script, type Task } from "./workerChaosProcess.ts"

const cache = join(temporary(), "cache")

// Nothing is done here: this process only enqueues, posts and looks.
export const workflows = makeWorkflows(() => "nobody")

export interface Process {
  readonly child: ChildProcess
  readonly pid: string
  /** It has looked at all that is due, or is gone. */
  readonly ready: Promise<unknown>
  isReady: boolean
  /** How it ended: its code, or the signal. */
  readonly ended: Promise<string>
}

/** A line about a step. `at` is its place in the log. */
export interface Line {
  readonly at: number
  readonly runId: string
  readonly step: string
  readonly by: string
  readonly pid: string
  /** Of who did it; acknowledgements have none. */
  readonly fence: number
}

/** What every process of a place has in common. */
export type Common = Pick<Options, "kind" | "place"> & Partial<Options>

export const isAlive = ({ child }: Process): boolean =>
  child.exitCode === null && child.signalCode === null

/** Processes that end with the scope, and the log that they write. */
export const makeProcesses = Effect.fnUntraced(function*(common: Common) {
  const log = join(temporary(), "log")
  const started = new Set<Process>()
  yield* Effect.addFinalizer(() =>
    Effect.promise(async () => {
      for (const { child } of started) child.kill("SIGKILL")
      await Promise.all(Array.from(started, ({ ended }) => ended))
    })
  )
  const start = (options: Partial<Options> = {}): Process => {
    const whole: Options = {
      log,
      ahead: 0,
      concurrency: 8,
      poll: 100,
      limits: {},
      opens: "driver",
      tellsLooks: false,
      tasks: undefined,
      ...common,
      ...options
    }
    const child = spawn(
      process.execPath,
      ["--conditions=reprise-source", script, JSON.stringify(whole)],
      {
        stdio: ["ignore", "pipe", "inherit", "ipc"],
        env: { ...process.env, NODE_COMPILE_CACHE: cache }
      }
    )
    const ended = once(child, "exit").then(([code, signal]) => String(signal ?? code))
    const one: Process = {
      child,
      pid: String(child.pid),
      isReady: false,
      ready: Promise.race([once(child.stdout!, "data"), ended]).then(() => {
        one.isReady = true
      }),
      ended
    }
    started.add(one)
    return one
  }
  const lines = () => (existsSync(log) ? readFileSync(log, "utf8") : "").split("\n")
  /** Of every line that begins with `what`, the words behind it. */
  const words = (what: string) =>
    lines().flatMap((line) => line.startsWith(`${what} `) ? [line.split(" ").slice(1)] : [])
  const stepsOf = (what: "did" | "ack"): ReadonlyArray<Line> =>
    lines().flatMap((line, at) => {
      const [kind, runId = "", step = "", by = "", fence] = line.split(" ")
      return kind === what
        ? [{ at, runId, step, by, pid: by.split(".")[0]!, fence: Number(fence) }]
        : []
    })
  return { start, words, stepsOf }
})

/** Processes, with the storage that this one looks at what they do through. */
export const makePlace = Effect.fnUntraced(function*(
  kind: Kind,
  place: string,
  known?: Effect.Success<ReturnType<typeof makeProcesses>>
) {
  const processes = known ?? (yield* makeProcesses({ kind, place }))
  const storage = Storage.make(yield* driverOf(kind, place))
  return { ...processes, storage, provided: Effect.provideService(Storage.Storage, storage) }
})

export type Place = Effect.Success<ReturnType<typeof makePlace>>

/** Waits until it is so; the test fails when that is never. */
export const until = (what: string, isSo: () => boolean) =>
  Effect.gen(function*() {
    while (!isSo()) yield* Effect.sleep(20)
  }).pipe(Effect.timeoutOrElse({
    duration: patience * 0.75,
    orElse: () => Effect.die(new Error(`it never came to this: ${what}`))
  }))

export const ready = (processes: ReadonlyArray<Process>) =>
  Effect.promise(() => Promise.all(processes.map((one) => one.ready)))

/** Waits until all of them have ended, and well. */
export const untilEnded = (place: Place, runIds: ReadonlyArray<string>) => {
  const open = new Map<string, string>(runIds.map((runId) => [runId, "unknown"]))
  return Effect.gen(function*() {
    const look = (runId: string) =>
      place.provided(Runs.status(runId)).pipe(
        Effect.map(({ status }): string => status),
        // Not there yet: who enqueues may still be at it.
        Effect.catchTag("RunNotFound", () => Effect.succeed("absent")),
        Effect.map((status) => {
          if (status === "success") open.delete(runId)
          else open.set(runId, status)
        })
      )
    while (open.size > 0) {
      yield* Effect.forEach(Array.from(open.keys()), look, { concurrency: 8, discard: true })
      if (open.size > 0) yield* Effect.sleep(100)
    }
  }).pipe(Effect.timeoutOrElse({
    duration: patience * 0.75,
    orElse: () => Effect.die(new Error(`these do not end: ${JSON.stringify(Array.from(open))}`))
  }))
}

const outcomesOf = ({ entries }: Journal.Journal) =>
  entries.flatMap((entry) =>
    entry.type === "step"
      ? [{ step: entry.stepId, by: (entry.result as unknown as Did).by }]
      : []
  )

/** All lines about steps, by run. */
export interface Told {
  readonly did: ReadonlyMap<string, ReadonlyArray<Line>>
  readonly ack: ReadonlyMap<string, ReadonlyArray<Line>>
}

const byRun = (lines: ReadonlyArray<Line>) => {
  const found = new Map<string, Array<Line>>()
  for (const line of lines) {
    const known = found.get(line.runId)
    if (known === undefined) found.set(line.runId, [line])
    else known.push(line)
  }
  return found
}

/** Reads the log once, when all is over. */
export const toldOf = ({ stepsOf }: Place): Told => ({
  did: byRun(stepsOf("did")),
  ack: byRun(stepsOf("ack"))
})

/**
 * Of an ended order the journal, its sums, its replay, its result and what was told of it say the same; nothing was
 * told twice; and a resource that heeds the fence let nobody do again what was told. Gives what the log has of it.
 */
export const check = Effect.fnUntraced(function*(
  place: Place,
  { ack, did }: Told,
  { asks, id, n }: Task
) {
  const journal = yield* place.provided(Runs.journal(id))
  const { rejected, torn } = journal
  expect({ id, rejected, torn }).toEqual({ id, rejected: 0, torn: 0 })
  const result = n + 2 + (asks ? 10 : 0)
  expect({ id, replayed: workflows.order.replay(journal) })
    .toEqual({ id, replayed: { _tag: "Returned", value: result } })
  expect(yield* place.provided(Runs.status(id))).toMatchObject({ status: "success", result })
  const outcomes = outcomesOf(journal)
  expect({ id, steps: outcomes.map(({ step }) => step) }).toEqual({
    id,
    steps: ["a", "b", "c", "d"]
  })
  const acks = ack.get(id) ?? []
  expect({ id, twice: acks.length - new Set(acks.map(({ step }) => step)).size })
    .toEqual({ id, twice: 0 })
  for (const { by, step } of acks) expect(outcomes).toContainEqual({ step, by })
  const done = did.get(id) ?? []
  for (const outcome of outcomes) {
    expect(done.map(({ by, step }) => ({ step, by }))).toContainEqual(outcome)
  }
  let highest = 0
  const letIn = done.filter(({ fence }) => {
    expect(fence).toBeGreaterThan(0)
    highest = Math.max(highest, fence)
    return fence === highest
  })
  for (const { at, step } of acks) {
    expect({ id, again: letIn.filter((line) => line.step === step && line.at > at) })
      .toEqual({ id, again: [] })
  }
  return { journal, outcomes, done, refused: done.length - letIn.length }
})
