/**
 * Runs that begin by the calendar: the front of `schedules/`, where a schedule is a durable run.
 *
 * It owns what is declared and how it is checked, and the worker that drives the schedules of this process.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Cron from "effect/Cron"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import type * as Instruction from "./Instruction.ts"
import * as RunId from "./RunId.ts"
import type { ReadError } from "./Runs.ts"
import { driving } from "./schedules/Drive.ts"
import {
  type AnyContract,
  begin as beginOne,
  type BeginError,
  type CatchUp,
  current,
  failureOf,
  makeWorkflow,
  nobody,
  type Plan,
  timingOf
} from "./schedules/Run.ts"
import * as Ticks from "./schedules/Ticks.ts"
import { type Loaded, Storage } from "./Storage.ts"
import type * as Worker from "./Worker.ts"

export type { AnyContract, BeginError, CatchUp } from "./schedules/Run.ts"

/** What a workflow takes. */
export type InputOf<W> = W extends Instruction.Callee<infer I, any, any, any> ? I : never

/** What the schemas of workflows need. */
export type ServicesOf<W> = W extends Instruction.Callee<any, any, any, infer C> ? C : never

/** When which workflow is started with what. */
export interface Declared<W extends AnyContract> {
  /** What is started at each tick; a contract without a body will do. */
  readonly workflow: W
  /**
   * Five fields, `minute hour day-of-month month day-of-week`, six with the second in front, or Effect's `Cron`.
   */
  readonly cron: string | Cron.Cron
  /** As `"Europe/Berlin"`; default UTC, whatever zone the machine is in. */
  readonly timeZone?: string | undefined
  /** The input of a tick's run. */
  readonly input: (tick: Date) => InputOf<W>
  /** Stands in the ids of the runs; default: the workflow's. One that has a name keeps it over deploys. */
  readonly name?: string | undefined
  /**
   * What is done with ticks that nobody was there for: `"all"` are run, in order (of more than 1,000 the newest), the
   * `"latest"` one is, which is the default, or `"none"`. A tick is missed that went by before this layer was
   * opened, or more than a minute ago.
   */
  readonly catchUp?: CatchUp | undefined
}

/** Schedules of several workflows, each with the input of its own. */
export type List<L extends ReadonlyArray<AnyContract>> = {
  readonly [K in keyof L]: Declared<L[K]>
}

/** How the schedules of this process are. */
export interface Health extends Worker.Health {
  /** Schedules whose tick cannot be run just now, by name, and why; they are tried again. */
  readonly failing: ReadonlyMap<string, string>
}

/** The schedules of this process. */
export class Schedules extends Context.Service<Schedules, {
  readonly health: Effect.Effect<Health>
  /** The next tick of each schedule, by name; none of one that was cancelled. */
  readonly next: Effect.Effect<ReadonlyMap<string, Date>, ReadError>
}>()("reprise/Schedules") {}

/** How the schedules are. */
export const health: Effect.Effect<Health, never, Schedules> = Effect.flatMap(
  Schedules,
  (schedules) => schedules.health
)

/** The next tick of each schedule, by name; none of one that was cancelled. */
export const next: Effect.Effect<ReadonlyMap<string, Date>, ReadError, Schedules> = Effect.flatMap(
  Schedules,
  (schedules) => schedules.next
)

/**
 * Starts a run at every tick, once: under the id `<name>@<tick>`, over restarts, crashes and deploys, and in however
 * many processes this layer is open. The runs are for whatever worker knows their workflows; what begins them is
 * driven by this layer itself.
 *
 * @example
 * ```ts
 * import { Runs, Schedules, Storage, Worker, Workflow } from "reprise"
 * import { Effect, Layer } from "effect"
 *
 * const report = Workflow.make("report", function*(ctx, day: string) {
 *   return yield* ctx.step("write", () => `report of ${day}`)
 * })
 * const schedules = Schedules.layer([
 *   {
 *     workflow: report,
 *     cron: "0 2 * * *",
 *     timeZone: "Europe/Berlin",
 *     input: (tick) => tick.toISOString().slice(0, 10)
 *   }
 * ])
 * const layer = Layer.merge(schedules, Worker.layer({ workflows: [report] })).pipe(
 *   Layer.provideMerge(Storage.layerMemory)
 * )
 * const program = Effect.gen(function*() {
 *   const next = (yield* Schedules.next).get("report")
 *   return { hour: next?.getMinutes(), schedule: (yield* Runs.status("schedule:report")).runId }
 * })
 * const result = await Effect.runPromise(Effect.provide(program, layer))
 * result // => { hour: 0, schedule: "schedule:report" }
 * ```
 */
export const layer = <const L extends ReadonlyArray<AnyContract>>(
  list: List<L>
): Layer.Layer<Schedules, never, Storage | ServicesOf<L[number]>> =>
  Layer.effect(Schedules, make(plansOf(list)))

