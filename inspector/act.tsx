/** What a run needs of somebody, what was sent to it already, and what it waits for by itself. */
import type { JSX } from "preact"
import { useState } from "preact/hooks"
import { EventForm } from "./event.tsx"
import { RunLink } from "./run.tsx"
import { Settle } from "./settle.tsx"
import { plural, preview } from "./text.ts"
import type { Json, Posted, View, Wait } from "./types.ts"
import { Button, Text, Time } from "./ui.tsx"
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
