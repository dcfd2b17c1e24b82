/**
 * A list of lines of one height of which only those in view are in the document, so that its length costs
 * nothing. It scrolls with the page. One line at a time can be reached by Tab; the others by arrows or j and k.
 */
import type { ComponentChildren, JSX } from "preact"
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "preact/hooks"
import { useKeys } from "./keys.ts"

export interface Props {
  readonly count: number
  readonly height: number
  readonly label: string
  /** What a screen reader takes it for. */
  readonly role?: "list" | "rowgroup"
  readonly keyOf: (index: number) => string
  /** A line; `tabIndex` belongs to the one thing in it that `data-focus` marks. */
  readonly line: (index: number, tabIndex: 0 | -1) => ComponentChildren
  /** Tells which lines are in view. */
  readonly onView?: (first: number, last: number) => void
  /** The line that is open. */
  readonly current?: number | undefined
  /** Attributes of a line. */
  readonly attributes?: (index: number) => Readonly<Record<string, string | number | undefined>>
  /** How many pixels at the top of the window something else covers. */
  readonly covered?: number
}

const spare = 6

/** Where the line of that key is now: lines come and go above it. */
const placeOf = (
  active: { readonly index: number; readonly key: string } | undefined,
  count: number,
  keyOf: (index: number) => string
): number => {
  if (active === undefined || count === 0) return 0
  if (active.index < count && keyOf(active.index) === active.key) return active.index
  for (let i = 0; i < count; i++) if (keyOf(i) === active.key) return i
  return 0
}

export const Virtual = (props: Props): JSX.Element => {
  const { attributes, count, covered = 0, current, height, keyOf, label, line, onView } = props
  const { role = "list" } = props
  const box = useRef<HTMLDivElement>(null)
  const [view, setView] = useState<readonly [number, number]>([0, 40])
  const [active, setActive] = useState<{ readonly index: number; readonly key: string }>()
  const wantsFocus = useRef(false)

  const measure = useCallback(() => {
    if (box.current === null) return
    const { top } = box.current.getBoundingClientRect()
    const first = Math.max(0, Math.floor((covered - top) / height))
    const last = Math.ceil((innerHeight - top) / height)
    setView((before) => before[0] === first && before[1] === last ? before : [first, last])
  }, [covered, height])

  useEffect(() => {
    let frame = 0
    const soon = () => {
      cancelAnimationFrame(frame)
      frame = requestAnimationFrame(measure)
    }
    // Whatever grows or shrinks above moves the list.
    const observer = new ResizeObserver(soon)
    observer.observe(document.body)
    addEventListener("scroll", soon, { passive: true })
    addEventListener("resize", soon)
    measure()
    return () => {
      cancelAnimationFrame(frame)
      observer.disconnect()
      removeEventListener("scroll", soon)
      removeEventListener("resize", soon)
    }
  }, [measure])
  useLayoutEffect(measure, [measure, count])

  const top = Math.min(view[0], Math.max(0, count - 1))
  const bottom = Math.max(top, Math.min(view[1], count))
  useEffect(() => onView?.(top, bottom), [onView, top, bottom])

  const at = placeOf(active, count, keyOf)
  const activate = (index: number) => setActive({ index, key: keyOf(index) })
  // Found once, and not at every frame.
  useEffect(() => {
    if (active === undefined || count === 0) return
    if (active.index !== at || active.key !== keyOf(at)) activate(at)
  })
  const focus = (index: number): boolean => {
    const line = box.current?.querySelector<HTMLElement>(`[data-line="${index}"] [data-focus]`)
    line?.focus({ preventScroll: true })
    return line !== null && line !== undefined
  }
  const move = (to: number) => {
    const next = Math.max(0, Math.min(to, count - 1))
    // At once where the line is drawn: the key that opens it may follow before anything is drawn again.
    if (!focus(next)) {
      wantsFocus.current = true
      activate(next)
    }
    const start = box.current!.getBoundingClientRect().top + next * height
    const over = start - covered - 4
    const under = start + height + 8 - innerHeight
    if (over < 0) scrollBy({ top: over, behavior: "instant" })
    else if (under > 0) scrollBy({ top: under, behavior: "instant" })
  }
  useLayoutEffect(() => {
    if (!wantsFocus.current) return
    wantsFocus.current = false
    focus(at)
  })
  useEffect(() => {
    if (current !== undefined && current >= 0 && current < count) activate(current)
  }, [current])

  useKeys((key, { target }) => {
    if (count === 0) return false
    const isInside = target instanceof Node && box.current?.contains(target) === true
    const step = { j: 1, k: -1 }[key]
      ?? (isInside || target === document.body || target instanceof HTMLHeadingElement
        ? { ArrowDown: 1, ArrowUp: -1, PageDown: 20, PageUp: -20, Home: -count, End: count }[key]
        : undefined)
    if (step === undefined) return false
    if (!isInside && (key === "Home" || key === "End" || key.startsWith("Page"))) return false
    move(isInside || document.activeElement === box.current ? at + step : at)
    return true
  })

  const first = Math.max(0, top - spare)
  const last = Math.min(count, bottom + spare)
  const shown: Array<number> = []
  if (at < first && count > 0) shown.push(at)
  for (let i = first; i < last; i++) shown.push(i)
  if (at >= last && count > 0) shown.push(at)
  const isTable = role === "rowgroup"
  return (
    <div
      ref={box}
      class="virtual"
      role={role}
      aria-label={label}
      style={{ height: `${count * height}px` }}
    >
      {shown.map((i) => (
        <div
          key={keyOf(i)}
          class="line"
          role={isTable ? "row" : "listitem"}
          aria-rowindex={isTable ? i + 2 : undefined}
          aria-posinset={isTable ? undefined : i + 1}
          aria-setsize={isTable ? undefined : count}
          data-line={i}
          onFocusCapture={() => activate(i)}
          {...attributes?.(i)}
          style={{ height: `${height}px`, transform: `translateY(${i * height}px)` }}
        >
          {line(i, i === at ? 0 : -1)}
        </div>
      ))}
    </div>
  )
}
