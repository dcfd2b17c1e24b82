/**
 * Every order in which several processes can reach one storage: each call of each process waits at a gate,
 * and an explorer opens one gate after the other, in all orders that can make a difference.
 *
 * Calls are atomic, as a driver's are; between two of them a process runs on until it waits at its next
 * gate. Two orders that differ only in calls which do not touch the same thing are one (sleep sets).
 */
import { Context, Effect, type Exit, type Fiber } from "effect"
import type { Recorded } from "../../src/Entry.ts"
import * as Journal from "../../src/Journal.ts"
import * as MemoryDriver from "../../src/MemoryDriver.ts"
import { type Driver, make, Storage, StorageError } from "../../src/Storage.ts"
import { Simulation } from "./simulation.ts"

export const runId = "r1"

/** What a call touches. */
interface Touch {
  readonly on: "journal" | "inbox" | "lease" | "nothing" | "all"
  readonly writes: boolean
}

/** A gate that can be opened. */
interface Gate extends Touch {
  readonly key: string
  readonly actor: string
  readonly what: string
  readonly open: () => void
}

/** Lets a step's effect wait at a gate of its process; what comes out is `value`. */
export type Step = <A>(what: string, value: () => A) => Effect.Effect<A>

export interface Actor {
  readonly name: string
  /** The id of what it posts. */
  readonly posts?: string
  /** What the process does; `step` is for the effects inside. */
  readonly does: (step: Step) => Effect.Effect<unknown, unknown, Storage>
}

export interface Story {
  /** What happened before, undisturbed. */
  readonly before?: Effect.Effect<unknown, unknown, Storage>
  readonly actors: ReadonlyArray<Actor>
  /** How often a lease may run out although its holder lives. */
  readonly expiries?: number
  /** How many processes may die. */
  readonly deaths?: number
  /** How often an hour of waiting may pass while calls are under way; unlimited when nothing else can happen. */
  readonly ticks?: number
  /** How often an append may fail for good, with nothing written. */
  readonly failures?: number
  /** How often an append may be written and not answered. */
  readonly unanswered?: number
  /** Whether a process hears of what another one posted; otherwise it has to look. */
  readonly watch?: boolean
}

/** How a story came out. */
export interface Rest {
  readonly exits: Readonly<Record<string, Exit.Exit<unknown, unknown>>>
  readonly journal: ReadonlyArray<Recorded>
  readonly rejected: number
  /** Ids whose post was acknowledged. */
  readonly posted: ReadonlyArray<string>
  readonly isLeaseHeld: boolean
  readonly died: ReadonlyArray<string>
  readonly failed: number
  /** Processes of which an append was accepted. */
  readonly wrote: ReadonlySet<string>
  /** What processes did after their program had ended. */
  readonly late: ReadonlyArray<string>
  /** What happened, one line each. */
  readonly trace: ReadonlyArray<string>
  /** Runs something on the same storage, after all. */
  readonly afterwards: <A, E>(program: Effect.Effect<A, E, Storage>) => Exit.Exit<A, E>
}

class Stage {
  readonly simulation = new Simulation()
  readonly driver: Driver = MemoryDriver.make()
  readonly gates = new Map<string, Gate>()
  readonly posted: Array<string> = []
  readonly trace: Array<string> = []
  readonly died: Array<string> = []
  readonly late: Array<string> = []
  readonly wrote = new Set<string>()
  failed = 0
  private readonly fibers = new Map<string, Fiber.Fiber<unknown, unknown>>()
  private readonly counts = new Map<string, number>()
  private readonly leases = new Map<string, string>()
  private posts = 0
  private expiries: number
  private deaths: number
  private ticks: number
  private failures: number
  private unanswered: number
  private readonly story: Story

