/**
 * One session of one run: from its `start` entry until the run ends, only waits, or is lost.
 *
 * Session owns the machine, the running effects and the order in which outcomes are taken. Storage
 * owns what is durable; `Interpreter` owns when a session is opened and what follows it. Invariants:
 * S1. Nothing is executed before the entries it follows from are acknowledged, the session's `start`
 *     first of all. (`async` and `exit` give up the rest of it, not the `start`.)
 * S2. Outcomes are fed in the order they are journaled, each with what follows from it, in one append.
 * S3. The inbox is looked at before the run suspends or ends.
 * S4. After `Moved` by someone else nothing is appended and every effect is interrupted.
 * S5. A child hears of a cancel before its parent ends.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { Appender } from "./Appender.ts"
import { type ChildOutcome, Children } from "./Children.ts"
import type * as Codec from "./Codec.ts"
import type { Posted, StorageError } from "./Driver.ts"
import { type Driven, hasMoved, type Seen } from "./Ending.ts"
import { type Entry, type Recorded, type Suspend, suspension, type Wait } from "./Entry.ts"
import { type JournalCorrupt, type Stamp, type Stamped, stamped } from "./Journal.ts"
import { JournalLimits, ShortWait } from "./Limits.ts"
import type { Live } from "./Live.ts"
import * as Looker from "./Looker.ts"
import { type Machine, type Pending, wakeAtOf } from "./Machine.ts"
import type { RunEvent } from "./Observer.ts"
import type { Begin, VersionMismatch } from "./Opening.ts"
import * as Perform from "./Perform.ts"
import * as Record from "./Record.ts"
import type { RunExists, RunNotFound } from "./Refusals.ts"
import * as Replay from "./Replay.ts"
import type { RunIdRejected } from "./RunId.ts"
import { type Asked, Running } from "./Running.ts"
import * as Shadow from "./Shadow.ts"
import { StepHook } from "./StepHook.ts"
import { type Storage, succeedTrue, type Writer } from "./Storage.ts"
import { Telling } from "./Telling.ts"
import { Timers } from "./Timers.ts"

/** Another session opened the run: this one stopped, appended nothing more, and its effects were interrupted. */
export class Fenced extends Schema.TaggedError<Fenced>("reprise/Fenced")("Fenced", {
  runId: Schema.String,
  session: Schema.Int
}) {
  override get message(): string {
    return `Session ${this.session} of run "${this.runId}" lost the run to a newer session, which goes on with it. `
      + `Nothing acknowledged is lost. Wait for the end with join("${this.runId}"), or look with status.`
  }
}

export type SessionError =
  | StorageError
  | JournalCorrupt
  | Fenced
  | Replay.ReplayMismatch
  | Replay.BodyDefect
  | Replay.NotYielded
  | Codec.Unserializable
  | Codec.ValueTooLarge
  // of a child
  | RunNotFound
  | RunExists
  | VersionMismatch
  | RunIdRejected

/** How a session ended. */
export type Conclusion =
  | { readonly _tag: "Ended"; readonly entry: Record.End }
  | { readonly _tag: "Suspended"; readonly entry: Suspend; readonly children: ReadonlyArray<Seen> }
  /** It must not go on by itself. */
  | { readonly _tag: "Blocked"; readonly reason: string }
  /** Its own `start` was beaten: read again and decide again. */
  | { readonly _tag: "Beaten" }

export interface Options extends Record.Of {
  readonly storage: Storage["Service"]
  readonly writer: Writer
  readonly stamp: Stamp
  readonly machine: Machine
  readonly durability: Replay.Durability
  /** The accepted entries this session found. */
  readonly found: ReadonlyArray<Recorded>
  /** Opens the session: a `start`. */
  readonly start: Stamped
  /** Posts found before the session opened, and where the inbox was read up to. */
  readonly news: ReadonlyArray<Posted>
  readonly cursor: string
  readonly leaseToken: string
  readonly live: Live
  /** How a child is driven, or its start recorded. */
  readonly drive: (
    program: Replay.Program,
    runId: string,
    begin: Begin
  ) => Effect.Effect<Driven, SessionError>
  readonly enqueue: (
    program: Replay.Program,
    runId: string,
    begin: Begin
  ) => Effect.Effect<void, SessionError>
}

