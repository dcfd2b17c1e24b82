/**
 * The replay machine: a tree of generators that is fed journal entries one at a time, in their order.
 *
 * The machine owns which instructions are pending, their ids, and what a combinator makes of its
 * branches. It does not own time, storage, effects or the decision what to do next: `Interpreter` looks
 * at the frontier and feeds what happened. Pure and synchronous. Invariants:
 * M1. The same body and the same entries give the same state, whatever timing produced the entries.
 * M2. An id is the path of branches and the count of its name in its branch; no id depends on timing.
 * M3. Between two feeds every generator is either ended or waits at a pending instruction.
 * M4. A suspended body hears nothing: the machine stops calling `next`.
 * M5. After `diverged` or `defect` is set, no generator is called again.
 */
import * as Option from "effect/Option"
import type { Entry, Patch, Recorded, Resume, Undo, Wait } from "./Entry.ts"
import type * as Instruction from "./Instruction.ts"
import { Body, undoOf } from "./machine/Body.ts"
import {
  type Divergence,
  done,
  type Exposed,
  failed,
  type Kept,
  later,
  type Memory,
  type Options,
  type Outcome,
  type Pending,
  type Start,
  Undecodable
} from "./machine/State.ts"
import { describe, isWait, sameWaits, waitsOf } from "./machine/Waits.ts"

export {
  type Codec,
  type Defect,
  type Divergence,
  type Exposed,
  type Memory,
  type Options,
  type Outcome,
  outermost,
  type Pending,
  type Repeat,
  type Said,
  type Start,
  type Taken,
  Undecodable
} from "./machine/State.ts"
export { isWait, wakeAtOf } from "./machine/Waits.ts"

export class Machine extends Body {
  diverged: Divergence | undefined
  /** Ids of journaled events and cancels: they are taken once. */
  readonly eventIds = new Set<string>()
  /** Events that no wait took yet. */
  readonly kept: Array<Kept> = []
  /** What was fed, where somebody wants to know. */
  readonly memory: Memory | undefined
  private readonly patches = new Map<string, boolean>()
  private readonly recorded: ReadonlyArray<Entry>
  private fed = 0
  /** How many events were there before the first slice. */
  private handed = 0

  /** `recorded` are the journal's entries, where one is replayed: `ctx.patched` looks ahead in them. */
  constructor(
    body: () => Iterator<unknown, unknown, unknown>,
    begin: Start,
    options: Options,
    recorded: ReadonlyArray<Entry> = []
  ) {
    super(body, begin, options)
    this.memory = options.remembers === true ? { entries: [], taken: [] } : undefined
    this.recorded = recorded
    for (const id of begin.taken ?? []) this.eventIds.add(id)
    this.countFrom(begin.base?.counts ?? {})
    this.takeOver()
    this.open()
  }

  /** Events that a run hands on with `continueAs` are there before the first slice. */
  private takeOver(): void {
    const [first] = this.recorded
    if (first?.type !== "start" || first.continues === undefined) return
    for (let at = 1; at < this.recorded.length; at++) {
      const entry = this.recorded[at]!
      if (entry.type !== "event") return
      this.eventIds.add(entry.eventId)
      this.kept.push(entry)
      this.handed++
    }
  }

  /** What the body shows of itself. */
  get exposed(): Exposed {
    return this.options.exposed ?? {}
  }

  /** Whether all that is pending only waits for the outside world; a step whose outcome nobody knows does. */
  get onlyWaits(): boolean {
    if (this.outcome !== undefined) return false
    let unknown = 0
    if (this.active > 0) {
      for (const p of this.pending.values()) if (p.intent > 0 && !isWait(p)) unknown++
    }
    return this.active === unknown
  }

  /** The waits as a `suspend` entry records them. */
  waits(): Array<Wait> {
    return waitsOf(this.pending.values())
  }

  /** The wait that an event would be given to now. */
  taker(eventName: string, key: string | undefined): Pending | undefined {
    for (const p of this.pending.values()) {
      if (
        p.instruction.op === "suspend" && p.instruction.name === eventName
        && p.instruction.key === key
      ) return p
    }
    return undefined
  }

  /** The entry that follows from the state alone: a patch, an undo, or a wait that takes a kept event. */
  derive(): Resume | Patch | Undo | undefined {
    if (this.diverged !== undefined || this.defect !== undefined) return undefined
    if (this.due.length > 0) return this.due[0]!.entry
    if (this.kept.length === 0 || this.outcome !== undefined) return undefined
    for (const p of this.pending.values()) {
      const { instruction } = p
      if (instruction.op !== "suspend") continue
      const kept = this.kept.find((e) =>
        e.eventName === instruction.name && e.key === instruction.key
      )
      if (kept === undefined) continue
      const { eventId, eventName, key } = kept
      return {
        type: "resume",
        stepId: p.id,
        eventName,
        ...(key === undefined ? undefined : { key }),
        eventId
      }
    }
    return undefined
  }