  constructor(story: Story) {
    this.story = story
    this.expiries = story.expiries ?? 0
    this.deaths = story.deaths ?? 0
    this.ticks = story.ticks ?? 0
    this.failures = story.failures ?? 0
    this.unanswered = story.unanswered ?? 0
    if (story.before !== undefined) {
      this.simulation.get(
        story.before as Effect.Effect<unknown, never, Storage>,
        this.undisturbed()
      )
    }
    for (const { does, name } of story.actors) {
      const storage = make(this.gated(name))
      const program = does((what, value) =>
        this.gate(name, what, { on: "nothing", writes: false }, Effect.sync(value))
      )
      this.fibers.set(name, this.simulation.fork(program, Context.make(Storage, storage)))
    }
    this.simulation.settle()
  }

  undisturbed(): Context.Context<Storage> {
    return Context.make(Storage, make(this.driver))
  }

  /** All that can happen next. */
  choices(): ReadonlyArray<Gate> {
    const out = [...this.gates.values()]
    const busy = out.length > 0
    const every: Touch = { on: "all", writes: true }
    if (busy && this.expiries > 0 && this.leases.size > 0) {
      out.push({
        key: "expiry",
        actor: "time",
        what: "the lease runs out",
        on: "lease",
        writes: true,
        open: () => {
          this.expiries--
          this.dropLeases(() => true)
        }
      })
    }
    if (busy && this.deaths > 0) {
      for (const [name, fiber] of this.fibers) {
        if (fiber.pollUnsafe() !== undefined) continue
        out.push({
          key: `death of ${name}`,
          actor: name,
          what: "dies",
          ...every,
          open: () => {
            this.deaths--
            this.died.push(name)
            this.kill(name, fiber)
          }
        })
      }
    }
    for (const gate of this.gates.values()) {
      if (!gate.what.startsWith("append")) continue
      if (this.failures > 0) {
        out.push(this.spoilt(gate, "fails", "failing", () => {
          this.failures--
          this.failed++
        }))
      }
      if (this.unanswered > 0) {
        out.push(this.spoilt(gate, "is not answered", "silent", () => this.unanswered--))
      }
    }
    if (this.simulation.sleeps && (busy ? this.ticks > 0 : !this.isOver())) {
      out.push({
        key: "tick",
        actor: "time",
        what: "passes",
        ...every,
        open: () => {
          if (busy) this.ticks--
          this.simulation.tick()
        }
      })
    }
    return out
  }

  open(gate: Gate): void {
    const line = `${gate.actor} ${gate.what}`
    this.trace.push(line)
    if (this.fibers.get(gate.actor)?.pollUnsafe() !== undefined) this.late.push(line)
    gate.open()
    this.simulation.settle()
  }

  isOver(): boolean {
    return [...this.fibers.values()].every((fiber) => fiber.pollUnsafe() !== undefined)
  }

  rest(): Rest {
    const stuck = [...this.fibers].filter(([, fiber]) => fiber.pollUnsafe() === undefined)
    if (stuck.length > 0) throw new Error(`${stuck.map(([name]) => name).join()} waits for nothing`)
    const { text } = Effect.runSync(this.driver.read(runId))
    const read = Journal.read(runId, text)
    if (read._tag === "Failure") throw read.failure
    return {
      exits: Object.fromEntries(
        [...this.fibers].map(([name, fiber]) => [name, fiber.pollUnsafe()!])
      ),
      journal: read.success.entries,
      rejected: read.success.rejected,
      posted: this.posted,
      isLeaseHeld: this.leases.size > 0,
      died: this.died,
      failed: this.failed,
      late: this.late,
      wrote: this.wrote,
      trace: this.trace,
      afterwards: (program) => this.simulation.run(program, this.undisturbed())
    }
  }

  /** What becomes of the append whose gate is open. */
  private mood: "well" | "failing" | "silent" = "well"

  private spoilt(gate: Gate, how: string, mood: "failing" | "silent", spend: () => void): Gate {
    return {
      ...gate,
      key: `${gate.key} ${how}`,
      what: `${gate.what} ${how}`,
      open: () => {
        spend()
        this.mood = mood
        gate.open()
        this.mood = "well"
      }
    }
  }

