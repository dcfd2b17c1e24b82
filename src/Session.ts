/**
 * One session of one run: from its `start` entry until the run ends, only waits, or is lost.
 *
 * Session owns the machine, the running effects and the order in which outcomes are taken. Storage
 * owns what is durable; `Interpreter` owns when a session is opened and what follows it. Invariants:
 * S1. Nothing is executed before the entries it follows from are acknowledged, the session's `start`
 *     first of all.
 * S2. Outcomes are fed in the order they are journaled, each with what follows from it, in one append.
 * S3. The inbox is looked at before the run suspends or ends.
 * S4. After `Moved` by someone else nothing is appended and every effect is interrupted.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as Tracer from "effect/Tracer"
import type * as Codec from "./Codec.ts"
import type { Posted, StorageError } from "./Driver.ts"
import { type Entry, type Recorded, type Suspend, suspension } from "./Entry.ts"
import { type JournalCorrupt, type Stamp, type Stamped, stamped } from "./Journal.ts"
import * as Looker from "./Looker.ts"
import type { Machine, Pending } from "./Machine.ts"
import { type Observer, Observers, type RunEvent } from "./Observer.ts"
import * as Perform from "./Perform.ts"
import * as Record from "./Record.ts"
import * as Replay from "./Replay.ts"
import { type Asked, isRepeatedOnce, Running } from "./Running.ts"
import { type Storage, succeedTrue, type Writer } from "./Storage.ts"

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
  | Codec.Unserializable
  | Codec.ValueTooLarge

/** How a session ended. */
export type Conclusion =
  | { readonly _tag: "Ended"; readonly entry: Record.End }
  | { readonly _tag: "Suspended"; readonly entry: Suspend }
  /** Steps whose at-most-once attempt has no known outcome. */
  | { readonly _tag: "Blocked"; readonly steps: ReadonlyArray<string> }
  /** Its own `start` was beaten: read again and decide again. */
  | { readonly _tag: "Beaten" }

export interface Options extends Record.Of {
  readonly storage: Storage["Service"]
  readonly writer: Writer
  readonly stamp: Stamp
  readonly machine: Machine
  /** The accepted entries this session found. */
  readonly found: ReadonlyArray<Recorded>
  /** Opens the session: a `start`. */
  readonly start: Stamped
  /** Posts found before the session opened, and where the inbox was read up to. */
  readonly news: ReadonlyArray<Posted>
  readonly cursor: string
  readonly leaseToken: string
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
    const session = new Session(options, clock, Context.get(options.services, Observers))
    return Effect.map(session.supervise(), (conclusion) => {
      const { cursor, steps } = session
      return { conclusion, cursor, steps }
    })
  })

/** How long a session that runs only plain functions goes without a look at the inbox. */
const lookMillis = 1_000

/** How many turns a session takes before it lets others run. */
const turnsPerYield = 256

class Session {
  /** Up to where the inbox was read. */
  cursor: string
  readonly steps = { done: 0, failed: 0 }
  /** What was posted and is to be fed. */
  private news: ReadonlyArray<Posted>
  /** What was fed and is to be appended. */
  private batch: Array<Stamped> = []
  /** Steps to be started once the batch is acknowledged. */
  private starting: Array<Pending> = []
  private readonly running: Running
  /** Repeated attempts whose intent is in the batch. */
  private readonly recorded: Array<Asked> = []
  /** Steps an earlier session left with an intent and no outcome: never started again. */
  private readonly unknown = new Set<Pending>()
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
  private wake: (() => void) | undefined
  private now = { millis: -1, iso: "" }
  private lookedAt: number
  private readonly traced: boolean
  private readonly o: Options
  private readonly clock: Clock.Clock
  private readonly observers: ReadonlyArray<Observer>

  constructor(options: Options, clock: Clock.Clock, observers: ReadonlyArray<Observer>) {
    const { cursor, machine, news, program, runId, services, start } = options
    this.o = options
    this.clock = clock
    this.observers = observers
    this.cursor = cursor
    this.news = news
    this.traced = services.mapUnsafe.has(Tracer.Tracer.key)
    this.running = new Running({
      clock,
      identity: (pending) => this.identity(pending),
      surround: (pending, effect) => this.surround(pending, effect),
      onArrival: () => this.wake?.()
    })
    machine.live = true
    machine.fresh = []
    for (const p of machine.pending.values()) {
      if (p.instruction.op !== "step") continue
      if (p.intent > 0) this.unknown.add(p)
      else this.starting.push(p)
    }
    this.timestamp()
    this.lookedAt = this.now.millis
    this.batch.push(start)
    this.follow()
    if (machine.defect !== undefined) {
      this.failure = Replay.defectOf(program, runId, machine.defect.message)
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
      Effect.tapError((error) => this.leave(error.message)),
      Effect.tap((conclusion) =>
        conclusion._tag === "Blocked"
          ? this.leave(`OutcomeUnknown: ${conclusion.steps.join(", ")}`)
          : Effect.void
      ),
      Effect.onExit(() => this.running.stop(this.looker === undefined ? [] : [this.looker]))
    )
  }

