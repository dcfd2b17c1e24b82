/**
 * What is done in a simulation: small workflows whose end is known beforehand, and a log, outside of every
 * process, of what their steps did.
 */
import { Effect, Schedule, Schema } from "effect"
import { type Dispatch, type Instruction, Workflow } from "reprise"
import type { Chance } from "./chance.ts"
import type { Process, World } from "./world.ts"

/** A step that was executed, or began to be. */
export interface Deed {
  readonly at: number
  readonly process: Process
  readonly runId: string
  readonly stepId: string
  readonly session: number
  readonly n: number
}

type Info = Pick<Instruction.StepInfo, "runId" | "stepId" | "fence">

/** What the world sees of runs. */
export class Log {
  readonly deeds: Array<Deed> = []
  private readonly times = new Map<string, number>()
  private readonly world: World
  private readonly chance: Chance
  private readonly count: () => number

  constructor(world: World, count: () => number) {
    this.world = world
    this.count = count
    this.chance = world.chance("steps")
  }

  /** Something is done at once. */
  did<A>({ fence, runId, stepId }: Info, value: A): A {
    const { current, now } = this.world
    if (current === undefined) {
      throw new Error(`step ${stepId} of ${runId} runs outside of every process`)
    }
    this.world.note(() => `${current.name} does ${stepId} of ${runId} in session ${fence}`)
    const key = `${runId} ${stepId}`
    this.times.set(key, this.timesOf(runId, stepId) + 1)
    this.deeds.push({ at: now, process: current, runId, stepId, session: fence, n: this.count() })
    return value
  }

  /** Something is done, and then takes its time. */
  does<A>(info: Info, value: A): Effect.Effect<A> {
    return Effect.suspend(() => {
      this.did(info, value)
      const millis = this.chance.happens(0.3)
        ? 0
        : this.chance.happens(0.85)
        ? this.chance.between(1, 400)
        : this.chance.between(1_000, 9_000)
      return millis === 0 ? Effect.succeed(value) : Effect.as(Effect.sleep(millis), value)
    })
  }

  timesOf(runId: string, stepId: string): number {
    return this.times.get(`${runId} ${stepId}`) ?? 0
  }
}

const mix = (a: number, b: number) => (a * 31 + b) % 1_000_003

const chained = (n: number) => Array.from({ length: n }, (_, k) => k).reduce(mix, 7)

