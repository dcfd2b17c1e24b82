/**
 * Prints one call's steps as they happen, with a summary at its end: what `log` of a call turns on.
 *
 * Owns the words and the box; what happens is told by `Observer`, so only what is durable is printed, and
 * a step that an earlier session did is printed as skipped. Prints through Effect's `Console`.
 */
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import type { Entry, Recorded, Step } from "./Entry.ts"
import { byPlace, type Named, type Naming } from "./Naming.ts"
import { type Observer, Observers, type RunEvent } from "./Observer.ts"
import * as Outline from "./Outline.ts"
import * as Text from "./Text.ts"

export interface LogOptions {
  /** A summary at the end, with each step's duration: all of it, or parts. Default: none. */
  readonly stopwatch?: boolean | {
    /** The duration in the line of each step. Default: true. */
    readonly showStepDuration?: boolean | undefined
    /** The box, and average, slowest and fastest. Default: true. */
    readonly showSummary?: boolean | undefined
    /** How long the call took. Default: true. */
    readonly showTotal?: boolean | undefined
  } | undefined
  /** Takes each text instead of the console; without colours unless they are asked for. */
  readonly logFn?: ((text: string) => void) | undefined
  /** Takes the texts of failures. Default: `logFn`, else the console's `error`. */
  readonly errorLogFn?: ((text: string) => void) | undefined
  /** Default: on a terminal, unless `NO_COLOR` is set. */
  readonly colors?: boolean | undefined
}

export interface Of {
  /** As in "Starting pipeline". */
  readonly what: string
  readonly workflow: string
  readonly name: Naming
  /** The step that the call goes on from a checkpoint of. */
  readonly from?: string | undefined
}

/** Prints what `effect` drives. */
export const logged = (
  of: Of,
  log: boolean | LogOptions | undefined,
  always: boolean = false
) =>
<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => {
  const isOn = log !== undefined && log !== false
  if (!isOn && !always) return effect
  return Effect.gen(function*() {
    const installed = yield* Observers
    const began = yield* Clock.currentTimeMillis
    const printer = new Printer(of, typeof log === "object" ? log : {}, isOn, began)
    const observers = [...installed, printer.observe]
    return yield* Effect.ensuring(
      Effect.provideService(effect, Observers, observers),
      printer.finish
    )
  })
}

type Outcome = "success" | "failed" | "skipped"

interface Timing {
  readonly label: string
  readonly outcome: Outcome
  /** Milliseconds. */
  readonly duration: number
}

/** How wide the box is inside. */
const width = 54

const icons: Record<Outcome, string> = { success: "✅", failed: "❌", skipped: "⏭️" }

const openings = { step: "📍 Step", decision: "🔀 Branch", transform: "🔄 Transform" } as const

const process = (globalThis as {
  process?: { env?: Record<string, string | undefined>; stdout?: { isTTY?: boolean } }
}).process

const codes = { good: "32", bad: "31", dim: "2", bold: "1" } as const

class Printer {
  readonly observe: Observer
  private readonly of: Of
  private readonly o: LogOptions
  private readonly isOn: boolean
  private readonly began: number
  private readonly timings: Array<Timing> = []
  /** Where branches and nested pipelines began, by label: UTC milliseconds. */
  private readonly opened = new Map<string, number>()
  /** What was merged by what stands inside them. */
  private readonly keys = new Map<string, Set<string>>()
  /** The run that is printed: the first of its workflow; a child's steps are not the call's. */
  private runId: string | undefined
  private end: string | undefined
  private stoppedBy: string | undefined
  private isOpen = false
  private out: Array<readonly [text: string, isError: boolean]> = []

  constructor(of: Of, options: LogOptions, isOn: boolean, began: number) {
    this.of = of
    this.o = options
    this.isOn = isOn
    this.began = began
    this.observe = (event) =>
      Effect.clockWith((clock) => {
        this.on(event, clock.currentTimeMillisUnsafe())
        return this.flush()
      })
  }

  /** The summary, and how it ended. */
  get finish(): Effect.Effect<void> {
    return Effect.clockWith((clock) => {
      if (this.isOpen && this.isOn) this.summary(clock.currentTimeMillisUnsafe() - this.began)
      return this.flush()
    })
  }

  private flush(): Effect.Effect<void> {
    const out = this.out.splice(0)
    return Effect.forEach(out, ([text, isError]) => {
      const { errorLogFn, logFn } = this.o
      const given = isError ? errorLogFn ?? logFn : logFn
      if (given !== undefined) return Effect.sync(() => given(text))
      return isError ? Console.error(text) : Console.log(text)
    }, { discard: true })
  }

  private say(text: string, colour?: keyof typeof codes): void {
    const { colors, logFn } = this.o
    const isTerminal = logFn === undefined && process?.stdout?.isTTY === true
      && (process.env?.NO_COLOR ?? "") === ""
    const coloured = colour !== undefined && (colors ?? isTerminal)
      ? text.replace(/[^\n]+/, (line) => `\u001b[${codes[colour]}m${line}\u001b[0m`)
      : text
    this.out.push([coloured, colour === "bad"])
  }

