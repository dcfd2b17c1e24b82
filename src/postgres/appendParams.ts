/**
 * The parameters of the append statement: one column for each, over all the runs that it is about.
 */
import type { Columns } from "../sql/Index.ts"

export interface Row extends Columns {
  /** The ids of the posts that it takes. */
  readonly taken: ReadonlyArray<string>
  /** Whether nobody drives the run yet. */
  readonly isEnqueued: boolean
}

/** One append as a row of its statement. */
export interface Item {
  readonly runId: string
  /** Of the run's row; undefined of a run that is to be made. */
  readonly key: string | undefined
  /** The offset of the first line. */
  readonly first: number
  readonly lines: ReadonlyArray<string>
  /** What becomes of the row; undefined when it stays. */
  readonly row: Row | undefined
  /** The token of a lease that is given back with it. */
  readonly lease: string | undefined
}

interface Added {
  readonly runId: string
  readonly key: string
  readonly first: string
  readonly nth: string
  readonly line: string
}

// An array of nothing has no type: no run has this key, and none this id.
const none = "0"
const noRow: Item & { readonly row: Row } = {
  runId: "",
  key: none,
  first: 0,
  lines: [],
  row: {
    entries: 0,
    workflow: "",
    state: "pending",
    alone: "pending",
    wakeAt: null,
    updatedAt: 0,
    children: null,
    successor: null,
    rest: "",
    taken: [],
    isEnqueued: false
  },
  lease: undefined
}
const noLine: Added = { runId: "", key: none, first: none, nth: none, line: "" }

const or = <A>(all: ReadonlyArray<A>, otherwise: A) => all.length === 0 ? [otherwise] : all

/** The items as columns: of rows, their lines and the posts that they take; then lines of rows that stay. */
export const paramsOf = (items: ReadonlyArray<Item>): ReadonlyArray<ReadonlyArray<string>> => {
  const linesOf = (some: ReadonlyArray<Item>) =>
    or(
      some.flatMap(({ first, key = "", lines, runId }) =>
        lines.map((line, i): Added => ({
          runId,
          key,
          first: String(first),
          nth: String(first + i),
          line
        }))
      ),
      noLine
    )
  const rows = or(
    items.flatMap(({ row, ...item }) => row === undefined ? [] : [{ ...item, row }]),
    noRow
  )
  const column = (of: (item: typeof noRow) => string | number | null | undefined) =>
    rows.map((item) => String(of(item) ?? ""))
  const lines = linesOf(rows)
  const counted = linesOf(items.filter(({ row }) => row === undefined))
  const taken = or(
    rows.flatMap(({ row, runId }) => row.taken.map((id) => [runId, id] as const)),
    ["", ""] as const
  )
  const leases = or(
    rows.flatMap(({ lease, runId }) => lease === undefined ? [] : [[runId, lease] as const]),
    ["", ""] as const
  )
  return [
    column(({ runId }) => runId),
    column(({ key }) => key),
    column(({ row }) => row.entries),
    column(({ row }) => row.workflow),
    column(({ row }) => row.state),
    column(({ row }) => row.alone),
    column(({ row }) => row.wakeAt),
    column(({ row }) => row.updatedAt),
    column(({ row }) => row.children),
    column(({ row }) => row.successor),
    column(({ row }) => row.rest),
    column(({ first }) => first),
    lines.map(({ runId }) => runId),
    lines.map(({ nth }) => nth),
    lines.map(({ line }) => line),
    taken.map(([runId]) => runId),
    taken.map(([, id]) => id),
    counted.map(({ key }) => key),
    counted.map(({ first }) => first),
    counted.map(({ nth }) => nth),
    counted.map(({ line }) => line),
    leases.map(([runId]) => runId),
    leases.map(([, token]) => token)
  ]
}
