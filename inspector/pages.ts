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
  /** Whether the rows are still those of what was looked for before. */
  readonly isOld: boolean
  readonly hasMore: boolean
  readonly isBusy: boolean
  readonly problem: Problem | undefined
  readonly more: () => void
  /** Tells which row is in the middle of what is seen. */
  readonly look: (row: number) => void
}

/** What is loaded, and what was asked for. */
interface State {
  readonly fields: string | undefined
  readonly all: ReadonlyArray<Loaded>
}

const none: ReadonlyArray<Loaded> = []

export const usePages = ({ search, status, workflow }: Filter): Pages => {
  const fields = query({ status, workflow, search })
  const [state, setState] = useState<State>({ fields: undefined, all: none })
  const [seen, setSeen] = useState({ fields, page: 0 })
  const [isBusy, setBusy] = useState(false)
  const [problem, setProblem] = useState<Problem>()
  /** Answers to what was asked before are no news. */
  const asked = useRef(fields)
  asked.current = fields
  const latest = useRef(state)

  const of = useCallback(
    (after: string | undefined) => query({ status, workflow, search, limit: 100, after }),
    [status, workflow, search]
  )

  /** Takes a page, and asks anew for what stands behind it where that begins elsewhere now. */
  const put = useCallback((index: number, after: string | undefined, page: Page) => {
    if (asked.current !== fields) return
    const before = latest.current.fields === fields ? latest.current.all : none
    const kept = page.cursor === undefined ? before.slice(0, index + 1) : before
    const all = kept.length > index
      ? kept.with(index, { after, page })
      : [...kept, { after, page }]
    latest.current = { fields, all }
    setState(latest.current)
    setProblem(undefined)
    const next = all[index + 1]
    if (next === undefined || next.after === page.cursor) return
    void request<Page>(`/api/runs${of(page.cursor)}`)
      .then((following) => put(index + 1, page.cursor, following), () => undefined)
  }, [fields, of])

  const isOld = state.fields !== fields
  const watched = isOld || seen.fields !== fields ? 0 : seen.page
  const after = isOld ? undefined : state.all[watched]?.after
  useEffect(() => {
    const rest = of(after)
    return live<Page>({
      stream: `/api/changes${rest}`,
      poll: `/api/runs${rest}`,
      onData: (page) => put(watched, after, page),
      onProblem: (problem) => asked.current === fields && setProblem(problem)
    })
  }, [of, put, watched, after, fields])

  const rows = useMemo(() => state.all.flatMap(({ page }) => rowsOf(page)), [state])
  const cursor = isOld ? undefined : state.all.at(-1)?.page.cursor
  const more = () => {
    if (cursor === undefined || isBusy) return
    setBusy(true)
    void request<Page>(`/api/runs${of(cursor)}`)
      .then((page) => put(state.all.length, cursor, page))
      .catch((error: unknown) => setProblem(problemOf(error)))
      .then(() => setBusy(false))
  }
  const look = useCallback((row: number) => {
    let before = 0
    const page = latest.current.all.findIndex(({ page }) => {
      before += page.runs.length + page.unreadable.length
      return row < before
    })
    if (page >= 0) {
      setSeen((old) => old.fields === fields && old.page === page ? old : { fields, page })
    }
  }, [fields])
  const isLoaded = state.fields !== undefined
  return { rows, isLoaded, isOld, hasMore: cursor !== undefined, isBusy, problem, more, look }
}
