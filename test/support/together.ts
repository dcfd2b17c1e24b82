/**
 * Programs that run beside each other, each in a process of its own that may die at any of its writes and
 * is begun anew: under the guard, with every append replayed and compared.
 */
import { Cause, Context, Effect, Exit, Result } from "effect"
import { Runs, Storage, Workflow } from "reprise"
import * as MemoryDriver from "../../src/MemoryDriver.ts"
import { type Call, type Fate, type Plan, wellDone, worldOf } from "./faults.ts"
import { Simulation } from "./simulation.ts"

export type Program = Effect.Effect<unknown, unknown, Storage.Storage>

export const checked = Context.make(Workflow.Guard, { slices: true, shadow: true })

/** Runs a program with a storage and a time of its own, every append replayed and compared. */
export const run = <A>(program: Effect.Effect<A, unknown, Storage.Storage>): A => {
  const driver = Storage.memoryDriver()
  let asked = 0
  const storage = Storage.make({
    ...driver,
    // Whoever asks for a lease again and again without waiting would never let the others run.
    acquire: (...args) =>
      ++asked > 1_000
        ? Effect.die(new Error("asks for the lease all the time"))
        : driver.acquire(...args)
  })
  const exit = new Simulation().run(program, Context.add(checked, Storage.Storage, storage))
  if (Exit.isSuccess(exit)) return exit.value
  throw Cause.squash(exit.cause)
}

export const entriesOf = (runId: string) =>
  Effect.map(Runs.journal(runId), ({ entries }) => entries)

/** A journal in brief: types, and what they are about. */
export const storyOf = (runId: string) =>
  Effect.map(
    entriesOf(runId),
    (entries) =>
      entries.filter(({ type }) => type !== "start" && type !== "suspend").map((entry) =>
        "stepId" in entry ? `${entry.type} ${entry.stepId}` : entry.type
      )
  )

export interface Survived {
  readonly value: unknown
  readonly get: <A>(program: Effect.Effect<A, unknown, Storage.Storage>) => A
}

/** Programs beside each other, each in a process of its own that is begun anew when it dies; over with the first. */
export const together = (
  programs: ReadonlyArray<Program>,
  plans: ReadonlyArray<Plan>
): Survived => {
  const simulation = new Simulation()
  const world = worldOf(MemoryDriver.make())
  const begin = (program: Program, plan: Plan) => {
    const process = world.process(plan)
    const services = Context.add(checked, Storage.Storage, process.storage)
    return { program, process, fiber: simulation.fork(program, services) }
  }
  const all = programs.map((program, k) => begin(program, plans[k] ?? wellDone))
  for (let ticks = 0; ticks < 10_000; ticks++) {
    simulation.settle()
    const dead = all.findIndex(({ process }) => !process.isAlive())
    if (dead >= 0) {
      all[dead]!.fiber.interruptUnsafe()
      all[dead] = begin(all[dead]!.program, wellDone)
      continue
    }
    const exits = all.map(({ fiber }) => fiber.pollUnsafe())
    for (const exit of exits) {
      if (exit !== undefined && Exit.isFailure(exit)) throw Cause.squash(exit.cause)
    }
    const [first] = exits
    if (first !== undefined && Exit.isSuccess(first)) {
      const storage = Storage.make(world.under)
      return {
        value: first.value,
        get: (program) => {
          const exit = simulation.run(program, Context.add(checked, Storage.Storage, storage))
          if (Exit.isSuccess(exit)) return exit.value
          throw Cause.squash(exit.cause)
        }
      }
    }
    if (!simulation.tick()) throw new Error("everybody waits for nothing")
  }
  throw new Error("it never ends")
}

/** Lets the `k`th program die at each of its writes: before it, behind it, and between its lines. */
export const everywhere = (
  programs: ReadonlyArray<Program>,
  k: number,
  check: (survived: Survived) => void
): number => {
  const calls: Array<Call> = []
  const plansOf = (plan: Plan) => programs.map((_, n) => n === k ? plan : wellDone)
  check(
    together(
      programs,
      plansOf((call) => {
        if (call.verb === "append" || call.verb === "post") calls.push(call)
        return "done"
      })
    )
  )
  const dying = (nth: number, fate: Fate): Plan => {
    let n = 0
    return (call) => (call.verb === "append" || call.verb === "post") && n++ === nth ? fate : "done"
  }
  calls.forEach(({ lines, verb }, nth) => {
    const within = Array.from({ length: lines - 1 }, (_, n): Fate => ({ diesWithin: n + 1 }))
    for (const fate of ["dies before", "dies after", ...within] as ReadonlyArray<Fate>) {
      const where = `process ${k}, write ${nth} (${verb}): ${JSON.stringify(fate)}`
      try {
        check(together(programs, plansOf(dying(nth, fate))))
      } catch (error) {
        throw new Error(`${where}: ${String(error)}`, { cause: error })
      }
    }
  })
  return calls.length
}

/** What a program fails with. */
export const failureOf = <A>(program: Effect.Effect<A, unknown, Storage.Storage>) =>
  Effect.map(Effect.result(program), (result) => {
    if (Result.isSuccess(result)) throw new Error(`no failure: ${JSON.stringify(result.success)}`)
    return result.failure
  })
