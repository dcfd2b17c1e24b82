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
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import type { Entry, Patch, Recorded, Resume, Undo, Wait } from "./Entry.ts"
import * as Instruction from "./Instruction.ts"
import * as Chance from "./internal/chance.ts"
import { describe as describeError } from "./internal/describe.ts"
import { slice } from "./internal/slice.ts"
import {
  type Defect,
  type Divergence,
  type Done,
  done,
  escape,
  failed,
  type Kept,
  later,
  nameOf,
  Node,
  type NotUndone,
  type OpenFan,
  type Options,
  type Outcome,
  type Pending,
  type Said,
  type Start,
  start,
  throwing,
  Undecodable
} from "./machine/State.ts"
import { describe, isWait, sameWaits, waitsOf } from "./machine/Waits.ts"
import * as Token from "./Token.ts"

export {
  type Codec,
  type Defect,
  type Divergence,
  type Options,
  type Outcome,
  type Pending,
  type Repeat,
  type Said,
  type Start,
  Undecodable
} from "./machine/State.ts"
export { isWait, wakeAtOf } from "./machine/Waits.ts"

/** An entry that follows from the state alone, and what happens once it is fed. */
interface Due {
  readonly entry: Patch | Undo
  readonly then: () => void
}

/** How a generator is left by `continueAs`. */
const leave: Outcome = { ok: true, value: undefined }

export class Machine {
  /** In the order they became pending. */
  readonly pending = new Map<string, Pending>()
  /** Steps, children and timers that became pending while `live`, to be started. */
  fresh: Array<Pending> = []
  /** Steps and children that a cancel or a lost race took out, to be interrupted; children also in a replay. */
  dropped: Array<Pending> = []
  /** Steps and children that are cancelled and whose outcome is awaited. */
  held: Array<Pending> = []
  said: Array<Said> = []
  live: boolean
  /** Set once the root body ended. */
  outcome: Outcome | undefined
  diverged: Divergence | undefined
  defect: Defect | undefined
  cancelled: { readonly reason: string | undefined } | undefined
  /** Set when the body goes on in a fresh journal. */
  continued: { readonly input: unknown } | undefined
  /** Errors of `ctx.fail` and of steps' own schemas, which a run may end with, and how they are encoded. */
  readonly declared = new Map<unknown, Schema.Json | undefined>()
  /** Ids of journaled events and cancels: they are taken once. */
  readonly eventIds = new Set<string>()
  /** Events that no wait took yet. */
  readonly kept: Array<Kept> = []
  /** How many pending instructions are steps that do not only wait. */
  active = 0
  private readonly options: Options
  private readonly begin: Start
  private readonly used = new WeakSet<object>()
  private readonly unused = new Set<object>()
  private readonly root: Node
  private readonly due: Array<Due> = []
  private readonly patches = new Map<string, boolean>()
  private readonly notUndone: Array<NotUndone> = []
  private recorded: ReadonlyArray<Entry>
  private fed = 0
  private at: string
  private seq = 0
  private lastId = ""

  /** `recorded` are the journal's entries, where one is replayed: `ctx.patched` looks ahead in them. */
  constructor(
    body: () => Iterator<unknown, unknown, unknown>,
    start: Start,
    options: Options,
    recorded: ReadonlyArray<Entry> = []
  ) {
    this.options = options
    this.begin = start
    this.recorded = recorded
    this.live = options.live
    this.at = start.timestamp
    for (const id of start.taken ?? []) this.eventIds.add(id)
    this.root = new Node(undefined, "", body(), (outcome) => this.endRoot(outcome), false)
    this.run(this.root, done(undefined))
  }

  /** Whether all that is pending only waits for the outside world. */
  get onlyWaits(): boolean {
    return this.outcome === undefined && this.active === 0
  }

