/**
 * A world of its own for Effect programs: one queue of tasks that is run by hand, and a clock that only
 * moves when nothing else can. The same program takes the same steps every time, without waiting.
 *
 * Nothing inside may wait for the platform: no Promise, no timer.
 */
import { Clock, Context, Duration, Effect, Exit, type Fiber, Logger, Scheduler } from "effect"

interface Sleeper {
  readonly until: number
  readonly resume: () => void
}

/** The time at which every simulation begins. */
export const epoch = 1_700_000_000_000

export class Simulation {
  private readonly tasks: Array<() => void> = []
  private readonly sleepers = new Set<Sleeper>()
  private now = epoch
  /** The services that make effects run here. */
  readonly services: Context.Context<never>

  constructor() {
    const { sleepers, tasks } = this
    const dispatcher: Scheduler.SchedulerDispatcher = {
      scheduleTask: (task) => {
        tasks.push(task)
      },
      flush: () => this.settle()
    }
    const scheduler: Scheduler.Scheduler = {
      executionMode: "async",
      shouldYield: () => false,
      makeDispatcher: () => dispatcher
    }
    const millis = () => this.now
    const clock: Clock.Clock = {
      currentTimeMillisUnsafe: millis,
      currentTimeMillis: Effect.sync(millis),
      currentTimeNanosUnsafe: () => BigInt(millis()) * 1_000_000n,
      currentTimeNanos: Effect.sync(() => BigInt(millis()) * 1_000_000n),
      monotonicTimeNanosUnsafe: () => BigInt(millis()) * 1_000_000n,
      monotonicTimeNanos: Effect.sync(() => BigInt(millis()) * 1_000_000n),
      sleep: (duration) => {
        const time = Duration.toMillis(duration)
        return time <= 0 ? Effect.yieldNow : Effect.callback<void>((resume) => {
          const sleeper: Sleeper = { until: this.now + time, resume: () => resume(Effect.void) }
          sleepers.add(sleeper)
          return Effect.sync(() => sleepers.delete(sleeper))
        })
      }
    }
    this.services = Context.empty().pipe(
      Context.add(Scheduler.Scheduler, scheduler),
      Context.add(Clock.Clock, clock),
      Context.add(Logger.CurrentLoggers, new Set())
    ) as Context.Context<never>
  }

  /** Starts a program; it has run up to its first wait when this returns. */
  fork<A, E, R>(program: Effect.Effect<A, E, R>, services: Context.Context<R>): Fiber.Fiber<A, E> {
    return Effect.runForkWith(Context.merge(services, this.services))(program)
  }

  /** Runs all that can run without time passing. */
  settle(): void {
    for (let k = 0; this.tasks.length > 0; k++) {
      if (k > 1_000_000) throw new Error("the simulation never comes to rest")
      this.tasks.shift()!()
    }
  }

  /** Whether something waits for time to pass. */
  get sleeps(): boolean {
    return this.sleepers.size > 0
  }

  /** Moves the clock to the next sleeper and wakes it; false when there is none. */
  tick(): boolean {
    const [first, ...others] = this.sleepers
    if (first === undefined) return false
    const next = others.reduce((a, b) => b.until < a.until ? b : a, first)
    this.now = Math.max(this.now, next.until)
    this.sleepers.delete(next)
    next.resume()
    return true
  }

  /** Lets so many milliseconds pass. */
  pass(millis: number): void {
    const until = this.now + millis
    for (;;) {
      this.settle()
      const next = Math.min(...Array.from(this.sleepers, (sleeper) => sleeper.until))
      if (next > until) break
      this.tick()
    }
    this.now = until
  }

  /** Runs a program to its end, letting time pass where nothing else can happen. */
  run<A, E, R>(program: Effect.Effect<A, E, R>, services: Context.Context<R>): Exit.Exit<A, E> {
    const fiber = this.fork(program, services)
    this.settle()
    for (let k = 0; fiber.pollUnsafe() === undefined; k++) {
      if (!this.tick() || k > 100_000) throw new Error("the program waits for nothing")
      this.settle()
    }
    return fiber.pollUnsafe()!
  }

  /** Runs a program to its value. */
  get<A, E, R>(program: Effect.Effect<A, E, R>, services: Context.Context<R>): A {
    const exit = this.run(program, services)
    if (Exit.isSuccess(exit)) return exit.value
    throw new Error(`the program failed: ${String(exit.cause)}`)
  }
}