  private shows({ log }: Named): boolean {
    return log ?? this.isOn
  }

  private get watch() {
    const { stopwatch } = this.o
    const isOn = stopwatch !== undefined && stopwatch !== false
    const parts = typeof stopwatch === "object" ? stopwatch : {}
    return {
      step: parts.showStepDuration ?? true,
      summary: isOn && (parts.showSummary ?? true),
      total: isOn && (parts.showTotal ?? true)
    }
  }

  private on(event: RunEvent, now: number): void {
    if (event.type === "session") {
      if (event.workflow === this.of.workflow) this.runId ??= event.runId
      if (event.runId === this.runId) this.opening(event)
      return
    }
    if (event.runId !== this.runId) return
    switch (event.type) {
      case "started":
        return this.started(this.of.name(event.stepId, event.name), now)
      case "entry":
        return this.entry(event.entry, Date.parse(event.timestamp))
      case "left":
        this.end = `left: ${Text.plain(event.why)}`
    }
  }

  private opening({ replayed, runId, session }: Extract<RunEvent, { type: "session" }>): void {
    const { from, what } = this.of
    const isFirst = !this.isOpen
    this.isOpen = true
    this.end = undefined
    if (!isFirst) return
    const [first] = replayed
    if (this.isOn) {
      if (from !== undefined) {
        this.say(`🚀 Resuming ${what} from checkpoint step: ${Text.plain(from)}`, "bold")
      } else if (replayed.length === 0) {
        this.say(`🚀 Starting ${what} (run ${Text.plain(runId)})`, "bold")
      } else {
        const source = first?.type === "start" && session === 1 ? first.source : undefined
        const again = source === undefined ? `session ${session}` : `forked from ${source.runId}`
        this.say(`🚀 Resuming ${what} (run ${Text.plain(runId)}, ${Text.plain(again)})`, "bold")
      }
    }
    const base = first?.type === "start" ? first.base : undefined
    for (const id of base?.ids ?? base?.steps ?? []) this.done(this.of.name(id, id))
    for (const entry of replayed) this.replayed(entry)
  }

  /** Conditions say what was left out before; outcomes, what was done. */
  private replayed(entry: Recorded): void {
    if (entry.type !== "step") return
    const named = this.of.name(entry.stepId, entry.name)
    const { kind } = named
    if (kind === "own" || kind === "decision") return
    if (kind === "condition" && entry.result !== false) return
    this.done(named)
  }

  private done(named: Named): void {
    const { label } = named
    if (this.shows(named)) this.say(`\n⏭️  Step: ${Text.plain(label)} (resume-skip)`, "dim")
    this.timings.push({ label, outcome: "skipped", duration: 0 })
  }

  private started(named: Named, at: number): void {
    const { kind, label } = named
    for (const outer of outerOf(label)) if (!this.opened.has(outer)) this.opened.set(outer, at)
    if (kind === "condition" || kind === "own" || kind === "end") return
    if (this.shows(named)) this.say(`\n${openings[kind]}: ${Text.plain(label)}`)
  }

  private entry(entry: Entry, at: number): void {
    switch (entry.type) {
      case "start":
        if (entry.metadata !== undefined && this.isOn && this.timings.length === 0) {
          this.say(`   Input: ${Text.short(entry.metadata, 200)}`, "dim")
        }
        return
      case "step":
        return this.step(entry, at)
      case "retry": {
        const named = this.of.name(entry.stepId, entry.name)
        const again = Text.time(entry.wakeAt)
        if (this.shows(named)) {
          this.say(`🔁 ${Text.plain(named.label)} failed, and is tried again at ${again}`)
        }
        return
      }
      case "stop":
        this.stoppedBy = this.of.name(entry.stepId, entry.stepId).label
        this.end = "stopped early"
        if (this.isOn) this.say(`\n⏹️  Early stop requested by: ${Text.plain(this.stoppedBy)}`)
        return
      case "suspend": {
        this.end = "waits"
        const waits = Outline.ofEntry(entry).map((item) =>
          `${Text.plain(byPlace(item.stepId, "").label)}  ${Outline.text(item)}`.trimEnd()
        )
        if (this.isOn) { for (const wait of waits) this.say(`\n⏸️  Waiting: ${wait}`) }
        return
      }
      case "complete":
        this.end = "completed successfully"
        return
      case "error":
        this.end = "failed"
        return
      case "cancelled":
        this.end = "was cancelled"
        return
      case "continue":
        this.end = `continued as ${Text.plain(entry.runId)}`
        return
      case "resume":
      case "timer":
      case "child":
        if (!this.isOn) return
        for (const item of Outline.ofEntry(entry)) {
          const text = `${byPlace(item.stepId, "").label}  ${Outline.text(item)}`
          this.say(`📨 ${Text.plain(text).trimEnd()}`)
        }
        return
      default:
        return
    }
  }

