/**
 * The book-keeping of a session: what is fed to its machine, in which order, and what is journaled of it.
 *
 * Runs nothing and appends nothing: `Session` does, and asks this for the next batch and for the conclusion.
 */
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { ChildOutcome } from "../Children.ts"
import * as Codec from "../Codec.ts"
import type { Posted } from "../Driver.ts"
import { type Entry, suspension, type Wait } from "../Entry.ts"
import { isoOf } from "../internal/iso.ts"
import { type Stamped, stamped } from "../Journal.ts"
import { type Pending, Undecodable, wakeAtOf } from "../Machine.ts"
import type * as Perform from "../Perform.ts"
import * as Record from "../Record.ts"
import * as Replay from "../Replay.ts"
import { Running } from "../Running.ts"
import { Timers } from "../Timers.ts"
import { Hearing, type Stopped } from "./Hearing.ts"
import type { Turn } from "./Transactions.ts"
import { blocked, type Conclusion, type Options, type SessionError, tooLong } from "./Types.ts"

export type Parked = Extract<ChildOutcome<SessionError>, { readonly _tag: "Parked" }>

/** What arrives: of a step, of a child, or why a child could not be started. */
export type Outcome =
  | { readonly _tag: "Step"; readonly performed: Perform.Performed }
  | ChildOutcome<SessionError>
  | { readonly _tag: "Refused"; readonly error: SessionError }

/** How long a child that somebody else drives is left to them. */
const ownerMillis = 1_000

export class Ledger {
  readonly steps = { done: 0, failed: 0 }
  /** What was posted and is to be fed. */
  protected news: ReadonlyArray<Posted>
  /** Steps and children to be started once the batch is acknowledged. */
  protected starting: Array<Pending> = []
  protected readonly running: Running<Outcome>
  protected readonly timers: Timers
  /** Children that are open while nothing can be done for them here. */
  protected readonly parked = new Map<Pending, Parked>()
  /** Steps an earlier session left with an intent and no outcome: never started again. */
  protected readonly unknown = new Set<Pending>()
  /** What was pending when the session opened: an earlier one may have started it. */
  protected readonly old = new Set<Pending>()
  /** Why the session cannot go on. */
  protected failure: SessionError | undefined
  /** Undefined when no hook is there to hear anything. */
  protected readonly hearing: Hearing | undefined
  /** Whether the session's `start` is acknowledged. */
  protected opened = false
  protected now = { millis: -1, iso: "" }
  protected readonly o: Options
  protected readonly clock: Clock.Clock
  /** What was fed and is to be appended. */
  private batch: Array<Stamped> = []
  /** Everything that was fed, under the guard: to find the line of an instruction that was not yielded. */
  private readonly fed: Array<Stamped> = []
  private readonly isGuarded: boolean
  private isStopRecorded = false

  constructor(options: Options, clock: Clock.Clock, onArrival: () => void) {
    this.running = new Running(onArrival)
    const { machine, news, services, start, writer } = options
    this.o = options
    this.clock = clock
    this.news = news
    this.timers = new Timers((p) => this.isPending(p))
    this.hearing = options.hooks.length === 0
      ? undefined
      : new Hearing({ ...options, now: () => clock.currentTimeMillisUnsafe() })
    machine.live = true
    machine.fresh = []
    for (const p of machine.pending.values()) {
      this.old.add(p)
      if (p.cancelling === undefined) this.admit(p)
    }
    this.timestamp()
    this.isGuarded = Context.get(services, Replay.Guard).slices
    for (const opening of start) {
      this.batch.push(opening)
      if (this.isGuarded && start.length === 1) this.fed.push(opening)
    }
    if (writer.head().offset > 0) this.remember(start[0]!)
    this.follow()
    this.checkDefect()
  }

  /** Whether hooks are to hear of an outcome first. */
  protected get isDue(): boolean {
    return this.hearing?.isDue === true
  }

  protected isPending(p: Pending): boolean {
    return this.o.machine.pending.get(p.id) === p
  }

  /** Starts what became pending, or sets its timer. */
  protected admit(p: Pending): void {
    const { op } = p.instruction
    if (op === "step" && p.intent > 0) this.unknown.add(p)
    else {
      const at = wakeAtOf(p)
      if (at !== undefined) this.timers.set(p, at)
      else if (op === "step" || op === "child") this.starting.push(p)
    }
  }

  protected timestamp(): string {
    const millis = this.clock.currentTimeMillisUnsafe()
    if (millis !== this.now.millis) this.now = { millis, iso: isoOf(millis) }
    return this.now.iso
  }

  /** Feeds an entry with what follows from it; false when the code does not take it. */
  protected record(entry: Entry): boolean {
    return this.feed(entry) && this.follow()
  }