/** The workflow of a schedule. */
export type ScheduleWorkflow<R> =
  & Instruction.Callee<any, never, never, never>
  & Instruction.Driven<R>

/** The workflows that schedules are, for a dispatcher of one's own; `begin` starts their runs. */
export const workflows = <const L extends ReadonlyArray<AnyContract>>(
  list: List<L>
): ReadonlyArray<ScheduleWorkflow<Storage | ServicesOf<L[number]>>> =>
  plansOf(list).map((plan) => makeWorkflow(plan, nobody) as unknown as ScheduleWorkflow<any>)

/**
 * Begins the runs of schedules, and tells those that are there of another cron or time zone. `layer` does it when it is
 * opened; for dispatchers of one's own.
 */
export const begin = <const L extends ReadonlyArray<AnyContract>>(
  list: List<L>
): Effect.Effect<void, BeginError, Storage> =>
  Effect.forEach(plansOf(list), beginOne, { discard: true })

// internal

/** So that the numbers of `continueAs` and the tick fit behind it. */
const longestName = 150

const plansOf = (list: ReadonlyArray<Declared<AnyContract>>): ReadonlyArray<Plan> => {
  const plans = list.map(planOf)
  const seen = new Set<string>()
  for (const { name } of plans) {
    if (seen.has(name)) {
      throw new TypeError(
        `Two schedules are called "${name}": give one of them another name: { name: "…" }.`
      )
    }
    seen.add(name)
  }
  return plans
}

const policies: ReadonlyArray<CatchUp> = ["all", "latest", "none"]

const planOf = (
  { catchUp = "latest", cron, input, name: given, timeZone, workflow }: Declared<AnyContract>,
  index: number
): Plan => {
  if (typeof workflow?.enqueue !== "function") {
    throw new TypeError(
      `Schedule ${index + 1}: workflow is ${
        show(workflow)
      }, but must be a workflow or its contract.`
    )
  }
  const name = given ?? workflow.name
  const refuse = (why: string) => new TypeError(`Schedule ${show(name)}: ${why}`)
  if (!RunId.isRunId(name) || name.length > longestName || /\+\d+$/.test(name)) {
    throw refuse(
      `its name must have 1 to ${longestName} printable ASCII characters without "/" and "\\", and must not end in `
        + `"+" and a number.`
    )
  }
  if (typeof input !== "function") {
    throw refuse(`input is ${show(input)}, but must be a function of the tick: (tick) => ….`)
  }
  if (!policies.includes(catchUp)) {
    throw refuse(`catchUp is ${show(catchUp)}, but must be ${policies.map(show).join(", ")}.`)
  }
  const timing = Ticks.timingOf(name, cron, timeZone)
  return { name, runId: `schedule:${name}`, timing, catchUp, workflow, input }
}

const show = (value: unknown): string => JSON.stringify(value) ?? String(value)

const make = Effect.fnUntraced(function*(plans: ReadonlyArray<Plan>) {
  const storage = yield* Storage
  const { seen, worker } = yield* driving(plans, { since: yield* Clock.currentTimeMillis })
  /** Why schedules could not be begun, by name. */
  const notBegun = new Map<string, string>()
  for (const plan of plans) {
    const begun = beginOne(plan).pipe(
      Effect.tap(() => Effect.sync(() => notBegun.delete(plan.name))),
      Effect.tapError(({ message }) => Effect.sync(() => notBegun.set(plan.name, message)))
    )
    // A storage that is away is no reason for a program not to start.
    if (Result.isFailure(yield* Effect.result(begun))) {
      const again = Schedule.spaced("2 seconds")
      yield* Effect.forkScoped(Effect.retry(begun, again))
    }
  }
  const each = <E>(
    look: (plan: Plan, found: Loaded) => void,
    orElse: (plan: Plan, error: ReadError) => Effect.Effect<void, E>
  ) =>
    Effect.forEach(plans, (plan) =>
      Effect.matchEffect(current(plan, seen.get(plan.runId)), {
        onSuccess: (found) =>
          Effect.sync(() => {
            if (found !== undefined) look(plan, found)
          }),
        onFailure: (error) => orElse(plan, error)
      }), { discard: true }).pipe(Effect.provideService(Storage, storage))
  return Schedules.of({
    health: Effect.gen(function*() {
      const failing = new Map(notBegun)
      yield* each(({ name }, found) => {
        const why = failureOf(found)
        if (why !== undefined) failing.set(name, why)
      }, ({ name }, { message }) => Effect.sync(() => void failing.set(name, message)))
      return { ...yield* worker.health, failing }
    }),
    next: Effect.gen(function*() {
      const now = yield* Clock.currentTimeMillis
      const ticks = new Map<string, Date>()
      yield* each(({ name }, found) => {
        const timing = timingOf(found)
        if (timing !== undefined) ticks.set(name, new Date(Ticks.next(Ticks.cronOf(timing), now)))
      }, (_, error) => Effect.fail(error))
      return ticks
    })
  })
})
