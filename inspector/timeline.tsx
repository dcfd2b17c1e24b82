/** What a run did, and when: an instruction a line, each with a bar, and waits with a hatched one. */
import type { JSX } from "preact"
import { useCallback, useMemo, useState } from "preact/hooks"
import { Bar, Bars, percent } from "./bars.tsx"
import { Icon, words } from "./icons.tsx"
import { ItemPanel } from "./item.tsx"
import { type Lane, lanes } from "./lanes.ts"
import { go, type RunRoute } from "./route.ts"
import { type Scale, scaleOf, type Span, spanOf } from "./scale.ts"
import { useNow } from "./store.ts"
import { errorText, plural, preview } from "./text.ts"
import { full, span } from "./time.ts"
import type { Item, View } from "./types.ts"
import { Text } from "./ui.tsx"
import { Virtual } from "./virtual.tsx"

const height = 30

type Fit = "squeezed" | "whole" | "view"

const isOpen = ({ state }: Item) =>
  state === "running" || state === "waiting" || state === "retrying"

/** Whether something is done the while, and not only waited. */
const isWork = (item: Item) => item.kind === "step" && item.state !== "retrying"

export const TimelineTab = ({ route, view }: {
  readonly view: View
  readonly route: RunRoute
}): JSX.Element => {
  const { createdAt, items, updatedAt } = view
  const [closed, setClosed] = useState<ReadonlySet<string>>(new Set())
  const [fit, setFit] = useState<Fit>("squeezed")
  const [seen, setSeen] = useState<readonly [number, number]>([0, 0])
  const moves = useMemo(() => items.some(isOpen), [items])
  const now = useNow(moves ? 1_000 : 0)
  const lines = useMemo(() => lanes(items, closed), [items, closed])
  const onView = useCallback((first: number, last: number) => setSeen([first, last]), [])
  const inView = fit === "view" ? seen : undefined

  const scale = useMemo(() => {
    const of = inView === undefined
      ? items
      : lines.slice(...inView).flatMap(({ below, item }) =>
        below ?? (item === undefined ? [] : [item])
      )
    const busy: Array<Span> = []
    let from = Infinity
    let to = -Infinity
    for (const item of of) {
      const one = spanOf(item, now)
      if (one === undefined) continue
      from = Math.min(from, one.from)
      to = Math.max(to, one.to)
      if (isWork(item)) busy.push(one)
      else busy.push({ from: one.from, to: one.from }, { from: one.to, to: one.to })
    }
    if (inView === undefined || from > to) {
      from = Math.min(from, Date.parse(createdAt))
      to = Math.max(to, Date.parse(updatedAt))
    }
    return scaleOf({ from, to }, fit === "squeezed" ? busy : undefined)
  }, [items, lines, inView, fit, now, createdAt, updatedAt])

  const open = items.find(({ stepId }) => stepId === route.open)
  const toggle = (id: string) =>
    setClosed((before) => {
      const next = new Set(before)
      if (!next.delete(id)) next.add(id)
      return next
    })
  const show = (id: string) => go({ ...route, open: route.open === id ? undefined : id }, true)
  const groups = useMemo(
    () => lanes(items).flatMap(({ below, id }) => below === undefined ? [] : [id]),
    [items]
  )
  return (
    <div class={`split ${open === undefined ? "" : "opened"}`}>
      <section aria-label="Timeline" class="main">
        <div class="tools">
          <span class="note">{plural(items.length, "instruction")}</span>
          {groups.length === 0 ? null : (
            <button
              type="button"
              class="button small"
              onClick={() => setClosed(closed.size === 0 ? new Set(groups) : new Set())}
            >
              {closed.size === 0 ? "Close all branches" : "Open all branches"}
            </button>
          )}
          <label class="pick small">
            <span>Scale</span>
            <select value={fit} onChange={(e) => setFit(e.currentTarget.value as Fit)}>
              <option value="squeezed">Waits squeezed</option>
              <option value="whole">As it was</option>
              <option value="view">Lines in view</option>
            </select>
          </label>
        </div>
        {items.length === 0
          ? <p class="empty">The run has done nothing yet.</p>
          : (
            <div class="chart">
              <Axis scale={scale} />
              <Virtual
                label="Instructions"
                count={lines.length}
                height={height}
                covered={122}
                current={open === undefined
                  ? undefined
                  : lines.findIndex(({ item }) => item === open)}
                keyOf={(i) => lines[i]!.key}
                {...fit === "view" ? { onView } : undefined}
                attributes={(i) => {
                  const { id, item } = lines[i]!
                  return {
                    ...(item === undefined
                      ? { "data-lane": id }
                      : { "data-item": id, "data-state": item.state }),
                    class: `line ${item !== undefined && item === open ? "open" : ""}`
                  }
                }}
                line={(i, tabIndex) => (
                  <Line
                    lane={lines[i]!}
                    scale={scale}
                    now={now}
                    tabIndex={tabIndex}
                    isOpen={lines[i]!.item === undefined
                      ? !closed.has(lines[i]!.id)
                      : lines[i]!.item === open}
                    onOpen={lines[i]!.item === undefined ? toggle : show}
                  />
                )}
              />
            </div>
          )}
      </section>
      {open === undefined
        ? null
        : <ItemPanel key={open.stepId} item={open} view={view} route={route} now={now} />}
    </div>
  )
}