/** A session that is over. */
export interface Ran {
  readonly conclusion: Conclusion
  /** Up to where the inbox was read. */
  readonly cursor: string
  /** How many outcomes it journaled. */
  readonly steps: { readonly done: number; readonly failed: number }
}

/** Runs the session to its conclusion. */
export const run = (options: Options): Effect.Effect<Ran, SessionError> =>
  Clock.clockWith((clock) => {
    const session = new Session(options, clock)
    return Effect.map(session.supervise(), (conclusion) => {
      const { cursor, steps } = session
      return { conclusion, cursor, steps }
    })
  })

/** How long a session that runs only plain functions goes without a look at the inbox. */
const lookMillis = 1_000

/** How many turns a session takes before it lets others run. */
const turnsPerYield = 256

/** How the steps of an undo are repeated that say nothing themselves: 10 times over about two minutes. */
const undoRetry = { times: 10, schedule: Schedule.exponential("200 millis") }

type Parked = Extract<ChildOutcome<SessionError>, { readonly _tag: "Parked" }>

/** What arrives: of a step, of a child, or why a child could not be started. */
type Outcome =
  | { readonly _tag: "Step"; readonly performed: Perform.Performed }
  | ChildOutcome<SessionError>
  | { readonly _tag: "Refused"; readonly error: SessionError }

class Session {
  /** Up to where the inbox was read. */
  cursor: string
  readonly steps = { done: 0, failed: 0 }
  /** What was posted and is to be fed. */
  private news: ReadonlyArray<Posted>
  /** What was fed and is to be appended. */
  private batch: Array<Stamped> = []
  /** Steps and children to be started once the batch is acknowledged. */
  private starting: Array<Pending> = []
  private readonly running: Running<Outcome>
  private readonly timers: Timers
  private readonly children: Children<SessionError>
  /** Children that are open while nothing can be done for them here. */
  private readonly parked = new Map<Pending, Parked>()
  /** Children that are to hear of a cancel; true where they are to end at once. */
  private cancels: Array<readonly [child: Pending, again: boolean]> = []
  /** Repeated attempts whose intent is in the batch. */
  private readonly recorded: Array<Asked> = []
  /** Steps an earlier session left with an intent and no outcome: never started again. */
  private readonly unknown = new Set<Pending>()
  /** What was pending when the session opened: an earlier one may have started it. */
  private readonly old = new Set<Pending>()
  /** Why the session cannot go on. */
  private failure: SessionError | undefined
  private opened = false
  private looker: Fiber.Fiber<never> | undefined
  private worker: Fiber.Fiber<Conclusion, SessionError> | undefined
  /** Set while the worker runs a lone step itself. */
  private inline = false
  /** Set when the looker interrupted the worker, which is to start anew. */
  private restart = false
  private fenced = false
  /** Set when the looker saw news. */
  private poked = false
  private warned = false
  private wake: (() => void) | undefined
  private now = { millis: -1, iso: "" }
  private lookedAt: number
  private readonly longestWait: number
  private readonly limits
  private readonly shadow: boolean
  /** How a step runs that is not repeated. */
  private readonly once: Perform.Repeating
  private readonly publish: Perform.Identity["publish"]
  private readonly o: Options
  private readonly clock: Clock.Clock
  private readonly appender: Appender
  private readonly telling: Telling

