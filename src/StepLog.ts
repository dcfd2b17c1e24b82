/**
 * Prints one call's steps as they happen, with a summary at its end: what `log` of a call turns on.
 *
 * Owns which run is printed, how it begins and how it ends. What happens is told by `Observer`, so only what is
 * durable is printed, and a step that an earlier session did is printed as skipped.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Entry } from "./Entry.ts"
import { type Colour, Lines, type To } from "./log/Lines.ts"
import { errorText, gist, StepLines } from "./log/StepLines.ts"
import * as Summary from "./log/Summary.ts"
import type { Naming } from "./Naming.ts"
import { type Observer, Observers, type RunEvent } from "./Observer.ts"
import * as Text from "./Text.ts"

export interface LogOptions extends To {
  /** A summary at the end, with each step's duration: all of it, or parts. Default: none. */
  readonly stopwatch?: boolean | {
    /** The duration in the line of each step. Default: true. */
    readonly showStepDuration?: boolean | undefined
    /** The box, and average, slowest and fastest. Default: true. */
    readonly showSummary?: boolean | undefined
    /** How long the call took. Default: true. */
    readonly showTotal?: boolean | undefined
  } | undefined
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

/** How a call ended, or how far it came. */
interface End {
  readonly icon: string
  /** Behind "Pipeline". */
  readonly says: string
  readonly colour?: Colour
}

class Printer {
  readonly observe: Observer
  private readonly of: Of
  private readonly isOn: boolean
  private readonly began: number
  private readonly watch
  private readonly lines: Lines
  private readonly steps: StepLines
  /** The first run of its workflow, then those that it goes on as; a child's steps are not the call's. */
  private runId: string | undefined
  private end: End | undefined
  private stoppedBy: string | undefined
  private isOpen = false
  private isFollowing = false

  constructor(of: Of, options: LogOptions, isOn: boolean, began: number) {
    this.of = of
    this.isOn = isOn
    this.began = began
    this.watch = watched(options)
    const lines = this.lines = new Lines(options)
    this.steps = new StepLines({ lines, isOn, name: of.name, showsDuration: this.watch.step })
    this.observe = (event) =>
      Effect.clockWith((clock) => {
        this.on(event, clock.currentTimeMillisUnsafe())
        return this.lines.flush()
      })
  }

  /** The summary, and how it ended. */
  get finish(): Effect.Effect<void> {
    return Effect.clockWith((clock) => {
      if (this.isOpen && this.isOn) this.summary(clock.currentTimeMillisUnsafe() - this.began)
      return this.lines.flush()
    })
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
        return this.steps.started(event, now)
      case "entry":
        return this.entry(event.entry, Date.parse(event.timestamp))
      case "left":
        this.end = { icon: "•", says: `left: ${Text.plain(event.why)}` }
    }
  }

  private opening({ replayed, runId, session }: Extract<RunEvent, { type: "session" }>): void {
    const { from, what } = this.of
    const { steps } = this
    const isFirst = !this.isOpen
    this.isOpen = true
    this.end = undefined
    if (!isFirst) return
    const [first] = replayed
    const source = first?.type === "start" && session === 1 ? first.source : undefined
    const again = source === undefined ? `session ${session}` : `forked from ${source.runId}`
    steps.say(
      from !== undefined
        ? `🚀 Resuming ${what} from checkpoint step: ${Summary.shown(from)}`
        : first === undefined
        ? `🚀 Starting ${what} (run ${Text.plain(runId)})`
        : `🚀 Resuming ${what} (run ${Text.plain(runId)}, ${Text.plain(again)})`,
      "bold"
    )
    if (first?.type !== "start") return
    const { base, timestamp } = first
    steps.begin(Date.parse(timestamp))
    for (const stepId of base?.ids ?? base?.steps ?? []) steps.skipped(steps.nameOf({ stepId }))
    for (const entry of replayed) steps.replayed(entry)
  }

  private entry(entry: Entry, at: number): void {
    const { steps } = this
    switch (entry.type) {
      case "start": {
        steps.begin(at)
        const { metadata } = entry
        if (metadata === undefined || this.isFollowing || steps.timings.length > 0) return
        return steps.say(`   Input: ${gist(metadata) || Text.short(metadata)}`, "dim")
      }
      case "step":
        return steps.step(entry, at)
      case "child":
        return steps.child(entry, at)
      case "retry":
        return steps.retry(entry)
      case "resume":
      case "timer":
        return steps.waited(entry, at)
      case "suspend": {
        const waits = steps.suspended(entry)
        const run = Text.plain(this.runId ?? "")
        this.end = { icon: "⏸️ ", says: `waits for ${waits} (run ${run})` }
        return
      }
      case "stop":
        this.stoppedBy = Summary.shown(steps.nameOf(entry).label)
        this.end = { icon: "✨", says: "stopped early", colour: "good" }
        return steps.say(`\n⏹️  Early stop requested by: ${this.stoppedBy}`)
      case "complete":
        this.end = { icon: "✨", says: "completed successfully", colour: "good" }
        return
      case "error": {
        const why = errorText(entry.error)
        const says = why === undefined ? "failed" : `failed: ${why}`
        this.end = { icon: "❌", says, colour: "bad" }
        return
      }
      case "cancelled":
        this.end = { icon: "•", says: "was cancelled" }
        return
      case "continue": {
        const next = Text.plain(entry.runId)
        this.runId = entry.runId
        this.isFollowing = true
        this.end = { icon: "•", says: `continued as ${next}` }
        steps.leave()
        return steps.say(`\n↪️  ${capital(this.of.what)} goes on as run ${next}`)
      }
      default:
        return
    }
  }

  private summary(total: number): void {
    const { steps, watch } = this
    const { timings } = steps
    const { from } = this.of
    const what = capital(this.of.what)
    if (watch.summary && timings.length > 0) {
      steps.say("\n⏱️  Performance Summary:")
      if (from !== undefined) steps.say(`↪️ Resumed from checkpoint: ${Summary.shown(from)}`)
      for (const line of Summary.box(timings)) steps.say(line)
      const statistics = Summary.statistics(timings)
      if (statistics !== undefined) steps.say(`\n${statistics}`)
      if (this.stoppedBy !== undefined) {
        steps.say(`\n⏹️  Stopped early (requested by ${this.stoppedBy})`)
      }
    }
    if (watch.total) steps.say(`\n⏰ Total ${what.split(" ")[0]} Time: ${Text.span(total)}`)
    const { colour, icon, says } = this.end ?? { icon: "•", says: "left open" }
    steps.say(`\n${icon} ${what} ${says}`, colour)
  }
}

const watched = ({ stopwatch }: LogOptions) => {
  const isOn = stopwatch !== undefined && stopwatch !== false
  const parts = typeof stopwatch === "object" ? stopwatch : {}
  return {
    step: parts.showStepDuration ?? true,
    summary: isOn && (parts.showSummary ?? true),
    total: isOn && (parts.showTotal ?? true)
  }
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)
