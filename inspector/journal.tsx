/** The entries of a journal, as they were recorded; pages of it are fetched when they come into view. */
import type { JSX } from "preact"
import { useCallback, useEffect, useRef, useState } from "preact/hooks"
import { type Problem, problemOf, request, runPath } from "./api.ts"
import { Panel } from "./item.tsx"
import { Value } from "./json.tsx"
import { go, type RunRoute } from "./route.ts"
import { errorText, plural, preview } from "./text.ts"
import type { Json, Line, Lines, View, Wait } from "./types.ts"
import { Fact, ProblemBox, Text, Time } from "./ui.tsx"
import { Virtual } from "./virtual.tsx"

const height = 28
const pageSize = 200

/** The entries that are known, by their place; what is in view is fetched. */
const useLines = (runId: string, count: number) => {
  const [lines, setLines] = useState<ReadonlyMap<number, Line>>(new Map())
  const [total, setTotal] = useState(count)
  const [problem, setProblem] = useState<Problem>()
  const pending = useRef(new Set<number>())
  const known = useRef(lines)
  known.current = lines
  const [seen, setSeen] = useState<readonly [number, number]>([0, 60])
  const length = Math.max(total, count)

  useEffect(() => {
    const stop = new AbortController()
    // Behind somebody who scrolls fast, nothing is fetched.
    const timer = setTimeout(() => {
      const [first, last] = seen
      for (
        let page = Math.floor(first / pageSize);
        page * pageSize < Math.min(last + 20, length);
        page++
      ) {
        const offset = page * pageSize
        const end = Math.min(offset + pageSize, length)
        let isKnown = true
        for (let i = offset; i < end; i++) isKnown &&= known.current.has(i)
        if (isKnown || pending.current.has(page)) continue
        pending.current.add(page)
        void request<Lines>(runPath(runId, `/journal?offset=${offset}&limit=${pageSize}`))
          .then(({ entries, total }) => {
            setProblem(undefined)
            setTotal(total)
            setLines((before) => {
              const next = new Map(before)
              for (const [i, entry] of entries.entries()) next.set(offset + i, entry)
              return next
            })
          })
          .catch((error: unknown) => setProblem(problemOf(error)))
          .then(() => pending.current.delete(page))
      }
    }, 60)
    return () => {
      clearTimeout(timer)
      stop.abort()
    }
  }, [runId, seen, length])
  const onView = useCallback((first: number, last: number) => setSeen([first, last]), [])
  return { length, lines, onView, problem }
}

export const JournalTab = ({ route, view }: {
  readonly view: View
  readonly route: RunRoute
}): JSX.Element => {
  const { length, lines, onView, problem } = useLines(view.runId, view.entries)
  const at = route.open === undefined ? undefined : Number(route.open)
  const open = at === undefined ? undefined : lines.get(at)
  return (
    <div class={`split ${open === undefined ? "" : "opened"}`}>
      <section class="main" aria-label="Journal">
        <div class="tools">
          <span class="note">
            {plural(length, "entry", "entries")}
            {view.rejected > 0
              ? `, and ${view.rejected} ignored of writers that had lost the run`
              : ""}
            {view.torn > 0 ? `, and ${plural(view.torn, "torn line")}` : ""}
          </span>
        </div>
        {problem === undefined ? null : <ProblemBox of={problem} />}
        <div class="journal">
          <Virtual
            label="Entries"
            count={length}
            height={height}
            covered={84}
            current={at}
            keyOf={String}
            onView={onView}
            attributes={(i) => ({ class: `line ${i === at ? "open" : ""}`, "data-entry": i })}
            line={(i, tabIndex) => (
              <Entry
                offset={i}
                line={lines.get(i)}
                tabIndex={tabIndex}
                isOpen={i === at}
                onOpen={() => go({ ...route, open: i === at ? undefined : String(i) }, true)}
              />
            )}
          />
        </div>
      </section>
      {open === undefined ? null : <EntryPanel key={open.offset} line={open} route={route} />}
    </div>
  )
}

const word = (value: Json | undefined): string => typeof value === "string" ? value : ""

/** What an entry is about, and what it says, in a line. */
const says = (line: Line): readonly [about: string, says: string] => {
  const { changeId, error, eventName, metadata, reason, result, stepId, type, value, waits } = line
  const about = stepId ?? word(eventName ?? changeId)
  if (error !== undefined) return [about, errorText(error)]
  if (type === "suspend" && Array.isArray(waits)) {
    const names = (waits as ReadonlyArray<Wait>).slice(0, 20).map(({ event, kind, stepId }) =>
      event ?? `${kind} ${stepId}`
    )
    return ["", names.join(", ")]
  }
  return [about, word(reason) || preview(result ?? value ?? metadata)]
}

const Entry = ({ isOpen, line, offset, onOpen, tabIndex }: {
  readonly offset: number
  readonly line: Line | undefined
  readonly tabIndex: 0 | -1
  readonly isOpen: boolean
  readonly onOpen: () => void
}): JSX.Element => {
  if (line === undefined) {
    return (
      <button type="button" class="entry" tabIndex={tabIndex} data-focus>
        <span class="offset">{offset}</span>
        <span class="aside">…</span>
      </button>
    )
  }
  const [about, text] = says(line)
  return (
    <button
      type="button"
      class="entry"
      tabIndex={tabIndex}
      data-focus
      aria-expanded={isOpen}
      onClick={onOpen}
    >
      <span class="offset">{offset}</span>
      <span class="at">
        <Time at={line.timestamp} isExact />
      </span>
      <span
        class="type"
        data-type={line.type}
        data-failed={line.error === undefined ? undefined : ""}
      >
        {line.type}
      </span>
      <span class="about">
        <Text text={about} max={120} />
      </span>
      <span class={line.error === undefined ? "text" : "text bad"}>
        <Text text={text} max={160} />
      </span>
    </button>
  )
}

/** What belongs to the line and not to what it says. */
const envelope = new Set([
  "type",
  "session",
  "offset",
  "timestamp",
  "incarnation",
  "writer",
  "prev",
  "sum"
])

const EntryPanel = ({ line, route }: {
  readonly line: Line
  readonly route: RunRoute
}): JSX.Element => {
  const { offset, session, stepId, timestamp, type, writer } = line
  const said = Object.fromEntries(
    Object.entries(line).filter((pair): pair is [string, Json] => !envelope.has(pair[0]))
  )
  return (
    <Panel
      label={`Entry ${offset}`}
      title={`Entry ${offset}: ${type}`}
      onClose={() => go({ ...route, open: undefined }, true)}
    >
      <dl class="facts narrow">
        <Fact name="Time">
          <Time at={timestamp} isExact />
        </Fact>
        <Fact name="Session">{session}</Fact>
        {typeof writer !== "string" ? null : (
          <Fact name="Writer">
            <code>
              <Text text={writer} max={60} />
            </code>
          </Fact>
        )}
        {stepId === undefined ? null : (
          <Fact name="Instruction">
            <code>
              <Text text={stepId} />
            </code>
          </Fact>
        )}
      </dl>
      <Value label={`Entry ${offset}`} value={said} />
    </Panel>
  )
}