  constructor(options: Options, clock: Clock.Clock) {
    const { cursor, durability, live, machine, news, services, stamp, start, writer } = options
    this.o = options
    this.clock = clock
    this.cursor = cursor
    this.news = news
    this.longestWait = Context.get(services, ShortWait)
    this.limits = Context.get(services, JournalLimits)
    this.shadow = Shadow.isOn(options)
    const hook = Context.get(services, StepHook)
    this.once = { retry: undefined, earlier: [], longest: this.longestWait, hook }
    this.publish = (channel, value, stepId, attempt) =>
      this.telling.publish(channel, value, { stepId, attempt })
    this.telling = new Telling(options, live)
    this.children = new Children({ ...options, incarnation: stamp.incarnation })
    this.running = new Running(() => this.wake?.())
    this.timers = new Timers((p) => this.isPending(p))
    this.appender = new Appender({
      writer,
      stamp,
      durability,
      onAcknowledged: (entries) => this.acknowledge(entries),
      onBroken: (error) => {
        if (error === undefined) this.fenced = true
        else this.failure ??= error
        this.interruptWorker()
      }
    })
    machine.live = true
    machine.fresh = []
    for (const p of machine.pending.values()) {
      this.old.add(p)
      if (p.cancelling === undefined) this.admit(p)
    }
    this.timestamp()
    this.lookedAt = this.now.millis
    this.batch.push(start)
    this.follow()
    this.checkDefect()
  }

  private isPending(p: Pending): boolean {
    return this.o.machine.pending.get(p.id) === p
  }

  /** Starts what became pending, or sets its timer. */
  private admit(p: Pending): void {
    const { op } = p.instruction
    if (op === "step" && p.intent > 0) this.unknown.add(p)
    else {
      const at = wakeAtOf(p)
      if (at !== undefined) this.timers.set(p, at)
      else if (op === "step" || op === "child") this.starting.push(p)
    }
  }

  // ------------------------------------------------------------------------------------------------
  // the loop

  /** Runs the worker, and runs it anew when the looker had to interrupt the effect it runs itself. */
  supervise(): Effect.Effect<Conclusion, SessionError> {
    return Effect.gen({ self: this }, function*() {
      for (;;) {
        const worker = yield* Effect.forkChild(this.work())
        this.worker = worker
        const exit = yield* Effect.onInterrupt(Fiber.await(worker), () => Fiber.interrupt(worker))
        if (!this.restart || Exit.isSuccess(exit) || !Cause.hasInterruptsOnly(exit.cause)) {
          return yield* exit
        }
        this.restart = false
      }
    }).pipe(
      Effect.onExit(() => this.close()),
      Effect.tapError((error) => this.telling.leave(error.message)),
      Effect.tap((conclusion) =>
        conclusion._tag === "Blocked" ? this.telling.leave(conclusion.reason) : Effect.void
      )
    )
  }

  /** Stops what runs, and writes what is not durable yet. */
  private close(): Effect.Effect<void> {
    this.o.live.running = 0
    const stopped = this.running.stop(this.looker === undefined ? [] : [this.looker])
    return this.appender.behind === 0 || this.fenced
      ? stopped
      : Effect.andThen(Effect.ignore(this.appender.flush()), stopped)
  }

