/**
 * The durable run that a schedule is: one loop that waits for the next tick, starts the target's run under
 * an id that names the tick, and goes on in a fresh journal now and then. Invariants:
 * T1. A tick's run has the tick in its id, so it is begun once, whoever begins it and however often.
 * T2. How far the loop has come is the last thing that it journals of a tick: what is not journaled is done
 *     again, to no effect.
 * T3. Cron and time zone stand in the input of the run, and change only by a journaled event: processes of
 *     different deploys that drive it agree on its ticks.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import type * as Cron from "effect/Cron"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Chain from "../Chain.ts"
import * as Failure from "../Failure.ts"
import type * as Instruction from "../Instruction.ts"
import { describe } from "../internal/describe.ts"
import * as Journal from "../Journal.ts"
import * as Runs from "../Runs.ts"
import { type Loaded, Storage } from "../Storage.ts"
import * as Workflow from "../Workflow.ts"
import * as Ticks from "./Ticks.ts"

/** What is done with ticks that nobody was there for. */
export type CatchUp = "all" | "latest" | "none"

/** What a schedule starts: a workflow, or its contract. */
export type AnyContract = Instruction.Callee<any, any, any, any> & {
  readonly enqueue: (
    input: any,
    options?: { readonly runId?: string | undefined }
  ) => Effect.Effect<string, unknown, any>
}

/** A schedule that has been looked at. */
export interface Plan {
  readonly name: string
  /** Of the first run; with `continueAs` numbers follow. */
  readonly runId: string
  readonly timing: Ticks.Timing
  readonly catchUp: CatchUp
  readonly workflow: AnyContract
  readonly input: (tick: Date) => unknown
}

/** Who drives a schedule. */
export interface Keeper {
  /** Ticks up to here were missed; UTC milliseconds. */
  readonly since: number
}

/** Drivers that come and go, and of which none knows since when there has been one. */
export const nobody: Keeper = { since: -Infinity }

/** What a journal begins with. */
export interface State {
  readonly timing: Ticks.Timing
  /** Ticks up to here are done; null: those up to the start of the run are none of its own. */
  readonly upTo: string | null
}

/** The id of a tick's run: `nightly@2026-08-06T02:00:00Z`. */
export const tickId = (name: string, tick: number): string =>
  `${name}@${iso(tick).replace(".000Z", "Z")}`

const iso = (millis: number) => new Date(millis).toISOString()

/** As many ticks stand in one journal. */
export const ticksPerJournal = 100

/** As many missed ticks are caught up. */
export const mostMissed = 1_000

/** How many skipped ticks are counted: looking for a tick takes some time. */
const mostCounted = 10_000

/** A tick that is later than this was missed. */
const lateMillis = 60_000

/** The longest time between two tries of what fails. */
const longestPause = 60_000

const TimingSchema = Schema.Struct({
  cron: Schema.String,
  timeZone: Schema.String,
  onDstOverlap: Schema.Literals(["earlier", "later", "both"]),
  and: Schema.Boolean
})

/** The workflow of a schedule. */
export const makeWorkflow = (plan: Plan, keeper: Keeper) =>
  Workflow.make(
    plan.runId,
    { events: { changed: TimingSchema } },
    function*(ctx, state: State): Workflow.Body<never, never, any> {
      const { timing } = state
      let upTo = state.upTo === null ? yield* ctx.now : Date.parse(state.upTo)
      let failures = 0
      const tick = function*(): Workflow.Body<number, never, any> {
        // This process's clock may be behind that of the one which waited.
        const notBefore = yield* ctx.now
        const pause = Math.min(longestPause, 1_000 * 2 ** failures)
        const work = ticked(plan, keeper, { timing, from: upTo, notBefore, pause })
        const done = yield* ctx.step("tick", work)
        upTo = Date.parse(done.upTo)
        failures = done.failed === undefined ? 0 : failures + 1
        return Date.parse(done.next)
      }
      for (let n = 0; n < ticksPerJournal; n++) {
        const next = yield* tick()
        const wait = next - (yield* ctx.now)
        const changed = yield* ctx.suspend("changed", {
          timeout: Math.max(0, wait),
          reason: `goes on at ${iso(next)}`
        })
        if (Option.isSome(changed) && Ticks.textOf(changed.value) !== Ticks.textOf(timing)) {
          // What ticked up to now did so by the old timing.
          yield* tick()
          return yield* ctx.continueAs({ timing: changed.value, upTo: iso(upTo) })
        }
      }
      return yield* ctx.continueAs({ timing, upTo: iso(upTo) })
    }
  )

/** What a look at what is due comes to. */
interface Ticked {
  /** Ticks up to here are done. */
  readonly upTo: string
  /** When to look again: at the next tick, or when what failed is to be tried again. */
  readonly next: string
  readonly enqueued: ReadonlyArray<string>
  /** Why not all that is due could be begun. */
  readonly failed?: string
}

interface Since {
  readonly timing: Ticks.Timing
  readonly from: number
  readonly notBefore: number
  /** How long to wait when it fails. */
  readonly pause: number
}