  /** Takes what happened next and runs on to the next block. */
  feed(entry: Entry | Recorded, timestamp: string): void {
    if (this.diverged !== undefined || this.defect !== undefined) return
    this.fed++
    if (this.memory !== undefined) this.memorize(this.memory, entry, timestamp)
    if (this.fed <= this.handed) return
    if (entry.type === "start") {
      for (const id of entry.settled ?? []) this.eventIds.add(id)
      return
    }
    if (entry.type === "stop") return
    if (this.due.length > 0) return this.feedDue(entry, timestamp)
    if (this.outcome !== undefined) return this.ended(entry)
    if (this.kept.length > 0) {
      const next = this.derive()
      if (
        next?.type === "resume"
        && !(entry.type === "resume" && entry.stepId === next.stepId
          && entry.eventId === next.eventId)
      ) {
        return this.differ(entry, `"${next.stepId}" takes the kept event ${next.eventName} first`)
      }
    }
    switch (entry.type) {
      case "step": {
        this.tick(timestamp)
        const p = this.stepAt(entry.stepId, entry.name)
        if (p === undefined) return this.differ(entry)
        if (entry.eventId !== undefined) this.eventIds.add(entry.eventId)
        const count = this.memory?.entries.length ?? 0
        this.memory?.taken.push({ entry, step: p.instruction, count })
        this.take(entry, p, this.options.codec.step(p.instruction, entry))
        return this.forgetRefused(entry)
      }
      case "intent": {
        const p = this.stepAt(entry.stepId, entry.name)
        if (p === undefined) return this.differ(entry)
        p.intent = "session" in entry ? entry.session : Infinity
        if (p.retry?.isWaiting === true) {
          p.retry = { ...p.retry, isWaiting: false }
          this.active++
        }
        return
      }
      case "retry": {
        const p = this.stepAt(entry.stepId, entry.name)
        if (p === undefined) return this.differ(entry)
        const { attempt, declared, error, eventId, name, stepId, wakeAt } = entry
        if (eventId !== undefined) this.eventIds.add(eventId)
        const heard = this.options.codec.step(p.instruction, {
          type: "step",
          stepId,
          name,
          error,
          ...(declared === undefined ? undefined : { declared })
        })
        if (!isWait(p)) this.active--
        p.intent = 0
        const failedWith = heard instanceof Undecodable || heard.ok ? error : heard.error
        p.retry = {
          failed: [
            ...p.retry?.failed ?? [],
            { attempt, at: Date.parse(timestamp), error: failedWith }
          ],
          wakeAt,
          isWaiting: true
        }
        return
      }
      case "suspend":
        return this.onlyWaits && sameWaits(entry.waits, this.waits())
          ? undefined
          : this.differ(entry)
      case "resume": {
        this.tick(timestamp)
        this.eventIds.add(entry.eventId)
        const p = this.taker(entry.eventName, entry.key)
        if (p?.instruction.op !== "suspend" || p.id !== entry.stepId) return this.differ(entry)
        const k = this.kept.findIndex((e) => e.eventId === entry.eventId)
        const value = k < 0 ? entry.value : this.kept.splice(k, 1)[0]!.value
        const outcome = this.options.codec.event(entry.eventName, value)
        const isOption = p.instruction.timeout !== undefined && "ok" in outcome && outcome.ok
        return this.take(entry, p, isOption ? done(Option.some(outcome.value)) : outcome)
      }
      case "timer": {
        this.tick(timestamp)
        const p = this.pending.get(entry.stepId)
        if (p?.wakeAt === undefined) return this.differ(entry)
        const { instruction } = p
        const event = instruction.op === "suspend" ? instruction.name : undefined
        if (event !== entry.event) return this.differ(entry)
        return this.settle(p, done(event === undefined ? undefined : Option.none()))
      }
      case "child": {
        this.tick(timestamp)
        const p = this.pending.get(entry.stepId)
        if (p?.instruction.op !== "child" || p.isUndoing) return this.differ(entry)
        return this.take(entry, p, this.options.codec.child(p.instruction, entry))
      }
      case "undo": {
        this.tick(timestamp)
        const p = this.pending.get(entry.stepId)
        if (entry.unknown !== true || p?.cancelling === undefined || p.isUndoing) {
          return this.differ(entry)
        }
        return this.undoPending(p, undefined)
      }
      case "event":
        this.eventIds.add(entry.eventId)
        this.kept.push(entry)
        return
      case "cancel":
        this.tick(timestamp)
        this.eventIds.add(entry.eventId)
        return this.cancelRun(entry.reason)
      case "patch":
        return this.options.retired.includes(entry.changeId)
          ? undefined
          : this.differ(entry, `no ctx.patched("${entry.changeId}") here`)
      case "complete":
      case "error":
      case "cancelled":
      case "continue":
        return this.differ(entry, "the body goes on")
    }
  }