  private work(): Effect.Effect<Conclusion, SessionError> {
    return Effect.gen({ self: this }, function*() {
      const { machine, runId, stamp } = this.o
      this.inline = false
      for (let turns = 1;; turns++) {
        // Steps and a storage that are over at once would never let anyone else run.
        if (turns % turnsPerYield === 0) yield* Effect.yieldNow
        if (this.fenced) return yield* Effect.fail(new Fenced({ runId, session: stamp.session }))
        // Steps that are over at once never start the looker.
        if (this.now.millis - this.lookedAt >= lookMillis) this.poked = true
        if (this.poked && this.news.length === 0) yield* this.look()
        if (this.news.length > 0) yield* this.feedNews()
        if (this.timers.next < Infinity) this.feedTimers()
        this.takeHeld()
        this.takeDropped()
        this.takeFresh()
        const idle = this.isIdle()
        if (idle && (yield* this.look())) continue
        if (idle && this.parked.size > 0 && (yield* this.lookAtChildren())) continue
        const conclusion = idle || this.isFull() ? this.conclude() : undefined
        const isUrgent = conclusion === undefined ? this.recordIntents() : true
        const entries = this.takeBatch()
        if (entries.length > 0 || isUrgent) {
          const appended = this.appender.append(entries, isUrgent || !this.opened)
          if (!(appended === succeedTrue || (yield* appended))) {
            if (!this.opened) return { _tag: "Beaten" }
            return yield* Effect.fail(new Fenced({ runId, session: stamp.session }))
          }
          if (isUrgent) { for (const { acknowledged } of this.recorded.splice(0)) acknowledged() }
          if (this.shadow && this.failure === undefined && this.appender.behind === 0) {
            yield* Shadow.compare(this.o, this.o.storage, machine)
          }
        }
        if (machine.said.length > 0) yield* this.telling.say(machine.said.splice(0))
        if (this.telling.hasWarnings) yield* this.telling.warn()
        if (this.cancels.length > 0) yield* this.cancelChildren()
        if (this.failure !== undefined) return yield* Effect.fail(this.failure)
        if (conclusion !== undefined) return conclusion
        if (!this.canRunInline()) {
          yield* this.runBesideEachOther()
          continue
        }
        // A lone step runs in this fiber. What is no effect is over at once, without one.
        const pending = this.starting.pop()!
        const began = this.clock.currentTimeMillisUnsafe()
        if (this.telling.isHeard) yield* this.telling.announce(pending)
        let performed = this.call(pending)
        if (Effect.isEffect(performed)) {
          if (this.looker === undefined) yield* this.startLooking()
          this.inline = true
          this.o.live.running++
          performed = yield* this.telling.surround(pending, performed).pipe(
            Effect.onExit(() => {
              this.o.live.running--
              return Effect.void
            })
          )
          this.inline = false
        }
        this.take(pending, performed, began)
      }
    })
  }

  private call(p: Pending): Perform.Performed | Effect.Effect<Perform.Performed> {
    const step = Record.stepOf(p)
    const identity = new StepIdentity(this.o, p.id, this.publish)
    const { delivery, retry = p.node.isUndo ? undoRetry : undefined } = step.options
    if (retry === undefined && p.retry === undefined) {
      return Perform.call(step, identity, this.once)
    }
    const before = delivery === "at-most-once"
      ? (attempt: number) => this.running.ask(p, attempt)
      : undefined
    return Perform.call(step, identity, {
      ...this.once,
      retry,
      earlier: p.retry?.failed ?? [],
      ...(before === undefined ? undefined : { before })
    })
  }

  /** A cancel interrupts what runs in this fiber, so only what it would interrupt anyway runs here. */
  private canRunInline(): boolean {
    const [pending, ...others] = this.starting
    if (pending?.instruction.op !== "step" || others.length > 0) return false
    const { options, undo } = pending.instruction
    return !this.running.isBusy && this.o.machine.pending.size === 1
      && (options.delivery !== "at-most-once" || options.retry === undefined)
      && undo === undefined && !pending.node.cancelled && this.once.hook === undefined
  }

  private runBesideEachOther(): Effect.Effect<void, SessionError> {
    return Effect.gen({ self: this }, function*() {
      for (const pending of this.starting.splice(0)) {
        if (this.telling.isHeard) yield* this.telling.announce(pending)
        yield* this.launch(pending)
      }
      if (!this.running.hasArrived && !this.poked && this.mayWait()) {
        yield* this.startLooking()
        yield* this.wait()
      }
      for (const { began, outcome, pending } of this.running.arrived.splice(0)) {
        this.o.live.running--
        if (outcome._tag === "Step") this.take(pending, outcome.performed, began)
        else this.takeChild(pending, outcome)
      }
      for (const asked of this.running.asked.splice(0)) {
        if (!this.isPending(asked.pending)) continue
        this.record(Record.intent(asked.pending, asked.attempt))
        this.recorded.push(asked)
      }
    })
  }

  private launch(pending: Pending): Effect.Effect<void> {
    return Effect.suspend(() => {
      const began = this.clock.currentTimeMillisUnsafe()
      this.o.live.running++
      if (pending.instruction.op === "child") {
        this.parked.delete(pending)
        const outcome: Effect.Effect<Outcome> = Effect.catch(
          this.children.perform(pending),
          (error) => Effect.succeed({ _tag: "Refused", error } as const)
        )
        return this.running.launch(pending, outcome, began)
      }
      const called = this.call(pending)
      if (!Effect.isEffect(called)) {
        this.running.arrive(pending, { _tag: "Step", performed: called }, began)
        return Effect.void
      }
      const outcome = Effect.map(
        this.telling.surround(pending, called),
        (performed): Outcome => ({ _tag: "Step", performed })
      )
      return this.running.launch(pending, outcome, began)
    })
  }

