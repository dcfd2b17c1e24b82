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
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import type { Entry, Recorded, Resume, Wait } from "./Entry.ts"
import * as Instruction from "./Instruction.ts"
import {
  type Defect,
  describe,
  type Divergence,
  done,
  escape,
  failed,
  type Kept,
  type Logged,
  nameOf,
  Node,
  type OpenFan,
  type Options,
  type Outcome,
  type Pending,
  start,
  throwing,
  Undecodable
} from "./machine/State.ts"

export {
  type Codec,
  type Defect,
  type Divergence,
  type Logged,
  type Options,
  type Outcome,
  type Pending,
  Undecodable
} from "./machine/State.ts"

export class Machine {
  /** In the order they became pending. */
  readonly pending = new Map<string, Pending>()
  /** Steps that became pending while `live`, to be started. */
  fresh: Array<Pending> = []
  /** Steps that a cancel or a lost race took out while `live`, to be interrupted. */
  dropped: Array<Pending> = []
  logs: Array<Logged> = []
  live: boolean
  /** Set once the root body ended. */
  outcome: Outcome | undefined
  diverged: Divergence | undefined
  defect: Defect | undefined
  cancelled: { readonly reason: string | undefined } | undefined
  /** Errors of `ctx.fail` and of steps' own schemas, which a run may end with, and how they are encoded. */
  readonly declared = new Map<unknown, Schema.Json | undefined>()
  /** Ids of journaled events and cancels: they are taken once. */
  readonly eventIds = new Set<string>()
  /** How many pending instructions are steps. */
  steps = 0
  private readonly options: Options
  private readonly kept: Array<Kept> = []
  private readonly used = new WeakSet<object>()
  private readonly root: Node
  private at = ""
  private seq = 0
  private lastId = ""

  constructor(
    body: () => Iterator<unknown, unknown, unknown>,
    start: { readonly timestamp: string },
    options: Options
  ) {
    this.options = options
    this.live = options.live
    this.at = start.timestamp
    this.root = new Node("", body(), (outcome) => {
      this.outcome = outcome
    })
    this.run(this.root, done(undefined))
  }

  /** Whether all that is pending only waits for the outside world. */
  get onlyWaits(): boolean {
    return this.outcome === undefined && this.steps === 0
  }

