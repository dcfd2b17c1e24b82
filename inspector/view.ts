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
    told: undefined as Status | undefined,
    timer: 0,
    isGone: false
  })

  const refresh = useCallback((after = 0) => {
    const now = state.current
    if (now.isGone) return
    if (now.isLoading || now.timer !== 0) {
      now.isAsked = now.isLoading
      return
    }
    const load = async () => {
      now.timer = 0
      now.isLoading = true
      let again: number | undefined
      try {
        const next = await request<View>(runPath(runId))
        if (now.isGone) return
        setProblem(undefined)
        setView((before) => kept(before, next))
        // It may have been read before what was told meanwhile, and nothing more is told behind an end.
        if (now.told !== undefined && isNewer(now.told, next)) now.isAsked = true
      } catch (error) {
        if (now.isGone) return
        const problem = problemOf(error)
        setProblem(problem)
        if (isPassing(problem)) again = problem.retryAfter ?? 3_000
      } finally {
        now.isLoading = false
        now.last = Date.now()
      }
      if (again === undefined && !now.isAsked) return
      now.isAsked = false
      refresh(again)
    }
    const wait = Math.max(after, now.last + every - Date.now(), 0)
    now.timer = window.setTimeout(() => void load(), wait)
  }, [runId])

  useEffect(() => {
    const now = state.current
    now.isGone = false
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
        now.told = status
      },
      onProblem: setProblem
    })
    return () => {
      stop()
      now.isGone = true
      clearTimeout(now.timer)
      now.timer = 0
    }
  }, [refresh, runId])
  return { view, problem, refresh: useCallback(() => refresh(), [refresh]) }
}

const isNewer = (told: Status, view: View): boolean =>
  told.runId === view.runId
  && (told.entries > view.entries || (told.entries === view.entries && told.status !== view.status))

/** Whether the same may be answered later. */
const isPassing = ({ status }: Problem): boolean => status === 0 || status === 429 || status >= 500

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
