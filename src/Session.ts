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
import { Appender } from "./Appender.ts"
import { Children } from "./Children.ts"
import { hasMoved } from "./Ending.ts"
import * as Signal from "./internal/signal.ts"
import type { Stamped } from "./Journal.ts"
import { JournalLimits, ShortWait } from "./Limits.ts"
import * as Looker from "./Looker.ts"
import type { Pending } from "./Machine.ts"
import type { RunEvent } from "./Observer.ts"
import * as Perform from "./Perform.ts"
import * as Record from "./Record.ts"
import { type Asked, cleanUpMillis } from "./Running.ts"
import { hide } from "./Secret.ts"
import { Ledger, type Outcome } from "./session/Ledger.ts"
import { Transactions, type Turn } from "./session/Transactions.ts"
import {
  type Conclusion,
  Fenced,
  type Options,
  type Ran,
  type SessionError
} from "./session/Types.ts"
import * as Shadow from "./Shadow.ts"
import { StepHook } from "./StepHook.ts"
import { succeedTrue } from "./Storage.ts"
import { Telling } from "./Telling.ts"

export * from "./session/Types.ts"

/** Runs the session to its conclusion. */
export const run = (options: Options): Effect.Effect<Ran, SessionError> =>
  Clock.clockWith((clock) => {
    const session = new Session(options, clock)
    return Effect.map(session.supervise(), (conclusion) => {
      const { cursor, steps } = session
      return { conclusion, cursor, steps }
    })
  })

/** How long a session whose steps are over at once goes without a looker, and without a look at the inbox. */
const lookMillis = 1_000

/** How many turns a session takes before it lets others run. */
const turnsPerYield = 256

/** How the steps of an undo are repeated that say nothing themselves: 10 times over about two minutes. */
const undoRetry = { times: 10, schedule: Schedule.exponential("200 millis") }

class Session extends Ledger {
  /** Up to where the inbox was read. */
  cursor: string
  private readonly children: Children<SessionError>
  /** Children that are to hear of a cancel; true where they are to end at once. */
  private cancels: Array<readonly [child: Pending, again: boolean]> = []
  /** Repeated attempts whose intent is in the batch. */
  private readonly recorded: Array<Asked> = []
  private readonly posted = Signal.make()
  private unwatch: (() => void) | undefined
  private looker: Fiber.Fiber<never> | undefined
  private worker: Fiber.Fiber<Conclusion, SessionError> | undefined
  /** Set while the worker runs a lone step itself. */
  private inline = false
  /** Set when the looker interrupted the worker, which is to start anew. */
  private restart = false
  private interruptedAt = 0
  /** Stops waiting for a worker whose effect does not end. */
  private giveUp: (() => void) | undefined
  private fenced = false
  /** Why nothing can be written any more. */
  private broken: SessionError | undefined
  /** Set when the looker saw news. */
  private poked = false
  private warned = false
  private wake: (() => void) | undefined
  private lookedAt: number
  private readonly longestWait: number
  private readonly limits
  private readonly shadow: boolean
  /** How a step runs that is not repeated. */
  private readonly once: Perform.Repeating
  private readonly publish: Perform.Identity["publish"]
  private readonly appender: Appender
  private readonly transactions: Transactions
  private readonly telling: Telling

  constructor(options: Options, clock: Clock.Clock) {
    super(options, clock, () => this.wake?.())
    const { cursor, durability, live, services, stamp, writer } = options
    this.cursor = cursor
    this.longestWait = Context.get(services, ShortWait)
    this.limits = Context.get(services, JournalLimits)
    this.shadow = Shadow.isOn(options)
    const hook = Context.get(services, StepHook)
    this.once = { retry: undefined, earlier: [], longest: this.longestWait, hook }
    // A closure that is written straight into a property is made in V8's old space, where it would keep all of
    // the run in memory until the next full collection: hence names, here and below.
    const publish: Perform.Identity["publish"] = (channel, value, stepId, attempt) =>
      this.telling.publish(channel, value, { stepId, attempt })
    this.publish = publish
    this.telling = new Telling(options, live)
    this.children = new Children({ ...options, incarnation: stamp.incarnation })
    const onBroken = (error: SessionError | undefined) => {
      if (error === undefined) this.fenced = true
      else this.broken = error
      this.interruptWorker()
    }
    this.appender = new Appender({
      writer,
      stamp,
      durability,
      onAcknowledged: (entries) => this.acknowledge(entries),
      onBroken
    })
    this.transactions = new Transactions({
      writer,
      stamp,
      onChange: () => this.wake?.(),
      onBroken
    })
    this.lookedAt = this.now.millis
  }