/** Begins the runs of what is due. It does not fail: a tick that cannot be run must not end its schedule. */
const ticked = (
  plan: Plan,
  keeper: Keeper,
  { from, notBefore, pause, timing }: Since
): Effect.Effect<Ticked, never, any> =>
  Effect.gen(function*() {
    const now = Math.max(yield* Clock.currentTimeMillis, notBefore)
    const enqueued: Array<string> = []
    const exit = yield* Effect.exit(Effect.gen(function*() {
      const cron = Ticks.cronOf(timing)
      const ticks = yield* due(plan, keeper, cron, from, now)
      for (const at of ticks) enqueued.push(yield* enqueue(plan, at))
      const done = Math.max(from, now)
      return { upTo: iso(done), next: iso(Ticks.next(cron, done)), enqueued }
    }))
    if (Exit.isSuccess(exit)) return exit.value
    if (Cause.hasInterruptsOnly(exit.cause)) return yield* Effect.interrupt
    yield* Effect.logError(`Schedule "${plan.name}" does not go on, and tries again`, exit.cause)
    const failed = describe(Failure.ofCause(exit.cause).error).message
    return { upTo: iso(from), next: iso(now + pause), enqueued, failed }
  })

/** The ticks behind `from`, up to `now`, that are to be run. */
const due = Effect.fnUntraced(function*(
  { catchUp, name }: Plan,
  { since }: Keeper,
  cron: Cron.Cron,
  from: number,
  now: number
) {
  if (Ticks.next(cron, from) > now) return []
  // Somebody was there for these: that he was slow, or has died meanwhile, is no reason to leave one out.
  const inTime = Math.max(from, since, now - lateMillis)
  const fresh = inTime < now ? Ticks.newest(cron, inTime, now, mostMissed) : []
  if (catchUp === "none") return fresh
  if (catchUp === "latest") return fresh.length > 0 ? fresh : Ticks.newest(cron, from, now, 1)
  const all = Ticks.newest(cron, from, now, mostMissed)
  if (all.length === mostMissed) {
    const skipped = Ticks.count(cron, from, all[0]!, mostCounted)
    if (skipped > 0) {
      const many = skipped === mostCounted ? `${skipped} or more` : String(skipped)
      yield* Effect.logWarning(
        `Schedule "${name}" missed more ticks than it catches up: ${many} before ${
          iso(all[0]!)
        } are skipped`
      )
    }
  }
  return all
})

/** Records the run of a tick, unless there is one; gives its id. */
const enqueue = (
  { input, name, workflow }: Plan,
  tick: number
): Effect.Effect<string, unknown, Storage> => {
  const runId = tickId(name, tick)
  return Effect.catch(
    Effect.suspend(() => workflow.enqueue(input(new Date(tick)), { runId })),
    // It was begun before this code: with another input, by another version, for another workflow.
    (error) => isThere(error) ? Effect.succeed(runId) : Effect.fail(error)
  )
}

const isThere = (error: unknown) =>
  ["RunExists", "VersionMismatch", "JournalCorrupt"].includes(
    (error as { readonly _tag?: string } | undefined)?._tag ?? ""
  )

const states = ["suspended", "running", "pending", "blocked", "stopped", "cancelled"] as const

/** The run that a schedule is now; undefined when there is none. `known` is one that it was. */
export const current = Effect.fnUntraced(
  function*({ runId }: Pick<Plan, "runId">, known: string = runId) {
    const storage = yield* Storage
    const read = yield* storage.read(known)
    const last = read.version === "" ? undefined : yield* Chain.latest(storage, read)
    if (last !== undefined && Chain.successor(last) === undefined) return last
    // Runs that went on may have been removed, this one or those behind it.
    for (const status of states) {
      const { runs } = yield* storage.list({ workflow: runId, status, limit: 1 })
      if (runs[0] !== undefined) return yield* storage.read(runs[0].runId)
    }
    return last
  }
)

/** By what a run ticks; undefined when it does not any more. */
export const timingOf = ({ journal }: Loaded): Ticks.Timing | undefined => {
  const last = journal.entries.at(-1)
  if (last?.type === "continue") return (last.metadata as unknown as State).timing
  const first = Journal.first(journal)
  if (last === undefined || first === undefined || Journal.isEnd(last)) return undefined
  return (first.metadata as unknown as State).timing
}

/** Why a schedule does not get on with its ticks; undefined when it does. */
export const failureOf = ({ journal }: Loaded): string | undefined => {
  const last = journal.entries.findLast((entry) => entry.type === "step")
  return last === undefined ? undefined : (last.result as unknown as Ticked | undefined)?.failed
}

/** Begins a schedule that there is none of, and tells one that there is of another cron or time zone. */
export const begin = (plan: Plan): Effect.Effect<void, BeginError, Storage> =>
  Effect.gen(function*() {
    const found = yield* current(plan)
    if (found === undefined) {
      const { enqueue } = makeWorkflow(plan, nobody)
      return yield* enqueue({ timing: plan.timing, upTo: null }, { runId: plan.runId }).pipe(
        Effect.asVoid,
        // Somebody else was first, with another cron.
        Effect.catchIf(
          (error) => error._tag === "RunExists" && error.differs === "input",
          () => begin(plan)
        )
      )
    }
    const timing = timingOf(found)
    if (timing === undefined || Ticks.textOf(timing) === Ticks.textOf(plan.timing)) return
    const { runId } = found.journal
    yield* Runs.send(runId, {
      eventName: "changed",
      value: { ...plan.timing },
      // Once for all processes of a deploy, and once more when an older one comes back.
      eventId: `${runId} ${Ticks.textOf(plan.timing)}`
    }).pipe(Effect.catchTag("RunClosed", () => Effect.void))
  })

export type BeginError = Workflow.EngineError | Workflow.SendError