  /** The waits as a `suspend` entry records them. */
  waits(): Array<Wait> {
    const out: Array<Wait> = []
    for (const { id, instruction, since } of this.pending.values()) {
      if (instruction.op !== "suspend") continue
      out.push({
        stepId: id,
        kind: "event",
        event: instruction.name,
        ...(instruction.key === undefined ? undefined : { key: instruction.key }),
        ...(instruction.reason === undefined ? undefined : { reason: instruction.reason }),
        since: Date.parse(since)
      })
    }
    return out
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

  /** The entry that follows from the state alone: a wait that takes an event which came before it. */
  derive(): Resume | undefined {
    if (this.kept.length === 0 || this.outcome !== undefined) return undefined
    if (this.diverged !== undefined || this.defect !== undefined) return undefined
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
    if (entry.type === "start") return
    this.at = timestamp
    if (this.outcome !== undefined) return this.ended(entry)
    if (this.kept.length > 0) {
      const due = this.derive()
      if (
        due !== undefined
        && !(entry.type === "resume" && entry.stepId === due.stepId
          && entry.eventId === due.eventId)
      ) {
        return this.differ(entry, `"${due.stepId}" takes the kept event ${due.eventName} first`)
      }
    }
    switch (entry.type) {
      case "step": {
        const p = this.pending.get(entry.stepId)
        if (p === undefined || p.instruction.op !== "step" || p.instruction.name !== entry.name) {
          return this.differ(entry)
        }
        return this.take(entry, p, this.options.codec.step(p.instruction, entry))
      }
      case "intent": {
        const p = this.pending.get(entry.stepId)
        if (p === undefined || p.instruction.op !== "step" || p.instruction.name !== entry.name) {
          return this.differ(entry)
        }
        p.intent = "session" in entry ? entry.session : Infinity
        return
      }
      case "suspend":
        return this.sameWaits(entry.waits) ? undefined : this.differ(entry)
      case "resume": {
        this.eventIds.add(entry.eventId)
        const p = this.taker(entry.eventName, entry.key)
        if (p === undefined || p.id !== entry.stepId) return this.differ(entry)
        const k = this.kept.findIndex((e) => e.eventId === entry.eventId)
        const value = k < 0 ? entry.value : this.kept.splice(k, 1)[0]!.value
        return this.take(entry, p, this.options.codec.event(entry.eventName, value))
      }
      case "event":
        this.eventIds.add(entry.eventId)
        this.kept.push(entry)
        return
      case "cancel":
        this.eventIds.add(entry.eventId)
        return this.cancelRun(entry.reason)
      case "complete":
      case "error":
      case "cancelled":
        return this.differ(entry, "the body goes on")
      default:
        return this.differ(
          entry,
          `this version of reprise has no instruction for a "${entry.type}" entry`
        )
    }
  }

  private ended(entry: Entry): void {
    const end = this.cancelled !== undefined ? "cancelled" : this.outcome!.ok ? "complete" : "error"
    if (entry.type !== end) this.differ(entry, `the body has ended (${end})`)
  }

  private sameWaits(waits: ReadonlyArray<Wait>): boolean {
    if (!this.onlyWaits || waits.length !== this.pending.size) return false
    if (new Set(waits.map(({ stepId }) => stepId)).size < waits.length) return false
    return waits.every((wait) => {
      const i = this.pending.get(wait.stepId)?.instruction
      return i !== undefined && i.op === "suspend" && wait.kind === "event" && i.name === wait.event
        && i.key === wait.key
    })
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
    if (!outcome.ok && entry.type === "step" && entry.declared === true) {
      this.declared.set(outcome.error, entry.error)
    }
    this.settle(p, outcome)
  }

  private settle(p: Pending, outcome: Outcome): void {
    this.pending.delete(p.id)
    if (p.instruction.op === "step") this.steps--
    p.node.leaf = undefined
    this.run(p.node, outcome)
  }

  /** Runs one generator until it ends or its instruction stays pending. */
  private run(n: Node, answer: Outcome): void {
    for (;;) {
      if (this.defect !== undefined) return
      let next: IteratorResult<unknown, unknown>
      try {
        next = answer.ok ? n.gen.next(answer.value) : this.throwInto(n.gen, answer.error)
      } catch (error) {
        const outer = n.outer.pop()
        if (outer === undefined) return n.end(failed(error))
        n.gen = outer
        answer = failed(error)
        continue
      }
      if (next.done === true) {
        const outer = n.outer.pop()
        if (outer === undefined) return n.end(done(next.value))
        n.gen = outer
        answer = done(next.value)
        continue
      }
      if (!Instruction.isInstruction(next.value)) return this.wrongYield(next.value)
      const reply = this.open(n, Instruction.data(next.value))
      if (reply === undefined) return
      answer = reply
    }
  }

  private throwInto(
    gen: Iterator<unknown, unknown, unknown>,
    error: unknown
  ): IteratorResult<unknown, unknown> {
    if (gen.throw === undefined) throw error
    return gen.throw(error)
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
    switch (i.op) {
      case "step":
      case "suspend": {
        const p: Pending = {
          id: this.id(n, i.name),
          instruction: i,
          since: this.at,
          intent: 0,
          seq: this.seq++,
          node: n
        }
        n.leaf = p
        this.pending.set(p.id, p)
        if (i.op === "step") {
          this.steps++
          if (this.live) this.fresh.push(p)
        }
        return undefined
      }
      case "all":
      case "race":
      case "any":
        return this.fan(n, i)
      case "wrap":
        n.outer.push(n.gen)
        n.gen = i.run()
        return done(undefined)
      case "log":
        if (this.live) this.logs.push(i)
        return done(undefined)
      case "fail":
        this.declared.set(i.error, undefined)
        return failed(i.error)
      case "runId":
        return done(this.options.runId)
    }
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
    const n = new Node(`${f.id}[${escape(key)}]/`, this.once(branch), (o) => {
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
    })
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

  private cancelRun(reason: string | undefined): void {
    if (this.cancelled !== undefined) {
      for (const p of this.pending.values()) this.drop(p)
      this.pending.clear()
      this.steps = 0
      this.outcome = failed(new Instruction.Cancelled(reason))
      return
    }
    this.cancelled = { reason }
    this.cancel([this.root], reason)
  }

  private drop(p: Pending): void {
    if (this.live && p.instruction.op === "step") this.dropped.push(p)
  }

  /** Throws Cancelled at every pending instruction below, oldest first; whoever is cleaning up already is left alone. */
  private cancel(nodes: Iterable<Node>, reason: string | undefined): void {
    const leaves: Array<Pending> = []
    const mark = (n: Node): void => {
      if (n.cancelled) return
      n.cancelled = true
      if (n.leaf !== undefined) leaves.push(n.leaf)
      if (n.fan === undefined) return
      n.fan.outcome = failed(new Instruction.Cancelled(reason))
      n.fan.swept = true
      for (const child of n.fan.live) mark(child)
    }
    for (const n of nodes) mark(n)
    for (const p of leaves.sort((a, b) => a.seq - b.seq)) {
      if (this.pending.get(p.id) !== p) continue
      this.drop(p)
      this.settle(p, failed(new Instruction.Cancelled(reason)))
    }
  }
}
