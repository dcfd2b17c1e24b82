/** One instruction of a run: what it gave or waits for, its attempts, and how to go on otherwise from it. */
import type { ComponentChildren, JSX } from "preact"
import { ForkHere, ForkOtherwise } from "./fork.tsx"
import { Chip } from "./icons.tsx"
import { Value } from "./json.tsx"
import { nameOf } from "./lanes.ts"
import { go, type RunRoute } from "./route.ts"
import { RunLink } from "./run.tsx"
import { spanOf } from "./scale.ts"
import { errorText } from "./text.ts"
import { span } from "./time.ts"
import type { Item, Json, View } from "./types.ts"
import { Fact, Text, Time } from "./ui.tsx"
import { wholeOf } from "./view.ts"

export const Panel = ({ children, label, onClose, title }: {
  readonly label: string
  readonly title: ComponentChildren
  readonly onClose: () => void
  readonly children: ComponentChildren
}): JSX.Element => (
  <aside class="panel" aria-label={label}>
    <header>
      <h2>{title}</h2>
      <button type="button" class="button quiet" aria-label="Close" title="Esc" onClick={onClose}>
        ✕
      </button>
    </header>
    {children}
  </aside>
)

export const ItemPanel = ({ item, now, route, view }: {
  readonly item: Item
  readonly view: View
  readonly route: RunRoute
  readonly now: number
}): JSX.Element => {
  const { attempts, childId, error, kind, state, stepId, timedOut, tries } = item
  const { undoError, undone, value, wait, wakeAt } = item
  const one = spanOf(item, now)
  const isOver = item.endedAt !== undefined || state === "done" || state === "failed"
  return (
    <Panel
      label={`Instruction ${nameOf(stepId)}`}
      onClose={() => go({ ...route, open: undefined }, true)}
      title={<Text text={nameOf(stepId)} max={120} />}
    >
      <p class="states">
        <Chip state={state} />
        <span class="mono aside">
          <Text text={stepId} />
        </span>
      </p>
      <dl class="facts narrow">
        <Fact name="Kind">{kind}</Fact>
        {one === undefined ? null : (
          <>
            <Fact name="Began">
              <Time at={one.from} />
            </Fact>
            {isOver
              ? (
                <Fact name="Ended">
                  <Time at={one.to} />
                </Fact>
              )
              : null}
            <Fact name={kind === "event" || kind === "timer" ? "Waited" : "Took"}>
              {span(one.to - one.from)}
            </Fact>
          </>
        )}
        {attempts === undefined ? null : <Fact name="Attempts">{attempts}</Fact>}
        {wait?.event === undefined ? null : (
          <Fact name="Event">
            <code>
              <Text text={wait.event} />
            </code>
          </Fact>
        )}
        {wait?.key === undefined ? null : (
          <Fact name="Key">
            <code>
              <Text text={wait.key} />
            </code>
          </Fact>
        )}
        {wait?.reason === undefined ? null : (
          <Fact name="Reason">
            <Text text={wait.reason} />
          </Fact>
        )}
        {wakeAt === undefined || isOver
          ? null
          : (
            <Fact name={state === "retrying" ? "Tried again" : "Until"}>
              <Time at={wakeAt} />
            </Fact>
          )}
        {childId === undefined ? null : (
          <Fact name="Child run">
            <RunLink runId={childId} />
          </Fact>
        )}
        {timedOut === true ? <Fact name="Outcome">timed out</Fact> : null}
        {undone === true ? <Fact name="Undone">yes</Fact> : null}
      </dl>
      {error === undefined ? null : (
        <section>
          <h3 class="bad">Error</h3>
          <Value
            label="Error"
            value={error as Json}
            whole={wholeOf(view.runId, stepId, "error")}
          />
        </section>
      )}
      {undoError === undefined ? null : (
        <section>
          <h3 class="bad">Error of undoing it</h3>
          <Value label="Error of undoing it" value={undoError as Json} />
        </section>
      )}
      {state !== "done" || timedOut === true ? null : (
        <section>
          <h3>{kind === "event" ? "Payload" : "Result"}</h3>
          <Value
            label={kind === "event" ? "Payload" : "Result"}
            value={value as Json | undefined}
            whole={wholeOf(view.runId, stepId, "value")}
          />
        </section>
      )}
      {tries === undefined || tries.length === 0 ? null : (
        <section>
          <h3>Failed attempts</h3>
          <ol class="tries">
            {tries.map(({ at, error }, i) => (
              <li key={i}>
                <Time at={at} /> <Text text={errorText(error)} max={200} />
              </li>
            ))}
          </ol>
        </section>
      )}
      <footer class="actions">
        <ForkHere view={view} item={item} />
        <ForkOtherwise view={view} item={item} />
      </footer>
    </Panel>
  )
}
