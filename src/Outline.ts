/**
 * A run as people read it: its steps as a tree and short texts for what they came to, from the journal
 * alone. `RunLog` prints it live, the command line afterwards.
 *
 * Pure, and total over every accepted journal. Invariant: no text made here carries a control character
 * of the run's data to a terminal.
 */
import type * as Schema from "effect/Schema"
import { type Entry, isEnd, type Recorded, type Wait } from "./Entry.ts"
import { cut, errorText, plain, short, shown, span, time } from "./Text.ts"

// ---------------------------------------------------------------------------------------------------
// places

/** Where a step stands: `fan[us]/charge` is `charge` in branch `us` of `fan`. */
export interface Place {
  readonly branches: ReadonlyArray<{ readonly fan: string; readonly key: string }>
  readonly name: string
}

const unescape = (text: string): string =>
  plain(cut(
    text.replace(/%([0-9a-f]{2})/g, (_, code: string) =>
      String.fromCharCode(Number.parseInt(code, 16))),
    shown
  ))

/** Reads a structural id; names and keys come without their escapes, and safe to print. */
export const place = (stepId: string): Place => {
  const parts = stepId.split("/")
  const name = unescape(parts.pop() ?? "")
  const branches = parts.map((part) => {
    const at = part.indexOf("[")
    return at < 0 ? { fan: unescape(part), key: "" } : {
      fan: unescape(part.slice(0, at)),
      key: unescape(part.slice(at + 1, part.endsWith("]") ? -1 : undefined))
    }
  })
  return { branches, name }
}

// ---------------------------------------------------------------------------------------------------
// items

/**
 * - `running`: started, and no outcome yet
 * - `retrying`: failed, and to be repeated
 * - `unknown`: its at-most-once attempt was begun, and nobody knows what became of it
 * - `dropped`: no longer awaited: it lost a race, or the run was cancelled
 */
export type State = "done" | "failed" | "running" | "waiting" | "retrying" | "unknown" | "dropped"

export const marks: Record<State, string> = {
  done: "✓",
  failed: "✗",
  running: "…",
  waiting: "⏸",
  retrying: "…",
  unknown: "?",
  dropped: "–"
}

/** A step, a wait, a timer or a child, and what is known of it. */
export interface Item {
  readonly stepId: string
  readonly kind: "step" | "event" | "timer" | "child"
  readonly state: State
  /** The step's result, or the event's payload. */
  readonly value?: Schema.Json
  readonly error?: Schema.Json
  readonly attempts?: number
  /** Milliseconds that the step ran, or that was waited. */
  readonly duration?: number
  /** What it waits or waited for. */
  readonly wait?: Wait
  /** UTC milliseconds of the next attempt. */
  readonly wakeAt?: number
  readonly timedOut?: true
  readonly childId?: string
  readonly undone?: true
  readonly undoError?: Schema.Json
}

type Outcome = { readonly result?: Schema.Json; readonly error?: Schema.Json }

const outcome = ({ error, result }: Outcome): Pick<Item, "state" | "value" | "error"> =>
  error !== undefined
    ? { state: "failed", error }
    : { state: "done", ...(result === undefined ? undefined : { value: result }) }

const ofWait = (wait: Wait): Item => {
  const { childId, kind, stepId, wakeAt } = wait
  const at = {
    ...(wakeAt === undefined ? undefined : { wakeAt }),
    ...(childId === undefined ? undefined : { childId })
  }
  return kind === "retry"
    ? { stepId, kind: "step", state: "retrying", wait, ...at }
    : { stepId, kind, state: "waiting", wait, ...at }
}

