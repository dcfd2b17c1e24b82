/**
 * One run of a workflow through the public API by a client that never gives up: it repeats a call whose
 * process died or whose storage failed, in a new process where needed, and writes down which steps ran.
 */
import { Context, Effect } from "effect"
import type { Recorded } from "../../src/Entry.ts"
import type { StepInfo } from "../../src/Instruction.ts"
import * as Journal from "../../src/Journal.ts"
import * as MemoryDriver from "../../src/MemoryDriver.ts"
import { Storage } from "../../src/Storage.ts"
import type * as Workflow from "../../src/Workflow.ts"
import {
  Died,
  failureOf,
  isDeath,
  type Plan,
  type Process,
  wellDone,
  type World,
  worldOf
} from "./faults.ts"
import { Simulation } from "./simulation.ts"

export const runId = "r1"

type AnyWorkflow = Workflow.Workflow<any, any, any, any, any>
type Answer = Workflow.Result<any, any> | string | undefined

/** What a client does next, after `n` calls that were answered; undefined when it is done. */
export type Script = (
  n: number,
  answer: Answer,
  workflow: AnyWorkflow
) => Effect.Effect<unknown, unknown, Storage> | undefined

export interface Scenario {
  /** Whether the body does one thing after the other, so that its journal is always the same. */
  readonly sequential: boolean
  /** `did` is to be called by every step. */
  readonly make: (did: (info: StepInfo) => void) => AnyWorkflow
  readonly script: Script
}

/** What a trial left behind. */
export interface Left {
  /** The last answer. */
  readonly answer: unknown
  readonly journal: ReadonlyArray<Recorded>
  readonly rejected: number
  /** Lines that some process was told are durable, and that are not in the journal. */
  readonly lost: ReadonlyArray<string>
  /** Steps that ran although their outcome had been acknowledged. */
  readonly reran: ReadonlyArray<string>
  /** Steps of a sequential body that ran before the outcome of the step before was durable. */
  readonly early: ReadonlyArray<string>
  /** How often each step ran. */
  readonly ran: Readonly<Record<string, number>>
  readonly processes: number
  /** What the code makes of the journal. */
  readonly replayed: string
}

const isStepOf = (id: string) => {
  const start = `{"type":"step","stepId":${JSON.stringify(id)},`
  return (line: string) => line.startsWith(start)
}

/** Runs a scenario; the `n`th process fails as `plans[n]` says, later ones do not. */
export const attempt = (
  scenario: Scenario,
  plans: ReadonlyArray<Plan> = [],
  world: World = worldOf(MemoryDriver.make())
): Left => {
  const simulation = new Simulation()
  const ran: Record<string, number> = {}
  const reran: Array<string> = []
  const early: Array<string> = []
  let processes = 0
  let current: Process
  const next = () => {
    current = world.process(plans[processes++] ?? wellDone)
  }
  next()
  const workflow = scenario.make(({ stepId }) => {
    if (!current.isAlive()) throw new Died()
    if (scenario.sequential) {
      const durable = Effect.runSync(world.under.read(runId)).text.split("\n")
      const before = Object.keys(ran).filter((id) => id !== stepId)
      if (!before.every((id) => durable.some(isStepOf(id)))) early.push(stepId)
    }
    ran[stepId] = (ran[stepId] ?? 0) + 1
    if (world.acknowledged(runId).some(isStepOf(stepId))) reran.push(stepId)
  })
  const services = () => Context.make(Storage, current.storage)
  let answer: Answer
  let failures = 0
  for (let n = 0;;) {
    const call = scenario.script(n, answer, workflow)
    if (call === undefined) break
    const exit = simulation.run(call, services())
    const failure = failureOf(exit)
    if (isDeath(exit)) next()
    else if (exit._tag === "Success") {
      const value = exit.value as Answer
      if (typeof value === "object" && value.status === "running") {
        // The lease of someone who cannot give it back: it runs out.
        if (++failures > 200) throw new Error("it is never free")
        simulation.pass(20_000)
      } else {
        answer = value
        n++
      }
    } else if ((failure as { _tag?: string } | undefined)?._tag === "StorageError") {
      if (++failures > 200) throw new Error("the client gives up")
    } else throw new Error(`call ${n} failed: ${String(exit.cause)}`)
  }
  const { text } = simulation.get(world.under.read(runId), Context.empty())
  const read = Journal.read(runId, text)
  if (read._tag === "Failure") throw read.failure
  const lines = new Set(text.split("\n"))
  return {
    answer,
    journal: read.success.entries,
    rejected: read.success.rejected,
    lost: world.acknowledged(runId).filter((line) => !lines.has(line)),
    reran,
    early,
    ran,
    processes,
    replayed: workflow.replay(read.success)._tag
  }
}

/** Outcomes by step id, as they stand in a journal. */
export const outcomes = (journal: ReadonlyArray<Recorded>): Readonly<Record<string, string>> =>
  Object.fromEntries(
    journal.flatMap((entry) =>
      entry.type === "step"
        ? [[entry.stepId, JSON.stringify([entry.result, entry.error, entry.declared])]]
        : []
    )
  )

const envelope = new Set([
  "session",
  "offset",
  "timestamp",
  "incarnation",
  "writer",
  "prev",
  "sum",
  "duration"
])

/** What a journal says beside who wrote it and when; `start` entries are left out. */
export const story = (journal: ReadonlyArray<Recorded>): ReadonlyArray<string> =>
  journal.filter(({ type }) => type !== "start").map((entry) =>
    JSON.stringify(
      entry,
      (key, value: unknown) => envelope.has(key) || key === "since" ? undefined : value
    )
  )
