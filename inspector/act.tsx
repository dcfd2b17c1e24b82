/** What a run needs of somebody: events it waits for, decisions, and that it is tried again or cancelled. */
import type { JSX } from "preact"
import { useId, useMemo, useRef, useState } from "preact/hooks"
import { request, runPath, session } from "./api.ts"
import { Dialog } from "./dialog.tsx"
import { type Draft, empty, type Mistake, read } from "./draft.ts"
import { Fields } from "./form.tsx"
import { go } from "./route.ts"
import { RunLink } from "./run.tsx"
import { fieldOf } from "./schema.ts"
import { Settle } from "./settle.tsx"
import { announce, useCell } from "./store.ts"
import { plural, preview } from "./text.ts"
import type { Json, Posted, Session, View, Wait } from "./types.ts"
import { Button, goesOn, ProblemBox, Text, Time, useAct } from "./ui.tsx"
import { isEnded } from "./view.ts"

/** More forms than this nobody reads. */
const atMost = 5

export const Act = ({ onDone, view }: {
  readonly view: View
  readonly onDone: () => void
}): JSX.Element | null => {
  const [shown, setShown] = useState(atMost)
  const events = view.waits.filter(({ kind }) => kind === "event")
  const others = view.waits.filter(({ kind }) => kind !== "event")
  // While a process drives the run its attempt is simply under way.
  const intents = view.status === "blocked" ? view.intents : []
  const isCrashLoop = view.status === "blocked" && view.reason === "CrashLoop"
  const needs = view.waits.length + intents.length + view.posted.length
  if (isEnded(view) || (needs === 0 && !isCrashLoop)) {
    return view.status === "blocked" && view.reason !== undefined
      ? (
        <section class="act" aria-label="What the run needs">
          <div class="card">
            <h2>
              Blocked: <Text text={view.reason} />
            </h2>
          </div>
        </section>
      )
      : null
  }
  return (
    <section class="act" aria-label="What the run needs">
      {isCrashLoop ? <Settle view={view} onDone={onDone} /> : null}
      {intents.map((stepId) => <Settle key={stepId} view={view} stepId={stepId} onDone={onDone} />)}
      {events.slice(0, shown).map((wait) => (
        <EventForm key={`${wait.stepId} ${wait.since}`} wait={wait} view={view} onDone={onDone} />
      ))}
      {events.length > shown
        ? (
          <Button onAct={() => setShown(shown + 20)}>
            {plural(events.length - shown, "more event")}
          </Button>
        )
        : null}
      {view.posted.length === 0 ? null : <Waiting of={view.posted} />}
      {view.damage === undefined ? null : (
        <div class="problem" role="alert">
          What was posted cannot be read: <Text text={view.damage} max={600} />
        </div>
      )}
      {others.length === 0 ? null : (
        <ul class="waiting" aria-label="Waits for no person">
          {others.slice(0, 20).map((wait) => (
            <li key={wait.stepId}>
              <Other wait={wait} />
            </li>
          ))}
          {others.length > 20 ? <li>{plural(others.length - 20, "more", "more")}</li> : null}
        </ul>
      )}
    </section>
  )
}

/** What was sent and is not in the journal yet. */
const Waiting = ({ of }: { readonly of: ReadonlyArray<Posted> }): JSX.Element => (
  <section class="posted" aria-label="Posted, and not taken yet">
    <h3>Posted, and not taken yet</h3>
    <ul>
      {of.slice(0, 20).map(({ eventId, eventName, reason, stepId, timestamp, type, value }) => (
        <li key={eventId}>
          <Time at={timestamp} />
          <span>{type}</span>
          <span class="mono">
            <Text text={eventName ?? stepId ?? ""} max={80} />
          </span>
          <span class="aside mono">
            <Text text={reason ?? preview(value as Json | undefined)} max={140} />
          </span>
        </li>
      ))}
    </ul>
    {of.length > 20 ? <p class="note">{plural(of.length - 20, "more", "more")}</p> : null}
    <p class="note">Whoever drives the run takes it next.</p>
  </section>
)

const Other = ({ wait }: { readonly wait: Wait }): JSX.Element => {
  const { childId, kind, stepId, wakeAt } = wait
  const until = wakeAt === undefined ? null : (
    <>
      until <Time at={wakeAt} /> (<Time at={wakeAt} isAgo />)
    </>
  )
  const name = (
    <code>
      <Text text={stepId} max={80} />
    </code>
  )
  if (kind === "child" && childId !== undefined) {
    return (
      <>
        Waits for the run <RunLink runId={childId} />
      </>
    )
  }
  return kind === "retry" ? <>Tries {name} again, {until}</> : <>Sleeps at {name} {until}</>
}

// ---------------------------------------------------------------------------------------------------
// events

/** An id that nobody has used; `crypto.randomUUID` is not there on a plain address of another machine. */
const freshId = (): string =>
  `ui-${
    Array.from(crypto.getRandomValues(new Uint8Array(16)), (n) => n.toString(16).padStart(2, "0"))
      .join("")
  }`

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

const EventForm = ({ onDone, view, wait }: {
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

// ---------------------------------------------------------------------------------------------------
// the run as a whole

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

export const Cancel = ({ view }: { readonly view: View }): JSX.Element | null => {
  const [isAsking, setAsking] = useState(false)
  const [reason, setReason] = useState("")
  const [eventId, setEventId] = useState(freshId)
  const { act, isBusy, problem } = useAct()
  const id = useId()
  const isAsked = view.events.some(({ type }) => type === "cancel")
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
