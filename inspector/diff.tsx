/** A run beside the one it was forked from, or beside any other: what each instruction came to in both. */
import type { JSX } from "preact"
import { useEffect, useMemo, useState } from "preact/hooks"
import { type Problem, problemOf, request, runPath } from "./api.ts"
import { type Difference, differences, lines, parting } from "./diff.ts"
import { Icon, words } from "./icons.tsx"
import { Panel } from "./item.tsx"
import { pretty, Value } from "./json.tsx"
import { nameOf } from "./lanes.ts"
import { go, type RunRoute } from "./route.ts"
import { RunLink } from "./run.tsx"
import { cut, errorText, plural, preview } from "./text.ts"
import type { Item, Json, View } from "./types.ts"
import { Button, ProblemBox, Text } from "./ui.tsx"
import { Virtual } from "./virtual.tsx"

const height = 30

/** Both runs with whole values, since of two long ones the beginning may be the same. */
const useBoth = (left: string | undefined, right: View) => {
  const [both, setBoth] = useState<readonly [View, View]>()
  const [problem, setProblem] = useState<Problem>()
  const { entries, runId } = right
  useEffect(() => {
    if (left === undefined) return
    let isGone = false
    const of = (id: string) => request<View>(runPath(id, "?whole=true"))
    void Promise.all([of(left), of(runId)])
      .then((views) => {
        if (isGone) return
        setProblem(undefined)
        setBoth(views)
      })
      .catch((error: unknown) => {
        if (isGone) return
        setProblem(problemOf(error))
        setBoth(undefined)
      })
    return () => {
      isGone = true
    }
  }, [left, runId, entries])
  return { both: both?.[0].runId === left ? both : undefined, problem }
}

const kinds = {
  same: ["=", "Same"],
  changed: ["≠", "Changed"],
  left: ["−", "Only there"],
  right: ["+", "Only here"]
} as const satisfies Record<Difference["kind"], readonly [string, string]>

export const DiffTab = ({ route, view }: {
  readonly view: View
  readonly route: RunRoute
}): JSX.Element => {
  const left = route.other ?? view.source?.runId
  const { both, problem } = useBoth(left, view)
  const [hides, setHides] = useState(false)
  const all = useMemo(
    () => both === undefined ? [] : differences(both[0].items, both[1].items),
    [both]
  )
  const shown = useMemo(() => hides ? all.filter(({ kind }) => kind !== "same") : all, [all, hides])
  const part = useMemo(() => parting(all), [all])
  const open = shown.find(({ stepId }) => stepId === route.open)
  const counts = (kind: Difference["kind"]) => all.filter((one) => one.kind === kind).length
  return (
    <div class={`split ${open === undefined ? "" : "opened"}`}>
      <section class="main" aria-label="Diff">
        <Other route={route} left={left} />
        {problem === undefined ? null : <ProblemBox of={problem} />}
        {left === undefined
          ? (
            <p class="empty">
              This run was not forked from another one. Name a run to compare it with.
            </p>
          )
          : both === undefined
          ? problem === undefined ? <p class="note">Reading both runs…</p> : null
          : (
            <>
              <p class="parting">
                There: <RunLink runId={left} /> <Icon of={both[0].status} />{" "}
                {words[both[0].status]}. Here: this run, <Icon of={both[1].status} />{" "}
                {words[both[1].status]}. {part === undefined
                  ? "All that both did is the same."
                  : (
                    <>
                      They part at{" "}
                      <button
                        type="button"
                        class="link mono"
                        onClick={() => go({ ...route, open: part.stepId }, true)}
                      >
                        <Text text={part.stepId} max={120} />
                      </button>.
                    </>
                  )}
              </p>
              <div class="tools">
                <span class="note">
                  {plural(counts("same"), "same", "same")}, {counts("changed")} changed,{" "}
                  {counts("left")} only there, {counts("right")} only here
                </span>
                <label class="pick small">
                  <input
                    type="checkbox"
                    checked={hides}
                    onChange={(event) => setHides(event.currentTarget.checked)}
                  />
                  <span>Only what differs</span>
                </label>
              </div>
              <div class="diffs">
                <div class="head" aria-hidden="true">
                  <div class="line">
                    <span />
                    <span>Instruction</span>
                    <span>There</span>
                    <span>Here</span>
                  </div>
                </div>
                <Virtual
                  label="Differences"
                  count={shown.length}
                  height={height}
                  covered={116}
                  keyOf={(i) => shown[i]!.stepId}
                  attributes={(i) => ({
                    class: `line ${shown[i] === open ? "open" : ""}`,
                    "data-item": shown[i]!.stepId,
                    "data-kind": shown[i]!.kind
                  })}
                  line={(i, tabIndex) => (
                    <Row
                      of={shown[i]!}
                      tabIndex={tabIndex}
                      isParting={shown[i] === part}
                      isOpen={shown[i] === open}
                      onOpen={() =>
                        go({
                          ...route,
                          open: shown[i] === open ? undefined : shown[i]!.stepId
                        }, true)}
                    />
                  )}
                />
              </div>
            </>
          )}
      </section>
      {open === undefined ? null : (
        <Panel
          label={`Difference of ${nameOf(open.stepId)}`}
          title={<Text text={open.stepId} max={160} />}
          onClose={() => go({ ...route, open: undefined }, true)}
        >
          <Both of={open} />
        </Panel>
      )}
    </div>
  )
}

