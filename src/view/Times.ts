/** When a run's instructions were begun, tried and done, as far as its journal tells. */
import type * as Schema from "effect/Schema"
import type { Recorded } from "../Entry.ts"
import type * as Outline from "../Outline.ts"

/** A step, a wait, a timer or a child as it stood in time. */
export interface Item extends Outline.Item {
  /** UTC milliseconds: when it was first begun, or began to wait, as far as the journal tells. */
  readonly startedAt?: number
  /** UTC milliseconds; missing while it runs or waits. */
  readonly endedAt?: number
  /** The attempts that failed and were made again, by when they had; UTC milliseconds. */
  readonly tries?: ReadonlyArray<{ readonly at: number; readonly error?: Schema.Json }>
}

interface Times {
  startedAt?: number
  endedAt?: number
  tries?: Array<{ readonly at: number; readonly error?: Schema.Json }>
}

/** By the instructions' ids. */
export const timesOf = (entries: ReadonlyArray<Recorded>): ReadonlyMap<string, Times> => {
  const all = new Map<string, Times>()
  const of = (stepId: string): Times => {
    const known = all.get(stepId)
    if (known !== undefined) return known
    const made: Times = {}
    all.set(stepId, made)
    return made
  }
  for (const entry of entries) {
    const at = Date.parse(entry.timestamp)
    switch (entry.type) {
      case "step": {
        const times = of(entry.stepId)
        times.startedAt = Math.min(times.startedAt ?? at, at - (entry.duration ?? 0))
        times.endedAt = at
        break
      }
      case "intent":
        of(entry.stepId).startedAt ??= at
        break
      case "retry": {
        const times = of(entry.stepId)
        times.startedAt ??= at
        times.tries = [...times.tries ?? [], { at, error: entry.error }]
        break
      }
      case "suspend":
        for (const { since, stepId } of entry.waits) of(stepId).startedAt ??= since
        break
      case "resume":
      case "timer":
      case "child": {
        const times = of(entry.stepId)
        times.startedAt ??= at
        times.endedAt = at
        break
      }
      default:
        break
    }
  }
  return all
}
