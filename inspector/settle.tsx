/** A person's word on what nobody else can know: what became of a step whose process died with its outcome. */
import type { JSX } from "preact"
import { useId, useState } from "preact/hooks"
import { request, runPath } from "./api.ts"
import { announce } from "./store.ts"
import type { Json, View } from "./types.ts"
import { Button, goesOn, ProblemBox, Text, useAct } from "./ui.tsx"

type Verdict = "value" | "failure" | "retry"

const verdicts: ReadonlyArray<readonly [Verdict, string]> = [
  ["value", "It was done, and gave this"],
  ["failure", "It was not done: it failed"],
  ["retry", "It may run again"]
]

export const Settle = ({ onDone, stepId, view }: {
  readonly view: View
  /** Without one it is about the run as a whole, which died again and again. */
  readonly stepId?: string
  readonly onDone: () => void
}): JSX.Element => {
  const [verdict, setVerdict] = useState<Verdict>()
  const [text, setText] = useState("")
  const [mistake, setMistake] = useState<string>()
  const { act, isBusy, problem } = useAct()
  const id = useId()
  const settle = (verdict?: Json) =>
    act(async () => {
      await request(runPath(view.runId, "/settle"), {
        method: "POST",
        body: {
          ...(stepId === undefined ? undefined : { stepId }),
          ...(verdict === undefined ? undefined : { verdict })
        }
      })
      announce(`Settled.${goesOn()}`)
      onDone()
    })
  if (stepId === undefined) {
    return (
      <div class="card">
        <h2>Blocked: its process died again and again</h2>
        <p class="note">
          So many sessions in a row recorded nothing but their start that something in the run kills
          its process. When the cause is gone, let it go on.
        </p>
        {problem === undefined ? null : <ProblemBox of={problem} />}
        <footer class="actions">
          <Button kind="main" scope="admin" disabled={isBusy} onAct={() => settle()}>
            Let it go on
          </Button>
        </footer>
      </div>
    )
  }
  const submit = () => {
    setMistake(undefined)
    if (verdict === undefined) setMistake("Choose what became of it.")
    else if (verdict === "retry") settle({ retry: true })
    else if (verdict === "failure") {
      if (text.trim() === "") setMistake("Say why it failed.")
      else settle({ failure: text })
    } else {
      try {
        settle({ value: JSON.parse(text) as Json })
      } catch (error) {
        setMistake(`This is no JSON: ${error instanceof Error ? error.message : String(error)}`)
      }
    }
  }
  return (
    <form
      class="card"
      aria-label={`Settle ${stepId}`}
      onSubmit={(event) => {
        event.preventDefault()
        submit()
      }}
    >
      <h2>
        What became of{" "}
        <code>
          <Text text={stepId} max={120} />
        </code>
        ?
      </h2>
      <p class="note">
        Its attempt was begun and may run at most once, and there is no outcome. If its process is
        gone, look where it would have left something, then say what happened.
      </p>
      <div class="choices" role="radiogroup" aria-label="What became of it">
        {verdicts.map(([one, words]) => (
          <label key={one}>
            <input
              type="radio"
              name={id}
              checked={verdict === one}
              onChange={() => setVerdict(one)}
            />
            {words}
          </label>
        ))}
      </div>
      {verdict === "value" || verdict === "failure"
        ? (
          <div class="field">
            <label for={`${id}-text`}>
              {verdict === "value" ? "Result, as JSON; null for none" : "Why it failed"}
            </label>
            <textarea
              id={`${id}-text`}
              class={verdict === "value" ? "mono" : ""}
              rows={3}
              value={text}
              onInput={(event) => setText(event.currentTarget.value)}
            />
          </div>
        )
        : null}
      {mistake === undefined ? null : <p class="mistake" role="alert">{mistake}</p>}
      {problem === undefined ? null : <ProblemBox of={problem} />}
      <footer class="actions">
        <Button type="submit" kind="main" scope="admin" disabled={isBusy}>
          {isBusy ? "Settling…" : "Settle"}
        </Button>
      </footer>
    </form>
  )
}
