/** State that several parts of the page share: cells, and the time as one of them. */
import { useEffect, useState } from "preact/hooks"

export interface Cell<A> {
  readonly get: () => A
  readonly set: (value: A) => void
  readonly subscribe: (listener: (value: A) => void) => () => void
}

export const cell = <A>(initial: A): Cell<A> => {
  let value = initial
  const listeners = new Set<(value: A) => void>()
  return {
    get: () => value,
    set: (next) => {
      if (Object.is(value, next)) return
      value = next
      for (const listener of listeners) listener(next)
    },
    subscribe: (listener) => {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    }
  }
}

export const useCell = <A>(of: Cell<A>): A => {
  const [value, setValue] = useState<A>(of.get)
  useEffect(() => {
    setValue(() => of.get())
    return of.subscribe((next) => setValue(() => next))
  }, [of])
  return value
}

/** The time, again every `millis`; 0 keeps it still. */
export const useNow = (millis: number): number => {
  const [now, setNow] = useState(Date.now)
  useEffect(() => {
    if (millis === 0) return
    setNow(Date.now())
    const timer = setInterval(() => setNow(Date.now()), millis)
    return () => clearInterval(timer)
  }, [millis])
  return now
}

/** Whether the page hears from the server. */
export type Connection = "connecting" | "live" | "polling" | "lost" | "ended"
export const connection = cell<Connection>("connecting")

/** The result of the last action, for everyone to see and hear. */
export interface Notice {
  readonly text: string
  readonly isProblem: boolean
}
export const notice = cell<Notice | undefined>(undefined)

export const announce = (text: string, isProblem = false): void => notice.set({ text, isProblem })