  /** Whether there is something to wait for. */
  private mayWait(): boolean {
    return this.running.isBusy || this.timers.next < Infinity
  }

  /** Until something arrives, is posted, or goes off. */
  private wait(): Effect.Effect<unknown> {
    const arrival = Effect.callback<void>((resume) => {
      if (this.running.hasArrived || this.poked) return resume(Effect.void)
      this.wake = () => {
        this.wake = undefined
        resume(Effect.void)
      }
      return Effect.sync(() => {
        this.wake = undefined
      })
    })
    const { next } = this.timers
    if (next === Infinity) return arrival
    return Effect.timeoutOption(arrival, Math.max(0, next - this.clock.currentTimeMillisUnsafe()))
  }

  // ------------------------------------------------------------------------------------------------
  // what is taken from the machine

  private takeFresh(): void {
    const { machine } = this.o
    if (machine.fresh.length === 0) return
    for (const p of machine.fresh) if (this.isPending(p)) this.admit(p)
    machine.fresh = []
  }

  /** Settles what was cancelled before it ran, and leaves the rest to end. */
  private takeHeld(): void {
    const { machine } = this.o
    while (machine.held.length > 0 && this.failure === undefined) {
      const p = machine.held.shift()!
      if (!this.isPending(p) || p.isUndoing) continue
      this.starting = this.starting.filter((other) => other !== p)
      if (p.instruction.op === "child") {
        this.cancels.push([p, false])
        continue
      }
      if (this.running.has(p)) continue
      // An earlier session may have begun it, unless it says otherwise.
      const mayHaveBegun = this.old.has(p) && p.retry === undefined
        && Record.stepOf(p).options.delivery !== "at-most-once"
      if (this.unknown.delete(p) || mayHaveBegun) {
        this.record({ type: "undo", stepId: p.id, unknown: true })
      } else this.recordOr(Record.interrupted(this.o, p))
    }
  }

  private takeDropped(): void {
    const { machine } = this.o
    if (machine.dropped.length === 0) return
    for (const p of machine.dropped) {
      this.unknown.delete(p)
      this.parked.delete(p)
      if (p.instruction.op !== "child") this.dropStep(p)
      else if (p.instruction.onCancel === "abandon") this.running.release(p)
      else this.cancels.push([p, machine.isForced])
    }
    this.starting = this.starting.filter((p) => this.isPending(p))
    this.timers.refresh()
    machine.dropped = []
  }

  private dropStep(p: Pending): void {
    if (this.running.has(p)) this.o.live.running--
    this.running.drop(p)
  }

  /** Tells children of a cancel, and drives their clean-up where nobody does. */
  private cancelChildren(): Effect.Effect<void, SessionError> {
    return Effect.gen({ self: this }, function*() {
      for (const [child, atOnce] of this.cancels.splice(0)) {
        const asked = yield* this.children.cancel(child, atOnce)
        if (atOnce) {
          this.dropStep(child)
          continue
        }
        if (this.running.has(child)) continue
        const isAwaited = this.isPending(child)
        const childId = this.children.idOf(child)
        if (asked !== "absent") {
          const mayClean = asked === "open" && this.children.programOf(child).hasBody
          if (mayClean || isAwaited) yield* this.launch(child)
        } else if (isAwaited) {
          this.record({ type: "child", stepId: child.id, childId, cancelled: true })
        }
      }
    })
  }

  /** Whether nothing can happen any more but from outside, or not soon. */
  private isIdle(): boolean {
    if (this.starting.length > 0 || this.running.isBusy || this.cancels.length > 0) return false
    if (this.o.machine.outcome !== undefined) return true
    if (this.timers.next === Infinity) return true
    const soon = this.clock.currentTimeMillisUnsafe() + this.longestWait
    if (this.timers.next > soon) return true
    this.timers.refresh()
    return this.timers.next > soon
  }

