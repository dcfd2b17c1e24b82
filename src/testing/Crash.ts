/**
 * A process that dies at every append of a run, and another one that goes on: the run must come to the
 * same end each time.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { Storage, type Workflow } from "../index.ts"
import { CrashDiffers, type CrashMode, StepRepeated } from "./CrashErrors.ts"
import type { Fate } from "./Fate.ts"
import { type FaultyDriver, faultyDriver } from "./Faults.ts"
import { guardedUnlessSaid, type Hook, repeatable, withClock } from "./Layers.ts"
import * as Outcome from "./Outcome.ts"
import { play, type PlayError, type PlayOptions } from "./Play.ts"

export interface CrashOptions<Ev extends Workflow.Events, L = never, LE = never>
  extends PlayOptions<Ev>
{
  /** What the steps need; every process builds it anew. */
  readonly layer?: Layer.Layer<L, LE> | undefined
  /** Makes a new, empty storage, one for each crash. Default: in memory. */
  readonly driver?: Effect.Effect<Storage.Driver> | undefined
  /** Default: all of them. */
  readonly modes?: ReadonlyArray<CrashMode> | undefined
}

/** What was tried. */
export interface CrashReport<A, E> {
  /** How many crashes the run survived. */
  readonly points: number
  /** What every one of them came to. */
  readonly outcome: Workflow.Result<A, E>
}

/**
 * Kills the process at every append of a run, in every mode, lets a new process go on, and compares what
 * the run comes to. The run is played as by `play`, each time on a new storage with a clock that begins
 * at 0, and `ctx.random` and `ctx.uuid` give the same each time. Steps really run, many times:
 * give them doubles.
 *
 * @example
 * ```ts
 * import * as Testing from "reprise/testing"
 * import { Workflow } from "reprise"
 * import { Effect } from "effect"
 *
 * const transfer = Workflow.make("transfer", function*(ctx) {
 *   yield* ctx.step("take", () => 5)
 *   yield* ctx.sleep("1 hour")
 *   return yield* ctx.step("give", () => 5)
 * })
 * const { outcome } = await Effect.runPromise(
 *   Testing.crashEverywhere(transfer, undefined, { runId: "t1" })
 * )
 * outcome // => { status: "success", result: 5, runId: "t1" }
 * ```
 */
export const crashEverywhere = <
  I,
  A,
  E,
  Ev extends Workflow.Events,
  R,
  C,
  S extends Workflow.StepTypes,
  Ch extends Workflow.Channels,
  L = never,
  LE = never
>(
  workflow: Workflow.Workflow<I, A, E, Ev, R, C, S, Ch>,
  input: I,
  options: CrashOptions<NoInfer<Ev>, L, LE> = {}
): Effect.Effect<
  CrashReport<A, E>,
  CrashDiffers | StepRepeated | PlayError | LE,
  Exclude<Exclude<R, L>, Storage.Storage>
> =>
  Effect.gen(function*() {
    const { layer = Layer.empty, modes = ["before", "after", "torn"] } = options
    const newDisk = options.driver ?? Effect.sync(Storage.memoryDriver)
    const runId = options.runId ?? "crash"
    /** One process: it plays the run as far as its driver lets it. */
    const process = (driver: FaultyDriver, hook: Hook) =>
      play(workflow, input, { ...options, runId }).pipe(
        Effect.provide(layer as Layer.Layer<L, LE>, { local: true }),
        (played) => repeatable(played, Storage.make(driver), hook)
      )
    const standing = (driver: Storage.Driver, exit: Exit.Exit<unknown, PlayError | LE>) =>
      Effect.provideService(
        Outcome.ofAttempt(runId, exit as Exit.Exit<unknown, PlayError>),
        Storage.Storage,
        Storage.make(driver)
      )

    const appends: Array<ReadonlyArray<string>> = []
    const disk = yield* newDisk
    const alone = faultyDriver(disk, () => "done", {
      onAcknowledged: (_, lines) => appends.push(lines)
    })
    const outcome = yield* withClock(process(alone, (_, work) => work))
    const expected = yield* standing(disk, Exit.void)

    /** True when the process really died. */
    const crash = (append: number, mode: CrashMode, fate: Fate) =>
      Effect.gen(function*() {
        const disk = yield* newDisk
        const acknowledged = new Set<string>()
        const onAcknowledged = (runId: string, lines: ReadonlyArray<string>) => {
          for (const line of lines) {
            const { stepId, type } = JSON.parse(line)
            if (type === "step") acknowledged.add(`${runId}/${stepId}`)
          }
        }
        const dying = faultyDriver(
          disk,
          ({ nth, verb }) => verb === "append" && nth === append ? fate : "done",
          { onAcknowledged }
        )
        // What was started beside the run is as dead as the rest.
        const first = yield* Effect.forkChild(
          process(
            dying,
            (_, work) => Effect.suspend(() => dying.isAlive() ? work : Effect.interrupt)
          )
        )
        yield* Effect.raceFirst(Effect.exit(Fiber.join(first)), dying.died)
        yield* Fiber.interrupt(first)
        if (dying.isAlive()) return false
        yield* dying.died
        let repeated: StepRepeated | undefined
        const exit = yield* Effect.exit(
          process(faultyDriver(disk, () => "done"), ({ runId, stepId }, work) =>
            Effect.suspend(() => {
              if (acknowledged.has(`${runId}/${stepId}`)) {
                repeated ??= new StepRepeated({ append, mode, runId, stepId })
              }
              return work
            }))
        )
        if (repeated !== undefined) return yield* repeated
        const actual = yield* standing(disk, exit)
        if (actual === expected) return true
        const wrote = entriesOf(appends[append - 1]!)
        return yield* new CrashDiffers({ append, mode, wrote, expected, actual })
      }).pipe(withClock)

    let points = 0
    for (const [n, lines] of appends.entries()) {
      for (const mode of modes) {
        for (const fate of fatesOf(mode, lines.length)) {
          if (yield* crash(n + 1, mode, fate)) points++
        }
      }
    }
    return { points, outcome }
  }).pipe(guardedUnlessSaid)

// internal

const fatesOf = (mode: CrashMode, lines: number): ReadonlyArray<Fate> => {
  switch (mode) {
    case "before":
      return ["dies before"]
    case "after":
      return ["dies after"]
    case "torn":
      return Array.from({ length: lines - 1 }, (_, n) => ({ torn: n + 1 }))
  }
}

const entriesOf = (lines: ReadonlyArray<string>): string =>
  lines.map((line) => {
    const { stepId, type } = JSON.parse(line)
    return stepId === undefined ? type : `${type} "${stepId}"`
  }).join(", ")
