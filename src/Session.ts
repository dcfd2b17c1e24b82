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
import * as Codec from "./Codec.ts"
import type { Posted, StorageError } from "./Driver.ts"
import {
  type Complete,
  type Entry,
  type Failed,
  type Recorded,
  type Step,
  type Suspend,
  suspension
} from "./Entry.ts"
import * as Failure from "./Failure.ts"
import type * as Instruction from "./Instruction.ts"
import type { JournalCorrupt, Stamp } from "./Journal.ts"
import * as Looker from "./Looker.ts"
import type { Machine, Pending } from "./Machine.ts"
import { Observers, type RunEvent } from "./Observer.ts"
import * as Perform from "./Perform.ts"
import * as Replay from "./Replay.ts"
import type { Stamped, Storage, Writer } from "./Storage.ts"

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
  | {
    readonly _tag: "Ended"
    readonly entry: Complete | Failed | { readonly type: "cancelled"; readonly reason?: string }
  }
  | { readonly _tag: "Suspended"; readonly entry: Suspend }
  /** Steps whose at-most-once attempt has no known outcome. */
  | { readonly _tag: "Blocked"; readonly steps: ReadonlyArray<string> }
  /** Its own `start` was beaten: read again and decide again. */
  | { readonly _tag: "Beaten" }

export interface Options {
  readonly program: Replay.Program
  readonly runId: string
  readonly storage: Storage["Service"]
  readonly writer: Writer
  readonly stamp: Stamp
  readonly machine: Machine
  /** The accepted entries this session found. */
  readonly found: ReadonlyArray<Recorded>
  /** Opens the session: a `start`. */
  readonly start: Entry
  /** Posted entries found before the session opened, and where the inbox was read up to. */
  readonly news: ReadonlyArray<Posted>
  readonly cursor: string
  readonly leaseToken: string
  readonly services: Context.Context<never>
}

/** How long interrupted effects may take to clean up before the session stops waiting for them. */
const cleanUpMillis = 10_000
interface Running {
  readonly pending: Pending
  readonly fiber: Fiber.Fiber<void>
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

class Session {
  private batch: Array<Stamped> = []
  private readonly running = new Map<string, Running>()
  private readonly arrived: Array<
    { readonly pending: Pending; readonly performed: Perform.Performed; readonly began: number }
  > = []
  private readonly interrupting: Array<Fiber.Fiber<void>> = []
  private readonly intents: Array<
    { readonly pending: Pending; readonly attempt: number; readonly acknowledged: () => void }
  > = []
  /** Steps an earlier session left with an intent and no outcome: never started again. */
  private readonly unknown = new Set<Pending>()
  private starting: Array<Pending> = []
  /** Up to where the inbox was read. */
  cursor: string
  readonly steps = { done: 0, failed: 0 }
  private news: ReadonlyArray<Posted>
  private wake: (() => void) | undefined
  private poked = false
  private opened = false
  private restart = false
  private inline = false
  private fenced = false
  private looker: Fiber.Fiber<never> | undefined
  private worker: Fiber.Fiber<Conclusion, SessionError> | undefined
  private lastMillis = -1
  private lastIso = ""
  private failure: SessionError | undefined
  private readonly traced: boolean
  private readonly o: Options
  private readonly clock: Clock.Clock
  private readonly observers: ReadonlyArray<(event: RunEvent) => Effect.Effect<void>>

  constructor(options: Options, clock: Clock.Clock, observers: Session["observers"]) {
    this.o = options
    this.clock = clock
    this.observers = observers
    this.cursor = options.cursor
    this.news = options.news
    options.machine.live = true
    for (const p of options.machine.pending.values()) {
      if (p.instruction.op !== "step") continue
      if (p.intent > 0) this.unknown.add(p)
      else this.starting.push(p)
    }
    options.machine.fresh = []
    this.traced = options.services.mapUnsafe.has(Tracer.Tracer.key)
    this.batch.push({ entry: options.start, timestamp: this.now() })
    const { defect } = options.machine
    if (defect !== undefined) {
      this.failure = Replay.defectOf(options.program, options.runId, defect.message)
    }
  }