  // ------------------------------------------------------------------------------------------------
  // the loop

  /** Runs the worker, and runs it anew when the looker had to interrupt the effect it runs itself. */
  supervise(): Effect.Effect<Conclusion, SessionError> {
    return Effect.gen(() => this.supervising()).pipe(
      Effect.onExit(() => this.close()),
      Effect.tapError((error) => this.telling.leave(error.message)),
      Effect.tap((conclusion) =>
        conclusion._tag === "Blocked" ? this.telling.leave(conclusion.reason) : Effect.void
      )
    )
  }

  private *supervising(): Effect.gen.Return<Conclusion, SessionError> {
    // From the beginning, so that the looker misses nothing when it comes.
    this.unwatch = this.o.storage.watch(this.o.runId, (what) => {
      if (what === "inbox") this.posted.raise()
    })
    for (;;) {
      const worker = yield* Effect.forkDetach(this.work())
      this.worker = worker
      const stop = Effect.timeoutOption(Fiber.interrupt(worker), cleanUpMillis)
      const exit = yield* Effect.onInterrupt(this.left(worker), () => stop)
      const isOver = exit !== undefined
        && (Exit.isSuccess(exit) || !Cause.hasInterruptsOnly(exit.cause))
      if (isOver || !this.restart) return yield* exit!
      this.restart = false
    }
  }

  /** How the worker ended; nothing when what it ran was interrupted and does not end. */
  private left(
    worker: Fiber.Fiber<Conclusion, SessionError>
  ): Effect.Effect<Exit.Exit<Conclusion, SessionError> | undefined> {
    return Effect.callback((resume) => {
      const giveUp = () => resume(Effect.undefined)
      this.giveUp = giveUp
      const unobserve = worker.addObserver((exit) => resume(Effect.succeed(exit)))
      return Effect.sync(unobserve)
    })
  }

  /** Stops what runs, and writes what is not durable yet. */
  private close(): Effect.Effect<void> {
    this.o.live.running = 0
    this.inline = false
    this.unwatch?.()
    const stopped = this.running.stop(this.looker === undefined ? [] : [this.looker])
    return this.appender.behind === 0 || this.fenced
      ? stopped
      : Effect.andThen(Effect.ignore(this.appender.flush()), stopped)
  }

  private work(): Effect.Effect<Conclusion, SessionError> {
    return Effect.gen(() => this.working())
  }