  private feedDue(entry: Entry, timestamp: string): void {
    const { entry: next, goOn } = this.due[0]!
    const isNext = next.type === "patch"
      ? entry.type === "patch" && entry.changeId === next.changeId
      : entry.type === "undo" && entry.stepId === next.stepId && entry.unknown !== true
        && (entry.error === undefined) === (next.error === undefined)
    if (!isNext) {
      return this.differ(
        entry,
        next.type === "patch"
          ? `ctx.patched("${next.changeId}") takes the new path first`
          : `"${next.stepId}" is undone first`
      )
    }
    if (next.type === "undo") this.tick(timestamp)
    this.due.shift()
    goOn()
  }

  private stepAt(
    id: string,
    name: string
  ): Pending & { readonly instruction: Instruction.Step } | undefined {
    const p = this.pending.get(id)
    return p?.instruction.op === "step" && p.instruction.name === name && !p.isUndoing
      ? p as Pending & { readonly instruction: Instruction.Step }
      : undefined
  }

  private memorize({ entries }: Memory, entry: Entry, timestamp: string): void {
    entries.push({ entry, timestamp })
    this.exposed.count = entries.length
  }

  /** An outcome that the code did not take was not done. */
  private forgetRefused(entry: Entry): void {
    if (this.memory === undefined || this.diverged?.expected !== entry) return
    this.memory.taken.pop()
    this.memory.entries.pop()
  }

  private tick(timestamp: string): void {
    this.at = later(this.at, timestamp)
  }

  private ended(entry: Entry): void {
    const end = this.cancelled !== undefined
      ? "cancelled"
      : this.continued !== undefined
      ? "continue"
      : this.outcome!.ok
      ? "complete"
      : "error"
    if (entry.type !== end) this.differ(entry, `the body has ended (${end})`)
  }

  private differ(expected: Entry, actual?: string): void {
    const pending = [...this.pending.values()]
    const at = "stepId" in expected ? this.pending.get(expected.stepId) : undefined
    this.diverged = {
      expected,
      actual: actual
        ?? (pending.length === 0
          ? "nothing is pending"
          : `pending: ${pending.map(describe).join(", ")}`),
      instruction: (at ?? pending.at(-1))?.instruction
    }
  }

  private take(entry: Entry, p: Pending, outcome: Outcome | Undecodable): void {
    if (outcome instanceof Undecodable) {
      return this.differ(
        entry,
        `${describe(p)}, whose schema does not decode what is recorded: ${outcome.why}`
      )
    }
    if (
      !outcome.ok && (entry.type === "step" || entry.type === "child") && entry.declared === true
    ) {
      this.declared.set(outcome.error, entry.error)
    }
    if (p.cancelling !== undefined) {
      return outcome.ok && undoOf(p) !== undefined
        ? this.undoPending(p, outcome.value)
        : this.settle(p, failed(p.cancelling))
    }
    this.settle(p, outcome)
  }

  /** True where the journal says so or nothing recorded follows. */
  protected override patched(changeId: string): boolean {
    const known = this.patches.get(changeId)
    if (known !== undefined) return known
    if (this.options.retired.includes(changeId)) return true
    // What is due but not fed yet stands in the journal before what this slice asks for.
    const next = this.ahead(this.due.length)
    const yes = next === undefined || (next.type === "patch" && next.changeId === changeId)
    if (yes) this.due.push({ entry: { type: "patch", changeId }, goOn: () => {} })
    this.patches.set(changeId, yes)
    return yes
  }

  /** The recorded entry that comes after `skipped` others that are not fed yet; a `start` or `stop` is none. */
  private ahead(skipped: number): Entry | undefined {
    let left = skipped
    for (let at = this.fed + 1; at < this.recorded.length; at++) {
      const entry = this.recorded[at]!
      if (entry.type !== "start" && entry.type !== "stop" && left-- === 0) return entry
    }
    return undefined
  }
}