  private work(): Effect.Effect<Conclusion, SessionError> {
    return Effect.gen({ self: this }, function*() {
      const { machine, runId, stamp, writer } = this.o
      this.inline = false
      for (let turns = 1;; turns++) {
        // Steps and a storage that are over at once would never let anyone else run.
        if (turns % turnsPerYield === 0) yield* Effect.yieldNow
        if (this.fenced) return yield* Effect.fail(new Fenced({ runId, session: stamp.session }))
        // Steps that are over at once never start the looker.
        if (this.now.millis - this.lookedAt >= lookMillis) this.poked = true
        if (this.poked && this.news.length === 0) yield* this.look()
        if (this.news.length > 0) this.feedNews()
        this.takeDropped()
        this.takeFresh()
        const idle = this.isIdle()
        if (idle && (yield* this.look())) continue
        const conclusion = idle ? this.conclude() : undefined
        if (conclusion === undefined) this.recordIntents()
        const entries = this.takeBatch()
        if (entries.length > 0) {
          const appended = writer.append(stamp, entries)
          if (!(appended === succeedTrue || (yield* appended))) {
            if (!this.opened) return { _tag: "Beaten" }
            return yield* Effect.fail(new Fenced({ runId, session: stamp.session }))
          }
          const told = this.acknowledge(entries)
          if (told !== undefined) yield* told
        }
        if (machine.logs.length > 0) yield* this.log()
        if (this.failure !== undefined) return yield* Effect.fail(this.failure)
        if (conclusion !== undefined) return conclusion
        if (!this.canRunInline()) {
          yield* this.runBesideEachOther()
          continue
        }
        // A lone step runs in this fiber. What is no effect is over at once, without one.
        const pending = this.starting.pop()!
        const began = this.clock.currentTimeMillisUnsafe()
        if (this.observers.length > 0) yield* this.announce(pending)
        let performed = Perform.call(Record.stepOf(pending), this.identity(pending))
        if (Effect.isEffect(performed)) {
          if (this.looker === undefined) yield* this.startLooking()
          this.inline = true
          performed = yield* this.surround(pending, performed)
          this.inline = false
        }
        this.take(pending, performed, began)
      }
    })
  }

  private canRunInline(): boolean {
    const [pending, ...others] = this.starting
    return pending !== undefined && others.length === 0 && !this.running.isBusy
      && this.o.machine.pending.size === 1 && !isRepeatedOnce(pending)
  }

  private runBesideEachOther(): Effect.Effect<void, SessionError> {
    return Effect.gen({ self: this }, function*() {
      const { machine } = this.o
      for (const pending of this.starting.splice(0)) {
        if (this.observers.length > 0) yield* this.announce(pending)
        yield* this.running.launch(pending)
      }
      if (!this.running.hasArrived && !this.poked) {
        yield* this.startLooking()
        yield* this.wait()
      }
      for (const { began, pending, performed } of this.running.arrived.splice(0)) {
        this.take(pending, performed, began)
      }
      for (const asked of this.running.asked.splice(0)) {
        if (machine.pending.get(asked.pending.id) !== asked.pending) continue
        this.record(Record.intent(asked.pending, asked.attempt))
        this.recorded.push(asked)
      }
    })
  }