  /** Whether the journal is too long for another step. */
  private isFull(): boolean {
    const entries = this.o.writer.head().offset + this.appender.behind
    return entries >= this.limits.stop && this.starting.length > 0 && !this.running.isBusy
      && this.o.machine.cancelled === undefined
  }

  // ------------------------------------------------------------------------------------------------
  // what is fed to it, and journaled

  private timestamp(): string {
    const millis = this.clock.currentTimeMillisUnsafe()
    if (millis !== this.now.millis) this.now = { millis, iso: new Date(millis).toISOString() }
    return this.now.iso
  }

  /** Feeds an entry with what follows from it; false when the code does not take it. */
  private record(entry: Entry): boolean {
    return this.feed(entry) && this.follow()
  }

  /** Feeds an entry, or fails with why there is none. */
  private recordOr(entry: Entry | Codec.Unserializable | Codec.ValueTooLarge): void {
    if ("_tag" in entry) this.failure = entry
    else this.record(entry)
  }

  /** Feeds what follows from the state alone, also where a process died before it could. */
  private follow(): boolean {
    for (let next = this.o.machine.derive(); next !== undefined; next = this.o.machine.derive()) {
      if (!this.feed(next)) return false
    }
    return true
  }

  private feed(entry: Entry): boolean {
    const { machine } = this.o
    const recorded = stamped(entry, this.timestamp())
    machine.feed(entry, recorded.timestamp)
    if (machine.diverged !== undefined) return false
    this.batch.push(recorded)
    this.checkDefect()
    return true
  }

  private checkDefect(): void {
    const { found, machine, program, runId } = this.o
    if (machine.defect === undefined || this.failure !== undefined) return
    const again = () => Replay.again(this.o, found, this.batch)?.defect
    this.failure = Replay.broke(program, runId, machine.defect, again)
  }

  /** Takes an outcome, unless its step was cancelled or lost meanwhile. */
  private take(pending: Pending, performed: Perform.Performed, began: number): void {
    const { machine } = this.o
    if (this.failure !== undefined || !this.isPending(pending)) return
    const now = this.clock.currentTimeMillisUnsafe()
    if (!performed.ok && performed.again !== undefined && pending.cancelling === undefined) {
      if (this.record(Record.retry(this.o, pending, performed, performed.again))) {
        this.timers.set(pending, performed.again)
      }
      return
    }
    const entry = Record.step(this.o, pending, performed, now - began)
    if ("_tag" in entry) {
      this.failure = entry
      return
    }
    this.steps[performed.ok ? "done" : "failed"]++
    if (!this.record(entry)) this.failure = Record.oneWay(this.o, pending, machine.diverged!.actual)
  }

  private takeChild(
    pending: Pending,
    outcome: Exclude<Outcome, { readonly _tag: "Step" }>
  ): void {
    if (this.failure !== undefined || !this.isPending(pending)) return
    switch (outcome._tag) {
      case "Refused":
        this.failure = outcome.error
        return
      case "Parked":
        this.parked.set(pending, outcome)
        if (outcome.wakeAt !== undefined) this.timers.set(pending, outcome.wakeAt)
        return
      case "Ended":
        if (!this.record(outcome.entry)) this.failure = this.differing()
    }
  }

  private differing(): Replay.ReplayMismatch {
    const { machine, program, runId, writer } = this.o
    const { offset } = writer.head()
    return Replay.mismatch(program, runId, machine.diverged!, offset, () => undefined)
  }

  private feedNews(): Effect.Effect<void> {
    const { machine, program, services } = this.o
    const refused: Array<string> = []
    for (const post of this.news) {
      if (machine.outcome !== undefined || this.failure !== undefined) break
      if (machine.eventIds.has(post.eventId)) continue
      if (post.type === "settle") {
        if (post.stepId === undefined) continue
        const entry = Record.settled(this.o, machine, post, this.clock.currentTimeMillisUnsafe())
        if (typeof entry === "string") refused.push(entry)
        else this.settle(post.stepId, entry)
        continue
      }
      if (Replay.refuses(program, post, services) !== undefined) continue
      if (!this.record(Record.posted(machine, post))) this.failure = this.differing()
    }
    this.news = []
    return Effect.forEach(
      refused,
      (why) => Effect.logWarning(`What was settled by hand cannot be taken: ${why}`),
      { discard: true }
    )
  }

