/**
 * The pages of the list that are loaded. The one that is in view is live; a page behind one that ends
 * elsewhere now is fetched again, so that no run falls between two.
 */
import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks"
import { type Problem, problemOf, query, request } from "./api.ts"
import { live } from "./live.ts"
import type { Page, Status } from "./types.ts"

/** A run of the list, or one that cannot be read. */
export type Row =
  | { readonly runId: string; readonly run: Status }
  | { readonly runId: string; readonly run?: undefined; readonly message: string }

interface Loaded {
  /** The cursor that it was asked with. */
  readonly after: string | undefined
  readonly page: Page
}

export interface Filter {
  readonly status?: string | undefined
  readonly workflow?: string | undefined
  readonly search?: string | undefined
}

/** By run id, as the server has them; those that cannot be read stand between the others. */
const rowsOf = ({ runs, unreadable }: Page): ReadonlyArray<Row> => {
  const rows: Array<Row> = runs.map((run) => ({ runId: run.runId, run }))
  for (const row of unreadable) {
    const at = rows.findIndex(({ runId }) => runId > row.runId)
    rows.splice(at < 0 ? rows.length : at, 0, row)
  }
  return rows
}

export interface Pages {
  readonly rows: ReadonlyArray<Row>
  /** Whether the first page is there. */
  readonly isLoaded: boolean
  readonly hasMore: boolean
  readonly isBusy: boolean
  readonly problem: Problem | undefined
  readonly more: () => void
  /** Which row is in the middle of what is seen. */
  readonly look: (row: number) => void
}

export const usePages = ({ search, status, workflow }: Filter): Pages => {
  const [all, setAll] = useState<ReadonlyArray<Loaded>>([])
  const [watched, setWatched] = useState(0)
  const [isBusy, setBusy] = useState(false)
  const [problem, setProblem] = useState<Problem>()
  const fields = query({ status, workflow, search })
  /** Answers to what was asked with another filter are no news. */
  const asked = useRef(fields)
  const latest = useRef(all)
  latest.current = all

  const of = useCallback(
    (after: string | undefined) => query({ status, workflow, search, limit: 100, after }),
    [status, workflow, search]
  )

  /** A page, and what stands behind it where that begins elsewhere now. */
  const put = useCallback((index: number, after: string | undefined, page: Page) => {
    if (asked.current !== fields) return
    const kept = page.cursor === undefined ? latest.current.slice(0, index + 1) : latest.current
    latest.current = kept.length > index
      ? kept.with(index, { after, page })
      : [...kept, { after, page }]
    setAll(latest.current)
    const next = latest.current[index + 1]
    if (next === undefined || next.after === page.cursor) return
    void request<Page>(`/api/runs${of(page.cursor)}`)
      .then((following) => put(index + 1, page.cursor, following), () => undefined)
  }, [fields, of])

  useEffect(() => {
    asked.current = fields
    latest.current = []
    setAll([])
    setWatched(0)
    setProblem(undefined)
  }, [fields])

  const after = all[watched]?.after
  useEffect(() => {
    const rest = of(after)
    return live<Page>({
      stream: `/api/changes${rest}`,
      poll: `/api/runs${rest}`,
      onData: (page) => {
        setProblem(undefined)
        put(watched, after, page)
      },
      onProblem: setProblem
    })
  }, [of, put, watched, after])

  const rows = useMemo(() => all.flatMap(({ page }) => rowsOf(page)), [all])
  const last = all.at(-1)
  const cursor = last?.page.cursor
  const more = () => {
    if (cursor === undefined || isBusy) return
    setBusy(true)
    void request<Page>(`/api/runs${of(cursor)}`)
      .then((page) => put(all.length, cursor, page))
      .catch((error: unknown) => setProblem(problemOf(error)))
      .then(() => setBusy(false))
  }
  const look = useCallback((row: number) => {
    let before = 0
    const index = latest.current.findIndex(({ page }) => {
      before += page.runs.length + page.unreadable.length
      return row < before
    })
    if (index >= 0) setWatched(index)
  }, [])
  const hasMore = cursor !== undefined
  return { rows, isLoaded: all.length > 0, hasMore, isBusy, problem, more, look }
}
