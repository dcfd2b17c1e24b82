/** The runs of the store: found by state, workflow and words, and kept up to date while they are seen. */
import type { JSX } from "preact"
import { useCallback } from "preact/hooks"
import { Filters } from "./filters.tsx"
import { Chip } from "./icons.tsx"
import { type Row, usePages } from "./pages.ts"
import { type ListRoute, toRun } from "./route.ts"
import { errorText, plural, preview } from "./text.ts"
import type { Status } from "./types.ts"
import { Button, ProblemBox, Text, Time } from "./ui.tsx"
import { Virtual } from "./virtual.tsx"

const height = 40

export const List = ({ route }: { readonly route: ListRoute }): JSX.Element => {
  const { hasMore, isBusy, isLoaded, isOld, look, more, problem, rows } = usePages(route)
  const onView = useCallback(
    (first: number, last: number) => look(Math.floor((first + last) / 2)),
    [look]
  )
  const isFiltered = route.status !== undefined || route.workflow !== undefined
    || route.search !== undefined
  return (
    <main class="page">
      <h1 class="hidden">Runs</h1>
      <Filters route={route} />
      {problem === undefined ? null : <ProblemBox of={problem} />}
      <div
        class="table runs"
        role="table"
        aria-label="Runs"
        aria-rowcount={hasMore ? -1 : rows.length + 1}
        aria-busy={isOld}
      >
        <div role="rowgroup" class="head">
          <div role="row" class="line">
            {["State", "Run", "Workflow", "Waits for, or came to", "Steps", "Updated"].map((
              name
            ) => <span key={name} role="columnheader">{name}</span>)}
          </div>
        </div>
        <Virtual
          role="rowgroup"
          label="Runs"
          count={rows.length}
          height={height}
          covered={92}
          keyOf={(i) => rows[i]!.runId}
          attributes={(i) => ({
            "data-run": rows[i]!.runId,
            "data-state": rows[i]!.run?.status ?? "unreadable"
          })}
          onView={onView}
          line={(i, tabIndex) => <Line row={rows[i]!} tabIndex={tabIndex} />}
        />
      </div>
      <footer class="more">
        {!isLoaded
          ? problem === undefined ? <p class="note">Looking for runs…</p> : null
          : rows.length === 0
          ? (
            <p class="empty">
              {isFiltered
                ? "No run is like that."
                : "There are no runs in this store yet. Start one, and it appears here."}
            </p>
          )
          : (
            <>
              <span class="note">
                {plural(rows.length, "run")}
                {hasMore ? " shown, and there are more" : ""}
              </span>
              {hasMore
                ? <Button onAct={more} disabled={isBusy}>{isBusy ? "Loading…" : "More"}</Button>
                : null}
            </>
          )}
      </footer>
    </main>
  )
}

const Line = ({ row, tabIndex }: {
  readonly row: Row
  readonly tabIndex: 0 | -1
}): JSX.Element => {
  const { run, runId } = row
  const link = (
    <span role="cell" class="mono">
      <a class="cover" href={toRun(runId)} tabIndex={tabIndex} data-focus>
        <Text text={runId} />
      </a>
    </span>
  )
  if (run === undefined) {
    return (
      <>
        <span role="cell">
          <Chip state="unreadable" />
        </span>
        {link}
        <span role="cell" class="unreadable">
          <Text text={row.message} />
        </span>
      </>
    )
  }
  const { done, failed, running } = run.steps
  return (
    <>
      <span role="cell">
        <Chip state={run.status} />
      </span>
      {link}
      <span role="cell">
        <Text text={run.workflow} max={80} />
        {run.version === undefined ? null : (
          <span class="aside">
            {" "}
            <Text text={run.version} max={24} />
          </span>
        )}
      </span>
      <span role="cell" class="waits">
        <Waits run={run} />
      </span>
      <span role="cell" class="count">
        {done.toLocaleString("en")}
        {running > 0 ? <span class="aside">{` +${running}`}</span> : null}
        {failed > 0 ? <span class="bad">{` ${failed} failed`}</span> : null}
      </span>
      <span role="cell" class="when">
        <Time at={run.updatedAt} isAgo />
      </span>
    </>
  )
}

/** What the run waits for, or what it came to. */
const Waits = ({ run }: { readonly run: Status }): JSX.Element => {
  const [first] = run.waits
  const more = run.waits.length > 1
    ? <span class="aside">{` +${run.waits.length - 1}`}</span>
    : null
  if (first !== undefined) {
    const { event, key, kind, stepId, wakeAt } = first
    return (
      <>
        {kind === "event"
          ? <Text text={event ?? stepId} max={60} />
          : <>{kind === "child" ? "child run" : kind}</>}
        {key === undefined ? null : (
          <span class="aside">
            {" "}
            <Text text={key} max={40} />
          </span>
        )}
        {wakeAt === undefined ? null : (
          <span class="aside">
            {kind === "event" ? " until " : " at "}
            <Time at={wakeAt} />
          </span>
        )}
        {more}
      </>
    )
  }
  const text = run.status === "failed"
    ? errorText(run.error)
    : run.status === "success"
    ? preview(run.result, 80)
    : run.reason ?? ""
  return (
    <span class={run.status === "failed" ? "bad" : "aside"}>
      <Text text={text} max={120} />
    </span>
  )
}
