/** An event that a run waits for, as a form of its schema. */
import type { JSX } from "preact"
import { useId, useMemo, useRef, useState } from "preact/hooks"
import { freshId, request, runPath, session } from "./api.ts"
import { type Draft, empty, type Mistake, read } from "./draft.ts"
import { Fields } from "./form.tsx"
import { fieldOf } from "./schema.ts"
import { announce, useCell } from "./store.ts"
import type { Json, Session, View, Wait } from "./types.ts"
import { Button, goesOn, ProblemBox, Text, Time, useAct } from "./ui.tsx"

const schemaOf = (who: Session | undefined, { version, workflow }: View, event: string) => {
  const known = who?.workflows.filter(({ name }) => name === workflow) ?? []
  const one = known.find((known) => known.version === version) ?? known[0]
  return one !== undefined && Object.hasOwn(one.events, event)
    ? one.events[event]?.schema
    : undefined
}

const isPosted = ({ posted }: View, { event, key, stepId }: Wait) =>
  posted.some((post) =>
    post.type === "event" && post.eventName === (event ?? stepId) && post.key === key
  )

export const EventForm = ({ onDone, view, wait }: {
  readonly view: View
  readonly wait: Wait
  readonly onDone: () => void
}): JSX.Element => {
  const who = useCell(session)
  const { event = wait.stepId, key, reason, wakeAt } = wait
  const schema = schemaOf(who, view, event)
  const field = useMemo(() => fieldOf(schema), [schema])
  const [filled, setDraft] = useState<{ readonly field: typeof field; readonly draft: Draft }>()
  const draft = filled?.field === field ? filled.draft : empty(field)
  const [mistakes, setMistakes] = useState<ReadonlyArray<Mistake>>([])
  const [eventId, setEventId] = useState(freshId)
  // Somebody may have answered already, here or elsewhere.
  const [isSent, setSent] = useState(() => isPosted(view, wait))
  const { act, isBusy, problem } = useAct()
  const form = useRef<HTMLFormElement>(null)
  const id = useId()

  const submit = () => {
    const given = read(field, draft)
    setMistakes(given.mistakes ?? [])
    if (given.mistakes !== undefined) {
      requestAnimationFrame(() =>
        form.current?.querySelector<HTMLElement>("[aria-invalid=true]")?.focus()
      )
      return
    }
    act(async () => {
      await request(runPath(view.runId, "/events"), {
        method: "POST",
        body: { eventName: event, value: given.value as Json, key, eventId }
      })
      setSent(true)
      announce(`Sent ${event}.${goesOn()}`)
      onDone()
    })
  }
  return (
    <form
      ref={form}
      class="card"
      aria-labelledby={`${id}-title`}
      data-event={event}
      noValidate
      onSubmit={(event) => {
        event.preventDefault()
        submit()
      }}
    >
      <h2 id={`${id}-title`}>
        Waits for{" "}
        <code>
          <Text text={event} max={120} />
        </code>
        {key === undefined ? null : (
          <span class="aside">
            {" key "}
            <code>
              <Text text={key} max={120} />
            </code>
          </span>
        )}
      </h2>
      <p class="note">
        {reason === undefined ? null : (
          <>
            <Text text={reason} />
            <br />
          </>
        )}
        Since <Time at={wait.since} />
        {wakeAt === undefined ? "." : (
          <>
            {", until "}
            <Time at={wakeAt} />.
          </>
        )}
      </p>
      {isSent
        ? (
          <div class="sent" role="status">
            <p>Sent.{goesOn()}</p>
            <Button
              onAct={() => {
                setSent(false)
                setEventId(freshId())
              }}
            >
              Send another one
            </Button>
          </div>
        )
        : (
          <>
            <Fields
              field={field}
              draft={draft}
              name=""
              path=""
              id={id}
              mistakes={mistakes}
              onChange={(draft) => setDraft({ field, draft })}
            />
            {problem === undefined ? null : <ProblemBox of={problem} />}
            <footer class="actions">
              <Button
                type="submit"
                kind="main"
                scope="send"
                disabled={isBusy}
                aria-label={`Send ${event}`}
              >
                {isBusy ? "Sending…" : "Send"}
              </Button>
            </footer>
          </>
        )}
    </form>
  )
}