/** What one entry says of the instructions it names, without what came before it. */
export const ofEntry = (entry: Entry): ReadonlyArray<Item> => {
  switch (entry.type) {
    case "step": {
      const { attempts, duration, stepId } = entry
      return [{
        stepId,
        kind: "step",
        ...outcome(entry),
        ...(attempts === undefined ? undefined : { attempts }),
        ...(duration === undefined ? undefined : { duration })
      }]
    }
    case "intent": {
      const { attempt, stepId } = entry
      return [{ stepId, kind: "step", state: "unknown", attempts: attempt }]
    }
    case "retry": {
      const { attempt, error, stepId, wakeAt } = entry
      return [{ stepId, kind: "step", state: "retrying", error, attempts: attempt, wakeAt }]
    }
    case "resume": {
      const { stepId, value } = entry
      return [{
        stepId,
        kind: "event",
        state: "done",
        ...(value === undefined ? undefined : { value })
      }]
    }
    case "timer":
      return entry.event === undefined
        ? [{ stepId: entry.stepId, kind: "timer", state: "done" }]
        : [{ stepId: entry.stepId, kind: "event", state: "done", timedOut: true }]
    case "child": {
      const { cancelled, childId, stepId } = entry
      return [{
        stepId,
        kind: "child",
        ...outcome(entry),
        ...(cancelled === undefined ? undefined : { state: "failed", error: "cancelled" }),
        childId
      }]
    }
    case "undo": {
      const { error, stepId, unknown } = entry
      if (unknown === true) return [{ stepId, kind: "step", state: "unknown" }]
      return [{
        stepId,
        kind: "step",
        state: "unknown",
        ...(error === undefined ? { undone: true } : { undoError: error })
      }]
    }
    case "suspend":
      return entry.waits.map(ofWait)
    default:
      return []
  }
}

/** Every instruction that the journal names, in the order of its first entry, as it stands now. */
export const items = (entries: ReadonlyArray<Recorded>): ReadonlyArray<Item> => {
  const all = new Map<string, Item>()
  const kept = new Map<string, Schema.Json | undefined>()
  let open = new Set<string>()
  const drop = (still: ReadonlySet<string>) => {
    for (const stepId of open) {
      if (!still.has(stepId)) all.set(stepId, { ...all.get(stepId)!, state: "dropped" })
    }
  }
  for (const entry of entries) {
    if (entry.type === "event") kept.set(entry.eventId, entry.value)
    const told = ofEntry(entry)
    if (entry.type === "suspend") {
      const still = new Set(entry.waits.map(({ stepId }) => stepId))
      drop(still)
      open = still
    }
    for (const item of told) {
      const before = all.get(item.stepId)
      if (entry.type !== "suspend") open.delete(item.stepId)
      all.set(item.stepId, before === undefined ? item : after(before, item, entry))
      if (entry.type === "resume" && entry.value === undefined) {
        const value = kept.get(entry.eventId)
        if (value !== undefined) all.set(item.stepId, { ...all.get(item.stepId)!, value })
      }
    }
    if (isEnd(entry)) {
      drop(new Set())
      open = new Set()
    }
  }
  return [...all.values()]
}

/** What is known after `entry` said `now` of an item that stood at `before`. */
const after = (before: Item, now: Item, entry: Recorded): Item => {
  if (entry.type === "undo" && entry.unknown !== true) {
    const { undoError, undone } = now
    return {
      ...before,
      ...(undone === undefined ? undefined : { undone }),
      ...(undoError === undefined ? undefined : { undoError })
    }
  }
  if (entry.type === "suspend") {
    return now.state === "retrying" ? { ...before, ...now } : now
  }
  const { wait } = before
  const attempts = before.state === "retrying" && entry.type === "step"
    ? (before.attempts ?? 0) + (now.attempts ?? 1)
    : now.attempts ?? before.attempts
  const waited = wait === undefined || now.kind === "step"
    ? undefined
    : Math.max(0, Date.parse(entry.timestamp) - wait.since)
  return {
    ...now,
    ...(attempts === undefined ? undefined : { attempts }),
    ...(waited === undefined ? undefined : { duration: waited }),
    ...(wait === undefined ? undefined : { wait })
  }
}

