/**
 * What the engine counts, on Effect's metrics: sessions, ended runs and journaled step outcomes, each by
 * workflow.
 */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type * as Session from "./session/Types.ts"

/** A counter for every workflow and `label`: a metric that stays keeps its own key. */
const counters = (id: string, description: string, label: string) => {
  const made = new Map<string, Metric.Counter<number>>()
  return (workflow: string, value: string): Metric.Counter<number> => {
    const key = `${value} ${workflow}`
    const known = made.get(key)
    if (known !== undefined) return known
    const counter = Metric.counter(id, { description, attributes: { workflow, [label]: value } })
    made.set(key, counter)
    return counter
  }
}

const sessions = counters("reprise_sessions", "Sessions by how they ended", "conclusion")
const runs = counters("reprise_runs", "Ended runs by how they ended", "end")
const steps = counters("reprise_steps", "Journaled step outcomes", "outcome")

/** Counts a session and what it did. */
export const count = (
  workflow: string,
  { conclusion, steps: { done, failed } }: Session.Ran
): Effect.Effect<void> =>
  Effect.contextWith((context) => {
    sessions(workflow, conclusion._tag).updateUnsafe(1, context)
    steps(workflow, "success").updateUnsafe(done, context)
    steps(workflow, "failure").updateUnsafe(failed, context)
    if (conclusion._tag === "Ended") runs(workflow, conclusion.entry.type).updateUnsafe(1, context)
    return Effect.void
  })
