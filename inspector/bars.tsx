/** The bars of a timeline: of one instruction, with its failed attempts, or of all that stand in a branch. */
import type { JSX } from "preact"
import { type Scale, spanOf } from "./scale.ts"
import type { Item } from "./types.ts"
import { Text } from "./ui.tsx"

export const percent = (x: number) => `${(x * 100).toFixed(3)}%`

export const Bar = ({ item, now, says, scale }: {
  readonly item: Item
  readonly scale: Scale
  readonly now: number
  readonly says?: string
}): JSX.Element | null => {
  const one = spanOf(item, now)
  if (one === undefined) return null
  const left = scale.x(one.from)
  const right = scale.x(one.to)
  const isWait = item.kind === "event" || item.kind === "timer" || item.state === "waiting"
  const isLate = right > 0.7
  return (
    <>
      <i
        class={`bar ${isWait ? "wait" : ""} ${item.kind}`}
        data-state={item.state}
        style={{ left: percent(left), width: percent(right - left) }}
      />
      {item.tries?.map(({ at }, i) => (
        <i key={i} class="try" style={{ left: percent(scale.x(at)) }} />
      ))}
      {says === undefined || says === "" ? null : (
        <span
          class={`says ${isLate ? "before" : ""} ${item.state === "failed" ? "bad" : ""}`}
          style={isLate ? { right: percent(1 - left) } : { left: percent(right) }}
        >
          <Text text={says} max={80} />
        </span>
      )}
    </>
  )
}

/** More bars than this cannot be told apart. */
const apart = 300

export const Bars = ({ isOpen, items, now, scale }: {
  readonly items: ReadonlyArray<Item>
  readonly scale: Scale
  readonly now: number
  readonly isOpen: boolean
}): JSX.Element | null => {
  let from = Infinity
  let to = -Infinity
  for (const item of items) {
    const one = spanOf(item, now)
    if (one === undefined) continue
    from = Math.min(from, one.from)
    to = Math.max(to, one.to)
  }
  if (from > to) return null
  const left = scale.x(from)
  if (isOpen || items.length > apart) {
    return (
      <i
        class={isOpen ? "bracket" : "bar"}
        style={{ left: percent(left), width: percent(scale.x(to) - left) }}
      />
    )
  }
  return <>{items.map((item) => <Bar key={item.stepId} item={item} scale={scale} now={now} />)}</>
}