  private kill(name: string, fiber: Fiber.Fiber<unknown, unknown>): void {
    for (const [key, gate] of this.gates) if (gate.actor === name) this.gates.delete(key)
    this.dropLeases((token) => this.leases.get(token) === name)
    // What is not interruptible waits at a gate for ever: nobody looks at it any more.
    this.fibers.delete(name)
    fiber.interruptUnsafe()
  }

  private dropLeases(which: (token: string) => boolean): void {
    for (const token of [...this.leases.keys()].filter(which)) {
      this.leases.delete(token)
      Effect.runSync(this.driver.release(runId, token))
    }
  }

  /** Waits until the explorer opens the gate, then happens at once. */
  private gate<A, E>(
    actor: string,
    what: string,
    touch: Touch,
    effect: Effect.Effect<A, E>
  ): Effect.Effect<A, E> {
    return Effect.callback<A, E>((resume) => {
      // A dead process reaches nothing.
      if (this.died.includes(actor)) return
      const n = (this.counts.get(actor) ?? 0) + 1
      this.counts.set(actor, n)
      const key = `${actor} ${n}`
      this.gates.set(key, {
        key,
        actor,
        what,
        ...touch,
        open: () => {
          this.gates.delete(key)
          resume(Effect.runSyncExit(effect))
        }
      })
      return Effect.sync(() => {
        this.gates.delete(key)
      })
    })
  }

  private gated(actor: string): Driver {
    const { driver } = this
    const look = <A, E>(what: string, on: Touch["on"], effect: Effect.Effect<A, E>) =>
      this.gate(actor, what, { on, writes: false }, effect)
    const change = <A, E>(what: string, on: Touch["on"], effect: Effect.Effect<A, E>) =>
      this.gate(actor, what, { on, writes: true }, effect)
    return {
      ...driver,
      read: (run) => look("reads the journal", "journal", driver.read(run)),
      version: (run) => look("looks at the journal", "journal", driver.version(run)),
      writer: (run) =>
        Effect.map(driver.writer(run), (writer) => ({
          // Calling an append may be the append: it is called when its gate opens.
          append: (at, lines, row) =>
            Effect.uninterruptible(change(
              `append ${lines.map((line) => /"type":"(\w+)"/.exec(line)?.[1]).join(", ")}`,
              "journal",
              Effect.suspend(() => {
                if (this.mood === "failing") return Effect.fail(planned("Unknown"))
                const written = Effect.tap(
                  writer.append(at, lines, row),
                  () => Effect.sync(() => this.wrote.add(actor))
                )
                return this.mood === "silent"
                  ? Effect.andThen(written, Effect.fail(planned("Unavailable")))
                  : written
              })
            ))
        })),
      post: (run, post) => {
        const { eventId } = post
        return change(
          `posts ${eventId}`,
          // With watchers, a post may touch what anyone does. As a driver may, this one keeps each of two
          // posts with one id.
          this.story.watch === true ? "all" : "inbox",
          Effect.tap(
            driver.post(run, { ...post, id: `${post.id} ${++this.posts}` }),
            () => Effect.sync(() => this.posted.push(eventId))
          )
        )
      },
      inbox: (run, after) => look("reads the inbox", "inbox", driver.inbox(run, after)),
      acquire: (run, now, until) =>
        change(
          "wants the lease",
          "lease",
          Effect.tap(driver.acquire(run, now, until), (claim) =>
            Effect.sync(() => {
              if (claim._tag === "Acquired") this.leases.set(claim.token, actor)
            }))
        ),
      renew: (run, token, until) =>
        change("renews the lease", "lease", driver.renew(run, token, until)),
      release: (run, token) =>
        change(
          "gives the lease back",
          "lease",
          Effect.tap(driver.release(run, token), () => Effect.sync(() => this.leases.delete(token)))
        ),
      holder: (run, now) => look("looks at the lease", "lease", driver.holder(run, now)),
      watch: (run, onChange) =>
        this.story.watch === true
          ? driver.watch(run, (what) => {
            if (!this.died.includes(actor)) onChange(what)
          })
          : () => {}
    }
  }
}

