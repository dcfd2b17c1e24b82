/**
 * What is pending, as others see it: the waits a `suspend` entry records, whether recorded ones are the
 * same, and the words of a divergence.
 */
import type { Wait } from "../Entry.ts"
import type { Pending } from "./State.ts"

/** Whether it only waits; a step does while its next attempt is not due. */
export const isWait = ({ instruction, retry }: Pending): boolean =>
  instruction.op !== "step" || retry?.isWaiting === true

const kinds = { suspend: "event", sleep: "timer", child: "child", step: "retry" } as const

/** UTC milliseconds at which something that is pending goes on by itself. */
export const wakeAtOf = ({ retry, wakeAt }: Pending): number | undefined =>
  retry === undefined ? wakeAt : retry.isWaiting ? retry.wakeAt : undefined

/** The waits among `pending`, as a `suspend` entry records them. */
export const waitsOf = (pending: Iterable<Pending>): Array<Wait> => {
  const out: Array<Wait> = []
  for (const p of pending) {
    if (p.isUndoing || !isWait(p)) continue
    const { id, instruction, since } = p
    const wakeAt = wakeAtOf(p)
    const event = instruction.op === "suspend" ? instruction : undefined
    out.push({
      stepId: id,
      kind: kinds[instruction.op],
      ...(event === undefined ? undefined : { event: event.name }),
      ...(event?.key === undefined ? undefined : { key: event.key }),
      ...(event?.reason === undefined ? undefined : { reason: event.reason }),
      since: Date.parse(since),
      ...(wakeAt === undefined ? undefined : { wakeAt })
    })
  }
  return out
}

const place = ({ event, key, kind, stepId }: Wait) => JSON.stringify([stepId, kind, event, key])

/** Whether recorded waits are these: times and reasons may differ, since nothing gets mixed up by them. */
export const sameWaits = (recorded: ReadonlyArray<Wait>, now: ReadonlyArray<Wait>): boolean => {
  if (recorded.length !== now.length) return false
  const places = new Set(now.map(place))
  return places.size === now.length && recorded.every((wait) => places.delete(place(wait)))
}

const words = { suspend: "suspend", sleep: "sleep", child: "child", step: "step" } as const

/** Something pending, in words. */
export const describe = ({ id, instruction }: Pending): string =>
  `${words[instruction.op]} "${id}"`
  + (instruction.op === "suspend" && instruction.key !== undefined
    ? ` (key "${instruction.key}")`
    : "")
