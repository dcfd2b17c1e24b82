/**
 * One seed from the beginning to the end: workers that are killed, stopped, closed and started again over a
 * storage that fails, while clients enqueue and post; then good weather, until nothing is left to do.
 */
import { Context, Effect, Exit, Layer, Schedule, Scope } from "effect"
import { Dispatch, Runs, Storage, Worker, Workflow } from "reprise"
import { type Chance, withoutEntropy } from "./chance.ts"
import { calm, Disk, type Line, type StorageBug } from "./disk.ts"
import { type Job, jobsOf, listOf, Log, settlementOf, type Workflows, workflowsOf } from "./jobs.ts"
import { epoch, Process, World } from "./world.ts"

/** What is wrong with the workers, on purpose. */
export type WorkerBug =
  /** Nobody tells them, and they look once a day. */
  | "never looks"
  /** What was driven once is not driven again. */
  | "forgets what it drove"
  /** A step is taken to be harmless to repeat. */
  | "takes every step for repeatable"

export interface Options {
  readonly isTraced?: boolean
  readonly storageBug?: StorageBug
  readonly workerBug?: WorkerBug
}

/** A worker while its process lives. */
export interface Working {
  readonly process: Process
  readonly storage: Storage.Storage["Service"]
  readonly workflows: Workflows
  health: Effect.Effect<Worker.Health> | undefined
  close: Effect.Effect<void> | undefined
}

/** How a seed came out. */
export interface Outcome {
  readonly world: World
  readonly disk: Disk
  /** Whether nothing went wrong at all. */
  readonly isPeaceful: boolean
  readonly log: Log
  readonly jobs: ReadonlyArray<Job>
  readonly workers: ReadonlyArray<Working>
  readonly client: Working
  /** How far two clocks were apart at most; milliseconds. */
  readonly skew: number
  /** When the weather became good. */
  readonly calmAt: number
  /** What clients could not do. */
  readonly undone: ReadonlyArray<string>
  /** Runs that were found blocked, and what the worker that was asked said of it. */
  readonly blocked: ReadonlyMap<string, string | undefined>
  /** Of each worker in the end. */
  readonly health: ReadonlyArray<Worker.Health | undefined>
  readonly isOver: boolean
  readonly status: (runId: string) => Runs.Status | undefined
  readonly ask: <A, E>(program: Effect.Effect<A, E, Storage.Storage>) => A
}

/** How long the good weather lasts at most. */
const patience = 600_000

export const play = (seed: number, options: Options = {}): Outcome =>
  withoutEntropy(seed, () => played(seed, options))

/** Delivers each run once. */
const forgetful = (dispatch: Layer.Layer<Dispatch.Dispatch, never, Storage.Storage>) =>
  Layer.effect(
    Dispatch.Dispatch,
    Effect.map(Dispatch.Dispatch, ({ handle }) => {
      const known = new Set<string>()
      return {
        handle: (runId) => {
          if (known.has(runId)) return Effect.succeed({ _tag: "Done", status: "absent" } as const)
          known.add(runId)
          return handle(runId)
        }
      }
    })
  ).pipe(Layer.provide(dispatch))

const lineOf = (chance: Chance, isPeaceful: boolean): Line => {
  const keepsBoth = chance.happens(0.5), knowsTimers = chance.happens(0.5)
  if (isPeaceful) {
    const deafness = chance.one([0, 1])
    return { latency: 10, spikes: 0, spike: 0, faults: 0, deafness, keepsBoth, knowsTimers }
  }
  const latency = chance.one([2, 20, 20, 150, 600])
  return {
    latency,
    spikes: chance.one([0, 0.01, 0.03]),
    spike: chance.one([1_000, 6_000, 25_000]),
    faults: chance.one([0, 0.01, 0.05, 0.15]),
    deafness: chance.one([0, 0.3, 1]),
    keepsBoth,
    knowsTimers
  }
}

