/** When runs are to be driven that no look would find in time; those that could not be driven are put off ever longer. */
import * as Duration from "effect/Duration"

export interface Alarms {
  /** `at` is in UTC milliseconds. */
  readonly set: (runId: string, at: number) => void
  readonly drop: (runId: string) => void
  /** Puts off a run that could not be driven: by `after` milliseconds, and twice as long each time in a row. */
  readonly postpone: (runId: string, now: number, after: number) => void
  /** Says that a run could be driven. */
  readonly driven: (runId: string) => void
  /** Whether a run is to be left alone for a while. */
  readonly isPostponed: (runId: string, now: number) => boolean
  /** The runs whose time has come. */
  readonly ring: (now: number) => ReadonlyArray<string>
  /** When the next one goes off; UTC milliseconds, `Infinity` for none. */
  readonly nextAt: () => number
}

const longestPause = Duration.toMillis("1 minute")

export const make = (): Alarms => {
  const alarms = new Map<string, number>()
  /** How often in a row a run could not be driven. */
  const failures = new Map<string, number>()
  return {
    set: (runId, at) => void alarms.set(runId, at),
    drop: (runId) => void alarms.delete(runId),
    postpone: (runId, now, after) => {
      const times = failures.get(runId) ?? 0
      failures.set(runId, times + 1)
      alarms.set(runId, now + Math.min(longestPause, after * 2 ** Math.min(times, 6)))
    },
    driven: (runId) => void failures.delete(runId),
    isPostponed: (runId, now) => failures.has(runId) && (alarms.get(runId) ?? 0) > now,
    ring: (now) => {
      const rung: Array<string> = []
      for (const [runId, at] of alarms) {
        if (at > now) continue
        alarms.delete(runId)
        rung.push(runId)
      }
      return rung
    },
    nextAt: () => {
      let next = Infinity
      for (const at of alarms.values()) if (at < next) next = at
      return next
    }
  }
}
