/**
 * What is bounded, and by how much: references that a layer can change.
 */
import * as Context from "effect/Context"

/** What one value may take: bytes of JSON, and levels of nesting. */
export interface LimitsShape {
  readonly bytes: number
  readonly depth: number
}

/** The limits of every value; default 1 MiB and 200 levels. */
export const Limits: Context.Reference<LimitsShape> = Context.Reference("reprise/Limits", {
  defaultValue: () => ({ bytes: 1024 * 1024, depth: 200 })
})

/**
 * Milliseconds; default 10,000. A timer or a retry that is due sooner is waited for in the process; for a
 * later one the run suspends.
 */
export const ShortWait: Context.Reference<number> = Context.Reference("reprise/ShortWait", {
  defaultValue: () => 10_000
})

/**
 * Milliseconds; default 15,000, at least 3,000. How long a run's lease holds without being renewed, where its holder
 * cannot be seen to be dead; it is renewed three times in that time.
 */
export const LeaseTime: Context.Reference<number> = Context.Reference("reprise/LeaseTime", {
  defaultValue: () => 15_000
})

/** How many entries a journal may have: from `warn` on a warning is logged, at `stop` the run is blocked. */
export interface JournalLimitsShape {
  readonly warn: number
  readonly stop: number
}

/** The limits of every journal; default 10,000 and 50,000 entries. A longer run goes on with `ctx.continueAs`. */
export const JournalLimits: Context.Reference<JournalLimitsShape> = Context.Reference(
  "reprise/JournalLimits",
  { defaultValue: () => ({ warn: 10_000, stop: 50_000 }) }
)
