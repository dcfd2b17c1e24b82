/** What is done with a run as a whole: a failed one is tried again, an open one cancelled. */
import type { JSX } from "preact"
import { useId, useState } from "preact/hooks"
import { freshId, request, runPath } from "./api.ts"
import { Dialog } from "./dialog.tsx"
import { go } from "./route.ts"
import { announce } from "./store.ts"
import type { View } from "./types.ts"
import { Button, goesOn, ProblemBox, Text, useAct } from "./ui.tsx"
import { isEnded } from "./view.ts"

export const Retry = ({ view }: { readonly view: View }): JSX.Element | null => {
  const { act, isBusy, problem } = useAct()
  if (view.status !== "failed") return null
  return (
    <>
      <Button
        kind="main"
        scope="admin"
        disabled={isBusy}
        title="Begins a new run with what was done before the step that failed, and tries that again"
        onAct={() =>
          act(async () => {
            const { runId } = await request<{ readonly runId: string }>(
              runPath(view.runId, "/retry"),
              { method: "POST", body: {} }
            )
            announce(`A new run tries it again.${goesOn()}`)
            go({ page: "run", runId, tab: "timeline" })
          })}
      >
        {isBusy ? "Retrying…" : "Retry"}
      </Button>
      {problem === undefined ? null : <ProblemBox of={problem} />}
    </>
  )
}

export const Cancel = ({ onDone, view }: {
  readonly view: View
  readonly onDone: () => void
}): JSX.Element | null => {
  const [isAsking, setAsking] = useState(false)
  const [reason, setReason] = useState("")
  const [eventId, setEventId] = useState(freshId)
  const { act, isBusy, problem } = useAct()
  const id = useId()
  const isAsked = [...view.events, ...view.posted].some(({ type }) => type === "cancel")
  if (isEnded(view)) return null
  const cancel = () =>
    act(async () => {
      await request(runPath(view.runId, "/cancel"), {
        method: "POST",
        body: { eventId, ...(reason === "" ? undefined : { reason }) }
      })
      announce(`Asked for the run to be cancelled.${goesOn()}`)
      setAsking(false)
      setEventId(freshId())
      onDone()
    })
  return (
    <>
      <Button kind="danger" scope="admin" onAct={() => setAsking(true)}>Cancel run…</Button>
      {!isAsking ? null : (
        <Dialog title="Cancel this run?" onClose={() => setAsking(false)}>
          <form
            onSubmit={(event) => {
              event.preventDefault()
              cancel()
            }}
          >
            <p>
              <code>
                <Text text={view.runId} />
              </code>{" "}
              {isAsked
                ? "is being cancelled already. Asked a second time it ends at once, "
                  + "whether it has cleaned up or not."
                : "stops what it does, undoes what it can undo, and ends. "
                  + "This cannot be taken back."}
            </p>
            <label for={id}>
              Reason <span class="aside">optional</span>
            </label>
            <input
              id={id}
              type="text"
              value={reason}
              onInput={(event) => setReason(event.currentTarget.value)}
            />
            {problem === undefined ? null : <ProblemBox of={problem} />}
            <footer class="actions">
              <Button onAct={() => setAsking(false)}>Keep it</Button>
              <Button type="submit" kind="danger" scope="admin" disabled={isBusy}>
                {isBusy ? "Cancelling…" : "Cancel the run"}
              </Button>
            </footer>
          </form>
        </Dialog>
      )}
    </>
  )
}