/** The workflows, for processes of one world; what must be done once is, if `isCareful`. */
export const workflowsOf = (log: Log, isCareful = true) => {
  function* steps(ctx: Pick<Workflow.Ctx<{}>, "step">, n: number) {
    let x = 7
    for (let k = 0; k < n; k++) {
      const before = x
      x = k % 2 === 0
        ? yield* ctx.step(`s${k}`, (info) => log.did(info, mix(before, k)))
        : yield* ctx.step(`s${k}`, (info) => log.does(info, mix(before, k)))
    }
    return x
  }
  const chain = Workflow.make("chain", function*(ctx, n: number) {
    return yield* steps(ctx, n)
  })
  const lazy = Workflow.make("lazy", { durability: "async" }, function*(ctx, n: number) {
    return yield* steps(ctx, n)
  })
  const napper = Workflow.make(
    "napper",
    function*(ctx, naps: { readonly short: number; readonly long: number }) {
      yield* ctx.step("a", (info) => log.does(info, 0))
      yield* ctx.sleep(naps.short)
      yield* ctx.step("b", (info) => log.does(info, 0))
      yield* ctx.sleep(naps.long)
      return yield* ctx.step("c", (info) => log.did(info, naps.short + naps.long))
    }
  )
  const asker = Workflow.make(
    "asker",
    { events: { answer: Schema.String } },
    function*(ctx, timeout: number) {
      yield* ctx.step("ask", (info) => log.does(info, 0))
      const answer = yield* ctx.suspend("answer", { timeout })
      const said = answer._tag === "Some" ? `it is ${answer.value}` : "no answer"
      return yield* ctx.step("hear", (info) => log.did(info, said))
    }
  )
  const collector = Workflow.make(
    "collector",
    { events: { item: Schema.Int } },
    function*(ctx, count: number) {
      const items: Array<number> = []
      for (let k = 0; k < count; k++) {
        const item = yield* ctx.suspend("item")
        items.push(yield* ctx.step(`take${k}`, (info) => log.does(info, item)))
      }
      return items
    }
  )
  interface Relay {
    readonly left: number
    readonly items: ReadonlyArray<number>
  }
  const relay = Workflow.make(
    "relay",
    { events: { item: Schema.Int } },
    function*(ctx, { items, left }: Relay): Generator<any, ReadonlyArray<number>, any> {
      const item: number = yield* ctx.suspend("item")
      const taken: number = yield* ctx.step("take", (info) => log.does(info, item))
      const now = [...items, taken]
      return left === 1 ? now : yield* ctx.continueAs({ left: left - 1, items: now })
    }
  )
  const fan = Workflow.make("fan", function*(ctx, count: number) {
    const numbers = Array.from({ length: count }, (_, k) => k)
    const found = yield* ctx.forEach(numbers, function*(k) {
      const first = yield* ctx.step("first", (info) => log.does(info, k))
      yield* ctx.sleep(k % 2 === 0 ? 50 : 15_000)
      return yield* ctx.step("second", (info) => log.did(info, first * 10))
    }, { concurrency: 3 })
    return found.reduce((a, b) => a + b, 0)
  })
  const parent = Workflow.make("parent", function*(ctx, n: number) {
    const [a, b] = yield* ctx.all([
      ctx.child(chain, n),
      ctx.child(napper, { short: 40, long: 12_000 })
    ])
    return yield* ctx.step("sum", (info) => log.did(info, a + b))
  })
  const grandparent = Workflow.make("grandparent", function*(ctx, n: number) {
    const below = yield* ctx.child(parent, n)
    const hurt = yield* ctx.child(careful, n)
    return yield* ctx.step("sum", (info) => log.does(info, below + hurt))
  })
  interface Loop {
    readonly left: number
    readonly sum: number
  }
  const looper = Workflow.make(
    "looper",
    function*(ctx, { left, sum }: Loop): Generator<any, number, any> {
      const now: number = yield* ctx.step("add", (info) => log.does(info, mix(sum, left)))
      return left === 0 ? now : yield* ctx.continueAs({ left: left - 1, sum: now })
    }
  )
  const flaky = Workflow.make(
    "flaky",
    function*(ctx, { fails, pause }: { readonly fails: number; readonly pause: number }) {
      yield* ctx.step("before", (info) => log.did(info, 0))
      return yield* ctx.step("try", (info) => {
        log.did(info, 0)
        if (log.timesOf(info.runId, info.stepId) <= fails) throw new Error("not yet")
        return log.does({ ...info, stepId: "tried" }, fails)
      }, { retry: { times: 20, schedule: Schedule.spaced(pause) } })
    }
  )
  const thrower = Workflow.make("thrower", function*(ctx, catches: boolean) {
    yield* ctx.step("before", (info) => log.does(info, 0))
    try {
      yield* ctx.step("throw", (info) => {
        log.did(info, 0)
        throw new Error("it is broken")
      })
    } catch (error) {
      if (!catches) throw error
    }
    return yield* ctx.step("after", (info) => log.did(info, "caught"))
  })
  const careful = Workflow.make("careful", function*(ctx, n: number) {
    const x = yield* ctx.step("before", (info) => log.did(info, n))
    const paid = yield* ctx.step("pay", (info) => log.does(info, x * 2), {
      delivery: isCareful ? "at-most-once" : "at-least-once"
    })
    return yield* ctx.step("after", (info) => log.does(info, paid + 1))
  })
  const saga = Workflow.make("saga", function*(ctx, n: number) {
    yield* ctx.step("reserve", (info) => log.does(info, n), {
      undo: () => ctx.step("release", (info) => log.does(info, 0))
    })
    yield* ctx.sleep(200)
    return yield* ctx.step("charge", (info) => {
      log.did(info, 0)
      throw new Error("no money")
    })
  })
  return {
    chain,
    lazy,
    napper,
    asker,
    collector,
    relay,
    fan,
    parent,
    grandparent,
    looper,
    flaky,
    thrower,
    careful,
    saga
  }
}

export type Workflows = ReturnType<typeof workflowsOf>
export type Kind = keyof Workflows

