/**
 * What waits to be driven, and which of it is next: the oldest of the workflow with the highest priority that is
 * within its limits. What somebody told of and what was found due take turns, so that neither waits behind a crowd
 * of the other.
 *
 * It owns that order and those limits; who drives says what has begun and what is over. Of a workflow without a
 * limit nothing is counted.
 */
import * as Duration from "effect/Duration"
import type { Limits } from "./Limit.ts"

/** The runs of one workflow. */
interface Line {
  readonly priority: number
  readonly concurrency: number
  readonly bucket: Bucket | undefined
  /** Run ids, each with the number of its arrival: those that somebody told of, and those that were found due. */
  readonly told: Map<string, number>
  readonly found: Map<string, number>
  /** Whether the last one taken was told of: then it is the others' turn. */
  wasTold: boolean
  running: number
}

export interface Queue {
  /** Whether limits are to be kept, so that the workflow of a run has to be known before it is driven. */
  readonly isLimited: boolean
  /** Adds a run, unless it waits already. */
  readonly add: (runId: string, workflow?: string, how?: "told" | "found") => void
  /** Takes the next run that may begin now, among those that `isFree` lets through. */
  readonly take: (now: number, isFree: (runId: string) => boolean) => Taken | undefined
  /** Says that a run is driven no more. */
  readonly over: (taken: Taken) => void
  /** When a run may begin that waits only for the rate of its workflow; UTC milliseconds, `Infinity` for none. */
  readonly nextAt: (now: number) => number
  readonly size: () => number
  /** The number of the last arrival. */
  readonly arrivals: () => number
  /** Drops what does not pass. */
  readonly keep: (passes: (runId: string, arrival: number) => boolean) => void
}

export interface Taken {
  readonly runId: string
  /** Undefined of a run whose workflow nobody has said. */
  readonly workflow: string | undefined
  readonly how: "told" | "found"
}

export const make = (limits: Limits): Queue => {
  const isLimited = Object.keys(limits).length > 0
  const lines = new Map<string | undefined, Line>()
  let arrivals = 0

  const lineOf = (workflow: string | undefined): Line => {
    const known = lines.get(workflow)
    if (known !== undefined) return known
    const { concurrency = Infinity, priority = 0, rate } = limits[workflow ?? ""] ?? {}
    const line = {
      // Whose workflow is not known is looked at first.
      priority: workflow === undefined ? Infinity : priority,
      concurrency,
      bucket: rate === undefined ? undefined : makeBucket(rate),
      told: new Map<string, number>(),
      found: new Map<string, number>(),
      wasTold: false,
      running: 0
    }
    lines.set(workflow, line)
    return line
  }

  const waits = (runId: string) => {
    for (const { found, told } of lines.values()) {
      if (told.has(runId) || found.has(runId)) return true
    }
    return false
  }

  /** The next of a line that is free. */
  const first = (
    { found, told, wasTold }: Line,
    isFree: (runId: string) => boolean
  ):
    | { readonly runId: string; readonly arrival: number; readonly how: Taken["how"] }
    | undefined =>
  {
    for (const waiting of wasTold ? [found, told] : [told, found]) {
      for (const [runId, arrival] of waiting) {
        if (isFree(runId)) return { runId, arrival, how: waiting === told ? "told" : "found" }
      }
    }
    return undefined
  }

  return {
    isLimited,
    add: (runId, workflow, how = "told") => {
      if (!waits(runId)) lineOf(workflow)[how].set(runId, ++arrivals)
    },
    take: (now, isFree) => {
      let best:
        | (Taken & { readonly line: Line; readonly arrival: number })
        | undefined
      for (const [workflow, line] of lines) {
        if (line.running >= line.concurrency) continue
        if (line.bucket !== undefined && line.bucket.nextAt(now) > now) continue
        if (best !== undefined && line.priority < best.line.priority) continue
        const found = first(line, isFree)
        if (found === undefined) continue
        if (
          best === undefined || line.priority > best.line.priority || found.arrival < best.arrival
        ) best = { ...found, workflow, line }
      }
      if (best === undefined) return undefined
      const { how, line, runId, workflow } = best
      line[how].delete(runId)
      line.wasTold = how === "told"
      line.running++
      line.bucket?.take(now)
      return { runId, workflow, how }
    },
    over: ({ workflow }) => {
      const line = lines.get(workflow)
      if (line !== undefined) line.running--
    },
    nextAt: (now) => {
      let next = Infinity
      for (const { bucket, concurrency, found, running, told } of lines.values()) {
        if (bucket === undefined || running >= concurrency) continue
        if (told.size + found.size === 0) continue
        // One that may begin now waits for a place, or for itself to be over.
        const at = bucket.nextAt(now)
        if (at > now) next = Math.min(next, at)
      }
      return next
    },
    size: () => {
      let sum = 0
      for (const { found, told } of lines.values()) sum += told.size + found.size
      return sum
    },
    arrivals: () => arrivals,
    keep: (passes) => {
      for (const { found, told } of lines.values()) {
        for (const waiting of [told, found]) {
          for (const [runId, arrival] of waiting) {
            if (!passes(runId, arrival)) waiting.delete(runId)
          }
        }
      }
    }
  }
}

interface Bucket {
  /** When the next may be taken; UTC milliseconds. */
  readonly nextAt: (now: number) => number
  readonly take: (now: number) => void
}

/** A bucket of `times` tokens, at least one, which fills up again in the time of `per`. */
const makeBucket = (
  { per, times }: { readonly times: number; readonly per: Duration.Input }
): Bucket => {
  const millisEach = Duration.toMillis(Duration.fromInputUnsafe(per)) / times
  const capacity = Math.max(1, times)
  let tokens = capacity
  let at = -Infinity
  const fill = (now: number) => {
    if (now > at) {
      tokens = at === -Infinity ? capacity : Math.min(capacity, tokens + (now - at) / millisEach)
      at = now
    }
    return tokens
  }
  return {
    nextAt: (now) => {
      const missing = 1 - fill(now)
      // A rounding error must not make it a moment that never comes.
      return missing <= 1e-9 ? now : now + Math.ceil(missing * millisEach)
    },
    take: (now) => {
      fill(now)
      tokens -= 1
    }
  }
}
