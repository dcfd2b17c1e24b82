/**
 * The lines of a call's log that are about one step, wait or child: what is begun, what it came to, and what
 * was done before. Keeps what each took, for the summary.
 */
import type * as Schema from "effect/Schema"
import type { Child, Recorded, Resume, Retry, Step, Suspend, Timer } from "../Entry.ts"
import type { Named, Naming } from "../Naming.ts"
import * as Outline from "../Outline.ts"
import * as Text from "../Text.ts"
import { Contained } from "./Contained.ts"
import type { Colour, Lines } from "./Lines.ts"
import * as Summary from "./Summary.ts"

const openings = { step: "📍 Step", decision: "🔀 Branch", transform: "🔄 Transform" } as const

interface Identity {
  readonly stepId: string
  readonly name?: string
}

/** What a step or a child came to. */
interface Done {
  /** Milliseconds. */
  readonly duration: number
  readonly error: string | undefined
  readonly output: string
  readonly isContainer?: boolean
}

export interface Options {
  readonly lines: Lines
  readonly name: Naming
  /** Whether all that does not say otherwise is printed. */
  readonly isOn: boolean
  readonly showsDuration: boolean
}

export class StepLines {
  readonly timings: Array<Summary.Timing> = []
  private readonly o: Options
  private contained: Contained | undefined
  /** Since when a child runs, by step id: UTC milliseconds. */
  private readonly since = new Map<string, number>()

  constructor(options: Options) {
    this.o = options
  }

  /** A line about the run. */
  say(text: string, colour?: Colour): void {
    if (this.o.isOn) this.o.lines.say(text, colour)
  }

  /** A line about one step, which may be printed where nothing else is, or not where all else is. */
  private sayOf({ log }: Named, text: string, colour?: Colour): void {
    if (log ?? this.o.isOn) this.o.lines.say(text, colour)
  }

  nameOf({ name, stepId }: Identity): Named {
    return this.o.name(stepId, name ?? stepId)
  }

  /** The run was opened then, in UTC milliseconds; or it was, and is going on. */
  begin(at: number): void {
    this.contained ??= new Contained(at)
  }

  /** The run is over, and another one goes on. */
  leave(): void {
    this.contained = undefined
    this.since.clear()
  }

  // ------------------------------------------------------------------------------------------------
  // what was done before

  /** Conditions say what was left out before; outcomes, what was done. */
  replayed(entry: Recorded): void {
    const at = Date.parse(entry.timestamp)
    switch (entry.type) {
      case "suspend":
        return this.waitsSince(entry)
      case "resume":
      case "timer":
        return this.passed(entry, at)
      case "child":
        this.passed(entry, at)
        return this.skipped(this.nameOf(entry), undefined, "Child")
      case "step": {
        const named = this.nameOf(entry)
        const { kind } = named
        this.contained?.ends(named, keysOf(entry), at)
        if (kind === "own" || kind === "decision") return
        if (kind !== "condition" || entry.result === false) this.skipped(named)
        return
      }
      default:
        return
    }
  }

  skipped(named: Named, why = "resume-skip", what = "Step"): void {
    const { label } = named
    this.sayOf(named, `\n⏭️  ${what}: ${Summary.shown(label)} (${why})`, "dim")
    this.timings.push({ label, outcome: "skipped", duration: 0, isContainer: false })
  }

  // ------------------------------------------------------------------------------------------------
  // what happens

  started(step: Identity & { readonly isChild?: boolean }, now: number): void {
    const { isChild, stepId } = step
    const named = this.nameOf(step)
    const { kind, label } = named
    const isKnown = this.since.has(stepId)
    if (!isKnown) this.since.set(stepId, now)
    this.contained?.begins(named)
    if (isChild === true) {
      // Each session goes on with the children that are open.
      if (!isKnown) this.say(`\n👶 Child: ${Summary.shown(label)}`)
      return
    }
    if (kind === "condition" || kind === "own" || kind === "end") return
    this.sayOf(named, `\n${openings[kind]}: ${Summary.shown(label)}`)
  }

  step(entry: Step, at: number): void {
    const named = this.nameOf(entry)
    const { duration = 0, error, result, stepId } = entry
    const over = this.contained?.ends(named, keysOf(entry), at)
    this.since.delete(stepId)
    switch (named.kind) {
      case "own":
        return
      case "condition":
        if (error !== undefined) break
        if (result === false) this.skipped(named, "skipped")
        return
      case "decision": {
        if (error !== undefined) break
        const chosen = typeof result === "string" ? Summary.shown(result) : "nothing"
        return this.sayOf(named, `   ↳ Executing: ${chosen}`)
      }
      case "end":
        return this.done(named, {
          duration: over === undefined ? duration : at - over.began,
          error: errorText(error),
          output: listed(over?.keys ?? []),
          isContainer: true
        })
      case "step":
      case "transform":
        if (named.skipsOpen === true && isOpenCircuit(error)) {
          return this.skipped(named, "skipped, its circuit is open")
        }
    }
    this.done(named, { duration, error: errorText(error), output: gist(result) })
  }

