/**
 * How much of a worker the runs of one workflow may take.
 */
import * as Duration from "effect/Duration"

export interface Limit {
  /** How many of its runs are driven at once; a run that only waits is not driven. Default: as many as there are places. */
  readonly concurrency?: number | undefined
  /** How many times its runs are taken up in a time: at first and whenever one goes on. Default: without end. */
  readonly rate?: { readonly times: number; readonly per: Duration.Input } | undefined
  /** Of what waits for a place, the highest goes first; default 0. */
  readonly priority?: number | undefined
}

/** Limits by the name of the workflow. */
export type Limits = Readonly<Record<string, Limit>>

/** A `TypeError` when a limit is none, or of a workflow that is not among `workflows`. */
export const check = (limits: Limits, workflows: ReadonlyArray<string> | undefined): void => {
  for (const [name, { concurrency, priority, rate }] of Object.entries(limits)) {
    const refuse = (what: string, allowed: string) => {
      throw new TypeError(`The limit of workflow "${name}" has ${what}: ${allowed}.`)
    }
    if (workflows !== undefined && !workflows.includes(name)) {
      const known = workflows.map((one) => `"${one}"`).join(", ")
      throw new TypeError(`There is a limit of workflow "${name}", which is none of ${known}.`)
    }
    if (concurrency !== undefined && !(Number.isInteger(concurrency) && concurrency >= 1)) {
      refuse(`a concurrency of ${concurrency}`, "a whole number from 1 on is allowed")
    }
    if (priority !== undefined && !Number.isFinite(priority)) {
      refuse(`a priority of ${priority}`, "any finite number is allowed")
    }
    if (rate === undefined) continue
    if (!(Number.isFinite(rate.times) && rate.times > 0)) {
      refuse(`a rate of ${rate.times} times`, "a finite number above 0 is allowed")
    }
    const millis = Duration.toMillis(Duration.fromInputUnsafe(rate.per))
    if (!(millis > 0 && millis < Infinity)) {
      refuse(`a rate per ${millis} milliseconds`, "a finite time above 0 is allowed")
    }
  }
}
