/** A run as it stands, kept up to date: its state by each event, everything else at most once a second. */
import { useCallback, useEffect, useRef, useState } from "preact/hooks"
import { type Problem, problemOf, request, runPath } from "./api.ts"
import { live } from "./live.ts"
import type { Item, Json, Status, View } from "./types.ts"

export const isEnded = ({ status }: Status): boolean =>
  status === "success" || status === "failed" || status === "cancelled" || status === "continued"

const every = 1_000

/** Whether an item says nothing new: what it came to is recorded once. */
const isSame = (a: Item, b: Item): boolean =>
  a.state === b.state && a.endedAt === b.endedAt && a.attempts === b.attempts
  && a.wakeAt === b.wakeAt && a.tries?.length === b.tries?.length && a.undone === b.undone
  && (a.undoError === undefined) === (b.undoError === undefined)
  && a.wait?.since === b.wait?.since && a.wait?.event === b.wait?.event && a.childId === b.childId

/** Keeps the items that are as they were the same objects, so that what shows them need not be made again. */
const kept = (before: View | undefined, now: View): View => {
  if (before === undefined) return now
  const known = new Map(before.items.map((item) => [item.stepId, item]))
  return {
    ...now,
    items: now.items.map((item) => {
      const old = known.get(item.stepId)
      return old !== undefined && isSame(old, item) ? old : item
    })
  }
}

export const useView = (runId: string): {
  readonly view: View | undefined
  readonly problem: Problem | undefined
  readonly refresh: () => void
} => {
  const [view, setView] = useState<View>()
  const [problem, setProblem] = useState<Problem>()
  const state = useRef({
    isLoading: false,
    isAsked: false,
    last: 0,
    seen: "",
    timer: 0,
    isGone: false
  })

  const refresh = useCallback(() => {
    const now = state.current
    if (now.isLoading || now.timer !== 0) {
      now.isAsked = now.isLoading
      return
    }
    now.timer = window.setTimeout(() => {
      now.timer = 0
      now.isLoading = true
      void request<View>(runPath(runId))
        .then((next) => {
          if (now.isGone) return
          setProblem(undefined)
          setView((before) => kept(before, next))
        })
        .catch((error: unknown) => {
          if (!now.isGone) setProblem(problemOf(error))
        })
        .then(() => {
          now.isLoading = false
          now.last = Date.now()
          if (now.isAsked && !now.isGone) {
            now.isAsked = false
            refresh()
          }
        })
    }, Math.max(0, now.last + every - Date.now()))
  }, [runId])

  useEffect(() => {
    const now = state.current
    refresh()
    const stop = live<Status>({
      stream: runPath(runId, "/changes"),
      poll: runPath(runId, "/status"),
      isOver: isEnded,
      onData: (status) => {
        setView((before) => before === undefined ? before : { ...before, ...only(status) })
        const { entries, progress, status: name, steps, updatedAt } = status
        const seen = JSON.stringify([entries, updatedAt, name, steps, progress])
        // The first one tells nothing that is not asked for already.
        if (now.seen !== "" && now.seen !== seen) refresh()
        now.seen = seen
      },
      onProblem: setProblem
    })
    return () => {
      stop()
      now.isGone = true
      clearTimeout(now.timer)
    }
  }, [refresh, runId])
  return { view, problem, refresh }
}

/** What a state is told of by itself; the rest comes with the next view. */
const only = ({ progress, status, steps, updatedAt }: Status) => ({
  progress,
  status,
  steps,
  updatedAt
})

/** The whole value of an item, of which only the beginning came. */
export const wholeOf =
  (runId: string, stepId: string, field: "value" | "error") =>
  async (): Promise<Json | undefined> => {
    const { items } = await request<View>(runPath(runId, "?whole=true"))
    return items.find((item: Item) => item.stepId === stepId)?.[field] as Json | undefined
  }
