/** A run: what it is, what can be done with it, and below that what it did, in three ways. */
import type { JSX } from "preact"
import { useEffect, useRef } from "preact/hooks"
import { Act } from "./act.tsx"
import { DiffTab } from "./diff.tsx"
import { Chip } from "./icons.tsx"
import { JournalTab } from "./journal.tsx"
import { Value } from "./json.tsx"
import { useKeys } from "./keys.ts"
import { format, go, lastList, type RunRoute, type Tab, toRun } from "./route.ts"
import { Cancel, Retry } from "./steer.tsx"
import { plural, visible } from "./text.ts"
import { span } from "./time.ts"
import { TimelineTab } from "./timeline.tsx"
import type { View } from "./types.ts"
import { Fact, ProblemBox, Text, Time } from "./ui.tsx"
import { isEnded, useView } from "./view.ts"

const tabs: ReadonlyArray<readonly [Tab, string]> = [
  ["timeline", "Timeline"],
  ["journal", "Journal"],
  ["diff", "Diff"]
]

export const Run = ({ route }: { readonly route: RunRoute }): JSX.Element => {
  const { problem, refresh, view } = useView(route.runId)
  useEffect(() => {
    document.title = `${visible(route.runId).slice(0, 80)} · reprise`
  }, [route.runId])
  useKeys((key) => {
    const tab = tabs[Number(key) - 1]
    if (tab !== undefined) go({ ...route, tab: tab[0], open: undefined }, true)
    else if (key === "Escape" && route.open !== undefined) go({ ...route, open: undefined }, true)
    else if (key === "Escape") go(lastList())
    else return false
    return true
  })
  if (view === undefined) {
    return (
      <main class="page">
        <h1 class="mono">
          <Text text={route.runId} />
        </h1>
        {problem === undefined ? <p class="note">Reading the run…</p> : <ProblemBox of={problem} />}
      </main>
    )
  }
  return (
    <main class="page" data-run={view.runId} data-state={view.status}>
      <Header view={view} onDone={refresh} />
      {problem === undefined ? null : <ProblemBox of={problem} />}
      <Act view={view} onDone={refresh} />
      <Tabs route={route} />
      {route.tab === "timeline"
        ? <TimelineTab view={view} route={route} />
        : route.tab === "journal"
        ? <JournalTab view={view} route={route} />
        : <DiffTab view={view} route={route} />}
    </main>
  )
}

const Tabs = ({ route }: { readonly route: RunRoute }): JSX.Element => (
  <nav class="tabs" aria-label="Views of the run">
    {tabs.map(([tab, name], i) => (
      <a
        key={tab}
        href={format({ page: "run", runId: route.runId, tab })}
        aria-current={route.tab === tab ? "page" : undefined}
        title={`Key ${i + 1}`}
      >
        {name}
      </a>
    ))}
  </nav>
)

const Header = ({ onDone, view }: {
  readonly view: View
  readonly onDone: () => void
}): JSX.Element => {
  const { continuedAs, createdAt, entries, error, input, parent, rejected } = view
  const { result, runId, sessions, source, status, steps, torn, updatedAt, version, workflow } =
    view
  const title = useRef<HTMLHeadingElement>(null)
  // What was followed here is gone with the page that it was on.
  useEffect(() => {
    if (document.activeElement === document.body) title.current?.focus({ preventScroll: true })
  }, [])
  return (
    <header class="run">
      <div class="title">
        <h1 class="mono" tabIndex={-1} ref={title}>
          <Text text={runId} />
        </h1>
        <Chip state={status} />
        <span class="actions">
          <Retry view={view} />
          <Cancel view={view} onDone={onDone} />
        </span>
      </div>
      <dl class="facts">
        <Fact name="Workflow">
          <Text text={workflow} max={80} />
          {version === undefined ? null : (
            <span class="aside">
              {" "}
              <Text text={version} max={24} />
            </span>
          )}
        </Fact>
        <Fact name="Started">
          <Time at={createdAt} />
        </Fact>
        <Fact name={isEnded(view) ? "Ended" : "Updated"}>
          <Time at={updatedAt} isAgo={!isEnded(view)} />
        </Fact>
        {isEnded(view)
          ? <Fact name="Took">{span(Date.parse(updatedAt) - Date.parse(createdAt))}</Fact>
          : null}
        <Fact name="Steps">
          {`${steps.done} done`}
          {steps.running > 0 ? `, ${steps.running} running` : ""}
          {steps.failed > 0 ? <span class="bad">{`, ${steps.failed} failed`}</span> : null}
        </Fact>
        <Fact name="Journal">
          {plural(entries, "entry", "entries")}, {plural(sessions.length, "session")}
          {rejected > 0 ? `, ${rejected} ignored` : ""}
          {torn > 0 ? `, ${torn} torn` : ""}
        </Fact>
        {source === undefined ? null : (
          <Fact name="Forked from">
            <RunLink runId={source.runId} /> <span class="aside">at entry {source.offset}</span>
          </Fact>
        )}
        {parent === undefined ? null : (
          <Fact name="Child of">
            <RunLink runId={parent.runId} />
          </Fact>
        )}
        {continuedAs === undefined ? null : (
          <Fact name="Goes on as">
            <RunLink runId={continuedAs} />
          </Fact>
        )}
      </dl>
      <div class="values">
        {error === undefined ? null : (
          <details open>
            <summary class="bad">Error</summary>
            <Value label="Error" value={error} />
          </details>
        )}
        {result === undefined ? null : (
          <details open>
            <summary>Result</summary>
            <Value label="Result" value={result} />
          </details>
        )}
        {input === undefined ? null : (
          <details>
            <summary>Input</summary>
            <Value label="Input" value={input} />
          </details>
        )}
        {Object.keys(view.progress).length === 0 ? null : (
          <details open>
            <summary>Progress</summary>
            <Value label="Progress" value={JSON.parse(JSON.stringify(view.progress))} />
          </details>
        )}
        {view.next.length === 0 ? null : (
          <details>
            <summary>To go on with it in code</summary>
            <ul class="next">
              {view.next.map((call) => (
                <li key={call}>
                  <code>
                    <Text text={call} max={600} />
                  </code>
                </li>
              ))}
            </ul>
          </details>
        )}
      </div>
    </header>
  )
}

export const RunLink = ({ runId }: { readonly runId: string }): JSX.Element => (
  <a class="mono" href={toRun(runId)}>
    <Text text={runId} />
  </a>
)