/** An event that is posted, at least once. */
export interface Letter {
  readonly eventId: string
  readonly eventName: "answer" | "item"
  readonly value: string | number
  /** Milliseconds after the enqueuing, or after the letter before. */
  readonly after: number
  /** When it is posted once more. */
  readonly again: number | undefined
}

/** One run from the outside. */
export interface Job {
  readonly kind: Kind
  readonly runId: string
  readonly input: any
  /** Milliseconds from the beginning. */
  readonly at: number
  /** Enqueued once more, so long afterwards. */
  readonly again: number | undefined
  readonly letters: ReadonlyArray<Letter>
  /** When it is cancelled. */
  readonly cancelled: number | undefined
  readonly ends: "success" | "failed"
  /** Undefined where it is not known beforehand. */
  readonly result: unknown
}

const kinds: ReadonlyArray<Kind> = [
  "chain",
  "lazy",
  "napper",
  "asker",
  "collector",
  "relay",
  "fan",
  "parent",
  "grandparent",
  "looper",
  "flaky",
  "thrower",
  "careful",
  "careful",
  "careful",
  "saga"
]

/** Some runs of some of the workflows. */
export const jobsOf = (chance: Chance, within: number): ReadonlyArray<Job> => {
  const drawn = Array.from({ length: 4 }, () => chance.one(kinds))
  return Array.from({ length: chance.between(5, 9) }, (_, k): Job => {
    const kind = chance.one(drawn)
    const runId = `${kind}-${k}`
    const n = chance.between(1, 6)
    const common = {
      kind,
      runId,
      at: chance.happens(0.3) ? 0 : chance.between(0, within / 2),
      again: chance.happens(0.3) ? chance.between(0, 5_000) : undefined,
      cancelled: kind !== "careful" && kind !== "grandparent" && chance.happens(0.1)
        ? chance.between(0, within / 2)
        : undefined
    }
    const letter = (k: number, eventName: Letter["eventName"], value: string | number): Letter => ({
      eventId: `e${k}`,
      eventName,
      value,
      after: chance.happens(0.3) ? 0 : chance.between(0, 15_000),
      again: chance.happens(0.3) ? chance.between(0, 5_000) : undefined
    })
    const items = () => Array.from({ length: n }, (_, k) => letter(k, "item", k))
    const ended = (
      input: unknown,
      result: unknown,
      letters: ReadonlyArray<Letter> = [],
      ends: Job["ends"] = "success"
    ): Job => ({ ...common, input, letters, ends, result })
    const numbers = Array.from({ length: n }, (_, k) => k)
    switch (kind) {
      case "chain":
        return ended(n, chained(n))
      case "lazy":
        return ended(3 * n, chained(3 * n))
      case "napper": {
        const short = chance.between(1, 400), long = chance.between(2_000, 40_000)
        return ended({ short, long }, short + long)
      }
      case "asker":
        return ended(
          chance.between(50, 40_000),
          undefined,
          chance.happens(0.8) ? [letter(0, "answer", `a${n}`)] : []
        )
      case "collector":
        return ended(n, numbers, items())
      case "relay":
        return ended({ left: n, items: [] }, numbers, items())
      case "fan":
        return ended(n, numbers.reduce((a, b) => a + b * 10, 0))
      case "parent":
        return ended(n, chained(n) + 12_040)
      case "grandparent":
        return ended(n, chained(n) + 12_040 + 2 * n + 1)
      case "looper":
        return ended({ left: n, sum: 3 }, [...numbers, n].toReversed().reduce(mix, 3))
      case "flaky":
        return ended({ fails: n - 1, pause: chance.one([20, 700, 12_000]) }, n - 1)
      case "thrower": {
        const catches = chance.happens(0.5)
        return catches ? ended(true, "caught") : ended(false, undefined, [], "failed")
      }
      case "careful":
        return ended(n, 2 * n + 1)
      case "saga":
        return ended(n, undefined, [], "failed")
    }
  })
}

/** What a person who looked it up says that an at-most-once step of a run came to. */
export const settlementOf = (input: number): number => 2 * input

/** All of them, for a worker. */
export const listOf = (workflows: Workflows): ReadonlyArray<Dispatch.AnyWorkflow> =>
  Object.values(workflows)
