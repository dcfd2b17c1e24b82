/**
 * What is known of a run only while this process drives it: how many steps are running, and what it
 * published last on each channel. Nothing of it is stored.
 *
 * A run is known here as long as somebody holds it: its session, or whoever streams its changes.
 */
import * as Schema from "effect/Schema"

/** The latest value of a channel. */
export const Published = Schema.Struct({
  value: Schema.optionalKey(Schema.Json),
  /** The step and the attempt that published it; the body itself has neither. */
  stepId: Schema.optionalKey(Schema.String),
  attempt: Schema.optionalKey(Schema.Int)
})
export type Published = typeof Published.Type

/** One run, as long as it is held. */
export interface Live {
  running: number
  readonly progress: Record<string, Published>
  /** Grows with every publication. */
  version: number
  readonly publish: (channel: string, published: Published) => void
}

interface Held extends Live {
  holders: number
}

export interface Registry {
  /** Holds a run; call `release` once. */
  readonly hold: (runId: string) => { readonly live: Live; readonly release: () => void }
  /** The run if somebody holds it. */
  readonly get: (runId: string) => Live | undefined
  readonly activity: Activity
}

/** What goes on in this process: a test that skips time may do so while only `wakeUps` are left. */
export interface Activity {
  /** How many sessions are open. */
  sessions: number
  /** When somebody drives suspended runs on, in UTC milliseconds. */
  readonly wakeUps: Set<{ readonly at: number }>
}

/** A registry that calls `onPublish` after every publication. */
export const makeRegistry = (onPublish: (runId: string) => void): Registry => {
  const runs = new Map<string, Held>()
  const held = (runId: string): Held => {
    const known = runs.get(runId)
    if (known !== undefined) return known
    const live: Held = {
      running: 0,
      progress: {},
      version: 0,
      holders: 0,
      publish: (channel, published) => {
        live.progress[channel] = published
        live.version++
        onPublish(runId)
      }
    }
    runs.set(runId, live)
    return live
  }
  return {
    activity: { sessions: 0, wakeUps: new Set() },
    get: (runId) => runs.get(runId),
    hold: (runId) => {
      const live = held(runId)
      live.holders++
      return {
        live,
        release: () => {
          if (--live.holders === 0) runs.delete(runId)
        }
      }
    }
  }
}