  private settle(stepId: string, entry: Entry): void {
    const pending = this.o.machine.pending.get(stepId)
    if (!this.record(entry)) this.failure = this.differing()
    else if (pending !== undefined) {
      this.unknown.delete(pending)
      if (entry.type === "retry") this.timers.set(pending, entry.wakeAt)
    }
  }

  /** What has gone off. What this leads to goes off in the next turn at the earliest. */
  private feedTimers(): void {
    for (const p of this.timers.take(this.clock.currentTimeMillisUnsafe())) {
      if (this.failure !== undefined || !this.isPending(p)) continue
      const { op } = p.instruction
      if (op === "step" || op === "child") {
        if (!this.running.has(p)) this.starting.push(p)
      } else if (!this.record(Record.timer(p))) this.failure = this.differing()
    }
  }

  /** At-most-once steps say that they are about to run; true when one did. */
  private recordIntents(): boolean {
    if (this.failure !== undefined) return false
    let any = this.recorded.length > 0
    for (const p of this.starting) {
      if (p.instruction.op !== "step" || p.instruction.options.delivery !== "at-most-once") continue
      this.record(Record.intent(p, (p.retry?.failed.at(-1)?.attempt ?? 0) + 1))
      any = true
    }
    return any
  }

  /** Writes the end or the suspension, now that nothing else can happen. */
  private conclude(): Conclusion | undefined {
    const { machine } = this.o
    if (this.failure !== undefined) return undefined
    if (machine.outcome === undefined) {
      if (this.unknown.size > 0) {
        return blocked(Array.from(this.unknown, (p) => p.id))
      }
      if (this.starting.length > 0) return { _tag: "Blocked", reason: tooLong }
      for (const { error } of this.parked.values()) {
        if (error === undefined || error._tag === "Fenced") continue
        this.failure = error
        return undefined
      }
    }
    const entry = machine.outcome === undefined
      ? suspension(machine.waits().map((wait) => this.ofChild(wait)))
      : Record.end(this.o, machine)
    if ("_tag" in entry) {
      this.failure = entry
      return undefined
    }
    this.batch.push(stamped(entry, this.timestamp()))
    if (entry.type !== "suspend") return { _tag: "Ended", entry }
    const children = Array.from(this.parked.values(), ({ seen }) => seen).flat()
    return { _tag: "Suspended", entry, children }
  }

  /** A wait for a child, with what is known of it. */
  private ofChild(wait: Wait): Wait {
    const child = wait.kind === "child" ? this.o.machine.pending.get(wait.stepId) : undefined
    const parked = child === undefined ? undefined : this.parked.get(child)
    if (parked === undefined) return wait
    const { childId, wakeAt } = parked
    return { ...wait, childId, ...(wakeAt === undefined ? undefined : { wakeAt }) }
  }

  /** What is to be appended now. */
  private takeBatch(): ReadonlyArray<Stamped> {
    // A run that is not new is left as it was when its code breaks before anything happened.
    if (!this.opened && this.failure !== undefined && this.o.found.length > 0) this.batch.length = 0
    const entries = this.batch
    if (entries.length > 0) this.batch = []
    return entries
  }

  /** After an append was acknowledged. */
  private acknowledge(entries: ReadonlyArray<Stamped>): Effect.Effect<void> | undefined {
    const { found: replayed, program, runId, stamp, writer } = this.o
    const isFirst = !this.opened
    this.opened = true
    const isLong = writer.head().offset >= this.limits.warn && !this.warned
    if (isLong) this.warned = true
    const warning = isLong ? Effect.logWarning(longWarning(runId, writer.head().offset)) : undefined
    if (!this.telling.isHeard) return warning
    const events = entries.map(({ json, timestamp }) =>
      this.telling.entry(JSON.parse(json), timestamp)
    )
    const { session } = stamp
    if (isFirst) {
      const opened: RunEvent = { type: "session", runId, workflow: program.name, session, replayed }
      events.unshift(opened)
    }
    const told = this.telling.tell(events)
    return warning === undefined ? told : Effect.andThen(warning, told)
  }