  private wait(): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      if (this.running.hasArrived || this.poked) return resume(Effect.void)
      this.wake = () => {
        this.wake = undefined
        resume(Effect.void)
      }
      return Effect.sync(() => {
        this.wake = undefined
      })
    })
  }

  // ------------------------------------------------------------------------------------------------
  // what is taken from the machine

  private takeFresh(): void {
    const { machine } = this.o
    if (machine.fresh.length === 0) return
    for (const p of machine.fresh) if (machine.pending.get(p.id) === p) this.starting.push(p)
    machine.fresh = []
  }

  private takeDropped(): void {
    const { machine } = this.o
    if (machine.dropped.length === 0) return
    for (const p of machine.dropped) {
      this.unknown.delete(p)
      this.running.drop(p)
    }
    this.starting = this.starting.filter((p) => machine.pending.get(p.id) === p)
    machine.dropped = []
  }

  /** Whether nothing can happen any more but from outside. */
  private isIdle(): boolean {
    return this.o.machine.outcome !== undefined
      || (this.starting.length === 0 && !this.running.isBusy)
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

  /** Feeds what follows from the state alone, also where a process died before it could. */
  private follow(): boolean {
    for (let next = this.o.machine.derive(); next !== undefined; next = this.o.machine.derive()) {
      if (!this.feed(next)) return false
    }
    return true
  }

  private feed(entry: Entry): boolean {
    const { machine, program, runId } = this.o
    const recorded = stamped(entry, this.timestamp())
    machine.feed(entry, recorded.timestamp)
    if (machine.diverged !== undefined) return false
    this.batch.push(recorded)
    if (machine.defect !== undefined) {
      this.failure ??= Replay.defectOf(program, runId, machine.defect.message)
    }
    return true
  }

  /** Takes an outcome, unless its step was cancelled or lost meanwhile. */
  private take(pending: Pending, performed: Perform.Performed, began: number): void {
    const { machine } = this.o
    if (this.failure !== undefined || machine.pending.get(pending.id) !== pending) return
    const duration = this.clock.currentTimeMillisUnsafe() - began
    const entry = Record.step(this.o, pending, performed, duration)
    if ("_tag" in entry) {
      this.failure = entry
      return
    }
    this.steps[performed.ok ? "done" : "failed"]++
    if (!this.record(entry)) this.failure = Record.oneWay(this.o, pending, machine.diverged!.actual)
  }

  private feedNews(): void {
    const { machine, program, runId, services, writer } = this.o
    for (const post of this.news) {
      if (machine.outcome !== undefined || this.failure !== undefined) break
      if (machine.eventIds.has(post.eventId)) continue
      if (Replay.refuses(program, post, services) !== undefined) continue
      if (this.record(Record.posted(machine, post))) continue
      const { offset } = writer.head()
      this.failure = Replay.mismatch(program, runId, machine.diverged!, offset, () => undefined)
    }
    this.news = []
  }

  /** At-most-once steps say that they are about to run. */
  private recordIntents(): void {
    if (this.failure !== undefined) return
    for (const p of this.starting) {
      if (Record.stepOf(p).options.delivery === "at-most-once") this.record(Record.intent(p, 1))
    }
  }

  /** Writes the end or the suspension, now that nothing else can happen. */
  private conclude(): Conclusion | undefined {
    const { machine } = this.o
    if (this.failure !== undefined) return undefined
    if (machine.outcome === undefined && this.unknown.size > 0) {
      return { _tag: "Blocked", steps: Array.from(this.unknown, (p) => p.id) }
    }
    const entry = machine.outcome === undefined
      ? suspension(machine.waits())
      : Record.end(this.o, machine)
    if ("_tag" in entry) {
      this.failure = entry
      return undefined
    }
    this.batch.push(stamped(entry, this.timestamp()))
    return entry.type === "suspend" ? { _tag: "Suspended", entry } : { _tag: "Ended", entry }
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
    const { found: replayed, program, runId, stamp } = this.o
    const isFirst = !this.opened
    this.opened = true
    for (const { acknowledged } of this.recorded.splice(0)) acknowledged()
    if (this.observers.length === 0) return undefined
    const events = entries.map(({ json, timestamp }): RunEvent => (
      { type: "entry", runId, entry: JSON.parse(json), timestamp }
    ))
    const { session } = stamp
    if (isFirst) {
      events.unshift({ type: "session", runId, workflow: program.name, session, replayed })
    }
    return this.tell(events)
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

  // ------------------------------------------------------------------------------------------------
  // what is told

  private log(): Effect.Effect<void> {
    const logs = this.o.machine.logs.splice(0)
    return Effect.annotateLogs(
      Effect.forEach(
        logs,
        ({ fields, message }) => Effect.annotateLogs(Effect.log(message), fields),
        { discard: true }
      ),
      { runId: this.o.runId, workflow: this.o.program.name }
    )
  }

  private tell(events: ReadonlyArray<RunEvent>): Effect.Effect<void> {
    return Effect.forEach(
      events,
      // Whoever watches cannot break what is watched.
      (event) =>
        Effect.forEach(this.observers, (observer) => Effect.ignoreCause(observer(event)), {
          discard: true
        }),
      { discard: true }
    )
  }

  private leave(why: string): Effect.Effect<void> {
    return this.tell([{ type: "left", runId: this.o.runId, why }])
  }

  private announce({ id, instruction }: Pending): Effect.Effect<void> {
    return this.tell([{
      type: "started",
      runId: this.o.runId,
      stepId: id,
      name: instruction.op === "step" ? instruction.name : id
    }])
  }

  private surround(
    p: Pending,
    effect: Effect.Effect<Perform.Performed>
  ): Effect.Effect<Perform.Performed> {
    const { program, runId } = this.o
    const ids = { runId, workflow: program.name, stepId: p.id }
    const logged = Effect.annotateLogs(effect, ids)
    return this.traced ? Effect.withSpan(logged, `step ${p.id}`, { attributes: ids }) : logged
  }

  private identity(p: Pending): Perform.Identity {
    const { runId, stamp } = this.o
    return {
      runId,
      stepId: p.id,
      idempotencyKey: `${runId}:${stamp.incarnation}:${p.id}`,
      fence: stamp.session
    }
  }
}
