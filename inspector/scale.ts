/**
 * Where a time stands on a timeline. A run may work for a second and wait for a week, so the waits can be
 * squeezed: then they share a small part of the width, and what was done shares the rest. Pure.
 */
import { distance, span } from "./time.ts"
import type { Item } from "./types.ts"

/** From when to when. */
export interface Span {
  readonly from: number
  readonly to: number
}

/** When an item was; nothing for one of which that is not known. What goes on goes on until `now`. */
export const spanOf = (
  { duration, endedAt, startedAt, state, wait }: Item,
  now: number
): Span | undefined => {
  const from = startedAt ?? wait?.since
    ?? (endedAt === undefined ? undefined : endedAt - (duration ?? 0))
  if (from === undefined) return undefined
  const isOpen = state === "running" || state === "waiting" || state === "retrying"
  const to = endedAt ?? (isOpen ? now : from + (duration ?? 0))
  return { from, to: Math.max(from, to) }
}

/** A stretch of time and how much of the width it has, from 0 to 1. */
interface Segment extends Span {
  readonly x: number
  readonly width: number
  readonly isSqueezed: boolean
}

export interface Tick {
  readonly x: number
  readonly label: string
}

export interface Scale {
  readonly segments: ReadonlyArray<Segment>
  readonly x: (time: number) => number
  readonly ticks: ReadonlyArray<Tick>
}

/** What is left of `all` of the time from `from` to `to`. */
const gaps = (busy: ReadonlyArray<Span>, { from, to }: Span): ReadonlyArray<Span> => {
  const found: Array<Span> = []
  let at = from
  for (const one of busy.toSorted((a, b) => a.from - b.from)) {
    if (one.from > at) found.push({ from: at, to: Math.min(one.from, to) })
    at = Math.max(at, one.to)
  }
  if (at < to) found.push({ from: at, to })
  return found
}

/** A gap of more than this share of the whole is squeezed. */
const long = 0.08
/** What a squeezed gap gets of the width, and all of them at most. */
const narrow = 0.07
const atMost = 0.4

/** The time when something ran, with a little around it. */
export const scaleOf = (whole: Span, busy?: ReadonlyArray<Span>): Scale => {
  const length = Math.max(1, whole.to - whole.from)
  const quiet = busy === undefined
    ? []
    : gaps(busy, whole).filter(({ from, to }) => to - from > length * long)
  const all: Array<Span & { isSqueezed: boolean }> = []
  let from = whole.from
  for (const gap of quiet) {
    if (gap.from > from) all.push({ from, to: gap.from, isSqueezed: false })
    all.push({ ...gap, isSqueezed: true })
    from = gap.to
  }
  const to = whole.from + length
  if (from < to) all.push({ from, to, isSqueezed: false })
  const isSplit = all.some(({ isSqueezed }) => !isSqueezed)
  const squeezed = isSplit ? Math.min(atMost, quiet.length * narrow) : 1
  const active = all.reduce(
    (sum, { from, isSqueezed, to }) => isSqueezed ? sum : sum + to - from,
    0
  )
  let x = 0
  const segments = all.map(({ from, isSqueezed, to }) => {
    const width = isSqueezed
      ? squeezed / quiet.length
      : (1 - squeezed) * (to - from) / active
    const segment = { from, to, isSqueezed, x, width }
    x += width
    return segment
  })
  const at = (time: number) => {
    if (time <= whole.from) return 0
    const segment = segments.find(({ to }) => time <= to)
    return segment === undefined
      ? 1
      : segment.x
        + segment.width * (time - segment.from) / Math.max(1e-9, segment.to - segment.from)
  }
  return { segments, x: at, ticks: ticksOf(segments, whole.from) }
}

/** Marks of the time since the beginning, not closer than can be read. */
const ticksOf = (segments: ReadonlyArray<Segment>, start: number): ReadonlyArray<Tick> => {
  const ticks: Array<Tick> = []
  const add = (x: number, time: number) => {
    const last = ticks.at(-1)
    const gap = segments.find((one) => one.isSqueezed && one.x > x)
    const room = Math.min(1, gap?.x ?? 1) - x
    const label = time <= start ? "0" : `+${span(time - start)}`
    if (room < 0.06 || label === last?.label) return
    if (last === undefined || x - last.x > 0.09) ticks.push({ x, label })
  }
  for (const { from, isSqueezed, to, width, x } of segments) {
    if (isSqueezed) continue
    add(x, from)
    const step = distance(to - from, Math.max(1, Math.floor(width * 10)))
    for (let time = start + Math.ceil((from - start + 1) / step) * step; time < to; time += step) {
      add(x + width * (time - from) / (to - from), time)
    }
  }
  return ticks
}