const planned = (reason: "Unknown" | "Unavailable") =>
  new StorageError({ reason, doing: "append", cause: new Error("planned") })

const independent = (a: Gate, b: Gate): boolean =>
  a.actor !== b.actor && a.on !== "all" && b.on !== "all"
  && (a.on !== b.on || (!a.writes && !b.writes))

interface Fork {
  readonly choices: ReadonlyArray<Gate>
  /** Choices whose orders have been seen elsewhere. */
  readonly asleep: ReadonlyArray<Gate>
  readonly done: Array<Gate>
  chosen: Gate
}

export interface Explored {
  readonly orders: number
  readonly complete: boolean
}

/** Plays a story in every order, at most `most`; `judge` sees each outcome and throws when it is wrong. */
export const explore = (story: Story, most: number, judge: (rest: Rest) => void): Explored => {
  const path: Array<Fork> = []
  let orders = 0
  for (;;) {
    const stage = new Stage(story)
    let redundant = false
    for (let depth = 0;; depth++) {
      const choices = stage.choices()
      if (choices.length === 0) break
      if (depth === path.length) {
        const before = path.at(-1)
        const asleep = before === undefined
          ? []
          : [...before.asleep, ...before.done].filter((gate) => independent(gate, before.chosen))
        const chosen = choices.find(({ key }) => asleep.every((gate) => gate.key !== key))
        if (chosen === undefined) {
          redundant = true
          break
        }
        path.push({ choices, asleep, done: [], chosen })
      }
      const { key } = path[depth]!.chosen
      const gate = choices.find((choice) => choice.key === key)
      if (gate === undefined) {
        throw new Error(`not the same again: ${key}\n${stage.trace.join("\n")}`)
      }
      stage.open(gate)
    }
    if (!redundant) {
      orders++
      judged(stage, judge)
    }
    for (;;) {
      const last = path.at(-1)
      if (last === undefined) return { orders, complete: true }
      last.done.push(last.chosen)
      const next = last.choices.find(({ key }) =>
        [...last.asleep, ...last.done].every((gate) => gate.key !== key)
      )
      if (next !== undefined) {
        last.chosen = next
        break
      }
      path.pop()
    }
    if (orders >= most) return { orders, complete: false }
  }
}

/** Something that can happen next. */
export type Choice = Pick<Gate, "actor" | "what">

/** Plays a story once; `choose` says what happens next, by its place in the list. */
export const playOnce = (
  story: Story,
  choose: (choices: ReadonlyArray<Choice>, n: number) => number,
  judge: (rest: Rest) => void
): void => {
  const stage = new Stage(story)
  for (let n = 0;; n++) {
    const choices = stage.choices()
    if (choices.length === 0) break
    stage.open(choices[choose(choices, n) % choices.length]!)
  }
  judged(stage, judge)
}

/** Goes on at once with another one after so many steps. */
export type Switch = readonly [after: number, to: number]

/**
 * Lets each process run on as long as it can, but for a few switches: what goes wrong seldom needs more of
 * them, and where they are is drawn.
 */
export const withSwitches = (switches: ReadonlyArray<Switch>) => {
  const planned = new Map(switches)
  let current: string | undefined
  return (choices: ReadonlyArray<Choice>, n: number): number => {
    const to = planned.get(n)
    const at = to === undefined
      ? Math.max(0, choices.findIndex(({ actor }) => actor === current))
      : to % choices.length
    if (choices[at]!.actor !== "time") current = choices[at]!.actor
    return at
  }
}

const judged = (stage: Stage, judge: (rest: Rest) => void): void => {
  try {
    judge(stage.rest())
  } catch (error) {
    throw new Error(`${String((error as Error).message)}\n\n${stage.trace.join("\n")}`, {
      cause: error
    })
  }
}
