/**
 * Time, and processes that live in it: each runs its own tasks by its own clock, and can be stopped, continued
 * and killed between any two of them.
 *
 * Nothing in here waits for the platform. What a process that is dead still had to do is never done.
 */
import { Clock, Context, Duration, Effect, type Fiber, Logger, Random, Scheduler } from "effect"
import { type Chance, chanceOf, randomOf } from "./chance.ts"

/** The time at which every simulation begins. */
export const epoch = 1_700_000_000_000

interface Event {
  readonly at: number
  readonly n: number
  readonly run: () => void
}

const isBefore = (a: Event, b: Event) => a.at < b.at || (a.at === b.at && a.n < b.n)

export class World {
  readonly seed: number
  now = epoch
  /** The process whose tasks run at this instant. */
  current: Process | undefined
  /** What happened, one line each; nothing is kept of it where nobody wants to read it. */
  readonly trace: Array<string> | undefined
  /** A heap. */
  private readonly events: Array<Event> = []
  private readonly awake: Array<Process> = []
  private count = 0
  private lastTask = 0
  private tasksNow = 0

  constructor(seed: number, isTraced: boolean) {
    this.seed = seed
    this.trace = isTraced ? [] : undefined
  }

  chance(use: string): Chance {
    return chanceOf(this.seed, use)
  }

  note(what: () => string): void {
    this.trace?.push(`${((this.now - epoch) / 1_000).toFixed(3).padStart(8)}  ${what()}`)
  }

  /** Lets something happen so many milliseconds from now. */
  after(millis: number, run: () => void): void {
    const { events } = this
    const event: Event = { at: this.now + Math.max(0, millis), n: this.count++, run }
    let k = events.push(event) - 1
    while (k > 0) {
      const above = (k - 1) >> 1
      if (!isBefore(event, events[above]!)) break
      events[k] = events[above]!
      k = above
    }
    events[k] = event
  }

  private next(): Event {
    const { events } = this
    const first = events[0]!
    const last = events.pop()!
    if (events.length === 0) return first
    let k = 0
    for (;;) {
      let below = 2 * k + 1
      if (below >= events.length) break
      if (below + 1 < events.length && isBefore(events[below + 1]!, events[below]!)) below++
      if (!isBefore(events[below]!, last)) break
      events[k] = events[below]!
      k = below
    }
    events[k] = last
    return first
  }

  /** There are tasks to be run in `process`. */
  wake(process: Process): void {
    if (!this.awake.includes(process)) this.awake.push(process)
  }

  /** Runs all that can run without time passing. */
  settle(): void {
    for (;;) {
      const process = this.awake.shift()
      if (process === undefined) return
      this.current = process
      process.runTasks()
      this.current = undefined
    }
  }

  /** Fails when no time passes for very long. */
  counted(): void {
    if (this.lastTask !== this.now) {
      this.lastTask = this.now
      this.tasksNow = 0
    }
    if (++this.tasksNow > 500_000) throw new Error("the simulation never comes to rest")
  }

  /** Lets time pass until `isOver` says so, looked at once in a while, or `until` has come. */
  pass(until: number, isOver: () => boolean = () => false): void {
    let nextLook = this.now
    this.settle()
    for (;;) {
      if (this.now >= nextLook) {
        if (isOver()) return
        nextLook = this.now + 250
      }
      const first = this.events[0]
      if (first === undefined || first.at > until) break
      this.next()
      this.now = Math.max(this.now, first.at)
      first.run()
      this.settle()
    }
    this.now = until
  }
}

export class Process {
  readonly name: string
  readonly world: World
  state: "runs" | "stopped" | "dead" = "runs"
  /** How far its clock is ahead; milliseconds. */
  skew: number
  /** How many of its fibers wait for time to pass. */
  sleepers = 0
  /** The services that make effects run here. */
  readonly services: Context.Context<never>
  private tasks: Array<() => void> = []
  /** How many of them were run. */
  private done = 0

  constructor(world: World, name: string, skew: number) {
    this.world = world
    this.name = name
    this.skew = skew
    const dispatcher: Scheduler.SchedulerDispatcher = {
      scheduleTask: (task) => this.deliver(task),
      flush: () => this.runTasks()
    }
    const scheduler: Scheduler.Scheduler = {
      executionMode: "async",
      shouldYield: () => false,
      makeDispatcher: () => dispatcher
    }
    const millis = () => world.now + this.skew
    const nanos = () => BigInt(millis()) * 1_000_000n
    const clock: Clock.Clock = {
      currentTimeMillisUnsafe: millis,
      currentTimeMillis: Effect.sync(millis),
      currentTimeNanosUnsafe: nanos,
      currentTimeNanos: Effect.sync(nanos),
      monotonicTimeNanosUnsafe: nanos,
      monotonicTimeNanos: Effect.sync(nanos),
      sleep: (duration) => this.sleep(Duration.toMillis(duration))
    }
    this.services = Context.empty().pipe(
      Context.add(Scheduler.Scheduler, scheduler),
      Context.add(Clock.Clock, clock),
      Context.add(Random.Random, randomOf(world.chance(`random of ${name}`))),
      Context.add(Logger.CurrentLoggers, new Set())
    ) as Context.Context<never>
  }

  private sleep(millis: number): Effect.Effect<void> {
    if (millis <= 0) return Effect.yieldNow
    return Effect.callback<void>((resume) => {
      let isOver = false
      this.sleepers++
      const end = () => {
        if (isOver) return false
        isOver = true
        this.sleepers--
        return true
      }
      if (millis < Infinity) {
        this.world.after(millis, () => {
          if (!isOver) this.deliver(() => end() && resume(Effect.void))
        })
      }
      return Effect.sync(end)
    })
  }

  /** Starts a program here. */
  fork<A, E, R>(program: Effect.Effect<A, E, R>, services: Context.Context<R>): Fiber.Fiber<A, E> {
    const before = this.world.current
    this.world.current = this
    const fiber = Effect.runForkWith(Context.merge(services, this.services))(program)
    this.world.current = before
    return fiber
  }

  /** To be done here as soon as the process runs. */
  deliver(task: () => void): void {
    if (this.state === "dead") return
    this.tasks.push(task)
    if (this.state === "runs") this.world.wake(this)
  }

  runTasks(): void {
    while (this.state === "runs") {
      const task = this.tasks[this.done]
      if (task === undefined) {
        this.tasks.length = 0
        this.done = 0
        return
      }
      this.world.counted()
      this.done++
      task()
    }
  }

  stop(): void {
    if (this.state === "runs") this.state = "stopped"
  }

  /** Goes on as if nothing had happened. */
  go(): void {
    if (this.state !== "stopped") return
    this.state = "runs"
    this.world.wake(this)
  }

  /** As with kill -9. */
  kill(): void {
    this.state = "dead"
    this.tasks = []
    this.done = 0
  }
}