  child(entry: Child, at: number): void {
    const { cancelled, childId, error, result, stepId } = entry
    const duration = Math.max(0, at - (this.since.get(stepId) ?? at))
    this.passed(entry, at)
    this.done(this.nameOf(entry), {
      duration,
      error: cancelled === true ? "it was cancelled" : errorText(error),
      // One that nobody waits for gives its run's id.
      output: result === childId ? `run ${Text.plain(childId)}` : gist(result)
    })
  }

  private done(named: Named, { duration, error, isContainer = false, output }: Done): void {
    const { label } = named
    const outcome = error === undefined ? "success" : "failed"
    this.timings.push({ label, outcome, duration, isContainer })
    const name = Summary.shown(label)
    const took = this.o.showsDuration ? Text.span(duration) : undefined
    if (error !== undefined) {
      const after = took === undefined ? "" : ` after ${took}`
      return this.sayOf(named, `❌ ${name} failed${after}\n   Error: ${error}`, "bad")
    }
    this.sayOf(named, `✅ ${name} completed${took === undefined ? "" : ` in ${took}`}`, "good")
    if (output !== "") this.sayOf(named, `   Output: ${output}`, "dim")
  }

  retry(entry: Retry): void {
    const named = this.nameOf(entry)
    const again = Text.time(entry.wakeAt)
    this.sayOf(named, `🔁 ${Summary.shown(named.label)} failed, and is tried again at ${again}`)
  }

  // ------------------------------------------------------------------------------------------------
  // waits

  /** What the run waits for, in words. */
  suspended(entry: Suspend): string {
    this.waitsSince(entry)
    const all = Outline.ofEntry(entry).map((item) => ({ item, named: this.nameOf(item) }))
    // That what waits has a time limit is no news.
    const told = all.filter(({ named }) => named.kind !== "own")
    const waits = told.length > 0 ? told : all
    for (const { item, named } of waits) {
      this.say(`\n⏸️  Waiting: ${joined(named, item)}`)
    }
    return listed([...new Set(waits.map(({ named }) => named.label))])
  }

  waited(entry: Resume | Timer, at: number): void {
    this.passed(entry, at)
    const named = this.nameOf(entry)
    if (named.kind === "own") return
    if (entry.type === "resume") return this.say(`📨 ${joined(named, Outline.ofEntry(entry)[0])}`)
    const name = Summary.shown(named.label)
    this.say(
      entry.event === undefined ? `⏰ ${name} is over` : `⏰ ${name}: nobody answered in time`
    )
  }

  private waitsSince({ waits }: Suspend): void {
    for (const { kind, since, stepId } of waits) {
      if (kind === "child" && !this.since.has(stepId)) this.since.set(stepId, since)
    }
  }

  /** A wait or a child is over. */
  private passed(entry: Resume | Timer | Child, at: number): void {
    this.contained?.ends(this.nameOf(entry), undefined, at)
    this.since.delete(entry.stepId)
  }
}

const joined = ({ label }: Named, item: Outline.Item | undefined): string =>
  `${Summary.shown(label)}  ${item === undefined ? "" : Outline.text(item)}`.trimEnd()

/** What a line has room for. */
const listed = (names: ReadonlyArray<string>): string => Summary.shown(names.join(", "))

/** The keys of an object, or the beginning of any other value. */
export const gist = (value: Schema.Json | undefined): string =>
  isRecord(value) ? listed(Object.keys(value)) : Text.short(value)

/** The keys that a step gave; undefined where it failed. */
const keysOf = ({ error, result }: Step): ReadonlyArray<string> | undefined =>
  error !== undefined ? undefined : isRecord(result) ? Object.keys(result) : []

/** An error in words; that it is an Error says nothing. */
export const errorText = (error: Schema.Json | undefined): string | undefined =>
  error === undefined ? undefined : Text.errorText(error).replace(/^Error: (?=.)/, "")

const isOpenCircuit = (error: Step["error"]) => isRecord(error) && error.tag === "StepCircuitOpen"

const isRecord = (u: unknown): u is Readonly<Record<string, unknown>> =>
  typeof u === "object" && u !== null && !Array.isArray(u)
