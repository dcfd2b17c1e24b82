/**
 * The body's side of the machine: the tree of generators, what they yielded and wait for, and what follows
 * when an outcome is settled: branches, undos, cancels.
 *
 * Knows no journal; `Machine` feeds it. A combinator's own rules are in `Fans`, what the slice guard keeps
 * in `Unused`.
 */
import type * as Schema from "effect/Schema"
import type { Patch, Undo } from "../Entry.ts"
import * as Instruction from "../Instruction.ts"
import * as Chance from "../internal/chance.ts"
import { describe as describeError } from "../internal/describe.ts"
import { slice } from "../internal/slice.ts"
import * as Token from "../Token.ts"
import { gather, wrongFan } from "./Fans.ts"
import {
  type Defect,
  type Done,
  done,
  escape,
  failed,
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
  throwing
} from "./State.ts"
import { Unused } from "./Unused.ts"
import { isWait } from "./Waits.ts"

/** An entry that follows from the state alone, and what happens once it is fed. */
export interface Due {
  readonly entry: Patch | Undo
  readonly goOn: () => void
}

/** How a generator is left by `continueAs`. */
const leave: Outcome = { ok: true, value: undefined }

export abstract class Body {
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
  defect: Defect | undefined
  cancelled: { readonly reason: string | undefined } | undefined
  /** Set by a second cancel, which ends the run at once. */
  isForced = false
  /** Set when the body goes on in a fresh journal. */
  continued: { readonly input: unknown } | undefined
  /** Errors of `ctx.fail` and of steps' own schemas, which a run may end with, and how they are encoded. */
  readonly declared = new Map<unknown, Schema.Json | undefined>()
  /** How many pending instructions are steps that do not only wait. */
  active = 0
  protected readonly options: Options
  /** What is to be recorded next. */
  protected readonly due: Array<Due> = []
  /** Timestamp of the latest outcome. */
  protected at: string
  private readonly begin: Start
  private readonly used = new WeakSet<object>()
  private readonly unused = new Unused()
  private readonly root: Node
  private readonly notUndone: Array<NotUndone> = []
  private seq = 0
  private lastId = ""

  constructor(body: () => Iterator<unknown, unknown, unknown>, begin: Start, options: Options) {
    this.options = options
    this.begin = begin
    this.live = options.live
    this.at = begin.timestamp
    this.root = new Node(undefined, "", body(), (outcome) => this.endRoot(outcome), false)
  }

  /** Ids go on counting where they stood. */
  protected countFrom(counts: Readonly<Record<string, number>>): void {
    for (const [name, count] of Object.entries(counts)) {
      this.root.counts.set(name, { escaped: escape(name), count })
    }
  }

  /** The time by the journal, in UTC milliseconds. */
  get now(): number {
    return Date.parse(this.at)
  }

  /** Whether the run takes the new path of a change; what stands in the journal decides. */
  protected abstract patched(changeId: string): boolean

  /** Runs the first slice. */
  protected open(): void {
    this.run(this.root, done(undefined))
  }

  protected settle(p: Pending, outcome: Outcome): void {
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
        if (!answer.ok && this.options.guard) this.unused.clear()
        slice.isOpen = this.options.guard
        next = advance(n.gen, answer)
        slice.isOpen = false
      } catch (error) {
        slice.isOpen = false
        if (this.options.guard) this.unused.clear()
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
        if (slice.made !== undefined || slice.used.length > 0) this.unused.sweep(next.value)
      }
      if (next.done === true) {
        const outer = n.outer.pop()
        if (outer === undefined) return n.end(done(next.value))
        n.gen = outer
        answer = n.isLeaving ? leave : done(next.value)
        continue
      }
      if (!Instruction.isInstruction(next.value)) return this.wrongYield(next.value)
      const reply = this.ask(n, Instruction.data(next.value))
      if (reply === undefined) return
      answer = reply
    }
  }

  /** Calls a function of the user's that is no generator: what it must not do is the same. */
  private guarded<A>(f: () => A): A {
    if (!this.options.guard) return f()
    slice.isOpen = true
    try {
      return f()
    } finally {
      slice.isOpen = false
      this.unused.sweep(undefined)
      if (slice.violation !== undefined) this.forbidden()
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
      const notYielded = this.unused.first
      const name = "name" in notYielded ? notYielded.name : notYielded.op
      this.defect = {
        message:
          `The body made the instruction "${name}" and neither yielded it nor placed it in a branch`,
        notYielded
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
  private ask(n: Node, i: Instruction.Data): Outcome | undefined {
    if (this.unused.size > 0) this.unused.use(i)
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

  // ------------------------------------------------------------------------------------------------
  // branches

  private fan(n: Node, i: Instruction.Fan): Outcome | undefined {
    const id = this.id(n, i.name)
    const wrong = wrongFan(i, this.used)
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
        : done(gather(f))
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
    const gen = this.guarded(() => start(branch))
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

  /** Undoes what was done at a node that has ended, the last first; then goes on with `goOn`. */
  private undo(
    n: Node,
    error: unknown,
    notUndone: Array<NotUndone> | undefined,
    goOn: () => void
  ): void {
    const rest = (n.done ?? []).sort((a, b) => a.order - b.order)
    n.done = undefined
    const next = (): void => {
      const last = rest.pop()
      if (last === undefined) return goOn()
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
    goOn: () => void
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
        this.due.push({ entry, goOn })
        return
      }
      const why = describeError(o.error)
      notUndone?.push({ step: id, ...why })
      this.due.push({ entry: { ...entry, error: why }, goOn })
    }
    const node = new Node(
      n,
      `${id}[undo]/`,
      this.guarded(() => start(() => undoing(undo, value, cause))),
      ended,
      true
    )
    // Whoever is cleaning up is left alone.
    node.cancelled = true
    this.run(node, done(undefined))
  }

  /** Undoes a step that was cancelled while it ran; its branch hears of the cancel after that. */
  protected undoPending(p: Pending, value: unknown): void {
    if (!isWait(p)) this.active--
    p.isUndoing = true
    const done = { id: p.id, undo: undoOf(p)!, value }
    this.undoOne(p.node, done, p.cancelling, undefined, () => this.settle(p, failed(p.cancelling)))
  }

  // ------------------------------------------------------------------------------------------------
  // cancelling

  protected cancelRun(reason: string | undefined): void {
    if (this.cancelled !== undefined) {
      this.isForced = true
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

export const undoOf = ({ instruction }: Pending): Instruction.Undo | undefined =>
  instruction.op === "step" || instruction.op === "child" ? instruction.undo : undefined

/** Whether a cancel awaits the outcome of something pending, instead of giving up on it. */
const isAwaited = (p: Pending): boolean =>
  undoOf(p) !== undefined || (p.instruction.op === "child" && p.instruction.onCancel === "await")