const played = (seed: number, { isTraced = false, storageBug, workerBug }: Options): Outcome => {
  const world = new World(seed, isTraced)
  const chance = world.chance("story")
  const isPeaceful = chance.happens(0.1)
  const line = lineOf(chance, isPeaceful)
  const disk = new Disk(world, line, storageBug)
  const log = new Log(world, () => disk.n++)
  const stormy = chance.between(30_000, 90_000)
  const jobs = jobsOf(chance, stormy)
  const lease = chance.one([3_000, 6_000, 15_000])
  const skew = isPeaceful || chance.happens(0.5) ? 0 : chance.between(1, lease / 4)
  const shortWait = chance.one([100, 10_000])
  const workers: Array<Working> = []
  const undone = new Set<string>()

  const skewed = () => Math.round((chance.next() - 0.5) * skew)
  const begin = (name: string): Working => {
    const process = new Process(world, name, skewed())
    const workflows = workflowsOf(log, workerBug !== "takes every step for repeatable")
    const storage = Storage.make(disk.driver(process))
    return { process, storage, workflows, health: undefined, close: undefined }
  }
  const servicesOf = ({ storage }: Working) =>
    Context.make(Storage.Storage, storage).pipe(
      Context.add(Workflow.LeaseTime, lease),
      Context.add(Workflow.ShortWait, shortWait)
    )
  const work = (n: number, life: number): Working => {
    const working = begin(`w${n}.${life}`)
    world.note(() => `${working.process.name} begins, ${working.process.skew} ms ahead`)
    const workflows = listOf(working.workflows)
    const pace = {
      concurrency: chance.one([1, 3, 16]),
      poll: workerBug === "never looks" ? "1 day" as const : chance.between(500, 4_000),
      drain: chance.between(100, 10_000)
    }
    const dispatch = Dispatch.layer(workflows) as Layer.Layer<
      Dispatch.Dispatch,
      never,
      Storage.Storage
    >
    const layer = Layer.provide(
      Worker.layerDispatch(pace),
      workerBug === "forgets what it drove" ? forgetful(dispatch) : dispatch
    )
    const program = Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(Layer.fresh(layer), scope)
      working.health = Context.get(context, Worker.Worker).health
      working.close = Scope.close(scope, Exit.void)
    })
    working.process.fork(program, servicesOf(working))
    workers[n] = working
    return working
  }

  // clients
  const client = begin("client")
  const doing = new Set<string>()
  const doIt = (
    what: string,
    program: Effect.Effect<unknown, { readonly _tag: string }, Storage.Storage>
  ) => {
    doing.add(what)
    const tried = program.pipe(
      Effect.retry({
        schedule: Schedule.spaced("700 millis"),
        while: ({ _tag }) => _tag === "StorageError" || _tag === "RunNotFound"
      }),
      Effect.catch(({ _tag }) =>
        Effect.sync(() => {
          if (_tag !== "RunClosed") undone.add(`${what}: ${_tag}`)
        })
      ),
      Effect.andThen(Effect.sync(() => doing.delete(what)))
    )
    client.process.fork(tried, servicesOf(client))
  }
  for (const job of jobs) {
    const { again, at, cancelled, input, kind, letters, runId } = job
    const workflow: any = client.workflows[kind]
    const start = workflow.enqueue(input, { runId })
    doIt(`enqueue ${runId}`, Effect.delay(start, at))
    if (again !== undefined) doIt(`enqueue ${runId} again`, Effect.delay(start, at + again))
    if (cancelled !== undefined) {
      doIt(`cancel ${runId}`, Effect.delay(Runs.cancel(runId, { eventId: "c0" }), cancelled))
    }
    doIt(
      `post to ${runId}`,
      Effect.delay(
        Effect.forEach(letters, ({ after, again, eventId, eventName, value }) => {
          const send = Effect.suspend((): Effect.Effect<void, any, Storage.Storage> =>
            workflow.send(runId, { eventName, eventId, value })
          )
          if (again !== undefined) {
            world.after(after + again, () => doIt(`post ${eventId} to ${runId} again`, send))
          }
          // The next one is sent behind what was acknowledged only.
          const retried = Effect.retry(send, {
            schedule: Schedule.spaced("500 millis"),
            while: ({ _tag }) => _tag === "StorageError" || _tag === "RunNotFound"
          })
          return Effect.delay(retried, after)
        }),
        at
      )
    )
  }

  // what goes wrong
  const count = chance.between(2, 3)
  const lives = Array.from({ length: count }, () => 1)
  const restart = (n: number) => work(n, lives[n] = lives[n]! + 1)
  for (let n = 0; n < count; n++) work(n, 1)
  const trouble = (): void => {
    const n = chance.between(0, count - 1)
    const { close, process } = workers[n]!
    const kind = chance.one(["kill", "kill", "stop", "stop", "close", "skew", "out"] as const)
    const millis = chance.one([100, 2_000, 8_000, 25_000])
    world.note(() => `trouble: ${kind} ${process.name} for ${millis} ms`)
    switch (kind) {
      case "kill":
        if (process.state === "dead") return
        process.kill()
        return world.after(millis, () => {
          if (workers[n]!.process === process) restart(n)
        })
      case "stop":
        process.stop()
        return world.after(millis, () => process.go())
      case "close": {
        if (close === undefined || process.state !== "runs") return
        const closed = Effect.andThen(
          close,
          Effect.sync(() => {
            world.note(() => `${process.name} is closed`)
            process.kill()
            world.after(0, () => {
              if (workers[n]!.process === process) restart(n)
            })
          })
        )
        workers[n]!.close = undefined
        process.fork(closed, Context.empty())
        return
      }
      case "skew":
        process.skew = skewed()
        return
      case "out":
        disk.isOut = true
        return world.after(Math.min(millis, 8_000), () => {
          disk.isOut = false
        })
    }
  }
  const often = chance.one([1_500, 5_000, 15_000, 60_000])
  const plan = (at: number): void => {
    const next = at + chance.between(1, 2 * often)
    if (isPeaceful || next >= stormy) return
    world.after(next - at, () => {
      trouble()
      plan(next)
    })
  }
  plan(0)
  world.pass(epoch + stormy)

  // good weather
  world.note(() => "the weather is good")
  disk.line = calm(line)
  disk.isOut = false
  for (let n = 0; n < count; n++) {
    workers[n]!.process.go()
    if (workers[n]!.process.state === "dead" || workers[n]!.close === undefined) {
      workers[n]!.process.kill()
      restart(n)
    }
  }
  const calmAt = world.now

  // Looks at what is stored, without a process in between.
  const person = Context.merge(
    Context.make(Storage.Storage, Storage.make(disk.under)),
    new Process(world, "person", 0).services
  )
  const ask = <A, E>(program: Effect.Effect<A, E, Storage.Storage>): A =>
    Effect.runSync(Effect.orDie(Effect.provideContext(program, person)))
  const status = (runId: string) =>
    ask(Effect.orElseSucceed(
      Runs.latestStatus(runId),
      (): Runs.Status | undefined => undefined
    ))
  const openRuns = () =>
    Array.from(disk.runs).filter((runId) => {
      const found = status(runId)
      return found !== undefined && !isEnded(found)
    })
  const areDone = () => doing.size === 0 && openRuns().length === 0
  const blocked = new Map<string, string | undefined>()
  const settled = new Set<string>()
  /** What a worker's health says, asked as a probe would. */
  const healthOf = ({ health, process }: Working): Worker.Health | undefined => {
    let found: Worker.Health | undefined
    if (health === undefined) return undefined
    process.fork(Effect.map(health, (now) => found = now), Context.empty())
    world.pass(world.now + 200)
    return found
  }
  const seeTo = (runId: string) => {
    const run = status(runId)
    if (run?.status !== "blocked" || settled.has(`${run.runId} ${run.session}`)) return
    settled.add(`${run.runId} ${run.session}`)
    blocked.set(run.runId, healthOf(workers[0]!)?.blocked.get(run.runId))
    const first = ask(Runs.journal(run.runId)).entries[0]
    const input = first?.type === "start" ? Number(first.metadata) : 0
    const stepId = run.intents[0]
    doIt(
      `settle ${run.runId} ${run.session}`,
      stepId === undefined
        ? Runs.settle(run.runId)
        : Runs.settle(run.runId, stepId, { value: settlementOf(input) })
    )
  }
  const end = calmAt + patience
  while (world.now < end && !areDone()) {
    // Whoever looks now and then sees to what is blocked.
    world.pass(Math.min(end, world.now + 60_000), areDone)
    if (world.now >= calmAt + 60_000) { for (const runId of openRuns()) seeTo(runId) }
  }
  const isOver = areDone()
  // What was sent in the storm may still be on its way.
  world.pass(Math.max(world.now + lease + 10_000, calmAt + 100_000))
  const health = workers.map(healthOf)
  return {
    world,
    disk,
    isPeaceful,
    log,
    jobs,
    workers,
    client,
    skew,
    calmAt,
    undone: [...undone, ...doing],
    blocked,
    health,
    isOver,
    status,
    ask
  }
}

const isEnded = ({ status }: Runs.Status) =>
  status === "success" || status === "failed" || status === "cancelled"