const Other = ({ left, route }: {
  readonly route: RunRoute
  readonly left: string | undefined
}): JSX.Element => {
  const [text, setText] = useState(left ?? "")
  useEffect(() => setText(left ?? ""), [left])
  return (
    <form
      class="filters"
      onSubmit={(event) => {
        event.preventDefault()
        go({ ...route, other: text.trim(), open: undefined }, true)
      }}
    >
      <label class="pick wide">
        <span>Compare with run</span>
        <input
          type="text"
          class="mono"
          value={text}
          spellcheck={false}
          onInput={(event) => setText(event.currentTarget.value)}
        />
      </label>
      <Button type="submit">Compare</Button>
    </form>
  )
}

const says = (item: Item | undefined): string =>
  item === undefined
    ? ""
    : item.error !== undefined
    ? errorText(item.error as Json)
    : item.state === "done"
    ? preview(item.value as Json | undefined, 100)
    : words[item.state]

const Row = ({ isOpen, isParting, of, onOpen, tabIndex }: {
  readonly of: Difference
  readonly tabIndex: 0 | -1
  readonly isParting: boolean
  readonly isOpen: boolean
  readonly onOpen: () => void
}): JSX.Element => {
  const [sign, word] = kinds[of.kind]
  return (
    <button
      type="button"
      class="entry"
      tabIndex={tabIndex}
      data-focus
      aria-expanded={isOpen}
      onClick={onOpen}
    >
      <span class="sign" title={word}>
        <span aria-hidden="true">{sign}</span>
        <span class="hidden">{word}</span>
      </span>
      <span class="about">
        <Text text={of.stepId} max={120} />
        {isParting ? <span class="kind">they part here</span> : null}
      </span>
      <span class="text">
        <Text text={says(of.left)} max={100} />
      </span>
      <span class="text">
        <Text text={says(of.right)} max={100} />
      </span>
    </button>
  )
}

const textOf = (item: Item | undefined): string =>
  item === undefined ? "" : pretty((item.error ?? item.value) as Json | undefined)

const Both = ({ of }: { readonly of: Difference }): JSX.Element => {
  const { kind, left, right } = of
  const both = useMemo(() => {
    const a = textOf(left)
    const b = textOf(right)
    return kind === "changed" && a.length + b.length < 100_000 ? lines(a, b) : undefined
  }, [kind, left, right])
  const side = (name: string, item: Item | undefined) =>
    item === undefined ? null : (
      <section>
        <h3>
          {name}: {words[item.state]}
        </h3>
        <Value label={name} value={(item.error ?? item.value) as Json | undefined} />
      </section>
    )
  if (both === undefined || left === undefined || right === undefined) {
    return kind === "same"
      ? side("In both", right)!
      : (
        <>
          {side("There", left)}
          {side("Here", right)}
        </>
      )
  }
  return (
    <>
      <p class="note">
        There: {words[left.state]}. Here: {words[right.state]}.
      </p>
      <pre class="json lines" tabIndex={0} aria-label="Both values">
        {both.map(({ kind, text }, i) => (
          <span key={i} class={kind}>
            {{ same: "  ", left: "− ", right: "+ " }[kind]}
            <Text text={cut(text, 2_000)} max={Infinity} />
            {"\n"}
          </span>
        ))}
      </pre>
    </>
  )
}
