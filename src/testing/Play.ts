/**
 * A run driven to its end by a script: its timers go off when it waits for them, its events come when it
 * waits for them.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { type Storage, Workflow } from "../index.ts"
import { moveTo } from "./Clock.ts"

/** An event of a script. */
export type Scripted<Ev extends Workflow.Events> = Workflow.EventOf<Ev>

export interface PlayOptions<Ev extends Workflow.Events> extends Workflow.RunOptions {
  /** Each is sent once, when the run waits for an event of its name and key. */
  readonly events?: ReadonlyArray<Scripted<Ev>> | undefined
}

export type PlayError = Workflow.EngineError | Workflow.SendError

/**
 * Drives a run to its end: starts it, sends the first event of the script that it waits for, else moves
 * the `TestClock` to its next timer. When nothing is left to happen, the suspended result is given.
 *
 * An event comes before a timer; to see a timeout, leave its event out. Children's timers go off as
 * well, events reach only the run itself.
 *
 * @example
 * ```ts
 * import * as Testing from "reprise/testing"
 * import { Workflow } from "reprise"
 * import { Effect, Schema } from "effect"
 *
 * const approval = Workflow.make("approval", { events: { approve: Schema.String } }, function*(ctx) {
 *   yield* ctx.sleep("1 day")
 *   return yield* ctx.suspend("approve")
 * })
 * const program = Testing.play(approval, undefined, {
 *   runId: "a1",
 *   events: [{ eventName: "approve", value: "Ada" }]
 * }).pipe(Effect.provide(Testing.layer))
 * await Effect.runPromise(program) // => { status: "success", result: "Ada", runId: "a1" }
 * ```
 */
export const play = <
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
  options: PlayOptions<NoInfer<Ev>> = {}
): Effect.Effect<Workflow.Result<A, E>, PlayError, Storage.Storage | R> =>
  playFrom(workflow, workflow.start(input, options), options.events)

/** As `play`, from the result of `first` on. */
export const playFrom = <A, E, Ev extends Workflow.Events, R>(
  workflow: Pick<Workflow.Workflow<any, A, E, Ev, R, any, any, any>, "resume">,
  first: Effect.Effect<Workflow.Result<A, E>, PlayError, Storage.Storage | R>,
  events: ReadonlyArray<Scripted<Ev>> = []
): Effect.Effect<Workflow.Result<A, E>, PlayError, Storage.Storage | R> =>
  Effect.gen(function*() {
    // A script that is played again after a crash sends the same events.
    const left = events.map((event, n) => ({ ...event, eventId: event.eventId ?? `script:${n}` }))
    let result = yield* first
    while (result.status === "suspended") {
      const { runId, waits, wakeAt } = result
      const at = left.findIndex(({ eventName, key }) =>
        waits.some((wait) => wait.kind === "event" && wait.event === eventName && wait.key === key)
      )
      const [event] = at < 0 ? [] : left.splice(at, 1)
      if (event === undefined) {
        // A timer that has gone off and moved nothing belongs to somebody else.
        if (wakeAt === undefined || wakeAt <= (yield* Clock.currentTimeMillis)) break
        yield* moveTo(wakeAt)
      }
      result = yield* workflow.resume(runId, event)
    }
    return result
  }).pipe(Effect.provideService(Workflow.ShortWait, 0))