  // ------------------------------------------------------------------------------------------------
  // what comes from outside

  /** Reads what was posted since the last look; true when there is something to feed. */
  private look(): Effect.Effect<boolean, SessionError> {
    const { machine, runId, stamp, storage } = this.o
    this.poked = false
    this.lookedAt = this.now.millis
    return Effect.map(storage.inbox(runId, stamp.incarnation, this.cursor), ({ cursor, items }) => {
      this.cursor = cursor
      this.news = items.filter((posted) => !machine.eventIds.has(posted.eventId))
      return this.news.length > 0 && machine.outcome === undefined
    })
  }

  /** Drives those children on that have moved since they were parked; true when there are any. */
  private lookAtChildren(): Effect.Effect<boolean, SessionError> {
    return Effect.gen({ self: this }, function*() {
      if (this.o.machine.outcome !== undefined) return false
      let any = false
      for (const [child, { seen }] of Array.from(this.parked)) {
        for (const one of seen) {
          if (!(yield* hasMoved(this.o.storage, one))) continue
          this.parked.delete(child)
          this.timers.set(child, 0)
          any = true
          break
        }
      }
      return any
    })
  }

  private startLooking(): Effect.Effect<void> {
    if (this.looker !== undefined) return Effect.void
    const { leaseToken, machine, runId, stamp, storage, writer } = this.o
    const looking = Looker.start({
      runId,
      storage,
      writer,
      stamp,
      leaseToken,
      cursor: () => this.cursor,
      isKnown: (eventId) => machine.eventIds.has(eventId),
      onLost: () => {
        this.fenced = true
        this.interruptWorker()
      },
      onNews: (news) => {
        this.poked = true
        // The worker runs a lone step itself; only a cancel may cut that short.
        if (!this.inline) this.wake?.()
        else if (news.some((posted) => posted.type === "cancel")) this.interruptWorker()
      },
      children: () => Array.from(this.parked.values(), ({ seen }) => seen).flat(),
      onChild: () => {
        for (const p of this.parked.keys()) this.timers.set(p, 0)
        this.parked.clear()
        this.wake?.()
      }
    })
    return Effect.map(looking, (fiber) => {
      this.looker = fiber
    })
  }

  private interruptWorker(): void {
    this.restart = true
    this.worker?.interruptUnsafe()
  }
}

/** What a step is told of its place. A class, since one is made for every step. */
class StepIdentity implements Perform.Identity {
  readonly runId: string
  readonly stepId: string
  readonly idempotencyKey: string
  readonly fence: number
  readonly publish: Perform.Identity["publish"]
  constructor(
    { runId, stamp }: Pick<Options, "runId" | "stamp">,
    stepId: string,
    publish: Perform.Identity["publish"]
  ) {
    this.runId = runId
    this.stepId = stepId
    this.idempotencyKey = `${runId}:${stamp.incarnation}:${stepId}`
    this.fence = stamp.session
    this.publish = publish
  }
}

/** Why a run is blocked whose at-most-once steps have no known outcome. */
export const unknownReason = (steps: ReadonlyArray<string>): string =>
  `OutcomeUnknown: ${steps.map((id) => `"${id}"`).join(", ")}`

const blocked = (steps: ReadonlyArray<string>): Conclusion => ({
  _tag: "Blocked",
  reason: unknownReason(steps)
})

/** Why a run is blocked whose journal has reached its limit. */
export const tooLong = "JournalTooLong"

const longWarning = (runId: string, entries: number) =>
  `The journal of run "${runId}" has ${entries} entries, all of which every resume replays. `
  + `Let a long loop go on with ctx.continueAs, and split many items with forEach's perRun.`