  /** The time by the journal, in UTC milliseconds. */
  get now(): number {
    return Date.parse(this.at)
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
    if (entry.type === "start") {
      for (const id of entry.settled ?? []) this.eventIds.add(id)
      return
    }
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
        return this.take(entry, p, this.options.codec.step(p.instruction, entry))
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
      default:
        return this.differ(
          entry,
          `this version of reprise has no instruction for a "${entry.type}" entry`
        )
    }
  }

  private feedDue(entry: Entry, timestamp: string): void {
    const { entry: next, then } = this.due[0]!
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
    then()
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

  private settle(p: Pending, outcome: Outcome): void {
    this.pending.delete(p.id)
    if (!isWait(p) && !p.isUndoing) this.active--
    const { node } = p
    node.leaf = undefined
    if (outcome.ok) {
      const undo = undoOf(p)
      if (undo !== undefined) this.remember(node, p.id, undo, outcome.value)
    }
    this.run(node, outcome)
  }

  // ------------------------------------------------------------------------------------------------
  // generators

  /** Runs one generator until it ends or its instruction stays pending. */
  private run(n: Node, answer: Outcome): void {
    for (;;) {
      if (this.defect !== undefined) return
      let next: IteratorResult<unknown, unknown>
      try {
        // Who handles a failure may leave instructions unused on purpose.
        if (!answer.ok && this.options.guard) this.forget()
        slice.isOpen = this.options.guard
        next = advance(n.gen, answer)
        slice.isOpen = false
      } catch (error) {
        slice.isOpen = false
        if (this.options.guard) this.forget()
        if (slice.violation !== undefined) return this.forbidden()
        if (n.isLeaving && n === this.root) {
          n.isLeaving = false
          this.continued = undefined
        }
        const outer = n.outer.pop()
        if (outer === undefined) return n.end(failed(error))
        n.gen = outer
        answer = failed(error)
        continue
      }
      if (this.options.guard) {
        if (slice.violation !== undefined) return this.forbidden()
        if (slice.made !== undefined) this.sweep(next.value)
      }
      if (next.done === true) {
        const outer = n.outer.pop()
        if (outer === undefined) return n.end(done(next.value))
        n.gen = outer
        answer = n.isLeaving ? leave : done(next.value)
        continue
      }
      if (!Instruction.isInstruction(next.value)) return this.wrongYield(next.value)
      const reply = this.open(n, Instruction.data(next.value))
      if (reply === undefined) return
      answer = reply
    }
  }

  /** Keeps what the slice made and did not yield: it is to be used later. */
  private sweep(yielded: unknown): void {
    const { made, more } = slice
    if (made !== yielded || more.length > 0) {
      this.unused.add(made!)
      for (const instruction of more) this.unused.add(instruction)
      more.length = 0
    }
    slice.made = undefined
  }

  private forget(): void {
    slice.made = undefined
    slice.more.length = 0
    this.unused.clear()
  }

  /** Takes out what was yielded, or placed in a branch, of what was made and not yet used. */
  private use(instruction: object): void {
    this.unused.delete(instruction)
    const i = instruction as Instruction.Data
    if ((i.op === "wrap" || i.op === "saga") && typeof i.of === "object") this.use(i.of)
    else if (i.op === "all" || i.op === "race" || i.op === "any") {
      for (const [, branch] of i.branches) if (typeof branch === "object") this.use(branch)
    }
  }

  private forbidden(): void {
    const { call, error, instead } = slice.violation!
    slice.violation = undefined
    this.defect = {
      message:
        `The body calls ${call} between two yields, where a replay would see another answer. `
        + `Use ${instead} instead`,
      cause: error
    }
  }

  private wrongYield(value: unknown): void {
    const what = nameOf(value)
    const after = this.lastId === "" ? "before its first step" : `after "${this.lastId}"`
    this.defect = {
      message:
        `Workflow "${this.options.workflow}" yielded ${what} ${after}. Only instructions can be yielded: `
        + `ctx.step, ctx.suspend, ctx.all, ctx.forEach, ctx.race, ctx.any, ctx.log, ctx.fail, ctx.runId. `
        + `Wrap an Effect or a Promise in yield* ctx.step("name", () => …)`
    }
  }

  private endRoot(outcome: Outcome): void {
    if (outcome.ok && this.unused.size > 0 && this.cancelled === undefined) {
      const [notYielded] = this.unused as Set<Instruction.Data>
      const name = "name" in notYielded! ? `"${notYielded.name}"` : `"${notYielded!.op}"`
      this.defect = {
        message:
          `The body made the instruction ${name} and neither yielded it nor placed it in a branch`,
        notYielded: notYielded!
      }
      return
    }
    // A bug in the body undoes nothing: the run stays open and goes on once it is mended.
    const isOver = this.cancelled === undefined && this.root.done !== undefined && !outcome.ok
      && !this.options.codec.mayEndWith(outcome.error, this.declared)
    if (isOver || (outcome.ok && this.cancelled === undefined)) {
      this.outcome = outcome
      return
    }
    const error = this.cancelled === undefined
      ? outcome.ok ? undefined : outcome.error
      : new Instruction.Cancelled(this.cancelled.reason)
    this.undo(this.root, error, this.notUndone, () => {
      this.outcome = this.notUndone.length === 0 || this.cancelled !== undefined
        ? outcome
        : failed(
          new Instruction.CompensationFailed({
            notUndone: this.notUndone,
            because: describeError(error)
          })
        )
    })
  }

  private id(n: Node, name: string): string {
    let entry = n.counts.get(name)
    if (entry === undefined) n.counts.set(name, entry = { escaped: escape(name), count: 0 })
    entry.count++
    return this.lastId = entry.count === 1
      ? n.prefix + entry.escaped
      : `${n.prefix}${entry.escaped}#${entry.count}`
  }

  /** The answer, or undefined when the instruction stays pending. */
  private open(n: Node, i: Instruction.Data): Outcome | undefined {
    if (this.unused.size > 0) this.use(i)
    switch (i.op) {
      case "step":
        this.active++
        this.wait(n, i, undefined)
        return undefined
      case "suspend":
        this.wait(n, i, i.timeout === undefined ? undefined : this.now + i.timeout)
        return undefined
      case "sleep":
        this.wait(n, i, i.until ?? this.now + i.millis!)
        return undefined
      case "child":
        this.wait(n, i, undefined)
        return undefined
      case "all":
      case "race":
      case "any":
        return this.fan(n, i)
      case "wrap":
        n.outer.push(n.gen)
        n.gen = i.run()
        return done(undefined)
      case "saga": {
        const id = this.id(n, "compensation")
        n.outer.push(n.gen)
        n.gen = this.saga(n, id, i)
        return done(undefined)
      }
      case "log":
      case "publish":
        if (this.live) this.said.push(i)
        return done(undefined)
      case "fail":
        this.declared.set(i.error, undefined)
        return failed(i.error)
      case "runId":
        return done(this.options.runId)
      case "now":
        return done(this.now)
      case "random":
        return done(Chance.number(this.position(n, "#random")))
      case "uuid":
        return done(Chance.uuid(this.position(n, "#uuid")))
      case "patched":
        return done(this.patched(i.changeId))
      case "token": {
        const { incarnation } = this.begin
        const { event, key } = i
        return done(Token.make({ runId: this.options.runId, incarnation, event, key }))
      }
      case "continueAs":
        if (n !== this.root) {
          return failed(
            new TypeError(
              "ctx.continueAs ends the whole run, so it cannot stand in a branch: yield it in the body itself."
            )
          )
        }
        this.continued = { input: i.input }
        n.isLeaving = true
        return leave
    }
  }

  private wait(n: Node, instruction: Pending["instruction"], wakeAt: number | undefined): void {
    const p: Pending = {
      id: this.id(n, instruction.name),
      instruction,
      since: this.at,
      wakeAt,
      intent: 0,
      retry: undefined,
      cancelling: undefined,
      isUndoing: false,
      seq: this.seq++,
      node: n
    }
    n.leaf = p
    this.pending.set(p.id, p)
    if (this.live && (instruction.op !== "suspend" || wakeAt !== undefined)) this.fresh.push(p)
  }

  /** Where a drawn value stands: the seed and the place in the body. `#` is in no name's id. */
  private position(n: Node, what: string): string {
    const { seed = "" } = this.begin
    const entry = n.counts.get(what) ?? { escaped: what, count: 0 }
    n.counts.set(what, entry)
    return `${seed}:${n.prefix}${what}${++entry.count}`
  }

  /** True where the journal says so or nothing recorded follows. */
  private patched(changeId: string): boolean {
    const known = this.patches.get(changeId)
    if (known !== undefined) return known
    if (this.options.retired.includes(changeId)) return true
    // What is due but not fed yet stands in the journal before what this slice asks for.
    let at = this.fed + 1 + this.due.length
    while (this.recorded[at]?.type === "start") at++
    const next = this.recorded[at]
    const yes = next === undefined || (next.type === "patch" && next.changeId === changeId)
    if (yes) this.due.push({ entry: { type: "patch", changeId }, then: () => {} })
    this.patches.set(changeId, yes)
    return yes
  }

  private fan(n: Node, i: Instruction.Fan): Outcome | undefined {
    const id = this.id(n, i.name)
    const wrong = this.wrongFan(i)
    if (wrong !== undefined) {
      return failed(new TypeError(`"${id}" in workflow "${this.options.workflow}": ${wrong}`))
    }
    const f: OpenFan = {
      id,
      node: n,
      instruction: i,
      next: 0,
      live: new Set(),
      results: [],
      last: undefined,
      outcome: undefined,
      swept: false,
      busy: false,
      opening: true
    }
    n.fan = f
    this.pump(f)
    f.opening = false
    if (f.live.size > 0) return undefined
    n.fan = undefined
    return f.outcome
  }

  private wrongFan({ branches, concurrency, op }: Instruction.Fan): string | undefined {
    if (!(concurrency >= 1)) return `concurrency is ${concurrency}, but must be at least 1.`
    if (op !== "all" && branches.length === 0) return `a ${op} needs at least one branch.`
    if (new Set(branches.map(([key]) => key)).size < branches.length) {
      return "two branches have the same key."
    }
    for (const [key, branch] of branches) {
      if (typeof branch === "function" || Instruction.isInstruction(branch)) continue
      if (typeof branch !== "object" || branch === null || !("next" in branch)) {
        return `branch "${key}" is neither an instruction nor a generator function nor a generator object.`
      }
      if (this.used.has(branch)) {
        return `branch "${key}" is a generator object that was used before; pass a generator function.`
      }
      this.used.add(branch)
    }
    return undefined
  }

  /** Starts what may start, decides, cancels losers, and goes on in the parent when the last branch has ended. */
  private pump(f: OpenFan): void {
    const { branches, concurrency } = f.instruction
    f.busy = true
    while (f.outcome === undefined && f.live.size < concurrency && f.next < branches.length) {
      this.branch(f, f.next++)
    }
    if (f.outcome === undefined && f.live.size === 0) {
      f.outcome = f.instruction.op === "any"
        ? f.last
        : done(this.gather(f))
    }
    if (!f.swept && f.outcome !== undefined) {
      f.swept = true
      this.cancel(f.live, undefined)
    }
    f.busy = false
    if (f.live.size > 0 || f.opening || this.defect !== undefined) return
    f.node.fan = undefined
    this.run(f.node, f.outcome!)
  }

  private gather(
    { instruction: { branches, results, shape }, results: outcomes }: OpenFan
  ): unknown {
    if (shape === "discard") return undefined
    const values = outcomes.map((o) =>
      !results
        ? (o as { value: unknown }).value
        : o!.ok
        ? Result.succeed(o!.value)
        : Result.fail(Instruction.toHeard(o!.error))
    )
    return shape === "array"
      ? values
      : Object.fromEntries(branches.map(([key], k) => [key, values[k]]))
  }

  private branch(f: OpenFan, k: number): void {
    const [key, branch] = f.instruction.branches[k]!
    const { op, results, shape } = f.instruction
    const ended = (o: Outcome) => {
      f.live.delete(n)
      f.results[k] = o
      f.last = o
      if (f.outcome === undefined) {
        if (op === "race") {
          f.outcome = o.ok && shape === "record"
            ? done({ winner: key, value: o.value })
            : o
        } else if (op === "any" ? o.ok : !o.ok && !results) f.outcome = o
      }
      if (!f.busy) this.pump(f)
    }
    const n = new Node(
      f.node,
      `${f.id}[${escape(key)}]/`,
      this.once(branch),
      (o) => {
        if (n.done === undefined) return ended(o)
        if (n.cancelled) return this.undo(n, n.reason, undefined, () => ended(o))
        // What was done stays done, until what the branch belongs to fails.
        f.node.done = [...f.node.done ?? [], ...n.done]
        ended(o)
      },
      f.node.isUndo
    )
    f.live.add(n)
    this.run(n, done(undefined))
  }

  /** The generator of a branch that is run now. One that a function handed out before would give nothing. */
  private once(branch: Instruction.Branch): Iterator<unknown, unknown, unknown> {
    const gen = start(branch)
    if (gen === branch) return gen
    if (this.used.has(gen)) {
      return throwing(new TypeError("a generator object was handed out as a branch twice"))
    }
    this.used.add(gen)
    return gen
  }

  // ------------------------------------------------------------------------------------------------
  // undoing

  private remember(n: Node, id: string, undo: Instruction.Undo, value: unknown): void {
    const order = this.seq++
    if (n.done === undefined) n.done = [{ id, undo, value, order }]
    else n.done.push({ id, undo, value, order })
  }

  private *saga(
    n: Node,
    id: string,
    { of, undo }: Instruction.Saga
  ): Generator<unknown, unknown, unknown> {
    const value: unknown = yield* { [Symbol.iterator]: () => Instruction.iterate(of) }
    this.remember(n, id, undo, value)
    return value
  }

  /** Undoes what was done at a node that has ended, the last first; then goes on with `then`. */
  private undo(
    n: Node,
    error: unknown,
    notUndone: Array<NotUndone> | undefined,
    then: () => void
  ): void {
    const rest = (n.done ?? []).sort((a, b) => a.order - b.order)
    n.done = undefined
    const next = (): void => {
      const last = rest.pop()
      if (last === undefined) return then()
      this.undoOne(n, last, error, notUndone, next)
    }
    next()
  }

  /** Runs one undo as a branch of its own, and records that it is over. */
  private undoOne(
    n: Node,
    { id, undo, value }: Omit<Done, "order">,
    error: unknown,
    notUndone: Array<NotUndone> | undefined,
    then: () => void
  ): void {
    const { incarnation } = this.begin
    const cause = {
      error,
      stepId: id,
      idempotencyKey: `${this.options.runId}:${incarnation}:${id}`
    }
    const ended = (o: Outcome) => {
      const entry: Undo = { type: "undo", stepId: id }
      if (o.ok) {
        this.due.push({ entry, then })
        return
      }
      const why = describeError(o.error)
      notUndone?.push({ step: id, ...why })
      this.due.push({ entry: { ...entry, error: why }, then })
    }
    const node = new Node(n, `${id}[undo]/`, start(() => undoing(undo, value, cause)), ended, true)
    // Whoever is cleaning up is left alone.
    node.cancelled = true
    this.run(node, done(undefined))
  }

  /** Undoes a step that was cancelled while it ran; its branch hears of the cancel after that. */
  private undoPending(p: Pending, value: unknown): void {
    if (!isWait(p)) this.active--
    p.isUndoing = true
    const done = { id: p.id, undo: undoOf(p)!, value }
    this.undoOne(p.node, done, p.cancelling, undefined, () => this.settle(p, failed(p.cancelling)))
  }

  // ------------------------------------------------------------------------------------------------
  // cancelling

  private cancelRun(reason: string | undefined): void {
    if (this.cancelled !== undefined) {
      for (const p of this.pending.values()) this.drop(p)
      this.pending.clear()
      this.due.length = 0
      this.active = 0
      this.outcome = failed(new Instruction.Cancelled(reason))
      return
    }
    this.cancelled = { reason }
    this.cancel([this.root], reason)
  }

  private drop(p: Pending): void {
    const { op } = p.instruction
    if (op === "child" || (this.live && op === "step")) this.dropped.push(p)
  }

  /** Throws Cancelled at every pending instruction below, oldest first; whoever is cleaning up already is left alone. */
  private cancel(nodes: Iterable<Node>, reason: string | undefined): void {
    const leaves: Array<Pending> = []
    const mark = (n: Node): void => {
      if (n.cancelled) return
      n.cancelled = true
      n.reason = new Instruction.Cancelled(reason)
      if (n.leaf !== undefined) leaves.push(n.leaf)
      if (n.fan === undefined) return
      n.fan.outcome = failed(new Instruction.Cancelled(reason))
      n.fan.swept = true
      for (const child of n.fan.live) mark(child)
    }
    for (const n of nodes) mark(n)
    for (const p of leaves.sort((a, b) => a.seq - b.seq)) {
      if (this.pending.get(p.id) !== p || p.cancelling !== undefined) continue
      const error = new Instruction.Cancelled(reason)
      if (isAwaited(p)) {
        p.cancelling = error
        this.held.push(p)
        continue
      }
      this.drop(p)
      this.settle(p, failed(error))
    }
  }
}

/** Hands an outcome to a generator. */
const advance = (
  gen: Iterator<unknown, unknown, unknown>,
  answer: Outcome
): IteratorResult<unknown, unknown> => {
  if (answer === leave) return gen.return === undefined ? returned : gen.return(undefined)
  if (answer.ok) return gen.next(answer.value)
  if (gen.throw === undefined) throw answer.error
  return gen.throw(answer.error)
}

const returned: IteratorResult<unknown, unknown> = { done: true, value: undefined }

const undoing = (undo: Instruction.Undo, value: unknown, cause: Instruction.UndoCause): any =>
  Instruction.iterate(undo(value, cause))

const undoOf = ({ instruction }: Pending): Instruction.Undo | undefined =>
  instruction.op === "step" || instruction.op === "child" ? instruction.undo : undefined

/** Whether a cancel awaits the outcome of something pending, instead of giving up on it. */
const isAwaited = (p: Pending): boolean =>
  undoOf(p) !== undefined || (p.instruction.op === "child" && p.instruction.onCancel === "await")
