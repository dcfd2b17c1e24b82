/** Runs that begin with what this one did: from a step on, or with another result of it. */
import type { JSX } from "preact"
import { useId, useState } from "preact/hooks"
import { denied, request, runPath, session } from "./api.ts"
import { Dialog } from "./dialog.tsx"
import { pretty } from "./json.tsx"
import { nameOf } from "./lanes.ts"
import { go } from "./route.ts"
import { announce, useCell } from "./store.ts"
import { isCut, type Item, type Json, type Lines, type View } from "./types.ts"
import { Button, goesOn, ProblemBox, Text, useAct } from "./ui.tsx"
import { wholeOf } from "./view.ts"

const fork = async (
  runId: string,
  body: { readonly [key: string]: Json }
): Promise<void> => {
  const { runId: made } = await request<{ readonly runId: string }>(runPath(runId, "/fork"), {
    method: "POST",
    body
  })
  announce(`A new run was begun.${goesOn()}`)
  go({ page: "run", runId: made, tab: "timeline" })
}

export const ForkHere = ({ item, view }: {
  readonly item: Item
  readonly view: View
}): JSX.Element => {
  const [isAsking, setAsking] = useState(false)
  const { act, isBusy, problem } = useAct()
  const name = nameOf(item.stepId)
  return (
    <>
      <Button scope="admin" onAct={() => setAsking(true)}>Fork from here</Button>
      {!isAsking ? null : (
        <Dialog title="Fork from here" onClose={() => setAsking(false)}>
          <p>
            A new run begins with all that this run did before{" "}
            <code>
              <Text text={name} max={80} />
            </code>
            , and does <strong>again</strong> what came from there on. This run stays as it is.
          </p>
          {problem === undefined ? null : <ProblemBox of={problem} />}
          <footer class="actions">
            <Button
              kind="main"
              scope="admin"
              disabled={isBusy}
              onAct={() => act(() => fork(view.runId, { fromStep: item.stepId }))}
            >
              {isBusy ? "Forking…" : "Fork"}
            </Button>
          </footer>
        </Dialog>
      )}
    </>
  )
}

/** How many entries of the journal there are up to the outcome of a step, with it. */
const behind = async (runId: string, stepId: string): Promise<number> => {
  const limit = 1_000
  for (let from = 0;; from += limit) {
    const { entries, total } = await request<Lines>(
      runPath(runId, `/journal?offset=${from}&limit=${limit}`)
    )
    const at = entries.findIndex((entry) => entry.type === "step" && entry.stepId === stepId)
    if (at >= 0) return from + at + 1
    if (from + limit >= total || entries.length === 0) return total
  }
}

export const ForkOtherwise = ({ item, view }: {
  readonly item: Item
  readonly view: View
}): JSX.Element | null => {
  const who = useCell(session)
  const [value, setValue] = useState<Json>()
  const { act, isBusy, problem } = useAct()
  const isDone = item.kind === "step" && (item.state === "done" || item.state === "failed")
  if (!isDone) return null
  const given = (item.value ?? null) as Json
  const open = () =>
    act(async () =>
      setValue(
        isCut(given) ? await wholeOf(view.runId, item.stepId, "value")() ?? null : given
      )
    )
  return (
    <>
      <Button scope="admin" onAct={open} disabled={isBusy && value === undefined}>
        Fork with another result…
      </Button>
      {problem !== undefined && value === undefined ? <ProblemBox of={problem} /> : null}
      {value === undefined || denied(who, "admin") !== undefined ? null : (
        <Otherwise
          item={item}
          runId={view.runId}
          value={value}
          onClose={() => setValue(undefined)}
        />
      )}
    </>
  )
}

const Otherwise = ({ item, onClose, runId, value }: {
  readonly item: Item
  readonly runId: string
  readonly value: Json
  readonly onClose: () => void
}): JSX.Element => {
  const [text, setText] = useState(pretty(value))
  const [mistake, setMistake] = useState<string>()
  const { act, isBusy, problem } = useAct()
  const id = useId()
  const name = nameOf(item.stepId)
  const submit = () => {
    let override: Json
    try {
      override = JSON.parse(text) as Json
    } catch (error) {
      setMistake(error instanceof Error ? error.message : String(error))
      return
    }
    setMistake(undefined)
    act(async () =>
      fork(runId, {
        fromOffset: await behind(runId, item.stepId),
        override: { [item.stepId]: override }
      })
    )
  }
  return (
    <Dialog title="Fork with another result" onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          submit()
        }}
      >
        <p>
          A new run begins with all that this run did up to{" "}
          <code>
            <Text text={name} max={80} />
          </code>
          , as if that had given what stands below. The step itself does <strong>not</strong>{" "}
          run again; everything behind it does. This run stays as it is.
        </p>
        <label for={id}>Result, as JSON</label>
        <textarea
          id={id}
          class="mono"
          rows={Math.min(18, Math.max(5, text.split("\n").length + 1))}
          spellcheck={false}
          value={text}
          aria-invalid={mistake !== undefined}
          aria-describedby={mistake === undefined ? undefined : `${id}-mistake`}
          onInput={(event) => setText(event.currentTarget.value)}
        />
        {mistake === undefined
          ? null
          : <p class="mistake" id={`${id}-mistake`} role="alert">This is no JSON: {mistake}</p>}
        {text.includes("<redacted>")
          ? <p class="note">Secrets are shown as &lt;redacted&gt;: give their values anew.</p>
          : null}
        {problem === undefined ? null : <ProblemBox of={problem} />}
        <footer class="actions">
          <Button type="submit" kind="main" scope="admin" disabled={isBusy}>
            {isBusy ? "Forking…" : "Fork with this result"}
          </Button>
        </footer>
      </form>
    </Dialog>
  )
}