  /** Feeds an entry, or fails with why there is none. */
  protected recordOr(entry: Entry | Codec.Unserializable | Codec.ValueTooLarge): void {
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

  protected feed(entry: Entry): boolean {
    const recorded = stamped(entry, this.timestamp())
    this.hand(recorded)
    if (this.o.machine.diverged !== undefined) return false
    this.batch.push(recorded)
    this.checkDefect()
    return true
  }

  private hand(recorded: Stamped): void {
    const { machine } = this.o
    machine.feed(recorded.entry, recorded.timestamp)
    if (machine.diverged === undefined && this.isGuarded) this.fed.push(recorded)
  }

  /** The entry for an outcome that is to be committed before it is fed, or why there is none. */
  protected toCommit({ attempt, done, pending }: Turn): Stamped | undefined {
    const { attempts, began } = attempt
    const performed = { ok: true, value: done?.value, attempts } as const
    const entry = Record.step(
      this.o,
      pending,
      performed,
      this.clock.currentTimeMillisUnsafe() - began
    )
    if ("_tag" in entry) {
      this.failure = entry
      return undefined
    }
    // Once it is committed nobody could take it back.
    const { schema } = Record.stepOf(pending).options
    const decoded = Codec.of(schema).decode(entry.result, this.o.services)
    if (decoded instanceof Undecodable) {
      this.failure = Record.oneWay(this.o, pending, decoded.why)
      return undefined
    }
    return stamped(entry, this.timestamp())
  }

  /** Feeds an entry that is committed, with what follows from it. */
  protected takeCommitted(recorded: Stamped): void {
    this.steps.done++
    this.hand(recorded)
    if (this.o.machine.diverged !== undefined) {
      this.failure = this.differing()
      return
    }
    this.checkDefect()
    this.follow()
  }

  /** What is not fed and stands in the journal is remembered with the rest. */
  private remember({ entry, timestamp }: Stamped): void {
    this.o.machine.memory?.entries.push({ entry, timestamp })
  }

  private checkDefect(): void {
    const { found, machine, program, runId } = this.o
    if (machine.defect === undefined || this.failure !== undefined) return
    const again = () => Replay.again(this.o, found, this.fed)?.defect
    this.failure = Replay.broke(program, runId, machine.defect, again)
  }

  /** Takes an outcome, unless its step was cancelled or lost meanwhile. */
  protected take(pending: Pending, performed: Perform.Performed, began: number): void {
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

  protected takeChild(
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
        if (outcome.wakeAt !== undefined) {
          // One that is due and was not driven has another owner: that one is given some time.
          const soon = this.clock.currentTimeMillisUnsafe() + ownerMillis
          this.timers.set(pending, Math.max(outcome.wakeAt, soon))
        }
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

  protected feedNews(): Effect.Effect<void> {
    const { machine, program, services } = this.o
    const refused: Array<string> = []
    let fed = 0
    for (const post of this.news) {
      // One outcome at a time is journaled and told of.
      if (this.isDue) break
      fed++
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
    this.news = this.isDue ? this.news.slice(fed) : []
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
  protected feedTimers(): void {
    for (const p of this.timers.take(this.clock.currentTimeMillisUnsafe())) {
      if (this.failure !== undefined || !this.isPending(p)) continue
      const { op } = p.instruction
      if (op === "step" || op === "child") {
        if (!this.running.has(p)) this.starting.push(p)
      } else if (!this.record(Record.timer(p))) this.failure = this.differing()
    }
  }

  /** At-most-once steps say that they are about to run; true when one did. */
  protected recordIntents(): boolean {
    if (this.failure !== undefined) return false
    let any = false
    for (const p of this.starting) {
      if (p.instruction.op !== "step" || p.instruction.options.delivery !== "at-most-once") continue
      this.record(Record.intent(p, (p.retry?.failed.at(-1)?.attempt ?? 0) + 1))
      any = true
    }
    return any
  }

  /** Writes the end or the suspension, now that nothing else can happen. */
  protected conclude(): Conclusion | undefined {
    const { machine } = this.o
    if (this.failure !== undefined) return undefined
    const unknown = machine.outcome === undefined && this.unknown.size > 0
      ? blocked(Array.from(this.unknown, (p) => p.id))
      : undefined
    // Timers beside it still go off: then somebody must know when.
    if (unknown !== undefined && this.timers.next === Infinity) return unknown
    if (machine.outcome === undefined) {
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
    const concluding = stamped(entry, this.timestamp())
    this.batch.push(concluding)
    this.remember(concluding)
    if (entry.type !== "suspend") return { _tag: "Ended", entry }
    if (unknown !== undefined) return unknown
    const children = Array.from(this.parked.values(), ({ seen }) => seen).flat()
    return { _tag: "Suspended", entry, children }
  }

  /** A hook stops the run: whatever else ends in this session is journaled behind that. */
  protected recordStop({ stepId }: Stopped): void {
    if (this.isStopRecorded) return
    this.isStopRecorded = true
    const stop = stamped({ type: "stop", stepId }, this.timestamp())
    this.batch.push(stop)
    this.remember(stop)
  }

  protected concludeStopped(stopped: Stopped): Conclusion {
    this.recordStop(stopped)
    return { _tag: "Stopped", ...stopped }
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
  protected takeBatch(): ReadonlyArray<Stamped> {
    // A run that is not new is left as it was when its code breaks before anything happened.
    if (!this.opened && this.failure !== undefined && this.o.found.length > 0) this.batch.length = 0
    const entries = this.batch
    if (entries.length > 0) this.batch = []
    return entries
  }
}