  private step(entry: Step, at: number): void {
    const named = this.of.name(entry.stepId, entry.name)
    const { kind, label } = named
    const { error, result } = entry
    const shows = this.shows(named)
    if (kind === "own") return
    if (kind === "condition") {
      if (error !== undefined || result !== false) return
      if (shows) this.say(`\n⏭️  Step: ${Text.plain(label)} (skipped)`, "dim")
      this.timings.push({ label, outcome: "skipped", duration: 0 })
      return
    }
    if (kind === "decision") {
      this.opened.set(label, at)
      const chosen = typeof result === "string" ? Text.plain(result) : "nothing"
      if (shows && error === undefined) this.say(`   ↳ Executing: ${chosen}`)
      if (error === undefined) return
    }
    const isLeftOut = named.skipsOpen === true && error !== undefined && isOpenCircuit(error)
    if (isLeftOut) {
      if (shows) this.say(`\n⏭️  Step: ${Text.plain(label)} (skipped, its circuit is open)`, "dim")
      this.timings.push({ label, outcome: "skipped", duration: 0 })
      return
    }
    const duration = kind === "end"
      ? at - (this.opened.get(label) ?? at)
      : entry.duration ?? 0
    this.timings.push({ label, outcome: error === undefined ? "success" : "failed", duration })
    const took = this.watch.step ? Text.span(duration) : undefined
    if (error !== undefined) {
      if (!shows) return
      const after = took === undefined ? "" : ` after ${took}`
      this.say(`❌ ${Text.plain(label)} failed${after}\n   Error: ${Text.errorText(error)}`, "bad")
      return
    }
    const keys = kind === "end" ? [...this.keys.get(label) ?? []] : this.remember(label, result)
    if (!shows) return
    this.say(`✅ ${Text.plain(label)} completed${took === undefined ? "" : ` in ${took}`}`, "good")
    const given = isRecord(result) || kind === "end"
      ? Text.plain(keys.join(", "))
      : Text.short(result)
    if (given !== "") this.say(`   Output: ${given}`, "dim")
  }

  /** The keys that a step gave, which are also given by what it stands in. */
  private remember(label: string, result: Step["result"]): ReadonlyArray<string> {
    const keys = isRecord(result) ? Object.keys(result) : []
    for (const outer of outerOf(label)) {
      const known = this.keys.get(outer) ?? new Set()
      for (const key of keys) known.add(key)
      this.keys.set(outer, known)
    }
    return keys
  }

  private summary(total: number): void {
    const { summary, total: showsTotal } = this.watch
    if (summary && this.timings.length > 0) this.box()
    if (showsTotal) {
      const what = this.of.what.split(" ")[0]!
      this.say(`\n⏰ Total ${what[0]!.toUpperCase()}${what.slice(1)} Time: ${Text.span(total)}`)
    }
    const what = this.of.what
    const said = this.end ?? "left open"
    const isGood = this.end === "completed successfully" || this.end === "stopped early"
    this.say(
      `\n${isGood ? "✨" : "•"} ${what[0]!.toUpperCase()}${what.slice(1)} ${said}`,
      isGood ? "good" : undefined
    )
  }

  private box(): void {
    this.say("\n⏱️  Performance Summary:")
    if (this.of.from !== undefined) {
      this.say(`↪️ Resumed from checkpoint: ${Text.plain(this.of.from)}`)
    }
    const border = "─".repeat(width)
    this.say(`┌${border}┐`)
    for (const { duration, label, outcome } of this.timings) {
      const took = outcome === "skipped" ? "skipped" : Text.span(duration)
      const room = width - 6 - took.length
      this.say(`│ ${icons[outcome]} ${Text.cut(Text.plain(label), room).padEnd(room)} ${took} │`)
    }
    this.say(`└${border}┘`)
    const done = this.timings.filter(({ outcome }) => outcome === "success")
    if (done.length > 0) {
      const sum = done.reduce((all, { duration }) => all + duration, 0)
      const slowest = done.reduce((max, one) => one.duration > max.duration ? one : max)
      const fastest = done.reduce((min, one) => one.duration < min.duration ? one : min)
      const of = ({ duration, label }: Timing) => `${Text.plain(label)} (${Text.span(duration)})`
      this.say(
        `\n📊 Statistics:\n   Average: ${Text.span(sum / done.length)}\n`
          + `   Slowest: ${of(slowest)}\n   Fastest: ${of(fastest)}`
      )
    }
    if (this.stoppedBy !== undefined) {
      this.say(`\n⏹️  Stopped early (requested by ${Text.plain(this.stoppedBy)})`)
    }
  }
}

/** What a step stands in, by label. */
const outerOf = (label: string): ReadonlyArray<string> => {
  const outer: Array<string> = []
  for (let at = label.lastIndexOf("/"); at > 0; at = label.lastIndexOf("/", at - 1)) {
    outer.push(label.slice(0, at))
  }
  return outer
}

const isOpenCircuit = (error: Step["error"]) => isRecord(error) && error.tag === "CircuitOpen"

const isRecord = (u: unknown): u is Readonly<Record<string, unknown>> =>
  typeof u === "object" && u !== null && !Array.isArray(u)