/** What an item came to, or what it waits for, in a line; empty when there is nothing to say. */
export const text = (item: Item): string => {
  const { attempts, childId, duration, error, state, timedOut, undoError, undone, value, wait } =
    item
  const notes: Array<string> = []
  if (childId !== undefined) notes.push(`run ${plain(childId)}`)
  if (wait !== undefined && (state === "waiting" || state === "dropped")) {
    notes.push(...waitNotes(wait))
  } else if (wait?.key !== undefined) notes.push(`key ${short(wait.key)}`)
  if (state === "retrying") {
    if (attempts !== undefined) notes.push(`attempt ${attempts} failed`)
    if (item.wakeAt !== undefined) notes.push(`again at ${time(item.wakeAt)}`)
  } else if (attempts !== undefined && attempts > 1) notes.push(`${attempts} attempts`)
  if (duration !== undefined && duration > 0) {
    notes.push(item.kind === "step" ? span(duration) : `waited ${span(duration)}`)
  }
  if (undone === true) notes.push("undone")
  if (undoError !== undefined) notes.push(`undo failed: ${errorText(undoError)}`)
  const main = error !== undefined
    ? errorText(error)
    : timedOut === true
    ? "timed out"
    : state === "unknown" && undone === undefined
    ? "outcome not known"
    : state === "dropped"
    ? "no longer awaited"
    : state === "waiting" && wait?.reason !== undefined
    ? plain(cut(wait.reason, 2 * shown))
    : short(value)
  const aside = notes.length === 0 ? "" : `(${notes.join(", ")})`
  return main === "" || aside === "" ? main + aside : `${main}  ${aside}`
}

const waitNotes = ({ key, wakeAt }: Wait): ReadonlyArray<string> => [
  ...(key === undefined ? [] : [`key ${short(key)}`]),
  ...(wakeAt === undefined ? [] : [`until ${time(wakeAt)}`])
]

// ---------------------------------------------------------------------------------------------------
// the tree

/** An item, or a combinator or a branch with what stands in it. */
export interface Node {
  readonly label: string
  readonly item?: Item
  readonly children: ReadonlyArray<Node>
}

interface Growing {
  readonly label: string
  readonly item?: Item
  readonly isBranch: boolean
  readonly children: Map<string, Growing>
}

/** Items by their place: combinators, their branches, and what stands in these. */
export const tree = (all: ReadonlyArray<Item>): ReadonlyArray<Node> => {
  const root: Growing = { label: "", isBranch: false, children: new Map() }
  for (const item of all) {
    const parts = item.stepId.split("/")
    const { branches, name } = place(item.stepId)
    let parent = root
    branches.forEach(({ fan, key }, i) => {
      const id = parts[i]!
      const at = id.indexOf("[")
      parent = child(parent, at < 0 ? id : id.slice(0, at), { label: fan, isBranch: false })
      parent = child(parent, id, { label: `[${key}]`, isBranch: true })
    })
    // No id of a combinator or a branch begins like this.
    parent.children.set(`/${parts.at(-1)}`, {
      label: name,
      isBranch: false,
      item,
      children: new Map()
    })
  }
  return finished(root)
}

const child = (parent: Growing, id: string, made: Omit<Growing, "children">): Growing => {
  const known = parent.children.get(id)
  if (known !== undefined) return known
  const fresh = { ...made, children: new Map() }
  parent.children.set(id, fresh)
  return fresh
}

/** A branch in which one thing stands shares its line. */
const finished = ({ children }: Growing): ReadonlyArray<Node> =>
  Array.from(children.values(), (growing) => {
    const below = finished(growing)
    const [only] = below
    if (growing.isBranch && below.length === 1 && only !== undefined) {
      return { ...only, label: `${growing.label} ${only.label}` }
    }
    const { item, label } = growing
    return { label, ...(item === undefined ? undefined : { item }), children: below }
  })
