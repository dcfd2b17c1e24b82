/** Small parts that every page is made of: texts, times, problems, and a button that acts. */
import type { ComponentChildren, JSX } from "preact"
import { useState } from "preact/hooks"
import { denied, type Problem, problemOf, session } from "./api.ts"
import { useCell, useNow } from "./store.ts"
import { cut, parts } from "./text.ts"
import { ago, clock, exact, full, iso } from "./time.ts"
import type { Scope } from "./types.ts"

/** A text of a run's data: nothing in it is acted on, and it is no longer than `max`. */
export const Text = ({ keeps, max = 300, text }: {
  readonly text: string
  readonly max?: number
  /** Control characters that are no surprise here. */
  readonly keeps?: string
}): JSX.Element => (
  <bdi dir="ltr">
    {parts(cut(text, max), keeps).map((part, i) =>
      part.isSpelled
        ? <span key={i} class="spelled" title="A character that cannot be seen">{part.text}</span>
        : part.text
    )}
  </bdi>
)

/** When something was; the exact time in UTC on hovering. */
export const Time = ({ at, isAgo = false, isExact = false }: {
  readonly at: number | string
  readonly isAgo?: boolean
  readonly isExact?: boolean
}): JSX.Element => {
  const now = useNow(isAgo ? 10_000 : 0)
  const millis = typeof at === "number" ? at : Date.parse(at)
  const utc = iso(millis)
  return (
    <time dateTime={utc} title={isAgo ? `${full(millis)} (${utc})` : utc}>
      {isAgo ? ago(millis, now) : isExact ? exact(millis, now) : clock(millis, now)}
    </time>
  )
}

export const ProblemBox = ({ of }: { readonly of: Problem }): JSX.Element => (
  <div class="problem" role="alert">
    <strong>
      <Text text={of.title} />
    </strong>
    {of.detail === "" ? null : (
      <p>
        <Text text={of.detail} max={2_000} keeps={"\n"} />
      </p>
    )}
    {of.status === 0 && of.detail === "" ? <p>Trying again.</p> : null}
  </div>
)

/** The beginning of the way to do something that the token may not allow. */
export const Button = ({ children, kind, onAct, scope, title, type = "button", ...rest }: {
  readonly children: ComponentChildren
  readonly scope?: Scope
  readonly kind?: "main" | "danger" | "quiet"
  readonly type?: "button" | "submit"
  readonly title?: string | undefined
  readonly disabled?: boolean
  readonly "aria-label"?: string
  readonly "aria-expanded"?: boolean
  readonly onAct?: () => void
}): JSX.Element => {
  const who = useCell(session)
  const why = scope === undefined ? undefined : denied(who, scope)
  return (
    <button
      {...rest}
      type={type}
      class={`button ${kind ?? ""}`}
      disabled={why !== undefined || rest.disabled === true}
      title={why ?? title}
      onClick={() => onAct?.()}
    >
      {children}
    </button>
  )
}

/** Something that is done once at a time, and may fail. */
export const useAct = (): {
  readonly isBusy: boolean
  readonly problem: Problem | undefined
  readonly act: (work: () => Promise<void>) => void
} => {
  const [isBusy, setBusy] = useState(false)
  const [problem, setProblem] = useState<Problem>()
  const act = (work: () => Promise<void>) => {
    if (isBusy) return
    setBusy(true)
    setProblem(undefined)
    void work()
      .catch((error: unknown) => setProblem(problemOf(error)))
      .then(() => setBusy(false))
  }
  return { isBusy, problem, act }
}

/** What goes on after an action, where this server only records it. */
export const goesOn = (): string =>
  session.get()?.drives === false ? " A worker goes on with it: this server drives no runs." : ""

/** A name and what it is. */
export const Fact = ({ children, name }: {
  readonly name: string
  readonly children: ComponentChildren
}): JSX.Element => (
  <div class="fact">
    <dt>{name}</dt>
    <dd>{children}</dd>
  </div>
)