  /** Restarts the worker when the looker had to interrupt the effect that the worker runs itself. */
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
    }).pipe(Effect.onExit(() => this.stopEverything()))
  }

  private stopEverything(): Effect.Effect<void> {
    const fibers: Array<Fiber.Fiber<unknown, unknown>> = [...this.interrupting]
    for (const { fiber } of this.running.values()) fibers.push(fiber)
    if (this.looker !== undefined) fibers.push(this.looker)
    return fibers.length === 0
      ? Effect.void
      : Effect.asVoid(Effect.timeoutOption(Fiber.interruptAll(fibers), cleanUpMillis))
  }

  private work(): Effect.Effect<Conclusion, SessionError> {
    return Effect.gen({ self: this }, function*() {
      const { machine, runId, stamp, writer } = this.o
      this.inline = false
      for (;;) {
        const fenced = this.fenced ? new Fenced({ runId, session: stamp.session }) : undefined
        if (fenced !== undefined) return yield* fenced
        if (this.news.length > 0) this.feedNews()
        this.takeDropped()
        this.takeFresh()
        const idle = this.isIdle()
        if (idle && (yield* this.look())) continue
        const conclusion = idle ? this.conclude() : undefined
        if (conclusion === undefined) this.recordIntents()
        const entries = this.takeBatch()
        if (entries.length > 0) {
          if (!(yield* writer.append(stamp, entries))) {
            if (!this.opened) return { _tag: "Beaten" }
            return yield* new Fenced({ runId, session: stamp.session })
          }
          const told = this.acknowledge(entries)
          if (told !== undefined) yield* told
        }
        if (machine.logs.length > 0) yield* this.log()
        if (this.failure !== undefined) return yield* Effect.fail(this.failure)
        if (conclusion !== undefined) return conclusion
        if (!this.canRunInline()) {
          yield* this.runForked()
          continue
        }
        const pending = this.starting.pop()!
        const began = this.clock.currentTimeMillisUnsafe()
        if (this.observers.length > 0) yield* this.announce(pending)
        let performed = Perform.call(step(pending), this.identity(pending))
        if (Effect.isEffect(performed)) {
          if (this.looker === undefined) yield* this.startLooking()
          this.inline = true
          performed = yield* this.decorate(pending, performed)
          this.inline = false
        }
        this.take(pending, performed, began)
      }
    })
  }

  private runForked(): Effect.Effect<void, SessionError> {
    const { machine } = this.o
    return Effect.gen({ self: this }, function*() {
      for (const pending of this.starting.splice(0)) yield* this.launch(pending)
      if (!this.hasArrived()) {
        yield* this.startLooking()
        yield* this.wait()
      }
      for (const { began, pending, performed } of this.arrived.splice(0)) {
        this.take(pending, performed, began)
      }
      for (const { attempt, pending } of this.intents) {
        if (machine.pending.get(pending.id) === pending) this.record(intent(pending, attempt))
      }
      if (this.poked) yield* this.look()
    })
  }

  private hasArrived(): boolean {
    return this.arrived.length > 0 || this.intents.length > 0 || this.poked
  }

  // ------------------------------------------------------------------------------------------------
  // what is recorded

  private now(): string {
    const millis = this.clock.currentTimeMillisUnsafe()
    if (millis !== this.lastMillis) {
      this.lastMillis = millis
      this.lastIso = new Date(millis).toISOString()
    }
    return this.lastIso
  }

  /** Feeds an entry with what follows from it; false when the code does not take it. */
  private record(entry: Entry): boolean {
    const { machine } = this.o
    for (let next: Entry | undefined = entry; next !== undefined; next = machine.derive()) {
      const timestamp = this.now()
      machine.feed(next, timestamp)
      if (machine.diverged !== undefined) return false
      this.batch.push({ entry: next, timestamp })
      if (machine.defect !== undefined) {
        this.failure ??= Replay.defectOf(this.o.program, this.o.runId, machine.defect.message)
        return true
      }
    }
    return true
  }

  private take(pending: Pending, performed: Perform.Performed, began: number): void {
    const { machine, program, runId, services } = this.o
    if (this.failure !== undefined || machine.pending.get(pending.id) !== pending) return // came too late: cancelled or lost
    const { name, options } = step(pending)
    let outcome: Pick<Step, "result" | "error" | "declared">
    if (performed.ok) {
      const encoded = Codec.of(options.schema).encode(performed.value, services)
      if (!encoded.ok) {
        this.failure = Codec.rejection(encoded.refused, { runId, what: `step "${pending.id}"` })
        return
      }
      outcome = encoded.json === undefined ? {} : { result: encoded.json }
    } else {
      const { attempts } = performed
      outcome = Failure.encodeStep(
        performed,
        { id: pending.id, attempts, schema: options.error },
        program.error,
        services
      )
    }
    const duration = this.clock.currentTimeMillisUnsafe() - began
    const entry: Step = {
      type: "step",
      stepId: pending.id,
      name,
      ...outcome,
      ...(performed.attempts > 1 ? { attempts: performed.attempts } : undefined),
      ...(duration > 0 ? { duration } : undefined)
    }
    this.steps[performed.ok ? "done" : "failed"]++
    if (!this.record(entry)) {
      const saw = `what its schema encodes but does not decode again (${machine.diverged!.actual})`
      this.failure = new Codec.Unserializable({
        runId,
        what: `step "${pending.id}"`,
        path: "$",
        saw
      })
    }
  }

  /** Journals what was posted: to the wait that takes it, or to be kept. */
  private feedNews(): void {
    const { machine, program, runId, services } = this.o
    for (const posted of this.news) {
      if (
        machine.eventIds.has(posted.eventId) || machine.outcome !== undefined
        || this.failure !== undefined
      ) continue
      if (Replay.refuses(program, posted, services) !== undefined) continue
      const { eventId } = posted
      let entry: Entry
      if (posted.type === "cancel") {
        entry = {
          type: "cancel",
          eventId,
          ...(posted.reason === undefined ? undefined : { reason: posted.reason })
        }
      } else {
        const { eventName, key, value } = posted
        const event = {
          eventName,
          ...(key === undefined ? undefined : { key }),
          ...(value === undefined ? undefined : { value }),
          eventId
        }
        const taker = machine.taker(eventName, key)
        entry = taker === undefined
          ? { type: "event", ...event }
          : { type: "resume", stepId: taker.id, ...event }
      }
      if (!this.record(entry)) {
        this.failure = Replay.mismatch(
          program,
          runId,
          machine.diverged!,
          this.o.writer.head().offset,
          () => undefined
        )
      }
    }
    this.news = []
  }

  /** At-most-once steps say that they are about to run. */
  private recordIntents(): void {
    if (this.failure !== undefined) return
    for (const p of this.starting) {
      if (step(p).options.delivery === "at-most-once") this.record(intent(p, 1))
    }
  }

  // ------------------------------------------------------------------------------------------------
  // what is decided

  private isIdle(): boolean {
    return this.o.machine.outcome !== undefined
      || (this.starting.length === 0 && this.running.size === 0 && this.arrived.length === 0)
  }

  /** Writes the end or the suspension when nothing else can happen. */
  private conclude(): Conclusion | undefined {
    const { machine, program, runId, services } = this.o
    if (this.failure !== undefined) return undefined
    if (machine.outcome === undefined) {
      if (this.unknown.size > 0) {
        return {
          _tag: "Blocked",
          steps: [...this.unknown].map((p) => p.id)
        }
      }
      const entry = suspension(machine.waits())
      this.batch.push({ entry, timestamp: this.now() })
      return { _tag: "Suspended", entry }
    }
    const { outcome } = machine
    const end = (entry: Extract<Conclusion, { _tag: "Ended" }>["entry"]): Conclusion => {
      this.batch.push({ entry, timestamp: this.now() })
      return { _tag: "Ended", entry }
    }
    if (machine.cancelled !== undefined) {
      const { reason } = machine.cancelled
      return end({ type: "cancelled", ...(reason === undefined ? undefined : { reason }) })
    }
    if (outcome.ok) {
      const encoded = program.output.encode(outcome.value, services)
      if (encoded.ok) {
        return end({
          type: "complete",
          ...(encoded.json === undefined ? undefined : { result: encoded.json })
        })
      }
      this.failure = Codec.rejection(encoded.refused, { runId, what: "the workflow's output" })
      return undefined
    }
    const recorded = Failure.encodeEnd(outcome.error, program.error, machine.declared, services)
    if (recorded !== undefined && !("_tag" in recorded)) return end({ type: "error", ...recorded })
    this.failure = recorded === undefined
      ? Replay.defectOf(program, runId, `The body threw ${thrown(outcome.error)}`, outcome.error)
      : Codec.rejection(recorded, { runId, what: "the error the workflow failed with" })
    return undefined
  }

  // ------------------------------------------------------------------------------------------------
  // the storage

  /** What is to be appended now. */
  private takeBatch(): Array<Stamped> {
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
    for (const { acknowledged } of this.intents.splice(0)) acknowledged()
    if (this.observers.length === 0) return undefined
    const events: Array<RunEvent> = entries.map((stamped) => ({ type: "entry", runId, ...stamped }))
    if (isFirst) {
      events.unshift({
        type: "session",
        runId,
        workflow: program.name,
        session: stamp.session,
        replayed
      })
    }
    return this.tell(events)
  }

  /** Reads what was posted since the last look; true when there is something to feed. */
  private look(): Effect.Effect<boolean, SessionError> {
    const { machine, runId, stamp, storage } = this.o
    this.poked = false
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

  // ------------------------------------------------------------------------------------------------
  // the effects

  private identity(p: Pending): Perform.Identity {
    const { runId, stamp } = this.o
    return {
      runId,
      stepId: p.id,
      idempotencyKey: `${runId}:${stamp.incarnation}:${p.id}`,
      fence: stamp.session
    }
  }

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
      const running = this.running.get(p.id)
      if (running?.pending !== p) continue
      this.running.delete(p.id)
      running.fiber.interruptUnsafe()
      this.interrupting.push(running.fiber)
    }
    this.starting = this.starting.filter((p) => machine.pending.get(p.id) === p)
    machine.dropped = []
  }

  /** A lone step needs no fiber of its own. */
  private canRunInline(): boolean {
    if (this.starting.length !== 1 || this.running.size > 0 || this.o.machine.pending.size !== 1) {
      return false
    }
    const { delivery, retry } = step(this.starting[0]!).options
    return !(delivery === "at-most-once" && retry !== undefined)
  }

  private announce({ id, instruction }: Pending): Effect.Effect<void> {
    return this.tell([{
      type: "started",
      runId: this.o.runId,
      stepId: id,
      name: instruction.op === "step" ? instruction.name : id
    }])
  }

  private decorate(
    p: Pending,
    effect: Effect.Effect<Perform.Performed>
  ): Effect.Effect<Perform.Performed> {
    const { program, runId } = this.o
    const ids = { runId, workflow: program.name, stepId: p.id }
    const logged = Effect.annotateLogs(effect, ids)
    return this.traced ? Effect.withSpan(logged, `step ${p.id}`, { attributes: ids }) : logged
  }

  private launch(pending: Pending): Effect.Effect<void> {
    const began = this.clock.currentTimeMillisUnsafe()
    const arrive = (performed: Perform.Performed) => {
      this.running.delete(pending.id)
      this.arrived.push({ pending, performed, began })
      this.wake?.()
    }
    const { delivery, retry } = step(pending).options
    const start = Effect.suspend(() => {
      const called = delivery === "at-most-once" && retry !== undefined
        ? Perform.perform(
          step(pending),
          this.identity(pending),
          (attempt) => this.intend(pending, attempt)
        )
        : Perform.call(step(pending), this.identity(pending))
      if (!Effect.isEffect(called)) {
        arrive(called)
        return Effect.void
      }
      const effect = Effect.map(this.decorate(pending, called), arrive)
      return Effect.map(Effect.forkDetach(effect), (fiber) => {
        this.running.set(pending.id, { pending, fiber })
      })
    })
    return this.observers.length === 0 ? start : Effect.andThen(this.announce(pending), start)
  }

  /** Journals the intent of a repeated at-most-once attempt before it runs. */
  private intend(pending: Pending, attempt: number): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      this.intents.push({ pending, attempt, acknowledged: () => resume(Effect.void) })
      this.wake?.()
    })
  }

  private wait(): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      if (this.hasArrived()) return resume(Effect.void)
      this.wake = () => {
        this.wake = undefined
        resume(Effect.void)
      }
      return Effect.sync(() => {
        this.wake = undefined
      })
    })
  }
}

const step = (p: Pending): Instruction.Step => p.instruction as Instruction.Step

const intent = (p: Pending, attempt: number): Entry => ({
  type: "intent",
  stepId: p.id,
  name: step(p).name,
  attempt
})

const thrown = (error: unknown): string => {
  const { message, tag } = Failure.describe(error)
  return `${tag}: ${message}`
}
