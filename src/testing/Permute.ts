/**
 * The orders in which the steps of branches may end, tried one after the other.
 */
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import { type Replay, Runs, Storage, type Workflow } from "../index.ts"
import { type Choice, Gates, next } from "./Gates.ts"
import { guardedUnlessSaid, repeatable, withClock } from "./Layers.ts"
import * as Outcome from "./Outcome.ts"
import { play, type PlayError, type PlayOptions } from "./Play.ts"

export interface PermuteOptions<Ev extends Workflow.Events> extends PlayOptions<Ev> {
  /** At most so many orders; default 200. */
  readonly limit?: number | undefined
}

/** What the orders came to. */
export interface Permuted<A, E> {
  /** How many were tried. */
  readonly orders: number
  /** Whether these were all there are. */
  readonly complete: boolean
  /** The outcomes that differ, each with the first order that leads to it: ids of steps as they ran. */
  readonly outcomes: ReadonlyArray<
    { readonly result: Workflow.Result<A, E>; readonly order: ReadonlyArray<string> }
  >
}

/** A run came to one thing while it was driven, and its journal comes to another when it is replayed. */
export class OrderDiffers
  extends Schema.TaggedError<OrderDiffers>("reprise/OrderDiffers")("OrderDiffers", {
    order: Schema.Array(Schema.String),
    live: Schema.String,
    replayed: Schema.String
  })
{
  override get message(): string {
    return `With the steps in the order ${
      this.order.map((id) => `"${id}"`).join(", ")
    } the run came to: `
      + `${this.live}. A replay of its journal comes to: ${this.replayed}. `
      + `Something in the body is not the same each time.`
  }
}

/**
 * Runs the workflow once for each order in which its concurrent steps can run, depth first: when nothing
 * else can happen, one of the steps that are to run is let go, and ends before the next one begins. Every
 * order must come to what a replay of its journal comes to. Played as by `play`, each order in a new
 * world, as in `crashEverywhere`. Steps must not wait for each other.
 *
 * @example
 * ```ts
 * import * as Testing from "reprise/testing"
 * import { Workflow } from "reprise"
 * import { Effect } from "effect"
 *
 * const hare = Workflow.make("hare", function*(ctx) {
 *   return yield* ctx.race({ hare: ctx.step("run", () => "hare"), tortoise: ctx.step("walk", () => "tortoise") })
 * })
 * const { outcomes } = await Effect.runPromise(Testing.permute(hare, undefined))
 * outcomes.length // => 2
 * ```
 */
export const permute = <
  I,
  A,
  E,
  Ev extends Workflow.Events,
  R,
  C,
  S extends Workflow.StepTypes,
  Ch extends Workflow.Channels
>(
  workflow: Workflow.Workflow<I, A, E, Ev, R, C, S, Ch>,
  input: I,
  options: PermuteOptions<NoInfer<Ev>> = {}
): Effect.Effect<
  Permuted<A, E>,
  OrderDiffers | PlayError | Runs.ReadError | Runs.RunNotFound,
  Exclude<R, Storage.Storage>
> =>
  Effect.gen(function*() {
    const { limit = 200 } = options
    const runId = options.runId ?? "permuted"
    const outcomes = new Map<string, Permuted<A, E>["outcomes"][number]>()
    let choices: ReadonlyArray<Choice> = []
    let orders = 0
    do {
      const gates = new Gates(choices.map(({ taken }) => taken))
      const storage = Storage.make(Storage.memoryDriver())
      const played = repeatable(play(workflow, input, { ...options, runId }), storage, gates.hook)
      const { journal, live, result } = yield* Effect.gen(function*() {
        const fiber = yield* Effect.forkChild(played)
        const opening = yield* Effect.forkChild(gates.open())
        const result = yield* Effect.ensuring(Fiber.join(fiber), Fiber.interrupt(opening))
        return {
          result,
          journal: yield* Runs.journal(result.runId),
          live: yield* Outcome.ofRun(result.runId)
        }
      }).pipe(Effect.provideService(Storage.Storage, storage), withClock)
      orders++
      const { order } = gates
      const replayed = workflow.replay(journal)
      if (!agree(result, replayed)) {
        return yield* new OrderDiffers({ order, live, replayed: shown(replayed) })
      }
      if (!outcomes.has(live)) outcomes.set(live, { result, order })
      choices = next(gates.choices)
    } while (choices.length > 0 && orders < limit)
    return { orders, complete: choices.length === 0, outcomes: [...outcomes.values()] }
  }).pipe(guardedUnlessSaid)

// internal

const same = (a: unknown, b: unknown) =>
  Equal.equals(a, b) || Outcome.canonical(a) === Outcome.canonical(b)

const agree = (live: Workflow.Result<unknown, unknown>, replayed: Replay.Replayed): boolean => {
  switch (live.status) {
    case "success":
      return replayed._tag === "Returned" && same(live.result, replayed.value)
    case "failed":
      return replayed._tag === "Threw" && same(live.error, replayed.error)
    default:
      // A body that was cancelled ends as it likes.
      return replayed._tag !== "Diverged" && replayed._tag !== "Broke"
  }
}

const shown = (replayed: Replay.Replayed): string => {
  switch (replayed._tag) {
    case "Returned":
      return `success with ${Outcome.canonical(replayed.value)}`
    case "Threw":
      return `failed with ${Outcome.canonical(replayed.error)}`
    case "Blocked":
      return `waiting for ${
        [...replayed.steps, ...replayed.waits.map(({ stepId }) => stepId)].join(", ")
      }`
    case "Diverged":
      return Outcome.unstopped(replayed.mismatch.message)
    case "Broke":
      return Outcome.unstopped(replayed.defect.message)
  }
}