  private *working(): Effect.gen.Return<Conclusion, SessionError> {
    const { machine, runId, stamp } = this.o
    this.inline = false
    for (let turns = 1;; turns++) {
      // Steps and a storage that are over at once would never let anyone else run.
      if (turns % turnsPerYield === 0) yield* Effect.yieldNow
      if (this.fenced) return yield* Effect.fail(new Fenced({ runId, session: stamp.session }))
      if (this.broken !== undefined) return yield* Effect.fail(this.broken)
      const stopped = this.hearing?.stopped
      if (stopped !== undefined) this.dropAll()
      else if (!this.isDue) {
        // Steps that are over at once never start the looker, which also keeps the lease.
        if (this.now.millis - this.lookedAt >= lookMillis) {
          this.poked = true
          yield* this.startLooking()
          yield* Effect.yieldNow
        }
        if (this.poked && this.news.length === 0) yield* this.look()
        if (this.news.length > 0) yield* this.feedNews()
        if (!this.isDue) {
          if (this.timers.next < Infinity) this.feedTimers()
          this.takeHeld()
          this.takeDropped()
          this.takeFresh()
        }
      }
      // Hooks hear of an outcome before anything that follows from it.
      const { isDue } = this
      if (isDue && !this.opened) {
        // What was found: nothing is to be written if that fails.
        yield* this.tellHooks()
        continue
      }
      const idle = !isDue && this.isIdle()
      // What is over takes nothing any more.
      if (idle && stopped === undefined && machine.outcome === undefined) {
        if (yield* this.look()) continue
        if (this.parked.size > 0 && (yield* this.lookAtChildren())) continue
        // While these looked, something may have come in.
        if (!this.isIdle()) continue
      }
      const conclusion = idle && stopped !== undefined && this.failure === undefined
        ? this.concludeStopped(stopped)
        : idle || (!isDue && this.isFull())
        ? this.conclude()
        : undefined
      // What others hear of must be durable first.
      const isUrgent = conclusion !== undefined || (!isDue && this.recordIntents())
        || this.recorded.length > 0 || this.cancels.length > 0
      const entries = this.takeBatch()
      if (entries.length > 0 || isUrgent) {
        const appended = this.appender.append(entries, isUrgent || !this.opened)
        if (!(appended === succeedTrue || (yield* appended))) {
          if (!this.opened) return { _tag: "Beaten" }
          return yield* Effect.fail(new Fenced({ runId, session: stamp.session }))
        }
        if (isUrgent) this.letAskedRun()
        if (this.shadow && this.mayCompare(entries.length)) {
          yield* Shadow.compare(this.o, this.o.storage, machine)
        }
      }
      if (machine.said.length > 0) yield* this.telling.say(machine.said.splice(0))
      if (this.telling.hasWarnings) yield* this.telling.warn()
      if (isDue) {
        yield* this.tellHooks()
        continue
      }
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
        this.inline = true
        // Its turn comes when the effect waits for something.
        if (this.looker === undefined) yield* Effect.forkDetach(this.lookWhileInline)
        this.o.live.running++
        performed = yield* this.telling.surround(pending, performed).pipe(
          Effect.onExit(() => {
            this.o.live.running--
            return Effect.void
          })
        )
        this.inline = false
      } else if (this.telling.isTraced) {
        // Over already: a span that says that it was.
        yield* this.telling.surround(pending, Effect.void)
      }
      this.take(pending, performed, began)
    }
  }

  private call(p: Pending): Perform.Performed | Effect.Effect<Perform.Performed> {
    const step = Record.stepOf(p)
    const identity = new StepIdentity(this.o, p.id, this.publish)
    const { delivery, isTransaction, retry = p.node.isUndo ? undoRetry : undefined } = step.options
    if (retry === undefined && p.retry === undefined && isTransaction === undefined) {
      return Perform.call(step, identity, this.once)
    }
    const began = this.clock.currentTimeMillisUnsafe()
    const before = delivery === "at-most-once"
      ? (attempt: number) => this.running.ask(p, attempt)
      : undefined
    return Perform.call(step, identity, {
      ...this.once,
      retry,
      earlier: p.retry?.failed ?? [],
      ...(before === undefined ? undefined : { before }),
      ...(isTransaction === undefined
        ? undefined
        : { transact: (work, attempts) => this.transactions.run(p, work, { attempts, began }) })
    })
  }

  /** Lets a transaction run from its beginning to its end; its entry then is the journal's last. */
  private transact(): Effect.Effect<void, SessionError> {
    return Effect.gen({ self: this }, function*() {
      if (!(yield* this.appender.flush())) {
        this.fenced = true
        return
      }
      const turn = this.transactions.waiting.shift()
      if (turn === undefined || !this.isPending(turn.pending)) return
      yield* this.startLooking()
      turn.begin()
      let entry: Stamped | undefined
      let othersSince = Infinity
      while (turn.end === undefined) {
        if (turn.done !== undefined && !turn.isHanded) {
          entry = this.toCommit(turn)
          turn.hand(entry)
        } else if (this.poked && this.news.length === 0 && !turn.isHanded) {
          yield* this.look()
          // Only a cancel cannot wait.
          if (this.news.some(({ type }) => type === "cancel")) this.dropStep(turn.pending)
        } else {
          const now = this.clock.currentTimeMillisUnsafe()
          const others = this.running.hasArrived || this.news.length > 0 || this.timers.next <= now
          othersSince = turn.isHanded || !others ? Infinity : Math.min(othersSince, now)
          if (now - othersSince >= turn.grace) {
            turn.preempt()
            othersSince = Infinity
          }
          const change = this.untilChange(() => turn.end !== undefined || this.hasToHand(turn))
          yield* this.atMost(
            change,
            turn.isHanded ? Infinity : othersSince === Infinity
              ? this.timers.next
              : othersSince + turn.grace
          )
        }
      }
      if (!turn.end.isCommitted || entry === undefined) return
      this.takeCommitted(entry)
      const told = this.acknowledge([entry])
      if (told !== undefined) yield* told
    })
  }

  private hasToHand({ done, isHanded }: Turn): boolean {
    return !isHanded && (done !== undefined || (this.poked && this.news.length === 0))
  }

  /** A cancel interrupts what runs in this fiber, so only what it would interrupt anyway runs here. */
  private canRunInline(): boolean {
    const [pending, ...others] = this.starting
    if (pending?.instruction.op !== "step" || others.length > 0) return false
    const { options, undo } = pending.instruction
    return !this.running.isBusy && this.o.machine.pending.size === 1
      && options.isTransaction === undefined
      && (options.delivery !== "at-most-once" || options.retry === undefined)
      && undo === undefined && !pending.node.cancelled && this.once.hook === undefined
  }

  private runBesideEachOther(): Effect.Effect<void, SessionError> {
    return Effect.gen(() => this.runningBesideEachOther())
  }

  private *runningBesideEachOther(): Effect.gen.Return<void, SessionError> {
    for (const pending of this.starting.splice(0)) {
      if (this.telling.isHeard) yield* this.telling.announce(pending)
      yield* this.launch(pending)
    }
    const { waiting } = this.transactions
    if (waiting.length > 0 && !this.running.hasArrived) return yield* this.transact()
    if (!this.running.hasArrived && !this.poked && this.mayWait()) {
      yield* this.startLooking()
      yield* this.wait()
    }
    // With hooks, one at a time is journaled and told of.
    const many = this.hearing === undefined ? Infinity : 1
    for (const { began, outcome, pending } of this.running.arrived.splice(0, many)) {
      this.o.live.running--
      if (outcome._tag === "Step") this.take(pending, outcome.performed, began)
      else this.takeChild(pending, outcome)
    }
    if (this.isDue) return
    for (const asked of this.running.asked.splice(0)) {
      if (!this.isPending(asked.pending)) continue
      this.record(Record.intent(asked.pending, asked.attempt))
      this.recorded.push(asked)
    }
  }

  /** Whether the journal holds all that the machine was fed, and is to be replayed. */
  private mayCompare(added: number): boolean {
    return this.failure === undefined && this.appender.behind === 0
      && Shadow.isDue(this.o.writer.head().offset, added)
  }

  /** Repeated attempts whose intents are durable now. */
  private letAskedRun(): void {
    for (const { acknowledged } of this.recorded.splice(0)) acknowledged()
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

  /** Until something that wakes the worker happens, unless `isThere` holds already. */
  private untilChange(isThere: () => boolean): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      if (isThere()) return resume(Effect.void)
      const wake = () => {
        this.wake = undefined
        resume(Effect.void)
      }
      this.wake = wake
      return Effect.sync(() => {
        this.wake = undefined
      })
    })
  }

  /** Until something arrives, is posted, or goes off. */
  private wait(): Effect.Effect<unknown> {
    const arrival = this.untilChange(() =>
      this.running.hasArrived || this.poked || this.transactions.waiting.length > 0
    )
    return this.atMost(arrival, this.timers.next)
  }

  /** Waits no longer than until an instant in UTC milliseconds. */
  private atMost(change: Effect.Effect<void>, until: number): Effect.Effect<unknown> {
    return until === Infinity
      ? change
      : Effect.timeoutOption(change, Math.max(0, until - this.clock.currentTimeMillisUnsafe()))
  }

  // ------------------------------------------------------------------------------------------------
  // what is taken from the machine

  private takeFresh(): void {
    const { machine } = this.o
    if (machine.fresh.length === 0) return
    for (const p of machine.fresh) {
      if (this.isPending(p) && p.cancelling === undefined) this.admit(p)
    }
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
        let asked = yield* this.children.cancel(child, atOnce)
        // One that is being started may have no journal yet that could hear of it.
        while (asked === "absent" && this.running.has(child)) {
          yield* Effect.yieldNow
          asked = yield* this.children.cancel(child, atOnce)
        }
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

  private tellHooks(): Effect.Effect<void, SessionError> {
    return Effect.gen({ self: this }, function*() {
      yield* this.hearing!.tell(() => {
        // A hook may have posted something.
        this.poked = true
        return this.startLooking()
      })
      const { stopped } = this.hearing!
      if (stopped !== undefined) this.recordStop(stopped)
    })
  }

  /** A hook stopped the run: what runs may end, nothing more is started, and no child is waited for. */
  private dropAll(): void {
    this.starting = []
    this.o.machine.fresh = []
    this.poked = false
    this.timers.clear()
    for (const p of this.o.machine.pending.values()) {
      if (p.instruction.op === "child") this.dropStep(p)
    }
    // Those who lost a race hear of it from the session that goes on.
    for (const p of this.o.machine.dropped) this.dropStep(p)
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
  // what became durable

  /** After an append was acknowledged. */
  private acknowledge(entries: ReadonlyArray<Stamped>): Effect.Effect<void> | undefined {
    const { found: replayed, program, runId, stamp, writer } = this.o
    const isFirst = !this.opened
    this.opened = true
    const isLong = writer.head().offset >= this.limits.warn && !this.warned
    if (isLong) this.warned = true
    const warning = isLong ? Effect.logWarning(longWarning(runId, writer.head().offset)) : undefined
    if (!this.telling.isHeard) return warning
    // What is copied did not happen here.
    const copied = isFirst ? this.o.start.length - 1 : 0
    const news = copied === 0 ? entries : [entries[0]!, ...entries.slice(copied + 1)]
    const events = news.map(({ json, timestamp }) =>
      this.telling.entry(hide(JSON.parse(json)), timestamp)
    )
    const { session } = stamp
    if (isFirst) {
      const found = replayed.map(hide)
      const opened: RunEvent = {
        type: "session",
        runId,
        workflow: program.name,
        session,
        replayed: found
      }
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

  private readonly lookWhileInline = Effect.suspend(() =>
    this.inline ? this.startLooking() : Effect.void
  )

  private startLooking(): Effect.Effect<void> {
    if (this.looker !== undefined) return Effect.void
    const { leaseToken, machine, runId, stamp, storage, writer } = this.o
    const looking = Looker.start({
      runId,
      posted: this.posted,
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
      onLook: () => {
        const since = this.clock.currentTimeMillisUnsafe() - this.interruptedAt
        if (this.restart && since >= cleanUpMillis) this.giveUp?.()
      },
      children: () => Array.from(this.parked.values(), ({ seen }) => seen).flat(),
      onChild: () => {
        for (const p of this.parked.keys()) this.timers.set(p, 0)
        this.parked.clear()
        this.wake?.()
      }
    })
    // One that nobody knows of could not be stopped.
    return Effect.uninterruptible(Effect.map(looking, (fiber) => {
      this.looker = fiber
    }))
  }

  private interruptWorker(): void {
    if (!this.restart) this.interruptedAt = this.clock.currentTimeMillisUnsafe()
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

const longWarning = (runId: string, entries: number) =>
  `The journal of run "${runId}" has ${entries} entries, all of which every resume replays. `
  + `Let a long loop go on with ctx.continueAs, and split many items with forEach's perRun.`
