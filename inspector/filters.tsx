/** What of the list is looked for; it stands in the address, so that it can be kept and shared. */
import type { JSX } from "preact"
import { useEffect, useRef, useState } from "preact/hooks"
import { session } from "./api.ts"
import { meanings, words } from "./icons.tsx"
import { useKeys } from "./keys.ts"
import { go, type ListRoute } from "./route.ts"
import { useCell } from "./store.ts"
import type { State } from "./types.ts"

const states = Object.keys(meanings) as ReadonlyArray<State>

export const Filters = ({ route }: { readonly route: ListRoute }): JSX.Element => {
  const who = useCell(session)
  const box = useRef<HTMLInputElement>(null)
  const set = (fields: Partial<ListRoute>) => go({ ...route, ...fields }, true)
  useKeys((key) => {
    if (key !== "/") return false
    box.current?.focus()
    box.current?.select()
    return true
  })
  return (
    <form class="filters" role="search" onSubmit={(event) => event.preventDefault()}>
      <Typed
        label="Search runs by id or workflow"
        placeholder="Search by run id or workflow"
        hint="/"
        type="search"
        box={box}
        value={route.search ?? ""}
        onValue={(search) => set({ search })}
      />
      <label class="pick">
        <span>State</span>
        <select
          value={route.status ?? ""}
          onChange={(event) => set({ status: event.currentTarget.value })}
        >
          <option value="">All</option>
          {states.map((state) => <option key={state} value={state}>{words[state]}</option>)}
        </select>
      </label>
      <Typed
        label="Workflow"
        placeholder="All workflows"
        list="workflows"
        value={route.workflow ?? ""}
        onValue={(workflow) => set({ workflow })}
      />
      <datalist id="workflows">
        {who?.workflows.map(({ name }) => <option key={name} value={name} />)}
      </datalist>
    </form>
  )
}

/** A field whose text counts when one has stopped typing. */
const Typed = ({ box, hint, label, list, onValue, placeholder, type = "text", value }: {
  readonly label: string
  readonly placeholder: string
  readonly value: string
  readonly onValue: (value: string) => void
  readonly type?: "text" | "search"
  readonly list?: string
  readonly hint?: string
  readonly box?: { current: HTMLInputElement | null }
}): JSX.Element => {
  const [text, setText] = useState(value)
  useEffect(() => setText(value), [value])
  const latest = useRef(onValue)
  latest.current = onValue
  useEffect(() => {
    if (text === value) return
    const timer = setTimeout(() => latest.current(text), 250)
    return () => clearTimeout(timer)
  }, [text, value])
  return (
    <label class={`typed ${type}`}>
      <span class="hidden">{label}</span>
      <input
        {...box === undefined ? {} : { ref: box }}
        type={type}
        {...list === undefined ? {} : { list }}
        placeholder={placeholder}
        maxLength={200}
        value={text}
        spellcheck={false}
        autocomplete="off"
        onInput={(event) => setText(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter") onValue(text)
        }}
      />
      {hint === undefined ? null : <kbd aria-hidden="true">{hint}</kbd>}
    </label>
  )
}