const Axis = ({ scale }: { readonly scale: Scale }): JSX.Element => {
  const [first] = scale.segments
  return (
    <div class="axis" aria-hidden="true">
      <span class="name">Instruction</span>
      <div class="track" title={first === undefined ? "" : `Since ${full(first.from)}`}>
        {scale.segments.map(({ from, isSqueezed, to, width, x }) =>
          isSqueezed
            ? (
              <i
                key={`gap ${from}`}
                class="gap"
                style={{ left: percent(x), width: percent(width) }}
                title={`${span(to - from)} of waiting`}
              >
                {span(to - from).replace(/^(\d+[dhm]) .*/, "$1")}
              </i>
            )
            : null
        )}
        {scale.ticks.map(({ label, x }) => (
          <span key={label} class="tick" style={{ left: percent(x) }}>{label}</span>
        ))}
      </div>
      <span class="took">Took</span>
    </div>
  )
}

const says = (item: Item): string => {
  const { error, state, timedOut, value, wait } = item
  if (error !== undefined) return errorText(error)
  if (timedOut === true) return "timed out"
  if (state === "waiting") return wait?.reason ?? ""
  return preview(value, 80)
}

const Line = ({ isOpen, lane, now, onOpen, scale, tabIndex }: {
  readonly lane: Lane
  readonly scale: Scale
  readonly now: number
  readonly tabIndex: 0 | -1
  readonly isOpen: boolean
  readonly onOpen: (id: string) => void
}): JSX.Element => {
  const { below, branch, branches, depth, id, item, label } = lane
  const one = item === undefined ? undefined : spanOf(item, now)
  const took = one === undefined ? "" : span(one.to - one.from)
  return (
    <>
      <button
        type="button"
        class="name"
        tabIndex={tabIndex}
        data-focus
        aria-expanded={isOpen}
        onClick={() => onOpen(id)}
        style={{ paddingLeft: `${8 + Math.min(depth, 8) * 16}px` }}
      >
        {item === undefined
          ? <span class={`fold ${isOpen ? "unfolded" : ""}`} aria-hidden="true">›</span>
          : (
            <span class="state" data-state={item.state} title={words[item.state]}>
              <Icon of={item.state} />
              <span class="hidden">{words[item.state]}</span>
            </span>
          )}
        {branch === undefined ? null : (
          <span class="branch">
            <Text text={branch === "" ? "…" : branch} max={40} />
          </span>
        )}
        {branch !== undefined && item === undefined ? null : <Text text={label} max={80} />}
        {branches === undefined
          ? null
          : <span class="aside">{plural(branches, "branch", "branches")}</span>}
        {item?.kind === "event" || item?.kind === "timer" || item?.kind === "child"
          ? <span class="kind">{item.kind}</span>
          : null}
        {item?.undone === true ? <span class="kind">undone</span> : null}
      </button>
      <div class="track" aria-hidden="true" onClick={() => onOpen(id)}>
        {item !== undefined
          ? <Bar item={item} scale={scale} now={now} says={says(item)} />
          : <Bars items={below ?? []} scale={scale} now={now} isOpen={isOpen} />}
      </div>
      <span class="took">{took}</span>
    </>
  )
}
