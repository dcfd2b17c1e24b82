/**
 * Keys of the page as a whole. What is shown registers what it does with one; the last one that did is
 * asked first. Nobody's typing is taken for a key.
 */
import { useEffect, useRef } from "preact/hooks"

export const keys: ReadonlyArray<readonly [key: string, does: string]> = [
  ["/", "Search the runs"],
  ["j or ↓", "The next line of a list"],
  ["k or ↑", "The line before"],
  ["Home, End", "The first and the last line"],
  ["Enter", "Open the line"],
  ["1, 2, 3", "Timeline, journal and diff of a run"],
  ["Esc", "Close what is open, or go back"],
  ["?", "These keys"]
]

/** Says whether it took the key. */
type Handler = (key: string, event: KeyboardEvent) => boolean

const handlers: Array<{ readonly current: Handler }> = []

export const isTyping = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement
  && (target.isContentEditable || /^(input|textarea|select)$/i.test(target.tagName))

addEventListener("keydown", (event) => {
  const { altKey, ctrlKey, defaultPrevented, isComposing, key, metaKey, target } = event
  if (defaultPrevented || altKey || ctrlKey || metaKey || isComposing) return
  // A dialog has its own.
  if (document.querySelector("dialog[open]") !== null) return
  if (isTyping(target)) {
    if (key === "Escape") (target as HTMLElement).blur()
    return
  }
  for (const handler of handlers.toReversed()) {
    if (!handler.current(key, event)) continue
    event.preventDefault()
    return
  }
})

/** Takes keys for as long as the component is shown. */
export const useKeys = (handler: Handler): void => {
  const latest = useRef(handler)
  latest.current = handler
  useEffect(() => {
    handlers.push(latest)
    return () => void handlers.splice(handlers.indexOf(latest), 1)
  }, [])
}
