/**
 * What a session tells its hooks: each outcome of a step once it is journaled, before anything that follows
 * from it, and at the beginning the outcomes that it found.
 *
 * Owns how far the hooks have been told. One outcome is journaled at a time while there are hooks, so the
 * only one that they may not have heard of after a crash is the last.
 */
import * as Effect from "effect/Effect"
import type { Entry, Recorded, Step } from "../Entry.ts"
import * as Failure from "../Failure.ts"
import type { Heard, Hook, HookFailed } from "../Hooks.ts"
import { type Machine, type Taken, Undecodable } from "../Machine.ts"
import * as Past from "../Past.ts"
import type * as Record from "../Record.ts"

export interface Options extends Record.Of {
  readonly machine: Machine
  readonly hooks: ReadonlyArray<Hook>
  /** How the run was opened. */
  readonly first: Past.First
  /** Whether the machine was made for this session, so that what it found is to be told as skipped. */
  readonly isFresh: boolean
  /** The accepted entries this session found. */
  readonly found: ReadonlyArray<Recorded>
  /** UTC milliseconds. */
  readonly now: () => number
}

/** The step that a hook stopped the run at. */
export interface Stopped {
  readonly stepId: string
  readonly context: unknown
}

export class Hearing {
  /** Set when a hook stops the run. */
  stopped: Stopped | undefined
  private readonly o: Options
  /** How many outcomes hooks were told of. */
  private told: number
  /** How many of them an earlier session took, or the run that this one is a copy of. */
  private readonly skipped: number
  /** What a pipeline's checkpoint says was done before: ids, still to be told. */
  private readonly before: Array<string>

  constructor(options: Options) {
    this.o = options
    const { found, isFresh, machine } = options
    const { taken } = machine.memory!
    this.skipped = taken.length - (isFresh && isLastUnheard(found) ? 1 : 0)
    this.told = isFresh ? 0 : taken.length
    const { base } = options.first
    this.before = isFresh ? [...base?.ids ?? base?.steps ?? []] : []
  }

  /** Whether there is an outcome to be told of. */
  get isDue(): boolean {
    return this.before.length > 0 || this.told < this.o.machine.memory!.taken.length
  }

  /** Tells of what is due; nothing is told twice, also when this is interrupted and called again. */
  tell(beforeWaiting: () => Effect.Effect<void>): Effect.Effect<void, HookFailed> {
    return Effect.gen({ self: this }, function*() {
      while (this.isDue) {
        const [stepId] = this.before
        const at = this.told
        const heard = stepId === undefined
          ? this.heard(this.o.machine.memory!.taken[at]!, at)
          : this.doneBefore(stepId)
        if (heard !== undefined) {
          for (const hook of this.o.hooks) {
            const said = hook(heard)
            if (said === undefined) continue
            // It may take long: somebody must keep the lease.
            yield* beforeWaiting()
            yield* said
          }
        }
        if (stepId === undefined) this.told = at + 1
        else this.before.shift()
      }
    })
  }

  /** A step of which only that it was done is known. */
  private doneBefore(stepId: string): Heard {
    const { first, runId } = this.o
    const at = Date.parse(first.timestamp)
    return {
      is: "skipped",
      runId,
      stepId,
      stepName: stepId,
      duration: 0,
      at,
      result: false,
      error: () => undefined,
      tag: undefined,
      context: () => first.base!.context,
      checkpoint: () => "",
      began: undefined,
      stop: () => {}
    }
  }

  private heard(taken: Taken, at: number): Heard | undefined {
    const { first, machine, now, program, runId, services } = this.o
    const { entry, step } = taken
    const isSkipped = at < this.skipped
    if (isInterrupted(entry)) return undefined
    const stop = () => {
      if (isSkipped) return
      this.stopped ??= {
        stepId: entry.stepId,
        context: Past.context(this.o, first, machine, at + 1)
      }
    }
    return {
      is: isSkipped ? "skipped" : entry.error === undefined ? "completed" : "failed",
      runId,
      stepId: entry.stepId,
      stepName: entry.name,
      duration: entry.duration ?? 0,
      at: Date.parse(machine.memory!.entries[taken.count - 1]!.timestamp),
      result: entry.result,
      error: () => {
        const decoded = Failure.decodeStep(entry, step.options.error, program.error, services)
        return decoded instanceof Undecodable || decoded.ok ? entry.error : decoded.error
      },
      tag: tagOf(entry),
      context: () => Past.context(this.o, first, machine, at + 1),
      checkpoint: () => Past.checkpoint(this.o, first, machine, at, now()),
      began: machine.exposed.ending?.stepId === entry.stepId
        ? machine.exposed.ending.began
        : undefined,
      stop
    }
  }
}

const tagOf = ({ error }: Step): string | undefined =>
  typeof error === "object" && error !== null && "tag" in error && typeof error.tag === "string"
    ? error.tag
    : undefined

/** A step that a cancel ended before it began: it has an entry, and nothing was done. */
const isInterrupted = (entry: Step): boolean => tagOf(entry) === "Interrupted"

/** Whether nothing but what follows by itself stands behind the last outcome, which is not a copy. */
const isLastUnheard = (found: ReadonlyArray<Recorded>): boolean => {
  const [first] = found
  const copied = first?.type === "start" ? first.source?.copied ?? 0 : 0
  for (let at = found.length - 1; at > copied; at--) {
    const entry = found[at]!
    if (entry.type === "step") return true
    if (!followsByItself(entry)) return false
  }
  return false
}

const followsByItself = (entry: Entry): boolean =>
  entry.type === "start" || entry.type === "patch" || entry.type === "undo"
  || (entry.type === "resume" && entry.value === undefined)
